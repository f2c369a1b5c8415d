// Bootstrap over users: 1000 replicates of one mean, and of ten ratios, with Poisson weights.
//
// State: 24 bytes per metric and replicate, 64 replicates at a time in the first-level cache. An item is one user in one
// replicate: a quarter of a Philox block (5 multiplications of 64 bits, 10 other operations), 6 comparisons, and per
// metric two multiply-adds. Beside it the plain loops to the same interval: std::poisson_distribution, and users drawn
// with replacement, which has to read them out of order.
#include "reckon/metrics/bootstrap.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
constexpr std::size_t replicates = 1000;

struct columns {
    std::vector<std::uint64_t> users;
    buffer<float> over, under;
};
template <std::size_t Metrics>
const columns& data(std::size_t n) {
    return reckon::bench::cached(n, [](std::size_t m) {
        columns c{{}, reckon::bench::make_probabilities(m * Metrics), reckon::bench::make_weights(m * Metrics)};
        reckon::bench::generator g(9);
        for (std::size_t i = 0; i < m; ++i) c.users.push_back(g.bits());
        return c;
    });
}

// Largest error of a few replicates against plain sums, relative.
template <std::size_t Metrics>
double error_of(const reckon::clustered_bootstrap& state, const columns& c, bool ratios) {
    double worst = 0;
    for (const std::size_t r : {std::size_t{0}, std::size_t{63}, std::size_t{517}, replicates - 1}) {
        double over = 0, under = 0;
        for (std::size_t i = 0; i < c.users.size(); ++i) {
            const double w = reckon::bootstrap_weight(0, c.users[i], r);
            over += w * double(c.over[i * Metrics]);
            under += w * (ratios ? double(c.under[i * Metrics]) : 1.0);
        }
        worst = (std::max)(worst, std::fabs(state.replicate(0, r) / (over / under) - 1));
    }
    return worst;
}

template <class Run>
void measure(benchmark::State& state, std::size_t metrics, double error, double allowed, Run run) {
    const auto n = std::size_t(state.range(0));
    if (!reckon::bench::gate(state, error, allowed)) return;
    for (auto _ : state) benchmark::DoNotOptimize(run());
    reckon::bench::report(state, n * replicates, {.flops = 21 + 4 * double(metrics), .bytes_read = 0}, 1 << 14);
}

void bootstrap_mean(benchmark::State& state) {
    const columns& c = data<1>(std::size_t(state.range(0)));
    const auto run = [&] {
        reckon::clustered_bootstrap b;
        b.absorb(reckon::exec::serial, c.users, c.over);
        return b;
    };
    measure(state, 1, error_of<1>(run(), c, false), 1e-8, run);
}
void bootstrap_ten_ratios(benchmark::State& state) {
    const columns& c = data<10>(std::size_t(state.range(0)));
    const auto run = [&] {
        reckon::clustered_bootstrap b(10);
        b.absorb(reckon::exec::serial, c.users, reckon::view(c.over, c.users.size(), 10),
                 reckon::view(c.under, c.users.size(), 10));
        return b;
    };
    measure(state, 10, error_of<10>(run(), c, true), 1e-8, run);
}

// The gate of the plain loops is the standard error, which scatters by 1 / sqrt(2 * 1000).
double deviation(const std::vector<double>& x) {
    double mean = 0, square = 0;
    for (const double v : x) mean += v / double(x.size());
    for (const double v : x) square += (v - mean) * (v - mean);
    return std::sqrt(square / double(x.size() - 1));
}
template <class Run>
void measure_plain(benchmark::State& state, Run run) {
    const columns& c = data<1>(std::size_t(state.range(0)));
    reckon::clustered_bootstrap b;
    b.absorb(reckon::exec::serial, c.users, c.over);
    measure(state, 1, std::fabs(deviation(run(c)) / b.finish().error - 1), 0.15, [&] { return run(c); });
}
void plain_poisson(benchmark::State& state) {
    measure_plain(state, [](const columns& c) {
        std::mt19937_64 rng(1);
        std::poisson_distribution<int> poisson(1.0);
        std::vector<double> means(replicates);
        for (double& mean : means) {
            double over = 0, under = 0;
            for (const float x : c.over) {
                const int w = poisson(rng);
                over += w * double(x);
                under += w;
            }
            mean = over / under;
        }
        return means;
    });
}
void plain_resampling(benchmark::State& state) {
    measure_plain(state, [](const columns& c) {
        reckon::bench::generator g(1);
        std::vector<double> means(replicates);
        const std::size_t n = c.over.size();
        for (double& mean : means) {
            double over = 0;
            for (std::size_t i = 0; i < n; ++i) over += double(c.over[std::size_t(g.uniform() * double(n))]);
            mean = over / double(n);
        }
        return means;
    });
}

// Users; times 1000 replicates.
void few_sizes(benchmark::internal::Benchmark* b) {
    b->Arg(10'000)->Arg(100'000)->Unit(benchmark::kMillisecond);
}
BENCHMARK(bootstrap_mean)->Apply(few_sizes);
BENCHMARK(bootstrap_ten_ratios)->Apply(few_sizes);
BENCHMARK(plain_poisson)->Arg(10'000)->Unit(benchmark::kMillisecond);
BENCHMARK(plain_resampling)->Apply(few_sizes);

}  // namespace
