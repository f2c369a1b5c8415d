// Gains and discounts of nDCG, and the DCG of the best order: what the metric and losses of it share.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <vector>

#include "reckon/core/simd.hpp"
#include "reckon/metrics/dcg_gain.hpp"
#include "reckon/metrics/detail/ranked_list.hpp"

namespace reckon::detail {

// Ranks from 0 and their discounts; behind the last one discounts of 0 fill a register.
struct discount_table {
    std::vector<double> ranks, discounts;

    explicit discount_table(std::size_t n) : ranks(n + room), discounts(n + room) {
        for (std::size_t r = 0; r < ranks.size(); ++r) {
            ranks[r] = static_cast<double>(r);
            discounts[r] = r < n ? 1.0 / std::log2(static_cast<double>(r) + 2.0) : 0.0;
        }
    }

  private:
    static constexpr std::size_t room = 8;
};

// The table has the ranks that count.
template <class Y, class Isa>
class dcg_sums {
  public:
    dcg_sums(dcg_gain gain, const discount_table& table)
        : gain_(gain), discounts_(table.discounts.data()), ranks_(table.ranks.data()) {
        for (std::size_t v = 0; v < gains_.size(); ++v) {
            gains_[v] = gain == dcg_gain::linear ? static_cast<double>(v) : std::ldexp(1.0, static_cast<int>(v)) - 1.0;
        }
    }

    double gain_of(Y label) const noexcept {
        if constexpr (std::is_unsigned_v<Y> && !std::is_same_v<Y, bool>) {
            if (label < gains_.size()) return gains_[label];
        }
        const double y = static_cast<double>(label);
        if (!(y > 0.0)) return 0.0;
        if (gain_ == dcg_gain::linear) return y;
        if (y < static_cast<double>(gains_.size())) {
            const auto level = static_cast<std::size_t>(y);
            if (static_cast<double>(level) == y) return gains_[level];
        }
        constexpr double ln_2 = 0.6931471805599453;
        return std::expm1(y * ln_2);
    }

    double discounted(std::vector<double>& gains, std::size_t n) const noexcept {
        double* const g = gains.data();
        for (std::size_t l = 0; l < wide::lanes; ++l) g[n + l] = 0.0;
        return discounted(n, [&](std::size_t r) { return wide::load(g + r); });
    }

    // DCG of the labels in falling order, on the ranks of the table.
    double ideal(const Y* labels, std::size_t n, std::size_t depth) {
        double ideal = 0.0;
        if (count_levels(labels, n, depth, ideal)) return ideal;
        sorted_.clear();
        for (std::size_t i = 0; i < n; ++i) {
            const double gain = gain_of(labels[i]);
            if (gain > 0.0) sorted_.push_back(gain);
        }
        const std::size_t held = (std::min)(depth, sorted_.size());
        const auto middle = sorted_.begin() + static_cast<std::ptrdiff_t>(held);
        if (held < sorted_.size()) std::nth_element(sorted_.begin(), middle, sorted_.end(), std::greater<double>());
        std::sort(sorted_.begin(), middle, std::greater<double>());
        sorted_.resize(held + wide::lanes);
        return discounted(sorted_, held);
    }

  private:
    // The type in which lanes compare labels; small integers are exact in it.
    using lane = std::conditional_t<std::is_floating_point_v<Y>, Y, float>;
    using pack = simd::pack<lane, Isa>;
    using counts = simd::lane_counts<lane, Isa>;
    using wide = simd::pack<double, Isa>;

    // Gains times discounts. One function for the list and its ideal: a list in ideal order gets exactly 1.
    // gains(r) is a pack of those on ranks r, r + 1, ..., which are 0 from the end of the list on.
    template <class Gains>
    double discounted(std::size_t n, Gains&& gains) const noexcept {
        wide sum(0.0);
        for (std::size_t r = 0; r < n; r += wide::lanes) sum = mul_add(gains(r), wide::load(discounts_ + r), sum);
        return reduce_add(sum);
    }
    // Ideal DCG of labels that are small integers, which most are: each level is counted in lanes. False when the
    // labels are something else.
    bool count_levels(const Y* labels, std::size_t n, std::size_t depth, double& ideal) {
        constexpr std::size_t most = 8;
        const std::size_t padded = (n + pack::lanes - 1) / pack::lanes * pack::lanes;
        if (column_.size() < padded) column_.resize(padded);
        lane* const column = column_.data();
        for (std::size_t i = 0; i < n; ++i) column[i] = static_cast<lane>(labels[i]);
        for (std::size_t i = n; i < padded; ++i) column[i] = lane(0);
        const pack zero(lane(0));
        pack top = zero;
        counts gainful;
        for (std::size_t i = 0; i < padded; i += pack::lanes) {
            const pack y = pack::load(column + i);
            top = maximum(y, top);  // NaN leaves top as it is
            gainful.add(y > zero);
        }
        const lane highest = highest_lane(top);
        if (!(highest <= static_cast<lane>(most))) return false;
        const auto levels = static_cast<std::size_t>(highest);
        // Rows at or above each level, and rows that are exactly on one.
        wide reached[most + 1], worth[most + 1];
        std::size_t exactly = 0;
        for (std::size_t level = 1; level <= levels; ++level) {
            const pack wanted(static_cast<lane>(level));
            counts at_least, equal;
            for (std::size_t i = 0; i < padded; i += pack::lanes) {
                const pack y = pack::load(column + i);
                at_least.add(y >= wanted);
                if constexpr (std::is_floating_point_v<Y>) equal.add(y == wanted);
            }
            if constexpr (std::is_floating_point_v<Y>) exactly += static_cast<std::size_t>(reduce_add(equal));
            reached[level] = wide(static_cast<double>(reduce_add(at_least)));
            worth[level] = wide(gains_[level]);
        }
        if (std::is_floating_point_v<Y> && exactly != static_cast<std::size_t>(reduce_add(gainful))) return false;
        ideal = discounted(depth, [&](std::size_t r) {
            const wide rank = wide::load(ranks_ + r);
            wide gain(0.0);
            for (std::size_t level = 1; level <= levels; ++level)
                gain = select(rank < reached[level], worth[level], gain);
            return gain;
        });
        return true;
    }

    dcg_gain gain_;
    const double* discounts_;
    const double* ranks_;
    std::array<double, 32> gains_;  // of the labels 0 .. 31
    std::vector<double> sorted_;
    std::vector<lane> column_;
};

}  // namespace reckon::detail
