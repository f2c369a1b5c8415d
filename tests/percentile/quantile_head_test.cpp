// Quantile head, pinball loss and percentiles among predicted quantiles.
#include "reckon/percentile/quantile_head.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/percentile/pinball.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr double inf = std::numeric_limits<double>::infinity();

// The definition, one quantile at a time.
double pinball_reference(const std::vector<double>& q, const std::vector<double>& y, std::size_t count) {
    double sum = 0.0;
    for (std::size_t i = 0; i < y.size(); ++i) {
        for (std::size_t k = 0; k < count; ++k) {
            const double tau = (static_cast<double>(k) + 0.5) / static_cast<double>(count), d = y[i] - q[i * count + k];
            sum += d > 0.0 ? tau * d : (tau - 1.0) * d;
        }
    }
    return sum;
}

TEST_CASE("quantile_head: worked example") {
    const std::vector<float> logits{1.0f, -2.0f, 0.5f, 0.0f, 3.0f, -1.0f};
    std::vector<float> q(6);
    quantile_head(serial, view(logits, 2, 3), view(q, 2, 3), std::vector<float>{0.0f, -1.0f});
    CHECK(q == std::vector<float>{1.0f, 1.0f, 1.5f, -1.0f, 2.0f, 2.0f});
    // Suffix sums of (1, 2, 4) and (1, 1, 1), where the logit is above 0.
    const std::vector<float> d{1.0f, 2.0f, 4.0f, 1.0f, 1.0f, 1.0f};
    std::vector<float> d_logits(6, 1.0f), d_offsets(2, 1.0f);
    quantile_head_gradient(serial, view(logits, 2, 3), view(d, 2, 3), view(d_logits, 2, 3), d_offsets, {}, 2.0);
    CHECK(d_logits == std::vector<float>{15.0f, 1.0f, 9.0f, 1.0f, 5.0f, 1.0f});
    CHECK(d_offsets == std::vector<float>{15.0f, 7.0f});
}

TEST_CASE_TEMPLATE("quantile_head: non-decreasing for any input, against plain sums", T, float, double) {
    for (const std::size_t count : {1u, 2u, 100u}) {
        for (const auto step : {quantile_step::relu, quantile_step::softplus}) {
            auto logits = random_normal<T>(20 * count, 0.0, 3.0, count);
            const auto wild = finite_extremes<T>();
            for (std::size_t i = 0; i < wild.size() && i < logits.size(); ++i) {
                if (std::fabs(wild[i]) < T(1e30)) logits[i] = wild[i];
            }
            std::vector<T> q(logits.size());
            quantile_head(serial, view(logits, 20, count), view(q, 20, count), none{}, {step});
            double sum = 0.0;
            for (std::size_t i = 0; i < q.size(); ++i) {
                const auto a = static_cast<double>(logits[i]);
                if (i % count == 0) sum = 0.0;
                if (i % count != 0) CHECK(q[i - 1] <= q[i]);
                sum += step == quantile_step::relu ? std::max(a, 0.0)
                                                   : std::max(a, 0.0) + std::log1p(std::exp(-std::fabs(a)));
                CHECK_NEAR(q[i], sum, reduction<T>(count));
            }
        }
    }
}

TEST_CASE("quantile_head: gradient") {
    constexpr std::size_t count = 12, rows = 8;
    const auto weights = random_normal<double>(rows * count, 0.0, 1.0, 3);
    const auto offsets = random_normal<double>(rows, 0.0, 1.0, 4);
    const quantile_step steps[] = {quantile_step::relu, quantile_step::softplus};
    for (const quantile_step step : steps) {
        const auto value = [&](vector_view<const double> x) {
            std::vector<double> q(rows * count);
            quantile_head(serial, view(x, rows, count), view(q, rows, count), offsets, {step});
            double sum = 0.0;
            for (std::size_t i = 0; i < q.size(); ++i) sum += weights[i] * q[i];
            return sum;
        };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            quantile_head_gradient(serial, view(x, rows, count), view(weights, rows, count), view(out, rows, count),
                                   none{}, {step});
        };
        CHECK_LAW(testing::check_gradient(value, gradient, random_normal<double>(rows * count, 0.2, 1.0, 5)));
    }
    const auto logits = random_normal<double>(rows * count, 0.0, 1.0, 6);
    const auto value = [&](vector_view<const double> x) {
        std::vector<double> q(rows * count);
        quantile_head(serial, view(logits, rows, count), view(q, rows, count), x);
        double sum = 0.0;
        for (std::size_t i = 0; i < q.size(); ++i) sum += weights[i] * q[i];
        return sum;
    };
    const auto gradient = [&](vector_view<const double>, vector_view<double> out) {
        std::vector<double> d_logits(rows * count);
        quantile_head_gradient(serial, view(logits, rows, count), view(weights, rows, count),
                               view(d_logits, rows, count), out);
    };
    CHECK_LAW(testing::check_gradient(value, gradient, offsets));
}

TEST_CASE("quantile_head: threads, strides, NaN, bad input") {
    constexpr std::size_t count = 37;
    const auto logits = random_normal<float>(1000 * count);
    exec::pool pool(3);
    CHECK_LAW(testing::check_map_policy<float>(1000 * count, exec::host{pool}, [&](const auto& where, auto out) {
        quantile_head(where, view(logits, 1000, count), view(out, 1000, count), none{}, {quantile_step::softplus});
    }));
    CHECK_LAW(testing::check_strides<float>(
        [](matrix_view<const float> in, matrix_view<float> out) { quantile_head(serial, in, out); },
        random_normal<float>(6 * 5), 6, 5, 6, 5));
    std::vector<float> row{1.0f, std::nanf(""), -1.0f, 1.0f}, q(4), d{1.0f, 1.0f, 1.0f, 1.0f}, g(4);
    quantile_head(serial, view(row, 1, 4), view(q, 1, 4));
    CHECK(q[0] == 1.0f);
    for (const std::size_t k : {1u, 2u, 3u}) CHECK(std::isnan(q[k]));
    quantile_head_gradient(serial, view(row, 1, 4), view(d, 1, 4), view(g, 1, 4));
    CHECK(g[0] == 4.0f);
    CHECK(std::isnan(g[1]));
    CHECK(g[2] == 0.0f);
    CHECK_THROWS_WITH_AS(quantile_head(serial, view(row, 1, 4), view(q, 2, 2)),
                         "quantile_head: logits are 1 x 4, quantiles 2 x 2", std::invalid_argument);
    CHECK_THROWS_WITH_AS(quantile_head(serial, view(row, 1, 4), view(q, 1, 4), d),
                         "quantile_head: 1 rows but 4 offsets", std::invalid_argument);
    CHECK_THROWS_AS(quantile_head_gradient(serial, view(row, 1, 4), view(d, 2, 2), view(g, 1, 4)),
                    std::invalid_argument);
    CHECK_THROWS_AS(quantile_head_gradient(serial, view(row, 1, 4), view(d, 1, 4), view(g, 1, 4), q),
                    std::invalid_argument);
    std::vector<float> nothing;
    quantile_head(serial, view(nothing, 0, 4), view(nothing, 0, 4));
}

TEST_CASE("pinball: worked examples") {
    // K = 1, tau = 1/2: half the absolute error.
    const std::vector<double> q{1.0, 5.0, 2.0}, y{3.0, 1.0, 2.0};
    std::vector<double> g(3, 1.0);
    const mean_value loss = pinball_loss(serial, view(q, 3, 1), y, none{}, view(g, 3, 1), 4.0);
    CHECK(loss.sum() == 0.5 * (2.0 + 4.0));
    CHECK(loss.weight() == 3.0);
    CHECK(g == std::vector<double>{-1.0, 3.0, 1.0});
    // Levels of one's own; at equality the derivative is 1/2 - tau.
    const std::vector<double> both{2.0, 2.0}, at{2.0}, levels{0.1, 0.75};
    std::vector<double> d(2);
    CHECK(pinball_loss(serial, view(both, 1, 2), at, levels, view(d, 1, 2)).sum() == 0.0);
    CHECK_NEAR(d[0], 0.4, ulp(1));
    CHECK_NEAR(d[1], -0.25, ulp(1));
    CHECK(quantile_level(0, 4) == 0.125);
    CHECK(quantile_level(99, 100) == 0.995);
}

TEST_CASE("pinball: its minimiser at 1/2 is the median") {
    // numpy.quantile of 1 2 4 8 16 at 1/2 is 4: the slope changes its sign there, and the loss is least.
    const std::vector<double> sample{16.0, 1.0, 8.0, 2.0, 4.0};
    const auto at = [&](double q) {
        const std::vector<double> all(sample.size(), q);
        std::vector<double> g(sample.size());
        const double loss = pinball_loss(serial, view(all, 5, 1), sample, none{}, view(g, 5, 1)).sum();
        double slope = 0.0;
        for (const double x : g) slope += x;
        return std::pair<double, double>(loss, slope);
    };
    CHECK(at(4.0).second == 0.0);
    CHECK(at(3.999).second < 0.0);
    CHECK(at(4.001).second > 0.0);
    for (const double other : {0.0, 1.0, 2.0, 3.9, 4.1, 8.0, 20.0}) CHECK(at(other).first > at(4.0).first);
}

TEST_CASE_TEMPLATE("pinball: against the definition", T, float, double) {
    for (const std::size_t count : sweep_lengths(simd::pack<T>::lanes, false)) {
        if (count == 0) continue;
        const auto q = random_normal<T>(30 * count, 0.0, 2.0, 1), y = random_normal<T>(30, 0.0, 2.0, 2);
        const std::vector<double> wide(q.begin(), q.end()), target(y.begin(), y.end());
        CAPTURE(count);
        CHECK_NEAR(pinball_loss(serial, view(q, 30, count), y).sum(), pinball_reference(wide, target, count),
                   reduction<T>(256));
    }
}

TEST_CASE("pinball: scikit-learn, and percentiles: numpy.interp") {
    const fixture data("rad.txt");
    for (const std::size_t count : {1u, 7u, 100u}) {
        const std::string at = "pinball." + std::to_string(count);
        CAPTURE(at);
        const auto &q = data[at + ".q"], &y = data[at + ".y"];
        CHECK_NEAR(pinball_loss(serial, view(q, 9, count), y).sum(), data.value(at + ".loss"), reduction(900));
        std::vector<double> percentiles(9);
        quantile_percentiles(serial, view(q, 9, count), y, percentiles);
        CHECK_ALL_NEAR(percentiles, data[at + ".percentiles"], reduction(16));
    }
}

TEST_CASE("pinball: gradient") {
    const std::size_t rows = 7, count = 13;
    const auto y = random_normal<double>(rows, 0.0, 2.0, 2);
    const auto value = [&](vector_view<const double> x) { return pinball_loss(serial, view(x, rows, count), y).sum(); };
    const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
        pinball_loss(serial, view(x, rows, count), y, none{}, view(out, rows, count));
    };
    CHECK_LAW(testing::check_gradient(value, gradient, random_normal<double>(rows * count, 0.0, 2.0, 3)));
}

TEST_CASE("pinball: merge law, threads, strides") {
    const std::size_t rows = 3000, count = 20;
    const auto q = random_normal<double>(rows * count), y = random_normal<double>(rows, 0.0, 1.0, 2);
    std::vector<double> levels(count);
    for (std::size_t k = 0; k < count; ++k) levels[k] = quantile_level(k, count);
    const reckon::detail::pinball_sum<double, isa::native> identity{levels.data(), {}};
    const reckon::detail::pinball_rows<double> batch{view(q, rows, count), input(y)};
    CHECK_LAW(testing::check_merge(identity, batch, [](const auto& a, const auto& b) {
        return testing_support::near(a.loss.sum(), b.loss.sum(), reduction(3000)).ok &&
               a.loss.weight() == b.loss.weight();
    }));
    exec::pool pool(3);
    const auto one = pinball_loss(serial, view(q, rows, count), y);
    CHECK(pinball_loss(exec::host{pool}, view(q, rows, count), y).sum() == one.sum());
    CHECK_LAW(testing::check_map_policy<double>(rows * count, exec::host{pool}, [&](const auto& where, auto out) {
        for (double& x : out) x = 0.0;
        pinball_loss(where, view(q, rows, count), y, none{}, view(out, rows, count));
    }));
    CHECK_LAW(testing::check_strides<float>(
        [](matrix_view<const float> in, matrix_view<float> out) {
            for (std::size_t r = 0; r < out.rows(); ++r) {
                for (float& x : out.row(r)) x = 0.0f;
            }
            pinball_loss(serial, in, std::vector<float>(in.rows(), 0.25f), none{}, out);
        },
        random_normal<float>(6 * 19), 6, 19, 6, 19));
}

TEST_CASE("pinball: NaN and bad input") {
    std::vector<float> q{0.0f, 1.0f, 2.0f, 3.0f}, y{1.5f, std::nanf("")}, g(4);
    CHECK(std::isnan(pinball_loss(serial, view(q, 2, 2), y, none{}, view(g, 2, 2)).sum()));
    CHECK(g[0] == -0.25f);
    CHECK(g[1] == -0.75f);
    CHECK(std::isnan(g[2]));
    CHECK(std::isnan(g[3]));
    std::vector<float> far_off{static_cast<float>(inf), 0.0f};
    CHECK(pinball_loss(serial, view(q, 2, 2), far_off).sum() == inf);
    CHECK(std::isnan(pinball_loss(serial, matrix_view<const float>(q.data(), 0, 2), std::vector<float>{}).finish()));
    CHECK_THROWS_WITH_AS(pinball_loss(serial, view(q, 4, 1), y), "pinball_loss: 4 rows of quantiles but 2 targets",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(pinball_loss(serial, view(q, 2, 2), y, std::vector<double>(3)),
                         "pinball_loss: 2 quantiles but 3 levels", std::invalid_argument);
    CHECK_THROWS_WITH_AS(pinball_loss(serial, view(q, 2, 2), y, std::vector<double>{0.5, 1.5}),
                         "pinball_loss: levels must be in (0, 1), got 1.5", std::invalid_argument);
    // At a level of 0 or 1 an infinite miss would cost 0 * inf. The last one is 1 as a float.
    for (const double level : {0.0, 1.0, -0.5, std::nan(""), 1.0 - 1e-12}) {
        CHECK_THROWS_AS(pinball_loss(serial, view(q, 2, 2), far_off, std::vector<double>{level, 0.5}),
                        std::invalid_argument);
    }
    const std::vector<double> outer{1e-30, 1.0 - 0x1p-24};
    for (const double target : {-inf, inf}) {
        const std::vector<float> both{static_cast<float>(target), static_cast<float>(target)};
        CHECK(pinball_loss(serial, view(q, 2, 2), both, outer).sum() == inf);
    }
    CHECK_THROWS_AS(pinball_loss(serial, view(q, 2, 2), y, none{}, view(g, 4, 1)), std::invalid_argument);
}

TEST_CASE("quantile_percentiles: ties, ends, infinities") {
    // Levels 1/8 3/8 5/8 7/8; two dead steps make three equal quantiles.
    const std::vector<float> row{1.0f, 1.0f, 1.0f, 3.0f};
    const std::vector<double> values{0.0, 1.0, 1.0001, 2.0, 3.0, 4.0, std::nan(""), inf, -inf};
    std::vector<float> all;
    for (std::size_t i = 0; i < values.size(); ++i) all.insert(all.end(), row.begin(), row.end());
    std::vector<double> p(values.size());
    quantile_percentiles(serial, view(all, values.size(), 4), values, p);
    CHECK(p[0] == 0.125);
    CHECK(p[1] == 0.375);  // the mean level of the three
    CHECK_NEAR(p[2], 0.625 + 0.00005 * 0.25, reduction(4));
    CHECK(p[3] == 0.75);
    CHECK(p[4] == 0.875);
    CHECK(p[5] == 0.875);
    CHECK(std::isnan(p[6]));
    CHECK(p[7] == 0.875);
    CHECK(p[8] == 0.125);
    // An infinite neighbour is infinitely far away.
    const std::vector<double> open{-inf, 0.0, inf, -inf, 0.0, inf};
    std::vector<double> q(2);
    quantile_percentiles(serial, view(open, 2, 3), std::vector<double>{-5.0, 5.0}, q);
    CHECK_NEAR(q[0], 0.5, ulp(1));
    CHECK_NEAR(q[1], 0.5, ulp(1));
    // Non-decreasing in the value.
    const std::size_t count = 9;
    auto some = random_integers<double>(count, 6, 3);
    std::sort(some.begin(), some.end());
    double last = 0.0;
    for (double y = -1.0; y < 7.0; y += 0.03125) {
        std::vector<double> one(1);
        quantile_percentiles(serial, view(some, 1, count), std::vector<double>{y}, one);
        CHECK(one[0] >= last);
        last = one[0];
    }
    std::vector<double> nothing;
    CHECK_THROWS_WITH_AS(quantile_percentiles(serial, view(nothing, 1, 0), std::vector<double>{1.0}, q),
                         "quantile_percentiles: 1 rows of quantiles but 1 values and room for 2 percentiles",
                         std::invalid_argument);
    std::vector<double> one(1);
    CHECK_THROWS_WITH_AS(
        quantile_percentiles(serial, matrix_view<const double>(nullptr, 1, 0), std::vector<double>{1.0}, one),
        "quantile_percentiles: there are no quantiles", std::invalid_argument);
}

}  // namespace
