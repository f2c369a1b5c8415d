// Mid-rank percentiles in groups, distributions of groups, buckets of durations, RAD labels.
#include "reckon/percentile/ecdf_midrank.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/core/group_by.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/percentile/duration_buckets.hpp"
#include "reckon/percentile/grouped_ecdf.hpp"
#include "reckon/percentile/rad_labels.hpp"
#include "support/fixture.hpp"
#include "support/golden.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr float inf = std::numeric_limits<float>::infinity();
const float nan_value = std::numeric_limits<float>::quiet_NaN();

// The definition, pair by pair.
template <class T>
std::vector<double> reference(const std::vector<T>& y, const std::vector<std::uint32_t>& offsets) {
    std::vector<double> out(y.size());
    for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
        for (std::size_t i = offsets[s]; i < offsets[s + 1]; ++i) {
            double twice = 0.0, n = 0.0;
            for (std::size_t j = offsets[s]; j < offsets[s + 1]; ++j) {
                twice += (y[j] < y[i] ? 1.0 : 0.0) + (y[j] <= y[i] ? 1.0 : 0.0);
                n += y[j] == y[j] ? 1.0 : 0.0;
            }
            out[i] = y[i] == y[i] ? twice / (2.0 * n) : std::nan("");
        }
    }
    return out;
}

// Values of several kinds: continuous, ties with many zeros, negative, one value, and all with some NaN and infinities.
template <class T>
std::vector<T> column(std::size_t n, int kind, std::uint64_t seed) {
    const random_stream rng(seed, static_cast<std::uint64_t>(kind));
    std::vector<T> y(n);
    for (std::size_t i = 0; i < n; ++i) {
        const double z = rng.normal(2 * i), u = rng.uniform(2 * i + 1);
        y[i] = static_cast<T>(kind == 0   ? std::exp(2.0 * z)
                              : kind == 1 ? (u < 0.3 ? -0.0 : std::floor(3.0 * u))
                              : kind == 2 ? z
                                          : 7.0);
        if (kind == 1 && u > 0.25 && u < 0.3) y[i] = T(0);
        if (kind == 2 && u < 0.05) y[i] = std::numeric_limits<T>::quiet_NaN();
        if (kind == 2 && u > 0.97) y[i] = std::numeric_limits<T>::infinity() * (u > 0.98 ? T(1) : T(-1));
    }
    return y;
}

std::vector<std::uint32_t> offsets_of(const std::vector<std::size_t>& sizes) {
    std::vector<std::uint32_t> offsets{0};
    for (const std::size_t n : sizes) offsets.push_back(offsets.back() + static_cast<std::uint32_t>(n));
    return offsets;
}

TEST_CASE("ecdf_midrank: worked example") {
    // Ranks 1.5 1.5 3 of three; a group of one; nothing; an equal pair.
    const std::vector<float> y{2.0f, 2.0f, 9.0f, 5.0f, -1.0f, -1.0f};
    const std::vector<std::uint32_t> offsets{0, 3, 4, 4, 6};
    std::vector<double> p(6);
    CHECK(ecdf_midrank(serial, y, offsets, p) == counts{6, 0});
    CHECK(p == std::vector<double>{1.0 / 3, 1.0 / 3, 5.0 / 6, 0.5, 0.5, 0.5});
}

TEST_CASE_TEMPLATE("ecdf_midrank: against every pair", T, float, double) {
    const std::vector<std::size_t> sizes{0, 1, 2, 7, 8, 9, 16, 17, 33, 127, 128, 129, 0, 300, 1500};
    const auto offsets = offsets_of(sizes);
    for (int kind = 0; kind < 4; ++kind) {
        CAPTURE(kind);
        const auto y = column<T>(offsets.back(), kind, 3);
        const auto want = reference(y, offsets);
        std::vector<double> p(y.size());
        std::vector<float> narrow(y.size());
        const counts seen = ecdf_midrank(serial, y, offsets, p);
        CHECK_ALL_NEAR(p, want, exact());
        CHECK(seen.rejected ==
              static_cast<std::uint64_t>(std::count_if(y.begin(), y.end(), [](T x) { return x != x; })));
        CHECK(seen.accepted + seen.rejected == y.size());
        ecdf_midrank(serial, y, offsets, narrow);
        for (std::size_t i = 0; i < y.size(); ++i) {
            const bool same = std::isnan(want[i]) ? std::isnan(narrow[i]) : narrow[i] == static_cast<float>(want[i]);
            if (!same) FAIL_CHECK("float percentile " << i << " is not the nearest");
        }
    }
}

TEST_CASE("ecdf_midrank: pandas and scipy") {
    const fixture data("rad.txt");
    std::vector<double> p(data["groups.values"].size());
    ecdf_midrank(serial, data.as<float>("groups.values"), data.as<std::uint32_t>("groups.offsets"), p);
    CHECK_ALL_NEAR(p, data["groups.percentiles"], ulp(2));
    ecdf_midrank(serial, data["groups.values"], data.as<std::uint32_t>("groups.offsets"), p);
    CHECK_ALL_NEAR(p, data["groups.percentiles"], ulp(2));
}

TEST_CASE("ecdf_midrank: mean 1/2, variance by the shares of ties") {
    for (const std::size_t n : {1u, 2u, 5u, 100u, 1000u, 20000u}) {
        for (int kind = 0; kind < 2; ++kind) {
            const auto y = column<float>(n, kind, n);
            std::vector<double> p(n);
            ecdf_midrank(serial, y, offsets_of({n}), p);
            std::map<float, double> ties;
            for (const float x : y) ties[x] += 1.0 / static_cast<double>(n);
            double sum = 0.0, squares = 0.0, cubes = 0.0;
            for (const double x : p) sum += x;
            for (const double x : p) squares += (x - 0.5) * (x - 0.5);
            for (const auto& [value, share] : ties) cubes += share * share * share;
            CAPTURE(n);
            CAPTURE(kind);
            const auto rows = static_cast<double>(n);
            CHECK_NEAR(sum / rows, 0.5, reduction(n));
            CHECK_NEAR(squares / rows, (1.0 - cubes) / 12.0, reduction(n).of(1.0));
            if (ties.size() == n) CHECK_NEAR(squares / rows, (1.0 - 1.0 / (rows * rows)) / 12.0, reduction(n).of(1.0));
        }
    }
}

TEST_CASE("ecdf_midrank: invariant to maps that keep the order, one in each group") {
    const auto offsets = offsets_of({40, 200, 3, 1000});
    const auto y = column<float>(offsets.back(), 1, 8);
    std::vector<float> mapped(y.size()), p(y.size()), q(y.size());
    for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
        for (std::size_t i = offsets[s]; i < offsets[s + 1]; ++i) {
            mapped[i] = s == 0 ? y[i] * 1e6f : s == 1 ? std::exp(y[i]) : s == 2 ? y[i] - 3.0f : y[i] * y[i] * y[i];
        }
    }
    ecdf_midrank(serial, y, offsets, p);
    ecdf_midrank(serial, mapped, offsets, q);
    CHECK(p == q);
}

TEST_CASE("ecdf_midrank: the order by expected percentile is the best one for Spearman") {
    // Case 11: items with random feedback. Of all orders of the items the one by their mean percentile pi has the largest
    // expected sum of (place times percentile), which is Spearman's correlation up to a monotone map.
    const random_stream rng(11);
    for (std::uint64_t trial = 0; trial < 6; ++trial) {
        constexpr std::size_t items = 6, draws = 40;
        // One group per draw of everybody's feedback, in levels, so that ties occur.
        std::vector<float> y(items * draws);
        std::vector<std::uint32_t> offsets{0};
        for (std::size_t d = 0; d < draws; ++d) {
            for (std::size_t i = 0; i < items; ++i) {
                const auto at = trial * 1000 + d * items + i;
                y[d * items + i] = static_cast<float>(std::floor(2.0 * rng.normal(at) + 0.4 * static_cast<double>(i)));
            }
            offsets.push_back(offsets.back() + items);
        }
        std::vector<double> p(y.size()), pi(items);
        ecdf_midrank(serial, y, offsets, p);
        for (std::size_t k = 0; k < p.size(); ++k) pi[k % items] += p[k];
        std::vector<std::size_t> order(items), by_pi(items);
        std::iota(order.begin(), order.end(), std::size_t{0});
        by_pi = order;
        std::sort(by_pi.begin(), by_pi.end(), [&](std::size_t a, std::size_t b) { return pi[a] < pi[b]; });
        const auto expected = [&](const std::vector<std::size_t>& o) {
            double sum = 0.0;
            for (std::size_t place = 0; place < items; ++place) {
                for (std::size_t d = 0; d < draws; ++d) {
                    sum += (static_cast<double>(place) - 2.5) * (p[d * items + o[place]] - 0.5);
                }
            }
            return sum;
        };
        double best = -1e9;
        do best = std::max(best, expected(order));
        while (std::next_permutation(order.begin(), order.end()));
        CHECK_NEAR(expected(by_pi), best, reduction(items * draws).of(static_cast<double>(items * draws)));
    }
}

TEST_CASE("ecdf_midrank: threads and bad input") {
    std::vector<std::size_t> sizes(3000);
    const random_stream rng(5);
    for (std::size_t s = 0; s < sizes.size(); ++s) sizes[s] = rng.below(s, 60) + (s % 100 == 0 ? 500 : 0);
    const auto offsets = offsets_of(sizes);
    const auto y = column<float>(offsets.back(), 2, 6);
    exec::pool pool(3);
    CHECK_LAW(testing::check_map_policy<float>(y.size(), exec::host{pool}, [&](const auto& where, auto out) {
        CHECK(ecdf_midrank(where, y, offsets, out).accepted + 0 < y.size());
    }));
    std::vector<float> p(2);
    const std::vector<float> two{1.0f, nan_value};
    CHECK(ecdf_midrank(serial, two, offsets_of({2}), p) == counts{1, 1});
    CHECK(p[0] == 0.5f);
    CHECK(std::isnan(p[1]));
    CHECK_THROWS_WITH_AS(ecdf_midrank(serial, two, offsets_of({3}), p),
                         "ecdf_midrank: 2 rows but offsets that end with 3", std::invalid_argument);
    std::vector<float> wide(3);
    CHECK_THROWS_WITH_AS(ecdf_midrank(serial, two, offsets_of({2}), wide),
                         "ecdf_midrank: 2 values but room for 3 percentiles", std::invalid_argument);
    std::vector<float> nothing;
    CHECK(ecdf_midrank(serial, nothing, std::vector<std::uint32_t>{}, nothing) == counts{});
    CHECK(ecdf_midrank(serial, nothing, offsets_of({0, 0}), nothing) == counts{});
}

TEST_CASE("grouped_ecdf: its own values have their mid-ranks, others their place") {
    const auto offsets = offsets_of({5, 0, 200, 1});
    const auto y = column<float>(offsets.back(), 1, 4);
    const auto ecdf = grouped_ecdf::fit(serial, y, offsets);
    CHECK(ecdf.groups() == 4);
    CHECK(ecdf.seen() == counts{206, 0});
    std::vector<std::uint32_t> group;
    for (std::uint32_t g = 0; g < 4; ++g) group.insert(group.end(), offsets[g + 1] - offsets[g], g);
    std::vector<double> p(y.size()), q(y.size());
    ecdf_midrank(serial, y, offsets, p);
    ecdf.apply(serial, group, y, q);
    CHECK(p == q);
    const auto small_group =
        grouped_ecdf::fit(serial, std::vector<float>{3.0f, nan_value, 1.0f, 3.0f}, offsets_of({4}));
    CHECK(small_group.seen() == counts{3, 1});
    CHECK(small_group.percentile(0, 0.0f) == 0.0);
    CHECK(small_group.percentile(0, 1.0f) == 1.0 / 6);
    CHECK(small_group.percentile(0, 2.0f) == 1.0 / 3);
    CHECK(small_group.percentile(0, 3.0f) == 2.0 / 3);
    CHECK(small_group.percentile(0, 4.0f) == 1.0);
    CHECK(small_group.percentile(0, inf) == 1.0);
    for (const double bad : {small_group.percentile(0, nan_value), small_group.percentile(1, 2.0f),
                             ecdf.percentile(1, 2.0f), ecdf.quantile(1, 0.5), ecdf.quantile(0, 1.5),
                             ecdf.quantile(0, std::nan("")), grouped_ecdf().percentile(0, 1.0f)}) {
        CHECK(std::isnan(bad));
    }
}

TEST_CASE("grouped_ecdf: numpy.quantile, Hazen's rule") {
    const fixture data("rad.txt");
    for (const std::string at : {"hazen.1.", "hazen.2.", "hazen.3.", "hazen.5."}) {
        const auto values = data.as<float>(at + "values");
        const auto ecdf = grouped_ecdf::fit(serial, values, offsets_of({values.size()}));
        const auto& levels = data["hazen.p"];
        std::vector<double> q(levels.size());
        ecdf.invert(serial, std::vector<std::uint8_t>(levels.size(), 0), levels, q);
        CHECK_ALL_NEAR(q, data[at + "quantiles"], reduction(4).of(50.0));
    }
    // Back and forth where no value occurs twice.
    const auto y = random_normal<float>(50);
    const auto ecdf = grouped_ecdf::fit(serial, y, offsets_of({50}));
    for (const float x : y) CHECK_NEAR(ecdf.quantile(0, ecdf.percentile(0, x)), x, reduction(4).of(3.0));
    const auto open = grouped_ecdf::fit(serial, std::vector<float>{-inf, 0.0f, inf}, offsets_of({3}));
    CHECK(open.quantile(0, 0.3) == -static_cast<double>(inf));
    CHECK(open.quantile(0, 0.4) == 0.0);
    CHECK(open.quantile(0, 0.7) == static_cast<double>(inf));
}

// Values that belong to groups, cut anywhere.
struct grouped_batch {
    std::vector<float> values;
    std::vector<std::uint32_t> groups;

    std::size_t size() const { return values.size(); }
    grouped_batch slice(std::size_t first, std::size_t count) const {
        const auto at = static_cast<std::ptrdiff_t>(first), end = static_cast<std::ptrdiff_t>(first + count);
        return {{values.begin() + at, values.begin() + end}, {groups.begin() + at, groups.begin() + end}};
    }
};
struct ecdf_fold {
    grouped_ecdf state;
    void absorb(const grouped_batch& batch) {
        std::vector<float> sorted;
        std::vector<std::size_t> sizes(5);
        for (std::uint32_t g = 0; g < 5; ++g) {
            for (std::size_t i = 0; i < batch.size(); ++i) {
                if (batch.groups[i] != g) continue;
                sorted.push_back(batch.values[i]);
                ++sizes[g];
            }
        }
        state.merge(grouped_ecdf::fit(serial, sorted, offsets_of(sizes)));
    }
    void merge(const ecdf_fold& other) { state.merge(other.state); }
};

TEST_CASE("grouped_ecdf: merge law, threads, bytes") {
    const grouped_batch batch{column<float>(700, 2, 9), random_integers<std::uint32_t>(700, 5, 10)};
    CHECK_LAW(testing::check_merge(ecdf_fold{}, batch, [](const ecdf_fold& a, const ecdf_fold& b) {
        // No rows at all leave five groups without values.
        return (a.state.values() == b.state.values() && a.state.seen() == b.state.seen());
    }));
    const auto offsets = offsets_of(std::vector<std::size_t>(500, 100));
    const auto y = column<float>(50000, 0, 2);
    exec::pool pool(3);
    CHECK(grouped_ecdf::fit(exec::host{pool}, y, offsets).values() == grouped_ecdf::fit(serial, y, offsets).values());
    auto two = grouped_ecdf::fit(serial, std::vector<float>{1.0f}, offsets_of({1, 0}));
    CHECK_THROWS_WITH_AS(two.merge(grouped_ecdf::fit(serial, std::vector<float>{1.0f}, offsets_of({1}))),
                         "grouped_ecdf: cannot merge 1 groups into 2", std::invalid_argument);
    const auto three =
        grouped_ecdf::fit(serial, std::vector<float>{3, -2, inf, 3, nan_value, 0.5f}, offsets_of({3, 0, 3}));
    CHECK_LAW(testing::check_bytes(three, [](const grouped_ecdf& e) {
        for (std::size_t g = 0; g < e.groups(); ++g) {
            const double p = e.percentile(g, 1.0f);
            if (!(e.size(g) == 0 || (p >= 0.0 && p <= 1.0))) return false;
        }
        return true;
    }));
    std::vector<double> out(2);
    CHECK_THROWS_WITH_AS(three.apply(serial, std::vector<std::uint32_t>{0}, std::vector<float>{1, 2}, out),
                         "grouped_ecdf: 1 and 2 rows and room for 2", std::invalid_argument);
}

TEST_CASE("duration_buckets: equal mass, and what ties do") {
    std::vector<double> d(100);
    std::iota(d.begin(), d.end(), 0.0);
    const auto even = duration_buckets::fit(d, 4);
    CHECK(even.cuts() == std::vector<double>{25.0, 50.0, 75.0});
    CHECK(even.index(24.9) == 0);
    CHECK(even.index(25.0) == 1);
    CHECK(even.index(1e9) == 3);
    CHECK(even.index(-5.0) == 0);
    CHECK(even.index(std::nan("")) == duration_buckets::no_bucket);
    // 40 photo posts of duration 0: a bucket of their own, and 10, 25 and 25 of the rest.
    for (std::size_t i = 0; i < 40; ++i) d[i] = 0.0;
    const auto photos = duration_buckets::fit(d, 4);
    std::vector<int> mass(photos.size());
    for (const double x : d) ++mass[photos.index(x)];
    CHECK(mass == std::vector<int>{40, 10, 25, 25});
    CHECK(photos.index(0.5) == 1);  // a short video that no row had is no photo
    // 80: one cut is left; all: none.
    for (std::size_t i = 0; i < 80; ++i) d[i] = 0.0;
    CHECK(duration_buckets::fit(d, 4).size() == 2);
    CHECK(duration_buckets::fit(std::vector<int>(50, 3), 4).size() == 1);
    CHECK(duration_buckets::fit(std::vector<float>{}, 4).size() == 1);
    const auto some = duration_buckets::fit(std::vector<float>{1.0f, nan_value, 2.0f}, 2);
    CHECK(some.seen() == counts{2, 1});
    CHECK(some.cuts() == std::vector<double>{2.0});
    CHECK_THROWS_WITH_AS(duration_buckets::fit(d, 0), "duration_buckets: buckets must be in [1, 65535], got 0",
                         std::invalid_argument);
    CHECK_THROWS_AS(duration_buckets::fit(d, 65536), std::invalid_argument);
    CHECK_LAW(testing::check_bytes(photos, [](const duration_buckets& b) { return b.index(3.0) < b.size(); }));
}

struct rad_rows {
    std::vector<std::uint64_t> users;
    std::vector<std::uint32_t> items;
    std::vector<double> durations;
    std::vector<float> y;
};
rad_rows fixture_rows() {
    const fixture data("rad.txt");
    return {data.as<std::uint64_t>("rows.user"), data.as<std::uint32_t>("rows.item"), data["rows.duration"],
            data.as<float>("rows.y")};
}

TEST_CASE("rad_labels: pandas and scipy") {
    const fixture data("rad.txt");
    const rad_rows rows = fixture_rows();
    const auto buckets = duration_buckets::fit(rows.durations, 4);
    for (std::size_t i = 0; i < rows.y.size(); ++i) {
        CHECK(buckets.index(rows.durations[i]) == static_cast<std::uint32_t>(data["rows.bucket"][i]));
    }
    std::vector<float> user(600), item(600), both(600);
    const counts seen = rad_labels(serial, rows.users, rows.items, rows.durations, rows.y,
                                   {.user = view(user), .item = view(item), .both = view(both)});
    CHECK(seen == counts{600, 0});
    CHECK_ALL_NEAR(user, data["rad.user"], ulp(1));
    CHECK_ALL_NEAR(item, data["rad.item"], ulp(1));
    // The sides are float: what that costs grows with the square of the normal quantile, at most 3 here.
    CHECK_ALL_NEAR(both, data["rad.both"], ulp(16));
}

TEST_CASE("rad_labels: parts alone, no durations, threads, NaN, bad input") {
    rad_rows rows = fixture_rows();
    std::vector<float> user(600), item(600), both(600), alone(600);
    rad_labels(serial, rows.users, rows.items, rows.durations, rows.y,
               {.user = view(user), .item = view(item), .both = view(both)});
    rad_labels(serial, rows.users, none{}, rows.durations, rows.y, {.user = view(alone)});
    CHECK(alone == user);
    rad_labels(serial, none{}, rows.items, none{}, rows.y, {.item = view(alone)});
    CHECK(alone == item);
    rad_labels(serial, rows.users, rows.items, rows.durations, rows.y, {.both = view(alone)});
    CHECK(alone == both);
    // Without durations, the mid-ranks of the user.
    const auto groups = group_by(rows.users);
    std::vector<float> gathered(600), plain(600);
    ecdf_midrank(serial, groups.gather(input(rows.y)), groups.offsets, gathered);
    for (std::size_t k = 0; k < 600; ++k) plain[groups.row(k)] = gathered[k];
    rad_labels(serial, rows.users, none{}, none{}, rows.y, {.user = view(alone)});
    CHECK(alone == plain);
    exec::pool pool(3);
    rad_rows many;
    const std::size_t n = 60000;
    many.users = random_integers<std::uint64_t>(n, 300, 1);
    many.items = random_integers<std::uint32_t>(n, 2000, 2);
    many.durations = random_uniform<double>(n, -1.0, 9.0, 3);
    many.y = column<float>(n, 2, 4);
    CHECK_LAW(testing::check_map_policy<float>(n, exec::host{pool}, [&](const auto& where, vector_view<float> out) {
        rad_labels(where, many.users, many.items, many.durations, many.y, {.both = out});
    }));

    rows.y[3] = nan_value;
    rows.durations[5] = std::nan("");
    const counts seen = rad_labels(serial, rows.users, rows.items, rows.durations, rows.y,
                                   {.user = view(user), .item = view(item), .both = view(both)});
    CHECK(seen == counts{598, 2});
    CHECK(std::isnan(user[3]));
    CHECK(std::isnan(item[3]));
    CHECK(std::isnan(both[3]));
    CHECK(std::isnan(user[5]));
    CHECK(item[5] == item[5]);
    CHECK(std::isnan(both[5]));
    CHECK_THROWS_WITH_AS(rad_labels(serial, rows.users, none{}, none{}, rows.y, {.item = view(item)}),
                         "rad_labels: labels of items need the items", std::invalid_argument);
    CHECK_THROWS_WITH_AS(rad_labels(serial, none{}, rows.items, none{}, rows.y, {.both = view(item)}),
                         "rad_labels: labels of users need the users", std::invalid_argument);
    CHECK_THROWS_WITH_AS(rad_labels(serial, std::vector<int>{1}, none{}, none{}, rows.y, {.user = view(item)}),
                         "rad_labels: 600 rows of feedback but 1 users", std::invalid_argument);
    std::vector<float> wide(601);
    CHECK_THROWS_WITH_AS(rad_labels(serial, rows.users, none{}, none{}, rows.y, {.user = view(wide)}),
                         "rad_labels: 600 rows of feedback but room for 601 labels", std::invalid_argument);
    CHECK_THROWS_AS(rad_labels(serial, rows.users, none{}, none{}, rows.y, {.user = view(user)}, {.support = -1.0}),
                    std::invalid_argument);
    std::vector<float> nothing;
    CHECK(rad_labels(serial, std::vector<int>{}, std::vector<int>{}, std::vector<float>{}, nothing, {}) == counts{});
}

TEST_CASE("rad_labels: scratch goes with the rows, not with users times buckets") {
    // Every row has a bucket of its own: 4000 users times 8000 buckets would be 128 MB of offsets.
    const std::size_t n = 8000;
    const auto users = random_integers<std::uint64_t>(n, n / 2, 1);
    std::vector<float> durations(n), label(n);
    for (std::size_t i = 0; i < n; ++i) durations[i] = static_cast<float>((i * 4001) % n);
    const auto y = column<float>(n, 0, 3);
    const auto used = testing::count_allocations(
        [&] { rad_labels(serial, users, none{}, durations, y, {.user = view(label)}, {.buckets = n}); });
    CHECK(used.peak_bytes <= (50 + 12) * n);
    for (const float p : label) CHECK(p == 0.5f);
    // Buckets as a column of durations, cut by hand: the same labels as of groups of (user, bucket).
    const std::size_t parts = 50;
    const auto cut = duration_buckets::fit(durations, parts);
    std::vector<std::uint64_t> both(n);
    for (std::size_t i = 0; i < n; ++i) both[i] = users[i] * parts + cut.index(static_cast<double>(durations[i]));
    std::vector<float> want(n);
    rad_labels(serial, both, none{}, none{}, y, {.user = view(want)});
    rad_labels(serial, users, none{}, durations, y, {.user = view(label)}, {.buckets = parts});
    CHECK(label == want);
}

TEST_CASE("rad_labels: as on its page") {
    const std::vector<std::uint64_t> users{7, 7, 7, 9, 9, 9};
    const std::vector<std::uint32_t> items{1, 2, 3, 1, 2, 3};
    const std::vector<float> durations{10.0f, 10.0f, 10.0f, 10.0f, 10.0f, 10.0f};
    const std::vector<float> seconds{1.0f, 2.0f, 8.0f, 100.0f, 300.0f, 300.0f};
    // snippet: rad
    std::vector<float> by_user(seconds.size()), by_both(seconds.size());
    reckon::rad_labels(reckon::exec::serial, users, items, durations, seconds,
                       {.user = reckon::view(by_user), .both = reckon::view(by_both)});
    // by_user: 1/6, 1/2, 5/6 for the one who watches little, 1/6, 2/3, 2/3 for the one who watches much
    // end snippet
    const std::vector<double> want{1.0 / 6, 0.5, 5.0 / 6, 1.0 / 6, 2.0 / 3, 2.0 / 3};
    CHECK_ALL_NEAR(by_user, want, ulp(1));
    CHECK(by_both[1] < by_both[4]);
}

// Var(E[x | group]) from sums per group.
double variance_between(const std::vector<std::uint32_t>& group, const std::vector<float>& x, std::size_t groups) {
    std::vector<moments> each(groups);
    moments all;
    for (std::size_t i = 0; i < x.size(); ++i) {
        each[group[i]].absorb(static_cast<double>(x[i]));
        all.absorb(static_cast<double>(x[i]));
    }
    double sum = 0.0;
    for (const moments& m : each) {
        if (m.weight() > 0.0) sum += m.weight() * (m.mean() - all.mean()) * (m.mean() - all.mean());
    }
    return sum / all.weight();
}

TEST_CASE("rad_labels: an id removes at least what any function of it removes") {
    // Proposition 1: Var(E[S | g(V)]) <= Var(E[S | V]) for an id of 12 levels and a function of it with 4; and labels
    // relative to either leave no variance between its groups.
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        const std::size_t n = 20 + 37 * seed;
        const random_stream rng(seed, 7);
        const auto id = random_integers<std::uint32_t>(n, 12, seed);
        std::vector<std::uint32_t> coarse(n);
        std::vector<float> y(n);
        for (std::size_t i = 0; i < n; ++i) {
            coarse[i] = static_cast<std::uint32_t>(rng.below(1000000 + id[i], 4));  // any map of the id
            y[i] = static_cast<float>(std::exp(rng.normal(i) + 0.5 * rng.normal(900000 + id[i])));
            if (seed % 3 == 0) y[i] = std::floor(y[i]);
        }
        CAPTURE(seed);
        const double fine_part = variance_between(id, y, 12), coarse_part = variance_between(coarse, y, 4);
        CHECK(coarse_part <= fine_part * (1.0 + 1e-12));
        std::vector<float> q(n), q_coarse(n);
        rad_labels(serial, none{}, id, none{}, y, {.item = view(q)});
        rad_labels(serial, none{}, coarse, none{}, y, {.item = view(q_coarse)});
        CHECK(variance_between(id, q, 12) < 1e-12);
        CHECK(variance_between(coarse, q_coarse, 4) < 1e-12);
        CHECK(variance_between(coarse, q, 4) < 1e-12);     // so does the id for its function
        CHECK(variance_between(id, q_coarse, 12) > 1e-6);  // but not the function for the id
    }
}

template <class Visit>
void for_each_object(Visit&& visit) {
    visit("grouped_ecdf",
          grouped_ecdf::fit(serial, std::vector<float>{3, -2, inf, 3, nan_value, 0.5f}, offsets_of({3, 0, 3})));
    visit("duration_buckets",
          duration_buckets::fit(std::vector<double>{0, 0, 0, 1.5, 2, 2.5, 9, 30, 31, std::nan("")}, 4));
}
std::vector<double> answers(const grouped_ecdf& e) {
    std::vector<double> said = both(e.seen());
    for (std::size_t g = 0; g < e.groups(); ++g)
        append(said, {e.percentile(g, 1.0f), e.percentile(g, 3.0f), e.quantile(g, 0.5)});
    return said;
}
std::vector<double> answers(const duration_buckets& b) {
    std::vector<double> said = both(b.seen());
    append(said, b.cuts());
    return said;
}
TEST_CASE("golden: rank states are read from every version") {
    for_each_object([](const char* name, const auto& made) {
        check_golden(name, made, [](const auto& object) { return answers(object); });
    });
}
TEST_CASE("golden: write rank states" * doctest::skip()) {
    for_each_object([](const char* name, const auto& made) { write_golden(name, made); });
}

}  // namespace
