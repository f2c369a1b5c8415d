// The global ratio.
#include "reckon/calibration/global_ratio.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/testing/laws.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

}  // namespace

TEST_CASE("global_ratio: worked example") {
    const std::vector<double> p{0.1, 0.3, 0.4};
    const std::vector<int> y{0, 1, 0};
    const auto c = global_ratio::fit(exec::serial, p, y);
    CHECK_NEAR(c.ratio(), 1.25, ulp(2));
    CHECK_NEAR(c(0.4), 0.5, ulp(2));
    CHECK(c(0.9) == 1.0);
    CHECK(c(-0.1) == 0.0);
}

TEST_CASE_TEMPLATE("global_ratio: predictions add up to the labels", T, float, double) {
    for (const std::size_t n : sweep_lengths(simd::pack<T>::lanes)) {
        const auto data = random_scored<T>(n, {.seed = n, .bias = -3, .shift = 0.7});
        const placed<T> shifted(data.scores, 1);
        const auto c =
            global_ratio::fit(exec::serial, vector_view<const T>(shifted.data(), n), data.labels, data.weights);
        double predicted = 0, observed = 0;
        for (std::size_t i = 0; i < n; ++i) {
            predicted += double(data.weights[i]) * double(data.scores[i]);
            observed += double(data.weights[i]) * data.labels[i];
        }
        const double want = predicted > 0 ? observed / predicted : 1.0;
        CHECK_NEAR(c.ratio(), want, reduction(n));
        // PCOC = 1 after the correction, unless something was cut off at 1.
        double corrected = 0, largest = 0;
        for (std::size_t i = 0; i < n; ++i) {
            corrected += double(data.weights[i]) * c(double(data.scores[i]));
            largest = (std::max)(largest, c.ratio() * double(data.scores[i]));
        }
        if (predicted > 0 && largest <= 1) CHECK_NEAR(corrected, observed, reduction(2 * n));
    }
}

TEST_CASE("global_ratio: nothing, no positives, all zero") {
    const std::vector<double> p{0.1, 0.3}, zeros{0, 0};
    const std::vector<int> none_positive{0, 0}, positive{1, 1};
    CHECK(global_ratio::fit(exec::serial, std::vector<double>{}, std::vector<int>{}).ratio() == 1.0);
    CHECK(global_ratio::fit(exec::serial, p, none_positive).ratio() == 0.0);
    CHECK(global_ratio::fit(exec::serial, zeros, positive).ratio() == 1.0);
    const std::vector<double> faint{1e-310, 1e-310};
    const auto huge = global_ratio::fit(exec::serial, faint, positive);
    CHECK(huge.ratio() == std::numeric_limits<double>::max());
    CHECK(huge(0.0f) == 0.0f);
    CHECK(huge(0.5f) == 1.0f);
}

TEST_CASE("global_ratio: the summary merges") {
    const auto data = random_scored<float>(4000, {.levels = 64});
    using summary = reckon::detail::score_summary<double>;
    const auto scored_rows = make_scored("test", data.scores, data.labels, data.weights);
    const reckon::detail::raw_rows<float, std::uint8_t, float> rows{scored_rows, {}};
    // Scores are multiples of 1/128, weights of 1/4: all sums are exact.
    const auto equal = [](const summary& a, const summary& b) {
        return a.weight == b.weight && a.positive == b.positive && a.score_sum == b.score_sum && a.seen == b.seen &&
               a.lowest == b.lowest && a.highest == b.highest;
    };
    const auto merged = testing::check_merge(summary{}, rows, equal);
    CHECK_MESSAGE(merged.ok, merged.message);
    exec::pool pool(3);
    const auto threads = testing::check_fold_policy(summary{}, rows, exec::host(pool), equal);
    CHECK_MESSAGE(threads.ok, threads.message);
}

TEST_CASE("global_ratio: out of range throws") {
    for (const double ratio :
         {-1.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
        CHECK_THROWS_AS(global_ratio{ratio}, std::invalid_argument);
    }
}
