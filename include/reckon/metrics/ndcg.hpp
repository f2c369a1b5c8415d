// Normalised discounted cumulative gain of ranked lists.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/leading_rows.hpp"
#include "reckon/metrics/detail/ranked_list.hpp"
#include "reckon/metrics/list_mean.hpp"
#include "reckon/metrics/tie_rule.hpp"

namespace reckon {

/// What a label y is worth; nothing when y <= 0 or NaN.
enum class dcg_gain {
    exponential,  ///< 2^y - 1, as LightGBM, xgboost and most papers have it
    linear        ///< y, as scikit-learn and trec_eval have it
};

struct ndcg_options {
    /// Ranks that count; 0 for all.
    std::size_t k = 10;
    dcg_gain gain = dcg_gain::exponential;
    tie_rule ties = tie_rule::expected;
    /// What a list without gain counts.
    empty_rule empty = empty_rule::skip;
};

namespace detail {

// Ranks from 0 and their discounts; behind the last one discounts of 0 fill a register.
struct discount_table {
    std::vector<double> ranks, discounts;

    explicit discount_table(std::size_t n) : ranks(n + room), discounts(n + room) {
        for (std::size_t r = 0; r < ranks.size(); ++r) {
            ranks[r] = static_cast<double>(r);
            discounts[r] = r < n ? 1.0 / std::log2(static_cast<double>(r) + 2.0) : 0.0;
        }
    }

  private:
    static constexpr std::size_t room = 8;
};

template <class T, class Y, class Isa>
class ndcg_list {
  public:
    ndcg_list(const ndcg_options& options, const discount_table& table)
        : options_(options), discounts_(table.discounts.data()), ranks_(table.ranks.data()) {
        for (std::size_t v = 0; v < gains_.size(); ++v) {
            gains_[v] =
                options.gain == dcg_gain::linear ? static_cast<double>(v) : std::ldexp(1.0, static_cast<int>(v)) - 1.0;
        }
    }

    double operator()(const T* scores, const Y* labels, std::size_t n) {
        const std::size_t depth = options_.k == 0 ? n : (std::min)(options_.k, n);
        rows_.collect(scores, n, depth);
        const double ideal = ideal_dcg(labels, n, depth);
        if (ideal == 0.0) return empty_value(options_.empty);
        if (!(ideal <= (std::numeric_limits<double>::max)())) return std::numeric_limits<double>::quiet_NaN();
        rows_.order();
        const std::size_t held = rows_.size(), shown = (std::min)(depth, held);
        if (placed_.size() < held + wide::lanes) placed_.resize(held + wide::lanes);
        double* const placed = placed_.data();
        for (std::size_t p = 0; p < shown; ++p) placed[p] = gain_of(labels[rows_.row(p)]);
        if (rows_.tied(shown)) {
            for (std::size_t p = 0; p < shown;) {
                const std::size_t end = rows_.level_end(p);
                for (std::size_t q = (std::max)(p, shown); q < end; ++q) {
                    placed[q] = gain_of(labels[rows_.row(q)]);
                }
                if (end - p > 1) settle(placed + p, placed + end);
                p = end;
            }
        }
        const double dcg = discounted(placed_, shown);
        // Gains of one level may add up to infinity although those of the best order do not.
        return dcg <= (std::numeric_limits<double>::max)() ? dcg / ideal : std::numeric_limits<double>::quiet_NaN();
    }

  private:
    // The type in which lanes compare labels; small integers are exact in it.
    using lane = std::conditional_t<std::is_floating_point_v<Y>, Y, float>;
    using pack = simd::pack<lane, Isa>;
    using counts = simd::lane_counts<lane, Isa>;
    using wide = simd::pack<double, Isa>;

    double gain_of(Y label) const noexcept {
        if constexpr (std::is_unsigned_v<Y> && !std::is_same_v<Y, bool>) {
            if (label < gains_.size()) return gains_[label];
        }
        const double y = static_cast<double>(label);
        if (!(y > 0.0)) return 0.0;
        if (options_.gain == dcg_gain::linear) return y;
        if (y < static_cast<double>(gains_.size())) {
            const auto level = static_cast<std::size_t>(y);
            if (static_cast<double>(level) == y) return gains_[level];
        }
        constexpr double ln_2 = 0.6931471805599453;
        return std::expm1(y * ln_2);
    }

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

    // Gains times discounts. One function for the list and its ideal: a list in ideal order gets exactly 1.
    // gains(r) is a pack of those on ranks r, r + 1, ..., which are 0 from the end of the list on.
    template <class Gains>
    double discounted(std::size_t n, Gains&& gains) const noexcept {
        wide sum(0.0);
        for (std::size_t r = 0; r < n; r += wide::lanes) sum = mul_add(gains(r), wide::load(discounts_ + r), sum);
        return reduce_add(sum);
    }
    double discounted(std::vector<double>& gains, std::size_t n) const noexcept {
        double* const g = gains.data();
        for (std::size_t l = 0; l < wide::lanes; ++l) g[n + l] = 0.0;
        return discounted(n, [&](std::size_t r) { return wide::load(g + r); });
    }

    double ideal_dcg(const Y* labels, std::size_t n, std::size_t depth) {
        double ideal = 0.0;
        if (count_levels(labels, n, depth, ideal)) return ideal;
        sorted_.clear();
        for (std::size_t i = 0; i < n; ++i) {
            const double gain = gain_of(labels[i]);
            if (gain > 0.0) sorted_.push_back(gain);
        }
        const std::size_t held = (std::min)(depth, sorted_.size());
        const auto middle = sorted_.begin() + static_cast<std::ptrdiff_t>(held);
        if (held < sorted_.size()) std::nth_element(sorted_.begin(), middle, sorted_.end(), std::greater<double>());
        std::sort(sorted_.begin(), middle, std::greater<double>());
        sorted_.resize(held + wide::lanes);
        return discounted(sorted_, held);
    }

    // Ideal DCG of labels that are small integers, which most are: each level is counted in lanes. False when the labels
    // are something else.
    bool count_levels(const Y* labels, std::size_t n, std::size_t depth, double& ideal) {
        constexpr std::size_t most = 8;
        const std::size_t padded = (n + pack::lanes - 1) / pack::lanes * pack::lanes;
        if (column_.size() < padded) column_.resize(padded);
        lane* const column = column_.data();
        for (std::size_t i = 0; i < n; ++i) column[i] = static_cast<lane>(labels[i]);
        for (std::size_t i = n; i < padded; ++i) column[i] = lane(0);
        const pack zero(lane(0));
        pack top = zero;
        counts gainful;
        for (std::size_t i = 0; i < padded; i += pack::lanes) {
            const pack y = pack::load(column + i);
            top = maximum(y, top);  // NaN leaves top as it is
            gainful.add(y > zero);
        }
        const lane highest = highest_lane(top);
        if (!(highest <= static_cast<lane>(most))) return false;
        const auto levels = static_cast<std::size_t>(highest);
        // Rows at or above each level, and rows that are exactly on one.
        wide reached[most + 1], worth[most + 1];
        std::size_t exactly = 0;
        for (std::size_t level = 1; level <= levels; ++level) {
            const pack wanted(static_cast<lane>(level));
            counts at_least, equal;
            for (std::size_t i = 0; i < padded; i += pack::lanes) {
                const pack y = pack::load(column + i);
                at_least.add(y >= wanted);
                if constexpr (std::is_floating_point_v<Y>) equal.add(y == wanted);
            }
            if constexpr (std::is_floating_point_v<Y>) exactly += static_cast<std::size_t>(reduce_add(equal));
            reached[level] = wide(static_cast<double>(reduce_add(at_least)));
            worth[level] = wide(gains_[level]);
        }
        if (std::is_floating_point_v<Y> && exactly != static_cast<std::size_t>(reduce_add(gainful))) return false;
        ideal = discounted(depth, [&](std::size_t r) {
            const wide rank = wide::load(ranks_ + r);
            wide gain(0.0);
            for (std::size_t level = 1; level <= levels; ++level)
                gain = select(rank < reached[level], worth[level], gain);
            return gain;
        });
        return true;
    }

    ndcg_options options_;
    const double* discounts_;
    const double* ranks_;
    std::array<double, 32> gains_;  // of the labels 0 .. 31
    leading_rows<T, Isa> rows_;
    std::vector<double> placed_, sorted_;
    std::vector<lane> column_;
};

}  // namespace detail

/// Normalised discounted cumulative gain: how near the order of scores comes to the best order of the labels.
///
///   DCG_k = sum_{r <= k} gain(label on rank r) / log2(r + 1),    nDCG_k = DCG_k / (DCG_k of the labels in falling order)
///   gain(y) = 2^y - 1 or y
///
/// Shapes    scores [N] float or double; labels [N] of numbers; offsets [S + 1], unsigned: list s has the rows
///           offsets[s] .. offsets[s + 1] - 1, fewer than 2^32. per_list [S] of float or double, or none.
/// Writes    per_list: the value of each list, NaN where it has none.
/// Returns   list_mean: sum and number of the lists that have a value; merges over shards that hold whole lists. No row
///           is skipped: seen.accepted is N.
/// Throws    std::invalid_argument on shapes and offsets. A row with a NaN score stands on no rank, but its label counts
///           in the ideal order; a NaN or negative label has no gain; infinite scores have their place. A list whose
///           gains add up to infinity has no value.
/// Cost      for k <= 64: two passes over the scores in lanes, one over the labels for each grade, and the 1.5 k rows or
///           so that come near rank k are compared with each other in lanes. Larger k: a selection or a sort; grades
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
