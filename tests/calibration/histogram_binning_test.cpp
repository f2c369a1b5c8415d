// Histogram binning, and the sums per bin it shares with SIR.
#include "reckon/calibration/histogram_binning.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/exec/pool.hpp"
#include "reckon/testing/laws.hpp"
#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;
using partition = histogram_binning_options::partition;
using empty_bin = histogram_binning_options::empty_bin;

// Cuts as their definition says: sort everything, take the ranks, drop repetitions.
template <class T>
std::vector<double> reference_cuts(std::vector<T> p, std::size_t bins) {
    std::sort(p.begin(), p.end());
    std::vector<double> cuts;
    for (std::size_t k = 1; k < bins && !p.empty(); ++k) cuts.push_back(static_cast<double>(p[k * p.size() / bins]));
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    return cuts;
}

}  // namespace

TEST_CASE("histogram_binning: worked example") {
    const std::vector<double> p{0.05, 0.1, 0.3, 0.45, 0.6, 0.9, 1.0};
    const std::vector<int> y{0, 0, 1, 0, 1, 1, 0};
    const auto width = histogram_binning::fit(exec::serial, p, y, {}, {.bins = 4, .edges = partition::equal_width});
    CHECK(width.bins() == 4);
    CHECK(width(0.0) == 0.0);   // 0.05, 0.1
    CHECK(width(0.25) == 0.5);  // 0.3, 0.45; closed on the left
    CHECK(width(0.6) == 1.0);
    CHECK(width(1.0) == 0.5);  // 0.9 and 1.0: the last bin is closed on both sides
    CHECK(width.edge(1) == 0.25);
    CHECK(width.edge(4) == 1.0);
    CHECK(width.seen() == counts{7, 0});
    // Ranks 2 and 4 of 7: cuts at 0.3 and 0.6.
    const auto mass = histogram_binning::fit(exec::serial, p, y, {}, {.bins = 3});
    CHECK(mass.bins() == 3);
    CHECK(mass.edge(1) == 0.3);
    CHECK(mass.edge(2) == 0.6);
    CHECK(mass(0.29) == 0.0);
    CHECK(mass(0.3) == 0.5);
    CHECK_NEAR(mass(0.7), 2.0 / 3, ulp(1));
    const auto laplace =
        histogram_binning::fit(exec::serial, p, y, {}, {.bins = 4, .edges = partition::equal_width, .laplace = true});
    CHECK(laplace(0.1) == 0.25);
}

TEST_CASE("histogram_binning: empty bins") {
    // Ten bins, data in bins 2, 4 and 7.
    const std::vector<double> p{0.25, 0.45, 0.75};
    const std::vector<int> y{1, 0, 1};
    histogram_binning_options options{.bins = 10, .edges = partition::equal_width};
    const auto nearest = histogram_binning::fit(exec::serial, p, y, {}, options);
    const std::vector<double> filled{1, 1, 1, 1, 0, 0, 1, 1, 1, 1};  // bin 3 is as near to 2 as to 4
    for (std::size_t b = 0; b < 10; ++b) CHECK(nearest.value(b) == filled[b]);
    options.empty = empty_bin::midpoint;
    const auto midpoint = histogram_binning::fit(exec::serial, p, y, {}, options);
    CHECK_NEAR(midpoint.value(3), 0.35, ulp(1));
    CHECK(midpoint.value(4) == 0.0);
    options.laplace = true;
    const auto laplace = histogram_binning::fit(exec::serial, p, y, {}, options);
    CHECK(laplace.value(3) == 0.5);
    CHECK_NEAR(laplace.value(2), 2.0 / 3, ulp(1));
    options.laplace = false;
    options.empty = empty_bin::nearest;
    const auto nothing = histogram_binning::fit(exec::serial, std::vector<double>{}, std::vector<int>{}, {}, options);
    for (std::size_t b = 0; b < 10; ++b) CHECK_NEAR(nothing.value(b), 0.05 + 0.1 * double(b), ulp(2));
}

TEST_CASE("histogram_binning: the bin of a score is formed in double") {
    const std::vector<float> p{0.7f};
    const std::vector<int> y{1};
    const auto c = histogram_binning::fit(exec::serial, p, y, {},
                                          {.bins = 10, .edges = partition::equal_width, .empty = empty_bin::midpoint});
    CHECK(c.value(6) == 1.0);  // 0.7f is below 0.7, although 0.7f * 10 rounds to 7
    CHECK(c(0.7f) == 1.0f);
    CHECK(c(0.7) == c.value(7));
}

TEST_CASE_TEMPLATE("histogram_binning: equal mass cuts are those of a full sort", T, float, double) {
    for (const std::size_t n : {1u, 2u, 7u, 100u, 2001u, 20000u}) {
        for (const std::size_t levels : {0u, 1u, 5u, 300u}) {
            const auto data = random_scored<T>(n, {.seed = n + levels, .bias = -3, .levels = levels});
            for (const std::size_t bins : {1u, 2u, 3u, 15u, 100u, 5000u}) {
                const auto got =
                    reckon::detail::equal_mass_bins<isa::native>(make_scored("test", data.scores, data.labels), bins);
                const auto want = reference_cuts(data.scores, bins);
                REQUIRE(got.size() == want.size() + 1);
                std::vector<double> cuts;
                for (std::size_t b = 1; b < got.size(); ++b) cuts.push_back(got.lower(b));
                CHECK(cuts == want);
            }
        }
    }
    // Only rows that the fit takes and weighs have a rank; -0 is 0.
    const std::vector<T> p{T(-0.0), T(0.5), T(0.25), T(2), T(1)};
    const std::vector<int> y{0, 1, 1, 1, 0};
    const std::vector<double> w{1, 1, 0, 1, 2};
    const auto bins = reckon::detail::equal_mass_bins<isa::native>(make_scored("test", p, y, w), 3);
    REQUIRE(bins.size() == 3);
    CHECK(bins.lower(1) == 0.5);
    CHECK(bins.lower(2) == 1.0);
}

TEST_CASE("histogram_binning: equals the oracles") {
    const fixture data("data.txt"), oracle("calibrators.txt");
    for (const std::string name : {"ties", "smooth", "weighted", "skewed", "negatives", "tiny"}) {
        CAPTURE(name);
        const auto p = data.as<float>(name + ".p");
        const auto y = data.as<float>(name + ".y");
        const auto w = data.contains(name + ".w") ? data.as<float>(name + ".w") : std::vector<float>(p.size(), 1.0f);
        const auto check = [&](const histogram_binning& got, const std::vector<double>& want) {
            REQUIRE(got.bins() == want.size());
            for (std::size_t b = 0; b < want.size(); ++b) {
                if (!std::isnan(want[b])) CHECK_NEAR(got.value(b), want[b], probability<double>());
            }
        };
        histogram_binning_options options{.bins = 10, .edges = partition::equal_width};
        check(histogram_binning::fit(exec::serial, p, y, w, options), oracle[name + ".histogram.width10.value"]);
        if (oracle.contains(name + ".histogram.width10.netcal")) {
            options.empty = empty_bin::midpoint;
            check(histogram_binning::fit(exec::serial, p, y, w, options), oracle[name + ".histogram.width10.netcal"]);
        }
        options.laplace = true;
        check(histogram_binning::fit(exec::serial, p, y, w, options), oracle[name + ".histogram.width10.laplace"]);
        const auto mass = histogram_binning::fit(exec::serial, p, y, w, {.bins = 10});
        check(mass, oracle[name + ".histogram.mass10.value"]);
        const auto& cuts = oracle[name + ".histogram.mass10.cuts"];
        for (std::size_t k = 0; k < cuts.size(); ++k) CHECK(mass.edge(k + 1) == cuts[k]);
    }
}

TEST_CASE("histogram_binning: sums per bin merge") {
    const auto data = random_scored<float>(5000, {.levels = 64});
    using sums = reckon::detail::score_bin_sums<>;
    const sums identity(score_bins::width(7));
    const auto rows = make_scored("test", data.scores, data.labels, data.weights);
    // Scores are multiples of 1/128, weights of 1/4: all sums are exact.
    const auto equal = [](const sums& got, const sums& want) {
        bool same = got.seen() == want.seen();
        for (std::size_t b = 0; b < got.cells().size(); ++b) {
            const auto &g = got.cells()[b], &w = want.cells()[b];
            same = same && g.weight == w.weight && g.score_sum == w.score_sum && g.positive == w.positive;
        }
        return same;
    };
    const auto merged = testing::check_merge(identity, rows, equal);
    CHECK_MESSAGE(merged.ok, merged.message);
    exec::pool pool(2);
    const auto threads = testing::check_fold_policy(identity, rows, exec::host(pool), equal);
    CHECK_MESSAGE(threads.ok, threads.message);

    sums others(score_bins::width(8));
    CHECK_THROWS_AS(others.merge(identity), std::invalid_argument);
    sums shard = identity, rest = identity;
    shard.absorb(rows.slice(0, 1234));
    rest.absorb(rows.slice(1234, 5000 - 1234));
    shard.merge(rest);
    const auto whole = histogram_binning::fit(exec::serial, data.scores, data.labels, data.weights,
                                              {.bins = 7, .edges = partition::equal_width});
    CHECK(to_bytes(histogram_binning::from_sums(shard)) == to_bytes(whole));
}

TEST_CASE("histogram_binning: options out of range throw") {
    const std::vector<double> p{0.1, 0.2};
    const std::vector<int> y{0, 1};
    CHECK_THROWS_AS(histogram_binning::fit(exec::serial, p, y, {}, {.bins = 0}), std::invalid_argument);
    CHECK_THROWS_AS(histogram_binning::fit(exec::serial, p, y, {}, {.bins = (std::size_t{1} << 20) + 1}),
                    std::invalid_argument);
}
