// How alike an embedding of a query and one of a key are.
#pragma once

namespace reckon {

enum class similarity {
    dot,               ///< q . k
    cosine,            ///< q . k / (|q| |k|); 0, with gradient 0, for a row of zeros
    squared_distance,  ///< -|q - k|^2, so that more is more alike
};

}  // namespace reckon
