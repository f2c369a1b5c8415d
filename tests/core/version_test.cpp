// The version macros agree with each other and with the version that CMake read from the same header.
#include <doctest/doctest.h>

#include <string>

#include "reckon/version.hpp"

TEST_CASE("version: the macros agree with CMake's project version") {
    const std::string dotted = std::to_string(RECKON_VERSION_MAJOR) + "." + std::to_string(RECKON_VERSION_MINOR) + "." +
                               std::to_string(RECKON_VERSION_PATCH);
    CHECK(dotted == RECKON_CMAKE_VERSION);
}

TEST_CASE("version: the comparable number keeps the order of its parts") {
    CHECK(RECKON_VERSION / 10000 == RECKON_VERSION_MAJOR);
    CHECK(RECKON_VERSION / 100 % 100 == RECKON_VERSION_MINOR);
    CHECK(RECKON_VERSION % 100 == RECKON_VERSION_PATCH);
}
