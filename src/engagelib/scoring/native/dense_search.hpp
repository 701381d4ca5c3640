// The search of a block of queries: tile by tile, until no further item can be listed; for dense.cpp alone.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "best.hpp"
#include "dense_loops.hpp"

namespace dense {

constexpr std::size_t TILE = 1024;      // items multiplied at once
constexpr std::size_t BLOCK = 256;      // queries multiplied at once: their products stay in cache
constexpr std::size_t FEW = 4;          // up to here a product of matrices costs more than its arithmetic
constexpr std::size_t KEYS = 1u << 21;  // candidates held at once: long lists get fewer rows to a block
constexpr std::size_t SHARE = 8;        // queries that a thread is worth
constexpr double SAFE_NORM = 1e37;      // a product of norms up to here can't overflow float32
constexpr double EPS = FLT_EPSILON;
constexpr double TINY = FLT_MIN;
constexpr float NEVER = -std::numeric_limits<float>::infinity();

// What BLAS calls sgemm: column by column, every argument by address.
using Product = void (*)(char*, char*, int*, int*, int*, float*, float*, int*, float*, int*, float*, float*,
                         int*);

// An item of the permutation is outside the catalogue.
struct Altered {
    std::size_t position;
};

// The items that a search goes through, by falling norm: all of them, or those that are available.
struct Shelf {
    Rows rows;
    const double* norms;
    const std::int32_t* items;
    std::size_t size;
    const std::int32_t* positions;  // where they stand among all items, rising; null where all are here
};

struct Call {
    const float* queries;
    std::size_t n_rows, n_items, n_factors, k;
    std::size_t depth;  // how many items a list can have
    Shelf shelf;
    const std::int32_t* place;
    const std::uint8_t* available;  // null where all items are
    bool masked;                    // whether the shelf holds some that are not
    const Indices* indptr;          // null where nothing is excluded
    const Indices* excluded;
    Product multiply;  // null where there is none to be had
    std::int32_t* item_index;
    float* score;

    std::uint32_t item(std::size_t at) const {
        const auto item = static_cast<std::uint32_t>(shelf.items[at]);
        if (item >= n_items) {
            throw Altered{shelf.positions ? static_cast<std::size_t>(shelf.positions[at]) : at};
        }
        return item;
    }
};

// The state of one query. `floor` is a score that `depth` of its eligible items are known to reach, whatever
// the rounding of the products; -inf until so many were seen. A candidate's key holds the lowest score that
// its item can have, and where that stands.
struct Row {
    std::size_t index;
    double norm;
    double slack_of_norm, slack;  // how far a product may be from the score
    float floor;
    std::uint64_t* keys;
    std::size_t n;
    std::size_t barred, n_barred;  // its part of Scratch::barred
};

struct Scratch {
    std::vector<Row> rows;
    std::vector<float> packed, products, penalty, scores, largest;
    std::vector<std::uint64_t> keys;
    std::vector<std::uint32_t> columns, which, barred, struck, bits;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> ranked;
    std::vector<double> query, terms;
};

template <class T>
T* room(std::vector<T>& memory, std::size_t n) {
    if (memory.size() < n) memory.resize(n);
    return memory.data();
}

inline std::size_t padded_width(std::size_t n_factors) {
    std::size_t width = 1;
    while (width < n_factors) width *= 2;
    return width;
}

class Search {
   public:
    Search(const Call& call, Scratch& scratch)
        : call_(call), shelf_(call.shelf), scratch_(scratch), n_keys_(keys_of(call)),
          padded_width_(padded_width(call.n_factors)) {
        room(scratch_.query, padded_width_);
        room(scratch_.terms, padded_width_ / 2 + 1);
        room(scratch_.columns, TILE);
        room(scratch_.products, TILE);
    }

    // Candidates that a row holds before they are thinned out.
    static std::size_t keys_of(const Call& call) { return BestKeys::room(call.depth); }

    void block(std::size_t start, std::size_t stop) {
        scratch_.rows.clear();
        scratch_.barred.clear();
        room(scratch_.keys, (stop - start) * n_keys_);
        for (std::size_t index = start; index < stop; ++index) {
            Row row = begin(index);
            row.keys = scratch_.keys.data() + (index - start) * n_keys_;
            if (row.norm == 0) {
                list_by_index(index);
            } else if (row.norm * shelf_.norms[0] > SAFE_NORM) {
                // Its products may overflow float32, so it goes by itself, over exact scores.
                row.slack_of_norm = row.slack = 0;
                run(&row, 1, true);
            } else {
                scratch_.rows.push_back(row);
            }
        }
        run(scratch_.rows.data(), scratch_.rows.size(), false);
    }

    std::int64_t n_products() const { return n_products_; }

   private:
    Row begin(std::size_t index) {
        const float* query = call_.queries + index * call_.n_factors;
        double square = 0;
        for (std::size_t i = 0; i < call_.n_factors; ++i) square += static_cast<double>(query[i]) * query[i];
        const double norm = std::sqrt(square), n = static_cast<double>(call_.n_factors);
        const std::size_t barred = scratch_.barred.size();
        if (norm > 0) bar(index);
        return {index,   norm, norm * (n + 4) * EPS, (n + 2) * TINY, NEVER,
                nullptr, 0,    barred,               scratch_.barred.size() - barred};
    }

    template <class Visit>
    void each_excluded(std::size_t index, Visit&& visit) const {
        if (call_.indptr == nullptr) return;
        const auto first = static_cast<std::size_t>((*call_.indptr)[index]);
        const auto end = static_cast<std::size_t>((*call_.indptr)[index + 1]);
        const std::size_t last = std::min(end, call_.excluded->size());
        for (std::size_t entry = first; entry < last; ++entry) {
            const auto item = static_cast<std::size_t>((*call_.excluded)[entry]);
            if (item < call_.n_items) visit(item);
        }
    }

    // Note where the items stand that a row excludes.
    void bar(std::size_t index) {
        const std::int32_t* positions = shelf_.positions;
        each_excluded(index, [&](std::size_t item) {
            std::int64_t place = call_.place[item];
            if (positions != nullptr) {
                const auto at = std::lower_bound(positions, positions + shelf_.size, place);
                if (at == positions + shelf_.size || *at != place) return;
                place = at - positions;
            }
            // Where the place of a damaged file leads outside, it is in no tile.
            scratch_.barred.push_back(static_cast<std::uint32_t>(place));
        });
    }

    // Search for rows that begin together; they are in any order afterwards.
    void run(Row* rows, std::size_t n_rows, bool exact) {
        const double n = static_cast<double>(call_.n_factors), rounding = 1 + 4 * n * EPS;
        std::size_t n_packed = 0;
        std::size_t step = std::max<std::size_t>(SCANNED, 2 * call_.depth);
        for (std::size_t start = 0; start < shelf_.size;) {
            // No item from here on has a longer row than the first.
            double shortest = std::numeric_limits<double>::infinity();
            for (std::size_t i = 0; i < n_rows;) {
                const double reach = rows[i].norm * shelf_.norms[start];
                if (reach * rounding + n * TINY >= rows[i].floor) {
                    shortest = std::min(shortest, (rows[i].floor - n * TINY) / (rows[i].norm * rounding));
                    ++i;
                } else {
                    finish(rows[i]);
                    rows[i] = rows[--n_rows];
                }
            }
            if (n_rows == 0) return;
            const bool few = exact || n_rows <= FEW || call_.multiply == nullptr;
            const std::size_t width = tile_width(start, few ? step : TILE, shortest);
            look(rows, n_rows, start, width, few, exact, n_packed);
            start += width;
            step *= 2;
        }
        for (std::size_t i = 0; i < n_rows; ++i) finish(rows[i]);
    }

    // How many items to look at next: none that is shorter than the shortest that any row can list.
    std::size_t tile_width(std::size_t start, std::size_t step, double shortest) const {
        const std::size_t most = std::min(std::min(step, TILE), shelf_.size - start);
        const double* first = shelf_.norms + start;
        const auto is_long = [=](double norm) { return norm >= shortest; };
        const auto stop = std::partition_point(first, first + most, is_long);
        return std::min(most, std::max<std::size_t>(stop - first, 16));
    }

    void look(Row* rows, std::size_t n_rows, std::size_t start, std::size_t width, bool few, bool exact,
              std::size_t& n_packed) {
        const std::size_t scanned = (width + SCANNED - 1) / SCANNED * SCANNED;
        // Rows of products don't begin at the same place of a page, which processors are slow to tell apart.
        const std::size_t stride = few ? 0 : scanned + 16;
        const float* penalty = call_.masked ? penalties(start, width) : nullptr;
        float* products = few ? scratch_.products.data() : room(scratch_.products, n_rows * stride);
        if (!few) {
            // Which rows there are changes only as their number does.
            if (n_packed != n_rows) pack(rows, n_rows);
            n_packed = n_rows;
            multiply(n_rows, start, width, products, stride);
        }
        n_products_ += static_cast<std::int64_t>(n_rows * width);
        for (std::size_t i = 0; i < n_rows; ++i, products += stride) {
            if (exact) {
                score_all(rows[i], start, width, products);
            } else if (few) {
                const float* query = call_.queries + rows[i].index * call_.n_factors;
                approximate(query, shelf_.rows, start, width, products);
            }
            std::fill(products + width, products + scanned, NEVER);
            if (penalty != nullptr) add(penalty, width, products);
            if (rows[i].n_barred) {
                strike(scratch_.barred.data() + rows[i].barred, rows[i].n_barred,
                       static_cast<std::uint32_t>(start), static_cast<std::uint32_t>(width), products);
            }
            select(rows[i], products, start, scanned);
        }
    }

    const float* penalties(std::size_t start, std::size_t width) {
        float* penalty = room(scratch_.penalty, TILE);
        for (std::size_t i = 0; i < width; ++i) {
            penalty[i] = call_.available[call_.item(start + i)] ? 0 : NEVER;
        }
        return penalty;
    }

    void pack(const Row* rows, std::size_t n_rows) {
        const std::size_t n = call_.n_factors;
        float* packed = room(scratch_.packed, n_rows * n);
        for (std::size_t i = 0; i < n_rows; ++i) {
            std::memcpy(packed + i * n, call_.queries + rows[i].index * n, n * sizeof *packed);
        }
    }

    void multiply(std::size_t n_rows, std::size_t start, std::size_t width, float* products,
                  std::size_t stride) {
        char transposed = 'T', as_is = 'N';
        int m = static_cast<int>(width), n = static_cast<int>(n_rows), k = static_cast<int>(call_.n_factors);
        int between = static_cast<int>(stride);
        float one = 1, zero = 0;
        // BLAS writes to neither, though it doesn't say so.
        auto* vectors = const_cast<float*>(shelf_.rows[start]);
        call_.multiply(&transposed, &as_is, &m, &n, &k, &one, vectors, &k, scratch_.packed.data(), &k, &zero,
                       products, &between);
    }

    // Scores that overflow float32 can't be listed.
    void score_all(const Row& row, std::size_t start, std::size_t width, float* products) {
        dense::exact(widened(row.index), shelf_.rows, padded_width_, start, nullptr, width,
                     scratch_.terms.data(), products);
        for (std::size_t i = 0; i < width; ++i) {
            if (!std::isfinite(products[i])) products[i] = NEVER;
        }
    }

    const double* widened(std::size_t index) {
        const float* query = call_.queries + index * call_.n_factors;
        std::copy(query, query + call_.n_factors, scratch_.query.begin());
        return scratch_.query.data();
    }

    float slack_at(const Row& row, std::size_t at) const {
        return static_cast<float>(shelf_.norms[at] * row.slack_of_norm + row.slack);
    }

    static float cut_of(const Row& row, float slack) { return std::max(-FLT_MAX, row.floor - slack); }

    // Take up the products of a tile that may be among the best, and raise the floor.
    void select(Row& row, const float* products, std::size_t start, std::size_t width) {
        const float slack = slack_at(row, start);
        if (row.n == 0 && row.floor == NEVER) estimate(row, products, width, slack);
        float cut = cut_of(row, slack);
        std::uint32_t* columns = scratch_.columns.data();
        const std::size_t n = columns_from(products, width, cut, columns);
        for (std::size_t i = 0; i < n; ++i) {
            const float product = products[columns[i]];
            if (product < cut) continue;
            const std::size_t at = start + columns[i];
            row.keys[row.n++] = best_key(product - slack_at(row, at), static_cast<std::uint32_t>(at));
            if (row.n == n_keys_) {
                thin(row);
                cut = cut_of(row, slack);
            }
        }
        if (row.n >= call_.depth + call_.depth / 2 + 16) thin(row);
    }

    // A first floor. Of the largest products of disjoint sets of columns, `depth` reach the depth-th.
    void estimate(Row& row, const float* products, std::size_t width, float slack) {
        std::size_t n = width;
        while (n % 32 == 0 && n / 2 >= 2 * call_.depth) n /= 2;
        if (n < call_.depth) return;
        float* largest = room(scratch_.largest, TILE);
        fold(products, width, n, largest);
        std::uint32_t* bits = room(scratch_.bits, n);
        for (std::size_t i = 0; i < n; ++i) bits[i] = rising_bits(largest[i]);
        row.floor = from_rising(reached_by(bits, n, call_.depth)) - slack;
    }

    // Raise the floor to what the candidates allow, and drop those that it overtakes.
    void thin(Row& row) {
        if (row.n < call_.depth) return;
        std::uint32_t* bits = room(scratch_.bits, row.n);
        for (std::size_t i = 0; i < row.n; ++i) bits[i] = static_cast<std::uint32_t>(row.keys[i] >> 32);
        row.floor = std::max(row.floor, from_rising(reached_by(bits, row.n, call_.depth)));
        std::size_t kept = 0;
        for (std::size_t i = 0; i < row.n; ++i) {
            const std::uint64_t key = row.keys[i];
            row.keys[kept] = key;
            kept += key_score(key) + 2 * slack_at(row, key_index(key)) >= row.floor;
        }
        row.n = kept;
        if (row.n > call_.depth + call_.depth / 4 + 8) settle(row);
    }

    // Where ties fill the memory, decide between the candidates so far by their exact scores.
    void settle(Row& row) {
        const float* scores = rescored(row);
        scratch_.ranked.clear();
        for (std::size_t i = 0; i < row.n; ++i) {
            const std::uint32_t at = key_index(row.keys[i]);
            scratch_.ranked.emplace_back(best_key(scores[i], call_.item(at)), at);
        }
        auto& ranked = scratch_.ranked;
        const auto last = ranked.begin() + static_cast<std::ptrdiff_t>(call_.depth - 1);
        std::nth_element(ranked.begin(), last, ranked.end(), std::greater<>());
        row.n = call_.depth;
        for (std::size_t i = 0; i < row.n; ++i) {
            row.keys[i] = best_key(key_score(ranked[i].first), ranked[i].second);
        }
        row.floor = std::max(row.floor, key_score(last->first));
    }

    const float* rescored(const Row& row) {
        std::uint32_t* which = room(scratch_.which, row.n);
        for (std::size_t i = 0; i < row.n; ++i) which[i] = key_index(row.keys[i]);
        float* scores = room(scratch_.scores, row.n);
        dense::exact(widened(row.index), shelf_.rows, padded_width_, 0, which, row.n, scratch_.terms.data(),
                     scores);
        return scores;
    }

    // Rank the finalists by their exact scores.
    void finish(Row& row) {
        if (row.n > call_.depth) thin(row);
        const float* scores = rescored(row);
        for (std::size_t i = 0; i < row.n; ++i) {
            row.keys[i] = best_key(scores[i], call_.item(key_index(row.keys[i])));
        }
        if (row.n > call_.depth) best_first(row.keys, row.n, call_.depth);
        row.n = std::min(row.n, call_.depth);
        std::sort(row.keys, row.keys + row.n, std::greater<>());
        std::int32_t* items = call_.item_index + row.index * call_.k;
        float* listed = call_.score + row.index * call_.k;
        for (std::size_t i = 0; i < row.n; ++i) {
            items[i] = static_cast<std::int32_t>(key_index(row.keys[i]));
            listed[i] = key_score(row.keys[i]);
        }
        std::fill(items + row.n, items + call_.k, -1);
        std::fill(listed + row.n, listed + call_.k, NEVER);
    }

    // To a query of zeros all items are the same, and a search would have to settle the tie of all of them.
    void list_by_index(std::size_t index) {
        auto& barred = scratch_.struck;
        barred.clear();
        each_excluded(index, [&](std::size_t item) { barred.push_back(static_cast<std::uint32_t>(item)); });
        std::sort(barred.begin(), barred.end());
        std::int32_t* items = call_.item_index + index * call_.k;
        float* listed = call_.score + index * call_.k;
        std::size_t n = 0;
        auto next = barred.begin();
        for (std::uint32_t item = 0; item < call_.n_items && n < call_.k; ++item) {
            while (next != barred.end() && *next < item) ++next;
            if (next != barred.end() && *next == item) continue;
            if (call_.available != nullptr && !call_.available[item]) continue;
            items[n] = static_cast<std::int32_t>(item);
            listed[n++] = 0;
        }
        std::fill(items + n, items + call_.k, -1);
        std::fill(listed + n, listed + call_.k, NEVER);
    }

    const Call& call_;
    const Shelf& shelf_;
    Scratch& scratch_;
    const std::size_t n_keys_, padded_width_;
    std::int64_t n_products_ = 0;
};

}  // namespace dense
