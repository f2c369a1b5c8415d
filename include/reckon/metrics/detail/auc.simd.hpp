// Counts the pairs of a positive and a negative that the positive wins, without sorting: scores are partitioned until
// every pair lies in two different cells, whose counts are multiplied, or in one small cell, where it is compared.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"

namespace reckon::detail {

/// Twice the number of pairs (positive, negative) with positive > negative, plus the number of equal pairs. All pairs
/// are compared; n is at most a few thousand, so that float counters are exact.
template <class Isa>
std::uint64_t compare_pairs(const float* negatives, std::size_t negative_count, const float* positives,
                            std::size_t positive_count) noexcept {
    using pack = simd::pack<float, Isa>;
    const pack one(1.0f), zero(0.0f);
    pack won = zero;
    for (std::size_t j = 0; j < negative_count; j += pack::lanes) {
        const pack negative =
            j + pack::lanes <= negative_count
                ? pack::load(negatives + j)
                : pack::load_padded(negatives + j, negative_count - j, std::numeric_limits<float>::quiet_NaN());
        for (std::size_t i = 0; i < positive_count; ++i) {
            const pack positive(positives[i]);
            won += select(negative < positive, one, zero) + select(negative <= positive, one, zero);
        }
    }
    return static_cast<std::uint64_t>(reduce_add(won));
}

/// Cells of equal width in ordered bits over the range of some scores.
struct score_cells {
    std::uint32_t lowest;
    int shift;
    std::size_t count;

    /// At most 2^most_bits + 1 cells, about `per_cell` of n scores in each.
    score_cells(const score_range& range, std::size_t n, std::size_t per_cell, int most_bits) noexcept
        : lowest(ordered_bits(range.low)) {
        const std::uint32_t span = ordered_bits(range.high) - lowest;
        const int bits = (std::clamp)(static_cast<int>(std::bit_width(n / per_cell)), 1, most_bits);
        shift = (std::max)(static_cast<int>(std::bit_width(span)) - bits, 0);
        count = (std::size_t{span} >> shift) + 1;
    }
    RECKON_INLINE std::size_t operator()(float score) const noexcept { return (ordered_bits(score) - lowest) >> shift; }
};

/// Turns the counts of (negatives, positives) per cell into start offsets, negatives of a cell first, and returns twice
/// the pairs won between different cells.
template <class Isa>
std::uint64_t start_cells(std::uint32_t* counters, std::size_t cells) noexcept {
    std::uint64_t won_twice = 0, negatives = 0;
    std::uint32_t at = 0;
    for (std::size_t c = 0; c < cells; ++c) {
        won_twice += 2 * negatives * counters[2 * c + 1];
        negatives += counters[2 * c];
        at += std::exchange(counters[2 * c], at);
        at += std::exchange(counters[2 * c + 1], at);
    }
    return won_twice;
}

/// compare_pairs() for any number of finite scores: items holds the negatives, then the positives, n in all, and is
/// rearranged; scratch has room for n.
template <class Isa>
std::uint64_t count_pairs(float* items, std::size_t negative_count, std::size_t n, float* scratch) noexcept {
    constexpr std::size_t few = 48, per_cell = 24;
    constexpr int most_bits = 8;
    if (negative_count == 0 || negative_count == n) return 0;
    if (n <= few) return compare_pairs<Isa>(items, negative_count, items + negative_count, n - negative_count);
    const auto range = range_of<Isa>(vector_view<const float>(items, n));
    if (range.low == range.high) return std::uint64_t{negative_count} * (n - negative_count);
    const score_cells cell(range, n, per_cell, most_bits);
    std::uint32_t end[2 * ((std::size_t{1} << most_bits) + 1)];
    std::fill(end, end + 2 * cell.count, 0u);
    for (std::size_t i = 0; i < negative_count; ++i) ++end[2 * cell(items[i])];
    for (std::size_t i = negative_count; i < n; ++i) ++end[2 * cell(items[i]) + 1];
    std::uint64_t won_twice = start_cells<Isa>(end, cell.count);
    for (std::size_t i = 0; i < negative_count; ++i) scratch[end[2 * cell(items[i])]++] = items[i];
    for (std::size_t i = negative_count; i < n; ++i) scratch[end[2 * cell(items[i]) + 1]++] = items[i];
    // The lowest and the highest score lie in different cells, so every cell is smaller than this one.
    std::size_t first = 0;
    for (std::size_t c = 0; c < cell.count; first = end[2 * c++ + 1]) {
        won_twice += count_pairs<Isa>(scratch + first, end[2 * c] - first, end[2 * c + 1] - first, items + first);
    }
    return won_twice;
}

/// What count_pairs finds in scores with 0/1 labels, and the number of positives.
struct pair_count {
    std::uint64_t won_twice = 0;
    std::uint64_t positives = 0;
};

/// The same from the counts of distinct scores in ascending order.
template <class Isa>
pair_count count_pairs(const std::vector<counted_score>& scores) noexcept {
    pair_count result;
    std::uint64_t negatives = 0;
    for (const counted_score& s : scores) {
        result.won_twice += (2 * negatives + s.rows[0]) * s.rows[1];
        negatives += s.rows[0];
        result.positives += s.rows[1];
    }
    return result;
}

/// Finite scores, 0/1 labels; `range` is range_of(scores). 8 bytes of scratch a row.
template <class Isa, class Y>
pair_count count_pairs(vector_view<const float> scores, vector_view<const Y> labels, const score_range& range) {
    // 8192 cells: two counters each fit in the second-level cache, and the cells of 1e6 rows are small.
    constexpr std::size_t per_cell = 64, block = 256;
    constexpr int most_bits = 13;
    const std::size_t n = scores.size();
    pair_count result;
    if (n == 0) return result;
    const score_cells cell(range, n, per_cell, most_bits);
    std::vector<std::uint32_t> counters(2 * cell.count);
    std::uint32_t* end = counters.data();
    // Cell numbers come in blocks, which compilers turn into vector code.
    std::uint32_t slot[block];
    const auto find_slots = [&](std::size_t i, std::size_t m) {
        for (std::size_t k = 0; k < m; ++k) {
            slot[k] = static_cast<std::uint32_t>(2 * cell(scores[i + k])) + static_cast<std::uint32_t>(labels[i + k]);
        }
    };
    for (std::size_t i = 0; i < n; i += block) {
        const std::size_t m = (std::min)(block, n - i);
        find_slots(i, m);
        for (std::size_t k = 0; k < m; ++k) ++end[slot[k]];
    }
    std::size_t largest = 0;
    for (std::size_t c = 0; c < cell.count; ++c) {
        largest = (std::max)(largest, std::size_t{end[2 * c]} + end[2 * c + 1]);
        result.positives += end[2 * c + 1];
    }
    result.won_twice = start_cells<Isa>(end, cell.count);
    const scratch_array<float> items(n + largest);
    for (std::size_t i = 0; i < n; i += block) {
        const std::size_t m = (std::min)(block, n - i);
        find_slots(i, m);
        for (std::size_t k = 0; k < m; ++k) items[end[slot[k]]++] = scores[i + k];
    }
    std::size_t first = 0;
    for (std::size_t c = 0; c < cell.count; first = end[2 * c++ + 1]) {
        result.won_twice +=
            count_pairs<Isa>(items.data() + first, end[2 * c] - first, end[2 * c + 1] - first, items.data() + n);
    }
    return result;
}

}  // namespace reckon::detail
