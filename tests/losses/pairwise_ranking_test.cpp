// Ranking losses over heads: worked example, PyTorch, double loops, invariants, large batches, threads, extremes.
#include "reckon/losses/pairwise_ranking.hpp"

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

enum class kind { logistic, hinge, squared };
constexpr kind kinds[] = {kind::logistic, kind::hinge, kind::squared};

template <class T>
struct batch {
    std::size_t rows, heads;
    std::vector<T> s;
    std::vector<float> y;
    std::vector<std::uint8_t> m;
};
template <class T>
struct result {
    double loss = 0.0, weight = 0.0;
    std::vector<T> gradient;
    bool operator==(const result&) const = default;
};
template <class T, class Policy>
result<T> run(kind which, const Policy& where, const batch<T>& b, const pairwise_ranking_options& options = {},
              double scale = 1.0) {
    result<T> out{0.0, 0.0, std::vector<T>(b.s.size())};
    const auto s = view(b.s, b.rows, b.heads);
    const auto y = view(b.y, b.rows, b.heads);
    const auto m = view(b.m, b.rows, b.heads);
    auto g = view(out.gradient, b.rows, b.heads);
    const mean_value loss = which == kind::logistic ? pairwise_ranking(where, s, y, m, options, g, scale)
                            : which == kind::hinge  ? rank_hinge(where, s, y, m, options, g, scale)
                                                    : rank_squared_hinge(where, s, y, m, options, g, scale);
    out.loss = loss.sum();
    out.weight = loss.weight();
    return out;
}

// The definition, pair by pair in double.
template <class T>
result<double> reference(kind which, const batch<T>& b, const pairwise_ranking_options& options) {
    result<double> out{0.0, 0.0, std::vector<double>(b.s.size())};
    for (std::size_t j = 0; j < b.heads; ++j) {
        const auto weight = [&](std::size_t k) {
            if (!(b.y[k * b.heads + j] <= 0.0f)) return 0.0;
            const bool valid = b.m[k * b.heads + j] != 0;
            if (options.negatives == (valid ? rank_negatives::unlabelled : rank_negatives::masked_valid)) return 0.0;
            return valid ? 1.0 : options.unlabelled_weight;
        };
        double z = 0.0;
        compensated_sum sum;
        for (const bool adding : {false, true}) {
            for (std::size_t i = 0; i < b.rows; ++i) {
                if (!(b.y[i * b.heads + j] > 0.0f)) continue;
                for (std::size_t k = 0; k < b.rows; ++k) {
                    const double w = weight(k);
                    if (w == 0.0) continue;
                    if (!adding) {
                        z += w;
                        continue;
                    }
                    const double d =
                        static_cast<double>(b.s[k * b.heads + j]) - static_cast<double>(b.s[i * b.heads + j]);
                    const double over = std::fmax(0.0, options.margin + d), t = std::exp(-std::fabs(d));
                    const double value = which == kind::logistic ? std::fmax(0.0, d) + std::log1p(t)
                                         : which == kind::hinge  ? over
                                                                 : over * over;
                    const double slope = which == kind::logistic ? (d < 0.0 ? t : 1.0) / (1.0 + t)
                                         : which == kind::hinge  ? (over > 0.0 ? 1.0 : 0.0)
                                                                 : 2.0 * over;
                    const double factor = options.normalisation == pair_normalisation::sum ? w : w / z;
                    sum.absorb(factor * value);
                    out.gradient[i * b.heads + j] -= factor * slope;
                    out.gradient[k * b.heads + j] += factor * slope;
                }
            }
        }
        out.loss += sum.value();
        out.weight += z == 0.0 ? 0.0 : options.normalisation == pair_normalisation::sum ? z : 1.0;
    }
    return out;
}

template <class T>
batch<T> random_batch(std::size_t rows, std::size_t heads, double spread, double rate, std::uint64_t seed = 1) {
    batch<T> b{rows, heads, random_normal<T>(rows * heads, 0.0, spread, seed), {}, {}};
    for (const double u : random_uniform<double>(rows * heads, 0.0, 1.0, seed + 1))
        b.y.push_back(u < rate ? 1.0f : 0.0f);
    b.m = random_integers<std::uint8_t>(rows * heads, 2, seed + 2);
    return b;
}

TEST_CASE("pairwise_ranking: worked example") {
    const batch<double> b{4, 1, {2, 0, -1, 1}, {1, 0, 0, 0}, {1, 1, 0, 1}};
    const auto got = run(kind::logistic, serial, b);
    const double pairs[] = {std::log1p(std::exp(-2.0)), std::log1p(std::exp(-3.0)), std::log1p(std::exp(-1.0))};
    CHECK_NEAR(got.loss, (pairs[0] + pairs[1] + pairs[2]) / 3.0, reduction(4));
    CHECK(std::fabs(got.loss - 0.162926) < 1e-6);
    CHECK(got.weight == 1.0);
    // With the mask alone the third row drops out, and without it only that row is left.
    CHECK_NEAR(run(kind::logistic, serial, b, {.negatives = rank_negatives::masked_valid}).loss,
               (pairs[0] + pairs[2]) / 2.0, reduction(4));
    CHECK_NEAR(run(kind::logistic, serial, b, {.negatives = rank_negatives::unlabelled}).loss, pairs[1], reduction(4));
    // The whole training step of the source: 0.9 times masked cross-entropy and 0.1 times this.
    const double bce[] = {-0.119203 / 3.0, 0.5 / 3.0, 0.0, 0.731059 / 3.0};
    const auto tenth = run(kind::logistic, serial, b, {}, 0.1);
    const double want[] = {-0.050280, 0.153973, 0.001581, 0.228282};
    for (std::size_t i = 0; i < 4; ++i) CHECK(std::fabs(0.9 * bce[i] + tenth.gradient[i] - want[i]) < 1e-6);
}

TEST_CASE("pairwise_ranking, rank_squared_hinge, rank_hinge: PyTorch") {
    const fixture data("pairwise.txt");
    for (const std::string name : {"heads", "heads80", "heads1e4", "row"}) {
        const auto shape = data.as<std::size_t>(name + ".shape");
        const batch<double> b{shape[0], shape[1], data[name + ".s"], data.as<float>(name + ".y"),
                              data.as<std::uint8_t>(name + ".m")};
        pairwise_ranking_options options{.unlabelled_weight = data.value(name + ".omega"),
                                         .margin = data.value(name + ".margin")};
        for (const kind which : kinds) {
            for (const auto negatives :
                 {rank_negatives::both, rank_negatives::masked_valid, rank_negatives::unlabelled}) {
                const std::string want = name +
                                         (which == kind::logistic ? ".logistic"
                                          : which == kind::hinge  ? ".hinge"
                                                                  : ".squared") +
                                         (negatives == rank_negatives::both           ? ".both"
                                          : negatives == rank_negatives::masked_valid ? ".masked"
                                                                                      : ".unlabelled");
                CAPTURE(want);
                options.negatives = negatives;
                const auto got = run(which, serial, b, options);
                double largest = 1.0;
                for (const double d : data[want + ".d"]) largest = std::fmax(largest, std::fabs(d));
                CHECK_NEAR(got.loss, data.value(want), reduction(100));
                CHECK_ALL_NEAR(got.gradient, data[want + ".d"], reduction(100).of(largest));
            }
        }
    }
}

TEST_CASE_TEMPLATE("pairwise_ranking, rank_squared_hinge, rank_hinge: against every pair", T, float, double) {
    for (const std::size_t rows : {1u, 2u, 5u, 9u, 40u, 300u}) {
        for (const double spread : {0.7, 40.0}) {
            for (const kind which : kinds) {
                for (const auto normalisation : {pair_normalisation::sum, pair_normalisation::mean_per_group}) {
                    CAPTURE(rows);
                    CAPTURE(spread);
                    auto b = random_batch<T>(rows, 3, spread, 0.3, rows);
                    // Ties, within a side and across.
                    for (std::size_t i = 0; i < b.s.size(); i += 4) b.s[i] = T(0.5);
                    if (rows == 9) b.y.assign(b.y.size(), 1.0f);  // no negative anywhere
                    const pairwise_ranking_options options{
                        .unlabelled_weight = 0.25, .normalisation = normalisation, .margin = 0.75};
                    const auto got = run(which, serial, b, options);
                    const auto want = reference(which, b, options);
                    // Hinges run in double, and leave in T.
                    const tolerance bound = which == kind::logistic ? reduction<T>(64) : reduction(1000);
                    const double size = normalisation == pair_normalisation::sum ? static_cast<double>(rows) : 1.0;
                    CHECK_NEAR(got.loss, want.loss, bound.of(want.loss + want.weight));
                    CHECK_NEAR(got.weight, want.weight, reduction(8));
                    CHECK_ALL_NEAR(got.gradient, want.gradient,
                                   reduction<T>(64).of(size * (which == kind::squared ? 4.0 * spread : 1.0)));
                }
            }
        }
    }
}

TEST_CASE("pairwise_ranking, rank_squared_hinge: gradients against central differences") {
    const auto b = random_batch<double>(25, 2, 1.0, 0.3, 5);
    for (const kind which : {kind::logistic, kind::squared}) {
        const auto at = [&](vector_view<const double> x) {
            auto moved = b;
            moved.s.assign(x.begin(), x.end());
            return run(which, serial, moved, {.unlabelled_weight = 0.5});
        };
        const auto value = [&](vector_view<const double> x) { return at(x).loss; };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            const auto got = at(x);
            for (std::size_t i = 0; i < out.size(); ++i) out[i] += got.gradient[i];
        };
        CHECK_LAW(testing::check_gradient(value, gradient, b.s));
    }
}

TEST_CASE("pairwise_ranking: one pair, the area under the curve, shifts, steepness, duplicates") {
    const batch<double> tied{2, 1, {0.25, 0.25}, {1, 0}, {1, 1}};
    const auto pair = run(kind::logistic, serial, tied);
    CHECK_NEAR(pair.loss, std::log(2.0), reduction(1));
    CHECK(pair.gradient == std::vector<double>{-0.5, 0.5});

    for (const std::uint64_t seed : {1u, 2u, 3u}) {
        const auto b = random_batch<double>(60, 1, 1.0, 0.4, 10 * seed);
        const auto got = run(kind::logistic, serial, b);
        // Wrongly ordered pairs, ties in full, and the mean of the positive parts of differences.
        double wrong = 0.0, positive_parts = 0.0, pairs = 0.0, total = 0.0;
        for (std::size_t i = 0; i < 60; ++i) {
            for (std::size_t k = 0; k < 60; ++k) {
                if (!(b.y[i] > 0.0f && b.y[k] <= 0.0f)) continue;
                pairs += 1.0;
                wrong += b.s[k] >= b.s[i] ? 1.0 : 0.0;
                positive_parts += std::fmax(0.0, b.s[k] - b.s[i]);
            }
            total += got.gradient[i];
        }
        CHECK(wrong / pairs <= got.loss / std::log(2.0));
        CHECK_NEAR(total, 0.0, reduction(60).of(2.0));
        auto shifted = b, steep = b, twice = b;
        for (double& x : shifted.s) x += 64.0;
        for (double& x : steep.s) x *= 65536.0;
        CHECK_NEAR(run(kind::logistic, serial, shifted).loss, got.loss, reduction(4000));
        // Off by at most log 2 for each pair within a few nats.
        CHECK_NEAR(run(kind::logistic, serial, steep).loss / 65536.0, positive_parts / pairs, fitted().of(1.0));
        twice.rows = 120;
        twice.s.insert(twice.s.end(), b.s.begin(), b.s.end());
        twice.y.insert(twice.y.end(), b.y.begin(), b.y.end());
        twice.m.insert(twice.m.end(), b.m.begin(), b.m.end());
        for (const kind which : kinds) {
            CHECK_NEAR(run(which, serial, twice).loss, run(which, serial, b).loss, reduction(200));
        }
    }
}

TEST_CASE("rank_squared_hinge, rank_hinge: a batch of 200,000 against sums over sorted scores") {
    // Every score is a multiple of 1/64, so that the loss can be had from counts of scores.
    const std::size_t n = 200000;
    batch<float> b{n, 1, std::vector<float>(n), std::vector<float>(n), std::vector<std::uint8_t>(n, 1)};
    std::vector<double> positives(512), negatives(512);
    const auto cells = random_integers<std::uint32_t>(n, 512, 30);
    const auto draws = random_uniform<double>(n, 0.0, 1.0, 31);
    for (std::size_t i = 0; i < n; ++i) {
        b.s[i] = static_cast<float>(cells[i]) / 64.0f;
        b.y[i] = draws[i] < 0.1 ? 1.0f : 0.0f;
        (b.y[i] > 0.0f ? positives : negatives)[cells[i]] += 1.0;
    }
    double hinge = 0.0, squared = 0.0, pairs = 0.0;
    for (std::size_t p = 0; p < 512; ++p) {
        for (std::size_t q = 0; q < 512; ++q) {
            const double over = std::fmax(0.0, 1.0 + (static_cast<double>(q) - static_cast<double>(p)) / 64.0);
            const double count = positives[p] * negatives[q];
            hinge += count * over;
            squared += count * over * over;
            pairs += count;
        }
    }
    CHECK_NEAR(run(kind::hinge, serial, b).loss, hinge / pairs, reduction(n));
    CHECK_NEAR(run(kind::squared, serial, b).loss, squared / pairs, reduction(n));
    double total = 0.0;
    for (const float g : run(kind::squared, serial, b, {.normalisation = pair_normalisation::sum}).gradient) {
        total += static_cast<double>(g);
    }
    CHECK_NEAR(total, 0.0, reduction<float>(n).of(squared));
}

TEST_CASE("pairwise_ranking, rank_squared_hinge, rank_hinge: the same bits for any number of threads") {
    exec::pool two(2), three(3);
    for (const std::size_t rows : {500u, 9000u}) {
        const auto b = random_batch<float>(rows, 2, 2.0, 0.05, 40);
        for (const kind which : kinds) {
            const auto want = run(which, serial, b, {.unlabelled_weight = 0.5});
            CHECK(run(which, exec::host{two}, b, {.unlabelled_weight = 0.5}) == want);
            CHECK(run(which, exec::host{three}, b, {.unlabelled_weight = 0.5}) == want);
        }
    }
}

TEST_CASE("pairwise_ranking, rank_squared_hinge, rank_hinge: heads add up") {
    const auto b = random_batch<double>(50, 3, 1.0, 0.3, 50);
    const pairwise_ranking_options options{.normalisation = pair_normalisation::sum};
    for (const kind which : kinds) {
        const auto whole = run(which, serial, b, options);
        mean_value heads;
        for (std::size_t j = 0; j < 3; ++j) {
            const auto s = view(b.s, 50, 3).columns(j, 1);
            const auto y = view(b.y, 50, 3).columns(j, 1);
            const auto m = view(b.m, 50, 3).columns(j, 1);
            heads.merge(which == kind::logistic ? pairwise_ranking(serial, s, y, m, options)
                        : which == kind::hinge  ? rank_hinge(serial, s, y, m, options)
                                                : rank_squared_hinge(serial, s, y, m, options));
        }
        CHECK_NEAR(heads.sum(), whole.loss, reduction(8));
        CHECK(heads.weight() == whole.weight);
    }
}

TEST_CASE("pairwise_ranking, rank_squared_hinge, rank_hinge: shards add up to the pairs within them") {
    const auto b = random_batch<double>(50, 3, 1.0, 0.3, 55);
    const pairwise_ranking_options options{.unlabelled_weight = 0.5, .normalisation = pair_normalisation::sum};
    for (const kind which : kinds) {
        mean_value merged;
        double loss = 0.0, weight = 0.0;
        std::vector<double> gradient(150);
        for (const std::size_t first : {0u, 17u, 34u}) {
            const std::size_t rows = (std::min)(std::size_t{17}, 50 - first);
            const auto s = view(b.s, 50, 3).slice(first, rows);
            const auto y = view(b.y, 50, 3).slice(first, rows);
            const auto m = view(b.m, 50, 3).slice(first, rows);
            auto g = view(gradient, 50, 3).slice(first, rows);
            merged.merge(which == kind::logistic ? pairwise_ranking(serial, s, y, m, options, g)
                         : which == kind::hinge  ? rank_hinge(serial, s, y, m, options, g)
                                                 : rank_squared_hinge(serial, s, y, m, options, g));
            // The whole batch where only the rows of the shard have a label.
            auto alone = b;
            for (std::size_t i = 0; i < 150; ++i) {
                if (i / 3 < first || i / 3 >= first + rows) alone.y[i] = std::numeric_limits<float>::quiet_NaN();
            }
            const auto want = reference(which, alone, options);
            loss += want.loss;
            weight += want.weight;
            for (std::size_t i = 3 * first; i < 3 * (first + rows); ++i) {
                CHECK_NEAR(gradient[i], want.gradient[i], reduction(50).of(50.0));
            }
        }
        CHECK_NEAR(merged.sum(), loss, reduction(300));
        CHECK(merged.weight() == weight);
        CHECK_NEAR(merged.finish(), loss / weight, reduction(300));
    }
}

TEST_CASE("pairwise_ranking, rank_squared_hinge, rank_hinge: extremes and NaN") {
    const float nan = std::numeric_limits<float>::quiet_NaN();
    for (const kind which : kinds) {
        for (const double size : {1e-30, 80.0, 1e4, 1e30}) {
            const auto got = run(which, serial, random_batch<float>(30, 1, size, 0.4, 60));
            CHECK(std::isfinite(got.loss));
            for (const float x : got.gradient) CHECK(std::isfinite(x));
        }
        // A NaN positive reaches itself and all negatives, a NaN negative itself and all positives.
        batch<float> b{4, 1, {nan, 1, 0, 2}, {1, 1, 0, 0}, {1, 1, 1, 1}};
        auto got = run(which, serial, b, {.margin = 5.0});
        CHECK(std::isnan(got.loss));
        for (std::size_t i = 0; i < 4; ++i) CHECK(std::isnan(got.gradient[i]) == (i != 1));
        b.s = {3, 1, 0, nan};
        got = run(which, serial, b, {.margin = 5.0});
        CHECK(std::isnan(got.loss));
        for (std::size_t i = 0; i < 4; ++i) CHECK(std::isnan(got.gradient[i]) == (i != 2));
        // A label that is NaN takes its row out of the head.
        b.s = {3, nan, 0, 2};
        b.y[1] = nan;
        got = run(which, serial, b);
        CHECK(std::isfinite(got.loss));
        CHECK(got.gradient[1] == 0.0f);
    }
}

TEST_CASE("pairwise_ranking: bad and thin input") {
    const std::vector<float> six(6), four(4);
    std::vector<float> out(4);
    const auto s = view(six, 3, 2), y = view(six, 2, 3), g = view(four, 2, 2);
    CHECK_THROWS_WITH_AS(pairwise_ranking(serial, s, y), "pairwise_ranking: 3 x 2 scores but labels of 2 x 3",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(rank_hinge(serial, s, s, g), "rank_hinge: 3 x 2 scores but a mask of 2 x 2",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(rank_squared_hinge(serial, s, s, none{}, {}, view(out, 2, 2)),
                         "rank_squared_hinge: 3 x 2 scores but a gradient of 2 x 2", std::invalid_argument);
    CHECK_THROWS_WITH_AS(pairwise_ranking(serial, s, s, none{}, {.unlabelled_weight = 0.0}),
                         "pairwise_ranking: unlabelled_weight must be in (0, 1], got 0", std::invalid_argument);
    CHECK_THROWS_WITH_AS(rank_hinge(serial, s, s, none{}, {.margin = -1.0}),
                         "rank_hinge: margin must be finite and not negative, got -1", std::invalid_argument);
    // Nobody is positive; without a mask nobody is unlabelled; nothing at all.
    const std::vector<float> labels{1, 0, 0, 1, 0, 0};
    CHECK(std::isnan(pairwise_ranking(serial, s, s).finish()));
    CHECK(pairwise_ranking(serial, s, view(labels, 3, 2)).weight() == 2.0);
    CHECK(pairwise_ranking(serial, s, view(labels, 3, 2), none{}, {.negatives = rank_negatives::unlabelled}).sum() ==
          0.0);
    const matrix_view<const float> nothing;
    CHECK(std::isnan(rank_squared_hinge(serial, nothing, nothing).finish()));
}

}  // namespace
