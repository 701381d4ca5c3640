// Describing: the features of each candidate for a history, as the reference defines them to the last bit.
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "arrays.hpp"
#include "events.hpp"
#include "workers.hpp"

namespace {

enum State : int { kFine = 0, kUnlike = 1, kBroken = -1 };

constexpr std::int32_t kNone = -1;
constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr std::size_t kBlock = 16;  // rows that a thread takes at once

struct List {
    const std::int32_t* items;
    const float* scores;
    std::size_t width;
};

struct Facts {
    const float* columns;
    std::size_t n_columns;
    const float* levels;
    std::size_t n_levels;
    const std::int32_t* category;
    std::int32_t n_categories;
};

struct Clock {
    std::int64_t until, now, day;
};

// An event that is read.
struct Read {
    std::int32_t item;
    std::int32_t group;
    std::int64_t steps;
    double days;
};

// What the history did with one candidate.
struct Cell {
    std::int32_t item;
    double occasions, latest_steps, first_steps, latest_days, first_days;
    std::int64_t last_occasion;
};

struct OfGroup {
    double count, steps, days;
};

struct OfList {
    double scaled, score, nearness;
};

struct Scratch {
    std::vector<Read> read;
    std::vector<std::int32_t> cell_of;   // the cell of each item, kNone between rows
    std::vector<std::uint8_t> met;       // bit 0: met at all, bit 1: in group 0; 0 between rows
    std::vector<double> in_category;     // events of each category, 0 between rows
    std::vector<Cell> cells;
    std::vector<OfGroup> of_group;       // n_groups a cell
    std::vector<OfList> of_list;         // n_models a cell
    std::vector<float> falling;
    std::vector<double> mean;            // of each level, NaN where none is known
};

struct Job {
    std::vector<List> lists;
    const std::int32_t* candidates;
    std::size_t n_candidates;
    Events events;
    const std::int8_t* group;
    std::size_t n_groups;
    Clock clock;
    Facts facts;
    float* out;
    std::size_t width;  // features of one candidate
};

bool read_events(const Job& job, std::size_t row, Scratch& own) {
    const Events& events = job.events;
    const std::int64_t start = events.indptr[row], end = events.indptr[row + 1];
    if (!events.holds(start, end)) return false;
    own.read.clear();
    std::int64_t moment = 0, before = 0;
    for (std::int64_t event = start; event < end; ++event) {
        if (!events.holds_event(event)) return false;
        const std::int32_t group = job.group[events.event_type[event]];
        if (events.item_index[event] < 0 || group < 0) continue;
        if (events.time && events.time[event] > job.clock.until) continue;
        if (events.share && !(events.share[event] > 0)) continue;
        double days = 0;
        if (events.time) {
            const std::int64_t time = events.time[event];
            if (!own.read.empty() && time != before) ++moment;
            before = time;
            if (job.clock.day) {
                days = static_cast<double>(std::max<std::int64_t>(span(time, job.clock.now), 0)) /
                       static_cast<double>(job.clock.day);
            }
        }
        own.read.push_back({events.item_index[event], group, moment, days});
    }
    for (Read& one : own.read) one.steps = moment - one.steps;
    return true;
}

// Give each distinct candidate a cell; false where one is no item.
bool open_cells(const Job& job, const std::int32_t* candidates, Scratch& own) {
    own.cells.clear();
    for (std::size_t i = 0; i < job.n_candidates; ++i) {
        const std::int32_t item = candidates[i];
        if (item < -1 || item >= job.events.n_items) return false;
        if (item < 0 || own.cell_of[item] != kNone) continue;
        own.cell_of[item] = static_cast<std::int32_t>(own.cells.size());
        own.cells.push_back({item, 0, kNever, -kNever, kNever, -kNever, -1});
    }
    own.of_group.assign(own.cells.size() * job.n_groups, {0, kNever, kNever});
    own.of_list.assign(own.cells.size() * job.lists.size(), {0, 0, 0});
    return true;
}

void close_cells(Scratch& own) {
    for (const Cell& cell : own.cells) own.cell_of[cell.item] = kNone;
}

// One more than how many scores of the list stand above each; the scores fall, but for a few lists.
bool look_up(const Job& job, std::size_t row, Scratch& own) {
    const std::size_t n_models = job.lists.size();
    for (std::size_t model = 0; model < n_models; ++model) {
        const List& list = job.lists[model];
        const std::int32_t* items = list.items + row * list.width;
        const float* scores = list.scores + row * list.width;
        own.falling.clear();
        for (std::size_t i = 0; i < list.width; ++i) {
            if (items[i] < -1 || items[i] >= job.events.n_items) return false;
            if (items[i] >= 0 && scores[i] > 0) own.falling.push_back(scores[i]);
        }
        if (!std::is_sorted(own.falling.begin(), own.falling.end(), std::greater<float>())) {
            std::sort(own.falling.begin(), own.falling.end(), std::greater<float>());
        }
        for (std::size_t i = 0; i < list.width; ++i) {
            if (items[i] < 0 || !(scores[i] > 0) || own.cell_of[items[i]] == kNone) continue;
            OfList& said = own.of_list[own.cell_of[items[i]] * n_models + model];
            if (said.score > 0) continue;  // of what is said twice the first counts
            const auto above = std::lower_bound(own.falling.begin(), own.falling.end(), scores[i],
                                                std::greater<float>());
            said.score = scores[i];
            said.scaled = said.score / static_cast<double>(own.falling.front());
            said.nearness = 1.0 / static_cast<double>(above - own.falling.begin() + 1);
        }
    }
    return true;
}

struct OfRow {
    double n_items = 0, n_goal = 0, n_goal_items = 0, n_moments = 0, n_goal_moments = 0;
    double since_last = 0, since_first = 0;
};

// Walk over the events, newest first, and say what they say of the candidates and of the history.
OfRow walk(const Job& job, Scratch& own) {
    OfRow found;
    std::int64_t last_moment = -1, last_goal_moment = -1;
    if (!own.read.empty()) found.since_last = kNever;
    for (std::size_t i = own.read.size(); i-- > 0;) {
        const Read& one = own.read[i];
        const bool is_goal = one.group == 0;
        std::uint8_t& met = own.met[one.item];
        found.n_items += !(met & 1);
        if (is_goal) found.n_goal_items += !(met & 2);
        met |= is_goal ? 3 : 1;
        found.n_goal += is_goal;
        if (one.steps != last_moment) ++found.n_moments, last_moment = one.steps;
        if (is_goal && one.steps != last_goal_moment) ++found.n_goal_moments, last_goal_moment = one.steps;
        found.since_last = std::min(found.since_last, one.days);
        found.since_first = std::max(found.since_first, one.days);
        const std::int32_t category = job.facts.category[one.item];
        if (category >= 0) own.in_category[category] += 1;
        const std::int32_t place = own.cell_of[one.item];
        if (place == kNone) continue;
        const double steps = static_cast<double>(one.steps);
        OfGroup& said = own.of_group[place * job.n_groups + one.group];
        said.count += 1;
        said.steps = std::min(said.steps, steps);
        said.days = std::min(said.days, one.days);
        if (!is_goal) continue;
        Cell& cell = own.cells[place];
        if (cell.last_occasion != one.steps) cell.occasions += 1, cell.last_occasion = one.steps;
        cell.latest_steps = std::min(cell.latest_steps, steps);
        cell.first_steps = std::max(cell.first_steps, steps);
        cell.latest_days = std::min(cell.latest_days, one.days);
        cell.first_days = std::max(cell.first_days, one.days);
    }
    // Where nothing has an order all is one moment, and steps are 0.
    own.mean.assign(job.facts.n_levels, 0.0);
    for (std::size_t level = 0; level < job.facts.n_levels; ++level) {
        double sum = 0, count = 0;
        for (const Read& one : own.read) {
            const double value = job.facts.levels[one.item * job.facts.n_levels + level];
            if (std::isnan(value)) continue;
            sum += value;
            count += 1;
        }
        own.mean[level] = count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
    }
    return found;
}

double due(double latest, double first, double occasions) {
    if (!(occasions > 1)) return 0;
    const double usual = (first - latest) / (occasions - 1.0);
    return usual > 0 ? latest / usual : 0;
}

void write(const Job& job, const OfRow& of_row, std::int32_t item, const Scratch& own, float* out) {
    const std::size_t n_models = job.lists.size(), place = own.cell_of[item];
    const Cell& cell = own.cells[place];
    const auto put = [&](double value) { *out++ = static_cast<float>(value); };
    double named = 0, total = 0;
    for (std::size_t model = 0; model < n_models; ++model) {
        const OfList& said = own.of_list[place * n_models + model];
        put(said.scaled), put(said.score), put(said.nearness);
        named += said.score > 0;
        total += said.scaled;
    }
    const double n = static_cast<double>(n_models), n_events = static_cast<double>(own.read.size());
    put(named / n), put(total / n);
    const Facts& facts = job.facts;
    out = std::copy_n(facts.columns + item * facts.n_columns, facts.n_columns, out);
    for (std::size_t group = 0; group < job.n_groups; ++group) {
        const OfGroup& said = own.of_group[place * job.n_groups + group];
        put(said.count), put(said.count > 0 ? 1.0 / (1.0 + said.steps) : 0.0);
        put(said.count > 0 ? 1.0 / (1.0 + said.days) : 0.0);
    }
    put(cell.occasions), put(of_row.n_goal_moments > 0 ? cell.occasions / of_row.n_goal_moments : 0.0);
    put(due(cell.latest_steps, cell.first_steps, cell.occasions));
    put(due(cell.latest_days, cell.first_days, cell.occasions));
    put(n_events), put(of_row.n_items), put(of_row.n_goal), put(of_row.n_goal_items), put(of_row.n_moments);
    put(of_row.since_last), put(of_row.since_first);
    for (std::size_t level = 0; level < facts.n_levels; ++level) {
        const double apart = facts.levels[item * facts.n_levels + level] - own.mean[level];
        put(std::isnan(apart) ? 0.0 : apart);
    }
    const std::int32_t category = facts.category[item];
    const std::int32_t newest = own.read.empty() ? kNone : facts.category[own.read.back().item];
    put(category >= 0 && n_events > 0 ? own.in_category[category] / n_events : 0.0);
    put(category >= 0 && newest == category ? 1.0 : 0.0);
}

State describe_row(const Job& job, std::size_t row, Scratch& own) {
    const std::int32_t* candidates = job.candidates + row * job.n_candidates;
    if (!read_events(job, row, own)) return kBroken;
    if (!open_cells(job, candidates, own) || !look_up(job, row, own)) {
        close_cells(own);
        return kUnlike;
    }
    const OfRow of_row = walk(job, own);
    float* out = job.out + row * job.n_candidates * job.width;
    for (std::size_t i = 0; i < job.n_candidates; ++i, out += job.width) {
        if (candidates[i] < 0) {
            std::fill_n(out, job.width, 0.0f);
        } else {
            write(job, of_row, candidates[i], own, out);
        }
    }
    for (const Read& one : own.read) {
        own.met[one.item] = 0;
        if (const std::int32_t category = job.facts.category[one.item]; category >= 0) own.in_category[category] = 0;
    }
    close_cells(own);
    return kFine;
}

int describe(const std::vector<Array2<const std::int32_t>>& item_index,
             const std::vector<Array2<const float>>& score, const Array2<const std::int32_t>& candidates,
             const Indices::Array& indptr, const Array1<const std::int32_t>& event_item,
             const Array1<const std::int16_t>& event_type, const std::optional<Array1<const std::int64_t>>& time,
             const std::optional<Array1<const float>>& share, std::int32_t n_items,
             const Array1<const std::int8_t>& group, std::size_t n_groups, std::int64_t until, std::int64_t now,
             std::int64_t day, const Array2<const float>& columns, const Array2<const float>& levels,
             const Array1<const std::int32_t>& category, std::int32_t n_categories, const Array2<float>& out,
             int n_threads) {
    const std::size_t n_rows = candidates.shape(0);
    Job job{{},
            candidates.data(),
            candidates.shape(1),
            {Indices(indptr), event_item.data(), event_type.data(), data_of(time), data_of(share),
             static_cast<std::int64_t>(event_item.shape(0)), n_items, static_cast<std::int64_t>(group.shape(0))},
            group.data(),
            n_groups,
            {until, now, day},
            {columns.data(), columns.shape(1), levels.data(), levels.shape(1), category.data(), n_categories},
            out.data(),
            candidates.shape(1) ? out.shape(1) / candidates.shape(1) : 0};
    for (std::size_t model = 0; model < item_index.size(); ++model) {
        const std::size_t width = item_index[model].shape(1);
        if (item_index[model].shape(0) != n_rows || score[model].shape(0) != n_rows ||
            score[model].shape(1) != width) {
            return kUnlike;
        }
        job.lists.push_back({item_index[model].data(), score[model].data(), width});
    }
    nb::gil_scoped_release unlocked;
    if (!job.events.covered() || job.events.indptr.size() != n_rows + 1) return kBroken;
    std::atomic<int> state{kFine};
    over_blocks(n_rows, kBlock, n_threads, [&](std::size_t start, std::size_t stop) {
        thread_local Scratch own;
        if (own.cell_of.size() < static_cast<std::size_t>(n_items)) {
            own.cell_of.resize(n_items, kNone);
            own.met.resize(n_items, 0);
        }
        if (own.in_category.size() < static_cast<std::size_t>(n_categories)) own.in_category.resize(n_categories, 0);
        for (std::size_t row = start; row < stop; ++row) {
            if (const State found = describe_row(job, row, own); found != kFine) state = found;
        }
    });
    return state;
}

}  // namespace

void bind_describing(nb::module_& module) {
    using namespace nb::literals;
    module.def("describe", &describe, "item_index"_a, "score"_a, "candidates"_a, "indptr"_a, "event_item"_a,
               "event_type"_a, "time"_a.none(), "share"_a.none(), "n_items"_a, "group"_a, "n_groups"_a, "until"_a,
               "now"_a, "day"_a, "columns"_a, "levels"_a, "category"_a, "n_categories"_a, "out"_a.noconvert(),
               "n_threads"_a);
}
