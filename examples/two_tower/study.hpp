// Models to compare, and the comparison: each by itself, and with how popular an item is just now.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../support/progress.hpp"
#include "../support/svg.hpp"
#include "evaluation.hpp"
#include "log.hpp"
#include "model.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/views.hpp"
#include "reckon/metrics/bootstrap.hpp"
#include "reckon/metrics/rank_correlation.hpp"

namespace reckon_examples {

/// A model and how it is trained.
struct model_spec {
    std::string name;
    enum class kind { popularity, bpr, towers } what = kind::popularity;
    bpr_options bpr = {};
    tower_options towers = {};
    double weight = 1;  // of the model's score beside the log of the recent popularity

    std::size_t epochs() const {
        return what == kind::bpr ? bpr.epochs : what == kind::towers ? towers.epochs : std::size_t{0};
    }
};

enum at_model : std::size_t { at_popularity, at_bpr, at_bpr_popular, at_towers_log_q, at_towers, model_count };

inline std::vector<model_spec> compared_models() {
    using kind = model_spec::kind;
    // Weight 0: beside the recent popularity that of all times is not needed.
    return {{.name = "popularity", .what = kind::popularity, .weight = 0},
            {.name = "BPR, negatives at random", .what = kind::bpr, .bpr = {}, .weight = 0.5},
            {.name = "BPR, negatives by popularity",
             .what = kind::bpr,
             .bpr = {.shrink = 0.04, .by_popularity = true},
             .weight = 2},
            {.name = "two towers, corrected by log q", .what = kind::towers, .towers = {.log_q = true}, .weight = 1},
            {.name = "two towers", .what = kind::towers, .towers = {}, .weight = 2}};
}

template <class EpochDone>
retriever train(const host& where, const retrieval_task& task, const model_spec& spec, std::uint64_t seed,
                const EpochDone& epoch_done) {
    switch (spec.what) {
        case model_spec::kind::bpr: {
            bpr_options options = spec.bpr;
            options.seed = seed;
            return train_bpr(task, options, epoch_done);
        }
        case model_spec::kind::towers: {
            tower_options options = spec.towers;
            options.seed = seed;
            return train_towers(where, task, options, epoch_done);
        }
        default:
            return by_popularity(task);
    }
}

/// Spearman correlation of the mean score of an item over all users with the logarithm of its training likes.
inline double learnt_popularity(const retrieval_task& task, const retriever& model) {
    std::vector<double> mean(model.width, 0), scores(task.items(), 0), likes(task.items(), 0);
    for (std::size_t u = 0; u < task.users(); ++u) {
        for (std::size_t k = 0; k < model.width; ++k) mean[k] += static_cast<double>(model.users[u * model.width + k]);
    }
    for (std::size_t i = 0; i < task.items(); ++i) {
        for (std::size_t k = 0; k < model.width; ++k) {
            scores[i] += mean[k] * static_cast<double>(model.items[i * model.width + k]);
        }
    }
    for (const std::uint32_t item : task.like_items) likes[item] += 1;
    return reckon::spearman(scores, likes).correlation;
}

struct study_options {
    std::size_t seeds = 3;
    std::uint64_t first_seed = 1;
    double half_life = 0.25;  // days, of the recent popularity
};

/// Figures of a model: estimates are over test users, who are drawn anew as a whole.
struct model_figures {
    std::string name;
    std::array<reckon::bootstrap_estimate, figure_count> values;
    reckon::bootstrap_estimate gain;  // of recall@100 over popularity
    double shown = 0;                 // share of the catalogue in somebody's top 50
};

struct retrieval_study {
    std::vector<model_figures> alone, timely;  // timely: with the recent popularity
    std::vector<std::vector<double>> losses;   // of each model's first run
    std::vector<double> popularity_learnt;     // by learnt_popularity(), of the same
};

/// Trains every model with every seed, and averages what they find for each test user. `truth`, if any, is a last row.
inline retrieval_study study_models(const host& where, const retrieval_task& task, const std::vector<model_spec>& specs,
                                    const study_options& options, const std::string& name,
                                    const score_rows& truth = {}) {
    expect_something_wanted(task);
    const std::size_t users = task.test_users.size(), rows = specs.size() + (truth ? 1 : 0);
    const std::vector<float> recent = log_recent_popularity(task, options.half_life);
    std::size_t epochs = 0, done = 0;
    for (const model_spec& spec : specs) epochs += options.seeds * spec.epochs();
    progress line(name, epochs);

    // For each user: the figures of every model alone, then of every model with the recent popularity.
    const std::size_t wide = 2 * rows * figure_count;
    std::vector<double> all(users * wide, 0);
    std::vector<std::array<double, 2>> shown(rows, {0, 0});
    const double share = 1 / static_cast<double>(options.seeds);
    const auto add = [&](std::size_t row, std::size_t half, double part, const score_rows& score) {
        const std::vector<double> figures = retrieval_figures(where, task, score);
        for (std::size_t u = 0; u < users; ++u) {
            double* const to = all.data() + u * wide + (half * rows + row) * figure_count;
            for (std::size_t f = 0; f < figure_count; ++f) to[f] += part * figures[u * figure_count + f];
        }
        shown[row][half] += part * share_shown(where, task, score);
    };
    retrieval_study out;
    for (std::size_t m = 0; m < specs.size(); ++m) {
        for (std::size_t run = 0; run < options.seeds; ++run) {
            const retriever model =
                train(where, task, specs[m], options.first_seed + run, [&] { line.update(++done); });
            add(m, 0, share, affinity(model));
            add(m, 1, share, affinity(model, specs[m].weight, recent));
            if (run > 0) continue;
            out.losses.push_back(model.losses);
            out.popularity_learnt.push_back(learnt_popularity(task, model));
        }
    }
    if (truth) {
        add(specs.size(), 0, 1, truth);
        add(specs.size(), 1, 1, truth);
    }

    reckon::clustered_bootstrap draws(wide, {.replicates = 1000, .seed = 1});
    draws.absorb(where, task.test_users, reckon::view(all, users, wide));
    for (std::size_t half = 0; half < 2; ++half) {
        for (std::size_t row = 0; row < rows; ++row) {
            model_figures one{row < specs.size() ? specs[row].name : "the true odds", {}, {}, shown[row][half]};
            const std::size_t at = (half * rows + row) * figure_count, base = half * rows * figure_count;
            for (std::size_t f = 0; f < figure_count; ++f) one.values[f] = draws.finish(at + f);
            one.gain = draws.difference(at + recall_100, base + recall_100);
            (half == 0 ? out.alone : out.timely).push_back(one);
        }
    }
    return out;
}

/// Settings that the tuning part of the log chose among.
inline std::vector<model_spec> tried_models() {
    using kind = model_spec::kind;
    std::vector<model_spec> out;
    const auto add_bpr = [&](const char* what, double value, const bpr_options& options) {
        out.push_back({.name = std::string("BPR, negatives ") +
                               (options.by_popularity ? "by popularity" : "at random") + ", " + what + " " +
                               svg::number(value),
                       .what = kind::bpr,
                       .bpr = options});
    };
    const auto add_towers = [&](const char* what, double value, const tower_options& options) {
        out.push_back(
            {.name = std::string("two towers, ") + (options.log_q ? "log q, " : "") + what + " " + svg::number(value),
             .what = kind::towers,
             .towers = options});
    };
    for (const bool popular : {false, true}) {
        for (const double shrink : {0.01, 0.02, 0.04, 0.08}) {
            add_bpr("shrink", shrink, {.shrink = shrink, .by_popularity = popular});
        }
    }
    for (const double rate : {0.03, 0.3}) add_bpr("rate", rate, {.rate = rate, .shrink = 0.04, .by_popularity = true});
    add_bpr("width", 64, {.width = 64, .shrink = 0.04, .by_popularity = true});
    for (const bool log_q : {true, false}) {
        for (const double t : {0.2, 0.3, 0.5, 0.8}) add_towers("temperature", t, {.temperature = t, .log_q = log_q});
    }
    for (const double rate : {0.03, 0.3}) add_towers("rate", rate, {.rate = rate});
    for (const std::size_t epochs : {8U, 30U}) {
        add_towers("epochs", static_cast<double>(epochs), {.epochs = epochs});
    }
    add_towers("width", 64, {.width = 64});
    return out;
}

inline constexpr std::array<double, 4> tried_weights{0.5, 1, 2, 4};

/// Recall@100 of a setting: alone, and beside the recent popularity with each of the weights.
struct tried_figures {
    std::string name;
    double alone = 0;
    std::array<double, tried_weights.size()> timely{};
};

inline std::vector<tried_figures> tune_models(const host& where, const retrieval_task& task,
                                              const study_options& options) {
    expect_something_wanted(task);
    const std::vector<model_spec> specs = tried_models();
    const std::vector<float> recent = log_recent_popularity(task, options.half_life);
    const auto recall = [&](const score_rows& score) {
        const std::vector<double> figures = retrieval_figures(where, task, score);
        reckon::mean_value mean;
        for (std::size_t u = 0; u < task.test_users.size(); ++u) mean.absorb(figures[u * figure_count + recall_100]);
        return mean.finish();
    };
    progress line("settings", specs.size());
    std::vector<tried_figures> out;
    for (const model_spec& spec : specs) {
        const retriever model = train(where, task, spec, options.first_seed, [] {});
        tried_figures one{spec.name, recall(affinity(model))};
        for (std::size_t w = 0; w < tried_weights.size(); ++w) {
            one.timely[w] = recall(affinity(model, tried_weights[w], recent));
        }
        out.push_back(one);
        line.update(out.size());
    }
    return out;
}

}  // namespace reckon_examples
