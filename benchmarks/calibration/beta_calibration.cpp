// Beta calibration, Gaussian and Gamma scaling: fits and maps.
//
// State: 9 sums in double a part; beta calibration adds 8 bytes a row for two logarithms, Gamma scaling 8 for its columns.
// Operations per example: one pass reads 12 bytes (Gaussian: 8) and makes one exponential, one division and about 40 other
// lane operations; a fit makes one pass with up to two logarithms and about three of these. Beside it Newton's method as the
// textbook has it, row by row with the C library's functions in double.
#include "reckon/calibration/beta_calibration.hpp"

#include <benchmark/benchmark.h>

#include <array>
#include <cmath>
#include <cstddef>

#include "reckon/calibration/gamma_scaling.hpp"
#include "reckon/calibration/gaussian_scaling.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
namespace exec = reckon::exec;

constexpr reckon::bench::item_cost beta_cost{.flops = 3 * 50 + 70, .bytes_read = 4 * 12, .bytes_written = 8};
constexpr reckon::bench::item_cost gaussian_cost{.flops = 3 * 50 + 12, .bytes_read = 4 * 8};

struct columns {
    buffer<float> logits, scores, labels;
};
columns make_columns(std::size_t n) {
    columns c;
    c.logits = reckon::bench::make_logits(n);
    c.scores = reckon::bench::make_probabilities(n);  // the same scores
    buffer<float> truth(n);
    for (std::size_t i = 0; i < n; ++i) {
        const double p = double(c.scores[i]);
        truth[i] = float(1 / (1 + std::exp(-(0.8 * std::log(p) - 1.3 * std::log1p(-p) + 0.2))));
    }
    c.labels = reckon::bench::make_labels(truth);
    return c;
}

using three = std::array<double, 3>;
using raised = three (*)(double);
three beta_row(double p) {
    return {std::log(p), -std::log1p(-p), 1.0};
}
three gaussian_row(double s) {
    return {s * s, s, 1.0};
}
three gamma_row(double s) {
    return {std::log(s), s, 1.0};
}

three plain_fit(const buffer<float>& scores, const buffer<float>& labels, raised row) {
    double positive = 0;
    for (const float label : labels) positive += double(label);
    const double n = double(labels.size()), high = (positive + 1) / (positive + 2), low = 1 / (n - positive + 2);
    three t{0, 0, std::log((positive + 1) / (n - positive + 1))};
    for (int pass = 0; pass < 100; ++pass) {
        double g[3] = {}, h[3][4] = {};
        for (std::size_t i = 0; i < scores.size(); ++i) {
            const three x = row(double(scores[i]));
            const double p = 1 / (1 + std::exp(-(t[0] * x[0] + t[1] * x[1] + t[2])));
            const double r = p - (labels[i] > 0 ? high : low), q = p * (1 - p);
            for (std::size_t j = 0; j < 3; ++j) {
                g[j] += r * x[j];
                for (std::size_t k = 0; k < 3; ++k) h[j][k] += q * x[j] * x[k];
            }
        }
        double size = 0;
        for (int j = 0; j < 3; ++j) h[j][3] = -g[j];
        for (int j = 0; j < 3; ++j) {
            for (int k = 0; k < 3; ++k) {
                if (k == j) continue;
                const double r = h[k][j] / h[j][j];
                for (int l = 0; l < 4; ++l) h[k][l] -= r * h[j][l];
            }
        }
        for (std::size_t j = 0; j < 3; ++j) {
            t[j] += h[j][3] / h[j][j];
            size += std::fabs(h[j][3] / h[j][j]);
        }
        if (size < 1e-8) break;
    }
    return t;
}

template <class Fit>
void measure_fit(benchmark::State& state, buffer<float> columns::*scores, raised row, reckon::bench::item_cost cost,
                 Fit fit) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    const three want = plain_fit(data.*scores, data.labels, row);
    const auto model = fit(data);
    double error = 0;
    for (int i = 1; i < 100; ++i) {
        const double s = double((data.*scores)[std::size_t(i) * n / 100]);
        const three x = row(s);
        const double p = 1 / (1 + std::exp(-(want[0] * x[0] + want[1] * x[1] + want[2])));
        error = std::fmax(error, std::fabs(model(s) - p));
    }
    if (!reckon::bench::gate(state, error, 1e-5)) return;
    for (auto _ : state) benchmark::DoNotOptimize(fit(data));
    reckon::bench::report(state, n, cost, n * 8);
}

void beta_fit(benchmark::State& state) {
    measure_fit(state, &columns::scores, beta_row, beta_cost, [](const columns& data) {
        return reckon::beta_calibration::fit(exec::serial, data.scores, data.labels);
    });
}
void gaussian_fit(benchmark::State& state) {
    measure_fit(state, &columns::logits, gaussian_row, gaussian_cost, [](const columns& data) {
        return reckon::gaussian_scaling::fit(exec::serial, data.logits, data.labels);
    });
}
void gamma_fit(benchmark::State& state) {
    measure_fit(state, &columns::scores, gamma_row, beta_cost,
                [](const columns& data) { return reckon::gamma_scaling::fit(exec::serial, data.scores, data.labels); });
}
void plain_beta_fit(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    for (auto _ : state) benchmark::DoNotOptimize(plain_fit(data.scores, data.labels, beta_row));
    reckon::bench::report(state, n, beta_cost, n * 8);
}

template <class Model>
void measure_map(benchmark::State& state, const Model& model, double flops) {
    const auto n = std::size_t(state.range(0));
    const auto& data = reckon::bench::cached(n, make_columns);
    buffer<float> out(n);
    model.apply(exec::serial, data.scores, out);
    double error = 0;
    for (std::size_t i = 0; i < n; i += 97)
        error = std::fmax(error, std::fabs(double(out[i]) - model(double(data.scores[i]))));
    if (!reckon::bench::gate(state, error, 1e-6)) return;
    for (auto _ : state) {
        model.apply(exec::serial, data.scores, out);
        benchmark::ClobberMemory();
    }
    reckon::bench::report(state, n, {.flops = flops, .bytes_read = 4, .bytes_written = 4}, n * 8);
}
void beta_apply(benchmark::State& state) {
    measure_map(state, reckon::beta_calibration(0.8, 1.3, 0.2), 90);
}
void gaussian_apply(benchmark::State& state) {
    measure_map(state, reckon::gaussian_scaling(4.0, 8.0, -1.5, 0.0, 1.0, 0.2), 40);
}
void gamma_apply(benchmark::State& state) {
    measure_map(state, reckon::gamma_scaling(0.5, 3.0, -1.5, 1e-3, 1.0, 0.2), 65);
}

BENCHMARK(beta_fit)->Apply(reckon::bench::with_sizes);
BENCHMARK(gaussian_fit)->Apply(reckon::bench::with_sizes);
BENCHMARK(gamma_fit)->Apply(reckon::bench::with_sizes);
BENCHMARK(plain_beta_fit)->Apply(reckon::bench::with_sizes);
BENCHMARK(beta_apply)->Apply(reckon::bench::with_sizes);
BENCHMARK(gaussian_apply)->Apply(reckon::bench::with_sizes);
BENCHMARK(gamma_apply)->Apply(reckon::bench::with_sizes);

}  // namespace
