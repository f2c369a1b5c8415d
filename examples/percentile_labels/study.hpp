// The simulated comparison: one small model, trained with each kind of label, on feedback of strong and of mild
// curvature, and on feedback that is mostly zero.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "../support/progress.hpp"
#include "evaluation.hpp"
#include "labels.hpp"
#include "model.hpp"
#include "reckon/core/group_by.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/metrics/ks_uniform.hpp"
#include "world.hpp"

namespace reckon_examples {

using host = reckon::exec::host<reckon::exec::pool>;

struct study_options {
    std::size_t seeds = 8;
    std::size_t mild_seeds = 8;    // of them also with mild curvature
    std::size_t sparse_seeds = 8;  // with feedback that is mostly zero
    bool sparse_models = true;     // trains on sparse labels too
    std::uint64_t first_seed = 1;
    std::size_t users = 400;
    std::size_t epochs = 12;
};

/// UAUC on test views: of all users, and of the half with fewer views.
struct ranking {
    double all = 0, low = 0;

    void add(const ranking& other, double share) {
        all += share * other.all;
        low += share * other.low;
    }
};

enum at_label : std::size_t { at_raw, at_logistic, at_log1p, at_rad, at_1, at_4, at_16, at_64, at_oracle, label_count };
inline constexpr std::array<const char*, label_count> label_names{"MSE raw",      "weighted logistic", "MSE log1p",
                                                                  "RAD-U",        "PEARL N = 1",       "PEARL N = 4",
                                                                  "PEARL N = 16", "PEARL N = 64",      "true utility"};
inline bool is_percentile(std::size_t label) {
    return label >= at_rad && label <= at_64;
}

struct curvature_study {
    std::array<ranking, label_count> strong, mild;
    /// Runs in which the test scores of a label are the same floats under both curvatures.
    std::array<std::size_t, label_count> same = {};
};

inline training_loss loss_of(std::size_t label, const watch_world& world, std::uint64_t seed) {
    const std::vector<float>& y = world.train.feedback;
    switch (label) {
        case at_raw:
            return squared_error(y);
        case at_logistic:
            return logistic_of_value(y);
        case at_log1p:
            return squared_log_error(y);
        case at_rad:
            return percentile_targets(rad_user_labels(world.train));
        default:
            // 64 slots, 64 contrasts: all of them.
            constexpr std::array<std::uint32_t, 4> contrasts{1, 4, 16, 0};
            return contrast_loss({.seed = seed, .contrasts = contrasts[label - at_1]});
    }
}

inline ranking rank_views(const watch_world& world, const auto& scores) {
    const user_values areas = user_auc(world.test, scores);
    return {areas.mean(), areas.mean([&](std::uint32_t u) { return world.low_active[u] == 1; })};
}

/// Runs job(k) for every k < n on the threads, and says how far it is.
template <class Job>
void run_jobs(const host& where, const std::string& name, std::size_t n, const Job& job) {
    progress line(name, n);
    std::mutex shown;
    std::size_t done = 0;
    reckon::exec::for_each_index(where, n, [&](std::size_t k) {
        job(k);
        const std::lock_guard lock(shown);
        line.update(++done);
    });
}

inline curvature_study study_curvature(const host& where, const study_options& options) {
    struct run {
        std::array<std::array<std::vector<float>, label_count>, 2> scores;
        std::array<std::array<ranking, label_count>, 2> figures;
    };
    std::vector<run> runs(options.seeds);
    run_jobs(where, "kinds of label", runs.size(), [&](std::size_t k) {
        const std::uint64_t seed = options.first_seed + k;
        for (std::size_t mild = 0; mild < (k < options.mild_seeds ? 2U : 1U); ++mild) {
            const watch_world world = simulate_views({.seed = seed, .users = options.users, .mild = mild == 1});
            for (std::size_t label = 0; label < at_oracle; ++label) {
                const factorisation model =
                    train_model(world.train, world.users, world.items, {.seed = seed, .epochs = options.epochs},
                                loss_of(label, world, seed));
                runs[k].scores[mild][label] = model.scores(world.test);
                runs[k].figures[mild][label] = rank_views(world, runs[k].scores[mild][label]);
            }
            runs[k].figures[mild][at_oracle] = rank_views(world, world.test.utility);
        }
    });
    curvature_study out;
    for (std::size_t k = 0; k < runs.size(); ++k) {
        const bool both = k < options.mild_seeds;
        for (std::size_t label = 0; label < label_count; ++label) {
            out.strong[label].add(runs[k].figures[0][label], 1 / static_cast<double>(options.seeds));
            if (!both) continue;
            out.mild[label].add(runs[k].figures[1][label], 1 / static_cast<double>(options.mild_seeds));
            out.same[label] += runs[k].scores[0][label] == runs[k].scores[1][label] ? 1 : 0;
        }
    }
    return out;
}

/// What labels look like: all of one log together.
struct label_shape {
    double mean = 0, variance = 0, distance = 0;  // distance: Kolmogorov-Smirnov, from uniform

    void add(const label_shape& other, double share) {
        mean += share * other.mean;
        variance += share * other.variance;
        distance += share * other.distance;
    }
};

inline label_shape shape_of(const std::vector<float>& labels) {
    reckon::moments m;
    for (const float c : labels) m.absorb(static_cast<double>(c));
    return {m.mean(), m.variance(), reckon::ks_uniform(serial, labels).value};
}

enum at_mode : std::size_t { at_strict, at_mid, at_warm, at_boot, at_lex, mode_count };
inline constexpr std::array<const char*, mode_count> mode_names{"strict", "mid", "boot, temperature 1",
                                                                "boot, temperature 0.5", "lex"};
inline reckon::contrast_options mode_options(std::size_t mode) {
    using reckon::tie_mode;
    constexpr std::array<tie_mode, mode_count> ties{tie_mode::strict, tie_mode::mid, tie_mode::boot, tie_mode::boot,
                                                    tie_mode::lex};
    return {.ties = ties[mode], .temperature = mode == at_warm ? 1.0 : 0.5};
}

/// Labels of feedback that is mostly zero.
struct sparse_study {
    double zeros = 0;   // share of the training views
    double ties = 0;    // share of tied pairs inside users, over pairs that an anchor is compared with
    double spread = 0;  // variance of labels that all differ inside their user: the ranks 0 .. n - 1 over n - 1
    std::array<label_shape, mode_count> labels;
    std::array<ranking, mode_count> rankings;
};

/// Mean over anchors of the share of the other views of their user that tie with them.
inline double share_of_ties(const reckon::grouped_rows<std::uint32_t>& users, std::vector<float> y) {
    reckon::mean_value share;
    for (std::size_t g = 0; g < users.size(); ++g) {
        const auto first = y.begin() + static_cast<std::ptrdiff_t>(users.first(g));
        const auto end = first + static_cast<std::ptrdiff_t>(users.count(g));
        std::sort(first, end);
        for (auto at = first; at != end;) {
            const auto next = std::upper_bound(at, end, *at);
            const auto run = static_cast<double>(next - at);
            if (users.count(g) > 1) share.absorb((run - 1) / static_cast<double>(users.count(g) - 1), run);
            at = next;
        }
    }
    return share.finish();
}

inline sparse_study run_sparse(double zeros, const study_options& options, std::uint64_t seed) {
    const watch_world world = simulate_views({.seed = seed, .users = options.users, .zeros = zeros});
    const training_options training{.seed = seed, .epochs = options.epochs};
    // The base head says how likely any feedback is; it is trained first and then left as it is.
    std::vector<float> any(world.train.size());
    for (std::size_t k = 0; k < any.size(); ++k) any[k] = world.train.feedback[k] > 0 ? 1.0F : 0.0F;
    const factorisation base = train_model(world.train, world.users, world.items, training, percentile_targets(any));
    const std::vector<float> guesses = base.scores(world.train);

    sparse_study out;
    out.zeros = 1 - mean_of(any);
    const auto users = reckon::group_by(world.train.users);
    out.ties = share_of_ties(users, users.gather(reckon::input(world.train.feedback)));
    reckon::mean_value spread;
    for (std::size_t g = 0; g < users.size(); ++g) {
        const auto n = static_cast<double>(users.count(g));
        if (n > 1) spread.absorb((n + 1) / (12 * (n - 1)), n);
    }
    out.spread = spread.finish();
    for (std::size_t mode = 0; mode < mode_count; ++mode) {
        const reckon::contrast_options how = mode_options(mode);
        // Every other view of the user, no sample.
        out.labels[mode] = shape_of(contrast_labels_of(world.train, 2048, how, guesses));
        if (mode == at_warm || !options.sparse_models) continue;
        const factorisation model = train_model(world.train, world.users, world.items, training,
                                                contrast_loss({.seed = seed, .ties = how.ties}, guesses));
        out.rankings[mode] = rank_views(world, model.scores(world.test));
    }
    return out;
}

inline sparse_study study_sparse(const host& where, double zeros, const study_options& options) {
    std::vector<sparse_study> runs(options.sparse_seeds);
    run_jobs(where, "mostly zeros", runs.size(),
             [&](std::size_t k) { runs[k] = run_sparse(zeros, options, options.first_seed + k); });
    sparse_study mean;
    const double share = 1 / static_cast<double>(runs.size());
    for (const sparse_study& one : runs) {
        mean.zeros += share * one.zeros;
        mean.ties += share * one.ties;
        mean.spread += share * one.spread;
        for (std::size_t m = 0; m < mode_count; ++m) {
            mean.labels[m].add(one.labels[m], share);
            mean.rankings[m].add(one.rankings[m], share);
        }
    }
    return mean;
}

}  // namespace reckon_examples
