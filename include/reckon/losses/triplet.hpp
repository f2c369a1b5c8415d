// Triplet losses with mining in the batch: a positive must be nearer to its anchor than a negative, by a margin.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/isa.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/losses/contrastive_gradients.hpp"
#include "reckon/losses/detail/labelled_row.hpp"
#include "reckon/losses/detail/logit_rows.hpp"
#include "reckon/losses/detail/similarity_rows.hpp"
#include "reckon/losses/detail/softmax_row.hpp"
#include "reckon/losses/detail/triplet_mining.hpp"
#include "reckon/losses/similarity.hpp"

namespace reckon {

enum class triplet_mining {
    hard,       ///< one triplet an anchor: its farthest positive and its nearest negative
    semi_hard,  ///< one for each positive: the nearest negative that is farther than it, else the farthest negative
};

struct triplet_options {
    triplet_mining mining = triplet_mining::hard;
    /// Finite. How much farther a negative must be.
    double margin = 0.2;
    /// softplus(x) in place of max(x, 0): triplets keep pulling once they are in order. Hermans et al. take margin 0
    /// then.
    bool soft = false;
    similarity metric = similarity::squared_distance;
    /// With squared_distance: distances are its square roots.
    bool root = false;
    /// Key first_self + i is query i itself, and left out: 0 for one set against itself. Negative: no key is a query.
    std::ptrdiff_t first_self = -1;
};

/// Triplet loss of anchors (queries) and labelled keys, over the triplets that mining picks.
///
///   loss = sum over triplets (i, p, n) of h(margin + d_ip - d_in)
///   h(x) = max(x, 0), or softplus(x) with options.soft
///   d = |q - k|^2 or |q - k| (options.root), 1 - cosine, or -q . k
///
/// Keys with the label of an anchor are its positives, all others its negatives. Of equal distances the key that comes
/// first is taken.
///
/// Shapes    query_rows [B, D], key_rows [N, D]; query_labels [B], key_labels [N] of std::uint64_t. Float or double,
///           both the same; rows may be strided. Gradients as their inputs, or empty; with keys that are the queries
///           both may be one matrix. anchor_losses [B], or empty.
/// Writes    anchor_losses: the sum over the triplets of each anchor, above 0 where one is active. Adds grads.scale * d
///           loss / d (queries | keys) where wanted. Which triplets are mined is not differentiated; the root of 0 has
///           slope 0.
/// Returns   mean_value{sum, number of triplets}: of hard mining the number of anchors that have a positive and a
///           negative, of semi-hard that of their positives. Merges over shards of the queries that see the same keys.
/// Throws    std::invalid_argument on a shape or option out of range. Other inputs are not scanned: NaN in, NaN out,
///           for every anchor that has such a distance; similarities must be within the range of the type.
/// Cost      B N D multiply-adds and two or three passes over a row; semi-hard mining one more for four positives, from
///           33 positives on log P steps a negative instead. O(D) for each triplet, and again for gradients if it is
///           active. Scratch: both sides copied unless the metric is dot, the keys packed once, and 96 rows of N.
/// Numerics  mining in the type, where squared distances are |q|^2 - 2 q . k + |k|^2; losses and slopes from distances
///           of the mined pairs that are summed in double, whatever the metric.
/// Source    Schroff, Kalenichenko and Philbin 2015 (margin, semi-hard); Hermans, Beyer and Leibe 2017 (hard, soft).
///           The farthest negative where none is farther than the positive is common practice, not in the paper; ties
///           are ours.
template <exec::policy Policy, matrix_like Q, matrix_like K, vector_like A, vector_like B, class Isa = isa::native>
mean_value triplet(const Policy& where, const Q& query_rows, const K& key_rows, const A& query_labels,
                   const B& key_labels, const triplet_options& options = {},
                   const contrastive_gradients<typename decltype(input(query_rows))::value_type>& grads = {},
                   vector_view<typename decltype(input(query_rows))::value_type> anchor_losses = {}) {
    const auto query_view = input(query_rows);
    const auto key_view = input(key_rows);
    const auto anchors = input(query_labels);
    const auto others = input(key_labels);
    using T = typename decltype(query_view)::value_type;
    static_assert(std::is_same_v<T, typename decltype(key_view)::value_type>,
                  "reckon: queries and keys of triplet must have the same type");
    static_assert(std::is_same_v<std::uint64_t, typename decltype(anchors)::value_type> &&
                      std::is_same_v<std::uint64_t, typename decltype(others)::value_type>,
                  "reckon: labels of triplet must be std::uint64_t");
    constexpr const char* kernel = "triplet";
    constexpr std::size_t most_rows = detail::query_block<T, Isa>::most_rows;
    exec::detail::require_host_policy<Policy>();
    const std::size_t batch = query_view.rows();
    detail::expect_labelled(kernel, query_view, key_view, anchors, others, options.first_self, grads);
    expects(std::isfinite(options.margin), kernel, "margin must be finite, got ", options.margin);
    expects(!options.root || options.metric == similarity::squared_distance, kernel,
            "roots are taken of squared distances only");
    expects(anchor_losses.empty() || anchor_losses.size() == batch, kernel, batch, " queries but room for ",
            anchor_losses.size(), " losses");
    if (batch == 0) return {};

    const bool squared = options.metric == similarity::squared_distance;
    using alike = detail::similarity_rows<T>;
    alike query_side(options.metric, alike::side::query, query_view),
        key_side(options.metric, alike::side::key, key_view);
    // Distances have their own derivatives, which do not cancel.
    const detail::pair_slopes<T> slopes{squared ? query_view : query_side.rows(),
                                        squared ? key_view : key_side.rows(),
                                        squared ? grads.queries : query_side.gradient(grads.queries),
                                        squared ? grads.keys : key_side.gradient(grads.keys),
                                        squared,
                                        grads.scale};
    const detail::mined_distances<T> distances(options.metric, query_view, key_view);
    const detail::row_labels labels(anchors, others, options.first_self);
    scratch_array<double> losses(batch);
    scratch_array<std::size_t> triplets(batch);
    // What the anchors of a block found, until the block is done.
    std::vector<std::vector<detail::pair_slope>> found(most_rows);

    const auto distance = [&](std::size_t i, const detail::positive_key<T>& k) {
        const double d = distances(i, k.key);
        return options.root ? std::sqrt(d) : d;
    };
    // d distance / d similarity.
    const auto steepness = [&](double d) { return !options.root ? -1.0 : d == 0.0 ? 0.0 : -0.5 / d; };
    const auto anchor = [&](std::size_t i, const auto& row) {
        auto& mine = found[i % most_rows];
        mine.clear();
        triplets[i] = 0;
        losses[i] = 0.0;
        if (detail::holds_nan(row)) {
            losses[i] = std::numeric_limits<double>::quiet_NaN();
            triplets[i] = 1;
            for (std::size_t j = 0; j < row.size(); ++j) {
                if (row[j] != row[j]) mine.push_back({j, losses[i]});
            }
            return;
        }
        std::vector<detail::positive_key<T>> positives, negatives;
        if (labels.split(i, row, positives) == 0 || positives.empty()) return;
        if (options.mining == triplet_mining::hard) {
            detail::hardest(row, positives, negatives);
        } else {
            detail::semi_hard(row, positives, negatives);
        }
        triplets[i] = positives.size();
        double last = 0.0;
        for (std::size_t k = 0; k < positives.size(); ++k) {
            // No negative within the range of the type.
            if (negatives[k].key == row.size()) continue;
            const bool again = k > 0 && negatives[k].key == negatives[k - 1].key;
            const double near_by = distance(i, positives[k]), away = again ? last : distance(i, negatives[k]);
            last = away;
            const double gap = options.margin + near_by - away;
            losses[i] += options.soft ? detail::softplus_of(gap) : (std::max)(gap, 0.0);
            const double slope = options.soft ? math::sigmoid(gap) : gap > 0.0 ? 1.0 : 0.0;
            if (slope == 0.0 || !slopes.wanted()) continue;
            const double pull = slope * steepness(near_by), push = -slope * steepness(away);
            if (!mine.empty() && mine.back().key == negatives[k].key) {
                mine.back().slope += push;
                mine.insert(mine.end() - 1, {positives[k].key, pull});
            } else {
                mine.push_back({positives[k].key, pull});
                mine.push_back({negatives[k].key, push});
            }
        }
    };
    detail::for_each_logit_row<T, Isa>(
        where, query_side.rows(), key_side.rows(), detail::row_temperatures<T>{}, contrastive_gradients<T>{}, anchor,
        {}, [&](std::size_t first, std::size_t rows) {
            slopes.add(
                where, first, rows, [&](std::size_t r) -> const auto& { return found[(first + r) % most_rows]; });
        });
    if (!squared) {
        query_side.finish(grads.queries);
        key_side.finish(grads.keys);
    }
    mean_value loss;
    for (std::size_t i = 0; i < batch; ++i) {
        loss.merge(mean_value(losses[i], static_cast<double>(triplets[i])));
        if (!anchor_losses.empty()) anchor_losses[i] = static_cast<T>(losses[i]);
    }
    return loss;
}

}  // namespace reckon
