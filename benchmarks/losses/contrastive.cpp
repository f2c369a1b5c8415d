// InfoNCE, sampled softmax and the symmetric loss of unit rows, forward and with both gradients, beside the plain loop.
//
// State: one sum per row. Per item (a pair of query and key) forward 2 D flops and one power, 12 flops; with gradients
// three (InfoNCE) or four (symmetric, whose forward pass goes first) times the products and one or two powers; sampled
// softmax adds a number on top. Panels stay in the caches.
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/losses/clip_loss.hpp"
#include "reckon/losses/info_nce.hpp"
#include "reckon/losses/sampled_softmax.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using reckon::exec::serial;
constexpr double temperature = 0.05;

struct batch {
    std::size_t n, depth;
    std::vector<float> q, k, dq, dk, lse, column_lse, log_q;
    batch(std::size_t rows, std::size_t d)
        : n(rows), depth(d), q(unit(1)), k(unit(2)), dq(n * d), dk(n * d), lse(n), column_lse(n), log_q(n) {
        const reckon::random_stream rng(3);
        for (std::size_t j = 0; j < n; ++j) log_q[j] = static_cast<float>(-8.0 * rng.uniform(j));
    }
    std::vector<float> unit(std::uint64_t seed) const {
        const reckon::random_stream rng(seed);
        std::vector<float> x(n * depth);
        for (std::size_t i = 0; i < n; ++i) {
            double square = 0.0;
            for (std::size_t c = 0; c < depth; ++c) {
                x[i * depth + c] = static_cast<float>(rng.uniform(i * depth + c) - 0.5);
                square += static_cast<double>(x[i * depth + c]) * static_cast<double>(x[i * depth + c]);
            }
            for (std::size_t c = 0; c < depth; ++c) x[i * depth + c] *= static_cast<float>(1.0 / std::sqrt(square));
        }
        return x;
    }
    reckon::matrix_view<const float> queries() const { return {q.data(), n, depth}; }
    reckon::matrix_view<const float> keys() const { return {k.data(), n, depth}; }
    reckon::contrastive_gradients<float> gradients() {
        return {reckon::matrix_view<float>(dq.data(), n, depth), reckon::matrix_view<float>(dk.data(), n, depth)};
    }
};

double info_nce(batch& b) {
    return reckon::info_nce(serial, b.queries(), b.keys(), b.lse, {temperature}).sum();
}
double info_nce_gradients(batch& b) {
    return reckon::info_nce(serial, b.queries(), b.keys(), b.lse, {temperature}, b.gradients()).sum();
}
double sampled_softmax(batch& b) {
    return reckon::sampled_softmax(serial, b.queries(), b.keys(), b.log_q, b.lse, {temperature}).sum();
}
double sampled_softmax_gradients(batch& b) {
    return reckon::sampled_softmax(serial, b.queries(), b.keys(), b.log_q, b.lse, {temperature}, b.gradients()).sum();
}
double clip(batch& b) {
    return reckon::clip_loss(serial, b.queries(), b.keys(), b.lse, b.column_lse, {temperature}).sum();
}
double clip_gradients(batch& b) {
    return reckon::clip_loss(serial, b.queries(), b.keys(), b.lse, b.column_lse, {temperature}, b.gradients()).sum();
}
// The definition; its logits are of moderate size, so no maximum is taken.
double plain_loop(batch& b) {
    double loss = 0.0;
    for (std::size_t i = 0; i < b.n; ++i) {
        double sum = 0.0, own = 0.0;
        for (std::size_t j = 0; j < b.n; ++j) {
            float dot = 0.0f;
            for (std::size_t c = 0; c < b.depth; ++c) dot += b.q[i * b.depth + c] * b.k[j * b.depth + c];
            const float logit = dot / static_cast<float>(temperature);
            sum += static_cast<double>(std::exp(logit));
            if (i == j) own = static_cast<double>(logit);
        }
        loss += std::log(sum) - own;
    }
    return loss;
}
// The sums that the kernel wrote, on a few rows and columns.
enum class kind { plain, sampled, symmetric };
double error_of(batch& b, kind which) {
    double worst = 0.0;
    for (std::size_t i = 0; i < b.n; i += b.n / 7 + 1) {
        double across = 0.0, down = 0.0;
        for (std::size_t j = 0; j < b.n; ++j) {
            double row = 0.0, column = 0.0;
            for (std::size_t c = 0; c < b.depth; ++c) {
                row += static_cast<double>(b.q[i * b.depth + c]) * static_cast<double>(b.k[j * b.depth + c]);
                column += static_cast<double>(b.q[j * b.depth + c]) * static_cast<double>(b.k[i * b.depth + c]);
            }
            across += std::exp(row / temperature - (which == kind::sampled ? static_cast<double>(b.log_q[j]) : 0.0));
            down += std::exp(column / temperature);
        }
        worst = std::fmax(worst, std::fabs(static_cast<double>(b.lse[i]) / std::log(across) - 1.0));
        if (which == kind::symmetric)
            worst = std::fmax(worst, std::fabs(static_cast<double>(b.column_lse[i]) / std::log(down) - 1.0));
    }
    return worst;
}

void run(benchmark::State& state, double (*loss)(batch&), double products, double powers, kind which, bool writes) {
    batch b(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)));
    loss(b);
    if (!bench::gate(state, writes ? error_of(b, which) : std::fabs(loss(b) / info_nce(b) - 1.0), 1e-5)) return;
    for (auto _ : state) benchmark::DoNotOptimize(loss(b));
    bench::report(state, b.n * b.n, {.flops = products * 2.0 * static_cast<double>(b.depth) + 12.0 * powers},
                  96 * b.depth * sizeof(float));
}
void reckon_info_nce(benchmark::State& state) {
    run(state, info_nce, 1, 1, kind::plain, true);
}
void reckon_info_nce_gradients(benchmark::State& state) {
    run(state, info_nce_gradients, 3, 1, kind::plain, true);
}
void reckon_sampled_softmax(benchmark::State& state) {
    run(state, sampled_softmax, 1, 1, kind::sampled, true);
}
void reckon_sampled_softmax_gradients(benchmark::State& state) {
    run(state, sampled_softmax_gradients, 3, 1, kind::sampled, true);
}
void reckon_clip(benchmark::State& state) {
    run(state, clip, 1, 1, kind::symmetric, true);
}
void reckon_clip_gradients(benchmark::State& state) {
    run(state, clip_gradients, 4, 2, kind::symmetric, true);
}
void plain_info_nce(benchmark::State& state) {
    run(state, plain_loop, 1, 1, kind::plain, false);
}

void shapes(benchmark::internal::Benchmark* b) {
    b->ArgNames({"n", "d"});
    if (bench::smoke()) {
        b->Args({1021, 32});
        return;
    }
    for (const std::int64_t depth : {32, 64, 128, 256, 768}) b->Args({1024, depth});
    for (const std::int64_t n : {1021, 4096, 16384}) b->Args({n, 128});
}
BENCHMARK(reckon_info_nce)->Apply(shapes);
BENCHMARK(reckon_info_nce_gradients)->Apply(shapes);
BENCHMARK(reckon_sampled_softmax)->Apply(shapes);
BENCHMARK(reckon_sampled_softmax_gradients)->Apply(shapes);
BENCHMARK(reckon_clip)->Apply(shapes);
BENCHMARK(reckon_clip_gradients)->Apply(shapes);
BENCHMARK(plain_info_nce)->Args({1024, 128})->ArgNames({"n", "d"});

}  // namespace
