// Beta-binomial likelihood with both gradients, double, 0 to 20 trials a row.
//
// State: one sum. Per item 24 bytes read and 16 written. A row of n trials makes 2 (n - 1) divisions, an eighth as many
// logarithms and two more; lanes hold rows, so a pack goes as far as its longest row: about 17 steps here. Beside it
// the textbook form: six calls of lgamma and six of digamma.
#include "reckon/uncertainty/beta_binomial.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using bench::buffer;

constexpr bench::item_cost cost{.flops = 17 * 12 + 60, .bytes_read = 24, .bytes_written = 16};

struct columns {
    buffer<double> alpha, beta;
    buffer<std::uint32_t> successes, trials;
};
columns make_columns(std::size_t n) {
    bench::generator g(7);
    columns c{buffer<double>(n), buffer<double>(n), buffer<std::uint32_t>(n), buffer<std::uint32_t>(n)};
    for (std::size_t i = 0; i < n; ++i) {
        c.alpha[i] = std::exp(g.normal());
        c.beta[i] = std::exp(2 + g.normal());
        c.trials[i] = std::uint32_t(21 * g.uniform());
        c.successes[i] = std::uint32_t((c.trials[i] + 1) * g.uniform());
    }
    return c;
}

double digamma(double x) {
    double below = 0;
    for (; x < 6; x += 1) below += 1 / x;
    const double r = 1 / (x * x);
    return std::log(x) - 0.5 / x - r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r / 132)))) -
           below;
}
double plain_likelihood(const columns& data, buffer<double>& d_alpha, buffer<double>& d_beta) {
    double sum = 0;
    const auto log_beta = [](double a, double b) { return std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b); };
    for (std::size_t i = 0; i < data.alpha.size(); ++i) {
        const double a = data.alpha[i], b = data.beta[i], k = data.successes[i], n = data.trials[i];
        sum += log_beta(a, b) - log_beta(a + k, b + n - k);
        const double common = digamma(a + b + n) - digamma(a + b);
        d_alpha[i] += digamma(a) - digamma(a + k) + common;
        d_beta[i] += digamma(b) - digamma(b + n - k) + common;
    }
    return sum;
}

template <class Loss>
void run(benchmark::State& state, Loss loss) {
    const auto n = std::size_t(state.range(0));
    const columns& data = bench::cached(n, make_columns);
    buffer<double> d_alpha(n), d_beta(n), want_alpha(n), want_beta(n);
    for (std::size_t i = 0; i < n; ++i) d_alpha[i] = d_beta[i] = want_alpha[i] = want_beta[i] = 0;
    const double want = plain_likelihood(data, want_alpha, want_beta);
    double error = std::fabs(loss(data, d_alpha, d_beta) / want - 1);
    for (std::size_t i = 0; i < n; ++i) {
        error = std::fmax(error, std::fabs(d_alpha[i] - want_alpha[i]) / (1 + std::fabs(want_alpha[i])));
        error = std::fmax(error, std::fabs(d_beta[i] - want_beta[i]) / (1 + std::fabs(want_beta[i])));
    }
    if (!bench::gate(state, error, 1e-9)) return;  // the short digamma beside it
    for (auto _ : state) benchmark::DoNotOptimize(loss(data, d_alpha, d_beta));
    bench::report(state, n, cost, 40 * n);
}

void reckon_beta_binomial(benchmark::State& state) {
    run(state, [](const columns& data, buffer<double>& d_alpha, buffer<double>& d_beta) {
        return reckon::beta_binomial_nll(reckon::exec::serial, data.alpha, data.beta, data.successes, data.trials, {},
                                         d_alpha, d_beta)
            .sum();
    });
}
void plain_loop(benchmark::State& state) {
    run(state, [](const columns& data, buffer<double>& d_alpha, buffer<double>& d_beta) {
        return plain_likelihood(data, d_alpha, d_beta);
    });
}

BENCHMARK(reckon_beta_binomial)->Arg(10'000)->Arg(1'000'000)->Apply(bench::repeated);
BENCHMARK(plain_loop)->Arg(10'000)->Arg(1'000'000)->Apply(bench::repeated);

}  // namespace
