// Normalised discounted cumulative gain of ranked lists.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/dcg_gain.hpp"
#include "reckon/metrics/detail/dcg_sums.hpp"
#include "reckon/metrics/detail/leading_rows.hpp"
#include "reckon/metrics/detail/ranked_list.hpp"
#include "reckon/metrics/list_mean.hpp"
#include "reckon/metrics/tie_rule.hpp"

namespace reckon {

struct ndcg_options {
    /// Ranks that count; 0 for all.
    std::size_t k = 10;
    dcg_gain gain = dcg_gain::exponential;
    tie_rule ties = tie_rule::expected;
    /// What a list without gain counts.
    empty_rule empty = empty_rule::skip;
};

namespace detail {

template <class T, class Y, class Isa>
class ndcg_list {
  public:
    ndcg_list(const ndcg_options& options, const discount_table& table)
        : options_(options), dcg_(options.gain, table) {}

    double operator()(const T* scores, const Y* labels, std::size_t n) {
        const std::size_t depth = options_.k == 0 ? n : (std::min)(options_.k, n);
        rows_.collect(scores, n, depth);
        const double ideal = dcg_.ideal(labels, n, depth);
        if (ideal == 0.0) return empty_value(options_.empty);
        if (!(ideal <= (std::numeric_limits<double>::max)())) return std::numeric_limits<double>::quiet_NaN();
        rows_.order();
        const std::size_t held = rows_.size(), shown = (std::min)(depth, held);
        if (placed_.size() < held + wide::lanes) placed_.resize(held + wide::lanes);
        double* const placed = placed_.data();
        for (std::size_t p = 0; p < shown; ++p) placed[p] = dcg_.gain_of(labels[rows_.row(p)]);
        if (rows_.tied(shown)) {
            for (std::size_t p = 0; p < shown;) {
                const std::size_t end = rows_.level_end(p);
                for (std::size_t q = (std::max)(p, shown); q < end; ++q) {
                    placed[q] = dcg_.gain_of(labels[rows_.row(q)]);
                }
                if (end - p > 1) settle(placed + p, placed + end);
                p = end;
            }
        }
        const double dcg = dcg_.discounted(placed_, shown);
        // Gains of one level may add up to infinity although those of the best order do not.
        return dcg <= (std::numeric_limits<double>::max)() ? dcg / ideal : std::numeric_limits<double>::quiet_NaN();
    }

  private:
    using wide = simd::pack<double, Isa>;

    // Gains of one level of equal scores, in the order of rows, as the rule for ties wants them.
    void settle(double* begin, double* end) const {
        switch (options_.ties) {
            case tie_rule::expected: {
                // The mean of equal gains is the gain itself, which a rounded sum need not give.
                if (std::all_of(begin, end, [&](double g) { return g == *begin; })) return;
                double sum = 0.0;
                for (const double* g = begin; g != end; ++g) sum += *g;
                std::fill(begin, end, sum / static_cast<double>(end - begin));
                return;
            }
            case tie_rule::pessimistic:
                std::sort(begin, end);
                return;
            case tie_rule::optimistic:
                std::sort(begin, end, std::greater<double>());
                return;
            case tie_rule::trec:
                std::reverse(begin, end);
                return;
            case tie_rule::first:
                return;
        }
    }

    ndcg_options options_;
    dcg_sums<Y, Isa> dcg_;
    leading_rows<T, Isa> rows_;
    std::vector<double> placed_;
};

}  // namespace detail

/// Normalised discounted cumulative gain: how near the order of scores comes to the best order of the labels.
///
///   DCG_k = sum_{r <= k} gain(label on rank r) / log2(r + 1),    nDCG_k = DCG_k / (best DCG_k of the labels)
///   gain(y) = 2^y - 1 or y
///
/// Shapes    scores [N] float or double; labels [N] of numbers; offsets [S + 1], unsigned: list s has the rows
///           offsets[s] .. offsets[s + 1] - 1, fewer than 2^32. per_list [S] of float or double, or none.
/// Writes    per_list: the value of each list, NaN where it has none.
/// Returns   list_mean: sum and number of the lists that have a value; merges over shards that hold whole lists. No row
///           is skipped: seen.accepted is N.
/// Throws    std::invalid_argument on shapes and offsets. A row with a NaN score stands on no rank, but its label
///           counts in the ideal order; a NaN or negative label has no gain; infinite scores have their place. A list
///           whose gains add up to infinity has no value.
/// Cost      for k <= 64: two passes over the scores in lanes, one over the labels for each grade, and the 1.5 k rows
///           or so that come near rank k are compared with each other in lanes. Larger k: a selection or a sort; grades
///           that are no integers up to 8 are sorted as well. Scratch for one list a part.
/// Numerics  sums in double, mean gains and discounts within roundings. A list in ideal order gives exactly 1.
/// Source    Jarvelin and Kekalainen 2002; exponential gain Burges et al. 2005; ties McSherry and Najork 2008.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class L = none,
          class Isa = isa::native>
list_mean ndcg(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
               const ndcg_options& options = {}, L&& per_list = {}) {
    exec::detail::require_host_policy<Policy>();
    const auto lists = detail::make_ranked_lists("ndcg", scores, labels, offsets, per_list);
    using batch = std::remove_const_t<decltype(lists)>;
    const std::size_t longest = lists.longest();
    const detail::discount_table table(options.k == 0 ? longest : (std::min)(options.k, longest));
    return detail::mean_over_lists<Isa>(
        where, lists, detail::ndcg_list<typename batch::score_type, typename batch::label_type, Isa>(options, table));
}

}  // namespace reckon
