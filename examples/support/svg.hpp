// Drawing primitives for small charts: a canvas that writes SVG, axis scales with round ticks, plot frames, legends.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace reckon_examples::svg {

namespace ink {
inline constexpr const char* text = "#24292f";
inline constexpr const char* soft = "#656d76";
inline constexpr const char* grid = "#e7eaee";
inline constexpr const char* frame = "#c4cad1";
}  // namespace ink

/// Colours of series, in order; they stay apart for readers with colour-vision deficiency.
inline std::string series_colour(std::size_t k) {
    constexpr std::array<const char*, 8> colours = {"#3b6fd4", "#ef8a17", "#2a9d78", "#c8466b",
                                                    "#8358c7", "#5aaed6", "#8a6d3b", "#6b7280"};
    return colours[k % colours.size()];
}

/// Text for the inside of an element or an attribute. Control characters have no form in XML and become blanks.
inline std::string escape(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            case '\'':
                out += "&#39;";
                break;
            default:
                out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c;
        }
    }
    return out;
}

/// A coordinate with two decimals, never in the reader's locale.
inline std::string coordinate(double v) {
    if (!std::isfinite(v)) v = 0;
    char buffer[64];
    const auto end =
        std::to_chars(buffer, buffer + sizeof buffer, std::clamp(v, -1e6, 1e6), std::chars_format::fixed, 2);
    std::string out(buffer, end.ptr);
    while (out.back() == '0') out.pop_back();
    if (out.back() == '.') out.pop_back();
    return out == "-0" ? "0" : out;
}

/// A number as a reader writes it: six significant digits at most, 1,234,567 with commas.
inline std::string number(double v) {
    char buffer[64];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::general, 6);
    std::string out(buffer, end.ptr);
    if (std::abs(v) >= 1e4 && std::abs(v) < 1e15) {
        out = std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, std::llround(v)).ptr);
        const std::size_t first = out.front() == '-' ? 1 : 0;
        for (std::size_t at = out.size(); at > first + 3;) out.insert(at -= 3, ",");
    }
    return out;
}

/// A count in little room: 950, 12.3k, 4M.
inline std::string short_number(double v) {
    char buffer[32];
    const double size = std::abs(v);
    const double unit = size >= 1e9 ? 1e9 : size >= 1e6 ? 1e6 : size >= 1e4 ? 1e3 : 1;
    const char* suffix = unit == 1e9 ? "G" : unit == 1e6 ? "M" : unit == 1e3 ? "k" : "";
    const auto end =
        std::to_chars(buffer, buffer + sizeof buffer, v / unit, std::chars_format::general, unit == 1 ? 4 : 3);
    return std::string(buffer, end.ptr) + suffix;
}

/// Width of a text in pixels, close enough to lay out legends: the faces of `font-family` differ by a few percent.
inline double text_width(std::string_view text, double size) {
    double units = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte & 0xC0) == 0x80) continue;
        const bool narrow = std::string_view("iljtfrI.,:;'|!()[] ").find(c) != std::string_view::npos;
        const bool wide = std::string_view("mwMW@%&<>+=").find(c) != std::string_view::npos || byte >= 0x80;
        units += narrow ? 0.33 : wide ? 0.9 : c >= 'A' && c <= 'Z' ? 0.68 : 0.56;
    }
    return units * size;
}

struct text_style {
    double size = 12;
    const char* colour = ink::text;
    const char* anchor = "start";  // start, middle, end
    bool bold = false;
    double rotate = 0;  // degrees, about the anchor point
};

/// Collects elements and writes them as one SVG file on a white ground.
class canvas {
  public:
    canvas(double width, double height) : width_(width), height_(height) {}

    void line(double x1, double y1, double x2, double y2, std::string_view colour, double width = 1,
              std::string_view dash = "") {
        open("line");
        attribute("x1", x1), attribute("y1", y1), attribute("x2", x2), attribute("y2", y2);
        stroke(colour, width, dash);
        close();
    }

    void rect(double x, double y, double w, double h, std::string_view fill, double opacity = 1, double radius = 0) {
        open("rect");
        attribute("x", x), attribute("y", y), attribute("width", (std::max)(w, 0.0));
        attribute("height", (std::max)(h, 0.0)), attribute("fill", fill);
        if (radius > 0) attribute("rx", radius);
        if (opacity < 1) attribute("fill-opacity", opacity);
        close();
    }

    void frame(double x, double y, double w, double h) {
        open("rect");
        attribute("x", x), attribute("y", y), attribute("width", w), attribute("height", h), attribute("fill", "none");
        stroke(ink::frame, 1, "");
        close();
    }

    /// A dot with a white rim, so that it stays readable on lines and bars. Hollow dots have a coloured rim.
    void dot(double x, double y, double radius, std::string_view colour, bool hollow = false) {
        open("circle");
        attribute("cx", x), attribute("cy", y), attribute("r", radius), attribute("fill", hollow ? "#ffffff" : colour);
        stroke(hollow ? colour : "#ffffff", hollow ? 1.6 : 1, "");
        close();
    }

    void polyline(const std::vector<std::pair<double, double>>& points, std::string_view colour, double width = 2,
                  std::string_view dash = "", double opacity = 1) {
        open("polyline");
        attribute("points", joined(points)), attribute("fill", "none");
        stroke(colour, width, dash);
        attribute("stroke-linejoin", "round"), attribute("stroke-linecap", "round");
        if (opacity < 1) attribute("stroke-opacity", opacity);
        close();
    }

    void area(const std::vector<std::pair<double, double>>& points, std::string_view fill, double opacity) {
        open("polygon");
        attribute("points", joined(points)), attribute("fill", fill), attribute("fill-opacity", opacity);
        close();
    }

    void text(double x, double y, std::string_view content, const text_style& style = {}) {
        open("text");
        attribute("x", x), attribute("y", y), attribute("font-size", style.size), attribute("fill", style.colour);
        if (std::string_view(style.anchor) != "start") attribute("text-anchor", style.anchor);
        if (style.bold) attribute("font-weight", "600");
        if (style.rotate != 0)
            attribute("transform",
                      "rotate(" + coordinate(style.rotate) + " " + coordinate(x) + " " + coordinate(y) + ")");
        body_ += ">" + escape(content) + "</text>\n";
    }

    /// What follows, up to end_clip(), shows only inside the rectangle.
    void begin_clip(double x, double y, double w, double h) {
        const std::string id = "clip" + std::to_string(clips_++);
        body_ += "<clipPath id=\"" + id + "\">";
        rect(x, y, w, h, "#000000");
        body_ += "</clipPath>\n<g clip-path=\"url(#" + id + ")\">\n";
    }

    void end_clip() { body_ += "</g>\n"; }

    std::string str() const {
        const std::string w = coordinate(width_), h = coordinate(height_);
        return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + w + "\" height=\"" + h + "\" viewBox=\"0 0 " + w +
               " " + h +
               "\" font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, "
               "sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n" +
               body_ + "</svg>\n";
    }

  private:
    void open(const char* element) { body_ += std::string("<") + element; }
    void close() { body_ += "/>\n"; }
    void attribute(const char* name, std::string_view value) {
        body_ += std::string(" ") + name + "=\"" + escape(value) + "\"";
    }
    void attribute(const char* name, double value) { attribute(name, std::string_view(coordinate(value))); }
    void stroke(std::string_view colour, double width, std::string_view dash) {
        attribute("stroke", colour), attribute("stroke-width", width);
        if (!dash.empty()) attribute("stroke-dasharray", dash);
    }
    static std::string joined(const std::vector<std::pair<double, double>>& points) {
        std::string out;
        for (const auto& [x, y] : points) {
            if (!out.empty()) out += ' ';
            out += coordinate(x);
            out += ',';
            out += coordinate(y);
        }
        return out;
    }

    double width_, height_;
    std::string body_;
    int clips_ = 0;
};

/// Writes a file; throws std::runtime_error if it cannot.
inline void save(const std::string& path, const std::string& content) {
    std::ofstream out(path, std::ios::binary);
    out << content;
    out.close();
    if (!out) throw std::runtime_error(path + ": cannot be written");
}

/// Smallest and largest finite value seen.
struct extent {
    double low = std::numeric_limits<double>::infinity();
    double high = -std::numeric_limits<double>::infinity();
    void add(double v) {
        if (!std::isfinite(v)) return;
        low = (std::min)(low, v);
        high = (std::max)(high, v);
    }
    bool empty() const { return low > high; }
};

/// Maps values to pixels, linearly or by logarithm, and proposes round ticks.
class scale {
  public:
    scale() = default;
    scale(double low, double high, bool logarithmic) : low_(low), high_(high), log_(logarithmic) {
        if (log_ && !(low_ > 0)) throw std::invalid_argument("scale: a logarithmic axis needs values above 0");
        if (!(high_ > low_)) high_ = log_ ? low_ * 10 : low_ + 1;
    }

    void pixels(double from, double to) { from_ = from, to_ = to; }

    double operator()(double v) const {
        const double t = log_ ? std::log(v / low_) / std::log(high_ / low_) : (v - low_) / (high_ - low_);
        return from_ + t * (to_ - from_);
    }

    double low() const { return low_; }
    double high() const { return high_; }
    double clamp(double v) const { return std::clamp(v, low_, high_); }
    bool inside(double v) const { return v >= low_ * (1 - 1e-9) && v <= high_ * (1 + 1e-9); }

    std::vector<double> ticks(int wanted = 5) const {
        std::vector<double> out;
        if (log_) {
            const double decades = std::log10(high_ / low_);
            const std::array<double, 3> within = {1, 2, 5};
            const std::size_t each = decades > 3.2 ? 1 : 3;  // 1 2 5 10 on a short axis, decades on a long one
            for (double power = std::floor(std::log10(low_)); power <= std::log10(high_) + 1e-9; ++power)
                for (std::size_t k = 0; k < each; ++k)
                    if (const double v = within[k] * std::pow(10.0, power); inside(v)) out.push_back(v);
            return out;
        }
        const double raw = (high_ - low_) / (std::max)(wanted, 1);
        const double power = std::pow(10.0, std::floor(std::log10(raw)));
        const double step = power * (raw / power < 1.5 ? 1 : raw / power < 3 ? 2 : raw / power < 7 ? 5 : 10);
        for (double k = std::ceil(low_ / step - 1e-9); k * step <= high_ + 1e-9 * step; ++k)
            out.push_back(k == 0 ? 0.0 : k * step);
        return out;
    }

  private:
    double low_ = 0, high_ = 1, from_ = 0, to_ = 1;
    bool log_ = false;
};

/// A scale that holds the values with a little room around them.
inline scale fitting_scale(const extent& values, bool logarithmic, bool from_zero = false) {
    if (values.empty()) return scale(logarithmic ? 0.1 : 0.0, 1.0, logarithmic);
    if (logarithmic) return scale(values.low / 1.15, values.high * 1.15, true);
    double low = from_zero ? (std::min)(values.low, 0.0) : values.low;
    double high = from_zero ? (std::max)(values.high, 0.0) : values.high;
    const double room = high > low ? 0.05 * (high - low) : 0.05 * (std::max)(std::abs(high), 1e-12);
    if (!from_zero || low < 0) low -= room;
    if (!from_zero || high > 0) high += room;
    return scale(low, high, false);
}

struct box {
    double x, y, w, h;
};

/// Grid lines, frame and tick labels of a plot; the scales must already map to the pixels of the box.
inline void axes(canvas& out, const box& b, const scale& x, const scale& y, bool label_x = true, bool label_y = true) {
    const text_style label{.size = 11, .colour = ink::soft};
    double free_from = -std::numeric_limits<double>::infinity();
    for (const double v : x.ticks()) {
        const double at = x(v), half = text_width(number(v), 11) / 2;
        out.line(at, b.y, at, b.y + b.h, ink::grid);
        if (!label_x || at - half < free_from + 6) continue;  // a label that would touch its neighbour is left out
        text_style style = label;
        style.anchor = "middle";
        out.text(at, b.y + b.h + 16, number(v), style);
        free_from = at + half;
    }
    for (const double v : y.ticks()) {
        out.line(b.x, y(v), b.x + b.w, y(v), ink::grid);
        text_style style = label;
        style.anchor = "end";
        if (label_y) out.text(b.x - 7, y(v) + 4, number(v), style);
    }
    out.frame(b.x, b.y, b.w, b.h);
}

struct legend_entry {
    std::string name, colour;
    bool dashed = false;
    bool square = false;  // a filled square, for bars
};

inline double legend_width(const legend_entry& entry) {
    return (entry.square ? 18 : 26) + text_width(entry.name, 12) + 20;
}

inline void draw_legend_entry(canvas& out, double x, double y, const legend_entry& entry) {
    if (entry.square) {
        out.rect(x, y - 10, 12, 12, entry.colour, 1, 2);
        x -= 8;  // a square needs less room than a line
    } else {
        out.line(x, y - 4, x + 20, y - 4, entry.colour, 2, entry.dashed ? "4 3" : "");
        if (!entry.dashed) out.dot(x + 10, y - 4, 4, entry.colour);
    }
    out.text(x + 26, y, entry.name);
}

/// How many lines the entries need within a width, at 20 pixels each.
inline std::size_t legend_lines(const std::vector<legend_entry>& entries, double width) {
    std::size_t lines = entries.empty() ? 0 : 1;
    double at = 0;
    for (const legend_entry& entry : entries) {
        if (at > 0 && at + legend_width(entry) > width) ++lines, at = 0;
        at += legend_width(entry);
    }
    return lines;
}

/// Entries side by side from (x, y), the base line of the first, broken to the width.
inline void draw_legend(canvas& out, double x, double y, double width, const std::vector<legend_entry>& entries) {
    double at = 0;
    for (const legend_entry& entry : entries) {
        if (at > 0 && at + legend_width(entry) > width) y += 20, at = 0;
        draw_legend_entry(out, x + at, y, entry);
        at += legend_width(entry);
    }
}

/// Title and subtitle at the top left; returns the y below them.
inline double draw_title(canvas& out, double x, const std::string& title, const std::string& subtitle) {
    double y = 16;
    if (!title.empty()) out.text(x, y += 14, title, {.size = 16, .bold = true});
    if (!subtitle.empty()) out.text(x, y += 20, subtitle, {.size = 12, .colour = ink::soft});
    return y + 8;
}

}  // namespace reckon_examples::svg
