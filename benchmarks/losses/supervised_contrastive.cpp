// Supervised contrastive loss of unit rows, forward and with the gradient, beside the plain loop.
//
// State: one sum per row. An item is a pair of pairs: N^2 of them with n = 2 N rows, so that NT-Xent of N pairs of views counts N^2
// as other libraries do. Per item forward 4 D flops and two powers of 12 flops, because of the four products of two views
// with two views two are the transposes of the others; with the gradient 16 D flops and four powers. A pair of rows, of which there
// are n^2, takes a quarter of it. Distances add one addition a logit and a column to the gradient.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/losses/supervised_contrastive.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using reckon::similarity;
using reckon::supcon_form;
using reckon::exec::serial;
constexpr double temperature = 0.1;

struct batch {
    std::size_t n, depth;
    reckon::supervised_contrastive_options options;
    std::vector<float> rows, slopes, lse;
    std::vector<std::uint32_t> labels;
    batch(std::size_t count, std::size_t d, std::size_t classes, supcon_form form, similarity metric)
        : n(count), depth(d), options{temperature, form, metric}, rows(n * d), slopes(n * d), lse(n), labels(n) {
        const reckon::random_stream rng(1), label(2);
        for (std::size_t i = 0; i < n; ++i) {
            // No number of classes: pairs of views, N rows apart.
            labels[i] = static_cast<std::uint32_t>(classes == 0 ? i % (n / 2) : label.below(i, classes));
            double square = 0.0;
            for (std::size_t c = 0; c < depth; ++c) {
                rows[i * depth + c] = static_cast<float>(rng.uniform(i * depth + c) - 0.5);
                square += static_cast<double>(rows[i * depth + c]) * static_cast<double>(rows[i * depth + c]);
            }
            for (std::size_t c = 0; c < depth; ++c) rows[i * depth + c] *= static_cast<float>(1.0 / std::sqrt(square));
        }
    }
    reckon::matrix_view<const float> view() const { return {rows.data(), n, depth}; }
    bool distances() const { return options.metric == similarity::squared_distance; }
    double logit(std::size_t i, std::size_t j) const {
        double sum = 0.0;
        for (std::size_t c = 0; c < depth; ++c) {
            const double a = static_cast<double>(rows[i * depth + c]), b = static_cast<double>(rows[j * depth + c]);
            sum += distances() ? -(a - b) * (a - b) : a * b;
        }
        return sum / temperature;
    }
    // Slope of the logit by z_ic.
    double slope(std::size_t i, std::size_t j, std::size_t c) const {
        const double a = static_cast<double>(rows[i * depth + c]), b = static_cast<double>(rows[j * depth + c]);
        return (distances() ? 2.0 * (b - a) : b) / temperature;
    }
};

double forward(batch& b) {
    return reckon::supervised_contrastive(serial, b.view(), b.labels, b.lse, b.options).sum();
}
double gradients(batch& b) {
    return reckon::supervised_contrastive(serial, b.view(), b.labels, b.lse, b.options,
                                          {.rows = {b.slopes.data(), b.n, b.depth}})
        .sum();
}
// The definition of the 'out' form; its logits are of moderate size, so no maximum is taken.
double plain_loop(batch& b) {
    double loss = 0.0;
    for (std::size_t i = 0; i < b.n; ++i) {
        double sum = 0.0, own = 0.0, positives = 0.0;
        for (std::size_t j = 0; j < b.n; ++j) {
            if (i == j) continue;
            float dot = 0.0f;
            for (std::size_t c = 0; c < b.depth; ++c) dot += b.rows[i * b.depth + c] * b.rows[j * b.depth + c];
            const float logit = dot / static_cast<float>(temperature);
            sum += static_cast<double>(std::exp(logit));
            if (b.labels[i] != b.labels[j]) continue;
            own += static_cast<double>(logit);
            positives += 1.0;
        }
        b.lse[i] = static_cast<float>(std::log(sum));
        if (positives > 0.0) loss += std::log(sum) - own / positives;
    }
    return loss;
}

// Sums of some rows and, where it was written, their gradient, against the definition.
double error_of(batch& b, bool slopes) {
    double worst = 0.0;
    std::vector<int> alike(b.n);
    for (const std::uint32_t label : b.labels) ++alike[label];
    for (std::size_t i = 0; i < b.n; i += b.n / 5 + 1) {
        std::vector<double> logits(b.n), want(b.depth);
        double sum = 0.0, positives = 0.0;
        for (std::size_t j = 0; j < b.n; ++j) {
            if (i == j) continue;
            logits[j] = b.logit(i, j);
            sum += std::exp(logits[j]);
            if (b.labels[i] != b.labels[j]) continue;
            positives += 1.0;
        }
        worst = std::fmax(worst, std::fabs(static_cast<double>(b.lse[i]) / std::log(sum) - 1.0));
        if (!slopes || b.options.form != supcon_form::out) continue;
        for (std::size_t j = 0; j < b.n; ++j) {
            if (i == j) continue;
            double w = 0.0;  // rows without a positive add no term
            if (positives > 0.0) w += std::exp(logits[j]) / sum;
            if (alike[b.labels[j]] > 1) w += std::exp(logits[j] - static_cast<double>(b.lse[j]));
            if (b.labels[i] == b.labels[j]) w -= 2.0 / positives;
            for (std::size_t c = 0; c < b.depth; ++c) {
                want[c] += w * b.slope(i, j, c);
            }
        }
        double square = 0.0, off = 0.0;
        for (std::size_t c = 0; c < b.depth; ++c) {
            const double d = static_cast<double>(b.slopes[i * b.depth + c]) - want[c];
            square += want[c] * want[c];
            off += d * d;
        }
        worst = std::fmax(worst, std::sqrt(off / square));
    }
    return worst;
}

void run(benchmark::State& state, double (*loss)(batch&), supcon_form form, double products, double powers, bool slopes,
         similarity metric = similarity::dot) {
    batch b(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)),
            static_cast<std::size_t>(state.range(2)), form, metric);
    loss(b);
    if (!bench::gate(state, error_of(b, slopes), 1e-5)) return;
    for (auto _ : state) benchmark::DoNotOptimize(loss(b));
    bench::report(state, b.n * b.n / 4, {.flops = products * 2.0 * static_cast<double>(b.depth) + 12.0 * powers},
                  96 * b.depth * sizeof(float));
}
void reckon_supcon(benchmark::State& state) {
    run(state, forward, supcon_form::out, 2, 2, false);
}
void reckon_supcon_gradient(benchmark::State& state) {
    run(state, gradients, supcon_form::out, 8, 4, true);
}
void reckon_supcon_in_gradient(benchmark::State& state) {
    run(state, gradients, supcon_form::in, 8, 4, true);
}
void reckon_supcon_distance(benchmark::State& state) {
    run(state, forward, supcon_form::out, 2, 2, false, similarity::squared_distance);
}
void reckon_supcon_distance_gradient(benchmark::State& state) {
    run(state, gradients, supcon_form::out, 8, 4, true, similarity::squared_distance);
}
void plain_supcon(benchmark::State& state) {
    run(state, plain_loop, supcon_form::out, 2, 2, false);
}

void shapes(benchmark::internal::Benchmark* b) {
    b->ArgNames({"n", "d", "classes"});
    if (bench::smoke()) {
        b->Args({1022, 32, 10});
        return;
    }
    for (const std::int64_t n : {2048, 8192}) {
        for (const std::int64_t depth : {64, 128, 256}) b->Args({n, depth, 0});
        for (const std::int64_t classes : {10, 1000}) b->Args({n, 128, classes});
    }
}
BENCHMARK(reckon_supcon)->Apply(shapes);
BENCHMARK(reckon_supcon_gradient)->Apply(shapes);
BENCHMARK(reckon_supcon_in_gradient)->Apply(shapes);
BENCHMARK(reckon_supcon_distance)->Args({2048, 128, 0})->ArgNames({"n", "d", "classes"});
BENCHMARK(reckon_supcon_distance_gradient)->Args({2048, 128, 0})->ArgNames({"n", "d", "classes"});
BENCHMARK(plain_supcon)->Args({1022, 128, 0})->ArgNames({"n", "d", "classes"});

}  // namespace
