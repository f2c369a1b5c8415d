// Metrics of ranked lists of 100 rows with graded labels, one row in five relevant; an item is a row.
//
// State: two sums; a few kilobytes of scratch for one list. Bytes per item: a score and a label, 5.
// Operations per item: nDCG@10 a maximum in lanes and a comparison for its score, a count in lanes for each grade of its
// label, and about 5 comparisons and additions in lanes of the rows near rank 10; reciprocal rank and hit rate two
// comparisons and four additions in lanes. Beside them the plain way: a partial or whole sort of row numbers.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <vector>

#include "reckon/metrics/average_precision.hpp"
#include "reckon/metrics/hit_rate.hpp"
#include "reckon/metrics/ndcg.hpp"
#include "reckon/metrics/precision.hpp"
#include "reckon/metrics/recall.hpp"
#include "reckon/metrics/reciprocal_rank.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
using reckon::exec::serial;

constexpr std::size_t length = 100, cut = 10;

struct lists {
    buffer<float> scores;
    buffer<std::uint8_t> labels;
    std::vector<std::uint32_t> offsets;
};

// `grid` > 0 rounds the scores, for ties.
lists make_lists(std::size_t n, int grid) {
    lists out;
    out.scores = reckon::bench::make_probabilities(n);
    const auto relevant = reckon::bench::make_labels<std::uint8_t>(out.scores);
    reckon::bench::generator g(9);
    out.labels.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
        out.labels[i] = relevant[i] != 0 ? std::uint8_t(1 + std::uint8_t(4 * g.uniform())) : std::uint8_t(0);
    }
    if (grid > 0) reckon::bench::round_to_grid(out.scores, grid);
    for (std::size_t first = 0; first < n; first += length) out.offsets.push_back(std::uint32_t(first));
    out.offsets.push_back(std::uint32_t(n));
    return out;
}

// The plain loops take equal scores in the order of rows.
template <class Value>
double plain(const lists& data, std::size_t k, Value value) {
    double sum = 0, number = 0;
    std::vector<std::uint32_t> order;
    for (std::size_t s = 0; s + 1 < data.offsets.size(); ++s) {
        order.resize(data.offsets[s + 1] - data.offsets[s]);
        std::iota(order.begin(), order.end(), data.offsets[s]);
        const auto middle = order.begin() + std::ptrdiff_t((std::min)(k, order.size()));
        std::partial_sort(order.begin(), middle, order.end(), [&](auto a, auto b) {
            return data.scores[a] > data.scores[b] || (data.scores[a] == data.scores[b] && a < b);
        });
        const double v = value(order, s);
        if (v == v) sum += v, number += 1;
    }
    return sum / number;
}

double plain_ndcg(const lists& data) {
    std::vector<double> gains;
    return plain(data, cut, [&](const auto& order, std::size_t) {
        gains.clear();
        for (const auto row : order) gains.push_back(std::exp2(double(data.labels[row])) - 1);
        double dcg = 0, ideal = 0;
        for (std::size_t r = 0; r < (std::min)(cut, gains.size()); ++r) dcg += gains[r] / std::log2(double(r) + 2);
        std::partial_sort(gains.begin(), gains.begin() + std::ptrdiff_t((std::min)(cut, gains.size())), gains.end(),
                          std::greater<double>());
        for (std::size_t r = 0; r < (std::min)(cut, gains.size()); ++r) ideal += gains[r] / std::log2(double(r) + 2);
        return dcg / ideal;
    });
}
double plain_reciprocal_rank(const lists& data) {
    return plain(data, length, [&](const auto& order, std::size_t) {
        for (std::size_t r = 0; r < order.size(); ++r) {
            if (data.labels[order[r]] > 0) return 1 / double(r + 1);
        }
        return std::nan("");
    });
}
double plain_average_precision(const lists& data) {
    return plain(data, length, [&](const auto& order, std::size_t) {
        double hits = 0, sum = 0;
        for (std::size_t r = 0; r < order.size(); ++r) {
            if (data.labels[order[r]] > 0) sum += ++hits / double(r + 1);
        }
        return sum / hits;
    });
}
// Hits on the first ranks; -1 for a list without a relevant row.
template <class Value>
double plain_hits(const lists& data, Value value) {
    return plain(data, cut, [&](const auto& order, std::size_t) {
        double total = 0, hits = 0;
        for (std::size_t r = 0; r < order.size(); ++r) {
            total += data.labels[order[r]] > 0 ? 1 : 0;
            if (r < cut) hits = total;
        }
        return total > 0 ? value(hits, total) : std::nan("");
    });
}
double plain_hit_rate(const lists& data) {
    return plain_hits(data, [](double hits, double) { return hits > 0 ? 1.0 : 0.0; });
}
double plain_recall(const lists& data) {
    return plain_hits(data, [](double hits, double total) { return hits / total; });
}

constexpr auto by_rows = reckon::tie_rule::first;
double ours_ndcg(const lists& d, reckon::tie_rule ties) {
    return reckon::ndcg(serial, d.scores, d.labels, d.offsets, {.k = cut, .ties = ties}).finish();
}
double ours_reciprocal_rank(const lists& d, reckon::tie_rule ties) {
    return reckon::reciprocal_rank(serial, d.scores, d.labels, d.offsets, {.ties = ties}).finish();
}
double ours_hit_rate(const lists& d, reckon::tie_rule ties) {
    return reckon::hit_rate(serial, d.scores, d.labels, d.offsets, {.k = cut, .ties = ties}).finish();
}
double ours_recall(const lists& d, reckon::tie_rule ties) {
    return reckon::recall(serial, d.scores, d.labels, d.offsets, {.k = cut, .ties = ties}).finish();
}
double ours_average_precision(const lists& d, reckon::tie_rule ties) {
    return reckon::average_precision(serial, d.scores, d.labels, d.offsets, {.ties = ties}).finish();
}

// The rule for ties that the plain loop has is for the gate; what is timed is the default.
template <int Grid, class Run, class Plain>
void measure(benchmark::State& state, Run run, Plain plain_form, bool time_plain = false) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, [](std::size_t m) { return make_lists(m, Grid); });
    if (!reckon::bench::gate(state, std::fabs(run(data, by_rows) - plain_form(data)), 1e-12)) return;
    if (time_plain) {
        for (auto _ : state) benchmark::DoNotOptimize(plain_form(data));
    } else {
        for (auto _ : state) benchmark::DoNotOptimize(run(data, reckon::tie_rule::expected));
    }
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 5}, n * 5);
}

#define LISTS_BENCHMARKS(name)                                    \
    void name##_distinct(benchmark::State& state) {               \
        measure<0>(state, ours_##name, plain_##name);             \
    }                                                             \
    void name##_ties(benchmark::State& state) {                   \
        measure<64>(state, ours_##name, plain_##name);            \
    }                                                             \
    void plain_##name##_distinct(benchmark::State& state) {       \
        measure<0>(state, ours_##name, plain_##name, true);       \
    }                                                             \
    BENCHMARK(name##_distinct)->Apply(reckon::bench::with_sizes); \
    BENCHMARK(name##_ties)->Apply(reckon::bench::with_sizes);     \
    BENCHMARK(plain_##name##_distinct)->Apply(reckon::bench::with_sizes)

LISTS_BENCHMARKS(ndcg);
LISTS_BENCHMARKS(reciprocal_rank);
LISTS_BENCHMARKS(hit_rate);
LISTS_BENCHMARKS(recall);
LISTS_BENCHMARKS(average_precision);

}  // namespace
