// Scaling-binning: a Platt curve, made a step function whose steps can be counted on.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/bin_rates.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/calibration/detail/sorted_cuts.hpp"
#include "reckon/calibration/platt.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/metrics/score_bins.hpp"

namespace reckon {

/// How scaling_binning::fit works.
struct scaling_binning_options {
    /// 1 .. 2^20. Bins of equal mass, fewer when scores repeat.
    std::size_t bins = 15;
    /// The curve, and what the scores are.
    platt_options scaler = {};
};

namespace detail {

/// Mergeable sums of a Platt curve's values per bin of the scores.
template <class Isa>
struct scaled_bin_sums {
    struct cell {
        double weight = 0;
        double value = 0;  // sum of w platt(f)
    };
    const platt* curve = nullptr;
    const sorted_cuts* bins = nullptr;
    std::vector<cell> cells;
    counts seen;

    template <class P, class Y, class W>
    void absorb(const scored<P, Y, W>& rows) noexcept {
        P values[block_rows];
        for (std::size_t first = 0; first < rows.size(); first += block_rows) {
            const auto block = rows.slice(first, (std::min)(block_rows, rows.size() - first));
            curve->template apply<exec::serial_policy, vector_view<const P>, vector_view<P>, Isa>(
                exec::serial, block.scores, vector_view<P>(values, block.size()));
            for (std::size_t i = 0; i < block.size(); ++i) {
                const bool ok = usable(block, i, curve->input_kind());
                seen.absorb(ok);
                if (!ok) continue;
                cell& c = cells[bins->count_up_to(block.scores[i])];
                c.weight += block.weight(i);
                c.value += block.weight(i) * static_cast<double>(values[i]);
            }
        }
    }
    void merge(const scaled_bin_sums& other) noexcept {
        for (std::size_t b = 0; b < cells.size(); ++b) {
            cells[b].weight += other.cells[b].weight;
            cells[b].value += other.cells[b].value;
        }
        seen.merge(other.seen);
    }
};

/// Cuts as those of equal_mass_bins, for scores of either kind.
template <class Isa, class P, class Y, class W>
std::vector<double> equal_mass_cuts(const scored<P, Y, W>& rows, score_kind kind, std::size_t bins) {
    std::vector<double> cuts;
    if (kind == score_kind::probability) {
        const score_bins made = equal_mass_bins<Isa>(rows, bins);
        for (std::size_t b = 1; b < made.size() && !made.equal_width(); ++b) cuts.push_back(made.lower(b));
        return cuts;
    }
    std::vector<P> sorted;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (usable(rows, i, kind) && rows.weight(i) > 0.0) sorted.push_back(rows.scores[i] + P(0));  // -0 becomes +0
    }
    std::sort(sorted.begin(), sorted.end());
    for (std::uint64_t k = 1; k < bins && !sorted.empty(); ++k) {
        const auto cut = static_cast<double>(sorted[static_cast<std::size_t>(k * sorted.size() / bins)]);
        if (cuts.empty() || cuts.back() < cut) cuts.push_back(cut);
    }
    return cuts;
}

}  // namespace detail

/// Scaling-binning: p' is the mean, over the rows in the same bin, of what a Platt curve gives them.
///
/// The output takes few values, so its calibration error can be measured, which that of a curve cannot; and the mean of
/// the curve varies less than the mean label that histogram binning takes.
///
/// Fit       a Platt curve to all rows; then bins of equal mass and the means in them, from the same rows, as the
///           authors do in practice. from_platt() takes the curve from other rows, as their theorem asks for. Bins are
///           cut at scores (as in histogram_binning), which is the same as at values of the curve because that is
///           monotone; so the curve is not evaluated when the map is applied. No data: one bin with the value 1/2. One
///           distinct score: one value. One class: steps along the curve that platt gives.
/// Throws    fit: std::invalid_argument when columns differ in length or an option is out of range; counts and skips
///           bad examples. apply: std::invalid_argument when sizes differ; propagates NaN, scores beyond those of the
///           fit go to the first and the last bin.
/// Cost      fit: that of platt, two passes for the cuts on one thread (a sort for log-odds) and one for the means.
///           apply: two look-ups and a few comparisons, without a branch on the score.
/// Numerics  the curve in lanes of the scores' type, sums in double. Non-decreasing where the slope of the curve is not
///           negative.
/// Source    Kumar, Liang and Ma 2019; ties are ours.
class scaling_binning {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("SCBN");
    static constexpr std::uint32_t bytes_version = 1;
    /// The fit ranks rows, whatever their weight: see refit().
    static constexpr bool ranks_rows = true;

    /// One bin with the value 1/2.
    scaling_binning() : steps_({}, {0.5}) {}

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static scaling_binning fit(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                               const scaling_binning_options& options = {}) {
        const auto batch = make_scored("scaling_binning", scores, labels, weights);
        expects_legal(options);
        return from_batch<Isa>(where, platt::fit<Policy, P, Y, W, Isa>(where, scores, labels, weights, options.scaler),
                               batch, options.bins);
    }
    /// Bins for a curve that was fitted on other rows. Labels are not needed.
    template <exec::policy Policy, vector_like P, class W = none, class Isa = isa::native>
    static scaling_binning from_platt(const Policy& where, const platt& curve, const P& scores, const W& weights = {},
                                      const scaling_binning_options& options = {}) {
        const std::vector<std::uint8_t> labels(input(scores).size(), 0);
        const auto batch = make_scored("scaling_binning", scores, labels, weights);
        expects_legal(options);
        return from_batch<Isa>(where, curve, batch, options.bins);
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return steps_.at(score);
    }
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        steps_.template apply<Isa>("scaling_binning", where, scores, out);
    }

    /// The curve that the values are means of.
    const platt& curve() const noexcept { return curve_; }
    /// Scores at which the bins start, without the first.
    vector_view<const double> cuts() const noexcept { return steps_.cuts(); }
    /// One value more than cuts.
    const std::vector<double>& values() const noexcept { return steps_.values(); }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        curve_.write(out);
        steps_.write(out);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static scaling_binning read(byte_reader& in) {
        scaling_binning s;
        s.curve_ = platt::read(in);
        s.steps_ = detail::step_table::read(in, "scaling_binning");
        s.seen_.accepted = in.get<std::uint64_t>();
        s.seen_.rejected = in.get<std::uint64_t>();
        return s;
    }

  private:
    static void expects_legal(const scaling_binning_options& options) {
        expects(1 <= options.bins && options.bins <= score_bins::max_size, "scaling_binning",
                "bins must be in [1, 2^20], got ", options.bins);
    }
    template <class Isa, exec::policy Policy, class P, class Y, class W>
    static scaling_binning from_batch(const Policy& where, const platt& curve, const scored<P, Y, W>& batch,
                                      std::size_t bins) {
        auto cuts = detail::equal_mass_cuts<Isa>(batch, curve.input_kind(), bins);
        const detail::sorted_cuts index(cuts);
        detail::scaled_bin_sums<Isa> sums;
        sums.curve = &curve;
        sums.bins = &index;
        sums.cells.resize(cuts.size() + 1);
        sums = exec::fold_parts(where, sums, batch);
        scaling_binning fitted;
        fitted.curve_ = curve;
        fitted.seen_ = sums.seen;
        // Only the first bin can be empty: when the cuts include the lowest score.
        std::vector<double> values;
        if (!(sums.cells[0].weight > 0.0) && !cuts.empty()) {
            sums.cells.erase(sums.cells.begin());
            cuts.erase(cuts.begin());
        }
        const bool rises = curve.slope() >= 0.0;
        for (const auto& c : sums.cells) {
            double value = c.weight > 0.0 ? (std::min)(c.value / c.weight, 1.0) : 0.5;
            // Means of equal values may differ by their rounding.
            if (!values.empty()) value = rises ? (std::max)(value, values.back()) : (std::min)(value, values.back());
            values.push_back(value);
        }
        fitted.steps_ = detail::step_table(std::move(cuts), std::move(values));
        return fitted;
    }

    platt curve_;
    detail::step_table steps_;
    counts seen_;
};

}  // namespace reckon
