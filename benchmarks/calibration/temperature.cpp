// Temperature scaling: the fit from log-odds and from probabilities.
//
// State: 2 sums in double a part; the fit of probabilities adds 4 bytes a row for their log-odds.
// Operations per example: one pass reads 8 bytes and makes one exponential, one division and about 25 other lane
// operations; a fit makes one cheap pass and two or three of these. Beside it Newton's method as the textbook has it,
// row by row with the C library's exp in double.
#include "reckon/calibration/temperature.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
namespace exec = reckon::exec;

constexpr reckon::bench::item_cost fit_cost{.flops = 3 * 35 + 12, .bytes_read = 4 * 8};

struct columns {
    buffer<float> logits, scores, labels;
};
// Scores that are too extreme: the temperature is about 1.25.
columns make_columns(std::size_t n) {
    columns c;
    c.logits = reckon::bench::make_logits(n);
    buffer<float> truth(n);
    c.scores.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
        const double z = double(c.logits[i]);
        c.scores[i] = float(1 / (1 + std::exp(-z)));
        truth[i] = float(1 / (1 + std::exp(-0.8 * z)));
    }
    c.labels = reckon::bench::make_labels(truth);
    return c;
}

double plain_temperature(const buffer<float>& f, const buffer<float>& y) {
    double beta = 1;
    for (int pass = 0; pass < 100; ++pass) {
        double gradient = 0, curvature = 0;
        for (std::size_t i = 0; i < f.size(); ++i) {
            const double z = double(f[i]), p = 1 / (1 + std::exp(-beta * z));
            gradient += (p - double(y[i])) * z;
            curvature += p * (1 - p) * z * z;
        }
        const double step = gradient / curvature;
        beta -= step;
        if (std::fabs(step) < 1e-9) break;
    }
    return beta;
}

template <class Run>
void measure(benchmark::State& state, Run run) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    const double want =
        reckon::bench::cached(n, [&](std::size_t) { return plain_temperature(data.logits, data.labels); });
    if (!reckon::bench::gate(state, std::fabs(run(data) - want), 1e-5)) return;
    for (auto _ : state) benchmark::DoNotOptimize(run(data));
    reckon::bench::report(state, n, fit_cost, n * 8);
}

void temperature_fit_logits(benchmark::State& state) {
    measure(state, [](const columns& data) {
        return reckon::temperature::fit(exec::serial, data.logits, data.labels, {},
                                        {.input = reckon::score_kind::logit})
            .beta();
    });
}
void temperature_fit_probabilities(benchmark::State& state) {
    measure(state, [](const columns& data) {
        return reckon::temperature::fit(exec::serial, data.scores, data.labels).beta();
    });
}
void plain_temperature_fit_logits(benchmark::State& state) {
    measure(state, [](const columns& data) { return plain_temperature(data.logits, data.labels); });
}

BENCHMARK(temperature_fit_logits)->Apply(reckon::bench::with_sizes);
BENCHMARK(temperature_fit_probabilities)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_temperature_fit_logits)->Apply(reckon::bench::with_sizes);

}  // namespace
