// Temperature scaling of multiclass scores, and the row softmax of all multiclass calibrators.
#include "reckon/calibration/multiclass_temperature.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "multiclass_law.hpp"
#include "reckon/calibration/temperature.hpp"
#include "reckon/core/class_batch.hpp"
#include "reckon/testing/gradient.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

constexpr multiclass_temperature_options on_logits{.input = score_kind::logit};

// Root of the gradient by bisection, row by row in double.
template <class T>
double reference(const class_columns<T>& data, bool weighted) {
    const auto gradient = [&](double beta) {
        double sum = 0;
        for (std::size_t i = 0; i < data.size(); ++i) {
            std::vector<double> t;
            for (const T z : data.rows().row(i)) t.push_back(beta * static_cast<double>(z));
            const auto p = plain_softmax(t);
            double mean = 0;
            for (std::size_t k = 0; k < data.classes; ++k) mean += p[k] * t[k] / beta;
            const double own = t[static_cast<std::size_t>(data.labels[i])] / beta;
            sum += (weighted ? static_cast<double>(data.weights[i]) : 1.0) * (mean - own);
        }
        return sum;
    };
    double low = 1e-3, high = 1e3;
    if (gradient(low) >= 0) return low;
    if (gradient(high) <= 0) return high;
    for (int i = 0; i < 100; ++i) {
        const double middle = std::sqrt(low * high);
        (gradient(middle) > 0 ? high : low) = middle;
    }
    return low;
}

}  // namespace

TEST_CASE("class_batch: labels of any type") {
    CHECK(reckon::detail::class_of(2, 3) == 2);
    CHECK(reckon::detail::class_of(3, 3) == 3);
    CHECK(reckon::detail::class_of(-1, 3) == 3);
    CHECK(reckon::detail::class_of(std::int64_t{1} << 40, 3) == 3);
    CHECK(reckon::detail::class_of(std::uint8_t{255}, 256) == 255);
    CHECK(reckon::detail::class_of(1.0f, 3) == 1);
    CHECK(reckon::detail::class_of(1.5, 3) == 3);
    CHECK(reckon::detail::class_of(std::nan(""), 3) == 3);
    CHECK(reckon::detail::class_of(1e300, 3) == 3);
    CHECK(reckon::detail::class_of(true, 2) == 1);
}

TEST_CASE("multiclass_temperature: worked example") {
    // Rows (2, 0, 0): class 0 in 3 of 4. softmax gives e^(2b) / (e^(2b) + 2) = 3/4, so b = ln(6) / 2.
    const std::vector<double> z{2, 0, 0, 2, 0, 0, 2, 0, 0, 2, 0, 0};
    const std::vector<int> y{0, 0, 0, 1};
    const auto c = multiclass_temperature::fit(exec::serial, view(z, 4, 3), y, none{}, on_logits);
    CHECK_NEAR(c.beta(), std::log(6.0) / 2, fitted());
    CHECK_NEAR(c.value(), 2 / std::log(6.0), fitted());
    CHECK_ALL_NEAR(mapped_rows(c, std::vector<double>{2, 0, 0}), (std::vector<double>{0.75, 0.125, 0.125}), fitted());
}

TEST_CASE_TEMPLATE("multiclass_temperature: equals the reference at every length", T, float, double) {
    for (const std::size_t classes : {std::size_t{3}, std::size_t{35}}) {
        for (const std::size_t n : sweep_lengths(simd::pack<double>::lanes, false)) {
            if (n == 0) continue;
            CAPTURE(classes);
            CAPTURE(n);
            const auto data = random_classes<T>(n, classes, 0.6, 1.5, n);
            const auto plain = multiclass_temperature::fit(exec::serial, data.rows(), data.labels, none{}, on_logits);
            CHECK_NEAR(plain.beta(), reference(data, false), fitted());
            if (n < 2) continue;
            const auto weighted =
                multiclass_temperature::fit(exec::serial, data.rows(), data.labels, data.weights, on_logits);
            CHECK_NEAR(weighted.beta(), reference(data, true), fitted());
        }
    }
    // Long enough to start from a sample.
    const auto data = random_classes<T>(9001, 3);
    CHECK_NEAR(multiclass_temperature::fit(exec::serial, data.rows(), data.labels, none{}, on_logits).beta(),
               reference(data, false), fitted());
}

TEST_CASE_TEMPLATE("multiclass_temperature: equals the oracles", T, float, double) {
    const fixture data("multiclass.txt");
    for (const std::string name : {"three", "weighted", "two", "ten"}) {
        CAPTURE(name);
        const auto z = oracle_classes<T>(data, name, true), p = oracle_classes<T>(data, name, false);
        const auto c = multiclass_temperature::fit(exec::serial, z.rows(), z.labels, z.weights, on_logits);
        CHECK_NEAR(c.beta(), data.value(name + ".temperature"), fitted());
        const std::vector<T> head(z.scores.begin(), z.scores.begin() + static_cast<std::ptrdiff_t>(5 * z.classes));
        CHECK_ALL_NEAR(mapped_rows(c, head), data[name + ".temperature.at"],
                       sizeof(T) == 8 ? fitted() : probability<T>());
        // ln p is rounded to the type of the scores.
        const auto q = multiclass_temperature::fit(exec::serial, p.rows(), p.labels, p.weights);
        CHECK_NEAR(q.beta(), data.value(name + ".temperature.p"),
                   sizeof(T) == 8 ? fitted() : reduction<float>(p.size()));
    }
}

TEST_CASE("multiclass_temperature: two classes are the binary temperature") {
    const auto data = random_classes<double>(3000, 2, 0.7, 1.5);
    std::vector<double> f;
    for (std::size_t i = 0; i < data.size(); ++i) f.push_back(data.scores[2 * i + 1] - data.scores[2 * i]);
    const auto binary =
        temperature::fit(exec::serial, f, data.labels, data.weights, temperature_options{.input = score_kind::logit});
    const auto c = multiclass_temperature::fit(exec::serial, data.rows(), data.labels, data.weights, on_logits);
    CHECK_NEAR(c.beta(), binary.beta(), fitted());
    const auto out = mapped_rows(c, data.scores);
    for (std::size_t i = 0; i < data.size(); ++i) CHECK_NEAR(out[2 * i + 1], binary(f[i]), fitted());
}

TEST_CASE("multiclass_temperature: the pass has the derivatives of the loss") {
    const auto data = random_classes<double>(37, 5);
    const auto batch = make_classified("test", data.rows(), data.labels, data.weights);
    const auto at = [&](double theta) {
        reckon::detail::temperature_sums<isa::native> sums{theta, 4.0, 1.0};
        sums.absorb(batch);
        return sums;
    };
    const auto loss = [&](double theta) {
        double sum = 0;
        for (std::size_t i = 0; i < data.size(); ++i) {
            std::vector<double> t;
            for (const double z : data.rows().row(i)) t.push_back(theta * z / 4.0);
            sum -= data.weights[i] * std::log(plain_softmax(t)[static_cast<std::size_t>(data.labels[i])]);
        }
        return sum;
    };
    const double h = 1e-4;
    for (const double theta : {0.1, 2.0, 10.0}) {
        const double slope = (loss(theta + h) - loss(theta - h)) / (2 * h);
        const double curvature = (at(theta + h).slope - at(theta - h).slope) / (2 * h);
        CHECK_NEAR(at(theta).slope, slope, fitted().of(loss(theta)));
        CHECK_NEAR(at(theta).curvature, curvature, fitted().of(loss(theta)));
    }
}

TEST_CASE("multiclass_temperature: an optimum outside the range gives its end") {
    const std::vector<double> z{3, 0, 1, 0, 2, 1, 1, 0, 5};
    const auto fit = [&](std::vector<int> y) {
        return multiclass_temperature::fit(exec::serial, view(z, 3, 3), y, none{}, on_logits).beta();
    };
    CHECK(fit({0, 1, 2}) == 1e3);
    CHECK(fit({1, 0, 1}) == 1e-3);
    const std::vector<double> flat(9, 2.5);
    const std::vector<int> y{0, 1, 2};
    CHECK(multiclass_temperature::fit(exec::serial, view(flat, 3, 3), y, none{}, on_logits).beta() == 1.0);
}

TEST_CASE_TEMPLATE("multiclass_temperature: extreme logits, and the largest score keeps the largest probability", T,
                   float, double) {
    for (const std::size_t classes :
         {std::size_t{2}, std::size_t{7}, std::size_t{32}, std::size_t{33}, std::size_t{100}}) {
        CAPTURE(classes);
        const auto data = random_classes<T>(501, classes, 0.6, 3000.0);
        const auto fitted_to_it =
            multiclass_temperature::fit(exec::serial, data.rows(), data.labels, none{}, on_logits);
        CHECK(std::isfinite(fitted_to_it.beta()));
        for (const double beta : {1e-3, 0.37, 1.0, 1e3}) {
            const multiclass_temperature c(beta, classes, score_kind::logit);
            for (const double spread : {1.0, 1e4, 1e30}) {
                auto scores = data.scores;
                for (T& s : scores) s = static_cast<T>(static_cast<double>(s) / 3000.0 * spread);
                const auto out = mapped_rows(c, scores);
                CHECK(all_distributions(out, classes));
                bool kept = true;
                for (std::size_t i = 0; i < data.size(); ++i) {
                    const T* const s = scores.data() + i * classes;
                    const T* const p = out.data() + i * classes;
                    kept = kept && p[std::max_element(s, s + classes) - s] == *std::max_element(p, p + classes);
                }
                CHECK(kept);
            }
        }
    }
}

TEST_CASE_TEMPLATE("multiclass_temperature: the map against plain softmax for every number of classes", T, float,
                   double) {
    for (std::size_t classes = 1; classes <= 70; ++classes) {
        CAPTURE(classes);
        const auto data = random_classes<T>(19, classes);
        const auto out = mapped_rows(multiclass_temperature(0.5, classes, score_kind::logit), data.scores);
        std::vector<double> want;
        for (std::size_t i = 0; i < data.size(); ++i) {
            std::vector<double> t;
            for (const T z : data.rows().row(i)) t.push_back(0.5 * static_cast<double>(z));
            for (const double q : plain_softmax(t)) want.push_back(q);
        }
        CHECK_ALL_NEAR(out, want, probability<T>());
    }
    check_row_map<multiclass_temperature, T>(multiclass_temperature(0.7, 45));
    check_row_map<multiclass_temperature, T>(multiclass_temperature(0.7, 128, score_kind::logit));
}

TEST_CASE("multiclass_temperature: what every multiclass calibrator owes") {
    check_multiclass<multiclass_temperature>();
}

TEST_CASE("multiclass_temperature: parameters out of range throw") {
    CHECK_THROWS_AS(multiclass_temperature(0.0, 3), std::invalid_argument);
    CHECK_THROWS_AS(multiclass_temperature(2e3, 3), std::invalid_argument);
    CHECK_THROWS_AS(multiclass_temperature(1.0, 0), std::invalid_argument);
}
