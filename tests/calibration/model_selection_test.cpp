// Cross-validation of calibrators.
#include "reckon/calibration/model_selection.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/calibration/isotonic.hpp"
#include "reckon/calibration/platt.hpp"
#include "reckon/calibration/temperature.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/metrics/field_error.hpp"
#include "reckon/metrics/log_loss.hpp"
#include "support/fixture.hpp"
#include "support/random_data.hpp"
#include "support/tolerance.hpp"

namespace {

using namespace reckon;
using namespace reckon::testing_support;

// Multiplies probabilities.
struct scaled {
    double factor = 1;
    template <class Policy, class In, class Out>
    void apply(const Policy&, const In& in, Out&& out) const {
        for (std::size_t i = 0; i < in.size(); ++i) {
            out[i] = static_cast<std::remove_cvref_t<decltype(out[i])>>(factor * double(in[i]));
        }
    }
};
auto scaling(std::string name, double factor) {
    return fit_candidate(std::move(name), [factor](const auto&...) { return scaled{factor}; });
}

template <class W>
selection usual(const fixture& file, const W& weights, cross_validation_options options) {
    options.seed = static_cast<std::uint64_t>(file.value("seed"));
    return cross_validate(exec::serial, file["p"], file["y"], weights, options, unchanged_candidate(),
                          candidate<temperature>("temperature"), candidate<platt>("Platt", platt_options{}));
}

void check_selection(const fixture& file, const std::string& name, const selection& got) {
    INFO(name);
    const auto& loss = file[name + ".loss"];
    REQUIRE(got.candidates.size() == loss.size());
    for (std::size_t c = 0; c < loss.size(); ++c) {
        CHECK_NEAR(got.candidates[c].log_loss, loss[c], fitted());
        CHECK_NEAR(got.candidates[c].error, file[name + ".error"][c], fitted());
        CHECK_NEAR(got.candidates[c].difference, file[name + ".difference"][c], fitted());
        CHECK_NEAR(got.candidates[c].difference_error, file[name + ".difference_error"][c], fitted());
    }
    CHECK_ALL_NEAR(got.candidates[2].fold_losses, file[name + ".platt.fold_losses"], fitted());
    CHECK(got.best == static_cast<std::size_t>(file.value(name + ".best")));
    std::vector<std::uint64_t> rows(5);
    for (const double fold : file[name + ".folds"]) ++rows[static_cast<std::size_t>(fold)];
    CHECK(got.fold_rows == rows);
    CHECK(got.seen == counts{file["p"].size(), 0});
}

template <class Call>
std::string message(Call&& call) {
    try {
        call();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "no exception";
}

}  // namespace

TEST_CASE("cross_validate: worked example") {
    // Candidates without a parameter: their scores are those on all rows, however the folds fall.
    const std::vector<double> p{0.2, 0.4, 0.8, 0.6};
    const std::vector<int> y{0, 1, 1, 0};
    const auto got =
        cross_validate(exec::serial, p, y, none{}, {.folds = 2}, scaling("as it is", 1.0), scaling("half", 0.5));
    CHECK(got.candidates[0].name == "as it is");
    CHECK_NEAR(got.candidates[0].log_loss, -(2 * std::log(0.8) + 2 * std::log(0.4)) / 4, ulp(4));
    CHECK_NEAR(got.candidates[1].log_loss, -(std::log(0.9) + std::log(0.2) + std::log(0.4) + std::log(0.7)) / 4,
               ulp(4));
    // The losses are a, b, a, b.
    const double a = -std::log(0.8), b = -std::log(0.4);
    CHECK_NEAR(got.candidates[0].error, std::fabs(a - b) / 2 / std::sqrt(3.0), ulp(8));
    CHECK(got.best == 0);
    CHECK(got.chosen == 0);
    CHECK(got.candidates[0].difference == 0);
    CHECK(got.candidates[0].difference_error == 0);
}

TEST_CASE("cross_validation_folds: as the oracle deals them, whatever the other rows are") {
    const fixture file("model_selection.txt");
    const auto y = file["y"];
    const auto seed = static_cast<std::uint64_t>(file.value("seed"));
    const auto groups = file.as<std::int64_t>("groups");
    CHECK_ALL_NEAR(cross_validation_folds(y, {.seed = seed}), file["rows.folds"], exact());
    CHECK_ALL_NEAR(cross_validation_folds(y, {.seed = seed, .groups = view(groups)}), file["groups.folds"], exact());
    const auto dealt = cross_validation_folds(y, {.seed = seed, .stratify = true});
    CHECK_ALL_NEAR(dealt, file["stratified.folds"], exact());
    // A row keeps its fold when rows come after it.
    const std::vector<double> head(y.begin(), y.begin() + 100);
    const auto folds = cross_validation_folds(head, {.seed = seed});
    for (std::size_t i = 0; i < 100; ++i) CHECK(folds[i] == static_cast<std::uint32_t>(file["rows.folds"][i]));
    CHECK(cross_validation_folds(y, {.seed = seed + 1}) != cross_validation_folds(y, {.seed = seed}));
    for (const bool positive : {true, false}) {
        std::vector<int> rows(5);
        for (std::size_t i = 0; i < y.size(); ++i) rows[dealt[i]] += (y[i] == 1) == positive;
        CHECK(*std::max_element(rows.begin(), rows.end()) - *std::min_element(rows.begin(), rows.end()) <= 1);
    }
}

TEST_CASE("cross_validate: against the oracle") {
    const fixture file("model_selection.txt");
    const auto groups = file.as<std::int64_t>("groups");
    check_selection(file, "rows", usual(file, none{}, {}));
    check_selection(file, "weighted", usual(file, file["w"], {}));
    check_selection(file, "groups", usual(file, file["w"], {.groups = view(groups)}));
    check_selection(file, "stratified", usual(file, file["w"], {.stratify = true}));
}

TEST_CASE("cross_validate: threads give the same bits, float scores and fractional labels work") {
    const auto data = random_scored<float>(20000, {.slope = 1.5});
    const auto run = [&](const auto& where) {
        return cross_validate(where, data.scores, data.labels, data.weights, {}, unchanged_candidate(),
                              candidate<platt>("Platt"), candidate<isotonic>("isotonic"));
    };
    const auto want = run(exec::serial);
    CHECK(want.chosen == 1);
    for (const unsigned threads : {1u, 3u}) {
        exec::pool pool(threads);
        const auto got = run(exec::host(pool));
        CHECK(got.chosen == want.chosen);
        for (std::size_t c = 0; c < 3; ++c) {
            CHECK(got.candidates[c].log_loss == want.candidates[c].log_loss);
            CHECK(got.candidates[c].difference_error == want.candidates[c].difference_error);
        }
    }
    // Fitted to nothing, the loss is that of all rows.
    const std::vector<float> half(data.labels.size(), 0.5f);
    const auto fractional = cross_validate(exec::serial, data.scores, half, none{}, {}, unchanged_candidate());
    CHECK_NEAR(fractional.candidates[0].log_loss, log_loss(exec::serial, data.scores, half), reduction(20000));
    // The chosen one, fitted to all rows.
    std::vector<float> out(100), expected(100);
    const std::vector<float> fresh(data.scores.begin(), data.scores.begin() + 100);
    apply_candidate(exec::serial, want.chosen, data.scores, data.labels, data.weights, fresh, out,
                    unchanged_candidate(), candidate<platt>("Platt"), candidate<isotonic>("isotonic"));
    platt::fit(exec::serial, data.scores, data.labels, data.weights).apply(exec::serial, fresh, expected);
    CHECK_ALL_NEAR(out, expected, exact());
}

TEST_CASE("cross_validate: the first candidate within a standard error is chosen") {
    const auto choose = [](const auto& data, double errors) {
        return cross_validate(exec::serial, data.scores, data.labels, none{}, {.standard_errors = errors},
                              unchanged_candidate(), candidate<temperature>("temperature"), candidate<platt>("Platt"),
                              candidate<isotonic>("isotonic"));
    };
    // Well calibrated scores: what is fitted gains by chance alone, and a standard error of patience sees that.
    int patient = 0, greedy = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        const auto good = random_scored<double>(1000, {.seed = seed});
        patient += choose(good, 1.0).chosen == 0;
        const auto lowest = choose(good, 0.0);
        greedy += lowest.chosen == 0;
        CHECK(lowest.chosen == lowest.best);
        for (const auto& score : lowest.candidates) CHECK(score.difference >= 0);
    }
    CHECK(patient >= 14);
    CHECK(patient > greedy);
    CHECK(choose(random_scored<double>(1000), 1e9).chosen == 0);
    // Distorted by slope and shift: temperature is not enough, isotonic regression not needed.
    CHECK(choose(random_scored<double>(20000, {.slope = 1.8, .shift = 0.8}), 1.0).candidates[2].name == "Platt");
    CHECK(choose(random_scored<double>(20000, {.slope = 1.8, .shift = 0.8}), 1.0).chosen == 2);
}

TEST_CASE("cross_validate: errors per field value would choose the predictor that is further from the truth") {
    // Fields with about three rows a value and rates of about 5 %, all probabilities known.
    const std::size_t n = 30000;
    const auto truth = random_uniform<double>(n, 0.02, 0.08, 5);
    const auto dice = random_uniform<double>(n, 0.0, 1.0, 6);
    const auto ids = random_integers<std::int32_t>(n, n / 3, 7);
    std::vector<std::uint8_t> y;
    for (std::size_t i = 0; i < n; ++i) y.push_back(dice[i] < truth[i]);
    const auto rce = [&](double factor) {
        std::vector<double> p;
        for (const double t : truth) p.push_back(factor * t);
        field_stats stats({n / 3});
        stats.absorb(make_fielded("test", p, y, matrix_view<const std::int32_t>(ids.data(), 1, n)));
        return mf_rce(stats);
    };
    CHECK(rce(0.5) < rce(1.0));  // half the truth looks better ...
    const auto got = cross_validate(exec::serial, truth, y, none{}, {.standard_errors = 0}, scaling("half", 0.5),
                                    scaling("truth", 1.0));
    CHECK(got.best == 1);  // ... and has the larger log-loss, by far more than chance
    CHECK(got.chosen == 1);
    CHECK(got.candidates[0].difference > 5 * got.candidates[0].difference_error);
}

TEST_CASE("cross_validate: thin input has an answer") {
    const std::vector<double> none_at_all;
    const auto nothing = cross_validate(exec::serial, none_at_all, none_at_all, none{}, {}, unchanged_candidate(),
                                        candidate<platt>("Platt"));
    CHECK(std::isnan(nothing.candidates[0].log_loss));
    CHECK(nothing.chosen == 0);
    CHECK(nothing.fold_rows == std::vector<std::uint64_t>(5, 0));
    // More folds than rows, one class in each: a fit sees the other rows.
    const std::vector<double> p{0.1, 0.4, 0.6, 0.9};
    const std::vector<int> y{0, 1, 0, 1};
    const auto few = cross_validate(exec::serial, p, y, none{}, {.folds = 1000}, unchanged_candidate(),
                                    candidate<isotonic>("isotonic"));
    CHECK(std::count(few.fold_rows.begin(), few.fold_rows.end(), 1u) == 4);
    CHECK(std::isfinite(few.candidates[1].log_loss));
    CHECK(std::isnan(few.candidates[1].fold_losses[0]) == (few.fold_rows[0] == 0));
    // All rows of one group: fitted to nothing, Platt is the identity; a single group has no standard error.
    const std::vector<std::int64_t> one(4, 42);
    const auto alone = cross_validate(exec::serial, p, y, none{}, {.groups = view(one)}, unchanged_candidate(),
                                      candidate<platt>("Platt"));
    CHECK_NEAR(alone.candidates[1].log_loss, alone.candidates[0].log_loss, fitted());
    CHECK(std::isnan(alone.candidates[0].error));
    CHECK(alone.chosen == alone.best);
    const auto ones = cross_validate(exec::serial, p, std::vector<int>(4, 1), none{}, {.folds = 2},
                                     unchanged_candidate(), candidate<platt>("Platt"));
    CHECK(std::isfinite(ones.candidates[1].log_loss));
    // Rows of weight 0 are nothing.
    const auto weightless = cross_validate(exec::serial, p, y, std::vector<double>(4, 0.0), {}, unchanged_candidate());
    CHECK(std::isnan(weightless.candidates[0].log_loss));
    CHECK(weightless.seen.accepted == 4);
}

TEST_CASE("cross_validate: bad input") {
    const double nan = std::nan("");
    const std::vector<double> p{0.1, nan, 0.6, 1.5, 0.9, 0.5, 0.3};
    const std::vector<double> y{0, 1, 0, 1, 2, nan, 1}, w{1, 1, 1, 1, 1, 1, -1};
    const auto got = cross_validate(exec::serial, p, y, w, {.folds = 2}, unchanged_candidate());
    CHECK(got.seen == counts{2, 5});
    CHECK_NEAR(got.candidates[0].log_loss, -(std::log(0.9) + std::log(0.4)) / 2, ulp(4));
    const auto margins = cross_validate(exec::serial, p, std::vector<int>(7, 1), none{}, {.input = score_kind::logit},
                                        candidate<platt>("Platt", platt_options{.input = score_kind::logit}));
    CHECK(margins.seen == counts{6, 1});
    // A candidate that predicts NaN never wins.
    const auto lost = cross_validate(exec::serial, std::vector<double>{0.1, 0.9, 0.2}, std::vector<int>{0, 0, 1},
                                     none{}, {}, scaling("nan", nan), unchanged_candidate());
    CHECK(std::isnan(lost.candidates[0].log_loss));
    CHECK(lost.best == 1);
    CHECK(lost.chosen == 1);

    const std::vector<double> q{0.1, 0.9};
    const std::vector<int> l{0, 1};
    const std::vector<std::int64_t> three(3);
    const auto call = [&](const cross_validation_options& options) {
        return message([&] { (void)cross_validate(exec::serial, q, l, none{}, options, unchanged_candidate()); });
    };
    CHECK(call({.folds = 1}) == "cross_validate: 2 to 65536 folds are legal, got 1");
    CHECK(call({.folds = 65537}) == "cross_validate: 2 to 65536 folds are legal, got 65537");
    CHECK(call({.groups = view(three)}) == "cross_validate: 2 rows but 3 groups");
    CHECK(call({.stratify = true, .groups = vector_view<const std::int64_t>(three.data(), 2)}) ==
          "cross_validate: groups cannot be dealt by class");
    CHECK(call({.standard_errors = nan}) == "cross_validate: standard_errors must be >= 0, got nan");
    CHECK(call({.epsilon = 0.2}) == "cross_validate: epsilon must be in [1e-16, 0.1], got 0.2");
    CHECK(message([&] { (void)cross_validate(exec::serial, q, three, none{}, {}, unchanged_candidate()); }) ==
          "cross_validate: 2 scores but 3 labels");
    std::vector<double> out(2);
    CHECK(message([&] { apply_candidate(exec::serial, 1, q, l, none{}, q, out, unchanged_candidate()); }) ==
          "apply_candidate: there are 1 candidates, got index 1");
}

TEST_CASE("cross_validate: choose, then fit to all rows") {
    using reckon::exec::serial;
    const auto data = random_scored<float>(8000, {.slope = 1.6, .shift = 0.4});
    const std::vector<float> today{0.1f, 0.5f};
    std::vector<float> probabilities(2);
    // snippet: select
    const auto choose = [&](const auto&... candidates) {
        const auto result =
            reckon::cross_validate(serial, data.scores, data.labels, none{}, {.folds = 5}, candidates...);
        reckon::apply_candidate(serial, result.chosen, data.scores, data.labels, none{}, today, probabilities,
                                candidates...);
        return result.candidates[result.chosen].name;  // "Platt"
    };
    const std::string name =
        choose(reckon::unchanged_candidate(), reckon::candidate<reckon::temperature>("temperature"),
               reckon::candidate<reckon::platt>("Platt"), reckon::candidate<reckon::isotonic>("isotonic"));
    // end snippet
    CHECK(name == "Platt");
    CHECK(probabilities[0] < probabilities[1]);
}
