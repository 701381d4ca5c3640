// The factors of single histories from those of their items: sums by row, and systems that are solved until
// nothing is left to gain. In float64, without fused operations: the same on every processor.
#include "arrays.hpp"
#include "folding.hpp"
#include "rows.hpp"
#include "workers.hpp"

#include <stdexcept>

namespace {

constexpr std::size_t kRows = 16;  // rows to a block

// A residual 1e8 times shorter than the right-hand side, squared.
constexpr double kSmall = 1e-16;

struct Scratch {
    std::vector<Entry<double>> entries;
    Room<double> room;
};

// Solve for one row from nothing, with the sum of its entries' vectors, each times 1 + extra, on the right;
// or, given `right`, with that.
template <class V, int J>
ENGAGELIB_INLINE void solve_as(const Entries<double>& row, int length, const double* right, int most_steps,
                                double* out, Room<double>& room) {
    const int n_chunks = J > 0 ? J : (length + V::kLength - 1) / V::kLength;
    room.reserve(n_chunks);
    V *const solution = room.template solution<V>(), *const residual = room.template residual<V>();
    for (int j = 0; j < n_chunks; ++j) {
        set_zero(solution[j]);
        set_zero(residual[j]);
    }
    if (right) {
        std::memcpy(residual, right, length * sizeof(double));
    } else {
        pass<V, J, true>(row, length, solution, residual, room.template vector<V>());
    }
    descend<V, J>(row, length, most_steps, kSmall, room);
    std::memcpy(out, solution, length * sizeof(double));
}

template <int Bytes>
ENGAGELIB_INLINE void solve_any_in(const Entries<double>& row, int length, const double* right, int most_steps,
                            double* out, Room<double>& room) {
    using V = Chunk<double, Bytes>;
    switch (length) {
        case 16: return solve_as<V, 2>(row, length, right, most_steps, out, room);
        case 32: return solve_as<V, 4>(row, length, right, most_steps, out, room);
        case 64: return solve_as<V, 8>(row, length, right, most_steps, out, room);
        case 96: return solve_as<V, 12>(row, length, right, most_steps, out, room);
        case 128: return solve_as<V, 16>(row, length, right, most_steps, out, room);
        default: return solve_as<V, 0>(row, length, right, most_steps, out, room);
    }
}

ENGAGELIB_FOR_PROCESSORS(solve_any,
                         (const Entries<double>& row, int length, const double* right, int most_steps,
                          double* out, Room<double>& room),
                         (row, length, right, most_steps, out, room))

// Sums in the order of the entries, each product rounded, as written.
ENGAGELIB_CLONES void sum(const Entries<double>& row, int length, double* out) {
    for (int f = 0; f < length; ++f) out[f] = 0;
    for (std::size_t e = 0; e < row.size; ++e) {
        fetch(row, e, length);
        const float* vector = row.first[e].vector;
        const double times = row.first[e].extra;
        for (int f = 0; f < length; ++f) out[f] += times * static_cast<double>(vector[f]);
    }
}

}  // namespace

void solve_row(const Entries<double>& row, int length, const double* right, int most_steps, double* out,
               Room<double>& room) {
    solve_any(row, length, right, most_steps, out, room);
}

namespace {

// Call `work(i, entries, scratch)` for each row; return the position of an entry that leads outside, or -1.
template <class Value, class Work>
std::int64_t over_rows(const Indices::Array& indptr, const Indices::Array& indices,
                       const Array1<const Value>& values, double less, const Array2<const float>& vectors,
                       std::size_t n_rows, int n_threads, Work&& work) {
    const Indices columns(indices);
    const RowStarts starts(Indices(indptr), n_rows, columns.size(), values.shape(0));
    const std::size_t n_vectors = vectors.shape(0), length = vectors.shape(1);
    FirstOutside outside;
    over_blocks(n_rows, kRows, n_threads, [&](std::size_t start, std::size_t stop) {
        thread_local Scratch scratch;
        const std::size_t begin = starts[start], end = starts[stop];
        scratch.entries.resize(end - begin);
        for (std::size_t e = begin; e < end; ++e) {
            const std::int64_t column = columns[e];
            if (outside.is(column, n_vectors, e)) return;
            scratch.entries[e - begin] = {vectors.data() + column * length, values.data()[e] - less};
        }
        for (std::size_t i = start; i < stop; ++i) {
            const std::size_t first = starts[i], last = starts[i + 1];
            work(i, Entries<double>{scratch.entries.data() + (first - begin), last - first, end - last},
                 scratch.room);
        }
    });
    return outside.position();
}

int length_of(const Array2<const float>& vectors, const Array2<double>& out) {
    if (vectors.shape(1) != out.shape(1) || out.shape(1) == 0) {
        throw std::invalid_argument("expected as many columns, at least one");
    }
    return static_cast<int>(vectors.shape(1));
}

std::int64_t fold_rows(Indices::Array indptr, Indices::Array indices, Array1<const float> confidence,
                       Array2<const float> vectors, Array2<double> out, int most_steps, int n_threads) {
    const int length = length_of(vectors, out);
    return over_rows(indptr, indices, confidence, 1.0, vectors, out.shape(0), n_threads,
                     [&](std::size_t i, const Entries<double>& row, Room<double>& room) {
                         solve_row(row, length, nullptr, most_steps, out.data() + i * length, room);
                     });
}

std::int64_t solve_rows(Indices::Array indptr, Indices::Array indices, Array1<const double> extra,
                        Array2<const float> vectors, Array2<const double> right, Array2<double> out,
                        int most_steps, int n_threads) {
    const int length = length_of(vectors, out);
    if (right.shape(0) != out.shape(0) || right.shape(1) != out.shape(1)) {
        throw std::invalid_argument("right and out are to have one shape");
    }
    return over_rows(indptr, indices, extra, 0.0, vectors, out.shape(0), n_threads,
                     [&](std::size_t i, const Entries<double>& row, Room<double>& room) {
                         solve_row(row, length, right.data() + i * length, most_steps, out.data() + i * length, room);
                     });
}

std::int64_t sum_rows(Indices::Array indptr, Indices::Array indices, Array1<const double> weights,
                      Array2<const float> vectors, Array2<double> out, int n_threads) {
    const int length = length_of(vectors, out);
    return over_rows(indptr, indices, weights, 0.0, vectors, out.shape(0), n_threads,
                     [&](std::size_t i, const Entries<double>& row, Room<double>&) {
                         sum(row, length, out.data() + i * length);
                     });
}

}  // namespace

void bind_folding(nb::module_& module) {
    const auto unlocked = nb::call_guard<nb::gil_scoped_release>();
    module.def("fold_rows", &fold_rows, unlocked, nb::arg("indptr"), nb::arg("indices"), nb::arg("confidence"),
               nb::arg("vectors"), nb::arg("out").noconvert(), nb::arg("most_steps"), nb::arg("n_threads"));
    module.def("solve_rows", &solve_rows, unlocked, nb::arg("indptr"), nb::arg("indices"), nb::arg("extra"),
               nb::arg("vectors"), nb::arg("right"), nb::arg("out").noconvert(), nb::arg("most_steps"),
               nb::arg("n_threads"));
    module.def("sum_rows", &sum_rows, unlocked, nb::arg("indptr"), nb::arg("indices"), nb::arg("weights"),
               nb::arg("vectors"), nb::arg("out").noconvert(), nb::arg("n_threads"));
}
