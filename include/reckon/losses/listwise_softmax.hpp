// Softmax cross-entropy over the rows of each list: the listwise loss of ListNet.
#pragma once

#include <cstddef>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/factor.hpp"
#include "reckon/losses/detail/list_losses.hpp"
#include "reckon/losses/detail/softmax_list.simd.hpp"
#include "reckon/metrics/list_mean.hpp"

namespace reckon {

/// Distribution over the rows of a list that the softmax of its scores should meet.
enum class listwise_target {
    share,   ///< y_i / sum y, for labels >= 0; a negative label counts as 0
    softmax  ///< e^y_i / sum e^y, as ListNet has it, for labels of any sign
};

struct listwise_softmax_options {
    /// In [1e-15, 1e15]. Scores are divided by this.
    double temperature = 1.0;
    listwise_target target = listwise_target::share;
};

/// Softmax cross-entropy of each list: how many nats the scores spend on saying which row is wanted.
///
///   loss = sum over lists of [ logsumexp_i(s_i / t) - sum_i q_i s_i / t ]
///   d loss / d s_i = (softmax_i(s / t) - q_i) / t,   q = labels as shares of their sum, or the softmax of the labels
///
/// Shapes    scores [N] float or double; labels [N] of numbers; offsets [S + 1], unsigned: list s has the rows
///           offsets[s] .. offsets[s + 1] - 1, fewer than 2^32. gradient [N] of the type of the scores, or none.
/// Writes    adds scale * d loss / d scores into `gradient` when it is given; it may not overlap the inputs.
/// Returns   list_mean: sum and number of the lists that have a target; merges over shards that hold whole lists. A
///           list without rows, without a positive label, or whose labels add up beyond the range of the type has no
///           target: it adds nothing and is counted in lists.rejected. Under `softmax` every list with rows has one.
/// Throws    std::invalid_argument on shapes, offsets and a temperature out of range. A NaN label makes its list NaN,
///           value and derivatives. So do, in a list with a target, a NaN or +inf score and scores that are all -inf,
///           and under `softmax` a +inf label and labels that are all -inf. A score of -inf masks its row.
/// Cost      a maximum, a power with two sums, and a sweep for the gradient, in lanes; a list stays in the cache.
///           Scratch: two columns of the longest list a part.
/// Numerics  lanes of the type add up 64 packs, double above. Powers are relative to the highest score of the list, and
///           the value is a sum of terms that are not negative: no cancellation, and finite scores of any size give no
///           NaN.
/// Source    Cao, Qin, Liu, Tsai and Li 2007 (top-one probabilities).
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class G = none,
          class Isa = isa::native>
list_mean listwise_softmax(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                           const listwise_softmax_options& options = {}, G&& gradient = {}, double scale = 1.0) {
    constexpr const char* kernel = "listwise_softmax";
    exec::detail::require_host_policy<Policy>();
    detail::expect_factor(kernel, "temperature", options.temperature);
    none no_curvature;
    const auto lists = detail::make_list_rows(kernel, scores, labels, offsets, gradient, no_curvature);
    using batch = std::remove_const_t<decltype(lists)>;
    return detail::sum_over_lists<Isa>(
        where, lists,
        detail::softmax_list<typename batch::score_type, typename batch::label_type, Isa>(
            options.temperature, options.target == listwise_target::softmax, scale));
}

}  // namespace reckon
