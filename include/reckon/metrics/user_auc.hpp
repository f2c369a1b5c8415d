// Area under the ROC curve inside each user's list, for binary and graded labels, and over all pairs at once.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/list_fold.hpp"
#include "reckon/metrics/detail/pair_counts.simd.hpp"
#include "reckon/metrics/list_mean.hpp"

namespace reckon {

/// What a list counts in gauc().
enum class list_weight {
    rows,       ///< its rows: impressions
    positives,  ///< its rows with a label above 0: clicks
    pairs,      ///< its pairs of rows with different labels
};

struct gauc_options {
    list_weight weight = list_weight::rows;
    /// Lists with fewer rows than this are left out; rows that are skipped do not count.
    std::uint64_t min_rows = 0;
};

namespace detail {

// Pairs of one list, and what was in it.
struct list_pairs {
    std::uint64_t won_twice = 0;  // twice the pairs that scores order as labels do, plus those with equal scores
    std::uint64_t pairs = 0;      // pairs with different labels
    std::uint64_t positives = 0;
    counts rows;

    double value() const noexcept {
        return pairs > 0 ? static_cast<double>(won_twice) / (2.0 * static_cast<double>(pairs))
                         : std::numeric_limits<double>::quiet_NaN();
    }
};

// Counts the pairs of lists, one after the other, in memory that it keeps.
template <class Isa, class P, class Y>
class list_pair_counter {
  public:
    // Looks at all rows of some lists at once: lists are short.
    void begin(vector_view<const P> scores, vector_view<const Y> labels) noexcept {
        all_plain_ = plain(scores, labels);
    }
    list_pairs operator()(vector_view<const P> scores, vector_view<const Y> labels) {
        if (all_plain_ || plain(scores, labels)) return binary(scores, labels);
        return graded(scores, labels);
    }

  private:
    // Registers of comparisons a row up to which comparing all pairs is cheaper than partitioning.
    static constexpr std::size_t most_registers = 32;

    static bool plain(vector_view<const P> scores, vector_view<const Y> labels) noexcept {
        return all_binary<Isa>(labels) && !any_nan<Isa>(scores);
    }

    list_pairs binary(vector_view<const P> scores, vector_view<const Y> labels) {
        const std::size_t n = scores.size();
        using V = ordinal_t<P>;
        V* const positives = room_for(positives_, padded_size<Isa, V>(n));
        V* const negatives = room_for(negatives_, padded_size<Isa, V>(n));
        // Each score is written to both sides and kept on one: no branch to guess.
        std::size_t p = 0;
#pragma GCC unroll 4
        for (std::size_t i = 0; i < n; ++i) {
            const V score = static_cast<V>(scores[i]);
            positives[p] = score;
            negatives[i - p] = score;
            if constexpr (std::is_integral_v<Y>) {
                p += static_cast<std::size_t>(labels[i]);
            } else {
                p += labels[i] == Y(1) ? 1 : 0;
            }
        }
        list_pairs list;
        list.rows.accepted = n;
        list.positives = p;
        list.pairs = std::uint64_t{p} * (n - p);
        if (list.pairs == 0) return list;
        constexpr std::size_t lanes = simd::pack<V, Isa>::lanes;
        const std::size_t larger = (std::max)(p, n - p);
        if ((larger + lanes - 1) / lanes * (n - larger) <= most_registers * n) {
            pad<Isa>(positives, p);
            pad<Isa>(negatives, n - p);
            list.won_twice = compare_all<Isa>(positives, p, negatives, n - p);
            return list;
        }
        if constexpr (std::is_same_v<P, float>) {
            const auto distinct = count_distinct<Isa>(scores, labels);
            list.won_twice = distinct.empty() ? count_pairs<Isa>(scores, labels, range_of<Isa>(scores)).won_twice
                                              : count_pairs<Isa>(distinct).won_twice;
            return list;
        } else {
            return graded(scores, labels);
        }
    }
    list_pairs graded(vector_view<const P> scores, vector_view<const Y> labels) {
        const pair_counts found = pairs_(scores, labels);
        list_pairs list;
        list.rows = pairs_.columns.rows();
        list.pairs = found.distinct_labels;
        // Agreement is not below -pairs.
        list.won_twice = found.distinct_labels + static_cast<std::uint64_t>(found.agreement);
        for (std::size_t i = 0; i < pairs_.columns.size(); ++i)
            list.positives += pairs_.columns.second()[i] > 0 ? 1 : 0;
        return list;
    }

    bool all_plain_ = false;
    scratch_array<ordinal_t<P>> positives_, negatives_;
    row_pairs<false, Isa, P, Y> pairs_;
};

template <class Isa, class P, class Y>
class user_auc_metric {
  public:
    user_auc_metric(bool equal, list_weight weight) noexcept : equal_(equal), weight_(weight) {}
    // A copy starts with memory of its own: parts of a fold run side by side.
    user_auc_metric(const user_auc_metric& other) noexcept : equal_(other.equal_), weight_(other.weight_) {}

    void begin(vector_view<const P> scores, vector_view<const Y> labels) noexcept { counter_.begin(scores, labels); }
    list_score operator()(vector_view<const P> scores, vector_view<const Y> labels) {
        const list_pairs list = counter_(scores, labels);
        const std::uint64_t weight = equal_                              ? 1
                                     : weight_ == list_weight::rows      ? list.rows.accepted
                                     : weight_ == list_weight::positives ? list.positives
                                                                         : list.pairs;
        return {list.value(), static_cast<double>(weight), list.rows};
    }

  private:
    bool equal_;
    list_weight weight_;
    list_pair_counter<Isa, P, Y> counter_;
};

}  // namespace detail

/// Mean over lists of the area under the ROC curve inside each list (UAUC).
///
///   AUC_u = sum_{i, j: y_i > y_j} (1[s_i > s_j] + 1/2 1[s_i = s_j]) / #{i, j: y_i > y_j},   value = mean of AUC_u
///
/// Shapes    scores, labels [N] of any arithmetic types; offsets [S + 1], unsigned: list u has the rows offsets[u] ..
///           offsets[u + 1] - 1, fewer than 2^32. Labels may be graded; for 0/1 labels AUC_u is the usual area. per_list
///           [S] of float or double, or none.
/// Writes    per_list: AUC_u, NaN where all labels of the list agree.
/// Returns   list_mean: sum of AUC_u and number of lists used; merges over shards that hold whole lists.
/// Throws    std::invalid_argument on shapes, and when the offsets do not ascend from 0 to N. Counts and skips rows with
///           a NaN; infinite scores and labels have their place in the order.
/// Cost      0/1 labels: every positive against every negative in lanes, for short lists, then pairs counted in cells of
///           scores as auc() does. Other labels: all pairs in lanes up to 64 rows a lane, beyond that a merge sort that
///           counts, 24 bytes of scratch a row of the longest list. Lists are spread over threads, one list is not.
/// Numerics  pairs are counted in integers: AUC_u is the nearest double or next to it, the same on every instruction set
///           and for every policy. Equal scores count one half, so a constant model has exactly 1/2. Integers of more
///           than 16 bits are compared as doubles.
/// Source    Mann and Whitney 1947; for graded labels it is (1 + Somers' D) / 2 (Somers 1962).
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class L = none,
          class Isa = isa::native>
list_mean uauc(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
               const list_options& options = {}, L&& per_list = {}) {
    using metric = detail::user_auc_metric<Isa, typename decltype(input(scores))::value_type,
                                           typename decltype(input(labels))::value_type>;
    return detail::mean_over_lists<Isa>("uauc", where, scores, labels, offsets, options, per_list,
                                        metric(true, list_weight::rows));
}

/// The same mean with each list weighted, by its rows unless options say otherwise.
///
///   value = sum_u w_u AUC_u / sum_u w_u
///
/// Known as GAUC or WUAUC for 0/1 labels, and as XGAUC for graded ones: User Group XAUC over lists of users, Video Group
/// XAUC over lists of items. Everything else is as in uauc(). Rows that are skipped have no weight.
///
/// Source    Zhu et al. 2017 (impressions or clicks as weights); XGAUC after arXiv 2508.11086 (2025).
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class L = none,
          class Isa = isa::native>
list_mean gauc(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
               const gauc_options& options = {}, L&& per_list = {}) {
    using metric = detail::user_auc_metric<Isa, typename decltype(input(scores))::value_type,
                                           typename decltype(input(labels))::value_type>;
    return detail::mean_over_lists<Isa>("gauc", where, scores, labels, offsets, {options.min_rows}, per_list,
                                        metric(false, options.weight));
}

struct xauc_options {
    /// Pairs to draw; 0 counts all pairs.
    std::uint64_t sampled_pairs = 0;
    std::uint64_t seed = 0;
};

/// What xauc() returns.
struct xauc_result {
    /// Share of the pairs with different labels that scores order as labels do, equal scores counting one half; NaN
    /// without such a pair.
    double value = std::numeric_limits<double>::quiet_NaN();
    /// Of the value around that of all pairs: 0 when all were counted.
    double standard_error = std::numeric_limits<double>::quiet_NaN();
    /// Pairs with different labels that were looked at.
    double pairs = 0.0;
    /// Rows taken, and rows skipped for a NaN.
    counts seen;
};

namespace detail {

struct drawn_pairs {
    std::uint64_t first = 0, count = 0;

    std::size_t size() const noexcept { return count; }
    drawn_pairs slice(std::size_t begin, std::size_t length) const noexcept { return {first + begin, length}; }
};

template <class Isa, class P, class Y>
struct pair_sample {
    vector_view<const P> scores;
    vector_view<const Y> labels;
    random_stream random{0};
    std::uint64_t pairs = 0, won = 0, tied = 0;

    void absorb(const drawn_pairs& draws) noexcept {
        // Rows of a block are drawn first, so that memory can be asked for many of them at once.
        constexpr std::uint64_t block = 128;
        std::size_t rows[2 * block];
        for (std::uint64_t first = 0; first < draws.count; first += block) {
            const std::uint64_t held = (std::min)(block, draws.count - first);
            for (std::uint64_t t = 0; t < 2 * held; ++t) {
                rows[t] = random.below(2 * (draws.first + first) + t, scores.size());
            }
            for (std::uint64_t t = 0; t < held; ++t) {
                const std::size_t i = rows[2 * t], j = rows[2 * t + 1];
                // Comparisons are false for NaN. Whichever label is larger, its row is the one that should score more.
                const int falls = labels[i] > labels[j], rises = labels[i] < labels[j];
                const int above = scores[i] > scores[j], below = scores[i] < scores[j];
                const int equal = scores[i] == scores[j], differ = falls | rises;
                pairs += static_cast<unsigned>(differ & (above | below | equal));
                won += static_cast<unsigned>((falls & above) | (rises & below));
                tied += static_cast<unsigned>(differ & equal);
            }
        }
    }
    void merge(const pair_sample& other) noexcept {
        pairs += other.pairs;
        won += other.won;
        tied += other.tied;
    }
};

}  // namespace detail

/// Area over all pairs of a test set (XAUC): the share of pairs that scores order as labels do.
///
///   value = sum_{i, j: y_i > y_j} (1[s_i > s_j] + 1/2 1[s_i = s_j]) / #{i, j: y_i > y_j}
///
/// Shapes    scores, labels [N] of any arithmetic types, N < 2^32. For 0/1 labels it is auc().
/// Returns   xauc_result. Does not merge: pairs of two shards would be missing.
/// Throws    std::invalid_argument when lengths differ or for 2^32 rows and more. Counts and skips rows with a NaN;
///           infinite values have their place in the order.
/// Cost      all pairs: as uauc() for one list, O(N log N) on one thread. Sampled: two random numbers and four random
///           accesses a pair, and one pass for the counts; spread over threads.
/// Numerics  pairs are counted in integers. Pairs are drawn uniformly with replacement from all, those with equal labels
///           do not count; the standard error is that of independent draws, sqrt(var / pairs). The same draws for every
///           policy and platform.
/// Source    Zhan et al. 2022 (the name); Mann and Whitney 1947.
template <exec::policy Policy, vector_like P, vector_like Y, class Isa = isa::native>
xauc_result xauc(const Policy& where, const P& scores, const Y& labels, const xauc_options& options = {}) {
    exec::detail::require_host_policy<Policy>();
    const auto s = input(scores);
    const auto y = input(labels);
    using S = typename decltype(s)::value_type;
    using L = typename decltype(y)::value_type;
    expects(s.size() == y.size(), "xauc", s.size(), " scores but ", y.size(), " labels");
    expects(s.size() < (std::uint64_t{1} << 32), "xauc", s.size(), " rows, fewer than 2^32 are possible");
    xauc_result result;
    if (options.sampled_pairs == 0) {
        const detail::list_pairs all = detail::list_pair_counter<Isa, S, L>()(s, y);
        result.value = all.value();
        result.pairs = static_cast<double>(all.pairs);
        result.seen = all.rows;
        if (all.pairs > 0) result.standard_error = 0.0;
        return result;
    }
    for (std::size_t i = 0; i < s.size(); ++i) result.seen.absorb(s[i] == s[i] && y[i] == y[i]);
    if (s.empty()) return result;
    constexpr std::uint64_t stream = 0x58415543;
    const auto drawn =
        exec::fold_parts(where, detail::pair_sample<Isa, S, L>{s, y, random_stream(options.seed, stream)},
                         detail::drawn_pairs{0, options.sampled_pairs});
    result.pairs = static_cast<double>(drawn.pairs);
    if (drawn.pairs == 0) return result;
    const double mean = (static_cast<double>(drawn.won) + 0.5 * static_cast<double>(drawn.tied)) / result.pairs;
    const double square = (static_cast<double>(drawn.won) + 0.25 * static_cast<double>(drawn.tied)) / result.pairs;
    result.value = mean;
    result.standard_error = std::sqrt((std::max)(0.0, square - mean * mean) / result.pairs);
    return result;
}

}  // namespace reckon
