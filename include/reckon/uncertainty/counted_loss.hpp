// The value of a loss over the rows that could be used.
#pragma once

#include "reckon/core/monoids.hpp"

namespace reckon {

/// Weighted sum of a loss, its weight, and how many rows it took and skipped; merges over shards.
class counted_loss {
  public:
    counted_loss() noexcept = default;
    counted_loss(const mean_value& loss, const counts& seen) noexcept : loss_(loss), seen_(seen) {}

    void merge(const counted_loss& other) noexcept {
        loss_.merge(other.loss_);
        seen_.merge(other.seen_);
    }
    /// Sum of w * loss.
    double sum() const noexcept { return loss_.sum(); }
    /// Sum of w.
    double weight() const noexcept { return loss_.weight(); }
    /// The weighted mean; NaN while the weight is 0.
    double finish() const noexcept { return loss_.finish(); }
    counts seen() const noexcept { return seen_; }

  private:
    mean_value loss_;
    counts seen_;
};

}  // namespace reckon
