// Conjugate gradients (Hestenes and Stiefel, 1952) on (I + V' D V) z = b, where V holds the vectors of the
// entries of one row: the identity plus one direction an entry. No row depends on another's, to the last bit.
#pragma once

#include "arrays.hpp"

#include <cstring>
#include <new>
#include <type_traits>
#include <vector>

// Compilers know vectors of a type that they know, and of no type that is an argument.
template <class T, int Bytes>
struct Native;
#define ENGAGELIB_NATIVE(T, BYTES)                          \
    template <>                                             \
    struct Native<T, BYTES> {                               \
        typedef T Type __attribute__((vector_size(BYTES))); \
    }
ENGAGELIB_NATIVE(float, 8);
ENGAGELIB_NATIVE(float, 16);
ENGAGELIB_NATIVE(float, 32);
ENGAGELIB_NATIVE(float, 64);
ENGAGELIB_NATIVE(double, 16);
ENGAGELIB_NATIVE(double, 32);
ENGAGELIB_NATIVE(double, 64);
#undef ENGAGELIB_NATIVE

// Numbers that a processor adds at once, `Bytes` long.
template <class T, int Bytes>
struct Lanes {
    static constexpr int kLength = Bytes / sizeof(T);
    using Number = T;
    using Held = typename Native<T, Bytes>::Type;
    Held held;
};

// As many again. A compiler that cuts vectors longer than the processor's itself does so badly.
template <class Part>
struct Pair {
    static constexpr int kLength = 2 * Part::kLength;
    using Number = typename Part::Number;
    Part low, high;
};

// A chunk of 64 bytes, of vectors that are `Bytes` long: the order of additions is the same for any.
template <class T, int Bytes>
struct ChunkOf;
template <class T>
struct ChunkOf<T, 64> {
    using Type = Lanes<T, 64>;
};
template <class T>
struct ChunkOf<T, 32> {
    using Type = Pair<Lanes<T, 32>>;
};
template <class T>
struct ChunkOf<T, 16> {
    using Type = Pair<Pair<Lanes<T, 16>>>;
};
template <class T, int Bytes>
using Chunk = typename ChunkOf<T, Bytes>::Type;

template <class T>
constexpr int kChunkLength = 64 / sizeof(T);

template <class T, int Bytes>
ENGAGELIB_INLINE void set_zero(Lanes<T, Bytes>& chunk) {
    chunk.held = typename Lanes<T, Bytes>::Held{};
}
template <class Part>
ENGAGELIB_INLINE void set_zero(Pair<Part>& chunk) {
    set_zero(chunk.low);
    set_zero(chunk.high);
}

// sum += chunk * times
template <class T, int Bytes>
ENGAGELIB_INLINE void add_times(Lanes<T, Bytes>& sum, const Lanes<T, Bytes>& chunk, T times) {
    sum.held += chunk.held * times;
}
template <class Part>
ENGAGELIB_INLINE void add_times(Pair<Part>& sum, const Pair<Part>& chunk, typename Part::Number times) {
    add_times(sum.low, chunk.low, times);
    add_times(sum.high, chunk.high, times);
}

// sum += left * right, number by number
template <class T, int Bytes>
ENGAGELIB_INLINE void add_product(Lanes<T, Bytes>& sum, const Lanes<T, Bytes>& left,
                                  const Lanes<T, Bytes>& right) {
    sum.held += left.held * right.held;
}
template <class Part>
ENGAGELIB_INLINE void add_product(Pair<Part>& sum, const Pair<Part>& left, const Pair<Part>& right) {
    add_product(sum.low, left.low, right.low);
    add_product(sum.high, left.high, right.high);
}

template <class T, int Bytes>
ENGAGELIB_INLINE void load(const T* from, Lanes<T, Bytes>& chunk) {
    std::memcpy(&chunk.held, from, Bytes);
}
template <int Bytes>
ENGAGELIB_INLINE void load(const float* from, Lanes<double, Bytes>& chunk) {
    typename Native<float, Bytes / 2>::Type half;
    std::memcpy(&half, from, sizeof half);
    chunk.held = __builtin_convertvector(half, typename Lanes<double, Bytes>::Held);
}
template <class Part, class From>
ENGAGELIB_INLINE void load(const From* from, Pair<Part>& chunk) {
    load(from, chunk.low);
    load(from + Part::kLength, chunk.high);
}

// Load chunk `j` of a vector of `length` numbers; zeros stand beyond its end.
template <class V>
ENGAGELIB_INLINE void load_within(const float* from, int j, int length, V& chunk) {
    const int left = length - j * V::kLength;
    if (left >= V::kLength) {
        load(from + j * V::kLength, chunk);
    } else {
        float numbers[V::kLength] = {};
        for (int lane = 0; lane < left; ++lane) numbers[lane] = from[j * V::kLength + lane];
        load(numbers, chunk);
    }
}

// The sum of a chunk's numbers, halves on halves.
template <class T, int Bytes>
ENGAGELIB_INLINE T total(const Lanes<T, Bytes>& chunk) {
    if constexpr (Bytes == 2 * sizeof(T)) {
        return chunk.held[0] + chunk.held[1];
    } else if constexpr (Bytes == 16) {
        return (chunk.held[0] + chunk.held[2]) + (chunk.held[1] + chunk.held[3]);
    } else {
        Lanes<T, Bytes / 2> low, high;
        std::memcpy(&low.held, &chunk.held, Bytes / 2);
        std::memcpy(&high.held, reinterpret_cast<const char*>(&chunk.held) + Bytes / 2, Bytes / 2);
        low.held += high.held;
        return total(low);
    }
}
template <class Part>
ENGAGELIB_INLINE typename Part::Number total(const Pair<Part>& chunk) {
    Part sum = chunk.low;
    add_times(sum, chunk.high, typename Part::Number(1));
    return total(sum);
}

// Allocates where a chunk may begin. A vector's own allocator forgets how its elements are to be aligned, for
// the attribute that makes them vectors is no part of a template's argument.
template <class T>
struct Aligned {
    using value_type = T;
    using is_always_equal = std::true_type;
    static constexpr std::align_val_t kAlignment{64};

    Aligned() = default;
    template <class U>
    Aligned(const Aligned<U>&) {}
    T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kAlignment)); }
    // Leaves memory as it is where a value would only be set to be overwritten.
    template <class U>
    void construct(U* place) noexcept {
        ::new (static_cast<void*>(place)) U;
    }
    template <class U, class... From>
    void construct(U* place, From&&... from) {
        ::new (static_cast<void*>(place)) U(static_cast<From&&>(from)...);
    }
    void deallocate(T* held, std::size_t) { ::operator delete(held, kAlignment); }
    friend bool operator==(const Aligned&, const Aligned&) { return true; }
    friend bool operator!=(const Aligned&, const Aligned&) { return false; }
};

// One stored entry of a row: the vector it leads to, and what it adds to a confidence of 1.
template <class T>
struct Entry {
    const float* vector;
    T extra;
};

// The entries of a row. `n_ahead` more that follow in memory are those of rows to come, worth fetching.
template <class T>
struct Entries {
    const Entry<T>* first;
    std::size_t size;
    std::size_t n_ahead;
};

template <class V>
ENGAGELIB_INLINE typename V::Number dot(const V* left, const V* right, int n_chunks) {
    V sums[2];
    set_zero(sums[0]);
    set_zero(sums[1]);
    for (int j = 0; j + 1 < n_chunks; j += 2) {
        add_product(sums[0], left[j], right[j]);
        add_product(sums[1], left[j + 1], right[j + 1]);
    }
    if (n_chunks % 2) add_product(sums[0], left[n_chunks - 1], right[n_chunks - 1]);
    add_times(sums[0], sums[1], typename V::Number(1));
    return total(sums[0]);
}

constexpr std::size_t kFetched = 16;  // entries fetched ahead: about what main memory takes to answer

template <class T>
ENGAGELIB_INLINE void fetch(const Entries<T>& row, std::size_t e, int length) {
    if (e + kFetched >= row.size + row.n_ahead) return;
    const float* vector = row.first[e + kFetched].vector;
    for (int at = 0; at < length; at += 16) __builtin_prefetch(vector + at);
}

// Either the residual at z, which is V'(1 + D) 1 - (I + V' D V) z, or the image of z, (I + V' D V) z.
// J is the number of chunks of a vector, if it is known when compiling, else 0.
template <class V, int J, bool kResidual>
ENGAGELIB_INLINE void pass(const Entries<typename V::Number>& row, int length, const V* z, V* out, V* vector) {
    using T = typename V::Number;
    const int n_chunks = J > 0 ? J : (length + V::kLength - 1) / V::kLength;
    constexpr int kHeld = J > 0 ? J : 1;
    V sum[kHeld], here[kHeld], entry[kHeld];  // in registers, if their number is known
    V* const sums = J > 0 ? sum : out;
    V* const entries = J > 0 ? entry : vector;
    const V* const at = J > 0 ? here : z;
#pragma GCC unroll 16
    for (int j = 0; j < n_chunks; ++j) {
        if (J > 0) here[j] = z[j];
        set_zero(sums[j]);
        add_times(sums[j], z[j], kResidual ? T(-1) : T(1));
    }
    for (std::size_t e = 0; e < row.size; ++e) {
        if (kResidual) fetch(row, e, length);
#pragma GCC unroll 16
        for (int j = 0; j < n_chunks; ++j) {
            if (J > 0) {
                load(row.first[e].vector + j * V::kLength, entries[j]);
            } else {
                load_within(row.first[e].vector, j, length, entries[j]);
            }
        }
        V even, odd;
        set_zero(even);
        set_zero(odd);
#pragma GCC unroll 16
        for (int j = 0; j < n_chunks; ++j) add_product(j % 2 ? odd : even, entries[j], at[j]);
        add_times(even, odd, T(1));
        const T extra = row.first[e].extra, product = total(even);
        const T times = kResidual ? 1 + extra - extra * product : extra * product;
#pragma GCC unroll 16
        for (int j = 0; j < n_chunks; ++j) add_times(sums[j], entries[j], times);
    }
    if (J > 0) {
#pragma GCC unroll 16
        for (int j = 0; j < n_chunks; ++j) out[j] = sums[j];
    }
}

// Room for the vectors that a row is solved with.
template <class T>
class Room {
   public:
    void reserve(int n_chunks) {
        length_ = n_chunks * static_cast<std::size_t>(kChunkLength<T>);
        if (held_.size() < 5 * length_) held_.resize(5 * length_);
    }
    template <class V>
    V* solution() { return at<V>(0); }
    template <class V>
    V* residual() { return at<V>(1); }
    template <class V>
    V* direction() { return at<V>(2); }
    template <class V>
    V* image() { return at<V>(3); }
    template <class V>
    V* vector() { return at<V>(4); }

   private:
    template <class V>
    V* at(int part) { return reinterpret_cast<V*>(held_.data() + part * length_); }

    std::vector<T, Aligned<T>> held_;
    std::size_t length_ = 0;
};

// Go from the solution and residual in the room towards the exact solution, until the residual's square is
// `small` times what it was, or for so many steps.
template <class V, int J>
ENGAGELIB_INLINE void descend(const Entries<typename V::Number>& row, int length, int n_steps,
                              typename V::Number small, Room<typename V::Number>& room) {
    using T = typename V::Number;
    const int n_chunks = J > 0 ? J : (length + V::kLength - 1) / V::kLength;
    V *const solution = room.template solution<V>(), *const residual = room.template residual<V>();
    V *const direction = room.template direction<V>(), *const image = room.template image<V>();
    for (int j = 0; j < n_chunks; ++j) direction[j] = residual[j];
    T square = dot(residual, residual, n_chunks);
    const T enough = small * square;
    for (int step = 0; step < n_steps && square > enough; ++step) {
        pass<V, J, false>(row, length, direction, image, room.template vector<V>());
        const T along = square / dot(direction, image, n_chunks);
        for (int j = 0; j < n_chunks; ++j) {
            add_times(solution[j], direction[j], along);
            add_times(residual[j], image[j], -along);
        }
        const T smaller = dot(residual, residual, n_chunks), turn = smaller / square;
        for (int j = 0; j < n_chunks; ++j) {
            V turned = residual[j];
            add_times(turned, direction[j], turn);
            direction[j] = turned;
        }
        square = smaller;
    }
}

// How long the vectors are that this processor adds at once.
inline int vector_bytes() {
#if defined(__x86_64__) && defined(__GNUC__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
        return 64;
    }
    return __builtin_cpu_supports("avx2") ? 32 : 16;
#else
    return 16;
#endif
}

// Define `NAME PARAMETERS`, which calls `NAME_in<bytes> ARGUMENTS` compiled for this processor.
#if defined(__x86_64__) && defined(__GNUC__)
#define ENGAGELIB_FOR_PROCESSORS(NAME, PARAMETERS, ARGUMENTS)                                     \
    __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl"))) void NAME##_64 PARAMETERS {     \
        NAME##_in<64> ARGUMENTS;                                                                  \
    }                                                                                             \
    __attribute__((target("avx2"))) void NAME##_32 PARAMETERS { NAME##_in<32> ARGUMENTS; }        \
    void NAME##_16 PARAMETERS { NAME##_in<16> ARGUMENTS; }                                        \
    void NAME PARAMETERS {                                                                        \
        static const int bytes = vector_bytes();                                                  \
        (bytes == 64 ? NAME##_64 : bytes == 32 ? NAME##_32 : NAME##_16) ARGUMENTS;                \
    }
#else
#define ENGAGELIB_FOR_PROCESSORS(NAME, PARAMETERS, ARGUMENTS) \
    void NAME PARAMETERS { NAME##_in<16> ARGUMENTS; }
#endif
