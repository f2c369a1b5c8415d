// Temperature scaling of multiclass scores.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "reckon/calibration/detail/bracketed_newton.hpp"
#include "reckon/calibration/detail/class_rows.hpp"
#include "reckon/calibration/multiclass.hpp"

namespace reckon {

/// How multiclass_temperature::fit works.
struct multiclass_temperature_options {
    /// What the scores are.
    score_kind input = score_kind::probability;
    /// > 0. Ends the iteration when the next step would change beta by less than this part of it.
    double tolerance = 1e-9;
    /// >= 1. Passes over the data.
    int max_passes = 100;
};

namespace detail {

/// First and second derivative of the sum of w [ lse(theta u) - theta u_y ], u = z / range.
template <class Isa>
struct temperature_sums {
    double theta = 1.0;
    double range = 1.0;
    double total = 1.0;
    double slope = 0.0;
    double curvature = 0.0;

    template <class T, class Y, class W>
    void absorb(const classified<T, Y, W>& rows) {
        using V = simd::pack<double, Isa>;
        class_tile<Isa> tile(rows.classes(), 2048);
        const std::vector<double> scale(rows.classes(), 1.0 / range);
        const V factor(theta);
        V slopes(0.0), curvatures(0.0);
        std::vector<double> own(tile.height());
        for (std::size_t first = 0; first < rows.size(); first += tile.height()) {
            tile.take(rows, first, scale.data(), total);
            for (std::size_t r = 0; r < tile.height(); ++r) own[r] = tile.own(r);
            for (std::size_t r = 0; r < tile.height(); r += V::lanes) {
                V most = V::load(tile.score(0) + r);
                for (std::size_t k = 1; k < tile.classes(); ++k) most = maximum(most, V::load(tile.score(k) + r));
                // Relative to the largest score: it has the largest share, so the variance hardly cancels.
                V sum(0.0), mean(0.0), square(0.0);
                for (std::size_t k = 0; k < tile.classes(); ++k) {
                    const V d = V::load(tile.score(k) + r) - most;
                    const V e = exp_of_negative(factor * d);
                    sum += e;
                    mean = mul_add(e, d, mean);
                    square = mul_add(e * d, d, square);
                }
                const V share = V(1.0) / sum, w = V::load(tile.weights() + r);
                mean = mean * share;
                slopes = mul_add(w, mean - (V::load(own.data() + r) - most), slopes);
                curvatures = mul_add(w, mul_add(square, share, -(mean * mean)), curvatures);
            }
        }
        slope += reduce_add(slopes);
        curvature += reduce_add(curvatures);
    }
    void merge(const temperature_sums& other) noexcept {
        slope += other.slope;
        curvature += other.curvature;
    }
};

}  // namespace detail

/// Temperature scaling of K classes: p' = softmax(beta * z) with beta = 1/T > 0, z any real scores or the logarithms of
/// probabilities.
///
///   fit minimises  sum_i w_i [ ln sum_k e^(beta z_ik) - beta z_i,y_i ]        over beta in [1e-3, 1e3]
///
/// Shapes    scores [N, K], labels [N] in 0 .. K - 1, weights [N] or empty for ones.
/// Fit       Newton's method inside a bracket, from beta = 1; from the fit of every sixteenth row when there are 8192
///           or more. An optimum outside the range gives the end of the range: 1e3 when the largest score always
///           names the class, 1e-3 when the scores rank against the labels. K = 1, or all scores of each row equal:
///           beta = 1. For K = 2 it is the temperature of z_1 - z_0. A class without rows needs no care: no parameter
///           belongs to it.
/// Throws    fit: std::invalid_argument when columns differ in length or an option is out of range; counts and skips
///           bad rows. apply: std::invalid_argument when sizes differ; a NaN makes its row NaN.
/// Cost      fit: one pass to check the rows and three to five Newton passes, one exponential a score each; N K
///           scores of scratch for probabilities. apply: one exponential a score, and a logarithm for probabilities.
/// Numerics  sums in double lanes. Scores are taken relative to the largest of the row, so none overflows; the class of
///           the largest score keeps the largest probability, and scores closer than the rounding of e^x become ties.
/// Source    Guo, Pleiss, Sun and Weinberger 2017; range and bracket ours.
class multiclass_temperature {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("MTEM");
    static constexpr std::uint32_t bytes_version = 1;
    static constexpr double lowest_beta = 1e-3;
    static constexpr double highest_beta = 1e3;

    /// The identity of one class.
    multiclass_temperature() noexcept = default;
    /// Throws    std::invalid_argument when beta is outside [1e-3, 1e3] or there is no class.
    multiclass_temperature(double beta, std::size_t classes, score_kind input = score_kind::probability)
        : beta_(beta), classes_(classes), input_(input) {
        expects(lowest_beta <= beta && beta <= highest_beta, "multiclass_temperature",
                "beta must be in [1e-3, 1e3], got ", beta);
        expects(classes >= 1, "multiclass_temperature", "needs at least one class, got ", classes);
    }

    template <exec::policy Policy, matrix_like S, vector_like Y, class W = none, class Isa = isa::native>
    static multiclass_temperature fit(const Policy& where, const S& scores, const Y& labels, const W& weights = {},
                                      const multiclass_temperature_options& options = {}) {
        const auto batch = make_classified("multiclass_temperature", scores, labels, weights);
        expects(options.tolerance > 0.0, "multiclass_temperature", "tolerance must be > 0, got ", options.tolerance);
        expects(options.max_passes >= 1, "multiclass_temperature", "max_passes must be >= 1, got ", options.max_passes);
        return fit_batch<Isa>(where, batch, options);
    }

    template <exec::policy Policy, matrix_like In, matrix_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        const auto to = detail::rows_like("multiclass_temperature", scores, out, classes_);
        const auto from = input(scores);
        using T = typename decltype(from)::value_type;
        const auto scale = static_cast<T>(beta_);
        const score_kind kind = input_;
        exec::map_parts(
            where, from.rows(),
            [&](std::size_t first, std::size_t count) {
                const auto in = from.slice(first, count);
                const auto room = to.slice(first, count);
                if (in.cols() <= detail::most_classes_in_rows) {
                    detail::map_rows_in_lanes<Isa>(in, room, scale, [kind](auto* t, std::size_t classes) {
                        for (std::size_t k = 0; k < classes; ++k) t[k] = detail::score_as_log(t[k], kind);
                    });
                } else {
                    detail::map_classes_in_lanes<Isa>(in, room, scale, [kind](auto t, std::size_t, std::size_t) {
                        return detail::score_as_log(t, kind);
                    });
                }
            },
            detail::rows_of_map_part(classes_));
    }

    double beta() const noexcept { return beta_; }
    /// T = 1 / beta.
    double value() const noexcept { return 1.0 / beta_; }
    std::size_t classes() const noexcept { return classes_; }
    score_kind input_kind() const noexcept { return input_; }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put(beta_);
        out.put(static_cast<std::uint64_t>(classes_));
        out.put(static_cast<std::uint8_t>(input_));
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static multiclass_temperature read(byte_reader& in) {
        multiclass_temperature t;
        t.beta_ = in.get<double>();
        expects_bytes(lowest_beta <= t.beta_ && t.beta_ <= highest_beta, "multiclass_temperature", "beta ", t.beta_,
                      " is outside [1e-3, 1e3]");
        const auto classes = in.get<std::uint64_t>();
        expects_bytes(classes >= 1 && classes <= (std::numeric_limits<std::uint32_t>::max)(), "multiclass_temperature",
                      classes, " classes are out of range");
        t.classes_ = static_cast<std::size_t>(classes);
        t.input_ = detail::read_score_kind(in, "multiclass_temperature");
        t.seen_.accepted = in.get<std::uint64_t>();
        t.seen_.rejected = in.get<std::uint64_t>();
        return t;
    }

  private:
    template <class Isa, exec::policy Policy, class T, class Y, class W>
    static multiclass_temperature fit_batch(const Policy& where, const classified<T, Y, W>& batch,
                                            const multiclass_temperature_options& options) {
        const detail::class_rows<T, Y, W, Isa> data(where, batch, options.input);
        const detail::class_summary& total = data.summary();
        multiclass_temperature fitted;
        fitted.classes_ = batch.classes();
        fitted.input_ = options.input;
        fitted.seen_ = total.seen;
        const double range = total.spread;
        if (!(total.weight > 0.0) || !(range > 0.0) || !std::isfinite(range) || !std::isfinite(1.0 / range))
            return fitted;
        const auto minimise = [&](const classified<T, Y, W>& rows, double beta, double tolerance, int max_passes) {
            return detail::bracketed_newton(
                beta,
                {lowest_beta, highest_beta, range, tolerance, max_passes, 4.0 * std::numeric_limits<double>::epsilon()},
                [&](double at) {
                    detail::temperature_sums<Isa> sums{at * range, range, total.weight};
                    sums = exec::fold_parts(where, sums, rows);
                    return detail::slope_and_curvature{at, sums.slope * range, sums.curvature * range * range};
                });
        };
        const detail::class_sample<T, Y, W> sample(data.rows());
        double beta = 1.0;
        if (sample.rows().size() > 0) beta = minimise(sample.rows(), beta, 1e-4, 20);
        fitted.beta_ = minimise(data.rows(), beta, options.tolerance, options.max_passes);
        return fitted;
    }

    double beta_ = 1.0;
    std::size_t classes_ = 1;
    score_kind input_ = score_kind::probability;
    counts seen_;
};

}  // namespace reckon
