// The two contrasts of a batch: worked examples, PyTorch, all pairs, gradients, merge law, shards, extremes, bytes.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/losses/covariance_contrast.hpp"
#include "reckon/losses/mean_gap_contrast.hpp"
#include "support/fixture.hpp"
#include "support/golden.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using exec::serial;
using doubles = std::vector<double>;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double inf = std::numeric_limits<double>::infinity();
constexpr covariance_form forms[] = {covariance_form::covariance, covariance_form::correlation};

double softplus(double x) {
    return std::fmax(x, 0.0) + std::log1p(std::exp(-std::fabs(x)));
}
double sigmoid(double x) {
    return 1.0 / (1.0 + std::exp(-x));
}

TEST_CASE("mean_gap_contrast: worked example") {
    // Means 2 of two payers and 2 - ln 3 of two others: gap ln 3, sigmoid(-gap) = 1/4.
    const doubles y{5.0, 0.0, 1.0, 0.0}, scores{3.0, 2.0 - std::log(3.0), 1.0, 2.0 - std::log(3.0)};
    doubles gradient(4, 1.0);
    const mean_value loss = mean_gap_contrast(serial, scores, y, {}, gradient, 2.0);
    CHECK_NEAR(loss.sum(), std::log(4.0 / 3.0), reduction(8));
    CHECK(loss.weight() == 1.0);
    CHECK_ALL_NEAR(gradient, (doubles{0.75, 1.25, 0.75, 1.25}), reduction(8));
    const mean_gap whole = mean_gap_of(serial, scores, y);
    CHECK(whole.positives() == 2);
    CHECK(whole.negatives() == 2);
    CHECK_NEAR(whole.gap(), std::log(3.0), reduction(8));
}

TEST_CASE("covariance_contrast: worked example") {
    // cov = 1/2, so C = 1: sigmoid(-1) splits over centred scores -1/2 and 1/2, divisor B - 1 = 1.
    const doubles z{0.0, 1.0}, r{2.0, 3.0};
    doubles dr(2, 1.0), dz(2, 1.0);
    const mean_value loss = covariance_contrast(serial, z, r, {}, dr, 2.0, dz);
    CHECK_NEAR(loss.sum(), softplus(-1.0), reduction(8));
    CHECK(loss.weight() == 1.0);
    const double s = 2.0 * sigmoid(-1.0);
    CHECK_ALL_NEAR(dr, (doubles{1.0 + s, 1.0 - s}), reduction(8));
    CHECK_ALL_NEAR(dz, (doubles{1.0 + s, 1.0 - s}), reduction(8));
    // A straight line: correlation 1, which no step improves.
    doubles flat(2);
    CHECK_NEAR(covariance_contrast(serial, z, r, {.form = covariance_form::correlation}, flat).sum(), softplus(-1.0),
               reduction(8));
    CHECK_ALL_NEAR(flat, doubles(2), reduction(8).of(1.0));
}

TEST_CASE_TEMPLATE("mean_gap_contrast, covariance_contrast: PyTorch", T, float, double) {
    const fixture data("cmltv_contrasts.txt");
    for (const std::string name : {"two", "usual", "blocks", "far", "logits80", "tight"}) {
        CAPTURE(name);
        const auto z = data.as<T>(name + ".z"), y = data.as<T>(name + ".y"), r = data.as<T>(name + ".r");
        const std::size_t n = z.size();
        for (const bool on_probabilities : {false, true}) {
            const std::string key = name + (on_probabilities ? ".prob" : ".gap");
            std::vector<T> gradient(n);
            const mean_value m = mean_gap_contrast(serial, z, y, {on_probabilities}, gradient);
            CHECK_NEAR(m.sum(), data.value(key + ".loss"), reduction<T>(64).of(80.0));
            CHECK_ALL_NEAR(gradient, data[key + ".grad"], reduction<T>(16).of(1.0));
        }
        CHECK_NEAR(mean_gap_of(serial, z, y).gap(), data.value(name + ".gap.pairs"), reduction<T>(64).of(80.0));
        for (const auto form : forms) {
            const bool is_cov = form == covariance_form::covariance;
            const std::string key = name + (is_cov ? ".cov" : ".corr");
            CAPTURE(key);
            std::vector<T> dr(n), dz(n);
            const mean_value m = covariance_contrast(serial, z, r, {0.5, form}, dr, 1.0, dz);
            const co_moments whole = co_moments_of(serial, z, r);
            const double spread = std::sqrt(std::fmax(whole.variance_z(), whole.variance_r())),
                         size = is_cov ? spread * spread : 1.0;
            CHECK_NEAR(is_cov ? 2.0 * whole.covariance() : whole.correlation(), data.value(key + ".c"),
                       reduction<T>(64).of(size));
            CHECK_NEAR(m.sum(), data.value(key + ".loss"), reduction<T>(64).of(4.0 * size + 1.0));
            // An error of C / t shifts the factor of all derivatives, relatively.
            const tolerance bound = reduction<T>(64).of((1.0 + size) * 8.0 * (is_cov ? spread : 1.0 / spread));
            CHECK_ALL_NEAR(dr, data[key + ".dr"], bound);
            CHECK_ALL_NEAR(dz, data[key + ".dz"], bound);
        }
    }
}

TEST_CASE_TEMPLATE("mean_gap_contrast, covariance_contrast: against all pairs, at every length", T, float, double) {
    for (const std::size_t n : {std::size_t{2}, simd::pack<T>::lanes - 1, simd::pack<T>::lanes,
                                simd::pack<T>::lanes + 1, std::size_t{511}, std::size_t{513}, std::size_t{700}}) {
        if (n < 2) continue;
        CAPTURE(n);
        for (const double offset : {0.0, 4096.0}) {  // floats of this size are multiples of 1/2048
            auto z = random_normal<T>(n, 0.0, 1.0, 1), r = random_normal<T>(n, 0.0, 2.0, 2);
            for (std::size_t i = 0; i < n; ++i) {
                z[i] = static_cast<T>(std::round(static_cast<double>(z[i]) * 1024.0) / 1024.0 + offset);
                r[i] = static_cast<T>(std::round(static_cast<double>(r[i]) * 1024.0) / 1024.0 - offset);
            }
            std::vector<std::uint8_t> y(n);
            for (std::size_t i = 0; i < n; ++i) y[i] = i % 3 == 0;
            double gap = 0.0, c = 0.0, pairs = 0.0;
            for (std::size_t i = 0; i < n; ++i) {
                for (std::size_t j = 0; j < n; ++j) {
                    const double dz = static_cast<double>(z[i]) - static_cast<double>(z[j]),
                                 dr = static_cast<double>(r[i]) - static_cast<double>(r[j]);
                    c += dz * dr;
                    if (y[i] == 0 || y[j] != 0) continue;
                    gap += dz;
                    pairs += 1.0;
                }
            }
            gap /= pairs;
            c /= static_cast<double>(n) * static_cast<double>(n - 1);
            const placed<T> zs(z, 1), rs(r, 0);
            // Means are doubles: an offset costs doubles their last bits, and floats nothing.
            const double means = sizeof(T) == 4 ? 0.0 : offset;
            CHECK_NEAR(mean_gap_contrast(serial, zs, y).sum(), softplus(-gap), reduction<T>(64).of(4.0 + means));
            CHECK_NEAR(mean_gap_of(serial, zs, y).gap(), gap, reduction<T>(64).of(2.0 + means));
            CHECK_NEAR(2.0 * co_moments_of(serial, zs, rs).covariance(), c, reduction<T>(64).of(4.0));
            CHECK_NEAR(covariance_contrast(serial, zs, rs).sum(), softplus(-c), reduction<T>(64).of(8.0));
            std::vector<T> gradient(n), dr(n);
            mean_gap_contrast(serial, zs, y, {}, gradient);
            covariance_contrast(serial, zs, rs, {}, dr);
            double sum = 0.0, mean = offset;
            for (const T x : z) mean += (static_cast<double>(x) - offset) / static_cast<double>(n);
            for (std::size_t i = 0; i < n; ++i) {
                sum += static_cast<double>(gradient[i]);
                CHECK_NEAR(dr[i], -sigmoid(-c) * 2.0 * (static_cast<double>(z[i]) - mean) / static_cast<double>(n - 1),
                           reduction<T>(64).of((4.0 + means) * 2.0 / static_cast<double>(n - 1)));
            }
            CHECK_NEAR(sum, 0.0, reduction<T>(n).of(1.0));
        }
    }
}

TEST_CASE("mean_gap_contrast: what the classes decide") {
    const doubles z{1.0, 2.0, -3.0};
    // A class without rows: no contrast.
    for (const doubles& y : {doubles{0, 0, 0}, doubles{1, 2, 3}}) {
        doubles gradient(3, 1.0);
        const mean_value m = mean_gap_contrast(serial, z, y, {}, gradient);
        CHECK(m.sum() == 0.0);
        CHECK(m.finish() == 0.0);
        CHECK(gradient == doubles{1.0, 1.0, 1.0});
    }
    CHECK(mean_gap_contrast(serial, doubles{}, doubles{}).finish() == 0.0);
    CHECK_NEAR(mean_gap_contrast(serial, doubles{2.0, 2.0}, doubles{1, 0}).sum(), std::log(2.0), reduction(4));
    // The label's own type decides, not a rounded one.
    const std::vector<float> f{1.0f, 0.0f};
    CHECK(mean_gap_of(serial, f, doubles{1e-300, 0.0}).positives() == 1);
    CHECK(mean_gap_of(serial, f, std::vector<std::int8_t>{3, -1}).positives() == 1);
}

TEST_CASE("covariance_contrast: one row, constants, signs") {
    for (const auto form : forms) {
        doubles dr(1), dz(1);
        CHECK_NEAR(covariance_contrast(serial, doubles{3.0}, doubles{4.0}, {1.0, form}, dr, 1.0, dz).sum(),
                   std::log(2.0), reduction(4));
        CHECK(dr[0] == 0.0);
        CHECK(dz[0] == 0.0);
        const mean_value nothing = covariance_contrast(serial, doubles{}, doubles{}, {1.0, form});
        CHECK(nothing.weight() == 0.0);
        CHECK(std::isnan(nothing.finish()));
        // Outputs that do not vary: no rise.
        const doubles z{1.0, 2.0, 4.0}, flat(3, 5.0);
        doubles gradient(3);
        CHECK_NEAR(covariance_contrast(serial, z, flat, {1.0, form}, gradient).sum(), std::log(2.0), reduction(4));
        const double mean = 7.0 / 3.0, slope = form == covariance_form::covariance ? -0.5 : 0.0;
        for (std::size_t i = 0; i < 3; ++i) CHECK_NEAR(gradient[i], slope * (z[i] - mean), reduction(8).of(1.0));
        // Outputs with the opposite sign cost C / t more.
        const doubles r{1.0, -2.0, 0.5}, minus{-1.0, 2.0, -0.5};
        const co_moments whole = co_moments_of(serial, z, r);
        const double c = form == covariance_form::covariance ? 2.0 * whole.covariance() : whole.correlation();
        CHECK_NEAR(covariance_contrast(serial, z, minus, {0.5, form}).sum(),
                   covariance_contrast(serial, z, r, {0.5, form}).sum() + c / 0.5, reduction(16).of(8.0));
    }
    CHECK(co_moments_of(serial, doubles{1.0, 3.0, 4.0}, doubles{1.0, 3.0, 4.0}).covariance() > 0.0);
}

TEST_CASE("mean_gap_contrast, covariance_contrast: gradients against central differences") {
    const std::size_t n = 23;
    const doubles start = random_normal<double>(2 * n, 0.0, 1.0, 3);
    doubles y(n);
    for (std::size_t i = 0; i < n; i += 4) y[i] = 1.0;
    const auto halves = [&](vector_view<const double> x, bool second) {
        const double* const from = x.data() + (second ? n : 0);
        return doubles(from, from + n);
    };
    for (const bool on_probabilities : {false, true}) {
        const auto value = [&](vector_view<const double> x) {
            return mean_gap_contrast(serial, halves(x, false), y, {on_probabilities}).sum();
        };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            const auto scores = halves(x, false);
            mean_gap_contrast(serial, scores, y, {on_probabilities}, vector_view<double>(out.data(), n));
        };
        CHECK_LAW(testing::check_gradient(value, gradient, start));
    }
    for (const auto form : forms) {
        const auto value = [&](vector_view<const double> x) {
            return covariance_contrast(serial, halves(x, false), halves(x, true), {0.7, form}).sum();
        };
        const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
            covariance_contrast(serial, halves(x, false), halves(x, true), {0.7, form},
                                vector_view<double>(out.data() + n, n), 1.0, vector_view<double>(out.data(), n));
        };
        CHECK_LAW(testing::check_gradient(value, gradient, start));
    }
}

// Everything that a state says, for comparisons.
doubles answers(const mean_gap& s) {
    return {s.gap(), s.finish(), static_cast<double>(s.positives()), static_cast<double>(s.negatives()),
            static_cast<double>(s.rejected())};
}
doubles answers(const co_moments& s) {
    return {s.mean_z(),
            s.mean_r(),
            s.variance_z(),
            s.variance_r(),
            s.covariance(),
            s.finish(),
            s.correlation(),
            static_cast<double>(s.rows()),
            static_cast<double>(s.rejected())};
}

TEST_CASE("mean_gap, co_moments: merge law and threads") {
    const std::size_t n = 40000;
    doubles z = random_normal<double>(n, 3.0, 1.0, 4), r = random_normal<double>(n, -2.0, 1.0, 5);
    const doubles y = random_integers<double>(n, 2, 6);
    z[17] = nan;
    r[30017] = inf;
    const scored<double, double> gap_rows{input(z), input(y), {}}, moment_rows{input(z), input(r), {}};
    const auto same = [](const auto& a, const auto& b) {
        return testing_support::near(answers(a), answers(b), reduction(64).of(4.0)).ok && a.seen() == b.seen();
    };
    const auto equal = [](const auto& a, const auto& b) { return to_bytes(a) == to_bytes(b); };
    exec::pool pool(3);
    CHECK_LAW(testing::check_merge(mean_gap{}, gap_rows, same));
    CHECK_LAW(testing::check_merge(co_moments{}, moment_rows, same));
    CHECK_LAW(testing::check_fold_policy(mean_gap{}, gap_rows, exec::host{pool}, equal));
    CHECK_LAW(testing::check_fold_policy(co_moments{}, moment_rows, exec::host{pool}, equal));
}

TEST_CASE("mean_gap_contrast, covariance_contrast: the same bits for any number of threads; shards add up") {
    const std::size_t n = 50000;
    const auto z = random_normal<float>(n, 3.0, 1.0, 7), r = random_normal<float>(n, -2.0, 1.0, 8);
    const auto y = random_integers<std::uint8_t>(n, 2, 9);
    exec::pool pool(3);
    std::vector<float> gap(n), cov(n), dz(n), gap_threads(n), cov_threads(n), dz_threads(n);
    const double gap_loss = mean_gap_contrast(serial, z, y, {}, gap).sum();
    const double cov_loss = covariance_contrast(serial, z, r, {}, cov, 1.0, dz).sum();
    CHECK(mean_gap_contrast(exec::host{pool}, z, y, {}, gap_threads).sum() == gap_loss);
    CHECK(covariance_contrast(exec::host{pool}, z, r, {}, cov_threads, 1.0, dz_threads).sum() == cov_loss);
    CHECK(gap == gap_threads);
    CHECK(cov == cov_threads);
    CHECK(dz == dz_threads);
    for (const std::size_t shards : {1u, 2u, 7u}) {
        mean_gap gap_state;
        co_moments cov_state;
        const auto slice = [&](const auto& column, std::size_t s) {
            return input(column).slice(s * n / shards, (s + 1) * n / shards - s * n / shards);
        };
        for (std::size_t s = 0; s < shards; ++s) {
            gap_state.merge(mean_gap_of(serial, slice(z, s), slice(y, s)));
            cov_state.merge(co_moments_of(serial, slice(z, s), slice(r, s)));
        }
        // Other blocks of floats add up in other orders.
        CHECK_NEAR(gap_state.finish(), gap_loss, reduction<float>(64).of(0.01));
        CHECK_NEAR(covariance_loss(cov_state), cov_loss, reduction<float>(64).of(0.01));
        std::vector<float> gap_shards(n), cov_shards(n), dz_shards(n);
        for (std::size_t s = 0; s < shards; ++s) {
            const auto out = [&](auto& column) {
                return view(column).slice(s * n / shards, (s + 1) * n / shards - s * n / shards);
            };
            mean_gap_gradient(serial, gap_state, slice(z, s), slice(y, s), out(gap_shards));
            covariance_gradient(serial, cov_state, slice(z, s), slice(r, s), out(cov_shards), {}, 1.0, out(dz_shards));
        }
        CHECK_ALL_NEAR(gap_shards, doubles(gap.begin(), gap.end()), reduction<float>(4));
        CHECK_ALL_NEAR(cov_shards, doubles(cov.begin(), cov.end()), reduction<float>(4).of(4.0 / n));
        CHECK_ALL_NEAR(dz_shards, doubles(dz.begin(), dz.end()), reduction<float>(4).of(4.0 / n));
    }
    // In double shards agree to 1e-10 and better.
    const doubles zd(z.begin(), z.end()), rd(r.begin(), r.end());
    co_moments parts;
    for (std::size_t s = 0; s < 7; ++s) {
        const auto slice = [&](const doubles& c) { return input(c).slice(s * n / 7, (s + 1) * n / 7 - s * n / 7); };
        parts.merge(co_moments_of(serial, slice(zd), slice(rd)));
    }
    CHECK_NEAR(covariance_loss(parts), covariance_contrast(serial, zd, rd).sum(), reduction(64));
}

TEST_CASE_TEMPLATE("mean_gap_contrast, covariance_contrast: finite values of any size stay free of NaN", T, float,
                   double) {
    const T most = std::numeric_limits<T>::max();
    for (const T size : {T(1e-30), T(80), T(1e4), T(1e30), most / 2, most}) {
        std::vector<T> z, r, y;
        for (std::size_t i = 0; i < 40; ++i) {
            z.push_back(i % 2 == 0 ? size : -size);
            r.push_back(i % 3 == 0 ? -size : size / 2);
            y.push_back(static_cast<T>(i % 5 == 0));
        }
        std::vector<T> gap(40), dr(40), dz(40), corr(40), corr_z(40);
        CAPTURE(size);
        CHECK(!std::isnan(mean_gap_contrast(serial, z, y, {}, gap).sum()));
        // Doubles beyond 1e140 do not count.
        const bool counted = sizeof(T) == 4 || static_cast<double>(size) <= 1e140;
        CHECK(mean_gap_of(serial, z, y).rejected() == (counted ? 0 : 40));
        if (!counted) continue;
        CHECK(!std::isnan(covariance_contrast(serial, z, r, {}, dr, 1.0, dz).sum()));
        CHECK(!std::isnan(
            covariance_contrast(serial, z, r, {.form = covariance_form::correlation}, corr, 1.0, corr_z).sum()));
        for (const auto* column : {&gap, &dr, &dz, &corr, &corr_z}) {
            for (const T x : *column) CHECK(!std::isnan(x));
        }
    }
}

TEST_CASE("covariance_contrast: floats whose squares vanish") {
    // Alone, and beside a column that does not vary.
    const std::size_t n = 64;
    const auto x = random_normal<float>(n, 0.0, 1.0, 24);
    std::vector<float> z, r;
    for (const float v : x) {
        z.push_back(v * 1e-23f);
        r.push_back(v * 1e10f);
    }
    double mean_z = 0.0, mean_r = 0.0, product = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
        mean_z += static_cast<double>(z[i]) / static_cast<double>(n);
        mean_r += static_cast<double>(r[i]) / static_cast<double>(n);
    }
    for (std::size_t i = 0; i < n; ++i) {
        product += (static_cast<double>(z[i]) - mean_z) * (static_cast<double>(r[i]) - mean_r);
    }
    const double covariance = product / static_cast<double>(n - 1);
    const co_moments whole = co_moments_of(serial, z, r);
    CHECK_NEAR(whole.covariance() / covariance, 1.0, reduction(n).of(2.0));
    CHECK_NEAR(whole.correlation(0.0), 1.0, reduction<float>(1).of(4.0));
    CHECK_NEAR(covariance_contrast(serial, z, r, {.temperature = 1e-13}).sum(), softplus(-2e13 * covariance),
               reduction(n).of(8.0));
    const co_moments flat = co_moments_of(serial, z, std::vector<float>(n, 3.0f));
    CHECK(flat.seen() == counts{n, 0});
    CHECK(flat.variance_z() > 0.0);
    CHECK(flat.variance_r() == 0.0);
    CHECK(flat.covariance() == 0.0);
}

TEST_CASE("mean_gap_contrast, covariance_contrast: bad rows are skipped, counted and NaN at their own place") {
    for (const std::size_t n : {20u, 600u}) {
        for (const double bad : {nan, inf, -inf}) {
            doubles z = random_normal<double>(n, 0.0, 1.0, 10), r = random_normal<double>(n, 0.0, 1.0, 11);
            doubles y = random_integers<double>(n, 2, 12);
            y[4] = 1.0;
            y[5] = 0.0;
            doubles good_z = z, good_y = y, good_r = r;
            const auto drop = [](doubles& c, std::size_t i) { c.erase(c.begin() + static_cast<std::ptrdiff_t>(i)); };
            for (auto* c : {&good_z, &good_y, &good_r}) {
                drop(*c, 9);
                drop(*c, 3);
            }
            z[3] = bad;
            y[9] = nan;
            r[9] = bad;
            doubles gap(n), dr(n), dz(n);
            const double gap_loss = mean_gap_contrast(serial, z, y, {}, gap).sum();
            const double cov_loss = covariance_contrast(serial, z, r, {}, dr, 1.0, dz).sum();
            CHECK_NEAR(gap_loss, mean_gap_contrast(serial, good_z, good_y).sum(), reduction(64).of(4.0));
            CHECK_NEAR(cov_loss, covariance_contrast(serial, good_z, good_r).sum(), reduction(64).of(4.0));
            CHECK(mean_gap_of(serial, z, y).seen() == counts{n - 2, 2});
            CHECK(co_moments_of(serial, z, r).seen() == counts{n - 2, 2});
            CHECK(mean_gap_of(serial, z, y, {.on_probabilities = true}).seen() == counts{n - 2, 2});
            for (std::size_t i = 0; i < n; ++i) {
                CHECK(std::isnan(gap[i]) == (i == 3));
                CHECK(std::isnan(dr[i]) == (i == 3 || i == 9));
                CHECK(std::isnan(dz[i]) == (i == 3 || i == 9));
            }
            CHECK(gap[9] == 0.0);
        }
    }
}

TEST_CASE("mean_gap_contrast, covariance_contrast: bad input") {
    const std::vector<float> two(2), three(3);
    std::vector<float> room(3), other(2);
    CHECK_THROWS_WITH_AS(mean_gap_contrast(serial, two, three), "mean_gap_contrast: 2 scores but 3 labels",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(mean_gap_contrast(serial, two, two, {}, room),
                         "mean_gap_contrast: 2 scores but room for 3 derivatives", std::invalid_argument);
    CHECK_THROWS_WITH_AS(covariance_contrast(serial, two, three), "covariance_contrast: 2 scores but 3 outputs",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(covariance_contrast(serial, two, two, {}, other, 1.0, room),
                         "covariance_contrast: 2 rows but room for 3 derivatives", std::invalid_argument);
    CHECK_THROWS_WITH_AS(covariance_contrast(serial, two, two, {.temperature = 0.0}),
                         "covariance_contrast: temperature must lie in [1e-15, 1e15], got 0", std::invalid_argument);
    CHECK(other == std::vector<float>(2));
    // Each function reports by its own name.
    CHECK_THROWS_WITH_AS(mean_gap_of(serial, two, three), "mean_gap_of: 2 scores but 3 labels", std::invalid_argument);
    CHECK_THROWS_WITH_AS(mean_gap_gradient(serial, {}, two, two, room),
                         "mean_gap_gradient: 2 scores but room for 3 derivatives", std::invalid_argument);
    CHECK_THROWS_WITH_AS(co_moments_of(serial, two, three), "co_moments_of: 2 scores but 3 outputs",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(covariance_gradient(serial, {}, two, two, room),
                         "covariance_gradient: 2 rows but room for 3 derivatives", std::invalid_argument);
    CHECK_THROWS_WITH_AS(covariance_loss({}, {.temperature = 0.0}),
                         "covariance_loss: temperature must lie in [1e-15, 1e15], got 0", std::invalid_argument);
}

mean_gap stored_gap() {
    return mean_gap_of(serial, random_normal<double>(50, 0.0, 1.0, 20), random_integers<double>(50, 2, 21));
}
co_moments stored_moments() {
    return co_moments_of(serial, random_normal<double>(50, 1.0, 1.0, 22), random_normal<double>(50, 0.0, 2.0, 23));
}

TEST_CASE("mean_gap, co_moments: bytes") {
    CHECK_LAW(testing::check_bytes(stored_gap(), [](const mean_gap& s) {
        mean_gap sum = s;
        sum.merge(stored_gap());
        return !std::isnan(s.gap()) && !std::isnan(sum.finish()) && s.finish() >= 0.0;
    }));
    CHECK_LAW(testing::check_bytes(stored_moments(), [](const co_moments& s) {
        co_moments sum = s;
        sum.merge(stored_moments());
        const double c = s.correlation();
        return !std::isnan(covariance_loss(sum)) &&
               (s.rows() == 0 || (std::fabs(c) <= 1.01 && !std::isnan(s.covariance())));
    }));
    CHECK(to_bytes(from_bytes<mean_gap>(to_bytes(mean_gap{}))) == to_bytes(mean_gap{}));
    CHECK(to_bytes(from_bytes<co_moments>(to_bytes(co_moments{}))) == to_bytes(co_moments{}));
    // Values whose squares vanish.
    const doubles small_ones{1e-170, 2e-170, -4e-170}, ones{1.0, 2.0, 3.0};
    const co_moments thin = co_moments_of(serial, small_ones, ones);
    CHECK(to_bytes(from_bytes<co_moments>(to_bytes(thin))) == to_bytes(thin));
}

TEST_CASE("golden: batch contrasts") {
    check_golden("mean_gap", stored_gap(), [](const mean_gap& s) { return answers(s); });
    check_golden("co_moments", stored_moments(), [](const co_moments& s) { return answers(s); });
}
TEST_CASE("golden: write batch contrasts" * doctest::skip()) {
    write_golden("mean_gap", stored_gap());
    write_golden("co_moments", stored_moments());
}

}  // namespace
