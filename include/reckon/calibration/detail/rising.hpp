// Logistic curves of two columns that may not fall: log-loss minimised over two amounts >= 0 and an intercept.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

#include "reckon/calibration/detail/newton.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/core/batch.hpp"

namespace reckon::detail {

/// The curves z = theta . (x0, x1, 1) with (theta0, theta1) = low * u + high * v, of which u, v >= 0 are legal. Both
/// x . low and x . high rise with the score, so every legal curve does.
struct rising_curves {
    std::array<double, 2> low, high;
    /// A legal direction to take alone when the scores cannot tell the two apart.
    std::array<double, 2> single;
    /// False: theta2 stays where it starts.
    bool intercept = true;
    /// Fit `single` alone.
    bool single_only = false;
    /// The best intercept of u = v = 0, if that is free.
    double flat = 0.0;
};

/// What minimise_rising found; u, v >= 0.
struct rising_fit {
    double u = 0.0, v = 0.0;
    double intercept = 0.0;
};

/// Log-odds of the mean target of a flat curve, limited where all targets are 0 or all are 1.
inline double flat_log_odds(const label_targets& targets, double positive, double weight) noexcept {
    const double mean = targets.low + targets.span * (positive / weight);
    if (!(mean > 0.0)) return -logit_limit;
    if (!(mean < 1.0)) return logit_limit;
    return (std::max)(-logit_limit, (std::min)(logit_limit, std::log(mean) - std::log1p(-mean)));
}

/// The optimum over u, v >= 0 of the log-loss, from model.theta on.
///
/// The free optimum is the answer when it is legal. When one of u, v is negative there, the answer has that one at 0:
/// from a point of the other edge the loss falls along the way to the free optimum, and that way starts inside. What is
/// left is convex in the other one, so if it comes out negative it is 0 too. When both are negative the answer is
/// on an edge, and at most one edge falls from the corner u = v = 0, else the free optimum would lie above the corner. With
/// an intercept neither does: the intercept fitted for each (u, v), the mixed derivative of the loss is a covariance of two
/// rising columns, thus >= 0, so from the free optimum on both slopes grow up to the corner. When there is no free optimum an
/// edge is the answer if the loss falls neither along it nor into the quadrant.
template <class Isa, exec::policy Policy, class Features, class Rows>
class rising_solver {
  public:
    using model_type = logistic_model<Features>;
    using parameters = std::array<double, 3>;

    rising_solver(const Policy& where, const Rows& rows, const model_type& model, const rising_curves& curves,
                  const newton_limits& limits)
        : where_(where), rows_(rows), model_(model), curves_(curves), limits_(limits) {}

    /// From theta on. `guess` is the answer for a sample of the rows: if it lies on an edge that edge is tried first.
    rising_fit solve(const parameters& theta, const rising_fit* guess = nullptr) const {
        if (curves_.single_only) return one(edge::single, theta).fit;
        if (guess && (guess->u > 0.0) != (guess->v > 0.0)) {
            const line_fit found = one(guess->u > 0.0 ? edge::low : edge::high, theta);
            if (settled(found)) return found.fit;
        }
        const auto free = minimise({{intercept_direction(), {1, 0, 0}, {0, 1, 0}}}, theta);
        if (free.dependent) return one(edge::single, flat_theta()).fit;
        if (!free.converged || free.dropped) {
            // There may be no free optimum although there is a legal one.
            for (const edge which : {edge::low, edge::high}) {
                const line_fit found = one(which, flat_theta());
                if (settled(found)) return found.fit;
            }
        }
        const rising_fit all = amounts(free.theta);
        if (all.u >= 0.0 && all.v >= 0.0) return all;
        if (all.u >= 0.0) return one(edge::low, scaled(curves_.low, all.u, all.intercept)).fit;
        if (all.v >= 0.0) return one(edge::high, scaled(curves_.high, all.v, all.intercept)).fit;
        if (!curves_.intercept) {
            newton_sums<Features, Isa> corner{model_};
            corner.model.theta = flat_theta();
            corner = exec::fold_parts(where_, corner, rows_);
            if (rise(corner.gradient, curves_.low) < 0.0) return one(edge::low, flat_theta()).fit;
            if (rise(corner.gradient, curves_.high) < 0.0) return one(edge::high, flat_theta()).fit;
        }
        return {0.0, 0.0, flat_theta()[2]};
    }

    parameters theta_of(const rising_fit& fit) const noexcept {
        return {fit.u * curves_.low[0] + fit.v * curves_.high[0], fit.u * curves_.low[1] + fit.v * curves_.high[1],
                fit.intercept};
    }

  private:
    enum class edge { low, high, single };
    struct line_fit {
        edge which = edge::single;
        newton_result<3> result;
        double amount = 0.0;
        rising_fit fit;
    };

    static double rise(const parameters& gradient, const std::array<double, 2>& along) noexcept {
        return gradient[0] * along[0] + gradient[1] * along[1];
    }

    // An optimum on its edge from which the loss rises into the quadrant, so the optimum of all: the problem is convex.
    bool settled(const line_fit& found) const noexcept {
        return found.result.converged && !found.result.dropped && found.amount > 0.0 &&
               rise(found.result.gradient, found.which == edge::low ? curves_.high : curves_.low) >= 0.0;
    }
    parameters intercept_direction() const noexcept { return {0, 0, curves_.intercept ? 1.0 : 0.0}; }
    parameters flat_theta() const noexcept { return {0, 0, curves_.intercept ? curves_.flat : model_.theta[2]}; }
    static parameters scaled(const std::array<double, 2>& along, double amount, double intercept) noexcept {
        return {amount * along[0], amount * along[1], intercept};
    }
    rising_fit amounts(const parameters& theta) const noexcept {
        const auto &l = curves_.low, &h = curves_.high;
        const double area = l[0] * h[1] - l[1] * h[0];
        return {(theta[0] * h[1] - theta[1] * h[0]) / area, (l[0] * theta[1] - l[1] * theta[0]) / area, theta[2]};
    }
    newton_result<3> minimise(const std::array<parameters, 3>& along, const parameters& theta) const {
        model_type from = model_;
        from.theta = theta;
        return minimise_log_loss<Isa>(where_, rows_, from, limits_, free_directions<3>{along});
    }
    // Along one direction from the point of it that is next to theta, and flat when it leads down.
    line_fit one(edge which, const parameters& theta) const {
        const auto& along = which == edge::low ? curves_.low : which == edge::high ? curves_.high : curves_.single;
        const double square = along[0] * along[0] + along[1] * along[1];
        const double start = (std::max)(0.0, rise(theta, along) / square);
        line_fit found;
        found.which = which;
        found.result = minimise({{intercept_direction(), {along[0], along[1], 0}, {}}}, scaled(along, start, theta[2]));
        found.amount = rise(found.result.theta, along) / square;
        const double intercept = found.result.theta[2];
        if (!(found.amount > 0.0)) {
            found.fit = {0.0, 0.0, flat_theta()[2]};
        } else if (which == edge::single) {
            const rising_fit unit = amounts({along[0], along[1], 0.0});
            found.fit = {found.amount * (std::max)(0.0, unit.u), found.amount * (std::max)(0.0, unit.v), intercept};
        } else {
            found.fit = which == edge::low ? rising_fit{found.amount, 0.0, intercept}
                                           : rising_fit{0.0, found.amount, intercept};
        }
        return found;
    }

    const Policy& where_;
    const Rows& rows_;
    model_type model_;
    rising_curves curves_;
    newton_limits limits_;
};

/// The optimum over u, v >= 0: from the fit of a sample of the rows when there are many.
template <class Isa, exec::policy Policy, class Features, class Rows>
rising_fit minimise_rising(const Policy& where, const Rows& rows, const Rows& sample,
                           const logistic_model<Features>& model, const rising_curves& curves,
                           const newton_limits& limits) {
    const rising_solver<Isa, Policy, Features, Rows> all(where, rows, model, curves, limits);
    if (sample.size() == 0) return all.solve(model.theta);
    const rising_solver<Isa, Policy, Features, Rows> some(where, sample, model, curves, {1e-3, 20});
    const rising_fit guess = some.solve(model.theta);
    return all.solve(some.theta_of(guess), &guess);
}

}  // namespace reckon::detail
