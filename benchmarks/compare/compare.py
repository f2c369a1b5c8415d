#!/usr/bin/env python3
"""Compares two benchmark programs in interleaved runs: ratio of their times with a bootstrap interval.

    compare.py --a "build/bench_calibration_isotonic --benchmark_filter=pava" \\
               --b "python3 benchmarks/peers/calibration.py --task pava --peer scipy" \\
               --pair "pava/1000000=scipy/pava/1000000/binary" -k 10

Every round runs A, then B. A program is either a Google Benchmark program (its JSON report is taken, ns/item where it
is reported, else CPU time per iteration) or any other program that prints one measurement a line: `name ns_per_item`, or
tab-separated columns under a header `# ... <tab> ns_per_item` whose columns before that one make up the name.

Printed per pair: time of B / time of A, so above 1 A is faster; once from the minimum of each run, once from its median.
The figure is the median over rounds of the ratio within the round. Rounds in which the core ran slower than in others,
because of its clock or of other work on it, are left out and repeated, up to three times the rounds asked for.
"""

import argparse
import json
import os
import random
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

# The range of five ratios holds the median with probability 1 - 2/2^5 = 94 %, so with fewer no interval means anything.
LEAST_ROUNDS = 5
UNIT_IN_NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


class Failure(Exception):
    """A program failed or printed nothing that can be used; the message is for the user."""


# Reading what a program measured: {name: [ns, ns, ...]} with one value per repetition.


def read_google_benchmark(report):
    """Returns ({name: [ns]}, median GHz counter or None) of a Google Benchmark JSON report."""
    times, clocks = {}, []
    for row in report.get("benchmarks", []):
        if row.get("error_occurred"):
            raise Failure(f"{row['name']}: {row.get('error_message', 'error')}")
        if row.get("run_type") == "aggregate":
            continue
        ns = row["ns/item"] if "ns/item" in row else row["cpu_time"] * UNIT_IN_NS[row["time_unit"]]
        times.setdefault(row.get("run_name", row["name"]), []).append(float(ns))
        if "GHz" in row:
            clocks.append(float(row["GHz"]))
    return times, statistics.median(clocks) if clocks else None


def read_lines(text):
    """Returns {name: [ns]} of `name ns_per_item` lines; see the top of this file."""
    times, column = {}, None
    for line in text.splitlines():
        if line.startswith("#"):
            header = line.lstrip("# ").split("\t")
            if "ns_per_item" in header:
                column = header.index("ns_per_item")
            continue
        fields = line.split("\t") if column is not None else line.rsplit(None, 1)
        position = column if column is not None else 1
        try:
            ns = float(fields[position])
        except (IndexError, ValueError):
            continue  # prose between the measurements
        times.setdefault("/".join(field.strip() for field in fields[:position]), []).append(ns)
    return times


# Statistics.


def clock_seconds(loops=100_000):
    """CPU time of a fixed loop: shows whether the core ran slower than in other runs, whatever program is compared."""
    best = float("inf")
    for _ in range(8):
        start = time.thread_time()
        for _ in range(loops):
            pass
        best = min(best, time.thread_time() - start)
    return best


def off_clock(runs, tolerance):
    """Indices of the runs whose clock is more than `tolerance` below the best one seen.

    A run is a dict with `clock_seconds` (fixed loop, the slower of before and after) and optionally `ghz`.
    """
    best_loop = min(run["clock_seconds"] for run in runs)
    best_ghz = max((run["ghz"] for run in runs if run.get("ghz")), default=None)
    return {
        i
        for i, run in enumerate(runs)
        if run["clock_seconds"] * (1 - tolerance) > best_loop
        or (run.get("ghz") and run["ghz"] < best_ghz * (1 - tolerance))
    }


def bootstrap_median(values, level=0.95, resamples=2000, seed=1):
    """Percentile bootstrap interval of the median."""
    draw = random.Random(seed)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(resamples))
    tail = (1 - level) / 2
    return medians[int(tail * (resamples - 1))], medians[int((1 - tail) * (resamples - 1) + 0.5)]


def ratio(a_runs, b_runs, summary, level=0.95):
    """Median over rounds of summary(B)/summary(A) with its interval; each run is a list of repetitions in ns."""
    ratios = [summary(b) / summary(a) for a, b in zip(a_runs, b_runs, strict=True)]
    low, high = bootstrap_median(ratios, level)
    return {"ratio": statistics.median(ratios), "low": low, "high": high}


def pair_names(a_names, b_names, wanted):
    """Returns [(name in A, name in B)]: those asked for, else equal names, else the only name of each side."""
    if wanted:
        pairs = []
        for text in wanted:
            a, separator, b = text.partition("=")
            if not separator or a not in a_names or b not in b_names:
                raise Failure(f"--pair {text}: A has {sorted(a_names)}, B has {sorted(b_names)}")
            pairs.append((a, b))
        return pairs
    common = [name for name in a_names if name in b_names]
    if common:
        return [(name, name) for name in common]
    if len(a_names) == 1 and len(b_names) == 1:
        return [(next(iter(a_names)), next(iter(b_names)))]
    raise Failure(f"no equal names, use --pair: A has {sorted(a_names)}, B has {sorted(b_names)}")


def steady_rounds(a_runs, b_runs, tolerance):
    """Indices of the rounds in which neither run was off the clock."""
    rounds = len(a_runs)
    off = {i % rounds for i in off_clock(a_runs + b_runs, tolerance)}
    return [i for i in range(rounds) if i not in off]


def compare(a_runs, b_runs, wanted=(), tolerance=0.05, level=0.95):
    """The result as a dict; a_runs[i] and b_runs[i] belong to round i, each {times, clock_seconds, ghz}."""
    rounds = len(a_runs)
    kept = steady_rounds(a_runs, b_runs, tolerance)
    if len(kept) < LEAST_ROUNDS:
        loops = [1e3 * run["clock_seconds"] for run in a_runs + b_runs]
        raise Failure(
            f"the clock was steady in {len(kept)} of {rounds} rounds, which is fewer than {LEAST_ROUNDS} "
            f"(the fixed loop took {min(loops):.2f} to {max(loops):.2f} ms): the machine is busy"
        )
    results = []
    for a, b in pair_names(a_runs[0]["times"], b_runs[0]["times"], wanted):
        a_times = [a_runs[i]["times"][a] for i in kept]
        b_times = [b_runs[i]["times"][b] for i in kept]
        results.append(
            {
                "a": a,
                "b": b,
                "a_min_ns": min(map(min, a_times)),
                "b_min_ns": min(map(min, b_times)),
                "a_median_ns": statistics.median(map(statistics.median, a_times)),
                "b_median_ns": statistics.median(map(statistics.median, b_times)),
                "of_min": ratio(a_times, b_times, min, level),
                "of_median": ratio(a_times, b_times, statistics.median, level),
            }
        )
    dropped = [i for i in range(rounds) if i not in kept]
    return {"rounds": rounds, "dropped_rounds": dropped, "level": level, "results": results}


# Running.


def run_program(command):
    """Runs a command line and returns {times, clock_seconds, ghz}."""
    before = clock_seconds()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.json")
        # Google Benchmark reads its flags from the environment too, other programs do not care.
        environment = {**os.environ, "BENCHMARK_OUT": path, "BENCHMARK_OUT_FORMAT": "json"}
        try:
            done = subprocess.run(shlex.split(command), env=environment, capture_output=True, text=True, check=False)
        except OSError as error:
            raise Failure(f"{command}: {error}") from error
        if done.returncode != 0:
            raise Failure(f"{command}: exit status {done.returncode}\n{done.stderr or done.stdout}".rstrip())
        if os.path.exists(path) and os.path.getsize(path) > 0:
            with open(path, encoding="utf-8") as file:
                times, ghz = read_google_benchmark(json.load(file))
        else:
            times, ghz = read_lines(done.stdout), None
    if not times:
        raise Failure(f"{command}: no measurement in its output")
    return {"times": times, "clock_seconds": max(before, clock_seconds()), "ghz": ghz}


def show(outcome):
    percent = round(outcome["level"] * 100)
    print(f"{'A':<36} {'B':<36} {'A ns':>9} {'B ns':>9}  B/A, {percent} % interval: of minima, of medians")
    for row in outcome["results"]:
        parts = [f"{r['ratio']:.3f} [{r['low']:.3f}, {r['high']:.3f}]" for r in (row["of_min"], row["of_median"])]
        print(f"{row['a']:<36} {row['b']:<36} {row['a_min_ns']:9.4g} {row['b_min_ns']:9.4g}  {'  '.join(parts)}")
    if outcome["dropped_rounds"]:
        print(f"left out, clock off: {len(outcome['dropped_rounds'])} of {outcome['rounds']} rounds")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--a", required=True, help="first command line")
    parser.add_argument("--b", required=True, help="second command line")
    parser.add_argument("-k", "--rounds", type=int, default=10, help="rounds with a steady clock (default 10)")
    parser.add_argument("--pair", action="append", default=[], metavar="A=B", help="names to compare; repeatable")
    parser.add_argument("--clock-tolerance", type=float, default=0.05, help="slower runs are left out (default 0.05)")
    parser.add_argument("--level", type=float, default=0.95, help="level of the interval (default 0.95)")
    parser.add_argument("--json", metavar="FILE", help="also write the result there, with every run")
    options = parser.parse_args(arguments)
    if options.rounds < LEAST_ROUNDS:
        parser.error(f"--rounds must be at least {LEAST_ROUNDS}")
    if not 0 < options.level < 1:
        parser.error("--level must be between 0 and 1")
    try:
        a_runs, b_runs = [], []
        for _ in range(3 * options.rounds):
            a_runs.append(run_program(options.a))
            b_runs.append(run_program(options.b))
            if len(steady_rounds(a_runs, b_runs, options.clock_tolerance)) >= options.rounds:
                break
        outcome = compare(a_runs, b_runs, options.pair, options.clock_tolerance, options.level)
    except Failure as failure:
        print(f"compare: {failure}", file=sys.stderr)
        return 1
    show(outcome)
    if options.json:
        record = {"command_a": options.a, "command_b": options.b, **outcome, "a_runs": a_runs, "b_runs": b_runs}
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)
            file.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
