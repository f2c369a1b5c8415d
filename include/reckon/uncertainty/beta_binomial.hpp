// Beta-binomial likelihood: counts of successes whose rate varies from cell to cell.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/uncertainty/counted_loss.hpp"
#include "reckon/uncertainty/detail/outputs.hpp"
#include "reckon/uncertainty/detail/rising.hpp"

namespace reckon {

struct beta_binomial_options {
    /// > 0. beta_binomial_nll_logits: least concentration s.
    double least_strength = 1e-2;
};

namespace detail {

/// Trials up to which the sums run term by term.
inline constexpr double direct_trials = 64.0;
/// Largest alpha + beta: products of eight ratios then stay within range.
inline constexpr double most_strength = 1e30;

// What the likelihood of k of n and its derivatives are made of. The terms t = 0 are left out: their part of the
// likelihood is m^[k > 0] (1 - m)^[k < n], and their part of the derivative by s is 0.
template <class V>
struct beta_binomial_sums {
    V logs;         // ln of prod (alpha + t) prod (beta + t) s^[0 < k < n] / prod (s + t)
    V inverse[3];   // sum of 1 / (x + t) for x = alpha, t < k; x = beta, t < n - k; x = s, t < n
    V fraction[3];  // sum of t / (x + t)
};

// k <= n <= direct_trials, both whole. Step t puts the next of the n - 1 factors of the numerator over s + t: a ratio
// in (0, 1], so that nothing cancels.
template <class V>
RECKON_INLINE beta_binomial_sums<V> direct_sums(V alpha, V beta, V s, V k, V n, double most_trials) noexcept {
    using T = simd::lane_t<V>;
    using simd::select;
    const V zero(T(0)), one(T(1));
    beta_binomial_sums<V> sums{zero, {zero, zero, zero}, {zero, zero, zero}};
    V product = one;
    int pending = 0;
    for (double step = 1.0; step < most_trials; step += 1.0) {
        const V t(static_cast<T>(step));
        const auto live = t < n;
        const auto first = t < k;
        const auto second = (k < t) & live;
        const V place = select(first, t, t - k);
        const V factor = select(t == k, s, select(first, alpha, beta) + place);
        const V over = one / factor, under = one / (s + t);
        product *= select(live, factor * under, one);
        sums.inverse[0] += select(first, over, zero);
        sums.inverse[1] += select(second, over, zero);
        sums.inverse[2] += select(live, under, zero);
        sums.fraction[0] += select(first, place * over, zero);
        sums.fraction[1] += select(second, place * over, zero);
        sums.fraction[2] += select(live, t * under, zero);
        if (++pending == 8) {
            sums.logs += math::log(product);
            product = one;
            pending = 0;
        }
    }
    if (pending > 0) sums.logs += math::log(product);
    return sums;
}

inline beta_binomial_sums<double> closed_sums(double alpha, double beta, double s, double k, double n) noexcept {
    beta_binomial_sums<double> sums{};
    const double start[3] = {alpha, beta, s}, count[3] = {k, n - k, n};
    for (int j = 0; j < 3; ++j) {
        if (!(count[j] > 1.0)) continue;
        const rising_sums part = rising(start[j] + 1.0, count[j] - 1.0);
        sums.logs += j < 2 ? part.logs : -part.logs;
        sums.inverse[j] = part.inverses;
        sums.fraction[j] = part.fractions + part.inverses;
    }
    if (0.0 < k && k < n) sums.logs += std::log(s);
    return sums;
}

// Loss and derivatives of one pack of rows, without weights.
template <class V>
struct beta_binomial_lanes {
    V loss, first, second;
};

// Parameters are alpha and beta.
template <class V>
struct prior_parameters {
    V alpha, beta, s;

    RECKON_INLINE prior_parameters(V a, V b, double) noexcept : alpha(a), beta(b), s(a + b) {}
    RECKON_INLINE auto usable() const noexcept {
        const V zero(simd::lane_t<V>(0));
        return (zero < alpha) & (zero < beta);
    }
    RECKON_INLINE beta_binomial_lanes<V> finish(const beta_binomial_sums<V>& sums, V k, V n) const noexcept {
        using T = simd::lane_t<V>;
        using simd::select;
        const V zero(T(0)), one(T(1));
        const auto hit = zero < k, miss = k < n;
        const V odds = beta / alpha, other = alpha / beta, under = one / s;
        const V loss = select(hit, math::log1p(odds), zero) + select(miss, math::log1p(other), zero) - sums.logs;
        // The terms t = 0: 1/s - [hit] / alpha, taken together.
        const V shared = select(zero < n, under, zero);
        const V first = select(hit, zero - odds * under, shared), second = select(miss, zero - other * under, shared);
        return {loss, first + (sums.inverse[2] - sums.inverse[0]), second + (sums.inverse[2] - sums.inverse[1])};
    }
};

// Parameters are q and c: m = sigmoid(q), s = least + softplus(c).
template <class V>
struct logit_parameters {
    V alpha, beta, s;
    V q, m, rest, slope;

    RECKON_INLINE logit_parameters(V logit, V c, double least) noexcept : q(logit) {
        using T = simd::lane_t<V>;
        const V zero(T(0));
        m = math::sigmoid(q);
        rest = math::sigmoid(zero - q);
        s = V(static_cast<T>(least)) + math::softplus(c);
        slope = math::sigmoid(c);
        alpha = m * s;
        beta = rest * s;
    }
    RECKON_INLINE auto usable() const noexcept { return q == q; }
    RECKON_INLINE beta_binomial_lanes<V> finish(const beta_binomial_sums<V>& sums, V k, V n) const noexcept {
        using T = simd::lane_t<V>;
        using simd::select;
        const V zero(T(0)), one(T(1));
        const auto hit = zero < k, miss = k < n;
        const V loss = select(hit, math::softplus(zero - q), zero) + select(miss, math::softplus(q), zero) - sums.logs;
        const V up = select(hit, one, zero) + alpha * sums.inverse[0];
        const V down = select(miss, one, zero) + beta * sums.inverse[1];
        const V by_strength = ((sums.fraction[0] + sums.fraction[1]) - sums.fraction[2]) / s;
        return {loss, m * down - rest * up, slope * by_strength};
    }
};

template <class T, class K, class N>
struct beta_binomial_rows {
    vector_view<const T> first, second;
    vector_view<const K> successes;
    vector_view<const N> trials;
    vector_view<const T> weights;
    vector_view<T> first_slope, second_slope;

    std::size_t size() const noexcept { return first.size(); }
    beta_binomial_rows slice(std::size_t from, std::size_t count) const noexcept {
        return {first.slice(from, count),       second.slice(from, count),  successes.slice(from, count),
                trials.slice(from, count),      weights.slice(from, count), first_slope.slice(from, count),
                second_slope.slice(from, count)};
    }
};

/// True for whole numbers 0 <= k <= n <= 2^53.
template <class K, class N>
RECKON_INLINE bool usable_counts(K k, N n) noexcept {
    if constexpr (std::is_signed_v<K>) {
        if (k < 0) return false;
    }
    if constexpr (std::is_signed_v<N>) {
        if (n < 0) return false;
    }
    const auto successes = static_cast<std::uint64_t>(k), trials = static_cast<std::uint64_t>(n);
    return successes <= trials && trials <= (std::uint64_t{1} << 53);
}

// All arithmetic is in double lanes over rows.
template <template <class> class Parameters, class Isa>
struct beta_binomial_fold {
    double least_strength = 0.0;
    double scale = 1.0;
    counted_loss total;

    template <class T, class K, class N>
    void absorb(const beta_binomial_rows<T, K, N>& rows) noexcept {
        using pack = simd::pack<double, Isa>;
        constexpr std::size_t lanes = pack::lanes;
        constexpr double nan = std::numeric_limits<double>::quiet_NaN();
        for (std::size_t i = 0; i < rows.size(); i += lanes) {
            const std::size_t count = (std::min)(lanes, rows.size() - i);
            double x[lanes], y[lanes], k[lanes], n[lanes], w[lanes];
            counts seen;
            bool long_row = false;
            double longest = 0.0;
            for (std::size_t j = 0; j < lanes; ++j) {
                x[j] = y[j] = 1.0;
                k[j] = n[j] = w[j] = 0.0;
                if (j >= count) continue;
                const double weight = rows.weights.empty() ? 1.0 : static_cast<double>(rows.weights[i + j]);
                const bool ok = usable_counts(rows.successes[i + j], rows.trials[i + j]) && 0.0 <= weight &&
                                weight <= (std::numeric_limits<double>::max)();
                seen.absorb(ok);
                if (!ok) continue;
                x[j] = static_cast<double>(rows.first[i + j]);
                y[j] = static_cast<double>(rows.second[i + j]);
                k[j] = static_cast<double>(rows.successes[i + j]);
                n[j] = static_cast<double>(rows.trials[i + j]);
                w[j] = weight;
                long_row = long_row || n[j] > direct_trials;
                longest = (std::max)(longest, (std::min)(n[j], direct_trials));
            }
            const Parameters<pack> at(pack::load(x), pack::load(y), least_strength);
            const pack k_pack = pack::load(k), n_pack = pack::load(n), w_pack = pack::load(w);
            // A long row takes part with no trials, so that no lane depends on its neighbours.
            auto sums = long_row ? direct_sums(at.alpha, at.beta, at.s,
                                               select(n_pack <= pack(direct_trials), k_pack, pack(0.0)),
                                               select(n_pack <= pack(direct_trials), n_pack, pack(0.0)), longest)
                                 : direct_sums(at.alpha, at.beta, at.s, k_pack, n_pack, longest);
            if (long_row) replace_long(sums, at, k, n);
            const auto ok = at.usable() & (at.s <= pack(most_strength));
            auto found = at.finish(sums, k_pack, n_pack);
            const auto used = pack(0.0) < w_pack;
            const auto weighted = [&](pack value, pack factor) {
                return select(used, factor * select(ok, value, pack(nan)), pack(0.0));
            };
            total.merge(counted_loss(mean_value(reduce_add(weighted(found.loss, w_pack)), reduce_add(w_pack)), seen));
            add(rows.first_slope, i, count, weighted(found.first, pack(scale) * w_pack));
            add(rows.second_slope, i, count, weighted(found.second, pack(scale) * w_pack));
        }
    }
    void merge(const beta_binomial_fold& other) noexcept { total.merge(other.total); }

  private:
    template <class V>
    static RECKON_NOINLINE void replace_long(beta_binomial_sums<V>& sums, const Parameters<V>& at, const double* k,
                                             const double* n) noexcept {
        constexpr std::size_t lanes = V::lanes;
        double alpha[lanes], beta[lanes], s[lanes], values[7][lanes];
        at.alpha.store(alpha);
        at.beta.store(beta);
        at.s.store(s);
        V* const packs[7] = {&sums.logs,        &sums.inverse[0],  &sums.inverse[1], &sums.inverse[2],
                             &sums.fraction[0], &sums.fraction[1], &sums.fraction[2]};
        for (int v = 0; v < 7; ++v) packs[v]->store(values[v]);
        for (std::size_t j = 0; j < lanes; ++j) {
            if (!(n[j] > direct_trials)) continue;
            const beta_binomial_sums<double> one = closed_sums(alpha[j], beta[j], s[j], k[j], n[j]);
            values[0][j] = one.logs;
            for (std::size_t v = 0; v < 3; ++v) {
                values[1 + v][j] = one.inverse[v];
                values[4 + v][j] = one.fraction[v];
            }
        }
        for (int v = 0; v < 7; ++v) *packs[v] = V::load(values[v]);
    }
    template <class T, class V>
    static void add(vector_view<T> out, std::size_t first, std::size_t count, V slope) noexcept {
        if (out.empty()) return;
        double values[V::lanes];
        slope.store(values);
        for (std::size_t j = 0; j < count; ++j) out[first + j] += static_cast<T>(values[j]);
    }
};

template <template <class> class Parameters, class Isa, class Policy, class A, class B, class K, class N, class W,
          class GA, class GB>
counted_loss beta_binomial_loss(const char* kernel, const Policy& where, const A& first, const B& second,
                                const K& successes, const N& trials, const W& weights, double least, GA& first_slope,
                                GB& second_slope, double scale) {
    const auto a = input(first);
    const auto b = input(second);
    const auto k = input(successes);
    const auto n = input(trials);
    using T = typename decltype(a)::value_type;
    using C = typename decltype(k)::value_type;
    using D = typename decltype(n)::value_type;
    static_assert(std::is_same_v<T, typename decltype(b)::value_type>,
                  "reckon: both parameters must have the same type, float or double");
    static_assert(std::integral<C> && std::integral<D>, "reckon: successes and trials are integers");
    expects(b.size() == a.size() && k.size() == a.size() && n.size() == a.size(), kernel, a.size(), " and ", b.size(),
            " parameters, ", k.size(), " successes and ", n.size(), " trials");
    beta_binomial_rows<T, C, D> rows{a, b, k, n, {}, {}, {}};
    if constexpr (!std::is_same_v<W, none>) {
        rows.weights = input(weights);
        expects(rows.weights.size() == a.size(), kernel, a.size(), " rows but ", rows.weights.size(), " weights");
    }
    rows.first_slope = optional_output<T>(kernel, first_slope, a.size());
    rows.second_slope = optional_output<T>(kernel, second_slope, a.size());
    return exec::fold_parts(where, beta_binomial_fold<Parameters, Isa>{least, scale, {}}, rows).total;
}

}  // namespace detail

/// Negative log-likelihood of successes whose rate is drawn from Beta(alpha, beta) once per row, and its gradient.
///
///   loss = sum_i w_i [ ln B(alpha_i, beta_i) - ln B(alpha_i + k_i, beta_i + n_i - k_i) ]      ln C(n_i, k_i) left out
///
/// Rows of one trial do not tell the concentration alpha + beta: only repeated cells (trials of 2 and more) do.
///
/// Shapes    alpha, beta [N] float or double; successes k, trials n [N] of integers; weights [N] or none for ones;
///           d_alpha, d_beta [N] or none.
/// Writes    adds scale * d loss / d alpha and d beta into the gradients that are given; they may not overlap the
///           inputs.
/// Returns   counted_loss; merges over shards. A row without trials adds 0.
/// Throws    std::invalid_argument when lengths differ. Counts and skips rows with k > n, negative counts, more than
///           2^53 trials or a weight that is not in [0, inf). Propagates NaN; parameters that are not positive or of a
///           sum above 1e30 give NaN too.
/// Cost      up to 64 trials two divisions a trial, in lanes over rows; beyond 64 six logarithms a row.
/// Numerics  in double; no logarithm of Gamma is taken, so nothing cancels for large alpha + beta. Loss and gradient to
///           about 1e-13 of the sum of their terms.
/// Source    Skellam 1948.
template <exec::policy Policy, vector_like A, vector_like B, vector_like K, vector_like N, class W = none,
          class GA = none, class GB = none, class Isa = isa::native>
counted_loss beta_binomial_nll(const Policy& where, const A& alpha, const B& beta, const K& successes, const N& trials,
                               const W& weights = {}, GA&& d_alpha = {}, GB&& d_beta = {}, double scale = 1.0) {
    return detail::beta_binomial_loss<detail::prior_parameters, Isa>("beta_binomial_nll", where, alpha, beta, successes,
                                                                     trials, weights, 0.0, d_alpha, d_beta, scale);
}

/// The same for a head that gives q and c.
///
///   m = sigmoid(q), s = least_strength + softplus(c), alpha = m s, beta = (1 - m) s
///
/// Shapes    q, c [N] float or double; the rest as in beta_binomial_nll().
/// Writes    adds scale * d loss / d q and d c into the gradients that are given.
/// Returns   counted_loss. For one trial the loss is the log-loss of sigmoid(q), and the gradient of c exactly 0.
/// Throws    as beta_binomial_nll(), and when least_strength is not positive and finite. Any q is legal, however large.
/// Cost      as beta_binomial_nll(), and six exponentials a row.
/// Numerics  the derivative by s is a sum of t / (x + t), in which what cancels for large s is left out beforehand.
/// Source    the parametrisation is our choice.
template <exec::policy Policy, vector_like Q, vector_like C, vector_like K, vector_like N, class W = none,
          class GQ = none, class GC = none, class Isa = isa::native>
counted_loss beta_binomial_nll_logits(const Policy& where, const Q& q, const C& c, const K& successes, const N& trials,
                                      const W& weights = {}, const beta_binomial_options& options = {}, GQ&& d_q = {},
                                      GC&& d_c = {}, double scale = 1.0) {
    expects(options.least_strength > 0.0 && options.least_strength <= detail::most_strength, "beta_binomial_nll_logits",
            "least_strength must be in (0, 1e30], got ", options.least_strength);
    return detail::beta_binomial_loss<detail::logit_parameters, Isa>(
        "beta_binomial_nll_logits", where, q, c, successes, trials, weights, options.least_strength, d_q, d_c, scale);
}

}  // namespace reckon
