// What rows and keys of a contrastive batch may bring along.
#pragma once

#include <cstdint>

#include "reckon/core/views.hpp"

namespace reckon {

/// Columns of a contrastive loss; each may be empty.
template <class T>
struct contrastive_columns {
    /// [B] > 0: a temperature for each query, in place of the one of the options.
    vector_view<const T> temperatures = {};
    /// [N] label of each key (an item, an author, a session; sparse ids are as good as dense ones). Keys that share the
    /// label of a query, but are not its own key, are left out: they would be false negatives.
    vector_view<const std::uint64_t> key_labels = {};
    /// [B] label of each query. Empty: that of its own key.
    vector_view<const std::uint64_t> query_labels = {};
};

}  // namespace reckon
