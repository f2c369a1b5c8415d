// Log-loss, Brier score, PCOC, ECE, MCE and Spiegelhalter's z in one pass over unweighted predictions of 0/1 labels.
//
// State: 15 bins of 40 bytes; 5.8 KB of private copies are in use while a part is folded.
// Operations per example: about 18 in double for the sums, 3 additions to a bin, 1/16 logarithm.
// Beside it the plain loop, a logarithm and nine sums per example, which is also the reference.
#include "reckon/metrics/calibration_report.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;

constexpr std::size_t bins = 15;

struct figures {
    double log_loss = 0, brier = 0, pcoc = 0, ece = 0, mce = 0, z = 0;
    double all() const { return log_loss + brier + pcoc + ece + mce + z; }
};

template <class Label>
figures plain_loop(const buffer<float>& p, const buffer<Label>& y) {
    struct bin {
        double n = 0, p = 0, y = 0;
    };
    std::vector<bin> table(bins);
    double loss = 0, square = 0, excess = 0, variance = 0, sum_p = 0, sum_y = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
        const double q = double(p[i]), t = double(y[i]);
        const double clipped = std::clamp(q, 1e-7, 1 - 1e-7);
        loss -= t > 0 ? std::log(clipped) : std::log1p(-clipped);
        square += (q - t) * (q - t);
        excess += (t - q) * (1 - 2 * q);
        variance += (1 - 2 * q) * (1 - 2 * q) * q * (1 - q);
        sum_p += q;
        sum_y += t;
        bin& b = table[std::min(bins - 1, std::size_t(q * bins))];
        b.n += 1;
        b.p += q;
        b.y += t;
    }
    const double n = double(p.size());
    figures f{loss / n, square / n, sum_p / sum_y, 0, 0, excess / std::sqrt(variance)};
    for (const bin& b : table) {
        if (b.n == 0) continue;
        f.ece += std::abs(b.p - b.y) / n;
        f.mce = std::max(f.mce, std::abs(b.p - b.y) / b.n);
    }
    return f;
}

template <class Label>
figures one_pass(const buffer<float>& p, const buffer<Label>& y) {
    const auto f = reckon::calibration_report(reckon::exec::serial, p, y).finish();
    return {f.log_loss, f.brier, f.pcoc, f.ece, f.mce, f.spiegelhalter_z};
}

double error_of(const figures& got, const figures& want) {
    const std::vector<double> a{got.log_loss, got.brier, got.pcoc, got.ece, got.mce, got.z};
    const std::vector<double> b{want.log_loss, want.brier, want.pcoc, want.ece, want.mce, want.z};
    return reckon::bench::relative_error(a, b);
}

template <class Label, class Run>
void measure(benchmark::State& state, Run run) {
    const auto n = std::size_t(state.range(0));
    const auto& p = reckon::bench::cached(n, [](std::size_t k) { return reckon::bench::make_probabilities(k); });
    const auto& y = reckon::bench::cached(n, [&](std::size_t) { return reckon::bench::make_labels<Label>(p); });
    if (!reckon::bench::gate(state, error_of(run(p, y), plain_loop(p, y)), 1e-8)) return;
    for (auto _ : state) benchmark::DoNotOptimize(run(p, y).all());
    const double bytes = sizeof(float) + sizeof(Label);
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = bytes}, std::size_t(double(n) * bytes));
}

void calibration_report_bytes(benchmark::State& state) {
    measure<std::uint8_t>(state, [](const auto& p, const auto& y) { return one_pass(p, y); });
}
void calibration_report_floats(benchmark::State& state) {
    measure<float>(state, [](const auto& p, const auto& y) { return one_pass(p, y); });
}
void plain_loop_bytes(benchmark::State& state) {
    measure<std::uint8_t>(state, [](const auto& p, const auto& y) { return plain_loop(p, y); });
}

BENCHMARK(calibration_report_bytes)->Apply(reckon::bench::with_sizes);
BENCHMARK(calibration_report_floats)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_loop_bytes)->Apply(reckon::bench::with_sizes);

}  // namespace
