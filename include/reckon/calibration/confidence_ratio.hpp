// Confidence-aware correction of one field value: how far its observed rate may pull its prediction.
#pragma once

#include <cmath>
#include <cstdint>

#include "reckon/calibration/beta_binomial_shrink.hpp"
#include "reckon/calibration/empirical_bayes.hpp"
#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/metrics/field_stats.hpp"
#include "reckon/metrics/wilson.hpp"

namespace reckon {

/// How the deviation l between prediction and observation, in standard errors, is reduced to g(l).
enum class intensity_kind : std::uint8_t {
    tanh = 0,             ///< s tanh(l / s): bounded by s, keeps the order of values
    gate = 1,             ///< 2 l / (1 + exp(|l| / s)): trusts large samples fully
    clamp = 2,            ///< l limited to [-s, s]: a prediction inside the interval stays
    full = 3,             ///< 0: the observed rate replaces the prediction
    empirical_bayes = 4,  ///< not a g: the ratio (K + kappa) / (P + kappa), see calibration/empirical_bayes.hpp
    beta_binomial = 5,    ///< not a g: the mean (K + kappa pb) / (n + kappa), see calibration/beta_binomial_shrink.hpp
};

/// Protection against values with few expected events: one lucky click would otherwise multiply a prediction.
enum class guard_kind : std::uint8_t {
    soft = 0,  ///< ln r is multiplied by P / (P + kappa)
    hard = 1,  ///< ln r is 0 while P < min_events
    off = 2,
};

struct confidence_options {
    intensity_kind intensity = intensity_kind::tanh;
    double scale = 1;  ///< s > 0, in standard errors
    guard_kind guard = guard_kind::soft;
    /// >= 0, in expected events: of the soft guard, or of the empirical-Bayes prior; in rows: of the beta-binomial
    /// prior. NaN lets confcalib find that of a prior from the data, see empirical_bayes_kappa() and
    /// beta_binomial_weight().
    double kappa = 4;
    double min_events = 3;      ///< >= 0: of the hard guard
    double ratio_floor = 1e-3;  ///< in [1e-300, 1]: least q / p before the guard, for values without any event
    double ratio_limit = 8;     ///< >= 1: r is clipped to [1 / limit, limit]; inf for no clip
};

namespace detail {

// Predicted means are kept away from 0 and 1, where a standard error is 0.
inline constexpr double least_mean = 1e-7;

RECKON_INLINE double inner_mean(double mean) noexcept {
    return mean < least_mean ? least_mean : mean > 1 - least_mean ? 1 - least_mean : mean;
}

// True for the kinds whose prior does the work of a guard.
RECKON_INLINE bool has_prior(intensity_kind kind) noexcept {
    return kind == intensity_kind::empirical_bayes || kind == intensity_kind::beta_binomial;
}

// Null when the options are in range.
inline const char* complaint(const confidence_options& o) noexcept {
    if (static_cast<unsigned>(o.intensity) > 5) return "unknown intensity";
    if (static_cast<unsigned>(o.guard) > 2) return "unknown guard";
    if (!(o.scale > 0)) return "the scale must be positive";
    const bool from_moments = has_prior(o.intensity) && std::isnan(o.kappa);
    if (!(o.kappa >= 0 || from_moments)) return "kappa must not be negative";
    if (!(o.min_events >= 0)) return "min_events must not be negative";
    if (!(o.ratio_floor >= 1e-300 && o.ratio_floor <= 1)) return "ratio_floor must be in [1e-300, 1]";
    if (!(o.ratio_limit >= 1)) return "ratio_limit must be at least 1";
    return nullptr;
}

}  // namespace detail

/// Signed deviation of a predicted mean from an observed rate, in standard errors of the prediction (score statistic).
///
///   l = (pb - yb) / sqrt(pb (1 - pb) / n)
///
/// n > 0, predicted pb in (0, 1), observed yb in [0, 1].
RECKON_INLINE double deviation(double n, double predicted, double observed) noexcept {
    return (predicted - observed) * std::sqrt(n / (predicted * (1 - predicted)));
}
/// d deviation / d predicted.
RECKON_INLINE double deviation_slope(double n, double predicted, double observed) noexcept {
    const double variance = predicted * (1 - predicted);
    return std::sqrt(n / variance) * (1 - (predicted - observed) * (1 - 2 * predicted) / (2 * variance));
}

/// g(l): odd, with the sign of l and no larger than it. s > 0.
inline double reduced_deviation(intensity_kind intensity, double l, double s) noexcept {
    switch (intensity) {
        case intensity_kind::tanh:
            return std::isinf(s) ? l : s * std::tanh(l / s);
        case intensity_kind::gate:
            return 2 * l / (1 + std::exp(std::fabs(l) / s));
        case intensity_kind::clamp:
            return l < -s ? -s : l > s ? s : l;
        default:
            return 0;
    }
}
/// g'(l); at the two kinks of `clamp` the value inside.
inline double reduced_deviation_slope(intensity_kind intensity, double l, double s) noexcept {
    switch (intensity) {
        case intensity_kind::tanh: {
            const double t = std::tanh(l / s);
            return (1 - t) * (1 + t);
        }
        case intensity_kind::gate: {
            // In e^(-|l|/s), which does not overflow.
            const double a = std::fabs(l) / s, e = std::exp(-a);
            return 2 * e / (1 + e) - 2 * a * e / ((1 + e) * (1 + e));
        }
        case intensity_kind::clamp:
            return std::fabs(l) <= s ? 1 : 0;
        default:
            return 0;
    }
}

/// The mean q whose deviation from the observed rate K / n is l: a bound of the Wilson interval with z = |l|.
RECKON_INLINE double deviated_mean(double n, double observed_sum, double l) noexcept {
    const interval both = wilson(observed_sum, n, std::fabs(l));
    return l >= 0 ? both.upper : both.lower;
}
/// d q / d l at q = deviated_mean(n, K, l), for q in (0, 1).
RECKON_INLINE double deviated_mean_slope(double n, double q, double l) noexcept {
    const double spread = q * (1 - q);
    return std::sqrt(spread / n) / (1 - l * (1 - 2 * q) / (2 * std::sqrt(n * spread)));
}

/// Calibrated mean of a field value before floor, guard and clip: its prediction moved towards its observed rate until
/// the deviation has shrunk from l to g(l).
///
/// Returns   q between the predicted mean (kept in [1e-7, 1 - 1e-7]) and the observed rate; NaN for an empty cell. For
///           empirical_bayes the predicted mean times the ratio, for beta_binomial the posterior mean.
inline double confidence_mean(const field_cell& cell, const confidence_options& options = {}) noexcept {
    const double pb = detail::inner_mean(cell.predicted / cell.n), yb = cell.observed / cell.n;
    if (options.intensity == intensity_kind::empirical_bayes) {
        return pb * empirical_bayes_ratio(cell.observed, pb * cell.n, options.kappa);
    }
    if (options.intensity == intensity_kind::beta_binomial) {
        return beta_binomial_mean(cell.n, cell.observed, pb, options.kappa);
    }
    const double l = reduced_deviation(options.intensity, deviation(cell.n, pb, yb), options.scale);
    const double q = l == 0 ? yb : deviated_mean(cell.n, cell.observed, l);
    // Only rounding can leave this range.
    return pb < yb ? (q < pb ? pb : q > yb ? yb : q) : (q < yb ? yb : q > pb ? pb : q);
}
/// d q / d (predicted mean) of confidence_mean() at fixed n and observed sum; 0 where the intensity does not look at
/// the prediction. Not for the kinds with a prior.
inline double confidence_mean_slope(const field_cell& cell, const confidence_options& options = {}) noexcept {
    const double pb = detail::inner_mean(cell.predicted / cell.n), yb = cell.observed / cell.n;
    const double l = deviation(cell.n, pb, yb);
    const double inner = reduced_deviation_slope(options.intensity, l, options.scale);
    if (inner == 0) return 0;
    return deviated_mean_slope(cell.n, confidence_mean(cell, options),
                               reduced_deviation(options.intensity, l, options.scale)) *
           inner * deviation_slope(cell.n, pb, yb);
}

namespace detail {

// ln(q / pb) with the floor only.
inline double unguarded_log_ratio(const field_cell& cell, const confidence_options& options) noexcept {
    const double pb = inner_mean(cell.predicted / cell.n);
    const double ratio = options.intensity == intensity_kind::empirical_bayes
                             ? empirical_bayes_ratio(cell.observed, pb * cell.n, options.kappa)
                             : confidence_mean(cell, options) / pb;
    return std::log(ratio > options.ratio_floor ? ratio : options.ratio_floor);
}

// Share of a cell's own evidence in its correction.
inline double guard_share(const field_cell& cell, const confidence_options& options) noexcept {
    if (has_prior(options.intensity)) return 1;
    switch (options.guard) {
        case guard_kind::soft:
            return cell.predicted + options.kappa > 0 ? 1 / (1 + options.kappa / cell.predicted) : 1;
        case guard_kind::hard:
            return cell.predicted < options.min_events ? 0 : 1;
        default:
            return 1;
    }
}

}  // namespace detail

/// ln r of a field value: the correction of its predictions, after floor, guard and clip.
///
///   ln r = clip(fallback + share (ln(max(q, floor pb) / pb) - fallback)),  share of the guard in [0, 1]
///
/// fallback  what the guard falls back to: 0 is no correction; a score bin falls back to its value's ln r.
///
/// Returns   fallback (clipped) for an empty cell. The guard does not apply to empirical_bayes and beta_binomial,
///           whose prior does its work.
inline double confidence_log_ratio(const field_cell& cell, const confidence_options& options = {},
                                   double fallback = 0) noexcept {
    double value = fallback;
    if (cell.n > 0) {
        const double share = detail::guard_share(cell, options);
        value += share * (detail::unguarded_log_ratio(cell, options) - fallback);
    }
    const double limit = std::log(options.ratio_limit);
    return value < -limit ? -limit : value > limit ? limit : value;
}

}  // namespace reckon
