// CMLTV's classification contrast: payers should score higher than the others on average.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/contrast_rows.simd.hpp"

namespace reckon {

namespace detail {
template <class Isa>
struct gap_fold;
}

struct mean_gap_options {
    /// Contrasts sigmoid(score) instead of the score: bounded, and weaker.
    bool on_probabilities = false;
};

/// Mean score of the rows with a label > 0 less that of the others: four sums, which make the contrast of all shards
/// exact.
///
/// Rows whose score is not finite (double: or beyond 1e140 in size) or whose label is NaN are counted and skipped.
/// Numerics  blocks of 512 rows add up in lanes of their type around one of their scores, so that a common offset costs
///           nothing; blocks add up in compensated doubles.
class mean_gap {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("MGAP");
    static constexpr std::uint32_t bytes_version = 1;

    void absorb(double score, double label) noexcept {
        const bool ok = detail::usable_score(score) && label == label;
        seen_.absorb(ok);
        if (!ok) return;
        positives_ += label > 0.0 ? 1u : 0u;
        (label > 0.0 ? high_ : low_).absorb(score);
    }
    /// Weights are ignored: every row counts once.
    template <class P, class Y, class W, class Isa = isa::native>
    void absorb(const scored<P, Y, W>& rows) noexcept {
        absorb_columns<false, Isa>(rows);
    }
    void merge(const mean_gap& other) noexcept {
        seen_.merge(other.seen_);
        positives_ += other.positives_;
        high_.merge(other.high_);
        low_.merge(other.low_);
    }

    std::uint64_t positives() const noexcept { return positives_; }
    std::uint64_t negatives() const noexcept { return seen_.accepted - positives_; }
    /// Difference of the means; 0 while a class has no rows.
    double gap() const noexcept {
        if (positives() == 0 || negatives() == 0) return 0.0;
        return high_.value() / static_cast<double>(positives()) - low_.value() / static_cast<double>(negatives());
    }
    /// log(1 + e^-gap); 0 while a class has no rows.
    double finish() const noexcept { return positives() == 0 || negatives() == 0 ? 0.0 : math::softplus(-gap()); }
    counts seen() const noexcept { return seen_; }
    std::uint64_t rejected() const noexcept { return seen_.rejected; }

    void write(byte_writer& out) const {
        out.put(seen_.accepted);
        out.put(seen_.rejected);
        out.put(positives_);
        for (const compensated_sum* s : {&high_, &low_}) {
            out.put(s->sum());
            out.put(s->error());
        }
    }
    static mean_gap read(byte_reader& in) {
        mean_gap state;
        state.seen_.accepted = in.get<std::uint64_t>();
        state.seen_.rejected = in.get<std::uint64_t>();
        state.positives_ = in.get<std::uint64_t>();
        expects_bytes(state.positives_ <= state.seen_.accepted, "mean_gap", "more positive rows than rows");
        for (compensated_sum* s : {&state.high_, &state.low_}) {
            const double sum = in.get<double>();
            const double error = in.get<double>();
            *s = compensated_sum(sum, error);
            const double rows = static_cast<double>(s == &state.high_ ? state.positives() : state.negatives());
            const double most = 1.5 * rows * detail::largest_contrast_score;
            expects_bytes(std::fabs(sum) <= most && std::fabs(error) <= most, "mean_gap", "a sum that no rows have");
        }
        return state;
    }

  private:
    template <class Isa>
    friend struct detail::gap_fold;

    template <bool OnProbabilities, class Isa, class Rows>
    void absorb_columns(const Rows& rows) noexcept {
        using T = typename Rows::score_type;
        constexpr std::size_t block = detail::contrast_block;
        T labels[block], probabilities[block];
        for (std::size_t first = 0; first < rows.size(); first += block) {
            const std::size_t n = (std::min)(block, rows.size() - first);
            const T* const y = detail::label_block(rows.labels.data() + first, n, labels);
            const T* x = rows.scores.data() + first;
            if constexpr (OnProbabilities) {
                simd::transform<Isa>(x, probabilities, n, T(0), [](auto z) {
                    return select(detail::contrast_lanes<T, Isa>::usable(z), math::sigmoid(z),
                                  decltype(z)(std::numeric_limits<T>::quiet_NaN()));
                });
                x = probabilities;
            }
            detail::class_sums sums;
            if (!detail::add_block<T, Isa>(x, y, n, sums)) {
                for (std::size_t i = 0; i < n; ++i) absorb(static_cast<double>(x[i]), static_cast<double>(y[i]));
                continue;
            }
            const std::uint64_t taken = sums.rows[0] + sums.rows[1];
            seen_.accepted += taken;
            seen_.rejected += n - taken;
            positives_ += sums.rows[1];
            low_.absorb(sums.sums[0]);
            high_.absorb(sums.sums[1]);
        }
    }

    counts seen_;
    std::uint64_t positives_ = 0;
    compensated_sum high_, low_;
};

namespace detail {

template <class Isa>
struct gap_fold {
    bool on_probabilities = false;
    mean_gap total;

    template <class Rows>
    void absorb(const Rows& rows) noexcept {
        on_probabilities ? total.absorb_columns<true, Isa>(rows) : total.absorb_columns<false, Isa>(rows);
    }
    void merge(const gap_fold& other) noexcept { total.merge(other.total); }
};

}  // namespace detail

/// mean_gap of a batch or shard.
///
/// Shapes    scores [N] float or double, labels [N] of numbers: a row is positive when its label is > 0.
/// Throws    std::invalid_argument when lengths differ. Counts and skips as mean_gap.
/// Cost      one pass in lanes.
template <exec::policy Policy, vector_like P, vector_like Y, class Isa = isa::native>
mean_gap mean_gap_of(const Policy& where, const P& scores, const Y& labels, const mean_gap_options& options = {}) {
    const auto rows = make_scored("mean_gap_of", scores, labels);
    return exec::fold_parts(where, detail::gap_fold<Isa>{options.on_probabilities, {}}, rows).total;
}

/// Gradient of the contrast of `whole`, which has absorbed these rows and perhaps those of other shards.
///
/// Shapes    as mean_gap_contrast().
/// Writes    adds scale * d loss / d scores into `gradient`.
/// Throws    std::invalid_argument when lengths differ. NaN for a score that mean_gap skips, 0 for a NaN label.
/// Cost      one pass in lanes.
template <exec::policy Policy, vector_like P, vector_like Y, class G, class Isa = isa::native>
void mean_gap_gradient(const Policy& where, const mean_gap& whole, const P& scores, const Y& labels, G&& gradient,
                       const mean_gap_options& options = {}, double scale = 1.0) {
    const auto rows = make_scored("mean_gap_gradient", scores, labels);
    using T = typename std::remove_const_t<decltype(rows)>::score_type;
    const auto to = view(gradient);
    static_assert(std::is_same_v<T, typename decltype(to)::element_type>,
                  "reckon: the gradient of mean_gap_contrast must have the type of the scores");
    expects(to.size() == rows.size(), "mean_gap_gradient", rows.size(), " scores but room for ", to.size(),
            " derivatives");
    double up = 0.0, down = 0.0;
    if (whole.positives() > 0 && whole.negatives() > 0) {
        const double pull = scale * math::sigmoid(-whole.gap());
        up = -pull / static_cast<double>(whole.positives());
        down = pull / static_cast<double>(whole.negatives());
    }
    exec::map_parts(where, rows.size(), [&](std::size_t first, std::size_t count) {
        T labels_of[detail::contrast_block];
        for (std::size_t i = first; i < first + count; i += detail::contrast_block) {
            const std::size_t n = (std::min)(detail::contrast_block, first + count - i);
            const T* const y = detail::label_block(rows.labels.data() + i, n, labels_of);
            const T* const x = rows.scores.data() + i;
            if (options.on_probabilities) {
                detail::add_class_slopes<true, T, Isa>(x, y, to.data() + i, n, up, down);
            } else {
                detail::add_class_slopes<false, T, Isa>(x, y, to.data() + i, n, up, down);
            }
        }
    });
}

/// Contrast of the two classes of a batch in O(N): the logistic loss of the mean over all pairs.
///
///   loss = log(1 + e^-gap),   gap = mean of z_i with y_i > 0 - mean of z_j with y_j <= 0
///   d loss / d z_i = -sigmoid(-gap) / P for y_i > 0, sigmoid(-gap) / N else
///
/// One number a batch, unlike the mean over pairs of the logistic loss: easy pairs make up for hard ones.
///
/// Shapes    scores z [B] float or double; labels y [B] of numbers; gradient [B] of the type of the scores, or none.
/// Writes    adds scale * d loss / d scores into `gradient` when it is given; it may not overlap the inputs.
/// Returns   mean_value{loss, 1}: 0 where one class has no rows. Shards merge their mean_gap, not this.
/// Throws    std::invalid_argument when lengths differ. Rows that mean_gap skips count nothing; their derivative is NaN
///           for the score, 0 for a NaN label.
/// Cost      two passes; memory traffic decides from the second-level cache on.
/// Numerics  as mean_gap. Derivatives of a batch add up to 0 within rounding; adding one number to all scores changes
///           nothing beyond that. Finite scores (double: up to 1e140) give no NaN.
/// Source    CMLTV (Wu et al. 2023); the formula is the one of its re-implementations.
template <exec::policy Policy, vector_like P, vector_like Y, class G = none, class Isa = isa::native>
mean_value mean_gap_contrast(const Policy& where, const P& scores, const Y& labels,
                             const mean_gap_options& options = {}, G&& gradient = {}, double scale = 1.0) {
    const auto rows = make_scored("mean_gap_contrast", scores, labels);
    if constexpr (!std::is_same_v<std::remove_cvref_t<G>, none>) {
        const std::size_t room = view(gradient).size();
        expects(room == rows.size(), "mean_gap_contrast", rows.size(), " scores but room for ", room, " derivatives");
    }
    const mean_gap whole = exec::fold_parts(where, detail::gap_fold<Isa>{options.on_probabilities, {}}, rows).total;
    if constexpr (!std::is_same_v<std::remove_cvref_t<G>, none>) {
        mean_gap_gradient<Policy, P, Y, G&, Isa>(where, whole, scores, labels, gradient, options, scale);
    }
    return {whole.finish(), 1.0};
}

}  // namespace reckon
