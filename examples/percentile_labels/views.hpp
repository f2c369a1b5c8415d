// Real views of a short-video app (KuaiRand): who watched what for how long, in order of time.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "../support/csv.hpp"
#include "../support/datasets.hpp"
#include "evaluation.hpp"
#include "labels.hpp"
#include "model.hpp"
#include "reckon/core/group_by.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/metrics/bootstrap.hpp"
#include "reckon/metrics/ndcg.hpp"
#include "reckon/metrics/user_auc.hpp"
#include "reckon/percentile/duration_buckets.hpp"
#include "study.hpp"
#include "world.hpp"

namespace reckon_examples {

/// Views in the order of the file. Users and videos have dense ids; feedback is the play time in seconds.
struct real_views {
    view_log log;
    std::vector<double> times;      // milliseconds
    std::vector<double> durations;  // seconds; 0 for photo posts
    std::size_t users = 0, videos = 0;
};

inline real_views read_views(const std::string& path, const csv_options& csv) {
    const csv_table file(path, {"user_id", "video_id", "time_ms", "play_time_ms", "duration_ms"}, csv);
    const categorical users = file.categories("user_id"), videos = file.categories("video_id");
    const std::vector<double> played = file.numbers<double>("play_time_ms");
    real_views out;
    out.users = users.values.size();
    out.videos = videos.values.size();
    out.times = file.numbers<double>("time_ms");
    out.durations = file.numbers<double>("duration_ms");
    for (double& d : out.durations) d /= 1000;
    for (std::size_t k = 0; k < played.size(); ++k) {
        out.log.add(static_cast<std::uint32_t>(users.ids[k]), static_cast<std::uint32_t>(videos.ids[k]),
                    static_cast<float>(played[k] / 1000));
    }
    return out;
}

/// 10, 25, 50, 75 and 90 % of the values.
inline std::array<double, 5> five_quantiles(std::vector<float> values) {
    std::array<double, 5> out{};
    if (values.empty()) return out;
    std::sort(values.begin(), values.end());
    constexpr std::array<double, 5> levels{0.1, 0.25, 0.5, 0.75, 0.9};
    for (std::size_t q = 0; q < out.size(); ++q) {
        const double at = levels[q] * static_cast<double>(values.size() - 1);
        const auto low = static_cast<std::size_t>(at), high = (std::min)(low + 1, values.size() - 1);
        out[q] = std::lerp(static_cast<double>(values[low]), static_cast<double>(values[high]),
                           at - static_cast<double>(low));
    }
    return out;
}

/// A tenth of the users, and what their views look like before and after.
struct user_decile {
    std::size_t users = 0, views = 0;
    double seconds = 0, share = 0;  // mean of the views, and share of all seconds watched
    std::array<double, 5> before{}, after{};
    label_shape labels;
};

/// Deciles of the users in order of a figure of theirs, the smallest first.
inline std::vector<user_decile> deciles_by(const real_views& views, const std::vector<double>& figure,
                                           const std::vector<float>& labels) {
    std::vector<std::size_t> order(views.users), decile(views.users);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return figure[a] < figure[b]; });
    std::vector<user_decile> out(10);
    for (std::size_t k = 0; k < order.size(); ++k) {
        decile[order[k]] = 10 * k / order.size();
        ++out[decile[order[k]]].users;
    }
    std::vector<std::vector<float>> seconds(10), ranks(10);
    double total = 0;
    for (std::size_t k = 0; k < views.log.size(); ++k) {
        const std::size_t d = decile[views.log.users[k]];
        seconds[d].push_back(views.log.feedback[k]);
        ranks[d].push_back(labels[k]);
        out[d].share += static_cast<double>(views.log.feedback[k]);
        total += static_cast<double>(views.log.feedback[k]);
    }
    for (std::size_t d = 0; d < out.size(); ++d) {
        if (seconds[d].empty()) continue;
        out[d].views = seconds[d].size();
        out[d].seconds = out[d].share / static_cast<double>(out[d].views);
        out[d].share /= total;
        out[d].before = five_quantiles(seconds[d]);
        out[d].after = five_quantiles(ranks[d]);
        out[d].labels = shape_of(ranks[d]);
    }
    return out;
}

/// What every user has: number of views, and mean seconds.
struct user_habits {
    std::vector<double> views, seconds;
};

inline user_habits habits_of(const real_views& views) {
    user_habits out{std::vector<double>(views.users), std::vector<double>(views.users)};
    for (std::size_t k = 0; k < views.log.size(); ++k) {
        out.views[views.log.users[k]] += 1;
        out.seconds[views.log.users[k]] += static_cast<double>(views.log.feedback[k]);
    }
    for (std::size_t u = 0; u < views.users; ++u) out.seconds[u] /= out.views[u];
    return out;
}

/// The last fifth of every user's views is the test. The model knows a video by its id from five training views on, and
/// rarer ones by the bucket of their duration.
struct time_split_log {
    static constexpr std::size_t least_views = 5, buckets = 10;
    view_log train, test;
    std::vector<double> train_durations, test_durations;
    std::size_t users = 0, items = 0;
    double known = 0;  // share of the test views whose video the model knows by its id
};

inline time_split_log split_by_time(const real_views& views) {
    time_split_log out;
    out.users = views.users;
    std::vector<std::uint32_t> order(views.log.size());
    std::iota(order.begin(), order.end(), 0U);
    std::stable_sort(order.begin(), order.end(),
                     [&](std::uint32_t a, std::uint32_t b) { return views.times[a] < views.times[b]; });
    const std::vector<double> count = habits_of(views).views;
    std::vector<double> so_far(views.users, 0);
    std::vector<std::uint32_t> train, test;
    for (const std::uint32_t row : order) {
        const std::uint32_t u = views.log.users[row];
        (so_far[u]++ < std::floor(0.8 * count[u]) ? train : test).push_back(row);
    }
    std::vector<std::size_t> seen(views.videos, 0);
    for (const std::uint32_t row : train) {
        ++seen[views.log.items[row]];
        out.train_durations.push_back(views.durations[row]);
    }
    const auto cuts = reckon::duration_buckets::fit(out.train_durations, time_split_log::buckets);
    constexpr std::uint32_t unnamed = 0xffffffffu;
    std::vector<std::uint32_t> name(views.videos, unnamed);
    out.items = cuts.size();
    for (std::size_t v = 0; v < views.videos; ++v) {
        if (seen[v] >= time_split_log::least_views) name[v] = static_cast<std::uint32_t>(out.items++);
    }
    const auto copy = [&](const std::vector<std::uint32_t>& rows, view_log& to) {
        for (const std::uint32_t row : rows) {
            const std::uint32_t named = name[views.log.items[row]];
            to.add(views.log.users[row], named == unnamed ? cuts.index(views.durations[row]) : named,
                   views.log.feedback[row]);
        }
    };
    copy(train, out.train);
    copy(test, out.test);
    for (const std::uint32_t row : test) {
        out.test_durations.push_back(views.durations[row]);
        out.known += name[views.log.items[row]] != unnamed ? 1 / static_cast<double>(test.size()) : 0;
    }
    return out;
}

enum at_real : std::size_t {
    real_raw,
    real_log1p,
    real_rad,
    real_rad4,
    real_pearl,
    real_mean_seconds,
    real_mean_label,
    real_duration,
    real_count
};
inline constexpr std::array<const char*, real_count> real_names{"MSE raw",
                                                                "MSE log1p",
                                                                "RAD-U",
                                                                "RAD-U, 4 durations",
                                                                "PEARL, 64 slots",
                                                                "no model: mean seconds of the item",
                                                                "no model: mean label of the item",
                                                                "no model: duration"};

/// Scores of the test views: the mean of a training column over the views of the same item.
inline std::vector<float> item_means(const time_split_log& log, const std::vector<float>& column) {
    std::vector<reckon::mean_value> sums(log.items);
    for (std::size_t k = 0; k < column.size(); ++k) sums[log.train.items[k]].absorb(static_cast<double>(column[k]));
    std::vector<float> out(log.test.size());
    for (std::size_t k = 0; k < out.size(); ++k) out[k] = static_cast<float>(sums[log.test.items[k]].finish());
    return out;
}

/// How well the test views of each user are ordered by play time.
struct real_figures {
    reckon::bootstrap_estimate uauc, gain;  // gain: over MSE raw, on the same draws of users
    double xauc = 0, ndcg = 0;
};

/// Means over the seeds of the models; intervals are over users.
inline std::array<real_figures, real_count> evaluate_views(const host& where, const time_split_log& log,
                                                           std::size_t seeds, std::size_t epochs,
                                                           std::uint64_t first_seed) {
    const auto rows = reckon::group_by(log.test.users);
    const std::vector<float> played = rows.gather(reckon::input(log.test.feedback));
    struct run {
        std::vector<double> areas;
        double xauc = 0, ndcg = 0;
    };
    std::vector<run> runs(seeds * real_count);
    run_jobs(where, "real views", runs.size(), [&](std::size_t job) {
        const std::size_t label = job % real_count;
        const std::uint64_t seed = first_seed + job / real_count;
        const auto train = [&](const training_loss& loss) {
            return train_model(log.train, log.users, log.items, {.seed = seed, .epochs = epochs}, loss)
                .scores(log.test);
        };
        std::vector<float> scores;
        switch (label) {
            case real_raw:
                scores = train(squared_error(log.train.feedback));
                break;
            case real_log1p:
                scores = train(squared_log_error(log.train.feedback));
                break;
            case real_rad:
                scores = train(percentile_targets(rad_user_labels(log.train)));
                break;
            case real_rad4:
                scores = train(percentile_targets(rad_user_labels(log.train, log.train_durations)));
                break;
            case real_pearl:
                scores = train(contrast_loss({.seed = seed}));
                break;
            case real_mean_seconds:
                scores = item_means(log, log.train.feedback);
                break;
            case real_mean_label:
                scores = item_means(log, contrast_labels_of(log.train, 64));
                break;
            default:
                scores.assign(log.test_durations.begin(), log.test_durations.end());
        }
        const std::vector<float> gathered = rows.gather(reckon::input(scores));
        run& out = runs[job];
        out.areas.resize(rows.size());
        reckon::uauc(serial, gathered, played, rows.offsets, {}, out.areas);
        out.xauc = reckon::xauc(serial, scores, log.test.feedback).value;
        out.ndcg =
            reckon::ndcg(serial, gathered, played, rows.offsets, {.k = 10, .gain = reckon::dcg_gain::linear}).finish();
    });
    // One row per user, one column per kind of label.
    std::vector<double> areas(rows.size() * real_count, 0);
    std::array<real_figures, real_count> out;
    const double share = 1 / static_cast<double>(seeds);
    for (std::size_t job = 0; job < runs.size(); ++job) {
        const std::size_t label = job % real_count;
        for (std::size_t u = 0; u < rows.size(); ++u) areas[u * real_count + label] += share * runs[job].areas[u];
        out[label].xauc += share * runs[job].xauc;
        out[label].ndcg += share * runs[job].ndcg;
    }
    reckon::clustered_bootstrap draws(real_count, {.replicates = 1000, .seed = 1});
    draws.absorb(where, rows.ids, reckon::view(areas, rows.size(), real_count));
    for (std::size_t label = 0; label < real_count; ++label) {
        out[label].uauc = draws.finish(label);
        out[label].gain = draws.difference(label, real_raw);
    }
    return out;
}

}  // namespace reckon_examples
