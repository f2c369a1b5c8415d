// A head that predicts K quantiles which cannot cross: steps that are not negative, summed up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "reckon/core/class_batch.hpp"
#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// What turns a logit into a step between two quantiles.
enum class quantile_step {
    relu,      ///< max(a, 0): steps may be 0 exactly, and a logit that fell below 0 learns nothing more
    softplus,  ///< log(1 + e^a): always above 0 and always learning
};

struct quantile_head_options {
    quantile_step step = quantile_step::relu;
};

namespace detail {

template <class V>
RECKON_INLINE V quantile_rise(V a, quantile_step step) noexcept {
    using simd::maximum;
    // The constant comes first, so that NaN comes out.
    return step == quantile_step::relu ? maximum(V(simd::lane_t<V>(0)), a) : math::softplus(a);
}
template <class V>
RECKON_INLINE V quantile_rise_slope(V a, quantile_step step) noexcept {
    using simd::select;
    if (step == quantile_step::softplus) return math::sigmoid(a);
    const V zero(simd::lane_t<V>(0)), one(simd::lane_t<V>(1));
    return select(zero < a, one, select(a <= zero, zero, a));
}

// Lanes work on this many quantiles of a row, then a sum runs through them: the sum alone has to wait for itself.
inline constexpr std::size_t quantile_block = 64;

}  // namespace detail

/// Quantiles from logits: Q_k = offset + sum_{m <= k} h_m with h_m = max(a_m, 0) or softplus(a_m).
///
/// Shapes    logits [B, K], quantiles [B, K]: float or double, both the same. offsets [B] of that type, or none for 0: the
///           place below the first step, for feedback that can be negative.
/// Writes    quantiles, non-decreasing along each row for any input without NaN.
/// Throws    std::invalid_argument when shapes differ. Propagates NaN: from its place to the end of its row.
/// Cost      one addition a quantile, in double; softplus adds an exponential and a logarithm.
/// Numerics  sums in double, rounded once a quantile.
/// Source    RAD 2025 (arXiv 2508.11086); softplus is ours.
template <exec::policy Policy, matrix_like A, class Q, class O = none, class Isa = isa::native>
void quantile_head(const Policy& where, const A& logits, Q&& quantiles, const O& offsets = {},
                   const quantile_head_options& options = {}) {
    const auto a = input(logits);
    const auto q = view(quantiles);
    const auto base = input(offsets);
    using T = typename decltype(a)::value_type;
    static_assert(std::is_same_v<T, typename decltype(q)::value_type>,
                  "reckon: logits and quantiles of quantile_head must have the same type");
    expects(q.rows() == a.rows() && q.cols() == a.cols(), "quantile_head", "logits are ", a.rows(), " x ", a.cols(),
            ", quantiles ", q.rows(), " x ", q.cols());
    expects(base.empty() || base.size() == a.rows(), "quantile_head", a.rows(), " rows but ", base.size(), " offsets");
    const std::size_t count = a.cols();
    exec::map_parts(
        where, a.rows(),
        [&](std::size_t first, std::size_t rows) {
            for (std::size_t r = first; r < first + rows; ++r) {
                const T* const from = a.row(r).data();
                T* const to = q.row(r).data();
                double sum = base.empty() ? 0.0 : static_cast<double>(base[r]);
                T rise[detail::quantile_block];
                for (std::size_t begin = 0; begin < count; begin += detail::quantile_block) {
                    const std::size_t n = (std::min)(detail::quantile_block, count - begin);
                    simd::transform<Isa>(from + begin, rise, n, T(0),
                                         [&](simd::pack<T, Isa> x) { return detail::quantile_rise(x, options.step); });
                    for (std::size_t k = 0; k < n; ++k) {
                        sum += static_cast<double>(rise[k]);
                        to[begin + k] = static_cast<T>(sum);
                    }
                }
            }
        },
        exec::detail::rows_a_part(count));
}

/// Gradient of quantile_head(): carries derivatives with respect to the quantiles back to the logits.
///
///   d_a_m = h'(a_m) sum_{k >= m} d_Q_k,   h' = 1[a_m > 0] or sigmoid(a_m);   d_offset = sum_k d_Q_k
///
/// Shapes    logits, d_quantiles, d_logits [B, K], d_offsets [B] or none: all of one type.
/// Writes    adds scale times the derivatives to d_logits and d_offsets, which may not overlap the inputs.
/// Throws    std::invalid_argument when shapes differ. Propagates NaN: a NaN in d_quantiles reaches its own and the earlier
///           places of its row.
/// Cost      one addition a quantile, in double; softplus adds an exponential.
/// Source    as quantile_head().
template <exec::policy Policy, matrix_like A, matrix_like G, class D, class O = none, class Isa = isa::native>
void quantile_head_gradient(const Policy& where, const A& logits, const G& d_quantiles, D&& d_logits,
                            O&& d_offsets = {}, const quantile_head_options& options = {}, double scale = 1.0) {
    const auto a = input(logits);
    const auto g = input(d_quantiles);
    const auto out = view(d_logits);
    using T = typename decltype(a)::value_type;
    static_assert(
        std::is_same_v<T, typename decltype(g)::value_type> && std::is_same_v<T, typename decltype(out)::value_type>,
        "reckon: logits and derivatives of quantile_head_gradient must have the same type");
    constexpr bool has_offsets = !std::is_same_v<std::remove_cvref_t<O>, none>;
    for (const bool same :
         {g.rows() == a.rows() && g.cols() == a.cols(), out.rows() == a.rows() && out.cols() == a.cols()}) {
        expects(same, "quantile_head_gradient", "logits are ", a.rows(), " x ", a.cols(), ", derivatives ", g.rows(),
                " x ", g.cols(), " in and ", out.rows(), " x ", out.cols(), " out");
    }
    if constexpr (has_offsets) {
        expects(view(d_offsets).size() == a.rows(), "quantile_head_gradient", a.rows(), " rows but room for ",
                view(d_offsets).size(), " offsets");
    }
    const std::size_t count = a.cols();
    exec::map_parts(
        where, a.rows(),
        [&](std::size_t first, std::size_t rows) {
            using pack = simd::pack<T, Isa>;
            for (std::size_t r = first; r < first + rows; ++r) {
                const T *const at = a.row(r).data(), *const d = g.row(r).data();
                T* const to = out.row(r).data();
                double sum = 0.0;
                T behind[detail::quantile_block];
                // Blocks from the last to the first, which may be shorter.
                for (std::size_t end = count; end > 0;) {
                    const std::size_t n = (end - 1) % detail::quantile_block + 1, begin = end - n;
                    for (std::size_t k = n; k-- > 0;) {
                        sum += static_cast<double>(d[begin + k]);
                        behind[k] = static_cast<T>(scale * sum);
                    }
                    const auto add = [&](pack x, pack sums, pack had) {
                        const pack slope = detail::quantile_rise_slope(x, options.step), zero(T(0));
                        // A dead logit stays dead, also under a derivative that is not finite.
                        return mul_add(slope, select(slope == zero, zero, sums), had);
                    };
                    T* const into = to + begin;
                    for (std::size_t k = 0; k < n; k += pack::lanes) {
                        const std::size_t left = n - k;
                        if (left >= pack::lanes) {
                            add(pack::load(at + begin + k), pack::load(behind + k), pack::load(into + k))
                                .store(into + k);
                        } else {
                            add(pack::load_padded(at + begin + k, left, T(0)),
                                pack::load_padded(behind + k, left, T(0)), pack::load_padded(into + k, left, T(0)))
                                .store_head(into + k, left);
                        }
                    }
                    end = begin;
                }
                if constexpr (has_offsets) {
                    const auto base = view(d_offsets);
                    base[r] += static_cast<std::remove_reference_t<decltype(base[r])>>(scale * sum);
                }
            }
        },
        exec::detail::rows_a_part(count));
}

/// Percentile of a value among predicted quantiles Q_1 <= .. <= Q_K at the levels (k - 1/2) / K.
///
///   at a quantile        (#{Q < y} + #{Q <= y}) / (2 K): its level, or the mean level of equal quantiles
///   between two          linear between their levels
///   below all, above all 1 / (2 K), 1 - 1 / (2 K): a head says nothing about the tails, and a probit stays finite
///
/// Shapes    quantiles [B, K], each row non-decreasing, K >= 1; values [B]; percentiles [B]: float or double.
/// Writes    percentiles; does not decrease in the value.
/// Throws    std::invalid_argument when shapes differ or K is 0 for some row. Propagates NaN of a value; quantiles must not be
///           NaN.
/// Cost      two binary searches a row.
/// Numerics  in double; exact at quantiles but for one rounding.
template <exec::policy Policy, matrix_like Q, vector_like Y, class Out, class Isa = isa::native>
void quantile_percentiles(const Policy& where, const Q& quantiles, const Y& values, Out&& percentiles) {
    const auto q = input(quantiles);
    const auto y = input(values);
    const auto out = view(percentiles);
    using P = typename decltype(out)::value_type;
    expects(q.rows() == y.size() && out.size() == y.size(), "quantile_percentiles", q.rows(), " rows of quantiles but ",
            y.size(), " values and room for ", out.size(), " percentiles");
    const std::size_t count = q.cols();
    expects(count > 0 || y.empty(), "quantile_percentiles", "there are no quantiles");
    exec::map_parts(where, y.size(), [&](std::size_t first, std::size_t rows) {
        for (std::size_t r = first; r < first + rows; ++r) {
            const auto row = q.row(r);
            const auto value = y[r];
            if (value != value) {
                out[r] = static_cast<P>(value);
                continue;
            }
            const auto below = static_cast<std::size_t>(std::lower_bound(row.begin(), row.end(), value) - row.begin());
            const auto at_most =
                static_cast<std::size_t>(std::upper_bound(row.begin() + below, row.end(), value) - row.begin());
            // Twice the number of quantiles that are passed.
            double twice = static_cast<double>(below + at_most);
            if (below == at_most) {
                if (below == 0) {
                    twice = 1.0;
                } else if (below == count) {
                    twice = 2.0 * static_cast<double>(count) - 1.0;
                } else {
                    const auto low = static_cast<double>(row[below - 1]), high = static_cast<double>(row[below]);
                    const double share = (static_cast<double>(value) - low) / (high - low);
                    // An infinite neighbour is infinitely far away.
                    twice += 2.0 * (share >= 0.0 && share <= 1.0 ? share : low - low != 0.0 ? 1.0 : 0.0) - 1.0;
                }
            }
            out[r] = static_cast<P>(twice / (2.0 * static_cast<double>(count)));
        }
    });
}

}  // namespace reckon
