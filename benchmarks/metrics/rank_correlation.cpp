// Rank correlations and the normalised Gini coefficient of lists of 100 and of whole columns, with few and many ties.
//
// Bytes per item: 8 in. Operations per item of a list of 100: 104 / lanes steps of three comparisons (tau-b), or twice of
// two (ranks). Columns of N: log2(N / 8) merge steps for tau-b, six radix passes for ranks. Beside them the double loop.
#include "reckon/metrics/rank_correlation.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "reckon/metrics/gini.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;

struct columns {
    buffer<float> scores, labels;
    buffer<std::uint32_t> offsets;
};
columns make(std::size_t n) {
    reckon::bench::generator g(7);
    columns data{reckon::bench::make_probabilities(n), {}, {}};
    for (const float s : data.scores) data.labels.push_back(float(std::round(std::exp(3 + 2 * s + g.normal()))));
    for (std::size_t i = 0; i <= n; i += 100) data.offsets.push_back(std::uint32_t(i));
    return data;
}

double looped_tau(const columns& data) {
    double sum = 0;
    for (std::size_t u = 0; u + 1 < data.offsets.size(); ++u) {
        int agreement = 0, first = 0, second = 0;
        for (std::size_t i = data.offsets[u]; i < data.offsets[u + 1]; ++i) {
            for (std::size_t j = data.offsets[u]; j < i; ++j) {
                const int x = (data.scores[i] > data.scores[j]) - (data.scores[i] < data.scores[j]);
                const int y = (data.labels[i] > data.labels[j]) - (data.labels[i] < data.labels[j]);
                agreement += x * y;
                first += x * x;
                second += y * y;
            }
        }
        sum += agreement / std::sqrt(double(first) * second);
    }
    return sum / double(data.offsets.size() - 1);
}
double looped_rho(const columns& data) {
    double sum = 0;
    for (std::size_t u = 0; u + 1 < data.offsets.size(); ++u) {
        double product = 0, a_square = 0, b_square = 0;
        for (std::size_t i = data.offsets[u]; i < data.offsets[u + 1]; ++i) {
            int a = 0, b = 0;
            for (std::size_t j = data.offsets[u]; j < data.offsets[u + 1]; ++j) {
                a += (data.scores[i] > data.scores[j]) - (data.scores[i] < data.scores[j]);
                b += (data.labels[i] > data.labels[j]) - (data.labels[i] < data.labels[j]);
            }
            product += double(a) * b;
            a_square += double(a) * a;
            b_square += double(b) * b;
        }
        sum += product / std::sqrt(a_square * b_square);
    }
    return sum / double(data.offsets.size() - 1);
}

template <class Run, class Reference>
void measure(benchmark::State& state, Run run, Reference reference) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, [](std::size_t k) { return make(k); });
    if (!reckon::bench::gate(state, std::fabs(run(data) - reference(data)), 1e-12)) return;
    for (auto _ : state) benchmark::DoNotOptimize(run(data));
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 8}, n * 8);
}
const auto tau_of_lists = [](const columns& d) {
    return reckon::kendall_tau_b(reckon::exec::serial, d.scores, d.labels, d.offsets).finish();
};
const auto rho_of_lists = [](const columns& d) {
    return reckon::spearman(reckon::exec::serial, d.scores, d.labels, d.offsets).finish();
};
const auto gini_of_lists = [](const columns& d) {
    return reckon::normalized_gini(reckon::exec::serial, d.scores, d.labels, d.offsets).finish();
};
const auto tau = [](const columns& d) { return reckon::kendall_tau_b(d.scores, d.labels).correlation; };
const auto rho = [](const columns& d) { return reckon::spearman(d.scores, d.labels).correlation; };
// The same figures with the columns exchanged, which must not matter.
const auto tau_exchanged = [](const columns& d) { return reckon::kendall_tau_b(d.labels, d.scores).correlation; };
const auto rho_exchanged = [](const columns& d) { return reckon::spearman(d.labels, d.scores).correlation; };

void kendall_lists(benchmark::State& state) {
    measure(state, tau_of_lists, looped_tau);
}
void plain_kendall_lists(benchmark::State& state) {
    measure(state, looped_tau, looped_tau);
}
void spearman_lists(benchmark::State& state) {
    measure(state, rho_of_lists, looped_rho);
}
void plain_spearman_lists(benchmark::State& state) {
    measure(state, looped_rho, looped_rho);
}
void gini_lists(benchmark::State& state) {
    measure(state, gini_of_lists, gini_of_lists);
}
void kendall_column(benchmark::State& state) {
    measure(state, tau, tau_exchanged);
}
void spearman_column(benchmark::State& state) {
    measure(state, rho, rho_exchanged);
}
BENCHMARK(kendall_lists)->Arg(1'000'000);
BENCHMARK(plain_kendall_lists)->Arg(1'000'000);
BENCHMARK(spearman_lists)->Arg(1'000'000);
BENCHMARK(plain_spearman_lists)->Arg(1'000'000);
BENCHMARK(gini_lists)->Arg(1'000'000);
BENCHMARK(kendall_column)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(spearman_column)->Arg(10'000)->Arg(1'000'000);

}  // namespace
