// The first rows of a list in the order of their scores, with all rows that tie with the last of them.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/isa.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/sort.hpp"
#include "reckon/metrics/detail/ranked_list.hpp"

namespace reckon::detail {

// Rows are counted from the first one of the list. A row without a score (NaN) has no place.
template <class T, class Isa>
class ranked_rows {
  public:
    // Finds every row whose score is at least the k-th best, best first, equal ones in the order of rows.
    void rank(const T* scores, std::size_t n, std::size_t k) {
        size_ = 0;
        if (n == 0) return;
        const std::size_t room = n + 1 + 2 * pack::lanes;  // whole registers and what lies past them
        if (kept_.size() < room) {
            kept_.resize(room);
            order_.resize(room);
            sorted_.resize(room);
            scores_.resize(room);
        }
        const T bound = lower_bound(scores, n, k);
        const std::size_t held = keep(scores, n, bound);
        size_ = held;
        if (held <= most_counted) {
            order_by_counting(held);
        } else {
            order_by_sorting(held);
        }
    }

    std::size_t size() const noexcept { return size_; }
    std::size_t row(std::size_t place) const noexcept { return order_[place]; }
    T score(std::size_t place) const noexcept { return sorted_[place]; }
    // True when one of the first `count` places has the score of the next one.
    bool tied(std::size_t count) const noexcept {
        int found = 0;
        const std::size_t end = (std::min)(count + 1, size_);
        for (std::size_t p = 1; p < end; ++p) found |= sorted_[p] == sorted_[p - 1] ? 1 : 0;
        return found != 0;
    }
    // One past the last place whose score is that of `place`.
    std::size_t level_end(std::size_t place) const noexcept {
        const T level = sorted_[place];
        while (++place < size_ && sorted_[place] == level) {
        }
        return place;
    }

  private:
    using pack = simd::pack<T, Isa>;
    using counts = simd::lane_counts<T, Isa>;
    using bits = typename simd::float_format<T>::bits;
    // Up to here n^2 / lanes comparisons take less time than a sort.
    static constexpr std::size_t most_counted = 16 * pack::lanes;
    // For larger k a selection is cheaper than the bound in lanes.
    static constexpr std::size_t most_bounded = 64;
    static constexpr std::size_t most_maxima = (most_bounded * 3 / 2 + pack::lanes - 1) / pack::lanes;

    // At most the k-th best score. Rows are dealt out to 3/2 k groups or a few more; the k-th best of the groups' maxima
    // is below k rows, and hardly more rows are above it.
    T lower_bound(const T* scores, std::size_t n, std::size_t k) {
        constexpr T none = -std::numeric_limits<T>::infinity();
        if (k > most_bounded) return k <= n / 4 ? select_bound(scores, n, k) : none;
        const std::size_t registers = (k * 3 / 2 + pack::lanes - 1) / pack::lanes, groups = registers * pack::lanes;
        if (n < 2 * groups) return none;
        pack best[most_maxima];
        for (std::size_t r = 0; r < registers; ++r) best[r] = pack(none);
        // maximum returns its second operand for NaN.
        std::size_t i = 0;
        for (; i + groups <= n; i += groups) {
            for (std::size_t r = 0; r < registers; ++r) {
                best[r] = maximum(pack::load(scores + i + r * pack::lanes), best[r]);
            }
        }
        for (std::size_t r = 0; i < n; i += pack::lanes, ++r) {
            const pack rest =
                i + pack::lanes <= n ? pack::load(scores + i) : pack::load_padded(scores + i, n - i, none);
            best[r] = maximum(rest, best[r]);
        }
        T maxima[most_maxima * pack::lanes];
        for (std::size_t r = 0; r < registers; ++r) best[r].store(maxima + r * pack::lanes);
        // The least that has fewer than k above it.
        pack least(std::numeric_limits<T>::infinity());
        for (std::size_t r = 0; r < registers; ++r) {
            counts above;
            for (std::size_t j = 0; j < groups; ++j) above.add(pack(maxima[j]) > best[r]);
            bits more[pack::lanes];
            T mine[pack::lanes];
            above.store(more);
            best[r].store(mine);
            for (std::size_t l = 0; l < pack::lanes; ++l) {
                mine[l] = more[l] < k ? mine[l] : std::numeric_limits<T>::infinity();
            }
            least = minimum(pack::load(mine), least);
        }
        return lowest_lane(least);
    }
    // Collects the rows at or above the bound in order, without NaN. Returns how many there are.
    std::size_t keep(const T* scores, std::size_t n, T bound) noexcept {
        const pack least(bound);
        std::uint32_t* const kept = kept_.data();
        T* const values = scores_.data();
        std::size_t held = 0;
        constexpr std::size_t word = 64;
        for (std::size_t first = 0; first < n; first += word) {
            const std::size_t end = (std::min)(n, first + word);
            std::uint64_t found = 0;
            std::size_t i = first;
            for (; i + pack::lanes <= end; i += pack::lanes) {
                found |= std::uint64_t{lane_bits(pack::load(scores + i) >= least)} << (i - first);
            }
            for (; i < end; ++i) found |= std::uint64_t{scores[i] >= bound ? 1u : 0u} << (i - first);
            for (; found != 0; found &= found - 1) {
                const std::size_t row = first + static_cast<std::size_t>(std::countr_zero(found));
                kept[held] = static_cast<std::uint32_t>(row);
                values[held++] = scores[row];
            }
        }
        return held;
    }
    T select_bound(const T* scores, std::size_t n, std::size_t k) {
        selection_.clear();
        for (std::size_t i = 0; i < n; ++i) {
            if (scores[i] == scores[i]) selection_.push_back(scores[i]);
        }
        if (selection_.size() <= k) return -std::numeric_limits<T>::infinity();
        const auto kth = selection_.begin() + static_cast<std::ptrdiff_t>(k - 1);
        std::nth_element(selection_.begin(), kth, selection_.end(), [](T a, T b) { return a > b; });
        return *kth;
    }

    // A row's place is the number of better rows and of equal ones before it.
    void order_by_counting(std::size_t held) noexcept {
        const std::uint32_t* const kept = kept_.data();
        std::uint32_t* const order = order_.data();
        T *const values = scores_.data(), *const sorted = sorted_.data();
        bits places[pack::lanes];
        T numbers[pack::lanes];
        // Whole registers; NaN is neither better nor equal.
        const std::size_t padded = (held + pack::lanes - 1) / pack::lanes * pack::lanes;
        for (std::size_t l = 0; l < pack::lanes; ++l) {
            numbers[l] = static_cast<T>(l);
            values[held + l] = std::numeric_limits<T>::quiet_NaN();
        }
        const pack lane = pack::load(numbers);
        for (std::size_t first = 0; first < held; first += pack::lanes) {
            const pack mine = pack::load(values + first);
            counts place;
            for (std::size_t j = 0; j < first; ++j) place.add(pack(values[j]) >= mine);
            for (std::size_t l = 0; l < pack::lanes; ++l) {
                const pack other(values[first + l]);
                place.add((other > mine) | ((other == mine) & (lane > pack(numbers[l]))));
            }
            for (std::size_t j = first + pack::lanes; j < padded; ++j) place.add(pack(values[j]) > mine);
            place.store(places);
            for (std::size_t l = 0; l < pack::lanes; ++l) {
                // Lanes beyond the last row write past all places.
                const std::size_t at = first + l < held ? static_cast<std::size_t>(places[l]) : padded;
                order[at] = kept[first + l];
                sorted[at] = values[first + l];
            }
        }
    }
    void order_by_sorting(std::size_t held) {
        constexpr std::size_t many = 4096;
        const auto key = [&](std::size_t i) -> bits { return static_cast<bits>(~ordered_bits(scores_[i])); };
        const auto put = [&](std::size_t place, std::size_t i) {
            order_[place] = kept_[i];
            sorted_[place] = scores_[i];
        };
        if (held >= many) {
            const auto order = radix_order<Isa>(held, key);
            for (std::size_t p = 0; p < held; ++p) put(p, order[p]);
            return;
        }
        // The row as the second key makes the order stable.
        items_.resize(held);
        for (std::size_t i = 0; i < held; ++i) {
            if constexpr (std::is_same_v<T, float>) {
                items_[i] = (std::uint64_t{key(i)} << 32) | i;
            } else {
                items_[i] = {key(i), static_cast<std::uint32_t>(i)};
            }
        }
        std::sort(items_.begin(), items_.end());
        for (std::size_t p = 0; p < held; ++p) {
            if constexpr (std::is_same_v<T, float>) {
                put(p, static_cast<std::uint32_t>(items_[p]));
            } else {
                put(p, items_[p].second);
            }
        }
    }

    // Float: ordered bits and row in one number.
    using item = std::conditional_t<std::is_same_v<T, float>, std::uint64_t, std::pair<std::uint64_t, std::uint32_t>>;

    std::size_t size_ = 0;
    std::vector<item> items_;
    std::vector<std::uint32_t> kept_, order_;
    std::vector<T> scores_, sorted_, selection_;
};

}  // namespace reckon::detail
