// The best relevant row of a list and the rows that tie with it: what reciprocal rank and hit rate are made of.
#pragma once

#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/metrics/detail/ranked_list.hpp"
#include "reckon/metrics/list_mean.hpp"
#include "reckon/metrics/tie_rule.hpp"

namespace reckon::detail {

// The best level, rows of equal score, that holds a relevant row.
struct first_relevant {
    std::size_t total = 0;     // relevant rows of the list
    std::size_t above = 0;     // rows with a better score
    std::size_t level = 0;     // rows of the level
    std::size_t relevant = 0;  // relevant ones among them; 0: no relevant row has a score
    double score = 0.0;
};

// Finds the level in two passes in lanes, nothing is sorted.
template <class T, class Y, class Isa>
class first_relevant_finder {
  public:
    explicit first_relevant_finder(const relevance<Y>& relevant) : relevant_(relevant) {}

    const relevance<Y>& relevant() const noexcept { return relevant_; }

    first_relevant find(const T* scores, const Y* labels, std::size_t n) {
        using limits = std::numeric_limits<T>;
        first_relevant out;
        if (flags_.size() < n + pack::lanes) flags_.resize(n + pack::lanes);
        T* const flags = flags_.data();
        for (std::size_t i = 0; i < n; ++i) flags[i] = relevant_(labels[i]) ? T(1) : T(0);
        for (std::size_t i = n; i < n + pack::lanes; ++i) flags[i] = T(0);
        const pack zero(T(0)), nan(limits::quiet_NaN());
        // maximum returns its second operand for NaN: rows that are not relevant or have no score.
        pack best(-limits::infinity());
        counts total, above, equal, both;
        each_pack(scores, n, [&](std::size_t i, pack s) {
            const auto flagged = pack::load(flags + i) > zero;
            best = maximum(select(flagged, s, nan), best);
            total.add(flagged);
        });
        out.total = static_cast<std::size_t>(reduce_add(total));
        if (out.total == 0) return out;
        const T top = highest_lane(best);
        const pack level(top);
        each_pack(scores, n, [&](std::size_t i, pack s) {
            const auto same = s == level;
            above.add(s > level);
            equal.add(same);
            both.add(same & (pack::load(flags + i) > zero));
        });
        out.above = static_cast<std::size_t>(reduce_add(above));
        out.level = static_cast<std::size_t>(reduce_add(equal));
        out.relevant = static_cast<std::size_t>(reduce_add(both));
        out.score = static_cast<double>(top);
        return out;
    }

  private:
    using pack = simd::pack<T, Isa>;
    using counts = simd::lane_counts<T, Isa>;

    template <class Body>
    static RECKON_INLINE void each_pack(const T* scores, std::size_t n, Body&& body) {
        std::size_t i = 0;
        for (; i + pack::lanes <= n; i += pack::lanes) body(i, pack::load(scores + i));
        if (i < n) body(i, pack::load_padded(scores + i, n - i, std::numeric_limits<T>::quiet_NaN()));
    }

    relevance<Y> relevant_;
    std::vector<T> flags_;
};

// Ranks from 1 at which the first relevant row may stand: first, last, and the chances in between are those of a random
// order of the level. For the rules that decide by rows both ends are the same.
struct rank_range {
    std::size_t low = 0, high = 0;
};
template <class T, class Y>
rank_range rank_of_first(const first_relevant& found, tie_rule ties, const T* scores, const Y* labels, std::size_t n,
                         const relevance<Y>& relevant) noexcept {
    const std::size_t low = found.above + 1, high = found.above + found.level - found.relevant + 1;
    if (low == high || ties == tie_rule::expected) return {low, high};
    if (ties == tie_rule::optimistic) return {low, low};
    if (ties == tie_rule::pessimistic) return {high, high};
    const T level = static_cast<T>(found.score);
    std::size_t rank = found.above;
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t row = ties == tie_rule::first ? i : n - 1 - i;
        if (scores[row] != level) continue;
        ++rank;
        if (relevant(labels[row])) break;
    }
    return {rank, rank};
}

// Mean over lists of settled(rank of the first relevant row, k), or of expected(level, k) where equal rows leave it open.
template <class Isa, class Policy, class P, class Y, class Offsets, class Options, class L, class Settled,
          class Expected>
list_mean mean_first_relevant(const char* kernel, const Policy& where, const P& scores, const Y& labels,
                              const Offsets& offsets, const Options& options, L&& per_list, const Settled& settled,
                              const Expected& expected) {
    exec::detail::require_host_policy<Policy>();
    expects(options.threshold >= 0.0, kernel, "threshold must be at least 0, got ", options.threshold);
    const auto lists = make_ranked_lists(kernel, scores, labels, offsets, per_list);
    using batch = std::remove_const_t<decltype(lists)>;
    using Label = typename batch::label_type;
    using finder = first_relevant_finder<typename batch::score_type, Label, Isa>;
    const relevance<Label> relevant(options.threshold);
    return mean_over_lists<Isa>(
        where, lists,
        [&options, &settled, &expected, find = finder(relevant)](const auto* s, const auto* y, std::size_t n) mutable {
            const first_relevant found = find.find(s, y, n);
            if (found.total == 0) return empty_value(options.empty);
            if (found.relevant == 0) return 0.0;
            const std::size_t k = options.k == 0 ? n : options.k;
            const auto rank = rank_of_first(found, options.ties, s, y, n, find.relevant());
            return rank.low == rank.high ? settled(rank.low, k) : expected(found, k);
        });
}

}  // namespace reckon::detail
