// The piecewise linear layer and the calibrator made of it.
#include "reckon/calibration/piecewise_linear.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "calibrator_law.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

using doubles = std::vector<double>;

vector_view<const double> seen_as(const doubles& v) {
    return {v.data(), v.size()};
}

double eta(const doubles& a, const doubles& b, double z) {
    std::size_t k = 0;
    while (k + 2 < a.size() && z >= a[k + 1]) ++k;
    return b[k] + (z - a[k]) / (a[k + 1] - a[k]) * (b[k + 1] - b[k]);
}

TEST_CASE("piecewise_linear_loss: worked example") {
    const doubles a{-1, 0, 2}, b{-2, 0, 1}, z{1.0, -0.5, 3.0}, y{1, 0, 1};
    doubles gb(3, 1.0), gz(3, 1.0);
    const double loss = piecewise_linear_loss(serial, z, y, seen_as(a), seen_as(b), {}, gb, gz, 2.0).sum();
    const double p0 = 1 / (1 + std::exp(-0.5)), p1 = 1 / (1 + std::exp(1.0)), p2 = 1 / (1 + std::exp(-1.5));
    CHECK_NEAR(loss, -std::log(p0) - std::log(1 - p1) - std::log(p2), reduction(3));
    CHECK_NEAR(gb[0], 1 + 2 * 0.5 * p1, reduction(3));
    CHECK_NEAR(gb[1], 1 + 2 * (0.5 * p1 + 0.5 * (p0 - 1) - 0.5 * (p2 - 1)), reduction(3));
    CHECK_NEAR(gb[2], 1 + 2 * (0.5 * (p0 - 1) + 1.5 * (p2 - 1)), reduction(3).of(3.0));
    CHECK_NEAR(gz[0], 1 + 2 * 0.5 * (p0 - 1), reduction(3));
    CHECK_NEAR(gz[1], 1 + 2 * 2.0 * p1, reduction(3));
    CHECK_NEAR(gz[2], 1 + 2 * 0.5 * (p2 - 1), reduction(3));
}

TEST_CASE("piecewise_linear_loss: gradients, with falling levels") {
    const doubles a{-2, -1, 0.5, 3};
    const auto z = random_normal<double>(60, 0.0, 2.0, 3);  // some beyond both ends
    const auto y = random_uniform<double>(60, 0.0, 1.0, 4);
    const piecewise_linear_loss_options options{.penalty = 3.0};
    const auto value = [&](vector_view<const double> b) {
        return piecewise_linear_loss(serial, z, y, seen_as(a), b, options).sum() + 3.0 * falling_levels(b);
    };
    const auto gradient = [&](vector_view<const double> b, vector_view<double> out) {
        piecewise_linear_loss(serial, z, y, seen_as(a), b, options, out);
    };
    CHECK_LAW(testing::check_gradient(value, gradient, doubles{-1, 0.5, -0.25, 2}));
    const doubles b{-1, 0.5, -0.25, 2};
    CHECK(falling_levels(seen_as(b)) == 0.75);
    const auto value_z = [&](vector_view<const double> at) {
        return piecewise_linear_loss(serial, at, y, seen_as(a), seen_as(b)).sum();
    };
    const auto gradient_z = [&](vector_view<const double> at, vector_view<double> out) {
        piecewise_linear_loss(serial, at, y, seen_as(a), seen_as(b), {}, none{}, out);
    };
    CHECK_LAW(testing::check_gradient(value_z, gradient_z, z));
}

TEST_CASE("piecewise_linear_loss: merge law, threads, NaN, bad input") {
    const doubles a{-1, 0, 1}, b{-1, 0.5, 1};
    const auto z = random_normal<double>(40000);
    const auto y = random_uniform<double>(40000, 0.0, 1.0, 2);
    const scored<double, double> rows{input(z), input(y), {}};
    const reckon::detail::hat_basis basis(a);
    const reckon::detail::hat_sums identity(basis, b.data());
    CHECK_LAW(testing::check_merge(identity, rows, [](const auto& l, const auto& r) {
        return near(l.loss.sum(), r.loss.sum(), reduction(40000)).ok &&
               near(l.diagonal, r.diagonal, reduction(40000)).ok && near(l.above, r.above, reduction(40000).of(1e4)).ok;
    }));
    exec::pool pool(3);
    doubles one(3), many(3);
    piecewise_linear_loss(serial, z, y, seen_as(a), seen_as(b), {}, one);
    piecewise_linear_loss(exec::host(pool), z, y, seen_as(a), seen_as(b), {}, many);
    CHECK(one == many);

    const doubles bad{0.0, std::numeric_limits<double>::quiet_NaN()}, two{0, 1};
    CHECK(std::isnan(piecewise_linear_loss(serial, bad, two, seen_as(a), seen_as(b)).sum()));
    CHECK_THROWS_AS(piecewise_linear_loss(serial, two, two, seen_as(a), seen_as(two)), std::invalid_argument);
    CHECK_THROWS_AS(piecewise_linear_loss(serial, two, doubles{1}, seen_as(a), seen_as(b)), std::invalid_argument);
    CHECK_THROWS_AS(piecewise_linear_loss(serial, two, two, seen_as({1, 1}), seen_as(two)), std::invalid_argument);
    CHECK_THROWS_AS(piecewise_linear_loss(serial, two, two, seen_as(a), seen_as(b), {.penalty = -1.0}),
                    std::invalid_argument);
    CHECK_THROWS_AS(piecewise_linear_loss(serial, two, two, seen_as(a), seen_as(b), {}, one, many),
                    std::invalid_argument);
}

TEST_CASE("piecewise_linear: the common law") {
    check_calibrator<plain_fit<piecewise_linear>>();
}

TEST_CASE("piecewise_linear: given knots, beyond the ends") {
    const doubles a{-1, 0, 2}, b{-2, 0, 0};
    const piecewise_linear c(a, b, score_kind::logit);
    for (const double z : {-30.0, -1.0, -0.25, 0.0, 1.0, 2.0, 50.0}) {
        CHECK_NEAR(c(z), 1 / (1 + std::exp(-eta(a, b, z))), ulp(8));
    }
    constexpr double inf = std::numeric_limits<double>::infinity();
    CHECK(c(inf) == 0.5);
    CHECK(c(-inf) == 0.0);
    CHECK_NEAR(piecewise_linear()(0.3), 0.3, ulp(8));
    CHECK_THROWS_AS(piecewise_linear({0, 1}, {1, 0}), std::invalid_argument);
    CHECK_THROWS_AS(piecewise_linear({0}, {0}), std::invalid_argument);
}

TEST_CASE("piecewise_linear: an interior optimum has no gradient, a pooled one obeys its conditions") {
    for (const bool noise : {false, true}) {  // labels that know nothing make levels cross
        CAPTURE(noise);
        auto data = random_scored<double>(noise ? 300 : 3000, {.slope = 1.4});
        if (noise) {
            for (std::size_t i = 0; i < data.size(); ++i) data.labels[i] = static_cast<std::uint8_t>(i % 3 == 0);
        }
        for (double& s : data.scores) s = 6.0 * s - 3.0;
        piecewise_linear_options options;
        options.input = score_kind::logit;
        options.knots = 9;
        const auto c = piecewise_linear::fit(serial, data.scores, data.labels, data.weights, options);
        CHECK(std::is_sorted(c.levels().begin(), c.levels().end()));
        doubles gradient(c.knots().size());
        for (std::size_t i = 0; i < data.size(); ++i) {
            std::size_t k = 0;
            while (k + 2 < c.knots().size() && data.scores[i] >= c.knots()[k + 1]) ++k;
            const double t = (data.scores[i] - c.knots()[k]) / (c.knots()[k + 1] - c.knots()[k]);
            const double e = c.levels()[k] + t * (c.levels()[k + 1] - c.levels()[k]);
            const double r = data.weights[i] * (1 / (1 + std::exp(-e)) - static_cast<double>(data.labels[i]));
            gradient[k] += (1 - t) * r;
            gradient[k + 1] += t * r;
        }
        std::size_t pooled = 0;
        for (std::size_t k = 0; k < gradient.size();) {
            double sum = 0.0;
            const double level = c.levels()[k];
            std::size_t members = 0;
            for (; k < gradient.size() && c.levels()[k] == level; ++k, ++members) {
                sum += gradient[k] + options.ridge * (c.levels()[k] - c.knots()[k]);
            }
            pooled += members - 1;
            CHECK_NEAR(sum, 0.0, fitted().of(3000.0));
        }
        CHECK((pooled > 0) == noise);
    }
}

TEST_CASE("piecewise_linear: two knots and no ridge to speak of are Platt without smoothing") {
    const fixture want("binned.txt");
    piecewise_linear_options options;
    options.knots = 2;
    options.ridge = 1e-12;
    const auto c = piecewise_linear::fit(serial, want["scaling.p"], want["scaling.y"], none{}, options);
    const double slope = (c.levels()[1] - c.levels()[0]) / (c.knots()[1] - c.knots()[0]);
    CHECK_NEAR(slope, want["scaling.platt"][0], fitted());
    CHECK_NEAR(c.levels()[0] - slope * c.knots()[0], want["scaling.platt"][1], fitted());
    options.ridge = 0.0;
    CHECK_THROWS_AS(piecewise_linear::fit(serial, doubles{0.5}, doubles{1}, none{}, options), std::invalid_argument);
}

}  // namespace
