// Normalised Gini coefficient of a ranking: how much of the labels' inequality the scores find.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/list_fold.hpp"
#include "reckon/metrics/detail/pair_counts.simd.hpp"
#include "reckon/metrics/detail/ranks.simd.hpp"
#include "reckon/metrics/list_mean.hpp"

namespace reckon {

/// What normalized_gini() returns.
struct gini_result {
    /// In [-1, 1]; NaN when all labels are equal or there is no row, and where differences of labels overflow.
    double value = std::numeric_limits<double>::quiet_NaN();
    /// Rows taken, and rows skipped for a score that is NaN or a label that is not finite.
    counts seen;
};

namespace detail {

template <class Isa, class P, class Y>
class gini_metric {
  public:
    gini_metric() noexcept = default;
    // A copy starts with memory of its own: parts of a fold run side by side.
    gini_metric(const gini_metric&) noexcept {}

    gini_result result(vector_view<const P> scores, vector_view<const Y> labels) {
        columns_.take(scores, labels);
        columns_.keep_finite();
        const std::size_t n = columns_.size();
        const auto* const label = columns_.second();
        const double* const by_score = score_ranks_.template find<Isa>(columns_.first(), n);
        const double* const by_label = label_ranks_.template find<Isa>(label, n);
        gini_result out;
        out.seen = columns_.rows();
        compensated_sum found, possible;
        for (std::size_t i = 0; i < n; ++i) {
            // Ranks add up to 0, so labels may be measured from any of them, and far from 0 they lose no digits.
            const double above = static_cast<double>(label[i]) - static_cast<double>(label[0]);
            found.absorb(above * by_score[i]);
            possible.absorb(above * by_label[i]);
        }
        // Also false where a sum overflowed.
        if (possible.value() > 0.0 && std::isfinite(possible.value()) && std::isfinite(found.value())) {
            out.value = found.value() / possible.value();
        }
        return out;
    }
    list_score operator()(vector_view<const P> scores, vector_view<const Y> labels) {
        const gini_result list = result(scores, labels);
        return {list.value, 1.0, list.seen};
    }

  private:
    clean_columns<Isa, P, Y> columns_;
    centred_ranks score_ranks_, label_ranks_;
};

}  // namespace detail

/// Normalised Gini coefficient: the area between the diagonal and the Lorenz curve of the labels in the order of the
/// scores, over the same area in the order of the labels themselves.
///
///   value = sum_i y_i (R_i(scores) - (n + 1) / 2) / sum_i y_i (R_i(labels) - (n + 1) / 2)     R: midranks, ascending
///
/// 1 for scores that order the rows as the labels do, 0 for a constant model, 2 AUC - 1 for 0/1 labels. Equal scores
/// share their mean rank, which is the mean over all orders of theirs: the order of the rows does not matter. Software
/// that sorts and leaves equal scores as they came reports something between the worst and the best of these orders.
///
/// Shapes    scores, labels [N] of any arithmetic types, N < 2^32. Labels may be negative: adding a constant to all of
///           them changes neither area, so the value does not depend on where their 0 is.
/// Returns   gini_result. Does not merge.
/// Throws    std::invalid_argument when lengths differ or for 2^32 rows and more. Counts and skips rows whose score is
///           NaN or whose label is not finite; infinite scores have their place in the order. Labels of such a size
///           that the sums above overflow have no value: NaN.
/// Cost      as spearman().
/// Numerics  ranks are exact, sums compensated; 1, -1 and 0 come out exactly for the same order, the opposite one and a
///           constant model.
/// Source    Frees, Meyers and Cummings 2011; in this form the Gini correlation of Schechtman and Yitzhaki 1987.
template <vector_like P, vector_like Y, class Isa = isa::native>
gini_result normalized_gini(const P& scores, const Y& labels) {
    const auto s = input(scores);
    const auto y = input(labels);
    expects(s.size() == y.size(), "normalized_gini", s.size(), " scores but ", y.size(), " labels");
    expects(s.size() < (std::uint64_t{1} << 32), "normalized_gini", s.size(), " rows, fewer than 2^32 are possible");
    return detail::gini_metric<Isa, typename decltype(s)::value_type, typename decltype(y)::value_type>().result(s, y);
}

/// Mean over lists of the normalised Gini coefficient inside each list.
///
/// Shapes    scores, labels [N] of any arithmetic types; offsets [S + 1], unsigned: list u has the rows offsets[u] ..
///           offsets[u + 1] - 1. per_list [S] of float or double, or none.
/// Writes    per_list: the coefficient, NaN where the labels of a list are constant.
/// Returns   list_mean, every list counts the same; merges over shards that hold whole lists.
/// Throws    std::invalid_argument on shapes, and when the offsets do not ascend from 0 to N. Counts and skips rows as
///           above.
/// Cost      as above for each list; lists are spread over threads.
/// Numerics  as above.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class L = none,
          class Isa = isa::native>
list_mean normalized_gini(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                          const list_options& options = {}, L&& per_list = {}) {
    using metric = detail::gini_metric<Isa, typename decltype(input(scores))::value_type,
                                       typename decltype(input(labels))::value_type>;
    return detail::fold_lists<Isa>("normalized_gini", where, scores, labels, offsets, options, per_list, metric());
}

}  // namespace reckon
