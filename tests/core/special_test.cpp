// ln Gamma and digamma: closed forms, oracle values, recurrence and derivative, the ends of the range.
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
    for (const double bad : {-1.5, -inf, std::numeric_limits<double>::quiet_NaN()}) {
        CHECK(std::isnan(math::log_gamma(bad)));
        CHECK(std::isnan(math::digamma(bad)));
    }
}

}  // namespace
