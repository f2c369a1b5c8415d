// Share of the lists that show something relevant on their first k ranks.
#pragma once

#include <algorithm>
#include <cstddef>

#include "reckon/core/isa.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/metrics/detail/first_relevant.hpp"
#include "reckon/metrics/list_mean.hpp"
#include "reckon/metrics/relevance_at_k.hpp"

namespace reckon {

using hit_rate_options = relevance_at_k_options;

namespace detail {

// Chance that the first k ranks reach one of `relevant` rows in a random order of `level` rows after `above` others.
//   1 - C(level - relevant, t) / C(level, t),   t = k - above, as a product over the fewer of t and `relevant`
inline double expected_hit(const first_relevant& found, std::size_t k) noexcept {
    if (k <= found.above) return 0.0;
    const std::size_t t = k - found.above;
    if (t + found.relevant > found.level) return 1.0;
    const std::size_t steps = (std::min)(t, found.relevant), other = (std::max)(t, found.relevant);
    double miss = 1.0;
    for (std::size_t i = 0; i < steps; ++i) {
        miss *= static_cast<double>(found.level - other - i) / static_cast<double>(found.level - i);
    }
    return 1.0 - miss;
}

}  // namespace detail

/// Hit rate at k: 1 for a list with a relevant row on its first k ranks, else 0; the mean over lists is their share.
/// For lists with one relevant row it is recall at k.
///
/// Shapes    scores [N] float or double; labels [N] of numbers; offsets [S + 1], unsigned: list s has the rows
///           offsets[s] .. offsets[s + 1] - 1, fewer than 2^32. per_list [S] of float or double, or none.
/// Writes    per_list: the value of each list, NaN where it has none.
/// Returns   list_mean: sum and number of the lists that have a value; merges over shards that hold whole lists. No row
///           is skipped: seen.accepted is N.
/// Throws    std::invalid_argument on shapes and offsets, and when the threshold is negative or NaN. A row with a NaN
///           score stands on no rank, a NaN label is not relevant, infinite scores have their place.
/// Cost      three passes in lanes, no sort.
/// Numerics  exact but for the mean over orders of equal rows: a product of at most k factors, error below 2 k
///           roundings of 1.
/// Source    ties McSherry and Najork 2008, form of the product ours.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class L = none,
          class Isa = isa::native>
list_mean hit_rate(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                   const hit_rate_options& options = {}, L&& per_list = {}) {
    return detail::mean_first_relevant<Isa>(
        "hit_rate", where, scores, labels, offsets, options, per_list,
        [](std::size_t rank, std::size_t k) { return rank <= k ? 1.0 : 0.0; }, detail::expected_hit);
}

}  // namespace reckon
