// Temperature scaling.
#include "reckon/calibration/temperature.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

constexpr temperature_options on_logits{.input = score_kind::logit};

// Root of the gradient by bisection, in double.
template <class T>
double reference(const std::vector<T>& f, const std::vector<std::uint8_t>& y, const std::vector<T>& w) {
    const auto gradient = [&](double beta) {
        double sum = 0;
        for (std::size_t i = 0; i < f.size(); ++i) {
            const double z = static_cast<double>(f[i]);
            sum += static_cast<double>(w[i]) * (1 / (1 + std::exp(-beta * z)) - y[i]) * z;
        }
        return sum;
    };
    double low = 1e-3, high = 1e3;
    if (gradient(low) >= 0) return low;
    if (gradient(high) <= 0) return high;
    for (int i = 0; i < 200; ++i) {
        const double middle = std::sqrt(low * high);
        (gradient(middle) > 0 ? high : low) = middle;
    }
    return low;
}

template <class T>
std::vector<T> logits_of(const std::vector<T>& p) {
    std::vector<T> z;
    for (const T x : p) z.push_back(static_cast<T>(std::log(double(x)) - std::log1p(-double(x))));
    return z;
}

template <class T>
tolerance parameter() {
    return sizeof(T) == 8 ? fitted() : tolerance{.relative = 4e-6, .absolute = 4e-6};
}

}  // namespace

TEST_CASE("temperature: worked example") {
    const std::vector<double> p{0.1, 0.3, 0.6, 0.8, 0.95};
    const std::vector<int> y{0, 1, 0, 1, 1};
    const auto c = temperature::fit(exec::serial, p, y);
    CHECK_NEAR(c.beta(), 0.8713014432, fitted());
    CHECK_NEAR(c.value(), 1 / 0.8713014432, fitted());
    CHECK(c.seen() == counts{5, 0});
    CHECK_NEAR(c(0.8), 1 / (1 + std::pow(0.25, 0.8713014432)), fitted());
    CHECK_NEAR(c(0.5), 0.5, probability<double>());
}

TEST_CASE_TEMPLATE("temperature: equals the reference at every length", T, float, double) {
    constexpr std::size_t lanes = simd::pack<T>::lanes;
    for (const std::size_t n : sweep_lengths(lanes)) {
        const auto data = random_scored<T>(n, {.seed = n + 1, .bias = -2, .slope = 2.5});
        const auto z = logits_of(data.scores);
        const std::vector<T> ones(n, T(1));
        const placed<T> shifted(z, 1);
        const auto c =
            temperature::fit(exec::serial, vector_view<const T>(shifted.data(), n), data.labels, {}, on_logits);
        const double weighted = temperature::fit(exec::serial, z, data.labels, data.weights, on_logits).beta();
        if (n == 0) {
            CHECK(c.beta() == 1.0);
            continue;
        }
        CHECK_NEAR(c.beta(), reference(z, data.labels, ones), parameter<T>());
        if (n > 1) CHECK_NEAR(weighted, reference(z, data.labels, data.weights), parameter<T>());
    }
}

TEST_CASE_TEMPLATE("temperature: equals the oracles", T, float, double) {
    const fixture data("data.txt"), oracle("calibrators.txt");
    for (const std::string name : {"ties", "smooth", "weighted", "skewed", "negatives", "tiny"}) {
        CAPTURE(name);
        const auto p = data.as<T>(name + ".p");
        const auto y = data.as<T>(name + ".y");
        const auto w = data.contains(name + ".w") ? data.as<T>(name + ".w") : std::vector<T>(p.size(), T(1));
        const auto c = temperature::fit(exec::serial, p, y, w);
        CHECK_NEAR(c.beta(), oracle.value(name + ".temperature.beta"), parameter<T>());
    }
}

TEST_CASE_TEMPLATE("temperature: an optimum outside the range gives its end", T, float, double) {
    const std::vector<T> z{-2, -1, 1, 3};
    const auto fit = [&](std::vector<int> y) { return temperature::fit(exec::serial, z, y, {}, on_logits).beta(); };
    CHECK(fit({0, 0, 1, 1}) == 1e3);
    CHECK(fit({1, 1, 0, 0}) == 1e-3);
    const std::vector<T> positive{1, 2, 3};
    const std::vector<int> ones{1, 1, 1}, zeros{0, 0, 0};
    CHECK(temperature::fit(exec::serial, positive, ones, {}, on_logits).beta() == 1e3);
    CHECK(temperature::fit(exec::serial, positive, zeros, {}, on_logits).beta() == 1e-3);
    const std::vector<T> flat{0, 0, 0};
    CHECK(temperature::fit(exec::serial, flat, ones, {}, on_logits).beta() == 1.0);
    // Optima near the ends are found, not the ends themselves.
    std::vector<T> faint, strong;
    std::vector<std::uint8_t> labels;
    for (int i = 0; i < 1000; ++i) {
        faint.push_back(T(0.004));
        strong.push_back(T(500));
        labels.push_back(i % 10 != 0 ? 1 : 0);
    }
    CHECK_NEAR(temperature::fit(exec::serial, faint, labels, {}, on_logits).beta(), std::log(9.0) / 0.004,
               parameter<T>());
    CHECK_NEAR(temperature::fit(exec::serial, strong, labels, {}, on_logits).beta(), std::log(9.0) / 500,
               parameter<T>());
}

TEST_CASE("temperature: a start from a sample does not change the optimum") {
    for (const double slope : {0.05, 1.0, 20.0}) {
        const auto data = random_scored<double>(60000, {.bias = -1, .slope = slope});
        std::vector<double> z;
        const random_stream rng(1, 103);
        for (std::size_t i = 0; i < data.size(); ++i) z.push_back(slope * (rng.normal(i) - 1));
        const auto c = temperature::fit(exec::serial, z, data.labels, {}, on_logits);
        CHECK_NEAR(c.beta(), reference(z, data.labels, std::vector<double>(z.size(), 1.0)), fitted());
    }
}

TEST_CASE("temperature: options and parameters out of range throw") {
    const std::vector<double> p{0.1, 0.2};
    const std::vector<int> y{0, 1};
    CHECK_THROWS_AS(temperature::fit(exec::serial, p, y, {}, {.tolerance = -1.0}), std::invalid_argument);
    CHECK_THROWS_AS(temperature::fit(exec::serial, p, y, {}, {.max_passes = 0}), std::invalid_argument);
    CHECK_THROWS_AS(temperature(0.0), std::invalid_argument);
    CHECK_THROWS_AS(temperature(2e3), std::invalid_argument);
}
