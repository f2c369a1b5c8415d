// Quantile sketches: worked example, exactness below k, the rank bound over orders and seeds, networks, merge law,
// groups, bad input, bytes.
#include "reckon/percentile/kll_sketch.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/percentile/kll_sketches.hpp"
#include "support/golden.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float inf = std::numeric_limits<float>::infinity();

// The definition, one value at a time.
double mid_rank(const std::vector<float>& values, float x) {
    double sum = 0.0;
    for (const float v : values) sum += v < x ? 1.0 : (v == x ? 0.5 : 0.0);
    return sum / static_cast<double>(values.size());
}
bool same_bytes(const kll_sketch& a, const kll_sketch& b) {
    return to_bytes(a) == to_bytes(b);
}
kll_sketch sketch_of(const std::vector<float>& values, const kll_options& options = {}, std::size_t chunk = 0) {
    kll_sketch sketch(options);
    if (chunk == 1) {
        for (const float v : values) sketch.absorb(v);
        return sketch;
    }
    if (chunk == 0) chunk = values.size();
    for (std::size_t i = 0; i < values.size(); i += chunk) {
        sketch.absorb(vector_view<const float>(values.data() + i, (std::min)(chunk, values.size() - i)));
    }
    return sketch;
}

constexpr int orders = 6;
// Ranks 0 .. n - 1 in orders that are hard on sketches. 3 has 16 distinct values, 4 runs outside in, 5 repeats short
// ramps.
std::vector<float> ordered(std::size_t n, int order, std::uint64_t seed) {
    std::vector<float> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i);
    const random_stream rng(seed, 200);
    switch (order) {
        case 0:
            for (std::size_t i = n; i > 1; --i) std::swap(values[i - 1], values[rng.below(i, i)]);
            break;
        case 1:
            break;
        case 2:
            std::reverse(values.begin(), values.end());
            break;
        case 3:
            for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(rng.below(i, 16) * rng.below(i, 16));
            break;
        case 4:
            for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i % 2 == 0 ? i / 2 : n - 1 - i / 2);
            break;
        default:
            for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>((i * 37) % n);
    }
    return values;
}

// How the ranks of a sketch compare with the exact ones.
struct errors {
    double beyond_bound = 0.0, squares = 0.0, variance = 0.0, cases = 0.0;

    void look(const kll_sketch& sketch, const std::vector<float>& values) {
        std::vector<float> sorted = values;
        std::sort(sorted.begin(), sorted.end());
        const double n = static_cast<double>(values.size()), k = sketch.k();
        REQUIRE(sketch.n() == values.size());
        CHECK(sketch.spread() <= 6.0 * n * n / (k * k));
        CHECK(static_cast<double>(sketch.size()) <= 3.0 * k + 8.0 * std::log2(n / k) + 64.0);
        CHECK((sketch.min)() == sorted.front());
        CHECK((sketch.max)() == sorted.back());
        const double bound = sketch.bound(0.95);
        const kll_view view = sketch.sorted();
        CHECK(view.total() == n);
        for (int i = 1; i < 20; ++i) {
            const float x = sorted[static_cast<std::size_t>(n * i / 20)];
            const auto below = static_cast<double>(std::lower_bound(sorted.begin(), sorted.end(), x) - sorted.begin());
            const auto through =
                static_cast<double>(std::upper_bound(sorted.begin(), sorted.end(), x) - sorted.begin());
            const double error = view(x) - 0.5 * (below + through) / n;
            // Both ends of the tie keep the bound, and so does their mean.
            const double one_sided = sketch.share_below(x) - below / n;
            beyond_bound += std::fabs(one_sided) > bound ? 1.0 : 0.0;
            squares += one_sided * one_sided;
            variance += sketch.spread() / (n * n);
            cases += 1.0;
            CHECK(std::fabs(error) <= 12.0 / k);  // probability below 1e-5 by the guarantee
        }
    }
    void check() const {
        CHECK(beyond_bound <= 0.05 * cases);
        CHECK(squares <= variance);
    }
};

TEST_CASE("kll: worked example") {
    kll_sketch sketch;
    CHECK(std::isnan(sketch.rank(1.0f)));
    CHECK(std::isnan(sketch.quantile(0.5)));
    CHECK(std::isnan(sketch.bound()));
    sketch.absorb(std::vector<float>{3.0f, 1.0f, 2.0f, 2.0f, nan});
    sketch.absorb(5.0f);
    sketch.absorb(nan);
    CHECK(sketch.n() == 5);
    CHECK(sketch.rejected() == 2);
    CHECK(sketch.seen() == counts{5, 2});
    CHECK(sketch.exact());
    CHECK(sketch.bound() == 0.0);
    CHECK(sketch.rank(0.0f) == 0.0);
    CHECK(sketch.rank(2.0f) == 2.0 / 5.0);  // one below, two tied
    CHECK(sketch.share_below(2.0f) == 1.0 / 5.0);
    CHECK(sketch.share_through(2.0f) == 3.0 / 5.0);
    CHECK(sketch.rank(4.0f) == 4.0 / 5.0);
    CHECK(sketch.rank(9.0f) == 1.0);
    CHECK(std::isnan(sketch.rank(nan)));
    CHECK(sketch.quantile(0.0) == 1.0f);
    CHECK(sketch.quantile(0.2) == 1.0f);
    CHECK(sketch.quantile(0.21) == 2.0f);
    CHECK(sketch.quantile(0.6) == 2.0f);
    CHECK(sketch.quantile(0.8) == 3.0f);
    CHECK(sketch.quantile(1.0) == 5.0f);
    CHECK((sketch.min)() == 1.0f);
    CHECK((sketch.max)() == 5.0f);
}

TEST_CASE("kll: exact up to k values") {
    for (const std::uint32_t k : {8u, 32u, 200u}) {
        for (const std::size_t n :
             {std::size_t{1}, std::size_t{7}, std::size_t{8}, std::size_t{k - 1}, std::size_t{k}}) {
            if (n > k) continue;
            for (const std::size_t chunk : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
                CAPTURE(n);
                CAPTURE(k);
                const auto values = random_integers<float>(n, 2 * n, n + k);
                const kll_sketch sketch = sketch_of(values, {.k = k}, chunk);
                CHECK(sketch.exact());
                CHECK(sketch.bound() == 0.0);
                const kll_view view = sketch.sorted();
                for (float x = -1.0f; x < static_cast<float>(2 * n + 1); x += 0.5f) {
                    REQUIRE(sketch.rank(x) == mid_rank(values, x));
                    REQUIRE_MESSAGE(near(view(x), mid_rank(values, x), ulp(2)).ok, "x = " << x);
                }
                std::vector<float> sorted = values;
                std::sort(sorted.begin(), sorted.end());
                for (std::size_t i = 0; i < n; ++i) CHECK(view.at_rank(static_cast<double>(i + 1)) == sorted[i]);
            }
        }
    }
}

TEST_CASE("kll: the bound holds for every order, over seeds") {
    for (int order = 0; order < orders; ++order) {
        CAPTURE(order);
        errors seen;
        for (std::uint64_t seed = 0; seed < 24; ++seed) {
            const std::size_t n = seed % 3 == 0 ? 60000 : 9001;
            const auto values = ordered(n, order, seed);
            const std::size_t chunk = seed % 4 == 0 ? 0 : (seed % 4 == 1 ? 1 : (seed % 4 == 2 ? 7 : 1500));
            seen.look(sketch_of(values, {.k = 64, .seed = seed}, chunk), values);
        }
        seen.check();
        // Half of the compactions move a rank that lies anywhere; ties hide some of it.
        if (order == 0) CHECK(seen.squares >= 0.3 * seen.variance);
    }
}

TEST_CASE("kll: long columns and the default k") {
    const std::size_t n = 1 << 20;
    for (const int order : {0, 1, 5}) {
        const auto values = ordered(n, order, 3);
        errors seen;
        const kll_sketch sketch = sketch_of(values, {.seed = 7});
        seen.look(sketch, values);
        CHECK(sketch.size() <= 800);
        CHECK(sketch.bound(0.99) < 0.016);
    }
}

TEST_CASE("kll: networks sort") {
    for (const std::size_t n : {0u,   1u,   2u,   15u,  16u,  17u,  31u,  32u,   33u,   64u,  100u,
                                127u, 128u, 129u, 200u, 255u, 256u, 300u, 1000u, 1024u, 1500u}) {
        for (int shape = 0; shape < score_shapes; ++shape) {
            CAPTURE(n);
            std::vector<float> got = shaped_scores(n, shape);
            if (n > 3) got[n / 2] = inf;
            if (n > 3) got[n / 3] = -inf;
            std::vector<float> want = got;
            std::sort(want.begin(), want.end());
            reckon::detail::kll_sort<isa::native>(got.data(), n);
            CHECK(got == want);
        }
    }
    // The 0-1 principle: a network that sorts all zeros and ones sorts everything.
    std::vector<float> tile(reckon::detail::kll_tile), out(reckon::detail::kll_tile);
    std::size_t unsorted = 0;
    for (std::uint32_t word = 0; word < (1u << 16); ++word) {
        const std::size_t column = word % 8;
        for (std::size_t i = 0; i < 16; ++i) tile[i * 8 + column] = static_cast<float>((word >> i) & 1u);
        reckon::detail::kll_chain<isa::native>::sort_tile(tile.data(), out.data());
        const float* const run = out.data() + 16 * column;
        unsorted += std::is_sorted(run, run + 16) ? 0u : 1u;
    }
    CHECK(unsorted == 0);
}

TEST_CASE("kll: the same bits on every instruction set, and with -0") {
    auto values = random_normal<float>(100000);
    kll_sketch native({.k = 32}), scalar({.k = 32});
    native.absorb(values);
    scalar.absorb<std::vector<float>, isa::scalar>(values);
    CHECK(same_bytes(native, scalar));
    for (float& v : values) v = std::round(v * 0.5f);
    kll_sketch with_signs({.k = 32}), without({.k = 32});
    with_signs.absorb(values);
    for (float& v : values) v += 0.0f;
    without.absorb(values);
    CHECK(same_bytes(with_signs, without));
}

TEST_CASE("kll: view, batch and single ranks agree") {
    const auto values = random_normal<float>(30000);
    const kll_sketch sketch = sketch_of(values, {.k = 50});
    const kll_view view = sketch.sorted();
    for (const std::size_t n : sweep_lengths(8)) {
        CAPTURE(n);
        placed<float> queries(random_normal<float>(n, 0.0, 1.5, 4), 1);
        if (n > 2) queries.data()[1] = nan;
        if (n > 4) queries.data()[3] = inf;
        if (n > 5) queries.data()[4] = view.values()[5];
        std::vector<double> got(n);
        std::vector<float> narrow(n);
        view.apply(serial, queries, got);
        view.apply(serial, queries, narrow);
        for (std::size_t i = 0; i < n; ++i) {
            const float x = queries.data()[i];
            REQUIRE((got[i] == view(x) || (std::isnan(got[i]) && std::isnan(x))));
            REQUIRE_MESSAGE(near(got[i], sketch.rank(x), ulp(2)).ok, "x = " << x);
            REQUIRE_MESSAGE(near(narrow[i], got[i], ulp(1)).ok, "x = " << x);
        }
        view.apply(serial, queries, queries);
        CHECK_ALL_NEAR(queries.copy(), narrow, exact());
    }
    std::vector<double> out(values.size());
    const auto used = testing::count_allocations([&] { view.apply(serial, values, out); });
    CHECK(used.peak_bytes == 0);
    std::vector<double> ranks(3);
    kll_sketch().sorted().apply(serial, std::vector<float>{1.0f, nan, 2.0f}, ranks);
    for (const double rank : ranks) CHECK(std::isnan(rank));
    // Quantiles are values whose rank is the one asked for.
    for (double q = 0.01; q < 1.0; q += 0.01) {
        const float x = view.quantile(q);
        CHECK(sketch.share_through(x) >= q);
        CHECK(sketch.share_below(x) < q);
    }
}

TEST_CASE("kll: merges keep the bound, in any tree") {
    for (int order = 0; order < orders; ++order) {
        CAPTURE(order);
        errors seen;
        for (std::uint64_t seed = 0; seed < 12; ++seed) {
            const auto values = ordered(40000, order, seed);
            const random_stream cuts(seed, 201);
            std::vector<kll_sketch> parts;
            for (std::size_t i = 0, draw = 0; i < values.size(); ++draw) {
                const std::size_t size =
                    (std::min)(values.size() - i, std::size_t{1} + cuts.below(draw, seed % 2 ? 40 : 6000));
                parts.push_back(sketch_of({values.begin() + static_cast<std::ptrdiff_t>(i),
                                           values.begin() + static_cast<std::ptrdiff_t>(i + size)},
                                          {.k = 64, .seed = seed}));
                i += size;
            }
            for (std::size_t draw = 1000000; parts.size() > 1; ++draw) {
                const auto from =
                    seed % 3 == 0 ? parts.size() - 1 : static_cast<std::size_t>(cuts.below(draw, parts.size() - 1)) + 1;
                parts[seed % 3 == 0 ? 0 : from - 1].merge(parts[from]);
                parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(from));
            }
            seen.look(parts[0], values);
        }
        seen.check();
    }
}

TEST_CASE("kll: merge law, commutative bits, threads") {
    const auto values = random_normal<float>(30000);
    const vector_view<const float> rows = input(values);
    const kll_sketch identity({.k = 128, .seed = 5});
    const auto close = [](const kll_sketch& got, const kll_sketch& want) {
        if (got.n() != want.n() || (got.min)() != (want.min)() || (got.max)() != (want.max)()) return false;
        const double bound = got.n() == 0 ? 0.0 : got.bound(0.9999) + want.bound(0.9999);
        for (float x = -2.0f; x <= 2.0f; x += 0.25f) {
            if (got.n() > 0 && !(std::fabs(got.rank(x) - want.rank(x)) <= bound)) return false;
        }
        return true;
    };
    CHECK_LAW(testing::check_merge(identity, rows, close));
    exec::pool pool(3);
    CHECK_LAW(testing::check_fold_policy(identity, rows, exec::host{pool}, same_bytes));

    for (const std::size_t n :
         {std::size_t{0}, std::size_t{5}, std::size_t{100}, std::size_t{3000}, std::size_t{30000}}) {
        for (const std::size_t m : {std::size_t{0}, std::size_t{60}, std::size_t{777}, std::size_t{20000}}) {
            CAPTURE(n);
            CAPTURE(m);
            const kll_sketch a = sketch_of(random_normal<float>(n, 0, 1, 8), {.k = 32});
            const kll_sketch b = sketch_of(random_normal<float>(m, 1, 1, 9), {.k = 32});
            kll_sketch ab = a, ba = b;
            ab.merge(b);
            ba.merge(a);
            CHECK(same_bytes(ab, ba));
            CHECK(ab.spread() >= a.spread() + b.spread());
        }
    }
    kll_sketch other({.k = 64});
    CHECK_THROWS_WITH_AS(other.merge(kll_sketch()), "kll_sketch: cannot merge k = 200 into k = 64",
                         std::invalid_argument);
    kll_sketch seeded({.seed = 3});
    CHECK_THROWS_WITH_AS(seeded.merge(kll_sketch()), "kll_sketch: cannot merge seed 0 into seed 3",
                         std::invalid_argument);
}

TEST_CASE("kll: bad and thin input") {
    CHECK_THROWS_WITH_AS(kll_sketch({.k = 6}), "kll_sketch: k must be an even number in [8, 65536], got 6",
                         std::invalid_argument);
    CHECK_THROWS_AS(kll_sketch({.k = 33}), std::invalid_argument);
    CHECK_THROWS_AS(kll_sketches({.k = 70000}), std::invalid_argument);
    kll_sketch sketch({.k = 8});
    CHECK_THROWS_AS(sketch.bound(1.0), std::invalid_argument);
    CHECK_THROWS_AS(sketch.quantile(-0.1), std::invalid_argument);
    CHECK_THROWS_AS(sketch.quantile(std::nan("")), std::invalid_argument);
    sketch.absorb(std::vector<float>{});
    sketch.absorb(std::vector<float>(40, nan));
    CHECK(sketch.n() == 0);
    CHECK(sketch.rejected() == 40);
    CHECK((sketch.min)() == inf);
    sketch.absorb(std::vector<float>(5000, 2.5f));  // one value: no error whatever was compacted
    CHECK(sketch.rank(2.5f) == 0.5);
    CHECK(sketch.rank(2.4f) == 0.0);
    CHECK(sketch.quantile(0.3) == 2.5f);
    kll_sketch infinite({.k = 8});
    std::vector<float> ends(4000);
    for (std::size_t i = 0; i < ends.size(); ++i) ends[i] = i % 4 == 0 ? nan : (i % 4 == 1 ? -inf : inf);
    infinite.absorb(ends);
    CHECK(infinite.n() == 3000);
    CHECK(infinite.rejected() == 1000);
    CHECK(std::fabs(infinite.rank(0.0f) - 1.0 / 3.0) <= infinite.bound(0.999999));
    CHECK((infinite.max)() == inf);
    CHECK(infinite.quantile(0.01) == -inf);
    std::vector<double> wrong(2);
    CHECK_THROWS_WITH_AS(sketch.sorted().apply(serial, std::vector<float>(3), wrong),
                         "kll_view: 3 values but room for 2 percentiles", std::invalid_argument);
}

// Rows of users whose numbers of values differ by orders of magnitude.
struct rows_of_users {
    std::vector<std::uint64_t> users;
    std::vector<float> values;
    std::map<std::uint64_t, std::vector<float>> by_user;
};
rows_of_users make_rows(std::size_t n, std::uint64_t seed, std::size_t distinct = 300) {
    const random_stream rng(seed, 202);
    rows_of_users rows;
    for (std::size_t i = 0; i < n; ++i) {
        const double u = rng.uniform(2 * i);
        const auto id = static_cast<std::uint64_t>(u * u * u * u * static_cast<double>(distinct)) * 0x9e3779b97f4a7c15u;
        const auto value = static_cast<float>(rng.below(2 * i + 1, 5000));
        rows.users.push_back(id);
        rows.values.push_back(value);
        rows.by_user[id].push_back(value);
    }
    return rows;
}

TEST_CASE("kll_sketches: each user against a sort") {
    const rows_of_users rows = make_rows(30000, 1);
    kll_sketches sketches({.k = 64, .seed = 2});
    const std::size_t half = rows.users.size() / 2;
    for (const std::size_t first : {std::size_t{0}, half}) {
        sketches.absorb(serial, vector_view<const std::uint64_t>(rows.users.data() + first, half),
                        vector_view<const float>(rows.values.data() + first, half));
    }
    REQUIRE(sketches.size() == rows.by_user.size());
    CHECK(sketches.seen() == counts{30000, 0});
    std::vector<double> got(rows.values.size());
    CHECK(sketches.percentiles(serial, rows.users, rows.values, got) == counts{30000, 0});
    std::map<std::uint64_t, double> bounds;
    std::size_t exact_users = 0, memory = 0, beyond = 0, tall_rows = 0;
    for (const auto& [id, values] : rows.by_user) {
        const kll_sketch one = sketches.sketch(id);
        CHECK(one.n() == values.size());
        CHECK(sketches.n(id) == values.size());
        CHECK(sketches.contains(id));
        bounds[id] = one.bound(0.95);
        exact_users += one.exact() ? 1u : 0u;
        memory += 17 + 4 * one.size() + (one.exact() ? 0 : 24 + 4 * one.levels());
        CHECK(one.exact() == (values.size() <= 64));
        CHECK(one.spread() * 64 * 64 <= 6.0 * static_cast<double>(values.size() * values.size()));
    }
    CHECK(exact_users > 30);
    CHECK(exact_users < rows.by_user.size() - 30);
    CHECK(sketches.memory() == memory);
    for (std::size_t i = 0; i < got.size(); ++i) {
        const double want = mid_rank(rows.by_user.at(rows.users[i]), rows.values[i]);
        const double bound = bounds.at(rows.users[i]);
        if (bound == 0.0) REQUIRE_MESSAGE(near(got[i], want, ulp(2)).ok, "row " << i);
        if (bound > 0.0) {
            ++tall_rows;
            beyond += std::fabs(got[i] - want) > bound ? 1u : 0u;
        }
    }
    CHECK(tall_rows > 1000);
    CHECK(static_cast<double>(beyond) <= 0.05 * static_cast<double>(tall_rows));
}

TEST_CASE("kll_sketches: merge, order of rows, threads") {
    const rows_of_users a = make_rows(8000, 3), b = make_rows(5000, 4, 500);
    const auto made = [](const rows_of_users& rows, const auto& where) {
        kll_sketches sketches({.k = 32});
        sketches.absorb(where, rows.users, rows.values);
        return sketches;
    };
    exec::pool pool(3);
    kll_sketches ab = made(a, serial), ba = made(b, serial);
    CHECK(to_bytes(ab) == to_bytes(made(a, exec::host{pool})));
    const kll_sketches only_a = ab, only_b = ba;
    ab.merge(only_b);
    ba.merge(only_a, exec::host{pool});
    CHECK(to_bytes(ab) == to_bytes(ba));
    CHECK(ab.seen() == counts{13000, 0});
    kll_sketches empty({.k = 32});
    empty.merge(only_a);
    CHECK(to_bytes(empty) == to_bytes(only_a));
    kll_sketches same = only_a;
    same.merge(kll_sketches({.k = 32}));
    CHECK(to_bytes(same) == to_bytes(only_a));
    std::size_t united = 0;
    for (const std::uint64_t id : ab.ids()) {
        united += only_a.n(id) + only_b.n(id);
        REQUIRE(ab.n(id) == only_a.n(id) + only_b.n(id));
    }
    CHECK(united == 13000);
    std::vector<float> one(a.users.size()), many(a.users.size());
    ab.percentiles(serial, a.users, a.values, one);
    ab.percentiles(exec::host{pool}, a.users, a.values, many);
    CHECK(one == many);
    // The order of the rows does not matter while everything is kept.
    kll_sketches forward, backward;
    forward.absorb(serial, std::vector<std::uint8_t>{7, 7, 3, 7}, std::vector<float>{1, 2, 3, -1});
    backward.absorb(serial, std::vector<std::uint32_t>{7, 3, 7, 7}, std::vector<float>{-1, 3, 2, 1});
    CHECK(to_bytes(forward) == to_bytes(backward));
    CHECK_THROWS_WITH_AS(forward.merge(empty), "kll_sketches: cannot merge k = 32 into k = 200", std::invalid_argument);
    CHECK_THROWS_AS(forward.merge(kll_sketches({.seed = 1})), std::invalid_argument);
}

TEST_CASE("kll_sketches: bad and thin input") {
    kll_sketches sketches;
    const std::vector<std::uint32_t> users{5, 6, 5, 9};
    sketches.absorb(serial, users, std::vector<float>{1.0f, nan, 3.0f, inf});
    CHECK(sketches.size() == 2);  // nothing of user 6 could be used
    CHECK(sketches.seen() == counts{3, 1});
    CHECK(!sketches.contains(6));
    CHECK(sketches.n(6) == 0);
    CHECK(sketches.sketch(6).n() == 0);
    std::vector<float> got(4);
    CHECK(sketches.percentiles(serial, std::vector<std::uint32_t>{5, 6, 5, 9},
                               std::vector<float>{1.0f, 1.0f, nan, 2.0f}, got) == counts{2, 2});
    CHECK(got[0] == 0.25f);
    CHECK(std::isnan(got[1]));
    CHECK(std::isnan(got[2]));
    CHECK(got[3] == 0.0f);
    sketches.absorb(serial, std::vector<std::uint32_t>{}, std::vector<float>{});
    CHECK(sketches.size() == 2);
    CHECK_THROWS_WITH_AS(sketches.absorb(serial, users, std::vector<float>(3)), "kll_sketches: 4 users but 3 values",
                         std::invalid_argument);
    std::vector<float> small_out(3);
    CHECK_THROWS_WITH_AS(sketches.percentiles(serial, users, std::vector<float>(4), small_out),
                         "kll_sketches: 4 values but room for 3 percentiles", std::invalid_argument);
}

kll_sketch stored_sketch() {
    return sketch_of(random_integers<float>(300, 1000, 5), {.k = 8, .seed = 9});
}
kll_sketches stored_sketches() {
    kll_sketches sketches({.k = 8, .seed = 9});
    std::vector<std::uint64_t> users{1, 1ull << 40, 1, 7};
    std::vector<float> values{0.5f, 2.0f, -1.0f, 0.0f};
    for (std::size_t i = 0; i < 60; ++i) {
        users.push_back(7);
        values.push_back(static_cast<float>((i * 17) % 61));
    }
    sketches.absorb(serial, users, values);
    return sketches;
}

TEST_CASE("kll: bytes") {
    const auto works = [](kll_sketch s) {
        const double n = static_cast<double>(s.n());
        double last = 0.0;
        for (float x = -100.0f; x < 1100.0f; x += 50.0f) {
            const double rank = s.rank(x);
            if (s.n() > 0 && !(rank >= last && rank <= 1.0)) return false;
            if (s.n() > 0) last = rank;
        }
        const float middle = s.quantile(0.5);
        if (s.n() > 0 && !(middle >= (s.min)() && middle <= (s.max)() && s.sorted().total() == n)) return false;
        const auto had = s.n();
        s.absorb(std::vector<float>(500, 3.0f));
        s.merge(s.n() < (std::uint64_t{1} << 54) ? kll_sketch(s) : kll_sketch({.k = s.k(), .seed = s.seed()}));
        return s.n() >= had + 500;
    };
    CHECK_LAW(testing::check_bytes(stored_sketch(), works));
    CHECK_LAW(testing::check_bytes(kll_sketch({.k = 10}), works));
}

TEST_CASE("kll_sketches: bytes") {
    const auto works = [](kll_sketches s) {
        for (const std::uint64_t id : s.ids()) {
            const kll_sketch one = s.sketch(id);
            if (one.n() == 0 || one.n() != s.n(id) || !(one.rank((one.max)()) <= 1.0)) return false;
        }
        const std::vector<std::uint64_t> users{7, 7, 8};
        std::vector<float> values{1.0f, 2.0f, 3.0f};
        s.absorb(serial, users, values);
        return s.percentiles(serial, users, values, values).accepted == 3;
    };
    CHECK_LAW(testing::check_bytes(stored_sketches(), works));
}

std::vector<double> answers(const kll_sketch& s) {
    std::vector<double> said = both(s.seen());
    for (const double q : {0.0, 0.25, 0.5, 0.75, 1.0}) said.push_back(static_cast<double>(s.quantile(q)));
    said.push_back(s.spread());
    said.push_back(static_cast<double>(s.size()));
    return said;
}
std::vector<double> answers(const kll_sketches& s) {
    std::vector<double> said = both(s.seen());
    for (const std::uint64_t id : s.ids()) append(said, answers(s.sketch(id)));
    return said;
}

TEST_CASE("kll golden: what was written is read") {
    check_golden("kll_sketch", stored_sketch(), [](const auto& s) { return answers(s); });
    check_golden("kll_sketches", stored_sketches(), [](const auto& s) { return answers(s); });
}
TEST_CASE("kll golden: write" * doctest::skip()) {
    write_golden("kll_sketch", stored_sketch());
    write_golden("kll_sketches", stored_sketches());
}

}  // namespace
