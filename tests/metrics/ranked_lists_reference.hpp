// The metrics of ranked lists by their definitions, on one list whose order is given, and over all orders that a list
// with equal scores may have.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "reckon/core/random.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/metrics/average_precision.hpp"
#include "reckon/metrics/hit_rate.hpp"
#include "reckon/metrics/ndcg.hpp"
#include "reckon/metrics/precision.hpp"
#include "reckon/metrics/recall.hpp"
#include "reckon/metrics/reciprocal_rank.hpp"

namespace reckon::testing_support {

enum class list_metric { ndcg, ndcg_linear, reciprocal_rank, hit_rate, recall, precision, average_precision };
inline constexpr list_metric all_list_metrics[] = {
    list_metric::ndcg,   list_metric::ndcg_linear, list_metric::reciprocal_rank,  list_metric::hit_rate,
    list_metric::recall, list_metric::precision,   list_metric::average_precision};
inline constexpr tie_rule all_tie_rules[] = {tie_rule::expected, tie_rule::pessimistic, tie_rule::optimistic,
                                             tie_rule::first, tie_rule::trec};

/// The library's value; k = 0 is the whole list.
template <class Policy, class P, class Y, class L>
list_mean run_list_metric(list_metric metric, const Policy& where, const P& scores, const Y& labels,
                          const std::vector<std::uint32_t>& offsets, std::size_t k, tie_rule ties, empty_rule empty,
                          L& per_list) {
    switch (metric) {
        case list_metric::ndcg:
            return ndcg(where, scores, labels, offsets, {.k = k, .ties = ties, .empty = empty}, per_list);
        case list_metric::ndcg_linear:
            return ndcg(where, scores, labels, offsets,
                        {.k = k, .gain = dcg_gain::linear, .ties = ties, .empty = empty}, per_list);
        case list_metric::reciprocal_rank:
            return reciprocal_rank(where, scores, labels, offsets, {.k = k, .ties = ties, .empty = empty}, per_list);
        case list_metric::hit_rate:
            return hit_rate(where, scores, labels, offsets, {.k = k, .ties = ties, .empty = empty}, per_list);
        case list_metric::recall:
            return recall(where, scores, labels, offsets, {.k = k, .ties = ties, .empty = empty}, per_list);
        case list_metric::precision:
            return precision(where, scores, labels, offsets, {.k = k, .ties = ties, .empty = empty}, per_list);
        case list_metric::average_precision:
            return average_precision(where, scores, labels, offsets, {.k = k, .ties = ties, .empty = empty}, per_list);
    }
    return {};
}

/// The value of a list whose rows, those with a score, stand in the given order; `labels` holds all rows.
inline double value_of_order(list_metric metric, const std::vector<double>& labels,
                             const std::vector<std::size_t>& order, std::size_t k) {
    const std::size_t n = labels.size(), depth = k == 0 ? n : k;
    const auto total = static_cast<double>(std::count_if(labels.begin(), labels.end(), [](double y) { return y > 0; }));
    if (total == 0) return std::numeric_limits<double>::quiet_NaN();
    const auto gain = [&](double y) {
        if (!(y > 0)) return 0.0;
        return metric == list_metric::ndcg_linear ? y : std::exp2(y) - 1.0;
    };
    std::vector<double> best;
    for (const double y : labels) best.push_back(gain(y));
    std::sort(best.rbegin(), best.rend());
    double dcg = 0, ideal = 0, hits = 0, precisions = 0, first = 0;
    for (std::size_t r = 0; r < (std::min)(depth, n); ++r) {
        const double discount = std::log2(static_cast<double>(r) + 2.0);
        ideal += best[r] / discount;
        if (r >= order.size()) continue;
        const double y = labels[order[r]];
        dcg += gain(y) / discount;
        if (!(y > 0)) continue;
        ++hits;
        precisions += hits / static_cast<double>(r + 1);
        if (first == 0) first = static_cast<double>(r + 1);
    }
    switch (metric) {
        case list_metric::ndcg:
        case list_metric::ndcg_linear:
            return dcg / ideal;
        case list_metric::reciprocal_rank:
            return first > 0 ? 1.0 / first : 0.0;
        case list_metric::hit_rate:
            return first > 0 ? 1.0 : 0.0;
        case list_metric::recall:
            return hits / total;
        case list_metric::precision:
            return hits / static_cast<double>(depth);
        case list_metric::average_precision:
            return precisions / total;
    }
    return 0.0;
}

/// Rows that have a score, best first, equal ones in ascending or descending order of rows.
inline std::vector<std::size_t> falling_order(const std::vector<double>& scores, bool later_first = false) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < scores.size(); ++i) {
        if (scores[i] == scores[i]) order.push_back(i);
    }
    if (later_first) std::reverse(order.begin(), order.end());
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return scores[a] > scores[b]; });
    return order;
}

/// Mean, least and largest value over every order of the rows in which scores fall.
struct order_figures {
    double mean = 0, least = std::numeric_limits<double>::infinity(), most = -least;
};
inline order_figures over_all_orders(list_metric metric, const std::vector<double>& scores,
                                     const std::vector<double>& labels, std::size_t k) {
    std::vector<std::size_t> order = falling_order(scores);
    std::sort(order.begin(), order.end());
    order_figures out;
    std::size_t orders = 0;
    do {
        bool falls = true;
        for (std::size_t r = 1; r < order.size(); ++r) falls = falls && scores[order[r - 1]] >= scores[order[r]];
        if (!falls) continue;
        const double value = value_of_order(metric, labels, order, k);
        out.mean += value;
        out.least = (std::min)(out.least, value);
        out.most = (std::max)(out.most, value);
        ++orders;
    } while (std::next_permutation(order.begin(), order.end()));
    out.mean /= static_cast<double>(orders);
    return out;
}

/// Rows with a score from the best level down, for rules that a sort can carry out.
inline double value_by_sort(list_metric metric, const std::vector<double>& scores, const std::vector<double>& labels,
                            std::size_t k, tie_rule ties) {
    std::vector<std::size_t> order = falling_order(scores, ties == tie_rule::trec);
    if (ties == tie_rule::optimistic || ties == tie_rule::pessimistic) {
        const double sign = ties == tie_rule::optimistic ? 1.0 : -1.0;
        std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) {
            return scores[a] != scores[b] ? scores[a] > scores[b] : sign * labels[a] > sign * labels[b];
        });
    }
    return value_of_order(metric, labels, order, k);
}

/// A different number in [-1/2, 1/2) for every row below 2^24.
inline float scattered(std::size_t row) noexcept {
    constexpr std::uint32_t mask = 0xffffffu;
    std::uint32_t x = static_cast<std::uint32_t>(row) * 0x9e3779b1u & mask;
    x = ((x ^ x >> 13) * 0x85ebca77u) & mask;
    return static_cast<float>(x ^ x >> 11) * 0x1p-24f - 0.5f;
}

/// Lists of the given lengths: scores on a grid of `levels` values, or all different for 0; grades 0 .. top.
struct list_columns {
    std::vector<float> scores;
    std::vector<std::uint8_t> labels;
    std::vector<std::uint32_t> offsets{0};

    std::size_t size() const { return offsets.size() - 1; }
    std::vector<double> scores_of(std::size_t s) const {
        return {scores.begin() + offsets[s], scores.begin() + offsets[s + 1]};
    }
    std::vector<double> labels_of(std::size_t s) const {
        return {labels.begin() + offsets[s], labels.begin() + offsets[s + 1]};
    }
};
inline list_columns random_lists(const std::vector<std::size_t>& lengths, std::size_t levels, std::size_t top,
                                 std::uint64_t seed) {
    list_columns out;
    const random_stream rng(seed, 130), choice(seed, 131), grade(seed, 132);
    for (const std::size_t n : lengths) {
        // Every list has its own share of relevant rows; in some all are, in some none.
        const double share = 1.2 * choice.uniform(out.offsets.size() * 2) - 0.1;
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t row = out.scores.size();
            out.scores.push_back(levels > 0 ? static_cast<float>(rng.below(row, levels)) * 0.25f - 0.5f
                                            : scattered(row + seed));
            out.labels.push_back(grade.uniform(2 * row) < share
                                     ? static_cast<std::uint8_t>(1 + grade.below(2 * row + 1, top))
                                     : std::uint8_t{0});
        }
        out.offsets.push_back(static_cast<std::uint32_t>(out.scores.size()));
    }
    return out;
}

}  // namespace reckon::testing_support
