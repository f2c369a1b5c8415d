// In-batch softmax contrastive loss, with both gradients and without the matrix of logits.
#pragma once

#include <cstddef>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"

namespace reckon {

struct info_nce_options {
    /// > 0. Logits are dot products over this.
    double temperature = 0.05;
};

/// In-batch softmax contrastive loss: pull each query to its own key, push it from the others.
///
///   loss = sum_i [ logsumexp_j(q_i . k_j / t) - q_i . k_i / t ]        natural log, nats
///
/// Shapes    query_rows [B, D], key_rows [N, D], N >= B: key i is the positive of query i, keys from B on are extra negatives.
///           row_lse [B]. Float or double, all the same; rows may be strided. Gradients as their inputs, or empty.
/// Writes    row_lse; adds grads.scale * d loss / d (queries | keys | temperature) where wanted.
/// Returns   mean_value{sum, B}; merges over shards of queries that see the same keys.
/// Throws    std::invalid_argument on a shape or option out of range. Inputs are not scanned: NaN in, NaN out; logits
///           beyond the range of the type are not finite either.
/// Cost      B N D multiply-adds forward, three times that with both gradients. Scratch: the keys packed, once for the
///           loss and twice for gradients, one more N x D for theirs, and 96 rows of N; never B x N.
/// Numerics  lanes of the type, sums of 1024 keys, double above.
/// Source    van den Oord, Li and Vinyals 2018, equation 4; rows are streamed as in Milakov and Gimelshein 2018.
template <exec::policy Policy, matrix_like Q, matrix_like K, class L, class Isa = isa::native>
mean_value info_nce(const Policy& where, const Q& query_rows, const K& key_rows, L&& row_lse,
                    const info_nce_options& options = {},
                    const contrastive_gradients<typename decltype(input(query_rows))::value_type>& grads = {}) {
    const auto queries = input(query_rows);
    const auto keys = input(key_rows);
    const auto lse_of = view(row_lse);
    using T = typename decltype(queries)::value_type;
    static_assert(std::is_same_v<T, typename decltype(keys)::value_type> &&
                      std::is_same_v<T, typename decltype(lse_of)::value_type>,
                  "reckon: queries, keys and sums of info_nce must have the same type");
    using rows_of = detail::query_block<T, Isa>;
    using sums = detail::gradient_sums<T, Isa>;
    exec::detail::require_host_policy<Policy>();
    const std::size_t batch = queries.rows();
    const double t = options.temperature;
    detail::expect_contrastive("info_nce", queries, keys, t, grads);
    expects(keys.rows() >= batch, "info_nce", batch, " queries but only ", keys.rows(), " keys");
    expects(lse_of.size() == batch, "info_nce", batch, " queries but room for ", lse_of.size(), " sums");
    if (batch == 0) return {};

    const bool wants_rows = sums::wants_rows(grads);
    const detail::packed_keys<T, Isa> packed(keys, wants_rows);
    const bool bounded = detail::moderate(detail::largest_norm(queries), detail::largest_norm(keys), t);
    const std::size_t blocks = tile::panel_count(batch, rows_of::most_rows);
    scratch_array<double> losses(batch);
    const auto finish = [&](const rows_of& q) {
        for (std::size_t i = q.first; i < q.first + q.rows; ++i) {
            const double lse = q.log_sum(i - q.first);
            lse_of[i] = static_cast<T>(lse);
            losses[i] = lse - detail::dot(queries.row(i).data(), keys.row(i).data(), queries.cols()) / t;
        }
    };
    if (!wants_rows && grads.keys.empty()) {
        exec::for_each_index(where, blocks, [&](std::size_t b) {
            rows_of q(queries, b * rows_of::most_rows, t);
            detail::softmax_block<false>(exec::serial, q, packed, bounded, static_cast<T*>(nullptr));
            finish(q);
        });
    } else {
        sums gradient(queries, keys, packed, t, grads);
        for (std::size_t b = 0; b < blocks; ++b) {
            rows_of q(queries, b * rows_of::most_rows, t);
            detail::softmax_block<true>(where, q, packed, bounded, gradient.kept());
            finish(q);
            gradient.absorb(where, q, [&](std::size_t r) { return 1.0 / q.sum[r]; });
        }
        gradient.finish(where);
    }
    mean_value loss;
    for (std::size_t i = 0; i < batch; ++i) loss.absorb(losses[i]);
    return loss;
}

}  // namespace reckon
