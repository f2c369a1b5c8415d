// The body of lambda_rank(): rows in the order of scores, and each pair with a row that counts, in lanes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/simd.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/losses/detail/list_losses.hpp"
#include "reckon/losses/detail/list_powers.simd.hpp"
#include "reckon/metrics/detail/dcg_sums.hpp"
#include "reckon/metrics/detail/leading_rows.hpp"

namespace reckon::detail {

// Rows of a list from the highest score down, equal ones in their order. Scores are finite.
template <class T, class Isa>
class score_order {
  public:
    const std::vector<std::uint32_t>& operator()(const T* scores, std::size_t n) {
        using bits = typename simd::float_format<T>::bits;
        const auto key = [&](std::size_t i) { return static_cast<bits>(~ordered_bits(scores[i])); };
        if (order_.size() < n) order_.resize(n);
        if (n <= 16 * simd::pack<T, Isa>::lanes) {
            // Counting the better rows of each row, in lanes, is the cheaper sort of few.
            few_.rank(scores, n, n);
            for (std::size_t p = 0; p < n; ++p) order_[p] = static_cast<std::uint32_t>(few_.row(p));
            return order_;
        }
        if (items_.size() < n) items_.resize(n);
        if constexpr (std::is_same_v<T, float>) {
            if (scratch_.size() < n) scratch_.resize(n);
            for (std::size_t i = 0; i < n; ++i) items_[i] = (std::uint64_t{key(i)} << 32) | i;
            sort_bucket<Isa>(items_.data(), scratch_.data(), n);
            for (std::size_t i = 0; i < n; ++i) order_[i] = static_cast<std::uint32_t>(items_[i]);
        } else {
            for (std::size_t i = 0; i < n; ++i) items_[i] = {key(i), static_cast<std::uint32_t>(i)};
            std::sort(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(n));
            for (std::size_t i = 0; i < n; ++i) order_[i] = items_[i].second;
        }
        return order_;
    }

  private:
    using item = std::conditional_t<std::is_same_v<T, float>, std::uint64_t, std::pair<std::uint64_t, std::uint32_t>>;
    leading_rows<T, Isa> few_;
    std::vector<item> items_, scratch_;
    std::vector<std::uint32_t> order_;
};

struct lambda_settings {
    std::size_t k;  // 0: all ranks
    double sigma, scale;
    bool normalise;
};

template <class T, class Y, class Isa>
class lambda_list {
  public:
    // `ideal` has the ranks that count, `discounts` one for each rank of the longest list.
    lambda_list(const lambda_settings& settings, dcg_gain gain, const discount_table& ideal,
                const std::vector<T>& discounts)
        : settings_(settings), dcg_(gain, ideal), discounts_(discounts.data()) {}

    list_loss operator()(const list_span<T, Y>& list) {
        const std::size_t n = list.rows, depth = settings_.k == 0 ? n : (std::min)(settings_.k, n);
        if (!labels_are_numbers(list.labels, n)) return spoil(list);
        const double ideal = dcg_.ideal(list.labels, n, depth);
        const double worth = 1.0 / ideal;
        if (!(ideal <= most) || !(worth <= most)) return {};
        if (!all_finite<T, Isa>(list.scores, n)) return spoil(list);

        const std::vector<std::uint32_t>& order = order_(list.scores, n);
        all_.clear(n);
        gainful_.clear(n);
        places_.clear();
        const T top = list.scores[order[0]], bottom = list.scores[order[n - 1]];
        const double range = settings_.sigma * (static_cast<double>(top) - static_cast<double>(bottom));
        const bool bounded = range <= 60.0;
        for (std::size_t p = 0; p < n; ++p) {
            // As shares of the best DCG, which has the highest gain on the first rank.
            const T gain = static_cast<T>(dcg_.gain_of(list.labels[order[p]]) * worth);
            all_.put(p, list.scores[order[p]], gain, discounts_[p]);
            if (gain > T(0)) {
                gainful_.put(places_.size(), list.scores[order[p]], gain, discounts_[p]);
                places_.push_back(static_cast<std::uint32_t>(p));
            }
        }
        all_.close(n, bottom);
        gainful_.close(places_.size(), bottom);
        if (bounded) {
            all_.take_powers(n, top, exponent_factor());
            gainful_.take_powers(places_.size(), top, exponent_factor());
        }
        const bool divide = settings_.normalise;
        gap_floor_ = top == bottom ? T(1) : T(0.01);
        const totals sums = bounded ? (divide ? all_pairs<true, true>(n, depth) : all_pairs<true, false>(n, depth))
                                    : (divide ? all_pairs<false, true>(n, depth) : all_pairs<false, false>(n, depth));
        const double mass = 2.0 * settings_.sigma * sums.slopes;
        const double norm = settings_.normalise && mass > 0.0 ? std::log1p(mass) * log2_of_e / mass : 1.0;
        for (std::size_t q = 0; q < places_.size(); ++q) {
            all_.gradient[places_[q]] += gainful_.gradient[q];
            all_.hessian[places_[q]] += gainful_.hessian[q];
        }
        const T slope = static_cast<T>(settings_.scale * norm * settings_.sigma);
        const T curve = static_cast<T>(settings_.scale * norm * settings_.sigma * settings_.sigma);
        for (std::size_t p = 0; p < n && list.gradient != nullptr; ++p)
            list.gradient[order[p]] += slope * all_.gradient[p];
        for (std::size_t p = 0; p < n && list.hessian != nullptr; ++p)
            list.hessian[order[p]] += curve * all_.hessian[p];
        return {norm * sums.value, true};
    }

  private:
    using pack = simd::pack<T, Isa>;

    static constexpr double most = (std::numeric_limits<double>::max)();

    struct totals {
        double value = 0.0, slopes = 0.0;  // weights times surrogate, and times its slope
    };
    // Rows in order, with room for a register behind the last one.
    struct ranked_rows {
        lane_column<T> score, power, inverse, gain, discount, gradient, hessian;

        void clear(std::size_t n) {
            for (auto* column : {&score, &power, &inverse, &gain, &discount, &gradient, &hessian}) {
                column->reserve(n + pack::lanes);
            }
            std::fill(gradient.data(), gradient.data() + n + pack::lanes, T(0));
            std::fill(hessian.data(), hessian.data() + n + pack::lanes, T(0));
        }
        void put(std::size_t p, T s, T g, T d) noexcept {
            score[p] = s;
            gain[p] = g;
            discount[p] = d;
        }
        // Stakeless rows behind the last one, whose powers stay in range.
        void close(std::size_t n, T bottom) noexcept {
            for (std::size_t l = 0; l < pack::lanes; ++l) put(n + l, bottom, T(0), T(0));
        }
        // e^(sigma (s - top)), so that the power of a difference is a product.
        void take_powers(std::size_t n, T top, T factor) noexcept {
            for (std::size_t p = 0; p < n; p += pack::lanes) {
                const pack e = exp2_any((pack::load(score.data() + p) - pack(top)) * pack(factor));
                e.store(power.data() + p);
                (pack(T(1)) / e).store(inverse.data() + p);
            }
        }
    };

    T exponent_factor() const noexcept { return static_cast<T>(settings_.sigma * log2_of_e); }

    template <bool Bounded, bool Divide>
    totals all_pairs(std::size_t n, std::size_t depth) noexcept {
        totals sums;
        std::size_t after = 0;  // gainful rows up to the current one
        for (std::size_t i = 0; i < depth; ++i) {
            if (all_.gain[i] > T(0)) {
                ++after;
                row<Bounded, Divide>(i, all_, i + 1, n, sums);
            } else {
                // Without a gain of its own a row has something at stake with gainful ones alone.
                row<Bounded, Divide>(i, gainful_, after, places_.size(), sums);
            }
        }
        return sums;
    }

    // Row i against the rows first .. end - 1 of `others`, which stand below it.
    template <bool Bounded, bool Divide>
    void row(std::size_t i, ranked_rows& others, std::size_t first, std::size_t end, totals& sums) noexcept {
        if (first >= end) return;
        const pack zero(T(0)), one(T(1)), score(all_.score[i]), gain(all_.gain[i]), discount(all_.discount[i]);
        const pack inverse(Bounded ? all_.inverse[i] : T(0)), factor(exponent_factor());
        const pack sigma(static_cast<T>(settings_.sigma)), floor(gap_floor_);
        // Stores may alias anything, the members of a vector too.
        const T *const scores = others.score.data(), *const powers = others.power.data(),
                       *const gains = others.gain.data(), *const discounts = others.discount.data();
        T *const gradient = others.gradient.data(), *const hessian = others.hessian.data();
        pack slope = zero, curve = zero, value = zero, slopes = zero;
        // Rows before the first one fill the first pack, so that packs do not straddle cache lines.
        const std::size_t start = first / pack::lanes * pack::lanes;
        const auto body = [&](std::size_t j, auto whole) {
            const pack gap = score - pack::load(scores + j);
            // e^(-sigma gap), which is at most 1: a pair in the right order costs log(1 + power), in the wrong one
            // sigma gap more.
            pack power;
            if constexpr (Bounded) {
                power = pack::load(powers + j) * inverse;
            } else {
                power = exp2_any(zero - gap * factor);
            }
            // Positive in the right order.
            pack stake = (gain - pack::load(gains + j)) * (discount - pack::load(discounts + j));
            if constexpr (Divide) stake = stake / (gap + floor);
            if constexpr (!decltype(whole)::value) {
                // Lanes of the rows first .. end - 1.
                const pack place = simd::lane_numbers<T, Isa>();
                const pack passed(rows_as<T>((std::min)(j - start, pack::lanes)));
                const auto below = (pack(rows_as<T>(first - start)) <= place + passed) &
                                   (place < pack(rows_as<T>((std::min)(end - j, pack::lanes))));
                stake = select(below, stake, zero);
                power = select(below, power, zero);
            }
            const pack share = one / (one + power), other_share = power * share, size = absolute(stake);
            const auto right = zero < stake;
            const pack moved = stake * select(right, other_share, share);
            pack cost = log1p_of_power(power) + select(right, zero, sigma * gap);
            // A gap may be infinite where nothing is at stake.
            if constexpr (!Bounded) cost = select(size == zero, zero, cost);
            const pack bent = size * (share * other_share);
            slope -= moved;
            curve += bent;
            value = mul_add(size, cost, value);
            if constexpr (Divide) slopes += absolute(moved);
            (pack::load(gradient + j) + moved).store(gradient + j);
            (pack::load(hessian + j) + bent).store(hessian + j);
        };
        std::size_t j = start;
        if (start < first) {
            body(j, std::false_type{});
            j += pack::lanes;
        }
        if (j < end) for_each_pack<pack::lanes>(j, end, body);
        all_.gradient[i] += reduce_add(slope);
        all_.hessian[i] += reduce_add(curve);
        sums.value += static_cast<double>(reduce_add(value));
        if constexpr (Divide) sums.slopes += static_cast<double>(reduce_add(slopes));
    }

    lambda_settings settings_;
    dcg_sums<Y, Isa> dcg_;
    const T* discounts_;
    T gap_floor_ = T(0.01);
    score_order<T, Isa> order_;
    ranked_rows all_, gainful_;
    std::vector<std::uint32_t> places_;
};

}  // namespace reckon::detail
