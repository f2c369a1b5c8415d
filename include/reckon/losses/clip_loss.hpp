// Symmetric contrastive loss: each query finds its key and each key finds its query.
#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon {

struct clip_loss_options {
    /// > 0. Logits are similarities over this.
    double temperature = 0.07;
    similarity metric = similarity::dot;
};

namespace detail {

// Running log-sum-exp of each column: powers of two relative to `top`.
struct column_sums {
    std::vector<double> top, sum;
    explicit column_sums(std::size_t columns) : top(columns, 0.0), sum(columns, 0.0) {}
};

// Both sums of a block and a chunk whose exponents are moderate.
template <class T, class Isa>
void symmetric_bounded_chunk(const query_block<T, Isa>& q, const packed_keys<T, Isa>& k, std::size_t chunk,
                             chunk_sums& rows, column_sums& columns) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    alignas(64) T lanes[query_block<T, Isa>::most_rows * pack::lanes] = {};
    T down[block::cols];
    sweep_chunk(q, k, chunk, T(-126), [&](block& t, std::size_t i, std::size_t p) {
        T* const sum = lanes + i * block::rows * pack::lanes;
        const bool whole = (i + 1) * block::rows <= q.rows;
        pack low(T(0)), high(T(0));
#pragma GCC unroll 6
        for (std::size_t r = 0; r < block::rows; ++r) {
            const pack a = exp2_moderate(t.at[r][0]), b = exp2_moderate(t.at[r][1]);
            (pack::load(sum + r * pack::lanes) + (a + b)).store(sum + r * pack::lanes);
            // Rows of the padding must not count in a column.
            if (whole || i * block::rows + r < q.rows) {
                low += a;
                high += b;
            }
        }
        if (i > 0) {
            low += pack::load(down);
            high += pack::load(down + pack::lanes);
        }
        low.store(down);
        high.store(down + pack::lanes);
        if (i + 1 < q.tiles) return;
        for (std::size_t c = 0; c < block::cols && p * block::cols + c < k.count; ++c) {
            columns.sum[p * block::cols + c] += static_cast<double>(down[c]);
        }
    });
    for (std::size_t r = 0; r < q.rows; ++r) {
        rows.sum[chunk * rows.rows + r] = static_cast<double>(reduce_add(pack::load(lanes + r * pack::lanes)));
    }
}

// The same for exponents of any size; `held` has room for the chunk.
template <class T, class Isa>
void symmetric_wide_chunk(const query_block<T, Isa>& q, const packed_keys<T, Isa>& k, std::size_t chunk, T* held,
                          chunk_sums& rows, column_sums& columns) {
    using block = tile::block<T, Isa>;
    const std::size_t origin = chunk * k.panels_a_chunk;
    wide_chunk_exponents(q, k, chunk, held, origin, rows);
    for (std::size_t p = origin; p < k.chunk_end(chunk); ++p) {
        const T* const exponents = held + (p - origin) * q.padded() * block::cols;
        for (std::size_t c = 0; c < block::cols && p * block::cols + c < k.count; ++c) {
            const std::size_t j = p * block::cols + c;
            double top = static_cast<double>(exponents[c]), sum = 0.0;
            for (std::size_t r = 1; r < q.rows; ++r) {
                top = (std::max)(top, static_cast<double>(exponents[r * block::cols + c]));
            }
            for (std::size_t r = 0; r < q.rows; ++r) {
                sum += std::exp2(static_cast<double>(exponents[r * block::cols + c]) - top);
            }
            if (columns.sum[j] == 0.0 || top > columns.top[j]) {
                columns.sum[j] = columns.sum[j] == 0.0 ? 0.0 : columns.sum[j] * std::exp2(columns.top[j] - top);
                columns.top[j] = top;
            }
            columns.sum[j] += sum * std::exp2(top - columns.top[j]);
        }
    }
    T top[query_block<T, Isa>::most_rows];
    for (std::size_t r = 0; r < q.rows; ++r) top[r] = static_cast<T>(rows.top[chunk * rows.rows + r]);
    wide_chunk_powers(q, k, chunk, top, held, origin, rows);
}

// kept(r, j) = (2^(exponent - row[r]) + 2^(exponent - column[j])) / 2: what the gradients of both directions weigh with.
template <bool Bounded, class T, class Isa>
void symmetric_weights(const query_block<T, Isa>& q, const packed_keys<T, Isa>& k, std::size_t chunk, const T* row,
                       const T* column, T* kept) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    sweep_chunk(q, k, chunk, T(-126), [&](block& t, std::size_t i, std::size_t p) {
        T* const out = kept + (p * q.padded() + i * block::rows) * block::cols;
        const T* const own = row + i * block::rows;
        const pack low = pack::load(column + p * block::cols),
                   high = pack::load(column + p * block::cols + pack::lanes);
#pragma GCC unroll 6
        for (std::size_t r = 0; r < block::rows; ++r) {
            const pack across(own[r]);
            pack a, b;
            if constexpr (Bounded) {
                // Inverse sums instead of logarithms: one power serves both.
                a = exp2_moderate(t.at[r][0]) * (across + low);
                b = exp2_moderate(t.at[r][1]) * (across + high);
            } else {
                a = exp2_any(t.at[r][0] - across) + exp2_any(t.at[r][0] - low);
                b = exp2_any(t.at[r][1] - across) + exp2_any(t.at[r][1] - high);
            }
            a.store(out + r * block::cols);
            b.store(out + r * block::cols + pack::lanes);
        }
    });
}

}  // namespace detail

/// Symmetric in-batch contrastive loss: the mean of the two directions.
///
///   loss = sum_i [ (logsumexp_j(s(q_i, k_j) / t) + logsumexp_j(s(q_j, k_i) / t)) / 2 - s(q_i, k_i) / t ]     nats
///   s: options.metric
///
/// Shapes    query_rows [B, D], key_rows [B, D]: key i belongs to query i. row_lse, column_lse [B]. Float or double, all the same;
///           rows may be strided. Gradients as their inputs, or empty.
/// Writes    row_lse, column_lse; adds grads.scale * d loss / d (queries | keys | temperature) where wanted.
/// Returns   mean_value{sum, B}.
/// Throws    std::invalid_argument on a shape or option out of range. Inputs are not scanned: NaN in, NaN out; logits
///           beyond the range of the type are not finite either.
/// Cost      B B D multiply-adds forward, four times that with both gradients, which need the sums of all columns first.
///           Scratch as info_nce; the cosine and the distance copy both sides, and both gradients.
/// Numerics  lanes of the type, sums of 1024 keys and of 96 queries, double above.
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
    using block = tile::block<T, Isa>;
    using rows_of = detail::query_block<T, Isa>;
    using sums = detail::gradient_sums<T, Isa>;
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
    const auto factor = [&](std::size_t i) { return temperature.exponent_factor(i); };
    const bool wants_rows = sums::wants_rows(grads);
    const detail::packed_keys<T, Isa> packed(keys, wants_rows);
    const bool bounded = detail::moderate(detail::largest_norm(queries), detail::largest_norm(keys), t);
    const std::size_t limit = rows_of::limit(packed.padded());
    constexpr double ln2 = 0.69314718055994530942;

    std::vector<double> row_sums(batch);
    detail::column_sums columns(packed.padded());
    for (std::size_t first = 0; first < batch; first += limit) {
        rows_of q(queries, first, limit, factor);
        detail::chunk_sums rows(packed.chunks(), q.rows);
        exec::for_each_index(where, packed.chunks(), [&](std::size_t c) {
            if (bounded) {
                detail::symmetric_bounded_chunk(q, packed, c, rows, columns);
            } else {
                scratch_array<T> held(q.padded() * packed.panels_a_chunk * block::cols);
                detail::symmetric_wide_chunk(q, packed, c, held.data(), rows, columns);
            }
        });
        detail::merge_chunks(rows, packed.chunks(), q);
        for (std::size_t r = 0; r < q.rows; ++r) row_sums[q.first + r] = q.log_sum(r);
    }
    mean_value loss;
    for (std::size_t i = 0; i < batch; ++i) {
        const double column = columns.top[i] * ln2 + std::log(columns.sum[i]);
        across[i] = static_cast<T>(row_sums[i]);
        down[i] = static_cast<T>(column);
        const double own = detail::dot(queries.row(i).data(), keys.row(i).data(), queries.cols()) / t;
        loss.absorb(0.5 * (row_sums[i] + column) - own);
    }
    if (!sums::wants_any(grads)) return loss;

    // What symmetric_weights() takes per row and column; the padding gets weights of no consequence.
    scratch_array<T> column(packed.padded());
    for (std::size_t j = 0; j < packed.padded(); ++j) {
        const bool real = j < batch;
        if (bounded)
            column[j] = real ? static_cast<T>(0.5 / columns.sum[j]) : T(0);
        else
            column[j] = real ? static_cast<T>(columns.top[j] + std::log2(columns.sum[j])) : T(0);
    }
    auto added = grads;
    added.queries = query_side.gradient(grads.queries);
    added.keys = key_side.gradient(grads.keys);
    sums gradient(queries, keys, packed, temperature, 0, added);
    for (std::size_t first = 0; first < batch; first += limit) {
        rows_of q(queries, first, limit, factor);
        T row[rows_of::most_rows] = {};
        for (std::size_t r = 0; r < q.rows; ++r) {
            row[r] = static_cast<T>(bounded ? 0.5 * std::exp(-row_sums[q.first + r]) : row_sums[q.first + r] / ln2);
        }
        exec::for_each_index(where, packed.chunks(), [&](std::size_t c) {
            if (bounded)
                detail::symmetric_weights<true>(q, packed, c, row, column.data(), gradient.kept());
            else
                detail::symmetric_weights<false>(q, packed, c, row, column.data(), gradient.kept());
        });
        gradient.absorb(where, q, [&](std::size_t) { return bounded ? 1.0 : 0.5; });
    }
    gradient.finish(where);
    query_side.finish(grads.queries);
    key_side.finish(grads.keys);
    return loss;
}

}  // namespace reckon
