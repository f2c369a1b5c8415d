// The k highest scores of each request, in order, ties in their original order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/segments.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"

namespace reckon {

/// What top_k() writes where a request has fewer than k rows.
inline constexpr std::uint32_t no_row = 0xffffffffu;

namespace detail {

template <class T>
struct top_entry {
    T score;
    std::uint32_t row;
};

// Up to this many entries a sorted array with insertion beats a selection and a sort.
inline constexpr std::size_t insertion_top = 64;

// The best rows in the order of a stable descending sort; `best` has room for k entries. Returns how many there are.
template <class Isa, class T>
std::size_t insert_top(const T* scores, std::size_t n, std::size_t k, top_entry<T>* best) noexcept {
    using pack = simd::pack<T, Isa>;
    std::size_t held = 0;
    const auto offer = [&](std::size_t i) {
        const T s = scores[i];
        // Strict, so that of equal scores the first one stays; false for NaN.
        if (!(held < k ? s == s : s > best[k - 1].score)) return;
        std::size_t at = held < k ? held++ : k - 1;
        for (; at > 0 && s > best[at - 1].score; --at) best[at] = best[at - 1];
        best[at] = {s, static_cast<std::uint32_t>(i)};
    };
    std::size_t i = 0;
    while (i < n && held < k) offer(i++);
    // Most rows are below the k-th score: whole registers are passed over.
    for (; i + pack::lanes <= n; i += pack::lanes) {
        if (!any(pack::load(scores + i) > pack(best[k - 1].score))) continue;
        for (std::size_t lane = 0; lane < pack::lanes; ++lane) offer(i + lane);
    }
    for (; i < n; ++i) offer(i);
    return held;
}

template <class Isa, class T>
std::size_t select_top(const T* scores, std::size_t n, std::size_t k, std::vector<top_entry<T>>& scratch) {
    scratch.clear();
    for (std::size_t i = 0; i < n; ++i) {
        if (scores[i] == scores[i]) scratch.push_back({scores[i], static_cast<std::uint32_t>(i)});
    }
    const auto before = [](const top_entry<T>& a, const top_entry<T>& b) {
        return a.score > b.score || (a.score == b.score && a.row < b.row);
    };
    const std::size_t held = (std::min)(k, scratch.size());
    const auto middle = scratch.begin() + static_cast<std::ptrdiff_t>(held);
    if (held < scratch.size()) std::nth_element(scratch.begin(), middle, scratch.end(), before);
    std::sort(scratch.begin(), middle, before);
    return held;
}

}  // namespace detail

/// Rows of the k highest scores of every request, best first.
///
/// Shapes    scores [N], N < 2^32; offsets [R + 1], unsigned: request r has the rows offsets[r] .. offsets[r + 1] - 1.
///           rows [R, k].
/// Writes    rows(r, j): row number, counted from the first row of all, of the score that a stable descending sort puts
///           on place j of request r; `no_row` beyond the end. NaN is never taken; -inf comes last, as its order says.
/// Throws    std::invalid_argument on shapes, and when the offsets do not ascend from 0 to N.
/// Cost      for k <= 64 a register of scores against the k-th best, and a move of up to k entries where one is above;
///           for larger k a selection and a sort of k, 8 or 16 bytes of scratch a row of the largest request.
template <exec::policy Policy, vector_like P, vector_like Offsets, class Isa = isa::native>
void top_k(const Policy& where, const P& scores, const Offsets& offsets, matrix_view<std::uint32_t> rows) {
    const auto s = input(scores);
    using T = typename decltype(s)::value_type;
    expects(s.size() < no_row, "top_k", s.size(), " rows, fewer than 2^32 - 1 are possible");
    const auto requests = make_segments("top_k", offsets, s.size());
    expects(rows.rows() == requests.size(), "top_k", requests.size(), " requests but room for ", rows.rows());
    const std::size_t k = rows.cols();
    if (k == 0) return;
    constexpr std::size_t requests_a_part = 64;
    exec::map_parts(
        where, requests.size(),
        [&](std::size_t begin, std::size_t count) {
            detail::top_entry<T> few[detail::insertion_top];
            std::vector<detail::top_entry<T>> many;
            for (std::size_t r = begin; r < begin + count; ++r) {
                const std::size_t first = requests.first(r), n = requests.count(r);
                const bool is_few = k <= detail::insertion_top;
                const std::size_t held = is_few ? detail::insert_top<Isa>(s.data() + first, n, k, few)
                                                : detail::select_top<Isa>(s.data() + first, n, k, many);
                const detail::top_entry<T>* const best = is_few ? few : many.data();
                for (std::size_t j = 0; j < k; ++j) {
                    rows(r, j) = j < held ? static_cast<std::uint32_t>(first) + best[j].row : no_row;
                }
            }
        },
        requests_a_part);
}

}  // namespace reckon
