"""Runs a benchmark program or a script of peers once, for table.py and growth.py."""
import json
import os
import subprocess
import sys
import tempfile

PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../peers")


def size(text):
    """A number of items as a user writes it: 4096, 1e6."""
    return int(float(text))


def output(command):
    """What a command prints; ends with its messages if it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr or done.stdout}".rstrip())
    return done.stdout


def report(programs, program, pattern):
    """The report of bench_<program> on the cases that match, as Google Benchmark writes it."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        output([os.path.join(programs, "bench_" + program), "--benchmark_filter=" + pattern, "--benchmark_min_time=0.2",
                "--benchmark_out=" + file.name, "--benchmark_out_format=json"])
        found = json.load(file)
    for case in found["benchmarks"]:
        if case.get("error_occurred"):
            sys.exit(f"{case['name']}: {case['error_message']}")
    return found


def peer_lines(python, script, n, task, *more):
    """Lines of a script in peers/: lists of columns."""
    out = output([python, os.path.join(PEERS, script), "--n", str(n), "--task", task, "--repeat", "3", "--budget", "1", *more])
    return [line.split("\t") for line in out.splitlines()]


def peer_times(lines):
    """ns/item by peer."""
    return {line[0]: float(line[4]) for line in lines if not line[0].startswith("#")}
