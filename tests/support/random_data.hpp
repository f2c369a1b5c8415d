// Seeded data for tests: the same on every platform, run and thread.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "reckon/core/random.hpp"

namespace reckon::testing_support {

/// Columns of scored examples.
template <class P = double, class Y = std::uint8_t>
struct scored_columns {
    std::vector<P> scores;
    std::vector<Y> labels;
    std::vector<P> weights;

    std::size_t size() const noexcept { return scores.size(); }
};

struct random_data_options {
    std::uint64_t seed = 1;
    /// Mean of the true logit; -3 gives rates near 5 %.
    double bias = -1.0;
    /// Scores are sigmoid(slope * true logit + shift): 1 and 0 are perfectly calibrated.
    double slope = 1.0;
    double shift = 0.0;
    /// Number of distinct scores; 0 leaves them continuous.
    std::size_t levels = 0;
};

/// Uniform numbers on [low, high).
template <class T>
std::vector<T> random_uniform(std::size_t n, double low, double high, std::uint64_t seed = 1) {
    const random_stream rng(seed, 100);
    std::vector<T> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<T>(low + (high - low) * rng.uniform(i));
    return values;
}

/// Normal numbers.
template <class T>
std::vector<T> random_normal(std::size_t n, double mean = 0.0, double deviation = 1.0, std::uint64_t seed = 1) {
    const random_stream rng(seed, 101);
    std::vector<T> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<T>(mean + deviation * rng.normal(i));
    return values;
}

/// Uniform integers on [0, below).
template <class T>
std::vector<T> random_integers(std::size_t n, std::uint64_t below, std::uint64_t seed = 1) {
    const random_stream rng(seed, 102);
    std::vector<T> values(n);
    for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<T>(rng.below(i, below));
    return values;
}

/// Examples with true logit bias + normal, a 0/1 label drawn from it, a score distorted by slope and shift, and a
/// weight from {0, 1/4, ..., 2}, so that sums of weights are exact.
template <class P = double, class Y = std::uint8_t>
scored_columns<P, Y> random_scored(std::size_t n, const random_data_options& options = {}) {
    const random_stream logits(options.seed, 103);
    const random_stream labels(options.seed, 104);
    const random_stream weights(options.seed, 105);
    scored_columns<P, Y> data;
    data.scores.reserve(n);
    data.labels.reserve(n);
    data.weights.reserve(n);
    for (std::size_t i = 0; i < n; ++i) {
        const double logit = options.bias + logits.normal(i);
        const double rate = 1.0 / (1.0 + std::exp(-logit));
        double score = 1.0 / (1.0 + std::exp(-(options.slope * logit + options.shift)));
        if (options.levels > 0) {
            const double levels = static_cast<double>(options.levels);
            score = (std::floor(score * levels) + 0.5) / levels;
        }
        data.scores.push_back(static_cast<P>(score));
        data.labels.push_back(static_cast<Y>(labels.uniform(i) < rate ? 1 : 0));
        data.weights.push_back(static_cast<P>(static_cast<double>(weights.below(i, 9)) * 0.25));
    }
    return data;
}

/// How many shapes shaped_scores() knows.
inline constexpr int score_shapes = 6;

/// Scores that are hard on code which cuts them into cells: 0 uniform, 1 both signs, 2 heavy ties, 3 one score, 4 many
/// octaves, 5 crowded in one of them.
inline std::vector<float> shaped_scores(std::size_t n, int shape) {
    const random_stream rng(n, static_cast<std::uint64_t>(shape));
    std::vector<float> scores(n);
    for (std::size_t i = 0; i < n; ++i) {
        const double u = rng.uniform(i);
        switch (shape) {
            case 0:
                scores[i] = static_cast<float>(u);
                break;
            case 1:
                scores[i] = static_cast<float>(rng.normal(i));
                break;
            case 2:
                scores[i] = static_cast<float>(std::floor(u * 8) / 8);
                break;
            case 3:
                scores[i] = 0.25f;
                break;
            case 4:
                scores[i] = static_cast<float>(std::exp(-80.0 * u));
                break;
            default:
                scores[i] = u < 0.01 ? 0.0f : 0.5f + static_cast<float>(u) * 1e-6f;
        }
    }
    return scores;
}

/// [rows, depth] normal rows, scaled to a length.
template <class T>
std::vector<T> unit_rows(std::size_t rows, std::size_t depth, std::uint64_t seed, double length = 1.0) {
    auto x = random_normal<T>(rows * depth, 0.0, 1.0, seed);
    for (std::size_t i = 0; i < rows; ++i) {
        double square = 0.0;
        for (std::size_t d = 0; d < depth; ++d)
            square += static_cast<double>(x[i * depth + d]) * static_cast<double>(x[i * depth + d]);
        for (std::size_t d = 0; d < depth; ++d)
            x[i * depth + d] = static_cast<T>(length * static_cast<double>(x[i * depth + d]) / std::sqrt(square));
    }
    return x;
}

}  // namespace reckon::testing_support
