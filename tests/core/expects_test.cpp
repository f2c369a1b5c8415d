// Messages: who complains, what is wrong, the value seen.
#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

#include "reckon/core/expects.hpp"

TEST_CASE("expects: a true condition costs nothing and says nothing") {
    CHECK_NOTHROW(reckon::expects(true, "kernel", "never built ", 1));
    CHECK_NOTHROW(reckon::expects_bytes(true, "read", "never built"));
}

TEST_CASE("expects: throws invalid_argument with the sentence") {
    CHECK_THROWS_WITH_AS(reckon::expects(false, "platt", "clip must be in (0, 0.5), got ", 0.75),
                         "platt: clip must be in (0, 0.5), got 0.75", std::invalid_argument);
    CHECK_THROWS_WITH_AS(reckon::expects(false, "bins", "needs at least one"), "bins: needs at least one",
                         std::invalid_argument);
}

TEST_CASE("expects_bytes: throws runtime_error with the sentence") {
    CHECK_THROWS_WITH_AS(reckon::expects_bytes(false, "read", "array of ", std::uint64_t{7}, " elements"),
                         "read: array of 7 elements", std::runtime_error);
}

TEST_CASE("expects: every kind of value is written readably") {
    const auto text = [](const auto& value) { return reckon::detail::sentence("k", value); };
    CHECK(text(true) == "k: true");
    CHECK(text(-3) == "k: -3");
    CHECK(text(std::numeric_limits<std::uint64_t>::max()) == "k: 18446744073709551615");
    CHECK(text(std::uint8_t{65}) == "k: 65");
    CHECK(text(0.1f) == "k: 0.100000001");
    CHECK(text(1e300) == "k: 1e+300");
    CHECK(text(std::numeric_limits<double>::quiet_NaN()).find("nan") != std::string::npos);
    CHECK(text(-std::numeric_limits<double>::infinity()) == "k: -inf");
    CHECK(text(std::string("name")) == "k: name");
}
