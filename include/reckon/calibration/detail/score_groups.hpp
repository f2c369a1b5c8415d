// Rows by distinct score: the cumulative sums of weights and labels in score order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "reckon/calibration/detail/knots.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/sort.hpp"

namespace reckon::detail {

/// A corner of the cumulative sum diagram: sum of weights and sum of w y of the rows below.
struct mass_point {
    double weight = 0.0;
    double positive = 0.0;
};

/// Distinct scores of the rows that count, ascending, and mass[k], that of the rows below score k; one more entry holds
/// the total. Weights are divided by a power of two, so that their sums neither overflow nor vanish.
struct score_groups {
    std::vector<double> scores;
    std::vector<mass_point> mass;
    double unit = 1.0;  // what a weight of 1 has become
    counts seen;
};

/// True when a fit that takes any real score counts the row.
template <class P, class Y, class W>
bool real_row(const scored<P, Y, W>& rows, std::size_t i) noexcept {
    const double y = rows.label(i), w = rows.weight(i);
    return is_knot_score(rows.score(i)) && y >= 0.0 && y <= 1.0 && w >= 0.0 && std::isfinite(w);
}

/// Range of the scores when all rows are plain: finite floats, labels 0 or 1, no weights. Then buckets can be used.
template <class Isa, class P, class Y, class W>
bool plain_rows(const scored<P, Y, W>& batch, score_range& range) noexcept {
    if constexpr (std::is_same_v<P, float>) {
        if (batch.weights.empty() && labels_are_binary<Isa>(batch.labels)) {
            range = range_of<Isa>(batch.scores);
            return range.finite;
        }
    }
    return false;
}

/// Counts and skips NaN, scores beyond float, labels outside [0, 1] and negative or infinite weights; weight 0
/// contributes nothing.
///
/// Cost      as the fit of isotonic, on one thread; 24 bytes a distinct score.
template <class Isa, class P, class Y, class W>
score_groups group_scores(const scored<P, Y, W>& batch) {
    score_groups groups;
    mass_point sum;
    groups.mass.push_back(sum);
    const auto close = [&](double score) {
        if (!(sum.weight > groups.mass.back().weight)) return;
        groups.scores.push_back(score);
        groups.mass.push_back(sum);
    };
    score_range range;
    if (plain_rows<Isa>(batch, range)) {
        if constexpr (std::is_same_v<P, float>) {
            groups.seen.accepted = batch.size();
            auto buckets = bucket_scores<Isa>(batch.scores, batch.labels, range);
            visit_sorted<Isa>(buckets, [&](std::uint32_t base, const std::uint32_t* items, std::size_t size) {
                for (std::size_t i = 0; i < size; ++i) {
                    sum.weight += 1.0;
                    sum.positive += static_cast<double>(~items[i] & 1u);
                    if (i + 1 < size && items[i + 1] >> 1 == items[i] >> 1) continue;
                    close(static_cast<double>(from_ordered_bits<float>(base + (items[i] >> 1))));
                }
            });
        }
        return groups;
    }
    double largest = 0.0;
    for (std::size_t i = 0; i < batch.size(); ++i) {
        if (real_row(batch, i)) largest = (std::max)(largest, batch.weight(i));
    }
    const int exponent = largest > 0.0 ? std::clamp(std::ilogb(largest), -1000, 1000) : 0;
    groups.unit = std::ldexp(1.0, -exponent);
    const auto order = ascending_order<Isa>(batch.scores);
    for (std::size_t i = 0; i < order.size();) {
        const double score = batch.score(order[i]);
        // NaN is unequal to itself and forms groups of one, at the end.
        do {
            const std::size_t row = order[i];
            const bool ok = real_row(batch, row);
            groups.seen.absorb(ok);
            if (ok) {
                const double w = batch.weight(row) * groups.unit;
                sum.weight += w;
                sum.positive += w * batch.label(row);
            }
            ++i;
        } while (i < order.size() && batch.score(order[i]) == score);
        close(score);
    }
    return groups;
}

}  // namespace reckon::detail
