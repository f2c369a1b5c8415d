// Log-loss, normalized entropy, Brier score and PCOC: the metrics that are sums over single predictions.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/calibration_report.simd.hpp"
#include "reckon/metrics/detail/examples.hpp"

namespace reckon {

struct log_loss_options {
    /// Inside the logarithm a prediction is clipped to [epsilon, 1 - epsilon]; in [1e-16, 0.1].
    double epsilon = 1e-7;
};

class calibration_summary;

/// State of the metrics that are sums over single predictions p of labels y with weights w (proper scoring rules).
///
///   log_loss           = sum w [-y ln p - (1 - y) ln(1 - p)] / sum w                 nats
///   normalized_entropy = log_loss / H(ybar),  H(q) = -q ln q - (1 - q) ln(1 - q),  ybar = sum w y / sum w
///   brier              = sum w (p - y)^2 / sum w
///   pcoc               = sum w p / sum w y                                           predicted over observed
///
/// Examples with a score, label or weight out of range (NaN included) are counted and skipped.
/// Numerics  double; single examples and batches add to compensated sums. A batch of unweighted 0/1 labels is summed in
///           lanes first. ln(1 - p) by log1p, in lanes by the logarithm of products of 16 clipped probabilities. Every figure of the identity is NaN. Without a positive
///           label pcoc() is inf; with one class of labels the entropy is 0 and normalized_entropy() is inf.
/// Source    Brier 1950; He et al. 2014 for the normalized entropy.
class proper_scores {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("PSCO");
    static constexpr std::uint32_t bytes_version = 1;

    proper_scores() = default;
    /// Throws    std::invalid_argument when epsilon is out of range.
    explicit proper_scores(const log_loss_options& options) : epsilon_(options.epsilon) {
        expects(legal(epsilon_), "proper_scores", "epsilon must be in [1e-16, 0.1], got ", epsilon_);
    }

    void absorb(double p, double y, double w = 1.0) noexcept {
        const bool ok = detail::usable_example(p, y, w);
        seen_.absorb(ok);
        if (!ok) return;
        const double gap = p - y;
        weight_.absorb(w);
        score_.absorb(w * p);
        label_.absorb(w * y);
        square_.absorb(w * (gap * gap));
        loss_.absorb(w * loss_of(p, y));
    }
    template <class P, class Y, class W, class Isa = isa::native>
    void absorb(const scored<P, Y, W>& batch) noexcept {
        const auto careful = [&](std::size_t first, std::size_t last) {
            for (std::size_t i = first; i < last; ++i) absorb(batch.score(i), batch.label(i), batch.weight(i));
        };
        if (!batch.weights.empty()) return careful(0, batch.size());
        detail::report_sums sums;
        const std::uint64_t rows = detail::for_each_report_block<Isa>(
            batch.scores, batch.labels,
            [&](const detail::report_columns& block) {
                return detail::absorb_report_block<Isa, detail::report_part::losses>(block, epsilon_, sums);
            },
            careful);
        absorb_sums(sums, rows);
    }
    /// Throws    std::invalid_argument when the two clip differently.
    void merge(const proper_scores& other) {
        expects(epsilon_ == other.epsilon_, "proper_scores", "cannot merge epsilon ", other.epsilon_,
                " into one of epsilon ", epsilon_);
        weight_.merge(other.weight_);
        score_.merge(other.score_);
        label_.merge(other.label_);
        square_.merge(other.square_);
        loss_.merge(other.loss_);
        seen_.merge(other.seen_);
    }

    double weight() const noexcept { return weight_.value(); }
    double mean_score() const noexcept { return mean(score_); }
    double mean_label() const noexcept { return mean(label_); }
    double log_loss() const noexcept { return mean(loss_); }
    double brier() const noexcept { return mean(square_); }
    double normalized_entropy() const noexcept {
        const double y = mean_label();
        const double entropy = -(y > 0.0 ? y * std::log(y) : 0.0) - (y < 1.0 ? (1.0 - y) * std::log1p(-y) : 0.0);
        return detail::ratio_or_nan(log_loss(), std::fabs(entropy), weight());
    }
    double pcoc() const noexcept { return detail::ratio_or_nan(score_.value(), label_.value(), weight()); }
    /// Observed over predicted: the literature reports both.
    double inverse_pcoc() const noexcept { return detail::ratio_or_nan(label_.value(), score_.value(), weight()); }
    /// The log-loss.
    double finish() const noexcept { return log_loss(); }

    double epsilon() const noexcept { return epsilon_; }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    void write(byte_writer& out) const {
        out.put(epsilon_);
        for (const compensated_sum* s : {&weight_, &score_, &label_, &square_, &loss_}) detail::put_sum(out, *s);
        detail::put_counts(out, seen_);
    }
    static proper_scores read(byte_reader& in) {
        proper_scores state;
        state.epsilon_ = in.get<double>();
        expects_bytes(legal(state.epsilon_), "proper_scores", "epsilon ", state.epsilon_, " is out of range");
        for (compensated_sum* s : {&state.weight_, &state.score_, &state.label_, &state.square_, &state.loss_}) {
            *s = detail::get_positive_sum(in, "proper_scores");
        }
        // No mean is above 1, and no loss above that of the clipped prediction; up to rounding.
        const double most = state.weight() * (1.0 + 1e-9);
        for (const compensated_sum* s : {&state.score_, &state.label_, &state.square_}) {
            expects_bytes(s->value() <= most, "proper_scores", "sum ", s->value(), " with weight ", state.weight());
        }
        expects_bytes(state.loss_.value() <= -std::log(state.epsilon_) * most, "proper_scores", "log-loss ",
                      state.loss_.value(), " with weight ", state.weight());
        state.seen_ = detail::get_counts(in);
        return state;
    }

  private:
    friend class calibration_summary;

    // Rows without weights, summed up elsewhere.
    void absorb_sums(const detail::report_sums& sums, std::uint64_t rows) noexcept {
        weight_.absorb(static_cast<double>(rows));
        score_.absorb(sums.score);
        label_.absorb(sums.label);
        square_.absorb(sums.square);
        loss_.absorb(sums.loss);
        seen_.accepted += rows;
    }
    static bool legal(double epsilon) noexcept { return epsilon >= 1e-16 && epsilon <= 0.1; }
    double mean(const compensated_sum& s) const noexcept { return detail::ratio_or_nan(s.value(), weight(), weight()); }
    // -ln of a probability clipped to [epsilon, 1 - epsilon]; `other` is its complement.
    double surprise(double q, double other) const noexcept {
        if (q < epsilon_) return -std::log(epsilon_);
        if (other < epsilon_) return -std::log1p(-epsilon_);
        return q < 0.5 ? -std::log(q) : -std::log1p(-other);
    }
    double loss_of(double p, double y) const noexcept {
        double loss = 0.0;
        if (y > 0.0) loss += y * surprise(p, 1.0 - p);
        if (y < 1.0) loss += (1.0 - y) * surprise(1.0 - p, p);
        return loss;
    }

    double epsilon_ = log_loss_options{}.epsilon;
    compensated_sum weight_, score_, label_, square_, loss_;
    counts seen_;
};

/// Log-loss, normalized entropy, Brier score and PCOC of a batch in one pass.
///
/// Shapes    scores, labels [N]; weights [N] or empty for ones.
/// Returns   proper_scores; merges over shards.
/// Throws    std::invalid_argument on lengths that differ or an epsilon out of range. Bad values are counted and
///           skipped.
/// Cost      one pass; for unweighted 0/1 labels in SIMD lanes with one logarithm for 16 examples, otherwise one or two
///           logarithms per example.
/// Numerics  as proper_scores.
template <exec::policy Policy, vector_like P, vector_like Y, class W = none>
proper_scores score_predictions(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                                const log_loss_options& options = {}) {
    return exec::fold_parts(where, proper_scores(options), make_scored("score_predictions", scores, labels, weights));
}

/// Weighted mean log-loss in nats; as score_predictions().
template <exec::policy Policy, vector_like P, vector_like Y, class W = none>
double log_loss(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                const log_loss_options& options = {}) {
    return score_predictions(where, scores, labels, weights, options).log_loss();
}

/// Log-loss over the entropy of the base rate; as score_predictions().
template <exec::policy Policy, vector_like P, vector_like Y, class W = none>
double normalized_entropy(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                          const log_loss_options& options = {}) {
    return score_predictions(where, scores, labels, weights, options).normalized_entropy();
}

/// Weighted mean of (p - y)^2; as score_predictions().
template <exec::policy Policy, vector_like P, vector_like Y, class W = none>
double brier_score(const Policy& where, const P& scores, const Y& labels, const W& weights = {}) {
    return score_predictions(where, scores, labels, weights).brier();
}

/// Sum of predictions over sum of labels; as score_predictions().
template <exec::policy Policy, vector_like P, vector_like Y, class W = none>
double pcoc(const Policy& where, const P& scores, const Y& labels, const W& weights = {}) {
    return score_predictions(where, scores, labels, weights).pcoc();
}

/// Gradient of the sum of squared errors with respect to the predictions.
///
///   d/dp_i sum w (p - y)^2 = 2 w_i (p_i - y_i)
///
/// Shapes    scores, labels, gradient [N]; weights [N] or empty for ones. The gradient may not overlap the inputs.
/// Writes    adds scale times the gradient into `gradient`; scale = 1 / sum w gives that of the Brier score.
/// Throws    std::invalid_argument on lengths that differ. Propagates NaN.
/// Cost      O(N).
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Out, class W = none>
void brier_gradient(const Policy& where, const P& scores, const Y& labels, Out&& gradient, const W& weights = {},
                    double scale = 1.0) {
    const auto batch = make_scored("brier_gradient", scores, labels, weights);
    const auto out = view(gradient);
    using T = typename decltype(out)::value_type;
    expects(out.size() == batch.size(), "brier_gradient", batch.size(), " scores but room for ", out.size(),
            " derivatives");
    exec::map_parts(where, batch.size(), [=](std::size_t first, std::size_t count) {
        for (std::size_t i = first; i < first + count; ++i) {
            out[i] += static_cast<T>(scale * 2.0 * batch.weight(i) * (batch.score(i) - batch.label(i)));
        }
    });
}

}  // namespace reckon
