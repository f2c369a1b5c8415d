// Tail probabilities behind the tests of calibration.
#include "reckon/metrics/detail/tails.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "../support/tolerance.hpp"

using namespace reckon;
using namespace reckon::testing_support;

TEST_CASE("gamma_density: factorials, and no step where the two forms meet") {
    double factorial = 1.0;
    for (int n = 1; n <= 40; ++n) {
        CHECK_NEAR(reckon::detail::gamma_density(n, 3.0), std::pow(3.0, n) * std::exp(-3.0) / factorial,
                   reduction(1000));
        factorial *= n;
    }
    CHECK_NEAR(reckon::detail::gamma_density(0.5, 1.0), std::exp(-1.0) / std::sqrt(3.14159265358979323846),
               reduction(10));
    CHECK_NEAR(reckon::detail::gamma_density(std::nextafter(16.0, 0.0), 20.0),
               reckon::detail::gamma_density(16.0, 20.0), reduction(100));
}

TEST_CASE("chi_square_tail: closed forms for even and odd degrees of freedom") {
    for (const double x : {1e-8, 0.01, 0.5, 1.0, 2.0, 3.7, 8.0, 20.0, 100.0, 700.0, 1400.0}) {
        // Poisson sums: P(chi2_2k > x) = e^(-x/2) sum_{j<k} (x/2)^j / j!
        double term = std::exp(-0.5 * x), sum = 0.0;
        for (int k = 1; k <= 30; ++k) {
            sum += term;
            term *= 0.5 * x / k;
            CHECK_NEAR(reckon::detail::chi_square_tail(x, 2.0 * k), sum, reduction(10000));
        }
        CHECK_NEAR(reckon::detail::chi_square_tail(x, 1.0), std::erfc(std::sqrt(0.5 * x)), reduction(10000));
    }
}

TEST_CASE("gamma_upper: both expansions meet, and large shapes converge") {
    for (const double a : {0.5, 3.0, 50.0, 1e3, 1e4}) {
        const double below = reckon::detail::gamma_upper(a, std::nextafter(a + 1.0, 0.0));
        const double above = reckon::detail::gamma_upper(a, a + 1.0);
        CHECK_NEAR(below, above, reduction(10000));
    }
    // The median lies 1/3 below the mean: Q(a, a) = 1/2 - (2 pi a)^(-1/2) / 3 + O(a^(-3/2)).
    CHECK(std::fabs(reckon::detail::gamma_upper(1e6, 1e6) - 0.5 +
                    1.0 / (3.0 * std::sqrt(2.0 * 3.14159265358979 * 1e6))) < 1e-9);
}

TEST_CASE("gamma_upper: ends and arguments out of range") {
    const double inf = std::numeric_limits<double>::infinity();
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK(reckon::detail::gamma_upper(2.0, 0.0) == 1.0);
    CHECK(reckon::detail::gamma_upper(2.0, inf) == 0.0);
    CHECK(reckon::detail::gamma_upper(2.0, 1e300) == 0.0);
    CHECK(std::isnan(reckon::detail::gamma_upper(0.0, 1.0)));
    CHECK(std::isnan(reckon::detail::gamma_upper(1.0, -1.0)));
    CHECK(std::isnan(reckon::detail::gamma_upper(nan, 1.0)));
    CHECK(std::isnan(reckon::detail::gamma_upper(1.0, nan)));
}

TEST_CASE("mean_absolute_normal: limits and a numerical integral") {
    CHECK(reckon::detail::mean_absolute_normal(-0.3, 0.0) == 0.3);
    CHECK_NEAR(reckon::detail::mean_absolute_normal(0.0, 2.0), 2.0 * std::sqrt(2.0 / 3.14159265358979323846), ulp(4));
    CHECK_NEAR(reckon::detail::mean_absolute_normal(5.0, 0.01), 5.0, ulp(4));
    for (const double d : {-0.2, 0.05, 0.7}) {
        const double s = 0.25;
        double sum = 0.0;
        const int steps = 200000;
        const double width = 20.0 * s / steps;
        for (int i = 0; i < steps; ++i) {
            const double t = -10.0 * s + (i + 0.5) * width;
            sum += width * std::fabs(d + t) * std::exp(-0.5 * t * t / (s * s)) /
                   (s * std::sqrt(2 * 3.14159265358979323846));
        }
        CHECK(std::fabs(reckon::detail::mean_absolute_normal(d, s) - sum) < 1e-8);  // midpoint rule, kink at -d
    }
}
