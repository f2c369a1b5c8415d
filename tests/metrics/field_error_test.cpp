// Field-wise calibration errors and their noise floor.
#include "reckon/metrics/field_error.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/random_data.hpp"
#include "../support/tolerance.hpp"
#include "data_sets.hpp"
#include "reckon/exec/pool.hpp"

using namespace reckon;
using namespace reckon::testing_support;

namespace {

struct fields {
    std::vector<std::size_t> cardinalities;
    std::vector<std::int32_t> ids;  // [F, N]
    std::size_t rows;

    matrix_view<const std::int32_t> view() const { return {ids.data(), cardinalities.size(), rows}; }
};

fields fields_of(const data_set& set) {
    fields f{{}, {}, set.size()};
    for (const auto& column : set.ids) {
        f.cardinalities.push_back(static_cast<std::size_t>(*std::max_element(column.begin(), column.end())) + 1);
        f.ids.insert(f.ids.end(), column.begin(), column.end());
    }
    return f;
}

template <class P, class Y, class W = none>
field_stats stats_of(const fields& f, const P& p, const Y& y, const W& w = {}) {
    field_stats stats(f.cardinalities);
    stats.absorb(make_fielded("test", p, y, f.view(), w));
    return stats;
}

}  // namespace

TEST_CASE("field errors: worked example") {
    const fields f{{2}, {0, 0, 1, 7}, 4};
    const std::vector<double> p{0.25, 0.25, 0.5, 0.5};
    const std::vector<int> y{0, 1, 0, 1};
    const field_stats stats = stats_of(f, p, y);
    // Values 0 and 1, and the unseen id 7 as a third.
    CHECK_NEAR(field_ece(stats, 0), (0.5 + 0.5 + 0.5) / 4, ulp(2));
    CHECK_NEAR(field_rce(stats, 0), (2 * 0.5 / 1.02 + 0.5 / 0.01 + 0.5 / 1.01) / 4, ulp(4));
    CHECK_NEAR(field_rce(stats, 0, {.epsilon = 1.0}), (2 * 0.5 / 3 + 0.5 / 1 + 0.5 / 2) / 4, ulp(4));
    CHECK(mf_rce(stats) == field_rce(stats, 0));
    CHECK_NEAR(field_ece_normal_floor(stats, 0),
               std::sqrt(2 / 3.14159265358979323846) * (std::sqrt(0.375) + 0.5 + 0.5) / 4, ulp(4));
}

TEST_CASE_TEMPLATE("field errors: oracle", P, float, double) {
    const fixture metrics{"metrics.txt"};
    for (const data_set& set : data_sets()) {
        CAPTURE(set.name);
        const std::vector<P> p(set.p.begin(), set.p.end());
        const field_stats stats = stats_of(fields_of(set), p, set.y, set.w);
        for (std::size_t f = 0; f < set.ids.size(); ++f) {
            const std::string at = set.name + ".field" + std::to_string(f);
            CHECK_NEAR(field_ece(stats, f), metrics.value(at + ".ece"), reduction(set.size()).of(1.0));
            const double rce = metrics.value(at + ".rce");
            CHECK_NEAR(field_rce(stats, f), rce, reduction(set.size()).of(1.0 + 100.0 * rce));
        }
        const double all = metrics.value(set.name + ".mf_rce");
        CHECK_NEAR(mf_rce(stats), all, reduction(set.size()).of(1.0 + 100.0 * all));
    }
}

TEST_CASE("field_noise_floor: what true probabilities score on average") {
    // 20 values of very different size, 4000 rows.
    const std::size_t n = 4000;
    fields f{{20, 400}, {}, n};
    const auto u = random_uniform<double>(n, 0.0, 1.0, 9);
    for (const double x : u) f.ids.push_back(static_cast<std::int32_t>(20.0 * x * x * x));
    for (const std::int32_t id : random_integers<std::int32_t>(n, 400)) f.ids.push_back(id);

    moments ece0, rce0, rce1, mf;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        // Independent of the bootstrap: labels drawn by the data generator, scores the same every time.
        const random_stream labels(seed, 12345);
        const auto data = random_scored<double>(n);
        std::vector<int> y(n);
        for (std::size_t i = 0; i < n; ++i) y[i] = labels.uniform(i) < data.scores[i] ? 1 : 0;
        const field_stats stats = stats_of(f, data.scores, y);
        ece0.absorb(field_ece(stats, 0));
        rce0.absorb(field_rce(stats, 0));
        rce1.absorb(field_rce(stats, 1));
        mf.absorb(mf_rce(stats));
    }
    const auto data = random_scored<double>(n);
    const field_noise floor = field_noise_floor(exec::serial, f.cardinalities, data.scores, f.view(), none{},
                                                {.repeats = 60, .seed = 77, .error = {}});
    const auto agree = [](const moments& a, const moments& b) {
        return std::fabs(a.mean() - b.mean()) < 6.0 * std::sqrt((a.sample_variance() + b.sample_variance()) / 60.0);
    };
    CHECK(agree(floor.ece[0], ece0));
    CHECK(agree(floor.rce[0], rce0));
    CHECK(agree(floor.rce[1], rce1));
    CHECK(agree(floor.mf_rce, mf));
    CHECK_NEAR(floor.mf_rce.mean(), 0.5 * (floor.rce[0].mean() + floor.rce[1].mean()), reduction(100));
    // The truth does not score 0, least of all on the field of sparse values.
    CHECK(floor.rce[0].mean() > 0.01);
    CHECK(floor.rce[1].mean() > 3.0 * floor.rce[0].mean());
    // Enough positives per value for the normal approximation.
    const double normal = field_ece_normal_floor(stats_of(f, data.scores, data.labels), 0);
    CHECK(std::fabs(floor.ece[0].mean() / normal - 1.0) < 0.1);

    for (const unsigned threads : {1u, 2u, 3u}) {
        exec::pool pool(threads);
        const field_noise same = field_noise_floor(exec::host{pool}, f.cardinalities, data.scores, f.view(), none{},
                                                   {.repeats = 60, .seed = 77, .error = {}});
        CHECK(same.mf_rce.mean() == floor.mf_rce.mean());
        CHECK(same.ece[1].sample_variance() == floor.ece[1].sample_variance());
    }
}

TEST_CASE("field errors: predictions that are too low can beat the truth in Field-RCE") {
    const std::size_t n = 3000;
    fields f{{1500}, random_integers<std::int32_t>(n, 1500), n};
    const auto data = random_scored<double>(n, {.bias = -3.0});
    std::vector<double> low = data.scores;
    for (double& p : low) p *= 0.3;
    CHECK(field_rce(stats_of(f, low, data.labels), 0) < field_rce(stats_of(f, data.scores, data.labels), 0));
}

TEST_CASE("field errors: empty and bad input") {
    const field_stats empty({3, 2});
    CHECK(std::isnan(field_ece(empty, 0)));
    CHECK(std::isnan(field_rce(empty, 1)));
    CHECK(std::isnan(mf_rce(empty)));
    CHECK(std::isnan(field_ece_normal_floor(empty, 0)));
    CHECK_THROWS_AS(field_ece(empty, 2), std::invalid_argument);
    CHECK_THROWS_AS(field_rce(empty, 2), std::invalid_argument);
    CHECK_THROWS_AS(field_ece_normal_floor(empty, 2), std::invalid_argument);
    for (const double epsilon : {0.0, -0.1, 1.5, std::nan("")}) {
        CHECK_THROWS_AS(field_rce(empty, 0, {.epsilon = epsilon}), std::invalid_argument);
        CHECK_THROWS_AS(mf_rce(empty, {.epsilon = epsilon}), std::invalid_argument);
    }
    const std::vector<float> p{0.5f, 0.25f};
    const std::vector<std::int32_t> ids{0, 1};
    const matrix_view<const std::int32_t> one{ids.data(), 1, 2};
    const std::vector<std::size_t> cardinalities{2};
    CHECK_THROWS_AS(field_noise_floor(exec::serial, {2, 2}, p, one), std::invalid_argument);
    CHECK_THROWS_AS(field_noise_floor(exec::serial, cardinalities, std::vector<float>(3), one), std::invalid_argument);
    CHECK_THROWS_AS(field_noise_floor(exec::serial, cardinalities, p, one, none{}, {.repeats = 0}),
                    std::invalid_argument);
    // A score out of range is left out.
    const std::vector<float> bad{0.5f, 2.0f};
    const field_noise floor = field_noise_floor(exec::serial, cardinalities, bad, one, none{}, {.repeats = 3});
    CHECK(floor.ece[0].mean() == 0.5);
}
