// Mid-ranks of one group: all pairs compared in lanes while the group is short, a sort of keys with row numbers beyond.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"

namespace reckon::detail {

/// twice_rank / twice_n, which are integers below 2^33: the nearest double, and for twice_n = 2 n with n < 2^29 the nearest
/// float. In [1/2, 1), and elsewhere up to a power of two, a ratio that is not halfway between two floats is at least
/// 2^-25 / n > 2^-54 from there, and rounding to double moves it by at most 2^-54: not across. In a larger group a float that
/// is rounded twice may be the second nearest.
template <class Out>
RECKON_INLINE Out share_below(std::size_t twice_rank, std::size_t twice_n) noexcept {
    return static_cast<Out>(static_cast<double>(twice_rank) / static_cast<double>(twice_n));
}

/// Elements of a column that are below y and at most y, in one sorted run without NaN.
struct rank_bounds {
    std::size_t below = 0;
    std::size_t at_most = 0;
};
template <class T>
RECKON_INLINE rank_bounds find_rank(const T* sorted, std::size_t n, T y) noexcept {
    rank_bounds found;
    const T *low = sorted, *high = sorted;
    // Branch-free: both searches halve the same lengths.
    for (std::size_t left = n; left > 1;) {
        const std::size_t half = left / 2;
        low += low[half - 1] < y ? half : 0;
        high += high[half - 1] <= y ? half : 0;
        left -= half;
    }
    found.below = static_cast<std::size_t>(low - sorted) + (n > 0 && *low < y ? 1 : 0);
    found.at_most = static_cast<std::size_t>(high - sorted) + (n > 0 && *high <= y ? 1 : 0);
    return found;
}

/// Up to this many elements all pairs are compared: eight or sixteen at a time, and without a branch.
inline constexpr std::size_t most_pairs = 128;

/// What a thread needs for its groups; grows to the longest.
struct midrank_scratch {
    std::vector<std::uint64_t> items, spare;

    void reserve(std::size_t n) {
        if (items.size() >= n) return;
        items.resize(n);
        spare.resize(n);
    }
};

/// Percentiles of `here` <= Packs * lanes elements of a group, from their comparison with all n of it.
template <class Isa, std::size_t Packs, class T, class Out>
RECKON_INLINE void compare_with_group(const T* some, std::size_t here, const T* group, std::size_t n, T twice_valid,
                                      Out* out) noexcept {
    using pack = simd::pack<T, Isa>;
    constexpr std::size_t width = Packs * pack::lanes;
    const pack one(T(1)), zero(T(0));
    T padded[width], counted[width];
    for (std::size_t i = 0; i < width; ++i) padded[i] = some[i < here ? i : 0];
    pack x[Packs], count[Packs];
    for (std::size_t k = 0; k < Packs; ++k) {
        x[k] = pack::load(padded + k * pack::lanes);
        count[k] = zero;
    }
    for (std::size_t j = 0; j < n; ++j) {
        const pack y(group[j]);
        // A NaN loses every comparison on both sides.
        for (std::size_t k = 0; k < Packs; ++k) {
            count[k] += select(y < x[k], one, zero) + select(y <= x[k], one, zero);
        }
    }
    for (std::size_t k = 0; k < Packs; ++k) count[k].store(counted + k * pack::lanes);
    for (std::size_t i = 0; i < here; ++i) {
        const Out share = static_cast<Out>(counted[i]) / static_cast<Out>(twice_valid);
        out[i] = padded[i] == padded[i] ? share : std::numeric_limits<Out>::quiet_NaN();
    }
}

/// n <= most_pairs; returns how many are not NaN.
template <class Isa, class T, class Out>
std::size_t midranks_by_pairs(const T* values, std::size_t n, Out* out) noexcept {
    constexpr std::size_t lanes = simd::pack<T, Isa>::lanes;
    std::size_t valid = 0;
    for (std::size_t i = 0; i < n; ++i) valid += values[i] == values[i] ? 1 : 0;
    // Counts are at most 2 * most_pairs, so that T holds them.
    const T twice_valid = static_cast<T>(2 * valid);
    for (std::size_t i = 0; i < n;) {
        const std::size_t left = n - i, here = (std::min)(left, 4 * lanes);
        if (left > 2 * lanes) {
            compare_with_group<Isa, 4>(values + i, here, values, n, twice_valid, out + i);
        } else if (left > lanes) {
            compare_with_group<Isa, 2>(values + i, here, values, n, twice_valid, out + i);
        } else {
            compare_with_group<Isa, 1>(values + i, here, values, n, twice_valid, out + i);
        }
        i += here;
    }
    return valid;
}

/// Elements in ascending order are same(k - 1, k) for equal ones and row(k) for their places.
template <class Out, class Row, class Same>
RECKON_INLINE void write_midranks(std::size_t n, Out* out, Row&& row, Same&& same) noexcept {
    for (std::size_t k = 0; k < n;) {
        std::size_t next = k + 1;
        while (next < n && same(next - 1, next)) ++next;
        const Out share = share_below<Out>(k + next, 2 * n);
        for (; k < next; ++k) out[row(k)] = share;
    }
}

template <class Isa, class Out>
std::size_t midranks_by_sort(const float* values, std::size_t n, Out* out, midrank_scratch& scratch) {
    scratch.reserve(n);
    std::uint64_t* const items = scratch.items.data();
    std::size_t valid = 0;
    for (std::size_t i = 0; i < n; ++i) {
        items[valid] = (std::uint64_t{ordered_bits(values[i])} << 32) | i;
        const bool ok = values[i] == values[i];
        if (!ok) out[i] = std::numeric_limits<Out>::quiet_NaN();
        valid += ok ? 1 : 0;
    }
    sort_bucket<Isa>(items, scratch.spare.data(), valid);
    write_midranks(
        valid, out, [&](std::size_t k) { return static_cast<std::uint32_t>(items[k]); },
        [&](std::size_t a, std::size_t b) { return ((items[a] ^ items[b]) >> 32) == 0; });
    return valid;
}
template <class Isa, class Out>
std::size_t midranks_by_sort(const double* values, std::size_t n, Out* out, midrank_scratch&) {
    const auto order = ascending_order<Isa>(vector_view<const double>(values, n));
    std::size_t valid = n;
    for (; valid > 0 && values[order[valid - 1]] != values[order[valid - 1]]; --valid) {
        out[order[valid - 1]] = std::numeric_limits<Out>::quiet_NaN();
    }
    write_midranks(
        valid, out, [&](std::size_t k) { return order[k]; },
        [&](std::size_t a, std::size_t b) { return values[order[a]] == values[order[b]]; });
    return valid;
}

/// Mid-rank percentiles of one group; returns how many elements are not NaN.
template <class Isa, class T, class Out>
std::size_t group_midranks(const T* values, std::size_t n, Out* out, midrank_scratch& scratch) {
    if (n <= most_pairs) return midranks_by_pairs<Isa>(values, n, out);
    return midranks_by_sort<Isa>(values, n, out, scratch);
}

/// Groups a part: about exec::default_part_size rows, whatever the sizes of the groups.
inline std::size_t groups_a_part(std::size_t groups, std::size_t rows, std::size_t rows_a_part) noexcept {
    if (rows <= rows_a_part) return groups > 0 ? groups : 1;
    return (std::max)(std::size_t{1},
                      static_cast<std::size_t>(static_cast<double>(groups) *
                                               (static_cast<double>(rows_a_part) / static_cast<double>(rows))));
}

/// Writes the values in ascending order, without NaN, and returns how many there are; -0 becomes +0. The two vectors are
/// scratch and grow as needed.
template <class Isa>
std::size_t sort_values(const float* values, std::size_t n, float* sorted, std::vector<std::uint32_t>& keys,
                        std::vector<std::uint32_t>& spare) {
    keys.clear();
    for (std::size_t i = 0; i < n; ++i) {
        if (values[i] == values[i]) keys.push_back(ordered_bits(values[i]));
    }
    if (spare.size() < keys.size()) spare.resize(keys.size());
    sort_bucket<Isa>(keys.data(), spare.data(), keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) sorted[i] = from_ordered_bits<float>(keys[i]);
    return keys.size();
}

}  // namespace reckon::detail
