// The softmax of queries over keys that info_nce and sampled_softmax share.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/contrastive_columns.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"
#include "reckon/losses/detail/logit_rows.hpp"
#include "reckon/losses/detail/logit_sums.hpp"
#include "reckon/losses/detail/softmax_row.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon::detail {

template <class T>
struct in_batch_options {
    const char* name;
    double temperature;
    similarity metric;
    std::size_t first_positive;
    double hardness = 0.0;
    vector_view<const T> log_q = {};
    // Whether log_q of the own key comes off its logit, too.
    bool correct_positives = true;
};

template <class T>
double largest_size(vector_view<const T> x) noexcept {
    double largest = 0.0;
    for (const T one : x) {
        const double size = std::fabs(static_cast<double>(one));
        if (size != size) return size;
        if (size > largest) largest = size;
    }
    return largest;
}

// Plain softmax: powers and their sums in registers, 1 / sum as a factor of the row.
template <class T, class Isa, class Policy, class Finish>
void plain_softmax(const Policy& where, matrix_view<const T> queries, matrix_view<const T> keys,
                   vector_view<const T> log_q, const row_temperatures<T>& t, const own_keys& own,
                   const contrastive_gradients<T>& grads, Finish&& finish) {
    using rows_of = query_block<T, Isa>;
    using sums = gradient_sums<T, Isa>;
    packed_keys<T, Isa> packed(keys, sums::wants_rows(grads));
    packed.take_off(log_q, 1.4426950408889634074);
    const double longest = largest_norm(queries);
    bool bounded = moderate(longest, largest_norm(keys), t.least(), largest_size(log_q));
    if (!sums::wants_any(grads)) {
        fold_logits(where, queries, packed, t, bounded, nullptr,
                    [&](std::size_t i, power_sum sum) { finish(i, sum.ln()); });
        return;
    }
    // 1 / sum may be e^60, and goes into the gradients together with these factors.
    bounded = bounded && std::fabs(grads.scale) / t.least() * (std::max)(longest, 1.0) <= 1e10;
    sums gradient(queries, keys, packed, t, own, grads, sums::whole);
    for (std::size_t first = 0; first < queries.rows(); first += gradient.rows()) {
        rows_of q(queries, first, gradient.rows(), [&](std::size_t i) { return t.exponent_factor(i); });
        const kept_panels<T> kept = gradient.kept(q);
        gradient.begin(q);
        softmax_block<true>(where, q, packed, bounded, kept, sums::template window<Policy>(),
                            [&](std::size_t c, std::size_t end) { gradient.add_keys(where, q, c, end, kept); });
        for (std::size_t r = 0; r < q.rows; ++r) finish(first + r, q.log_sum(r));
        gradient.end(where, q, [&](std::size_t r) { return 1.0 / q.sum[r]; });
    }
    gradient.finish(where);
}

template <class T, class Isa, class Policy>
mean_value in_batch_softmax(const Policy& where, matrix_view<const T> query_view, matrix_view<const T> key_view,
                            vector_view<T> lse_of, const in_batch_options<T>& options,
                            const contrastive_gradients<T>& grads, const contrastive_columns<T>& columns) {
    exec::detail::require_host_policy<Policy>();
    const char* const name = options.name;
    const std::size_t batch = query_view.rows(), count = key_view.rows(), first = options.first_positive;
    const row_temperatures<T> t{options.temperature, columns.temperatures};
    expect_contrastive(name, query_view, key_view, t, grads);
    expect_columns(name, batch, count, columns);
    if (columns.positives.empty()) {
        expects(first <= count && batch <= count - first, name, batch, " queries with first_positive ", first, ", but ",
                count, " keys");
    }
    expects(lse_of.size() == batch, name, batch, " queries but room for ", lse_of.size(), " sums");
    expects(options.hardness >= 0.0 && options.hardness <= 1e30, name, "hardness must lie in [0, 1e30], got ",
            options.hardness);
    if (batch == 0) return {};

    using alike = similarity_rows<T>;
    alike query_side(options.metric, alike::side::query, query_view),
        key_side(options.metric, alike::side::key, key_view);
    const matrix_view<const T> queries = query_side.rows(), keys = key_side.rows();
    auto added = grads;
    added.queries = query_side.gradient(grads.queries);
    added.keys = key_side.gradient(grads.keys);
    const own_keys own = own_keys::of(first, columns.positives);
    const bool corrects = !options.log_q.empty() && options.correct_positives;
    const auto own_logit = [&](std::size_t i) {
        const std::size_t j = own(i, count);
        const double logit = dot(queries.row(i).data(), keys.row(j).data(), queries.cols()) / t(i);
        return corrects ? logit - static_cast<double>(options.log_q[j]) : logit;
    };
    scratch_array<double> losses(batch);
    const bool own_as_others = options.log_q.empty() || options.correct_positives;
    if (options.hardness == 0.0 && columns.key_labels.empty() && own_as_others) {
        plain_softmax<T, Isa>(where, queries, keys, options.log_q, t, own, added, [&](std::size_t i, double lse) {
            lse_of[i] = static_cast<T>(lse);
            losses[i] = lse - own_logit(i);
        });
    } else {
        const labelled_keys labels(columns.key_labels);
        const bool weights = gradient_sums<T, Isa>::wants_any(grads);
        for_each_logit_row<T, Isa>(
            where, queries, keys, t, added,
            [&](std::size_t i, const auto& row) {
                const std::size_t j = own(i, count);
                if (!labels.empty()) {
                    const auto& of = columns.query_labels;
                    leave_out(row, labels, of.empty() ? columns.key_labels[j] : of[i], j);
                }
                const auto term = softmax_row(row, j, own_logit(i), options.hardness, weights);
                lse_of[i] = static_cast<T>(term.lse);
                losses[i] = term.loss;
            },
            options.log_q);
    }
    query_side.finish(grads.queries);
    key_side.finish(grads.keys);
    mean_value loss;
    for (std::size_t i = 0; i < batch; ++i) loss.absorb(losses[i]);
    return loss;
}

}  // namespace reckon::detail
