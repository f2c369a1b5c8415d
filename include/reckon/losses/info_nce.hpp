// In-batch softmax contrastive loss, with both gradients and without the matrix of logits.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/logit_rows.simd.hpp"

namespace reckon {

struct info_nce_options {
    /// > 0. Logits are dot products over this.
    double temperature = 0.05;
};

/// Where the gradients of a contrastive loss are added; an empty view is not wanted.
template <class T>
struct contrastive_gradients {
    matrix_view<T> queries = {};
    matrix_view<T> keys = {};
    /// d loss / d temperature, when not null.
    double* temperature = nullptr;
    /// Factor of everything that is added.
    double scale = 1.0;
};

namespace detail {

template <class T>
double largest_norm(matrix_view<const T> rows) noexcept {
    double largest = 0.0;
    for (std::size_t i = 0; i < rows.rows(); ++i) {
        double square = 0.0;
        for (const T x : rows.row(i)) square += static_cast<double>(x) * static_cast<double>(x);
        largest = square > largest || square != square ? square : largest;
    }
    return std::sqrt(largest);
}

template <class T>
double dot(vector_view<const T> a, vector_view<const T> b) noexcept {
    double sum[4] = {};
    std::size_t k = 0;
    for (; k + 4 <= a.size(); k += 4) {
        for (std::size_t l = 0; l < 4; ++l) sum[l] += static_cast<double>(a[k + l]) * static_cast<double>(b[k + l]);
    }
    for (; k < a.size(); ++k) sum[0] += static_cast<double>(a[k]) * static_cast<double>(b[k]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

// Up to this many nats powers of e and their sums over 2^32 keys stay well inside the range of float.
inline constexpr double moderate_logit = 60.0;

}  // namespace detail

/// In-batch softmax contrastive loss: pull each query to its own key, push it from the others.
///
///   loss = sum_i [ logsumexp_j(q_i . k_j / t) - q_i . k_i / t ]        natural log, nats
///
/// Shapes    queries [B, D], keys [N, D], N >= B: key i is the positive of query i, keys from B on are extra negatives.
///           row_lse [B]. Float or double, all the same; rows may be strided. Gradients as their inputs, or empty.
/// Writes    row_lse; adds grads.scale * d loss / d (queries | keys | temperature) where wanted.
/// Returns   mean_value{sum, B}; merges over shards of queries that see the same keys.
/// Throws    std::invalid_argument on a shape or option out of range. Inputs are not scanned: NaN in, NaN out; logits
///           beyond the range of the type are not finite either.
/// Cost      B N D multiply-adds forward, three times that with both gradients. Scratch: the keys packed, once for the
///           loss and twice for gradients, one more N x D for theirs, and 96 rows of N; never B x N.
/// Numerics  lanes of the type, sums of 1024 keys, double above.
/// Source    van den Oord, Li and Vinyals 2018, equation 4; rows are streamed as in Milakov and Gimelshein 2018.
template <exec::policy Policy, class T, class Isa = isa::native>
mean_value info_nce(const Policy& where, matrix_view<const T> queries, matrix_view<const T> keys,
                    vector_view<T> row_lse, const info_nce_options& options = {},
                    const contrastive_gradients<T>& grads = {}) {
    using block = tile::block<T, Isa>;
    using rows_of = detail::query_block<T, Isa>;
    exec::detail::require_host_policy<Policy>();
    const char* const name = "info_nce";
    const std::size_t batch = queries.rows(), depth = queries.cols();
    const double t = options.temperature;
    expects(t > 0.0 && std::isfinite(t), name, "temperature must be positive and finite, got ", t);
    expects(keys.cols() == depth, name, "queries have ", depth, " columns, keys ", keys.cols());
    expects(keys.rows() >= batch, name, batch, " queries but only ", keys.rows(), " keys");
    expects(row_lse.size() == batch, name, batch, " queries but room for ", row_lse.size(), " sums");
    const auto fits = [&](const matrix_view<T>& g, std::size_t rows, const char* which) {
        expects(g.empty() || (g.rows() == rows && g.cols() == depth), name, "the gradient of ", which, " is ", g.rows(),
                " x ", g.cols(), ", not ", rows, " x ", depth);
    };
    fits(grads.queries, batch, "queries");
    fits(grads.keys, keys.rows(), "keys");
    if (batch == 0) return {};

    const bool wants_keys = !grads.keys.empty();
    const bool wants_rows = !grads.queries.empty() || grads.temperature != nullptr;
    const detail::packed_keys<T, Isa> packed(keys, wants_rows);
    const bool bounded = detail::largest_norm(queries) * detail::largest_norm(keys) / t <= detail::moderate_logit;
    constexpr double ln2 = 0.69314718055994530942;
    const std::size_t blocks = tile::panel_count(batch, rows_of::most_rows);

    mean_value loss;
    const auto finish = [&](const rows_of& q, double* losses) {
        for (std::size_t r = 0; r < q.rows; ++r) {
            const double lse = q.top[r] * ln2 + std::log(q.sum[r]);
            row_lse[q.first + r] = static_cast<T>(lse);
            losses[q.first + r] = lse - detail::dot(queries.row(q.first + r), keys.row(q.first + r)) / t;
        }
    };
    scratch_array<double> losses(batch);
    if (!wants_keys && !wants_rows) {
        exec::for_each_index(where, blocks, [&](std::size_t b) {
            rows_of q(queries, b * rows_of::most_rows, t);
            detail::softmax_block<false>(exec::serial, q, packed, bounded, static_cast<T*>(nullptr));
            finish(q, losses.data());
        });
        for (std::size_t i = 0; i < batch; ++i) loss.absorb(losses[i]);
        return loss;
    }

    const std::size_t tiles = tile::panel_count((std::min)(batch, rows_of::most_rows), block::rows);
    scratch_array<T> kept(packed.padded() * tiles * block::rows);
    const std::size_t stride = packed.column_panels() * block::cols;
    scratch_array<T> raw(wants_rows ? tiles * block::rows * stride : 0);
    // Columns of the queries as the left side: whole tiles of them.
    const std::size_t columns = tile::panel_count(depth, block::rows) * block::rows;
    scratch_array<T> left(wants_keys ? columns * tiles * block::rows : 0);
    scratch_array<T> key_sums(wants_keys ? packed.panels * columns * block::cols : 0);
    std::fill(key_sums.data(), key_sums.data() + key_sums.size(), T(0));
    compensated_sum warmth;
    for (std::size_t b = 0; b < blocks; ++b) {
        rows_of q(queries, b * rows_of::most_rows, t);
        detail::softmax_block<true>(where, q, packed, bounded, kept.data());
        finish(q, losses.data());
        if (wants_rows) {
            constexpr std::size_t group = std::is_same_v<Policy, exec::serial_policy> ? 16 : 4;
            exec::for_each_index(where, tile::panel_count(q.tiles, group), [&](std::size_t g) {
                detail::weighted_keys(q, packed, kept.data(), g * group, (std::min)((g + 1) * group, q.tiles),
                                      raw.data());
            });
            for (std::size_t r = 0; r < q.rows; ++r) {
                const std::size_t i = q.first + r;
                const T* const mean = raw.data() + r * stride;
                const double inverse = 1.0 / q.sum[r];
                if (grads.temperature != nullptr) {
                    double expected = 0.0;
                    for (std::size_t d = 0; d < depth; ++d) {
                        expected += static_cast<double>(queries(i, d)) * static_cast<double>(mean[d]);
                    }
                    warmth.absorb((detail::dot(queries.row(i), keys.row(i)) - expected * inverse) / (t * t));
                }
                if (grads.queries.empty()) continue;
                const T share = static_cast<T>(inverse * grads.scale / t), own = static_cast<T>(grads.scale / t);
                const T* const key = keys.data() + i * keys.stride();
                T* const out = grads.queries.data() + i * grads.queries.stride();
                for (std::size_t d = 0; d < depth; ++d) out[d] += share * mean[d] - own * key[d];
            }
        }
        if (wants_keys) {
            tile::pack_columns<block::rows>(
                queries.slice(q.first, q.rows), q.padded(), left.data(),
                [&](std::size_t r) { return static_cast<T>(grads.scale / (t * q.sum[r])); });
            exec::for_each_index(where, packed.chunks(), [&](std::size_t c) {
                for (std::size_t p = c * packed.panels_a_chunk; p < packed.chunk_end(c); ++p) {
                    detail::weighted_queries(q, left.data(), kept.data(), p, columns, key_sums.data());
                }
            });
        }
    }
    if (wants_keys) {
        const T own = static_cast<T>(grads.scale / t);
        exec::for_each_index(where, packed.panels, [&](std::size_t p) {
            for (std::size_t c = 0; c < block::cols && p * block::cols + c < keys.rows(); ++c) {
                const std::size_t j = p * block::cols + c;
                T* const out = grads.keys.data() + j * grads.keys.stride();
                const T* const sums = key_sums.data() + p * columns * block::cols + c;
                for (std::size_t d = 0; d < depth; ++d) out[d] += sums[d * block::cols];
                if (j >= batch) continue;
                const T* const query = queries.data() + j * queries.stride();
                for (std::size_t d = 0; d < depth; ++d) out[d] -= own * query[d];
            }
        });
    }
    for (std::size_t i = 0; i < batch; ++i) loss.absorb(losses[i]);
    if (grads.temperature != nullptr) *grads.temperature += grads.scale * warmth.value();
    return loss;
}

}  // namespace reckon
