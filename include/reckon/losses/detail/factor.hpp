// The range of temperatures and steepnesses.
#pragma once

#include "reckon/core/expects.hpp"

namespace reckon::detail {

// Far from the ends of the range of float, so that the product with 0 is 0 and no reciprocal overflows.
inline void expect_factor(const char* kernel, const char* what, double value) {
    expects(value >= 1e-30 && value <= 1e30, kernel, what, " must lie in [1e-30, 1e30], got ", value);
}

}  // namespace reckon::detail
