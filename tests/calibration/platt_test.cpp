// Platt scaling, and the Newton pass it shares with the other logistic calibrators.
#include "reckon/calibration/platt.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/testing/laws.hpp"
#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using reckon::detail::affine_features;
using reckon::detail::newton_sums;
using loss_sum = reckon::detail::log_loss_sum<affine_features>;

constexpr platt_options on_logits{.input = score_kind::logit};

double plain_sigmoid(double z) {
    return 1.0 / (1.0 + std::exp(-z));
}

struct reference_fit {
    double slope, intercept, loss;
};

// Newton's method as the textbook has it, in double, row by row, with halving on the loss itself.
template <class T, class Y>
reference_fit reference(const std::vector<T>& f, const std::vector<Y>& y, const std::vector<double>& w, bool smooth) {
    double positive = 0, total = 0;
    for (std::size_t i = 0; i < f.size(); ++i) {
        positive += w[i] * static_cast<double>(y[i]);
        total += w[i];
    }
    const double high = smooth ? (positive + 1) / (positive + 2) : 1.0;
    const double low = smooth ? 1 / (total - positive + 2) : 0.0;
    const auto loss = [&](double a, double b) {
        double sum = 0;
        for (std::size_t i = 0; i < f.size(); ++i) {
            const double t = low + (high - low) * static_cast<double>(y[i]), z = a * static_cast<double>(f[i]) + b;
            sum += w[i] * (std::log1p(std::exp(-std::fabs(z))) + (z > 0 ? z : 0.0) - t * z);
        }
        return sum;
    };
    double a = 0, b = std::log((positive + 1) / (total - positive + 1));
    for (int pass = 0; pass < 200; ++pass) {
        double ga = 0, gb = 0, haa = 0, hab = 0, hbb = 0;
        for (std::size_t i = 0; i < f.size(); ++i) {
            const double x = static_cast<double>(f[i]), p = plain_sigmoid(a * x + b);
            const double r = w[i] * (p - low - (high - low) * static_cast<double>(y[i])), h = w[i] * p * (1 - p);
            ga += r * x;
            gb += r;
            haa += h * x * x;
            hab += h * x;
            hbb += h;
        }
        const double det = haa * hbb - hab * hab;
        const double da = -(hbb * ga - hab * gb) / det, db = -(haa * gb - hab * ga) / det;
        double t = 1;
        const double here = loss(a, b);
        while (t > 1e-10 && loss(a + t * da, b + t * db) > here * (1 + 1e-15)) t /= 2;
        a += t * da;
        b += t * db;
        // Newton's steps square the error: after one of 1e-9 nothing is left to gain.
        if (std::fabs(da) + std::fabs(db) < 1e-9) break;
    }
    return {a, b, loss(a, b)};
}

template <class T>
std::vector<T> logits_of(const std::vector<T>& p) {
    std::vector<T> z;
    for (const T x : p) z.push_back(static_cast<T>(std::log(double(x)) - std::log1p(-double(x))));
    return z;
}

// Both sides in units of what float lanes can tell: the oracle has seen the same scores in double.
template <class T>
tolerance parameter() {
    return sizeof(T) == 8 ? fitted() : tolerance{.relative = 4e-6, .absolute = 4e-6};
}

reckon::detail::logistic_model<affine_features> some_model() {
    reckon::detail::logistic_model<affine_features> model;
    model.features = affine_features::over(-3.0, 4.0, 0.25);
    model.targets = {0.01, 0.95};
    model.theta = {1.75, -0.5};
    return model;
}

}  // namespace

TEST_CASE("platt: worked example") {
    const std::vector<double> f{-2, -1, -0.5, 0.5, 1, 2};
    const std::vector<int> y{0, 0, 1, 0, 1, 1};
    const auto c = platt::fit(exec::serial, f, y, {}, on_logits);
    CHECK_NEAR(c.slope(), 0.630415625, fitted());
    CHECK_NEAR(c.intercept(), 0.0, fitted());
    CHECK(c.seen() == counts{6, 0});
    CHECK_NEAR(c(1.0), plain_sigmoid(0.630415625), fitted());

    loss_sum loss;
    loss.model.features = {1.0, 0.0};
    loss.model.targets = reckon::detail::smoothed_targets(3, 3);
    loss.model.theta = {c.slope(), c.intercept()};
    loss.absorb(make_scored("test", f, y));
    CHECK_NEAR(loss.loss, 3.709340575, fitted());
}

TEST_CASE_TEMPLATE("platt: equals the reference at every length", T, float, double) {
    constexpr std::size_t lanes = simd::pack<T>::lanes;
    for (const std::size_t n : sweep_lengths(lanes)) {
        if (n < 3) continue;  // the reference needs a Hessian of full rank; the calibrator test has the rest
        auto data = random_scored<T>(n, {.seed = n, .slope = 1.5});
        data.labels[0] = 0;
        data.labels[1] = 1;
        const auto z = logits_of(data.scores);
        const placed<T> shifted(z, 1);
        const auto c = platt::fit(exec::serial, vector_view<const T>(shifted.data(), n), data.labels, {}, on_logits);
        const auto want = reference(z, data.labels, std::vector<double>(n, 1.0), true);
        CHECK_NEAR(c.slope(), want.slope, parameter<T>());
        CHECK_NEAR(c.intercept(), want.intercept, parameter<T>());
    }
}

TEST_CASE_TEMPLATE("platt: weights, fractional labels and plain targets equal the reference", T, float, double) {
    const auto data = random_scored<T, T>(3001, {.bias = -2, .slope = 0.6, .shift = 0.5});
    auto labels = data.labels;
    for (std::size_t i = 0; i < labels.size(); i += 7) labels[i] = T(0.25);
    const auto z = logits_of(data.scores);
    const std::vector<double> weights(data.weights.begin(), data.weights.end());
    for (const bool smooth : {false, true}) {
        platt_options options = on_logits;
        options.smooth_targets = smooth;
        const auto c = platt::fit(exec::serial, z, labels, data.weights, options);
        const auto want = reference(z, labels, weights, smooth);
        CHECK_NEAR(c.slope(), want.slope, parameter<T>());
        CHECK_NEAR(c.intercept(), want.intercept, parameter<T>());
        options.input = score_kind::probability;
        const auto same = platt::fit(exec::serial, data.scores, labels, data.weights, options);
        CHECK_NEAR(same.slope(), want.slope, parameter<T>());
        CHECK_NEAR(same.intercept(), want.intercept, parameter<T>());
    }
}

TEST_CASE_TEMPLATE("platt: equals the oracles", T, float, double) {
    const fixture data("data.txt"), oracle("calibrators.txt");
    for (const std::string name : {"ties", "smooth", "weighted", "skewed", "negatives", "tiny"}) {
        CAPTURE(name);
        const auto p = data.as<T>(name + ".p");
        const auto y = data.as<T>(name + ".y");
        const auto w = data.contains(name + ".w") ? data.as<T>(name + ".w") : std::vector<T>(p.size(), T(1));
        const auto c = platt::fit(exec::serial, p, y, w);
        CHECK_NEAR(c.slope(), oracle[name + ".platt.smoothed"][0], parameter<T>());
        CHECK_NEAR(c.intercept(), oracle[name + ".platt.smoothed"][1], parameter<T>());
        if (std::isnan(oracle[name + ".platt.plain"][0])) continue;
        const auto plain = platt::fit(exec::serial, p, y, w, {.smooth_targets = false});
        CHECK_NEAR(plain.slope(), oracle[name + ".platt.plain"][0], parameter<T>());
        CHECK_NEAR(plain.intercept(), oracle[name + ".platt.plain"][1], parameter<T>());
    }
}

TEST_CASE("platt: a start from a sample does not change the optimum") {
    // Sorted rows make the sample's blocks unlike each other; the last case has hardly a positive in the sample.
    for (const double bias : {-1.0, -4.0, -7.5}) {
        const auto data = random_scored<double>(60000, {.bias = bias, .slope = 1.4, .shift = -0.5});
        const auto z = logits_of(data.scores);
        const auto want = reference(z, data.labels, std::vector<double>(z.size(), 1.0), true);
        const auto c = platt::fit(exec::serial, z, data.labels, {}, on_logits);
        CHECK_NEAR(c.slope(), want.slope, fitted());
        CHECK_NEAR(c.intercept(), want.intercept, fitted());
    }
}

TEST_CASE("platt: outliers and separable scores") {
    // The full Newton step overshoots here, so the loss decides.
    auto data = random_scored<double>(500, {.slope = 1.0});
    auto z = logits_of(data.scores);
    z[0] = 1000;
    data.labels[0] = 0;
    const auto want = reference(z, data.labels, std::vector<double>(z.size(), 1.0), true);
    const auto c = platt::fit(exec::serial, z, data.labels, {}, on_logits);
    CHECK_NEAR(c.slope(), want.slope, fitted());
    CHECK_NEAR(c.intercept(), want.intercept, fitted());

    const std::vector<double> f{-3, -2, -1, 1, 2, 3};
    const std::vector<int> y{0, 0, 0, 1, 1, 1};
    const auto smooth = platt::fit(exec::serial, f, y, {}, on_logits);
    const auto separable = reference(f, y, std::vector<double>(6, 1.0), true);
    CHECK_NEAR(smooth.slope(), separable.slope, fitted());
    for (const platt_options options :
         {platt_options{.input = score_kind::logit, .smooth_targets = false},
          platt_options{.input = score_kind::logit, .smooth_targets = false, .tolerance = 1e-3}}) {
        const auto steep = platt::fit(exec::serial, f, y, {}, options);
        CHECK(std::isfinite(steep.slope()));
        CHECK(std::isfinite(steep.intercept()));
        CHECK(steep.slope() > smooth.slope());
    }
    for (const float scale : {1e-30f, 1e30f, 3e38f}) {
        std::vector<float> far;
        for (const double x : f) far.push_back(static_cast<float>(x / 3) * scale);
        const auto scaled = platt::fit(exec::serial, far, y, {}, on_logits);
        CHECK_NEAR(scaled.slope() * double(scale) / 3, separable.slope, parameter<float>());
    }
}

TEST_CASE("platt: one class, one score, nothing") {
    const std::vector<double> z{-1, 0, 2, 0.5};
    for (const int label : {0, 1}) {
        const std::vector<int> labels(4, label);
        const auto c = platt::fit(exec::serial, z, labels, {}, on_logits);
        // All targets are equal, so a constant fits them exactly.
        CHECK_NEAR(c.slope(), 0.0, fitted());
        CHECK_NEAR(c(0.3), label == 1 ? 5.0 / 6 : 1.0 / 6, fitted());
        const auto plain =
            platt::fit(exec::serial, z, labels, {}, {.input = score_kind::logit, .smooth_targets = false});
        CHECK(std::isfinite(plain.slope()));
        CHECK(std::isfinite(plain.intercept()));
    }
    const std::vector<double> same(5, 0.7);
    const std::vector<int> mixed{1, 0, 0, 0, 1};
    const auto c = platt::fit(exec::serial, same, mixed, {}, {.input = score_kind::logit, .smooth_targets = false});
    CHECK(c.slope() == 0.0);
    CHECK_NEAR(c(0.7), 0.4, fitted());
    const auto empty = platt::fit(exec::serial, std::vector<double>{}, std::vector<int>{});
    CHECK(empty.slope() == 1.0);
    CHECK(empty.intercept() == 0.0);
    CHECK_NEAR(empty(0.3), 0.3, probability<double>());
}

TEST_CASE_TEMPLATE("platt: the Newton pass has the derivatives of the loss", T, float, double) {
    const auto data = random_scored<T, T>(777, {.seed = 5});
    const auto z = logits_of(data.scores);
    const auto rows = make_scored("test", z, data.labels, data.weights);
    newton_sums<affine_features> sums{some_model()};
    sums.absorb(rows);
    const auto loss_at = [&](double a, double b) {
        loss_sum loss{some_model()};
        loss.model.theta = {a, b};
        loss.absorb(rows);
        return loss.loss;
    };
    const auto [a, b] = some_model().theta;
    const double h = 1e-4;
    // Central differences of the sum err by h^2 times a third derivative, and by rounding over h.
    const tolerance difference{.absolute = sizeof(T) == 8 ? 1e-5 : 1e-3};
    CHECK_NEAR(sums.gradient[0], (loss_at(a + h, b) - loss_at(a - h, b)) / (2 * h), difference);
    CHECK_NEAR(sums.gradient[1], (loss_at(a, b + h) - loss_at(a, b - h)) / (2 * h), difference);
    const auto gradient_at = [&](double at_a, double at_b) {
        newton_sums<affine_features> moved{some_model()};
        moved.model.theta = {at_a, at_b};
        const std::vector<double> doubles(z.begin(), z.end());
        moved.absorb(make_scored("test", doubles, data.labels, data.weights));
        return moved.gradient;
    };
    const auto up = gradient_at(a + h, b), down = gradient_at(a - h, b);
    const auto right = gradient_at(a, b + h), left = gradient_at(a, b - h);
    CHECK_NEAR(sums.hessian[0], (up[0] - down[0]) / (2 * h), difference);
    CHECK_NEAR(sums.hessian[1], (up[1] - down[1]) / (2 * h), difference);
    CHECK_NEAR(sums.hessian[1], (right[0] - left[0]) / (2 * h), difference);
    CHECK_NEAR(sums.hessian[2], (right[1] - left[1]) / (2 * h), difference);
}

TEST_CASE_TEMPLATE("platt: the Newton pass merges", T, float, double) {
    const auto data = random_scored<T>(3000, {.seed = 6});
    const auto z = logits_of(data.scores);
    const auto rows = make_scored("test", z, data.labels, data.weights);
    const newton_sums<affine_features> identity{some_model()};
    const tolerance sum = reduction<T>(3000).of(3000.0);
    const auto same = [&](const newton_sums<affine_features>& got, const newton_sums<affine_features>& want) {
        bool ok = true;
        for (std::size_t i = 0; i < 2; ++i) ok = ok && near(got.gradient[i], want.gradient[i], sum).ok;
        for (std::size_t i = 0; i < 3; ++i) ok = ok && near(got.hessian[i], want.hessian[i], sum).ok;
        return ok;
    };
    const auto merged = testing::check_merge(identity, rows, same);
    CHECK_MESSAGE(merged.ok, merged.message);
    exec::pool pool(3);
    const auto equal = [](const newton_sums<affine_features>& got, const newton_sums<affine_features>& want) {
        return got.gradient == want.gradient && got.hessian == want.hessian;
    };
    const auto threads = testing::check_fold_policy(identity, rows, exec::host(pool), equal);
    CHECK_MESSAGE(threads.ok, threads.message);
}

TEST_CASE("platt: options and parameters out of range throw") {
    const std::vector<double> p{0.1, 0.2};
    const std::vector<int> y{0, 1};
    CHECK_THROWS_AS(platt::fit(exec::serial, p, y, {}, {.tolerance = 0.0}), std::invalid_argument);
    CHECK_THROWS_AS(platt::fit(exec::serial, p, y, {}, {.max_passes = 0}), std::invalid_argument);
    CHECK_THROWS_AS(platt(std::numeric_limits<double>::infinity(), 0.0), std::invalid_argument);
    CHECK_THROWS_AS(platt(1.0, std::numeric_limits<double>::quiet_NaN()), std::invalid_argument);
}

TEST_CASE("platt: solve_spd") {
    // [4 2; 2 3] x = (2, 5)
    const auto x = reckon::detail::solve_spd<2>({4, 2, 3}, {2, 5}, 0.0);
    CHECK_NEAR(x[0], -0.5, ulp(4));
    CHECK_NEAR(x[1], 2.0, ulp(4));
    const auto flat = reckon::detail::solve_spd<2>({0, 0, 2}, {0, 1}, 1e-12);
    CHECK(flat[0] == 0.0);
    CHECK_NEAR(flat[1], 0.5, fitted());
}
