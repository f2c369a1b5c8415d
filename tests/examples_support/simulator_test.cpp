// The simulated click log: determinism, and the moments that the generator promises.
#include "simulator.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

using namespace reckon_examples;

TEST_CASE("random: mix64 gives the published stream of SplitMix64 for seed 1234567") {
    // The first outputs of Steele, Lea and Flood's generator: the finaliser over multiples of the golden gamma.
    const std::uint64_t expected[] = {6457827717110365317u, 3203168211198807973u, 9817491932198370423u};
    std::uint64_t state = 1234567;
    for (const std::uint64_t value : expected) CHECK(mix64(state += 0x9E3779B97F4A7C15u) == value);
}

TEST_CASE("random: moments of uniform and normal draws, and streams that differ") {
    const counter_random a(7, 0), b(7, 1), c(8, 0);
    CHECK(a.bits(0) != b.bits(0));
    CHECK(a.bits(0) != c.bits(0));
    constexpr std::size_t n = 100'000;
    double mean = 0, square = 0, fourth = 0, uniform = 0, product = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double v = a.normal(i), u = a.uniform(i);
        CHECK_UNARY(u > 0 && u < 1);
        mean += v / n;
        square += v * v / n;
        fourth += v * v * v * v / n;
        uniform += u / n;
        product += v * b.normal(i) / n;
    }
    const double se = 1 / std::sqrt(static_cast<double>(n));  // bounds are 5 standard errors
    CHECK(std::abs(mean) < 5 * se);
    CHECK(std::abs(square - 1) < 5 * std::sqrt(2.0) * se);
    CHECK(std::abs(fourth - 3) < 5 * std::sqrt(96.0) * se);
    CHECK(std::abs(uniform - 0.5) < 5 * std::sqrt(1 / 12.0) * se);
    CHECK(std::abs(product) < 5 * se);
}

TEST_CASE("simulator: the same options give the same log, and the seed matters") {
    const simulator_options options{.calibration_rows = 500, .test_rows = 300, .seed = 3};
    const simulated_log a = simulate(options), b = simulate(options);
    CHECK(a.calibration.p == b.calibration.p);
    CHECK(a.test.ids == b.test.ids);
    CHECK(a.test.y == b.test.y);
    CHECK(a.calibration.p.size() == 500);
    CHECK(a.test.truth.size() == 300);
    simulator_options other = options;
    other.seed = 4;
    CHECK(simulate(other).test.p != a.test.p);
    // Parts are windows on one stream: a longer calibration part begins with the shorter one.
    simulator_options longer = options;
    longer.calibration_rows = 800;
    const simulated_log c = simulate(longer);
    CHECK(std::vector<float>(c.calibration.p.begin(), c.calibration.p.begin() + 500) == a.calibration.p);
    CHECK(std::vector<float>(c.calibration.p.begin() + 500, c.calibration.p.end()) == a.test.p);
}

TEST_CASE("simulator: moments") {
    const simulated_log log = simulate();
    const simulated_rows& rows = log.test;
    const double n = static_cast<double>(rows.p.size());
    double mean_x = 0, square_x = 0, clicks = 0, truth = 0, variance = 0;
    std::vector<double> first_field(50);
    bool in_range = true;
    for (std::size_t i = 0; i < rows.p.size(); ++i) {
        const double p = static_cast<double>(rows.p[i]);
        const double x = std::log(p / (1 - p)) - (-3.3 + 0.15);
        mean_x += x / n;
        square_x += x * x / n;
        clicks += rows.y[i];
        truth += rows.truth[i];
        variance += rows.truth[i] * (1 - rows.truth[i]);
        const std::size_t sizes[] = {50, 2000, 20000};
        for (std::size_t f = 0; f < 3; ++f) {
            const auto id = rows.ids[f][i];
            in_range = in_range && id >= 0 && static_cast<std::size_t>(id) < sizes[f];
        }
        first_field[static_cast<std::size_t>(rows.ids[0][i])] += 1;
    }
    CHECK(in_range);
    CHECK(std::abs(mean_x) < 5 * 0.8 / std::sqrt(n));
    CHECK(std::abs(square_x - 0.64) < 5 * std::sqrt(2.0) * 0.64 / std::sqrt(n));
    CHECK(std::abs(clicks - truth) < 5 * std::sqrt(variance));

    // Zipf: counts of the first field against their expectation, chi-square with 49 degrees of freedom.
    double total = 0, chi_square = 0;
    for (int k = 1; k <= 50; ++k) total += std::pow(k, -1.05);
    for (int k = 1; k <= 50; ++k) {
        const double expected = n * std::pow(k, -1.05) / total;
        const double gap = first_field[static_cast<std::size_t>(k - 1)] - expected;
        chi_square += gap * gap / expected;
    }
    CHECK(chi_square < 49 + 5 * std::sqrt(2 * 49.0));
}

TEST_CASE("simulator: a quarter of the test rows carries a sparse value, and the raw model is off as described") {
    const simulated_log log = simulate();
    std::vector<int> seen(20000);
    for (const auto id : log.calibration.ids[2]) ++seen[static_cast<std::size_t>(id)];
    double sparse = 0, kl = 0;
    const double n = static_cast<double>(log.test.p.size());
    for (std::size_t i = 0; i < log.test.p.size(); ++i) {
        sparse += seen[static_cast<std::size_t>(log.test.ids[2][i])] < 20;
        const double p = static_cast<double>(log.test.p[i]), t = log.test.truth[i];
        kl += t * std::log(t / p) + (1 - t) * std::log((1 - t) / (1 - p));
    }
    CHECK(sparse / n == doctest::Approx(0.25).epsilon(0.04));
    // The effects of the few frequent values are one draw per seed, so the level moves from seed to seed by some 20 %.
    CHECK(kl / n > 5e-3);
    CHECK(kl / n < 14e-3);
}
