// Batches: the columns that a fold absorbs together, sliceable by rows so that exec/parts.hpp can cut them.
#pragma once

#include <concepts>
#include <cstddef>

#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"

namespace reckon {

/// A batch of examples with one score, one label and possibly a weight each.
///
/// Shapes    scores [N], labels [N], weights [N] or empty for all ones.
template <std::floating_point P, class Y, class W = float>
struct scored {
    using score_type = P;
    vector_view<const P> scores;
    vector_view<const Y> labels;
    vector_view<const W> weights;

    constexpr std::size_t size() const noexcept { return scores.size(); }
    constexpr scored slice(std::size_t first, std::size_t count) const noexcept {
        return {scores.slice(first, count), labels.slice(first, count), weights.slice(first, count)};
    }
    constexpr double score(std::size_t i) const noexcept { return static_cast<double>(scores[i]); }
    constexpr double label(std::size_t i) const noexcept { return static_cast<double>(labels[i]); }
    constexpr double weight(std::size_t i) const noexcept {
        return weights.empty() ? 1.0 : static_cast<double>(weights[i]);
    }
};

/// Builds a scored batch from anything that view() takes and checks its shapes.
///
/// kernel    name for the message.
/// Throws    std::invalid_argument when the columns differ in length.
template <vector_like P, vector_like Y, class W = none>
auto make_scored(const char* kernel, const P& scores, const Y& labels, const W& weights = {}) {
    const auto p = input(scores);
    const auto y = input(labels);
    const auto w = input(weights);
    using batch =
        scored<typename decltype(p)::value_type, typename decltype(y)::value_type, typename decltype(w)::value_type>;
    expects(p.size() == y.size(), kernel, p.size(), " scores but ", y.size(), " labels");
    expects(w.empty() || w.size() == p.size(), kernel, p.size(), " scores but ", w.size(), " weights");
    return batch{p, y, w};
}

}  // namespace reckon
