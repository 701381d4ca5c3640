// Neighbours: which stored histories are like one, and what they hold near to what they have in common with it.
//
// Each row is answered by itself, in float64 and in one order of addition, as the reference defines it to the
// last bit.
#include <algorithm>
#include <vector>

#include "arrays.hpp"

namespace {

constexpr std::int64_t kSound = -1;

template <class T>
struct View {
    const T* data;
    std::int64_t size;
    explicit View(const Array1<const T>& array)
        : data(array.data()), size(static_cast<std::int64_t>(array.shape(0))) {}
    T operator[](std::int64_t i) const { return data[i]; }
};

// Cells of rows: where each begins, then a column, a place and a value for each.
struct Cells {
    View<std::int64_t> indptr;
    View<std::int32_t> column, place;
    View<float> value;
    std::int64_t n_rows() const { return indptr.size - 1; }
    std::int64_t n_cells() const { return std::min({column.size, place.size, value.size}); }
    bool find(std::int64_t row, std::int64_t& start, std::int64_t& end) const {
        if (row < 0 || row >= n_rows()) return false;
        start = indptr[row];
        end = indptr[row + 1];
        return 0 <= start && start <= end && end <= n_cells();
    }
};

struct Near {
    double likeness;
    float strongest;      // confidence of the item that speaks for it most
    std::int32_t anchor;  // and where that item stands in it
    std::int32_t history;
};

struct Scratch {
    std::vector<std::int32_t> slot_of;  // of each stored history, kNone between rows
    std::vector<std::int32_t> cell_of;  // of each item, kNone between rows
    std::vector<Near> near;
    std::vector<std::int32_t> items;
    std::vector<double> sums;
};

constexpr std::int32_t kNone = -1;

struct Out {
    std::int64_t* indptr;
    std::int32_t* items;
    float* scores;
    std::int64_t room;
};

// Sum up the likeness of stored histories; false where a posting leads outside.
bool find_near(const Cells& postings, std::int64_t n_stored, const std::int32_t* items, const float* x,
               std::int64_t n, Scratch& own) {
    for (std::int64_t i = 0; i < n; ++i) {
        std::int64_t start, end;
        if (!postings.find(items[i], start, end)) return false;
        for (std::int64_t at = start; at < end; ++at) {
            const std::int32_t history = postings.column[at];
            if (history < 0 || history >= n_stored) return false;
            const double part = static_cast<double>(x[i]) * static_cast<double>(postings.value[at]);
            std::int32_t& slot = own.slot_of[history];
            if (slot == kNone) {
                slot = static_cast<std::int32_t>(own.near.size());
                own.near.push_back({part, x[i], postings.place[at], history});
                continue;
            }
            Near& one = own.near[slot];
            one.likeness += part;
            if (x[i] > one.strongest) {
                one.strongest = x[i];
                one.anchor = postings.place[at];
            }
        }
    }
    return true;
}

// Keep the m most alike, of equal ones the newer, and put them in the order of their index.
void keep_nearest(std::size_t m, Scratch& own) {
    for (const Near& one : own.near) own.slot_of[one.history] = kNone;
    if (own.near.size() > m) {
        std::nth_element(own.near.begin(), own.near.begin() + static_cast<std::ptrdiff_t>(m), own.near.end(),
                         [](const Near& left, const Near& right) {
                             return left.likeness != right.likeness ? left.likeness > right.likeness
                                                                    : left.history > right.history;
                         });
        own.near.resize(m);
    }
    std::sort(own.near.begin(), own.near.end(),
              [](const Near& left, const Near& right) { return left.history < right.history; });
}

// Sum up what the neighbours hold; false where one leads outside.
bool add_up(const Cells& stored, const View<double>& closeness, std::int64_t n_items, Scratch& own) {
    const std::int64_t middle = closeness.size / 2;
    own.items.clear();
    own.sums.clear();
    for (const Near& one : own.near) {
        std::int64_t start, end;
        if (!stored.find(one.history, start, end)) return false;
        for (std::int64_t at = start; at < end; ++at) {
            const std::int32_t item = stored.column[at];
            const std::int64_t apart =
                static_cast<std::int64_t>(stored.place[at]) - static_cast<std::int64_t>(one.anchor);
            if (item < 0 || item >= n_items || apart < -middle || apart > middle) return false;
            const double part =
                one.likeness * closeness[middle + apart] * static_cast<double>(stored.value[at]);
            if (!(part > 0)) continue;
            std::int32_t& cell = own.cell_of[item];
            if (cell == kNone) {
                cell = static_cast<std::int32_t>(own.items.size());
                own.items.push_back(item);
                own.sums.push_back(part);
            } else {
                own.sums[cell] += part;
            }
        }
    }
    return true;
}

// Write the items that the neighbours of each row hold, in the order in which they are met, and their sums.
// Returns kSound, or the row at which the arrays were found to lead outside themselves.
std::int64_t near_items(const Array1<const std::int64_t>& indptr, const Array1<const std::int32_t>& indices,
                        const Array1<const float>& data, const Array1<const std::int64_t>& posting_indptr,
                        const Array1<const std::int32_t>& posting_history,
                        const Array1<const std::int32_t>& posting_place,
                        const Array1<const float>& posting_value,
                        const Array1<const std::int64_t>& stored_indptr,
                        const Array1<const std::int32_t>& stored_item,
                        const Array1<const std::int32_t>& stored_place, const Array1<const float>& stored_value,
                        const Array1<const double>& closeness, std::size_t n_nearest,
                        const Array1<std::int64_t>& out_indptr, const Array1<std::int32_t>& out_indices,
                        const Array1<float>& out_data) {
    const View<std::int64_t> rows(indptr);
    const View<std::int32_t> items(indices);
    const View<float> x(data);
    const Cells postings{View<std::int64_t>(posting_indptr), View<std::int32_t>(posting_history),
                         View<std::int32_t>(posting_place), View<float>(posting_value)};
    const Cells stored{View<std::int64_t>(stored_indptr), View<std::int32_t>(stored_item),
                       View<std::int32_t>(stored_place), View<float>(stored_value)};
    const View<double> near(closeness);
    const Out out{out_indptr.data(), out_indices.data(), out_data.data(),
                  static_cast<std::int64_t>(std::min(out_indices.shape(0), out_data.shape(0)))};

    nb::gil_scoped_release unlocked;
    thread_local Scratch own;
    const std::int64_t n_stored = stored.n_rows(), n_items = postings.n_rows();
    // One that a fault left behind would be found in the next call.
    const auto wipe = [&] {
        std::fill(own.slot_of.begin(), own.slot_of.end(), kNone);
        std::fill(own.cell_of.begin(), own.cell_of.end(), kNone);
    };
    if (own.slot_of.size() < static_cast<std::size_t>(std::max<std::int64_t>(n_stored, 0))) {
        own.slot_of.resize(static_cast<std::size_t>(n_stored), kNone);
    }
    if (own.cell_of.size() < static_cast<std::size_t>(std::max<std::int64_t>(n_items, 0))) {
        own.cell_of.resize(static_cast<std::size_t>(n_items), kNone);
    }
    std::int64_t n_written = 0;
    out.indptr[0] = 0;
    for (std::int64_t row = 0; row + 1 < rows.size; ++row) {
        own.near.clear();
        const std::int64_t first = rows[row], last = rows[row + 1];
        bool sound = 0 <= first && first <= last && last <= std::min(items.size, x.size);
        sound = sound && find_near(postings, n_stored, items.data + first, x.data + first, last - first, own);
        if (sound) {
            keep_nearest(n_nearest, own);
            sound = add_up(stored, near, n_items, own) &&
                    n_written + static_cast<std::int64_t>(own.items.size()) <= out.room;
        }
        if (!sound) {
            wipe();
            return row;
        }
        for (std::size_t i = 0; i < own.items.size(); ++i) {
            own.cell_of[own.items[i]] = kNone;
            out.items[n_written] = own.items[i];
            out.scores[n_written++] = static_cast<float>(own.sums[i]);
        }
        out.indptr[row + 1] = n_written;
    }
    return kSound;
}

}  // namespace

void bind_neighbours(nb::module_& module) {
    using namespace nb::literals;
    module.def("near_items", &near_items, "indptr"_a, "indices"_a, "data"_a, "posting_indptr"_a,
               "posting_history"_a, "posting_place"_a, "posting_value"_a, "stored_indptr"_a, "stored_item"_a,
               "stored_place"_a, "stored_value"_a, "closeness"_a, "n_nearest"_a, "out_indptr"_a.noconvert(),
               "out_indices"_a.noconvert(), "out_data"_a.noconvert());
}
