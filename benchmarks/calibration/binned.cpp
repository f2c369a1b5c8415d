// Bayesian binning into quantiles and scaling-binning: the fits and the maps.
//
// State: BBQ holds 32 bytes a distinct score while it fits; both maps are one step function.
// Operations per example: the fit of BBQ sorts once and evaluates about 5 ln Gamma for each of its N^(2/3) 50 bins; that
// of scaling-binning is a Platt fit and three passes. The maps take an integer key, a look-up of its cell, one to three
// comparisons and a look-up of the value. Beside the maps std::upper_bound over the same cuts.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "reckon/calibration/bbq.hpp"
#include "reckon/calibration/scaling_binning.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
namespace exec = reckon::exec;

template <class C>
struct fitted {
    buffer<float> scores;
    buffer<std::uint8_t> labels;
    C model;
};
template <class C>
const fitted<C>& data_of(std::size_t n) {
    return reckon::bench::cached(n, [](std::size_t k) {
        auto p = reckon::bench::make_probabilities(k);
        auto y = reckon::bench::make_labels<std::uint8_t>(p);
        C model = C::fit(exec::serial, p, y);
        return fitted<C>{std::move(p), std::move(y), std::move(model)};
    });
}

template <class C>
void plain_map(const C& c, const buffer<float>& p, buffer<float>& out) {
    for (std::size_t i = 0; i < p.size(); ++i) {
        const auto above = std::upper_bound(c.cuts().begin(), c.cuts().end(), double(p[i]));
        out[i] = float(c.values()[std::size_t(above - c.cuts().begin())]);
    }
}

template <class C>
void fit(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = data_of<C>(n);
    for (auto _ : state) {
        benchmark::DoNotOptimize(C::fit(exec::serial, data.scores, data.labels).values().data());
    }
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 5}, n * 5);
}
template <class C, bool Plain>
void apply(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = data_of<C>(n);
    buffer<float> out(n), want(n);
    plain_map(data.model, data.scores, want);
    data.model.apply(exec::serial, data.scores, out);
    if (!reckon::bench::gate(state, reckon::bench::relative_error(out, want), 0)) return;
    for (auto _ : state) {
        if constexpr (Plain) {
            plain_map(data.model, data.scores, out);
        } else {
            data.model.apply(exec::serial, data.scores, out);
        }
        benchmark::DoNotOptimize(out.data());
    }
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 4, .bytes_written = 4}, n * 8);
}

BENCHMARK(fit<reckon::bbq>)->Name("bbq_fit")->Apply(reckon::bench::with_sizes);
BENCHMARK(apply<reckon::bbq, false>)->Name("bbq_apply")->Apply(reckon::bench::with_sizes);
BENCHMARK(apply<reckon::bbq, true>)->Name("plain_bbq_apply")->Apply(reckon::bench::with_sizes);
BENCHMARK(fit<reckon::scaling_binning>)->Name("scaling_binning_fit")->Apply(reckon::bench::with_sizes);
BENCHMARK(apply<reckon::scaling_binning, false>)->Name("scaling_binning_apply")->Apply(reckon::bench::with_sizes);
BENCHMARK(apply<reckon::scaling_binning, true>)->Name("plain_scaling_binning_apply")->Apply(reckon::bench::with_sizes);

}  // namespace
