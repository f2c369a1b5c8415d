// Losses of percentile heads and what goes with them: worked examples, definition, mpmath, gradients, laws, bad input.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/percentile/contrast_labels.hpp"
#include "reckon/percentile/gate.hpp"
#include "reckon/percentile/soft_bce.hpp"
#include "reckon/percentile/weighted_pair_bce.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;
using doubles = std::vector<double>;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

double softplus(double z) {
    return std::fmax(z, 0.0) + std::log1p(std::exp(-std::fabs(z)));
}
double sigmoid(double z) {
    return 1.0 / (1.0 + std::exp(-z));
}

TEST_CASE("soft_bce, weighted_pair_bce: worked example") {
    const doubles z{0.0, 0.0, 2.0, 5.0}, c{0.5, 1.0, nan, 0.0}, w{1.0, 3.0, 1.0, 0.0};
    doubles gradient(4, 1.0), hessian(4, 1.0);
    const mean_value loss = soft_bce(serial, z, c, w, gradient, 2.0, hessian);
    CHECK_NEAR(loss.sum(), 4.0 * std::log(2.0), reduction(4));
    CHECK(loss.weight() == 4.0);                           // the missing label and the weight of 0 count nothing
    CHECK(gradient == doubles{1.0, 1.0 - 3.0, 1.0, 1.0});  // added to the ones that stood there
    CHECK(hessian == doubles{1.5, 2.5, 1.0, 1.0});
    const doubles wins{1.0, 0.0, 4.0, nan}, losses{3.0, 0.0, 0.0, 1.0};
    doubles slope(4, 0.0);
    const mean_value pairs = weighted_pair_bce(serial, z, wins, losses, none{}, slope);
    CHECK_NEAR(pairs.sum(), 4.0 * std::log(2.0) + 4.0 * softplus(-2.0), reduction(4));
    CHECK(pairs.weight() == 2.0);
    CHECK(slope[0] == 1.0);
    CHECK(slope[1] == 0.0);
    CHECK_NEAR(slope[2], -4.0 * sigmoid(-2.0), reduction(8));
    CHECK(slope[3] == 0.0);
}

TEST_CASE_TEMPLATE("soft_bce, weighted_pair_bce: against the definition", T, float, double) {
    for (const std::size_t n : sweep_lengths(simd::pack<T>::lanes)) {
        CAPTURE(n);
        const placed<T> z(random_normal<T>(n, 0.0, 3.0, 1), 1), c(random_uniform<T>(n, 0.0, 1.0, 2), n % 2),
            lost(random_uniform<T>(n, 0.0, 2.0, 3), 0);
        const std::vector<T> w = random_uniform<T>(n, 0.0, 2.0, 4);
        double soft = 0.0, pair = 0.0, plain = 0.0, weight = 0.0;
        doubles soft_slope, pair_slope, curve;
        for (std::size_t i = 0; i < n; ++i) {
            const double x = z.data()[i], a = c.data()[i], b = lost.data()[i], g = w[i], p = sigmoid(x);
            plain += softplus(x) - a * x;
            soft += g * (softplus(x) - a * x);
            pair += g * ((a + b) * softplus(x) - a * x);
            weight += g;
            soft_slope.push_back(g * (p - a));
            pair_slope.push_back(g * ((a + b) * p - a));
            curve.push_back(g * (a + b) * p * (1.0 - p));
        }
        std::vector<T> slope(n, T(0)), other(n, T(0)), second(n, T(0));
        const mean_value got = soft_bce(serial, z, c, w, slope);
        CHECK_NEAR(got.sum(), soft, reduction<T>(256));
        CHECK_NEAR(got.weight(), weight, reduction<T>(256));
        CHECK_NEAR(soft_bce(serial, z, c).sum(), plain, reduction<T>(256));
        CHECK(soft_bce(serial, z, c).weight() == static_cast<double>(n));
        CHECK_NEAR(weighted_pair_bce(serial, z, c, lost, w, other, 1.0, second).sum(), pair, reduction<T>(256));
        CHECK_ALL_NEAR(slope, soft_slope, probability<T>());
        CHECK_ALL_NEAR(other, pair_slope, reduction<T>(2).of(4.0));
        CHECK_ALL_NEAR(second, curve, reduction<T>(2).of(2.0));
    }
}

TEST_CASE("soft_bce, weighted_pair_bce: mpmath, far out too") {
    const fixture oracle{"contrast.txt"};
    const doubles &z = oracle["bce.z"], &c = oracle["bce.c"], &w = oracle["bce.w"], &wins = oracle["bce.wins"],
                  &losses = oracle["bce.losses"];
    const std::size_t n = z.size();
    CHECK_NEAR(soft_bce(serial, z, c, w).sum(), oracle.value("bce.sum"), reduction(n));
    CHECK_NEAR(weighted_pair_bce(serial, z, wins, losses, w).sum(), oracle.value("pair.sum"), reduction(n));
    for (const bool pair : {false, true}) {
        doubles value, slope(n, 0.0), curve(n, 0.0);
        pair ? weighted_pair_bce(serial, z, wins, losses, none{}, slope, 1.0, curve)
             : soft_bce(serial, z, c, none{}, slope, 1.0, curve);
        const std::string name = pair ? "pair" : "bce";
        for (std::size_t i = 0; i < n; ++i) {
            const doubles one{z[i]}, a{pair ? wins[i] : c[i]}, b{losses[i]};
            value.push_back(pair ? weighted_pair_bce(serial, one, a, b).sum() : soft_bce(serial, one, a).sum());
            const double mass = pair ? wins[i] + losses[i] : 1.0;
            CHECK_NEAR(value[i], oracle[name + ".value"][i], reduction(4).of(mass * (1.0 + std::fabs(z[i]))));
            CHECK_NEAR(slope[i], oracle[name + ".slope"][i], reduction(4).of(mass));
        }
        CHECK_ALL_NEAR(curve, oracle[name + ".curve"], ulp(16));
    }
}

TEST_CASE_TEMPLATE("soft_bce, weighted_pair_bce: relative accuracy of sure answers", T, float, double) {
    // Wins and losses; the labels c = 1 and c = 0 first.
    const T stakes[][2] = {{1, 0}, {0, 1}, {3, 0}, {0, T(0.25)}, {2, T(0.375)}};
    for (const auto& [a, b] : stakes) {
        std::vector<T> z;
        for (const T size : {T(5), T(10), T(20), T(30), T(80)}) z.insert(z.end(), {size, -size});
        const std::size_t n = z.size();
        const std::vector<T> wins(n, a), losses(n, b);
        std::vector<T> slope(n, T(0)), soft_slope(n, T(0));
        weighted_pair_bce(serial, z, wins, losses, none{}, slope);
        const bool soft = a + b == T(1);
        if (soft) soft_bce(serial, z, wins, none{}, soft_slope);
        for (std::size_t i = 0; i < n; ++i) {
            const double x = z[i], won = a, lost = b;
            CAPTURE(x);
            CAPTURE(won);
            CAPTURE(lost);
            const std::vector<T> one{z[i]}, w{a}, l{b};
            const double value = won * softplus(-x) + lost * softplus(x);
            CHECK_NEAR(static_cast<T>(weighted_pair_bce(serial, one, w, l).sum()), value, ulp(8));
            // Where both sides are there the slope is a difference.
            if (won * lost == 0.0) CHECK_NEAR(slope[i], lost * sigmoid(x) - won * sigmoid(-x), ulp(8));
            if (!soft) continue;
            CHECK_NEAR(static_cast<T>(soft_bce(serial, one, w).sum()), value, ulp(8));
            CHECK_NEAR(soft_slope[i], lost * sigmoid(x) - won * sigmoid(-x), ulp(8));
        }
    }
}

TEST_CASE_TEMPLATE("soft_bce, weighted_pair_bce: infinite logits", T, float, double) {
    const T far_off = std::numeric_limits<T>::infinity();
    // Sure and right costs nothing, sure and wrong everything.
    const std::vector<T> z{far_off, -far_off, far_off, -far_off}, c{1, 0, 0, 1}, rest{0, 1, 1, 0};
    const doubles value{0.0, 0.0, inf, inf};
    const std::vector<T> want_slope{0, 0, 1, -1}, flat(4, T(0));
    for (std::size_t i = 0; i < 4; ++i) {
        for (const std::size_t copies : {1u, 40u}) {  // a tail alone, and whole packs
            CAPTURE(i);
            const std::vector<T> x(copies, z[i]), wins(copies, c[i]), losses(copies, rest[i]);
            CHECK(soft_bce(serial, x, wins).sum() == value[i]);
            CHECK(weighted_pair_bce(serial, x, wins, losses).sum() == value[i]);
        }
    }
    std::vector<T> slope(4, T(0)), curve(4, T(0));
    soft_bce(serial, z, c, none{}, slope, 1.0, curve);
    CHECK(slope == want_slope);
    CHECK(curve == flat);
    slope = curve = flat;
    weighted_pair_bce(serial, z, c, rest, none{}, slope, 1.0, curve);
    CHECK(slope == want_slope);
    CHECK(curve == flat);
}

TEST_CASE("soft_bce, weighted_pair_bce: gradient and curvature") {
    const std::size_t n = 120;
    const doubles c = random_uniform<double>(n, 0.0, 1.0, 2), lost = random_uniform<double>(n, 0.0, 3.0, 3),
                  w = random_uniform<double>(n, 0.0, 2.0, 4), at = random_normal<double>(n, 0.0, 2.0, 5);
    CHECK_LAW(testing::check_gradient([&](auto z) { return soft_bce(serial, z, c, w).sum(); },
                                      [&](auto z, auto out) { soft_bce(serial, z, c, w, out); }, at));
    CHECK_LAW(testing::check_gradient([&](auto z) { return weighted_pair_bce(serial, z, c, lost, w).sum(); },
                                      [&](auto z, auto out) { weighted_pair_bce(serial, z, c, lost, w, out); }, at));
    // The sum of the derivatives, differentiated once more.
    const auto slope_sum = [&](auto z) {
        doubles slope(n, 0.0);
        weighted_pair_bce(serial, z, c, lost, w, slope);
        double sum = 0.0;
        for (const double s : slope) sum += s;
        return sum;
    };
    CHECK_LAW(testing::check_gradient(
        slope_sum, [&](auto z, auto out) { weighted_pair_bce(serial, z, c, lost, w, none{}, 1.0, out); }, at));
    const doubles gate = random_uniform<double>(n, 0.0, 1.0, 6);
    CHECK_LAW(testing::check_gradient([&](auto z) { return co_training_term(serial, z, c, lost, gate, 0.7); },
                                      [&](auto z, auto out) { co_training_term(serial, z, c, lost, gate, 0.7, out); },
                                      at));
}

TEST_CASE("soft_bce: the mean of single comparisons is the loss of their mean label") {
    const std::size_t n = 16;
    const doubles z = random_normal<double>(50), c = random_integers<double>(50, n + 1);
    for (std::size_t i = 0; i < z.size(); ++i) {
        double sum = 0.0;
        for (std::size_t j = 0; j < n; ++j) {
            const doubles single{static_cast<double>(j) < c[i] ? 1.0 : 0.0};
            sum += soft_bce(serial, doubles{z[i]}, single).sum() / double(n);
        }
        CHECK_NEAR(soft_bce(serial, doubles{z[i]}, doubles{c[i] / double(n)}).sum(), sum, reduction(n).of(4.0));
    }
    // Labels of 1 alone drive the logit up without end.
    doubles b{0.0};
    for (int step = 0; step < 200; ++step) {
        doubles slope{0.0};
        soft_bce(serial, b, doubles{1.0}, none{}, slope);
        CHECK(slope[0] < 0.0);
        b[0] -= slope[0];
    }
    CHECK(b[0] > 5.0);
}

// Newton steps of one intercept a group; group -1 is not trained.
doubles train(const std::vector<std::size_t>& group, std::size_t groups, const std::vector<float>& c) {
    doubles intercept(groups, 0.7);
    for (int step = 0; step < 30; ++step) {
        std::vector<float> z, slope(c.size(), 0.0f), curve(c.size(), 0.0f);
        for (const std::size_t g : group) z.push_back(static_cast<float>(intercept[g]));
        soft_bce(serial, z, c, none{}, slope, 1.0, curve);
        doubles g(groups, 0.0), h(groups, 0.0);
        for (std::size_t i = 0; i < c.size(); ++i) {
            g[group[i]] += static_cast<double>(slope[i]);
            h[group[i]] += static_cast<double>(curve[i]);
        }
        for (std::size_t k = 0; k < groups; ++k) intercept[k] -= g[k] / h[k];
    }
    return intercept;
}

TEST_CASE("soft_bce: activity leaves no trace in an intercept") {
    // Users with 3 to 60 events and feedback that grows with activity: all intercepts end at 0.
    std::vector<float> labels, matrix;
    std::vector<std::size_t> user;
    for (std::size_t u = 0; u < 20; ++u) {
        const std::size_t n = 3 * (u + 1);
        std::vector<float> y = random_integers<float>(n, 4 + u, u + 1);
        for (float& x : y) x *= std::exp(0.3f * static_cast<float>(u));
        const std::vector<std::uint32_t> counted{static_cast<std::uint32_t>(n)}, of(n, 0);
        std::vector<float> c(n);
        contrast_labels(serial, matrix_histories(view(std::as_const(y), 1, n), counted), of, y, {.cbar = view(c)});
        labels.insert(labels.end(), c.begin(), c.end());
        user.insert(user.end(), n, u);
    }
    for (const double b : train(user, 20, labels)) CHECK_NEAR(b, 0.0, reduction<float>(60).of(1.0));
    CHECK_NEAR(train(std::vector<std::size_t>(labels.size(), 0), 1, labels)[0], 0.0, reduction<float>(630).of(1.0));
}

TEST_CASE("soft_bce, weighted_pair_bce: merge law, threads, tails") {
    const std::size_t n = 40000;
    const doubles z = random_normal<double>(n), c = random_uniform<double>(n, 0.0, 1.0, 2);
    const reckon::detail::pair_rows<double> rows{input(z), input(c), {}, {}, {}, {}};
    const reckon::detail::pair_fold<isa::native> identity;
    CHECK_LAW(testing::check_merge(identity, rows, [&](const auto& a, const auto& b) {
        return testing_support::near(a.loss.sum(), b.loss.sum(), reduction(n)).ok && a.loss.weight() == b.loss.weight();
    }));
    exec::pool pool(3);
    CHECK_LAW(testing::check_fold_policy(identity, rows, exec::host{pool},
                                         [](const auto& a, const auto& b) { return a.loss.sum() == b.loss.sum(); }));
    for (const bool pair : {false, true}) {
        const auto kernel = [pair](vector_view<const float> in, vector_view<float> out) {
            const std::vector<float> a(in.size(), 0.25f), logits(in.begin(), in.end());
            for (float& x : out) x = 0.0f;
            pair ? weighted_pair_bce(serial, logits, a, a, none{}, out) : soft_bce(serial, logits, a, none{}, out);
        };
        CHECK_LAW(testing::check_tails(kernel, finite_extremes<float>()));
        CHECK_LAW(testing::check_nan_propagates(kernel, random_normal<float>(40)));
    }
}

TEST_CASE("soft_bce, weighted_pair_bce: bad input") {
    const doubles two(2), three(3), none_at_all;
    doubles room(3);
    CHECK_THROWS_WITH_AS(soft_bce(serial, two, three), "soft_bce: 2 logits but 3 labels", std::invalid_argument);
    CHECK_THROWS_WITH_AS(soft_bce(serial, two, two, three), "soft_bce: 2 logits but 3 weights", std::invalid_argument);
    CHECK_THROWS_WITH_AS(soft_bce(serial, two, two, none{}, room), "soft_bce: 2 logits but room for 3 derivatives",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(weighted_pair_bce(serial, two, two, three), "weighted_pair_bce: 2 logits but 3 losses",
                         std::invalid_argument);
    CHECK(std::isnan(soft_bce(serial, none_at_all, none_at_all).finish()));
    CHECK(std::isnan(weighted_pair_bce(serial, none_at_all, none_at_all, none_at_all).finish()));
    // Sure and right costs nothing, sure and wrong everything; where nothing is at stake NaN does no harm.
    CHECK(soft_bce(serial, doubles{-inf}, doubles{0.5}).sum() == inf);
    const doubles z{nan, 1.0}, zero{0.0, 1.0};
    CHECK(soft_bce(serial, z, zero, zero).weight() == 1.0);
    CHECK(std::isfinite(soft_bce(serial, z, zero, zero).sum()));
    CHECK(std::isnan(soft_bce(serial, z, zero).sum()));
    CHECK(std::isfinite(weighted_pair_bce(serial, z, zero, zero).sum()));
}

TEST_CASE("effective_size: equal rows count fully, one heavy row counts alone") {
    CHECK(pair_effective_size(serial, doubles(100, 1.0), doubles(100, 2.0)).finish() == 100.0);
    doubles wins(100, 1e-12), losses(100, 0.0);
    wins[7] = 1e6;
    losses[9] = nan;
    CHECK_NEAR(pair_effective_size(serial, wins, losses).finish(), 1.0, reduction(100));
    CHECK(effective_size().finish() == 0.0);
    effective_size a, b;
    a.absorb(1.0);
    b.absorb(3.0);
    a.merge(b);
    CHECK(a.finish() == 1.6);
    CHECK(a.weight() == 4.0);
    CHECK_THROWS_AS(pair_effective_size(serial, wins, doubles(3)), std::invalid_argument);
}

TEST_CASE("history_gates, co_training_term, serving_scores") {
    const std::vector<std::uint32_t> filled{0, 4, 5, 64};
    std::vector<float> gate(4);
    CHECK(history_gates(serial, filled, gate) == 2.0);
    CHECK(gate == std::vector<float>{0, 0, 1, 1});
    history_gates(serial, filled, gate, {.form = gate_form::smooth});
    CHECK(gate == std::vector<float>{0.0f, 4.0f / 9.0f, 0.5f, 64.0f / 69.0f});
    CHECK_THROWS_AS(history_gates(serial, filled, gate, {.count = 0.0}), std::invalid_argument);
    std::vector<float> few(2);
    CHECK_THROWS_AS(history_gates(serial, filled, few), std::invalid_argument);

    // beta * sum g l / sum g over rows with something at stake.
    const doubles z{0.0, 1.0, 2.0}, wins{0.5, 1.0, 0.0}, losses{0.5, 0.0, 0.0}, gates{1.0, 3.0, 1.0}, shut(3, 0.0);
    doubles slope(3, 0.0);
    CHECK_NEAR(co_training_term(serial, z, wins, losses, gates, 2.0, slope),
               2.0 * (std::log(2.0) + 3.0 * softplus(-1.0)) / 4.0, reduction(8));
    CHECK_NEAR(slope[1], -2.0 * 3.0 / 4.0 * sigmoid(-1.0), reduction(8));
    CHECK(slope[2] == 0.0);
    const doubles before = slope;
    CHECK(co_training_term(serial, z, wins, losses, shut, 2.0, slope) == 0.0);
    CHECK(slope == before);
    CHECK_THROWS_AS(co_training_term(serial, z, wins, losses, gates, nan), std::invalid_argument);

    for (const double share : {0.0, 0.3, 1.0}) {
        const doubles logit{-800.0, -1.0, 3.0, 1.0, 0.0}, value{1.0, 0.25, 4.0, 0.0, -1.0};
        doubles score(5);
        serving_scores(serial, logit, value, score, {.share = share});
        for (std::size_t i = 0; i < 3; ++i) {
            const double p = i == 0 ? -800.0 : std::log(sigmoid(logit[i]));
            const double want =
                (share > 0.0 ? share * p : 0.0) + (share < 1.0 ? (1.0 - share) * std::log(value[i]) : 0.0);
            CHECK_NEAR(score[i], want, reduction(8).of(std::fabs(p) + 2.0));
        }
        CHECK(score[3] == (share < 1.0 ? -inf : score[3]));
        CHECK(std::isnan(score[4]) == (share < 1.0));
    }
    doubles score(3);
    CHECK_THROWS_AS(serving_scores(serial, z, wins, score, {.share = 1.5}), std::invalid_argument);
    CHECK_THROWS_AS(serving_scores(serial, z, doubles(2), score), std::invalid_argument);
    const auto kernel = [](vector_view<const float> in, vector_view<float> out) {
        serving_scores(serial, in, std::vector<float>(in.size(), 2.0f), out);
    };
    CHECK_LAW(testing::check_tails(kernel, finite_extremes<float>(), {.in_place = false}));
}

}  // namespace
