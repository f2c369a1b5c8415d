// Sums over x, x + 1, ..., x + n - 1 in closed form: differences of ln Gamma and of its derivative that do not cancel.
#pragma once

#include <cmath>

#include "reckon/core/config.hpp"

namespace reckon::detail {

struct rising_sums {
    double logs = 0.0;       // sum of ln(x + t) = ln Gamma(x + n) - ln Gamma(x)
    double inverses = 0.0;   // sum of 1 / (x + t) = psi(x + n) - psi(x)
    double fractions = 0.0;  // sum of t / (x + t) = n - x (psi(x + n) - psi(x))
};

// u - ln(1 + u) for u >= 0.
inline double excess_over_log1p(double u) noexcept {
    if (u > 0.5) return u - std::log1p(u);
    // ln(1 + u) = 2 atanh(r), and u - 2 r = u r.
    const double r = u / (2.0 + u), z = r * r;
    double series = 1.0 / 25.0;
    for (int k = 23; k >= 3; k -= 2) series = series * z + 1.0 / k;
    return u * r - 2.0 * r * z * series;
}

// Stirling's series of ln Gamma and psi beyond their logarithms, at 1/r >= 16.
inline double log_gamma_tail(double r) noexcept {
    const double z = r * r;
    return r * (1.0 / 12 +
                z * (-1.0 / 360 + z * (1.0 / 1260 + z * (-1.0 / 1680 + z * (1.0 / 1188 - z * (691.0 / 360360))))));
}
inline double digamma_tail(double r) noexcept {
    const double z = r * r;
    return z *
           (1.0 / 12 + z * (-1.0 / 120 + z * (1.0 / 252 + z * (-1.0 / 240 + z * (1.0 / 132 - z * (691.0 / 32760))))));
}

/// x > 0, whole n >= 0. Relative error of a few roundings of the terms, for any size of x and n.
inline rising_sums rising(double x, double n) noexcept {
    rising_sums sums;
    // Term by term up to where the series holds; the logarithm of a product of at most 16 terms below 17.
    double product = 1.0, done = 0.0;
    while (done < n && x + done < 16.0) {
        const double term = x + done, inverse = 1.0 / term;
        product *= term;
        sums.inverses += inverse;
        sums.fractions += done * inverse;
        done += 1.0;
    }
    sums.logs = std::log(product);
    const double count = n - done;
    if (!(count > 0.0)) return sums;
    const double start = x + done, end = start + count;
    const double r0 = 1.0 / start, r1 = 1.0 / end, u = count * r0;
    const double beyond = start * excess_over_log1p(u);  // start (u - ln(1 + u))
    const double log_ratio = std::log1p(u);
    const double half = 0.5 * u * r1;  // (r0 - r1) / 2
    const double tails = digamma_tail(r0) - digamma_tail(r1);
    sums.logs += count * std::log(end) - 0.5 * log_ratio - beyond + (log_gamma_tail(r1) - log_gamma_tail(r0));
    const double inverses = log_ratio + half + tails;
    sums.inverses += inverses;
    sums.fractions += (beyond - start * (half + tails)) + done * inverses;
    return sums;
}

}  // namespace reckon::detail
