// What the metrics of ranked lists share: checks, the mean over lists, and which rows are relevant.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/segments.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon::detail {

/// Scores and labels of lists.
template <class T, class Y, class Offset>
struct scored_lists {
    using score_type = T;
    using label_type = Y;
    vector_view<const T> scores;
    vector_view<const Y> labels;
    segments<Offset> lists;

    std::size_t longest() const noexcept {
        std::size_t most = 0;
        for (std::size_t s = 0; s < lists.size(); ++s) most = (std::max)(most, lists.count(s));
        return most;
    }
};

template <vector_like P, vector_like Y, vector_like Offsets>
auto make_scored_lists(const char* kernel, const P& scores, const Y& labels, const Offsets& offsets) {
    const auto s = input(scores);
    const auto y = input(labels);
    using T = typename decltype(s)::value_type;
    using Label = typename decltype(y)::value_type;
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "reckon: scores must be float or double");
    static_assert(std::is_arithmetic_v<Label>, "reckon: labels must be numbers");
    expects(s.size() == y.size(), kernel, s.size(), " scores but ", y.size(), " labels");
    expects(s.size() < (std::uint64_t{1} << 32), kernel, s.size(), " rows, fewer than 2^32 are possible");
    const auto lists = make_segments(kernel, offsets, s.size());
    return scored_lists<T, Label, typename std::remove_cvref_t<decltype(lists.offsets)>::value_type>{s, y, lists};
}

// Mean over the lists that have a value. make() builds the worker of one part with its scratch; worker(first, count) is
// the value of the list of these rows, or NaN. Values go to `per_list` unless that is none.
template <class Isa, class Policy, class Lists, class Out, class Make>
mean_value mean_over_lists(const char* kernel, const Policy& where, const Lists& lists, Out& per_list,
                           const Make& make) {
    constexpr std::size_t lists_a_part = 64;
    constexpr bool wanted = !std::is_same_v<std::remove_cvref_t<Out>, none>;
    const auto out = [&] {
        if constexpr (wanted) {
            return view(per_list);
        } else {
            return vector_view<double>{};
        }
    }();
    if constexpr (wanted) {
        expects(out.size() == lists.size(), kernel, lists.size(), " lists but room for ", out.size(), " values");
    }
    std::vector<mean_value> parts(exec::detail::part_count(lists.size(), lists_a_part));
    exec::for_each_index(where, parts.size(), [&](std::size_t part) {
        auto worker = make();
        const std::size_t begin = part * lists_a_part;
        const std::size_t end = begin + exec::detail::rows_of_part(lists.size(), lists_a_part, part);
        mean_value mean;
        for (std::size_t s = begin; s < end; ++s) {
            const double value = worker(lists.first(s), lists.count(s));
            if (value == value) mean.absorb(value);
            if constexpr (wanted) {
                out[s] = static_cast<typename std::remove_cvref_t<decltype(out)>::value_type>(value);
            }
        }
        parts[part] = mean;
    });
    mean_value total;
    for (const mean_value& part : parts) total.merge(part);
    return total;
}

// Smallest and largest lane, without branches.
template <class T, class Isa>
RECKON_INLINE T lowest_lane(simd::pack<T, Isa> a) noexcept {
    T lanes[simd::pack<T, Isa>::lanes];
    a.store(lanes);
    T least = lanes[0];
    for (const T lane : lanes) least = simd::minimum(lane, least);
    return least;
}
template <class T, class Isa>
RECKON_INLINE T highest_lane(simd::pack<T, Isa> a) noexcept {
    T lanes[simd::pack<T, Isa>::lanes];
    a.store(lanes);
    T most = lanes[0];
    for (const T lane : lanes) most = simd::maximum(lane, most);
    return most;
}

// Which labels are relevant: those above a threshold >= 0, compared in the type of the labels, exactly. NaN is not.
template <class Y>
class relevance {
  public:
    explicit relevance(double threshold) noexcept {
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
