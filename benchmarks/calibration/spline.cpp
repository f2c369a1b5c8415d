// The spline calibrators: fits and maps.
//
// State: spline_calibration 16 bytes a corner (65); spline_logit 6 knots. The fits add 24 bytes a row.
// Operations per example. spline_calibration: the fit reads a score three times and a label twice, moves one item three
// times, and makes about 30 flops for the sums over a distinct score; the map makes a table look-up, a few comparisons
// and one multiply-add. spline_logit: the fit makes one logarithm a row and then a few Newton passes of one exponential
// and about 150 flops; the map 40 flops, a logarithm and an exponential. Beside the maps a plain loop: std::upper_bound
// and a line, or the cubic between two knots with the C library's log and exp, in double.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/calibration/detail/natural_cubic.hpp"
#include "reckon/calibration/spline_calibration.hpp"
#include "reckon/calibration/spline_logit.hpp"
#include "support/data.hpp"
#include "support/error.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
namespace exec = reckon::exec;

struct columns {
    buffer<float> scores;
    buffer<std::uint8_t> labels;
};
// Scores that are too extreme, and more so the larger they are.
const columns& rows(std::size_t n) {
    return reckon::bench::cached(n, [](std::size_t m) {
        auto p = reckon::bench::make_probabilities(m);
        buffer<float> truth(m);
        for (std::size_t i = 0; i < m; ++i) truth[i] = float(0.9 * double(p[i]) - 0.3 * double(p[i] * p[i]));
        auto y = reckon::bench::make_labels<std::uint8_t>(truth);
        return columns{std::move(p), std::move(y)};
    });
}

void spline_calibration_fit(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = rows(n);
    // Six knots over the ranks smooth a long tail away: the bound is what the method leaves, not rounding.
    const auto model = reckon::spline_calibration::fit(exec::serial, data.scores, data.labels);
    if (!reckon::bench::gate(state, std::fabs(model(0.2) - 0.168), 0.03)) return;
    for (auto _ : state) {
        benchmark::DoNotOptimize(
            reckon::spline_calibration::fit(exec::serial, data.scores, data.labels).knot_scores().data());
    }
    reckon::bench::report(state, n, {.flops = 30, .bytes_read = 3 * 4 + 2 + 8 + 24, .bytes_written = 8 + 24}, n * 33);
}
void spline_logit_fit(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = rows(n);
    const auto model = reckon::spline_logit::fit(exec::serial, data.scores, data.labels);
    if (!reckon::bench::gate(state, std::fabs(model(0.2) - 0.168), n < 100'000 ? 0.03 : 0.006)) return;
    for (auto _ : state) {
        benchmark::DoNotOptimize(reckon::spline_logit::fit(exec::serial, data.scores, data.labels).knots().data());
    }
    reckon::bench::report(state, n, {.flops = 3 * 150 + 30, .bytes_read = 5 + 5 * 16, .bytes_written = 2 * 16}, n * 21);
}
BENCHMARK(spline_calibration_fit)->Apply(reckon::bench::with_sizes);
BENCHMARK(spline_logit_fit)->Apply(reckon::bench::with_sizes);

double plain_map(const reckon::spline_calibration& c, float score) {
    const auto &x = c.knot_scores(), &y = c.knot_levels();
    const auto above = std::size_t(std::upper_bound(x.begin(), x.end(), double(score)) - x.begin());
    if (above == 0) return y.front();
    if (above == x.size()) return y.back();
    return y[above - 1] + (double(score) - x[above - 1]) / (x[above] - x[above - 1]) * (y[above] - y[above - 1]);
}
struct plain_spline {
    std::vector<double> x;
    std::vector<reckon::detail::cubic_piece> pieces;
    double end;  // value at the last knot

    explicit plain_spline(const reckon::spline_logit& c)
        : x(c.knots()), pieces(reckon::detail::natural_cubic(x, c.values())), end(c.values().back()) {}
    double operator()(float score) const {
        const double f = std::log(double(score) / (1 - double(score)));
        double z;
        if (f < x.front()) {
            z = pieces.front().c0 + pieces.front().c1 * (f - x.front());
        } else if (f >= x.back()) {
            z = end + pieces.back().slope(x.back() - x[x.size() - 2]) * (f - x.back());
        } else {
            const auto& piece = pieces[std::size_t(std::upper_bound(x.begin(), x.end(), f) - x.begin()) - 1];
            const double r = f - x[std::size_t(&piece - pieces.data())];
            z = piece.c0 + r * (piece.c1 + r * (piece.c2 + r * piece.c3));
        }
        return 1 / (1 + std::exp(-z));
    }
};

template <class Map, class Plain>
void measure(benchmark::State& state, const columns& data, Map map, Plain plain, double flops) {
    const std::size_t n = data.scores.size();
    buffer<float> out(n), want(n);
    plain(want);
    map(out);
    if (!reckon::bench::gate(state, reckon::bench::relative_error(out, want), 4e-6)) return;
    for (auto _ : state) {
        map(out);
        benchmark::DoNotOptimize(out.data());
    }
    reckon::bench::report(state, n, {.flops = flops, .bytes_read = 4, .bytes_written = 4}, n * 8);
}
template <bool Plain>
void spline_calibration_apply(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = rows(n);
    const auto model = reckon::spline_calibration::fit(exec::serial, data.scores, data.labels);
    const auto plain = [&](buffer<float>& out) {
        for (std::size_t i = 0; i < n; ++i) out[i] = float(plain_map(model, data.scores[i]));
    };
    const auto fast = [&](buffer<float>& out) { model.apply(exec::serial, data.scores, out); };
    if constexpr (Plain) {
        measure(state, data, plain, plain, 3);
    } else {
        measure(state, data, fast, plain, 3);
    }
}
template <bool Plain>
void spline_logit_apply(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = rows(n);
    const auto model = reckon::spline_logit::fit(exec::serial, data.scores, data.labels);
    const plain_spline spline(model);
    const auto plain = [&](buffer<float>& out) {
        for (std::size_t i = 0; i < n; ++i) out[i] = float(spline(data.scores[i]));
    };
    const auto fast = [&](buffer<float>& out) { model.apply(exec::serial, data.scores, out); };
    if constexpr (Plain) {
        measure(state, data, plain, plain, 40);
    } else {
        measure(state, data, fast, plain, 40);
    }
}
BENCHMARK(spline_calibration_apply<false>)->Name("spline_calibration_apply")->Apply(reckon::bench::with_sizes);
BENCHMARK(spline_calibration_apply<true>)->Name("plain_spline_calibration_apply")->Apply(reckon::bench::with_sizes);
BENCHMARK(spline_logit_apply<false>)->Name("spline_logit_apply")->Apply(reckon::bench::with_sizes);
BENCHMARK(spline_logit_apply<true>)->Name("plain_spline_logit_apply")->Apply(reckon::bench::with_sizes);

}  // namespace
