// How much of a predicted variance is noise of the outcome, and how much is ignorance of its mean.
#pragma once

#include <cstddef>
#include <limits>
#include <type_traits>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/uncertainty/detail/outputs.hpp"

namespace reckon {

/// A variance and its two parts.
struct variance_parts {
    double total = 0.0;
    double aleatoric = 0.0;  ///< noise of one outcome when its mean is known
    double epistemic = 0.0;  ///< variance of the mean: what more data would take away
};

namespace detail {

template <class V>
struct variance_lanes {
    V total, aleatoric, epistemic;
};

// Neither part is a difference, so neither cancels.
template <class V>
RECKON_INLINE variance_lanes<V> beta_variance_lanes(V alpha, V beta) noexcept {
    using T = simd::lane_t<V>;
    using simd::select;
    const V zero(T(0)), one(T(1));
    const V s = alpha + beta;
    const V total = (alpha / s) * (beta / s);
    const V next = s + one;
    const auto ok = (zero <= alpha) & (zero <= beta) & (s <= V((std::numeric_limits<T>::max)()));
    const V nan(simd::float_format<T>::quiet_nan);
    return {select(ok, total, nan), select(ok, total * (s / next), nan), select(ok, total / next, nan)};
}

}  // namespace detail

/// Variance of a Bernoulli outcome whose rate has the distribution Beta(alpha, beta), and its two parts.
///
///   m = alpha / s, s = alpha + beta
///   total = m (1 - m),   aleatoric = m (1 - m) s / (s + 1),   epistemic = Var(rate) = m (1 - m) / (s + 1)
///
/// alpha, beta >= 0, not both 0, of finite sum.
///
/// Returns   the parts; NaN outside the range. Propagates NaN.
/// Numerics  aleatoric + epistemic = total to 3 ULP; each part to 3 roundings, also for s far from 1.
/// Source    law of total variance.
RECKON_INLINE variance_parts beta_variance(double alpha, double beta) noexcept {
    const auto v = detail::beta_variance_lanes(alpha, beta);
    return {v.total, v.aleatoric, v.epistemic};
}

/// The same after `successes` out of `trials` were seen: that of Beta(alpha + k, beta + n - k).
///
/// Averaged over what the prior predicts for k, the epistemic part is that of the prior times s / (s + n).
RECKON_INLINE variance_parts beta_posterior_variance(double alpha, double beta, double successes,
                                                     double trials) noexcept {
    return beta_variance(alpha + successes, beta + (trials - successes));
}

/// Variance of a normal outcome under a Normal-Inverse-Gamma distribution of its mean and variance.
///
///   aleatoric = E[sigma^2] = b / (a - 1),   epistemic = Var(mu) = b / (nu (a - 1)),   total = their sum
///
/// nu > 0, a > 0, b >= 0; the location does not matter.
///
/// Returns   the parts; inf for a <= 1, where the mean of sigma^2 does not exist; NaN outside the range. Propagates
///           NaN.
/// Source    Amini et al. 2020.
RECKON_INLINE variance_parts normal_inverse_gamma_variance(double nu, double a, double b) noexcept {
    constexpr double inf = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
    if (!(nu > 0.0 && a > 0.0 && b >= 0.0)) return {nan, nan, nan};
    if (a <= 1.0) return {inf, inf, inf};
    const double aleatoric = b / (a - 1.0), epistemic = aleatoric / nu;
    return {aleatoric + epistemic, aleatoric, epistemic};
}

/// beta_variance() of many rows.
///
/// Shapes    alpha, beta, total, aleatoric, epistemic [N]: float or double, all of one type; an output may be none{}.
/// Writes    the outputs that are given; one of them may be the memory of an input.
/// Throws    std::invalid_argument when lengths differ. NaN for a row outside the range; propagates NaN.
/// Cost      one pass, 5 divisions a row in SIMD lanes.
/// Numerics  as beta_variance(), in the type of the columns.
template <exec::policy Policy, vector_like A, vector_like B, class Total, class Aleatoric, class Epistemic,
          class Isa = isa::native>
void variance_split(const Policy& where, const A& alpha, const B& beta, Total&& total, Aleatoric&& aleatoric,
                    Epistemic&& epistemic) {
    const auto a = input(alpha);
    const auto b = input(beta);
    using T = typename decltype(a)::value_type;
    using pack = simd::pack<T, Isa>;
    static_assert(std::is_same_v<T, typename decltype(b)::value_type>,
                  "reckon: alpha and beta must have the same type, float or double");
    expects(a.size() == b.size(), "variance_split", a.size(), " values of alpha but ", b.size(), " of beta");
    const vector_view<T> outs[3] = {detail::optional_output<T>("variance_split", total, a.size()),
                                    detail::optional_output<T>("variance_split", aleatoric, a.size()),
                                    detail::optional_output<T>("variance_split", epistemic, a.size())};
    exec::map_parts(where, a.size(), [&](std::size_t first, std::size_t count) {
        for (std::size_t i = first; i < first + count; i += pack::lanes) {
            const std::size_t left = first + count - i;
            const bool whole = left >= pack::lanes;
            const auto v = whole ? detail::beta_variance_lanes(pack::load(a.data() + i), pack::load(b.data() + i))
                                 : detail::beta_variance_lanes(pack::load_padded(a.data() + i, left, T(1)),
                                                               pack::load_padded(b.data() + i, left, T(1)));
            const pack found[3] = {v.total, v.aleatoric, v.epistemic};
            for (int k = 0; k < 3; ++k) {
                if (outs[k].empty()) continue;
                if (whole) {
                    found[k].store(outs[k].data() + i);
                } else {
                    found[k].store_head(outs[k].data() + i, left);
                }
            }
        }
    });
}

}  // namespace reckon
