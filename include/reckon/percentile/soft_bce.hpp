// Binary cross-entropy with a soft label: the loss of a percentile head.
#pragma once

#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/detail/pair_losses.simd.hpp"

namespace reckon {

/// Binary cross-entropy of logits z against labels c in [0, 1], with its first and second derivative.
///
///   loss = sum_i w_i (softplus(z_i) - c_i z_i),   d = w_i (sigmoid(z_i) - c_i),   d^2 = w_i p_i (1 - p_i)
///
/// It is affine in the label, so a mean label gives value and gradient of the mean over single comparisons. The
/// minimiser is sigmoid(z) = E[c | x].
///
/// Shapes    logits, labels [N], weights [N] or none for ones, gradient, hessian [N] or none: float or double, all of
///           one type.
/// Writes    adds scale * d loss / d z into `gradient` and scale times the second derivative into `hessian` when they
///           are given; they may not overlap the inputs.
/// Returns   mean_value{sum, sum of weights}; merges over shards.
/// Throws    std::invalid_argument when lengths differ. A NaN label is missing: like weight 0 it adds nothing, neither
///           to the mean. Propagates a NaN logit.
/// Cost      one pass, one exponential, one logarithm and one division a row.
/// Numerics  lanes add up blocks of 256 rows, blocks are compensated doubles: relative error below 2e-6 for float,
///           1e-13 for double. A logit may be of any size, also infinite: value, slope and p (1 - p) keep their relative
///           accuracy at both ends, but for labels strictly between, where the slope is a difference.
template <exec::policy Policy, vector_like Z, vector_like C, class W = none, class G = none, class H = none,
          class Isa = isa::native>
mean_value soft_bce(const Policy& where, const Z& logits, const C& labels, const W& weights = {}, G&& gradient = {},
                    double scale = 1.0, H&& hessian = {}) {
    constexpr const char* kernel = "soft_bce";
    const auto z = input(logits);
    using T = typename decltype(z)::value_type;
    const detail::pair_rows<T> rows{z,
                                    detail::loss_column<T>(kernel, "labels", labels, z.size()),
                                    {},
                                    detail::loss_column<T>(kernel, "weights", weights, z.size()),
                                    detail::loss_output<T>(kernel, gradient, z.size()),
                                    detail::loss_output<T>(kernel, hessian, z.size())};
    return exec::fold_parts(where, detail::pair_fold<Isa>{scale, {}}, rows).loss;
}

}  // namespace reckon
