// Rows gathered by one or two ids, ranked, and put back into their order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "reckon/core/group_by.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/detail/midrank.simd.hpp"
#include "reckon/percentile/duration_buckets.hpp"

namespace reckon::detail {

/// Rows in groups, without the ids.
struct row_groups {
    std::vector<std::uint32_t> offsets;  // [G + 1]
    std::vector<std::uint32_t> rows;     // [N], or none when the rows are in this order

    std::size_t size() const noexcept { return offsets.size() - 1; }
    std::size_t row(std::size_t k) const noexcept { return rows.empty() ? k : rows[k]; }
};

/// The groups of a grouping, each cut by a second id in [0, parts); bucket[row] of `parts` or more goes to the last part.
/// Parts without rows are left out: most are, where there are many groups and parts. Those of a group come in the order of
/// their first rows, and rows keep their order.
template <class Isa, class Id>
row_groups split_groups(grouped_rows<Id>&& groups, const std::vector<std::uint32_t>& bucket, std::size_t parts) {
    if (parts <= 1) return {std::move(groups.offsets), std::move(groups.rows)};
    const std::size_t n = bucket.size();
    row_groups split;
    split.offsets.push_back(0);
    split.rows.resize(n);
    std::vector<std::uint32_t> start(parts), met;  // start is 0 between groups
    for (std::size_t g = 0; g < groups.size(); ++g) {
        const std::size_t first = groups.first(g), end = first + groups.count(g);
        const auto part_of = [&](std::size_t k) {
            const std::size_t b = bucket[groups.row(k)];
            return b < parts ? b : parts - 1;
        };
        for (std::size_t k = first; k < end; ++k) {
            const std::size_t b = part_of(k);
            if (start[b]++ == 0) met.push_back(static_cast<std::uint32_t>(b));
        }
        auto at = static_cast<std::uint32_t>(first);
        for (const std::uint32_t b : met) {
            at += std::exchange(start[b], at);
            split.offsets.push_back(at);
        }
        for (std::size_t k = first; k < end; ++k) {
            split.rows[start[part_of(k)]++] = static_cast<std::uint32_t>(groups.row(k));
        }
        for (const std::uint32_t b : met) start[b] = 0;
        met.clear();
    }
    return split;
}

/// bucket[row] of every duration; duration_buckets::no_bucket for NaN.
template <class Policy, class D>
std::vector<std::uint32_t> bucket_rows(const Policy& where, const duration_buckets& buckets,
                                       vector_view<const D> durations) {
    std::vector<std::uint32_t> of(durations.size());
    exec::map_parts(where, of.size(), [&](std::size_t first, std::size_t count) {
        for (std::size_t i = first; i < first + count; ++i) of[i] = buckets.index(static_cast<double>(durations[i]));
    });
    return of;
}

/// Percentile of each row inside its group and the number of values there, in the order of the rows. A row whose bucket is
/// no_bucket has no place, as if its value were NaN; no buckets given is a bucket for every row.
struct side_ranks {
    std::vector<float> percentiles;
    std::vector<std::uint32_t> support;
};
template <class Isa, class Policy>
side_ranks rank_rows(const Policy& where, const row_groups& groups, vector_view<const float> values,
                     const std::vector<std::uint32_t>& bucket) {
    side_ranks ranked{std::vector<float>(values.size()), std::vector<std::uint32_t>(values.size())};
    if (values.empty()) return ranked;
    exec::map_parts(
        where, groups.size(),
        [&](std::size_t begin, std::size_t count) {
            midrank_scratch scratch;
            std::vector<float> gathered, share;
            for (std::size_t g = begin; g < begin + count; ++g) {
                const std::size_t first = groups.offsets[g], n = groups.offsets[g + 1] - first;
                if (gathered.size() < n) {
                    gathered.resize(n);
                    share.resize(n);
                }
                for (std::size_t k = 0; k < n; ++k) {
                    const std::size_t row = groups.row(first + k);
                    const bool placed = bucket.empty() || bucket[row] != duration_buckets::no_bucket;
                    gathered[k] = placed ? values[row] : std::numeric_limits<float>::quiet_NaN();
                }
                const std::size_t valid = group_midranks<Isa>(gathered.data(), n, share.data(), scratch);
                for (std::size_t k = 0; k < n; ++k) {
                    const std::size_t row = groups.row(first + k);
                    ranked.percentiles[row] = share[k];
                    ranked.support[row] = static_cast<std::uint32_t>(valid);
                }
            }
        },
        groups_a_part(groups.size(), values.size(), exec::default_part_size));
    return ranked;
}

}  // namespace reckon::detail
