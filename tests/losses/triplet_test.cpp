// Triplet losses: worked example, PyTorch, the definition in double, gradients, shards, threads, ties, extremes.
#include "reckon/losses/triplet.hpp"

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
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;
using labels_of = std::vector<std::uint64_t>;

template <class T>
struct result {
    double loss = 0.0, weight = 0.0;
    std::vector<T> queries, keys, anchors;
    bool operator==(const result&) const = default;
};

// Loss with everything that it writes.
template <class T, class Policy>
result<T> run(const Policy& where, const std::vector<T>& q, const std::vector<T>& k, std::size_t depth,
              const labels_of& ql, const labels_of& kl, const triplet_options& options, double scale = 1.0) {
    const std::size_t b = q.size() / depth, n = k.size() / depth;
    result<T> out;
    out.queries.resize(q.size());
    out.keys.resize(k.size());
    out.anchors.resize(b);
    const mean_value m = triplet(
        where, view(q, b, depth), view(k, n, depth), ql, kl, options,
        {.queries = view(out.queries, b, depth), .keys = view(out.keys, n, depth), .scale = scale}, view(out.anchors));
    out.loss = m.sum();
    out.weight = m.weight();
    return out;
}

// The definition on squared distances or dot products, one triplet after the other in double.
template <class T>
result<double> reference(const std::vector<T>& q, const std::vector<T>& k, std::size_t depth, const labels_of& ql,
                         const labels_of& kl, const triplet_options& options) {
    const std::size_t b = q.size() / depth, n = k.size() / depth;
    const bool squared = options.metric == similarity::squared_distance;
    result<double> out;
    out.queries.resize(q.size());
    out.keys.resize(k.size());
    for (std::size_t i = 0; i < b; ++i) {
        const auto self = options.first_self + static_cast<std::ptrdiff_t>(i);
        std::vector<double> d(n);
        std::vector<std::size_t> positives, negatives;
        for (std::size_t j = 0; j < n; ++j) {
            for (std::size_t c = 0; c < depth; ++c) {
                const double x = static_cast<double>(q[i * depth + c]), y = static_cast<double>(k[j * depth + c]);
                d[j] += squared ? (x - y) * (x - y) : -x * y;
            }
            if (options.root) d[j] = std::sqrt(d[j]);
            if (options.first_self >= 0 && self == static_cast<std::ptrdiff_t>(j)) continue;
            (ql[i] == kl[j] ? positives : negatives).push_back(j);
        }
        double loss = 0.0;
        const auto add = [&](std::size_t p, std::size_t m) {
            const double x = options.margin + d[p] - d[m];
            loss += options.soft ? std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x))) : std::fmax(x, 0.0);
            const double slope = options.soft ? 1.0 / (1.0 + std::exp(-x)) : x > 0.0 ? 1.0 : 0.0;
            out.weight += 1.0;
            for (const std::size_t j : {p, m}) {
                double by = j == p ? slope : -slope;
                if (options.root) by = d[j] == 0.0 ? 0.0 : by * 0.5 / d[j];
                for (std::size_t c = 0; c < depth; ++c) {
                    const double x_c = static_cast<double>(q[i * depth + c]),
                                 y_c = static_cast<double>(k[j * depth + c]);
                    out.queries[i * depth + c] += by * (squared ? 2.0 * (x_c - y_c) : -y_c);
                    out.keys[j * depth + c] += by * (squared ? 2.0 * (y_c - x_c) : -x_c);
                }
            }
        };
        const auto farther = [&](std::size_t a, std::size_t e) { return d[a] < d[e]; };
        if (!positives.empty() && !negatives.empty()) {
            // min_element and max_element take the first of equal ones.
            if (options.mining == triplet_mining::hard) {
                add(*std::max_element(positives.begin(), positives.end(), farther),
                    *std::min_element(negatives.begin(), negatives.end(), farther));
            } else {
                for (const std::size_t p : positives) {
                    std::size_t m = n;
                    for (const std::size_t j : negatives) {
                        if (d[j] > d[p] && (m == n || d[j] < d[m])) m = j;
                    }
                    add(p, m < n ? m : *std::max_element(negatives.begin(), negatives.end(), farther));
                }
            }
        }
        out.loss += loss;
        out.anchors.push_back(loss);
    }
    return out;
}

// Rows with whole numbers as elements: every sum is exact, and ties are frequent.
template <class T>
std::vector<T> whole_rows(std::size_t count, std::uint64_t below, std::uint64_t seed) {
    std::vector<T> x;
    for (const auto v : random_integers<std::uint64_t>(count, 2 * below + 1, seed)) {
        x.push_back(static_cast<T>(v) - static_cast<T>(below));
    }
    return x;
}

TEST_CASE("triplet: worked example") {
    // On a line: anchors 0 and 1 of one label, 3 of another. Distances 1 within, 9 and 4 to the stranger.
    const std::vector<double> x{0, 1, 3};
    const labels_of labels{7, 7, 8};
    const auto got = run(serial, x, x, 1, labels, labels, {.margin = 5.0, .first_self = 0}, 2.0);
    // 5 + 1 - 9 < 0; 5 + 1 - 4 = 2; the third has no positive.
    CHECK(got.loss == 2.0);
    CHECK(got.weight == 2.0);
    CHECK(got.anchors == std::vector<double>{0, 2, 0});
    // d/dx_1 of (x_1 - x_0)^2 - (x_1 - x_2)^2 = 2 + 4; times the scale.
    CHECK(got.queries == std::vector<double>{0, 12, 0});
    CHECK(got.keys == std::vector<double>{-4, 0, -8});
    // Without a self every anchor is its own nearest positive; the farthest one is the same.
    CHECK(run(serial, x, x, 1, labels, labels, {.margin = 5.0}).weight == 3.0);
}

TEST_CASE("triplet: PyTorch") {
    const fixture data("rowwise.txt");
    for (const std::string name : {"one", "usual", "shard", "alone", "far"}) {
        const std::string of = "tri." + name;
        const auto shape = data.as<double>(of + ".shape");
        const auto depth = static_cast<std::size_t>(shape[2]);
        const auto q = data.as<double>(of + ".q"), k = data.as<double>(of + ".k");
        const auto ql = data.as<std::uint64_t>(of + ".ql"), kl = data.as<std::uint64_t>(of + ".kl");
        for (const int semi : {0, 1}) {
            for (const int soft : {0, 1}) {
                for (const int metric : {0, 1, 2, 3}) {
                    const std::string want =
                        of + (semi ? ".semi" : ".hard") + (soft ? ".soft" : ".hinge") + std::to_string(metric);
                    CAPTURE(want);
                    const auto got = run(serial, q, k, depth, ql, kl,
                                         {.mining = semi ? triplet_mining::semi_hard : triplet_mining::hard,
                                          .margin = data.value(of + ".margin"),
                                          .soft = soft == 1,
                                          .metric = static_cast<similarity>((std::min)(metric, 2)),
                                          .root = metric == 3,
                                          .first_self = static_cast<std::ptrdiff_t>(shape[3])});
                    double largest = 1.0;
                    for (const double x : data.as<double>(want + ".dk")) largest = std::fmax(largest, std::fabs(x));
                    CHECK_NEAR(got.loss, data.value(want + ".loss"), reduction(64));
                    CHECK(got.weight == data.value(want + ".count"));
                    CHECK_ALL_NEAR(got.queries, data.as<double>(want + ".dq"), reduction(64).of(4.0 * largest));
                    CHECK_ALL_NEAR(got.keys, data.as<double>(want + ".dk"), reduction(64).of(4.0 * largest));
                }
            }
        }
    }
}

// Sizes around the tile, the block of rows and the chunk of keys; classes so few that anchors have hundreds of
// positives.
struct shape {
    std::size_t batch, keys, depth, first, classes;
};
constexpr shape shapes[] = {{1, 1, 1, 0, 1},     {5, 6, 2, 1, 2},    {6, 16, 16, 0, 3},  {7, 17, 5, 10, 4},
                            {13, 40, 31, 3, 1},  {96, 96, 8, 0, 40}, {97, 130, 3, 7, 3}, {50, 1100, 7, 5, 4},
                            {193, 300, 3, 1, 9}, {9, 33, 1025, 2, 5}};

TEST_CASE_TEMPLATE("triplet: the definition to the bit on whole numbers, ties included", T, float, double) {
    for (const shape& s : shapes) {
        for (const similarity metric : {similarity::squared_distance, similarity::dot}) {
            for (const auto mining : {triplet_mining::hard, triplet_mining::semi_hard}) {
                for (const bool itself : {false, true}) {
                    CAPTURE(s.batch);
                    CAPTURE(s.keys);
                    CAPTURE(s.depth);
                    CAPTURE(static_cast<int>(metric));
                    CAPTURE(static_cast<int>(mining));
                    CAPTURE(itself);
                    const auto k = whole_rows<T>(s.keys * s.depth, 3, 1);
                    const auto kl = random_integers<std::uint64_t>(s.keys, s.classes, 2);
                    const std::vector<T> q(k.begin() + static_cast<std::ptrdiff_t>(s.first % s.keys * s.depth),
                                           k.begin() + static_cast<std::ptrdiff_t>((s.first + s.batch) * s.depth));
                    const labels_of ql(kl.begin() + static_cast<std::ptrdiff_t>(s.first),
                                       kl.begin() + static_cast<std::ptrdiff_t>(s.first + s.batch));
                    const triplet_options options{.mining = mining,
                                                  .margin = 2.0,
                                                  .metric = metric,
                                                  .first_self = itself ? static_cast<std::ptrdiff_t>(s.first) : -1};
                    const auto got = run(serial, q, k, s.depth, ql, kl, options);
                    const auto want = reference(q, k, s.depth, ql, kl, options);
                    CHECK(got.loss == want.loss);
                    CHECK(got.weight == want.weight);
                    CHECK_ALL_NEAR(got.anchors, want.anchors, exact());
                    CHECK_ALL_NEAR(got.queries, want.queries, exact());
                    CHECK_ALL_NEAR(got.keys, want.keys, exact());
                }
            }
        }
    }
}

TEST_CASE("triplet: soft margins and roots against the definition") {
    const std::size_t b = 60, n = 150, depth = 9;
    const auto q = random_normal<double>(b * depth, 0.0, 1.0, 3), k = random_normal<double>(n * depth, 0.0, 1.0, 4);
    const auto ql = random_integers<std::uint64_t>(b, 3, 5), kl = random_integers<std::uint64_t>(n, 3, 6);
    for (const auto mining : {triplet_mining::hard, triplet_mining::semi_hard}) {
        for (const bool soft : {false, true}) {
            for (const bool root : {false, true}) {
                const triplet_options options{.mining = mining, .margin = 0.5, .soft = soft, .root = root};
                const auto got = run(serial, q, k, depth, ql, kl, options);
                const auto want = reference(q, k, depth, ql, kl, options);
                CHECK_NEAR(got.loss, want.loss, reduction(n * depth));
                CHECK(got.weight == want.weight);
                CHECK_ALL_NEAR(got.queries, want.queries, reduction(n).of(1000.0));
                CHECK_ALL_NEAR(got.keys, want.keys, reduction(n).of(1000.0));
            }
        }
    }
}

TEST_CASE("triplet: gradients against central differences") {
    const std::size_t n = 9, depth = 3;
    const labels_of labels{0, 1, 2, 0, 1, 1, 2, 0, 5};
    // With this seed no step crosses a switch of mining or of the hinge.
    const auto start = random_normal<double>(n * depth, 0.0, 1.0, 3);
    for (int form = 0; form < 16; ++form) {
        const triplet_options options{.mining = form & 1 ? triplet_mining::semi_hard : triplet_mining::hard,
                                      .margin = 0.4,
                                      .soft = (form & 2) != 0,
                                      .metric = static_cast<similarity>((std::min)(form >> 2, 2)),
                                      .root = form >> 2 == 3,
                                      .first_self = 0};
        CAPTURE(form);
        const auto value = [&](vector_view<const double> x) {
            const matrix_view<const double> rows(x.data(), n, depth);
            return triplet(serial, rows, rows, labels, labels, options).sum();
        };
        // One set against itself: both gradients go into one matrix.
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            const matrix_view<const double> rows(x.data(), n, depth);
            const matrix_view<double> to(out.data(), n, depth);
            triplet(serial, rows, rows, labels, labels, options, {.queries = to, .keys = to});
        };
        CHECK_LAW(testing::check_gradient(value, gradient, start));
    }
}

TEST_CASE("triplet: shards of the anchors add up to the whole, threads give the same bits") {
    const std::size_t n = 230, depth = 70;
    const auto x = random_normal<float>(n * depth, 0.0, 0.3, 8);
    const auto labels = random_integers<std::uint64_t>(n, 5, 9);
    exec::pool two(2), three(3);
    for (const auto mining : {triplet_mining::hard, triplet_mining::semi_hard}) {
        for (const similarity metric : {similarity::cosine, similarity::squared_distance}) {
            const triplet_options options{.mining = mining, .margin = 1.0, .metric = metric, .first_self = 0};
            const auto whole = run(serial, x, x, depth, labels, labels, options);
            CHECK(whole.loss > 0.0);
            CHECK(run(exec::host{two}, x, x, depth, labels, labels, options) == whole);
            CHECK(run(exec::host{three}, x, x, depth, labels, labels, options) == whole);
            const auto rows = view(x, n, depth);
            CHECK(triplet(serial, rows, rows, labels, labels, options).sum() == whole.loss);
            for (const std::size_t shards : {2u, 4u, 7u}) {
                mean_value loss;
                std::vector<float> queries(x.size()), keys(x.size());
                for (std::size_t s = 0; s < shards; ++s) {
                    const std::size_t first = s * n / shards, count = (s + 1) * n / shards - first;
                    triplet_options mine = options;
                    mine.first_self = static_cast<std::ptrdiff_t>(first);
                    loss.merge(triplet(
                        serial, rows.slice(first, count), rows, input(labels).slice(first, count), labels, mine,
                        {.queries = view(queries, n, depth).slice(first, count), .keys = view(keys, n, depth)}));
                }
                CHECK_NEAR(loss.sum(), whole.loss, reduction(n));
                CHECK(loss.weight() == whole.weight);
                CHECK_ALL_NEAR(queries, whole.queries, reduction<float>(n).of(30.0));
                CHECK_ALL_NEAR(keys, whole.keys, reduction<float>(n).of(300.0));
            }
        }
    }
}

TEST_CASE("triplet: equal rows, finite input of any size, NaN") {
    const std::size_t n = 20, depth = 4;
    const auto labels = random_integers<std::uint64_t>(n, 3, 10);
    const std::vector<float> equal(n * depth, 0.25f);
    for (const bool root : {false, true}) {
        // Every distance is 0: the loss is the margin, and no direction is better than another.
        const auto got =
            run(serial, equal, equal, depth, labels, labels, {.margin = 0.5, .root = root, .first_self = 0});
        CHECK(got.loss == 0.5 * got.weight);
        for (const float g : got.keys) CHECK(g == 0.0f);
        for (const double size : {1e-30, 1e-3, 1e8, 1e15}) {
            for (const auto mining : {triplet_mining::hard, triplet_mining::semi_hard}) {
                const auto x = random_normal<float>(n * depth, 0.0, size, 11);
                const auto any = run(serial, x, x, depth, labels, labels,
                                     {.mining = mining, .soft = true, .root = root, .first_self = 0});
                CHECK(std::isfinite(any.loss));
                for (const auto* column : {&any.queries, &any.keys}) {
                    for (const float g : *column) CHECK(std::isfinite(g));
                }
            }
        }
    }
    auto q = random_normal<float>(n * depth, 0.0, 1.0, 12);
    const auto k = random_normal<float>(n * depth, 0.0, 1.0, 13);
    q[4 * 5 + 1] = std::numeric_limits<float>::quiet_NaN();
    for (const similarity metric : {similarity::dot, similarity::cosine, similarity::squared_distance}) {
        const auto bad = run(serial, q, k, depth, labels, labels, {.metric = metric});
        CHECK(std::isnan(bad.loss));
        for (std::size_t i = 0; i < n; ++i) {
            CHECK(std::isnan(bad.anchors[i]) == (i == 5));
            CHECK(std::isnan(bad.queries[i * depth + 1]) == (i == 5));
        }
        for (std::size_t j = 0; j < n; ++j) CHECK(std::isnan(bad.keys[j * depth + 1]));
        // A bad key is every anchor's.
        const auto worse = run(serial, k, q, depth, labels, labels, {.metric = metric});
        for (const float a : worse.anchors) CHECK(std::isnan(a));
        for (std::size_t j = 0; j < n; ++j) CHECK(std::isnan(worse.keys[j * depth + 1]) == (j == 5));
    }
}

TEST_CASE("triplet: distances of the mined pairs are taken in double") {
    // Distances that round to equal ones in float: the negative is the nearer by more than the margin of 0.
    const labels_of one{1}, two{1, 2};
    const std::vector<float> q{4096, 1}, k{4096, 0.25f, 4096, 0.5f};
    const auto products = run(serial, q, k, 2, one, two, {.margin = 0.0, .metric = similarity::dot});
    CHECK(products.loss == 0.25);
    CHECK(products.queries == std::vector<float>{0.0f, 0.25f});
    CHECK(products.keys == std::vector<float>{-4096, -1, 4096, 1});
    const std::vector<float> unit{1, 0}, turned{1, 1e-4f, 1, 0};
    const auto cosines = run(serial, unit, turned, 2, one, two, {.margin = 0.0, .metric = similarity::cosine});
    const double angle = std::atan(static_cast<double>(1e-4f));
    // 1 - cos(angle), to the rounding of cosines next to 1.
    CHECK_NEAR(cosines.loss, 2.0 * std::sin(angle / 2.0) * std::sin(angle / 2.0), reduction(2).of(1.0));
    CHECK(cosines.loss > 0.0);
    CHECK(cosines.queries[1] == -1e-4f);
    // Rows of zeros have cosine 0.
    CHECK(run(serial, std::vector<float>(2), turned, 2, one, two, {.margin = 0.5, .metric = similarity::cosine}).loss ==
          0.5);
}

TEST_CASE("triplet: the slope of a root next to 0") {
    // The inverse of the positive's distance is beyond float.
    const std::vector<float> q{0, 0}, k{1e-42f, 0, 0, 1};
    const auto got = run(serial, q, k, 2, labels_of{1}, labels_of{1, 2}, {.margin = 2.0, .root = true});
    CHECK(got.loss == 1.0 + static_cast<double>(k[0]));
    CHECK(got.queries == std::vector<float>{-1, 1});
    CHECK(got.keys == std::vector<float>{1, 0, 0, -1});
}

TEST_CASE("triplet: bad input") {
    const std::vector<float> six(6), four(4);
    std::vector<float> other(4);
    double temperature = 0.0;
    const auto q = view(six, 2, 3), k = view(six, 3, 2), q2 = view(four, 2, 2);
    const labels_of two(2), three(3);
    CHECK_THROWS_WITH_AS(triplet(serial, q, k, two, three), "triplet: queries have 3 columns, keys 2",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(triplet(serial, q2, k, three, three), "triplet: 2 queries but 3 labels",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(triplet(serial, q2, k, two, two), "triplet: 3 keys but 2 labels", std::invalid_argument);
    CHECK_THROWS_WITH_AS(triplet(serial, q2, k, two, three, {.first_self = 2}),
                         "triplet: 2 queries are keys 2 and on, but there are 3 keys", std::invalid_argument);
    CHECK_THROWS_WITH_AS(triplet(serial, q2, k, two, three, {.margin = HUGE_VAL}),
                         "triplet: margin must be finite, got inf", std::invalid_argument);
    CHECK_THROWS_WITH_AS(triplet(serial, q2, k, two, three, {.metric = similarity::dot, .root = true}),
                         "triplet: roots are taken of squared distances only", std::invalid_argument);
    CHECK_THROWS_WITH_AS(triplet(serial, q2, k, two, three, {}, {.temperature = &temperature}),
                         "triplet: there is no temperature, so no gradient of one", std::invalid_argument);
    CHECK_THROWS_WITH_AS(triplet(serial, q2, k, two, three, {}, {}, view(other)),
                         "triplet: 2 queries but room for 4 losses", std::invalid_argument);
    const labels_of nobody;
    const matrix_view<const float> nothing;
    CHECK(std::isnan(triplet(serial, nothing, nothing, nobody, nobody).finish()));
}

}  // namespace
