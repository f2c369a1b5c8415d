// The body of approx_ndcg(): smooth ranks of the rows with a gain, and the gradient through them, in lanes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/simd.hpp"
#include "reckon/losses/detail/list_losses.hpp"
#include "reckon/losses/detail/list_powers.simd.hpp"
#include "reckon/metrics/detail/dcg_sums.hpp"

namespace reckon::detail {

template <class T, class Y, class Isa>
class approx_list {
  public:
    approx_list(double temperature, double scale, dcg_gain gain, const discount_table& ideal)
        : temperature_(temperature), scale_(scale), dcg_(gain, ideal) {}

    list_loss operator()(const list_span<T, Y>& list) {
        const std::size_t n = list.rows;
        if (!labels_are_numbers(list.labels, n)) return spoil(list);
        const double ideal = dcg_.ideal(list.labels, n, n);
        constexpr double most = (std::numeric_limits<double>::max)();
        const double worth = 1.0 / ideal;
        if (!(ideal <= most) || !(worth <= most)) return {};
        if (!all_finite<T, Isa>(list.scores, n)) return spoil(list);
        for (auto* column : {&scores_, &powers_, &slopes_, &gradient_}) column->reserve(n + pack::lanes);
        std::copy(list.scores, list.scores + n, scores_.data());
        std::fill(scores_.data() + n, scores_.data() + n + pack::lanes, list.scores[0]);
        const auto [low, high] = std::minmax_element(list.scores, list.scores + n);
        const double middle = 0.5 * static_cast<double>(*low) + 0.5 * static_cast<double>(*high);
        const bool bounded = (static_cast<double>(*high) - static_cast<double>(*low)) / temperature_ <= 80.0;
        const bool wants = list.gradient != nullptr;
        if (wants) std::fill(gradient_.data(), gradient_.data() + n + pack::lanes, T(0));
        if (bounded) take_powers(n, static_cast<T>(middle));
        double gained = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            const double gain = dcg_.gain_of(list.labels[i]) * worth;
            if (!(gain > 0.0)) continue;
            const auto [above, slope] = bounded ? against<true>(i, n) : against<false>(i, n);
            // The row itself is in the sum with 1/2.
            const double rank = 0.5 + above, log_rank = std::log1p(rank);
            gained += gain * ln_of_2 / log_rank;
            if (wants) spread(i, n, gain * ln_of_2 / ((1.0 + rank) * log_rank * log_rank), slope);
        }
        if (wants) {
            const T factor = static_cast<T>(scale_ / temperature_);
            for (std::size_t i = 0; i < n; ++i) list.gradient[i] += factor * gradient_[i];
        }
        return {1.0 - gained, true};
    }

  private:
    using pack = simd::pack<T, Isa>;
    static constexpr double ln_of_2 = 0.69314718055994530942;
    // Packs that lanes add up before double does.
    static constexpr std::size_t block_rows = 256 * pack::lanes;

    T exponent_factor() const noexcept { return static_cast<T>(log2_of_e / temperature_); }
    // e^((s - middle) / t), within e^+-40.
    void take_powers(std::size_t n, T middle) noexcept {
        const pack center(middle), factor(exponent_factor());
        for (std::size_t p = 0; p < n; p += pack::lanes) {
            exp2_any((pack::load(scores_.data() + p) - center) * factor).store(powers_.data() + p);
        }
    }

    // Sums over the rows j of how much j stands above i, p = sigmoid((s_j - s_i) / t), and of the slope p (1 - p),
    // which slopes_ keeps.
    struct row_sums {
        double above = 0.0, slope = 0.0;
    };
    template <bool Bounded>
    row_sums against(std::size_t i, std::size_t n) noexcept {
        const pack zero(T(0)), one(T(1)), score(scores_[i]), power(Bounded ? powers_[i] : T(0)),
            factor(exponent_factor());
        const T *const scores = scores_.data(), *const powers = powers_.data();
        T* const slopes = slopes_.data();
        row_sums sums;
        for (std::size_t first = 0; first < n; first += block_rows) {
            const std::size_t end = (std::min)(n, first + block_rows);
            pack all_above = zero, all_slopes = zero;
            for_each_pack<pack::lanes>(first, end, [&](std::size_t j, auto whole) {
                pack above, below;
                if constexpr (Bounded) {
                    const pack other = pack::load(powers + j), inverse = one / (other + power);
                    above = other * inverse;
                    below = power * inverse;
                } else {
                    const pack gap = pack::load(scores + j) - score, t = exp2_any(zero - absolute(gap) * factor);
                    const pack inverse = one / (one + t), rest = t * inverse;
                    const auto under = gap < zero;
                    above = select(under, rest, inverse);
                    below = select(under, inverse, rest);
                }
                if constexpr (!decltype(whole)::value) above = select(in_list(j, n), above, zero);
                const pack slope = above * below;
                slope.store(slopes + j);
                all_above += above;
                all_slopes += slope;
            });
            sums.above += static_cast<double>(reduce_add(all_above));
            sums.slope += static_cast<double>(reduce_add(all_slopes));
        }
        return sums;
    }
    // A rank rises with the scores of the others, by the slope of the sigmoid, and falls with its own.
    void spread(std::size_t i, std::size_t n, double pull, double slope) noexcept {
        const pack weight(static_cast<T>(pull));
        T *const gradient = gradient_.data(), *const slopes = slopes_.data();
        for (std::size_t j = 0; j < n; j += pack::lanes) {
            mul_add(weight, pack::load(slopes + j), pack::load(gradient + j)).store(gradient + j);
        }
        gradient[i] -= static_cast<T>(pull * slope);
    }
    static RECKON_INLINE auto in_list(std::size_t j, std::size_t n) noexcept {
        return simd::lane_numbers<T, Isa>() < pack(rows_as<T>(n - j));
    }

    double temperature_, scale_;
    dcg_sums<Y, Isa> dcg_;
    lane_column<T> scores_, powers_, slopes_, gradient_;
};

}  // namespace reckon::detail
