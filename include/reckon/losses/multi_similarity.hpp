// Multi-similarity loss: positives and negatives of an anchor are mined against each other and weigh by how much they
// matter.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"
#include "reckon/losses/detail/labelled_row.hpp"
#include "reckon/losses/detail/logit_rows.hpp"
#include "reckon/losses/detail/similarity_rows.hpp"
#include "reckon/losses/detail/softmax_row.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon {

struct multi_similarity_options {
    /// > 0, at most 1e30. How sharply far positives stand out.
    double alpha = 2.0;
    /// > 0, at most 1e30. How sharply near negatives stand out.
    double beta = 50.0;
    /// lambda, finite: similarity from which on a negative matters, and below which a positive does.
    double base = 0.5;
    /// >= 0, mining: a pair counts if it is at most this much better than the worst of the other kind. Infinity keeps
    /// all pairs.
    double epsilon = 0.1;
    similarity metric = similarity::cosine;
    /// Key first_self + i is query i itself, and left out: 0 for one set against itself. Negative: no key is a query.
    std::ptrdiff_t first_self = -1;
};

namespace detail {

// Loss of an anchor, whose positives are out of its row. With slopes the row becomes its derivatives.
template <class T, class Isa>
double multi_similarity_row(const logit_row<T, Isa>& row, const std::vector<positive_key<T>>& positives,
                            const multi_similarity_options& options, bool slopes) {
    using pack = typename logit_row<T, Isa>::pack;
    constexpr T out = -std::numeric_limits<T>::infinity();
    constexpr double log2e = 1.4426950408889634074;
    const T nearest = row.largest();
    double farthest = std::numeric_limits<double>::infinity();
    for (const auto& p : positives) farthest = (std::min)(farthest, static_cast<double>(p.value));
    const T above = static_cast<T>(farthest - options.epsilon);
    const double below = static_cast<double>(nearest) + options.epsilon;
    // Nothing is mined on one side exactly when nothing is on the other.
    if (positives.empty() || nearest == out || !(nearest > above) || !(farthest < below)) {
        if (slopes) row.fill(T(0));
        return 0.0;
    }
    // Powers are relative to the largest on either side.
    const pack floor_of(above), shift(nearest), steep(static_cast<T>(options.beta * log2e));
    const auto power = [&](pack s) { return select(s > floor_of, exp2_any((s - shift) * steep), pack(T(0))); };
    const double negatives = row.sum(power);
    const double pushed = options.beta * (static_cast<double>(nearest) - options.base) + std::log(negatives);
    double pulls = 0.0;
    const auto pull = [&](const positive_key<T>& p) {
        const double s = static_cast<double>(p.value);
        return s < below ? std::exp(-options.alpha * (s - farthest)) : 0.0;
    };
    for (const auto& p : positives) pulls += pull(p);
    const double pulled = -options.alpha * (farthest - options.base) + std::log(pulls);
    if (slopes) {
        const pack share(static_cast<T>(math::sigmoid(pushed) / negatives));
        row.transform([&](pack s, std::size_t) { return power(s) * share; });
        const double whole = math::sigmoid(pulled) / pulls;
        for (const auto& p : positives) row[p.key] = static_cast<T>(-whole * pull(p));
    }
    return softplus_of(pulled) / options.alpha + softplus_of(pushed) / options.beta;
}

}  // namespace detail

/// Multi-similarity loss of anchors (queries) and labelled keys.
///
///   loss = sum_i [ log(1 + sum_{p in P_i} e^(-alpha (s_ip - lambda))) / alpha
///                + log(1 + sum_{n in N_i} e^(beta (s_in - lambda))) / beta ]
///   P_i: keys with the label of i and s_ip < max over its negatives + epsilon
///   N_i: keys with another label and s_in > min over its positives - epsilon
///   s: options.metric, lambda: options.base
///
/// Shapes    query_rows [B, D], key_rows [N, D]; query_labels [B], key_labels [N] of std::uint64_t. Float or double,
///           both the same; rows may be strided. Gradients as their inputs, or empty; with keys that are the queries
///           both may be one matrix.
/// Writes    adds grads.scale * d loss / d (queries | keys) where wanted. Which pairs are mined is not differentiated.
/// Returns   mean_value{sum, B}; merges over shards of the queries that see the same keys. Anchors without a positive,
///           without a negative or without mined pairs add 0.
/// Throws    std::invalid_argument on a shape or option out of range. Other inputs are not scanned: NaN in, NaN out,
///           for every anchor that has such a similarity and for all its keys; similarities must be within the range of
///           the type.
/// Cost      B N D multiply-adds forward, three times that with both gradients; four passes over a row, one power a
///           pair (two with gradients) and two in double for each positive. Scratch as info_nce with gradients.
/// Numerics  as info_nce; positives in double.
/// Source    Wang et al. 2019, mining and weighting. The code of its authors also drops positives within epsilon of
///           similarity 1; here only the query itself is left out.
template <exec::policy Policy, matrix_like Q, matrix_like K, vector_like A, vector_like B, class Isa = isa::native>
mean_value multi_similarity(const Policy& where, const Q& query_rows, const K& key_rows, const A& query_labels,
                            const B& key_labels, const multi_similarity_options& options = {},
                            const contrastive_gradients<typename decltype(input(query_rows))::value_type>& grads = {}) {
    const auto query_view = input(query_rows);
    const auto key_view = input(key_rows);
    const auto anchors = input(query_labels);
    const auto others = input(key_labels);
    using T = typename decltype(query_view)::value_type;
    static_assert(std::is_same_v<T, typename decltype(key_view)::value_type>,
                  "reckon: queries and keys of multi_similarity must have the same type");
    static_assert(std::is_same_v<std::uint64_t, typename decltype(anchors)::value_type> &&
                      std::is_same_v<std::uint64_t, typename decltype(others)::value_type>,
                  "reckon: labels of multi_similarity must be std::uint64_t");
    constexpr const char* kernel = "multi_similarity";
    exec::detail::require_host_policy<Policy>();
    detail::expect_labelled(kernel, query_view, key_view, anchors, others, options.first_self, grads);
    expects(options.alpha > 0.0 && options.alpha <= 1e30, kernel, "alpha must be positive and at most 1e30, got ",
            options.alpha);
    expects(options.beta > 0.0 && options.beta <= 1e30, kernel, "beta must be positive and at most 1e30, got ",
            options.beta);
    expects(std::isfinite(options.base), kernel, "base must be finite, got ", options.base);
    expects(options.epsilon >= 0.0, kernel, "epsilon must not be negative, got ", options.epsilon);
    if (query_view.rows() == 0) return {};

    using alike = detail::similarity_rows<T>;
    alike query_side(options.metric, alike::side::query, query_view),
        key_side(options.metric, alike::side::key, key_view);
    auto added = grads;
    added.queries = query_side.gradient(grads.queries);
    added.keys = key_side.gradient(grads.keys);
    const bool slopes = detail::gradient_sums<T, Isa>::wants_any(added);
    const detail::row_labels labels(anchors, others, options.first_self);
    scratch_array<double> losses(query_view.rows());
    detail::for_each_logit_row<T, Isa>(where, query_side.rows(), key_side.rows(), detail::row_temperatures<T>{}, added,
                                       [&](std::size_t i, const auto& row) {
                                           if (detail::holds_nan(row)) {
                                               losses[i] = std::numeric_limits<double>::quiet_NaN();
                                               if (slopes) row.fill(std::numeric_limits<T>::quiet_NaN());
                                               return;
                                           }
                                           std::vector<detail::positive_key<T>> positives;
                                           labels.split(i, row, positives);
                                           losses[i] = detail::multi_similarity_row(row, positives, options, slopes);
                                       });
    query_side.finish(grads.queries);
    key_side.finish(grads.keys);
    mean_value loss;
    for (std::size_t i = 0; i < query_view.rows(); ++i) loss.absorb(losses[i]);
    return loss;
}

}  // namespace reckon
