// Spiegelhalter's z.
#include "reckon/metrics/spiegelhalter.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "../support/law.hpp"
#include "../support/random_data.hpp"
#include "../support/sweep.hpp"
#include "../support/tolerance.hpp"
#include "data_sets.hpp"
#include "reckon/exec/pool.hpp"

using namespace reckon;
using namespace reckon::testing_support;

namespace {

// z of random data is of size 1, whatever it is made of.
bool same_z(const spiegelhalter_test& a, const spiegelhalter_test& b) {
    return same_bits(a.z(), b.z()) || std::fabs(a.z() - b.z()) <= 1e-11;
}
bool equal_z(const spiegelhalter_test& a, const spiegelhalter_test& b) {
    return same_bits(a.z(), b.z()) && a.seen() == b.seen();
}

}  // namespace

TEST_CASE("spiegelhalter: worked example") {
    const std::vector<double> p{.1, .4, .8, .3};
    const std::vector<int> y{0, 1, 1, 0};
    const spiegelhalter_test t = spiegelhalter(exec::serial, p, y);
    CHECK_NEAR(t.z(), -0.502518907629606, reduction(4));
    CHECK_NEAR(t.p_value(), std::erfc(0.502518907629606 / std::sqrt(2.0)), reduction(4));
    CHECK(t.finish() == t.z());
}

TEST_CASE_TEMPLATE("spiegelhalter: oracle", P, float, double) {
    const fixture metrics{"metrics.txt"};
    for (const data_set& set : data_sets()) {
        CAPTURE(set.name);
        const std::vector<P> p(set.p.begin(), set.p.end());
        const spiegelhalter_test t = spiegelhalter(exec::serial, p, set.y, set.w);
        const double z = metrics.value(set.name + ".spiegelhalter.z");
        CHECK_NEAR(t.z(), z, reduction(set.size()).of(1.0 + std::fabs(z)));
        // The derivative of ln p-value is about -z.
        const double p_value = metrics.value(set.name + ".spiegelhalter.p_value");
        CHECK_NEAR(t.p_value(), p_value, reduction(set.size()).of(p_value * (1.0 + z * z)));
    }
}

TEST_CASE("spiegelhalter: standard normal under calibration") {
    moments z;
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        const auto data = random_scored<float>(300, {.seed = seed});
        z.absorb(spiegelhalter(exec::serial, data.scores, data.labels).z());
    }
    // Six standard errors.
    CHECK(std::fabs(z.mean()) < 6.0 / std::sqrt(400.0));
    CHECK(std::fabs(z.sample_variance() - 1.0) < 6.0 * std::sqrt(2.0 / 400.0));
    const auto off = random_scored<float>(3000, {.slope = 3.0});
    CHECK(spiegelhalter(exec::serial, off.scores, off.labels).p_value() < 1e-6);
}

TEST_CASE("spiegelhalter: extremes have no variance") {
    const std::vector<double> sure{0.0, 1.0, 0.5};
    const std::vector<int> y{1, 1, 0};
    CHECK(std::isnan(spiegelhalter(exec::serial, sure, y).z()));
    CHECK(std::isnan(spiegelhalter(exec::serial, sure, y).p_value()));
    CHECK(std::isnan(spiegelhalter_test{}.z()));
}

TEST_CASE("spiegelhalter: merge law, threads, bad input, bytes") {
    const auto data = random_scored<double, double>(3001);
    const auto batch = make_scored("test", data.scores, data.labels, data.weights);
    CHECK_LAW(testing::check_merge(spiegelhalter_test{}, batch, same_z));
    for (const unsigned threads : {1u, 2u, 3u}) {
        exec::pool pool(threads);
        CHECK_LAW(testing::check_fold_policy(spiegelhalter_test{}, batch, exec::host{pool}, equal_z));
    }
    CHECK_LAW(testing::check_bad_values_counted(spiegelhalter_test{}, batch.slice(0, 40), same_z));
    CHECK_THROWS_AS(spiegelhalter(exec::serial, std::vector<float>(2), std::vector<float>(3)), std::invalid_argument);

    spiegelhalter_test t;
    t.absorb(batch);
    CHECK(equal_z(from_bytes<spiegelhalter_test>(to_bytes(t)), t));
    CHECK_LAW(testing::check_bytes(t, [](const spiegelhalter_test& read) {
        spiegelhalter_test sum = read;
        sum.merge(read);
        return no_less_than_zero(sum.p_value()) && !(sum.p_value() > 1.0);
    }));
}
