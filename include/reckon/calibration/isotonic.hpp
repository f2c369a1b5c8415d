// Isotonic regression: the pool-adjacent-violators algorithm on ordered data, and the calibrator built on it.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

namespace detail {

// A maximal run of rows that share one fitted value, sum / weight. `last` is its last row, or its last score.
template <class Last>
struct pooled_block {
    double sum;
    double weight;
    Last last;
};

// Adds a block at the end and restores strictly increasing means; a positive weight everywhere saves the division.
template <class Last>
RECKON_INLINE std::size_t push_pooled(pooled_block<Last>* blocks, std::size_t count, pooled_block<Last> next) noexcept {
    while (count > 0 && blocks[count - 1].sum * next.weight >= next.sum * blocks[count - 1].weight) {
        next.sum += blocks[count - 1].sum;
        next.weight += blocks[count - 1].weight;
        --count;
    }
    blocks[count] = next;
    return count + 1;
}

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

// PAVA over 0/1 bytes. Ones followed by zeros always pool, so whole runs are pushed; 64 labels make one word, and its
// runs are found by counting bits.
template <class Isa>
std::size_t pool_binary(vector_view<const unsigned char> labels, pooled_block<std::size_t>* blocks) noexcept {
    const std::size_t n = labels.size();
    std::size_t count = 0, ones = 0, zeros = 0;  // of the run in progress
    const auto close = [&](std::size_t end) {
        if (ones + zeros == 0) return;
        count = push_pooled(blocks, count, {static_cast<double>(ones), static_cast<double>(ones + zeros), end});
        ones = zeros = 0;
    };
    std::size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        std::uint64_t word = 0;
        for (unsigned k = 0; k < 8; ++k) word |= pack_label_bytes(labels.data() + i + 8 * k) << (8 * k);
        for (unsigned at = 0; at < 64;) {
            if (((word >> at) & 1) != 0) {
                if (zeros > 0) close(i + at);
                const auto run = static_cast<unsigned>(std::countr_one(word >> at));
                ones += run;
                at += run;
            } else {
                const auto left = 64 - at;
                const auto run = (std::min)(static_cast<unsigned>(std::countr_zero(word >> at)), left);
                zeros += run;
                at += run;
            }
        }
    }
    for (; i < n; ++i) {
        if (labels[i] != 0) {
            if (zeros > 0) close(i);
            ++ones;
        } else {
            ++zeros;
        }
    }
    close(n);
    return count;
}

}  // namespace detail

/// Least-squares non-decreasing fit to `values`, which stand in score order.
///
///   fitted = argmin sum_i w_i (values_i - fitted_i)^2   subject to  fitted_1 <= fitted_2 <= ...
///
/// Shapes    values [N] (float, double, or bytes that are 0 or 1), weights [N] or none, fitted [N] float or double.
/// Writes    fitted; it may be the memory of `values`.
/// Throws    std::invalid_argument when the lengths differ.
/// Cost      O(N); 24 bytes of scratch a row. 0/1 bytes without weights are read 64 at a time.
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
    std::vector<detail::pooled_block<std::size_t>> blocks(n);
    std::size_t count = 0;
    if constexpr (std::is_same_v<value, unsigned char>) {
        if (w.empty()) count = detail::pool_binary<Isa>(y, blocks.data());
    }
    if (count == 0) {
        for (std::size_t i = 0; i < n; ++i) {
            const double weight = w.empty() ? 1.0 : static_cast<double>(w[i]);
            count = detail::push_pooled(blocks.data(), count, {weight * static_cast<double>(y[i]), weight, i + 1});
        }
    }
    std::size_t first = 0;
    for (std::size_t b = 0; b < count; ++b) {
        const auto level = static_cast<result>(blocks[b].sum / blocks[b].weight);
        for (; first < blocks[b].last; ++first) out[first] = level;
    }
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
/// Cost      fit: float scores with 0/1 labels and no weights are partitioned and pooled bucket by bucket, otherwise a
/// radix
///           sort; both on one thread. apply: a table look-up and a few comparisons a score.
/// Numerics  equal scores are pooled first. Scores outside the fitted range get the value at its end. NaN score in, NaN
///           out. The fit counts and skips NaN or infinite scores, labels outside [0, 1], negative or infinite weights;
///           weight 0 contributes nothing. A fit to nothing is the constant NaN.
/// Source    Zadrozny and Elkan 2002; interpolation between the first and last score of each block as in scikit-learn.
class isotonic {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("ISOT");
    static constexpr std::uint32_t bytes_version = 1;

    isotonic() = default;
    /// From knots: scores strictly increasing, levels monotone.
    ///
    /// Throws    std::invalid_argument for other knots, or when the lengths differ.
    isotonic(std::vector<double> scores, std::vector<double> levels)
        : scores_(std::move(scores)), levels_(std::move(levels)) {
        const char* fault = knot_fault();
        expects(fault == nullptr, "isotonic", fault == nullptr ? "" : fault);
        index_knots();
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static isotonic fit(const Policy&, const P& scores, const Y& labels, const W& weights = {},
                        const isotonic_options& options = {}) {
        exec::detail::require_host_policy<Policy>();
        const auto batch = make_scored("isotonic", scores, labels, weights);
        using score = typename decltype(batch)::score_type;
        if constexpr (std::is_same_v<score, float>) {
            float finite = 0.0f;
            for (const float s : batch.scores) finite += s - s;
            if (batch.weights.empty() && finite == 0.0f && options.increasing &&
                detail::labels_are_binary<Isa>(batch.labels)) {
                return fit_binary<Isa>(batch.scores, batch.labels);
            }
        }
        return fit_general<Isa>(batch, options);
    }

    /// The calibrated probability of one score.
    template <std::floating_point T>
    T operator()(T score) const noexcept {
        return static_cast<T>(at(static_cast<double>(score)));
    }
    /// Maps scores [N] to out [N]; `out` may be the memory of `scores`.
    template <exec::policy Policy, vector_like P, vector_like Out>
    void apply(const Policy& where, const P& scores, Out&& out) const {
        const auto in = input(scores);
        const auto to = view(out);
        using result = typename decltype(to)::value_type;
        expects(to.size() == in.size(), "isotonic::apply", in.size(), " scores but room for ", to.size(), " results");
        exec::map_parts(where, in.size(), [&](std::size_t first, std::size_t count) {
            for (std::size_t i = first; i < first + count; ++i)
                to[i] = static_cast<result>(at(static_cast<double>(in[i])));
        });
    }

    /// Knots in ascending order of score: a block has one or two, at its first and last score.
    const std::vector<double>& knot_scores() const noexcept { return scores_; }
    const std::vector<double>& knot_levels() const noexcept { return levels_; }
    const counts& seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    void write(byte_writer& out) const {
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        out.put_array(scores_);
        out.put_array(levels_);
    }
    static isotonic read(byte_reader& in) {
        isotonic model;
        model.seen_.accepted = in.get<std::uint64_t>();
        model.seen_.rejected = in.get<std::uint64_t>();
        model.scores_ = in.get_array<double>();
        model.levels_ = in.get_array<double>(model.scores_.size());
        const char* fault = model.knot_fault();
        expects_bytes(fault == nullptr, "isotonic", fault == nullptr ? "" : fault);
        model.index_knots();
        return model;
    }

  private:
    const char* knot_fault() const noexcept {
        if (scores_.size() != levels_.size()) return "as many scores as levels are needed";
        if (scores_.size() >= (std::uint64_t{1} << 32)) return "fewer than 2^32 knots are possible";
        bool rises = true, falls = true;
        for (std::size_t i = 0; i < scores_.size(); ++i) {
            if (!std::isfinite(scores_[i]) || !std::isfinite(levels_[i])) return "a knot is not finite";
            if (i == 0) continue;
            if (!(scores_[i - 1] < scores_[i])) return "knot scores must increase";
            rises &= levels_[i - 1] <= levels_[i];
            falls &= levels_[i - 1] >= levels_[i];
        }
        return rises || falls ? nullptr : "knot levels must be monotone";
    }

    void add_knot(double score, double level) {
        scores_.push_back(score);
        levels_.push_back(level);
    }

    template <class Isa, class Y>
    static isotonic fit_binary(vector_view<const float> scores, vector_view<const Y> labels) {
        struct span_of_scores {
            std::uint32_t first, last;
        };
        auto buckets = detail::bucket_scores<Isa>(scores, labels);
        std::vector<detail::pooled_block<span_of_scores>> blocks;
        std::size_t count = 0;
        // The run in progress: ones, then zeros. With positives first among equal scores, ties pool by themselves.
        std::uint32_t first = 0, last = 0, ones = 0, zeros = 0;
        const auto close = [&] {
            if (blocks.size() <= count) blocks.resize(2 * blocks.size() + 1024);
            detail::pooled_block<span_of_scores> next{
                static_cast<double>(ones), static_cast<double>(ones + zeros), {first, last}};
            while (count > 0 && blocks[count - 1].sum * next.weight >= next.sum * blocks[count - 1].weight) {
                next.sum += blocks[count - 1].sum;
                next.weight += blocks[count - 1].weight;
                next.last.first = blocks[count - 1].last.first;
                --count;
            }
            blocks[count++] = next;
        };
        detail::visit_sorted<Isa>(buckets, [&](std::uint32_t base, const std::uint32_t* items, std::size_t size) {
            for (std::size_t i = 0; i < size; ++i) {
                const std::uint32_t key = base + (items[i] >> 1);
                const std::uint32_t zero = items[i] & 1u;
                if (zero == 0 && zeros > 0) {
                    close();
                    ones = zeros = 0;
                }
                if (ones + zeros == 0) first = key;
                last = key;
                ones += 1 - zero;
                zeros += zero;
            }
        });
        if (ones + zeros > 0) close();
        isotonic model;
        model.seen_.accepted = scores.size();
        for (std::size_t b = 0; b < count; ++b) {
            const double level = blocks[b].sum / blocks[b].weight;
            model.add_knot(static_cast<double>(from_ordered_bits<float>(blocks[b].last.first)), level);
            if (blocks[b].last.last != blocks[b].last.first) {
                model.add_knot(static_cast<double>(from_ordered_bits<float>(blocks[b].last.last)), level);
            }
        }
        model.index_knots();
        return model;
    }

    template <class Isa, class P, class Y, class W>
    static isotonic fit_general(const scored<P, Y, W>& batch, const isotonic_options& options) {
        struct span_of_scores {
            double first, last;
        };
        const double sign = options.increasing ? 1.0 : -1.0;
        const auto order = ascending_order<Isa>(batch.scores);
        isotonic model;
        std::vector<detail::pooled_block<span_of_scores>> blocks;
        for (std::size_t i = 0; i < order.size();) {
            const double score = batch.score(order[i]);
            detail::pooled_block<span_of_scores> next{0.0, 0.0, {score, score}};
            do {
                const std::size_t row = order[i];
                const double y = batch.label(row), w = batch.weight(row);
                const bool ok = std::isfinite(score) && y >= 0.0 && y <= 1.0 && w >= 0.0 && std::isfinite(w);
                model.seen_.absorb(ok);
                if (ok) {
                    next.sum += sign * w * y;
                    next.weight += w;
                }
                ++i;
            } while (i < order.size() && batch.score(order[i]) == score);
            if (next.weight == 0.0) continue;
            while (!blocks.empty() && blocks.back().sum * next.weight >= next.sum * blocks.back().weight) {
                next.sum += blocks.back().sum;
                next.weight += blocks.back().weight;
                next.last.first = blocks.back().last.first;
                blocks.pop_back();
            }
            blocks.push_back(next);
        }
        for (const auto& block : blocks) {
            const double level = sign * block.sum / block.weight;
            model.add_knot(block.last.first, level);
            if (block.last.last != block.last.first) model.add_knot(block.last.last, level);
        }
        model.index_knots();
        return model;
    }

    // Cells of equal width in ordered bits of float; rounding to float is monotone, so a knot never lies in a later
    // cell than a score above it.
    std::size_t cell(double score) const noexcept {
        const std::uint32_t key = ordered_bits(static_cast<float>(score));
        return key <= lowest_ ? 0 : (std::min)(std::size_t{key - lowest_} >> cell_shift_, cells_.size() - 2);
    }

    // cells_[c] knots lie in cells before c.
    void index_knots() {
        cells_.clear();
        if (scores_.empty()) return;
        lowest_ = ordered_bits(static_cast<float>(scores_.front()));
        const std::uint32_t range = ordered_bits(static_cast<float>(scores_.back())) - lowest_;
        const int cell_bits = (std::min)(static_cast<int>(std::bit_width(scores_.size())) + 2, 12);
        cell_shift_ = (std::max)(static_cast<int>(std::bit_width(range)) - cell_bits, 0);
        cells_.assign((std::size_t{range} >> cell_shift_) + 2, 0);
        for (const double score : scores_) ++cells_[cell(score) + 1];
        std::uint32_t most = 0;
        for (std::size_t c = 1; c < cells_.size(); ++c) {
            most = (std::max)(most, cells_[c]);
            cells_[c] += cells_[c - 1];
        }
        steps_ = static_cast<int>(std::bit_width(most));
    }

    double at(double score) const noexcept {
        if (levels_.empty() || score != score) return std::numeric_limits<double>::quiet_NaN();
        const double* x = scores_.data();
        const double* y = levels_.data();
        const std::size_t c = cell(score);
        // Number of knots at or below the score, by a search of fixed length inside its cell.
        std::size_t low = cells_[c], high = cells_[c + 1];
        for (int s = 0; s < steps_; ++s) {
            const std::size_t middle = (low + high) / 2;
            const bool below = middle < high && x[middle] <= score;
            low = below ? middle + 1 : low;
            high = below ? high : middle;
        }
        if (low == 0) return y[0];
        if (low == levels_.size()) return y[low - 1];
        const double t = (score - x[low - 1]) / (x[low] - x[low - 1]);
        return y[low - 1] + t * (y[low] - y[low - 1]);
    }

    std::vector<double> scores_;
    std::vector<double> levels_;
    counts seen_;
    std::vector<std::uint32_t> cells_;  // derived from the knots
    std::uint32_t lowest_ = 0;
    int cell_shift_ = 0;
    int steps_ = 0;
};

}  // namespace reckon
