// Symmetric contrastive loss: each query finds its key and each key finds its query.
#pragma once

#include <cstddef>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"
#include "reckon/losses/detail/logit_sums.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon {

struct clip_loss_options {
    /// > 0. Logits are similarities over this.
    double temperature = 0.07;
    similarity metric = similarity::dot;
};

/// Symmetric in-batch contrastive loss: the mean of the two directions.
///
///   loss = sum_i [ (logsumexp_j(s(q_i, k_j) / t) + logsumexp_j(s(q_j, k_i) / t)) / 2 - s(q_i, k_i) / t ]     nats
///   s: options.metric
///
/// With labels of false negatives or temperatures of pairs: half the sum of info_nce(queries, keys) and of
/// info_nce(keys, queries), each with half the scale.
///
/// Shapes    query_rows [B, D], key_rows [B, D]: key i belongs to query i. row_lse, column_lse [B]. Float or double,
///           all the same; rows may be strided. Gradients as their inputs, or empty.
/// Writes    row_lse, column_lse; adds grads.scale * d loss / d (queries | keys | temperature) where wanted.
/// Returns   mean_value{sum, B}.
/// Throws    std::invalid_argument on a shape or option out of range. Inputs are not scanned: NaN in, NaN out; logits
///           beyond the range of the type are not finite either.
/// Cost      B B D multiply-adds forward, four times that with both gradients, which need the sums of all columns
///           first. Scratch as info_nce, but weights of 96 queries with 512 keys (threads: 8192) only; the cosine and
///           the distance copy both sides, and both gradients.
/// Numerics  lanes of the type, sums of 512 keys and of 96 queries, double above; tiny losses as in info_nce.
/// Source    Radford et al. 2021, figure 3.
template <exec::policy Policy, matrix_like Q, matrix_like K, class L, class C, class Isa = isa::native>
mean_value clip_loss(const Policy& where, const Q& query_rows, const K& key_rows, L&& row_lse, C&& column_lse,
                     const clip_loss_options& options = {},
                     const contrastive_gradients<typename decltype(input(query_rows))::value_type>& grads = {}) {
    const auto query_view = input(query_rows);
    const auto key_view = input(key_rows);
    const auto across = view(row_lse);
    const auto down = view(column_lse);
    using T = typename decltype(query_view)::value_type;
    static_assert(std::is_same_v<T, typename decltype(key_view)::value_type> &&
                      std::is_same_v<T, typename decltype(across)::value_type> &&
                      std::is_same_v<T, typename decltype(down)::value_type>,
                  "reckon: queries, keys and sums of clip_loss must have the same type");
    exec::detail::require_host_policy<Policy>();
    const std::size_t batch = query_view.rows();
    const double t = options.temperature;
    const detail::row_temperatures<T> temperature{t};
    detail::expect_contrastive("clip_loss", query_view, key_view, temperature, grads);
    expects(key_view.rows() == batch, "clip_loss", batch, " queries but ", key_view.rows(), " keys");
    expects(across.size() == batch && down.size() == batch, "clip_loss", batch, " pairs but room for ", across.size(),
            " and ", down.size(), " sums");
    if (batch == 0) return {};

    using alike = detail::similarity_rows<T>;
    alike query_side(options.metric, alike::side::query, query_view),
        key_side(options.metric, alike::side::key, key_view);
    const matrix_view<const T> queries = query_side.rows(), keys = key_side.rows();
    using sums = detail::gradient_sums<T, Isa>;
    const detail::packed_keys<T, Isa> packed(keys, sums::wants_rows(grads));
    const bool bounded = detail::moderate(detail::largest_norm(queries), detail::largest_norm(keys), t);
    std::vector<detail::power_sum> rows(batch);
    detail::column_sums columns(packed.padded());
    detail::fold_logits(where, queries, packed, temperature, bounded, &columns,
                        [&](std::size_t i, detail::power_sum sum) { rows[i] = sum; });
    mean_value loss;
    for (std::size_t i = 0; i < batch; ++i) {
        const double row = rows[i].ln(), column = columns.at(i).ln();
        across[i] = static_cast<T>(row);
        down[i] = static_cast<T>(column);
        const double own = detail::dot(queries.row(i).data(), keys.row(i).data(), queries.cols()) / t;
        loss.absorb(0.5 * (row + column) - own);
    }
    if (!sums::wants_any(grads)) return loss;

    auto added = grads;
    added.queries = query_side.gradient(grads.queries);
    added.keys = key_side.gradient(grads.keys);
    sums gradient(queries, keys, packed, temperature, detail::own_keys::from(0), added,
                  sums::template window<Policy>());
    detail::map_logits<true>(
        where, queries, packed, temperature, bounded, [&](std::size_t i) { return rows[i].log2(); },
        [&](std::size_t j) { return columns.at(j).log2(); }, gradient);
    query_side.finish(grads.queries);
    key_side.finish(grads.keys);
    return loss;
}

}  // namespace reckon
