// Sparse scoring: rows of a product, and the best of each row, without the product ever being stored.
#include "arrays.hpp"
#include "topk.hpp"
#include "workers.hpp"

#include <algorithm>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>

#include <cmath>
#include <cstring>
#include <vector>

namespace {

constexpr std::size_t kBlockRows = 16;  // rows that a thread takes at once
constexpr std::size_t kAhead = 4;       // weight rows between the one that is fetched and the one that is added
constexpr std::size_t kGroup = 64;      // sums that are looked at together
constexpr std::size_t kPart = 16;       // and, where one of them may be listed, together at a second look
constexpr std::int64_t kSound = -1;      // no fault was found
constexpr std::int64_t kBadRows = -2;    // the starts of the weights' rows do not rise within the entries

using Floats = Array1<const float>;
using Bools = Array1<const bool>;
using IndexLine = Indices::Array;

struct Fault {
    std::int64_t code;  // the entry of the weights that leads outside the catalogue, or kBadRows
};

struct Rows {
    Indices indptr, indices;
    const float* data = nullptr;
    std::size_t first(std::size_t row) const { return static_cast<std::size_t>(indptr[row]); }
    std::size_t last(std::size_t row) const { return static_cast<std::size_t>(indptr[row + 1]); }
};

template <class Index>
struct Weights {
    Indices indptr;
    const Index* columns;
    const float* values;
    std::int64_t n_entries;
    std::size_t n_rows, n_columns;

    // Find where a row is, or that it is not within the entries, as in a file that was altered meanwhile.
    ENGAGELIB_INLINE bool find(std::int64_t row, std::int64_t& start, std::int64_t& length) const {
        if (static_cast<std::uint64_t>(row) >= n_rows) return false;
        start = indptr[row];
        const std::int64_t end = indptr[row + 1];
        if (start < 0 || end < start || end > n_entries) return false;
        length = end - start;
        return true;
    }
};

// What a thread keeps between calls, so that a row allocates nothing.
struct Scratch {
    std::vector<float> sums;             // one for each item, all 0 between rows
    std::vector<std::uint32_t> touched;  // items whose sums may differ from 0, some more than once
    Best best;

    void fit(std::size_t n_columns) {
        const std::size_t padded = (n_columns + kGroup - 1) / kGroup * kGroup;
        if (sums.size() >= padded && touched.size() > few(n_columns)) return;
        sums.resize(padded);
        touched.resize(few(n_columns) + 1);
    }

    // Up to so many additions to a row, the items that they lead to are noted; beyond, all sums are looked at.
    static std::size_t few(std::size_t n_columns) { return n_columns / 4; }
};

Scratch& scratch_for(std::size_t n_columns) {
    thread_local Scratch scratch;
    scratch.fit(n_columns);
    return scratch;
}

template <class Index>
ENGAGELIB_INLINE bool within(const Index* columns, std::size_t n, std::size_t n_columns) {
    using Unsigned = std::make_unsigned_t<Index>;
    Unsigned highest = 0;  // that of a negative column is beyond any catalogue
    for (std::size_t i = 0; i < n; ++i) highest = std::max(highest, static_cast<Unsigned>(columns[i]));
    return n == 0 || highest < n_columns;
}

// Count the additions that a row takes.
template <class Index>
std::int64_t count_additions(const Rows& history, std::size_t row, const Weights<Index>& weights) {
    std::int64_t n = 0;
    for (std::size_t at = history.first(row); at < history.last(row); ++at) {
        std::int64_t start, length;
        if (!weights.find(history.indices[at], start, length)) return kBadRows;
        n += length;
    }
    return n;
}

// Add the weight rows of one history, in the order stored. Multiply and add round separately, as in SciPy.
// The columns of each weight row are checked right before they are followed, which also brings them near.
//
// Faults are returned: what is compiled for several processors must not throw, as GCC ends the program then.
template <bool noted, class Index>
ENGAGELIB_INLINE std::int64_t add_rows(
    const Rows& history, std::size_t row, const Weights<Index>& weights, Scratch& scratch, std::size_t& n_noted) {
    float* const sums = scratch.sums.data();
    std::uint32_t* const touched = scratch.touched.data();
    std::size_t n = 0;
    const std::size_t stop = history.last(row);
    for (std::size_t at = history.first(row); at < stop; ++at) {
        std::int64_t start, length;
        if (at + kAhead < stop && weights.find(history.indices[at + kAhead], start, length)) {
            for (std::int64_t i = start; i < start + std::min<std::int64_t>(length, 64); i += 16) {
                __builtin_prefetch(weights.columns + i);
                __builtin_prefetch(weights.values + i);
            }
        }
        if (!weights.find(history.indices[at], start, length)) return kBadRows;
        if (noted && n + static_cast<std::size_t>(length) >= scratch.touched.size()) return kBadRows;
        const Index* const columns = weights.columns + start;
        const float* const values = weights.values + start;
        if (!within(columns, length, weights.n_columns)) {
            std::int64_t i = 0;
            while (i + 1 < length && static_cast<std::uint64_t>(columns[i]) < weights.n_columns) ++i;
            return start + i;
        }
        const float x = history.data[at];
        for (std::int64_t i = 0; i < length; ++i) {
            const Index item = columns[i];
            const float sum = sums[item];
            if (noted) {
                touched[n] = static_cast<std::uint32_t>(item);
                n += sum == 0.0f;
            }
            sums[item] = sum + x * values[i];
        }
    }
    n_noted = n;
    return kSound;
}

#define ENGAGELIB_ADD_ROWS(name, noted, Index)                                                               \
    ENGAGELIB_CLONES std::int64_t name(const Rows& history, std::size_t row, const Weights<Index>& weights,  \
                                       Scratch& scratch, std::size_t& n_noted) {                             \
        return add_rows<noted>(history, row, weights, scratch, n_noted);                                     \
    }
ENGAGELIB_ADD_ROWS(add_noted, true, std::int32_t)
ENGAGELIB_ADD_ROWS(add_noted, true, std::int64_t)
ENGAGELIB_ADD_ROWS(add_many, false, std::int32_t)
ENGAGELIB_ADD_ROWS(add_many, false, std::int64_t)
#undef ENGAGELIB_ADD_ROWS

// Offer the noted sums to the list, leaving zeros behind: an item that was noted twice is seen once.
ENGAGELIB_CLONES void pick_noted(Scratch& scratch, std::size_t n_noted, Mask available) {
    float* const sums = scratch.sums.data();
    Best& best = scratch.best;
    for (std::size_t start = 0; start < n_noted; start += Best::kChunk) {
        const std::uint32_t* const items = scratch.touched.data() + start;
        const auto take = [&](std::size_t i) {
            const float sum = sums[items[i]];
            sums[items[i]] = 0.0f;
            return sum;
        };
        best.take(std::min(Best::kChunk, n_noted - start), [&](std::size_t i) { return items[i]; }, take, available);
    }
}

// Tell whether one of `n` sums may be listed. Floats above 0 compare as integers do, those below 0 are less.
template <std::size_t n>
ENGAGELIB_INLINE bool any_above(const float* sums, std::int32_t floor) {
    std::int32_t any = 0;
    for (std::size_t i = 0; i < n; ++i) {
        std::int32_t bits;
        std::memcpy(&bits, &sums[i], sizeof bits);
        any |= bits > floor;
    }
    return any;
}

// Offer all sums to the list, in the order of the items, so that those equal to the floor have lost the tie.
ENGAGELIB_CLONES void pick_many(Scratch& scratch, std::size_t n_columns, Mask available) {
    float* const sums = scratch.sums.data();
    Best& best = scratch.best;
    for (std::size_t start = 0; start < n_columns; start += kGroup) {
        if (!any_above<kGroup>(sums + start, best.floor_bits())) continue;
        for (std::size_t part = start; part < start + kGroup; part += kPart) {
            if (!any_above<kPart>(sums + part, best.floor_bits())) continue;
            best.take(
                kPart, [&](std::size_t i) { return part + i; }, [&](std::size_t i) { return sums[part + i]; },
                available);
        }
    }
    std::memset(sums, 0, n_columns * sizeof(float));
}

// Add up a row, hand it to `use(noted, n_noted)`, which leaves zeros behind.
template <class Index, class Use>
void with_sums(const Rows& history, std::size_t row, const Weights<Index>& weights, Scratch& scratch, Use&& use) {
    const std::int64_t n_additions = count_additions(history, row, weights);
    if (n_additions < 0) throw Fault{n_additions};
    const bool noted = static_cast<std::size_t>(n_additions) <= Scratch::few(weights.n_columns);
    std::size_t n_noted = 0;
    const std::int64_t fault = noted ? add_noted(history, row, weights, scratch, n_noted)
                                     : add_many(history, row, weights, scratch, n_noted);
    if (fault != kSound) throw Fault{fault};
    use(noted, n_noted);
}

void strike(const Rows& excluded, std::size_t row, float* sums, std::size_t n_columns) {
    for (std::size_t at = excluded.first(row); at < excluded.last(row); ++at) {
        const auto item = static_cast<std::size_t>(excluded.indices[at]);
        if (item < n_columns) sums[item] = 0.0f;
    }
}

// Call `work(scratch, row)` for every row; return the first fault.
template <class Work>
std::int64_t over_rows(std::size_t n_rows, std::size_t n_columns, int n_threads, Work&& work) {
    const std::size_t size = n_threads > 1 ? kBlockRows : std::max<std::size_t>(n_rows, 1);
    try {
        over_blocks(n_rows, size, n_threads, [&](std::size_t start, std::size_t stop) {
            Scratch& scratch = scratch_for(n_columns);
            try {
                for (std::size_t row = start; row < stop; ++row) work(scratch, row);
            } catch (...) {
                std::fill(scratch.sums.begin(), scratch.sums.end(), 0.0f);
                throw;
            }
        });
    } catch (const Fault& fault) {
        return fault.code;
    }
    return kSound;
}

template <class Index>
Weights<Index> weights_of(const IndexLine& indptr, const IndexLine& columns, const Floats& values,
                          std::size_t n_columns) {
    const std::size_t n_rows = indptr.shape(0) ? indptr.shape(0) - 1 : 0;
    const auto n_entries = static_cast<std::int64_t>(std::min(columns.shape(0), values.shape(0)));
    return {Indices(indptr), static_cast<const Index*>(columns.data()), values.data(), n_entries, n_rows,
            n_columns};
}

// Call `work(weights)` with weights of the width that their columns have.
template <class Work>
std::int64_t with_weights(const IndexLine& indptr, const IndexLine& columns, const Floats& values,
                          std::size_t n_columns, Work&& work) {
    const bool wide = columns.dtype() == nb::dtype<std::int64_t>();
    if (!wide && columns.dtype() != nb::dtype<std::int32_t>()) throw nb::type_error("indices are int32 or int64");
    if (wide) return work(weights_of<std::int64_t>(indptr, columns, values, n_columns));
    return work(weights_of<std::int32_t>(indptr, columns, values, n_columns));
}

std::int64_t sparse_topk(
    const IndexLine& indptr, const IndexLine& indices, const Floats& data, const IndexLine& weight_indptr,
    const IndexLine& weight_columns, const Floats& weight_values, std::size_t n_columns,
    const std::optional<IndexLine>& exclude_indptr, const std::optional<IndexLine>& exclude_indices,
    const std::optional<Bools>& available, const Array2<std::int32_t>& items, const Array2<float>& scores,
    int n_threads) {
    const Rows history{Indices(indptr), Indices(indices), data.data()};
    Rows excluded;
    const bool excludes = exclude_indptr && exclude_indices;
    if (excludes) excluded = {Indices(*exclude_indptr), Indices(*exclude_indices)};
    const Mask mask = mask_of(available);
    const std::size_t n_rows = items.shape(0), k = items.shape(1);
    std::int32_t* const item_out = items.data();
    float* const score_out = scores.data();
    return with_weights(
        weight_indptr, weight_columns, weight_values, n_columns, [&](const auto& weights) {
            nb::gil_scoped_release unlocked;
            return over_rows(n_rows, n_columns, n_threads, [&](Scratch& scratch, std::size_t row) {
                with_sums(history, row, weights, scratch, [&](bool noted, std::size_t n_noted) {
                    if (excludes) strike(excluded, row, scratch.sums.data(), n_columns);
                    scratch.best.start(k, n_columns);
                    if (noted) {
                        pick_noted(scratch, n_noted, mask);
                    } else {
                        pick_many(scratch, n_columns, mask);
                    }
                    scratch.best.write(item_out + row * k, score_out + row * k, k);
                });
            });
        });
}

std::int64_t sparse_pairs(
    const IndexLine& indptr, const IndexLine& indices, const Floats& data, const IndexLine& weight_indptr,
    const IndexLine& weight_columns, const Floats& weight_values, std::size_t n_columns, const IndexLine& wanted,
    const Array2<float>& scores, int n_threads) {
    const Rows history{Indices(indptr), Indices(indices), data.data()};
    const Indices asked(wanted);
    const std::size_t n_rows = scores.shape(0), width = scores.shape(1);
    float* const score_out = scores.data();
    return with_weights(
        weight_indptr, weight_columns, weight_values, n_columns, [&](const auto& weights) {
            nb::gil_scoped_release unlocked;
            return over_rows(n_rows, n_columns, n_threads, [&](Scratch& scratch, std::size_t row) {
                with_sums(history, row, weights, scratch, [&](bool noted, std::size_t n_noted) {
                    float* const sums = scratch.sums.data();
                    for (std::size_t at = row * width; at < (row + 1) * width; ++at) {
                        const auto item = static_cast<std::size_t>(asked[at]);  // -1 is beyond any catalogue
                        const float sum = item < n_columns ? sums[item] : 0.0f;
                        score_out[at] = std::isnan(sum) ? 0.0f : sum;
                    }
                    for (std::size_t i = 0; i < n_noted; ++i) sums[scratch.touched[i]] = 0.0f;
                    if (!noted) std::memset(sums, 0, n_columns * sizeof(float));
                });
            });
        });
}

// Tell whether rows are safe to follow, and finite where they have values.
bool sound_rows(const IndexLine& indptr, const IndexLine& indices, const std::optional<Floats>& data,
                std::pair<std::size_t, std::size_t> shape) {
    const auto [n_rows, n_columns] = shape;
    const Indices starts(indptr), columns(indices);
    if (starts.size() == 0 || starts.size() - 1 != n_rows || starts[0] != 0) return false;
    for (std::size_t row = 0; row < n_rows; ++row) {
        if (starts[row] > starts[row + 1]) return false;
    }
    const std::size_t n = columns.size();
    if (static_cast<std::size_t>(starts[n_rows]) != n) return false;
    const bool wide = indices.dtype() == nb::dtype<std::int64_t>();
    const bool inside = wide ? within(static_cast<const std::int64_t*>(indices.data()), n, n_columns)
                             : within(static_cast<const std::int32_t*>(indices.data()), n, n_columns);
    if (!inside || !data) return inside;
    if (data->shape(0) != n) return false;
    const float* values = data->data();
    int finite = 1;
    for (std::size_t i = 0; i < n; ++i) {
        finite &= std::fabs(values[i]) <= std::numeric_limits<float>::max();
    }
    return finite;
}

// The items that one row excludes: a hash table that is never more than half full.
class Exclusions {
   public:
    void read(const Rows& excluded, std::size_t row) {
        const std::size_t n = excluded.last(row) - excluded.first(row);
        std::size_t size = 4;
        while (size < 2 * n) size *= 2;
        places_.assign(size, kFree);
        for (std::size_t at = excluded.first(row); at < excluded.last(row); ++at) {
            const std::int64_t item = excluded.indices[at];
            places_[place_of(item)] = item;
        }
    }
    bool have(std::int64_t item) const { return places_[place_of(item)] == item; }

   private:
    static constexpr std::int64_t kFree = -1;

    // Where an item stands, or is to stand.
    std::size_t place_of(std::int64_t item) const {
        const std::size_t mask = places_.size() - 1;
        std::size_t place = (static_cast<std::uint64_t>(item) * 0x9E3779B97F4A7C15u >> 32) & mask;
        while (places_[place] != item && places_[place] != kFree) place = (place + 1) & mask;
        return place;
    }

    std::vector<std::int64_t> places_;
};

// Read a shared ranking no further than the lists need. Returns the first place that is out of range, or kSound.
std::int64_t ranking_topk(
    const IndexLine& ranking, std::size_t n_items, const std::optional<IndexLine>& exclude_indptr,
    const std::optional<IndexLine>& exclude_indices, const std::optional<Bools>& available,
    const Array2<std::int32_t>& items) {
    const Indices order(ranking);
    Rows excluded;
    const bool excludes = exclude_indptr && exclude_indices;
    if (excludes) excluded = {Indices(*exclude_indptr), Indices(*exclude_indices)};
    const Mask mask = mask_of(available);
    const std::size_t n_rows = items.shape(0), k = items.shape(1);
    std::int32_t* out = items.data();
    nb::gil_scoped_release unlocked;
    thread_local std::vector<std::int32_t> head;  // what may be listed of what was read so far
    thread_local Exclusions exclusions;
    head.clear();
    std::size_t n_read = 0;
    for (std::size_t row = 0; row < n_rows; ++row, out += k) {
        if (excludes) exclusions.read(excluded, row);
        std::size_t n = 0;
        for (std::size_t at = 0; n < k; ++at) {
            while (at == head.size() && n_read < order.size()) {
                const std::int64_t item = order[n_read];
                if (static_cast<std::uint64_t>(item) >= n_items) return static_cast<std::int64_t>(n_read);
                if (!mask || mask[item]) head.push_back(static_cast<std::int32_t>(item));
                ++n_read;
            }
            if (at == head.size()) break;
            if (!excludes || !exclusions.have(head[at])) out[n++] = head[at];
        }
        std::fill(out + n, out + k, -1);
    }
    return kSound;
}

}  // namespace

void bind_sparse(nb::module_& module) {
    using nb::arg;
    module.def("sparse_topk", &sparse_topk, arg("indptr"), arg("indices"), arg("data"), arg("weight_indptr"),
               arg("weight_columns"), arg("weight_values"), arg("n_columns"), arg("exclude_indptr").none(),
               arg("exclude_indices").none(), arg("available").none(), arg("items").noconvert(),
               arg("scores").noconvert(), arg("n_threads"));
    module.def("sparse_pairs", &sparse_pairs, arg("indptr"), arg("indices"), arg("data"), arg("weight_indptr"),
               arg("weight_columns"), arg("weight_values"), arg("n_columns"), arg("wanted"),
               arg("scores").noconvert(), arg("n_threads"));
    module.def("ranking_topk", &ranking_topk, arg("ranking"), arg("n_items"), arg("exclude_indptr").none(),
               arg("exclude_indices").none(), arg("available").none(), arg("items").noconvert());
    module.def("sound_rows", &sound_rows, arg("indptr"), arg("indices"), arg("data").none(), arg("shape"));
}
