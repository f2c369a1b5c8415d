// Elementary functions of probabilities and logits, written once for float, double, packs of either and CUDA threads.
// Accuracy is measured on all 2^32 floats by tests/exhaustive and promised in docs/numerics.md.
#pragma once

#include "reckon/core/config.hpp"
#include "reckon/core/lane.hpp"

namespace reckon::math {

namespace detail {

using simd::absolute;
using simd::bits_and;
using simd::bits_or;
using simd::bits_shift_left;
using simd::bits_shift_right;
using simd::lane_t;
using simd::maximum;
using simd::minimum;
using simd::mul_add;
using simd::select;

// c0 + x (c1 + x (c2 + ...)).
template <class V, class T>
RECKON_HD RECKON_INLINE V horner(V, T last) noexcept {
    return V(last);
}
template <class V, class T, class... Rest>
RECKON_HD RECKON_INLINE V horner(V x, T first, Rest... rest) noexcept {
    return mul_add(horner(x, rest...), x, V(first));
}

template <class T>
struct exp_constants;
template <>
struct exp_constants<float> {
    // Beyond these the result is 0 or infinity whatever the rounding.
    static constexpr float lowest = -104.0f;
    static constexpr float highest = 89.0f;
    // ln 2 in two parts: the first has 9 trailing zero bits, so that k * high is exact for |k| < 512.
    static constexpr float ln2_high = 0.693145751953125f;
    static constexpr float ln2_low = 1.428606765330187e-06f;
    // (exp(r) - 1 - r) / r^2 on |r| <= ln 2 / 2, minimax in relative error of exp: 3.1e-9.
    template <class V>
    static RECKON_HD RECKON_INLINE V poly(V x) noexcept {
        return horner(x, 0.499999934321f, 0.16666520399f, 0.0416683907835f, 0.00836874510894f, 0.00138145401768f);
    }
};
template <>
struct exp_constants<double> {
    static constexpr double lowest = -746.0;
    static constexpr double highest = 710.0;
    // The first part has 21 trailing zero bits.
    static constexpr double ln2_high = 0.69314718036912381649;
    static constexpr double ln2_low = 1.9082149292705877e-10;
    // Taylor: the first omitted term, r^14 / 14!, is below 4.1e-18 on |r| <= ln 2 / 2.
    template <class V>
    static RECKON_HD RECKON_INLINE V poly(V x) noexcept {
        return horner(x, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320, 1.0 / 362880,
                      1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0);
    }
};

template <class T>
struct log_constants;
template <>
struct log_constants<float> {
    // (2 atanh(s) - 2 s) / s^3 as a polynomial in s^2, minimax on |s| <= 1/3 in relative error of atanh: 4.6e-9.
    template <class V>
    static RECKON_HD RECKON_INLINE V poly(V x) noexcept {
        return horner(x, 0.666664131327f, 0.400216990613f, 0.279991410478f, 0.28024458971f);
    }
    template <class V>
    static RECKON_HD RECKON_INLINE V wide_poly(V x) noexcept {
        return poly(x);
    }
    static constexpr float denormal_scale = 33554432.0f;  // 2^25
    static constexpr float denormal_exponent = 25.0f;
};
template <>
struct log_constants<double> {
    // The series 2/3 + 2/5 s^2 + ...: the first omitted term is below 2^-55 of the result on |s| <= 3 - 2 sqrt 2, which
    // is all that a logarithm needs, and with all of wide_poly on |s| <= 1/3.
    template <class V>
    static RECKON_HD RECKON_INLINE V poly(V x) noexcept {
        return horner(x, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19,
                      2.0 / 21);
    }
    template <class V>
    static RECKON_HD RECKON_INLINE V wide_poly(V x) noexcept {
        return horner(x, 2.0 / 3, 2.0 / 5, 2.0 / 7, 2.0 / 9, 2.0 / 11, 2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21,
                      2.0 / 23, 2.0 / 25, 2.0 / 27, 2.0 / 29, 2.0 / 31, 2.0 / 33);
    }
    static constexpr double denormal_scale = 18014398509481984.0;  // 2^54
    static constexpr double denormal_exponent = 54.0;
};

// 2^k for an integral k held in V: the sum puts k + bias into the low mantissa bits, the shift moves it to the
// exponent.
template <class V>
RECKON_HD RECKON_INLINE V pow2(V k) noexcept {
    using T = lane_t<V>;
    using format = simd::float_format<T>;
    constexpr T magic = T(1.5) * T(typename format::bits(1) << format::mantissa_bits) + T(format::exponent_bias);
    return bits_shift_left<format::mantissa_bits>(k + V(magic));
}

// Nearest integer for |x| < 2^(mantissa bits - 1).
template <class V>
RECKON_HD RECKON_INLINE V nearest(V x) noexcept {
    using T = lane_t<V>;
    constexpr T magic = T(1.5) * T(typename simd::float_format<T>::bits(1) << simd::float_format<T>::mantissa_bits);
    return (x + V(magic)) - V(magic);
}

// Nearest integer of x * factor, in the same range. One mul_add, so that it does not depend on the compiler whether the
// product is rounded.
template <class V>
RECKON_HD RECKON_INLINE V nearest_product(V x, V factor) noexcept {
    using T = lane_t<V>;
    constexpr T magic = T(1.5) * T(typename simd::float_format<T>::bits(1) << simd::float_format<T>::mantissa_bits);
    return mul_add(x, factor, V(magic)) - V(magic);
}

// x = 2^exponent * (1 + fraction), 1 + fraction in [sqrt(1/2), sqrt 2), for positive normal x.
template <class V>
struct split_log {
    V exponent;
    V fraction;
};
template <class V>
RECKON_HD RECKON_INLINE split_log<V> split(V x) noexcept {
    using T = lane_t<V>;
    using format = simd::float_format<T>;
    using bits = typename format::bits;
    constexpr T two_to_m = T(bits(1) << format::mantissa_bits);
    constexpr bits two_to_m_bits = bits(format::exponent_bias + format::mantissa_bits) << format::mantissa_bits;
    const V mantissa = bits_or(bits_and(x, format::mantissa_mask), format::one);
    const V exponent =
        bits_or(bits_shift_right<format::mantissa_bits>(x), two_to_m_bits) - V(two_to_m + T(format::exponent_bias));
    const auto upper = V(T(1.41421356237309504880)) < mantissa;
    return {select(upper, exponent + V(T(1)), exponent), select(upper, mantissa * V(T(0.5)), mantissa) - V(T(1))};
}

// exponent * ln 2 + 2 atanh(s), for |s| <= 3 - 2 sqrt 2.
template <class V>
RECKON_HD RECKON_INLINE V log_from(V exponent, V s) noexcept {
    using T = lane_t<V>;
    const V z = s * s;
    const V tail = s * z * log_constants<T>::poly(z);
    const V low = mul_add(exponent, V(exp_constants<T>::ln2_low), tail);
    return mul_add(exponent, V(exp_constants<T>::ln2_high), mul_add(V(T(2)), s, low));
}

// log(1 + t) for t in [0, 1] and NaN, where neither exponent nor correction is needed.
template <class V>
RECKON_HD RECKON_INLINE V log1p_of_fraction(V t) noexcept {
    using T = lane_t<V>;
    const V s = t / (t + V(T(2)));
    const V z = s * s;
    return mul_add(s * z, log_constants<T>::wide_poly(z), s + s);
}

}  // namespace detail

/// e^x.
///
/// Numerics  NaN in, NaN out; exp(-inf) = 0, exp(inf) = inf; denormal results are produced. At most 1.1 ULP in float.
template <class V>
RECKON_HD RECKON_INLINE V exp(V x) noexcept {
    using namespace detail;
    using T = lane_t<V>;
    using C = exp_constants<T>;
    // The constant comes first: minimum and maximum return the second operand for NaN.
    const V clamped = maximum(V(C::lowest), minimum(V(C::highest), x));
    const V k = nearest_product(clamped, V(T(1.44269504088896340736)));
    const V r = mul_add(k, V(-C::ln2_low), mul_add(k, V(-C::ln2_high), clamped));
    const V p = mul_add(r * r, C::poly(r), r) + V(T(1));
    // Two factors, so that neither leaves the normal range when the result is denormal or about to overflow.
    const V half = nearest(k * V(T(0.5)));
    return p * pow2(half) * pow2(k - half);
}

/// Natural logarithm.
///
/// Numerics  log(0) = -inf, log(inf) = inf, NaN for negative x and NaN. Denormal inputs are legal. At most 2 ULP in
///           float.
template <class V>
RECKON_HD RECKON_INLINE V log(V x) noexcept {
    using namespace detail;
    using T = lane_t<V>;
    using C = log_constants<T>;
    constexpr T inf = simd::float_format<T>::infinity;
    const auto tiny = x < V(simd::float_format<T>::smallest_normal);
    const auto parts = split(select(tiny, x * V(C::denormal_scale), x));
    const V exponent = select(tiny, parts.exponent - V(C::denormal_exponent), parts.exponent);
    V y = log_from(exponent, parts.fraction / (parts.fraction + V(T(2))));
    y = select(x < V(inf), y, x);  // +inf and NaN pass through
    y = select(x == V(T(0)), V(-inf), y);
    return select(x < V(T(0)), V(simd::float_format<T>::quiet_nan), y);
}

/// log(1 + x), accurate near 0.
///
/// Numerics  log1p(-1) = -inf, NaN below -1 and for NaN, inf for inf. At most 2.1 ULP in float.
template <class V>
RECKON_HD RECKON_INLINE V log1p(V x) noexcept {
    using namespace detail;
    using T = lane_t<V>;
    constexpr T inf = simd::float_format<T>::infinity;
    const V u = x + V(T(1));
    // What the sum lost; it matters as long as u is of the size of 1.
    const V lost = select(x < V(T(1)), x - (u - V(T(1))), V(T(1)) - (u - x));
    const auto parts = split(u);
    // Near 0 the fraction is x itself and nothing was lost.
    const auto near_zero = (V(T(-0.29)) < x) & (x < V(T(0.41)));
    const V f = select(near_zero, x, parts.fraction);
    const V exponent = select(near_zero, V(T(0)), parts.exponent);
    const V correction = select(near_zero, V(T(0)), lost / u);
    V y = log_from(exponent, f / (f + V(T(2)))) + correction;
    y = select(near_zero & (x == V(T(0))), x, y);
    y = select(x < V(inf), y, x);
    y = select(u == V(T(0)), V(-inf), y);
    return select(u < V(T(0)), V(simd::float_format<T>::quiet_nan), y);
}

/// 1 / (1 + e^-x).
///
/// Numerics  never leaves [0, 1]; the small side is e^x / (1 + e^x), so it keeps its relative accuracy. NaN in, NaN
///           out.
template <class V>
RECKON_HD RECKON_INLINE V sigmoid(V x) noexcept {
    using namespace detail;
    using T = lane_t<V>;
    const V t = math::exp(V(T(0)) - absolute(x));
    return select(x < V(T(0)), t, V(T(1))) / (V(T(1)) + t);
}

/// log(1 + e^x).
///
/// Numerics  max(x, 0) + log(1 + e^-|x|): no overflow anywhere. NaN in, NaN out.
template <class V>
RECKON_HD RECKON_INLINE V softplus(V x) noexcept {
    using namespace detail;
    using T = lane_t<V>;
    return maximum(V(T(0)), x) + log1p_of_fraction(math::exp(V(T(0)) - absolute(x)));
}

/// log(sigmoid(x)) = -softplus(-x).
///
/// Numerics  as softplus().
template <class V>
RECKON_HD RECKON_INLINE V log_sigmoid(V x) noexcept {
    using namespace detail;
    using T = lane_t<V>;
    return minimum(V(T(0)), x) - log1p_of_fraction(math::exp(V(T(0)) - absolute(x)));
}

/// log(p / (1 - p)).
///
/// Numerics  -inf at 0, inf at 1, NaN outside [0, 1]. Near 1/2, where the logarithm of the ratio cancels, it is
///           2 atanh(2 p - 1) of an exact 2 p - 1.
template <class V>
RECKON_HD RECKON_INLINE V logit(V p) noexcept {
    using namespace detail;
    using T = lane_t<V>;
    using C = log_constants<T>;
    constexpr T inf = simd::float_format<T>::infinity;
    const V odds = p / (V(T(1)) - p);
    const auto tiny = odds < V(simd::float_format<T>::smallest_normal);
    const auto parts = split(select(tiny, odds * V(C::denormal_scale), odds));
    const V exponent = select(tiny, parts.exponent - V(C::denormal_exponent), parts.exponent);
    const V twice = mul_add(V(T(2)), p, V(T(-1)));
    const auto middle = absolute(twice) < V(T(0.17));
    const V s = select(middle, twice, parts.fraction / (parts.fraction + V(T(2))));
    V y = log_from(select(middle, V(T(0)), exponent), s);
    y = select(p == V(T(0)), V(-inf), y);
    y = select(p == V(T(1)), V(inf), y);
    return select((V(T(0)) <= p) & (p <= V(T(1))), y, V(simd::float_format<T>::quiet_nan));
}

}  // namespace reckon::math
