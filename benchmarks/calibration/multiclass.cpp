// Multiclass calibrators: fit and apply from logits, an item being one score (a row has K of them).
//
// Temperature: one exponential a score and pass, the state is 2 sums. Vector scaling: one exponential and 2 K
// multiply-adds a score and pass, the state has 2 K^2 sums. Dirichlet calibration: K (K + 1)^2 / 4 multiply-adds a
// score and pass. apply: one exponential a score (and K multiply-adds for Dirichlet calibration); it reads 4 bytes
// and writes 4. Fits check the rows, start from a sixteenth of them and make a few passes in double. Beside them
// plain loops over rows in double with the C library's exp: the temperature by Newton's method, and softmax.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/calibration/dirichlet_calibration.hpp"
#include "reckon/calibration/multiclass_temperature.hpp"
#include "reckon/calibration/vector_scaling.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
namespace exec = reckon::exec;

constexpr std::size_t scores_in_all = 300'000;
constexpr reckon::bench::item_cost fit_cost{.flops = 4 * 35, .bytes_read = 4 * 4};
constexpr reckon::bench::item_cost apply_cost{.flops = 30, .bytes_read = 4, .bytes_written = 4};

struct columns {
    std::size_t classes = 0, rows = 0;
    buffer<float> logits, out;
    buffer<std::int32_t> labels;

    reckon::matrix_view<const float> scores() const { return {logits.data(), rows, classes}; }
};

// Logits that are too extreme: classes are drawn from softmax(0.7 z).
columns make_columns(std::size_t classes) {
    columns c;
    c.classes = classes;
    c.rows = scores_in_all / classes;
    c.logits.resize(c.rows * classes);
    c.out.resize(c.logits.size());
    c.labels.resize(c.rows);
    reckon::bench::generator g(1);
    for (float& z : c.logits) z = float(2 * g.normal());
    std::vector<double> p(classes);
    for (std::size_t i = 0; i < c.rows; ++i) {
        double sum = 0;
        for (std::size_t k = 0; k < classes; ++k) sum += p[k] = std::exp(0.7 * double(c.logits[i * classes + k]));
        double u = g.uniform() * sum;
        std::size_t y = 0;
        while (y + 1 < classes && u >= p[y]) u -= p[y++];
        c.labels[i] = std::int32_t(y);
    }
    return c;
}

double plain_temperature(const columns& c) {
    double beta = 1;
    for (int pass = 0; pass < 100; ++pass) {
        double gradient = 0, curvature = 0;
        for (std::size_t i = 0; i < c.rows; ++i) {
            const float* const z = c.logits.data() + i * c.classes;
            const double most = double(*std::max_element(z, z + c.classes));
            double sum = 0, mean = 0, square = 0;
            for (std::size_t k = 0; k < c.classes; ++k) {
                const double d = double(z[k]) - most, e = std::exp(beta * d);
                sum += e;
                mean += e * d;
                square += e * d * d;
            }
            mean /= sum;
            gradient += mean - (double(z[c.labels[i]]) - most);
            curvature += square / sum - mean * mean;
        }
        const double step = gradient / curvature;
        beta -= step;
        if (std::fabs(step) < 1e-9) break;
    }
    return beta;
}

void plain_softmax(const columns& c, buffer<float>& out, double beta) {
    std::vector<double> e(c.classes);
    for (std::size_t i = 0; i < c.rows; ++i) {
        const float* const z = c.logits.data() + i * c.classes;
        const double most = double(*std::max_element(z, z + c.classes));
        double sum = 0;
        for (std::size_t k = 0; k < c.classes; ++k) sum += e[k] = std::exp(beta * (double(z[k]) - most));
        for (std::size_t k = 0; k < c.classes; ++k) out[i * c.classes + k] = float(e[k] / sum);
    }
}

template <class Run>
void measure_fit(benchmark::State& state, Run run) {
    const auto& data = reckon::bench::cached(std::size_t(state.range(0)), make_columns);
    const double want = reckon::bench::cached(data.classes, [&](std::size_t) { return plain_temperature(data); });
    // Slopes of the other calibrators scatter around the temperature.
    const double got = run(data);
    if (!reckon::bench::gate(state, std::fabs(got - want), 0.05)) return;
    for (auto _ : state) benchmark::DoNotOptimize(run(data));
    reckon::bench::report(state, data.logits.size(), fit_cost, data.logits.size() * 4);
}

template <class Run>
void measure_apply(benchmark::State& state, Run run) {
    const auto& data = reckon::bench::cached(std::size_t(state.range(0)), make_columns);
    buffer<float> out(data.logits.size()), want(data.logits.size());
    plain_softmax(data, want, 0.7);
    run(data, out);
    if (!reckon::bench::gate(state, reckon::bench::relative_error(out, want, 1e-3), 1e-4)) return;
    for (auto _ : state) {
        run(data, out);
        benchmark::DoNotOptimize(out.data());
    }
    reckon::bench::report(state, data.logits.size(), apply_cost, data.logits.size() * 8);
}

double mean_of(const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v;
    return sum / double(values.size());
}
reckon::matrix_view<float> room(const columns& data, buffer<float>& out) {
    return {out.data(), data.rows, data.classes};
}

void multiclass_temperature_fit(benchmark::State& state) {
    measure_fit(state, [](const columns& data) {
        return reckon::multiclass_temperature::fit(exec::serial, data.scores(), data.labels, reckon::none{},
                                                   {.input = reckon::score_kind::logit})
            .beta();
    });
}
void plain_temperature_fit(benchmark::State& state) {
    measure_fit(state, plain_temperature);
}
void vector_scaling_fit(benchmark::State& state) {
    measure_fit(state, [](const columns& data) {
        return mean_of(reckon::vector_scaling::fit(exec::serial, data.scores(), data.labels, reckon::none{},
                                                   {.input = reckon::score_kind::logit})
                           .slopes());
    });
}
void dirichlet_calibration_fit(benchmark::State& state) {
    measure_fit(state, [](const columns& data) {
        const auto c = reckon::dirichlet_calibration::fit(exec::serial, data.scores(), data.labels, reckon::none{},
                                                          {.input = reckon::score_kind::logit});
        // A column's own weight less the mean of the others: what it gives to its class.
        const double n = double(data.classes);
        double own = 0, all = 0;
        for (std::size_t k = 0; k < data.classes; ++k) {
            own += c.weights()(k, k) / n;
            for (const double w : c.weights().row(k)) all += w / n;
        }
        return own - (all - own) / (n - 1);
    });
}
void multiclass_temperature_apply(benchmark::State& state) {
    const reckon::multiclass_temperature c(0.7, std::size_t(state.range(0)), reckon::score_kind::logit);
    measure_apply(
        state, [&](const columns& data, buffer<float>& out) { c.apply(exec::serial, data.scores(), room(data, out)); });
}
void vector_scaling_apply(benchmark::State& state) {
    const auto classes = std::size_t(state.range(0));
    const reckon::vector_scaling c(std::vector<double>(classes, 0.7), std::vector<double>(classes, 0.0),
                                   reckon::score_kind::logit);
    measure_apply(
        state, [&](const columns& data, buffer<float>& out) { c.apply(exec::serial, data.scores(), room(data, out)); });
}
void dirichlet_calibration_apply(benchmark::State& state) {
    const auto classes = std::size_t(state.range(0));
    std::vector<double> weights(classes * classes, 0.0);
    for (std::size_t k = 0; k < classes; ++k) weights[k * classes + k] = 0.7;
    const reckon::dirichlet_calibration c(weights, std::vector<double>(classes, 0.0), reckon::score_kind::logit);
    measure_apply(
        state, [&](const columns& data, buffer<float>& out) { c.apply(exec::serial, data.scores(), room(data, out)); });
}
void plain_softmax_apply(benchmark::State& state) {
    measure_apply(state, [](const columns& data, buffer<float>& out) { plain_softmax(data, out, 0.7); });
}

void with_classes(benchmark::internal::Benchmark* b) {
    for (const std::int64_t k : {3, 10, 100}) b->Arg(k);
}

BENCHMARK(multiclass_temperature_fit)->Apply(with_classes);
BENCHMARK(plain_temperature_fit)->Apply(with_classes);
BENCHMARK(vector_scaling_fit)->Apply(with_classes);
BENCHMARK(dirichlet_calibration_fit)->Arg(3)->Arg(10);
BENCHMARK(multiclass_temperature_apply)->Apply(with_classes);
BENCHMARK(vector_scaling_apply)->Apply(with_classes);
BENCHMARK(dirichlet_calibration_apply)->Arg(3)->Arg(10);
BENCHMARK(plain_softmax_apply)->Apply(with_classes);

}  // namespace
