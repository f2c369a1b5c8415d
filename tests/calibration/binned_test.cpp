// Scaling-binning and Bayesian binning into quantiles.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "calibrator_law.hpp"
#include "reckon/calibration/bbq.hpp"
#include "reckon/calibration/scaling_binning.hpp"
#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

struct bbq_case : plain_fit<bbq> {
    static constexpr bool monotone = false;
};
using scaling_case = plain_fit<scaling_binning>;

TEST_CASE("bbq: the common law") {
    check_calibrator<bbq_case>();
}
TEST_CASE("scaling_binning: the common law") {
    check_calibrator<scaling_case>();
}

TEST_CASE("bbq: worked example") {
    using reckon::detail::bbq_bin;
    CHECK_NEAR(bbq_bin::of(3, 1, 0.5, 2.0).log_score, -2.995732273554, fitted());  // ln 0.05
    const double two = bbq_bin::of(0, 1, 0.25, 1.0).log_score + bbq_bin::of(3, 0, 0.75, 1.0).log_score;
    CHECK_NEAR(two, -0.795906914518, fitted());
    // The same two bins from rows: cut at 0.5, whose ties stay together; beside the binning into one.
    const std::vector<double> p{0.1, 0.5, 0.5, 0.5};
    const std::vector<int> y{0, 1, 1, 1};
    const bbq c = bbq::fit(serial, p, y, none{}, {.min_bins = 1, .max_bins = 2});
    const double one_weight = std::exp(-2.995732273554), two_weight = std::exp(-0.795906914518);
    const double one_rate = 4.0 / 6.0, low = 0.25 / 2.0, high = 3.75 / 4.0;
    REQUIRE(c.cuts().size() == 1);
    CHECK(c.cuts()[0] == 0.5);
    CHECK_NEAR(c.values()[0], (one_weight * one_rate + two_weight * low) / (one_weight + two_weight), fitted());
    CHECK_NEAR(c.values()[1], (one_weight * one_rate + two_weight * high) / (one_weight + two_weight), fitted());
    CHECK(c(0.49999) == c.values()[0]);
    CHECK(c(0.5) == c.values()[1]);
    CHECK(c(7.0F) == static_cast<float>(c.values()[1]));
}

TEST_CASE("bbq: against numpy") {
    const fixture data("data.txt"), want("binned.txt");
    for (const std::string set : {"ties", "smooth", "weighted", "skewed", "tiny"}) {
        CAPTURE(set);
        const auto p = data.as<float>(set + ".p");
        const auto& y = data[set + ".y"];
        const auto w = data.contains(set + ".w") ? data[set + ".w"] : std::vector<double>(y.size(), 1.0);
        for (const bool mean : {false, true}) {
            const bbq c = bbq::fit(serial, p, y, w,
                                   {.prior = mean ? bbq_options::prior_mean::mean : bbq_options::prior_mean::midpoint});
            CHECK_ALL_NEAR(mapped(c, want["bbq.grid"]), want["bbq." + set + (mean ? ".mean" : ".midpoint")], fitted());
        }
    }
}

TEST_CASE("bbq: bad options, nothing to fit") {
    const std::vector<double> p{0.1, 0.9};
    const std::vector<int> y{0, 1};
    CHECK_THROWS_AS(bbq::fit(serial, p, y, none{}, {.prior_weight = 0.0}), std::invalid_argument);
    CHECK_THROWS_AS(bbq::fit(serial, p, y, none{}, {.min_bins = 3, .max_bins = 2}), std::invalid_argument);
    CHECK_THROWS_AS(bbq({0.5, 0.5}, {0.1, 0.2, 0.3}), std::invalid_argument);
    CHECK_THROWS_AS(bbq({0.5}, {0.1}), std::invalid_argument);
    CHECK_THROWS_AS(bbq({0.5}, {0.1, 1.5}), std::invalid_argument);
    CHECK(bbq::fit(serial, std::vector<double>{}, std::vector<int>{})(0.3) == 0.5);
    // More bins than rows is as many bins as rows.
    CHECK(bbq::fit(serial, p, y, none{}, {.max_bins = std::size_t{1} << 60}).cuts().size() == 1);
}

TEST_CASE("sorted_cuts: counts as std::upper_bound does, in any type and at the ends") {
    constexpr double inf = std::numeric_limits<double>::infinity();
    for (const std::size_t n : {0u, 1u, 2u, 3u, 7u, 100u, 3000u}) {
        std::vector<double> cuts = random_uniform<double>(n, -1.0, 1.0, n + 1);
        // Neighbours that one float cannot tell apart, both zeros' place, and cuts beyond float.
        if (n > 6) cuts.insert(cuts.end(), {0.0, 5e-324, 0.25, std::nextafter(0.25, 1.0), 1e300, -1e300});
        std::sort(cuts.begin(), cuts.end());
        const reckon::detail::sorted_cuts table(cuts);
        std::vector<double> probe = random_uniform<double>(500, -1.1, 1.1, 9);
        for (const double c : cuts) probe.insert(probe.end(), {c, std::nextafter(c, inf), std::nextafter(c, -inf)});
        probe.insert(probe.end(), {inf, -inf, 0.0, -0.0, 1e308, -1e308});
        std::size_t wrong = 0;
        for (const double x : probe) {
            const auto count = [&](double at) {
                return static_cast<std::size_t>(std::upper_bound(cuts.begin(), cuts.end(), at) - cuts.begin());
            };
            const auto f = static_cast<float>(x);
            wrong += table.count_up_to(x) != count(x);
            wrong += table.count_up_to(f) != count(static_cast<double>(f));
        }
        CAPTURE(n);
        CHECK(wrong == 0);
        CHECK(table.count_up_to(std::numeric_limits<double>::quiet_NaN()) <= cuts.size());
        CHECK(table.count_up_to(-std::numeric_limits<float>::quiet_NaN()) <= cuts.size());
    }
}

TEST_CASE("scaling_binning: against the package and plain numpy") {
    const fixture want("binned.txt");
    const auto p = want.as<float>("scaling.p");
    const auto& y = want["scaling.y"];
    scaling_binning_options options;
    options.scaler.smooth_targets = false;
    const auto doubles = scaling_binning::fit(serial, want["scaling.p"], y, none{}, options);
    CHECK_NEAR(doubles.curve().slope(), want["scaling.platt"][0], fitted());
    CHECK_NEAR(doubles.curve().intercept(), want["scaling.platt"][1], fitted());
    CHECK_ALL_NEAR(doubles.cuts(), want["scaling.cuts"], exact());
    CHECK_ALL_NEAR(doubles.values(), want["scaling.values"], fitted());
    const auto floats = scaling_binning::fit(serial, p, y, none{}, options);
    CHECK_ALL_NEAR(floats.cuts(), want["scaling.cuts"], exact());
    CHECK_ALL_NEAR(std::vector<float>(floats.values().begin(), floats.values().end()), want["scaling.values"],
                   reduction<float>(600));
}

TEST_CASE("scaling_binning: the mean of the curve in each bin, whatever the scores are") {
    for (const bool logit : {false, true}) {
        CAPTURE(logit);
        scaling_binning_options options;
        options.bins = 7;
        options.scaler.input = logit ? score_kind::logit : score_kind::probability;
        auto data = random_scored<double>(500, {.slope = -1.2, .levels = 40});  // the curve falls
        if (logit) {
            for (double& s : data.scores) s = 8.0 * s - 5.0;
        }
        const platt curve = platt::fit(serial, data.scores, data.labels, data.weights, options.scaler);
        const auto c = scaling_binning::fit(serial, data.scores, data.labels, data.weights, options);
        CHECK(c.seen().accepted == data.size());
        CHECK(c.values().size() == c.cuts().size() + 1);
        for (std::size_t b = 0; b < c.values().size(); ++b) {
            double weight = 0.0, sum = 0.0;
            for (std::size_t i = 0; i < data.size(); ++i) {
                const double s = data.scores[i];
                if ((b > 0 && s < c.cuts()[b - 1]) || (b < c.cuts().size() && s >= c.cuts()[b])) continue;
                CHECK(c(s) == c.values()[b]);
                weight += data.weights[i];
                sum += data.weights[i] * curve(s);
            }
            CHECK_NEAR(c.values()[b], sum / weight, reduction(500));
            if (b > 0) CHECK(c.values()[b] < c.values()[b - 1]);
        }
        // The same rows with a curve from elsewhere.
        const auto other = scaling_binning::from_platt(serial, curve, data.scores, data.weights, options);
        CHECK(to_bytes(other) == to_bytes(c));
    }
}

TEST_CASE("scaling_binning: bad options, nothing to fit") {
    const std::vector<double> p{0.1, 0.9};
    const std::vector<int> y{0, 1};
    CHECK_THROWS_AS(scaling_binning::fit(serial, p, y, none{}, {.bins = 0, .scaler = {}}), std::invalid_argument);
    CHECK(scaling_binning::fit(serial, std::vector<double>{}, std::vector<int>{})(0.3) == 0.5);
    // Few scores many times: the lowest is a cut, and the bin below it is not made.
    const std::vector<double> ties{0.2, 0.2, 0.2, 0.2, 0.2, 0.7};
    const auto c =
        scaling_binning::fit(serial, ties, std::vector<int>{0, 1, 0, 1, 0, 1}, none{}, {.bins = 3, .scaler = {}});
    CHECK(c.values().size() == 1);
}

}  // namespace
