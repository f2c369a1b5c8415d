// One pass over unweighted predictions of 0/1 labels: the sums of the single predictions in SIMD lanes, the sums of the
// bins in private copies of a small table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "reckon/core/config.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/core/views.hpp"

namespace reckon::detail {

// Rows that are staged in the first-level cache and checked before they count.
inline constexpr std::size_t report_block = 256;
// With more equal-width bins the tables leave the first-level cache.
inline constexpr std::size_t report_max_bins = 64;
// Neighbouring rows go to different tables: an addition to a bin need not wait for the one before it.
inline constexpr std::size_t report_copies = 8;
// Factors per logarithm. A factor is at least 1e-16 (log_loss_options), so that 16 of them stay far above the smallest
// double.
inline constexpr std::size_t report_factors = 16;

// The sums of one label in one bin.
struct report_cell {
    double score = 0.0;
    double score_squared = 0.0;
    std::uint64_t rows = 0;
};

struct report_sums {
    double score = 0.0;     // sum p
    double label = 0.0;     // sum y
    double loss = 0.0;      // sum -ln(clipped probability of what happened)
    double square = 0.0;    // sum (p - y)^2
    double excess = 0.0;    // sum (y - p)(1 - 2p)
    double variance = 0.0;  // sum (1 - 2p)^2 p (1 - p)
};

// Which sums over single predictions are wanted.
enum class report_part { losses, spread, both };

struct report_columns {
    alignas(64) double score[report_block];
    alignas(64) double label[report_block];
};

// Sums of one group of rows, one per lane.
template <class V, report_part Part>
struct report_lanes {
    V score{0.0}, label{0.0}, loss{0.0}, square{0.0}, excess{0.0}, variance{0.0};

    RECKON_INLINE void absorb(V p, V y, V low, V high, V& product) noexcept {
        using simd::maximum;
        using simd::minimum;
        using simd::mul_add;
        using simd::select;
        const V miss = V(1.0) - p;
        const V gap = y - p;
        square = mul_add(gap, gap, square);
        if constexpr (Part != report_part::spread) {
            product *= minimum(maximum(select(y == V(1.0), p, miss), low), high);
            score += p;
            label += y;
        }
        if constexpr (Part != report_part::losses) {
            const V slack = miss - p;
            excess = mul_add(gap, slack, excess);
            variance = mul_add(slack * slack, p * miss, variance);
        }
    }
};

// What decides whether a block is all probabilities.
template <class V>
struct report_range {
    V lowest{0.0}, highest{1.0};

    RECKON_INLINE void absorb(V p) noexcept {
        using simd::maximum;
        using simd::minimum;
        lowest = minimum(lowest, p);
        highest = maximum(highest, p);
    }
};

// Rows 0 .. report_block - 1 of the two columns as doubles; false when a label is neither 0 nor 1.
template <class Isa, class P, class Y>
bool stage_report_block(const P* scores, const Y* labels, report_columns& rows) noexcept {
    if (!labels_are_binary<Isa>(vector_view<const Y>(labels, report_block))) return false;
    for (std::size_t i = 0; i < report_block; ++i) rows.score[i] = static_cast<double>(scores[i]);
    for (std::size_t i = 0; i < report_block; ++i) rows.label[i] = static_cast<double>(labels[i]);
    return true;
}

// Adds one staged block of 0/1 labels to `sums`; false, with `sums` as they were, when a score is no probability.
template <class Isa, report_part Part>
bool absorb_report_block(const report_columns& rows, double epsilon, report_sums& sums) noexcept {
    using V = simd::pack<double, Isa>;
    constexpr std::size_t step = V::lanes * report_factors;
    static_assert(report_block % (2 * step) == 0);
    const V low(epsilon), high(1.0 - epsilon);
    // Two of each, because a sum waits for the addition before it.
    report_lanes<V, Part> a, b;
    report_range<V> range;
    for (std::size_t i = 0; i < report_block; i += 2 * step) {
        V left(1.0), right(1.0);
        for (std::size_t k = 0; k < step; k += V::lanes) {
            const V p = V::load(rows.score + i + k), y = V::load(rows.label + i + k);
            const V q = V::load(rows.score + i + step + k), t = V::load(rows.label + i + step + k);
            range.absorb(p);
            range.absorb(q);
            a.absorb(p, y, low, high, left);
            b.absorb(q, t, low, high, right);
        }
        if constexpr (Part != report_part::spread) {
            a.loss -= math::log(left);
            b.loss -= math::log(right);
        }
    }
    // A NaN leaves the range as it was, but not the sum of squares.
    const double square = reduce_add(a.square + b.square);
    if (any((range.lowest < V(0.0)) | (range.highest > V(1.0))) || !(square <= static_cast<double>(report_block))) {
        return false;
    }
    sums.square += square;
    if constexpr (Part != report_part::spread) {
        sums.score += reduce_add(a.score + b.score);
        sums.label += reduce_add(a.label + b.label);
        sums.loss += reduce_add(a.loss + b.loss);
    }
    if constexpr (Part != report_part::losses) {
        sums.excess += reduce_add(a.excess + b.excess);
        sums.variance += reduce_add(a.variance + b.variance);
    }
    return true;
}

// True when all scores of a staged block are probabilities.
template <class Isa>
bool is_report_block(const report_columns& rows) noexcept {
    using V = simd::pack<double, Isa>;
    V outside(0.0);
    for (std::size_t i = 0; i < report_block; i += V::lanes) {
        const V p = V::load(rows.score + i);
        outside += select((V(0.0) <= p) & (p <= V(1.0)), V(0.0), V(1.0));
    }
    return reduce_add(outside) == 0.0;
}

// The sums of 0/1 labels in bins of equal width.
template <class Isa>
class report_cells {
  public:
    explicit report_cells(std::size_t bins) noexcept : bins_(bins) {}

    // A staged block of probabilities and 0/1 labels.
    void absorb(const report_columns& rows) noexcept {
        alignas(64) std::int32_t at[report_block];
        const double bins = static_cast<double>(bins_);
        const auto last = static_cast<std::int32_t>(bins_) - 1;
        for (std::size_t i = 0; i < report_block; ++i) {
            const auto bin = static_cast<std::int32_t>(rows.score[i] * bins);
            at[i] = 2 * (bin < last ? bin : last) + static_cast<std::int32_t>(rows.label[i]);
        }
        for (std::size_t i = 0; i < report_block; i += report_copies) {
            for (std::size_t k = 0; k < report_copies; ++k) {
                report_cell& cell = cells_[k][static_cast<std::size_t>(at[i + k])];
                const double p = rows.score[i + k];
                cell.score += p;
                cell.score_squared += p * p;
                ++cell.rows;
            }
        }
    }
    // Sums of the rows in `bin` that have this label, 0 or 1.
    report_cell cell(std::size_t bin, std::size_t label) const noexcept {
        report_cell sum;
        for (const auto& copy : cells_) {
            const report_cell& c = copy[2 * bin + label];
            sum.score += c.score;
            sum.score_squared += c.score_squared;
            sum.rows += c.rows;
        }
        return sum;
    }

  private:
    std::size_t bins_;
    std::array<std::array<report_cell, 2 * report_max_bins>, report_copies> cells_{};
};

// Calls block(rows) with every full block of 0/1 labels, staged, and careful(first, last) with the rows of blocks for
// which that is not possible or block() returned false, and with the rest. Returns the rows that block() took.
template <class Isa, class P, class Y, class Block, class Careful>
std::uint64_t for_each_report_block(vector_view<const P> scores, vector_view<const Y> labels, Block&& block,
                                    Careful&& careful) noexcept {
    report_columns rows;
    std::uint64_t taken = 0;
    std::size_t i = 0;
    for (; i + report_block <= scores.size(); i += report_block) {
        if (stage_report_block<Isa>(scores.data() + i, labels.data() + i, rows) && block(rows)) {
            taken += report_block;
        } else {
            careful(i, i + report_block);
        }
    }
    careful(i, scores.size());
    return taken;
}

}  // namespace reckon::detail
