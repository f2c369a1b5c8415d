#!/usr/bin/env python3
"""Prints how time per pair and memory of the contrastive losses grow with the batch, beside PyTorch.

    growth.py --programs build/release/benchmarks --python build/venv-peers/bin/python [--n 1024 4096 16384 65536] [--rounds 1]
              [--json growth.json] [--svg growth.svg]
    growth.py --from growth.json [--svg growth.svg]

Unit rows, D = 128, one thread. Every round runs bench_losses_growth and then peers/contrastive.py, size by size, so that both see the machine
in the same minutes: times are minima over the rounds, ratios medians of the ratios of each round. `extra` is how far resident memory rises above inputs and
outputs, for PyTorch with the stock allocator. PyTorch is not asked beyond --most-torch, where its logits leave the memory of small machines.
--json keeps the figures, written anew after each size; --from takes them from there and runs nothing. --svg draws the losses with gradients.
"""
import argparse
import json
import statistics

import chart
import runs

LOSSES = {
    "info_nce": ("torch_eager", "torch_compile", "torch_chunked"),
    "info_nce_gradients": ("torch_eager", "torch_compile", "torch_chunked"),
    "clip": ("torch_one_product_eager", "torch_one_product_compile", "torch_chunked"),
    "clip_gradients": ("torch_one_product_eager", "torch_one_product_compile", "torch_chunked"),
}
DRAWN = {"info_nce_gradients": ("InfoNCE", False), "clip_gradients": ("symmetric loss", True)}  # in the legend; hollow dots
NAMES = {"reckon": "reckon", "eager": "PyTorch eager", "compile": "torch.compile", "chunked": "PyTorch by hand, in blocks"}


# Measuring. A record has rows, one a loss and size: {loss, n, reckon: {ns/pair: [one a round], extra MiB}, peers: {name: the same}}.


def run_reckon(options, loss, n):
    """(context of the run, ns per pair, MiB)"""
    found = runs.report(options.programs, "losses_growth", f"^growth_{loss}/{n}(/|$)")
    return found["context"], found["benchmarks"][0]["ns/item"], found["benchmarks"][0]["extra MiB"]


def run_torch(options, loss, n, *more):
    return runs.peer_lines(options.python, "contrastive.py", n, loss, "--peer", *options.peers[loss], *more)


def measured(options, record, loss, n):
    """The row of a loss and a size. The record is told where and when."""
    ours, extras, peers = [], [], {}
    for _ in range(options.rounds):
        context, ns, mebibytes = run_reckon(options, loss, n)
        for key in ("date", "machine", "num_cpus"):
            record.setdefault(key, context.get(key))
        ours.append(ns)
        extras.append(mebibytes)
        if options.python and n <= options.most_torch and options.peers[loss]:
            lines = run_torch(options, loss, n)
            record.setdefault("packages", lines[0][0].lstrip("# "))
            for peer, peer_ns in runs.peer_times(lines).items():
                peers.setdefault(peer, {"ns/pair": [], "extra MiB": None})["ns/pair"].append(peer_ns)
    if peers and not options.no_memory:
        for line in run_torch(options, loss, n, "--memory"):
            if line[0] == "# memory":
                peers[line[1]]["extra MiB"] = float(line[4])
    return {"loss": loss, "n": n, "reckon": {"ns/pair": ours, "extra MiB": max(extras)}, "peers": peers}


# Showing.


def logits(n):
    """MiB."""
    return 4 * n * n / 2**20


def show_row(row):
    def cell(value, digits=1):
        return "" if value is None else f"{value:.{digits}f}"

    ours = row["reckon"]
    start = f"| {row['loss']} | {row['n']} | {min(ours['ns/pair']):.2f} | {cell(ours['extra MiB'])} | {logits(row['n']):.0f} |"
    if not row["peers"]:
        print(start, " | | | |", flush=True)
    for peer, theirs in row["peers"].items():
        ratio = statistics.median(b / a for b, a in zip(theirs["ns/pair"], ours["ns/pair"]))
        print(start, f"{peer} | {min(theirs['ns/pair']):.2f} | {ratio:.2f} | {cell(theirs['extra MiB'])} |", flush=True)


def picture(record):
    """SVG of time and memory against N, of the losses in DRAWN."""
    colours = dict(zip(NAMES, chart.COLOURS))
    times, extras, sizes = {}, {}, set()
    for row in record["rows"]:
        if row["loss"] not in DRAWN:
            continue
        sizes.add(row["n"])
        for name, figures in {"reckon": row["reckon"], **row["peers"]}.items():
            key = row["loss"], name.rsplit("_", 1)[-1]
            times.setdefault(key, []).append((row["n"], min(figures["ns/pair"])))
            extras.setdefault(key, []).append((row["n"], figures["extra MiB"]))

    def curves(points):  # reckon last, so that it lies above the others
        keys = [(loss, name) for name in reversed(NAMES) for loss in DRAWN if (loss, name) in points]
        return [chart.Curve(points[key], colours[key[1]], DRAWN[key[0]][1]) for key in keys]

    alone = chart.Curve([(n, logits(n)) for n in sizes], chart.SOFT, dashed=True)
    panels = [
        {"title": "Time", "x_label": "N, queries and keys", "y_label": "ns per pair", "log_y": False, "curves": curves(times)},
        {"title": "Memory beyond inputs and outputs", "x_label": "N, queries and keys", "y_label": "extra MiB", "log_y": True,
         "curves": [*curves(extras), alone]},
    ]
    shown = {name for _, name in times}
    legend = [[(NAMES[name], chart.Curve([], colours[name])) for name in NAMES if name in shown],
              [*((text, chart.Curve([], chart.SOFT, hollow)) for text, hollow in DRAWN.values()), ("the logits alone", alone)]]
    day = f", {record['date'][:10]}" if record.get("date") else ""
    return chart.draw("Contrastive losses with both gradients: growth with the batch",
                      f"unit rows, D = 128, float, one thread{day}", panels, legend)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", help="folder with bench_losses_growth")
    parser.add_argument("--python", help="interpreter with PyTorch; without it reckon alone")
    parser.add_argument("--n", type=runs.size, nargs="+", default=[1024, 4096, 16384, 65536])
    parser.add_argument("--loss", nargs="+", choices=list(LOSSES), default=list(LOSSES))
    parser.add_argument("--peer", nargs="+", help="only these peers")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--most-torch", type=int, default=16384)
    parser.add_argument("--no-memory", action="store_true", help="of the peers")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    parser.add_argument("--from", metavar="FILE", dest="source", help="take the figures from there")
    parser.add_argument("--svg", metavar="FILE", help="draw them there")
    options = parser.parse_args(arguments)
    if not options.programs and not options.source:
        parser.error("--programs or --from is needed")
    options.peers = {loss: [p for p in peers if not options.peer or p in options.peer] for loss, peers in LOSSES.items()}
    print("| loss | N | reckon ns/pair | reckon extra MiB | logits MiB | peer | peer ns/pair | peer / reckon | peer extra MiB |")
    print("| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |")
    if options.source:
        with open(options.source, encoding="utf-8") as file:
            record = json.load(file)
        for row in record["rows"]:
            show_row(row)
    else:
        record = {"rounds": options.rounds, "rows": []}
        for loss, n in [(loss, n) for loss in options.loss for n in options.n]:
            record["rows"].append(measured(options, record, loss, n))
            show_row(record["rows"][-1])
            if options.json:
                with open(options.json, "w", encoding="utf-8") as file:
                    json.dump(record, file, indent=1)
                    file.write("\n")
    if options.svg:
        with open(options.svg, "w", encoding="utf-8") as file:
            file.write(picture(record))


if __name__ == "__main__":
    main()
