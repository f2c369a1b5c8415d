// Is an uncertainty worth anything: does it order the errors, is it right in size, do its intervals cover?
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/rank_correlation.hpp"  // IWYU pragma: export
#include "reckon/metrics/score_bins.hpp"
#include "reckon/uncertainty/detail/counted_map.hpp"

namespace reckon {

namespace detail {

// Columns of a pair that have no NaN.
struct clean_pairs {
    std::vector<double> first, second;
    counts seen;
};
template <class A, class B>
clean_pairs pairs_without_nan(const char* kernel, const A& first, const B& second) {
    const auto a = input(first);
    const auto b = input(second);
    expects(a.size() == b.size(), kernel, a.size(), " values and ", b.size(), " values");
    clean_pairs pairs;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const auto x = static_cast<double>(a[i]), y = static_cast<double>(b[i]);
        const bool ok = x == x && y == y;
        pairs.seen.absorb(ok);
        if (!ok) continue;
        pairs.first.push_back(x);
        pairs.second.push_back(y);
    }
    return pairs;
}

}  // namespace detail

/// Mean error of the rows that are left when the most uncertain ones are dropped.
struct sparsification_curve {
    std::vector<double> dropped;                                ///< share of the rows that is dropped, k / points
    std::vector<double> mean;                                   ///< mean error of the rest, dropped by uncertainty
    std::vector<double> oracle;                                 ///< the same, dropped by the error itself
    double area = std::numeric_limits<double>::quiet_NaN();     ///< mean of (mean - oracle) over all rows as cuts
    double overall = std::numeric_limits<double>::quiet_NaN();  ///< mean error of all rows
    counts seen;

    /// Area under the sparsification error (AUSE): 0 for an uncertainty that orders the errors as they are.
    double ause() const noexcept { return area; }
    /// The area over the mean error; NaN when that is 0.
    double relative_ause() const noexcept {
        return overall > 0.0 ? area / overall : std::numeric_limits<double>::quiet_NaN();
    }
};

namespace detail {

// mean[m - 1] = mean error of the m rows of least key; equal keys leave in random order, in expectation.
template <class Isa>
std::vector<double> mean_of_least(const std::vector<double>& keys, const std::vector<double>& errors) {
    const auto order = ascending_order<Isa>(vector_view<const double>(keys.data(), keys.size()));
    std::vector<double> means(order.size());
    compensated_sum sum;
    for (std::size_t i = 0; i < order.size();) {
        // An updated mean, which is exact where all errors are equal.
        double share = errors[order[i]];
        std::size_t next = i + 1;
        for (; next < order.size() && keys[order[next]] == keys[order[i]]; ++next) {
            share += (errors[order[next]] - share) / static_cast<double>(next - i + 1);
        }
        for (; i < next; ++i) {
            sum.absorb(share);
            means[i] = sum.value() / static_cast<double>(i + 1);
        }
    }
    return means;
}

}  // namespace detail

/// Sparsification: how fast the mean error falls when rows are dropped in the order of their uncertainty.
///
///   ause = 1/n sum_{j < n} [ mean error without the j rows of largest uncertainty - the same by largest error ]
///
/// Shapes    uncertainty, errors [N] of any arithmetic type.
/// points    >= 1. Length of the curves: k of `points` parts are dropped, k = 0 .. points - 1. The area does not depend
///           on it.
/// Returns   the curves; empty and NaN without rows.
/// Throws    std::invalid_argument when lengths differ or points is 0. Rows with a NaN are counted and skipped.
/// Cost      two radix sorts on one thread, 40 bytes of scratch a row.
/// Numerics  compensated sums. Depends on the uncertainty through its order only; of equal ones the mean error counts,
///           as if they were dropped in random order. Exactly 0 where uncertainty rises with the error.
/// Source    Ilg et al. 2018; the treatment of ties is ours.
template <vector_like U, vector_like E, class Isa = isa::native>
sparsification_curve sparsification(const U& uncertainty, const E& errors, std::size_t points = 20) {
    expects(points >= 1, "sparsification", "points must be >= 1, got ", points);
    const detail::clean_pairs pairs = detail::pairs_without_nan("sparsification", uncertainty, errors);
    sparsification_curve curve;
    curve.seen = pairs.seen;
    const std::size_t n = pairs.first.size();
    if (n == 0) return curve;
    const std::vector<double> mean = detail::mean_of_least<Isa>(pairs.first, pairs.second);
    const std::vector<double> best = detail::mean_of_least<Isa>(pairs.second, pairs.second);
    compensated_sum area;
    for (std::size_t m = 0; m < n; ++m) area.absorb(mean[m] - best[m]);
    curve.area = area.value() / static_cast<double>(n);
    curve.overall = best.back();
    for (std::size_t k = 0; k < points; ++k) {
        const std::size_t gone = n / points * k + n % points * k / points;  // floor(n k / points)
        curve.dropped.push_back(static_cast<double>(k) / static_cast<double>(points));
        curve.mean.push_back(mean[n - 1 - gone]);
        curve.oracle.push_back(best[n - 1 - gone]);
    }
    return curve;
}

/// One bin of a critic's reliability table.
struct critic_bin {
    double count = 0.0;
    double expected_sum = 0.0;  ///< sum of what the critic said
    double error_sum = 0.0;     ///< sum of the errors that came

    /// Means; NaN for an empty bin.
    double mean_expected() const noexcept { return count > 0.0 ? expected_sum / count : nan(); }
    double mean_error() const noexcept { return count > 0.0 ? error_sum / count : nan(); }

  private:
    static double nan() noexcept { return std::numeric_limits<double>::quiet_NaN(); }
};

/// Mean error against mean expected error, bin by bin; merges over shards that share their bins.
class critic_table {
  public:
    /// Bins cut at points that score_bins::cuts() took; any finite numbers.
    explicit critic_table(score_bins bins) : bins_(std::move(bins)), cells_(bins_.size()) {}

    /// Throws    std::invalid_argument when lengths differ. Counts and skips rows that are NaN, infinite or negative.
    template <vector_like P, vector_like E>
    void absorb(const P& expected, const E& errors) {
        const auto p = input(expected);
        const auto e = input(errors);
        expects(p.size() == e.size(), "critic_table", p.size(), " expected errors but ", e.size(), " errors");
        for (std::size_t i = 0; i < p.size(); ++i) {
            const auto x = static_cast<double>(p[i]), y = static_cast<double>(e[i]);
            const bool ok = usable(x, y);
            seen_.absorb(ok);
            if (!ok) continue;
            // Bins of equal width end at 1.
            critic_bin& cell = cells_[bins_.index(bins_.equal_width() ? (std::min)(x, 1.0) : x)];
            cell.count += 1.0;
            cell.expected_sum += x;
            cell.error_sum += y;
        }
    }
    /// Throws    std::invalid_argument when the bins differ.
    void merge(const critic_table& other) {
        expects(bins_ == other.bins_, "critic_table", "cannot merge tables over different bins: ", bins_.size(),
                " and ", other.bins_.size());
        for (std::size_t b = 0; b < cells_.size(); ++b) {
            cells_[b].count += other.cells_[b].count;
            cells_[b].expected_sum += other.cells_[b].expected_sum;
            cells_[b].error_sum += other.cells_[b].error_sum;
        }
        seen_.merge(other.seen_);
    }

    std::size_t size() const noexcept { return cells_.size(); }
    const critic_bin& bin(std::size_t b) const noexcept { return cells_[b]; }
    const score_bins& bins() const noexcept { return bins_; }
    counts seen() const noexcept { return seen_; }

    static bool usable(double expected, double error) noexcept {
        constexpr double most = (std::numeric_limits<double>::max)();
        return 0.0 <= expected && expected <= most && 0.0 <= error && error <= most;
    }

  private:
    score_bins bins_;
    std::vector<critic_bin> cells_;
    counts seen_;
};

/// Reliability of a critic over bins of about equal mass of what it said.
///
/// Shapes    expected, errors [N] of any arithmetic type.
/// bins      1 .. 2^20; equal expected errors share a bin, so ties make fewer.
/// Returns   the table; one empty bin without rows. For a table that merges, build the others with its bins().
/// Throws    std::invalid_argument when lengths differ or bins is out of range. Counts and skips rows that are NaN,
///           infinite or negative.
/// Cost      a sort of the expected errors on one thread.
/// Numerics  sums in double.
/// Source    as the reliability table of probabilities, Murphy and Winkler 1977.
template <vector_like P, vector_like E, class Isa = isa::native>
critic_table critic_reliability(const P& expected, const E& errors, std::size_t bins = 10) {
    expects(1 <= bins && bins <= score_bins::max_size, "critic_reliability", "bins must be in [1, 2^20], got ", bins);
    const auto p = input(expected);
    const auto e = input(errors);
    expects(p.size() == e.size(), "critic_reliability", p.size(), " expected errors but ", e.size(), " errors");
    std::vector<double> sorted;
    for (std::size_t i = 0; i < p.size(); ++i) {
        const auto x = static_cast<double>(p[i]);
        if (critic_table::usable(x, static_cast<double>(e[i]))) sorted.push_back(x);
    }
    std::sort(sorted.begin(), sorted.end());
    std::vector<double> cuts;
    const std::size_t whole = sorted.size() / bins, rest = sorted.size() % bins;
    for (std::size_t k = 1; k < bins && !sorted.empty(); ++k) {
        const double cut = sorted[k * whole + k * rest / bins];
        if (cut > (cuts.empty() ? sorted.front() : cuts.back())) cuts.push_back(cut);
    }
    critic_table table(score_bins::cuts(cuts));
    table.absorb(expected, errors);
    return table;
}

/// How often intervals cover; merges over shards.
struct coverage_result {
    std::uint64_t covered = 0;
    counts seen;

    void merge(const coverage_result& other) noexcept {
        covered += other.covered;
        seen.merge(other.seen);
    }
    /// Share of the accepted rows that is covered; NaN without one.
    double finish() const noexcept {
        return seen.accepted > 0 ? static_cast<double>(covered) / static_cast<double>(seen.accepted)
                                 : std::numeric_limits<double>::quiet_NaN();
    }
};

namespace detail {

template <class P, class Y, class E, class S>
struct coverage_rows {
    vector_view<const P> predictions;
    vector_view<const Y> outcomes;
    vector_view<const E> epistemic;
    vector_view<const S> noise;

    std::size_t size() const noexcept { return predictions.size(); }
    coverage_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {predictions.slice(first, count), outcomes.slice(first, count), epistemic.slice(first, count),
                noise.slice(first, count)};
    }
};
template <class Isa>
struct coverage_fold {
    double z = 0.0;
    coverage_result total;

    template <class Rows>
    void absorb(const Rows& rows) noexcept {
        constexpr double most = (std::numeric_limits<double>::max)();
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const double miss = static_cast<double>(rows.outcomes[i]) - static_cast<double>(rows.predictions[i]);
            const auto epistemic = static_cast<double>(rows.epistemic[i]), noise = static_cast<double>(rows.noise[i]);
            const bool ok = std::fabs(miss) <= most && epistemic >= 0.0 && noise >= 0.0;
            total.seen.absorb(ok);
            total.covered += ok && std::fabs(miss) <= z * std::sqrt(epistemic + noise) ? 1u : 0u;
        }
    }
    void merge(const coverage_fold& other) noexcept { total.merge(other.total); }
};

}  // namespace detail

/// Coverage of the intervals predictions +- z sqrt(epistemic + noise), ends included.
///
/// Shapes    predictions, outcomes, epistemic, noise [N] of any arithmetic types; the last two are variances.
/// z         > 0. 1.96 should cover 95 % of normal outcomes, see z_95.
/// Returns   coverage_result; merges over shards.
/// Throws    std::invalid_argument when lengths differ or z is not positive and finite. Counts and skips rows with a
///           prediction or outcome that is NaN or infinite or a variance that is negative or NaN.
/// Cost      one square root a row.
/// Numerics  in double; counts are exact.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like E, vector_like S, class Isa = isa::native>
coverage_result interval_coverage(const Policy& where, const P& predictions, const Y& outcomes, const E& epistemic,
                                  const S& noise, double z) {
    const auto f = input(predictions);
    const auto y = input(outcomes);
    const auto e = input(epistemic);
    const auto s = input(noise);
    expects(y.size() == f.size() && e.size() == f.size() && s.size() == f.size(), "interval_coverage", f.size(),
            " predictions but ", y.size(), " outcomes, ", e.size(), " epistemic and ", s.size(), " noise variances");
    expects(z > 0.0 && z <= 1e6, "interval_coverage", "z must be in (0, 1e6], got ", z);
    const detail::coverage_rows<typename decltype(f)::value_type, typename decltype(y)::value_type,
                                typename decltype(e)::value_type, typename decltype(s)::value_type>
        rows{f, y, e, s};
    return exec::fold_parts(where, detail::coverage_fold<Isa>{z, {}}, rows).total;
}

}  // namespace reckon
