// The fold behind metrics of lists: each list is scored by itself, its value is written and enters a weighted mean.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/segments.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/list_mean.hpp"

namespace reckon::detail {

/// What a metric says about one list.
struct list_score {
    double value = std::numeric_limits<double>::quiet_NaN();  // NaN where it is not defined
    double weight = 1.0;
    counts rows;
};

/// Lists, cut by whole lists; `per_list` is empty when nobody asked for it.
template <class P, class Y, class Offset, class Out>
struct list_batch {
    using score_type = P;
    using label_type = Y;
    vector_view<const P> scores;
    vector_view<const Y> labels;
    segments<Offset> lists;
    vector_view<Out> per_list;

    std::size_t size() const noexcept { return lists.size(); }
    list_batch slice(std::size_t first, std::size_t count) const noexcept {
        return {scores, labels, {lists.offsets.slice(first, count + 1)}, per_list.slice(first, count)};
    }
    std::size_t longest() const noexcept {
        std::size_t most = 0;
        for (std::size_t s = 0; s < lists.size(); ++s) most = (std::max)(most, lists.count(s));
        return most;
    }
};

/// Metric    metric(scores, labels) -> list_score, with memory of its own that it keeps from list to list: each part
///           works with a copy. When it has begin(scores, labels), that is called before with all rows of the part.
template <class Isa, class Metric>
struct list_fold {
    const Metric* prototype;
    std::uint64_t min_rows = 0;
    list_mean total;

    template <class Batch>
    void absorb(const Batch& batch) {
        Metric metric(*prototype);
        const std::size_t n = batch.size(), start = batch.lists.first(0);
        if constexpr (requires { metric.begin(batch.scores, batch.labels); }) {
            const std::size_t rows = batch.lists.first(n) - start;
            metric.begin(vector_view(batch.scores.data() + start, rows),
                         vector_view(batch.labels.data() + start, rows));
        }
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t first = batch.lists.first(i), rows = batch.lists.count(i);
            list_score list =
                metric(vector_view(batch.scores.data() + first, rows), vector_view(batch.labels.data() + first, rows));
            if (list.rows.accepted < min_rows) list.value = std::numeric_limits<double>::quiet_NaN();
            const bool used = list.value == list.value;
            total.seen.merge(list.rows);
            total.lists.absorb(used);
            if (used) total.absorb(list.value, list.weight);
            if (!batch.per_list.empty()) {
                using out = typename decltype(batch.per_list)::value_type;
                batch.per_list[i] = static_cast<out>(list.value);
            }
        }
    }
    void merge(const list_fold& other) noexcept { total.merge(other.total); }
};

/// Checks the shapes.
template <class P, class Y, class Offsets, class L>
auto make_list_batch(const char* kernel, const P& scores, const Y& labels, const Offsets& offsets, L&& per_list) {
    const auto s = input(scores);
    const auto y = input(labels);
    expects(s.size() == y.size(), kernel, s.size(), " scores but ", y.size(), " labels");
    const auto lists = make_segments(kernel, offsets, s.size());
    expect_numbered_lists(kernel, lists, s.size());
    const auto out = [&] {
        if constexpr (std::is_same_v<std::remove_cvref_t<L>, none>) {
            return vector_view<double>();
        } else {
            return view(per_list);
        }
    }();
    using Out = typename decltype(out)::value_type;
    static_assert(std::is_floating_point_v<Out>,
                  "reckon: per_list must be floating-point, NaN marks an undefined value");
    if constexpr (!std::is_same_v<std::remove_cvref_t<L>, none>) {
        expects(out.size() == lists.size(), kernel, lists.size(), " lists but room for ", out.size(), " values");
    }
    return list_batch<typename decltype(s)::value_type, typename decltype(y)::value_type,
                      typename decltype(lists.offsets)::value_type, Out>{s, y, lists, out};
}

template <class Isa, class Policy, class Batch, class Metric>
list_mean fold_list_batch(const Policy& where, const Batch& batch, const list_options& options, const Metric& metric) {
    constexpr std::size_t lists_a_part = 64;
    return exec::fold_parts(where, list_fold<Isa, Metric>{&metric, options.min_rows, {}}, batch, lists_a_part).total;
}

/// Checks the shapes and folds.
template <class Isa, class Policy, class P, class Y, class Offsets, class L, class Metric>
list_mean fold_lists(const char* kernel, const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                     const list_options& options, L&& per_list, const Metric& metric) {
    return fold_list_batch<Isa>(where, make_list_batch(kernel, scores, labels, offsets, per_list), options, metric);
}

}  // namespace reckon::detail
