// Global ratio: one factor that makes the mean prediction equal to the mean label.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/core/batch.hpp"

namespace reckon {

/// Global ratio: p' = min(1, ratio * p) with ratio = sum w y / sum w p, so that the predictions of the calibration set
/// add up to its labels (PCOC = 1) unless some product exceeds 1.
///
/// Fit       No data, or all probabilities 0: ratio 1. No positives: ratio 0. One distinct score: the base rate.
/// Throws    fit: std::invalid_argument when columns differ in length; counts and skips bad examples. apply:
///           std::invalid_argument when sizes differ; propagates NaN, negative scores count as 0.
/// Cost      fit: one pass. apply: a multiplication a score.
/// Numerics  sums in double.
class global_ratio {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("GLOB");
    static constexpr std::uint32_t bytes_version = 1;

    /// The identity: ratio 1.
    global_ratio() noexcept = default;
    /// Throws    std::invalid_argument when the ratio is negative, NaN or infinite.
    explicit global_ratio(double ratio) : ratio_(ratio) {
        expects(0.0 <= ratio && ratio <= largest, "global_ratio", "ratio must be finite and >= 0, got ", ratio);
    }

    template <exec::policy Policy, vector_like P, vector_like Y, class W = none, class Isa = isa::native>
    static global_ratio fit(const Policy& where, const P& scores, const Y& labels, const W& weights = {}) {
        const auto batch = make_scored("global_ratio", scores, labels, weights);
        return fit_batch<Isa>(where, batch);
    }

    template <class T, class Isa = isa::native>
    T operator()(T score) const noexcept {
        return detail::map_one<Isa>(score, [this](auto f) { return this->map(f); });
    }
    template <exec::policy Policy, vector_like In, vector_like Out, class Isa = isa::native>
    void apply(const Policy& where, const In& scores, Out&& out) const {
        detail::map_scores<Isa>("global_ratio", where, scores, out, [this](auto f) { return this->map(f); });
    }

    double ratio() const noexcept { return ratio_; }
    counts seen() const noexcept { return seen_; }

    void write(byte_writer& out) const {
        out.put(ratio_);
        out.put(seen_.accepted);
        out.put(seen_.rejected);
    }
    static global_ratio read(byte_reader& in) {
        global_ratio g;
        g.ratio_ = in.get<double>();
        expects_bytes(0.0 <= g.ratio_ && g.ratio_ <= largest, "global_ratio", "ratio must be finite and >= 0");
        g.seen_.accepted = in.get<std::uint64_t>();
        g.seen_.rejected = in.get<std::uint64_t>();
        return g;
    }

  private:
    static constexpr double largest = (std::numeric_limits<double>::max)();

    template <class V>
    RECKON_INLINE V map(V score) const noexcept {
        using T = simd::lane_t<V>;
        using simd::maximum;
        using simd::minimum;
        // A ratio beyond the range of float must not turn 0 into NaN.
        const auto factor = static_cast<T>((std::min)(ratio_, static_cast<double>((std::numeric_limits<T>::max)())));
        // The constant comes first: minimum and maximum return the second operand for NaN.
        return minimum(V(T(1)), maximum(V(T(0)), minimum(V(T(1)), score)) * V(factor));
    }

    template <class Isa, exec::policy Policy, class P, class Y, class W>
    static global_ratio fit_batch(const Policy& where, const scored<P, Y, W>& batch) {
        const auto total =
            exec::fold_parts(where, detail::score_summary<double, Isa>{}, detail::raw_rows<P, Y, W>{batch, {}});
        global_ratio fitted;
        fitted.seen_ = total.seen;
        if (total.score_sum > 0.0) fitted.ratio_ = (std::min)(total.positive / total.score_sum, largest);
        return fitted;
    }

    double ratio_ = 1.0;
    counts seen_;
};

}  // namespace reckon
