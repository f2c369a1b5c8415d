// Uncertainty for free: how often something was seen, and how undecided a probability is.
#pragma once

#include <cstddef>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

namespace detail {

// 1 / sqrt(n) is infinite at 0 by itself.
template <class V>
RECKON_INLINE V count_deviation(V n) noexcept {
    using simd::square_root;
    return V(simd::lane_t<V>(1)) / square_root(n);
}

// -p ln p - (1 - p) ln(1 - p); both terms are 0 at the ends, where the product would be 0 * inf.
template <class V>
RECKON_INLINE V entropy_of(V p) noexcept {
    using T = simd::lane_t<V>;
    using simd::select;
    const V zero(T(0)), q = V(T(1)) - p;
    const V yes = select(p == zero, zero, p * math::log(p));
    const V no = select(q == zero, zero, q * math::log1p(zero - p));
    return zero - (yes + no);
}

template <class Isa, exec::policy Policy, class In, class Out, class Body>
void map_column(const char* kernel, const Policy& where, const In& in, Out& out, Body body) {
    const auto x = input(in);
    const auto y = view(out);
    using T = typename decltype(x)::value_type;
    static_assert(std::is_same_v<T, typename decltype(y)::value_type>, "reckon: columns must have the same type");
    expects(x.size() == y.size(), kernel, x.size(), " values but room for ", y.size());
    exec::map_parts(where, x.size(), [&](std::size_t first, std::size_t count) {
        simd::transform<Isa>(x.data() + first, y.data() + first, count, T(1), body);
    });
}

}  // namespace detail

/// Standard error of a mean over n examples, in units of their deviation: u = 1 / sqrt(n).
///
/// Shapes    examples, out [N]: float or double, both the same; n of the user, the item, or both in turn.
/// Writes    out; infinity for n = 0. It may be the examples.
/// Throws    std::invalid_argument when sizes differ. Propagates NaN; NaN for negative n.
/// Cost      a square root and a division a row.
/// Numerics  2 roundings.
template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
void count_uncertainty(const Policy& where, const In& examples, Out&& out) {
    detail::map_column<Isa>("count_uncertainty", where, examples, out,
                            [](auto n) { return detail::count_deviation(n); });
}

/// Entropy of a predicted probability in nats: u = -p ln p - (1 - p) ln(1 - p).
///
/// Largest at p = 1/2 and 0 at both ends. It measures noise that more data cannot remove, so it is a baseline to beat.
///
/// Shapes    probabilities, out [N]: float or double, both the same.
/// Writes    out, which may be the probabilities.
/// Throws    std::invalid_argument when sizes differ. Propagates NaN; NaN outside [0, 1].
/// Cost      two logarithms a row.
/// Numerics  4 ULP.
/// Source    Shannon 1948.
template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
void predictive_entropy(const Policy& where, const In& probabilities, Out&& out) {
    detail::map_column<Isa>("predictive_entropy", where, probabilities, out,
                            [](auto p) { return detail::entropy_of(p); });
}

}  // namespace reckon
