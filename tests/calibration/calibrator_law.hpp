// What every calibrator owes, whatever it learns. A test file names its calibrators as cases and calls
// check_calibrator<Case>() for each.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/testing/laws.hpp"
#include "support/law.hpp"
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

// A calibrator's calls for one type of score, so that the checks below are compiled once for all calibrators.
template <class T>
struct map_calls {
    using call_one = testing::detail::call_ref<void(T score, T& out)>;
    using call_serial = testing::detail::call_ref<void(vector_view<const T>, vector_view<T>)>;
    using call_pool = testing::detail::call_ref<void(exec::pool&, vector_view<const T>, vector_view<T>)>;
    call_one one;
    call_serial serial;
    call_pool on_pool;
};

template <class T>
void check_map_calls(const map_calls<T>& c) {
    const auto values = awkward_scores<T>();
    CHECK_LAW(testing::check_tails<T, T>(c.serial, values));
    CHECK_LAW(testing::check_nan_propagates<T, T>(c.serial, values));
    T alone{};
    c.one(std::numeric_limits<T>::quiet_NaN(), alone);
    CHECK(std::isnan(alone));

    std::vector<T> out(values.size());
    c.serial(input(values), view(out));
    CHECK(all_probabilities(out));
    for (std::size_t i = 0; i < values.size(); ++i) {
        c.one(values[i], alone);
        CHECK(alone == out[i]);
    }

    std::vector<T> room(values.size());
    CHECK_LAW(testing::check_no_allocation([&] {
        c.serial(input(values), view(room));
        c.one(values[0], alone);
    }));

    const auto many = random_uniform<T>(40000, 0.0, 1.0, 8);
    exec::pool threads(3);
    CHECK_LAW(testing::check_map_policy<T>(many.size(), exec::host(threads), [&](const auto& where, vector_view<T> to) {
        if constexpr (std::is_same_v<std::decay_t<decltype(where)>, exec::serial_policy>) {
            c.serial(input(many), to);
        } else {
            c.on_pool(threads, input(many), to);
        }
    }));

    room.pop_back();
    CHECK_THROWS_AS(c.serial(input(values), view(room)), std::invalid_argument);
    std::vector<T> nothing;
    c.serial(input(nothing), view(nothing));
}

template <class C, class T>
void check_map(const C& c) {
    const auto one = [&](T score, T& out) { out = c(score); };
    const auto serial = [&](vector_view<const T> in, vector_view<T> out) { c.apply(exec::serial, in, out); };
    const auto on_pool = [&](exec::pool& pool, vector_view<const T> in, vector_view<T> out) {
        c.apply(exec::host(pool), in, out);
    };
    using calls = map_calls<T>;
    check_map_calls<T>(
        {typename calls::call_one(one), typename calls::call_serial(serial), typename calls::call_pool(on_pool)});
}

template <class C>
void check_sealed(const C& c) {
    const auto usable = [](const C& read) {
        const auto out = mapped(read, awkward_scores<double>());
        return all_probabilities(out);
    };
    const auto report = testing::check_bytes(c, usable);
    CHECK_LAW(report);
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

// What a fit gave, on a probe of its own.
struct fit_outcome {
    std::vector<std::byte> bytes;
    counts seen;
    std::vector<double> out;
};
template <class C>
fit_outcome outcome_of(const C& c, const std::vector<double>& probe) {
    return {to_bytes(c), c.seen(), mapped(c, probe)};
}

// The fits of one calibrator, behind virtual calls: the law below is compiled once for all of them.
class law_fits {
  public:
    using floats = std::vector<float>;
    using doubles = std::vector<double>;
    using integers = std::vector<int>;
    using bytes = std::vector<std::uint8_t>;

    virtual ~law_fits() = default;
    virtual fit_outcome fit(const floats&, const bytes&, none, const doubles& probe) const = 0;
    virtual fit_outcome fit(const floats&, const doubles&, none, const doubles& probe) const = 0;
    virtual fit_outcome fit(const floats&, const integers&, none, const doubles& probe) const = 0;
    virtual fit_outcome fit(vector_view<const float>, vector_view<const std::uint8_t>, none,
                            const doubles& probe) const = 0;
    virtual fit_outcome fit(const floats&, const bytes&, const floats&, const doubles& probe) const = 0;
    virtual fit_outcome fit(const floats&, const bytes&, const doubles&, const doubles& probe) const = 0;
    virtual fit_outcome fit(const doubles&, const bytes&, const doubles&, const doubles& probe) const = 0;
    virtual fit_outcome fit(const doubles&, const integers&, none, const doubles& probe) const = 0;
    virtual fit_outcome fit(const doubles&, const doubles&, const doubles&, const doubles& probe) const = 0;
    virtual fit_outcome fit(exec::pool&, const floats&, const bytes&, const floats&, const doubles& probe) const = 0;
    virtual fit_outcome fit(exec::pool&, const doubles&, const bytes&, const doubles&, const doubles& probe) const = 0;
};
template <class Case>
class law_fits_of final : public law_fits {
  public:
#define RECKON_TEST_FIT(P, Y, W)                                                          \
    fit_outcome fit(P scores, Y labels, W weights, const doubles& probe) const override { \
        return outcome_of(Case::fit(exec::serial, scores, labels, weights), probe);       \
    }
    RECKON_TEST_FIT(const floats&, const bytes&, none)
    RECKON_TEST_FIT(const floats&, const doubles&, none)
    RECKON_TEST_FIT(const floats&, const integers&, none)
    RECKON_TEST_FIT(vector_view<const float>, vector_view<const std::uint8_t>, none)
    RECKON_TEST_FIT(const floats&, const bytes&, const floats&)
    RECKON_TEST_FIT(const floats&, const bytes&, const doubles&)
    RECKON_TEST_FIT(const doubles&, const bytes&, const doubles&)
    RECKON_TEST_FIT(const doubles&, const integers&, none)
    RECKON_TEST_FIT(const doubles&, const doubles&, const doubles&)
#undef RECKON_TEST_FIT
    fit_outcome fit(exec::pool& pool, const floats& scores, const bytes& labels, const floats& weights,
                    const doubles& probe) const override {
        return outcome_of(Case::fit(exec::host(pool), scores, labels, weights), probe);
    }
    fit_outcome fit(exec::pool& pool, const doubles& scores, const bytes& labels, const doubles& weights,
                    const doubles& probe) const override {
        return outcome_of(Case::fit(exec::host(pool), scores, labels, weights), probe);
    }
};

inline void check_fits(const law_fits& law, bool monotone, bool strict) {
    const std::vector<double> unasked;
    SUBCASE("the fit does not depend on threads") {
        const auto data = random_scored<float>(70001, {.slope = 1.5, .shift = 0.3});
        const auto doubles = random_scored<double>(70001, {.seed = 2, .slope = 0.7});
        const auto want = law.fit(data.scores, data.labels, data.weights, unasked).bytes;
        const auto want_doubles = law.fit(doubles.scores, doubles.labels, doubles.weights, unasked).bytes;
        for (const unsigned threads : {1u, 2u, 3u}) {
            exec::pool pool(threads);
            CHECK(law.fit(pool, data.scores, data.labels, data.weights, unasked).bytes == want);
            CHECK(law.fit(pool, doubles.scores, doubles.labels, doubles.weights, unasked).bytes == want_doubles);
        }
    }
    SUBCASE("labels of any type, weights, and no dependence on alignment") {
        const auto data = random_scored<float>(2001, {.slope = 1.5});
        const auto probe = random_uniform<double>(200, 0.0, 1.0);
        const auto want = law.fit(data.scores, data.labels, none{}, probe);
        const std::vector<double> labels(data.labels.begin(), data.labels.end());
        CHECK(law.fit(data.scores, labels, none{}, unasked).bytes == want.bytes);
        const std::vector<int> integers(data.labels.begin(), data.labels.end());
        CHECK(law.fit(data.scores, integers, none{}, unasked).bytes == want.bytes);
        const placed<float> shifted(data.scores, 1);
        const placed<std::uint8_t> shifted_labels(data.labels, 1);
        const vector_view<const float> scores_view(shifted.data(), shifted.size());
        const vector_view<const std::uint8_t> labels_view(shifted_labels.data(), shifted_labels.size());
        CHECK(law.fit(scores_view, labels_view, none{}, unasked).bytes == want.bytes);

        const std::vector<double> ones(data.size(), 1.0);
        CHECK_ALL_NEAR(law.fit(data.scores, data.labels, ones, probe).out, want.out, fitted());
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
        CHECK_ALL_NEAR(law.fit(data.scores, data.labels, data.weights, probe).out,
                       law.fit(scores, labels, weights, probe).out, fitted());
    }
    SUBCASE("a fit counts and skips bad rows") {
        constexpr double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
        const auto data = random_scored<double>(700, {.slope = 1.5});
        const std::vector<double> good_labels(data.labels.begin(), data.labels.end());
        const auto want = law.fit(data.scores, good_labels, data.weights, data.scores);
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
                const auto got = law.fit(scores, labels, weights, data.scores);
                CHECK(got.seen.rejected == 1);
                CHECK(got.seen.accepted == data.size());
                // The sums of the fit see their rows in other blocks.
                CHECK_ALL_NEAR(got.out, want.out, probability<double>());
            }
        }
        const std::vector<double> rejected_only{nan, nan};
        const std::vector<int> labels{0, 1};
        CHECK(law.fit(rejected_only, labels, none{}, unasked).seen.rejected == 2);
    }
    SUBCASE("empty, one class, one score, tiny and huge weights") {
        const auto awkward = awkward_scores<double>();
        const std::vector<double> no_scores;
        const std::vector<int> no_labels;
        CHECK(law.fit(no_scores, no_labels, none{}, unasked).seen == counts{});
        const auto scores = random_uniform<double>(500, 0.0, 1.0);
        for (const int label : {0, 1}) {
            const std::vector<int> labels(scores.size(), label);
            CHECK(all_probabilities(law.fit(scores, labels, none{}, awkward).out));
        }
        const auto mixed = random_integers<int>(scores.size(), 2);
        for (const double one : {0.0, 0.25, 0.5, 1.0}) {
            const std::vector<double> same(scores.size(), one);
            CHECK(all_probabilities(law.fit(same, mixed, none{}, awkward).out));
        }
        const std::vector<double> mixed_doubles(mixed.begin(), mixed.end());
        for (const double weight : {0.0, 1e-300, 1e300}) {
            const std::vector<double> weights(scores.size(), weight);
            const auto got = law.fit(scores, mixed_doubles, weights, awkward);
            CHECK(got.seen.accepted == scores.size());
            if (weight > 0.0) CHECK(all_probabilities(got.out));
        }
    }
    SUBCASE("keeps the order of scores") {
        if (monotone) {
            const auto data = random_scored<double>(600, {.slope = 2.0, .levels = 64});
            const std::vector<int> labels(data.labels.begin(), data.labels.end());
            auto probe = random_uniform<float>(5000, 0.0, 1.0);
            const auto ends = extreme_probabilities<float>();
            probe.insert(probe.end(), ends.begin(), ends.end());
            for (const double knot : data.scores) {  // neighbours on both sides of what the fit has seen
                const auto f = static_cast<float>(knot);
                probe.insert(probe.end(), {std::nextafter(f, 0.0f), f, std::nextafter(f, 1.0f)});
            }
            std::sort(probe.begin(), probe.end());
            const std::vector<double> doubles(probe.begin(), probe.end());
            const auto out = law.fit(data.scores, labels, none{}, doubles).out;
            CHECK(std::is_sorted(out.begin(), out.end()));
            if (strict) {
                const auto own = law.fit(data.scores, labels, none{}, data.scores).out;
                CHECK(area_under_roc(own, data.labels) == area_under_roc(data.scores, data.labels));
            }
        }
    }
    SUBCASE("sizes that differ throw") {
        const std::vector<double> scores{0.1, 0.2};
        const std::vector<int> labels{1};
        CHECK_THROWS_AS(law.fit(scores, labels, none{}, unasked), std::invalid_argument);
        const std::vector<double> two{1, 0};
        const std::vector<double> weights{1.0};
        CHECK_THROWS_AS(law.fit(scores, two, weights, unasked), std::invalid_argument);
    }
}

template <class Case>
void check_calibrator() {
    SUBCASE("has the common shape") {
        CHECK(fitted_calibrator<typename Case::type>);
    }
    SUBCASE("maps each score alike, in place, misaligned, on threads") {
        const auto data = random_scored<float>(3000, {.slope = 1.5, .shift = 0.3});
        const auto c = Case::fit(exec::serial, data.scores, data.labels, none{});
        check_map<typename Case::type, float>(c);
        check_map<typename Case::type, double>(c);
    }
    SUBCASE("bytes") {
        check_sealed(small_fit<Case>());
        check_sealed(typename Case::type{});
    }
    check_fits(law_fits_of<Case>(), Case::monotone, Case::strict);
}

}  // namespace reckon::testing_support
