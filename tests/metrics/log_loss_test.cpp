// Log-loss, normalized entropy, Brier score and PCOC.
#include "reckon/metrics/log_loss.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "../support/law.hpp"
#include "../support/random_data.hpp"
#include "../support/sweep.hpp"
#include "../support/tolerance.hpp"
#include "data_sets.hpp"
#include "reckon/exec/pool.hpp"

using namespace reckon;
using namespace reckon::testing_support;

namespace {

bool same_scores(const proper_scores& a, const proper_scores& b) {
    return same_sum(a.weight(), b.weight()) && same_sum(a.log_loss(), b.log_loss()) && same_sum(a.brier(), b.brier()) &&
           same_sum(a.pcoc(), b.pcoc()) && same_sum(a.mean_label(), b.mean_label());
}
bool equal_scores(const proper_scores& a, const proper_scores& b) {
    return same_bits(a.weight(), b.weight()) && same_bits(a.log_loss(), b.log_loss()) &&
           same_bits(a.brier(), b.brier()) && same_bits(a.pcoc(), b.pcoc()) && a.seen() == b.seen();
}

}  // namespace

TEST_CASE("proper_scores: worked example") {
    const std::vector<double> p{0.5, 0.25, 0.75, 0.5};
    const std::vector<int> y{1, 0, 1, 0};
    const proper_scores s = score_predictions(exec::serial, p, y);
    CHECK_NEAR(s.log_loss(), (2 * std::log(2.0) + 2 * std::log(4.0 / 3.0)) / 4, ulp(4));
    CHECK_NEAR(s.normalized_entropy(), s.log_loss() / std::log(2.0), ulp(4));
    CHECK(s.brier() == 0.15625);
    CHECK(s.pcoc() == 1.0);
    CHECK(s.inverse_pcoc() == 1.0);
    CHECK(s.seen() == counts{4, 0});
    CHECK(log_loss(exec::serial, p, y) == s.log_loss());
    CHECK(normalized_entropy(exec::serial, p, y) == s.normalized_entropy());
    CHECK(brier_score(exec::serial, p, y) == s.brier());
    CHECK(pcoc(exec::serial, p, y) == s.pcoc());
}

TEST_CASE_TEMPLATE("proper_scores: oracle", P, float, double) {
    const fixture metrics{"metrics.txt"};
    for (const data_set& set : data_sets()) {
        CAPTURE(set.name);
        const std::vector<P> p(set.p.begin(), set.p.end());
        const proper_scores s = score_predictions(exec::serial, p, set.y, set.w);
        CHECK_NEAR(s.log_loss(), metrics.value(set.name + ".log_loss"), reduction(set.size()));
        CHECK_NEAR(s.normalized_entropy(), metrics.value(set.name + ".normalized_entropy"), reduction(set.size()));
        CHECK_NEAR(s.pcoc(), metrics.value(set.name + ".pcoc"), reduction(set.size()));
        CHECK_NEAR(s.brier(), metrics.value(set.name + ".brier"), reduction(set.size()));
    }
}

TEST_CASE("proper_scores: independent reference over lengths and misaligned columns") {
    for (const std::size_t n : sweep_lengths(8)) {
        const auto data = random_scored<float, float>(n);
        const placed<float> p(data.scores, 1), y(data.labels, 1), w(data.weights, 1);
        long double loss = 0, square = 0, weight = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const long double q = data.scores[i], t = data.labels[i], u = data.weights[i];
            loss -= u * (t > 0 ? std::log(q) : std::log1p(-q));
            square += u * (q - t) * (q - t);
            weight += u;
        }
        const proper_scores s = score_predictions(exec::serial, p, y, w);
        CHECK(s.seen().accepted == n);
        const double none_folded = std::numeric_limits<double>::quiet_NaN();
        CHECK_NEAR(s.log_loss(), weight > 0 ? double(loss / weight) : none_folded, reduction(n));
        CHECK_NEAR(s.brier(), weight > 0 ? double(square / weight) : none_folded, reduction(n));
    }
}

TEST_CASE("proper_scores: extremes") {
    const std::vector<double> ends{0.0, 1.0};
    const double far = -std::log(1e-7);
    CHECK_NEAR(log_loss(exec::serial, ends, std::vector<int>{1, 0}), far, ulp(2));
    CHECK_NEAR(log_loss(exec::serial, ends, std::vector<int>{0, 1}), -std::log1p(-1e-7), ulp(2));
    CHECK_NEAR(log_loss(exec::serial, ends, std::vector<int>{1, 1}, none{}, {.epsilon = 1e-3}),
               -0.5 * (std::log(1e-3) + std::log1p(-1e-3)), ulp(4));
    // log1p keeps the loss of tiny predictions, which log(1 - p) would round away.
    CHECK_NEAR(log_loss(exec::serial, std::vector<double>{1e-12}, std::vector<int>{0}, none{}, {.epsilon = 1e-15}),
               -std::log1p(-1e-12), ulp(2));
    // A fraction of a label.
    CHECK_NEAR(log_loss(exec::serial, std::vector<double>{0.25}, std::vector<double>{0.25}),
               -(0.25 * std::log(0.25) + 0.75 * std::log(0.75)), ulp(2));

    const std::vector<float> half{0.5f, 0.5f};
    const proper_scores one_class = score_predictions(exec::serial, half, std::vector<int>{0, 0});
    CHECK(one_class.normalized_entropy() == std::numeric_limits<double>::infinity());
    CHECK(one_class.pcoc() == std::numeric_limits<double>::infinity());
    CHECK(one_class.inverse_pcoc() == 0.0);
    CHECK(score_predictions(exec::serial, half, std::vector<int>{1, 1}).normalized_entropy() ==
          std::numeric_limits<double>::infinity());

    const std::vector<float> nothing;
    const proper_scores empty = score_predictions(exec::serial, nothing, nothing);
    for (const double x : {empty.log_loss(), empty.normalized_entropy(), empty.brier(), empty.pcoc(),
                           empty.inverse_pcoc(), empty.mean_score(), empty.mean_label(), empty.finish()}) {
        CHECK(std::isnan(x));
    }
    // Weight zero is legal and changes nothing but the count.
    const proper_scores weightless = score_predictions(exec::serial, std::vector<float>{0.5f, 0.9f},
                                                       std::vector<int>{1, 0}, std::vector<float>{1, 0});
    CHECK(weightless.brier() == 0.25);
    CHECK(weightless.seen().accepted == 2);
}

TEST_CASE("brier_gradient: central differences of the sum, times the scale, added") {
    const auto data = random_scored<double, double>(23);
    const auto value = [&](vector_view<const double> p) {
        return 0.5 * score_predictions(exec::serial, p, data.labels, data.weights).brier() *
               score_predictions(exec::serial, p, data.labels, data.weights).weight();
    };
    const auto gradient = [&](vector_view<const double> p, vector_view<double> out) {
        brier_gradient(exec::serial, p, data.labels, out, data.weights, 0.5);
    };
    CHECK_LAW(testing::check_gradient(value, gradient, data.scores));
    std::vector<double> wrong(22);
    CHECK_THROWS_AS(brier_gradient(exec::serial, data.scores, data.labels, wrong), std::invalid_argument);
}

TEST_CASE("proper_scores: merge law, threads") {
    const auto data = random_scored<float>(5000);
    const auto batch = make_scored("test", data.scores, data.labels, data.weights);
    CHECK_LAW(testing::check_merge(proper_scores{}, batch, same_scores));
    for (const unsigned threads : {1u, 2u, 3u}) {
        exec::pool pool(threads);
        CHECK_LAW(testing::check_fold_policy(proper_scores{}, batch, exec::host{pool}, equal_scores));
    }
    proper_scores other({.epsilon = 1e-5});
    CHECK_THROWS_AS(other.merge(proper_scores{}), std::invalid_argument);
}

TEST_CASE("proper_scores: bad input") {
    const auto data = random_scored<double, double>(40);
    CHECK_LAW(testing::check_bad_values_counted(
        proper_scores{}, make_scored("test", data.scores, data.labels, data.weights), same_scores));
    const std::vector<double> three(3, 0.5), two(2, 0.5);
    CHECK_THROWS_AS(score_predictions(exec::serial, three, two), std::invalid_argument);
    CHECK_THROWS_AS(score_predictions(exec::serial, three, three, two), std::invalid_argument);
    for (const double epsilon : {0.0, -1.0, 0.2, 1e-17, std::nan("")}) {
        CHECK_THROWS_AS(proper_scores({.epsilon = epsilon}), std::invalid_argument);
    }
}

TEST_CASE("proper_scores: bytes") {
    const auto data = random_scored<float>(50);
    const proper_scores s = score_predictions(exec::serial, data.scores, data.labels, data.weights);
    CHECK(equal_scores(from_bytes<proper_scores>(to_bytes(s)), s));
    CHECK_LAW(testing::check_bytes(s, [](const proper_scores& read) {
        proper_scores sum = read;
        sum.merge(read);
        return no_less_than_zero(sum.log_loss()) && no_less_than_zero(sum.brier()) && no_less_than_zero(sum.pcoc()) &&
               !(sum.mean_label() > 1.001);
    }));
}
