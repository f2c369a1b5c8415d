// Temperature scaling of binary log-odds.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/bracketed_newton.hpp"
#include "reckon/calibration/detail/newton.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/core/batch.hpp"

namespace reckon {

/// How temperature::fit works.
struct temperature_options {
    /// What the scores are.
    score_kind input = score_kind::probability;
    /// > 0. Ends the iteration when the next step would change beta by less than this part of it.
    double tolerance = 1e-9;
    /// >= 1. Passes over the data.
    int max_passes = 100;
};

/// Temperature scaling: p' = sigmoid(beta * f) with beta = 1/T > 0, f the log-odds of a probability or any real score.
///
///   fit minimises  sum_i w_i [ softplus(beta f_i) - y_i beta f_i ]        over beta in [1e-3, 1e3]
///
/// Fit       Newton's method inside a bracket, from beta = 1; from the fit of a sixteenth of the rows when there are
///           8192 or more. An optimum outside the range gives the end of the range: 1e3 when the sign of f tells the
///           label, 1e-3 when the scores rank against the labels. All f equal to 0: beta = 1.
/// Throws    fit: std::invalid_argument when columns differ in length or an option is out of range; counts and skips
///           bad examples. apply: std::invalid_argument when sizes differ; propagates NaN.
/// Cost      fit: one pass to check the rows and about three Newton passes, one exponential a row each; n scores of
///           scratch for probabilities, n / 16 rows for the sample. apply: one exponential, and a logarithm for
///           probabilities.
/// Numerics  float scores run in float lanes with sums in double: beta within about 1e-6 of the double one.
/// Source    Guo, Pleiss, Sun and Weinberger 2017.
class temperature {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("TEMP");
    static constexpr std::uint32_t bytes_version = 1;
    static constexpr double lowest_beta = 1e-3;
    static constexpr double highest_beta = 1e3;

    /// The identity: beta 1.
    temperature() noexcept = default;
    /// Throws    std::invalid_argument when beta is outside [1e-3, 1e3].
    explicit temperature(double beta, score_kind input = score_kind::probability) : beta_(beta), input_(input) {
        expects(lowest_beta <= beta && beta <= highest_beta, "temperature", "beta must be in [1e-3, 1e3], got ", beta);
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static temperature fit(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                           const temperature_options& options = {}) {
        const auto batch = make_scored("temperature", scores, labels, weights);
        expects(options.tolerance > 0.0, "temperature", "tolerance must be > 0, got ", options.tolerance);
        expects(options.max_passes >= 1, "temperature", "max_passes must be >= 1, got ", options.max_passes);
        return fit_batch<Isa>(where, batch, options);
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return detail::map_one<Isa>(score, [this](auto f) { return this->map(f); });
    }

    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        detail::map_scores<Isa>("temperature", where, scores, out, [this](auto f) { return this->map(f); });
    }

    double beta() const noexcept { return beta_; }
    /// T = 1 / beta.
    double value() const noexcept { return 1.0 / beta_; }
    score_kind input_kind() const noexcept { return input_; }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put(beta_);
        out.put(static_cast<std::uint8_t>(input_));
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static temperature read(byte_reader& in) {
        temperature t;
        t.beta_ = in.get<double>();
        expects_bytes(lowest_beta <= t.beta_ && t.beta_ <= highest_beta, "temperature", "beta ", t.beta_,
                      " is outside [1e-3, 1e3]");
        t.input_ = detail::read_score_kind(in, "temperature");
        t.seen_.accepted = in.get<std::uint64_t>();
        t.seen_.rejected = in.get<std::uint64_t>();
        return t;
    }

  private:
    template <class V>
    RECKON_INLINE V map(V score) const noexcept {
        const V f = detail::score_as_logit(score, input_);
        return math::sigmoid(V(static_cast<simd::lane_t<V>>(beta_)) * f);
    }

    template <class Isa, exec::policy Policy, class P, class Y, class W>
    static temperature fit_batch(const Policy& where, const scored<P, Y, W>& batch,
                                 const temperature_options& options) {
        const detail::logit_rows<P, Y, W, Isa> data(where, batch, options.input);
        const auto& total = data.summary();
        temperature fitted;
        fitted.input_ = options.input;
        fitted.seen_ = total.seen;
        const double range = (std::max)(std::fabs(total.lowest), std::fabs(total.highest));
        if (!(total.weight > 0.0) || !(range > 0.0)) return fitted;
        const detail::row_sample<P, Y, W> sample(data.rows());
        double beta = 1.0;
        if (sample.rows().size() > 0) beta = minimise<Isa>(where, sample.rows(), range, beta, 1e-4, 20);
        fitted.beta_ = minimise<Isa>(where, data.rows(), range, beta, options.tolerance, options.max_passes);
        return fitted;
    }

    template <class Isa, exec::policy Policy, class P, class Y, class W>
    static double minimise(const Policy& where, const scored<P, Y, W>& rows, double range, double beta,
                           double tolerance, int max_passes) {
        constexpr double noise = 4.0 * static_cast<double>(std::numeric_limits<P>::epsilon());
        return detail::bracketed_newton(
            beta, {lowest_beta, highest_beta, range, tolerance, max_passes, noise}, [&](double at) {
                detail::newton_sums<detail::linear_features, Isa> sums;
                sums.model.features.scale = 1.0 / range;
                // Rounded to the lanes' type, so that the sums are those of exactly this point.
                sums.model.theta[0] = static_cast<double>(static_cast<P>(at * range));
                sums = exec::fold_parts(where, sums, rows);
                return detail::slope_and_curvature{sums.model.theta[0] / range, sums.gradient[0] * range,
                                                   sums.hessian[0] * range * range};
            });
    }

    double beta_ = 1.0;
    score_kind input_ = score_kind::probability;
    counts seen_;
};

}  // namespace reckon
