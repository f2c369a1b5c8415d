"""Panels of curves side by side as one SVG, with the colours and the look of examples/support/charts.hpp."""
import math
from xml.sax.saxutils import escape, quoteattr

TEXT, SOFT, GRID, FRAME = "#24292f", "#656d76", "#e7eaee", "#c4cad1"
COLOURS = ("#3b6fd4", "#ef8a17", "#2a9d78", "#c8466b", "#8358c7", "#5aaed6", "#8a6d3b", "#6b7280")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"


def number(v):
    """As a reader writes it: 0.5, 20, 16,384."""
    return f"{v:,.0f}" if abs(v) >= 1e4 else f"{v:.6g}"


def element(name, content="", **attributes):
    """One element on a line; floats get two decimals, and `_` in a name stands for `-`."""
    written = ""
    for key, value in attributes.items():
        if isinstance(value, float):
            value = f"{value:.2f}".rstrip("0").rstrip(".")
        written += f" {key.replace('_', '-')}={quoteattr(str(value))}"
    return f"<{name}{written}>{content}</{name}>\n" if content else f"<{name}{written}/>\n"


def line(x1, y1, x2, y2, colour, width=1, **more):
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour, stroke_width=width, **more)


def dot(x, y, colour, hollow):
    """With a white rim, so that it stays readable on lines; a hollow one has a coloured rim."""
    fill, stroke, width = ("#ffffff", colour, 1.6) if hollow else (colour, "#ffffff", 1)
    return element("circle", cx=x, cy=y, r=4, fill=fill, stroke=stroke, stroke_width=width)


def label(x, y, content, size=12, colour=TEXT, **more):
    return element("text", escape(content), x=x, y=y, font_size=size, fill=colour, **more)


def text_width(text, size):
    """In pixels, close enough to lay out legends."""
    return 0.57 * size * len(text)


class Scale:
    """Maps values to pixels and proposes round ticks: steps of 1, 2 or 5, by logarithm 1 2 5 10 or decades alone on a long axis."""

    def __init__(self, low, high, start, end, log=False):
        self.low, self.start, self.end, self.log = low, start, end, log
        self.high = high if high > low else low * 10 if log else low + 1

    def __call__(self, v):
        share = math.log(v / self.low) / math.log(self.high / self.low) if self.log else (v - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self):
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            within = (1, 2, 5) if math.log10(self.high / self.low) <= 3.2 else (1,)
            found = (k * 10.0**power for power in range(first, last + 1) for k in within)
            return [v for v in found if self.low * (1 - 1e-9) <= v <= self.high * (1 + 1e-9)]
        raw = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(raw))
        step = power * next(k for k, limit in ((1, 1.5), (2, 3), (5, 7), (10, math.inf)) if raw / power < limit)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


class Curve:
    """Points (x, y) with one name and colour; a y of None, or not above 0 where the axis is logarithmic, is left out."""

    def __init__(self, points, colour, hollow=False, dashed=False):
        self.points, self.colour, self.hollow, self.dashed = points, colour, hollow, dashed

    def dash(self):
        return {"stroke_dasharray": "5 4"} if self.dashed else {}

    def drawable(self, log_y):
        return sorted((x, y) for x, y in self.points if y is not None and (y > 0 or not log_y))

    def draw(self, x, y):
        points = [(x(a), y(b)) for a, b in self.drawable(y.log)]
        if not points:
            return ""
        joined = " ".join(f"{a:.2f},{b:.2f}" for a, b in points)
        out = element("polyline", points=joined, fill="none", stroke=self.colour, stroke_width=1.6 if self.dashed else 2,
                      stroke_linejoin="round", stroke_linecap="round", **self.dash())
        return out + ("" if self.dashed else "".join(dot(*point, self.colour, self.hollow) for point in points))


def draw_panel(panel, left, top, width, height):
    """panel: title, x_label, y_label, log_y, curves. The horizontal axis is logarithmic, with the sizes that occur as ticks."""
    points = [point for curve in panel["curves"] for point in curve.drawable(panel["log_y"])]
    xs, ys = sorted({x for x, _ in points}) or [1], [y for _, y in points] or [1]
    x = Scale(xs[0] / 1.2, xs[-1] * 1.2, left, left + width, log=True)
    low, high = (min(ys) / 1.3, max(ys) * 1.3) if panel["log_y"] else (0, 1.08 * max(ys))
    y = Scale(low, high, top + height, top, log=panel["log_y"])
    middle = left + width / 2
    out = label(left, top - 12, panel["title"], 13, font_weight=600)
    free_from = -math.inf
    for v in xs:
        half = text_width(number(v), 11) / 2
        out += line(x(v), top, x(v), top + height, GRID)
        if x(v) - half > free_from + 6:  # a label that would touch its neighbour is left out
            out += label(x(v), top + height + 16, number(v), 11, SOFT, text_anchor="middle")
            free_from = x(v) + half
    for v in y.ticks():
        out += line(left, y(v), left + width, y(v), GRID)
        out += label(left - 7, y(v) + 4, number(v), 11, SOFT, text_anchor="end")
    out += element("rect", x=left, y=top, width=width, height=height, fill="none", stroke=FRAME)
    out += label(middle, top + height + 38, panel["x_label"], text_anchor="middle")
    at = f"{left - 52:.2f} {top + height / 2:.2f}"
    out += label(left - 52, top + height / 2, panel["y_label"], text_anchor="middle", transform=f"rotate(-90 {at})")
    return out + "".join(curve.draw(x, y) for curve in panel["curves"])


def draw_legend(entries, left, y):
    """entries: (name, a curve in that style), side by side on one line."""
    out = ""
    for name, style in entries:
        out += line(left, y - 4, left + 20, y - 4, style.colour, 2, **style.dash())
        out += "" if style.dashed else dot(left + 10, y - 4, style.colour, style.hollow)
        out += label(left + 26, y, name)
        left += 42 + text_width(name, 12)
    return out


def draw(title, subtitle, panels, legend, width=800, height=300):
    """The whole picture on a white ground: legend has lists of entries, one a line; height is that of the plots."""
    margin, gap, right = 66, 84, 20
    side = (width - margin - right - gap * (len(panels) - 1)) / len(panels)
    left = margin - 48
    top = 98 + 20 * len(legend)
    body = label(left, 30, title, 16, font_weight=600) + label(left, 50, subtitle, 12, SOFT)
    body += "".join(draw_legend(entries, left, 78 + 20 * k) for k, entries in enumerate(legend))
    for k, panel in enumerate(panels):
        body += draw_panel(panel, margin + k * (side + gap), top, side, height)
    whole = top + height + 52
    return element("svg", "\n" + element("rect", width="100%", height="100%", fill="#ffffff") + body,
                   xmlns="http://www.w3.org/2000/svg", width=width, height=whole, viewBox=f"0 0 {width} {whole}", font_family=FONT)
