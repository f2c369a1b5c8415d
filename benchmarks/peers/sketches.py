#!/usr/bin/env python3
"""Times Apache DataSketches on the tasks of benchmarks/percentile/kll.cpp; options and output as calibration.py.

kll_absorb: a column into one sketch. kll_merge: n sketches of 1000 values into one. kll_cdf: ranks of sorted queries, the batch form
that the package has. kll_users: one sketch per user for views that are sorted by user already. With --errors it prints instead, for
each n, the size of rank errors over 20 sketches at 99 points in % of n, the bytes of a sketch, and what the package promises.
"""

import sys

import numpy as np

import calibration
from calibration import F32, logits, peer, task

K = 200

calibration.PEERS.clear()
calibration.VARIANTS.clear()


def values_of(n):
    return np.exp(logits(n))


def sketch_of(package, values):
    sketch = package.kll_floats_sketch(K)
    sketch.update(values)
    return sketch


task("kll_absorb", ["lognormal"])


@peer("kll_absorb", "datasketches", "datasketches")
def _(n, variant, package):
    x = values_of(n)
    return lambda: sketch_of(package, x), lambda sketch: sketch.n


task("kll_merge", ["lognormal"])


@peer("kll_merge", "datasketches", "datasketches")
def _(n, variant, package):
    parts = [sketch_of(package, x) for x in values_of(10**6).reshape(1000, 1000)]

    def merge():
        sketch = package.kll_floats_sketch(K)
        for i in range(n):
            sketch.merge(parts[i % 1000])
        return sketch

    return merge, lambda sketch: sketch.n


task("kll_cdf", ["lognormal"])


@peer("kll_cdf", "datasketches", "datasketches")
def _(n, variant, package):
    sketch = sketch_of(package, values_of(10**6))
    queries = np.unique(values_of(n)).tolist()
    return lambda: sketch.get_cdf(queries), lambda ranks: ranks[len(ranks) // 2]


task("kll_users", ["lognormal"])


@peer("kll_users", "datasketches", "datasketches")
def _(n, variant, package):
    users = np.sort(calibration.field_ids(n, n // 100, zipf=True))
    groups = np.split(values_of(n), np.flatnonzero(np.diff(users)) + 1)
    return lambda: [sketch_of(package, x) for x in groups], lambda sketches: sum(s.n for s in sketches)


def print_errors():
    import datasketches

    print("# n\trms_%\tp99_%\tpromised_%\tretained\tbytes")
    for n in (10**3, 10**4, 10**5, 10**6, 10**7):
        x = values_of(n)
        ordered = np.sort(x)
        at = ordered[(n * np.arange(1, 100) / 100).astype(int)]
        exact = (np.searchsorted(ordered, at, "left") + np.searchsorted(ordered, at, "right")) / 2 / n
        errors = []
        for _ in range(20):
            sketch = sketch_of(datasketches, x)
            ranks = [(sketch.get_rank(q) + sketch.get_rank(q, True)) / 2 for q in at]
            errors += list(100 * np.abs(ranks - exact))
        row = [np.sqrt(np.mean(np.square(errors))), np.quantile(errors, 0.99), 100 * sketch.normalized_rank_error(False)]
        print(n, *(f"{v:.4g}" for v in row), sketch.num_retained, len(sketch.serialize()), sep="\t", flush=True)


if __name__ == "__main__":
    if "--errors" in sys.argv:
        print_errors()
        sys.exit(0)
    sys.exit(calibration.main())
