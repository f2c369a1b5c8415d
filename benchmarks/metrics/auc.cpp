// Exact area under the ROC curve of float scores with 0/1 labels, with and without heavy ties.
//
// State: none; 4 bytes of scratch a row and two 32-bit counters for each of at most 8192 cells.
// Operations per example: four reads of the score, two of the label, one counted, one moved; then about 24 comparisons
// in lanes. Beside it a sort of the scores with the label in the last bit, the plain way to the same number.
#include "reckon/metrics/auc.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;

// Scores are positive, so their bits order as they do and the sign bit is free for the label.
double sorted_auc(const buffer<float>& p, const buffer<std::uint8_t>& y) {
    std::vector<std::uint32_t> keys(p.size());
    for (std::size_t i = 0; i < p.size(); ++i) keys[i] = (std::bit_cast<std::uint32_t>(p[i]) << 1) | y[i];
    std::sort(keys.begin(), keys.end());
    double won = 0, negatives = 0, positives = 0, below = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        if (i == 0 || (keys[i] >> 1) != (keys[i - 1] >> 1)) below = negatives;
        if ((keys[i] & 1) != 0) {
            won += 0.5 * (below + negatives);
            ++positives;
        } else {
            ++negatives;
        }
    }
    return won / (positives * negatives);
}

double reckon_auc(const buffer<float>& p, const buffer<std::uint8_t>& y) {
    return reckon::auc(reckon::exec::serial, p, y).value;
}

template <int Grid, class Run>
void measure(benchmark::State& state, Run run) {
    const auto n = std::size_t(state.range(0));
    const auto& p = reckon::bench::cached(n, [](std::size_t k) {
        auto scores = reckon::bench::make_probabilities(k);
        if (Grid > 0) reckon::bench::round_to_grid(scores, Grid);
        return scores;
    });
    const auto& y = reckon::bench::cached(n, [&](std::size_t) { return reckon::bench::make_labels<std::uint8_t>(p); });
    if (!reckon::bench::gate(state, std::fabs(run(p, y) - sorted_auc(p, y)), 1e-12)) return;
    for (auto _ : state) benchmark::DoNotOptimize(run(p, y));
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 4 * 4 + 2 + 4, .bytes_written = 4}, n * 9);
}

void auc_distinct(benchmark::State& state) {
    measure<0>(state, reckon_auc);
}
void auc_ties(benchmark::State& state) {
    measure<1000>(state, reckon_auc);
}
void plain_sort_distinct(benchmark::State& state) {
    measure<0>(state, sorted_auc);
}
void plain_sort_ties(benchmark::State& state) {
    measure<1000>(state, sorted_auc);
}

BENCHMARK(auc_distinct)->Apply(reckon::bench::with_sizes);
BENCHMARK(auc_ties)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_sort_distinct)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_sort_ties)->Apply(reckon::bench::with_sizes);

// Histogram form, one random access to 256 KiB a row.
void auc_histogram_distinct(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& p = reckon::bench::cached(n, [](std::size_t k) { return reckon::bench::make_probabilities(k); });
    const auto& y = reckon::bench::cached(n, [&](std::size_t) { return reckon::bench::make_labels<std::uint8_t>(p); });
    const auto run = [&] {
        return reckon::exec::fold_parts(reckon::exec::serial, reckon::auc_histogram(),
                                        reckon::make_scored("auc_histogram", p, y), reckon::auc_histogram::part_size);
    };
    const auto once = run();
    if (!reckon::bench::gate(state, std::fabs(once.finish() - sorted_auc(p, y)), once.bound() + 1e-12)) return;
    for (auto _ : state) benchmark::DoNotOptimize(run().finish());
    reckon::bench::report(state, n, {.flops = 3, .bytes_read = 4 + 1}, n * 5);
}
BENCHMARK(auc_histogram_distinct)->Apply(reckon::bench::with_sizes);

}  // namespace
