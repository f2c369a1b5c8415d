// Platt scaling: the fit from log-odds and from probabilities, one Newton pass, and the map.
//
// State: 5 sums in double a part; the fit of probabilities adds 4 bytes a row for their log-odds.
// Operations per example: one pass reads 8 bytes and makes one exponential, one division and about 30 other lane
// operations; a fit makes one cheap pass and two or three of these. Beside it Newton's method as the textbook has it,
// row by row with the C library's exp in double, from the same start to the same end.
#include "reckon/calibration/platt.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cmath>
#include <cstddef>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
namespace exec = reckon::exec;

// About 40 operations a row and pass; what a fit reads is counted for three Newton passes and the first look.
constexpr reckon::bench::item_cost pass_cost{.flops = 40, .bytes_read = 8};
constexpr reckon::bench::item_cost fit_cost{.flops = 3 * 40 + 12, .bytes_read = 4 * 8};

struct columns {
    buffer<float> logits, scores, labels;
};
// Scores that are off by a slope and an intercept.
columns make_columns(std::size_t n) {
    columns c;
    c.logits = reckon::bench::make_logits(n);
    buffer<float> truth(n);
    c.scores.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
        const double z = double(c.logits[i]);
        c.scores[i] = float(1 / (1 + std::exp(-z)));
        truth[i] = float(1 / (1 + std::exp(-(0.8 * z + 0.3))));
    }
    c.labels = reckon::bench::make_labels(truth);
    return c;
}

std::array<double, 2> plain_platt(const buffer<float>& f, const buffer<float>& y) {
    double positive = 0;
    for (const float label : y) positive += double(label);
    const double n = double(f.size()), high = (positive + 1) / (positive + 2), low = 1 / (n - positive + 2);
    double a = 0, b = std::log((positive + 1) / (n - positive + 1));
    for (int pass = 0; pass < 100; ++pass) {
        double ga = 0, gb = 0, haa = 0, hab = 0, hbb = 0;
        for (std::size_t i = 0; i < f.size(); ++i) {
            const double x = double(f[i]), p = 1 / (1 + std::exp(-(a * x + b)));
            const double r = p - (y[i] > 0 ? high : low), h = p * (1 - p);
            ga += r * x;
            gb += r;
            haa += h * x * x;
            hab += h * x;
            hbb += h;
        }
        if (std::fabs(ga) < 1e-5 && std::fabs(gb) < 1e-5) break;
        const double det = haa * hbb - hab * hab;
        a -= (hbb * ga - hab * gb) / det;
        b -= (haa * gb - hab * ga) / det;
    }
    return {a, b};
}

template <class Run>
void measure_fit(benchmark::State& state, Run run) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    const auto want = reckon::bench::cached(n, [&](std::size_t) { return plain_platt(data.logits, data.labels); });
    if (!reckon::bench::gate(state, reckon::bench::relative_error(run(data), want), 1e-5)) return;
    for (auto _ : state) benchmark::DoNotOptimize(run(data));
    reckon::bench::report(state, n, fit_cost, n * 8);
}

void platt_fit_logits(benchmark::State& state) {
    measure_fit(state, [](const columns& data) {
        const auto c =
            reckon::platt::fit(exec::serial, data.logits, data.labels, {}, {.input = reckon::score_kind::logit});
        return std::array{c.slope(), c.intercept()};
    });
}
void platt_fit_probabilities(benchmark::State& state) {
    measure_fit(state, [](const columns& data) {
        const auto c = reckon::platt::fit(exec::serial, data.scores, data.labels);
        return std::array{c.slope(), c.intercept()};
    });
}
void plain_platt_fit_logits(benchmark::State& state) {
    measure_fit(state, [](const columns& data) { return plain_platt(data.logits, data.labels); });
}

void platt_newton_pass(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    const auto rows = reckon::make_scored("benchmark", data.logits, data.labels);
    reckon::detail::newton_sums<reckon::detail::affine_features> identity;
    identity.model.features = {0.1, 0.2};
    identity.model.theta = {8.0, -1.0};
    const auto sums = exec::fold_parts(exec::serial, identity, rows);
    double want = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double x = 0.1 * double(data.logits[i]) + 0.2;
        want += 1 / (1 + std::exp(1.0 - 8.0 * x)) - double(data.labels[i]);
    }
    if (!reckon::bench::gate(state, std::fabs(sums.gradient[1] - want) / double(n), 1e-6)) return;
    for (auto _ : state) benchmark::DoNotOptimize(exec::fold_parts(exec::serial, identity, rows));
    reckon::bench::report(state, n, pass_cost, n * 8);
}

void platt_apply(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    buffer<float> out(n), want(n);
    const reckon::platt c(0.8, 0.3);
    c.apply(exec::serial, data.scores, out);
    for (std::size_t i = 0; i < n; ++i) {
        const double p = double(data.scores[i]);
        want[i] = float(1 / (1 + std::exp(-(0.8 * (std::log(p) - std::log1p(-p)) + 0.3))));
    }
    if (!reckon::bench::gate(state, reckon::bench::relative_error(out, want), 1e-5)) return;
    for (auto _ : state) {
        c.apply(exec::serial, data.scores, out);
        benchmark::ClobberMemory();
    }
    reckon::bench::report(state, n, {.flops = 70, .bytes_read = 4, .bytes_written = 4}, n * 8);
}

BENCHMARK(platt_fit_logits)->Apply(reckon::bench::with_sizes);
BENCHMARK(platt_fit_probabilities)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_platt_fit_logits)->Apply(reckon::bench::with_sizes);
BENCHMARK(platt_newton_pass)->Apply(reckon::bench::with_sizes);
BENCHMARK(platt_apply)->Apply(reckon::bench::with_sizes);

}  // namespace
