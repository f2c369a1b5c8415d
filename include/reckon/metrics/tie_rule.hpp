// What the metrics of ranked lists agree on: the order of equal scores, and lists in which nothing is relevant.
#pragma once

#include <limits>

namespace reckon {

/// Order of rows with equal scores. A metric that lets it fall to the order of rows rewards a model that gives all rows
/// the same score whenever the data happens to be sorted by label; the default does not.
enum class tie_rule {
    /// Mean of the metric over all orders of the equal rows, by its closed form (McSherry and Najork 2008).
    expected,
    /// The order that makes the metric least: relevant rows last.
    pessimistic,
    /// The order that makes the metric largest: relevant rows first.
    optimistic,
    /// The order of rows, as a stable sort leaves it: xgboost, ranx.
    first,
    /// The later row first. This is the rule of trec_eval, descending document id, for rows in ascending order of id.
    trec
};

/// What a list counts in which nothing is relevant; an empty list is one.
enum class empty_rule {
    /// It has no value, NaN in `per_list`, and is left out of the mean.
    skip,
    /// As scikit-learn and trec_eval do.
    zero,
    /// As xgboost and LightGBM do.
    one
};

namespace detail {

inline double empty_value(empty_rule rule) noexcept {
    return rule == empty_rule::skip ? std::numeric_limits<double>::quiet_NaN() : rule == empty_rule::zero ? 0.0 : 1.0;
}

}  // namespace detail
}  // namespace reckon
