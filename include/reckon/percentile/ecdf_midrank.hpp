// Where each element stands in its own group: mid-rank percentiles.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/segments.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/detail/midrank.simd.hpp"

namespace reckon {

/// Mid-rank percentile of every element among the elements of its group, itself included.
///
///   percentile = (rank - 1/2) / n          rank 1 .. n; equal elements share the mean of their ranks
///              = (#{smaller} + #{smaller or equal}) / (2 n)
///
/// So the mean of a group is 1/2, whatever its values; the variance is (1 - sum f^3) / 12 with the shares f of equal
/// elements: (1 - 1/n^2) / 12 when all differ.
///
/// Shapes    values [N], float or double, N < 2^32; offsets [S + 1], unsigned: group s has the rows offsets[s] ..
///           offsets[s + 1] - 1. percentiles [N], float or double.
/// Writes    percentiles, in the order of the values: 1/2 in a group of one, NaN for NaN. It may not overlap the values.
/// Returns   how many elements have a percentile, and how many are NaN: those do not count in n.
/// Throws    std::invalid_argument when lengths differ or the offsets do not ascend from 0 to N. Infinities have their
///           place in the order; -0 and +0 are equal.
/// Cost      groups of up to 128: n comparisons of a register each, no branch. Larger ones of floats: 64-bit keys with row
///           numbers, a counting pass and insertion in small cells, 16 bytes of scratch a row of the largest group; of
///           doubles: a radix sort of rows. One group is never split between threads.
/// Numerics  ranks are integers, percentiles the nearest double, and in groups below 2^29 rows the nearest float (beyond, it
///           is rounded twice): the same bits on every instruction set and for every number of threads.
/// Source    the mid-distribution function, Parzen 2004.
template <exec::policy Policy, vector_like V, vector_like Offsets, class Out, class Isa = isa::native>
counts ecdf_midrank(const Policy& where, const V& values, const Offsets& offsets, Out&& percentiles) {
    const auto x = input(values);
    const auto out = view(percentiles);
    const auto groups = make_segments("ecdf_midrank", offsets, x.size());
    expects(x.size() < (std::uint64_t{1} << 32), "ecdf_midrank", x.size(), " rows, fewer than 2^32 are possible");
    expects(out.size() == x.size(), "ecdf_midrank", x.size(), " values but room for ", out.size(), " percentiles");
    const std::size_t part = detail::groups_a_part(groups.size(), x.size(), exec::default_part_size);
    std::vector<std::uint64_t> valid(exec::detail::part_count(groups.size(), part));
    exec::map_parts(
        where, groups.size(),
        [&](std::size_t begin, std::size_t count) {
            detail::midrank_scratch scratch;
            std::uint64_t sum = 0;
            for (std::size_t s = begin; s < begin + count; ++s) {
                const std::size_t first = groups.first(s);
                sum += detail::group_midranks<Isa>(x.data() + first, groups.count(s), out.data() + first, scratch);
            }
            valid[begin / part] = sum;
        },
        part);
    counts seen;
    for (const std::uint64_t v : valid) seen.accepted += v;
    seen.rejected = x.size() - seen.accepted;
    return seen;
}

}  // namespace reckon
