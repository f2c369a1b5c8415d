#!/usr/bin/env python3
"""Prints how time per pair and memory of the contrastive losses grow with the batch, beside PyTorch.

    growth.py --programs build/release/benchmarks --python build/venv-peers/bin/python [--n 1024 4096 16384 65536] [--rounds 1]

Unit rows, D = 128, one thread. Every round runs bench_losses_growth and then peers/contrastive.py, size by size, so that both see the machine
in the same minutes: times are minima over the rounds, ratios medians of the ratios of each round. `extra` is how far resident memory rises above inputs and
outputs, for PyTorch with the stock allocator. PyTorch is not asked beyond --most-torch, where its logits leave the memory of small machines.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LOSSES = {
    "info_nce": ("torch_eager", "torch_compile", "torch_chunked"),
    "info_nce_gradients": ("torch_eager", "torch_compile", "torch_chunked"),
    "clip": ("torch_one_product_eager", "torch_one_product_compile", "torch_chunked"),
    "clip_gradients": ("torch_one_product_eager", "torch_one_product_compile", "torch_chunked"),
}


def run_reckon(options, loss, n):
    """ns per pair and MiB."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        subprocess.run([os.path.join(options.programs, "bench_losses_growth"), f"--benchmark_filter=^growth_{loss}/{n}(/|$)", "--benchmark_min_time=0.2",
                        "--benchmark_out=" + report.name, "--benchmark_out_format=json"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        case = json.load(open(report.name))["benchmarks"][0]
    if case.get("error_occurred"):
        sys.exit(f"{case['name']}: {case['error_message']}")
    return case["ns/item"], case["extra MiB"]


def run_torch(options, loss, n, *more):
    """Lines of the peers: lists of columns."""
    command = [options.python, os.path.join(HERE, "../peers/contrastive.py"), "--n", str(n), "--task", loss, "--repeat", "3", "--budget", "1", "--peer", *options.peers[loss]]
    out = subprocess.run([*command, *more], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, universal_newlines=True).stdout
    return [line.split("\t") for line in out.splitlines()]


def times(options, loss, n):
    return {row[0]: float(row[4]) for row in run_torch(options, loss, n) if not row[0].startswith("#")}


def memory(options, loss, n):
    return {row[1]: float(row[4]) for row in run_torch(options, loss, n, "--memory") if row[0] == "# memory"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="folder with bench_losses_growth")
    parser.add_argument("--python", help="interpreter with PyTorch; without it reckon alone")
    parser.add_argument("--n", type=lambda text: int(float(text)), nargs="+", default=[1024, 4096, 16384, 65536])
    parser.add_argument("--loss", nargs="+", choices=list(LOSSES), default=list(LOSSES))
    parser.add_argument("--peer", nargs="+", help="only these peers")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--most-torch", type=int, default=16384)
    parser.add_argument("--no-memory", action="store_true", help="of the peers")
    options = parser.parse_args()
    options.peers = {loss: [p for p in peers if not options.peer or p in options.peer] for loss, peers in LOSSES.items()}
    print("| loss | N | reckon ns/pair | reckon extra MiB | logits MiB | peer | peer ns/pair | peer / reckon | peer extra MiB |")
    print("| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |")
    for loss in options.loss:
        for n in options.n:
            ours, extra, theirs = [], 0.0, {}
            for _ in range(options.rounds):
                ns, mebibytes = run_reckon(options, loss, n)
                ours.append(ns)
                extra = max(extra, mebibytes)
                if options.python and n <= options.most_torch and options.peers[loss]:
                    for peer, peer_ns in times(options, loss, n).items():
                        theirs.setdefault(peer, []).append(peer_ns)
            held = memory(options, loss, n) if theirs and not options.no_memory else {}
            start = f"| {loss} | {n} | {min(ours):.2f} | {extra:.1f} | {4 * n * n / 2**20:.0f} |"
            if not theirs:
                print(start, " | | | |", flush=True)
            for peer, values in theirs.items():
                ratio = statistics.median(theirs_ns / ns for theirs_ns, ns in zip(values, ours))
                print(start, f"{peer} | {min(values):.2f} | {ratio:.2f} | {held.get(peer, float('nan')):.1f} |", flush=True)


if __name__ == "__main__":
    main()
