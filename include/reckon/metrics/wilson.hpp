// Wilson score interval of a binomial proportion.
#pragma once

#include <cstddef>
#include <type_traits>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// A closed interval.
struct interval {
    double lower;
    double upper;
};

/// Quantile of the standard normal distribution that gives a two-sided interval of 95 %.
inline constexpr double z_95 = 1.959963984540054;

namespace detail {

template <class V>
struct bounds {
    V lower;
    V upper;
};

// The roots of (p - K/n)^2 = z^2 p (1 - p) / n. Both come from the larger one times (n + z^2), a sum of positive terms,
// so nothing cancels: the smaller root is what the product of the roots, (K^2/n) / (n + z^2), leaves.
template <class V>
RECKON_INLINE bounds<V> wilson_bounds(V successes, V trials, V z) noexcept {
    using T = simd::lane_t<V>;
    using simd::minimum;
    using simd::mul_add;
    using simd::select;
    using simd::square_root;
    const V rate = successes / trials;
    const V z2 = z * z;
    // K (1 - K/n) from the failures, which are exact where the rate is rounded.
    const V spread = successes * ((trials - successes) / trials);
    const V sum = mul_add(V(T(2)), successes, z2) + z * square_root(mul_add(V(T(4)), spread, z2));
    const V lower = (V(T(2)) * successes * rate) / sum;
    const V upper = sum / (V(T(2)) * (trials + z2));
    // No success and no failure: the ends are exact, and no trial at all has both.
    return {select(successes == V(T(0)), V(T(0)), lower),
            select(successes == trials, V(T(1)), minimum(upper, V(T(1))))};
}

}  // namespace detail

/// Wilson score interval: all rates p with |p - K/n| <= z sqrt(p (1 - p) / n).
///
///   lower, upper = (K + z^2/2 -+ z sqrt(K (n - K) / n + z^2/4)) / (n + z^2)
///
/// successes K in [0, n], trials n >= 0; both may be fractions (weighted sums). z >= 0, see z_95.
///
/// Returns   the interval; [0, 1] for n = 0. The lower end is exactly 0 for K = 0, the upper exactly 1 for K = n.
/// Throws    nothing; propagates NaN, and arguments outside their range give no meaningful interval.
/// Numerics  a form without cancellation: both ends have a relative error of a few roundings.
/// Source    Wilson 1927.
RECKON_INLINE interval wilson(double successes, double trials, double z = z_95) noexcept {
    const auto both = detail::wilson_bounds(successes, trials, z);
    return {both.lower, both.upper};
}

/// Wilson score intervals of many proportions at once.
///
/// Shapes    successes [N], trials [N], lower [N], upper [N]: float or double, all four the same.
/// Writes    lower, upper; they may be the memory of the inputs.
/// Throws    std::invalid_argument when the sizes differ or z is negative or not finite. Values are not scanned.
/// Cost      one square root and four divisions an interval, in SIMD lanes.
/// Numerics  as wilson() for one interval, in the type of the inputs.
template <exec::policy Policy, vector_like Successes, vector_like Trials, class Lower, class Upper,
          class Isa = isa::native>
    requires vector_like<std::remove_reference_t<Lower>> && vector_like<std::remove_reference_t<Upper>>
void wilson(const Policy& where, const Successes& successes, const Trials& trials, Lower&& lower, Upper&& upper,
            double z = z_95) {
    const auto k = input(successes);
    const auto n = input(trials);
    const auto low = view(lower);
    const auto high = view(upper);
    using T = typename decltype(k)::value_type;
    using V = simd::pack<T, Isa>;
    static_assert(std::is_same_v<T, typename decltype(n)::value_type> &&
                      std::is_same_v<T, typename decltype(low)::element_type> &&
                      std::is_same_v<T, typename decltype(high)::element_type>,
                  "reckon: successes, trials, lower and upper must have the same type, float or double");
    expects(n.size() == k.size(), "wilson", k.size(), " successes but ", n.size(), " trials");
    expects(low.size() == k.size() && high.size() == k.size(), "wilson", k.size(), " successes but room for ",
            low.size(), " lower and ", high.size(), " upper bounds");
    expects(z >= 0 && z <= 1e6, "wilson", "z must be in [0, 1e6], got ", z);
    exec::map_parts(where, k.size(), [&](std::size_t first, std::size_t count) {
        const T* const kp = k.data() + first;
        const T* const np = n.data() + first;
        std::size_t i = 0;
        for (; i + V::lanes <= count; i += V::lanes) {
            const auto both = detail::wilson_bounds(V::load(kp + i), V::load(np + i), V(static_cast<T>(z)));
            both.lower.store(low.data() + first + i);
            both.upper.store(high.data() + first + i);
        }
        if (i < count) {
            const auto both = detail::wilson_bounds(V::load_padded(kp + i, count - i, T(0)),
                                                    V::load_padded(np + i, count - i, T(0)), V(static_cast<T>(z)));
            both.lower.store_head(low.data() + first + i, count - i);
            both.upper.store_head(high.data() + first + i, count - i);
        }
    });
}

}  // namespace reckon
