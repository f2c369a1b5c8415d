// ks_uniform, wasserstein and activity_calibration: worked examples, references, SciPy, merge law, bad input, bytes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/metrics/activity_calibration.hpp"
#include "reckon/metrics/ks_uniform.hpp"
#include "reckon/metrics/wasserstein.hpp"
#include "support/fixture.hpp"
#include "support/golden.hpp"
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

TEST_CASE("ks_uniform: worked example") {
    // Four zeros of ten: the jump at 0 is 0.4 high; the rest lies on the diagonal.
    CHECK(ks_uniform(serial, std::vector<double>{0, 0, 0, 0, 0.5, 0.625, 0.75, 0.875, 1, 1}).value == 0.4);
    // Both sides of a jump: 0.75 - 0 before it, 1 - 0.75 after it.
    CHECK(ks_uniform(serial, std::vector<float>{0.75f, 0.75f}).value == 0.75);
    CHECK(ks_uniform(serial, std::vector<float>{0.25f}).value == 0.75);
}

TEST_CASE("ks_uniform: SciPy") {
    const fixture oracle("distributions.txt");
    for (const std::string set : {"uniform", "sparse", "ties", "midranks", "one", "zeros", "ones", "ends", "late"}) {
        CAPTURE(set);
        const auto& values = oracle["ks." + set + ".values"];
        CHECK_NEAR(ks_uniform(serial, values).value, oracle.value("ks." + set + ".want"), probability());
    }
    CHECK_NEAR(ks_uniform(serial, oracle["ks.weighted.values"], oracle["ks.weighted.w"]).value,
               oracle.value("ks.weighted.want"), probability());
    CHECK_NEAR(oracle.value("ks.midranks.want"), 0.5 / 40, probability());
}

TEST_CASE_TEMPLATE("ks_uniform: against the definition", T, float, double) {
    for (const std::size_t n : sweep_lengths(8, false)) {
        for (const double levels : {4.0, 1e6}) {
            std::vector<T> values = random_uniform<T>(n, 0.0, 1.0, n);
            for (T& v : values) v = static_cast<T>(std::floor(static_cast<double>(v) * levels) / levels);
            double want = n == 0 ? nan : 0.0;
            for (const T t : values) {
                double below = 0.0, up_to = 0.0;
                for (const T v : values) {
                    below += v < t ? 1.0 : 0.0;
                    up_to += v <= t ? 1.0 : 0.0;
                }
                const auto x = static_cast<double>(t), size = static_cast<double>(n);
                want = (std::max)({want, std::fabs(up_to / size - x), std::fabs(below / size - x)});
            }
            CAPTURE(n);
            CHECK_NEAR(ks_uniform(serial, placed<T>(values, 1)).value, want, probability());
        }
    }
}

TEST_CASE("ks_uniform: bad input") {
    CHECK(std::isnan(ks_uniform(serial, std::vector<double>{}).value));
    const std::vector<double> values{nan, 0.25, -0.125, 0.75, inf, 1.5, -inf, 0.5};
    const ks_uniform_result r = ks_uniform(serial, values);
    CHECK(r.seen == counts{3, 5});
    CHECK(r.value == ks_uniform(serial, std::vector<double>{0.25, 0.5, 0.75}).value);
    const std::vector<double> weights{1, 2, 1, -1, 1, 1, 1, nan};
    CHECK(ks_uniform(serial, values, weights).seen == counts{1, 7});
    CHECK(ks_uniform(serial, values, weights).value == 0.75);
    CHECK(std::isnan(ks_uniform(serial, values, std::vector<double>(8, 0.0)).value));
    CHECK_THROWS_WITH_AS(ks_uniform(serial, values, std::vector<double>{1.0}), "ks_uniform: 8 values but 1 weights",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(ks_uniform(serial, values, std::vector<double>{}), "ks_uniform: 8 values but 0 weights",
                         std::invalid_argument);
    CHECK(ks_uniform(serial, values, none{}).value == r.value);
}

TEST_CASE("wasserstein: worked example") {
    // Every value moves by 1.5.
    CHECK(wasserstein(serial, std::vector<int>{3, 1, 2}, std::vector<double>{2.5, 4.5, 3.5}).value == 1.5);
    // Half of the mass at 2 goes to -1, half to 5.
    CHECK(wasserstein(serial, std::vector<float>{2}, std::vector<float>{-1, 5}).value == 3.0);
    CHECK(wasserstein(serial, std::vector<float>{0, 4}, std::vector<float>{0}, std::vector<float>{3, 1}).value == 1.0);
}

TEST_CASE("wasserstein: SciPy, symmetry, shifts") {
    const fixture oracle("distributions.txt");
    for (const std::string set : {"normal", "ties", "shifted", "one", "wide"}) {
        CAPTURE(set);
        const auto &a = oracle["wasserstein." + set + ".a"], &b = oracle["wasserstein." + set + ".b"];
        const double got = wasserstein(serial, a, b).value;
        CHECK_NEAR(got, oracle.value("wasserstein." + set + ".want"), reduction(a.size() + b.size()));
        CHECK_NEAR(wasserstein(serial, b, a).value, got, reduction(a.size() + b.size()));
        CHECK(wasserstein(serial, a, a).value == 0.0);
    }
    CHECK_NEAR(wasserstein(serial, oracle["wasserstein.weighted.a"], oracle["wasserstein.weighted.b"],
                           oracle["wasserstein.weighted.wa"], oracle["wasserstein.weighted.wb"])
                   .value,
               oracle.value("wasserstein.weighted.want"), reduction(115));
    // A shift of everything is its own distance, in any order of the values.
    std::vector<double> values = random_normal<double>(301), moved(values.rbegin(), values.rend());
    for (double& v : moved) v += 0.75;
    CHECK_NEAR(wasserstein(serial, values, moved).value, 0.75, reduction(602));
}

TEST_CASE("group_wasserstein: SciPy per group, threads") {
    const fixture oracle("distributions.txt");
    const auto& quantiles = oracle["wasserstein.groups.quantiles"];
    const auto& values = oracle["wasserstein.groups.values"];
    const auto& want = oracle["wasserstein.groups.want"];
    const auto offsets = oracle.as<std::uint32_t>("wasserstein.groups.offsets");
    std::vector<double> each(5, 7.0);
    const mean_value mean = group_wasserstein(serial, view(quantiles, 5, 5), values, offsets, each);
    CHECK_ALL_NEAR(each, want, reduction(40));
    CHECK(mean.weight() == 4.0);
    CHECK_NEAR(mean.sum(), want[0] + want[1] + want[3] + want[4], reduction(40));

    const std::vector<double> many = random_normal<double>(6000, 3.0, 2.0), rows = random_normal<double>(1000 * 4);
    std::vector<std::uint64_t> ends(1001);
    for (std::size_t g = 0; g <= 1000; ++g) ends[g] = 6 * g;
    exec::pool pool(3);
    CHECK_LAW(
        testing::check_map_policy<double>(1000, exec::host{pool}, [&](const auto& where, vector_view<double> out) {
            group_wasserstein(where, view(rows, 1000, 4), many, ends, out);
        }));
    for (const std::size_t g : {0u, 500u, 999u}) {
        const auto one = wasserstein(serial, input(rows).slice(4 * g, 4), input(many).slice(6 * g, 6));
        std::vector<double> out(1000);
        group_wasserstein(serial, view(rows, 1000, 4), many, ends, out);
        CHECK(out[g] == one.value);
    }
}

TEST_CASE("wasserstein: bad input") {
    const std::vector<double> none_of_it, one{1.0}, mixed{nan, 1.0, inf, 3.0, -inf}, weights{1, 1, 1, -1, 1};
    CHECK(std::isnan(wasserstein(serial, none_of_it, one).value));
    CHECK(std::isnan(wasserstein(serial, one, none_of_it).value));
    const wasserstein_result r = wasserstein(serial, mixed, one);
    CHECK(r.value == 1.0);
    CHECK(r.first == counts{2, 3});
    CHECK(r.second == counts{1, 0});
    CHECK(wasserstein(serial, mixed, one, weights).first == counts{1, 4});
    CHECK(std::isnan(wasserstein(serial, one, one, std::vector<double>{0.0}).value));
    CHECK_THROWS_AS(wasserstein(serial, mixed, one, one), std::invalid_argument);
    CHECK_THROWS_AS(wasserstein(serial, one, mixed, none{}, one), std::invalid_argument);
    CHECK_THROWS_AS(wasserstein(serial, mixed, one, none_of_it), std::invalid_argument);
    CHECK_THROWS_AS(wasserstein(serial, one, mixed, none{}, none_of_it), std::invalid_argument);
    // The distance between the ends overflows, but nothing moves that far.
    const std::vector<double> ends{-1.5e308, 1.5e308}, nearer{-1.5e308, 1.0e308};
    CHECK(wasserstein(serial, ends, ends).value == 0.0);
    CHECK_NEAR(wasserstein(serial, std::vector<double>{-1.5e308, 1.5e308, 1.5e308, -1.5e308}, ends).value, 0.0,
               exact());
    CHECK(wasserstein(serial, std::vector<double>{1.5e308}, std::vector<double>{-1.5e308}).value == inf);
    CHECK_NEAR(wasserstein(serial, std::vector<double>{1.5e308}, std::vector<double>{1.0e308}).value, 0.5e308, ulp(2));
    const std::vector<std::uint32_t> offsets{0, 3, 5};
    std::vector<float> out(2);
    CHECK(group_wasserstein(serial, view(mixed, 1, 5).columns(0, 1), none_of_it, std::vector<std::uint32_t>{0, 0})
              .weight() == 0.0);
    group_wasserstein(serial, view(weights, 5, 1).slice(0, 2), mixed, offsets, out);
    CHECK(out == std::vector<float>{0.0f, 2.0f});
    CHECK_THROWS_AS(group_wasserstein(serial, view(mixed, 5, 1), mixed, offsets), std::invalid_argument);
    CHECK_THROWS_AS(group_wasserstein(serial, view(mixed, 5, 1).slice(0, 2), mixed, offsets, std::vector<float>(3)),
                    std::invalid_argument);
}

TEST_CASE("activity_calibration: worked example") {
    // Users 5 and 9 have one row, user 4 has two, user 1 four: cuts at 2 and 4.
    const std::vector<std::uint64_t> users{4, 1, 1, 5, 1, 4, 1, 9};
    const std::vector<float> predictions{0.5f, 0.25f, 0.25f, 1.0f, 0.5f, 0.5f, 0.5f, 0.5f};
    const std::vector<float> labels{0.25f, 0.5f, 0.5f, 0.5f, 0.5f, 0.25f, 1.0f, 0.5f};
    const activity_table t = activity_calibration(serial, users, predictions, labels, {.buckets = 4});
    REQUIRE(t.size() == 3);
    CHECK(t.seen() == counts{8, 0});
    const activity_row first = t.row(0), second = t.row(1), last = t.row(2);
    CHECK(first.rows == 2);
    CHECK(first.least == 1.0);
    CHECK(first.most == 1.0);
    CHECK(first.difference == 0.25);
    CHECK(first.error == 0.25);  // differences 1/2 and 0
    CHECK(second.rows == 2);
    CHECK(second.mean_prediction == 0.5);
    CHECK(second.mean_label == 0.25);
    CHECK(second.error == 0.0);
    CHECK(last.rows == 4);
    CHECK(last.least == 4.0);
    CHECK(last.difference == -0.25);
    CHECK(t.finish() == 0.25);
    // Activity from a column: user 9 is the most active now, 1 the least.
    const std::vector<int> given{20, 10, 10, 20, 10, 20, 10, 30};
    const activity_table u = activity_calibration(serial, users, predictions, labels, {.buckets = 3}, given);
    REQUIRE(u.size() == 2);  // ranks 1 and 2 of {10, 20, 20, 30} are both 20
    CHECK(u.row(0).rows == 4);
    CHECK(u.row(1).rows == 4);
    CHECK(u.row(1).least == 20.0);
    CHECK(u.row(1).most == 30.0);
}

TEST_CASE("activity_calibration: against a plain loop") {
    for (const std::size_t n : {0u, 1u, 7u, 500u, 40000u}) {
        const auto users = random_integers<std::uint32_t>(n, 1 + n / 9, n + 1);
        std::vector<std::uint32_t> skewed(users);
        for (std::uint32_t& u : skewed) u = u * u / 64;  // small ids have more rows
        const auto p = random_uniform<float>(n, 0, 1, 3), y = random_uniform<float>(n, 0, 2, 4);
        const activity_table t = activity_calibration(serial, skewed, p, y);
        std::map<std::uint32_t, double> size;
        for (const std::uint32_t u : skewed) size[u] += 1.0;
        std::vector<double> sorted;
        for (const auto& [user, rows] : size) sorted.push_back(rows);
        std::sort(sorted.begin(), sorted.end());
        std::vector<double> cuts;
        for (std::size_t k = 1; k < 10 && !sorted.empty(); ++k) cuts.push_back(sorted[k * sorted.size() / 10]);
        if (!sorted.empty()) std::erase(cuts, sorted.front());
        cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
        REQUIRE(t.size() == cuts.size() + 1);
        for (std::size_t b = 0; b < t.size(); ++b) {
            CAPTURE(n);
            CAPTURE(b);
            double rows = 0.0, sum_p = 0.0, sum_y = 0.0;
            for (std::size_t i = 0; i < n; ++i) {
                const auto bucket = std::upper_bound(cuts.begin(), cuts.end(), size[skewed[i]]) - cuts.begin();
                if (static_cast<std::size_t>(bucket) != b) continue;
                rows += 1.0;
                sum_p += static_cast<double>(p[i]);
                sum_y += static_cast<double>(y[i]);
            }
            const activity_row row = t.row(b);
            CHECK(static_cast<double>(row.rows) == rows);
            CHECK_NEAR(row.mean_prediction, sum_p / rows, reduction(n));
            CHECK_NEAR(row.mean_label, sum_y / rows, reduction(n));
            CHECK_NEAR(row.difference, (sum_p - sum_y) / rows, reduction(n).of((sum_p + sum_y) / rows));
            if (rows < 2.0) {
                CHECK(std::isnan(row.error));
                continue;
            }
            double square = 0.0;
            for (std::size_t i = 0; i < n; ++i) {
                const auto bucket = std::upper_bound(cuts.begin(), cuts.end(), size[skewed[i]]) - cuts.begin();
                if (static_cast<std::size_t>(bucket) != b) continue;
                const double d = static_cast<double>(p[i]) - static_cast<double>(y[i]) - (sum_p - sum_y) / rows;
                square += d * d;
            }
            CHECK_NEAR(row.error, std::sqrt(square / (rows - 1.0) / rows), reduction(n));
        }
    }
}

TEST_CASE("activity_table: merge law, threads, bytes") {
    const std::size_t n = 20000;
    const auto activity = random_integers<std::uint32_t>(n, 50, 1);
    std::vector<double> p(n), y(n);
    for (std::size_t i = 0; i < n; ++i) {
        p[i] = static_cast<double>(random_stream(2).below(i, 17)) / 16.0;
        y[i] = static_cast<double>(random_stream(3).below(i, 5)) / 4.0;
    }
    const activity_table identity(activity_buckets(activity));
    const auto rows = make_active("test", activity, p, y);
    const auto same = [](const activity_table& a, const activity_table& b) { return to_bytes(a) == to_bytes(b); };
    // Dyadic fractions: bit by bit.
    CHECK_LAW(testing::check_merge(identity, rows, same));
    exec::pool pool(3);
    CHECK_LAW(testing::check_fold_policy(identity, rows, exec::host{pool}, same));
    CHECK(same(activity_calibration(exec::host{pool}, activity, p, y), activity_calibration(serial, activity, p, y)));
    CHECK_THROWS_AS(activity_table(identity).merge(activity_table(activity_buckets(activity, 4))),
                    std::invalid_argument);

    activity_table state(activity_buckets(std::vector<int>{1, 2, 3, 4}, 3));
    state.absorb(rows.slice(0, 40));
    CHECK_LAW(testing::check_bytes(state, [&](const activity_table& t) {
        activity_table more = t;
        more.absorb(rows.slice(40, 30));
        more.merge(t);
        for (std::size_t b = 0; b < more.size(); ++b) {
            const activity_row row = more.row(b);
            if (row.rows > 0 && !(row.least <= row.most)) return false;
            if (row.error < 0.0) return false;
        }
        return true;
    }));
}

TEST_CASE("activity_calibration: bad input") {
    const std::vector<int> users{1, 2, 2, 3}, three{1, 2, 3};
    const std::vector<double> p{0.5, nan, 0.5, inf}, y{0.5, 0.5, 0.25, 0.5};
    const activity_table t = activity_calibration(serial, users, p, y);
    CHECK(t.seen() == counts{2, 2});
    REQUIRE(t.size() == 2);
    CHECK(t.row(1).rows == 1);  // user 2 has two rows, one of them refused
    CHECK(std::isnan(t.row(1).error));
    const activity_table empty =
        activity_calibration(serial, std::vector<int>{}, std::vector<float>{}, std::vector<float>{});
    CHECK(empty.size() == 1);
    CHECK(empty.row(0).rows == 0);
    CHECK(std::isnan(empty.row(0).difference));
    CHECK(std::isnan(empty.finish()));
    // Squares beyond 1e140 could add up to infinity.
    const std::vector<double> large{1e150, 0.5, -1e141, 0.5}, ones(4, 1.0);
    CHECK(activity_calibration(serial, users, large, y).seen() == counts{2, 2});
    CHECK(activity_calibration(serial, users, y, large).seen() == counts{2, 2});
    CHECK(activity_calibration(serial, users, y, y, {}, large).seen() == counts{2, 2});
    const std::vector<double> most(4, 1e140), least(4, -1e140);
    const activity_table far = activity_calibration(serial, users, most, least);
    CHECK(far.seen() == counts{4, 0});
    CHECK(to_bytes(from_bytes<activity_table>(to_bytes(far))) == to_bytes(far));
    // Bins of [0, 1] are no buckets of activities.
    CHECK_THROWS_WITH_AS(activity_table{score_bins()}, "activity_table: buckets must have cuts, got 15 of equal width",
                         std::invalid_argument);
    CHECK_THROWS_AS(activity_table{score_bins::width(2)}, std::invalid_argument);
    CHECK(activity_table{score_bins::width(1)}.size() == 1);
    // One empty bucket, made two.
    std::vector<std::byte> bytes = to_bytes(activity_table{score_bins::width(1)});
    bytes[reckon::detail::bytes_header_size] = std::byte{2};
    const std::vector<std::byte> cell(bytes.end() - 72, bytes.end());
    bytes.insert(bytes.end(), cell.begin(), cell.end());
    testing::detail::repair(bytes);
    CHECK_THROWS_WITH_AS(from_bytes<activity_table>(bytes), "activity_table: 2 buckets of equal width",
                         std::runtime_error);
    // All ties: one bucket.
    CHECK(activity_calibration(serial, std::vector<int>{4, 5, 6}, three, three).size() == 1);
    CHECK_THROWS_AS(activity_calibration(serial, three, p, y), std::invalid_argument);
    CHECK_THROWS_AS(activity_calibration(serial, users, p, three), std::invalid_argument);
    CHECK_THROWS_AS(activity_calibration(serial, users, p, y, {}, three), std::invalid_argument);
    CHECK_THROWS_AS(activity_calibration(serial, users, p, y, {.buckets = 0}), std::invalid_argument);
    CHECK(activity_calibration(serial, users, y, y, {}, std::vector<double>{1, nan, 2, 3}).seen() == counts{3, 1});
}

activity_table golden_object() {
    activity_table table(activity_buckets(std::vector<int>{1, 2, 3, 4, 5, 6}, 3));
    const std::vector<double> activity{1, 2, 2, 6, nan}, p{0.5, 0.25, 1.0, 0.75, 0.5}, y{0.25, 0.5, 1.5, 0.0, 0.5};
    table.absorb(make_active("golden", activity, p, y));
    return table;
}
std::vector<double> golden_answers(const activity_table& t) {
    std::vector<double> said{t.finish()};
    for (std::size_t b = 0; b < t.size(); ++b) {
        const activity_row row = t.row(b);
        append(said,
               {static_cast<double>(row.rows), row.least, row.most, row.mean_prediction, row.mean_label, row.error});
    }
    append(said, both(t.seen()));
    return said;
}
TEST_CASE("golden: activity_table") {
    check_golden("activity_table", golden_object(), golden_answers);
}
TEST_CASE("golden: write activity_table" * doctest::skip()) {
    write_golden("activity_table", golden_object());
}

}  // namespace
