// How losses over pairs add up the pairs of a group: of a list, or of a head.
#pragma once

namespace reckon {

/// What a loss over pairs sums, and so what its gradient is the gradient of.
enum class pair_normalisation {
    sum,            ///< every pair: a group counts as many pairs as it has
    mean_per_group  ///< the mean over the pairs of each group that has any
};

}  // namespace reckon
