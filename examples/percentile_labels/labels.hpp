// The ways to turn feedback into a training signal, each as a loss for train_model().
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "model.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/policies.hpp"
#include "reckon/percentile/contrast_labels.hpp"
#include "reckon/percentile/engagement_labels.hpp"
#include "reckon/percentile/gate.hpp"
#include "reckon/percentile/rad_labels.hpp"
#include "reckon/percentile/reservoir.hpp"
#include "reckon/percentile/soft_bce.hpp"
#include "reckon/percentile/weighted_logistic.hpp"

namespace reckon_examples {

using reckon::none;
using reckon::exec::serial;

/// Adds the slopes of a batch's mean loss.
using training_loss =
    std::function<void(const view_batch& batch, const std::vector<float>& scores, std::vector<float>& slopes)>;

inline double mean_of(const std::vector<float>& values) {
    double sum = 0;
    for (const float v : values) sum += static_cast<double>(v);
    return sum / static_cast<double>(values.size());
}

/// Squared error against a target per row of the log, standardised by mean and deviation of all rows.
inline training_loss squared_error(std::vector<float> targets) {
    const double mean = mean_of(targets);
    double squares = 0;
    for (const float t : targets) squares += (static_cast<double>(t) - mean) * (static_cast<double>(t) - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(targets.size()));
    for (float& t : targets) t = static_cast<float>((static_cast<double>(t) - mean) / deviation);
    return [targets = std::move(targets)](const view_batch& batch, const std::vector<float>& scores,
                                          std::vector<float>& slopes) {
        const float share = 1 / static_cast<float>(batch.size());
        for (std::size_t k = 0; k < batch.size(); ++k) slopes[k] += share * (scores[k] - targets[batch.events[k]]);
    };
}

inline training_loss squared_log_error(const std::vector<float>& feedback) {
    std::vector<float> targets(feedback.size());
    reckon::log1p_labels(serial, feedback, targets);
    return squared_error(std::move(targets));
}

/// Logistic regression whose odds are the expected feedback, in units of its mean.
inline training_loss logistic_of_value(const std::vector<float>& feedback) {
    const auto unit = static_cast<float>(mean_of(feedback));
    return [unit, values = std::vector<float>()](const view_batch& batch, const std::vector<float>& scores,
                                                 std::vector<float>& slopes) mutable {
        values = batch.feedback;
        for (float& y : values) y /= unit;
        reckon::weighted_logistic(serial, scores, values, {}, slopes, 1 / static_cast<double>(batch.size()));
    };
}

/// Cross-entropy against a percentile per row of the log.
inline training_loss percentile_targets(std::vector<float> labels) {
    return [labels = std::move(labels), wanted = std::vector<float>()](
               const view_batch& batch, const std::vector<float>& scores, std::vector<float>& slopes) mutable {
        wanted.resize(batch.size());
        for (std::size_t k = 0; k < batch.size(); ++k) wanted[k] = labels[batch.events[k]];
        reckon::soft_bce(serial, scores, wanted, none{}, slopes, 1 / static_cast<double>(batch.size()));
    };
}

/// RAD-U: the percentile of each row among all rows of its user, within buckets of the duration if there is one.
template <class Durations = none>
std::vector<float> rad_user_labels(const view_log& log, const Durations& durations = {}) {
    std::vector<float> labels(log.size());
    reckon::rad_labels(serial, log.users, none{}, durations, log.feedback, {.user = reckon::view(labels)});
    return labels;
}

struct contrast_recipe {
    std::uint64_t seed = 1;
    std::size_t slots = 64;       // of a user's reservoir
    std::uint32_t contrasts = 0;  // drawn from them for each view; 0: all
    reckon::tie_mode ties = reckon::tie_mode::mid;
};

/// PEARL: labels by contrast with the user's own reservoir, which fills while training goes on.
class contrast_loss {
  public:
    /// `predictions` of a base model, one per row of the log, settle ties in the modes that ask for them.
    explicit contrast_loss(const contrast_recipe& recipe, std::vector<float> predictions = {})
        : recipe_(recipe),
          predictions_(std::move(predictions)),
          histories_({.capacity = recipe.slots, .seed = recipe.seed, .predictions = !predictions_.empty()}) {}

    void operator()(const view_batch& batch, const std::vector<float>& scores, std::vector<float>& slopes) {
        const std::size_t rows = batch.size();
        labels_.resize(rows);
        gates_.resize(rows);
        filled_.resize(rows);
        guesses_.resize(predictions_.empty() ? 0 : rows);
        for (std::size_t k = 0; k < guesses_.size(); ++k) guesses_[k] = predictions_[batch.events[k]];

        reckon::contrast_labels(
            serial, histories_, batch.users, batch.feedback,
            {.cbar = reckon::view(labels_), .filled = reckon::view(filled_)},
            {.ties = recipe_.ties, .contrasts = recipe_.contrasts, .seed = mix64(recipe_.seed) + batch.epoch},
            batch.events, guesses_);
        // Users with fewer than five views so far teach nothing.
        const double open = reckon::history_gates(serial, filled_, gates_);
        if (open > 0) reckon::soft_bce(serial, scores, labels_, gates_, slopes, 1 / open);
        // Offered after the comparison, so that no view is compared with itself. In later epochs its slot is left out.
        if (predictions_.empty()) {
            histories_.offer(serial, batch.users, batch.feedback, batch.events);
        } else {
            histories_.offer(serial, batch.users, batch.feedback, batch.events, guesses_);
        }
    }

  private:
    contrast_recipe recipe_;
    std::vector<float> predictions_;
    reckon::reservoir<> histories_;
    std::vector<float> labels_, gates_, guesses_;
    std::vector<std::uint32_t> filled_;
};

/// Labels of a finished log by contrast with reservoirs of `slots` views, every view's own slot left out.
inline std::vector<float> contrast_labels_of(const view_log& log, std::size_t slots,
                                             const reckon::contrast_options& options = {},
                                             const std::vector<float>& predictions = {}) {
    std::vector<std::uint64_t> events(log.size());
    for (std::size_t k = 0; k < events.size(); ++k) events[k] = k;
    std::vector<float> labels(log.size());
    reckon::reservoir<> histories({.capacity = slots, .predictions = !predictions.empty()});
    if (predictions.empty()) {
        histories.offer(serial, log.users, log.feedback, events);
    } else {
        histories.offer(serial, log.users, log.feedback, events, predictions);
    }
    reckon::contrast_labels(serial, histories, log.users, log.feedback, {.cbar = reckon::view(labels)}, options, events,
                            predictions);
    return labels;
}

}  // namespace reckon_examples
