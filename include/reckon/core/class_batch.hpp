// Batches of multiclass examples: one row of scores, one class and possibly a weight each.
#pragma once

#include <concepts>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/views.hpp"

namespace reckon {

namespace detail {

/// The class that a label of any arithmetic type names; `classes` when it names none: negative, too large, NaN or a
/// fraction.
template <class Y>
RECKON_INLINE std::size_t class_of(Y label, std::size_t classes) noexcept {
    if constexpr (std::is_floating_point_v<Y>) {
        if (!(label >= Y(0) && static_cast<double>(label) < static_cast<double>(classes))) return classes;
        const auto k = static_cast<std::size_t>(label);
        return static_cast<Y>(k) == label ? k : classes;
    } else {
        if constexpr (std::is_signed_v<Y>) {
            if (label < Y(0)) return classes;
        }
        const auto k = static_cast<unsigned long long>(label);
        return k < classes ? static_cast<std::size_t>(k) : classes;
    }
}

}  // namespace detail

/// A batch of examples with one score per class, one class and possibly a weight each.
///
/// Shapes    scores [N, K], labels [N] with values 0 .. K - 1, weights [N] or empty for all ones.
template <std::floating_point T, class Y, class W = float>
struct classified {
    using score_type = T;
    matrix_view<const T> scores;
    vector_view<const Y> labels;
    vector_view<const W> weights;

    constexpr std::size_t size() const noexcept { return scores.rows(); }
    constexpr std::size_t classes() const noexcept { return scores.cols(); }
    constexpr classified slice(std::size_t first, std::size_t count) const noexcept {
        return {scores.slice(first, count), labels.slice(first, count), weights.slice(first, count)};
    }
    /// The class of row i; classes() when its label names none.
    constexpr std::size_t label(std::size_t i) const noexcept { return detail::class_of(labels[i], classes()); }
    constexpr double weight(std::size_t i) const noexcept {
        return weights.empty() ? 1.0 : static_cast<double>(weights[i]);
    }
    /// True when row i has a class and a finite weight that is not negative.
    constexpr bool has_class(std::size_t i) const noexcept {
        const double w = weight(i);
        return label(i) < classes() && w >= 0.0 && w <= (std::numeric_limits<double>::max)();
    }
};

/// Builds a multiclass batch from anything that view() takes and checks its shapes.
///
/// kernel    name for the message.
/// Throws    std::invalid_argument when the scores have no column or the columns differ in length.
template <matrix_like S, vector_like Y, class W = none>
auto make_classified(const char* kernel, const S& scores, const Y& labels, const W& weights = {}) {
    const auto p = input(scores);
    const auto y = input(labels);
    const auto w = input(weights);
    using batch = classified<typename decltype(p)::value_type, typename decltype(y)::value_type,
                             typename decltype(w)::value_type>;
    expects(p.cols() >= 1, kernel, "scores need one column a class, got ", p.cols());
    expects(p.rows() == y.size(), kernel, p.rows(), " rows of scores but ", y.size(), " labels");
    expects(w.empty() || w.size() == p.rows(), kernel, p.rows(), " rows of scores but ", w.size(), " weights");
    return batch{p, y, w};
}

}  // namespace reckon
