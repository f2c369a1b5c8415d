// Losses of ranked lists: worked examples, PyTorch, xgboost, plain loops in double, gradients, shards, extremes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/losses/approx_ndcg.hpp"
#include "reckon/losses/lambda_rank.hpp"
#include "reckon/losses/listwise_softmax.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;
using doubles = std::vector<double>;
using offsets_type = std::vector<std::uint32_t>;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

// One of the losses with its options.
struct setting {
    enum { share, listnet, approx, lambda } which = share;
    double temperature = 1.0;  // or sigma
    std::size_t k = 0;
    bool pairs = false, linear = false, normalise = false;
    dcg_gain gain() const { return linear ? dcg_gain::linear : dcg_gain::exponential; }
};
const setting settings[] = {{setting::share, 0.7},
                            {setting::listnet, 1.5},
                            {setting::approx, 0.2},
                            {setting::approx, 1.0, 0, false, true},
                            {setting::lambda, 1.0},
                            {setting::lambda, 1.5, 4},
                            {setting::lambda, 1.0, 4, true, true},
                            {setting::lambda, 2.0, 6, true, false, true}};

template <class T>
struct result {
    double sum = 0.0, weight = 0.0;
    std::uint64_t rejected = 0;
    std::vector<T> gradient, hessian;
    bool operator==(const result&) const = default;
};

template <class T, class Y, class Policy>
result<T> run(const setting& s, const Policy& where, const std::vector<T>& scores, const std::vector<Y>& labels,
              const offsets_type& offsets, double scale = 1.0) {
    result<T> out;
    out.gradient.resize(scores.size());
    list_mean m;
    if (s.which == setting::lambda) {
        out.hessian.resize(scores.size());
        m = lambda_rank(
            where, scores, labels, offsets,
            {s.k, s.temperature, s.gain(), s.pairs ? lambda_truncation::pairs : lambda_truncation::metric, s.normalise},
            out.gradient, scale, out.hessian);
    } else if (s.which == setting::approx) {
        m = approx_ndcg(where, scores, labels, offsets, {s.temperature, s.gain()}, out.gradient, scale);
    } else {
        const auto target = s.which == setting::share ? listwise_target::share : listwise_target::softmax;
        m = listwise_softmax(where, scores, labels, offsets, {s.temperature, target}, out.gradient, scale);
    }
    out.sum = m.sum();
    out.weight = m.weight();
    out.rejected = m.lists.rejected;
    CHECK(m.seen == counts{scores.size(), 0});
    CHECK(m.lists.accepted + m.lists.rejected == (offsets.empty() ? 0 : offsets.size() - 1));
    return out;
}

// The definitions, one list, in double. `size` bounds what was added up.
struct plain {
    bool used = false;
    double value = 0.0, size = 0.0;
    doubles gradient, hessian;
};
doubles softmax_of(const doubles& x) {
    const double top = *std::max_element(x.begin(), x.end());
    doubles p;
    double sum = 0.0;
    for (const double v : x) sum += p.emplace_back(std::exp(v - top));
    for (double& v : p) v /= sum;
    return p;
}
double softplus(double x) {
    return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}
double sigmoid(double x) {
    return 1.0 / (1.0 + std::exp(-x));
}
plain reference(const setting& s, const doubles& scores, const doubles& labels) {
    const std::size_t n = scores.size();
    plain out;
    out.gradient.assign(n, 0.0);
    out.hessian.assign(n, 0.0);
    double mass = 0.0;
    for (const double y : labels) mass += std::fmax(y, 0.0);
    if (n == 0 || (s.which != setting::listnet && mass == 0.0)) return out;
    out.used = true;
    if (s.which == setting::share || s.which == setting::listnet) {
        doubles x = scores, q;
        for (double& v : x) v /= s.temperature;
        if (s.which == setting::listnet) q = softmax_of(labels);
        for (const double y : labels) {
            if (s.which == setting::share) q.push_back(std::fmax(y, 0.0) / mass);
        }
        const doubles p = softmax_of(x);
        const double top = *std::max_element(x.begin(), x.end());
        double sum = 0.0;
        for (const double v : x) sum += std::exp(v - top);
        out.value = std::log(sum);
        for (std::size_t i = 0; i < n; ++i) {
            out.value += q[i] * (top - x[i]);
            out.gradient[i] = (p[i] - q[i]) / s.temperature;
            out.size = std::fmax(out.size, std::fabs(x[i]));
        }
        out.size = (1.0 + out.size) / std::fmin(1.0, s.temperature);
        return out;
    }
    doubles gains, sorted;
    for (const double y : labels) gains.push_back(s.linear ? std::fmax(y, 0.0) : std::exp2(std::fmax(y, 0.0)) - 1.0);
    sorted = gains;
    std::sort(sorted.begin(), sorted.end(), std::greater<double>());
    const std::size_t k = s.k == 0 ? n : std::min(s.k, n);
    double ideal = 0.0;
    for (std::size_t r = 0; r < k; ++r) ideal += sorted[r] / std::log2(static_cast<double>(r) + 2.0);
    if (s.which == setting::approx) {
        out.value = 1.0;
        out.size = 2.0 + 1.0 / s.temperature;
        for (std::size_t i = 0; i < n; ++i) {
            double rank = 1.0;
            for (std::size_t j = 0; j < n; ++j) {
                if (j != i) rank += sigmoid((scores[j] - scores[i]) / s.temperature);
            }
            out.value -= gains[i] / ideal / std::log2(1.0 + rank);
            const double pull = gains[i] / ideal * std::log(2.0) / ((1.0 + rank) * std::pow(std::log1p(rank), 2));
            for (std::size_t j = 0; j < n; ++j) {
                const double p = sigmoid((scores[j] - scores[i]) / s.temperature),
                             slope = pull * p * sigmoid((scores[i] - scores[j]) / s.temperature) / s.temperature;
                if (j == i) continue;
                out.gradient[j] += slope;
                out.gradient[i] -= slope;
            }
        }
        return out;
    }
    doubles rank;
    for (std::size_t i = 0; i < n; ++i) {
        double before = 0.0;
        for (std::size_t j = 0; j < n; ++j) before += scores[j] > scores[i] || (scores[j] == scores[i] && j < i);
        rank.push_back(before);
    }
    const auto discount = [&](std::size_t i) {
        return s.pairs || rank[i] < static_cast<double>(k) ? 1.0 / std::log2(rank[i] + 2.0) : 0.0;
    };
    const auto [low, high] = std::minmax_element(scores.begin(), scores.end());
    double slopes = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
            if (!(labels[i] > labels[j]) || std::fmin(rank[i], rank[j]) >= static_cast<double>(k)) continue;
            double w = std::fabs(gains[i] - gains[j]) * std::fabs(discount(i) - discount(j)) / ideal;
            const double gap = scores[i] - scores[j];
            if (s.normalise && *low != *high) w /= 0.01 + std::fabs(gap);
            const double p = sigmoid(-s.temperature * gap), move = w * s.temperature * p;
            out.value += w * softplus(-s.temperature * gap);
            out.gradient[i] -= move;
            out.gradient[j] += move;
            for (const std::size_t r : {i, j}) {
                out.hessian[r] += w * s.temperature * s.temperature * p * sigmoid(s.temperature * gap);
            }
            slopes += move;
        }
    }
    if (s.normalise && slopes > 0.0) {
        const double norm = std::log2(1.0 + 2.0 * slopes) / (2.0 * slopes);
        out.value *= norm;
        slopes *= norm;
        for (double& g : out.gradient) g *= norm;
        for (double& h : out.hessian) h *= norm;
    }
    out.size = s.temperature * (1.0 + slopes) + out.value;
    return out;
}

// Compares all lists with the definition; scale 1.
template <class T, class Y>
void compare(const setting& s, const std::vector<T>& scores, const std::vector<Y>& labels,
             const offsets_type& offsets) {
    const result<T> got = run(s, serial, scores, labels, offsets);
    double sum = 0.0, size = 0.0, used = 0.0;
    doubles gradient, hessian;
    for (std::size_t l = 0; l + 1 < offsets.size(); ++l) {
        const auto from = [&](const auto& column) {
            return doubles(column.begin() + offsets[l], column.begin() + offsets[l + 1]);
        };
        const plain want = reference(s, from(scores), from(labels));
        sum += want.value;
        size = std::fmax(size, want.size);
        used += want.used ? 1.0 : 0.0;
        gradient.insert(gradient.end(), want.gradient.begin(), want.gradient.end());
        hessian.insert(hessian.end(), want.hessian.begin(), want.hessian.end());
    }
    const int which = s.which;
    CAPTURE(which);
    CAPTURE(s.temperature);
    CAPTURE(s.k);
    CHECK(got.weight == used);
    CHECK_NEAR(got.sum, sum, reduction<T>(64).of(size * used));
    CHECK_ALL_NEAR(got.gradient, gradient, reduction<T>(16).of(size));
    if (s.which == setting::lambda) CHECK_ALL_NEAR(got.hessian, hessian, reduction<T>(16).of(size * s.temperature));
}

offsets_type offsets_of(const std::vector<std::size_t>& lengths) {
    offsets_type offsets{0};
    for (const std::size_t n : lengths) offsets.push_back(offsets.back() + static_cast<std::uint32_t>(n));
    return offsets;
}
template <class Y>
std::vector<Y> grades(std::size_t n, std::uint64_t seed) {
    auto y = random_integers<int>(n, 10, seed);
    std::vector<Y> out;
    for (const int v : y) out.push_back(static_cast<Y>(v < 5 ? 0 : v - 5));
    return out;
}

TEST_CASE("listwise_softmax: worked example") {
    // Two rows at log-odds ln 3: softmax 3/4 and 1/4, targets 1/4 and 3/4. Then a list without a positive label, and
    // none.
    const doubles scores{std::log(3.0), 0.0, 5.0, -5.0}, labels{1.0, 3.0, 0.0, -2.0};
    doubles gradient(4, 1.0);
    const list_mean m = listwise_softmax(serial, scores, labels, offsets_type{0, 2, 4, 4}, {}, gradient, 2.0);
    CHECK_NEAR(m.sum(), 0.25 * std::log(4.0 / 3.0) + 0.75 * std::log(4.0), reduction(4));
    CHECK(m.weight() == 1.0);
    CHECK(m.lists == counts{1, 2});
    CHECK_ALL_NEAR(gradient, (doubles{2.0, 0.0, 1.0, 1.0}), reduction(4));
}

TEST_CASE("lambda_rank: worked example") {
    // The good row stands on rank 2: exchanging both gains 1 - 1 / log2(3) of nDCG.
    const doubles scores{std::log(3.0), 0.0}, labels{0.0, 1.0};
    doubles gradient(2, 1.0), hessian(2, 1.0);
    const double d = 1.0 - 1.0 / std::log2(3.0);
    const list_mean m = lambda_rank(serial, scores, labels, offsets_type{0, 2}, {}, gradient, 2.0, hessian);
    CHECK_NEAR(m.sum(), d * std::log(4.0), reduction(8));
    CHECK_ALL_NEAR(gradient, (doubles{1.0 + 1.5 * d, 1.0 - 1.5 * d}), reduction(8));
    CHECK_ALL_NEAR(hessian, doubles(2, 1.0 + 0.375 * d), reduction(8));
    // Only the first rank counts: exchanging gains all of nDCG@1.
    CHECK_NEAR(lambda_rank(serial, scores, labels, offsets_type{0, 2}, {.k = 1}).sum(), std::log(4.0), reduction(8));
}

TEST_CASE("approx_ndcg: worked example") {
    // sigmoid(ln 3) = 3/4 of the other row stands above the good one.
    const doubles scores{std::log(3.0), 0.0}, labels{0.0, 1.0};
    doubles gradient(2, 1.0);
    const list_mean m = approx_ndcg(serial, scores, labels, offsets_type{0, 2}, {.temperature = 1.0}, gradient, 2.0);
    CHECK_NEAR(m.sum(), 1.0 - 1.0 / std::log2(2.75), reduction(8));
    const double slope = std::log(2.0) / (2.75 * std::pow(std::log(2.75), 2)) * 3.0 / 16.0;
    CHECK_ALL_NEAR(gradient, (doubles{1.0 + 2.0 * slope, 1.0 - 2.0 * slope}), reduction(8));
}

template <class T>
void compare_with_fixture(const fixture& data, const std::string& lists, const std::string& name, const setting& s) {
    CAPTURE(lists);
    CAPTURE(name);
    const auto scores = data.as<T>(lists + ".s"), labels = data.as<T>(lists + ".y");
    const auto got = run(s, serial, scores, labels, data.as<std::uint32_t>(lists + ".offsets"));
    double span = 1.0;
    for (const T x : scores) span = std::fmax(span, std::fabs(static_cast<double>(x)));
    const bool ranks = s.which == setting::lambda || s.which == setting::approx;
    const double size = ranks ? 4.0 * std::fmax(s.temperature, 1.0 / s.temperature) : (1.0 + span) / s.temperature;
    CHECK_NEAR(got.sum, data.value(lists + "." + name + ".loss"), reduction<T>(64).of(size + 4.0 * span));
    CHECK_ALL_NEAR(got.gradient, data[lists + "." + name + ".grad"], reduction<T>(16).of(size));
    if (s.which == setting::lambda) {
        CHECK_ALL_NEAR(got.hessian, data[lists + "." + name + ".hess"], reduction<T>(16).of(size * s.temperature));
    }
}
TEST_CASE_TEMPLATE("listwise losses: PyTorch", T, float, double) {
    const fixture data("listwise.txt");
    for (const std::string lists : {"usual", "tight", "logits80", "logits1e4", "equal"}) {
        const double t = data.value(lists + ".approx.t");
        compare_with_fixture<T>(data, lists, "softmax", {setting::share, data.value(lists + ".softmax.t")});
        compare_with_fixture<T>(data, lists, "listnet", {setting::listnet});
        compare_with_fixture<T>(data, lists, "approx.exponential", {setting::approx, t});
        compare_with_fixture<T>(data, lists, "approx.linear", {setting::approx, t, 0, false, true});
        compare_with_fixture<T>(data, lists, "lambda.all", {setting::lambda});
        compare_with_fixture<T>(data, lists, "lambda.k5", {setting::lambda, 2.0, 5});
        compare_with_fixture<T>(data, lists, "lambda.pairs5", {setting::lambda, 1.0, 5, true, true});
        compare_with_fixture<T>(data, lists, "lambda.norm", {setting::lambda, 1.0, 5, true, false, true});
    }
}

TEST_CASE("lambda_rank: steps of xgboost") {
    const fixture data("lambda_xgboost.txt");
    const auto scores = data.as<double>("s");
    const auto labels = data.as<std::uint8_t>("y");
    const auto offsets = offsets_of(data.as<std::size_t>("lengths"));
    for (const std::size_t k : {0u, 4u}) {
        for (const bool normalise : {false, true}) {
            CAPTURE(k);
            CAPTURE(normalise);
            const auto got = run({setting::lambda, 1.0, k, true, false, normalise}, serial, scores, labels, offsets);
            const doubles& want = data["step.k" + std::to_string(k) + (normalise ? ".1" : ".0")];
            std::size_t compared = 0;
            for (std::size_t i = 0; i < want.size(); ++i) {
                if (std::isnan(want[i])) continue;  // rows that shared a leaf
                ++compared;
                // xgboost works in float.
                CHECK_NEAR(static_cast<float>(-got.gradient[i] / (2.0 * got.hessian[i])), want[i],
                           reduction<float>(64).of(1.0));
            }
            CHECK(compared > 20);
        }
    }
}

TEST_CASE_TEMPLATE("listwise losses: against the definition", T, float, double) {
    constexpr std::size_t lanes = simd::pack<T>::lanes;
    const auto offsets = offsets_of({0, 1, lanes - 1, lanes, lanes + 1, 2, 4 * lanes + 3, 0, 130, 3, 200, 1});
    const std::size_t n = offsets.back();
    for (const setting& s : settings) {
        // Spans of lists that allow one power a row, and that do not.
        for (const double size : {1.0, 40.0}) {
            CAPTURE(size);
            auto scores = random_normal<T>(n, 0.0, size, 1);
            for (std::size_t i = 3; i < n; i += 7) scores[i] = scores[i - 2];  // ties
            compare(s, scores, grades<T>(n, 2), offsets);
            compare(s, scores, grades<std::uint8_t>(n, 3), offsets);
            // Labels that are no integers, some of them negative; gains small enough for either type.
            compare(s, scores, random_normal<T>(n, 0.3, 1.0, 4), offsets);
        }
    }
}

TEST_CASE_TEMPLATE("listwise losses: long lists", T, float, double) {
    const auto offsets = offsets_of({2500, 3});
    const std::size_t n = offsets.back();
    const auto scores = random_normal<T>(n, 0.0, 1.0, 5);
    std::vector<T> labels(n);
    for (const std::size_t i : {3u, 1200u, 2499u, 2501u}) labels[i] = static_cast<T>(1 + i % 3);
    for (const setting& s : settings) {
        if (s.which != setting::lambda || s.k > 0) compare(s, scores, labels, offsets);
    }
}

TEST_CASE("listwise losses: gradients against central differences") {
    const offsets_type offsets{0, 6, 7, 20};
    const std::size_t n = offsets.back();
    const auto labels = grades<double>(n, 7);
    // No two scores so near that a step exchanges their ranks.
    doubles start = random_normal<double>(n, 0.0, 0.2, 6);
    for (std::size_t i = 0; i < n; ++i) start[i] = 0.05 * static_cast<double>((i * 7) % n) + 0.01 * start[i];
    for (const setting& s : settings) {
        if (s.normalise) continue;  // its weights vary with the scores, and count as constants
        const auto value = [&](vector_view<const double> x) {
            return run(s, serial, doubles(x.begin(), x.end()), labels, offsets).sum;
        };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            const auto got = run(s, serial, doubles(x.begin(), x.end()), labels, offsets);
            for (std::size_t i = 0; i < n; ++i) out[i] += got.gradient[i];
        };
        CHECK_LAW(testing::check_gradient(value, gradient, start));
        if (s.which != setting::lambda) continue;
        // The Hessian's diagonal is the derivative of the gradient.
        const auto got = run(s, serial, start, labels, offsets);
        for (std::size_t i = 0; i < n; ++i) {
            const double h = 1e-4;
            doubles up = start, down = start;
            up[i] += h;
            down[i] -= h;
            const double slope =
                (run(s, serial, up, labels, offsets).gradient[i] - run(s, serial, down, labels, offsets).gradient[i]) /
                (2.0 * h);
            CHECK_NEAR(got.hessian[i], slope, fitted());
        }
    }
}

TEST_CASE("listwise losses: the same bits for any number of threads; shards of lists add up") {
    std::vector<std::size_t> lengths;
    for (std::size_t l = 0; l < 300; ++l) lengths.push_back(l * 37 % 29);
    const auto offsets = offsets_of(lengths);
    const auto scores = random_normal<float>(offsets.back(), 0.0, 1.0, 8);
    const auto labels = grades<std::uint8_t>(offsets.back(), 9);
    exec::pool two(2), three(3);
    for (const setting& s : settings) {
        const auto want = run(s, serial, scores, labels, offsets);
        CHECK(run(s, exec::host{two}, scores, labels, offsets) == want);
        CHECK(run(s, exec::host{three}, scores, labels, offsets) == want);
        for (const std::size_t shards : {1u, 2u, 7u}) {
            mean_value sum;
            std::uint64_t rejected = 0;
            std::vector<float> gradient, hessian;
            for (std::size_t c = 0; c < shards; ++c) {
                const std::size_t first = c * 300 / shards, end = (c + 1) * 300 / shards;
                const std::size_t from = offsets[first], to = offsets[end];
                offsets_type mine;
                for (std::size_t l = first; l <= end; ++l) mine.push_back(offsets[l] - offsets[first]);
                const auto rows = [&](const auto& column) {
                    return std::vector(column.begin() + static_cast<std::ptrdiff_t>(from),
                                       column.begin() + static_cast<std::ptrdiff_t>(to));
                };
                const auto got = run(s, serial, rows(scores), rows(labels), mine);
                sum.merge({got.sum, got.weight});
                rejected += got.rejected;
                gradient.insert(gradient.end(), got.gradient.begin(), got.gradient.end());
                hessian.insert(hessian.end(), got.hessian.begin(), got.hessian.end());
            }
            CHECK_NEAR(sum.sum(), want.sum, reduction(300));
            CHECK(sum.weight() == want.weight);
            CHECK(rejected == want.rejected);
            CHECK(gradient == want.gradient);
            CHECK(hessian == want.hessian);
        }
    }
}

TEST_CASE("listwise losses: without gradients the same value, and derivatives one at a time") {
    const offsets_type offsets{0, 9, 30, 30, 77};
    const auto scores = random_normal<float>(77, 0.0, 1.0, 10);
    const auto labels = grades<float>(77, 11);
    const auto want = run({setting::lambda}, serial, scores, labels, offsets);
    std::vector<float> hessian(77);
    CHECK(lambda_rank(serial, scores, labels, offsets).sum() == want.sum);
    CHECK(lambda_rank(serial, scores, labels, offsets, {}, none{}, 1.0, hessian).sum() == want.sum);
    CHECK(hessian == want.hessian);
    CHECK(approx_ndcg(serial, scores, labels, offsets, {.temperature = 0.2}).sum() ==
          run({setting::approx, 0.2}, serial, scores, labels, offsets).sum);
    CHECK(listwise_softmax(serial, scores, labels, offsets).sum() ==
          run({setting::share}, serial, scores, labels, offsets).sum);
}

TEST_CASE("lambda_rank, approx_ndcg: equal scores") {
    // lambda_rank places them in the order of rows; approx_ndcg gives both the middle rank.
    const doubles scores(4, 2.0), labels{0.0, 0.0, 1.0, 0.0};
    const auto by_rows = run({setting::lambda}, serial, scores, labels, {0, 4});
    const double third = 1.0 / std::log2(4.0);
    CHECK_NEAR(by_rows.gradient[0], 0.5 * (1.0 - third), reduction(8));
    CHECK_NEAR(by_rows.gradient[1], 0.5 * (1.0 / std::log2(3.0) - third), reduction(8));
    CHECK_NEAR(by_rows.gradient[3], 0.5 * (third - 1.0 / std::log2(5.0)), reduction(8));
    CHECK_NEAR(run({setting::approx}, serial, scores, labels, {0, 4}).sum, 1.0 - 1.0 / std::log2(3.5), reduction(8));
    // One row: nothing to exchange, rank 1, one choice.
    for (const setting& s : settings) {
        const auto alone = run(s, serial, doubles{3.0}, doubles{2.0}, {0, 1});
        CHECK_NEAR(alone.sum, 0.0, reduction(4).of(1.0));
        CHECK_NEAR(alone.gradient[0], 0.0, reduction(4).of(1.0));
        CHECK(alone.weight == 1.0);
    }
}

TEST_CASE_TEMPLATE("listwise losses: finite scores of any size stay free of NaN", T, float, double) {
    const T most = std::numeric_limits<T>::max();
    std::vector<std::vector<T>> columns;
    for (const T size : {T(1e-30), T(80), T(1e4), T(1e30), most}) {
        auto scores = random_uniform<T>(40, -1.0, 1.0, 12);
        for (T& x : scores) x *= size;
        columns.push_back(scores);
        for (std::size_t i = 0; i < 40; ++i) scores[i] = i % 2 == 0 ? size : -size;
        columns.push_back(scores);
    }
    const auto labels = grades<T>(40, 13);
    for (setting s : settings) {
        for (const double t : {1e-15, 1.0, 1e15}) {
            s.temperature = t;
            for (const auto& scores : columns) {
                const auto got = run(s, serial, scores, labels, {0, 23, 40});
                CAPTURE(t);
                CAPTURE(scores[0]);
                CHECK(!std::isnan(got.sum));
                CHECK(std::none_of(got.gradient.begin(), got.gradient.end(), [](T g) { return std::isnan(g); }));
                CHECK(std::none_of(got.hessian.begin(), got.hessian.end(), [](T h) { return std::isnan(h); }));
            }
        }
    }
}

TEST_CASE("listwise_softmax: labels of any size, and masked rows") {
    const float most = std::numeric_limits<float>::max(), tiny = std::numeric_limits<float>::min();
    const std::vector<float> scores{0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f};
    std::vector<float> gradient(6);
    // Sums beyond the range and denormal ones have no shares.
    const std::vector<float> labels{most, most, tiny / 4, 0.0f, tiny, 0.0f};
    const list_mean m = listwise_softmax(serial, scores, labels, offsets_type{0, 2, 4, 6}, {}, gradient);
    CHECK(m.lists == counts{1, 2});
    CHECK(gradient == std::vector<float>{0.0f, 0.0f, 0.0f, 0.0f, -0.5f, 0.5f});
    // A row at -inf takes no part.
    const doubles masked{1.0, -inf, 0.5}, y{1.0, 0.0, 0.0}, open{1.0, 0.5}, open_labels{1.0, 0.0};
    doubles slope(3);
    CHECK(listwise_softmax(serial, masked, y, offsets_type{0, 3}, {}, slope).sum() ==
          listwise_softmax(serial, open, open_labels, offsets_type{0, 2}).sum());
    CHECK(slope[1] == 0.0);
    CHECK(slope[0] < 0.0);
    // No row is left, or no label is.
    const listwise_softmax_options of_labels{.target = listwise_target::softmax};
    const doubles none_left{-inf, -inf}, endless{inf, 0.0};
    CHECK(std::isnan(listwise_softmax(serial, none_left, open_labels, offsets_type{0, 2}).sum()));
    CHECK(std::isnan(listwise_softmax(serial, open, endless, offsets_type{0, 2}, of_labels).sum()));
    CHECK(std::isnan(listwise_softmax(serial, open, none_left, offsets_type{0, 2}, of_labels).sum()));
    CHECK(listwise_softmax(serial, open, endless, offsets_type{0, 2}).lists == counts{0, 1});
}

TEST_CASE("listwise losses: a bad value makes its list NaN and no other") {
    for (const setting& s : settings) {
        for (const bool in_label : {false, true}) {
            doubles scores = random_normal<double>(30, 0.0, 1.0, 14), labels = grades<double>(30, 15);
            labels[12] = 2.0;
            (in_label ? labels : scores)[15] = nan;
            const auto got = run(s, serial, scores, labels, {0, 10, 20, 30});
            CHECK(std::isnan(got.sum));
            CHECK(got.weight == 3.0);
            for (std::size_t i = 0; i < 30; ++i) {
                CHECK(std::isnan(got.gradient[i]) == (i >= 10 && i < 20));
                if (s.which == setting::lambda) CHECK(std::isnan(got.hessian[i]) == (i >= 10 && i < 20));
            }
        }
        // Nor does a list without a gain hide its NaN label.
        const auto lone = run(s, serial, doubles{1.0, 2.0, 3.0}, doubles{nan, 0.0, 1.0}, {0, 2, 3});
        CHECK(std::isnan(lone.sum));
        CHECK(lone.weight == 2.0);
        for (std::size_t i = 0; i < 3; ++i) CHECK(std::isnan(lone.gradient[i]) == (i < 2));
        if (s.which == setting::share || s.which == setting::listnet) continue;
        doubles scores = random_normal<double>(30, 0.0, 1.0, 14);
        scores[3] = inf;
        CHECK(std::isnan(run(s, serial, scores, grades<double>(30, 15), {0, 10, 20, 30}).sum));
    }
}

TEST_CASE("listwise losses: bad and empty input") {
    const std::vector<float> two(2), three(3);
    std::vector<float> room(3);
    const offsets_type all{0, 2};
    CHECK_THROWS_WITH_AS(listwise_softmax(serial, two, three, all), "listwise_softmax: 2 scores but 3 labels",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(lambda_rank(serial, two, two, offsets_type{0, 3}),
                         "lambda_rank: 2 rows but offsets that end with 3", std::invalid_argument);
    CHECK_THROWS_WITH_AS(approx_ndcg(serial, two, two, all, {}, room),
                         "approx_ndcg: 2 scores but room for 3 derivatives", std::invalid_argument);
    CHECK_THROWS_WITH_AS(lambda_rank(serial, two, two, all, {}, none{}, 1.0, room),
                         "lambda_rank: 2 scores but room for 3 derivatives", std::invalid_argument);
    CHECK_THROWS_WITH_AS(listwise_softmax(serial, two, two, all, {.temperature = 0.0}),
                         "listwise_softmax: temperature must lie in [1e-15, 1e15], got 0", std::invalid_argument);
    CHECK_THROWS_WITH_AS(lambda_rank(serial, two, two, all, {.sigma = -1.0}),
                         "lambda_rank: sigma must lie in [1e-15, 1e15], got -1", std::invalid_argument);
    CHECK_THROWS_WITH_AS(approx_ndcg(serial, two, two, all, {.temperature = nan}),
                         "approx_ndcg: temperature must lie in [1e-15, 1e15], got nan", std::invalid_argument);
    for (const setting& s : settings) {
        const auto got = run(s, serial, doubles{}, doubles{}, {});
        CHECK(got.sum == 0.0);
        CHECK(got.weight == 0.0);
        CHECK(run(s, serial, doubles{}, doubles{}, {0, 0, 0}).rejected == 2);
    }
    CHECK(std::isnan(approx_ndcg(serial, doubles{}, doubles{}, offsets_type{}).finish()));
}

}  // namespace
