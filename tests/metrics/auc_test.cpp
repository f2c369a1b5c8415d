// Area under the ROC curve, exact and from the mergeable histogram.
#include "reckon/metrics/auc.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/fixture.hpp"
#include "../support/random_data.hpp"
#include "../support/sweep.hpp"
#include "../support/tolerance.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/exec/pool.hpp"

using namespace reckon;
namespace ts = reckon::testing_support;

namespace {

// The definition, pair by pair.
template <class P, class Y>
double pairs_won(const std::vector<P>& scores, const std::vector<Y>& labels, const std::vector<P>& weights) {
    double won = 0.0, pairs = 0.0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        for (std::size_t j = 0; j < scores.size(); ++j) {
            const double wi = weights.empty() ? 1.0 : static_cast<double>(weights[i]);
            const double wj = weights.empty() ? 1.0 : static_cast<double>(weights[j]);
            const double pair = wi * static_cast<double>(labels[i]) * wj * (1.0 - static_cast<double>(labels[j]));
            won += scores[i] > scores[j] ? pair : scores[i] == scores[j] ? 0.5 * pair : 0.0;
            pairs += pair;
        }
    }
    return won / pairs;
}

}  // namespace

TEST_CASE("auc: worked example") {
    const std::vector<float> scores{0.1f, 0.4f, 0.35f, 0.8f};
    const std::vector<int> labels{0, 0, 1, 1};
    const auto result = auc(exec::serial, scores, labels);
    CHECK(result.value == 0.75);
    CHECK(result.positives == 2.0);
    CHECK(result.negatives == 2.0);
    CHECK(result.seen == counts{4, 0});
}

TEST_CASE_TEMPLATE("auc: every pair counted, with and without ties and weights", T, float, double) {
    for (const std::size_t n : ts::sweep_lengths(simd::float_format<T>::mantissa_bits, false)) {
        for (const std::size_t levels : {std::size_t{0}, std::size_t{4}}) {
            const auto data = ts::random_scored<T>(n, {.seed = n + 1, .levels = levels});
            CAPTURE(n);
            CAPTURE(levels);
            CHECK_NEAR(auc(exec::serial, data.scores, data.labels).value, pairs_won(data.scores, data.labels, {}),
                       ts::reduction(n * n));
            CHECK_NEAR(auc(exec::serial, data.scores, data.labels, data.weights).value,
                       pairs_won(data.scores, data.labels, data.weights), ts::reduction(n * n));
        }
    }
}

TEST_CASE("auc: counting pairs in cells agrees with the sort for every shape of scores") {
    for (const std::size_t n : {2u, 47u, 49u, 500u, 5000u, 200000u}) {
        for (int shape = 0; shape < ts::score_shapes; ++shape) {
            const std::vector<float> scores = ts::shaped_scores(n, shape);
            std::vector<std::uint8_t> labels(n);
            const random_stream rng(n, 100);
            for (std::size_t i = 0; i < n; ++i) labels[i] = i == 0 || (i != 1 && rng.uniform(i) < 0.3);
            CAPTURE(n);
            CAPTURE(shape);
            CHECK_NEAR(auc(exec::serial, scores, labels).value,
                       auc(exec::serial, scores, labels, std::vector<float>(n, 1.0f)).value, ts::ulp(4));
        }
    }
}

TEST_CASE("auc: scikit-learn") {
    const ts::fixture data("data.txt"), metrics("metrics.txt");
    for (const std::string set : {"ties", "smooth", "skewed", "negatives", "tiny", "weighted_unit"}) {
        const std::string source = set == "weighted_unit" ? "weighted" : set;
        CAPTURE(set);
        CHECK_NEAR(auc(exec::serial, data.as<float>(source + ".p"), data.as<std::uint8_t>(source + ".y")).value,
                   metrics.value(set + ".auc"), ts::ulp(8));
        CHECK_NEAR(auc(exec::serial, data[source + ".p"], data.as<float>(source + ".y")).value,
                   metrics.value(set + ".auc"), ts::ulp(8));
    }
    CHECK_NEAR(auc(exec::serial, data["weighted.p"], data["weighted.y"], data["weighted.w"]).value,
               metrics.value("weighted.auc"), ts::reduction(500));
}

TEST_CASE("auc: fractional labels are shares of a positive") {
    // One row of label 1/4 is a quarter of a positive and three quarters of a negative.
    const std::vector<double> scores{0.2, 0.5, 0.9}, labels{0.25, 0.5, 1.0};
    const std::vector<double> split{0.2, 0.2, 0.5, 0.5, 0.9}, hard{0, 1, 0, 1, 1}, weights{0.75, 0.25, 0.5, 0.5, 1.0};
    CHECK_NEAR(auc(exec::serial, scores, labels).value, auc(exec::serial, split, hard, weights).value, ts::ulp(2));
}

TEST_CASE("auc: monotone maps change nothing, reversal mirrors") {
    const auto data = ts::random_scored<float>(3001, {.seed = 3, .levels = 200});
    std::vector<float> mapped, reversed;
    for (const float s : data.scores) {
        mapped.push_back(100.0f * s - 30.0f);
        reversed.push_back(-s);
    }
    const double value = auc(exec::serial, data.scores, data.labels).value;
    CHECK(auc(exec::serial, mapped, data.labels).value == value);
    CHECK_NEAR(auc(exec::serial, reversed, data.labels).value, 1.0 - value, ts::probability());
}

TEST_CASE("auc: bad input") {
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    const std::vector<float> empty;
    CHECK(std::isnan(auc(exec::serial, empty, empty).value));
    CHECK(std::isnan(auc(exec::serial, std::vector<float>{0.5f, 0.6f}, std::vector<int>{1, 1}).value));
    CHECK(std::isnan(auc(exec::serial, std::vector<float>{0.5f, 0.6f}, std::vector<int>{0, 0}).value));
    CHECK_THROWS_WITH_AS(auc(exec::serial, std::vector<float>{0.5f}, std::vector<int>{1, 0}),
                         "auc: 1 scores but 2 labels", std::invalid_argument);
    CHECK_THROWS_AS(auc(exec::serial, std::vector<float>{0.5f}, std::vector<int>{1}, std::vector<float>{1.0f, 1.0f}),
                    std::invalid_argument);
    // NaN scores, labels outside [0, 1], bad weights: counted; infinite scores are only far away.
    const std::vector<float> scores{nan, 0.1f, inf, -inf, 0.3f, 0.4f, 0.5f};
    const std::vector<float> labels{1.0f, 0.0f, 1.0f, 0.0f, 2.0f, nan, 1.0f};
    const auto result = auc(exec::serial, scores, labels);
    CHECK(result.value == 1.0);
    CHECK(result.seen == counts{4, 3});
    const std::vector<float> weights{1, 1, 1, 1, 1, 1, -1};
    CHECK(auc(exec::serial, scores, labels, weights).seen == counts{3, 4});
}

TEST_CASE("auc_histogram: within its bound of the exact area") {
    for (const int resolution : {9, 12, 14, 18}) {
        const auto data = ts::random_scored<float>(20000, {.seed = 11});
        const auto state = exec::fold_parts(exec::serial, auc_histogram(resolution),
                                            make_scored("test", data.scores, data.labels, data.weights));
        const double exact = auc(exec::serial, data.scores, data.labels, data.weights).value;
        CAPTURE(resolution);
        CHECK(std::fabs(state.finish() - exact) <= state.bound() + 1e-12);
        CHECK(state.bound() < std::ldexp(1.0, 8 - resolution));
    }
    // Scores that share no bin are exact.
    const std::vector<float> scores{0.1f, 0.2f, 0.4f, 0.8f};
    const std::vector<int> labels{0, 1, 0, 1};
    auc_histogram state;
    state.absorb(make_scored("test", scores, labels));
    CHECK(state.finish() == 0.75);
    CHECK(state.bound() == 0.0);
}

TEST_CASE("auc_histogram: merge law, threads and bytes") {
    const auto data = ts::random_scored<float>(50000, {.seed = 4});
    const auto batch = make_scored("test", data.scores, data.labels, data.weights);
    auc_histogram whole, left, right;
    whole.absorb(batch);
    left.absorb(batch.slice(0, 12345));
    right.absorb(batch.slice(12345, 50000 - 12345));
    left.merge(right);
    left.merge(auc_histogram());
    CHECK(left.finish() == whole.finish());  // weights are quarters: sums are exact
    for (const unsigned threads : {1u, 2u, 3u}) {
        exec::pool pool(threads);
        CHECK(exec::fold_parts(exec::host{pool}, auc_histogram(), batch, 4096).finish() == whole.finish());
    }
    const auto copy = from_bytes<auc_histogram>(to_bytes(whole));
    CHECK(copy.finish() == whole.finish());
    CHECK(copy.bound() == whole.bound());
    CHECK(copy.seen() == whole.seen());
    CHECK_THROWS_AS(whole.merge(auc_histogram(12)), std::invalid_argument);
    CHECK_THROWS_AS(auc_histogram(8), std::invalid_argument);
    CHECK_THROWS_AS(auc_histogram(21), std::invalid_argument);
    CHECK(std::isnan(auc_histogram().finish()));
}
