// RankNet over lists: worked example, PyTorch, plain loops in double, gradients, shards, threads, extremes.
#include "reckon/losses/rank_net.hpp"

#include <doctest/doctest.h>

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

template <class T>
struct result {
    double loss = 0.0, weight = 0.0;
    std::vector<T> gradient, hessian;
    bool operator==(const result&) const = default;
};
template <class T, class Policy, class Y>
result<T> run(const Policy& where, const std::vector<T>& s, const std::vector<Y>& y,
              const std::vector<std::uint32_t>& offsets, const rank_net_options& options = {}, double scale = 1.0) {
    result<T> out{0.0, 0.0, std::vector<T>(s.size()), std::vector<T>(s.size())};
    const mean_value m = rank_net(where, s, y, offsets, options, out.gradient, scale, out.hessian);
    out.loss = m.sum();
    out.weight = m.weight();
    return out;
}

// The definition, in double.
template <class T, class Y>
result<double> reference(const std::vector<T>& s, const std::vector<Y>& y, const std::vector<std::uint32_t>& offsets,
                         const rank_net_options& options = {}) {
    result<double> out{0.0, 0.0, std::vector<double>(s.size()), std::vector<double>(s.size())};
    for (std::size_t l = 0; l + 1 < offsets.size(); ++l) {
        double pairs = 0.0;
        compensated_sum sum;
        const std::size_t first = offsets[l], end = offsets[l + 1];
        for (std::size_t i = first; i < end; ++i) {
            for (std::size_t j = first; j < end; ++j) pairs += y[i] > y[j] ? 1.0 : 0.0;
        }
        if (pairs == 0.0) continue;
        const bool mean = options.normalisation == pair_normalisation::mean_per_group;
        const double factor = (mean ? 1.0 / pairs : 1.0) * options.sigma;
        for (std::size_t i = first; i < end; ++i) {
            for (std::size_t j = first; j < end; ++j) {
                if (!(y[i] > y[j])) continue;
                const double x = options.sigma * (static_cast<double>(s[j]) - static_cast<double>(s[i]));
                const double t = std::exp(-std::fabs(x)), p = (x < 0.0 ? t : 1.0) / (1.0 + t);
                sum.absorb(std::fmax(0.0, x) + std::log1p(t));
                out.gradient[i] -= factor * p;
                out.gradient[j] += factor * p;
                const double curve = factor * options.sigma * t / ((1.0 + t) * (1.0 + t));
                out.hessian[i] += curve;
                out.hessian[j] += curve;
            }
        }
        out.loss += mean ? sum.value() / pairs : sum.value();
        out.weight += mean ? 1.0 : pairs;
    }
    return out;
}

std::vector<std::uint32_t> offsets_of(const std::vector<std::size_t>& lengths) {
    std::vector<std::uint32_t> offsets{0};
    for (const std::size_t n : lengths) offsets.push_back(offsets.back() + static_cast<std::uint32_t>(n));
    return offsets;
}
std::vector<float> grades(std::size_t n, std::uint64_t levels, std::uint64_t seed) {
    return random_integers<float>(n, levels, seed);
}

TEST_CASE("rank_net: worked example") {
    // One click above two rows, one of them with the same score.
    const std::vector<double> s{0.0, 0.0, 3.0, 7.0};
    const std::vector<std::uint8_t> y{1, 0, 0, 1};
    std::vector<double> gradient(4, 1.0), hessian(4);
    const auto loss = rank_net(serial, s, y, std::vector<std::uint32_t>{0, 3, 4}, {}, gradient, 2.0, hessian);
    const double p = 1.0 / (1.0 + std::exp(-3.0));
    CHECK_NEAR(loss.sum(), std::log(2.0) + std::log1p(std::exp(3.0)), reduction(4));
    CHECK(loss.weight() == 2.0);
    CHECK_ALL_NEAR(gradient, (std::vector<double>{1.0 - 2.0 * (0.5 + p), 1.0 + 2.0 * 0.5, 1.0 + 2.0 * p, 1.0}),
                   reduction(4).of(4.0));
    CHECK_ALL_NEAR(hessian, (std::vector<double>{2.0 * (0.25 + p * (1.0 - p)), 0.5, 2.0 * p * (1.0 - p), 0.0}),
                   reduction(4));
}

TEST_CASE("rank_net: PyTorch") {
    const fixture data("pairwise.txt");
    for (const std::string name : {"lists", "steep", "clicks", "times", "lists80", "lists1e4", "equal"}) {
        CAPTURE(name);
        const auto s = data.as<double>(name + ".s"), y = data.as<double>(name + ".y");
        const auto offsets = data.as<std::uint32_t>(name + ".offsets");
        const double sigma = data.value(name + ".sigma");
        const auto sum = run(serial, s, y, offsets, {.sigma = sigma});
        const auto mean =
            run(serial, s, y, offsets, {.sigma = sigma, .normalisation = pair_normalisation::mean_per_group});
        // Labels that are no small integers and float labels come to the same.
        const auto floats = run(serial, s, data.as<float>(name + ".y"), offsets, {.sigma = sigma});
        const tolerance slope = reduction(100).of(30.0 * sigma * sigma);
        CHECK_NEAR(sum.loss, data.value(name + ".sum"), reduction(100));
        CHECK_ALL_NEAR(sum.gradient, data.as<double>(name + ".ds"), slope);
        CHECK_ALL_NEAR(sum.hessian, data.as<double>(name + ".hs"), slope);
        CHECK_NEAR(mean.loss, data.value(name + ".mean"), reduction(100));
        CHECK_ALL_NEAR(mean.gradient, data.as<double>(name + ".dm"), slope);
        CHECK(floats == sum);
    }
}

// Slopes add up pairs of at most 1 each.
template <class T>
tolerance slope_error(std::size_t pairs, double spread) {
    return reduction<T>(static_cast<std::size_t>(16.0 + spread)).of(static_cast<double>(pairs) + 1.0);
}

template <class T, class Y>
void compare(const std::vector<T>& s, const std::vector<Y>& y, const std::vector<std::uint32_t>& offsets, double spread,
             const rank_net_options& options) {
    const auto got = run(serial, s, y, offsets, options);
    const auto want = reference(s, y, offsets, options);
    std::size_t longest = 0;
    for (std::size_t l = 0; l + 1 < offsets.size(); ++l) {
        longest = (std::max)(longest, static_cast<std::size_t>(offsets[l + 1] - offsets[l]));
    }
    const double steep = options.sigma * options.sigma + options.sigma;
    CHECK_NEAR(got.loss, want.loss, reduction<T>(128).of(want.loss + want.weight));
    CHECK(got.weight == want.weight);
    CHECK_ALL_NEAR(got.gradient, want.gradient,
                   slope_error<T>(longest, spread * options.sigma).of(steep * static_cast<double>(longest)));
    CHECK_ALL_NEAR(got.hessian, want.hessian,
                   slope_error<T>(longest, spread * options.sigma).of(steep * static_cast<double>(longest)));
}

TEST_CASE_TEMPLATE("rank_net: against the definition", T, float, double) {
    // Around the lanes, the block of rows and what lanes add up; narrow and wide ranges.
    const auto lengths = std::vector<std::size_t>{0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 259, 530};
    const auto offsets = offsets_of(lengths);
    const std::size_t n = offsets.back();
    for (const double spread : {0.5, 3.0, 60.0}) {
        CAPTURE(spread);
        const auto s = random_normal<T>(n, 5.0, spread, 1);
        for (const auto normalisation : {pair_normalisation::sum, pair_normalisation::mean_per_group}) {
            compare(s, grades(n, 5, 2), offsets, spread, {.normalisation = normalisation});
        }
        compare(s, grades(n, 2, 3), offsets, spread, {.sigma = 2.0});
        compare(s, grades(n, 1, 3), offsets, spread, {});
        compare(s, random_uniform<float>(n, 0.0, 9.0, 4), offsets, spread, {});
        compare(s, random_uniform<double>(n, -9.0, 9.0, 4), offsets, spread, {});
        compare(s, random_integers<std::uint64_t>(n, 1000, 5), offsets, spread, {.sigma = 0.5});
        compare(s, random_integers<std::int8_t>(n, 256, 6), offsets, spread, {});
    }
}

TEST_CASE("rank_net: float against double over the range of scores") {
    const std::size_t n = 300;
    const auto offsets = offsets_of({n});
    const auto y = grades(n, 5, 7);
    for (const double spread : {1e-3, 0.1, 1.0, 3.0, 10.0, 1e3, 1e6}) {
        CAPTURE(spread);
        const auto s = random_normal<float>(n, 0.0, spread, 8);
        const std::vector<double> same(s.begin(), s.end());
        const auto got = run(serial, s, y, offsets);
        const auto exact = run(serial, same, y, offsets);
        CHECK_NEAR(got.loss, exact.loss, reduction<float>(16).of(exact.loss));
        CHECK_ALL_NEAR(got.gradient, exact.gradient, reduction<float>(16).of(static_cast<double>(n)));
    }
}

TEST_CASE("rank_net: gradient, and the curvature as its slope") {
    const auto offsets = offsets_of({9, 14});
    const auto y = grades(23, 4, 9);
    const rank_net_options options{.sigma = 1.5, .normalisation = pair_normalisation::mean_per_group};
    const auto start = random_normal<double>(23, 0.0, 1.0, 10);
    const auto value = [&](vector_view<const double> x) { return rank_net(serial, x, y, offsets, options).sum(); };
    const auto gradient = [&](vector_view<const double> x, vector_view<double> out) {
        rank_net(serial, x, y, offsets, options, out);
    };
    CHECK_LAW(testing::check_gradient(value, gradient, start));
    const auto at = run(serial, start, y, offsets, options);
    for (std::size_t i = 0; i < start.size(); ++i) {
        auto ahead = start, behind = start;
        ahead[i] += 1e-5;
        behind[i] -= 1e-5;
        const double slope = (run(serial, ahead, y, offsets, options).gradient[i] -
                              run(serial, behind, y, offsets, options).gradient[i]) /
                             2e-5;
        CHECK_NEAR(at.hessian[i], slope, fitted());
    }
}

TEST_CASE("rank_net: shards of lists add up to the whole, for any number of threads") {
    const std::vector<std::size_t> lengths(300, 70);
    const auto offsets = offsets_of(lengths);
    const auto s = random_normal<float>(offsets.back(), 0.0, 2.0, 11);
    const auto y = grades(offsets.back(), 3, 12);
    const auto whole = run(serial, s, y, offsets);
    exec::pool two(2), three(3);
    CHECK(run(exec::host{two}, s, y, offsets) == whole);
    CHECK(run(exec::host{three}, s, y, offsets) == whole);
    mean_value loss;
    std::vector<float> gradient(s.size()), hessian(s.size());
    for (std::size_t first = 0; first < 300; first += 128) {
        const std::size_t count = (std::min)(std::size_t{128}, 300 - first);
        loss.merge(rank_net(serial, view(s).slice(first * 70, count * 70), view(y).slice(first * 70, count * 70),
                            offsets_of(std::vector<std::size_t>(count, 70)), {},
                            view(gradient).slice(first * 70, count * 70), 1.0,
                            view(hessian).slice(first * 70, count * 70)));
    }
    CHECK_NEAR(loss.sum(), whole.loss, reduction(300));
    CHECK(loss.weight() == whole.weight);
    CHECK(gradient == whole.gradient);
    CHECK(hessian == whole.hessian);
}

TEST_CASE("rank_net: the gradient of a list adds up to 0, and a shift of its scores changes nothing") {
    const auto offsets = offsets_of({40});
    const auto y = grades(40, 5, 13);
    const auto s = random_normal<double>(40, 0.0, 1.0, 14);
    auto shifted = s;
    for (double& x : shifted) x += 1024.0;
    const auto got = run(serial, s, y, offsets), there = run(serial, shifted, y, offsets);
    double sum = 0.0;
    for (const double g : got.gradient) sum += g;
    CHECK_NEAR(sum, 0.0, reduction(40).of(40.0));
    // A score of 1024 is rounded to 2^-43.
    CHECK_NEAR(there.loss, got.loss, reduction<float>(1));
}

TEST_CASE("rank_net: finite scores of any size stay finite or go to infinity, never NaN") {
    const auto y = grades(40, 3, 15);
    for (const double size : {1e-30, 1e2, 1e8, 1e30, 3e37}) {
        CAPTURE(size);
        const auto got = run(serial, random_normal<float>(40, 0.0, size, 16), y, offsets_of({40}));
        CHECK(!std::isnan(got.loss));
        for (const float x : got.gradient) CHECK(std::isfinite(x));
        for (const float x : got.hessian) CHECK(std::isfinite(x));
    }
}

TEST_CASE_TEMPLATE("rank_net: any sigma with the largest scores", T, float, double) {
    const T most = (std::numeric_limits<T>::max)();
    const double large = static_cast<double>(most);
    // A difference beyond the type, which sigma brings back: the lower score has the higher label.
    for (const double wanted : {0.5, 6.0, 60.0}) {
        CAPTURE(wanted);
        const double sigma = 0.5 * wanted / large, nats = 2.0 * sigma * large, scale = 0.125 / sigma;
        const auto got = run(serial, std::vector<T>{-most, most}, std::vector<float>{1, 0}, offsets_of({2}),
                             {.sigma = sigma}, scale);
        const double slope = 0.125 / (1.0 + std::exp(-nats));
        CHECK_NEAR(got.loss, std::log1p(std::exp(nats)), reduction<T>(4).of(1.0 + nats));
        CHECK_ALL_NEAR(got.gradient, (std::vector<double>{-slope, slope}), reduction<T>(8));
    }
    const auto extremes = finite_extremes<T>();
    std::vector<T> s;
    while (s.size() < 130) s.insert(s.end(), extremes.begin(), extremes.end());
    const auto rows = s.size();
    const auto y = grades(rows, 3, 19);
    for (const double sigma : {1e-50, 1e-38, 1e-30, 1e-3, 1e3, 1e30}) {
        CAPTURE(sigma);
        // In lanes, and sorted.
        for (const auto& lists : {offsets_of({18, rows - 18}), offsets_of({rows})}) {
            const auto got = run(serial, s, y, lists, {.sigma = sigma});
            CHECK(!std::isnan(got.loss));
            for (const T x : got.gradient) CHECK(!std::isnan(x));
            for (const T x : got.hessian) CHECK(!std::isnan(x));
        }
    }
}

TEST_CASE("rank_net: NaN, lists without pairs, bad input") {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    // A score that is NaN reaches those it is compared with; a label that is NaN takes its row out.
    const std::vector<double> s{1.0, nan, 0.5, 2.0, 0.0}, y{2.0, 1.0, 1.0, 0.0, nan};
    const auto got = run(serial, s, y, offsets_of({5}));
    CHECK(std::isnan(got.loss));
    CHECK(got.weight == 5.0);
    for (std::size_t i = 0; i < 5; ++i) {
        CAPTURE(i);
        CHECK(std::isnan(got.gradient[i]) == (i == 0 || i == 1 || i == 3));
    }
    CHECK(got.gradient[4] == 0.0);
    for (const std::size_t n : {12u, 130u}) {
        auto scores = random_normal<double>(n, 0.0, 1.0, 17);
        auto labels = grades(n, 4, 18);
        labels[3] = static_cast<float>(nan);
        const auto with = run(serial, scores, labels, offsets_of({n}));
        scores.erase(scores.begin() + 3);
        labels.erase(labels.begin() + 3);
        const auto without = run(serial, scores, labels, offsets_of({n - 1}));
        CHECK_NEAR(with.loss, without.loss, reduction(n));
        CHECK(with.weight == without.weight);
        CHECK(with.gradient[3] == 0.0);
        CHECK_NEAR(with.gradient[4], without.gradient[3], reduction(n).of(static_cast<double>(n)));
    }

    const auto empty = run(serial, std::vector<float>{1, 2, 3}, std::vector<int>{4, 4, 9}, offsets_of({0, 2, 1, 0}),
                           {.normalisation = pair_normalisation::mean_per_group});
    CHECK(empty.loss == 0.0);
    CHECK(empty.weight == 0.0);
    CHECK(empty.gradient == std::vector<float>(3));

    const std::vector<float> two(2), three(3);
    std::vector<float> out(2);
    const std::vector<std::uint32_t> whole{0, 3};
    CHECK_THROWS_WITH_AS(rank_net(serial, two, three, whole), "rank_net: 2 scores but 3 labels", std::invalid_argument);
    CHECK_THROWS_WITH_AS(rank_net(serial, two, two, whole), "rank_net: 2 rows but offsets that end with 3",
                         std::invalid_argument);
    CHECK_THROWS_WITH_AS(rank_net(serial, three, three, whole, {}, out),
                         "rank_net: 3 scores but room for 2 derivatives", std::invalid_argument);
    CHECK_THROWS_WITH_AS(rank_net(serial, three, three, whole, {.sigma = 0.0}),
                         "rank_net: sigma must be positive and finite, got 0", std::invalid_argument);
    // Nothing is read of a list that is too long.
    const std::uint64_t too_many = std::uint64_t{1} << 32;
    const vector_view<const float> endless(two.data(), too_many);
    CHECK_THROWS_WITH_AS(rank_net(serial, endless, endless, std::vector<std::uint64_t>{0, too_many}),
                         "rank_net: a list of 4294967296 rows, fewer than 2^32 are possible", std::invalid_argument);
    CHECK(std::isnan(
        rank_net(serial, std::vector<float>{}, std::vector<float>{}, std::vector<std::uint32_t>{}).finish()));
}

}  // namespace
