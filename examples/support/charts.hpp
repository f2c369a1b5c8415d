// Charts as SVG: reliability diagrams, lines with bands, grouped bars.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "svg.hpp"

namespace reckon_examples {

/// Writes a picture into a folder, which is made if need be, and says where it is: "Picture of <what>: <path>".
inline void save_picture(std::ostream& out, const std::filesystem::path& folder, const char* name,
                         const std::string& content, const char* what) {
    std::filesystem::create_directories(folder);
    const std::string path = (folder / name).string();
    svg::save(path, content);
    out << "Picture of " << what << ": " << path << '\n';
}

struct reliability_bin {
    double mean_prediction, observed_rate;
    double lower, upper;  // interval of the observed rate (Wilson)
    double count;
};

struct reliability_series {
    std::string name;
    std::vector<reliability_bin> bins;  // in order of mean prediction; bins with count 0 are skipped
    bool connected = true;              // a line through the points; not for points without an order of their own
};

/// One square of a reliability diagram, for instance "before" or "after".
struct reliability_panel {
    std::string title, note;
    std::vector<reliability_series> series;
};

struct reliability_options {
    std::string title = {}, subtitle = {};
    bool logarithmic = false;  // both axes; for click rates, which fill only the corner of a linear diagram
    std::string interval = "bars: 95 % Wilson interval";
    double panel = 330;  // side of a square, in pixels
};

/// Panels side by side on common axes: observed rate with its interval against mean prediction, the diagonal of perfect
/// calibration, and below each panel the number of examples per bin. Series keep their colour by name over the panels.
/// On a logarithmic diagram a bin without positives is a hollow dot on the lower edge.
inline std::string reliability_diagram(const std::vector<reliability_panel>& panels,
                                       const reliability_options& options = {}) {
    if (panels.empty()) throw std::invalid_argument("reliability_diagram: no panels");
    std::vector<std::string> names;
    svg::extent range;
    double most = 0;
    for (const reliability_panel& panel : panels) {
        for (const reliability_series& series : panel.series) {
            if (std::find(names.begin(), names.end(), series.name) == names.end()) names.push_back(series.name);
            for (const reliability_bin& bin : series.bins) {
                if (!(bin.count > 0)) continue;
                most = (std::max)(most, bin.count);
                for (const double v : {bin.mean_prediction, bin.observed_rate, bin.upper})
                    if (!options.logarithmic || v > 0) range.add(v);
            }
        }
    }
    svg::scale x = options.logarithmic ? svg::fitting_scale(range, true)
                                       : svg::scale(0, range.empty() ? 1 : (std::min)(1.0, 1.04 * range.high), false);
    svg::scale y = x;

    const double side = options.panel, left = 66, gap = 46, strip = 52, right = 24;
    const double columns = static_cast<double>(panels.size());
    const double width = left + columns * side + (columns - 1) * gap + right;

    std::vector<svg::legend_entry> legend;
    for (std::size_t k = 0; k < names.size(); ++k) legend.push_back({names[k], svg::series_colour(k)});
    legend.push_back({"perfect calibration", svg::ink::soft, true});

    svg::canvas measure(width, 1);
    const double head = svg::draw_title(measure, left, options.title, options.subtitle);
    const double legend_height = 20 * static_cast<double>(svg::legend_lines(legend, width - left - right));
    const double top = head + legend_height + 34;
    svg::canvas out(width, top + side + 12 + strip + 64);
    svg::draw_title(out, left, options.title, options.subtitle);
    svg::draw_legend(out, left, head + 14, width - left - right, legend);

    for (std::size_t p = 0; p < panels.size(); ++p) {
        const svg::box plot{left + static_cast<double>(p) * (side + gap), top, side, side};
        const svg::box counts{plot.x, plot.y + side + 12, side, strip};
        x.pixels(plot.x, plot.x + side);
        y.pixels(plot.y + side, plot.y);
        svg::scale n(0, (std::max)(most, 1.0) * 1.12, false);
        n.pixels(counts.y + counts.h, counts.y);

        out.text(plot.x, plot.y - 10, panels[p].title, {.size = 13, .bold = true});
        out.text(plot.x + side, plot.y - 10, panels[p].note, {.size = 12, .colour = svg::ink::soft, .anchor = "end"});
        svg::axes(out, plot, x, y, false, true);
        out.line(x(x.low()), y(y.low()), x(x.high()), y(y.high()), svg::ink::soft, 1.4, "4 3");
        for (const double v : x.ticks()) out.line(x(v), counts.y, x(v), counts.y + counts.h, svg::ink::grid);

        out.begin_clip(plot.x, plot.y - 5, side + 5, side + 10);
        for (const reliability_series& series : panels[p].series) {
            const auto place = std::find(names.begin(), names.end(), series.name) - names.begin();
            const std::string colour = svg::series_colour(static_cast<std::size_t>(place));
            std::vector<std::pair<double, double>> path;
            std::vector<bool> floor;
            for (const reliability_bin& bin : series.bins) {
                if (!(bin.count > 0) || (options.logarithmic && !(bin.mean_prediction > 0))) continue;
                const double at = x(x.clamp(bin.mean_prediction));
                const double low = y(y.clamp(bin.lower)), high = y(y.clamp(bin.upper));
                out.line(at, low, at, high, colour, 1.3);
                out.line(at - 3, low, at + 3, low, colour, 1.3);
                out.line(at - 3, high, at + 3, high, colour, 1.3);
                path.emplace_back(at, y(y.clamp(bin.observed_rate)));
                floor.push_back(options.logarithmic && !(bin.observed_rate > y.low()));
            }
            if (series.connected) out.polyline(path, colour, 1.6, "", 0.55);
            for (std::size_t k = 0; k < path.size(); ++k) out.dot(path[k].first, path[k].second, 4, colour, floor[k]);
        }
        out.end_clip();

        out.begin_clip(counts.x, counts.y, counts.w, counts.h);
        const double lanes = static_cast<double>((std::max)(panels[p].series.size(), std::size_t{1}));
        for (std::size_t s = 0; s < panels[p].series.size(); ++s) {
            const reliability_series& series = panels[p].series[s];
            const auto place = std::find(names.begin(), names.end(), series.name) - names.begin();
            for (const reliability_bin& bin : series.bins) {
                if (!(bin.count > 0) || (options.logarithmic && !(bin.mean_prediction > 0))) continue;
                const double bar = 8 / lanes;
                const double at = x(x.clamp(bin.mean_prediction)) - 4 + bar * static_cast<double>(s);
                out.rect(at, n(bin.count), bar, n(0) - n(bin.count),
                         svg::series_colour(static_cast<std::size_t>(place)), 0.75);
            }
        }
        out.end_clip();
        out.frame(counts.x, counts.y, counts.w, counts.h);
        const svg::text_style tick{.size = 11, .colour = svg::ink::soft, .anchor = "end"};
        if (p == 0) {  // the panels share the scale
            out.text(counts.x - 7, n(0) + 1, "0", tick);
            if (most > 0) out.text(counts.x - 7, n(most) + 7, svg::short_number(most), tick);
        }
        double free_from = -1e9;
        for (const double v : x.ticks()) {
            const double half = svg::text_width(svg::number(v), 11) / 2;
            if (x(v) - half < free_from + 6) continue;
            out.text(x(v), counts.y + counts.h + 16, svg::number(v),
                     {.size = 11, .colour = svg::ink::soft, .anchor = "middle"});
            free_from = x(v) + half;
        }
        const double middle = plot.x + side / 2;
        out.text(middle, counts.y + counts.h + 38, "mean prediction", {.anchor = "middle"});
        if (p == 0) {
            out.text(plot.x - 50, plot.y + side / 2, "observed rate", {.anchor = "middle", .rotate = -90});
            out.text(plot.x - 50, counts.y + counts.h / 2, "count", {.anchor = "middle", .rotate = -90});
        }
    }
    out.text(width - right, top + side + 12 + strip + 56, options.interval,
             {.size = 10, .colour = svg::ink::soft, .anchor = "end"});
    return out.str();
}

struct line_series {
    std::string name;
    std::vector<double> x, y;
    std::vector<double> lower = {}, upper = {};  // a band; empty or as long as x
};

struct chart_options {
    std::string title = {}, subtitle = {}, x_label = {}, y_label = {};
    bool log_x = false, log_y = false;
    bool markers = true;  // dots at the points of lines
    double width = 720, height = 420;
};

/// Lines over a common x, each with an optional band. Points that are not finite, or not positive on a logarithmic
/// axis, break the line.
inline std::string line_chart(const std::vector<line_series>& series, const chart_options& options = {}) {
    const auto drawable = [&](double px, double py) {
        return std::isfinite(px) && std::isfinite(py) && (!options.log_x || px > 0) && (!options.log_y || py > 0);
    };
    svg::extent xs, ys;
    std::vector<svg::legend_entry> legend;
    double legend_size = 0;
    for (std::size_t k = 0; k < series.size(); ++k) {
        const line_series& s = series[k];
        const bool band_fits = s.lower.size() == s.upper.size() && (s.lower.empty() || s.lower.size() == s.x.size());
        if (s.x.size() != s.y.size() || !band_fits)
            throw std::invalid_argument("line_chart: series '" + s.name + "' has columns of different length");
        for (std::size_t i = 0; i < s.x.size(); ++i) {
            if (!drawable(s.x[i], s.y[i])) continue;
            xs.add(s.x[i]);
            ys.add(s.y[i]);
            if (s.lower.empty()) continue;
            if (!options.log_y || s.lower[i] > 0) ys.add(s.lower[i]);
            if (!options.log_y || s.upper[i] > 0) ys.add(s.upper[i]);
        }
        legend.push_back({s.name, svg::series_colour(k)});
        legend_size = (std::max)(legend_size, svg::legend_width(legend.back()));
    }
    if (series.size() == 1 && series[0].name.empty()) legend.clear(), legend_size = 0;

    svg::canvas out(options.width, options.height);
    svg::scale x = svg::fitting_scale(xs, options.log_x), y = svg::fitting_scale(ys, options.log_y);
    double left = options.y_label.empty() ? 24 : 44;
    double widest = 0;
    for (const double v : y.ticks()) widest = (std::max)(widest, svg::text_width(svg::number(v), 11));
    left += widest;
    const double top = svg::draw_title(out, left, options.title, options.subtitle) + 10;
    const svg::box plot{left, top, options.width - left - 24 - legend_size, options.height - top - 54};
    x.pixels(plot.x, plot.x + plot.w);
    y.pixels(plot.y + plot.h, plot.y);
    svg::axes(out, plot, x, y);
    out.text(plot.x + plot.w / 2, plot.y + plot.h + 40, options.x_label, {.anchor = "middle"});
    out.text(18, plot.y + plot.h / 2, options.y_label, {.anchor = "middle", .rotate = -90});

    out.begin_clip(plot.x - 5, plot.y - 5, plot.w + 10, plot.h + 10);
    for (std::size_t k = 0; k < series.size(); ++k) {
        const line_series& s = series[k];
        if (s.lower.empty()) continue;
        std::vector<std::pair<double, double>> outline;
        for (std::size_t i = 0; i < s.x.size(); ++i)
            if (drawable(s.x[i], s.upper[i])) outline.emplace_back(x(s.x[i]), y(y.clamp(s.upper[i])));
        for (std::size_t i = s.x.size(); i-- > 0;)
            if (drawable(s.x[i], s.upper[i])) outline.emplace_back(x(s.x[i]), y(y.clamp(s.lower[i])));
        out.area(outline, svg::series_colour(k), 0.16);
    }
    for (std::size_t k = 0; k < series.size(); ++k) {
        const line_series& s = series[k];
        std::vector<std::pair<double, double>> path;
        for (std::size_t i = 0; i <= s.x.size(); ++i) {
            if (i < s.x.size() && drawable(s.x[i], s.y[i])) {
                path.emplace_back(x(s.x[i]), y(s.y[i]));
                continue;
            }
            if (path.size() > 1) out.polyline(path, svg::series_colour(k));
            if (options.markers || path.size() == 1)
                for (const auto& [px, py] : path) out.dot(px, py, 4, svg::series_colour(k));
            path.clear();
        }
    }
    out.end_clip();
    for (std::size_t k = 0; k < legend.size(); ++k)
        svg::draw_legend_entry(out, plot.x + plot.w + 18, plot.y + 14 + 20 * static_cast<double>(k), legend[k]);
    return out.str();
}

struct bar_series {
    std::string name;
    std::vector<double> values;                  // one per group; not finite: no bar
    std::vector<double> lower = {}, upper = {};  // error bars; empty or as long as values
};

/// Groups of bars that start at zero, one colour per series, with optional error bars. Long group names are slanted.
inline std::string bar_chart(const std::vector<std::string>& groups, const std::vector<bar_series>& series,
                             const chart_options& options = {}) {
    if (options.log_x || options.log_y)
        throw std::invalid_argument("bar_chart: bars start at zero, so no axis can be logarithmic");
    svg::extent ys;
    ys.add(0);
    std::vector<svg::legend_entry> legend;
    for (std::size_t k = 0; k < series.size(); ++k) {
        const bar_series& s = series[k];
        const bool fits = s.lower.size() == s.upper.size() && (s.lower.empty() || s.lower.size() == groups.size());
        if (s.values.size() != groups.size() || !fits)
            throw std::invalid_argument("bar_chart: series '" + s.name + "' does not have one value per group");
        for (const auto* values : {&s.values, &s.lower, &s.upper})
            for (const double v : *values) ys.add(v);
        if (!s.name.empty()) legend.push_back({s.name, svg::series_colour(k), false, true});
    }

    svg::canvas out(options.width, options.height);
    svg::scale y = svg::fitting_scale(ys, false, true);
    double left = options.y_label.empty() ? 24 : 44;
    double widest = 0, longest = 0;
    for (const double v : y.ticks()) widest = (std::max)(widest, svg::text_width(svg::number(v), 11));
    for (const std::string& group : groups) longest = (std::max)(longest, svg::text_width(group, 11));
    left += widest;
    const double right = 24, inner = options.width - left - right;
    const double cell = inner / static_cast<double>((std::max)(groups.size(), std::size_t{1}));
    const bool slanted = longest + 8 > cell;
    const double foot = (slanted ? 22 + (std::min)(0.58 * longest, 110.0) : 26) + (options.x_label.empty() ? 8 : 26);
    double top = svg::draw_title(out, left, options.title, options.subtitle) + 10;
    if (!legend.empty()) {
        svg::draw_legend(out, left, top + 6, inner, legend);
        top += 20 * static_cast<double>(svg::legend_lines(legend, inner)) + 2;
    }
    const svg::box plot{left, top, inner, options.height - top - foot};
    y.pixels(plot.y + plot.h, plot.y);
    for (const double v : y.ticks()) {
        out.line(plot.x, y(v), plot.x + plot.w, y(v), svg::ink::grid);
        out.text(plot.x - 7, y(v) + 4, svg::number(v), {.size = 11, .colour = svg::ink::soft, .anchor = "end"});
    }

    const double lanes = static_cast<double>((std::max)(series.size(), std::size_t{1}));
    const double bar = (std::min)(0.78 * cell / lanes, 48.0);
    for (std::size_t g = 0; g < groups.size(); ++g) {
        const double centre = plot.x + cell * (static_cast<double>(g) + 0.5);
        for (std::size_t k = 0; k < series.size(); ++k) {
            const bar_series& s = series[k];
            if (!std::isfinite(s.values[g])) continue;
            const double at = centre + bar * (static_cast<double>(k) - lanes / 2);
            const double end = y(s.values[g]);
            out.rect(at + 1, (std::min)(end, y(0)), bar - 2, std::abs(end - y(0)), svg::series_colour(k), 0.92, 1.5);
            if (s.lower.empty() || !std::isfinite(s.lower[g]) || !std::isfinite(s.upper[g])) continue;
            const double middle = at + bar / 2, cap = (std::min)(4.0, bar / 4);
            out.line(middle, y(s.lower[g]), middle, y(s.upper[g]), svg::ink::text, 1.2);
            for (const double v : {s.lower[g], s.upper[g]})
                out.line(middle - cap, y(v), middle + cap, y(v), svg::ink::text, 1.2);
        }
        const double below = plot.y + plot.h + 17;
        if (slanted)
            out.text(centre + 4, below, groups[g], {.size = 11, .anchor = "end", .rotate = -35});
        else
            out.text(centre, below, groups[g], {.size = 11, .anchor = "middle"});
    }
    out.line(plot.x, y(0), plot.x + plot.w, y(0), svg::ink::soft, 1.2);
    out.text(plot.x + plot.w / 2, options.height - 10, options.x_label, {.anchor = "middle"});
    out.text(18, plot.y + plot.h / 2, options.y_label, {.anchor = "middle", .rotate = -90});
    return out.str();
}

}  // namespace reckon_examples
