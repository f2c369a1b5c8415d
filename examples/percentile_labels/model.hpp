// A small factorisation model: score = b_user + c_item + p_user . q_item, trained by Adam on slopes that a loss supplies.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "../support/random.hpp"
#include "world.hpp"

namespace reckon_examples {

struct training_options {
    std::uint64_t seed = 1;
    std::size_t epochs = 12, batch = 512;
    double rate = 0.01;  // of Adam
};

/// The model and the state of its optimiser (Kingma and Ba 2015; every parameter moves in every step).
class factorisation {
  public:
    static constexpr std::size_t factors = 6;

    factorisation(std::size_t users, std::size_t items, std::uint64_t seed)
        : items_from_(users * wide),
          weights_((users + items) * wide, 0.0F),
          slopes_(weights_.size(), 0.0F),
          mean_(weights_.size(), 0.0F),
          square_(weights_.size(), 0.0F) {
        const counter_random draw(seed, 11);
        for (std::size_t row = 0; row < users + items; ++row) {
            for (std::size_t k = 0; k < factors; ++k) {
                weights_[row * wide + k] = static_cast<float>(0.1 * draw.normal(row * factors + k));
            }
        }
    }

    float score(std::uint32_t user, std::uint32_t item) const {
        const float *const p = weights_.data() + user * wide, *const q = weights_.data() + items_from_ + item * wide;
        float sum = p[factors] + q[factors];
        for (std::size_t k = 0; k < factors; ++k) sum += p[k] * q[k];
        return sum;
    }
    std::vector<float> scores(const view_log& log) const {
        std::vector<float> out(log.size());
        for (std::size_t r = 0; r < out.size(); ++r) out[r] = score(log.users[r], log.items[r]);
        return out;
    }
    const std::vector<float>& weights() const { return weights_; }

    /// Adds the slope of one row's score.
    void backward(std::uint32_t user, std::uint32_t item, float slope) {
        const std::size_t u = user * wide, i = items_from_ + item * wide;
        for (std::size_t k = 0; k < factors; ++k) {
            slopes_[u + k] += slope * weights_[i + k];
            slopes_[i + k] += slope * weights_[u + k];
        }
        slopes_[u + factors] += slope;
        slopes_[i + factors] += slope;
    }
    /// One step of Adam along the slopes added since the last one.
    void step(double rate) {
        constexpr float keep_mean = 0.9F, keep_square = 0.999F;
        decay_mean_ *= 0.9;
        decay_square_ *= 0.999;
        const auto length = static_cast<float>(rate / (1 - decay_mean_));
        const auto scale = static_cast<float>(1 / (1 - decay_square_));
        for (std::size_t k = 0; k < weights_.size(); ++k) {
            const float g = slopes_[k];
            mean_[k] = keep_mean * mean_[k] + (1 - keep_mean) * g;
            square_[k] = keep_square * square_[k] + (1 - keep_square) * g * g;
            weights_[k] -= length * mean_[k] / (std::sqrt(scale * square_[k]) + 1e-8F);
            slopes_[k] = 0;
        }
    }

  private:
    static constexpr std::size_t wide = factors + 2;  // factors, bias, and one that stays 0

    std::size_t items_from_;
    std::vector<float> weights_, slopes_, mean_, square_;
    double decay_mean_ = 1, decay_square_ = 1;
};

/// Rows of one training step.
struct view_batch {
    std::vector<std::uint64_t> events;  // row numbers in the log
    std::vector<std::uint32_t> users, items;
    std::vector<float> feedback;
    std::size_t epoch = 0;

    std::size_t size() const { return events.size(); }
    void take(const view_log& log, const std::uint64_t* rows, std::size_t count) {
        events.assign(rows, rows + count);
        users.resize(count);
        items.resize(count);
        feedback.resize(count);
        for (std::size_t k = 0; k < count; ++k) {
            const auto row = static_cast<std::size_t>(events[k]);
            users[k] = log.users[row];
            items[k] = log.items[row];
            feedback[k] = log.feedback[row];
        }
    }
};

/// Trains on the rows in a new random order every epoch. loss(batch, scores, slopes) adds the slopes of the mean loss.
template <class Loss>
factorisation train_model(const view_log& log, std::size_t users, std::size_t items, const training_options& options,
                          Loss&& loss) {
    factorisation model(users, items, options.seed);
    const counter_random draw(options.seed, 12);
    std::vector<std::uint64_t> order(log.size());
    std::iota(order.begin(), order.end(), std::uint64_t{0});
    view_batch batch;
    std::vector<float> scores, slopes;
    std::uint64_t at = 0;
    for (batch.epoch = 0; batch.epoch < options.epochs; ++batch.epoch) {
        for (std::size_t k = order.size(); k > 1; --k) std::swap(order[k - 1], order[draw.below(at++, k)]);
        for (std::size_t first = 0; first < order.size(); first += options.batch) {
            batch.take(log, order.data() + first, (std::min)(options.batch, order.size() - first));
            scores.resize(batch.size());
            for (std::size_t k = 0; k < batch.size(); ++k) scores[k] = model.score(batch.users[k], batch.items[k]);
            slopes.assign(batch.size(), 0.0F);
            loss(batch, scores, slopes);
            for (std::size_t k = 0; k < batch.size(); ++k) {
                model.backward(batch.users[k], batch.items[k], slopes[k]);
            }
            model.step(options.rate);
        }
    }
    return model;
}

}  // namespace reckon_examples
