// Calibration slope and intercept: the logistic regression of the label on the log-odds of the prediction.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/examples.hpp"

namespace reckon {

struct calibration_slope_options {
    /// Predictions are clipped to [epsilon, 1 - epsilon] before the logit; in [1e-16, 0.1].
    double epsilon = 1e-7;
    /// Newton steps; at least 1.
    int max_iterations = 100;
};

/// What calibration_slope() returns: P(y = 1) = sigmoid(intercept + slope * logit p), with standard errors.
///
/// A calibrated model has intercept 0 and slope 1; a slope below 1 means predictions that are too extreme. The four
/// numbers are NaN and converged is false where no finite maximum of the likelihood exists or is unique: no data,
/// labels of one class, one distinct score, or separable labels.
struct calibration_line {
    double intercept = detail::not_a_number;
    double slope = detail::not_a_number;
    double intercept_error = detail::not_a_number;
    double slope_error = detail::not_a_number;
    int iterations = 0;
    bool converged = false;
    /// Examples taken, and examples refused for a score, label or weight out of range.
    counts seen;
};

namespace detail {

// Loss, gradient and Hessian of the logistic regression at (intercept, slope). Rows whose score is NaN are left out.
template <class Isa>
struct slope_sums {
    double intercept = 0.0;
    double slope = 1.0;
    compensated_sum loss, g0, g1, h00, h01, h11;

    template <class Y, class W>
    void absorb(const scored<double, Y, W>& batch) noexcept {
        using V = simd::pack<double, Isa>;
        constexpr std::size_t block = 256;
        static_assert(block % V::lanes == 0);
        double scores[block], labels[block], weights[block];
        const V b(intercept), a(slope);
        for (std::size_t first = 0; first < batch.size(); first += block) {
            const std::size_t count = batch.size() - first < block ? batch.size() - first : block;
            for (std::size_t i = 0; i < count; ++i) {
                const bool used = batch.scores[first + i] == batch.scores[first + i];
                scores[i] = used ? batch.scores[first + i] : 0.0;
                labels[i] = used ? batch.label(first + i) : 0.0;
                weights[i] = used ? batch.weight(first + i) : 0.0;
            }
            for (std::size_t i = count; i % V::lanes != 0; ++i) scores[i] = labels[i] = weights[i] = 0.0;
            V sums[6];
            for (V& sum : sums) sum = V(0.0);
            for (std::size_t i = 0; i < count; i += V::lanes) {
                const V z = V::load(scores + i), y = V::load(labels + i), w = V::load(weights + i);
                const V t = mul_add(a, z, b);
                const V s = math::sigmoid(t);
                const V miss = w * (s - y);
                const V curve = w * (s * math::sigmoid(V(0.0) - t));
                sums[0] = mul_add(w, math::softplus(t) - y * t, sums[0]);
                sums[1] += miss;
                sums[2] = mul_add(miss, z, sums[2]);
                sums[3] += curve;
                sums[4] = mul_add(curve, z, sums[4]);
                sums[5] = mul_add(curve * z, z, sums[5]);
            }
            compensated_sum* const to[] = {&loss, &g0, &g1, &h00, &h01, &h11};
            for (std::size_t k = 0; k < 6; ++k) to[k]->absorb(reduce_add(sums[k]));
        }
    }
    void merge(const slope_sums& other) noexcept {
        loss.merge(other.loss);
        g0.merge(other.g0);
        g1.merge(other.g1);
        h00.merge(other.h00);
        h01.merge(other.h01);
        h11.merge(other.h11);
    }
};

}  // namespace detail

/// Calibration slope and intercept by maximum likelihood (Newton's method with step halving).
///
/// Shapes    scores, labels [N]; weights [N] or empty for ones.
/// Returns   calibration_line. Weights count as repeated examples in the standard errors.
/// Throws    std::invalid_argument on lengths that differ or an option out of range. Bad values are counted and
///           skipped.
/// Cost      about 6 passes of three exponentials per example in SIMD lanes; 8 bytes of scratch per example.
/// Numerics  double; sums of 256 rows are plain, sums of these compensated. Stops when a step is below 1e-9 of the parameters, which squares in the last
///           one.
/// Source    Cox 1958; Miller, Hui and Tierney 1991.
template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
calibration_line calibration_slope(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                                   const calibration_slope_options& options = {}) {
    const double epsilon = options.epsilon;
    expects(epsilon >= 1e-16 && epsilon <= 0.1, "calibration_slope", "epsilon must be in [1e-16, 0.1], got ", epsilon);
    expects(options.max_iterations >= 1, "calibration_slope", "max_iterations must be positive, got ",
            options.max_iterations);
    const auto batch = make_scored("calibration_slope", scores, labels, weights);

    // The log-odds are needed in every pass; NaN marks what is skipped.
    std::vector<double> logits(batch.size());
    exec::map_parts(where, batch.size(), [&](std::size_t first, std::size_t count) {
        for (std::size_t i = first; i < first + count; ++i) {
            const double p = batch.score(i);
            const double clipped = p < epsilon ? epsilon : (p > 1.0 - epsilon ? 1.0 - epsilon : p);
            const bool ok = detail::usable_example(p, batch.label(i), batch.weight(i));
            logits[i] = ok ? math::logit(clipped) : detail::not_a_number;
        }
    });
    calibration_line line;
    compensated_sum weight;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const bool ok = logits[i] == logits[i];
        line.seen.absorb(ok);
        if (ok) weight.absorb(batch.weight(i));
    }

    const scored<double, typename decltype(batch.labels)::value_type, typename decltype(batch.weights)::value_type>
        rows{input(logits), batch.labels, batch.weights};
    const auto sums_at = [&](double intercept, double slope) {
        detail::slope_sums<Isa> identity;
        identity.intercept = intercept;
        identity.slope = slope;
        return exec::fold_parts(where, identity, rows);
    };
    auto now = sums_at(0.0, 1.0);
    while (line.iterations < options.max_iterations) {
        ++line.iterations;
        const double h00 = now.h00.value(), h01 = now.h01.value(), h11 = now.h11.value();
        const double determinant = h00 * h11 - h01 * h01;
        // Flat, on the way to infinity because labels are separable or all the same; or singular, for one score.
        if (!(h00 > 1e-12 * weight.value()) || !(determinant > 1e-13 * h00 * h11)) return line;
        const double g0 = now.g0.value(), g1 = now.g1.value();
        double step0 = (h11 * g0 - h01 * g1) / determinant;
        double step1 = (h00 * g1 - h01 * g0) / determinant;
        auto next = sums_at(now.intercept - step0, now.slope - step1);
        for (int halvings = 0; halvings < 60 && !(next.loss.value() <= now.loss.value() * (1.0 + 1e-12)); ++halvings) {
            step0 *= 0.5;
            step1 *= 0.5;
            next = sums_at(now.intercept - step0, now.slope - step1);
        }
        now = next;
        const double size = 1.0 + std::fabs(now.intercept) + std::fabs(now.slope);
        if (std::fabs(step0) + std::fabs(step1) <= 1e-9 * size) {
            line.converged = true;
            line.intercept = now.intercept;
            line.slope = now.slope;
            const double area = now.h00.value() * now.h11.value() - now.h01.value() * now.h01.value();
            line.intercept_error = std::sqrt(now.h11.value() / area);
            line.slope_error = std::sqrt(now.h00.value() / area);
            break;
        }
    }
    return line;
}

}  // namespace reckon
