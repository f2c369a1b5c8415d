// Wilson score intervals.
#include "reckon/metrics/wilson.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <vector>

#include "../support/fixture.hpp"
#include "reckon/exec/pool.hpp"

namespace {

using reckon::wilson;
namespace exec = reckon::exec;

// A few roundings of double and of float.
constexpr double double_relative = 2e-15;
constexpr double float_relative = 6e-7;

bool close(double value, double expected, double relative) {
    return std::fabs(value - expected) <= relative * std::fabs(expected);
}

// The textbook form in extended precision.
reckon::interval textbook(double k, double n, double z) {
    const auto nl = static_cast<long double>(n), zl = static_cast<long double>(z);
    const long double y = static_cast<long double>(k) / nl;
    const long double den = 1 + zl * zl / nl;
    const long double centre = (y + zl * zl / (2 * nl)) / den;
    const long double half = zl / den * std::sqrt(y * (1 - y) / nl + zl * zl / (4 * nl * nl));
    return {static_cast<double>(centre - half), static_cast<double>(centre + half)};
}

}  // namespace

TEST_CASE("wilson: worked example") {
    const auto two = wilson(2, 10, reckon::z_95);
    CHECK(two.lower == doctest::Approx(0.0566821515).epsilon(1e-9));
    CHECK(two.upper == doctest::Approx(0.5098375285).epsilon(1e-9));
    const auto none_of_ten = wilson(0, 10, reckon::z_95);
    CHECK(none_of_ten.lower == 0.0);
    CHECK(none_of_ten.upper == doctest::Approx(0.2775327999).epsilon(1e-9));
    const auto eight = wilson(8, 10, reckon::z_95);
    CHECK(close(eight.lower, 1 - two.upper, double_relative));
    CHECK(close(eight.upper, 1 - two.lower, double_relative));
    // The default is 95 %.
    CHECK(wilson(2, 10).upper == two.upper);
}

TEST_CASE("wilson: statsmodels and mpmath fixtures") {
    const reckon::testing_support::fixture f{"wilson.txt"};
    const auto &k = f["count"], &n = f["nobs"], &z = f["z"], &lower = f["lower"], &upper = f["upper"];
    const auto &sm_lower = f["statsmodels.lower"], &sm_upper = f["statsmodels.upper"];
    for (std::size_t i = 0; i < k.size(); ++i) {
        const auto w = wilson(k[i], n[i], z[i]);
        CHECK(close(w.lower, lower[i], double_relative));
        CHECK(close(w.upper, upper[i], double_relative));
        CHECK(std::fabs(w.lower - sm_lower[i]) <= 1e-12);
        CHECK(std::fabs(w.upper - sm_upper[i]) <= 1e-12);
    }
}

TEST_CASE("wilson: ends are exact, no trial tells nothing, z = 0 is the rate") {
    for (const double n : {1.0, 3.0, 1e3, 1e9, 0.25}) {
        for (const double z : {0.0, 0.5, 1.96, 40.0}) {
            CHECK(wilson(0, n, z).lower == 0.0);
            CHECK(wilson(n, n, z).upper == 1.0);
            CHECK(wilson(0, n, z).upper <= 1.0);
            CHECK(wilson(n, n, z).lower >= 0.0);
        }
        CHECK(close(wilson(n / 4, n, 0).lower, 0.25, double_relative));
        CHECK(close(wilson(n / 4, n, 0).upper, 0.25, double_relative));
    }
    CHECK(wilson(0, 0, reckon::z_95).lower == 0.0);
    CHECK(wilson(0, 0, reckon::z_95).upper == 1.0);
    CHECK(wilson(0, 0, 0).lower == 0.0);
    CHECK(wilson(0, 0, 0).upper == 1.0);
}

TEST_CASE("wilson: the ends solve the score equation") {
    for (const double n : {7.0, 40.0, 1e4, 1e8}) {
        for (const double rate : {0.001, 0.1, 0.5, 0.9}) {
            const double z = 1.5;
            const auto w = wilson(n * rate, n, z);
            CHECK((rate - w.lower) / std::sqrt(w.lower * (1 - w.lower) / n) == doctest::Approx(z).epsilon(1e-8));
            CHECK((w.upper - rate) / std::sqrt(w.upper * (1 - w.upper) / n) == doctest::Approx(z).epsilon(1e-8));
        }
    }
}

TEST_CASE("wilson: NaN propagates") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK(std::isnan(wilson(nan, 10, 1).lower));
    CHECK(std::isnan(wilson(1, nan, 1).lower));
    CHECK(std::isnan(wilson(1, 10, nan).lower));
}

namespace {

template <class T, class Isa>
void check_array(double relative) {
    using vec = std::vector<T>;
    for (const std::size_t n : {0u, 1u, 3u, 4u, 5u, 7u, 8u, 9u, 15u, 16u, 17u, 67u}) {
        for (const std::size_t shift : {0u, 1u}) {
            vec k(n + shift), trials(n + shift), lower(n + shift, T(-1)), upper(n + shift, T(-1));
            for (std::size_t i = 0; i < k.size(); ++i) {
                trials[i] = T(1 + i * i * 7);
                k[i] = T((i * 5) % (1 + i * i * 7));
            }
            const auto cut = [&](vec& v) { return reckon::vector_view<T>(v.data() + shift, n); };
            auto kv = cut(k), tv = cut(trials), lv = cut(lower), uv = cut(upper);
            using view_type = reckon::vector_view<T>;
            wilson<exec::serial_policy, view_type, view_type, view_type&, view_type&, Isa>(exec::serial, kv, tv, lv, uv,
                                                                                           1.96);
            for (std::size_t i = 0; i < n; ++i) {
                const auto expected = textbook(double(kv[i]), double(tv[i]), double(T(1.96)));
                CHECK(std::fabs(double(lv[i]) - expected.lower) <= relative * expected.lower + 1e-18);
                CHECK(std::fabs(double(uv[i]) - expected.upper) <= relative * expected.upper);
            }
            if (shift == 1) CHECK((lower[0] == T(-1) && upper[0] == T(-1)));
        }
    }
}

}  // namespace

TEST_CASE("wilson: arrays against the textbook form in extended precision") {
    check_array<float, reckon::isa::native>(float_relative);
    check_array<double, reckon::isa::native>(5e-15);
    check_array<float, reckon::isa::scalar>(float_relative);
    check_array<double, reckon::isa::scalar>(5e-15);
}

TEST_CASE("wilson: an interval does not depend on its place or on threads") {
    const std::size_t n = 40000;
    std::vector<float> k(n), trials(n), lower(n), upper(n), lower2(n), upper2(n);
    for (std::size_t i = 0; i < n; ++i) {
        trials[i] = float(i % 977);
        k[i] = float(i % 977 ? (i * 31) % (i % 977 + 1) : 0);
    }
    wilson(exec::serial, k, trials, lower, upper);
    for (const unsigned threads : {1u, 2u, 3u}) {
        exec::pool pool{threads};
        wilson(exec::host{pool}, k, trials, lower2, upper2);
        CHECK(lower == lower2);
        CHECK(upper == upper2);
    }
    for (std::size_t i = 0; i < 50; ++i) {
        const auto one = [&](std::vector<float>& v) { return reckon::vector_view<float>(v.data() + i, 1); };
        float l = -1, u = -1;
        reckon::vector_view<float> lv(&l, 1), uv(&u, 1);
        wilson(exec::serial, one(k), one(trials), lv, uv);
        CHECK(l == lower[i]);
        CHECK(u == upper[i]);
    }
    // In place.
    wilson(exec::serial, k, trials, k, trials);
    CHECK(k == lower);
    CHECK(trials == upper);
}

TEST_CASE("wilson: bad input throws") {
    std::vector<float> three(3), four(4);
    CHECK_THROWS_AS(wilson(exec::serial, three, four, three, three), std::invalid_argument);
    CHECK_THROWS_AS(wilson(exec::serial, three, three, four, three), std::invalid_argument);
    CHECK_THROWS_AS(wilson(exec::serial, three, three, three, four), std::invalid_argument);
    CHECK_THROWS_AS(wilson(exec::serial, three, three, three, three, -1.0), std::invalid_argument);
    CHECK_THROWS_AS(wilson(exec::serial, three, three, three, three, std::nan("")), std::invalid_argument);
}
