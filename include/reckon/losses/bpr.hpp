// Bayesian personalised ranking: of two items, the one that the user chose should have the higher score.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/detail/derivatives.hpp"
#include "reckon/losses/detail/embedding_rows.simd.hpp"
#include "reckon/losses/detail/softplus.simd.hpp"

namespace reckon {

/// Outputs of bpr_triples(): gradients are added, and an empty view is not wanted.
template <class T>
struct bpr_gradients {
    /// [U, D] as the users, or empty.
    matrix_view<T> users = {};
    /// [I, D] as the items, or empty.
    matrix_view<T> items = {};
    /// [I] as the biases, or empty.
    vector_view<T> item_bias = {};
    /// Factor of everything that is added.
    double scale = 1.0;
};

namespace detail {

template <class T>
struct bpr_rows {
    vector_view<const T> positive, negative, weights;
    vector_view<T> positive_gradient, negative_gradient;

    std::size_t size() const noexcept { return positive.size(); }
    bpr_rows slice(std::size_t first, std::size_t count) const noexcept {
        return {positive.slice(first, count), negative.slice(first, count), weights.slice(first, count),
                positive_gradient.slice(first, count), negative_gradient.slice(first, count)};
    }
};

template <class Isa>
struct bpr_sum {
    double scale = 1.0;
    mean_value loss;

    template <class T>
    void absorb(const bpr_rows<T>& rows) noexcept {
        rows.weights.empty() ? absorb_blocks<false>(rows) : absorb_blocks<true>(rows);
    }
    void merge(const bpr_sum& other) noexcept { loss.merge(other.loss); }

  private:
    template <bool Weighted, class T>
    void absorb_blocks(const bpr_rows<T>& rows) noexcept {
        using pack = simd::pack<T, Isa>;
        const T *const p = rows.positive.data(), *const n = rows.negative.data(), *const w = rows.weights.data();
        T *const up = rows.positive_gradient.data(), *const down = rows.negative_gradient.data();
        const bool wants_up = !rows.positive_gradient.empty(), wants_down = !rows.negative_gradient.empty();
        const pack zero(T(0)), factor(static_cast<T>(scale)), minus = zero - factor;
        const pack lane = simd::lane_numbers<T, Isa>();
        // Lanes add up a short block in T; blocks add up in double.
        constexpr std::size_t block = 256;
        for (std::size_t first = 0; first < rows.size(); first += block) {
            const std::size_t end = (std::min)(first + block, rows.size());
            pack values = zero, weights = zero;
            const auto take = [&](std::size_t at, softplus_point<pack> point) {
                if constexpr (Weighted) {
                    const pack weight = pack::load(w + at);
                    weights += weight;
                    point = weighed(point, weight);
                }
                values += point.value;
                if (wants_up) mul_add(minus, point.slope, pack::load(up + at)).store(up + at);
                if (wants_down) mul_add(factor, point.slope, pack::load(down + at)).store(down + at);
            };
            std::size_t i = first;
            // Four packs side by side, powers first: each is a chain of dependent operations that one alone would wait
            // for.
            constexpr std::size_t side_by_side = 4;
            for (; i + side_by_side * pack::lanes <= end; i += side_by_side * pack::lanes) {
                pack x[side_by_side], t[side_by_side];
#pragma GCC unroll 4
                for (std::size_t k = 0; k < side_by_side; ++k) {
                    x[k] = pack::load(p + i + k * pack::lanes) - pack::load(n + i + k * pack::lanes);
                    t[k] = exp_or_zero(zero - absolute(x[k]));
                }
#pragma GCC unroll 4
                for (std::size_t k = 0; k < side_by_side; ++k) {
                    take(i + k * pack::lanes, softplus_from(x[k], t[k]));
                }
            }
            for (; i + pack::lanes <= end; i += pack::lanes) {
                take(i, softplus_of_negative(pack::load(p + i) - pack::load(n + i)));
            }
            if (i < end) {
                const std::size_t left = end - i;
                const auto load = [&](const T* from) { return pack::load_padded(from + i, left, T(0)); };
                auto at = softplus_of_negative(load(p) - load(n));
                if constexpr (Weighted) {
                    const pack weight = load(w);
                    weights += weight;
                    at = weighed(at, weight);
                }
                values += select(lane < pack(static_cast<T>(left)), at.value, zero);
                if (wants_up) mul_add(minus, at.slope, load(up)).store_head(up + i, left);
                if (wants_down) mul_add(factor, at.slope, load(down)).store_head(down + i, left);
            }
            loss.merge(
                mean_value(static_cast<double>(reduce_add(values)),
                           Weighted ? static_cast<double>(reduce_add(weights)) : static_cast<double>(end - first)));
        }
    }
    // Where the weight is 0 the scores may be anything.
    template <class V>
    static RECKON_INLINE softplus_point<V> weighed(const softplus_point<V>& at, V w) noexcept {
        const V zero(simd::lane_t<V>(0));
        const auto skipped = w == zero;
        return {select(skipped, zero, w * at.value), select(skipped, zero, w * at.slope)};
    }
};

// Triples a few at a time: scores first, then slopes in lanes, then rows of gradients.
template <class T, class Id, class Isa>
class bpr_gather {
  public:
    matrix_view<const T> users, items;
    vector_view<const Id> user_ids, positive_ids, negative_ids;
    vector_view<const T> bias;
    bpr_gradients<T> grads;

    // Triples whose slopes are taken together; their rows stay in the first-level cache.
    static constexpr std::size_t group = 8;

    std::size_t size() const noexcept { return user_ids.size(); }

    // The difference x of triple t. Asks for the rows that other triples need soon.
    RECKON_INLINE T difference(std::size_t t) const noexcept {
        if (t + ahead < size()) prefetch_rows(t + ahead);
        const auto i = static_cast<std::size_t>(positive_ids[t]), j = static_cast<std::size_t>(negative_ids[t]);
        const T x = contrast<Isa>(users.row(static_cast<std::size_t>(user_ids[t])).data(), items.row(i).data(),
                                  items.row(j).data(), users.cols());
        return bias.empty() ? x : x + (bias[i] - bias[j]);
    }
    // Value and slope of `group` differences.
    static void points(const T* differences, T* values, T* slopes) noexcept {
        for (std::size_t k = 0; k < group; k += (std::min)(pack::lanes, group)) {
            const auto at = softplus_of_negative(load(differences + k));
            store(at.value, values + k);
            store(at.slope, slopes + k);
        }
    }
    RECKON_INLINE void prefetch_gradients(std::size_t t) const noexcept {
        const auto ask = [&](const matrix_view<T>& of, Id id) {
            if (!of.empty()) prefetch_row(of.row(static_cast<std::size_t>(id)).data(), of.cols());
        };
        ask(grads.users, user_ids[t]);
        ask(grads.items, positive_ids[t]);
        ask(grads.items, negative_ids[t]);
    }
    // Adds the gradient of a triple: the user's row, and items' rows where wanted(id).
    template <class Wanted>
    RECKON_INLINE void scatter_items(std::size_t t, T slope, Wanted&& wanted) const noexcept {
        const T step = static_cast<T>(grads.scale) * slope;
        const std::size_t sides[2] = {static_cast<std::size_t>(positive_ids[t]),
                                      static_cast<std::size_t>(negative_ids[t])};
        for (const int side : {0, 1}) {
            const std::size_t item = sides[side];
            if (!wanted(item)) continue;
            const T factor = side == 0 ? T(0) - step : step;
            if (!grads.items.empty()) {
                add_row(factor, users.row(static_cast<std::size_t>(user_ids[t])).data(), grads.items.row(item).data());
            }
            if (!grads.item_bias.empty()) grads.item_bias[item] += factor;
        }
    }
    RECKON_INLINE void scatter_user(std::size_t t, T slope) const noexcept {
        if (grads.users.empty()) return;
        const pack step(static_cast<T>(grads.scale) * slope);
        const T *const a = items.row(static_cast<std::size_t>(negative_ids[t])).data(),
                       *const b = items.row(static_cast<std::size_t>(positive_ids[t])).data();
        T* const to = grads.users.row(static_cast<std::size_t>(user_ids[t])).data();
        const std::size_t depth = users.cols();
        std::size_t d = 0;
        for (; d + pack::lanes <= depth; d += pack::lanes) {
            mul_add(step, pack::load(a + d) - pack::load(b + d), pack::load(to + d)).store(to + d);
        }
        for (; d < depth; ++d) to[d] = simd::mul_add(static_cast<T>(grads.scale) * slope, a[d] - b[d], to[d]);
    }

  private:
    using pack = simd::pack<T, Isa>;
    // How many triples ahead rows of embeddings are asked for.
    static constexpr std::size_t ahead = 16;

    // A pack may be wider than a group.
    static RECKON_INLINE pack load(const T* p) noexcept {
        if constexpr (pack::lanes <= group)
            return pack::load(p);
        else
            return pack::load_padded(p, group, T(0));
    }
    static RECKON_INLINE void store(pack a, T* p) noexcept {
        if constexpr (pack::lanes <= group)
            a.store(p);
        else
            a.store_head(p, group);
    }
    RECKON_INLINE void add_row(T factor, const T* from, T* to) const noexcept {
        const pack step(factor);
        const std::size_t depth = users.cols();
        std::size_t d = 0;
        for (; d + pack::lanes <= depth; d += pack::lanes) {
            mul_add(step, pack::load(from + d), pack::load(to + d)).store(to + d);
        }
        for (; d < depth; ++d) to[d] = simd::mul_add(factor, from[d], to[d]);
    }
    RECKON_INLINE void prefetch_rows(std::size_t t) const noexcept {
        const auto ask = [&](const matrix_view<const T>& of, Id id) {
            prefetch_row(of.row(static_cast<std::size_t>(id)).data(), of.cols());
        };
        ask(users, user_ids[t]);
        ask(items, positive_ids[t]);
        ask(items, negative_ids[t]);
    }
};

}  // namespace detail

/// BPR of pairs of scores: the user chose the first item of a pair and not the second.
///
///   loss = sum_i w_i softplus(-(positive_scores_i - negative_scores_i))        nats
///
/// Shapes    positive_scores, negative_scores [N], weights (w) [N] or none for ones, gradients [N] or none: float or
///           double, all of one type.
/// Writes    adds scale * d loss / d scores into positive_gradient and negative_gradient where they are given; they
///           overlap neither the inputs nor each other.
/// Returns   mean_value{sum, sum of w}; merges over shards.
/// Throws    std::invalid_argument when lengths differ. Propagates NaN; a pair of weight 0 adds nothing.
/// Cost      one pass: one power and one division a pair. No scratch.
/// Numerics  float lanes add up blocks of 256 pairs, sums of blocks are compensated doubles: relative error of the loss
///           below 2e-6 for float, 1e-13 for double, down to e^-87 (double: e^-708) a pair, below which the value and
///           slope of a pair are 0; slopes within 4 ULP and a rounding of the difference of scores. Finite scores never
///           give NaN.
/// Source    Rendle et al. 2009.
template <exec::policy Policy, vector_like P, vector_like N, class W = none, class GP = none, class GN = none,
          class Isa = isa::native>
mean_value bpr(const Policy& where, const P& positive_scores, const N& negative_scores, const W& weights = {},
               GP&& positive_gradient = {}, GN&& negative_gradient = {}, double scale = 1.0) {
    const auto p = input(positive_scores), n = input(negative_scores);
    using T = typename decltype(p)::value_type;
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "reckon: scores must be float or double");
    expects(p.size() == n.size(), "bpr", p.size(), " positive scores but ", n.size(), " negative ones");
    const vector_view<const T> w = [&]() -> vector_view<const T> {
        if constexpr (std::is_same_v<W, none>) {
            return {};
        } else {
            const auto given = input(weights);
            expects(given.size() == p.size(), "bpr", p.size(), " pairs but ", given.size(), " weights");
            return given;
        }
    }();
    const auto output = [&](auto& column) { return detail::derivative_output<T>("bpr", column, p.size(), "pairs"); };
    const detail::bpr_rows<T> rows{p, n, w, output(positive_gradient), output(negative_gradient)};
    return exec::fold_parts(where, detail::bpr_sum<Isa>{scale, {}}, rows).loss;
}

/// BPR of triples of a user, an item that the user chose and one that the user did not, on tables of embeddings:
/// gathers rows, and adds gradients into rows.
///
///   loss = sum_t softplus(-x_t),   x_t = user_rows[u] . (item_rows[i] - item_rows[j]) + item_bias[i] - item_bias[j]
///
/// Shapes    user_rows [U, D], item_rows [I, D]: float or double; user_ids, positive_ids, negative_ids [N], unsigned,
///           all of one type; item_bias [I] or none. Gradients as their inputs, or empty. Rows may be strided.
/// Writes    adds grads.scale * d loss / d (users | items | item_bias) where wanted: rows of triples, no others.
///           Outputs overlap neither the inputs nor each other.
/// Returns   mean_value{sum, N}; merges over shards of triples.
/// Throws    std::invalid_argument when lengths differ or an id has no row, before anything is written. Propagates NaN
///           into the rows of its triple.
/// Cost      reads all ids once to check them; then 3 D multiply-adds forward and as many for gradients, on six rows a
///           triple that are asked for ahead of time. On several threads triples are scored side by side, 4096 at a
///           time, and each thread adds up rows of its own. Scratch: a few numbers a triple of 4096.
/// Numerics  lanes of the type over D, double over triples. Each row adds up its triples in their order: the same bits
///           for any number of threads.
/// Source    Rendle et al. 2009, without their regularisation.
template <exec::policy Policy, matrix_like U, matrix_like V, vector_like A, vector_like B, vector_like C,
          class Bias = none, class Isa = isa::native>
mean_value bpr_triples(const Policy& where, const U& user_rows, const V& item_rows, const A& user_ids,
                       const B& positive_ids, const C& negative_ids,
                       const bpr_gradients<typename decltype(input(user_rows))::value_type>& grads = {},
                       const Bias& item_bias = {}) {
    constexpr const char* kernel = "bpr_triples";
    const auto users = input(user_rows), items = input(item_rows);
    const auto u = input(user_ids), i = input(positive_ids), j = input(negative_ids);
    using T = typename decltype(users)::value_type;
    using Id = typename decltype(u)::value_type;
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "reckon: embeddings must be float or double");
    static_assert(std::is_unsigned_v<Id> && !std::is_same_v<Id, bool>, "reckon: ids of bpr_triples must be unsigned");
    exec::detail::require_host_policy<Policy>();
    expects(users.cols() == items.cols(), kernel, "users have ", users.cols(), " columns, items ", items.cols());
    expects(u.size() == i.size() && u.size() == j.size(), kernel, u.size(), " users but ", i.size(), " and ", j.size(),
            " items");
    vector_view<const T> bias;
    if constexpr (!std::is_same_v<Bias, none>) {
        bias = input(item_bias);
        expects(bias.size() == items.rows(), kernel, items.rows(), " items but ", bias.size(), " biases");
    }
    detail::expect_gradient_shape<T>(kernel, "users", grads.users, users);
    detail::expect_gradient_shape<T>(kernel, "items", grads.items, items);
    expects(grads.item_bias.empty() || (!bias.empty() && grads.item_bias.size() == items.rows()), kernel, items.rows(),
            " items, ", bias.size(), " biases but room for ", grads.item_bias.size(), " derivatives of them");
    detail::expect_ids(kernel, "user", u, users.rows());
    detail::expect_ids(kernel, "positive", i, items.rows());
    detail::expect_ids(kernel, "negative", j, items.rows());

    const detail::bpr_gather<T, Id, Isa> gather{users, items, u, i, j, bias, grads};
    constexpr std::size_t group = gather.group, block = 4096;
    const bool gradients = !grads.users.empty() || !grads.items.empty() || !grads.item_bias.empty();
    const std::size_t n = u.size();
    const auto everyone = [](std::size_t) { return true; };
    mean_value loss;
    if constexpr (std::is_same_v<Policy, exec::serial_policy>) {
        T differences[group] = {}, values[group], slopes[group];
        const auto look = [&](std::size_t k, std::size_t t) {
            if (t >= n) return;
            if (gradients) gather.prefetch_gradients(t);
            differences[k] = gather.difference(t);
        };
        for (std::size_t k = 0; k < group; ++k) look(k, k);
        for (std::size_t first = 0; first < n; first += group) {
            const std::size_t count = (std::min)(group, n - first);
            gather.points(differences, values, slopes);
            for (std::size_t k = 0; k < count; ++k) loss.absorb(static_cast<double>(values[k]));
            // The next group is scored while this one is written, so that memory is busy all the time.
            for (std::size_t k = 0; k < count; ++k) {
                look(k, first + group + k);
                if (!gradients) continue;
                gather.scatter_user(first + k, slopes[k]);
                gather.scatter_items(first + k, slopes[k], everyone);
            }
        }
    } else {
        // A row belongs to the share of its number, so that no two threads write to it.
        constexpr std::size_t shares = 16;
        scratch_array<T> values(block), slopes(block);
        for (std::size_t start = 0; start < n; start += block) {
            const std::size_t held = (std::min)(block, n - start);
            exec::for_each_index(where, exec::detail::part_count(held, group), [&](std::size_t g) {
                T differences[group] = {};
                const std::size_t first = g * group;
                for (std::size_t k = 0; k < group && first + k < held; ++k) {
                    differences[k] = gather.difference(start + first + k);
                }
                gather.points(differences, values.data() + first, slopes.data() + first);
            });
            for (std::size_t k = 0; k < held; ++k) loss.absorb(static_cast<double>(values[k]));
            if (!gradients) continue;
            exec::for_each_index(where, shares, [&](std::size_t share) {
                for (std::size_t k = 0; k < held; ++k) {
                    const std::size_t t = start + k;
                    if (static_cast<std::size_t>(u[t]) % shares == share) gather.scatter_user(t, slopes[k]);
                    gather.scatter_items(t, slopes[k], [=](std::size_t item) { return item % shares == share; });
                }
            });
        }
    }
    return loss;
}

}  // namespace reckon
