// Sums per value of categorical fields.
#include "reckon/metrics/field_stats.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/law.hpp"
#include "reckon/exec/pool.hpp"

namespace {

using reckon::field_cell;
using reckon::field_stats;
using reckon::make_fielded;
using reckon::matrix_view;
namespace exec = reckon::exec;

struct rows {
    std::vector<float> p;
    std::vector<std::uint8_t> y;
    std::vector<float> w;
    std::vector<std::int32_t> ids;  // [F, N]
    std::size_t fields = 0;

    auto id_rows() const { return matrix_view<const std::int32_t>(ids.data(), fields, p.size()); }
    auto batch() const { return make_fielded("test", p, y, id_rows(), w); }
    auto unweighted() const { return make_fielded("test", p, y, id_rows()); }
};

std::uint64_t next(std::uint64_t& state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state >> 33;
}

// Dyadic scores and weights: all sums are exact, so any order gives the same bits.
rows make_rows(std::size_t n, const std::vector<std::size_t>& values, std::uint64_t seed = 1) {
    rows r;
    r.fields = values.size();
    for (std::size_t i = 0; i < n; ++i) {
        r.p.push_back(float(next(seed) % 1025) / 1024.0f);
        r.y.push_back(std::uint8_t(next(seed) % 4 == 0));
        r.w.push_back(float(next(seed) % 9) / 4.0f);
    }
    for (const std::size_t v : values) {
        // A few ids are unseen, on both sides.
        for (std::size_t i = 0; i < n; ++i) r.ids.push_back(std::int32_t(next(seed) % (v + 4)) - 2);
    }
    return r;
}

template <class Batch>
std::vector<field_cell> reference(const Batch& b, std::size_t f, std::size_t values, const std::vector<double>& edges) {
    std::vector<field_cell> cells((values + 1) * (edges.size() + 1));
    for (std::size_t i = 0; i < b.size(); ++i) {
        const double p = b.rows.score(i), y = b.rows.label(i), w = b.rows.weight(i);
        const auto id = b.ids(f, i);
        const std::size_t v = id >= 0 && std::size_t(id) < values ? std::size_t(id) : values;
        std::size_t bin = 0;
        while (bin < edges.size() && p >= edges[bin]) ++bin;
        field_cell& c = cells[v * (edges.size() + 1) + bin];
        c.n += w;
        c.predicted += w * p;
        c.observed += w * y;
        c.variance += w * w * p * (1 - p);
    }
    return cells;
}

template <class Batch>
void check_against_reference(const field_stats& s, const Batch& b) {
    const auto& edges = s.options().bin_edges;
    for (std::size_t f = 0; f < s.fields(); ++f) {
        const auto expected = reference(b, f, s.values(f), edges);
        const auto cells = s.cells(f);
        REQUIRE(cells.size() == s.values(f) * s.bins());
        for (std::size_t c = 0; c < cells.size(); ++c) CHECK(cells[c] == expected[c]);
        field_cell unseen, total;
        for (std::size_t c = cells.size(); c < expected.size(); ++c) unseen.add(expected[c]);
        for (const auto& c : expected) total.add(c);
        CHECK(s.unseen(f) == unseen);
        CHECK(s.total(f) == total);
    }
}

bool same_cells(const field_stats& a, const field_stats& b) {
    for (std::size_t f = 0; f < a.fields(); ++f) {
        for (std::size_t c = 0; c < a.cells(f).size(); ++c) {
            if (!(a.cells(f)[c] == b.cells(f)[c])) return false;
        }
        if (!(a.unseen(f) == b.unseen(f))) return false;
    }
    return a.accepted() == b.accepted() && a.rejected() == b.rejected() && a.clock() == b.clock();
}

template <class Call>
std::string message(Call&& call) {
    try {
        call();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "no exception";
}

}  // namespace

TEST_CASE("field_stats: worked example") {
    const std::vector<float> p{0.25f, 0.5f, 0.125f, 0.5f};
    const std::vector<std::uint8_t> y{0, 1, 0, 1};
    const std::vector<std::int32_t> ids{0, 1, 0, 7, /* second field */ -1, 0, 0, 0};
    field_stats s({2, 1});
    s.absorb(make_fielded("test", p, y, matrix_view<const std::int32_t>(ids.data(), 2, 4)));
    CHECK(s.value(0, 0) == field_cell{2, 0.375, 0, 0.25 * 0.75 + 0.125 * 0.875});
    CHECK(s.value(0, 1) == field_cell{1, 0.5, 1, 0.25});
    CHECK(s.unseen(0) == field_cell{1, 0.5, 1, 0.25});
    CHECK(s.value(1, 0).n == 3);
    CHECK(s.unseen(1) == field_cell{1, 0.25, 0, 0.1875});
    CHECK(s.finish().n == 4);
    CHECK(s.finish().predicted == 1.375);
    CHECK(s.total(1).observed == 2);
    CHECK(s.accepted() == 4);
    CHECK(s.rejected() == 0);
}

TEST_CASE("field_stats: against a plain loop") {
    for (const std::size_t n : {0u, 1u, 2u, 23u, 24u, 25u, 255u, 256u, 257u, 1031u}) {
        const auto r = make_rows(n, {1, 7, 300});
        for (const auto& edges : {std::vector<double>{}, std::vector<double>{0.25, 0.5, 0.75}}) {
            field_stats weighted({1, 7, 300}, {.bin_edges = edges}), plain = weighted;
            weighted.absorb(r.batch());
            check_against_reference(weighted, r.batch());
            plain.absorb(r.unweighted());
            check_against_reference(plain, r.unweighted());
            CHECK(plain.accepted() == n);
        }
    }
}

TEST_CASE("field_stats: strided ids, double scores, fractional labels") {
    const auto r = make_rows(600, {5, 9});
    // The rows of ids lie 700 apart and start one element in.
    std::vector<std::int32_t> padded(1 + 2 * 700, -7);
    for (std::size_t f = 0; f < 2; ++f) {
        for (std::size_t i = 0; i < 600; ++i) padded[1 + f * 700 + i] = r.ids[f * 600 + i];
    }
    const std::vector<double> p(r.p.begin(), r.p.end());
    std::vector<float> y(600);
    for (std::size_t i = 0; i < 600; ++i) y[i] = float(i % 5) / 4.0f;
    const auto b = make_fielded("test", p, y, matrix_view<const std::int32_t>(padded.data() + 1, 2, 600, 700));
    field_stats s({5, 9});
    s.absorb(b);
    check_against_reference(s, b);
}

TEST_CASE("field_stats: merge law, threads and parts") {
    const auto r = make_rows(50000, {3, 40, 1000});
    field_stats identity({3, 40, 1000}, {.bin_edges = {0.5}}), whole = identity;
    whole.absorb(r.batch());
    for (const unsigned threads : {1u, 2u, 3u}) {
        exec::pool pool{threads};
        field_stats other = identity;
        other.absorb(exec::host{pool}, r.batch());
        CHECK(same_cells(whole, other));
        CHECK(same_cells(whole, exec::fold_parts(exec::host{pool}, identity, r.batch())));
    }
    for (const std::size_t cut : {0u, 1u, 777u, 49999u, 50000u}) {
        field_stats left = identity, right = identity;
        left.absorb(r.batch().slice(0, cut));
        if (cut < 50000) right.absorb(r.batch().slice(cut, 50000 - cut));
        field_stats right_first = right;
        left.merge(right);
        right_first.merge([&] {
            field_stats again = identity;
            if (cut > 0) again.absorb(r.batch().slice(0, cut));
            return again;
        }());
        if (cut > 0) CHECK(same_cells(whole, left));
        if (cut > 0) CHECK(same_cells(whole, right_first));
    }
}

TEST_CASE("field_stats: threads give the same bits when sums round") {
    auto r = make_rows(3000, {2, 3, 50});
    for (std::size_t i = 0; i < r.p.size(); ++i) {
        r.p[i] = 1.0f / float(3 + i % 97);
        r.w[i] = 1.0f / float(7 + i % 13);
    }
    field_stats serial({2, 3, 50});
    serial.absorb(exec::serial, r.batch());
    for (const unsigned threads : {1u, 2u, 3u}) {
        exec::pool pool{threads};
        field_stats other({2, 3, 50});
        other.absorb(exec::host{pool}, r.batch());
        CHECK(same_cells(serial, other));
    }
    // Any split agrees to rounding.
    field_stats left({2, 3, 50}), right({2, 3, 50});
    left.absorb(r.batch().slice(0, 1000));
    right.absorb(r.batch().slice(1000, 2000));
    left.merge(right);
    for (std::size_t c = 0; c < 50; ++c) {
        CHECK(left.cells(2)[c].predicted == doctest::Approx(serial.cells(2)[c].predicted).epsilon(1e-12));
    }
}

TEST_CASE("field_stats: forgetting") {
    const auto a = make_rows(500, {6}, 1), b = make_rows(500, {6}, 2);
    const reckon::field_stats_options options{.half_life = 2};
    field_stats old({6}, options), recent({6}, options), together({6}, options);
    together.absorb(a.batch());
    together.advance(4);  // two half-lives: a factor of 1/4, which is exact
    together.absorb(b.batch());
    old.absorb(a.batch());
    recent.advance(4);
    recent.absorb(b.batch());
    CHECK(old.value(0, 0).n / 4 + recent.value(0, 0).n == together.value(0, 0).n);
    // Either side may be the older one.
    field_stats left = old, right = recent;
    left.merge(recent);
    right.merge(old);
    CHECK(same_cells(left, together));
    CHECK(same_cells(right, together));
    CHECK(left.clock() == 4);
    CHECK(left.accepted() == 1000);
    // A merge with an empty state keeps the sums, at the later clock.
    field_stats empty({6}, options);
    empty.merge(together);
    CHECK(same_cells(empty, together));
    CHECK_THROWS_AS(together.advance(3), std::invalid_argument);
    CHECK_THROWS_AS(together.advance(std::numeric_limits<double>::infinity()), std::invalid_argument);
    together.advance(4 + 2 * 2000.0);
    CHECK(together.total().n == 0);
    // Without a half-life the clock changes nothing.
    field_stats keeps({6});
    keeps.absorb(a.batch());
    const double n = keeps.total().n;
    keeps.advance(1e9);
    CHECK(keeps.total().n == n);
}

TEST_CASE("field_stats: counts above 2^24 stay exact") {
    field_stats one({1});
    const std::vector<float> p{0.5f};
    const std::vector<std::uint8_t> y{1};
    const std::vector<std::int32_t> id{0};
    one.absorb(make_fielded("test", p, y, matrix_view<const std::int32_t>(id.data(), 1, 1)));
    field_stats many = one;
    for (int k = 0; k < 30; ++k) many.merge(field_stats(many));
    CHECK(many.value(0, 0).n == 1073741824.0);
    many.merge(one);
    CHECK(many.value(0, 0).n == 1073741825.0);
    CHECK(many.value(0, 0).observed == 1073741825.0);
    CHECK(many.accepted() == 1073741825u);
}

TEST_CASE("field_stats: bad rows are skipped and counted") {
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    //                           good  p     p     p      p    y     y      w     w     w    good
    const std::vector<float> p{0.5f, nan, inf, -0.1f, 1.1f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 1.0f};
    const std::vector<float> y{1.0f, 1, 1, 1, 1, nan, 1.5f, 1, 1, 1, 0.0f};
    const std::vector<float> w{2.0f, 1, 1, 1, 1, 1, 1, nan, -1, inf, 0.0f};
    const std::vector<std::int32_t> ids(11, 0);
    field_stats s({1});
    s.absorb(make_fielded("test", p, y, matrix_view<const std::int32_t>(ids.data(), 1, 11), w));
    CHECK(s.rejected() == 9);
    CHECK(s.accepted() == 2);
    CHECK(s.value(0, 0) == field_cell{2, 1, 2, 1});
    CHECK(s.unseen(0) == field_cell{});
}

TEST_CASE("field_stats: extreme ids") {
    const std::vector<float> p(4, 0.5f);
    const std::vector<std::uint8_t> y(4, 1);
    const std::vector<std::int32_t> ids{std::numeric_limits<std::int32_t>::min(), -1, 3,
                                        std::numeric_limits<std::int32_t>::max()};
    field_stats s({3}), no_values({0});
    const auto b = make_fielded("test", p, y, matrix_view<const std::int32_t>(ids.data(), 1, 4));
    s.absorb(b);
    CHECK(s.unseen(0).n == 4);
    no_values.absorb(b);
    CHECK(no_values.unseen(0).n == 4);
    CHECK(no_values.cells(0).empty());
}

TEST_CASE("field_stats: bad arguments throw and say which") {
    using list = std::vector<std::size_t>;
    const auto build = [](list values, reckon::field_stats_options options) {
        return message([&] { field_stats(values, options); });
    };
    CHECK(build({}, {}) == "field_stats: needs at least one field");
    CHECK(build({field_stats::max_cells}, {}) == "field_stats: more than 2^26 cells");
    CHECK(build({~std::size_t{0}}, {}) == "field_stats: more than 2^26 cells");
    CHECK(build({field_stats::max_cells / 2, field_stats::max_cells / 2}, {}) == "field_stats: more than 2^26 cells");
    CHECK(build({1}, {.bin_edges = {0.5, 0.5}}) == "field_stats: bin edges must ascend inside (0, 1)");
    CHECK(build({1}, {.bin_edges = {0.0}}) == "field_stats: bin edges must ascend inside (0, 1)");
    CHECK(build({1}, {.bin_edges = {1.0}}) == "field_stats: bin edges must ascend inside (0, 1)");
    CHECK(build({1}, {.bin_edges = {std::nan("")}}) == "field_stats: bin edges must ascend inside (0, 1)");
    CHECK(build({1}, {.bin_edges = std::vector<double>(256, 0.5)}) == "field_stats: more than 255 bin edges");
    CHECK(build({1}, {.half_life = 0}) == "field_stats: the half-life must be positive");
    CHECK(build({1}, {.half_life = std::nan("")}) == "field_stats: the half-life must be positive");
    CHECK(build({1}, {.start = std::nan("")}) == "field_stats: the clock must start at a finite time");

    field_stats s({2, 3});
    CHECK(message([&] { s.merge(field_stats({2})); }) == "field_stats::merge: 2 fields here, 1 there");
    CHECK(message([&] { s.merge(field_stats({2, 4})); }) == "field_stats::merge: field 1 has 3 values here, 4 there");
    CHECK(message([&] {
              s.merge(field_stats({2, 3}, {.bin_edges = {0.5}}));
          }) == "field_stats::merge: the score bins differ");
    CHECK(message([&] {
              s.merge(field_stats({2, 3}, {.half_life = 1}));
          }) == "field_stats::merge: a half-life of inf here, 1 there");

    const std::vector<float> p(3, 0.5f);
    const std::vector<std::uint8_t> y(3, 1);
    const std::vector<std::int32_t> ids(6);
    CHECK_THROWS_AS(make_fielded("test", p, y, matrix_view<const std::int32_t>(ids.data(), 3, 2)),
                    std::invalid_argument);
    CHECK(message([&] { s.absorb(make_fielded("test", p, y, matrix_view<const std::int32_t>(ids.data(), 1, 3))); }) ==
          "field_stats::absorb: ids for 1 fields, the state has 2");
}

TEST_CASE("field_stats: written and read back") {
    const auto r = make_rows(900, {4, 30});
    field_stats s({4, 30}, {.bin_edges = {0.25, 0.5}, .half_life = 10, .start = 5});
    s.absorb(r.batch());
    s.advance(6);
    const auto bytes = reckon::to_bytes(s);
    const auto again = reckon::from_bytes<field_stats>(bytes);
    CHECK(same_cells(s, again));
    CHECK(again.options().half_life == 10);
    CHECK(again.options().bin_edges == s.options().bin_edges);
    CHECK(reckon::to_bytes(again) == bytes);
    // It is still a state: it merges with the one it came from.
    field_stats twice = s;
    twice.merge(again);
    CHECK(twice.value(0, 0).n == 2 * s.value(0, 0).n);
}

TEST_CASE("field_stats: hostile bytes") {
    field_stats s({2}, {.half_life = 3});
    s.absorb(make_rows(50, {2}).batch());
    // The fields of the payload, written one by one with one of them wrong.
    struct parts {
        std::vector<std::uint64_t> values{2};
        std::vector<double> edges{};
        double half_life = 3, start = 0, clock = 1;
        std::vector<double> cells = std::vector<double>(12, 0.25);
    };
    const auto read = [](const parts& p) {
        reckon::byte_writer out;
        out.put_array(p.values);
        out.put_array(p.edges);
        out.put(p.half_life);
        out.put(p.start);
        out.put(p.clock);
        out.put(std::uint64_t{1});
        out.put(std::uint64_t{0});
        for (const double c : p.cells) out.put(c);
        return reckon::from_bytes<field_stats>(out.seal(field_stats::bytes_kind, field_stats::bytes_version));
    };
    const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
    CHECK_NOTHROW(read({}));
    CHECK_THROWS_AS(read({.values = {}}), std::runtime_error);
    CHECK_THROWS_AS(read({.values = {3}}), std::runtime_error);
    CHECK_THROWS_AS(read({.values = {~std::uint64_t{0}}}), std::runtime_error);
    CHECK_THROWS_AS(read({.values = {std::uint64_t{1} << 25}}), std::runtime_error);
    CHECK_THROWS_AS(read({.edges = {2.0}}), std::runtime_error);
    CHECK_THROWS_AS(read({.half_life = nan}), std::runtime_error);
    CHECK_THROWS_AS(read({.start = inf}), std::runtime_error);
    CHECK_THROWS_AS(read({.clock = -1}), std::runtime_error);
    for (const double bad : {nan, inf, -1.0}) {
        for (std::size_t at = 0; at < 12; ++at) {
            parts p;
            p.cells[at] = bad;
            CHECK_THROWS_AS(read(p), std::runtime_error);
        }
    }
    parts p;
    p.cells[1] = 0.5;  // more predicted than n
    CHECK_THROWS_AS(read(p), std::runtime_error);
    auto bytes = reckon::to_bytes(s);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const reckon::vector_view<const std::byte> prefix(bytes.data(), size);
        CHECK_THROWS_AS(reckon::from_bytes<field_stats>(prefix), std::runtime_error);
    }
}

TEST_CASE("field_stats: laws of merging and of bytes") {
    const auto r = make_rows(2000, {2, 3});
    CHECK_LAW(reckon::testing::check_merge(field_stats({2, 3}), r.batch(), same_cells));
    field_stats s({2, 3}, {.bin_edges = {0.5}, .half_life = 4});
    s.absorb(r.batch());
    CHECK_LAW(reckon::testing::check_bytes(s, [&](const field_stats& read) {
        field_stats other = read;
        other.merge(read);
        return other.total().n >= read.total().n && other.total().observed <= other.total().n;
    }));
}
