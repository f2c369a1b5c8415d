// Sums per value of categorical fields; an item is one row of one field.
//
// State: 32 bytes a cell. Per item: 4 bytes of id read and one cell read and written at random; per row 5 bytes of
// score and label. Beside it the plain loop over three arrays of double.
#include "reckon/metrics/field_stats.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;

constexpr std::size_t rows = 1'000'000;

struct log {
    buffer<float> p = reckon::bench::make_probabilities(rows);
    buffer<std::uint8_t> y = reckon::bench::make_labels<std::uint8_t>(p);
    buffer<std::int32_t> ids;
    std::size_t fields = 0;

    auto batch() const {
        return reckon::make_fielded("bench", p, y, reckon::matrix_view<const std::int32_t>(ids.data(), fields, rows));
    }
};

const log& make_log(std::size_t cells, std::size_t fields) {
    static log made;
    static std::size_t held = 0;
    if (held != cells || made.fields != fields) {
        made.fields = fields;
        made.ids = reckon::bench::make_uniform_ids(rows * fields, std::int32_t(cells));
        held = cells;
    }
    return made;
}

struct plain_sums {
    std::vector<double> n, predicted, observed;
    explicit plain_sums(std::size_t cells) : n(cells), predicted(cells), observed(cells) {}
    void absorb(const log& in, std::size_t field) {
        for (std::size_t i = 0; i < rows; ++i) {
            const auto c = std::size_t(in.ids[field * rows + i]);
            n[c] += 1;
            predicted[c] += double(in.p[i]);
            observed[c] += double(in.y[i]);
        }
    }
};

void finish(benchmark::State& state, std::size_t cells, std::size_t fields, std::size_t cell_bytes) {
    reckon::bench::report(state, rows * fields, {4, 4 + 5.0 / double(fields), 0}, cells * fields * cell_bytes);
}

// Arguments: cells a field, fields.
void field_stats_absorb(benchmark::State& state) {
    const auto cells = std::size_t(state.range(0)), fields = std::size_t(state.range(1));
    const log& in = make_log(cells, fields);
    reckon::field_stats stats(std::vector<std::size_t>(fields, cells));
    stats.absorb(in.batch());
    plain_sums expected(cells);
    expected.absorb(in, 0);
    double error = 0;
    for (std::size_t c = 0; c < cells; ++c) {
        error = std::fmax(error, std::fabs(stats.cells(0)[c].predicted - expected.predicted[c]));
        error = std::fmax(error, std::fabs(stats.cells(0)[c].observed - expected.observed[c]));
    }
    if (!reckon::bench::gate(state, error, 1e-6)) return;
    for (auto _ : state) {
        stats.absorb(in.batch());
        benchmark::ClobberMemory();
    }
    finish(state, cells, fields, 32);
}
BENCHMARK(field_stats_absorb)->ArgsProduct({{1'000, 100'000, 1'000'000}, {1, 3}})->Args({1'000, 10});

void field_stats_plain_loop(benchmark::State& state) {
    const auto cells = std::size_t(state.range(0)), fields = std::size_t(state.range(1));
    const log& in = make_log(cells, fields);
    std::vector<plain_sums> sums(fields, plain_sums(cells));
    for (auto _ : state) {
        for (std::size_t f = 0; f < fields; ++f) sums[f].absorb(in, f);
        benchmark::ClobberMemory();
    }
    finish(state, cells, fields, 24);
}
BENCHMARK(field_stats_plain_loop)->ArgsProduct({{1'000, 100'000, 1'000'000}, {1, 3}})->Args({1'000, 10});

}  // namespace
