// Losses that need each row of logits as a whole: the rows of a block of queries are kept, handed to the loss one by
// one, and what the loss leaves in their place goes into both gradients.
#pragma once

#include <cstddef>
#include <limits>

#include "reckon/core/config.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/exec/tile.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"
#include "reckon/losses/detail/logit_rows.simd.hpp"

namespace reckon::detail {

// The logits of one query against all keys, in nats, as the tiles left them. Packs reach into the padding behind the
// last key, which holds -infinity at first.
template <class T, class Isa>
class logit_row {
    using block = tile::block<T, Isa>;

  public:
    using pack = simd::pack<T, Isa>;

    logit_row(T* first, std::size_t step, std::size_t keys) noexcept : first_(first), step_(step), keys_(keys) {}

    /// Number of keys.
    std::size_t size() const noexcept { return keys_; }
    T& operator[](std::size_t j) const noexcept { return first_[j / block::cols * step_ + j % block::cols]; }

    // body(pack) for every pack, in order.
    template <class Body>
    RECKON_INLINE void for_each(Body&& body) const noexcept {
        for (std::size_t p = 0; p < panels(); ++p) {
            const T* const at = first_ + p * step_;
#pragma GCC unroll 2
            for (std::size_t h = 0; h < block::packs; ++h) body(pack::load(at + h * pack::lanes));
        }
    }
    // Replaces every pack by body(pack, first key of the pack).
    template <class Body>
    RECKON_INLINE void transform(Body&& body) const noexcept {
        for (std::size_t p = 0; p < panels(); ++p) {
            T* const at = first_ + p * step_;
#pragma GCC unroll 2
            for (std::size_t h = 0; h < block::packs; ++h) {
                body(pack::load(at + h * pack::lanes), p * block::cols + h * pack::lanes).store(at + h * pack::lanes);
            }
        }
    }
    // Sum of body(pack) over all lanes, in double above 512 keys. The padding must contribute 0.
    template <class Body>
    RECKON_INLINE double sum(Body&& body) const noexcept {
        constexpr std::size_t chunk = packed_keys<T, Isa>::panels_a_chunk;
        double total = 0.0;
        for (std::size_t from = 0; from < panels(); from += chunk) {
            pack part(T(0));
            for (std::size_t p = from; p < panels() && p < from + chunk; ++p) {
                const T* const at = first_ + p * step_;
#pragma GCC unroll 2
                for (std::size_t h = 0; h < block::packs; ++h) part += body(pack::load(at + h * pack::lanes));
            }
            total += static_cast<double>(reduce_add(part));
        }
        return total;
    }
    T largest() const noexcept {
        pack top(-std::numeric_limits<T>::infinity());
        for_each([&](pack x) { top = maximum(top, x); });
        return reduce_max(top);
    }
    // The first key with this value; size() if there is none.
    std::size_t find(T value) const noexcept {
        for (std::size_t p = 0; p < panels(); ++p) {
            const T* const at = first_ + p * step_;
            if (!any((pack::load(at) == pack(value)) | (pack::load(at + pack::lanes) == pack(value)))) continue;
            std::size_t j = p * block::cols;
            while (j < keys_ && (*this)[j] != value) ++j;
            return j;
        }
        return keys_;
    }
    void fill(T value) const noexcept {
        transform([&](pack, std::size_t) { return pack(value); });
    }
    void clear_padding() const noexcept {
        for (std::size_t j = keys_; j < panels() * block::cols; ++j) (*this)[j] = T(0);
    }

  private:
    std::size_t panels() const noexcept {
        return tile::panel_count(keys_, block::cols);
    }

    T* first_;
    std::size_t step_, keys_;
};

struct nothing_after_a_block {
    void operator()(std::size_t, std::size_t) const noexcept {}
};

// Calls loss(i, row) for every query i with its logits, query . key / t_i less log_q of the key. With gradients the
// loss leaves d loss_i / d logit_ij in the row. Rows of a block may come from several threads at once; after them the
// calling thread calls after(first query, queries) once.
template <class T, class Isa, class Policy, class Loss, class After = nothing_after_a_block>
void for_each_logit_row(const Policy& where, matrix_view<const T> queries, matrix_view<const T> keys,
                        const row_temperatures<T>& temperature, const contrastive_gradients<T>& grads, Loss&& loss,
                        vector_view<const T> log_q = {}, After&& after = {}) {
    using block = tile::block<T, Isa>;
    using rows_of = query_block<T, Isa>;
    using sums = gradient_sums<T, Isa>;
    packed_keys<T, Isa> packed(keys, sums::wants_rows(grads));
    packed.take_off(log_q, 1.0);
    sums gradient(queries, keys, packed, temperature, own_keys{}, grads, sums::whole);
    const bool wanted = sums::wants_any(grads);
    for (std::size_t first = 0; first < queries.rows(); first += gradient.rows()) {
        const rows_of q(queries, first, gradient.rows(), [&](std::size_t i) { return 1.0 / temperature(i); });
        // Gradients want panels; rows that nobody else reads lie one behind the other.
        const std::size_t row_step = wanted ? block::cols : packed.padded();
        const std::size_t panel_step = wanted ? q.padded() * block::cols : block::cols;
        const kept_panels<T> kept = gradient.kept(q);
        exec::for_each_index(where, packed.chunks(), [&](std::size_t c) {
            sweep_chunk(q, packed, c, -std::numeric_limits<T>::infinity(), [&](block& t, std::size_t i, std::size_t p) {
                t.store(kept.first + p * panel_step + i * block::rows * row_step, row_step);
            });
        });
        exec::for_each_index(where, q.padded(), [&](std::size_t r) {
            const logit_row<T, Isa> row(kept.first + r * row_step, panel_step, keys.rows());
            // Logits of rows that are padding may be infinite.
            if (r >= q.rows) return row.fill(T(0));
            loss(q.first + r, row);
            row.clear_padding();
        });
        after(q.first, q.rows);
        if (!wanted) continue;
        gradient.begin(q);
        gradient.add_keys(where, q, 0, packed.chunks(), kept);
        gradient.end(where, q, [](std::size_t) { return 1.0; });
    }
    gradient.finish(where);
}

}  // namespace reckon::detail
