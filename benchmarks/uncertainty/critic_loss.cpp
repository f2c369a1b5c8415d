// Critic losses with their gradient, float.
//
// State: one sum. Per item 12 bytes read and 4 written; qlike makes one exponential (about 20 flops) and 10 other lane
// operations, no division. Beside it the plain loop over the C library's exp in double.
#include "reckon/uncertainty/critic_loss.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using bench::buffer;

constexpr bench::item_cost cost{.flops = 30, .bytes_read = 12, .bytes_written = 4};

struct columns {
    buffer<float> outputs, errors;
};
const columns& rows(std::size_t n) {
    return bench::cached(n, [](std::size_t m) {
        columns c{bench::make_logits(m, 1), bench::make_logits(m, 2)};
        for (float& e : c.errors) e = std::exp(e);
        return c;
    });
}

double plain_qlike(const columns& data, buffer<float>& gradient) {
    double sum = 0;
    for (std::size_t i = 0; i < data.outputs.size(); ++i) {
        const double a = double(data.outputs[i]), ratio = double(data.errors[i]) * std::exp(-a);
        sum += ratio + a;
        gradient[i] += float(1 - ratio);
    }
    return sum;
}

template <class Loss>
void run(benchmark::State& state, double allowed, Loss loss) {
    const auto n = std::size_t(state.range(0));
    const columns& data = rows(n);
    buffer<float> gradient(n), other(n);
    for (std::size_t i = 0; i < n; ++i) gradient[i] = other[i] = 0;
    const double want = plain_qlike(data, other);
    double scale = 0;  // terms have both signs
    for (const float a : data.outputs) scale += std::fabs(double(a));
    double error = std::fabs(loss(data, gradient) - want) / scale;
    for (std::size_t i = 0; i < n; ++i) {
        error = std::fmax(error, std::fabs(double(gradient[i] - other[i])) / (1 + std::fabs(double(other[i]))));
    }
    if (!bench::gate(state, error, allowed)) return;
    for (auto _ : state) benchmark::DoNotOptimize(loss(data, gradient));
    bench::report(state, n, cost, 16 * n);
}

void reckon_qlike(benchmark::State& state) {
    run(state, 2e-6, [](const columns& data, buffer<float>& gradient) {
        return reckon::critic_loss(reckon::exec::serial, data.outputs, data.errors, {}, {}, gradient).sum();
    });
}
void plain_loop(benchmark::State& state) {
    run(state, 1e-12, [](const columns& data, buffer<float>& gradient) { return plain_qlike(data, gradient); });
}

BENCHMARK(reckon_qlike)->Apply(bench::with_sizes)->Apply(bench::repeated);
BENCHMARK(plain_loop)->Apply(bench::with_sizes)->Apply(bench::repeated);

}  // namespace
