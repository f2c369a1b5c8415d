// Both isotonic values of a test point, for every place it can take among the calibration scores.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/calibration/detail/score_groups.hpp"
#include "reckon/calibration/isotonic.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/sort.hpp"

namespace reckon::detail {

/// p0 and p1 as step functions of the score: p0 is lower[k] from knot k - 1 (included) up to knot k, p1 is upper[k] from
/// knot k - 1 (excluded) up to and including knot k. lower and upper have one entry more than there are knots.
struct venn_abers_steps {
    std::vector<double> knots, lower, upper;
};

// P_k is the corner of the cumulative sum diagram behind k groups of equal scores. A test point of weight 1 and label 1
// above group k moves P_0 .. P_k by (-1, -1), and its isotonic value p is the slope of the convex minorant over the gap:
//
//   min_{i <= k} (Y_i - p X_i) + p - 1  =  min_{i >= k} (Y_i - p X_i)
//
// The right-hand side is the minimum over all corners, taken at a corner of the minorant of the whole diagram, which is
// fixed. As k grows p grows, and the corner that gives the left-hand side only moves right. A corner P_k that lies on or
// above the line of slope p through that corner changes nothing now; one below it becomes that corner, and those before
// it never matter again. So nothing has to be kept but the minorant and two corners. A test point with an equal score is
// pooled with its group, which leaves it the value of the gap below. Label 0 is the mirror image, from the right.
//
// With 0/1 labels and no weights all products below are exact up to 9e7 rows, and a value is one rounding from true.
template <bool Upper>
class venn_abers_sweep {
  public:
    venn_abers_sweep(const std::vector<mass_point>& minorant, double unit)
        : minorant_(minorant), unit_(unit), vertex_(Upper ? 0 : minorant.size() - 1), at_(minorant[vertex_]) {
        settle();
    }
    /// True when the corner, the next one of the sweep, changes the value.
    bool below_line(mass_point corner) const noexcept {
        return (corner.positive - at_.positive) * width_ < height_ * (corner.weight - at_.weight);
    }
    void move_to(mass_point corner) noexcept {
        at_ = corner;
        settle();
    }
    double value() const noexcept { return std::clamp(height_ / width_, 0.0, 1.0); }

  private:
    static double forward(double x) noexcept { return Upper ? x : -x; }

    // The line from at_ (moved by the test point) to the corner of the minorant that touches it.
    void settle() noexcept {
        const std::size_t last = Upper ? minorant_.size() - 1 : 0;
        for (;;) {
            const mass_point here = minorant_[vertex_];
            const double across = forward(here.weight - at_.weight);
            height_ = forward(here.positive - at_.positive) + (Upper ? unit_ : 0.0);
            width_ = across + unit_;
            if (vertex_ == last) return;
            const std::size_t following = Upper ? vertex_ + 1 : vertex_ - 1;
            const double run = forward(minorant_[following].weight - here.weight);
            const double rise = forward(minorant_[following].positive - here.positive);
            const bool touches = Upper ? rise * width_ >= height_ * run : rise * width_ <= height_ * run;
            // Only rounding can leave the corner on the wrong side.
            if (across >= 0.0 && touches) return;
            vertex_ = following;
        }
    }

    const std::vector<mass_point>& minorant_;
    double unit_;
    std::size_t vertex_;
    mass_point at_;
    double height_ = 0.0;
    double width_ = 1.0;
};

// Changes of one of the two functions in the order of its sweep.
struct venn_abers_changes {
    std::vector<double> scores;
    std::vector<double> levels;  // p1 above the score, p0 at the score
    double start = 0.0;          // p1 below all scores (Upper), p0 below all scores
};

inline venn_abers_steps join_changes(const venn_abers_changes& up, const venn_abers_changes& down) {
    venn_abers_steps steps;
    steps.lower.push_back(down.start);
    steps.upper.push_back((std::max)(up.start, down.start));
    std::size_t i = 0, j = down.scores.size();  // down comes from the right
    while (i < up.scores.size() || j > 0) {
        const bool take_up = i < up.scores.size() && (j == 0 || up.scores[i] <= down.scores[j - 1]);
        const bool take_down = j > 0 && (i == up.scores.size() || down.scores[j - 1] <= up.scores[i]);
        steps.knots.push_back(take_up ? up.scores[i] : down.scores[j - 1]);
        const double p1_here = steps.upper.back();
        // The order holds in exact arithmetic; rounding of weighted sums must not break it.
        const double p0 = take_down ? (std::max)(steps.lower.back(), down.levels[j - 1]) : steps.lower.back();
        const double p1 = take_up ? (std::max)(p1_here, up.levels[i]) : p1_here;
        steps.lower.push_back((std::min)(p0, p1_here));
        steps.upper.push_back(p1);
        i += take_up ? 1u : 0u;
        j -= take_down ? 1u : 0u;
    }
    return steps;
}

/// From groups of equal scores.
inline venn_abers_steps venn_abers_of(const score_groups& groups) {
    const auto& mass = groups.mass;
    const std::size_t m = groups.scores.size();
    pooled_blocks<std::size_t> blocks;
    for (std::size_t k = 0; k < m; ++k) {
        blocks.push({mass[k + 1].positive - mass[k].positive, mass[k + 1].weight - mass[k].weight, k, k});
    }
    std::vector<mass_point> minorant{mass_point{}};
    blocks.for_each([&](const auto& block) { minorant.push_back(mass[block.last + 1]); });

    venn_abers_changes up, down;
    venn_abers_sweep<true> rising(minorant, groups.unit);
    up.start = rising.value();
    for (std::size_t k = 0; k < m; ++k) {
        if (!rising.below_line(mass[k + 1])) continue;
        rising.move_to(mass[k + 1]);
        up.scores.push_back(groups.scores[k]);
        up.levels.push_back(rising.value());
    }
    venn_abers_sweep<false> falling(minorant, groups.unit);
    for (std::size_t k = m; k-- > 0;) {
        if (!falling.below_line(mass[k])) continue;
        down.scores.push_back(groups.scores[k]);
        down.levels.push_back(falling.value());
        falling.move_to(mass[k]);
    }
    down.start = falling.value();
    return join_changes(up, down);
}

/// From finite floats with 0/1 labels: rows stay single, and runs of equal labels take the place of groups.
///
/// Among equal scores positives come first, so a corner inside a group lies above the line across it: it is no corner
/// of the minorant, and what it changes is overwritten at the end of its group. On the way up a positive never brings a
/// corner below the line, on the way down a negative never does.
template <class Isa, class Y>
venn_abers_steps venn_abers_of_rows(vector_view<const float> scores, vector_view<const Y> labels,
                                    const score_range& range) {
    const std::size_t n = scores.size();
    auto buckets = bucket_scores<Isa>(scores, labels, range);
    // ends[2 r], ends[2 r + 1]: where the positives and the negatives of run r end.
    const scratch_array<std::uint32_t> ends(n + 2);
    std::size_t closed = 0, row = 0;
    std::uint32_t label = 0;  // 1 - y of the row before; the first run of positives may be empty
    visit_sorted<Isa>(buckets, [&](std::uint32_t base, std::uint32_t* items, std::size_t size) {
        for (std::size_t i = 0; i < size; ++i, ++row) {
            const std::uint32_t negative = items[i] & 1u;
            ends[closed] = static_cast<std::uint32_t>(row);
            closed += negative ^ label;
            label = negative;
            items[i] = base + (items[i] >> 1);  // the whole key
        }
    });
    ends[closed++] = static_cast<std::uint32_t>(n);
    if (closed % 2 != 0) ends[closed++] = static_cast<std::uint32_t>(n);
    const std::uint32_t* const keys = buckets.items.data();
    const auto score_of = [keys](std::size_t i) { return static_cast<double>(from_ordered_bits<float>(keys[i])); };

    pooled_blocks<std::uint32_t> blocks;
    for (std::size_t r = 0; r < closed; r += 2) {
        const std::uint32_t first = r == 0 ? 0 : ends[r - 1];
        blocks.push({static_cast<double>(ends[r] - first), static_cast<double>(ends[r + 1] - first), 0, 0});
    }
    std::vector<mass_point> minorant{mass_point{}};
    blocks.for_each([&](const auto& block) {
        const mass_point before = minorant.back();
        minorant.push_back({before.weight + block.weight, before.positive + block.sum});
    });

    venn_abers_changes up, down;
    venn_abers_sweep<true> rising(minorant, 1.0);
    up.start = rising.value();
    double positive = 0.0;
    for (std::size_t r = 0; r < closed; r += 2) {
        positive += static_cast<double>(ends[r] - (r == 0 ? 0 : ends[r - 1]));
        const std::size_t end = ends[r + 1];
        if (!rising.below_line({static_cast<double>(end), positive})) continue;
        for (std::size_t i = ends[r]; i < end; ++i) {
            const mass_point corner{static_cast<double>(i + 1), positive};
            if (!rising.below_line(corner)) continue;
            rising.move_to(corner);
            const double score = score_of(i);
            if (up.scores.empty() || up.scores.back() != score) {
                up.scores.push_back(score);
                up.levels.push_back(0.0);
            }
            up.levels.back() = rising.value();
        }
    }
    venn_abers_sweep<false> falling(minorant, 1.0);
    for (std::size_t r = closed; r > 0; r -= 2) {
        const std::size_t first = r == 2 ? 0 : ends[r - 3];
        const std::size_t end = ends[r - 2];
        const double before = positive - static_cast<double>(end - first);
        if (end > first && falling.below_line({static_cast<double>(first), before})) {
            for (std::size_t i = end; i-- > first;) {
                const mass_point corner{static_cast<double>(i), before + static_cast<double>(i - first)};
                if (!falling.below_line(corner)) continue;
                const double score = score_of(i);
                if (down.scores.empty() || down.scores.back() != score) {
                    down.scores.push_back(score);
                    down.levels.push_back(falling.value());
                }
                falling.move_to(corner);
            }
        }
        positive = before;
    }
    down.start = falling.value();
    return join_changes(up, down);
}

}  // namespace reckon::detail
