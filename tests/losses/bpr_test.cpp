// BPR on scores and on embeddings, and steps in place: worked examples, PyTorch, plain loops in double, gradients,
// shards, threads, extremes.
#include "reckon/losses/bpr.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/losses/bpr_step.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

double softplus(double x) {
    return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}
double sigmoid(double x) {
    return x < 0.0 ? std::exp(x) / (1.0 + std::exp(x)) : 1.0 / (1.0 + std::exp(-x));
}

template <class T>
struct result {
    double loss = 0.0, weight = 0.0;
    std::vector<T> up, down;
    bool operator==(const result&) const = default;
};
template <class T, class Policy>
result<T> run(const Policy& where, const std::vector<T>& p, const std::vector<T>& n, const std::vector<T>& w,
              double scale = 1.0) {
    result<T> out{0.0, 0.0, std::vector<T>(p.size()), std::vector<T>(p.size())};
    const mean_value m =
        w.empty() ? bpr(where, p, n, none{}, out.up, out.down, scale) : bpr(where, p, n, w, out.up, out.down, scale);
    out.loss = m.sum();
    out.weight = m.weight();
    return out;
}

TEST_CASE("bpr: worked example") {
    const std::vector<double> p{1.0, 0.0, 2.0}, n{1.0, 3.0, 0.0}, w{2.0, 0.0, 0.5};
    std::vector<double> up{1.0, 1.0, 1.0}, down(3);
    const mean_value loss = bpr(serial, p, n, w, up, down, 2.0);
    CHECK_NEAR(loss.sum(), 2.0 * std::log(2.0) + 0.5 * std::log1p(std::exp(-2.0)), reduction(4));
    CHECK(loss.weight() == 2.5);
    // Added to the ones that stood there; the pair of weight 0 adds nothing.
    const double q = std::exp(-2.0) / (1.0 + std::exp(-2.0));
    CHECK_ALL_NEAR(up, (std::vector<double>{1.0 - 2.0, 1.0, 1.0 - q}), reduction(4).of(2.0));
    CHECK_ALL_NEAR(down, (std::vector<double>{2.0, 0.0, q}), reduction(4));
}

TEST_CASE("bpr: PyTorch") {
    const fixture data("pairwise.txt");
    for (const std::string name : {"bpr", "bpr80", "bpr1e4"}) {
        CAPTURE(name);
        const auto got =
            run(serial, data.as<double>(name + ".p"), data.as<double>(name + ".n"), data.as<double>(name + ".w"));
        CHECK_NEAR(got.loss, data.value(name + ".loss"), reduction(40));
        CHECK_ALL_NEAR(got.up, data.as<double>(name + ".dp"), reduction(4).of(2.0));
        CHECK_ALL_NEAR(got.down, data.as<double>(name + ".dn"), reduction(4).of(2.0));
    }
}

TEST_CASE_TEMPLATE("bpr: against the definition, however small the loss", T, float, double) {
    for (const std::size_t n : sweep_lengths(simd::pack<T>::lanes)) {
        // Differences around 0, and around 40 nats, where a pair's loss is 4e-18.
        for (const double lead : {0.0, 40.0}) {
            CAPTURE(n);
            CAPTURE(lead);
            const auto p = random_normal<T>(n, lead, 2.0, 1), q = random_normal<T>(n, 0.0, 2.0, 2);
            const auto w = random_uniform<T>(n, 0.0, 2.0, 3);
            double loss = 0.0, weight = 0.0;
            std::vector<double> slopes(n);
            for (std::size_t i = 0; i < n; ++i) {
                // The difference as the type has it.
                const double x = static_cast<double>(static_cast<T>(p[i] - q[i])), g = static_cast<double>(w[i]);
                loss += g * softplus(-x);
                weight += g;
                slopes[i] = g * sigmoid(-x);
            }
            const auto got = run(serial, p, q, w);
            CHECK_NEAR(got.loss, loss, reduction<T>(256));
            CHECK_NEAR(got.weight, weight, reduction<T>(256));
            for (std::size_t i = 0; i < n; ++i) {
                CHECK(static_cast<double>(got.down[i]) + static_cast<double>(got.up[i]) == 0.0);
            }
            CHECK_ALL_NEAR(got.down, slopes, ulp(6));
            // Ones as weights are no weights.
            CHECK(run(serial, p, q, std::vector<T>(n, T(1))) == run(serial, p, q, {}));
        }
    }
}

TEST_CASE("bpr: the smallest losses") {
    const std::vector<float> zero{0.0f}, held{87.0f}, lost{87.5f};
    const auto last = run(serial, held, zero, {});
    CHECK_NEAR(last.loss, std::exp(-87.0), reduction<float>(1));
    CHECK_NEAR(last.down[0], std::exp(-87.0), reduction<float>(1));
    const auto none_left = run(serial, lost, zero, {});
    CHECK(none_left.loss == 0.0);
    CHECK(none_left.down[0] == 0.0f);
    CHECK_NEAR(run(serial, std::vector<double>{708.0}, std::vector<double>{0.0}, {}).loss, std::exp(-708.0),
               reduction(1));
    CHECK(run(serial, std::vector<double>{708.5}, std::vector<double>{0.0}, {}).loss == 0.0);
}

TEST_CASE("bpr: gradient") {
    const auto start = random_normal<double>(60, 0.0, 1.5, 4);
    const auto w = random_uniform<double>(30, 0.0, 2.0, 5);
    const auto value = [&](vector_view<const double> x) {
        return bpr(serial, x.slice(0, 30), x.slice(30, 30), w).sum();
    };
    const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
        bpr(serial, x.slice(0, 30), x.slice(30, 30), w, out.slice(0, 30), out.slice(30, 30));
    };
    CHECK_LAW(testing::check_gradient(value, gradient, start));
}

TEST_CASE("bpr: shards and threads") {
    const std::size_t n = 50000;
    const auto p = random_normal<float>(n, 0.5, 1.0, 6), q = random_normal<float>(n, 0.0, 1.0, 7);
    const auto whole = run(serial, p, q, {});
    exec::pool pool(3);
    CHECK(run(exec::host{pool}, p, q, {}) == whole);
    mean_value shards;
    for (std::size_t first = 0; first < n; first += 12800) {
        const std::size_t count = (std::min)(n - first, std::size_t{12800});
        shards.merge(bpr(serial, view(p).slice(first, count), view(q).slice(first, count)));
    }
    CHECK_NEAR(shards.sum(), whole.loss, reduction(n));
    CHECK(shards.weight() == whole.weight);
}

TEST_CASE("bpr: extremes, NaN and bad input") {
    const auto extremes = finite_extremes<float>();
    for (const float a : extremes) {
        for (const float b : extremes) {
            const auto got = run(serial, std::vector<float>{a}, std::vector<float>{b}, {});
            CHECK(!std::isnan(got.loss));
            CHECK(got.down[0] >= 0.0f);
            CHECK(got.down[0] <= 1.0f);
        }
    }
    const auto nan = static_cast<float>(nan_value);
    const std::vector<float> p{1, nan, 2}, n{0, 0, 0};
    const auto got = run(serial, p, n, {});
    CHECK(std::isnan(got.loss));
    CHECK(std::isnan(got.up[1]));
    CHECK(std::isfinite(got.up[0] + got.up[2]));
    const auto skipped = run(serial, p, n, {1, 0, 1});
    CHECK(std::isfinite(skipped.loss));
    CHECK(skipped.up[1] == 0.0f);
    CHECK(std::isnan(bpr(serial, std::vector<float>{}, std::vector<float>{}).finish()));
    std::vector<float> two(2);
    CHECK_THROWS_WITH_AS(bpr(serial, p, two), "bpr: 3 positive scores but 2 negative ones", std::invalid_argument);
    CHECK_THROWS_WITH_AS(bpr(serial, p, n, two), "bpr: 3 pairs but 2 weights", std::invalid_argument);
    CHECK_THROWS_WITH_AS(bpr(serial, p, n, none{}, two), "bpr: 3 pairs but room for 2 derivatives",
                         std::invalid_argument);
}

template <class T>
struct tables {
    std::size_t depth;
    std::vector<T> u, v, b;
    std::vector<std::uint32_t> user, positive, negative;
};
template <class T>
struct table_result {
    double loss = 0.0, weight = 0.0;
    std::vector<T> u, v, b;
    bool operator==(const table_result&) const = default;
};
template <class T, class Policy>
table_result<T> run(const Policy& where, const tables<T>& d, double scale = 1.0, bool with_bias = true) {
    table_result<T> out{0.0, 0.0, std::vector<T>(d.u.size()), std::vector<T>(d.v.size()), std::vector<T>(d.b.size())};
    const std::size_t users = d.u.size() / d.depth, items = d.v.size() / d.depth;
    bpr_gradients<T> grads{view(out.u, users, d.depth), view(out.v, items, d.depth), view(out.b), scale};
    const auto rows = view(d.u, users, d.depth), others = view(d.v, items, d.depth);
    mean_value m;
    if (with_bias) {
        m = bpr_triples(where, rows, others, d.user, d.positive, d.negative, grads, d.b);
    } else {
        grads.item_bias = {};
        m = bpr_triples(where, rows, others, d.user, d.positive, d.negative, grads);
    }
    out.loss = m.sum();
    out.weight = m.weight();
    return out;
}
template <class T>
tables<T> random_tables(std::size_t users, std::size_t items, std::size_t depth, std::size_t n) {
    return {depth,
            random_normal<T>(users * depth, 0.0, 0.6, 1),
            random_normal<T>(items * depth, 0.0, 0.6, 2),
            random_normal<T>(items, 0.0, 0.6, 3),
            random_integers<std::uint32_t>(n, users, 4),
            random_integers<std::uint32_t>(n, items, 5),
            random_integers<std::uint32_t>(n, items, 6)};
}

TEST_CASE("bpr_triples: PyTorch") {
    const fixture data("pairwise.txt");
    tables<double> d{static_cast<std::size_t>(data["triples.shape"][2]),
                     data["triples.u"],
                     data["triples.v"],
                     data["triples.b"],
                     {},
                     {},
                     {}};
    const auto ids = data.as<std::uint32_t>("triples.ids");
    for (std::size_t t = 0; t < ids.size(); t += 3) {
        d.user.push_back(ids[t]);
        d.positive.push_back(ids[t + 1]);
        d.negative.push_back(ids[t + 2]);
    }
    const auto got = run(serial, d);
    CHECK_NEAR(got.loss, data.value("triples.loss"), reduction(40));
    CHECK_ALL_NEAR(got.u, data["triples.du"], reduction(40).of(10.0));
    CHECK_ALL_NEAR(got.v, data["triples.dv"], reduction(40).of(10.0));
    CHECK_ALL_NEAR(got.b, data["triples.db"], reduction(40).of(10.0));
}

TEST_CASE_TEMPLATE("bpr_triples: against the definition", T, float, double) {
    for (const std::size_t depth : {1u, 7u, 8u, 9u, 16u, 33u, 64u, 150u}) {
        for (const std::size_t n : {1u, 7u, 8u, 50u}) {
            CAPTURE(depth);
            CAPTURE(n);
            const auto d = random_tables<T>(6, 9, depth, n);
            double loss = 0.0;
            std::vector<double> u(d.u.size()), v(d.v.size()), b(d.b.size());
            for (std::size_t t = 0; t < n; ++t) {
                const std::size_t a = d.user[t], i = d.positive[t], j = d.negative[t];
                double x = static_cast<double>(d.b[i]) - static_cast<double>(d.b[j]);
                const auto at = [&](const std::vector<T>& m, std::size_t row, std::size_t c) {
                    return static_cast<double>(m[row * depth + c]);
                };
                for (std::size_t c = 0; c < depth; ++c) x += at(d.u, a, c) * (at(d.v, i, c) - at(d.v, j, c));
                loss += softplus(-x);
                const double slope = 3.0 * sigmoid(-x);
                for (std::size_t c = 0; c < depth; ++c) {
                    u[a * depth + c] -= slope * (at(d.v, i, c) - at(d.v, j, c));
                    v[i * depth + c] -= slope * at(d.u, a, c);
                    v[j * depth + c] += slope * at(d.u, a, c);
                }
                b[i] -= slope;
                b[j] += slope;
            }
            const auto got = run(serial, d, 3.0);
            // A difference adds up `depth` products of about 1.
            const tolerance bound = reduction<T>(depth + 50).of(std::sqrt(static_cast<double>(depth)) * 20.0);
            CHECK_NEAR(got.loss, loss, bound.of(loss + static_cast<double>(n)));
            CHECK(got.weight == static_cast<double>(n));
            CHECK_ALL_NEAR(got.u, u, bound);
            CHECK_ALL_NEAR(got.v, v, bound);
            CHECK_ALL_NEAR(got.b, b, bound);
        }
    }
}

TEST_CASE("bpr_triples: the same bits for any number of threads") {
    exec::pool two(2), three(3);
    for (const std::size_t n : {5u, 9000u}) {
        const auto d = random_tables<float>(40, 60, 19, n);
        for (const bool bias : {true, false}) {
            const auto want = run(serial, d, 1.0, bias);
            CHECK(run(exec::host{two}, d, 1.0, bias) == want);
            CHECK(run(exec::host{three}, d, 1.0, bias) == want);
        }
    }
}

TEST_CASE("bpr_triples: shards add up, and what is not wanted stays untouched") {
    const auto d = random_tables<double>(8, 11, 5, 70);
    const auto whole = run(serial, d);
    mean_value loss;
    std::vector<double> only_items(d.v.size());
    for (std::size_t first = 0; first < 70; first += 30) {
        const std::size_t count = (std::min)(std::size_t{30}, 70 - first);
        bpr_gradients<double> grads;
        grads.items = view(only_items, 11, 5);
        loss.merge(bpr_triples(serial, view(d.u, 8, 5), view(d.v, 11, 5), view(d.user).slice(first, count),
                               view(d.positive).slice(first, count), view(d.negative).slice(first, count), grads, d.b));
    }
    CHECK_NEAR(loss.sum(), whole.loss, reduction(70));
    CHECK(loss.weight() == whole.weight);
    CHECK_ALL_NEAR(only_items, whole.v, reduction(70).of(10.0));
}

TEST_CASE("bpr_triples: extremes and bad input") {
    auto d = random_tables<float>(3, 4, 2, 20);
    for (float& x : d.u) x *= 1e15f;
    for (float& x : d.v) x *= 1e15f;
    const auto got = run(serial, d);
    CHECK(std::isfinite(got.loss));
    for (const auto* column : {&got.u, &got.v, &got.b}) {
        for (const float x : *column) CHECK(std::isfinite(x));
    }

    const std::vector<float> u(6), v(8), three(3);
    std::vector<float> out(8, 1.0f);
    const auto rows = view(u, 3, 2), others = view(v, 4, 2), narrow = view(v, 8, 1);
    const std::vector<std::uint32_t> a{0, 2}, b{3, 1}, bad{0, 4}, one{0};
    CHECK_THROWS_WITH_AS(bpr_triples(serial, rows, narrow, a, b, b), "bpr_triples: users have 2 columns, items 1",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(bpr_triples(serial, rows, others, a, b, one), "bpr_triples: 2 users but 2 and 1 items",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(bpr_triples(serial, rows, others, bad, b, b), "bpr_triples: user id 4 but only 3 rows",
                         std::invalid_argument);
    bpr_gradients<float> grads;
    grads.items = view(out, 4, 2);
    CHECK_THROWS_WITH_AS(bpr_triples(serial, rows, others, a, b, bad, grads),
                         "bpr_triples: negative id 4 but only 4 rows", std::invalid_argument);
    CHECK(out == std::vector<float>(8, 1.0f));  // nothing was written
    grads.items = view(out, 2, 4);
    CHECK_THROWS_WITH_AS(bpr_triples(serial, rows, others, a, b, b, grads),
                         "bpr_triples: the gradient of items is 2 x 4, not 4 x 2", std::invalid_argument);
    CHECK_THROWS_WITH_AS(bpr_triples(serial, rows, others, a, b, b, {}, three), "bpr_triples: 4 items but 3 biases",
                         std::invalid_argument);
    const std::vector<std::uint32_t> nothing;
    CHECK(std::isnan(bpr_triples(serial, rows, others, nothing, nothing, nothing).finish()));
}

template <class T>
mean_value step(tables<T>& d, const bpr_step_options& options = {}, bool with_bias = true) {
    const auto rows = view(d.u, d.u.size() / d.depth, d.depth), others = view(d.v, d.v.size() / d.depth, d.depth);
    return with_bias ? bpr_step(serial, rows, others, d.user, d.positive, d.negative, options, d.b)
                     : bpr_step(serial, rows, others, d.user, d.positive, d.negative, options);
}
// The definition, triple by triple in double.
double plain_steps(tables<double>& d, const bpr_step_options& options, bool with_bias) {
    double loss = 0.0;
    for (std::size_t t = 0; t < d.user.size(); ++t) {
        const std::size_t a = d.user[t] * d.depth, i = d.positive[t] * d.depth, j = d.negative[t] * d.depth;
        double& up = d.b[d.positive[t]];
        double& down = d.b[d.negative[t]];
        double x = with_bias ? up - down : 0.0;
        for (std::size_t c = 0; c < d.depth; ++c) x += d.u[a + c] * (d.v[i + c] - d.v[j + c]);
        loss += softplus(-x);
        if (i == j) continue;
        const double slope = sigmoid(-x);
        for (std::size_t c = 0; c < d.depth; ++c) {
            const double user = d.u[a + c], chosen = d.v[i + c], other = d.v[j + c];
            d.u[a + c] += options.learning_rate * (slope * (chosen - other) - options.decay * user);
            d.v[i + c] += options.learning_rate * (slope * user - options.decay * chosen);
            d.v[j + c] += options.learning_rate * (-slope * user - options.decay * other);
        }
        if (!with_bias) continue;
        up += options.learning_rate * (slope - options.decay * up);
        down += options.learning_rate * (-slope - options.decay * down);
    }
    return loss;
}

TEST_CASE("bpr_step: worked example") {
    // x = 0: slope 1/2, and both items move along the user as it was.
    tables<double> d{2, {2, 4}, {1, 1, 1, 1, 5, 6}, {0.5, 0.5, 7}, {0}, {0}, {1}};
    const mean_value loss = step(d, {.learning_rate = 0.5, .decay = 0.0});
    CHECK_NEAR(loss.sum(), std::log(2.0), reduction(1));
    CHECK(loss.weight() == 1.0);
    CHECK(d.u == std::vector<double>{2, 4});
    CHECK(d.v == std::vector<double>{1.5, 2, 0.5, 0, 5, 6});
    CHECK(d.b == std::vector<double>{0.75, 0.25, 7});
    // Next, x = 2 * 1 + 4 * 2 + 1/2 = 10.5 with decay 1/2: a quarter comes off each, a half of the slope goes on.
    const double q = 0.5 * sigmoid(-10.5);
    CHECK_NEAR(step(d, {.learning_rate = 0.5, .decay = 0.5}).sum(), softplus(-10.5), reduction(8));
    CHECK_ALL_NEAR(d.u, (std::vector<double>{1.5 + q, 3 + 2 * q}), reduction(1));
    CHECK_ALL_NEAR(d.v, (std::vector<double>{1.125 + 2 * q, 1.5 + 4 * q, 0.375 - 2 * q, -4 * q, 5, 6}),
                   reduction(8).of(2.0));
    CHECK_ALL_NEAR(d.b, (std::vector<double>{0.5625 + q, 0.1875 - q, 7}), reduction(1));
}

TEST_CASE_TEMPLATE("bpr_step: against the definition, one triple after another", T, float, double) {
    for (const std::size_t depth : {1u, 7u, 8u, 9u, 33u, 64u, 150u}) {
        for (const std::size_t n : {1u, 8u, 9u, 60u}) {
            for (const double decay : {0.0, 0.3}) {
                CAPTURE(depth);
                CAPTURE(n);
                CAPTURE(decay);
                // Few rows: users come again at once, the positive of a triple is the negative of the next, and items
                // meet themselves.
                auto d = random_tables<T>(3, 5, depth, n);
                for (std::size_t t = 1; t < n; t += 3) {
                    d.user[t] = d.user[t - 1];
                    d.negative[t] = d.positive[t - 1];
                }
                if (n > 5) d.negative[5] = d.positive[5];
                const bool with_bias = n != 9;
                tables<double> want{depth, {}, {}, {}, d.user, d.positive, d.negative};
                want.u.assign(d.u.begin(), d.u.end());
                want.v.assign(d.v.begin(), d.v.end());
                want.b.assign(d.b.begin(), d.b.end());
                const bpr_step_options options{.learning_rate = 0.1, .decay = decay};
                const double loss = plain_steps(want, options, with_bias);
                const mean_value got = step(d, options, with_bias);
                // A difference adds up `depth` products of about 1.
                const tolerance bound = reduction<T>(depth + n).of(std::sqrt(static_cast<double>(depth)) * 4.0);
                CHECK_NEAR(got.sum(), loss, bound.of(loss + static_cast<double>(n)));
                CHECK(got.weight() == static_cast<double>(n));
                CHECK_ALL_NEAR(d.u, want.u, bound);
                CHECK_ALL_NEAR(d.v, want.v, bound);
                CHECK_ALL_NEAR(d.b, want.b, bound);
            }
        }
    }
}

TEST_CASE("bpr_step: the first step is that of the gradients, and the loss falls") {
    auto d = random_tables<double>(20, 30, 5, 1);
    const auto gradients = run(serial, d, -0.05);
    tables<double> want = d;
    for (std::size_t k = 0; k < d.u.size(); ++k) want.u[k] += gradients.u[k];
    for (std::size_t k = 0; k < d.v.size(); ++k) want.v[k] += gradients.v[k];
    for (std::size_t k = 0; k < d.b.size(); ++k) want.b[k] += gradients.b[k];
    CHECK_NEAR(step(d).sum(), gradients.loss, reduction(8));
    CHECK_ALL_NEAR(d.u, want.u, reduction(8).of(2.0));
    CHECK_ALL_NEAR(d.v, want.v, reduction(8).of(2.0));
    CHECK_ALL_NEAR(d.b, want.b, reduction(8).of(2.0));

    // Users like the items of their own kind, even or odd.
    auto likes = random_tables<float>(20, 30, 4, 400);
    for (std::size_t t = 0; t < 400; ++t) {
        likes.positive[t] = likes.positive[t] / 2 * 2 + likes.user[t] % 2;
        likes.negative[t] = likes.negative[t] / 2 * 2 + 1 - likes.user[t] % 2;
    }
    double before = step(likes, {}, false).finish();
    for (int epoch = 0; epoch < 30; ++epoch) {
        const double now = step(likes, {}, false).finish();
        CHECK(now < before);
        before = now;
    }
    CHECK(before < 0.05);
}

TEST_CASE("bpr_step: same items change nothing, NaN stays in its triple, columns beside the rows stay") {
    // Two triples of rows of 3 columns within tables of 5: the second item meets itself, then a NaN.
    std::vector<float> u(3 * 5, 0.5f), v(4 * 5, 0.25f), b(4, 1.0f);
    v[1] = 0.75f;
    const auto rows = matrix_view<float>(u.data(), 3, 3, 5), others = matrix_view<float>(v.data(), 4, 3, 5);
    const std::vector<std::uint64_t> self{1}, first{0}, second{1}, last{2}, end{3};
    CHECK_NEAR(bpr_step(serial, rows, others, first, self, self, {.learning_rate = 1.0, .decay = 0.5}, b).sum(),
               std::log(2.0), reduction<float>(1));
    CHECK(u == std::vector<float>(15, 0.5f));
    CHECK(b == std::vector<float>(4, 1.0f));
    CHECK(v[5] == 0.25f);

    bpr_step(serial, rows, others, first, first, second, {.learning_rate = 1.0});
    CHECK(rows(0, 1) > 0.5f);
    CHECK(others(0, 2) > 0.25f);
    CHECK(others(1, 2) < 0.25f);
    others(2, 1) = static_cast<float>(nan_value);
    CHECK(std::isnan(bpr_step(serial, rows, others, second, last, end).sum()));
    for (std::size_t c = 0; c < 5; ++c) {
        const bool in_row = c < 3;
        CHECK(std::isfinite(u[c]));
        CHECK(std::isnan(u[5 + c]) == in_row);
        CHECK(u[10 + c] == 0.5f);
        CHECK(std::isfinite(v[c] + v[5 + c]));
        CHECK(std::isnan(v[10 + c]) == in_row);
        CHECK(std::isnan(v[15 + c]) == in_row);
        if (in_row) continue;
        CHECK(u[c] == 0.5f);
        CHECK(v[c] + v[5 + c] == 0.5f);
    }
}

TEST_CASE("bpr_step: bad input") {
    std::vector<float> u(6, 1.0f), v(8, 1.0f), three(3);
    const auto rows = view(u, 3, 2), others = view(v, 4, 2), narrow = view(v, 8, 1);
    const std::vector<std::uint32_t> a{0, 2}, b{3, 1}, c{0, 2}, bad{0, 4}, one{0}, nothing;
    const auto options = [&](double rate, double decay) {
        bpr_step(serial, rows, others, a, b, c, {.learning_rate = rate, .decay = decay});
    };
    CHECK_THROWS_WITH_AS(options(0.0, 0.0), "bpr_step: learning_rate must be finite and > 0, got 0",
                         std::invalid_argument);
    CHECK_THROWS_AS(options(nan_value, 0.0), std::invalid_argument);
    CHECK_THROWS_AS(options(1e39, 0.0), std::invalid_argument);  // infinite in float
    CHECK_THROWS_WITH_AS(options(0.5, 2.0), "bpr_step: decay must be >= 0 and below 1 / learning_rate, got 2",
                         std::invalid_argument);
    CHECK_THROWS_AS(options(0.5, -0.1), std::invalid_argument);
    CHECK_THROWS_AS(options(0.5, nan_value), std::invalid_argument);
    CHECK_THROWS_WITH_AS(bpr_step(serial, rows, narrow, a, b, c), "bpr_step: users have 2 columns, items 1",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(bpr_step(serial, rows, others, a, b, one), "bpr_step: 2 users but 2 and 1 items",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(bpr_step(serial, rows, others, a, b, c, {}, three), "bpr_step: 4 items but 3 biases",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(bpr_step(serial, rows, others, bad, b, c), "bpr_step: user id 4 but only 3 rows",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(bpr_step(serial, rows, others, a, bad, c), "bpr_step: positive id 4 but only 4 rows",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(bpr_step(serial, rows, others, a, b, bad), "bpr_step: negative id 4 but only 4 rows",
                         std::invalid_argument);
    CHECK(std::isnan(bpr_step(serial, rows, others, nothing, nothing, nothing).finish()));
    // Nothing was written.
    CHECK(u == std::vector<float>(6, 1.0f));
    CHECK(v == std::vector<float>(8, 1.0f));
}

}  // namespace
