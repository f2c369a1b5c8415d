// doctest over reckon/testing/laws.hpp: CHECK_LAW(check_merge(state{}, batch, same)).
#pragma once

#include <doctest/doctest.h>

#include "reckon/testing/laws.hpp"
#include "support/tolerance.hpp"

namespace reckon::testing_support {

inline void check_law(const testing::report& law, const check_place& place) {
    check_that(law.ok, law.message, place);
    check_that(law.cases > 0, "no case ran", place);
}

}  // namespace reckon::testing_support

/// Fails with the message of a check.
#define CHECK_LAW(...) ::reckon::testing_support::check_law(__VA_ARGS__, {__FILE__, __LINE__, #__VA_ARGS__})
