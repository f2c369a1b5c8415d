// Multi-view calibration error.
#include "reckon/metrics/mvce.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "../support/random_data.hpp"
#include "../support/tolerance.hpp"
#include "reckon/exec/pool.hpp"

using namespace reckon;
using namespace reckon::testing_support;

TEST_CASE("mvce: one part is the global bias, parts of one are the Brier score") {
    const std::vector<double> p{0.5, 0.25, 0.75, 0.25};
    const std::vector<int> y{1, 0, 0, 0};
    const mvce_result whole = mvce(exec::serial, p, y, {.part_size = 4});
    CHECK_NEAR(whole.value, 0.75 / 4, reduction(100));
    CHECK(whole.seen == counts{4, 0});
    CHECK_NEAR(mvce(exec::serial, p, y, {.part_size = 100}).value, 0.75 / 4, reduction(100));
    const mvce_result single = mvce(exec::serial, p, y, {.part_size = 1});
    CHECK_NEAR(single.mean_power, (0.25 + 0.0625 + 0.5625 + 0.0625) / 4, reduction(100));
    CHECK_NEAR(single.value, std::sqrt(single.mean_power), reduction(100));
    CHECK_NEAR(mvce(exec::serial, p, y, {.part_size = 1, .order = 1.0}).value, (0.5 + 0.25 + 0.75 + 0.25) / 4,
               reduction(100));
}

TEST_CASE("mvce: the mean power of random parts is b^2 + (S^2 / c)(1 - c / N)") {
    const std::size_t n = 3000, repeats = 400;
    const auto data = random_scored<double>(n, {.slope = 1.5, .shift = 0.1});
    moments residual;
    for (std::size_t i = 0; i < n; ++i) residual.absorb(data.scores[i] - data.labels[i]);
    for (const std::size_t c : {10u, 100u, 500u}) {
        const mvce_result r =
            mvce(exec::serial, data.scores, data.labels, {.part_size = c, .repeats = repeats, .seed = c});
        const double size = static_cast<double>(c), parts = static_cast<double>(n / c);
        const double between = residual.sample_variance() / size * (1.0 - size / static_cast<double>(n));
        const double want = residual.mean() * residual.mean() + between;
        // The mean of squares of `parts` nearly normal means has variance of about 2 between^2 / parts + 4 b^2 between
        // / parts; six standard errors.
        const double spread =
            std::sqrt((2.0 * between * between + 4.0 * want * between) / parts / static_cast<double>(repeats));
        CHECK(std::fabs(r.mean_power - want) < 6.0 * spread);
    }
}

TEST_CASE("mvce: seeded, the same for every number of threads") {
    const auto data = random_scored<float>(5003);
    const mvce_options options{.part_size = 100, .repeats = 10, .seed = 5};
    const mvce_result want = mvce(exec::serial, data.scores, data.labels, options);
    for (const unsigned threads : {1u, 2u, 3u}) {
        exec::pool pool(threads);
        CHECK(mvce(exec::host{pool}, data.scores, data.labels, options).value == want.value);
    }
    CHECK(mvce(exec::serial, data.scores, data.labels, {.part_size = 100, .repeats = 10, .seed = 6}).value !=
          want.value);
}

TEST_CASE("mvce: empty and bad input") {
    const std::vector<double> nothing;
    CHECK(std::isnan(mvce(exec::serial, nothing, nothing).value));
    const std::vector<double> p{0.5, std::nan(""), 2.0, 0.5}, y{1.0, 1.0, 1.0, -1.0};
    const mvce_result r = mvce(exec::serial, p, y);
    CHECK(r.seen == counts{1, 3});
    CHECK_NEAR(r.value, 0.5, reduction(100));
    CHECK_THROWS_AS(mvce(exec::serial, p, nothing), std::invalid_argument);
    CHECK_THROWS_AS(mvce(exec::serial, p, y, {.part_size = 0}), std::invalid_argument);
    CHECK_THROWS_AS(mvce(exec::serial, p, y, {.repeats = 0}), std::invalid_argument);
    for (const double order : {0.5, 0.0, 101.0, std::nan("")}) {
        CHECK_THROWS_AS(mvce(exec::serial, p, y, {.order = order}), std::invalid_argument);
    }
}
