// Metrics of ranked lists: nDCG, reciprocal rank, hit rate, recall, precision, average precision, and rules for ties.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "ranked_lists_reference.hpp"
#include "reckon/exec/pool.hpp"
#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();
const std::vector<std::uint32_t> one_of_six{0, 6};

// The library's value of every list.
template <class P, class Y>
std::vector<double> values(list_metric metric, const std::vector<P>& scores, const std::vector<Y>& labels,
                           const std::vector<std::uint32_t>& offsets, std::size_t k, tie_rule ties,
                           empty_rule empty = empty_rule::skip) {
    std::vector<double> out(offsets.size() - 1, -1.0);
    run_list_metric(metric, serial, scores, labels, offsets, k, ties, empty, out);
    return out;
}
template <class P, class Y>
double value(list_metric metric, const std::vector<P>& scores, const std::vector<Y>& labels, std::size_t k,
             tie_rule ties = tie_rule::expected) {
    return values(metric, scores, labels, {0, static_cast<std::uint32_t>(scores.size())}, k, ties)[0];
}

}  // namespace

TEST_CASE("ranked lists: worked example") {
    // In order of scores the grades are 1 0 2 0 0 3.
    const std::vector<float> scores{0.1f, 0.9f, 0.5f, 0.8f, 0.2f, 0.4f};
    const std::vector<int> grades{3, 1, 2, 0, 0, 0};
    const double dcg = 1.0 + 3.0 / std::log2(4.0), ideal = 7.0 + 3.0 / std::log2(3.0) + 1.0 / std::log2(4.0);
    CHECK_NEAR(ndcg(serial, scores, grades, one_of_six, {.k = 3}).finish(), dcg / ideal, ulp(4));
    const double whole = 1.0 + 2.0 / std::log2(4.0) + 3.0 / std::log2(7.0);
    CHECK_NEAR(ndcg(serial, scores, grades, one_of_six, {.k = 0, .gain = dcg_gain::linear}).finish(),
               whole / (3.0 + 2.0 / std::log2(3.0) + 1.0 / std::log2(4.0)), ulp(4));
    CHECK(reciprocal_rank(serial, scores, grades, one_of_six).finish() == 1.0);
    CHECK(reciprocal_rank(serial, scores, grades, one_of_six, {.threshold = 1.0}).finish() == 1.0 / 3.0);
    CHECK(reciprocal_rank(serial, scores, grades, one_of_six, {.threshold = 2.5}).finish() == 1.0 / 6.0);
    CHECK(reciprocal_rank(serial, scores, grades, one_of_six, {.k = 2, .threshold = 1.0}).finish() == 0.0);
    CHECK(hit_rate(serial, scores, grades, one_of_six, {.k = 2, .threshold = 1.0}).finish() == 0.0);
    CHECK(hit_rate(serial, scores, grades, one_of_six, {.k = 3, .threshold = 1.0}).finish() == 1.0);
    CHECK(recall(serial, scores, grades, one_of_six, {.k = 3}).finish() == 2.0 / 3.0);
    CHECK(precision(serial, scores, grades, one_of_six, {.k = 4}).finish() == 0.5);
    CHECK(precision(serial, scores, grades, one_of_six, {.k = 12}).finish() == 0.25);
    CHECK(precision(serial, scores, grades, one_of_six, {.k = 0}).finish() == 0.5);
    CHECK_NEAR(average_precision(serial, scores, grades, one_of_six).finish(), (1.0 + 2.0 / 3.0 + 3.0 / 6.0) / 3.0,
               ulp(2));
    CHECK_NEAR(average_precision(serial, scores, grades, one_of_six, {.k = 2}).finish(), 1.0 / 3.0, ulp(2));
    CHECK(average_precision(serial, scores, grades, one_of_six, {.k = 2, .reachable = true}).finish() == 0.5);

    // A mean over lists; the second one has nothing relevant.
    const std::vector<float> more{3, 2, 1, 3, 2, 1};
    const std::vector<int> clicks{0, 1, 0, 0, 0, 0};
    const std::vector<std::uint32_t> two{0, 3, 6};
    std::vector<float> each(2);
    const list_mean mean = reciprocal_rank(serial, more, clicks, two, {}, each);
    CHECK(mean.sum() == 0.5);
    CHECK(mean.weight() == 1.0);
    CHECK(mean.lists == counts{1, 1});
    CHECK(mean.seen == counts{6, 0});
    CHECK(each[0] == 0.5f);
    CHECK(std::isnan(each[1]));
    CHECK(reciprocal_rank(serial, more, clicks, two, {.empty = empty_rule::zero}).finish() == 0.25);
    CHECK(reciprocal_rank(serial, more, clicks, two, {.empty = empty_rule::one}).finish() == 0.75);
}

TEST_CASE("ranked lists: every order of equal rows, every rule, every cut") {
    // Up to 6 rows on few levels; the value of every order that the scores allow, one by one.
    for (const std::size_t levels : {1u, 2u, 3u, 0u}) {
        std::vector<std::size_t> lengths;
        for (std::size_t copy = 0; copy < 8; ++copy) {
            for (std::size_t n = 0; n <= 6; ++n) lengths.push_back(n);
        }
        auto lists = random_lists(lengths, levels, 3, levels + 7);
        // Some rows without a score, some infinite ones.
        for (std::size_t i = 11; i < lists.scores.size(); i += 23) lists.scores[i] = static_cast<float>(unknown);
        for (std::size_t i = 5; i < lists.scores.size(); i += 19) {
            lists.scores[i] = static_cast<float>(i % 2 == 0 ? inf : -inf);
        }
        for (const list_metric metric : all_list_metrics) {
            for (std::size_t k = 0; k <= 9; ++k) {
                std::vector<std::vector<double>> got;
                for (const tie_rule ties : all_tie_rules) {
                    got.push_back(values(metric, lists.scores, lists.labels, lists.offsets, k, ties));
                }
                for (std::size_t s = 0; s < lists.size(); ++s) {
                    const auto scores = lists.scores_of(s), labels = lists.labels_of(s);
                    CAPTURE(levels);
                    CAPTURE(static_cast<int>(metric));
                    CAPTURE(k);
                    CAPTURE(s);
                    CAPTURE(scores);
                    CAPTURE(labels);
                    const order_figures want = over_all_orders(metric, scores, labels, k);
                    const bool none = std::isnan(want.mean);
                    CHECK_NEAR(got[0][s], want.mean, reduction(720));
                    CHECK_NEAR(got[1][s], none ? unknown : want.least, reduction(8));
                    CHECK_NEAR(got[2][s], none ? unknown : want.most, reduction(8));
                    for (const std::size_t rule : {3u, 4u}) {
                        const auto order = falling_order(scores, rule == 4);
                        CHECK_NEAR(got[rule][s], value_of_order(metric, labels, order, k), reduction(8));
                    }
                }
            }
        }
    }
}

TEST_CASE("ranked lists: against a sort, lengths around the lanes and cuts around the registers") {
    std::vector<std::size_t> lengths = sweep_lengths(8, false);
    for (const std::size_t n : {20u, 31u, 32u, 33u, 47u, 64u, 100u, 127u, 128u, 129u, 200u, 257u, 700u, 5000u})
        lengths.push_back(n);
    for (const std::size_t levels : {0u, 5u, 60u}) {
        const auto lists = random_lists(lengths, levels, 4, levels + 1);
        const std::vector<double> wide(lists.scores.begin(), lists.scores.end());
        const std::vector<float> grades(lists.labels.begin(), lists.labels.end());
        for (const list_metric metric : all_list_metrics) {
            for (const std::size_t k : {0u, 1u, 5u, 10u, 16u, 21u, 64u, 65u, 300u, 6000u}) {
                for (const tie_rule ties : all_tie_rules) {
                    const auto got = values(metric, lists.scores, lists.labels, lists.offsets, k, ties);
                    CAPTURE(levels);
                    CAPTURE(static_cast<int>(metric));
                    CAPTURE(static_cast<int>(ties));
                    CAPTURE(k);
                    // Double scores take other registers, float labels another column; the values are the same ones.
                    CHECK_ALL_NEAR(values(metric, wide, grades, lists.offsets, k, ties), got, reduction(5000));
                    if (ties == tie_rule::expected && levels > 0) continue;
                    for (std::size_t s = 0; s < lists.size(); ++s) {
                        CAPTURE(lengths[s]);
                        CHECK_NEAR(got[s], value_by_sort(metric, lists.scores_of(s), lists.labels_of(s), k, ties),
                                   reduction(lengths[s]));
                    }
                }
            }
        }
    }
}

TEST_CASE("ranked lists: scikit-learn, trec_eval, xgboost and exact means over orders") {
    const fixture data("ranked_lists.txt");
    using lm = list_metric;
    struct record {
        std::string name;
        lm metric;
        std::size_t k;
        tie_rule ties;
        empty_rule empty;
    };
    for (const std::string set : {"tied", "distinct"}) {
        std::vector<record> records;
        for (const std::size_t k : {1u, 3u, 10u, 32u, 0u}) {
            const std::string at = k == 0 ? "all" : std::to_string(k);
            if (k == 32) {
                records.push_back({"xgboost.ndcg32", lm::ndcg_linear, k, tie_rule::first, empty_rule::one});
                records.push_back({"xgboost.ndcg_exp32", lm::ndcg, k, tie_rule::first, empty_rule::one});
                continue;
            }
            records.push_back({"sklearn.ndcg" + at, lm::ndcg_linear, k, tie_rule::expected, empty_rule::zero});
            records.push_back({"sklearn.ndcg_exp" + at, lm::ndcg, k, tie_rule::expected, empty_rule::zero});
            if (k > 1) {
                records.push_back({"xgboost.ndcg" + at, lm::ndcg_linear, k, tie_rule::first, empty_rule::one});
                records.push_back({"xgboost.ndcg_exp" + at, lm::ndcg, k, tie_rule::first, empty_rule::one});
            }
            if (k == 0) continue;
            const auto trec = [&](const std::string& name, lm metric) {
                records.push_back({"trec." + name + "_" + at, metric, k, tie_rule::trec, empty_rule::zero});
            };
            trec("ndcg_cut", lm::ndcg_linear);
            trec("map_cut", lm::average_precision);
            trec("P", lm::precision);
            trec("recall", lm::recall);
            trec("success", lm::hit_rate);
            if (set == "tied") {
                const auto mean = [&](const std::string& name, lm metric) {
                    records.push_back({"expected." + name + at, metric, k, tie_rule::expected, empty_rule::skip});
                };
                mean("rr", lm::reciprocal_rank);
                mean("hit", lm::hit_rate);
                mean("recall", lm::recall);
                mean("precision", lm::precision);
                mean("ap", lm::average_precision);
            }
        }
        records.push_back({"trec.ndcg", lm::ndcg_linear, 0, tie_rule::trec, empty_rule::zero});
        records.push_back({"trec.map", lm::average_precision, 0, tie_rule::trec, empty_rule::zero});
        records.push_back({"trec.recip_rank", lm::reciprocal_rank, 0, tie_rule::trec, empty_rule::zero});
        if (set == "tied") {
            records.push_back({"expected.ap150", lm::average_precision, 0, tie_rule::expected, empty_rule::skip});
            records.push_back({"expected.rr150", lm::reciprocal_rank, 0, tie_rule::expected, empty_rule::skip});
        } else {
            records.push_back({"sklearn.ap", lm::average_precision, 0, tie_rule::expected, empty_rule::one});
            records.push_back({"sklearn.ndcg_first10", lm::ndcg_linear, 10, tie_rule::first, empty_rule::zero});
        }
        const auto scores = data.as<float>(set + ".scores");
        const auto labels = data.as<std::uint8_t>(set + ".labels");
        const auto offsets = data.as<std::uint32_t>(set + ".offsets");
        for (const record& r : records) {
            auto got = values(r.metric, scores, labels, offsets, r.k, r.ties, r.empty);
            const auto& want = data[set + "." + r.name];
            REQUIRE(got.size() == want.size());
            for (std::size_t s = 0; s < got.size(); ++s) {
                CAPTURE(set);
                CAPTURE(r.name);
                CAPTURE(s);
                // scikit-learn has no value for one row.
                if (std::isnan(want[s]) && offsets[s + 1] - offsets[s] == 1) continue;
                CHECK_NEAR(got[s], want[s], reduction(150));
            }
        }
        for (const std::size_t k : {3u, 10u, 32u}) {
            std::vector<double> got(offsets.size() - 1);
            average_precision(serial, scores, labels, offsets,
                              {.k = k, .reachable = true, .ties = tie_rule::first, .empty = empty_rule::one}, got);
            CHECK_ALL_NEAR(got, data[set + ".xgboost.map" + std::to_string(k)], reduction(150));
        }
        // xgboost divides by the shorter of k and the list.
        for (const std::size_t k : {3u, 10u}) {
            auto got = values(lm::precision, scores, labels, offsets, k, tie_rule::first, empty_rule::zero);
            for (std::size_t s = 0; s < got.size(); ++s) {
                const std::size_t n = offsets[s + 1] - offsets[s];
                got[s] *= static_cast<double>(k) / static_cast<double>((std::min)(n, k));
            }
            CHECK_ALL_NEAR(got, data[set + ".xgboost.pre" + std::to_string(k)], ulp(4));
        }
    }
}

TEST_CASE("ranked lists: a constant model gains nothing from rows that are sorted by label") {
    std::vector<std::uint8_t> labels(40, 0);
    std::fill(labels.begin(), labels.begin() + 12, std::uint8_t{1});
    const std::vector<float> constant(40, 0.5f);
    // The order of rows would make it perfect, by one rule or the other.
    std::vector<std::uint8_t> turned(labels.rbegin(), labels.rend());
    for (const list_metric metric : all_list_metrics) {
        for (const std::size_t k : {1u, 10u}) {
            // Divided by 12 relevant rows, which do not fit.
            if (metric == list_metric::recall || metric == list_metric::average_precision) continue;
            CHECK(value(metric, constant, labels, k, tie_rule::first) > 0.8);
            CHECK(value(metric, constant, turned, k, tie_rule::trec) > 0.8);
        }
    }
    CHECK(value(list_metric::ndcg, constant, labels, 10, tie_rule::first) == 1.0);
    for (const list_metric metric : all_list_metrics) {
        CAPTURE(static_cast<int>(metric));
        for (std::size_t k = 1; k <= 28; ++k) {
            const double here = value(metric, constant, labels, k);
            CHECK(here < 1.0);
            // The order of rows does not matter.
            CHECK(here == value(metric, constant, turned, k));
        }
    }
    CHECK_NEAR(value(list_metric::precision, constant, labels, 10), 0.3, ulp(2));
    CHECK_NEAR(value(list_metric::recall, constant, labels, 10), 0.25, ulp(2));
    CHECK(value(list_metric::average_precision, constant, labels, 0) < 0.4);
    CHECK(value(list_metric::reciprocal_rank, constant, labels, 0) < 0.6);
    CHECK(value(list_metric::ndcg, constant, labels, 0) < 0.8);
    // Among 29 ranks there is one of 12 relevant rows of 40.
    CHECK(value(list_metric::hit_rate, constant, labels, 29) == 1.0);
}

TEST_CASE("ranked lists: the best order gives exactly 1") {
    const std::vector<std::size_t> lengths{1, 2, 9, 33, 100, 300};
    const auto lists = random_lists(lengths, 0, 3, 5);
    // Scores that follow the grades, tied within a grade.
    std::vector<double> ideal(lists.labels.begin(), lists.labels.end());
    std::vector<float> odd;  // labels that are no small integers
    for (const std::uint8_t y : lists.labels) odd.push_back(y > 0 ? 0.3f + 3.7f * static_cast<float>(y) : 0.0f);
    for (const tie_rule ties : all_tie_rules) {
        for (const std::size_t k : {1u, 10u, 0u}) {
            for (const list_metric metric : {list_metric::ndcg, list_metric::ndcg_linear}) {
                for (const double v : values(metric, ideal, lists.labels, lists.offsets, k, ties)) {
                    CHECK((v == 1.0 || std::isnan(v)));
                }
            }
            for (const list_metric metric : {list_metric::ndcg, list_metric::ndcg_linear}) {
                for (const double v : values(metric, ideal, odd, lists.offsets, k, ties)) {
                    CHECK((v == 1.0 || std::isnan(v)));
                }
            }
        }
        std::vector<double> best(lists.labels.size());
        for (std::size_t i = 0; i < best.size(); ++i) best[i] = lists.labels[i] > 0 ? 2.0 : 1.0;
        for (const double v : values(list_metric::average_precision, best, lists.labels, lists.offsets, 0, ties)) {
            CHECK((v == 1.0 || std::isnan(v)));
        }
    }
}

TEST_CASE("ranked lists: order, not size, of scores counts") {
    const auto lists = random_lists(std::vector<std::size_t>(40, 37), 50, 3, 9);
    std::vector<float> mapped;
    for (const float s : lists.scores) mapped.push_back(s * 8.0f + 100.0f);
    for (const list_metric metric : all_list_metrics) {
        CHECK_ALL_NEAR(values(metric, mapped, lists.labels, lists.offsets, 10, tie_rule::expected),
                       values(metric, lists.scores, lists.labels, lists.offsets, 10, tie_rule::expected), exact());
    }
}

TEST_CASE("ranked lists: threads give the same bits, shards merge") {
    std::vector<std::size_t> lengths;
    for (std::size_t s = 0; s < 500; ++s) lengths.push_back(s % 37);
    const auto lists = random_lists(lengths, 20, 3, 12);
    std::vector<std::uint32_t> head(lists.offsets.begin(), lists.offsets.begin() + 201), tail;
    for (std::size_t s = 200; s < lists.offsets.size(); ++s) tail.push_back(lists.offsets[s] - head.back());
    const vector_view<const float> scores(lists.scores.data(), lists.scores.size());
    const vector_view<const std::uint8_t> labels(lists.labels.data(), lists.labels.size());
    for (const list_metric metric : all_list_metrics) {
        std::vector<double> each(lists.size()), first(200), rest(lists.size() - 200);
        const auto run = [&](const auto& where, auto s, auto y, const auto& offsets, auto& out) {
            return run_list_metric(metric, where, s, y, offsets, 10, tie_rule::expected, empty_rule::skip, out);
        };
        const list_mean whole = run(serial, scores, labels, lists.offsets, each);
        const auto used =
            static_cast<std::uint64_t>(std::count_if(each.begin(), each.end(), [](double v) { return v == v; }));
        CHECK(whole.lists == counts{used, lists.size() - used});
        CHECK(whole.seen == counts{scores.size(), 0});
        none nothing;
        CHECK(run(serial, scores, labels, lists.offsets, nothing).sum() == whole.sum());
        for (const unsigned threads : {1u, 3u}) {
            exec::pool pool(threads);
            std::vector<double> other(lists.size());
            const list_mean got = run(exec::host{pool}, scores, labels, lists.offsets, other);
            CHECK(got.sum() == whole.sum());
            CHECK(got.weight() == whole.weight());
            CHECK_ALL_NEAR(other, each, exact());
        }
        list_mean merged = run(serial, scores.slice(0, head.back()), labels.slice(0, head.back()), head, first);
        merged.merge(run(serial, scores.slice(head.back(), scores.size() - head.back()),
                         labels.slice(head.back(), scores.size() - head.back()), tail, rest));
        first.insert(first.end(), rest.begin(), rest.end());
        CHECK_ALL_NEAR(first, each, exact());
        CHECK_NEAR(merged.sum(), whole.sum(), ulp(4));
        CHECK(merged.weight() == whole.weight());
        CHECK(merged.lists == whole.lists);
        CHECK(merged.seen == whole.seen);
    }
}

TEST_CASE("ranked lists: bad and thin input") {
    const std::vector<float> scores{0.3f, 0.2f, 0.1f}, empty;
    const std::vector<int> labels{1, 0, 1};
    const std::vector<std::uint32_t> offsets{0, 3};
    CHECK_THROWS_WITH_AS(ndcg(serial, scores, std::vector<int>{1}, offsets), "ndcg: 3 scores but 1 labels",
                         std::invalid_argument);
    CHECK_THROWS_AS(recall(serial, scores, labels, std::vector<std::uint32_t>{0, 2}), std::invalid_argument);
    CHECK_THROWS_AS(hit_rate(serial, scores, labels, std::vector<std::uint32_t>{0, 2, 1, 3}), std::invalid_argument);
    std::vector<double> room(2);
    CHECK_THROWS_WITH_AS(average_precision(serial, scores, labels, offsets, {}, room),
                         "average_precision: 1 lists but room for 2 values", std::invalid_argument);
    CHECK_THROWS_WITH_AS(precision(serial, scores, labels, offsets, {.threshold = -0.5}),
                         "precision: threshold must be at least 0, got -0.5", std::invalid_argument);
    CHECK_THROWS_AS(reciprocal_rank(serial, scores, labels, offsets, {.threshold = unknown}), std::invalid_argument);
    CHECK_THROWS_AS(hit_rate(serial, scores, labels, offsets, {.threshold = unknown}), std::invalid_argument);
    CHECK_THROWS_AS(average_precision(serial, scores, labels, offsets, {.threshold = unknown}), std::invalid_argument);
    // Rows are numbered from the first one of their list: lists are limited, tables are not. Nothing is read.
    const std::uint64_t many = std::uint64_t{1} << 32;
    const vector_view<const float> huge(scores.data(), many);
    CHECK_THROWS_WITH_AS(ndcg(serial, huge, huge, std::vector<std::uint64_t>{0, many}),
                         "ndcg: a list of 4294967296 rows, fewer than 2^32 are possible", std::invalid_argument);
    // No lists, empty lists, lists of one.
    CHECK(std::isnan(ndcg(serial, empty, std::vector<int>{}, std::vector<std::uint32_t>{}).finish()));
    const std::vector<std::uint32_t> thin{0, 0, 1, 1, 2};
    for (const list_metric metric : all_list_metrics) {
        const std::vector<float> two{-5.0f, 1.0f};
        CHECK_ALL_NEAR(values(metric, two, std::vector<int>{1, 0}, thin, 1, tie_rule::expected),
                       std::vector<double>({unknown, 1.0, unknown, unknown}), exact());
        CHECK_ALL_NEAR(values(metric, two, std::vector<int>{1, 0}, thin, 0, tie_rule::first, empty_rule::one),
                       std::vector<double>({1.0, 1.0, 1.0, 1.0}), exact());
        // NaN: a row without a score stands on no rank, but the list still misses it. Nothing else is relevant here.
        const std::vector<double> blind{unknown, 0.5, 0.4};
        CHECK(value(metric, blind, std::vector<int>{1, 0, 0}, 3) == 0.0);
        CHECK(value(metric, std::vector<double>(20, unknown), std::vector<int>(20, 1), 10) == 0.0);
        // A NaN or negative label is nothing.
        CHECK(value(metric, std::vector<double>{0.9, 0.8, 0.7}, std::vector<double>{unknown, -3.0, 1.0}, 0) ==
              value(metric, std::vector<double>{0.9, 0.8, 0.7}, std::vector<double>{0.0, 0.0, 1.0}, 0));
        CHECK(std::isnan(value(metric, std::vector<double>{0.9, 0.8}, std::vector<double>{unknown, -1.0}, 0)));
        // Infinite scores have their place.
        const std::vector<float> far{-static_cast<float>(inf), static_cast<float>(inf), 0.0f};
        CHECK(value(metric, far, std::vector<int>{0, 1, 0}, 1) == 1.0);
        CHECK(value(metric, far, std::vector<int>{1, 0, 0}, 2) == 0.0);
        CHECK(value(metric, far, std::vector<int>{1, 0, 0}, 3) > 0.0);
    }
    CHECK(value(list_metric::recall, std::vector<double>{unknown, 0.5, 0.4}, labels, 3) == 0.5);
    // A row without a score is taken like any other.
    const std::vector<double> blind{unknown, 0.5, 0.4};
    for (const list_metric metric : all_list_metrics) {
        std::vector<double> out(1);
        const list_mean mean =
            run_list_metric(metric, serial, blind, labels, {0, 3}, 3, tie_rule::expected, empty_rule::skip, out);
        CHECK(mean.seen == counts{3, 0});
        CHECK(mean.lists == counts{1, 0});
    }
    // Gains beyond the range of double have no value, nor zero.
    const std::vector<double> large{1.7e308, 1.6e308};
    CHECK(std::isnan(value(list_metric::ndcg_linear, std::vector<float>{1, 1}, large, 1)));
    CHECK(value(list_metric::ndcg_linear, std::vector<float>{2, 1}, large, 1) == 1.0);
    CHECK(std::isnan(ndcg(serial, scores, std::vector<double>{2000.0, 0.0, 1.0}, offsets).finish()));
    CHECK(std::isnan(
        ndcg(serial, scores, std::vector<double>{inf, 0.0, 1.0}, offsets, {.empty = empty_rule::zero}).finish()));
    CHECK(ndcg(serial, scores, std::vector<double>{900.0, 0.0, 1.0}, offsets).finish() == 1.0);
}

TEST_CASE("ranked lists: thresholds compare in the type of the labels") {
    const std::vector<float> scores{0.3f, 0.2f, 0.1f};
    const std::vector<std::uint32_t> offsets{0, 3};
    const auto share = [&](const auto& labels, double threshold) {
        return precision(serial, scores, labels, offsets, {.k = 0, .threshold = threshold, .empty = empty_rule::zero})
                   .finish() *
               3.0;
    };
    // 0.1f is above 0.1 and 0.7f below 0.7.
    CHECK(share(std::vector<float>{0.1f, 0.7f, 0.0f}, 0.1) == 2.0);
    CHECK(share(std::vector<float>{0.1f, 0.7f, 0.0f}, 0.7) == 0.0);
    CHECK(share(std::vector<float>{0.1f, 0.7f, 0.0f}, static_cast<double>(0.7f)) == 0.0);
    CHECK(share(std::vector<int>{3, 4, 5}, 3.5) == 2.0);
    CHECK(share(std::vector<int>{3, 4, 5}, 4.0) == 1.0);
    CHECK(share(std::vector<std::uint8_t>{255, 254, 0}, 254.5) == 1.0);
    CHECK(share(std::vector<std::uint8_t>{255, 254, 0}, 1e9) == 0.0);
    CHECK(share(std::vector<float>{1.0f, static_cast<float>(inf), 0.0f}, 1e300) == 1.0);
    CHECK(share(std::vector<double>{1.0, inf, 0.0}, inf) == 0.0);
    const bool clicks[] = {true, false, true};
    const vector_view<const bool> clicked(clicks, 3);
    CHECK(share(clicked, 0.0) == 2.0);
    CHECK(share(clicked, 0.5) == 2.0);
    CHECK(share(clicked, 1.0) == 0.0);
    CHECK(share(clicked, 2.0) == 0.0);
}

TEST_CASE("leading rows: the order of a stable sort, in every instruction set") {
    const auto run = [](auto target, auto zero) {
        using T = decltype(zero);
        reckon::detail::leading_rows<T, decltype(target)> rows;
        for (const std::size_t n : {1u, 7u, 8u, 9u, 40u, 129u, 1000u, 9000u}) {
            for (const std::size_t levels : {0u, 3u, 300u}) {
                const auto lists = random_lists({n}, levels, 1, n + levels);
                std::vector<T> scores(lists.scores.begin(), lists.scores.end());
                std::vector<double> plain(scores.begin(), scores.end());
                for (const std::size_t k : {std::size_t{1}, std::size_t{10}, std::size_t{64}, std::size_t{65}, n}) {
                    const auto order = falling_order(plain);
                    std::size_t wanted = (std::min)(k, n);
                    while (wanted < n && plain[order[wanted]] == plain[order[wanted - 1]]) ++wanted;
                    rows.rank(scores.data(), n, (std::min)(k, n));
                    CAPTURE(n);
                    CAPTURE(k);
                    CAPTURE(levels);
                    REQUIRE(rows.size() >= wanted);  // a few more that did no harm
                    bool same = true;
                    for (std::size_t p = 0; p < rows.size(); ++p) {
                        same = same && rows.row(p) == order[p] && static_cast<double>(rows.score(p)) == plain[order[p]];
                    }
                    CHECK(same);
                }
            }
        }
    };
    run(isa::native{}, 0.0f);
    run(isa::native{}, 0.0);
    run(isa::scalar{}, 0.0f);
}
