// Average precision of each list and its mean, the MAP.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/metrics/detail/average_precision.simd.hpp"
#include "reckon/metrics/detail/ranked_list.hpp"
#include "reckon/metrics/list_mean.hpp"
#include "reckon/metrics/tie_rule.hpp"

namespace reckon {

struct average_precision_options {
    /// Ranks that count; 0 for all.
    std::size_t k = 0;
    /// >= 0. A row is relevant when its label is above.
    double threshold = 0.0;
    /// Divides by min(k, relevant rows) instead of by the relevant rows, so that 1 can be reached at any k.
    bool reachable = false;
    tie_rule ties = tie_rule::expected;
    /// What a list without a relevant row counts.
    empty_rule empty = empty_rule::skip;
};

/// Average precision: the mean over the relevant rows of the precision at their rank; its mean over lists is the MAP.
///
///   AP_k = sum_{r <= k} [row on rank r is relevant] * (relevant rows on ranks 1 .. r) / r  /  relevant rows of the list
///
/// Of a level of m equal rows, R of them relevant, that follows a rows with h relevant ones, the expected share is
///
///   sum_{j = 1 .. min(m, k - a)} R / m * (h + 1 + (j - 1) (R - 1) / (m - 1)) / (a + j)
///
/// Shapes    scores [N] float or double; labels [N] of numbers; offsets [S + 1], unsigned: list s has the rows
///           offsets[s] .. offsets[s + 1] - 1, fewer than 2^32. per_list [S] of float or double, or none.
/// Writes    per_list: the value of each list, NaN where it has none.
/// Returns   list_mean: sum and number of the lists that have a value; merges over shards that hold whole lists. No row
///           is skipped: seen.accepted is N.
/// Throws    std::invalid_argument on shapes and offsets, and when the threshold is negative or NaN. A row with a NaN
///           score stands on no rank and adds 0 when it is relevant; a NaN label is not relevant; infinite scores have
///           their place.
/// Cost      whole lists with few relevant rows: each score against the relevant ones in lanes, n R / lanes comparisons;
///           with many, and with a cut at k: the rows that count are sorted.
/// Numerics  a sum of positive terms in double, error below n roundings. Relevant rows on top give exactly 1.
/// Source    Buckley and Voorhees 2000; expectation over ties McSherry and Najork 2008.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class L = none,
          class Isa = isa::native>
list_mean average_precision(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                            const average_precision_options& options = {}, L&& per_list = {}) {
    exec::detail::require_host_policy<Policy>();
    expects(options.threshold >= 0.0, "average_precision", "threshold must be at least 0, got ", options.threshold);
    const auto lists = detail::make_ranked_lists("average_precision", scores, labels, offsets, per_list);
    using batch = std::remove_const_t<decltype(lists)>;
    using Label = typename batch::label_type;
    using worker = detail::precision_sum<typename batch::score_type, Label, Isa>;
    const detail::relevance<Label> relevant(options.threshold);
    return detail::mean_over_lists<Isa>(
        where, lists,
        [&options, sum = worker(relevant, options.ties)](const auto* s, const auto* y, std::size_t n) mutable {
            const std::size_t total = sum.relevant().count(y, n);
            if (total == 0) return detail::empty_value(options.empty);
            const std::size_t depth = options.k == 0 ? n : (std::min)(options.k, n);
            const std::size_t most = options.reachable ? (std::min)(depth, total) : total;
            return sum(s, y, n, depth, total) / static_cast<double>(most);
        });
}

}  // namespace reckon
