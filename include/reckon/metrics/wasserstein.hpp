// Earth mover's distance of one-dimensional samples, and of predicted quantiles to samples.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/segments.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/examples.hpp"

namespace reckon {

/// What wasserstein() returns.
struct wasserstein_result {
    double value = detail::not_a_number;  ///< in the unit of the values; NaN when a sample has no weight
    counts first, second;                 ///< values taken and refused of each sample
};

namespace detail {

struct weighted_value {
    double value, weight;
};

// Finite values with a weight, ascending; counts the others.
template <class V, class W>
void take_sorted(vector_view<const V> values, vector_view<const W> weights, std::vector<weighted_value>& out,
                 counts& seen) {
    constexpr double most = (std::numeric_limits<double>::max)();
    out.clear();
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto x = static_cast<double>(values[i]);
        const double w = weights.empty() ? 1.0 : static_cast<double>(weights[i]);
        const bool ok = std::fabs(x) <= most && w >= 0.0 && w <= most;
        seen.absorb(ok);
        if (ok && w > 0.0) out.push_back({x, w});
    }
    const auto less = [](const weighted_value& a, const weighted_value& b) { return a.value < b.value; };
    if (!std::is_sorted(out.begin(), out.end(), less)) std::sort(out.begin(), out.end(), less);
}

// Integral of |F - G|: between neighbouring values of either sample both are constant.
inline double distance_of_sorted(const std::vector<weighted_value>& a, const std::vector<weighted_value>& b) noexcept {
    compensated_sum all_a, all_b, to_a, to_b, area;
    for (const weighted_value& v : a) all_a.absorb(v.weight);
    for (const weighted_value& v : b) all_b.absorb(v.weight);
    const double total_a = all_a.value(), total_b = all_b.value();
    if (a.empty() || b.empty()) return not_a_number;
    std::size_t i = 0, j = 0;
    double at = (std::min)(a[0].value, b[0].value);
    // Beyond the end of one sample its share is 1.
    while (i < a.size() || j < b.size()) {
        const bool from_a = j == b.size() || (i < a.size() && a[i].value <= b[j].value);
        const double next = from_a ? a[i].value : b[j].value;
        if (next > at) {
            const double share = std::fabs(to_a.value() / total_a - to_b.value() / total_b);
            // The distance of two values may be infinite.
            if (share > 0.0) area.absorb((next - at) * share);
            at = next;
        }
        if (from_a) {
            to_a.absorb(a[i++].weight);
        } else {
            to_b.absorb(b[j++].weight);
        }
    }
    return area.value();
}

}  // namespace detail

/// 1-Wasserstein distance of two samples: how far mass must move, on average, to turn one into the other.
///
///   W1 = integral |F(x) - G(x)| dx = integral_0^1 |F^-1(t) - G^-1(t)| dt
///
/// Shapes    first [N], second [M] of any arithmetic types; weights of each of its length, or none.
/// Returns   wasserstein_result. There is no state to merge: the order of all values is needed.
/// Throws    std::invalid_argument when weights differ in length from their values. Counts and skips a value that is NaN
///           or infinite or whose weight is negative or not finite.
/// Cost      two sorts on one thread and a merge, 16 bytes of scratch a value.
/// Numerics  exact but for roundings: compensated sums, no quantile is interpolated. Exactly 0 for equal samples.
///           Infinite where mass moves between values whose distance is beyond the range of double.
/// Source    Vallender 1974 for the integral of distribution functions.
template <exec::policy Policy, vector_like A, vector_like B, class WA = none, class WB = none>
wasserstein_result wasserstein(const Policy&, const A& first, const B& second, const WA& first_weights = {},
                               const WB& second_weights = {}) {
    exec::detail::require_host_policy<Policy>();
    const auto a = input(first);
    const auto b = input(second);
    const auto wa = input(first_weights);
    const auto wb = input(second_weights);
    expects(std::is_same_v<WA, none> || wa.size() == a.size(), "wasserstein", a.size(), " values but ", wa.size(),
            " weights");
    expects(std::is_same_v<WB, none> || wb.size() == b.size(), "wasserstein", b.size(), " values but ", wb.size(),
            " weights");
    wasserstein_result result;
    std::vector<detail::weighted_value> x, y;
    detail::take_sorted(a, wa, x, result.first);
    detail::take_sorted(b, wb, y, result.second);
    result.value = detail::distance_of_sorted(x, y);
    return result;
}

/// Mean over groups of the 1-Wasserstein distance between predicted quantiles and the values that came.
///
/// Row g of `quantiles` stands for a distribution with mass 1/K at each of its K numbers, which is the quantile function at
/// the levels (k - 1/2) / K drawn as steps.
///
/// Shapes    quantiles [G, K], in any order within a row; values [N]; offsets [G + 1]: group g has the rows offsets[g] ..
///           offsets[g + 1] - 1. per_group [G] or none.
/// Writes    per_group: the distance of each group, NaN where it has none.
/// Returns   mean_value over the groups that have a distance, each with weight 1; merges over shards.
/// Throws    std::invalid_argument on shapes, or offsets that do not ascend from 0 to N. Values and quantiles that are
///           NaN or infinite are skipped; a group without a value or without a quantile has no distance.
/// Cost      a sort and a merge per group; groups are shared among threads.
/// Numerics  as wasserstein(). Even true quantiles score above 0 on a finite sample: compare with the floor that quantiles
///           of other values of the same group give.
/// Source    the figure of RAD (2025) for a quantile table; the steps are ours.
template <exec::policy Policy, class Q, vector_like V, vector_like Offsets, class Out = none>
mean_value group_wasserstein(const Policy& where, const Q& quantiles, const V& values, const Offsets& offsets,
                             Out&& per_group = {}) {
    const auto q = input(quantiles);
    const auto x = input(values);
    const auto groups = make_segments("group_wasserstein", offsets, x.size());
    expects(q.rows() == groups.size(), "group_wasserstein", groups.size(), " groups but ", q.rows(),
            " rows of quantiles");
    constexpr bool writes = !std::is_same_v<std::remove_cvref_t<Out>, none>;
    if constexpr (writes) {
        static_assert(std::is_floating_point_v<typename decltype(view(per_group))::value_type>,
                      "reckon: per_group must be floating-point, NaN marks an undefined value");
        expects(view(per_group).size() == groups.size(), "group_wasserstein", groups.size(), " groups but room for ",
                view(per_group).size());
    }
    std::vector<double> distances(groups.size());
    constexpr std::size_t groups_a_part = 64;
    exec::map_parts(
        where, groups.size(),
        [&](std::size_t begin, std::size_t count) {
            std::vector<detail::weighted_value> a, b;
            counts seen;
            const vector_view<const float> unweighted;
            for (std::size_t g = begin; g < begin + count; ++g) {
                detail::take_sorted(q.row(g), unweighted, a, seen);
                detail::take_sorted(x.slice(groups.first(g), groups.count(g)), unweighted, b, seen);
                distances[g] = detail::distance_of_sorted(a, b);
            }
        },
        groups_a_part);
    mean_value mean;
    for (std::size_t g = 0; g < distances.size(); ++g) {
        if constexpr (writes) {
            view(per_group)[g] = static_cast<typename decltype(view(per_group))::value_type>(distances[g]);
        }
        if (distances[g] == distances[g]) mean.absorb(distances[g]);
    }
    return mean;
}

}  // namespace reckon
