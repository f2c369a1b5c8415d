// What Gaussian and Gamma scaling share: a logistic curve of two columns that rises over a range of scores and is
// constant outside.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/newton.hpp"
#include "reckon/calibration/detail/rising.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"

namespace reckon::detail {

/// Scores of a ranged curve are at most this in size, so that their differences are finite in float.
inline constexpr double largest_ranged_score = 1.7e38;

/// Rises are per length of the range, log-odds are those at `centre`. Every value of the fields within its bounds makes a
/// curve that rises and has finite log-odds.
struct ranged_curve {
    double low_rise = 0.0;
    double high_rise = 0.0;
    double intercept = 0.0;
    double lowest = 0.0;
    double highest = 0.0;
    double centre = 0.0;
    counts seen;

    /// 1 / length of the range, 0 for a range of one score.
    double inverse() const noexcept { return highest - lowest >= 1e-37 ? 1.0 / (highest - lowest) : 0.0; }

    /// least: the smallest score that is legal.
    bool usable(double least) const noexcept {
        constexpr double steepest = 1e12;
        return 0.0 <= low_rise && low_rise <= steepest && 0.0 <= high_rise && high_rise <= steepest &&
               std::isfinite(intercept) && least <= lowest && lowest <= centre && centre <= highest &&
               highest <= largest_ranged_score;
    }
    void limit_rises() noexcept {
        low_rise = (std::min)(1e12, low_rise);
        high_rise = (std::min)(1e12, high_rise);
    }

    void write(byte_writer& out) const {
        for (const double x : {low_rise, high_rise, intercept, lowest, highest, centre}) out.put(x);
        out.put(seen.accepted);
        out.put(seen.rejected);
    }
    static ranged_curve read(byte_reader& in, const char* kernel, double least) {
        ranged_curve c;
        for (double* x : {&c.low_rise, &c.high_rise, &c.intercept, &c.lowest, &c.highest, &c.centre}) {
            *x = in.get<double>();
        }
        expects_bytes(c.usable(least), kernel, "rises must be in [0, 1e12] and the range legal");
        c.seen.accepted = in.get<std::uint64_t>();
        c.seen.rejected = in.get<std::uint64_t>();
        return c;
    }
};

/// The columns that a ranged curve is fitted on, from sums over the rows to the model and the directions of u = low_rise
/// and v = high_rise. Shape: columns (see logit_column), features, static prepare(curve, summary, features, curves) and
/// static intercept(curve, fit, features).
template <class Shape, class Isa, exec::policy Policy, class P, class Y, class W, class Options>
ranged_curve fit_ranged_curve(const Policy& where, const scored<P, Y, W>& batch, const Options& options,
                              const ranged_curve& nothing) {
    using columns = typename Shape::columns;
    const logit_rows<P, Y, W, Isa, columns> data(where, batch, score_kind::logit);
    const auto& total = data.summary();
    ranged_curve fitted = nothing;
    fitted.seen = total.seen;
    if (!(total.weight > 0.0)) return fitted;

    logistic_model<typename Shape::features> model;
    if (options.smooth_targets) model.targets = smoothed_targets(total.positive, total.negative());
    rising_curves curves;
    curves.flat = flat_log_odds(model.targets, total.positive, total.weight);
    fitted.lowest = total.lowest;
    fitted.highest = total.highest;
    const double mean = total.score_sum / total.weight;
    fitted.centre = std::isfinite(mean) ? (std::max)(fitted.lowest, (std::min)(fitted.highest, mean)) : fitted.lowest;
    fitted.low_rise = fitted.high_rise = 0.0;
    fitted.intercept = curves.flat;
    if (!(fitted.inverse() > 0.0) || !Shape::prepare(fitted, total, model.features, curves)) return fitted;

    model.theta = {0.0, 0.0, std::log((total.positive + 1.0) / (total.negative() + 1.0))};
    const auto rows = data.rows();
    const row_sample<P, Y, W> sample(rows);
    const newton_limits limits{options.tolerance, options.max_passes};
    rising_fit found;
    if constexpr (columns::paired) {
        found = minimise_rising<Isa>(where, rows, sample.paired_rows(), model, curves, limits);
    } else {
        found = minimise_rising<Isa>(where, rows, sample.rows(), model, curves, limits);
    }
    fitted.low_rise = found.u;
    fitted.high_rise = found.v;
    fitted.intercept = Shape::intercept(fitted, found, model.features, curves);
    fitted.limit_rises();
    return fitted;
}

}  // namespace reckon::detail
