// Elementary functions of core/math.hpp on floats in L1, against a loop over the C library's function.
//
// State: none. Per item 4 bytes read, 4 bytes written; flops as counted in the source of each function, a division as
// one.
#include "reckon/core/math.hpp"

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "reckon/core/simd.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
namespace math = reckon::math;
namespace simd = reckon::simd;

constexpr std::size_t n = 2048;  // input and output take half of a 32 KiB L1

/// One function: its two forms, a double reference, and inputs in [lowest, highest].
struct exp_case {
    static constexpr double lowest = -16, highest = 0, flops = 24;
    static auto kernel(auto x) { return math::exp(x); }
    static float scalar(float x) { return std::exp(x); }
    static double reference(double x) { return std::exp(x); }
};
struct log_case {
    static constexpr double lowest = 1e-6, highest = 1, flops = 24;
    static auto kernel(auto x) { return math::log(x); }
    static float scalar(float x) { return std::log(x); }
    static double reference(double x) { return std::log(x); }
};
struct log1p_case {
    static constexpr double lowest = 0, highest = 1, flops = 29;
    static auto kernel(auto x) { return math::log1p(x); }
    static float scalar(float x) { return std::log1p(x); }
    static double reference(double x) { return std::log1p(x); }
};
struct sigmoid_case {
    static constexpr double lowest = -16, highest = 16, flops = 27;
    static auto kernel(auto x) { return math::sigmoid(x); }
    static float scalar(float x) { return 1 / (1 + std::exp(-x)); }
    static double reference(double x) { return 1 / (1 + std::exp(-x)); }
};
struct softplus_case {
    static constexpr double lowest = -16, highest = 16, flops = 55;
    static auto kernel(auto x) { return math::softplus(x); }
    static float scalar(float x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::abs(x))); }
    static double reference(double x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::abs(x))); }
};
struct logit_case {
    static constexpr double lowest = 1e-6, highest = 1 - 1e-6, flops = 28;
    static auto kernel(auto x) { return math::logit(x); }
    static float scalar(float x) { return std::log(x / (1 - x)); }
    static double reference(double x) { return std::log(x / (1 - x)); }
};

template <class Case>
bench::buffer<float> inputs() {
    bench::generator g(1);
    bench::buffer<float> x(n);
    for (float& value : x) value = float(Case::lowest + (Case::highest - Case::lowest) * g.uniform());
    return x;
}

template <class Case, class Body>
void run(benchmark::State& state, double allowed_error, Body body) {
    const auto x = inputs<Case>();
    bench::buffer<float> y(n);
    std::vector<double> expected(n);
    for (std::size_t i = 0; i < n; ++i) expected[i] = Case::reference(double(x[i]));
    body(x.data(), y.data());
    // Relative to max(|f|, 0.01): the plain float form of a function loses all relative accuracy at its zero.
    if (!bench::gate(state, bench::relative_error(y, expected, 1e-2), allowed_error)) return;
    for (auto _ : state) {
        body(x.data(), y.data());
        benchmark::ClobberMemory();
    }
    bench::report(state, n, {.flops = Case::flops, .bytes_read = 4, .bytes_written = 4}, 2 * n * sizeof(float));
}

template <class Case>
void reckon_pack(benchmark::State& state) {
    run<Case>(state, 5e-7,
              [](const float* x, float* y) { simd::transform(x, y, n, 0.5F, [](auto v) { return Case::kernel(v); }); });
}

template <class Case>
void std_scalar(benchmark::State& state) {
    run<Case>(state, 2e-5, [](const float* x, float* y) {
        for (std::size_t i = 0; i < n; ++i) y[i] = Case::scalar(x[i]);
    });
}

BENCHMARK_TEMPLATE(reckon_pack, exp_case)->Apply(bench::repeated);
BENCHMARK_TEMPLATE(std_scalar, exp_case)->Apply(bench::repeated);
BENCHMARK_TEMPLATE(reckon_pack, log_case)->Apply(bench::repeated);
BENCHMARK_TEMPLATE(std_scalar, log_case)->Apply(bench::repeated);
BENCHMARK_TEMPLATE(reckon_pack, log1p_case)->Apply(bench::repeated);
BENCHMARK_TEMPLATE(std_scalar, log1p_case)->Apply(bench::repeated);
BENCHMARK_TEMPLATE(reckon_pack, sigmoid_case)->Apply(bench::repeated);
BENCHMARK_TEMPLATE(std_scalar, sigmoid_case)->Apply(bench::repeated);
BENCHMARK_TEMPLATE(reckon_pack, softplus_case)->Apply(bench::repeated);
BENCHMARK_TEMPLATE(std_scalar, softplus_case)->Apply(bench::repeated);
BENCHMARK_TEMPLATE(reckon_pack, logit_case)->Apply(bench::repeated);
BENCHMARK_TEMPLATE(std_scalar, logit_case)->Apply(bench::repeated);

}  // namespace
