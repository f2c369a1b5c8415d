// What every calibrator owes, whatever it learns. A test file names its calibrators as cases and calls
// check_calibrator<Case>() for each.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/testing/laws.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace reckon::testing_support {

// One entry a calibrator: its type, how to fit it with default options, and what it promises.
template <class C>
struct plain_fit {
    using type = C;
    /// Keeps the order of scores; may make ties unless strict.
    static constexpr bool monotone = true;
    /// Leaves AUC as it is to the last bit.
    static constexpr bool strict = false;
    template <class... Args>
    static C fit(const Args&... args) {
        return C::fit(args...);
    }
};
template <class T>
std::vector<T> awkward_scores() {
    std::vector<T> values = extreme_probabilities<T>();
    const auto more = random_uniform<T>(40, 0.0, 1.0, 7);
    values.insert(values.end(), more.begin(), more.end());
    return values;
}

template <class C, class T>
std::vector<T> mapped(const C& c, const std::vector<T>& scores) {
    std::vector<T> out(scores.size());
    c.apply(exec::serial, scores, out);
    return out;
}

template <class T>
bool all_probabilities(const std::vector<T>& values) {
    return std::all_of(values.begin(), values.end(), [](T v) { return T(0) <= v && v <= T(1); });
}

// Pairs of a positive and a negative in the right order, ties counting one half.
template <class T>
double area_under_roc(const std::vector<T>& scores, const std::vector<std::uint8_t>& labels) {
    double right = 0, pairs = 0;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (labels[i] == 0) continue;
        for (std::size_t j = 0; j < scores.size(); ++j) {
            if (labels[j] != 0) continue;
            ++pairs;
            right += scores[i] > scores[j] ? 1.0 : scores[i] == scores[j] ? 0.5 : 0.0;
        }
    }
    return right / pairs;
}

template <class C, class T>
void check_map(const C& c) {
    const auto values = awkward_scores<T>();
    const auto kernel = [&](vector_view<const T> in, vector_view<T> out) { c.apply(exec::serial, in, out); };
    const auto tails = testing::check_tails<T, T>(kernel, values);
    CHECK_MESSAGE(tails.ok, tails.message);
    const auto nan = testing::check_nan_propagates<T, T>(kernel, values);
    CHECK_MESSAGE(nan.ok, nan.message);
    CHECK(std::isnan(c(std::numeric_limits<T>::quiet_NaN())));

    const std::vector<T> out = mapped(c, values);
    CHECK(all_probabilities(out));
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(c(values[i]) == out[i]);

    std::vector<T> room(values.size());
    const auto quiet = testing::check_no_allocation([&] {
        c.apply(exec::serial, values, room);
        (void)c(values[0]);
    });
    CHECK_MESSAGE(quiet.ok, quiet.message);

    const auto many = random_uniform<T>(40000, 0.0, 1.0, 8);
    exec::pool threads(3);
    const auto parallel = testing::check_map_policy<T>(
        many.size(), exec::host(threads), [&](const auto& where, vector_view<T> to) { c.apply(where, many, to); });
    CHECK_MESSAGE(parallel.ok, parallel.message);

    room.pop_back();
    CHECK_THROWS_AS(c.apply(exec::serial, values, room), std::invalid_argument);
    std::vector<T> nothing;
    c.apply(exec::serial, nothing, nothing);
}

template <class C>
void check_sealed(const C& c) {
    const auto usable = [](const C& read) {
        const auto out = mapped(read, awkward_scores<double>());
        return all_probabilities(out);
    };
    const auto report = testing::check_bytes(c, usable);
    CHECK_MESSAGE(report.ok, report.message);
    const auto read = from_bytes<C>(to_bytes(c));
    CHECK_ALL_NEAR(mapped(read, awkward_scores<float>()), mapped(c, awkward_scores<float>()), exact());
    CHECK_ALL_NEAR(mapped(read, awkward_scores<double>()), mapped(c, awkward_scores<double>()), exact());
}

// Few enough knots and bins for the enumeration of bytes.
template <class Case>
typename Case::type small_fit() {
    const std::vector<double> p{0.05, 0.1, 0.3, 0.6, 0.8, 0.95};
    const std::vector<int> y{0, 0, 1, 0, 1, 1};
    return Case::fit(exec::serial, p, y);
}

template <class Case>
void check_calibrator() {
    SUBCASE("has the common shape") {
        CHECK(fitted_calibrator<typename Case::type>);
    }
    SUBCASE("maps each score alike, in place, misaligned, on threads") {
        const auto data = random_scored<float>(3000, {.slope = 1.5, .shift = 0.3});
        const auto c = Case::fit(exec::serial, data.scores, data.labels);
        check_map<typename Case::type, float>(c);
        check_map<typename Case::type, double>(c);
    }
    SUBCASE("the fit does not depend on threads") {
        const auto data = random_scored<float>(70001, {.slope = 1.5, .shift = 0.3});
        const auto doubles = random_scored<double>(70001, {.seed = 2, .slope = 0.7});
        const auto want = to_bytes(Case::fit(exec::serial, data.scores, data.labels, data.weights));
        const auto want_doubles = to_bytes(Case::fit(exec::serial, doubles.scores, doubles.labels, doubles.weights));
        for (const unsigned threads : {1u, 2u, 3u}) {
            exec::pool pool(threads);
            CHECK(to_bytes(Case::fit(exec::host(pool), data.scores, data.labels, data.weights)) == want);
            CHECK(to_bytes(Case::fit(exec::host(pool), doubles.scores, doubles.labels, doubles.weights)) ==
                  want_doubles);
        }
    }
    SUBCASE("labels of any type, weights, and no dependence on alignment") {
        const auto data = random_scored<float>(2001, {.slope = 1.5});
        const auto want = to_bytes(Case::fit(exec::serial, data.scores, data.labels));
        const std::vector<double> labels(data.labels.begin(), data.labels.end());
        CHECK(to_bytes(Case::fit(exec::serial, data.scores, labels)) == want);
        const std::vector<int> integers(data.labels.begin(), data.labels.end());
        CHECK(to_bytes(Case::fit(exec::serial, data.scores, integers)) == want);
        const placed<float> shifted(data.scores, 1);
        const placed<std::uint8_t> shifted_labels(data.labels, 1);
        CHECK(to_bytes(Case::fit(exec::serial, vector_view<const float>(shifted.data(), shifted.size()),
                                 vector_view<const std::uint8_t>(shifted_labels.data(), shifted_labels.size()))) ==
              want);

        const std::vector<double> ones(data.size(), 1.0);
        const auto probe = random_uniform<double>(200, 0.0, 1.0);
        const auto unweighted = mapped(Case::fit(exec::serial, data.scores, data.labels), probe);
        CHECK_ALL_NEAR(mapped(Case::fit(exec::serial, data.scores, data.labels, ones), probe), unweighted, fitted());
    }
    SUBCASE("rows of weight 0 change nothing") {
        const auto data = random_scored<double>(900, {.slope = 1.5});
        std::vector<double> scores, weights;
        std::vector<std::uint8_t> labels;
        for (std::size_t i = 0; i < data.size(); ++i) {
            if (data.weights[i] == 0.0) continue;
            scores.push_back(data.scores[i]);
            labels.push_back(data.labels[i]);
            weights.push_back(data.weights[i]);
        }
        REQUIRE(scores.size() < data.size());
        const auto probe = random_uniform<double>(200, 0.0, 1.0);
        CHECK_ALL_NEAR(mapped(Case::fit(exec::serial, data.scores, data.labels, data.weights), probe),
                       mapped(Case::fit(exec::serial, scores, labels, weights), probe), fitted());
    }
    SUBCASE("a fit counts and skips bad rows") {
        constexpr double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
        const auto data = random_scored<double>(700, {.slope = 1.5});
        const std::vector<double> good_labels(data.labels.begin(), data.labels.end());
        const auto want = Case::fit(exec::serial, data.scores, good_labels, data.weights);
        struct bad_row {
            double score, label, weight;
        };
        for (const bad_row bad : {bad_row{nan, 0, 1}, bad_row{inf, 1, 1}, bad_row{-inf, 1, 1}, bad_row{0.5, nan, 1},
                                  bad_row{0.5, -0.25, 1}, bad_row{0.5, 2, 1}, bad_row{0.5, inf, 1},
                                  bad_row{0.5, 1, nan}, bad_row{0.5, 1, -1}, bad_row{0.5, 1, inf}}) {
            for (const std::size_t at : {std::size_t{0}, std::size_t{333}, data.size()}) {
                auto scores = data.scores, labels = good_labels, weights = data.weights;
                const auto place = static_cast<std::ptrdiff_t>(at);
                scores.insert(scores.begin() + place, bad.score);
                labels.insert(labels.begin() + place, bad.label);
                weights.insert(weights.begin() + place, bad.weight);
                const auto got = Case::fit(exec::serial, scores, labels, weights);
                CHECK(got.seen().rejected == 1);
                CHECK(got.seen().accepted == data.size());
                // The sums of the fit see their rows in other blocks.
                CHECK_ALL_NEAR(mapped(got, data.scores), mapped(want, data.scores), probability<double>());
            }
        }
        const std::vector<double> rejected_only{nan, nan}, labels{0, 1};
        CHECK(Case::fit(exec::serial, rejected_only, labels).seen().rejected == 2);
    }
    SUBCASE("empty, one class, one score, tiny and huge weights") {
        const std::vector<double> no_scores;
        const std::vector<int> no_labels;
        const auto empty = Case::fit(exec::serial, no_scores, no_labels);
        CHECK(empty.seen() == counts{});
        const auto scores = random_uniform<double>(500, 0.0, 1.0);
        for (const int label : {0, 1}) {
            const std::vector<int> labels(scores.size(), label);
            const auto out = mapped(Case::fit(exec::serial, scores, labels), awkward_scores<double>());
            CHECK(all_probabilities(out));
        }
        const auto mixed = random_integers<int>(scores.size(), 2);
        for (const double one : {0.0, 0.25, 0.5, 1.0}) {
            const std::vector<double> same(scores.size(), one);
            const auto c = Case::fit(exec::serial, same, mixed);
            CHECK(all_probabilities(mapped(c, awkward_scores<double>())));
        }
        for (const double weight : {0.0, 1e-300, 1e300}) {
            const std::vector<double> weights(scores.size(), weight);
            const auto c = Case::fit(exec::serial, scores, mixed, weights);
            CHECK(c.seen().accepted == scores.size());
            if (weight > 0.0) CHECK(all_probabilities(mapped(c, awkward_scores<double>())));
        }
    }
    SUBCASE("keeps the order of scores") {
        if constexpr (Case::monotone) {
            const auto data = random_scored<double>(600, {.slope = 2.0, .levels = 64});
            const auto c = Case::fit(exec::serial, data.scores, data.labels);
            auto probe = random_uniform<float>(5000, 0.0, 1.0);
            const auto ends = extreme_probabilities<float>();
            probe.insert(probe.end(), ends.begin(), ends.end());
            for (const double knot : data.scores) {  // neighbours on both sides of what the fit has seen
                const auto f = static_cast<float>(knot);
                probe.insert(probe.end(), {std::nextafter(f, 0.0f), f, std::nextafter(f, 1.0f)});
            }
            std::sort(probe.begin(), probe.end());
            const std::vector<double> doubles(probe.begin(), probe.end());
            const auto out = mapped(c, doubles);
            CHECK(std::is_sorted(out.begin(), out.end()));
            if constexpr (Case::strict) {
                CHECK(area_under_roc(mapped(c, data.scores), data.labels) == area_under_roc(data.scores, data.labels));
            }
        }
    }
    SUBCASE("bytes") {
        check_sealed(small_fit<Case>());
        check_sealed(typename Case::type{});
    }
    SUBCASE("sizes that differ throw") {
        const std::vector<double> scores{0.1, 0.2};
        const std::vector<int> labels{1};
        CHECK_THROWS_AS(Case::fit(exec::serial, scores, labels), std::invalid_argument);
        const std::vector<int> two{1, 0};
        const std::vector<double> weights{1.0};
        CHECK_THROWS_AS(Case::fit(exec::serial, scores, two, weights), std::invalid_argument);
    }
}

}  // namespace reckon::testing_support
