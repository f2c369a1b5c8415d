// LambdaRank: pairs of a list weighted by what their exchange would do to nDCG, as gradient boosting has them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/factor.hpp"
#include "reckon/losses/detail/lambda_list.simd.hpp"
#include "reckon/losses/detail/list_losses.hpp"
#include "reckon/metrics/dcg_gain.hpp"
#include "reckon/metrics/list_mean.hpp"

namespace reckon {

/// What k cuts off.
enum class lambda_truncation {
    metric,  ///< ranks beyond k have no discount: weights are changes of nDCG at k
    pairs    ///< every rank has its discount, pairs below rank k are left out: LightGBM and xgboost
};

struct lambda_rank_options {
    /// Ranks that count; 0 for all.
    std::size_t k = 0;
    /// In [1e-15, 1e15]. Steepness of the logistic function.
    double sigma = 1.0;
    dcg_gain gain = dcg_gain::exponential;
    lambda_truncation truncation = lambda_truncation::metric;
    /// As LightGBM has it: weights are divided by 0.01 + |s_i - s_j| unless all scores of the list are equal, and then
    /// scaled by log2(1 + m) / m, where m is the sum of the sizes of both derivatives of every pair.
    bool normalise = false;
};

/// LambdaRank with weights of nDCG: value, gradient and diagonal of the Hessian of a weighted logistic loss of pairs.
///
///   loss = sum over lists, over pairs with y_i > y_j, of D_ij log(1 + e^(-sigma (s_i - s_j)))
///   D_ij = |gain_i - gain_j| |1 / log2(1 + r_i) - 1 / log2(1 + r_j)| / (best DCG at k),   r the ranks from 1
///
/// The weights D depend on the scores by their order; derivatives take them as constants.
///
/// Shapes    scores [N] float or double; labels [N] of numbers; offsets [S + 1], unsigned: list s has the rows
///           offsets[s] .. offsets[s + 1] - 1, fewer than 2^32. gradient, hessian [N] of the type of the scores, or
///           none.
/// Writes    adds scale * d loss / d scores into `gradient` and scale times the second derivatives into `hessian` when
///           they are given; they may not overlap the inputs.
/// Returns   list_mean: sum and number of the lists with a gain; merges over shards that hold whole lists. A list
///           without a positive label, or whose gains add up beyond double, adds nothing and is counted in
///           lists.rejected.
/// Throws    std::invalid_argument on shapes, offsets and sigma out of range. A NaN label makes its list NaN, value and
///           derivatives, and so does a score that is not finite in a list with a gain; a negative label has no gain.
/// Cost      a sort of each list, and for each of the first k rows its pairs with the rows below it: n^2 / 2 without k,
///           and m n or so where only m rows have a gain. One division and one polynomial a pair; the exponentials are
///           products of one a row where sigma times the range of a list is at most 60. Scratch: some columns of the
///           longest list a part.
/// Numerics  derivatives add up in lanes of the type, values of one row's pairs as well, double above. Equal scores
///           have ranks in the order of rows, so that no result depends on chance. Where exponentials are products they
///           are relative to the top score of the list: the derivative of a pair that stands d / sigma below it is off
///           by up to d roundings of the type, times its weight and sigma. Finite scores of any size give no NaN.
/// Source    Burges, Ragno and Le 2006; Burges 2010. Truncation by pairs and `normalise` as in LightGBM; the Hessian of
///           xgboost is twice this one.
template <exec::policy Policy, vector_like P, vector_like Y, vector_like Offsets, class G = none, class H = none,
          class Isa = isa::native>
list_mean lambda_rank(const Policy& where, const P& scores, const Y& labels, const Offsets& offsets,
                      const lambda_rank_options& options = {}, G&& gradient = {}, double scale = 1.0,
                      H&& hessian = {}) {
    constexpr const char* kernel = "lambda_rank";
    exec::detail::require_host_policy<Policy>();
    detail::expect_factor(kernel, "sigma", options.sigma);
    const auto lists = detail::make_list_rows(kernel, scores, labels, offsets, gradient, hessian);
    using batch = std::remove_const_t<decltype(lists)>;
    using T = typename batch::score_type;
    const std::size_t longest = lists.longest(), ranks = options.k == 0 ? longest : (std::min)(options.k, longest);
    const detail::discount_table ideal(ranks);
    const detail::discount_table each(options.truncation == lambda_truncation::metric ? ranks : longest);
    std::vector<T> discounts(longest);
    for (std::size_t r = 0; r < longest; ++r) {
        discounts[r] = r < each.discounts.size() ? static_cast<T>(each.discounts[r]) : T(0);
    }
    return detail::sum_over_lists<Isa>(
        where, lists,
        detail::lambda_list<T, typename batch::label_type, Isa>({options.k, options.sigma, scale, options.normalise},
                                                                options.gain, ideal, discounts));
}

}  // namespace reckon
