// Softmax over the products of a block of queries with all keys: the sweep that the contrastive losses share. Logits of
// a block are held panel by panel, [panels][rows][cols of a tile], which serves both gradients without a transposition:
// rows times keys, and its transpose times queries.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/prefetch.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/exec/tile.hpp"

namespace reckon::detail {

// 2^t for |t| <= 126. Float: polynomial of degree 5, minimax in relative error, 7.5e-8 before rounding.
template <class V>
RECKON_INLINE V exp2_moderate(V t) noexcept {
    using T = simd::lane_t<V>;
    if constexpr (sizeof(T) == 4) {
        // One sum rounds t to an integer and leaves that integer, biased, in the low bits.
        using format = simd::float_format<T>;
        const V magic(T(1.5) * T(typename format::bits(1) << format::mantissa_bits) + T(format::exponent_bias));
        const V rounded = t + magic;
        const V f = t - (rounded - magic);
        return math::detail::horner(f, 1.0000001f, 0.69314694f, 0.2402212f, 0.05550713f, 0.009675541f, 0.0013276472f) *
               simd::bits_shift_left<format::mantissa_bits>(rounded);
    } else {
        return math::exp(t * V(T(0.69314718055994530942)));
    }
}
// 2^t; 0 from -126 down, and no more than 2^126.
template <class V>
RECKON_INLINE V exp2_any(V t) noexcept {
    using T = simd::lane_t<V>;
    // The bounds come first, so that NaN gets through.
    return select(t <= V(T(-126)), V(T(0)), exp2_moderate(minimum(V(T(126)), maximum(V(T(-126)), t))));
}

// Exponent whose power exp2_moderate() gives as exactly 0.
template <class T>
constexpr T vanishing_exponent() noexcept {
    return sizeof(T) == 4 ? T(-127) : T(-1100);
}

// A sum of powers of two, sum * 2^top.
struct power_sum {
    double top = std::numeric_limits<double>::lowest();
    double sum = 0.0;

    // Adds terms * 2^exponent; top is the largest exponent seen.
    void absorb(double exponent, double terms) noexcept {
        if (terms == 0.0) return;
        if (sum == 0.0) {
            top = exponent;
        } else if (exponent > top) {
            sum *= std::exp2(top - exponent);
            top = exponent;
        }
        sum += exponent == top ? terms : terms * std::exp2(exponent - top);
    }
    // Minus infinity for no term.
    double log2() const noexcept { return top + std::log2(sum); }
    // Of powers of e, nats.
    double ln() const noexcept { return top * 0.69314718055994530942 + std::log(sum); }
};

// Rows of queries that are swept together: what gradients need of them against all keys, or a window of keys, is held
// until both products with it are done.
template <class T, class Isa>
struct query_block {
    using block = tile::block<T, Isa>;
    static constexpr std::size_t most_rows = 16 * block::rows;

    std::size_t first = 0, rows = 0, tiles = 0;
    scratch_array<T> left;  // [tiles][depth][rows of a tile], times the factor of the row
    double top[most_rows];  // largest exponent of two in the row, or what stands for it
    double sum[most_rows];  // sum over keys of 2^(logit - top)

    // factor(i): what query i is multiplied with.
    template <class Factor>
    query_block(matrix_view<const T> queries, std::size_t first_row, std::size_t limit, Factor&& factor)
        : first(first_row),
          rows((std::min)(limit, queries.rows() - first_row)),
          tiles(tile::panel_count(rows, block::rows)),
          left(tiles * block::rows * queries.cols()) {
        tile::pack_rows<block::rows>(queries.slice(first, rows), left.data(),
                                     [&](std::size_t r) { return static_cast<T>(factor(first + r)); });
    }
    // Rows at once against so many keys: what gradients keep of them fits into 4 MiB, but no fewer than 48 rows do, nor
    // 24 where 48 would need more than 13 MiB.
    static std::size_t limit(std::size_t keys) noexcept {
        const std::size_t fitting = (std::size_t{4} << 20) / (keys * sizeof(T) + 1) / block::rows * block::rows;
        if (fitting >= most_rows / 2) return (std::min)(fitting, most_rows);
        return most_rows / 2 * keys * sizeof(T) > std::size_t{13} << 20 ? most_rows / 4 : most_rows / 2;
    }
    std::size_t padded() const noexcept { return tiles * block::rows; }
    // ln of the sum over keys of e^logit, nats.
    double log_sum(std::size_t r) const noexcept { return top[r] * 0.69314718055994530942 + std::log(sum[r]); }
};

// Whether powers of e of all logits, times a query or key and added up over 2^20 of them, stay inside the range of
// float. `offset`: the largest number that is added to a logit or taken from it.
inline bool moderate(double largest_query, double largest_key, double temperature, double offset = 0.0) noexcept {
    return largest_query * largest_key / temperature + offset <= 60.0 && largest_query <= 1e6 && largest_key <= 1e6;
}

// The temperature of each row: one for all, or a column.
template <class T>
struct row_temperatures {
    double all = 1.0;
    vector_view<const T> each = {};

    double operator()(std::size_t i) const noexcept { return each.empty() ? all : static_cast<double>(each[i]); }
    double least() const noexcept {
        if (each.empty()) return all;
        double t = static_cast<double>(each[0]);
        for (const T x : each) t = (std::min)(t, static_cast<double>(x));
        return t;
    }
    // What turns a dot product into an exponent of two.
    double exponent_factor(std::size_t i) const noexcept { return 1.4426950408889634074 / (*this)(i); }
};

// What gradients keep of a block, [panels][padded rows][cols], from the panel `origin` on.
template <class T>
struct kept_panels {
    T* first = nullptr;
    std::size_t origin = 0, size = 0;  // size: padded rows * cols

    T* operator[](std::size_t panel) const noexcept { return first + (panel - origin) * size; }
};

// Keys packed once for all blocks of queries.
template <class T, class Isa>
struct packed_keys {
    using block = tile::block<T, Isa>;
    // Panels between two additions in double; also the unit of work of a thread.
    static constexpr std::size_t panels_a_chunk = 512 / block::cols;

    std::size_t count = 0, depth = 0, panels = 0;
    scratch_array<T> by_key;     // [panels][depth][cols]
    scratch_array<T> by_column;  // [column panels][panels * cols][cols]; only for gradients
    scratch_array<T> offsets;    // [panels * cols], what is added to the logits of each key; or none

    packed_keys(matrix_view<const T> keys, bool gradients)
        : count(keys.rows()),
          depth(keys.cols()),
          panels(tile::panel_count(keys.rows(), block::cols)),
          by_key(panels * depth * block::cols) {
        tile::pack_rows<block::cols>(keys, by_key.data());
        if (!gradients) return;
        by_column = scratch_array<T>(column_panels() * padded() * block::cols);
        tile::pack_columns<block::cols>(keys, padded(), by_column.data());
    }
    // From here on logits are factor * (query . key) - unit * log_q of the key.
    void take_off(vector_view<const T> log_q, double unit) {
        if (log_q.empty()) return;
        offsets = scratch_array<T>(padded());
        for (std::size_t j = 0; j < padded(); ++j) {
            offsets[j] = j < count ? static_cast<T>(-unit * static_cast<double>(log_q[j])) : T(0);
        }
    }
    std::size_t padded() const noexcept { return panels * block::cols; }
    std::size_t column_panels() const noexcept { return tile::panel_count(depth, block::cols); }
    std::size_t chunks() const noexcept { return tile::panel_count(panels, panels_a_chunk); }
    std::size_t chunk_end(std::size_t chunk) const noexcept { return (std::min)((chunk + 1) * panels_a_chunk, panels); }
};

// Exponents of two, factor * (query . key) and what the keys add, of a block against the panels of a chunk: put(tile,
// i, p) gets each tile in registers. Columns beyond the last key hold `padding`.
template <class T, class Isa, class Put>
RECKON_INLINE void sweep_chunk(const query_block<T, Isa>& q, const packed_keys<T, Isa>& k, std::size_t chunk, T padding,
                               Put&& put) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    const bool shifted = k.offsets.size() != 0;
    T edge[block::cols];
    for (std::size_t c = 0; c < block::cols; ++c) {
        const std::size_t j = (k.panels - 1) * block::cols + c;
        edge[c] = j < k.count ? (shifted ? k.offsets[j] : T(0)) : padding;
    }
    for (std::size_t p = chunk * k.panels_a_chunk; p < k.chunk_end(chunk); ++p) {
        const T* const right = k.by_key.data() + p * k.depth * block::cols;
        const T* const added = p + 1 == k.panels ? edge : shifted ? k.offsets.data() + p * block::cols : nullptr;
        prefetch_run<T> next(right + k.depth * block::cols, k.depth * block::cols);
        for (std::size_t i = 0; i < q.tiles; ++i) {
            next.ask(i, q.tiles);
            block t;
            t.clear();
            t.multiply(k.depth, q.left.data() + i * k.depth * block::rows, 1, block::rows, right);
            if (added != nullptr) {
                const pack low = pack::load(added), high = pack::load(added + pack::lanes);
#pragma GCC unroll 6
                for (std::size_t r = 0; r < block::rows; ++r) {
                    t.at[r][0] += low;
                    t.at[r][1] += high;
                }
            }
            put(t, i, p);
        }
    }
}

template <class T, class Isa>
RECKON_INLINE T reduce_max(simd::pack<T, Isa> a) noexcept {
    T lanes[simd::pack<T, Isa>::lanes];
    a.store(lanes);
    T top = lanes[0];
    for (std::size_t i = 1; i < simd::pack<T, Isa>::lanes; ++i) top = lanes[i] > top ? lanes[i] : top;
    return top;
}

// Per chunk and row: the largest exponent (0 when bounded) and the sum of powers relative to it.
struct chunk_sums {
    std::vector<double> top, sum;
    std::size_t rows = 0;
    chunk_sums(std::size_t chunks, std::size_t rows_a_chunk)
        : top(chunks * rows_a_chunk), sum(chunks * rows_a_chunk), rows(rows_a_chunk) {}
};

// A chunk of a block whose exponents are known to be moderate: powers and their sums in one pass, in registers.
template <bool Keep, class T, class Isa>
void bounded_chunk(const query_block<T, Isa>& q, const packed_keys<T, Isa>& k, std::size_t chunk,
                   const kept_panels<T>& kept, chunk_sums& sums) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    alignas(64) T lanes[query_block<T, Isa>::most_rows * pack::lanes] = {};
    sweep_chunk(q, k, chunk, vanishing_exponent<T>(), [&](block& t, std::size_t i, std::size_t p) {
        T* const sum = lanes + i * block::rows * pack::lanes;
        T* const out = Keep ? kept[p] + i * block::rows * block::cols : nullptr;
#pragma GCC unroll 6
        for (std::size_t r = 0; r < block::rows; ++r) {
            const pack a = exp2_moderate(t.at[r][0]), b = exp2_moderate(t.at[r][1]);
            if constexpr (Keep) {
                a.store(out + r * block::cols);
                b.store(out + r * block::cols + pack::lanes);
            }
            (pack::load(sum + r * pack::lanes) + (a + b)).store(sum + r * pack::lanes);
        }
    });
    for (std::size_t r = 0; r < q.rows; ++r) {
        sums.sum[chunk * sums.rows + r] = static_cast<double>(reduce_add(pack::load(lanes + r * pack::lanes)));
    }
}

// The same for exponents of any size. First the exponents themselves and their largest.
template <class T, class Isa>
void wide_chunk_exponents(const query_block<T, Isa>& q, const packed_keys<T, Isa>& k, std::size_t chunk,
                          const kept_panels<T>& kept, chunk_sums& sums) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    alignas(64) T lanes[query_block<T, Isa>::most_rows * pack::lanes];
    // Finite, so that a chunk whose keys are all left out has powers of 0.
    std::fill(lanes, lanes + q.padded() * pack::lanes, std::numeric_limits<T>::lowest());
    sweep_chunk(q, k, chunk, -std::numeric_limits<T>::infinity(), [&](block& t, std::size_t i, std::size_t p) {
        T* const top = lanes + i * block::rows * pack::lanes;
        T* const out = kept[p] + i * block::rows * block::cols;
#pragma GCC unroll 6
        for (std::size_t r = 0; r < block::rows; ++r) {
            t.at[r][0].store(out + r * block::cols);
            t.at[r][1].store(out + r * block::cols + pack::lanes);
            maximum(maximum(t.at[r][0], t.at[r][1]), pack::load(top + r * pack::lanes)).store(top + r * pack::lanes);
        }
    });
    for (std::size_t r = 0; r < q.rows; ++r) {
        sums.top[chunk * sums.rows + r] = static_cast<double>(reduce_max(pack::load(lanes + r * pack::lanes)));
    }
}
// Then their powers relative to top[r], in place.
template <class T, class Isa>
void wide_chunk_powers(const query_block<T, Isa>& q, const packed_keys<T, Isa>& k, std::size_t chunk, const T* top,
                       const kept_panels<T>& kept, chunk_sums& sums) {
    using block = tile::block<T, Isa>;
    using pack = typename block::pack;
    alignas(64) T lanes[query_block<T, Isa>::most_rows * pack::lanes] = {};
    for (std::size_t p = chunk * k.panels_a_chunk; p < k.chunk_end(chunk); ++p) {
        for (std::size_t r = 0; r < q.rows; ++r) {
            T* const at = kept[p] + r * block::cols;
            const pack a = exp2_any(pack::load(at) - pack(top[r]));
            const pack b = exp2_any(pack::load(at + pack::lanes) - pack(top[r]));
            a.store(at);
            b.store(at + pack::lanes);
            (pack::load(lanes + r * pack::lanes) + (a + b)).store(lanes + r * pack::lanes);
        }
        // Exponents of rows that are padding may be infinite.
        for (std::size_t r = q.rows; r < q.padded(); ++r) {
            T* const at = kept[p] + r * block::cols;
            pack(T(0)).store(at);
            pack(T(0)).store(at + pack::lanes);
        }
    }
    for (std::size_t r = 0; r < q.rows; ++r) {
        sums.sum[chunk * sums.rows + r] = static_cast<double>(reduce_add(pack::load(lanes + r * pack::lanes)));
    }
}

// One sum per row from those of its chunks.
template <class T, class Isa>
void merge_chunks(const chunk_sums& sums, std::size_t chunks, query_block<T, Isa>& q) noexcept {
    for (std::size_t r = 0; r < q.rows; ++r) {
        double top = sums.top[r], sum = 0.0;
        for (std::size_t c = 1; c < chunks; ++c) top = (std::max)(top, sums.top[c * sums.rows + r]);
        for (std::size_t c = 0; c < chunks; ++c) {
            sum += sums.sum[c * sums.rows + r] * std::exp2(sums.top[c * sums.rows + r] - top);
        }
        q.top[r] = top;
        q.sum[r] = sum;
    }
}

struct nothing_after_a_window {
    void operator()(std::size_t, std::size_t) const noexcept {}
};

// Fills q.top and q.sum, and with Keep also kept[panel][row][col] = 2^(exponent - top). Calls after(first chunk, end)
// when these chunks have got their powers, in order; of moderate ones `window` chunks at a time.
template <bool Keep, class T, class Isa, class Policy, class After = nothing_after_a_window>
void softmax_block(const Policy& where, query_block<T, Isa>& q, const packed_keys<T, Isa>& k, bool bounded,
                   const kept_panels<T>& kept, std::size_t window = static_cast<std::size_t>(-1), After&& after = {}) {
    using block = tile::block<T, Isa>;
    chunk_sums sums(k.chunks(), q.rows);
    if (bounded) {
        for (std::size_t first = 0, end; first < k.chunks(); first = end) {
            end = first + (std::min)(window, k.chunks() - first);
            exec::for_each_index(where, end - first,
                                 [&](std::size_t c) { bounded_chunk<Keep>(q, k, first + c, kept, sums); });
            after(first, end);
        }
    } else if constexpr (Keep) {
        exec::for_each_index(where, k.chunks(), [&](std::size_t c) { wide_chunk_exponents(q, k, c, kept, sums); });
        T top[query_block<T, Isa>::most_rows];
        for (std::size_t r = 0; r < q.rows; ++r) {
            double largest = sums.top[r];
            for (std::size_t c = 1; c < k.chunks(); ++c) largest = (std::max)(largest, sums.top[c * sums.rows + r]);
            for (std::size_t c = 0; c < k.chunks(); ++c) sums.top[c * sums.rows + r] = largest;
            top[r] = static_cast<T>(largest);
        }
        exec::for_each_index(where, k.chunks(), [&](std::size_t c) { wide_chunk_powers(q, k, c, top, kept, sums); });
        after(0, k.chunks());
    } else {
        // A chunk at a time, so that the exponents stay in the cache.
        const std::size_t size = q.padded() * block::cols;
        scratch_array<T> held(size * k.panels_a_chunk);
        for (std::size_t c = 0; c < k.chunks(); ++c) {
            const kept_panels<T> exponents{held.data(), c * k.panels_a_chunk, size};
            wide_chunk_exponents(q, k, c, exponents, sums);
            T top[query_block<T, Isa>::most_rows];
            for (std::size_t r = 0; r < q.rows; ++r) top[r] = static_cast<T>(sums.top[c * sums.rows + r]);
            wide_chunk_powers(q, k, c, top, exponents, sums);
        }
    }
    merge_chunks(sums, k.chunks(), q);
}

// raw[row][column] += sum over keys of kept(row, key) * key(column), for the tile rows [top, bottom) and the panels
// [first, end) of keys.
template <class T, class Isa>
void weighted_keys(const packed_keys<T, Isa>& k, const kept_panels<T>& kept, std::size_t first, std::size_t end,
                   std::size_t top, std::size_t bottom, T* raw) {
    using block = tile::block<T, Isa>;
    constexpr std::size_t step = 256 / block::cols;  // panels whose columns stay in the second-level cache
    constexpr std::size_t panel = block::cols * block::cols;
    const std::size_t stride = k.column_panels() * block::cols;
    for (std::size_t from = first; from < end; from += step) {
        const std::size_t to = (std::min)(from + step, end);
        for (std::size_t d = 0; d < k.column_panels(); ++d) {
            const T* const right = k.by_column.data() + d * k.padded() * block::cols;
            const bool last = d + 1 == k.column_panels();
            prefetch_run<T> next(
                last ? k.by_column.data() + to * panel : right + k.padded() * block::cols + from * panel,
                (to - from) * panel);
            for (std::size_t i = top; i < bottom; ++i) {
                next.ask(i - top, bottom - top);
                T* const out = raw + i * block::rows * stride + d * block::cols;
                block t;
                t.load(out, stride);
                for (std::size_t p = from; p < to; ++p) {
                    t.multiply(block::cols, kept[p] + i * block::rows * block::cols, block::cols, 1, right + p * panel);
                }
                t.store(out, stride);
            }
        }
    }
}

// to[column][key] += sum over rows of weights(row, key) * left(row, column), for one panel of keys; the next ones
// follow `to` and, nearly so, `weights`. left: [tiles of columns][padded rows][rows of a tile].
template <class T, class Isa>
void weighted_queries(const query_block<T, Isa>& q, const T* left, const T* weights, std::size_t depth, T* to) {
    using block = tile::block<T, Isa>;
    prefetch_run<T> next(weights + q.padded() * block::cols, q.padded() * block::cols);
    for (std::size_t d = 0; d < depth; d += block::rows) {
        T* const out = to + d * block::cols;
        next.ask(d / block::rows, tile::panel_count(depth, block::rows));
        // The sums of two tiles on.
        for (std::size_t e = 0; e < block::rows * block::cols; e += 64 / sizeof(T)) {
            prefetch_write(out + 2 * block::rows * block::cols + e);
        }
        const std::size_t rows = (std::min)(block::rows, depth - d);
        block t;
        t.load(out, block::cols, rows);
        t.multiply(q.padded(), left + d * q.padded(), 1, block::rows, weights);
        t.store(out, block::cols, rows);
    }
}

}  // namespace reckon::detail
