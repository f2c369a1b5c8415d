// Functions of one double that <cmath> lacks: the gamma function's logarithm and its derivative, for priors and posteriors
// of counts; the normal distribution and its quantiles.
#pragma once

#include <cmath>
#include <limits>

#include "reckon/core/math.hpp"

namespace reckon::math {

/// ln Gamma(x) for x > 0.
///
/// Cost      one logarithm and 8 to 27 multiply-adds; no state that threads share, unlike std::lgamma, which writes the
///           sign of Gamma to a global variable on many platforms.
/// Numerics  at most 8 ULP; both zeros, at 1 and 2, are exact and keep the relative accuracy around them. inf for 0 and inf,
///           NaN below 0 and for NaN.
/// Source    Stirling's series from 10 on; the Taylor series at 2, sum_k (-1)^k (zeta(k) - 1) t^k / k, and the
///           recurrence Gamma(x + 1) = x Gamma(x) below.
inline double log_gamma(double x) noexcept {
    using detail::horner;
    if (!(x > 0.0)) {
        return x == 0.0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
    }
    if (x >= 10.0) {
        const double r = 1.0 / x;
        // The first omitted term is below 2e-17 of the result at 10.
        const double tail = r * horner(r * r, 1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680, 1.0 / 1188,
                                       -691.0 / 360360, 1.0 / 156, -3617.0 / 122400);
        // (x - 1/2)(ln x - 1) + (ln 2 pi - 1) / 2: smaller terms than those of the usual form.
        return (x - 0.5) * (std::log(x) - 1.0) + (0.41893853320467274178 + tail);
    }
    // x = 2 + t + (a whole number), |t| <= 1/2; `steps` is the logarithm of what the recurrence multiplies by.
    double t = x - 2.0, steps = 0.0;
    if (x < 0.5) {
        t = x;
        steps = -std::log(x) - std::log1p(x);
    } else if (x < 1.5) {
        t = x - 1.0;
        steps = -std::log(x);
    } else if (x >= 2.5) {
        double product = 1.0;
        do {
            x -= 1.0;
            product *= x;
        } while (x >= 2.5);
        t = x - 2.0;
        steps = std::log(product);
    }
    const double series = t * horner(t, 0.42278433509846713939, 0.32246703342411321824, -0.067352301053198095133,
                                     0.020580808427784547879, -0.0073855510286739852663, 0.0028905103307415232858,
                                     -0.0011927539117032609771, 5.0966952474304242234e-4, -2.2315475845357937976e-4,
                                     9.9457512781808533715e-5, -4.49262367381331417e-5, 2.0507212775670691553e-5,
                                     -9.439488275268395904e-6, 4.3748667899074878042e-6, -2.0392157538013662368e-6,
                                     9.5514121304074198329e-7, -4.4924691987645660433e-7, 2.1207184805554665869e-7,
                                     -1.0043224823968099609e-7, 4.7698101693639805658e-8, -2.271109460894316491e-8,
                                     1.0838659214896954091e-8, -5.1834750419700466551e-9, 2.4836745438024783172e-9,
                                     -1.1921401405860912074e-9, 5.7313672416788620133e-10, -2.7595228851242331452e-10);
    return series + steps;
}

/// psi(x) = d ln Gamma(x) / dx for x > 0.
///
/// Cost      one logarithm, one or two divisions and about 10 multiply-adds, below 10 as many more as steps up to there.
/// Numerics  within 2e-15 (1 + |psi(x)|), so its root at 1.4616 is met in absolute terms. -inf for 0, inf for inf, NaN
///           below 0 and for NaN.
/// Source    the asymptotic series from 10 on, psi(x) = psi(x + 1) - 1/x below.
inline double digamma(double x) noexcept {
    using detail::horner;
    if (!(x > 0.0)) {
        return x == 0.0 ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
    }
    // 1/x + 1/(x + 1) + ... as one fraction.
    double above = 0.0, below = 1.0;
    while (x < 10.0) {
        above = above * x + below;
        below *= x;
        x += 1.0;
    }
    const double r = 1.0 / x, z = r * r;
    const double tail =
        z * horner(z, 1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132, -691.0 / 32760, 1.0 / 12, -3617.0 / 8160);
    return std::log(x) - 0.5 * r - tail - above / below;
}

/// phi(x) = e^(-x^2 / 2) / sqrt(2 pi), the density of the standard normal distribution.
///
/// Numerics  relative error below 4e-16 (1 + x^2 / 2). NaN in, NaN out.
inline double normal_pdf(double x) noexcept {
    return 0.39894228040143267794 * std::exp(-0.5 * x * x);
}

/// Phi(x) = P(Z <= x) of the standard normal distribution.
///
/// Cost      one std::erfc.
/// Numerics  relative error below 4e-16 (1 + x^2), on the lower tail as well: the rounding of x / sqrt 2 is all that is lost.
///           NaN in, NaN out.
inline double normal_cdf(double x) noexcept {
    return 0.5 * std::erfc(-0.70710678118654752440 * x);
}

/// The x with Phi(x) = p.
///
/// Cost      three polynomials of degree 8 at most and a division; from 0.425 off the middle a logarithm and a square root.
/// Numerics  relative error below 4e-15 as a function of min(p, 1 - p), next to the root at 1/2 as well; denormal p are
///           legal. -inf at 0, inf at 1, NaN outside [0, 1] and for NaN.
/// Source    the pieces and their variables are those of Wichura 1988; the coefficients are ours, from rational
///           interpolation at Chebyshev points in 70 digits.
inline double normal_quantile(double p) noexcept {
    using detail::horner;
    const double q = p - 0.5;
    if (std::fabs(q) <= 0.425) {
        const double t = 0.180625 - q * q;
        const double above = horner(t, 3.3871328727963666225, 148.75654077063150869, 2548.2248573022627541,
                                    21627.481160490559357, 95692.7355126975901, 213550.1624843821322,
                                    214247.38019842380295, 74060.814625639021961, 3907.0076390238158409);
        const double below =
            horner(t, 1.0, 46.923386895220554288, 871.28389406419861207, 8176.8783406360711725, 41169.981667908565357,
                   109244.705554588169, 140376.82723612544898, 72342.69749284587286, 9398.4645172065908493);
        return q * (above / below);
    }
    const double tail = q < 0.0 ? p : 1.0 - p;
    if (!(tail > 0.0)) {
        const double end =
            tail == 0.0 ? std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
        return q < 0.0 ? -end : end;
    }
    const double r = std::sqrt(-std::log(tail));
    double x = 0.0;
    if (r <= 5.0) {
        const double t = r - 1.6;
        const double above = horner(t, 1.4234371107496835891, 4.6586711529113187834, 5.8954419305937466464,
                                    3.8673064489599618162, 1.4607583582995678097, 0.32819960255571066647,
                                    0.042655736833568026424, 0.0028477028904769918234, 0.000070213558155157266147);
        const double below = horner(t, 1.0, 2.0730964798559320208, 1.7409835549495895489, 0.76816163548721744299,
                                    0.19254621603461665308, 0.027207370810227219949, 0.0019346295319642268214,
                                    0.000049644170890888344845, 3.6048565269539050711e-11);
        x = above / below;
    } else {
        const double t = r - 5.0;
        const double above = horner(t, 6.6579046435010946498, 5.6678979909978329959, 1.9475756630609150419,
                                    0.34782061483396523701, 0.034656894899472367934, 0.0019252120577250283078,
                                    0.000056420845584216307317, 7.6595574077724968145e-7, 3.497035781795630127e-9);
        const double below = horner(t, 1.0, 0.63048946146756767559, 0.15460482247045741417, 0.018711617379824934172,
                                    0.0011765845340817897528, 0.000037258472437715010089, 5.2925227462096424108e-7,
                                    2.4727717506519199364e-9, 8.1184664488637036578e-18);
        x = above / below;
    }
    return q < 0.0 ? -x : x;
}

}  // namespace reckon::math
