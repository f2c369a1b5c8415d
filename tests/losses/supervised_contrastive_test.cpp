// Supervised contrastive loss: worked example, PyTorch, plain loops in double, gradients, invariances, threads,
// scratch, extremes.
#include "reckon/losses/supervised_contrastive.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;
using ids = std::vector<std::uint32_t>;

constexpr supcon_form forms[] = {supcon_form::out, supcon_form::in};
constexpr similarity dot = similarity::dot, distance = similarity::squared_distance;
struct way {
    supcon_form form;
    similarity metric;
    constexpr way(supcon_form which, similarity how = dot) : form(which), metric(how) {}
};
constexpr way ways[] = {
    {supcon_form::out, dot}, {supcon_form::in, dot}, {supcon_form::out, distance}, {supcon_form::in, distance}};

template <class T>
struct result {
    double loss = 0.0, weight = 0.0, temperature = 0.0;
    std::vector<T> lse, rows;
    bool operator==(const result&) const = default;
};

// The loss with everything that it writes.
template <class T, class Policy>
result<T> run(way how, const Policy& where, const std::vector<T>& z, const ids& labels, double t, double scale = 1.0) {
    const std::size_t n = labels.size(), depth = n == 0 ? 0 : z.size() / n;
    result<T> out;
    out.lse.resize(n);
    out.rows.resize(z.size());
    const mean_value m = supervised_contrastive(where, view(z, n, depth), labels, out.lse, {t, how.form, how.metric},
                                                {view(out.rows, n, depth), &out.temperature, scale});
    out.loss = m.sum();
    out.weight = m.weight();
    return out;
}

// The definitions, in double.
template <class T>
result<double> reference(way how, const std::vector<T>& z, const ids& labels, double t) {
    const supcon_form form = how.form;
    const bool products = how.metric == dot;
    const std::size_t n = labels.size(), depth = z.size() / n;
    result<double> out;
    out.rows.resize(z.size());
    std::vector<double> logits(n * n);
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            double sum = 0.0;
            for (std::size_t d = 0; d < depth; ++d) {
                const double a = static_cast<double>(z[i * depth + d]), b = static_cast<double>(z[j * depth + d]);
                sum += products ? a * b : -(a - b) * (a - b);
            }
            logits[i * n + j] = logits[j * n + i] = sum / t;
        }
    }
    for (std::size_t i = 0; i < n; ++i) {
        const double* const s = logits.data() + i * n;
        // Log-sum-exp over the other rows, of the own class alone if so wanted.
        const auto log_sum = [&](bool within) {
            double top = -HUGE_VAL, sum = 0.0;
            const auto counts = [&](std::size_t j) { return j != i && (!within || labels[j] == labels[i]); };
            for (std::size_t j = 0; j < n; ++j) top = counts(j) ? std::fmax(top, s[j]) : top;
            for (std::size_t j = 0; j < n; ++j) sum += counts(j) ? std::exp(s[j] - top) : 0.0;
            return sum == 0.0 ? -HUGE_VAL : top + std::log(sum);
        };
        const double all = log_sum(false), own = log_sum(true);
        out.lse.push_back(all);
        double positives = 0.0, mean = 0.0;
        for (std::size_t j = 0; j < n; ++j) {
            if (j == i || labels[j] != labels[i]) continue;
            positives += 1.0;
            mean += s[j];
        }
        if (positives == 0.0) continue;
        out.weight += 1.0;
        out.loss += all - (form == supcon_form::out ? mean / positives : own - std::log(positives));
        for (std::size_t j = 0; j < n; ++j) {
            if (j == i) continue;
            double slope = std::exp(s[j] - all);
            if (labels[j] == labels[i]) slope -= form == supcon_form::out ? 1.0 / positives : std::exp(s[j] - own);
            out.temperature -= slope * s[j] / t;
            for (std::size_t d = 0; d < depth; ++d) {
                const double a = static_cast<double>(z[i * depth + d]), b = static_cast<double>(z[j * depth + d]);
                out.rows[i * depth + d] += slope * (products ? b : 2.0 * (b - a)) / t;
                out.rows[j * depth + d] += slope * (products ? a : 2.0 * (a - b)) / t;
            }
        }
    }
    return out;
}

ids random_labels(std::size_t n, std::uint64_t classes, std::uint64_t seed = 3) {
    return random_integers<std::uint32_t>(n, classes, seed);
}

TEST_CASE("supervised_contrastive: worked example") {
    // Rows 0 and 1 are alike, row 2 of the same class and row 3, a class of its own, are orthogonal to them. With
    // t = 1/2 a logit is 2 or 0.
    const std::vector<double> z{1, 0, 1, 0, 0, 1, 0, 1};
    const ids labels{7, 7, 7, 9};
    const double one = std::log(std::exp(2.0) + 2.0), far = std::log(std::exp(2.0) + 2.0);
    const auto out = run(supcon_form::out, serial, z, labels, 0.5, 3.0);
    CHECK(out.weight == 3.0);
    CHECK_ALL_NEAR(out.lse, (std::vector<double>{one, one, far, far}), reduction(4));
    CHECK_NEAR(out.loss, (one - 1.0) + (one - 1.0) + (far - 0.0), reduction(8));
    const auto in = run(supcon_form::in, serial, z, labels, 0.5);
    CHECK_NEAR(in.loss, 2.0 * (one - std::log((std::exp(2.0) + 1.0) / 2.0)) + far, reduction(8));
    // Row 3 is no anchor, but pushes: p of row 3 in the sums of rows 0 to 2, each times its row over t, and the
    // scale.
    const double p = 1.0 / (std::exp(2.0) + 2.0);
    CHECK_NEAR(out.rows[6], 3.0 * 2.0 * 2.0 * p, reduction(8).of(12.0));
    CHECK_NEAR(out.rows[7], 3.0 * 2.0 * std::exp(2.0) * p, reduction(8).of(12.0));
}

TEST_CASE("supervised_contrastive: worked example with distances") {
    // On a line at 0, 1 and 3; with t = 2 the logits are -1/2, -2 and -9/2.
    const std::vector<double> z{0, 1, 3};
    const ids labels{4, 4, 6};
    const double a = std::exp(-0.5), b = std::exp(-4.5), c = std::exp(-2.0);
    const std::vector<double> sums{a + b, a + c, b + c};
    for (const supcon_form form : forms) {
        const auto got = run({form, distance}, serial, z, labels, 2.0, 3.0);
        CHECK(got.weight == 2.0);
        CHECK_ALL_NEAR(got.lse, (std::vector<double>{std::log(sums[0]), std::log(sums[1]), std::log(sums[2])}),
                       reduction(4).of(5.0));
        CHECK_NEAR(got.loss, std::log(sums[0]) + std::log(sums[1]) + 1.0, reduction(8).of(5.0));
        // By row 2: it is pushed from 0 by b / sums[0], from 1 by c / sums[1]; a distance has the slope -2 (3 - x) / t.
        CHECK_NEAR(got.rows[2], -3.0 * (3.0 * b / sums[0] + 2.0 * c / sums[1]), reduction(8).of(9.0));
        CHECK_NEAR(got.rows[0] + got.rows[1] + got.rows[2], 0.0, reduction(8).of(9.0));
        // Logits are distances over t, so that the slope by t is -logit / t times that by the logit.
        const double by_near = a / sums[0] + a / sums[1] - 2.0;
        CHECK_NEAR(got.temperature, 1.5 * (0.5 * by_near + 4.5 * b / sums[0] + 2.0 * c / sums[1]),
                   reduction(8).of(9.0));
    }
}

TEST_CASE("supervised_contrastive: the code of docs/kernels/losses.md") {
    const std::size_t n = 40, width = 8;
    const auto values = unit_rows<float>(n, width, 1);
    const ids labels = random_labels(n, 5);
    std::vector<float> slopes(n * width);
    // snippet: supervised_contrastive
    std::vector<float> row_lse(n);
    const auto loss = reckon::supervised_contrastive(reckon::exec::serial, reckon::view(values, n, width), labels,
                                                     row_lse, {.temperature = 0.1, .form = reckon::supcon_form::out},
                                                     {.rows = reckon::view(slopes, n, width), .scale = 1.0 / n});
    // end snippet
    CHECK_NEAR(loss.sum(), reference(supcon_form::out, values, labels, 0.1).loss,
               logit_error<float>(width, 10.0).of(400.0));
    CHECK(slopes[0] != 0.0f);
}

TEST_CASE("supervised_contrastive: PyTorch") {
    const fixture data("supervised_contrastive.txt");
    for (const std::string name : {"usual", "singletons", "pairs", "same", "different", "logits80", "logits1e4",
                                   "narrow", "one", "two", "tiles"}) {
        CAPTURE(name);
        const double rows = data[name + ".shape"][0], depth = data[name + ".shape"][1];
        const double t = data.value(name + ".t");
        const auto z = data.as<double>(name + ".z");
        const auto labels = data.as<std::uint32_t>(name + ".labels");
        for (const similarity metric : {dot, distance}) {
            const std::string with = name + (metric == dot ? "" : ".far");
            double largest = 1.0;
            for (const double x : data[with + ".lse"]) {
                if (std::isfinite(x)) largest = std::fmax(largest, std::fabs(x));
            }
            // A sum is about the least distance, errors come with the longest rows.
            for (const double x : z) largest = std::fmax(largest, metric == distance ? 4.0 * depth * x * x / t : 0.0);
            for (const supcon_form form : forms) {
                const std::string want = with + (form == supcon_form::out ? ".out" : ".in");
                CAPTURE(want);
                const auto got = run({form, metric}, serial, z, labels, t);
                const tolerance bound = logit_error<double>(64, largest * rows * 8.0 / t);
                CHECK(got.weight == data.value(name + ".count"));
                CHECK_ALL_NEAR(got.lse, data[with + ".lse"], bound);
                CHECK_NEAR(got.loss, data.value(want + ".loss"), bound);
                CHECK_ALL_NEAR(got.rows, data[want + ".dz"], bound);
                CHECK_NEAR(got.temperature, data.value(want + ".dt"), bound.of(largest * rows * 8.0 / (t * t)));
            }
        }
    }
}

// Sizes around the tile, the block of 96 rows and the span of 256 columns.
struct shape {
    std::size_t n, depth;
    std::uint64_t classes;
};
constexpr shape shapes[] = {{1, 3, 1},   {2, 1, 1},   {5, 2, 2},    {7, 5, 7},     {17, 16, 3},  {33, 1025, 4},
                            {95, 8, 10}, {96, 3, 96}, {97, 31, 40}, {193, 17, 10}, {359, 6, 300}};

TEST_CASE_TEMPLATE("supervised_contrastive: against the definition", T, float, double) {
    for (const shape& s : shapes) {
        const ids labels = random_labels(s.n, s.classes);
        // At temperature 0.05 logits of up to 20, 97 (no longer moderate) and 8000; for distances four times that, so
        // that those of the least length are moderate.
        for (const double length : {0.8, 1.0, 2.2, 20.0}) {
            const auto z = unit_rows<T>(s.n, s.depth, 1, length);
            for (const way& how : ways) {
                CAPTURE(s.n);
                CAPTURE(s.depth);
                CAPTURE(length);
                CAPTURE(static_cast<int>(how.form));
                CAPTURE(static_cast<int>(how.metric));
                const auto got = run(how, serial, z, labels, 0.05);
                const auto want = reference(how, z, labels, 0.05);
                const double size = how.metric == dot ? length : 2.0 * length, largest = 20.0 * size * size;
                const double rows = static_cast<double>(s.n);
                // An error of a logit shifts a probability by as much, and a gradient by that times length / t.
                const tolerance logit = logit_error<T>(s.depth, largest);
                CHECK(got.weight == want.weight);
                CHECK_ALL_NEAR(got.lse, want.lse, logit);
                CHECK_NEAR(got.loss, want.loss, logit.of(largest * rows));
                CHECK_ALL_NEAR(got.rows, want.rows, logit.of(2.0 * largest * 20.0 * size));
                CHECK_NEAR(got.temperature, want.temperature, logit.of(largest * largest * 20.0 * rows));
            }
        }
    }
}

// The bounds above leave room for long rows; these are relative to the results, or to a logit where those cancel.
TEST_CASE("supervised_contrastive: floats of unit rows against doubles") {
    for (const shape& s : shapes) {
        if (s.n == 1) continue;
        const ids labels = random_labels(s.n, s.classes);
        const auto z = unit_rows<float>(s.n, s.depth, 1);
        for (const way& how : ways) {
            CAPTURE(s.n);
            CAPTURE(s.depth);
            CAPTURE(static_cast<int>(how.metric));
            const double t = how.metric == dot ? 0.05 : 0.2;
            const auto got = run(how, serial, z, labels, t);
            const auto want = run(how, serial, std::vector<double>(z.begin(), z.end()), labels, t);
            double largest = 0.0;
            for (const double x : want.rows) largest = std::fmax(largest, std::fabs(x));
            const tolerance bound = reduction<float>(100);
            CHECK_ALL_NEAR(got.rows, want.rows, bound.of(1.0 + largest));
            CHECK_NEAR(got.loss, want.loss, bound.of(20.0 + want.loss));
            CHECK_NEAR(got.temperature, want.temperature, bound.of(20.0 / t + std::fabs(want.temperature)));
        }
    }
}

TEST_CASE("supervised_contrastive: a class of more rows than a span, beyond 1024 columns") {
    const std::size_t n = 1101, depth = 4;
    ids labels(n, 5);
    for (std::size_t i = 0; i < n; i += 3) labels[i] = static_cast<std::uint32_t>(i);
    for (const double length : {1.0, 4.0}) {
        const auto z = unit_rows<float>(n, depth, 2, length);
        for (const way& how : ways) {
            CAPTURE(length);
            CAPTURE(static_cast<int>(how.metric));
            const auto got = run(how, serial, z, labels, 0.1);
            const auto want = reference(how, z, labels, 0.1);
            const double size = how.metric == dot ? length : 2.0 * length;
            const tolerance logit = logit_error<float>(depth, 10.0 * size * size);
            CHECK(got.weight == want.weight);
            CHECK_ALL_NEAR(got.lse, want.lse, logit);
            CHECK_NEAR(got.loss, want.loss, logit.of(10.0 * size * size * n));
            CHECK_ALL_NEAR(got.rows, want.rows, logit.of(10.0 * size * size * 20.0 * size));
        }
    }
}

TEST_CASE("supervised_contrastive: gradients against central differences") {
    const std::size_t n = 11, depth = 3;
    const ids labels{0, 1, 0, 2, 1, 0, 5, 5, 1, 9, 0};
    const auto start = random_normal<double>(n * depth, 0.0, 0.5, 4);
    for (const way& how : ways) {
        // The last place is the temperature.
        const auto split = [&](vector_view<const double> x) {
            return std::vector<double>(x.begin(), x.begin() + n * depth);
        };
        const auto value = [&](vector_view<const double> x) {
            return run(how, serial, split(x), labels, x[n * depth]).loss;
        };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            const auto got = run(how, serial, split(x), labels, x[n * depth]);
            for (std::size_t i = 0; i < n * depth; ++i) out[i] += got.rows[i];
            out[n * depth] += got.temperature;
        };
        auto point = start;
        point.push_back(0.3);
        CHECK_LAW(testing::check_gradient(value, gradient, point));
    }
}

TEST_CASE("supervised_contrastive: cosines are dot products of unit rows, with the gradient through the lengths") {
    const std::size_t n = 130, depth = 5;
    const auto z = unit_rows<double>(n, depth, 41);
    const ids labels = random_labels(n, 9);
    for (const supcon_form form : forms) {
        auto stretched = z;
        for (std::size_t i = 0; i < stretched.size(); ++i) stretched[i] *= static_cast<double>(1 + i / depth % 7);
        const auto want = run(form, serial, z, labels, 0.1);
        const auto got = run({form, similarity::cosine}, serial, stretched, labels, 0.1);
        CHECK_NEAR(got.loss, want.loss, reduction(n).of(20.0 * n));
        CHECK_ALL_NEAR(got.lse, want.lse, reduction(n).of(20.0));
        CHECK_NEAR(got.temperature, want.temperature, reduction(n).of(1000.0 * n));

        const auto start = random_normal<double>(11 * 3, 0.0, 0.5, 42);
        const ids few{0, 1, 0, 2, 1, 0, 5, 5, 1, 9, 0};
        const auto at = [&](vector_view<const double> x) {
            return run({form, similarity::cosine}, serial, std::vector<double>(x.begin(), x.end()), few, 0.3);
        };
        const auto value = [&](vector_view<const double> x) { return at(x).loss; };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            const auto slopes = at(x).rows;
            for (std::size_t i = 0; i < slopes.size(); ++i) out[i] += slopes[i];
        };
        CHECK_LAW(testing::check_gradient(value, gradient, start));
    }
}

TEST_CASE("supervised_contrastive: the order of rows, the names of labels and the type of labels do not matter") {
    const std::size_t n = 230, depth = 6;
    const auto z = unit_rows<double>(n, depth, 5);
    const ids labels = random_labels(n, 40);
    for (const supcon_form form : forms) {
        const auto want = run(form, serial, z, labels, 0.2);
        std::vector<double> turned(z.size());
        ids names(n);
        std::vector<std::int64_t> wide(n);
        for (std::size_t i = 0; i < n; ++i) {
            std::copy_n(z.begin() + static_cast<std::ptrdiff_t>(i * depth), depth,
                        turned.begin() + static_cast<std::ptrdiff_t>((i * 7 + 3) % n * depth));
            names[(i * 7 + 3) % n] = 4000000000u - 77777u * labels[i];
            wide[i] = -1000000007LL * static_cast<std::int64_t>(labels[i]);
        }
        const auto got = run(form, serial, turned, names, 0.2);
        CHECK_NEAR(got.loss, want.loss, reduction(n));
        CHECK(got.weight == want.weight);
        CHECK_NEAR(got.temperature, want.temperature, reduction(n).of(1e4));
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t at = (i * 7 + 3) % n;
            CHECK_NEAR(got.lse[at], want.lse[i], reduction(n));
            for (std::size_t d = 0; d < depth; ++d)
                CHECK_NEAR(got.rows[at * depth + d], want.rows[i * depth + d], reduction(n).of(20.0));
        }
        std::vector<double> lse(n);
        const mean_value m = supervised_contrastive(serial, view(z, n, depth), wide, lse, {0.2, form});
        CHECK_NEAR(m.sum(), want.loss, reduction(n));
        CHECK(lse == want.lse);
    }
}

TEST_CASE("supervised_contrastive: the same bits for any number of threads, and without gradients") {
    const std::size_t depth = 10;
    exec::pool two(2), three(3);
    for (const std::size_t n : {300u, 1300u}) {
        ids labels = random_labels(n, n / 20);
        if (n > 1000) std::fill(labels.begin(), labels.begin() + 1100, 3u);  // a class that threads share
        for (const double length : {1.0, 20.0}) {
            const auto z = unit_rows<float>(n, depth, 7, length);
            for (const way& how : ways) {
                const auto want = run(how, serial, z, labels, 0.1);
                CHECK(run(how, exec::host{two}, z, labels, 0.1) == want);
                CHECK(run(how, exec::host{three}, z, labels, 0.1) == want);
                std::vector<float> lse(n);
                const auto m = supervised_contrastive(exec::host{three}, view(z, n, depth), labels, lse,
                                                      {0.1, how.form, how.metric});
                CHECK(m.sum() == want.loss);
                CHECK(lse == want.lse);
            }
        }
    }
}

TEST_CASE("supervised_contrastive: what is not wanted stays untouched, and strides are kept") {
    const std::size_t n = 29, depth = 5;
    const auto tight = random_normal<float>(n * depth, 0.0, 0.3, 9);
    const ids labels = random_labels(n, 6);
    strided<float> rows(n, depth, 3, 1e9f);
    for (std::size_t i = 0; i < n * depth; ++i) rows.view()(i / depth, i % depth) = tight[i];
    const auto& fixed = rows;
    for (const way& how : ways) {
        const auto want = run(how, serial, tight, labels, 0.1);
        for (int wanted = 0; wanted < 4; ++wanted) {
            std::vector<float> lse(n);
            strided<float> slopes(n, depth, 3, 7.0f);
            double temperature = 5.0;
            supervised_contrastive_gradients<float> grads;
            if (wanted & 1) grads.rows = slopes.view();
            if (wanted & 2) grads.temperature = &temperature;
            const auto m =
                supervised_contrastive(serial, fixed.view(), labels, lse, {0.1, how.form, how.metric}, grads);
            CHECK(m.sum() == want.loss);
            CHECK(lse == want.lse);
            CHECK_NEAR(temperature, 5.0 + ((wanted & 2) ? want.temperature : 0.0), reduction<double>(8).of(1e4));
            CHECK(slopes.untouched());
            for (std::size_t i = 0; i < n * depth; ++i) {
                const double added = (wanted & 1) ? static_cast<double>(want.rows[i]) : 0.0;
                CHECK_NEAR(slopes.view()(i / depth, i % depth), 7.0 + added, reduction<float>(16).of(16.0));
            }
        }
    }
}

TEST_CASE("supervised_contrastive: scratch grows with the rows, not with their square") {
    const std::size_t depth = 8;
    for (const way& how : ways) {
        for (const std::size_t n : {1000u, 3000u}) {
            const auto z = unit_rows<float>(n, depth, 15);
            const ids labels = random_labels(n, 100);
            std::vector<float> lse(n), slopes(n * depth);
            const auto used = testing::count_allocations([&] {
                supervised_contrastive(serial, view(z, n, depth), labels, lse, {0.1, how.form, how.metric},
                                       {view(slopes, n, depth)});
            });
            CHECK(used.peak_bytes > 0);
            // Rows packed twice and their sums, padded to whole tiles; copies of rows and gradient for the distance;
            // per row labels, sums and losses; the window of weights.
            const std::size_t copies = how.metric == dot ? 0 : 2 * (depth + 1);
            CHECK(used.peak_bytes <=
                  n * (16 + 16 + 12 + copies) * sizeof(float) + 100 * n + 100 * 300 * sizeof(float) + 100000);
        }
    }
}

TEST_CASE("supervised_contrastive: rows without columns are all alike") {
    for (const similarity metric : {similarity::dot, similarity::squared_distance}) {
        std::vector<double> lse(5, -1.0);
        const std::vector<double> nothing;
        const matrix_view<const double> z(nothing.data(), 5, 0);
        const auto m = supervised_contrastive(serial, z, ids{1, 1, 2, 2, 2}, lse, {0.1, supcon_form::out, metric});
        CHECK_ALL_NEAR(lse, std::vector<double>(5, std::log(4.0)), reduction(4));
        CHECK_NEAR(m.sum(), 5.0 * std::log(4.0), reduction(8));
    }
}

TEST_CASE("supervised_contrastive: finite logits of any size stay finite") {
    const ids labels = random_labels(130, 20);
    for (const double size : {1e-30, 1e2, 1e8, 1e15}) {
        CAPTURE(size);
        for (const way& how : ways) {
            const auto got = run(how, serial, unit_rows<float>(130, 4, 11, size), labels, 0.05);
            CHECK(std::isfinite(got.loss));
            CHECK(std::isfinite(got.temperature));
            for (const float x : got.lse) CHECK(std::isfinite(x));
            // No probability is more than 1, since both rows of a pair see the same number: 130 others give no more
            // than their slope each, and take as much.
            for (const float x : got.rows) CHECK(std::fabs(static_cast<double>(x)) <= 2.0 * 130.0 * 4.0 * size / 0.05);
        }
    }
}

TEST_CASE("supervised_contrastive: small sums are exact to the type") {
    // Every logit is -60 nats, the least that powers are taken of as they are; neither the diagonal nor the padding
    // adds.
    const ids labels{1, 1};
    const auto got = run(supcon_form::out, serial, std::vector<double>{1.0, -1.0}, labels, 1.0 / 60.0);
    CHECK_NEAR(got.lse[0], -60.0, reduction(4));
    CHECK_NEAR(got.loss, 0.0, reduction(4).of(60.0));
    const auto single = run(supcon_form::out, serial, std::vector<float>{1.0f, -1.0f}, labels, 1.0 / 60.0);
    CHECK_NEAR(single.lse[0], -60.0, reduction<float>(4));
}

TEST_CASE("supervised_contrastive: equal rows are exactly 0 apart, wherever they are") {
    const std::size_t n = 101, depth = 7;
    const ids labels = random_labels(n, 12);
    for (const double size : {1.0, 1e9}) {
        const auto one = random_normal<float>(depth, 0.0, size, 21);
        std::vector<float> z;
        for (std::size_t i = 0; i < n; ++i) z.insert(z.end(), one.begin(), one.end());
        for (const supcon_form form : forms) {
            const auto got = run({form, distance}, serial, z, labels, 0.1);
            CHECK_NEAR(got.loss, std::log(100.0) * got.weight, reduction<float>(256));
            for (const float x : got.lse) CHECK_NEAR(x, std::log(100.0), ulp(1));
        }
    }
    // Pairs of equal rows far from the origin, many units from each other.
    const std::vector<float> pairs{1e6f, 3.0f, 1e6f, 3.0f, -1e6f, 7e5f, -1e6f, 7e5f};
    const auto got = run({supcon_form::out, distance}, serial, pairs, ids{1, 1, 2, 2}, 1.0);
    CHECK_NEAR(got.loss, 0.0, reduction<float>(4).of(1.0));
    CHECK_ALL_NEAR(got.lse, std::vector<double>(4), reduction<float>(4).of(1.0));
}

TEST_CASE("supervised_contrastive: a common offset of all rows adds its share of rounding to distances, no more") {
    const std::size_t n = 150, depth = 6;
    const ids labels = random_labels(n, 12);
    auto z = random_normal<double>(n * depth, 0.0, 0.3, 23);
    for (double& x : z) x = std::round(x * 1024.0) / 1024.0;  // exact with the offset, too
    auto moved = z;
    for (double& x : moved) x += 4096.0;
    for (const supcon_form form : forms) {
        const auto want = run({form, distance}, serial, z, labels, 0.5);
        const auto got = run({form, distance}, serial, moved, labels, 0.5);
        const double largest = 4.0 * 6.0 * 4098.0 * 4098.0 / 0.5;
        const tolerance logit = logit_error<double>(depth, largest);
        CHECK_ALL_NEAR(got.lse, want.lse, logit);
        CHECK_NEAR(got.loss, want.loss, logit.of(largest * n));
        CHECK_ALL_NEAR(got.rows, want.rows, logit.of(2.0 * largest * 2.0 * 4096.0));
        CHECK_NEAR(got.temperature, want.temperature, logit.of(2.0 * largest * n));
    }
}

TEST_CASE("supervised_contrastive: pairs of a short and a long row") {
    for (const double size : {1e8, 1e15}) {
        const std::vector<float> z{static_cast<float>(size), static_cast<float>(3.0 / size), 1.0f, 2.0f};
        const auto got = run(supcon_form::out, serial, z, ids{1, 1, 2, 2}, 1.0);
        const auto want = reference(supcon_form::out, z, ids{1, 1, 2, 2}, 1.0);
        CHECK_NEAR(got.loss, want.loss, reduction<float>(16).of(size));
        CHECK_ALL_NEAR(got.rows, want.rows, reduction<float>(16).of(2.0 * size));
    }
}

TEST_CASE("supervised_contrastive: a class of short rows and a long one") {
    const ids labels{1, 1, 1, 2};
    for (const std::size_t at : {0u, 1u, 2u}) {  // where the long row stands
        CAPTURE(at);
        std::vector<double> z{1e-9, 1e-9, 1e-9, 2e-9, 1e-9, 3e-9, 0.0, 1.0};
        z[2 * at] = 1e9;
        z[2 * at + 1] = 0.0;
        const auto got = run(supcon_form::out, serial, z, labels, 1.0);
        const auto want = reference(supcon_form::out, z, labels, 1.0);
        CHECK_NEAR(got.loss, want.loss, reduction(16));
        CHECK_NEAR(got.rows[2 * at], want.rows[2 * at], reduction(16).of(1e-9));
        CHECK_ALL_NEAR(got.rows, want.rows, reduction(16).of(1e9));
    }
}

TEST_CASE("supervised_contrastive: classes of two rows are the same in both forms, and cost no matrix each") {
    const std::size_t n = 2000, depth = 3;
    ids labels(n);
    for (std::size_t i = 0; i < n; ++i) labels[i] = static_cast<std::uint32_t>(i / 2);
    const auto z = unit_rows<float>(n, depth, 17);
    CHECK(run(supcon_form::in, serial, z, labels, 0.1) == run(supcon_form::out, serial, z, labels, 0.1));
    std::vector<float> lse(n);
    const auto used = testing::count_allocations([&] {
        supervised_contrastive(serial, view(z, n, depth), labels, lse, {0.1, supcon_form::in});
    });
    CHECK(used.calls < n / 2);
}

TEST_CASE("supervised_contrastive: the ends of the range of temperatures") {
    const ids labels{1, 1, 2};
    for (const double t : {1e-15, 1e15}) {
        for (const way& how : ways) {
            const auto got = run(how, serial, std::vector<float>(6), labels, t);
            CHECK_NEAR(got.loss, 2.0 * std::log(2.0), reduction<float>(4));
            CHECK(got.temperature == 0.0);
            CHECK(got.rows == std::vector<float>(6));
        }
    }
}

TEST_CASE("supervised_contrastive: a NaN reaches every row") {
    auto z = unit_rows<float>(120, 4, 13);
    z[4 * 5 + 1] = std::numeric_limits<float>::quiet_NaN();
    for (const way& how : ways) {
        const auto got = run(how, serial, z, random_labels(120, 5), 0.1);
        CHECK(std::isnan(got.loss));
        for (const float x : got.lse) CHECK(std::isnan(x));
    }
}

TEST_CASE("supervised_contrastive: bad input") {
    const std::vector<float> six(6);
    std::vector<float> two(2), three(3), four(4);
    const ids labels{1, 1, 2}, short_labels{1, 1};
    const auto z = view(six, 3, 2);
    CHECK_THROWS_WITH_AS(supervised_contrastive(serial, z, short_labels, three),
                         "supervised_contrastive: 3 rows but 2 labels", std::invalid_argument);
    CHECK_THROWS_WITH_AS(supervised_contrastive(serial, z, labels, two),
                         "supervised_contrastive: 3 rows but room for 2 sums", std::invalid_argument);
    CHECK_THROWS_WITH_AS(supervised_contrastive(serial, z, labels, three, {.temperature = -1.0}),
                         "supervised_contrastive: temperature must lie in [1e-15, 1e15], got -1",
                         std::invalid_argument);
    CHECK_THROWS_AS(supervised_contrastive(serial, z, labels, three, {.temperature = 1e-300}), std::invalid_argument);
    CHECK_THROWS_WITH_AS(supervised_contrastive(serial, z, labels, three, {}, {view(four, 2, 2)}),
                         "supervised_contrastive: the gradient of rows is 2 x 2, not 3 x 2", std::invalid_argument);
    std::vector<float> empty;
    CHECK(std::isnan(supervised_contrastive(serial, matrix_view<const float>(), ids{}, empty).finish()));
    // No row has a positive: no term, no gradient, but the sums.
    for (const supcon_form form : forms) {
        const auto got = run(form, serial, std::vector<float>{1.0f, 2.0f}, ids{1, 2}, 1.0);
        CHECK(got.weight == 0.0);
        CHECK(got.loss == 0.0);
        CHECK(got.lse == std::vector<float>{2.0f, 2.0f});
        CHECK(got.rows == std::vector<float>{0.0f, 0.0f});
        CHECK(got.temperature == 0.0);
    }
}

}  // namespace
