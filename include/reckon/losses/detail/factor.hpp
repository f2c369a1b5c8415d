// The range of temperatures and steepnesses.
#pragma once

#include "reckon/core/expects.hpp"

namespace reckon::detail {

// The square and its reciprocal are far from the ends of the range of float.
inline void expect_factor(const char* kernel, const char* what, double value) {
    expects(value >= 1e-15 && value <= 1e15, kernel, what, " must lie in [1e-15, 1e15], got ", value);
}

}  // namespace reckon::detail
