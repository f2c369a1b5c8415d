// Which triplets a row of similarities yields, and gradients that few pairs contribute to.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "reckon/core/search.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/exec/tile.hpp"
#include "reckon/losses/detail/labelled_row.hpp"
#include "reckon/losses/detail/logit_rows.hpp"
#include "reckon/losses/detail/similarity_rows.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon::detail {

// Leaves the positive that is least alike and adds the negative that is most alike; of equal ones the first.
template <class T, class Isa>
void hardest(const logit_row<T, Isa>& row, std::vector<positive_key<T>>& positives,
             std::vector<positive_key<T>>& negatives) {
    positive_key<T> worst = positives.front();
    for (const auto& p : positives) {
        if (p.value < worst.value) worst = p;
    }
    positives.assign(1, worst);
    const T top = row.largest();
    negatives.push_back({top == -std::numeric_limits<T>::infinity() ? row.size() : row.find(top), top});
}

// The largest similarity below each of the thresholds, which descend; -infinity if there is none.
template <class T, class Isa>
void largest_below(const logit_row<T, Isa>& row, const std::vector<positive_key<T>>& thresholds, T* found) {
    using pack = typename logit_row<T, Isa>::pack;
    constexpr std::size_t at_once = 4;
    const pack out(-std::numeric_limits<T>::infinity());
    for (std::size_t first = 0; first < thresholds.size(); first += at_once) {
        pack limit[at_once], best[at_once];
        for (std::size_t k = 0; k < at_once; ++k) {
            limit[k] = pack(thresholds[(std::min)(first + k, thresholds.size() - 1)].value);
            best[k] = out;
        }
        row.for_each([&](pack s) {
#pragma GCC unroll 4
            for (std::size_t k = 0; k < at_once; ++k) best[k] = maximum(best[k], select(s < limit[k], s, out));
        });
        for (std::size_t k = 0; k < at_once && first + k < thresholds.size(); ++k) {
            found[first + k] = reduce_max(best[k]);
        }
    }
}
// The same by a search for each negative, for many thresholds.
template <class T, class Isa>
void largest_below_many(const logit_row<T, Isa>& row, const std::vector<positive_key<T>>& thresholds, T* found) {
    constexpr T out = -std::numeric_limits<T>::infinity();
    const std::size_t count = thresholds.size();
    std::vector<T> best(count + 1, out);
    for (std::size_t j = 0; j < row.size(); ++j) {
        const T s = row[j];
        // Thresholds that are above s come first; s is a candidate for the last of them and all before it.
        const std::size_t above =
            count_before(thresholds.data(), count, [&](const positive_key<T>& t) { return t.value > s; });
        best[above] = best[above] < s ? s : best[above];
    }
    T top = out;
    for (std::size_t k = count; k-- > 0;) {
        top = top < best[k + 1] ? best[k + 1] : top;
        found[k] = top;
    }
}

// Orders the positives, the most alike first, and adds a negative for each: the most alike of those that are less alike
// than the positive, else the least alike of all.
template <class T, class Isa>
void semi_hard(const logit_row<T, Isa>& row, std::vector<positive_key<T>>& positives,
               std::vector<positive_key<T>>& negatives) {
    using pack = typename logit_row<T, Isa>::pack;
    constexpr T infinity = std::numeric_limits<T>::infinity();
    std::sort(positives.begin(), positives.end(),
              [](const auto& a, const auto& b) { return a.value != b.value ? a.value > b.value : a.key < b.key; });
    std::vector<T> found(positives.size());
    if (positives.size() <= 32) {
        largest_below(row, positives, found.data());
    } else {
        largest_below_many(row, positives, found.data());
    }
    if (found.back() == -infinity) {
        pack least(infinity);
        row.for_each([&](pack s) { least = minimum(least, select(s > pack(-infinity), s, pack(infinity))); });
        T lanes[pack::lanes];
        least.store(lanes);
        const T farthest = *std::min_element(lanes, lanes + pack::lanes);
        for (T& s : found) s = s == -infinity ? farthest : s;
    }
    for (const T s : found) {
        if (!negatives.empty() && negatives.back().value == s) {
            negatives.push_back(negatives.back());
        } else {
            negatives.push_back({s == infinity ? row.size() : row.find(s), s});
        }
    }
}

// Sum of (a_k - b_k)^2 in double.
template <class T>
double squared_distance(const T* a, const T* b, std::size_t n) noexcept {
    constexpr std::size_t at_once = 64;
    double apart[at_once], sum = 0.0;
    for (std::size_t first = 0; first < n; first += at_once) {
        const std::size_t count = (std::min)(at_once, n - first);
        for (std::size_t k = 0; k < count; ++k) {
            apart[k] = static_cast<double>(a[first + k]) - static_cast<double>(b[first + k]);
        }
        sum += dot(apart, apart, count);
    }
    return sum;
}

// Distances in double of few queries and keys, but for a constant: |q - k|^2, -q . k or minus the cosine.
template <class T>
class mined_distances {
  public:
    mined_distances(similarity metric, matrix_view<const T> queries, matrix_view<const T> keys)
        : metric_(metric), queries_(queries), keys_(keys) {
        if (metric != similarity::cosine) return;
        query_norms_ = norms(queries);
        key_norms_ = norms(keys);
    }
    double operator()(std::size_t i, std::size_t j) const noexcept {
        const T *const q = queries_.row(i).data(), *const k = keys_.row(j).data();
        if (metric_ == similarity::squared_distance) return squared_distance(q, k, queries_.cols());
        const double product = dot(q, k, queries_.cols());
        if (metric_ == similarity::dot) return -product;
        // As similarity_rows has it: rows of zeros, and those whose squares overflow, have cosine 0.
        const double both = query_norms_[i] * key_norms_[j];
        return both == 0.0 || std::isinf(both) ? 0.0 : -product / both;
    }

  private:
    static std::vector<double> norms(matrix_view<const T> rows) {
        std::vector<double> out(rows.rows());
        for (std::size_t i = 0; i < rows.rows(); ++i) {
            const T* const x = rows.row(i).data();
            out[i] = std::sqrt(dot(x, x, rows.cols()));
        }
        return out;
    }

    similarity metric_;
    matrix_view<const T> queries_, keys_;
    std::vector<double> query_norms_, key_norms_;
};

// d loss / d similarity of an anchor and a key.
struct pair_slope {
    std::size_t key;
    double slope;
};

// Gradients from the slopes of few pairs: a multiple of a row for each, in the order in which they stand.
template <class T>
struct pair_slopes {
    matrix_view<const T> queries, keys;
    matrix_view<T> query_gradient, key_gradient;
    bool squared;  // similarities are -|q - k|^2 instead of q . k
    double scale;

    bool wanted() const noexcept { return !query_gradient.empty() || !key_gradient.empty(); }
    // slopes(r): those of query first + r.
    template <class Policy, class Slopes>
    void add(const Policy& where, std::size_t first, std::size_t rows, Slopes&& slopes) const {
        if (!query_gradient.empty()) {
            exec::for_each_index(where, rows, [&](std::size_t r) {
                const T* const q = queries.data() + (first + r) * queries.stride();
                T* const out = query_gradient.data() + (first + r) * query_gradient.stride();
                for (const pair_slope& s : slopes(r)) {
                    add_row(out, keys.data() + s.key * keys.stride(), q, s.slope, 0, queries.cols());
                }
            });
        }
        if (key_gradient.empty()) return;
        // Several anchors may meet in one key: threads share the columns.
        constexpr std::size_t width = 64;
        exec::for_each_index(where, tile::panel_count(keys.cols(), width), [&](std::size_t c) {
            const std::size_t from = c * width, to = (std::min)(from + width, keys.cols());
            for (std::size_t r = 0; r < rows; ++r) {
                const T* const q = queries.data() + (first + r) * queries.stride();
                for (const pair_slope& s : slopes(r)) {
                    add_row(key_gradient.data() + s.key * key_gradient.stride(), q, keys.data() + s.key * keys.stride(),
                            s.slope, from, to);
                }
            }
        });
    }

  private:
    // out += d similarity / d own * slope.
    void add_row(T* out, const T* other, const T* own, double slope, std::size_t from, std::size_t to) const noexcept {
        if (squared) {
            // The slope of a root is the inverse of a distance, which may be beyond the type.
            const double by = 2.0 * scale * slope;
            for (std::size_t d = from; d < to; ++d) {
                out[d] += static_cast<T>(by * (static_cast<double>(other[d]) - static_cast<double>(own[d])));
            }
        } else {
            const T by = static_cast<T>(scale * slope);
            for (std::size_t d = from; d < to; ++d) out[d] += by * other[d];
        }
    }
};

}  // namespace reckon::detail
