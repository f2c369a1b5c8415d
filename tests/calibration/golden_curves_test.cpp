// Bytes that earlier versions wrote of the curves, splines, binned calibrators and the score histogram.
#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "reckon/calibration/bbq.hpp"
#include "reckon/calibration/beta_calibration.hpp"
#include "reckon/calibration/gamma_scaling.hpp"
#include "reckon/calibration/gaussian_scaling.hpp"
#include "reckon/calibration/piecewise_linear.hpp"
#include "reckon/calibration/scaling_binning.hpp"
#include "reckon/calibration/score_histogram.hpp"
#include "reckon/calibration/spline_calibration.hpp"
#include "reckon/calibration/spline_logit.hpp"
#include "reckon/calibration/venn_abers.hpp"
#include "support/golden.hpp"

namespace {

using namespace reckon;
using namespace testing_support;
using exec::serial;

const std::vector<double> scores{0.0625, 0.125, 0.25,  0.25, 0.375, 0.5,
                                 0.625,  0.75,  0.875, 1.0,  2.0};  // calibrators of probabilities refuse the last one
const std::vector<double> labels{0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 1};
const std::vector<double> weights{1, 2, 1, 1, 0.5, 1, 1, 1, 2, 0.25, 1};

// What an object says about itself and about a few scores.
template <class C>
    requires calibrator<C> std::vector<double> answers(const C& c) {
        std::vector<double> said;
        for (const double p : {0.0, 0.1, 0.3, 0.5, 0.8, 1.0}) said.push_back(c(p));
        append(said, both(c.seen()));
        return said;
    }
std::vector<double> answers(const score_histogram& h) {
    std::vector<double> said{h.clock()};
    const auto columns = h.columns();
    append(said, columns.scores);
    append(said, columns.labels);
    append(said, columns.weights);
    append(said, both(h.seen()));
    return said;
}

// Calls visit(file name, object made today) for one or more objects of every type.
template <class Visit>
void for_each_object(Visit&& visit) {
    visit("beta_calibration", beta_calibration::fit(serial, scores, labels, weights));
    visit("gaussian_scaling", gaussian_scaling::fit(serial, scores, labels, weights));
    visit("gamma_scaling", gamma_scaling::fit(serial, scores, labels, weights));
    visit("scaling_binning", scaling_binning::fit(serial, scores, labels, weights, {.bins = 3}));
    visit("bbq", bbq::fit(serial, scores, labels, weights));
    visit("piecewise_linear", piecewise_linear::fit(serial, scores, labels, weights));
    visit("venn_abers", venn_abers::fit(serial, scores, labels, weights));
    visit("venn_abers_brier", venn_abers::fit(serial, scores, labels, weights, {.point = venn_abers_point::brier}));
    visit("spline_calibration", spline_calibration::fit(serial, scores, labels, weights));
    visit("spline_logit", spline_logit::fit(serial, scores, labels, weights));
    score_histogram histogram({.resolution = 2, .half_life = 2.0});
    histogram.absorb(make_scored("golden", scores, labels, weights));
    histogram.advance(histogram.clock() + 1.0);
    visit("score_histogram", histogram);
}

TEST_CASE("golden: curves, splines, binned calibrators and the score histogram are read from every version") {
    for_each_object([](const char* name, const auto& made) {
        check_golden(name, made, [](const auto& object) { return answers(object); });
    });
}

TEST_CASE("golden: write curves, splines, binned calibrators and the score histogram" * doctest::skip()) {
    for_each_object([](const char* name, const auto& made) { write_golden(name, made); });
}

}  // namespace
