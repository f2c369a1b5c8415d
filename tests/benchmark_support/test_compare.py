"""Tests of benchmarks/compare/compare.py; run with `python3 -m unittest` in this folder."""

import contextlib
import importlib.util
import io
import json
import os
import random
import shlex
import statistics
import sys
import tempfile
import unittest

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../benchmarks/compare/compare.py")
SPEC = importlib.util.spec_from_file_location("compare", PATH)
compare = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(compare)


def run(times, clock=1.0, ghz=None):
    return {"times": times, "clock_seconds": clock, "ghz": ghz}


class ReadTest(unittest.TestCase):
    def test_google_benchmark_prefers_ns_per_item_and_skips_aggregates(self):
        report = {
            "benchmarks": [
                {"name": "f/10", "run_name": "f/10", "run_type": "iteration", "cpu_time": 99.0, "time_unit": "ns",
                 "ns/item": 2.5, "GHz": 3.1},
                {"name": "f/10", "run_name": "f/10", "run_type": "iteration", "cpu_time": 99.0, "time_unit": "ns",
                 "ns/item": 2.25, "GHz": 3.0},
                {"name": "f/10_median", "run_name": "f/10", "run_type": "aggregate", "cpu_time": 1.0,
                 "time_unit": "ns", "ns/item": 7.0, "GHz": 1.0},
            ]
        }
        self.assertEqual(compare.read_google_benchmark(report), ({"f/10": [2.5, 2.25]}, 3.05))

    def test_google_benchmark_converts_cpu_time(self):
        for unit, ns in {"ns": 4.0, "us": 4e3, "ms": 4e6, "s": 4e9}.items():
            row = {"name": "f", "run_type": "iteration", "cpu_time": 4.0, "time_unit": unit}
            self.assertEqual(compare.read_google_benchmark({"benchmarks": [row]}), ({"f": [ns]}, None))

    def test_a_failed_correctness_gate_stops_the_comparison(self):
        row = {"name": "f", "error_occurred": True, "error_message": "wrong result"}
        with self.assertRaisesRegex(compare.Failure, "f: wrong result"):
            compare.read_google_benchmark({"benchmarks": [row]})

    def test_lines(self):
        text = "# versions: x 1.0\nscipy pava 12.5\nprose without a number\n\nscipy pava 12.0\nother 3\n"
        self.assertEqual(compare.read_lines(text), {"scipy pava": [12.5, 12.0], "other": [3.0]})

    def test_lines_with_a_header(self):
        text = "# peer\ttask\tn\tns_per_item\tmedian\nscipy\tpava\t1000\t6.5\t7.5\n"
        self.assertEqual(compare.read_lines(text), {"scipy/pava/1000": [6.5]})


class StatisticsTest(unittest.TestCase):
    def test_equal_runs_have_ratio_one_and_no_width(self):
        runs = [[2.0, 3.0]] * 5
        self.assertEqual(compare.ratio(runs, runs, min), {"ratio": 1.0, "low": 1.0, "high": 1.0})

    def test_ratio_is_b_over_a_within_rounds(self):
        a = [[1.0, 9.0, 2.0], [10.0, 90.0, 20.0], [5.0, 45.0, 10.0]]  # the machine slows down; B is hit alike
        b = [[3.0, 8.0, 5.0], [30.0, 80.0, 50.0], [15.0, 40.0, 25.0]]
        self.assertEqual(compare.ratio(a, b, min)["ratio"], 3.0)
        self.assertEqual(compare.ratio(a, b, statistics.median)["ratio"], 2.5)

    def test_bootstrap_of_three_values_spans_them(self):
        # The median of a resample of three equals the lowest value with probability 7/27, so 95 % reaches both ends.
        self.assertEqual(compare.bootstrap_median([1.0, 2.0, 4.0]), (1.0, 4.0))

    def test_bootstrap_interval_narrows_with_more_rounds_and_a_lower_level(self):
        draw = random.Random(5)
        values = [draw.lognormvariate(0, 0.1) for _ in range(100)]
        widths = []
        for subset, level in ((values[:10], 0.95), (values, 0.95), (values, 0.5)):
            low, high = compare.bootstrap_median(subset, level, resamples=500)
            self.assertLessEqual(low, statistics.median(subset))
            self.assertGreaterEqual(high, statistics.median(subset))
            widths.append(high - low)
        self.assertGreater(widths[0], widths[1])
        self.assertGreater(widths[1], widths[2])

    def test_interval_covers_the_true_ratio(self):
        draw = random.Random(7)
        covered = 0
        for _ in range(150):
            a = [[draw.lognormvariate(0, 0.05)] for _ in range(15)]
            b = [[2 * draw.lognormvariate(0, 0.05)] for _ in range(15)]
            ratios = [y[0] / x[0] for x, y in zip(a, b)]
            low, high = compare.bootstrap_median(ratios, resamples=200)
            covered += low <= 2 <= high
        # Nominal 142 of 150 with standard deviation 2.7; the bounds are four of these away.
        self.assertGreaterEqual(covered, 131)
        self.assertLess(covered, 150)

    def test_bootstrap_is_repeatable(self):
        values = [1.0, 1.1, 1.2, 1.3, 1.7]
        self.assertEqual(compare.bootstrap_median(values), compare.bootstrap_median(values))


class ClockTest(unittest.TestCase):
    def test_slow_loop_or_low_ghz_is_off(self):
        runs = [run({}, 1.0, 3.1), run({}, 1.04, 3.0), run({}, 1.2, 3.1), run({}, 1.0, 2.8), run({}, 1.0)]
        self.assertEqual(compare.off_clock(runs, 0.05), {2, 3})
        self.assertEqual(compare.off_clock(runs, 0.2), set())

    def test_a_round_is_dropped_when_either_side_is_off(self):
        a = [run({"f": [1.0]}) for _ in range(7)]
        b = [run({"f": [2.0]}) for _ in range(7)]
        a[1] = run({"f": [50.0]}, clock=2.0)
        b[2] = run({"f": [90.0]}, clock=2.0)
        outcome = compare.compare(a, b)
        self.assertEqual(outcome["dropped_rounds"], [1, 2])
        self.assertEqual(outcome["results"][0]["of_min"], {"ratio": 2.0, "low": 2.0, "high": 2.0})
        self.assertEqual(outcome["results"][0]["a_min_ns"], 1.0)
        self.assertEqual(outcome["results"][0]["b_median_ns"], 2.0)
        a[3] = run({"f": [1.0]}, clock=2.0)
        with self.assertRaisesRegex(compare.Failure, "steady in 4 of 7 rounds"):
            compare.compare(a, b)

    def test_clock_loop_measures_time(self):
        self.assertGreater(compare.clock_seconds(20_000), compare.clock_seconds(100))


class PairTest(unittest.TestCase):
    def test_rules(self):
        self.assertEqual(compare.pair_names(["f", "g"], ["g", "f", "h"], []), [("f", "f"), ("g", "g")])
        self.assertEqual(compare.pair_names(["f"], ["g"], []), [("f", "g")])
        self.assertEqual(compare.pair_names(["f", "x"], ["g", "x"], ["f=g"]), [("f", "g")])
        with self.assertRaisesRegex(compare.Failure, "no equal names"):
            compare.pair_names(["f", "g"], ["h"], [])
        for wrong in ("f", "f=z", "z=h"):
            with self.assertRaisesRegex(compare.Failure, "--pair"):
                compare.pair_names(["f"], ["h"], [wrong])


class EndToEndTest(unittest.TestCase):
    """Runs real commands; these write what a Google Benchmark program and a peer script write."""

    def call(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = compare.main(list(arguments))
        return status, out.getvalue(), err.getvalue()

    @staticmethod
    def python(code):
        return shlex.join([sys.executable, "-I", "-S", "-c", code])

    def test_report_against_lines(self):
        row = {"name": "f", "run_type": "iteration", "cpu_time": 2.0, "time_unit": "us"}
        report = json.dumps({"benchmarks": [row]})
        a = self.python(f"import os; open(os.environ['BENCHMARK_OUT'], 'w').write({report!r})")
        b = self.python("print('peer 5000')")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "out.json")
            # The clock of a loaded test machine is not what is tested here.
            status, out, err = self.call("--a", a, "--b", b, "-k", "5", "--clock-tolerance", "0.999", "--json", path)
            self.assertEqual((status, err), (0, ""))
            self.assertIn("2.500 [2.500, 2.500]", out)
            with open(path, encoding="utf-8") as file:
                record = json.load(file)
        self.assertEqual(record["results"][0]["of_min"]["ratio"], 2.5)
        self.assertEqual([r["times"] for r in record["b_runs"]], [{"peer": [5000.0]}] * 5)

    def test_too_few_rounds_are_refused(self):
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as err:
            compare.main(["--a", "x", "--b", "y", "-k", "4"])
        self.assertIn("at least 5", err.getvalue())

    def test_failures_are_told(self):
        good = self.python("print('f 1')")
        for bad, message in (
            (self.python("raise SystemExit(3)"), "exit status 3"),
            (self.python("print('nothing')"), "no measurement"),
            ("/nonexistent/program", "No such file"),
        ):
            status, out, err = self.call("--a", good, "--b", bad)
            self.assertEqual((status, out), (1, ""))
            self.assertIn(message, err)


if __name__ == "__main__":
    unittest.main()
