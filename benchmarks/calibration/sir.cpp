// Smoothed isotonic regression: the fit and the map.
//
// State: 24 bytes a bin and part; 512 KiB of counters for the cuts.
// Operations per example: the fit reads every score three times and searches its bin (log2(bins) comparisons); the map
// searches a segment and makes one multiply-add. Beside the fit a sort of the rows and means of equal slices with PAVA on
// them, beside the map std::upper_bound.
#include "reckon/calibration/sir.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
namespace exec = reckon::exec;

constexpr std::size_t bins = 100;

struct columns {
    buffer<float> scores, out;
    buffer<std::uint8_t> labels;
};
columns make_columns(std::size_t n) {
    columns c;
    c.scores = reckon::bench::make_probabilities(n);
    c.out.resize(n);
    c.labels = reckon::bench::make_labels<std::uint8_t>(c.scores);
    return c;
}

struct polygon {
    std::vector<double> x, y;
    double at(double p) const {
        const auto k = std::clamp<std::ptrdiff_t>(std::upper_bound(x.begin(), x.end(), p) - x.begin(), 1,
                                                  std::ptrdiff_t(x.size()) - 1);
        const auto i = std::size_t(k);
        return y[i - 1] + (p - x[i - 1]) * (y[i] - y[i - 1]) / (x[i] - x[i - 1]);
    }
};

polygon plain_fit(const columns& c) {
    const std::size_t n = c.scores.size();
    std::vector<std::uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return c.scores[a] < c.scores[b]; });
    std::vector<double> x, y, w;
    for (std::size_t b = 0; b < bins; ++b) {
        double p = 0, k = 0;
        const std::size_t first = b * n / bins, last = (b + 1) * n / bins;
        for (std::size_t i = first; i < last; ++i) {
            p += double(c.scores[order[i]]);
            k += double(c.labels[order[i]]);
        }
        x.push_back(p / double(last - first));
        y.push_back(k / double(last - first));
        w.push_back(double(last - first));
    }
    // PAVA by repeated passes: there are only a hundred bins.
    struct block {
        double sum, weight;
        std::size_t size;
    };
    std::vector<block> blocks;
    for (std::size_t b = 0; b < bins; ++b) {
        blocks.push_back({y[b] * w[b], w[b], 1});
        while (blocks.size() > 1 && blocks[blocks.size() - 2].sum * blocks.back().weight >=
                                        blocks.back().sum * blocks[blocks.size() - 2].weight) {
            const block last = blocks.back();
            blocks.pop_back();
            blocks.back() = {blocks.back().sum + last.sum, blocks.back().weight + last.weight,
                             blocks.back().size + last.size};
        }
    }
    polygon out{{0}, {0}};
    std::size_t at = 0;
    for (const block& b : blocks) {
        for (std::size_t k = 0; k < b.size; ++k) {
            out.x.push_back(x[at++]);
            out.y.push_back(b.sum / b.weight);
        }
    }
    out.x.push_back(1);
    out.y.push_back(1);
    return out;
}

// Largest difference over a grid between the fitted curve and the plain one.
template <class Curve>
double error_of(const Curve& curve, const polygon& want) {
    double error = 0;
    for (int k = 0; k <= 1000; ++k) error = std::fmax(error, std::fabs(curve(k / 1000.0) - want.at(k / 1000.0)));
    return error;
}

void sir_fit(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    const auto& want = reckon::bench::cached(n, [&](std::size_t) { return plain_fit(data); });
    const auto fitted = reckon::sir::fit(exec::serial, data.scores, data.labels);
    // Cuts fall on scores here and on ranks there: bins differ by a few rows.
    if (!reckon::bench::gate(state, error_of(fitted, want), 0.02)) return;
    for (auto _ : state) benchmark::DoNotOptimize(reckon::sir::fit(exec::serial, data.scores, data.labels));
    reckon::bench::report(state, n, {.flops = 3, .bytes_read = 3 * 5}, n * 5);
}
void plain_sir_fit(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    for (auto _ : state) benchmark::DoNotOptimize(plain_fit(data).y.data());
    reckon::bench::report(state, n, {.flops = 3, .bytes_read = 3 * 5}, n * 5);
}
void sir_apply(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    auto data = make_columns(n);
    const auto fitted = reckon::sir::fit(exec::serial, data.scores, data.labels);
    const polygon same{fitted.knot_scores(), fitted.knot_values()};
    if (!reckon::bench::gate(state, error_of(fitted, same), 1e-12)) return;
    for (auto _ : state) {
        fitted.apply(exec::serial, data.scores, data.out);
        benchmark::ClobberMemory();
    }
    reckon::bench::report(state, n, {.flops = 3, .bytes_read = 4, .bytes_written = 4}, n * 8);
}
void plain_sir_apply(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    auto data = make_columns(n);
    const auto fitted = reckon::sir::fit(exec::serial, data.scores, data.labels);
    const polygon same{fitted.knot_scores(), fitted.knot_values()};
    for (auto _ : state) {
        for (std::size_t i = 0; i < n; ++i) data.out[i] = float(same.at(double(data.scores[i])));
        benchmark::ClobberMemory();
    }
    reckon::bench::report(state, n, {.flops = 3, .bytes_read = 4, .bytes_written = 4}, n * 8);
}

BENCHMARK(sir_fit)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_sir_fit)->Apply(reckon::bench::with_sizes);
BENCHMARK(sir_apply)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_sir_apply)->Apply(reckon::bench::with_sizes);

}  // namespace
