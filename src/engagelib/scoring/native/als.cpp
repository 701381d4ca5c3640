// Half steps of alternating least squares (Hu, Koren and Volinsky, 2008) by a few conjugate gradients each
// (Takacs, Pilaszy and Tikk, 2011), in coordinates in which most of every row's system is the identity.
//
// With Y the fixed vectors and L L' = Y'Y + penalty I, the system of each row is (L L' + Y_r' D Y_r) x = b. For
// z = L'x and W = Y L^-T it is (I + W_r' D W_r) z = L^-1 b: the dense product, which would be most of a step,
// is left out of every step, and a step gets further. Two products a row turn it there and back.
#include "arrays.hpp"
#include "folding.hpp"
#include "rows.hpp"
#include "turning.hpp"
#include "workers.hpp"

#include <memory>
#include <stdexcept>

namespace {

template <int Bytes>
ENGAGELIB_INLINE void turn_across_in(const Padded<float>& rows, std::size_t n_rows, const Turns& turns, float* out) {
    turn<Chunk<float, Bytes>>(rows.row(0), n_rows, turns.across, Half::kUpper, out);
}

ENGAGELIB_FOR_PROCESSORS(turn_across,
                         (const Padded<float>& rows, std::size_t n_rows, const Turns& turns, float* out),
                         (rows, n_rows, turns, out))

// Rows in memory of the caller's, who can use it again, and has means to take it in large pages.
class Lent {
   public:
    Lent(const Array1<float>& memory, std::size_t n_rows, std::size_t n_factors)
        : width_((n_factors + kLane - 1) / kLane * kLane) {
        void* begin = memory.data();
        std::size_t left = memory.shape(0) * sizeof(float);
        n_rows = (n_rows + kTile - 1) / kTile * kTile;
        if (!std::align(64, n_rows * width_ * sizeof(float), begin, left)) {
            throw std::invalid_argument("room is too small");
        }
        begin_ = static_cast<float*>(begin);
    }
    float* row(std::size_t i) const { return begin_ + i * width_; }
    std::size_t width() const { return width_; }

   private:
    std::size_t width_;
    float* begin_;
};

// Turn all fixed vectors; the last tile ends in rows of zeros.
void turn_all(const float* vectors, std::size_t n_rows, std::size_t n_factors, const Turns& turns,
              int n_threads, const Lent& turned) {
    over_blocks(n_rows, kRows, n_threads, [&](std::size_t start, std::size_t stop) {
        thread_local Padded<float> rows;
        rows.resize(kRows, n_factors);
        rows.copy(vectors + start * n_factors, stop - start, n_factors);
        turn_across(rows, stop - start, turns, turned.row(start));
    });
}

// What a thread solves a block of rows with.
struct Scratch {
    Padded<float> rows, turned;
    std::vector<Entry<float>> entries;
    Room<float> room;
};

// A residual this much shorter than at first, squared, is as short as float32 has it.
constexpr float kSmall = 1e-12f;

template <class V, int J>
ENGAGELIB_INLINE void solve_block(const RowStarts& starts, std::size_t start, std::size_t stop, int n_steps,
                                  Scratch& scratch) {
    const std::size_t width = scratch.turned.width();
    const int n_chunks = J > 0 ? J : static_cast<int>(width / kLane);
    scratch.room.reserve(n_chunks);
    const std::size_t begin = starts[start], end = starts[stop];
    for (std::size_t i = start; i < stop; ++i) {
        float* z = scratch.turned.row(i - start);
        const std::size_t first = starts[i], last = starts[i + 1];
        if (first == last) {
            std::memset(z, 0, width * sizeof(float));
            continue;
        }
        const Entries<float> row{scratch.entries.data() + (first - begin), last - first, end - last};
        std::memcpy(scratch.room.template solution<V>(), z, width * sizeof(float));
        pass<V, J, true>(row, static_cast<int>(width), scratch.room.template solution<V>(), scratch.room.template residual<V>(),
                             scratch.room.template vector<V>());
        descend<V, J>(row, static_cast<int>(width), n_steps, kSmall, scratch.room);
        std::memcpy(z, scratch.room.template solution<V>(), width * sizeof(float));
    }
}

template <int Bytes>
ENGAGELIB_INLINE void solve_in(const RowStarts& starts, std::size_t start, std::size_t stop, const Turns& turns,
                            int n_steps, Scratch& scratch) {
    using V = Chunk<float, Bytes>;
    const std::size_t n = stop - start;
    turn<V>(scratch.rows.row(0), n, turns.there, Half::kLower, scratch.turned.row(0));
    switch (scratch.turned.width()) {
        case 16: solve_block<V, 1>(starts, start, stop, n_steps, scratch); break;
        case 32: solve_block<V, 2>(starts, start, stop, n_steps, scratch); break;
        case 64: solve_block<V, 4>(starts, start, stop, n_steps, scratch); break;
        case 96: solve_block<V, 6>(starts, start, stop, n_steps, scratch); break;
        case 128: solve_block<V, 8>(starts, start, stop, n_steps, scratch); break;
        default: solve_block<V, 0>(starts, start, stop, n_steps, scratch);
    }
    turn<V>(scratch.turned.row(0), n, turns.back, Half::kLower, scratch.rows.row(0));
}

ENGAGELIB_FOR_PROCESSORS(solve,
                         (const RowStarts& starts, std::size_t start, std::size_t stop, const Turns& turns,
                          int n_steps, Scratch& scratch),
                         (starts, start, stop, turns, n_steps, scratch))

// Read the entries of a block of rows; false where one leads outside.
template <class T>
bool read_entries(const RowStarts& starts, std::size_t start, std::size_t stop, const Indices& columns,
                  const float* confidence, const Lent& turned, std::size_t n_fixed,
                  FirstOutside& outside, std::vector<Entry<T>>& entries) {
    const std::size_t begin = starts[start], end = starts[stop];
    entries.resize(end - begin);
    for (std::size_t e = begin; e < end; ++e) {
        const std::int64_t column = columns[e];
        if (outside.is(column, n_fixed, e)) return false;
        entries[e - begin] = {turned.row(column), static_cast<T>(confidence[e]) - 1};
    }
    return true;
}

void check_widths(std::size_t one, std::size_t other) {
    if (one != other || one == 0) throw std::invalid_argument("expected as many columns, at least one");
}

std::int64_t half_step(Indices::Array indptr, Indices::Array indices, Array1<const float> confidence,
                       Array2<const float> fixed, Array2<float> solved, double regularization, int n_steps,
                       int n_threads, Array1<float> room) {
    const std::size_t n_fixed = fixed.shape(0), n_solved = solved.shape(0), n_factors = fixed.shape(1);
    check_widths(n_factors, solved.shape(1));
    const Indices columns(indices);
    const RowStarts starts(Indices(indptr), n_solved, columns.size(), confidence.shape(0));
    const Square gram = gram_of(fixed.data(), n_fixed, n_factors, n_threads);
    const Turns turns = turns_of(root_of(gram, regularization, n_factors), n_factors);
    const Lent turned(room, n_fixed, n_factors);
    turn_all(fixed.data(), n_fixed, n_factors, turns, n_threads, turned);
    FirstOutside outside;
    over_blocks(n_solved, kRows, n_threads, [&](std::size_t start, std::size_t stop) {
        thread_local Scratch scratch;
        if (!read_entries(starts, start, stop, columns, confidence.data(), turned, n_fixed, outside,
                          scratch.entries)) {
            return;
        }
        for (auto* part : {&scratch.rows, &scratch.turned}) part->resize(kRows, n_factors);
        float* rows = solved.data() + start * n_factors;
        scratch.rows.copy(rows, stop - start, n_factors);
        solve(starts, start, stop, turns, n_steps, scratch);
        for (std::size_t i = 0; i < stop - start; ++i) {
            std::memcpy(rows + i * n_factors, scratch.rows.row(i), n_factors * sizeof(float));
        }
    });
    return outside.position();
}

// out = row @ inverse, of a row in turned coordinates; or row @ inverse', of one that is to be turned.
ENGAGELIB_CLONES void turn_exactly(const double* row, const Square& inverse, std::size_t n, bool is_back,
                                   double* out) {
    for (std::size_t j = 0; j < n; ++j) out[j] = 0;
    for (std::size_t k = 0; k < n; ++k) {
        if (is_back) {
            for (std::size_t j = 0; j <= k; ++j) out[j] += row[k] * inverse.row(k)[j];
        } else {
            out[k] = product(row, inverse.row(k), k + 1);
        }
    }
}

std::int64_t solve_exactly(Indices::Array indptr, Indices::Array indices, Array1<const float> confidence,
                           Array2<const float> fixed, Array2<double> solved, double regularization,
                           int most_steps, int n_threads, Array1<float> room) {
    const std::size_t n_fixed = fixed.shape(0), n_solved = solved.shape(0), n_factors = fixed.shape(1);
    check_widths(n_factors, solved.shape(1));
    const Indices columns(indices);
    const RowStarts starts(Indices(indptr), n_solved, columns.size(), confidence.shape(0));
    const Root root = root_of(gram_of(fixed.data(), n_fixed, n_factors, n_threads), regularization, n_factors);
    const Lent turned(room, n_fixed, n_factors);
    turn_all(fixed.data(), n_fixed, n_factors, turns_of(root, n_factors), n_threads, turned);
    FirstOutside outside;
    over_blocks(n_solved, 1, n_threads, [&](std::size_t start, std::size_t stop) {
        thread_local std::vector<Entry<double>> entries;
        thread_local Room<double> scratch;
        thread_local std::vector<double> z;
        if (!read_entries(starts, start, stop, columns, confidence.data(), turned, n_fixed, outside, entries)) {
            return;
        }
        z.resize(turned.width());
        solve_row({entries.data(), entries.size(), 0}, static_cast<int>(turned.width()), nullptr, most_steps,
                  z.data(), scratch);
        turn_exactly(z.data(), root.inverse, n_factors, true, solved.data() + start * n_factors);
    });
    return outside.position();
}

void turn_vectors(Array2<const double> vectors, Array2<double> turned, double regularization, int n_threads) {
    const std::size_t n_rows = vectors.shape(0), n_factors = vectors.shape(1);
    check_widths(n_factors, turned.shape(1));
    if (turned.shape(0) != n_rows) throw std::invalid_argument("expected as many rows");
    const Root root = root_of(gram_of(vectors.data(), n_rows, n_factors, n_threads), regularization, n_factors);
    over_blocks(n_rows, kRows, n_threads, [&](std::size_t start, std::size_t stop) {
        for (std::size_t i = start; i < stop; ++i) {
            const std::size_t at = i * n_factors;
            turn_exactly(vectors.data() + at, root.inverse, n_factors, false, turned.data() + at);
        }
    });
}

}  // namespace

void bind_als(nb::module_& module) {
    const auto unlocked = nb::call_guard<nb::gil_scoped_release>();
    module.def("als_half_step", &half_step, unlocked, nb::arg("indptr"), nb::arg("indices"),
               nb::arg("confidence"), nb::arg("fixed"), nb::arg("solved").noconvert(), nb::arg("regularization"),
               nb::arg("n_steps"), nb::arg("n_threads"), nb::arg("room").noconvert());
    module.def("als_solve", &solve_exactly, unlocked, nb::arg("indptr"), nb::arg("indices"),
               nb::arg("confidence"), nb::arg("fixed"), nb::arg("solved").noconvert(), nb::arg("regularization"),
               nb::arg("most_steps"), nb::arg("n_threads"), nb::arg("room").noconvert());
    module.def("als_turn", &turn_vectors, unlocked, nb::arg("vectors"), nb::arg("turned").noconvert(),
               nb::arg("regularization"), nb::arg("n_threads"));
}
