// Reliability diagrams before and after: over scores, and over the values of the fields.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "../support/charts.hpp"
#include "log.hpp"
#include "reckon/metrics/field_stats.hpp"
#include "reckon/metrics/reliability.hpp"
#include "reckon/metrics/wilson.hpp"
#include "report.hpp"

namespace reckon_examples {

// Click rates fill only a corner of a linear diagram.
inline bool wants_logarithm(const scored_log& log) {
    return log.test.rate() < 0.1;
}

inline std::string named(const char* name, double value, const char* format = "%s %.4f") {
    char text[64];
    std::snprintf(text, sizeof text, format, name, value);
    return text;
}

/// Observed rate against mean prediction in bins of equal mass, raw and corrected.
inline std::string reliability_picture(const host& where, const scored_log& log, const result& raw,
                                       const result& mine) {
    const auto panel = [&](const char* title, const result& r) {
        const auto rows = reckon::reliability(where, r.p, log.test.y, {}, reckon::score_bins::mass(r.p, 12));
        reliability_series series{r.how.name, {}};
        for (std::size_t b = 0; b < rows.size(); ++b) {
            const reckon::reliability_row row = rows.row(b);
            if (row.weight > 0)
                series.bins.push_back({row.mean_score, row.rate, row.bar.lower, row.bar.upper, row.weight});
        }
        return reliability_panel{title, named("log-loss", r.score.log_loss) + named(", ECE", r.score.ece), {series}};
    };
    return reliability_diagram({panel("before", raw), panel("after", mine)},
                               {.title = log.name,
                                .subtitle = "Held-out rows in 12 bins of equal mass, sorted by prediction",
                                .logarithmic = wants_logarithm(log)});
}

/// The same per field value: every point is one value, and the most frequent ones are shown.
inline std::string fields_picture(const scored_log& log, const result& raw, const result& mine) {
    constexpr std::size_t most_values = 18;
    constexpr double least_rows = 50;
    const auto panel = [&](const char* title, const result& r) {
        reckon::field_stats stats(log.cardinalities);
        stats.absorb(reckon::make_fielded("calibrate_ctr", r.p, log.test.y, log.test.id_rows(log.fields.size())));
        reliability_panel out{title, named("MF-RCE", r.score.mf_rce, "%s %.3f"), {}};
        for (std::size_t f = 0; f < log.fields.size(); ++f) {
            std::vector<std::size_t> order(stats.values(f));
            std::iota(order.begin(), order.end(), std::size_t{0});
            const std::size_t shown = (std::min)(order.size(), most_values);
            std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(),
                              [&](std::size_t a, std::size_t b) { return stats.value(f, a).n > stats.value(f, b).n; });
            reliability_series series{log.fields[f], {}, false};
            for (std::size_t k = 0; k < shown; ++k) {
                const reckon::field_cell cell = stats.value(f, order[k]);
                if (cell.n < least_rows) break;
                const reckon::interval bar = reckon::wilson(cell.observed, cell.n);
                series.bins.push_back({cell.predicted / cell.n, cell.observed / cell.n, bar.lower, bar.upper, cell.n});
            }
            std::sort(series.bins.begin(), series.bins.end(), [](const reliability_bin& a, const reliability_bin& b) {
                return a.mean_prediction < b.mean_prediction;
            });
            out.series.push_back(std::move(series));
        }
        return out;
    };
    return reliability_diagram(
        {panel("before", raw), panel("after", mine)},
        {.title = log.name,
         .subtitle = "Held-out rows by field value: every point is one value, the most frequent " +
                     std::to_string(most_values) + " of each field",
         .logarithmic = wants_logarithm(log)});
}

}  // namespace reckon_examples
