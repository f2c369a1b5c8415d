// How time per pair and memory of the contrastive losses grow with the batch: D = 128, up to 65,536 queries and keys.
//
// State and cost as in contrastive.cpp. `extra MiB` is how far resident memory rose above inputs and outputs, reliable
// where a program runs one case alone. The largest sizes run once; compare/growth.py runs them and the peers.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>

#include "../../examples/support/peak_memory.hpp"
#include "support/contrastive.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;

template <class Loss>
void run(benchmark::State& state, Loss&& loss, double products, double powers, bench::kind which) {
    constexpr std::size_t depth = 128;
    bench::batch b(static_cast<std::size_t>(state.range(0)), depth);
    const reckon_examples::peak_memory peak;
    for (auto _ : state) benchmark::DoNotOptimize(loss(b));
    // Later calls of one case find inputs on huge pages that earlier scratch asked for, and their scratch resident with
    // them: the first call of a program tells, which is the highest.
    static std::map<std::size_t, double> highest;
    double& extra = highest.try_emplace(b.n, std::numeric_limits<double>::quiet_NaN()).first->second;
    state.counters["extra MiB"] = extra = std::fmax(extra, peak.mebibytes());
    if (!bench::gate(state, bench::error_of(b, which), 1e-5)) return;
    bench::report(state, b.n * b.n, {.flops = products * 2.0 * double(depth) + 12.0 * powers}, 96 * depth * 4);
}
void growth_info_nce(benchmark::State& state) {
    run(
        state, [](bench::batch& b) { return bench::info_nce(b); }, 1, 1, bench::kind::plain);
}
void growth_info_nce_gradients(benchmark::State& state) {
    run(
        state, [](bench::batch& b) { return bench::info_nce_gradients(b); }, 3, 1, bench::kind::plain);
}
void growth_clip(benchmark::State& state) {
    run(
        state, [](bench::batch& b) { return bench::clip(b); }, 1, 1, bench::kind::symmetric);
}
void growth_clip_gradients(benchmark::State& state) {
    run(
        state, [](bench::batch& b) { return bench::clip_gradients(b); }, 4, 2, bench::kind::symmetric);
}

void in_cache(benchmark::internal::Benchmark* b) {
    for (const std::int64_t n : {1024, 4096}) {
        if (!bench::smoke() || n == 1024) b->Arg(n);
    }
}
void beyond(benchmark::internal::Benchmark* b) {
    // A case without an argument would run all the same.
    b->Iterations(1)->Arg(bench::smoke() ? 128 : 16384);
    if (!bench::smoke()) b->Arg(65536);
}
BENCHMARK(growth_info_nce)->Apply(in_cache);
BENCHMARK(growth_info_nce_gradients)->Apply(in_cache);
BENCHMARK(growth_clip)->Apply(in_cache);
BENCHMARK(growth_clip_gradients)->Apply(in_cache);
BENCHMARK(growth_info_nce)->Apply(beyond);
BENCHMARK(growth_info_nce_gradients)->Apply(beyond);
BENCHMARK(growth_clip)->Apply(beyond);
BENCHMARK(growth_clip_gradients)->Apply(beyond);

}  // namespace
