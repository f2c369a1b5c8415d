// Ranking losses over pairs with gradients, beside the plain loops: BPR on scores and on embeddings, RankNet on lists,
// and the losses over heads.
//
// State: a few sums. Per item: BPR, a pair: 16 bytes read and 8 written, one power, one division and 30 flops. Triples:
// six rows of D floats, 9 D flops with gradients; steps in place: three rows read and written, 13 D flops. RankNet, an
// ordered pair (i, j) of a list whether it counts or not: of pairs that count, about 40 % with five grades, 12 flops
// and a quarter of a division. Squared hinge, a row: two sorts and two sweeps, 40 bytes.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/losses/bpr.hpp"
#include "reckon/losses/bpr_step.hpp"
#include "reckon/losses/pairwise_ranking.hpp"
#include "reckon/losses/rank_net.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using reckon::exec::serial;

double softplus(double x) {
    return std::fmax(0.0, x) + std::log1p(std::exp(-std::fabs(x)));
}
reckon::scratch_array<float> normal(std::size_t n, std::uint64_t seed, double deviation = 1.0) {
    const reckon::random_stream rng(seed);
    reckon::scratch_array<float> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(deviation * rng.normal(i));
    return x;
}
reckon::scratch_array<float> zeros(std::size_t n) {
    reckon::scratch_array<float> x(n);
    std::fill(x.data(), x.data() + n, 0.0f);
    return x;
}
reckon::vector_view<const float> column(const reckon::scratch_array<float>& x) {
    return {x.data(), x.size()};
}
reckon::vector_view<float> output(const reckon::scratch_array<float>& x) {
    return {x.data(), x.size()};
}

// BPR on columns of scores.
struct score_pairs {
    reckon::scratch_array<float> p, n, up, down;
    explicit score_pairs(std::size_t size)
        : p(normal(size, 1)), n(normal(size, 2)), up(zeros(size)), down(zeros(size)) {}
};
double bpr_kernel(score_pairs& d) {
    return reckon::bpr(serial, column(d.p), column(d.n), reckon::none{}, output(d.up), output(d.down)).sum();
}
double bpr_loop(score_pairs& d) {
    double sum = 0.0;
    for (std::size_t i = 0; i < d.p.size(); ++i) {
        const float x = d.n[i] - d.p[i], t = std::exp(-std::fabs(x));
        sum += static_cast<double>(std::fmax(0.0f, x) + std::log1p(t));
        const float slope = (x < 0.0f ? t : 1.0f) / (1.0f + t);
        d.up[i] -= slope;
        d.down[i] += slope;
    }
    return sum;
}
template <double (*Loss)(score_pairs&)>
void pairs_of_scores(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    score_pairs d(n);
    double want = 0.0;
    for (std::size_t i = 0; i < n; ++i) want += softplus(static_cast<double>(d.n[i]) - static_cast<double>(d.p[i]));
    if (!bench::gate(state, std::fabs(Loss(d) / want - 1.0), 2e-6)) return;
    for (auto _ : state) benchmark::DoNotOptimize(Loss(d));
    bench::report(state, n, {.flops = 30, .bytes_read = 16, .bytes_written = 8}, 16 * n);
}

// BPR on tables of embeddings.
struct triples {
    std::size_t rows, depth;
    reckon::scratch_array<float> u, v, du, dv;
    std::vector<std::uint32_t> user, chosen, other;
    triples(std::size_t r, std::size_t d, std::size_t n)
        : rows(r),
          depth(d),
          u(normal(r * d, 3, 0.3)),
          v(normal(r * d, 4, 0.3)),
          du(zeros(r * d)),
          dv(zeros(r * d)),
          user(ids(n, 5)),
          chosen(ids(n, 6)),
          other(ids(n, 7)) {}
    std::vector<std::uint32_t> ids(std::size_t n, std::uint64_t seed) const {
        const reckon::random_stream rng(seed);
        std::vector<std::uint32_t> x(n);
        for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<std::uint32_t>(rng.below(i, rows));
        return x;
    }
    reckon::matrix_view<const float> table(const reckon::scratch_array<float>& x) const {
        return {x.data(), rows, depth};
    }
    reckon::matrix_view<float> gradient(const reckon::scratch_array<float>& x) const { return {x.data(), rows, depth}; }
};
double triples_kernel(triples& d) {
    return reckon::bpr_triples(serial, d.table(d.u), d.table(d.v), d.user, d.chosen, d.other,
                               {d.gradient(d.du), d.gradient(d.dv)})
        .sum();
}
double triples_forward(triples& d) {
    return reckon::bpr_triples(serial, d.table(d.u), d.table(d.v), d.user, d.chosen, d.other).sum();
}
double triples_loop(triples& d) {
    double sum = 0.0;
    for (std::size_t t = 0; t < d.user.size(); ++t) {
        const std::size_t a = d.user[t] * d.depth, i = d.chosen[t] * d.depth, j = d.other[t] * d.depth;
        float x = 0.0f;
        for (std::size_t c = 0; c < d.depth; ++c) x += d.u[a + c] * (d.v[i + c] - d.v[j + c]);
        const float e = std::exp(-std::fabs(x));
        sum += static_cast<double>(std::fmax(0.0f, -x) + std::log1p(e));
        const float slope = (x < 0.0f ? 1.0f : e) / (1.0f + e);
        for (std::size_t c = 0; c < d.depth; ++c) {
            d.du[a + c] -= slope * (d.v[i + c] - d.v[j + c]);
            d.dv[i + c] -= slope * d.u[a + c];
            d.dv[j + c] += slope * d.u[a + c];
        }
    }
    return sum;
}
constexpr reckon::bpr_step_options small_steps{.learning_rate = 1e-3, .decay = 0.01};
double step_kernel(triples& d) {
    return reckon::bpr_step(serial, d.gradient(d.u), d.gradient(d.v), d.user, d.chosen, d.other, small_steps).sum();
}
template <class T>
double step_in(T* u, T* v, const triples& d) {
    const auto rate = static_cast<T>(small_steps.learning_rate), decay = static_cast<T>(small_steps.decay);
    double sum = 0.0;
    for (std::size_t t = 0; t < d.user.size(); ++t) {
        T *const a = u + d.user[t] * d.depth, *const i = v + d.chosen[t] * d.depth, *const j = v + d.other[t] * d.depth;
        T x = 0;
        for (std::size_t c = 0; c < d.depth; ++c) x += a[c] * (i[c] - j[c]);
        const T e = std::exp(-std::fabs(x));
        sum += static_cast<double>(std::fmax(T(0), -x) + std::log1p(e));
        if (i == j) continue;
        const T slope = (x < 0 ? T(1) : e) / (1 + e);
        for (std::size_t c = 0; c < d.depth; ++c) {
            const T user = a[c], chosen = i[c], other = j[c];
            a[c] += rate * (slope * (chosen - other) - decay * user);
            i[c] += rate * (slope * user - decay * chosen);
            j[c] += rate * (-slope * user - decay * other);
        }
    }
    return sum;
}
double step_loop(triples& d) {
    return step_in(d.u.data(), d.v.data(), d);
}
template <double (*Loss)(triples&)>
void tables(benchmark::State& state) {
    const auto rows = static_cast<std::size_t>(state.range(0));
    constexpr std::size_t n = 65536, depth = 64;
    triples d(rows, depth, n);
    double want = 0.0;
    for (std::size_t t = 0; t < n; ++t) {
        double x = 0.0;
        for (std::size_t c = 0; c < depth; ++c) {
            x += static_cast<double>(d.u[d.user[t] * depth + c]) *
                 (static_cast<double>(d.v[d.chosen[t] * depth + c]) - static_cast<double>(d.v[d.other[t] * depth + c]));
        }
        want += softplus(-x);
    }
    if (!bench::gate(state, std::fabs(Loss(d) / want - 1.0), 2e-6)) return;
    for (auto _ : state) benchmark::DoNotOptimize(Loss(d));
    bench::report(state, n, {.flops = 9.0 * depth, .bytes_read = 6 * 4.0 * depth, .bytes_written = 3 * 4.0 * depth},
                  16 * rows * depth);
}

// The same tables, and what becomes of them.
template <double (*Loss)(triples&)>
void steps(benchmark::State& state) {
    const auto rows = static_cast<std::size_t>(state.range(0));
    constexpr std::size_t n = 65536, depth = 64;
    triples d(rows, depth, n);
    {
        std::vector<double> u(d.u.data(), d.u.data() + rows * depth), v(d.v.data(), d.v.data() + rows * depth);
        const double want = step_in(u.data(), v.data(), d), got = Loss(d);
        double error = std::fabs(got / want - 1.0);
        for (std::size_t k = 0; k < rows * depth; ++k) {
            error = std::fmax(error, std::fabs(static_cast<double>(d.u[k]) - u[k]));
            error = std::fmax(error, std::fabs(static_cast<double>(d.v[k]) - v[k]));
        }
        if (!bench::gate(state, error, 1e-5)) return;
    }
    for (auto _ : state) benchmark::DoNotOptimize(Loss(d));
    bench::report(state, n, {.flops = 13.0 * depth, .bytes_read = 3 * 4.0 * depth, .bytes_written = 3 * 4.0 * depth},
                  8 * rows * depth);
}

// RankNet on lists of one length with grades 0 .. 4.
struct graded_lists {
    std::size_t length;
    std::vector<float> s, y, ds, hs;
    std::vector<std::uint32_t> offsets;
    graded_lists(std::size_t lists, std::size_t n)
        : length(n), s(lists * n), y(lists * n), ds(lists * n), hs(lists * n) {
        const reckon::random_stream rng(8);
        for (std::size_t i = 0; i < s.size(); ++i) {
            s[i] = static_cast<float>(rng.normal(i));
            y[i] = static_cast<float>(rng.below(i + s.size(), 5));
        }
        for (std::size_t l = 0; l <= lists; ++l) offsets.push_back(static_cast<std::uint32_t>(l * n));
    }
};
double lists_kernel(graded_lists& d) {
    return reckon::rank_net(serial, d.s, d.y, d.offsets, {}, d.ds).sum();
}
double lists_curvature(graded_lists& d) {
    return reckon::rank_net(serial, d.s, d.y, d.offsets, {}, d.ds, 1.0, d.hs).sum();
}
double lists_loop(graded_lists& d) {
    double sum = 0.0;
    for (std::size_t first = 0; first < d.s.size(); first += d.length) {
        for (std::size_t i = first; i < first + d.length; ++i) {
            for (std::size_t j = first; j < first + d.length; ++j) {
                if (!(d.y[i] > d.y[j])) continue;
                const float x = d.s[j] - d.s[i], t = std::exp(-std::fabs(x));
                sum += static_cast<double>(std::fmax(0.0f, x) + std::log1p(t));
                const float slope = (x < 0.0f ? t : 1.0f) / (1.0f + t);
                d.ds[i] -= slope;
                d.ds[j] += slope;
            }
        }
    }
    return sum;
}
template <double (*Loss)(graded_lists&)>
void lists(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    const std::size_t count = bench::smoke() ? 8 : 204800 / n;
    graded_lists d(count, n);
    double want = 0.0;
    for (std::size_t first = 0; first < d.s.size(); first += n) {
        for (std::size_t i = first; i < first + n; ++i) {
            for (std::size_t j = first; j < first + n; ++j) {
                if (d.y[i] > d.y[j]) want += softplus(static_cast<double>(d.s[j]) - static_cast<double>(d.s[i]));
            }
        }
    }
    if (!bench::gate(state, std::fabs(Loss(d) / want - 1.0), 2e-6)) return;
    for (auto _ : state) benchmark::DoNotOptimize(Loss(d));
    bench::report(state, count * n * n, {.flops = 0.4 * 12.0}, 16 * n);
}

// Losses of one head with a tenth of its rows positive.
struct head_rows {
    reckon::scratch_array<float> s, y, ds;
    explicit head_rows(std::size_t n) : s(normal(n, 9)), y(zeros(n)), ds(zeros(n)) {
        const reckon::random_stream rng(10);
        for (std::size_t i = 0; i < n; ++i) y[i] = rng.uniform(i) < 0.1 ? 1.0f : 0.0f;
    }
    reckon::matrix_view<const float> scores() const { return {s.data(), s.size(), 1}; }
    reckon::matrix_view<const float> labels() const { return {y.data(), y.size(), 1}; }
    reckon::matrix_view<float> gradient() const { return {ds.data(), ds.size(), 1}; }
};
double squared_hinge(head_rows& d) {
    return reckon::rank_squared_hinge(serial, d.scores(), d.labels(), reckon::none{}, {}, d.gradient()).sum();
}
double logistic(head_rows& d) {
    return reckon::pairwise_ranking(serial, d.scores(), d.labels(), reckon::none{}, {}, d.gradient()).sum();
}
double value_of(const head_rows& d, bool squared) {
    double sum = 0.0, pairs = 0.0;
    for (std::size_t i = 0; i < d.s.size(); ++i) {
        for (std::size_t k = 0; k < d.s.size(); ++k) {
            if (!(d.y[i] > 0.0f && d.y[k] == 0.0f)) continue;
            const double x = static_cast<double>(d.s[k]) - static_cast<double>(d.s[i]), over = std::fmax(0.0, 1.0 + x);
            sum += squared ? over * over : softplus(x);
            pairs += 1.0;
        }
    }
    return sum / pairs;
}
double squared_hinge_loop(head_rows& d) {
    double sum = 0.0, pairs = 0.0;
    for (std::size_t i = 0; i < d.s.size(); ++i) {
        if (!(d.y[i] > 0.0f)) continue;
        for (std::size_t k = 0; k < d.s.size(); ++k) {
            const float over = d.y[k] > 0.0f ? 0.0f : std::fmax(0.0f, 1.0f + (d.s[k] - d.s[i]));
            pairs += d.y[k] > 0.0f ? 0.0 : 1.0;
            sum += static_cast<double>(over * over);
            d.ds[i] -= over;
            d.ds[k] += over;
        }
    }
    return sum / pairs;
}
template <double (*Loss)(head_rows&), bool Squared>
void heads(benchmark::State& state) {
    const auto n = static_cast<std::size_t>(state.range(0));
    head_rows d(n);
    // Pair by pair where that is quick, and always on a smaller batch.
    head_rows least((std::min)(n, std::size_t{10000}));
    if (!bench::gate(state, std::fabs(Loss(least) / value_of(least, Squared) - 1.0), 2e-6)) return;
    for (auto _ : state) benchmark::DoNotOptimize(Loss(d));
    bench::report(state, n, {.flops = 20, .bytes_read = 24, .bytes_written = 16}, 12 * n);
}

void few_pairs(benchmark::internal::Benchmark* b) {
    b->Arg(bench::smoke() ? 1000 : 10000);
    if (!bench::smoke()) b->Arg(1'000'000);
}
void table_rows(benchmark::internal::Benchmark* b) {
    b->Arg(1000);
    if (!bench::smoke()) b->Arg(100'000);
}
void list_lengths(benchmark::internal::Benchmark* b) {
    b->Arg(20);
    if (!bench::smoke()) b->Arg(200)->Arg(1000);
}
void batches(benchmark::internal::Benchmark* b) {
    b->Arg(bench::smoke() ? 1000 : 10000);
    if (!bench::smoke()) b->Arg(100'000);
}
BENCHMARK(pairs_of_scores<bpr_kernel>)->Name("reckon_bpr")->Apply(few_pairs);
BENCHMARK(pairs_of_scores<bpr_loop>)->Name("plain_bpr")->Apply(few_pairs);
BENCHMARK(tables<triples_kernel>)->Name("reckon_bpr_triples")->Apply(table_rows);
BENCHMARK(tables<triples_forward>)->Name("reckon_bpr_triples_forward")->Apply(table_rows);
BENCHMARK(tables<triples_loop>)->Name("plain_bpr_triples")->Apply(table_rows);
BENCHMARK(steps<step_kernel>)->Name("reckon_bpr_step")->Apply(table_rows);
BENCHMARK(steps<step_loop>)->Name("plain_bpr_step")->Apply(table_rows);
BENCHMARK(lists<lists_kernel>)->Name("reckon_rank_net")->Apply(list_lengths);
BENCHMARK(lists<lists_curvature>)->Name("reckon_rank_net_curvature")->Apply(list_lengths);
BENCHMARK(lists<lists_loop>)->Name("plain_rank_net")->Apply(list_lengths);
BENCHMARK(heads<squared_hinge, true>)->Name("reckon_rank_squared_hinge")->Apply(batches);
BENCHMARK(heads<squared_hinge_loop, true>)->Name("plain_rank_squared_hinge")->Apply([](auto* b) {
    b->Arg(bench::smoke() ? 1000 : 10000);
});
BENCHMARK(heads<logistic, false>)->Name("reckon_pairwise_ranking")->Apply(batches);

}  // namespace
