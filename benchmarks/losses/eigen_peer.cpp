// InfoNCE as one writes it with Eigen: the matrix of logits, its powers, their sums; forward and with both gradients.
//
// The peer of contrastive.cpp, with its cases and items. Cost as there, and the N x N matrix once (three times in the one-liner): 4 bytes written
// and read per item and step.
#include <benchmark/benchmark.h>

#include <Eigen/Core>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/contrastive.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using rows = Eigen::Map<matrix>;
constexpr float t = static_cast<float>(bench::temperature);

struct mapped {
    rows q, k, dq, dk;
    Eigen::Map<Eigen::VectorXf> lse;
    explicit mapped(bench::batch& b)
        : q(of(b.q, b)), k(of(b.k, b)), dq(of(b.dq, b)), dk(of(b.dk, b)), lse(b.lse.data(), Eigen::Index(b.n)) {}
    static rows of(std::vector<float>& x, const bench::batch& b) {
        return {x.data(), Eigen::Index(b.n), Eigen::Index(b.depth)};
    }
    double loss() const { return double((lse.array() - q.cwiseProduct(k).rowwise().sum().array() / t).sum()); }
};

double one_line(mapped& m, matrix&) {
    m.lse = (m.q * m.k.transpose() / t).array().exp().rowwise().sum().log();
    return m.loss();
}
// The matrix is kept between calls, and the scale goes to the smaller factor.
double reused(mapped& m, matrix& logits) {
    logits.noalias() = (m.q * (1 / t)) * m.k.transpose();
    m.lse = logits.array().exp().rowwise().sum().log();
    return m.loss();
}
double gradients(mapped& m, matrix& powers) {
    powers.noalias() = (m.q * (1 / t)) * m.k.transpose();
    powers = powers.array().exp();
    const Eigen::VectorXf sums = powers.rowwise().sum();
    m.lse = sums.array().log();
    powers.array().colwise() *= (1 / t) / sums.array();
    m.dq.noalias() = powers * m.k;
    m.dq -= m.k / t;
    m.dk.noalias() = powers.transpose() * m.q;
    m.dk -= m.q / t;
    return m.loss();
}

// Largest difference of both gradients from the kernel's, over their largest value.
double gradient_error(bench::batch& b) {
    const std::vector<float> dq = b.dq, dk = b.dk;
    b.dq.assign(b.dq.size(), 0.0f);
    b.dk.assign(b.dk.size(), 0.0f);
    bench::info_nce_gradients(b);
    double worst = 0.0, largest = 0.0;
    for (std::size_t i = 0; i < dq.size(); ++i) {
        worst = std::fmax(worst, std::fabs(double(dq[i]) - double(b.dq[i])));
        worst = std::fmax(worst, std::fabs(double(dk[i]) - double(b.dk[i])));
        largest = std::fmax(largest, std::fabs(double(b.dq[i])));
    }
    return worst / largest;
}

void run(benchmark::State& state, double (*loss)(mapped&, matrix&), bool both) {
    bench::batch b(std::size_t(state.range(0)), std::size_t(state.range(1)));
    mapped m(b);
    matrix logits(Eigen::Index(b.n), Eigen::Index(b.n));
    loss(m, logits);
    if (!bench::gate(state, std::fmax(bench::error_of(b, bench::kind::plain), both ? gradient_error(b) : 0.0), 1e-4))
        return;
    for (auto _ : state) benchmark::DoNotOptimize(loss(m, logits));
    bench::report(state, b.n * b.n, {.flops = (both ? 3 : 1) * 2.0 * double(b.depth) + 12.0},
                  b.n * b.n * sizeof(float));
}
void eigen_one_line(benchmark::State& state) {
    run(state, one_line, false);
}
void eigen_info_nce(benchmark::State& state) {
    run(state, reused, false);
}
void eigen_info_nce_gradients(benchmark::State& state) {
    run(state, gradients, true);
}

void shapes(benchmark::internal::Benchmark* b) {
    b->ArgNames({"n", "d"});
    if (bench::smoke()) {
        b->Args({1021, 32});
        return;
    }
    for (const std::int64_t n : {1024, 4096, 16384}) b->Args({n, 128});
}
BENCHMARK(eigen_one_line)->Apply(shapes);
BENCHMARK(eigen_info_nce)->Apply(shapes);
BENCHMARK(eigen_info_nce_gradients)->Apply(shapes);

}  // namespace
