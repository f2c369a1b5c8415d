// Serving path of confcalib with three fields of 50, 2000 and 20000 values.
//
// State: 4 bytes a value. Per row: 4 bytes of score and 12 of ids read, 4 written, three look-ups, one exponential
// (ratio form; the logit form adds a logarithm and a division). Beside it the plain loop, and the time of a loop that
// only reads the same inputs and writes the same output.
#include "reckon/calibration/confcalib.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::confcalib;
using reckon::correction_kind;
using reckon::bench::buffer;

constexpr std::int32_t cardinalities[] = {50, 2000, 20000};

struct log {
    buffer<float> p;
    buffer<std::uint8_t> y;
    buffer<std::int32_t> ids;
    auto id_rows() const { return reckon::matrix_view<const std::int32_t>(ids.data(), 3, p.size()); }
};

log make_log(std::size_t n) {
    log made;
    made.p = reckon::bench::make_probabilities(n);
    made.y = reckon::bench::make_labels<std::uint8_t>(made.p);
    made.ids = buffer<std::int32_t>(3 * n);
    for (std::size_t f = 0; f < 3; ++f) {
        const auto ids = reckon::bench::make_zipf_ids(n, cardinalities[f], 1.05, 5 + f);
        std::copy(ids.begin(), ids.end(), made.ids.begin() + std::ptrdiff_t(f * n));
    }
    return made;
}

confcalib fit(const log& in, correction_kind correction) {
    reckon::confcalib_options options;
    options.correction = correction;
    options.cardinalities.assign(std::begin(cardinalities), std::end(cardinalities));
    return confcalib::fit(reckon::exec::serial, in.p, in.y, in.id_rows(), reckon::none{}, options);
}

void plain_apply(const confcalib& c, const log& in, buffer<float>& out) {
    const std::size_t n = in.p.size();
    for (std::size_t i = 0; i < n; ++i) {
        double d = c.shift();
        for (std::size_t f = 0; f < 3; ++f) {
            const std::int32_t id = in.ids[f * n + i];
            if (id >= 0 && std::size_t(id) < c.values(f)) d += c.field_weights()[f] * c.corrections(f)[std::size_t(id)];
        }
        const float p = in.p[i];
        const float q = c.correction() == correction_kind::ratio
                            ? p * std::exp(float(d))
                            : 1 / (1 + std::exp(-(std::log(p / (1 - p)) + float(d))));
        out[i] = (std::min)((std::max)(q, 1e-7f), float(1 - 1e-7));
    }
}

template <class Body>
void measure(benchmark::State& state, correction_kind correction, double flops, Body&& body) {
    const auto n = std::size_t(state.range(0));
    const log& in = reckon::bench::cached(n, make_log);
    const confcalib c = fit(in, correction);
    buffer<float> out(n), expected(n);
    plain_apply(c, in, expected);
    body(c, in, out);
    double error = 0;
    for (std::size_t i = 0; i < n; ++i) error = (std::max)(error, std::fabs(double(out[i]) - double(expected[i])));
    if (!reckon::bench::gate(state, error, 1e-5)) return;
    for (auto _ : state) {
        body(c, in, out);
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    reckon::bench::report(state, n, {flops, 16, 4}, 20 * n);
}

void apply(const confcalib& c, const log& in, buffer<float>& out) {
    c.apply(reckon::exec::serial, in.p, in.id_rows(), out);
}

void confcalib_apply_ratio(benchmark::State& state) {
    measure(state, correction_kind::ratio, 25, apply);
}
BENCHMARK(confcalib_apply_ratio)->Apply(reckon::bench::with_sizes);

void confcalib_apply_logit(benchmark::State& state) {
    measure(state, correction_kind::logit, 70, apply);
}
BENCHMARK(confcalib_apply_logit)->Apply(reckon::bench::with_sizes);

void confcalib_plain_loop_ratio(benchmark::State& state) {
    measure(state, correction_kind::ratio, 25, plain_apply);
}
BENCHMARK(confcalib_plain_loop_ratio)->Apply(reckon::bench::with_sizes);

// Reads all inputs and writes the output: what memory alone costs.
void confcalib_read_and_write(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const log& in = reckon::bench::cached(n, make_log);
    buffer<float> out(n);
    using V = reckon::simd::pack<float>;
    const auto* const ids = reinterpret_cast<const unsigned char*>(in.ids.data());
    const auto bits = [&](std::size_t at) {
        float lanes[V::lanes];
        std::memcpy(lanes, ids + 4 * at, sizeof lanes);
        return V::load(lanes);
    };
    for (auto _ : state) {
        for (std::size_t i = 0; i + V::lanes <= n; i += V::lanes) {
            (V::load(in.p.data() + i) + bits(i) + bits(n + i) + bits(2 * n + i)).store(out.data() + i);
        }
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    reckon::bench::report(state, n, {4, 16, 4}, 20 * n);
}
BENCHMARK(confcalib_read_and_write)->Apply(reckon::bench::with_sizes);

}  // namespace
