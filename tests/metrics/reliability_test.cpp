// Bins of scores, and the metrics of a finished reliability table.
#include "reckon/metrics/reliability.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/law.hpp"
#include "../support/random_data.hpp"
#include "../support/sweep.hpp"
#include "../support/tolerance.hpp"
#include "data_sets.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/metrics/log_loss.hpp"

using namespace reckon;
using namespace reckon::testing_support;

namespace {

template <class Same>
bool all_sums(const reliability_table& a, const reliability_table& b, Same same) {
    for (std::size_t k = 0; k < a.size(); ++k) {
        if (!same(a[k].weight, b[k].weight) || !same(a[k].score, b[k].score) || !same(a[k].label, b[k].label) ||
            !same(a[k].score_squared, b[k].score_squared) || !same(a[k].score_label, b[k].score_label)) {
            return false;
        }
    }
    return a.bins() == b.bins();
}
bool same_table(const reliability_table& a, const reliability_table& b) {
    return all_sums(a, b, same_sum);
}
bool equal_table(const reliability_table& a, const reliability_table& b) {
    return all_sums(a, b, same_bits) && a.seen() == b.seen();
}

}  // namespace

TEST_CASE("score_bins: equal width") {
    const score_bins ten = score_bins::width(10);
    CHECK(ten.size() == 10);
    CHECK(ten.index(0.0) == 0);
    CHECK(ten.index(-0.0) == 0);
    CHECK(ten.index(0.1) == 1);
    CHECK(ten.index(std::nextafter(0.1, 0.0)) == 0);
    CHECK(ten.index(1.0) == 9);
    CHECK(ten.index(double{0.7f}) == 6);  // below 0.7, although 0.7f * 10 is 7 in float
    CHECK(ten.lower(0) == 0.0);
    CHECK(ten.upper(9) == 1.0);
    CHECK(ten.upper(3) == 0.4);
    CHECK(score_bins{} == score_bins::width(15));
    CHECK_FALSE(ten == score_bins::width(11));
    for (const std::size_t bad : {std::size_t{0}, score_bins::max_size + 1}) {
        CHECK_THROWS_AS(score_bins::width(bad), std::invalid_argument);
        CHECK_THROWS_AS(score_bins::mass(std::vector<float>{0.5f}, bad), std::invalid_argument);
    }
}

TEST_CASE("score_bins: cuts, against a linear search") {
    for (std::size_t cuts = 0; cuts <= 33; ++cuts) {
        std::vector<double> points = random_uniform<double>(cuts, 0.0, 1.0, cuts + 1);
        std::sort(points.begin(), points.end());
        const score_bins bins = score_bins::cuts(points);
        CHECK(bins.size() == cuts + 1);
        std::vector<double> probes = points;
        for (const double p : {0.0, 0.3, 0.999, 1.0}) probes.push_back(p);
        for (const double c : points) probes.push_back(std::nextafter(c, 0.0));
        for (const double p : probes) {
            std::size_t want = 0;
            for (const double c : points) want += c <= p ? 1 : 0;
            CHECK(bins.index(p) == want);
        }
    }
    const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
    for (const std::vector<double>& bad : {std::vector<double>{0.2, 0.2}, {0.3, 0.2}, {nan}, {inf}, {0.1, nan, 0.2}}) {
        CHECK_THROWS_AS(score_bins::cuts(bad), std::invalid_argument);
    }
}

TEST_CASE("score_bins: equal mass") {
    const fixture metrics{"metrics.txt"};
    for (const data_set& set : data_sets()) {
        if (set.name == "weighted_unit") continue;  // ranks count rows, so the cuts are those of `weighted`
        const std::vector<double>& cuts = metrics[set.name + ".mass15.cuts"];
        CAPTURE(set.name);
        CHECK(score_bins::mass(set.p, 15) == score_bins::cuts(cuts));
        CHECK(score_bins::mass(set.p_double(), 15) == score_bins::cuts(cuts));
    }
    // Ties share a bin, and what is no probability has no rank.
    const float nan = std::nanf("");
    CHECK(score_bins::mass(std::vector<float>(7, 0.5f), 4) == score_bins::cuts(std::vector<double>{0.5}));
    CHECK(score_bins::mass(std::vector<float>{nan, 0.25f, -1.0f, 0.75f, 2.0f}, 2) ==
          score_bins::cuts(std::vector<double>{0.75}));
    CHECK(score_bins::mass(std::vector<float>{}, 4).size() == 1);
}

TEST_CASE("reliability: worked example") {
    // Bins [0, 1/2) and [1/2, 1]: (0.25, 0.25; 0, 1) and (0.75; 1).
    const std::vector<double> p{0.25, 0.25, 0.75};
    const std::vector<int> y{0, 1, 1};
    const reliability_table t = reliability(exec::serial, p, y, none{}, score_bins::width(2));
    CHECK_NEAR(t.ece(), (2 * 0.25 + 1 * 0.25) / 3, ulp(2));
    CHECK(t.mce() == 0.25);
    CHECK(t.ace() == 0.25);
    CHECK(t.finish() == t.ece());
    CHECK_NEAR(t.squared_ece(), 0.0625, ulp(2));
    CHECK_NEAR(t.squared_ece_debiased(), (2 * (0.0625 - 0.25 / 1) + 0.0625) / 3, ulp(4));
    CHECK(ece(exec::serial, p, y, none{}, score_bins::width(2)) == t.ece());
    const hosmer_lemeshow_result hl = t.hosmer_lemeshow(0);
    CHECK_NEAR(hl.statistic, 0.25 / (0.5 * 0.75) + 0.0625 / (0.75 * 0.25), ulp(4));
    CHECK_NEAR(hl.p_value, std::exp(-0.5 * hl.statistic), reduction(4));  // two degrees of freedom
    CHECK(hl.freedom == 2);
    const reliability_row row = t.row(0);
    CHECK(row.weight == 2.0);
    CHECK(row.mean_score == 0.25);
    CHECK(row.rate == 0.5);
    CHECK(row.lower == 0.0);
    CHECK(row.upper == 0.5);
    CHECK(row.bar.lower == wilson(1.0, 2.0).lower);
    CHECK(row.bar.upper == wilson(1.0, 2.0).upper);
}

TEST_CASE_TEMPLATE("reliability: oracle", P, float, double) {
    const fixture metrics{"metrics.txt"};
    for (const data_set& set : data_sets()) {
        CAPTURE(set.name);
        const std::vector<P> p(set.p.begin(), set.p.end());
        const auto near_one = reduction(set.size()).of(1.0);
        for (const std::string binning : {"width10", "width15", "mass15"}) {
            CAPTURE(binning);
            const score_bins bins = binning == "width10"   ? score_bins::width(10)
                                    : binning == "width15" ? score_bins::width(15)
                                                           : score_bins::mass(p, 15);
            const reliability_table t = reliability(exec::serial, p, set.y, set.w, bins);
            const std::string at = set.name + "." + binning + ".";
            CHECK_NEAR(t.ece(), metrics.value(at + "ece"), near_one);
            CHECK_NEAR(t.mce(), metrics.value(at + "mce"), near_one);
            CHECK_NEAR(t.ace(), metrics.value(at + "ace"), near_one);
            CHECK_NEAR(t.squared_ece(), metrics.value(at + "ece2_squared"), near_one);
            CHECK_NEAR(t.squared_ece_debiased(), metrics.value(at + "ece2_squared_debiased"), near_one);
            CHECK_NEAR(t.ece_debiased(), metrics.value(at + "ece_debiased"), near_one);
        }
        const brier_terms b = reliability(exec::serial, p, set.y, set.w, score_bins::width(10)).brier();
        const std::string at = set.name + ".width10.brier.";
        CHECK_NEAR(b.reliability, metrics.value(at + "reliability"), near_one);
        CHECK_NEAR(b.resolution, metrics.value(at + "resolution"), near_one);
        CHECK_NEAR(b.uncertainty, metrics.value(at + "uncertainty"), near_one);
        CHECK_NEAR(b.within_variance, metrics.value(at + "within_variance"), near_one);
        CHECK_NEAR(b.within_covariance, metrics.value(at + "within_covariance"), near_one);

        const reliability_table ten = reliability(exec::serial, p, set.y, set.w, score_bins::mass(p, 10));
        const hosmer_lemeshow_result hl = ten.hosmer_lemeshow();
        const std::string test = set.name + ".hosmer_lemeshow.";
        const double statistic = metrics.value(test + "statistic");
        CHECK(hl.bins == static_cast<std::size_t>(metrics.value(test + "bins")));
        CHECK_NEAR(hl.statistic, statistic, reduction(set.size()));
        // The derivative of ln p-value is at most 1/2; an error of the statistic counts in full.
        const double p_value = metrics.value(test + "p_value"), external = metrics.value(test + "p_value_external");
        CHECK_NEAR(hl.p_value, p_value, reduction(set.size()).of(p_value * (1.0 + statistic)));
        CHECK_NEAR(ten.hosmer_lemeshow(0).p_value, external, reduction(set.size()).of(external * (1.0 + statistic)));
    }
}

TEST_CASE("reliability: the five terms sum to the Brier score for any bins") {
    for (const std::uint64_t seed : {1u, 2u, 3u}) {
        const auto data = random_scored<double>(2000, {.seed = seed, .slope = 1.7, .shift = 0.4});
        const double brier = brier_score(exec::serial, data.scores, data.labels, data.weights);
        for (const score_bins& bins : {score_bins::width(1), score_bins::width(7), score_bins::width(1000),
                                       score_bins::mass(data.scores, 15), score_bins::cuts(std::vector<double>{0.2})}) {
            const brier_terms b = reliability(exec::serial, data.scores, data.labels, data.weights, bins).brier();
            CHECK(std::fabs(b.total() - brier) < 1e-14);
        }
    }
}

TEST_CASE("reliability: the debiased errors average 0 for calibrated data") {
    moments plug_in, debiased;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        const auto data = random_scored<float>(2000, {.seed = seed});
        const reliability_table t = reliability(exec::serial, data.scores, data.labels);
        plug_in.absorb(t.squared_ece());
        debiased.absorb(t.squared_ece_debiased());
    }
    CHECK(plug_in.mean() > 5e-4);
    CHECK(std::fabs(debiased.mean()) < 6.0 * std::sqrt(debiased.sample_variance() / 300.0));
    CHECK(std::fabs(debiased.mean()) < 0.1 * plug_in.mean());
}

TEST_CASE("reliability: reference over lengths, misaligned columns and float labels") {
    for (const std::size_t n : sweep_lengths(8)) {
        const auto data = random_scored<float, float>(n, {.levels = 50});
        const placed<float> p(data.scores, 1), y(data.labels, 1), w(data.weights, 1);
        std::vector<long double> weight(15), score(15), label(15);
        for (std::size_t i = 0; i < n; ++i) {
            const auto b = std::min<std::size_t>(14, static_cast<std::size_t>(std::floor(double{data.scores[i]} * 15)));
            weight[b] += data.weights[i];
            score[b] += static_cast<long double>(data.weights[i]) * data.scores[i];
            label[b] += static_cast<long double>(data.weights[i]) * data.labels[i];
        }
        const reliability_table t = reliability(exec::serial, p, y, w);
        for (std::size_t b = 0; b < 15; ++b) {
            CHECK_NEAR(t[b].weight, double(weight[b]), exact());  // multiples of 1/4
            CHECK_NEAR(t[b].label, double(label[b]), exact());
            CHECK_NEAR(t[b].score, double(score[b]), reduction(n));
        }
    }
}

TEST_CASE("reliability: extremes") {
    const std::vector<double> p{0.0, 1.0};
    const reliability_table right = reliability(exec::serial, p, std::vector<int>{0, 1});
    CHECK(right.ece() == 0.0);
    CHECK(right.brier().total() == 0.0);
    CHECK(right.hosmer_lemeshow(0).statistic == 0.0);
    CHECK(right.hosmer_lemeshow(0).p_value == 1.0);
    const reliability_table wrong = reliability(exec::serial, p, std::vector<int>{1, 0});
    CHECK(wrong.ece() == 1.0);
    CHECK(wrong.mce() == 1.0);
    CHECK(wrong.brier().total() == 1.0);
    CHECK(wrong.hosmer_lemeshow(0).statistic == std::numeric_limits<double>::infinity());
    CHECK(wrong.hosmer_lemeshow(0).p_value == 0.0);
    CHECK(std::isnan(wrong.hosmer_lemeshow().p_value));  // two bins, two parameters
    CHECK(wrong.row(7).weight == 0.0);
    CHECK(std::isnan(wrong.row(7).rate));
    CHECK(wrong.row(7).bar.lower == 0.0);
    CHECK(wrong.row(7).bar.upper == 1.0);

    const reliability_table empty;
    for (const double x : {empty.ece(), empty.mce(), empty.ace(), empty.squared_ece(), empty.squared_ece_debiased(),
                           empty.ece_debiased(), empty.brier().total(), empty.hosmer_lemeshow().statistic,
                           empty.hosmer_lemeshow().p_value, empty.finish()}) {
        CHECK(std::isnan(x));
    }
    // Weights above 2^24 are counted in double.
    const reliability_table heavy = reliability(exec::serial, std::vector<float>{0.5f, 0.5f}, std::vector<int>{1, 0},
                                                std::vector<float>{16777216.0f, 1.0f});
    CHECK(heavy.total().weight == 16777217.0);
}

TEST_CASE("ece_gradient: central differences of the sum inside the bins, times the scale, added") {
    auto data = random_scored<double, double>(40);
    // Away from the edges of the bins by more than a difference step.
    for (double& p : data.scores) p = (std::floor(p * 15) + 0.2 + 0.6 * (p * 15 - std::floor(p * 15))) / 15;
    const auto fold = [&](vector_view<const double> p) {
        return reliability(exec::serial, p, data.labels, data.weights);
    };
    const auto value = [&](vector_view<const double> p) { return 3.0 * fold(p).ece() * fold(p).total().weight; };
    const auto gradient = [&](vector_view<const double> p, vector_view<double> out) {
        ece_gradient(exec::serial, fold(p), p, out, data.weights, 3.0);
    };
    CHECK_LAW(testing::check_gradient(value, gradient, data.scores));

    // A bin that is exactly calibrated has no direction, and a score that is in no bin none either.
    const std::vector<double> p{0.5, 0.5, 2.0, std::nan("")};
    const reliability_table t = reliability(exec::serial, p, std::vector<int>{1, 0, 1, 1});
    std::vector<double> out(4, 7.0);
    ece_gradient(exec::serial, t, p, out);
    CHECK_ALL_NEAR(out, std::vector<double>(4, 7.0), exact());
    CHECK_THROWS_AS(ece_gradient(exec::serial, t, std::vector<double>(3, 0.5), out), std::invalid_argument);
}

TEST_CASE("reliability: merge law, threads") {
    const auto data = random_scored<float>(5000);
    const auto batch = make_scored("test", data.scores, data.labels, data.weights);
    for (const score_bins& bins : {score_bins::width(15), score_bins::mass(data.scores, 8)}) {
        const reliability_table identity(bins);
        CHECK_LAW(testing::check_merge(identity, batch, same_table));
        for (const unsigned threads : {1u, 2u, 3u}) {
            exec::pool pool(threads);
            CHECK_LAW(testing::check_fold_policy(identity, batch, exec::host{pool}, equal_table));
        }
    }
    // Dyadic scores: any order gives the same bits.
    const auto dyadic = random_scored<float>(500, {.levels = 64});
    CHECK_LAW(testing::check_merge(reliability_table{},
                                   make_scored("test", dyadic.scores, dyadic.labels, dyadic.weights), equal_table));
    reliability_table ten(score_bins::width(10));
    CHECK_THROWS_AS(ten.merge(reliability_table{}), std::invalid_argument);
}

TEST_CASE("reliability: bad input") {
    const auto data = random_scored<double, double>(40);
    CHECK_LAW(testing::check_bad_values_counted(
        reliability_table{}, make_scored("test", data.scores, data.labels, data.weights), same_table));
    CHECK_THROWS_AS(reliability(exec::serial, std::vector<float>(2), std::vector<float>(3)), std::invalid_argument);
}

TEST_CASE("reliability: bytes") {
    const auto data = random_scored<float>(50);
    for (const score_bins& bins : {score_bins::width(3), score_bins::mass(data.scores, 3)}) {
        const reliability_table t = reliability(exec::serial, data.scores, data.labels, data.weights, bins);
        CHECK(equal_table(from_bytes<reliability_table>(to_bytes(t)), t));
        CHECK_LAW(testing::check_bytes(t, [](const reliability_table& read) {
            reliability_table sum = read;
            sum.merge(read);
            sum.absorb(0.5, 1.0);
            for (std::size_t b = 0; b < sum.size() && b < 10; ++b) (void)sum.row(b);
            const double p = sum.hosmer_lemeshow(0).p_value;
            return no_less_than_zero(sum.ece()) && no_less_than_zero(sum.mce()) && no_less_than_zero(sum.ace()) &&
                   no_less_than_zero(p) && !(p > 1.0);
        }));
    }
}
