// Both spline calibrators: the slope of the cumulative curve, and the spline in log-odds.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "calibrator_law.hpp"
#include "reckon/calibration/platt.hpp"
#include "reckon/calibration/spline_calibration.hpp"
#include "reckon/calibration/spline_logit.hpp"
#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

template <class C>
struct bending : plain_fit<C> {
    static constexpr bool monotone = false;
};

const std::vector<std::string> data_sets{"ties", "smooth", "weighted", "skewed", "negatives", "tiny"};

// Second derivatives at the knots of the natural spline through (x, y), from the full linear system.
std::vector<double> natural_second(const std::vector<double>& x, const std::vector<double>& y) {
    const std::size_t n = x.size();
    std::vector<std::vector<double>> rows(n, std::vector<double>(n + 1, 0.0));
    rows[0][0] = rows[n - 1][n - 1] = 1.0;
    for (std::size_t i = 1; i + 1 < n; ++i) {
        rows[i][i - 1] = (x[i] - x[i - 1]) / 6;
        rows[i][i] = (x[i + 1] - x[i - 1]) / 3;
        rows[i][i + 1] = (x[i + 1] - x[i]) / 6;
        rows[i][n] = (y[i + 1] - y[i]) / (x[i + 1] - x[i]) - (y[i] - y[i - 1]) / (x[i] - x[i - 1]);
    }
    for (std::size_t i = 0; i < n; ++i) {  // Gauss and Jordan; the matrix is diagonally dominant
        for (std::size_t k = 0; k < n; ++k) {
            if (k == i || rows[k][i] == 0.0) continue;
            const double factor = rows[k][i] / rows[i][i];
            for (std::size_t j = 0; j <= n; ++j) rows[k][j] -= factor * rows[i][j];
        }
    }
    std::vector<double> second(n);
    for (std::size_t i = 0; i < n; ++i) second[i] = rows[i][n] / rows[i][i];
    return second;
}

double natural_spline(const std::vector<double>& x, const std::vector<double>& y, double at) {
    const std::size_t n = x.size();
    const std::vector<double> second = natural_second(x, y);
    const auto piece = [&](std::size_t i, double t) {
        const double h = x[i + 1] - x[i], a = (x[i + 1] - t) / h, b = (t - x[i]) / h;
        return a * y[i] + b * y[i + 1] + ((a * a * a - a) * second[i] + (b * b * b - b) * second[i + 1]) * h * h / 6;
    };
    const auto slope = [&](std::size_t i, bool right) {
        const double h = x[i + 1] - x[i];
        return (y[i + 1] - y[i]) / h + (right ? second[i] + 2 * second[i + 1] : -2 * second[i] - second[i + 1]) * h / 6;
    };
    if (at <= x.front()) return y.front() + slope(0, false) * (at - x.front());
    if (at >= x.back()) return y.back() + slope(n - 2, true) * (at - x.back());
    std::size_t i = 0;
    while (at > x[i + 1]) ++i;
    return piece(i, at);
}

}  // namespace

TEST_CASE("spline_calibration: worked example") {
    // Labels that follow ranks in a straight line: h(t) = t^2 / 2 up to half a row, so p' is near t.
    std::vector<double> scores, labels;
    for (int i = 0; i < 1000; ++i) {
        scores.push_back(i / 1000.0);
        labels.push_back((i + 0.5) / 1000.0);
    }
    const auto c = spline_calibration::fit(serial, scores, labels);
    CHECK(c.knot_scores().size() == 65);
    CHECK(c(0.5) == doctest::Approx(0.5).epsilon(1e-3));
    CHECK(c(0.25) == doctest::Approx(0.25).epsilon(1e-2));
    // Two knots: the mean label.
    const auto flat = spline_calibration::fit(serial, scores, labels, {}, {.knots = 2});
    CHECK_NEAR(flat(0.1), 0.5, reduction(1000));
    CHECK_NEAR(flat(0.9), 0.5, reduction(1000));
}

TEST_CASE("spline_calibration: natural splines of scipy, least squares of numpy") {
    const fixture data("data.txt"), want("splines.txt");
    for (const std::string& set : data_sets) {
        CAPTURE(set);
        const auto p = data.as<float>(set + ".p");
        const auto y = data.as<std::uint8_t>(set + ".y");
        const auto check = [&](const spline_calibration& c, const std::string& name) {
            CHECK_ALL_NEAR(c.knot_scores(), want[set + name + ".scores"], exact());
            CHECK_ALL_NEAR(c.knot_levels(), want[set + name + ".levels"], fitted());
        };
        if (data.contains(set + ".w")) {
            check(spline_calibration::fit(serial, p, y, data[set + ".w"]), ".spline");
            check(spline_calibration::fit(serial, p, y, data[set + ".w"], {.knots = 9, .segments = 10}), ".spline9");
        } else {
            check(spline_calibration::fit(serial, p, y), ".spline");
            check(spline_calibration::fit(serial, p, y, {}, {.knots = 9, .segments = 10}), ".spline9");
            check(spline_calibration::fit(serial, data[set + ".p"], data[set + ".y"]), ".spline");
        }
    }
}

TEST_CASE("spline_calibration: the mean is kept, and bends that are no order are followed") {
    const random_stream rng(5);
    std::vector<float> scores;
    std::vector<std::uint8_t> labels;
    double positive = 0;
    for (std::size_t i = 0; i < 20000; ++i) {
        const double s = rng.uniform(i), rate = 0.5 - 0.4 * std::cos(6.283185307179586 * s);
        scores.push_back(static_cast<float>(s));
        labels.push_back(rng.uniform(i + 100000) < rate ? 1 : 0);
        positive += labels.back();
    }
    const auto c = spline_calibration::fit(serial, scores, labels);
    CHECK(c(0.5) > c(0.2) + 0.2);
    CHECK(c(0.5) > c(0.8) + 0.2);
    CHECK(c(0.5) == doctest::Approx(0.9).epsilon(0.05));
    // The polygon's mean over rows, against that of the labels: the curve between 65 corners.
    double sum = 0;
    for (const float s : scores) sum += static_cast<double>(c(s));
    CHECK(sum / positive == doctest::Approx(1.0).epsilon(1e-3));
}

TEST_CASE("spline_calibration: thin input, bad options, parameters") {
    const spline_calibration nothing;
    CHECK(nothing(0.25) == 0.25);
    CHECK(to_bytes(spline_calibration::fit(serial, std::vector<float>{}, std::vector<int>{})) == to_bytes(nothing));
    const auto single = spline_calibration::fit(serial, std::vector<float>(3, 0.3f), std::vector<int>{1, 0, 0});
    CHECK_NEAR(single(0.9), 1.0 / 3.0, ulp(2));
    const auto two = spline_calibration::fit(serial, std::vector<double>{0.2, 0.8}, std::vector<int>{0, 1});
    CHECK(two(0.2) <= 0.5);
    CHECK(two(0.8) >= 0.5);
    const auto scores = random_uniform<double>(100, 0.0, 1.0);
    for (const int label : {0, 1}) {
        const auto c = spline_calibration::fit(serial, scores, std::vector<int>(100, label));
        CHECK_NEAR(c(0.5), static_cast<double>(label), probability());
    }
    // One score holds nearly all rows, so most knots see no point.
    std::vector<double> crowded(1000, 0.5);
    crowded[0] = 0.1;
    crowded[1] = 0.9;
    std::vector<int> labels(1000, 0);
    for (std::size_t i = 1; i < 1000; i += 2) labels[i] = 1;
    CHECK(spline_calibration::fit(serial, crowded, labels)(0.5) == doctest::Approx(0.5).epsilon(0.01));

    const std::vector<double> p{0.1, 0.2};
    const std::vector<int> y{0, 1};
    CHECK_THROWS_AS(spline_calibration::fit(serial, p, y, {}, {.knots = 1}), std::invalid_argument);
    CHECK_THROWS_AS(spline_calibration::fit(serial, p, y, {}, {.knots = 17}), std::invalid_argument);
    CHECK_THROWS_AS(spline_calibration::fit(serial, p, y, {}, {.segments = 0}), std::invalid_argument);
    CHECK_THROWS_AS(spline_calibration({0.2, 0.1}, {0.5, 0.5}), std::invalid_argument);
    CHECK_THROWS_AS(spline_calibration({0.2, 0.3}, {0.5, 1.5}), std::invalid_argument);
    CHECK(spline_calibration({0.2, 0.3, 0.4}, {0.5, 0.25, 1.0})(0.25) == doctest::Approx(0.375));
}

TEST_CASE("spline_calibration: what every calibrator owes") {
    check_calibrator<bending<spline_calibration>>();
}

TEST_CASE("spline_logit: worked example") {
    // A natural spline through three points: between them the cubic, outside straight lines.
    const spline_logit c({-1.0, 0.0, 1.0}, {-1.0, 0.0, 0.0}, score_kind::logit);
    for (const double f : {-40.0, -3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.5}) {
        const double z = natural_spline({-1, 0, 1}, {-1, 0, 0}, f);
        CHECK_NEAR(c(f), 1 / (1 + std::exp(-z)), probability());
    }
    CHECK_NEAR(c(-2.0), 1 / (1 + std::exp(2.25)), probability());  // slope 5/4 below -1
    CHECK_NEAR(c(2.0), 1 / (1 + std::exp(0.25)), probability());   // slope -1/4 above 1
    CHECK_NEAR(spline_logit()(0.3), 0.3, probability());
}

TEST_CASE("spline_logit: penalised Newton of numpy") {
    const fixture data("data.txt"), want("splines.txt");
    for (const std::string& set : data_sets) {
        CAPTURE(set);
        const auto p = data.as<float>(set + ".p");
        const auto y = data.as<std::uint8_t>(set + ".y");
        const auto w = data.contains(set + ".w") ? data[set + ".w"] : std::vector<double>{};
        const auto check = [&](const spline_logit& c, const std::string& name) {
            CHECK_ALL_NEAR(c.knots(), want[set + name + ".knots"], fitted());
            CHECK_ALL_NEAR(c.values(), want[set + name + ".values"], fitted());
            std::vector<double> out(want["grid"].size());
            c.apply(serial, want["grid"], out);
            CHECK_ALL_NEAR(out, want[set + name + ".predicted"], fitted());
        };
        check(spline_logit::fit(serial, p, y, w), ".logit");
        check(spline_logit::fit(serial, data[set + ".p"], data[set + ".y"], w), ".logit");
        check(spline_logit::fit(serial, p, y, w, {.knots = 9, .ridge = 1.0}), ".logit9");
        if (set != "negatives") {
            check(spline_logit::fit(serial, p, y, w, {.knots = 4, .ridge = 0.1, .smooth_targets = false}), ".logit4");
        }
    }
}

TEST_CASE("spline_logit: values at ranks are those of the sorted column") {
    for (const std::size_t n : {std::size_t{1}, std::size_t{100}, std::size_t{70000}}) {
        auto values = random_normal<double>(n, 0.0, 3.0, n);
        for (std::size_t i = 0; i < n; i += 3) values[i] = std::round(values[i]);  // ties, and zeros of both signs
        auto sorted = values;
        std::sort(sorted.begin(), sorted.end());
        const std::vector<std::size_t> ranks{0, n / 5, n / 5, n / 3, n / 2, n - 1};
        const auto found = reckon::detail::values_at_ranks({values.data(), n}, ranks);
        for (std::size_t i = 0; i < ranks.size(); ++i) CHECK(found[i] == sorted[ranks[i]]);
    }
}

TEST_CASE("spline_logit: without roughness it is Platt scaling") {
    const auto data = random_scored<double>(30000, {.seed = 3, .slope = 1.7, .shift = -0.4});
    const auto want = platt::fit(serial, data.scores, data.labels, data.weights);
    const auto stiff = spline_logit::fit(serial, data.scores, data.labels, data.weights, {.ridge = 1e12});
    const auto line = spline_logit::fit(serial, data.scores, data.labels, data.weights, {.knots = 2});
    CHECK(line.knots().size() == 2);
    const auto probe = random_uniform<double>(300, 0.0, 1.0);
    CHECK_ALL_NEAR(mapped(stiff, probe), mapped(want, probe), fitted());
    CHECK_ALL_NEAR(mapped(line, probe), mapped(want, probe), fitted());
}

TEST_CASE("spline_logit: the gradient of the penalised loss vanishes") {
    const auto data = random_scored<double>(3000, {.seed = 6, .slope = 0.6});
    std::vector<double> f;
    for (const double p : data.scores) f.push_back(std::log(p) - std::log1p(-p));
    const spline_logit_options options{.input = score_kind::logit, .ridge = 30.0};
    const auto c = spline_logit::fit(serial, f, data.labels, {}, options);
    REQUIRE(c.knots().size() == 6);
    double positive = 0;
    for (const auto y : data.labels) positive += y;
    const double n = static_cast<double>(f.size()), low = 1 / (n - positive + 2),
                 high = (positive + 1) / (positive + 2);
    const auto loss = [&](const std::vector<double>& values) {
        const auto& x = c.knots();
        const double length = x.back() - x.front();
        double sum = 0;
        for (std::size_t i = 0; i < f.size(); ++i) {
            const double z = natural_spline(x, values, f[i]), t = data.labels[i] != 0 ? high : low;
            sum += std::log1p(std::exp(-std::fabs(z))) + (z > 0 ? z : 0.0) - t * z;
        }
        const auto second = natural_second(x, values);  // straight lines in between
        double rough = 0;
        for (std::size_t k = 0; k + 1 < x.size(); ++k) {
            const double left = second[k], right = second[k + 1];
            rough += (left * left + left * right + right * right) / 3 * (x[k + 1] - x[k]) * std::pow(length, 3);
        }
        return sum + 0.5 * options.ridge * rough;
    };
    const double best = loss(c.values());
    for (std::size_t k = 0; k < 6; ++k) {
        auto up = c.values(), down = c.values();
        up[k] += 0.02;
        down[k] -= 0.02;
        CHECK(loss(up) > best);
        CHECK(loss(down) > best);
        // Central difference against the curvature: the optimum is less than 1e-4 away.
        CHECK(std::fabs(loss(up) - loss(down)) < 0.01 * (loss(up) + loss(down) - 2 * best));
    }
}

TEST_CASE("spline_logit: thin input, extreme scores, bad options, parameters") {
    const std::vector<double> none_given;
    const auto nothing = spline_logit::fit(serial, none_given, std::vector<int>{});
    CHECK(nothing.knots() == std::vector<double>{-1, 1});
    const std::vector<int> mixed{1, 0, 0, 1, 0, 0};
    const auto one = spline_logit::fit(serial, std::vector<float>(6, 0.3f), mixed);
    // Smoothed targets: (2 * 3/4 + 4 * 1/6) / 6.
    CHECK_NEAR(one(0.1), (2 * 0.75 + 4 / 6.0) / 6, fitted());
    CHECK_NEAR(one(0.9), (2 * 0.75 + 4 / 6.0) / 6, fitted());
    for (const double scale : {1e-18, 1e-3, 1e30}) {
        CAPTURE(scale);
        std::vector<double> f;
        const auto data = random_scored<double>(500, {.seed = 9});
        for (const double p : data.scores) f.push_back(scale * (std::log(p) - std::log1p(-p)));
        f[7] = 3e37;  // far from the rest
        const auto c = spline_logit::fit(serial, f, data.labels, {}, {.input = score_kind::logit});
        CHECK(all_probabilities(mapped(c, f)));
        const std::vector<float> narrow(f.begin(), f.end());
        CHECK(all_probabilities(mapped(c, narrow)));
    }
    // A threshold separates the classes; without smoothing there is no optimum.
    const std::vector<double> f{-3, -2, -1, 1, 2, 3, 4, 5};
    const std::vector<int> apart{0, 0, 0, 1, 1, 1, 1, 1}, ones(8, 1);
    for (const bool smooth : {true, false}) {
        const auto c = spline_logit::fit(serial, f, apart, {}, {.input = score_kind::logit, .smooth_targets = smooth});
        CHECK(c(-3.0) < 0.3);
        CHECK(c(5.0) > 0.7);
        const auto all = spline_logit::fit(serial, f, ones, {}, {.input = score_kind::logit, .smooth_targets = smooth});
        CHECK(all(-3.0) > 0.85);
    }

    const std::vector<double> p{0.1, 0.2};
    const std::vector<int> y{0, 1};
    constexpr double inf = std::numeric_limits<double>::infinity();
    CHECK_THROWS_AS(spline_logit::fit(serial, p, y, {}, {.knots = 1}), std::invalid_argument);
    CHECK_THROWS_AS(spline_logit::fit(serial, p, y, {}, {.knots = 11}), std::invalid_argument);
    CHECK_THROWS_AS(spline_logit::fit(serial, p, y, {}, {.ridge = 0.0}), std::invalid_argument);
    CHECK_THROWS_AS(spline_logit::fit(serial, p, y, {}, {.ridge = inf}), std::invalid_argument);
    CHECK_THROWS_AS(spline_logit::fit(serial, p, y, {}, {.tolerance = 0.0}), std::invalid_argument);
    CHECK_THROWS_AS(spline_logit::fit(serial, p, y, {}, {.max_passes = 0}), std::invalid_argument);
    CHECK_THROWS_AS(spline_logit({1.0}, {1.0}), std::invalid_argument);
    CHECK_THROWS_AS(spline_logit({1.0, 0.0}, {1.0, 2.0}), std::invalid_argument);
    CHECK_THROWS_AS(spline_logit({0.0, 1.0}, {1.0, inf}), std::invalid_argument);
    CHECK_THROWS_AS(spline_logit({0.0, 1e-40}, {1.0, 2.0}), std::invalid_argument);
}

TEST_CASE("spline_logit: what every calibrator owes") {
    check_calibrator<bending<spline_logit>>();
}
