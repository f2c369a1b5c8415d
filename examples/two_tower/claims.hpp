// The claims that the documentation makes about the two towers, each with its numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "../support/claims.hpp"
#include "../support/random.hpp"
#include "log.hpp"
#include "model.hpp"
#include "reckon/exec/pool.hpp"
#include "study.hpp"

namespace reckon_examples {

/// Largest difference between slopes written by hand and central differences, over the largest slope.
inline double slope_error(const host& where, const retrieval_task& task, bool log_q) {
    const std::size_t batch = (std::min)(task.likes(), std::size_t{24});
    const std::span<const std::uint32_t> users(task.like_users.data(), batch), items(task.like_items.data(), batch);
    two_towers<double> model(task, {.width = 6, .temperature = 0.5, .log_q = log_q});
    const auto loss = [&] {
        two_towers<double> copy = model;
        return copy.absorb(where, users, items);
    };
    two_towers<double> slopes = model;
    slopes.absorb(where, users, items);
    double worst = 0, largest = 0;
    const auto compare = [&](std::span<double> row, std::span<const double> slope) {
        constexpr double h = 1e-5;
        for (std::size_t k = 0; k < row.size(); ++k) {
            const double x = row[k];
            row[k] = x + h;
            const double above = loss();
            row[k] = x - h;
            const double below = loss();
            row[k] = x;
            worst = (std::max)(worst, std::abs((above - below) / (2 * h) - slope[k]));
            largest = (std::max)(largest, std::abs(slope[k]));
        }
    };
    for (std::size_t b = 0; b < 4; ++b) {
        compare(model.users.table.row(users[b]), slopes.users.table.slope(users[b]));
        compare(model.items.table.row(items[b]), slopes.items.table.slope(items[b]));
    }
    for (std::size_t k = 0; k < 6; ++k) {
        compare(model.users.projection.row(k), slopes.users.projection.slope(k));
        compare(model.items.projection.row(k), slopes.items.projection.slope(k));
    }
    return largest > 0 ? worst / largest : HUGE_VAL;
}

inline void claim_steps(claim_list& list, const host& where, const retrieval_task& task) {
    list.section("Steps written by hand.");
    for (const bool log_q : {false, true}) {
        const double error = slope_error(where, task, log_q);
        list.check(error < 1e-7,
                   log_q ? "corrected by log q: slopes agree with central differences to %.1e"
                         : "slopes agree with central differences to %.1e",
                   error);
    }
    const tower_options one{.batch = 128, .epochs = 1};
    reckon::exec::pool single(1);
    const retriever a = train_towers(host(single), task, one, [] {}), b = train_towers(where, task, one, [] {});
    list.check(a.losses == b.losses && a.users == b.users && a.items == b.items,
               "an epoch on all threads gives the same bits as one on one thread");
}

inline void claim_models(claim_list& list, const std::string& data, const retrieval_study& study) {
    const auto recall = [](const model_figures& m) { return m.values[recall_100].value; };
    const auto &alone = study.alone, &timely = study.timely;
    list.section(data + ", recall@100.");
    for (const std::size_t m : {at_bpr, at_bpr_popular, at_towers_log_q, at_towers}) {
        list.check(recall(alone[m]) > recall(alone[at_popularity]),
                   (alone[m].name + " alone: %.4f, popularity %.4f").c_str(), recall(alone[m]),
                   recall(alone[at_popularity]));
    }
    for (std::size_t m = 0; m < model_count; ++m) {
        list.check(recall(timely[m]) > recall(alone[m]),
                   (alone[m].name + ": the popularity of the last hours helps: %.4f, without %.4f").c_str(),
                   recall(timely[m]), recall(alone[m]));
    }
    list.check(timely[at_towers].gain.lower > 0, "two towers gain over recent popularity alone: %+.4f (%+.4f to %+.4f)",
               timely[at_towers].gain.value, timely[at_towers].gain.lower, timely[at_towers].gain.upper);
    list.check(recall(timely[at_towers]) > recall(timely[at_bpr]),
               "two towers against BPR with negatives at random: %.4f, %.4f", recall(timely[at_towers]),
               recall(timely[at_bpr]));
    list.check(recall(alone[at_towers]) > recall(alone[at_towers_log_q]),
               "where popularity passes, towers that do not learn it find more: %.4f, corrected %.4f",
               recall(alone[at_towers]), recall(alone[at_towers_log_q]));
    const double corrected = study.popularity_learnt[at_towers_log_q], plain = study.popularity_learnt[at_towers];
    list.check(corrected > 0.5 && corrected > plain + 0.3,
               "the correction teaches popularity: mean score and likes of an item, Spearman %.3f, without %.3f",
               corrected, plain);
    if (alone.size() > model_count) {
        list.check(recall(timely[at_towers]) < recall(timely.back()), "the true odds find most: %.4f, two towers %.4f",
                   recall(timely.back()), recall(timely[at_towers]));
    }
}

}  // namespace reckon_examples
