// Multi-view calibration error: errors of random parts of the data.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/examples.hpp"

namespace reckon {

struct mvce_options {
    /// Examples in a part; at least 1. There are floor(N / part_size) parts, at least one, of sizes that differ by at
    /// most 1.
    std::size_t part_size = 1000;
    /// Random partitions; at least 1.
    std::size_t repeats = 100;
    /// Order q of the mean over parts; in [1, 100].
    double order = 2.0;
    std::uint64_t seed = 1;
};

/// What mvce() returns.
struct mvce_result {
    double value = detail::not_a_number;  ///< NaN for no data
    /// Mean over partitions and parts of |mean error|^order: for order 2 its expectation is b^2 + (S^2 / c)(1 - c / N).
    double mean_power = detail::not_a_number;
    /// Examples taken, and examples refused for a score or label out of range.
    counts seen;
};

/// Multi-view calibration error.
///
///   MVCE = (1/r) sum_i ( (1/t) sum_j |mean of p - y over part j of partition i|^q )^(1/q)
///
/// With random parts it is the Brier score in disguise: for parts of c examples and residuals p - y of mean b and
/// sample variance S^2, the expectation of the inner mean is b^2 + (S^2 / c)(1 - c / N) for q = 2. It sees a global
/// bias and little else; it is here because published tables use it.
///
/// Shapes    scores, labels [N].
/// Returns   mvce_result. There is no state to merge: partitions are of the whole data.
/// Throws    std::invalid_argument on lengths that differ or an option out of range. Bad values are counted and
///           skipped.
/// Cost      repeats * N random numbers and swaps, repeats shared out over threads; 8 N bytes per repeat under way.
/// Numerics  seeded, the same for every number of threads.
/// Source    Huang et al. 2022.
template <exec::policy Policy, vector_like P, vector_like Y>
mvce_result mvce(const Policy& where, const P& scores, const Y& labels, const mvce_options& options = {}) {
    const auto batch = make_scored("mvce", scores, labels);
    expects(options.part_size >= 1, "mvce", "part_size must be positive");
    expects(options.repeats >= 1, "mvce", "repeats must be positive");
    expects(options.order >= 1.0 && options.order <= 100.0, "mvce", "order must be in [1, 100], got ", options.order);
    mvce_result result;
    std::vector<double> residuals;
    residuals.reserve(batch.size());
    for (std::size_t i = 0; i < batch.size(); ++i) {
        const bool ok = detail::usable_example(batch.score(i), batch.label(i), 1.0);
        result.seen.absorb(ok);
        if (ok) residuals.push_back(batch.score(i) - batch.label(i));
    }
    const std::size_t n = residuals.size();
    if (n == 0) return result;
    const std::size_t parts = n < options.part_size ? 1 : n / options.part_size;

    std::vector<double> powers(options.repeats);
    exec::for_each_index(where, options.repeats, [&](std::size_t repeat) {
        const random_stream rng(options.seed, repeat);
        std::vector<double> shuffled = residuals;
        // A block of random numbers first: the swaps alone are short enough for many cache misses to overlap.
        constexpr std::size_t block = 256;
        std::size_t other[block];
        for (std::size_t i = n; i > 1;) {
            const std::size_t count = i - 1 < block ? i - 1 : block;
            for (std::size_t k = 0; k < count; ++k) other[k] = rng.below(i - k, i - k);
            for (std::size_t k = 0; k < count; ++k) std::swap(shuffled[i - k - 1], shuffled[other[k]]);
            i -= count;
        }
        double sum = 0.0;
        std::size_t first = 0;
        for (std::size_t j = 0; j < parts; ++j) {
            const std::size_t count = n / parts + (j < n % parts ? 1 : 0);
            compensated_sum error;
            for (std::size_t i = first; i < first + count; ++i) error.absorb(shuffled[i]);
            sum += std::pow(std::fabs(error.value()) / static_cast<double>(count), options.order);
            first += count;
        }
        powers[repeat] = sum / static_cast<double>(parts);
    });
    double value = 0.0, power = 0.0;
    for (const double x : powers) {
        value += std::pow(x, 1.0 / options.order);
        power += x;
    }
    result.value = value / static_cast<double>(options.repeats);
    result.mean_power = power / static_cast<double>(options.repeats);
    return result;
}

}  // namespace reckon
