// Newton's method for the log-loss of a softmax with many parameters: the steps between the passes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "reckon/calibration/detail/class_rows.hpp"

namespace reckon::detail {

/// Place of (i, j), j <= i, in a lower triangle row after row.
constexpr std::size_t in_triangle(std::size_t i, std::size_t j) noexcept {
    return i * (i + 1) / 2 + j;
}

/// Solves H x = b in place for a symmetric positive definite H given by its lower triangle (Cholesky). A pivot that
/// rounding took below `ridge` is raised to it, as solve_spd() does.
inline void solve_spd(std::vector<double>& h, std::vector<double>& b, double ridge) noexcept {
    const std::size_t n = b.size();
    for (std::size_t i = 0; i < n; ++i) {
        double* const row = h.data() + in_triangle(i, 0);
        for (std::size_t j = 0; j <= i; ++j) {
            const double* const other = h.data() + in_triangle(j, 0);
            // Four sums, so that the additions need not wait for each other.
            double s[4] = {0.0, 0.0, 0.0, 0.0};
            std::size_t k = 0;
            for (; k + 4 <= j; k += 4) {
                for (std::size_t m = 0; m < 4; ++m) s[m] += row[k + m] * other[k + m];
            }
            for (; k < j; ++k) s[0] += row[k] * other[k];
            const double sum = row[j] - ((s[0] + s[1]) + (s[2] + s[3]));
            row[j] = i == j ? std::sqrt((std::max)(sum + ridge, ridge)) : sum / other[j];
        }
    }
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t k = 0; k < i; ++k) b[i] -= h[in_triangle(i, k)] * b[k];
        b[i] /= h[in_triangle(i, i)];
    }
    for (std::size_t i = n; i-- > 0;) {
        b[i] /= h[in_triangle(i, i)];
        for (std::size_t k = 0; k < i; ++k) b[k] -= h[in_triangle(i, k)] * b[i];
    }
}

/// put(i, j, sum_r a[i][r] b[j][r]) for i < m, j < n, or with `lower` for j <= i only; rows of `height` numbers, a
/// multiple of the lanes. Blocks of 2 x 2, so that each number that is loaded is used twice.
template <class Isa, class Put>
void row_products(const double* a, std::size_t m, const double* b, std::size_t n, std::size_t height, bool lower,
                  Put&& put) noexcept {
    using V = simd::pack<double, Isa>;
    for (std::size_t i = 0; i < m; i += 2) {
        const bool pair = i + 1 < m;
        const double *const a0 = a + i * height, *const a1 = a + (pair ? i + 1 : i) * height;
        const std::size_t end = lower ? (std::min)(n, i + 2) : n;
        for (std::size_t j = 0; j < end; j += 2) {
            const bool wide = j + 1 < n;
            const double *const b0 = b + j * height, *const b1 = b + (wide ? j + 1 : j) * height;
            V s00(0.0), s01(0.0), s10(0.0), s11(0.0);
            for (std::size_t r = 0; r < height; r += V::lanes) {
                const V x0 = V::load(a0 + r), x1 = V::load(a1 + r), y0 = V::load(b0 + r), y1 = V::load(b1 + r);
                s00 = mul_add(x0, y0, s00);
                s01 = mul_add(x0, y1, s01);
                s10 = mul_add(x1, y0, s10);
                s11 = mul_add(x1, y1, s11);
            }
            put(i, j, reduce_add(s00));
            if (wide && (!lower || j + 1 <= i)) put(i, j + 1, reduce_add(s01));
            if (pair) put(i + 1, j, reduce_add(s10));
            if (pair && wide) put(i + 1, j + 1, reduce_add(s11));
        }
    }
}

/// Targets of a softmax fit: `own` for the class of the row, `other` for each other class.
struct class_targets {
    std::vector<double> own, other;

    /// 1 and 0, or smoothed: one row in N_y + 2 of a class counts as of another one, all others alike. For two classes
    /// these are Platt's targets.
    class_targets(const std::vector<double>& class_weight, bool smooth)
        : own(class_weight.size(), 1.0), other(class_weight.size(), 0.0) {
        if (!smooth || own.size() < 2) return;
        for (std::size_t k = 0; k < own.size(); ++k) {
            const double rest = 1.0 / (class_weight[k] + 2.0);
            own[k] = 1.0 - rest;
            other[k] = rest / static_cast<double>(own.size() - 1);
        }
    }
};

/// One pass at one theta: mean loss and its derivatives. Merges by addition.
struct class_newton_sums {
    double loss = 0.0;
    /// Mean over the rows of sum_k p_k (1 - p_k).
    double curvature = 0.0;
    std::vector<double> gradient;
    /// Lower triangle, row after row.
    std::vector<double> hessian;

    explicit class_newton_sums(std::size_t parameters)
        : gradient(parameters), hessian(parameters * (parameters + 1) / 2) {}
    void merge(const class_newton_sums& other) noexcept {
        loss += other.loss;
        curvature += other.curvature;
        for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] += other.gradient[i];
        for (std::size_t i = 0; i < hessian.size(); ++i) hessian[i] += other.hessian[i];
    }
};

/// Softmax of a tile of logits, class after class: logits become p, residual becomes w (p - target), and the loss and
/// the curvature of the rows are added.
template <class Isa>
void softmax_tile(const class_tile<Isa>& tile, const class_targets& targets, double* logits, double* residual,
                  class_newton_sums& sums) noexcept {
    using V = simd::pack<double, Isa>;
    const std::size_t height = tile.height(), classes = tile.classes();
    const double* const w = tile.weights();
    const std::size_t* const y = tile.labels();
    double own[64], other[64], logit[64];
    for (std::size_t r = 0; r < height; ++r) {
        own[r] = targets.own[y[r]];
        other[r] = targets.other[y[r]];
        logit[r] = logits[y[r] * height + r];
    }
    V losses(0.0), curvatures(0.0);
    for (std::size_t r = 0; r < height; r += V::lanes) {
        V most = V::load(logits + r), all(0.0);
        for (std::size_t k = 0; k < classes; ++k) {
            const V t = V::load(logits + k * height + r);
            most = maximum(most, t);
            all += t;
        }
        V sum(0.0), squares(0.0);
        for (std::size_t k = 0; k < classes; ++k) {
            const V e = exp_of_negative(V::load(logits + k * height + r) - most);
            sum += e;
            e.store(logits + k * height + r);
        }
        const V share = V(1.0) / sum, weight = V::load(w + r), rest = V::load(other + r);
        const V hit = V::load(own + r) - rest;
        // sum over the classes of target * (logit - most).
        const V linear = mul_add(rest, all - V(static_cast<double>(classes)) * most, hit * (V::load(logit + r) - most));
        losses = mul_add(weight, math::log(sum) - linear, losses);
        for (std::size_t k = 0; k < classes; ++k) {
            const V p = V::load(logits + k * height + r) * share;
            squares = mul_add(p, V(1.0) - p, squares);
            p.store(logits + k * height + r);
            (weight * (p - rest)).store(residual + k * height + r);
        }
        curvatures = mul_add(weight, squares, curvatures);
    }
    for (std::size_t r = 0; r < height; ++r) residual[y[r] * height + r] -= w[r] * (own[r] - other[r]);
    sums.loss += reduce_add(losses);
    sums.curvature += reduce_add(curvatures);
}

/// Where an iteration ended.
struct class_newton_result {
    std::vector<double> theta;
    bool converged = false;
};

/// Minimises a mean log-loss from `theta` on. pass(theta) makes one pass; reach(step) bounds how much a step changes
/// the difference of two logits of any row.
///
/// Every accepted step lowers the loss: a full Newton step of reach 1.5 or less always does, because the curvature
/// along it changes by a factor of at most e^reach (Bach 2010), and so does one at whose end the loss still falls.
/// Only otherwise are the losses compared, and the step is halved until it falls enough (Armijo, c = 1e-4).
template <class Pass, class Reach>
class_newton_result minimise_softmax_loss(std::vector<double> theta, const newton_limits& limits, Pass&& pass,
                                          Reach&& reach) {
    const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
        double sum = 0.0;
        for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
        return sum;
    };
    const std::size_t n = theta.size();
    std::vector<double> step(n), there(n);
    double loss = 0.0, descent = 0.0, largest = 0.0, t = 0.0;
    for (int count = 0; count < limits.max_passes; ++count) {
        for (std::size_t i = 0; i < n; ++i) there[i] = theta[i] + t * step[i];
        class_newton_sums sums = pass(there);
        if (t > 0.0 && t * largest > 1.5 && !(dot(sums.gradient, step) <= 0.0) &&
            !(sums.loss <= loss + 1e-4 * t * descent)) {
            t *= 0.5;
            if (t < 1e-10) return {theta, false};
            continue;
        }
        theta = there;
        loss = sums.loss;
        double ridge = 0.0;
        for (std::size_t i = 0; i < n; ++i) ridge = (std::max)(ridge, 1e-12 * sums.hessian[in_triangle(i, i)]);
        if (!(ridge > 0.0) || !std::isfinite(ridge)) return {theta, false};
        for (std::size_t i = 0; i < n; ++i) step[i] = -sums.gradient[i];
        solve_spd(sums.hessian, step, ridge);
        t = 1.0;
        descent = dot(sums.gradient, step);
        largest = reach(step);
        if (!std::isfinite(largest) || !std::isfinite(descent)) return {theta, false};
        const double mean_square = (std::max)(0.0, -descent / sums.curvature);
        constexpr double noise = 4.0 * std::numeric_limits<double>::epsilon();
        if (mean_square <= noise * noise || largest * std::sqrt(mean_square) <= limits.tolerance) {
            for (std::size_t i = 0; i < n; ++i) theta[i] += step[i];
            return {theta, true};
        }
    }
    return {theta, false};
}

/// Rows per part of a fold whose state holds so many numbers: large states come from few parts.
inline std::size_t rows_of_fold_part(std::size_t rows, std::size_t state_size) noexcept {
    return state_size < 20000 ? exec::default_part_size : (std::max)(exec::default_part_size, rows / 16 + 1);
}

/// 1 / x for columns that hold more than zeros, 0 for the others.
inline std::vector<double> column_scales(const std::vector<double>& largest) {
    std::vector<double> scale(largest.size(), 0.0);
    for (std::size_t k = 0; k < scale.size(); ++k) {
        if (largest[k] > 1e-30 && std::isfinite(largest[k])) scale[k] = 1.0 / largest[k];
    }
    return scale;
}

/// A fitted parameter, kept in the range that calibrators take.
inline double limited_parameter(double x) noexcept {
    return (std::max)(-largest_parameter, (std::min)(largest_parameter, x));
}

/// ln(N_k + 1) less their mean: intercepts that give each class about its share.
inline std::vector<double> prior_intercepts(const std::vector<double>& class_weight) {
    std::vector<double> b;
    double mean = 0.0;
    for (const double n : class_weight) {
        b.push_back(std::log(n + 1.0));
        mean += b.back() / static_cast<double>(class_weight.size());
    }
    for (double& x : b) x -= mean;
    return b;
}

}  // namespace reckon::detail
