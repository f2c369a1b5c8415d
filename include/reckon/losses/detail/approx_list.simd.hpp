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
        const double ideal = dcg_.ideal(list.labels, n, n);
        if (ideal == 0.0 || !(ideal <= (std::numeric_limits<double>::max)())) return {};
        if (!all_finite<T, Isa>(list.scores, n) || !labels_are_numbers(list.labels, n)) return spoil(list);
        if (scores_.size() < n + pack::lanes) {
            for (auto* column : {&scores_, &powers_, &gradient_}) column->resize(n + pack::lanes);
        }
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
            const double gain = dcg_.gain_of(list.labels[i]) / ideal;
            if (!(gain > 0.0)) continue;
            // The row itself is in the sum with 1/2.
            const double rank = 0.5 + (bounded ? rank_sum<true>(i, n) : rank_sum<false>(i, n));
            const double log_rank = std::log1p(rank);
            gained += gain * ln_of_2 / log_rank;
            if (!wants) continue;
            const T pull = static_cast<T>(gain * ln_of_2 / ((1.0 + rank) * log_rank * log_rank));
            bounded ? spread<true>(i, n, pull) : spread<false>(i, n, pull);
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

    // Visits the rows j of a list with how much j stands above i, sigmoid((s_j - s_i) / t), and below.
    template <bool Bounded, class Visit>
    RECKON_INLINE void against(std::size_t i, std::size_t first, std::size_t end, Visit&& visit) const noexcept {
        const pack zero(T(0)), one(T(1)), score(scores_[i]), power(Bounded ? powers_[i] : T(0)),
            factor(exponent_factor());
        const T *const scores = scores_.data(), *const powers = powers_.data();
        for_each_pack<pack::lanes>(first, end, [&](std::size_t j, auto whole) {
            if constexpr (Bounded) {
                const pack other = pack::load(powers + j);
                const pack inverse = one / (other + power);
                visit(j, whole, other * inverse, power * inverse);
            } else {
                const pack gap = pack::load(scores + j) - score;
                const pack t = exp2_any(zero - absolute(gap) * factor);
                const pack inverse = one / (one + t), rest = t * inverse;
                const auto below = gap < zero;
                visit(j, whole, select(below, rest, inverse), select(below, inverse, rest));
            }
        });
    }
    template <bool Bounded>
    double rank_sum(std::size_t i, std::size_t n) const noexcept {
        double sum = 0.0;
        for (std::size_t first = 0; first < n; first += block_rows) {
            const std::size_t end = (std::min)(n, first + block_rows);
            pack part(T(0));
            against<Bounded>(i, first, end, [&](std::size_t j, auto whole, pack above, pack) {
                if constexpr (!decltype(whole)::value) above = select(in_list(j, n), above, pack(T(0)));
                part += above;
            });
            sum += static_cast<double>(reduce_add(part));
        }
        return sum;
    }
    // A rank rises with the scores above and below, by the slope of the sigmoid, and falls with its own.
    template <bool Bounded>
    void spread(std::size_t i, std::size_t n, T pull) noexcept {
        const pack weight(pull);
        T* const gradient = gradient_.data();
        pack own(T(0));
        against<Bounded>(i, 0, n, [&](std::size_t j, auto whole, pack above, pack below) {
            pack slope = weight * (above * below);
            if constexpr (!decltype(whole)::value) slope = select(in_list(j, n), slope, pack(T(0)));
            own += slope;
            (pack::load(gradient + j) + slope).store(gradient + j);
        });
        gradient[i] -= reduce_add(own);
    }
    static RECKON_INLINE auto in_list(std::size_t j, std::size_t n) noexcept {
        return lane_numbers<T, Isa>() < pack(static_cast<T>(n - j));
    }

    double temperature_, scale_;
    dcg_sums<Y, Isa> dcg_;
    std::vector<T> scores_, powers_, gradient_;
};

}  // namespace reckon::detail
