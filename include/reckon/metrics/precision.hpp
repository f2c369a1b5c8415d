// Share of the first k ranks that are relevant.
#pragma once

#include <cstddef>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/metrics/detail/top_hits.hpp"
#include "reckon/metrics/list_mean.hpp"
#include "reckon/metrics/relevance_at_k.hpp"

namespace reckon {

using precision_options = relevance_at_k_options;

/// Precision at k: relevant rows on the first k ranks over k, also where the list is shorter (trec_eval does the same,
/// xgboost divides by the length). With k = 0 over the length of the list.
///
/// Shapes    scores [N] float or double; labels [N] of numbers; offsets [S + 1], unsigned: list s has the rows
///           offsets[s] .. offsets[s + 1] - 1, fewer than 2^32. per_list [S] of float or double, or none.
/// Writes    per_list: the value of each list, NaN where it has none.
/// Returns   list_mean: sum and number of the lists that have a value; merges over shards that hold whole lists. No row
///           is skipped: seen.accepted is N.
/// Throws    std::invalid_argument on shapes and offsets, and when the threshold is negative or NaN. A row with a NaN
///           score stands on no rank, a NaN label is not relevant, infinite scores have their place.
/// Cost      for k <= 64: two passes over the scores in lanes, one over the labels, and the 1.5 k rows or so that come near
///           rank k are compared with each other in lanes. Larger k: a selection and a sort.
/// Numerics  counts are exact, the value has two or three roundings.
/// Source    ties McSherry and Najork 2008.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class L = none,
          class Isa = isa::native>
list_mean precision(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                    const precision_options& options = {}, L&& per_list = {}) {
    return detail::mean_top_hits<Isa>(
        "precision", where, scores, labels, offsets, options, per_list,
        [](double hits, std::size_t, std::size_t ranks) { return hits / static_cast<double>(ranks); });
}

}  // namespace reckon
