// Simple estimates of uncertainty: counts, entropy, dropout, posterior of the last layer.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/uncertainty/count_uncertainty.hpp"
#include "reckon/uncertainty/last_layer_laplace.hpp"
#include "reckon/uncertainty/mc_dropout.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

double reference_entropy(double p) {
    return -(p > 0.0 ? p * std::log(p) : 0.0) - (p < 1.0 ? (1.0 - p) * std::log1p(-p) : 0.0);
}

embedded_rows<double> some_rows(const std::vector<double>& x, const std::vector<double>& y,
                                const std::vector<double>& w, std::size_t columns) {
    return {view(x, y.size(), columns), input(y), input(w)};
}

}  // namespace

TEST_CASE_TEMPLATE("count_uncertainty: equals the definition", T, float, double) {
    for (const std::size_t n : sweep_lengths(simd::pack<T>::lanes)) {
        const placed<T> seen(random_integers<T>(n, 50, 1), 1);
        std::vector<T> out(n), want(n);
        for (std::size_t i = 0; i < n; ++i) want[i] = static_cast<T>(1.0 / std::sqrt(double(seen.data()[i])));
        count_uncertainty(serial, vector_view<const T>(seen.data(), n), out);
        CHECK_ALL_NEAR(out, want, ulp(2));
    }
    std::vector<T> few{T(0), T(1), T(4), T(-1), static_cast<T>(unknown)};
    count_uncertainty(serial, few, few);
    CHECK(few[0] == std::numeric_limits<T>::infinity());
    CHECK(few[1] == T(1));
    CHECK(few[2] == T(0.5));
    CHECK(std::isnan(few[3]));
    CHECK(std::isnan(few[4]));
    CHECK_THROWS_WITH_AS(count_uncertainty(serial, few, std::vector<T>(2)),
                         "count_uncertainty: 5 values but room for 2", std::invalid_argument);
}

TEST_CASE_TEMPLATE("predictive_entropy: equals the definition", T, float, double) {
    std::vector<T> p = random_uniform<T>(300, 0.0, 1.0, 1);
    for (const T x : extreme_probabilities<T>()) p.push_back(x);
    std::vector<T> out(p.size()), want(p.size());
    for (std::size_t i = 0; i < p.size(); ++i) want[i] = static_cast<T>(reference_entropy(double(p[i])));
    predictive_entropy(serial, p, out);
    CHECK_ALL_NEAR(out, want, ulp(4));
    std::vector<T> bad{T(-0.1), T(1.1), static_cast<T>(unknown), T(0), T(1)};
    predictive_entropy(serial, bad, bad);
    for (std::size_t i = 0; i < 3; ++i) CHECK(std::isnan(bad[i]));
    CHECK(bad[3] == T(0));
    CHECK(bad[4] == T(0));
}

TEST_CASE("mc_dropout: converges to the enumeration of all masks") {
    const fixture data("lists.txt");
    const auto& x = data["dropout.x"];
    const auto& w = data["dropout.w"];
    const std::size_t passes = 20000;
    std::vector<double> mean(4), variance(4);
    mc_dropout(serial, view(x, 4, 6), w, 0.5, mean, variance, {.rate = 0.3, .passes = passes});
    for (std::size_t i = 0; i < 4; ++i) {
        const double v = data["dropout.variance"][i];
        double closed = 0.0;
        for (std::size_t h = 0; h < 6; ++h) closed += 0.3 / 0.7 * std::pow(x[i * 6 + h] * w[h], 2);
        CHECK_NEAR(closed, v, reduction(64));
        // Four standard errors of a mean, and of a variance of nearly normal numbers.
        const double n = static_cast<double>(passes);
        CHECK(std::fabs(mean[i] - 0.5 - data["dropout.mean"][i]) < 4.0 * std::sqrt(v / n));
        CHECK(std::fabs(variance[i] - v) < 4.0 * v * std::sqrt(2.0 / n));
    }
}

TEST_CASE("mc_dropout: masks belong to the row, whatever the shard or the thread") {
    const auto x = random_normal<float>(200 * 7), w = random_normal<float>(7, 0.0, 1.0, 2);
    std::vector<float> mean(200), variance(200), m(200), v(200);
    const auto inputs = view(x, 200, 7);
    mc_dropout(serial, inputs, w, 0.0, mean, variance);
    exec::pool pool(3);
    mc_dropout(exec::host{pool}, inputs, w, 0.0, m, v);
    CHECK(m == mean);
    CHECK(v == variance);
    std::vector<float> late_mean(90), late_variance(90);
    mc_dropout(serial, inputs.slice(110, 90), w, 0.0, late_mean, late_variance, {.first_row = 110});
    CHECK(late_mean == std::vector<float>(mean.begin() + 110, mean.end()));
    CHECK(late_variance == std::vector<float>(variance.begin() + 110, variance.end()));
    // Nothing is dropped: the head itself.
    mc_dropout(serial, inputs, w, 1.0, m, v, {.rate = 0.0});
    for (std::size_t i = 0; i < 200; ++i) {
        double f = 1.0, size = 1.0;
        for (std::size_t h = 0; h < 7; ++h) {
            f += double(x[i * 7 + h]) * double(w[h]);
            size += std::fabs(double(x[i * 7 + h]) * double(w[h]));
        }
        CHECK_NEAR(m[i], f, worst_reduction<float>(1).of(size));
        CHECK(v[i] == 0.0F);
    }
    CHECK_THROWS_AS(mc_dropout(serial, inputs, w, 0.0, m, v, {.rate = 1.0}), std::invalid_argument);
    CHECK_THROWS_AS(mc_dropout(serial, inputs, w, 0.0, m, v, {.passes = 0}), std::invalid_argument);
    CHECK_THROWS_AS(mc_dropout(serial, inputs, m, 0.0, m, v), std::invalid_argument);
    CHECK_THROWS_AS(mc_dropout(serial, inputs, w, 0.0, late_mean, v), std::invalid_argument);
}

TEST_CASE("last_layer_laplace: worked example") {
    // One column: A = 1 + 4 + 3, b = 2 + 3.
    const std::vector<double> x{2.0, 1.0, 1.0, 1.0}, y{1.0, 1.0, 1.0, 1.0};
    const last_layer_laplace model(sum_linear(serial, view(x, 4, 1), y), 1.0, 2.0);
    CHECK_NEAR(model.inverse()[0], 1.0 / 8.0, ulp(4));
    CHECK_NEAR(model.weights()[0], 5.0 / 8.0, ulp(4));
    CHECK_NEAR(model.mean(std::vector<double>{3.0}), 15.0 / 8.0, ulp(4));
    CHECK_NEAR(model.variance(std::vector<double>{3.0}), 4.0 * 9.0 / 8.0, ulp(4));
    // Without data: the prior.
    const last_layer_laplace prior(linear_sums(2), 4.0);
    CHECK(prior.variance(std::vector<double>{1.0, 2.0}) == 1.25);
    CHECK(prior.mean(std::vector<double>{1.0, 2.0}) == 0.0);
}

TEST_CASE("last_layer_laplace: equals the oracles") {
    const fixture data("lists.txt");
    const auto &x = data["laplace.x"], &y = data["laplace.y"], &w = data["laplace.w"], &q = data["laplace.q"];
    last_layer_laplace model(sum_linear(serial, view(x, 60, 5), y, w), 0.7, 0.4);
    const auto agree = [&](const std::string& name) {
        CHECK_ALL_NEAR(model.inverse(), data[name + "inverse"], fitted());
        CHECK_ALL_NEAR(model.weights(), data[name + "mean"], fitted());
        std::vector<double> variance(9);
        model.variance(serial, view(q, 9, 5), variance);
        CHECK_ALL_NEAR(variance, data[name + "variance"], tolerance{.relative = 1e-10});
        for (std::size_t r = 0; r < 9; ++r) {
            CHECK(model.variance(view(q, 9, 5).row(r)) == variance[r]);
        }
    };
    agree("laplace.");
    CHECK_ALL_NEAR(model.weights(), data["laplace.sklearn"], fitted());
    model.update(view(q, 9, 5).row(0), 1.5, 2.0);
    agree("laplace.after.");
    exec::pool pool(3);
    std::vector<float> one(9), many(9);
    model.variance(serial, view(q, 9, 5), one);
    model.variance(exec::host{pool}, view(q, 9, 5), many);
    CHECK(one == many);
}

TEST_CASE("last_layer_laplace: updates one by one equal the batch") {
    const auto x = random_normal<float>(400 * 6), y = random_normal<float>(400, 0.0, 1.0, 2);
    const auto rows = view(x, 400, 6);
    last_layer_laplace stream(linear_sums(6), 0.5);
    for (std::size_t i = 0; i < 400; ++i) stream.update(rows.row(i), double(y[i]));
    const last_layer_laplace batch(sum_linear(serial, rows, y), 0.5);
    CHECK_ALL_NEAR(stream.inverse(), batch.inverse(), fitted());
    CHECK_ALL_NEAR(stream.weights(), batch.weights(), fitted());
    for (std::size_t i = 0; i < 6; ++i) {
        for (std::size_t j = 0; j < i; ++j) CHECK(stream.inverse()[i * 6 + j] == stream.inverse()[j * 6 + i]);
    }
    // More data, less variance.
    const double before = batch.variance(rows.row(3));
    last_layer_laplace more = batch;
    more.update(rows.row(3), 0.0);
    CHECK(more.variance(rows.row(3)) < before);
}

TEST_CASE("linear_sums: merge law, threads, bad rows, bytes") {
    // Small integers and halves: sums are exact.
    auto x = random_integers<double>(3000 * 4, 9, 1);
    auto y = random_integers<double>(3000, 5, 2), w = random_integers<double>(3000, 4, 3);
    for (double& v : w) v *= 0.5;
    x[4 * 100 + 2] = unknown;
    y[200] = inf;
    w[300] = -1.0;
    w[301] = unknown;
    const auto rows = some_rows(x, y, w, 4);
    const auto same = [](const linear_sums& a, const linear_sums& b) { return to_bytes(a) == to_bytes(b); };
    CHECK_LAW(testing::check_merge(linear_sums(4), rows, same));
    exec::pool pool(3);
    CHECK_LAW(testing::check_fold_policy(linear_sums(4), rows, exec::host{pool}, same));
    const linear_sums all = sum_linear(serial, view(x, 3000, 4), y, w);
    CHECK(all.seen() == counts{2996, 4});
    double product = 0.0, target = 0.0;
    for (std::size_t i = 0; i < 3000; ++i) {
        if (i == 100 || i == 200 || i == 300 || i == 301) continue;
        product += w[i] * x[i * 4 + 3] * x[i * 4 + 1];
        target += w[i] * x[i * 4 + 1] * y[i];
    }
    CHECK(all.product(3, 1) == product);
    CHECK(all.product(1, 3) == product);
    CHECK(all.targets()[1] == target);

    linear_sums small(2);
    small.absorb(some_rows({1, 2, 3, 4}, {1, 0}, {1, 2}, 2));
    CHECK(same(from_bytes<linear_sums>(to_bytes(small)), small));
    CHECK_LAW(testing::check_bytes(
        to_bytes(small), [](vector_view<const std::byte> bytes) { return from_bytes<linear_sums>(bytes); },
        [](const linear_sums& s) { return s.dimension() >= 1 && s.product(0, 0) >= 0.0; }));
}

TEST_CASE("last_layer_laplace: bad input") {
    CHECK_THROWS_AS(linear_sums(0), std::invalid_argument);
    CHECK_THROWS_AS(linear_sums(5000), std::invalid_argument);
    linear_sums two(2);
    CHECK_THROWS_AS(two.merge(linear_sums(3)), std::invalid_argument);
    const std::vector<double> three{1.0, 2.0, 3.0};
    CHECK_THROWS_AS(two.absorb(some_rows(three, {1.0}, {}, 3)), std::invalid_argument);
    CHECK_THROWS_WITH_AS(last_layer_laplace(two, 0.0), "last_layer_laplace: ridge must be positive, got 0",
                         std::invalid_argument);
    CHECK_THROWS_AS(last_layer_laplace(two, 1.0, inf), std::invalid_argument);
    last_layer_laplace model(two);
    CHECK_THROWS_WITH_AS(static_cast<void>(model.variance(three)), "last_layer_laplace: 3 values for dimension 2",
                         std::invalid_argument);
    CHECK_THROWS_AS(model.update(std::vector<double>{1.0, unknown}), std::invalid_argument);
    CHECK_THROWS_AS(model.update(std::vector<double>{1.0, 1.0}, 0.0, -1.0), std::invalid_argument);
    CHECK(std::isnan(model.variance(std::vector<double>{1.0, unknown})));
    // Equal columns and a ridge that double cannot see beside them.
    linear_sums flat(2);
    flat.absorb(some_rows({1e9, 1e9}, {0.0}, {}, 2));
    CHECK_THROWS_AS(last_layer_laplace(flat, 1e-9), std::invalid_argument);
}
