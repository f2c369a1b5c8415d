// Soft cross-entropy of floats with its gradient, weighted.
//
// State: one sum. Per item 16 bytes read and 4 written; one exponential (about 20 flops), one polynomial logarithm, two divisions.
// Beside it the plain loop over the C library's exp and log1p in double.
#include "reckon/percentile/soft_bce.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using bench::buffer;

constexpr bench::item_cost cost{.flops = 50, .bytes_read = 16, .bytes_written = 4};

struct columns {
    buffer<float> logits, labels, weights;
};
const columns& rows(std::size_t n) {
    return bench::cached(n, [](std::size_t m) {
        return columns{bench::make_logits(m, 1), bench::make_probabilities(m, 2), bench::make_weights(m)};
    });
}

double plain(const columns& data, buffer<float>& gradient) {
    double sum = 0;
    for (std::size_t i = 0; i < data.logits.size(); ++i) {
        const double z = double(data.logits[i]), c = double(data.labels[i]), w = double(data.weights[i]);
        const double t = std::exp(-std::fabs(z));
        sum += w * (std::fmax(z, 0.0) + std::log1p(t) - c * z);
        gradient[i] += float(w * ((z < 0 ? t : 1.0) / (1.0 + t) - c));
    }
    return sum;
}

template <class Loss>
void run(benchmark::State& state, double allowed, Loss loss) {
    const auto n = std::size_t(state.range(0));
    const columns& data = rows(n);
    buffer<float> gradient(n), other(n);
    for (std::size_t i = 0; i < n; ++i) gradient[i] = other[i] = 0;
    double error = std::fabs(loss(data, gradient) / plain(data, other) - 1);
    for (std::size_t i = 0; i < n; ++i) error = std::fmax(error, std::fabs(double(gradient[i] - other[i])));
    if (!bench::gate(state, error, allowed)) return;
    for (auto _ : state) benchmark::DoNotOptimize(loss(data, gradient));
    bench::report(state, n, cost, 20 * n);
}

void reckon_soft_bce(benchmark::State& state) {
    run(state, 2e-6, [](const columns& data, buffer<float>& gradient) {
        return reckon::soft_bce(reckon::exec::serial, data.logits, data.labels, data.weights, gradient).sum();
    });
}
void plain_loop(benchmark::State& state) {
    run(state, 1e-12, plain);
}

BENCHMARK(reckon_soft_bce)->Apply(bench::with_sizes)->Apply(bench::repeated);
BENCHMARK(plain_loop)->Apply(bench::with_sizes)->Apply(bench::repeated);

}  // namespace
