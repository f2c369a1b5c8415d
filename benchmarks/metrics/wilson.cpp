// Wilson score intervals of many proportions.
//
// No state. Per interval: 8 bytes read, 8 written, one square root, four divisions, about ten more operations. Beside
// it the textbook form centre -+ half in a plain loop.
#include "reckon/metrics/wilson.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;

struct proportions {
    buffer<float> successes, trials;
};

proportions make_proportions(std::size_t n) {
    proportions r{buffer<float>(n), reckon::bench::make_probabilities(n)};
    for (std::size_t i = 0; i < n; ++i) {
        const float rate = r.trials[i];
        r.trials[i] = float(1 + i % 5000);
        r.successes[i] = std::floor(rate * r.trials[i]);
    }
    return r;
}

void plain_wilson(const proportions& in, buffer<float>& lower, buffer<float>& upper) {
    const auto z = float(reckon::z_95);
    for (std::size_t i = 0; i < lower.size(); ++i) {
        const float n = in.trials[i], y = in.successes[i] / n, den = 1 + z * z / n;
        const float centre = (y + z * z / (2 * n)) / den;
        const float half = z / den * std::sqrt(y * (1 - y) / n + z * z / (4 * n * n));
        lower[i] = centre - half;
        upper[i] = centre + half;
    }
}

template <class Body>
void measure(benchmark::State& state, Body&& body) {
    const auto n = std::size_t(state.range(0));
    const auto& in = reckon::bench::cached(n, make_proportions);
    buffer<float> lower(n), upper(n);
    body(in, lower, upper);
    double error = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const auto exact = reckon::wilson(double(in.successes[i]), double(in.trials[i]));
        error =
            (std::max)({error, std::fabs(double(lower[i]) - exact.lower), std::fabs(double(upper[i]) - exact.upper)});
    }
    if (!reckon::bench::gate(state, error, 1e-6)) return;
    for (auto _ : state) {
        body(in, lower, upper);
        benchmark::DoNotOptimize(lower.data());
        benchmark::ClobberMemory();
    }
    reckon::bench::report(state, n, {30, 8, 8}, 16 * n);
}

void wilson_float(benchmark::State& state) {
    measure(state, [](const proportions& in, buffer<float>& lower, buffer<float>& upper) {
        reckon::wilson(reckon::exec::serial, in.successes, in.trials, lower, upper);
    });
}
BENCHMARK(wilson_float)->Apply(reckon::bench::with_sizes);

void wilson_plain_loop(benchmark::State& state) {
    measure(state, plain_wilson);
}
BENCHMARK(wilson_plain_loop)->Apply(reckon::bench::with_sizes);

}  // namespace
