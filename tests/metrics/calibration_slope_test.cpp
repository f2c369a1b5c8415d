// Calibration slope and intercept.
#include "reckon/metrics/calibration_slope.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "../support/random_data.hpp"
#include "../support/tolerance.hpp"
#include "data_sets.hpp"
#include "reckon/exec/pool.hpp"

using namespace reckon;
using namespace reckon::testing_support;

TEST_CASE("calibration_slope: two scores have a closed form") {
    // Rates 1/4 at p = 0.2 and 3/4 at p = 0.9: the line goes through both points.
    const std::vector<double> p{.2, .2, .2, .2, .9, .9, .9, .9};
    const std::vector<int> y{0, 0, 1, 0, 1, 1, 0, 1};
    const calibration_line line = calibration_slope(exec::serial, p, y);
    const double low = std::log(0.2 / 0.8), high = std::log(9.0), rate = std::log(3.0);
    const double slope = 2.0 * rate / (high - low);
    CHECK(line.converged);
    CHECK_NEAR(line.slope, slope, fitted());
    CHECK_NEAR(line.intercept, rate - slope * high, fitted());
    // Each fitted log-odds has variance 1 / (4 * 1/4 * 3/4) = 4/3, independently.
    CHECK_NEAR(line.slope_error, std::sqrt(8.0 / 3.0) / (high - low), fitted());
    CHECK_NEAR(line.intercept_error, std::sqrt(4.0 / 3.0 * (low * low + high * high)) / (high - low), fitted());
}

TEST_CASE_TEMPLATE("calibration_slope: oracle", P, float, double) {
    const fixture metrics{"metrics.txt"};
    for (const data_set& set : data_sets()) {
        CAPTURE(set.name);
        const std::vector<P> p(set.p.begin(), set.p.end());
        const calibration_line line = calibration_slope(exec::serial, p, set.y, set.w);
        CHECK_NEAR(line.slope, metrics.value(set.name + ".calibration.slope"), fitted());
        CHECK_NEAR(line.intercept, metrics.value(set.name + ".calibration.intercept"), fitted());
        CHECK(line.converged == (set.name != "negatives"));
    }
}

TEST_CASE("calibration_slope: undoes a known distortion within its errors") {
    const auto data = random_scored<float>(20000, {.slope = 2.0, .shift = 0.5});
    // True log-odds = (logit p - 0.5) / 2.
    const calibration_line line = calibration_slope(exec::serial, data.scores, data.labels);
    CHECK(std::fabs(line.slope - 0.5) < 5.0 * line.slope_error);
    CHECK(std::fabs(line.intercept + 0.25) < 5.0 * line.intercept_error);
    CHECK(line.slope_error < 0.02);
}

TEST_CASE("calibration_slope: weights are repeated rows, threads give the same bits") {
    auto data = random_scored<double>(3000);
    std::vector<double> p;
    std::vector<int> y;
    for (std::size_t i = 0; i < data.size(); ++i) {
        data.weights[i] = static_cast<double>(i % 3);
        for (std::size_t k = 0; k < i % 3; ++k) {
            p.push_back(data.scores[i]);
            y.push_back(data.labels[i]);
        }
    }
    const calibration_line weighted = calibration_slope(exec::serial, data.scores, data.labels, data.weights);
    const calibration_line repeated = calibration_slope(exec::serial, p, y);
    CHECK_NEAR(weighted.slope, repeated.slope, fitted());
    CHECK_NEAR(weighted.slope_error, repeated.slope_error, fitted());

    const auto many = random_scored<float>(50000);
    const calibration_line want = calibration_slope(exec::serial, many.scores, many.labels);
    for (const unsigned threads : {1u, 2u, 3u}) {
        exec::pool pool(threads);
        const calibration_line got = calibration_slope(exec::host{pool}, many.scores, many.labels);
        CHECK(got.slope == want.slope);
        CHECK(got.intercept_error == want.intercept_error);
    }
}

TEST_CASE("calibration_slope: no unique finite maximum, bad input") {
    const std::vector<double> p{0.1, 0.2, 0.8, 0.9}, one_score(4, 0.3), nothing;
    const std::vector<int> separable{0, 0, 1, 1}, mixed{0, 1, 0, 1}, ones{1, 1, 1, 1};
    for (const calibration_line& line :
         {calibration_slope(exec::serial, p, separable), calibration_slope(exec::serial, one_score, mixed),
          calibration_slope(exec::serial, p, ones), calibration_slope(exec::serial, nothing, nothing),
          calibration_slope(exec::serial, p, mixed, none{}, {.max_iterations = 1})}) {
        CHECK_FALSE(line.converged);
        CHECK(std::isnan(line.slope));
        CHECK(std::isnan(line.intercept));
        CHECK(std::isnan(line.slope_error));
    }
    // Certain predictions are clipped, and what is out of range is counted and skipped.
    const auto data = random_scored<double, double>(200);
    std::vector<double> scores = data.scores, labels = data.labels;
    for (const double bad : {std::nan(""), -0.5, 1.5}) {
        scores.push_back(bad);
        labels.push_back(1.0);
    }
    scores.push_back(0.5);
    labels.push_back(2.0);
    const calibration_line clean = calibration_slope(exec::serial, data.scores, data.labels);
    const calibration_line dirty = calibration_slope(exec::serial, scores, labels);
    CHECK(dirty.seen == counts{200, 4});
    CHECK_NEAR(dirty.slope, clean.slope, fitted());
    scores = {0.0, 1.0, 0.0, 1.0};
    CHECK(calibration_slope(exec::serial, scores, mixed).seen == counts{4, 0});
    CHECK_THROWS_AS(calibration_slope(exec::serial, p, std::vector<int>{1}), std::invalid_argument);
    CHECK_THROWS_AS(calibration_slope(exec::serial, p, mixed, none{}, {.epsilon = 0.5}), std::invalid_argument);
    CHECK_THROWS_AS(calibration_slope(exec::serial, p, mixed, none{}, {.max_iterations = 0}), std::invalid_argument);
}
