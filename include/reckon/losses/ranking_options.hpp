// What ranking losses over pairs can be told.
#pragma once

namespace reckon {

/// What a loss over pairs sums, and so what its gradient is the gradient of.
enum class pair_normalisation {
    sum,            ///< every pair: a group counts as many pairs as it has
    mean_per_group  ///< the mean over the pairs of each group (list, head) that has any
};

/// Rows with label 0 that a head's confirmed positives are ranked above.
enum class rank_negatives {
    masked_valid,  ///< those whose mask says that a conversion would have been reported
    unlabelled,    ///< the others, which may have converted
    both
};

/// Options of pairwise_ranking(), rank_squared_hinge() and rank_hinge().
struct pairwise_ranking_options {
    rank_negatives negatives = rank_negatives::both;
    /// In (0, 1]. Weight of a pair with an unlabelled negative.
    double unlabelled_weight = 1.0;
    /// What is added up: the mean of each head, or all pairs with their weights.
    pair_normalisation normalisation = pair_normalisation::mean_per_group;
    /// >= 0. How far a positive should stand above a negative; the hinges only.
    double margin = 1.0;
};

}  // namespace reckon
