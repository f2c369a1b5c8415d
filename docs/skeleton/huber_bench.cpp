// Huber loss of floats, against the plain loop.
//
// State: one sum. Per item 8 bytes read; 5 flops: difference, product, comparison, choice, sum.
#include "huber.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;

struct columns {
    bench::buffer<float> scores, targets;
};
const columns& rows(std::size_t n) {
    return bench::cached(n, [](std::size_t m) { return columns{bench::make_logits(m, 1), bench::make_logits(m, 2)}; });
}

template <class Loss>
void run(benchmark::State& state, double allowed, Loss loss) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const columns& data = rows(n);
    double want = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
        const double r = std::fabs(static_cast<double>(data.scores[i]) - static_cast<double>(data.targets[i]));
        want += r < 1.0 ? 0.5 * r * r : r - 0.5;
    }
    if (!bench::gate(state, std::fabs(loss(data) / want - 1.0), allowed)) return;
    for (auto _ : state) benchmark::DoNotOptimize(loss(data));
    bench::report(state, n, {.flops = 5, .bytes_read = 8}, 8 * n);
}

void reckon_huber(benchmark::State& state) {
    run(state, 2e-6,
        [](const columns& data) { return reckon::huber_loss(reckon::exec::serial, data.scores, data.targets).sum(); });
}
void plain_loop(benchmark::State& state) {
    run(state, 1e-9, [](const columns& data) {
        double sum = 0.0;
        for (std::size_t i = 0; i < data.scores.size(); ++i) {
            const double r = std::fabs(static_cast<double>(data.scores[i] - data.targets[i]));
            sum += r < 1.0 ? 0.5 * r * r : r - 0.5;
        }
        return sum;
    });
}

BENCHMARK(reckon_huber)->Apply(bench::with_sizes)->Apply(bench::repeated);
BENCHMARK(plain_loop)->Apply(bench::with_sizes)->Apply(bench::repeated);

}  // namespace
