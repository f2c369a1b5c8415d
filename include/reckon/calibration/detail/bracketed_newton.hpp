// Newton's method inside a bracket, for the temperature of binary and multiclass scores.
#pragma once

#include <algorithm>
#include <cmath>

namespace reckon::detail {

/// Derivatives of a convex function at one point. `at` is the point where they were taken, which differs from the point
/// asked for when a lane's type rounds it.
struct slope_and_curvature {
    double at = 0.0;
    double slope = 0.0;
    double curvature = 0.0;
};

/// How bracketed_newton works.
struct bracketed_newton_options {
    double lowest = 1e-3;
    double highest = 1e3;
    /// Largest |dz / dx| over the rows, z what the sigmoid or softmax takes.
    double range = 1.0;
    /// Ends the iteration when the next step would change x by less than this part of it.
    double tolerance = 1e-9;
    int max_passes = 100;
    /// Relative change of x below which the sums say nothing more.
    double noise = 0.0;
};

/// Minimises a convex function of x over [lowest, highest] from `x` on; derivatives(x) makes one pass.
///
/// The slope rises with x, so its sign keeps a bracket around the optimum. The ends are tried when a Newton step leads
/// to them, or when many steps went their way: without an optimum each step adds the same to x. A step that leads out
/// of a bracket with tried ends is replaced by the geometric mean.
template <class Derivatives>
double bracketed_newton(double x, const bracketed_newton_options& options, Derivatives&& derivatives) {
    double low = options.lowest, high = options.highest;
    bool low_tried = false, high_tried = false;
    for (int pass = 0; pass < options.max_passes; ++pass) {
        const slope_and_curvature d = derivatives(x);
        if (d.slope == 0.0) return x;
        if (x == low && d.slope > 0.0) return x;
        if (x == high && d.slope < 0.0) return x;
        if (d.slope > 0.0) {
            high = x;
            high_tried = true;
        } else {
            low = x;
            low_tried = true;
        }
        double next = d.at - d.slope / d.curvature;
        if (!(next > low)) next = low_tried ? std::sqrt(low * high) : low;
        if (!(next < high)) next = high_tried ? std::sqrt(low * high) : high;
        if (pass >= 8 && d.slope < 0.0 && !high_tried) next = high;
        if (pass >= 8 && d.slope > 0.0 && !low_tried) next = low;
        // The step after one that moves log-odds by at most d is about d times as long.
        const double moved = std::fabs(next - d.at);
        const double following = (std::min)(1.0, moved * options.range) * moved;
        const bool at_end = next == options.lowest || next == options.highest;
        if (!at_end && (following <= options.tolerance * d.at || moved <= options.noise * d.at)) return next;
        x = next;
    }
    return x;
}

}  // namespace reckon::detail
