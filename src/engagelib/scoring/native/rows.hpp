// Where the rows of a sparse matrix begin, and entries that lead outside, found before anything follows them.
#pragma once

#include "arrays.hpp"

#include <atomic>
#include <limits>
#include <stdexcept>

class RowStarts {
   public:
    RowStarts(const Indices& indptr, std::size_t n_rows, std::size_t n_indices, std::size_t n_values)
        : indptr_(indptr) {
        if (indptr.size() != n_rows + 1) throw std::invalid_argument("indptr has not one place more than rows");
        if (indptr[0] < 0) throw std::invalid_argument("indptr begins below 0");
        for (std::size_t i = 0; i < n_rows; ++i) {
            if (indptr[i + 1] < indptr[i]) throw std::invalid_argument("indptr falls");
        }
        const auto end = static_cast<std::size_t>(indptr[n_rows]);
        if (end > n_indices || end > n_values) throw std::invalid_argument("indptr leads beyond the entries");
    }
    std::size_t operator[](std::size_t i) const { return static_cast<std::size_t>(indptr_[i]); }

   private:
    Indices indptr_;
};

// The first entry found to lead outside, by its position; of several threads the lowest of theirs.
class FirstOutside {
   public:
    bool is(std::int64_t index, std::size_t n, std::size_t position) {
        if (static_cast<std::uint64_t>(index) < n) return false;
        auto here = static_cast<std::int64_t>(position), lowest = lowest_.load();
        while (here < lowest && !lowest_.compare_exchange_weak(lowest, here)) {
        }
        return true;
    }
    // -1 where there is none.
    std::int64_t position() const {
        const std::int64_t lowest = lowest_.load();
        return lowest == kNone ? -1 : lowest;
    }

   private:
    static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
    std::atomic<std::int64_t> lowest_{kNone};
};
