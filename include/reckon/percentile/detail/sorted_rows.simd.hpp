// Sorted rows with the last values of blocks on top, and of blocks of those: a search reads one node of 8 or 16 values a
// level and compares it in one go, without a branch on data.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "reckon/core/config.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/percentile/detail/row_count.simd.hpp"

namespace reckon::detail {

/// Where the levels of a row of n sorted values lie, the top first.
struct row_levels {
    static constexpr std::size_t most = 9;  // 16^9 > 2^32
    std::size_t at[most] = {};
    std::size_t depth = 0;
    std::size_t floats = 0;  // of all levels
    std::size_t width = 8;

    // Up to 64 values two levels of 8 do; beyond, nodes of 16 save a level.
    explicit row_levels(std::size_t n) noexcept {
        const int bits = n <= 64 ? 3 : 4;
        width = std::size_t{1} << bits;
        std::size_t nodes[most];
        for (std::size_t values = n;; values = nodes[depth - 1]) {
            nodes[depth++] = (values + width - 1) >> bits;
            if (nodes[depth - 1] <= 1) break;
        }
        for (std::size_t level = 0; level < depth; ++level) {
            at[level] = floats;
            floats += nodes[depth - 1 - level] << bits;
        }
    }
};

/// Lays out n sorted values without NaN; `row` has room for levels.floats.
inline void build_levels(const row_levels& levels, const float* sorted, std::size_t n, float* row) noexcept {
    std::fill(row, row + levels.floats, std::numeric_limits<float>::quiet_NaN());
    if (n == 0) return;
    std::copy(sorted, sorted + n, row + levels.at[levels.depth - 1]);
    std::size_t values = n, below = levels.depth - 1;
    for (; below > 0; --below) {
        // The last block has no bound: what exceeds all others is sought there.
        const std::size_t blocks = (values + levels.width - 1) / levels.width;
        for (std::size_t b = 0; b + 1 < blocks; ++b) {
            row[levels.at[below - 1] + b] = row[levels.at[below] + (b + 1) * levels.width - 1];
        }
        values = blocks;
    }
}

// How many values of a node, which ascends and may end with NaN, are below y, or not above it.
template <bool UpTo, std::size_t Width, class Isa>
RECKON_INLINE std::size_t rank_in_node(const float* node, simd::pack<float, Isa> y) noexcept {
    using pack = simd::pack<float, Isa>;
    std::uint32_t below = 0;
    for (std::size_t i = 0; i < Width; i += pack::lanes) {
        const pack value = pack::load(node + i);
        below |= (UpTo ? lane_bits(value <= y) : lane_bits(value < y)) << i;
    }
    if constexpr (pack::lanes > Width) below &= (1u << Width) - 1;
    return static_cast<std::size_t>(std::countr_one(below));
}

template <bool UpTo, std::size_t Width, class Isa>
RECKON_INLINE std::size_t rank_in_row(const float* row, const row_levels& levels, simd::pack<float, Isa> y) noexcept {
    std::size_t at = 0;
    for (std::size_t level = 0; level < levels.depth; ++level) {
        at = at * Width + rank_in_node<UpTo, Width, Isa>(row + levels.at[level] + at * Width, y);
    }
    return at;
}

// As count_row(), for a row that build_levels() laid out.
template <row_side Side, std::size_t Width, class Isa>
RECKON_INLINE void search_nodes(const float* row, const row_levels& levels, const float* y, std::size_t n,
                                std::uint32_t* found) noexcept {
    using pack = simd::pack<float, Isa>;
    for (std::size_t i = 0; i < n; ++i) {
        const pack number(y[i]);
        std::size_t rank = 0;
        if constexpr (Side != row_side::up_to) rank += rank_in_row<false, Width, Isa>(row, levels, number);
        if constexpr (Side != row_side::below) rank += rank_in_row<true, Width, Isa>(row, levels, number);
        found[i] = static_cast<std::uint32_t>(rank);
    }
}
template <row_side Side, class Isa>
void search_row(const float* row, const row_levels& levels, const float* y, std::size_t n,
                std::uint32_t* found) noexcept {
    if (levels.width == 8) {
        search_nodes<Side, 8, Isa>(row, levels, y, n, found);
    } else {
        search_nodes<Side, 16, Isa>(row, levels, y, n, found);
    }
}

}  // namespace reckon::detail
