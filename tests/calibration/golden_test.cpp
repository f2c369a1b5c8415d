// Bytes that earlier versions wrote of calibrators of the first release, states and metrics.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reckon/calibration/confcalib.hpp"
#include "reckon/calibration/global_ratio.hpp"
#include "reckon/calibration/histogram_binning.hpp"
#include "reckon/calibration/isotonic.hpp"
#include "reckon/calibration/platt.hpp"
#include "reckon/calibration/prior_shift.hpp"
#include "reckon/calibration/sir.hpp"
#include "reckon/calibration/temperature.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/metrics/auc.hpp"
#include "reckon/metrics/calibration_report.hpp"
#include "reckon/metrics/field_stats.hpp"
#include "support/golden.hpp"

namespace {

using namespace reckon;
using exec::serial;
using namespace testing_support;

const std::vector<double> scores{0.0625, 0.125, 0.25,  0.25, 0.375, 0.5,
                                 0.625,  0.75,  0.875, 1.0,  2.0};  // the last one is refused
const std::vector<double> labels{0, 0, 0, 1, 0, 1, 0, 1, 1, 1, 1};
const std::vector<double> weights{1, 2, 1, 1, 0.5, 1, 1, 1, 2, 0.25, 1};
const std::vector<std::int32_t> ids{0, 1, 1, 0, 1, 0, 0, 1, -1, 1, 0,  // two fields
                                    2, 2, 0, 0, 1, 2, 2, 0, 1,  3, 0};

auto rows() {
    return make_scored("golden", scores, labels, weights);
}
auto id_rows() {
    return view(ids, 2, scores.size());
}

// What an object says about itself and about a few scores.
template <class C>
    requires calibrator<C> std::vector<double> answers(const C& c) {
        std::vector<double> said;
        for (const double p : {0.0, 0.1, 0.3, 0.5, 0.8, 1.0}) said.push_back(c(p));
        if constexpr (fitted_calibrator<C>) append(said, both(c.seen()));
        return said;
    }
std::vector<double> answers(const confcalib& c) {
    std::vector<double> said;
    for (const std::int32_t ad : {-1, 0, 1}) {
        for (const std::int32_t slot : {0, 1, 2, 9}) {
            const std::vector<std::int32_t> one{ad, slot};
            for (const double p : {0.05, 0.4, 0.9}) said.push_back(c(p, one));
        }
    }
    append(said, c.field_weights());
    append(said, {c.shift(), static_cast<double>(c.bins()), static_cast<double>(c.correction())});
    append(said, both(c.seen()));
    return said;
}
std::vector<double> answers(const field_stats& s) {
    std::vector<double> said{s.clock(), s.options().half_life, s.options().start, static_cast<double>(s.accepted()),
                             static_cast<double>(s.rejected())};
    append(said, s.options().bin_edges);
    for (std::size_t f = 0; f < s.fields(); ++f) {
        for (const field_cell& cell : s.cells(f)) append(said, {cell.n, cell.predicted, cell.observed, cell.variance});
        append(said, {s.unseen(f).n, s.unseen(f).predicted, s.unseen(f).observed, s.unseen(f).variance});
    }
    return said;
}
std::vector<double> answers(const auc_histogram& h) {
    std::vector<double> said{h.finish(), h.bound(), static_cast<double>(h.resolution())};
    append(said, both(h.seen()));
    return said;
}
std::vector<double> answers(const proper_scores& s) {
    std::vector<double> said{s.log_loss(), s.brier(), s.pcoc(), s.normalized_entropy(), s.weight(), s.epsilon()};
    append(said, both(s.seen()));
    return said;
}
std::vector<double> answers(const reliability_table& t) {
    std::vector<double> said{t.ece(), t.mce(), t.ace(), t.ece_debiased(), t.brier().total()};
    for (std::size_t b = 0; b < t.size(); ++b) append(said, {t.bins().lower(b), t[b].weight, t[b].score, t[b].label});
    append(said, both(t.seen()));
    return said;
}
std::vector<double> answers(const spiegelhalter_test& s) {
    std::vector<double> said{s.z(), s.p_value()};
    append(said, both(s.seen()));
    return said;
}
std::vector<double> answers(const calibration_summary& s) {
    std::vector<double> said = answers(s.scores());
    append(said, answers(s.bins()));
    append(said, answers(s.spiegelhalter()));
    return said;
}

template <class State>
State absorbed(State state) {
    state.absorb(rows());
    return state;
}
field_stats sums(field_stats_options options) {
    field_stats stats({2, 3}, std::move(options));
    stats.absorb(make_fielded("golden", scores, labels, id_rows(), weights));
    stats.advance(stats.clock() + 1.0);
    return stats;
}

// Calls visit(file name, object made today) for one or more objects of every type.
template <class Visit>
void for_each_object(Visit&& visit) {
    visit("platt", platt::fit(serial, scores, labels, weights));
    visit("platt_logit", platt(0.75, -1.5, score_kind::logit));
    visit("temperature", temperature::fit(serial, scores, labels, weights));
    visit("isotonic", isotonic::fit(serial, scores, labels, weights));
    visit("histogram_width",
          histogram_binning::fit(serial, scores, labels, weights,
                                 {.bins = 4, .edges = histogram_binning_options::partition::equal_width}));
    visit("histogram_mass", histogram_binning::fit(serial, scores, labels, weights, {.bins = 3}));
    visit("sir", sir::fit(serial, scores, labels, weights, {.bins = 4}));
    visit("global_ratio", global_ratio::fit(serial, scores, labels, weights));
    visit("prior_shift", prior_shift(0.125));
    visit("confcalib", confcalib::fit(serial, scores, labels, id_rows(), weights));
    visit("confcalib_logit", confcalib::fit(serial, scores, labels, id_rows(), weights,
                                            {.correction = correction_kind::logit, .fusion = fusion_kind::sequential}));
    visit("confcalib_bins", confcalib::fit(serial, scores, labels, id_rows(), weights, {.bin_edges = {0.25, 0.5}}));
    visit("field_stats", sums({}));
    visit("field_stats_fading", sums({.bin_edges = {0.5}, .half_life = 2.0, .start = 1.0}));
    visit("auc_histogram", absorbed(auc_histogram(9)));
    visit("proper_scores", absorbed(proper_scores({.epsilon = 1e-6})));
    visit("reliability_width", absorbed(reliability_table(score_bins::width(5))));
    visit("reliability_cuts", absorbed(reliability_table(score_bins::cuts(std::vector<double>{0.25, 0.7}))));
    visit("spiegelhalter", absorbed(spiegelhalter_test{}));
    visit("calibration_summary", absorbed(calibration_summary{}));
}

TEST_CASE("golden: every version that was ever written is read") {
    for_each_object([](const char* name, const auto& made) {
        check_golden(name, made, [](const auto& object) { return answers(object); });
    });
}

TEST_CASE("golden: write" * doctest::skip()) {
    for_each_object([](const char* name, const auto& made) { write_golden(name, made); });
}

}  // namespace
