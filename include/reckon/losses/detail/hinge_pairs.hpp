// Sums of max(0, v_k - s_i) or its square over all pairs, in one sweep over both sides in order of score.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/isa.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"

namespace reckon::detail {

// Sums over the points of a growing set: of w, of w d and of w d^2, d the distance of a point from where the sweep is.
// All terms are non-negative, so nothing cancels.
struct hinge_moments {
    double weight = 0.0, first = 0.0, second = 0.0;

    // Goes on by `step` >= 0, away from all points.
    void move(double step) noexcept {
        if (weight == 0.0 || step == 0.0) return;
        second += step * (2.0 * first + weight * step);
        first += weight * step;
    }
    void add(double w, double distance) noexcept {
        weight += w;
        first += w * distance;
        second += w * distance * distance;
    }
};

// Visits the points `to` in order, ahead of which those points `from` lie that are already passed: visit(k, moments).
// The sweep goes towards larger values, or smaller ones with `down`.
//
// to, from     scores, none of them NaN, with their ascending order; weight_of(k) of the point k of `from`
template <bool Down, class To, class From, class Weight, class Visit>
void hinge_sweep(const std::vector<std::uint32_t>& to_order, To&& to, const std::vector<std::uint32_t>& from_order,
                 From&& from, Weight&& weight_of, Visit&& visit) {
    const auto at = [](const std::vector<std::uint32_t>& order, std::size_t k) {
        return order[Down ? order.size() - 1 - k : k];
    };
    hinge_moments sums;
    double here = 0.0;
    std::size_t passed = 0;
    for (std::size_t k = 0; k < to_order.size(); ++k) {
        const std::uint32_t row = at(to_order, k);
        const double place = to(row);
        // Equal places, also infinite ones, have no distance.
        sums.move(here == place ? 0.0 : (Down ? here - place : place - here));
        here = place;
        for (; passed < from_order.size(); ++passed) {
            const std::uint32_t other = at(from_order, passed);
            const double value = from(other);
            if (Down ? !(value > place) : !(value < place)) break;
            sums.add(weight_of(other), Down ? value - place : place - value);
        }
        visit(row, sums);
    }
}

}  // namespace reckon::detail
