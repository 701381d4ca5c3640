// The k best of a stream of scored items, in any order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "arrays.hpp"

// Candidates are kept as integers that order as (score, lower item first) does: the bits of a positive float
// rise with it. A few times k of them are gathered before the best k are told apart, and the k-th best so far
// is the floor that the next ones must exceed.
class Best {
   public:
    static constexpr std::size_t kChunk = 64;

    // No list is longer than the `n_items` there are, whatever `k` is.
    void start(std::size_t k, std::size_t n_items) {
        k_ = std::min(k, n_items);
        room_ = 2 * k_ + 2 * kChunk;
        if (keys_.size() < room_) keys_.resize(room_);
        size_ = 0;
        floor_ = kNothing;
    }

    // Take up to a chunk of candidates: those above 0, and so not NaN, that are above the floor, and available
    // where there is a mask. There is no branch to mispredict.
    template <class Item, class Score>
    ENGAGELIB_INLINE void take(std::size_t n, Item&& item_at, Score&& score_at, Mask available) {
        if (size_ + kChunk > room_) drop();
        // In locals, as the compiler can't know that the keys do not overlap them.
        std::int64_t* const keys = keys_.data();
        const std::int64_t floor = floor_;
        std::size_t size = size_;
        for (std::size_t i = 0; i < n; ++i) {
            const float score = score_at(i);
            const std::int64_t key = key_of(score, item_at(i));
            keys[size] = key;
            size += static_cast<std::size_t>((key > floor) & (score > 0.0f));
        }
        if (available) size = available_of(size_, size, available);
        size_ = size;
    }

    // The bits of the highest score that can't be listed any more if its item is higher than all before.
    ENGAGELIB_INLINE std::int32_t floor_bits() const { return static_cast<std::int32_t>(floor_ >> 32); }

    // Write the list, best first, and pad it.
    void write(std::int32_t* items, float* scores, std::size_t width) {
        if (size_ > k_) drop();
        std::sort(keys_.begin(), keys_.begin() + size_, std::greater<>());
        for (std::size_t i = 0; i < size_; ++i) {
            const auto bits = static_cast<std::int32_t>(keys_[i] >> 32);
            std::memcpy(&scores[i], &bits, sizeof bits);
            items[i] = static_cast<std::int32_t>(item_of(keys_[i]));
        }
        std::fill(items + size_, items + width, -1);
        std::fill(scores + size_, scores + width, -std::numeric_limits<float>::infinity());
    }

   private:
    static constexpr std::int64_t kNothing = 0xffffffff;  // above any score of 0

    static ENGAGELIB_INLINE std::int64_t key_of(float score, std::size_t item) {
        std::int32_t bits;
        std::memcpy(&bits, &score, sizeof bits);
        return static_cast<std::int64_t>(bits) * (std::int64_t{1} << 32) + ~static_cast<std::uint32_t>(item);
    }
    static ENGAGELIB_INLINE std::uint32_t item_of(std::int64_t key) { return ~static_cast<std::uint32_t>(key); }

    std::size_t available_of(std::size_t start, std::size_t stop, Mask available) {
        std::size_t kept = start;
        for (std::size_t i = start; i < stop; ++i) {
            keys_[kept] = keys_[i];
            kept += available[item_of(keys_[i])] != 0;
        }
        return kept;
    }

    // Keep the best k and raise the floor to the last of them.
    void drop() {
        if (size_ <= k_ || k_ == 0) return;
        std::nth_element(keys_.begin(), keys_.begin() + (k_ - 1), keys_.begin() + size_, std::greater<>());
        floor_ = keys_[k_ - 1];
        size_ = k_;
    }

    std::vector<std::int64_t> keys_;
    std::size_t k_ = 0, room_ = 0, size_ = 0;
    std::int64_t floor_ = kNothing;
};
