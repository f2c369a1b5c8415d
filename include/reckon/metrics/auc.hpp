// Area under the ROC curve: exact from scores, and from a mergeable histogram with a stated bound.
#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/detail/auc.simd.hpp"

namespace reckon {

/// What auc() returns.
struct auc_result {
    /// Probability that a positive scores above a negative, ties counting one half; NaN without both classes.
    double value = std::numeric_limits<double>::quiet_NaN();
    /// Weight of the positives and of the negatives.
    double positives = 0.0;
    double negatives = 0.0;
    /// Examples taken, and examples refused for a NaN score, a label outside [0, 1] or a weight that is negative or not
    /// finite.
    counts seen;
};

namespace detail {

// Unweighted, 0/1 labels, no NaN: integers throughout.
template <class Isa, class Y>
auc_result auc_binary(vector_view<const float> scores, vector_view<const Y> labels, const score_range& range) {
    const auto distinct = count_distinct<Isa>(scores, labels);
    const pair_count pairs = distinct.empty() ? count_pairs<Isa>(scores, labels, range) : count_pairs<Isa>(distinct);
    auc_result result;
    result.seen.accepted = scores.size();
    result.positives = static_cast<double>(pairs.positives);
    result.negatives = static_cast<double>(scores.size() - pairs.positives);
    const double possible = result.positives * result.negatives;
    if (possible > 0.0) result.value = 0.5 * static_cast<double>(pairs.won_twice) / possible;
    return result;
}

template <class Isa, class P, class Y, class W>
auc_result auc_general(const scored<P, Y, W>& batch) {
    auc_result result;
    const auto order = ascending_order<Isa>(batch.scores);
    compensated_sum won, positives, negatives;
    for (std::size_t i = 0; i < order.size();) {
        double level_positive = 0.0, level_negative = 0.0;
        const P score = batch.scores[order[i]];
        // NaN is unequal to itself and forms groups of one, at the end.
        do {
            const std::size_t row = order[i];
            const double y = batch.label(row), w = batch.weight(row);
            const bool ok = score == score && y >= 0.0 && y <= 1.0 && w >= 0.0 && std::isfinite(w);
            result.seen.absorb(ok);
            if (ok) {
                level_positive += w * y;
                level_negative += w * (1.0 - y);
            }
            ++i;
        } while (i < order.size() && batch.scores[order[i]] == score);
        won.absorb(level_positive * (negatives.value() + 0.5 * level_negative));
        positives.absorb(level_positive);
        negatives.absorb(level_negative);
    }
    result.positives = positives.value();
    result.negatives = negatives.value();
    const double pairs = result.positives * result.negatives;
    if (pairs > 0.0) result.value = won.value() / pairs;
    return result;
}

}  // namespace detail

/// Area under the ROC curve, exact: P(score of a positive > score of a negative) + P(equal) / 2.
///
/// Shapes    scores [N], labels [N], weights [N] or none; N < 2^32. A label strictly between 0 and 1 counts as that
///           much of a positive and the rest of a negative.
/// Returns   the area with the weight of each class. Does not merge: see auc_histogram for a state that does.
/// Throws    std::invalid_argument when the columns differ in length. Counts and skips NaN scores and bad labels or
///           weights; infinite scores are legal, they only have an order.
/// Cost      float scores with 0/1 labels and no weights: counted by value when few are distinct; else partitioned into
///           small cells, pairs inside a cell compared in lanes, nothing sorted; 4 bytes of scratch a row. Otherwise a radix sort of rows, 16 bytes (float) or 32
///           (double) a row. Runs on one thread.
/// Numerics  integers in the first case, so the value is the nearest double or next to it; else compensated double
///           sums.
/// Source    Mann and Whitney 1947; Hanley and McNeil 1982.
template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
auc_result auc(const Policy&, const P& scores, const Y& labels, const W& weights = {}) {
    exec::detail::require_host_policy<Policy>();
    const auto batch = make_scored("auc", scores, labels, weights);
    using score = typename decltype(batch)::score_type;
    expects(batch.size() < (std::uint64_t{1} << 32), "auc", batch.size(), " rows, fewer than 2^32 are possible");
    if constexpr (std::is_same_v<score, float>) {
        if (batch.weights.empty() && detail::labels_are_binary<Isa>(batch.labels)) {
            // Infinite scores are rare enough for the general path.
            const auto range = detail::range_of<Isa>(batch.scores);
            if (range.finite) return detail::auc_binary<Isa>(batch.scores, batch.labels, range);
        }
    }
    return detail::auc_general<Isa>(batch);
}

/// Mergeable state for the area under the ROC curve: weights of positives and negatives in bins of nearly equal scores.
///
/// A bin is a range of floats that agree in sign, exponent and the first `resolution - 9` bits of the mantissa:
/// relative width 2^(9 - resolution), whatever the range of the scores, so probabilities and logits both fit.
///
/// Throws    std::invalid_argument for a resolution outside 9 .. 20, and from merge for different resolutions.
/// Cost      2^resolution pairs of doubles (256 KiB for the default), one random access a row.
/// Numerics  pairs inside one bin count one half. bound() says how far that can be from the exact area; it is computed
///           from the state itself. Counts and skips what auc() refuses.
class auc_histogram {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("AUCH");
    static constexpr std::uint32_t bytes_version = 1;
    /// Rows per part for exec::fold_parts: a part must outweigh the merge of a whole histogram.
    static constexpr std::size_t part_size = std::size_t{1} << 20;

    explicit auc_histogram(int resolution = 14) : resolution_(resolution) {
        expects(resolution >= 9 && resolution <= 20, "auc_histogram", "resolution must be 9 .. 20, got ", resolution);
        bins_.resize(std::size_t{2} << resolution);
    }

    template <class P, class Y, class W, class Isa = isa::native>
    void absorb(const scored<P, Y, W>& batch) noexcept {
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const float score = static_cast<float>(batch.scores[i]);
            const double y = batch.label(i), w = batch.weight(i);
            const bool ok = score == score && y >= 0.0 && y <= 1.0 && w >= 0.0 && std::isfinite(w);
            seen_.absorb(ok);
            if (!ok) continue;
            const std::size_t bin = ordered_bits(score) >> (32 - resolution_);
            bins_[2 * bin] += w * y;
            bins_[2 * bin + 1] += w * (1.0 - y);
        }
    }
    void merge(const auc_histogram& other) {
        expects(other.resolution_ == resolution_, "auc_histogram", "cannot merge resolution ", other.resolution_,
                " into ", resolution_);
        for (std::size_t i = 0; i < bins_.size(); ++i) bins_[i] += other.bins_[i];
        seen_.merge(other.seen_);
    }
    /// The area; NaN without both classes.
    double finish() const noexcept { return areas().value; }
    /// |finish() - exact area| is at most this.
    double bound() const noexcept { return areas().bound; }
    int resolution() const noexcept { return resolution_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }
    const counts& seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put(static_cast<std::uint32_t>(resolution_));
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        out.put_array(bins_);
    }
    static auc_histogram read(byte_reader& in) {
        const auto resolution = in.get<std::uint32_t>();
        expects_bytes(resolution >= 9 && resolution <= 20, "auc_histogram", "resolution ", resolution, " is not legal");
        counts seen{in.get<std::uint64_t>(), in.get<std::uint64_t>()};
        auto bins = in.get_array<double>();
        expects_bytes(bins.size() == (std::size_t{2} << resolution), "auc_histogram", bins.size(),
                      " bins do not fit resolution ", resolution);
        for (const double bin : bins) {
            expects_bytes(bin >= 0.0 && std::isfinite(bin), "auc_histogram", "a bin holds ", bin);
        }
        return auc_histogram(static_cast<int>(resolution), seen, static_cast<std::vector<double>&&>(bins));
    }

  private:
    struct area {
        double value = std::numeric_limits<double>::quiet_NaN();
        double bound = std::numeric_limits<double>::quiet_NaN();
    };

    auc_histogram(int resolution, counts seen, std::vector<double>&& bins) noexcept
        : resolution_(resolution), seen_(seen), bins_(static_cast<std::vector<double>&&>(bins)) {}

    area areas() const noexcept {
        compensated_sum won, undecided, positives, negatives;
        for (std::size_t i = 0; i < bins_.size(); i += 2) {
            const double positive = bins_[i], negative = bins_[i + 1];
            won.absorb(positive * (negatives.value() + 0.5 * negative));
            undecided.absorb(0.5 * positive * negative);
            positives.absorb(positive);
            negatives.absorb(negative);
        }
        const double pairs = positives.value() * negatives.value();
        if (!(pairs > 0.0)) return {};
        return {won.value() / pairs, undecided.value() / pairs};
    }

    int resolution_;
    counts seen_;
    std::vector<double> bins_;  // positive and negative weight, bin by bin
};

}  // namespace reckon
