// Percentiles of candidates in users' rows: visits of 16 candidates (1 and 128 beside it), rows of 64, 256 and 1024 values,
// 1e3 (in cache) and 2e5 users (in memory) in random order.
//
// State: rows, 4 bytes a value, an eighth (64 values) or sixteenth more in sorted copies. Per candidate 4 bytes read and 4 written, and its part of the
// row: 4 bytes a value over the candidates of a visit, less where a search does not look at all of it. Beside it
// std::lower_bound and std::upper_bound in the sorted row, the plain way to the same number.
#include "reckon/percentile/row_percentile.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using bench::buffer;

constexpr std::size_t queries_a_run = std::size_t{1} << 18;

struct columns {
    std::size_t users = 0, slots = 0, candidates = 0;
    buffer<float> values, queries;  // rows sorted for the plain way
    buffer<std::uint32_t> counts, visited;
    buffer<std::uint64_t> offsets, starts;

    reckon::matrix_histories histories() const {
        return {reckon::matrix_view<const float>(values.data(), users, slots), counts};
    }
};
const columns& data(const benchmark::State& state) {
    static columns c;
    const auto users = std::size_t(state.range(0)), slots = std::size_t(state.range(1)),
               candidates = std::size_t(state.range(2));
    if (c.users == users && c.slots == slots && c.candidates == candidates) return c;
    c = columns{};
    c.users = users;
    c.slots = slots;
    c.candidates = candidates;
    bench::generator g(1);
    buffer<float> block(1 << 16);
    for (float& x : block) x = float(std::exp(g.normal()));
    c.values = buffer<float>(users * slots);
    c.starts = buffer<std::uint64_t>(users + 1);
    c.counts = buffer<std::uint32_t>(users);
    for (std::size_t u = 0; u < users; ++u) {
        const std::size_t at = g.bits();
        float* const row = c.values.data() + u * slots;
        for (std::size_t j = 0; j < slots; ++j) row[j] = block[(at + j) % block.size()];
        std::sort(row, row + slots);
        c.counts[u] = std::uint32_t(slots);
        c.starts[u + 1] = (u + 1) * slots;
    }
    const std::size_t visits = queries_a_run / candidates;
    c.visited = buffer<std::uint32_t>(visits);
    c.offsets = buffer<std::uint64_t>(visits + 1);
    c.queries = buffer<float>(visits * candidates);
    for (std::size_t v = 0; v < visits; ++v) {
        c.visited[v] = std::uint32_t(g.uniform() * double(users));
        c.offsets[v + 1] = (v + 1) * candidates;
    }
    for (float& q : c.queries) q = block[g.bits() % block.size()];
    return c;
}

void plain_search(const columns& c, buffer<float>& out) {
    for (std::size_t v = 0; v < c.visited.size(); ++v) {
        const float* const row = c.values.data() + c.visited[v] * c.slots;
        for (std::size_t k = c.offsets[v]; k < c.offsets[v + 1]; ++k) {
            const auto low = std::lower_bound(row, row + c.slots, c.queries[k]) - row;
            const auto high = std::upper_bound(row + low, row + c.slots, c.queries[k]) - row;
            out[k] = float(low + high) / float(2 * c.slots);
        }
    }
}

template <class Run>
void measure(benchmark::State& state, Run run) {
    const columns& c = data(state);
    buffer<float> out(c.queries.size()), want(c.queries.size());
    plain_search(c, want);
    run(c, out);
    double error = 0;
    for (std::size_t i = 0; i < out.size(); ++i) error = std::fmax(error, std::fabs(double(out[i]) - double(want[i])));
    if (!bench::gate(state, error, 0)) return;
    for (auto _ : state) {
        run(c, out);
        benchmark::ClobberMemory();
    }
    const double row = 4 * double(c.slots) / double(c.candidates);
    bench::report(state, out.size(), {.flops = 0, .bytes_read = 4 + row, .bytes_written = 4}, 4 * c.values.size());
}

void compared(benchmark::State& state) {
    measure(state, [](const columns& c, buffer<float>& out) {
        reckon::row_percentiles(reckon::exec::serial, c.histories(), c.visited, c.queries, c.offsets, out);
    });
}
void compared_left(benchmark::State& state) {
    const columns& c = data(state);
    buffer<float> out(c.queries.size());
    for (auto _ : state) {
        reckon::row_percentiles(reckon::exec::serial, c.histories(), c.visited, c.queries, c.offsets, out,
                                reckon::percentile_side::left);
        benchmark::ClobberMemory();
    }
    bench::report(state, out.size(), {.flops = 0, .bytes_read = 8, .bytes_written = 4}, 4 * c.values.size());
}
void searched(benchmark::State& state) {
    const reckon::sorted_histories rows(reckon::exec::serial, data(state).values, data(state).starts);
    measure(state, [&](const columns& c, buffer<float>& out) {
        reckon::row_percentiles(reckon::exec::serial, rows, c.visited, c.queries, c.offsets, out);
    });
}
void plain_bounds(benchmark::State& state) {
    measure(state, plain_search);
}

void shapes(benchmark::internal::Benchmark* b) {
    for (const std::int64_t slots : {64, 256, 1024}) {
        b->Args({1'000, slots, 16});
        if (bench::smoke()) return;
    }
    for (const std::int64_t slots : {64, 256}) {
        for (const std::int64_t candidates : {1, 128}) b->Args({1'000, slots, candidates});
        b->Args({200'000, slots, 16});
    }
}

BENCHMARK(compared)->Apply(shapes);
BENCHMARK(compared_left)->Args({1'000, 64, 16});
BENCHMARK(searched)->Apply(shapes);
BENCHMARK(plain_bounds)->Apply(shapes);

}  // namespace
