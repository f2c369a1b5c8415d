// Are labels spread evenly over [0, 1], as percentiles are?
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/metrics/detail/examples.hpp"

namespace reckon {

/// What ks_uniform() returns.
struct ks_uniform_result {
    /// Largest distance of the two distribution functions, in [0, 1]; NaN for data without weight.
    double value = detail::not_a_number;
    /// Values taken, and values refused: NaN, outside [0, 1], or with a weight that is negative or not finite.
    counts seen;
};

/// Kolmogorov-Smirnov distance of labels to the uniform distribution on [0, 1].
///
///   KS = sup_t |F(t) - t|,   F(t) = sum of w_i with values_i <= t, over sum w
///
/// Both sides of every jump count, so ties are exact. Mid-ranks (i - 1/2) / n of n distinct values have KS = 0.5 / n, the
/// least that n values can have; values on a lattice have at least half of the largest mass of a point.
///
/// Shapes    values [N], weights [N] or none; N < 2^32.
/// Returns   ks_uniform_result. There is no state to merge: the order of all values is needed.
/// Throws    std::invalid_argument when lengths differ or for 2^32 values and more. Bad values are counted and skipped.
/// Cost      a radix sort on one thread, then one pass.
/// Numerics  weights add up in compensated doubles: without weights a few roundings of 1.
/// Source    Kolmogorov 1933; Massey 1951 for the test. Labels of one user depend on each other, so tables of the
///           test do not apply.
template <exec::policy Policy, vector_like V, class W = none, class Isa = isa::native>
ks_uniform_result ks_uniform(const Policy&, const V& values, const W& weights = {}) {
    exec::detail::require_host_policy<Policy>();
    const auto x = input(values);
    const auto w = input(weights);
    expects(std::is_same_v<W, none> || w.size() == x.size(), "ks_uniform", x.size(), " values but ", w.size(),
            " weights");
    const std::vector<std::uint32_t> order = ascending_order<Isa>(x);
    const auto weight_of = [&](std::size_t row) { return w.empty() ? 1.0 : static_cast<double>(w[row]); };
    const auto usable = [&](std::size_t row) {
        const auto v = static_cast<double>(x[row]);
        return v >= 0.0 && v <= 1.0 && weight_of(row) >= 0.0 && weight_of(row) <= (std::numeric_limits<double>::max)();
    };
    ks_uniform_result result;
    compensated_sum total;
    for (std::size_t row = 0; row < x.size(); ++row) {
        const bool ok = usable(row);
        result.seen.absorb(ok);
        if (ok) total.absorb(weight_of(row));
    }
    const double all = total.value();
    if (!(all > 0.0)) return result;
    compensated_sum below;
    double largest = 0.0;
    for (std::size_t i = 0; i < order.size();) {
        const auto level = x[order[i]];
        const double left = below.value() / all;
        double mass = 0.0;
        // NaN is unequal to itself and forms groups of one, at the end.
        do {
            if (usable(order[i])) {
                mass += weight_of(order[i]);
                below.absorb(weight_of(order[i]));
            }
            ++i;
        } while (i < order.size() && x[order[i]] == level);
        if (!(mass > 0.0)) continue;
        const auto t = static_cast<double>(level);
        largest = std::fmax(largest, std::fmax(t - left, below.value() / all - t));
    }
    result.value = largest;
    return result;
}

}  // namespace reckon
