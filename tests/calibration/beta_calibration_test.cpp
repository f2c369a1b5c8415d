// Beta calibration, and the fits of two columns under constraints that it shares with Gaussian and Gamma scaling.
#include "reckon/calibration/beta_calibration.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "calibration/calibrator_law.hpp"
#include "calibration/rising_reference.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/testing/laws.hpp"
#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

constexpr std::array variants{beta_variant::full, beta_variant::symmetric, beta_variant::no_intercept};

struct beta_case : plain_fit<beta_calibration> {
    static constexpr bool strict = true;
};

double plain_map(double a, double b, double c, double s) {
    return 1 / (1 + std::exp(-(a * std::log(s) - b * std::log1p(-s) + c)));
}

// Both sides in units of what float lanes can tell: the oracle has seen the same scores in double.
template <class T>
tolerance curve() {
    return sizeof(T) == 8 ? fitted() : tolerance{.relative = 4e-6, .absolute = 4e-6};
}

template <class T, class Y>
std::array<double, 3> reference(const std::vector<T>& s, const std::vector<Y>& y, const std::vector<T>& w,
                                beta_variant variant, bool smooth) {
    rising_problem p;
    for (const T x : s) {
        const double up = std::log(double(x)), down = -std::log1p(-double(x));
        p.u.push_back(variant == beta_variant::symmetric ? up + down : up);
        p.v.push_back(variant == beta_variant::symmetric ? 0.0 : down);
    }
    p.weight.assign(w.begin(), w.end());
    p.target = targets_of(std::vector<double>(y.begin(), y.end()), p.weight, smooth);
    p.intercept = variant != beta_variant::no_intercept;
    if (variant != beta_variant::symmetric) return rising_optimum(p);
    auto line = face_optimum(p, {true, false, true});
    if (line[0] < 0) line = face_optimum(p, {false, false, true});
    return {line[0], line[0], line[2]};
}

template <class T>
void check_curve(const beta_calibration& c, const std::array<double, 3>& want, const std::vector<T>& scores) {
    for (std::size_t i = 0; i < scores.size(); i += 1 + scores.size() / 64) {
        CHECK_NEAR(c(double(scores[i])), plain_map(want[0], want[1], want[2], double(scores[i])), curve<T>());
    }
}

}  // namespace

TEST_CASE("beta_calibration: worked example") {
    const beta_calibration identity;
    for (const double s : {1e-9, 0.01, 0.3, 0.5, 0.9, 1 - 1e-9}) CHECK_NEAR(identity(s), s, probability<double>());
    const beta_calibration c(2.0, 0.5, 0.1);
    // s^2 / sqrt(1 - s) e^0.1 as odds: at 0.36 they are 0.162 e^0.1.
    CHECK_NEAR(c(0.36), 0.162 * std::exp(0.1) / (1 + 0.162 * std::exp(0.1)), probability<double>());

    // Labels that are the values of a curve give that curve.
    std::vector<double> s, y;
    for (int i = 1; i < 20; ++i) {
        s.push_back(i / 20.0);
        y.push_back(plain_map(1.3, 0.4, -0.2, s.back()));
    }
    const auto found = beta_calibration::fit(exec::serial, s, y, {}, {.smooth_targets = false});
    CHECK_NEAR(found.a(), 1.3, fitted());
    CHECK_NEAR(found.b(), 0.4, fitted());
    CHECK_NEAR(found.c(), -0.2, fitted());
    CHECK(found.seen() == counts{19, 0});
    for (double& label : y) label = 0.5;
    for (std::size_t i = 0; i < s.size(); ++i) y[i] = plain_map(0.8, 0.8, 0.3, s[i]);
    const auto line =
        beta_calibration::fit(exec::serial, s, y, {}, {.variant = beta_variant::symmetric, .smooth_targets = false});
    CHECK_NEAR(line.a(), 0.8, fitted());
    CHECK(line.a() == line.b());
    CHECK_NEAR(line.c(), 0.3, fitted());
}

TEST_CASE_TEMPLATE("beta_calibration: equals the reference at every length", T, float, double) {
    constexpr std::size_t lanes = simd::pack<T>::lanes;
    for (const std::size_t n : sweep_lengths(lanes)) {
        if (n < 8) continue;  // fewer rows hardly bend a curve
        auto data = random_scored<T>(n, {.seed = n, .slope = 1.5});
        data.labels[0] = 0;
        data.labels[1] = 1;
        for (std::size_t i = 0; i < n; i += 2) data.weights[i] = T(1);
        const placed<T> shifted(data.scores, 1);
        const vector_view<const T> scores(shifted.data(), n);
        for (const auto variant : variants) {
            CAPTURE(n);
            CAPTURE(static_cast<int>(variant));
            const auto c = beta_calibration::fit(exec::serial, scores, data.labels, {}, {.variant = variant});
            check_curve(c, reference(data.scores, data.labels, std::vector<T>(n, T(1)), variant, true), data.scores);
            const auto weighted =
                beta_calibration::fit(exec::serial, scores, data.labels, data.weights, {.variant = variant});
            check_curve(weighted, reference(data.scores, data.labels, data.weights, variant, true), data.scores);
        }
    }
}

TEST_CASE("beta_calibration: a start from a sample does not change the optimum, on any face") {
    struct truth {
        double a, b, c;
    };
    for (const truth t : {truth{0.8, 1.5, 0.2}, truth{-0.7, 2.0, -1.0}, truth{1.5, -1.0, 0.5}, truth{-1.0, -1.0, 0.0},
                          truth{-0.3, -3.0, -0.5}}) {
        CAPTURE(t.a);
        CAPTURE(t.b);
        const auto s = random_uniform<double>(40000, 0.02, 0.97, 3);
        const auto u = random_uniform<double>(s.size(), 0.0, 1.0, 4);
        std::vector<std::uint8_t> y;
        for (std::size_t i = 0; i < s.size(); ++i) y.push_back(u[i] < plain_map(t.a, t.b, t.c, s[i]) ? 1 : 0);
        const std::vector<double> ones(s.size(), 1.0);
        for (const auto variant : {beta_variant::full, beta_variant::no_intercept}) {
            const auto c = beta_calibration::fit(exec::serial, s, y, {}, {.variant = variant});
            const auto want = reference(s, y, ones, variant, true);
            CHECK_NEAR(c.a(), want[0], fitted());
            CHECK_NEAR(c.b(), want[1], fitted());
            CHECK_NEAR(c.c(), want[2], fitted());
            CHECK((c.a() == 0.0) == (want[0] == 0.0));
            CHECK((c.b() == 0.0) == (want[1] == 0.0));
        }
    }
}

TEST_CASE_TEMPLATE("beta_calibration: equals the oracles", T, float, double) {
    const fixture data("data.txt"), oracle("calibrators.txt");
    for (const std::string name : {"ties", "smooth", "weighted", "skewed", "negatives", "tiny"}) {
        CAPTURE(name);
        const auto& want = oracle[name + ".beta.parameters"];
        if (std::isnan(want[0])) continue;
        const auto p = data.as<T>(name + ".p");
        const auto y = data.as<T>(name + ".y");
        const auto w = data.contains(name + ".w") ? data.as<T>(name + ".w") : std::vector<T>(p.size(), T(1));
        const auto c = beta_calibration::fit(exec::serial, p, y, w, {.smooth_targets = false});
        check_curve<T>(c, {want[0], want[1], want[2]}, p);
        if (sizeof(T) < 8) continue;
        CHECK_NEAR(c.a(), want[0], fitted());
        CHECK_NEAR(c.b(), want[1], fitted());
        CHECK_NEAR(c.c(), want[2], fitted());
    }
    const fixture parametric("parametric.txt");
    for (const std::string name : {"wide", "bent", "first", "second", "against", "corner"}) {
        const auto s = parametric.as<T>(name + ".s"), y = parametric.as<T>(name + ".y"),
                   w = parametric.as<T>(name + ".w");
        for (const auto variant : variants) {
            const std::string kind = variant == beta_variant::full        ? ".beta.full."
                                     : variant == beta_variant::symmetric ? ".beta.symmetric."
                                                                          : ".beta.no_intercept.";
            for (const bool smooth : {false, true}) {
                const auto& want = parametric[name + kind + (smooth ? "smoothed" : "plain")];
                CAPTURE(name + kind);
                const auto c =
                    beta_calibration::fit(exec::serial, s, y, w, {.variant = variant, .smooth_targets = smooth});
                check_curve<T>(c, {want[0], want[1], want[2]}, s);
                CHECK_NEAR(c.a(), want[0], curve<T>());
                CHECK_NEAR(c.b(), want[1], curve<T>());
                CHECK_NEAR(c.c(), want[2], curve<T>());
            }
        }
    }
}

TEST_CASE("beta_calibration: log-odds and probabilities give the same fit") {
    const auto data = random_scored<double>(3000, {.slope = 1.7});
    std::vector<double> f;
    for (const double p : data.scores) f.push_back(std::log(p) - std::log1p(-p));
    const auto c = beta_calibration::fit(exec::serial, data.scores, data.labels, data.weights);
    const auto same = beta_calibration::fit(exec::serial, f, data.labels, data.weights, {.input = score_kind::logit});
    CHECK_NEAR(same.a(), c.a(), fitted());
    CHECK_NEAR(same.b(), c.b(), fitted());
    CHECK_NEAR(same.c(), c.c(), fitted());
    for (const std::size_t i : {0u, 7u, 1000u}) CHECK_NEAR(same(f[i]), c(data.scores[i]), fitted());
}

TEST_CASE("beta_calibration: scores at and next to the ends") {
    const beta_calibration c(1.5, 2.0, -0.5);
    CHECK_NEAR(c(0.0), plain_map(1.5, 2.0, -0.5, 1e-9), fitted());
    CHECK_NEAR(c(1.0), plain_map(1.5, 2.0, -0.5, 1 - 1e-9), fitted());
    CHECK(c(-1.0) == c(0.0));
    CHECK(c(7.0) == c(1.0));
    CHECK(c(1e-12) == c(0.0));
    // ln(1 - s) of small s in float keeps its relative accuracy.
    const beta_calibration steep(0.0, 1e5, 0.0);
    for (const float s : {1e-7f, 1e-6f, 1.2345e-5f, 1e-4f}) {
        const double want = plain_map(0.0, 1e5, 0.0, double(s));
        CHECK_NEAR(steep(s), want, tolerance{.relative = 4e-6});
    }
    const float below = std::nextafter(1.0f, 0.0f);
    const beta_calibration gentle(1.0, 0.5, -6.0);
    CHECK_NEAR(gentle(below), plain_map(1.0, 0.5, -6.0, double(below)), curve<float>());
    CHECK(gentle(below) < gentle(1.0f));
}

TEST_CASE("beta_calibration: one class, separable, few scores, nothing") {
    const std::vector<double> s{0.1, 0.2, 0.35, 0.6, 0.7, 0.9};
    for (const int label : {0, 1}) {
        const std::vector<int> labels(6, label);
        const auto c = beta_calibration::fit(exec::serial, s, labels);
        CHECK_NEAR(c(0.5), label == 1 ? 7.0 / 8 : 1.0 / 8, fitted());
        const auto plain = beta_calibration::fit(exec::serial, s, labels, {}, {.smooth_targets = false});
        CHECK((label == 1 ? plain(0.5) > 0.99 : plain(0.5) < 0.01));
    }
    const std::vector<int> apart{0, 0, 0, 1, 1, 1};
    const auto smooth = beta_calibration::fit(exec::serial, s, apart);
    check_curve(smooth, reference(s, apart, std::vector<double>(6, 1.0), beta_variant::full, true), s);
    const auto steep = beta_calibration::fit(exec::serial, s, apart, {}, {.smooth_targets = false});
    CHECK(std::isfinite(steep.a() + steep.b() + steep.c()));
    CHECK(steep(0.35) < smooth(0.35));
    CHECK(steep(0.6) > smooth(0.6));

    const std::vector<double> same(5, 0.7);
    const std::vector<int> mixed{1, 0, 0, 0, 1};
    const auto flat = beta_calibration::fit(exec::serial, same, mixed, {}, {.smooth_targets = false});
    CHECK(flat.a() == 0.0);
    CHECK(flat.b() == 0.0);
    CHECK_NEAR(flat(0.7), 0.4, fitted());

    // Two scores: the line through both rates.
    const std::vector<double> two{0.2, 0.2, 0.2, 0.2, 0.8, 0.8, 0.8, 0.8};
    const std::vector<int> rates{0, 0, 0, 1, 1, 1, 0, 1};
    const auto line = beta_calibration::fit(exec::serial, two, rates, {}, {.smooth_targets = false});
    CHECK_NEAR(line.a(), line.b(), fitted());
    CHECK_NEAR(line(0.2), 0.25, fitted());
    CHECK_NEAR(line(0.8), 0.75, fitted());
    const std::vector<float> two_floats(two.begin(), two.end());
    const auto line_of_floats = beta_calibration::fit(exec::serial, two_floats, rates, {}, {.smooth_targets = false});
    CHECK_NEAR(line_of_floats.a(), line.a(), curve<float>());
    CHECK_NEAR(line_of_floats.b(), line.b(), curve<float>());
    // And the other way round it would fall.
    const std::vector<int> falling{1, 1, 1, 0, 0, 0, 0, 1};
    const auto level = beta_calibration::fit(exec::serial, two, falling, {}, {.smooth_targets = false});
    CHECK(level.a() == 0.0);
    CHECK(level.b() == 0.0);
    CHECK_NEAR(level(0.3), 0.5, fitted());

    const auto empty = beta_calibration::fit(exec::serial, std::vector<double>{}, std::vector<int>{});
    CHECK(empty.a() == 1.0);
    CHECK(empty.b() == 1.0);
    CHECK(empty.c() == 0.0);
    for (const auto variant : variants) {
        for (const double one : {0.0, 0.5, 1.0}) {
            const auto c =
                beta_calibration::fit(exec::serial, std::vector<double>(5, one), mixed, {}, {.variant = variant});
            CHECK(std::isfinite(c.a() + c.b() + c.c()));
        }
    }
}

TEST_CASE_TEMPLATE("beta_calibration: the Newton pass of two columns has the derivatives of the loss and merges", T,
                   float, double) {
    using reckon::detail::pair_features;
    const auto data = random_scored<T, T>(777, {.seed = 5});
    const auto seconds = random_normal<T>(777);
    const reckon::detail::paired<T, T, T> rows(make_scored("test", data.scores, data.labels, data.weights),
                                               vector_view<const T>(seconds.data(), seconds.size()));
    reckon::detail::logistic_model<pair_features> model;
    model.features = {{1.5, -0.5}, {0.25, 0.1}};
    model.targets = {0.01, 0.95};
    model.theta = {1.75, -0.5, 0.3};
    reckon::detail::newton_sums<pair_features> sums{model};
    sums.absorb(rows);
    const std::vector<double> doubles(data.scores.begin(), data.scores.end()),
        labels(data.labels.begin(), data.labels.end()), weights(data.weights.begin(), data.weights.end()),
        wide(seconds.begin(), seconds.end());
    const reckon::detail::paired<double, double, double> precise(make_scored("test", doubles, labels, weights),
                                                                 vector_view<const double>(wide.data(), wide.size()));
    // Central differences of the sum err by h^2 times a third derivative, and by rounding over h.
    const tolerance difference{.absolute = sizeof(T) == 8 ? 1e-5 : 1e-3};
    const double h = 1e-4;
    for (std::size_t i = 0; i < 3; ++i) {
        const auto moved = [&](double by) {
            auto at = model;
            at.theta[i] += by;
            return at;
        };
        reckon::detail::log_loss_sum<pair_features> up{moved(h)}, down{moved(-h)};
        up.absorb(precise);
        down.absorb(precise);
        CHECK_NEAR(sums.gradient[i], (up.loss - down.loss) / (2 * h), difference);
        reckon::detail::newton_sums<pair_features> high{moved(h)}, low{moved(-h)};
        high.absorb(precise);
        low.absorb(precise);
        for (std::size_t j = 0; j <= i; ++j) {
            CHECK_NEAR(sums.hessian[i * (i + 1) / 2 + j], (high.gradient[j] - low.gradient[j]) / (2 * h), difference);
        }
    }
    const tolerance sum = reduction<T>(777).of(1000.0);
    const auto same = [&](const auto& got, const auto& want) {
        bool ok = true;
        for (std::size_t i = 0; i < 3; ++i) ok = ok && near(got.gradient[i], want.gradient[i], sum).ok;
        for (std::size_t i = 0; i < 6; ++i) ok = ok && near(got.hessian[i], want.hessian[i], sum).ok;
        return ok;
    };
    const auto merged = testing::check_merge(reckon::detail::newton_sums<pair_features>{model}, rows, same);
    CHECK_MESSAGE(merged.ok, merged.message);
}

TEST_CASE("beta_calibration: solve_independent leaves out what is explained") {
    bool dropped = true;
    // [4 2; 2 3] x = (2, 5)
    const auto x = reckon::detail::solve_independent<2>({4, 2, 3}, {2, 5}, 1e-12, dropped);
    CHECK_NEAR(x[0], -0.5, ulp(4));
    CHECK_NEAR(x[1], 2.0, ulp(4));
    CHECK_FALSE(dropped);
    // The second column is twice the first.
    const auto same = reckon::detail::solve_independent<2>({4, 8, 16}, {2, 4}, 1e-12, dropped);
    CHECK_NEAR(same[0], 0.5, ulp(4));
    CHECK(same[1] == 0.0);
    CHECK(dropped);
    // No column at all is no loss.
    const auto none = reckon::detail::solve_independent<2>({4, 0, 0}, {2, 0}, 1e-12, dropped);
    CHECK_NEAR(none[0], 0.5, ulp(4));
    CHECK(none[1] == 0.0);
    CHECK_FALSE(dropped);
}

TEST_CASE("beta_calibration: options and parameters out of range throw") {
    const std::vector<double> p{0.1, 0.2};
    const std::vector<int> y{0, 1};
    CHECK_THROWS_AS(beta_calibration::fit(exec::serial, p, y, {}, {.tolerance = 0.0}), std::invalid_argument);
    CHECK_THROWS_AS(beta_calibration::fit(exec::serial, p, y, {}, {.max_passes = 0}), std::invalid_argument);
    CHECK_THROWS_AS(beta_calibration(-0.1, 1.0, 0.0), std::invalid_argument);
    CHECK_THROWS_AS(beta_calibration(1.0, std::numeric_limits<double>::infinity(), 0.0), std::invalid_argument);
    CHECK_THROWS_AS(beta_calibration(1.0, 1.0, std::numeric_limits<double>::quiet_NaN()), std::invalid_argument);
}

TEST_CASE("beta_calibration: the calibrators' law") {
    check_calibrator<beta_case>();
}
