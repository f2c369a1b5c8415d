// Beta calibration: a logistic curve over the logarithms of a probability and of its complement.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/newton.hpp"
#include "reckon/calibration/detail/rising.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/core/batch.hpp"

namespace reckon {

/// Which parameters of a beta_calibration are free.
enum class beta_variant : std::uint8_t {
    /// a, b and c.
    full = 0,
    /// a = b: Platt scaling with a slope >= 0.
    symmetric = 1,
    /// c = 0: probability 1/2 of a score s with s^a = (1 - s)^b.
    no_intercept = 2,
};

/// How beta_calibration::fit works.
struct beta_calibration_options {
    /// What the scores are.
    score_kind input = score_kind::probability;
    beta_variant variant = beta_variant::full;
    /// Fit against (N+ + 1)/(N+ + 2) and 1/(N- + 2) instead of 1 and 0, as Platt scaling does. Keeps the fit finite when a
    /// threshold separates the classes or one is absent. N+ and N- are sums of weights.
    bool smooth_targets = true;
    /// > 0. Ends the iteration when the next step would move the log-odds of the rows by less (root mean square).
    double tolerance = 1e-9;
    /// >= 1. Passes over the data of one minimisation; there are at most three.
    int max_passes = 100;
};

namespace detail {

inline constexpr double least_beta_log = -20.72326583694641;  // ln 1e-9

/// ln x of a normal number.
template <class V>
RECKON_INLINE V log_of_normal(V x) noexcept {
    using T = simd::lane_t<V>;
    const auto parts = math::detail::split(x);
    return math::detail::log_from(parts.exponent, parts.fraction / (parts.fraction + V(T(2))));
}

/// ln s and -ln(1 - s), none beyond ln 1e-9 in size. Scores outside [0, 1] count as its ends.
template <class V>
RECKON_INLINE void beta_logs(V score, score_kind kind, V& rise, V& fall) noexcept {
    using T = simd::lane_t<V>;
    using simd::maximum;
    using simd::minimum;
    using simd::mul_add;
    if (kind == score_kind::probability) {
        const V s = maximum(V(T(1e-9)), minimum(V(T(1)), score));
        const V rest = V(T(1)) - s;
        // What 1 - s lost by rounding, which is nothing for s >= 1/2: ln(rest + lost) = ln rest + lost / rest.
        const V lost = (V(T(1)) - rest) - s;
        rise = log_of_normal(s);
        fall = minimum(V(T(-least_beta_log)),
                       V(T(0)) - mul_add(lost, V(T(1)) + s, log_of_normal(maximum(V(T(5e-10)), rest))));
    } else {
        const V bound(T(-least_beta_log));
        const V f = maximum(V(T(0)) - bound, minimum(bound, score));
        const V tail = math::detail::log1p_of_fraction(exp_of_negative(V(T(0)) - absolute(f)));
        rise = minimum(V(T(0)), f) - tail;
        fall = maximum(V(T(0)), f) + tail;
    }
}

/// The columns of beta calibration.
struct beta_columns : logit_column {
    static constexpr bool paired = true;
    template <class V>
    static RECKON_INLINE void split(V score, score_kind kind, V& rise, V& fall) noexcept {
        beta_logs(score, kind, rise, fall);
    }
};

}  // namespace detail

/// Beta calibration: p' = sigmoid(a ln s - b ln(1 - s) + c), a, b >= 0; the log-odds of two beta distributions.
///
///   fit minimises  sum_i w_i [ softplus(z_i) - t_i z_i ],   z_i = a ln s_i - b ln(1 - s_i) + c,   over a, b >= 0
///
/// a = b = 1, c = 0 is the identity; a = b is Platt scaling. Logarithms below ln 1e-9 count as that, so in float, where the
/// number below 1 is 1 - 6e-8, the last step of -ln(1 - s) is one from 16.6 to 20.7. Log-odds count up to 20.7 in size.
///
/// Fit       Newton's method from a = b = 0, c = ln((N+ + 1)/(N- + 1)), without intercept from a = b = 1; from the fit of a
///           sixteenth of the rows when there are 8192 or more. If a or b comes out negative it is set to 0 and the rest
///           fitted again, which gives the optimum over a, b >= 0: see detail/rising.hpp. Scores of fewer than three
///           values, or so close that rounding cannot tell the columns apart: a = b. All scores equal: a = b = 0, c gives the
///           mean target; without intercept a = b. One class: near that with smoothed targets; without, finite and
///           steep.
/// Throws    fit: std::invalid_argument when columns differ in length or an option is out of range; counts and skips
///           bad examples. apply: std::invalid_argument when sizes differ; propagates NaN.
/// Cost      fit: one pass to check the rows, two logarithms each, and about three Newton passes of one exponential; two
///           more minimisations at most when a bound holds; 2 n scores of scratch, n / 16 rows for the sample. apply: two
///           logarithms and one exponential.
/// Numerics  float scores run in float lanes with sums in double: p' within about 1e-6 of that of a double fit. Parameters
///           are as far apart as the data leave them open.
/// Source    Kull, Silva Filho and Flach 2017; smoothed targets from Platt 1999, off in the original.
class beta_calibration {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("BETA");
    static constexpr std::uint32_t bytes_version = 1;

    /// The identity: a = b = 1, c = 0.
    beta_calibration() noexcept = default;
    /// Throws    std::invalid_argument when a or b is negative or a parameter is not finite.
    beta_calibration(double a, double b, double c, score_kind input = score_kind::probability)
        : a_(a), b_(b), c_(c), input_(input) {
        expects(usable(a, b, c), "beta_calibration", "a ", a, " and b ", b, " must be >= 0 and finite, c ", c,
                " finite");
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static beta_calibration fit(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                                const beta_calibration_options& options = {}) {
        const auto batch = make_scored("beta_calibration", scores, labels, weights);
        expects(options.tolerance > 0.0, "beta_calibration", "tolerance must be > 0, got ", options.tolerance);
        expects(options.max_passes >= 1, "beta_calibration", "max_passes must be >= 1, got ", options.max_passes);
        return fit_batch<Isa>(where, batch, options);
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return detail::map_one<Isa>(score, [this](auto s) { return this->map(s); });
    }

    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        detail::map_scores<Isa>("beta_calibration", where, scores, out, [this](auto s) { return this->map(s); });
    }

    /// Factor of ln s.
    double a() const noexcept { return a_; }
    /// Factor of -ln(1 - s).
    double b() const noexcept { return b_; }
    double c() const noexcept { return c_; }
    score_kind input_kind() const noexcept { return input_; }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put(a_);
        out.put(b_);
        out.put(c_);
        out.put(static_cast<std::uint8_t>(input_));
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static beta_calibration read(byte_reader& in) {
        beta_calibration m;
        m.a_ = in.get<double>();
        m.b_ = in.get<double>();
        m.c_ = in.get<double>();
        expects_bytes(usable(m.a_, m.b_, m.c_), "beta_calibration", "a and b must be >= 0 and parameters finite");
        m.input_ = detail::read_score_kind(in, "beta_calibration");
        m.seen_.accepted = in.get<std::uint64_t>();
        m.seen_.rejected = in.get<std::uint64_t>();
        return m;
    }

  private:
    // Finite up to where a ln s - b ln(1 - s) cannot become inf - inf.
    static bool usable(double a, double b, double c) noexcept {
        return 0.0 <= a && a <= largest && 0.0 <= b && b <= largest && std::isfinite(c);
    }

    template <class V>
    RECKON_INLINE V map(V score) const noexcept {
        using T = simd::lane_t<V>;
        using simd::mul_add;
        V rise = score, fall = score;
        detail::beta_logs(score, input_, rise, fall);
        const V z = mul_add(V(static_cast<T>(a_)), rise, mul_add(V(static_cast<T>(b_)), fall, V(static_cast<T>(c_))));
        return select(score == score, math::sigmoid(z), score);
    }

    template <class Isa, exec::policy Policy, class P, class Y, class W>
    static beta_calibration fit_batch(const Policy& where, const scored<P, Y, W>& batch,
                                      const beta_calibration_options& options) {
        const detail::logit_rows<P, Y, W, Isa, detail::beta_columns> data(where, batch, options.input);
        const auto& total = data.summary();
        beta_calibration fitted;
        fitted.input_ = options.input;
        fitted.seen_ = total.seen;
        if (!(total.weight > 0.0)) return fitted;

        detail::logistic_model<detail::pair_features> model;
        if (options.smooth_targets) model.targets = detail::smoothed_targets(total.positive, total.negative());
        const bool intercept = options.variant != beta_variant::no_intercept;
        const double flat = detail::flat_log_odds(model.targets, total.positive, total.weight);
        double first = 1.0 / (std::max)(std::fabs(total.lowest), std::fabs(total.highest));
        double second = 1.0 / (std::max)(std::fabs(total.second_lowest), std::fabs(total.second_highest));
        if (intercept) {
            auto& x = model.features;
            x.first = detail::affine_features::over(total.lowest, total.highest, total.score_sum / total.weight);
            x.second = detail::affine_features::over(total.second_lowest, total.second_highest,
                                                     total.second_sum / total.weight);
            first = x.first.scale;
            second = x.second.scale;
            if (!(first > 0.0 && second > 0.0)) {
                fitted.a_ = fitted.b_ = 0.0;
                fitted.c_ = flat;
                return fitted;
            }
            model.theta = {0.0, 0.0, std::log((total.positive + 1.0) / (total.negative() + 1.0))};
        } else {
            // Scores of 1 have no first column, and without the second the fit is one line again.
            first = std::isfinite(first) ? first : 1.0;
            second = std::isfinite(second) ? second : 1.0;
            model.features = {{first, 0.0}, {second, 0.0}};
            model.theta = {1.0 / first, 1.0 / second, 0.0};
        }
        detail::rising_curves curves{{1.0 / first, 0.0}, {0.0, 1.0 / second}, {1.0 / first, 1.0 / second}};
        curves.intercept = intercept;
        curves.single_only = options.variant == beta_variant::symmetric;
        curves.flat = flat;
        const auto rows = data.rows();
        const detail::row_sample<P, Y, W> sample(rows);
        const auto found = detail::minimise_rising<Isa>(where, rows, sample.paired_rows(), model, curves,
                                                        {options.tolerance, options.max_passes});
        fitted.a_ = (std::min)(largest, found.u);
        fitted.b_ = (std::min)(largest, found.v);
        fitted.c_ = found.intercept + found.u / first * model.features.first.shift +
                    found.v / second * model.features.second.shift;
        return fitted;
    }

    static constexpr double largest = 1e30;
    double a_ = 1.0;
    double b_ = 1.0;
    double c_ = 0.0;
    score_kind input_ = score_kind::probability;
    counts seen_;
};

}  // namespace reckon
