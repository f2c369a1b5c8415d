// Both halves of a softmax loss on a block of logits: the sums of its rows and columns, and the gradients once those of
// the whole are known. The block may be everything (clip_loss) or what one machine sees (contrastive_sums).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/exec/tile.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"
#include "reckon/losses/detail/logit_rows.simd.hpp"

namespace reckon::detail {

// Running log-sum-exp of each column: powers of two relative to `top`.
struct column_sums {
    std::vector<double> top, sum;
    explicit column_sums(std::size_t columns) : top(columns, 0.0), sum(columns, 0.0) {}
    power_sum at(std::size_t j) const noexcept { return {top[j], sum[j]}; }
};

// Both sums of a block and a chunk whose exponents are moderate.
template <class T, class Isa>
void symmetric_bounded_chunk(const query_block<T, Isa>& q, const packed_keys<T, Isa>& k, std::size_t chunk,
                             chunk_sums& rows, column_sums& columns) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    alignas(64) T lanes[query_block<T, Isa>::most_rows * pack::lanes] = {};
    T down[block::cols];
    sweep_chunk(q, k, chunk, vanishing_exponent<T>(), [&](block& t, std::size_t i, std::size_t p) {
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
void symmetric_wide_chunk(const query_block<T, Isa>& q, const packed_keys<T, Isa>& k, std::size_t chunk,
                          const kept_panels<T>& held, chunk_sums& rows, column_sums& columns) {
    using block = tile::block<T, Isa>;
    wide_chunk_exponents(q, k, chunk, held, rows);
    for (std::size_t p = held.origin; p < k.chunk_end(chunk); ++p) {
        const T* const exponents = held[p];
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
    wide_chunk_powers(q, k, chunk, top, held, rows);
}

// Sums of all rows of a block, finish(i, power_sum over the keys), and those of its columns if they are wanted.
template <class T, class Isa, class Policy, class Finish>
void fold_logits(const Policy& where, matrix_view<const T> queries, const packed_keys<T, Isa>& packed,
                 const row_temperatures<T>& t, bool bounded, column_sums* columns, Finish&& finish) {
    using rows_of = query_block<T, Isa>;
    using block = tile::block<T, Isa>;
    constexpr std::size_t limit = rows_of::most_rows;
    const auto factor = [&](std::size_t i) { return t.exponent_factor(i); };
    const auto finish_block = [&](const rows_of& q) {
        for (std::size_t r = 0; r < q.rows; ++r) finish(q.first + r, power_sum{q.top[r], q.sum[r]});
    };
    if (columns == nullptr) {
        exec::for_each_index(where, tile::panel_count(queries.rows(), limit), [&](std::size_t b) {
            rows_of q(queries, b * limit, limit, factor);
            softmax_block<false>(exec::serial, q, packed, bounded, kept_panels<T>{});
            finish_block(q);
        });
        return;
    }
    for (std::size_t first = 0; first < queries.rows(); first += limit) {
        rows_of q(queries, first, limit, factor);
        chunk_sums rows(packed.chunks(), q.rows);
        exec::for_each_index(where, packed.chunks(), [&](std::size_t c) {
            if (bounded) {
                symmetric_bounded_chunk(q, packed, c, rows, *columns);
            } else {
                const std::size_t size = q.padded() * block::cols;
                scratch_array<T> held(size * packed.panels_a_chunk);
                symmetric_wide_chunk(q, packed, c, {held.data(), c * packed.panels_a_chunk, size}, rows, *columns);
            }
        });
        merge_chunks(rows, packed.chunks(), q);
        finish_block(q);
    }
}

// kept(r, j) = 2^(exponent - row[r]), and with Columns half of that and half of 2^(exponent - column[j]): what the
// gradients weigh with. Bounded: `row` and `column` are factors, the halves in them.
template <bool Bounded, bool Columns, class T, class Isa>
void known_weights(const query_block<T, Isa>& q, const packed_keys<T, Isa>& k, std::size_t chunk, const T* row,
                   const T* column, const kept_panels<T>& kept) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    sweep_chunk(q, k, chunk, vanishing_exponent<T>(), [&](block& t, std::size_t i, std::size_t p) {
        T* const out = kept[p] + i * block::rows * block::cols;
        const T* const own = row + i * block::rows;
        pack low(T(0)), high(T(0));
        if constexpr (Columns) {
            low = pack::load(column + p * block::cols);
            high = pack::load(column + p * block::cols + pack::lanes);
        }
#pragma GCC unroll 6
        for (std::size_t r = 0; r < block::rows; ++r) {
            const pack across(own[r]);
            pack a, b;
            if constexpr (Bounded) {
                // Inverse sums instead of logarithms: one power serves both.
                a = exp2_moderate(t.at[r][0]) * (Columns ? across + low : across);
                b = exp2_moderate(t.at[r][1]) * (Columns ? across + high : across);
            } else {
                a = exp2_any(t.at[r][0] - across);
                b = exp2_any(t.at[r][1] - across);
                if constexpr (Columns) {
                    a += exp2_any(t.at[r][0] - low);
                    b += exp2_any(t.at[r][1] - high);
                }
            }
            a.store(out + r * block::cols);
            b.store(out + r * block::cols + pack::lanes);
        }
    });
}

// Gradients of a block of logits from the log-sum-exps of the whole rows and, with Columns, columns: of_row(i) and
// of_column(j), base 2.
template <bool Columns, class T, class Isa, class Policy, class Rows, class ColumnsOf>
void map_logits(const Policy& where, matrix_view<const T> queries, const packed_keys<T, Isa>& packed,
                const row_temperatures<T>& t, bool bounded, Rows&& of_row, ColumnsOf&& of_column,
                gradient_sums<T, Isa>& gradient) {
    using rows_of = query_block<T, Isa>;
    constexpr double half = Columns ? 0.5 : 1.0;
    const auto known = [&](double log2) { return static_cast<T>(bounded ? half * std::exp2(-log2) : log2); };
    // The padding gets weights of no consequence.
    scratch_array<T> column(Columns ? packed.padded() : 0);
    for (std::size_t j = 0; j < column.size(); ++j) column[j] = j < packed.count ? known(of_column(j)) : T(0);
    for (std::size_t first = 0; first < queries.rows(); first += gradient.rows()) {
        const rows_of q(queries, first, gradient.rows(), [&](std::size_t i) { return t.exponent_factor(i); });
        T row[rows_of::most_rows] = {};
        for (std::size_t r = 0; r < q.rows; ++r) row[r] = known(of_row(first + r));
        gradient.absorb_chunks(where, q, bounded ? 1.0 : half, [&](std::size_t c, const kept_panels<T>& kept) {
            if (bounded)
                known_weights<true, Columns>(q, packed, c, row, column.data(), kept);
            else
                known_weights<false, Columns>(q, packed, c, row, column.data(), kept);
        });
    }
    gradient.finish(where);
}

}  // namespace reckon::detail
