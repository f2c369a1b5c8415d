// Huber loss: squared near 0, linear far out, so that a few wild targets do not rule the fit.
#pragma once

#include <cstddef>
#include <type_traits>

#include "reckon/core/batch.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

struct huber_options {
    /// > 0. Size of a residual from which on the loss is linear.
    double delta = 1.0;
};

namespace detail {

// Arithmetic over a value type V: one float or double, or a pack of them.
template <class V>
RECKON_INLINE V huber_value(V residual, V delta) noexcept {
    using T = simd::lane_t<V>;
    using simd::absolute;
    using simd::select;
    const V size = absolute(residual);
    return select(size < delta, V(T(0.5)) * residual * residual, delta * (size - V(T(0.5)) * delta));
}
template <class V>
RECKON_INLINE V huber_slope(V residual, V delta) noexcept {
    using simd::maximum;
    using simd::minimum;
    // The bound comes first: minimum and maximum return the second operand for NaN.
    return maximum(V(simd::lane_t<V>(0)) - delta, minimum(delta, residual));
}

// The fold. Isa is part of the type, so that units built with different flags do not share it.
template <class Isa>
struct huber_sum {
    double delta = 1.0;
    mean_value loss;

    template <class T>
    void absorb(const scored<T, T>& rows) noexcept {
        using pack = simd::pack<T, Isa>;
        // Lanes add up a short block in T; blocks add up in double.
        constexpr std::size_t block = 256;
        const T *const p = rows.scores.data(), *const y = rows.labels.data();
        const pack width(static_cast<T>(delta));
        for (std::size_t first = 0; first < rows.size(); first += block) {
            const std::size_t end = rows.size() - first < block ? rows.size() : first + block;
            pack sum(T(0));
            std::size_t i = first;
            for (; i + pack::lanes <= end; i += pack::lanes) {
                sum += huber_value(pack::load(p + i) - pack::load(y + i), width);
            }
            // A padded lane has residual 0 and adds nothing.
            if (i < end) {
                sum += huber_value(pack::load_padded(p + i, end - i, T(0)) - pack::load_padded(y + i, end - i, T(0)),
                                   width);
            }
            loss.merge(mean_value(static_cast<double>(reduce_add(sum)), static_cast<double>(end - first)));
        }
    }
    void merge(const huber_sum& other) noexcept { loss.merge(other.loss); }
};

}  // namespace detail

/// Huber loss of predictions, and its gradient.
///
///   loss = sum_i h(scores_i - targets_i),   h(r) = r^2 / 2 for |r| < delta, delta (|r| - delta / 2) beyond
///
/// Shapes    scores, targets [N]: float or double, both the same. gradient [N] of that type, or none.
/// Writes    adds scale * d loss / d scores into `gradient` when it is given; it may not overlap the inputs.
/// Returns   mean_value{sum, N}; merges over shards.
/// Throws    std::invalid_argument when lengths differ or delta is not positive. Propagates NaN.
/// Cost      one pass for the loss and one for the gradient, a few operations a row.
/// Numerics  float lanes add up blocks of 256 rows, sums of blocks are compensated doubles: relative error of the loss
///           below 2e-6 for float, 1e-13 for double.
/// Source    Huber 1964.
template <exec::policy Policy, vector_like P, vector_like Y, class G = none, class Isa = isa::native>
mean_value huber_loss(const Policy& where, const P& scores, const Y& targets, const huber_options& options = {},
                      G&& gradient = {}, double scale = 1.0) {
    using T = typename decltype(input(scores))::value_type;
    static_assert(std::is_same_v<T, typename decltype(input(targets))::value_type>,
                  "reckon: scores and targets of huber_loss must have the same type");
    expects(options.delta > 0.0, "huber_loss", "delta must be positive, got ", options.delta);
    const auto made = make_scored("huber_loss", scores, targets);
    const scored<T, T> rows{made.scores, made.labels, {}};

    if constexpr (!std::is_same_v<std::remove_cvref_t<G>, none>) {
        const auto out = view(gradient);
        expects(out.size() == rows.size(), "huber_loss", rows.size(), " scores but room for ", out.size(),
                " derivatives");
        exec::map_parts(where, rows.size(), [&](std::size_t first, std::size_t count) {
            using pack = simd::pack<T, Isa>;
            const pack width(static_cast<T>(options.delta)), factor(static_cast<T>(scale));
            for (std::size_t i = first; i < first + count; i += pack::lanes) {
                const std::size_t left = first + count - i;
                if (left >= pack::lanes) {
                    const pack r = pack::load(rows.scores.data() + i) - pack::load(rows.labels.data() + i);
                    mul_add(factor, detail::huber_slope(r, width), pack::load(out.data() + i)).store(out.data() + i);
                } else {
                    const pack r = pack::load_padded(rows.scores.data() + i, left, T(0)) -
                                   pack::load_padded(rows.labels.data() + i, left, T(0));
                    const pack had = pack::load_padded(out.data() + i, left, T(0));
                    mul_add(factor, detail::huber_slope(r, width), had).store_head(out.data() + i, left);
                }
            }
        });
    }
    return exec::fold_parts(where, detail::huber_sum<Isa>{options.delta, {}}, rows).loss;
}

}  // namespace reckon
