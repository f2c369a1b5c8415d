// Mean and variance of the outputs that several heads, passes or members of an ensemble give to the same rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// Outputs of T heads for B rows, as a batch of heads.
///
/// Shapes    heads [T, B]: one row of the matrix per head.
template <class T>
struct head_outputs {
    matrix_view<const T> heads;

    constexpr std::size_t size() const noexcept { return heads.rows(); }
    constexpr head_outputs slice(std::size_t first, std::size_t count) const noexcept {
        return {count == 0 ? matrix_view<const T>(heads.data(), 0, heads.cols(), heads.stride())
                           : heads.slice(first, count)};
    }
};

/// Moments over heads, row by row: a mergeable state, so that passes may come one after the other or from elsewhere.
///
/// Law       mean and variance agree within a few roundings of them in any merge order. The identity is default-built.
/// Throws    absorb, merge: std::invalid_argument when the numbers of rows differ.
/// Cost      24 bytes a row; one division and a few operations per row and head.
/// Numerics  updates that do not cancel, in double; identical heads give a variance of exactly 0. Propagates NaN.
/// Source    West 1979; merge by Chan, Golub and LeVeque 1983.
class head_moments {
  public:
    template <class T>
    void absorb(const head_outputs<T>& batch) {
        if (batch.size() == 0) return;
        const std::size_t rows = batch.heads.cols();
        if (rows_.empty() && heads_ == 0) rows_.resize(rows);
        expects(rows_.size() == rows, "head_moments", "cannot absorb heads of ", rows, " rows into those of ",
                rows_.size());
        for (std::size_t t = 0; t < batch.size(); ++t) {
            const auto head = batch.heads.row(t);
            for (std::size_t i = 0; i < rows; ++i) rows_[i].absorb(static_cast<double>(head[i]));
        }
        heads_ += batch.size();
    }
    void merge(const head_moments& other) {
        if (other.heads_ == 0) return;
        if (heads_ == 0) {
            *this = other;
            return;
        }
        expects(rows_.size() == other.rows_.size(), "head_moments", "cannot merge heads of ", other.rows_.size(),
                " rows into those of ", rows_.size());
        for (std::size_t i = 0; i < rows_.size(); ++i) rows_[i].merge(other.rows_[i]);
        heads_ += other.heads_;
    }

    /// Heads absorbed, and rows that each of them had.
    std::size_t heads() const noexcept { return heads_; }
    std::size_t size() const noexcept { return rows_.size(); }
    /// Mean of row i over the heads.
    double mean(std::size_t i) const noexcept { return rows_[i].mean(); }
    /// Population variance of row i over the heads (divisor T).
    double variance(std::size_t i) const noexcept { return rows_[i].variance(); }
    /// With the divisor T - 1; NaN for one head.
    double sample_variance(std::size_t i) const noexcept { return rows_[i].sample_variance(); }

  private:
    std::size_t heads_ = 0;
    std::vector<moments> rows_;
};

/// Variance of each row over its heads.
///
///   variances_i = sum_t (heads_ti - mean_i)^2 / T
///
/// Shapes    heads [T, B], rows of the matrix may lie apart; variances [B] of the same type.
/// Writes    variances; NaN without a head.
/// Throws    std::invalid_argument when the sizes differ. Propagates NaN.
/// Cost      one pass over the heads, no scratch; head_moments is the form that merges.
/// Numerics  as head_moments, the same bits.
/// Source    Lakshminarayanan, Pritzel and Blundell 2017 (ensembles); Gal and Ghahramani 2016 (dropout passes).
template <exec::policy Policy, class Heads, vector_like Out, class Isa = isa::native>
void head_variance(const Policy& where, const Heads& heads, Out&& variances) {
    const auto from = input(heads);
    const auto to = view(variances);
    using T = typename decltype(from)::value_type;
    static_assert(std::is_same_v<T, typename decltype(to)::element_type>,
                  "reckon: heads and variances must have the same type, float or double");
    expects(to.size() == from.cols(), "head_variance", from.cols(), " rows but room for ", to.size(), " variances");
    exec::map_parts(where, from.cols(), [&](std::size_t first, std::size_t count) {
        constexpr std::size_t block = 128;
        for (std::size_t at = first; at < first + count; at += block) {
            const std::size_t n = (std::min)(block, first + count - at);
            moments rows[block];
            for (std::size_t t = 0; t < from.rows(); ++t) {
                const T* const head = from.row(t).data() + at;
                for (std::size_t i = 0; i < n; ++i) rows[i].absorb(static_cast<double>(head[i]));
            }
            for (std::size_t i = 0; i < n; ++i) to[at + i] = static_cast<T>(rows[i].variance());
        }
    });
}

}  // namespace reckon
