// Losses of ranked lists, and the two contrasts of a batch, with their gradients, beside plain loops.
//
// State: one sum; scratch of some columns of one list. An item is
//   softmax     a row: 8 bytes read, 8 for the gradient; one power (12 flops) and 12 flops around it.
//   lambda      an unordered pair of rows that differ in their label: a division, a polynomial of 9 terms, 20 flops
//               more, and 16 bytes of derivatives in the first-level cache. Labels are grades, half of the rows have one.
//   approx      an ordered pair of a row with a grade and any row: a division, 10 flops, and 20 bytes in the first-level cache.
//   contrasts   a row: 8 bytes read for the state; with the gradient 24 bytes read and 4 written in all, 24 flops.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <type_traits>
#include <vector>

#include "reckon/losses/approx_ndcg.hpp"
#include "reckon/losses/covariance_contrast.hpp"
#include "reckon/losses/lambda_rank.hpp"
#include "reckon/losses/listwise_softmax.hpp"
#include "reckon/losses/mean_gap_contrast.hpp"
#include "support/data.hpp"
#include "support/report.hpp"

namespace {

namespace bench = reckon::bench;
using bench::buffer;
using reckon::exec::serial;

struct lists {
    std::size_t length = 0;
    buffer<float> scores, labels, gradient, hessian;
    std::vector<std::uint32_t> offsets{0};
    double pairs = 0, graded = 0;

    lists(std::size_t rows, std::size_t n)
        : length(n), scores(bench::make_logits(rows)), labels(rows), gradient(rows), hessian(rows) {
        bench::generator g(7);
        for (std::size_t i = 0; i < rows; ++i) {
            labels[i] = g.uniform() < 0.5 ? 0.0f : float(1 + int(4 * g.uniform()));
            gradient[i] = hessian[i] = 0;
        }
        while (offsets.back() < rows) offsets.push_back(offsets.back() + std::uint32_t(n));
        each([&](std::size_t first, std::size_t end) {
            double of[5] = {};
            for (std::size_t i = first; i < end; ++i) of[int(labels[i])] += 1;
            for (int a = 0; a < 5; ++a) {
                for (int b = 0; b < a; ++b) pairs += of[a] * of[b];
            }
            graded += (double(end - first) - of[0]) * double(end - first);
        });
    }
    template <class Visit>
    double each(Visit visit) const {
        double sum = 0;
        for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
            if constexpr (std::is_void_v<decltype(visit(std::size_t{}, std::size_t{}))>) {
                visit(offsets[s], offsets[s + 1]);
            } else {
                sum += visit(offsets[s], offsets[s + 1]);
            }
        }
        return sum;
    }
};

double softmax(lists& data) {
    return reckon::listwise_softmax(serial, data.scores, data.labels, data.offsets, {}, data.gradient).sum();
}
double plain_softmax(lists& data) {
    std::vector<float> p(data.length);
    return data.each([&](std::size_t first, std::size_t end) {
        float top = data.scores[first], mass = 0, sum = 0, cross = 0;
        for (std::size_t i = first; i < end; ++i) top = std::max(top, data.scores[i]), mass += data.labels[i];
        for (std::size_t i = first; i < end; ++i) sum += p[i - first] = std::exp(data.scores[i] - top);
        for (std::size_t i = first; i < end; ++i) {
            cross += data.labels[i] * (top - data.scores[i]);
            data.gradient[i] += p[i - first] / sum - data.labels[i] / mass;
        }
        return mass > 0 ? double(std::log(sum) + cross / mass) : 0.0;
    });
}

double lambda(lists& data, std::size_t k) {
    return reckon::lambda_rank(serial, data.scores, data.labels, data.offsets, {.k = k}, data.gradient, 1.0,
                               data.hessian)
        .sum();
}
double lambda_all(lists& data) {
    return lambda(data, 0);
}
double lambda_ten(lists& data) {
    return lambda(data, 10);
}
double plain_lambda(lists& data) {
    std::vector<std::size_t> order, rank(data.length);
    std::vector<float> gain, discount;
    return data.each([&](std::size_t first, std::size_t end) {
        const std::size_t n = end - first;
        order.resize(n);
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::stable_sort(order.begin(), order.end(),
                         [&](auto a, auto b) { return data.scores[first + a] > data.scores[first + b]; });
        gain.clear(), discount.clear();
        for (std::size_t r = 0; r < n; ++r) rank[order[r]] = r;
        for (std::size_t i = 0; i < n; ++i) {
            gain.push_back(float(std::exp2(double(data.labels[first + i])) - 1));
            discount.push_back(float(1 / std::log2(double(rank[i]) + 2)));
        }
        std::vector<float> best = gain;
        std::sort(best.begin(), best.end(), std::greater<float>());
        double ideal = 0, loss = 0;
        for (std::size_t r = 0; r < n; ++r) ideal += double(best[r]) / std::log2(double(r) + 2);
        if (ideal == 0) return 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = 0; j < n; ++j) {
                if (!(data.labels[first + i] > data.labels[first + j])) continue;
                const float w = (gain[i] - gain[j]) * std::fabs(discount[i] - discount[j]) / float(ideal);
                const float gap = data.scores[first + i] - data.scores[first + j], t = std::exp(-std::fabs(gap));
                const float p = (gap > 0 ? t : 1.0f) / (1.0f + t), h = w * p * (1.0f - p);
                data.gradient[first + i] -= w * p;
                data.gradient[first + j] += w * p;
                data.hessian[first + i] += h;
                data.hessian[first + j] += h;
                loss += double(w * (std::fmax(0.0f, -gap) + std::log1p(t)));
            }
        }
        return loss;
    });
}

double approx(lists& data) {
    return reckon::approx_ndcg(serial, data.scores, data.labels, data.offsets, {.temperature = 0.1}, data.gradient)
        .sum();
}
double plain_approx(lists& data) {
    constexpr float t = 0.1f;
    std::vector<float> best;
    return data.each([&](std::size_t first, std::size_t end) {
        const float* const s = data.scores.data() + first;
        const std::size_t n = end - first;
        best.clear();
        for (std::size_t i = 0; i < n; ++i) best.push_back(std::exp2(data.labels[first + i]) - 1);
        const std::vector<float> gain = best;
        std::sort(best.begin(), best.end(), std::greater<float>());
        double ideal = 0, value = 1;
        for (std::size_t r = 0; r < n; ++r) ideal += double(best[r]) / std::log2(double(r) + 2);
        if (ideal == 0) return 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            if (gain[i] == 0) continue;
            float rank = 0.5f;
            for (std::size_t j = 0; j < n; ++j) rank += 1 / (1 + std::exp((s[i] - s[j]) / t));
            const double log_rank = std::log1p(double(rank));
            value -= double(gain[i]) / ideal * std::log(2.0) / log_rank;
            const float pull =
                float(double(gain[i]) / ideal * std::log(2.0) / ((1 + double(rank)) * log_rank * log_rank));
            for (std::size_t j = 0; j < n; ++j) {
                const float p = 1 / (1 + std::exp((s[i] - s[j]) / t)), slope = pull * p * (1 - p) / t;
                data.gradient[first + j] += slope;
                data.gradient[first + i] -= slope;
            }
        }
        return value;
    });
}

enum class item { row, pair, graded };

void run(benchmark::State& state, double (*loss)(lists&), double (*plain)(lists&), item what,
         const bench::item_cost& cost, double allowed) {
    const auto length = std::size_t(state.range(0));
    lists data(length * (what == item::row ? 500 : 20000 / length + 1), length);
    // Value and gradient of one call each.
    if (plain != nullptr) {
        lists other = data;
        double error = std::fabs(loss(data) / plain(other) - 1), largest = 1e-3;
        for (const float g : other.gradient) largest = std::fmax(largest, double(std::fabs(g)));
        for (std::size_t i = 0; i < data.gradient.size(); ++i) {
            error = std::fmax(error, double(std::fabs(data.gradient[i] - other.gradient[i])) / largest);
        }
        if (!bench::gate(state, error, allowed)) return;
    }
    for (auto _ : state) benchmark::DoNotOptimize(loss(data));
    const double items = what == item::row ? double(data.scores.size()) : what == item::pair ? data.pairs : data.graded;
    bench::report(state, std::size_t(items), cost, 16 * length);
}
constexpr bench::item_cost softmax_cost{.flops = 24, .bytes_read = 12, .bytes_written = 4},
    lambda_cost{.flops = 48, .bytes_read = 24, .bytes_written = 8},
    approx_cost{.flops = 16, .bytes_read = 12, .bytes_written = 8};

void reckon_softmax(benchmark::State& state) {
    run(state, softmax, plain_softmax, item::row, softmax_cost, 2e-5);
}
void plain_softmax_loop(benchmark::State& state) {
    run(state, plain_softmax, nullptr, item::row, softmax_cost, 0);
}
void reckon_lambda(benchmark::State& state) {
    run(state, lambda_all, plain_lambda, item::pair, lambda_cost, 2e-5);
}
void reckon_lambda_top_ten(benchmark::State& state) {
    run(state, lambda_ten, nullptr, item::row, lambda_cost, 0);
}
void plain_lambda_loop(benchmark::State& state) {
    run(state, plain_lambda, nullptr, item::pair, lambda_cost, 0);
}
void reckon_approx(benchmark::State& state) {
    run(state, approx, plain_approx, item::graded, approx_cost, 2e-5);
}
void plain_approx_loop(benchmark::State& state) {
    run(state, plain_approx, nullptr, item::graded, approx_cost, 0);
}

void lengths(benchmark::internal::Benchmark* b) {
    b->ArgName("length");
    for (const std::int64_t n : {20, 200, 1000}) {
        if (!bench::smoke() || n == 20) b->Arg(n);
    }
}
BENCHMARK(reckon_softmax)->Apply(lengths);
BENCHMARK(plain_softmax_loop)->Apply(lengths);
BENCHMARK(reckon_lambda)->Apply(lengths);
BENCHMARK(reckon_lambda_top_ten)->Apply(lengths);
BENCHMARK(plain_lambda_loop)->Apply(lengths);
BENCHMARK(reckon_approx)->Apply(lengths);
BENCHMARK(plain_approx_loop)->Apply(lengths);

struct rows {
    buffer<float> z, y, r, gradient;
    explicit rows(std::size_t n) : z(bench::make_logits(n, 1)), y(n), r(bench::make_logits(n, 2)), gradient(n) {
        bench::generator g(3);
        for (std::size_t i = 0; i < n; ++i) y[i] = g.uniform() < 0.1 ? 1.0f : 0.0f, gradient[i] = 0;
    }
};
double gap_state(rows& data) {
    return reckon::mean_gap_of(serial, data.z, data.y).finish();
}
double gap(rows& data) {
    return reckon::mean_gap_contrast(serial, data.z, data.y, {}, data.gradient).sum();
}
double plain_gap(rows& data) {
    double high = 0, low = 0, positives = 0;
    const std::size_t n = data.z.size();
    for (std::size_t i = 0; i < n; ++i) {
        const double z = double(data.z[i]), t = data.y[i] > 0 ? 1 : 0;
        high += t * z, low += (1 - t) * z, positives += t;
    }
    const double delta = high / positives - low / (double(n) - positives), pull = 1 / (1 + std::exp(delta));
    const float up = float(-pull / positives), down = float(pull / (double(n) - positives));
    for (std::size_t i = 0; i < n; ++i) data.gradient[i] += data.y[i] > 0 ? up : down;
    return std::log1p(std::exp(-delta));
}
double moments(rows& data) {
    return reckon::covariance_loss(reckon::co_moments_of(serial, data.z, data.r));
}
double covariance(rows& data) {
    return reckon::covariance_contrast(serial, data.z, data.r, {}, data.gradient).sum();
}
double plain_covariance(rows& data) {
    double z = 0, r = 0, zr = 0;
    const std::size_t n = data.z.size();
    for (std::size_t i = 0; i < n; ++i) {
        const double a = double(data.z[i]), b = double(data.r[i]);
        z += a, r += b, zr += a * b;
    }
    const double count = double(n), c = 2 * (zr - z * r / count) / (count - 1), pull = 1 / (1 + std::exp(c));
    const float slope = float(-2 * pull / (count - 1)), mean = float(z / count);
    for (std::size_t i = 0; i < n; ++i) data.gradient[i] += slope * (data.z[i] - mean);
    return std::log1p(std::exp(-c));
}
void run_rows(benchmark::State& state, double (*loss)(rows&), double (*plain)(rows&), const bench::item_cost& cost) {
    const auto n = std::size_t(state.range(0));
    rows data(n), other(n);
    double error = std::fabs(loss(data) / plain(other) - 1), largest = 1e-12, worst = 0;
    for (std::size_t i = 0; i < n; ++i) {
        largest = std::fmax(largest, double(std::fabs(other.gradient[i])));
        worst = std::fmax(worst, double(std::fabs(data.gradient[i] - other.gradient[i])));
    }
    if (cost.bytes_written > 0) error = std::fmax(error, worst / largest);
    if (!bench::gate(state, error, 1e-5)) return;
    for (auto _ : state) benchmark::DoNotOptimize(loss(data));
    bench::report(state, n, cost, 12 * n);
}
constexpr bench::item_cost state_cost{.flops = 10, .bytes_read = 8},
    both_cost{.flops = 24, .bytes_read = 20, .bytes_written = 4};
void reckon_mean_gap_state(benchmark::State& state) {
    run_rows(state, gap_state, plain_gap, state_cost);
}
void reckon_mean_gap(benchmark::State& state) {
    run_rows(state, gap, plain_gap, both_cost);
}
void plain_mean_gap(benchmark::State& state) {
    run_rows(state, plain_gap, plain_gap, both_cost);
}
void reckon_co_moments(benchmark::State& state) {
    run_rows(state, moments, plain_covariance, state_cost);
}
void reckon_covariance(benchmark::State& state) {
    run_rows(state, covariance, plain_covariance, both_cost);
}
void plain_covariance_loop(benchmark::State& state) {
    run_rows(state, plain_covariance, plain_covariance, both_cost);
}
BENCHMARK(reckon_mean_gap_state)->Apply(bench::with_sizes);
BENCHMARK(reckon_mean_gap)->Apply(bench::with_sizes);
BENCHMARK(plain_mean_gap)->Apply(bench::with_sizes);
BENCHMARK(reckon_co_moments)->Apply(bench::with_sizes);
BENCHMARK(reckon_covariance)->Apply(bench::with_sizes);
BENCHMARK(plain_covariance_loop)->Apply(bench::with_sizes);

}  // namespace
