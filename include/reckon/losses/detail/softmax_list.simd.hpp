// The body of listwise_softmax(): one list at a time, which stays in the first-level cache over its three sweeps.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/simd.hpp"
#include "reckon/losses/detail/list_losses.hpp"
#include "reckon/losses/detail/list_powers.simd.hpp"
#include "reckon/metrics/detail/ranked_list.hpp"

namespace reckon::detail {

template <class T, class Y, class Isa>
class softmax_list {
  public:
    softmax_list(double temperature, bool softmax_labels, double scale)
        : temperature_(temperature), scale_(scale), softmax_labels_(softmax_labels) {}

    list_loss operator()(const list_span<T, Y>& list) {
        const std::size_t n = list.rows;
        powers_.reserve(n + pack::lanes);
        if (labels_.size() < n + pack::lanes) labels_.resize(n + pack::lanes);
        const column scores{list.scores, list.readable};
        const column labels = labels_of(list);
        double mass = 0.0;
        if (softmax_labels_) {
            // In place, so that what follows sees labels that add up to `mass`.
            mass = powers_of<false>(labels, n, range_of(labels, n), static_cast<T>(log2_of_e), labels_.data(),
                                    [](std::size_t, pack, auto) { return pack(T(0)); })
                       .first;
        } else {
            mass = total(labels, n);
            // A sum without a reciprocal, or none at all. NaN goes on.
            if (mass < static_cast<double>((std::numeric_limits<T>::min)()) ||
                mass > static_cast<double>((std::numeric_limits<T>::max)())) {
                return {};
            }
        }
        const pack share(static_cast<T>(1.0 / mass)), zero(T(0));
        const T factor = static_cast<T>(log2_of_e / temperature_);
        const range span = range_of(scores, n);
        const auto wanted = [&](std::size_t i, auto whole) {
            return share * maximum(zero, load(labels, i, n, T(0), whole));
        };
        // Scores within so many powers of two need no clamp. The comparison is false for NaN.
        const bool bounded =
            (static_cast<double>(span.high) - static_cast<double>(span.low)) * static_cast<double>(factor) <= 120.0;
        const auto [sum, distance] =
            bounded
                ? powers_of<true>(scores, n, span, factor, powers_.data(),
                                  [&](std::size_t i, pack gap, auto whole) { return wanted(i, whole) * gap; })
                : powers_of<false>(scores, n, span, factor, powers_.data(), [&](std::size_t i, pack gap, auto whole) {
                      // The gap may be infinite where nobody wants the row.
                      const pack q = wanted(i, whole);
                      return select(q == zero, zero, q * gap);
                  });
        if (list.gradient != nullptr) add_gradient(list, labels, share, pack(static_cast<T>(1.0 / sum)));
        return {std::log(sum) + distance / temperature_, true};
    }

  private:
    using pack = simd::pack<T, Isa>;
    // Rows that lanes add up before double does.
    static constexpr std::size_t block_rows = 64 * pack::lanes;

    struct column {
        const T* data;
        std::size_t readable;
    };
    struct range {
        T low, high;
    };

    // Rows i, i + 1, ... of n; lanes behind the last one hold `fill`.
    template <class Whole>
    static RECKON_INLINE pack load(const column& from, std::size_t i, std::size_t n, T fill, Whole) noexcept {
        if constexpr (Whole::value) {
            return pack::load(from.data + i);
        } else {
            // What lies behind the list is read where it may be: cheaper than a copy of the last rows.
            if (from.readable - i < pack::lanes) return pack::load_padded(from.data + i, n - i, fill);
            return select(in_list(i, n), pack::load(from.data + i), pack(fill));
        }
    }
    static RECKON_INLINE auto in_list(std::size_t i, std::size_t n) noexcept {
        return simd::lane_numbers<T, Isa>() < pack(rows_as<T>(n - i));
    }
    column labels_of(const list_span<T, Y>& list) noexcept {
        if constexpr (std::is_same_v<T, Y>) {
            if (!softmax_labels_) return {list.labels, list.readable};
        }
        for (std::size_t i = 0; i < list.rows; ++i) labels_[i] = static_cast<T>(list.labels[i]);
        return {labels_.data(), labels_.size()};
    }
    // NaN is ignored unless it is the first one, and comes out of the powers.
    static range range_of(const column& from, std::size_t n) noexcept {
        pack low(from.data[0]), high = low;
        for_each_pack<pack::lanes>(0, n, [&](std::size_t i, auto whole) {
            const pack x = load(from, i, n, from.data[0], whole);
            low = minimum(x, low);
            high = maximum(x, high);
        });
        return {lowest_lane(low), highest_lane(high)};
    }
    // Sum of the positive labels.
    static double total(const column& labels, std::size_t n) noexcept {
        double sum = 0.0;
        for (std::size_t first = 0; first < n; first += block_rows) {
            const std::size_t end = (std::min)(n, first + block_rows);
            pack part(T(0));
            for_each_pack<pack::lanes>(first, end, [&](std::size_t i, auto whole) {
                part += maximum(pack(T(0)), load(labels, i, n, T(0), whole));
            });
            sum += static_cast<double>(reduce_add(part));
        }
        return sum;
    }
    // to[i] = 2^((x_i - high) factor), their sum, and the sum of second(i, high - x_i, whole).
    template <bool Bounded, class Second>
    static std::pair<double, double> powers_of(const column& from, std::size_t n, const range& span, T factor, T* to,
                                               Second&& second) {
        const pack high(span.high), times(factor), zero(T(0));
        double sum = 0.0, other = 0.0;
        for (std::size_t first = 0; first < n; first += block_rows) {
            const std::size_t end = (std::min)(n, first + block_rows);
            pack part = zero, second_part = zero;
            for_each_pack<pack::lanes>(first, end, [&](std::size_t i, auto whole) {
                const pack gap = high - load(from, i, n, span.high, whole);
                second_part += second(i, gap, whole);
                const pack exponent = zero - gap * times;
                pack power;
                if constexpr (Bounded) {
                    power = exp2_moderate(exponent);
                } else {
                    power = exp2_any(exponent);
                }
                if constexpr (!decltype(whole)::value) power = select(in_list(i, n), power, zero);
                power.store(to + i);
                part += power;
            });
            sum += static_cast<double>(reduce_add(part));
            other += static_cast<double>(reduce_add(second_part));
        }
        return {sum, other};
    }
    void add_gradient(const list_span<T, Y>& list, const column& labels, pack share, pack probability) noexcept {
        const std::size_t n = list.rows;
        const pack factor(static_cast<T>(scale_ / temperature_));
        const column had{list.gradient, list.writable};
        for_each_pack<pack::lanes>(0, n, [&](std::size_t i, auto whole) {
            const pack q = share * maximum(pack(T(0)), load(labels, i, n, T(0), whole));
            const pack slope = mul_add(probability, pack::load(powers_.data() + i), pack(T(0)) - q);
            const pack sum = mul_add(factor, slope, load(had, i, n, T(0), whole));
            T* const to = list.gradient + i;
            if constexpr (decltype(whole)::value) {
                sum.store(to);
            } else if (list.writable - i < pack::lanes) {
                sum.store_head(to, n - i);
            } else {
                select(in_list(i, n), sum, pack::load(to)).store(to);
            }
        });
    }

    double temperature_, scale_;
    bool softmax_labels_;
    lane_column<T> powers_;
    std::vector<T> labels_;
};

}  // namespace reckon::detail
