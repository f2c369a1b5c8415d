// Thresholds per group that a fresh row exceeds with a chosen probability, and ranks within groups.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/ecdf_midrank.hpp"
#include "reckon/percentile/kll_sketches.hpp"
#include "reckon/uncertainty/detail/counted_map.hpp"
#include "reckon/uncertainty/detail/groups.hpp"

namespace reckon {

/// Position, from 1, of the conformal quantile among n sorted values: ceil((n + 1)(1 - rate)). Beyond n there are too
/// few values for this rate, and the quantile is inf.
///
/// rate      in (0, 1). A product (n + 1) rate within 4 roundings of an integer counts as that integer.
inline std::size_t conformal_position(std::size_t n, double rate) noexcept {
    const double next = static_cast<double>(n) + 1.0;
    const double above = std::floor(next * rate * (1.0 + 4.0 * std::numeric_limits<double>::epsilon()));
    return n + 1 - (std::min)(n, static_cast<std::size_t>(above));
}

struct group_threshold_options {
    /// In (0, 1). Share of fresh rows that may exceed the threshold of their group.
    double rate = 0.2;
};

/// The usable values of each group: what a threshold is computed from. Exact, mergeable, and as large as its input.
///
/// A NaN value (unknown) or a group outside 0 .. groups - 1 is skipped and counted. Infinities have their place in the
/// order.
/// Law       thresholds are bit-equal in any merge order. The identity is a state built with the same number of groups.
class group_values {
  public:
    /// Throws    std::invalid_argument when `groups` is not in [1, 2^20].
    explicit group_values(std::size_t groups = 1) : values_(groups) {
        expects(1 <= groups && groups <= detail::max_groups, "group_values", "groups must be in [1, 2^20], got ",
                groups);
    }

    /// Absorbs a column of values with a column of group ids, or none for group 0.
    ///
    /// Throws    std::invalid_argument when the lengths differ.
    template <vector_like U, class Groups = none>
    void absorb(const U& values, const Groups& groups = {}) {
        const auto column = input(values);
        const auto of = detail::make_groups("group_values", groups, column.size(), values_.size());
        for (std::size_t i = 0; i < column.size(); ++i) {
            const auto value = static_cast<double>(column[i]);
            const std::size_t group = of[i];
            const bool ok = value == value && group < values_.size();
            seen_.absorb(ok);
            if (ok) values_[group].push_back(value);
        }
    }
    /// Throws    std::invalid_argument when the numbers of groups differ.
    void merge(const group_values& other) {
        expects(groups() == other.groups(), "group_values", "cannot merge ", other.groups(), " groups into ", groups());
        for (std::size_t g = 0; g < values_.size(); ++g) {
            values_[g].insert(values_[g].end(), other.values_[g].begin(), other.values_[g].end());
        }
        seen_.merge(other.seen_);
    }

    std::size_t groups() const noexcept { return values_.size(); }
    /// Values of one group, in the order of their arrival.
    const std::vector<double>& values(std::size_t group) const noexcept { return values_[group]; }
    counts seen() const noexcept { return seen_; }

  private:
    std::vector<std::vector<double>> values_;
    counts seen_;
};

/// One threshold per group: split-conformal prediction with groups as Mondrian categories.
///
///   tau_g = value at position ceil((n_g + 1)(1 - rate)) of the sorted values of group g, inf beyond n_g
///
/// For a fresh row that is exchangeable with the n_g calibration rows of its group, P(value > tau_g) <= rate; without
/// ties it is floor((n_g + 1) rate) / (n_g + 1), so it misses the rate by less than 1 / (n_g + 1).
///
/// Fit       exact, by partial sorting. A group that is empty or too small for the rate: inf, which no value exceeds.
/// Throws    fit: std::invalid_argument when lengths differ or an option is out of range; NaN values and ids outside
///           0 .. groups - 1 are counted and skipped. apply: std::invalid_argument when sizes differ.
/// Cost      fit: O(N) on average and a copy of the values; groups run in parallel. apply: one comparison.
/// Numerics  exact comparisons in double. Depends on the values through their order only.
/// Source    Vovk, Gammerman and Shafer 2005 (Mondrian); Lei et al. 2018 (split).
class group_threshold {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("GTHR");
    static constexpr std::uint32_t bytes_version = 1;

    /// One group with the threshold inf.
    group_threshold() : thresholds_(1, std::numeric_limits<double>::infinity()), sizes_(1, 0) {}

    /// `groups` is a column of integer ids, or none{} for a single group.
    template <exec::policy Policy, vector_like U, class Groups = none, class Isa = isa::native>
    static group_threshold fit(const Policy& where, const U& values, const Groups& groups = {},
                               std::size_t group_count = 1, const group_threshold_options& options = {}) {
        expects_legal(options);
        group_values state(group_count);
        state.absorb(values, groups);
        return from_values(where, std::move(state), options);
    }
    /// The thresholds that belong to values, wherever they were gathered.
    template <exec::policy Policy>
    static group_threshold from_values(const Policy& where, group_values state,
                                       const group_threshold_options& options = {}) {
        expects_legal(options);
        group_threshold fitted;
        fitted.rate_ = options.rate;
        fitted.seen_ = state.seen();
        const std::size_t groups = state.groups();
        fitted.thresholds_.assign(groups, std::numeric_limits<double>::infinity());
        fitted.sizes_.resize(groups);
        exec::for_each_index(where, groups, [&](std::size_t g) {
            std::vector<double> values = state.values(g);
            fitted.sizes_[g] = values.size();
            const std::size_t position = conformal_position(values.size(), options.rate);
            if (position > values.size()) return;
            const auto at = values.begin() + static_cast<std::ptrdiff_t>(position - 1);
            std::nth_element(values.begin(), at, values.end());
            fitted.thresholds_[g] = *at;
        });
        return fitted;
    }
    /// The thresholds of sketches with the ids 0 .. group_count - 1: exact for a group of at most k values, else a fresh
    /// row exceeds its threshold more often than `rate` by no more than kll_sketch::bound() says.
    ///
    /// Throws    std::invalid_argument when an option or group_count is out of range. Values of other ids are counted as
    ///           refused.
    template <exec::policy Policy>
    static group_threshold from_sketches(const Policy& where, const kll_sketches& sketches, std::size_t group_count,
                                         const group_threshold_options& options = {}) {
        expects_legal(options);
        expects(1 <= group_count && group_count <= detail::max_groups, "group_threshold",
                "groups must be in [1, 2^20], got ", group_count);
        group_threshold fitted;
        fitted.rate_ = options.rate;
        fitted.thresholds_.assign(group_count, std::numeric_limits<double>::infinity());
        fitted.sizes_.assign(group_count, 0);
        exec::for_each_index(where, group_count, [&](std::size_t g) {
            const kll_sketch sketch = sketches.sketch(g);
            fitted.sizes_[g] = sketch.n();
            const auto n = static_cast<std::size_t>(sketch.n());
            const std::size_t position = conformal_position(n, options.rate);
            if (position > n) return;
            fitted.thresholds_[g] = static_cast<double>(sketch.sorted().at_rank(static_cast<double>(position)));
        });
        const counts seen = sketches.seen();
        for (const std::uint64_t size : fitted.sizes_) fitted.seen_.accepted += size;
        fitted.seen_.rejected = seen.rejected + (seen.accepted - fitted.seen_.accepted);
        return fitted;
    }

    std::size_t groups() const noexcept { return thresholds_.size(); }
    /// Threshold of a group; inf when there is none.
    double threshold(std::size_t group) const noexcept {
        return group < groups() ? thresholds_[group] : std::numeric_limits<double>::infinity();
    }
    /// All of them.
    const std::vector<double>& thresholds() const noexcept { return thresholds_; }
    /// Calibration rows of a group.
    std::uint64_t size(std::size_t group) const noexcept { return group < groups() ? sizes_[group] : 0; }
    double rate() const noexcept { return rate_; }
    counts seen() const noexcept { return seen_; }

    /// True where a value is above the threshold of its group; NaN and groups without a threshold never are.
    bool operator()(double value, std::size_t group = 0) const noexcept { return value > threshold(group); }

    /// flags[i] = 1 where values[i] is above the threshold of its group, else 0.
    ///
    /// Shapes    values [N], groups [N] or none{}, flags [N] of any arithmetic type.
    /// Returns   rows judged, and rows that are unknown: a value of NaN or an id without a group. Those get 0.
    template <exec::policy Policy, vector_like U, class Groups, vector_like Out, class Isa = isa::native>
    counts apply(const Policy& where, const U& values, const Groups& groups, Out&& flags) const {
        const auto column = input(values);
        const auto of = detail::make_groups("group_threshold", groups, column.size(), this->groups());
        const auto out = view(flags);
        using F = typename decltype(out)::value_type;
        expects(out.size() == column.size(), "group_threshold", column.size(), " values but room for ", out.size(),
                " flags");
        return detail::counted_map(where, column.size(), [&](std::size_t i) {
            const auto value = static_cast<double>(column[i]);
            const std::size_t group = of[i];
            out[i] = static_cast<F>(value > threshold(group) ? 1 : 0);
            return value == value && group < this->groups();
        });
    }

    void write(byte_writer& out) const {
        out.put(rate_);
        out.put_array(thresholds_);
        out.put_array(sizes_);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static group_threshold read(byte_reader& in) {
        group_threshold t;
        t.rate_ = in.get<double>();
        expects_bytes(legal(t.rate_), "group_threshold", "rate ", t.rate_, " is not in (0, 1)");
        t.thresholds_ = in.get_array<double>(detail::max_groups);
        t.sizes_ = in.get_array<std::uint64_t>(detail::max_groups);
        expects_bytes(!t.thresholds_.empty() && t.sizes_.size() == t.thresholds_.size(), "group_threshold",
                      t.thresholds_.size(), " thresholds for ", t.sizes_.size(), " sizes");
        for (const double tau : t.thresholds_) expects_bytes(tau == tau, "group_threshold", "a threshold is NaN");
        t.seen_.accepted = in.get<std::uint64_t>();
        t.seen_.rejected = in.get<std::uint64_t>();
        return t;
    }

  private:
    static bool legal(double rate) noexcept { return rate > 0.0 && rate < 1.0; }
    static void expects_legal(const group_threshold_options& options) {
        expects(legal(options.rate), "group_threshold", "rate must be in (0, 1), got ", options.rate);
    }

    double rate_ = group_threshold_options{}.rate;
    std::vector<double> thresholds_;
    std::vector<std::uint64_t> sizes_;
    counts seen_;
};

/// Half-widths of split-conformal prediction intervals: f +- threshold(g) covers the outcome of a fresh row of group g
/// with probability of at least 1 - rate.
///
/// Shapes    predictions, outcomes [N] of one type, groups [N] or none{}.
/// Returns   the thresholds of |outcome - prediction|; inf, the whole line, where there are too few rows.
/// Throws    as group_threshold::fit; rows with a NaN prediction or outcome are counted and skipped.
/// Source    Lei et al. 2018.
template <exec::policy Policy, vector_like P, vector_like Y, class Groups = none, class Isa = isa::native>
group_threshold conformal_half_widths(const Policy& where, const P& predictions, const Y& outcomes,
                                      const Groups& groups = {}, std::size_t group_count = 1,
                                      const group_threshold_options& options = {}) {
    const auto f = input(predictions);
    const auto y = input(outcomes);
    expects(f.size() == y.size(), "conformal_half_widths", f.size(), " predictions but ", y.size(), " outcomes");
    std::vector<double> residuals(f.size());
    for (std::size_t i = 0; i < f.size(); ++i) {
        residuals[i] = std::fabs(static_cast<double>(y[i]) - static_cast<double>(f[i]));
    }
    return group_threshold::fit(where, residuals, groups, group_count, options);
}

/// Rank of each value within its group, in (0, 1).
///
///   ranks_i = (midrank_i - 1/2) / n_g        midrank: from 1, equal values share the mean of theirs
///
/// Shapes    values [N] float or double, groups [N] of integers or none{}, ranks [N] of the type of the values.
/// Writes    ranks, NaN where a value is NaN or has no group; may be the memory of the values.
/// Returns   how many rows have a rank, and how many have none.
/// Throws    std::invalid_argument when lengths differ, group_count is out of range, or for 2^32 rows or more.
/// Cost      ecdf_midrank() of the gathered groups; 12 bytes of scratch a row, 20 for double, and its own.
/// Numerics  depends on the values through their order only; a constant value gives 1/2.
/// Source    ridit of the group's own distribution, Bross 1958.
template <exec::policy Policy, vector_like U, class Groups, vector_like Out, class Isa = isa::native>
counts group_rank(const Policy& where, const U& values, const Groups& groups, std::size_t group_count, Out&& ranks) {
    const auto column = input(values);
    const auto of = detail::make_groups("group_rank", groups, column.size(), group_count);
    const auto out = view(ranks);
    using T = typename decltype(column)::value_type;
    static_assert(std::is_same_v<T, typename decltype(out)::element_type>,
                  "reckon: ranks have the type of the values, float or double");
    expects(out.size() == column.size(), "group_rank", column.size(), " values but room for ", out.size(), " ranks");

    expects(column.size() < (std::uint64_t{1} << 32), "group_rank", column.size(),
            " rows, fewer than 2^32 are possible");
    // Values gathered group by group; rows without a group go behind the last, and out.
    std::vector<std::uint32_t> ends(group_count + 2, 0);
    for (std::size_t i = 0; i < column.size(); ++i) ++ends[of[i] + 1];
    for (std::size_t g = 1; g < ends.size(); ++g) ends[g] += ends[g - 1];
    std::vector<std::uint32_t> at(ends.begin(), ends.end() - 1), places(column.size());
    std::vector<T> gathered(column.size()), found(column.size(), std::numeric_limits<T>::quiet_NaN());
    for (std::size_t i = 0; i < column.size(); ++i) gathered[places[i] = at[of[i]]++] = column[i];
    const std::size_t held = ends[group_count];
    ends.pop_back();
    counts seen = ecdf_midrank<Policy, vector_view<const T>, std::vector<std::uint32_t>, vector_view<T>, Isa>(
        where, vector_view<const T>(gathered.data(), held), ends, vector_view<T>(found.data(), held));
    for (std::size_t i = 0; i < column.size(); ++i) out[i] = found[places[i]];
    seen.rejected += column.size() - held;
    return seen;
}

/// One signal from two, both ranks or both of one scale.
///
///   out_i = share first_i + (1 - share) second_i; the one that is there when the other is NaN
///
/// Shapes    first, second, out [N], float or double, of one type.
/// Writes    out; may be the memory of an input. NaN where both are.
/// Returns   rows with a signal, and rows without one.
/// Throws    std::invalid_argument when lengths differ or share is not in [0, 1].
/// Cost      one pass.
/// Source    the rule is our choice; a sum of ranks in place of the sum of two scales.
template <exec::policy Policy, vector_like A, vector_like B, vector_like Out, class Isa = isa::native>
counts combine_signals(const Policy& where, const A& first, const B& second, Out&& out, double share = 0.5) {
    const auto a = input(first);
    const auto b = input(second);
    const auto to = view(out);
    using T = typename decltype(a)::value_type;
    static_assert(
        std::is_same_v<T, typename decltype(b)::value_type> && std::is_same_v<T, typename decltype(to)::element_type>,
        "reckon: both signals and the output must have the same type, float or double");
    expects(a.size() == b.size(), "combine_signals", a.size(), " values and ", b.size(), " values");
    expects(to.size() == a.size(), "combine_signals", a.size(), " values but room for ", to.size());
    expects(0.0 <= share && share <= 1.0, "combine_signals", "share must be in [0, 1], got ", share);
    const T left = static_cast<T>(share), right = static_cast<T>(1.0 - share);
    return detail::counted_map(where, a.size(), [&](std::size_t i) {
        const T x = a[i], y = b[i];
        const T value = x != x ? y : (y != y ? x : left * x + right * y);
        to[i] = value;
        return value == value;
    });
}

}  // namespace reckon
