// Elementary operations on one float or double, named as their SIMD counterparts in core/simd.hpp. Arithmetic that is
// written against these names serves scalars, packs and CUDA threads alike.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "reckon/core/config.hpp"

namespace reckon::simd {

/// Bit layout of a floating-point format.
template <class T>
struct float_format;
template <>
struct float_format<float> {
    using bits = std::uint32_t;
    static constexpr int mantissa_bits = 23;
    static constexpr int exponent_bias = 127;
    static constexpr bits mantissa_mask = 0x007fffffu;
    static constexpr bits one = 0x3f800000u;
    // Values, not functions: device code may read them.
    static constexpr float infinity = std::numeric_limits<float>::infinity();
    static constexpr float quiet_nan = std::numeric_limits<float>::quiet_NaN();
    static constexpr float smallest_normal = (std::numeric_limits<float>::min)();
};
template <>
struct float_format<double> {
    using bits = std::uint64_t;
    static constexpr int mantissa_bits = 52;
    static constexpr int exponent_bias = 1023;
    static constexpr bits mantissa_mask = 0x000fffffffffffffull;
    static constexpr bits one = 0x3ff0000000000000ull;
    static constexpr double infinity = std::numeric_limits<double>::infinity();
    static constexpr double quiet_nan = std::numeric_limits<double>::quiet_NaN();
    static constexpr double smallest_normal = (std::numeric_limits<double>::min)();
};

/// Element type of a value that is either a scalar or a pack.
template <class V>
struct lane_of {
    using type = typename V::value_type;
};
template <>
struct lane_of<float> {
    using type = float;
};
template <>
struct lane_of<double> {
    using type = double;
};
template <class V>
using lane_t = typename lane_of<V>::type;

namespace detail {

template <class To, class From>
RECKON_HD RECKON_INLINE To bit_copy(From from) noexcept {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

template <class T>
concept real = std::is_same_v<T, float> || std::is_same_v<T, double>;

}  // namespace detail

/// a * b + c, with one rounding where the target has a fused instruction.
template <detail::real T>
RECKON_HD RECKON_INLINE T mul_add(T a, T b, T c) noexcept {
#if defined(__FMA__) || defined(__CUDA_ARCH__) || defined(__aarch64__)
    return std::fma(a, b, c);
#else
    return a * b + c;
#endif
}
/// `yes` where `mask` holds, else `no`; both are evaluated.
template <detail::real T>
RECKON_HD RECKON_INLINE T select(bool mask, T yes, T no) noexcept {
    return mask ? yes : no;
}
/// a < b ? a : b, so the second operand is returned when either is NaN.
template <detail::real T>
RECKON_HD RECKON_INLINE T minimum(T a, T b) noexcept {
    return a < b ? a : b;
}
/// a > b ? a : b, so the second operand is returned when either is NaN.
template <detail::real T>
RECKON_HD RECKON_INLINE T maximum(T a, T b) noexcept {
    return a > b ? a : b;
}
template <detail::real T>
RECKON_HD RECKON_INLINE T absolute(T a) noexcept {
    return std::fabs(a);
}
template <detail::real T>
RECKON_HD RECKON_INLINE T square_root(T a) noexcept {
    return std::sqrt(a);
}
/// Bitwise and of the representation with `mask`.
template <detail::real T>
RECKON_HD RECKON_INLINE T bits_and(T a, typename float_format<T>::bits mask) noexcept {
    return detail::bit_copy<T>(detail::bit_copy<typename float_format<T>::bits>(a) & mask);
}
/// Bitwise or of the representation with `mask`.
template <detail::real T>
RECKON_HD RECKON_INLINE T bits_or(T a, typename float_format<T>::bits mask) noexcept {
    return detail::bit_copy<T>(detail::bit_copy<typename float_format<T>::bits>(a) | mask);
}
/// Representation shifted left by K bits.
template <int K, detail::real T>
RECKON_HD RECKON_INLINE T bits_shift_left(T a) noexcept {
    return detail::bit_copy<T>(
        static_cast<typename float_format<T>::bits>(detail::bit_copy<typename float_format<T>::bits>(a) << K));
}
/// Representation shifted right by K bits, zeros coming in.
template <int K, detail::real T>
RECKON_HD RECKON_INLINE T bits_shift_right(T a) noexcept {
    return detail::bit_copy<T>(
        static_cast<typename float_format<T>::bits>(detail::bit_copy<typename float_format<T>::bits>(a) >> K));
}
/// True where any lane of a mask holds.
RECKON_HD RECKON_INLINE bool any(bool mask) noexcept {
    return mask;
}

}  // namespace reckon::simd
