// Trees: a sum of decision trees over rows of features (Lucchese et al., "QuickScorer", SIGIR 2015).
//
// A node that sends a row right rules out the leaves to its left; of those left over the first is the one that
// a walk would end in. All nodes of a tree are asked of many rows at once, without a branch.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "arrays.hpp"
#include "workers.hpp"

namespace {

constexpr std::size_t kBlock = 128;  // rows whose features stay in cache while tree after tree asks for them

struct Forest {
    const std::int32_t* feature;
    const float* threshold;
    const std::uint32_t* keeps;
    const double* value;
    const std::int32_t* node_starts;
    const std::int32_t* leaf_starts;
    std::size_t n_trees;
};

ENGAGELIB_INLINE int first_of(std::uint32_t bits) { return __builtin_ctz(bits); }

// The leaves that a node leaves possible, row by row. NaN is not at most the threshold, and goes right.
ENGAGELIB_CLONES void rule_out(const float* cells, float threshold, std::uint32_t keeps, std::uint32_t* possible) {
    for (std::size_t row = 0; row < kBlock; ++row) possible[row] &= cells[row] <= threshold ? ~0u : keeps;
}

// Score up to kBlock rows, whose features stand column by column.
void score_block(const Forest& forest, const float* columns, std::size_t n_rows, double* total) {
    std::uint32_t possible[kBlock];
    for (std::size_t tree = 0; tree < forest.n_trees; ++tree) {
        std::fill_n(possible, kBlock, ~0u);
        for (std::int32_t node = forest.node_starts[tree]; node < forest.node_starts[tree + 1]; ++node) {
            rule_out(columns + forest.feature[node] * kBlock, forest.threshold[node], forest.keeps[node], possible);
        }
        const double* value = forest.value + forest.leaf_starts[tree];
        for (std::size_t row = 0; row < n_rows; ++row) total[row] += value[first_of(possible[row])];
    }
}

void score_trees(const Array1<const std::int32_t>& feature, const Array1<const float>& threshold,
                 const Array1<const std::uint32_t>& keeps, const Array1<const double>& value,
                 const Array1<const std::int32_t>& node_starts, const Array1<const std::int32_t>& leaf_starts,
                 const Array2<const float>& features, const Array1<double>& out_total, int n_threads) {
    const Forest forest{feature.data(),     threshold.data(),   keeps.data(),
                        value.data(),       node_starts.data(), leaf_starts.data(),
                        node_starts.shape(0) - 1};
    const std::size_t n_rows = features.shape(0), width = features.shape(1);
    const float* cells = features.data();
    double* total = out_total.data();
    nb::gil_scoped_release unlocked;
    over_blocks(n_rows, kBlock, n_threads, [&](std::size_t start, std::size_t stop) {
        thread_local std::vector<float> columns;
        if (columns.size() < width * kBlock) columns.resize(width * kBlock);
        for (std::size_t row = start; row < stop; ++row) {
            for (std::size_t i = 0; i < width; ++i) columns[i * kBlock + row - start] = cells[row * width + i];
        }
        score_block(forest, columns.data(), stop - start, total + start);
    });
}

}  // namespace

void bind_trees(nb::module_& module) {
    using namespace nb::literals;
    module.def("score_trees", &score_trees, "feature"_a, "threshold"_a, "keeps"_a, "value"_a, "node_starts"_a,
               "leaf_starts"_a, "features"_a, "out_total"_a.noconvert(), "n_threads"_a);
}
