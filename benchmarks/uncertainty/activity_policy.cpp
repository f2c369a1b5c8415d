// Serving: the policy over a column of candidates, and the best ten of each request. 200 candidates a request, one user
// and so one group each; `mixed`: the groups change from row to row.
//
// Policy, floats: per item 13 bytes read (score, uncertainty, variance, group) and 4 written; about 6 flops.
// Top ten of 200: per item 4 bytes read; 1 comparison.
//
// The branches of the plain loop are learned by heart at 10,000 rows that come again and again; real requests do not.
#include "reckon/uncertainty/activity_policy.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/metrics/top_k.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;

struct columns {
    bench::buffer<float> scores, risk, variance, out;
    bench::buffer<std::uint8_t> groups, mixed;
    std::vector<std::uint32_t> offsets;
};
columns& rows(std::size_t n) {
    return const_cast<columns&>(bench::cached(n, [](std::size_t m) {
        columns c{bench::make_logits(m, 1),
                  bench::make_probabilities(m, 2),
                  bench::make_weights(m, 3),
                  bench::buffer<float>(m),
                  bench::buffer<std::uint8_t>(m),
                  bench::buffer<std::uint8_t>(m),
                  {}};
        bench::generator g(4);
        std::uint8_t group = 0;
        for (std::size_t i = 0; i < m; ++i) {
            if (i % 200 == 0) {
                c.offsets.push_back(static_cast<std::uint32_t>(i));
                group = static_cast<std::uint8_t>(g.bits() % 3);
            }
            c.groups[i] = group;
            c.mixed[i] = static_cast<std::uint8_t>(g.bits() % 3);
        }
        c.offsets.push_back(static_cast<std::uint32_t>(m));
        return c;
    }));
}

const std::vector<reckon::group_policy>& policies() {
    static const std::vector<reckon::group_policy> all{
        {reckon::policy_form::shift, 0.3, 0.2, 1.2}, {}, {reckon::policy_form::upper_bound, 0.5, 0.2, 1.0}};
    return all;
}

void plain(columns& c, const bench::buffer<std::uint8_t>& groups) {
    const float low = static_cast<float>(0.3 * 1.2), high = 0.5F;
    for (std::size_t i = 0; i < c.scores.size(); ++i) {
        float s = c.scores[i];
        if (c.risk[i] > 0.2F) {
            if (groups[i] == 0) s -= low;
            if (groups[i] == 2) s += high * std::sqrt(c.variance[i]);
        }
        c.out[i] = s;
    }
}

template <class Run>
void time_policy(benchmark::State& state, bool mixed, Run run) {
    const auto n = static_cast<std::size_t>(state.range(0));
    columns& data = rows(n);
    const auto& groups = mixed ? data.mixed : data.groups;
    plain(data, groups);
    const bench::buffer<float> want = data.out;
    run(data, groups);
    double error = 0;
    for (std::size_t i = 0; i < n; ++i) {
        error = (std::max)(error, std::fabs(static_cast<double>(data.out[i]) - static_cast<double>(want[i])));
    }
    if (!bench::gate(state, error, 1e-6)) return;
    for (auto _ : state) {
        run(data, groups);
        benchmark::ClobberMemory();
    }
    bench::report(state, n, {.flops = 6, .bytes_read = 13, .bytes_written = 4}, 17 * n);
}

void run_reckon(columns& c, const bench::buffer<std::uint8_t>& groups) {
    reckon::apply_policy(reckon::exec::serial, c.scores, c.risk, groups, c.offsets, policies(), c.out, c.variance);
}
void reckon_policy(benchmark::State& state) {
    time_policy(state, false, run_reckon);
}
void plain_policy(benchmark::State& state) {
    time_policy(state, false, plain);
}
void reckon_policy_mixed(benchmark::State& state) {
    time_policy(state, true, run_reckon);
}
void plain_policy_mixed(benchmark::State& state) {
    time_policy(state, true, plain);
}

constexpr std::size_t places = 10;

// Partial sorts of row numbers, ties by position.
void plain_top(const columns& c, std::vector<std::uint32_t>& out) {
    std::vector<std::uint32_t> order;
    for (std::size_t r = 0; r + 1 < c.offsets.size(); ++r) {
        order.resize(c.offsets[r + 1] - c.offsets[r]);
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = c.offsets[r] + static_cast<std::uint32_t>(i);
        std::partial_sort(order.begin(), order.begin() + places, order.end(), [&](std::uint32_t a, std::uint32_t b) {
            return c.scores[a] > c.scores[b] || (c.scores[a] == c.scores[b] && a < b);
        });
        std::copy_n(order.begin(), places, out.begin() + static_cast<std::ptrdiff_t>(r * places));
    }
}

template <class Run>
void time_top(benchmark::State& state, Run run) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const columns& data = rows(n);
    std::vector<std::uint32_t> want((data.offsets.size() - 1) * places), got(want.size());
    plain_top(data, want);
    run(data, got);
    if (!bench::gate(state, got == want ? 0.0 : 1.0, 0.0)) return;
    for (auto _ : state) {
        run(data, got);
        benchmark::ClobberMemory();
    }
    bench::report(state, n, {.flops = 1, .bytes_read = 4}, 4 * n);
}

void reckon_top_k(benchmark::State& state) {
    time_top(state, [](const columns& c, std::vector<std::uint32_t>& out) {
        reckon::top_k(reckon::exec::serial, c.scores, c.offsets, reckon::view(out, c.offsets.size() - 1, places));
    });
}
void partial_sort(benchmark::State& state) {
    time_top(state, plain_top);
}

BENCHMARK(reckon_policy)->Apply(bench::with_sizes)->Apply(bench::repeated);
BENCHMARK(plain_policy)->Apply(bench::with_sizes)->Apply(bench::repeated);
BENCHMARK(reckon_policy_mixed)->Apply(bench::with_sizes)->Apply(bench::repeated);
BENCHMARK(plain_policy_mixed)->Apply(bench::with_sizes)->Apply(bench::repeated);
BENCHMARK(reckon_top_k)->Apply(bench::with_sizes)->Apply(bench::repeated);
BENCHMARK(partial_sort)->Apply(bench::with_sizes)->Apply(bench::repeated);

}  // namespace
