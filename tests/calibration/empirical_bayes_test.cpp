// Empirical-Bayes ratio and its kappa by moments.
#include "reckon/calibration/empirical_bayes.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

namespace {

using reckon::empirical_bayes_kappa;
using reckon::empirical_bayes_ratio;

// `n` rows of score p and `k` positive labels for each value.
reckon::field_stats stats_of(const std::vector<int>& n, const std::vector<int>& k, float p) {
    std::vector<float> scores;
    std::vector<std::uint8_t> labels;
    std::vector<std::int32_t> ids;
    for (std::size_t v = 0; v < n.size(); ++v) {
        for (int i = 0; i < n[v]; ++i) {
            scores.push_back(p);
            labels.push_back(i < k[v]);
            ids.push_back(std::int32_t(v));
        }
    }
    reckon::field_stats s({n.size()});
    s.absorb(reckon::make_fielded("test", scores, labels,
                                  reckon::matrix_view<const std::int32_t>(ids.data(), 1, ids.size())));
    return s;
}

}  // namespace

TEST_CASE("empirical_bayes: worked example") {
    CHECK(empirical_bayes_ratio(10, 4, 6) == doctest::Approx(1.6));
    CHECK(empirical_bayes_ratio(0, 6, 6) == doctest::Approx(0.5));
    // Nothing seen: the prior's mean.
    CHECK(empirical_bayes_ratio(0, 0, 6) == 1.0);
}

TEST_CASE("empirical_bayes: limits") {
    const double inf = std::numeric_limits<double>::infinity();
    CHECK(empirical_bayes_ratio(10, 4, 0) == 2.5);
    CHECK(empirical_bayes_ratio(10, 4, inf) == 1.0);
    CHECK(empirical_bayes_ratio(0, 0, 0) == 1.0);
    CHECK(empirical_bayes_ratio(0, 5, 0) == 0.0);
    CHECK(std::isnan(empirical_bayes_ratio(std::nan(""), 5, 1)));
    // Between the prior's mean and the observed ratio.
    for (const double kappa : {0.1, 1.0, 100.0}) {
        CHECK(empirical_bayes_ratio(10, 4, kappa) > 1.0);
        CHECK(empirical_bayes_ratio(10, 4, kappa) < 2.5);
        CHECK(empirical_bayes_ratio(1, 4, kappa) < 1.0);
        CHECK(empirical_bayes_ratio(1, 4, kappa) > 0.25);
    }
}

TEST_CASE("empirical_bayes: kappa by moments") {
    // P = 50 and 25; K = 80 and 5: excess = 900 - 50 + 400 - 25 = 1225, squares = 3125.
    const auto s = stats_of({100, 50}, {80, 5}, 0.5f);
    CHECK(empirical_bayes_kappa(s, 0) == doctest::Approx(3125.0 / 1225.0).epsilon(1e-14));
    // No more scatter than counting has.
    CHECK(std::isinf(empirical_bayes_kappa(stats_of({100, 50}, {50, 25}, 0.5f), 0)));
    CHECK(std::isinf(empirical_bayes_kappa(reckon::field_stats({3}), 0)));
    CHECK_THROWS_AS(empirical_bayes_kappa(s, 1), std::invalid_argument);
}
