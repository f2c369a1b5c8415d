// Estimators that promise to count and skip what they cannot use.
#pragma once

#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

#include "reckon/core/batch.hpp"
#include "reckon/core/views.hpp"
#include "reckon/testing/report.hpp"

namespace reckon::testing {

struct bad_values_options {
    /// Scores that must be refused on top of NaN; the default says that scores are probabilities. {} for estimators
    /// that take any score but NaN.
    std::vector<double> bad_scores{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
                                   -0.125, 1.125};
    /// Labels that must be refused on top of NaN; values that the label type cannot hold are left out.
    std::vector<double> bad_labels{std::numeric_limits<double>::infinity(), -1.0, 2.0};
    /// Weights that must be refused on top of NaN.
    std::vector<double> bad_weights{std::numeric_limits<double>::infinity(), -1.0};
};

/// Checks an estimator that counts and skips: one bad score, label or weight anywhere in a good batch leaves the state
/// as if the example had not been there, and rejected() is one higher.
///
/// State     copyable; absorb(scored<P, Y, P>) and rejected(), the number of examples refused so far.
/// same      same(got, want) compares what the states would finish to; it must not look at rejected().
/// good      a batch without bad values; a missing weight column stands for ones.
template <class State, class P, class Y, class W, class Same>
report check_bad_values_counted(const State& identity, const scored<P, Y, W>& good, Same&& same,
                                const bad_values_options& options = {}) {
    detail::recorder record("check_bad_values_counted");
    const std::size_t n = good.size();
    std::vector<P> scores(n + 1);
    std::vector<Y> labels(n + 1);
    std::vector<W> weights(n + 1);
    const auto absorbed = [&](std::size_t count) {
        State state = identity;
        state.absorb(scored<P, Y, W>{{scores.data(), count}, {labels.data(), count}, {weights.data(), count}});
        return state;
    };
    const auto fill = [&](std::size_t at, P score, Y label, W weight) {
        for (std::size_t i = 0, k = 0; k <= n; ++k) {
            if (k == at) {
                scores[k] = score;
                labels[k] = label;
                weights[k] = weight;
                continue;
            }
            scores[k] = good.scores[i];
            labels[k] = good.labels[i];
            weights[k] = static_cast<W>(good.weight(i));
            ++i;
        }
    };

    fill(n, P(0), Y(0), W(1));
    const State want = absorbed(n);
    record.expect(static_cast<std::size_t>(want.rejected()) == 0, want.rejected(),
                  " examples of the good batch are refused");
    const auto try_one = [&](P score, Y label, W weight, const char* what, double value) {
        for (const std::size_t at : {std::size_t{0}, n / 2, n}) {
            fill(at, score, label, weight);
            const State got = absorbed(n + 1);
            record.expect(static_cast<std::size_t>(got.rejected()) == 1, what, value, " at row ", at, " of ", n + 1,
                          " is counted ", got.rejected(), " times");
            record.expect(same(got, want), what, value, " at row ", at, " of ", n + 1, " changes the state");
        }
    };

    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    const P score = n > 0 ? good.scores[n / 2] : P(0.5);
    const Y label = n > 0 ? good.labels[n / 2] : Y(0);
    const auto bad_scores = [&](double bad) { try_one(static_cast<P>(bad), label, W(1), "score ", bad); };
    bad_scores(nan);
    for (const double bad : options.bad_scores) bad_scores(bad);
    const auto bad_labels = [&](double bad) {
        if constexpr (std::is_floating_point_v<Y>) {
            try_one(score, static_cast<Y>(bad), W(1), "label ", bad);
        } else if (bad >= static_cast<double>((std::numeric_limits<Y>::min)()) &&
                   bad <= static_cast<double>((std::numeric_limits<Y>::max)())) {
            try_one(score, static_cast<Y>(bad), W(1), "label ", bad);
        }
    };
    bad_labels(nan);
    for (const double bad : options.bad_labels) bad_labels(bad);
    if constexpr (std::is_floating_point_v<W>) {
        const auto bad_weights = [&](double bad) { try_one(score, label, static_cast<W>(bad), "weight ", bad); };
        bad_weights(nan);
        for (const double bad : options.bad_weights) bad_weights(bad);
    }
    return record.finish();
}

}  // namespace reckon::testing
