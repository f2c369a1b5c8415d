// Value and slope of softplus(-x) from one power and one division.
#pragma once

#include "reckon/core/config.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/simd.hpp"

namespace reckon::detail {

// e^x for x <= 0 and NaN; 0 where that is not a normal number. One factor of the exponent is enough here, unlike in
// math::exp().
template <class V>
RECKON_INLINE V exp_or_zero(V x) noexcept {
    using namespace math::detail;
    using T = lane_t<V>;
    using C = exp_constants<T>;
    const V lowest(sizeof(T) == 4 ? T(-87.0) : T(-708.0));
    // The bound comes first: maximum returns the second operand for NaN.
    const V held = maximum(lowest, x);
    const V k = nearest_product(held, V(T(1.44269504088896340736)));
    const V r = mul_add(k, V(-C::ln2_low), mul_add(k, V(-C::ln2_high), held));
    const V p = mul_add(r * r, C::poly(r), r) + V(T(1));
    return select(x < lowest, V(T(0)), p * pow2(k));
}

// softplus(-x) = log(1 + e^-x) and minus its derivative, sigmoid(-x).
template <class V>
struct softplus_point {
    V value, slope;
};
// The same from t = e^-|x|.
template <class V>
RECKON_INLINE softplus_point<V> softplus_from(V x, V t) noexcept {
    using namespace math::detail;
    using T = lane_t<V>;
    const V zero(T(0)), one(T(1));
    const V u = t + one, v = t + V(T(2));
    const V inverse = one / (u * v);
    // log(1 + t) = 2 atanh(s), s = t / (2 + t); 1 / (1 + t) comes out of the same division.
    const V s = t * (inverse * u), z = s * s;
    const V log = mul_add(s * z, log_constants<T>::wide_poly(z), s + s);
    return {maximum(zero, zero - x) + log, select(x < zero, one, t) * (inverse * v)};
}
template <class V>
RECKON_INLINE softplus_point<V> softplus_of_negative(V x) noexcept {
    using simd::absolute;
    return softplus_from(x, exp_or_zero(V(simd::lane_t<V>(0)) - absolute(x)));
}

}  // namespace reckon::detail
