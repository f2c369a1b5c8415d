// Rank correlations of two columns, as a whole and inside each list: Kendall's tau-b and Spearman's rho.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

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

/// Kendall's tau-b, what it is made of, and the rows it saw.
struct kendall_result {
    double correlation = std::numeric_limits<double>::quiet_NaN();
    /// Pairs that both columns order alike less pairs that they order the other way round.
    std::int64_t agreement = 0;
    /// Pairs that differ in the first and in the second column: agreement over the second one is Somers' D.
    std::uint64_t first_pairs = 0;
    std::uint64_t second_pairs = 0;
    counts seen;
};

/// Rank correlation and the rows it saw.
struct spearman_result {
    double correlation = std::numeric_limits<double>::quiet_NaN();
    counts seen;
};

namespace detail {

// product / sqrt(a b), which is 1 and -1 exactly where all three agree in size.
inline double correlation_ratio(double product, double a, double b) noexcept {
    if (!(a > 0.0 && b > 0.0)) return std::numeric_limits<double>::quiet_NaN();
    const double ratio = a == b ? product / a : product / (std::sqrt(a) * std::sqrt(b));
    return std::clamp(ratio, -1.0, 1.0);
}

template <class Isa, class A, class B>
class kendall_metric {
  public:
    kendall_metric() noexcept = default;
    // A copy starts with memory of its own: parts of a fold run side by side.
    kendall_metric(const kendall_metric&) noexcept {}

    kendall_result result(vector_view<const A> first, vector_view<const B> second) {
        const pair_counts found = pairs_(first, second);
        return {correlation_ratio(static_cast<double>(found.agreement), static_cast<double>(found.distinct_scores),
                                  static_cast<double>(found.distinct_labels)),
                found.agreement, found.distinct_scores, found.distinct_labels, pairs_.columns.rows()};
    }
    list_score operator()(vector_view<const A> first, vector_view<const B> second) {
        const kendall_result list = result(first, second);
        return {list.correlation, 1.0, list.seen};
    }

  private:
    row_pairs<true, Isa, A, B> pairs_;
};

template <class Isa, class A, class B>
class spearman_metric {
  public:
    spearman_metric() noexcept = default;
    spearman_metric(const spearman_metric&) noexcept {}

    spearman_result result(vector_view<const A> first, vector_view<const B> second) {
        columns_.take(first, second);
        const std::size_t n = columns_.size();
        const double* const a = first_ranks_.template find<Isa>(columns_.first(), n);
        const double* const b = second_ranks_.template find<Isa>(columns_.second(), n);
        double product = 0.0, a_square = 0.0, b_square = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            product += a[i] * b[i];
            a_square += a[i] * a[i];
            b_square += b[i] * b[i];
        }
        return {correlation_ratio(product, a_square, b_square), columns_.rows()};
    }
    list_score operator()(vector_view<const A> first, vector_view<const B> second) {
        const spearman_result list = result(first, second);
        return {list.correlation, 1.0, list.seen};
    }

  private:
    clean_columns<Isa, A, B> columns_;
    centred_ranks first_ranks_, second_ranks_;
};

template <template <class, class, class> class Metric, class Isa, class A, class B>
auto correlate(const char* kernel, const A& first, const B& second) {
    const auto a = input(first);
    const auto b = input(second);
    expects(a.size() == b.size(), kernel, a.size(), " values and ", b.size(), " values");
    expects(a.size() < (std::uint64_t{1} << 32), kernel, a.size(), " rows, fewer than 2^32 are possible");
    return Metric<Isa, typename decltype(a)::value_type, typename decltype(b)::value_type>().result(a, b);
}

}  // namespace detail

/// Kendall's rank correlation with the correction for ties (tau-b).
///
///   tau_b = (pairs ordered alike - pairs ordered the other way) / sqrt(pairs that differ in first * in second)
///
/// Shapes    first, second [N] of any arithmetic types, N < 2^32.
/// Returns   the correlation, NaN when a column is constant or has no rows, the pairs, and the counts.
/// Throws    std::invalid_argument when lengths differ or for 2^32 rows and more. Rows with a NaN are counted and
///           skipped; infinities have their place in the order.
/// Cost      up to 64 rows a lane all pairs in lanes; beyond that a merge sort that counts, O(N log N) whatever the
///           ties, on one thread, 24 bytes of scratch a row.
/// Numerics  pairs are counted in integers; 1 and -1 come out exactly for columns of the same and of the opposite order
///           with the same ties. Integers of more than 16 bits are compared as doubles.
/// Source    Kendall 1945; Knight 1966.
template <vector_like A, vector_like B, class Isa = isa::native>
kendall_result kendall_tau_b(const A& first, const B& second) {
    return detail::correlate<detail::kendall_metric, Isa>("kendall_tau_b", first, second);
}

/// Mean over lists of tau-b inside each list.
///
/// Shapes    scores, labels [N] of any arithmetic types; offsets [S + 1], unsigned: list u has the rows offsets[u] ..
///           offsets[u + 1] - 1. per_list [S] of float or double, or none.
/// Writes    per_list: tau-b, NaN where the scores or the labels of a list are constant.
/// Returns   list_mean, every list counts the same; merges over shards that hold whole lists.
/// Throws    std::invalid_argument on shapes, and when the offsets do not ascend from 0 to N. Counts and skips rows with
///           a NaN.
/// Cost      as above for each list; lists are spread over threads.
/// Numerics  as above.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class L = none,
          class Isa = isa::native>
list_mean kendall_tau_b(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                        const list_options& options = {}, L&& per_list = {}) {
    using metric = detail::kendall_metric<Isa, typename decltype(input(scores))::value_type,
                                          typename decltype(input(labels))::value_type>;
    return detail::mean_over_lists<Isa>("kendall_tau_b", where, scores, labels, offsets, options, per_list, metric());
}

/// Spearman's rank correlation: Pearson's of the midranks.
///
/// Shapes    first, second [N] of any arithmetic types, N < 2^32.
/// Returns   the correlation, NaN when a column is constant or has no rows, and the counts.
/// Throws    std::invalid_argument when lengths differ or for 2^32 rows and more. Rows with a NaN are counted and
///           skipped; infinities have their place in the order.
/// Cost      up to 64 rows a lane ranks are counted in lanes; beyond that two radix sorts on one thread.
/// Numerics  sums of centred midranks times two, which are integers and so exact up to 2^53; 1 and -1 come out exactly
///           for columns of the same and of the opposite order.
/// Source    Spearman 1904.
template <vector_like A, vector_like B, class Isa = isa::native>
spearman_result spearman(const A& first, const B& second) {
    return detail::correlate<detail::spearman_metric, Isa>("spearman", first, second);
}

/// Mean over lists of Spearman's rank correlation inside each list.
///
/// Shapes    scores, labels [N] of any arithmetic types; offsets [S + 1], unsigned: list u has the rows offsets[u] ..
///           offsets[u + 1] - 1. per_list [S] of float or double, or none.
/// Writes    per_list: the correlation, NaN where the scores or the labels of a list are constant.
/// Returns   list_mean, every list counts the same; merges over shards that hold whole lists.
/// Throws    std::invalid_argument on shapes, and when the offsets do not ascend from 0 to N. Counts and skips rows with
///           a NaN.
/// Cost      as above for each list; lists are spread over threads.
/// Numerics  as above.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class L = none,
          class Isa = isa::native>
list_mean spearman(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                   const list_options& options = {}, L&& per_list = {}) {
    using metric = detail::spearman_metric<Isa, typename decltype(input(scores))::value_type,
                                           typename decltype(input(labels))::value_type>;
    return detail::mean_over_lists<Isa>("spearman", where, scores, labels, offsets, options, per_list, metric());
}

}  // namespace reckon
