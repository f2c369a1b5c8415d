// Huber loss: worked example, reference, gradient, merge law, tails, NaN, bad input.
#include "huber.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

// The definition, one row at a time.
double reference(const std::vector<double>& scores, const std::vector<double>& targets, double delta) {
    double sum = 0.0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        const double r = std::fabs(scores[i] - targets[i]);
        sum += r < delta ? 0.5 * r * r : delta * (r - 0.5 * delta);
    }
    return sum;
}

TEST_CASE("huber: worked example") {
    const std::vector<double> scores{0.5, 3.0, -2.0}, targets{0.0, 0.0, 0.0};
    std::vector<double> gradient(3, 1.0);
    const mean_value loss = huber_loss(serial, scores, targets, {.delta = 1.0}, gradient, 2.0);
    CHECK(loss.sum() == 0.125 + 2.5 + 1.5);
    CHECK(loss.finish() == 4.125 / 3.0);
    CHECK(gradient == std::vector<double>{2.0, 3.0, -1.0});  // added to the ones that stood there
}

TEST_CASE_TEMPLATE("huber: against the definition", T, float, double) {
    for (const std::size_t n : sweep_lengths(simd::pack<T>::lanes)) {
        for (const std::size_t offset : {std::size_t{0}, std::size_t{1}}) {
            CAPTURE(n);
            const placed<T> scores(random_normal<T>(n, 0.0, 2.0, 1), offset), targets(random_normal<T>(n), offset);
            const std::vector<double> p(scores.data(), scores.data() + n), y(targets.data(), targets.data() + n);
            const double got = huber_loss(serial, scores, targets).sum();
            CHECK_NEAR(got, reference(p, y, 1.0), reduction<T>(256));
        }
    }
}

TEST_CASE("huber: gradient") {
    const std::vector<double> targets = random_normal<double>(200, 0.0, 1.0, 2);
    const auto value = [&](vector_view<const double> x) {
        return huber_loss(serial, x, targets, {.delta = 0.75}).sum();
    };
    const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
        huber_loss(serial, x, targets, {.delta = 0.75}, out);
    };
    CHECK_LAW(testing::check_gradient(value, gradient, random_normal<double>(200, 0.0, 1.0, 3)));
}

TEST_CASE("huber: merge law and threads") {
    const std::vector<double> scores = random_normal<double>(40000), targets = random_normal<double>(40000, 0, 1, 2);
    const scored<double, double> rows{input(scores), input(targets), {}};
    const reckon::detail::huber_sum<isa::native> identity;
    CHECK_LAW(testing::check_merge(identity, rows, [](const auto& a, const auto& b) {
        return testing_support::near(a.loss.sum(), b.loss.sum(), reduction(40000)).ok &&
               a.loss.weight() == b.loss.weight();
    }));
    exec::pool pool(3);
    CHECK_LAW(testing::check_fold_policy(identity, rows, exec::host{pool},
                                         [](const auto& a, const auto& b) { return a.loss.sum() == b.loss.sum(); }));
}

TEST_CASE("huber: an element's gradient depends on its own row alone") {
    const auto kernel = [](vector_view<const float> in, vector_view<float> out) {
        const std::vector<float> targets(in.size(), 0.25F);
        const std::vector<float> scores(in.begin(), in.end());  // `out` may be the memory of `in`
        for (float& x : out) x = 0.0F;
        huber_loss(serial, scores, targets, {}, out);
    };
    CHECK_LAW(testing::check_tails(kernel, finite_extremes<float>()));
    CHECK_LAW(testing::check_nan_propagates(kernel, random_normal<float>(40)));
}

TEST_CASE("huber: bad input") {
    const std::vector<float> two{1.0F, 2.0F}, three{1.0F, 2.0F, 3.0F};
    std::vector<float> gradient(3);
    CHECK(std::isnan(huber_loss(serial, std::vector<float>{}, std::vector<float>{}).finish()));
    CHECK_THROWS_WITH_AS(huber_loss(serial, two, three), "huber_loss: 2 scores but 3 labels", std::invalid_argument);
    CHECK_THROWS_WITH_AS(huber_loss(serial, two, two, {}, gradient), "huber_loss: 2 scores but room for 3 derivatives",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(huber_loss(serial, two, two, {.delta = 0.0}), "huber_loss: delta must be positive, got 0",
                         std::invalid_argument);
    const std::vector<float> bad{1.0F, std::numeric_limits<float>::quiet_NaN()};
    CHECK(std::isnan(huber_loss(serial, bad, two).sum()));
}

}  // namespace
