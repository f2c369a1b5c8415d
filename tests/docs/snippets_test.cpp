// The code of the pages in docs/, run and checked.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "reckon/calibration/isotonic.hpp"
#include "reckon/calibration/platt.hpp"
#include "reckon/calibration/prior_shift.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/views.hpp"
#include "reckon/eigen.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/metrics/auc.hpp"
#include "reckon/metrics/calibration_report.hpp"
#include "reckon/metrics/reliability.hpp"
#include "reckon/testing/laws.hpp"
#include "support/random_data.hpp"

namespace {

using reckon::testing_support::random_normal;
using reckon::testing_support::random_scored;

// snippet: own-pool
/// What exec::host asks of a pool; the loop may as well be tbb::parallel_for or an OpenMP one.
struct my_pool {
    template <class Body>
    void parallel_for(std::size_t n, Body&& body) {
        for (std::size_t i = n; i > 0; --i) body(i - 1);
    }
};
// end snippet

TEST_CASE("page concepts: shards merge") {
    const auto data = random_scored<float>(20000);
    const auto first_half = [&](const auto& column) { return reckon::input(column).slice(0, 10000); };
    const auto second_half = [&](const auto& column) { return reckon::input(column).slice(10000, 10000); };

    // snippet: merge
    using reckon::exec::serial;
    auto monday = reckon::reliability(serial, first_half(data.scores), first_half(data.labels));
    const auto tuesday = reckon::reliability(serial, second_half(data.scores), second_half(data.labels));
    monday.merge(tuesday);
    const double both_days = monday.ece();
    // end snippet

    CHECK(both_days == doctest::Approx(reckon::ece(serial, data.scores, data.labels)).epsilon(1e-12));
}

TEST_CASE("page concepts: policies") {
    const auto data = random_scored<float>(100000);

    // snippet: policies
    reckon::exec::pool pool(3);  // three threads, the calling one included
    my_pool mine;
    const auto a = reckon::platt::fit(reckon::exec::serial, data.scores, data.labels);
    const auto b = reckon::platt::fit(reckon::exec::host{pool}, data.scores, data.labels);
    const auto c = reckon::platt::fit(reckon::exec::host{mine}, data.scores, data.labels);
    const bool same_bits = a.slope() == b.slope() && b.slope() == c.slope();
    // end snippet

    CHECK(same_bits);
    CHECK(a.intercept() == b.intercept());
    CHECK(b.intercept() == c.intercept());
}

TEST_CASE("page concepts: views") {
    std::vector<float> column(12, 0.5F);
    float raw[4] = {};
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> table(3, 4);
    table.setOnes();

    // snippet: views
    auto a = reckon::view(column);                            // vector_view<float> of 12 elements
    auto b = reckon::view(column, 3, 4);                      // matrix_view<float>: 3 rows of 4
    auto c = reckon::vector_view(raw, 4);                     // pointer and size
    auto d = reckon::matrix_view(column.data(), 3, 3, 4);     // 3 rows of 3, which lie 4 elements apart
    auto e = reckon::view(table);                             // with reckon/eigen.hpp; row-major only
    reckon::vector_view<const float> f = reckon::input(raw);  // what a kernel does with its inputs
    // end snippet

    CHECK(a.size() + b.rows() + b.cols() + c.size() + d.stride() + e.rows() + f.size() == 12 + 3 + 4 + 4 + 4 + 3 + 4);
    CHECK(&d(1, 0) == &column[4]);
    CHECK(e.data() == table.data());
}

TEST_CASE("page errors: counted and skipped") {
    // snippet: rejected
    const std::vector<double> scores{0.2, 0.8, std::nan(""), 0.4};
    const std::vector<double> labels{0, 1, 1, 7};
    const auto table = reckon::reliability(reckon::exec::serial, scores, labels);
    const auto accepted = table.seen().accepted;  // 2
    const auto rejected = table.rejected();       // 2: a score that is NaN, a label that is not in [0, 1]
    // end snippet

    CHECK(accepted == 2);
    CHECK(rejected == 2);
}

TEST_CASE("page errors: refused") {
    const std::vector<float> scores(3), labels(2);
    std::string message;

    // snippet: refused
    try {
        reckon::ece(reckon::exec::serial, scores, labels);
    } catch (const std::invalid_argument& error) {
        message = error.what();  // "reliability: 3 scores but 2 labels"
    }
    // end snippet

    CHECK(message == "reliability: 3 scores but 2 labels");
}

TEST_CASE("page format: to bytes and back") {
    const auto data = random_scored<float>(1000);
    const std::vector<float>&scores = data.scores, more = data.scores;

    // snippet: bytes
    const auto model = reckon::isotonic::fit(reckon::exec::serial, scores, data.labels);
    const std::vector<std::byte> bytes = reckon::to_bytes(model);
    const auto again = reckon::from_bytes<reckon::isotonic>(bytes);  // throws std::runtime_error for anything else
    // end snippet

    for (const float p : more) CHECK(model(p) == again(p));
    CHECK_THROWS_AS(reckon::from_bytes<reckon::platt>(bytes), std::runtime_error);
}

TEST_CASE("page calibration: Platt on log-odds") {
    const auto data = random_scored<float>(5000);
    std::vector<float> margins;
    for (const float p : data.scores) margins.push_back(2 * std::log(p / (1 - p)) + 1);
    std::vector<float> probabilities(margins.size());

    // snippet: platt
    const auto model = reckon::platt::fit(reckon::exec::serial, margins, data.labels, reckon::none{},
                                          {.input = reckon::score_kind::logit});
    model.apply(reckon::exec::serial, margins, probabilities);
    // end snippet

    CHECK(model.slope() == doctest::Approx(0.5).epsilon(0.1));
    CHECK(model.intercept() == doctest::Approx(-0.5).epsilon(0.2));
    CHECK(reckon::ece(reckon::exec::serial, probabilities, data.labels) < 0.03);
}

TEST_CASE("page calibration: negative sampling") {
    // snippet: prior-shift
    const reckon::prior_shift correct(0.05);  // the model saw all positives and 5 % of the negatives
    const double p = correct(0.5);            // 0.0476: odds of 1 become odds of 0.05
    // end snippet

    CHECK(p == doctest::Approx(0.05 / 1.05));
}

TEST_CASE("page metrics: report") {
    const auto data = random_scored<float>(50000);
    const auto& scores = data.scores;
    const auto& labels = data.labels;

    const auto draw = [](double predicted, double observed, reckon::interval bar) {
        CHECK((0.0 <= predicted && predicted <= 1.0));
        CHECK((bar.lower <= observed && observed <= bar.upper));
    };

    // snippet: report
    const auto summary = reckon::calibration_report(reckon::exec::serial, scores, labels);
    const auto figures = summary.finish();  // log_loss, normalized_entropy, brier, pcoc, ece, mce, ace, spiegelhalter_z
    for (std::size_t b = 0; b < summary.bins().size(); ++b) {
        const auto row = summary.bins().row(b);  // one bar of a reliability diagram
        if (row.weight > 0) draw(row.mean_score, row.rate, row.bar);
    }
    // end snippet

    CHECK(std::fabs(figures.pcoc - 1.0) < 0.03);
    CHECK(std::fabs(figures.spiegelhalter_z) < 4.0);
}

TEST_CASE("page metrics: area under the curve") {
    const auto monday = random_scored<float>(30000, {.seed = 1}), tuesday = random_scored<float>(30000, {.seed = 2});

    // snippet: auc
    const auto exact = reckon::auc(reckon::exec::serial, monday.scores, monday.labels);

    reckon::auc_histogram days;
    for (const auto* day : {&monday, &tuesday}) {
        reckon::auc_histogram one;
        one.absorb(reckon::make_scored("auc_histogram", day->scores, day->labels));
        days.merge(one);
    }
    const double area = days.finish(), error_at_most = days.bound();
    // end snippet

    CHECK(exact.value == doctest::Approx(area).epsilon(0.02));
    CHECK(error_at_most < 1e-2);
    CHECK(error_at_most > 0.0);
}

TEST_CASE("page core: laws for a kernel of one's own") {
    // snippet: laws
    struct sum_of_scores {
        double sum = 0.0;
        void absorb(const reckon::scored<double, double>& batch) {
            for (const double p : batch.scores) sum += p;
        }
        void merge(const sum_of_scores& other) { sum += other.sum; }
    };
    const std::vector<double> column = random_normal<double>(500);
    const auto batch = reckon::make_scored("example", column, column);
    const auto near = [](const sum_of_scores& a, const sum_of_scores& b) { return std::fabs(a.sum - b.sum) < 1e-9; };
    const auto law = reckon::testing::check_merge(sum_of_scores{}, batch, near);
    // law.ok; law.message says which case failed; law.cases how many ran
    // end snippet

    CHECK_MESSAGE(law.ok, law.message);
    CHECK(law.cases > 50);
}

TEST_CASE("page core: random numbers by index") {
    // snippet: random
    const reckon::random_stream rng(2026, 1);  // seed, stream
    const double u = rng.uniform(7);           // the same whenever, wherever and in whatever order it is asked for
    const double z = rng.normal(7);
    const std::uint64_t die = rng.below(7, 6);
    // end snippet

    CHECK(u == reckon::random_stream(2026, 1).uniform(7));
    CHECK(std::fabs(z) < 10.0);
    CHECK(die < 6);
}

}  // namespace
