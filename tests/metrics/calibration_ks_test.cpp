// Kolmogorov-Smirnov calibration error.
#include "reckon/metrics/calibration_ks.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "../support/random_data.hpp"
#include "../support/sweep.hpp"
#include "../support/tolerance.hpp"
#include "data_sets.hpp"

using namespace reckon;
using namespace reckon::testing_support;

TEST_CASE("calibration_ks: worked example, ties taken together") {
    const std::vector<double> p{0.75, 0.25, 0.25};
    const std::vector<int> y{1, 1, 0};
    // In score order: (0.25 - 1) + (0.25 - 0) = -0.5 at the level 0.25, then another 0.75 - 1.
    CHECK_NEAR(calibration_ks(exec::serial, p, y).value, 0.75 / 3.0, ulp(2));
    CHECK(calibration_ks(exec::serial, p, y).seen == counts{3, 0});
}

TEST_CASE_TEMPLATE("calibration_ks: oracle", P, float, double) {
    const fixture metrics{"metrics.txt"};
    for (const data_set& set : data_sets()) {
        CAPTURE(set.name);
        const std::vector<P> p(set.p.begin(), set.p.end());
        CHECK_NEAR(calibration_ks(exec::serial, p, set.y, set.w).value, metrics.value(set.name + ".ks.pooled"),
                   reduction(set.size()).of(1.0));
    }
}

TEST_CASE("calibration_ks: reference over lengths, and no matter which order the rows have") {
    for (const std::size_t n : sweep_lengths(8)) {
        const auto data = random_scored<float>(n, {.levels = 40});
        const placed<float> p(data.scores, 1), w(data.weights, 1);
        std::vector<std::size_t> order(n);
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(),
                         [&](std::size_t a, std::size_t b) { return data.scores[a] < data.scores[b]; });
        long double gap = 0, weight = 0, largest = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t r = order[i];
            gap +=
                static_cast<long double>(data.weights[r]) * (static_cast<long double>(data.scores[r]) - data.labels[r]);
            weight += data.weights[r];
            if (i + 1 == n || data.scores[order[i + 1]] != data.scores[r]) largest = std::max(largest, std::abs(gap));
        }
        const double want = weight > 0 ? double(largest / weight) : std::numeric_limits<double>::quiet_NaN();
        CHECK_NEAR(calibration_ks(exec::serial, p, data.labels, w).value, want, reduction(n).of(1.0));

        std::vector<float> back_p(data.scores.rbegin(), data.scores.rend());
        std::vector<float> back_w(data.weights.rbegin(), data.weights.rend());
        std::vector<std::uint8_t> back_y(data.labels.rbegin(), data.labels.rend());
        CHECK_NEAR(calibration_ks(exec::serial, back_p, back_y, back_w).value, want, reduction(n).of(1.0));
    }
}

TEST_CASE("calibration_ks: extremes and bad input") {
    CHECK(calibration_ks(exec::serial, std::vector<float>{0, 1}, std::vector<int>{0, 1}).value == 0.0);
    CHECK(calibration_ks(exec::serial, std::vector<float>{0, 1}, std::vector<int>{1, 0}).value == 0.5);
    CHECK(calibration_ks(exec::serial, std::vector<float>{1, 1}, std::vector<int>{0, 0}).value == 1.0);
    CHECK(std::isnan(calibration_ks(exec::serial, std::vector<float>{}, std::vector<int>{}).value));
    const float nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
    const std::vector<float> p{nan, 0.25f, inf, 0.75f, -1.0f, 0.5f};
    const std::vector<float> y{1, 1, 0, 1, 0, nan};
    const std::vector<float> w{1, 1, 1, 1, 1, 1};
    const calibration_ks_result r = calibration_ks(exec::serial, p, y, w);
    CHECK(r.seen == counts{2, 4});
    CHECK(r.value == 0.5);  // (0.75 + 0.25) / 2
    CHECK_THROWS_AS(calibration_ks(exec::serial, p, std::vector<int>{1}), std::invalid_argument);
}
