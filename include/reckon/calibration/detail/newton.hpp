// Newton's method for log-loss: the sums of one pass as a mergeable state, and the steps between the passes.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/calibration/detail/rows.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon::detail {

/// Targets of a logistic fit as a function of the label: low + span * y.
struct label_targets {
    double low = 0.0;
    double span = 1.0;
};

/// Platt's targets, the labels' posterior means under a uniform prior: (N+ + 1)/(N+ + 2) and 1/(N- + 2).
inline label_targets smoothed_targets(double positive, double negative) noexcept {
    const double low = 1.0 / (negative + 2.0);
    return {low, (positive + 1.0) / (positive + 2.0) - low};
}

// Feature maps turn a score into the columns of a logistic regression. Each is scaled so that |column| <= 1 on the
// rows of the fit: then nothing overflows, and the sum of |step| bounds the change of any row's log-odds.

/// (f - centre) / range and the constant 1.
struct affine_features {
    static constexpr std::size_t varying = 1;
    static constexpr bool intercept = true;
    double scale = 0.0;
    double shift = 0.0;

    /// lowest, highest: range of the scores; centre: their mean. All equal scores give a column of zeros.
    static affine_features over(double lowest, double highest, double centre) noexcept {
        const double range = (std::max)(highest - centre, centre - lowest);
        const double scale = lowest < highest && range > 0.0 ? 1.0 / range : 0.0;
        return {scale, -centre * scale};
    }
    template <class V>
    RECKON_INLINE void operator()(V f, V (&x)[1]) const noexcept {
        using T = simd::lane_t<V>;
        using simd::mul_add;
        x[0] = mul_add(f, V(static_cast<T>(scale)), V(static_cast<T>(shift)));
    }
};

/// f / range alone.
struct linear_features {
    static constexpr std::size_t varying = 1;
    static constexpr bool intercept = false;
    double scale = 1.0;

    template <class V>
    RECKON_INLINE void operator()(V f, V (&x)[1]) const noexcept {
        x[0] = f * V(static_cast<simd::lane_t<V>>(scale));
    }
};

/// Both numbers of paired rows, each (value - centre) / range, and the constant 1.
struct pair_features {
    static constexpr std::size_t varying = 2;
    static constexpr bool intercept = true;
    affine_features first, second;

    template <class V>
    RECKON_INLINE void operator()(V f, V g, V (&x)[2]) const noexcept {
        using T = simd::lane_t<V>;
        using simd::mul_add;
        x[0] = mul_add(f, V(static_cast<T>(first.scale)), V(static_cast<T>(first.shift)));
        x[1] = mul_add(g, V(static_cast<T>(second.scale)), V(static_cast<T>(second.shift)));
    }
};

/// x = (f - centre) / range, its square and the constant 1. Scores outside the range count as its end.
struct quadratic_features {
    static constexpr std::size_t varying = 2;
    static constexpr bool intercept = true;
    affine_features line;

    template <class V>
    RECKON_INLINE void operator()(V f, V (&x)[2]) const noexcept {
        using T = simd::lane_t<V>;
        using simd::maximum;
        using simd::minimum;
        V at[1];
        line(f, at);
        x[0] = maximum(V(T(-1)), minimum(V(T(1)), at[0]));
        x[1] = x[0] * x[0];
    }
};

/// Columns of a feature map, the constant included.
template <class Features>
inline constexpr std::size_t column_count = Features::varying + (Features::intercept ? 1 : 0);

/// e^x for x <= 0, not below the smallest normal number: what a sigmoid needs of exp.
template <class V>
RECKON_INLINE V exp_of_negative(V x) noexcept {
    using T = simd::lane_t<V>;
    using C = math::detail::exp_constants<T>;
    using simd::maximum;
    using simd::mul_add;
    constexpr T lowest = std::is_same_v<T, float> ? T(-86) : T(-707);
    const V clamped = maximum(V(lowest), x);
    const V k = math::detail::nearest_product(clamped, V(T(1.44269504088896340736)));
    const V r = mul_add(k, V(-C::ln2_low), mul_add(k, V(-C::ln2_high), clamped));
    const V p = mul_add(r * r, C::poly(r), r) + V(T(1));
    return p * math::detail::pow2(k);
}

/// True for rows with a second number beside the score.
template <class Rows>
inline constexpr bool has_seconds = requires(const Rows& rows) {
    rows.seconds;
};

/// The second numbers of n <= lanes rows from `first` on, for paired rows; else what was given.
template <class Rows, class V>
RECKON_INLINE V second_of([[maybe_unused]] const Rows& rows, [[maybe_unused]] std::size_t first,
                          [[maybe_unused]] std::size_t n, V otherwise) noexcept {
    if constexpr (has_seconds<Rows>) {
        return n == V::lanes ? V::load(rows.seconds.data() + first)
                             : V::load_padded(rows.seconds.data() + first, n, typename V::value_type(0));
    } else {
        return otherwise;
    }
}

/// Parameters and targets of one pass.
template <class Features>
struct logistic_model {
    Features features;
    label_targets targets;
    std::array<double, column_count<Features>> theta{};

    /// theta . columns of f, or of f and g where the map takes paired rows.
    template <class V>
    RECKON_INLINE V log_odds(V f, [[maybe_unused]] V g, V (&x)[Features::varying]) const noexcept {
        using T = simd::lane_t<V>;
        using simd::mul_add;
        if constexpr (std::is_invocable_v<Features, V, V, V(&)[Features::varying]>) {
            features(f, g, x);
        } else {
            features(f, x);
        }
        V z = Features::intercept ? V(static_cast<T>(theta[column_count<Features> - 1])) : V(T(0));
        for (std::size_t j = 0; j < Features::varying; ++j) z = mul_add(V(static_cast<T>(theta[j])), x[j], z);
        return z;
    }
    template <class V>
    RECKON_INLINE V log_odds(V f, V (&x)[Features::varying]) const noexcept {
        return log_odds(f, f, x);
    }
};

/// Gradient and Hessian of the sum of w * cross-entropy(target, sigmoid(theta . x)) at one theta.
///
/// merge()   adds the sums; both sides belong to the same model.
/// Cost      one exponential and one division a row, about 0.8 ns in float with AVX2.
/// Numerics  lanes of the scores' type, moved to double every block_rows rows.
template <class Features, class Isa = isa::native>
struct newton_sums {
    static constexpr std::size_t columns = column_count<Features>;
    static constexpr std::size_t products = columns * (columns + 1) / 2;

    logistic_model<Features> model;
    std::array<double, columns> gradient{};
    /// Lower triangle, row after row.
    std::array<double, products> hessian{};

    template <class Rows>
    void absorb(const Rows& rows) noexcept {
        if (rows.weights.empty()) {
            absorb_blocks<false>(rows);
        } else {
            absorb_blocks<true>(rows);
        }
    }
    void merge(const newton_sums& other) noexcept {
        for (std::size_t i = 0; i < columns; ++i) gradient[i] += other.gradient[i];
        for (std::size_t i = 0; i < products; ++i) hessian[i] += other.hessian[i];
    }

  private:
    template <bool Weighted, class Rows>
    void absorb_blocks(const Rows& rows) noexcept {
        using T = typename Rows::score_type;
        using V = simd::pack<T, Isa>;
        const logistic_model<Features> m = model;  // a copy, so that the loop keeps it in registers
        const V low(static_cast<T>(m.targets.low)), span(static_cast<T>(m.targets.span));
        for (std::size_t first = 0; first < rows.size(); first += block_rows) {
            const std::size_t count = (std::min)(block_rows, rows.size() - first);
            V g[columns], h[products];
            for (V& sum : g) sum = V(T(0));
            for (V& sum : h) sum = V(T(0));
            for_each_pack<T, Isa, Weighted>(
                rows, first, count, T(0), [&](std::size_t offset, std::size_t n, V f, V y, V w) {
                    V x[Features::varying];
                    const V z = m.log_odds(f, second_of(rows, first + offset, n, f), x);
                    const V e = exp_of_negative(V(T(0)) - absolute(z));
                    const V larger = V(T(1)) / (V(T(1)) + e);  // sigmoid(|z|)
                    const V smaller = e * larger;              // 1 - sigmoid(|z|)
                    const V target = mul_add(span, y, low);
                    // sigmoid(z) - target without cancellation where the sigmoid is next to 1.
                    V residual = select(z < V(T(0)), smaller - target, (V(T(1)) - target) - smaller);
                    V curvature = smaller * larger;
                    if (Weighted || n < V::lanes) {
                        residual = residual * w;
                        curvature = curvature * w;
                    }
                    for (std::size_t i = 0, at = 0; i < columns; ++i) {
                        const bool varies = i < Features::varying;
                        g[i] = varies ? mul_add(residual, x[i], g[i]) : g[i] + residual;
                        const V row = varies ? curvature * x[i] : curvature;
                        for (std::size_t j = 0; j <= i; ++j, ++at) {
                            h[at] = j < Features::varying ? mul_add(row, x[j], h[at]) : h[at] + row;
                        }
                    }
                });
            for (std::size_t i = 0; i < columns; ++i) gradient[i] += static_cast<double>(reduce_add(g[i]));
            for (std::size_t i = 0; i < products; ++i) hessian[i] += static_cast<double>(reduce_add(h[i]));
        }
    }
};

/// Sum of w * cross-entropy(target, sigmoid(theta . x)), in double whatever the scores are.
template <class Features, class Isa = isa::native>
struct log_loss_sum {
    logistic_model<Features> model;
    double loss = 0.0;

    template <class Rows>
    void absorb(const Rows& rows) noexcept {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            double x[Features::varying], second = 0.0;
            if constexpr (has_seconds<Rows>) second = static_cast<double>(rows.seconds[i]);
            const double z = model.log_odds(rows.score(i), second, x);
            const double target = model.targets.low + model.targets.span * rows.label(i);
            loss += rows.weight(i) * (math::softplus(z) - target * z);
        }
    }
    void merge(const log_loss_sum& other) noexcept { loss += other.loss; }
};

/// Solves H x = b for a symmetric positive definite H given by its lower triangle (Cholesky). A pivot that rounding
/// took below `ridge` is raised to it, so a direction without curvature gets no step.
template <std::size_t K>
std::array<double, K> solve_spd(std::array<double, K*(K + 1) / 2> h, std::array<double, K> b, double ridge) noexcept {
    const auto at = [](std::size_t i, std::size_t j) { return i * (i + 1) / 2 + j; };
    for (std::size_t i = 0; i < K; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            double sum = h[at(i, j)];
            for (std::size_t k = 0; k < j; ++k) sum -= h[at(i, k)] * h[at(j, k)];
            h[at(i, j)] = i == j ? std::sqrt((std::max)(sum + ridge, ridge)) : sum / h[at(j, j)];
        }
    }
    for (std::size_t i = 0; i < K; ++i) {
        for (std::size_t k = 0; k < i; ++k) b[i] -= h[at(i, k)] * b[k];
        b[i] /= h[at(i, i)];
    }
    for (std::size_t i = K; i-- > 0;) {
        for (std::size_t k = i + 1; k < K; ++k) b[i] -= h[at(k, i)] * b[k];
        b[i] /= h[at(i, i)];
    }
    return b;
}

/// The same for directions that may be useless: an unknown whose pivot is at most `rank` of its diagonal element, so
/// that the earlier ones explain it, is 0. `dropped` tells whether that happened to a diagonal element above 0.
template <std::size_t K>
std::array<double, K> solve_independent(std::array<double, K*(K + 1) / 2> h, std::array<double, K> b, double rank,
                                        bool& dropped) noexcept {
    const auto at = [](std::size_t i, std::size_t j) { return i * (i + 1) / 2 + j; };
    dropped = false;
    for (std::size_t i = 0; i < K; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            double sum = h[at(i, j)];
            for (std::size_t k = 0; k < j; ++k) sum -= h[at(i, k)] * h[at(j, k)];
            if (i != j) {
                h[at(i, j)] = sum / h[at(j, j)];
            } else if (sum > rank * h[at(i, i)]) {
                h[at(i, i)] = std::sqrt(sum);
            } else {
                dropped = dropped || h[at(i, i)] > 0.0;
                h[at(i, i)] = std::numeric_limits<double>::infinity();  // what is divided by it is 0
            }
        }
    }
    for (std::size_t i = 0; i < K; ++i) {
        for (std::size_t k = 0; k < i; ++k) b[i] -= h[at(i, k)] * b[k];
        b[i] /= h[at(i, i)];
    }
    for (std::size_t i = K; i-- > 0;) {
        for (std::size_t k = i + 1; k < K; ++k) b[i] -= h[at(k, i)] * b[k];
        b[i] /= h[at(i, i)];
    }
    return b;
}

/// All of theta is free.
struct all_directions {
    static constexpr bool restricted = false;
};

/// theta moves along these vectors only; a vector of zeros stands for none. The first ones go before the later ones when
/// they say the same.
template <std::size_t K>
struct free_directions {
    static constexpr bool restricted = true;
    std::array<std::array<double, K>, K> along{};

    /// Newton's step for the given sums.
    template <class Sums>
    std::array<double, K> step(const Sums& sums, double rank, bool& dropped) const noexcept {
        const auto element = [&](std::size_t i, std::size_t j) {
            return i < j ? sums.hessian[j * (j + 1) / 2 + i] : sums.hessian[i * (i + 1) / 2 + j];
        };
        std::array<double, K*(K + 1) / 2> hessian{};
        std::array<double, K> downhill{}, to{};
        for (std::size_t i = 0, at = 0; i < K; ++i) {
            for (std::size_t k = 0; k < K; ++k) downhill[i] -= along[i][k] * sums.gradient[k];
            for (std::size_t j = 0; j <= i; ++j, ++at) {
                for (std::size_t k = 0; k < K; ++k) {
                    for (std::size_t l = 0; l < K; ++l) hessian[at] += along[i][k] * element(k, l) * along[j][l];
                }
            }
        }
        const auto amounts = solve_independent<K>(hessian, downhill, rank, dropped);
        for (std::size_t i = 0; i < K; ++i) {
            for (std::size_t k = 0; k < K; ++k) to[k] += amounts[i] * along[i][k];
        }
        return to;
    }
};

/// When the iteration ends.
struct newton_limits {
    /// Largest root mean square change of a row's log-odds that the next step could still bring.
    double tolerance = 1e-9;
    int max_passes = 100;
};

/// Where an iteration ended.
template <std::size_t K>
struct newton_result {
    std::array<double, K> theta{};
    bool converged = false;
    /// One step before theta.
    std::array<double, K> gradient{};
    /// The first step, and the last one, left out a direction that the others explain; of restricted directions only.
    bool dependent = false;
    bool dropped = false;
};

/// Minimises the log-loss over theta from model.theta on.
///
/// Every accepted step lowers the loss. Usually the sums at the new point show it: the loss is convex, so it fell if it
/// still falls there along the step, and a full Newton step that moves no row's log-odds by more than 1.5 always lowers
/// it, because the curvature of a logistic loss changes by a factor of at most e^d when log-odds move by d (Bach 2010).
/// Only otherwise is the loss itself evaluated, and the step halved until it falls enough (Armijo, c = 1e-4).
///
/// The step after one of size d (largest change of log-odds) and r (root mean square change, weighted by the curvature)
/// is below d * r for small d; this is what the tolerance is compared with, so no pass is spent on confirming the end.
template <class Isa, exec::policy Policy, class Features, class Rows, class Directions = all_directions>
newton_result<column_count<Features>> minimise_log_loss(const Policy& where, const Rows& rows,
                                                        const logistic_model<Features>& model,
                                                        const newton_limits& limits,
                                                        [[maybe_unused]] const Directions& directions = {}) {
    static_assert(Features::intercept);
    using T = typename Rows::score_type;
    constexpr std::size_t K = column_count<Features>;
    using parameters = std::array<double, K>;
    const auto moved = [](const parameters& from, const parameters& step, double t) {
        parameters to;
        // Rounded to the lanes' type, so that the sums are those of exactly this point. Volatile, because g++ 12 drops
        // the way to float and back when it vectorises the loop, and does so under one policy and not under another.
        for (std::size_t i = 0; i < K; ++i) {
            const volatile T rounded = static_cast<T>(from[i] + t * step[i]);
            to[i] = static_cast<double>(rounded);
        }
        return to;
    };
    const auto dot = [](const parameters& a, const parameters& b) {
        double sum = 0.0;
        for (std::size_t i = 0; i < K; ++i) sum += a[i] * b[i];
        return sum;
    };
    const auto loss_at = [&](const parameters& theta) {
        log_loss_sum<Features, Isa> sum{model};
        sum.model.theta = theta;
        return exec::fold_parts(where, sum, rows).loss;
    };

    parameters here = moved(model.theta, {}, 0.0), step{};
    double descent = 0.0, largest = 0.0, t = 0.0, loss = 0.0;
    bool has_loss = false;
    newton_result<K> last;
    const auto stopped = [&](const parameters& at, bool converged) {
        last.theta = at;
        last.converged = converged;
        return last;
    };
    for (int pass = 0; pass < limits.max_passes; ++pass) {
        newton_sums<Features, Isa> sums{model};
        sums.model.theta = t > 0.0 ? moved(here, step, t) : here;
        sums = exec::fold_parts(where, sums, rows);
        if (t > 0.0 && largest > 1.5 && !(dot(sums.gradient, step) <= 0.0)) {
            if (!has_loss) loss = loss_at(here);
            const double there = loss_at(sums.model.theta);
            if (!(there <= loss + 1e-4 * t * descent)) {
                t *= 0.5;
                largest *= 0.5;
                if (t < 1e-10) return stopped(here, false);
                has_loss = true;
                continue;
            }
        }
        has_loss = false;
        here = sums.model.theta;
        double ridge = 0.0;
        for (std::size_t i = 0; i < K; ++i) ridge = (std::max)(ridge, 1e-12 * sums.hessian[i * (i + 3) / 2]);
        last.gradient = sums.gradient;
        if (!(ridge > 0.0)) return stopped(here, false);
        if constexpr (Directions::restricted) {
            // Sums of float lanes cannot tell less from nothing.
            constexpr double rank = (std::max)(1e-12, 16.0 * static_cast<double>(std::numeric_limits<T>::epsilon()));
            step = directions.step(sums, rank, last.dropped);
            if (pass == 0) last.dependent = last.dropped;
        } else {
            parameters downhill = sums.gradient;
            for (double& g : downhill) g = -g;
            step = solve_spd<K>(sums.hessian, downhill, ridge);
        }
        t = 1.0;
        descent = dot(sums.gradient, step);
        largest = 0.0;
        for (const double s : step) largest += std::fabs(s);
        if (!std::isfinite(largest)) return stopped(here, false);
        const double mean_square = (std::max)(0.0, -descent / sums.hessian.back());
        // Below a few roundings of the lanes' type the sums say nothing more.
        constexpr double noise = 4.0 * static_cast<double>(std::numeric_limits<T>::epsilon());
        if (mean_square <= noise * noise || largest * std::sqrt(mean_square) <= limits.tolerance) {
            for (std::size_t i = 0; i < K; ++i) here[i] += step[i];
            return stopped(here, true);
        }
    }
    return stopped(here, false);
}

/// A sixteenth of the rows, in blocks spread evenly: enough for a start from which a fit of all rows needs two or three
/// passes less. Empty when there are too few rows for that to pay.
template <class T, class Y, class W>
class row_sample {
  public:
    explicit row_sample(const paired<T, Y, W>& rows) : row_sample(static_cast<const scored<T, Y, W>&>(rows)) {
        seconds_.reserve(scores_.size());
        for (std::size_t first = 0; seconds_.size() < scores_.size(); first += 16 * block_rows) {
            append(seconds_, rows.seconds, first);
        }
    }
    explicit row_sample(const scored<T, Y, W>& rows) {
        constexpr std::size_t stride = 16 * block_rows;
        if (rows.size() < 2 * stride) return;
        const std::size_t kept = rows.size() / stride * block_rows;
        scores_.reserve(kept);
        labels_.reserve(kept);
        if (!rows.weights.empty()) weights_.reserve(kept);
        for (std::size_t first = 0; first + stride <= rows.size(); first += stride) {
            append(scores_, rows.scores, first);
            append(labels_, rows.labels, first);
            if (!rows.weights.empty()) append(weights_, rows.weights, first);
        }
    }
    scored<T, Y, W> rows() const noexcept {
        return {{scores_.data(), scores_.size()}, {labels_.data(), labels_.size()}, {weights_.data(), weights_.size()}};
    }

    paired<T, Y, W> paired_rows() const noexcept { return {rows(), {seconds_.data(), seconds_.size()}}; }

  private:
    template <class U>
    static void append(std::vector<U>& to, vector_view<const U> from, std::size_t first) {
        to.insert(to.end(), from.data() + first, from.data() + first + block_rows);
    }
    std::vector<T> scores_, seconds_;
    std::vector<Y> labels_;
    std::vector<W> weights_;
};

}  // namespace reckon::detail
