// A piecewise linear function of the log-odds: as a layer with gradients, and as a calibrator that is fitted.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/calibration/detail/sorted_cuts.hpp"
#include "reckon/calibration/isotonic.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

namespace detail {

/// Where a score lies among knots: segment k = 0 .. K - 2 and the share t of the way to knot k + 1, below 0 or above 1
/// beyond the ends.
class hat_basis {
  public:
    struct place {
        std::size_t segment;
        double t;
    };
    /// Two knots or more, strictly increasing.
    explicit hat_basis(std::vector<double> knots) : knots_(std::move(knots)) {
        inner_ = sorted_cuts(std::vector<double>(knots_.begin() + 1, knots_.end() - 1));
    }
    template <class T>
    RECKON_INLINE place of(T z) const noexcept {
        const std::size_t k = inner_.count_up_to(z);
        return {k, (static_cast<double>(z) - knots_[k]) / (knots_[k + 1] - knots_[k])};
    }
    const std::vector<double>& knots() const noexcept { return knots_; }

  private:
    std::vector<double> knots_;
    sorted_cuts inner_;
};

/// Loss, gradient and, for Newton's method, the tridiagonal Hessian of sum_i w_i [softplus(eta_i) - y_i eta_i] with
/// respect to the levels; a mergeable state.
struct hat_sums {
    const hat_basis* basis = nullptr;
    const double* levels = nullptr;
    mean_value loss;
    std::vector<double> gradient, diagonal, above;

    hat_sums(const hat_basis& over, const double* at)
        : basis(&over), levels(at), gradient(over.knots().size()), diagonal(gradient.size()), above(gradient.size()) {}

    template <class P, class Y, class W>
    void absorb(const scored<P, Y, W>& rows) noexcept {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const auto [k, t] = basis->of(rows.scores[i]);
            const double eta = levels[k] + t * (levels[k + 1] - levels[k]);
            const double w = rows.weight(i), y = rows.label(i), p = math::sigmoid(eta);
            const double residual = w * (p - y), curvature = w * p * (1.0 - p);
            loss.merge(mean_value(w * (math::softplus(eta) - y * eta), w));
            gradient[k] += residual * (1.0 - t);
            gradient[k + 1] += residual * t;
            diagonal[k] += curvature * (1.0 - t) * (1.0 - t);
            diagonal[k + 1] += curvature * t * t;
            above[k] += curvature * t * (1.0 - t);
        }
    }
    void merge(const hat_sums& other) noexcept {
        loss.merge(other.loss);
        for (std::size_t k = 0; k < gradient.size(); ++k) {
            gradient[k] += other.gradient[k];
            diagonal[k] += other.diagonal[k];
            above[k] += other.above[k];
        }
    }
};

/// What is wrong with the knots and levels of a layer, or null.
inline const char* layer_fault(vector_view<const double> knots, vector_view<const double> levels) noexcept {
    constexpr auto most = static_cast<double>((std::numeric_limits<float>::max)());
    if (knots.size() < 2 || knots.size() != levels.size()) return "needs two knots or more, as many as levels";
    if (knots.size() >= (std::uint64_t{1} << 32)) return "fewer than 2^32 knots are possible";
    for (std::size_t k = 0; k < knots.size(); ++k) {
        if (!(std::fabs(knots[k]) <= most)) return "knots must be finite floats";
        if (k > 0 && !(knots[k - 1] < knots[k])) return "knots must increase";
    }
    return nullptr;
}

}  // namespace detail

struct piecewise_linear_loss_options {
    /// >= 0. Weight of the penalty on levels that fall.
    double penalty = 0.0;
};

/// Log-loss of a piecewise linear layer on log-odds, and its gradients.
///
///   eta(z) = (1 - t) b_k + t b_{k+1},   t = (z - a_k) / (a_{k+1} - a_k),   the outer lines go on beyond the ends
///   loss   = sum_i [softplus(eta_i) - y_i eta_i] + penalty sum_k max(0, b_k - b_{k+1})
///
///   d / d b_k     = sum (1 - t)(p - y), d / d b_{k+1} = sum t (p - y), p = sigmoid(eta)
///   d / d z_i     = (p - y)(b_{k+1} - b_k) / (a_{k+1} - a_k), with k the segment to the right at a knot
///
/// Shapes    logits, labels [N]; knots a, levels b [K] of doubles, K >= 2, a strictly increasing. level_gradient [K] of
///           doubles, or none; logit_gradient [N] of the type of logits, or none.
/// Writes    adds scale times the derivatives into the gradients that are given; the subgradient of the penalty is 0
///           where two levels are equal.
/// Returns   mean_value{sum of the loss without the penalty, N}; merges over shards.
/// Throws    std::invalid_argument when lengths differ, knots do not increase or penalty is negative. Propagates NaN.
/// Cost      one pass, and another for logit_gradient; an exponential, a logarithm, a division and two look-ups a row,
///           in doubles one at a time.
/// Numerics  in double.
/// Source    the layer of Neural Calibration, Pan et al. 2020, with its penalty.
template <exec::policy Policy, vector_like Z, vector_like Y, class G = none, class D = none>
mean_value piecewise_linear_loss(const Policy& where, const Z& logits, const Y& labels, vector_view<const double> knots,
                                 vector_view<const double> levels, const piecewise_linear_loss_options& options = {},
                                 G&& level_gradient = {}, D&& logit_gradient = {}, double scale = 1.0) {
    constexpr const char* kernel = "piecewise_linear_loss";
    const auto rows = make_scored(kernel, logits, labels);
    const char* const fault = detail::layer_fault(knots, levels);
    expects(fault == nullptr, kernel, fault == nullptr ? "" : fault);
    expects(options.penalty >= 0.0, kernel, "penalty must not be negative, got ", options.penalty);
    const detail::hat_basis basis(std::vector<double>(knots.begin(), knots.end()));
    if constexpr (!std::is_same_v<std::remove_cvref_t<D>, none>) {
        const auto out = view(logit_gradient);
        using T = typename decltype(out)::value_type;
        expects(out.size() == rows.size(), kernel, rows.size(), " logits but room for ", out.size(), " derivatives");
        exec::map_parts(where, rows.size(), [&](std::size_t first, std::size_t count) {
            for (std::size_t i = first; i < first + count; ++i) {
                const auto [k, t] = basis.of(rows.scores[i]);
                const double rise = levels[k + 1] - levels[k];
                const double residual = math::sigmoid(levels[k] + t * rise) - rows.label(i);
                out[i] += static_cast<T>(scale * residual * rise / (knots[k + 1] - knots[k]));
            }
        });
    }
    const auto sums = exec::fold_parts(where, detail::hat_sums(basis, levels.data()), rows);
    if constexpr (!std::is_same_v<std::remove_cvref_t<G>, none>) {
        const auto out = view(level_gradient);
        expects(out.size() == levels.size(), kernel, levels.size(), " levels but room for ", out.size(),
                " derivatives");
        for (std::size_t k = 0; k < levels.size(); ++k) out[k] += scale * sums.gradient[k];
        for (std::size_t k = 0; k + 1 < levels.size(); ++k) {
            if (!(levels[k] > levels[k + 1])) continue;
            out[k] += scale * options.penalty;
            out[k + 1] -= scale * options.penalty;
        }
    }
    return sums.loss;
}

/// sum_k max(0, b_k - b_{k+1}): how far levels fall, 0 when they do not.
inline double falling_levels(vector_view<const double> levels) noexcept {
    double sum = 0.0;
    for (std::size_t k = 0; k + 1 < levels.size(); ++k) sum += (std::max)(0.0, levels[k] - levels[k + 1]);
    return sum;
}

/// How piecewise_linear::fit works.
struct piecewise_linear_options {
    /// What the scores are.
    score_kind input = score_kind::probability;
    /// 2 .. 2^20. Knots at quantiles of the log-odds, fewer when scores repeat.
    std::size_t knots = 16;
    /// > 0. Weight of the pull towards the identity, ridge / 2 sum_k (b_k - a_k)^2.
    double ridge = 0.1;
    /// > 0. Ends the iteration when a step moves no level by more.
    double tolerance = 1e-9;
    /// >= 1. Passes over the data.
    int max_passes = 200;
};

/// Piecewise linear calibration: p' = sigmoid(eta(f)), eta a non-decreasing polygon over the log-odds f of a
/// probability or any real score, its outer lines going on beyond the ends.
///
///   fit minimises  sum_i w_i [softplus(eta_i) - y_i eta_i] + ridge / 2 sum_k (b_k - a_k)^2,   b_0 <= b_1 <= ...
///
/// Fit       knots a at the ranks round(k (N - 1) / (K - 1)) of the rows of positive weight. Newton's method, whose
///           Hessian is tridiagonal. Levels that cross at the optimum are pooled and the rest is fitted again; pooled
///           levels stay together (ours), so the result obeys the constraint but need not be its exact optimum. No
///           data: the identity. One distinct score: knots at a distance of 1 on both sides. One class: finite, as the
///           ridge allows.
/// Throws    fit: std::invalid_argument when columns differ in length or an option is out of range; counts and skips
///           bad examples. apply: std::invalid_argument when sizes differ; propagates NaN.
/// Cost      fit: a radix sort on one thread, then 5 to 20 passes with an exponential a row. apply: an exponential, two
///           look-ups, and a logarithm for probabilities.
/// Numerics  fit in double. apply: eta in double, the rest in lanes of the scores' type; monotone to the last bit.
/// Source    the layer of Pan et al. 2020; knots, ridge and the fit are ours.
class piecewise_linear {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("PLIN");
    static constexpr std::uint32_t bytes_version = 1;
    /// The fit ranks rows, whatever their weight: see refit().
    static constexpr bool ranks_rows = true;

    /// The identity.
    piecewise_linear()
        : piecewise_linear({-detail::logit_limit, detail::logit_limit}, {-detail::logit_limit, detail::logit_limit}) {}
    /// From knots a, strictly increasing, and levels b, which do not fall; both finite as floats.
    ///
    /// Throws    std::invalid_argument for other knots or levels.
    piecewise_linear(std::vector<double> knots, std::vector<double> levels, score_kind input = score_kind::probability)
        : knots_(std::move(knots)), levels_(std::move(levels)), input_(input) {
        const char* const wrong = fault();
        expects(wrong == nullptr, "piecewise_linear", wrong == nullptr ? "" : wrong);
        index_knots();
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static piecewise_linear fit(const Policy& where, const P& scores, const Y& labels, const W& weights = {},
                                const piecewise_linear_options& options = {}) {
        constexpr const char* kernel = "piecewise_linear";
        const auto batch = make_scored(kernel, scores, labels, weights);
        expects(2 <= options.knots && options.knots <= (std::size_t{1} << 20), kernel,
                "knots must be in [2, 2^20], got ", options.knots);
        expects(options.ridge > 0.0 && std::isfinite(options.ridge), kernel, "ridge must be positive and finite, got ",
                options.ridge);
        expects(options.tolerance > 0.0, kernel, "tolerance must be > 0, got ", options.tolerance);
        expects(options.max_passes >= 1, kernel, "max_passes must be >= 1, got ", options.max_passes);
        return fit_batch<Isa>(where, batch, options);
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        T level;
        map_block<Isa>(&score, &level, 1);
        return level;
    }
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        const auto from = input(scores);
        const auto to = detail::output_like("piecewise_linear", scores, out);
        exec::map_parts(where, from.size(), [&](std::size_t first, std::size_t count) {
            for (std::size_t i = first; i < first + count; i += detail::block_rows) {
                this->template map_block<Isa>(from.data() + i, to.data() + i,
                                              (std::min)(detail::block_rows, first + count - i));
            }
        });
    }

    const std::vector<double>& knots() const noexcept { return knots_; }
    const std::vector<double>& levels() const noexcept { return levels_; }
    score_kind input_kind() const noexcept { return input_; }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put_array(knots_);
        out.put_array(levels_);
        out.put(static_cast<std::uint8_t>(input_));
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static piecewise_linear read(byte_reader& in) {
        piecewise_linear p;
        p.knots_ = in.get_array<double>();
        p.levels_ = in.get_array<double>(p.knots_.size());
        const char* const wrong = p.fault();
        expects_bytes(wrong == nullptr, "piecewise_linear", wrong == nullptr ? "" : wrong);
        p.input_ = detail::read_score_kind(in, "piecewise_linear");
        p.seen_.accepted = in.get<std::uint64_t>();
        p.seen_.rejected = in.get<std::uint64_t>();
        p.index_knots();
        return p;
    }

  private:
    const char* fault() const noexcept {
        const vector_view<const double> a(knots_.data(), knots_.size()), b(levels_.data(), levels_.size());
        if (const char* const wrong = detail::layer_fault(a, b)) return wrong;
        for (std::size_t k = 0; k < levels_.size(); ++k) {
            if (!(std::fabs(levels_[k]) <= static_cast<double>((std::numeric_limits<float>::max)()))) {
                return "levels must be finite floats";
            }
            if (k > 0 && !(levels_[k - 1] <= levels_[k])) return "levels must not fall";
        }
        return nullptr;
    }
    void index_knots() { lines_ = detail::line_table(knots_, levels_, detail::beyond_ends::straight); }

    // Up to block_rows scores.
    template <class Isa, class T>
    RECKON_INLINE void map_block(const T* scores, T* out, std::size_t n) const noexcept {
        T buffer[detail::block_rows];
        simd::transform<Isa>(scores, buffer, n, T(0),
                             [kind = input_](auto score) { return detail::score_as_logit(score, kind); });
        const vector_view<T> logits(buffer, n);
        lines_.template apply<Isa>("piecewise_linear", exec::serial, logits, logits);
        simd::transform<Isa>(static_cast<const T*>(buffer), out, n, T(0), [](auto eta) { return math::sigmoid(eta); });
    }

    template <class Isa, class P, class Y, class W>
    static std::vector<double> quantile_knots(const scored<P, Y, W>& rows, std::size_t count) {
        std::vector<P> sorted;
        sorted.reserve(rows.size());
        for (const auto i : ascending_order<Isa>(rows.scores)) {
            if (rows.weight(i) > 0.0) sorted.push_back(rows.scores[i]);
        }
        std::vector<double> knots;
        const std::uint64_t last = sorted.size() - 1, steps = count - 1;
        for (std::uint64_t k = 0; k < count; ++k) {
            const auto knot = static_cast<double>(sorted[static_cast<std::size_t>((k * last + steps / 2) / steps)]);
            if (knots.empty() || knots.back() < knot) knots.push_back(knot);
        }
        if (knots.size() == 1) knots = {knots[0] - 1.0, knots[0] + 1.0};
        return knots;
    }

    template <class Isa, exec::policy Policy, class P, class Y, class W>
    static piecewise_linear fit_batch(const Policy& where, const scored<P, Y, W>& batch,
                                      const piecewise_linear_options& options) {
        const detail::logit_rows<P, Y, W, Isa> data(where, batch, options.input);
        piecewise_linear fitted;
        fitted.input_ = options.input;
        fitted.seen_ = data.summary().seen;
        if (!(data.summary().weight > 0.0)) return fitted;

        auto knots = quantile_knots<Isa>(data.rows(), options.knots);
        if (!(knots[0] < knots[1])) return fitted;  // one huge score, next to which 1 is lost
        const detail::hat_basis basis(std::move(knots));
        const std::vector<double>& a = basis.knots();
        const std::size_t n = a.size();
        std::vector<double> b = a, weight(n, 1.0);
        std::vector<std::size_t> group(n);  // levels of one group are equal
        for (std::size_t k = 0; k < n; ++k) group[k] = k;
        for (int pass = 0; pass < options.max_passes; ++pass) {
            const auto sums = exec::fold_parts(where, detail::hat_sums(basis, b.data()), data.rows());
            const std::vector<double> step = newton_step(sums, a, b, group, options.ridge);
            double largest = 0.0;
            for (const double s : step) largest = (std::max)(largest, std::fabs(s));
            if (!std::isfinite(largest)) break;
            // A Newton step lowers a logistic loss as long as it moves no log-odds by more than 1.5.
            const double t = largest > 1.5 ? 1.5 / largest : 1.0;
            for (std::size_t k = 0; k < n; ++k) b[k] += t * step[group[k]];
            if (largest > options.tolerance) continue;
            if (std::is_sorted(b.begin(), b.end())) break;
            for (std::size_t k = 0; k < n; ++k) weight[k] = sums.diagonal[k] + options.ridge;
            pool(b, weight, group);
        }
        if (!std::is_sorted(b.begin(), b.end())) pool(b, weight, group);
        fitted.knots_ = a;
        fitted.levels_ = std::move(b);
        if (fitted.fault() != nullptr) fitted.levels_ = a;
        fitted.index_knots();
        return fitted;
    }

    static void pool(std::vector<double>& b, const std::vector<double>& weight, std::vector<std::size_t>& group) {
        std::vector<std::size_t> pooled(b.size(), 0);
        const std::vector<double> crossing = b;
        isotonic_regression(crossing, b, weight);
        for (std::size_t k = 1; k < b.size(); ++k) {
            const bool together = group[k] == group[k - 1] || (b[k] == b[k - 1] && crossing[k] != crossing[k - 1]);
            if (together) b[k] = b[k - 1];
            pooled[k] = pooled[k - 1] + (together ? 0 : 1);
        }
        group = std::move(pooled);
    }

    // Step of each group of levels: the tridiagonal system, by elimination without pivots since it is definite.
    static std::vector<double> newton_step(const detail::hat_sums& sums, const std::vector<double>& a,
                                           const std::vector<double>& b, const std::vector<std::size_t>& group,
                                           double ridge) {
        const std::size_t groups = group.back() + 1;
        std::vector<double> down(groups, 0.0), diagonal(groups, 0.0), above(groups, 0.0);
        for (std::size_t k = 0; k < b.size(); ++k) {
            const std::size_t g = group[k];
            down[g] -= sums.gradient[k] + ridge * (b[k] - a[k]);
            diagonal[g] += sums.diagonal[k] + ridge;
            if (k + 1 == b.size()) continue;
            (group[k + 1] == g ? diagonal[g] : above[g]) += (group[k + 1] == g ? 2.0 : 1.0) * sums.above[k];
        }
        for (std::size_t g = 1; g < groups; ++g) {
            const double factor = above[g - 1] / diagonal[g - 1];
            // What rounding leaves of a pivot is at least the ridge.
            diagonal[g] = (std::max)(diagonal[g] - factor * above[g - 1], ridge);
            down[g] -= factor * down[g - 1];
        }
        for (std::size_t g = groups; g-- > 0;) {
            if (g + 1 < groups) down[g] -= above[g] * down[g + 1];
            down[g] /= diagonal[g];
        }
        return down;
    }

    std::vector<double> knots_, levels_;
    score_kind input_ = score_kind::probability;
    counts seen_;
    detail::line_table lines_;  // knots_ and levels_ arranged for apply()
};

}  // namespace reckon
