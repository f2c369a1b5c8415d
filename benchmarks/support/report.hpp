// Counters that every benchmark reports: ns/item, items/s, bytes/s and the fraction of the measured limit.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "error.hpp"
#include "machine.hpp"

namespace reckon::bench {

/// Sizes that the tables in docs/performance.md use.
inline constexpr std::int64_t sizes[] = {10'000, 1'000'000, 10'000'000};

/// True when the environment has RECKON_BENCH_SMOKE: every case should run once, at its least size, and no time is looked at.
inline bool smoke() {
    return std::getenv("RECKON_BENCH_SMOKE") != nullptr;
}

/// Sets the counters after the timed loop. `items` is the number per iteration, `cost` is per item, and `working_set`
/// the bytes that the loop touches again and again: it selects the memory level whose bandwidth bounds the time.
///
/// ns/item is CPU time of the calling thread (of the process with `threaded`). `limit` is the least possible time over
/// the time used: 1 means that no better code exists on this machine at this cost. GHz is the clock seen straight after
/// the loop: compare only runs that saw the same one.
inline void report(benchmark::State& state, std::size_t items, const item_cost& cost, std::size_t working_set) {
    using benchmark::Counter;
    const double n = double(items);
    const double bytes = n * (cost.bytes_read + cost.bytes_written);
    const double limit = n * this_machine().limit(cost, working_set);
    state.counters["ns/item"] = Counter(n * 1e-9, Counter::kIsIterationInvariantRate | Counter::kInvert);
    state.counters["items/s"] = Counter(n, Counter::kIsIterationInvariantRate);
    state.counters["bytes/s"] = Counter(bytes, Counter::kIsIterationInvariantRate, Counter::kIs1024);
    state.counters["limit"] = Counter(limit, Counter::kIsIterationInvariantRate);
    state.counters["GHz"] = measure_clock() * 1e-9;
}

/// The correctness gate: a time counts only beside the error of the result that was timed. Call it before the timed
/// loop and return when it is false; the benchmark is then reported as failed. A NaN error fails.
[[nodiscard]] inline bool gate(benchmark::State& state, double error, double allowed) {
    state.counters["error"] = error;
    if (error <= allowed) return true;
    char text[96];
    std::snprintf(text, sizeof text, "wrong result: error %.3g, allowed %.3g", error, allowed);
    state.SkipWithError(text);
    return false;
}

/// For `->Apply(with_sizes)`: one run per size of the tables.
inline void with_sizes(benchmark::internal::Benchmark* b) {
    for (const std::int64_t n : sizes) {
        if (!smoke() || n == sizes[0]) b->Arg(n);
    }
}

/// For `->Apply(repeated)`: seven repetitions, of which the minimum and the median of ns/item are to be read (for a
/// rate the row `min` is the slowest repetition).
inline void repeated(benchmark::internal::Benchmark* b) {
    b->Repetitions(smoke() ? 1 : 7)
        ->DisplayAggregatesOnly()
        ->ComputeStatistics("min", [](const std::vector<double>& v) { return *std::min_element(v.begin(), v.end()); });
}

/// For `->Apply(threaded)`: more than one thread works, so CPU time is that of the process and rates use wall time.
inline void threaded(benchmark::internal::Benchmark* b) {
    b->MeasureProcessCPUTime()->UseRealTime();
}

}  // namespace reckon::bench
