// Rows whose dot products are the similarities of others: every loss on dot products is then one on cosines or
// distances.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon::detail {

// Sum of a_k b_k in double.
template <class T>
double dot(const T* a, const T* b, std::size_t n) noexcept {
    double sum[4] = {};
    std::size_t k = 0;
    for (; k + 4 <= n; k += 4) {
        for (std::size_t l = 0; l < 4; ++l) sum[l] += static_cast<double>(a[k + l]) * static_cast<double>(b[k + l]);
    }
    for (; k < n; ++k) sum[0] += static_cast<double>(a[k]) * static_cast<double>(b[k]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// One side of a product. The cosine has unit rows; the squared distance has two more columns,
//   (2 q, |q|^2, 1) . (k, -1, -|k|^2) = -|q - k|^2,
// and the dot product takes the rows as they are, without a copy. Rows that are both sides at once, of a Gram matrix,
// have a column of ones for the distance: with W the sum of the weights w_j of -|x - x_j|^2, a row gets sum_j 2 w_j x_j
// and 2 W as the gradient of (x, 1), of which the one of x is the first less 2 W x.
template <class T>
class similarity_rows {
  public:
    enum class side { query, key, gram };

    similarity_rows(similarity how, side which, matrix_view<const T> rows) : how_(how), which_(which), rows_(rows) {
        if (how == similarity::dot) return;
        const std::size_t depth = rows.cols(), width = columns();
        made_ = scratch_array<T>(rows.rows() * width);
        if (how == similarity::cosine) norms_.resize(rows.rows());
        for (std::size_t i = 0; i < rows.rows(); ++i) {
            const T* const x = rows.data() + i * rows.stride();
            T* const to = made_.data() + i * width;
            const double square = dot(x, x, depth);
            if (how == similarity::cosine) {
                // Squares of huge and of tiny doubles leave their range: relative to the largest they do not.
                double unit = 1.0, sum = square;
                if (!(square > 1e-280 && square < 1e280)) {
                    unit = 0.0;
                    for (std::size_t d = 0; d < depth; ++d) {
                        unit = (std::max)(unit, std::fabs(static_cast<double>(x[d])));
                    }
                    sum = 0.0;
                    for (std::size_t d = 0; d < depth; ++d) {
                        const double part = unit == 0.0 ? static_cast<double>(x[d]) : static_cast<double>(x[d]) / unit;
                        sum += part * part;
                    }
                }
                const double length = std::sqrt(sum);
                norms_[i] = unit * length;
                // A row of zeros stays one, and NaN stays NaN.
                for (std::size_t d = 0; d < depth; ++d) {
                    const double part = static_cast<double>(x[d]);
                    to[d] = static_cast<T>(norms_[i] == 0.0 ? 0.0 : part / unit / length);
                }
            } else if (which == side::gram) {
                std::copy(x, x + depth, to);
                to[depth] = T(1);
            } else {
                const T factor = which == side::query ? T(2) : T(1);
                for (std::size_t d = 0; d < depth; ++d) to[d] = factor * x[d];
                to[depth] = which == side::query ? static_cast<T>(square) : T(-1);
                to[depth + 1] = which == side::query ? T(1) : static_cast<T>(-square);
            }
        }
    }

    matrix_view<const T> rows() const noexcept {
        return how_ == similarity::dot ? rows_ : matrix_view<const T>(made_.data(), rows_.rows(), columns());
    }
    // Where the gradient of rows() is to be added up, if `wanted` is not empty; finish() takes it to `wanted`.
    matrix_view<T> gradient(matrix_view<T> wanted) {
        if (how_ == similarity::dot || wanted.empty()) return wanted;
        gradient_ = scratch_array<T>(rows_.rows() * columns());
        std::fill(gradient_.data(), gradient_.data() + gradient_.size(), T(0));
        return matrix_view<T>(gradient_.data(), rows_.rows(), columns());
    }
    void finish(matrix_view<T> wanted) const noexcept {
        if (how_ == similarity::dot || wanted.empty()) return;
        const std::size_t depth = rows_.cols(), width = columns();
        for (std::size_t i = 0; i < rows_.rows(); ++i) {
            const T* const x = rows_.data() + i * rows_.stride();
            const T* const made = made_.data() + i * width;
            const T* const g = gradient_.data() + i * width;
            T* const out = wanted.data() + i * wanted.stride();
            if (how_ == similarity::cosine) {
                if (norms_[i] == 0.0) continue;
                // What points along the row changes its length only.
                const double along = dot(g, made, depth), factor = 1.0 / norms_[i];
                for (std::size_t d = 0; d < depth; ++d) {
                    out[d] +=
                        static_cast<T>((static_cast<double>(g[d]) - along * static_cast<double>(made[d])) * factor);
                }
            } else if (which_ == side::gram) {
                for (std::size_t d = 0; d < depth; ++d) out[d] += g[d] - x[d] * g[depth];
            } else if (which_ == side::query) {
                for (std::size_t d = 0; d < depth; ++d) out[d] += T(2) * (g[d] + x[d] * g[depth]);
            } else {
                for (std::size_t d = 0; d < depth; ++d) out[d] += g[d] - T(2) * x[d] * g[depth + 1];
            }
        }
    }

  private:
    std::size_t columns() const noexcept {
        if (how_ != similarity::squared_distance) return rows_.cols();
        return rows_.cols() + (which_ == side::gram ? 1 : 2);
    }

    similarity how_;
    side which_;
    matrix_view<const T> rows_;
    scratch_array<T> made_, gradient_;
    std::vector<double> norms_;
};

}  // namespace reckon::detail
