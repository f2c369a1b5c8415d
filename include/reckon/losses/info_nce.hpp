// In-batch softmax contrastive loss, with both gradients and without the matrix of logits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/contrastive_columns.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"
#include "reckon/losses/detail/logit_rows.hpp"
#include "reckon/losses/detail/softmax_row.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon {

struct info_nce_options {
    /// > 0. Logits are similarities over this.
    double temperature = 0.05;
    similarity metric = similarity::dot;
    /// Key first_positive + i is the positive of query i: a shard of the queries against all keys starts at its first query.
    std::size_t first_positive = 0;
    /// >= 0. Negatives weigh e^(hardness * logit), on average 1: the harder ones count for more.
    double hardness = 0.0;
};

namespace detail {

// Plain softmax: powers and their sums in registers, 1 / sum as a factor of the row.
template <class T, class Isa, class Policy, class Finish>
void plain_info_nce(const Policy& where, matrix_view<const T> queries, matrix_view<const T> keys,
                    const row_temperatures<T>& t, std::size_t first_positive, const contrastive_gradients<T>& grads,
                    Finish&& finish) {
    using rows_of = query_block<T, Isa>;
    using sums = gradient_sums<T, Isa>;
    const packed_keys<T, Isa> packed(keys, sums::wants_rows(grads));
    const bool bounded = moderate(largest_norm(queries), largest_norm(keys), t.least());
    const std::size_t limit = rows_of::limit(packed.padded());
    const auto factor = [&](std::size_t i) { return t.exponent_factor(i); };
    const auto finish_block = [&](const rows_of& q) {
        for (std::size_t r = 0; r < q.rows; ++r) finish(q.first + r, q.log_sum(r));
    };
    if (!sums::wants_any(grads)) {
        exec::for_each_index(where, tile::panel_count(queries.rows(), limit), [&](std::size_t b) {
            rows_of q(queries, b * limit, limit, factor);
            softmax_block<false>(exec::serial, q, packed, bounded, static_cast<T*>(nullptr));
            finish_block(q);
        });
        return;
    }
    sums gradient(queries, keys, packed, t, first_positive, grads);
    for (std::size_t first = 0; first < queries.rows(); first += limit) {
        rows_of q(queries, first, limit, factor);
        softmax_block<true>(where, q, packed, bounded, gradient.kept());
        finish_block(q);
        gradient.absorb(where, q, [&](std::size_t r) { return 1.0 / q.sum[r]; });
    }
    gradient.finish(where);
}

}  // namespace detail

/// In-batch softmax contrastive loss: pull each query to its own key, push it from the others.
///
///   loss = sum_i [ logsumexp_j(s(q_i, k_j) / t_i) - s(q_i, k_own) / t_i ]      natural log, nats; s: options.metric
///
/// Shapes    query_rows [B, D], key_rows [N, D], N >= first_positive + B: key first_positive + i is the positive of query i, all
///           others are its negatives. row_lse [B]. Float or double, all the same; rows may be strided. Gradients as
///           their inputs, or empty.
/// Columns   temperatures of rows; labels, whose matches are left out of the negatives.
/// Hardness  b > 0 replaces the sum over the m negatives by m sum_j e^((1+b) l_j) / sum_j e^(b l_j), l the logits; gradients go
///           through the weights too.
/// Writes    row_lse: log of the powers of the own key and of what the negatives count; adds grads.scale * d loss / d (queries |
///           keys | temperature) where wanted.
/// Returns   mean_value{sum, B}; merges over shards of queries that see the same keys.
/// Throws    std::invalid_argument on a shape or option out of range, a temperature of a row included. Other inputs are not
///           scanned: NaN in, NaN out; logits beyond the range of the type are not finite either.
/// Cost      B N D multiply-adds forward, three times that with both gradients. Scratch: the keys packed, once for the
///           loss and twice for gradients, one more N x D for theirs, and 96 rows of N (48 or 24 from 34,000 or 68,000 floats on);
///           never B x N. The cosine and the distance copy both sides, and both gradients.
/// Numerics  lanes of the type, sums of 1024 keys, double above. Distances are |q|^2 - 2 q . k + |k|^2 in the type.
/// Source    van den Oord, Li and Vinyals 2018, equation 4; rows are streamed as in Milakov and Gimelshein 2018. Weights after
///           Robinson et al. 2021, without their correction for false negatives.
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
    exec::detail::require_host_policy<Policy>();
    const std::size_t batch = query_view.rows(), first = options.first_positive;
    const detail::row_temperatures<T> t{options.temperature, columns.temperatures};
    detail::expect_contrastive("info_nce", query_view, key_view, t, grads);
    detail::expect_columns("info_nce", batch, key_view.rows(), columns);
    expects(first <= key_view.rows() && batch <= key_view.rows() - first, "info_nce", batch, " queries but only ",
            key_view.rows() - (std::min)(first, key_view.rows()), " keys");
    expects(lse_of.size() == batch, "info_nce", batch, " queries but room for ", lse_of.size(), " sums");
    expects(options.hardness >= 0.0 && std::isfinite(options.hardness), "info_nce",
            "hardness must be finite and not negative, got ", options.hardness);
    if (batch == 0) return {};

    using alike = detail::similarity_rows<T>;
    alike query_side(options.metric, alike::side::query, query_view),
        key_side(options.metric, alike::side::key, key_view);
    const matrix_view<const T> queries = query_side.rows(), keys = key_side.rows();
    auto added = grads;
    added.queries = query_side.gradient(grads.queries);
    added.keys = key_side.gradient(grads.keys);
    const auto own_logit = [&](std::size_t i) {
        return detail::dot(queries.row(i).data(), keys.row(first + i).data(), queries.cols()) / t(i);
    };
    scratch_array<double> losses(batch);
    if (options.hardness == 0.0 && columns.key_labels.empty()) {
        detail::plain_info_nce<T, Isa>(where, queries, keys, t, first, added, [&](std::size_t i, double lse) {
            lse_of[i] = static_cast<T>(lse);
            losses[i] = lse - own_logit(i);
        });
    } else {
        const detail::labelled_keys labels(columns.key_labels);
        const bool weights = detail::gradient_sums<T, Isa>::wants_any(grads);
        detail::for_each_logit_row<T, Isa>(where, queries, keys, t, added, [&](std::size_t i, const auto& row) {
            if (!labels.empty()) {
                const std::uint64_t own = columns.key_labels[first + i];
                detail::leave_out(row, labels, columns.query_labels.empty() ? own : columns.query_labels[i], first + i);
            }
            const auto term = detail::softmax_row(row, first + i, own_logit(i), options.hardness, weights);
            lse_of[i] = static_cast<T>(term.lse);
            losses[i] = term.loss;
        });
    }
    query_side.finish(grads.queries);
    key_side.finish(grads.keys);
    mean_value loss;
    for (std::size_t i = 0; i < batch; ++i) loss.absorb(losses[i]);
    return loss;
}

}  // namespace reckon
