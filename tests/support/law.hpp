// doctest over reckon/testing/laws.hpp: CHECK_LAW(check_merge(state{}, batch, same)).
#pragma once

#include "reckon/testing/laws.hpp"

/// Fails with the message of a check; the file that uses it includes doctest.
#define CHECK_LAW(...)                                               \
    do {                                                             \
        const ::reckon::testing::report reckon_report = __VA_ARGS__; \
        CHECK_MESSAGE(reckon_report.ok, reckon_report.message);      \
        CHECK(reckon_report.cases > 0);                              \
    } while (false)
