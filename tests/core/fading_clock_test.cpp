// The clock of states that forget.
#include "reckon/core/fading_clock.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <stdexcept>

using reckon::fading_clock;

TEST_CASE("fading_clock: half a weight in a half-life") {
    fading_clock clock(3.0, 10.0);
    CHECK(clock.now() == 10);
    CHECK(clock.advance("test", 13.0) == 0.5);
    CHECK(clock.advance("test", 13.0) == 1);
    CHECK(clock.advance("test", 19.0) == 0.25);
    CHECK(clock.now() == 19);
    CHECK(clock.factor(-1.0) == 1);
    CHECK_THROWS_AS(clock.advance("test", 18.0), std::invalid_argument);
    CHECK_THROWS_AS(clock.advance("test", std::nan("")), std::invalid_argument);
    CHECK_THROWS_AS(clock.advance("test", std::numeric_limits<double>::infinity()), std::invalid_argument);
    CHECK(clock.now() == 19);
    fading_clock stands;
    CHECK(stands.advance("test", 1e300) == 1);
}

TEST_CASE("fading_clock: two clocks meet at the later one") {
    fading_clock a(2.0, 0.0), b = a;
    b.advance("test", 4.0);
    fading_clock left = a;
    const auto behind = left.align("test", b);
    CHECK(behind.mine == 0.25);
    CHECK(behind.theirs == 1);
    CHECK(left.now() == 4);
    const auto ahead = b.align("test", a);
    CHECK(ahead.mine == 1);
    CHECK(ahead.theirs == 0.25);
    CHECK(b.now() == 4);
    CHECK_THROWS_AS(a.align("test", fading_clock(1.0, 0.0)), std::invalid_argument);
}

TEST_CASE("fading_clock: what is no clock") {
    CHECK(fading_clock::complaint(1.0, 0.0) == nullptr);
    CHECK(fading_clock::complaint(0.0, 0.0) != nullptr);
    CHECK(fading_clock::complaint(std::nan(""), 0.0) != nullptr);
    CHECK(fading_clock::complaint(1.0, std::nan("")) != nullptr);
}
