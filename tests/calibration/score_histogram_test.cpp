// Sums per cell of the score, and calibrators fitted again from them.
#include "reckon/calibration/score_histogram.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/calibration/histogram_binning.hpp"
#include "reckon/calibration/isotonic.hpp"
#include "reckon/calibration/platt.hpp"
#include "reckon/calibration/sir.hpp"
#include "reckon/calibration/temperature.hpp"
#include "reckon/exec/pool.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

bool same(const score_histogram& a, const score_histogram& b) {
    return std::equal(a.cells().begin(), a.cells().end(), b.cells().begin(), b.cells().end()) && a.seen() == b.seen() &&
           a.clock() == b.clock();
}

// Scores and weights that are dyadic: all sums are exact, so any order gives the same bits.
scored_columns<float> dyadic_rows(std::size_t n, std::uint64_t seed = 1) {
    auto data = random_scored<float>(n, {.seed = seed});
    for (float& p : data.scores) p = std::floor(p * 1024) / 1024;
    return data;
}

// The cell by its definition, from the bounds alone.
std::size_t plain_index(const score_histogram& h, double f) {
    const std::size_t n = h.cells().size();
    std::size_t k = 0;
    if (h.input_kind() == score_kind::logit || f < 0.5) {
        while (k + 1 < n && h.lower(k + 1) <= f) ++k;
    } else {
        k = n - 1;
        while (k > n / 2 && h.lower(k) >= f) --k;
    }
    return k;
}

template <class T, class W>
std::vector<score_cell> plain_cells(const score_histogram& h, const std::vector<T>& f,
                                    const std::vector<std::uint8_t>& y, const std::vector<W>& w) {
    std::vector<score_cell> cells(h.cells().size());
    for (std::size_t i = 0; i < f.size(); ++i) {
        const double weight = w.empty() ? 1.0 : double(w[i]);
        cells[plain_index(h, double(f[i]))].add({weight, weight * double(f[i]), weight * y[i], weight * weight});
    }
    return cells;
}

template <class Call>
std::string message(Call&& call) {
    try {
        call();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "no exception";
}

// Rows of three days with a half-life of two, and the weights that they have at the end.
struct faded_log {
    std::vector<double> p, w;
    std::vector<std::uint8_t> y;
    score_histogram sums;
};
faded_log make_faded(double half_life, std::uint64_t seed) {
    faded_log log{{}, {}, {}, score_histogram({.half_life = half_life})};
    for (int day = 0; day < 3; ++day) {
        const auto rows = random_scored<double>(
            20000, {.seed = seed * 10 + std::uint64_t(day), .bias = -2.0, .slope = 1.3, .shift = 0.2});
        log.sums.advance(day);
        log.sums.absorb(make_scored("test", rows.scores, rows.labels, rows.weights));
        const double factor = std::exp2((day - 2) / half_life);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            log.p.push_back(rows.scores[i]);
            log.y.push_back(rows.labels[i]);
            log.w.push_back(rows.weights[i] * factor);
        }
    }
    return log;
}

}  // namespace

TEST_CASE("score_histogram: worked example") {
    score_histogram h({.resolution = 2});
    CHECK(h.cells().size() == 184);
    const std::vector<double> p{0.25, 0.3, 0.5, 0.75, 0.0, 1.0};
    const std::vector<std::uint8_t> y{0, 1, 1, 1, 0, 1};
    h.absorb(make_scored("test", p, y));
    // [1/4, 5/16) is the first of four cells in the octave below 1/2; its mirror image is (11/16, 3/4].
    CHECK(h.lower(88) == 0.25);
    CHECK(h.upper(88) == 0.3125);
    CHECK(h.cells()[88] == score_cell{2, 0.55, 1, 2});
    CHECK(h.lower(95) == 0.6875);
    CHECK(h.upper(95) == 0.75);
    CHECK(h.cells()[95] == score_cell{1, 0.75, 1, 1});
    CHECK(h.index(0.5) == 92);
    CHECK(h.cells()[0] == score_cell{1, 0, 0, 1});
    CHECK(h.cells()[183] == score_cell{1, 1, 1, 1});
    CHECK(h.lower(0) == 0);
    CHECK(h.upper(0) == 0x1.4p-24);
    CHECK(h.upper(183) == 1);
    CHECK(h.total() == score_cell{6, 2.8, 4, 6});
    CHECK(h.effective_rows() == 6);
    const auto rows = h.columns();
    CHECK(rows.scores == std::vector<double>{0, 0.275, 0.5, 0.75, 1});
    CHECK(rows.labels == std::vector<double>{0, 0.5, 1, 1, 1});
    CHECK(rows.weights == std::vector<double>{1, 2, 1, 1, 1});

    score_histogram z({.input = score_kind::logit, .resolution = 2});
    CHECK(z.cells().size() == 128);
    CHECK(z.index(-100.0) == 0);
    CHECK(z.index(-0.01) == 63);
    CHECK(z.index(0.0) == 64);
    CHECK(z.index(0.25f) == 65);
    CHECK(z.index(1e30f) == 127);
    CHECK(z.lower(65) == 0.25);
}

TEST_CASE("score_histogram: against a plain loop") {
    for (const int resolution : {2, 6, 10}) {
        for (const std::size_t n : {0u, 1u, 255u, 256u, 257u, 1200u}) {
            const auto data = random_scored<float>(n, {.slope = 3.0});
            score_histogram weighted({.resolution = resolution}), plain = weighted;
            weighted.absorb(make_scored("test", data.scores, data.labels, data.weights));
            plain.absorb(make_scored("test", data.scores, data.labels));
            CHECK(weighted.seen().accepted == n);
            const auto want = plain_cells(weighted, data.scores, data.labels, data.weights);
            CHECK(std::equal(want.begin(), want.end(), weighted.cells().begin()));
            const auto ones = plain_cells(plain, data.scores, data.labels, std::vector<float>{});
            CHECK(std::equal(ones.begin(), ones.end(), plain.cells().begin()));
        }
    }
    const auto z = random_normal<double>(1000, -1.0, 6.0);
    const std::vector<std::uint8_t> y(1000, 1);
    score_histogram logits({.input = score_kind::logit});
    logits.absorb(make_scored("test", z, y));
    const auto want = plain_cells(logits, z, y, std::vector<float>{});
    CHECK(std::equal(want.begin(), want.end(), logits.cells().begin()));
}

TEST_CASE("score_histogram: cells are narrow, and those of floats are those of doubles") {
    const score_histogram h;
    for (std::size_t k = 1; k + 1 < h.cells().size(); ++k) {
        const double a = h.lower(k), b = h.upper(k);
        REQUIRE(a < b);
        CHECK(b / a <= 1 + 0x1p-6);
        CHECK((1 - a) / (1 - b) <= 1 + 0x1p-6);
    }
    auto p = random_uniform<float>(2000, 0.0, 1.0);
    for (const float x : shaped_scores(2000, 4)) p.push_back(x);
    for (const float x : extreme_probabilities<float>()) p.push_back(x);
    for (const float x : p) {
        const std::size_t k = h.index(x);
        CHECK(k == h.index(static_cast<double>(x)));
        CHECK(h.lower(k) <= static_cast<double>(x));
        CHECK(static_cast<double>(x) <= h.upper(k));
    }
}

TEST_CASE("score_histogram: laws of merging, threads and bytes") {
    const auto data = dyadic_rows(3000);
    const auto batch = make_scored("test", data.scores, data.labels, data.weights);
    CHECK_LAW(testing::check_merge(score_histogram({.resolution = 3}), batch, same));
    const auto many = random_scored<float>(300001, {.slope = 2.0});
    const auto columns = make_scored("test", many.scores, many.labels, many.weights);
    score_histogram serial({.half_life = 3}), direct = serial;
    serial.advance(2);
    serial.absorb(exec::serial, columns);
    direct.absorb(columns);
    for (std::size_t k = 0; k < direct.cells().size(); ++k) {
        CHECK_NEAR(serial.cells()[k].score, direct.cells()[k].score, worst_reduction(300001));
    }
    for (const unsigned threads : {1u, 2u, 3u}) {
        exec::pool pool(threads);
        score_histogram other({.half_life = 3});
        other.advance(2);
        other.absorb(exec::host(pool), columns);
        CHECK(same(serial, other));
    }
    score_histogram small({.resolution = 2, .half_life = 4});
    small.absorb(make_scored("test", data.scores, data.labels));
    small.advance(3);
    const auto read = from_bytes<score_histogram>(to_bytes(small));
    CHECK(same(read, small));
    CHECK(read.half_life() == 4);
    CHECK(to_bytes(read) == to_bytes(small));
    const auto usable = [](const score_histogram& h) {
        score_histogram other = h;
        other.merge(h);
        const auto rows = h.columns();
        return other.total().weight >= h.total().weight && std::is_sorted(rows.scores.begin(), rows.scores.end());
    };
    CHECK_LAW(testing::check_bytes(small, usable));
}

TEST_CASE("score_histogram: bytes that no rows have") {
    struct parts {
        std::uint8_t kind = 0, resolution = 2;
        double half_life = 1, start = 0, clock = 0;
        std::size_t cells = 184, at = 88;
        score_cell cell{1, 0.25, 1, 1};
    };
    const auto read = [](const parts& p) {
        byte_writer out;
        out.put(p.kind);
        out.put(p.resolution);
        for (const double v : {p.half_life, p.start, p.clock}) out.put(v);
        out.put(std::uint64_t{1});
        out.put(std::uint64_t{0});
        for (std::size_t k = 0; k < p.cells; ++k) {
            const score_cell c = k == p.at ? p.cell : score_cell{};
            for (const double v : {c.weight, c.score, c.label, c.squares}) out.put(v);
        }
        return from_bytes<score_histogram>(out.seal(score_histogram::bytes_kind, 1));
    };
    const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
    CHECK_NOTHROW(read({}));
    CHECK_THROWS_AS(read({.kind = 2}), std::runtime_error);
    CHECK_THROWS_AS(read({.resolution = 1}), std::runtime_error);
    CHECK_THROWS_AS(read({.resolution = 11}), std::runtime_error);
    CHECK_THROWS_AS(read({.half_life = 0}), std::runtime_error);
    CHECK_THROWS_AS(read({.start = inf}), std::runtime_error);
    CHECK_THROWS_AS(read({.clock = -1}), std::runtime_error);
    CHECK_THROWS_AS(read({.cells = 183}), std::runtime_error);
    CHECK_THROWS_AS(read({.at = 90}), std::runtime_error);  // 1/4 is not in this cell
    for (const score_cell& bad : {score_cell{1, 0.25, 2, 1}, score_cell{1, 2, 1, 1}, score_cell{-1, -0.25, 0, 1},
                                  score_cell{1, nan, 1, 1}, score_cell{inf, inf, 1, 1}, score_cell{0, 0.25, 0, 0},
                                  score_cell{1, 0.25, 1, -1}, score_cell{1, 0.25, nan, 1}}) {
        CHECK_THROWS_AS(read({.cell = bad}), std::runtime_error);
    }
}

TEST_CASE("score_histogram: forgetting") {
    const auto a = dyadic_rows(500, 1), b = dyadic_rows(500, 2);
    const score_histogram_options options{.resolution = 3, .half_life = 2};
    score_histogram old(options), recent(options), together(options);
    together.absorb(make_scored("test", a.scores, a.labels, a.weights));
    old = together;
    together.advance(4);  // two half-lives: a factor of 1/4, which is exact
    together.absorb(make_scored("test", b.scores, b.labels, b.weights));
    recent.advance(4);
    recent.absorb(make_scored("test", b.scores, b.labels, b.weights));
    CHECK(old.total().weight / 4 + recent.total().weight == together.total().weight);
    CHECK(old.total().squares / 16 + recent.total().squares == together.total().squares);
    // Either side may be the older one.
    score_histogram left = old, right = recent;
    left.merge(recent);
    right.merge(old);
    CHECK(same(left, together));
    CHECK(same(right, together));
    CHECK(left.clock() == 4);
    CHECK(left.effective_rows() < 1000);
    CHECK(message([&] { left.advance(3); }) == "score_histogram::advance: the clock is at 4 and cannot be set to 3");
    together.advance(4 + 2 * 3000.0);
    CHECK(together.total().weight == 0);
    CHECK(together.columns().scores.empty());
    // Sums that have nearly faded away still travel.
    recent.advance(4 + 2 * 1060.0);
    CHECK(recent.total().weight > 0);
    CHECK(same(from_bytes<score_histogram>(to_bytes(recent)), recent));
    recent.clear();
    CHECK(recent.total() == score_cell{});
    CHECK(recent.clock() == 2124);
}

TEST_CASE("score_histogram: bad input") {
    const float nan = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
    //                           good  p     p     p      p    y     y      w     w     w    good
    const std::vector<float> p{0.5f, nan, inf, -0.1f, 1.1f, 0.5f, 0.5f, 0.5f, 0.5f, 0.5f, 1.0f};
    const std::vector<float> y{1.0f, 1, 1, 1, 1, nan, 1.5f, 1, 1, 1, 0.0f};
    const std::vector<float> w{2.0f, 1, 1, 1, 1, 1, 1, nan, -1, inf, 0.0f};
    score_histogram h;
    h.absorb(make_scored("test", p, y, w));
    CHECK(h.seen() == counts{2, 9});
    CHECK(h.total() == score_cell{2, 1, 2, 4});
    score_histogram z({.input = score_kind::logit});
    z.absorb(make_scored("test", std::vector<double>{1e39, -1e300, std::nan(""), 3.0, -40.0}, std::vector<int>(5, 1)));
    CHECK(z.seen() == counts{2, 3});
    CHECK(z.total().score == -37);

    const auto build = [](const score_histogram_options& o) { return message([&] { score_histogram{o}; }); };
    CHECK(build({.resolution = 1}) == "score_histogram: the resolution must be in 2 .. 10");
    CHECK(build({.resolution = 11}) == "score_histogram: the resolution must be in 2 .. 10");
    CHECK(build({.half_life = 0}) == "score_histogram: the half-life must be positive");
    CHECK(build({.start = std::nan("")}) == "score_histogram: the clock must start at a finite time");
    CHECK(message([&] { h.merge(z); }) == "score_histogram::merge: probabilities on one side, log-odds on the other");
    CHECK(message([&] { h.merge(score_histogram({.resolution = 5})); }) ==
          "score_histogram::merge: resolution 6 here, 5 there");
    CHECK(message([&] { h.merge(score_histogram({.half_life = 1})); }) ==
          "score_histogram::merge: a half-life of inf here, 1 there");
    CHECK(message([&] { (void)h.slices(0); }) == "score_histogram::slices: at least one row is needed");
    CHECK(message([&] { (void)refit<platt>(exec::serial, z, platt_options{}); }) ==
          "refit: the histogram holds log-odds, the fit wants probabilities");

    // Nothing and one class have the answers of the fit.
    const score_histogram empty;
    CHECK(refit<platt>(exec::serial, empty).slope() == 1);
    CHECK(refit<isotonic>(exec::serial, empty)(0.25) == 0.25);
    CHECK(refit<sir>(exec::serial, empty)(0.25) == 0.25);
    score_histogram ones;
    ones.absorb(make_scored("test", std::vector<float>{0.25f, 0.5f}, std::vector<int>{1, 1}));
    CHECK(refit<isotonic>(exec::serial, ones)(0.3) == 1);
}

TEST_CASE("score_histogram: slices have equal weight and keep the sums") {
    const auto data = random_scored<double>(5000, {.slope = 1.5});
    score_histogram h;
    h.absorb(make_scored("test", data.scores, data.labels, data.weights));
    for (const std::size_t n : {1u, 7u, 1000u, 16384u}) {
        const auto rows = h.slices(n);
        REQUIRE(rows.scores.size() >= n);
        REQUIRE(rows.scores.size() <= n + 1);  // what rounding leaves over
        const double each = h.total().weight / double(n);
        score_cell sum;
        for (std::size_t k = 0; k < rows.scores.size(); ++k) {
            sum.add({rows.weights[k], rows.weights[k] * rows.scores[k], rows.weights[k] * rows.labels[k], 0});
            if (k < n) CHECK(rows.weights[k] == doctest::Approx(each).epsilon(1e-6));
        }
        CHECK(std::is_sorted(rows.scores.begin(), rows.scores.end()));
        CHECK(sum.weight == doctest::Approx(h.total().weight).epsilon(1e-9));
        CHECK(sum.score == doctest::Approx(h.total().score).epsilon(1e-9));
        CHECK(sum.label == doctest::Approx(h.total().label).epsilon(1e-9));
    }
}

TEST_CASE("refit: Platt and temperature within the bound, with and without forgetting") {
    for (const double half_life : {std::numeric_limits<double>::infinity(), 2.0, 0.25}) {
        for (const std::uint64_t seed : {1u, 2u, 3u}) {
            const auto log = make_faded(half_life, seed);
            const auto want = platt::fit(exec::serial, log.p, log.y, log.w);
            const auto got = refit<platt>(exec::serial, log.sums);
            // Standard errors from the information of the rows.
            double saa = 0, sab = 0, sbb = 0, stt = 0;
            const auto beta = temperature::fit(exec::serial, log.p, log.y, log.w);
            for (std::size_t i = 0; i < log.p.size(); ++i) {
                const double z = std::log(log.p[i] / (1 - log.p[i]));
                const double q = want(log.p[i]), r = beta(log.p[i]);
                saa += log.w[i] * q * (1 - q) * z * z;
                sab += log.w[i] * q * (1 - q) * z;
                sbb += log.w[i] * q * (1 - q);
                stt += log.w[i] * r * (1 - r) * z * z;
            }
            const double det = saa * sbb - sab * sab, part = 2 * 0x1p-6, square = 0x1p-12;
            CHECK(std::fabs(got.slope() - want.slope()) <= part * std::sqrt(sbb / det) + square);
            CHECK(std::fabs(got.intercept() - want.intercept()) <= part * std::sqrt(saa / det) + square);
            const auto again = refit<temperature>(exec::serial, log.sums, temperature_options{});
            CHECK(std::fabs(again.beta() - beta.beta()) <= part / std::sqrt(stt) + square);
            // The raw fit is what forgetting moves: without weights it is another one.
            if (half_life < 1) CHECK(platt::fit(exec::serial, log.p, log.y).slope() != want.slope());
        }
    }
    // Margins: the same curve as from probabilities.
    const auto data = random_scored<double>(30000, {.slope = 1.4});
    std::vector<double> z;
    for (const double p : data.scores) z.push_back(std::log(p / (1 - p)));
    score_histogram margins({.input = score_kind::logit});
    margins.absorb(make_scored("test", z, data.labels));
    const auto want = platt::fit(exec::serial, z, data.labels, none{}, {.input = score_kind::logit});
    const auto got = refit<platt>(exec::serial, margins, platt_options{.input = score_kind::logit});
    CHECK(got.input_kind() == score_kind::logit);
    CHECK(std::fabs(got.slope() - want.slope()) <= 0x1p-10);
    CHECK(std::fabs(got.intercept() - want.intercept()) <= 0x1p-10);
}

TEST_CASE("refit: isotonic regression is that of the rows pooled by cell") {
    const auto log = make_faded(1.0, 4);
    const auto rows = log.sums.columns();
    // Every row at the mean score of its cell.
    std::vector<double> means(log.sums.cells().size());
    for (std::size_t k = 0, at = 0; k < means.size(); ++k) {
        if (log.sums.cells()[k].weight > 0) means[k] = rows.scores[at++];
    }
    std::vector<double> pooled;
    for (const double p : log.p) pooled.push_back(means[log.sums.index(p)]);
    const auto want = isotonic::fit(exec::serial, pooled, log.y, log.w);
    const auto got = refit<isotonic>(exec::serial, log.sums);
    REQUIRE(got.knot_scores().size() == want.knot_scores().size());
    CHECK_ALL_NEAR(got.knot_scores(), want.knot_scores(), exact());
    CHECK_ALL_NEAR(got.knot_levels(), want.knot_levels(), worst_reduction(log.p.size()));
    // And close to that of the rows as they came: values move by a fraction of what chance makes of them.
    const auto raw = isotonic::fit(exec::serial, log.p, log.y, log.w);
    double moved = 0, whole = 0;
    for (std::size_t i = 0; i < log.p.size(); ++i) {
        const double d = std::fabs(got(log.p[i]) - raw(log.p[i]));
        moved += log.w[i] * d;
        whole += log.w[i];
    }
    CHECK(moved / whole < 0x1p-9);
}

TEST_CASE("refit: histogram binning moves by the rows of the cells that hold an edge") {
    for (const double half_life : {std::numeric_limits<double>::infinity(), 1.0}) {
        const auto log = make_faded(half_life, 5);
        for (const auto edges :
             {histogram_binning_options::partition::equal_width, histogram_binning_options::partition::equal_mass}) {
            const histogram_binning_options options{.bins = 10, .edges = edges};
            const auto got = refit<histogram_binning>(exec::serial, log.sums, options);
            REQUIRE(got.bins() == 10);
            // The same bins filled with the rows as they came.
            for (std::size_t b = 0; b < 10; ++b) {
                double n = 0, k = 0;
                for (std::size_t i = 0; i < log.p.size(); ++i) {
                    const bool last = b == 9;
                    if (log.p[i] < got.edge(b) || (!last && log.p[i] >= got.edge(b + 1))) continue;
                    n += log.w[i];
                    k += log.w[i] * log.y[i];
                }
                double straddling = 0;
                for (const double edge : {got.edge(b), got.edge(b + 1)}) {
                    straddling += log.sums.cells()[log.sums.index(edge)].weight;
                }
                // Two slices more in case an edge cuts through a cell.
                straddling += 2 * log.sums.total().weight / 16384;
                CHECK(std::fabs(got.value(b) - k / n) <= straddling / n);
                // By weight each bin has its share, although ranks count rows.
                if (edges == histogram_binning_options::partition::equal_mass)
                    CHECK(std::fabs(n - log.sums.total().weight / 10) <= straddling);
            }
        }
    }
    CHECK(ranks_rows<histogram_binning>);
    CHECK(ranks_rows<sir>);
    CHECK(!ranks_rows<platt>);
}

TEST_CASE("refit: a stream of days") {
    const auto monday = random_scored<float>(2000, {.seed = 1}), tuesday = random_scored<float>(2000, {.seed = 2});
    const std::vector<float> scores{0.1f, 0.5f};
    std::vector<float> probabilities(2);
    // snippet: stream
    reckon::score_histogram sums({.half_life = 7.0});  // in days: whatever unit advance() is given
    sums.absorb(reckon::make_scored("log", monday.scores, monday.labels));
    sums.advance(1.0);  // a day passes, and Monday fades by 2^(-1/7)
    sums.absorb(reckon::make_scored("log", tuesday.scores, tuesday.labels));
    const auto model = reckon::refit<reckon::isotonic>(reckon::exec::serial, sums);
    model.apply(reckon::exec::serial, scores, probabilities);
    // end snippet
    CHECK(sums.effective_rows() < 4000);
    CHECK(sums.effective_rows() > 3980);
    CHECK(probabilities[0] < probabilities[1]);
}
