// Platt scaling: a logistic curve over a score.
#pragma once

#include <cmath>
#include <cstdint>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/newton.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/core/batch.hpp"

namespace reckon {

/// How platt::fit works.
struct platt_options {
    /// What the scores are.
    score_kind input = score_kind::probability;
    /// Fit against (N+ + 1)/(N+ + 2) and 1/(N- + 2) instead of 1 and 0. Keeps the fit finite when a threshold separates
    /// the classes or one is absent. N+ and N- are sums of weights.
    bool smooth_targets = true;
    /// > 0. Ends the iteration when the next step would move the log-odds of the rows by less (root mean square).
    double tolerance = 1e-9;
    /// >= 1. Passes over the data.
    int max_passes = 100;
};

/// Platt scaling: p' = sigmoid(slope * f + intercept), f the log-odds of a probability or any real score.
///
///   fit minimises  sum_i w_i [ softplus(a f_i + b) - t_i (a f_i + b) ]
///
/// Fit       Newton's method from a = 0, b = ln((N+ + 1)/(N- + 1)); from the fit of a sixteenth of the rows when there
///           are 8192 or more. All scores equal: slope 0, the intercept gives the mean target. One class: slope near 0
///           with smoothed targets. Without smoothing, data that a threshold separates (or of one class) have no
///           optimum; the result is then finite, steep and depends on max_passes.
/// Throws    fit: std::invalid_argument when columns differ in length or an option is out of range; counts and skips
///           bad examples. apply: std::invalid_argument when sizes differ; propagates NaN.
/// Cost      fit: one pass to check the rows and about three Newton passes, one exponential a row each; n scores of
///           scratch for probabilities, n / 16 rows for the sample. apply: one exponential, and a logarithm for
///           probabilities.
/// Numerics  float scores run in float lanes with sums in double: parameters within about 1e-6 of the double ones.
/// Source    Platt 1999; targets and iteration as in Lin, Lin and Weng 2007.
class platt {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("PLAT");
    static constexpr std::uint32_t bytes_version = 1;

    /// The identity: slope 1, intercept 0.
    platt() noexcept = default;
    /// Throws    std::invalid_argument when a parameter is not finite.
    platt(double slope, double intercept, score_kind input = score_kind::probability)
        : slope_(slope), intercept_(intercept), input_(input) {
        expects(std::isfinite(slope) && std::isfinite(intercept), "platt", "slope ", slope, " and intercept ",
                intercept, " must be finite");
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static platt fit(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                     const platt_options& options = {}) {
        const auto batch = make_scored("platt", scores, labels, weights);
        expects(options.tolerance > 0.0, "platt", "tolerance must be > 0, got ", options.tolerance);
        expects(options.max_passes >= 1, "platt", "max_passes must be >= 1, got ", options.max_passes);
        return fit_batch<Isa>(where, batch, options);
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return detail::map_one<Isa>(score, [this](auto f) { return this->map(f); });
    }

    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        detail::map_scores<Isa>("platt", where, scores, out, [this](auto f) { return this->map(f); });
    }

    double slope() const noexcept { return slope_; }
    double intercept() const noexcept { return intercept_; }
    score_kind input_kind() const noexcept { return input_; }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put(slope_);
        out.put(intercept_);
        out.put(static_cast<std::uint8_t>(input_));
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static platt read(byte_reader& in) {
        platt p;
        p.slope_ = in.get<double>();
        p.intercept_ = in.get<double>();
        expects_bytes(std::isfinite(p.slope_) && std::isfinite(p.intercept_), "platt", "parameters must be finite");
        p.input_ = detail::read_score_kind(in, "platt");
        p.seen_.accepted = in.get<std::uint64_t>();
        p.seen_.rejected = in.get<std::uint64_t>();
        return p;
    }

  private:
    template <class V>
    RECKON_INLINE V map(V score) const noexcept {
        using T = simd::lane_t<V>;
        using simd::mul_add;
        const V f = detail::score_as_logit(score, input_);
        return math::sigmoid(mul_add(V(static_cast<T>(slope_)), f, V(static_cast<T>(intercept_))));
    }

    template <class Isa, exec::policy Policy, class P, class Y, class W>
    static platt fit_batch(const Policy& where, const scored<P, Y, W>& batch, const platt_options& options) {
        const detail::logit_rows<P, Y, W, Isa> data(where, batch, options.input);
        const auto& total = data.summary();
        platt fitted;
        fitted.input_ = options.input;
        fitted.seen_ = total.seen;
        if (!(total.weight > 0.0)) return fitted;

        detail::logistic_model<detail::affine_features> model;
        model.features = detail::affine_features::over(total.lowest, total.highest, total.score_sum / total.weight);
        if (options.smooth_targets) model.targets = detail::smoothed_targets(total.positive, total.negative());
        model.theta = {0.0, std::log((total.positive + 1.0) / (total.negative() + 1.0))};
        const detail::row_sample<P, Y, W> sample(data.rows());
        const auto start = detail::minimise_log_loss<Isa>(where, sample.rows(), model, {1e-3, 20});
        if (start.converged) model.theta = start.theta;
        const auto theta =
            detail::minimise_log_loss<Isa>(where, data.rows(), model, {options.tolerance, options.max_passes}).theta;
        fitted.slope_ = theta[0] * model.features.scale;
        fitted.intercept_ = theta[1] + theta[0] * model.features.shift;
        return fitted;
    }

    double slope_ = 1.0;
    double intercept_ = 0.0;
    score_kind input_ = score_kind::probability;
    counts seen_;
};

}  // namespace reckon
