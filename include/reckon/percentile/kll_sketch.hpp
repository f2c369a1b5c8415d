// Quantile sketch of a stream: ranks and quantiles within a bound, from a few hundred values.
#pragma once

#include <algorithm>
#include <bit>
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
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/detail/kll_state.hpp"

namespace reckon {

class kll_sketches;

struct kll_options {
    /// Even, 8 .. 65536. Size of the highest level: the error falls as 1 / k, and about 3 k values are kept.
    std::uint32_t k = 200;
    /// Of the coins. States merge only with their own seed.
    std::uint64_t seed = 0;
};

/// The distribution that a sketch stands for, sorted: what many queries are answered from.
///
///   F(x) = (weight below x + weight not above x) / (2 n)        the mid-rank, ties count one half
class kll_view {
  public:
    kll_view() = default;

    /// F(x); NaN for NaN and for a sketch of nothing.
    double operator()(float x) const noexcept {
        double answer = 0.0;
        place<1>(&x, [&](std::size_t, double below, double through) { answer = (below + through) * scale_; });
        return x == x ? answer : std::numeric_limits<double>::quiet_NaN();
    }
    /// percentiles[i] = F(values[i]).
    ///
    /// Shapes    values [N] float, percentiles [N] float or double; may be the memory of the values.
    /// Throws    std::invalid_argument when lengths differ. Propagates NaN.
    /// Cost      a search without branches, 8 queries at a time: log2(3 k) steps each.
    template <exec::policy Policy, vector_like V, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const V& values, Out&& percentiles) const {
        const auto x = input(values);
        const auto out = view(percentiles);
        static_assert(std::is_same_v<typename decltype(x)::value_type, float>, "reckon: kll_view takes floats");
        using T = typename decltype(out)::value_type;
        expects(out.size() == x.size(), "kll_view", x.size(), " values but room for ", out.size(), " percentiles");
        exec::map_parts(where, x.size(), [&](std::size_t first, std::size_t count) {
            each(
                count, [&](std::size_t i) { return x[first + i]; },
                [&](std::size_t i, double rank) { out[first + i] = static_cast<T>(rank); });
        });
    }
    /// Smallest value with at least q n of the weight at or below it; q = 0 gives the minimum, q = 1 the maximum, both
    /// exact. NaN for a sketch of nothing.
    ///
    /// Throws    std::invalid_argument unless q is in [0, 1].
    float quantile(double q) const {
        expects(q >= 0.0 && q <= 1.0, "kll_view", "q must be in [0, 1], got ", q);
        return at_rank(q * total());
    }
    /// Smallest value with at least `rank` of the weight at or below it; the minimum for 0 and the maximum from n on.
    float at_rank(double rank) const noexcept {
        if (values_.empty()) return std::numeric_limits<float>::quiet_NaN();
        if (!(rank > 0.0)) return low_;
        if (rank >= total()) return high_;
        // below_[j + 1] is the weight of the values up to j.
        const auto found = std::lower_bound(below_.begin() + 1, below_.end(), rank);
        return values_[static_cast<std::size_t>(found - below_.begin()) - 1];
    }
    /// Number of values that were absorbed.
    double total() const noexcept { return below_.empty() ? 0.0 : below_.back(); }
    /// Distinct values kept, ascending.
    const std::vector<float>& values() const noexcept { return values_; }
    /// [values + 1] weight of what lies below each of them, then n.
    const std::vector<double>& below() const noexcept { return below_; }

  private:
    friend class kll_sketch;
    friend class kll_sketches;
    static constexpr std::size_t together = 8;

    explicit kll_view(const detail::kll_state& state) {
        if (state.n == 0) return;
        low_ = state.low;
        high_ = state.high;
        scale_ = 0.5 / static_cast<double>(state.n);
        // Value and level in one integer. Levels merge from the shortest up.
        std::vector<std::uint64_t> sorted, level, next;
        const float* end = state.items.data() + state.items.size();
        for (std::size_t h = 0; h < state.levels(); ++h) {
            const std::size_t size = state.sizes[h];
            end -= size;
            level.resize(size);
            for (std::size_t i = 0; i < size; ++i) level[i] = (std::uint64_t{ordered_bits(end[i])} << 32) | h;
            if (h == 0 && !std::is_sorted(level.begin(), level.end())) std::sort(level.begin(), level.end());
            next.resize(sorted.size() + size);
            detail::kll_merge(sorted.data(), sorted.size(), level.data(), size, next.data());
            sorted.swap(next);
        }
        values_.reserve(sorted.size());
        below_.reserve(sorted.size() + 1);
        std::uint64_t weight = 0, last = 0;
        for (const std::uint64_t item : sorted) {
            if (values_.empty() || item >> 32 != last) {
                last = item >> 32;
                values_.push_back(from_ordered_bits<float>(static_cast<std::uint32_t>(last)));
                below_.push_back(static_cast<double>(weight));
            }
            weight += std::uint64_t{1} << (item & 63u);
        }
        below_.push_back(static_cast<double>(weight));
    }

    // Calls write(i, F(query(i))) for every i < count, several at a time.
    template <class Query, class Write>
    void each(std::size_t count, Query&& query, Write&& write) const {
        float queries[together] = {};
        for (std::size_t i = 0; i < count; i += together) {
            const std::size_t m = (std::min)(together, count - i);
            for (std::size_t q = 0; q < m; ++q) queries[q] = query(i + q);
            double ranks[together];
            place<together>(queries, [&](std::size_t q, double below, double through) {
                ranks[q] =
                    queries[q] == queries[q] ? (below + through) * scale_ : std::numeric_limits<double>::quiet_NaN();
            });
            for (std::size_t q = 0; q < m; ++q) write(i + q, ranks[q]);
        }
    }
    // Calls found(q, weight below, weight not above) for each of the queries.
    template <std::size_t Count, class Found>
    void place(const float* queries, Found&& found) const noexcept {
        if (values_.empty()) {
            for (std::size_t q = 0; q < Count; ++q) {
                found(q, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN());
            }
            return;
        }
        const float* const values = values_.data();
        std::uint32_t at[Count] = {};
        for (std::size_t left = values_.size(); left > 1;) {
            const auto half = static_cast<std::uint32_t>(left / 2);
            // A mask in place of a branch that goes either way.
            for (std::size_t q = 0; q < Count; ++q) {
                at[q] += (0u - static_cast<std::uint32_t>(values[at[q] + half - 1] < queries[q])) & half;
            }
            left -= half;
        }
        for (std::size_t q = 0; q < Count; ++q) {
            const float value = values[at[q]];
            const std::size_t j = at[q] + (value < queries[q] ? 1u : 0u);
            found(q, below_[j], below_[j + (value == queries[q] ? 1u : 0u)]);
        }
    }

    std::vector<float> values_;
    std::vector<double> below_;
    double scale_ = std::numeric_limits<double>::quiet_NaN();
    float low_ = 0.0f, high_ = 0.0f;
};

/// Quantile sketch of a stream of any length (KLL), in about 12 k bytes.
///
/// Levels of sorted values: one of level h stands for 2^h of the stream. A full level is halved, every second value of it
/// goes one level up, and a coin decides which half. Capacities fall by 2/3 from level to level.
///
/// Guarantee for a fixed x, over the coins: with V the sum of 4^h over all halvings (spread()),
///           P(|rank error| > t) <= 2 exp(-t^2 / (2 V)), and V <= 6 n^2 / k^2 whatever came in and however it was merged.
///           bound() solves for t with the V of this state. While n <= k nothing was halved and everything is exact.
/// Law       merge() gives a sketch of the union within the bound of k, not the bits of one pass. It is commutative bit
///           for bit, and associative within the bound. exec::fold_parts over parts of part_size gives the same bits
///           under every policy.
/// Throws    std::invalid_argument for k out of range, and from merge when k or seed differ. NaN is counted and
///           skipped; infinities have their place in the order; -0 counts as 0.
/// Cost      absorb: long columns run through sorting networks in lanes, a few operations a value; short ones are sorted
///           in a buffer. Memory: 4 bytes for each of at most 3 k + 8 log2(n / k) + 64 values between calls.
/// Numerics  the same bits on every instruction set: values are compared and moved only, coins are counter-based.
/// Source    Karnin, Lang and Liberty 2016; compaction of the lowest full level after Ivkin et al. 2019. The chain of
///           networks in place of the lowest levels and the bound from V are ours.
class kll_sketch {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("KLLS");
    static constexpr std::uint32_t bytes_version = 1;
    /// Rows per part for exec::fold_parts: a part must outweigh a merge.
    static constexpr std::size_t part_size = std::size_t{1} << 18;

    explicit kll_sketch(const kll_options& options = {}) {
        expects(legal(options), "kll_sketch", "k must be an even number in [8, 65536], got ", options.k);
        state_.k = options.k;
        state_.seed = options.seed;
    }

    /// Absorbs a column of floats.
    template <vector_like V, class Isa = isa::native>
    void absorb(const V& values) {
        const auto x = input(values);
        static_assert(std::is_same_v<typename decltype(x)::value_type, float>, "reckon: kll_sketch takes floats");
        rejected_ += absorb_into<Isa>(state_, x);
    }
    /// Absorbs one value; a column of them costs less.
    template <class Isa = isa::native>
    void absorb(float value) {
        if (value == value) {
            state_.template absorb<Isa>(value);
        } else {
            ++rejected_;
        }
    }
    template <class Isa = isa::native>
    void merge(const kll_sketch& other) {
        expects(k() == other.k(), "kll_sketch", "cannot merge k = ", other.k(), " into k = ", k());
        expects(seed() == other.seed(), "kll_sketch", "cannot merge seed ", other.seed(), " into seed ", seed());
        expects(n() + other.n() < detail::kll_most_values, "kll_sketch", "more than 2^56 values");
        rejected_ += other.rejected_;
        state_.merge<Isa>(other.state_);
    }

    /// Mid-rank of x as a share of n: (values below x + values not above x) / (2 n). NaN for NaN and before any value.
    double rank(float x) const noexcept {
        const auto weight = state_.weigh(x);
        return x == x ? 0.5 * (static_cast<double>(weight.below) + static_cast<double>(weight.through)) / total()
                      : std::numeric_limits<double>::quiet_NaN();
    }
    /// Share of values below x.
    double share_below(float x) const noexcept {
        return x == x ? static_cast<double>(state_.weigh(x).below) / total() : std::numeric_limits<double>::quiet_NaN();
    }
    /// Share of values that are not above x.
    double share_through(float x) const noexcept {
        return x == x ? static_cast<double>(state_.weigh(x).through) / total()
                      : std::numeric_limits<double>::quiet_NaN();
    }
    /// As kll_view::quantile(); build the view once for more than one.
    float quantile(double q) const { return sorted().quantile(q); }
    /// Sorted once, for many queries.
    kll_view sorted() const { return kll_view(state_); }

    /// Error of a rank as a share of n that is exceeded with a probability of at most 1 - confidence, for one x that
    /// does not depend on the coins. 0 while everything is exact, NaN before any value.
    ///
    /// Throws    std::invalid_argument unless confidence is in [0, 1).
    double bound(double confidence = 0.99) const {
        expects(confidence >= 0.0 && confidence < 1.0, "kll_sketch", "confidence must be in [0, 1), got ", confidence);
        return std::sqrt(2.0 * std::log(2.0 / (1.0 - confidence)) * state_.spread) / total();
    }
    /// Sum of 4^level over all halvings: the variance of a rank is at most this, and about half of it.
    double spread() const noexcept { return state_.spread; }
    /// True while every value is kept.
    bool exact() const noexcept { return state_.levels() <= 1; }

    std::uint32_t k() const noexcept { return state_.k; }
    std::uint64_t seed() const noexcept { return state_.seed; }
    /// Values absorbed.
    std::uint64_t n() const noexcept { return state_.n; }
    std::uint64_t rejected() const noexcept { return rejected_; }
    counts seen() const noexcept { return {state_.n, rejected_}; }
    /// Exact extremes; inf and -inf before any value.
    float(min)() const noexcept { return state_.low; }
    float(max)() const noexcept { return state_.high; }
    /// Values kept.
    std::size_t size() const noexcept { return state_.items.size(); }
    std::size_t levels() const noexcept { return state_.levels(); }

    void write(byte_writer& out) const {
        out.put(state_.k);
        out.put(state_.seed);
        out.put(state_.n);
        out.put(rejected_);
        out.put(state_.coins);
        out.put(state_.spread);
        out.put(state_.low);
        out.put(state_.high);
        out.put_array(state_.sizes);
        out.put_array(state_.items);
    }
    static kll_sketch read(byte_reader& in) {
        kll_sketch sketch;
        detail::kll_state& s = sketch.state_;
        s.k = in.get<std::uint32_t>();
        s.seed = in.get<std::uint64_t>();
        s.n = in.get<std::uint64_t>();
        sketch.rejected_ = in.get<std::uint64_t>();
        s.coins = in.get<std::uint64_t>();
        s.spread = in.get<double>();
        s.low = in.get<float>();
        s.high = in.get<float>();
        s.sizes = in.get_array<std::uint32_t>(detail::kll_most_levels);
        s.items = in.get_array<float>();
        const char* const fault = s.fault();
        expects_bytes(fault == nullptr, "kll_sketch", fault == nullptr ? "" : fault);
        return sketch;
    }

  private:
    friend class kll_sketches;

    static bool legal(const kll_options& options) noexcept {
        return options.k >= detail::kll_least_k && options.k <= detail::kll_most_k && options.k % 2 == 0;
    }
    double total() const noexcept {
        return state_.n == 0 ? std::numeric_limits<double>::quiet_NaN() : static_cast<double>(state_.n);
    }
    // Returns how many are NaN.
    template <class Isa>
    static std::uint64_t absorb_into(detail::kll_state& state, vector_view<const float> x) {
        if (x.empty()) return 0;
        const auto range = detail::range_of<Isa>(x);
        if (range.finite) {
            state.absorb_range(range.low + 0.0f, range.high + 0.0f);
            state.absorb<Isa>(x.data(), x.size());
            return 0;
        }
        std::vector<float> kept;
        kept.reserve(x.size());
        for (const float value : x) {
            if (value != value) continue;
            state.absorb_range(value + 0.0f, value + 0.0f);
            kept.push_back(value);
        }
        state.absorb<Isa>(kept.data(), kept.size());
        return x.size() - kept.size();
    }

    detail::kll_state state_;
    std::uint64_t rejected_ = 0;
};

}  // namespace reckon
