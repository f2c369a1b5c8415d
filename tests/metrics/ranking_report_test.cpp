// ranking_report: values of the metrics themselves, intervals, merge law, threads, bad input, bytes.
#include "reckon/metrics/ranking_report.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/core/group_by.hpp"
#include "reckon/exec/pool.hpp"
#include "support/golden.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

struct lists {
    std::vector<float> scores, labels;
    std::vector<std::uint32_t> offsets{0};
    std::vector<std::uint64_t> users;

    // Lists first .. end - 1.
    lists part(std::size_t first, std::size_t end) const {
        lists out;
        for (std::size_t s = first; s < end; ++s) {
            for (std::size_t r = offsets[s]; r < offsets[s + 1]; ++r) {
                out.scores.push_back(scores[r]);
                out.labels.push_back(labels[r]);
            }
            out.offsets.push_back(static_cast<std::uint32_t>(out.scores.size()));
            out.users.push_back(users[s]);
        }
        return out;
    }
};

// Graded labels, ties, lists without a relevant row, empty lists, several lists a user.
lists random_lists(std::size_t n, double skill, std::uint64_t seed) {
    const random_stream rng(seed, 60);
    lists out;
    std::uint64_t at = 0;
    for (std::size_t s = 0; s < n; ++s) {
        const std::uint64_t rows = rng.below(at++, 14);
        for (std::uint64_t r = 0; r < rows; ++r) {
            const double taste = rng.normal(at++);
            out.labels.push_back(static_cast<float>(taste < 0.5 ? 0 : taste < 1.2 ? 1 : 3));
            out.scores.push_back(static_cast<float>(std::round(4.0 * (skill * taste + rng.normal(at++))) / 4.0));
        }
        out.offsets.push_back(static_cast<std::uint32_t>(out.scores.size()));
        out.users.push_back(rng.below(at++, 1 + n / 2));
    }
    return out;
}

template <class Policy>
ranking_summary report(const Policy& where, const lists& l, const ranking_report_options& options = {}) {
    return ranking_report(where, l.scores, l.labels, l.offsets, l.users, options);
}

TEST_CASE("ranking_report: worked example") {
    // The best row first for user 8, second for user 9; user 7 likes nothing.
    const std::vector<float> scores{3, 2, 1, 1, 2, 0, 5, 6}, labels{1, 0, 0, 1, 0, 0, 0, 0};
    const std::vector<std::uint32_t> offsets{0, 3, 6, 8};
    const std::vector<int> users{8, 9, 7};
    const ranking_summary summary =
        ranking_report(serial, scores, labels, offsets, users, {.k = 1, .bootstrap = {.replicates = 100}});
    const auto table = summary.finish();
    REQUIRE(table.size() == ranking_metrics);
    const auto value = [&](ranking_metric m) { return summary.row(m).value; };
    CHECK(value(ranking_metric::uauc) == 0.75);
    CHECK(value(ranking_metric::gauc) == 0.75);
    CHECK(value(ranking_metric::hit_rate) == 0.5);
    CHECK(value(ranking_metric::ndcg) == 0.5);
    CHECK(value(ranking_metric::reciprocal_rank) == 0.75);
    CHECK(value(ranking_metric::average_precision) == 0.75);
    CHECK(std::string(table[5].name) == "ndcg");
    CHECK(std::string(table[10].name) == "average_precision");
    CHECK(table[0].lists == 2);
    CHECK(table[0].lower == 0.5);
    CHECK(table[0].upper == 1.0);
}

TEST_CASE("ranking_report: values are those of the metrics, intervals lie around them") {
    const lists l = random_lists(500, 0.7, 1);
    const ranking_summary summary =
        report(serial, l, {.k = 3, .threshold = 0.5, .empty = empty_rule::zero, .bootstrap = {.replicates = 200}});
    const auto check = [&](ranking_metric m, const mean_value& want) {
        const ranking_row row = summary.row(m);
        CAPTURE(std::string(row.name));
        // Half a unit in each numerator, and the roundings of the metric's own sum.
        tolerance tol = reduction(500);
        tol.absolute = 0x1p-31;
        CHECK_NEAR(row.value, want.finish(), tol);
        CHECK(row.lower < row.value);
        CHECK(row.value < row.upper);
        CHECK(row.error > 0.0);
        CHECK(row.error < 0.1);
        CHECK(row.lists > 300);
    };
    const auto each = [&](auto&& metric) { return metric(serial, l.scores, l.labels, l.offsets); };
    check(ranking_metric::uauc, each([](auto&&... a) { return uauc(a...); }));
    check(ranking_metric::gauc, each([](auto&&... a) { return gauc(a...); }));
    check(ranking_metric::kendall_tau_b, each([](auto&&... a) { return kendall_tau_b(a...); }));
    check(ranking_metric::spearman, each([](auto&&... a) { return spearman(a...); }));
    check(ranking_metric::normalized_gini, each([](auto&&... a) { return normalized_gini(a...); }));
    check(ranking_metric::ndcg, ndcg(serial, l.scores, l.labels, l.offsets, {.k = 3, .empty = empty_rule::zero}));
    check(ranking_metric::hit_rate,
          hit_rate(serial, l.scores, l.labels, l.offsets, {.k = 3, .threshold = 0.5, .empty = empty_rule::zero}));
    check(ranking_metric::recall,
          recall(serial, l.scores, l.labels, l.offsets, {.k = 3, .threshold = 0.5, .empty = empty_rule::zero}));
    check(ranking_metric::precision,
          precision(serial, l.scores, l.labels, l.offsets, {.k = 3, .threshold = 0.5, .empty = empty_rule::zero}));
    check(ranking_metric::reciprocal_rank,
          reciprocal_rank(serial, l.scores, l.labels, l.offsets, {.threshold = 0.5, .empty = empty_rule::zero}));
    check(ranking_metric::average_precision,
          average_precision(serial, l.scores, l.labels, l.offsets, {.threshold = 0.5, .empty = empty_rule::zero}));
}

TEST_CASE("ranking_report: shards and threads give the same bits") {
    const lists l = random_lists(300, 0.7, 2);
    const ranking_report_options options{.bootstrap = {.replicates = 60, .seed = 4}};
    const ranking_summary want = report(serial, l, options);
    exec::pool pool(3);
    CHECK(to_bytes(report(exec::host{pool}, l, options)) == to_bytes(want));
    ranking_summary merged(options);
    for (const std::size_t first : {290u, 100u, 0u}) {
        const std::size_t end = first == 290u ? 300u : first == 100u ? 290u : 100u;
        merged.merge(report(serial, l.part(first, end), options));
    }
    CHECK(to_bytes(merged) == to_bytes(want));
    CHECK_THROWS_AS(merged.merge(ranking_summary({.k = 5, .bootstrap = options.bootstrap})), std::invalid_argument);
    CHECK_THROWS_AS(merged.merge(ranking_summary()), std::invalid_argument);
    // Other functions of a list cannot be merged nor compared.
    const auto refused = [&](ranking_report_options other, const std::string& why) {
        other.bootstrap = options.bootstrap;
        const ranking_summary there(other);
        CHECK_THROWS_WITH_AS(merged.merge(there), ("ranking_report::merge: " + why).c_str(), std::invalid_argument);
        CHECK_THROWS_WITH_AS(merged.difference(there, ranking_metric::ndcg),
                             ("ranking_report::difference: " + why).c_str(), std::invalid_argument);
    };
    refused({.k = 5}, "k = 10 here, 5 there");
    refused({.threshold = 0.5}, "threshold 0 here, 0.5 there");
    refused({.ties = tie_rule::trec}, "tie rule 0 here, 4 there");
    refused({.empty = empty_rule::one}, "empty rule 0 here, 2 there");
}

TEST_CASE("ranking_report: a better model is seen, a constant one scores as chance") {
    const lists good = random_lists(400, 1.0, 3);
    lists worse = good, constant = good;
    const std::vector<float> noise = random_normal<float>(good.scores.size(), 0.0, 0.4, 5);
    for (std::size_t i = 0; i < worse.scores.size(); ++i) worse.scores[i] += noise[i];
    for (float& s : constant.scores) s = 0.5f;
    const ranking_report_options options{.k = 4, .bootstrap = {.replicates = 300}};
    const ranking_summary a = report(serial, good, options), b = report(serial, worse, options);
    for (const ranking_metric m : {ranking_metric::uauc, ranking_metric::ndcg, ranking_metric::average_precision}) {
        const bootstrap_estimate d = a.difference(b, m);
        CHECK(d.value == a.row(m).value - b.row(m).value);
        CHECK(d.lower > 0.0);
        CHECK(d.error < a.row(m).error);
    }
    const ranking_summary c = report(serial, constant, options);
    CHECK(c.row(ranking_metric::uauc).value == 0.5);
    CHECK(c.row(ranking_metric::uauc).error == 0.0);
    for (const ranking_row& row : c.finish()) {
        CAPTURE(std::string(row.name));
        CHECK_FALSE(row.value >= 1.0);
    }
}

TEST_CASE("ranking_report: bad input") {
    const lists nothing;
    for (const ranking_row& row : report(serial, nothing).finish()) {
        CHECK(std::isnan(row.value));
        CHECK(std::isnan(row.lower));
        CHECK(row.lists == 0);
    }
    lists l = random_lists(20, 0.5, 7);
    // Rows with a NaN have no weight in gauc.
    l.scores[2] = std::numeric_limits<float>::quiet_NaN();
    l.labels[5] = std::numeric_limits<float>::quiet_NaN();
    tolerance tol = reduction(20);
    tol.absolute = 0x1p-31;
    CHECK_NEAR(report(serial, l).row(ranking_metric::gauc).value, gauc(serial, l.scores, l.labels, l.offsets).finish(),
               tol);
    CHECK_THROWS_WITH_AS(ranking_report(serial, l.scores, l.labels, l.offsets, std::vector<int>{1}),
                         "ranking_report: 20 lists but 1 users", std::invalid_argument);
    CHECK_THROWS_AS(ranking_report(serial, l.scores, std::vector<float>{1.0f}, l.offsets, l.users),
                    std::invalid_argument);
    CHECK_THROWS_AS(report(serial, l, {.threshold = -1.0}), std::invalid_argument);
    CHECK_THROWS_AS(report(serial, l, {.bootstrap = {.replicates = 3}}), std::invalid_argument);
}

TEST_CASE("ranking_report: bytes") {
    const ranking_summary summary =
        report(serial, random_lists(30, 0.5, 8), {.k = 7, .ties = tie_rule::trec, .bootstrap = {.replicates = 50}});
    const std::vector<std::byte> bytes = to_bytes(summary);
    const auto again = from_bytes<ranking_summary>(bytes);
    CHECK(to_bytes(again) == bytes);
    CHECK(again.options().k == 7);
    CHECK(again.options().ties == tie_rule::trec);
    CHECK(again.row(ranking_metric::ndcg).upper == summary.row(ranking_metric::ndcg).upper);
    // The sums are a clustered_bootstrap, whose test enumerates the damage; here the options.
    for (std::size_t at = 0; at < 18 + 32; ++at) {
        for (const int value : {0, 3, 5, 127, 255}) {
            std::vector<std::byte> altered = bytes;
            altered[reckon::detail::bytes_header_size + at] = static_cast<std::byte>(value);
            testing::detail::repair(altered);
            try {
                const auto read = from_bytes<ranking_summary>(altered);
                CHECK(read.finish().size() == ranking_metrics);
            } catch (const std::runtime_error&) {
            }
        }
    }
    std::vector<std::byte> altered = bytes;
    altered[reckon::detail::bytes_header_size + 16] = std::byte{5};
    testing::detail::repair(altered);
    CHECK_THROWS_AS(from_bytes<ranking_summary>(altered), std::runtime_error);
    altered.pop_back();
    testing::detail::repair(altered);
    CHECK_THROWS_AS(from_bytes<ranking_summary>(altered), std::runtime_error);
}

// Lists whose metrics are dyadic or rounded alike everywhere.
ranking_summary golden_object() {
    const std::vector<float> scores{3, 2, 1, 0, 1, 2, 2, 1}, labels{1, 0, 0, 0, 1, 0, 1, 0};
    const std::vector<std::uint32_t> offsets{0, 4, 6, 8};
    const std::vector<int> users{5, 6, 5};
    return ranking_report(
        serial, scores, labels, offsets, users,
        {.k = 1, .threshold = 0.5, .ties = tie_rule::first, .bootstrap = {.replicates = 50, .seed = 3}});
}
std::vector<double> golden_answers(const ranking_summary& s) {
    std::vector<double> said{static_cast<double>(s.options().k), s.options().threshold};
    for (const ranking_row& row : s.finish()) {
        append(said, {row.value, row.error, row.lower, row.upper, static_cast<double>(row.lists)});
    }
    return said;
}
TEST_CASE("golden: ranking_summary") {
    check_golden("ranking_summary", golden_object(), golden_answers);
}
TEST_CASE("golden: write ranking_summary" * doctest::skip()) {
    write_golden("ranking_summary", golden_object());
}

}  // namespace
