// Gamma scaling: a logistic curve over a positive score and its logarithm.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/ranged_curve.hpp"
#include "reckon/core/batch.hpp"

namespace reckon {

/// How gamma_scaling::fit works.
struct gamma_scaling_options {
    /// Fit against (N+ + 1)/(N+ + 2) and 1/(N- + 2) instead of 1 and 0, as Platt scaling does. Keeps the fit finite when a
    /// threshold separates the classes or one is absent. N+ and N- are sums of weights.
    bool smooth_targets = true;
    /// > 0. Ends the iteration when the next step would move the log-odds of the rows by less (root mean square).
    double tolerance = 1e-9;
    /// >= 1. Passes over the data of one minimisation; there are at most three.
    int max_passes = 100;
};

namespace detail {

/// A smaller score is not positive.
inline constexpr double least_gamma_score = 1.1754943508222875e-38;  // the smallest normal float

/// A positive score and its logarithm.
struct gamma_columns {
    static constexpr bool paired = true;
    template <class T>
    static constexpr T least(score_kind) noexcept {
        return static_cast<T>(least_gamma_score);
    }
    template <class T>
    static constexpr T most(score_kind) noexcept {
        return static_cast<T>(largest_ranged_score);
    }
    template <class V>
    static RECKON_INLINE void split(V score, score_kind, V& first, V& logarithm) noexcept {
        first = score;
        logarithm = math::log(score);
    }
};

struct gamma_shape {
    using columns = gamma_columns;
    using features = pair_features;

    // The slope in ln s is u at the low end of the range, v at the high end and linear in s in between. The curve is
    // alpha ln s + beta (s - centre) / length: u = alpha + beta lowest / length, v = alpha + beta highest / length.
    template <class Summary>
    static bool prepare(const ranged_curve& range, const Summary& total, features& x, rising_curves& curves) noexcept {
        x.first = affine_features::over(range.lowest, range.highest, range.centre);
        x.second = affine_features::over(total.second_lowest, total.second_highest, total.second_sum / total.weight);
        if (!(x.first.scale > 0.0) || !(x.second.scale > 0.0)) return false;
        const double inverse = range.inverse(), ratio = inverse / x.first.scale;
        curves.low = {-ratio, range.highest * inverse / x.second.scale};
        curves.high = {ratio, -range.lowest * inverse / x.second.scale};
        curves.single = {1.0, 0.0};
        return true;
    }
    // The second column is 0 at the mean of ln s, the curve is kept about the mean of s.
    static double intercept(const ranged_curve& range, const rising_fit& fit, const features& x,
                            const rising_curves& curves) noexcept {
        const double second = fit.u * curves.low[1] + fit.v * curves.high[1];
        return fit.intercept + second * (std::log(range.centre) * x.second.scale + x.second.shift);
    }
};

}  // namespace detail

/// Gamma scaling: p' = sigmoid(a ln s + b s + c), the log-odds of two gamma distributions, rising on [lowest, highest].
///
///   fit minimises  sum_i w_i [ softplus(z_i) - t_i z_i ],   z_i = a ln s_i + b s_i + c,
///   over a / s + b >= 0 at the lowest and the highest s_i
///
/// Scores are positive and taken as they stand: distances, counts, odds, exponentials of margins, or probabilities. Outside
/// [lowest, highest] a score counts as the end next to it, so that the map never falls.
///
/// Fit       Newton's method from a = b = 0, c = ln((N+ + 1)/(N- + 1)); from the fit of a sixteenth of the rows when there
///           are 8192 or more. A slope that comes out negative at an end is set to 0 there and the rest fitted again, which
///           gives the optimum under both constraints: see detail/rising.hpp. Scores of two values, or so close that
///           rounding cannot tell a curve from a line: a = 0. All scores equal: a = b = 0, c gives the mean target. No
///           rows: sigmoid(s). One class: near flat with smoothed targets; without, finite and steep.
/// Throws    fit: std::invalid_argument when columns differ in length or an option is out of range; counts and skips
///           bad examples, and scores below 1.2e-38 or above 1.7e38. apply: std::invalid_argument when sizes differ;
///           propagates NaN.
/// Cost      fit: one pass to check the rows, a logarithm each, and about three Newton passes of one exponential; two more
///           minimisations at most when a slope is 0 at an end; 2 n scores of scratch, n / 16 rows for the sample. apply:
///           one logarithm and one exponential.
/// Numerics  float scores run in float lanes with sums in double: p' within about 1e-6 of that of a double fit.
/// Source    Kweon, Kang and Yu 2022; the clamp, smoothed targets and ties are ours.
class gamma_scaling {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("GAMM");
    static constexpr std::uint32_t bytes_version = 1;

    /// sigmoid(s).
    gamma_scaling() noexcept : curve_(nothing()) {}
    /// The curve a ln s + b s + c on [lowest, highest], by its slopes a + b s in ln s at both ends, and log-odds `intercept`
    /// at `centre`.
    /// Throws    std::invalid_argument when a slope is negative or above 1e12, or the range is not
    ///           0 < lowest <= centre <= highest.
    gamma_scaling(double low_slope, double high_slope, double intercept, double lowest, double highest, double centre)
        : curve_{low_slope, high_slope, intercept, lowest, highest, centre, {}} {
        expects(curve_.usable(detail::least_gamma_score), "gamma_scaling", "slopes ", low_slope, " and ", high_slope,
                " over [", lowest, ", ", highest, "] about ", centre, " are out of range");
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static gamma_scaling fit(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                             const gamma_scaling_options& options = {}) {
        const auto batch = make_scored("gamma_scaling", scores, labels, weights);
        expects(options.tolerance > 0.0, "gamma_scaling", "tolerance must be > 0, got ", options.tolerance);
        expects(options.max_passes >= 1, "gamma_scaling", "max_passes must be >= 1, got ", options.max_passes);
        gamma_scaling fitted;
        fitted.curve_ = detail::fit_ranged_curve<detail::gamma_shape, Isa>(where, batch, options, nothing());
        return fitted;
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return detail::map_one<Isa>(score, [this](auto s) { return this->map(s); });
    }

    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        detail::map_scores<Isa>("gamma_scaling", where, scores, out, [this](auto s) { return this->map(s); });
    }

    /// Factor of ln s.
    double a() const noexcept {
        const double inverse = curve_.inverse();
        // mul_add, so that every place rounds alike and a frozen curve has the same bits.
        return simd::mul_add(curve_.low_rise, curve_.highest * inverse,
                             -(curve_.high_rise * (curve_.lowest * inverse)));
    }
    /// Factor of s.
    double b() const noexcept { return (curve_.high_rise - curve_.low_rise) * curve_.inverse(); }
    double c() const noexcept { return curve_.intercept - a() * std::log(curve_.centre) - b() * curve_.centre; }
    /// Scores below count as this one.
    double lowest() const noexcept { return curve_.lowest; }
    /// Scores above count as this one.
    double highest() const noexcept { return curve_.highest; }
    /// The score about which the curve is kept: log-odds are a ln(s / centre) + b (s - centre) + intercept.
    double centre() const noexcept { return curve_.centre; }
    double intercept() const noexcept { return curve_.intercept; }
    counts seen() const noexcept { return curve_.seen; }

    void write(byte_writer& out) const { curve_.write(out); }
    static gamma_scaling read(byte_reader& in) {
        gamma_scaling g;
        g.curve_ = detail::ranged_curve::read(in, "gamma_scaling", detail::least_gamma_score);
        return g;
    }

  private:
    static detail::ranged_curve nothing() noexcept {
        // a = 0, b = 1, so that slopes in ln s are the ends of the range themselves.
        return {detail::least_gamma_score, 1e11, 1.0, detail::least_gamma_score, 1e11, 1.0, {}};
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
        const V logarithm = math::log(s * V(static_cast<T>(1.0 / curve_.centre)));
        const V line =
            mul_add(V(static_cast<T>(curve_.high_rise - curve_.low_rise)), x, V(static_cast<T>(curve_.intercept)));
        return math::sigmoid(mul_add(V(static_cast<T>(a())), logarithm, line));
    }

    detail::ranged_curve curve_;
};

}  // namespace reckon
