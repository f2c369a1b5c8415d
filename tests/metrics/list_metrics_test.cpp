// Lists that users were shown: top-k, value and diversity, watch time.
#include "reckon/metrics/list_metrics.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/metrics/top_k.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

// std::stable_sort of each request, NaN left out.
template <class T>
std::vector<std::uint32_t> reference_top(const T* scores, const std::vector<std::uint32_t>& offsets, std::size_t k) {
    std::vector<std::uint32_t> out;
    for (std::size_t r = 0; r + 1 < offsets.size(); ++r) {
        std::vector<std::uint32_t> rows;
        for (std::uint32_t i = offsets[r]; i < offsets[r + 1]; ++i) {
            if (scores[i] == scores[i]) rows.push_back(i);
        }
        std::stable_sort(rows.begin(), rows.end(), [&](auto a, auto b) { return scores[a] > scores[b]; });
        rows.resize((std::max)(rows.size(), k), no_row);
        out.insert(out.end(), rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(k));
    }
    return out;
}

struct shown_columns {
    std::vector<std::int32_t> users, categories;
    std::vector<double> values;
};
// Values are dyadic fractions, so that sums are exact; some rows are bad.
shown_columns random_shown(std::size_t n) {
    shown_columns data{random_integers<std::int32_t>(n, 22, 1), random_integers<std::int32_t>(n, 6, 2), {}};
    for (const auto v : random_integers<int>(n, 200, 3)) data.values.push_back(v == 0 ? unknown : (v - 100) * 0.25);
    for (std::size_t i = 0; i < n; i += 29) data.users[i] = -1;
    return data;
}

struct watched_columns {
    std::vector<std::int32_t> users, hours;
    std::vector<double> seconds;
};
watched_columns random_watched(std::size_t n) {
    watched_columns data{random_integers<std::int32_t>(n, 11, 4), random_integers<std::int32_t>(n, 170, 5), {}};
    for (const auto v : random_integers<int>(n, 400, 6)) data.seconds.push_back(v == 0 ? -1.0 : v * 0.25);
    return data;
}

bool same_lists(const list_metrics& a, const list_metrics& b) {
    return to_bytes(a) == to_bytes(b);
}

}  // namespace

TEST_CASE("top_k: worked example") {
    const std::vector<double> scores{0.3, 0.9, 0.3, unknown, 5.0, -inf, 0.1, 0.1, 0.1};
    const std::vector<std::uint32_t> offsets{0, 4, 6, 6, 9};
    std::vector<std::uint32_t> rows(4 * 3);
    top_k(serial, scores, offsets, view(rows, 4, 3));
    CHECK(rows == std::vector<std::uint32_t>{1, 0, 2, 4, 5, no_row, no_row, no_row, no_row, 6, 7, 8});
}

TEST_CASE_TEMPLATE("top_k: equals a stable sort of each request", T, float, double) {
    constexpr std::size_t lanes = simd::pack<T>::lanes;
    exec::pool pool(3);
    for (const std::size_t n : sweep_lengths(lanes, false)) {
        for (const std::size_t levels : {std::size_t{3}, std::size_t{1000}}) {
            // Requests of n, 2 n, ... rows with many ties, ascending, descending and with NaN.
            std::vector<std::uint32_t> offsets{0};
            for (std::size_t r = 1; r <= 70; ++r)
                offsets.push_back(offsets.back() + static_cast<std::uint32_t>(r % 4 * n));
            std::vector<T> values = random_integers<T>(offsets.back(), levels, n + levels);
            for (std::size_t i = 0; i < values.size(); i += 13) values[i] = std::numeric_limits<T>::quiet_NaN();
            for (std::size_t r = 0; r < 2 && r < offsets.size() - 1; ++r) {
                std::iota(values.begin() + offsets[r], values.begin() + offsets[r + 1], T(0));
                if (r == 1) std::reverse(values.begin() + offsets[r], values.begin() + offsets[r + 1]);
            }
            const placed<T> scores(values, 1);
            const vector_view<const T> column(scores.data(), values.size());
            for (const std::size_t k : {std::size_t{1}, lanes, std::size_t{64}, std::size_t{65}}) {
                CAPTURE(n);
                CAPTURE(k);
                std::vector<std::uint32_t> got(70 * k), threaded(70 * k);
                top_k(serial, column, offsets, view(got, 70, k));
                CHECK(got == reference_top(scores.data(), offsets, k));
                top_k(exec::host{pool}, column, offsets, view(threaded, 70, k));
                CHECK(got == threaded);
            }
        }
    }
}

TEST_CASE("top_k: bad input") {
    const std::vector<float> scores(5, 1.0F);
    std::vector<std::uint32_t> rows(4);
    const auto call = [&](std::vector<std::uint32_t> offsets) { top_k(serial, scores, offsets, view(rows, 2, 2)); };
    CHECK_THROWS_WITH_AS(call({0, 3, 6}), "top_k: 5 rows but offsets that end with 6", std::invalid_argument);
    CHECK_THROWS_WITH_AS(call({1, 3, 5}), "top_k: offsets must begin with 0, got 1", std::invalid_argument);
    CHECK_THROWS_WITH_AS(call({0, 7, 5}), "top_k: offsets must not decrease, got 5 after 7", std::invalid_argument);
    CHECK_THROWS_WITH_AS(call({0, 5}), "top_k: 1 requests but room for 2", std::invalid_argument);
    CHECK_THROWS_WITH_AS(call({}), "top_k: 5 rows but no offsets", std::invalid_argument);
    top_k(serial, std::vector<float>{}, std::vector<std::uint32_t>{}, matrix_view<std::uint32_t>(nullptr, 0, 3));
}

TEST_CASE("list_metrics: worked example") {
    const std::vector<std::int32_t> users{0, 0, 0, 0, 1}, categories{2, 2, 1, 0, 1};
    const std::vector<float> values{1.0F, -1.0F, 2.0F, 0.0F, 4.0F};
    list_metrics lists(3, 4);
    lists.absorb(make_shown("test", users, categories, values));
    const auto one = lists.user(0);
    CHECK(one.items == 4.0);
    CHECK(one.mean_value == 0.5);
    CHECK(one.bad_rate == 0.25);
    CHECK(one.coverage == 3.0);
    CHECK(one.herfindahl == 0.375);
    CHECK(one.top_share == 0.5);
    CHECK_NEAR(one.entropy, 1.5 * std::log(2.0), ulp(4));
    const auto mean = lists.finish();
    CHECK(mean.items == 2.5);
    CHECK(mean.mean_value == 2.25);
    CHECK(mean.coverage == 2.0);
    CHECK(lists.shown(0, 2) == 2);
    CHECK(lists.user(2).items == 0.0);
    CHECK(std::isnan(lists.user(2).entropy));
    CHECK(std::isnan(lists.finish([](std::size_t u) { return u == 2; }).mean_value));
}

TEST_CASE("list_metrics: equals the oracles") {
    const fixture data("lists.txt");
    const auto users = data.as<std::int32_t>("lists.user"), categories = data.as<std::int32_t>("lists.category");
    list_metrics lists(40, 7, 0.2);
    lists.absorb(make_shown("test", users, categories, data["lists.values"]));
    CHECK(lists.seen() == counts{300, 0});
    const tolerance close = ulp(16);
    for (std::size_t u = 0; u < 37; ++u) {
        CAPTURE(u);
        const auto f = lists.user(u);
        CHECK(f.items == data["lists.items"][u]);
        CHECK(f.coverage == data["lists.coverage"][u]);
        CHECK_NEAR(f.mean_value, data["lists.value"][u], reduction(300).of(1.0));
        CHECK_NEAR(f.bad_rate, data["lists.bad"][u], close);
        CHECK_NEAR(f.entropy, data["lists.entropy"][u], close);
        CHECK_NEAR(f.herfindahl, data["lists.herfindahl"][u], close);
        CHECK_NEAR(f.top_share, data["lists.top"][u], close);
    }
    const auto mean = lists.finish();
    CHECK_NEAR(mean.items, data.value("lists.mean.items"), close);
    CHECK_NEAR(mean.mean_value, data.value("lists.mean.value"), reduction(300).of(1.0));
    CHECK_NEAR(mean.bad_rate, data.value("lists.mean.bad"), close);
    CHECK_NEAR(mean.coverage, data.value("lists.mean.coverage"), close);
    CHECK_NEAR(mean.entropy, data.value("lists.mean.entropy"), close);
    CHECK_NEAR(mean.herfindahl, data.value("lists.mean.herfindahl"), close);
    CHECK_NEAR(mean.top_share, data.value("lists.mean.top"), close);
}

TEST_CASE("list_metrics: merge law, threads, bad rows, bytes") {
    const auto data = random_shown(3000);
    const auto rows = make_shown("test", data.users, data.categories, data.values);
    const list_metrics identity(20, 5, 0.5);
    CHECK_LAW(testing::check_merge(identity, rows, same_lists));
    exec::pool pool(3);
    CHECK_LAW(testing::check_fold_policy(identity, rows, exec::host{pool}, same_lists));

    std::uint64_t bad = 0;
    for (std::size_t i = 0; i < 3000; ++i) {
        bad += data.users[i] < 0 || data.users[i] >= 20 || data.categories[i] >= 5 || std::isnan(data.values[i]);
    }
    list_metrics all = identity;
    all.absorb(rows);
    CHECK(bad > 100);
    CHECK(all.rejected() == bad);
    CHECK(all.seen().accepted == 3000 - bad);

    list_metrics small(3, 2, 0.5);
    small.absorb(rows.slice(0, 60));
    CHECK(same_lists(from_bytes<list_metrics>(to_bytes(small)), small));
    CHECK_LAW(testing::check_bytes(
        to_bytes(small), [](vector_view<const std::byte> bytes) { return from_bytes<list_metrics>(bytes); },
        [](const list_metrics& s) {
            const auto f = s.user(0);
            return s.users() >= 1 && (f.items == 0.0 || (f.bad_rate >= 0.0 && f.bad_rate <= 1.0 && f.coverage >= 1.0));
        }));

    CHECK_THROWS_AS(list_metrics(0, 3), std::invalid_argument);
    CHECK_THROWS_AS(list_metrics(std::size_t{1} << 20, 1000), std::invalid_argument);
    CHECK_THROWS_AS(list_metrics(2, 2, unknown), std::invalid_argument);
    CHECK_THROWS_AS(small.merge(list_metrics(3, 2, 0.0)), std::invalid_argument);
    CHECK_THROWS_WITH_AS(make_shown("test", data.users, std::vector<std::int32_t>(2), data.values),
                         "test: 3000 users but 2 categories", std::invalid_argument);
}

TEST_CASE("watch_metrics: worked example") {
    const std::vector<std::int32_t> users{0, 0, 0, 1}, hours{3, 3, 167, 0};
    const std::vector<double> seconds{10.0, 50.0, 40.0, 20.0};
    const auto thresholds = quality_thresholds(users, seconds, 3);
    CHECK(thresholds == std::vector<double>{40.0, 30.0, 30.0});
    watch_metrics watch(thresholds);
    watch.absorb(make_watched("test", users, hours, seconds));
    CHECK(watch.quality_ratio(0) == 0.9);
    CHECK(watch.quality_ratio(1) == 0.0);
    CHECK(std::isnan(watch.quality_ratio(2)));
    CHECK(watch.finish() == 0.75);
    CHECK(watch.active_hours(0) == 2);
    CHECK(watch.mean_active_hours() == 1.0);
}

TEST_CASE("watch_metrics: equals the oracles") {
    const fixture data("lists.txt");
    const auto users = data.as<std::int32_t>("watch.user"), hours = data.as<std::int32_t>("watch.hour");
    const auto& seconds = data["watch.seconds"];
    const auto thresholds = quality_thresholds(users, seconds, 12);
    CHECK_ALL_NEAR(thresholds, data["watch.threshold"], exact());
    watch_metrics watch(thresholds);
    watch.absorb(make_watched("test", users, hours, seconds));
    for (std::size_t u = 0; u < 12; ++u) {
        CHECK_NEAR(watch.quality_ratio(u), data["watch.vwr"][u], ulp(8));
        CHECK(watch.active_hours(u) == static_cast<int>(data["watch.hours"][u]));
    }
    CHECK_NEAR(watch.finish(), data.value("watch.all"), ulp(8));
}

TEST_CASE("watch_metrics: merge law, threads, bad rows, bytes") {
    const auto data = random_watched(3000);
    const auto rows = make_watched("test", data.users, data.hours, data.seconds);
    const watch_metrics identity(std::vector<double>(10, 31.0));
    const auto same = [](const watch_metrics& a, const watch_metrics& b) { return to_bytes(a) == to_bytes(b); };
    CHECK_LAW(testing::check_merge(identity, rows, same));
    exec::pool pool(3);
    CHECK_LAW(testing::check_fold_policy(identity, rows, exec::host{pool}, same));
    std::uint64_t bad = 0;
    for (std::size_t i = 0; i < 3000; ++i) bad += data.users[i] >= 10 || data.hours[i] >= 168 || data.seconds[i] < 0;
    watch_metrics all = identity;
    all.absorb(rows);
    CHECK(bad > 100);
    CHECK(all.rejected() == bad);

    watch_metrics small({20.0, 30.0});
    small.absorb(rows.slice(0, 40));
    CHECK(same(from_bytes<watch_metrics>(to_bytes(small)), small));
    CHECK_LAW(testing::check_bytes(
        to_bytes(small), [](vector_view<const std::byte> bytes) { return from_bytes<watch_metrics>(bytes); },
        [](const watch_metrics& s) {
            for (std::size_t u = 0; u < s.users(); ++u) {
                if (!(s.active_hours(u) <= 168 && s.seconds(u) >= 0.0)) return false;
            }
            return true;
        }));
    CHECK_THROWS_AS(watch_metrics({-1.0}), std::invalid_argument);
    CHECK_THROWS_AS(small.merge(identity), std::invalid_argument);
    CHECK_THROWS_AS(quality_thresholds(data.users, std::vector<double>(2), 3), std::invalid_argument);
    CHECK(quality_thresholds(data.users, data.seconds, 2, 5.0).size() == 2);
}
