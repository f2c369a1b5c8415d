// The helpers of tests/support: a tolerance that accepts too much would make every other test worthless.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace ts = reckon::testing_support;

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();

TEST_CASE("tolerance: exact accepts the same value only") {
    CHECK(ts::near(1.5, 1.5, ts::exact()));
    CHECK(ts::near(0.0, -0.0, ts::exact()));
    CHECK_FALSE(ts::near(1.0, std::nextafter(1.0, 2.0), ts::exact()));
    CHECK(ts::near(7, 7.0, ts::exact()));
    CHECK_FALSE(ts::near(7, 8.0, ts::exact()));
}

TEST_CASE("tolerance: NaN and infinities are near themselves and nothing else") {
    for (const auto& tol : {ts::exact(), ts::ulp(4), ts::reduction(1000), ts::probability(), ts::fitted()}) {
        CHECK(ts::near(nan_value, nan_value, tol));
        CHECK_FALSE(ts::near(1.0, nan_value, tol));
        CHECK_FALSE(ts::near(nan_value, 1.0, tol));
        CHECK(ts::near(inf, inf, tol));
        CHECK_FALSE(ts::near(-inf, inf, tol));
        CHECK_FALSE(ts::near(1e308, inf, tol));
        CHECK_FALSE(ts::near(inf, 1.0, tol));
    }
}

TEST_CASE("tolerance: ulp counts units of the type compared") {
    const float next = std::nextafter(1.0f, 2.0f);
    CHECK(ts::near(next, 1.0, ts::ulp(1)));
    CHECK_FALSE(ts::near(next, 1.0, ts::ulp(0.9)));
    CHECK_FALSE(ts::near(static_cast<double>(next), 1.0, ts::ulp(1e6)));
    CHECK(ts::near(std::numeric_limits<float>::denorm_min(), 0.0, ts::ulp(1)));
    CHECK_FALSE(ts::near(std::numeric_limits<float>::denorm_min() * 2, 0.0, ts::ulp(1)));
}

TEST_CASE("tolerance: the families of sums and probabilities scale as they say") {
    const double eps = std::numeric_limits<double>::epsilon();
    CHECK(ts::near(1000.0 + 1000.0 * eps * 8 * 9, 1000.0, ts::reduction(99)));
    CHECK_FALSE(ts::near(1000.0 + 1000.0 * eps * 8 * 12, 1000.0, ts::reduction(99)));
    CHECK(ts::near(1e-10, 0.0, ts::worst_reduction(1000).of(1e3)));
    CHECK_FALSE(ts::near(1e-10, 0.0, ts::worst_reduction(1000)));
    CHECK(ts::near(0.5f + 5e-7f, 0.5, ts::probability<float>()));
    CHECK_FALSE(ts::near(0.5 + 5e-7, 0.5, ts::probability()));
}

TEST_CASE("tolerance: columns report the first bad element and the length") {
    const std::vector<double> want{1, 2, 3};
    CHECK(ts::near(want, want, ts::exact()));
    const auto wrong = ts::near(std::vector<double>{1, 2.5, 4}, want, ts::exact());
    CHECK_FALSE(wrong);
    CHECK(wrong.text.find("element 1") == 0);
    CHECK(wrong.text.find("(2 of 3 elements)") != std::string::npos);
    CHECK_FALSE(ts::near(std::vector<double>{1, 2}, want, ts::exact()));
    CHECK_ALL_NEAR(want, want, ts::exact());
    CHECK_NEAR(want[1], 2, ts::exact());
}

TEST_CASE("sweep: lengths surround the lane count without repetition") {
    CHECK(ts::sweep_lengths(8, false) == std::vector<std::size_t>{0, 1, 7, 8, 9, 35});
    CHECK(ts::sweep_lengths(1, false) == std::vector<std::size_t>{0, 1, 2, 7});
    CHECK(ts::sweep_lengths(4).back() > 2 * 16384);
}

TEST_CASE("sweep: placed columns start where they say") {
    for (const std::size_t offset : {0u, 1u, 5u}) {
        ts::placed<float> column(std::vector<float>{1, 2, 3}, offset);
        CHECK(reinterpret_cast<std::uintptr_t>(column.data()) % 64 == offset * sizeof(float));
        CHECK(column.copy() == std::vector<float>{1, 2, 3});
        CHECK(reckon::view(column).size() == 3);
    }
}

TEST_CASE("sweep: strided matrices notice writes into the gaps") {
    ts::strided<double> m(3, 2, 1, -7.0);
    m.view()(2, 1) = 4.0;
    CHECK(m.untouched());
    m.view().data()[2] = 0.0;
    CHECK_FALSE(m.untouched());
}

TEST_CASE("random data: the seed decides, and rates follow the scores when calibrated") {
    const auto a = ts::random_scored(20000, {.seed = 7});
    const auto b = ts::random_scored(20000, {.seed = 7});
    const auto c = ts::random_scored(20000, {.seed = 8});
    CHECK(a.scores == b.scores);
    CHECK(a.labels == b.labels);
    CHECK(a.scores != c.scores);
    double predicted = 0.0, seen = 0.0, variance = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        predicted += a.scores[i];
        seen += a.labels[i];
        variance += a.scores[i] * (1.0 - a.scores[i]);
    }
    CHECK(std::fabs(predicted - seen) < 5.0 * std::sqrt(variance));
    const auto tied = ts::random_scored<float>(1000, {.levels = 4});
    for (const float s : tied.scores) CHECK(s * 8.0f == std::floor(s * 8.0f));
}
