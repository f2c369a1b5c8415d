// Sums of the rows that fall into each score bin, and the cuts that give bins of equal mass.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/calibration/detail/sorted_cuts.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/metrics/score_bins.hpp"

namespace reckon::detail {

/// Sums over the rows of one bin.
struct bin_cell {
    double weight = 0;
    double score_sum = 0;  // sum of w p
    double positive = 0;   // sum of w y
};

/// Mergeable sums per bin over probabilities.
///
/// merge()   throws std::invalid_argument when the bins differ.
template <class Isa = isa::native>
class score_bin_sums {
  public:
    explicit score_bin_sums(score_bins bins) : bins_(std::move(bins)), cells_(bins_.size()) {}

    template <class P, class Y, class W>
    void absorb(const scored<P, Y, W>& rows) noexcept {
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const bool ok = usable(rows, i, score_kind::probability);
            seen_.absorb(ok);
            if (!ok) continue;
            const double p = rows.score(i), w = rows.weight(i);
            bin_cell& cell = cells_[bins_.index(p)];
            cell.weight += w;
            cell.score_sum += w * p;
            cell.positive += w * rows.label(i);
        }
    }
    void merge(const score_bin_sums& other) {
        expects(bins_ == other.bins_, "score_bin_sums", "cannot merge sums over different bins: ", bins_.size(),
                " and ", other.bins_.size());
        for (std::size_t b = 0; b < cells_.size(); ++b) {
            cells_[b].weight += other.cells_[b].weight;
            cells_[b].score_sum += other.cells_[b].score_sum;
            cells_[b].positive += other.cells_[b].positive;
        }
        seen_.merge(other.seen_);
    }

    const score_bins& bins() const noexcept { return bins_; }
    const std::vector<bin_cell>& cells() const noexcept { return cells_; }
    const counts& seen() const noexcept { return seen_; }

  private:
    score_bins bins_;
    std::vector<bin_cell> cells_;
    counts seen_;
};

/// Bins of about equal mass: cut at the distinct scores of ranks floor(k * N / bins), k = 1 .. bins - 1, among the N
/// rows that a fit takes and that have a positive weight. Ranks count rows, not weights.
///
/// Cost      two passes on one thread: the first counts rows by the leading bits of the score, the second collects only
///           the rows that share these bits with a rank wanted.
template <class Isa, class P, class Y, class W>
score_bins equal_mass_bins(const scored<P, Y, W>& rows, std::size_t bins) {
    using bits = typename simd::float_format<P>::bits;
    // The bits of non-negative numbers order as the numbers do; 1.0 has the largest, and these lead to 65536 classes.
    constexpr int shift = sizeof(P) == 4 ? 14 : 46;
    const auto leading = [](P p) {
        return static_cast<std::size_t>(std::bit_cast<bits>(p + P(0)) >> shift);  // -0 becomes +0
    };
    const auto counted = [&](std::size_t i) {
        return usable(rows, i, score_kind::probability) && rows.weight(i) > 0.0;
    };
    constexpr std::size_t classes = std::size_t{1} << 16;
    std::vector<std::uint64_t> first_rank(classes + 1, 0);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (counted(i)) ++first_rank[leading(rows.scores[i]) + 1];
    }
    for (std::size_t c = 0; c < classes; ++c) first_rank[c + 1] += first_rank[c];
    const std::uint64_t total = first_rank[classes];
    if (total == 0 || bins <= 1) return score_bins::cuts(std::vector<double>{});

    // group[c]: 1 + place of class c among those that hold a wanted rank, or 0.
    struct wanted {
        std::size_t group;
        std::uint64_t rank_inside;
    };
    std::vector<std::uint32_t> group(classes, 0);
    std::vector<std::vector<P>> members;
    std::vector<wanted> ranks;
    for (std::uint64_t k = 1, c = 0; k < bins; ++k) {
        const std::uint64_t rank = k * total / bins;
        while (first_rank[c + 1] <= rank) ++c;
        if (group[c] == 0) {
            members.emplace_back();
            members.back().reserve(static_cast<std::size_t>(first_rank[c + 1] - first_rank[c]));
            group[c] = static_cast<std::uint32_t>(members.size());
        }
        ranks.push_back({group[c] - 1, rank - first_rank[c]});
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (!counted(i)) continue;
        const std::uint32_t g = group[leading(rows.scores[i])];
        if (g > 0) members[g - 1].push_back(rows.scores[i] + P(0));
    }
    for (auto& scores : members) std::sort(scores.begin(), scores.end());
    std::vector<double> cuts;
    for (const wanted& w : ranks) {
        const auto cut = static_cast<double>(members[w.group][static_cast<std::size_t>(w.rank_inside)]);
        if (cuts.empty() || cuts.back() < cut) cuts.push_back(cut);
    }
    return score_bins::cuts(cuts);
}

}  // namespace reckon::detail
