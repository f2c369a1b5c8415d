// What hit rate, recall and precision at k are asked.
#pragma once

#include <cstddef>

#include "reckon/metrics/tie_rule.hpp"

namespace reckon {

/// Options of hit_rate, recall and precision.
struct relevance_at_k_options {
    /// Ranks that count; 0 for all.
    std::size_t k = 10;
    /// >= 0. A row is relevant when its label is above.
    double threshold = 0.0;
    tie_rule ties = tie_rule::expected;
    /// What a list without a relevant row counts.
    empty_rule empty = empty_rule::skip;
};

}  // namespace reckon
