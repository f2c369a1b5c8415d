// A click log with known truth: sparse fields, a base model that over-predicts and does not see the fields.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "random.hpp"

namespace reckon_examples {

struct simulator_options {
    std::size_t calibration_rows = 200'000;
    std::size_t test_rows = 200'000;
    std::array<std::size_t, 3> field_values = {50, 2000, 20000};
    std::array<double, 3> effect_sd = {0.3, 0.4, 0.4};  // of a value's effect, in log-odds
    double zipf_exponent = 1.05;                        // value k is drawn with probability ~ (k + 1)^-exponent
    double x_sd = 0.8;                                  // of the signal that the base model sees
    double intercept = -3.3;
    double model_bias = 0.15;  // added by the base model, in log-odds
    std::uint64_t seed = 1;
};

struct simulated_rows {
    std::vector<float> p;                          // the base model: sigmoid(intercept + x + bias)
    std::vector<std::uint8_t> y;                   // clicks, drawn from truth
    std::array<std::vector<std::int32_t>, 3> ids;  // field values
    std::vector<double> truth;                     // sigmoid(intercept + x + effects of the three values)
};

struct simulated_log {
    simulated_rows calibration, test;
};

/// Draws both parts. The same options give the same log on every platform.
inline simulated_log simulate(const simulator_options& options = {}) {
    enum stream : std::uint64_t { signal, click, field, effect = field + 3 };
    const auto sigmoid = [](double z) { return 1 / (1 + std::exp(-z)); };

    std::array<std::vector<double>, 3> cumulative, effects;
    for (std::size_t f = 0; f < 3; ++f) {
        const counter_random random(options.seed, effect + f);
        double total = 0;
        for (std::size_t value = 0; value < options.field_values[f]; ++value) {
            total += std::pow(static_cast<double>(value + 1), -options.zipf_exponent);
            cumulative[f].push_back(total);
            effects[f].push_back(options.effect_sd[f] * random.normal(value));
        }
    }

    const auto draw = [&](std::size_t first, std::size_t rows) {
        simulated_rows out;
        out.p.resize(rows);
        out.y.resize(rows);
        out.truth.resize(rows);
        for (auto& ids : out.ids) ids.resize(rows);
        const counter_random signals(options.seed, signal), clicks(options.seed, click);
        for (std::size_t row = 0; row < rows; ++row) {
            const std::size_t i = first + row;
            const double seen = options.intercept + options.x_sd * signals.normal(i);
            double log_odds = seen;
            for (std::size_t f = 0; f < 3; ++f) {
                const double u = counter_random(options.seed, field + f).uniform(i) * cumulative[f].back();
                const auto place = std::lower_bound(cumulative[f].begin(), cumulative[f].end(), u);
                const auto value = static_cast<std::size_t>(place - cumulative[f].begin());
                out.ids[f][row] = static_cast<std::int32_t>(value);
                log_odds += effects[f][value];
            }
            out.truth[row] = sigmoid(log_odds);
            out.y[row] = clicks.uniform(i) < out.truth[row] ? std::uint8_t{1} : std::uint8_t{0};
            out.p[row] = static_cast<float>(sigmoid(seen + options.model_bias));
        }
        return out;
    };
    return {draw(0, options.calibration_rows), draw(options.calibration_rows, options.test_rows)};
}

}  // namespace reckon_examples
