// Small mergeable states: worked examples, the merge law, extremes.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/pool.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace ts = reckon::testing_support;
using namespace reckon::testing;
using reckon::vector_view;

namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

// Absorbs a column, so that the value-wise states fold batches.
template <class Base>
struct over_column : Base {
    void absorb(vector_view<const double> values) {
        for (const double v : values) Base::absorb(v);
    }
    void merge(const over_column& other) { Base::merge(other); }
};
template <>
struct over_column<reckon::counts> : reckon::counts {
    void absorb(vector_view<const double> values) {
        for (const double v : values) counts::absorb(v > 0.0);
    }
    void merge(const over_column& other) { counts::merge(other); }
};

// The check of the law, and the same bits under 1, 2 and 3 threads.
template <class Base, class Same, class Equal>
void check_law(const std::vector<double>& values, Same same, Equal equal) {
    const over_column<Base> identity;
    const auto batch = reckon::input(values);
    CHECK_LAW(check_merge(identity, batch, same));
    CHECK_LAW(check_merge(identity, batch.slice(0, 0), same));
    for (unsigned threads = 1; threads <= 3; ++threads) {
        reckon::exec::pool pool(threads);
        CHECK_LAW(check_fold_policy(identity, batch, reckon::exec::host{pool}, equal));
    }
}

bool both(double a, double b, const ts::tolerance& tol) {
    return ts::near(a, b, tol).ok;
}

}  // namespace

TEST_CASE("compensated_sum: keeps what plain addition loses") {
    reckon::compensated_sum sum;
    for (const double x : {1.0, 1e100, 1.0, -1e100}) sum.absorb(x);
    CHECK(sum.value() == 2.0);
    reckon::compensated_sum tenths;
    for (int i = 0; i < 10'000'000; ++i) tenths.absorb(0.1);
    // 0.1 is not a tenth; ten million times its double value, rounded once.
    CHECK_NEAR(tenths.value(), 1000000.0000000000555, ts::ulp(1));
}

TEST_CASE("compensated_sum: dyadic sums are exact in any merge order, and the law holds bit by bit") {
    std::vector<double> values;
    for (const auto i : ts::random_integers<int>(5000, 2000001, 4)) values.push_back((i - 1000000) * 0.0625);
    const auto same = [](const auto& a, const auto& b) { return a.value() == b.value(); };
    check_law<reckon::compensated_sum>(values, same, same);
    double exact = 0.0;
    for (const double v : values) exact += v;  // exact as well: all partial sums are multiples of 1/16 below 2^53
    over_column<reckon::compensated_sum> sum;
    sum.absorb(reckon::input(values));
    CHECK(sum.value() == exact);
}

TEST_CASE("compensated_sum: terms of any size merge within a rounding of the result") {
    auto values = ts::random_normal<double>(4000, 0.0, 1.0, 5);
    for (std::size_t i = 0; i < values.size(); i += 5) values[i] *= 1e12;
    double magnitude = 0.0;
    for (const double v : values) magnitude += std::fabs(v);
    // n * 2^-104 of the magnitudes and one rounding of the result.
    const double bound = 4000.0 * 0x1p-104 * magnitude;
    check_law<reckon::compensated_sum>(
        values,
        [&](const auto& a, const auto& b) {
            return std::fabs(a.value() - b.value()) <= bound + 0x1p-52 * std::fabs(b.value());
        },
        [](const auto& a, const auto& b) { return a.sum() == b.sum() && a.error() == b.error(); });
}

TEST_CASE("compensated_sum: infinities and NaN come out") {
    const auto sum_of = [](std::initializer_list<double> values) {
        reckon::compensated_sum sum;
        for (const double v : values) sum.absorb(v);
        return sum.value();
    };
    CHECK(sum_of({1.0, inf, 2.0}) == inf);
    CHECK(sum_of({-inf, 5.0}) == -inf);
    CHECK(std::isnan(sum_of({inf, -inf})));
    CHECK(std::isnan(sum_of({1.0, nan_value, 2.0})));
    CHECK(sum_of({1.7e308, 1.7e308}) == inf);
    CHECK(sum_of({}) == 0.0);
}

TEST_CASE("compensated_sum: scaling scales the error too") {
    reckon::compensated_sum sum;
    sum.absorb(1e100);
    sum.absorb(1.0);
    sum.scale(0.5);
    sum.absorb(-5e99);
    CHECK(sum.value() == 0.5);
}

TEST_CASE("mean_value: worked example, identity, law") {
    reckon::mean_value mean;
    CHECK(std::isnan(mean.finish()));
    mean.absorb(2.0);
    mean.absorb(8.0, 0.5);
    CHECK(mean.sum() == 6.0);
    CHECK(mean.weight() == 1.5);
    CHECK(mean.finish() == 4.0);
    reckon::mean_value zero;
    zero.absorb(5.0, 0.0);
    CHECK(std::isnan(zero.finish()));
    mean.merge(zero);
    CHECK(mean.finish() == 4.0);
    const auto values = ts::random_uniform<double>(3000, -1.0, 1.0, 6);
    check_law<reckon::mean_value>(
        values,
        [](const auto& a, const auto& b) { return a.weight() == b.weight() && both(a.sum(), b.sum(), ts::ulp(1)); },
        [](const auto& a, const auto& b) { return a.sum() == b.sum() && a.weight() == b.weight(); });
}

TEST_CASE("moments: agree with two passes, far from zero as well") {
    for (const double centre : {0.0, 1e3, 1e8}) {
        const auto values = ts::random_normal<double>(20000, centre, 2.0, 7);
        long double total = 0.0L, squares = 0.0L;
        for (const double v : values) total += v;
        const long double mean = total / static_cast<long double>(values.size());
        for (const double v : values) squares += (v - mean) * (v - mean);
        over_column<reckon::moments> m;
        m.absorb(reckon::input(values));
        const auto n = static_cast<double>(values.size());
        CHECK(m.weight() == n);
        CHECK_NEAR(m.mean(), mean, ts::reduction(values.size()));
        // The condition number of the variance is about 1 + mean^2 / variance under the square root.
        const double condition = std::sqrt(1.0 + centre * centre / 4.0);
        const auto variance = static_cast<double>(squares) / n;
        CHECK_NEAR(m.variance(), variance, ts::reduction(values.size()).of(variance * condition));
        CHECK_NEAR(m.sample_variance(), variance * n / (n - 1.0),
                   ts::reduction(values.size()).of(variance * condition));
    }
}

TEST_CASE("moments: weights, identity, one example, law") {
    reckon::moments m;
    CHECK(std::isnan(m.mean()));
    CHECK(std::isnan(m.variance()));
    m.absorb(3.0, 0.0);
    CHECK(std::isnan(m.mean()));
    m.absorb(1.0, 3.0);
    CHECK(m.mean() == 1.0);
    CHECK(m.variance() == 0.0);
    m.absorb(5.0, 1.0);
    CHECK(m.mean() == 2.0);
    CHECK(m.variance() == 3.0);
    CHECK(m.sample_variance() == 4.0);
    reckon::moments one;
    one.absorb(7.0);
    CHECK(one.variance() == 0.0);
    CHECK(std::isnan(one.finish()));
    reckon::moments bad;
    bad.absorb(1.0);
    bad.absorb(nan_value);
    CHECK(std::isnan(bad.mean()));
    CHECK(std::isnan(bad.variance()));
    check_law<reckon::moments>(
        ts::random_normal<double>(3000, 3.0, 2.0, 8),
        [](const auto& a, const auto& b) {
            return a.weight() == b.weight() &&
                   (a.weight() == 0.0 || (both(a.mean(), b.mean(), ts::reduction(3000)) &&
                                          both(a.variance(), b.variance(), ts::reduction(3000))));
        },
        [](const auto& a, const auto& b) {
            return a.weight() == b.weight() &&
                   (a.weight() == 0.0 || (a.mean() == b.mean() && a.variance() == b.variance()));
        });
}

TEST_CASE("log_sum_exp: worked examples without overflow") {
    const auto of = [](std::initializer_list<double> values) {
        reckon::log_sum_exp state;
        for (const double v : values) state.absorb(v);
        return state.finish();
    };
    CHECK_NEAR(of({0.0, 0.0}), std::log(2.0), ts::ulp(2));
    CHECK_NEAR(of({1000.0, 1000.0}), 1000.0 + std::log(2.0), ts::ulp(1));
    CHECK_NEAR(of({-1000.0, -1001.0}), -1000.0 + std::log1p(std::exp(-1.0)), ts::ulp(1));
    CHECK(of({5.0}) == 5.0);
    CHECK(of({-1e308, 1e308}) == 1e308);
    CHECK(of({}) == -inf);
}

TEST_CASE("log_sum_exp: infinities in any order, and NaN") {
    const auto of = [](std::initializer_list<double> values) {
        reckon::log_sum_exp state;
        for (const double v : values) state.absorb(v);
        return state.finish();
    };
    CHECK(of({-inf}) == -inf);
    CHECK(of({-inf, -inf}) == -inf);
    CHECK(of({-inf, 3.0}) == 3.0);
    CHECK(of({3.0, -inf}) == 3.0);
    CHECK(of({inf, 3.0}) == inf);
    CHECK(of({3.0, inf}) == inf);
    CHECK(of({inf, inf}) == inf);
    CHECK(of({-inf, inf, -inf}) == inf);
    CHECK(std::isnan(of({nan_value})));
    CHECK(std::isnan(of({nan_value, 1.0})));
    CHECK(std::isnan(of({1.0, nan_value, 2.0})));
    CHECK(std::isnan(of({inf, nan_value})));
    CHECK(std::isnan(of({nan_value, inf})));
    CHECK(std::isnan(of({-inf, nan_value})));
    CHECK(std::isnan(of({nan_value, -inf})));
}

TEST_CASE("log_sum_exp: the law, with wild scales and infinities") {
    const auto close = [](const auto& a, const auto& b) {
        return both(a.finish(), b.finish(), ts::reduction(3000).of(1.0 + std::fabs(b.finish())));
    };
    const auto equal = [](const auto& a, const auto& b) { return both(a.finish(), b.finish(), ts::exact()); };
    check_law<reckon::log_sum_exp>(ts::random_normal<double>(3000, 0.0, 300.0, 9), close, equal);
    auto values = ts::random_normal<double>(200, 0.0, 1.0, 10);
    for (std::size_t i = 0; i < values.size(); i += 3) values[i] = -inf;
    check_law<reckon::log_sum_exp>(values, close, equal);
    values[50] = inf;
    check_law<reckon::log_sum_exp>(values, close, equal);
    check_law<reckon::log_sum_exp>(std::vector<double>(20, -inf), close, equal);
    values[51] = nan_value;
    check_law<reckon::log_sum_exp>(values, close, equal);
}

TEST_CASE("min_max: identity, NaN ignored, law") {
    reckon::min_max range;
    CHECK(range.min() == inf);
    CHECK(range.max() == -inf);
    range.absorb(nan_value);
    CHECK(range.min() == inf);
    for (const double v : {2.0, -1.0, 5.0}) range.absorb(v);
    range.absorb(nan_value);
    CHECK(range.min() == -1.0);
    CHECK(range.max() == 5.0);
    auto values = ts::random_normal<double>(500, 0.0, 1.0, 11);
    values[17] = nan_value;
    const auto same = [](const auto& a, const auto& b) { return a.min() == b.min() && a.max() == b.max(); };
    check_law<reckon::min_max>(values, same, same);
}

TEST_CASE("counts: law") {
    const auto same = [](const reckon::counts& a, const reckon::counts& b) { return a == b; };
    check_law<reckon::counts>(ts::random_normal<double>(500, 0.0, 1.0, 12), same, same);
}
