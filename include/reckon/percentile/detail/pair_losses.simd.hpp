// The fold below soft_bce() and weighted_pair_bce(): one exponential a row serves value, slope and curvature.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"

namespace reckon::detail {

/// Columns of a loss; `losses` is empty where the label alone says both sides.
template <class T>
struct pair_rows {
    vector_view<const T> logits, wins, losses, weights;
    vector_view<T> gradient, hessian;

    std::size_t size() const noexcept { return logits.size(); }
    pair_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {logits.slice(first, count),  wins.slice(first, count),     losses.slice(first, count),
                weights.slice(first, count), gradient.slice(first, count), hessian.slice(first, count)};
    }
};

template <class Isa>
struct pair_fold {
    double scale = 1.0;
    mean_value loss;

    template <class T>
    void absorb(const pair_rows<T>& rows) noexcept {
        rows.losses.empty() ? absorb_blocks<false>(rows) : absorb_blocks<true>(rows);
    }
    void merge(const pair_fold& other) noexcept { loss.merge(other.loss); }

  private:
    template <bool Pairs, class T>
    void absorb_blocks(const pair_rows<T>& rows) noexcept {
        using pack = simd::pack<T, Isa>;
        const T *const z = rows.logits.data(), *const win = rows.wins.data(), *const lose = rows.losses.data(),
                       *const weight = rows.weights.data();
        T *const g = rows.gradient.data(), *const h = rows.hessian.data();
        const bool weighted = !rows.weights.empty(), with_gradient = !rows.gradient.empty(),
                   with_hessian = !rows.hessian.empty();
        const pack zero(T(0)), one(T(1)), factor(static_cast<T>(scale));
        // Lanes add up a short block in T; blocks add up in double.
        constexpr std::size_t block = 256;
        for (std::size_t first = 0; first < rows.size(); first += block) {
            const std::size_t end = (std::min)(first + block, rows.size());
            pack values = zero, weights = zero;
            for (std::size_t i = first; i < end; i += pack::lanes) {
                const std::size_t left = end - i;
                const bool whole = left >= pack::lanes;
                const auto load = [&](const T* p) {
                    return whole ? pack::load(p + i) : pack::load_padded(p + i, left, T(0));
                };
                const pack x = load(z), wins = load(win);
                const pack lost = Pairs ? load(lose) : one - wins;
                const pack mass = Pairs ? wins + lost : one;
                // A padded row has weight 0.
                pack w = one;
                if (weighted) {
                    w = load(weight);
                } else if (!whole) {
                    T ones[pack::lanes];
                    one.store(ones);
                    w = pack::load_padded(ones, left, T(0));
                }
                auto used = wins == wins;
                if constexpr (Pairs) used = used & ((mass < zero) | (zero < mass));
                w = select(used, w, zero);
                // Also where the weight is 0 the rest may be NaN, which 0 * NaN would let through.
                const auto skipped = w == zero;
                const pack t = math::exp(zero - absolute(x));
                // p and 1 - p, and softplus(+-x) = max(0, +-x) + log(1 + t): no difference of nearly equal numbers.
                const pack share = one / (one + t);
                const pack p = select(x < zero, t, one) * share, q = select(x < zero, one, t) * share;
                const auto times = [&](pack side, pack distance) {  // 0 times infinity is 0
                    return select(side == zero, zero, side * distance);
                };
                const pack value = mul_add(mass, math::detail::log1p_of_fraction(t),
                                           times(wins, maximum(zero, zero - x)) + times(lost, maximum(zero, x)));
                values += select(skipped, zero, w * value);
                weights += w;
                const auto add = [&](T* to, pack derivative) {
                    const pack sum = load(to) + select(skipped, zero, factor * w * derivative);
                    whole ? sum.store(to + i) : sum.store_head(to + i, left);
                };
                if (with_gradient) add(g, lost * p - wins * q);
                if (with_hessian) add(h, mass * (p * q));
            }
            loss.merge(mean_value(static_cast<double>(reduce_add(values)), static_cast<double>(reduce_add(weights))));
        }
    }
};

template <class T, class Column>
vector_view<const T> loss_column(const char* kernel, const char* what, const Column& column, std::size_t rows) {
    if constexpr (std::is_same_v<Column, none>) {
        return {};
    } else {
        const auto c = input(column);
        static_assert(std::is_same_v<T, typename decltype(c)::value_type>,
                      "reckon: all columns of a loss must have the same type, float or double");
        expects(c.size() == rows, kernel, rows, " logits but ", c.size(), " ", what);
        return c;
    }
}
template <class T, class Column>
vector_view<T> loss_output(const char* kernel, Column& column, std::size_t rows) {
    if constexpr (std::is_same_v<std::remove_cv_t<Column>, none>) {
        return {};
    } else {
        const auto to = view(column);
        expects(to.size() == rows, kernel, rows, " logits but room for ", to.size(), " derivatives");
        return to;
    }
}

}  // namespace reckon::detail
