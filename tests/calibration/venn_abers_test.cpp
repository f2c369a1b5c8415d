// Inductive Venn-Abers calibration: against refitting, and what every calibrator owes.
#include "reckon/calibration/venn_abers.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "calibrator_law.hpp"
#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

constexpr venn_abers_options brier{.point = venn_abers_point::brier};

// The definition: add (query, label) with weight 1, pool equal scores, run the textbook algorithm on block means.
template <class T, class Y, class W>
double refit(const std::vector<T>& scores, const std::vector<Y>& labels, const std::vector<W>& weights, double query,
             double label) {
    struct row {
        double score, weight, sum;
    };
    std::vector<row> rows{{query, 1.0, label}};
    for (std::size_t i = 0; i < scores.size(); ++i) {
        const double w = weights.empty() ? 1.0 : static_cast<double>(weights[i]);
        if (w > 0.0) rows.push_back({static_cast<double>(scores[i]), w, w * static_cast<double>(labels[i])});
    }
    std::sort(rows.begin(), rows.end(), [](const row& a, const row& b) { return a.score < b.score; });
    std::vector<row> blocks;  // score: the highest one of the block
    for (std::size_t i = 0; i < rows.size();) {
        row next{rows[i].score, 0.0, 0.0};
        for (; i < rows.size() && rows[i].score == next.score; ++i) {
            next.weight += rows[i].weight;
            next.sum += rows[i].sum;
        }
        while (!blocks.empty() && blocks.back().sum / blocks.back().weight >= next.sum / next.weight) {
            next.weight += blocks.back().weight;
            next.sum += blocks.back().sum;
            blocks.pop_back();
        }
        blocks.push_back(next);
    }
    const auto found =
        std::find_if(blocks.begin(), blocks.end(), [&](const row& block) { return query <= block.score; });
    return found->sum / found->weight;
}

// Every distinct score, every gap, and beyond both ends.
template <class T>
std::vector<double> all_places(const std::vector<T>& scores) {
    std::vector<double> sorted(scores.begin(), scores.end());
    std::sort(sorted.begin(), sorted.end());
    std::vector<double> places{sorted.empty() ? 0.5 : sorted.front() - 1.0};
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        places.push_back(sorted[i]);
        if (i + 1 < sorted.size()) places.push_back(0.5 * (sorted[i] + sorted[i + 1]));
    }
    places.push_back(places.back() + 1.0);
    return places;
}

template <class T, class Y, class W>
void check_refit(const venn_abers& model, const std::vector<T>& scores, const std::vector<Y>& labels,
                 const std::vector<W>& weights, const tolerance& tol) {
    double before = 0.0;
    for (const double query : all_places(scores)) {
        CAPTURE(query);
        const auto both = model.interval(query);
        CHECK_NEAR(both.p0, refit(scores, labels, weights, query, 0.0), tol);
        CHECK_NEAR(both.p1, refit(scores, labels, weights, query, 1.0), tol);
        CHECK(both.p0 <= both.p1);
        const double p = model(query);
        CHECK_NEAR(p, both.p1 / (1.0 - both.p0 + both.p1), probability());
        CHECK(before <= p);
        before = p;
    }
}

}  // namespace

TEST_CASE("venn_abers: worked example") {
    const std::vector<double> scores{0.1, 0.2, 0.3, 0.4, 0.5, 0.6};
    const std::vector<int> labels{0, 0, 1, 0, 1, 1};
    const auto model = venn_abers::fit(serial, scores, labels);
    const auto check = [&](double score, double p0, double p1, double p) {
        const auto both = model.interval(score);
        CHECK_NEAR(both.p0, p0, ulp(1));
        CHECK_NEAR(both.p1, p1, ulp(1));
        CHECK_NEAR(model(score), p, ulp(2));
    };
    check(0.05, 0.0, 1.0 / 3.0, 0.25);
    check(0.25, 0.0, 2.0 / 3.0, 0.4);
    check(0.35, 1.0 / 3.0, 2.0 / 3.0, 0.5);
    check(0.55, 0.5, 1.0, 2.0 / 3.0);
    check(0.9, 2.0 / 3.0, 1.0, 0.75);
    CHECK(model.seen() == counts{6, 0});
    const auto other = venn_abers::fit(serial, scores, labels, {}, brier);
    CHECK_NEAR(other(0.35), 2.0 / 3.0 + 1.0 / 18.0 - 4.0 / 18.0, ulp(2));
    CHECK(other.interval(0.35).p1 == model.interval(0.35).p1);
}

TEST_CASE("venn_abers: every place equals the refit, rows without weights") {
    for (const std::size_t n : {1u, 2u, 3u, 7u, 60u, 150u}) {
        for (const std::size_t levels : {std::size_t{0}, std::size_t{5}, std::size_t{40}}) {
            for (std::uint64_t seed = 1; seed <= (n < 10 ? 12u : 3u); ++seed) {
                CAPTURE(n);
                CAPTURE(levels);
                CAPTURE(seed);
                const auto data = random_scored<float>(n, {.seed = seed, .bias = -0.5, .levels = levels});
                const std::vector<double> wide(data.scores.begin(), data.scores.end());
                const std::vector<float> none_given;
                const auto runs = venn_abers::fit(serial, data.scores, data.labels);
                check_refit(runs, data.scores, data.labels, none_given, ulp(1));
                CHECK(to_bytes(venn_abers::fit(serial, wide, data.labels)) == to_bytes(runs));
            }
        }
    }
}

TEST_CASE("venn_abers: every place equals the refit, weights and fractional labels") {
    for (const std::size_t n : {1u, 2u, 9u, 80u}) {
        for (const std::size_t levels : {std::size_t{0}, std::size_t{12}}) {
            CAPTURE(n);
            CAPTURE(levels);
            const auto data = random_scored<double>(n, {.seed = n + 7, .bias = 0.3, .levels = levels});
            const auto any = random_uniform<double>(n, 0.0, 3.0, 5);
            const auto fractions = random_uniform<double>(n, 0.0, 1.0, 6);
            check_refit(venn_abers::fit(serial, data.scores, data.labels, data.weights), data.scores, data.labels,
                        data.weights, reduction(n).of(1.0));
            check_refit(venn_abers::fit(serial, data.scores, fractions, any), data.scores, fractions, any,
                        reduction(n).of(1.0));
        }
    }
}

TEST_CASE("venn_abers: shapes of scores and labels that the sweep must survive") {
    for (int shape = 0; shape < score_shapes; ++shape) {
        CAPTURE(shape);
        const auto scores = shaped_scores(120, shape);
        auto ordered = scores;
        std::sort(ordered.begin(), ordered.end());
        for (int kind = 0; kind < 5; ++kind) {
            CAPTURE(kind);
            std::vector<std::uint8_t> labels;
            for (std::size_t i = 0; i < scores.size(); ++i) {
                const bool upper = scores[i] > ordered[60];
                // 0: none, 1: all, 2: a threshold separates them, 3: the wrong way round, 4: no relation
                const bool positive[] = {false, true, upper, !upper, i % 2 != 0};
                labels.push_back(positive[kind] ? 1 : 0);
            }
            check_refit(venn_abers::fit(serial, scores, labels), scores, labels, std::vector<float>{}, ulp(1));
        }
    }
}

TEST_CASE("venn_abers: the runs of many rows give the groups' steps") {
    for (const std::size_t levels : {std::size_t{0}, std::size_t{1000}}) {
        const auto data = random_scored<float>(60000, {.seed = 3, .bias = -2.0, .levels = levels});
        const std::vector<double> wide(data.scores.begin(), data.scores.end());
        const auto model = venn_abers::fit(serial, data.scores, data.labels);
        CHECK(to_bytes(venn_abers::fit(serial, wide, data.labels)) == to_bytes(model));
        for (std::size_t i = 0; i < 20; ++i) {
            const double query = wide[i * 2999];
            CHECK_NEAR(model.interval(query).p0, refit(wide, data.labels, std::vector<float>{}, query, 0.0), ulp(1));
            CHECK_NEAR(model.interval(query).p1, refit(wide, data.labels, std::vector<float>{}, query, 1.0), ulp(1));
        }
    }
}

TEST_CASE("venn_abers: scikit-learn refits") {
    const fixture data("data.txt"), want("calibrators.txt");
    for (const std::string set : {"ties", "smooth", "weighted", "skewed", "negatives", "tiny"}) {
        CAPTURE(set);
        const auto p = data.as<float>(set + ".p");
        const auto y = data.as<std::uint8_t>(set + ".y");
        const auto model =
            data.contains(set + ".w") ? venn_abers::fit(serial, p, y, data[set + ".w"]) : venn_abers::fit(serial, p, y);
        const auto& query = want[set + ".venn_abers.query"];
        std::vector<double> p0(query.size()), p1(query.size()), point(query.size());
        model.intervals(serial, query, p0, p1);
        model.apply(serial, query, point);
        CHECK_ALL_NEAR(p0, want[set + ".venn_abers.p0"], reduction(p.size()).of(1.0));
        CHECK_ALL_NEAR(p1, want[set + ".venn_abers.p1"], reduction(p.size()).of(1.0));
        CHECK_ALL_NEAR(point, want[set + ".venn_abers.point"], reduction(p.size()).of(1.0));
    }
}

TEST_CASE("venn_abers: the package venn-abers") {
    const fixture data("data.txt"), want("splines.txt");
    for (const std::string set : {"ties", "smooth", "skewed", "tiny"}) {
        CAPTURE(set);
        const auto model = venn_abers::fit(serial, data.as<float>(set + ".p"), data.as<std::uint8_t>(set + ".y"));
        const auto& query = want[set + ".venn_abers.query"];
        std::vector<double> p0(query.size()), p1(query.size()), point(query.size());
        model.intervals(serial, query, p0, p1);
        model.apply(serial, query, point);
        CHECK_ALL_NEAR(p0, want[set + ".venn_abers.p0"], probability());
        CHECK_ALL_NEAR(p1, want[set + ".venn_abers.p1"], probability());
        CHECK_ALL_NEAR(point, want[set + ".venn_abers.point"], probability());
    }
}

TEST_CASE("venn_abers: what every calibrator owes") {
    check_calibrator<plain_fit<venn_abers>>();
}

TEST_CASE("venn_abers: the Brier point") {
    const auto data = random_scored<double>(400, {.seed = 11, .levels = 50});
    const auto model = venn_abers::fit(serial, data.scores, data.labels, data.weights, brier);
    double before = 0.0;
    for (const double query : all_places(data.scores)) {
        const auto both = model.interval(query);
        CHECK_NEAR(model(query), both.p1 + both.p0 * both.p0 / 2 - both.p1 * both.p1 / 2, probability());
        CHECK(before <= model(query));
        before = model(query);
    }
    const auto read = from_bytes<venn_abers>(to_bytes(model));
    CHECK(read.point() == venn_abers_point::brier);
    CHECK(read(0.3) == model(0.3));
}

TEST_CASE("venn_abers: thin input and the ends") {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
    const venn_abers nothing;
    CHECK(nothing(0.25) == 0.25);
    CHECK(nothing(-3.0) == 0.0);
    CHECK(nothing.interval(0.25).p0 == 0.0);
    CHECK(nothing.interval(0.25).p1 == 1.0);
    CHECK(to_bytes(venn_abers::fit(serial, std::vector<float>{}, std::vector<int>{})) == to_bytes(nothing));

    const auto one = venn_abers::fit(serial, std::vector<float>{0.5f}, std::vector<int>{1});
    CHECK(one.knots() == std::vector<double>{0.5});
    CHECK(one.lower() == std::vector<double>{0.0, 0.5});
    CHECK(one.upper() == std::vector<double>{1.0, 1.0});
    const auto zeros = venn_abers::fit(serial, std::vector<double>(9, 0.5), std::vector<int>(9, 0));
    CHECK(zeros.interval(0.4).p1 == 0.1);
    CHECK(zeros.interval(0.5).p1 == 0.1);
    CHECK(zeros.interval(0.6).p1 == 1.0);
    CHECK(zeros.interval(0.6).p0 == 0.0);

    const auto data = random_scored<float>(500, {.seed = 4});
    const auto model = venn_abers::fit(serial, data.scores, data.labels);
    const double lowest = static_cast<double>(*std::min_element(data.scores.begin(), data.scores.end()));
    const double highest = static_cast<double>(*std::max_element(data.scores.begin(), data.scores.end()));
    CHECK(model.interval(-inf).p0 == 0.0);
    CHECK(model.interval(-inf).p1 == model.interval(lowest).p1);
    CHECK(model.interval(inf).p1 == 1.0);
    CHECK(model.interval(inf).p0 == model.interval(highest).p0);
    CHECK(model(-inf) == model(lowest - 1.0));
    CHECK(model(inf) == model(highest + 1e300));
    CHECK(std::isnan(model.interval(nan).p0));
    CHECK(std::isnan(model.interval(nan).p1));
    // Weights of any size, the test point's 1 against them.
    const std::vector<double> s{0.2, 0.4}, huge{1e300, 1e300}, tiny{1e-300, 1e-300};
    const std::vector<int> y{1, 0};
    CHECK_NEAR(venn_abers::fit(serial, s, y, huge).interval(0.3).p1, 0.5, probability());
    CHECK(venn_abers::fit(serial, s, y, tiny).interval(0.3).p0 < 1e-299);
    CHECK(venn_abers::fit(serial, s, y, tiny).interval(0.3).p1 == 1.0);
}

TEST_CASE("venn_abers: bad input") {
    constexpr float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    const std::vector<float> scores{nan, inf, 0.2f, 0.4f, 0.6f, 0.8f}, labels{1, 1, 0, 3, nan, 1};
    const auto model = venn_abers::fit(serial, scores, labels);
    CHECK(model.seen() == counts{2, 4});
    CHECK(to_bytes(venn_abers(model.knots(), model.lower(), model.upper())).size() == to_bytes(model).size());
    std::vector<float> small(2), room(6);
    CHECK_THROWS_AS(model.apply(serial, scores, small), std::invalid_argument);
    CHECK_THROWS_AS(model.intervals(serial, scores, small, room), std::invalid_argument);
    CHECK_THROWS_AS(model.intervals(serial, scores, room, small), std::invalid_argument);
    using column = std::vector<double>;
    CHECK_THROWS_AS(venn_abers({}, {0.0}, {0.5}), std::invalid_argument);
    CHECK_THROWS_AS(venn_abers({0.5}, {0.0}, {0.5}), std::invalid_argument);
    CHECK_THROWS_AS(venn_abers(column{0.5, 0.4}, {0, 0.1, 0.2}, {0.5, 0.6, 0.7}), std::invalid_argument);
    CHECK_THROWS_AS(venn_abers({0.5}, {0.2, 0.1}, {0.5, 0.6}), std::invalid_argument);
    CHECK_THROWS_AS(venn_abers({0.5}, {0.1, 0.2}, {0.5, 1.6}), std::invalid_argument);
    // p0 at the knot must not exceed p1 at the knot, which is that of the gap below.
    CHECK_THROWS_WITH_AS(venn_abers({0.5}, {0.1, 0.4}, {0.3, 0.6}), "venn_abers: p0 must not exceed p1",
                         std::invalid_argument);
}
