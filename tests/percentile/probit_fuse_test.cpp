// Fusion of two percentiles: closed forms, the oracle, uniformity, gradient, thin support, bad input.
#include "reckon/percentile/probit_fuse.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/exec/pool.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr double pi = 3.14159265358979323846;
constexpr tolerance far_out{.relative = 5e-13};  // the promise of the header

TEST_CASE("probit_fuse: worked example") {
    // Equal weights, both at the upper quartile: Phi(sqrt 2 * 0.6744897...).
    const fused_percentile q = probit_fuse({0.75, 1.0, 100}, {0.75, 1.0, 100});
    CHECK_NEAR(q.value, 0.82992592069966678, ulp(16));
    CHECK(q.first_slope == q.second_slope);
    // A side of weight 0 is left out; both in the middle stay there.
    for (const double p : {0.02, 0.3, 0.5, 0.77}) {
        CHECK(probit_fuse({0.9, 0.0, 100}, {p, 0.7, 100}).value == p);
        CHECK(probit_fuse({p, 0.2, 100}, {std::nan(""), 0.0, 0}).value == p);
        CHECK(probit_fuse({p, 0.2, 100}, {0.1, 0.0, 100}).first_slope == 1.0);
    }
    CHECK(probit_fuse({0.5, 0.3, 100}, {0.5, 0.8, 100}).value == 0.5);
    CHECK(probit_weight(20.0, 20.0) == std::sqrt(0.5));
    CHECK(probit_weight(0.0, 20.0) == 0.0);
    CHECK(probit_weight(5.0, 0.0) == 1.0);
}

TEST_CASE("probit_fuse: mpmath") {
    const fixture data("rad.txt");
    const auto &u = data["fuse.q_u"], &v = data["fuse.q_v"], &n = data["fuse.n_u"], &m = data["fuse.n_v"];
    std::vector<double> fused(u.size()), first(u.size(), 1.0), second(u.size(), 1.0);
    probit_fuse(serial, u, v, n, m, fused);
    probit_fuse_gradient(serial, u, v, n, m, std::vector<double>(u.size(), 1.0), first, second, {}, 2.0);
    CHECK_ALL_NEAR(fused, data["fuse.value"], far_out);
    for (std::size_t i = 0; i < u.size(); ++i) {
        CAPTURE(i);
        // scale times the slope was added to 1.
        const double want_first = 2.0 * data["fuse.first"][i], want_second = 2.0 * data["fuse.second"][i];
        CHECK_NEAR(first[i] - 1.0, want_first, far_out.of(1.0 + want_first));
        CHECK_NEAR(second[i] - 1.0, want_second, far_out.of(1.0 + want_second));
    }
}

TEST_CASE("probit_fuse: independent uniform sides stay uniform, a + b = 1 would not") {
    constexpr std::size_t n = 40000;
    const auto u = random_uniform<double>(n, 0.0, 1.0, 11), v = random_uniform<double>(n, 0.0, 1.0, 12);
    for (const double a : {0.2, 0.7, 1.0}) {
        const double b = 1.0 - 0.5 * a;
        std::vector<double> q(n);
        for (std::size_t i = 0; i < n; ++i) q[i] = probit_fuse({u[i], a, 1e15}, {v[i], b, 1e15}).value;
        std::sort(q.begin(), q.end());
        double ks = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            ks = std::max(ks, std::fabs(q[i] - (static_cast<double>(i) + 0.5) / static_cast<double>(n)));
        }
        CAPTURE(a);
        CHECK(ks < 1.95 / std::sqrt(static_cast<double>(n)));  // level 0.1 %
    }
    // Var Phi(a Z + b W) = arcsin(c / (1 + c)) / (2 pi), c = a^2 + b^2.
    const double c = 0.7 * 0.7 + 0.3 * 0.3, exact = std::asin(c / (1.0 + c)) / (2.0 * pi);
    CHECK(std::fabs(exact - 0.0598) < 5e-5);
    CHECK_NEAR(std::asin(0.5) / (2.0 * pi), 1.0 / 12.0, ulp(2));
    double sum = 0.0, fused_sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
        const double plain = math::normal_cdf(0.7 * math::normal_quantile(u[i]) + 0.3 * math::normal_quantile(v[i]));
        const double fused = probit_fuse({u[i], 0.7, 1e15}, {v[i], 0.3, 1e15}).value;
        sum += (plain - 0.5) * (plain - 0.5);
        fused_sum += (fused - 0.5) * (fused - 0.5);
    }
    // Four standard deviations of a mean of squares below 1/4.
    const double allowed = 4.0 * 0.075 / std::sqrt(static_cast<double>(n));
    CHECK(std::fabs(sum / static_cast<double>(n) - exact) < allowed);
    CHECK(std::fabs(fused_sum / static_cast<double>(n) - 1.0 / 12.0) < allowed);
    CHECK(1.0 / 12.0 - exact > 10.0 * allowed);
}

TEST_CASE("probit_fuse: gradient") {
    const std::size_t n = 40;
    const auto g = random_normal<double>(n), v = random_uniform<double>(n, 0.05, 0.95, 3);
    const std::vector<unsigned> few(n, 30), many(n, 400);
    for (const bool first : {true, false}) {
        const auto value = [&](vector_view<const double> x) {
            std::vector<double> q(n);
            if (first) probit_fuse(serial, x, v, few, many, q);
            if (!first) probit_fuse(serial, v, x, few, many, q);
            double sum = 0.0;
            for (std::size_t i = 0; i < n; ++i) sum += g[i] * q[i];
            return sum;
        };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            std::vector<double> other(n);
            if (first) probit_fuse_gradient(serial, x, v, few, many, g, out, other);
            if (!first) probit_fuse_gradient(serial, v, x, few, many, g, other, out);
        };
        CHECK_LAW(testing::check_gradient(value, gradient, random_uniform<double>(n, 0.1, 0.9, 5)));
    }
}

TEST_CASE("probit_fuse: threads, NaN and bad input") {
    const std::size_t n = 50000;
    const auto u = random_uniform<float>(n, 0.0, 1.0, 6), v = random_uniform<float>(n, 0.0, 1.0, 7);
    const auto few = random_integers<std::uint32_t>(n, 40, 8), many = random_integers<std::uint32_t>(n, 4000, 9);
    exec::pool pool(3);
    CHECK_LAW(testing::check_map_policy<float>(n, exec::host{pool}, [&](const auto& where, vector_view<float> out) {
        probit_fuse(where, u, v, few, many, out);
    }));
    std::vector<double> out(2);
    const std::vector<double> one_bad{std::nan(""), 0.5}, good{0.25, 0.25};
    probit_fuse(serial, one_bad, good, std::vector<int>{5, 5}, std::vector<int>{5, 5}, out);
    CHECK(std::isnan(out[0]));
    CHECK(!std::isnan(out[1]));
    // No values on either side: nothing is known. None on one side, or one alone: what the other says.
    probit_fuse(serial, one_bad, good, std::vector<int>{0, 0}, std::vector<int>{0, 9}, out);
    CHECK(std::isnan(out[0]));
    CHECK(out[1] == 0.25);
    CHECK_THROWS_WITH_AS(probit_fuse(serial, good, std::vector<double>(3), good, good, out),
                         "probit_fuse: 2 and 3 percentiles but 2 and 2 supports", std::invalid_argument);
    CHECK_THROWS_WITH_AS(probit_fuse(serial, good, good, good, good, out, {.support = -1.0}),
                         "probit_fuse: support must be in [0, 1e12], got -1", std::invalid_argument);
    std::vector<double> wide(3);
    CHECK_THROWS_WITH_AS(probit_fuse(serial, good, good, good, good, wide), "probit_fuse: 2 percentiles but room for 3",
                         std::invalid_argument);
    CHECK_THROWS_AS(probit_fuse_gradient(serial, good, good, good, good, wide, out, out), std::invalid_argument);
    std::vector<double> nothing;
    probit_fuse(serial, nothing, nothing, nothing, nothing, nothing);
}

}  // namespace
