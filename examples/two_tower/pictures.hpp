// Pictures: the loss while the towers train, and what each model finds.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "../support/charts.hpp"
#include "study.hpp"

namespace reckon_examples {

/// Means of so many steps at a time, against the number of the last one.
inline line_series loss_line(const std::string& name, const std::vector<double>& losses, std::size_t steps) {
    line_series out{name, {}, {}};
    for (std::size_t first = 0; first + steps <= losses.size(); first += steps) {
        double sum = 0;
        for (std::size_t k = first; k < first + steps; ++k) sum += losses[k];
        out.x.push_back(static_cast<double>(first + steps));
        out.y.push_back(sum / static_cast<double>(steps));
    }
    return out;
}

inline std::string loss_picture(const retrieval_study& study, const std::vector<model_spec>& specs) {
    std::vector<line_series> lines;
    std::size_t batch = 0;
    for (const std::size_t m : {at_towers, at_towers_log_q}) {
        const std::size_t steps = (std::max)(study.losses[m].size() / 80, std::size_t{1});
        lines.push_back(loss_line(m == at_towers ? "in-batch softmax" : "corrected by log q", study.losses[m], steps));
        batch = specs[m].towers.batch;
    }
    return line_chart(lines, {.title = "Loss of two towers while they train",
                              .subtitle = "sampled_softmax, mean of batches of " + std::to_string(batch) + " likes",
                              .x_label = "training step",
                              .y_label = "nats per like",
                              .markers = false,
                              .width = 720,
                              .height = 360});
}

inline std::string recall_picture(const retrieval_study& study, const std::string& title) {
    std::vector<std::string> groups;
    bar_series alone{"the model alone", {}}, timely{"with the popularity of the last hours", {}};
    for (std::size_t m = 0; m < study.alone.size(); ++m) {
        groups.push_back(study.alone[m].name);
        const auto add = [](bar_series& to, const reckon::bootstrap_estimate& e) {
            to.values.push_back(100 * e.value);
            to.lower.push_back(100 * e.lower);
            to.upper.push_back(100 * e.upper);
        };
        add(alone, study.alone[m].values[recall_100]);
        add(timely, study.timely[m].values[recall_100]);
    }
    return bar_chart(groups, {alone, timely},
                     {.title = title,
                      .subtitle = "Recall@100: later likes among the first 100 of the catalogue. Bars: 95 % over users",
                      .y_label = "% of the later likes",
                      .width = 720,
                      .height = 420});
}

}  // namespace reckon_examples
