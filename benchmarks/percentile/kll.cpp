// Quantile sketches: a stream into one, merges, queries, and one sketch per user; beside a sort of everything.
//
// State: about 3 k values (2.5 KB for k = 200). Per value of a long column 4 bytes read twice; 63 exchanges of 16 rows
// sort 128 values in lanes, 25 merge two halves, each level half as often: about 2 operations a value. `rms` and `p99` are
// the size of rank errors over seeds at 99 points, in % of n; `bytes` is what to_bytes() gives.
#include "reckon/percentile/kll_sketch.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/percentile/kll_sketches.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::kll_options;
using reckon::kll_sketch;
using reckon::bench::buffer;

const buffer<float>& values_of(std::size_t n) {
    return reckon::bench::cached(n, [](std::size_t m) {
        buffer<float> values = reckon::bench::make_logits(m);
        for (float& v : values) v = std::exp(v);  // lognormal, as watch time is
        return values;
    });
}

// Rank errors of make(seed) at 99 points; false when more of them than 1 % leave the bound.
template <class Make>
bool measure_errors(benchmark::State& state, const buffer<float>& values, Make make) {
    std::vector<float> sorted(values.begin(), values.end());
    std::sort(sorted.begin(), sorted.end());
    const double n = static_cast<double>(sorted.size());
    std::vector<double> errors;
    double bound = 0.0, bytes = 0.0;
    const std::uint64_t seeds = sorted.size() > 1'000'000 ? 12 : 60;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        const kll_sketch sketch = make(seed);
        const auto view = sketch.sorted();
        for (int i = 1; i < 100; ++i) {
            const float x = sorted[static_cast<std::size_t>(n * i / 100)];
            const auto below = std::lower_bound(sorted.begin(), sorted.end(), x) - sorted.begin();
            const auto through = std::upper_bound(sorted.begin(), sorted.end(), x) - sorted.begin();
            errors.push_back(std::fabs(view(x) - 0.5 * static_cast<double>(below + through) / n));
        }
        bound = (std::max)(bound, sketch.bound(0.99));
        bytes = (std::max)(bytes, static_cast<double>(reckon::to_bytes(sketch).size()));
    }
    std::sort(errors.begin(), errors.end());
    double squares = 0.0;
    for (const double e : errors) squares += e * e;
    const double p99 = errors[errors.size() * 99 / 100];
    state.counters["rms"] = 100 * std::sqrt(squares / static_cast<double>(errors.size()));
    state.counters["p99"] = 100 * p99;
    state.counters["bound"] = 100 * bound;
    state.counters["bytes"] = bytes;
    return reckon::bench::gate(state, p99, bound + 1e-12);
}

template <std::uint32_t K>
void absorb(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const auto& values = values_of(n);
    const auto make = [&](std::uint64_t seed) {
        kll_sketch sketch({.k = K, .seed = seed});
        sketch.absorb(values);
        return sketch;
    };
    if (!measure_errors(state, values, make)) return;
    for (auto _ : state) benchmark::DoNotOptimize(make(1).n());
    reckon::bench::report(state, n, {.flops = 2, .bytes_read = 8}, 4 * n);
}
// The same values one at a time.
void absorb_single(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const auto& values = values_of(n);
    const auto make = [&](std::uint64_t seed) {
        kll_sketch sketch({.k = 200, .seed = seed});
        for (const float v : values) sketch.absorb(v);
        return sketch;
    };
    if (!measure_errors(state, values, make)) return;
    for (auto _ : state) benchmark::DoNotOptimize(make(1).n());
    reckon::bench::report(state, n, {.flops = 2, .bytes_read = 4}, 4 * n);
}
void plain_sort(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const auto& values = values_of(n);
    state.counters["bytes"] = static_cast<double>(4 * n);
    for (auto _ : state) {
        std::vector<float> sorted(values.begin(), values.end());
        std::sort(sorted.begin(), sorted.end());
        benchmark::DoNotOptimize(sorted.data());
    }
    reckon::bench::report(state, n, {.bytes_read = 8, .bytes_written = 8}, 4 * n);
}
void lengths(benchmark::internal::Benchmark* b) {
    for (const std::int64_t n : {1'000, 10'000, 100'000, 1'000'000, 10'000'000}) {
        if (!reckon::bench::smoke() || n == 1'000) b->Arg(n);
    }
}
BENCHMARK(absorb<200>)->Apply(lengths);
BENCHMARK(absorb<32>)->Apply(lengths);
BENCHMARK(absorb_single)->Arg(1'000'000);
BENCHMARK(plain_sort)->Arg(1'000'000);

// Merges n sketches of 1000 values into one; an item is a sketch.
void merge(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const auto& values = values_of(1'000'000);
    std::vector<kll_sketch> parts(1000);
    for (std::size_t p = 0; p < parts.size(); ++p) {
        parts[p].absorb(reckon::vector_view<const float>(values.data() + 1000 * p, 1000));
    }
    for (auto _ : state) {
        kll_sketch all;
        for (std::size_t i = 0; i < n; ++i) all.merge(parts[i % parts.size()]);
        benchmark::DoNotOptimize(all.n());
    }
    reckon::bench::report(state, n, {.bytes_read = 2000}, parts.size() * 2000);
}
BENCHMARK(merge)->Arg(10'000);

// Queries of the sorted view, all in cache.
template <class Run>
void query(benchmark::State& state, Run run) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const auto& values = values_of(n);
    kll_sketch sketch;
    sketch.absorb(values);
    const reckon::kll_view view = sketch.sorted();
    std::vector<float> out(n);
    run(view, values, out);
    double error = 0.0;
    for (std::size_t i = 0; i < n; i += 97) {
        error = (std::max)(error, std::fabs(static_cast<double>(out[i]) - sketch.rank(values[i])));
    }
    if (!reckon::bench::gate(state, error, 1e-6)) return;
    for (auto _ : state) {
        run(view, values, out);
        benchmark::DoNotOptimize(out.data());
    }
    reckon::bench::report(state, n, {.flops = 20, .bytes_read = 4, .bytes_written = 4}, 8 * n);
}
void query_batch(benchmark::State& state) {
    query(state, [](const auto& view, const auto& x, auto& out) { view.apply(reckon::exec::serial, x, out); });
}
void query_lower_bound(benchmark::State& state) {
    query(state, [](const auto& view, const auto& x, auto& out) {
        const auto& v = view.values();
        const auto& below = view.below();
        for (std::size_t i = 0; i < x.size(); ++i) {
            const auto j = static_cast<std::size_t>(std::lower_bound(v.begin(), v.end(), x[i]) - v.begin());
            const std::size_t tied = j < v.size() && v[j] == x[i] ? 1 : 0;
            out[i] = static_cast<float>(0.5 * (below[j] + below[j + tied]) / view.total());
        }
    });
}
void build_view(benchmark::State& state) {
    kll_sketch sketch;
    sketch.absorb(values_of(1'000'000));
    for (auto _ : state) benchmark::DoNotOptimize(sketch.sorted().total());
    reckon::bench::report(state, 1, {.bytes_read = 2500}, 2500);
}
BENCHMARK(query_batch)->Arg(10'000);
BENCHMARK(query_lower_bound)->Arg(10'000);
BENCHMARK(build_view);

// Views of n / 100 users in random order, skewed: most users have few. An item is a view.
template <bool Query>
void per_user(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const auto& values = values_of(n);
    const auto& ids = reckon::bench::cached(n, [](std::size_t m) {
        const auto cells = reckon::bench::make_zipf_ids(m, static_cast<std::int32_t>(m / 100));
        return std::vector<std::uint32_t>(cells.begin(), cells.end());
    });
    reckon::kll_sketches all;
    all.absorb(reckon::exec::serial, ids, values);
    state.counters["users"] = static_cast<double>(all.size());
    state.counters["bytes/user"] = static_cast<double>(all.memory()) / static_cast<double>(all.size());
    std::vector<float> out(n);
    for (auto _ : state) {
        if (Query) {
            benchmark::DoNotOptimize(all.percentiles(reckon::exec::serial, ids, values, out));
        } else {
            reckon::kll_sketches fresh;
            fresh.absorb(reckon::exec::serial, ids, values);
            benchmark::DoNotOptimize(fresh.size());
        }
    }
    reckon::bench::report(state, n, {.bytes_read = 8}, 8 * n);
}
void users_absorb(benchmark::State& state) {
    per_user<false>(state);
}
void users_percentiles(benchmark::State& state) {
    per_user<true>(state);
}
BENCHMARK(users_absorb)->Arg(1'000'000);
BENCHMARK(users_percentiles)->Arg(1'000'000);

}  // namespace
