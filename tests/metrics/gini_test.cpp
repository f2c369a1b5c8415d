// Normalised Gini coefficient.
#include "reckon/metrics/gini.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "../support/fixture.hpp"
#include "../support/random_data.hpp"
#include "../support/tolerance.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/metrics/auc.hpp"

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

namespace {

constexpr double not_known = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();

// Area between the diagonal and the Lorenz curve of labels that come in descending order of score, rows of equal score
// in the order given.
double area(const std::vector<double>& scores, const std::vector<double>& labels) {
    std::vector<std::size_t> order(scores.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) { return scores[i] > scores[j]; });
    const double total = std::accumulate(labels.begin(), labels.end(), 0.0), n = static_cast<double>(scores.size());
    double held = 0.0, sum = 0.0;
    for (const std::size_t i : order) {
        sum += (held + 0.5 * labels[i]) / n;
        held += labels[i];
    }
    return sum - 0.5 * total;
}

}  // namespace

TEST_CASE("normalized_gini: worked example") {
    // Ranks of the scores less 2 are 1, 0, -1: times the labels -1, of 2 for the order of the labels.
    CHECK(normalized_gini(std::vector<float>{3, 2, 1}, std::vector<int>{1, 0, 2}).value == -0.5);
    CHECK(normalized_gini(std::vector<float>{1, 2, 3}, std::vector<int>{1, 0, 2}).value == 0.5);
    CHECK(normalized_gini(std::vector<float>{7, 8, 9}, std::vector<int>{3, 4, 4}).value == 1.0);
    const std::vector<double> labels{5, 1, 3, 3, 900};
    CHECK(normalized_gini(labels, labels).value == 1.0);
    CHECK(normalized_gini(std::vector<double>{-5, -1, -3, -3, -inf}, labels).value == -1.0);
    CHECK(normalized_gini(std::vector<double>(5, 0.25), labels).value == 0.0);
}

TEST_CASE("normalized_gini: the mean over all orders of equal scores, as areas under Lorenz curves") {
    const std::vector<double> scores{0.5, 0.5, 0.5, 0.1, 0.9, 0.9}, labels{4, 0, 1, 2, 7, 3};
    std::vector<std::size_t> order(6);
    std::iota(order.begin(), order.end(), std::size_t{0});
    double sum = 0.0, orders = 0.0;
    do {
        std::vector<double> s, y;
        for (const std::size_t i : order) {
            s.push_back(scores[i]);
            y.push_back(labels[i]);
        }
        sum += area(s, y);
        ++orders;
        CHECK(normalized_gini(s, y).value == normalized_gini(scores, labels).value);
    } while (std::next_permutation(order.begin(), order.end()));
    CHECK_NEAR(normalized_gini(scores, labels).value, sum / orders / area(labels, labels), probability());
}

TEST_CASE("normalized_gini: Lorenz curves, 2 AUC - 1, shifted labels, long lists") {
    for (const std::size_t n : {2u, 9u, 100u, 513u, 4000u}) {
        const auto scores = random_normal<double>(n, 0.0, 1.0, n), noise = random_normal<double>(n, 0.0, 1.0, n + 1);
        std::vector<double> seconds(n), shifted(n), clicks(n), coarse(n);
        for (std::size_t i = 0; i < n; ++i) {
            seconds[i] = std::exp(scores[i] + noise[i]);
            shifted[i] = seconds[i] - 1000.0;
            clicks[i] = i == 0 || (i > 1 && seconds[i] > 1.0) ? 1.0 : 0.0;
            coarse[i] = std::round(scores[i]);
        }
        CAPTURE(n);
        CHECK_NEAR(normalized_gini(scores, seconds).value, area(scores, seconds) / area(seconds, seconds),
                   reduction(n).of(1.0));
        CHECK_NEAR(normalized_gini(scores, shifted).value, normalized_gini(scores, seconds).value,
                   reduction(n).of(1000.0));
        CHECK_NEAR(normalized_gini(coarse, clicks).value, 2.0 * auc(serial, coarse, clicks).value - 1.0, probability());
    }
}

TEST_CASE("normalized_gini: lists against an independent form, threads") {
    const fixture data{"user_auc.txt"};
    const auto scores = data.as<float>("lists.scores");
    const auto labels = data.as<float>("lists.graded");
    const auto offsets = data.as<std::uint32_t>("lists.offsets");
    std::vector<double> per_list(offsets.size() - 1);
    const list_mean mean = normalized_gini(serial, scores, labels, offsets, {}, per_list);
    CHECK_ALL_NEAR(per_list, data["lists.gini"], reduction(60).of(4.0));
    CHECK_NEAR(mean.finish(), data.value("lists.gini.uauc"), reduction(60).of(4.0));
    CHECK_NEAR(normalized_gini(scores, labels).value, data.value("all.gini"), reduction(960).of(4.0));
    exec::pool pool(2);
    CHECK(normalized_gini(exec::host{pool}, scores, labels, offsets).finish() == mean.finish());
}

TEST_CASE("normalized_gini: bad input") {
    const std::vector<double> scores{0.1, not_known, 0.3, inf, 0.5, 0.7}, labels{1, 2, not_known, 4, inf, 0};
    const gini_result got = normalized_gini(scores, labels);
    CHECK(got.value == normalized_gini(std::vector<double>{0.1, inf, 0.7}, std::vector<double>{1, 4, 0}).value);
    CHECK(got.seen == counts{3, 3});
    CHECK(std::isnan(normalized_gini(std::vector<float>{}, std::vector<float>{}).value));
    CHECK(std::isnan(normalized_gini(std::vector<float>{1, 2}, std::vector<int>{3, 3}).value));
    CHECK(std::isnan(normalized_gini(std::vector<float>{1}, std::vector<int>{3}).value));
    // Differences that overflow: no value, rather than a wrong one.
    CHECK(std::isnan(normalized_gini(std::vector<double>{1, 2, 3}, std::vector<double>{-1e308, 1e308, 0}).value));
    CHECK(std::isnan(
        normalized_gini(std::vector<double>{1, 2, 4, 3}, std::vector<double>{0, 1e307, 2e307, 7e307}).value));
    CHECK(normalized_gini(std::vector<double>{1, 2, 3}, std::vector<double>{-1e300, 0, 1e300}).value == 1.0);
    CHECK_THROWS_WITH_AS(normalized_gini(scores, std::vector<int>(5)), "normalized_gini: 6 scores but 5 labels",
                         std::invalid_argument);
}
