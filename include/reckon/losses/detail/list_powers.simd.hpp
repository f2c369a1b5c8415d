// Powers and logarithms in lanes for the losses of ranked lists.
#pragma once

#include <cstddef>

#include "reckon/core/config.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/losses/detail/logit_rows.simd.hpp"

namespace reckon::detail {

inline constexpr double log2_of_e = 1.4426950408889634074;

// log(1 + a) for a in [0, 1] and NaN. Float: a times a polynomial of degree 8, minimax in relative error, 6.5e-8 before
// rounding; cheaper than the division of math::detail::log1p_of_fraction.
template <class V>
RECKON_INLINE V log1p_of_power(V a) noexcept {
    if constexpr (sizeof(simd::lane_t<V>) == 4) {
        return a * math::detail::horner(a, 0.99999994f, -0.49999493f, 0.33319098f, -0.2484298f, 0.19105999f,
                                        -0.13663231f, 0.078225784f, -0.029505137f, 0.0052326694f);
    } else {
        return math::detail::log1p_of_fraction(a);
    }
}

// Whether n scores are all finite.
template <class T, class Isa>
bool all_finite(const T* scores, std::size_t n) noexcept {
    using pack = simd::pack<T, Isa>;
    // x - x is 0, or NaN where x is not finite.
    pack fault(T(0));
    std::size_t i = 0;
    for (; i + pack::lanes <= n; i += pack::lanes) {
        const pack x = pack::load(scores + i);
        fault += x - x;
    }
    T rest = reduce_add(fault);
    for (; i < n; ++i) rest += scores[i] - scores[i];
    return rest == T(0);
}

}  // namespace reckon::detail
