// Weights of several fields' corrections, learned on held-out rows.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// How a correction acts on a predicted probability.
enum class correction_kind : std::uint8_t {
    ratio = 0,  ///< p' = p e^d: for small probabilities, such as click rates
    logit = 1,  ///< p' = sigmoid(logit p + d): for any probability
};

/// Log-loss of p corrected by d = sum_f w_f x_f, with its gradient in w: a mergeable state.
///
///   logit   loss = softplus(z + d) - y (z + d), z = logit p;   d loss / d w_f = (p' - y) x_f       convex in w
///   ratio   loss of p' = p e^d;                                d loss / d w_f = (p' - y) / (1 - p') x_f
///
/// Counts and skips rows with a score or label outside [0, 1], a bad weight or a correction that is not finite. Scores
/// and p' are kept in [1e-7, 1 - 1e-7]; a p' that is cut off has gradient 0.
class field_weight_loss {
  public:
    field_weight_loss(correction_kind correction, std::vector<double> at)
        : correction_(correction),
          at_(std::move(at)),
          gradient_(at_.size(), 0.0),
          hessian_(at_.size() * at_.size(), 0.0) {}

    template <class Batch>
    void absorb(const Batch& batch) {
        const std::size_t fields = at_.size();
        std::vector<double> x(fields);
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const double p = batch.rows.score(i), y = batch.rows.label(i), w = batch.rows.weight(i);
            double d = 0;
            for (std::size_t f = 0; f < fields; ++f) {
                x[f] = static_cast<double>(batch.log_ratios(f, i));
                d += at_[f] * x[f];
            }
            if (!(p >= 0 && p <= 1 && y >= 0 && y <= 1 && w >= 0 && std::isfinite(w) && std::isfinite(d))) {
                ++rejected_;
                continue;
            }
            const auto [value, slope, curvature] = row(p < low ? low : p > 1 - low ? 1 - low : p, y, d);
            loss_ += w * value;
            weight_ += w;
            for (std::size_t f = 0; f < fields; ++f) {
                gradient_[f] += w * slope * x[f];
                for (std::size_t g = 0; g <= f; ++g) hessian_[f * fields + g] += w * curvature * x[f] * x[g];
            }
        }
    }
    /// Both sides must have been built with the same arguments.
    void merge(const field_weight_loss& other) {
        expects(other.at_ == at_ && other.correction_ == correction_, "field_weight_loss::merge",
                "the states belong to different weights");
        loss_ += other.loss_;
        weight_ += other.weight_;
        rejected_ += other.rejected_;
        for (std::size_t k = 0; k < gradient_.size(); ++k) gradient_[k] += other.gradient_[k];
        for (std::size_t k = 0; k < hessian_.size(); ++k) hessian_[k] += other.hessian_[k];
    }
    /// Mean loss; NaN while nothing was absorbed.
    double finish() const noexcept { return loss_ / weight_; }
    /// Sums, not means: of the loss, of the weights, the gradient [F], the lower triangle of the Hessian [F, F] (logit
    /// form; of the ratio form its Gauss-Newton part).
    double loss() const noexcept { return loss_; }
    double weight() const noexcept { return weight_; }
    const std::vector<double>& gradient() const noexcept { return gradient_; }
    const std::vector<double>& hessian() const noexcept { return hessian_; }
    std::uint64_t rejected() const noexcept { return rejected_; }

  private:
    static constexpr double low = 1e-7;
    struct terms {
        double value, slope, curvature;
    };
    RECKON_INLINE terms row(double p, double y, double d) const noexcept {
        if (correction_ == correction_kind::logit) {
            const double z = math::logit(p) + d, q = math::sigmoid(z);
            return {math::softplus(z) - y * z, q - y, q * (1 - q)};
        }
        const double q = p * std::exp(d);
        const double kept = q < low ? low : q > 1 - low ? 1 - low : q;
        const double value = -y * std::log(kept) - (1 - y) * std::log1p(-kept);
        if (kept != q) return {value, 0, 0};
        return {value, (q - y) / (1 - q), q / (1 - q)};
    }

    correction_kind correction_;
    std::vector<double> at_;
    std::vector<double> gradient_;
    std::vector<double> hessian_;
    double loss_ = 0;
    double weight_ = 0;
    std::uint64_t rejected_ = 0;
};

struct field_weight_options {
    int max_iterations = 50;
    double tolerance = 1e-9;  ///< > 0; stop when no component of the mean projected gradient is larger
};

namespace detail {

template <class Scored, class T>
struct corrected_rows {
    Scored rows;
    matrix_view<const T> log_ratios;
    constexpr std::size_t size() const noexcept { return rows.size(); }
    constexpr corrected_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {rows.slice(first, count), log_ratios.columns(first, count)};
    }
};

// Solves H s = -g on the components that are free, by Cholesky's method; the others get 0. H is symmetric with its
// lower triangle given, positive semidefinite; a small ridge makes it definite.
inline std::vector<double> newton_step(const std::vector<double>& h, const std::vector<double>& g,
                                       const std::vector<bool>& free) {
    const std::size_t n = g.size();
    std::vector<std::size_t> at;
    double trace = 0;
    for (std::size_t f = 0; f < n; ++f) {
        if (free[f]) at.push_back(f);
        trace += h[f * n + f];
    }
    const double ridge = 1e-12 * trace + 1e-300;
    const std::size_t m = at.size();
    std::vector<double> l(m * m, 0.0), s(m);
    for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            double v = h[at[i] * n + at[j]] + (i == j ? ridge : 0.0);
            for (std::size_t k = 0; k < j; ++k) v -= l[i * m + k] * l[j * m + k];
            l[i * m + j] = i == j ? std::sqrt(v > ridge ? v : ridge) : v / l[j * m + j];
        }
        double v = -g[at[i]];
        for (std::size_t k = 0; k < i; ++k) v -= l[i * m + k] * s[k];
        s[i] = v / l[i * m + i];
    }
    std::vector<double> step(n, 0.0);
    for (std::size_t i = m; i-- > 0;) {
        for (std::size_t k = i + 1; k < m; ++k) s[i] -= l[k * m + i] * s[k];
        s[i] /= l[i * m + i];
        step[at[i]] = s[i];
    }
    return step;
}

}  // namespace detail

/// Field weights w >= 0 that minimise the log-loss of sigmoid(logit p + sum_f w_f x_f) on held-out rows: a convex
/// logistic regression with an offset.
///
/// Shapes    scores [N], labels [N], log_ratios x [F, N] (float or double): row f holds the correction that field f
///           gives to each row, 0 where it has none. weights [N] or none.
/// Returns   w [F]; they need not sum to 1. A field that never corrects anything keeps its start, 1 / F. Without any
///           row all weights are 1 / F.
/// Throws    std::invalid_argument when the shapes differ or an option is out of range. Bad rows are skipped as by
///           field_weight_loss.
/// Cost      5 to 15 passes of N (F^2 + one softplus).
/// Numerics  projected Newton steps with backtracking (Bertsekas 1982); the optimum to about the square root of
///           rounding.
template <exec::policy Policy, vector_like P, vector_like Y, class X, class W = none>
std::vector<double> fit_field_weights(const Policy& where, const P& scores, const Y& labels, const X& log_ratios,
                                      const W& weights = {}, const field_weight_options& options = {}) {
    const auto rows = make_scored("fit_field_weights", scores, labels, weights);
    const auto x = input(log_ratios);
    expects(x.cols() == rows.size(), "fit_field_weights", rows.size(), " scores but corrections for ", x.cols(),
            " rows");
    expects(options.max_iterations >= 0 && options.tolerance > 0, "fit_field_weights", "max_iterations ",
            options.max_iterations, " and tolerance ", options.tolerance, " must not be negative or 0");
    const std::size_t fields = x.rows();
    using T = typename decltype(x)::value_type;
    const detail::corrected_rows<std::remove_const_t<decltype(rows)>, T> batch{rows, x};
    const auto evaluate = [&](const std::vector<double>& w) {
        return exec::fold_parts(where, field_weight_loss(correction_kind::logit, w), batch);
    };
    std::vector<double> w(fields, fields > 0 ? 1.0 / static_cast<double>(fields) : 0.0);
    auto here = evaluate(w);
    for (int iteration = 0; iteration < options.max_iterations && here.weight() > 0; ++iteration) {
        const auto& g = here.gradient();
        std::vector<bool> free(fields);
        double largest = 0;
        for (std::size_t f = 0; f < fields; ++f) {
            free[f] = w[f] > 0 || g[f] < 0;
            if (free[f]) largest = std::fabs(g[f]) > largest ? std::fabs(g[f]) : largest;
        }
        if (largest <= options.tolerance * here.weight()) break;
        const auto step = detail::newton_step(here.hessian(), g, free);
        bool better = false;
        for (double t = 1; t > 1e-10 && !better; t *= 0.5) {
            std::vector<double> trial(w);
            double promised = 0;
            for (std::size_t f = 0; f < fields; ++f) {
                trial[f] = w[f] + t * step[f] > 0 ? w[f] + t * step[f] : 0.0;
                promised += g[f] * (trial[f] - w[f]);
            }
            auto there = evaluate(trial);
            if (promised < 0 && there.loss() <= here.loss() + 1e-4 * promised) {
                better = true;
                w = trial;
                here = std::move(there);
            }
        }
        // Rounding hides what is left to gain.
        if (!better) break;
    }
    return w;
}

}  // namespace reckon
