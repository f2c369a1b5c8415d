// Pairwise sigmoid, triplet and multi-similarity losses of unit rows, forward and with both gradients, beside plain
// loops.
//
// State: rows of logits. Per item (a pair of query and key) forward 2 D flops and for the pairwise sigmoid one power
// and its share of a logarithm, 20 flops, for the multi-similarity one power, 12; with gradients three times the
// products (the triplets: once, their gradients touch few rows) and a division. Labels have 8 rows each. Panels stay in
// the caches.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/losses/multi_similarity.hpp"
#include "reckon/losses/sigmoid_pair.hpp"
#include "reckon/losses/triplet.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using reckon::exec::serial;
constexpr double temperature = 0.1, bias = -10.0, margin = 0.2, alpha = 2.0, beta = 50.0, base = 0.5, epsilon = 0.1;

struct batch {
    std::size_t n, depth;
    std::vector<float> x, dq, dk;
    std::vector<std::uint64_t> labels;
    batch(std::size_t rows, std::size_t d) : n(rows), depth(d), x(n * d), dq(n * d), dk(n * d), labels(n) {
        const reckon::random_stream rng(1);
        for (std::size_t i = 0; i < n; ++i) {
            double square = 0.0;
            for (std::size_t c = 0; c < depth; ++c) {
                x[i * depth + c] = static_cast<float>(rng.uniform(i * depth + c) - 0.5);
                square += static_cast<double>(x[i * depth + c]) * static_cast<double>(x[i * depth + c]);
            }
            for (std::size_t c = 0; c < depth; ++c) x[i * depth + c] *= static_cast<float>(1.0 / std::sqrt(square));
            labels[i] = i % (n / 8 + 1);
        }
    }
    reckon::matrix_view<const float> rows(std::size_t count) const { return {x.data(), count, depth}; }
    reckon::vector_view<const std::uint64_t> row_labels(std::size_t count) const { return {labels.data(), count}; }
    reckon::contrastive_gradients<float> gradients(bool wanted) {
        if (!wanted) return {};
        return {reckon::matrix_view<float>(dq.data(), n, depth), reckon::matrix_view<float>(dk.data(), n, depth)};
    }
};

// Losses of the first `count` rows against all.
double sigmoid(batch& b, std::size_t count, bool gradients) {
    return reckon::sigmoid_pair(serial, b.rows(count), b.rows(b.n), {.temperature = temperature, .bias = bias},
                                b.gradients(gradients))
        .sum();
}
template <reckon::triplet_mining Mining>
double triplets(batch& b, std::size_t count, bool gradients) {
    return reckon::triplet(serial, b.rows(count), b.rows(b.n), b.row_labels(count), b.labels,
                           {.mining = Mining, .margin = margin, .first_self = 0}, b.gradients(gradients))
        .sum();
}
double multi(batch& b, std::size_t count, bool gradients) {
    return reckon::multi_similarity(serial, b.rows(count), b.rows(b.n), b.row_labels(count), b.labels,
                                    {.metric = reckon::similarity::dot, .first_self = 0}, b.gradients(gradients))
        .sum();
}

float dot(const batch& b, std::size_t i, std::size_t j) {
    float sum = 0.0f;
    for (std::size_t c = 0; c < b.depth; ++c) sum += b.x[i * b.depth + c] * b.x[j * b.depth + c];
    return sum;
}
// The definitions, forward.
double plain_sigmoid(batch& b, std::size_t count, bool) {
    double loss = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t j = 0; j < b.n; ++j) {
            const float y = (i == j ? -1.0f : 1.0f) * (dot(b, i, j) / float(temperature) + float(bias));
            loss += static_cast<double>(std::fmax(y, 0.0f) + std::log1p(std::exp(-std::fabs(y))));
        }
    }
    return loss;
}
struct split_row {
    std::vector<double> positives, negatives;
    split_row(const batch& b, std::size_t i) {
        for (std::size_t j = 0; j < b.n; ++j) {
            if (j != i)
                (b.labels[i] == b.labels[j] ? positives : negatives).push_back(static_cast<double>(dot(b, i, j)));
        }
    }
};
double plain_hard(batch& b, std::size_t count, bool) {
    double loss = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
        const split_row s(b, i);
        const double least = *std::min_element(s.positives.begin(), s.positives.end());
        loss += std::fmax(0.0, margin + 2.0 * (*std::max_element(s.negatives.begin(), s.negatives.end()) - least));
    }
    return loss;
}
double plain_semi(batch& b, std::size_t count, bool) {
    double loss = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
        const split_row s(b, i);
        for (const double p : s.positives) {
            double best = -2.0;
            for (const double m : s.negatives) best = m < p && m > best ? m : best;
            if (best == -2.0) best = *std::min_element(s.negatives.begin(), s.negatives.end());
            loss += std::fmax(0.0, margin + 2.0 * (best - p));
        }
    }
    return loss;
}
double plain_multi(batch& b, std::size_t count, bool) {
    double loss = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
        const split_row s(b, i);
        const double least = *std::min_element(s.positives.begin(), s.positives.end());
        const double most = *std::max_element(s.negatives.begin(), s.negatives.end());
        double pulls = 0.0, pushes = 0.0;
        for (const double p : s.positives) pulls += p < most + epsilon ? std::exp(-alpha * (p - base)) : 0.0;
        for (const double m : s.negatives) pushes += m > least - epsilon ? std::exp(beta * (m - base)) : 0.0;
        loss += std::log1p(pulls) / alpha + std::log1p(pushes) / beta;
    }
    return loss;
}

using loss_of = double (*)(batch&, std::size_t, bool);
void run(benchmark::State& state, loss_of loss, loss_of plain, bool gradients, double products, double flops) {
    batch b(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)));
    const std::size_t some = 40;
    if (!bench::gate(state, std::fabs(loss(b, some, false) / plain(b, some, false) - 1.0), 1e-5)) return;
    for (auto _ : state) benchmark::DoNotOptimize(loss(b, b.n, gradients));
    bench::report(state, b.n * b.n, {.flops = products * 2.0 * static_cast<double>(b.depth) + flops},
                  96 * b.depth * sizeof(float));
}
constexpr auto hard = triplets<reckon::triplet_mining::hard>, semi = triplets<reckon::triplet_mining::semi_hard>;

void reckon_sigmoid_pair(benchmark::State& state) {
    run(state, sigmoid, plain_sigmoid, false, 1, 20);
}
void reckon_sigmoid_pair_gradients(benchmark::State& state) {
    run(state, sigmoid, plain_sigmoid, true, 3, 24);
}
void reckon_triplet_hard(benchmark::State& state) {
    run(state, hard, plain_hard, false, 1, 0);
}
void reckon_triplet_hard_gradients(benchmark::State& state) {
    run(state, hard, plain_hard, true, 1, 0);
}
void reckon_triplet_semi_hard(benchmark::State& state) {
    run(state, semi, plain_semi, false, 1, 0);
}
void reckon_triplet_semi_hard_gradients(benchmark::State& state) {
    run(state, semi, plain_semi, true, 1, 0);
}
void reckon_multi_similarity(benchmark::State& state) {
    run(state, multi, plain_multi, false, 1, 12);
}
void reckon_multi_similarity_gradients(benchmark::State& state) {
    run(state, multi, plain_multi, true, 3, 24);
}
void plain_sigmoid_pair(benchmark::State& state) {
    run(state, plain_sigmoid, plain_sigmoid, false, 1, 20);
}
void plain_triplet_hard(benchmark::State& state) {
    run(state, plain_hard, plain_hard, false, 1, 0);
}
void plain_triplet_semi_hard(benchmark::State& state) {
    run(state, plain_semi, plain_semi, false, 1, 0);
}
void plain_multi_similarity(benchmark::State& state) {
    run(state, plain_multi, plain_multi, false, 1, 12);
}

void shapes(benchmark::internal::Benchmark* b) {
    b->ArgNames({"n", "d"});
    if (bench::smoke()) {
        b->Args({509, 32});
        return;
    }
    b->Args({1024, 128})->Args({4096, 128});
}
void small_shape(benchmark::internal::Benchmark* b) {
    b->ArgNames({"n", "d"})->Args({bench::smoke() ? 509 : 1024, bench::smoke() ? 32 : 128});
}
BENCHMARK(reckon_sigmoid_pair)->Apply(shapes);
BENCHMARK(reckon_sigmoid_pair_gradients)->Apply(shapes);
BENCHMARK(reckon_triplet_hard)->Apply(shapes);
BENCHMARK(reckon_triplet_hard_gradients)->Apply(shapes);
BENCHMARK(reckon_triplet_semi_hard)->Apply(shapes);
BENCHMARK(reckon_triplet_semi_hard_gradients)->Apply(shapes);
BENCHMARK(reckon_multi_similarity)->Apply(shapes);
BENCHMARK(reckon_multi_similarity_gradients)->Apply(shapes);
BENCHMARK(plain_sigmoid_pair)->Apply(small_shape);
BENCHMARK(plain_triplet_hard)->Apply(small_shape);
BENCHMARK(plain_triplet_semi_hard)->Apply(small_shape);
BENCHMARK(plain_multi_similarity)->Apply(small_shape);

}  // namespace
