// The claims that the documentation makes about percentile labels, each with its numbers.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "../support/claims.hpp"
#include "labels.hpp"
#include "reckon/core/views.hpp"
#include "reckon/percentile/history.hpp"
#include "reckon/percentile/weighted_pair_bce.hpp"
#include "study.hpp"
#include "views.hpp"

namespace reckon_examples {

inline void claim_rankings(claim_list& list, const curvature_study& study, std::size_t runs) {
    const auto all = [&](std::size_t label) { return study.strong[label].all; };
    const auto low = [&](std::size_t label) { return study.strong[label].low; };
    list.section("More contrasts order views better, and come up to the whole history.");
    list.check(all(at_1) < all(at_4) && all(at_4) < all(at_16), "UAUC %.4f, %.4f, %.4f for N = 1, 4, 16", all(at_1),
               all(at_4), all(at_16));
    list.check(all(at_64) > all(at_16) - 0.002, "N = 64 is not below N = 16 (less 0.002): %.4f", all(at_64));
    list.check(all(at_64) > all(at_rad) - 0.005, "N = 64 comes within 0.005 of RAD-U: %.4f, %.4f", all(at_64),
               all(at_rad));
    list.section("Percentile labels beat the logarithm: by > 0.05 UAUC, with one contrast by > 0.03.");
    for (const std::size_t label : {at_rad, at_1, at_4, at_16, at_64}) {
        const double gain = all(label) - all(at_log1p);
        list.check(gain > (label == at_1 ? 0.03 : 0.05), "%s: %.4f, MSE log1p %.4f, %+.4f", label_names[label],
                   all(label), all(at_log1p), gain);
    }
    list.section("The gain is largest where there is least activity.");
    for (const std::size_t label : {at_rad, at_1, at_4, at_16, at_64}) {
        const double gain = all(label) - all(at_log1p), gain_low = low(label) - low(at_log1p);
        list.check(gain_low > gain, "%s: %+.4f for the less active half, %+.4f for all", label_names[label], gain_low,
                   gain);
    }
    list.section(
        "Mild curvature leaves the models of percentile labels as they are, bit for bit, and moves the others.");
    for (std::size_t label = 0; label < at_oracle; ++label) {
        const bool wanted = is_percentile(label) ? study.same[label] == runs : study.same[label] == 0;
        list.check(wanted, "%s: the same test scores in %d of %d runs", label_names[label],
                   static_cast<int>(study.same[label]), static_cast<int>(runs));
    }
}

inline void claim_sparse(claim_list& list, const sparse_study& study) {
    char title[120];
    std::snprintf(title, sizeof title, "Labels of feedback with %.1f %% zeros.", 100 * study.zeros);
    list.section(title);
    for (std::size_t m = 0; m < mode_count; ++m) {
        const double wanted = m == at_strict ? (1 - study.ties) / 2 : 0.5;
        list.check(std::abs(study.labels[m].mean - wanted) < 1e-6, "%s: mean label %.6f, %.6f by the formula",
                   mode_names[m], study.labels[m].mean, wanted);
    }
    const auto distance = [&](std::size_t m) { return study.labels[m].distance; };
    list.check(std::abs(distance(at_strict) - study.zeros) < 0.05,
               "strict: KS to uniform %.3f, the share of zeros %.3f", distance(at_strict), study.zeros);
    list.check(distance(at_strict) > distance(at_mid) && distance(at_mid) > distance(at_warm) &&
                   distance(at_warm) > distance(at_boot) && distance(at_boot) > distance(at_lex),
               "KS falls from mode to mode: %.3f, %.3f, %.3f, %.3f, %.4f", distance(at_strict), distance(at_mid),
               distance(at_warm), distance(at_boot), distance(at_lex));
    list.check(distance(at_lex) < 0.02, "lex: near uniform: KS %.4f", distance(at_lex));
    list.check(std::abs(study.labels[at_lex].variance - study.spread) < 1e-3,
               "lex: variance %.4f, %.4f for labels that all differ inside their user", study.labels[at_lex].variance,
               study.spread);
}

/// A history of 1 half of the time, 20 once in ten and else 0. Item A always gets 1; item B gets 20 once in five, else 0.
/// Most views prefer A, most of the value is in B.
inline void claim_reversal(claim_list& list) {
    std::vector<float> values{1, 1, 1, 1, 1, 20, 0, 0, 0, 0};
    values.resize(16, std::nanf(""));
    const std::vector<std::uint32_t> counts{10};
    const reckon::matrix_histories history(reckon::view(values, 1, values.size()), counts);
    const std::vector<float> feedback{1, 20, 0, 0, 0, 0};  // A, then five views of B
    const std::vector<std::uint32_t> users(feedback.size(), 0);
    // The head that minimises the loss over the given views; Newton, from even odds.
    const auto optimum = [&](reckon::value_weight weight, std::size_t first, std::size_t rows) {
        std::vector<float> wins(feedback.size()), losses(feedback.size());
        reckon::contrast_labels(serial, history, users, feedback,
                                {.wins = reckon::view(wins), .losses = reckon::view(losses)}, {.weight = weight});
        const reckon::vector_view<const float> won(wins.data() + first, rows), lost(losses.data() + first, rows);
        float z = 0;
        for (int step = 0; step < 20; ++step) {
            const std::vector<float> logits(rows, z);
            std::vector<float> slopes(rows, 0.0F), bends(rows, 0.0F);
            reckon::weighted_pair_bce(serial, logits, won, lost, {}, slopes, 1.0, bends);
            z -= mean_of(slopes) == 0 ? 0.0F : static_cast<float>(mean_of(slopes) / mean_of(bends));
        }
        return 1 / (1 + std::exp(-static_cast<double>(z)));
    };
    list.section("Weights by the gap turn the order of two items, as computed by hand.");
    const auto compare = [&](const char* name, reckon::value_weight weight, double a, double b) {
        const double p = optimum(weight, 0, 1), q = optimum(weight, 1, 5);
        list.check(std::abs(p - a) < 1e-5 && std::abs(q - b) < 1e-5, "%s: A %.4f, B %.4f; by hand %.4f, %.4f", name, p,
                   q, a, b);
    };
    compare("weight none", reckon::value_weight::none, 0.65, 0.35);
    compare("weight gap", reckon::value_weight::gap, 0.4 / 2.3, 3.5 / 5.5);
}

/// Deciles of real users: whatever they watched, their labels are spread alike.
inline void claim_deciles(claim_list& list, const std::vector<user_decile>& by_views,
                          const std::vector<user_decile>& by_seconds) {
    list.section("Real views: seconds differ between users, labels do not.");
    list.check(by_seconds.back().seconds > 5 * by_seconds.front().seconds,
               "mean seconds of the first and the last tenth of the users, by that mean: %.1f, %.1f",
               by_seconds.front().seconds, by_seconds.back().seconds);
    list.check(by_views.back().share > 5 * by_views.front().share,
               "share of all seconds of the least and the most active tenth: %.3f, %.3f", by_views.front().share,
               by_views.back().share);
    double farthest = 0, widest = 0;
    for (const auto* set : {&by_views, &by_seconds}) {
        for (const user_decile& d : *set) {
            farthest = (std::max)(farthest, std::abs(d.labels.mean - 0.5));
            widest = (std::max)(widest, d.labels.distance);
        }
    }
    list.check(farthest < 0.02, "mean label of every tenth within %.4f of 1/2", farthest);
    list.check(widest < 0.06, "KS to uniform of every tenth at most %.4f", widest);
}

}  // namespace reckon_examples
