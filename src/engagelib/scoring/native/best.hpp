// The best of many as integers: score and item are joined into one that orders as (score, lower item first).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

#include "arrays.hpp"

// The bits of a float32, turned so that they rise with it.
ENGAGELIB_INLINE std::uint32_t rising_bits(float score) {
    std::uint32_t bits;
    std::memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// Of two keys the greater one is of the higher score, or of the same score and the lower index.
ENGAGELIB_INLINE std::uint64_t best_key(float score, std::uint32_t index) {
    return static_cast<std::uint64_t>(rising_bits(score)) << 32 | (0xFFFFFFFFu - index);
}

ENGAGELIB_INLINE float from_rising(std::uint32_t rising) {
    const std::uint32_t bits = rising & 0x80000000u ? rising & 0x7FFFFFFFu : ~rising;
    float score;
    std::memcpy(&score, &bits, sizeof score);
    return score;
}

ENGAGELIB_INLINE float key_score(std::uint64_t key) {
    return from_rising(static_cast<std::uint32_t>(key >> 32));
}

ENGAGELIB_INLINE std::uint32_t key_index(std::uint64_t key) {
    return 0xFFFFFFFFu - static_cast<std::uint32_t>(key);
}

// Bring the `depth` greatest of `n` keys to the front, the least of them last; 1 <= depth <= n.
inline void best_first(std::uint64_t* keys, std::size_t n, std::size_t depth) {
    std::nth_element(keys, keys + depth - 1, keys + n, std::greater<>());
}

// A bounded running top-k over memory of the caller's, which holds `room(depth)` keys.
class BestKeys {
   public:
    static std::size_t room(std::size_t depth) { return 2 * depth + 32; }

    BestKeys(std::uint64_t* keys, std::size_t depth) : keys_(keys), depth_(depth) {}

    void offer(std::uint64_t key) {
        if (key <= floor_) return;
        keys_[n_++] = key;
        if (n_ == room(depth_)) shrink();
    }
    // Order what is left, best first; returns how many there are, at most `depth`.
    std::size_t finish() {
        if (n_ > depth_) shrink();
        std::sort(keys_, keys_ + n_, std::greater<>());
        return n_;
    }

   private:
    void shrink() {
        best_first(keys_, n_, depth_);
        n_ = depth_;
        floor_ = keys_[depth_ - 1];
    }

    std::uint64_t* keys_;
    std::size_t depth_;
    std::size_t n_ = 0;
    std::uint64_t floor_ = 0;  // no key up to this one can be among the best
};
