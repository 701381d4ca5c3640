#include "turning.hpp"

#include "workers.hpp"

#include <cmath>
#include <stdexcept>
#include <utility>

namespace {

constexpr std::size_t kSlices = 32;  // sums of products, added in order: the same for any number of threads

// Add rows' @ rows to `gram`, at least its lower half.
template <int Bytes>
ENGAGELIB_INLINE void add_gram_in(const Padded<double>& rows, std::size_t n_rows, double* gram) {
    using V = Chunk<double, Bytes>;
    constexpr std::size_t kColumns = 2 * V::kLength;
    const std::size_t width = rows.width();
    for (std::size_t r = 0; r < width; r += kTile) {
        for (std::size_t column = 0; column <= r; column += kColumns) {
            V sums[kTile][2];
            multiply_tile<V, 2>(rows.row(0) + r, 1, width, rows.row(0) + column, width, 0, n_rows, sums);
            for (std::size_t i = 0; i < kTile; ++i) {
                for (int c = 0; c < 2; ++c) {
                    double* to = gram + (r + i) * width + column + c * V::kLength;
                    V held;
                    load(to, held);
                    add_times(held, sums[i][c], 1.0);
                    std::memcpy(to, &held, sizeof held);
                }
            }
        }
    }
}

ENGAGELIB_FOR_PROCESSORS(add_gram, (const Padded<double>& rows, std::size_t n_rows, double* gram),
                         (rows, n_rows, gram))

Square zeros(std::size_t n) {
    Square square;
    square.resize((n + kLane - 1) / kLane * kLane, n);
    std::fill(square.row(0), square.row(square.width()), 0.0);
    return square;
}

template <class T>
Square sum_gram(const T* vectors, std::size_t n_rows, std::size_t n_factors, int n_threads) {
    const std::size_t slice = n_rows / kSlices + 1;
    std::vector<Square> sums((n_rows + slice - 1) / slice);
    over_blocks(n_rows, slice, n_threads, [&](std::size_t start, std::size_t stop) {
        Square sum = zeros(n_factors);
        Padded<double> rows;
        rows.resize(kRows, n_factors);
        for (std::size_t at = start; at < stop; at += kRows) {
            const std::size_t n = std::min(kRows, stop - at);
            rows.copy(vectors + at * n_factors, n, n_factors);
            add_gram(rows, n, sum.row(0));
        }
        sums[start / slice] = std::move(sum);
    });
    Square gram = zeros(n_factors);
    for (const Square& sum : sums) {
        for (double *to = gram.row(0), *end = gram.row(gram.width()); to < end; ++to) {
            *to += sum.row(0)[to - gram.row(0)];
        }
    }
    return gram;
}

ENGAGELIB_CLONES double product_of(const double* a, const double* b, std::size_t n) {
    double parts[8] = {}, sum = 0;
    std::size_t k = 0;
    for (; k + 8 <= n; k += 8) {
        for (std::size_t lane = 0; lane < 8; ++lane) parts[lane] += a[k + lane] * b[k + lane];
    }
    for (; k < n; ++k) sum += a[k] * b[k];
    for (double part : parts) sum += part;
    return sum;
}

}  // namespace

Square gram_of(const float* vectors, std::size_t n_rows, std::size_t n_factors, int n_threads) {
    return sum_gram(vectors, n_rows, n_factors, n_threads);
}

Square gram_of(const double* vectors, std::size_t n_rows, std::size_t n_factors, int n_threads) {
    return sum_gram(vectors, n_rows, n_factors, n_threads);
}

double product(const double* a, const double* b, std::size_t n) { return product_of(a, b, n); }

Root root_of(Square matrix, double regularization, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
        matrix.row(i)[i] += regularization;
        for (std::size_t j = 0; j <= i; ++j) {
            const double left = matrix.row(i)[j] - product_of(matrix.row(i), matrix.row(j), j);
            if (i == j && !(left > 0 && std::isfinite(left))) {
                throw std::domain_error("the products of factors are not finite, or not positive definite");
            }
            matrix.row(i)[j] = i == j ? std::sqrt(left) : left / matrix.row(j)[j];
        }
    }
    Square inverse = zeros(n);
    for (std::size_t i = 0; i < n; ++i) {
        double* row = inverse.row(i);
        for (std::size_t k = 0; k < i; ++k) {
            const double factor = matrix.row(i)[k], *above = inverse.row(k);
            for (std::size_t j = 0; j <= k; ++j) row[j] -= factor * above[j];
        }
        for (std::size_t j = 0; j < i; ++j) row[j] /= matrix.row(i)[i];
        row[i] = 1 / matrix.row(i)[i];
    }
    return {std::move(matrix), std::move(inverse)};
}

Turns turns_of(const Root& root, std::size_t n) {
    const std::size_t width = root.lower.width();
    Turns turns;
    for (auto* part : {&turns.there, &turns.back, &turns.across}) {
        part->resize(width, n);
        std::fill(part->row(0), part->row(width), 0.0f);
    }
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            turns.there.row(i)[j] = static_cast<float>(root.lower.row(i)[j]);
            turns.back.row(i)[j] = turns.across.row(j)[i] = static_cast<float>(root.inverse.row(i)[j]);
        }
    }
    return turns;
}
