// The distribution of feedback inside each group, kept for values that come later.
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
#include "reckon/core/segments.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/detail/midrank.simd.hpp"
#include "reckon/percentile/detail/pair_map.hpp"

namespace reckon {

/// Empirical distribution of each group: every value, sorted.
///
///   percentile(g, y) = (#{values below y} + #{values at most y}) / (2 n)
///
/// For a value that the group holds this is what ecdf_midrank() writes. quantile() goes back.
///
/// Merge     exact: the values of both, group by group. A default-built state has no groups and merges with any.
/// Cost      4 bytes a value. A query is two binary searches in its group without a branch.
/// Numerics  counts are integers; the percentile is the nearest double, and written as a float the nearest float in groups
///           below 2^29 values.
class grouped_ecdf {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("GECD");
    static constexpr std::uint32_t bytes_version = 1;

    grouped_ecdf() = default;

    /// Shapes    column [N] of float, N < 2^32; offsets [S + 1] as of ecdf_midrank().
    /// Throws    std::invalid_argument when the offsets do not ascend from 0 to N. NaN is counted and skipped; infinities
    ///           have their place.
    /// Cost      a sort of each group.
    template <exec::policy Policy, vector_like V, vector_like Offsets, class Isa = isa::native>
    static grouped_ecdf fit(const Policy& where, const V& column, const Offsets& offsets) {
        const auto values = input(column);
        static_assert(std::is_same_v<typename decltype(values)::value_type, float>,
                      "reckon: values of grouped_ecdf are float");
        const auto groups = make_segments("grouped_ecdf", offsets, values.size());
        expects(values.size() < (std::uint64_t{1} << 32), "grouped_ecdf", values.size(),
                " rows, fewer than 2^32 are possible");
        // Each group is sorted at its own place; then the gaps that NaN left are closed.
        grouped_ecdf made;
        made.values_.resize(values.size());
        made.offsets_.assign(groups.size() + 1, 0);
        exec::map_parts(
            where, groups.size(),
            [&](std::size_t begin, std::size_t count) {
                std::vector<std::uint32_t> keys, spare;
                for (std::size_t g = begin; g < begin + count; ++g) {
                    const std::size_t first = groups.first(g);
                    made.offsets_[g + 1] = static_cast<std::uint32_t>(detail::sort_values<Isa>(
                        values.data() + first, groups.count(g), made.values_.data() + first, keys, spare));
                }
            },
            detail::groups_a_part(groups.size(), values.size(), exec::default_part_size));
        std::uint32_t kept = 0;
        for (std::size_t g = 0; g < groups.size(); ++g) {
            const std::uint32_t count = made.offsets_[g + 1];
            const auto from = made.values_.begin() + static_cast<std::ptrdiff_t>(groups.first(g));
            if (kept != groups.first(g)) std::copy(from, from + count, made.values_.begin() + kept);
            kept += count;
            made.offsets_[g + 1] = kept;
        }
        made.values_.resize(kept);
        made.seen_ = {made.values_.size(), values.size() - made.values_.size()};
        return made;
    }

    /// Throws    std::invalid_argument when both have groups, but not as many, and for 2^32 values or more.
    void merge(const grouped_ecdf& other) {
        if (other.groups() == 0) return;
        if (groups() == 0) {
            *this = other;
            return;
        }
        expects(groups() == other.groups(), "grouped_ecdf", "cannot merge ", other.groups(), " groups into ", groups());
        const std::uint64_t total = std::uint64_t{values_.size()} + other.values_.size();
        expects(total < (std::uint64_t{1} << 32), "grouped_ecdf", total, " values, fewer than 2^32 are possible");
        std::vector<float> values(static_cast<std::size_t>(total));
        float* out = values.data();
        std::vector<std::uint32_t> offsets(offsets_.size());
        for (std::size_t g = 0; g < groups(); ++g) {
            const auto a = of(g), b = other.of(g);
            out = std::merge(a.begin(), a.end(), b.begin(), b.end(), out);
            offsets[g + 1] = offsets_[g + 1] + other.offsets_[g + 1];
        }
        values_ = std::move(values);
        offsets_ = std::move(offsets);
        seen_.merge(other.seen_);
    }

    std::size_t groups() const noexcept { return offsets_.empty() ? 0 : offsets_.size() - 1; }
    /// Values of group g, which exists.
    std::size_t size(std::size_t g) const noexcept { return offsets_[g + 1] - offsets_[g]; }
    vector_view<const float> of(std::size_t g) const noexcept { return {values_.data() + offsets_[g], size(g)}; }
    const std::vector<std::uint32_t>& offsets() const noexcept { return offsets_; }
    /// All values, group after group, ascending inside each.
    const std::vector<float>& values() const noexcept { return values_; }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    /// Mid-distribution function of a group, 0 below all of its values and 1 above; NaN for NaN, for a group without
    /// values and for one that does not exist.
    double percentile(std::size_t g, float y) const noexcept {
        if (!(g < groups() && size(g) > 0 && y == y)) return std::numeric_limits<double>::quiet_NaN();
        const detail::rank_bounds rank = detail::find_rank(values_.data() + offsets_[g], size(g), y);
        return detail::share_below<double>(rank.below + rank.at_most, 2 * size(g));
    }
    /// The way back: linear between the points ((k - 1/2) / n, k-th smallest value), the ends beyond; next to an infinite
    /// value the nearer of both. NaN as percentile(), and for p outside [0, 1].
    ///
    /// Source    Hazen's rule, the fifth of Hyndman and Fan 1996.
    double quantile(std::size_t g, double p) const noexcept {
        if (!(g < groups() && size(g) > 0 && p >= 0.0 && p <= 1.0)) return std::numeric_limits<double>::quiet_NaN();
        const float* const sorted = values_.data() + offsets_[g];
        const double last = static_cast<double>(size(g) - 1);
        const double at = (std::min)((std::max)(p * static_cast<double>(size(g)) - 0.5, 0.0), last);
        const auto k = static_cast<std::size_t>(at);
        const double share = at - static_cast<double>(k);
        const auto low = static_cast<double>(sorted[k]);
        if (share == 0.0) return low;
        const auto high = static_cast<double>(sorted[k + 1]);
        if (!std::isfinite(low) || !std::isfinite(high)) return share < 0.5 ? low : high;
        return low + share * (high - low);
    }

    /// Percentiles of new values: percentiles[i] = percentile(groups[i], values[i]).
    ///
    /// Shapes    groups [N] of an unsigned type, values [N] of float, percentiles [N] of float or double.
    /// Throws    std::invalid_argument when lengths differ.
    template <exec::policy Policy, vector_like Groups, vector_like V, class Out>
    void apply(const Policy& where, const Groups& groups, const V& values, Out&& percentiles) const {
        detail::map_pairs("grouped_ecdf", where, groups, values, percentiles,
                          [&](auto g, float y) { return percentile(static_cast<std::size_t>(g), y); });
    }
    /// Values at percentiles: values[i] = quantile(groups[i], percentiles[i]).
    template <exec::policy Policy, vector_like Groups, vector_like P, class Out>
    void invert(const Policy& where, const Groups& groups, const P& percentiles, Out&& values) const {
        detail::map_pairs("grouped_ecdf", where, groups, percentiles, values, [&](auto g, auto p) {
            return quantile(static_cast<std::size_t>(g), static_cast<double>(p));
        });
    }

    void write(byte_writer& out) const {
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        out.put_array(offsets_);
        out.put_array(values_);
    }
    static grouped_ecdf read(byte_reader& in) {
        grouped_ecdf made;
        made.seen_ = {in.get<std::uint64_t>(), in.get<std::uint64_t>()};
        made.offsets_ = in.get_array<std::uint32_t>();
        made.values_ = in.get_array<float>();
        const auto& at = made.offsets_;
        const std::size_t n = made.values_.size();
        expects_bytes(at.empty() ? n == 0 : at.front() == 0 && at.back() == n, "grouped_ecdf",
                      "offsets do not go from 0 to ", n);
        expects_bytes(made.seen_.accepted == n, "grouped_ecdf", made.seen_.accepted, " values counted, ", n, " stored");
        for (std::size_t g = 0; g < made.groups(); ++g) {
            expects_bytes(at[g] <= at[g + 1] && at[g + 1] <= n, "grouped_ecdf", "offsets decrease at group ", g);
            for (std::size_t k = at[g]; k < at[g + 1]; ++k) {
                const float x = made.values_[k];
                expects_bytes(x == x && (k == at[g] || made.values_[k - 1] <= x), "grouped_ecdf", "values of group ", g,
                              " do not ascend");
            }
        }
        return made;
    }

  private:
    std::vector<std::uint32_t> offsets_;
    std::vector<float> values_;
    counts seen_;
};

}  // namespace reckon
