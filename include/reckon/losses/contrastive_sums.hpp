// Contrastive losses over several machines: the log-sum-exps of all logits as a state that merges.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/core/bytes.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/gradient_sums.hpp"
#include "reckon/losses/detail/in_batch_softmax.hpp"
#include "reckon/losses/detail/logit_sums.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon {

struct contrastive_sums_options {
    /// Queries and keys of all machines together, fewer than 2^32; keys >= first_positive + queries.
    std::size_t queries = 0, keys = 0;
    /// Off: info_nce, or sampled_softmax with log_q. On: clip_loss, as many keys as queries.
    bool symmetric = false;
    /// > 0. Logits are similarities over this.
    double temperature = 0.05;
    similarity metric = similarity::dot;
    /// Key first_positive + i is the positive of query i.
    std::size_t first_positive = 0;
};

/// Where a block of logits stands: its queries begin at first_query of all queries, its keys at first_key of all keys.
struct logit_block {
    std::size_t first_query = 0, first_key = 0;
};

/// Log-sum-exps of the rows (and columns) of the matrix of logits, and the logits of the pairs: all that info_nce,
/// sampled_softmax and clip_loss need to know of other machines' embeddings, besides those that they multiply.
///
///   fold    each machine absorbs its blocks of the matrix: its queries against gathered keys, its keys against
///           gathered queries, or any other cut that covers each logit once
///   merge   states add up, in any order; 8 (2 B + N) bytes at most travel
///   map     finish() is the loss; add_gradients() has those of a block
///
/// Shapes    of a block: query_rows [b, D], key_rows [n, D], log_q [n] or none{}; float or double, all the same.
///           Gradients as the rows of the block, or empty.
/// Throws    std::invalid_argument on a shape or option out of range; when states of other options merge; from finish()
///           and add_gradients() while logits are missing. That no logit is absorbed twice is the caller's care; only
///           more than all are seen. NaN in, NaN out.
/// Cost      absorb: b n D multiply-adds. add_gradients: three times that. Scratch as clip_loss. The state holds
///           2 B + N doubles, N of them only if it is symmetric.
/// Numerics  as info_nce and clip_loss in a block, double across blocks. Gradients of a query are parts from blocks
///           with other keys, those of a key from blocks with other queries: add them up.
class contrastive_sums {
  public:
    static constexpr std::uint32_t bytes_kind = four_letters("CSUM");
    static constexpr std::uint32_t bytes_version = 1;

    explicit contrastive_sums(const contrastive_sums_options& options) : options_(options) {
        expects(broken(options_) == nullptr, "contrastive_sums", broken(options_), ", got ", options.queries,
                " queries, ", options.keys, " keys, first_positive ", options.first_positive, ", symmetric ",
                options.symmetric ? "on" : "off", ", temperature ", options.temperature);
        constexpr double nothing = -std::numeric_limits<double>::infinity();
        rows_.assign(options.queries, nothing);
        columns_.assign(options.symmetric ? options.keys : 0, nothing);
        own_.assign(options.queries, 0.0);
    }

    const contrastive_sums_options& options() const noexcept { return options_; }
    /// Whether as many logits were absorbed as there are.
    bool complete() const noexcept { return logits_ == all_logits(); }

    template <exec::policy Policy, matrix_like Q, matrix_like K, class P = none, class Isa = isa::native>
    void absorb(const Policy& where, const Q& query_rows, const K& key_rows, const logit_block& at = {},
                const P& log_q = {}) {
        using T = typename decltype(input(query_rows))::value_type;
        const piece<T> b = make_piece(query_rows, key_rows, at, log_q, {});
        expects(b.logits() <= all_logits() - logits_, "contrastive_sums", "more logits than there are: ", b.logits(),
                " more after ", logits_, " of ", all_logits());
        if (b.logits() == 0) return;
        const alike<T> query_side(options_.metric, alike<T>::side::query, b.queries),
            key_side(options_.metric, alike<T>::side::key, b.keys);
        const matrix_view<const T> queries = query_side.rows(), keys = key_side.rows();
        detail::packed_keys<T, Isa> packed(keys, false);
        packed.take_off(b.log_q, log2e);
        detail::column_sums columns(options_.symmetric ? packed.padded() : 0);
        detail::fold_logits(where, queries, packed, detail::row_temperatures<T>{options_.temperature},
                            bounded(queries, keys, b.log_q), options_.symmetric ? &columns : nullptr,
                            [&](std::size_t i, detail::power_sum sum) { add(rows_[at.first_query + i], sum.log2()); });
        if (options_.symmetric) {
            for (std::size_t j = 0; j < keys.rows(); ++j) add(columns_[at.first_key + j], columns.at(j).log2());
        }
        const detail::own_keys own = own_in(at);
        for (std::size_t i = 0; i < queries.rows(); ++i) {
            const std::size_t j = own(i, keys.rows());
            if (j == detail::own_keys::missing) continue;
            own_[at.first_query + i] +=
                detail::dot(queries.row(i).data(), keys.row(j).data(), queries.cols()) / options_.temperature -
                (b.log_q.empty() ? 0.0 : static_cast<double>(b.log_q[j]));
        }
        logits_ += b.logits();
    }
    void merge(const contrastive_sums& other) {
        expects(differing(options_, other.options_) == nullptr, "contrastive_sums::merge", "the states differ in ",
                differing(options_, other.options_));
        expects(other.logits_ <= all_logits() - logits_, "contrastive_sums::merge",
                "more logits than there are: ", other.logits_, " more after ", logits_, " of ", all_logits());
        for (std::size_t i = 0; i < rows_.size(); ++i) {
            add(rows_[i], other.rows_[i]);
            own_[i] += other.own_[i];
        }
        for (std::size_t j = 0; j < columns_.size(); ++j) add(columns_[j], other.columns_[j]);
        logits_ += other.logits_;
    }

    /// Log-sum-exp of the logits of query i over the keys that were absorbed, nats; -inf for none.
    double row_lse(std::size_t i) const noexcept { return rows_[i] * ln2; }
    /// The same of key j over the queries, if the state is symmetric.
    double column_lse(std::size_t j) const noexcept { return columns_[j] * ln2; }
    /// The loss: mean_value{sum, B}.
    mean_value finish() const {
        expect_all();
        mean_value loss;
        for (std::size_t i = 0; i < own_.size(); ++i) {
            loss.absorb((options_.symmetric ? 0.5 * (row_lse(i) + column_lse(i)) : row_lse(i)) - own_[i]);
        }
        return loss;
    }
    /// Adds grads.scale times what a block contributes to d loss / d (its queries | its keys | temperature).
    template <exec::policy Policy, matrix_like Q, matrix_like K, class P = none, class Isa = isa::native>
    void add_gradients(const Policy& where, const Q& query_rows, const K& key_rows, const logit_block& at,
                       const contrastive_gradients<typename decltype(input(query_rows))::value_type>& grads,
                       const P& log_q = {}) const {
        using T = typename decltype(input(query_rows))::value_type;
        using sums = detail::gradient_sums<T, Isa>;
        const piece<T> b = make_piece(query_rows, key_rows, at, log_q, grads);
        expect_all();
        if (b.logits() == 0 || !sums::wants_any(grads)) return;
        alike<T> query_side(options_.metric, alike<T>::side::query, b.queries),
            key_side(options_.metric, alike<T>::side::key, b.keys);
        const matrix_view<const T> queries = query_side.rows(), keys = key_side.rows();
        auto added = grads;
        added.queries = query_side.gradient(grads.queries);
        added.keys = key_side.gradient(grads.keys);
        const detail::row_temperatures<T> t{options_.temperature};
        detail::packed_keys<T, Isa> packed(keys, sums::wants_rows(grads));
        packed.take_off(b.log_q, log2e);
        sums gradient(queries, keys, packed, t, own_in(at), added, sums::template window<Policy>());
        const auto row = [&](std::size_t i) { return rows_[at.first_query + i]; };
        const auto column = [&](std::size_t j) { return columns_[at.first_key + j]; };
        const bool plain = bounded(queries, keys, b.log_q);
        if (options_.symmetric)
            detail::map_logits<true>(where, queries, packed, t, plain, row, column, gradient);
        else
            detail::map_logits<false>(where, queries, packed, t, plain, row, column, gradient);
        query_side.finish(grads.queries);
        key_side.finish(grads.keys);
    }

    void write(byte_writer& out) const {
        out.put(static_cast<std::uint64_t>(options_.queries));
        out.put(static_cast<std::uint64_t>(options_.keys));
        out.put(static_cast<std::uint64_t>(options_.first_positive));
        out.put(options_.temperature);
        out.put(static_cast<std::uint8_t>(options_.metric));
        out.put(static_cast<std::uint8_t>(options_.symmetric ? 1 : 0));
        out.put(logits_);
        out.put_array(rows_);
        out.put_array(columns_);
        out.put_array(own_);
    }
    static contrastive_sums read(byte_reader& in) {
        contrastive_sums_options options;
        const auto queries = in.get<std::uint64_t>(), keys = in.get<std::uint64_t>(), first = in.get<std::uint64_t>();
        options.temperature = in.get<double>();
        const auto metric = in.get<std::uint8_t>(), symmetric = in.get<std::uint8_t>();
        expects_bytes(queries <= most && keys <= most && first <= most && metric <= 2 && symmetric <= 1,
                      "contrastive_sums", "options out of range");
        options.queries = static_cast<std::size_t>(queries);
        options.keys = static_cast<std::size_t>(keys);
        options.first_positive = static_cast<std::size_t>(first);
        options.metric = static_cast<similarity>(metric);
        options.symmetric = symmetric == 1;
        expects_bytes(broken(options) == nullptr, "contrastive_sums", broken(options));
        contrastive_sums state(options, read_tag{});
        state.logits_ = in.get<std::uint64_t>();
        expects_bytes(state.logits_ <= state.all_logits(), "contrastive_sums", "more logits than there are");
        state.rows_ = in.get_array<double>();
        state.columns_ = in.get_array<double>();
        state.own_ = in.get_array<double>();
        expects_bytes(state.rows_.size() == queries && state.own_.size() == queries &&
                          state.columns_.size() == (options.symmetric ? keys : 0),
                      "contrastive_sums", "sums of other sizes than the options say");
        return state;
    }

  private:
    template <class T>
    using alike = detail::similarity_rows<T>;
    // What a call was given.
    template <class T>
    struct piece {
        matrix_view<const T> queries, keys;
        vector_view<const T> log_q;
        std::uint64_t logits() const noexcept { return std::uint64_t{queries.rows()} * keys.rows(); }
    };
    struct read_tag {};

    static constexpr std::uint64_t most = (std::uint64_t{1} << 32) - 1;
    static constexpr double ln2 = 0.69314718055994530942, log2e = 1.4426950408889634074;

    contrastive_sums(const contrastive_sums_options& options, read_tag) noexcept : options_(options) {}

    // The rule that options break; null if none.
    static const char* broken(const contrastive_sums_options& o) noexcept {
        if (o.queries > most || o.keys > most) return "queries and keys must be fewer than 2^32";
        if (o.first_positive > o.keys || o.queries > o.keys - o.first_positive) {
            return "keys must be at least first_positive + queries";
        }
        if (o.symmetric && o.keys != o.queries) return "symmetric needs as many keys as queries";
        if (!(o.temperature > 0.0 && std::isfinite(o.temperature))) return "temperature must be positive and finite";
        return nullptr;
    }
    // The option in which two states differ; null if none.
    static const char* differing(const contrastive_sums_options& a, const contrastive_sums_options& b) noexcept {
        return a.queries != b.queries                 ? "queries"
               : a.keys != b.keys                     ? "keys"
               : a.symmetric != b.symmetric           ? "symmetric"
               : a.temperature != b.temperature       ? "temperature"
               : a.metric != b.metric                 ? "metric"
               : a.first_positive != b.first_positive ? "first_positive"
                                                      : nullptr;
    }
    // log2(2^a + 2^b)
    static void add(double& a, double b) noexcept {
        const double high = a > b ? a : b, low = a > b ? b : a;
        a = high == low ? high + 1.0 : high + std::log1p(std::exp2(low - high)) * log2e;
    }
    std::uint64_t all_logits() const noexcept { return std::uint64_t{options_.queries} * options_.keys; }
    void expect_all() const {
        expects(complete(), "contrastive_sums", "only ", logits_, " of ", all_logits(), " logits were absorbed");
    }
    // Local number of the own key of a local query.
    detail::own_keys own_in(const logit_block& at) const noexcept {
        return detail::own_keys::from(options_.first_positive + at.first_query - at.first_key);
    }
    template <class T>
    bool bounded(matrix_view<const T> queries, matrix_view<const T> keys, vector_view<const T> log_q) const noexcept {
        return detail::moderate(detail::largest_norm(queries), detail::largest_norm(keys), options_.temperature,
                                detail::largest_size(log_q));
    }
    template <class Q, class K, class P, class T = typename decltype(input(std::declval<const Q&>()))::value_type>
    piece<T> make_piece(const Q& query_rows, const K& key_rows, const logit_block& at, const P& log_q,
                        const contrastive_gradients<T>& grads) const {
        const auto queries = input(query_rows);
        const auto keys = input(key_rows);
        static_assert(std::is_same_v<T, typename decltype(keys)::value_type>,
                      "reckon: queries and keys of contrastive_sums must have the same type");
        detail::expect_contrastive("contrastive_sums", queries, keys, detail::row_temperatures<T>{options_.temperature},
                                   grads);
        const auto inside = [](std::size_t first, std::size_t count, std::size_t all, const char* which) {
            expects(first <= all && count <= all - first, "contrastive_sums", which, " ", first, " to ", first + count,
                    " of ", all);
        };
        inside(at.first_query, queries.rows(), options_.queries, "queries");
        inside(at.first_key, keys.rows(), options_.keys, "keys");
        piece<T> b{queries, keys, {}};
        if constexpr (!std::is_same_v<P, none>) {
            b.log_q = input(log_q);
            expects(b.log_q.size() == keys.rows(), "contrastive_sums", keys.rows(), " keys but ", b.log_q.size(),
                    " numbers in log_q");
            expects(!options_.symmetric, "contrastive_sums", "log_q in a symmetric loss");
        }
        return b;
    }

    contrastive_sums_options options_;
    // Log-sum-exps to the base 2, and the logit of each pair in nats.
    std::vector<double> rows_, columns_, own_;
    std::uint64_t logits_ = 0;
};

}  // namespace reckon
