// Empirical-Bayes ratio: the posterior mean of a field value's multiplicative bias.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>

#include "reckon/core/config.hpp"
#include "reckon/metrics/field_stats.hpp"

namespace reckon {

/// Posterior mean of the bias K / P of a field value, when K is Poisson with mean P * bias and the bias has a gamma
/// prior with mean 1 and variance 1 / kappa.
///
///   r = (K + kappa) / (P + kappa)
///
/// observed K >= 0, predicted P >= 0, kappa >= 0; kappa = inf stands for no bias anywhere.
///
/// Returns   r; 1 for P = K = kappa = 0. Propagates NaN.
RECKON_INLINE double empirical_bayes_ratio(double observed, double predicted, double kappa) noexcept {
    if (std::isinf(kappa)) return 1.0;
    if (observed + kappa == 0.0 && predicted + kappa == 0.0) return 1.0;
    return (observed + kappa) / (predicted + kappa);
}

/// The kappa of a field by the method of moments: var(K - P) = P + P^2 / kappa over its values.
///
///   1 / kappa = max(0, sum_v [(K_v - P_v)^2 - P_v] / sum_v P_v^2)
///
/// Returns   kappa > 0; inf when the values scatter no more than Poisson counts do, or when there is nothing to see.
///           Meant for counts: weights of mean 1 keep its meaning, other weights change it.
/// Throws    std::invalid_argument when the field does not exist.
inline double empirical_bayes_kappa(const field_stats& stats, std::size_t field) {
    expects(field < stats.fields(), "empirical_bayes_kappa", "field ", field, " of ", stats.fields());
    double excess = 0, squares = 0;
    for (std::size_t v = 0; v < stats.values(field); ++v) {
        const field_cell cell = stats.value(field, v);
        const double d = cell.observed - cell.predicted;
        excess += d * d - cell.predicted;
        squares += cell.predicted * cell.predicted;
    }
    return excess > 0 && squares > 0 ? squares / excess : std::numeric_limits<double>::infinity();
}

}  // namespace reckon
