// The gradient cache: weights of a linear encoder get the gradient of the whole batch from micro-batches of any size.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include "reckon/losses/clip_loss.hpp"
#include "reckon/losses/gradient_cache.hpp"
#include "reckon/losses/info_nce.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;
using rows = matrix_view<const double>;

constexpr std::size_t features = 6, depth = 4;

// x W for rows first .. first + count - 1, and what the backward pass adds to W.
std::vector<double> encode(const std::vector<double>& x, const std::vector<double>& w, std::size_t first,
                           std::size_t count) {
    std::vector<double> out(count * depth);
    for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t f = 0; f < features; ++f) {
            for (std::size_t d = 0; d < depth; ++d) {
                out[i * depth + d] += x[(first + i) * features + f] * w[f * depth + d];
            }
        }
    }
    return out;
}
void backward(const std::vector<double>& x, rows gradient, std::size_t first, std::vector<double>& dw) {
    for (std::size_t i = 0; i < gradient.rows(); ++i) {
        for (std::size_t f = 0; f < features; ++f) {
            for (std::size_t d = 0; d < depth; ++d) dw[f * depth + d] += x[(first + i) * features + f] * gradient(i, d);
        }
    }
}

template <class Loss>
void check_any_cut(std::size_t queries, std::size_t keys, Loss&& loss) {
    const auto x = random_normal<double>(queries * features, 0.0, 0.4, 1);
    const auto y = random_normal<double>(keys * features, 0.0, 0.4, 2);
    const auto w = random_normal<double>(features * depth, 0.0, 0.4, 3);

    const auto q = encode(x, w, 0, queries), k = encode(y, w, 0, keys);
    std::vector<double> dq(q.size()), dk(k.size()), want(w.size());
    double temperature = 0.0;
    const mean_value whole =
        loss(view(q, queries, depth), view(k, keys, depth),
             contrastive_gradients<double>{view(dq, queries, depth), view(dk, keys, depth), &temperature, 0.5});
    backward(x, view(dq, queries, depth), 0, want);
    backward(y, view(dk, keys, depth), 0, want);

    gradient_cache<double> cache(queries, keys, depth);
    for (const std::size_t micro : {std::size_t{1}, std::size_t{3}, std::size_t{7}, keys}) {
        CAPTURE(micro);
        cache.clear();
        const auto each = [&](std::size_t all, auto&& body) {
            for (std::size_t first = 0; first < all; first += micro) body(first, (std::min)(micro, all - first));
        };
        each(queries, [&](std::size_t first, std::size_t count) {
            const auto some = encode(x, w, first, count);
            cache.put_queries(first, view(some, count, depth));
        });
        each(keys, [&](std::size_t first, std::size_t count) {
            const auto some = encode(y, w, first, count);
            cache.put_keys(first, view(some, count, depth));
        });
        const mean_value got = cache.run(loss, 0.5);
        CHECK(got.sum() == whole.sum());
        CHECK(cache.temperature_gradient() == temperature);
        std::vector<double> dw(w.size());
        each(queries,
             [&](std::size_t first, std::size_t count) { backward(x, cache.query_gradient(first, count), first, dw); });
        each(keys,
             [&](std::size_t first, std::size_t count) { backward(y, cache.key_gradient(first, count), first, dw); });
        CHECK_ALL_NEAR(dw, want, reduction(queries + keys).of(40.0));
    }
}

TEST_CASE("gradient_cache: micro-batches of any size give the gradient of the whole batch") {
    check_any_cut(20, 33, [](rows q, rows k, const contrastive_gradients<double>& grads) {
        std::vector<double> lse(q.rows());
        return info_nce(serial, q, k, lse, {.temperature = 0.2}, grads);
    });
    check_any_cut(20, 20, [](rows q, rows k, const contrastive_gradients<double>& grads) {
        std::vector<double> row_lse(q.rows()), column_lse(q.rows());
        return clip_loss(serial, q, k, row_lse, column_lse, {.temperature = 0.2}, grads);
    });
}

TEST_CASE("page losses: gradient_cache") {
    const std::size_t batch = 12, micro = 4;
    const auto x = random_normal<double>(batch * features, 0.0, 0.4, 1),
               y = random_normal<double>(batch * features, 0.0, 0.4, 2);
    const auto w = random_normal<double>(features * depth, 0.0, 0.4, 3);
    std::vector<double> dw(w.size()), row_lse(batch);
    const auto embed = [&](const std::vector<double>& rows_of, std::size_t first) {
        return encode(rows_of, w, first, micro);
    };
    const auto back = [&](const std::vector<double>& rows_of, rows gradient, std::size_t first) {
        backward(rows_of, gradient, first, dw);
    };
    // snippet: gradient_cache
    reckon::gradient_cache<double> cache(batch, batch, depth);
    for (std::size_t first = 0; first < batch; first += micro) {
        const auto q = embed(x, first), k = embed(y, first);  // without keeping what a backward pass needs
        cache.put_queries(first, reckon::view(q, micro, depth));
        cache.put_keys(first, reckon::view(k, micro, depth));
    }
    const auto loss =
        cache.run([&](auto q, auto k, const auto& grads) { return reckon::info_nce(serial, q, k, row_lse, {}, grads); },
                  1.0 / batch);  // gradients of the mean
    for (std::size_t first = 0; first < batch; first += micro) {
        back(x, cache.query_gradient(first, micro), first);  // encodes again, and goes back
        back(y, cache.key_gradient(first, micro), first);
    }
    // end snippet
    CHECK(loss.weight() == 12.0);
    double total = 0.0;
    for (const double g : dw) total += std::fabs(g);
    CHECK(total > 0.0);
}

TEST_CASE("gradient_cache: the wrong order") {
    const std::vector<float> four(4), six(6);
    gradient_cache<float> cache(3, 2, 2);
    const auto nothing = [](matrix_view<const float>, matrix_view<const float>, const contrastive_gradients<float>&) {
        return 0;
    };
    const auto two_rows = view(four, 2, 2);
    CHECK_THROWS_WITH_AS(cache.run(nothing), "gradient_cache: 3 of 3 queries are missing", std::invalid_argument);
    cache.put_queries(1, two_rows);
    CHECK_THROWS_WITH_AS(cache.put_queries(0, two_rows), "gradient_cache: queries 1 a second time",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(cache.put_queries(2, two_rows), "gradient_cache: queries 2 to 4 of 3", std::invalid_argument);
    CHECK_THROWS_WITH_AS(cache.put_keys(0, view(six, 2, 3)), "gradient_cache: keys have 3 columns, not 2",
                         std::invalid_argument);
    cache.put_queries(0, two_rows.slice(0, 1));
    CHECK_THROWS_WITH_AS(cache.run(nothing), "gradient_cache: 2 of 2 keys are missing", std::invalid_argument);
    cache.put_keys(0, two_rows);
    CHECK_THROWS_WITH_AS(cache.query_gradient(0, 3), "gradient_cache: gradients before run()", std::invalid_argument);
    CHECK_THROWS_WITH_AS(cache.temperature_gradient(), "gradient_cache: gradients before run()", std::invalid_argument);
    CHECK(cache.run(nothing) == 0);
    CHECK_THROWS_WITH_AS(cache.run(nothing), "gradient_cache: run() a second time without clear()",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(cache.put_keys(0, two_rows), "gradient_cache: new rows after run() without clear()",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(cache.key_gradient(1, 2), "gradient_cache: keys 1 to 3 of 2", std::invalid_argument);
    CHECK(cache.key_gradient(0, 2)(1, 1) == 0.0f);
    cache.clear();
    CHECK_THROWS_WITH_AS(cache.key_gradient(0, 2), "gradient_cache: gradients before run()", std::invalid_argument);
}

}  // namespace
