// The code of docs/kernels/percentile.md, run and checked.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/group_by.hpp"
#include "reckon/core/random.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/metrics/user_auc.hpp"
#include "reckon/percentile/contrast_labels.hpp"
#include "reckon/percentile/gate.hpp"
#include "reckon/percentile/reservoir.hpp"
#include "reckon/percentile/soft_bce.hpp"

namespace {

// Users 0 .. 9 watch 10 videos; a video is as good as its number, and user u watches e^u times as long as user 0.
struct watch_log {
    std::vector<std::uint64_t> users, events;
    std::vector<std::size_t> videos;
    std::vector<float> seconds;
};

watch_log simulate(std::size_t rows) {
    const reckon::random_stream who(1, 0), what(1, 1), noise(1, 2);
    watch_log log;
    for (std::size_t i = 0; i < rows; ++i) {
        log.users.push_back(1'000'000'007 * who.below(i, 10));
        log.events.push_back(i);
        log.videos.push_back(static_cast<std::size_t>(what.below(i, 10)));
        const double taste = 0.3 * static_cast<double>(log.videos.back()) + 0.5 * noise.normal(i);
        log.seconds.push_back(static_cast<float>(std::exp(taste + 1e-9 * static_cast<double>(log.users.back()))));
    }
    return log;
}

TEST_CASE("page percentile: a training step, and UAUC") {
    const watch_log log = simulate(20000);
    constexpr std::size_t batch = 500;
    std::vector<float> weights(10, 0.0F);  // of the model: a logit per video

    // snippet: state
    reckon::reservoir<> histories({.capacity = 64});  // up to 64 views of every user
    // end snippet

    for (std::size_t first = 0; first < log.users.size(); first += batch) {
        const auto part = [&](const auto& column) {
            const auto from = column.begin() + static_cast<std::ptrdiff_t>(first);
            return std::vector(from, from + static_cast<std::ptrdiff_t>(batch));
        };
        const auto users = part(log.users), events = part(log.events);
        const auto seconds = part(log.seconds);
        const auto videos = part(log.videos);
        std::vector<float> logits(batch), gradient(batch, 0.0F), labels(batch), gates(batch);
        std::vector<std::uint32_t> filled(batch);
        for (std::size_t i = 0; i < batch; ++i) logits[i] = weights[videos[i]];

        // snippet: step
        using reckon::exec::serial;
        // Which share of the user's own past does each view beat?
        reckon::contrast_labels(serial, histories, users, seconds,
                                {.cbar = reckon::view(labels), .filled = reckon::view(filled)}, {}, events);
        // Users with fewer than five views so far teach nothing.
        const double open = reckon::history_gates(serial, filled, gates);
        if (open > 0) reckon::soft_bce(serial, logits, labels, gates, gradient, 1 / open);
        // Afterwards, so that no view is compared with itself.
        histories.offer(serial, users, seconds, events);
        // end snippet

        if (first == 0) CHECK(open == 0);
        if (first > 0) CHECK(open == static_cast<double>(batch));
        for (std::size_t i = 0; i < batch; ++i) weights[videos[i]] -= 20 * gradient[i];
    }
    CHECK(std::is_sorted(weights.begin(), weights.end()));

    const auto& users = log.users;
    const auto& seconds = log.seconds;
    std::vector<float> scores;
    for (const std::size_t v : log.videos) scores.push_back(weights[v]);
    // snippet: uauc
    const auto lists = reckon::group_by(users);
    const auto area = reckon::uauc(reckon::exec::serial, lists.gather(reckon::input(scores)),
                                   lists.gather(reckon::input(seconds)), lists.offsets);
    const double uauc = area.finish();  // share of each user's pairs in the right order, mean over users
    // end snippet
    CHECK(area.weight() == 10);
    // Nobody can order them better than by the truth.
    const std::vector<double> truth(log.videos.begin(), log.videos.end());
    CHECK(uauc == reckon::uauc(reckon::exec::serial, lists.gather(reckon::input(truth)),
                               lists.gather(reckon::input(seconds)), lists.offsets)
                      .finish());
    CHECK(uauc > reckon::xauc(reckon::exec::serial, scores, seconds).value + 0.2);
}

}  // namespace
