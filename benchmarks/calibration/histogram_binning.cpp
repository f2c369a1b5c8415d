// Histogram binning: the fit and the map, with bins of equal width and of equal mass.
//
// State: 24 bytes a bin and part; equal mass adds 512 KiB of counters and the rows that share their leading bits with a
// cut.
// Operations per example: one multiplication or log2(bins) comparisons for the bin, three additions to it; equal mass
// reads every score twice before that. Beside the fits a plain loop over three arrays, for equal mass with a sort of
// the scores in front; beside the map std::upper_bound.
#include "reckon/calibration/histogram_binning.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
using partition = reckon::histogram_binning_options::partition;
namespace exec = reckon::exec;

constexpr std::size_t bins = 15;

struct columns {
    buffer<float> scores;
    buffer<std::uint8_t> labels;
};
columns make_columns(std::size_t n) {
    columns c;
    c.scores = reckon::bench::make_probabilities(n);
    c.labels = reckon::bench::make_labels<std::uint8_t>(c.scores);
    return c;
}

std::vector<double> plain_cuts(const buffer<float>& p) {
    buffer<float> sorted = p;
    std::sort(sorted.begin(), sorted.end());
    std::vector<double> cuts;
    for (std::size_t k = 1; k < bins; ++k) cuts.push_back(double(sorted[k * sorted.size() / bins]));
    return cuts;
}

template <class Index>
std::vector<double> plain_rates(const columns& data, Index index) {
    std::vector<double> count(bins), positive(bins), rate(bins);
    for (std::size_t i = 0; i < data.scores.size(); ++i) {
        const std::size_t b = index(double(data.scores[i]));
        count[b] += 1;
        positive[b] += data.labels[i];
    }
    for (std::size_t b = 0; b < bins; ++b) rate[b] = (positive[b] + 1) / (count[b] + 2);
    return rate;
}
std::vector<double> plain_width(const columns& data) {
    return plain_rates(data, [](double p) { return std::min(std::size_t(p * double(bins)), bins - 1); });
}
std::vector<double> plain_mass(const columns& data) {
    const auto cuts = plain_cuts(data.scores);
    return plain_rates(
        data, [&](double p) { return std::size_t(std::upper_bound(cuts.begin(), cuts.end(), p) - cuts.begin()); });
}

template <partition Edges>
std::vector<double> reckon_rates(const columns& data) {
    const auto c = reckon::histogram_binning::fit(exec::serial, data.scores, data.labels, {},
                                                  {.bins = bins, .edges = Edges, .laplace = true});
    std::vector<double> rates(c.bins());
    for (std::size_t b = 0; b < rates.size(); ++b) rates[b] = c.value(b);
    return rates;
}

template <class Run, class Plain>
void measure_fit(benchmark::State& state, Run run, Plain plain, const reckon::bench::item_cost& cost) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    if (!reckon::bench::gate(state, reckon::bench::relative_error(run(data), plain(data)), 1e-12)) return;
    for (auto _ : state) benchmark::DoNotOptimize(run(data));
    reckon::bench::report(state, n, cost, n * 5);
}
constexpr reckon::bench::item_cost width_cost{.flops = 4, .bytes_read = 5};
constexpr reckon::bench::item_cost mass_cost{.flops = 8, .bytes_read = 15};

void histogram_fit_width(benchmark::State& state) {
    measure_fit(state, reckon_rates<partition::equal_width>, plain_width, width_cost);
}
void histogram_fit_mass(benchmark::State& state) {
    measure_fit(state, reckon_rates<partition::equal_mass>, plain_mass, mass_cost);
}
void plain_fit_width(benchmark::State& state) {
    measure_fit(state, plain_width, plain_width, width_cost);
}
void plain_fit_mass(benchmark::State& state) {
    measure_fit(state, plain_mass, plain_mass, mass_cost);
}

template <class Apply>
void measure_apply(benchmark::State& state, partition edges, Apply apply) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    const auto c =
        reckon::histogram_binning::fit(exec::serial, data.scores, data.labels, {}, {.bins = bins, .edges = edges});
    buffer<float> out(n), want(n);
    for (std::size_t i = 0; i < n; ++i) want[i] = c(data.scores[i]);
    apply(c, data.scores, out);
    if (!reckon::bench::gate(state, reckon::bench::relative_error(out, want), 0)) return;
    for (auto _ : state) {
        apply(c, data.scores, out);
        benchmark::ClobberMemory();
    }
    reckon::bench::report(state, n, {.flops = 6, .bytes_read = 4, .bytes_written = 4}, n * 8);
}

constexpr auto reckon_apply = [](const reckon::histogram_binning& c, const buffer<float>& p, buffer<float>& out) {
    c.apply(exec::serial, p, out);
};
constexpr auto plain_apply = [](const reckon::histogram_binning& c, const buffer<float>& p, buffer<float>& out) {
    std::vector<float> cuts, values;
    for (std::size_t b = 0; b < c.bins(); ++b) {
        if (b > 0) cuts.push_back(float(c.edge(b)));
        values.push_back(float(c.value(b)));
    }
    for (std::size_t i = 0; i < p.size(); ++i) {
        out[i] = values[std::size_t(std::upper_bound(cuts.begin(), cuts.end(), p[i]) - cuts.begin())];
    }
};

void histogram_apply_width(benchmark::State& state) {
    measure_apply(state, partition::equal_width, reckon_apply);
}
void histogram_apply_mass(benchmark::State& state) {
    measure_apply(state, partition::equal_mass, reckon_apply);
}
void plain_apply_mass(benchmark::State& state) {
    measure_apply(state, partition::equal_mass, plain_apply);
}

BENCHMARK(histogram_fit_width)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_fit_width)->Apply(reckon::bench::with_sizes);
BENCHMARK(histogram_fit_mass)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_fit_mass)->Apply(reckon::bench::with_sizes);
BENCHMARK(histogram_apply_width)->Apply(reckon::bench::with_sizes);
BENCHMARK(histogram_apply_mass)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_apply_mass)->Apply(reckon::bench::with_sizes);

}  // namespace
