"""Tests of benchmarks/compare/growth.py and of the pictures it draws; run with `python3 -m unittest` in this folder."""

import contextlib
import io
import json
import math
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../benchmarks/compare"))

import chart  # noqa: E402
import growth  # noqa: E402


def figures(ns, extra=None):
    return {"ns/pair": [ns], "extra MiB": extra}


def row(loss, n, ns, extra, **peers):
    return {"loss": loss, "n": n, "reckon": figures(ns, extra), "peers": peers}


RECORD = {
    "date": "2026-01-02T03:04:05+00:00",
    "rows": [
        row("info_nce", 1024, 3.0, 1.0, torch_eager=figures(5.0, 9.0)),  # not drawn
        row("info_nce_gradients", 1024, 9.0, 2.0, torch_eager=figures(15.0, 14.0), torch_chunked=figures(13.0, 1.2)),
        row("info_nce_gradients", 4096, 9.0, 8.0, torch_chunked=figures(13.0, 4.2)),  # no eager
        row("info_nce_gradients", 16384, 9.5, 30.0, torch_eager=figures(36.0, 3000.0), torch_chunked=figures(16.0)),
        row("info_nce_gradients", 65536, 10.0, 90.0),
        row("clip_gradients", 1024, 13.0, 2.0, torch_one_product_compile=figures(24.0)),
    ],
}


class Picture:
    """What a test asks of an SVG; that it parses is part of each."""

    def __init__(self, text):
        self.root = xml.etree.ElementTree.fromstring(text)

    def all(self, name):
        return self.root.findall(".//{http://www.w3.org/2000/svg}" + name)

    def texts(self):
        return [element.text for element in self.all("text")]

    def lines(self):
        """{(colour, dashed): [the points of each polyline]}"""
        found = {}
        for element in self.all("polyline"):
            points = [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]
            found.setdefault((element.get("stroke"), element.get("stroke-dasharray") is not None), []).append(points)
        return found


class ScaleTest(unittest.TestCase):
    def test_ticks_of_a_long_logarithmic_axis_are_decades(self):
        scale = chart.Scale(1.5, 20000, 300, 0, log=True)
        self.assertEqual(scale.ticks(), [10, 100, 1000, 10000])
        places = [scale(v) for v in scale.ticks()]
        steps = [a - b for a, b in zip(places, places[1:])]
        for step in steps:
            self.assertAlmostEqual(step, 300 / math.log10(20000 / 1.5))
        self.assertEqual((scale(1.5), scale(20000)), (300, 0))

    def test_ticks_of_a_short_logarithmic_axis_are_1_2_5(self):
        self.assertEqual(chart.Scale(0.9, 60, 0, 1, log=True).ticks(), [1, 2, 5, 10, 20, 50])
        self.assertEqual(chart.Scale(1, 10, 0, 1, log=True).ticks(), [1, 2, 5, 10])

    def test_ticks_of_a_linear_axis(self):
        self.assertEqual(chart.Scale(0, 38, 0, 1).ticks(), [0, 10, 20, 30])
        self.assertEqual([chart.number(v) for v in chart.Scale(0, 1.4, 0, 1).ticks()], ["0", "0.2", "0.4", "0.6", "0.8", "1", "1.2", "1.4"])
        self.assertEqual([chart.number(v) for v in (1024, 16384.0, 65536)], ["1024", "16,384", "65,536"])

    def test_one_value(self):
        self.assertEqual(chart.Scale(5, 5, 0, 1, log=True).high, 50)
        self.assertEqual(chart.Scale(5, 5, 0, 1)(5), 0)


class ChartTest(unittest.TestCase):
    def panel(self, log_y, *curves):
        panel = {"title": "a < b", "x_label": "N & more", "y_label": "y", "log_y": log_y, "curves": list(curves)}
        return Picture(chart.draw("title", "\"sub\"", [panel], [[("one", curves[0])]]))

    def test_texts_are_escaped(self):
        texts = self.panel(False, chart.Curve([(1, 1), (2, 3)], "#000000")).texts()
        for text in ("title", "\"sub\"", "a < b", "N & more", "one"):
            self.assertIn(text, texts)

    def test_what_a_logarithm_cannot_show_is_left_out(self):
        points = [(10, 0.0), (20, None), (40, 1.0), (30, 5.0)]
        (drawn,) = self.panel(True, chart.Curve(points, "#000000")).lines().values()
        self.assertEqual(len(drawn[0]), 2)
        self.assertLess(drawn[0][0][0], drawn[0][1][0])  # in order of x
        self.assertLess(drawn[0][0][1], drawn[0][1][1])  # larger values are higher up
        (drawn,) = self.panel(False, chart.Curve(points, "#000000")).lines().values()
        self.assertEqual(len(drawn[0]), 3)

    def test_nothing_to_draw(self):
        self.assertEqual(self.panel(True, chart.Curve([], "#000000")).lines(), {})


class GrowthPictureTest(unittest.TestCase):
    def test_one_polyline_a_curve_with_the_sizes_that_were_measured(self):
        lines = Picture(growth.picture(RECORD)).lines()
        blue, orange, green, red = chart.COLOURS[:4]
        sizes = {key: sorted(map(len, drawn)) for key, drawn in lines.items()}
        # reckon: two losses in each of two panels; eager and by hand: one loss; compiled: no memory.
        self.assertEqual(sizes, {(blue, False): [1, 1, 4, 4], (orange, False): [2, 2], (red, False): [2, 3], (green, False): [1],
                                 (chart.SOFT, True): [4]})

    def test_curves_lie_where_axes_say(self):
        picture = Picture(growth.picture(RECORD))
        memory_left = 0.5 * float(picture.root.get("width"))
        ticks = {element.text: (float(element.get("x")), float(element.get("y"))) for element in picture.all("text")
                 if element.get("font-size") == "11" and float(element.get("x")) > memory_left}
        self.assertEqual(set(ticks), {"1024", "4096", "16,384", "65,536", "1", "10", "100", "1000", "10,000"})
        (alone,) = picture.lines()[chart.SOFT, True]
        for (x, y), (n, mebibytes) in zip(alone, ((1024, 4), (4096, 64), (16384, 1024), (65536, 16384))):
            self.assertAlmostEqual(x, ticks[chart.number(n)][0], delta=0.02)
            decade = ticks["10"][1] - ticks["100"][1]
            self.assertAlmostEqual(y, ticks["100"][1] - 4 + decade * (2 - math.log10(mebibytes)), delta=0.05)

    def test_everything_is_inside_and_named(self):
        picture = Picture(growth.picture(RECORD))
        width, height = float(picture.root.get("width")), float(picture.root.get("height"))
        for drawn in picture.lines().values():
            for x, y in sum(drawn, []):
                self.assertTrue(0 < x < width and 0 < y < height)
        for element in picture.all("text"):
            half = chart.text_width(element.text, float(element.get("font-size"))) * {"middle": 0.5, "end": 0}.get(element.get("text-anchor"), 1)
            if not element.get("transform"):
                self.assertLess(float(element.get("x")) + half, width, element.text)
        for text in (*growth.NAMES.values(), "InfoNCE", "symmetric loss", "the logits alone", "ns per pair", "extra MiB"):
            self.assertIn(text, picture.texts())
        self.assertIn("2026-01-02", "".join(picture.texts()))
        self.assertEqual(picture.all("rect")[0].get("fill"), "#ffffff")
        self.assertTrue(picture.root.get("font-family").endswith("sans-serif"))


PROGRAM = """#!{python} -IS
import json, sys
options = dict(argument.split("=", 1) for argument in sys.argv[1:])
n = int(options["--benchmark_filter"].split("/")[1].split("(")[0])
case = {{"name": f"growth_info_nce_gradients/{{n}}", "ns/item": n / 100, "extra MiB": 2.5}}
case.update({more})
report = {{"context": {{"date": "2026-01-02T03:04:05", "host_name": "secret", "machine": "3 GHz", "num_cpus": 2}}, "benchmarks": [case]}}
json.dump(report, open(options["--benchmark_out"], "w"))
"""
PEER = """#!{python} -IS
import sys
n = sys.argv[sys.argv.index("--n") + 1]
print("# Python 3, torch 0\\n# peer\\ttask\\tn\\tvariant\\tns_per_item\\tmedian_ns")
if "--memory" in sys.argv:
    print("# memory", "torch_eager", "info_nce_gradients", n, 14.5, sep="\\t")
for peer in ("torch_eager", "torch_compile"):
    print(peer, "info_nce_gradients", n, "unit", int(n) / 50, 30, sep="\\t")
"""


class EndToEndTest(unittest.TestCase):
    """With programs that write what bench_losses_growth and the peers write."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def script(self, name, text, **values):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.format(python=sys.executable, **values))
        os.chmod(path, 0o755)
        return path

    def call(self, *arguments):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            growth.main(list(arguments))
        return out.getvalue()

    def test_figures_are_kept_and_drawn_again(self):
        self.script("bench_losses_growth", PROGRAM, more="{}")
        peer = self.script("python", PEER)
        kept, first, again = (os.path.join(self.folder, name) for name in ("growth.json", "first.svg", "again.svg"))
        table = self.call("--programs", self.folder, "--python", peer, "--loss", "info_nce_gradients", "--n", "1000", "2e3",
                          "--most-torch", "1000", "--rounds", "2", "--json", kept, "--svg", first)
        self.assertIn("| info_nce_gradients | 1000 | 10.00 | 2.5 | 4 | torch_eager | 20.00 | 2.00 | 14.5 |\n", table)
        self.assertIn("| info_nce_gradients | 1000 | 10.00 | 2.5 | 4 | torch_compile | 20.00 | 2.00 |  |\n", table)
        self.assertIn("| info_nce_gradients | 2000 | 20.00 | 2.5 | 15 |", table)
        with open(kept, encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn("secret", text)
        record = json.loads(text)
        self.assertEqual({key: record[key] for key in record if key != "rows"},
                         {"rounds": 2, "date": "2026-01-02T03:04:05", "machine": "3 GHz", "num_cpus": 2, "packages": "Python 3, torch 0"})
        self.assertEqual(record["rows"][0]["peers"]["torch_eager"], {"ns/pair": [20.0, 20.0], "extra MiB": 14.5})
        self.assertEqual(record["rows"][1], {"loss": "info_nce_gradients", "n": 2000, "peers": {},
                                             "reckon": {"ns/pair": [20.0, 20.0], "extra MiB": 2.5}})
        self.assertEqual(self.call("--from", kept, "--svg", again), table)
        with open(first, encoding="utf-8") as one, open(again, encoding="utf-8") as other:
            self.assertEqual(one.read(), other.read())

    def test_a_wrong_result_ends_it(self):
        self.script("bench_losses_growth", PROGRAM, more="{'error_occurred': True, 'error_message': 'wrong result'}")
        with self.assertRaisesRegex(SystemExit, "growth_info_nce_gradients/64: wrong result"):
            self.call("--programs", self.folder, "--loss", "info_nce_gradients", "--n", "64")

    def test_a_program_that_fails_is_told_of(self):
        self.script("bench_losses_growth", "#!{python} -IS\nimport sys\nsys.exit('no memory')\n")
        with self.assertRaisesRegex(SystemExit, "exit status 1\nno memory"):
            self.call("--programs", self.folder, "--loss", "info_nce_gradients", "--n", "64")

    def test_figures_must_come_from_somewhere(self):
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as err:
            growth.main([])
        self.assertIn("--programs or --from", err.getvalue())


if __name__ == "__main__":
    unittest.main()
