// Gaussian scaling: a logistic curve over a quadratic function of a score.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/ranged_curve.hpp"
#include "reckon/core/batch.hpp"

namespace reckon {

/// How gaussian_scaling::fit works.
struct gaussian_scaling_options {
    /// Fit against (N+ + 1)/(N+ + 2) and 1/(N- + 2) instead of 1 and 0, as Platt scaling does. Keeps the fit finite when a
    /// threshold separates the classes or one is absent. N+ and N- are sums of weights.
    bool smooth_targets = true;
    /// > 0. Ends the iteration when the next step would move the log-odds of the rows by less (root mean square).
    double tolerance = 1e-9;
    /// >= 1. Passes over the data of one minimisation; there are at most three.
    int max_passes = 100;
};

namespace detail {

/// Scores as they stand, in the range of a ranged curve.
struct ranged_column : logit_column {
    template <class T>
    static constexpr T least(score_kind) noexcept {
        return static_cast<T>(-largest_ranged_score);
    }
    template <class T>
    static constexpr T most(score_kind) noexcept {
        return static_cast<T>(largest_ranged_score);
    }
};

struct gaussian_shape {
    using columns = ranged_column;
    using features = quadratic_features;

    // In x = (s - centre) / length the curve has the slope u at the low end of the range, v at the high end and is linear
    // in between; the features are in x0 = x / ratio.
    template <class Summary>
    static bool prepare(const ranged_curve& range, const Summary&, features& x, rising_curves& curves) noexcept {
        x.line = affine_features::over(range.lowest, range.highest, range.centre);
        if (!(x.line.scale > 0.0)) return false;
        const double inverse = range.inverse(), ratio = inverse / x.line.scale;
        const double from = (range.lowest - range.centre) * inverse, to = (range.highest - range.centre) * inverse;
        curves.low = {ratio * to, -0.5 * ratio * ratio};
        curves.high = {-ratio * from, 0.5 * ratio * ratio};
        curves.single = {1.0, 0.0};
        return true;
    }
    static double intercept(const ranged_curve&, const rising_fit& fit, const features&,
                            const rising_curves&) noexcept {
        return fit.intercept;
    }
};

}  // namespace detail

/// Gaussian scaling: p' = sigmoid(a s^2 + b s + c), the log-odds of two normal distributions, rising on [lowest, highest].
///
///   fit minimises  sum_i w_i [ softplus(z_i) - t_i z_i ],   z_i = a s_i^2 + b s_i + c,
///   over 2 a s + b >= 0 at the lowest and the highest s_i
///
/// Scores are taken as they stand: log-odds, margins, distances, or probabilities. Outside [lowest, highest] a score counts
/// as the end next to it, so that the map never falls.
///
/// Fit       Newton's method from a = b = 0, c = ln((N+ + 1)/(N- + 1)); from the fit of a sixteenth of the rows when there
///           are 8192 or more. A slope that comes out negative at an end is set to 0 there and the rest fitted again, which
///           gives the optimum under both constraints: see detail/rising.hpp. Scores of two values, or so close that
///           rounding cannot tell a curve from a line: a = 0. All scores equal: a = b = 0, c gives the mean target. No
///           rows: sigmoid(s). One class: near flat with smoothed targets; without, finite and steep.
/// Throws    fit: std::invalid_argument when columns differ in length or an option is out of range; counts and skips
///           bad examples, and scores beyond 1.7e38 in size. apply: std::invalid_argument when sizes differ; propagates NaN.
/// Cost      fit: one pass to check the rows and about three Newton passes, one exponential a row each; two more
///           minimisations at most when a slope is 0 at an end; n / 16 rows for the sample. apply: one exponential.
/// Numerics  float scores run in float lanes with sums in double: p' within about 1e-6 of that of a double fit. The curve is
///           kept about the mean score, so that scores far from 0 do not cancel.
/// Source    Kweon, Kang and Yu 2022; the clamp, smoothed targets and ties are ours.
class gaussian_scaling {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("GAUS");
    static constexpr std::uint32_t bytes_version = 1;

    /// sigmoid(s).
    gaussian_scaling() noexcept : curve_(nothing()) {}
    /// The curve with the given slopes of log-odds at lowest and highest, and log-odds `intercept` at `centre`.
    /// Throws    std::invalid_argument when a slope is negative or steeper than 1e12 over the range, or the range is not
    ///           lowest <= centre <= highest.
    gaussian_scaling(double low_slope, double high_slope, double intercept, double lowest, double highest,
                     double centre) {
        const double length = highest - lowest;
        curve_ = {low_slope * length, high_slope * length, intercept, lowest, highest, centre, {}};
        expects(curve_.usable(-detail::largest_ranged_score), "gaussian_scaling", "slopes ", low_slope, " and ",
                high_slope, " over [", lowest, ", ", highest, "] about ", centre, " are out of range");
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static gaussian_scaling fit(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                                const gaussian_scaling_options& options = {}) {
        const auto batch = make_scored("gaussian_scaling", scores, labels, weights);
        expects(options.tolerance > 0.0, "gaussian_scaling", "tolerance must be > 0, got ", options.tolerance);
        expects(options.max_passes >= 1, "gaussian_scaling", "max_passes must be >= 1, got ", options.max_passes);
        gaussian_scaling fitted;
        fitted.curve_ = detail::fit_ranged_curve<detail::gaussian_shape, Isa>(where, batch, options, nothing());
        return fitted;
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return detail::map_one<Isa>(score, [this](auto s) { return this->map(s); });
    }

    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        detail::map_scores<Isa>("gaussian_scaling", where, scores, out, [this](auto s) { return this->map(s); });
    }

    double a() const noexcept { return square() * curve_.inverse() * curve_.inverse(); }
    double b() const noexcept { return line() * curve_.inverse() - 2.0 * a() * curve_.centre; }
    double c() const noexcept {
        return curve_.intercept - line() * curve_.inverse() * curve_.centre + a() * curve_.centre * curve_.centre;
    }
    /// Scores below count as this one.
    double lowest() const noexcept { return curve_.lowest; }
    /// Scores above count as this one.
    double highest() const noexcept { return curve_.highest; }
    /// The score about which the curve is kept: log-odds are a (s - centre)^2 + centre_slope (s - centre) + intercept.
    double centre() const noexcept { return curve_.centre; }
    double centre_slope() const noexcept { return line() * curve_.inverse(); }
    double intercept() const noexcept { return curve_.intercept; }
    counts seen() const noexcept { return curve_.seen; }

    void write(byte_writer& out) const { curve_.write(out); }
    static gaussian_scaling read(byte_reader& in) {
        gaussian_scaling g;
        g.curve_ = detail::ranged_curve::read(in, "gaussian_scaling", -detail::largest_ranged_score);
        return g;
    }

  private:
    static detail::ranged_curve nothing() noexcept {
        // Slope 1 over a range of 2e11, and flat beyond.
        return {2e11, 2e11, 0.0, -1e11, 1e11, 0.0, {}};
    }
    // Factors of x^2 and x, x = (s - centre) / length.
    double square() const noexcept { return 0.5 * (curve_.high_rise - curve_.low_rise); }
    double line() const noexcept {
        // mul_add, so that every place rounds alike and a frozen curve has the same bits.
        const double bend = (curve_.high_rise - curve_.low_rise) * (curve_.centre - curve_.lowest);
        return simd::mul_add(bend, curve_.inverse(), curve_.low_rise);
    }

    template <class V>
    RECKON_INLINE V map(V score) const noexcept {
        using T = simd::lane_t<V>;
        using simd::maximum;
        using simd::minimum;
        using simd::mul_add;
        // The constant comes first: minimum and maximum return the second operand for NaN.
        const V s = maximum(V(static_cast<T>(curve_.lowest)), minimum(V(static_cast<T>(curve_.highest)), score));
        const V x = (s - V(static_cast<T>(curve_.centre))) * V(static_cast<T>(curve_.inverse()));
        const V slope = mul_add(V(static_cast<T>(square())), x, V(static_cast<T>(line())));
        return math::sigmoid(mul_add(slope, x, V(static_cast<T>(curve_.intercept))));
    }

    detail::ranged_curve curve_;
};

}  // namespace reckon
