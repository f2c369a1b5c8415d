// InfoNCE and the symmetric loss: worked examples, PyTorch, plain loops in double, gradients, shards, threads,
// extremes.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/losses/clip_loss.hpp"
#include "reckon/losses/info_nce.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

enum class kind { nce, clip };

template <class T>
struct result {
    double loss = 0.0, weight = 0.0, temperature = 0.0;
    std::vector<T> row_lse, column_lse, queries, keys;
    bool operator==(const result&) const = default;
};

// Either loss with everything that it writes.
template <class T, class Policy>
result<T> run(kind which, const Policy& where, const std::vector<T>& q, const std::vector<T>& k, std::size_t depth,
              double t, double scale = 1.0) {
    const std::size_t b = q.size() / depth, n = k.size() / depth;
    result<T> out;
    out.row_lse.resize(b);
    out.column_lse.resize(n);
    out.queries.resize(q.size());
    out.keys.resize(k.size());
    const contrastive_gradients<T> grads{view(out.queries, b, depth), view(out.keys, n, depth), &out.temperature,
                                         scale};
    const mean_value m = which == kind::nce ? info_nce(where, view(q, b, depth), view(k, n, depth), out.row_lse,
                                                       {.temperature = t}, grads)
                                            : clip_loss(where, view(q, b, depth), view(k, n, depth), out.row_lse,
                                                        out.column_lse, {.temperature = t}, grads);
    out.loss = m.sum();
    out.weight = m.weight();
    return out;
}

// The definitions, in double.
template <class T>
result<double> reference(kind which, const std::vector<T>& q, const std::vector<T>& k, std::size_t depth, double t) {
    const std::size_t b = q.size() / depth, n = k.size() / depth;
    result<double> out;
    out.queries.resize(q.size());
    out.keys.resize(k.size());
    std::vector<double> logits(b * n);
    for (std::size_t i = 0; i < b; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
            for (std::size_t d = 0; d < depth; ++d) {
                logits[i * n + j] += static_cast<double>(q[i * depth + d]) * static_cast<double>(k[j * depth + d]) / t;
            }
        }
    }
    const auto log_sum = [](std::size_t count, auto&& at) {
        double top = -HUGE_VAL, sum = 0.0;
        for (std::size_t j = 0; j < count; ++j) top = std::fmax(top, at(j));
        for (std::size_t j = 0; j < count; ++j) sum += std::exp(at(j) - top);
        return top + std::log(sum);
    };
    for (std::size_t i = 0; i < b; ++i)
        out.row_lse.push_back(log_sum(n, [&](std::size_t j) { return logits[i * n + j]; }));
    for (std::size_t j = 0; j < n; ++j)
        out.column_lse.push_back(log_sum(b, [&](std::size_t i) { return logits[i * n + j]; }));
    for (std::size_t i = 0; i < b; ++i) {
        out.loss +=
            (which == kind::nce ? out.row_lse[i] : 0.5 * (out.row_lse[i] + out.column_lse[i])) - logits[i * n + i];
        double warmth = 0.0;  // row by row: half a million terms in one sum lose digits
        for (std::size_t j = 0; j < n; ++j) {
            const double across = std::exp(logits[i * n + j] - out.row_lse[i]);
            const double down = std::exp(logits[i * n + j] - out.column_lse[j]);
            const double slope = (which == kind::nce ? across : 0.5 * (across + down)) - (i == j ? 1.0 : 0.0);
            warmth -= slope * logits[i * n + j] / t;
            for (std::size_t d = 0; d < depth; ++d) {
                out.queries[i * depth + d] += slope * static_cast<double>(k[j * depth + d]) / t;
                out.keys[j * depth + d] += slope * static_cast<double>(q[i * depth + d]) / t;
            }
        }
        out.temperature += warmth;
    }
    return out;
}

TEST_CASE("info_nce, clip_loss: worked example") {
    // Two orthogonal pairs at temperature 1/2: logits 2 on the diagonal and 0 beside it.
    const std::vector<double> q{1, 0, 0, 1}, k = q;
    const double lse = std::log(std::exp(2.0) + 1.0), p = 1.0 / (std::exp(2.0) + 1.0);
    for (const kind which : {kind::nce, kind::clip}) {
        const auto got = run(which, serial, q, k, 2, 0.5, 3.0);
        CHECK_NEAR(got.loss, 2.0 * (lse - 2.0), reduction(4));
        CHECK(got.weight == 2.0);
        CHECK_NEAR(got.row_lse[1], lse, reduction(4));
        // d loss / d q_0 = ((1 - p) k_0 + p k_1 - k_0) / t, times the scale.
        CHECK_ALL_NEAR(got.queries, (std::vector<double>{-6 * p, 6 * p, 6 * p, -6 * p}), reduction(8).of(6.0));
        CHECK_ALL_NEAR(got.keys, got.queries, reduction(8).of(6.0));
        // Every logit is s / t: 2 rows of (2 - (1 - p) 2) / t.
        CHECK_NEAR(got.temperature, 3.0 * 2.0 * 2.0 * p / 0.5, reduction(8).of(12.0));
    }
}

TEST_CASE("info_nce, clip_loss: PyTorch") {
    const fixture data("contrastive.txt");
    for (const std::string name : {"one", "usual", "negatives", "tile", "logits80", "logits1e4", "equal", "narrow"}) {
        CAPTURE(name);
        const auto shape = data.as<double>(name + ".shape");
        const auto depth = static_cast<std::size_t>(shape[2]);
        const double t = data.value(name + ".t");
        const auto q = data.as<double>(name + ".q"), k = data.as<double>(name + ".k");
        double largest = 0.0;
        for (const double x : data.as<double>(name + ".nce.lse")) largest = std::fmax(largest, std::fabs(x));
        for (const kind which : {kind::nce, kind::clip}) {
            if (which == kind::clip && shape[0] != shape[1]) continue;
            const std::string want = name + (which == kind::nce ? ".nce" : ".clip");
            const auto got = run(which, serial, q, k, depth, t);
            const tolerance bound = logit_error<double>(64, (largest + 1.0) * shape[0] * 8.0 / t);
            CHECK_NEAR(got.loss, data.value(want + ".loss"), bound);
            CHECK_ALL_NEAR(got.queries, data.as<double>(want + ".dq"), bound);
            CHECK_ALL_NEAR(got.keys, data.as<double>(want + ".dk"), bound);
            CHECK_NEAR(got.temperature, data.value(want + ".dt"), bound.of((largest + 1.0) * shape[0] * 8.0 / (t * t)));
            if (which == kind::nce) CHECK_ALL_NEAR(got.row_lse, data.as<double>(want + ".lse"), bound);
        }
    }
}

// Sizes around the tile, the block of rows and the chunk of keys.
struct shape {
    std::size_t batch, keys, depth;
};
constexpr shape shapes[] = {{1, 1, 1},    {5, 6, 2},      {6, 16, 16},     {7, 17, 5},    {13, 40, 31}, {96, 96, 8},
                            {97, 130, 3}, {200, 1100, 7}, {193, 2060, 17}, {9, 33, 1025}, {700, 701, 4}};

TEST_CASE_TEMPLATE("info_nce, clip_loss: against the definition", T, float, double) {
    for (const shape& s : shapes) {
        // At temperature 0.05 logits of up to 20, 97 (no longer moderate) and 8000.
        for (const double length : {1.0, 2.2, 20.0}) {
            for (const kind which : {kind::nce, kind::clip}) {
                const std::size_t n = which == kind::clip ? s.batch : s.keys;
                CAPTURE(s.batch);
                CAPTURE(n);
                CAPTURE(s.depth);
                CAPTURE(length);
                const auto q = unit_rows<T>(s.batch, s.depth, 1, length), k = unit_rows<T>(n, s.depth, 2, length);
                const auto got = run(which, serial, q, k, s.depth, 0.05);
                const auto want = reference(which, q, k, s.depth, 0.05);
                // An error of a logit shifts a probability by as much, relatively, and a gradient by that times length
                // / t.
                const tolerance logit = logit_error<T>(s.depth, 20.0 * length * length);
                const tolerance slope =
                    logit.of(20.0 * length * length * 20.0 * length / std::sqrt(static_cast<double>(s.depth)));
                CHECK_ALL_NEAR(got.row_lse, want.row_lse, logit);
                CHECK_NEAR(got.loss, want.loss, logit.of(20.0 * length * length * static_cast<double>(s.batch)));
                CHECK_ALL_NEAR(got.queries, want.queries, slope);
                CHECK_ALL_NEAR(got.keys, want.keys, slope);
                CHECK_NEAR(got.temperature, want.temperature,
                           logit.of(400.0 * length * length * 20.0 * static_cast<double>(s.batch)));
                if (which == kind::clip) CHECK_ALL_NEAR(got.column_lse, want.column_lse, logit);
            }
        }
    }
}

TEST_CASE("info_nce, clip_loss: gradients against central differences") {
    const std::size_t b = 8, depth = 3;
    const auto start = random_normal<double>(2 * b * depth, 0.0, 0.5, 4);
    for (const kind which : {kind::nce, kind::clip}) {
        const auto split = [&](vector_view<const double> x) {
            return std::pair(std::vector<double>(x.begin(), x.begin() + b * depth),
                             std::vector<double>(x.begin() + b * depth, x.end()));
        };
        const auto value = [&](vector_view<const double> x) {
            const auto [q, k] = split(x);
            return run(which, serial, q, k, depth, 0.2).loss;
        };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            const auto [q, k] = split(x);
            const auto got = run(which, serial, q, k, depth, 0.2);
            for (std::size_t i = 0; i < q.size(); ++i) out[i] += got.queries[i];
            for (std::size_t i = 0; i < k.size(); ++i) out[q.size() + i] += got.keys[i];
        };
        CHECK_LAW(testing::check_gradient(value, gradient, start));
    }
}

TEST_CASE("info_nce: shards of the queries add up to the whole") {
    const std::size_t b = 210, n = 330, depth = 6;
    const auto q = unit_rows<double>(b, depth, 5), k = unit_rows<double>(n, depth, 6);
    const auto whole = run(kind::nce, serial, q, k, depth, 0.1);
    for (const std::size_t shards : {2u, 4u, 7u}) {
        // Key i belongs to query i, so a shard sees the keys in an order of its own: its positives first.
        mean_value loss;
        std::vector<double> queries(q.size()), keys(k.size());
        double temperature = 0.0;
        for (std::size_t s = 0; s < shards; ++s) {
            const std::size_t first = s * b / shards, count = (s + 1) * b / shards - first;
            std::vector<std::size_t> order;
            for (std::size_t i = first; i < first + count; ++i) order.push_back(i);
            for (std::size_t j = 0; j < n; ++j) {
                if (j < first || j >= first + count) order.push_back(j);
            }
            std::vector<double> mine(n * depth), to(n * depth), lse(count);
            for (std::size_t j = 0; j < n; ++j) {
                for (std::size_t d = 0; d < depth; ++d) mine[j * depth + d] = k[order[j] * depth + d];
            }
            loss.merge(info_nce(serial, view(q, b, depth).slice(first, count), view(mine, n, depth), lse,
                                {.temperature = 0.1},
                                {view(queries, b, depth).slice(first, count), view(to, n, depth), &temperature}));
            for (std::size_t j = 0; j < n; ++j) {
                for (std::size_t d = 0; d < depth; ++d) keys[order[j] * depth + d] += to[j * depth + d];
            }
        }
        CHECK_NEAR(loss.sum(), whole.loss, reduction(n));
        CHECK(loss.weight() == whole.weight);
        CHECK_ALL_NEAR(queries, whole.queries, reduction(n).of(10.0));
        CHECK_ALL_NEAR(keys, whole.keys, reduction(n).of(100.0));
        CHECK_NEAR(temperature, whole.temperature, reduction(n).of(1000.0));
    }
}

TEST_CASE("info_nce, clip_loss: the same bits for any number of threads, the same sums without gradients") {
    const std::size_t b = 300, depth = 10;
    exec::pool two(2), three(3);
    for (const double length : {1.0, 20.0}) {
        const auto q = unit_rows<float>(b, depth, 7, length);
        for (const kind which : {kind::nce, kind::clip}) {
            const auto k = unit_rows<float>(which == kind::nce ? 2500 : b, depth, 8, length);
            const auto want = run(which, serial, q, k, depth, 0.05);
            CHECK(run(which, exec::host{two}, q, k, depth, 0.05) == want);
            CHECK(run(which, exec::host{three}, q, k, depth, 0.05) == want);
        }
        const auto k = unit_rows<float>(2500, depth, 8, length);
        const auto want = run(kind::nce, serial, q, k, depth, 0.05);
        std::vector<float> lse(b);
        const auto m = info_nce(exec::host{three}, view(q, b, depth), view(k, std::size_t{2500}, depth), lse,
                                {.temperature = 0.05});
        CHECK_ALL_NEAR(lse, want.row_lse, logit_error<float>(depth, 20.0 * length * length));
        CHECK_NEAR(m.sum(), want.loss,
                   logit_error<float>(depth, 20.0 * length * length).of(20.0 * length * length * 300.0));
    }
}

TEST_CASE("info_nce: more keys than threads look at between two barriers") {
    const std::size_t b = 100, n = 9000, depth = 3;
    exec::pool two(2);
    for (const double length : {1.0, 20.0}) {
        const auto q = unit_rows<float>(b, depth, 7, length), k = unit_rows<float>(n, depth, 8, length);
        CHECK(run(kind::nce, exec::host{two}, q, k, depth, 0.05) == run(kind::nce, serial, q, k, depth, 0.05));
    }
}

TEST_CASE("clip_loss: weights are kept for a window of keys") {
    const std::size_t depth = 8;
    for (const std::size_t n : {1000u, 3000u}) {
        const auto q = unit_rows<float>(n, depth, 15), k = unit_rows<float>(n, depth, 16);
        std::vector<float> across(n), down(n), dq(n * depth), dk(n * depth);
        const auto used = testing::count_allocations([&] {
            clip_loss(serial, view(q, n, depth), view(k, n, depth), across, down, {},
                      {view(dq, n, depth), view(dk, n, depth)});
        });
        CHECK(used.peak_bytes > 0);
        // Keys packed twice, padded to whole tiles, and the sums of their gradients; sums of rows and columns; the
        // window of weights and the queries of a block.
        CHECK(used.peak_bytes <= n * (16 + 16 + 8) * sizeof(float) + 50 * n + 96 * 560 * sizeof(float) + 50000);
    }
}

TEST_CASE("info_nce: what is not wanted stays untouched, and strides are kept") {
    const std::size_t b = 9, n = 21, depth = 5, stride = 8;
    const auto q = random_normal<float>(b * stride, 0.0, 0.3, 9), k = random_normal<float>(n * stride, 0.0, 0.3, 10);
    std::vector<float> tight_q, tight_k;
    for (std::size_t i = 0; i < b * stride; ++i) {
        if (i % stride < depth) tight_q.push_back(q[i]);
    }
    for (std::size_t i = 0; i < n * stride; ++i) {
        if (i % stride < depth) tight_k.push_back(k[i]);
    }
    const auto want = run(kind::nce, serial, tight_q, tight_k, depth, 0.1);
    const matrix_view<const float> rows(q.data(), b, depth, stride), others(k.data(), n, depth, stride);
    for (int wanted = 0; wanted < 8; ++wanted) {
        std::vector<float> lse(b), dq(b * stride, 7.0f), dk(n * stride, 7.0f);
        double temperature = 0.0;
        contrastive_gradients<float> grads;
        if (wanted & 1) grads.queries = matrix_view<float>(dq.data(), b, depth, stride);
        if (wanted & 2) grads.keys = matrix_view<float>(dk.data(), n, depth, stride);
        if (wanted & 4) grads.temperature = &temperature;
        const auto m = info_nce(serial, rows, others, lse, {.temperature = 0.1}, grads);
        CHECK_NEAR(m.sum(), want.loss, reduction<float>(64));
        CHECK_ALL_NEAR(lse, want.row_lse, reduction<float>(16));
        CHECK_NEAR(temperature, (wanted & 4) ? want.temperature : 0.0, reduction<float>(16).of(1000.0));
        for (std::size_t i = 0; i < dq.size(); ++i) {
            const std::size_t at = i / stride * depth + i % stride;
            const double added = (wanted & 1) && i % stride < depth ? want.queries[at] : 0.0;
            CHECK_NEAR(dq[i], 7.0 + added, reduction<float>(16).of(16.0));
        }
        for (std::size_t i = 0; i < dk.size(); ++i) {
            const std::size_t at = i / stride * depth + i % stride;
            const double added = (wanted & 2) && i % stride < depth ? want.keys[at] : 0.0;
            CHECK_NEAR(dk[i], 7.0 + added, reduction<float>(16).of(16.0));
        }
    }
}

TEST_CASE("info_nce, clip_loss: finite logits of any size stay finite") {
    for (const double size : {1e-30, 1e2, 1e8, 1e15}) {
        for (const kind which : {kind::nce, kind::clip}) {
            CAPTURE(size);
            const auto q = unit_rows<float>(20, 4, 11, size), k = unit_rows<float>(20, 4, 12, size);
            const auto got = run(which, serial, q, k, 4, 0.05);
            CHECK(std::isfinite(got.loss));
            for (const auto* column : {&got.row_lse, &got.queries, &got.keys}) {
                for (const float x : *column) CHECK(std::isfinite(x));
            }
        }
    }
}

TEST_CASE("clip_loss: the padding of tiles does not reach the gradients, whatever the sums") {
    // Every logit alike, so that the log-sum-exps are those of the padding's worst case somewhere on the way.
    const std::size_t b = 5;
    std::vector<float> q(2 * b), k(2 * b);
    for (std::size_t i = 0; i < b; ++i) q[2 * i] = 1.0f;
    for (const float sign : {-1.0f, 1.0f}) {
        for (std::size_t i = 0; i < b; ++i) k[2 * i] = sign;
        for (double logit = 55.0; logit < 400.0; logit += 0.25) {
            const auto got = run(kind::clip, serial, q, k, 2, 1.0 / logit);
            bool calm = true;
            for (const auto* column : {&got.queries, &got.keys}) {
                for (const float x : *column) calm = calm && std::fabs(x) < 1.0f;
            }
            CAPTURE(logit);
            CHECK(calm);
        }
    }
}

TEST_CASE("info_nce: the padding of tiles counts for nothing beside the least of moderate logits") {
    const std::vector<double> q{1, 1, 1}, k{-59, -59, -59};
    const auto got = run(kind::nce, serial, q, k, 1, 1.0), both = run(kind::clip, serial, q, k, 1, 1.0);
    CHECK_NEAR(got.row_lse[0], std::log(3.0) - 59.0, reduction(4));
    CHECK_NEAR(both.column_lse[0], std::log(3.0) - 59.0, reduction(4));
}

TEST_CASE("info_nce: queries and keys of very different size") {
    for (const double size : {1e9, 1e15}) {
        // Each prefers the other's key by 118 nats.
        const auto s = static_cast<float>(size), small_one = static_cast<float>(59.0 / size);
        const std::vector<float> q{small_one, 0, -small_one, 0}, k{-s, 0, s, 0};
        const auto got = run(kind::nce, serial, q, k, 2, 1.0);
        CHECK_NEAR(got.queries[0], 2.0 * size, reduction<float>(16));
        CHECK_NEAR(got.queries[2], -2.0 * size, reduction<float>(16));
    }
}

TEST_CASE("info_nce: a NaN reaches its own row and every key") {
    auto q = unit_rows<float>(20, 4, 13);
    const auto k = unit_rows<float>(40, 4, 14);
    q[0] = 100.0f;  // logits of up to 2000 before the row
    q[4 * 5 + 1] = std::numeric_limits<float>::quiet_NaN();
    const auto got = run(kind::nce, serial, q, k, 4, 0.05);
    CHECK(std::isnan(got.loss));
    for (std::size_t i = 0; i < 20; ++i) {
        CHECK(std::isnan(got.row_lse[i]) == (i == 5));
        CHECK(std::isnan(got.queries[i * 4]) == (i == 5));
    }
    for (const float x : got.keys) CHECK(std::isnan(x));
}

// InfoNCE with everything that it can take.
template <class T>
struct extras {
    info_nce_options options;
    contrastive_columns<T> columns;
};
template <class T, class Policy>
result<T> run(const Policy& where, const extras<T>& with, const std::vector<T>& q, const std::vector<T>& k,
              std::size_t depth) {
    const std::size_t b = q.size() / depth, n = k.size() / depth;
    result<T> out;
    out.row_lse.resize(b);
    out.queries.resize(q.size());
    out.keys.resize(k.size());
    out.column_lse.resize(b);  // gradients of the temperatures of rows
    const auto m = info_nce(where, view(q, b, depth), view(k, n, depth), out.row_lse, with.options,
                            {.queries = view(out.queries, b, depth),
                             .keys = view(out.keys, n, depth),
                             .temperature = &out.temperature,
                             .temperatures = view(out.column_lse)},
                            with.columns);
    out.loss = m.sum();
    out.weight = m.weight();
    return out;
}

TEST_CASE("info_nce with options: worked example") {
    // Logits of query 0: 1 with its own key, 0 and 1 with the others; key 2 has the label of key 0.
    const std::vector<double> q{1, 0}, k{1, 0, 0, 1, 1, 0};
    const std::vector<std::uint64_t> labels{5, 6, 5}, query_label{6};
    const double with_all = std::log(2.0 * std::exp(1.0) + 1.0);
    CHECK_NEAR(run(serial, {{.temperature = 1.0}, {}}, q, k, 2).loss, with_all - 1.0, reduction(8));
    CHECK_NEAR(run(serial, {{.temperature = 1.0}, {.key_labels = input(labels)}}, q, k, 2).loss,
               std::log(std::exp(1.0) + 1.0) - 1.0, reduction(8));
    CHECK_NEAR(
        run(serial, {{.temperature = 1.0}, {.key_labels = input(labels), .query_labels = input(query_label)}}, q, k, 2)
            .loss,
        std::log(2.0 * std::exp(1.0)) - 1.0, reduction(8));
    // Hardness 1: two negatives count 2 (e^0 + e^2) / (e^0 + e^1).
    const double hard = 2.0 * (1.0 + std::exp(2.0)) / (1.0 + std::exp(1.0));
    CHECK_NEAR(run(serial, {{.temperature = 1.0, .hardness = 1.0}, {}}, q, k, 2).loss,
               std::log(std::exp(1.0) + hard) - 1.0, reduction(8));
    // Key 1 as the positive.
    CHECK_NEAR(run(serial, {{.temperature = 1.0, .first_positive = 1}, {}}, q, k, 2).loss, with_all, reduction(8));
    // Distances 0, 2 and 0; cosines are the dot products of these rows.
    CHECK_NEAR(run(serial, {{.temperature = 1.0, .metric = similarity::squared_distance}, {}}, q, k, 2).loss,
               std::log(2.0 + std::exp(-2.0)), reduction(8));
    CHECK_NEAR(run(serial, {{.temperature = 1.0, .metric = similarity::cosine}, {}}, q, k, 2).loss, with_all - 1.0,
               reduction(8));
}

TEST_CASE("info_nce with options: PyTorch") {
    const fixture data("contrastive.txt");
    for (const std::string name : {"one", "usual", "negatives", "tile", "logits80", "logits1e4", "equal", "narrow"}) {
        const auto depth = static_cast<std::size_t>(data.as<double>(name + ".shape")[2]);
        const double batch = data.as<double>(name + ".shape")[0], t = data.value(name + ".t");
        const auto q = data.as<double>(name + ".q"), k = data.as<double>(name + ".k"),
                   ts = data.as<double>(name + ".ts");
        const auto labels = data.as<std::uint64_t>(name + ".labels"), own = data.as<std::uint64_t>(name + ".own");
        for (const std::string kind : {"cosine", "distance", "rows", "labels", "hard", "all"}) {
            CAPTURE(name);
            CAPTURE(kind);
            const bool all = kind == "all";
            extras<double> with;
            with.options.temperature = t;
            if (kind == "cosine") with.options.metric = similarity::cosine;
            if (kind == "distance" || all) with.options.metric = similarity::squared_distance;
            if (kind == "hard" || all) with.options.hardness = 0.7;
            if (kind == "rows" || all) with.columns.temperatures = input(ts);
            if (kind == "labels" || all)
                with.columns.key_labels = input(labels), with.columns.query_labels = input(own);
            const auto got = run(serial, with, q, k, depth);
            const std::string want = name + "." + kind;
            double largest = 1.0;
            for (const double x : data.as<double>(want + ".lse")) largest = std::fmax(largest, std::fabs(x));
            const tolerance bound = logit_error<double>(64, (largest + 1.0) * batch * 16.0 / t);
            CHECK_NEAR(got.loss, data.value(want + ".loss"), bound);
            CHECK_ALL_NEAR(got.row_lse, data.as<double>(want + ".lse"), bound);
            CHECK_ALL_NEAR(got.queries, data.as<double>(want + ".dq"), bound);
            CHECK_ALL_NEAR(got.keys, data.as<double>(want + ".dk"), bound);
            const auto warmth = data.as<double>(want + ".dt");
            double sum = 0.0;
            for (const double x : warmth) sum += x;
            CHECK_NEAR(got.temperature, sum, bound.of((largest + 1.0) * batch * 16.0 / (t * t)));
            if (warmth.size() == ts.size() && (kind == "rows" || all)) {
                CHECK_ALL_NEAR(got.column_lse, warmth, bound.of((largest + 1.0) * batch * 16.0 / (t * t)));
            }
        }
    }
}

TEST_CASE_TEMPLATE("info_nce with options: rows as a whole and powers in registers agree", T, float, double) {
    for (const shape& s : shapes) {
        const auto q = unit_rows<T>(s.batch, s.depth, 21), k = unit_rows<T>(s.keys, s.depth, 22);
        std::vector<std::uint64_t> distinct(s.keys);
        for (std::size_t j = 0; j < s.keys; ++j) distinct[j] = (s.keys - j) * 0x9E3779B97F4A7C15u;
        const std::vector<T> temperatures(s.batch, T(0.0625));
        for (const similarity metric : {similarity::dot, similarity::cosine, similarity::squared_distance}) {
            CAPTURE(s.batch);
            CAPTURE(s.depth);
            const info_nce_options options{.temperature = 0.0625, .metric = metric};
            const auto want = run(serial, extras<T>{options, {}}, q, k, s.depth);
            const auto got = run(serial, extras<T>{options, {.key_labels = input(distinct)}}, q, k, s.depth);
            const tolerance logit = logit_error<T>(s.depth, 64.0), slope = logit.of(64.0 * 32.0);
            CHECK_ALL_NEAR(got.row_lse, want.row_lse, logit);
            CHECK_ALL_NEAR(got.queries, want.queries, slope);
            CHECK_ALL_NEAR(got.keys, want.keys, slope);
            CHECK_ALL_NEAR(got.column_lse, want.column_lse, logit.of(64.0 * 16.0 * 64.0));
            CHECK(run(serial, extras<T>{options, {.temperatures = input(temperatures)}}, q, k, s.depth) == want);
            // Cosines do not see the lengths of rows; gradients shrink with them.
            if (metric == similarity::dot) {
                auto long_q = q;
                for (T& x : long_q) x *= T(4);
                const auto scaled = run(serial, extras<T>{{.temperature = 0.0625, .metric = similarity::cosine}, {}},
                                        long_q, k, s.depth);
                CHECK_ALL_NEAR(scaled.row_lse, want.row_lse, logit);
            }
        }
    }
}

TEST_CASE("info_nce with options: gradients against central differences") {
    const std::size_t b = 6, n = 9, depth = 3;
    const auto start = random_normal<double>((b + n) * depth + b, 0.0, 0.5, 24);
    const std::vector<std::uint64_t> labels{1, 2, 1, 3, 3, 1, 2, 9, 9};
    for (const similarity metric : {similarity::dot, similarity::cosine, similarity::squared_distance}) {
        for (const double hardness : {0.0, 0.4}) {
            for (const bool left_out : {false, true}) {
                const auto at = [&](vector_view<const double> x) {
                    std::vector<double> t(x.end() - b, x.end());
                    for (double& each : t) each = 0.5 + each * each;
                    return std::tuple(std::vector<double>(x.begin(), x.begin() + b * depth),
                                      std::vector<double>(x.begin() + b * depth, x.end() - b), t);
                };
                const auto call = [&](vector_view<const double> x) {
                    const auto [q, k, t] = at(x);
                    extras<double> with{{.metric = metric, .first_positive = 2, .hardness = hardness},
                                        {.temperatures = input(t)}};
                    if (left_out) with.columns.key_labels = input(labels);
                    return run(serial, with, q, k, depth);
                };
                const auto value = [&](vector_view<const double> x) { return call(x).loss; };
                const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
                    const auto got = call(x);
                    for (std::size_t i = 0; i < b * depth; ++i) out[i] += got.queries[i];
                    for (std::size_t i = 0; i < n * depth; ++i) out[b * depth + i] += got.keys[i];
                    for (std::size_t i = 0; i < b; ++i) {
                        out[(b + n) * depth + i] += got.column_lse[i] * 2.0 * x[(b + n) * depth + i];
                    }
                };
                CHECK_LAW(testing::check_gradient(value, gradient, start));
            }
        }
    }
}

TEST_CASE("info_nce with options: shards, threads and many keys") {
    exec::pool two(2);
    const std::size_t b = 130, n = 300, depth = 5;
    const auto q = unit_rows<float>(b, depth, 25), k = unit_rows<float>(n, depth, 26);
    std::vector<std::uint64_t> labels(n);
    for (std::size_t j = 0; j < n; ++j) labels[j] = j % 40;
    for (const double hardness : {0.0, 0.5}) {
        for (const bool left_out : {false, true}) {
            extras<float> with{{.metric = similarity::cosine, .first_positive = 7, .hardness = hardness}, {}};
            if (left_out) with.columns.key_labels = input(labels);
            const auto whole = run(serial, with, q, k, depth);
            CHECK(run(exec::host{two}, with, q, k, depth) == whole);
            for (const std::size_t shards : {2u, 4u, 7u}) {
                mean_value loss;
                std::vector<float> queries(q.size()), keys(k.size()), lse(b);
                double temperature = 0.0;
                for (std::size_t s = 0; s < shards; ++s) {
                    const std::size_t first = s * b / shards, count = (s + 1) * b / shards - first;
                    auto mine = with;
                    mine.options.first_positive = 7 + first;
                    loss.merge(info_nce(
                        serial, view(q, b, depth).slice(first, count), view(k, n, depth), view(lse).slice(first, count),
                        mine.options, {view(queries, b, depth).slice(first, count), view(keys, n, depth), &temperature},
                        mine.columns));
                }
                CHECK(lse == whole.row_lse);
                CHECK_NEAR(loss.sum(), whole.loss, reduction(b));
                CHECK(queries == whole.queries);
                CHECK_ALL_NEAR(keys, whole.keys, reduction<float>(b).of(40.0));
                CHECK_NEAR(temperature, whole.temperature, reduction<float>(b).of(1e4));
            }
        }
    }
    // Fewer rows are held at once against so many keys.
    const std::size_t many = 36000;
    const auto wide = unit_rows<float>(many, 2, 27), rows = unit_rows<float>(110, 2, 28);
    const auto got = run(serial, extras<float>{{.temperature = 0.25}, {}}, rows, wide, 2);
    const auto want = reference(kind::nce, rows, wide, 2, 0.25);
    CHECK_ALL_NEAR(got.row_lse, want.row_lse, logit_error<float>(2, 4.0));
    CHECK_ALL_NEAR(got.queries, want.queries, logit_error<float>(1024, 8.0));
    CHECK_ALL_NEAR(got.keys, want.keys, logit_error<float>(1024, 8.0));
}

TEST_CASE("info_nce with options: finite whatever the size, and rows without negatives") {
    std::vector<std::uint64_t> same(20, 3);
    for (const double size : {0.0, 1e-30, 1e2, 1e8}) {
        for (const similarity metric : {similarity::dot, similarity::cosine, similarity::squared_distance}) {
            for (const bool left_out : {false, true}) {
                CAPTURE(size);
                const auto q = unit_rows<float>(20, 4, 29, size), k = unit_rows<float>(20, 4, 30, size);
                extras<float> with{{.temperature = 0.05, .metric = metric, .hardness = 0.5}, {}};
                if (left_out) with.columns.key_labels = input(same);
                const auto got = run(serial, with, q, k, 4);
                CHECK(std::isfinite(got.loss));
                for (const auto* column : {&got.row_lse, &got.queries, &got.keys}) {
                    for (const float x : *column) CHECK(std::isfinite(x));
                }
                if (!left_out) continue;
                CHECK(got.loss == 0.0);
                CHECK(got.queries == std::vector<float>(80));
                CHECK(got.keys == std::vector<float>(80));
            }
        }
    }
    // A NaN stays in its row.
    auto q = unit_rows<float>(20, 4, 31);
    q[4 * 5] = std::numeric_limits<float>::quiet_NaN();
    const auto got = run(serial, extras<float>{{.metric = similarity::cosine, .hardness = 0.5}, {}}, q,
                         unit_rows<float>(40, 4, 32), 4);
    for (std::size_t i = 0; i < 20; ++i) {
        CHECK(std::isnan(got.row_lse[i]) == (i == 5));
        CHECK(std::isnan(got.queries[i * 4]) == (i == 5));
    }
}

TEST_CASE("info_nce: gradients where all logits are low and slopes steep") {
    // Logits of about -59: sums are tiny, and temperatures as well.
    const std::vector<float> q{1, 0, 1, 0}, k{-1e-12f, 1e-14f, -0.99e-12f, -1e-14f};
    const std::vector<double> dq(q.begin(), q.end()), dk(k.begin(), k.end());
    const auto got = run(kind::nce, serial, q, k, 2, 1.69e-14);
    const auto want = reference(kind::nce, dq, dk, 2, 1.69e-14);
    CHECK_NEAR(got.loss, want.loss, logit_error<float>(2, 64.0));
    CHECK_ALL_NEAR(got.queries, want.queries, logit_error<float>(2, 64.0));
    CHECK_ALL_NEAR(got.keys, want.keys, logit_error<float>(2, 64.0 / 1.69e-14));
}

TEST_CASE("info_nce with options: a NaN among the negatives is not taken for a left-out key") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const auto got = run(serial, extras<float>{{.hardness = 1.0}, {}}, std::vector<float>{1, 0},
                         std::vector<float>{1, 0, nan, 0}, 2);
    CHECK(std::isnan(got.loss));
    CHECK(std::isnan(got.row_lse[0]));
    CHECK(std::isnan(got.keys[0]));
}

TEST_CASE("info_nce with options: cosines of huge and tiny rows, and rows without columns") {
    for (const double size : {1e160, 1e-170, 1e300, 1e-300}) {
        const std::vector<double> q{size, 0, 0, size};
        const auto got = run(serial, extras<double>{{.temperature = 1.0, .metric = similarity::cosine}, {}}, q, q, 2);
        CHECK_NEAR(got.loss, 2.0 * std::log(1.0 + std::exp(-1.0)), reduction(8));
    }
    const std::vector<float> temperatures(200, 0.5f), none;
    std::vector<float> lse(200);
    const matrix_view<const float> flat(temperatures.data(), 200, 0, 0);
    const auto m = info_nce(serial, flat, flat, lse, {}, {}, {.temperatures = input(temperatures)});
    CHECK_NEAR(m.finish(), std::log(200.0), reduction<float>(200));
}

TEST_CASE("info_nce with options: bad input") {
    const std::vector<double> q(4), k(6), short_one{0.1}, bad{0.1, -1.0};
    const std::vector<std::uint64_t> two(2);
    const auto fails = [&](const extras<double>& with, const char* message) {
        CHECK_THROWS_WITH_AS(run(serial, with, q, k, 2), message, std::invalid_argument);
    };
    fails({{.first_positive = 2}, {}}, "info_nce: 2 queries with first_positive 2, but 3 keys");
    fails({{.first_positive = 9}, {}}, "info_nce: 2 queries with first_positive 9, but 3 keys");
    fails({{.hardness = -1.0}, {}}, "info_nce: hardness must lie in [0, 1e30], got -1");
    fails({{}, {.temperatures = input(short_one)}}, "info_nce: 2 queries but 1 temperatures");
    fails({{}, {.temperatures = input(bad)}}, "info_nce: temperature must be positive and finite, got -1");
    fails({{}, {.key_labels = input(two)}}, "info_nce: 3 keys but 2 labels");
    fails({{}, {.query_labels = input(two)}}, "info_nce: labels of queries but none of keys");
}

TEST_CASE("info_nce, clip_loss: bad input") {
    const std::vector<float> six(6), four(4);
    std::vector<float> two(2), three(3), other(4);
    const auto q = view(six, 2, 3), k = view(six, 3, 2), q2 = view(four, 2, 2);
    CHECK_THROWS_WITH_AS(info_nce(serial, q, k, two), "info_nce: queries have 3 columns, keys 2",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(info_nce(serial, k, q2, three), "info_nce: 3 queries with first_positive 0, but 2 keys",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(info_nce(serial, q2, k, three), "info_nce: 2 queries but room for 3 sums",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(info_nce(serial, q2, k, two, {.temperature = 0.0}),
                         "info_nce: temperature must be positive and finite, got 0", std::invalid_argument);
    CHECK_THROWS_WITH_AS(info_nce(serial, q2, k, two, {}, {.keys = view(other, 2, 2)}),
                         "info_nce: the gradient of keys is 2 x 2, not 3 x 2", std::invalid_argument);
    CHECK_THROWS_WITH_AS(clip_loss(serial, q2, k, two, two), "clip_loss: 2 queries but 3 keys", std::invalid_argument);
    CHECK_THROWS_WITH_AS(clip_loss(serial, q2, q2, two, three), "clip_loss: 2 pairs but room for 2 and 3 sums",
                         std::invalid_argument);
    std::vector<float> none_at_all;
    CHECK(std::isnan(info_nce(serial, matrix_view<const float>(), matrix_view<const float>(), none_at_all).finish()));
}

}  // namespace
