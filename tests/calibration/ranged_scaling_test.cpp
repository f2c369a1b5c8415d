// Gaussian and Gamma scaling: logistic curves that rise on the range of the scores.
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
#include "reckon/calibration/gamma_scaling.hpp"
#include "reckon/calibration/gaussian_scaling.hpp"
#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

struct gaussian_case : plain_fit<gaussian_scaling> {
    static constexpr bool strict = true;
};
struct gamma_case : plain_fit<gamma_scaling> {
    static constexpr bool strict = true;
};

double log_odds(const gaussian_scaling&, double a, double b, double c, double s) {
    return a * s * s + b * s + c;
}
double log_odds(const gamma_scaling&, double a, double b, double c, double s) {
    return a * std::log(s) + b * s + c;
}
template <class C>
double plain_map(const C& c, double a, double b, double d, double s) {
    return 1 / (1 + std::exp(-log_odds(c, a, b, d, s)));
}

// Both sides in units of what float lanes can tell: the oracle has seen the same scores in double.
template <class T>
tolerance curve() {
    return sizeof(T) == 8 ? fitted() : tolerance{.relative = 4e-6, .absolute = 4e-6};
}

// Columns whose amounts are the slopes at the two ends: in s for Gaussian, in ln s for Gamma scaling.
template <class C, class T>
rising_problem problem_of(const std::vector<T>& s, const std::vector<std::uint8_t>& y, const std::vector<T>& w) {
    double low = double(s[0]), high = low;
    for (const T x : s) {
        low = (std::min)(low, double(x));
        high = (std::max)(high, double(x));
    }
    rising_problem p;
    for (const T score : s) {
        const double x = double(score);
        if constexpr (std::is_same_v<C, gaussian_scaling>) {
            const double t = (x - low) / (high - low);
            p.u.push_back((high - low) * (t - t * t / 2));
            p.v.push_back((high - low) * t * t / 2);
        } else {
            p.u.push_back((high * std::log(x / low) - x) / (high - low));
            p.v.push_back((x - low * std::log(x / low)) / (high - low));
        }
    }
    p.weight.assign(w.begin(), w.end());
    p.target = targets_of(std::vector<double>(y.begin(), y.end()), p.weight, true);
    return p;
}

template <class C, class T>
void check_against_reference(const std::vector<T>& s, const std::vector<std::uint8_t>& y, const std::vector<T>& w) {
    const auto c = C::fit(exec::serial, s, y, w);
    const auto p = problem_of<C>(s, y, w);
    const auto want = rising_optimum(p);
    for (std::size_t i = 0; i < s.size(); i += 1 + s.size() / 64) {
        CHECK_NEAR(c(double(s[i])), 1 / (1 + std::exp(-p.log_odds(want, i))), curve<T>());
    }
}

template <class C, class T>
void check_oracle(const std::vector<std::string>& names, const std::string& method) {
    const fixture data("parametric.txt");
    for (const auto& name : names) {
        const auto s = data.as<T>(name + ".s"), y = data.as<T>(name + ".y"), w = data.as<T>(name + ".w");
        for (const bool smooth : {false, true}) {
            const std::string record = name + method + (smooth ? "smoothed" : "plain");
            CAPTURE(record);
            const auto& want = data[record];
            const auto c = C::fit(exec::serial, s, y, w, {.smooth_targets = smooth});
            for (std::size_t i = 0; i < s.size(); ++i) {
                CHECK_NEAR(c(double(s[i])), plain_map(c, want[0], want[1], want[2], double(s[i])), curve<T>());
            }
            if constexpr (sizeof(T) == 8) {
                CHECK_NEAR(c.a(), want[0], fitted());
                CHECK_NEAR(c.b(), want[1], fitted());
                CHECK_NEAR(c.c(), want[2], fitted());
            }
            // Nothing falls, and a bound that holds is flat at its end.
            const int bound = static_cast<int>(data.value(record + ".bound"));
            const auto slope = [&](double at) {
                if constexpr (std::is_same_v<C, gaussian_scaling>) {
                    return 2 * c.a() * (at - c.centre()) + c.centre_slope();
                } else {
                    return c.a() + c.b() * at;
                }
            };
            if ((bound & 1) != 0) CHECK_NEAR(slope(c.lowest()), 0.0, fitted());
            if ((bound & 2) != 0) CHECK_NEAR(slope(c.highest()), 0.0, fitted());
            double before = 0;
            for (int k = -50; k <= 1050; ++k) {
                const double p = c(c.lowest() + (c.highest() - c.lowest()) * k / 1000);
                CHECK(p >= before);
                before = p;
            }
        }
    }
}

}  // namespace

TEST_CASE("gaussian_scaling, gamma_scaling: worked examples") {
    const gaussian_scaling identity;
    CHECK_NEAR(identity(0.7), 1 / (1 + std::exp(-0.7)), fitted());
    // Slopes 1 and 3 at 0 and 4: 2 a s + b with a = 1/4, b = 1; log-odds -1 at 2, where a s^2 + b s is 3.
    const gaussian_scaling g(1.0, 3.0, -1.0, 0.0, 4.0, 2.0);
    CHECK_NEAR(g.a(), 0.25, ulp(4));
    CHECK_NEAR(g.b(), 1.0, ulp(4));
    CHECK_NEAR(g.c(), -4.0, ulp(4));
    CHECK_NEAR(g(3.0), plain_map(g, 0.25, 1.0, -4.0, 3.0), probability<double>());
    CHECK(g(5.0) == g(4.0));
    CHECK(g(-1.0) == g(0.0));

    const gamma_scaling nothing;
    CHECK_NEAR(nothing(0.7), 1 / (1 + std::exp(-0.7)), fitted());
    // a + b s is 1 at 1 and 4 at 7: b = a = 1/2.
    const gamma_scaling m(1.0, 4.0, 0.25, 1.0, 7.0, 2.0);
    CHECK_NEAR(m.a(), 0.5, ulp(4));
    CHECK_NEAR(m.b(), 0.5, ulp(4));
    CHECK_NEAR(m.c(), 0.25 - 0.5 * std::log(2.0) - 1.0, ulp(8));
    CHECK_NEAR(m(3.0), plain_map(m, 0.5, 0.5, m.c(), 3.0), probability<double>());
    CHECK(m(9.0) == m(7.0));
    CHECK(m(-1.0) == m(1.0));
}

TEST_CASE_TEMPLATE("gaussian_scaling, gamma_scaling: equal the reference at every length", T, float, double) {
    constexpr std::size_t lanes = simd::pack<T>::lanes;
    for (const std::size_t n : sweep_lengths(lanes)) {
        if (n < 8) continue;  // fewer rows hardly bend a curve
        CAPTURE(n);
        auto data = random_scored<T>(n, {.seed = n, .slope = 1.5});
        for (std::size_t i = 0; i < n; ++i) data.weights[i] += T(0.25);
        data.labels[0] = 0;
        data.labels[1] = 1;
        check_against_reference<gaussian_scaling>(data.scores, data.labels, data.weights);
        check_against_reference<gamma_scaling>(data.scores, data.labels, data.weights);
    }
}

TEST_CASE("gaussian_scaling, gamma_scaling: a start from a sample does not change the optimum") {
    const auto u = random_uniform<double>(40000, 0.0, 1.0, 4);
    const std::vector<double> ones(u.size(), 1.0);
    for (const double bend : {-1.5, -0.3, 0.0, 0.3, 1.5}) {
        CAPTURE(bend);
        const auto s = random_uniform<double>(u.size(), 0.2, 2.4, 3);
        std::vector<std::uint8_t> y;
        for (std::size_t i = 0; i < s.size(); ++i) {
            y.push_back(u[i] < 1 / (1 + std::exp(-(s[i] - 1.2 + bend * (s[i] - 1.2) * (s[i] - 1.2)))) ? 1 : 0);
        }
        check_against_reference<gaussian_scaling>(s, y, ones);
        check_against_reference<gamma_scaling>(s, y, ones);
    }
}

TEST_CASE_TEMPLATE("gaussian_scaling, gamma_scaling: equal the oracles", T, float, double) {
    check_oracle<gaussian_scaling, T>({"line", "convex", "concave", "valley", "hill", "down", "far"}, ".gaussian.");
    check_oracle<gamma_scaling, T>({"decay", "log", "late", "early", "under"}, ".gamma.");
}

TEST_CASE_TEMPLATE("gaussian_scaling, gamma_scaling: bad and thin input", C, gaussian_scaling, gamma_scaling) {
    const std::vector<double> s{0.5, 1, 2, 3, 4, 6};
    for (const int label : {0, 1}) {
        const auto c = C::fit(exec::serial, s, std::vector<int>(6, label));
        CHECK_NEAR(c(2.0), label == 1 ? 7.0 / 8 : 1.0 / 8, fitted());
    }
    const std::vector<int> apart{0, 0, 0, 1, 1, 1};
    const auto smooth = C::fit(exec::serial, s, apart);
    const auto steep = C::fit(exec::serial, s, apart, {}, {.smooth_targets = false});
    CHECK(std::isfinite(steep.a() + steep.b() + steep.c()));
    CHECK(steep(2.0) < smooth(2.0));
    CHECK(steep(3.0) > smooth(3.0));

    const std::vector<int> mixed{1, 0, 0, 0, 1, 1};
    const auto flat = C::fit(exec::serial, std::vector<double>(6, 0.7), mixed, {}, {.smooth_targets = false});
    CHECK(flat.a() == 0.0);
    CHECK(flat.b() == 0.0);
    CHECK_NEAR(flat(0.7), 0.5, fitted());

    // Two scores: the line through both rates.
    const std::vector<double> two{2, 2, 2, 2, 5, 5, 5, 5};
    const std::vector<int> rates{0, 0, 0, 1, 1, 1, 0, 1};
    const auto line = C::fit(exec::serial, two, rates, {}, {.smooth_targets = false});
    CHECK_NEAR(line.a(), 0.0, fitted());
    CHECK_NEAR(line(2.0), 0.25, fitted());
    CHECK_NEAR(line(5.0), 0.75, fitted());

    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    const std::vector<double> far{1e39, -1e39, nan, 1.0, 2.0};
    CHECK(C::fit(exec::serial, far, std::vector<int>(5, 1)).seen() == counts{2, 3});
    const auto below = C::fit(exec::serial, std::vector<double>{-1.0, 0.0, 1e-30, 1.0}, std::vector<int>{0, 1, 0, 1});
    CHECK(below.seen() == (std::is_same_v<C, gamma_scaling> ? counts{2, 2} : counts{4, 0}));

    CHECK_THROWS_AS(C::fit(exec::serial, s, apart, {}, {.tolerance = 0.0}), std::invalid_argument);
    CHECK_THROWS_AS(C::fit(exec::serial, s, apart, {}, {.max_passes = 0}), std::invalid_argument);
    CHECK_THROWS_AS(C(-1.0, 1.0, 0.0, 1.0, 2.0, 1.5), std::invalid_argument);
    CHECK_THROWS_AS(C(1.0, 1.0, 0.0, 2.0, 1.0, 1.5), std::invalid_argument);
    CHECK_THROWS_AS(C(1.0, 1.0, nan, 1.0, 2.0, 1.5), std::invalid_argument);
    CHECK_THROWS_AS(gamma_scaling(1.0, 1.0, 0.0, 0.0, 1.0, 0.5), std::invalid_argument);
}

TEST_CASE_TEMPLATE("gaussian_scaling, gamma_scaling: the calibrators' law", Case, gaussian_case, gamma_case) {
    check_calibrator<Case>();
}
