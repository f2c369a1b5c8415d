// InfoNCE, sampled softmax and the symmetric loss of unit rows, forward and with both gradients, beside the plain loop.
//
// State: one sum per row. Per item (a pair of query and key) forward 2 D flops and one power, 12 flops; with gradients three
// (InfoNCE) or four (symmetric, whose forward pass goes first) times the products and one or two powers. Panels stay in the caches.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "reckon/exec/pool.hpp"
#include "support/contrastive.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using bench::batch;
using bench::temperature;

// The definition; its logits are of moderate size, so no maximum is taken.
double plain_loop(batch& b) {
    double loss = 0.0;
    for (std::size_t i = 0; i < b.n; ++i) {
        double sum = 0.0, own = 0.0;
        for (std::size_t j = 0; j < b.n; ++j) {
            float dot = 0.0f;
            for (std::size_t c = 0; c < b.depth; ++c) dot += b.q[i * b.depth + c] * b.k[j * b.depth + c];
            const float logit = dot / static_cast<float>(temperature);
            sum += static_cast<double>(std::exp(logit));
            if (i == j) own = static_cast<double>(logit);
        }
        loss += std::log(sum) - own;
    }
    return loss;
}
template <class Loss>
void run(benchmark::State& state, Loss&& loss, double products, double powers, bench::kind which, bool writes) {
    batch b(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)));
    loss(b);
    if (!bench::gate(state, writes ? bench::error_of(b, which) : std::fabs(loss(b) / bench::info_nce(b) - 1.0), 1e-5))
        return;
    for (auto _ : state) benchmark::DoNotOptimize(loss(b));
    bench::report(state, b.n * b.n, {.flops = products * 2.0 * static_cast<double>(b.depth) + 12.0 * powers},
                  96 * b.depth * sizeof(float));
}
void reckon_info_nce(benchmark::State& state) {
    run(
        state, [](batch& b) { return bench::info_nce(b); }, 1, 1, bench::kind::plain, true);
}
void reckon_info_nce_gradients(benchmark::State& state) {
    run(
        state, [](batch& b) { return bench::info_nce_gradients(b); }, 3, 1, bench::kind::plain, true);
}
void reckon_sampled_softmax(benchmark::State& state) {
    run(
        state, [](batch& b) { return bench::sampled_softmax(b); }, 1, 1, bench::kind::sampled, true);
}
void reckon_sampled_softmax_gradients(benchmark::State& state) {
    run(
        state, [](batch& b) { return bench::sampled_softmax_gradients(b); }, 3, 1, bench::kind::sampled, true);
}
void reckon_clip(benchmark::State& state) {
    run(
        state, [](batch& b) { return bench::clip(b); }, 1, 1, bench::kind::symmetric, true);
}
void reckon_clip_gradients(benchmark::State& state) {
    run(
        state, [](batch& b) { return bench::clip_gradients(b); }, 4, 2, bench::kind::symmetric, true);
}
// Two threads: wall time.
auto two_threads() {
    static reckon::exec::pool threads(2);
    return reckon::exec::host(threads);
}
void two_threads_info_nce(benchmark::State& state) {
    run(
        state, [](batch& b) { return bench::info_nce(b, two_threads()); }, 1, 1, bench::kind::plain, true);
}
void two_threads_info_nce_gradients(benchmark::State& state) {
    run(
        state, [](batch& b) { return bench::info_nce_gradients(b, two_threads()); }, 3, 1, bench::kind::plain, true);
}
void two_threads_clip(benchmark::State& state) {
    run(
        state, [](batch& b) { return bench::clip(b, two_threads()); }, 1, 1, bench::kind::symmetric, true);
}
void two_threads_clip_gradients(benchmark::State& state) {
    run(
        state, [](batch& b) { return bench::clip_gradients(b, two_threads()); }, 4, 2, bench::kind::symmetric, true);
}
void plain_info_nce(benchmark::State& state) {
    run(state, plain_loop, 1, 1, bench::kind::plain, false);
}

void shapes(benchmark::internal::Benchmark* b) {
    b->ArgNames({"n", "d"});
    if (bench::smoke()) {
        b->Args({1021, 32});
        return;
    }
    for (const std::int64_t depth : {32, 64, 128, 256, 768}) b->Args({1024, depth});
    for (const std::int64_t n : {1021, 4096, 16384}) b->Args({n, 128});
}
void shapes_of_threads(benchmark::internal::Benchmark* b) {
    bench::threaded(b);
    b->ArgNames({"n", "d"})->Args({bench::smoke() ? 1021 : 4096, 128});
    if (!bench::smoke()) b->Args({16384, 128});
}
BENCHMARK(reckon_info_nce)->Apply(shapes);
BENCHMARK(reckon_info_nce_gradients)->Apply(shapes);
BENCHMARK(reckon_sampled_softmax)->Apply(shapes);
BENCHMARK(reckon_sampled_softmax_gradients)->Apply(shapes);
BENCHMARK(reckon_clip)->Apply(shapes);
BENCHMARK(reckon_clip_gradients)->Apply(shapes);
BENCHMARK(two_threads_info_nce)->Apply(shapes_of_threads);
BENCHMARK(two_threads_info_nce_gradients)->Apply(shapes_of_threads);
BENCHMARK(two_threads_clip)->Apply(shapes_of_threads);
BENCHMARK(two_threads_clip_gradients)->Apply(shapes_of_threads);
BENCHMARK(plain_info_nce)->Args({1024, 128})->ArgNames({"n", "d"});

}  // namespace
