// Spline logit: logistic regression on a natural cubic spline of the log-odds.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/natural_cubic.hpp"
#include "reckon/calibration/detail/spline_logit.fit.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"

namespace reckon {

/// How spline_logit::fit works.
struct spline_logit_options {
    /// What the scores are.
    score_kind input = score_kind::probability;
    /// 2 .. 10. Knots of the spline; 2 leave the straight line of Platt scaling.
    std::size_t knots = 6;
    /// > 0. Weight of the roughness, the integral of the squared second derivative over the knots, lengths in units of
    /// their range. The default lets log-odds bend by about one where few data ask for it; a very large one gives Platt
    /// scaling.
    double ridge = 0.01;
    /// Fit against (N+ + 1)/(N+ + 2) and 1/(N- + 2) instead of 1 and 0, as platt does.
    bool smooth_targets = true;
    /// > 0. Ends the iteration when the next step would move the log-odds of the rows by less (root mean square).
    double tolerance = 1e-9;
    /// >= 1. Passes over the data.
    int max_passes = 100;
};

/// Spline logit: p' = sigmoid(s(f)), s a natural cubic spline, f the log-odds of a probability or any real score.
///
///   fit minimises  sum_i w_i [ softplus(s(f_i)) - t_i s(f_i) ] + ridge/2 * integral of s''(x)^2 dx,
///                  x = (f - first knot) / (last knot - first knot)
///
/// Platt scaling that can bend. Beyond the outer knots s is a straight line. Not monotone in the score: where the data
/// say so, it falls.
///
/// Fit       knots at the ranks 0.05 to 0.95, evenly spaced, of the rows with positive weight; those that coincide count
///           once. Newton's method in double from a flat line; from the fit of a sixteenth of the rows when there are 8192
///           or more. No data: the identity. One distinct score: the mean target. One class: slope near 0 with smoothed
///           targets; without, as platt, finite, steep and dependent on max_passes.
/// Throws    fit: std::invalid_argument when columns differ in length or an option is out of range; counts and skips
///           bad examples, scores beyond float among them. apply: std::invalid_argument when sizes differ; propagates
///           NaN.
/// Cost      fit: two passes to check the rows and find the knots, then about four Newton passes of one exponential and
///           about 150 operations a row; 16 to 24 bytes a row of scratch. apply: 6 operations a knot, one exponential, and a
///           logarithm for probabilities.
/// Numerics  float scores are fitted in double and mapped in float.
/// Source    Standard: logistic regression on a natural spline, knots as in Harrell 2001. Roughness, its weight and the
///           smoothed targets are our choice.
class spline_logit {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("SPLL");
    static constexpr std::uint32_t bytes_version = 1;
    /// The fit ranks rows, whatever their weight: see refit().
    static constexpr bool ranks_rows = true;

    /// The identity.
    spline_logit() : spline_logit({-1.0, 1.0}, {-1.0, 1.0}) {}
    /// The natural spline through (knots[k], values[k]): log-odds out for log-odds or scores in.
    ///
    /// Throws    std::invalid_argument unless there are 2 to 16 knots, finite as floats and rising, and as many values, none
    ///           beyond 1e6, and nothing in between is too steep for float.
    spline_logit(std::vector<double> knots, std::vector<double> values, score_kind input = score_kind::probability)
        : knots_(std::move(knots)), values_(std::move(values)), input_(input) {
        const char* const fault = knot_fault(knots_, values_);
        expects(fault == nullptr, "spline_logit", fault == nullptr ? "" : fault);
        index_pieces();
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static spline_logit fit(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                            const spline_logit_options& options = {}) {
        const auto batch = make_scored("spline_logit", scores, labels, weights);
        expects(2 <= options.knots && options.knots <= 10, "spline_logit", "knots must be in [2, 10], got ",
                options.knots);
        expects(options.ridge > 0.0 && std::isfinite(options.ridge), "spline_logit",
                "ridge must be > 0 and finite, got ", options.ridge);
        expects(options.tolerance > 0.0, "spline_logit", "tolerance must be > 0, got ", options.tolerance);
        expects(options.max_passes >= 1, "spline_logit", "max_passes must be >= 1, got ", options.max_passes);
        const detail::logit_columns data(Isa{}, batch, options.input);
        return options.knots <= 6 ? fit_columns<5, Isa>(where, data, options)
                                  : fit_columns<9, Isa>(where, data, options);
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return detail::map_one<Isa>(score, [this](auto f) { return this->map(f); });
    }
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        detail::map_scores<Isa>("spline_logit", where, scores, out, [this](auto f) { return this->map(f); });
    }

    const std::vector<double>& knots() const noexcept { return knots_; }
    /// Log-odds at the knots.
    const std::vector<double>& values() const noexcept { return values_; }
    score_kind input_kind() const noexcept { return input_; }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put_array(knots_);
        out.put_array(values_);
        out.put(static_cast<std::uint8_t>(input_));
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static spline_logit read(byte_reader& in) {
        auto knots = in.get_array<double>(detail::most_spline_knots);
        auto values = in.get_array<double>(detail::most_spline_knots);
        const char* const fault = knot_fault(knots, values);
        expects_bytes(fault == nullptr, "spline_logit", fault == nullptr ? "" : fault);
        const score_kind input = detail::read_score_kind(in, "spline_logit");
        spline_logit s(std::move(knots), std::move(values), input);
        s.seen_.accepted = in.get<std::uint64_t>();
        s.seen_.rejected = in.get<std::uint64_t>();
        return s;
    }

  private:
    // The spline as a value at the first knot, a cubic of u = place between two knots in [0, 1] for each piece, which adds
    // what the spline rises there, and a straight line at each end.
    template <class T>
    struct lane_pieces {
        std::size_t size = 0;
        T value, left, right, last;
        T start[detail::most_spline_knots], per_width[detail::most_spline_knots];
        T c1[detail::most_spline_knots], c2[detail::most_spline_knots], c3[detail::most_spline_knots];
    };

    // False when a number is too large for the lanes.
    template <class T>
    static bool set_pieces(lane_pieces<T>& to, const std::vector<double>& x, const std::vector<double>& y) {
        constexpr double most = 1e30;
        bool fits = true;
        const auto number = [&](double v) {
            fits = fits && std::fabs(v) <= most;
            return fits ? static_cast<T>(v) : T(0);
        };
        const auto pieces = detail::natural_cubic(x, y);
        to.size = pieces.size();
        for (std::size_t i = 0; i < pieces.size(); ++i) {
            const double h = x[i + 1] - x[i];
            to.start[i] = static_cast<T>(x[i]);
            to.per_width[i] = number(1.0 / h);
            to.c1[i] = number(pieces[i].c1 * h);
            to.c2[i] = number(pieces[i].c2 * h * h);
            to.c3[i] = number(pieces[i].c3 * h * h * h);
        }
        to.value = number(y.front());
        to.last = static_cast<T>(x.back());
        to.left = number(pieces.front().c1);
        to.right = number(pieces.back().slope(x.back() - x[x.size() - 2]));
        return fits;
    }

    static const char* knot_fault(const std::vector<double>& knots, const std::vector<double>& values) {
        if (knots.size() < 2 || knots.size() > detail::most_spline_knots) return "2 to 16 knots are needed";
        if (knots.size() != values.size()) return "as many knots as values are needed";
        for (const double v : values) {
            if (!(std::fabs(v) <= most_value)) return "values must be in [-1e6, 1e6]";
        }
        if (const char* const fault = detail::knot_score_fault(knots)) return fault;
        lane_pieces<double> pieces{};
        return set_pieces(pieces, knots, values) ? nullptr : "the spline is too steep for float";
    }
    void index_pieces() {
        set_pieces(floats_, knots_, values_);
        set_pieces(doubles_, knots_, values_);
    }

    template <class V>
    RECKON_INLINE V map(V score) const noexcept {
        using T = simd::lane_t<V>;
        using simd::maximum;
        using simd::minimum;
        using simd::mul_add;
        const lane_pieces<T>& c = pieces<T>();
        const V f = detail::score_as_logit(score, input_);
        V z = mul_add(V(c.left), minimum(V(T(0)), f - V(c.start[0])), V(c.value));
        for (std::size_t i = 0; i < c.size; ++i) {
            const V u = maximum(V(T(0)), minimum(V(T(1)), (f - V(c.start[i])) * V(c.per_width[i])));
            z = mul_add(u, mul_add(u, mul_add(u, V(c.c3[i]), V(c.c2[i])), V(c.c1[i])), z);
        }
        return math::sigmoid(mul_add(V(c.right), maximum(V(T(0)), f - V(c.last)), z));
    }
    template <class T>
    const lane_pieces<T>& pieces() const noexcept {
        if constexpr (std::is_same_v<T, float>) {
            return floats_;
        } else {
            return doubles_;
        }
    }

    template <std::size_t Varying, class Isa, exec::policy Policy>
    static spline_logit fit_columns(const Policy& where, const detail::logit_columns& data,
                                    const spline_logit_options& options) {
        spline_logit fitted;
        fitted.input_ = options.input;
        fitted.seen_ = data.seen;
        if (!(data.weight > 0.0)) return fitted;
        const auto rows = data.rows();
        const std::vector<double> at = choose_knots(rows.scores, options.knots, data.lowest, data.highest);
        const double length = at.back() - at.front();

        using features = detail::spline_features<Varying>;
        const double negative = (std::max)(0.0, data.weight - data.positive);
        detail::logistic_model<features> model;
        model.features =
            features::over(at, detail::affine_features::over(data.lowest, data.highest, data.score_sum / data.weight),
                           length, data.highest);
        if (options.smooth_targets) model.targets = detail::smoothed_targets(data.positive, negative);
        model.theta[Varying] = std::log((data.positive + 1.0) / (negative + 1.0));
        const auto penalty = detail::roughness(model.features, at, length, options.ridge);
        const auto probes = detail::probe_columns(model.features, at, data.lowest, data.highest);
        const detail::row_sample<double, double, double> sample(rows);
        if (sample.rows().size() > 0) {
            model.theta = detail::minimise_penalised<Isa>(where, sample.rows(), model, penalty, probes, {1e-3, 20});
        }
        model.theta = detail::minimise_penalised<Isa>(where, rows, model, penalty, probes,
                                                      {options.tolerance, options.max_passes});
        std::vector<double> values;
        for (const double knot : at) {
            double x[Varying];
            values.push_back(std::clamp(model.log_odds(knot, knot, x), -most_value, most_value));
        }
        fitted.knots_ = at;
        fitted.values_ = std::move(values);
        fitted.index_pieces();
        return fitted;
    }

    // Two or more, far enough apart for the arithmetic of a spline in float.
    static std::vector<double> choose_knots(vector_view<const double> scores, std::size_t wanted, double lowest,
                                            double highest) {
        std::vector<std::size_t> ranks;
        for (std::size_t k = 0; k < wanted; ++k) {
            const double share = 0.05 + 0.9 * static_cast<double>(k) / static_cast<double>(wanted - 1);
            const auto rank = static_cast<std::size_t>(share * static_cast<double>(scores.size()));
            ranks.push_back((std::min)(rank, scores.size() - 1));
        }
        const auto found = detail::values_at_ranks(scores, ranks);
        const double size = (std::max)(std::fabs(lowest), std::fabs(highest));
        const double least = (std::max)({1e-6 * (found.back() - found.front()), 1e-9 * size, 1e-20});
        std::vector<double> at{found.front()};
        for (const double knot : found) {
            if (knot - at.back() >= least) at.push_back(knot);
        }
        if (at.size() == 1)
            at = highest - lowest >= least ? std::vector<double>{lowest, highest}
                                           : std::vector<double>{lowest, lowest + (std::max)(1.0, size)};
        return at;
    }

    static constexpr double most_value = 1e6;

    std::vector<double> knots_, values_;
    score_kind input_ = score_kind::probability;
    counts seen_;
    lane_pieces<float> floats_{};
    lane_pieces<double> doubles_{};
};

}  // namespace reckon
