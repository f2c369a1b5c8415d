// Sorting by score. Ranks, isotonic regression and exact AUC all need examples in score order; with 0/1 labels they
// need less than a sort, and visit_sorted() gives them that.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"

namespace reckon {

/// Unsigned integer that orders as the floating-point number does; -0 and +0 give the same one. NaN has no place.
template <class T>
RECKON_INLINE typename simd::float_format<T>::bits ordered_bits(T x) noexcept {
    using bits = typename simd::float_format<T>::bits;
    constexpr bits sign = bits(1) << (8 * sizeof(T) - 1);
    const bits b = std::bit_cast<bits>(x + T(0));  // -0 becomes +0
    return b ^ ((b & sign) != 0 ? ~bits(0) : sign);
}
/// The number that ordered_bits() was given.
template <class T>
RECKON_INLINE T from_ordered_bits(typename simd::float_format<T>::bits b) noexcept {
    using bits = typename simd::float_format<T>::bits;
    constexpr bits sign = bits(1) << (8 * sizeof(T) - 1);
    return std::bit_cast<T>(static_cast<bits>(b ^ ((b & sign) != 0 ? sign : ~bits(0))));
}

namespace detail {

// Row numbers 0 .. n - 1 in ascending order of key(i), an unsigned integer; equal keys keep their order. Radix sort by
// 11 bits; a digit in which all keys agree costs nothing.
template <class Isa, class Key>
std::vector<std::uint32_t> radix_order(std::size_t n, Key&& key) {
    using bits = std::remove_cvref_t<decltype(key(std::size_t{0}))>;
    struct item {
        bits key;
        std::uint32_t row;
    };
    constexpr int digit = 11;
    constexpr int passes = (8 * static_cast<int>(sizeof(bits)) + digit - 1) / digit;
    constexpr bits mask = (bits(1) << digit) - 1;
    scratch_array<item> from(n), to(n);
    std::vector<std::array<std::uint32_t, std::size_t{1} << digit>> counts(passes);
    for (std::size_t i = 0; i < n; ++i) {
        const bits k = key(i);
        from[i] = {k, static_cast<std::uint32_t>(i)};
        for (int p = 0; p < passes; ++p) ++counts[static_cast<std::size_t>(p)][(k >> (p * digit)) & mask];
    }
    for (int p = 0; p < passes && n > 0; ++p) {
        auto& count = counts[static_cast<std::size_t>(p)];
        if (count[(from[0].key >> (p * digit)) & mask] == n) continue;  // all keys agree in this digit
        std::uint32_t start = 0;
        for (std::uint32_t& c : count) start += std::exchange(c, start);
        for (std::size_t i = 0; i < n; ++i) to[count[(from[i].key >> (p * digit)) & mask]++] = from[i];
        std::swap(from, to);
    }
    std::vector<std::uint32_t> order(n);
    for (std::size_t i = 0; i < n; ++i) order[i] = from[i].row;
    return order;
}

}  // namespace detail

/// Row numbers in ascending order of score; equal scores keep their order, NaN comes last.
///
/// Throws    std::invalid_argument for 2^32 rows or more.
/// Cost      radix sort: 3 passes over float, 6 over double, fewer when leading or trailing bits are all equal.
template <class Isa = isa::native, class T>
std::vector<std::uint32_t> ascending_order(vector_view<const T> scores) {
    using bits = typename simd::float_format<T>::bits;
    const std::size_t n = scores.size();
    expects(n < (std::uint64_t{1} << 32), "ascending_order", n, " rows, fewer than 2^32 are possible");
    return detail::radix_order<Isa>(
        n, [&](std::size_t i) -> bits { return scores[i] == scores[i] ? ordered_bits(scores[i]) : ~bits(0); });
}

namespace detail {

template <class Item>
RECKON_INLINE void insertion_sort(Item* items, std::size_t n) noexcept {
    for (std::size_t i = 1; i < n; ++i) {
        const Item item = items[i];
        std::size_t j = i;
        for (; j > 0 && items[j - 1] > item; --j) items[j] = items[j - 1];
        items[j] = item;
    }
}

// Sorts items. A counting pass on the leading bits in which they differ, with about one slot an item, leaves hardly any
// far from its place; insertion does the rest. `scratch` holds n items. Items are 32-bit keys, perhaps with a label in the
// last bit, or 64 bits: a key above a row number, in ascending order of the row number.
template <class Isa, class Item>
void sort_bucket(Item* items, Item* scratch, std::size_t n) noexcept {
    static_assert(std::is_same_v<Item, std::uint32_t> || std::is_same_v<Item, std::uint64_t>);
    constexpr bool has_rows = sizeof(Item) == 8;
    constexpr std::uint32_t few = 16;
    constexpr int most_slot_bits = 10;
    if (n > few) {
        // Keys on both sides of a power of two differ in every bit below it, so that long items, which come from the
        // whole range of the keys, are counted from the lowest. Short ones lie in a bucket already.
        Item difference = 0, lowest = 0;
        if constexpr (has_rows) {
            Item highest = lowest = items[0];
            for (std::size_t i = 1; i < n; ++i) {
                lowest = items[i] < lowest ? items[i] : lowest;
                highest = items[i] > highest ? items[i] : highest;
            }
            if (((lowest ^ highest) >> 32) == 0) return;  // equal keys, rows ascend
            difference = highest - lowest;
        } else {
            std::uint32_t odd = 0;
            for (std::size_t i = 0; i < n; ++i) {
                difference |= items[i] ^ items[0];
                odd += items[i] & 1u;
            }
            if (difference <= 1) {  // equal but for the last bit: heavy ties end here
                std::fill(items, items + (n - odd), items[0] & ~1u);
                std::fill(items + (n - odd), items + n, items[0] | 1u);
                return;
            }
        }
        const auto bits = static_cast<int>(std::bit_width(difference));
        const int slot_bits = (std::min)({static_cast<int>(std::bit_width(n - 1)), most_slot_bits, bits});
        const int shift = bits - slot_bits;
        const std::size_t slot_count = std::size_t{1} << slot_bits;
        const auto mask = static_cast<Item>(slot_count - 1);
        const auto slot_of = [=](Item item) { return ((item - lowest) >> shift) & mask; };
        std::uint32_t end[std::size_t{1} << most_slot_bits];
        std::fill(end, end + slot_count, 0u);
        for (std::size_t i = 0; i < n; ++i) ++end[slot_of(items[i])];
        std::uint32_t at = 0, fullest = 0;
        for (std::size_t s = 0; s < slot_count; ++s) {
            fullest = (std::max)(fullest, end[s]);
            at += std::exchange(end[s], at);
        }
        for (std::size_t i = 0; i < n; ++i) scratch[end[slot_of(items[i])]++] = items[i];
        std::copy(scratch, scratch + n, items);
        if (shift == 0) return;
        if (fullest > few) {
            std::uint32_t first = 0;
            for (std::size_t s = 0; s < slot_count; first = end[s++]) {
                if (end[s] - first > few) sort_bucket<Isa>(items + first, scratch + first, end[s] - first);
            }
        }
    }
    insertion_sort(items, n);
}

// Scores and 0/1 labels cut into buckets that ascend; inside a bucket items are in no order. An item is
// (key - base key of its bucket) * 2 + (1 - label), exact for every float. Among equal scores positives come first.
struct score_buckets {
    scratch_array<std::uint32_t> items;
    std::vector<std::uint32_t> ends;  // bucket b holds items[b == 0 ? 0 : ends[b - 1] .. ends[b])
    std::uint32_t lowest = 0;         // ordered bits of the smallest score
    int item_bits = 1;                // of the key remainder and the label

    std::uint32_t base(std::size_t bucket) const noexcept {
        return lowest + (static_cast<std::uint32_t>(bucket) << (item_bits - 1));
    }
};

// True where every label is 0 or 1.
template <class Isa, class Y>
bool labels_are_binary(vector_view<const Y> labels) noexcept {
    int binary = 1;
    for (std::size_t i = 0; i < labels.size(); ++i) {
        binary &= static_cast<int>(labels[i] == Y(0)) | static_cast<int>(labels[i] == Y(1));
    }
    return binary != 0;
}

// Smallest and largest score, and whether all of them are finite.
struct score_range {
    float low = 0.0f;
    float high = 0.0f;
    bool finite = true;
};
template <class Isa>
score_range range_of(vector_view<const float> scores) noexcept {
    using pack = simd::pack<float, Isa>;
    if (scores.empty()) return {};
    // Four chains hide the latency of minimum and maximum. x - x is 0, or NaN where x is not finite.
    pack low[4], high[4], fault[4];
    for (int k = 0; k < 4; ++k) {
        low[k] = high[k] = pack(scores[0]);
        fault[k] = pack(0.0f);
    }
    const std::size_t n = scores.size();
    for (std::size_t i = 0; i < n; i += 4 * pack::lanes) {
        for (std::size_t k = 0; k < 4; ++k) {
            const std::size_t at = i + k * pack::lanes;
            if (at >= n) break;
            const pack x = at + pack::lanes <= n ? pack::load(scores.data() + at)
                                                 : pack::load_padded(scores.data() + at, n - at, scores[0]);
            low[k] = minimum(x, low[k]);
            high[k] = maximum(x, high[k]);
            fault[k] += x - x;
        }
    }
    float lanes_low[pack::lanes], lanes_high[pack::lanes];
    minimum(minimum(low[0], low[1]), minimum(low[2], low[3])).store(lanes_low);
    maximum(maximum(high[0], high[1]), maximum(high[2], high[3])).store(lanes_high);
    return {*std::min_element(lanes_low, lanes_low + pack::lanes),
            *std::max_element(lanes_high, lanes_high + pack::lanes),
            reduce_add((fault[0] + fault[1]) + (fault[2] + fault[3])) == 0.0f};
}

// One distinct score and how many rows with label 0 and with label 1 have it.
struct counted_score {
    std::uint32_t key = 0;  // ordered_bits(); 0 belongs to no finite score
    std::uint32_t rows[2] = {0, 0};
};

// The distinct ones of finite scores with 0/1 labels in ascending order, counted in a small hash table: ties as heavy
// as that need no partition. Empty when there are too many of them: a first look at 512 rows tells when hardly any
// repeat, and at most 2048 are kept.
template <class Isa, class Y>
std::vector<counted_score> count_distinct(vector_view<const float> scores, vector_view<const Y> labels) {
    constexpr int slot_bits = 12;
    constexpr std::size_t slot_count = std::size_t{1} << slot_bits, block = 256;
    const std::size_t n = scores.size(), most = (std::min)(slot_count / 2, n / 8);
    std::vector<counted_score> table(slot_count);
    std::size_t distinct = 0;
    std::uint32_t keys[block], starts[block];
    for (std::size_t i = 0; i < n; i += block) {
        if (i == 2 * block && distinct > 2 * block - block / 8) return {};
        const std::size_t m = (std::min)(block, n - i);
        for (std::size_t k = 0; k < m; ++k) keys[k] = ordered_bits(scores[i + k]);
        for (std::size_t k = 0; k < m; ++k) starts[k] = (keys[k] * 2654435769u) >> (32 - slot_bits);
        for (std::size_t k = 0; k < m; ++k) {
            std::size_t slot = starts[k];
            while (table[slot].key != keys[k]) {
                if (table[slot].key == 0) {
                    if (++distinct > most) return {};
                    table[slot].key = keys[k];
                    break;
                }
                slot = (slot + 1) % slot_count;
            }
            ++table[slot].rows[labels[i + k] != Y(0) ? 1 : 0];
        }
    }
    std::erase_if(table, [](const counted_score& c) { return c.key == 0; });
    std::sort(table.begin(), table.end(), [](const counted_score& a, const counted_score& b) { return a.key < b.key; });
    return table;
}

// Partitions finite scores and 0/1 labels: one pass to count, one to move; `range` is range_of(scores).
template <class Isa, class Y>
score_buckets bucket_scores(vector_view<const float> scores, vector_view<const Y> labels, const score_range& range) {
    const std::size_t n = scores.size();
    score_buckets out;
    if (n == 0) return out;
    const std::uint32_t lowest = ordered_bits(range.low);
    const std::uint32_t span = ordered_bits(range.high) - lowest;
    // About 256 items a bucket, at most 4096 buckets: their counters stay in the first-level cache.
    const int bucket_bits = (std::clamp)(static_cast<int>(std::bit_width(n / 256)), 1, 12);
    const int shift = (std::max)(static_cast<int>(std::bit_width(span)) - bucket_bits, 0);
    const std::size_t buckets = (std::size_t{span} >> shift) + 1;
    out.lowest = lowest;
    out.item_bits = shift + 1;
    out.ends.assign(buckets, 0);
    out.items = scratch_array<std::uint32_t>(n);
    std::uint32_t* ends = out.ends.data();
    std::uint32_t* items = out.items.data();
    const std::uint32_t mask = (std::uint32_t{1} << shift) - 1;
    // Keys come in blocks, which compilers turn into vector code.
    constexpr std::size_t block = 256;
    std::uint32_t keys[block], lows[block];
    for (std::size_t i = 0; i < n; i += block) {
        const std::size_t m = (std::min)(block, n - i);
        for (std::size_t k = 0; k < m; ++k) keys[k] = (ordered_bits(scores[i + k]) - lowest) >> shift;
        for (std::size_t k = 0; k < m; ++k) ++ends[keys[k]];
    }
    std::uint32_t at = 0;
    for (std::size_t b = 0; b < buckets; ++b) at += std::exchange(ends[b], at);
    for (std::size_t i = 0; i < n; i += block) {
        const std::size_t m = (std::min)(block, n - i);
        for (std::size_t k = 0; k < m; ++k) {
            const std::uint32_t key = ordered_bits(scores[i + k]) - lowest;
            keys[k] = key >> shift;
            lows[k] = ((key & mask) << 1) | static_cast<std::uint32_t>(labels[i + k] == Y(0));
        }
        for (std::size_t k = 0; k < m; ++k) items[ends[keys[k]]++] = lows[k];
    }
    return out;
}

// Visits the buckets in ascending order, each sorted: visit(base key, items, count). Sorts in place.
template <class Isa, class Visit>
void visit_sorted(score_buckets& buckets, Visit&& visit) {
    std::vector<std::uint32_t> scratch;
    std::uint32_t first = 0;
    for (std::size_t b = 0; b < buckets.ends.size(); first = buckets.ends[b++]) {
        const std::size_t count = buckets.ends[b] - first;
        if (count == 0) continue;
        if (scratch.size() < count) scratch.resize(count);
        sort_bucket<Isa>(buckets.items.data() + first, scratch.data(), count);
        visit(buckets.base(b), buckets.items.data() + first, count);
    }
}

}  // namespace detail
}  // namespace reckon
