// The metrics of scores and labels that have no program of their own: proper scores, reliability tables, Spiegelhalter's
// z, KS, slope and intercept, and MVCE.
//
// Bytes per example: 4 for the score and 1 for the label. Operations in double: proper scores one logarithm and 8,
// reliability a bin and 5 additions, Spiegelhalter 8, KS a radix sort, the slope a logarithm and an exponential for each of
// about five Newton steps, MVCE a random number and a swap per repeat. Beside each the plain loop that a user would
// write, which is also the reference.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "reckon/metrics/calibration_ks.hpp"
#include "reckon/metrics/calibration_slope.hpp"
#include "reckon/metrics/log_loss.hpp"
#include "reckon/metrics/mvce.hpp"
#include "reckon/metrics/reliability.hpp"
#include "reckon/metrics/spiegelhalter.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
using reckon::exec::serial;

struct columns {
    buffer<float> p;
    buffer<std::uint8_t> y;
};
columns make_columns(std::size_t n) {
    columns c;
    c.p = reckon::bench::make_probabilities(n);
    c.y = reckon::bench::make_labels<std::uint8_t>(c.p);
    return c;
}

constexpr std::size_t bins = 15;

double plain_log_loss(const columns& c) {
    double sum = 0;
    for (std::size_t i = 0; i < c.p.size(); ++i) {
        const double p = std::clamp(double(c.p[i]), 1e-7, 1 - 1e-7);
        sum -= c.y[i] != 0 ? std::log(p) : std::log1p(-p);
    }
    return sum / double(c.p.size());
}
double plain_ece(const columns& c) {
    std::vector<double> gap(bins);
    for (std::size_t i = 0; i < c.p.size(); ++i) {
        const double p = double(c.p[i]);
        gap[std::min(std::size_t(p * double(bins)), bins - 1)] += p - double(c.y[i]);
    }
    double sum = 0;
    for (const double g : gap) sum += std::fabs(g);
    return sum / double(c.p.size());
}
double plain_z(const columns& c) {
    double excess = 0, variance = 0;
    for (std::size_t i = 0; i < c.p.size(); ++i) {
        const double p = double(c.p[i]), slack = 1 - 2 * p;
        excess += (double(c.y[i]) - p) * slack;
        variance += slack * slack * p * (1 - p);
    }
    return excess / std::sqrt(variance);
}
double plain_ks(const columns& c) {
    std::vector<std::uint32_t> order(c.p.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return c.p[a] < c.p[b]; });
    double sum = 0, worst = 0;
    for (std::size_t i = 0; i < order.size(); ++i) {
        sum += double(c.p[order[i]]) - double(c.y[order[i]]);
        if (i + 1 == order.size() || c.p[order[i]] != c.p[order[i + 1]]) worst = std::max(worst, std::fabs(sum));
    }
    return worst / double(c.p.size());
}
double plain_slope(const columns& c) {
    double a = 1, b = 0;
    for (int pass = 0; pass < 50; ++pass) {
        double ga = 0, gb = 0, haa = 0, hab = 0, hbb = 0;
        for (std::size_t i = 0; i < c.p.size(); ++i) {
            const double p = double(c.p[i]), z = std::log(p) - std::log1p(-p);
            const double q = 1 / (1 + std::exp(-a * z - b)), r = q - double(c.y[i]), h = q * (1 - q);
            ga += r * z;
            gb += r;
            haa += h * z * z;
            hab += h * z;
            hbb += h;
        }
        const double det = haa * hbb - hab * hab;
        const double da = (hbb * ga - hab * gb) / det, db = (haa * gb - hab * ga) / det;
        a -= da;
        b -= db;
        if (std::fabs(da) + std::fabs(db) < 1e-10) break;
    }
    return a;
}
// Other random parts than the library's, so the two agree only as two draws of one distribution.
double plain_mvce(const columns& c, std::size_t repeats, std::size_t part_size) {
    std::vector<double> e(c.p.size());
    for (std::size_t i = 0; i < e.size(); ++i) e[i] = double(c.p[i]) - double(c.y[i]);
    std::mt19937_64 rng(1);
    double value = 0;
    for (std::size_t r = 0; r < repeats; ++r) {
        std::shuffle(e.begin(), e.end(), rng);
        double power = 0;
        const std::size_t parts = e.size() / part_size;
        for (std::size_t j = 0; j < parts; ++j) {
            const auto first = e.begin() + std::ptrdiff_t(j * part_size);
            const double mean = std::accumulate(first, first + std::ptrdiff_t(part_size), 0.0) / double(part_size);
            power += mean * mean;
        }
        value += std::sqrt(power / double(parts));
    }
    return value / double(repeats);
}

// items: how many examples one call looks at, repeats included.
template <class Run, class Plain>
void measure(benchmark::State& state, Run run, Plain plain, double allowed, double flops, std::size_t repeats = 1) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    const double want = reckon::bench::cached(n, [&](std::size_t) { return plain(data); });
    if (!reckon::bench::gate(state, std::fabs(run(data) - want) / std::fabs(want), allowed)) return;
    for (auto _ : state) benchmark::DoNotOptimize(run(data));
    reckon::bench::report(state, n * repeats, {.flops = flops, .bytes_read = 5}, n * 5);
}

void log_loss(benchmark::State& state) {
    measure(
        state, [](const columns& c) { return reckon::log_loss(serial, c.p, c.y); }, plain_log_loss, 1e-9, 30);
}
void plain_log_loss_loop(benchmark::State& state) {
    measure(state, plain_log_loss, plain_log_loss, 1e-9, 30);
}
void ece_width(benchmark::State& state) {
    measure(
        state, [](const columns& c) { return reckon::ece(serial, c.p, c.y); }, plain_ece, 1e-9, 6);
}
void plain_ece_loop(benchmark::State& state) {
    measure(state, plain_ece, plain_ece, 1e-9, 6);
}
void spiegelhalter(benchmark::State& state) {
    measure(
        state, [](const columns& c) { return reckon::spiegelhalter(serial, c.p, c.y).z(); }, plain_z, 1e-8, 9);
}
void plain_spiegelhalter_loop(benchmark::State& state) {
    measure(state, plain_z, plain_z, 1e-8, 9);
}
void calibration_ks(benchmark::State& state) {
    measure(
        state, [](const columns& c) { return reckon::calibration_ks(serial, c.p, c.y).value; }, plain_ks, 1e-8, 2);
}
void plain_ks_loop(benchmark::State& state) {
    measure(state, plain_ks, plain_ks, 1e-8, 2);
}
void calibration_slope(benchmark::State& state) {
    measure(
        state, [](const columns& c) { return reckon::calibration_slope(serial, c.p, c.y).slope; }, plain_slope, 1e-5,
        150);
}
void plain_slope_loop(benchmark::State& state) {
    measure(state, plain_slope, plain_slope, 1e-5, 150);
}
constexpr std::size_t repeats = 10, part_size = 200;
void mvce(benchmark::State& state) {
    measure(
        state,
        [](const columns& c) {
            return reckon::mvce(serial, c.p, c.y, {.part_size = part_size, .repeats = repeats}).value;
        },
        [](const columns& c) { return plain_mvce(c, repeats, part_size); }, 0.1, 2, repeats);
}
void plain_mvce_loop(benchmark::State& state) {
    const auto plain = [](const columns& c) { return plain_mvce(c, repeats, part_size); };
    measure(state, plain, plain, 0.1, 2, repeats);
}

BENCHMARK(log_loss)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_log_loss_loop)->Apply(reckon::bench::with_sizes);
BENCHMARK(ece_width)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_ece_loop)->Apply(reckon::bench::with_sizes);
BENCHMARK(spiegelhalter)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_spiegelhalter_loop)->Apply(reckon::bench::with_sizes);
BENCHMARK(calibration_ks)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_ks_loop)->Apply(reckon::bench::with_sizes);
BENCHMARK(calibration_slope)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_slope_loop)->Apply(reckon::bench::with_sizes);
BENCHMARK(mvce)->Arg(10'000)->Arg(1'000'000);
BENCHMARK(plain_mvce_loop)->Arg(10'000)->Arg(1'000'000);

}  // namespace
