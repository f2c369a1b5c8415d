// Knots of calibrators: what makes a list of scores one, and the polygon through knots and levels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/sorted_cuts.hpp"

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

/// Straight lines between knots, constant outside. Without knots the identity on [0, 1].
///
/// Numerics  between two knots never beyond their levels, so monotone where the levels are.
class polygon {
  public:
    polygon() = default;
    polygon(std::vector<double> scores, std::vector<double> levels)
        : scores_(std::move(scores)), levels_(std::move(levels)) {
        if (!scores_.empty()) lines_ = line_table(scores_, levels_);
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

    /// NaN at NaN.
    template <class T>
    RECKON_INLINE T at(T score) const noexcept {
        return levels_.empty() ? identity(score) : lines_.at(score);
    }
    template <class Isa, exec::policy Policy, vector_like In, vector_like Out>
    void apply(const char* kernel, const Policy& where, const In& scores, Out& out) const {
        if (!levels_.empty()) return lines_.template apply<Isa>(kernel, where, scores, out);
        map_each_score<Isa>(kernel, where, scores, out, [](auto score) { return identity(score); });
    }

  private:
    template <class T>
    RECKON_INLINE static T identity(T score) noexcept {
        return (std::clamp)(score, T(0), T(1));  // NaN passes
    }

    std::vector<double> scores_;
    std::vector<double> levels_;
    line_table lines_;  // the knots arranged for apply()
};

}  // namespace reckon::detail
