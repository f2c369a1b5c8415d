// Isotonic regression and the isotonic calibrator.
#include "reckon/calibration/isotonic.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/fixture.hpp"
#include "../support/random_data.hpp"
#include "../support/sweep.hpp"
#include "../support/tolerance.hpp"
#include "reckon/exec/pool.hpp"

using namespace reckon;
namespace ts = reckon::testing_support;

namespace {

// fitted_i = max over a <= i of min over b >= i of mean(a .. b): the closed form, in cubic time.
std::vector<double> max_min(const std::vector<double>& y, const std::vector<double>& w) {
    std::vector<double> fitted(y.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
        double best = -std::numeric_limits<double>::infinity();
        for (std::size_t a = 0; a <= i; ++a) {
            double least = std::numeric_limits<double>::infinity(), sum = 0.0, weight = 0.0;
            for (std::size_t b = a; b < y.size(); ++b) {
                sum += w[b] * y[b];
                weight += w[b];
                if (b >= i) least = (std::min)(least, sum / weight);
            }
            best = (std::max)(best, least);
        }
        fitted[i] = best;
    }
    return fitted;
}

}  // namespace

TEST_CASE("isotonic_regression: worked example") {
    const std::vector<double> values{1, 3, 2, 4, 3.5};
    std::vector<double> fitted(5);
    isotonic_regression(values, fitted);
    CHECK(fitted == std::vector<double>{1, 2.5, 2.5, 3.75, 3.75});
    isotonic_regression(fitted, fitted);  // idempotent, and in place
    CHECK(fitted == std::vector<double>{1, 2.5, 2.5, 3.75, 3.75});
}

TEST_CASE("isotonic_regression: equals the max-min formula, keeps the weighted mean") {
    for (std::size_t n = 1; n <= 40; n += 3) {
        const auto y = ts::random_normal<double>(n, 0.0, 1.0, n);
        const auto w = ts::random_uniform<double>(n, 0.1, 3.0, n);
        std::vector<double> fitted(n);
        isotonic_regression(y, fitted, w);
        CHECK_ALL_NEAR(fitted, max_min(y, w), ts::reduction(n).of(4.0));
        double before = 0.0, after = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            before += w[i] * y[i];
            after += w[i] * fitted[i];
        }
        CHECK_NEAR(after, before, ts::reduction(n).of(4.0 * static_cast<double>(n)));
    }
}

TEST_CASE("isotonic_regression: 0/1 bytes read by words equal the plain path") {
    for (const std::size_t n : {0u, 1u, 7u, 63u, 64u, 65u, 128u, 131u, 1000u, 20000u}) {
        for (const double rate : {0.0, 0.02, 0.5, 0.97, 1.0}) {
            std::vector<std::uint8_t> labels(n + 1);  // one element off alignment
            std::vector<float> values(n);
            const random_stream rng(n);
            for (std::size_t i = 0; i < n; ++i) {
                const double trend = rate == 0.5 ? static_cast<double>(i) / static_cast<double>(n) : rate;
                labels[i + 1] = rng.uniform(i) < trend;
                values[i] = labels[i + 1];
            }
            std::vector<double> got(n), want(n);
            isotonic_regression(vector_view<const std::uint8_t>(labels.data() + 1, n), got);
            isotonic_regression(values, want);
            CAPTURE(n);
            CAPTURE(rate);
            CHECK(got == want);
        }
    }
}

TEST_CASE("isotonic_regression: the Jacobian averages over blocks") {
    const std::vector<double> y{0.1, 0.5, 0.3, 0.9, 0.7, 0.8}, w{1, 2, 1, 3, 1, 1};
    std::vector<double> fitted(6), up(6), down(6);
    isotonic_regression(y, fitted, w);
    for (std::size_t j = 0; j < 6; ++j) {
        auto moved = y;
        const double h = 1e-6;
        moved[j] = y[j] + h;
        isotonic_regression(moved, up, w);
        moved[j] = y[j] - h;
        isotonic_regression(moved, down, w);
        for (std::size_t i = 0; i < 6; ++i) {
            double block = 0.0;
            for (std::size_t k = 0; k < 6; ++k) block += fitted[k] == fitted[i] ? w[k] : 0.0;
            const double want = fitted[i] == fitted[j] ? w[j] / block : 0.0;
            CHECK_NEAR((up[i] - down[i]) / (2 * h), want, ts::fitted());
        }
    }
}

TEST_CASE("isotonic_regression: bad shapes") {
    std::vector<double> y(3), out(2), w(2);
    CHECK_THROWS_WITH_AS(isotonic_regression(y, out), "isotonic_regression: 3 values but room for 2 fitted ones",
                         std::invalid_argument);
    out.resize(3);
    CHECK_THROWS_AS(isotonic_regression(y, out, w), std::invalid_argument);
}

TEST_CASE("isotonic: scikit-learn, fitted values and predictions") {
    const ts::fixture data("data.txt"), want("calibrators.txt");
    const auto grid = want["isotonic.grid"];
    for (const std::string set : {"ties", "smooth", "weighted", "skewed", "negatives", "tiny"}) {
        CAPTURE(set);
        const auto p = data.as<float>(set + ".p");
        const auto y = data.as<std::uint8_t>(set + ".y");
        const bool weighted = data.contains(set + ".w");
        const auto check = [&](const isotonic& model) {
            std::vector<double> fitted(p.size()), predicted(grid.size());
            std::vector<float> narrow(p.size());
            model.apply(exec::serial, data[set + ".p"], fitted);
            model.apply(exec::serial, p, narrow);
            model.apply(exec::serial, grid, predicted);
            CHECK_ALL_NEAR(fitted, want[set + ".isotonic.fitted"], ts::reduction(p.size()));
            CHECK_ALL_NEAR(narrow, want[set + ".isotonic.fitted"], ts::ulp(1));
            CHECK_ALL_NEAR(predicted, want[set + ".isotonic.predicted"], ts::reduction(p.size()));
        };
        if (weighted) {
            check(isotonic::fit(exec::serial, p, y, data[set + ".w"]));
        } else {
            check(isotonic::fit(exec::serial, p, y));                                   // bucketed
            check(isotonic::fit(exec::serial, p, y, std::vector<float>(p.size(), 2)));  // general
            check(isotonic::fit(exec::serial, data[set + ".p"], data[set + ".y"]));     // double
        }
    }
}

TEST_CASE("isotonic: bucketed and general fits give the same knots") {
    for (const std::size_t n : {10u, 1000u, 60000u}) {
        for (const std::size_t levels : {std::size_t{0}, std::size_t{64}}) {
            const auto data = ts::random_scored<float>(n, {.seed = n, .levels = levels});
            const auto fast = isotonic::fit(exec::serial, data.scores, data.labels);
            const auto slow = isotonic::fit(exec::serial, data.scores, data.labels, std::vector<float>(n, 1.0f));
            CHECK(fast.knot_scores() == slow.knot_scores());
            CHECK(fast.knot_levels() == slow.knot_levels());
        }
    }
}

TEST_CASE("isotonic: a knot gives its level, between two knots a straight line, outside the ends") {
    const isotonic model({-2.0, -1.0, 0.5, 3.0}, {0.1, 0.1, 0.4, 0.9});
    CHECK(model(-2.0) == 0.1);
    CHECK(model(0.5) == 0.4);
    CHECK(model(3.0) == 0.9);
    CHECK(model(-100.0) == 0.1);
    CHECK(model(100.0) == 0.9);
    CHECK(model(-std::numeric_limits<double>::infinity()) == 0.1);
    CHECK(model(std::numeric_limits<double>::infinity()) == 0.9);
    CHECK_NEAR(model(1.75), 0.65, ts::ulp(4));
    CHECK(std::isnan(model(std::numeric_limits<double>::quiet_NaN())));
    CHECK(model(0.5f) == 0.4f);
}

TEST_CASE("isotonic: the search agrees with a plain one, also for knots that crowd in one cell") {
    std::vector<double> x, y;
    for (int i = 0; i < 3000; ++i) {
        x.push_back(i < 1500 ? 0.5 + 1e-9 * i : i * 0.25);  // half of them are one float apart or less
        y.push_back(i / 3000.0);
    }
    const isotonic model(x, y);
    const random_stream rng(9);
    for (std::size_t k = 0; k < 20000; ++k) {
        const double score = k % 2 == 0 ? 0.5 + 1.6e-6 * rng.uniform(k) : 800.0 * rng.uniform(k);
        const auto above = std::upper_bound(x.begin(), x.end(), score);
        double want = 0.0;
        if (above == x.begin()) {
            want = y.front();
        } else if (above == x.end()) {
            want = y.back();
        } else {
            const auto i = static_cast<std::size_t>(above - x.begin());
            want = y[i - 1] + (score - x[i - 1]) / (x[i] - x[i - 1]) * (y[i] - y[i - 1]);
        }
        CHECK_NEAR(model(score), want, ts::probability());
    }
}

TEST_CASE("isotonic: decreasing fits mirror increasing ones") {
    const auto data = ts::random_scored<double>(500, {.seed = 2});
    std::vector<double> mirrored;
    for (const double s : data.scores) mirrored.push_back(-s);
    const auto up = isotonic::fit(exec::serial, data.scores, data.labels);
    const auto down = isotonic::fit(exec::serial, mirrored, data.labels, {}, {.increasing = false});
    for (const double s : data.scores) CHECK_NEAR(down(-s), up(s), ts::ulp(4));
}

TEST_CASE("isotonic: bad input is counted, thin input has an answer") {
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    const isotonic nothing = isotonic::fit(exec::serial, std::vector<float>{}, std::vector<int>{});
    CHECK(nothing(0.5) == 0.5);
    CHECK(nothing(7.0) == 1.0);
    CHECK(nothing.seen() == counts{});
    static_assert(fitted_calibrator<isotonic>);
    const auto ones = isotonic::fit(exec::serial, std::vector<float>{0.1f, 0.9f}, std::vector<int>{1, 1});
    CHECK(ones(0.0) == 1.0);
    const auto single = isotonic::fit(exec::serial, std::vector<float>{0.3f, 0.3f, 0.3f}, std::vector<int>{1, 0, 0});
    CHECK_NEAR(single(0.9), 1.0 / 3.0, ts::ulp(1));
    CHECK(single.knot_scores().size() == 1);
    const std::vector<float> scores{nan, inf, 0.2f, 0.4f, 0.6f, 0.8f};
    const std::vector<float> labels{1, 1, 0, 3, nan, 1};
    const auto model = isotonic::fit(exec::serial, scores, labels);
    CHECK(model.seen() == counts{2, 4});
    CHECK(model(0.2f) == 0.0f);
    CHECK(model(0.8f) == 1.0f);
    const auto weighted = isotonic::fit(exec::serial, std::vector<float>{0.2f, 0.4f, 0.6f}, std::vector<int>{1, 0, 1},
                                        std::vector<float>{0.0f, 1.0f, -1.0f});
    CHECK(weighted.seen() == counts{2, 1});
    CHECK(weighted.knot_scores() == std::vector<double>{static_cast<double>(0.4f)});
    CHECK_THROWS_AS(isotonic::fit(exec::serial, scores, std::vector<int>{1}), std::invalid_argument);
    std::vector<float> small(2);
    CHECK_THROWS_AS(model.apply(exec::serial, scores, small), std::invalid_argument);
    CHECK_THROWS_AS(isotonic({0.5, 0.4}, {0.1, 0.2}), std::invalid_argument);
    CHECK_THROWS_AS(isotonic({0.4, 0.5}, {0.1}), std::invalid_argument);
    CHECK_THROWS_AS(isotonic({0.4, 0.5}, {0.1, 1.5}), std::invalid_argument);
    CHECK_THROWS_AS(isotonic({0.4, 0.5, 0.6}, {0.1, 0.3, 0.2}), std::invalid_argument);
}

TEST_CASE("isotonic: threads and bytes") {
    const auto data = ts::random_scored<float>(50000, {.seed = 8});
    const auto model = isotonic::fit(exec::serial, data.scores, data.labels);
    std::vector<float> serial(data.size()), threaded(data.size());
    model.apply(exec::serial, data.scores, serial);
    exec::pool pool(3);
    model.apply(exec::host{pool}, data.scores, threaded);
    CHECK(serial == threaded);
    CHECK(std::is_sorted(model.knot_levels().begin(), model.knot_levels().end()));
    const auto copy = from_bytes<isotonic>(to_bytes(model));
    CHECK(copy.knot_scores() == model.knot_scores());
    CHECK(copy.knot_levels() == model.knot_levels());
    CHECK(copy.seen() == model.seen());
    for (const float s : data.scores) CHECK(copy(s) == model(s));
    CHECK(from_bytes<isotonic>(to_bytes(isotonic()))(0.25) == 0.25);
}
