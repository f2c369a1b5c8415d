// Area under the ROC curve inside lists and over all pairs.
#include "reckon/metrics/user_auc.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/fixture.hpp"
#include "../support/law.hpp"
#include "../support/random_data.hpp"
#include "../support/tolerance.hpp"
#include "reckon/core/group_by.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/metrics/auc.hpp"

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

namespace {

constexpr double not_known = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();

// The definition, pair by pair.
template <class P, class Y>
double looped(const std::vector<P>& scores, const std::vector<Y>& labels, std::size_t first, std::size_t last) {
    std::uint64_t won_twice = 0, pairs = 0;
    for (std::size_t i = first; i < last; ++i) {
        for (std::size_t j = first; j < last; ++j) {
            // Comparisons with NaN are false, so its rows take part in no pair.
            if (!(labels[i] > labels[j]) || !(scores[i] == scores[i]) || !(scores[j] == scores[j])) continue;
            ++pairs;
            won_twice += scores[i] > scores[j] ? 2 : scores[i] == scores[j] ? 1 : 0;
        }
    }
    return pairs > 0 ? static_cast<double>(won_twice) / (2.0 * static_cast<double>(pairs)) : not_known;
}

template <class P, class Y>
void check_one_list(const std::vector<P>& scores, const std::vector<Y>& labels) {
    const double want = looped(scores, labels, 0, scores.size());
    const std::vector<std::uint32_t> offsets{0, static_cast<std::uint32_t>(scores.size())};
    std::vector<double> got(1);
    const list_mean mean = uauc(serial, scores, labels, offsets, {}, got);
    CHECK_NEAR(got[0], want, exact());
    CHECK_NEAR(mean.finish(), want, exact());
    CHECK_NEAR(xauc(serial, scores, labels).value, want, exact());
    // Without lanes.
    const auto plain =
        reckon::detail::list_pair_counter<isa::scalar, P, Y>()(vector_view<const P>(input(scores)), input(labels));
    CHECK_NEAR(plain.value(), want, exact());
}

// Labels: 0/1 with a share of ones, a few grades, or as many as there are rows.
template <class Y>
std::vector<Y> grades(std::size_t n, int kind) {
    const random_stream rng(n, static_cast<std::uint64_t>(50 + kind));
    std::vector<Y> labels(n);
    for (std::size_t i = 0; i < n; ++i) {
        const double u = rng.uniform(i);
        const double shares[] = {0.02, 0.3, 0.9};
        labels[i] = static_cast<Y>(kind < 3    ? (u < shares[kind] ? 1.0 : 0.0)
                                   : kind == 3 ? std::floor(5 * u) - 2
                                               : 1e3 * u);
    }
    return labels;
}

std::vector<std::uint32_t> ragged(std::size_t n, std::size_t most) {
    std::vector<std::uint32_t> offsets{0};
    const random_stream rng(n, 60);
    while (offsets.back() < n) {
        const std::size_t length = rng.below(offsets.size(), most + 1);
        offsets.push_back(static_cast<std::uint32_t>((std::min)(n, offsets.back() + length)));
    }
    return offsets;
}

}  // namespace

TEST_CASE("uauc, gauc: worked example") {
    // A list of AUC 3/4, one with a tie, one with one class, an empty one.
    const std::vector<float> scores{0.1f, 0.4f, 0.35f, 0.8f, 0.5f, 0.5f, 0.9f};
    const std::vector<int> clicks{0, 0, 1, 1, 0, 1, 1};
    const std::vector<std::uint32_t> offsets{0, 4, 6, 7, 7};
    std::vector<float> per_list(4);
    const list_mean plain = uauc(serial, scores, clicks, offsets, {}, per_list);
    CHECK(plain.finish() == 0.625);
    CHECK(plain.sum() == 1.25);
    CHECK(plain.weight() == 2.0);
    CHECK(plain.lists == counts{2, 2});
    CHECK(plain.seen == counts{7, 0});
    CHECK_ALL_NEAR(per_list, (std::vector<double>{0.75, 0.5, not_known, not_known}), exact());
    CHECK(gauc(serial, scores, clicks, offsets).finish() == (4 * 0.75 + 2 * 0.5) / 6);
    CHECK(gauc(serial, scores, clicks, offsets, {.weight = list_weight::positives}).finish() ==
          (2 * 0.75 + 1 * 0.5) / 3);
    CHECK(gauc(serial, scores, clicks, offsets, {.weight = list_weight::pairs}).finish() == (4 * 0.75 + 1 * 0.5) / 5);
    CHECK(gauc(serial, scores, clicks, offsets, {.min_rows = 3}).finish() == 0.75);
    CHECK(uauc(serial, scores, clicks, offsets, {.min_rows = 3}).lists == counts{1, 3});
    // Watch times 3, 10, 10, 60: of five pairs that differ, the model has 10 < 60 twice, 3 < 60 and one 3 < 10 right.
    const std::vector<double> watched{3, 10, 10, 60}, model{0.2, 0.1, 0.5, 0.9};
    CHECK(xauc(serial, model, watched).value == 0.8);
    CHECK(xauc(serial, model, watched).pairs == 5.0);
    CHECK(xauc(serial, model, watched).standard_error == 0.0);
}

TEST_CASE("uauc: a constant model has exactly 1/2") {
    for (const std::size_t n : {2u, 100u, 700u, 6000u}) {
        const std::vector<float> constant(n, 0.25f);
        for (const int kind : {1, 3, 4}) {
            const auto labels = grades<float>(n, kind);
            CHECK_NEAR(xauc(serial, constant, labels).value, looped(constant, labels, 0, n), exact());
            const auto offsets = ragged(n, 50);
            for (const double value :
                 {uauc(serial, constant, labels, offsets).finish(), gauc(serial, constant, labels, offsets).finish()}) {
                CHECK((value == 0.5 || std::isnan(value)));
            }
        }
    }
}

TEST_CASE("uauc: every pair counted, whatever the lengths, ties and types") {
    for (const std::size_t n : {0u, 1u, 2u, 3u, 7u, 8u, 9u, 15u, 16u, 17u, 33u, 100u, 509u, 512u, 513u, 600u, 1400u}) {
        for (int shape = 0; shape < score_shapes; ++shape) {
            const std::vector<float> scores = shaped_scores(n, shape);
            CAPTURE(n);
            CAPTURE(shape);
            for (int kind = 0; kind < 3; ++kind) check_one_list(scores, grades<std::uint8_t>(n, kind));
            check_one_list(scores, grades<float>(n, 3));
            check_one_list(scores, grades<float>(n, 4));
            // Doubles that are no floats.
            std::vector<double> doubles(scores.begin(), scores.end());
            for (double& s : doubles) s *= 1.0 + 1e-12;
            check_one_list(doubles, grades<double>(n, 4));
            check_one_list(doubles, grades<int>(n, 1));
        }
    }
    // Longer than the cells of a partition; integer scores.
    const std::vector<float> scores = shaped_scores(9000, 1);
    check_one_list(scores, grades<std::uint8_t>(9000, 1));
    check_one_list(grades<int>(3000, 4), grades<std::int16_t>(3000, 3));
}

TEST_CASE("uauc: zeros of both signs are equal, infinities have their place") {
    const float large = static_cast<float>(inf);
    for (const std::size_t n : {20u, 400u, 3000u}) {
        std::vector<float> scores = shaped_scores(n, 2);
        for (std::size_t i = 0; i < n; i += 5) scores[i] = i % 2 == 0 ? 0.0f : -0.0f;
        for (std::size_t i = 0; i < n; i += 7) scores[i] = i % 2 == 0 ? large : -large;
        check_one_list(scores, grades<std::uint8_t>(n, 1));
        std::vector<double> labels = grades<double>(n, 3);
        for (std::size_t i = 3; i < n; i += 11) labels[i] = i % 2 == 0 ? inf : -inf;
        for (std::size_t i = 1; i < n; i += 13) labels[i] = -0.0;
        check_one_list(scores, labels);
    }
}

TEST_CASE("uauc, gauc: scikit-learn, SciPy, xgboost") {
    const fixture data{"user_auc.txt"};
    const auto scores = data.as<float>("lists.scores");
    const auto offsets = data.as<std::uint32_t>("lists.offsets");
    std::vector<double> per_list(offsets.size() - 1);
    for (const std::string name : {"auc", "somers"}) {
        const auto labels = data.as<float>(name == "auc" ? "lists.binary" : "lists.graded");
        const std::string at = "lists." + name;
        CAPTURE(name);
        const list_mean mean = uauc(serial, scores, labels, offsets, {}, per_list);
        CHECK_ALL_NEAR(per_list, data[at], probability());
        CHECK_NEAR(mean.finish(), data.value(at + ".uauc"), probability());
        CHECK_NEAR(gauc(serial, scores, labels, offsets).finish(), data.value(at + ".gauc"), probability());
        CHECK_NEAR(gauc(serial, scores, labels, offsets, {.weight = list_weight::positives}).finish(),
                   data.value(at + ".gauc_positives"), probability());
        CHECK_NEAR(xauc(serial, scores, labels).value, data.value("all." + name), probability());
    }
    CHECK_NEAR(uauc(serial, scores, data.as<int>("xgboost.labels"), offsets, {.min_rows = 3}).finish(),
               data.value("xgboost.uauc"), probability());
}

TEST_CASE("uauc: lists gathered by user, threads, shards") {
    const std::size_t n = 20000;
    const std::vector<float> s = shaped_scores(n, 2);
    const auto y = grades<float>(n, 3);
    const auto users = group_by(random_integers<std::uint64_t>(n, 700, 9));
    const auto scores = users.gather(input(s)), labels = users.gather(input(y));
    std::vector<double> per_list(users.size()), again(users.size());
    const list_mean whole = gauc(serial, scores, labels, users.offsets, {}, per_list);
    CHECK(whole.seen == counts{n, 0});
    for (std::size_t u = 0; u < users.size(); ++u) {
        CHECK_NEAR(per_list[u], looped(scores, labels, users.first(u), users.first(u) + users.count(u)), exact());
    }
    for (const unsigned threads : {1u, 3u}) {
        exec::pool pool(threads);
        const list_mean other = gauc(exec::host{pool}, scores, labels, users.offsets, {}, again);
        CHECK(other.finish() == whole.finish());
        CHECK(other.lists == whole.lists);
        CHECK(again == per_list);
    }
    // Shards of whole lists.
    list_mean merged;
    for (std::size_t first = 0; first < users.size(); first += 300) {
        const std::size_t last = (std::min)(users.size(), first + 300), begin = users.offsets[first];
        std::vector<std::uint32_t> offsets;
        for (std::size_t u = first; u <= last; ++u) offsets.push_back(users.offsets[u] - users.offsets[first]);
        merged.merge(gauc(serial, input(scores).slice(begin, offsets.back()),
                          input(labels).slice(begin, offsets.back()), offsets));
    }
    CHECK_NEAR(merged.finish(), whole.finish(), ulp(4));
    CHECK(merged.lists == whole.lists);
    CHECK(merged.seen == whole.seen);
}

TEST_CASE("uauc: monotone maps per user change nothing, reversal mirrors") {
    const std::size_t n = 5000;
    const std::vector<float> scores = shaped_scores(n, 1);
    const auto labels = grades<float>(n, 3);
    const auto offsets = ragged(n, 900);
    std::vector<float> mapped(n), reversed(n);
    for (std::size_t u = 0; u + 1 < offsets.size(); ++u) {
        for (std::size_t i = offsets[u]; i < offsets[u + 1]; ++i) {
            mapped[i] = std::ldexp(scores[i], static_cast<int>(u % 9));
            reversed[i] = -scores[i];
        }
    }
    const double value = uauc(serial, scores, labels, offsets).finish();
    CHECK(uauc(serial, mapped, labels, offsets).finish() == value);
    CHECK_NEAR(uauc(serial, reversed, labels, offsets).finish(), 1.0 - value, probability());
}

TEST_CASE("uauc, gauc: bad input") {
    const std::vector<std::uint32_t> offsets{0, 5, 8}, none_at_all;
    std::vector<float> scores{0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.7f, 0.8f};
    std::vector<float> labels{0, 1, 0, 1, 0, 1, 0, 1};
    const std::vector<float> kept_scores{0.2f, 0.3f, 0.5f, 0.6f, 0.7f, 0.8f}, kept_labels{1, 0, 0, 1, 0, 1};
    scores[0] = static_cast<float>(not_known);
    labels[3] = static_cast<float>(not_known);
    const list_mean got = gauc(serial, scores, labels, offsets);
    const list_mean want = gauc(serial, kept_scores, kept_labels, std::vector<std::uint64_t>{0, 3, 6});
    CHECK(got.finish() == want.finish());
    CHECK(got.weight() == want.weight());
    CHECK(got.seen == counts{6, 2});
    CHECK(gauc(serial, scores, labels, offsets, {.min_rows = 4}).lists == counts{0, 2});
    CHECK(std::isnan(gauc(serial, scores, labels, offsets, {.min_rows = 4}).finish()));
    const std::vector<float> nothing;
    CHECK(std::isnan(uauc(serial, nothing, nothing, none_at_all).finish()));
    CHECK(uauc(serial, nothing, nothing, std::vector<std::uint32_t>{0, 0, 0}).lists == counts{0, 2});
    // NaN alone.
    const std::vector<float> unknown(8, static_cast<float>(not_known));
    CHECK(uauc(serial, unknown, labels, offsets).seen == counts{0, 8});
    CHECK(std::isnan(xauc(serial, unknown, labels).value));
    std::vector<double> room(3);
    CHECK_THROWS_WITH_AS(uauc(serial, kept_scores, labels, offsets), "uauc: 6 scores but 8 labels",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(gauc(serial, scores, labels, offsets, {}, room), "gauc: 2 lists but room for 3 values",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(uauc(serial, scores, labels, std::vector<std::uint32_t>{0, 9}),
                         "uauc: 8 rows but offsets that end with 9", std::invalid_argument);
    CHECK_THROWS_WITH_AS(xauc(serial, kept_scores, labels), "xauc: 6 scores but 8 labels", std::invalid_argument);
}

TEST_CASE("xauc: for 0/1 labels it is the area, whatever the length") {
    for (const std::size_t n : {100u, 5000u, 200000u}) {
        for (int shape = 0; shape < score_shapes; ++shape) {
            const std::vector<float> scores = shaped_scores(n, shape);
            const auto labels = grades<std::uint8_t>(n, 1);
            CAPTURE(n);
            CAPTURE(shape);
            CHECK_NEAR(xauc(serial, scores, labels).value, auc(serial, scores, labels).value, exact());
            // The same through the merge sort, which knows nothing of classes.
            std::vector<float> shifted(labels.begin(), labels.end());
            for (float& y : shifted) y += 1.0f;
            CHECK_NEAR(xauc(serial, scores, shifted).value, auc(serial, scores, labels).value, exact());
        }
    }
}

TEST_CASE("xauc: sampled pairs") {
    const std::size_t n = 30000;
    const std::vector<float> scores = shaped_scores(n, 2);
    std::vector<float> labels(n);
    const auto noise = random_normal<float>(n, 0.0, 0.5, 3);
    for (std::size_t i = 0; i < n; ++i) labels[i] = std::round(4 * (scores[i] + noise[i]));
    const double all = xauc(serial, scores, labels).value;
    // The error over its standard error has mean 0 and variance 1 over seeds.
    double square = 0.0, mean = 0.0;
    const int seeds = 200;
    for (int seed = 0; seed < seeds; ++seed) {
        const auto some =
            xauc(serial, scores, labels, {.sampled_pairs = 2000, .seed = static_cast<std::uint64_t>(seed)});
        CHECK(some.pairs < 2000);
        const double z = (some.value - all) / some.standard_error;
        mean += z / seeds;
        square += z * z / seeds;
    }
    CHECK(std::fabs(mean) < 4.0 / std::sqrt(seeds));
    CHECK(std::fabs(square - 1.0) < 4.0 * std::sqrt(2.0 / seeds));
    // A function of the seed, whoever draws.
    const xauc_options options{.sampled_pairs = 100000, .seed = 5};
    const auto one = xauc(serial, scores, labels, options);
    exec::pool pool(3);
    const auto other = xauc(exec::host{pool}, scores, labels, options);
    CHECK(other.value == one.value);
    CHECK(other.standard_error == one.standard_error);
    // Bad rows take part in no pair.
    std::vector<float> bad = scores;
    for (std::size_t i = 0; i < n; i += 2) bad[i] = static_cast<float>(not_known);
    const auto half = xauc(serial, bad, labels, options);
    CHECK(half.seen == counts{n / 2, n / 2});
    CHECK(std::fabs(half.pairs / one.pairs - 0.25) < 0.02);
    CHECK(std::fabs(half.value - xauc(serial, bad, labels).value) < 5.0 * half.standard_error);
    CHECK(std::isnan(xauc(serial, std::vector<float>{}, std::vector<float>{}, options).value));
    CHECK(std::isnan(xauc(serial, std::vector<float>(9, 1.0f), std::vector<float>(9, 2.0f), options).value));
}
