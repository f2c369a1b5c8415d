// Baseline labels: log1p, z-scores per id, D2Q, watch-time gain, weighted logistic; each with its way back.
#include "reckon/percentile/engagement_labels.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/percentile/weighted_logistic.hpp"
#include "support/fixture.hpp"
#include "support/golden.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr double inf = std::numeric_limits<double>::infinity();

TEST_CASE("log1p_labels: numpy, inverse, tails, NaN") {
    const fixture data("rad.txt");
    const auto y = data.as<float>("rows.y");
    std::vector<float> labels(y.size()), back(y.size());
    log1p_labels(serial, y, labels);
    CHECK_ALL_NEAR(labels, data["labels.log1p"], ulp(3));
    log1p_inverse(serial, labels, back);
    // A label is rounded to float, which the inverse answers with 1 + y.
    for (std::size_t i = 0; i < y.size(); ++i)
        CHECK_NEAR(back[i], y[i], reduction<float>(4).of(1.0 + static_cast<double>(y[i])));
    const auto kernel = [](vector_view<const float> in, vector_view<float> out) { log1p_labels(serial, in, out); };
    CHECK_LAW(testing::check_tails(kernel, random_uniform<float>(72, 0.0, 1e4)));
    CHECK_LAW(testing::check_nan_propagates(kernel, random_uniform<float>(40, 0.0, 9.0)));
    std::vector<float> odd{-1.0f, -2.0f, static_cast<float>(inf), 0.0f};
    log1p_labels(serial, odd, odd);
    CHECK(odd[0] == -static_cast<float>(inf));
    CHECK(std::isnan(odd[1]));
    CHECK(odd[2] == static_cast<float>(inf));
    CHECK(odd[3] == 0.0f);
    CHECK_THROWS_WITH_AS(log1p_labels(serial, y, odd), "log1p_labels: 600 rows of feedback but room for 4 labels",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(log1p_inverse(serial, y, odd), "log1p_inverse: 600 labels but room for 4 values",
                         std::invalid_argument);
}

TEST_CASE("group_zscores: worked example") {
    const std::vector<std::uint64_t> ids{7, 1u << 30, 7, 7, 1u << 30, 9};
    const std::vector<double> y{1.0, 4.0, 3.0, 2.0, 4.0, std::nan("")};
    const auto z = group_zscores::fit(serial, ids, y);
    CHECK(z.ids() == std::vector<std::uint64_t>{7, 1u << 30});
    CHECK(z.seen() == counts{5, 1});
    CHECK(z.mean(0) == 2.0);
    CHECK_NEAR(z.deviation(0), std::sqrt(2.0 / 3.0), ulp(4));
    CHECK(z.weight(0) == 3.0);
    CHECK_NEAR(z.label(7, 3.0), std::sqrt(1.5), ulp(4));
    // A group without spread: label 0 for any value, and the mean comes back.
    CHECK(z.deviation(1) == 0.0);
    CHECK(z.label(1u << 30, 4.0) == 0.0);
    CHECK(z.label(1u << 30, 99.0) == 0.0);
    CHECK(z.value(1u << 30, 3.0) == 4.0);
    CHECK(std::isnan(z.label(1u << 30, std::nan(""))));
    CHECK(std::isnan(z.label(9, 1.0)));  // no feedback, no scale
    CHECK(std::isnan(z.value(8, 1.0)));
    CHECK(group_zscores().size() == 0);
}

struct id_batch {
    std::vector<std::uint32_t> ids;
    std::vector<double> y;
    std::size_t size() const { return y.size(); }
    id_batch slice(std::size_t first, std::size_t count) const {
        const auto at = static_cast<std::ptrdiff_t>(first), end = static_cast<std::ptrdiff_t>(first + count);
        return {{ids.begin() + at, ids.begin() + end}, {y.begin() + at, y.begin() + end}};
    }
};
struct zscore_fold {
    group_zscores state;
    void absorb(const id_batch& batch) { state.merge(group_zscores::fit(serial, batch.ids, batch.y)); }
    void merge(const zscore_fold& other) { state.merge(other.state); }
};

TEST_CASE("group_zscores: pandas, inverse, merge law, threads, bad input") {
    const fixture data("rad.txt");
    const auto users = data.as<std::uint64_t>("rows.user");
    const auto y = data.as<float>("rows.y");
    const auto z = group_zscores::fit(serial, users, y);
    std::vector<double> labels(y.size()), back(y.size());
    z.apply(serial, users, y, labels);
    CHECK_ALL_NEAR(labels, data["labels.zscore"], reduction(600).of(4.0));
    z.invert(serial, users, labels, back);
    for (std::size_t i = 0; i < y.size(); ++i) CHECK_NEAR(back[i], y[i], reduction(4).of(100.0));

    id_batch batch{random_integers<std::uint32_t>(900, 40, 3), random_normal<double>(900, 50.0, 3.0, 4)};
    batch.y[8] = inf;
    batch.y[9] = std::nan("");
    CHECK_LAW(testing::check_merge(zscore_fold{}, batch, [](const zscore_fold& a, const zscore_fold& b) {
        bool same = a.state.ids() == b.state.ids() && a.state.seen() == b.state.seen();
        for (std::size_t k = 0; same && k < a.state.size(); ++k) {
            same = testing_support::near(a.state.mean(k), b.state.mean(k), reduction(900)).ok &&
                   testing_support::near(a.state.deviation(k), b.state.deviation(k), reduction(900).of(50.0)).ok;
        }
        return same;
    }));
    const auto ids = random_integers<std::uint32_t>(50000, 3000, 5);
    const auto values = random_normal<double>(50000);
    exec::pool pool(3);
    CHECK_LAW(
        testing::check_map_policy<double>(50000, exec::host{pool}, [&](const auto& where, vector_view<double> out) {
            group_zscores::fit(where, ids, values).apply(where, ids, values, out);
        }));
    CHECK_THROWS_WITH_AS(group_zscores::fit(serial, ids, y), "group_zscores: 600 rows of feedback but 50000 ids",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(z.apply(serial, users, y, std::vector<double>(3)),
                         "group_zscores: 600 and 600 rows and room for 3", std::invalid_argument);
}

TEST_CASE("d2q, watch_time_gain: pandas, and the way back") {
    const fixture data("rad.txt");
    const auto& durations = data["rows.duration"];
    const auto y = data.as<float>("rows.y");
    std::vector<double> labels(y.size()), back(y.size());
    const auto q = d2q::fit(serial, durations, y, 10);
    q.apply(serial, durations, y, labels);
    CHECK_ALL_NEAR(labels, data["labels.d2q10"], ulp(2));
    q.invert(serial, durations, labels, back);
    // The mid-rank of tied values lies in the middle of their run, whose quantile they are.
    for (std::size_t i = 0; i < y.size(); ++i) CHECK_NEAR(back[i], y[i], reduction(4).of(100.0));
    const auto g = watch_time_gain::fit(serial, durations, y, 10);
    g.apply(serial, durations, y, labels);
    CHECK_ALL_NEAR(labels, data["labels.wtg10"], reduction(600).of(8.0));
    g.invert(serial, durations, labels, back);
    for (std::size_t i = 0; i < y.size(); ++i) CHECK_NEAR(back[i], y[i], reduction(4).of(100.0));
    CHECK(q.seen() == counts{600, 0});
    CHECK(g.seen() == counts{600, 0});
}

TEST_CASE("d2q, watch_time_gain: thin and bad input, threads, bytes") {
    const std::vector<double> d{0.0, std::nan(""), 0.0, 5.0, 5.0, 5.0};
    const std::vector<float> y{1.0f, 2.0f, 3.0f, 4.0f, 4.0f, std::nanf("")};
    const auto q = d2q::fit(serial, d, y, 2);
    CHECK(q.seen() == counts{4, 2});
    CHECK(q.buckets().size() == 2);
    CHECK(q.label(0.0, 1.0f) == 0.25);
    CHECK(q.label(5.0, 4.0f) == 0.5);
    CHECK(std::isnan(q.label(std::nan(""), 1.0f)));
    CHECK(q.value(0.0, 0.5) == 2.0);
    const auto g = watch_time_gain::fit(serial, d, y, 2);
    CHECK(g.seen() == counts{4, 2});
    CHECK(g.label(0.0, 3.0) == 1.0);
    CHECK(g.label(5.0, 4.0) == 0.0);
    CHECK(g.value(0.0, -1.0) == 1.0);
    CHECK(std::isnan(g.label(std::nan(""), 1.0)));
    const std::vector<float> nothing;
    CHECK(std::isnan(d2q::fit(serial, nothing, nothing).label(1.0, 1.0f)));
    CHECK(std::isnan(d2q().label(1.0, 1.0f)));
    CHECK(std::isnan(watch_time_gain::fit(serial, nothing, nothing).label(1.0, 1.0)));
    CHECK_THROWS_WITH_AS(d2q::fit(serial, nothing, y), "d2q: 6 rows of feedback but 0 durations",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(watch_time_gain::fit(serial, nothing, y),
                         "watch_time_gain: 6 rows of feedback but 0 durations", std::invalid_argument);
    CHECK_THROWS_AS(d2q::fit(serial, d, y, 0), std::invalid_argument);
    const vector_view<const float> too_many(nullptr, std::size_t{1} << 32);  // nothing is read
    CHECK_THROWS_WITH_AS(d2q::fit(serial, too_many, too_many), "d2q: 4294967296 rows, fewer than 2^32 are possible",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(watch_time_gain::fit(serial, too_many, too_many),
                         "watch_time_gain: 4294967296 rows, fewer than 2^32 are possible", std::invalid_argument);
    // A bucket that only rows without feedback are in keeps its place.
    const std::vector<float> lone{5.0f, 1.0f, 9.0f}, seconds{std::nanf(""), 1.0f, 3.0f};
    const auto holes = d2q::fit(serial, lone, seconds, 3);
    CHECK(holes.seen() == counts{2, 1});
    CHECK(holes.label(1.0, 1.0f) == 0.5);
    CHECK(std::isnan(holes.label(5.0, 1.0f)));
    CHECK(holes.value(9.0, 0.5) == 3.0);

    const auto durations = random_uniform<float>(50000, 0.0, 60.0, 1),
               watch = random_uniform<float>(50000, 0.0, 90.0, 2);
    exec::pool pool(3);
    CHECK_LAW(testing::check_map_policy<float>(50000, exec::host{pool}, [&](const auto& where, vector_view<float> out) {
        d2q::fit(where, durations, watch).apply(where, durations, watch, out);
    }));
    std::vector<float> labels(50000);
    const auto fitted_d2q = d2q::fit(serial, durations, watch);
    const auto fitted_gain = watch_time_gain::fit(serial, durations, watch);
    CHECK_LAW(testing::check_no_allocation([&] {
        fitted_d2q.apply(serial, durations, watch, labels);
        fitted_d2q.invert(serial, durations, labels, labels);
        fitted_gain.apply(serial, durations, watch, labels);
    }));
    CHECK_THROWS_WITH_AS(fitted_d2q.apply(serial, durations, y, labels), "d2q: 50000 and 6 rows and room for 50000",
                         std::invalid_argument);
    CHECK_LAW(testing::check_bytes(q, [](const d2q& read) {
        const double p = read.label(0.0, 2.0f);
        return std::isnan(p) || (p >= 0.0 && p <= 1.0);
    }));
}

TEST_CASE("weighted_logistic: odds are the expected value") {
    // One group of equal features: the loss is least where e^z is the mean.
    const std::vector<double> y{0.0, 0.0, 3.0, 0.0, 9.0};
    const auto slope = [&](double z, logistic_negatives negatives) {
        std::vector<double> g(y.size());
        weighted_logistic(serial, std::vector<double>(y.size(), z), y, {negatives}, g);
        double sum = 0.0;
        for (const double x : g) sum += x;
        return sum;
    };
    CHECK_NEAR(slope(std::log(12.0 / 5.0), logistic_negatives::every_row), 0.0, reduction(5).of(12.0));
    CHECK_NEAR(slope(std::log(12.0 / 3.0), logistic_negatives::unwatched), 0.0, reduction(5).of(12.0));
    CHECK(slope(0.0, logistic_negatives::every_row) < 0.0);
    CHECK(slope(2.0, logistic_negatives::every_row) > 0.0);
    std::vector<double> value{std::log(2.4), -inf, inf};
    weighted_logistic_value(serial, value, value);
    CHECK_NEAR(value[0], 2.4, ulp(4));
    CHECK(value[1] == 0.0);
    CHECK(value[2] == inf);
}

double logistic_reference(const std::vector<double>& z, const std::vector<double>& y, logistic_negatives negatives) {
    double sum = 0.0;
    for (std::size_t i = 0; i < z.size(); ++i) {
        const auto softplus = [](double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); };
        const double negative = negatives == logistic_negatives::every_row ? 1.0 : (y[i] == 0.0 ? 1.0 : 0.0);
        sum += y[i] * softplus(-z[i]) + negative * softplus(z[i]);
    }
    return sum;
}

TEST_CASE_TEMPLATE("weighted_logistic: against the definition", T, float, double) {
    for (const std::size_t n : sweep_lengths(simd::pack<T>::lanes)) {
        for (const auto negatives : {logistic_negatives::every_row, logistic_negatives::unwatched}) {
            CAPTURE(n);
            const auto z = random_normal<T>(n, 0.0, 3.0);
            auto y = random_uniform<T>(n, -2.0, 6.0, 2);
            for (T& x : y) x = x < T(0) ? T(0) : x;
            const std::vector<double> wide(z.begin(), z.end()), amount(y.begin(), y.end());
            CHECK_NEAR(weighted_logistic(serial, z, y, {negatives}).sum(), logistic_reference(wide, amount, negatives),
                       reduction<T>(256));
        }
    }
}

TEST_CASE("weighted_logistic: gradient, merge law, threads, tails, NaN, bad input") {
    auto y = random_uniform<double>(200, -2.0, 6.0, 2);
    for (double& x : y) x = x < 0.0 ? 0.0 : x;
    for (const auto negatives : {logistic_negatives::every_row, logistic_negatives::unwatched}) {
        const auto value = [&](vector_view<const double> x) {
            return weighted_logistic(serial, x, y, {negatives}).sum();
        };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            weighted_logistic(serial, x, y, {negatives}, out);
        };
        CHECK_LAW(testing::check_gradient(value, gradient, random_normal<double>(200, 0.0, 2.0, 3)));
    }
    const auto many = random_normal<double>(40000), amounts = random_uniform<double>(40000, 0.0, 5.0);
    const scored<double, double> rows{input(many), input(amounts), {}};
    const reckon::detail::weighted_logistic_sum<isa::native> identity{logistic_negatives::every_row, {}};
    CHECK_LAW(testing::check_merge(identity, rows, [](const auto& a, const auto& b) {
        return testing_support::near(a.loss.sum(), b.loss.sum(), reduction(40000)).ok &&
               a.loss.weight() == b.loss.weight();
    }));
    exec::pool pool(3);
    CHECK_LAW(testing::check_fold_policy(identity, rows, exec::host{pool},
                                         [](const auto& a, const auto& b) { return a.loss.sum() == b.loss.sum(); }));
    const auto kernel = [](vector_view<const float> in, vector_view<float> out) {
        const std::vector<float> feedback(in.size(), 0.25f);
        const std::vector<float> logits(in.begin(), in.end());  // `out` may be the memory of `in`
        for (float& x : out) x = 0.0f;
        weighted_logistic(serial, logits, feedback, {}, out);
    };
    CHECK_LAW(testing::check_tails(kernel, finite_extremes<float>()));
    CHECK_LAW(testing::check_nan_propagates(kernel, random_normal<float>(40)));
    const std::vector<double> two{0.0, 1.0}, bad{1.0, std::nan("")};
    for (const auto negatives : {logistic_negatives::every_row, logistic_negatives::unwatched}) {
        std::vector<double> g(2);
        CHECK(std::isnan(weighted_logistic(serial, two, bad, {negatives}, g).sum()));
        CHECK(g[0] == g[0]);
        CHECK(std::isnan(g[1]));
    }
    std::vector<double> wide(3);
    CHECK(std::isnan(weighted_logistic(serial, std::vector<double>{}, std::vector<double>{}).finish()));
    CHECK_THROWS_WITH_AS(weighted_logistic(serial, two, wide), "weighted_logistic: 2 scores but 3 labels",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(weighted_logistic(serial, two, bad, {}, wide),
                         "weighted_logistic: 2 logits but room for 3 derivatives", std::invalid_argument);
    CHECK_THROWS_WITH_AS(weighted_logistic_value(serial, two, wide),
                         "weighted_logistic_value: 2 logits but room for 3 values", std::invalid_argument);
}

template <class Visit>
void for_each_object(Visit&& visit) {
    visit("d2q", d2q::fit(serial, std::vector<double>{0.0, std::nan(""), 0.0, 5.0, 5.0, 8.0},
                          std::vector<float>{1.0f, 2.0f, 3.0f, 4.0f, 4.5f, 0.5f}, 2));
}
TEST_CASE("golden: d2q is read from every version") {
    for_each_object([](const char* name, const auto& made) {
        check_golden(name, made, [](const d2q& q) {
            std::vector<double> said = both(q.seen());
            append(said, {q.label(0.0, 2.0f), q.label(7.0, 4.0f), q.value(0.0, 0.4), q.value(6.0, 0.7)});
            return said;
        });
    });
}
TEST_CASE("golden: write d2q" * doctest::skip()) {
    for_each_object([](const char* name, const auto& made) { write_golden(name, made); });
}

}  // namespace
