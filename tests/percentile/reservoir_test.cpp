#include "reckon/percentile/reservoir.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>

#include <cstdio>
#endif

#include "reckon/exec/pool.hpp"
#include "reckon/percentile/reservoir_view.hpp"
#include "reservoir_events.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

// The key of an event, by the words of the documentation.
std::uint64_t split_mix(std::uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
std::uint64_t event_hash(std::uint64_t seed, std::uint64_t user, std::uint64_t event) {
    constexpr std::uint64_t step = 0x9e3779b97f4a7c15u;
    return split_mix(split_mix(split_mix(seed + step) + step * user) + step * event);
}

TEST_CASE("reservoir: worked example") {
    reservoir<> r({.capacity = 3, .seed = 5});
    CHECK(r.rows() == 0);
    CHECK(r.find(7) == no_history);
    const std::vector<std::uint64_t> users{7, 7, 900, 7, 7, 7}, events{1, 2, 1, 3, 4, 5};
    const std::vector<float> feedback{10.0f, 20.0f, 5.0f, 30.0f, nan_value, 50.0f};
    r.offer(serial, users, feedback, events);
    CHECK(r.rows() == 2);
    CHECK(r.seen() == counts{5, 1});
    CHECK(r.seen(7) == 4);
    CHECK(r.seen(8) == 0);
    CHECK(r.rejected() == 1);
    // The three smallest hashes of events 1, 2, 3, 5; event 4 had no feedback.
    std::vector<std::pair<std::uint64_t, float>> want{{event_hash(5, 7, 1), 10.0f},
                                                      {event_hash(5, 7, 2), 20.0f},
                                                      {event_hash(5, 7, 3), 30.0f},
                                                      {event_hash(5, 7, 5), 50.0f}};
    std::sort(want.begin(), want.end());
    std::vector<float> values{want[0].second, want[1].second, want[2].second};
    std::sort(values.begin(), values.end());
    CHECK(kept(r)[7] == values);
    CHECK(kept(r)[900] == std::vector<float>{5.0f});
    const std::uint32_t row = r.find(7);
    for (const std::uint64_t event : {1u, 2u, 3u, 4u, 5u}) {
        const std::uint32_t slot = r.slot_of(row, 7, event);
        const float value = 10.0f * static_cast<float>(event);
        const bool is_kept = event != 4 && std::find(values.begin(), values.end(), value) != values.end();
        CHECK((slot != no_history) == is_kept);
        if (is_kept) CHECK(r.row(row).values[slot] == value);
    }
    CHECK(sound(r));
}

TEST_CASE("reservoir: the example of the page") {
    const std::vector<std::uint64_t> users{41, 7, 41}, events{1, 1, 2};
    const std::vector<float> feedback{3.0f, 120.0f, 8.0f};
    // snippet: reservoir
    reckon::reservoir<> histories({.capacity = 64, .seed = 1});
    histories.offer(reckon::exec::serial, users, feedback, events);  // a batch, after its labels were computed
    const std::uint32_t r = histories.find(users[0]);
    const reckon::history_row row = histories.row(r);  // row.values[0 .. row.count)
    // end snippet
    CHECK(row.count == 2);
    CHECK(row.values[0] + row.values[1] == 11.0f);
}

TEST_CASE_TEMPLATE("reservoir: the smallest keys, at every capacity", S, sampling::bottom_k, sampling::bottom_k_wide) {
    const auto in = random_events(6000, 40, 300, 3);
    for (const std::size_t capacity : {1u, 2u, 15u, 16u, 17u, 64u, 65u, 100u, 400u}) {
        reservoir<S> r({.capacity = capacity, .seed = 11, .predictions = true});
        offer(r, in);
        std::map<std::uint64_t, std::map<std::uint64_t, float>> reference;
        for (std::size_t i = 0; i < in.size(); ++i) {
            auto& row = reference[in.users[i]];
            row[event_hash(11, in.users[i], in.events[i])] = in.feedback[i];
            if (row.size() > capacity) row.erase(std::prev(row.end()));
        }
        std::map<std::uint64_t, std::vector<float>> want;
        for (const auto& [user, row] : reference) {
            for (const auto& [key, value] : row) want[user].push_back(value);
            std::sort(want[user].begin(), want[user].end());
        }
        CAPTURE(capacity);
        CHECK(kept(r) == want);
        CHECK(sound(r));
        bool together = true;
        for (std::uint32_t k = 0; k < r.rows(); ++k) {
            const history_row row = r.row(k);
            for (std::uint32_t s = 0; s < row.count; ++s)
                together = together && row.predictions[s] == 0.25f * row.values[s];
        }
        CHECK(together);
    }
}

// What users draw who all have the events 0 .. n - 1: how often each event is kept, and for F = 0.55 the share of a
// row that lies below.
struct drawn {
    std::vector<double> kept_times;
    double mean = 0.0, variance = 0.0;
};
template <class S>
drawn draw(const reservoir<S>& r, std::size_t n) {
    drawn out;
    out.kept_times.resize(n);
    const double users = static_cast<double>(r.rows());
    double sum = 0.0, squares = 0.0;
    for (std::uint32_t k = 0; k < r.rows(); ++k) {
        const history_row row = r.row(k);
        double below = 0.0;
        for (std::uint32_t s = 0; s < row.count; ++s) {
            ++out.kept_times[static_cast<std::size_t>(row.values[s])];
            below += row.values[s] < 0.55f * static_cast<float>(n) ? 1.0 : 0.0;
        }
        const double share = below / row.count;
        sum += share;
        squares += share * share;
    }
    out.mean = sum / users;
    out.variance = squares / users - out.mean * out.mean;
    return out;
}
// Chi-square of the counts, scaled for draws without replacement: n - 1 degrees of freedom.
bool even_counts(const drawn& d, double users, double capacity) {
    const double n = static_cast<double>(d.kept_times.size()), p = capacity / n;
    double statistic = 0.0;
    for (const double times : d.kept_times) {
        statistic += (times - users * p) * (times - users * p) / (users * p * (1.0 - p));
    }
    statistic *= (n - 1.0) / n;
    const double spread = 5.0 * std::sqrt(2.0 * (n - 1.0));
    return statistic < n - 1.0 + spread && statistic > n - 1.0 - spread;
}
constexpr std::uint64_t drawing_users = 8000;

template <class S>
void offer_range(reservoir<S>& r, std::uint64_t first, std::uint64_t end) {
    events_of_users in;
    for (std::uint64_t user = 0; user < drawing_users; ++user) {
        for (std::uint64_t e = first; e < end; ++e) in.add(user, e, static_cast<float>(e), 100.0);
    }
    offer(r, in);
}

// Case 4 of the spec: n = 40, N = 10, F = 0.55.
TEST_CASE_TEMPLATE("reservoir: a row is a simple random sample", S, sampling::bottom_k, sampling::decayed,
                   sampling::algorithm_r) {
    reservoir<S> r({.capacity = 10, .seed = 2});
    offer_range(r, 0, 40);
    const drawn d = draw(r, 40);
    const double users = static_cast<double>(drawing_users), variance = 0.55 * 0.45 / 10.0 * 30.0 / 39.0;
    CHECK(std::fabs(d.mean - 0.55) < 5.0 * std::sqrt(variance / users));
    CHECK(std::fabs(d.variance / variance - 1.0) < 5.0 * std::sqrt(2.0 / users));
    CHECK(even_counts(d, users, 10.0));
}

// Case 10: the merge of Algorithm R, rows full on both sides, on one, on none, and one part empty.
TEST_CASE("algorithm_r: merging keeps every event with equal probability") {
    for (const std::uint64_t cut : {0u, 4u, 15u, 25u, 37u}) {
        reservoir<sampling::algorithm_r> a({.capacity = 10, .seed = 3}), b({.capacity = 10, .seed = 3});
        offer_range(a, 0, cut);
        offer_range(b, cut, 40);
        a.merge(b);
        CAPTURE(cut);
        CHECK(a.seen(5) == 40);
        CHECK(even_counts(draw(a, 40), static_cast<double>(drawing_users), 10.0));
        const drawn d = draw(a, 40);
        const double variance = 0.55 * 0.45 / 10.0 * 30.0 / 39.0;
        CHECK(std::fabs(d.variance / variance - 1.0) < 5.0 * std::sqrt(2.0 / static_cast<double>(drawing_users)));
    }
    // No more events than slots: all stay.
    reservoir<sampling::algorithm_r> a({.capacity = 10}), b({.capacity = 10});
    offer_range(a, 0, 3);
    offer_range(b, 3, 9);
    a.merge(b);
    CHECK(kept(a)[17] == std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8});
    a.merge(a);  // itself
    CHECK(a.seen(17) == 18);
    CHECK(kept(a)[17].size() == 10);
    CHECK(sound(a));
}

TEST_CASE("decayed: an event of one half-life more is kept half as often") {
    for (const double start : {0.0, 1.7e9, 1.7e12}) {
        reservoir<sampling::decayed> r({.capacity = 1, .seed = 4}, {1209600.0});
        events_of_users in;
        for (std::uint64_t user = 0; user < drawing_users; ++user) {
            in.add(user, 1, 1.0f, start);
            in.add(user, 2, 2.0f, start + 1209600.0);
        }
        offer(r, in);
        double newer = 0.0;
        for (std::uint32_t k = 0; k < r.rows(); ++k) newer += r.row(k).values[0] == 2.0f ? 1.0 : 0.0;
        CAPTURE(start);
        CHECK(std::fabs(newer / drawing_users - 2.0 / 3.0) < 5.0 * std::sqrt(2.0 / 9.0 / drawing_users));
        const std::uint32_t held = r.row(0).values[0] == 2.0f ? 2 : 1;
        CHECK(r.slot_of(0, r.user(0), held) == 0);
        CHECK(r.slot_of(0, r.user(0), 3 - held) == no_history);
    }
}

struct sliced_events {
    const events_of_users* all;
    std::size_t first, count;
    std::size_t size() const noexcept { return count; }
    sliced_events slice(std::size_t f, std::size_t c) const noexcept { return {all, first + f, c}; }
};
template <class S>
struct folded_slices {
    reservoir<S> kept;
    void absorb(const sliced_events& rows) { offer(kept, serial, *rows.all, rows.first, rows.count); }
    void merge(const folded_slices& other) { kept.merge(other.kept); }
};

// Case 10 of the spec: equal bytes for any split, tree and order, with events that come several times.
TEST_CASE_TEMPLATE("reservoir: merge law", S, sampling::bottom_k, sampling::bottom_k_wide, sampling::decayed) {
    const auto in = random_events(3000, 25, 120, 5);  // each event about once
    const folded_slices<S> identity{reservoir<S>({.capacity = 33, .seed = 1}, sampling_for_test<S>())};
    CHECK_LAW(testing::check_merge(identity, sliced_events{&in, 0, in.size()},
                                   [](const auto& a, const auto& b) { return to_bytes(a.kept) == to_bytes(b.kept); }));
}

TEST_CASE_TEMPLATE("reservoir: order and repeated delivery do not matter", S, sampling::bottom_k, sampling::decayed) {
    const auto in = random_events(2000, 20, 150, 6);
    reservoir<S> once({.capacity = 16, .predictions = true}, sampling_for_test<S>()), often = once;
    offer(once, in);
    events_of_users mixed;
    const auto order = testing_support::random_integers<std::size_t>(9000, in.size(), 8);
    for (std::size_t i = 0; i < in.size(); ++i) {  // backwards, then at random
        const std::size_t k = in.size() - 1 - i;
        mixed.add(in.users[k], in.events[k], in.feedback[k], in.times[k]);
    }
    for (const std::size_t k : order) mixed.add(in.users[k], in.events[k], in.feedback[k], in.times[k]);
    offer(often, mixed);
    CHECK(kept(once) == kept(often));
    CHECK(once.seen().accepted == 2000);
    CHECK(often.seen().accepted == 11000);
    CHECK(sound(often));
}

TEST_CASE("reservoir: of two values of one event neither the first nor the larger one is favoured") {
    reservoir<> ahead({.capacity = 4}), behind({.capacity = 4});
    events_of_users in, turned;
    for (std::uint64_t user = 0; user < 2000; ++user) {
        const float low = static_cast<float>(user), high = low + 0.5f;
        in.add(user, 1, low);
        in.add(user, 1, high);
        turned.add(user, 1, high);
        turned.add(user, 1, low);
    }
    offer(ahead, in);
    offer(behind, turned);
    CHECK(to_bytes(ahead) == to_bytes(behind));
    double larger = 0.0;
    for (std::uint32_t k = 0; k < 2000; ++k) {
        CHECK_MESSAGE(ahead.row(k).count == 1, "user " << k);
        larger += ahead.row(k).values[0] != static_cast<float>(ahead.user(k)) ? 1.0 : 0.0;
    }
    CHECK(std::fabs(larger - 1000.0) < 5.0 * std::sqrt(500.0));
}

TEST_CASE_TEMPLATE("reservoir: threads give the same bits", S, sampling::bottom_k, sampling::decayed,
                   sampling::algorithm_r) {
    auto in = random_events((std::size_t{1} << 16) + 5000, 800, 200, 7);  // more than one chunk
    for (std::size_t i = 0; i < in.size(); i += 97) in.feedback[i] = nan_value;
    reservoir<S> one({.capacity = 20, .predictions = true}, sampling_for_test<S>());
    const reservoir<S> empty = one;
    offer(one, in);
    CHECK(sound(one));
    for (const unsigned threads : {1u, 3u}) {
        exec::pool pool(threads);
        reservoir<S> many = empty;
        offer(many, in, exec::host{pool});
        CHECK(many.rows() == one.rows());
        CHECK(many.seen() == one.seen());
        bool same = true;
        for (std::uint32_t k = 0; k < one.rows(); ++k) {  // slots too are in the same places
            const history_row a = one.row(k), b = many.row(k);
            same = same && one.user(k) == many.user(k) && one.seen(one.user(k)) == many.seen(one.user(k)) &&
                   std::memcmp(a.values, b.values, a.capacity * sizeof(float)) == 0 &&
                   std::memcmp(a.predictions, b.predictions, a.capacity * sizeof(float)) == 0;
        }
        CHECK(same);
        CHECK(to_bytes(many) == to_bytes(one));
    }
}

TEST_CASE("reservoir: memory a user, and every user is found while tables split") {
    reservoir<sampling::algorithm_r> r({.capacity = 64});
    std::uint64_t next = 0;
    const double slab = 2.0 * 1024 * 1024;
    // 131072 rows fill slabs of both columns to the last byte.
    for (const std::uint64_t n : {1000u, 100000u, 110000u, 120000u, 131072u, 150000u, 200000u}) {
        std::vector<std::uint64_t> users;
        for (; next < n; ++next) users.push_back(next << 20);
        r.offer(serial, users, std::vector<float>(users.size(), 1.0f), none{});
        const double rounding = n == 131072 ? 0.0 : 2.0 * slab;
        CAPTURE(n);
        CHECK(static_cast<double>(r.memory_bytes()) <= static_cast<double>(n) * (64 * 4 + 24) + rounding + 16384.0);
        CHECK(r.rows() == n);
    }
    bool found = true;
    for (std::uint64_t user = 0; user < next; ++user) {
        found = found && r.find(user << 20) == user && r.find((user << 20) + 1) == no_history;
    }
    CHECK(found);
    // Counted by operator new as well.
    const auto held = testing::count_allocations([] {
        reservoir<sampling::algorithm_r> some({.capacity = 64});
        std::vector<std::uint64_t> users;
        for (std::uint64_t user = 0; user < 20000; ++user) users.push_back(user);
        some.offer(serial, users, std::vector<float>(users.size(), 1.0f), none{});
        CHECK(some.memory_bytes() >= 20000 * (64 * 4 + 16));
    });
    CHECK(held.kept_blocks == 0);
}

TEST_CASE("reservoir: bad input") {
    const std::vector<std::uint64_t> two{1, 2}, three{1, 2, 3};
    const std::vector<float> values{1.0f, 2.0f}, more{1.0f, 2.0f, 3.0f};
    CHECK_THROWS_WITH_AS(reservoir<>({.capacity = 0}), "reservoir: capacity must be in [1, 2^20], got 0",
                         std::invalid_argument);
    CHECK_THROWS_AS(reservoir<>({.capacity = (1u << 20) + 1}), std::invalid_argument);
    CHECK_THROWS_AS(reservoir<sampling::decayed>({}, {0.0}), std::invalid_argument);
    CHECK_THROWS_AS(reservoir<sampling::decayed>({}, {std::nan("")}), std::invalid_argument);
    reservoir<> r;
    CHECK_THROWS_WITH_AS(r.offer(serial, two, more, two), "reservoir: 2 users but 3 values of feedback",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(r.offer(serial, two, values, three), "reservoir: 2 users but 3 events", std::invalid_argument);
    CHECK_THROWS_WITH_AS(r.offer(serial, two, values, two, values),
                         "reservoir: predictions are given, but the options do not ask for them",
                         std::invalid_argument);
    reservoir<> with({.predictions = true});
    CHECK_THROWS_WITH_AS(with.offer(serial, two, values, two), "reservoir: 2 users but 0 predictions",
                         std::invalid_argument);
    reservoir<sampling::decayed> fading;
    CHECK_THROWS_WITH_AS(fading.offer(serial, two, values, two, none{}, std::vector<double>{1.0}),
                         "reservoir: 2 users but 1 times", std::invalid_argument);
    CHECK(r.rows() == 0);

    // Nothing, NaN, infinities.
    r.offer(serial, std::vector<std::uint64_t>{}, std::vector<float>{}, std::vector<std::uint64_t>{});
    r.offer(serial, two, std::vector<float>{nan_value, nan_value}, two);
    CHECK(r.rows() == 0);
    CHECK(r.seen() == counts{0, 2});
    r.offer(serial, three, std::vector<float>{infinity, nan_value, -infinity}, three);
    CHECK(r.seen() == counts{2, 3});
    CHECK(r.row(r.find(1)).values[0] == infinity);
    CHECK(r.find(2) == no_history);
    CHECK(r.row(r.find(3)).values[0] == -infinity);
    with.offer(serial, two, values, two, std::vector<float>{nan_value, 0.5f});
    CHECK(with.seen() == counts{1, 1});
    fading.offer(serial, three, more, three, none{}, std::vector<double>{std::nan(""), 1.0, HUGE_VAL});
    CHECK(fading.seen() == counts{1, 2});
    // Any integer is an id; all events equal.
    reservoir<> ids({.capacity = 2});
    ids.offer(serial, std::vector<std::int32_t>{-1, -1, 0}, more, std::vector<std::uint8_t>{4, 4, 4});
    CHECK(ids.rows() == 2);
    CHECK(ids.row(0).count == 1);

    // Merging says what differs.
    CHECK_THROWS_WITH_AS(ids.merge(r), "reservoir: cannot merge capacity 64 into 2", std::invalid_argument);
    CHECK_THROWS_WITH_AS(r.merge(reservoir<>({.seed = 9})), "reservoir: cannot merge seed 9 into 0",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(r.merge(with), "reservoir: cannot merge predictions true into false", std::invalid_argument);
    CHECK_THROWS_WITH_AS(fading.merge(reservoir<sampling::decayed>({}, {7.0})),
                         "reservoir: cannot merge half-life 7 into 14", std::invalid_argument);
}

// Events of all users, as the rows say.
template <class S>
std::uint64_t seen_of_rows(const reservoir<S>& r) {
    std::uint64_t sum = 0;
    for (std::uint32_t k = 0; k < r.rows(); ++k) sum += r.seen(r.user(k));
    return sum;
}

TEST_CASE_TEMPLATE("reservoir: any failing allocation leaves it usable", S, sampling::bottom_k, sampling::algorithm_r) {
    const auto in = random_events(600, 300, 5, 9);
    const auto make = [] { return reservoir<S>({.capacity = 4, .predictions = true}); };
    const auto usable = [&](reservoir<S>& r) {
        if (!sound(r) || r.seen().accepted != seen_of_rows(r)) return false;
        offer(r, in);
        return sound(r) && r.rows() == kept(r).size() && r.seen().accepted == seen_of_rows(r);
    };
    CHECK_LAW(testing::check_allocation(
        make, [&](reservoir<S>& r) { offer(r, in); }, usable));
    exec::pool pool(2);
    CHECK_LAW(testing::check_allocation(
        make, [&](reservoir<S>& r) { offer(r, in, exec::host{pool}); }, usable));
    // Some users of the other one are here already.
    auto other = make();
    offer(other, random_events(900, 600, 5, 14));
    const auto made = [&] {
        auto r = make();
        offer(r, in);
        return r;
    };
    CHECK_LAW(testing::check_allocation(
        made, [&](reservoir<S>& r) { r.merge(other); }, usable));
}

TEST_CASE_TEMPLATE("reservoir: numbers of events add up to 2^56, also with itself", S, sampling::bottom_k,
                   sampling::algorithm_r) {
    reservoir<S> r({.capacity = 2});
    const std::vector<std::uint64_t> users{5, 5, 6, 6}, events{1, 2, 1, 2};
    r.offer(serial, users, std::vector<float>{1.0f, 2.0f, 3.0f, nan_value}, events);
    r.merge(r);
    CHECK(r.seen() == counts{6, 2});
    CHECK(r.seen(5) == 4);
    CHECK(r.seen(6) == 2);
    for (int k = 0; k < 60; ++k) r.merge(r);
    CHECK(r.seen(5) == std::uint64_t{1} << 56);
    CHECK(r.seen(6) == std::uint64_t{1} << 56);
    CHECK(r.seen().accepted == seen_of_rows(r));
    CHECK(sound(r));
    CHECK(from_bytes<reservoir<S>>(to_bytes(r)).seen().accepted == r.seen().accepted);
}

template <class S>
reservoir<S> few_events(bool predictions) {
    reservoir<S> r({.capacity = 3, .seed = 6, .predictions = predictions}, sampling_for_test<S>());
    events_of_users in = random_events(7, 2, 5, 10);
    in.add(1, 1, 4.0f, 1.7e9);
    in.add(2, 1, nan_value, 1.7e9);
    offer(r, in);
    return r;
}

TEST_CASE_TEMPLATE("reservoir: bytes", S, sampling::bottom_k, sampling::bottom_k_wide, sampling::decayed,
                   sampling::algorithm_r) {
    for (const bool predictions : {false, true}) {
        const auto usable = [](const reservoir<S>& r) {
            reservoir<S> again = r;
            if (!sound(again)) return false;
            offer(again, random_events(50, 3, 9, 11));
            again.merge(r);
            return sound(again) && again.rows() >= r.rows() &&
                   to_bytes(from_bytes<reservoir<S>>(to_bytes(again))) == to_bytes(again);
        };
        CHECK_LAW(testing::check_bytes(few_events<S>(predictions), usable));
    }
    CHECK_LAW(testing::check_bytes(reservoir<S>({.capacity = 3}), [](const reservoir<S>& r) { return sound(r); }));
    // A reservoir that was read goes on as the one that was written.
    const auto in = random_events(4000, 50, 200, 12);
    reservoir<S> straight({.capacity = 20}, sampling_for_test<S>()), first = straight;
    offer(straight, in);
    offer(first, serial, in, 0, 2500);
    auto read = from_bytes<reservoir<S>>(to_bytes(first));
    offer(read, serial, in, 2500, 1500);
    CHECK(to_bytes(read) == to_bytes(straight));
}

TEST_CASE_TEMPLATE("reservoir_view: answers as the reservoir", S, sampling::bottom_k, sampling::bottom_k_wide,
                   sampling::decayed, sampling::algorithm_r) {
    const auto in = random_events(5000, 77, 200, 13);
    reservoir<S> r({.capacity = 20, .seed = 3, .predictions = true}, sampling_for_test<S>());
    offer(r, in);
    const std::vector<std::byte> bytes = to_bytes(r);
    const reservoir_view<S> seen_as(input(bytes));
    CHECK(seen_as.rows() == r.rows());
    CHECK(seen_as.rejected() == r.rejected());
    CHECK(seen_as.options().seed == 3);
    CHECK(sound(seen_as));
    CHECK(kept(seen_as) == kept(r));
    CHECK(seen_as.find(1) == no_history);
    bool same = true;
    for (std::uint32_t k = 0; k < r.rows(); ++k) {
        const std::uint64_t user = r.user(k);
        const std::uint32_t row = seen_as.find(user);
        same = same && seen_as.seen(user) == r.seen(user) && seen_as.row(row).capacity == r.row(k).capacity;
        for (std::uint64_t event = 0; event < 200; ++event) {
            const std::uint32_t a = r.slot_of(k, user, event), b = seen_as.slot_of(row, user, event);
            same = same && (a == no_history) == (b == no_history);
            if (a != no_history && b != no_history) {
                same = same && r.row(k).values[a] == seen_as.row(row).values[b] &&
                       r.row(k).predictions[a] == seen_as.row(row).predictions[b];
            }
        }
    }
    CHECK(same);
    // Rows begin on cache lines when the file does.
    CHECK((reinterpret_cast<std::uintptr_t>(seen_as.row(0).values) - reinterpret_cast<std::uintptr_t>(bytes.data())) %
              64 ==
          0);

#if __has_include(<sys/mman.h>)
    // The same from a file that is mapped.
    std::FILE* const file = std::tmpfile();
    REQUIRE(file != nullptr);
    CHECK(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
    CHECK(std::fflush(file) == 0);
    void* const mapped = ::mmap(nullptr, bytes.size(), PROT_READ, MAP_PRIVATE, ::fileno(file), 0);
    REQUIRE(mapped != MAP_FAILED);
    CHECK(kept(reservoir_view<S>({static_cast<const std::byte*>(mapped), bytes.size()})) == kept(r));
    CHECK(::munmap(mapped, bytes.size()) == 0);
    CHECK(std::fclose(file) == 0);
#endif

    CHECK_THROWS_AS(reservoir_view<S>(vector_view<const std::byte>(bytes.data() + 4, bytes.size() - 4)),
                    std::invalid_argument);
    const auto small_bytes = to_bytes(few_events<S>(true));
    // Nothing outside the bytes is read, even if a forged file was not looked through.
    CHECK_LAW(testing::check_bytes(
        small_bytes, [](vector_view<const std::byte> b) { return reservoir_view<S>(b); },
        [](const reservoir_view<S>& v) {
            for (std::uint32_t k = 0; k < v.rows(); ++k) {
                const history_row row = v.row(k);
                if (row.count > row.capacity || v.find(v.user(k)) + 1 > v.rows()) continue;
                static_cast<void>(v.slot_of(k, v.user(k), 1));
            }
            return true;
        }));
    std::vector<std::byte> damaged = small_bytes;
    damaged.back() ^= std::byte{1};
    CHECK_THROWS_AS(reservoir_view<S>(input(damaged)), std::runtime_error);
    CHECK(reservoir_view<S>(input(damaged), false).rows() == 3);
}

}  // namespace
