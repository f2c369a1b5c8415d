// Gradients of losses whose derivative by the logit of query i and key j is a weight w_ij, less 1 for the own key if
// the loss has it so.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/exec/tile.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/derivatives.hpp"
#include "reckon/losses/detail/logit_rows.simd.hpp"
#include "reckon/losses/detail/similarity_rows.hpp"

namespace reckon::detail {

// Shapes and options that all of these losses check.
template <class T>
void expect_contrastive(const char* name, matrix_view<const T> queries, matrix_view<const T> keys,
                        const row_temperatures<T>& t, const contrastive_gradients<T>& grads) {
    const auto positive = [&](double x) {
        expects(x > 0.0 && std::isfinite(x), name, "temperature must be positive and finite, got ", x);
    };
    if (t.each.empty()) {
        positive(t.all);
    } else {
        expects(t.each.size() == queries.rows(), name, queries.rows(), " queries but ", t.each.size(), " temperatures");
        for (const T x : t.each) positive(static_cast<double>(x));
    }
    expects(keys.cols() == queries.cols(), name, "queries have ", queries.cols(), " columns, keys ", keys.cols());
    expect_gradient_shape(name, "queries", grads.queries, queries);
    expect_gradient_shape(name, "keys", grads.keys, keys);
    expects(grads.temperatures.empty() || grads.temperatures.size() == queries.rows(), name, queries.rows(),
            " queries but room for the gradients of ", grads.temperatures.size(), " temperatures");
    expects(grads.bias == nullptr, name, "there is no bias, so no gradient of one");
}

template <class T>
double largest_norm(matrix_view<const T> rows) noexcept {
    double largest = 0.0;
    for (std::size_t i = 0; i < rows.rows(); ++i) {
        const T* const x = rows.data() + i * rows.stride();
        const double square = dot(x, x, rows.cols());
        if (square != square) return square;
        if (square > largest) largest = square;
    }
    return std::sqrt(largest);
}

// The key that is a query's own, where w_ij does not hold everything.
struct own_keys {
    static constexpr std::size_t missing = static_cast<std::size_t>(-1);

    bool any = false;
    std::size_t first = 0;  // key first + i, modulo 2^64: a shard of the keys may begin behind the own key of query 0
    vector_view<const std::uint32_t> each = {};  // or one for each query

    static own_keys from(std::size_t first) noexcept { return {true, first, {}}; }
    static own_keys of(std::size_t first, vector_view<const std::uint32_t> each) noexcept {
        return {true, first, each};
    }
    // `missing` if it is not one of so many keys.
    std::size_t operator()(std::size_t i, std::size_t keys) const noexcept {
        const std::size_t j = each.empty() ? first + i : static_cast<std::size_t>(each[i]);
        return any && j < keys ? j : missing;
    }
};

// d loss / d queries_i = (sum_j w_ij key_j - key_own) / t_i, d loss / d keys_j = sum_i w_ij query_i / t_i - the sum of
// query_i / t_i over the queries whose own key j is; block by block of queries. A block is rows_of::limit()
// queries whose weights are kept for all keys, or most_rows queries with those of a window of chunks of keys.
template <class T, class Isa>
class gradient_sums {
    using block = tile::block<T, Isa>;
    using rows_of = query_block<T, Isa>;

  public:
    // `window`: chunks whose weights are kept, see window() and whole.
    gradient_sums(matrix_view<const T> queries, matrix_view<const T> keys, const packed_keys<T, Isa>& packed,
                  const row_temperatures<T>& temperature, const own_keys& own, const contrastive_gradients<T>& grads,
                  std::size_t window)
        : queries_(queries),
          keys_(keys),
          packed_(packed),
          temperature_(temperature),
          own_(own),
          grads_(grads),
          rows_(window == whole ? rows_of::limit(packed.padded()) : rows_of::most_rows),
          held_((std::min)(window, packed.chunks())),
          tiles_(tile::panel_count((std::min)(queries.rows(), rows_), block::rows)),
          stride_(packed.column_panels() * block::cols),
          columns_(tile::panel_count(keys.cols(), block::rows) * block::rows),
          kept_((std::min)(held_ * packed.panels_a_chunk, packed.panels) * block::cols * tiles_ * block::rows),
          row_sums_(wants_rows() ? tiles_ * block::rows * stride_ : 0),
          left_(wants_keys() ? columns_ * tiles_ * block::rows : 0),
          key_sums_(wants_keys() ? packed.padded() * keys.cols() : 0) {
        std::fill(key_sums_.data(), key_sums_.data() + key_sums_.size(), T(0));
    }
    static bool wants_rows(const contrastive_gradients<T>& grads) noexcept {
        return !grads.queries.empty() || grads.temperature != nullptr || !grads.temperatures.empty();
    }
    static bool wants_any(const contrastive_gradients<T>& grads) noexcept {
        return wants_rows(grads) || !grads.keys.empty();
    }
    // Chunks that are worked on together: for one thread few enough that their weights stay in the second-level cache,
    // for several enough between two barriers.
    template <class Policy>
    static constexpr std::size_t window() noexcept {
        return alone<Policy> ? 1 : 16;
    }
    static constexpr std::size_t whole = static_cast<std::size_t>(-1);

    // Rows of a block.
    std::size_t rows() const noexcept { return rows_; }
    // Weights of a block before their factor.
    kept_panels<T> kept(const rows_of& q, std::size_t first_chunk = 0) noexcept {
        return {kept_.data(), first_chunk * packed_.panels_a_chunk, q.padded() * block::cols};
    }

    // Weights that are known at once: put(chunk, kept) leaves those of all rows of the block with the keys of a chunk,
    // w_ij = factor * kept(r, j). Chunks may come from several threads.
    template <class Policy, class Put>
    void absorb_chunks(const Policy& where, const rows_of& q, double factor, Put&& put) {
        begin(q);
        take_queries(q, [&](std::size_t) { return factor; });
        for (std::size_t first = 0, end; first < packed_.chunks(); first = end) {
            end = first + (std::min)(held_, packed_.chunks() - first);
            const kept_panels<T> weights = kept(q, first);
            exec::for_each_index(where, end - first, [&](std::size_t c) {
                put(first + c, weights);
                add_queries(q, first + c, weights);
            });
            add_keys(where, q, first, end, weights);
        }
        finish_rows(q, [&](std::size_t) { return factor; });
    }
    // Weights that need the whole row first: begin(), the product with the keys of chunks [first, end) when kept()
    // holds theirs, in order, and at last end(), w_ij = factor(r) * kept(r, j).
    void begin(const rows_of& q) noexcept {
        std::fill(row_sums_.data(), row_sums_.data() + (wants_rows() ? q.padded() * stride_ : 0), T(0));
    }
    template <class Policy>
    void add_keys(const Policy& where, const rows_of& q, std::size_t first, std::size_t end,
                  const kept_panels<T>& weights) {
        if (!wants_rows()) return;
        // Threads share the rows; one thread keeps all of them together, so that keys are read once.
        constexpr std::size_t group = alone<Policy> ? rows_of::most_rows : 4;
        exec::for_each_index(where, tile::panel_count(q.tiles, group), [&](std::size_t g) {
            weighted_keys(packed_, weights, first * packed_.panels_a_chunk, packed_.chunk_end(end - 1), g * group,
                          (std::min)((g + 1) * group, q.tiles), row_sums_.data());
        });
    }
    template <class Policy, class Factor>
    void end(const Policy& where, const rows_of& q, Factor&& factor) {
        take_queries(q, factor);
        const kept_panels<T> weights = kept(q);
        exec::for_each_index(where, packed_.chunks(), [&](std::size_t c) { add_queries(q, c, weights); });
        finish_rows(q, factor);
    }
    template <class Policy>
    void finish(const Policy& where) {
        if (grads_.temperature != nullptr) *grads_.temperature += grads_.scale * warmth_.value();
        if (!wants_keys()) return;
        exec::for_each_index(where, packed_.panels, [&](std::size_t p) {
            for (std::size_t c = 0; c < block::cols && p * block::cols + c < keys_.rows(); ++c) {
                const std::size_t j = p * block::cols + c;
                T* const out = grads_.keys.data() + j * grads_.keys.stride();
                const T* const sums = key_sums_.data() + p * keys_.cols() * block::cols + c;
                for (std::size_t d = 0; d < keys_.cols(); ++d) out[d] += sums[d * block::cols];
                const std::size_t i = j - own_.first;
                if (own_.any && own_.each.empty() && i < queries_.rows()) take_own(i, j);
            }
        });
        // Several queries may have the same key.
        if (!own_.any || own_.each.empty()) return;
        for (std::size_t i = 0; i < queries_.rows(); ++i) take_own(i, own_(i, keys_.rows()));
    }

  private:
    template <class Policy>
    static constexpr bool alone = std::is_same_v<Policy, exec::serial_policy>;

    void take_own(std::size_t i, std::size_t j) const noexcept {
        T* const out = grads_.keys.data() + j * grads_.keys.stride();
        const T own = static_cast<T>(grads_.scale / temperature_(i));
        const T* const query = queries_.data() + i * queries_.stride();
        for (std::size_t d = 0; d < keys_.cols(); ++d) out[d] -= own * query[d];
    }
    bool wants_rows() const noexcept { return wants_rows(grads_); }
    bool wants_keys() const noexcept { return !grads_.keys.empty(); }

    template <class Factor>
    void finish_rows(const rows_of& q, Factor&& factor) {
        if (!wants_rows()) return;
        const std::size_t depth = keys_.cols();
        for (std::size_t r = 0; r < q.rows; ++r) {
            const std::size_t i = q.first + r;
            const T* const sums = row_sums_.data() + r * stride_;
            const T* const query = queries_.data() + i * queries_.stride();
            const std::size_t j = own_(i, keys_.rows());
            const T* const key = j != own_keys::missing ? keys_.data() + j * keys_.stride() : nullptr;
            const double t = temperature_(i);
            if (grads_.temperature != nullptr || !grads_.temperatures.empty()) {
                const double own = key != nullptr ? dot(query, key, depth) : 0.0;
                const double warmth = (own - factor(r) * dot(query, sums, depth)) / (t * t);
                if (grads_.temperature != nullptr) warmth_.absorb(warmth);
                if (!grads_.temperatures.empty()) grads_.temperatures[i] += static_cast<T>(grads_.scale * warmth);
            }
            if (grads_.queries.empty()) continue;
            const T share = static_cast<T>(factor(r) * grads_.scale / t);
            T* const out = grads_.queries.data() + i * grads_.queries.stride();
            if (key != nullptr) {
                const T own = static_cast<T>(grads_.scale / t);
                for (std::size_t d = 0; d < depth; ++d) out[d] += share * sums[d] - own * key[d];
            } else {
                for (std::size_t d = 0; d < depth; ++d) out[d] += share * sums[d];
            }
        }
    }
    template <class Factor>
    void take_queries(const rows_of& q, Factor&& factor) noexcept {
        if (!wants_keys()) return;
        tile::pack_columns<block::rows>(queries_.slice(q.first, q.rows), q.padded(), left_.data(), [&](std::size_t r) {
            return static_cast<T>(factor(r) * grads_.scale / temperature_(q.first + r));
        });
    }
    void add_queries(const rows_of& q, std::size_t chunk, const kept_panels<T>& weights) noexcept {
        if (!wants_keys()) return;
        for (std::size_t p = chunk * packed_.panels_a_chunk; p < packed_.chunk_end(chunk); ++p) {
            weighted_queries(q, left_.data(), weights[p], keys_.cols(),
                             key_sums_.data() + p * keys_.cols() * block::cols);
        }
    }

    matrix_view<const T> queries_, keys_;
    const packed_keys<T, Isa>& packed_;
    row_temperatures<T> temperature_;
    own_keys own_;
    contrastive_gradients<T> grads_;
    std::size_t rows_, held_, tiles_, stride_, columns_;
    scratch_array<T> kept_, row_sums_, left_, key_sums_;
    compensated_sum warmth_;
};

}  // namespace reckon::detail
