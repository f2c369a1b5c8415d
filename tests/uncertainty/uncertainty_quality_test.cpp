// Variance over heads, and figures about uncertainties: worked examples, oracles, invariants, merge law, bad input.
#include "reckon/uncertainty/uncertainty_quality.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/uncertainty/head_variance.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

TEST_CASE("head_variance: worked example and oracle") {
    const std::vector<double> heads{1.0, 5.0, 2.0, 5.0, 6.0, 5.0};
    std::vector<double> v(2);
    head_variance(serial, view(heads, 3, 2), v);
    CHECK_NEAR(v[0], 14.0 / 3.0, ulp(4));
    CHECK(v[1] == 0.0);
    const fixture data{"uncertainty.txt"};
    std::vector<double> got(7);
    head_variance(serial, view(data["heads.values"], 5, 7), got);
    // The heads are near 1000 and differ by 1.
    CHECK_ALL_NEAR(got, data["heads.var"], reduction(5).of(1000.0));
    head_variance(serial, matrix_view<const double>(heads.data(), 0, 2), v);
    CHECK(std::isnan(v[0]));
    CHECK_THROWS_AS(head_variance(serial, view(heads, 3, 2), got), std::invalid_argument);
}

TEST_CASE_TEMPLATE("head_variance: identical heads, strides, threads, the state", T, float, double) {
    const std::size_t heads = 6, rows = 40011;
    strided<T> m(heads, rows, 3, T(77));
    const std::vector<T> x = random_normal<T>(heads * rows, 3.0, 0.5);
    for (std::size_t t = 0; t < heads; ++t) {
        for (std::size_t i = 0; i < rows; ++i) m.view()(t, i) = i % 5 == 0 ? x[i] : x[t * rows + i];
    }
    std::vector<T> v(rows);
    head_variance(serial, m.view(), v);
    head_moments state;
    state.absorb(head_outputs<T>{m.view()});
    CHECK(state.heads() == heads);
    CHECK(state.size() == rows);
    for (std::size_t i = 0; i < rows; ++i) {
        if (i % 5 == 0) CHECK(v[i] == T(0));
        if (v[i] != static_cast<T>(state.variance(i))) FAIL("row " << i);
    }
    CHECK_NEAR(state.sample_variance(1), state.variance(1) * 6.0 / 5.0, ulp(4));
    exec::pool pool(3);
    CHECK_LAW(testing::check_map_policy<T>(rows, exec::host{pool},
                                           [&](const auto& where, auto out) { head_variance(where, m.view(), out); }));
    CHECK_LAW(testing::check_merge(
        head_moments{}, head_outputs<T>{m.view().columns(0, 50)}, [](const auto& a, const auto& b) {
            bool same = a.heads() == b.heads() && a.size() == b.size();
            for (std::size_t i = 0; i < a.size() && same; ++i) {
                same = std::fabs(a.variance(i) - b.variance(i)) <= 1e-12 * b.variance(i) + 1e-28 &&
                       std::fabs(a.mean(i) - b.mean(i)) <= 1e-14 * std::fabs(b.mean(i));
            }
            return same;
        }));
    head_moments other;
    other.absorb(head_outputs<T>{m.view().columns(0, 50)});
    CHECK_THROWS_AS(other.merge(state), std::invalid_argument);
    CHECK_THROWS_AS(other.absorb(head_outputs<T>{m.view()}), std::invalid_argument);
}

TEST_CASE("sparsification: worked example") {
    // Dropping by uncertainty: 10/4, 6/3, 3/2, 1; by error: 10/4, 6/3, 3/2, 1 in the best order.
    const std::vector<double> e{1.0, 2.0, 3.0, 4.0}, worst{4.0, 3.0, 2.0, 1.0}, flat(4, 7.0);
    const sparsification_curve good = sparsification(e, e, 4);
    CHECK(good.ause() == 0.0);
    CHECK(good.mean == std::vector<double>{2.5, 2.0, 1.5, 1.0});
    CHECK(good.dropped == std::vector<double>{0.0, 0.25, 0.5, 0.75});
    const sparsification_curve bad = sparsification(worst, e, 2);
    CHECK(bad.mean == std::vector<double>{2.5, 3.5});
    CHECK(bad.oracle == std::vector<double>{2.5, 1.5});
    // Means 2.5, 3, 3.5, 4 against 2.5, 2, 1.5, 1.
    CHECK(bad.ause() == 1.5);
    CHECK(bad.relative_ause() == 0.6);
    // Equal uncertainties leave in random order: a flat curve.
    const sparsification_curve none_at_all = sparsification(flat, e, 4);
    CHECK(none_at_all.mean == std::vector<double>{2.5, 2.5, 2.5, 2.5});
    CHECK(none_at_all.ause() == 0.75);
    const sparsification_curve empty = sparsification(std::vector<double>{nan}, std::vector<double>{1.0});
    CHECK(std::isnan(empty.ause()));
    CHECK(empty.mean.empty());
    CHECK(empty.seen == counts{0, 1});
    CHECK_THROWS_AS(sparsification(e, e, 0), std::invalid_argument);
    CHECK_THROWS_AS(sparsification(e, std::vector<double>(3)), std::invalid_argument);
}

TEST_CASE("sparsification: invariants") {
    const std::size_t n = 3000;
    std::vector<float> e = random_normal<float>(n);
    for (float& x : e) x = std::round(x * x * 20.0F) / 20.0F;  // with ties
    std::vector<double> rising(n), curved(n);
    const std::vector<double> noise = random_normal<double>(n, 0.0, 1.0, 5);
    std::vector<double> u(n);
    for (std::size_t i = 0; i < n; ++i) {
        rising[i] = std::exp(static_cast<double>(e[i])) - 7.0;
        u[i] = static_cast<double>(e[i]) + noise[i];
        curved[i] = std::atan(u[i]);
    }
    CHECK(sparsification(rising, e).ause() == 0.0);
    const sparsification_curve some = sparsification(u, e), bent = sparsification(curved, e);
    CHECK(some.ause() == bent.ause());
    CHECK(some.mean == bent.mean);
    CHECK(some.ause() > 0.0);
    // Random uncertainty: flat within noise, and no better than one that knows something.
    const sparsification_curve random = sparsification(random_uniform<double>(n, 0.0, 1.0, 9), e);
    CHECK(random.ause() > some.ause());
    for (std::size_t k = 0; k < 15; ++k) {
        const double left = static_cast<double>(n) * (1.0 - random.dropped[k]);
        CHECK(std::fabs(random.mean[k] - random.overall) < 5.0 * std::sqrt(2.0 / left));  // Var(z^2) = 2
    }
    // Against plain sums, without ties.
    const std::vector<double> key = random_uniform<double>(40, 0.0, 1.0, 3),
                              err = random_uniform<double>(40, 0.0, 1.0, 4);
    double area = 0.0;
    for (std::size_t left = 1; left <= 40; ++left) {
        const auto mean_by = [&](const std::vector<double>& by) {
            double sum = 0.0;
            for (std::size_t i = 0; i < 40; ++i) {
                std::size_t below = 0;
                for (std::size_t j = 0; j < 40; ++j) below += by[j] < by[i] ? 1 : 0;
                if (below < left) sum += err[i];
            }
            return sum / static_cast<double>(left);
        };
        area += (mean_by(key) - mean_by(err)) / 40.0;
    }
    CHECK_NEAR(sparsification(key, err).ause(), area, reduction(40));
}

TEST_CASE("critic_reliability: bins, merge, bad rows") {
    const std::vector<double> said{1.0, 2.0, 3.0, 1e300, -1.0, 2.0, nan, 4.0},
        came{1.0, 3.0, 5.0, 2.0, 1.0, nan, 1.0, 7.0};
    const critic_table table = critic_reliability(said, came, 2);
    CHECK(table.seen() == counts{5, 3});
    REQUIRE(table.size() == 2);
    CHECK(table.bin(0).count == 2.0);  // cut at 3, the value of rank 2 of 5
    CHECK(table.bin(0).mean_expected() == 1.5);
    CHECK(table.bin(0).mean_error() == 2.0);
    CHECK(table.bin(1).count == 3.0);
    CHECK_NEAR(table.bin(1).mean_error(), 14.0 / 3.0, ulp(2));
    const critic_table nothing = critic_reliability(std::vector<double>{}, std::vector<double>{});
    CHECK(nothing.size() == 1);
    CHECK(std::isnan(nothing.bin(0).mean_error()));
    const critic_table tied = critic_reliability(std::vector<double>(9, 5.0), std::vector<double>(9, 1.0));
    CHECK(tied.size() == 1);
    CHECK(tied.bin(0).mean_expected() == 5.0);

    // A calibrated critic: means agree bin by bin, within four standard errors.
    const std::size_t n = 20000;
    const std::vector<double> level = random_uniform<double>(n, 0.5, 4.0), z = random_normal<double>(n);
    std::vector<double> e(n);
    for (std::size_t i = 0; i < n; ++i) e[i] = level[i] * z[i] * z[i];
    const critic_table fair = critic_reliability(level, e);
    CHECK(fair.size() == 10);
    for (std::size_t b = 0; b < 10; ++b) {
        CHECK(fair.bin(b).count == 2000.0);
        CHECK(std::fabs(fair.bin(b).mean_error() / fair.bin(b).mean_expected() - 1.0) < 4.0 * std::sqrt(2.0 / 2000.0));
    }
    critic_table one(fair.bins()), two(fair.bins());
    one.absorb(input(level).slice(0, 5000), input(e).slice(0, 5000));
    two.absorb(input(level).slice(5000, 15000), input(e).slice(5000, 15000));
    two.merge(one);
    CHECK(two.seen() == fair.seen());
    for (std::size_t b = 0; b < 10; ++b) CHECK_NEAR(two.bin(b).error_sum, fair.bin(b).error_sum, reduction(2000));
    CHECK_THROWS_AS(two.merge(table), std::invalid_argument);
    CHECK_THROWS_AS(critic_reliability(said, e), std::invalid_argument);
    CHECK_THROWS_AS(critic_reliability(said, came, 0), std::invalid_argument);
}

TEST_CASE("interval_coverage: ends, bad rows, normal outcomes, lower confidence bound") {
    const std::vector<double> f{0.0, 0.0, 0.0, nan, 0.0, 0.0}, y{2.0, 2.5, -2.0, 0.0, inf, 0.0};
    const std::vector<double> epi{0.5, 0.5, 0.5, 1.0, 1.0, -1.0}, noise{0.5, 0.5, 0.5, 1.0, 1.0, 1.0};
    const coverage_result few = interval_coverage(serial, f, y, epi, noise, 2.0);
    CHECK(few.covered == 2);
    CHECK(few.seen == counts{3, 3});
    CHECK_NEAR(few.finish(), 2.0 / 3.0, exact());
    CHECK(std::isnan(coverage_result{}.finish()));

    // Truth drawn from the posterior N(f, v): z leaves Phi(-z) below the lower bound, and as much above the upper.
    const std::size_t n = 50000;
    const std::vector<float> at = random_normal<float>(n), unit = random_normal<float>(n, 0.0, 1.0, 6),
                             nothing(n, 0.0F);
    std::vector<float> v(n), truth(n);
    for (std::size_t i = 0; i < n; ++i) {
        v[i] = 0.1F + static_cast<float>(i % 7);
        truth[i] = at[i] + std::sqrt(v[i]) * unit[i];
    }
    for (const double z : {0.8416212335729143, 1.959963984540054}) {
        const double q = 0.5 * std::erfc(z / std::sqrt(2.0));
        const double covered = interval_coverage(serial, at, truth, v, nothing, z).finish();
        CHECK(std::fabs(covered - (1.0 - 2.0 * q)) < 4.0 * std::sqrt(2.0 * q * (1.0 - 2.0 * q) / n));
        double below = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            below += truth[i] < at[i] - static_cast<float>(z) * std::sqrt(v[i]) ? 1.0 / n : 0.0;
        }
        CHECK(std::fabs(below - q) < 4.0 * std::sqrt(q * (1.0 - q) / n));
    }
    const reckon::detail::coverage_rows<float, float, float, float> rows{input(at), input(truth), input(v),
                                                                         input(nothing)};
    const auto equal = [](const auto& a, const auto& b) {
        return a.total.covered == b.total.covered && a.total.seen == b.total.seen;
    };
    const reckon::detail::coverage_fold<isa::native> identity{1.5, {}};
    CHECK_LAW(testing::check_merge(identity, rows, equal));
    exec::pool pool(3);
    CHECK_LAW(testing::check_fold_policy(identity, rows, exec::host{pool}, equal));
    CHECK_THROWS_AS(interval_coverage(serial, f, y, epi, v, 2.0), std::invalid_argument);
    CHECK_THROWS_AS(interval_coverage(serial, f, y, epi, noise, 0.0), std::invalid_argument);
}

}  // namespace
