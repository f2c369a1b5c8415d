// Dirichlet calibration and matrix scaling: a linear map of log-probabilities or logits before a softmax.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/calibration/detail/class_newton.hpp"
#include "reckon/calibration/detail/class_rows.hpp"
#include "reckon/calibration/multiclass.hpp"
#include "reckon/core/views.hpp"

namespace reckon {

/// How dirichlet_calibration::fit works.
struct dirichlet_calibration_options {
    /// Probabilities: Dirichlet calibration, x = ln p. Logits: matrix scaling, x = the scores.
    score_kind input = score_kind::probability;
    /// As in vector_scaling_options: keeps the fit finite without a ridge.
    bool smooth_targets = true;
    /// >= 0. Adds off_diagonal / (K (K - 1)) * sum_{k != j} W_kj^2 to the mean log-loss.
    double off_diagonal = 0.0;
    /// >= 0. Adds intercept / K * sum_k b_k^2 to the mean log-loss.
    double intercept = 0.0;
    /// > 0. Ends the iteration when the next step would move the logits of the rows by less (root mean square).
    double tolerance = 1e-11;
    /// >= 1. Passes over the data.
    int max_passes = 100;
};

namespace detail {

/// The sums of one Newton pass of matrix scaling. theta holds, class after class, K weights of scaled scores and an
/// intercept.
template <class Isa>
struct matrix_scaling_sums {
    const std::vector<double>* theta;
    const std::vector<double>* scale;
    const class_targets* targets;
    double total;
    class_newton_sums sums;

    template <class T, class Y, class W>
    void absorb(const classified<T, Y, W>& rows) {
        using V = simd::pack<double, Isa>;
        const std::size_t classes = rows.classes(), columns = classes + 1;
        class_tile<Isa> tile(classes, 4096);
        const std::size_t height = tile.height();
        // The scores with a last column of ones, so that intercepts are weights like the others.
        std::vector<double> design(columns * height, 1.0), p(classes * height), residual(classes * height);
        std::vector<double> factor(height), weighted(columns * height);
        for (std::size_t first = 0; first < rows.size(); first += height) {
            tile.take(rows, first, scale->data(), total);
            std::copy(tile.score(0), tile.score(0) + classes * height, design.begin());
            for (std::size_t k = 0; k < classes; ++k) {
                const double* const weights = theta->data() + k * columns;
                for (std::size_t r = 0; r < height; r += V::lanes) {
                    V t(weights[classes]);
                    for (std::size_t j = 0; j < classes; ++j) {
                        t = mul_add(V(weights[j]), V::load(design.data() + j * height + r), t);
                    }
                    t.store(p.data() + k * height + r);
                }
            }
            softmax_tile(tile, *targets, p.data(), residual.data(), sums);
            double *const g = sums.gradient.data(), *const h = sums.hessian.data();
            row_products<Isa>(residual.data(), classes, design.data(), columns, height, false,
                              [=](std::size_t k, std::size_t j, double x) { g[k * columns + j] += x; });
            for (std::size_t k = 0; k < classes; ++k) {
                for (std::size_t l = 0; l <= k; ++l) {
                    for (std::size_t r = 0; r < height; r += V::lanes) {
                        const V q = V::load(p.data() + k * height + r), w = V::load(tile.weights() + r);
                        const V other = V::load(p.data() + l * height + r);
                        (w * q * (V(k == l ? 1.0 : 0.0) - other)).store(factor.data() + r);
                    }
                    for (std::size_t j = 0; j < columns; ++j) {
                        for (std::size_t r = 0; r < height; r += V::lanes) {
                            const V x = V::load(design.data() + j * height + r);
                            (V::load(factor.data() + r) * x).store(weighted.data() + j * height + r);
                        }
                    }
                    row_products<Isa>(weighted.data(), columns, design.data(), columns, height, true,
                                      [=](std::size_t i, std::size_t j, double x) {
                                          h[in_triangle(k * columns + i, l * columns + j)] += x;
                                          // The block of two classes is symmetric in its columns.
                                          if (k != l && i != j) h[in_triangle(k * columns + j, l * columns + i)] += x;
                                      });
                }
            }
        }
    }
    void merge(const matrix_scaling_sums& other) noexcept { sums.merge(other.sums); }
};

}  // namespace detail

/// Dirichlet calibration of K classes, or matrix scaling: p' = softmax(W x + b), x the logarithms of probabilities or
/// any real scores.
///
///   fit minimises  sum_i w_i [ ln sum_k e^(t_ik) - sum_k target_ik t_ik ] / sum_i w_i
///                  + off_diagonal / (K (K - 1)) sum_{k != j} W_kj^2 + intercept / K sum_k b_k^2,      t_i = W x_i + b
///
/// Shapes    scores [N, K], labels [N] in 0 .. K - 1, weights [N] or empty for ones. K <= 32.
/// Fit       Newton's method over the K (K + 1) parameters from W = 0, b = ln(N_k + 1); from the fit of every sixteenth
///           row when there are 8192 or more. Rows added to W and constants added to b change nothing where no ridge
///           sees them: the columns of W then have mean 1/K and b has mean 0, which gives W = 1 for the identity. A
///           class without rows gets the probability that the smoothed targets leave it. Without smoothing and ridge,
///           data that the scores separate (or an absent class) have no optimum; the result is then finite, steep and
///           depends on max_passes. K = 1: W = 1, b = 0. It has K^2 parameters: below some hundred rows a class take
///           a ridge (0.001 to 1, chosen on held-out rows), or vector_scaling.
/// Throws    fit: std::invalid_argument when columns differ in length, K > 32 or an option is out of range; counts and
///           skips bad rows. apply: std::invalid_argument when sizes differ; a NaN makes its row NaN.
/// Cost      fit: one pass to check the rows and about five Newton passes (more without a start from a sample) of K
///           exponentials and K^2 (K + 1)^2 / 4 multiply-adds a row; N K scores of scratch for probabilities, 4 K^4
///           bytes a part, a Cholesky solve of K^6 / 6 multiply-adds a pass. apply: K^2 multiply-adds and K
///           exponentials a row, K logarithms for probabilities.
/// Numerics  fit in double lanes. apply of float scores rounds W x + b to float. Parameters are limited to 1e30.
/// Source    Kull et al. 2019 (Dirichlet calibration and ODIR); Guo et al. 2017 (matrix scaling); targets and solver
///           ours.
class dirichlet_calibration {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("DIRI");
    static constexpr std::uint32_t bytes_version = 1;
    static constexpr std::size_t most_classes = detail::most_classes_in_rows;

    /// The identity of one class.
    dirichlet_calibration() : dirichlet_calibration({1.0}, {0.0}) {}
    /// Weights W, row after row, and intercepts b.
    ///
    /// Throws    std::invalid_argument unless there are K * K weights and K intercepts, K in 1 .. 32, at most 1e30 in
    ///           size.
    dirichlet_calibration(std::vector<double> weights, std::vector<double> intercepts,
                          score_kind input = score_kind::probability)
        : weights_(std::move(weights)), intercepts_(std::move(intercepts)), input_(input) {
        expects(1 <= classes() && classes() <= most_classes, "dirichlet_calibration", "1 to 32 classes are legal, got ",
                classes());
        expects(weights_.values().size() == classes() * classes(), "dirichlet_calibration", classes(),
                " intercepts but ", weights_.values().size(), " weights");
        expects(
            detail::class_parameters::legal(weights_.values()) && detail::class_parameters::legal(intercepts_.values()),
            "dirichlet_calibration", "weights and intercepts must be finite and at most 1e30");
    }

    template <exec::policy Policy, matrix_like S, vector_like Y, class W = none, class Isa = isa::native>
    static dirichlet_calibration fit(const Policy& where, const S& scores, const Y& labels, const W& weights = {},
                                     const dirichlet_calibration_options& options = {}) {
        const auto batch = make_classified("dirichlet_calibration", scores, labels, weights);
        expects(batch.classes() <= most_classes, "dirichlet_calibration", "1 to 32 classes are legal, got ",
                batch.classes());
        for (const double ridge : {options.off_diagonal, options.intercept}) {
            expects(ridge >= 0.0 && ridge <= 1e6, "dirichlet_calibration", "a ridge must be in [0, 1e6], got ", ridge);
        }
        expects(options.tolerance > 0.0, "dirichlet_calibration", "tolerance must be > 0, got ", options.tolerance);
        expects(options.max_passes >= 1, "dirichlet_calibration", "max_passes must be >= 1, got ", options.max_passes);
        return fit_batch<Isa>(where, batch, options);
    }

    template <exec::policy Policy, matrix_like In, matrix_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        const auto to = detail::rows_like("dirichlet_calibration", scores, out, classes());
        const auto from = input(scores);
        using T = typename decltype(from)::value_type;
        using V = simd::pack<T, Isa>;
        const T *const w = weights_.template as<T>(), *const b = intercepts_.template as<T>();
        const score_kind kind = input_;
        exec::map_parts(
            where, from.rows(),
            [&](std::size_t first, std::size_t count) {
                detail::map_rows_in_lanes<Isa>(from.slice(first, count), to.slice(first, count), T(1),
                                               [=](V* t, std::size_t classes) {
                                                   V x[most_classes];
                                                   for (std::size_t j = 0; j < classes; ++j)
                                                       x[j] = detail::score_as_log(t[j], kind);
                                                   for (std::size_t k = 0; k < classes; ++k) {
                                                       V sum(b[k]);
                                                       for (std::size_t j = 0; j < classes; ++j)
                                                           sum = mul_add(V(w[k * classes + j]), x[j], sum);
                                                       t[k] = sum;
                                                   }
                                               });
            },
            detail::rows_of_map_part(classes()));
    }

    /// W [K, K]: weight(k, j) is what class k takes from score j.
    matrix_view<const double> weights() const noexcept { return {weights_.values().data(), classes(), classes()}; }
    /// b, one number a class.
    const std::vector<double>& intercepts() const noexcept { return intercepts_.values(); }
    std::size_t classes() const noexcept { return intercepts_.values().size(); }
    score_kind input_kind() const noexcept { return input_; }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put_array(weights_.values());
        out.put_array(intercepts());
        out.put(static_cast<std::uint8_t>(input_));
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static dirichlet_calibration read(byte_reader& in) {
        std::vector<double> w = in.get_array<double>(most_classes * most_classes);
        std::vector<double> b = in.get_array<double>(most_classes);
        expects_bytes(!b.empty() && w.size() == b.size() * b.size(), "dirichlet_calibration", w.size(), " weights and ",
                      b.size(), " intercepts");
        expects_bytes(detail::class_parameters::legal(w) && detail::class_parameters::legal(b), "dirichlet_calibration",
                      "parameters must be finite and at most 1e30");
        const score_kind kind = detail::read_score_kind(in, "dirichlet_calibration");
        dirichlet_calibration d(std::move(w), std::move(b), kind);
        d.seen_.accepted = in.get<std::uint64_t>();
        d.seen_.rejected = in.get<std::uint64_t>();
        return d;
    }

  private:
    template <class Isa, exec::policy Policy, class T, class Y, class W>
    static dirichlet_calibration fit_batch(const Policy& where, const classified<T, Y, W>& batch,
                                           const dirichlet_calibration_options& options) {
        const detail::class_rows<T, Y, W, Isa> data(where, batch, options.input);
        const detail::class_summary& total = data.summary();
        const std::size_t classes = batch.classes(), columns = classes + 1;
        std::vector<double> w(classes * classes, 0.0), b(classes, 0.0);
        for (std::size_t k = 0; k < classes; ++k) w[k * classes + k] = 1.0;
        if (total.weight > 0.0 && classes > 1) {
            const std::vector<double> scale = detail::column_scales(total.largest);
            const detail::class_targets targets(total.class_weight, options.smooth_targets);
            const auto minimise = [&](const classified<T, Y, W>& rows, double weight, std::vector<double> theta,
                                      const detail::newton_limits& limits) {
                const auto pass = [&](const std::vector<double>& at) {
                    detail::matrix_scaling_sums<Isa> empty{&at, &scale, &targets, weight,
                                                           detail::class_newton_sums(classes * columns)};
                    auto sums = exec::fold_parts(where, empty, rows,
                                                 detail::rows_of_fold_part(rows.size(), empty.sums.hessian.size()))
                                    .sums;
                    penalise(sums, at, scale, options);
                    return sums;
                };
                const auto reach = [&](const std::vector<double>& step) {
                    double largest = 0.0;
                    for (std::size_t k = 0; k < classes; ++k) {
                        double sum = 0.0;
                        for (std::size_t j = 0; j < columns; ++j) sum += std::fabs(step[k * columns + j]);
                        largest = (std::max)(largest, sum);
                    }
                    return 2.0 * largest;
                };
                return detail::minimise_softmax_loss(std::move(theta), limits, pass, reach);
            };
            std::vector<double> theta(classes * columns, 0.0);
            const std::vector<double> prior = detail::prior_intercepts(total.class_weight);
            for (std::size_t k = 0; k < classes; ++k) theta[k * columns + classes] = prior[k];
            const detail::class_sample<T, Y, W> sample(data.rows());
            if (sample.weight() > 0.0) {
                const auto start = minimise(sample.rows(), sample.weight(), theta, {1e-3, 20});
                if (start.converged) theta = start.theta;
            }
            theta = minimise(data.rows(), total.weight, theta, {options.tolerance, options.max_passes}).theta;
            for (std::size_t j = 0; j < columns; ++j) {
                const double factor = j < classes ? scale[j] : 1.0;
                // What all classes share is free without a ridge on it.
                double shift = 0.0;
                if ((j < classes ? options.off_diagonal : options.intercept) == 0.0) {
                    for (std::size_t k = 0; k < classes; ++k) shift += theta[k * columns + j] * factor;
                    shift = ((j < classes ? 1.0 : 0.0) - shift) / static_cast<double>(classes);
                }
                for (std::size_t k = 0; k < classes; ++k) {
                    const double x = detail::limited_parameter(theta[k * columns + j] * factor + shift);
                    (j < classes ? w[k * classes + j] : b[k]) = x;
                }
            }
        }
        dirichlet_calibration fitted(std::move(w), std::move(b), options.input);
        fitted.seen_ = total.seen;
        return fitted;
    }

    // The ridges, and where there is none a curvature for the direction that the classes share, in which nothing
    // changes.
    static void penalise(detail::class_newton_sums& sums, const std::vector<double>& theta,
                         const std::vector<double>& scale, const dirichlet_calibration_options& options) noexcept {
        const std::size_t classes = scale.size(), columns = classes + 1;
        const auto n = static_cast<double>(classes);
        for (std::size_t j = 0; j < columns; ++j) {
            const bool slope = j < classes;
            const double ridge = slope ? options.off_diagonal / (n * (n - 1.0)) : options.intercept / n;
            const double factor = slope ? scale[j] : 1.0;
            for (std::size_t k = 0; k < classes; ++k) {
                const std::size_t at = k * columns + j;
                if (ridge > 0.0) {
                    if (k == j) continue;
                    const double x = theta[at] * factor;
                    sums.loss += ridge * x * x;
                    sums.gradient[at] += 2.0 * ridge * x * factor;
                    sums.hessian[detail::in_triangle(at, at)] += 2.0 * ridge * factor * factor;
                } else {
                    for (std::size_t l = 0; l <= k; ++l) {
                        sums.hessian[detail::in_triangle(at, l * columns + j)] += sums.curvature / (n * n);
                    }
                }
            }
        }
    }

    detail::class_parameters weights_, intercepts_;
    score_kind input_ = score_kind::probability;
    counts seen_;
};

}  // namespace reckon
