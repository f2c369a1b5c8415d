// Bootstrap over users: weights, exact sums, merge law, coverage by simulation, bytes.
#include "reckon/metrics/bootstrap.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/metrics/detail/tails.hpp"
#include "reckon/metrics/wilson.hpp"
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

// Rows of M metrics.
struct table {
    std::size_t metrics = 1;
    std::vector<std::uint64_t> users;
    std::vector<double> over, under;
    vector_view<const std::uint64_t> ids() const { return input(users); }
    matrix_view<const double> numerators() const { return view(over, users.size(), metrics); }
    matrix_view<const double> denominators() const { return view(under, users.size(), metrics); }
};

// Users with several rows each; values with more bits than a unit has, some undefined.
table random_table(std::size_t rows, std::size_t metrics, std::uint64_t seed) {
    const random_stream rng(seed, 9);
    table t;
    t.metrics = metrics;
    for (std::size_t s = 0; s < rows; ++s) {
        t.users.push_back(rng.below(s, 1 + rows / 3) * 0x9e3779b97f4a7c15u);
        for (std::size_t m = 0; m < metrics; ++m) {
            const std::uint64_t at = rows + s * metrics + m;
            const double size = m == 0 ? 1.0 : std::floor(1.0 + 40.0 * rng.uniform(3 * at));
            t.under.push_back(rng.uniform(3 * at + 1) < 0.1 ? 0.0 : size);
            t.over.push_back(m == 2 ? 1e6 * rng.normal(3 * at + 2) : size * rng.uniform(3 * at + 2));
            if (rng.below(at, 17) == 0) t.over.back() = nan;
        }
    }
    return t;
}

clustered_bootstrap absorbed(const table& t, const bootstrap_options& options = {}) {
    clustered_bootstrap state(t.metrics, options);
    state.absorb(serial, t.users, t.numerators(), t.denominators());
    return state;
}

TEST_CASE("bootstrap: worked example") {
    // User 7 has two lists: they count together or not at all.
    const std::vector<std::uint32_t> users{7, 3, 7, 5};
    const std::vector<float> values{0.5f, 1.0f, 0.25f, std::nanf("")};
    clustered_bootstrap state(1, {.replicates = 200, .seed = 11});
    state.absorb(serial, users, values);
    CHECK(state.value(0) == 1.75 / 3.0);
    CHECK(state.seen(0) == counts{3, 1});
    CHECK(state.rejected(0) == 1);
    std::size_t without = 0;
    for (std::size_t r = 0; r < 200; ++r) {
        const double w7 = bootstrap_weight(11, 7, r), w3 = bootstrap_weight(11, 3, r);
        if (w7 + w3 == 0.0) {
            CHECK(std::isnan(state.replicate(0, r)));
            ++without;
        } else {
            CHECK(state.replicate(0, r) == (0.75 * w7 + w3) / (2.0 * w7 + w3));
        }
    }
    CHECK(without > 0);
    const bootstrap_estimate e = state.finish();
    CHECK(e.value == 1.75 / 3.0);
    CHECK(e.replicates == 200 - without);
    CHECK(e.lower == 0.375);
    CHECK(e.upper == 1.0);
    const bootstrap_estimate mirrored = state.finish(0, {.form = interval_form::basic});
    CHECK(mirrored.lower == 2.0 * e.value - 1.0);
    CHECK(mirrored.upper == 2.0 * e.value - 0.375);
    CHECK(mirrored.error == e.error);
}

TEST_CASE("bootstrap: weights are Poisson(1), independent between users and replicates") {
    const fixture oracle("distributions.txt");
    const auto& pmf = oracle["poisson.pmf"];
    const auto thresholds = oracle.as<std::uint64_t>("poisson.thresholds");
    for (std::size_t k = 0; k < reckon::detail::poisson_steps; ++k) {
        CHECK(reckon::detail::poisson_thresholds[k] == thresholds[k]);
    }
    CHECK(thresholds[reckon::detail::poisson_steps] == std::uint64_t{1} << 32);

    constexpr std::size_t users = 1024, replicates = 1000;
    constexpr double n = double(users) * double(replicates);
    std::vector<double> drawn(users * replicates), frequencies(14);
    double mean = 0.0, square = 0.0;
    for (std::size_t u = 0; u < users; ++u) {
        for (std::size_t r = 0; r < replicates; ++r) {
            const std::uint32_t w = bootstrap_weight(5, u, r);
            drawn[u * replicates + r] = w - 1.0;
            frequencies[(std::min)(w, 7u)] += 1.0;
            mean += w;
            square += (w - 1.0) * (w - 1.0);
        }
    }
    // 5 standard deviations of a mean; the fourth central moment of Poisson(1) is 4.
    CHECK(std::fabs(mean / n - 1.0) < 5.0 * std::sqrt(1.0 / n));
    CHECK(std::fabs(square / n - 1.0) < 5.0 * std::sqrt((4.0 - 1.0) / n));
    double chi = 0.0, tail = 1.0;
    for (std::size_t k = 0; k < 7; ++k) {
        chi += std::pow(frequencies[k] - n * pmf[k], 2) / (n * pmf[k]);
        tail -= pmf[k];
    }
    chi += std::pow(frequencies[7] - n * tail, 2) / (n * tail);
    CHECK(reckon::detail::chi_square_tail(chi, 7.0) > 1e-4);

    // Products of neighbours average 0; weights of other seeds are others.
    for (const std::size_t lag : {1u, 4u, 16u, 64u}) {
        CAPTURE(lag);
        double by_replicate = 0.0, by_user = 0.0;
        for (std::size_t u = 0; u < users; ++u) {
            for (std::size_t r = 0; r < replicates; ++r) {
                const double w = drawn[u * replicates + r];
                by_replicate += w * drawn[u * replicates + (r + lag) % replicates];
                by_user += w * drawn[(u + lag) % users * replicates + r];
            }
        }
        CHECK(std::fabs(by_replicate) < 5.0 * std::sqrt(n));
        CHECK(std::fabs(by_user) < 5.0 * std::sqrt(n));
    }
    double by_seed = 0.0;
    for (std::size_t u = 0; u < users; ++u) by_seed += drawn[u * replicates] * (bootstrap_weight(6, u, 0) - 1.0);
    CHECK(std::fabs(by_seed) < 5.0 * std::sqrt(double(users)));
}

TEST_CASE("bootstrap: a tile has the weights of its replicates on every instruction set") {
    double got[reckon::detail::bootstrap_tile], plain[reckon::detail::bootstrap_tile];
    const random_stream rng(3);
    for (std::uint64_t i = 0; i < 300; ++i) {
        const std::uint64_t cluster = i < 3 ? i : rng.bits(i), seed = rng.bits(1000 + i);
        const auto tile = static_cast<std::uint32_t>(i % 17 == 0 ? 16383 : i % 16);
        reckon::detail::poisson_tiles<isa::native>(seed).draw(cluster, tile, got);
        reckon::detail::poisson_tiles<isa::scalar>(seed).draw(cluster, tile, plain);
        for (std::size_t r = 0; r < reckon::detail::bootstrap_tile; ++r) {
            const std::uint32_t want = bootstrap_weight(seed, cluster, std::uint64_t{tile} * 64 + r);
            REQUIRE(got[r] == want);
            REQUIRE(plain[r] == want);
        }
    }
    // Words next to every threshold.
    for (const std::uint32_t t : reckon::detail::poisson_thresholds) {
        std::size_t step = 0;
        while (reckon::detail::poisson_thresholds[step] != t) ++step;
        CHECK(reckon::detail::reaches(reckon::detail::signed_order(t), step) == 1);
        CHECK(reckon::detail::reaches(reckon::detail::signed_order(t - 1), step) == 0);
        CHECK(reckon::detail::reaches(reckon::detail::signed_order(0xffffffffu), step) == 1);
        CHECK(reckon::detail::reaches(reckon::detail::signed_order(0), step) == 0);
    }
}

TEST_CASE("bootstrap: every replicate against plain sums") {
    for (const std::size_t rows : {0u, 1u, 5u, 400u}) {
        const table t = random_table(rows, 3, rows);
        const clustered_bootstrap state = absorbed(t, {.replicates = 130, .seed = 77});
        for (std::size_t m = 0; m < 3; ++m) {
            CAPTURE(rows);
            CAPTURE(m);
            for (std::size_t r = 0; r <= 130; ++r) {
                double over = 0.0, under = 0.0, size = 0.0, weight = 0.0;
                for (std::size_t s = 0; s < rows; ++s) {
                    const double a = t.over[s * 3 + m], b = t.under[s * 3 + m];
                    if (std::isnan(a) || b == 0.0) continue;
                    const double w = r == 130 ? 1.0 : bootstrap_weight(77, t.users[s], r);
                    over += w * a;
                    under += w * b;
                    size += w * std::fabs(a);
                    weight += w;
                }
                const double want = under > 0.0 ? over / under : nan;
                const double got = r == 130 ? state.value(m) : state.replicate(m, r);
                // Half a unit for each row, and the roundings of the plain sums.
                tolerance tol = reduction(rows + 1).of(under > 0.0 ? size / under : 0.0);
                tol.absolute = under > 0.0 ? 0x1p-31 * weight / under : 0.0;
                CHECK_NEAR(got, want, tol);
            }
        }
    }
}

TEST_CASE("bootstrap: integers and units are exact at every size") {
    // On the way totals that no double holds: 3 * 2^61 units and one.
    clustered_bootstrap state(1, {.replicates = 50, .unit = 1.0});
    const std::vector<std::int64_t> users{1, 2, 3, -4};
    const std::vector<double> big{0x1p61, 0x1p61, 0x1p61, 1.0}, less{-0x1p61, -0x1p61, -0x1p61, 0.0};
    const std::vector<double> once{1.0, 1.0, 1.0, 1.0};
    state.absorb(serial, users, big, once);
    state.absorb(serial, users, less, once);
    CHECK(state.value(0) == 0.125);
    for (std::size_t r = 0; r < 50; ++r) {
        const double last = bootstrap_weight(0, static_cast<std::uint64_t>(std::int64_t{-4}), r);
        double all = last;
        for (std::uint64_t u = 1; u <= 3; ++u) all += bootstrap_weight(0, u, r);
        CHECK_NEAR(state.replicate(0, r), all > 0.0 ? last / (2.0 * all) : nan, exact());
    }
    // Beyond 2^62 units a row is refused; the largest one is taken.
    const std::vector<double> edge{0x1p62, -0x1p62, 0x1.1p62, -0x1.1p62};
    clustered_bootstrap limits(1, {.replicates = 50, .unit = 1.0});
    limits.absorb(serial, users, edge, once);
    CHECK(limits.seen(0) == counts{2, 2});
    CHECK(limits.value(0) == 0.0);
}

// What check_merge() and check_fold_policy() need.
struct batch {
    const table* t;
    std::size_t first, count;
    std::size_t size() const { return count; }
    batch slice(std::size_t f, std::size_t c) const { return {t, first + f, c}; }
};
struct folded {
    clustered_bootstrap state;
    void absorb(const batch& b) {
        state.absorb(serial, b.t->ids().slice(b.first, b.count), b.t->numerators().slice(b.first, b.count),
                     b.t->denominators().slice(b.first, b.count));
    }
    void merge(const folded& other) { state.merge(other.state); }
};

TEST_CASE("bootstrap: merges bit by bit in any split, order and number of threads") {
    const table t = random_table(900, 3, 4);
    const folded identity{clustered_bootstrap(3, {.replicates = 100, .seed = 2})};
    const batch all{&t, 0, t.users.size()};
    const auto same = [](const folded& a, const folded& b) { return to_bytes(a.state) == to_bytes(b.state); };
    CHECK_LAW(testing::check_merge(identity, all, same, {.trials = 8}));
    exec::pool pool(3);
    CHECK_LAW(testing::check_fold_policy(identity, all, exec::host{pool}, same));

    // Rows in another order, other threads, more rows than one part, users split over shards.
    const table large = random_table(9000, 2, 5);
    const clustered_bootstrap want = absorbed(large, {.replicates = 60});
    clustered_bootstrap threaded(2, {.replicates = 60});
    threaded.absorb(exec::host{pool}, large.users, large.numerators(), large.denominators());
    CHECK(to_bytes(threaded) == to_bytes(want));
    std::vector<clustered_bootstrap> shards(7, clustered_bootstrap(2, {.replicates = 60}));
    std::vector<table> parts(7);
    for (table& part : parts) part.metrics = 2;
    for (std::size_t s = large.users.size(); s-- > 0;) {
        table& part = parts[random_stream(8).below(s, 7)];
        part.users.push_back(large.users[s]);
        for (std::size_t m = 0; m < 2; ++m) {
            part.over.push_back(large.over[2 * s + m]);
            part.under.push_back(large.under[2 * s + m]);
        }
    }
    for (std::size_t k = 0; k < 7; ++k) {
        shards[k].absorb(serial, parts[k].users, parts[k].numerators(), parts[k].denominators());
    }
    for (std::size_t k = 6; k-- > 0;) shards[k].merge(shards[k + 1]);
    CHECK(to_bytes(shards[0]) == to_bytes(want));
}

TEST_CASE("bootstrap: quantiles as numpy") {
    const fixture oracle("distributions.txt");
    std::vector<double> sorted = oracle["quantile.values"];
    std::sort(sorted.begin(), sorted.end());
    const auto& levels = oracle["quantile.levels"];
    for (std::size_t i = 0; i < levels.size(); ++i) {
        CHECK_NEAR(reckon::detail::sorted_quantile(sorted, levels[i]), oracle["quantile.want"][i], probability());
    }
    CHECK(reckon::detail::sorted_quantile({3.0}, 0.7) == 3.0);
}

TEST_CASE("bootstrap: the standard error is that of a ratio over users") {
    const table t = random_table(3000, 2, 6);
    constexpr std::size_t replicates = 2000;
    const clustered_bootstrap state = absorbed(t, {.replicates = replicates, .seed = 1});
    // By the delta method: users' sums of numerator - ratio * denominator.
    for (std::size_t m = 0; m < 2; ++m) {
        const double ratio = state.value(m);
        std::vector<std::size_t> order(t.users.size());
        for (std::size_t s = 0; s < order.size(); ++s) order[s] = s;
        std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return t.users[a] < t.users[b]; });
        double square = 0.0, weight = 0.0, user = 0.0;
        for (std::size_t k = 0; k < order.size(); ++k) {
            const std::size_t s = order[k];
            const double a = t.over[2 * s + m], b = t.under[2 * s + m];
            if (!std::isnan(a) && b > 0.0) {
                user += a - ratio * b;
                weight += b;
            }
            if (k + 1 == order.size() || t.users[order[k + 1]] != t.users[s]) {
                square += user * user;
                user = 0.0;
            }
        }
        const double want = std::sqrt(square) / weight;
        // A deviation of 2000 replicates scatters by 1 / sqrt(4000) of itself.
        CHECK(std::fabs(state.finish(m).error / want - 1.0) < 4.0 / std::sqrt(2.0 * replicates));
        const bootstrap_estimate e = state.finish(m), wide = state.finish(m, {.level = 0.99});
        CHECK(e.lower < e.value);
        CHECK(e.value < e.upper);
        CHECK(wide.lower < e.lower);
        CHECK(e.upper < wide.upper);
    }
}

TEST_CASE("bootstrap: differences are paired") {
    const std::size_t n = 500;
    const std::vector<std::uint32_t> users = random_integers<std::uint32_t>(n, 200, 1);
    const std::vector<double> a = random_uniform<double>(n, 0, 1, 2), noise = random_normal<double>(n, 0.02, 0.05, 3);
    std::vector<double> b(n), both(2 * n);
    for (std::size_t i = 0; i < n; ++i) {
        b[i] = a[i] + noise[i];
        both[2 * i] = a[i];
        both[2 * i + 1] = b[i];
    }
    clustered_bootstrap joint(2), first(1), second(1);
    joint.absorb(serial, users, view(both, n, 2));
    first.absorb(serial, users, a);
    second.absorb(serial, users, b);
    const bootstrap_estimate d = joint.difference(1, 0), e = second.difference(0, first, 0);
    CHECK(d.value == joint.value(1) - joint.value(0));
    CHECK(d.value == e.value);
    CHECK(d.error == e.error);
    CHECK(d.lower == e.lower);
    CHECK(d.upper == e.upper);
    CHECK(d.lower > 0.0);  // seen as better, although the intervals of the two overlap
    CHECK(joint.finish(0).upper > joint.finish(1).lower);
    CHECK(d.error < 0.25 * joint.finish(0).error);
    CHECK(joint.difference(0, 0).error == 0.0);
    CHECK_THROWS_AS(joint.difference(2, 0), std::invalid_argument);
    CHECK_THROWS_AS(joint.difference(0, 2), std::invalid_argument);
    CHECK_THROWS_AS(first.difference(0, clustered_bootstrap(1, {.seed = 1}), 0), std::invalid_argument);
    CHECK_THROWS_AS(first.difference(0, clustered_bootstrap(1, {.replicates = 50}), 0), std::invalid_argument);
}

TEST_CASE("bootstrap: intervals over users cover, intervals over rows do not") {
    // Users of 1 to 8 rows that share most of their deviation; the true mean is 0.
    constexpr std::size_t trials = 400, users = 120;
    std::size_t by_user = 0, by_row = 0, by_formula = 0, basic = 0;
    for (std::uint64_t trial = 0; trial < trials; ++trial) {
        const random_stream rng(trial, 40);
        std::vector<std::uint32_t> user, row;
        std::vector<double> values;
        moments plain;
        std::uint64_t at = 0;
        for (std::uint32_t u = 0; u < users; ++u) {
            const std::uint64_t size = 1 + rng.below(at++, 8);
            const double own = rng.normal(at++);
            for (std::uint64_t k = 0; k < size; ++k) {
                user.push_back(u);
                row.push_back(static_cast<std::uint32_t>(row.size()));
                values.push_back(own + 0.5 * rng.normal(at++));
                plain.absorb(values.back());
            }
        }
        const auto covers = [](const bootstrap_estimate& e) { return e.lower <= 0.0 && 0.0 <= e.upper ? 1u : 0u; };
        clustered_bootstrap over_users(1, {.replicates = 192, .seed = trial});
        over_users.absorb(serial, user, values);
        by_user += covers(over_users.finish());
        basic += covers(over_users.finish(0, {.form = interval_form::basic}));
        clustered_bootstrap over_rows(1, {.replicates = 64, .seed = trial});
        over_rows.absorb(serial, row, values);
        by_row += covers(over_rows.finish());
        const double half = z_95 * std::sqrt(plain.sample_variance() / plain.weight());
        by_formula += std::fabs(plain.mean()) <= half ? 1u : 0u;
    }
    // Four deviations of a count of 400 with probability 0.95.
    const double want = 0.95 * trials, deviation = std::sqrt(0.95 * 0.05 * trials);
    CHECK(std::fabs(double(by_user) - want) < 4.0 * deviation);
    CHECK(std::fabs(double(basic) - want) < 4.0 * deviation);
    CHECK(double(by_row) < want - 15.0 * deviation);
    CHECK(double(by_formula) < want - 15.0 * deviation);
}

TEST_CASE("bootstrap: bad input") {
    const double inf = std::numeric_limits<double>::infinity();
    clustered_bootstrap state(1, {.replicates = 64});
    CHECK(std::isnan(state.finish().value));
    CHECK(std::isnan(state.finish().lower));
    CHECK(state.finish().replicates == 0);
    const std::vector<int> users{1, 2, 3, 4, 5, 6, 7, 8};
    const std::vector<double> over{1, nan, inf, 1, 1, -inf, 1, 1}, under{1, 1, 1, 0, -1, 1, nan, 1e-30};
    state.absorb(serial, users, over, under);
    CHECK(state.seen(0) == counts{1, 7});
    CHECK(state.value(0) == 1.0);
    // A group of one: every replicate that draws it has the same value.
    CHECK(state.finish().error == 0.0);
    CHECK(state.finish().lower == 1.0);

    CHECK_THROWS_WITH_AS(state.absorb(serial, users, std::vector<double>{1.0}),
                         "clustered_bootstrap: 8 clusters but 1 rows of numerators", std::invalid_argument);
    CHECK_THROWS_AS(state.absorb(serial, users, over, std::vector<double>{1.0}), std::invalid_argument);
    CHECK_THROWS_AS(state.absorb(serial, std::vector<int>{1, 2, 3, 4}, view(over, 4, 2)), std::invalid_argument);
    CHECK_THROWS_AS(clustered_bootstrap(0), std::invalid_argument);
    CHECK_THROWS_AS(clustered_bootstrap(1, {.replicates = 49}), std::invalid_argument);
    CHECK_THROWS_AS(clustered_bootstrap(1 << 20, {.replicates = 1000}), std::invalid_argument);
    for (const double unit : {0.0, -1.0, 0.3, nan, inf, 0x1p600}) {
        CHECK_THROWS_AS(clustered_bootstrap(1, {.unit = unit}), std::invalid_argument);
    }
    for (const double level : {0.0, 1.0, -0.5, nan}) {
        CHECK_THROWS_AS(state.finish(0, {.level = level}), std::invalid_argument);
    }
    CHECK_THROWS_AS(state.finish(1), std::invalid_argument);
    CHECK_THROWS_WITH_AS(state.merge(clustered_bootstrap(1, {.replicates = 64, .seed = 9})),
                         "clustered_bootstrap::merge: seed 0 here, 9 there", std::invalid_argument);
    CHECK_THROWS_AS(state.merge(clustered_bootstrap(2, {.replicates = 64})), std::invalid_argument);
    CHECK_THROWS_AS(state.merge(clustered_bootstrap(1, {.replicates = 65})), std::invalid_argument);
    CHECK_THROWS_AS(state.merge(clustered_bootstrap(1, {.replicates = 64, .unit = 1.0})), std::invalid_argument);
}

TEST_CASE("bootstrap: bytes") {
    const table t = random_table(30, 1, 12);
    const clustered_bootstrap state = absorbed(t, {.replicates = 50, .seed = 3});
    CHECK_LAW(testing::check_bytes(state, [&](const clustered_bootstrap& s) {
        clustered_bootstrap more = s;
        more.absorb(serial, std::vector<int>{1, 2}, std::vector<double>{0.5, 1.0});
        more.merge(s);
        for (std::size_t m = 0; m < more.metrics(); ++m) {
            const bootstrap_estimate e = more.finish(m);
            if (!(e.lower <= e.upper) && e.replicates > 1) return false;
        }
        return true;
    }));
    const auto again = from_bytes<clustered_bootstrap>(to_bytes(state));
    CHECK(again.finish().lower == state.finish().lower);
    CHECK(again.seen(0) == state.seen(0));
}

}  // namespace
