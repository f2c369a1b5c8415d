// Ranking losses over heads with incomplete labels: confirmed positives against the rows without a label, masked or
// not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/hinge_pairs.hpp"
#include "reckon/losses/detail/logistic_pairs.simd.hpp"
#include "reckon/losses/detail/ranking_heads.hpp"
#include "reckon/losses/ranking_options.hpp"

namespace reckon {

namespace detail {

// Scores without NaN, infinite ones too, in ascending order; says whether there was one.
template <class Isa, class T>
std::vector<std::uint32_t> order_without_nan(const T* scores, std::size_t n, bool& has_nan) {
    auto order = ascending_order<Isa>(vector_view<const T>(scores, n));
    has_nan = false;
    while (!order.empty() && scores[order.back()] != scores[order.back()]) {
        order.pop_back();
        has_nan = true;
    }
    return order;
}

template <bool Squared, class Isa, class T>
double hinge_sums(const ranking_head<T>& head, double margin, double unlabelled, double* up, double* down) {
    bool bad_positive = false, bad_negative = false;
    const auto positive = order_without_nan<Isa>(head.positive.data(), head.positives, bad_positive);
    const auto negative = order_without_nan<Isa>(head.negative.data(), head.negatives, bad_negative);
    const auto low = [&](std::uint32_t i) { return static_cast<double>(head.positive[i]); };
    const auto high = [&](std::uint32_t k) { return static_cast<double>(head.negative[k]) + margin; };
    const auto weight = [&](std::uint32_t k) { return k < head.trusted ? 1.0 : unlabelled; };
    double loss = 0.0;
    hinge_sweep<true>(positive, low, negative, high, weight, [&](std::uint32_t i, const hinge_moments& over) {
        loss += Squared ? over.second : over.first;
        up[i] = Squared ? 2.0 * over.first : over.weight;
    });
    hinge_sweep<false>(
        negative, high, positive, low, [](std::uint32_t) { return 1.0; },
        [&](std::uint32_t k, const hinge_moments& under) {
            down[k] = weight(k) * (Squared ? 2.0 * under.first : under.weight);
        });
    // A NaN reaches all that it is compared with.
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    if (bad_positive || bad_negative) {
        loss = nan;
        for (std::size_t i = 0; i < head.positives; ++i) {
            if (bad_negative || head.positive[i] != head.positive[i]) up[i] = nan;
        }
        for (std::size_t k = 0; k < head.negatives; ++k) {
            if (bad_positive || head.negative[k] != head.negative[k]) down[k] = nan;
        }
    }
    return loss;
}

}  // namespace detail

/// Logistic ranking loss over heads whose labels are incomplete: each confirmed positive of a head against each row
/// without a label, and no pair of rows whose order is not certain.
///
///   loss = sum over heads j of (1 / Z_j) sum_{i, k} omega_k softplus(-(scores_ij - scores_kj))
///   Z_j = sum_{i, k} omega_k
///
/// i over the rows with labels_ij > 0, masked or not; k over those with labels_kj <= 0 that options.negatives names;
/// omega_k is 1 for a row whose mask is valid and unlabelled_weight else. pair_normalisation::sum leaves 1 / Z_j out.
///
/// Shapes    score_rows [B, heads] float or double; label_rows and valid_rows of that shape, any numbers; valid_rows
///           none: all are valid. gradient [B, heads] of the type of the scores, or none. Rows may be strided.
/// Writes    adds scale * d loss / d scores into `gradient`; it may not overlap the inputs.
/// Returns   mean_value{sum over heads, heads with a pair}; with pair_normalisation::sum {sum, sum of Z_j}, which
///           merges over shards, and forms no pair across them.
/// Throws    std::invalid_argument on a shape or option out of range. A head without a positive or without a negative
///           adds nothing, neither to the mean. A NaN label is no row of its head; a NaN score reaches the loss and all
///           rows that it is compared with.
/// Cost      P Q pairs a head, as those of rank_net(): no exact algorithm in fewer steps is known; rank_squared_hinge()
///           has one. Threads share the columns of a head from B = 4096 on, heads below. Scratch grows with B.
/// Numerics  as rank_net(). The gradient of a head adds up to 0 within roundings.
/// Source    Jia et al. 2025 (KAML), ranking-based label utilisation; indicator, defaults and weights are our reading.
template <exec::policy Policy, matrix_like S, matrix_like L, class M = none, class G = none, class Isa = isa::native>
mean_value pairwise_ranking(const Policy& where, const S& score_rows, const L& label_rows, const M& valid_rows = {},
                            const pairwise_ranking_options& options = {}, G&& gradient = {}, double scale = 1.0) {
    exec::detail::require_host_policy<Policy>();
    const auto batch =
        detail::make_ranking_batch("pairwise_ranking", score_rows, label_rows, valid_rows, options, gradient, scale);
    using T = typename decltype(input(score_rows))::value_type;
    const auto sums = [&](const auto& policy, const detail::ranking_head<T>& head, double* up, double* down) {
        const std::size_t p = head.positives, trusted = head.trusted, others = head.negatives - trusted;
        const double w = options.unlabelled_weight;
        double loss =
            detail::logistic_rectangle<Isa>(policy, head.positive.data(), p, head.negative.data(), trusted, up, down);
        if (others > 0) {
            std::vector<double> more(p);
            loss += w * detail::logistic_rectangle<Isa>(policy, head.positive.data(), p, head.negative.data() + trusted,
                                                        others, more.data(), down + trusted);
            for (std::size_t i = 0; i < p; ++i) up[i] += w * more[i];
            for (std::size_t k = trusted; k < head.negatives; ++k) down[k] *= w;
        }
        return loss;
    };
    return detail::over_heads(where, batch, batch.scores.rows() < 4096, sums);
}

/// pairwise_ranking() with the squared hinge max(0, margin - (scores_ij - scores_kj))^2 for the logistic loss: a bound
/// on the wrongly ordered pairs that is exact without looking at pairs.
///
/// Shapes    as pairwise_ranking().
/// Writes    as pairwise_ranking().
/// Returns   as pairwise_ranking().
/// Throws    as pairwise_ranking().
/// Cost      two sorts and two sweeps a head, O(B log B) at most (the sort is a radix sort). Threads share heads.
///           Scratch grows with B.
/// Numerics  double. Sums are moved along instead of taken from differences of prefix sums, so all their terms are
///           positive: relative error of B roundings at most, for float scores as well.
/// Source    sums over sorted scores as in Joachims 2005 and Lee and Lin 2014; the updates are ours.
template <exec::policy Policy, matrix_like S, matrix_like L, class M = none, class G = none, class Isa = isa::native>
mean_value rank_squared_hinge(const Policy& where, const S& score_rows, const L& label_rows, const M& valid_rows = {},
                              const pairwise_ranking_options& options = {}, G&& gradient = {}, double scale = 1.0) {
    exec::detail::require_host_policy<Policy>();
    const auto batch =
        detail::make_ranking_batch("rank_squared_hinge", score_rows, label_rows, valid_rows, options, gradient, scale);
    return detail::over_heads(where, batch, true, [&](const auto&, const auto& head, double* up, double* down) {
        return detail::hinge_sums<true, Isa>(head, options.margin, options.unlabelled_weight, up, down);
    });
}

/// pairwise_ranking() with the hinge max(0, margin - (scores_ij - scores_kj)). Its slope at the corner is 0.
///
/// Shapes    as pairwise_ranking().
/// Writes    as pairwise_ranking().
/// Returns   as pairwise_ranking().
/// Throws    as pairwise_ranking().
/// Cost      as rank_squared_hinge().
/// Numerics  as rank_squared_hinge(); without unlabelled_weight the slopes are whole numbers of pairs, over Z_j.
/// Source    Herbrich, Graepel and Obermayer 2000; sums as in Joachims 2005.
template <exec::policy Policy, matrix_like S, matrix_like L, class M = none, class G = none, class Isa = isa::native>
mean_value rank_hinge(const Policy& where, const S& score_rows, const L& label_rows, const M& valid_rows = {},
                      const pairwise_ranking_options& options = {}, G&& gradient = {}, double scale = 1.0) {
    exec::detail::require_host_policy<Policy>();
    const auto batch =
        detail::make_ranking_batch("rank_hinge", score_rows, label_rows, valid_rows, options, gradient, scale);
    return detail::over_heads(where, batch, true, [&](const auto&, const auto& head, double* up, double* down) {
        return detail::hinge_sums<false, Isa>(head, options.margin, options.unlabelled_weight, up, down);
    });
}

}  // namespace reckon
