// Products of many vectors with small matrices, and the coordinates in which vectors' products are the identity.
#pragma once

#include "conjugate.hpp"

#include <algorithm>
#include <type_traits>

constexpr std::size_t kLane = kChunkLength<float>;
constexpr std::size_t kRows = 64;  // rows that a thread takes at once
constexpr std::size_t kTile = 4;   // rows of a product made at once

// Rows of numbers, each beginning where a chunk may, and ending in zeros.
template <class T>
class Padded {
   public:
    void resize(std::size_t n_rows, std::size_t n_factors) {
        width_ = (n_factors + kLane - 1) / kLane * kLane;
        held_.resize(n_rows * width_);
    }
    T* row(std::size_t i) { return held_.data() + i * width_; }
    const T* row(std::size_t i) const { return held_.data() + i * width_; }
    std::size_t width() const { return width_; }

    // Copy rows, and fill the last tile of rows with zeros.
    template <class From>
    void copy(const From* from, std::size_t n_rows, std::size_t n_factors) {
        const std::size_t n_filled = (n_rows + kTile - 1) / kTile * kTile;
        for (std::size_t i = 0; i < n_filled; ++i) {
            const std::size_t n_copied = i < n_rows ? n_factors : 0;
            if constexpr (std::is_same_v<T, From>) {
                if (n_copied) std::memcpy(row(i), from + i * n_factors, n_copied * sizeof(T));
            } else {
                for (std::size_t f = 0; f < n_copied; ++f) row(i)[f] = static_cast<T>(from[i * n_factors + f]);
            }
            for (std::size_t f = n_copied; f < width_; ++f) row(i)[f] = 0;
        }
    }

   private:
    std::vector<T, Aligned<T>> held_;
    std::size_t width_ = 0;
};

// C chunks of kTile rows of a product, over the terms from `low` to `high`. Row r's factor of term k is at
// left[r * by_row + k * by_term], and the other factors at right[k * width].
template <class V, int C>
ENGAGELIB_INLINE void multiply_tile(const typename V::Number* left, std::size_t by_row, std::size_t by_term,
                                    const typename V::Number* right, std::size_t width, std::size_t low,
                                    std::size_t high, V (&sums)[kTile][C]) {
    for (auto& of_row : sums) {
        for (auto& sum : of_row) set_zero(sum);
    }
    for (std::size_t k = low; k < high; ++k) {
        V chunk[C];
        for (int c = 0; c < C; ++c) load(right + k * width + c * V::kLength, chunk[c]);
#pragma GCC unroll 4
        for (std::size_t r = 0; r < kTile; ++r) {
            const auto factor = left[r * by_row + k * by_term];
#pragma GCC unroll 2
            for (int c = 0; c < C; ++c) add_times(sums[r][c], chunk[c], factor);
        }
    }
}

enum class Half { kLower, kUpper };  // which half of a matrix is not zero

template <class V, int C>
ENGAGELIB_INLINE void turn_tile(const float* rows, const Padded<float>& matrix, Half half, std::size_t column,
                                float* out) {
    const std::size_t width = matrix.width(), end = column + C * kLane;
    V sums[kTile][C];
    multiply_tile<V, C>(rows, width, 1, matrix.row(0) + column, width, half == Half::kLower ? column : 0,
                     half == Half::kLower ? width : end, sums);
    for (std::size_t r = 0; r < kTile; ++r) std::memcpy(out + r * width + column, sums[r], sizeof sums[r]);
}

// out = rows @ matrix, for whole tiles of rows, all as wide as the matrix.
template <class V>
ENGAGELIB_INLINE void turn(const float* rows, std::size_t n_rows, const Padded<float>& matrix, Half half, float* out) {
    const std::size_t width = matrix.width();
    for (std::size_t r = 0; r < n_rows; r += kTile) {
        std::size_t column = 0;
        for (; column + 2 * kLane <= width; column += 2 * kLane) {
            turn_tile<V, 2>(rows + r * width, matrix, half, column, out + r * width);
        }
        if (column < width) turn_tile<V, 1>(rows + r * width, matrix, half, column, out + r * width);
    }
}

using Square = Padded<double>;

// The lower half of vectors' @ vectors, the same for any number of threads.
Square gram_of(const float* vectors, std::size_t n_rows, std::size_t n_factors, int n_threads);
Square gram_of(const double* vectors, std::size_t n_rows, std::size_t n_factors, int n_threads);

// L with L L' = gram + regularization I, and its inverse.
struct Root {
    Square lower, inverse;
};

// Throws a domain error where the matrix is not finite, or not positive definite.
Root root_of(Square gram, double regularization, std::size_t n);

// The same in float32: L, L^-1 and the transpose of that.
struct Turns {
    Padded<float> there, back, across;
};

Turns turns_of(const Root& root, std::size_t n);

// The product of two vectors of n numbers.
double product(const double* a, const double* b, std::size_t n);
