// Vector scaling: a slope and an intercept for each class of multiclass scores.
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

namespace reckon {

/// How vector_scaling::fit works.
struct vector_scaling_options {
    /// What the scores are.
    score_kind input = score_kind::probability;
    /// Fit against (N_y + 1)/(N_y + 2) for the class y of a row and 1/((N_y + 2)(K - 1)) for each other one, instead of
    /// 1 and 0; N_y is the sum of weights of the class. Keeps the fit finite when scores separate the classes or one is
    /// absent. For two classes these are Platt's targets.
    bool smooth_targets = true;
    /// >= 0. Adds ridge / K * sum_k [(a_k - 1)^2 + b_k^2] to the mean log-loss: pulls towards the identity.
    double ridge = 0.0;
    /// > 0. Ends the iteration when the next step would move the logits of the rows by less (root mean square).
    double tolerance = 1e-11;
    /// >= 1. Passes over the data.
    int max_passes = 100;
};

namespace detail {

/// The sums of one Newton pass of vector scaling. theta holds K slopes of scaled scores, then K intercepts.
template <class Isa>
struct vector_scaling_sums {
    const std::vector<double>* theta;
    const std::vector<double>* scale;
    const class_targets* targets;
    double total;
    class_newton_sums sums;

    template <class T, class Y, class W>
    void absorb(const classified<T, Y, W>& rows) {
        using V = simd::pack<double, Isa>;
        const std::size_t classes = rows.classes();
        class_tile<Isa> tile(classes, 16384);
        const std::size_t height = tile.height(), size = classes * height;
        // p u, p and the same times -w; the second half of each belongs to the intercepts.
        std::vector<double> shares(2 * size), weighted(2 * size), residual(size);
        double* const p = shares.data() + size;
        for (std::size_t first = 0; first < rows.size(); first += height) {
            tile.take(rows, first, scale->data(), total);
            for (std::size_t k = 0; k < classes; ++k) {
                const V a((*theta)[k]), b((*theta)[classes + k]);
                for (std::size_t r = 0; r < height; r += V::lanes) {
                    mul_add(a, V::load(tile.score(k) + r), b).store(p + k * height + r);
                }
            }
            softmax_tile(tile, *targets, p, residual.data(), sums);
            for (std::size_t k = 0; k < classes; ++k) {
                V ga(0.0), gb(0.0), haa(0.0), hab(0.0), hbb(0.0);
                for (std::size_t r = 0; r < height; r += V::lanes) {
                    const std::size_t at = k * height + r;
                    const V u = V::load(tile.score(k) + r), w = V::load(tile.weights() + r), q = V::load(p + at);
                    const V g = V::load(residual.data() + at), wq = w * q;
                    ga = mul_add(g, u, ga);
                    gb += g;
                    haa = mul_add(wq * u, u, haa);
                    hab = mul_add(wq, u, hab);
                    hbb += wq;
                    (q * u).store(shares.data() + at);
                    (-(wq * u)).store(weighted.data() + at);
                    (-wq).store(weighted.data() + size + at);
                }
                sums.gradient[k] += reduce_add(ga);
                sums.gradient[classes + k] += reduce_add(gb);
                sums.hessian[in_triangle(k, k)] += reduce_add(haa);
                sums.hessian[in_triangle(classes + k, k)] += reduce_add(hab);
                sums.hessian[in_triangle(classes + k, classes + k)] += reduce_add(hbb);
            }
            double* const h = sums.hessian.data();
            row_products<Isa>(weighted.data(), 2 * classes, shares.data(), 2 * classes, height, true,
                              [h](std::size_t i, std::size_t j, double x) { h[in_triangle(i, j)] += x; });
        }
    }
    void merge(const vector_scaling_sums& other) noexcept { sums.merge(other.sums); }
};

}  // namespace detail

/// Vector scaling of K classes: p' = softmax(a .* z + b), z any real scores or the logarithms of probabilities.
///
///   fit minimises  sum_i w_i [ ln sum_k e^(t_ik) - sum_k target_ik t_ik ] / sum_i w_i + ridge term
///                  with t_ik = a_k z_ik + b_k
///
/// Shapes    scores [N, K], labels [N] in 0 .. K - 1, weights [N] or empty for ones. K <= 512.
/// Fit       Newton's method over the 2 K parameters from a = 0, b = ln(N_k + 1); from the fit of every sixteenth row
///           when there are 8192 or more. mean(b) = 0, since a constant added to b changes nothing. A class without
///           rows gets the probability that the smoothed targets leave it. A class whose scores are all 0 has a_k = 0
///           (ridge: 1); one whose scores are all equal shares its effect between a_k and b_k. Slopes may come out
///           negative. Without smoothing and ridge, data that the scores separate (or an absent class) have no optimum;
///           the result is then finite, steep and depends on max_passes. K = 1: a = 1, b = 0. K = 2 on probabilities
///           that add up to 1 is beta calibration without its sign constraint: logistic regression on [ln p, ln(1 -
///           p), 1].
/// Throws    fit: std::invalid_argument when columns differ in length, K > 512 or an option is out of range; counts and
///           skips bad rows. apply: std::invalid_argument when sizes differ; a NaN makes its row NaN.
/// Cost      fit: one pass to check the rows and about four Newton passes (more without a start from a sample) of K
///           exponentials and 2 K^2 multiply-adds a row; N K scores of scratch for probabilities, 16 K^2 bytes a
///           part, a Cholesky solve of 4 K^3 / 3 multiply-adds a pass. apply: one exponential a score, and a
///           logarithm for probabilities.
/// Numerics  fit in double lanes. apply of float scores rounds a z + b to float: the relative error of p' grows with
///           |a z| * 1e-7. Parameters are limited to 1e30.
/// Source    Guo, Pleiss, Sun and Weinberger 2017; targets after Platt 1999, their form for K classes and the ridge
///           ours.
class vector_scaling {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("VECS");
    static constexpr std::uint32_t bytes_version = 1;
    static constexpr std::size_t most_classes = 512;

    /// The identity of one class.
    vector_scaling() : vector_scaling({1.0}, {0.0}) {}
    /// Slopes a and intercepts b of the classes.
    ///
    /// Throws    std::invalid_argument unless both have one number for each of 1 .. 512 classes, at most 1e30 in size.
    vector_scaling(std::vector<double> slopes, std::vector<double> intercepts,
                   score_kind input = score_kind::probability)
        : slopes_(std::move(slopes)), intercepts_(std::move(intercepts)), input_(input) {
        expects(1 <= classes() && classes() <= most_classes, "vector_scaling", "1 to 512 classes are legal, got ",
                classes());
        expects(intercepts_.values().size() == classes(), "vector_scaling", classes(), " slopes but ",
                intercepts_.values().size(), " intercepts");
        expects(
            detail::class_parameters::legal(slopes_.values()) && detail::class_parameters::legal(intercepts_.values()),
            "vector_scaling", "slopes and intercepts must be finite and at most 1e30");
    }

    template <exec::policy Policy, matrix_like S, vector_like Y, class W = none, class Isa = isa::native>
    static vector_scaling fit(const Policy& where, const S& scores, const Y& labels, const W& weights = {},
                              const vector_scaling_options& options = {}) {
        const auto batch = make_classified("vector_scaling", scores, labels, weights);
        expects(batch.classes() <= most_classes, "vector_scaling", "1 to 512 classes are legal, got ", batch.classes());
        expects(options.ridge >= 0.0 && options.ridge <= 1e6, "vector_scaling", "ridge must be in [0, 1e6], got ",
                options.ridge);
        expects(options.tolerance > 0.0, "vector_scaling", "tolerance must be > 0, got ", options.tolerance);
        expects(options.max_passes >= 1, "vector_scaling", "max_passes must be >= 1, got ", options.max_passes);
        return fit_batch<Isa>(where, batch, options);
    }

    template <exec::policy Policy, matrix_like In, matrix_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        const auto to = detail::rows_like("vector_scaling", scores, out, classes());
        const auto from = input(scores);
        using T = typename decltype(from)::value_type;
        using V = simd::pack<T, Isa>;
        const T *const a = slopes_.template as<T>(), *const b = intercepts_.template as<T>();
        const score_kind kind = input_;
        exec::map_parts(
            where, from.rows(),
            [&](std::size_t first, std::size_t count) {
                const auto in = from.slice(first, count);
                const auto room = to.slice(first, count);
                if (in.cols() <= detail::most_classes_in_rows) {
                    detail::map_rows_in_lanes<Isa>(in, room, T(1), [=](V* t, std::size_t classes) {
                        for (std::size_t k = 0; k < classes; ++k) {
                            t[k] = mul_add(V(a[k]), detail::score_as_log(t[k], kind), V(b[k]));
                        }
                    });
                } else {
                    detail::map_classes_in_lanes<Isa>(in, room, T(1), [=](V t, std::size_t k, std::size_t n) {
                        const bool whole = n == V::lanes;
                        const V slope = whole ? V::load(a + k) : V::load_padded(a + k, n, T(0));
                        const V shift = whole ? V::load(b + k) : V::load_padded(b + k, n, T(0));
                        return mul_add(slope, detail::score_as_log(t, kind), shift);
                    });
                }
            },
            detail::rows_of_map_part(classes()));
    }

    /// a, one number a class.
    const std::vector<double>& slopes() const noexcept { return slopes_.values(); }
    /// b, one number a class.
    const std::vector<double>& intercepts() const noexcept { return intercepts_.values(); }
    std::size_t classes() const noexcept { return slopes_.values().size(); }
    score_kind input_kind() const noexcept { return input_; }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put_array(slopes());
        out.put_array(intercepts());
        out.put(static_cast<std::uint8_t>(input_));
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static vector_scaling read(byte_reader& in) {
        std::vector<double> a = in.get_array<double>(most_classes), b = in.get_array<double>(most_classes);
        expects_bytes(!a.empty() && a.size() == b.size(), "vector_scaling", a.size(), " slopes and ", b.size(),
                      " intercepts");
        expects_bytes(detail::class_parameters::legal(a) && detail::class_parameters::legal(b), "vector_scaling",
                      "parameters must be finite and at most 1e30");
        const score_kind kind = detail::read_score_kind(in, "vector_scaling");
        vector_scaling v(std::move(a), std::move(b), kind);
        v.seen_.accepted = in.get<std::uint64_t>();
        v.seen_.rejected = in.get<std::uint64_t>();
        return v;
    }

  private:
    template <class Isa, exec::policy Policy, class T, class Y, class W>
    static vector_scaling fit_batch(const Policy& where, const classified<T, Y, W>& batch,
                                    const vector_scaling_options& options) {
        const detail::class_rows<T, Y, W, Isa> data(where, batch, options.input);
        const detail::class_summary& total = data.summary();
        const std::size_t classes = batch.classes();
        std::vector<double> a(classes, 1.0), b(classes, 0.0);
        if (total.weight > 0.0 && classes > 1) {
            const std::vector<double> scale = detail::column_scales(total.largest);
            const detail::class_targets targets(total.class_weight, options.smooth_targets);
            const auto minimise = [&](const classified<T, Y, W>& rows, double weight, std::vector<double> theta,
                                      const detail::newton_limits& limits) {
                const auto pass = [&](const std::vector<double>& at) {
                    detail::vector_scaling_sums<Isa> empty{&at, &scale, &targets, weight,
                                                           detail::class_newton_sums(2 * classes)};
                    auto sums = exec::fold_parts(where, empty, rows,
                                                 detail::rows_of_fold_part(rows.size(), empty.sums.hessian.size()))
                                    .sums;
                    penalise(sums, at, scale, options.ridge);
                    return sums;
                };
                const auto reach = [&](const std::vector<double>& step) {
                    double largest = 0.0;
                    for (std::size_t k = 0; k < classes; ++k) {
                        largest = (std::max)(largest, std::fabs(step[k]) + std::fabs(step[classes + k]));
                    }
                    return 2.0 * largest;
                };
                return detail::minimise_softmax_loss(std::move(theta), limits, pass, reach);
            };
            std::vector<double> theta(2 * classes, 0.0);
            const std::vector<double> prior = detail::prior_intercepts(total.class_weight);
            std::copy(prior.begin(), prior.end(), theta.begin() + static_cast<std::ptrdiff_t>(classes));
            const detail::class_sample<T, Y, W> sample(data.rows());
            if (sample.weight() > 0.0) {
                const auto start = minimise(sample.rows(), sample.weight(), theta, {1e-3, 20});
                if (start.converged) theta = start.theta;
            }
            theta = minimise(data.rows(), total.weight, theta, {options.tolerance, options.max_passes}).theta;
            double mean = 0.0;
            for (std::size_t k = 0; k < classes; ++k) mean += theta[classes + k] / static_cast<double>(classes);
            for (std::size_t k = 0; k < classes; ++k) {
                a[k] = detail::limited_parameter(theta[k] * scale[k]);
                if (scale[k] == 0.0 && options.ridge > 0.0) a[k] = 1.0;
                b[k] = detail::limited_parameter(theta[classes + k] - mean);
            }
        }
        vector_scaling fitted(std::move(a), std::move(b), options.input);
        fitted.seen_ = total.seen;
        return fitted;
    }

    // The ridge, and without one a curvature for the direction that all intercepts share, in which nothing changes.
    static void penalise(detail::class_newton_sums& sums, const std::vector<double>& theta,
                         const std::vector<double>& scale, double ridge) noexcept {
        const std::size_t classes = scale.size();
        const double share = ridge / static_cast<double>(classes);
        for (std::size_t k = 0; k < classes; ++k) {
            const double slope = theta[k] * scale[k] - 1.0, intercept = theta[classes + k];
            sums.loss += share * (slope * slope + intercept * intercept);
            sums.gradient[k] += 2.0 * share * slope * scale[k];
            sums.gradient[classes + k] += 2.0 * share * intercept;
            sums.hessian[detail::in_triangle(k, k)] += 2.0 * share * scale[k] * scale[k];
            sums.hessian[detail::in_triangle(classes + k, classes + k)] += 2.0 * share;
            if (ridge > 0.0) continue;
            for (std::size_t j = 0; j <= k; ++j) {
                sums.hessian[detail::in_triangle(classes + k, classes + j)] +=
                    sums.curvature / static_cast<double>(classes * classes);
            }
        }
    }

    detail::class_parameters slopes_, intercepts_;
    score_kind input_ = score_kind::probability;
    counts seen_;
};

}  // namespace reckon
