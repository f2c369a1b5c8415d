// Venn-Abers: precomputing both isotonic values for every place, and the probability of one score.
//
// State: 48 bytes a knot, a score where p0 or p1 changes; the fit adds 8 bytes a row for items and ends of runs.
// Operations per example: the fit reads a score three times and a label twice, moves one item three times, and visits
// each run of equal labels three times (pooling, up, down). The query reads a score, makes a table look-up and a few
// comparisons, and writes a probability. Beside them the form of the paper after std::sort: distinct scores, their
// cumulative sums, a stack for the minorant and one sweep each way over all of them, searched by std::upper_bound; and
// the definition, one refit for each score and label.
#include "reckon/calibration/venn_abers.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "support/data.hpp"
#include "support/report.hpp"

namespace {

using reckon::bench::buffer;
namespace exec = reckon::exec;

struct columns {
    buffer<float> p;
    buffer<std::uint8_t> y;
};
template <int Grid>
const columns& rows(std::size_t n) {
    return reckon::bench::cached(n, [](std::size_t k) {
        auto p = reckon::bench::make_probabilities(k);
        if (Grid > 0) reckon::bench::round_to_grid(p, Grid);
        auto y = reckon::bench::make_labels<std::uint8_t>(p);
        return columns{std::move(p), std::move(y)};
    });
}

// p0 from score k (included) on, p1 from score k (excluded) on; entry 0 is below all scores.
struct plain_model {
    std::vector<float> scores;
    std::vector<double> p0, p1;

    double operator()(float score) const {
        const auto above = std::upper_bound(scores.begin(), scores.end(), score) - scores.begin();
        const auto below = std::lower_bound(scores.begin(), scores.end(), score) - scores.begin();
        const double low = p0[std::size_t(above)], high = p1[std::size_t(below)];
        return high / (1 - low + high);
    }
};
plain_model plain_fit(const columns& data) {
    const std::size_t n = data.p.size();
    std::vector<std::uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return data.p[a] < data.p[b]; });
    struct corner {
        double x, y;
    };
    plain_model model;
    std::vector<corner> corners{{0, 0}};
    for (std::size_t i = 0; i < n; ++i) {
        const float score = data.p[order[i]];
        const double y = corners.back().y + double(data.y[order[i]]);
        if (model.scores.empty() || model.scores.back() != score) {
            model.scores.push_back(score);
            corners.push_back({double(i + 1), y});
        } else {
            corners.back() = {double(i + 1), y};
        }
    }
    const auto slope = [](corner a, corner b) { return (b.y - a.y) / (b.x - a.x); };
    std::vector<corner> hull;
    for (const corner c : corners) {
        while (hull.size() > 1 && slope(hull[hull.size() - 2], hull.back()) >= slope(hull.back(), c)) hull.pop_back();
        hull.push_back(c);
    }
    const std::size_t m = corners.size();
    model.p0.resize(m);
    model.p1.resize(m);
    std::size_t v = 0, at = 0;
    const auto up = [&] {
        for (;; ++v) {
            const double p = (hull[v].y - corners[at].y + 1) / (hull[v].x - corners[at].x + 1);
            if (v + 1 == hull.size() || slope(hull[v], hull[v + 1]) >= p) return p;
        }
    };
    double p = up();
    for (std::size_t k = 0; k < m; ++k) {
        if (corners[k].y - corners[at].y < p * (corners[k].x - corners[at].x)) {
            at = k;
            p = up();
        }
        model.p1[k] = p;
    }
    v = hull.size() - 1;
    at = m - 1;
    const auto down = [&] {
        for (;; --v) {
            const double q = (corners[at].y - hull[v].y) / (corners[at].x - hull[v].x + 1);
            if (v == 0 || slope(hull[v - 1], hull[v]) <= q) return q;
        }
    };
    p = down();
    for (std::size_t k = m; k-- > 0;) {
        if (corners[k].y - corners[at].y < p * (corners[k].x - corners[at].x)) {
            at = k;
            p = down();
        }
        model.p0[k] = p;
    }
    return model;
}

double distance(const reckon::venn_abers& model, const plain_model& plain, const columns& data) {
    double worst = 0;
    for (std::size_t i = 0; i < data.p.size(); i += 101) {
        worst = std::max(worst, std::fabs(model(double(data.p[i])) - plain(data.p[i])));
    }
    return worst;
}

template <int Grid>
void fit(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = rows<Grid>(n);
    const auto model = reckon::venn_abers::fit(exec::serial, data.p, data.y);
    if (!reckon::bench::gate(state, distance(model, plain_fit(data), data), 1e-12)) return;
    for (auto _ : state) {
        benchmark::DoNotOptimize(reckon::venn_abers::fit(exec::serial, data.p, data.y).knots().data());
    }
    state.counters["knots"] = double(model.knots().size());
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 3 * 4 + 2 + 8, .bytes_written = 16}, n * 13);
}
// What a fit cannot do without: the isotonic fit of the same rows.
template <int Grid>
void isotonic_fit(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = rows<Grid>(n);
    for (auto _ : state) {
        benchmark::DoNotOptimize(reckon::isotonic::fit(exec::serial, data.p, data.y).knot_scores().data());
    }
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 3 * 4 + 2 + 8, .bytes_written = 12}, n * 9);
}
template <int Grid>
void plain(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = rows<Grid>(n);
    for (auto _ : state) benchmark::DoNotOptimize(plain_fit(data).p0.data());
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 5, .bytes_written = 4}, n * 45);
}

BENCHMARK(fit<0>)->Name("venn_abers_fit_distinct")->Apply(reckon::bench::with_sizes);
BENCHMARK(fit<1000>)->Name("venn_abers_fit_ties")->Apply(reckon::bench::with_sizes);
BENCHMARK(isotonic_fit<0>)->Name("isotonic_fit_distinct")->Apply(reckon::bench::with_sizes);
BENCHMARK(plain<0>)->Name("plain_fit_distinct")->Apply(reckon::bench::with_sizes);

template <bool Plain>
void query(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = rows<0>(n);
    const auto model = reckon::venn_abers::fit(exec::serial, data.p, data.y);
    const plain_model peer = plain_fit(data);
    buffer<float> out(n);
    if (!reckon::bench::gate(state, distance(model, peer, data), 1e-12)) return;
    for (auto _ : state) {
        if constexpr (Plain) {
            for (std::size_t i = 0; i < n; ++i) out[i] = float(peer(data.p[i]));
        } else {
            model.apply(exec::serial, data.p, out);
        }
        benchmark::DoNotOptimize(out.data());
    }
    reckon::bench::report(state, n, {.flops = 0, .bytes_read = 4, .bytes_written = 4}, n * 8);
}
BENCHMARK(query<false>)->Name("venn_abers_apply")->Apply(reckon::bench::with_sizes);
BENCHMARK(query<true>)->Name("plain_apply")->Apply(reckon::bench::with_sizes);

// Two refits a query, on rows that are sorted already.
void refit(benchmark::State& state) {
    const auto n = std::size_t(state.range(0));
    const auto& data = rows<0>(n);
    std::vector<std::uint32_t> order(n);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return data.p[a] < data.p[b]; });
    buffer<std::uint8_t> y(n + 1);
    buffer<float> fitted(n + 1);
    const std::size_t place = n / 2;  // right above this row
    for (std::size_t i = 0; i <= n; ++i) y[i] = i == place + 1 ? 0 : data.y[order[i > place ? i - 1 : i]];
    const auto value = [&](std::uint8_t label) {
        y[place + 1] = label;
        reckon::isotonic_regression(y, fitted);
        return double(fitted[place + 1]);
    };
    const auto model = reckon::venn_abers::fit(exec::serial, data.p, data.y);
    const double score = 0.5 * (double(data.p[order[place]]) + double(data.p[order[place + 1]]));
    const auto both = model.interval(score);
    const double error = std::max(std::fabs(value(0) - both.p0), std::fabs(value(1) - both.p1));
    if (!reckon::bench::gate(state, error, 1e-6)) return;
    for (auto _ : state) benchmark::DoNotOptimize(value(0) + value(1));
    reckon::bench::report(state, 1, {.flops = 0, .bytes_read = 2.0 * double(n), .bytes_written = 8.0 * double(n)},
                          n * 5);
}
BENCHMARK(refit)->Name("refit_one_query")->Apply(reckon::bench::with_sizes);

}  // namespace
