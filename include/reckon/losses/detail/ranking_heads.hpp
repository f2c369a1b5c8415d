// What the ranking losses over heads share: checks, who is compared in a head, and where its slopes go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/scratch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/losses/ranking_options.hpp"

namespace reckon::detail {

// Scores of the rows of a head that take part: positives, and negatives with the trusted ones first.
template <class T>
struct ranking_head {
    scratch_array<T> positive, negative;
    scratch_array<std::uint32_t> positive_row, negative_row;
    std::size_t positives = 0, negatives = 0, trusted = 0;

    explicit ranking_head(std::size_t rows) : positive(rows), negative(rows), positive_row(rows), negative_row(rows) {}
    void add_positive(T score, std::size_t row) noexcept {
        positive[positives] = score;
        positive_row[positives++] = static_cast<std::uint32_t>(row);
    }
    void add_negative(T score, std::size_t row) noexcept {
        negative[negatives] = score;
        negative_row[negatives++] = static_cast<std::uint32_t>(row);
    }
};

template <class T, class Y, class M>
struct ranking_batch {
    matrix_view<const T> scores;
    matrix_view<const Y> labels;
    matrix_view<const M> valid;  // or empty: all are
    matrix_view<T> gradient;     // or empty
    pairwise_ranking_options options;
    double scale;

    ranking_head<T> head(std::size_t j) const {
        const std::size_t n = scores.rows();
        ranking_head<T> out(n);
        const auto is_valid = [&](std::size_t i) { return valid.empty() || valid(i, j) != M(0); };
        for (std::size_t i = 0; i < n; ++i) {
            if (labels(i, j) > Y(0)) out.add_positive(scores(i, j), i);
        }
        for (const bool wanted : {true, false}) {
            if (options.negatives != (wanted ? rank_negatives::unlabelled : rank_negatives::masked_valid) &&
                !(valid.empty() && !wanted)) {
                for (std::size_t i = 0; i < n; ++i) {
                    // A NaN label is neither.
                    if (labels(i, j) <= Y(0) && is_valid(i) == wanted) out.add_negative(scores(i, j), i);
                }
            }
            if (wanted) out.trusted = out.negatives;
        }
        return out;
    }
    // Loss of head j from sums(head, positive slopes, negative slopes), which adds d loss / d (negative - positive),
    // with weights, to both and returns the weighted sum of the pairs.
    template <class Sums>
    mean_value finish(std::size_t j, Sums&& sums) const {
        const ranking_head<T> rows = head(j);
        const double of_one = static_cast<double>(rows.trusted) +
                              options.unlabelled_weight * static_cast<double>(rows.negatives - rows.trusted);
        const double pairs = static_cast<double>(rows.positives) * of_one;
        if (pairs == 0.0) return {};
        std::vector<double> up(rows.positives), down(rows.negatives);
        const double loss = sums(rows, up.data(), down.data());
        const bool mean = options.normalisation == pair_normalisation::mean_per_group;
        if (!gradient.empty()) {
            const double factor = mean ? scale / pairs : scale;
            for (std::size_t k = 0; k < rows.positives; ++k) {
                gradient(rows.positive_row[k], j) -= static_cast<T>(factor * up[k]);
            }
            for (std::size_t k = 0; k < rows.negatives; ++k) {
                gradient(rows.negative_row[k], j) += static_cast<T>(factor * down[k]);
            }
        }
        return mean ? mean_value(loss / pairs, 1.0) : mean_value(loss, pairs);
    }
};

template <class S, class L, class M, class G>
auto make_ranking_batch(const char* kernel, const S& score_rows, const L& label_rows, const M& valid_rows,
                        const pairwise_ranking_options& options, G& gradient, double scale) {
    const auto scores = input(score_rows);
    const auto labels = input(label_rows);
    using T = typename decltype(scores)::value_type;
    using Y = typename decltype(labels)::value_type;
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "reckon: scores must be float or double");
    static_assert(std::is_arithmetic_v<Y>, "reckon: labels must be numbers");
    const std::size_t n = scores.rows(), heads = scores.cols();
    const auto fits = [&](const char* what, std::size_t rows, std::size_t cols) {
        expects(rows == n && cols == heads, kernel, n, " x ", heads, " scores but ", what, " of ", rows, " x ", cols);
    };
    fits("labels", labels.rows(), labels.cols());
    const auto given = [&] {
        if constexpr (std::is_same_v<M, none>) {
            return matrix_view<const std::uint8_t>();
        } else {
            const auto mask = input(valid_rows);
            static_assert(std::is_arithmetic_v<typename decltype(mask)::value_type>, "reckon: masks must be numbers");
            fits("a mask", mask.rows(), mask.cols());
            return mask;
        }
    };
    const auto valid = given();
    matrix_view<T> to;
    if constexpr (!std::is_same_v<std::remove_cv_t<G>, none>) {
        to = view(gradient);
        fits("a gradient", to.rows(), to.cols());
    }
    expects(n < (std::uint64_t{1} << 32), kernel, n, " rows, fewer than 2^32 are possible");
    expects(options.unlabelled_weight > 0.0 && options.unlabelled_weight <= 1.0, kernel,
            "unlabelled_weight must be in (0, 1], got ", options.unlabelled_weight);
    expects(options.margin >= 0.0 && options.margin <= 1e30, kernel, "margin must be finite and not negative, got ",
            options.margin);
    return ranking_batch<T, Y, typename decltype(valid)::value_type>{scores, labels, valid, to, options, scale};
}

// Heads side by side on threads, or one after the other with `where` inside.
template <class Policy, class Batch, class Sums>
mean_value over_heads(const Policy& where, const Batch& batch, bool side_by_side, Sums&& sums) {
    const std::size_t heads = batch.scores.cols();
    if (batch.scores.rows() == 0) return {};
    std::vector<mean_value> losses(heads);
    if (side_by_side) {
        exec::for_each_index(where, heads, [&](std::size_t j) {
            losses[j] = batch.finish(
                j, [&](const auto& rows, double* up, double* down) { return sums(exec::serial, rows, up, down); });
        });
    } else {
        for (std::size_t j = 0; j < heads; ++j) {
            losses[j] = batch.finish(
                j, [&](const auto& rows, double* up, double* down) { return sums(where, rows, up, down); });
        }
    }
    mean_value total;
    for (const mean_value& loss : losses) total.merge(loss);
    return total;
}

}  // namespace reckon::detail
