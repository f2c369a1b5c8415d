// Multi-similarity loss: worked example, PyTorch, the definition in double, gradients, shards, threads, extremes.
#include "reckon/losses/multi_similarity.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;
using labels_of = std::vector<std::uint64_t>;

template <class T>
struct result {
    double loss = 0.0, weight = 0.0;
    std::vector<T> queries, keys;
    bool operator==(const result&) const = default;
};

template <class T, class Policy>
result<T> run(const Policy& where, const std::vector<T>& q, const std::vector<T>& k, std::size_t depth,
              const labels_of& ql, const labels_of& kl, const multi_similarity_options& options, double scale = 1.0) {
    const std::size_t b = q.size() / depth, n = k.size() / depth;
    result<T> out;
    out.queries.resize(q.size());
    out.keys.resize(k.size());
    const mean_value m =
        multi_similarity(where, view(q, b, depth), view(k, n, depth), ql, kl, options,
                         {.queries = view(out.queries, b, depth), .keys = view(out.keys, n, depth), .scale = scale});
    out.loss = m.sum();
    out.weight = m.weight();
    return out;
}

// The definition with dot products, in double.
template <class T>
result<double> reference(const std::vector<T>& q, const std::vector<T>& k, std::size_t depth, const labels_of& ql,
                         const labels_of& kl, const multi_similarity_options& options) {
    const std::size_t b = q.size() / depth, n = k.size() / depth;
    result<double> out;
    out.weight = static_cast<double>(b);
    out.queries.resize(q.size());
    out.keys.resize(k.size());
    for (std::size_t i = 0; i < b; ++i) {
        std::vector<double> s(n);
        double least = HUGE_VAL, most = -HUGE_VAL;
        const auto counts = [&](std::size_t j) {
            return options.first_self < 0 || j != static_cast<std::size_t>(options.first_self) + i;
        };
        for (std::size_t j = 0; j < n; ++j) {
            for (std::size_t c = 0; c < depth; ++c) {
                s[j] += static_cast<double>(q[i * depth + c]) * static_cast<double>(k[j * depth + c]);
            }
            if (!counts(j)) continue;
            if (ql[i] == kl[j]) {
                least = std::fmin(least, s[j]);
            } else {
                most = std::fmax(most, s[j]);
            }
        }
        for (const bool positive : {true, false}) {
            const double by = positive ? -options.alpha : options.beta;
            double top = 0.0;
            std::vector<std::size_t> mined;
            for (std::size_t j = 0; j < n; ++j) {
                if (!counts(j) || (ql[i] == kl[j]) != positive || most == -HUGE_VAL || least == HUGE_VAL) continue;
                if (positive ? s[j] < most + options.epsilon : s[j] > least - options.epsilon) mined.push_back(j);
            }
            for (const std::size_t j : mined) top = std::fmax(top, by * (s[j] - options.base));
            double sum = std::exp(-top);
            for (const std::size_t j : mined) sum += std::exp(by * (s[j] - options.base) - top);
            out.loss += (top + std::log(sum)) / std::fabs(by);
            for (const std::size_t j : mined) {
                const double slope = std::exp(by * (s[j] - options.base) - top) / sum * (positive ? -1.0 : 1.0);
                for (std::size_t c = 0; c < depth; ++c) {
                    out.queries[i * depth + c] += slope * static_cast<double>(k[j * depth + c]);
                    out.keys[j * depth + c] += slope * static_cast<double>(q[i * depth + c]);
                }
            }
        }
    }
    return out;
}

TEST_CASE("multi_similarity: worked example") {
    // Similarities of the first row to the others: 0.6 (positive), 0.8 and 0 (negatives). 0 is not mined.
    const std::vector<double> q{1, 0}, k{0.6, 0.8, 0.8, 0.6, 0, 1};
    const auto got = run(serial, q, k, 2, {1}, {1, 2, 2}, {.metric = similarity::dot}, 2.0);
    const double pull = std::exp(-2.0 * 0.1), push = std::exp(50.0 * 0.3);
    CHECK_NEAR(got.loss, std::log1p(pull) / 2.0 + std::log1p(push) / 50.0, reduction(8));
    CHECK(got.weight == 1.0);
    const double p = pull / (1.0 + pull), m = push / (1.0 + push);
    CHECK_ALL_NEAR(got.keys, (std::vector<double>{-2 * p, 0, 2 * m, 0, 0, 0}), reduction(8).of(2.0));
    CHECK_ALL_NEAR(got.queries, (std::vector<double>{-1.2 * p + 1.6 * m, -1.6 * p + 1.2 * m}), reduction(8).of(4.0));
    // No negative is within epsilon of the positive: nothing is mined.
    const auto calm = run(serial, q, k, 2, {1}, {2, 1, 2}, {.metric = similarity::dot});
    CHECK(calm.loss == 0.0);
    CHECK(calm.weight == 1.0);
    CHECK(calm.keys == std::vector<double>(6));
}

TEST_CASE("multi_similarity: PyTorch") {
    const fixture data("rowwise.txt");
    for (const std::string name : {"one", "usual", "shard", "every", "far"}) {
        const std::string of = "ms." + name;
        const auto shape = data.as<double>(of + ".shape"), set = data.as<double>(of + ".set");
        const auto depth = static_cast<std::size_t>(shape[2]);
        const auto q = data.as<double>(of + ".q"), k = data.as<double>(of + ".k");
        const auto ql = data.as<std::uint64_t>(of + ".ql"), kl = data.as<std::uint64_t>(of + ".kl");
        for (const int metric : {0, 1, 2}) {
            const std::string want = of + "." + std::to_string(metric);
            CAPTURE(want);
            const auto got = run(serial, q, k, depth, ql, kl,
                                 {.alpha = set[0],
                                  .beta = set[1],
                                  .base = set[2],
                                  .epsilon = set[3],
                                  .metric = static_cast<similarity>(metric),
                                  .first_self = static_cast<std::ptrdiff_t>(shape[3])});
            // Errors of a similarity of up to a few thousand, times beta.
            double largest = 1.0;
            for (const double x : data.as<double>(want + ".dk")) largest = std::fmax(largest, std::fabs(x));
            const double size = (std::fmax)(1.0, data.value(want + ".loss"));
            CHECK_NEAR(got.loss, data.value(want + ".loss"), reduction(64));
            CHECK(got.weight == shape[0]);
            CHECK_ALL_NEAR(got.queries, data.as<double>(want + ".dq"), reduction(64).of(50.0 * largest * size));
            CHECK_ALL_NEAR(got.keys, data.as<double>(want + ".dk"), reduction(64).of(50.0 * largest * size));
        }
    }
}

// Sizes around the tile, the block of rows and the chunk of keys.
struct shape {
    std::size_t batch, keys, depth, first, classes;
};
constexpr shape shapes[] = {{1, 1, 1, 0, 1},     {5, 6, 2, 1, 2},    {6, 16, 16, 0, 3},  {7, 17, 5, 10, 4},
                            {13, 40, 31, 3, 1},  {96, 96, 8, 0, 40}, {97, 130, 3, 7, 3}, {50, 1100, 7, 5, 4},
                            {193, 300, 3, 1, 9}, {9, 33, 1025, 2, 5}};

TEST_CASE_TEMPLATE("multi_similarity: against the definition", T, float, double) {
    for (const shape& s : shapes) {
        for (const double epsilon : {0.0625, HUGE_VAL}) {
            for (const bool itself : {false, true}) {
                CAPTURE(s.batch);
                CAPTURE(s.keys);
                CAPTURE(s.depth);
                CAPTURE(epsilon);
                CAPTURE(itself);
                // Multiples of 1/8, so that similarities are exact and mining is that of the definition.
                std::vector<T> k;
                for (const auto v : random_integers<std::uint64_t>(s.keys * s.depth, 17, 1)) {
                    k.push_back((static_cast<T>(v) - T(8)) / T(8));
                }
                const auto kl = random_integers<std::uint64_t>(s.keys, s.classes, 2);
                const std::vector<T> q(k.begin() + static_cast<std::ptrdiff_t>(s.first * s.depth),
                                       k.begin() + static_cast<std::ptrdiff_t>((s.first + s.batch) * s.depth));
                const labels_of ql(kl.begin() + static_cast<std::ptrdiff_t>(s.first),
                                   kl.begin() + static_cast<std::ptrdiff_t>(s.first + s.batch));
                const multi_similarity_options options{
                    .alpha = 2.0,
                    .beta = 10.0,
                    .epsilon = epsilon,
                    .metric = similarity::dot,
                    .first_self = itself ? static_cast<std::ptrdiff_t>(s.first) : -1};
                const auto got = run(serial, q, k, s.depth, ql, kl, options);
                const auto want = reference(q, k, s.depth, ql, kl, options);
                // Exponents of up to beta times a similarity; slopes of an anchor add up to 2 at most.
                const double size = 10.0 * (std::fmax)(4.0, static_cast<double>(s.depth));
                CHECK_NEAR(got.loss, want.loss, reduction<T>(64).of((std::fmax)(1.0, want.loss)));
                CHECK(got.weight == want.weight);
                CHECK_ALL_NEAR(got.queries, want.queries, reduction<T>(16).of(size));
                CHECK_ALL_NEAR(got.keys, want.keys, reduction<T>(16).of(size * static_cast<double>(s.batch)));
            }
        }
    }
}

TEST_CASE("multi_similarity: gradients against central differences") {
    const std::size_t n = 9, depth = 3;
    const labels_of labels{0, 1, 2, 0, 1, 1, 2, 0, 5};
    // Random rows are away from the switches of mining.
    const auto start = random_normal<double>(n * depth, 0.0, 1.0, 7);
    for (const similarity metric : {similarity::dot, similarity::cosine, similarity::squared_distance}) {
        const multi_similarity_options options{.beta = 5.0, .metric = metric, .first_self = 0};
        const auto value = [&](vector_view<const double> x) {
            const matrix_view<const double> rows(x.data(), n, depth);
            return multi_similarity(serial, rows, rows, labels, labels, options).sum();
        };
        // One set against itself: both gradients go into one matrix.
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            const matrix_view<const double> rows(x.data(), n, depth);
            const matrix_view<double> to(out.data(), n, depth);
            multi_similarity(serial, rows, rows, labels, labels, options, {.queries = to, .keys = to});
        };
        CHECK_LAW(testing::check_gradient(value, gradient, start));
    }
}

TEST_CASE("multi_similarity: shards of the anchors add up to the whole, threads give the same bits") {
    const std::size_t n = 230, depth = 20;
    const auto x = random_normal<float>(n * depth, 0.0, 0.3, 8);
    const auto labels = random_integers<std::uint64_t>(n, 5, 9);
    exec::pool two(2), three(3);
    const multi_similarity_options options{.first_self = 0};
    const auto whole = run(serial, x, x, depth, labels, labels, options);
    CHECK(run(exec::host{two}, x, x, depth, labels, labels, options) == whole);
    CHECK(run(exec::host{three}, x, x, depth, labels, labels, options) == whole);
    const auto rows = view(x, n, depth);
    CHECK(multi_similarity(serial, rows, rows, labels, labels, options).sum() == whole.loss);
    for (const std::size_t shards : {2u, 4u, 7u}) {
        mean_value loss;
        std::vector<float> queries(x.size()), keys(x.size());
        for (std::size_t s = 0; s < shards; ++s) {
            const std::size_t first = s * n / shards, count = (s + 1) * n / shards - first;
            multi_similarity_options mine = options;
            mine.first_self = static_cast<std::ptrdiff_t>(first);
            loss.merge(multi_similarity(
                serial, rows.slice(first, count), rows, input(labels).slice(first, count), labels, mine,
                {.queries = view(queries, n, depth).slice(first, count), .keys = view(keys, n, depth)}));
        }
        CHECK_NEAR(loss.sum(), whole.loss, reduction<float>(n));
        CHECK(loss.weight() == whole.weight);
        CHECK_ALL_NEAR(queries, whole.queries, reduction<float>(n).of(10.0));
        CHECK_ALL_NEAR(keys, whole.keys, reduction<float>(n).of(100.0));
    }
}

TEST_CASE("multi_similarity: equal rows, finite input of any size, NaN") {
    const std::size_t n = 20, depth = 4;
    const auto labels = random_integers<std::uint64_t>(n, 3, 10);
    const std::vector<float> equal(n * depth, 0.25f);
    for (const similarity metric : {similarity::dot, similarity::cosine, similarity::squared_distance}) {
        CHECK(
            std::isfinite(run(serial, equal, equal, depth, labels, labels, {.metric = metric, .first_self = 0}).loss));
        for (const double size : {1e-30, 1e-3, 1e8, 1e15}) {
            const auto x = random_normal<float>(n * depth, 0.0, size, 11);
            const auto any = run(serial, x, x, depth, labels, labels, {.metric = metric, .first_self = 0});
            CHECK(std::isfinite(any.loss));
            for (const auto* column : {&any.queries, &any.keys}) {
                for (const float g : *column) CHECK(std::isfinite(g));
            }
        }
        const auto steepest = run(serial, equal, random_normal<float>(n * depth, 0.0, 1.0, 11), depth, labels, labels,
                                  {.alpha = 1e30, .beta = 1e30, .metric = metric, .first_self = 0});
        CHECK(std::isfinite(steepest.loss));
        for (const float g : steepest.keys) CHECK(std::isfinite(g));
        auto q = random_normal<float>(n * depth, 0.0, 1.0, 12);
        const auto k = random_normal<float>(n * depth, 0.0, 1.0, 13);
        q[4 * 5 + 1] = std::numeric_limits<float>::quiet_NaN();
        const auto bad = run(serial, q, k, depth, labels, labels, {.metric = metric});
        CHECK(std::isnan(bad.loss));
        for (std::size_t i = 0; i < n; ++i) CHECK(std::isnan(bad.queries[i * depth]) == (i == 5));
        for (const float g : bad.keys) CHECK(std::isnan(g));
        CHECK(std::isnan(run(serial, k, q, depth, labels, labels, {.metric = metric}).loss));
    }
}

TEST_CASE("multi_similarity: bad input") {
    const std::vector<float> six(6), four(4);
    double bias = 0.0;
    const auto q = view(six, 2, 3), k = view(six, 3, 2), q2 = view(four, 2, 2);
    const labels_of two(2), three(3);
    CHECK_THROWS_WITH_AS(multi_similarity(serial, q, k, two, three), "multi_similarity: queries have 3 columns, keys 2",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(multi_similarity(serial, q2, k, three, three), "multi_similarity: 2 queries but 3 labels",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(multi_similarity(serial, q2, k, two, three, {.alpha = 0.0}),
                         "multi_similarity: alpha must be positive and at most 1e30, got 0", std::invalid_argument);
    CHECK_THROWS_WITH_AS(multi_similarity(serial, q2, k, two, three, {.beta = HUGE_VAL}),
                         "multi_similarity: beta must be positive and at most 1e30, got inf", std::invalid_argument);
    // Steepness beyond float.
    CHECK_THROWS_WITH_AS(multi_similarity(serial, q2, k, two, three, {.alpha = 1e39}),
                         "multi_similarity: alpha must be positive and at most 1e30, got 1e+39", std::invalid_argument);
    CHECK_THROWS_WITH_AS(multi_similarity(serial, q2, k, two, three, {.beta = 1e39}),
                         "multi_similarity: beta must be positive and at most 1e30, got 1e+39", std::invalid_argument);
    CHECK_THROWS_WITH_AS(multi_similarity(serial, q2, k, two, three, {.base = HUGE_VAL}),
                         "multi_similarity: base must be finite, got inf", std::invalid_argument);
    CHECK_THROWS_WITH_AS(multi_similarity(serial, q2, k, two, three, {.epsilon = -1.0}),
                         "multi_similarity: epsilon must not be negative, got -1", std::invalid_argument);
    CHECK_THROWS_WITH_AS(multi_similarity(serial, q2, k, two, three, {}, {.bias = &bias}),
                         "multi_similarity: there is no bias, so no gradient of one", std::invalid_argument);
    const labels_of nobody;
    const matrix_view<const float> nothing;
    CHECK(std::isnan(multi_similarity(serial, nothing, nothing, nobody, nobody).finish()));
}

}  // namespace
