// The rows that a calibrator is fitted on: checked once, summarised, and handed on as lanes in short blocks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon::detail {

/// Rows whose sums may be kept in lanes before they go to double: at most 64 additions of a lane's type.
inline constexpr std::size_t block_rows = 256;

/// Rows first .. first + count - 1 of a column as numbers of type T: the column itself, or a copy in `buffer`.
template <class T, class U>
RECKON_INLINE const T* as_lanes(vector_view<const U> column, std::size_t first, std::size_t count, T* buffer) noexcept {
    if constexpr (std::is_same_v<T, U>) {
        return column.data() + first;
    } else {
        for (std::size_t i = 0; i < count; ++i) buffer[i] = static_cast<T>(column[first + i]);
        return buffer;
    }
}

/// Calls body(offset, count, score, label, weight) with packs over one block of at most block_rows rows. Lanes beyond
/// the end have weight 0 and the given padding.
template <class T, class Isa, bool Weighted, class Batch, class Body>
RECKON_INLINE void for_each_pack(const Batch& rows, std::size_t first, std::size_t count, T label_padding,
                                 Body&& body) noexcept {
    using V = simd::pack<T, Isa>;
    T score_buffer[block_rows], label_buffer[block_rows], weight_buffer[block_rows];
    const T* f = as_lanes(rows.scores, first, count, score_buffer);
    const T* y = as_lanes(rows.labels, first, count, label_buffer);
    const T* w = nullptr;
    if constexpr (Weighted) w = as_lanes(rows.weights, first, count, weight_buffer);
    std::size_t i = 0;
    for (; i + V::lanes <= count; i += V::lanes) {
        if constexpr (Weighted) {
            body(i, V::lanes, V::load(f + i), V::load(y + i), V::load(w + i));
        } else {
            body(i, V::lanes, V::load(f + i), V::load(y + i), V(T(1)));
        }
    }
    if (i < count) {
        const std::size_t left = count - i;
        V weight;
        if constexpr (Weighted) {
            weight = V::load_padded(w + i, left, T(0));
        } else {
            T ones[V::lanes];
            for (std::size_t k = 0; k < V::lanes; ++k) ones[k] = T(1);
            weight = V::load_padded(ones, left, T(0));
        }
        body(i, left, V::load_padded(f + i, left, T(0)), V::load_padded(y + i, left, label_padding), weight);
    }
}

/// Rows with a second number beside the score, for maps of two columns that cost too much to be made in every pass.
template <std::floating_point P, class Y, class W>
struct paired : scored<P, Y, W> {
    vector_view<const P> seconds;

    constexpr paired() noexcept = default;
    constexpr paired(const scored<P, Y, W>& rows, vector_view<const P> second) noexcept
        : scored<P, Y, W>(rows), seconds(second) {}
    constexpr paired slice(std::size_t first, std::size_t count) const noexcept {
        return {scored<P, Y, W>::slice(first, count), seconds.slice(first, count)};
    }
};

/// What a fit makes of a score: which scores are legal, and the columns it works on. This one is the score's log-odds.
struct logit_column {
    static constexpr bool paired = false;
    template <class T>
    static constexpr T least(score_kind kind) noexcept {
        return kind == score_kind::probability ? T(0) : -(std::numeric_limits<T>::max)();
    }
    template <class T>
    static constexpr T most(score_kind kind) noexcept {
        return kind == score_kind::probability ? T(1) : (std::numeric_limits<T>::max)();
    }
    template <class V>
    static RECKON_INLINE void split(V score, score_kind, V& first, V&) noexcept {
        first = clipped_logit(score);
    }
};

/// Raw rows on their way into a fit; the summary writes their columns to `logits` and `seconds` unless these are empty.
template <class P, class Y, class W>
struct raw_rows {
    scored<P, Y, W> rows;
    vector_view<P> logits;
    vector_view<P> seconds = {};

    std::size_t size() const noexcept { return rows.size(); }
    raw_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {rows.slice(first, count), logits.slice(first, count), seconds.slice(first, count)};
    }
};

/// What a fit needs to know before it starts: how many rows are usable, their sums and the range of their scores.
///
/// L         lane type of the arithmetic; sums over a block of rows are rounded to it.
/// Columns   what becomes of a score; see logit_column.
template <class L, class Isa = isa::native, class Columns = logit_column>
struct score_summary {
    score_kind kind = score_kind::probability;
    double weight = 0;     // sum of w
    double positive = 0;   // sum of w y
    double score_sum = 0;  // sum of w f
    double lowest = std::numeric_limits<double>::infinity();
    double highest = -std::numeric_limits<double>::infinity();
    // The same of the second column, if there is one.
    double second_sum = 0;
    double second_lowest = std::numeric_limits<double>::infinity();
    double second_highest = -std::numeric_limits<double>::infinity();
    counts seen;

    double negative() const noexcept { return (std::max)(0.0, weight - positive); }

    template <class P, class Y, class W>
    void absorb(const raw_rows<P, Y, W>& raw) noexcept {
        if (raw.rows.weights.empty()) {
            absorb_blocks<false>(raw);
        } else {
            absorb_blocks<true>(raw);
        }
    }
    void merge(const score_summary& other) noexcept {
        weight += other.weight;
        positive += other.positive;
        score_sum += other.score_sum;
        lowest = (std::min)(lowest, other.lowest);
        highest = (std::max)(highest, other.highest);
        second_sum += other.second_sum;
        second_lowest = (std::min)(second_lowest, other.second_lowest);
        second_highest = (std::max)(second_highest, other.second_highest);
        seen.merge(other.seen);
    }

  private:
    template <bool Weighted, class P, class Y, class W>
    void absorb_blocks(const raw_rows<P, Y, W>& raw) noexcept {
        using V = simd::pack<L, Isa>;
        constexpr L inf = std::numeric_limits<L>::infinity();
        [[maybe_unused]] constexpr L finite = (std::numeric_limits<L>::max)();
        const V least = Columns::template least<L>(kind), most = Columns::template most<L>(kind);
        const bool to_logits = !raw.logits.empty() || Columns::paired;
        V low(inf), high(-inf), second_low(inf), second_high(-inf);
        for (std::size_t first = 0; first < raw.size(); first += block_rows) {
            const std::size_t count = (std::min)(block_rows, raw.size() - first);
            V accepted(L(0)), weights(L(0)), positives(L(0)), scores(L(0)), seconds(L(0));
            const auto keep = [first](vector_view<L> to, std::size_t at, std::size_t n, V value) {
                if (to.empty()) return;
                if (n == V::lanes) {
                    value.store(to.data() + first + at);
                } else {
                    value.store_head(to.data() + first + at, n);
                }
            };
            // A label of NaN keeps the padding lanes out.
            for_each_pack<L, Isa, Weighted>(raw.rows, first, count, std::numeric_limits<L>::quiet_NaN(),
                                            [&](std::size_t at, std::size_t n, V score, V y, V w) {
                                                auto ok = (least <= score) & (score <= most) & (V(L(0)) <= y) &
                                                          (y <= V(L(1)));
                                                if constexpr (Weighted) ok = ok & (V(L(0)) <= w) & (w <= V(finite));
                                                V f = score, g = score;
                                                if constexpr (std::is_same_v<L, P>) {
                                                    if (to_logits) {
                                                        Columns::split(score, kind, f, g);
                                                        keep(raw.logits, at, n, f);
                                                        if constexpr (Columns::paired) keep(raw.seconds, at, n, g);
                                                    }
                                                }
                                                const V counted = select(ok, w, V(L(0)));
                                                const auto used = V(L(0)) < counted;
                                                accepted += select(ok, V(L(1)), V(L(0)));
                                                weights += counted;
                                                positives = mul_add(counted, select(ok, y, V(L(0))), positives);
                                                scores = mul_add(counted, select(ok, f, V(L(0))), scores);
                                                low = minimum(low, select(used, f, V(inf)));
                                                high = maximum(high, select(used, f, V(-inf)));
                                                if constexpr (Columns::paired) {
                                                    seconds = mul_add(counted, select(ok, g, V(L(0))), seconds);
                                                    second_low = minimum(second_low, select(used, g, V(inf)));
                                                    second_high = maximum(second_high, select(used, g, V(-inf)));
                                                }
                                            });
            const auto taken = static_cast<std::uint64_t>(reduce_add(accepted));
            seen.accepted += taken;
            seen.rejected += count - taken;
            weight += static_cast<double>(reduce_add(weights));
            positive += static_cast<double>(reduce_add(positives));
            score_sum += static_cast<double>(reduce_add(scores));
            if constexpr (Columns::paired) second_sum += static_cast<double>(reduce_add(seconds));
        }
        widen(low, high, lowest, highest);
        if constexpr (Columns::paired) widen(second_low, second_high, second_lowest, second_highest);
    }

    static void widen(simd::pack<L, Isa> low, simd::pack<L, Isa> high, double& lowest, double& highest) noexcept {
        L lows[simd::pack<L, Isa>::lanes], highs[simd::pack<L, Isa>::lanes];
        low.store(lows);
        high.store(highs);
        for (std::size_t i = 0; i < simd::pack<L, Isa>::lanes; ++i) {
            lowest = (std::min)(lowest, static_cast<double>(lows[i]));
            highest = (std::max)(highest, static_cast<double>(highs[i]));
        }
    }
};

/// True when a fit takes the row; the same comparisons as in score_summary.
template <class Columns = logit_column, class P, class Y, class W>
bool usable(const scored<P, Y, W>& rows, std::size_t i, score_kind kind) noexcept {
    constexpr P finite = (std::numeric_limits<P>::max)();
    const P score = rows.scores[i], label = static_cast<P>(rows.labels[i]);
    const P weight = rows.weights.empty() ? P(1) : static_cast<P>(rows.weights[i]);
    const P least = Columns::template least<P>(kind), most = Columns::template most<P>(kind);
    return least <= score && score <= most && P(0) <= label && label <= P(1) && P(0) <= weight && weight <= finite;
}

/// Checked rows in the columns of a fit, log-odds unless told otherwise. Rows that a fit refuses are gone; without any,
/// and with scores that are log-odds already, the columns are the caller's own.
///
/// Cost      one pass; n scores of scratch for probabilities, as many for a second column, and a copy of all columns
///           when a row was refused.
template <class P, class Y, class W, class Isa = isa::native, class Columns = logit_column>
class logit_rows {
  public:
    using row_type = std::conditional_t<Columns::paired, paired<P, Y, W>, scored<P, Y, W>>;

    template <exec::policy Policy>
    logit_rows(const Policy& where, const scored<P, Y, W>& batch, score_kind kind) : rows_(batch) {
        const std::size_t n = batch.size();
        vector_view<P> logits, seconds;
        if ((kind == score_kind::probability || Columns::paired) && n > 0) {
            scores_ = scratch_array<P>(n);
            logits = vector_view<P>(scores_.data(), n);
            rows_.scores = logits;
        }
        if (Columns::paired && n > 0) {
            seconds_ = scratch_array<P>(n);
            seconds = vector_view<P>(seconds_.data(), n);
        }
        score_summary<P, Isa, Columns> empty;
        empty.kind = kind;
        summary_ = exec::fold_parts(where, empty, raw_rows<P, Y, W>{batch, logits, seconds});
        if (summary_.seen.rejected > 0) keep_usable(batch, kind);
    }
    logit_rows(const logit_rows&) = delete;
    logit_rows& operator=(const logit_rows&) = delete;

    row_type rows() const noexcept {
        if constexpr (Columns::paired) {
            return {rows_, vector_view<const P>(seconds_.data(), rows_.size())};
        } else {
            return rows_;
        }
    }
    const score_summary<P, Isa, Columns>& summary() const noexcept { return summary_; }

  private:
    void keep_usable(const scored<P, Y, W>& batch, score_kind kind) {
        const std::size_t n = batch.size(), kept = static_cast<std::size_t>(summary_.seen.accepted);
        if (scores_.size() == 0) scores_ = scratch_array<P>(n);
        labels_.reserve(kept);
        if (!batch.weights.empty()) weights_.reserve(kept);
        std::size_t to = 0;
        for (std::size_t i = 0; i < n; ++i) {
            if (!usable<Columns>(batch, i, kind)) continue;
            if constexpr (Columns::paired) seconds_[to] = seconds_[i];
            scores_[to++] = rows_.scores[i];
            labels_.push_back(batch.labels[i]);
            if (!batch.weights.empty()) weights_.push_back(batch.weights[i]);
        }
        rows_.scores = vector_view<const P>(scores_.data(), to);
        rows_.labels = vector_view<const Y>(labels_.data(), to);
        rows_.weights = vector_view<const W>(weights_.data(), weights_.size());
    }

    scored<P, Y, W> rows_;
    score_summary<P, Isa, Columns> summary_;
    scratch_array<P> scores_, seconds_;
    std::vector<Y> labels_;
    std::vector<W> weights_;
};

}  // namespace reckon::detail
