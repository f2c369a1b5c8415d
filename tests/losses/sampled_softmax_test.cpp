// Sampled softmax: worked example, the definition in double, PyTorch, gradients, the whole catalogue and its mean over
// samples.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/losses/info_nce.hpp"
#include "reckon/losses/sampled_softmax.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

template <class T>
struct result {
    double loss = 0.0, weight = 0.0, temperature = 0.0;
    std::vector<T> lse, queries, keys;
    bool operator==(const result&) const = default;
};

template <class T>
struct problem {
    std::vector<T> q, k, log_q;
    std::size_t depth;
    std::size_t batch() const { return q.size() / depth; }
    std::size_t count() const { return k.size() / depth; }
};

template <class T, class Policy>
result<T> run(const Policy& where, const problem<T>& p, const sampled_softmax_options& options,
              const contrastive_columns<T>& columns = {}, double scale = 1.0) {
    result<T> out;
    out.lse.resize(p.batch());
    out.queries.resize(p.q.size());
    out.keys.resize(p.k.size());
    const mean_value m = sampled_softmax(
        where, view(p.q, p.batch(), p.depth), view(p.k, p.count(), p.depth), p.log_q, out.lse, options,
        {view(out.queries, p.batch(), p.depth), view(out.keys, p.count(), p.depth), &out.temperature, scale}, columns);
    out.loss = m.sum();
    out.weight = m.weight();
    return out;
}

// The definition, in double, for dot products.
template <class T>
result<double> reference(const problem<T>& p, double t, bool corrects, const std::vector<std::uint32_t>& positives) {
    const std::size_t b = p.batch(), n = p.count();
    result<double> out;
    out.queries.resize(p.q.size());
    out.keys.resize(p.k.size());
    for (std::size_t i = 0; i < b; ++i) {
        std::vector<double> products(n), logits(n);
        double top = -HUGE_VAL, sum = 0.0;
        for (std::size_t j = 0; j < n; ++j) {
            for (std::size_t d = 0; d < p.depth; ++d) {
                products[j] +=
                    static_cast<double>(p.q[i * p.depth + d]) * static_cast<double>(p.k[j * p.depth + d]) / t;
            }
            const bool own = j == positives[i];
            logits[j] = products[j] - (own && !corrects ? 0.0 : static_cast<double>(p.log_q[j]));
            top = std::fmax(top, logits[j]);
        }
        for (const double l : logits) sum += std::exp(l - top);
        const double lse = top + std::log(sum);
        out.lse.push_back(lse);
        out.loss += lse - logits[positives[i]];
        for (std::size_t j = 0; j < n; ++j) {
            const double slope = std::exp(logits[j] - lse) - (j == positives[i] ? 1.0 : 0.0);
            out.temperature -= slope * products[j] / t;
            for (std::size_t d = 0; d < p.depth; ++d) {
                out.queries[i * p.depth + d] += slope * static_cast<double>(p.k[j * p.depth + d]) / t;
                out.keys[j * p.depth + d] += slope * static_cast<double>(p.q[i * p.depth + d]) / t;
            }
        }
    }
    return out;
}

// Rows of about `length`, and log_q between -10 and 0.
template <class T>
problem<T> random_problem(std::size_t batch, std::size_t keys, std::size_t depth, double length) {
    const double size = length / std::sqrt(static_cast<double>(depth));
    return {random_normal<T>(batch * depth, 0.0, size, 1), random_normal<T>(keys * depth, 0.0, size, 2),
            random_uniform<T>(keys, -10.0, 0.0, 3), depth};
}
std::vector<std::uint32_t> from(std::size_t first, std::size_t count) {
    std::vector<std::uint32_t> positives(count);
    for (std::size_t i = 0; i < count; ++i) positives[i] = static_cast<std::uint32_t>(first + i);
    return positives;
}

TEST_CASE("sampled_softmax: worked example") {
    // One query, its key and two candidates, all logits 0: what counts is 1 / (expected count).
    const problem<double> p{{1.0, 0.0}, {0.0, 1.0, 0.0, 2.0, 0.0, 3.0}, {0.0, std::log(0.5), std::log(0.25)}, 2};
    const auto got = run(serial, p, {.temperature = 0.5}, {}, 3.0);
    CHECK_NEAR(got.lse[0], std::log(1.0 + 2.0 + 4.0), reduction(4));
    CHECK_NEAR(got.loss, std::log(7.0), reduction(4));
    CHECK(got.weight == 1.0);
    // Weights 1/7, 2/7, 4/7 less 1 for the own key, over t, times the scale.
    CHECK_ALL_NEAR(got.queries, (std::vector<double>{0.0, 6.0 * (-6.0 * 1.0 + 2.0 * 2.0 + 4.0 * 3.0) / 7.0}),
                   reduction(8).of(18.0));
    CHECK_ALL_NEAR(got.keys, (std::vector<double>{-36.0 / 7.0, 0.0, 12.0 / 7.0, 0.0, 24.0 / 7.0, 0.0}),
                   reduction(8).of(6.0));
    // Logits are 0 at every temperature.
    CHECK_NEAR(got.temperature, 0.0, reduction(8).of(6.0));
}

TEST_CASE_TEMPLATE("sampled_softmax: against the definition", T, float, double) {
    struct shape {
        std::size_t batch, keys, depth;
    };
    for (const shape s : {shape{1, 1, 1}, {5, 6, 2}, {7, 17, 5}, {97, 130, 3}, {100, 1100, 7}, {9, 33, 1025}}) {
        // Logits of about 20; 100, no longer moderate; 8000.
        for (const double length : {1.0, 2.2, 20.0}) {
            for (const bool corrects : {true, false}) {
                CAPTURE(s.batch);
                CAPTURE(s.keys);
                CAPTURE(length);
                CAPTURE(corrects);
                const auto p = random_problem<T>(s.batch, s.keys, s.depth, length);
                const std::size_t first = s.keys - s.batch;
                const auto got =
                    run(serial, p, {.temperature = 0.05, .first_positive = first, .correct_positives = corrects});
                const auto want = reference(p, 0.05, corrects, from(first, s.batch));
                double q = 0.0;
                for (const auto* side : {&p.q, &p.k}) {
                    for (std::size_t i = 0; i < side->size(); i += s.depth) {
                        double square = 0.0;
                        for (std::size_t d = 0; d < s.depth; ++d) {
                            square += static_cast<double>((*side)[i + d]) * static_cast<double>((*side)[i + d]);
                        }
                        q = std::fmax(q, std::sqrt(square));
                    }
                }
                // An error of a logit shifts a probability by as much, relatively, and a gradient by that times q / t.
                const double largest = 10.0 + 20.0 * q * q, rows = static_cast<double>(s.batch);
                const tolerance logit = reduction<T>(4 * s.depth + 16).of(largest);
                CHECK_ALL_NEAR(got.lse, want.lse, logit);
                CHECK_NEAR(got.loss, want.loss, logit.of(largest * rows));
                CHECK_ALL_NEAR(got.queries, want.queries, logit.of(largest * 20.0 * q));
                CHECK_ALL_NEAR(got.keys, want.keys, logit.of(largest * 20.0 * q * 2.0));
                CHECK_NEAR(got.temperature, want.temperature, logit.of(largest * largest * 20.0 * rows));
            }
        }
    }
}

TEST_CASE("sampled_softmax: PyTorch") {
    const fixture data("sampled.txt");
    for (const std::string name : {"one", "usual", "shared", "hits", "certain", "certain_hits", "cosine", "distance",
                                   "logits80", "logits1e4", "equal", "rare"}) {
        CAPTURE(name);
        const auto shape = data.as<double>(name + ".shape");
        const double t = data.value(name + ".t");
        const problem<double> p{data.as<double>(name + ".q"), data.as<double>(name + ".k"),
                                data.as<double>(name + ".log_q"), static_cast<std::size_t>(shape[2])};
        const auto labels = data.as<std::uint64_t>(name + ".labels");
        const auto positives = data.as<std::uint32_t>(name + ".positives");
        // Keys that all have a label of their own take the slower path, and none the faster one.
        for (const bool with_labels : {true, false}) {
            if (!with_labels && name.find("hits") != std::string::npos) continue;
            contrastive_columns<double> columns;
            columns.positives = view(positives);
            if (with_labels) columns.key_labels = view(labels);
            const auto got = run(serial, p,
                                 {.temperature = t,
                                  .metric = static_cast<similarity>(static_cast<int>(shape[4])),
                                  .correct_positives = shape[3] == 1.0},
                                 columns);
            double largest = 1.0;
            for (const double x : data[name + ".lse"]) largest = std::fmax(largest, std::fabs(x));
            const double size = (largest + 1.0) * shape[0] * 8.0 / t;
            const tolerance bound = reduction(64 + 64).of(size);
            CHECK_NEAR(got.loss, data.value(name + ".loss"), bound);
            CHECK_ALL_NEAR(got.lse, data[name + ".lse"], bound);
            CHECK_ALL_NEAR(got.queries, data[name + ".dq"], bound);
            CHECK_ALL_NEAR(got.keys, data[name + ".dk"], bound);
            CHECK_NEAR(got.temperature, data.value(name + ".dt"), bound.of(size / t * (largest + 1.0)));
        }
    }
}

TEST_CASE("sampled_softmax: gradients against central differences") {
    const std::size_t b = 5, n = 9, depth = 3;
    auto start = random_normal<double>((b + n) * depth, 0.0, 0.5, 4);
    start.push_back(0.3);  // the temperature
    const auto log_q = random_uniform<double>(n, -6.0, 0.0, 5);
    const std::vector<std::uint32_t> positives{3, 3, 8, 0, 1};
    for (const bool corrects : {true, false}) {
        const auto at = [&](vector_view<const double> x) {
            const problem<double> p{
                {x.begin(), x.begin() + b * depth}, {x.begin() + b * depth, x.begin() + (b + n) * depth}, log_q, depth};
            contrastive_columns<double> columns;
            columns.positives = view(positives);
            return run(serial, p, {.temperature = x[(b + n) * depth], .correct_positives = corrects}, columns);
        };
        const auto value = [&](vector_view<const double> x) { return at(x).loss; };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            const auto got = at(x);
            for (std::size_t i = 0; i < b * depth; ++i) out[i] += got.queries[i];
            for (std::size_t i = 0; i < n * depth; ++i) out[b * depth + i] += got.keys[i];
            out[(b + n) * depth] += got.temperature;
        };
        CHECK_LAW(testing::check_gradient(value, gradient, start));
    }
}

TEST_CASE("sampled_softmax: the whole catalogue is plain softmax, and a constant does not matter") {
    for (const double length : {1.0, 20.0}) {
        auto p = random_problem<float>(101, 1300, 6, length);
        std::fill(p.log_q.begin(), p.log_q.end(), 0.0f);
        result<float> plain;
        plain.lse.resize(101);
        plain.queries.resize(p.q.size());
        plain.keys.resize(p.k.size());
        const auto m = info_nce(serial, view(p.q, 101, 6), view(p.k, 1300, 6), plain.lse, {.temperature = 0.05},
                                {view(plain.queries, 101, 6), view(plain.keys, 1300, 6), &plain.temperature});
        plain.loss = m.sum();
        plain.weight = m.weight();
        CHECK(run(serial, p, {}) == plain);

        std::fill(p.log_q.begin(), p.log_q.end(), -7.0f);
        const auto shifted = run(serial, p, {});
        const tolerance bound = reduction<float>(32).of(100.0 + 100.0 * length * length);
        CHECK_NEAR(shifted.lse[3] - 7.0f, plain.lse[3], bound);
        CHECK_NEAR(shifted.loss, plain.loss, bound.of(101.0 * (100.0 + 100.0 * length * length)));
    }
}

TEST_CASE("sampled_softmax: e^row_lse has the sum over the catalogue as its mean") {
    const std::size_t catalogue = 60, draws = 12, samples = 4000, depth = 4;
    const auto items = random_normal<double>(catalogue * depth, 0.0, 0.7, 6);
    const auto query = random_normal<double>(depth, 0.0, 0.7, 7);
    std::vector<double> counts(catalogue), powers(catalogue), log_q(catalogue);
    double sum = 0.0, all = 0.0;
    for (std::size_t j = 0; j < catalogue; ++j) {
        counts[j] = 1.0 + static_cast<double>(j * j % 37);
        all += counts[j];
        double logit = 0.0;
        for (std::size_t d = 0; d < depth; ++d) logit += query[d] * items[j * depth + d] / 0.7;
        powers[j] = std::exp(logit);
        sum += powers[j];
    }
    // Drawn candidates alone; drawn but each once; drawn beside a positive, item 7, that is there with certainty.
    enum class way { drawn, distinct, beside };
    for (const way how : {way::drawn, way::distinct, way::beside}) {
        const bool distinct = how == way::distinct;
        const std::size_t certain = how == way::beside ? 7 : catalogue;
        log_expected_counts(serial, counts, log_q, {.draws = draws, .distinct = distinct});
        // Variance of one sample. Distinct: indicators of being drawn, which are negatively correlated, so that the sum
        // of their variances is a bound.
        double variance = 0.0;
        for (std::size_t j = 0; j < catalogue; ++j) {
            if (j == certain) continue;
            const double chance = distinct ? 1.0 - std::pow(1.0 - counts[j] / all, draws) : counts[j] / all;
            variance += powers[j] * powers[j] * (distinct ? (1.0 - chance) / chance : 1.0 / chance / draws);
        }
        const double random = sum - (how == way::beside ? powers[certain] : 0.0);
        if (!distinct) variance -= random * random / draws;
        const random_stream rng(8, static_cast<std::uint64_t>(how));
        double mean = 0.0;
        for (std::size_t s = 0; s < samples; ++s) {
            std::vector<std::size_t> drawn;
            if (how == way::beside) drawn.push_back(certain);
            for (std::size_t m = 0; m < draws; ++m) {
                double u = rng.uniform(s * draws + m) * all;
                std::size_t j = 0;
                while (j + 1 < catalogue && u >= counts[j]) u -= counts[j++];
                if (!distinct || std::find(drawn.begin(), drawn.end(), j) == drawn.end()) drawn.push_back(j);
            }
            problem<double> p{query, {}, {}, depth};
            const std::vector<std::uint64_t> ids(drawn.begin(), drawn.end());
            contrastive_columns<double> columns;
            if (how == way::beside) columns.key_labels = view(ids);
            for (const std::size_t j : drawn) {
                p.k.insert(p.k.end(), items.begin() + static_cast<std::ptrdiff_t>(j * depth),
                           items.begin() + static_cast<std::ptrdiff_t>((j + 1) * depth));
                p.log_q.push_back(log_q[j]);
            }
            std::vector<double> lse(1);
            sampled_softmax(serial, view(p.q, 1, depth), view(p.k, drawn.size(), depth), p.log_q, lse,
                            {.temperature = 0.7, .correct_positives = how != way::beside}, {}, columns);
            mean += std::exp(lse[0]) / static_cast<double>(samples);
        }
        CAPTURE(static_cast<int>(how));
        CAPTURE(mean);
        CAPTURE(sum);
        CHECK(std::fabs(mean - sum) < 4.0 * std::sqrt(variance / static_cast<double>(samples)));
        // The bound is worth something: without the correction the mean is far away.
        CHECK(4.0 * std::sqrt(variance / static_cast<double>(samples)) < 0.1 * sum);
    }
}

TEST_CASE("sampled_softmax: the same bits for any number of threads, and without gradients") {
    exec::pool two(2), three(3);
    for (const double length : {1.0, 20.0}) {
        const auto p = random_problem<float>(150, 2100, 5, length);
        for (const bool corrects : {true, false}) {
            const sampled_softmax_options options{.correct_positives = corrects};
            const auto want = run(serial, p, options);
            CHECK(run(exec::host{two}, p, options) == want);
            CHECK(run(exec::host{three}, p, options) == want);
            std::vector<float> lse(150);
            const auto m =
                sampled_softmax(exec::host{three}, view(p.q, 150, 5), view(p.k, 2100, 5), p.log_q, lse, options);
            CHECK_NEAR(m.sum(), want.loss, reduction<float>(64).of(150.0 * (10.0 + 100.0 * length * length)));
        }
    }
}

TEST_CASE("sampled_softmax: candidates left out, finite numbers of any size, NaN") {
    const float none_drawn = std::numeric_limits<float>::infinity();
    auto p = random_problem<float>(20, 2600, 4, 1.0);
    auto few = p;
    // All but the first 30, whole chunks of 1024 among them.
    std::fill(p.log_q.begin() + 30, p.log_q.end(), none_drawn);
    few.k.resize(30 * 4);
    few.log_q.resize(30);
    const auto got = run(serial, p, {}), want = run(serial, few, {});
    CHECK_ALL_NEAR(got.lse, want.lse, reduction<float>(16));
    CHECK_ALL_NEAR(got.queries, want.queries, reduction<float>(64).of(200.0));
    std::vector<float> forward(20);
    sampled_softmax(serial, view(p.q, 20, 4), view(p.k, 2600, 4), p.log_q, forward);
    CHECK_ALL_NEAR(forward, want.lse, reduction<float>(16));
    for (std::size_t i = 30 * 4; i < p.k.size(); ++i) CHECK(got.keys[i] == 0.0f);

    for (const double size : {1e-30, 1e2, 1e8, 1e15}) {
        for (const double spread : {1.0, 1e3, 1e30}) {
            for (const bool corrects : {true, false}) {
                auto wild = random_problem<float>(20, 40, 4, size);
                for (float& x : wild.log_q) x *= static_cast<float>(spread);
                const auto out = run(serial, wild, {.correct_positives = corrects});
                CAPTURE(size);
                CAPTURE(spread);
                CHECK(std::isfinite(out.loss));
                for (const auto* column : {&out.lse, &out.queries, &out.keys}) {
                    CHECK(std::all_of(column->begin(), column->end(), [](float x) { return std::isfinite(x); }));
                }
            }
        }
    }
    few.log_q[7] = std::numeric_limits<float>::quiet_NaN();
    const auto bad = run(serial, few, {});
    CHECK(std::isnan(bad.loss));
    CHECK(std::isnan(bad.lse[0]));
    CHECK(std::isnan(bad.queries[0]));
    // What log_expected_counts writes for a candidate that cannot be drawn.
    few.log_q[7] = -none_drawn;
    CHECK(std::isnan(run(serial, few, {}).loss));
}

TEST_CASE("log_expected_counts: against the definition") {
    const std::vector<std::uint32_t> counts{1, 0, 4, 15};
    std::vector<double> got(4);
    log_expected_counts(serial, counts, got, {.draws = 10});
    CHECK_ALL_NEAR(got, (std::vector<double>{std::log(0.5), -HUGE_VAL, std::log(2.0), std::log(7.5)}), reduction(4));
    log_expected_counts(serial, counts, got, {.draws = 10, .power = 0.0});
    CHECK_ALL_NEAR(got, std::vector<double>(4, std::log(2.5)), reduction(4));
    log_expected_counts(serial, counts, got, {.draws = 2, .power = 0.5, .distinct = true});
    const double p = 1.0 / (3.0 + std::sqrt(15.0));
    CHECK_NEAR(got[2], std::log(2.0 * (2.0 * p) - 4.0 * p * p), reduction(8));
    // A sure candidate; no draws; powers beyond double; no counts.
    const std::vector<double> sure{0.0, 3.0}, large{1e200, 3e200}, nothing(2);
    std::vector<double> two(2);
    for (const bool distinct : {false, true}) {
        log_expected_counts(serial, sure, two, {.draws = 0, .distinct = distinct});
        CHECK(two == std::vector<double>(2, -HUGE_VAL));
        log_expected_counts(serial, sure, two, {.draws = 1, .distinct = distinct});
        CHECK(two == std::vector<double>{-HUGE_VAL, 0.0});
        log_expected_counts(serial, large, two, {.draws = 1, .power = 2.0, .distinct = distinct});
        CHECK_ALL_NEAR(two, (std::vector<double>{std::log(0.1), std::log(0.9)}), reduction(8));
    }
    log_expected_counts(serial, nothing, two);
    CHECK(std::isnan(two[0]));
    log_expected_counts(serial, nothing, two, {.draws = 1, .power = 0.0});
    CHECK_ALL_NEAR(two, std::vector<double>(2, std::log(0.5)), reduction(4));
    const std::vector<double> bad{1.0, -1.0}, endless{1.0, HUGE_VAL};
    log_expected_counts(serial, endless, two, {.power = 0.0});
    CHECK(std::isnan(two[0]));
    log_expected_counts(serial, bad, two, {.power = 2.0});
    CHECK(std::isnan(two[0]));
    CHECK_THROWS_WITH_AS(log_expected_counts(serial, counts, two), "log_expected_counts: 4 counts but room for 2",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(log_expected_counts(serial, bad, two, {.power = -1.0}),
                         "log_expected_counts: power must be finite and not negative, got -1", std::invalid_argument);
}

TEST_CASE("sampled_softmax: bad input") {
    const std::vector<float> four(4), six(6), log_q(3);
    std::vector<float> two(2);
    const auto q = view(four, 2, 2), k = view(six, 3, 2);
    CHECK_THROWS_WITH_AS(sampled_softmax(serial, q, k, two, two), "sampled_softmax: 3 keys but 2 numbers in log_q",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(sampled_softmax(serial, q, k, log_q, two, {.first_positive = 2}),
                         "sampled_softmax: 2 queries with first_positive 2, but 3 keys", std::invalid_argument);
    CHECK_THROWS_WITH_AS(sampled_softmax(serial, q, k, log_q, two, {.temperature = -1.0}),
                         "sampled_softmax: temperature must be positive and finite, got -1", std::invalid_argument);
    const std::vector<std::uint32_t> beyond{0, 3}, one{0};
    contrastive_columns<float> columns;
    columns.positives = view(beyond);
    CHECK_THROWS_WITH_AS(sampled_softmax(serial, q, k, log_q, two, {}, {}, columns),
                         "sampled_softmax: key 3 as a positive, but there are 3", std::invalid_argument);
    columns.positives = view(one);
    CHECK_THROWS_WITH_AS(sampled_softmax(serial, q, k, log_q, two, {}, {}, columns),
                         "sampled_softmax: 2 queries but 1 positives", std::invalid_argument);
    std::vector<float> no_room;
    CHECK(std::isnan(
        sampled_softmax(serial, matrix_view<const float>(), matrix_view<const float>(), no_room, no_room).finish()));
}

}  // namespace
