// How much of what a user liked later stands at the top of the whole catalogue.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "log.hpp"
#include "model.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/metrics/ndcg.hpp"
#include "reckon/metrics/recall.hpp"
#include "reckon/metrics/top_k.hpp"

namespace reckon_examples {

enum at_figure : std::size_t { recall_10, recall_50, recall_100, ndcg_100, figure_count };
inline constexpr std::array<const char*, figure_count> figure_names{"recall@10", "recall@50", "recall@100", "nDCG@100"};

/// Writes a user's score of every item of the catalogue.
using score_rows = std::function<void(std::size_t user, std::span<float> scores)>;

/// weight * user row . item row, plus a score of the item if there is one. The model and the scores must outlive it.
inline score_rows affinity(const retriever& model, double weight = 1, std::span<const float> item_scores = {}) {
    return [&model, weight = static_cast<float>(weight), item_scores](std::size_t user, std::span<float> scores) {
        const auto row = [&](const std::vector<float>& rows, std::size_t r) {
            return std::span(rows).subspan(r * model.width, model.width);
        };
        const std::span<const float> p = row(model.users, user);
        for (std::size_t i = 0; i < scores.size(); ++i) {
            scores[i] = weight * dot(p, row(model.items, i)) + (item_scores.empty() ? 0.0F : item_scores[i]);
        }
    };
}

/// Calls use(first, users, scores) for the test users, 64 at a time: scores [users * items] of the whole catalogue,
/// or -inf for what the user has seen.
template <class Use>
void for_each_score_block(const host& where, const retrieval_task& task, const score_rows& score, const Use& use) {
    constexpr std::size_t block = 64;
    std::vector<float> scores;
    for (std::size_t first = 0; first < task.test_users.size(); first += block) {
        const std::size_t users = (std::min)(block, task.test_users.size() - first);
        scores.resize(users * task.items());
        reckon::exec::for_each_index(where, users, [&](std::size_t k) {
            const std::uint32_t user = task.test_users[first + k];
            const std::span<float> row = std::span(scores).subspan(k * task.items(), task.items());
            score(user, row);
            for (const std::uint32_t i : task.seen.of(user)) row[i] = -std::numeric_limits<float>::infinity();
        });
        use(first, users, scores);
    }
}

inline std::vector<std::uint32_t> even_offsets(std::size_t lists, std::size_t rows) {
    std::vector<std::uint32_t> out(lists + 1);
    for (std::size_t k = 0; k <= lists; ++k) out[k] = static_cast<std::uint32_t>(k * rows);
    return out;
}

/// Figures of each test user, in the order of task.test_users: [users * figure_count].
inline std::vector<double> retrieval_figures(const host& where, const retrieval_task& task, const score_rows& score) {
    std::vector<double> out(task.test_users.size() * figure_count);
    for_each_score_block(where, task, score,
                         [&](std::size_t first, std::size_t users, const std::vector<float>& scores) {
                             const auto offsets = even_offsets(users, task.items());
                             std::vector<std::uint8_t> labels(scores.size(), 0);
                             for (std::size_t k = 0; k < users; ++k) {
                                 for (const std::uint32_t i : task.wanted.of(task.test_users[first + k]))
                                     labels[k * task.items() + i] = 1;
                             }
                             std::vector<double> values(users);
                             const auto keep = [&](std::size_t figure) {
                                 for (std::size_t k = 0; k < users; ++k)
                                     out[(first + k) * figure_count + figure] = values[k];
                             };
                             constexpr std::array<std::size_t, 3> ranks{10, 50, 100};
                             for (std::size_t f = 0; f < ranks.size(); ++f) {
                                 reckon::recall(where, scores, labels, offsets, {.k = ranks[f]}, values);
                                 keep(f);
                             }
                             reckon::ndcg(where, scores, labels, offsets, {.k = 100}, values);
                             keep(ndcg_100);
                         });
    return out;
}

/// Share of the catalogue that stands in the top 50 of at least one test user.
inline double share_shown(const host& where, const retrieval_task& task, const score_rows& score) {
    constexpr std::size_t depth = 50;
    std::vector<std::uint8_t> shown(task.items(), 0);
    for_each_score_block(where, task, score, [&](std::size_t, std::size_t users, const std::vector<float>& scores) {
        std::vector<std::uint32_t> rows(users * depth);
        reckon::top_k(where, scores, even_offsets(users, task.items()), reckon::view(rows, users, depth));
        for (const std::uint32_t row : rows) {
            if (row != reckon::no_row) shown[row % task.items()] = 1;
        }
    });
    return static_cast<double>(std::count(shown.begin(), shown.end(), 1)) / static_cast<double>(task.items());
}

}  // namespace reckon_examples
