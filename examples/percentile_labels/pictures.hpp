// Pictures: UAUC by kind of label, and what views look like before and after, decile by decile.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "../support/charts.hpp"
#include "../support/svg.hpp"
#include "study.hpp"
#include "views.hpp"

namespace reckon_examples {

inline std::string curvature_picture(const curvature_study& study) {
    std::vector<std::string> groups;
    bar_series strong{"curvature grows with activity", {}}, mild{"mild curvature", {}};
    for (std::size_t label = 0; label < label_count; ++label) {
        groups.push_back(label_names[label]);
        strong.values.push_back(100 * (study.strong[label].all - 0.5));
        mild.values.push_back(100 * (study.mild[label].all - 0.5));
    }
    return bar_chart(groups, {strong, mild},
                     {.title = "Pairs of views in the right order, by training label",
                      .subtitle = "UAUC on test views above chance, which is 50 %",
                      .y_label = "% of the pairs, less 50",
                      .width = 720,
                      .height = 360});
}

/// Strips of one panel: 10 to 90 % of the views of each decile, a box from 25 to 75 %, a line at the median.
struct decile_panel {
    std::string title, x_label, y_label;
    bool logarithmic = false;
    std::vector<std::array<double, 5>> quantiles;
};

inline void draw_deciles(svg::canvas& out, const svg::box& plot, const decile_panel& panel, std::size_t colour) {
    constexpr double floor = 0.1;  // seconds; quantiles of 0 are drawn here
    svg::extent range;
    for (const auto& five : panel.quantiles) {
        for (const double v : five) range.add(panel.logarithmic ? (std::max)(v, floor) : v);
    }
    svg::scale y = panel.logarithmic ? svg::fitting_scale(range, true) : svg::scale(0, 1, false);
    y.pixels(plot.y + plot.h, plot.y);
    for (const double v : y.ticks()) {
        out.line(plot.x, y(v), plot.x + plot.w, y(v), svg::ink::grid);
        out.text(plot.x - 7, y(v) + 4, svg::number(v), {.size = 11, .colour = svg::ink::soft, .anchor = "end"});
    }
    out.text(plot.x, plot.y - 10, panel.title, {.size = 13, .bold = true});
    out.text(plot.x + plot.w / 2, plot.y + plot.h + 36, panel.x_label, {.anchor = "middle"});
    out.text(plot.x - 42, plot.y + plot.h / 2, panel.y_label, {.anchor = "middle", .rotate = -90});
    const std::string fill = svg::series_colour(colour);
    const double cell = plot.w / static_cast<double>(panel.quantiles.size());
    for (std::size_t d = 0; d < panel.quantiles.size(); ++d) {
        std::array<double, 5> at{};
        for (std::size_t q = 0; q < at.size(); ++q) at[q] = y(y.clamp(panel.quantiles[d][q]));
        const double centre = plot.x + cell * (static_cast<double>(d) + 0.5), half = 0.32 * cell;
        out.rect(centre - 0.5 * half, at[4], half, at[0] - at[4], fill, 0.28, 1.5);
        out.rect(centre - half, at[3], 2 * half, at[1] - at[3], fill, 0.75, 1.5);
        out.line(centre - half, at[2], centre + half, at[2], "#ffffff", 2);
        out.text(centre, plot.y + plot.h + 16, std::to_string(d + 1),
                 {.size = 11, .colour = svg::ink::soft, .anchor = "middle"});
    }
    out.frame(plot.x, plot.y, plot.w, plot.h);
}

/// Two ways to sort the users, above each other; before and after, side by side.
inline std::string decile_picture(const std::string& title, const std::vector<user_decile>& by_views,
                                  const std::vector<user_decile>& by_seconds) {
    const double width = 860, side = 340, high = 210, left = 72, gap = 82, top = 92, row = 290;
    svg::canvas out(width, top + 2 * row - 12);
    svg::draw_title(out, left - 44, title,
                    "Deciles of users. Box: middle half of their views; thin: 10 to 90 %; white: median");
    const auto panel = [&](const std::vector<user_decile>& deciles, const char* sorted, bool after) {
        decile_panel p{after ? "After: percentile labels" : "Before: seconds watched",
                       sorted,
                       after ? "label" : "seconds",
                       !after,
                       {}};
        for (const user_decile& d : deciles) p.quantiles.push_back(after ? d.after : d.before);
        return p;
    };
    const std::array<const std::vector<user_decile>*, 2> sets{&by_views, &by_seconds};
    const std::array<const char*, 2> names{"users by number of views", "users by their mean seconds"};
    for (std::size_t r = 0; r < 2; ++r) {
        const double y = top + row * static_cast<double>(r);
        draw_deciles(out, {left, y, side, high}, panel(*sets[r], names[r], false), 1);
        draw_deciles(out, {left + side + gap, y, side, high}, panel(*sets[r], names[r], true), 0);
    }
    return out.str();
}

}  // namespace reckon_examples
