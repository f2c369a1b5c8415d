// Losses of a critic, the small model that learns how large the error of another one will be.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/uncertainty/counted_loss.hpp"

namespace reckon {

/// Loss of a critic's output a on an error e, and what the fitted critic then estimates.
enum class critic_form : std::uint8_t {
    qlike,        ///< e exp(-a) + a. Proper: exp(a) fits the mean of e.
    squared,      ///< (softplus(a) - e)^2. Proper: softplus(a) fits the mean of e.
    absolute,     ///< |softplus(a) - e|. Not proper for the mean: softplus(a) fits the median of e.
    log_squared,  ///< (a - ln e)^2. Not proper for the mean: exp(a) fits the geometric mean of e; needs a floor > 0.
};

struct critic_loss_options {
    critic_form form = critic_form::qlike;
    /// >= 0. Added to every error, see critic_floor(). All shards of a sum must use the same one.
    double floor = 0.0;
};

namespace detail {

/// Largest |a| of which qlike takes the exponential.
inline constexpr double critic_limit = 20.0;

template <class V>
struct value_and_slope {
    V value;
    V slope;
};

// One row of one form; e carries the floor already.
template <class V>
RECKON_INLINE value_and_slope<V> critic_row(critic_form form, V a, V e) noexcept {
    using T = simd::lane_t<V>;
    using simd::absolute;
    using simd::maximum;
    using simd::minimum;
    using simd::mul_add;
    using simd::select;
    const V zero(T(0)), one(T(1)), two(T(2));
    if (form == critic_form::qlike) {
        // The constant comes first: minimum and maximum return the second operand for NaN.
        const V inside = maximum(V(T(-critic_limit)), minimum(V(T(critic_limit)), a));
        const V ratio = e * math::exp(zero - inside);
        // Beyond the limit the loss goes on along its tangent.
        return {mul_add(ratio, one - (a - inside), a), one - ratio};
    }
    if (form == critic_form::log_squared) {
        const V d = a - math::log(e);
        return {d * d, two * d};
    }
    // softplus and its derivative from one exponential.
    const V t = math::exp(zero - absolute(a));
    const V mean = maximum(zero, a) + math::detail::log1p_of_fraction(t);
    const V slope = select(a < zero, t, one) / (one + t);
    const V d = mean - e;
    if (form == critic_form::squared) return {d * d, two * d * slope};
    return {absolute(d), select(d < zero, zero - slope, select(zero < d, slope, zero * slope))};
}

template <class T>
struct critic_rows {
    vector_view<const T> outputs, errors, weights;
    vector_view<T> gradient;

    std::size_t size() const noexcept { return outputs.size(); }
    critic_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {outputs.slice(first, count), errors.slice(first, count), weights.slice(first, count),
                gradient.slice(first, count)};
    }
};

template <class Isa>
struct critic_fold {
    critic_loss_options options;
    double scale = 1.0;
    counted_loss total;

    template <class T>
    void absorb(const critic_rows<T>& rows) noexcept {
        // qlike, the usual one, has its own loop.
        const bool qlike = options.form == critic_form::qlike;
        if (rows.weights.empty()) {
            qlike ? absorb_blocks<false, true>(rows) : absorb_blocks<false, false>(rows);
        } else {
            qlike ? absorb_blocks<true, true>(rows) : absorb_blocks<true, false>(rows);
        }
    }
    void merge(const critic_fold& other) noexcept { total.merge(other.total); }

  private:
    template <bool Weighted, bool Qlike, class T>
    void absorb_blocks(const critic_rows<T>& rows) noexcept {
        using pack = simd::pack<T, Isa>;
        const T *const a = rows.outputs.data(), *const e = rows.errors.data(), *const w = rows.weights.data();
        T* const g = rows.gradient.data();
        const bool with_gradient = !rows.gradient.empty();
        const pack zero(T(0)), most((std::numeric_limits<T>::max)());
        const pack floor(static_cast<T>(options.floor)), factor(static_cast<T>(scale));
        const T nan = std::numeric_limits<T>::quiet_NaN();
        // Lanes add up a short block in T; blocks add up in double.
        constexpr std::size_t block = 256;
        for (std::size_t first = 0; first < rows.size(); first += block) {
            const std::size_t end = (std::min)(first + block, rows.size());
            pack losses(T(0)), weights(T(0)), taken(T(0));
            const auto row = [&](pack output, pack error, pack weight) {
                auto ok = (zero <= error) & (error <= most);
                if constexpr (Weighted) ok = ok & (zero <= weight) & (weight <= most);
                // An error of 1 stands in where there is none, so that nothing overflows there.
                const pack usable = select(ok, error + floor, pack(T(1)));
                const auto found = critic_row(Qlike ? critic_form::qlike : options.form, output, usable);
                const pack counted = select(ok, weight, zero);
                taken += select(ok, pack(T(1)), zero);
                weights += counted;
                // Also where the weight is 0 the loss may be NaN, which 0 * NaN would let through.
                const auto used = zero < counted;
                losses += select(used, counted * found.value, zero);
                return select(used, factor * counted * found.slope, zero);
            };
            std::size_t i = first;
            for (; i + pack::lanes <= end; i += pack::lanes) {
                const pack weight = Weighted ? pack::load(w + i) : pack(T(1));
                const pack slope = row(pack::load(a + i), pack::load(e + i), weight);
                if (with_gradient) (pack::load(g + i) + slope).store(g + i);
            }
            if (i < end) {
                const std::size_t left = end - i;
                const pack weight = Weighted ? pack::load_padded(w + i, left, T(0)) : pack(T(1));
                // A padded error is NaN: not usable.
                const pack slope =
                    row(pack::load_padded(a + i, left, T(0)), pack::load_padded(e + i, left, nan), weight);
                if (with_gradient) (pack::load_padded(g + i, left, T(0)) + slope).store_head(g + i, left);
            }
            const auto accepted = static_cast<std::uint64_t>(reduce_add(taken));
            total.merge(counted_loss(
                mean_value(static_cast<double>(reduce_add(losses)), static_cast<double>(reduce_add(weights))),
                counts{accepted, end - first - accepted}));
        }
    }
};

template <class Isa>
struct critic_floor_fold {
    mean_value errors;

    template <class T>
    void absorb(const critic_rows<T>& rows) noexcept {
        constexpr T most = (std::numeric_limits<T>::max)();
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const T e = rows.errors[i], w = rows.weights.empty() ? T(1) : rows.weights[i];
            if (!(T(0) <= e && e <= most && T(0) <= w && w <= most)) continue;
            errors.absorb(static_cast<double>(e), static_cast<double>(w));
        }
    }
    void merge(const critic_floor_fold& other) noexcept { errors.merge(other.errors); }
};

template <class E, class W>
auto make_critic_rows(const char* kernel, const E& errors, const W& weights) {
    const auto e = input(errors);
    using T = typename decltype(e)::value_type;
    if constexpr (std::is_same_v<W, none>) {
        return critic_rows<T>{e, e, {}, {}};
    } else {
        const auto w = input(weights);
        static_assert(std::is_same_v<T, typename decltype(w)::value_type>,
                      "reckon: errors and weights must have the same type, float or double");
        expects(w.size() == e.size(), kernel, e.size(), " errors but ", w.size(), " weights");
        return critic_rows<T>{e, e, w, {}};
    }
}

}  // namespace detail

/// Loss of a critic and its gradient with respect to the critic's outputs.
///
///   loss = sum_i w_i form(outputs_i, errors_i + floor)
///
/// qlike is the Gamma deviance up to a constant: scale-free, convex in a, and its minimiser is the mean of e whatever
/// its distribution. Multiplying all errors by c moves the fitted a by ln c and changes no gradient there.
///
/// Shapes    outputs, errors [N], weights [N] or none for ones, gradient [N] or none: float or double, all of one type.
/// Writes    adds scale * d loss / d outputs into `gradient` when it is given; it may not overlap the inputs.
/// Returns   counted_loss{sum, weight, counts}; merges over shards.
/// Throws    std::invalid_argument when lengths differ or the floor is negative or not finite. Counts and skips rows
///           whose error is NaN (not observed yet), negative or infinite or whose weight is not in [0, inf); they add 0
///           to the gradient. Propagates a NaN output.
/// Cost      one pass for the loss and the gradient, one exponential a row; squared and absolute add a polynomial.
/// Numerics  float lanes add up blocks of 256 rows, blocks are compensated doubles: relative to the sum of magnitudes
///           2e-6 for float, 1e-13 for double. Beyond |a| = 20 qlike goes on along its tangent, so that nothing
///           overflows and the gradient stays that of the value. An error of 0 pushes a down without end: add a floor.
/// Source    Patton 2011 (QLIKE and why other losses do not fit the mean); the tangent and the floor are our choice.
template <exec::policy Policy, vector_like A, vector_like E, class W = none, class G = none, class Isa = isa::native>
counted_loss critic_loss(const Policy& where, const A& outputs, const E& errors, const W& weights = {},
                         const critic_loss_options& options = {}, G&& gradient = {}, double scale = 1.0) {
    auto rows = detail::make_critic_rows("critic_loss", errors, weights);
    using T = typename decltype(rows.errors)::value_type;
    static_assert(std::is_same_v<T, typename decltype(input(outputs))::value_type>,
                  "reckon: outputs and errors must have the same type, float or double");
    rows.outputs = input(outputs);
    expects(rows.outputs.size() == rows.errors.size(), "critic_loss", rows.outputs.size(), " outputs but ",
            rows.errors.size(), " errors");
    expects(options.floor >= 0.0 && options.floor <= static_cast<double>((std::numeric_limits<T>::max)()),
            "critic_loss", "floor must be finite and >= 0, got ", options.floor);
    if constexpr (!std::is_same_v<std::remove_cvref_t<G>, none>) {
        rows.gradient = view(gradient);
        expects(rows.gradient.size() == rows.outputs.size(), "critic_loss", rows.outputs.size(),
                " outputs but room for ", rows.gradient.size(), " derivatives");
    }
    return exec::fold_parts(where, detail::critic_fold<Isa>{options, scale, {}}, rows).total;
}

/// A floor for critic_loss(): 1e-6 times the mean error, which moves the fitted mean by as much.
///
/// Shapes    errors [N], weights [N] or none for ones, of one type.
/// Returns   the floor; 0 when no row is usable.
/// Throws    std::invalid_argument when lengths differ. Skips what critic_loss() skips.
/// Cost      one pass.
/// Source    ours.
template <exec::policy Policy, vector_like E, class W = none, class Isa = isa::native>
double critic_floor(const Policy& where, const E& errors, const W& weights = {}) {
    const auto rows = detail::make_critic_rows("critic_floor", errors, weights);
    const mean_value mean = exec::fold_parts(where, detail::critic_floor_fold<Isa>{}, rows).errors;
    return mean.weight() > 0.0 ? 1e-6 * mean.finish() : 0.0;
}

}  // namespace reckon
