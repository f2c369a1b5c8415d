// Where the gradients of contrastive losses go.
#pragma once

#include "reckon/core/views.hpp"

namespace reckon {

/// Outputs of a contrastive loss: gradients are added, and an empty view or a null pointer is not wanted.
template <class T>
struct contrastive_gradients {
    /// As the queries, or empty.
    matrix_view<T> queries = {};
    /// As the keys, or empty.
    matrix_view<T> keys = {};
    /// d loss / d temperature, or null; the sum over rows where each has its own.
    double* temperature = nullptr;
    /// Factor of everything that is added.
    double scale = 1.0;
    /// [B] d loss / d temperature of each query, or empty.
    vector_view<T> temperatures = {};
};

}  // namespace reckon
