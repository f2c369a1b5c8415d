// Buckets of about equal mass of a duration: what a percentile or a z-score may be relative to besides the user.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/search.hpp"
#include "reckon/core/views.hpp"
#include "reckon/percentile/detail/midrank.simd.hpp"

namespace reckon {

/// Buckets of durations (or of anything with an order), each with about the same number of rows.
///
/// Equal durations share a bucket. Where a run of equal ones lies across the place of a cut, the cut goes to the nearer
/// end of the run: photo posts of duration 0 that are 40 % of the rows get a bucket of their own out of four, and do not
/// pull short videos in. A run that swallows several cuts leaves fewer buckets.
///
/// Cost      8 bytes a cut; a look-up is a branch-free binary search.
class duration_buckets {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("DBUK");
    static constexpr std::uint32_t bytes_version = 1;
    /// Limit on size(), and what index() returns for NaN.
    static constexpr std::size_t max_size = 65535;
    static constexpr std::uint32_t no_bucket = 0xffffffffu;

    /// One bucket.
    duration_buckets() = default;

    /// Shapes    durations [N] of any arithmetic type.
    /// buckets   1 .. max_size.
    /// Throws    std::invalid_argument when buckets is out of range. NaN is counted and skipped; infinities and negative
    ///           numbers have their place in the order.
    /// Cost      a sort of the durations on one thread.
    template <vector_like D, class Isa = isa::native>
    static duration_buckets fit(const D& durations, std::size_t buckets = 4) {
        expects(1 <= buckets && buckets <= max_size, "duration_buckets", "buckets must be in [1, ", max_size, "], got ",
                buckets);
        const auto d = input(durations);
        using T = typename decltype(d)::value_type;
        // Floats sort several times as fast.
        std::vector<std::conditional_t<std::is_same_v<T, float>, float, double>> sorted(d.size());
        duration_buckets made;
        if constexpr (std::is_same_v<T, float>) {
            std::vector<std::uint32_t> keys, spare;
            sorted.resize(detail::sort_values<Isa>(d.data(), d.size(), sorted.data(), keys, spare));
        } else {
            sorted.clear();
            for (const T value : d) {
                const auto x = static_cast<double>(value);
                if (x == x) sorted.push_back(x);
            }
            std::sort(sorted.begin(), sorted.end());
        }
        made.seen_ = {sorted.size(), d.size() - sorted.size()};
        const std::size_t n = sorted.size(), whole = n / buckets, rest = n % buckets;
        for (std::size_t k = 1; k < buckets && n > 0; ++k) {
            const std::size_t place = k * whole + k * rest / buckets;  // floor(k n / buckets)
            const auto run = std::equal_range(sorted.begin(), sorted.end(), sorted[place]);
            const auto x = static_cast<double>(sorted[place]);
            const auto first = static_cast<std::size_t>(run.first - sorted.begin());
            const auto end = static_cast<std::size_t>(run.second - sorted.begin());
            const bool below = place - first <= end - place;
            if (below ? first == 0 : end == n) continue;
            // Just above x, so that a duration seen for the first time does not join a run that stands alone.
            const double cut = below ? x : std::nextafter(x, std::numeric_limits<double>::infinity());
            if (made.cuts_.empty() || made.cuts_.back() < cut) made.cuts_.push_back(cut);
        }
        return made;
    }

    std::size_t size() const noexcept { return cuts_.size() + 1; }
    /// Bucket of a duration: the number of cuts at or below it; no_bucket for NaN.
    std::uint32_t index(double duration) const noexcept {
        if (duration != duration) return no_bucket;
        return static_cast<std::uint32_t>(
            detail::count_before(cuts_.data(), cuts_.size(), [duration](double cut) { return cut <= duration; }));
    }
    /// size() - 1 cuts, ascending.
    const std::vector<double>& cuts() const noexcept { return cuts_; }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    void write(byte_writer& out) const {
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        out.put_array(cuts_);
    }
    static duration_buckets read(byte_reader& in) {
        duration_buckets made;
        made.seen_ = {in.get<std::uint64_t>(), in.get<std::uint64_t>()};
        made.cuts_ = in.get_array<double>(max_size - 1);
        for (std::size_t k = 0; k < made.cuts_.size(); ++k) {
            const double cut = made.cuts_[k];
            expects_bytes(cut == cut && (k == 0 || made.cuts_[k - 1] < cut), "duration_buckets", "cut ", k,
                          " is not above the one before");
        }
        return made;
    }

  private:
    std::vector<double> cuts_;
    counts seen_;
};

}  // namespace reckon
