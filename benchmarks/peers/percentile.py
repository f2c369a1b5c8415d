#!/usr/bin/env python3
"""Times NumPy and SciPy on the tasks of benchmarks/percentile/{contrast_labels,row_percentile}.cpp; options and output as calibration.py.

An item is one anchor, or one candidate of a visit of 16. contrast_labels: rows of random users gathered and compared in blocks that
stay in cache, in float32. row_percentiles: the same broadcast over the candidates of a visit, and numpy's searchsorted in the sorted row, visit
after visit (its cost a call is most of it). soft_bce: value and gradient from scipy's expit and numpy's logaddexp.
"""

import sys

import numpy as np

import calibration
from calibration import F32, logits, peer, probabilities, task, weights

calibration.PEERS.clear()
calibration.VARIANTS.clear()
SHAPES = {f"users1e{e}_slots{r}": (10**e, r) for e in (4, 5, 6) for r in (64, 256)}
BLOCK = 1024


def feedback(n, seed):
    draw = np.random.default_rng(seed)
    y = np.exp(F32(1.5) * draw.standard_normal(n, F32))
    y[draw.random(n, F32) < 0.8] = 0
    return y


def histories(variant):
    users, slots = SHAPES[variant]
    block = feedback(1 << 20, 1)
    return np.resize(block, users * slots).reshape(users, slots)


task("contrast_labels", list(SHAPES), 1e-4)


@peer("contrast_labels", "numpy")
def _(n, variant):
    rows, y = histories(variant), feedback(n, 2)
    users = np.random.default_rng(3).integers(0, len(rows), n)
    out = np.empty(n, F32)

    def label():
        for i in range(0, n, BLOCK):
            row, own = rows[users[i : i + BLOCK]], y[i : i + BLOCK, None]
            won = np.count_nonzero(row < own, axis=1) + np.count_nonzero(row <= own, axis=1)
            np.divide(won, 2 * rows.shape[1], out=out[i : i + BLOCK], casting="unsafe")
        return out

    return label, np.mean


task("row_percentiles", ["slots64", "slots256"], 1e-4)
CANDIDATES = 16


def visits(n, variant):
    slots = int(variant[5:])
    rows = np.sort(np.resize(feedback(1 << 20, 1) + 1, 1000 * slots).reshape(1000, slots), axis=1)
    users = np.random.default_rng(3).integers(0, len(rows), n // CANDIDATES)
    return rows, users, (feedback(len(users) * CANDIDATES, 2) + 1).reshape(-1, CANDIDATES)


@peer("row_percentiles", "numpy_broadcast")
def _(n, variant):
    rows, users, queries = visits(n, variant)
    out = np.empty(queries.shape, F32)

    def rank():
        for i in range(0, len(users), 64):
            row, q = rows[users[i : i + 64], None, :], queries[i : i + 64, :, None]
            won = np.count_nonzero(row < q, axis=2) + np.count_nonzero(row <= q, axis=2)
            np.divide(won, 2 * rows.shape[1], out=out[i : i + 64], casting="unsafe")
        return out

    return rank, np.mean


@peer("row_percentiles", "numpy_searchsorted")
def _(n, variant):
    rows, users, queries = visits(n, variant)
    out = np.empty(queries.shape, F32)

    def rank():
        for i, u in enumerate(users):
            row = rows[u]
            won = row.searchsorted(queries[i], "left") + row.searchsorted(queries[i], "right")
            np.divide(won, 2 * rows.shape[1], out=out[i], casting="unsafe")
        return out

    return rank, np.mean


task("soft_bce", ["weighted"], 1e-4)


@peer("soft_bce", "numpy_scipy", "scipy.special")
def _(n, variant, special):
    z, c, w = logits(n), probabilities(n, 0), weights(n)
    p, loss, zero = np.empty(n, F32), np.empty(n, F32), F32(0)

    def both():
        special.expit(z, out=p)
        np.logaddexp(zero, z, out=loss)
        np.subtract(loss, c * z, out=loss)
        np.subtract(p, c, out=p)
        np.multiply(p, w, out=p)
        return np.dot(loss, w), p

    return both, lambda r: r[0]


if __name__ == "__main__":
    sys.exit(calibration.main())
