// Contrastive losses over shards: of queries against all keys, of keys against all queries, and of both.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/losses/clip_loss.hpp"
#include "reckon/losses/contrastive_sums.hpp"
#include "reckon/losses/info_nce.hpp"
#include "reckon/losses/sampled_softmax.hpp"
#include "support/fixture.hpp"
#include "support/golden.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;

enum class kind { nce, sampled, clip };

template <class T>
struct result {
    double loss = 0.0, weight = 0.0, temperature = 0.0;
    std::vector<T> row_lse, column_lse, queries, keys;
    bool operator==(const result&) const = default;
};

template <class T>
struct problem {
    kind which = kind::nce;
    std::size_t batch = 0, count = 0, depth = 0, first_positive = 0;
    double temperature = 0.1;
    similarity metric = similarity::dot;
    std::vector<T> q = {}, k = {}, log_q = {};

    matrix_view<const T> queries() const { return view(q, batch, depth); }
    matrix_view<const T> keys() const { return view(k, count, depth); }
    contrastive_sums identity() const {
        return contrastive_sums({batch, count, which == kind::clip, temperature, metric, first_positive});
    }
};

template <class T>
problem<T> make(kind which, std::size_t batch, std::size_t count, std::size_t depth, double length,
                similarity metric = similarity::dot) {
    problem<T> p{which, batch, which == kind::clip ? batch : count, depth, 0, 0.1, metric};
    p.first_positive = (p.count - batch) / 2;
    const double size = length / std::sqrt(static_cast<double>(depth));
    p.q = random_normal<T>(batch * depth, 0.0, size, 1);
    p.k = random_normal<T>(p.count * depth, 0.0, size, 2);
    p.log_q = random_uniform<T>(p.count, -8.0, 0.0, 3);
    return p;
}

// The loss on one machine.
template <class T>
result<T> whole(const problem<T>& p) {
    result<T> out;
    out.row_lse.resize(p.batch);
    out.column_lse.resize(p.which == kind::clip ? p.count : 0);
    out.queries.resize(p.q.size());
    out.keys.resize(p.k.size());
    const contrastive_gradients<T> grads{view(out.queries, p.batch, p.depth), view(out.keys, p.count, p.depth),
                                         &out.temperature};
    mean_value m;
    if (p.which == kind::clip) {
        m = clip_loss(serial, p.queries(), p.keys(), out.row_lse, out.column_lse, {p.temperature, p.metric}, grads);
    } else if (p.which == kind::nce) {
        m = info_nce(serial, p.queries(), p.keys(), out.row_lse, {p.temperature, p.metric, p.first_positive}, grads);
    } else {
        m = sampled_softmax(serial, p.queries(), p.keys(), p.log_q, out.row_lse,
                            {p.temperature, p.metric, p.first_positive}, grads);
    }
    out.loss = m.sum();
    out.weight = m.weight();
    return out;
}

// The same by machines that each see one of `across` x `down` blocks: absorb, send, merge, and gradients block by
// block.
template <class T, class Policy>
result<T> sharded(const Policy& where, const problem<T>& p, std::size_t across, std::size_t down) {
    struct block {
        logit_block at;
        std::size_t queries, keys;
    };
    std::vector<block> blocks;
    for (std::size_t a = 0; a < across; ++a) {
        for (std::size_t d = 0; d < down; ++d) {
            const std::size_t q = a * p.batch / across, k = d * p.count / down;
            blocks.push_back({{q, k}, (a + 1) * p.batch / across - q, (d + 1) * p.count / down - k});
        }
    }
    const auto each = [&](auto&& body) {
        for (const block& b : blocks) {
            body(p.queries().slice(b.at.first_query, b.queries), p.keys().slice(b.at.first_key, b.keys),
                 input(p.log_q).slice(b.at.first_key, b.keys), b.at);
        }
    };
    contrastive_sums all = p.identity();
    each([&](auto q, auto k, auto log_q, logit_block at) {
        contrastive_sums mine = p.identity();
        if (p.which == kind::sampled)
            mine.absorb(where, q, k, at, log_q);
        else
            mine.absorb(where, q, k, at);
        all.merge(from_bytes<contrastive_sums>(to_bytes(mine)));
    });
    result<T> out;
    const mean_value m = all.finish();
    out.loss = m.sum();
    out.weight = m.weight();
    for (std::size_t i = 0; i < p.batch; ++i) out.row_lse.push_back(static_cast<T>(all.row_lse(i)));
    for (std::size_t j = 0; p.which == kind::clip && j < p.count; ++j) {
        out.column_lse.push_back(static_cast<T>(all.column_lse(j)));
    }
    out.queries.resize(p.q.size());
    out.keys.resize(p.k.size());
    each([&](auto q, auto k, auto log_q, logit_block at) {
        const contrastive_gradients<T> grads{view(out.queries, p.batch, p.depth).slice(at.first_query, q.rows()),
                                             view(out.keys, p.count, p.depth).slice(at.first_key, k.rows()),
                                             &out.temperature};
        if (p.which == kind::sampled)
            all.add_gradients(where, q, k, at, grads, log_q);
        else
            all.add_gradients(where, q, k, at, grads);
    });
    return out;
}

// Logits of size `largest`: each has that error, and shifts probabilities by as much; slopes are up to `slope`.
template <class T>
void check_same(const result<T>& got, const result<T>& want, std::size_t depth, double largest, double slope) {
    const double rows = want.weight;
    const tolerance logit = reduction<T>(4 * depth + 64).of(largest);
    CHECK_NEAR(got.loss, want.loss, logit.of(largest * rows));
    CHECK(got.weight == want.weight);
    CHECK_ALL_NEAR(got.row_lse, want.row_lse, logit);
    CHECK_ALL_NEAR(got.column_lse, want.column_lse, logit);
    CHECK_ALL_NEAR(got.queries, want.queries, logit.of(largest * slope));
    CHECK_ALL_NEAR(got.keys, want.keys, logit.of(largest * slope * 2.0));
    CHECK_NEAR(got.temperature, want.temperature, logit.of(largest * largest * rows * 10.0));
}

constexpr std::size_t cuts[][2] = {{1, 1}, {2, 1}, {4, 1}, {7, 1}, {1, 2}, {1, 4}, {1, 7}, {3, 2}};

TEST_CASE("contrastive_sums: any blocks give the loss and gradients of one machine") {
    for (const kind which : {kind::nce, kind::sampled, kind::clip}) {
        for (const double length : {1.0, 3.0, 30.0}) {
            const auto p = make<double>(which, 110, 131, 5, length);
            const auto want = whole(p);
            for (const auto& cut : cuts) {
                CAPTURE(static_cast<int>(which));
                CAPTURE(length);
                CAPTURE(cut[0]);
                CAPTURE(cut[1]);
                // Norms of such rows are at most three times their length.
                check_same(sharded(serial, p, cut[0], cut[1]), want, 5, 10.0 + 90.0 * length * length, 30.0 * length);
            }
        }
    }
}

TEST_CASE("contrastive_sums: float, other similarities, blocks of very different size") {
    for (const kind which : {kind::nce, kind::sampled, kind::clip}) {
        for (const similarity metric : {similarity::dot, similarity::cosine, similarity::squared_distance}) {
            CAPTURE(static_cast<int>(which));
            CAPTURE(static_cast<int>(metric));
            const auto p = make<float>(which, 50, 1200, 4, 1.0, metric);
            // Norms of up to 3 at temperature 0.1: |s| up to 9, 1 and 36, slopes up to twice the longest distance.
            const double largest = metric == similarity::cosine ? 10.0 : metric == similarity::dot ? 90.0 : 360.0;
            check_same(sharded(serial, p, 2, 3), whole(p), 4, 10.0 + largest,
                       metric == similarity::squared_distance ? 120.0 : 30.0);
        }
        // Only the last keys have logits that are not moderate.
        auto p = make<double>(which, 40, 60, 4, 1.0);
        for (std::size_t i = p.k.size() / 2; i < p.k.size(); ++i) p.k[i] *= 50.0;
        check_same(sharded(serial, p, 1, 4), whole(p), 4, 10.0 + 90.0 * 50.0, 30.0 * 50.0);
        check_same(sharded(serial, p, 2, 2), whole(p), 4, 10.0 + 90.0 * 50.0, 30.0 * 50.0);
    }
}

TEST_CASE("contrastive_sums: PyTorch, in 2, 4 and 7 shards") {
    const fixture data("contrastive.txt");
    for (const std::string name : {"usual", "tile", "equal", "logits1e4"}) {
        const auto shape = data.as<double>(name + ".shape");
        for (const kind which : {kind::nce, kind::clip}) {
            problem<double> p{which, static_cast<std::size_t>(shape[0]), static_cast<std::size_t>(shape[1]),
                              static_cast<std::size_t>(shape[2])};
            p.temperature = data.value(name + ".t");
            p.q = data[name + ".q"];
            p.k = data[name + ".k"];
            const std::string of = name + (which == kind::nce ? ".nce" : ".clip");
            double largest = 1.0;
            for (const double x : data[name + ".nce.lse"]) largest = std::fmax(largest, std::fabs(x));
            for (const std::size_t shards : {2u, 4u, 7u}) {
                CAPTURE(of);
                CAPTURE(shards);
                const auto got = which == kind::nce ? sharded(serial, p, 1, shards) : sharded(serial, p, shards, 1);
                const double size = largest * shape[0] * 8.0 / p.temperature;
                const tolerance bound = reduction(128).of(size);
                CHECK_NEAR(got.loss, data.value(of + ".loss"), bound);
                CHECK_ALL_NEAR(got.queries, data[of + ".dq"], bound);
                CHECK_ALL_NEAR(got.keys, data[of + ".dk"], bound);
                CHECK_NEAR(got.temperature, data.value(of + ".dt"), bound.of(size * largest / p.temperature));
            }
        }
    }
}

TEST_CASE("info_nce: shards of queries by first_positive, each against all keys") {
    const auto p = make<double>(kind::nce, 110, 131, 5, 1.0);
    const auto want = whole(p);
    for (const std::size_t shards : {2u, 4u, 7u}) {
        result<double> got;
        got.row_lse.resize(p.batch);
        got.queries.resize(p.q.size());
        got.keys.resize(p.k.size());
        mean_value loss;
        for (std::size_t s = 0; s < shards; ++s) {
            const std::size_t first = s * p.batch / shards, count = (s + 1) * p.batch / shards - first;
            loss.merge(info_nce(
                serial, p.queries().slice(first, count), p.keys(), view(got.row_lse).slice(first, count),
                {p.temperature, p.metric, p.first_positive + first},
                {view(got.queries, p.batch, 5).slice(first, count), view(got.keys, p.count, 5), &got.temperature}));
        }
        got.loss = loss.sum();
        got.weight = loss.weight();
        check_same(got, want, 5, 100.0, 30.0);
    }
}

// What check_merge() cuts: queries, against all keys.
struct query_rows {
    const problem<double>* all;
    std::size_t first, count;
    std::size_t size() const noexcept { return count; }
    query_rows slice(std::size_t from, std::size_t rows) const noexcept { return {all, first + from, rows}; }
};
struct folded {
    contrastive_sums sums;
    void absorb(const query_rows& rows) {
        sums.absorb(serial, rows.all->queries().slice(rows.first, rows.count), rows.all->keys(), {rows.first, 0});
    }
    void merge(const folded& other) { sums.merge(other.sums); }
};

TEST_CASE("contrastive_sums: merges in any split and order") {
    for (const double length : {1.0, 30.0}) {
        const auto p = make<double>(kind::clip, 23, 23, 3, length);
        const tolerance bound = reduction(64).of(10.0 + 90.0 * length * length);
        const auto same = [&](const folded& a, const folded& b) {
            bool all = a.sums.complete() == b.sums.complete();
            if (a.sums.complete()) all = all && near(a.sums.finish().sum(), b.sums.finish().sum(), bound).ok;
            for (std::size_t i = 0; i < p.batch; ++i) {
                all = all && near(a.sums.row_lse(i), b.sums.row_lse(i), bound).ok &&
                      near(a.sums.column_lse(i), b.sums.column_lse(i), bound).ok;
            }
            return all;
        };
        CHECK_LAW(testing::check_merge(folded{p.identity()}, query_rows{&p, 0, p.batch}, same));
    }
}

TEST_CASE("contrastive_sums: the same bits for any number of threads") {
    exec::pool two(2), three(3);
    for (const kind which : {kind::sampled, kind::clip}) {
        for (const double length : {1.0, 30.0}) {
            const auto p = make<float>(which, 1100, 1100, 4, length);
            const auto want = sharded(serial, p, 2, 1);
            CHECK(sharded(exec::host{two}, p, 2, 1) == want);
            CHECK(sharded(exec::host{three}, p, 2, 1) == want);
        }
    }
}

TEST_CASE("contrastive_sums: a NaN stays in its row, its column and the gradients of all keys") {
    auto p = make<double>(kind::nce, 12, 20, 3, 1.0);
    p.q[3 * 5] = std::numeric_limits<double>::quiet_NaN();
    const auto got = sharded(serial, p, 2, 2);
    CHECK(std::isnan(got.loss));
    for (std::size_t i = 0; i < p.batch; ++i) {
        CHECK(std::isnan(got.row_lse[i]) == (i == 5));
        CHECK(std::isnan(got.queries[3 * i]) == (i == 5));
    }
    for (const double x : got.keys) CHECK(std::isnan(x));
}

TEST_CASE("contrastive_sums: bytes") {
    for (const kind which : {kind::nce, kind::clip}) {
        const auto p = make<double>(which, 3, 4, 2, 1.0);
        contrastive_sums state = p.identity();
        state.absorb(serial, p.queries(), p.keys());
        const auto usable = [&](const contrastive_sums& s) {
            contrastive_sums twice(s.options());
            twice.merge(s);
            if (!s.complete()) return !twice.complete();
            return twice.finish().weight() == static_cast<double>(s.options().queries);
        };
        CHECK_LAW(testing::check_bytes(state, usable));
        CHECK(from_bytes<contrastive_sums>(to_bytes(state)).finish().sum() == state.finish().sum());
    }
}

TEST_CASE("contrastive_sums: bad input") {
    CHECK_THROWS_WITH_AS(contrastive_sums({.queries = 3, .keys = 4, .first_positive = 2}),
                         "contrastive_sums: keys must be at least first_positive + queries, got 3 queries, 4 keys, "
                         "first_positive 2, symmetric off, temperature 0.05",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(contrastive_sums({.queries = 3, .keys = 4, .symmetric = true}),
                         "contrastive_sums: symmetric needs as many keys as queries, got 3 queries, 4 keys, "
                         "first_positive 0, symmetric on, temperature 0.05",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(contrastive_sums({.queries = 3, .keys = 4, .temperature = 0.0}),
                         "contrastive_sums: temperature must be positive and finite, got 3 queries, 4 keys, "
                         "first_positive 0, symmetric off, temperature 0",
                         std::invalid_argument);

    const auto p = make<double>(kind::clip, 4, 4, 2, 1.0);
    contrastive_sums state = p.identity();
    const auto half = p.queries().slice(0, 2);
    CHECK_THROWS_WITH_AS(state.absorb(serial, half, p.keys(), {3, 0}), "contrastive_sums: queries 3 to 5 of 4",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(state.absorb(serial, half, p.keys(), {0, 1}), "contrastive_sums: keys 1 to 5 of 4",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(state.absorb(serial, half, p.keys(), {}, p.log_q),
                         "contrastive_sums: log_q in a symmetric loss", std::invalid_argument);
    state.absorb(serial, half, p.keys());
    CHECK_THROWS_WITH_AS(state.finish(), "contrastive_sums: only 8 of 16 logits were absorbed", std::invalid_argument);
    CHECK_THROWS_AS(state.add_gradients(serial, half, p.keys(), {}, {}), std::invalid_argument);
    CHECK_THROWS_WITH_AS(state.absorb(serial, p.queries(), p.keys()),
                         "contrastive_sums: more logits than there are: 16 more after 8 of 16", std::invalid_argument);
    auto warmer = p;
    warmer.temperature = 0.2;
    CHECK_THROWS_WITH_AS(state.merge(warmer.identity()), "contrastive_sums::merge: the states differ in temperature",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(contrastive_sums({.queries = 3, .keys = 4}).merge(contrastive_sums({.queries = 3, .keys = 5})),
                         "contrastive_sums::merge: the states differ in keys", std::invalid_argument);
    CHECK(std::isnan(contrastive_sums({}).finish().finish()));
}

TEST_CASE("page losses: contrastive_sums") {
    const std::size_t batch = 24, width = 4, half = batch / 2;
    const auto p = make<float>(kind::clip, batch, batch, width, 0.3);
    std::vector<float> gradients(4 * half * width);
    const contrastive_sums_options whole_batch{.queries = batch, .keys = batch, .symmetric = true, .temperature = 0.1};
    contrastive_sums other(whole_batch);
    other.absorb(serial, p.queries().slice(half, half), p.keys(), {.first_query = half});
    const auto arrived = to_bytes(other);
    const auto queries = p.queries().slice(0, half);
    const auto keys = p.keys();
    const std::size_t first = 0;
    const matrix_view<float> query_gradient(gradients.data(), half, width);
    const matrix_view<float> key_gradient(gradients.data() + half * width, batch, width);
    // snippet: contrastive_sums
    // Each machine: its own queries, which begin at `first`, against the keys of all machines.
    reckon::contrastive_sums sums({.queries = batch, .keys = batch, .symmetric = true, .temperature = 0.1});
    sums.absorb(serial, queries, keys, {.first_query = first});
    // to_bytes(sums) goes to the others; what arrives from them is merged.
    sums.merge(reckon::from_bytes<reckon::contrastive_sums>(arrived));
    const double loss = sums.finish().finish();  // nats per pair of the whole batch
    // Its share of the gradients: the queries' are complete, the keys' add up over machines.
    sums.add_gradients(serial, queries, keys, {.first_query = first},
                       {.queries = query_gradient, .keys = key_gradient, .scale = 1.0 / batch});
    // end snippet
    const auto want = whole(p);
    CHECK_NEAR(loss, want.loss / batch, reduction<float>(64));
    CHECK_NEAR(query_gradient(3, 1), static_cast<double>(want.queries[3 * width + 1]) / batch,
               reduction<float>(64).of(1.0));
}

contrastive_sums golden_object() {
    const std::vector<double> q{1, 0, 0, 1, 1, 1}, k{1, 0.5, 0, 1, -1, 1};
    contrastive_sums state({.queries = 3, .keys = 3, .symmetric = true, .temperature = 0.5});
    state.absorb(serial, view(q, 3, 2), view(k, 3, 2));
    return state;
}
std::vector<double> golden_answers(const contrastive_sums& s) {
    return {s.finish().sum(), s.row_lse(0), s.column_lse(2), static_cast<double>(s.options().keys),
            s.options().temperature};
}
TEST_CASE("golden: contrastive_sums") {
    check_golden("contrastive_sums", golden_object(), golden_answers);
}
TEST_CASE("golden: write contrastive_sums" * doctest::skip()) {
    write_golden("contrastive_sums", golden_object());
}

}  // namespace
