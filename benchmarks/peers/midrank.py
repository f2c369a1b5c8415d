#!/usr/bin/env python3
"""Times public packages on the task of benchmarks/percentile/ecdf_midrank.cpp; options and output as calibration.py.

midrank: percentile (rank - 1/2) / n of each row among the rows of its group, ties share the mean rank. 100 rows a group on
average, sizes uniform, rows of a group next to each other; `seconds` are whole numbers, a third of them 0. Groups come as the
ids of the rows, which ascend; numpy sorts (group, value) as one key of 64 bits, the best known form without a loop.
"""

import sys

import numpy as np

import calibration
from calibration import F32, peer, task

calibration.PEERS.clear()
calibration.VARIANTS.clear()
task("midrank", ["distinct", "seconds"], 1e-6)

WEIGHTS = np.random.default_rng(9).random(997)


def rows(n, variant):
    draw = np.random.default_rng(8)
    y = np.exp(2 + 1.2 * draw.standard_normal(n)).astype(F32)
    if variant == "seconds":
        y = np.where(draw.random(n) < 1 / 3, 0, np.floor(y)).astype(F32)
    sizes = draw.integers(1, 200, n)
    group = np.repeat(np.arange(n), sizes)[:n]
    return group.astype(np.uint32), y


def figure(percentiles):
    p = np.asarray(percentiles, np.float64)
    return np.sum(p * np.resize(WEIGHTS, p.size)) / p.size


@peer("midrank", "pandas", "pandas")
def _(n, variant, pd):
    group, y = rows(n, variant)
    frame = pd.DataFrame({"g": group, "y": y})

    def rank():
        grouped = frame.groupby("g", sort=False)["y"]
        return (grouped.rank() - 0.5) / grouped.transform("size")

    return rank, figure


@peer("midrank", "polars", "polars")
def _(n, variant, pl):
    group, y = rows(n, variant)
    frame = pl.DataFrame({"g": group, "y": y})
    share = ((pl.col("y").rank("average") - 0.5) / pl.len()).over("g")
    return lambda: frame.select(share)["y"], lambda p: figure(p.to_numpy())


@peer("midrank", "numpy", "numpy")
def _(n, variant, _numpy):
    group, y = rows(n, variant)

    def rank():
        bits = y.view(np.uint32)  # values are not negative: their bits order as they do
        keys = (group.astype(np.uint64) << 32) | bits
        order = np.argsort(keys)
        keys = keys[order]
        runs = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        middle = np.repeat((runs + np.r_[runs[1:], n]) * 0.5, np.diff(np.r_[runs, n]))
        heads = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        sizes = np.diff(np.r_[heads, n])
        out = np.empty(n)
        out[order] = middle
        return (out - np.repeat(heads, sizes)) / np.repeat(sizes, sizes)

    return rank, figure


if __name__ == "__main__":
    sys.exit(calibration.main())
