// The one-pass report: its figures are those of the separate folds, on every path through it.
#include "reckon/metrics/calibration_report.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "../support/law.hpp"
#include "../support/random_data.hpp"
#include "../support/sweep.hpp"
#include "../support/tolerance.hpp"
#include "data_sets.hpp"
#include "reckon/exec/pool.hpp"

using namespace reckon;
using namespace reckon::testing_support;

namespace {

// The same sums, added in another order.
void check_figures(const calibration_figures& got, const calibration_figures& want, std::size_t n) {
    CHECK_NEAR(got.log_loss, want.log_loss, reduction(n));
    CHECK_NEAR(got.normalized_entropy, want.normalized_entropy, reduction(n));
    CHECK_NEAR(got.brier, want.brier, reduction(n));
    CHECK_NEAR(got.pcoc, want.pcoc, reduction(n));
    CHECK_NEAR(got.ece, want.ece, reduction(n).of(1.0));
    CHECK_NEAR(got.mce, want.mce, reduction(n).of(1.0));
    CHECK_NEAR(got.ace, want.ace, reduction(n).of(1.0));
    CHECK_NEAR(got.spiegelhalter_z, want.spiegelhalter_z, reduction(n).of(1.0 + std::fabs(want.spiegelhalter_z)));
    CHECK_NEAR(got.spiegelhalter_p, want.spiegelhalter_p, reduction(n).of(1.0));
}

template <class P, class Y, class W = none>
calibration_figures separately(const P& p, const Y& y, const W& w = {},
                               const calibration_report_options& options = {}) {
    const proper_scores s = score_predictions(exec::serial, p, y, w, {.epsilon = options.epsilon});
    const reliability_table t = reliability(exec::serial, p, y, w, options.bins);
    const spiegelhalter_test z = spiegelhalter(exec::serial, p, y, w);
    return {s.log_loss(), s.normalized_entropy(), s.brier(), s.pcoc(), t.ece(), t.mce(), t.ace(), z.z(), z.p_value()};
}

bool same_summary(const calibration_summary& a, const calibration_summary& b) {
    const calibration_figures x = a.finish(), y = b.finish();
    return same_sum(x.log_loss, y.log_loss) && same_sum(x.brier, y.brier) && same_sum(x.pcoc, y.pcoc) &&
           (same_bits(x.ece, y.ece) || std::fabs(x.ece - y.ece) < 1e-13) &&
           (same_bits(x.spiegelhalter_z, y.spiegelhalter_z) ||
            std::fabs(x.spiegelhalter_z - y.spiegelhalter_z) < 1e-10);
}
bool equal_summary(const calibration_summary& a, const calibration_summary& b) {
    const calibration_figures x = a.finish(), y = b.finish();
    return same_bits(x.log_loss, y.log_loss) && same_bits(x.brier, y.brier) && same_bits(x.pcoc, y.pcoc) &&
           same_bits(x.ece, y.ece) && same_bits(x.mce, y.mce) && same_bits(x.spiegelhalter_z, y.spiegelhalter_z) &&
           a.seen() == b.seen();
}

}  // namespace

TEST_CASE("calibration_report: worked example") {
    const std::vector<float> p{0.25f, 0.25f, 0.75f};
    const std::vector<std::uint8_t> y{0, 1, 1};
    const calibration_figures f =
        calibration_report(exec::serial, p, y, none{}, {.bins = score_bins::width(2)}).finish();
    CHECK_NEAR(f.ece, 0.25, ulp(2));
    CHECK(f.mce == 0.25);
    CHECK(f.ace == 0.25);
    CHECK_NEAR(f.brier, (0.0625 + 0.5625 + 0.0625) / 3, ulp(2));
    CHECK(f.pcoc == 0.625);
    CHECK_NEAR(f.log_loss, -(2 * std::log(0.75) + std::log(0.25)) / 3, ulp(4));
}

TEST_CASE_TEMPLATE("calibration_report: oracle", Y, std::uint8_t, std::int32_t, float, double) {
    const fixture metrics{"metrics.txt"};
    for (const data_set& set : data_sets()) {
        CAPTURE(set.name);
        const std::vector<Y> y(set.y.begin(), set.y.end());
        const calibration_figures f = calibration_report(exec::serial, set.p, y, set.w).finish();
        CHECK_NEAR(f.log_loss, metrics.value(set.name + ".log_loss"), reduction(set.size()));
        CHECK_NEAR(f.brier, metrics.value(set.name + ".brier"), reduction(set.size()));
        CHECK_NEAR(f.pcoc, metrics.value(set.name + ".pcoc"), reduction(set.size()));
        CHECK_NEAR(f.ece, metrics.value(set.name + ".width15.ece"), reduction(set.size()).of(1.0));
        CHECK_NEAR(f.mce, metrics.value(set.name + ".width15.mce"), reduction(set.size()).of(1.0));
        const double z = metrics.value(set.name + ".spiegelhalter.z");
        CHECK_NEAR(f.spiegelhalter_z, z, reduction(set.size()).of(1.0 + std::fabs(z)));
    }
}

TEST_CASE_TEMPLATE("calibration_report: as the separate folds, over lengths, instruction sets and misaligned columns",
                   P, float, double) {
    std::vector<std::size_t> lengths = sweep_lengths(reckon::detail::report_block);
    for (const std::size_t n : lengths) {
        CAPTURE(n);
        const auto data = random_scored<P>(n, {.bias = -3.0, .slope = 1.4, .levels = n % 2 == 0 ? 1000u : 0u});
        const placed<P> p(data.scores, 1);
        const placed<std::uint8_t> y(data.labels, 1);
        const calibration_figures want = separately(p, y);
        check_figures(calibration_report(exec::serial, p, y).finish(), want, n);
        check_figures((calibration_report<exec::serial_policy, placed<P>, placed<std::uint8_t>, none, isa::scalar>(
                           exec::serial, p, y))
                          .finish(),
                      want, n);
        check_figures(calibration_report(exec::serial, p, y, data.weights).finish(), separately(p, y, data.weights), n);
        for (const std::size_t bins :
             {std::size_t{1}, reckon::detail::report_max_bins, reckon::detail::report_max_bins + 1}) {
            const calibration_report_options options{.epsilon = 0.05, .bins = score_bins::width(bins)};
            check_figures(calibration_report(exec::serial, p, y, none{}, options).finish(),
                          separately(p, y, none{}, options), n);
        }
        const calibration_report_options mass{.bins = score_bins::mass(p, 9)};
        check_figures(calibration_report(exec::serial, p, y, none{}, mass).finish(), separately(p, y, none{}, mass), n);
    }
}

TEST_CASE("calibration_report: the Brier terms of the fast path") {
    const auto data = random_scored<float>(5000);
    const calibration_summary s = calibration_report(exec::serial, data.scores, data.labels);
    CHECK(std::fabs(s.bins().brier().total() - s.scores().brier()) < 1e-14);
}

TEST_CASE("calibration_report: extremes in whole blocks") {
    const std::size_t n = 3 * reckon::detail::report_block;
    const std::vector<std::vector<double>> columns{std::vector<double>(n, 0.0), std::vector<double>(n, 1.0),
                                                   std::vector<double>(n, 0.5), std::vector<double>(n, 1e-300)};
    for (const std::vector<double>& p : columns) {
        for (const int label : {0, 1}) {
            const std::vector<int> y(n, label);
            for (const double epsilon : {1e-16, 1e-7, 0.1}) {
                const calibration_report_options options{.epsilon = epsilon, .bins = {}};
                const calibration_figures got = calibration_report(exec::serial, p, y, none{}, options).finish();
                const calibration_figures want = separately(p, y, none{}, options);
                // The loss of a certain prediction is a logarithm near 1, where rounding is absolute.
                CHECK_NEAR(got.log_loss, want.log_loss, reduction(n).of(1.0 + want.log_loss));
                CHECK_NEAR(got.brier, want.brier, reduction(n));
                CHECK_NEAR(got.ece, want.ece, reduction(n));
                CHECK_NEAR(got.pcoc, want.pcoc, reduction(n));
                CHECK_NEAR(got.spiegelhalter_z, want.spiegelhalter_z, reduction(n));
            }
        }
    }
    CHECK(std::isnan(calibration_summary{}.finish().log_loss));
    CHECK(std::isnan(calibration_summary{}.finish().ece));
    CHECK(std::isnan(calibration_summary{}.finish().spiegelhalter_p));
}

TEST_CASE_TEMPLATE("calibration_report: bad values and fractions anywhere in a block", Y, float, double) {
    const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
    const std::size_t n = 2 * reckon::detail::report_block + 5;
    const auto good = random_scored<double, Y>(n);
    for (const std::size_t at :
         {std::size_t{0}, std::size_t{7}, reckon::detail::report_block - 1, reckon::detail::report_block, n - 1}) {
        for (const double bad : {nan, inf, -inf, -1e-300, std::nextafter(1.0, 2.0), 2.0, 1e300, -1e300}) {
            auto data = good;
            data.scores[at] = bad;
            const calibration_summary s = calibration_report(exec::serial, data.scores, data.labels);
            CHECK(s.seen() == counts{n - 1, 1});
            CHECK(s.bins().seen() == s.seen());
            CHECK(s.spiegelhalter().seen() == s.seen());
            check_figures(s.finish(), separately(data.scores, data.labels), n);
        }
        for (const double label : {nan, inf, -inf, -1.0, 2.0, 0.25, 1e-300}) {
            auto data = good;
            data.labels[at] = static_cast<Y>(label);
            const calibration_summary s = calibration_report(exec::serial, data.scores, data.labels);
            const bool legal = label >= 0.0 && label <= 1.0;
            CHECK(s.rejected() == (legal ? 0u : 1u));
            check_figures(s.finish(), separately(data.scores, data.labels), n);
        }
    }
    std::vector<std::uint8_t> two(n, 2);
    CHECK(calibration_report(exec::serial, good.scores, two).rejected() == n);
    CHECK_THROWS_AS(calibration_report(exec::serial, good.scores, std::vector<int>(3)), std::invalid_argument);
    CHECK_THROWS_AS(calibration_report(exec::serial, good.scores, good.labels, none{}, {.epsilon = 0.5, .bins = {}}),
                    std::invalid_argument);
}

TEST_CASE("calibration_report: merge law, threads, bad values counted") {
    const auto data = random_scored<float>(20000);
    const auto batch = make_scored("test", data.scores, data.labels);
    CHECK_LAW(testing::check_merge(calibration_summary{}, batch.slice(0, 3000), same_summary));
    for (const unsigned threads : {1u, 2u, 3u}) {
        exec::pool pool(threads);
        CHECK_LAW(testing::check_fold_policy(calibration_summary{}, batch, exec::host{pool}, equal_summary));
        CHECK(equal_summary(calibration_report(exec::host{pool}, data.scores, data.labels),
                            calibration_report(exec::serial, data.scores, data.labels)));
    }
    CHECK_LAW(testing::check_bad_values_counted(
        calibration_summary{}, make_scored("test", data.scores, data.labels, data.weights).slice(0, 40), same_summary));
    calibration_summary other({.epsilon = 1e-7, .bins = score_bins::width(3)});
    CHECK_THROWS_AS(other.merge(calibration_summary{}), std::invalid_argument);
}

TEST_CASE("calibration_report: bytes") {
    const auto data = random_scored<float>(50);
    const calibration_summary s =
        calibration_report(exec::serial, data.scores, data.labels, none{}, {.bins = score_bins::width(2)});
    CHECK(equal_summary(from_bytes<calibration_summary>(to_bytes(s)), s));
    CHECK_LAW(testing::check_bytes(s, [](const calibration_summary& read) {
        calibration_summary sum = read;
        sum.merge(read);
        const calibration_figures f = sum.finish();
        return no_less_than_zero(f.log_loss) && no_less_than_zero(f.ece) && no_less_than_zero(f.spiegelhalter_p);
    }));
}
