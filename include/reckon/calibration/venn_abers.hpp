// Inductive Venn-Abers prediction: two isotonic values a score, one of which belongs to a calibrated forecast.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/knots.hpp"
#include "reckon/calibration/detail/score_groups.hpp"
#include "reckon/calibration/detail/venn_abers.fit.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// Which loss the single probability minimises the greatest regret of.
enum class venn_abers_point : std::uint8_t {
    /// p1 / (1 - p0 + p1)
    log_loss = 0,
    /// p1 + p0^2 / 2 - p1^2 / 2
    brier = 1,
};

/// How venn_abers::fit works.
struct venn_abers_options {
    /// How p0 and p1 become one probability.
    venn_abers_point point = venn_abers_point::log_loss;
};

/// The two probabilities of one score; p0 <= p1.
struct venn_abers_interval {
    double p0 = 0.0;
    double p1 = 1.0;
};

/// Inductive Venn-Abers calibration: p0(s) and p1(s) are the isotonic values at s after (s, 0) or (s, 1) joined the
/// calibration rows with weight 1.
///
///   p = p1 / (1 - p0 + p1), or p1 + p0^2/2 - p1^2/2
///
/// The probability that belongs to the label to come is perfectly calibrated when the rows are exchangeable; p1 - p0
/// says how much is left open. p0, p1 and p do not fall in s.
///
/// Fit       both values for every score and every gap, kept as two step functions on the scores where one of them
///           changes. A fit to nothing: interval [0, 1], and p is the score itself, moved into [0, 1]. One class
///           of n rows: p1 = 1/(n + 1) below all scores, or p0 = n/(n + 1) above them. One distinct score: steps there.
/// Throws    fit, apply, intervals: std::invalid_argument when lengths differ; constructor: for steps that are none. The
///           fit counts and skips scores that are NaN or beyond float, labels outside [0, 1], negative or infinite
///           weights. apply propagates NaN.
/// Cost      fit: float scores with 0/1 labels and no weights are partitioned and swept in runs, otherwise a radix sort
///           and a sweep over distinct scores; both on one thread, O(n) after the sort, 8 bytes a row of scratch.
///           apply: a table look-up and a few comparisons a score.
/// Numerics  0/1 labels without weights: p0 and p1 are within one rounding up to 9e7 rows. Otherwise sums in double.
/// Source    Vovk, Petej and Fedorova 2015. Refitting is the definition; the sweep is ours.
class venn_abers {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("VENN");
    static constexpr std::uint32_t bytes_version = 1;

    /// Knows nothing: interval [0, 1], p the score itself.
    venn_abers() : venn_abers({}, {0.0}, {1.0}) {}
    /// From steps: p0 is lower[k] from knot k - 1 (included) up to knot k, p1 is upper[k] from knot k - 1 (excluded) up
    /// to and including knot k.
    ///
    /// Throws    std::invalid_argument unless knots rise, there is one more of lower and of upper, both stay in [0, 1]
    ///           without falling, and p0 <= p1 everywhere; without knots they are 0 and 1.
    venn_abers(std::vector<double> knots, std::vector<double> lower, std::vector<double> upper,
               venn_abers_point point = venn_abers_point::log_loss)
        : venn_abers(detail::venn_abers_steps{std::move(knots), std::move(lower), std::move(upper)}, point) {
        const char* const fault = step_fault(steps_);
        expects(fault == nullptr, "venn_abers", fault == nullptr ? "" : fault);
        index_steps();
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static venn_abers fit(const Policy&, const P& scores, const Y& labels, const W& weights = {},
                          const venn_abers_options& options = {}) {
        exec::detail::require_host_policy<Policy>();
        const auto batch = make_scored("venn_abers", scores, labels, weights);
        using score = typename decltype(batch)::score_type;
        detail::score_range range;
        if constexpr (std::is_same_v<score, float>) {
            if (batch.size() > 0 && detail::plain_rows<Isa>(batch, range)) {
                venn_abers fitted(detail::venn_abers_of_rows<Isa>(batch.scores, batch.labels, range), options.point);
                fitted.seen_.accepted = batch.size();
                fitted.index_steps();
                return fitted;
            }
        }
        const auto groups = detail::group_scores<Isa>(batch);
        venn_abers fitted(detail::venn_abers_of(groups), options.point);
        fitted.seen_ = groups.seen;
        fitted.index_steps();
        return fitted;
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return table_.empty() ? identity(score) : pick(table_.data(), score, knots_.count_up_to(score));
    }
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        if (table_.empty()) {
            detail::map_each_score<Isa>("venn_abers", where, scores, out, [](auto score) { return identity(score); });
        } else {
            detail::map_by_cuts<Isa>(
                "venn_abers", where, knots_, scores, out,
                [table = table_.data()](auto score, std::size_t count) { return pick(table, score, count); });
        }
    }

    /// p0 and p1 of one score; NaN for both at NaN.
    venn_abers_interval interval(double score) const noexcept {
        if (!(score == score)) return {score, score};
        const std::size_t count = knots_.count_up_to(score);
        // The step of p1 reaches up to and including its upper knot.
        const bool at_knot = count > 0 && steps_.knots[count - 1] == score;
        return {steps_.lower[count], steps_.upper[at_knot ? count - 1 : count]};
    }
    /// Writes p0 and p1 of a column of scores.
    template <exec::policy Policy, vector_like In, vector_like Lower, vector_like Upper>
    void intervals(const Policy& where, const In& scores, Lower&& lower, Upper&& upper) const {
        const auto from = input(scores);
        const auto p0 = detail::output_like("venn_abers", scores, lower);
        const auto p1 = detail::output_like("venn_abers", scores, upper);
        using T = typename decltype(from)::value_type;
        exec::map_parts(where, from.size(), [&](std::size_t first, std::size_t n) {
            for (std::size_t i = first; i < first + n; ++i) {
                const venn_abers_interval both = this->interval(static_cast<double>(from[i]));
                p0[i] = static_cast<T>(both.p0);
                p1[i] = static_cast<T>(both.p1);
            }
        });
    }

    /// The steps, as in the constructor.
    const std::vector<double>& knots() const noexcept { return steps_.knots; }
    const std::vector<double>& lower() const noexcept { return steps_.lower; }
    const std::vector<double>& upper() const noexcept { return steps_.upper; }
    venn_abers_point point() const noexcept { return point_; }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put(static_cast<std::uint8_t>(point_));
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        out.put_array(steps_.knots);
        out.put_array(steps_.lower);
        out.put_array(steps_.upper);
    }
    static venn_abers read(byte_reader& in) {
        const auto code = in.get<std::uint8_t>();
        expects_bytes(code <= 1, "venn_abers", "point value ", code, " is unknown");
        counts seen;
        seen.accepted = in.get<std::uint64_t>();
        seen.rejected = in.get<std::uint64_t>();
        detail::venn_abers_steps steps;
        steps.knots = in.get_array<double>();
        steps.lower = in.get_array<double>(steps.knots.size() + 1);
        steps.upper = in.get_array<double>(steps.knots.size() + 1);
        const char* const fault = step_fault(steps);
        expects_bytes(fault == nullptr, "venn_abers", fault == nullptr ? "" : fault);
        venn_abers model(std::move(steps), static_cast<venn_abers_point>(code));
        model.seen_ = seen;
        model.index_steps();
        return model;
    }

  private:
    venn_abers(detail::venn_abers_steps steps, venn_abers_point point) : steps_(std::move(steps)), point_(point) {}

    static const char* step_fault(const detail::venn_abers_steps& steps) noexcept {
        const std::vector<double>&p0 = steps.lower, &p1 = steps.upper;
        const std::size_t n = steps.knots.size();
        if (p0.size() != n + 1 || p1.size() != n + 1) return "one value more than knots is needed on both sides";
        if (n == 0 && !(p0[0] == 0.0 && p1[0] == 1.0)) return "without knots the interval must be [0, 1]";
        for (std::size_t k = 0; k <= n; ++k) {
            if (!(0.0 <= p0[k] && p0[k] <= 1.0 && 0.0 <= p1[k] && p1[k] <= 1.0)) return "values must be in [0, 1]";
            if (k > 0 && !(p0[k - 1] <= p0[k] && p1[k - 1] <= p1[k])) return "values must not decrease";
            if (!(p0[k] <= p1[k == 0 ? 0 : k - 1])) return "p0 must not exceed p1";
        }
        return detail::knot_score_fault(steps.knots);
    }

    double point_of(double p0, double p1) const noexcept {
        const double p =
            point_ == venn_abers_point::log_loss ? p1 / ((1.0 - p0) + p1) : p1 + 0.5 * (p0 - p1) * (p0 + p1);
        return std::clamp(p, 0.0, 1.0);
    }

    void index_steps() {
        const std::size_t n = steps_.knots.size();
        if (n == 0) return;
        knots_ = detail::sorted_cuts(steps_.knots);
        const double start = point_of(steps_.lower[0], steps_.upper[0]);
        table_.assign(1 + n, {-std::numeric_limits<double>::infinity(), start, start});
        for (std::size_t k = 1; k <= n; ++k) {
            // Rounding must not make the value fall.
            const double at = (std::max)(table_[k - 1].above, point_of(steps_.lower[k], steps_.upper[k - 1]));
            table_[k] = {steps_.knots[k - 1], at, (std::max)(at, point_of(steps_.lower[k], steps_.upper[k]))};
        }
    }
    // What a fit to nothing gives.
    template <class T>
    RECKON_INLINE static T identity(T score) noexcept {
        return (std::clamp)(score, T(0), T(1));  // NaN passes
    }

    // Probability at the knot, and above it up to the next one.
    struct step {
        double score;
        double at;
        double above;
    };
    // NaN in, NaN out.
    template <class T>
    RECKON_INLINE static T pick(const step* table, T score, std::size_t count) noexcept {
        const step& here = table[count];
        const auto value = static_cast<T>(static_cast<double>(score) == here.score ? here.at : here.above);
        return score == score ? value : score;
    }

    detail::venn_abers_steps steps_;
    venn_abers_point point_ = venn_abers_point::log_loss;
    counts seen_;
    // Derived from the steps for apply(); empty without knots.
    std::vector<step> table_;
    detail::sorted_cuts knots_;
};

}  // namespace reckon
