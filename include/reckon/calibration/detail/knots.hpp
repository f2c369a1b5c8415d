// Look-ups in lists of rising scores: the search that step functions and polygons share, and the polygon.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/core/sort.hpp"

namespace reckon::detail {

/// Finite as a float: differences of two such scores do not overflow.
inline bool is_knot_score(double score) noexcept {
    return std::fabs(score) <= static_cast<double>((std::numeric_limits<float>::max)());
}

/// Why a list cannot serve as knots, or none: fewer than 2^32, finite as floats, strictly increasing.
inline const char* knot_score_fault(const std::vector<double>& scores) noexcept {
    if (scores.size() >= (std::uint64_t{1} << 32)) return "fewer than 2^32 knots are possible";
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (!is_knot_score(scores[i])) return "knot scores must be finite floats";
        if (i > 0 && !(scores[i - 1] < scores[i])) return "knot scores must increase";
    }
    return nullptr;
}

/// Finds how many knots are at or below a score: those of earlier cells by a table, then a short search in its own.
/// Cells have equal width in ordered bits of float; rounding to float is monotone, so a knot never lies in a later cell
/// than a score above it.
class knot_cells {
  public:
    /// Scores as knot_score_fault() lets pass.
    void build(const std::vector<double>& scores) {
        cells_.clear();
        first_step_ = 0;
        if (scores.empty()) return;
        lowest_ = ordered_bits(static_cast<float>(scores.front()));
        const std::uint32_t range = ordered_bits(static_cast<float>(scores.back())) - lowest_;
        const int cell_bits = (std::min)(static_cast<int>(std::bit_width(scores.size())) + 3, 12);
        shift_ = (std::max)(static_cast<int>(std::bit_width(range)) - cell_bits, 0);
        last_cell_ = std::size_t{range} >> shift_;
        cells_.assign(last_cell_ + 2, 0);
        for (const double score : scores) ++cells_[cell(score) + 1];
        std::uint32_t most = 0;
        for (std::size_t c = 1; c < cells_.size(); ++c) {
            most = (std::max)(most, cells_[c]);
            cells_[c] += cells_[c - 1];
        }
        first_step_ = std::bit_floor(most);
    }

    /// Entries of infinity that the searched table needs past its last knot, so that the search need not look where it
    /// ends.
    std::size_t padding() const noexcept { return 2 * first_step_; }

    /// count[k]: of the knots at or below inside[k], which is finite as a float. knot(i) is the score of knot i in the
    /// padded table. The scores of a block take each step of the search together, so that its loads overlap.
    template <std::size_t N, class Knot>
    RECKON_INLINE void count_up_to(const double (&inside)[N], std::size_t (&count)[N], std::size_t n,
                                   Knot&& knot) const noexcept {
        for (std::size_t k = 0; k < n; ++k) count[k] = cells_[cell(inside[k])];
        for (std::size_t step = first_step_; step > 0; step /= 2) {
            for (std::size_t k = 0; k < n; ++k) {
                count[k] += step * static_cast<std::size_t>(knot(count[k] + step - 1) <= inside[k]);
            }
        }
    }

  private:
    RECKON_INLINE std::size_t cell(double score) const noexcept {
        const std::uint32_t key = ordered_bits(static_cast<float>(score));
        return key <= lowest_ ? 0 : (std::min)(std::size_t{key - lowest_} >> shift_, last_cell_);
    }

    std::vector<std::uint32_t> cells_;  // cells_[c] knots lie in cells before c
    std::uint32_t lowest_ = 0;
    int shift_ = 0;
    std::size_t last_cell_ = 0;
    std::size_t first_step_ = 0;
};

/// out[i] = map(block of scores), sixteen at a time; out may be the scores themselves.
///
/// Throws    std::invalid_argument when the sizes differ.
template <exec::policy Policy, vector_like In, vector_like Out, class Body>
void map_score_blocks(const char* kernel, const Policy& where, const In& scores, Out& out, Body&& body) {
    const auto from = input(scores);
    const auto to = output_like(kernel, scores, out);
    exec::map_parts(where, from.size(), [&](std::size_t first, std::size_t count) {
        constexpr std::size_t block = 16;
        for (std::size_t i = first; i < first + count; i += block) {
            body.template operator()<block>(from.data() + i, to.data() + i, (std::min)(block, first + count - i));
        }
    });
}

/// Straight lines between knots, constant outside. Without knots the identity on [0, 1].
///
/// Numerics  between two knots never beyond their levels, so monotone where the levels are.
class polygon {
  public:
    polygon() = default;
    polygon(std::vector<double> scores, std::vector<double> levels)
        : scores_(std::move(scores)), levels_(std::move(levels)) {
        index_knots();
    }

    const std::vector<double>& scores() const noexcept { return scores_; }
    const std::vector<double>& levels() const noexcept { return levels_; }

    /// Why two lists cannot be knots and levels in [0, 1], or none.
    static const char* fault(const std::vector<double>& scores, const std::vector<double>& levels) noexcept {
        if (scores.size() != levels.size()) return "as many scores as levels are needed";
        for (const double level : levels) {
            if (!(level >= 0.0 && level <= 1.0)) return "knot levels must be in [0, 1]";
        }
        return knot_score_fault(scores);
    }

    /// Levels of n <= N scores; NaN at NaN.
    template <std::size_t N, class T>
    RECKON_INLINE void map_block(const T* scores, T* levels, std::size_t n) const noexcept {
        if (levels_.empty()) {
            for (std::size_t k = 0; k < n; ++k) levels[k] = (std::clamp)(scores[k], T(0), T(1));  // NaN passes
            return;
        }
        const double lowest = scores_.front(), highest = scores_.back();
        double inside[N];
        std::size_t count[N];
        for (std::size_t k = 0; k < n; ++k) {
            const auto score = static_cast<double>(scores[k]);
            inside[k] = score > lowest ? (score < highest ? score : highest) : lowest;  // NaN: lowest
        }
        cells_.count_up_to(inside, count, n, [this](std::size_t i) { return segments_[i].score; });
        for (std::size_t k = 0; k < n; ++k) {
            const segment& below = segments_[count[k] - 1];
            const auto level = static_cast<T>(below.level + (inside[k] - below.score) * below.slope);
            levels[k] = scores[k] == scores[k] ? level : scores[k];
        }
    }

  private:
    struct segment {
        double score;
        double level;
        double slope;
    };

    void index_knots() {
        cells_.build(scores_);
        const double inf = std::numeric_limits<double>::infinity();
        segments_.assign(scores_.size() + cells_.padding(), {inf, 0.0, 0.0});
        for (std::size_t i = 0; i < scores_.size(); ++i) {
            double slope = 0.0;
            if (i + 1 < scores_.size()) {
                const double run = scores_[i + 1] - scores_[i], rise = levels_[i + 1] - levels_[i];
                slope = rise / run;
                // Rounding must not carry a value past the next knot.
                while (std::fabs(levels_[i] + run * slope - levels_[i]) > std::fabs(rise)) {
                    slope = std::nextafter(slope, 0.0);
                }
            }
            segments_[i] = {scores_[i], levels_[i], slope};
        }
    }

    std::vector<double> scores_;
    std::vector<double> levels_;
    // Derived from the knots.
    std::vector<segment> segments_;
    knot_cells cells_;
};

}  // namespace reckon::detail
