// Beta-binomial shrink: the posterior mean of a field value's rate, with its predictions as the prior.
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/metrics/field_stats.hpp"

namespace reckon {

/// Posterior mean of the rate of a field value, when K of n is binomial and the rate has a beta prior with mean pb and
/// the weight of m0 rows.
///
///   q = (K + m0 pb) / (n + m0)
///
/// observed K in [0, n], predicted_mean pb in [0, 1], m0 >= 0; m0 = inf stands for a prediction that is right.
///
/// Returns   q between pb and K / n; pb for n = m0 = 0. Propagates NaN.
/// Source    Skellam 1948 for the distribution.
RECKON_INLINE double beta_binomial_mean(double n, double observed, double predicted_mean, double m0) noexcept {
    if (std::isinf(m0) || n + m0 == 0.0) return predicted_mean;
    return (observed + m0 * predicted_mean) / (n + m0);
}

/// The m0 of a field by the method of moments: var(K) = n pb (1 - pb) (1 + (n - 1) rho), rho = 1 / (1 + m0), over its
/// values.
///
///   rho = sum_v [(K_v - P_v)^2 - n_v pb_v (1 - pb_v)] / sum_v n_v (n_v - 1) pb_v (1 - pb_v)
///
/// A value with one row says nothing about m0: the likelihood pb^K (1 - pb)^(1 - K) does not contain it. Such values
/// are left out, and a field that has no others gives inf, the answer that leaves predictions alone.
///
/// Returns   m0 >= 0: 0 when rates scatter as widely as they can; inf when they scatter no more than those of binomial
///           counts do, or when there is nothing to see. Meant for counts: weights of mean 1 keep its meaning, other
///           weights change it.
/// Throws    std::invalid_argument when the field does not exist.
inline double beta_binomial_weight(const field_stats& stats, std::size_t field) {
    expects(field < stats.fields(), "beta_binomial_weight", "field ", field, " of ", stats.fields());
    double excess = 0, most = 0;
    for (std::size_t v = 0; v < stats.values(field); ++v) {
        const field_cell cell = stats.value(field, v);
        if (!(cell.n > 1)) continue;
        const double d = cell.observed - cell.predicted;
        const double spread = cell.predicted * (1 - cell.predicted / cell.n);
        excess += d * d - spread;
        most += (cell.n - 1) * spread;
    }
    if (!(excess > 0 && most > 0)) return std::numeric_limits<double>::infinity();
    return excess < most ? most / excess - 1 : 0;
}

}  // namespace reckon
