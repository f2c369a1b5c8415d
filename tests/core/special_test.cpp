// ln Gamma, digamma, the normal distribution and its quantiles: closed forms, oracle values, recurrence and derivative, the ends of the range.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "reckon/core/special.hpp"
#include "support/fixture.hpp"
#include "support/tolerance.hpp"

namespace {

namespace math = reckon::math;
using namespace reckon::testing_support;

constexpr double inf = std::numeric_limits<double>::infinity();

// The promise of digamma: relative to 1 + |value|.
tolerance digamma_bound(double want) {
    return tolerance{.relative = 2e-15}.of(1.0 + std::fabs(want));
}

// The promise of normal_cdf; denormal results are multiples of the smallest one.
tolerance cdf_bound(double x) {
    return {.ulps = 1.0, .relative = 4e-16 * (1.0 + x * x)};
}

TEST_CASE("special: closed forms") {
    CHECK(math::log_gamma(1.0) == 0.0);
    CHECK(math::log_gamma(2.0) == 0.0);
    CHECK_NEAR(math::log_gamma(0.5), 0.57236494292470008707, ulp(8));  // ln sqrt(pi)
    CHECK_NEAR(math::log_gamma(11.0), std::log(3628800.0), ulp(8));
    CHECK_NEAR(math::digamma(1.0), -0.57721566490153286061, ulp(4));
    CHECK_NEAR(math::digamma(0.5), -1.9635100260214234794, ulp(4));
}

TEST_CASE("special: against the oracle") {
    const fixture data("special.txt");
    const auto &x = data["log_gamma.x"], &y = data["log_gamma.y"];
    for (std::size_t i = 0; i < x.size(); ++i) {
        CAPTURE(x[i]);
        CHECK_NEAR(math::log_gamma(x[i]), y[i], ulp(8));
    }
    const auto &u = data["digamma.x"], &v = data["digamma.y"];
    for (std::size_t i = 0; i < u.size(); ++i) {
        CAPTURE(u[i]);
        CHECK_NEAR(math::digamma(u[i]), v[i], digamma_bound(v[i]));
    }
    const auto &p = data["normal_quantile.x"], &z = data["normal_quantile.y"];
    for (std::size_t i = 0; i < p.size(); ++i) {
        CAPTURE(p[i]);
        CHECK_NEAR(math::normal_quantile(p[i]), z[i], tolerance{.relative = 4e-15});
    }
    const auto &at = data["normal_pdf.x"], &density = data["normal_pdf.y"];
    for (std::size_t i = 0; i < at.size(); ++i) {
        CAPTURE(at[i]);
        CHECK_NEAR(math::normal_pdf(at[i]), density[i], tolerance{.relative = 4e-16 * (1.0 + 0.5 * at[i] * at[i])});
    }
    const fixture core("core.txt");
    const auto &w = core["normal_cdf.x"], &below = core["normal_cdf.y"];
    for (std::size_t i = 0; i < w.size(); ++i) {
        CAPTURE(w[i]);
        CHECK_NEAR(math::normal_cdf(w[i]), below[i], cdf_bound(w[i]));
    }
}

TEST_CASE("special: normal quantile and cdf invert each other") {
    CHECK(math::normal_quantile(0.5) == 0.0);
    CHECK_NEAR(math::normal_quantile(0.975), 1.959963984540054, ulp(4));
    CHECK_NEAR(math::normal_cdf(1.0) - math::normal_cdf(-1.0), 0.68268949213708590, ulp(4));
    double last = -inf;
    for (double p = 1e-300; p < 0.5; p *= 1.31) {
        CAPTURE(p);
        const double z = math::normal_quantile(p);
        CHECK(z > last);  // the pieces join in order
        last = z;
        // The cdf answers a relative error of z with z phi(z) / Phi(z), about z^2.
        CHECK_NEAR(math::normal_cdf(z), p, tolerance{.relative = 5e-15 * (1.0 + z * z)});
        if (p > 1e-3) CHECK_NEAR(math::normal_quantile(1.0 - p), -z, tolerance{.relative = 1e-13});
    }
}

TEST_CASE("special: recurrence and derivative") {
    for (double x = 1e-3; x < 1e6; x *= 1.013) {
        CAPTURE(x);
        const double here = math::log_gamma(x), next = math::log_gamma(x + 1.0), step = std::log(x);
        // The argument x + 1 is rounded, which ln Gamma answers with its slope.
        const double rounded = std::fabs(math::digamma(x + 1.0)) * (x + 1.0);
        CHECK_NEAR(here + step, next, reduction(4).of(std::fabs(here) + std::fabs(step) + rounded));
        const double h = 1e-4 * x;
        const double slope = (math::log_gamma(x + h) - math::log_gamma(x - h)) / (2.0 * h);
        // Truncation: h^2 psi''/6, psi'' < 2/x^2 + 2/x^3; rounding: the values' over 2 h.
        CHECK(std::fabs(slope - math::digamma(x)) <
              h * h * (1.0 / (x * x) + 1.0 / (x * x * x)) + 1e-15 * (1.0 + std::fabs(here)) / h);
    }
}

TEST_CASE("special: ends of the range") {
    CHECK(math::log_gamma(0.0) == inf);
    CHECK(math::log_gamma(inf) == inf);
    CHECK(math::digamma(0.0) == -inf);
    CHECK(math::digamma(inf) == inf);
    CHECK(math::normal_quantile(0.0) == -inf);
    CHECK(math::normal_quantile(1.0) == inf);
    CHECK(math::normal_cdf(-inf) == 0.0);
    CHECK(math::normal_cdf(inf) == 1.0);
    CHECK(math::normal_pdf(inf) == 0.0);
    for (const double outside : {-1e-300, 1.0 + 1e-15, std::nan("")}) CHECK(std::isnan(math::normal_quantile(outside)));
    CHECK(std::isnan(math::normal_cdf(std::nan(""))));
    CHECK(std::isnan(math::normal_pdf(std::nan(""))));
    for (const double bad : {-1.5, -inf, std::numeric_limits<double>::quiet_NaN()}) {
        CHECK(std::isnan(math::log_gamma(bad)));
        CHECK(std::isnan(math::digamma(bad)));
    }
}

}  // namespace
