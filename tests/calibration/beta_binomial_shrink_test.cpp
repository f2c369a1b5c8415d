// Beta-binomial shrink and its prior weight by moments.
#include "reckon/calibration/beta_binomial_shrink.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "reckon/calibration/confidence_ratio.hpp"
#include "reckon/core/random.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

constexpr double inf = std::numeric_limits<double>::infinity();

// n[v] rows of score p and k[v] positive labels for each value.
field_stats stats_of(const std::vector<int>& n, const std::vector<int>& k, double p) {
    std::vector<double> scores;
    std::vector<std::uint8_t> labels;
    std::vector<std::int32_t> ids;
    for (std::size_t v = 0; v < n.size(); ++v) {
        for (int i = 0; i < n[v]; ++i) {
            scores.push_back(p);
            labels.push_back(i < k[v]);
            ids.push_back(static_cast<std::int32_t>(v));
        }
    }
    field_stats s({n.size()});
    s.absorb(make_fielded("test", scores, labels, matrix_view<const std::int32_t>(ids.data(), 1, ids.size())));
    return s;
}

TEST_CASE("beta_binomial: worked example and limits") {
    CHECK(beta_binomial_mean(10, 4, 0.2, 10) == 0.3);
    CHECK(beta_binomial_mean(10, 4, 0.2, 0) == 0.4);
    CHECK(beta_binomial_mean(10, 4, 0.2, inf) == 0.2);
    CHECK(beta_binomial_mean(0, 0, 0.2, 10) == 0.2);
    CHECK(beta_binomial_mean(0, 0, 0.2, 0) == 0.2);
    CHECK(std::isnan(beta_binomial_mean(1, std::nan(""), 0.2, 1)));
}

TEST_CASE("beta_binomial: weight by moments") {
    // p = 1/2, n = 4: pb (1 - pb) n = 1; d^2 - 1 = 3, 3, -1, -1; n (n - 1) pb (1 - pb) = 3 each: rho = 4 / 12.
    CHECK_NEAR(beta_binomial_weight(stats_of({4, 4, 4, 4}, {4, 0, 2, 2}, 0.5), 0), 2.0, ulp(4));
    // All or nothing in every value: rho = 1.
    CHECK(beta_binomial_weight(stats_of({4, 4}, {4, 0}, 0.5), 0) == 0.0);
    // Scatters less than binomial counts.
    CHECK(beta_binomial_weight(stats_of({4, 4}, {2, 2}, 0.5), 0) == inf);
    // One row a value says nothing, and does not dilute those that say something.
    CHECK(beta_binomial_weight(stats_of({1, 1, 1}, {1, 0, 1}, 0.5), 0) == inf);
    CHECK(beta_binomial_weight(stats_of({4, 4, 4, 4, 1, 1}, {4, 0, 2, 2, 1, 1}, 0.5), 0) ==
          beta_binomial_weight(stats_of({4, 4, 4, 4}, {4, 0, 2, 2}, 0.5), 0));
    CHECK(beta_binomial_weight(field_stats({3}), 0) == inf);
    CHECK_THROWS_WITH_AS(beta_binomial_weight(field_stats({3}), 1), "beta_binomial_weight: field 1 of 1",
                         std::invalid_argument);
}

TEST_CASE("beta_binomial: finds the weight of simulated rates") {
    // Rates uniform on [0, 1]: a beta prior with mean 1/2 and weight 2.
    const random_stream rng(5);
    std::vector<int> n, k;
    for (std::uint64_t v = 0; v < 4000; ++v) {
        const double rate = rng.uniform(v << 8);
        n.push_back(2 + static_cast<int>(v % 20));
        k.push_back(0);
        for (int i = 0; i < n.back(); ++i) k.back() += rng.uniform((v << 8) + 1 + static_cast<std::uint64_t>(i)) < rate;
    }
    // The estimate of rho = 1/3 has a standard error below 0.01, which moves m0 by 0.09.
    const double m0 = beta_binomial_weight(stats_of(n, k, 0.5), 0);
    CHECK(m0 > 1.7);
    CHECK(m0 < 2.3);
}

TEST_CASE("beta_binomial: as an intensity of the per-field correction") {
    const field_cell cell{.n = 20, .predicted = 2, .observed = 6};
    const confidence_options options{.intensity = intensity_kind::beta_binomial, .kappa = 10, .ratio_limit = inf};
    const double q = (6.0 + 10 * 0.1) / 30;
    CHECK_NEAR(confidence_mean(cell, options), q, ulp(4));
    CHECK_NEAR(confidence_log_ratio(cell, options), std::log(q / 0.1), ulp(8));
    CHECK(confidence_log_ratio(field_cell{}, options) == 0.0);
    confidence_options learned = options;
    learned.kappa = std::nan("");
    CHECK(reckon::detail::complaint(learned) == nullptr);
    learned.intensity = intensity_kind::tanh;
    CHECK(reckon::detail::complaint(learned) != nullptr);
}

}  // namespace
