// What every multiclass calibrator owes, whatever it learns. A test file names its calibrators as cases and calls
// check_multiclass<C>() for each.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/calibration/multiclass.hpp"
#include "reckon/core/random.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/testing/laws.hpp"
#include "support/fixture.hpp"
#include "support/law.hpp"
#include "support/random_data.hpp"
#include "support/sweep.hpp"
#include "support/tolerance.hpp"

namespace reckon::testing_support {

template <class T>
struct class_columns {
    std::size_t classes = 0;
    std::vector<T> scores;
    std::vector<std::int32_t> labels;
    std::vector<T> weights;

    std::size_t size() const noexcept { return labels.size(); }
    matrix_view<const T> rows() const noexcept { return {scores.data(), size(), classes}; }
};

// Softmax in plain double.
inline std::vector<double> plain_softmax(const std::vector<double>& t) {
    double most = t[0], sum = 0;
    for (const double x : t) most = x > most ? x : most;
    std::vector<double> p;
    for (const double x : t) p.push_back(std::exp(x - most));
    for (const double x : p) sum += x;
    for (double& x : p) x /= sum;
    return p;
}

// Logits N(0, spread^2), classes drawn from softmax(slope * logits + 0.2 k), weights from {0, 1/4, ..., 2}.
template <class T>
class_columns<T> random_classes(std::size_t n, std::size_t classes, double slope = 0.6, double spread = 1.5,
                                std::uint64_t seed = 1) {
    class_columns<T> data;
    data.classes = classes;
    const random_stream logits(seed, 110), labels(seed, 111), weights(seed, 112);
    for (std::size_t i = 0; i < n; ++i) {
        std::vector<double> t;
        for (std::size_t k = 0; k < classes; ++k) {
            data.scores.push_back(static_cast<T>(spread * logits.normal(i * classes + k)));
            t.push_back(slope * static_cast<double>(data.scores.back()) + 0.2 * static_cast<double>(k));
        }
        const auto p = plain_softmax(t);
        double u = labels.uniform(i);
        std::size_t y = 0;
        while (y + 1 < classes && u >= p[y]) u -= p[y++];
        data.labels.push_back(static_cast<std::int32_t>(y));
        data.weights.push_back(static_cast<T>(static_cast<double>(weights.below(i, 9)) * 0.25));
    }
    return data;
}

// One set of multiclass.txt, as logits or as probabilities.
template <class T>
class_columns<T> oracle_classes(const fixture& data, const std::string& name, bool logits) {
    class_columns<T> set;
    set.classes = static_cast<std::size_t>(data.value(name + ".k"));
    set.scores = data.as<T>(name + (logits ? ".z" : ".p"));
    set.labels = data.as<std::int32_t>(name + ".y");
    if (data.contains(name + ".w")) set.weights = data.as<T>(name + ".w");
    return set;
}

// softmax of each row.
template <class T>
std::vector<T> probabilities_of(const class_columns<T>& data) {
    std::vector<T> p;
    for (std::size_t i = 0; i < data.size(); ++i) {
        const auto row = data.rows().row(i);
        for (const double q : plain_softmax({row.begin(), row.end()})) p.push_back(static_cast<T>(q));
    }
    return p;
}

template <class C, class T>
std::vector<T> mapped_rows(const C& c, const std::vector<T>& scores) {
    std::vector<T> out(scores.size());
    const std::size_t rows = scores.size() / c.classes();
    auto room = view(out, rows, c.classes());
    c.apply(exec::serial, view(scores, rows, c.classes()), room);
    return out;
}

// Every row in [0, 1] with sum 1.
template <class T>
bool all_distributions(const std::vector<T>& p, std::size_t classes) {
    for (std::size_t i = 0; i < p.size(); i += classes) {
        double sum = 0;
        for (std::size_t k = 0; k < classes; ++k) {
            if (!(p[i + k] >= T(0) && p[i + k] <= T(1))) return false;
            sum += static_cast<double>(p[i + k]);
        }
        if (!near(static_cast<T>(sum), 1.0, worst_reduction<T>(classes))) return false;
    }
    return true;
}

// The map on few classes and on many, which take different paths: each row alike wherever it stands, in place, strided,
// NaN kept to its row, nothing allocated, the same on threads.
template <class C, class T>
void check_row_map(const C& c) {
    const std::size_t classes = c.classes();
    const std::size_t rows = 4 * simd::pack<T>::lanes + 3;
    auto scores = random_uniform<T>(rows * classes, 0.0, 1.0, 5);
    scores[0] = T(0);
    scores[classes] = T(1);
    const auto all = mapped_rows(c, scores);
    CHECK(all_distributions(all, classes));
    for (std::size_t i = 0; i < rows; ++i) {
        const auto first = scores.begin() + static_cast<std::ptrdiff_t>(i * classes);
        const std::vector<T> row(first, first + static_cast<std::ptrdiff_t>(classes));
        const auto at = all.begin() + static_cast<std::ptrdiff_t>(i * classes);
        CHECK(mapped_rows(c, row) == std::vector<T>(at, at + static_cast<std::ptrdiff_t>(classes)));
    }
    auto place = scores;
    auto in_place = view(place, rows, classes);
    c.apply(exec::serial, in_place, in_place);
    CHECK(place == all);

    const auto strides = testing::check_strides<T, T>(
        [&](matrix_view<const T> in, matrix_view<T> out) { c.apply(exec::serial, in, out); }, scores, rows, classes,
        rows, classes);
    CHECK_LAW(strides);

    for (const std::size_t column : {std::size_t{0}, classes - 1}) {
        auto holed = scores;
        holed[3 * classes + column] = std::numeric_limits<T>::quiet_NaN();
        const auto out = mapped_rows(c, holed);
        for (std::size_t i = 0; i < out.size(); ++i) {
            if (i / classes == 3) {
                CHECK(std::isnan(out[i]));
            } else {
                CHECK(out[i] == all[i]);
            }
        }
    }
    auto room = view(place, rows, classes);
    const auto quiet = testing::check_no_allocation([&] { c.apply(exec::serial, view(scores, rows, classes), room); });
    CHECK_LAW(quiet);

    const std::size_t many = 40000 / classes;
    const auto wide = random_uniform<T>(many * classes, 0.0, 1.0, 6);
    std::vector<T> parallel(wide.size());
    auto parallel_room = view(parallel, many, classes);
    exec::pool threads(3);
    c.apply(exec::host(threads), view(wide, many, classes), parallel_room);
    CHECK(parallel == mapped_rows(c, wide));

    matrix_view<T> short_room(place.data(), rows - 1, classes);
    CHECK_THROWS_AS(c.apply(exec::serial, view(scores, rows, classes), short_room), std::invalid_argument);
    matrix_view<T> narrow(place.data(), 1, classes + 1);
    CHECK_THROWS_AS(c.apply(exec::serial, narrow, narrow), std::invalid_argument);
    matrix_view<T> nothing(place.data(), 0, classes);
    c.apply(exec::serial, nothing, nothing);
}

template <class C>
void check_multiclass() {
    const auto data = random_classes<double>(700, 3);
    const auto p = probabilities_of(data);
    const matrix_view<const double> scores(p.data(), data.size(), 3);
    SUBCASE("has the common shape") {
        CHECK(multiclass_calibrator<C>);
        const auto c = C::fit(exec::serial, scores, data.labels);
        CHECK(c.classes() == 3);
        CHECK(c.seen() == counts{700, 0});
        CHECK(C().classes() == 1);
        CHECK(mapped_rows(C(), std::vector<double>{0.3, 0.9}) == std::vector<double>{1, 1});
    }
    SUBCASE("maps each row alike, in place, strided, on threads") {
        const auto c = C::fit(exec::serial, scores, data.labels);
        check_row_map<C, float>(c);
        check_row_map<C, double>(c);
    }
    SUBCASE("the fit does not depend on threads, the type of labels or strides") {
        const auto large = random_classes<float>(40001, 3);
        const auto q = probabilities_of(large);
        const matrix_view<const float> rows(q.data(), large.size(), 3);
        const auto want = to_bytes(C::fit(exec::serial, rows, large.labels, large.weights));
        exec::pool pool(3);
        CHECK(to_bytes(C::fit(exec::host(pool), rows, large.labels, large.weights)) == want);
        const std::vector<double> as_double(large.labels.begin(), large.labels.end());
        CHECK(to_bytes(C::fit(exec::serial, rows, as_double, large.weights)) == want);
        strided<float> spaced(large.size(), 3, 2, 7.0f);
        for (std::size_t i = 0; i < q.size(); ++i) spaced.view()(i / 3, i % 3) = q[i];
        CHECK(to_bytes(C::fit(exec::serial, spaced.view(), large.labels, large.weights)) == want);
    }
    SUBCASE("a fit counts and skips bad rows, and rows of weight 0 change nothing") {
        constexpr double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
        const std::vector<double> good(data.labels.begin(), data.labels.end());
        const auto want = mapped_rows(C::fit(exec::serial, scores, good, data.weights), p);
        struct bad_row {
            double score, label, weight;
        };
        for (const bad_row bad :
             {bad_row{nan, 0, 1}, bad_row{inf, 1, 1}, bad_row{-inf, 1, 1}, bad_row{-0.1, 1, 1}, bad_row{1.5, 1, 1},
              bad_row{0.5, nan, 1}, bad_row{0.5, -1, 1}, bad_row{0.5, 3, 1}, bad_row{0.5, 0.5, 1}, bad_row{0.5, inf, 1},
              bad_row{0.5, 1, nan}, bad_row{0.5, 1, -1}, bad_row{0.5, 1, inf}, bad_row{0.125, 2, 0}}) {
            for (const std::size_t at : {std::size_t{0}, std::size_t{333}, data.size()}) {
                auto s = p, y = good, w = data.weights;
                const auto place = static_cast<std::ptrdiff_t>(at);
                s.insert(s.begin() + 3 * place, {0.25, bad.score, 0.25});
                y.insert(y.begin() + place, bad.label);
                w.insert(w.begin() + place, bad.weight);
                const auto c = C::fit(exec::serial, view(s, y.size(), 3), y, w);
                CHECK(c.seen().rejected == (bad.weight == 0 ? 0 : 1));
                // The sums of the fit see their rows in other tiles.
                CHECK_ALL_NEAR(mapped_rows(c, p), want, fitted());
            }
        }
        std::vector<double> kept;
        std::vector<int> kept_labels;
        std::vector<double> kept_weights;
        for (std::size_t i = 0; i < data.size(); ++i) {
            if (data.weights[i] == 0.0) continue;
            kept.insert(kept.end(), {p[3 * i], p[3 * i + 1], p[3 * i + 2]});
            kept_labels.push_back(data.labels[i]);
            kept_weights.push_back(data.weights[i]);
        }
        REQUIRE(kept_labels.size() < data.size());
        const auto c = C::fit(exec::serial, view(kept, kept_labels.size(), 3), kept_labels, kept_weights);
        CHECK_ALL_NEAR(mapped_rows(c, p), want, fitted());
    }
    SUBCASE("empty, one class, absent classes, equal scores, tiny and huge weights") {
        const std::vector<double> none_at_all;
        const std::vector<int> no_labels;
        const auto empty = C::fit(exec::serial, view(none_at_all, 0, 3), no_labels);
        CHECK(empty.seen() == counts{});
        CHECK(empty.classes() == 3);
        CHECK_ALL_NEAR(mapped_rows(empty, p), p, probability<double>());
        for (const int label : {0, 2}) {
            const std::vector<int> labels(data.size(), label);
            CHECK(all_distributions(mapped_rows(C::fit(exec::serial, scores, labels), p), 3));
        }
        std::vector<int> two;
        for (const auto y : data.labels) two.push_back(y == 1 ? 2 : y);
        CHECK(all_distributions(mapped_rows(C::fit(exec::serial, scores, two), p), 3));
        const std::vector<double> flat(p.size(), 0.25);
        CHECK(all_distributions(mapped_rows(C::fit(exec::serial, view(flat, data.size(), 3), data.labels), p), 3));
        for (const double weight : {0.0, 1e-300, 1e300}) {
            const std::vector<double> weights(data.size(), weight);
            const auto c = C::fit(exec::serial, scores, data.labels, weights);
            CHECK(c.seen().accepted == data.size());
            CHECK(all_distributions(mapped_rows(c, p), 3));
        }
        // One column: every probability is 1.
        const std::vector<double> column{0.2, 0.7};
        const std::vector<int> zeros{0, 0};
        const auto single = C::fit(exec::serial, view(column, 2, 1), zeros);
        CHECK(mapped_rows(single, column) == std::vector<double>{1, 1});
    }
    SUBCASE("bytes") {
        const auto two = random_classes<double>(50, 2);
        const auto q = probabilities_of(two);
        const auto usable = [](const C& read) {
            const std::vector<double> probe(read.classes() < 1000 ? 2 * read.classes() : 0, 0.25);
            return probe.empty() || all_distributions(mapped_rows(read, probe), read.classes());
        };
        for (const C& c : {C(), C::fit(exec::serial, view(q, 50, 2), two.labels)}) {
            const auto report = testing::check_bytes(c, usable);
            CHECK_LAW(report);
            const auto read = from_bytes<C>(to_bytes(c));
            CHECK(read.seen() == c.seen());
            if (c.classes() == 2) CHECK(mapped_rows(read, q) == mapped_rows(c, q));
        }
    }
    SUBCASE("sizes that differ and options out of range throw") {
        const std::vector<int> short_labels(data.size() - 1, 0);
        CHECK_THROWS_AS(C::fit(exec::serial, scores, short_labels), std::invalid_argument);
        const std::vector<double> short_weights(data.size() - 1, 1.0);
        CHECK_THROWS_AS(C::fit(exec::serial, scores, data.labels, short_weights), std::invalid_argument);
        const matrix_view<const double> no_columns(p.data(), data.size(), 0);
        CHECK_THROWS_AS(C::fit(exec::serial, no_columns, data.labels), std::invalid_argument);
        CHECK_THROWS_AS(C::fit(exec::serial, scores, data.labels, none{}, {.tolerance = 0.0}), std::invalid_argument);
        CHECK_THROWS_AS(C::fit(exec::serial, scores, data.labels, none{}, {.max_passes = 0}), std::invalid_argument);
    }
}

}  // namespace reckon::testing_support
