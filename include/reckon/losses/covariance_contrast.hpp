// CMLTV's regression contrast: predicted amounts should rise with the predicted probability of a purchase.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/contrast_rows.simd.hpp"
#include "reckon/losses/detail/derivatives.hpp"
#include "reckon/losses/detail/factor.hpp"

namespace reckon {

namespace detail {
template <class Isa>
struct co_moments_fold;
}

/// Means, variances and covariance of two columns by updates that do not cancel.
///
/// Rows with a value that is not finite (double: or beyond 1e140 in size) are counted and skipped.
/// Numerics  blocks of 512 rows in lanes of their type around their own means; blocks merge in double.
/// Source    Chan, Golub and LeVeque 1983.
class co_moments {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("COMO");
    static constexpr std::uint32_t bytes_version = 1;

    void absorb(double z, double r) noexcept {
        const bool ok = detail::usable_score(z) && detail::usable_score(r);
        if (ok) merge_parts(1, {z, r, 0.0, 0.0, 0.0});
        seen_.absorb(ok);
    }
    /// Scores are z and labels r. Weights are ignored: every row counts once.
    template <class P, class W, class Isa = isa::native>
    void absorb(const scored<P, P, W>& rows) noexcept {
        absorb_columns<Isa>(rows);
    }
    void merge(const co_moments& other) noexcept {
        if (other.seen_.accepted > 0) merge_parts(other.seen_.accepted, other.at_);
        seen_.merge(other.seen_);
    }

    std::uint64_t rows() const noexcept { return seen_.accepted; }
    /// NaN while there are no rows.
    double mean_z() const noexcept { return rows() > 0 ? at_.mean_z : none_yet; }
    double mean_r() const noexcept { return rows() > 0 ? at_.mean_r : none_yet; }
    /// Sums of squares over rows - 1: 0 for one row, NaN for none.
    double variance_z() const noexcept { return over_rows(at_.zz); }
    double variance_r() const noexcept { return over_rows(at_.rr); }
    double covariance() const noexcept { return over_rows(at_.zr); }
    /// 0 where a standard deviation is below `least_deviation`.
    double correlation(double least_deviation = 1e-6) const noexcept {
        const double z = std::sqrt(variance_z()), r = std::sqrt(variance_r());
        return z < least_deviation || r < least_deviation ? 0.0 : covariance() / z / r;
    }
    /// The covariance.
    double finish() const noexcept { return covariance(); }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    void write(byte_writer& out) const {
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        for (const double x : {at_.mean_z, at_.mean_r, at_.zr, at_.zz, at_.rr}) out.put(x);
    }
    static co_moments read(byte_reader& in) {
        constexpr const char* what = "co_moments";
        co_moments state;
        state.seen_.accepted = in.get<std::uint64_t>();
        state.seen_.rejected = in.get<std::uint64_t>();
        auto& at = state.at_;
        for (double* x : {&at.mean_z, &at.mean_r, &at.zr, &at.zz, &at.rr}) {
            *x = in.get<double>();
            expects_bytes(std::isfinite(*x), what, "a moment is not finite");
        }
        const double rows = static_cast<double>(state.rows());
        // Squares may have been too small for a double where products were not.
        constexpr double most = detail::largest_contrast_score, slack = 1.0 + 1e-6, lost = 1e-300;
        expects_bytes(std::fabs(at.mean_z) <= most * slack && std::fabs(at.mean_r) <= most * slack, what,
                      "a mean that no rows have");
        expects_bytes(at.zz >= 0.0 && at.rr >= 0.0 && at.zz <= slack * most * most * rows &&
                          at.rr <= slack * most * most * rows &&
                          std::fabs(at.zr) <= slack * std::sqrt(at.zz + lost * rows) * std::sqrt(at.rr + lost * rows),
                      what, "squares that no rows have");
        expects_bytes(rows > 1.0 || (at.zz == 0.0 && at.rr == 0.0 && at.zr == 0.0), what, "squares without rows");
        expects_bytes(rows > 0.0 || (at.mean_z == 0.0 && at.mean_r == 0.0), what, "means without rows");
        return state;
    }

  private:
    template <class Isa>
    friend struct detail::co_moments_fold;
    static constexpr double none_yet = std::numeric_limits<double>::quiet_NaN();

    double over_rows(double sum) const noexcept {
        if (rows() < 2) return rows() == 0 ? none_yet : 0.0;
        return sum / (static_cast<double>(rows()) - 1.0);
    }
    // Before rows are counted.
    void merge_parts(std::uint64_t rows_of_part, const detail::block_moments& part) noexcept {
        const double mine = static_cast<double>(rows()), theirs = static_cast<double>(rows_of_part);
        const double share = theirs / (mine + theirs), both = mine * share;
        const double z = part.mean_z - at_.mean_z, r = part.mean_r - at_.mean_r;
        // mul_add, because a compiler may fuse a product and a sum in one place and not in another.
        at_.mean_z = simd::mul_add(z, share, at_.mean_z);
        at_.mean_r = simd::mul_add(r, share, at_.mean_r);
        at_.zr = simd::mul_add(z * r, both, at_.zr + part.zr);
        at_.zz = simd::mul_add(z * z, both, at_.zz + part.zz);
        at_.rr = simd::mul_add(r * r, both, at_.rr + part.rr);
    }
    template <class Isa, class Rows>
    void absorb_columns(const Rows& rows) noexcept {
        using T = typename Rows::score_type;
        constexpr std::size_t block = detail::contrast_block;
        for (std::size_t first = 0; first < rows.size(); first += block) {
            const std::size_t n = (std::min)(block, rows.size() - first);
            const T *const z = rows.scores.data() + first, *const r = rows.labels.data() + first;
            detail::block_moments part;
            if (detail::block_co_moments<T, Isa>(z, r, n, part)) {
                merge_parts(n, part);
                seen_.accepted += n;
            } else {
                for (std::size_t i = 0; i < n; ++i) absorb(static_cast<double>(z[i]), static_cast<double>(r[i]));
            }
        }
    }

    counts seen_;
    detail::block_moments at_;
};

/// What the contrast calls a rise.
enum class covariance_form {
    covariance,  ///< twice the sample covariance: the mean over pairs of (z_i - z_j)(r_i - r_j)
    correlation  ///< the correlation, which does not grow with either scale; 0 where a standard deviation is below 1e-6
};

struct covariance_contrast_options {
    /// In [1e-15, 1e15]. The rise is divided by this.
    double temperature = 1.0;
    covariance_form form = covariance_form::covariance;
};

namespace detail {

template <class Isa>
struct co_moments_fold {
    co_moments total;
    template <class Rows>
    void absorb(const Rows& rows) noexcept {
        total.absorb_columns<Isa>(rows);
    }
    void merge(const co_moments_fold& other) noexcept { total.merge(other.total); }
};

inline double rise_of(const co_moments& whole, covariance_form form) noexcept {
    return form == covariance_form::covariance ? 2.0 * whole.covariance() : whole.correlation();
}

// d rise / d r_i = from_other (z_i - mean z) + from_own (r_i - mean r), and the same for z with the columns exchanged.
struct rise_slope {
    double from_other = 0.0, from_own = 0.0;
};
inline rise_slope slope_of(const co_moments& whole, covariance_form form, double own_variance,
                           double other_variance) noexcept {
    if (whole.rows() < 2) return {};
    const double free = static_cast<double>(whole.rows()) - 1.0;
    if (form == covariance_form::covariance) return {2.0 / free, 0.0};
    const double own = std::sqrt(own_variance), other = std::sqrt(other_variance);
    if (own < 1e-6 || other < 1e-6) return {};
    return {1.0 / free / own / other, -whole.correlation() / free / own_variance};
}

template <class Z, class R>
auto make_contrast_rows(const char* kernel, const Z& scores, const R& outputs, double temperature) {
    using T = typename decltype(input(scores))::value_type;
    static_assert(std::is_same_v<T, typename decltype(input(outputs))::value_type>,
                  "reckon: scores and outputs of covariance_contrast must have the same type");
    expect_factor(kernel, "temperature", temperature);
    const auto z = input(scores), r = input(outputs);
    expects(z.size() == r.size(), kernel, z.size(), " scores but ", r.size(), " outputs");
    return scored<T, T>{z, r, {}};
}

}  // namespace detail

/// co_moments of a batch or shard.
///
/// Shapes    scores (z), outputs (r) [N]: float or double, both the same.
/// Throws    std::invalid_argument when lengths differ. Counts and skips as co_moments.
/// Cost      one pass over memory, two over the cache.
template <exec::policy Policy, vector_like Z, vector_like R, class Isa = isa::native>
co_moments co_moments_of(const Policy& where, const Z& scores, const R& outputs) {
    const auto rows = detail::make_contrast_rows("co_moments_of", scores, outputs, 1.0);
    return exec::fold_parts(where, detail::co_moments_fold<Isa>{}, rows).total;
}

/// log(1 + e^(-rise / temperature)) of rows that may come from many shards; log 2 for one row, NaN for none.
inline double covariance_loss(const co_moments& whole, const covariance_contrast_options& options = {}) {
    detail::expect_factor("covariance_loss", "temperature", options.temperature);
    return whole.rows() == 0 ? std::numeric_limits<double>::quiet_NaN()
                             : math::softplus(-detail::rise_of(whole, options.form) / options.temperature);
}

/// Gradients of the contrast of `whole`, which has absorbed these rows and perhaps those of other shards.
///
/// Shapes    as covariance_contrast().
/// Writes    adds scale * d loss / d outputs into `gradient` and, when it is given, scale * d loss / d scores into
///           `score_gradient`.
/// Throws    std::invalid_argument when lengths differ or an option is out of range. NaN for rows that co_moments
///           skips.
/// Cost      one pass in lanes for each gradient.
template <exec::policy Policy, vector_like Z, vector_like R, class G, class S = none, class Isa = isa::native>
void covariance_gradient(const Policy& where, const co_moments& whole, const Z& scores, const R& outputs, G&& gradient,
                         const covariance_contrast_options& options = {}, double scale = 1.0, S&& score_gradient = {}) {
    constexpr const char* kernel = "covariance_gradient";
    const auto rows = detail::make_contrast_rows(kernel, scores, outputs, options.temperature);
    using T = typename std::remove_const_t<decltype(rows)>::score_type;
    const double pull =
        whole.rows() < 2
            ? 0.0
            : -scale * math::sigmoid(-detail::rise_of(whole, options.form) / options.temperature) / options.temperature;
    const auto gradient_of_outputs = detail::derivative_output<T>(kernel, gradient, rows.size(), "rows"),
               gradient_of_scores = detail::derivative_output<T>(kernel, score_gradient, rows.size(), "rows");
    const bool any = whole.rows() > 0;
    const double mean_z = any ? whole.mean_z() : 0.0, mean_r = any ? whole.mean_r() : 0.0;
    const double variance_z = whole.variance_z(), variance_r = whole.variance_r();
    const detail::rise_slope by_output = detail::slope_of(whole, options.form, variance_r, variance_z),
                             by_score = detail::slope_of(whole, options.form, variance_z, variance_r);
    exec::map_parts(where, rows.size(), [&](std::size_t first, std::size_t count) {
        const T *const z = rows.scores.data() + first, *const r = rows.labels.data() + first;
        if (!gradient_of_outputs.empty()) {
            detail::add_affine<T, Isa>(z, r, gradient_of_outputs.data() + first, count, pull * by_output.from_other,
                                       mean_z, pull * by_output.from_own, mean_r);
        }
        if (!gradient_of_scores.empty()) {
            detail::add_affine<T, Isa>(z, r, gradient_of_scores.data() + first, count, pull * by_score.from_own, mean_z,
                                       pull * by_score.from_other, mean_r);
        }
    });
}

/// Contrast of outputs against scores in O(B): the logistic loss of how outputs rise with scores.
///
///   loss = log(1 + e^(-C / t)),   C = mean over pairs i != j of (z_i - z_j)(r_i - r_j) = 2 cov(z, r),   or corr(z, r)
///   d loss / d r_i = -sigmoid(-C / t) / t * 2 (z_i - mean z) / (B - 1)
///
/// It is the one signal that regressors get from rows without an amount. The scores are constants unless their gradient
/// is asked for, so that the classifier is not bent towards the regressor.
///
/// Shapes    scores z, outputs r [B]: float or double, both the same. gradient (of the outputs), score_gradient [B] of
///           that type, or none.
/// Writes    adds scale * d loss / d outputs into `gradient` and scale * d loss / d scores into `score_gradient` when
///           they are given; they may not overlap the inputs.
/// Returns   mean_value{loss, 1}, log 2 for one row; an empty one for none. Shards merge their co_moments, not this.
/// Throws    std::invalid_argument when lengths differ or an option is out of range. Rows that co_moments skips count
///           nothing; their derivatives are NaN.
/// Cost      a pass for the moments and one for each gradient; memory traffic decides from the third-level cache on.
/// Numerics  as co_moments. Finite values (double: up to 1e140) give no NaN.
/// Source    CMLTV (Wu et al. 2023) asks for a positive correlation; formula and tie to all rows ours.
template <exec::policy Policy, vector_like Z, vector_like R, class G = none, class S = none, class Isa = isa::native>
mean_value covariance_contrast(const Policy& where, const Z& scores, const R& outputs,
                               const covariance_contrast_options& options = {}, G&& gradient = {}, double scale = 1.0,
                               S&& score_gradient = {}) {
    constexpr const char* kernel = "covariance_contrast";
    const auto rows = detail::make_contrast_rows(kernel, scores, outputs, options.temperature);
    using T = typename std::remove_const_t<decltype(rows)>::score_type;
    detail::derivative_output<T>(kernel, gradient, rows.size(), "rows");
    detail::derivative_output<T>(kernel, score_gradient, rows.size(), "rows");
    const co_moments whole = exec::fold_parts(where, detail::co_moments_fold<Isa>{}, rows).total;
    covariance_gradient<Policy, Z, R, G&, S&, Isa>(where, whole, scores, outputs, gradient, options, scale,
                                                   score_gradient);
    if (whole.rows() == 0) return {};
    return {covariance_loss(whole, options), 1.0};
}

}  // namespace reckon
