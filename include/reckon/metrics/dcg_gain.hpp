// What a label is worth to metrics and losses that discount gains by rank.
#pragma once

namespace reckon {

/// What a label y is worth; nothing when y <= 0 or NaN.
enum class dcg_gain {
    exponential,  ///< 2^y - 1, as LightGBM, xgboost and most papers have it
    linear        ///< y, as scikit-learn and trec_eval have it
};

}  // namespace reckon
