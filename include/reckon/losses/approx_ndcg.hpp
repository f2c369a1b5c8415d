// ApproxNDCG: nDCG with smooth ranks, a loss that can be followed downhill.
#pragma once

#include <cstddef>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/approx_list.simd.hpp"
#include "reckon/losses/detail/factor.hpp"
#include "reckon/losses/detail/list_losses.hpp"
#include "reckon/metrics/dcg_gain.hpp"
#include "reckon/metrics/list_mean.hpp"

namespace reckon {

struct approx_ndcg_options {
    /// In [1e-15, 1e15]. Scores are divided by this; the smaller, the nearer to nDCG and the flatter.
    double temperature = 0.1;
    dcg_gain gain = dcg_gain::exponential;
};

/// One minus nDCG over all ranks, with a smooth rank in place of the rank.
///
///   loss = sum over lists of [ 1 - sum_i gain_i / log2(1 + r_i) / (best DCG of the list) ]
///   r_i  = 1 + sum_{j != i} sigmoid((s_j - s_i) / t)
///
/// Shapes    scores [N] float or double; labels [N] of numbers; offsets [S + 1], unsigned: list s has the rows
///           offsets[s] .. offsets[s + 1] - 1, fewer than 2^32. gradient [N] of the type of the scores, or none.
/// Writes    adds scale * d loss / d scores into `gradient` when it is given; it may not overlap the inputs.
/// Returns   list_mean: sum and number of the lists with a gain; merges over shards that hold whole lists. A list
///           without a positive label, or whose gains add up beyond double, adds nothing and is counted in
///           lists.rejected.
/// Throws    std::invalid_argument on shapes, offsets and a temperature out of range. A NaN label makes its list NaN,
///           value and derivatives, and so does a score that is not finite in a list with a gain; a negative label has
///           no gain.
/// Cost      each row with a gain against its list, once for the value and once for the gradient; a division a pair.
///           The exponentials are one a row where the scores of a list span at most 80 t. Scratch: three columns of the
///           longest list a part.
/// Numerics  ranks and slopes add up in lanes of the type, ranks beyond 256 packs and the value in double. Equal scores
///           share the middle of their ranks. Finite scores of any size give no NaN.
/// Source    Qin, Liu and Li 2010.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class G = none,
          class Isa = isa::native>
list_mean approx_ndcg(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                      const approx_ndcg_options& options = {}, G&& gradient = {}, double scale = 1.0) {
    constexpr const char* kernel = "approx_ndcg";
    exec::detail::require_host_policy<Policy>();
    detail::expect_factor(kernel, "temperature", options.temperature);
    none no_curvature;
    const auto lists = detail::make_list_rows(kernel, scores, labels, offsets, gradient, no_curvature);
    using batch = std::remove_const_t<decltype(lists)>;
    const detail::discount_table ideal(lists.longest());
    return detail::sum_over_lists<Isa>(where, lists,
                                       detail::approx_list<typename batch::score_type, typename batch::label_type, Isa>(
                                           options.temperature, scale, options.gain, ideal));
}

}  // namespace reckon
