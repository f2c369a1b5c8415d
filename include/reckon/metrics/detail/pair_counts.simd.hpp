// Counts the pairs of rows that two columns order alike, exactly: short lists by comparing all pairs in lanes, long ones
// by a merge sort that counts.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"
#include "reckon/metrics/detail/auc.simd.hpp"

namespace reckon::detail {

/// Pairs of rows of two columns, each pair once.
struct pair_counts {
    std::int64_t agreement = 0;         ///< pairs ordered alike less pairs ordered the other way round
    std::uint64_t distinct_scores = 0;  ///< pairs that differ in the first column
    std::uint64_t distinct_labels = 0;  ///< pairs that differ in the second column
};

/// Memory that grows to the longest list.
template <class T>
T* room_for(scratch_array<T>& memory, std::size_t size) {
    if (memory.size() < size) memory = scratch_array<T>((std::max)(size, 2 * memory.size()));
    return memory.data();
}

/// The type in whose lanes values of type X are compared: float where that is exact, else double, in which integers
/// beyond 2^53 round.
template <class X>
using ordinal_t =
    std::conditional_t<std::is_same_v<X, float> || (std::is_integral_v<X> && sizeof(X) <= 2), float, double>;

/// Elements that a buffer read in whole registers holds for n values, at most.
template <class Isa, class T>
constexpr std::size_t padded_size(std::size_t n) noexcept {
    return n + 2 * simd::pack<T, Isa>::lanes;
}
/// Fills two registers behind the last value with NaN, which no comparison takes.
template <class Isa, class T>
RECKON_INLINE void pad(T* values, std::size_t n) noexcept {
    const simd::pack<T, Isa> nan(std::numeric_limits<T>::quiet_NaN());
    nan.store(values + n);
    nan.store(values + n + simd::pack<T, Isa>::lanes);
}

/// Two columns without the rows in which either is NaN, padded, in memory that is kept from list to list.
template <class Isa, class A, class B>
class clean_columns {
  public:
    using value_type =
        std::conditional_t<std::is_same_v<ordinal_t<A>, float> && std::is_same_v<ordinal_t<B>, float>, float, double>;

    void take(vector_view<const A> first, vector_view<const B> second) {
        const std::size_t n = first.size();
        value_type* const a = room_for(first_, padded_size<Isa, value_type>(n));
        value_type* const b = room_for(second_, padded_size<Isa, value_type>(n));
        std::size_t held = 0;
        for (std::size_t i = 0; i < n; ++i) {
            const auto x = static_cast<value_type>(first[i]), y = static_cast<value_type>(second[i]);
            a[held] = x;
            b[held] = y;
            held += static_cast<std::size_t>(x == x) & static_cast<std::size_t>(y == y);
        }
        size_ = held;
        rows_ = {size_, n - size_};
        pad<Isa>(a, size_);
        pad<Isa>(b, size_);
    }
    /// Also drops rows whose second value is infinite.
    void keep_finite() noexcept {
        const std::size_t before = size_;
        size_ = 0;
        for (std::size_t i = 0; i < before; ++i) {
            first_[size_] = first_[i];
            second_[size_] = second_[i];
            size_ += second_[i] - second_[i] == value_type(0) ? 1 : 0;
        }
        rows_.merge({0, before - size_});
        rows_.accepted = size_;
        pad<Isa>(first_.data(), size_);
        pad<Isa>(second_.data(), size_);
    }
    const value_type* first() const noexcept { return first_.data(); }
    const value_type* second() const noexcept { return second_.data(); }
    std::size_t size() const noexcept { return size_; }
    const counts& rows() const noexcept { return rows_; }

  private:
    scratch_array<value_type> first_, second_;
    std::size_t size_ = 0;
    counts rows_;
};

/// True where a mask holds in all lanes.
template <class T, class Isa>
RECKON_INLINE bool every_lane(simd::pack_mask<T, Isa> mask) noexcept {
    return !any(select(mask, simd::pack<T, Isa>(T(0)), simd::pack<T, Isa>(T(1))) > simd::pack<T, Isa>(T(0)));
}

/// True where a value is NaN.
template <class Isa, class T>
bool any_nan(vector_view<const T> values) noexcept {
    if constexpr (std::is_floating_point_v<T>) {
        using pack = simd::pack<T, Isa>;
        const std::size_t n = values.size();
        auto ok = pack(T(0)) == pack(T(0));
        std::size_t i = 0;
        for (; i + pack::lanes <= n; i += pack::lanes) {
            const pack x = pack::load(values.data() + i);
            ok = ok & (x == x);
        }
        bool good = every_lane(ok);
        for (; i < n; ++i) good &= values[i] == values[i];
        return !good;
    } else {
        return false;
    }
}
/// True where every label is 0 or 1.
template <class Isa, class Y>
bool all_binary(vector_view<const Y> labels) noexcept {
    if constexpr (std::is_floating_point_v<Y>) {
        using pack = simd::pack<Y, Isa>;
        const std::size_t n = labels.size();
        const pack zero(Y(0)), one(Y(1));
        auto ok = zero == zero;
        std::size_t i = 0;
        for (; i + pack::lanes <= n; i += pack::lanes) {
            const pack y = pack::load(labels.data() + i);
            ok = ok & ((y == zero) | (y == one));
        }
        return every_lane(ok) && labels_are_binary<Isa>(labels.slice(i, n - i));
    } else {
        return labels_are_binary<Isa>(labels);
    }
}

/// K registers of values against all others: adds #{other < value} + #{other <= value} to two counters, which take turns.
template <class Isa, std::size_t K, class T>
RECKON_INLINE void count_below(const T* values, const T* others, std::size_t count,
                               simd::lane_counts<T, Isa> (&below)[2]) noexcept {
    using pack = simd::pack<T, Isa>;
    pack value[K];
    for (std::size_t k = 0; k < K; ++k) value[k] = pack::load(values + k * pack::lanes);
    simd::lane_counts<T, Isa> first = below[0], second = below[1];
    for (std::size_t j = 0; j < count; ++j) {
        const pack other(others[j]);
#pragma GCC unroll 4
        for (std::size_t k = 0; k < K; ++k) {
            first.add(other < value[k]);
            second.add(other <= value[k]);
        }
    }
    below[0] = first;
    below[1] = second;
}

/// Twice the number of pairs (positive, negative) with positive > negative, plus the number of equal pairs. All pairs
/// are compared. Both buffers are padded(); the smaller has at most 2^20 values and NaN in neither.
template <class Isa, class T>
std::uint64_t compare_all(const T* positives, std::size_t positive_count, const T* negatives,
                          std::size_t negative_count) noexcept {
    using pack = simd::pack<T, Isa>;
    using bits = typename simd::float_format<T>::bits;
    // The larger side lies in lanes, the smaller is broadcast. Pairs that negatives win or tie are what positives lack.
    const bool positives_in_lanes = positive_count >= negative_count;
    const T* const values = positives_in_lanes ? positives : negatives;
    const T* const others = positives_in_lanes ? negatives : positives;
    const std::size_t n = (std::max)(positive_count, negative_count), m = (std::min)(positive_count, negative_count);
    std::uint64_t counted = 0;
    // 32-bit counters: at most 4 * 2^20 a step, emptied after 512 of them.
    constexpr std::size_t step = 4 * pack::lanes;
    std::size_t i = 0;
    while (i < n) {
        simd::lane_counts<T, Isa> below[2];
        const std::size_t stop = (std::min)(n, i + 512 * step);
        for (; i + 3 * pack::lanes < stop; i += step) count_below<Isa, 4>(values + i, others, m, below);
        if (i + 2 * pack::lanes < stop) {
            count_below<Isa, 3>(values + i, others, m, below);
            i = stop;
        } else if (i + pack::lanes < stop) {
            count_below<Isa, 2>(values + i, others, m, below);
            i = stop;
        } else if (i < stop) {
            count_below<Isa, 1>(values + i, others, m, below);
            i = stop;
        }
        bits lanes[2][pack::lanes];
        below[0].store(lanes[0]);
        below[1].store(lanes[1]);
        for (std::size_t k = 0; k < pack::lanes; ++k) counted += std::uint64_t{lanes[0][k]} + lanes[1][k];
    }
    return positives_in_lanes ? counted : 2 * std::uint64_t{n} * m - counted;
}

/// Longest list whose pairs are all compared when labels have more than two values.
template <class Isa, class T>
inline constexpr std::size_t compared_rows = 64 * simd::pack<T, Isa>::lanes;

/// Every pair of at most compared_rows rows, without NaN; both buffers are padded(). Pairs with different scores are
/// counted on demand.
template <bool CountScores, class Isa, class T>
pair_counts compare_pairs_of_rows(const T* scores, const T* labels, std::size_t n) noexcept {
    using pack = simd::pack<T, Isa>;
    using bits = typename simd::float_format<T>::bits;
    simd::lane_counts<T, Isa> above, won, held, ordered;
    for (std::size_t i = 0; i < n; i += 2 * pack::lanes) {
        const pack score[2] = {pack::load(scores + i), pack::load(scores + i + pack::lanes)};
        const pack label[2] = {pack::load(labels + i), pack::load(labels + i + pack::lanes)};
        for (std::size_t j = 0; j < n; ++j) {
            const pack other(scores[j]), other_label(labels[j]);
#pragma GCC unroll 2
            for (std::size_t k = 0; k < 2; ++k) {
                const auto less = other < score[k], label_less = other_label < label[k];
                if constexpr (CountScores) above.add(less);
                ordered.add(label_less);
                won.add(label_less & less);
                held.add(label_less & (other <= score[k]));
            }
        }
    }
    const auto sum = [](const simd::lane_counts<T, Isa>& counter) {
        bits lanes[pack::lanes];
        counter.store(lanes);
        std::uint64_t total = 0;
        for (const bits lane : lanes) total += lane;
        return total;
    };
    pair_counts result;
    result.distinct_scores = sum(above);
    result.distinct_labels = sum(ordered);
    result.agreement =
        static_cast<std::int64_t>(sum(won) + sum(held)) - static_cast<std::int64_t>(result.distinct_labels);
    return result;
}

/// Sorts 32-bit keys by merging and returns the number of pairs that stood in the wrong order; `spare` has room for n.
template <class Isa>
std::uint64_t sort_counting(std::uint32_t* items, std::size_t n, std::uint32_t* spare) noexcept {
    constexpr std::size_t few = 8;
    std::uint64_t inversions = 0;
    for (std::size_t first = 0; first < n; first += few) {
        const std::size_t end = (std::min)(n, first + few);
        for (std::size_t i = first + 1; i < end; ++i) {
            const std::uint32_t item = items[i];
            std::size_t j = i;
            for (; j > first && items[j - 1] > item; --j) items[j] = items[j - 1];
            items[j] = item;
            inversions += i - j;
        }
    }
    std::uint32_t *from = items, *to = spare;
    for (std::size_t run = few; run < n; run *= 2) {
        for (std::size_t first = 0; first < n; first += 2 * run) {
            const std::size_t middle = (std::min)(n, first + run), end = (std::min)(n, middle + run);
            std::size_t left = first, right = middle, out = first;
            if (end - middle == run) {
                // Runs of equal length from both ends at once: two chains of loads that do not wait for each other, and
                // neither end can leave its run. An item of the right run counts those of the left one above it.
                // Differences instead of comparisons, which a compiler would turn into branches that nobody can guess.
                std::size_t left_back = middle - 1, right_back = end - 1, back = end - 1;
                for (std::size_t k = 0; k < run; ++k) {
                    const std::uint64_t a = from[left], rise = std::uint64_t{from[right]} - a;
                    const std::uint64_t from_right = rise >> 63;
                    to[out++] = static_cast<std::uint32_t>(a + (rise & (0 - from_right)));
                    inversions += (middle - left) & (0 - from_right);
                    right += from_right;
                    left += 1 - from_right;
                    const std::uint64_t c = from[left_back], ascent = std::uint64_t{from[right_back]} - c;
                    const std::uint64_t from_left = ascent >> 63;
                    to[back--] = static_cast<std::uint32_t>(c + (ascent & (from_left - 1)));
                    inversions += (middle - 1 - left_back) & (from_left - 1);
                    left_back -= from_left;
                    right_back -= 1 - from_left;
                }
            } else {
                while (left < middle && right < end) {
                    const bool from_right = from[right] < from[left];
                    inversions += from_right ? middle - left : 0;
                    to[out++] = from_right ? from[right++] : from[left++];
                }
                std::copy(from + left, from + middle, to + out);
                std::copy(from + right, from + end, to + out + (middle - left));
            }
        }
        std::swap(from, to);
    }
    if (from != items) std::copy(from, from + n, items);
    return inversions;
}

/// Sorts 64-bit keys by 8 bits at a time; a digit in which all keys agree costs nothing. `spare` has room for n; returns
/// the buffer that holds the result.
template <class Isa>
std::uint64_t* sort_keys(std::uint64_t* keys, std::size_t n, std::uint64_t* spare) noexcept {
    std::uint32_t ends[8][256] = {};
    for (std::size_t i = 0; i < n; ++i) {
        for (int p = 0; p < 8; ++p) ++ends[p][(keys[i] >> (8 * p)) & 255];
    }
    for (int p = 0; p < 8 && n > 0; ++p) {
        if (ends[p][(keys[0] >> (8 * p)) & 255] == n) continue;
        std::uint32_t start = 0;
        for (std::uint32_t& end : ends[p]) start += std::exchange(end, start);
        for (std::size_t i = 0; i < n; ++i) spare[ends[p][(keys[i] >> (8 * p)) & 255]++] = keys[i];
        std::swap(keys, spare);
    }
    return keys;
}

/// Pairs of equal items among sorted ones.
template <class Isa, class Key>
std::uint64_t equal_pairs(const Key* items, std::size_t n) noexcept {
    std::uint64_t pairs = 0, before = 0;
    for (std::size_t i = 1; i < n; ++i) {
        before = items[i] == items[i - 1] ? before + 1 : 0;
        pairs += before;
    }
    return pairs;
}

/// 32-bit numbers that order as the values do; NaN has no place.
template <class Isa, class T>
void ordinals(const T* values, std::size_t n, std::uint32_t* out) {
    if constexpr (std::is_same_v<T, float>) {
        for (std::size_t i = 0; i < n; ++i) out[i] = ordered_bits(values[i]);
    } else {
        bool floats = true;
        for (std::size_t i = 0; i < n && floats; ++i) {
            // Beyond the range of float a conversion would be undefined.
            constexpr double most = (std::numeric_limits<float>::max)();
            floats = (values[i] <= most && values[i] >= -most &&
                      static_cast<double>(static_cast<float>(values[i])) == values[i]);
        }
        if (floats) {
            for (std::size_t i = 0; i < n; ++i) out[i] = ordered_bits(static_cast<float>(values[i]));
            return;
        }
        const auto order = radix_order<Isa>(n, [&](std::size_t i) { return ordered_bits(values[i]); });
        std::uint32_t place = 0;
        for (std::size_t i = 0; i < n; ++i) {
            if (i > 0 && values[order[i]] != values[order[i - 1]]) ++place;
            out[order[i]] = place;
        }
    }
}

/// Memory of sort_pairs().
struct pair_scratch {
    scratch_array<std::uint64_t> keys, spare;
    scratch_array<std::uint32_t> places, second, merged;
};

/// Any number of rows below 2^32 without NaN (Knight 1966): sorted by score, and by label among equal ones, the pairs
/// out of order in the labels are those that the columns order differently.
template <class Isa, class T>
pair_counts sort_pairs(const T* scores, const T* labels, std::size_t n, pair_scratch& memory) {
    std::uint64_t* keys = room_for(memory.keys, n);
    std::uint32_t* const first = room_for(memory.places, n);
    std::uint32_t* const second = room_for(memory.second, n);
    ordinals<Isa>(scores, n, first);
    ordinals<Isa>(labels, n, second);
    for (std::size_t i = 0; i < n; ++i) keys[i] = (std::uint64_t{first[i]} << 32) | second[i];
    keys = sort_keys<Isa>(keys, n, room_for(memory.spare, n));
    for (std::size_t i = 0; i < n; ++i) {
        first[i] = static_cast<std::uint32_t>(keys[i] >> 32);
        second[i] = static_cast<std::uint32_t>(keys[i]);
    }
    const std::uint64_t tied_both = equal_pairs<Isa>(keys, n), tied_scores = equal_pairs<Isa>(first, n);
    const std::uint64_t against = sort_counting<Isa>(second, n, room_for(memory.merged, n));
    const std::uint64_t tied_labels = equal_pairs<Isa>(second, n), pairs = n / 2 * (n - 1 + n % 2);
    const std::uint64_t alike = pairs - tied_scores - tied_labels + tied_both - against;
    return {static_cast<std::int64_t>(alike - against), pairs - tied_scores, pairs - tied_labels};
}

/// Pairs of the rows of two columns, in memory that is kept from list to list.
template <bool CountScores, class Isa, class A, class B>
class row_pairs {
  public:
    pair_counts operator()(vector_view<const A> first, vector_view<const B> second) {
        using T = typename clean_columns<Isa, A, B>::value_type;
        columns.take(first, second);
        return columns.size() <= compared_rows<Isa, T>
                   ? compare_pairs_of_rows<CountScores, Isa>(columns.first(), columns.second(), columns.size())
                   : sort_pairs<Isa>(columns.first(), columns.second(), columns.size(), memory_);
    }

    clean_columns<Isa, A, B> columns;

  private:
    pair_scratch memory_;
};

}  // namespace reckon::detail
