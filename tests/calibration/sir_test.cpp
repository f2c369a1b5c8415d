// Smoothed isotonic regression.
#include "reckon/calibration/sir.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

double interpolate(double x, const std::vector<double>& xs, const std::vector<double>& ys) {
    if (x <= xs.front()) return ys.front();
    for (std::size_t i = 1; i < xs.size(); ++i) {
        if (x <= xs[i]) return ys[i - 1] + (ys[i] - ys[i - 1]) * (x - xs[i - 1]) / (xs[i] - xs[i - 1]);
    }
    return ys.back();
}

// Sort, cut, average, pool by repeated sweeps, join.
struct reference {
    std::vector<double> x{0.0}, y{0.0};

    template <class T>
    reference(const std::vector<T>& p, const std::vector<std::uint8_t>& labels, const std::vector<T>& weights,
              std::size_t bins) {
        std::vector<T> sorted;
        for (std::size_t i = 0; i < p.size(); ++i) {
            if (weights[i] > 0) sorted.push_back(p[i]);
        }
        std::sort(sorted.begin(), sorted.end());
        std::vector<double> cuts;
        for (std::size_t k = 1; k < bins && !sorted.empty(); ++k) cuts.push_back(sorted[k * sorted.size() / bins]);
        cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
        std::vector<double> n(cuts.size() + 1), s(n.size()), k(n.size());
        for (std::size_t i = 0; i < p.size(); ++i) {
            const auto b = static_cast<std::size_t>(
                std::count_if(cuts.begin(), cuts.end(), [&](double c) { return c <= double(p[i]); }));
            n[b] += double(weights[i]);
            s[b] += double(weights[i]) * double(p[i]);
            k[b] += double(weights[i]) * labels[i];
        }
        std::vector<double> mean, rate, weight;
        for (std::size_t b = 0; b < n.size(); ++b) {
            if (n[b] == 0) continue;
            mean.push_back(s[b] / n[b]);
            rate.push_back(k[b] / n[b]);
            weight.push_back(n[b]);
        }
        for (std::size_t i = 0; i < rate.size(); ++i) {  // max over starts of the min over ends of the mean
            double best = 0;
            for (std::size_t a = 0; a <= i; ++a) {
                double least = 2, sum = 0, total = 0;
                for (std::size_t b = a; b < rate.size(); ++b) {
                    sum += rate[b] * weight[b];
                    total += weight[b];
                    if (b >= i) least = (std::min)(least, sum / total);
                }
                best = (std::max)(best, least);
            }
            x.push_back(mean[i]);
            y.push_back(best);
        }
        x.push_back(1.0);
        y.push_back(1.0);
    }
};

}  // namespace

TEST_CASE("sir: worked example") {
    // Two bins: (0.2, 1/2) and (0.7, 1/2), weights 2 and 2.
    const std::vector<double> p{0.1, 0.3, 0.6, 0.8};
    const std::vector<int> y{0, 1, 1, 0};
    const auto c = sir::fit(exec::serial, p, y, {}, {.bins = 2});
    REQUIRE(c.knot_scores().size() == 4);
    CHECK_NEAR(c.knot_scores()[1], 0.2, ulp(1));
    CHECK_NEAR(c.knot_scores()[2], 0.7, ulp(1));
    CHECK(c.knot_values()[1] == 0.5);
    CHECK(c(0.0) == 0.0);
    CHECK_NEAR(c(0.1), 0.25, ulp(4));
    CHECK(c(0.45) == 0.5);
    CHECK_NEAR(c(0.85), 0.75, ulp(4));
    CHECK(c(1.0) == 1.0);
    CHECK(c(-0.5) == 0.0);
    CHECK(c(1.5) == 1.0);
    CHECK(c.seen() == counts{4, 0});
}

TEST_CASE_TEMPLATE("sir: equals the reference", T, float, double) {
    for (const std::size_t n : {1u, 2u, 3u, 50u, 1000u, 5000u}) {
        for (const std::size_t levels : {0u, 16u}) {
            const auto data = random_scored<T>(n, {.seed = n, .slope = 1.6, .levels = levels});
            for (const std::size_t bins : {1u, 10u, 100u}) {
                const auto c = sir::fit(exec::serial, data.scores, data.labels, data.weights, {.bins = bins});
                const reference want(data.scores, data.labels, data.weights, bins);
                for (int i = 0; i <= 200; ++i) {
                    const double x = i / 200.0;
                    CHECK_NEAR(c(x), interpolate(x, want.x, want.y), tolerance{.absolute = 1e-11});
                }
            }
        }
    }
}

TEST_CASE("sir: equals the oracles") {
    const fixture data("data.txt"), oracle("calibrators.txt");
    for (const std::string name : {"ties", "smooth", "weighted", "skewed", "negatives", "tiny"}) {
        CAPTURE(name);
        const auto p = data.as<float>(name + ".p");
        const auto y = data.as<float>(name + ".y");
        const auto w = data.contains(name + ".w") ? data.as<float>(name + ".w") : std::vector<float>(p.size(), 1.0f);
        const auto c = sir::fit(exec::serial, p, y, w, {.bins = 20});
        const auto& score = oracle[name + ".sir.mean_p"];
        const auto& level = oracle[name + ".sir.level"];
        REQUIRE(c.knot_scores().size() == score.size() + 2);
        for (std::size_t i = 0; i < score.size(); ++i) {
            CHECK_NEAR(c.knot_scores()[i + 1], score[i], probability<double>());
            CHECK_NEAR(c.knot_values()[i + 1], level[i], probability<double>());
        }
        const auto& grid = oracle["grid"];
        std::vector<double> out(grid.size());
        c.apply(exec::serial, grid, out);
        // A steep segment multiplies the rounding of its ends.
        CHECK_ALL_NEAR(out, oracle[name + ".sir.predicted"], fitted());
    }
}

TEST_CASE("sir: scores at the ends replace the end points") {
    const std::vector<double> p{0.0, 0.0, 1.0, 1.0, 0.0, 1.0};
    const std::vector<int> y{0, 1, 1, 0, 0, 1};
    const auto c = sir::fit(exec::serial, p, y);
    CHECK(c.knot_scores() == std::vector<double>{0.0, 1.0});
    CHECK_NEAR(c(0.0), 1.0 / 3, ulp(1));
    CHECK_NEAR(c(0.5), 0.5, ulp(2));
    CHECK_NEAR(c(1.0), 2.0 / 3, ulp(1));
    const std::vector<double> ones{1.0, 1.0}, zeros{0.0, 0.0};
    const std::vector<int> mixed{0, 1};
    CHECK(sir::fit(exec::serial, ones, mixed)(1.0) == 0.5);
    CHECK(sir::fit(exec::serial, ones, mixed)(0.0) == 0.0);
    CHECK(sir::fit(exec::serial, zeros, mixed)(0.0) == 0.5);
    CHECK(sir::fit(exec::serial, zeros, mixed)(1.0) == 1.0);
    const auto empty = sir::fit(exec::serial, std::vector<double>{}, std::vector<int>{});
    CHECK(empty(0.3) == 0.3);
    CHECK(empty(1.0) == 1.0);
}

TEST_CASE("sir: does not decrease between any two neighbours near its corners") {
    const auto data = random_scored<double>(2000, {.slope = 3.0});
    const auto c = sir::fit(exec::serial, data.scores, data.labels);
    for (const double corner : c.knot_scores()) {
        double p = corner;
        for (int i = 0; i < 20; ++i) p = std::nextafter(p, 0.0);
        for (int i = 0; i < 40; ++i) {
            const double next = std::nextafter(p, 2.0);
            CHECK(c(p) <= c(next));
            p = next;
        }
    }
}

TEST_CASE("sir: options and corners out of range throw") {
    const std::vector<double> p{0.1, 0.2};
    const std::vector<int> y{0, 1};
    CHECK_THROWS_AS(sir::fit(exec::serial, p, y, {}, {.bins = 0}), std::invalid_argument);
    const auto corners = [](std::vector<double> x, std::vector<double> v) { return sir(std::move(x), std::move(v)); };
    CHECK_THROWS_AS(corners({0.0}, {0.0}), std::invalid_argument);
    CHECK_THROWS_AS(corners({0.0, 1.0}, {0.0}), std::invalid_argument);
    CHECK_THROWS_AS(corners({0.1, 1.0}, {0.0, 1.0}), std::invalid_argument);
    CHECK_THROWS_AS(corners({0.0, 0.5, 0.5, 1.0}, {0.0, 0.1, 0.2, 1.0}), std::invalid_argument);
    CHECK_THROWS_AS(corners({0.0, 0.5, 1.0}, {0.0, 0.7, 0.6}), std::invalid_argument);
    CHECK_THROWS_AS(corners({0.0, 1.0}, {0.0, 1.5}), std::invalid_argument);
    CHECK_THROWS_AS(corners({0.0, std::numeric_limits<double>::quiet_NaN(), 1.0}, {0.0, 0.5, 1.0}),
                    std::invalid_argument);
}
