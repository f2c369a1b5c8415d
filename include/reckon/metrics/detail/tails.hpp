// Tail probabilities of the normal and the chi-square distribution.
#pragma once

#include <cmath>
#include <limits>

namespace reckon::detail {

// What Stirling's formula leaves of ln Gamma(a) for a >= 16; the first omitted term is below 1e-17.
inline double stirling_rest(double a) noexcept {
    const double r = 1.0 / a, r2 = r * r;
    return r * (1.0 / 12 + r2 * (-1.0 / 360 + r2 * (1.0 / 1260 + r2 * (-1.0 / 1680 + r2 * (1.0 / 1188)))));
}

// x^a e^-x / Gamma(a) for a > 0, x > 0. From 16 on the three large logarithms are combined before they are formed;
// below it Gamma(a) comes from a (a + 1) ... up to there.
inline double gamma_density(double a, double x) noexcept {
    constexpr double two_pi = 6.28318530717958647693;
    if (a >= 16.0) {
        const double d = (x - a) / a;
        return std::sqrt(a / two_pi) * std::exp(a * (std::log1p(d) - d) - stirling_rest(a));
    }
    double product = 1.0, b = a;
    for (; b < 16.0; b += 1.0) product *= b;
    const double log_gamma =
        (b - 0.5) * std::log(b) - b + 0.5 * std::log(two_pi) + stirling_rest(b) - std::log(product);
    return std::exp(a * std::log(x) - x - log_gamma);
}

// Regularised upper incomplete gamma function Q(a, x), a > 0, x >= 0: the series of 1 - Q below a + 1, Lentz's
// continued fraction of Q above it. NaN outside the range and for NaN.
//
// Relative error 1e-13 where -ln Q < 700 and a <= 1e4 (tests/metrics/tails_test.cpp), absolute 1e-15 for the series.
inline double gamma_upper(double a, double x) noexcept {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    constexpr double precision = 1e-16;
    if (!(a > 0.0) || !(x >= 0.0)) return nan;
    if (x == 0.0) return 1.0;
    if (std::isinf(x)) return std::isinf(a) ? nan : 0.0;
    const double front = gamma_density(a, x);
    // Both need about 10 sqrt(a) terms near x = a.
    const int most = 1000 + static_cast<int>(20.0 * std::sqrt(a < 1e10 ? a : 1e10));
    if (x < a + 1.0) {
        double term = 1.0 / a, sum = term;
        for (int k = 1; k < most && term > sum * precision; ++k) sum += (term *= x / (a + k));
        return 1.0 - front * sum;
    }
    constexpr double tiny = 1e-300;
    double b = x + 1.0 - a, c = 1.0 / tiny, d = 1.0 / b, fraction = d;
    for (int k = 1; k < most; ++k) {
        const double numerator = -k * (k - a);
        b += 2.0;
        d = numerator * d + b;
        d = 1.0 / (std::fabs(d) < tiny ? tiny : d);
        c = b + numerator / c;
        c = std::fabs(c) < tiny ? tiny : c;
        const double step = c * d;
        fraction *= step;
        if (std::fabs(step - 1.0) < precision) break;
    }
    return front * fraction;
}

// P(chi-square with `freedom` degrees > x); NaN unless freedom > 0.
inline double chi_square_tail(double x, double freedom) noexcept {
    return gamma_upper(0.5 * freedom, 0.5 * x);
}

// P(|N(0, 1)| > |z|).
inline double normal_two_sided(double z) noexcept {
    return std::erfc(std::fabs(z) * 0.70710678118654752440);
}

// E|N(d, s^2)|, which is |d| for s = 0.
inline double mean_absolute_normal(double d, double s) noexcept {
    if (!(s > 0.0)) return std::fabs(d);
    const double t = d / s;
    // d (1 - 2 Phi(-d/s)) = d erf(d / (s sqrt 2)).
    return s * 0.79788456080286535588 * std::exp(-0.5 * t * t) + d * std::erf(t * 0.70710678118654752440);
}

}  // namespace reckon::detail
