// Which calibrator to use: log-loss on rows that the fit did not see, with its standard errors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "reckon/calibration/calibrator.hpp"
#include "reckon/calibration/detail/rows.hpp"
#include "reckon/core/batch.hpp"
#include "reckon/core/expects.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"

namespace reckon {

/// How cross_validate works.
struct cross_validation_options {
    /// 2 .. 65536.
    std::size_t folds = 5;
    std::uint64_t seed = 1;
    /// Deals the rows of each class (label below 1/2, or not) to the folds in turn, so that all folds have about the same
    /// size and rate. Not together with groups.
    bool stratify = false;
    /// One key a row, or none. Rows of one key, such as those of a user, share a fold, and count as one observation in
    /// standard errors.
    vector_view<const std::int64_t> groups = {};
    /// >= 0. The choice is the first candidate whose log-loss exceeds the lowest by at most this many standard errors of
    /// the difference; 0 takes the lowest.
    double standard_errors = 1.0;
    /// What the scores are.
    score_kind input = score_kind::probability;
    /// A prediction is clipped to [epsilon, 1 - epsilon] inside the logarithm; in [1e-16, 0.1].
    double epsilon = 1e-7;
};

/// What one candidate scored on rows that its fit did not see.
struct candidate_score {
    std::string name;
    double log_loss = 0;              ///< weighted mean, in nats
    double error = 0;                 ///< its standard error
    double difference = 0;            ///< log_loss minus that of the best
    double difference_error = 0;      ///< standard error of the difference, row by row; 0 for the best itself
    std::vector<double> fold_losses;  ///< mean log-loss of each fold; NaN for a fold without weight
};

/// Outcome of a cross-validation.
struct selection {
    std::vector<candidate_score> candidates;  ///< in the order given
    std::size_t best = 0;                     ///< the one with the lowest log-loss
    std::size_t chosen = 0;                   ///< the one to use
    counts seen;                              ///< rows taken and refused
    std::vector<std::uint64_t> fold_rows;     ///< rows taken, per fold
};

/// A named way to fit: fit(where, scores, labels, weights) returns something with apply(where, scores, out).
///
/// The three columns are vector_views, that of the weights is empty when there are none.
template <class Fit>
struct fit_candidate {
    std::string name;
    Fit fit;

    fit_candidate(std::string called, Fit how) : name(std::move(called)), fit(std::move(how)) {}
};

/// The candidate C::fit(where, scores, labels, weights, options...).
template <class C, class... Options>
auto candidate(std::string name, const Options&... options) {
    return fit_candidate(std::move(name), [options...](const auto& where, const auto& p, const auto& y, const auto& w) {
        return C::fit(where, p, y, w, options...);
    });
}

namespace detail {

/// Hands scores through.
struct unchanged {
    template <exec::policy Policy, vector_like In, vector_like Out>
    void apply(const Policy&, const In& scores, Out&& out) const {
        const auto from = input(scores);
        std::copy(from.begin(), from.end(), view(out).begin());
    }
};

}  // namespace detail

/// The candidate that leaves probabilities as they are.
inline auto unchanged_candidate(std::string name = "unchanged") {
    return fit_candidate(std::move(name), [](const auto&...) { return detail::unchanged{}; });
}

/// The fold of every row.
///
///   default    floor(folds * u(seed, row)):  depends on seed and row alone
///   groups     floor(folds * u(seed, group))
///   stratify   the rows of each class in the order of their random numbers, dealt in turn
///
/// Shapes    labels [N], options.groups [N] or empty.
/// Returns   N numbers below folds. Some folds may be empty, unless `stratify` deals at least as many rows.
/// Throws    std::invalid_argument for an option out of range, groups of another length, or groups with stratify.
/// Cost      O(N), with stratify O(N log N).
template <vector_like Y>
std::vector<std::uint32_t> cross_validation_folds(const Y& labels, const cross_validation_options& options = {}) {
    const auto y = input(labels);
    const std::size_t n = y.size();
    expects(options.folds >= 2 && options.folds <= 65536, "cross_validate", "2 to 65536 folds are legal, got ",
            options.folds);
    expects(options.groups.empty() || options.groups.size() == n, "cross_validate", n, " rows but ",
            options.groups.size(), " groups");
    expects(options.groups.empty() || !options.stratify, "cross_validate", "groups cannot be dealt by class");
    constexpr std::uint64_t stream = 0x666f6c6473;  // apart from other uses of the seed
    const random_stream random(options.seed, stream);
    std::vector<std::uint32_t> folds(n);
    if (!options.stratify) {
        for (std::size_t i = 0; i < n; ++i) {
            const auto key = options.groups.empty() ? std::uint64_t{i} : static_cast<std::uint64_t>(options.groups[i]);
            folds[i] = static_cast<std::uint32_t>(random.below(key, options.folds));
        }
        return folds;
    }
    std::vector<std::pair<std::uint64_t, std::size_t>> order;
    std::size_t next = 0;
    for (const bool positive : {true, false}) {
        order.clear();
        for (std::size_t i = 0; i < n; ++i) {
            if ((static_cast<double>(y[i]) >= 0.5) == positive) order.emplace_back(random.bits(i), i);
        }
        std::sort(order.begin(), order.end());
        for (const auto& [bits, row] : order) folds[row] = static_cast<std::uint32_t>(next++ % options.folds);
    }
    return folds;
}

namespace detail {

inline double clipped_log_loss(double p, double y, double epsilon) noexcept {
    if (!(p == p)) return p;
    const double q = (std::max)(epsilon, (std::min)(1.0 - epsilon, p));
    return (y > 0.0 ? -y * std::log(q) : 0.0) - (y < 1.0 ? (1.0 - y) * std::log1p(-q) : 0.0);
}

/// Weighted mean of one number a row with its standard error. Observations are rows, or groups of rows.
///
///   error = sqrt( G/(G-1) sum_g (sum_{i in g} w_i (x_i - mean))^2 ) / sum w
struct weighted_rows {
    std::vector<double> weights;
    std::vector<std::size_t> group;  // of each row; empty: every row is its own
    std::size_t groups = 0;

    struct figure {
        double mean, error;
    };
    template <class At>
    figure mean_of(At&& at) const {
        constexpr double nan = std::numeric_limits<double>::quiet_NaN();
        mean_value mean;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            if (weights[i] > 0) mean.absorb(at(i), weights[i]);
        }
        const double m = mean.finish();
        std::vector<double> moved(group.empty() ? 0 : groups, 0.0);
        double sum = 0, observations = 0;
        std::vector<char> present(moved.size(), 0);
        for (std::size_t i = 0; i < weights.size(); ++i) {
            if (!(weights[i] > 0)) continue;
            const double step = weights[i] * (at(i) - m);
            if (group.empty()) {
                sum += step * step;
                observations += 1;
            } else {
                moved[group[i]] += step;
                present[group[i]] = 1;
            }
        }
        for (std::size_t g = 0; g < moved.size(); ++g) {
            sum += moved[g] * moved[g];
            observations += present[g];
        }
        if (observations < 2) return {m, nan};
        return {m, std::sqrt(sum * (observations / (observations - 1))) / mean.weight()};
    }
};

/// Numbers the keys 0, 1, ... in ascending order.
inline std::size_t number_groups(vector_view<const std::int64_t> keys, const std::vector<std::size_t>& rows,
                                 std::vector<std::size_t>& group) {
    std::vector<std::int64_t> sorted;
    for (const std::size_t row : rows) sorted.push_back(keys[row]);
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    for (const std::size_t row : rows) {
        const auto at = std::lower_bound(sorted.begin(), sorted.end(), keys[row]);
        group.push_back(static_cast<std::size_t>(at - sorted.begin()));
    }
    return sorted.size();
}

/// A copy of the rows of a column for which keep(k) holds, k counting `rows`.
template <class T, class Keep>
std::pair<std::unique_ptr<T[]>, std::size_t> gathered(vector_view<const T> column, const std::vector<std::size_t>& rows,
                                                      Keep&& keep) {
    auto out = std::make_unique_for_overwrite<T[]>(rows.size());
    std::size_t to = 0;
    for (std::size_t k = 0; k < rows.size() && !column.empty(); ++k) {
        if (keep(k)) out[to++] = column[rows[k]];
    }
    return {std::move(out), to};
}

/// Differences to the best, the best itself and the choice.
inline void finish_selection(selection& out, const std::vector<std::vector<double>>& losses, const weighted_rows& rows,
                             double standard_errors) {
    for (std::size_t c = 0; c < losses.size(); ++c) {
        const auto figure = rows.mean_of([&](std::size_t i) { return losses[c][i]; });
        out.candidates[c].log_loss = figure.mean;
        out.candidates[c].error = figure.error;
        // A candidate that gives NaN somewhere is never the best.
        const double least = out.candidates[out.best].log_loss;
        if (figure.mean < least || (std::isnan(least) && !std::isnan(figure.mean))) out.best = c;
    }
    out.chosen = out.best;
    for (std::size_t c = losses.size(); c-- > 0;) {
        candidate_score& score = out.candidates[c];
        if (c == out.best) {
            score.difference = score.difference_error = 0;
        } else {
            const auto figure = rows.mean_of([&](std::size_t i) { return losses[c][i] - losses[out.best][i]; });
            score.difference = figure.mean;
            score.difference_error = figure.error;
        }
        if (score.difference <= standard_errors * score.difference_error) out.chosen = c;
    }
}

}  // namespace detail

/// k-fold cross-validation of calibrators by log-loss.
///
///   for each fold: fit every candidate on the other folds, score it on the rows of the fold
///
/// List the candidates from the simplest to the most flexible: the choice is the first one that is not worse than the
/// best beyond standard_errors. Log-loss is a proper score: the true probabilities have the least. Errors per field
/// value (mf_rce) and binned errors (ece) are not, and can prefer a predictor that is further from the truth.
///
/// Shapes    scores, labels [N], weights [N] or none.
/// Returns   selection. An empty fold adds nothing; when one fold holds all rows, candidates are scored as fitted to
///           nothing; a fold of one class is scored like any other. With folds >= N most folds hold a row or none, and a
///           fit sees nearly all rows. Without a row the log-losses are NaN and the choice is the first candidate.
/// Throws    std::invalid_argument when lengths differ or an option is out of range. Counts and skips examples that
///           fits skip. A candidate that predicts NaN has the log-loss NaN and is not chosen while another has not.
/// Cost      folds - 1 times the fits of all rows; a copy of the columns, and 8 bytes a row and candidate.
/// Numerics  bit-equal for every policy, as the fits are. Standard errors take rows (or groups) as independent, which
///           leaves out that folds share most of the rows they are fitted on.
/// Source    Stone 1974; one standard error after Breiman et al. 1984, with the error of the paired difference (ours).
template <exec::policy Policy, vector_like P, vector_like Y, class W, class... Fits>
selection cross_validate(const Policy& where, const P& scores, const Y& labels, const W& weights,
                         const cross_validation_options& options, const fit_candidate<Fits>&... candidates) {
    static_assert(sizeof...(Fits) > 0, "reckon: cross_validate needs at least one candidate");
    const auto batch = make_scored("cross_validate", scores, labels, weights);
    expects(options.standard_errors >= 0, "cross_validate", "standard_errors must be >= 0, got ",
            options.standard_errors);
    expects(options.epsilon >= 1e-16 && options.epsilon <= 0.1, "cross_validate",
            "epsilon must be in [1e-16, 0.1], got ", options.epsilon);
    const auto folds = cross_validation_folds(batch.labels, options);
    using T = typename decltype(batch)::score_type;

    selection out;
    out.fold_rows.assign(options.folds, 0);
    (out.candidates.push_back({candidates.name, 0, 0, 0, 0, {}}), ...);
    std::vector<std::size_t> rows;  // those that are usable
    for (std::size_t i = 0; i < batch.size(); ++i) {
        const bool ok = detail::usable(batch, i, options.input);
        out.seen.absorb(ok);
        if (ok) rows.push_back(i);
    }
    detail::weighted_rows figures;
    for (const std::size_t row : rows) {
        figures.weights.push_back(batch.weight(row));
        ++out.fold_rows[folds[row]];
    }
    if (!options.groups.empty()) figures.groups = detail::number_groups(options.groups, rows, figures.group);

    std::vector<std::vector<double>> losses(sizeof...(Fits), std::vector<double>(rows.size()));
    for (std::size_t fold = 0; fold < options.folds; ++fold) {
        for (candidate_score& score : out.candidates) {
            score.fold_losses.push_back(std::numeric_limits<double>::quiet_NaN());
        }
        if (out.fold_rows[fold] == 0) continue;
        const auto inside = [&](std::size_t k) { return folds[rows[k]] == fold; };
        const auto outside = [&](std::size_t k) { return folds[rows[k]] != fold; };
        const auto p = detail::gathered(batch.scores, rows, outside);
        const auto y = detail::gathered(batch.labels, rows, outside);
        const auto w = detail::gathered(batch.weights, rows, outside);
        const auto held = detail::gathered(batch.scores, rows, inside);
        const auto predicted = std::make_unique_for_overwrite<T[]>(held.second);
        const auto column = [](const auto& kept) {
            using element = std::remove_reference_t<decltype(kept.first[0])>;
            return vector_view<const element>(kept.first.get(), kept.second);
        };
        const auto score_one = [&](std::size_t c, const auto& how) {
            const vector_view<T> to(predicted.get(), held.second);
            how.fit(where, column(p), column(y), column(w)).apply(where, column(held), to);
            mean_value mean;
            std::size_t at = 0;
            for (std::size_t k = 0; k < rows.size(); ++k) {
                if (!inside(k)) continue;
                losses[c][k] = detail::clipped_log_loss(static_cast<double>(predicted[at++]), batch.label(rows[k]),
                                                        options.epsilon);
                if (figures.weights[k] > 0) mean.absorb(losses[c][k], figures.weights[k]);
            }
            out.candidates[c].fold_losses.back() = mean.finish();
        };
        std::size_t c = 0;
        (score_one(c++, candidates), ...);
    }
    detail::finish_selection(out, losses, figures, options.standard_errors);
    return out;
}

/// Fits one of the candidates to all rows and maps other scores with it.
///
/// Shapes    scores, labels [N], weights [N] or none; fresh, out [M].
/// Writes    out.
/// Throws    std::invalid_argument when lengths differ or there is no candidate of that index.
template <exec::policy Policy, vector_like P, vector_like Y, class W, vector_like In, vector_like Out, class... Fits>
void apply_candidate(const Policy& where, std::size_t index, const P& scores, const Y& labels, const W& weights,
                     const In& fresh, Out&& out, const fit_candidate<Fits>&... candidates) {
    const auto batch = make_scored("apply_candidate", scores, labels, weights);
    expects(index < sizeof...(Fits), "apply_candidate", "there are ", sizeof...(Fits), " candidates, got index ",
            index);
    const auto to = detail::output_like("apply_candidate", fresh, out);
    std::size_t c = 0;
    const auto one = [&](const auto& how) {
        if (c++ != index) return;
        how.fit(where, batch.scores, batch.labels, batch.weights).apply(where, input(fresh), to);
    };
    (one(candidates), ...);
}

}  // namespace reckon
