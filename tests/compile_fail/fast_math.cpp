// -ffast-math is refused, because it rewrites compensated sums and NaN policies.
// expect: RECKON_ALLOW_FAST_MATH
// flags: -ffast-math
#include "reckon/core/config.hpp"
