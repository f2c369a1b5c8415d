// Small mergeable states. Each has an identity (default-built), absorbs values and merges with its own kind, so that
// kernel(A ++ B) == merge(kernel(A), kernel(B)).
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "reckon/core/config.hpp"
#include "reckon/core/lane.hpp"

namespace reckon {

/// Sum in double with the rounding error of every addition kept beside it (Neumaier 1974).
///
/// Numerics  the error of value() is about one rounding of the result plus n * 2^-104 of the sum of magnitudes;
///           integers up to 2^53 and dyadic fractions are exact, and then merge order does not matter. An infinite or
///           NaN term makes the sum infinite or NaN.
class compensated_sum {
  public:
    RECKON_INLINE compensated_sum() noexcept = default;
    RECKON_INLINE explicit compensated_sum(double sum, double error = 0.0) noexcept : sum_(sum), error_(error) {}
    RECKON_INLINE void absorb(double x) noexcept {
        const double t = sum_ + x;
        error_ += std::fabs(sum_) >= std::fabs(x) ? (sum_ - t) + x : (x - t) + sum_;
        sum_ = t;
    }
    RECKON_INLINE void merge(const compensated_sum& other) noexcept {
        absorb(other.sum_);
        error_ += other.error_;
    }
    /// Multiplies what was absorbed so far by `factor`.
    RECKON_INLINE void scale(double factor) noexcept {
        sum_ *= factor;
        error_ *= factor;
    }
    RECKON_INLINE double value() const noexcept {
        // The error term is NaN once the sum is infinite.
        return std::isfinite(sum_) ? sum_ + error_ : sum_;
    }
    RECKON_INLINE double sum() const noexcept { return sum_; }
    RECKON_INLINE double error() const noexcept { return error_; }

  private:
    double sum_ = 0.0;
    double error_ = 0.0;
};

/// Weighted mean: the value of every loss and of most metrics.
class mean_value {
  public:
    RECKON_INLINE mean_value() noexcept = default;
    RECKON_INLINE mean_value(double sum, double weight) noexcept : sum_(sum), weight_(weight) {}
    /// Absorbs `x` with weight `w`.
    RECKON_INLINE void absorb(double x, double w = 1.0) noexcept {
        sum_.absorb(w * x);
        weight_.absorb(w);
    }
    RECKON_INLINE void merge(const mean_value& other) noexcept {
        sum_.merge(other.sum_);
        weight_.merge(other.weight_);
    }
    /// sum of w * x.
    RECKON_INLINE double sum() const noexcept { return sum_.value(); }
    /// sum of w.
    RECKON_INLINE double weight() const noexcept { return weight_.value(); }
    /// The mean; NaN while the weight is 0.
    RECKON_INLINE double finish() const noexcept {
        return weight() == 0.0 ? std::numeric_limits<double>::quiet_NaN() : sum() / weight();
    }

  private:
    compensated_sum sum_;
    compensated_sum weight_;
};

/// Weighted mean and variance by updates that do not cancel (West 1979; merge by Chan, Golub and LeVeque 1983).
class moments {
  public:
    RECKON_INLINE void absorb(double x, double w = 1.0) noexcept { merge_parts(w, x, 0.0); }
    RECKON_INLINE void merge(const moments& other) noexcept { merge_parts(other.weight_, other.mean_, other.m2_); }
    RECKON_INLINE double weight() const noexcept { return weight_; }
    /// NaN while the weight is 0.
    RECKON_INLINE double mean() const noexcept {
        return weight_ == 0.0 ? std::numeric_limits<double>::quiet_NaN() : mean_;
    }
    /// Population variance, sum w (x - mean)^2 / sum w; NaN while the weight is 0.
    RECKON_INLINE double variance() const noexcept {
        return weight_ == 0.0 ? std::numeric_limits<double>::quiet_NaN() : m2_ / weight_;
    }
    /// Variance with the divisor sum w - 1, for weights that are counts; NaN while the weight is at most 1.
    RECKON_INLINE double sample_variance() const noexcept {
        return weight_ > 1.0 ? m2_ / (weight_ - 1.0) : std::numeric_limits<double>::quiet_NaN();
    }
    /// The sample variance.
    RECKON_INLINE double finish() const noexcept { return sample_variance(); }

  private:
    RECKON_INLINE void merge_parts(double w, double mean, double m2) noexcept {
        if (w == 0.0) return;
        const double total = weight_ + w;
        const double delta = mean - mean_;
        // mul_add, because a compiler may fuse a product and a sum in one place and not in another.
        mean_ = simd::mul_add(delta, w / total, mean_);
        m2_ = simd::mul_add(delta * delta, weight_ * (w / total), m2_ + m2);
        weight_ = total;
    }

    double weight_ = 0.0;
    double mean_ = 0.0;
    double m2_ = 0.0;
};

/// log(sum of e^x) without overflow: a running maximum and the sum relative to it (Milakov and Gimelshein 2018).
class log_sum_exp {
  public:
    RECKON_INLINE void absorb(double x) noexcept { merge_parts(x, 1.0); }
    RECKON_INLINE void merge(const log_sum_exp& other) noexcept {
        if (other.sum_ != 0.0) merge_parts(other.max_, other.sum_);
    }
    /// -inf while nothing was absorbed: the logarithm of an empty sum. NaN after a NaN.
    RECKON_INLINE double finish() const noexcept { return max_ + std::log(sum_); }

  private:
    RECKON_INLINE void merge_parts(double max, double sum) noexcept {
        if (max <= max_) {
            // Equal infinities would give inf - inf.
            sum_ += max == max_ ? sum : sum * std::exp(max - max_);
        } else {
            sum_ = sum + (sum_ == 0.0 ? 0.0 : sum_ * std::exp(max_ - max));
            max_ = max;
        }
    }

    double max_ = -std::numeric_limits<double>::infinity();
    double sum_ = 0.0;
};

/// Smallest and largest value; NaN is ignored and the identity is (inf, -inf).
class min_max {
  public:
    RECKON_INLINE void absorb(double x) noexcept {
        min_ = x < min_ ? x : min_;
        max_ = x > max_ ? x : max_;
    }
    RECKON_INLINE void merge(const min_max& other) noexcept {
        min_ = other.min_ < min_ ? other.min_ : min_;
        max_ = other.max_ > max_ ? other.max_ : max_;
    }
    RECKON_INLINE double(min)() const noexcept { return min_; }
    RECKON_INLINE double(max)() const noexcept { return max_; }

  private:
    double min_ = std::numeric_limits<double>::infinity();
    double max_ = -std::numeric_limits<double>::infinity();
};

/// How many examples an estimator took and how many it refused (NaN, infinite or out-of-range values).
struct counts {
    std::uint64_t accepted = 0;
    std::uint64_t rejected = 0;

    RECKON_INLINE void absorb(bool ok) noexcept {
        accepted += ok ? 1u : 0u;
        rejected += ok ? 0u : 1u;
    }
    RECKON_INLINE void merge(const counts& other) noexcept {
        accepted += other.accepted;
        rejected += other.rejected;
    }
    friend bool operator==(const counts&, const counts&) = default;
};

}  // namespace reckon
