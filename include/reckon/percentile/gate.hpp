// Which anchors train the percentile head, how it trains beside another head, and what to rank by.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/weighted_pair_bce.hpp"

namespace reckon {

/// How the slots that a user's history holds become a weight.
enum class gate_form : std::uint8_t {
    hard,    ///< 1 from `count` slots on, else 0
    smooth,  ///< slots / (slots + count): shrinks the weight, not the label, so the target stays
};

struct gate_options {
    gate_form form = gate_form::hard;
    /// > 0.
    double count = 5.0;
};

/// Weights of anchors by the length of their histories.
///
/// Shapes    filled [N]: slots held (contrast_outputs::filled), not the comparisons drawn. gates [N]: float or double.
/// Writes    every gate.
/// Returns   the sum of the gates.
/// Throws    std::invalid_argument when lengths differ or the count is not positive.
/// Cost      one pass.
/// Source    PEARL (2026) names gating; both rules are ours.
template <exec::policy Policy, vector_like F, class G, class Isa = isa::native>
double history_gates(const Policy& where, const F& filled, G&& gates, const gate_options& options = {}) {
    const auto slots_held = input(filled);
    const auto out = view(gates);
    using T = typename decltype(out)::value_type;
    expects(out.size() == slots_held.size(), "history_gates", slots_held.size(), " counts but room for ", out.size());
    expects(options.count > 0.0 && std::isfinite(options.count), "history_gates", "count must be positive, got ",
            options.count);
    exec::map_parts(where, out.size(), [&](std::size_t first, std::size_t n) {
        for (std::size_t i = first; i < first + n; ++i) {
            const double held = static_cast<double>(slots_held[i]);
            const double hard = held >= options.count ? 1.0 : 0.0;
            out[i] = static_cast<T>(options.form == gate_form::hard ? hard : held / (held + options.count));
        }
    });
    double sum = 0.0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += static_cast<double>(out[i]);
    return sum;
}

/// What a percentile head adds to the loss of the head beside it.
///
///   beta * sum_i g_i l_i / sum_i g_i,   l_i the loss of weighted_pair_bce()
///
/// summed over rows that have a weighted comparison; 0, with gradient 0, when no gate is open. For unweighted labels
/// wins are cbar and losses 1 - cbar, as contrast_labels() writes them.
///
/// Shapes    logits, wins, losses, gates [N], gradient [N] or none: float or double, all of one type.
/// Writes    adds the gradient of the result into `gradient` when it is given.
/// Returns   the number to add to the base loss.
/// Throws    std::invalid_argument when lengths differ or beta is not finite.
/// Cost      a pass for the sum of the gates, then that of weighted_pair_bce().
/// Source    PEARL (2026) names co-training; the sum is ours.
template <exec::policy Policy, vector_like Z, vector_like P, vector_like M, vector_like W, class G = none,
          class Isa = isa::native>
double co_training_term(const Policy& where, const Z& logits, const P& wins, const M& losses, const W& gates,
                        double beta = 1.0, G&& gradient = {}) {
    constexpr const char* kernel = "co_training_term";
    const auto z = input(logits);
    using T = typename decltype(z)::value_type;
    const auto won = detail::loss_column<T>(kernel, "wins", wins, z.size());
    const auto lost = detail::loss_column<T>(kernel, "losses", losses, z.size());
    const auto gate = detail::loss_column<T>(kernel, "gates", gates, z.size());
    expects(std::isfinite(beta), kernel, "beta must be finite, got ", beta);
    compensated_sum open;
    for (std::size_t i = 0; i < z.size(); ++i) {
        const T mass = won[i] + lost[i];
        if (mass == mass && mass != T(0)) open.absorb(static_cast<double>(gate[i]));
    }
    if (!(open.value() != 0.0)) return 0.0;
    const double scale = beta / open.value();
    return scale * weighted_pair_bce<Policy, decltype(z), decltype(won), decltype(lost), decltype(gate), G, none, Isa>(
                       where, z, won, lost, gate, static_cast<G&&>(gradient), scale)
                       .sum();
}

struct serving_options {
    /// In [0, 1]. Share of the percentile in the score; 1 takes it alone.
    double share = 0.5;
};

/// Scores to rank by: percentile and value in one, as logarithms.
///
///   score_i = a ln sigmoid(z_i) + (1 - a) ln v_i
///
/// Shapes    logits, values [N], scores [N]: float or double, all of one type.
/// Writes    every score: the logarithm of p^a v^(1 - a). -inf for value 0, NaN for a negative one; a side with exponent
///           0 is not looked at. Propagates NaN.
/// Throws    std::invalid_argument when lengths differ or the share is outside [0, 1].
/// Cost      an exponential and two logarithms a row.
/// Source    ours.
template <exec::policy Policy, vector_like Z, vector_like V, class S, class Isa = isa::native>
void serving_scores(const Policy& where, const Z& logits, const V& values, S&& scores,
                    const serving_options& options = {}) {
    constexpr const char* kernel = "serving_scores";
    const auto z = input(logits);
    using T = typename decltype(z)::value_type;
    const auto value = detail::loss_column<T>(kernel, "values", values, z.size());
    const auto out = view(scores);
    static_assert(std::is_same_v<T, typename decltype(out)::value_type>,
                  "reckon: logits and scores must have the same type, float or double");
    expects(out.size() == z.size(), kernel, z.size(), " logits but room for ", out.size(), " scores");
    const double a = options.share;
    expects(a >= 0.0 && a <= 1.0, kernel, "share must be in [0, 1], got ", a);
    exec::map_parts(where, z.size(), [&](std::size_t first, std::size_t n) {
        using pack = simd::pack<T, Isa>;
        const pack share(static_cast<T>(a)), rest(static_cast<T>(1.0 - a));
        for (std::size_t i = first; i < first + n; i += pack::lanes) {
            const std::size_t left = first + n - i;
            const bool whole = left >= pack::lanes;
            const auto load = [&](vector_view<const T> c) {
                return whole ? pack::load(c.data() + i) : pack::load_padded(c.data() + i, left, T(1));
            };
            pack score(T(0));
            if (a > 0.0) score = share * math::log_sigmoid(load(z));
            if (a < 1.0) score = mul_add(rest, math::log(load(value)), score);
            whole ? score.store(out.data() + i) : score.store_head(out.data() + i, left);
        }
    });
}

}  // namespace reckon
