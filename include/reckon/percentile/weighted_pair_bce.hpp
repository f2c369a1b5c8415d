// Cross-entropy of weighted comparisons: percentile heads that still know how much was at stake.
#pragma once

#include <cstddef>
#include <limits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/percentile/detail/pair_losses.simd.hpp"

namespace reckon {

/// Cross-entropy of logits z against weighted wins and losses, as contrast_labels() gives them, with its first and second
/// derivative.
///
///   loss = sum_i g_i ((wins_i + losses_i) softplus(z_i) - wins_i z_i)
///   d    = g_i ((wins_i + losses_i) sigmoid(z_i) - wins_i),   d^2 = g_i (wins_i + losses_i) p_i (1 - p_i)
///
/// The odds at the optimum are E[wins | x] / E[losses | x]. With weights |y - y'| sigmoid(z) is above 1/2 where
/// E[y | x] is above the user's mean; multiplying all weights of a user by one number moves nothing.
///
/// Shapes    logits, wins, losses [N], weights (g) [N] or none for ones, gradient, hessian [N] or none: float or double,
///           all of one type.
/// Writes    adds scale * d loss / d z into `gradient` and scale times the second derivative into `hessian` when they
///           are given; they may not overlap the inputs.
/// Returns   mean_value{sum, sum of g}; merges over shards.
/// Throws    std::invalid_argument when lengths differ. Rows without a weighted comparison (wins + losses = 0), missing
///           ones (NaN) and rows of weight 0 add nothing, neither to the mean. Propagates a NaN logit.
/// Cost      as soft_bce().
/// Numerics  as soft_bce(); the slope is relative to wins + losses where both are there.
template <exec::policy Policy, vector_like Z, vector_like P, vector_like M, class W = none, class G = none,
          class H = none, class Isa = isa::native>
mean_value weighted_pair_bce(const Policy& where, const Z& logits, const P& wins, const M& losses,
                             const W& weights = {}, G&& gradient = {}, double scale = 1.0, H&& hessian = {}) {
    constexpr const char* kernel = "weighted_pair_bce";
    const auto z = input(logits);
    using T = typename decltype(z)::value_type;
    const detail::pair_rows<T> rows{z,
                                    detail::loss_column<T>(kernel, "wins", wins, z.size()),
                                    detail::loss_column<T>(kernel, "losses", losses, z.size()),
                                    detail::loss_column<T>(kernel, "weights", weights, z.size()),
                                    detail::loss_output<T>(kernel, gradient, z.size()),
                                    detail::loss_output<T>(kernel, hessian, z.size())};
    // An empty column of losses would mean soft labels.
    if (rows.size() == 0) return {};
    return exec::fold_parts(where, detail::pair_fold<Isa>{scale, {}}, rows).loss;
}

/// How many rows of equal weight vary as little as these: (sum w)^2 / sum w^2. A mergeable state.
///
/// Far below the number of rows a few heavy ones rule the loss: clip the weights.
///
/// Source    Kish 1965.
class effective_size {
  public:
    void absorb(double w) noexcept {
        sum_.absorb(w);
        squares_.absorb(w * w);
    }
    void merge(const effective_size& other) noexcept {
        sum_.merge(other.sum_);
        squares_.merge(other.squares_);
    }
    /// Sum of w.
    double weight() const noexcept { return sum_.value(); }
    /// 0 while there is no weight; between 1 and the number of rows else.
    double finish() const noexcept {
        const double squares = squares_.value();
        return squares == 0.0 ? 0.0 : sum_.value() * (sum_.value() / squares);
    }

  private:
    compensated_sum sum_, squares_;
};

/// effective_size of the row weights wins + losses.
///
/// Shapes    wins, losses [N] of float or double.
/// Throws    std::invalid_argument when lengths differ. Leaves out NaN, which is missing.
/// Cost      one pass.
template <exec::policy Policy, vector_like P, vector_like M, class Isa = isa::native>
effective_size pair_effective_size(const Policy& where, const P& wins, const M& losses) {
    const auto won = input(wins);
    using rows_type = detail::pair_rows<typename decltype(won)::value_type>;
    struct fold {
        effective_size total;
        void absorb(const rows_type& part) noexcept {
            for (std::size_t i = 0; i < part.size(); ++i) {
                const double w = static_cast<double>(part.wins[i]) + static_cast<double>(part.losses[i]);
                if (w == w) total.absorb(w);
            }
        }
        void merge(const fold& other) noexcept { total.merge(other.total); }
    };
    const auto lost = input(losses);
    expects(won.size() == lost.size(), "pair_effective_size", won.size(), " wins but ", lost.size(), " losses");
    const rows_type rows{won, won, lost, {}, {}, {}};
    return exec::fold_parts(where, fold{}, rows).total;
}

}  // namespace reckon
