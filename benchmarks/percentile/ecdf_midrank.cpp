// Mid-rank percentiles inside groups, against std::sort of (value, row) per group.
//
// State: none; 16 bytes of scratch a row of the largest group. Per item 4 bytes read and 4 written; in groups of up to 128
// about n / 8 comparisons of a register twice, in larger ones two counting passes and a few comparisons. 1e6 rows in groups
// of the mean size given, sizes uniform between 1 and twice that. Values: lognormal seconds; `ties` are rounded to whole
// seconds, a third of them 0.
#include "reckon/percentile/ecdf_midrank.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
constexpr std::size_t rows = 1'000'000;

struct grouped {
    bench::buffer<float> values;
    std::vector<std::uint32_t> offsets;
};
grouped make_groups(std::size_t mean_size, bool ties) {
    bench::generator g(mean_size + ties);
    grouped data;
    data.values.resize(rows);
    for (float& v : data.values) {
        v = std::exp(static_cast<float>(2.0 + 1.2 * g.normal()));
        if (ties) v = g.uniform() < 1.0 / 3 ? 0.0f : std::floor(v);
    }
    data.offsets.push_back(0);
    while (data.offsets.back() < rows) {
        const auto n =
            mean_size == rows ? rows : 1 + static_cast<std::size_t>(g.uniform() * (2.0 * double(mean_size) - 1.0));
        data.offsets.push_back(static_cast<std::uint32_t>(std::min(rows, data.offsets.back() + n)));
    }
    return data;
}

void sort_each(const grouped& data, bench::buffer<float>& out) {
    std::vector<std::pair<float, std::uint32_t>> items;
    for (std::size_t s = 0; s + 1 < data.offsets.size(); ++s) {
        const std::uint32_t first = data.offsets[s], last = data.offsets[s + 1];
        items.clear();
        for (std::uint32_t i = first; i < last; ++i) items.emplace_back(data.values[i], i);
        std::sort(items.begin(), items.end());
        for (std::size_t i = 0; i < items.size();) {
            std::size_t next = i + 1;
            while (next < items.size() && items[next].first == items[i].first) ++next;
            const auto share = static_cast<float>(double(i + next) / (2.0 * double(items.size())));
            for (; i < next; ++i) out[items[i].second] = share;
        }
    }
}
void reckon_each(const grouped& data, bench::buffer<float>& out) {
    reckon::ecdf_midrank(reckon::exec::serial, data.values, data.offsets, out);
}

template <bool Ties, class Run>
void measure(benchmark::State& state, Run run) {
    const auto& data =
        bench::cached(std::size_t(state.range(0)), [](std::size_t size) { return make_groups(size, Ties); });
    bench::buffer<float> out(rows), want(rows);
    sort_each(data, want);
    run(data, out);
    double error = 0;
    for (std::size_t i = 0; i < rows; ++i) error = std::max(error, double(std::fabs(out[i] - want[i])));
    if (!bench::gate(state, error, 0.0)) return;
    for (auto _ : state) {
        run(data, out);
        benchmark::ClobberMemory();
    }
    bench::report(state, rows, {.flops = 0, .bytes_read = 4, .bytes_written = 4}, 8 * rows);
}

void sizes(benchmark::internal::Benchmark* b) {
    for (const std::int64_t n : {10, 100, 1000, 10'000, 1'000'000}) {
        b->Arg(n);
        if (bench::smoke()) return;
    }
}

void midrank_distinct(benchmark::State& state) {
    measure<false>(state, reckon_each);
}
void midrank_ties(benchmark::State& state) {
    measure<true>(state, reckon_each);
}
void std_sort_distinct(benchmark::State& state) {
    measure<false>(state, sort_each);
}
void std_sort_ties(benchmark::State& state) {
    measure<true>(state, sort_each);
}

BENCHMARK(midrank_distinct)->Apply(sizes);
BENCHMARK(midrank_ties)->Apply(sizes);
BENCHMARK(std_sort_distinct)->Apply(sizes);
BENCHMARK(std_sort_ties)->Apply(sizes);

}  // namespace
