// Prior-shift correction.
#include "reckon/calibration/prior_shift.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

}  // namespace

TEST_CASE("prior_shift: worked example") {
    // Half of the negatives kept: odds 1 in training are odds 1/2 in the population.
    const prior_shift c(0.5);
    CHECK_NEAR(c(0.5), 1.0 / 3, ulp(1));
    CHECK(c(0.0) == 0.0);
    CHECK(c(1.0) == 1.0);
    CHECK(prior_shift{}(0.37) == doctest::Approx(0.37).epsilon(1e-15));
}

TEST_CASE_TEMPLATE("prior_shift: equals the oracle", T, float, double) {
    const fixture oracle("calibrators.txt");
    const auto grid = oracle.as<T>("grid");
    const auto& rates = oracle["prior_shift.rate"];
    const auto& want = oracle["prior_shift.value"];
    for (std::size_t r = 0; r < rates.size(); ++r) {
        std::vector<T> out(grid.size());
        prior_shift(rates[r]).apply(exec::serial, grid, out);
        for (std::size_t i = 0; i < grid.size(); ++i) {
            CHECK_NEAR(out[i], want[r * grid.size() + i], probability<T>());
        }
    }
}

TEST_CASE_TEMPLATE("prior_shift: log-odds move by ln rate", T, float, double) {
    for (const double rate : {1e-6, 0.01, 1.0, 30.0}) {
        const prior_shift on_logits(rate, score_kind::logit);
        for (const T z : random_normal<T>(50, -1.0, 3.0)) {
            const double want = 1 / (1 + std::exp(-(double(z) + std::log(rate))));
            CHECK_NEAR(on_logits(z), want, (tolerance{.relative = 32 * std::numeric_limits<T>::epsilon()}));
        }
    }
    // Small probabilities keep their relative accuracy.
    const T tiny = T(1e-20);
    CHECK_NEAR(prior_shift(0.01)(tiny), 0.01 * double(tiny), ulp(4));
}

TEST_CASE("prior_shift: inverse and base rates") {
    const auto p = random_uniform<double>(100, 0.001, 0.999);
    const prior_shift c(0.03);
    for (const double x : p) CHECK_NEAR(c.inverse()(c(x)), x, probability<double>());
    const auto between = prior_shift::between(0.5, 0.02);
    CHECK_NEAR(between(0.5), 0.02, probability<double>());
    CHECK_NEAR(between.rate(), 0.02 / 0.98, ulp(4));
}

TEST_CASE("prior_shift: out of range throws") {
    for (const double rate : {0.0, -1.0, 1e13, std::numeric_limits<double>::quiet_NaN()}) {
        CHECK_THROWS_AS(prior_shift{rate}, std::invalid_argument);
    }
    CHECK_THROWS_AS(prior_shift::between(0.0, 0.5), std::invalid_argument);
    CHECK_THROWS_AS(prior_shift::between(0.5, 1.0), std::invalid_argument);
}
