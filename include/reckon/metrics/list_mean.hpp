// Metrics of lists (a user's items, a request's candidates) as means over the lists on which they are defined.
#pragma once

#include <cstdint>

#include "reckon/core/config.hpp"
#include "reckon/core/monoids.hpp"

namespace reckon {

/// What every metric of lists takes.
struct list_options {
    /// Lists with fewer rows than this are left out; rows that are skipped do not count.
    std::uint64_t min_rows = 0;
};

/// Mean of a metric over lists, with what was left out: a mean_value that knows more.
///
/// sum(), weight() and finish() are those of mean_value; merges over shards that hold whole lists.
struct list_mean : mean_value {
    counts lists;  ///< lists used, and lists on which the metric is not defined or which have too few rows
    counts seen;   ///< rows taken, and rows skipped for a value that cannot be used

    RECKON_INLINE void merge(const list_mean& other) noexcept {
        mean_value::merge(other);
        lists.merge(other.lists);
        seen.merge(other.seen);
    }
};

}  // namespace reckon
