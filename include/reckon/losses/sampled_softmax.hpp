// Softmax over sampled candidates, with the correction for how often the sampler brings each.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/losses/contrastive_columns.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/in_batch_softmax.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon {

struct sampled_softmax_options {
    /// > 0. Logits are similarities over this; log_q is not.
    double temperature = 0.05;
    similarity metric = similarity::dot;
    /// Key first_positive + i is the positive of query i, unless columns.positives says otherwise.
    std::size_t first_positive = 0;
    /// Whether log_q comes off the logit of the positive, too. Off: the positive is there with certainty.
    bool correct_positives = true;
};

/// Softmax loss over a catalogue of which only a sample is seen: what a candidate counts is divided by how often the
/// sampler brings it.
///
///   l_ij = s(q_i, k_j) / t_i - log_q_j                          a rare candidate counts for more; s: options.metric
///   loss = sum_i [ logsumexp_j l_ij - l_i,own ]                 nats
///
/// Shapes    query_rows [B, D], key_rows [N, D]: candidates, the positives among them; log_q [N]; row_lse [B]. Float or
///           double, all the same; rows may be strided. Gradients as their inputs, or empty.
/// log_q     log of the expected number of times that a candidate is in the sample: then e^row_lse has the sum over the
///           whole catalogue as its mean. A constant more or less, such as log of a probability, changes row_lse by
///           that constant and neither loss nor gradient. +inf: the candidate is left out. -inf, which
///           log_expected_counts() writes for one that cannot be drawn: NaN wherever it counts. All 0: plain softmax,
///           as info_nce.
/// Positives are corrected like all others, as in-batch sampling wants it; with correct_positives off, log_q of the own
///           key does not count, neither in l_i,own nor in the sum, and the constant matters.
/// Columns   temperatures of rows; labels, so that candidates equal to the positive (accidental hits) are left out;
///           positives.
/// Writes    row_lse; adds grads.scale * d loss / d (queries | keys | temperature) where wanted. log_q has no gradient
///           and is not part of that of the temperature.
/// Returns   mean_value{sum, B}; merges over shards of queries that see the same keys.
/// Throws    std::invalid_argument on a shape or option out of range, a temperature or positive of a row included.
///           Other inputs are not scanned: NaN in, NaN out; logits beyond the range of the type are not finite either.
/// Cost      as info_nce: log_q is added to tiles in registers. Labels, or positives that are not corrected, take its
///           slower path.
/// Numerics  as info_nce.
/// Source    Bengio and Senecal 2008; all candidates corrected, the positive included, as in Yi et al. 2019.
template <exec::policy Policy, matrix_like Q, matrix_like K, vector_like P, class L, class Isa = isa::native>
mean_value sampled_softmax(const Policy& where, const Q& query_rows, const K& key_rows, const P& log_q, L&& row_lse,
                           const sampled_softmax_options& options = {},
                           const contrastive_gradients<typename decltype(input(query_rows))::value_type>& grads = {},
                           const contrastive_columns<typename decltype(input(query_rows))::value_type>& columns = {}) {
    const auto query_view = input(query_rows);
    const auto key_view = input(key_rows);
    const auto taken_off = input(log_q);
    const auto lse_of = view(row_lse);
    using T = typename decltype(query_view)::value_type;
    static_assert(std::is_same_v<T, typename decltype(key_view)::value_type> &&
                      std::is_same_v<T, typename decltype(taken_off)::value_type> &&
                      std::is_same_v<T, typename decltype(lse_of)::value_type>,
                  "reckon: queries, keys, log_q and sums of sampled_softmax must have the same type");
    expects(taken_off.size() == key_view.rows(), "sampled_softmax", key_view.rows(), " keys but ", taken_off.size(),
            " numbers in log_q");
    return detail::in_batch_softmax<T, Isa>(where, query_view, key_view, lse_of,
                                            {"sampled_softmax", options.temperature, options.metric,
                                             options.first_positive, 0.0, taken_off, options.correct_positives},
                                            grads, columns);
}

struct log_expected_counts_options {
    /// Draws in a sample, each from all candidates.
    std::uint64_t draws = 1;
    /// Draws are in proportion to count^power: 1 as in a batch of interactions, 3/4 as in word2vec, 0 uniform.
    double power = 1.0;
    /// Whether a candidate that is drawn again does not come again.
    bool distinct = false;
};

/// log_q of sampled_softmax from how often each candidate was seen.
///
///   log_q_j = ln(draws p_j),  p_j = counts_j^power / sum_k counts_k^power      distinct: ln(1 - (1 - p_j)^draws)
///
/// Shapes    counts [N] of any arithmetic type, log_q [N] float or double.
/// Writes    log_q; -inf for a candidate that is never drawn. sampled_softmax() cannot take that one: its loss is NaN
///           then.
/// Throws    std::invalid_argument when lengths differ, or power is negative or not finite. A count that is negative,
///           infinite or NaN makes all of log_q NaN; so do counts that are all 0, unless power is 0.
/// Cost      two powers and a logarithm a candidate.
/// Numerics  in double; powers are relative to that of the largest count, so none overflows.
template <exec::policy Policy, vector_like C, class L, class Isa = isa::native>
void log_expected_counts(const Policy& where, const C& counts, L&& log_q,
                         const log_expected_counts_options& options = {}) {
    const auto seen = input(counts);
    const auto out = view(log_q);
    using T = typename decltype(out)::value_type;
    expects(out.size() == seen.size(), "log_expected_counts", seen.size(), " counts but room for ", out.size());
    expects(options.power >= 0.0 && std::isfinite(options.power), "log_expected_counts",
            "power must be finite and not negative, got ", options.power);
    double largest = 0.0;
    for (std::size_t j = 0; j < seen.size(); ++j) largest = (std::max)(largest, static_cast<double>(seen[j]));
    const double unit = largest > 0.0 ? largest : 1.0;
    const auto share = [&](std::size_t j) {
        const auto count = static_cast<double>(seen[j]);
        // pow(-1, 2) and pow(NaN, 0) are 1.
        return count >= 0.0 && std::isfinite(count) ? std::pow(count / unit, options.power)
                                                    : std::numeric_limits<double>::quiet_NaN();
    };
    compensated_sum total;
    for (std::size_t j = 0; j < seen.size(); ++j) total.absorb(share(j));
    const auto draws = static_cast<double>(options.draws);
    exec::map_parts(where, seen.size(), [&](std::size_t first, std::size_t rows) {
        for (std::size_t j = first; j < first + rows; ++j) {
            const double p = share(j) / total.value();
            // No draws of a sure candidate: 0 times -inf.
            const bool distinct = options.distinct && options.draws > 0;
            const double expected = distinct ? -std::expm1(draws * std::log1p(-p)) : draws * p;
            out[j] = static_cast<T>(std::log(expected));
        }
    });
}

}  // namespace reckon
