// Thresholds, ranks and noise per group: worked examples, oracles, coverage, order, merge law, bad input, bytes.
#include "reckon/uncertainty/group_threshold.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/uncertainty/group_noise.hpp"
#include "reckon/uncertainty/uncertainty_quality.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

TEST_CASE("group_threshold: worked example") {
    // n = 4, rate 0.4: position ceil(5 * 0.6) = 3. Group 2 has no rows, group 1 too few.
    const std::vector<double> u{0.4, 0.1, 0.3, 0.2, 7.0, nan, 5.0};
    const std::vector<std::uint8_t> g{0, 0, 0, 0, 1, 0, 9};
    const group_threshold t = group_threshold::fit(serial, u, g, 3, {.rate = 0.4});
    CHECK(t.threshold(0) == 0.3);
    CHECK(t.threshold(1) == inf);
    CHECK(t.threshold(2) == inf);
    CHECK(t.threshold(9) == inf);
    CHECK(t.size(0) == 4);
    CHECK(t.size(2) == 0);
    CHECK(t.seen() == counts{5, 2});
    std::vector<int> flags(7, 5);
    CHECK(t.apply(serial, u, g, flags) == counts{5, 2});
    CHECK(flags == std::vector<int>{1, 0, 0, 0, 0, 0, 0});
    CHECK(t(0.4, 0));
    CHECK_FALSE(t(0.3, 0));
    CHECK_FALSE(t(nan, 0));
    CHECK_FALSE(t(inf, 1));
}

TEST_CASE("group_threshold: positions") {
    CHECK(conformal_position(19, 0.2) == 16);
    CHECK(conformal_position(99, 0.29) == 71);  // 100 * 0.29 in double is below 29
    CHECK(conformal_position(9, 0.1) == 9);
    CHECK(conformal_position(8, 0.1) == 9);  // too few: beyond the last
    CHECK(conformal_position(0, 0.5) == 1);
    CHECK(conformal_position(1, 0.999) == 1);
    for (std::size_t n = 1; n < 2000; ++n) {
        for (const std::size_t percent : {1u, 5u, 10u, 20u, 29u, 50u, 58u, 99u}) {
            const std::size_t above = (n + 1) * percent / 100;  // in integers
            const std::size_t want = n + 1 - (std::min)(n, above);
            const std::size_t got = conformal_position(n, static_cast<double>(percent) / 100.0);
            if (got != want) FAIL("n = " << n << ", " << percent << " %: got " << got << ", want " << want);
        }
    }
}

TEST_CASE("group_threshold: oracles") {
    const fixture data{"uncertainty.txt"};
    const std::vector<double>& u = data["conformal.value"];
    const auto g = data.as<std::uint8_t>("conformal.group");
    const std::vector<double> zero(u.size(), 0.0);
    const std::vector<double>& rates = data["conformal.rate"];
    for (std::size_t r = 0; r < rates.size(); ++r) {
        const group_threshold t = group_threshold::fit(serial, u, g, 4, {.rate = rates[r]});
        const group_threshold widths = conformal_half_widths(serial, zero, u, g, 4, {.rate = rates[r]});
        for (std::size_t k = 0; k < 4; ++k) {
            CHECK(t.threshold(k) == data["conformal.threshold"][4 * r + k]);
            CHECK(widths.threshold(k) == t.threshold(k));
            if (std::isfinite(t.threshold(k))) CHECK(t.threshold(k) == data["conformal.crepes"][4 * r + k]);
        }
        const group_threshold all = conformal_half_widths(serial, u, zero, none{}, 1, {.rate = rates[r]});
        CHECK(all.threshold(0) == data["conformal.mapie"][r]);
    }
}

TEST_CASE("group_threshold: a fresh row exceeds it as often as it says") {
    // For continuous values P = floor((n + 1) rate) / (n + 1): 0.2 exactly at n = 19.
    const struct {
        std::size_t n;
        double rate, want;
    } cases[] = {{19, 0.2, 0.2}, {12, 0.2, 2.0 / 13.0}, {3, 0.2, 0.0}, {40, 0.1, 4.0 / 41.0}};
    for (const auto& c : cases) {
        const std::size_t draws = 20000;
        std::size_t above = 0;
        for (std::size_t d = 0; d < draws; ++d) {
            const std::vector<double> u = random_uniform<double>(c.n + 1, 0.0, 1.0, d + 1);
            const auto t = group_threshold::fit(serial, vector_view<const double>(u.data(), c.n), none{}, 1, {c.rate});
            above += t(u.back()) ? 1 : 0;
        }
        CAPTURE(c.n);
        const double found = static_cast<double>(above) / static_cast<double>(draws);
        // Four standard errors; where the threshold is inf there is nothing to scatter.
        CHECK(std::fabs(found - c.want) <= 4.0 * std::sqrt(c.want * (1.0 - c.want) / static_cast<double>(draws)));
    }
    // Intervals: f +- width covers at least 1 - rate in each group, although the groups differ in noise.
    std::size_t missed[2] = {0, 0};
    const std::size_t draws = 5000, n = 60;
    for (std::size_t d = 0; d < draws; ++d) {
        const std::vector<double> f = random_normal<double>(n + 2, 0.0, 1.0, 3 * d);
        std::vector<double> y = random_normal<double>(n + 2, 0.0, 1.0, 3 * d + 1);
        std::vector<int> g(n + 2);
        for (std::size_t i = 0; i < n + 2; ++i) {
            g[i] = static_cast<int>(i % 2);
            y[i] = f[i] + (g[i] == 0 ? 0.1 : 3.0) * y[i];
        }
        const vector_view<const double> fs(f.data(), n), ys(y.data(), n);
        const group_threshold t = conformal_half_widths(serial, fs, ys, vector_view<const int>(g.data(), n), 2, {0.1});
        for (std::size_t k = 0; k < 2; ++k) missed[k] += t(std::fabs(y[n + k] - f[n + k]), k) ? 1 : 0;
    }
    for (const std::size_t m : missed) {
        const double want = 3.0 / 31.0, found = static_cast<double>(m) / static_cast<double>(draws);
        CHECK(std::fabs(found - want) <= 4.0 * std::sqrt(want * (1.0 - want) / static_cast<double>(draws)));
    }
}

TEST_CASE("group_threshold: depends on the order of values only") {
    const std::vector<double> u = random_normal<double>(500), fresh = random_normal<double>(300, 0.0, 1.0, 2);
    std::vector<double> curved = u, fresh_curved = fresh;
    for (double& x : curved) x = std::exp(0.5 * x) - 3.0;
    for (double& x : fresh_curved) x = std::exp(0.5 * x) - 3.0;
    const auto g = random_integers<std::uint8_t>(500, 3), fresh_g = random_integers<std::uint8_t>(300, 3, 2);
    const auto plain = group_threshold::fit(serial, u, g, 3), bent = group_threshold::fit(serial, curved, g, 3);
    std::vector<int> one(300), two(300);
    plain.apply(serial, fresh, fresh_g, one);
    bent.apply(serial, fresh_curved, fresh_g, two);
    CHECK(one == two);
    std::vector<double> r(500), s(500);
    group_rank(serial, u, g, 3, r);
    group_rank(serial, curved, g, 3, s);
    CHECK(r == s);
}

TEST_CASE("group_threshold: merge law, threads, bytes, bad input") {
    const std::vector<float> u = random_normal<float>(50000);
    const auto g = random_integers<std::int32_t>(50000, 7);
    exec::pool pool(3);
    const group_threshold whole = group_threshold::fit(serial, u, g, 6);
    CHECK(to_bytes(group_threshold::fit(exec::host{pool}, u, g, 6)) == to_bytes(whole));
    CHECK(whole.seen().rejected > 5000);
    group_values parts[3] = {group_values(6), group_values(6), group_values(6)};
    const std::size_t cuts[4] = {0, 123, 30000, 50000};
    for (std::size_t k = 0; k < 3; ++k) {
        parts[k].absorb(input(u).slice(cuts[k], cuts[k + 1] - cuts[k]), input(g).slice(cuts[k], cuts[k + 1] - cuts[k]));
    }
    parts[2].merge(parts[0]);
    parts[2].merge(parts[1]);
    parts[2].merge(group_values(6));
    CHECK(to_bytes(group_threshold::from_values(serial, parts[2])) == to_bytes(whole));
    CHECK_THROWS_AS(parts[0].merge(group_values(5)), std::invalid_argument);
    std::vector<float> flags(u.size()), again(u.size());
    const counts seen = whole.apply(serial, u, g, flags);
    CHECK(whole.apply(exec::host{pool}, u, g, again) == seen);
    CHECK(flags == again);
    CHECK(seen == whole.seen());
    CHECK_LAW(testing::check_bytes(group_threshold::fit(serial, input(u).slice(0, 40), input(g).slice(0, 40), 6),
                                   [](const group_threshold& t) { return !t(-inf, 0) && t.rate() < 1.0; }));
    const std::vector<double> two(2);
    const std::vector<int> three(3);
    CHECK_THROWS_WITH_AS(group_threshold::fit(serial, two, three, 2), "group_values: 2 rows but 3 group ids",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(group_threshold::fit(serial, two, none{}, 1, {.rate = 1.0}),
                         "group_threshold: rate must be in (0, 1), got 1", std::invalid_argument);
    CHECK_THROWS_AS(group_threshold::fit(serial, two, none{}, 0), std::invalid_argument);
    std::vector<int> room(2);
    CHECK_THROWS_AS(whole.apply(serial, u, g, room), std::invalid_argument);
    CHECK_THROWS_AS(conformal_half_widths(serial, two, u), std::invalid_argument);
}

TEST_CASE("group_threshold: from sketches") {
    // Groups 0 and 1 fit into their sketches, group 2 does not, group 4 has no rows, id 9 is no group.
    std::vector<float> u = random_normal<float>(20000);
    std::vector<std::uint32_t> g(u.size(), 2);
    for (std::size_t i = 0; i < 60; ++i) g[i * 7] = i % 3 == 0 ? 1 : (i % 3 == 1 ? 0 : 3);
    g[5] = 9;
    u[6] = std::numeric_limits<float>::quiet_NaN();
    kll_sketches sketches({.k = 64});
    sketches.absorb(serial, g, u);
    exec::pool pool(3);
    for (const double rate : {0.05, 0.2, 0.5}) {
        const group_threshold want = group_threshold::fit(serial, u, g, 5, {.rate = rate});
        const group_threshold got = group_threshold::from_sketches(serial, sketches, 5, {.rate = rate});
        for (const std::size_t exact_group : {0u, 1u, 3u, 4u})
            CHECK(got.threshold(exact_group) == want.threshold(exact_group));
        CHECK(got.threshold(4) == inf);
        for (std::size_t group = 0; group < 5; ++group) CHECK(got.size(group) == want.size(group));
        CHECK(got.seen() == want.seen());
        double above = 0.0;
        for (std::size_t i = 0; i < u.size(); ++i) above += g[i] == 2 && got(static_cast<double>(u[i]), 2) ? 1.0 : 0.0;
        const kll_sketch large = sketches.sketch(2);
        CHECK_FALSE(large.exact());
        CHECK(std::fabs(above / static_cast<double>(large.n()) - rate) <= large.bound(0.9999) + 1e-3);
        const group_threshold threads = group_threshold::from_sketches(exec::host{pool}, sketches, 5, {.rate = rate});
        CHECK(threads.thresholds() == got.thresholds());
    }
    CHECK_THROWS_AS(group_threshold::from_sketches(serial, sketches, 0), std::invalid_argument);
    CHECK_THROWS_AS(group_threshold::from_sketches(serial, sketches, 5, {.rate = 1.0}), std::invalid_argument);
}

TEST_CASE("group_rank: worked example, ties, bad rows") {
    const std::vector<double> u{3.0, 1.0, 2.0, 2.0, nan, 5.0, -0.0, 0.0, inf};
    const std::vector<int> g{0, 0, 0, 0, 0, 1, 1, 1, -1};
    std::vector<double> r(9);
    CHECK(group_rank(serial, u, g, 2, r) == counts{7, 2});
    CHECK(input(r).slice(0, 4)[0] == 3.5 / 4);
    CHECK(r[1] == 0.5 / 4);
    CHECK(r[2] == 2.0 / 4);
    CHECK(r[3] == 2.0 / 4);
    CHECK(std::isnan(r[4]));
    CHECK(r[5] == 2.5 / 3);
    CHECK(r[6] == 1.0 / 3);
    CHECK(r[7] == 1.0 / 3);
    CHECK(std::isnan(r[8]));
    std::vector<float> same(11, 4.0F);
    CHECK(group_rank(serial, same, none{}, 1, same) == counts{11, 0});
    for (const float x : same) CHECK(x == 0.5F);
    std::vector<float> nothing;
    CHECK(group_rank(serial, nothing, none{}, 1, nothing) == counts{});

    // Against counting: (values below + half of the equal ones) / n.
    const auto ids = random_integers<std::uint16_t>(700, 4);
    const auto v = random_integers<float>(700, 40, 8);
    std::vector<float> ranks(700), threaded(700);
    group_rank(serial, v, ids, 4, ranks);
    for (std::size_t i = 0; i < v.size(); ++i) {
        double below = 0.0, equal = 0.0, n = 0.0;
        for (std::size_t j = 0; j < v.size(); ++j) {
            if (ids[j] != ids[i]) continue;
            n += 1.0;
            below += v[j] < v[i] ? 1.0 : 0.0;
            equal += v[j] == v[i] ? 1.0 : 0.0;
        }
        CHECK_NEAR(ranks[i], (below + 0.5 * equal) / n, ulp(1));
    }
    exec::pool pool(3);
    group_rank(exec::host{pool}, v, ids, 4, threaded);
    CHECK(threaded == ranks);
    CHECK_THROWS_AS(group_rank(serial, v, ids, 4, nothing), std::invalid_argument);
}

TEST_CASE("combine_signals: share of two, or the one that is there") {
    const std::vector<double> a{0.25, nan, 0.5, nan}, b{0.75, 0.5, nan, nan};
    std::vector<double> out(4);
    CHECK(combine_signals(serial, a, b, out, 0.25) == counts{3, 1});
    CHECK(out[0] == 0.625);
    CHECK(out[1] == 0.5);
    CHECK(out[2] == 0.5);
    CHECK(std::isnan(out[3]));
    CHECK_THROWS_AS(combine_signals(serial, a, b, out, 1.5), std::invalid_argument);
    std::vector<double> short_out(3);
    CHECK_THROWS_AS(combine_signals(serial, a, b, short_out), std::invalid_argument);
}

TEST_CASE("group_noise: worked example and oracle") {
    const std::vector<double> e{5.0, 1.0, 2.0, 4.0, 3.0, 9.0, -1.0, inf, nan};
    const std::vector<int> g{0, 0, 0, 0, 0, 1, 0, 0, 0};
    const group_noise noise = group_noise::fit(serial, e, g, 3, {.quantile = 0.125});
    CHECK(noise.noise(0) == 1.5);
    CHECK(noise.noise(1) == 9.0);
    CHECK(std::isnan(noise.noise(2)));
    CHECK(noise.seen() == counts{6, 3});
    CHECK(noise(4.0, 0) == 2.5);
    CHECK(noise(1.0, 0) == 0.0);
    CHECK(std::isnan(noise(1.0, 2)));
    std::vector<double> over(9);
    CHECK(noise.excess(serial, e, g, over) == counts{8, 1});
    CHECK(over[0] == 3.5);
    CHECK(std::isnan(over[8]));
    const fixture data{"uncertainty.txt"};
    CHECK_NEAR(group_noise::fit(serial, data["percentile.values"]).noise(0), data.value("percentile.five"), ulp(2));
    CHECK(group_noise::fit(serial, e, g, 2, {.quantile = 1.0}).noise(0) == 5.0);
    CHECK_THROWS_AS(group_noise::fit(serial, e, g, 2, {.quantile = 1.5}), std::invalid_argument);
    CHECK_LAW(testing::check_bytes(noise, [](const group_noise& n) { return !(n(1.0, 0) < 0.0); }));
}

TEST_CASE("group_noise: equal noise makes expected errors rank as true errors") {
    const std::size_t n = 400;
    const std::vector<double> bias = random_normal<double>(n);
    std::vector<double> truth(n), equal(n), unequal(n), excess(n);
    for (std::size_t i = 0; i < n; ++i) {
        truth[i] = bias[i] * bias[i];
        equal[i] = truth[i] + 0.36;
        unequal[i] = truth[i] + 0.36 * (i % 2 == 0 ? 0.1 : 9.0);
    }
    CHECK(spearman(equal, truth).correlation == 1.0);
    // The assumption is needed.
    CHECK(spearman(unequal, truth).correlation < 0.8);
    group_noise::fit(serial, equal).excess(serial, equal, none{}, excess);
    for (std::size_t i = 0; i < n; ++i) CHECK(std::fabs(excess[i] - truth[i]) < 0.02);
}

TEST_CASE("isotonic_error_curve: worked example, calibrated and overstated critics") {
    const std::vector<double> said{1.0, 2.0, 2.0, 3.0, 4.0, 1.0, nan}, came{1.0, 1.0, 5.0, 2.0, 6.0, 100.0, 1.0};
    const std::vector<int> g{0, 0, 0, 0, 0, 1, 0};
    const error_curve curve = isotonic_error_curve(said, came, g, 2, 0);
    CHECK(curve.seen == counts{5, 1});
    REQUIRE(curve.points.size() == 4);
    const double fitted_values[4] = {1.0, 8.0 / 3.0, 8.0 / 3.0, 6.0}, weights[4] = {1.0, 2.0, 1.0, 1.0};
    for (std::size_t k = 0; k < 4; ++k) {
        CHECK(curve.points[k].expected == static_cast<double>(k + 1));
        CHECK_NEAR(curve.points[k].fitted, fitted_values[k], ulp(2));
        CHECK(curve.points[k].count == weights[k]);
    }
    CHECK(std::isnan(isotonic_error_curve(std::vector<double>{}, std::vector<double>{}).slope()));

    const std::size_t n = 20000;
    const std::vector<double> level = random_uniform<double>(n, 0.5, 4.0), z = random_normal<double>(n);
    std::vector<double> e(n), twice(n);
    for (std::size_t i = 0; i < n; ++i) {
        e[i] = level[i] * z[i] * z[i];
        twice[i] = 2.0 * level[i];
    }
    CHECK(std::fabs(isotonic_error_curve(level, e).slope() - 1.0) < 0.05);
    CHECK(std::fabs(isotonic_error_curve(twice, e).slope() - 0.5) < 0.025);
    CHECK_THROWS_AS(isotonic_error_curve(said, z), std::invalid_argument);
    CHECK_THROWS_AS(isotonic_error_curve(said, came, g, 2, 2), std::invalid_argument);
}

}  // namespace
