// Pairwise sigmoid loss: worked example, PyTorch, the definition in double, gradients, shards of both sides, threads,
// extremes.
#include "reckon/losses/sigmoid_pair.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
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

template <class T>
struct result {
    double loss = 0.0, weight = 0.0, temperature = 0.0, bias = 0.0;
    std::vector<T> queries, keys;
    bool operator==(const result&) const = default;
};

// Loss with everything that it writes.
template <class T, class Policy>
result<T> run(const Policy& where, const std::vector<T>& q, const std::vector<T>& k, std::size_t depth,
              const sigmoid_pair_options& options, const contrastive_columns<T>& columns = {}, double scale = 1.0) {
    const std::size_t b = q.size() / depth, n = k.size() / depth;
    result<T> out;
    out.queries.resize(q.size());
    out.keys.resize(k.size());
    const mean_value m = sigmoid_pair(where, view(q, b, depth), view(k, n, depth), options,
                                      {.queries = view(out.queries, b, depth),
                                       .keys = view(out.keys, n, depth),
                                       .temperature = &out.temperature,
                                       .scale = scale,
                                       .bias = &out.bias},
                                      columns);
    out.loss = m.sum();
    out.weight = m.weight();
    return out;
}

double softplus(double x) {
    return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}

// The definition with dot products, in double. The largest sums of magnitudes that errors of logits are relative to
// stand beside.
struct reference_result {
    result<double> value;
    double loss_size = 0.0, temperature_size = 0.0, bias_size = 0.0, query_size = 0.0, key_size = 0.0;
};
template <class T>
reference_result reference(const std::vector<T>& q, const std::vector<T>& k, std::size_t depth,
                           const sigmoid_pair_options& options, const std::vector<std::uint64_t>& key_labels = {}) {
    const std::size_t b = q.size() / depth, n = k.size() / depth;
    reference_result out;
    out.value.queries.resize(q.size());
    out.value.keys.resize(k.size());
    std::vector<double> query_sizes(q.size()), key_sizes(k.size());
    compensated_sum loss, bias, temperature;
    for (std::size_t i = 0; i < b; ++i) {
        const std::size_t own = i + static_cast<std::size_t>(options.first_positive);
        out.value.weight += 1.0;
        for (std::size_t j = 0; j < n; ++j) {
            const bool alike = !key_labels.empty() && key_labels[own] == key_labels[j];
            if (j != own && alike && !options.several_positives) continue;
            const double z = j == own || alike ? 1.0 : -1.0, t = options.temperature;
            double s = 0.0, size = 0.0;
            for (std::size_t d = 0; d < depth; ++d) {
                const double term = static_cast<double>(q[i * depth + d]) * static_cast<double>(k[j * depth + d]);
                s += term;
                size += std::fabs(term);
            }
            const double x = s / t + options.bias, w = -z / (1.0 + std::exp(z * x));
            const double moved = std::fabs(w) * (1.0 + size / t + std::fabs(options.bias));
            loss.absorb(softplus(-z * x));
            bias.absorb(w);
            temperature.absorb(-w * s / (t * t));
            out.loss_size += softplus(-z * x) + moved;
            out.bias_size += moved;
            out.temperature_size += moved * size / (t * t);
            for (std::size_t d = 0; d < depth; ++d) {
                const double qd = static_cast<double>(q[i * depth + d]), kd = static_cast<double>(k[j * depth + d]);
                out.value.queries[i * depth + d] += w * kd / t;
                out.value.keys[j * depth + d] += w * qd / t;
                query_sizes[i * depth + d] += moved * std::fabs(kd) / t;
                key_sizes[j * depth + d] += moved * std::fabs(qd) / t;
            }
        }
    }
    out.value.loss = loss.value();
    out.value.bias = bias.value();
    out.value.temperature = temperature.value();
    out.query_size = *std::max_element(query_sizes.begin(), query_sizes.end());
    out.key_size = *std::max_element(key_sizes.begin(), key_sizes.end());
    return out;
}

TEST_CASE("sigmoid_pair: worked example") {
    // Two orthogonal pairs at temperature 1/2 and bias -1: logits 1 for the own key and -1 for the other.
    const std::vector<double> q{1, 0, 0, 1};
    const auto got = run(serial, q, q, 2, {.temperature = 0.5, .bias = -1.0}, {}, 3.0);
    const double p = 1.0 / (1.0 + std::exp(1.0));  // probability of the wrong answer, everywhere
    CHECK_NEAR(got.loss, 4.0 * std::log1p(std::exp(-1.0)), reduction(4));
    CHECK(got.weight == 2.0);
    // d loss / d q_0 = (-p k_0 + p k_1) / t, times the scale.
    CHECK_ALL_NEAR(got.queries, (std::vector<double>{-6 * p, 6 * p, 6 * p, -6 * p}), reduction(8).of(6.0));
    CHECK_ALL_NEAR(got.keys, got.queries, reduction(8).of(6.0));
    CHECK_NEAR(got.bias, 0.0, reduction(8).of(12.0));
    CHECK_NEAR(got.temperature, 3.0 * 2.0 * p / 0.25, reduction(8).of(12.0));
}

TEST_CASE("sigmoid_pair: PyTorch") {
    const fixture data("rowwise.txt");
    for (const std::string name :
         {"one", "usual", "negatives", "distance", "logits80", "logits1e4", "equal", "narrow"}) {
        const std::string of = "sig." + name;
        const auto shape = data.as<double>(of + ".shape"), set = data.as<double>(of + ".set");
        const auto depth = static_cast<std::size_t>(shape[2]);
        const auto q = data.as<double>(of + ".q"), k = data.as<double>(of + ".k");
        const auto ql = data.as<std::uint64_t>(of + ".ql"), kl = data.as<std::uint64_t>(of + ".kl");
        sigmoid_pair_options options{.temperature = set[0],
                                     .bias = set[1],
                                     .metric = static_cast<similarity>(static_cast<int>(set[2])),
                                     .first_positive = static_cast<std::ptrdiff_t>(shape[3])};
        for (const std::string form : {"", ".more", ".less"}) {
            const std::string want = of + form;
            CAPTURE(want);
            options.several_positives = form == ".more";
            contrastive_columns<double> columns;
            if (!form.empty()) columns = {.key_labels = input(kl), .query_labels = input(ql)};
            const auto got = run(serial, q, k, depth, options, columns);
            // A logit is a sum of products; gradients are sums of rows over t.
            const double size = (std::fmax)(1.0, data.value(want + ".loss")) / set[0];
            CHECK_NEAR(got.loss, data.value(want + ".loss"), reduction(64));
            CHECK(got.weight == shape[0]);
            CHECK_ALL_NEAR(got.queries, data.as<double>(want + ".dq"), reduction(64).of(8.0 * size));
            CHECK_ALL_NEAR(got.keys, data.as<double>(want + ".dk"), reduction(64).of(8.0 * size));
            CHECK_NEAR(got.temperature, data.value(want + ".dt"), reduction(64).of(size * size));
            CHECK_NEAR(got.bias, data.value(want + ".db"), reduction(64).of(8.0 * size));
        }
    }
}

// Sizes around the tile, the block of rows and the chunk of keys.
struct shape {
    std::size_t batch, keys, depth, first;
};
constexpr shape shapes[] = {{1, 1, 1, 0},   {5, 6, 2, 1},    {6, 16, 16, 0},   {7, 17, 5, 10},    {13, 40, 31, 3},
                            {96, 96, 8, 0}, {97, 130, 3, 7}, {50, 1100, 7, 5}, {193, 1030, 3, 1}, {9, 33, 1025, 2}};

TEST_CASE_TEMPLATE("sigmoid_pair: against the definition", T, float, double) {
    for (const shape& s : shapes) {
        // Per column of the embeddings: logits of a few nats, of tens, and of thousands.
        for (const double length : {0.5, 3.0, 50.0}) {
            for (const int form : {0, 1, 2}) {
                CAPTURE(s.batch);
                CAPTURE(s.keys);
                CAPTURE(s.depth);
                CAPTURE(length);
                CAPTURE(form);
                const double size = length / std::sqrt(std::sqrt(static_cast<double>(s.depth)));
                const auto q = random_normal<T>(s.batch * s.depth, 0.0, size, 1);
                const auto k = random_normal<T>(s.keys * s.depth, 0.0, size, 2);
                std::vector<std::uint64_t> labels;
                if (form > 0) labels = random_integers<std::uint64_t>(s.keys, 4, 3);
                const sigmoid_pair_options options{.temperature = 0.5,
                                                   .bias = -3.0,
                                                   .first_positive = static_cast<std::ptrdiff_t>(s.first),
                                                   .several_positives = form == 2};
                const auto got = run(serial, q, k, s.depth, options, {.key_labels = input(labels)});
                const auto want = reference(q, k, s.depth, options, labels);
                const tolerance of_logit = reduction<T>(s.depth);
                CHECK_NEAR(got.loss, want.value.loss, of_logit.of(want.loss_size));
                CHECK(got.weight == want.value.weight);
                CHECK_NEAR(got.bias, want.value.bias, of_logit.of(want.bias_size));
                CHECK_NEAR(got.temperature, want.value.temperature, of_logit.of(want.temperature_size));
                CHECK_ALL_NEAR(got.queries, want.value.queries, of_logit.of(want.query_size));
                CHECK_ALL_NEAR(got.keys, want.value.keys, of_logit.of(want.key_size));
            }
        }
    }
}

TEST_CASE("sigmoid_pair: small losses keep their digits") {
    // Own keys at logits of 5 to 20 and all others as far below 0: the loss is a sum of numbers far below the epsilon
    // of float.
    const std::size_t b = 40;
    for (const float logit : {5.0f, 12.0f, 20.0f, 80.0f}) {
        std::vector<float> q(b * b, 0.0f), k(b * b, 0.0f);
        for (std::size_t i = 0; i < b; ++i) {
            q[i * b + i] = 1.0f;
            k[i * b + i] = 2.0f * logit;
        }
        const auto got = run(serial, q, k, b, {.temperature = 1.0, .bias = -static_cast<double>(logit)});
        const double each = std::log1p(std::exp(-static_cast<double>(logit)));
        const double size = static_cast<double>(logit);
        CAPTURE(logit);
        CHECK_NEAR(got.loss, each * static_cast<double>(b * b), reduction<float>(8).of(each * 1600.0 * size));
        CHECK_NEAR(got.keys[0], -1.0 / (1.0 + std::exp(size)), reduction<float>(8).of(std::exp(-size) * size));
        CHECK_NEAR(got.keys[1], 1.0 / (1.0 + std::exp(size)), reduction<float>(8).of(std::exp(-size) * size));
    }
}

TEST_CASE("sigmoid_pair: gradients against central differences") {
    const std::size_t b = 5, n = 8, depth = 3;
    const auto start = random_normal<double>((b + n) * depth + 2, 0.0, 0.7, 4);
    const std::vector<std::uint64_t> labels{0, 1, 2, 0, 1, 1, 3, 4};
    for (const similarity metric : {similarity::dot, similarity::cosine, similarity::squared_distance}) {
        for (const bool several : {false, true}) {
            // The last two numbers are the logarithm of the temperature and the bias.
            const auto at = [&](vector_view<const double> x) {
                const std::vector<double> q(x.begin(), x.begin() + b * depth);
                const std::vector<double> k(x.begin() + b * depth, x.begin() + (b + n) * depth);
                const double t = std::exp(0.2 * x[(b + n) * depth]);
                auto got = run(serial, q, k, depth,
                               {.temperature = t,
                                .bias = x[(b + n) * depth + 1],
                                .metric = metric,
                                .first_positive = 2,
                                .several_positives = several},
                               {.key_labels = input(labels)});
                got.temperature *= 0.2 * t;
                return got;
            };
            const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
                const auto got = at(x);
                for (std::size_t i = 0; i < b * depth; ++i) out[i] += got.queries[i];
                for (std::size_t i = 0; i < n * depth; ++i) out[b * depth + i] += got.keys[i];
                out[(b + n) * depth] += got.temperature;
                out[(b + n) * depth + 1] += got.bias;
            };
            CHECK_LAW(
                testing::check_gradient([&](vector_view<const double> x) { return at(x).loss; }, gradient, start));
        }
    }
}

TEST_CASE("sigmoid_pair: temperatures of rows") {
    const std::size_t b = 12, n = 30, depth = 4;
    const auto q = random_normal<double>(b * depth, 0.0, 1.0, 5), k = random_normal<double>(n * depth, 0.0, 1.0, 6);
    const auto each = random_uniform<double>(b, 0.2, 2.0, 7);
    std::vector<double> of_rows(b), want_rows(b), queries(q.size());
    double all = 0.0, want_all = 0.0, loss = 0.0;
    for (std::size_t i = 0; i < b; ++i) {
        loss += sigmoid_pair(serial, view(q, b, depth).slice(i, 1), view(k, n, depth),
                             {.temperature = each[i], .first_positive = static_cast<std::ptrdiff_t>(i)},
                             {.queries = view(queries, b, depth).slice(i, 1), .temperature = &want_rows[i]})
                    .sum();
        want_all += want_rows[i];
    }
    std::vector<double> got_queries(q.size());
    const auto m =
        sigmoid_pair(serial, view(q, b, depth), view(k, n, depth), {},
                     {.queries = view(got_queries, b, depth), .temperature = &all, .temperatures = view(of_rows)},
                     {.temperatures = input(each)});
    CHECK_NEAR(m.sum(), loss, reduction(n));
    CHECK_ALL_NEAR(got_queries, queries, reduction(n).of(100.0));
    CHECK_ALL_NEAR(of_rows, want_rows, reduction(n).of(100.0));
    CHECK_NEAR(all, want_all, reduction(n).of(1000.0));
}

TEST_CASE("sigmoid_pair: shards of the queries, of the keys and of both add up to the whole") {
    const std::size_t b = 210, n = 330, depth = 6, first = 40;
    const auto q = random_normal<double>(b * depth, 0.0, 0.5, 8), k = random_normal<double>(n * depth, 0.0, 0.5, 9);
    const auto labels = random_integers<std::uint64_t>(n, 60, 10);
    const std::vector<std::uint64_t> query_labels(labels.begin() + first, labels.begin() + first + b);
    const contrastive_columns<double> columns{.key_labels = input(labels), .query_labels = input(query_labels)};
    const sigmoid_pair_options options{.temperature = 0.5, .bias = -2.0, .first_positive = first};
    const auto whole = run(serial, q, k, depth, options, columns);
    for (const std::size_t of_queries : {1u, 2u, 4u, 7u}) {
        for (const std::size_t of_keys : {1u, 2u, 4u, 7u}) {
            result<double> sum;
            sum.queries.resize(q.size());
            sum.keys.resize(k.size());
            mean_value loss;
            for (std::size_t s = 0; s < of_queries; ++s) {
                const std::size_t i = s * b / of_queries, rows = (s + 1) * b / of_queries - i;
                for (std::size_t u = 0; u < of_keys; ++u) {
                    const std::size_t j = u * n / of_keys, count = (u + 1) * n / of_keys - j;
                    sigmoid_pair_options mine = options;
                    mine.first_positive += static_cast<std::ptrdiff_t>(i) - static_cast<std::ptrdiff_t>(j);
                    mine.key_shard = of_keys > 1;
                    loss.merge(sigmoid_pair(serial, view(q, b, depth).slice(i, rows), view(k, n, depth).slice(j, count),
                                            mine,
                                            {.queries = view(sum.queries, b, depth).slice(i, rows),
                                             .keys = view(sum.keys, n, depth).slice(j, count),
                                             .temperature = &sum.temperature,
                                             .bias = &sum.bias},
                                            {.key_labels = columns.key_labels.slice(j, count),
                                             .query_labels = columns.query_labels.slice(i, rows)}));
                }
            }
            CAPTURE(of_queries);
            CAPTURE(of_keys);
            CHECK_NEAR(loss.sum(), whole.loss, reduction(n));
            CHECK(loss.weight() == whole.weight);
            CHECK_ALL_NEAR(sum.queries, whole.queries, reduction(n).of(100.0));
            CHECK_ALL_NEAR(sum.keys, whole.keys, reduction(n).of(100.0));
            CHECK_NEAR(sum.temperature, whole.temperature, reduction(n).of(10000.0));
            CHECK_NEAR(sum.bias, whole.bias, reduction(n).of(10000.0));
        }
    }
}

TEST_CASE("sigmoid_pair: the same bits for any number of threads, and without gradients") {
    const std::size_t b = 300, n = 2500, depth = 10;
    exec::pool two(2), three(3);
    const auto q = random_normal<float>(b * depth, 0.0, 0.5, 11), k = random_normal<float>(n * depth, 0.0, 0.5, 12);
    const auto labels = random_integers<std::uint64_t>(n, 30, 13);
    const sigmoid_pair_options options{.temperature = 0.2, .bias = -5.0, .several_positives = true};
    const contrastive_columns<float> columns{.key_labels = input(labels)};
    const auto want = run(serial, q, k, depth, options, columns);
    CHECK(run(exec::host{two}, q, k, depth, options, columns) == want);
    CHECK(run(exec::host{three}, q, k, depth, options, columns) == want);
    const auto rows = view(q, b, depth), others = view(k, n, depth);
    const double alone = sigmoid_pair(serial, rows, others, options, {}, columns).sum();
    CHECK(alone == want.loss);
    CHECK(sigmoid_pair(exec::host{three}, rows, others, options, {}, columns).sum() == alone);
    double bias = 0.0;
    sigmoid_pair(serial, rows, others, options, {.bias = &bias}, columns);
    CHECK(bias == want.bias);
}

TEST_CASE("sigmoid_pair: more keys than threads look at between two barriers") {
    const std::size_t b = 100, n = 9000, depth = 3;
    exec::pool two(2);
    const auto q = random_normal<float>(b * depth, 0.0, 0.5, 11), k = random_normal<float>(n * depth, 0.0, 0.5, 12);
    const sigmoid_pair_options options{.temperature = 0.2, .bias = -5.0};
    CHECK(run(exec::host{two}, q, k, depth, options) == run(serial, q, k, depth, options));
}

TEST_CASE("sigmoid_pair: strides") {
    const std::size_t b = 9, n = 21, depth = 5, stride = 8;
    const auto q = random_normal<float>(b * stride, 0.0, 0.3, 14), k = random_normal<float>(n * stride, 0.0, 0.3, 15);
    std::vector<float> tight_q, tight_k, dq(b * stride, 7.0f), dk(n * stride, 7.0f);
    for (std::size_t i = 0; i < b * stride; ++i) {
        if (i % stride < depth) tight_q.push_back(q[i]);
    }
    for (std::size_t i = 0; i < n * stride; ++i) {
        if (i % stride < depth) tight_k.push_back(k[i]);
    }
    const auto want = run(serial, tight_q, tight_k, depth, {});
    const auto m = sigmoid_pair(serial, matrix_view<const float>(q.data(), b, depth, stride),
                                matrix_view<const float>(k.data(), n, depth, stride), {},
                                {.queries = matrix_view<float>(dq.data(), b, depth, stride),
                                 .keys = matrix_view<float>(dk.data(), n, depth, stride)});
    CHECK(m.sum() == want.loss);
    for (std::size_t i = 0; i < dq.size(); ++i) {
        const float added = i % stride < depth ? want.queries[i / stride * depth + i % stride] : 0.0f;
        CHECK_NEAR(dq[i], 7.0 + static_cast<double>(added), reduction<float>(4).of(8.0));
    }
    for (std::size_t i = 0; i < dk.size(); ++i) {
        const float added = i % stride < depth ? want.keys[i / stride * depth + i % stride] : 0.0f;
        CHECK_NEAR(dk[i], 7.0 + static_cast<double>(added), reduction<float>(4).of(8.0));
    }
}

TEST_CASE("sigmoid_pair: finite logits of any size stay finite, and a NaN stays visible") {
    for (const double size : {1e-30, 1e2, 1e8, 1e15}) {
        CAPTURE(size);
        auto q = random_normal<float>(20 * 4, 0.0, size, 16);
        const auto k = random_normal<float>(20 * 4, 0.0, size, 17);
        const auto got = run(serial, q, k, 4, {});
        CHECK(std::isfinite(got.loss));
        CHECK(std::isfinite(got.bias));
        for (const auto* column : {&got.queries, &got.keys}) {
            for (const float x : *column) CHECK(std::isfinite(x));
        }
        q[4 * 5 + 1] = std::numeric_limits<float>::quiet_NaN();
        const auto bad = run(serial, q, k, 4, {});
        CHECK(std::isnan(bad.loss));
        CHECK(std::isnan(bad.bias));
        for (std::size_t i = 0; i < 20; ++i) CHECK(std::isnan(bad.queries[i * 4]) == (i == 5));
        for (const float x : bad.keys) CHECK(std::isnan(x));
    }
}

TEST_CASE("sigmoid_pair: bad input") {
    const std::vector<float> six(6), four(4);
    std::vector<float> other(4);
    const auto q = view(six, 2, 3), k = view(six, 3, 2), q2 = view(four, 2, 2);
    const std::vector<std::uint64_t> labels(3);
    CHECK_THROWS_WITH_AS(sigmoid_pair(serial, q, k), "sigmoid_pair: queries have 3 columns, keys 2",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(sigmoid_pair(serial, k, q2), "sigmoid_pair: 3 queries whose own keys start at 0, but 2 keys",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(sigmoid_pair(serial, q2, k, {.first_positive = -1}),
                         "sigmoid_pair: 2 queries whose own keys start at -1, but 3 keys", std::invalid_argument);
    CHECK_THROWS_WITH_AS(sigmoid_pair(serial, q2, k, {.temperature = 0.0}),
                         "sigmoid_pair: temperature must be positive and finite, got 0", std::invalid_argument);
    CHECK_THROWS_WITH_AS(sigmoid_pair(serial, q2, k, {.bias = HUGE_VAL}), "sigmoid_pair: bias must be finite, got inf",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(sigmoid_pair(serial, q2, k, {}, {.keys = view(other, 2, 2)}),
                         "sigmoid_pair: the gradient of keys is 2 x 2, not 3 x 2", std::invalid_argument);
    CHECK_THROWS_WITH_AS(sigmoid_pair(serial, q2, k, {.key_shard = true}, {}, {.key_labels = input(labels)}),
                         "sigmoid_pair: labels of a shard of the keys, but none of the queries", std::invalid_argument);
    CHECK(std::isnan(sigmoid_pair(serial, matrix_view<const float>(), matrix_view<const float>()).finish()));
    // A shard without keys.
    CHECK(sigmoid_pair(serial, q2, matrix_view<const float>(six.data(), 0, 2), {.key_shard = true}).sum() == 0.0);
}

TEST_CASE("sigmoid_pair: own keys in any order") {
    // 600 keys are several chunks, and 130 queries several blocks.
    exec::pool three(3);
    struct size {
        std::size_t batch, keys;
    };
    for (const size s : {size{9, 9}, size{130, 600}}) {
        const std::size_t depth = 3;
        const auto q = random_normal<float>(s.batch * depth, 0.0, 1.0, 71),
                   k = random_normal<float>(s.keys * depth, 0.0, 1.0, 72);
        const auto labels = random_integers<std::uint64_t>(s.keys, 5, 73);
        // Keys in such an order that key i of the turned ones is the own key of query i.
        std::vector<std::uint32_t> place;
        std::vector<float> turned;
        std::vector<std::uint64_t> turned_labels;
        for (std::uint32_t i = 0; i < s.keys; ++i) {
            place.push_back(static_cast<std::uint32_t>((7 * i + 4) % s.keys));
            turned_labels.push_back(labels[place.back()]);
            for (std::size_t d = 0; d < depth; ++d) turned.push_back(k[place.back() * depth + d]);
        }
        const auto own = input(place).slice(0, s.batch);
        // Without labels; labels that leave out; labels of further positives.
        for (const int form : {0, 1, 2}) {
            CAPTURE(s.batch);
            CAPTURE(form);
            const sigmoid_pair_options options{.temperature = 0.5, .bias = -1.0, .several_positives = form == 2};
            contrastive_columns<float> columns{.positives = own};
            std::vector<std::uint64_t> used;
            if (form > 0) {
                columns.key_labels = input(labels);
                used = turned_labels;
            }
            const auto want = reference(q, turned, depth, options, used);
            const auto got = run(serial, q, k, depth, options, columns);
            const tolerance of_logit = reduction<float>(depth);
            CHECK_NEAR(got.loss, want.value.loss, of_logit.of(want.loss_size));
            CHECK(got.weight == static_cast<double>(s.batch));
            CHECK_NEAR(got.bias, want.value.bias, of_logit.of(want.bias_size));
            CHECK_NEAR(got.temperature, want.value.temperature, of_logit.of(want.temperature_size));
            CHECK_ALL_NEAR(got.queries, want.value.queries, of_logit.of(want.query_size));
            std::vector<float> keys;
            for (const std::uint32_t j : place) {
                for (std::size_t d = 0; d < depth; ++d) keys.push_back(got.keys[j * depth + d]);
            }
            CHECK_ALL_NEAR(keys, want.value.keys, of_logit.of(want.key_size));
            CHECK(run(exec::host{three}, q, k, depth, options, columns) == got);
        }
    }
}

}  // namespace
