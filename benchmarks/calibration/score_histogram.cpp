// Absorbing rows into a histogram of the score, and fitting Platt scaling from it again; an item is one row.
//
// State: 32 bytes a cell, 2944 cells. Per row 4 bytes of score and 1 or 4 of label are read, and one cell is read and
// written; about ten integer and four floating-point operations. Beside it the plain loop: the logarithm of the odds cut
// into cells of equal width, one row at a time.
#include "reckon/calibration/score_histogram.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/calibration/platt.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
namespace exec = reckon::exec;

template <class Y>
struct columns {
    buffer<float> p;
    buffer<Y> y;

    auto batch() const { return reckon::make_scored("bench", p, y); }
};
template <class Y>
const columns<Y>& make_columns(std::size_t n) {
    return reckon::bench::cached(n, [](std::size_t rows) {
        columns<Y> c;
        c.p = reckon::bench::make_probabilities(rows);
        c.y = reckon::bench::make_labels<Y>(c.p);
        return c;
    });
}

struct plain_sums {
    std::vector<double> weight = std::vector<double>(4096), score = weight, label = weight;

    template <class Y>
    void absorb(const columns<Y>& in) {
        for (std::size_t i = 0; i < in.p.size(); ++i) {
            const double p = double(in.p[i]), z = std::log(p / (1 - p)) * 128 + 2048;
            const auto k = std::size_t(z < 0 ? 0 : z > 4095 ? 4095 : z);
            weight[k] += 1;
            score[k] += p;
            label[k] += double(in.y[i]);
        }
    }
    double total() const {
        double sum = 0;
        for (const double s : score) sum += s;
        return sum;
    }
};

template <class Y>
void score_histogram_absorb(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = make_columns<Y>(n);
    reckon::score_histogram sums;
    sums.absorb(data.batch());
    plain_sums want;
    want.absorb(data);
    if (!reckon::bench::gate(state, std::fabs(sums.total().score / want.total() - 1), 1e-12)) return;
    for (auto _ : state) {
        sums.absorb(data.batch());
        benchmark::ClobberMemory();
    }
    reckon::bench::report(state, n, {4, 4 + double(sizeof(Y)), 0}, 2944 * 32);
}
BENCHMARK(score_histogram_absorb<std::uint8_t>)->Apply(reckon::bench::with_sizes);
BENCHMARK(score_histogram_absorb<float>)->Apply(reckon::bench::with_sizes);

void score_histogram_plain_loop(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = make_columns<std::uint8_t>(n);
    plain_sums sums;
    for (auto _ : state) {
        sums.absorb(data);
        benchmark::ClobberMemory();
    }
    reckon::bench::report(state, n, {4, 5, 0}, 4096 * 24);
}
BENCHMARK(score_histogram_plain_loop)->Apply(reckon::bench::with_sizes);

// The time of one fit, whatever the number of rows that were absorbed.
void score_histogram_refit_platt(benchmark::State& state) {
    const auto& data = make_columns<std::uint8_t>(1'000'000);
    reckon::score_histogram sums;
    sums.absorb(data.batch());
    const double want = reckon::platt::fit(exec::serial, data.p, data.y).slope();
    if (!reckon::bench::gate(state, std::fabs(reckon::refit<reckon::platt>(exec::serial, sums).slope() - want), 1e-3))
        return;
    for (auto _ : state) benchmark::DoNotOptimize(reckon::refit<reckon::platt>(exec::serial, sums).slope());
}
BENCHMARK(score_histogram_refit_platt);

}  // namespace
