// The fit of a natural cubic spline in log-odds: knots at quantiles, columns of a logistic regression, penalised Newton.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/knots.hpp"
#include "reckon/calibration/detail/newton.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon::detail {

/// The rows that a fit in log-odds uses, in double: those of positive weight, with their sums and the range of scores.
///
/// Counts and skips what usable() refuses, and scores beyond float.
class logit_columns {
  public:
    template <class Isa, class P, class Y, class W>
    logit_columns(Isa, const scored<P, Y, W>& batch, score_kind kind) {
        const std::size_t n = batch.size();
        scores_.reserve(n);
        labels_.reserve(n);
        if (!batch.weights.empty()) weights_.reserve(n);
        for (std::size_t i = 0; i < n; ++i) {
            const bool ok = usable(batch, i, kind) && is_knot_score(batch.score(i));
            seen.absorb(ok);
            if (!ok || !(batch.weight(i) > 0.0)) continue;
            scores_.push_back(batch.score(i));
            labels_.push_back(batch.label(i));
            if (!batch.weights.empty()) weights_.push_back(batch.weight(i));
        }
        if (kind == score_kind::probability) {
            simd::transform<Isa>(scores_.data(), scores_.data(), scores_.size(), 0.0,
                                 [](auto p) { return clipped_logit(p); });
        }
        for (std::size_t i = 0; i < scores_.size(); ++i) {
            const double w = weights_.empty() ? 1.0 : weights_[i];
            weight += w;
            positive += w * labels_[i];
            score_sum += w * scores_[i];
            lowest = (std::min)(lowest, scores_[i]);
            highest = (std::max)(highest, scores_[i]);
        }
    }

    scored<double, double, double> rows() const noexcept {
        return {{scores_.data(), scores_.size()}, {labels_.data(), labels_.size()}, {weights_.data(), weights_.size()}};
    }

    double weight = 0.0;
    double positive = 0.0;
    double score_sum = 0.0;
    double lowest = std::numeric_limits<double>::infinity();
    double highest = -std::numeric_limits<double>::infinity();
    counts seen;

  private:
    std::vector<double> scores_, labels_, weights_;
};

/// The values at given ranks (ascending, below the size) of a column without NaN, as if it were sorted.
///
/// Cost      two passes on one thread: the first counts by the leading bits, the second collects what shares them with a rank wanted.
inline std::vector<double> values_at_ranks(vector_view<const double> values, const std::vector<std::size_t>& ranks) {
    constexpr std::size_t classes = std::size_t{1} << 16;
    std::vector<double> found;
    if (values.size() < classes) {  // the tables would cost more than the rows
        std::vector<double> copy(values.begin(), values.end());
        for (auto from = copy.begin(); const std::size_t rank : ranks) {
            const auto place = copy.begin() + static_cast<std::ptrdiff_t>(rank);
            std::nth_element(from, place, copy.end());
            found.push_back(*place);
            from = place;
        }
        return found;
    }
    const auto leading = [](double x) { return static_cast<std::size_t>(ordered_bits(x) >> 48); };
    std::vector<std::size_t> first_rank(classes + 1, 0);
    for (const double x : values) ++first_rank[leading(x) + 1];
    for (std::size_t c = 0; c < classes; ++c) first_rank[c + 1] += first_rank[c];
    std::vector<std::uint32_t> group(classes, 0);  // 1 + place of a class among those that hold a wanted rank, or 0
    std::vector<std::vector<double>> members;
    std::vector<std::size_t> class_of;
    for (std::size_t c = 0; const std::size_t rank : ranks) {
        while (first_rank[c + 1] <= rank) ++c;
        class_of.push_back(c);
        if (group[c] > 0) continue;
        members.emplace_back();
        members.back().reserve(first_rank[c + 1] - first_rank[c]);
        group[c] = static_cast<std::uint32_t>(members.size());
    }
    for (const double x : values) {
        const std::uint32_t g = group[leading(x)];
        if (g > 0) members[g - 1].push_back(x);
    }
    for (std::size_t i = 0; i < ranks.size(); ++i) {
        auto& inside = members[group[class_of[i]] - 1];
        const auto place = inside.begin() + static_cast<std::ptrdiff_t>(ranks[i] - first_rank[class_of[i]]);
        std::nth_element(inside.begin(), place, inside.end());
        found.push_back(*place);
    }
    return found;
}

/// Columns of a natural cubic spline with Varying + 1 knots: the straight line, and for each inner knot the function
/// whose second derivative is a hat, 1 at that knot and 0 at the others. Its coefficient is the spline's second
/// derivative there. Each column is an integral of an integral over the intervals, so nothing cancels: it is 0 up to the
/// knot before, cubic over two intervals and a straight line after them.
///
/// Fewer knots leave the last columns 0.
template <std::size_t Varying>
struct spline_features {
    static constexpr std::size_t varying = Varying;
    static constexpr bool intercept = true;

    affine_features line;
    struct interval {
        double start = 0.0, end = 0.0, per_width = 0.0;
        double up_cube = 0.0, up_beyond = 0.0;                         // for the hat that rises here
        double down_square = 0.0, down_cube = 0.0, down_beyond = 0.0;  // for the one that falls here
    };
    std::array<interval, Varying> intervals{};
    std::array<double, Varying> scale{};  // of column i, 1 / its largest value on the rows; [0] is unused
    std::size_t knots = 0;

    /// knots: two or more, rising. length: the unit in which second derivatives count.
    static spline_features over(const std::vector<double>& at, const affine_features& line, double length,
                                double highest) {
        spline_features f;
        f.line = line;
        f.knots = at.size();
        f.scale.fill(1.0);
        f.set_intervals(at, length);
        double x[Varying];
        f(highest, x);
        for (std::size_t i = 1; i < Varying; ++i) f.scale[i] = x[i] > 0.0 ? 1.0 / x[i] : 0.0;
        f.set_intervals(at, length);
        return f;
    }

    template <class V>
    RECKON_INLINE void operator()(V f, V (&x)[Varying]) const noexcept {
        using T = simd::lane_t<V>;
        using simd::maximum;
        using simd::minimum;
        using simd::mul_add;
        const auto number = [](double c) { return V(static_cast<T>(c)); };
        x[0] = mul_add(f, number(line.scale), number(line.shift));
        for (std::size_t i = 0; i < Varying; ++i) {
            const interval& at = intervals[i];
            const V u = maximum(V(T(0)), minimum(V(T(1)), (f - number(at.start)) * number(at.per_width)));
            const V beyond = maximum(V(T(0)), (f - number(at.end)) * number(at.per_width));
            const V square = u * u;
            if (i > 0) {
                const V fall = mul_add(u, number(at.down_cube), number(at.down_square));
                x[i] += mul_add(square, fall, beyond * number(at.down_beyond));
            }
            if (i + 1 < Varying) x[i + 1] = mul_add(square * u, number(at.up_cube), beyond * number(at.up_beyond));
        }
    }

  private:
    void set_intervals(const std::vector<double>& at, double length) noexcept {
        for (std::size_t i = 0; i + 1 < at.size(); ++i) {
            const double width = at[i + 1] - at[i], square = (width / length) * (width / length);
            interval& here = intervals[i];
            here = {};
            here.start = at[i];
            here.end = at[i + 1];
            here.per_width = 1.0 / width;
            if (i + 2 < at.size()) {
                here.up_cube = scale[i + 1] * square / 6.0;
                here.up_beyond = scale[i + 1] * square / 2.0;
            }
            if (i > 0) {
                here.down_square = scale[i] * square / 2.0;
                here.down_cube = -scale[i] * square / 6.0;
                here.down_beyond = scale[i] * square / 2.0;
            }
        }
    }
};

/// Coefficients of the quadratic penalty ridge/2 * integral of the squared second derivative, as a lower triangle over
/// the columns; 1 on the diagonal of columns that are not used.
template <std::size_t Varying>
auto roughness(const spline_features<Varying>& features, const std::vector<double>& at, double length, double ridge) {
    constexpr std::size_t columns = Varying + 1;
    std::array<double, columns*(columns + 1) / 2> penalty{};
    const std::size_t inner = at.size() - 2;
    for (std::size_t i = 1; i < Varying; ++i) {
        if (i > inner || !(features.scale[i] > 0.0)) {
            penalty[i * (i + 3) / 2] = 1.0;
            continue;
        }
        const double s = ridge * features.scale[i];
        penalty[i * (i + 3) / 2] = s * features.scale[i] * (at[i + 1] - at[i - 1]) / (3.0 * length);
        if (i > 1) penalty[i * (i + 1) / 2 + i - 1] = s * features.scale[i - 1] * (at[i] - at[i - 1]) / (6.0 * length);
    }
    return penalty;
}

/// Columns at points that tell how far a change of the spline moves log-odds: the ends of the scores, and eight places in
/// each interval.
template <std::size_t Varying>
std::vector<std::array<double, Varying + 1>> probe_columns(const spline_features<Varying>& features,
                                                           const std::vector<double>& at, double lowest,
                                                           double highest) {
    std::vector<double> places{lowest, highest};
    for (std::size_t i = 0; i + 1 < at.size(); ++i) {
        for (int k = 0; k <= 8; ++k) places.push_back(at[i] + 0.125 * k * (at[i + 1] - at[i]));
    }
    std::vector<std::array<double, Varying + 1>> columns;
    for (const double place : places) {
        double x[Varying];
        features(place, x);
        columns.emplace_back();
        std::copy(x, x + Varying, columns.back().begin());
        columns.back()[Varying] = 1.0;
    }
    return columns;
}

/// Minimises the log-loss plus theta' penalty theta / 2 from model.theta on.
///
/// A full Newton step that moves no log-odds by more than 1.79 lowers the penalised loss, as in minimise_log_loss, and so
/// does one at whose end the loss still falls along it; others are halved until one of both holds. The columns are
/// nearly collinear, so the move is measured at the probes and not by the size of the coefficients; 1.5 there leaves
/// room for what a cubic does between them.
template <class Isa, exec::policy Policy, std::size_t Varying, class T, class Y, class W>
auto minimise_penalised(const Policy& where, const scored<T, Y, W>& rows,
                        const logistic_model<spline_features<Varying>>& model,
                        const std::array<double, (Varying + 1) * (Varying + 2) / 2>& penalty,
                        const std::vector<std::array<double, Varying + 1>>& probes, const newton_limits& limits) {
    constexpr std::size_t K = Varying + 1;
    using parameters = std::array<double, K>;
    parameters here = model.theta, step{};
    double largest = 0.0, t = 0.0;
    for (int pass = 0; pass < limits.max_passes; ++pass) {
        newton_sums<spline_features<Varying>, Isa> sums{model};
        for (std::size_t i = 0; i < K; ++i) sums.model.theta[i] = here[i] + t * step[i];
        sums = exec::fold_parts(where, sums, rows);
        const parameters& theta = sums.model.theta;
        for (std::size_t i = 0, at = 0; i < K; ++i) {
            for (std::size_t j = 0; j <= i; ++j, ++at) {
                sums.gradient[i] += penalty[at] * theta[j];
                if (j < i) sums.gradient[j] += penalty[at] * theta[i];
            }
        }
        double along = 0.0;
        for (std::size_t i = 0; i < K; ++i) along += sums.gradient[i] * step[i];
        if (largest > 1.5 && !(along <= 0.0)) {
            t *= 0.5;
            largest *= 0.5;
            continue;
        }
        here = theta;
        double ridge = 0.0;
        const double weight = sums.hessian.back();  // sum of w p (1 - p)
        for (std::size_t i = 0; i < K; ++i) ridge = (std::max)(ridge, 1e-14 * sums.hessian[i * (i + 3) / 2]);
        for (std::size_t at = 0; at < penalty.size(); ++at) sums.hessian[at] += penalty[at];
        if (!(ridge > 0.0)) return here;
        parameters downhill = sums.gradient;
        for (double& g : downhill) g = -g;
        step = solve_spd<K>(sums.hessian, downhill, ridge);
        t = 1.0;
        largest = 0.0;
        double descent = 0.0;
        bool finite = true;
        for (std::size_t i = 0; i < K; ++i) {
            finite = finite && std::isfinite(step[i]);
            descent -= sums.gradient[i] * step[i];
        }
        if (!finite) return here;
        for (const auto& columns : probes) {
            double moved = 0.0;
            for (std::size_t i = 0; i < K; ++i) moved += step[i] * columns[i];
            largest = (std::max)(largest, std::fabs(moved));
        }
        const double mean_square = (std::max)(0.0, descent / weight);
        constexpr double noise = 4.0 * std::numeric_limits<double>::epsilon();
        if (mean_square <= noise * noise || largest * std::sqrt(mean_square) <= limits.tolerance) {
            for (std::size_t i = 0; i < K; ++i) here[i] += step[i];
            return here;
        }
    }
    return here;
}

}  // namespace reckon::detail
