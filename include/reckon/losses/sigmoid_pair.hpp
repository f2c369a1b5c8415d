// Pairwise sigmoid loss: every query with every key is a binary question of its own, so that no row needs a sum.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/exec/tile.hpp"
#include "reckon/losses/contrastive_columns.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"
#include "reckon/losses/detail/marked_pairs.hpp"
#include "reckon/losses/detail/softmax_row.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon {

struct sigmoid_pair_options {
    /// > 0. Logits are similarities over this, plus the bias.
    double temperature = 0.1;
    /// Finite. Most pairs are negatives: a bias far below 0 starts out with small losses for them.
    double bias = -10.0;
    similarity metric = similarity::dot;
    /// Key first_positive + i is the own key of query i: a shard of the queries against all keys starts at its first
    /// query.
    std::ptrdiff_t first_positive = 0;
    /// The keys are a shard of all keys: first_positive may be negative, and a query whose own key is not among them
    /// meets the others only.
    bool key_shard = false;
    /// Keys that share the label of a query are further positives; otherwise they are left out.
    bool several_positives = false;
};

namespace detail {

struct sigmoid_sums {
    double loss = 0.0, slope = 0.0;
};

// 2^-|y|, 0 from where float has no such normal number.
template <class V>
RECKON_INLINE V falling_power(V y) noexcept {
    using T = simd::lane_t<V>;
    const V t = V(T(0)) - absolute(y);
    // At -127 the biased exponent is 0, and so is the power.
    if constexpr (sizeof(T) == 4) return exp2_moderate(maximum(V(T(-127)), t));
    return exp2_moderate(t);
}

// (1 + a) (1 + b) - 1, with the relative accuracy of a and b however small they are.
template <class V>
RECKON_INLINE V joined(V a, V b) noexcept {
    return mul_add(a, b, a + b);
}

// Loss of a block and a chunk, and with Slopes the sum of d loss / d logit; these derivatives go into `kept`.
// bias[row]: as an exponent of two, -infinity for rows of the padding.
template <bool Slopes, class T, class Isa>
sigmoid_sums sigmoid_chunk(const query_block<T, Isa>& q, const packed_keys<T, Isa>& k, std::size_t chunk, const T* bias,
                           const marked_pairs<T, Isa>& marks, const kept_panels<T>& kept) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    using mark = typename marked_pairs<T, Isa>::mark;
    constexpr T out_of_it = -std::numeric_limits<T>::infinity();
    constexpr std::size_t tiles_at_once = 8;  // 96 factors of at most 2: their product is far from overflow
    sigmoid_sums sums;
    // softplus(x) = max(x, 0) + log(1 + e^-|x|), and the logarithms of many are one of a product less 1.
    pack product(T(0)), straight(T(0)), slope(T(0));
    sweep_chunk(q, k, chunk, out_of_it, [&](block& t, std::size_t i, std::size_t p) {
#pragma GCC unroll 6
        for (std::size_t r = 0; r < block::rows; ++r) {
            const pack b(bias[i * block::rows + r]);
            t.at[r][0] += b;
            t.at[r][1] += b;
        }
        const bool marked = marks.any_of(i, p);
        if (marked) {
            T held[block::rows * block::cols];
            t.store(held, block::cols);
            marks.for_each(i, p, [&](const mark& m) { held[m.at] = m.positive ? -held[m.at] : out_of_it; });
            t.load(held, block::cols);
        }
        T* const out = Slopes ? kept[p] + i * block::rows * block::cols : nullptr;
        pack pairs[block::rows / 2];
#pragma GCC unroll 6
        for (std::size_t r = 0; r < block::rows; ++r) {
            const pack y0 = t.at[r][0], y1 = t.at[r][1];
            const pack a = falling_power(y0), b = falling_power(y1);
            const pack both = joined(a, b);
            pairs[r / 2] = r % 2 == 0 ? both : joined(pairs[r / 2], both);
            straight += maximum(pack(T(0)), y0) + maximum(pack(T(0)), y1);
            if constexpr (Slopes) {
                const pack zero(T(0)), one(T(1));
                const pack s0 = select(y0 < zero, a, one) / (one + a), s1 = select(y1 < zero, b, one) / (one + b);
                s0.store(out + r * block::cols);
                s1.store(out + r * block::cols + pack::lanes);
                slope += s0 + s1;
            }
        }
        product = joined(product, joined(joined(pairs[0], pairs[1]), pairs[2]));
        if constexpr (Slopes) {
            if (marked) {
                marks.for_each(i, p, [&](const mark& m) {
                    if (!m.positive) return;
                    out[m.at] = -out[m.at];
                    sums.slope += 2.0 * static_cast<double>(out[m.at]);
                });
            }
        }
        if ((i + 1) % tiles_at_once != 0 && i + 1 < q.tiles) return;
        const pack loss = mul_add(straight, pack(T(0.69314718055994530942)), math::log1p(product));
        sums.loss += static_cast<double>(reduce_add(loss));
        product = straight = pack(T(0));
        if constexpr (Slopes) {
            sums.slope += static_cast<double>(reduce_add(slope));
            slope = pack(T(0));
        }
    });
    return sums;
}

}  // namespace detail

/// Pairwise sigmoid loss (SigLIP): each pair of a query and a key is classified on its own, as belonging together or
/// not.
///
///   loss = sum_ij softplus(-z_ij (s(q_i, k_j) / t_i + b))      nats
///   z: 1 for the own key and other positives, -1 for the rest; s: options.metric, b: options.bias
///
/// Shapes    query_rows [B, D], key_rows [N, D]: key first_positive + i is the own key of query i, N >= first_positive
///           + B unless the keys are a shard. Float or double, all the same; rows may be strided. Gradients as their
///           inputs, or empty.
/// Columns   temperatures of rows; positives in any order; labels: keys that share the label of a query are positives
///           too, or left out (options.several_positives). Queries need labels of their own if the keys are a shard.
/// Writes    adds grads.scale * d loss / d (queries | keys | temperature | bias) where wanted.
/// Returns   mean_value{sum, number of queries whose own key is among the keys}: B for all keys, so that the mean is
///           that of the paper. Merges over shards of the queries, over shards of the keys, and over both.
/// Throws    std::invalid_argument on a shape or option out of range, a temperature of a row included. Other inputs are
///           not scanned: NaN in, NaN out; logits beyond the range of the type are not finite either.
/// Cost      B N D multiply-adds forward, three times that with both gradients, and one power a pair. Scratch as
///           clip_loss.
/// Numerics  lanes of the type, one logarithm for up to 96 pairs a lane with the relative accuracy of each, double
///           above: losses that are tiny next to 1 keep their digits, on both sides.
/// Source    Zhai, Mustafa, Kolesnikov and Beyer 2023, algorithm 1; logits there are t' s + b with t' = 1 / t.
template <exec::policy Policy, matrix_like Q, matrix_like K, class Isa = isa::native>
mean_value sigmoid_pair(const Policy& where, const Q& query_rows, const K& key_rows,
                        const sigmoid_pair_options& options = {},
                        const contrastive_gradients<typename decltype(input(query_rows))::value_type>& grads = {},
                        const contrastive_columns<typename decltype(input(query_rows))::value_type>& columns = {}) {
    const auto query_view = input(query_rows);
    const auto key_view = input(key_rows);
    using T = typename decltype(query_view)::value_type;
    static_assert(std::is_same_v<T, typename decltype(key_view)::value_type>,
                  "reckon: queries and keys of sigmoid_pair must have the same type");
    using rows_of = detail::query_block<T, Isa>;
    using sums_of = detail::gradient_sums<T, Isa>;
    using marks_of = detail::marked_pairs<T, Isa>;
    exec::detail::require_host_policy<Policy>();
    const std::size_t batch = query_view.rows(), count = key_view.rows();
    const detail::row_temperatures<T> t{options.temperature, columns.temperatures};
    auto added = grads;
    added.bias = nullptr;
    detail::expect_contrastive("sigmoid_pair", query_view, key_view, t, added);
    detail::expect_columns("sigmoid_pair", batch, count, columns);
    expects(std::isfinite(options.bias), "sigmoid_pair", "bias must be finite, got ", options.bias);
    const auto room = static_cast<std::ptrdiff_t>(count) - options.first_positive;
    expects(!columns.positives.empty() || options.key_shard ||
                (options.first_positive >= 0 && room >= static_cast<std::ptrdiff_t>(batch)),
            "sigmoid_pair", batch, " queries whose own keys start at ", options.first_positive, ", but ", count,
            " keys");
    expects(!options.key_shard || columns.key_labels.empty() || !columns.query_labels.empty(), "sigmoid_pair",
            "labels of a shard of the keys, but none of the queries");
    if (batch == 0) return {};
    // `count` if the own key is not here.
    const auto own = [&](std::size_t i) {
        if (!columns.positives.empty()) return static_cast<std::size_t>(columns.positives[i]);
        const std::ptrdiff_t j = options.first_positive + static_cast<std::ptrdiff_t>(i);
        return j < 0 || j >= static_cast<std::ptrdiff_t>(count) ? count : static_cast<std::size_t>(j);
    };

    using alike = detail::similarity_rows<T>;
    alike query_side(options.metric, alike::side::query, query_view),
        key_side(options.metric, alike::side::key, key_view);
    const matrix_view<const T> queries = query_side.rows(), keys = key_side.rows();
    added.queries = query_side.gradient(grads.queries);
    added.keys = key_side.gradient(grads.keys);
    const detail::labelled_keys labels(columns.key_labels);
    const detail::packed_keys<T, Isa> packed(keys, sums_of::wants_rows(added));
    constexpr std::size_t limit = rows_of::most_rows;
    const auto factor = [&](std::size_t i) { return t.exponent_factor(i); };
    const auto mark = [&](const rows_of& q) {
        return marks_of(q.tiles, packed.panels, [&](auto&& put) {
            for (std::size_t r = 0; r < q.rows; ++r) {
                const std::size_t i = q.first + r, mine = own(i);
                if (mine < count) put(r, mine, true);
                if (labels.empty()) continue;
                const std::uint64_t label =
                    columns.query_labels.empty() ? columns.key_labels[mine] : columns.query_labels[i];
                labels.for_each(label, [&](std::size_t j) {
                    if (j != mine) put(r, j, options.several_positives);
                });
            }
        });
    };
    // each(sum) calls sum(chunk, kept) for every chunk of the block; they add up in their order.
    const auto block_of = [&]<bool Slopes>(const rows_of& q, std::bool_constant<Slopes>, auto&& each) {
        T bias[rows_of::most_rows];
        for (std::size_t r = 0; r < q.padded(); ++r) {
            bias[r] =
                r < q.rows ? static_cast<T>(options.bias * 1.4426950408889634074) : -std::numeric_limits<T>::infinity();
        }
        const marks_of marks = mark(q);
        std::vector<detail::sigmoid_sums> parts(packed.chunks());
        each([&](std::size_t c, const detail::kept_panels<T>& kept) {
            parts[c] = detail::sigmoid_chunk<Slopes>(q, packed, c, bias, marks, kept);
        });
        detail::sigmoid_sums sums;
        for (const auto& part : parts) {
            sums.loss += part.loss;
            sums.slope += part.slope;
        }
        return sums;
    };

    std::vector<detail::sigmoid_sums> blocks(tile::panel_count(batch, limit));
    if (sums_of::wants_any(added) || grads.bias != nullptr) {
        sums_of gradient(queries, keys, packed, t, detail::own_keys{}, added, sums_of::template window<Policy>());
        for (std::size_t b = 0; b < blocks.size(); ++b) {
            const rows_of q(queries, b * limit, limit, factor);
            blocks[b] = block_of(q, std::true_type{}, [&](auto&& put) { gradient.absorb_chunks(where, q, 1.0, put); });
        }
        gradient.finish(where);
    } else {
        exec::for_each_index(where, blocks.size(), [&](std::size_t b) {
            blocks[b] = block_of(rows_of(queries, b * limit, limit, factor), std::false_type{}, [&](auto&& put) {
                for (std::size_t c = 0; c < packed.chunks(); ++c) put(c, {});
            });
        });
    }
    query_side.finish(grads.queries);
    key_side.finish(grads.keys);
    compensated_sum loss, slope;
    for (const auto& block : blocks) {
        loss.absorb(block.loss);
        slope.absorb(block.slope);
    }
    if (grads.bias != nullptr) *grads.bias += grads.scale * slope.value();
    std::size_t here = 0;
    for (std::size_t i = 0; i < batch; ++i) here += own(i) < count ? 1u : 0u;
    return mean_value(loss.value(), static_cast<double>(here));
}

}  // namespace reckon
