// Isotonic regression: PAVA on ordered labels, the fit from unordered scores, and prediction.
//
// State: 32 bytes a block; the fit adds 4 bytes a row for the items that are partitioned and sorted in cache.
// Operations per example: PAVA of 0/1 bytes reads one byte and writes one float; of weighted floats reads 8 bytes, two
// multiplications per comparison. The fit reads a score three times and a label twice, and moves one item three times.
// Beside them the textbook loop with divisions, and std::sort in front of it for the fit.
#include "reckon/calibration/isotonic.hpp"

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

// The textbook stack of block means.
template <class Label>
void plain_pava(const buffer<Label>& y, const buffer<float>& w, buffer<float>& fitted) {
    struct block {
        double mean, weight;
        std::size_t end;
    };
    std::vector<block> stack;
    for (std::size_t i = 0; i < y.size(); ++i) {
        block next{double(y[i]), w.empty() ? 1.0 : double(w[i]), i + 1};
        while (!stack.empty() && stack.back().mean >= next.mean) {
            const double weight = stack.back().weight + next.weight;
            next.mean = (stack.back().mean * stack.back().weight + next.mean * next.weight) / weight;
            next.weight = weight;
            stack.pop_back();
        }
        stack.push_back(next);
    }
    std::size_t i = 0;
    for (const block& b : stack) {
        for (; i < b.end; ++i) fitted[i] = float(b.mean);
    }
}

// Labels in score order.
template <class Label>
buffer<Label> ordered_labels(std::size_t n) {
    auto p = reckon::bench::make_probabilities(n);
    std::sort(p.begin(), p.end());
    return reckon::bench::make_labels<Label>(p);
}
buffer<float> noisy_trend(std::size_t n) {
    reckon::bench::generator g(7);
    buffer<float> y(n);
    for (std::size_t i = 0; i < n; ++i) y[i] = float(double(i) / double(n) + 0.3 * g.normal());
    return y;
}

template <class Label, bool Weighted, bool Plain>
void pava(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& y = reckon::bench::cached(n, [](std::size_t k) {
        if constexpr (std::is_same_v<Label, float>) {
            return noisy_trend(k);
        } else {
            return ordered_labels<Label>(k);
        }
    });
    const auto& w = reckon::bench::cached(
        n, [](std::size_t k) { return Weighted ? reckon::bench::make_weights(k) : buffer<float>(0); });
    buffer<float> want(n), fitted(n);
    plain_pava(y, w, want);
    const auto run = [&] {
        if constexpr (Plain) {
            plain_pava(y, w, fitted);
        } else if constexpr (Weighted) {
            reckon::isotonic_regression(y, fitted, w);
        } else {
            reckon::isotonic_regression(y, fitted);
        }
    };
    run();
    if (!reckon::bench::gate(state, reckon::bench::relative_error(fitted, want), 1e-6)) return;
    for (auto _ : state) {
        run();
        benchmark::DoNotOptimize(fitted.data());
    }
    const double bytes = sizeof(Label) + (Weighted ? 4.0 : 0.0);
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = bytes, .bytes_written = 4},
                          std::size_t(double(n) * (bytes + 4)));
}

BENCHMARK(pava<std::uint8_t, false, false>)->Name("pava_labels")->Apply(reckon::bench::with_sizes);
BENCHMARK(pava<float, true, false>)->Name("pava_weighted")->Apply(reckon::bench::with_sizes);
BENCHMARK(pava<std::uint8_t, false, true>)->Name("plain_pava_labels")->Apply(reckon::bench::with_sizes);
BENCHMARK(pava<float, true, true>)->Name("plain_pava_weighted")->Apply(reckon::bench::with_sizes);

template <int Grid>
struct log_of_scores {
    buffer<float> p;
    buffer<std::uint8_t> y;
};
template <int Grid>
const log_of_scores<Grid>& scores_and_labels(std::size_t n) {
    return reckon::bench::cached(n, [](std::size_t k) {
        auto p = reckon::bench::make_probabilities(k);
        if (Grid > 0) reckon::bench::round_to_grid(p, Grid);
        auto y = reckon::bench::make_labels<std::uint8_t>(p);
        return log_of_scores<Grid>{std::move(p), std::move(y)};
    });
}

// Sort the rows, pool equal scores by their order, run PAVA: the fitted value at the highest score.
template <int Grid>
double plain_fit(const log_of_scores<Grid>& data) {
    std::vector<std::uint32_t> order(data.p.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
        return data.p[a] < data.p[b] || (data.p[a] == data.p[b] && data.y[a] > data.y[b]);
    });
    buffer<std::uint8_t> y(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) y[i] = data.y[order[i]];
    buffer<float> fitted(order.size());
    plain_pava(y, buffer<float>(0), fitted);
    return fitted.size() > 0 ? double(fitted[fitted.size() / 2]) : 0.0;
}

template <int Grid>
void fit(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = scores_and_labels<Grid>(n);
    auto sorted = data.p;
    std::sort(sorted.begin(), sorted.end());
    const auto model = reckon::isotonic::fit(exec::serial, data.p, data.y);
    if (!reckon::bench::gate(state, std::fabs(double(model(sorted[n / 2])) - plain_fit(data)), 1e-6)) return;
    for (auto _ : state) {
        benchmark::DoNotOptimize(reckon::isotonic::fit(exec::serial, data.p, data.y).knot_scores().data());
    }
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 3 * 4 + 2 + 8, .bytes_written = 12}, n * 9);
}
template <int Grid>
void plain(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = scores_and_labels<Grid>(n);
    for (auto _ : state) benchmark::DoNotOptimize(plain_fit(data));
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 5, .bytes_written = 4}, n * 9);
}

BENCHMARK(fit<0>)->Name("isotonic_fit_distinct")->Apply(reckon::bench::with_sizes);
BENCHMARK(fit<1000>)->Name("isotonic_fit_ties")->Apply(reckon::bench::with_sizes);
BENCHMARK(plain<0>)->Name("plain_fit_distinct")->Apply(reckon::bench::with_sizes);

void predict(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = scores_and_labels<0>(n);
    const auto model = reckon::isotonic::fit(exec::serial, data.p, data.y);
    const auto& x = model.knot_scores();
    const auto& level = model.knot_levels();
    buffer<float> out(n), want(n);
    for (std::size_t i = 0; i < n; ++i) {
        const auto above = std::upper_bound(x.begin(), x.end(), double(data.p[i]));
        const auto k = std::clamp<std::ptrdiff_t>(above - x.begin(), 1, std::ptrdiff_t(x.size()) - 1);
        const auto j = std::size_t(k);
        const double t = (double(data.p[i]) - x[j - 1]) / (x[j] - x[j - 1]);
        want[i] = float(level[j - 1] + t * (level[j] - level[j - 1]));
    }
    model.apply(exec::serial, data.p, out);
    if (!reckon::bench::gate(state, reckon::bench::relative_error(out, want), 1e-6)) return;
    for (auto _ : state) {
        model.apply(exec::serial, data.p, out);
        benchmark::DoNotOptimize(out.data());
    }
    reckon::bench::report(state, n, {.flops = 3, .bytes_read = 4, .bytes_written = 4}, n * 8);
}
BENCHMARK(predict)->Name("isotonic_predict")->Apply(reckon::bench::with_sizes);

}  // namespace
