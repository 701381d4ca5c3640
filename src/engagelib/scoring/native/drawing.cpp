// Drawing: from the events of each history to its cells, one an item, and to the items that it met.
//
// Each row is drawn by itself, in float64 and in the order of its events, so that a history gives the same
// cells alone as among others.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "events.hpp"

namespace {

constexpr std::int64_t kBroken = -1;  // the arrays lead outside themselves: the caller finds out where

struct Aging {
    std::int64_t until;        // later events are not read
    std::int64_t now;          // ages are counted from here
    double half_life;          // in units of time, 0 for none
    double half_life_in_steps;  // 0 for none
};

struct Kept {
    std::int64_t event;
    double weight;
};

struct Cell {
    std::int32_t item;
    bool in_visit;
    double value;
};

constexpr std::int32_t kNone = -1;

struct Scratch {
    std::vector<Kept> kept;
    std::vector<std::int32_t> cell_of;  // the cell of each item, kNone between rows
    std::vector<std::int32_t> visit;
    std::vector<Cell> cells;
};

Scratch& scratch() {
    thread_local Scratch own;
    return own;
}

// Weigh the events of a row that count; false where an event leads outside the tables.
bool weigh(const Events& events, std::int64_t start, std::int64_t end, const double* per_type,
           const Aging& aging, std::vector<Kept>& kept) {
    kept.resize(static_cast<std::size_t>(end - start));
    std::size_t n_kept = 0;
    for (std::int64_t event = start; event < end; ++event) {
        if (!events.holds_event(event)) return false;
        double weight = per_type[events.event_type[event]];
        if (events.item_index[event] < 0 || !(weight > 0)) continue;
        if (events.time && events.time[event] > aging.until) continue;
        if (events.share) {
            if (!(events.share[event] > 0)) continue;
            weight *= std::min(events.share[event], 1.0f);  // more stands in no file but an altered one
        }
        if (aging.half_life > 0) {
            const std::int64_t time = events.time[event];
            // What is observed while serving may be newer than the moment that ages are counted from.
            const double age =
                time < aging.now ? static_cast<double>(std::max<std::int64_t>(span(time, aging.now), 0)) : 0.0;
            weight *= std::exp2(-age / aging.half_life);
        }
        kept[n_kept++] = {event, weight};
    }
    kept.resize(n_kept);
    if (aging.half_life_in_steps > 0) {
        std::int64_t steps = 0;  // distinct later moments
        for (std::size_t i = kept.size(); i-- > 0;) {
            if (i + 1 < kept.size() && events.time[kept[i].event] != events.time[kept[i + 1].event]) ++steps;
            kept[i].weight *= std::exp2(-static_cast<double>(steps) / aging.half_life_in_steps);
        }
    }
    return true;
}

// What raises the visit to the weight of all else, 1 where it weighs as much already.
double emphasis(double visit, double before) { return visit > 0 && before > visit ? before / visit : 1.0; }

void raise_visit(std::vector<Kept>& kept, std::int64_t first_of_visit) {
    double visit = 0, before = 0;
    for (const Kept& one : kept) (one.event >= first_of_visit ? visit : before) += one.weight;
    const double factor = emphasis(visit, before);
    for (Kept& one : kept) {
        if (one.event >= first_of_visit) one.weight *= factor;
    }
}

// Sum the events of one item, in their order; items rise.
void sum_by_item(const Events& events, Scratch& own) {
    if (own.cell_of.size() < static_cast<std::size_t>(events.n_items)) own.cell_of.resize(events.n_items, kNone);
    own.cells.clear();
    own.cells.reserve(own.kept.size());  // from here on nothing can fail before `cell_of` is as it was
    for (const Kept& one : own.kept) {
        const std::int32_t item = events.item_index[one.event];
        std::int32_t& place = own.cell_of[item];
        if (place == kNone) {
            place = static_cast<std::int32_t>(own.cells.size());
            own.cells.push_back({item, false, 0.0});
        }
        own.cells[place].value += one.weight;
    }
    for (Cell& cell : own.cells) {
        own.cell_of[cell.item] = kNone;
        cell.value = static_cast<float>(cell.value);
    }
    std::sort(own.cells.begin(), own.cells.end(),
              [](const Cell& left, const Cell& right) { return left.item < right.item; });
}

// Turn confidence into interest, `x / (x + heaviest)`, and raise the items of the visit.
void saturate(const Events& events, std::int64_t end, std::int64_t n_visit, double heaviest, Scratch& own) {
    for (Cell& cell : own.cells) cell.value = cell.value / (cell.value + heaviest);
    if (!n_visit) return;
    own.visit.assign(events.item_index + end - n_visit, events.item_index + end);
    std::sort(own.visit.begin(), own.visit.end());
    double visit = 0, others = 0;
    for (Cell& cell : own.cells) {
        cell.in_visit = std::binary_search(own.visit.begin(), own.visit.end(), cell.item);
        (cell.in_visit ? visit : others) += cell.value;
    }
    const double factor = emphasis(visit, others);
    for (Cell& cell : own.cells) {
        if (cell.in_visit) cell.value *= factor;
    }
}

// Write the cells of each row; returns how many there are, or kBroken.
std::int64_t draw_interest(const Indices::Array& indptr, const Array1<const std::int32_t>& item_index,
                           const Array1<const std::int16_t>& event_type,
                           const std::optional<Array1<const std::int64_t>>& time,
                           const std::optional<Array1<const float>>& share,
                           const Array1<const double>& per_type, std::int32_t n_items, std::int64_t until,
                           std::int64_t now, double half_life, double half_life_in_steps,
                           std::int64_t n_visit, double heaviest, const Array1<std::int64_t>& out_indptr,
                           const Array1<std::int32_t>& out_indices, const Array1<float>& out_data) {
    const Events events{Indices(indptr), item_index.data(), event_type.data(), data_of(time), data_of(share),
                        static_cast<std::int64_t>(item_index.shape(0)), n_items,
                        static_cast<std::int64_t>(per_type.shape(0))};
    const Aging aging{until, now, half_life, half_life_in_steps};
    std::int64_t* ends = out_indptr.data();
    std::int32_t* indices = out_indices.data();
    float* data = out_data.data();
    Scratch& own = scratch();
    nb::gil_scoped_release unlocked;
    if (!events.covered()) return kBroken;
    std::int64_t n_cells = 0;
    ends[0] = 0;
    for (std::size_t row = 0; row + 1 < events.indptr.size(); ++row) {
        const std::int64_t start = events.indptr[row], end = events.indptr[row + 1];
        if (!events.holds(start, end) || start < n_cells ||
            !weigh(events, start, end, per_type.data(), aging, own.kept)) {
            return kBroken;
        }
        const bool saturates = heaviest > 0;
        const std::int64_t visit = std::min(n_visit, end - start);
        if (visit && !saturates) raise_visit(own.kept, end - visit);
        sum_by_item(events, own);
        // Decayed below what float32 can tell from 0.
        const auto is_zero = [](const Cell& cell) { return static_cast<float>(cell.value) == 0.0f; };
        own.cells.erase(std::remove_if(own.cells.begin(), own.cells.end(), is_zero), own.cells.end());
        if (saturates) saturate(events, end, visit, heaviest, own);
        for (const Cell& cell : own.cells) {
            if (is_zero(cell)) continue;
            indices[n_cells] = cell.item;
            data[n_cells++] = static_cast<float>(cell.value);
        }
        ends[row + 1] = n_cells;
    }
    return n_cells;
}

// Write the items that each row met, rising; returns how many there are, or kBroken.
std::int64_t draw_met(const Indices::Array& indptr, const Array1<const std::int32_t>& item_index,
                      const Array1<const std::int16_t>& event_type,
                      const std::optional<Array1<const std::int64_t>>& time, const Array1<const bool>& counts,
                      const std::optional<Array1<const bool>>& without, std::int32_t n_items,
                      std::int64_t until, const Array1<std::int64_t>& out_indptr,
                      const Array1<std::int32_t>& out_indices) {
    const Events events{Indices(indptr), item_index.data(), event_type.data(), data_of(time), nullptr,
                        static_cast<std::int64_t>(item_index.shape(0)), n_items,
                        static_cast<std::int64_t>(counts.shape(0))};
    const Mask skip = mask_of(without), counted = mask_of(counts);
    std::int64_t* ends = out_indptr.data();
    std::int32_t* indices = out_indices.data();
    nb::gil_scoped_release unlocked;
    if (!events.covered()) return kBroken;
    std::int64_t n_cells = 0;
    ends[0] = 0;
    for (std::size_t row = 0; row + 1 < events.indptr.size(); ++row) {
        const std::int64_t start = events.indptr[row], end = events.indptr[row + 1];
        if (!events.holds(start, end) || start < n_cells) return kBroken;
        const std::int64_t first = n_cells;
        for (std::int64_t event = start; event < end; ++event) {
            if (!events.holds_event(event)) return kBroken;
            const std::int32_t item = events.item_index[event];
            if (item < 0 || !counted[events.event_type[event]]) continue;
            if (events.time && events.time[event] > until) continue;
            if (skip && skip[item]) continue;
            indices[n_cells++] = item;
        }
        std::sort(indices + first, indices + n_cells);
        n_cells = std::unique(indices + first, indices + n_cells) - indices;
        ends[row + 1] = n_cells;
    }
    return n_cells;
}

}  // namespace

void bind_drawing(nb::module_& module) {
    using namespace nb::literals;
    module.def("draw_interest", &draw_interest, "indptr"_a, "item_index"_a, "event_type"_a, "time"_a.none(),
               "share"_a.none(), "per_type"_a, "n_items"_a, "until"_a, "now"_a, "half_life"_a,
               "half_life_in_steps"_a, "n_visit"_a, "heaviest"_a, "out_indptr"_a.noconvert(),
               "out_indices"_a.noconvert(), "out_data"_a.noconvert());
    module.def("draw_met", &draw_met, "indptr"_a, "item_index"_a, "event_type"_a, "time"_a.none(),
               "counts"_a, "without"_a.none(), "n_items"_a, "until"_a, "out_indptr"_a.noconvert(),
               "out_indices"_a.noconvert());
}
