// Isotonic regression: the pool-adjacent-violators algorithm on ordered data, and the calibrator built on it.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/knots.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

namespace detail {

// A maximal run of rows that share one fitted value, sum / weight. `first` and `last` say where it lies: rows or
// scores.
template <class Place>
struct pooled_block {
    double sum;
    double weight;
    Place first;
    Place last;
};

// The blocks so far, their means strictly increasing. Weights are positive, which saves the division in comparisons.
template <class Place>
class pooled_blocks {
  public:
    RECKON_INLINE void push(pooled_block<Place> next) {
        while (count_ > 0 && blocks_[count_ - 1].sum * next.weight >= next.sum * blocks_[count_ - 1].weight) {
            --count_;
            next.sum += blocks_[count_].sum;
            next.weight += blocks_[count_].weight;
            next.first = blocks_[count_].first;
        }
        if (count_ == blocks_.size()) blocks_.resize(2 * count_ + 256);
        blocks_[count_++] = next;
    }
    /// Calls visit(block) for every block in order.
    template <class Visit>
    void for_each(Visit&& visit) const {
        for (std::size_t i = 0; i < count_; ++i) visit(blocks_[i]);
    }

  private:
    std::vector<pooled_block<Place>> blocks_;
    std::size_t count_ = 0;
};

// Collects 0/1 labels in score order. Ones followed by zeros always pool, so they are pushed as one block.
template <class Place>
class binary_runs {
  public:
    RECKON_INLINE void ones(std::size_t run, Place first, Place last) {
        if (zeros_ > 0) close();
        if (ones_ == 0) first_ = first;
        ones_ += run;
        last_ = last;
    }
    RECKON_INLINE void zeros(std::size_t run, Place first, Place last) {
        if (ones_ + zeros_ == 0) first_ = first;
        zeros_ += run;
        last_ = last;
    }
    const pooled_blocks<Place>& finish() {
        if (ones_ + zeros_ > 0) close();
        return blocks_;
    }

  private:
    RECKON_INLINE void close() {
        blocks_.push({static_cast<double>(ones_), static_cast<double>(ones_ + zeros_), first_, last_});
        ones_ = zeros_ = 0;
    }

    pooled_blocks<Place> blocks_;
    std::size_t ones_ = 0;
    std::size_t zeros_ = 0;
    Place first_{};
    Place last_{};
};

// Eight 0/1 bytes as eight bits, the first byte lowest.
RECKON_INLINE std::uint64_t pack_label_bytes(const unsigned char* labels) noexcept {
    std::uint64_t eight;
    std::memcpy(&eight, labels, 8);
    if constexpr (std::endian::native == std::endian::big) {
        std::uint64_t swapped = 0;
        for (int i = 0; i < 8; ++i) swapped |= ((eight >> (8 * i)) & 0xff) << (8 * (7 - i));
        eight = swapped;
    }
    return (eight * 0x0102040810204080ull) >> 56;
}

// PAVA over 0/1 bytes: 64 labels make one word, and its runs are found by counting bits.
template <class Isa>
pooled_blocks<std::size_t> pool_binary(vector_view<const unsigned char> labels) {
    const std::size_t n = labels.size();
    binary_runs<std::size_t> runs;
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        std::uint64_t word = 0;
        for (unsigned k = 0; k < 8; ++k) word |= pack_label_bytes(labels.data() + i + 8 * k) << (8 * k);
        for (unsigned at = 0; at < 64;) {
            const std::uint64_t rest = word >> at;
            if ((rest & 1) != 0) {
                const auto run = static_cast<unsigned>(std::countr_one(rest));
                runs.ones(run, i + at, i + at + run - 1);
                at += run;
            } else {
                // The shift brought zeros in at the top.
                const auto run = (std::min)(static_cast<unsigned>(std::countr_zero(rest)), 64 - at);
                runs.zeros(run, i + at, i + at + run - 1);
                at += run;
            }
        }
    }
    for (; i < n; ++i) labels[i] != 0 ? runs.ones(1, i, i) : runs.zeros(1, i, i);
    return runs.finish();
}

}  // namespace detail

/// Least-squares non-decreasing fit to `values`, which stand in score order.
///
///   fitted = argmin sum_i w_i (values_i - fitted_i)^2   subject to  fitted_1 <= fitted_2 <= ...
///
/// Shapes    values [N] (float, double, or bytes that are 0 or 1), weights [N] or none, fitted [N] float or double.
/// Writes    fitted; it may be the memory of `values`.
/// Throws    std::invalid_argument when the lengths differ.
/// Cost      O(N); 32 bytes of scratch a block. 0/1 bytes without weights are read 64 at a time.
/// Numerics  sums in double. Weights must be positive; values and weights are not scanned, NaN in, NaN out somewhere.
///           Derivative: d fitted_i / d values_j = w_j / (weight of the block) when i and j share a block, else 0.
/// Source    Ayer et al. 1955; the stack form after Best and Chakravarti 1990.
template <vector_like V, vector_like Out, class W = none, class Isa = isa::native>
void isotonic_regression(const V& values, Out&& fitted, const W& weights = {}) {
    const auto y = input(values);
    const auto w = input(weights);
    const auto out = view(fitted);
    using value = typename decltype(y)::value_type;
    using result = typename decltype(out)::value_type;
    const std::size_t n = y.size();
    expects(out.size() == n, "isotonic_regression", n, " values but room for ", out.size(), " fitted ones");
    expects(w.empty() || w.size() == n, "isotonic_regression", n, " values but ", w.size(), " weights");
    detail::pooled_blocks<std::size_t> blocks;
    const auto pool_values = [&] {
        // Values that do not rise share a block whatever stands before them, so each run of them is pushed as one.
        for (std::size_t i = 0; i < n;) {
            double weight = w.empty() ? 1.0 : static_cast<double>(w[i]);
            detail::pooled_block<std::size_t> run{weight * static_cast<double>(y[i]), weight, i, i};
            for (++i; i < n && y[i] <= y[i - 1]; ++i) {
                weight = w.empty() ? 1.0 : static_cast<double>(w[i]);
                run.sum += weight * static_cast<double>(y[i]);
                run.weight += weight;
                run.last = i;
            }
            blocks.push(run);
        }
    };
    if constexpr (std::is_same_v<value, unsigned char>) {
        if (w.empty()) {
            blocks = detail::pool_binary<Isa>(y);
        } else {
            pool_values();
        }
    } else {
        pool_values();
    }
    blocks.for_each([&](const auto& block) {
        std::fill(out.data() + block.first, out.data() + block.last + 1, static_cast<result>(block.sum / block.weight));
    });
}

struct isotonic_options {
    /// False fits a non-increasing function.
    bool increasing = true;
};

/// Isotonic calibration: the best monotone map of scores to probabilities, piecewise linear between the blocks.
///
/// Shapes    scores [N] any real numbers, labels [N] in [0, 1], weights [N] or none.
/// Writes    apply() writes one probability per score.
/// Throws    std::invalid_argument when lengths differ, std::runtime_error from read for bytes that are no such model.
/// Cost      fit: float scores with 0/1 labels and no weights are counted by value when few are distinct, else partitioned
///           and pooled bucket by bucket; otherwise a radix sort. All on one thread. apply: a table look-up and a few comparisons a score.
/// Numerics  equal scores are pooled first. Scores outside the fitted range get the value at its end. NaN score in, NaN
///           out. The fit counts and skips scores that are NaN or beyond float, labels outside [0, 1],
///           negative or infinite weights; weight 0 contributes nothing. A fit to nothing is the identity on [0, 1].
/// Source    Zadrozny and Elkan 2002; interpolation between the first and last score of each block as in scikit-learn.
class isotonic {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("ISOT");
    static constexpr std::uint32_t bytes_version = 1;

    isotonic() = default;
    /// From knots: scores strictly increasing, levels monotone in [0, 1].
    ///
    /// Throws    std::invalid_argument for other knots, or when the lengths differ.
    isotonic(std::vector<double> scores, std::vector<double> levels) {
        const char* const fault = knot_fault(scores, levels);
        expects(fault == nullptr, "isotonic", fault == nullptr ? "" : fault);
        map_ = detail::polygon(std::move(scores), std::move(levels));
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static isotonic fit(const Policy&, const P& scores, const Y& labels, const W& weights = {},
                        const isotonic_options& options = {}) {
        exec::detail::require_host_policy<Policy>();
        const auto batch = make_scored("isotonic", scores, labels, weights);
        using score = typename decltype(batch)::score_type;
        if constexpr (std::is_same_v<score, float>) {
            if (batch.weights.empty() && options.increasing && detail::labels_are_binary<Isa>(batch.labels)) {
                const auto range = detail::range_of<Isa>(batch.scores);
                if (range.finite) return fit_binary<Isa>(batch.scores, batch.labels, range);
            }
        }
        return fit_general<Isa>(batch, options);
    }

    template <std::floating_point T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return map_.at(score);
    }
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        map_.template apply<Isa>("isotonic", where, scores, out);
    }

    /// Knots in ascending order of score: a block has one or two, at its first and last score.
    const std::vector<double>& knot_scores() const noexcept { return map_.scores(); }
    const std::vector<double>& knot_levels() const noexcept { return map_.levels(); }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        out.put_array(knot_scores());
        out.put_array(knot_levels());
    }
    static isotonic read(byte_reader& in) {
        isotonic model;
        model.seen_.accepted = in.get<std::uint64_t>();
        model.seen_.rejected = in.get<std::uint64_t>();
        auto scores = in.get_array<double>();
        auto levels = in.get_array<double>(scores.size());
        const char* const fault = knot_fault(scores, levels);
        expects_bytes(fault == nullptr, "isotonic", fault == nullptr ? "" : fault);
        model.map_ = detail::polygon(std::move(scores), std::move(levels));
        return model;
    }

  private:
    // Knots on their way into a model.
    struct knot_list {
        std::vector<double> scores, levels;

        void add_block(double first, double last, double level) {
            scores.push_back(first);
            levels.push_back(level);
            if (last == first) return;
            scores.push_back(last);
            levels.push_back(level);
        }
        isotonic model(const counts& seen) && {
            isotonic fitted;
            fitted.map_ = detail::polygon(std::move(scores), std::move(levels));
            fitted.seen_ = seen;
            return fitted;
        }
    };

    static const char* knot_fault(const std::vector<double>& scores, const std::vector<double>& levels) noexcept {
        if (const char* const fault = detail::polygon::fault(scores, levels)) return fault;
        const bool monotone = std::is_sorted(levels.begin(), levels.end()) ||
                              std::is_sorted(levels.begin(), levels.end(), std::greater<>());
        return monotone ? nullptr : "knot levels must be monotone";
    }

    template <class Isa, class Y>
    static isotonic fit_binary(vector_view<const float> scores, vector_view<const Y> labels,
                               const detail::score_range& range) {
        detail::binary_runs<std::uint32_t> runs;
        // Positives come first among equal scores, so ties pool by themselves.
        if (const auto distinct = detail::count_distinct<Isa>(scores, labels); !distinct.empty()) {
            for (const auto& [key, rows] : distinct) {
                if (rows[1] > 0) runs.ones(rows[1], key, key);
                if (rows[0] > 0) runs.zeros(rows[0], key, key);
            }
        } else {
            auto buckets = detail::bucket_scores<Isa>(scores, labels, range);
            detail::visit_sorted<Isa>(buckets, [&](std::uint32_t base, const std::uint32_t* items, std::size_t size) {
                for (std::size_t i = 0; i < size; ++i) {
                    const std::uint32_t key = base + (items[i] >> 1);
                    (items[i] & 1u) == 0 ? runs.ones(1, key, key) : runs.zeros(1, key, key);
                }
            });
        }
        knot_list knots;
        runs.finish().for_each([&](const auto& block) {
            knots.add_block(static_cast<double>(from_ordered_bits<float>(block.first)),
                            static_cast<double>(from_ordered_bits<float>(block.last)), block.sum / block.weight);
        });
        return std::move(knots).model({scores.size(), 0});
    }

    template <class Isa, class P, class Y, class W>
    static isotonic fit_general(const scored<P, Y, W>& batch, const isotonic_options& options) {
        const double sign = options.increasing ? 1.0 : -1.0;
        const auto order = ascending_order<Isa>(batch.scores);
        counts seen;
        detail::pooled_blocks<double> blocks;
        for (std::size_t i = 0; i < order.size();) {
            const double score = batch.score(order[i]);
            double sum = 0.0, weight = 0.0;
            // NaN is unequal to itself and forms groups of one, at the end.
            do {
                const std::size_t row = order[i];
                const double y = batch.label(row), w = batch.weight(row);
                const bool ok = detail::is_knot_score(score) && y >= 0.0 && y <= 1.0 && w >= 0.0 && std::isfinite(w);
                seen.absorb(ok);
                if (ok) {
                    sum += sign * w * y;
                    weight += w;
                }
                ++i;
            } while (i < order.size() && batch.score(order[i]) == score);
            if (weight > 0.0) blocks.push({sum, weight, score, score});
        }
        knot_list knots;
        blocks.for_each(
            [&](const auto& block) { knots.add_block(block.first, block.last, sign * block.sum / block.weight); });
        return std::move(knots).model(seen);
    }

    detail::polygon map_;
    counts seen_;
};

}  // namespace reckon
