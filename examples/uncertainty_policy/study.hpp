// One run: estimates the uncertainty of candidates, applies the policies, looks at the lists.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "../support/progress.hpp"
#include "reckon/metrics/list_metrics.hpp"
#include "reckon/metrics/top_k.hpp"
#include "reckon/uncertainty/activity_policy.hpp"
#include "reckon/uncertainty/group_threshold.hpp"
#include "reckon/uncertainty/uncertainty_quality.hpp"
#include "signals.hpp"
#include "world.hpp"

namespace reckon_examples {

struct setting {
    const char* name;
    bool narrow;
    std::size_t candidates, places;
};
inline constexpr setting setting_a{"A", false, 60, 5};
inline constexpr setting setting_b{"B", true, 150, 10};

struct study_options {
    std::size_t users = 600, seeds = 4, heads = 5;
    std::uint64_t first_seed = 1;
    double ridge = 0.5;
    double deboost = 0.6;  // subtracted from high-risk candidates of low-active users
    double bonus = 1.0;    // times the rank, added for high-active users
    double risk = 0.2;     // share treated as high risk
};

/// Means over seeds of what a policy did to one group.
struct outcome {
    double spearman = 0, bad_rate = 0, over_prediction = 0, value = 0, coverage = 0, top_share = 0;

    void add(const outcome& other, double share) {
        spearman += share * other.spearman;
        bad_rate += share * other.bad_rate;
        over_prediction += share * other.over_prediction;
        value += share * other.value;
        coverage += share * other.coverage;
        top_share += share * other.top_share;
    }
};

inline constexpr std::array<const char*, 6> policy_names{"none", "random", "ensemble", "EPE", "Bayes", "joint"};
enum policy_index : std::size_t { at_none, at_random, at_ensemble, at_epe, at_bayes, at_joint };

struct study {
    std::array<outcome, 6> low, high;  // by policy
};

/// Lists that a column of scores leads to.
inline std::array<outcome, 2> look_at_lists(const world& truth, const candidate_set& set,
                                            const std::vector<double>& scores, std::size_t places) {
    const std::size_t users = truth.options().users;
    std::vector<std::uint32_t> rows(users * places);
    reckon::top_k(serial, scores, set.offsets, reckon::view(rows, users, places));
    std::vector<std::int32_t> user, category;
    std::vector<double> value;
    std::array<double, 2> over{}, shown{};
    for (const std::uint32_t row : rows) {
        user.push_back(static_cast<std::int32_t>(set.users[row]));
        category.push_back(truth.category(set.items[row]));
        value.push_back(set.truths[row]);
        over[set.groups[row]] += set.scores[row] - set.truths[row];
        shown[set.groups[row]] += 1;
    }
    reckon::list_metrics lists(users, truth.options().categories);
    lists.absorb(reckon::make_shown("uncertainty_policy", user, category, value));
    std::array<outcome, 2> out;
    for (std::size_t g = 0; g < 2; ++g) {
        const auto figures = lists.finish([&](std::size_t u) { return truth.low_active(u) == (g == 0); });
        out[g].bad_rate = figures.bad_rate;
        out[g].value = figures.mean_value;
        out[g].coverage = figures.coverage;
        out[g].top_share = figures.top_share;
        out[g].over_prediction = over[g] / shown[g];
    }
    return out;
}

inline study run_seed(const setting& where, const study_options& options, std::uint64_t seed) {
    using namespace reckon;
    const world truth({.seed = seed, .users = options.users, .narrow = where.narrow});
    // Day 0 trains the recommender; day 1, scored with it, trains the critic.
    const day_log today = simulate_day(truth, 0), tomorrow = simulate_day(truth, 1);
    const recommender model(truth, today, options.ridge, 1000 * seed);
    std::vector<recommender> heads;
    for (std::size_t t = 0; t < options.heads; ++t) {
        heads.emplace_back(truth, today, options.ridge, 1000 * seed + t);
    }
    const pair_features features(truth, model, today);
    const critic errors(features, model, tomorrow);
    const signal_sources sources{truth, today, model, features, errors, heads};

    // Thresholds come from other candidates than those that are ranked.
    const candidate_set past = draw_candidates(truth, model, where.candidates, 20);
    const candidate_set now = draw_candidates(truth, model, where.candidates, 21);
    const std::vector<signal> held_out = all_signals(sources, past, 30), signals = all_signals(sources, now, 31);

    study out;
    const auto base = look_at_lists(truth, now, now.scores, where.places);
    out.low[at_none] = base[0];
    out.high[at_none] = base[1];
    out.low[at_none].spearman = out.high[at_none].spearman = std::nan("");
    for (std::size_t s = 0; s < signals.size(); ++s) {
        const auto limits = group_threshold::fit(serial, held_out[s].ranks, past.groups, 2, {.rate = options.risk});
        const std::vector<group_policy> policies{
            {.form = policy_form::shift, .strength = options.deboost, .threshold = limits.threshold(0)},
            {.form = policy_form::rank_bonus, .strength = options.bonus}};
        std::vector<double> scores(now.size());
        apply_policy(serial, now.scores, signals[s].ranks, now.groups, now.offsets, policies, scores);
        const auto lists = look_at_lists(truth, now, scores, where.places);
        for (std::size_t g = 0; g < 2; ++g) {
            outcome& to = (g == 0 ? out.low : out.high)[s + 1];
            to = lists[g];
            std::vector<double> u, e;
            for (std::size_t k = 0; k < now.size(); ++k) {
                if (now.groups[k] != g) continue;
                const double error = now.scores[k] - now.truths[k];
                u.push_back(signals[s].ranks[k]);
                e.push_back(error * error);
            }
            to.spearman = spearman(u, e).correlation;
        }
    }
    return out;
}

/// Means over the seeds.
inline study run_study(const setting& where, const study_options& options) {
    study mean;
    progress line("setting " + std::string(where.name), options.seeds);
    for (std::size_t s = 0; s < options.seeds; ++s) {
        line.update(s);
        const study one = run_seed(where, options, options.first_seed + s);
        const double share = 1 / static_cast<double>(options.seeds);
        for (std::size_t p = 0; p < policy_names.size(); ++p) {
            mean.low[p].add(one.low[p], share);
            mean.high[p].add(one.high[p], share);
        }
    }
    line.update(options.seeds);
    return mean;
}

}  // namespace reckon_examples
