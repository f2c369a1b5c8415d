// Percentiles of a row: worked examples, scipy, every length against the definition, visits, threads, bad input.
#include "reckon/percentile/row_percentile.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;
using floats = std::vector<float>;
using ids = std::vector<std::uint32_t>;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float inf = std::numeric_limits<float>::infinity();
constexpr percentile_side all_sides[] = {percentile_side::mid, percentile_side::left, percentile_side::right};

float reference(const floats& row, float q, percentile_side side) {
    double below = 0.0, up_to = 0.0, n = 0.0;
    for (const float x : row) {
        below += x < q ? 1.0 : 0.0;
        up_to += x <= q ? 1.0 : 0.0;
        n += x == x ? 1.0 : 0.0;
    }
    if (n == 0.0 || q != q) return nan;
    const double count = side == percentile_side::left    ? below
                         : side == percentile_side::right ? up_to
                                                          : 0.5 * (below + up_to);
    return static_cast<float>(count / n);
}
floats reference(const floats& row, const floats& queries, percentile_side side) {
    floats out;
    for (const float q : queries) out.push_back(reference(row, q, side));
    return out;
}
floats percentiles(const floats& row, const floats& queries, percentile_side side) {
    floats out(queries.size(), -1.0f);
    row_percentiles(serial, row, queries, out, side);
    return out;
}
// The same through a sorted copy.
floats sorted_percentiles(const floats& row, const floats& queries, percentile_side side) {
    const sorted_histories h(serial, row, ids{0, static_cast<std::uint32_t>(row.size())});
    floats out(queries.size(), -1.0f);
    row_percentiles(serial, h, ids{0}, queries, ids{0, static_cast<std::uint32_t>(queries.size())}, out, side);
    return out;
}
floats rounded(floats row, float grid) {
    for (float& x : row) x = std::round(x * grid) / grid;
    return row;
}

TEST_CASE("row_percentiles: worked example") {
    const floats row{3, 1, nan, 1, -0.0f, inf}, queries{1, 2, 0, inf, -inf, nan, 4};
    for (const auto& f : {percentiles, sorted_percentiles}) {
        CHECK_ALL_NEAR(f(row, queries, percentile_side::mid), (floats{0.4f, 0.6f, 0.1f, 0.9f, 0, nan, 0.8f}), exact());
        CHECK_ALL_NEAR(f(row, queries, percentile_side::left), (floats{0.2f, 0.6f, 0, 0.8f, 0, nan, 0.8f}), exact());
        CHECK_ALL_NEAR(f(row, queries, percentile_side::right), (floats{0.6f, 0.6f, 0.2f, 1, 0, nan, 0.8f}), exact());
        CHECK_ALL_NEAR(f({}, {1, nan}, percentile_side::mid), (floats{nan, nan}), exact());
        CHECK_ALL_NEAR(f({nan, nan}, {1}, percentile_side::mid), (floats{nan}), exact());
        CHECK_ALL_NEAR(f({7, 7, 7}, {7, 6, 8}, percentile_side::mid), (floats{0.5f, 0, 1}), exact());
    }
}

TEST_CASE("row_percentiles: scipy.stats.percentileofscore") {
    const fixture oracle{"contrast.txt"};
    for (const std::string name : {"row", "long"}) {
        const floats row = oracle.as<float>(name + ".values"), queries = oracle.as<float>(name + ".queries");
        CHECK_ALL_NEAR(percentiles(row, queries, percentile_side::mid), oracle[name + ".mean"], ulp(1));
        CHECK_ALL_NEAR(percentiles(row, queries, percentile_side::left), oracle[name + ".strict"], ulp(1));
        CHECK_ALL_NEAR(percentiles(row, queries, percentile_side::right), oracle[name + ".weak"], ulp(1));
    }
}

TEST_CASE("row_percentiles: every length and every way against the definition") {
    std::vector<std::size_t> lengths;
    for (std::size_t n = 1; n <= 70; ++n) lengths.push_back(n);
    for (const std::size_t n : {127u, 128u, 129u, 255u, 256u, 257u, 273u, 1024u, 4095u, 4096u, 4097u, 70001u}) {
        lengths.push_back(n);
    }
    for (const std::size_t n : lengths) {
        CAPTURE(n);
        for (const bool ties : {false, true}) {
            floats row = random_normal<float>(n, 0.0, 1.0, n);
            if (ties) row = rounded(row, 4.0f);
            floats queries = random_normal<float>(n > 5000 ? 33 : 41, 0.0, 1.2, n + 1);
            if (ties) queries = rounded(queries, 4.0f);
            for (std::size_t k = 0; k < 12; ++k) queries[k] = row[k * (n - 1) / 11];  // values of the row itself
            queries[12] = inf;
            queries[13] = -inf;
            queries[14] = nan;
            for (const percentile_side side : all_sides) {
                const floats want = reference(row, queries, side);
                CHECK_ALL_NEAR(percentiles(row, queries, side), want, exact());
                CHECK_ALL_NEAR(sorted_percentiles(row, queries, side), want, exact());
            }
        }
    }
}

TEST_CASE("row_percentiles: visits, threads, instruction sets") {
    // 40 rows of 0 to 195 values; 3000 visits of 0 to 19 candidates.
    const std::size_t users = 40, capacity = 200;
    std::vector<floats> rows;
    floats matrix, flat;
    ids counts, starts{0};
    for (std::size_t u = 0; u < users; ++u) {
        rows.push_back(rounded(random_normal<float>(5 * u, 0.0, 1.0, u + 1), 8.0f));
        counts.push_back(static_cast<std::uint32_t>(rows[u].size()));
        matrix.insert(matrix.end(), rows[u].begin(), rows[u].end());
        matrix.resize((u + 1) * capacity, nan);
        flat.insert(flat.end(), rows[u].begin(), rows[u].end());
        starts.push_back(static_cast<std::uint32_t>(flat.size()));
    }
    const matrix_histories histories(view(std::as_const(matrix), users, capacity), counts);
    const ids visited = random_integers<std::uint32_t>(3000, users);
    ids sizes = random_integers<std::uint32_t>(3000, 20, 2);
    sizes[1000] = 700;  // more than one block
    ids offsets{0};
    for (const std::uint32_t n : sizes) offsets.push_back(offsets.back() + n);
    const floats queries = rounded(random_normal<float>(offsets.back(), 0.0, 1.2, 5), 8.0f);
    const sorted_histories sorted(serial, flat, offsets.size() > 1 ? starts : ids{});
    ids everyone;
    for (std::uint32_t u = 0; u < users; ++u) everyone.push_back(u);
    exec::pool pool(3);
    const exec::host host{pool};
    const auto copied = sorted_histories::of(host, histories, everyone);
    CHECK(copied.size() == users);
    CHECK(copied.bytes() == sorted.bytes());
    for (const percentile_side side : all_sides) {
        floats want;
        for (std::size_t s = 0; s < visited.size(); ++s) {
            for (std::size_t k = offsets[s]; k < offsets[s + 1]; ++k) {
                want.push_back(reference(rows[visited[s]], queries[k], side));
            }
        }
        floats a(queries.size()), b(queries.size()), c(queries.size()), d(queries.size());
        row_percentiles(serial, histories, visited, queries, offsets, a, side);
        row_percentiles(host, histories, visited, queries, offsets, b, side);
        row_percentiles(serial, sorted, visited, queries, offsets, c, side);
        row_percentiles(host, copied, visited, queries, offsets, d, side);
        CHECK_ALL_NEAR(a, want, exact());
        CHECK_ALL_NEAR(b, want, exact());
        CHECK_ALL_NEAR(c, want, exact());
        CHECK_ALL_NEAR(d, want, exact());
        row_percentiles<exec::serial_policy, ids, floats, ids, floats&, isa::scalar>(serial, sorted, visited, queries,
                                                                                     offsets, b, side);
        CHECK_ALL_NEAR(b, want, exact());
    }
    // A user that nobody knows.
    floats out(2);
    row_percentiles(serial, histories, ids{99}, floats{0, 1}, ids{0, 2}, out);
    CHECK_ALL_NEAR(out, (floats{nan, nan}), exact());
    CHECK(sorted_histories::of(serial, histories, ids{99, 2}).count(0) == 0);
    CHECK(sorted_histories::of(serial, histories, ids{99, 2}).count(1) == 10);
}

TEST_CASE("row_percentiles: bad arguments") {
    const floats row{1, 2, 3}, two{1, 2};
    floats out(2), few(1);
    CHECK_THROWS_WITH_AS(row_percentiles(serial, row, two, few),
                         "row_percentiles: 2 queries but room for 1 percentiles", std::invalid_argument);
    const ids counts{3};
    const matrix_histories histories(view(row, 1, 3), counts);
    CHECK_THROWS_WITH_AS(row_percentiles(serial, histories, ids{0, 0}, two, ids{0, 2}, out),
                         "row_percentiles: 2 users but 1 visits", std::invalid_argument);
    CHECK_THROWS_AS(row_percentiles(serial, histories, ids{0}, two, ids{0, 3}, out), std::invalid_argument);
    const sorted_histories sorted(serial, row, ids{0, 3});
    CHECK_THROWS_WITH_AS(row_percentiles(serial, sorted, ids{1}, two, ids{0, 2}, out), "row_percentiles: row 1 of 1",
                         std::invalid_argument);
    CHECK_THROWS_AS(row_percentiles(serial, sorted, ids{0, 0}, two, ids{0, 2}, out), std::invalid_argument);
    CHECK_THROWS_AS(sorted_histories(serial, row, ids{0, 4}), std::invalid_argument);
    floats nothing;
    row_percentiles(serial, row, nothing, nothing);
    row_percentiles(serial, sorted, ids{}, nothing, ids{}, nothing);
    CHECK(sorted_histories(serial, nothing, ids{}).size() == 0);
}

}  // namespace
