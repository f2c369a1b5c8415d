// Relevant rows on the first ranks of a list: what recall and precision are made of.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/metrics/detail/leading_rows.hpp"
#include "reckon/metrics/detail/ranked_list.hpp"
#include "reckon/metrics/list_mean.hpp"
#include "reckon/metrics/tie_rule.hpp"

namespace reckon::detail {

// Relevant rows on the first `depth` ranks, in expectation for tie_rule::expected; `depth` at most the rows of the list.
template <class T, class Y, class Isa>
double top_hits(const leading_rows<T, Isa>& rows, const Y* labels, std::size_t depth, tie_rule ties,
                const relevance<Y>& relevant) noexcept {
    const auto count = [&](std::size_t begin, std::size_t end) {
        std::size_t hits = 0;
        for (std::size_t p = begin; p < end; ++p) hits += relevant(labels[rows.row(p)]) ? 1u : 0u;
        return hits;
    };
    const std::size_t shown = (std::min)(depth, rows.size());
    if (shown == rows.size() || rows.score(shown) != rows.score(shown - 1)) {
        return static_cast<double>(count(0, shown));
    }
    // The level that rank `depth` cuts.
    std::size_t begin = shown - 1;
    while (begin > 0 && rows.score(begin - 1) == rows.score(shown)) --begin;
    const std::size_t end = rows.level_end(begin), taken = shown - begin;
    const std::size_t above = count(0, begin);
    if (ties == tie_rule::first) return static_cast<double>(above + count(begin, shown));
    if (ties == tie_rule::trec) return static_cast<double>(above + count(end - taken, end));
    const std::size_t level = end - begin, held = count(begin, end);
    if (ties == tie_rule::optimistic) return static_cast<double>(above + (std::min)(taken, held));
    if (ties == tie_rule::pessimistic) {
        return static_cast<double>(above + (taken + held > level ? taken + held - level : 0));
    }
    return static_cast<double>(above) +
           static_cast<double>(held) * static_cast<double>(taken) / static_cast<double>(level);
}

// Mean over lists of finish(hits, relevant rows of the list, ranks).
template <class Isa, class Policy, class P, class Y, class Offsets, class Options, class L, class Finish>
list_mean mean_top_hits(const char* kernel, const Policy& where, const P& scores, const Y& labels,
                        const Offsets& offsets, const Options& options, L&& per_list, const Finish& finish) {
    exec::detail::require_host_policy<Policy>();
    expects(options.threshold >= 0.0, kernel, "threshold must be at least 0, got ", options.threshold);
    const auto lists = make_ranked_lists(kernel, scores, labels, offsets, per_list);
    using batch = std::remove_const_t<decltype(lists)>;
    using ranking = leading_rows<typename batch::score_type, Isa>;
    const relevance<typename batch::label_type> relevant(options.threshold);
    return mean_over_lists<Isa>(
        where, lists,
        [&options, &relevant, &finish, ranked = ranking()](const auto* s, const auto* y, std::size_t n) mutable {
            const std::size_t ranks = options.k == 0 ? n : options.k;
            if (ranks >= n) {  // all ranks: the order does not matter
                const std::size_t total = relevant.count(y, n);
                if (total == 0) return empty_value(options.empty);
                std::size_t hits = 0;
                for (std::size_t i = 0; i < n; ++i) hits += relevant(y[i]) && s[i] == s[i] ? 1u : 0u;
                return finish(static_cast<double>(hits), total, ranks);
            }
            ranked.collect(s, n, ranks);
            const std::size_t total = relevant.count(y, n);
            if (total == 0) return empty_value(options.empty);
            ranked.order();
            return finish(top_hits(ranked, y, ranks, options.ties, relevant), total, ranks);
        });
}

}  // namespace reckon::detail
