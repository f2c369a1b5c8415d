// In-batch softmax contrastive loss, with both gradients and without the matrix of logits.
#pragma once

#include <cstddef>
#include <type_traits>

#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/losses/contrastive_columns.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/in_batch_softmax.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon {

struct info_nce_options {
    /// > 0. Logits are similarities over this.
    double temperature = 0.05;
    similarity metric = similarity::dot;
    /// Key first_positive + i is the positive of query i: a shard of the queries against all keys starts at its first
    /// query.
    std::size_t first_positive = 0;
    /// >= 0. Negatives weigh e^(hardness * logit), on average 1: the harder ones count for more.
    double hardness = 0.0;
};

/// In-batch softmax contrastive loss: pull each query to its own key, push it from the others.
///
///   loss = sum_i [ logsumexp_j(s(q_i, k_j) / t_i) - s(q_i, k_own) / t_i ]      natural log, nats; s: options.metric
///
/// Shapes    query_rows [B, D], key_rows [N, D], N >= first_positive + B: key first_positive + i is the positive of
///           query i, all others are its negatives. row_lse [B]. Float or double, all the same; rows may be strided.
///           Gradients as their inputs, or empty.
/// Columns   temperatures of rows; labels, whose matches are left out of the negatives; positives in any order.
/// Hardness  b > 0 replaces the sum over the m negatives by m sum_j e^((1+b) l_j) / sum_j e^(b l_j), l the logits;
///           gradients go through the weights too.
/// Writes    row_lse: log of the powers of the own key and of what the negatives count; adds grads.scale * d loss / d
///           (queries | keys | temperature) where wanted.
/// Returns   mean_value{sum, B}; merges over shards of queries that see the same keys.
/// Throws    std::invalid_argument on a shape or option out of range, a temperature or positive of a row included.
///           Other inputs are not scanned: NaN in, NaN out; logits beyond the range of the type are not finite either.
/// Cost      B N D multiply-adds forward, three times that with both gradients. Scratch: the keys packed, once for the
///           loss and twice for gradients, one more N x D for theirs, and rows of N: 96 that fit into 4 MiB, no
///           fewer than 48 up to 71,000 floats, 24 beyond; never B x N. The cosine and the distance copy both sides,
///           and both gradients.
/// Numerics  lanes of the type, sums of 512 keys, double above; the own logit is a dot product in double, so that a
///           loss far below epsilon times the largest logit is rounding, of either sign. Distances are |q|^2 - 2 q . k
///           + |k|^2 in the type.
/// Source    van den Oord, Li and Vinyals 2018, equation 4; rows are streamed as in Milakov and Gimelshein 2018.
///           Weights after Robinson et al. 2021, without their correction for false negatives.
template <exec::policy Policy, matrix_like Q, matrix_like K, class L, class Isa = isa::native>
mean_value info_nce(const Policy& where, const Q& query_rows, const K& key_rows, L&& row_lse,
                    const info_nce_options& options = {},
                    const contrastive_gradients<typename decltype(input(query_rows))::value_type>& grads = {},
                    const contrastive_columns<typename decltype(input(query_rows))::value_type>& columns = {}) {
    const auto query_view = input(query_rows);
    const auto key_view = input(key_rows);
    const auto lse_of = view(row_lse);
    using T = typename decltype(query_view)::value_type;
    static_assert(std::is_same_v<T, typename decltype(key_view)::value_type> &&
                      std::is_same_v<T, typename decltype(lse_of)::value_type>,
                  "reckon: queries, keys and sums of info_nce must have the same type");
    return detail::in_batch_softmax<T, Isa>(
        where, query_view, key_view, lse_of,
        {"info_nce", options.temperature, options.metric, options.first_positive, options.hardness}, grads, columns);
}

}  // namespace reckon
