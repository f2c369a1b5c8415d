// Matrix factorisation by Bayesian personalised ranking: stochastic gradient descent over triples, in place.
#pragma once

#include <cstddef>
#include <limits>
#include <type_traits>

#include "reckon/core/config.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/losses/detail/embedding_rows.simd.hpp"
#include "reckon/losses/detail/softplus.simd.hpp"

namespace reckon {

struct bpr_step_options {
    /// > 0.
    double learning_rate = 0.05;
    /// >= 0. Each triple takes learning_rate * decay < 1 of their values off its rows and biases.
    double decay = 0.0;
};

namespace detail {

// The three rows of a triple and what they become: keep times themselves, and a step along each other.
template <class Isa, class T>
RECKON_INLINE void bpr_move(T* u, T* a, T* b, std::size_t depth, T keep, T step) noexcept {
    using pack = simd::pack<T, Isa>;
    const pack kept(keep), forth(step), back(-step);
    std::size_t d = 0;
    for (; d + pack::lanes <= depth; d += pack::lanes) {
        const pack user = pack::load(u + d), chosen = pack::load(a + d), other = pack::load(b + d);
        mul_add(forth, chosen - other, kept * user).store(u + d);
        mul_add(forth, user, kept * chosen).store(a + d);
        mul_add(back, user, kept * other).store(b + d);
    }
    for (; d < depth; ++d) {
        const T user = u[d], chosen = a[d], other = b[d];
        u[d] = simd::mul_add(step, chosen - other, keep * user);
        a[d] = simd::mul_add(step, user, keep * chosen);
        b[d] = simd::mul_add(-step, user, keep * other);
    }
}

}  // namespace detail

/// Learns from triples of a user, an item that the user chose and one that the user did not: one step down the loss of
/// bpr_triples() after each triple, in their order, so that each sees what those before it wrote.
///
///   x = user_rows[u] . (item_rows[i] - item_rows[j]) + item_bias[i] - item_bias[j],   slope = sigmoid(-x)
///
///   user_rows[u] += learning_rate * ( slope * (item_rows[i] - item_rows[j]) - decay * user_rows[u])
///   item_rows[i] += learning_rate * ( slope * user_rows[u] - decay * item_rows[i])      right sides: before the triple
///   item_rows[j] += learning_rate * (-slope * user_rows[u] - decay * item_rows[j])
///   item_bias[i] += learning_rate * ( slope - decay * item_bias[i]),   item_bias[j] alike with -slope
///
/// Shapes    user_rows [U, D], item_rows [I, D]: float or double; user_ids, positive_ids, negative_ids [N], unsigned,
///           all of one type; item_bias [I] or none. Rows may be strided.
/// Writes    the rows and biases of triples, no others. Users, items and biases do not overlap. A triple whose items
///           are the same one counts its loss, ln 2, and changes nothing.
/// Returns   mean_value{sum of softplus(-x), each at the time its triple was met, N}.
/// Throws    std::invalid_argument when lengths differ, an option is out of range or an id has no row, before anything
///           is written. Propagates NaN into the rows of its triple.
/// Cost      one thread. Reads all ids once to check them; then 13 D flops a triple, on three rows that are asked for
///           8 triples ahead, read and written once each. No scratch.
/// Numerics  lanes of the type over D; losses are added up in double. learning_rate * decay below 3e-8 (double: 6e-17)
///           is lost in rounding.
/// Source    LearnBPR, Rendle et al. 2009, figure 4. One decay for users and both items; triples come from the caller.
template <exec::policy Policy, matrix_like U, matrix_like V, vector_like A, vector_like B, vector_like C,
          class Bias = none, class Isa = isa::native>
mean_value bpr_step(const Policy&, U&& user_rows, V&& item_rows, const A& user_ids, const B& positive_ids,
                    const C& negative_ids, const bpr_step_options& options = {}, Bias&& item_bias = {}) {
    static_assert(std::is_same_v<Policy, exec::serial_policy>,
                  "reckon: bpr_step takes triples one after another; use exec::serial");
    constexpr const char* kernel = "bpr_step";
    const auto users = view(user_rows), items = view(item_rows);
    const auto u = input(user_ids), i = input(positive_ids), j = input(negative_ids);
    using T = typename decltype(users)::element_type;
    using Id = typename decltype(u)::value_type;
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>,
                  "reckon: embeddings that bpr_step changes must be float or double, and not const");
    static_assert(std::is_unsigned_v<Id> && !std::is_same_v<Id, bool>, "reckon: ids of bpr_step must be unsigned");
    expects(options.learning_rate > 0.0 && options.learning_rate <= double{(std::numeric_limits<T>::max)()}, kernel,
            "learning_rate must be finite and > 0, got ", options.learning_rate);
    expects(options.decay >= 0.0 && options.learning_rate * options.decay < 1.0, kernel,
            "decay must be >= 0 and below 1 / learning_rate, got ", options.decay);
    expects(users.cols() == items.cols(), kernel, "users have ", users.cols(), " columns, items ", items.cols());
    expects(u.size() == i.size() && u.size() == j.size(), kernel, u.size(), " users but ", i.size(), " and ", j.size(),
            " items");
    vector_view<T> bias;
    if constexpr (!std::is_same_v<std::remove_cvref_t<Bias>, none>) {
        bias = view(item_bias);
        expects(bias.size() == items.rows(), kernel, items.rows(), " items but ", bias.size(), " biases");
    }
    detail::expect_ids(kernel, "user", u, users.rows());
    detail::expect_ids(kernel, "positive", i, items.rows());
    detail::expect_ids(kernel, "negative", j, items.rows());

    constexpr std::size_t ahead = 8;
    const std::size_t n = u.size(), depth = users.cols();
    const auto row = [](const matrix_view<T>& of, Id id) { return of.row(static_cast<std::size_t>(id)).data(); };
    const T rate = static_cast<T>(options.learning_rate),
            keep = static_cast<T>(1.0 - options.learning_rate * options.decay);
    mean_value loss;
    for (std::size_t t = 0; t < n; ++t) {
        if (t + ahead < n) {
            detail::prefetch_row(row(users, u[t + ahead]), depth);
            detail::prefetch_row(row(items, i[t + ahead]), depth);
            detail::prefetch_row(row(items, j[t + ahead]), depth);
        }
        const auto chosen = static_cast<std::size_t>(i[t]), other = static_cast<std::size_t>(j[t]);
        T *const to_user = row(users, u[t]), *const to_chosen = row(items, i[t]), *const to_other = row(items, j[t]);
        T x = detail::contrast<Isa>(to_user, to_chosen, to_other, depth);
        if (!bias.empty()) x += bias[chosen] - bias[other];
        const auto at = detail::softplus_of_negative(x);
        loss.absorb(static_cast<double>(at.value));
        if (chosen == other) continue;
        const T step = rate * at.slope;
        detail::bpr_move<Isa>(to_user, to_chosen, to_other, depth, keep, step);
        if (!bias.empty()) {
            bias[chosen] = simd::mul_add(keep, bias[chosen], step);
            bias[other] = simd::mul_add(keep, bias[other], -step);
        }
    }
    return loss;
}

}  // namespace reckon
