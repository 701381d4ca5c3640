// The loops of dense scoring in which processors take many numbers at once; for dense.cpp alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "arrays.hpp"

namespace dense {

// Columns of a tile are looked at so many at once; rows of products are padded to a multiple of it.
constexpr std::size_t SCANNED = 128;

// The items that a search goes through, by falling norm: all rows of `vectors`, or those that `at` names.
struct Rows {
    const float* vectors;
    const std::int32_t* at;  // null where all are meant
    std::size_t n_factors;

    ENGAGELIB_INLINE const float* operator[](std::size_t i) const {
        return vectors + (at ? static_cast<std::size_t>(at[i]) : i) * n_factors;
    }
};

// Four numbers fit into a register of every processor there is. Wider ones differ too much for one text: of
// sums that have to be added up across a register, compilers make less.
typedef float Four __attribute__((vector_size(16)));

#if defined(__clang__) || __GNUC__ >= 12
#define ENGAGELIB_SHUFFLE(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int FourPlaces __attribute__((vector_size(16)));
#define ENGAGELIB_SHUFFLE(a, b, i, j, k, l) __builtin_shuffle(a, b, FourPlaces{i, j, k, l})
#endif

ENGAGELIB_INLINE Four four_at(const float* values) {
    Four four;
    std::memcpy(&four, values, sizeof four);
    return four;
}

// Products near enough to choose candidates by, four items at once.
ENGAGELIB_CLONES
static void approximate(const float* query, const Rows& rows, std::size_t start, std::size_t n,
                        float* products) {
    const std::size_t n_factors = rows.n_factors, whole = n_factors / 4 * 4;
    for (std::size_t i = 0; i < n; i += 4) {
        const std::size_t left = n - i;
        const float* a = rows[start + i];
        const float* b = left > 1 ? rows[start + i + 1] : a;
        const float* c = left > 2 ? rows[start + i + 2] : a;
        const float* d = left > 3 ? rows[start + i + 3] : a;
        Four of_a = {}, of_b = {}, of_c = {}, of_d = {};
        for (std::size_t j = 0; j < whole; j += 4) {
            const Four x = four_at(query + j);
            of_a += x * four_at(a + j);
            of_b += x * four_at(b + j);
            of_c += x * four_at(c + j);
            of_d += x * four_at(d + j);
        }
        // The sums are turned on their side, so that one addition is of four items.
        const Four ab = ENGAGELIB_SHUFFLE(of_a, of_b, 0, 4, 1, 5) +
                        ENGAGELIB_SHUFFLE(of_a, of_b, 2, 6, 3, 7);
        const Four cd = ENGAGELIB_SHUFFLE(of_c, of_d, 0, 4, 1, 5) +
                        ENGAGELIB_SHUFFLE(of_c, of_d, 2, 6, 3, 7);
        Four sum = ENGAGELIB_SHUFFLE(ab, cd, 0, 1, 4, 5) + ENGAGELIB_SHUFFLE(ab, cd, 2, 3, 6, 7);
        for (std::size_t j = whole; j < n_factors; ++j) sum += query[j] * Four{a[j], b[j], c[j], d[j]};
        std::memcpy(products + i, &sum, sizeof sum);
    }
}

// The score that ranks and is returned: products in float64, padded with zeros to `padded_width`, the least
// power of two that holds them, and halved by adding the second half to the first until one is left, which
// is rounded to float32, with one zero for both signs. `terms` has room for half of them.
ENGAGELIB_INLINE float fixed_order(const double* query, const float* vector, std::size_t n_factors,
                                   std::size_t padded_width, double* terms) {
    if (padded_width == 1) return n_factors ? static_cast<float>(query[0] * vector[0]) + 0.0f : 0.0f;
    // The products and their first halving. To add one of the padded zeros can change the sign of a zero,
    // and nothing else.
    std::size_t half = padded_width / 2;
    const std::size_t n_second = n_factors - half;
    for (std::size_t i = 0; i < n_second; ++i) {
        terms[i] = query[i] * static_cast<double>(vector[i]) +
                   query[half + i] * static_cast<double>(vector[half + i]);
    }
    for (std::size_t i = n_second; i < half; ++i) terms[i] = query[i] * static_cast<double>(vector[i]);
    for (; half > 8; half /= 2) {
        for (std::size_t i = 0; i < half / 2; ++i) terms[i] += terms[half / 2 + i];
    }
    if (half == 8) {
        for (std::size_t i = 0; i < 4; ++i) terms[i] += terms[4 + i];
        half = 4;
    }
    if (half == 4) {
        terms[0] += terms[2];
        terms[1] += terms[3];
        half = 2;
    }
    if (half == 2) terms[0] += terms[1];
    return static_cast<float>(terms[0]) + 0.0f;
}

// Score rows `which(i)`, or `first + i` where `which` is null.
ENGAGELIB_CLONES
static void exact(const double* query, const Rows& rows, std::size_t padded_width, std::size_t first,
                  const std::uint32_t* which, std::size_t n, double* terms, float* scores) {
    for (std::size_t i = 0; i < n; ++i) {
        if (which != nullptr && i + 4 < n) {
            // These rows lie anywhere; the next ones are on their way while this one is added up.
            const float* next = rows[which[i + 4]];
            for (std::size_t j = 0; j < rows.n_factors && j < 256; j += 16) __builtin_prefetch(next + j);
        }
        const float* vector = rows[which ? which[i] : first + i];
        scores[i] = fixed_order(query, vector, rows.n_factors, padded_width, terms);
    }
}

// Write down the columns that reach the cut, in order; `width` is a multiple of SCANNED. Returns how many.
ENGAGELIB_CLONES
static std::size_t columns_from(const float* products, std::size_t width, float cut, std::uint32_t* columns) {
    constexpr std::size_t word = 32;
    static constexpr struct Bits {
        std::uint32_t of[word];
        constexpr Bits() : of() {
            for (std::size_t i = 0; i < word; ++i) of[i] = 1u << i;
        }
    } bits;
    std::size_t n = 0;
    for (std::size_t block = 0; block < width; block += SCANNED) {
        const float* values = products + block;
        std::uint32_t any = 0;
        for (std::size_t i = 0; i < SCANNED; ++i) any |= values[i] >= cut ? 1u : 0u;
        if (!any) continue;
        for (std::size_t first = 0; first < SCANNED; first += word) {
            // One bit a column, so that only those that reach the cut are touched.
            std::uint32_t left = 0;
            for (std::size_t i = 0; i < word; ++i) left |= values[first + i] >= cut ? bits.of[i] : 0u;
            for (; left; left &= left - 1) {
                columns[n++] = static_cast<std::uint32_t>(block + first) + __builtin_ctz(left);
            }
        }
    }
    return n;
}

// Fold products until `n` are left, each the largest of a set of columns; `width` is n times a power of two.
ENGAGELIB_CLONES
static void fold(const float* products, std::size_t width, std::size_t n, float* largest) {
    std::memcpy(largest, products, n * sizeof *largest);
    for (std::size_t start = n; start < width; start += n) {
        for (std::size_t i = 0; i < n; ++i) {
            const float value = products[start + i];
            largest[i] = value > largest[i] ? value : largest[i];
        }
    }
}

// A number that at least `depth` of `n` reach, and not many more: halving the range that it is in takes less
// time than to put any of them in order.
ENGAGELIB_CLONES
static std::uint32_t reached_by(const std::uint32_t* numbers, std::size_t n, std::size_t depth) {
    std::uint32_t low = numbers[0], most = numbers[0];
    for (std::size_t i = 0; i < n; ++i) {
        low = numbers[i] < low ? numbers[i] : low;
        most = numbers[i] > most ? numbers[i] : most;
    }
    std::uint64_t high = std::uint64_t{most} + 1;
    while (high - low > 1) {
        const auto middle = static_cast<std::uint32_t>(low + (high - low) / 2);
        std::uint32_t n_reached = 0;
        for (std::size_t i = 0; i < n; ++i) n_reached += numbers[i] >= middle ? 1u : 0u;
        if (n_reached < depth) {
            high = middle;
        } else {
            low = middle;
            if (n_reached <= depth + depth / 16) break;
        }
    }
    return low;
}

ENGAGELIB_CLONES
static void add(const float* penalty, std::size_t n, float* products) {
    for (std::size_t i = 0; i < n; ++i) products[i] += penalty[i];
}

// What of `n` places stands in the tile that begins at `start` is struck from it.
ENGAGELIB_CLONES
static void strike(const std::uint32_t* places, std::size_t n, std::uint32_t start, std::uint32_t width,
                   float* products) {
    constexpr std::size_t many = 64;
    for (std::size_t first = 0; first < n; first += many) {
        const std::size_t stop = first + many < n ? first + many : n;
        std::uint32_t any = 0;
        for (std::size_t i = first; i < stop; ++i) any |= places[i] - start < width;
        if (!any) continue;
        for (std::size_t i = first; i < stop; ++i) {
            if (places[i] - start < width) products[places[i] - start] = -__builtin_inff();
        }
    }
}

}  // namespace dense
