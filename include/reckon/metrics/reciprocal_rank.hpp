// Mean reciprocal rank of the first relevant row of each list.
#pragma once

#include <cstddef>

#include "reckon/core/isa.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/metrics/detail/first_relevant.hpp"
#include "reckon/metrics/list_mean.hpp"
#include "reckon/metrics/tie_rule.hpp"

namespace reckon {

struct reciprocal_rank_options {
    /// Ranks that count, a relevant row further down gives 0; 0 for all.
    std::size_t k = 0;
    /// >= 0. A row is relevant when its label is above.
    double threshold = 0.0;
    tie_rule ties = tie_rule::expected;
    /// What a list without a relevant row counts.
    empty_rule empty = empty_rule::skip;
};

namespace detail {

// Mean of [rank <= k] / rank of the first of `relevant` rows in a random order of `level` rows that follow `above` ones.
//   P(first is the j-th) = C(level - j, relevant - 1) / C(level, relevant)
inline double expected_reciprocal_rank(const first_relevant& found, std::size_t k) noexcept {
    const std::size_t last = found.level - found.relevant + 1;
    double sum = 0.0, chance = static_cast<double>(found.relevant) / static_cast<double>(found.level);
    for (std::size_t j = 1; j <= last && found.above + j <= k; ++j) {
        sum += chance / static_cast<double>(found.above + j);
        // The last one has no successor, and level - j may be 0 there.
        if (j < last) chance *= static_cast<double>(last - j) / static_cast<double>(found.level - j);
    }
    return sum;
}

}  // namespace detail

/// Reciprocal rank: 1 over the rank of the first relevant row; its mean over lists is the MRR.
///
/// Shapes    scores [N] float or double; labels [N] of numbers; offsets [S + 1], unsigned: list s has the rows
///           offsets[s] .. offsets[s + 1] - 1, fewer than 2^32. per_list [S] of float or double, or none.
/// Writes    per_list: the value of each list, NaN where it has none.
/// Returns   list_mean: sum and number of the lists that have a value; merges over shards that hold whole lists. No row
///           is skipped: seen.accepted is N.
/// Throws    std::invalid_argument on shapes and offsets, and when the threshold is negative or NaN. A row with a NaN
///           score stands on no rank, a NaN label is not relevant, infinite scores have their place.
/// Cost      three passes in lanes, no sort; of equal scores around the first relevant row one more division each.
/// Numerics  ranks are exact; the mean over orders of m equal rows is a sum of positive terms, error below 2 m roundings.
/// Source    Voorhees 1999; ties McSherry and Najork 2008.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class L = none,
          class Isa = isa::native>
list_mean reciprocal_rank(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                          const reciprocal_rank_options& options = {}, L&& per_list = {}) {
    return detail::mean_first_relevant<Isa>(
        "reciprocal_rank", where, scores, labels, offsets, options, per_list,
        [](std::size_t rank, std::size_t k) { return rank <= k ? 1.0 / static_cast<double>(rank) : 0.0; },
        detail::expected_reciprocal_rank);
}

}  // namespace reckon
