// Pinball loss of predicted quantiles: its minimiser is the quantile.
#pragma once

#include <cstddef>
#include <type_traits>
#include <vector>

#include "reckon/core/class_batch.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// Level of the k-th of K quantiles, k = 0 .. K - 1, where a kernel is not given levels: the middle of the k-th of K parts.
inline double quantile_level(std::size_t k, std::size_t count) noexcept {
    return (static_cast<double>(k) + 0.5) / static_cast<double>(count);
}

namespace detail {

template <class V>
RECKON_INLINE V pinball_value(V level, V miss) noexcept {
    using simd::maximum;
    // Both are NaN when one is.
    return maximum(level * miss, (level - V(simd::lane_t<V>(1))) * miss);
}
// d/dQ for miss = y - Q; a NaN goes through.
template <class V>
RECKON_INLINE V pinball_slope(V level, V miss) noexcept {
    using T = simd::lane_t<V>;
    using simd::select;
    const V zero(T(0));
    const V tie = select(miss == zero, V(T(0.5)) - level, miss);
    return select(miss < zero, V(T(1)) - level, select(zero < miss, zero - level, tie));
}

template <class T>
struct pinball_rows {
    matrix_view<const T> quantiles;
    vector_view<const T> targets;

    std::size_t size() const noexcept { return targets.size(); }
    pinball_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {quantiles.slice(first, count), targets.slice(first, count)};
    }
};

template <class T, class Isa>
struct pinball_sum {
    const T* levels = nullptr;
    mean_value loss;

    void absorb(const pinball_rows<T>& rows) noexcept {
        using pack = simd::pack<T, Isa>;
        // Lanes add up a short block in T; blocks add up in double.
        constexpr std::size_t block = 256;
        const std::size_t count = rows.quantiles.cols();
        compensated_sum total;
        for (std::size_t r = 0; r < rows.size(); ++r) {
            const T* const q = rows.quantiles.row(r).data();
            const pack y(rows.targets[r]);
            for (std::size_t first = 0; first < count; first += block) {
                const std::size_t end = count - first < block ? count : first + block;
                pack sum(T(0));
                std::size_t k = first;
                for (; k + pack::lanes <= end; k += pack::lanes) {
                    sum += pinball_value(pack::load(levels + k), y - pack::load(q + k));
                }
                if (k < end) {
                    // A padded lane predicts the target and adds nothing, except that inf - inf is NaN.
                    T miss[pack::lanes] = {};
                    for (std::size_t lane = 0; k + lane < end; ++lane) miss[lane] = rows.targets[r] - q[k + lane];
                    sum += pinball_value(pack::load_padded(levels + k, end - k, T(0.5)), pack::load(miss));
                }
                total.absorb(static_cast<double>(reduce_add(sum)));
            }
        }
        loss.merge(mean_value(total.value(), static_cast<double>(rows.size())));
    }
    void merge(const pinball_sum& other) noexcept { loss.merge(other.loss); }
};

}  // namespace detail

/// Pinball loss of K quantiles a row, and its gradient.
///
///   loss = sum_i sum_k max(tau_k (y_i - Q_ik), (tau_k - 1) (y_i - Q_ik))
///   d loss / d Q_ik = 1[y_i < Q_ik] - tau_k,  1/2 - tau_k where they are equal
///
/// Shapes    predicted [B, K]: the quantiles Q; targets [B]: float or double, both the same. levels [K] in (0, 1), or none
///           for (k + 1/2) / K. gradient [B, K] of the type of the quantiles, or none.
/// Writes    adds scale * d loss / d Q into `gradient` when it is given; it may not overlap the inputs.
/// Returns   mean_value{sum, B}; merges over shards.
/// Throws    std::invalid_argument when shapes differ or a level is not in (0, 1), in the type of the columns: at 0 and 1
///           no finite quantile is best. Propagates NaN; an infinite target costs infinity, and NaN where it is met by a
///           quantile of the same infinity.
/// Cost      one pass for the loss and one for the gradient, 4 operations a quantile; K numbers of scratch.
/// Numerics  lanes add up at most 256 quantiles in the type of the columns, their sums are compensated doubles: relative
///           error of the loss below 2e-6 for float, 1e-13 for double.
/// Source    Koenker and Bassett 1978.
template <exec::policy Policy, matrix_like Q, vector_like Y, class L = none, class G = none, class Isa = isa::native>
mean_value pinball_loss(const Policy& where, const Q& predicted, const Y& targets, const L& levels = {},
                        G&& gradient = {}, double scale = 1.0) {
    const auto quantiles = input(predicted);
    const auto y = input(targets);
    using T = typename decltype(quantiles)::value_type;
    static_assert(std::is_same_v<T, typename decltype(y)::value_type>,
                  "reckon: quantiles and targets of pinball_loss must have the same type");
    const auto given = input(levels);
    const std::size_t count = quantiles.cols();
    expects(quantiles.rows() == y.size(), "pinball_loss", quantiles.rows(), " rows of quantiles but ", y.size(),
            " targets");
    expects(given.empty() || given.size() == count, "pinball_loss", count, " quantiles but ", given.size(), " levels");
    std::vector<T> level(count);
    for (std::size_t k = 0; k < count; ++k) {
        const double at = given.empty() ? quantile_level(k, count) : static_cast<double>(given[k]);
        level[k] = static_cast<T>(at);
        expects(T(0) < level[k] && level[k] < T(1), "pinball_loss", "levels must be in (0, 1), got ", at);
    }
    const std::size_t rows_a_part = exec::detail::rows_a_part(count);
    if constexpr (!std::is_same_v<std::remove_cvref_t<G>, none>) {
        const auto out = view(gradient);
        expects(out.rows() == quantiles.rows() && out.cols() == count, "pinball_loss", "quantiles are ",
                quantiles.rows(), " x ", count, ", the gradient is ", out.rows(), " x ", out.cols());
        exec::map_parts(
            where, y.size(),
            [&](std::size_t first, std::size_t rows) {
                using pack = simd::pack<T, Isa>;
                const pack factor(static_cast<T>(scale));
                for (std::size_t r = first; r < first + rows; ++r) {
                    const T* const q = quantiles.row(r).data();
                    T* const to = out.row(r).data();
                    const pack target(y[r]);
                    for (std::size_t k = 0; k < count; k += pack::lanes) {
                        const std::size_t left = count - k;
                        if (left >= pack::lanes) {
                            const pack slope =
                                detail::pinball_slope(pack::load(level.data() + k), target - pack::load(q + k));
                            mul_add(factor, slope, pack::load(to + k)).store(to + k);
                        } else {
                            const pack slope = detail::pinball_slope(pack::load_padded(level.data() + k, left, T(0)),
                                                                     target - pack::load_padded(q + k, left, T(0)));
                            mul_add(factor, slope, pack::load_padded(to + k, left, T(0))).store_head(to + k, left);
                        }
                    }
                }
            },
            rows_a_part);
    }
    const detail::pinball_rows<T> rows{quantiles, y};
    return exec::fold_parts(where, detail::pinball_sum<T, Isa>{level.data(), {}}, rows, rows_a_part).loss;
}
}  // namespace reckon
