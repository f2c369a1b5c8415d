// Products of packed panels, the three forms that a contrastive loss needs, as a fraction of the arithmetic peak.
//
// Per item (one pair of rows) 2 D flops; the panels of one side stay in the caches. Nothing is done to a tile but to add it up.
#include "reckon/exec/tile.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>

#include "reckon/core/scratch.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using block = reckon::tile::block<float>;
constexpr std::size_t rows = 16 * block::rows, keys = 4096;

struct panels {
    std::size_t depth, columns;
    reckon::scratch_array<float> left, right, by_column, weights, sums, key_sums;
    explicit panels(std::size_t d)
        : depth(d),
          columns((d + block::rows - 1) / block::rows * block::rows),
          left(rows * columns),
          right(keys * d),
          by_column(keys * d),
          weights(rows * keys),
          sums(rows * d),
          key_sums(keys * columns) {
        const auto fill = [](reckon::scratch_array<float>& x, float value) {
            for (std::size_t i = 0; i < x.size(); ++i) x[i] = value;
        };
        fill(left, 1.0f);
        fill(right, 0.5f);
        fill(by_column, 0.25f);
        fill(weights, 0.125f);
        fill(sums, 0.0f);
        fill(key_sums, 0.0f);
    }
};

// rows x keys, summed over the keys: queries against keys.
double logits(panels& p) {
    float out[rows * block::pack::lanes] = {};
    for (std::size_t j = 0; j < keys / block::cols; ++j) {
        for (std::size_t i = 0; i < rows / block::rows; ++i) {
            block t;
            t.clear();
            t.multiply(p.depth, p.left.data() + i * block::rows * p.depth, 1, block::rows,
                       p.right.data() + j * block::cols * p.depth);
            float* const at = out + i * block::rows * block::pack::lanes;
#pragma GCC unroll 6
            for (std::size_t r = 0; r < block::rows; ++r) {
                (block::pack::load(at + r * block::pack::lanes) + t.at[r][0] + t.at[r][1])
                    .store(at + r * block::pack::lanes);
            }
        }
    }
    return static_cast<double>(out[0]) * static_cast<double>(block::pack::lanes) / static_cast<double>(keys * p.depth);
}
// rows x D: weights times keys.
double weighted_keys(panels& p) {
    constexpr std::size_t step = 256;
    for (std::size_t from = 0; from < keys; from += step) {
        for (std::size_t d = 0; d < p.depth; d += block::cols) {
            for (std::size_t i = 0; i < rows; i += block::rows) {
                float* const at = p.sums.data() + i * p.depth + d;
                block t;
                if (from == 0)
                    t.clear();
                else
                    t.load(at, p.depth);
                for (std::size_t j = from; j < from + step; j += block::cols) {
                    t.multiply(block::cols, p.weights.data() + j * rows + i * block::cols, block::cols, 1,
                               p.by_column.data() + d * keys + j * block::cols);
                }
                t.store(at, p.depth);
            }
        }
    }
    return static_cast<double>(p.sums[0]) / (0.125 * 0.25 * static_cast<double>(keys));
}
// keys x D: transposed weights times queries.
double weighted_queries(panels& p) {
    for (std::size_t j = 0; j < keys; j += block::cols) {
        for (std::size_t d = 0; d < p.columns; d += block::rows) {
            block t;
            t.clear();
            t.multiply(rows, p.left.data() + d * rows, 1, block::rows, p.weights.data() + j * rows);
            t.store(p.key_sums.data() + j * p.columns + d * block::cols, block::cols);
        }
    }
    return static_cast<double>(p.key_sums[0]) / (0.125 * static_cast<double>(rows));
}

void run(benchmark::State& state, double (*product)(panels&)) {
    panels p(static_cast<std::size_t>(state.range(0)));
    const double one = product(p);
    if (!bench::gate(state, std::fabs(product == logits ? one / 0.5 - 1.0 : one - 1.0), 1e-4)) return;
    for (auto _ : state) benchmark::DoNotOptimize(product(p));
    bench::report(state, rows * keys, {.flops = 2.0 * static_cast<double>(p.depth)}, rows * p.depth * sizeof(float));
}
void queries_times_keys(benchmark::State& state) {
    run(state, logits);
}
void weights_times_keys(benchmark::State& state) {
    run(state, weighted_keys);
}
void weights_times_queries(benchmark::State& state) {
    run(state, weighted_queries);
}

void depths(benchmark::internal::Benchmark* b) {
    for (const std::int64_t d : {32, 64, 128, 256, 768}) b->Arg(d);
}
BENCHMARK(queries_times_keys)->Apply(depths)->Apply(bench::repeated);
BENCHMARK(weights_times_keys)->Apply(depths)->Apply(bench::repeated);
BENCHMARK(weights_times_queries)->Apply(depths)->Apply(bench::repeated);

}  // namespace
