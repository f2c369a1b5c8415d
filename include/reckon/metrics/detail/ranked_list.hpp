// What the metrics of ranked lists share: checks, the mean over lists, and which rows are relevant.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "reckon/core/config.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/metrics/detail/list_fold.hpp"
#include "reckon/metrics/list_mean.hpp"

namespace reckon::detail {

// Checks shapes and types of lists whose rows get ranks.
template <class P, class Y, class Offsets, class L>
auto make_ranked_lists(const char* kernel, const P& scores, const Y& labels, const Offsets& offsets, L&& per_list) {
    using T = typename decltype(input(scores))::value_type;
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "reckon: scores must be float or double");
    static_assert(std::is_arithmetic_v<typename decltype(input(labels))::value_type>, "reckon: labels must be numbers");
    return make_list_batch(kernel, scores, labels, offsets, per_list);
}

// value(scores, labels, n) of one list as a metric for list_fold. No row is left out: one with a NaN score has no rank,
// but its label counts.
template <class Value>
struct ranked_metric {
    Value value;

    template <class T, class Y>
    list_score operator()(vector_view<const T> scores, vector_view<const Y> labels) {
        return {value(scores.data(), labels.data(), scores.size()), 1.0, {scores.size(), 0}};
    }
};

// Mean over the lists where value(scores, labels, n) is not NaN; each part works with a copy of `value`.
template <class Isa, class Policy, class Batch, class Value>
list_mean mean_over_lists(const Policy& where, const Batch& lists, const Value& value) {
    return fold_list_batch<Isa>(where, lists, {}, ranked_metric<Value>{value});
}

// Smallest and largest lane, without branches.
template <class T, class Isa, class Better>
RECKON_INLINE T best_lane(simd::pack<T, Isa> a, Better better) noexcept {
    T lanes[simd::pack<T, Isa>::lanes];
    a.store(lanes);
    for (std::size_t half = simd::pack<T, Isa>::lanes / 2; half > 0; half /= 2) {
        for (std::size_t l = 0; l < half; ++l) lanes[l] = better(lanes[l], lanes[l + half]);
    }
    return lanes[0];
}
template <class T, class Isa>
RECKON_INLINE T lowest_lane(simd::pack<T, Isa> a) noexcept {
    return best_lane(a, [](T x, T y) { return simd::minimum(x, y); });
}
template <class T, class Isa>
RECKON_INLINE T highest_lane(simd::pack<T, Isa> a) noexcept {
    return best_lane(a, [](T x, T y) { return simd::maximum(x, y); });
}

// Which labels are relevant: those above a threshold >= 0, compared in the type of the labels, exactly. NaN is not.
template <class Y>
class relevance {
  public:
    explicit relevance(double threshold) noexcept {
        if constexpr (std::is_same_v<Y, bool>) {
            // A cast would take a threshold below 1 for true.
            bound_ = threshold >= 1.0;
            return;
        }
        constexpr Y most = (std::numeric_limits<Y>::max)();
        if (threshold >= static_cast<double>(most)) {
            bound_ = most;
            // An infinite label is above every finite threshold.
            if constexpr (std::is_floating_point_v<Y>) {
                if (std::isinf(threshold)) bound_ = std::numeric_limits<Y>::infinity();
            }
            return;
        }
        if constexpr (std::is_floating_point_v<Y>) {
            bound_ = static_cast<Y>(threshold);
            // The cast may have rounded up, past labels that are relevant.
            if (static_cast<double>(bound_) > threshold) bound_ = std::nextafter(bound_, Y(0));
        } else {
            bound_ = static_cast<Y>(threshold);
        }
    }
    RECKON_INLINE bool operator()(Y label) const noexcept { return label > bound_; }
    RECKON_INLINE std::size_t count(const Y* labels, std::size_t n) const noexcept {
        std::uint32_t total = 0;
        for (std::size_t i = 0; i < n; ++i) total += labels[i] > bound_ ? 1u : 0u;
        return total;
    }

  private:
    Y bound_;
};

}  // namespace reckon::detail
