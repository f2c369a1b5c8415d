// Smoothed isotonic regression: isotonic rates of equal-mass bins, joined by straight lines.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/bin_rates.hpp"
#include "reckon/calibration/isotonic.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/metrics/score_bins.hpp"

namespace reckon {

/// How sir::fit works.
struct sir_options {
    /// 1 .. 2^20. Bins of equal mass, fewer when scores repeat.
    std::size_t bins = 100;
};

/// Smoothed isotonic regression: a non-decreasing polygon through (0, 0), the points (mean score, isotonic rate) of the
/// bins, and (1, 1).
///
/// Fit       equal-mass bins (as in histogram_binning), weighted isotonic regression of their rates. A bin whose mean
///           score is 0 or 1 replaces that end point. No data: the identity. One distinct score or one class: the
///           polygon through the one point, or along the flat level to the last bin and from there to (1, 1).
/// Throws    fit: std::invalid_argument when columns differ in length or bins is out of range; counts and skips bad
///           examples. apply: std::invalid_argument when sizes differ; propagates NaN, scores outside [0, 1] are moved
///           to the nearer end.
/// Cost      fit: three passes, the first two on one thread. apply: two look-ups, a few comparisons and a
///           multiply-add, without a branch on the score.
/// Numerics  in double; non-decreasing in the score to the last bit.
/// Source    Deng et al. 2020.
class sir {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("SIR ");
    static constexpr std::uint32_t bytes_version = 1;
    /// The fit ranks rows, whatever their weight: see refit().
    static constexpr bool ranks_rows = true;

    /// The identity.
    sir() : sir({0.0, 1.0}, {0.0, 1.0}) {}
    /// The polygon through given points.
    ///
    /// Throws    std::invalid_argument unless x rises strictly from 0 to 1 and y does not fall within [0, 1].
    sir(std::vector<double> x, std::vector<double> y) : x_(std::move(x)), y_(std::move(y)) {
        const char* const fault = knot_fault(x_, y_);
        expects(fault == nullptr, "sir", fault == nullptr ? "" : fault);
        lines_ = detail::line_table(x_, y_);
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static sir fit(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                   const sir_options& options = {}) {
        const auto batch = make_scored("sir", scores, labels, weights);
        expects(1 <= options.bins && options.bins <= score_bins::max_size, "sir", "bins must be in [1, 2^20], got ",
                options.bins);
        return from_sums(exec::fold_parts(
            where, detail::score_bin_sums<Isa>(detail::equal_mass_bins<Isa>(batch, options.bins)), batch));
    }
    /// The calibrator that belongs to sums per bin, wherever they were gathered.
    template <class Isa>
    static sir from_sums(const detail::score_bin_sums<Isa>& sums) {
        std::vector<double> score, rate, weight;
        for (std::size_t b = 0; b < sums.cells().size(); ++b) {
            const auto& cell = sums.cells()[b];
            if (!(cell.weight > 0.0)) continue;
            // Rounding must not carry a mean over the edge of its bin.
            const double mean = std::clamp(cell.score_sum / cell.weight, sums.bins().lower(b), sums.bins().upper(b));
            const double mean_label = (std::min)(cell.positive / cell.weight, 1.0);
            if (!score.empty() && !(score.back() < mean)) {  // at the very edge: one point for both
                const double total = weight.back() + cell.weight;
                rate.back() += (mean_label - rate.back()) * (cell.weight / total);
                weight.back() = total;
                continue;
            }
            score.push_back(mean);
            rate.push_back(mean_label);
            weight.push_back(cell.weight);
        }
        isotonic_regression<std::vector<double>, std::vector<double>&, std::vector<double>, Isa>(rate, rate, weight);
        for (double& r : rate) r = std::clamp(r, 0.0, 1.0);
        std::vector<double> x, y;
        if (score.empty() || score.front() > 0.0) {
            x.push_back(0.0);
            y.push_back(0.0);
        }
        x.insert(x.end(), score.begin(), score.end());
        y.insert(y.end(), rate.begin(), rate.end());
        if (score.empty() || score.back() < 1.0) {
            x.push_back(1.0);
            y.push_back(1.0);
        } else if (x.size() == 1) {  // the only mean score is 1
            x.insert(x.begin(), 0.0);
            y.insert(y.begin(), 0.0);
        }
        sir fitted(std::move(x), std::move(y));
        fitted.seen_ = sums.seen();
        return fitted;
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return lines_.at(score);
    }
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        lines_.template apply<Isa>("sir", where, scores, out);
    }

    /// Corners of the polygon in ascending order.
    const std::vector<double>& knot_scores() const noexcept { return x_; }
    const std::vector<double>& knot_values() const noexcept { return y_; }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put_array(x_);
        out.put_array(y_);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static sir read(byte_reader& in) {
        auto x = in.get_array<double>(score_bins::max_size + 2);
        auto y = in.get_array<double>(score_bins::max_size + 2);
        const char* const fault = knot_fault(x, y);
        expects_bytes(fault == nullptr, "sir", fault == nullptr ? "" : fault);
        sir s(std::move(x), std::move(y));
        s.seen_.accepted = in.get<std::uint64_t>();
        s.seen_.rejected = in.get<std::uint64_t>();
        return s;
    }

  private:
    static const char* knot_fault(const std::vector<double>& x, const std::vector<double>& y) noexcept {
        if (x.size() != y.size() || x.size() < 2) return "needs two corners or more, as many scores as values";
        if (x.front() != 0.0 || x.back() != 1.0) return "corner scores must reach from 0 to 1";
        for (std::size_t i = 0; i < x.size(); ++i) {
            if (!(0.0 <= y[i] && y[i] <= 1.0)) return "corner values must be in [0, 1]";
            if (i > 0 && !(x[i - 1] < x[i])) return "corner scores must increase";
            if (i > 0 && !(y[i - 1] <= y[i])) return "corner values must not decrease";
        }
        return nullptr;
    }

    std::vector<double> x_, y_;
    detail::line_table lines_;
    counts seen_;
};

}  // namespace reckon
