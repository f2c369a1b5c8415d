// Kolmogorov-Smirnov calibration error: no bins, one sort.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/metrics/detail/examples.hpp"

namespace reckon {

/// What calibration_ks() returns.
struct calibration_ks_result {
    /// Largest absolute difference of the two cumulative curves, in [0, 1]; NaN for data without weight.
    double value = detail::not_a_number;
    /// Examples taken, and examples refused for a score, label or weight out of range.
    counts seen;
};

/// Kolmogorov-Smirnov calibration error: the largest gap between cumulative predictions and cumulative labels.
///
///   KS = max_i |sum_{j <= i} w_j (p_j - y_j)| / sum w          in score order, equal scores taken together
///
/// Shapes    scores, labels [N]; weights [N] or empty for ones.
/// Returns   calibration_ks_result. There is no state to merge: the order of all scores is needed.
/// Throws    std::invalid_argument on lengths that differ or for 2^32 examples and more. Bad values are counted and
///           skipped.
/// Cost      a radix sort of the scores on one thread, then one pass; 4 to 12 bytes of scratch per score byte.
/// Numerics  compensated sums in double.
/// Source    Gupta, Rahimi, Ajanthan, Mensink, Sminchisescu and Hartley 2021.
template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
calibration_ks_result calibration_ks(const Policy&, const P& scores, const Y& labels, const W& weights = {}) {
    exec::detail::require_host_policy<Policy>();
    const auto batch = make_scored("calibration_ks", scores, labels, weights);
    const std::vector<std::uint32_t> order = ascending_order<Isa>(batch.scores);
    calibration_ks_result result;
    compensated_sum gap, weight;
    double largest = 0.0;
    for (std::size_t i = 0; i < order.size(); ++i) {
        const std::size_t row = order[i];
        const double p = batch.score(row), y = batch.label(row), w = batch.weight(row);
        const bool ok = detail::usable_example(p, y, w);
        result.seen.absorb(ok);
        if (ok) {
            gap.absorb(w * (p - y));
            weight.absorb(w);
        }
        const bool last_of_level = i + 1 == order.size() || batch.scores[order[i + 1]] != batch.scores[row];
        if (last_of_level) largest = std::fmax(largest, std::fabs(gap.value()));
    }
    result.value = detail::ratio_or_nan(largest, weight.value(), weight.value());
    return result;
}

}  // namespace reckon
