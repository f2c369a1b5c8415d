// Log-sum-exp of every row of a Gram matrix over the other rows, and its gradient. Products are symmetric, so that only
// tiles from the diagonal on are multiplied: one power serves a row and a column, one weight both rows of a pair.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/prefetch.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/exec/tile.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"
#include "reckon/losses/detail/logit_rows.simd.hpp"

namespace reckon::detail {

// All rows as right sides of products, and what columns of the matrix add to their gradients. One piece of memory, so
// that middle-sized batches get huge pages as well. Rows for distances end with a 1, which is no factor of a product:
// its gradient is the sum of weights.
template <class T, class Isa>
class gram_keys {
    using block = tile::block<T, Isa>;

  public:
    std::size_t count, depth, width, panels;  // products of `depth` columns, gradients of `width`
    // Of both sides of a product, so that the exponent of a pair is the same number in either order: one over the root
    // of the temperature in bits.
    T factor;
    // [padded() and a tile] for distances: less half of its product with itself, which a row adds to its exponents.
    scratch_array<T> halves;

    gram_keys(matrix_view<const T> rows, double root, bool distances, bool gradients)
        : count(rows.rows()),
          depth(rows.cols() - (distances ? 1 : 0)),
          width(rows.cols()),
          panels(tile::panel_count(count, block::cols)),
          factor(static_cast<T>(1.4426950408889634074 / root)),
          halves(distances ? padded() + block::rows : 0),
          memory_(padded() * (gradients ? depth + column_panels() * block::cols + width : depth)) {
        const auto same = [&](std::size_t) { return factor; };
        tile::pack_rows<block::cols>(rows.columns(0, depth), by_key(), same);
        if (distances) take_halves();
        if (!gradients) return;
        tile::pack_columns<block::cols>(rows, padded(), by_column(), same);
        std::fill(down(), memory_.data() + memory_.size(), T(0));
    }
    std::size_t padded() const noexcept { return panels * block::cols; }
    std::size_t column_panels() const noexcept { return tile::panel_count(width, block::cols); }
    // [panels][depth][cols]
    T* by_key() const noexcept { return memory_.data(); }
    // [column panels][panels * cols][cols]
    T* by_column() const noexcept { return by_key() + padded() * depth; }
    // [panels][width][cols]
    T* down() const noexcept { return by_column() + padded() * column_panels() * block::cols; }

  private:
    // In the order in which a tile adds them up, so that equal rows are exactly 0 apart.
    void take_halves() const noexcept {
        using pack = typename block::pack;
        std::fill(halves.data() + (depth == 0 ? 0 : padded()), halves.data() + halves.size(), T(0));
        for (std::size_t first = 0; depth > 0 && first < padded(); first += pack::lanes) {
            const T* at = by_key() + first / block::cols * depth * block::cols + first % block::cols;
            pack square(T(0));
            for (std::size_t d = 0; d < depth; ++d, at += block::cols) {
                const pack x = pack::load(at);
                square = mul_add(x, x, square);
            }
            (pack(T(-0.5)) * square).store(halves.data() + first);
        }
    }

    scratch_array<T> memory_;
};

// Place of a block of rows in the matrix: its diagonal begins in panel `origin` and ends before panel `past`.
template <class T, class Isa>
struct gram_block {
    using block = tile::block<T, Isa>;
    using rows_of = query_block<T, Isa>;
    // Blocks of rows and panels of columns begin together.
    static_assert(rows_of::most_rows % block::cols == 0);
    static constexpr std::size_t panels_a_block = rows_of::most_rows / block::cols;
    // Panels between two additions in double; also the unit of work of a thread.
    static constexpr std::size_t panels_a_span = 256 / block::cols;
    static constexpr std::size_t line = 64 / sizeof(T);

    rows_of q;
    const gram_keys<T, Isa>& k;
    std::size_t first, origin, past;

    gram_block(matrix_view<const T> rows, const gram_keys<T, Isa>& keys, std::size_t b)
        : q(rows.columns(0, keys.depth), b * rows_of::most_rows, rows_of::most_rows,
            [&](std::size_t) { return keys.factor; }),
          k(keys),
          first(q.first),
          origin(b * panels_a_block),
          past((std::min)(origin + panels_a_block, keys.panels)) {}
    // Elements from one panel of weights to the next. One tile more than needed: equal tiles of consecutive panels
    // would otherwise fall into few sets of the cache.
    static constexpr std::size_t kept_stride(std::size_t padded_rows) noexcept {
        return (padded_rows + block::rows) * block::cols;
    }
    std::size_t kept_stride() const noexcept { return kept_stride(q.padded()); }
    std::size_t first_span() const noexcept { return origin / panels_a_span; }
    std::size_t spans() const noexcept { return tile::panel_count(k.panels, panels_a_span) - first_span(); }
    // Panels of the span s, counted from the diagonal on.
    std::size_t span_begin(std::size_t s) const noexcept {
        return (std::max)((first_span() + s) * panels_a_span, origin);
    }
    std::size_t span_end(std::size_t s) const noexcept {
        return (std::min)((first_span() + s + 1) * panels_a_span, k.panels);
    }
};

// Exponents of two of a block against the panels [begin, end): put(tile, i, p) gets each tile in registers. The
// diagonal and columns beyond the last hold `nothing`.
template <bool Diagonal, class T, class Isa, class Put>
RECKON_INLINE void sweep_gram(const gram_block<T, Isa>& g, std::size_t begin, std::size_t end, T nothing, Put&& put) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    const auto& k = g.k;
    const bool shifted = k.halves.size() != 0;
    T edge[block::cols];
    for (std::size_t c = 0; c < block::cols; ++c) {
        const std::size_t j = (k.panels - 1) * block::cols + c;
        edge[c] = j < k.count ? (shifted ? k.halves[j] : T(0)) : nothing;
    }
    const T zeros[block::rows] = {};
    // The tiles of a panel fetch the next one, a piece each.
    const std::size_t piece = tile::panel_count(k.depth * block::cols, g.q.tiles);
    for (std::size_t p = begin; p < end; ++p) {
        const T* const right = k.by_key() + p * k.depth * block::cols;
        const bool last = p + 1 == k.panels;
        for (std::size_t i = 0; i < g.q.tiles; ++i) {
            if (!last) {
                const T* const next = right + k.depth * block::cols + i * piece;
                for (std::size_t e = 0; e < piece; e += gram_block<T, Isa>::line) prefetch_read(next + e);
            }
            block t;
            t.clear();
            t.multiply(k.depth, g.q.left.data() + i * k.depth * block::rows, 1, block::rows, right);
            if (last || shifted) {
                const T* const added = last ? edge : k.halves.data() + p * block::cols;
                const T* const own = shifted ? k.halves.data() + g.first + i * block::rows : zeros;
                const pack low = pack::load(added), high = pack::load(added + pack::lanes), floor(nothing);
#pragma GCC unroll 6
                for (std::size_t r = 0; r < block::rows; ++r) {
                    // The sum of both first: it is the same number in either order. The padding becomes no less than
                    // `nothing`, and NaN stays.
                    t.at[r][0] = maximum(floor, t.at[r][0] + (pack(own[r]) + low));
                    t.at[r][1] = maximum(floor, t.at[r][1] + (pack(own[r]) + high));
                }
            }
            if constexpr (Diagonal) {
                const std::size_t row = i * block::rows, column = (p - g.origin) * block::cols;
                if (row < column + block::cols && column < row + block::rows) {
                    T held[block::rows * block::cols];
                    t.store(held, block::cols);
                    for (std::size_t r = 0; r < block::rows; ++r) {
                        const std::size_t c = row + r - column;  // wraps to the left of the tile
                        if (c < block::cols) held[r * block::cols + c] = nothing;
                    }
                    t.load(held, block::cols);
                }
            }
            put(t, i, p);
        }
    }
}

// Adds the powers of a span whose exponents are moderate to `rows` of the block and, beyond the diagonal, to `columns`
// of the matrix.
template <class T, class Isa>
void bounded_span(const gram_block<T, Isa>& g, std::size_t begin, std::size_t end, power_sum* rows,
                  power_sum* columns) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    alignas(64) T lanes[query_block<T, Isa>::most_rows * pack::lanes] = {};
    T down[block::cols];
    const std::size_t middle = (std::min)((std::max)(begin, g.past), end);
    sweep_gram<true>(g, begin, middle, vanishing_exponent<T>(), [&](block& t, std::size_t i, std::size_t) {
        T* const sum = lanes + i * block::rows * pack::lanes;
#pragma GCC unroll 6
        for (std::size_t r = 0; r < block::rows; ++r) {
            const pack a = exp2_moderate(t.at[r][0]), b = exp2_moderate(t.at[r][1]);
            (pack::load(sum + r * pack::lanes) + (a + b)).store(sum + r * pack::lanes);
        }
    });
    // Blocks of rows that have columns beyond their diagonal are whole: no row of the padding reaches a column.
    sweep_gram<false>(g, middle, end, vanishing_exponent<T>(), [&](block& t, std::size_t i, std::size_t p) {
        T* const sum = lanes + i * block::rows * pack::lanes;
        pack low(T(0)), high(T(0));
#pragma GCC unroll 6
        for (std::size_t r = 0; r < block::rows; ++r) {
            const pack a = exp2_moderate(t.at[r][0]), b = exp2_moderate(t.at[r][1]);
            (pack::load(sum + r * pack::lanes) + (a + b)).store(sum + r * pack::lanes);
            low += a;
            high += b;
        }
        if (i > 0) {
            low += pack::load(down);
            high += pack::load(down + pack::lanes);
        }
        low.store(down);
        high.store(down + pack::lanes);
        if (i + 1 < g.q.tiles) return;
        for (std::size_t c = 0; c < block::cols && p * block::cols + c < g.k.count; ++c) {
            columns[p * block::cols + c].absorb(0.0, static_cast<double>(down[c]));
        }
    });
    for (std::size_t r = 0; r < g.q.rows; ++r) {
        rows[r].absorb(0.0, static_cast<double>(reduce_add(pack::load(lanes + r * pack::lanes))));
    }
}

// The same for exponents of any size. First the exponents, then both sums relative to their largest.
template <bool Diagonal, class T, class Isa>
void wide_panels(const gram_block<T, Isa>& g, std::size_t begin, std::size_t end, T* held, power_sum* rows,
                 power_sum* columns) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    const std::size_t size = g.q.padded() * block::cols;
    sweep_gram<Diagonal>(g, begin, end, -std::numeric_limits<T>::infinity(),
                         [&](block& t, std::size_t i, std::size_t p) {
                             t.store(held + (p - begin) * size + i * block::rows * block::cols, block::cols);
                         });
    // A finite floor: minus infinity less minus infinity is no number.
    const pack floor(std::numeric_limits<T>::lowest());
    for (std::size_t r = 0; r < g.q.rows; ++r) {
        const T* const from = held + r * block::cols;
        pack highest = floor, sum(T(0));
        for (std::size_t p = 0; p < end - begin; ++p) {
            highest = maximum(maximum(pack::load(from + p * size), pack::load(from + p * size + pack::lanes)), highest);
        }
        const T top = reduce_max(highest);
        for (std::size_t p = 0; p < end - begin; ++p) {
            sum += exp2_any(pack::load(from + p * size) - pack(top)) +
                   exp2_any(pack::load(from + p * size + pack::lanes) - pack(top));
        }
        rows[r].absorb(static_cast<double>(top), static_cast<double>(reduce_add(sum)));
    }
    if constexpr (Diagonal) return;
    T top[block::cols], sums[block::cols];
    for (std::size_t p = begin; p < end; ++p) {
        const T* const from = held + (p - begin) * size;
        for (std::size_t half = 0; half < block::cols; half += pack::lanes) {
            pack highest = floor, sum(T(0));
            for (std::size_t r = 0; r < g.q.rows; ++r) {
                highest = maximum(pack::load(from + r * block::cols + half), highest);
            }
            for (std::size_t r = 0; r < g.q.rows; ++r) {
                sum += exp2_any(pack::load(from + r * block::cols + half) - highest);
            }
            highest.store(top + half);
            sum.store(sums + half);
        }
        for (std::size_t c = 0; c < block::cols && p * block::cols + c < g.k.count; ++c) {
            columns[p * block::cols + c].absorb(static_cast<double>(top[c]), static_cast<double>(sums[c]));
        }
    }
}

// Weights of the pairs of a block with the panels [begin, end), into kept[panel - begin][padded rows and a tile][cols]:
// 2^exponent (row[r] + column[j]) when bounded, 2^(exponent - row[r]) + 2^(exponent - column[j]) otherwise.
template <bool Bounded, bool Diagonal, class T, class Isa>
void gram_weights(const gram_block<T, Isa>& g, std::size_t begin, std::size_t end, const T* row, const T* column,
                  T* kept) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    const T nothing = Bounded ? vanishing_exponent<T>() : -std::numeric_limits<T>::infinity();
    sweep_gram<Diagonal>(g, begin, end, nothing, [&](block& t, std::size_t i, std::size_t p) {
        T* const out = kept + (p - begin) * g.kept_stride() + i * block::rows * block::cols;
        const T* const own = row + i * block::rows;
        const pack low = pack::load(column + p * block::cols),
                   high = pack::load(column + p * block::cols + pack::lanes);
#pragma GCC unroll 6
        for (std::size_t r = 0; r < block::rows; ++r) {
            const pack across(own[r]);
            pack a, b;
            if constexpr (Bounded) {
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

// raw[row][column] += sum over keys of kept(row, key) * key(column), for the tile rows [first, last) and the panels
// [begin, end), which `kept` begins with.
template <class T, class Isa>
void add_weighted_panels(const gram_block<T, Isa>& g, const T* kept, std::size_t begin, std::size_t end,
                         std::size_t first, std::size_t last, T* raw) {
    using block = tile::block<T, Isa>;
    using place = gram_block<T, Isa>;
    constexpr std::size_t area = block::rows * block::cols, square = block::cols * block::cols;
    const std::size_t stride = g.k.column_panels() * block::cols, size = g.kept_stride();
    for (std::size_t from = begin; from < end; from += place::panels_a_span) {
        const std::size_t to = (std::min)(from + place::panels_a_span, end);
        const std::size_t piece = tile::panel_count((to - from) * square, last - first);
        for (std::size_t d = 0; d < g.k.column_panels(); ++d) {
            const T* const right = g.k.by_column() + (d * g.k.padded() + from * block::cols) * block::cols;
            for (std::size_t i = first; i < last; ++i) {
                if (d + 1 < g.k.column_panels()) {
                    const T* const next = right + g.k.padded() * block::cols + (i - first) * piece;
                    for (std::size_t e = 0; e < piece; e += place::line) prefetch_ahead(next + e);
                }
                T* const out = raw + i * block::rows * stride + d * block::cols;
                const T* weights = kept + (from - begin) * size + i * area;
                block t;
                t.load(out, stride);
                for (std::size_t p = 0; p < to - from; ++p, weights += size) {
                    for (std::size_t e = 0; e < area; e += place::line) prefetch_read(weights + size + e);
                    t.multiply(block::cols, weights, block::cols, 1, right + p * square);
                }
                t.store(out, stride);
            }
        }
    }
}

// lse_i = log sum_{j != i} e^s_ij of all rows z, nats, and the gradient of sums of them. s_ij = z_i . z_j / t, or for
// `distances`, whose rows are (z, 1), -|z_i - z_j|^2 / t = (z_i . z_j - |z_i|^2 / 2 - |z_j|^2 / 2) / (t / 2).
template <class T, class Isa>
class gram_log_sums {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    using rows_of = query_block<T, Isa>;
    using place = gram_block<T, Isa>;

  public:
    gram_log_sums(matrix_view<const T> rows, double temperature, bool distances, bool bounded, bool gradients)
        : rows_(rows),
          temperature_(distances ? 0.5 * temperature : temperature),
          root_(std::sqrt(1.4426950408889634074 * temperature_)),
          bounded_(bounded),
          packed_(rows, root_, distances, gradients),
          blocks_(tile::panel_count(rows.rows(), rows_of::most_rows)),
          state_(rows.rows()) {}

    double log_sum(std::size_t i) const noexcept { return state_[i].log2() * 0.69314718055994530942; }

    // Blocks go one after the other, threads share the columns.
    template <class Policy>
    void sweep(const Policy& where) {
        std::vector<power_sum> parts;
        for (std::size_t b = 0; b < blocks_; ++b) {
            const place g(rows_, packed_, b);
            parts.assign(g.spans() * rows_of::most_rows, {});
            exec::for_each_index(where, g.spans(), [&](std::size_t s) {
                const std::size_t begin = g.span_begin(s), end = g.span_end(s);
                power_sum* const sums = parts.data() + s * rows_of::most_rows;
                if (bounded_) {
                    bounded_span(g, begin, end, sums, state_.data());
                    return;
                }
                scratch_array<T> held(g.q.padded() * place::panels_a_span * block::cols);
                const std::size_t middle = (std::min)((std::max)(begin, g.past), end);
                if (begin < middle) wide_panels<true>(g, begin, middle, held.data(), sums, state_.data());
                if (middle < end) wide_panels<false>(g, middle, end, held.data(), sums, state_.data());
            });
            // Blocks above have already left their share in these rows.
            for (std::size_t s = 0; s < g.spans(); ++s) {
                for (std::size_t r = 0; r < g.q.rows; ++r) {
                    const power_sum& part = parts[s * rows_of::most_rows + r];
                    state_[g.first + r].absorb(part.top, part.sum);
                }
            }
        }
    }

    // After sweep(), once: adds factor * d (sum of lse_i over rows with counts(i)) / d rows into out.row(row_at(i)),
    // unless `out` is empty. For distances that is (g, w), and the gradient is g - w z; see similarity_rows. Returns
    // the sum over rows of their product with the gradient, or 0 without `wants_products`.
    template <class Policy, class Counts, class RowAt>
    double gradient(const Policy& where, double factor, matrix_view<T> out, bool wants_products, Counts&& counts,
                    RowAt&& row_at) {
        constexpr bool alone = std::is_same_v<Policy, exec::serial_policy>;
        // Weights of a window stay until both products with them are done: in the second-level cache for one thread,
        // enough work between two barriers for several.
        constexpr std::size_t window = (alone ? 1 : 16) * place::panels_a_span;
        constexpr std::size_t group = alone ? rows_of::most_rows : 4;
        const std::size_t n = rows_.rows(), depth = packed_.depth, width = packed_.width;
        const std::size_t stride = packed_.column_panels() * block::cols;
        const std::size_t tall = (std::min)(rows_of::most_rows, tile::panel_count(n, block::rows) * block::rows);
        const T share = static_cast<T>(factor / temperature_);
        const T across = static_cast<T>(factor * root_ / (1.4426950408889634074 * temperature_));
        scratch_array<T> weight(blocks_ * rows_of::most_rows + block::cols);
        scratch_array<T> kept((std::min)(window, packed_.panels) * place::kept_stride(tall));
        scratch_array<T> raw(tall * stride), left(tile::panel_count(width, block::rows) * block::rows * tall);
        for (std::size_t i = 0; i < weight.size(); ++i) weight[i] = weight_of(i, i < n && counts(i));
        std::vector<double> products(n, 0.0);

        for (std::size_t b = 0; b < blocks_; ++b) {
            const place g(rows_, packed_, b);
            std::fill(raw.data(), raw.data() + g.q.padded() * stride, T(0));
            tile::pack_columns<block::rows>(rows_.slice(g.first, g.q.rows), g.q.padded(), left.data(),
                                            [&](std::size_t) { return share; });
            for (std::size_t begin = g.origin; begin < packed_.panels; begin += window) {
                const std::size_t end = (std::min)(begin + window, packed_.panels);
                const std::size_t middle = (std::min)((std::max)(begin, g.past), end);
                const std::size_t size = g.kept_stride();
                exec::for_each_index(where, tile::panel_count(end - begin, place::panels_a_span), [&](std::size_t s) {
                    const std::size_t from = begin + s * place::panels_a_span;
                    const std::size_t to = (std::min)(from + place::panels_a_span, end);
                    const std::size_t cut = (std::min)((std::max)(from, middle), to);
                    T* const at = kept.data() + (from - begin) * size;
                    weights<true>(g, from, cut, weight.data(), at);
                    weights<false>(g, cut, to, weight.data(), at + (cut - from) * size);
                    for (std::size_t p = cut; p < to; ++p) {
                        weighted_queries(g.q, left.data(), kept.data() + (p - begin) * size, width,
                                         packed_.down() + p * width * block::cols);
                    }
                });
                exec::for_each_index(where, tile::panel_count(g.q.tiles, group), [&](std::size_t t) {
                    add_weighted_panels(g, kept.data(), begin, end, t * group, (std::min)((t + 1) * group, g.q.tiles),
                                        raw.data());
                });
            }
            for (std::size_t r = 0; r < g.q.rows; ++r) {
                const T *const z = rows_.data() + (g.first + r) * rows_.stride(), *const sums = raw.data() + r * stride;
                if (wants_products) {
                    products[g.first + r] = static_cast<double>(across) * dot(z, sums, depth);
                    if (width > depth) products[g.first + r] -= static_cast<double>(across * sums[depth]) * square(z);
                }
                if (out.empty()) continue;
                T* const to = out.data() + row_at(g.first + r) * out.stride();
                for (std::size_t d = 0; d < width; ++d) to[d] += across * sums[d];
            }
        }
        exec::for_each_index(where, packed_.panels, [&](std::size_t p) {
            for (std::size_t c = 0; c < block::cols && p * block::cols + c < n; ++c) {
                const std::size_t j = p * block::cols + c;
                const T *const z = rows_.data() + j * rows_.stride(), *const sums =
                                                                          packed_.down() + p * width * block::cols + c;
                for (std::size_t d = 0; wants_products && d < depth; ++d) {
                    products[j] += static_cast<double>(z[d]) * static_cast<double>(sums[d * block::cols]);
                }
                if (wants_products && width > depth) {
                    products[j] -= static_cast<double>(sums[depth * block::cols]) * square(z);
                }
                if (out.empty()) continue;
                T* const to = out.data() + row_at(j) * out.stride();
                for (std::size_t d = 0; d < width; ++d) to[d] += sums[d * block::cols];
            }
        });
        double total = 0.0;
        for (const double product : products) total += product;
        return total;
    }

  private:
    double square(const T* z) const noexcept { return dot(z, z, packed_.depth); }
    // What gram_weights() takes for row i.
    T weight_of(std::size_t i, bool counts) const noexcept {
        if (bounded_) return counts ? static_cast<T>(std::exp2(-state_[i].log2())) : T(0);
        return counts ? static_cast<T>(state_[i].log2()) : std::numeric_limits<T>::infinity();
    }
    template <bool Diagonal>
    void weights(const place& g, std::size_t begin, std::size_t end, const T* weight, T* kept) const {
        if (begin == end) return;
        if (bounded_)
            gram_weights<true, Diagonal>(g, begin, end, weight + g.first, weight, kept);
        else
            gram_weights<false, Diagonal>(g, begin, end, weight + g.first, weight, kept);
    }

    matrix_view<const T> rows_;
    double temperature_;
    double root_;
    bool bounded_;
    gram_keys<T, Isa> packed_;
    std::size_t blocks_;
    std::vector<power_sum> state_;
};

}  // namespace reckon::detail
