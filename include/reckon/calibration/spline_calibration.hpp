// Spline calibration: the slope of a smooth curve through the cumulative labels in score order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/knots.hpp"
#include "reckon/calibration/detail/natural_cubic.hpp"
#include "reckon/calibration/detail/score_groups.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// How spline_calibration::fit works.
struct spline_calibration_options {
    /// 2 .. 16. Knots of the spline, evenly spaced in rank; 2 give the mean label everywhere.
    std::size_t knots = 6;
    /// 1 .. 65536. Steps of equal mass at whose scores the slope is tabulated.
    std::size_t segments = 64;
};

/// Spline calibration: with rows in score order, h(t) is the share of weight of the positives among the first part t of
/// the rows; p' is the slope h'(t) of a spline through it, at the rank t of the score.
///
///   h_k = (1/W) sum_{j <= k} w_j y_j,  t_k = (1/W) sum_{j <= k} w_j;   spline = argmin sum_k w_k (h_k - spline(t_k))^2
///
/// Not monotone in the score: where the data say so, it falls.
///
/// Fit       least squares over natural cubic splines that keep h(0) = 0 and h(1) = mean label, so that p' averages to the
///           mean label over the ranks before it is clipped to [0, 1]. Equal scores are one point, and get the mean slope
///           over their ranks. The map from score to p' is a polygon through (score, p') at the ranks k / segments,
///           constant outside. Fewer distinct scores than knots: as many knots as there are scores plus one. No data: the
///           identity on [0, 1]. One class or one distinct score: the mean label.
/// Throws    fit: std::invalid_argument when columns differ in length or an option is out of range; counts and skips
///           scores that are NaN or beyond float, labels outside [0, 1], negative or infinite weights. apply:
///           std::invalid_argument when sizes differ; propagates NaN.
/// Cost      fit: a partition (float scores, 0/1 labels, no weights) or a radix sort and one pass over the distinct
///           scores, on one thread; 24 bytes of scratch a distinct score. apply: a table look-up and a few comparisons.
/// Numerics  in double.
/// Source    After Gupta et al. 2021. The ends that are kept, the treatment of ties and the polygon are ours.
class spline_calibration {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("SPLC");
    static constexpr std::uint32_t bytes_version = 1;
    static constexpr std::size_t most_segments = 65536;

    /// The identity on [0, 1].
    spline_calibration() = default;
    /// The polygon through given points.
    ///
    /// Throws    std::invalid_argument unless scores are finite floats that increase and levels are in [0, 1].
    spline_calibration(std::vector<double> scores, std::vector<double> levels) {
        const char* const fault = knot_fault(scores, levels);
        expects(fault == nullptr, "spline_calibration", fault == nullptr ? "" : fault);
        map_ = detail::polygon(std::move(scores), std::move(levels));
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static spline_calibration fit(const Policy&, const P& scores, const Y& labels, const W& weights = {},
                                  const spline_calibration_options& options = {}) {
        exec::detail::require_host_policy<Policy>();
        const auto batch = make_scored("spline_calibration", scores, labels, weights);
        expects(2 <= options.knots && options.knots <= detail::most_spline_knots, "spline_calibration",
                "knots must be in [2, 16], got ", options.knots);
        expects(1 <= options.segments && options.segments <= most_segments, "spline_calibration",
                "segments must be in [1, 65536], got ", options.segments);
        const auto groups = detail::group_scores<Isa>(batch);
        spline_calibration fitted;
        fitted.seen_ = groups.seen;
        if (!groups.scores.empty()) fitted.map_ = tabulate(groups, options);
        return fitted;
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        T level;
        map_.map_block<1>(&score, &level, 1);
        return level;
    }
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        detail::map_score_blocks(
            "spline_calibration", where, scores, out,
            [this]<std::size_t N, class T>(const T* from, T* to, std::size_t n) { map_.map_block<N>(from, to, n); });
    }

    /// Corners of the polygon in ascending order of score; none for the identity.
    const std::vector<double>& knot_scores() const noexcept { return map_.scores(); }
    const std::vector<double>& knot_levels() const noexcept { return map_.levels(); }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        out.put_array(knot_scores());
        out.put_array(knot_levels());
    }
    static spline_calibration read(byte_reader& in) {
        spline_calibration model;
        model.seen_.accepted = in.get<std::uint64_t>();
        model.seen_.rejected = in.get<std::uint64_t>();
        auto scores = in.get_array<double>(most_segments + 1);
        auto levels = in.get_array<double>(most_segments + 1);
        const char* const fault = knot_fault(scores, levels);
        expects_bytes(fault == nullptr, "spline_calibration", fault == nullptr ? "" : fault);
        model.map_ = detail::polygon(std::move(scores), std::move(levels));
        return model;
    }

  private:
    static const char* knot_fault(const std::vector<double>& scores, const std::vector<double>& levels) noexcept {
        if (scores.size() > most_segments + 1) return "at most 65537 corners are possible";
        return detail::polygon::fault(scores, levels);
    }

    static detail::polygon tabulate(const detail::score_groups& groups, const spline_calibration_options& options) {
        const std::size_t m = groups.scores.size();
        const double total = groups.mass.back().weight;
        const double mean = (std::min)(groups.mass.back().positive / total, 1.0);
        const auto rank = [&](std::size_t k) { return groups.mass[k].weight / total; };

        // The spline without its straight part: 0 at both ends, and 0 where no point says anything.
        const std::size_t pieces = (std::min)(options.knots, m + 1) - 1;
        const auto count = static_cast<double>(pieces);
        std::vector<detail::piece_moments> moments(pieces);
        double before = 0.0;
        for (std::size_t k = 1; k < m; ++k) {
            const double t = rank(k), place = t * count;
            const std::size_t p = (std::min)(static_cast<std::size_t>(place), pieces - 1);
            moments[p].absorb(place - static_cast<double>(p), groups.mass[k].positive / total - mean * t, t - before);
            before = t;
        }
        std::vector<double> places(pieces + 1);
        for (std::size_t i = 0; i <= pieces; ++i) places[i] = static_cast<double>(i);
        const auto spline = detail::natural_cubic(places, detail::least_squares_knots(moments));

        // Mean slope over the ranks from a to b > a: Simpson's rule is exact on each piece.
        const auto mean_slope = [&](double a, double b) {
            double low = a * count, sum = 0.0;
            const double high = b * count, width = high - low;
            auto p = (std::min)(static_cast<std::size_t>(low), pieces - 1);
            if (!(width > 0.0)) return mean + count * spline[p].slope(low - static_cast<double>(p));
            for (;; ++p) {
                const double first = static_cast<double>(p);
                const double end = p + 1 < pieces ? (std::min)(high, first + 1.0) : high;
                const double slopes = spline[p].slope(low - first) + spline[p].slope(end - first) +
                                      4.0 * spline[p].slope(0.5 * (low + end) - first);
                sum += (end - low) * slopes;
                if (!(end < high)) break;
                low = end;
            }
            return mean + count * sum / (6.0 * width);
        };
        std::vector<double> scores, levels;
        for (std::size_t s = 0, k = 0; s <= options.segments; ++s) {
            const double target = static_cast<double>(s) / static_cast<double>(options.segments);
            while (k + 1 < m && !(rank(k + 1) > target)) ++k;
            const double score = groups.scores[k];
            if (!scores.empty() && !(scores.back() < score)) continue;
            scores.push_back(score);
            levels.push_back(std::clamp(mean_slope(rank(k), rank(k + 1)), 0.0, 1.0));
        }
        return detail::polygon(std::move(scores), std::move(levels));
    }

    detail::polygon map_;
    counts seen_;
};

}  // namespace reckon
