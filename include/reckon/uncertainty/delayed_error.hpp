// Errors of yesterday's predictions on today's outcomes: what a critic learns from.
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

namespace reckon {

/// What delayed_error() computes from an outcome y and a prediction f.
enum class error_kind : std::uint8_t {
    squared,        ///< (y - f)^2, any real numbers
    brier,          ///< (y - f)^2, both in [0, 1]
    log_loss,       ///< -y ln f - (1 - y) ln(1 - f), both in [0, 1]
    log1p_squared,  ///< (ln(1 + y) - f)^2, y >= 0: durations and counts
};

struct delayed_error_options {
    error_kind kind = error_kind::squared;
    /// > 0. Larger errors count as this one (winsorised); inf: the largest number of the type.
    double cap = std::numeric_limits<double>::infinity();
    /// 1e-16 .. 0.1. log_loss: f is limited to [epsilon, 1 - epsilon].
    double epsilon = 1e-7;
};

namespace detail {

// The error where the row is usable, NaN elsewhere.
template <class V>
struct delayed_error_rule {
    using T = simd::lane_t<V>;
    error_kind kind;
    V cap, log_low, log_high;

    explicit delayed_error_rule(const delayed_error_options& options) noexcept
        : kind(options.kind),
          cap(static_cast<T>((std::min)(options.cap, static_cast<double>((std::numeric_limits<T>::max)())))),
          log_low(static_cast<T>(std::log(options.epsilon))),
          log_high(static_cast<T>(std::log1p(-options.epsilon))) {}

    RECKON_INLINE V operator()(V f, V y) const noexcept {
        const V zero(T(0)), one(T(1)), most((std::numeric_limits<T>::max)());
        const V nan(simd::float_format<T>::quiet_nan);
        auto ok = (absolute(f) <= most) & (absolute(y) <= most);
        V e;
        switch (kind) {
            case error_kind::log_loss: {
                ok = (zero <= f) & (f <= one) & (zero <= y) & (y <= one);
                // Limiting the logarithm is the same as limiting f, and treats both ends alike in float.
                const V yes = maximum(log_low, minimum(log_high, math::log(f)));
                const V no = maximum(log_low, minimum(log_high, math::log1p(zero - f)));
                e = zero - (y * yes + (one - y) * no);
                break;
            }
            case error_kind::log1p_squared: {
                ok = ok & (zero <= y);
                const V d = math::log1p(y) - f;
                e = d * d;
                break;
            }
            case error_kind::brier:
                ok = (zero <= f) & (f <= one) & (zero <= y) & (y <= one);
                e = (y - f) * (y - f);
                break;
            default:
                e = (y - f) * (y - f);
        }
        return select(ok, minimum(cap, e), nan);
    }
};

template <class T>
struct delayed_error_rows {
    vector_view<const T> predictions, outcomes;
    vector_view<T> errors;

    std::size_t size() const noexcept { return predictions.size(); }
    delayed_error_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {predictions.slice(first, count), outcomes.slice(first, count), errors.slice(first, count)};
    }
};

// Writes errors and counts them.
template <class Isa>
struct delayed_error_fold {
    delayed_error_options options;
    counts seen;

    template <class T>
    void absorb(const delayed_error_rows<T>& rows) noexcept {
        using pack = simd::pack<T, Isa>;
        const delayed_error_rule<pack> rule(options);
        const T *const f = rows.predictions.data(), *const y = rows.outcomes.data();
        T* const out = rows.errors.data();
        // Counts of a block stay exact in a lane's type.
        constexpr std::size_t block = 256;
        for (std::size_t first = 0; first < rows.size(); first += block) {
            const std::size_t end = (std::min)(first + block, rows.size());
            pack taken(T(0));
            const auto count = [&](pack e) { taken += select(e == e, pack(T(1)), pack(T(0))); };
            std::size_t i = first;
            for (; i + pack::lanes <= end; i += pack::lanes) {
                const pack e = rule(pack::load(f + i), pack::load(y + i));
                count(e);
                e.store(out + i);
            }
            if (i < end) {
                // A padded outcome is missing, so it is not counted.
                const T nan = std::numeric_limits<T>::quiet_NaN();
                const pack e = rule(pack::load_padded(f + i, end - i, T(0)), pack::load_padded(y + i, end - i, nan));
                count(e);
                e.store_head(out + i, end - i);
            }
            const auto accepted = static_cast<std::uint64_t>(reduce_add(taken));
            seen.accepted += accepted;
            seen.rejected += end - first - accepted;
        }
    }
    void merge(const delayed_error_fold& other) noexcept { seen.merge(other.seen); }
};

}  // namespace detail

/// Error of each prediction on an outcome that came later; an outcome of NaN has not been observed yet.
///
///   errors_i = min(cap, error_kind(outcomes_i, predictions_i))
///
/// Shapes    predictions, outcomes, errors [N]: float or double, all of one type.
/// Writes    errors, finite and >= 0 where outcome and prediction are usable, NaN elsewhere; may be the memory of an
///           input.
/// Returns   how many errors were written and how many rows gave NaN: an outcome or prediction that is NaN, infinite or
///           outside the range of its kind.
/// Throws    std::invalid_argument when lengths differ or an option is out of range.
/// Cost      one pass; log_loss two logarithms a row, log1p_squared one.
/// Numerics  in the type of the columns: within 8 roundings of it, log_loss and log1p_squared relative to the
///           logarithms.
///           Predictions must come from a model that has not seen the row: on its own training rows this measures fit.
/// Source    Lahlou et al. 2023 (errors of held-out rows as targets of an error predictor); winsorising ours.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Out, class Isa = isa::native>
counts delayed_error(const Policy& where, const P& predictions, const Y& outcomes, Out&& errors,
                     const delayed_error_options& options = {}) {
    const auto f = input(predictions);
    const auto y = input(outcomes);
    const auto out = view(errors);
    using T = typename decltype(f)::value_type;
    static_assert(
        std::is_same_v<T, typename decltype(y)::value_type> && std::is_same_v<T, typename decltype(out)::element_type>,
        "reckon: predictions, outcomes and errors must have the same type, float or double");
    expects(f.size() == y.size(), "delayed_error", f.size(), " predictions but ", y.size(), " outcomes");
    expects(out.size() == f.size(), "delayed_error", f.size(), " predictions but room for ", out.size(), " errors");
    expects(options.cap > 0.0, "delayed_error", "cap must be > 0, got ", options.cap);
    expects(options.epsilon >= 1e-16 && options.epsilon <= 0.1, "delayed_error",
            "epsilon must be in [1e-16, 0.1], got ", options.epsilon);
    return exec::fold_parts(where, detail::delayed_error_fold<Isa>{options, {}},
                            detail::delayed_error_rows<T>{f, y, out})
        .seen;
}

}  // namespace reckon
