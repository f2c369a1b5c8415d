// The code of docs/kernels/calibration.md about fields, run and checked.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/calibration/confcalib.hpp"
#include "reckon/core/random.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/field_error.hpp"
#include "reckon/metrics/field_stats.hpp"

namespace {

// A click log with two fields, 20 ads and 5 slots; the model ignores both and predicts 5 % for every row.
struct click_log {
    std::vector<float> scores;
    std::vector<std::uint8_t> labels;
    std::vector<std::int32_t> ids;  // [2, N]: a row of ad ids, then a row of slot ids
};

click_log simulate(std::size_t rows, std::uint64_t seed) {
    const reckon::random_stream ads(seed, 0), slots(seed, 1), uniforms(seed, 2), effects(1, 3);
    click_log log;
    log.ids.resize(2 * rows);
    for (std::size_t i = 0; i < rows; ++i) {
        const std::uint64_t ad = ads.below(i, 20), slot = slots.below(i, 5);
        const double logit = -3.0 + 0.6 * effects.normal(ad) + 0.6 * effects.normal(100 + slot);
        log.scores.push_back(0.05F);
        log.labels.push_back(uniforms.uniform(i) < 1.0 / (1.0 + std::exp(-logit)) ? 1 : 0);
        log.ids[i] = static_cast<std::int32_t>(ad);
        log.ids[rows + i] = static_cast<std::int32_t>(slot);
    }
    return log;
}

TEST_CASE("page calibration: fields") {
    const click_log past = simulate(60000, 1), today = simulate(60000, 2);
    const std::size_t rows = today.scores.size();

    // snippet: confcalib
    using reckon::exec::serial;
    const auto past_ids = reckon::view(past.ids, 2, past.scores.size());  // one row of ids per field
    const auto model = reckon::confcalib::fit(serial, past.scores, past.labels, past_ids);

    const auto today_ids = reckon::view(today.ids, 2, rows);
    std::vector<float> repaired(rows);
    model.apply(serial, today.scores, today_ids, repaired);
    const std::vector<std::uint64_t> unseen = model.count_unseen(today_ids);  // ids outside the tables, per field
    // end snippet

    reckon::field_stats before({20, 5}), after({20, 5});
    before.absorb(reckon::make_fielded("example", today.scores, today.labels, today_ids));
    after.absorb(reckon::make_fielded("example", repaired, today.labels, today_ids));
    CHECK(reckon::mf_rce(after) < 0.8 * reckon::mf_rce(before));
    CHECK(unseen == std::vector<std::uint64_t>{0, 0});
    const std::vector<std::int32_t> nobody{-1, 77};
    CHECK(model.count_unseen(reckon::view(nobody, 2, 1)) == std::vector<std::uint64_t>{1, 1});
}

TEST_CASE("page calibration: options") {
    const click_log past = simulate(60000, 1), held_out = simulate(20000, 3);
    const auto past_ids = reckon::view(past.ids, 2, past.scores.size());
    const auto held_out_ids = reckon::view(held_out.ids, 2, held_out.scores.size());

    // snippet: confcalib-options
    const auto raked = reckon::confcalib::fit(reckon::exec::serial, past.scores, past.labels, past_ids, reckon::none{},
                                              {.confidence = {.intensity = reckon::intensity_kind::tanh, .scale = 0.5},
                                               .fusion = reckon::fusion_kind::sequential});
    const auto logit = reckon::confcalib::fit(reckon::exec::serial, past.scores, past.labels, past_ids, reckon::none{},
                                              {.correction = reckon::correction_kind::logit});
    const auto learned =
        logit.with_learned_weights(reckon::exec::serial, held_out.scores, held_out.labels, held_out_ids);
    // end snippet

    CHECK(raked.fields() == 2);
    for (const double w : learned.field_weights()) CHECK(w > 0.5);  // two independent effects add up
}

TEST_CASE("page calibration: a log that goes on") {
    const click_log monday = simulate(30000, 1), tuesday = simulate(30000, 2);
    const auto monday_ids = reckon::view(monday.ids, 2, monday.scores.size());
    const auto tuesday_ids = reckon::view(tuesday.ids, 2, tuesday.scores.size());

    // snippet: decay
    reckon::field_stats sums({20, 5}, {.half_life = 7.0});  // in days: whatever unit advance() is given
    sums.absorb(reckon::make_fielded("log", monday.scores, monday.labels, monday_ids));
    sums.advance(1.0);  // a day passes, and Monday fades by 2^(-1/7)
    sums.absorb(reckon::make_fielded("log", tuesday.scores, tuesday.labels, tuesday_ids));
    const auto model = reckon::confcalib::fit(sums);
    // end snippet

    CHECK(sums.total().n == doctest::Approx(30000 * (1 + std::exp2(-1.0 / 7.0))));
    CHECK(model.values(0) == 20);
}

}  // namespace
