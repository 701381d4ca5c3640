// Blending: from the lists of several models to one list a row, as the reference defines it to the last bit.
//
// Cells are found by item in a small open table that stays in cache, model by model, so that the parts of a
// cell are added in the order of the models.
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "arrays.hpp"
#include "best.hpp"

namespace {

struct List {
    const std::int32_t* items;
    const float* scores;
    std::size_t width;
};

struct Cell {
    double total;
    double largest;  // of the parts
    std::int32_t item;
    std::int32_t last;  // the model that named it last
    std::int32_t source;
};

// The cells of one row.
class Cells {
   public:
    // Begin a row that names so many items at most, and so no more than there are.
    void start(std::size_t most) {
        if (cells_.size() < most) cells_.resize(most);
        for (bits_ = 5; (std::size_t{1} << bits_) < 2 * most;) ++bits_;
        slots_.assign(std::size_t{1} << bits_, kFree);
        size_ = 0;
    }

    // Add what a model says of an item; of what it says twice the first counts.
    ENGAGELIB_INLINE void add(std::int32_t item, std::int32_t model, double part) {
        std::int32_t& slot = slot_of(item);
        if (slot == kFree) {
            slot = static_cast<std::int32_t>(size_);
            // Sums begin at 0: a part of -0 becomes 0.
            cells_[size_++] = {0.0 + part, part, item, model, model};
            return;
        }
        Cell& cell = cells_[slot];
        if (cell.last == model) return;
        cell.last = model;
        cell.total += part;
        if (part > cell.largest || (std::isnan(cell.largest) && !std::isnan(part))) {
            cell.largest = part;
            cell.source = model;
        }
    }

    std::size_t size() const { return size_; }
    const Cell& operator[](std::size_t i) const { return cells_[i]; }
    // The cell of an item that has one.
    const Cell& of(std::int32_t item) { return cells_[slot_of(item)]; }

   private:
    static constexpr std::int32_t kFree = -1;

    ENGAGELIB_INLINE std::int32_t& slot_of(std::int32_t item) {
        const std::size_t mask = (std::size_t{1} << bits_) - 1;
        // The high bits of the product spread neighbouring items.
        std::size_t at = static_cast<std::uint32_t>(item) * 2654435769u >> (32 - bits_);
        while (slots_[at] != kFree && cells_[slots_[at]].item != item) at = (at + 1) & mask;
        return slots_[at];
    }

    std::vector<Cell> cells_;
    std::vector<std::int32_t> slots_;  // at least half of them free
    std::size_t size_ = 0;
    int bits_ = 5;
};

struct Scratch {
    Cells cells;
    std::vector<std::uint64_t> keys;
};

struct Rules {
    const float* factor;  // of each item, null where nothing boosts
    Mask among;           // whether each item may be listed, null where all may
};

struct Out {
    std::int32_t* items;
    float* scores;
    std::int8_t* sources;
    std::size_t k;
};

bool holds_only(const List& list, std::size_t row, std::uint32_t n_items) {
    const std::int32_t* items = list.items + row * list.width;
    bool outside = false;
    for (std::size_t i = 0; i < list.width; ++i) outside |= static_cast<std::uint32_t>(items[i]) + 1 > n_items;
    return !outside;
}

// The best score of a row; NaN where one is NaN, as NumPy has it.
float highest_of(const float* scores, std::size_t width) {
    float highest = -std::numeric_limits<float>::infinity();
    for (std::size_t i = 0; i < width; ++i) {
        highest = scores[i] > highest || std::isnan(scores[i]) ? scores[i] : highest;
    }
    return highest;
}

void add_row(const List& list, std::size_t row, std::int32_t model, std::size_t n_models, const double* weights,
             Cells& cells) {
    const std::int32_t* items = list.items + row * list.width;
    const float* scores = list.scores + row * list.width;
    if (n_models == 1) {
        for (std::size_t i = 0; i < list.width; ++i) {
            if (items[i] >= 0) cells.add(items[i], model, static_cast<double>(scores[i]));
        }
        return;
    }
    const double highest = highest_of(scores, list.width), share = static_cast<double>(n_models);
    for (std::size_t i = 0; i < list.width; ++i) {
        if (!(scores[i] > 0.0f) || items[i] < 0) continue;
        cells.add(items[i], model, weights ? scores[i] / highest * weights[model] : scores[i] / highest / share);
    }
}

ENGAGELIB_INLINE float score_of(const Cell& cell, const Rules& rules) {
    const float score = static_cast<float>(cell.total);
    if (!rules.factor) return score;
    const float boost = rules.factor[cell.item];
    // Below 0 more is nearer to 0.
    return score > 0.0f ? score * boost : score / boost;
}

// Zeros of either sign are equal, and NaN stands behind all else.
ENGAGELIB_INLINE std::uint64_t key_of(float score, std::int32_t item) {
    const auto index = static_cast<std::uint32_t>(item);
    return std::isnan(score) ? std::uint64_t{0xFFFFFFFFu - index} : best_key(score + 0.0f, index);
}

void write_row(Scratch& own, const Rules& rules, std::size_t n_models, std::size_t row, const Out& out) {
    const std::size_t depth = std::min(out.k, own.cells.size()), first = row * out.k;
    std::size_t n_listed = 0;
    if (depth > 0) {
        if (own.keys.size() < BestKeys::room(depth)) own.keys.resize(BestKeys::room(depth));
        BestKeys best(own.keys.data(), depth);
        for (std::size_t i = 0; i < own.cells.size(); ++i) {
            const Cell& cell = own.cells[i];
            if (!rules.among || rules.among[cell.item]) best.offer(key_of(score_of(cell, rules), cell.item));
        }
        n_listed = best.finish();
    }
    for (std::size_t i = 0; i < n_listed; ++i) {
        const Cell& cell = own.cells.of(static_cast<std::int32_t>(key_index(own.keys[i])));
        const bool is_boosted = rules.factor && rules.factor[cell.item] != 1.0f;
        out.items[first + i] = cell.item;
        out.scores[first + i] = score_of(cell, rules);
        out.sources[first + i] = static_cast<std::int8_t>(
            cell.source + (is_boosted ? static_cast<std::int32_t>(n_models) + 1 : 0));
    }
    std::fill(out.items + first + n_listed, out.items + first + out.k, -1);
    std::fill(out.scores + first + n_listed, out.scores + first + out.k,
              -std::numeric_limits<float>::infinity());
    std::fill(out.sources + first + n_listed, out.sources + first + out.k, std::int8_t{-1});
}

// Write the lists; false where the arrays do not fit each other or name an item that there is not.
bool blend(const std::vector<Array2<const std::int32_t>>& item_index,
           const std::vector<Array2<const float>>& score, std::uint32_t n_items,
           const std::optional<Array1<const float>>& factor, const std::optional<Array1<const bool>>& among,
           const std::optional<Array1<const double>>& weights, const Array2<std::int32_t>& out_item_index, const Array2<float>& out_score,
           const Array2<std::int8_t>& out_source) {
    const std::size_t n_models = item_index.size(), n_rows = out_item_index.shape(0);
    std::size_t most = 0;
    bool fits = score.size() == n_models;
    std::vector<List> lists;
    for (std::size_t model = 0; fits && model < n_models; ++model) {
        const std::size_t width = item_index[model].shape(1);
        fits = item_index[model].shape(0) == n_rows && score[model].shape(0) == n_rows &&
               score[model].shape(1) == width;
        lists.push_back({item_index[model].data(), score[model].data(), width});
        most += width;
    }
    fits = fits && (!factor || factor->shape(0) == n_items) && (!among || among->shape(0) == n_items);
    const Rules rules{factor ? factor->data() : nullptr, mask_of(among)};
    fits = fits && (!weights || weights->shape(0) == n_models);
    const double* weight = weights ? weights->data() : nullptr;
    const Out out{out_item_index.data(), out_score.data(), out_source.data(), out_item_index.shape(1)};
    if (!fits) return false;

    nb::gil_scoped_release unlocked;
    thread_local Scratch own;
    for (std::size_t row = 0; row < n_rows; ++row) {
        own.cells.start(std::min<std::size_t>(most, n_items));
        for (std::size_t model = 0; model < n_models; ++model) {
            if (!holds_only(lists[model], row, n_items)) return false;
            add_row(lists[model], row, static_cast<std::int32_t>(model), n_models, weight, own.cells);
        }
        write_row(own, rules, n_models, row, out);
    }
    return true;
}

}  // namespace

void bind_blending(nb::module_& module) {
    using namespace nb::literals;
    module.def("blend", &blend, "item_index"_a, "score"_a, "n_items"_a, "factor"_a.none(), "among"_a.none(),
               "weights"_a.none(),
               "out_item_index"_a.noconvert(), "out_score"_a.noconvert(), "out_source"_a.noconvert());
}
