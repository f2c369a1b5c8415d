// Classwise and top-label calibration error of multiclass predictions.
#include "reckon/metrics/classwise_ece.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "../support/fixture.hpp"
#include "../support/law.hpp"
#include "../support/random_data.hpp"
#include "../support/tolerance.hpp"
#include "reckon/exec/pool.hpp"

using namespace reckon;
using namespace reckon::testing_support;

namespace {

bool same_figures(const class_reliability& a, const class_reliability& b) {
    const auto close = [](double x, double y) { return static_cast<bool>(near(x, y, reduction(1000))); };
    bool same = close(a.log_loss(), b.log_loss()) && close(a.brier(), b.brier()) && close(a.accuracy(), b.accuracy()) &&
                a.classes() == b.classes() && a.seen().accepted == b.seen().accepted;
    for (std::size_t k = 0; same && k < a.classes(); ++k) {
        for (std::size_t i = 0; i < a.bins().size(); ++i) {
            same = same && near(a[k][i].score, b[k][i].score, reduction(1000).of(1000.0)).ok &&
                   near(a[k][i].label, b[k][i].label, reduction(1000).of(1000.0)).ok;
        }
    }
    return same;
}

}  // namespace

TEST_CASE("classwise_ece: worked example") {
    const std::vector<double> p{0.75, 0.25, 0.0, 0.25, 0.5, 0.25, 0.5, 0.5, 0.0};
    const std::vector<int> y{0, 1, 1};
    const score_bins two = score_bins::width(2);
    const auto r = classwise_reliability(exec::serial, view(p, 3, 3), y, none{}, {.bins = two});
    // Class 0: bin 0 {.25: 0}, bin 1 {.75: 1, .5: 0}; class 1: {.25: 0}, {.5: 1, .5: 1}; class 2: {0, .25, 0: 0}.
    const double class0 = (0.25 + 0.25) / 3, class1 = (0.25 + 1.0) / 3, class2 = 0.25 / 3;
    CHECK_NEAR(r.classwise_ece(), (class0 + class1 + class2) / 3, ulp(4));
    CHECK(r.finish() == r.classwise_ece());
    CHECK(r[1].ece() == ece(exec::serial, std::vector<double>{0.25, 0.5, 0.5}, y, none{}, two));
    // Of two equal largest ones the first counts: the last row names class 0 and is wrong.
    CHECK_NEAR(r.accuracy(), 2.0 / 3, ulp(1));
    CHECK_NEAR(r.top_label_ece(), std::fabs(0.75 + 0.5 + 0.5 - 2) / 3, ulp(4));
    CHECK_NEAR(r.log_loss(), -(std::log(0.75) + 2 * std::log(0.5)) / 3, ulp(4));
    CHECK_NEAR(r.brier(), (0.0625 + 0.0625 + 0.0625 + 0.25 + 0.0625 + 0.25 + 0.25) / 3, ulp(4));
    CHECK(classwise_ece(exec::serial, view(p, 3, 3), y, none{}, two) == r.classwise_ece());
    CHECK(top_label_ece(exec::serial, view(p, 3, 3), y, none{}, two) == r.top_label_ece());
}

TEST_CASE("classwise_ece: equals the oracles") {
    const fixture data("multiclass.txt");
    for (const std::string name : {"three", "weighted", "two", "ten"}) {
        CAPTURE(name);
        const auto classes = static_cast<std::size_t>(data.value(name + ".k"));
        const auto p = data[name + ".p"];
        const auto y = data.as<std::int32_t>(name + ".y");
        const auto w = data.contains(name + ".w") ? data[name + ".w"] : std::vector<double>(y.size(), 1.0);
        const auto r =
            classwise_reliability(exec::serial, view(p, y.size(), classes), y, w, {.bins = score_bins::width(10)});
        const auto near_one = reduction(y.size()).of(1.0);
        CHECK_NEAR(r.classwise_ece(), data.value(name + ".classwise_ece"), near_one);
        CHECK_NEAR(r.top_label_ece(), data.value(name + ".top_label_ece"), near_one);
        CHECK_NEAR(r.accuracy(), data.value(name + ".accuracy"), near_one);
        CHECK_NEAR(r.brier(), data.value(name + ".brier"), near_one);
        CHECK_NEAR(r.log_loss(), data.value(name + ".log_loss"), near_one);
    }
}

TEST_CASE("class_reliability: merges over any split, under every policy, and survives as bytes") {
    const std::size_t n = 700, classes = 3;
    std::vector<float> p = random_uniform<float>(n * classes, 0.0, 1.0);
    const auto y = random_integers<std::int32_t>(n, classes);
    const auto w = random_uniform<float>(n, 0.0, 2.0);
    p[7] = std::nanf("");
    const auto batch = make_classified("test", view(p, n, classes), y, w);
    CHECK_LAW(testing::check_merge(class_reliability(classes), batch, same_figures));
    const std::size_t many = 40000;
    const auto q = random_uniform<float>(many * classes, 0.0, 1.0);
    const auto labels = random_integers<std::int32_t>(many, classes);
    exec::pool pool(3);
    const auto want = classwise_reliability(exec::serial, view(q, many, classes), labels);
    CHECK(to_bytes(classwise_reliability(exec::host(pool), view(q, many, classes), labels)) == to_bytes(want));

    const auto usable = [](const class_reliability& r) {
        return !(r.classwise_ece() > 1.001) && !(r.top_label_ece() > 1.001) && !(r.log_loss() < 0.0) &&
               r.classes() >= 1;
    };
    class_reliability small(2, {.bins = score_bins::width(2)});
    const std::vector<double> rows{0.75, 0.25, 0.25, 0.75};
    const std::vector<int> classes_of{0, 0};
    small.absorb(make_classified("test", view(rows, 2, 2), classes_of));
    CHECK_LAW(testing::check_bytes(small, usable));
    CHECK_LAW(testing::check_bytes(class_reliability(1, {.bins = score_bins::width(1)}), usable));
    const auto again = from_bytes<class_reliability>(to_bytes(want));
    CHECK(again.classwise_ece() == want.classwise_ece());
    CHECK(again.brier() == want.brier());

    class_reliability three(3);
    CHECK_THROWS_AS(three.merge(small), std::invalid_argument);
    CHECK_THROWS_AS(three.merge(class_reliability(3, {.bins = score_bins::width(10)})), std::invalid_argument);
    CHECK_THROWS_AS(three.merge(class_reliability(3, {.epsilon = 1e-3})), std::invalid_argument);
    CHECK_THROWS_AS(class_reliability(0), std::invalid_argument);
    CHECK_THROWS_AS(class_reliability(2, {.epsilon = 0.0}), std::invalid_argument);
}

TEST_CASE("class_reliability: bad rows are counted and skipped, nothing gives NaN") {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
    const std::vector<double> p{0.75, 0.25, nan, 0.5, -0.1, 1.0, 0.5, 1.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5};
    const std::vector<double> y{0, 0, 1, 0, 2, nan, -1, 0};
    const std::vector<double> w{1, 1, 1, 1, 1, 1, 1, inf};
    const auto r = classwise_reliability(exec::serial, view(p, 8, 2), y, w);
    CHECK(r.seen() == counts{1, 7});
    CHECK(r.rejected() == 7);
    CHECK(r.accuracy() == 1.0);
    CHECK_NEAR(r.log_loss(), -std::log(0.75), ulp(1));
    const class_reliability nothing(4);
    CHECK(std::isnan(nothing.classwise_ece()));
    CHECK(std::isnan(nothing.top_label_ece()));
    CHECK(std::isnan(nothing.log_loss()));
    CHECK(std::isnan(nothing.brier()));
    CHECK(std::isnan(nothing.accuracy()));
    const std::vector<double> sure{1.0, 0.0};
    const std::vector<int> wrong{1};
    CHECK_NEAR(classwise_reliability(exec::serial, view(sure, 1, 2), wrong).log_loss(), -std::log(1e-7), ulp(1));
    CHECK_THROWS_AS(classwise_ece(exec::serial, view(p, 8, 2), wrong), std::invalid_argument);
}
