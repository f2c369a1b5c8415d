// Scores of one set of predictions, and the rows of the table that calibrate_ctr prints.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "../support/table.hpp"
#include "log.hpp"
#include "methods.hpp"
#include "reckon/metrics/auc.hpp"
#include "reckon/metrics/calibration_report.hpp"
#include "reckon/metrics/field_error.hpp"
#include "reckon/metrics/score_bins.hpp"

namespace reckon_examples {

/// Kept away from 0 and 1, so that a logarithm of it or of its complement is finite.
inline double inner_probability(double p) {
    return std::clamp(p, 1e-7, 1 - 1e-7);
}

/// Mean Kullback-Leibler divergence of the predictions from the true probabilities, in nats.
inline double divergence(const std::vector<double>& truth, const std::vector<float>& p) {
    double sum = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
        const double t = inner_probability(truth[i]), q = inner_probability(static_cast<double>(p[i]));
        sum += t * std::log(t / q) + (1 - t) * std::log((1 - t) / (1 - q));
    }
    return sum / static_cast<double>(p.size());
}

/// Mean difference of the log-losses of two predictions of the same rows, with its standard error.
struct paired_difference {
    double mean = 0, error = 0;
    bool beyond_chance() const { return std::abs(mean) > 2 * error; }
};

inline paired_difference loss_difference(const std::vector<float>& a, const std::vector<float>& b,
                                         const std::vector<std::uint8_t>& y) {
    double sum = 0, squares = 0;
    const double n = static_cast<double>(y.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
        const double pa = inner_probability(static_cast<double>(a[i])),
                     pb = inner_probability(static_cast<double>(b[i]));
        const double d = y[i] ? std::log(pb / pa) : std::log((1 - pb) / (1 - pa));
        sum += d;
        squares += d * d;
    }
    const double mean = sum / n;
    return {mean, std::sqrt((std::max)(0.0, squares / n - mean * mean) / n)};
}

struct figures {
    double log_loss, normalized_entropy, auc, pcoc, ece;
    double kl;                      // NaN when the truth is unknown
    std::vector<double> field_rce;  // per field
    double mf_rce;
    double mf_rce_floor;  // what MF-RCE would be on average if the predictions were the true probabilities
};

constexpr std::size_t ece_bins = 15;

inline figures judge(const host& where, const scored_log& log, const std::vector<float>& p, std::size_t repeats) {
    const log_part& test = log.test;
    const auto ids = test.id_rows(log.fields.size());
    const auto summary =
        reckon::calibration_report(where, p, test.y, {}, {.bins = reckon::score_bins::mass(p, ece_bins)}).finish();
    reckon::field_stats stats(log.cardinalities);
    stats.absorb(where, reckon::make_fielded("calibrate_ctr", p, test.y, ids));
    figures out{.log_loss = summary.log_loss,
                .normalized_entropy = summary.normalized_entropy,
                .auc = reckon::auc(where, p, test.y).value,
                .pcoc = summary.pcoc,
                .ece = summary.ece,
                .kl = test.truth.empty() ? std::nan("") : divergence(test.truth, p),
                .field_rce = {},
                .mf_rce = reckon::mf_rce(stats),
                .mf_rce_floor = std::nan("")};
    for (std::size_t f = 0; f < log.fields.size(); ++f) out.field_rce.push_back(reckon::field_rce(stats, f));
    if (repeats > 0)
        out.mf_rce_floor =
            reckon::field_noise_floor(where, log.cardinalities, p, ids, {}, {.repeats = repeats}).mf_rce.mean();
    return out;
}

/// A method with what it predicted and how that scored.
struct result {
    method how;
    std::vector<float> p;
    figures score;
};

inline table results_table(const scored_log& log, const std::vector<result>& results) {
    const bool truth = !log.test.truth.empty();
    std::vector<table_column> columns = {{"method", 0, best::none}, {"log-loss", 5, best::low}};
    if (truth) columns.push_back({"KL x1000", 2, best::low});
    columns.push_back({"NE", 4, best::low});
    columns.push_back({"AUC", 4, best::high});
    columns.push_back({"PCOC", 3, best::none});
    columns.push_back({"ECE x1000", 2, best::low});
    for (const std::string& field : log.fields) columns.push_back({"RCE " + field, 3, best::low});
    columns.push_back({"MF-RCE", 3, best::none});
    columns.push_back({"its floor", 3, best::none});
    table out(columns);
    for (const result& r : results) {
        std::vector<table::cell> cells;
        cells.emplace_back(r.how.name);
        cells.emplace_back(r.score.log_loss);
        if (truth) cells.emplace_back(1000 * r.score.kl);
        for (const double v : {r.score.normalized_entropy, r.score.auc, r.score.pcoc, 1000 * r.score.ece})
            cells.emplace_back(v);
        for (const double v : r.score.field_rce) cells.emplace_back(v);
        for (const double v : {r.score.mf_rce, r.score.mf_rce_floor}) cells.emplace_back(v);
        out.add_row(std::move(cells), r.how.group != method_group::oracle);
    }
    return out;
}

}  // namespace reckon_examples
