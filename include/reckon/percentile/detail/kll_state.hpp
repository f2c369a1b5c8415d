// The levels of a KLL sketch: what kll_sketch holds, and what kll_sketches packs for each group.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "reckon/core/config.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/lane.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/search.hpp"
#include "reckon/percentile/detail/kll_chain.hpp"

namespace reckon::detail {

inline constexpr std::uint32_t kll_least_k = 8, kll_most_k = 1u << 16, kll_least_buffer = 32;
// Fewer values than 2^56 have at most 57 levels.
inline constexpr std::uint64_t kll_most_values = std::uint64_t{1} << 56;
inline constexpr std::size_t kll_most_levels = 57;

// Values of a column that are halved at once while no level is left to the networks.
inline constexpr std::size_t kll_column = 256;

// Capacity one level further down: two thirds, rounded up to an even number, at least 8.
constexpr std::uint32_t kll_next_capacity(std::uint32_t capacity) noexcept {
    const std::uint32_t next = (2 * capacity + 2) / 3;
    return (std::max)(kll_least_k, next + (next & 1u));
}

// Merges two runs of `run` values each, from both ends at once: two chains of decisions that do not wait for each other.
inline void kll_merge_pair(const float* from, float* to, std::size_t run) noexcept {
    const float *i = from, *j = from + run, *a = j - 1, *b = j + run - 1;
    float* last = to + 2 * run - 1;
    for (std::size_t t = 0; t < run; ++t) {
        const float x = *i, y = *j, v = *a, w = *b;
        const auto right = static_cast<std::ptrdiff_t>(y < x), left = static_cast<std::ptrdiff_t>(v > w);
        *to++ = simd::minimum(y, x);
        j += right;
        i += 1 - right;
        *last-- = simd::maximum(v, w);
        a -= left;
        b -= 1 - left;
    }
}
// Merges sorted a[0 .. n) and b[0 .. m) into `to`, which overlaps neither: from both ends while both have values for
// that, then from the front.
template <class T>
void kll_merge(const T* a, std::size_t n, const T* b, std::size_t m, T* to) noexcept {
    T* last = to + (n + m);
    for (std::size_t steps; (steps = (std::min)(n, m) / 2) > 0;) {
        const T *a_last = a + n - 1, *b_last = b + m - 1;
        for (std::size_t t = 0; t < steps; ++t) {
            // No branch on a comparison: it goes either way.
            const T x = *a, y = *b, v = *a_last, w = *b_last;
            const auto right = static_cast<std::ptrdiff_t>(y < x), left = static_cast<std::ptrdiff_t>(w < v);
            *to++ = y < x ? y : x;
            b += right;
            a += 1 - right;
            *--last = w < v ? v : w;
            a_last -= left;
            b_last -= 1 - left;
        }
        n = static_cast<std::size_t>(a_last + 1 - a);
        m = static_cast<std::size_t>(b_last + 1 - b);
    }
    while (n > 0 && m > 0) {
        const T x = *a, y = *b;
        const auto right = static_cast<std::size_t>(y < x);
        *to++ = y < x ? y : x;
        b += right;
        m -= right;
        a += 1 - right;
        n -= 1 - right;
    }
    to = std::copy(a, a + n, to);
    std::copy(b, b + m, to);
}
// The same with the result in the place of a; b stands beyond it.
inline void kll_merge_in_place(float* a, std::size_t n, const float* b, std::size_t m) {
    if (n == 0) {
        std::copy(b, b + m, a);
        return;
    }
    constexpr std::size_t most = 1024;
    float few[most];
    std::vector<float> many;
    float* copy = few;
    if (n > most) {
        many.resize(n);
        copy = many.data();
    }
    std::copy(a, a + n, copy);
    kll_merge(copy, n, b, m, a);
}
// Merges sorted runs of `run` values, the last one shorter, into one; returns where it is, x or scratch.
inline float* kll_merge_runs(float* x, float* scratch, std::size_t n, std::size_t run) noexcept {
    for (; run < n; run *= 2) {
        std::size_t i = 0;
        for (; i + 2 * run <= n; i += 2 * run) kll_merge_pair(x + i, scratch + i, run);
        if (i < n) {
            const std::size_t left = (std::min)(run, n - i);
            kll_merge(x + i, left, x + i + left, n - i - left, scratch + i);
        }
        std::swap(x, scratch);
    }
    return x;
}

// Sorts floats without NaN and -0.
template <class Isa>
void kll_sort(float* x, std::size_t n) {
    constexpr std::size_t few = 16, most = 1024;
    if (n <= few) {
        for (std::size_t i = 1; i < n; ++i) {
            const float item = x[i];
            std::size_t j = i;
            for (; j > 0 && x[j - 1] > item; --j) x[j] = x[j - 1];
            x[j] = item;
        }
        return;
    }
    if (n > most) {
        std::sort(x, x + n);
        return;
    }
    float sorted[most], scratch[most];
    for (std::size_t i = 0; i < n; i += kll_tile) {
        if (n - i >= kll_tile) {
            kll_chain<Isa>::sort_tile(x + i, sorted + i);
        } else {
            // Column after column, so that the last runs are nothing but padding.
            float padded[kll_tile];
            std::fill(padded, padded + kll_tile, std::numeric_limits<float>::infinity());
            for (std::size_t j = i; j < n; ++j) padded[(j - i) % 16 * 8 + (j - i) / 16] = x[j];
            kll_chain<Isa>::sort_tile(padded, sorted + i);
        }
    }
    const float* const from = kll_merge_runs(sorted, scratch, (n + 15) / 16 * 16, 16);
    std::copy(from, from + n, x);
}

/// How much lies below x and not above it.
struct kll_weight {
    std::uint64_t below = 0;
    std::uint64_t through = 0;
};

struct kll_state {
    std::uint32_t k = 200;
    std::uint64_t seed = 0;
    std::uint64_t n = 0;
    std::uint64_t coins = 0;  // words of coins used
    double spread = 0.0;      // sum of 4^level over all compactions
    float low = std::numeric_limits<float>::infinity();
    float high = -std::numeric_limits<float>::infinity();
    // Highest level first, so that level 0 grows at the end. Levels from 1 up are sorted.
    std::vector<float> items;
    std::vector<std::uint32_t> sizes;  // of level 0, 1, ...
    std::size_t room = 0;              // capacity(), kept by compress()

    void clear() noexcept {
        n = coins = 0;
        room = 0;
        spread = 0.0;
        low = std::numeric_limits<float>::infinity();
        high = -std::numeric_limits<float>::infinity();
        items.clear();
        sizes.clear();
    }
    std::size_t levels() const noexcept { return sizes.size(); }
    // Items that fit, and what fits into each of `levels` levels. Level 0 is a buffer as well: the larger it is, the
    // fewer compactions a stream of single values costs.
    static std::size_t capacities(std::uint32_t k, std::size_t levels, std::uint32_t* each) noexcept {
        std::size_t sum = 0;
        std::uint32_t capacity = k;
        for (std::size_t h = levels; h > 0; --h, capacity = kll_next_capacity(capacity)) {
            each[h - 1] = h == 1 ? (std::max)(capacity, (std::min)(k, kll_least_buffer)) : capacity;
            sum += each[h - 1];
        }
        return sum;
    }
    std::size_t capacity() const noexcept {
        std::uint32_t each[64];
        return capacities(k, sizes.size(), each);
    }
    // What fits into level 0.
    std::size_t buffer() const noexcept {
        std::uint32_t each[64];
        capacities(k, sizes.size(), each);
        return each[0];
    }
    // Level h begins here.
    std::size_t first(std::size_t h) const noexcept {
        std::size_t at = 0;
        for (std::size_t up = sizes.size(); up > h + 1; --up) at += sizes[up - 1];
        return at;
    }
    // Levels that the chain can stand in for: those that hold no more than its compactors.
    std::size_t replaceable() const noexcept {
        std::size_t kept = 0;
        for (std::uint32_t each = k; each > 16; each = kll_next_capacity(each)) ++kept;
        kept = (std::max)(kept, std::size_t{1});
        return sizes.size() > kept ? sizes.size() - kept : 0;
    }
    // One stream of coins for what is compacted, so that parts with one seed flip other coins unless they hold the same
    // values.
    random_stream stream(const float* x, std::size_t count) const noexcept {
        std::uint32_t sum = 0;
        for (std::size_t i = 0; i < count; ++i) sum += std::bit_cast<std::uint32_t>(x[i] + 0.0f);
        return random_stream(seed, (std::uint64_t{sum} << 32) | (n & 0xffffffffu));
    }

    // Every second value of level h moves up with twice the weight; of an odd number the smallest stays.
    template <class Isa>
    void compact(std::size_t h) {
        if (h + 1 == sizes.size()) sizes.push_back(0);
        const std::size_t size = sizes[h], above = sizes[h + 1], half = size / 2, odd = size & 1u;
        const std::size_t begin = first(h);
        float* const level = items.data() + begin;
        if (h == 0) kll_sort<Isa>(level, size);
        const float kept = level[0];
        const std::size_t coin = stream(level, size).bits(coins++) & 1u;
        for (std::size_t i = half; i-- > 0;) level[size - half + i] = level[odd + 2 * i + coin];
        kll_merge_in_place(level - above, above, level + (size - half), half);
        if (odd != 0) level[half] = kept;
        std::copy(items.begin() + static_cast<std::ptrdiff_t>(begin + size), items.end(),
                  items.begin() + static_cast<std::ptrdiff_t>(begin + half + odd));
        items.resize(items.size() - half);
        sizes[h] = static_cast<std::uint32_t>(odd);
        sizes[h + 1] = static_cast<std::uint32_t>(above + half);
        spread += std::ldexp(1.0, 2 * static_cast<int>(h));
    }
    // Compacts the lowest full level until the items fit.
    template <class Isa>
    void compress() {
        std::uint32_t each[64];
        while (items.size() > (room = capacities(k, sizes.size(), each))) {
            std::size_t h = 0;
            while (sizes[h] < each[h]) ++h;  // the sum exceeds its bound, so one level does
            compact<Isa>(h);
        }
    }
    // Adds sorted values to level h >= 1.
    void insert(std::size_t h, const float* block, std::size_t count) {
        const std::size_t begin = first(h), size = sizes[h], held = items.size();
        items.resize(held + count);
        const auto end = items.begin() + static_cast<std::ptrdiff_t>(begin + size);
        std::copy_backward(end, items.begin() + static_cast<std::ptrdiff_t>(held), items.end());
        kll_merge_in_place(items.data() + begin, size, block, count);
        sizes[h] += static_cast<std::uint32_t>(count);
    }

    // Values without NaN, their range known.
    template <class Isa>
    void absorb(const float* x, std::size_t count) {
        if (count > 0 && sizes.empty()) sizes.push_back(0);
        room = capacity();
        while (count > 0) {
            std::size_t used;
            const auto blocks = static_cast<std::size_t>(std::bit_width(count / kll_block));
            const std::size_t halvings = (std::min)({replaceable(), blocks == 0 ? std::size_t{0} : blocks - 1,
                                                     static_cast<std::size_t>(kll_most_halvings)});
            if (halvings == 0 && count >= kll_column && sizes.size() > 1 && buffer() <= kll_column) {
                // Past the buffer: a compaction of more than fits into it moves fewer ranks.
                used = kll_column;
                float column[kll_column];
                for (std::size_t i = 0; i < used; ++i) column[i] = x[i] + 0.0f;  // -0 becomes +0
                kll_sort<Isa>(column, used);
                const std::size_t coin = stream(x, used).bits(coins++) & 1u;
                for (std::size_t i = 0; i < used / 2; ++i) column[i] = column[2 * i + coin];
                insert(1, column, used / 2);
                spread += 1.0;
            } else if (halvings == 0) {
                used = (std::min)(count, room >= items.size() ? room - items.size() + 1 : std::size_t{1});
                const std::size_t held = items.size();
                items.resize(held + used);
                for (std::size_t i = 0; i < used; ++i) items[held + i] = x[i] + 0.0f;  // -0 becomes +0
                sizes[0] += static_cast<std::uint32_t>(used);
            } else {
                used = kll_block << halvings;
                float block[kll_block], scratch[kll_block];
                kll_chain<Isa>::thin(x, static_cast<int>(halvings), stream(x, used), coins, block);
                insert(halvings, kll_merge_runs(block, scratch, kll_block, 8), kll_block);
                // 8 columns, 2^(halvings - 1 - level) compactions of each at a level.
                const double weight = std::ldexp(1.0, static_cast<int>(halvings));
                spread += 4.0 * weight * (weight - 1.0);
            }
            n += used;
            x += used;
            count -= used;
            compress<Isa>();
        }
    }
    // One value, not NaN.
    template <class Isa>
    void absorb(float x) {
        x += 0.0f;
        absorb_range(x, x);
        if (n == 0) {
            sizes.assign(1, 0);
            room = k;
        }
        items.push_back(x);
        ++sizes[0];
        ++n;
        if (items.size() > room) compress<Isa>();
    }
    void absorb_range(float least, float most) noexcept {
        low = least < low ? least : low;
        high = most > high ? most : high;
    }
    // Both of one k and one seed, together fewer than 2^56 values.
    template <class Isa>
    void merge(const kll_state& other) {
        if (other.n == 0) return;
        if (n == 0) {
            *this = other;
            return;
        }
        std::vector<float> merged(items.size() + other.items.size());
        const std::size_t height = (std::max)(sizes.size(), other.sizes.size());
        sizes.resize(height, 0);
        const float *a = items.data(), *b = other.items.data();
        float* out = merged.data();
        for (std::size_t h = height; h-- > 0;) {
            const std::size_t m = h < other.sizes.size() ? other.sizes[h] : 0;
            if (h > 0) {
                kll_merge(a, sizes[h], b, m, out);
            } else {
                std::copy(b, b + m, std::copy(a, a + sizes[h], out));
            }
            a += sizes[h];
            b += m;
            sizes[h] += static_cast<std::uint32_t>(m);
            out += sizes[h];
        }
        kll_sort<Isa>(out - sizes[0], sizes[0]);  // so that the two may trade places
        items.swap(merged);
        n += other.n;
        coins += other.coins;
        spread += other.spread;
        absorb_range(other.low, other.high);
        compress<Isa>();
    }

    // visit(values, count, weight) for each level, highest first.
    template <class Visit>
    void each_level(Visit&& visit) const {
        const float* at = items.data();
        for (std::size_t h = sizes.size(); h-- > 0;) {
            visit(at, static_cast<std::size_t>(sizes[h]), std::uint64_t{1} << h);
            at += sizes[h];
        }
    }
    // How much lies below x; `sorted` says that level 0 is sorted as the others are.
    kll_weight weigh(float x, bool sorted = false) const noexcept {
        constexpr std::size_t few = 32;
        kll_weight sum;
        each_level([&](const float* level, std::size_t size, std::uint64_t weight) {
            std::size_t below = 0, through = 0;
            if (size > few && (weight > 1 || sorted)) {
                below = count_before(level, size, [x](float value) { return value < x; });
                // Ties are few or many.
                through = below;
                const std::size_t soon = (std::min)(size, below + 4);
                while (through < soon && level[through] == x) ++through;
                if (through == soon) {
                    through = static_cast<std::size_t>(std::upper_bound(level + through, level + size, x) - level);
                }
            } else {
                std::uint32_t counted[2] = {0, 0};
                for (std::size_t i = 0; i < size; ++i) {
                    counted[0] += static_cast<std::uint32_t>(level[i] < x);
                    counted[1] += static_cast<std::uint32_t>(level[i] <= x);
                }
                below = counted[0];
                through = counted[1];
            }
            sum.below += below * weight;
            sum.through += through * weight;
        });
        return sum;
    }
    // Null, or what is wrong with a state that was read.
    const char* fault() const noexcept {
        if (k < kll_least_k || k > kll_most_k || (k & 1u) != 0) return "k is not an even number from 8 to 65536";
        if (sizes.size() > kll_most_levels) return "too many levels";
        if (sizes.empty()) {
            const float inf = std::numeric_limits<float>::infinity();
            const bool blank = n == 0 && coins == 0 && spread == 0.0 && items.empty() && low == inf && high == -inf;
            return blank ? nullptr : "no levels, but not empty";
        }
        std::uint64_t weight = 0, held = 0;
        for (std::size_t h = 0; h < sizes.size(); ++h) {
            if (sizes[h] > items.size()) return "a level is larger than all items";
            if (sizes[h] > (kll_most_values >> h)) return "more than 2^56 values";
            weight += std::uint64_t{sizes[h]} << h;
            held += sizes[h];
        }
        if (held != items.size()) return "sizes of levels do not add up to the items";
        if (weight != n || n == 0 || n >= kll_most_values) return "weights do not add up to n";
        if (items.size() > capacity()) return "more items than fit";
        if (sizes.size() > 1 && sizes.back() == 0) return "the highest level is empty";
        if (!(low <= high)) return "the range is empty";
        const double most = 0.5 * static_cast<double>(n) * std::ldexp(1.0, static_cast<int>(sizes.size()));
        if (sizes.size() == 1 ? !(spread == 0.0 && coins == 0) : !(spread >= 1.0 && spread <= most)) {
            return "the spread is none that compactions have";
        }
        const char* wrong = nullptr;
        const float least = low, largest = high;
        each_level([&](const float* level, std::size_t size, std::uint64_t each) {
            for (std::size_t i = 0; i < size; ++i) {
                if (!(level[i] >= least && level[i] <= largest)) wrong = "a value is outside the range";
                if (each > 1 && i > 0 && !(level[i - 1] <= level[i])) wrong = "a level is not sorted";
            }
        });
        return wrong;
    }
};

}  // namespace reckon::detail
