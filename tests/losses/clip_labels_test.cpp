// The symmetric loss as two calls of info_nce with the sides exchanged, which has labels and temperatures of rows:
// equal to clip_loss without them, and to the definition with them.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/losses/clip_loss.hpp"
#include "reckon/losses/info_nce.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;
using labels_of = std::vector<std::uint64_t>;

struct result {
    double loss = 0.0, temperature = 0.0;
    std::vector<double> row_lse, column_lse, queries, keys;
    result(std::size_t b, std::size_t depth) : row_lse(b), column_lse(b), queries(b * depth), keys(b * depth) {}
};

struct pairs {
    std::size_t count, depth;
    double temperature;
    similarity metric;
    std::vector<double> q, k;
    pairs(std::size_t b, std::size_t d, double t, similarity how)
        : count(b),
          depth(d),
          temperature(t),
          metric(how),
          q(random_normal<double>(b * d, 0.0, 0.4, 31)),
          k(random_normal<double>(b * d, 0.0, 0.4, 32)) {}
    matrix_view<const double> queries() const { return {q.data(), count, depth}; }
    matrix_view<const double> keys() const { return {k.data(), count, depth}; }
};

// Each direction with half the scale. Labels empty: none.
result two_calls(const pairs& p, const labels_of& query_labels, const labels_of& key_labels, double scale) {
    result out(p.count, p.depth);
    const matrix_view<double> dq(out.queries.data(), p.count, p.depth), dk(out.keys.data(), p.count, p.depth);
    const info_nce_options options{.temperature = p.temperature, .metric = p.metric};
    const auto there =
        info_nce(serial, p.queries(), p.keys(), out.row_lse, options,
                 {.queries = dq, .keys = dk, .temperature = &out.temperature, .scale = 0.5 * scale},
                 {.key_labels = vector_view<const std::uint64_t>(key_labels.data(), key_labels.size()),
                  .query_labels = vector_view<const std::uint64_t>(query_labels.data(), query_labels.size())});
    const auto back =
        info_nce(serial, p.keys(), p.queries(), out.column_lse, options,
                 {.queries = dk, .keys = dq, .temperature = &out.temperature, .scale = 0.5 * scale},
                 {.key_labels = vector_view<const std::uint64_t>(query_labels.data(), query_labels.size()),
                  .query_labels = vector_view<const std::uint64_t>(key_labels.data(), key_labels.size())});
    out.loss = 0.5 * (there.sum() + back.sum());
    return out;
}

// The definition: pairs of equal labels that do not belong together are left out of both sums.
result reference(const pairs& p, const labels_of& query_labels, const labels_of& key_labels, double scale) {
    const std::size_t b = p.count;
    result out(b, p.depth);
    std::vector<double> logits(b * b), slopes(b * b);
    const auto counts = [&](std::size_t i, std::size_t j) { return i == j || query_labels[i] != key_labels[j]; };
    const auto product = [&](const std::vector<double>& x, std::size_t i, const std::vector<double>& y, std::size_t j) {
        double sum = 0.0;
        for (std::size_t d = 0; d < p.depth; ++d) sum += x[i * p.depth + d] * y[j * p.depth + d];
        return sum;
    };
    for (std::size_t i = 0; i < b; ++i) {
        for (std::size_t j = 0; j < b; ++j) {
            const double qk = product(p.q, i, p.k, j), qq = product(p.q, i, p.q, i), kk = product(p.k, j, p.k, j);
            logits[i * b + j] = (p.metric == similarity::dot ? qk : 2.0 * qk - qq - kk) / p.temperature;
        }
    }
    for (const bool across : {true, false}) {
        for (std::size_t i = 0; i < b; ++i) {
            const auto at = [&](std::size_t j) { return across ? i * b + j : j * b + i; };
            const auto inside = [&](std::size_t j) { return across ? counts(i, j) : counts(j, i); };
            double top = -HUGE_VAL, sum = 0.0;
            for (std::size_t j = 0; j < b; ++j) top = inside(j) ? std::fmax(top, logits[at(j)]) : top;
            for (std::size_t j = 0; j < b; ++j) sum += inside(j) ? std::exp(logits[at(j)] - top) : 0.0;
            const double lse = top + std::log(sum);
            (across ? out.row_lse : out.column_lse)[i] = lse;
            out.loss += 0.5 * (lse - logits[at(i)]);
            for (std::size_t j = 0; j < b; ++j) {
                if (!inside(j)) continue;
                slopes[at(j)] += 0.5 * (std::exp(logits[at(j)] - lse) - (i == j ? 1.0 : 0.0));
            }
        }
    }
    for (std::size_t i = 0; i < b; ++i) {
        for (std::size_t j = 0; j < b; ++j) {
            const double slope = scale * slopes[i * b + j] / p.temperature;
            out.temperature -= slope * logits[i * b + j];
            for (std::size_t d = 0; d < p.depth; ++d) {
                const double q = p.q[i * p.depth + d], k = p.k[j * p.depth + d];
                out.queries[i * p.depth + d] += slope * (p.metric == similarity::dot ? k : 2.0 * (k - q));
                out.keys[j * p.depth + d] += slope * (p.metric == similarity::dot ? q : 2.0 * (q - k));
            }
        }
    }
    return out;
}

void check(const result& got, const result& want, const pairs& p) {
    // Logits of normal rows of this length are below 10 / t, for distances four times that.
    const double largest = 40.0 / p.temperature, rows = static_cast<double>(p.count);
    const tolerance bound = logit_error<double>(p.depth, largest);
    CHECK_ALL_NEAR(got.row_lse, want.row_lse, bound);
    CHECK_ALL_NEAR(got.column_lse, want.column_lse, bound);
    CHECK_NEAR(got.loss, want.loss, bound.of(largest * rows));
    CHECK_ALL_NEAR(got.queries, want.queries, bound.of(largest * largest));
    CHECK_ALL_NEAR(got.keys, want.keys, bound.of(largest * largest));
    CHECK_NEAR(got.temperature, want.temperature, bound.of(largest * largest * rows));
}

TEST_CASE("clip_loss: two calls of info_nce with the sides exchanged, each with half the scale") {
    for (const std::size_t b : {1u, 7u, 97u, 205u}) {
        for (const similarity metric : {similarity::dot, similarity::cosine, similarity::squared_distance}) {
            CAPTURE(b);
            CAPTURE(static_cast<int>(metric));
            const pairs p(b, 6, 0.3, metric);
            result want(b, p.depth);
            const auto loss = clip_loss(serial, p.queries(), p.keys(), want.row_lse, want.column_lse, {0.3, metric},
                                        {.queries = view(want.queries, b, p.depth),
                                         .keys = view(want.keys, b, p.depth),
                                         .temperature = &want.temperature,
                                         .scale = 3.0});
            want.loss = loss.sum();
            check(two_calls(p, {}, {}, 3.0), want, p);
        }
    }
}

TEST_CASE("clip_loss: two calls of info_nce leave out pairs of equal labels") {
    for (const std::size_t b : {1u, 7u, 97u, 205u}) {
        for (const similarity metric : {similarity::dot, similarity::squared_distance}) {
            CAPTURE(b);
            CAPTURE(static_cast<int>(metric));
            const pairs p(b, 6, 0.3, metric);
            const auto items = random_integers<std::uint64_t>(b, b / 3 + 1, 33);
            // One label a pair, and one for each side.
            check(two_calls(p, items, items, 1.0), reference(p, items, items, 1.0), p);
            const auto others = random_integers<std::uint64_t>(b, b / 3 + 1, 34);
            check(two_calls(p, items, others, 1.0), reference(p, items, others, 1.0), p);
        }
    }
    // The labels matter.
    const pairs p(97, 6, 0.3, similarity::dot);
    const auto items = random_integers<std::uint64_t>(97, 33, 33);
    CHECK(two_calls(p, items, items, 1.0).loss < 0.999 * two_calls(p, {}, {}, 1.0).loss);
}

}  // namespace
