// Weighted logistic regression of watch time: a classifier whose odds are the expected value.
#pragma once

#include <cmath>
#include <cstddef>
#include <type_traits>

#include "reckon/core/batch.hpp"
#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// Which rows stand for "not watched".
enum class logistic_negatives {
    every_row,  ///< each row is a positive of weight y and a negative of weight 1: the odds are E[y | x]
    unwatched,  ///< rows with y = 0 alone: the odds are E[y | x] / P(y = 0 | x), near E[y | x] when most are 0
};

struct weighted_logistic_options {
    logistic_negatives negatives = logistic_negatives::every_row;
};

namespace detail {

// Weight of the positive and of the negative half of a row with feedback y.
template <class V>
struct logistic_weights {
    V positive;
    V negative;
};
template <class V>
RECKON_INLINE logistic_weights<V> weights_of_feedback(V y, logistic_negatives negatives) noexcept {
    using simd::select;
    const V one(simd::lane_t<V>(1)), zero(simd::lane_t<V>(0));
    if (negatives == logistic_negatives::every_row) return {y, one};
    // NaN has both weights NaN.
    return {y, select(y == zero, one, select(zero < y, zero, y))};
}

template <class Isa>
struct weighted_logistic_sum {
    logistic_negatives negatives = logistic_negatives::every_row;
    mean_value loss;

    template <class T>
    void absorb(const scored<T, T>& rows) noexcept {
        using pack = simd::pack<T, Isa>;
        constexpr std::size_t block = 256;
        const T *const z = rows.scores.data(), *const y = rows.labels.data();
        const auto value = [this](pack logit, pack feedback) {
            const auto w = weights_of_feedback(feedback, negatives);
            // softplus(z) - z would cancel.
            return mul_add(w.positive, math::softplus(-logit), w.negative * math::softplus(logit));
        };
        for (std::size_t first = 0; first < rows.size(); first += block) {
            const std::size_t end = rows.size() - first < block ? rows.size() : first + block;
            pack sum(T(0));
            std::size_t i = first;
            for (; i + pack::lanes <= end; i += pack::lanes) sum += value(pack::load(z + i), pack::load(y + i));
            double rest = 0.0;
            if (i < end) {
                T each[pack::lanes];
                value(pack::load_padded(z + i, end - i, T(0)), pack::load_padded(y + i, end - i, T(0))).store(each);
                for (std::size_t lane = 0; i + lane < end; ++lane) rest += static_cast<double>(each[lane]);
            }
            loss.merge(mean_value(static_cast<double>(reduce_add(sum)) + rest, static_cast<double>(end - first)));
        }
    }
    void merge(const weighted_logistic_sum& other) noexcept { loss.merge(other.loss); }
};

}  // namespace detail

/// Weighted logistic loss of logits against feedback that is an amount, and its gradient.
///
///   loss = sum_i [ w+_i softplus(-z_i) + w-_i softplus(z_i) ],   w+ = y,   w- = 1, or 1[y = 0] for `unwatched`
///   d loss / dz_i = (w+ + w-) sigmoid(z_i) - w+
///
/// At the minimum e^z is the mean of w+ over the mean of w-, so weighted_logistic_value() turns a logit into an expected
/// value. With `every_row` that is E[y | x] itself, whatever the share of zeros.
///
/// Shapes    logits, feedback [N]: float or double, both the same. gradient [N] of that type, or none.
/// Writes    adds scale * d loss / d logits into `gradient` when it is given; it may not overlap the inputs.
/// Returns   mean_value{sum, N}; merges over shards.
/// Throws    std::invalid_argument when lengths differ. Propagates NaN. Feedback is meant to be >= 0: a negative one has a
///           negative weight, as the formula says.
/// Cost      two exponentials and two logarithms a row for the loss, one exponential for the gradient.
/// Numerics  float lanes add up blocks of 256 rows, sums of blocks are compensated doubles: relative error of the loss
///           below 2e-6 for float, 1e-13 for double.
/// Source    Covington, Adams and Sargin 2016 (`unwatched`); `every_row` is the form without their approximation.
template <exec::policy Policy, vector_like Z, vector_like Y, class G = none, class Isa = isa::native>
mean_value weighted_logistic(const Policy& where, const Z& logits, const Y& feedback,
                             const weighted_logistic_options& options = {}, G&& gradient = {}, double scale = 1.0) {
    using T = typename decltype(input(logits))::value_type;
    static_assert(std::is_same_v<T, typename decltype(input(feedback))::value_type>,
                  "reckon: logits and feedback of weighted_logistic must have the same type");
    const auto made = make_scored("weighted_logistic", logits, feedback);
    const scored<T, T> rows{made.scores, made.labels, {}};
    if constexpr (!std::is_same_v<std::remove_cvref_t<G>, none>) {
        const auto out = view(gradient);
        expects(out.size() == rows.size(), "weighted_logistic", rows.size(), " logits but room for ", out.size(),
                " derivatives");
        exec::map_parts(where, rows.size(), [&](std::size_t first, std::size_t count) {
            using pack = simd::pack<T, Isa>;
            const pack factor(static_cast<T>(scale));
            const auto slope = [&](pack z, pack y) {
                const auto w = detail::weights_of_feedback(y, options.negatives);
                // w- sigmoid(z) - w+ sigmoid(-z), which does not cancel for large logits.
                return w.negative * math::sigmoid(z) - w.positive * math::sigmoid(-z);
            };
            for (std::size_t i = first; i < first + count; i += pack::lanes) {
                const std::size_t left = first + count - i;
                const T *const z = rows.scores.data() + i, *const y = rows.labels.data() + i;
                T* const to = out.data() + i;
                if (left >= pack::lanes) {
                    mul_add(factor, slope(pack::load(z), pack::load(y)), pack::load(to)).store(to);
                } else {
                    const pack d = slope(pack::load_padded(z, left, T(0)), pack::load_padded(y, left, T(0)));
                    mul_add(factor, d, pack::load_padded(to, left, T(0))).store_head(to, left);
                }
            }
        });
    }
    return exec::fold_parts(where, detail::weighted_logistic_sum<Isa>{options.negatives, {}}, rows).loss;
}

/// values = e^logits: the expected value that a logit of weighted_logistic() stands for.
///
/// Shapes    logits, values [N]: float or double, both the same.
/// Writes    values; may be the memory of the logits.
/// Throws    std::invalid_argument when lengths differ. Propagates NaN.
/// Cost      one exponential a row, in lanes.
template <exec::policy Policy, vector_like Z, class Out, class Isa = isa::native>
void weighted_logistic_value(const Policy& where, const Z& logits, Out&& values) {
    const auto z = input(logits);
    const auto out = view(values);
    using T = typename decltype(z)::value_type;
    static_assert(std::is_same_v<T, typename decltype(out)::value_type>,
                  "reckon: logits and values of weighted_logistic_value must have the same type");
    expects(out.size() == z.size(), "weighted_logistic_value", z.size(), " logits but room for ", out.size(),
            " values");
    exec::map_parts(where, z.size(), [&](std::size_t first, std::size_t count) {
        simd::transform<Isa>(z.data() + first, out.data() + first, count, T(0),
                             [](simd::pack<T, Isa> x) { return math::exp(x); });
    });
}

}  // namespace reckon
