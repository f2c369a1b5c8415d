#!/usr/bin/env python3
"""Times public packages on the tasks of benchmarks/metrics/{user_auc,rank_correlation}.cpp; options and output as calibration.py.

uauc: lists of 100 rows or 5 .. 1000, 30 % positives. numpy does all lists of 100 at once with a double argsort, and scores
without ties, so that ranks need no midranks; polars ranks within groups. scikit-learn is called list by list. uauc_graded:
whole seconds as labels, scipy.stats.somersd list by list (at most 2e4 rows). uauc_distinct: labels without ties, because
xgboost's grouped auc counts pairs of equal labels too, by their row order, and is another figure with ties. xauc: all pairs
of graded labels by scipy.stats.kendalltau, which sorts and counts as Knight did: (tau_b sqrt(first / second) + 1) / 2.
"""

import sys

import numpy as np

import calibration
from calibration import F32, peer, probabilities, task

calibration.PEERS.clear()
calibration.VARIANTS.clear()


def offsets(n, variant):
    if variant == "lists100":
        return np.arange(0, n + 1, 100)
    ends = np.cumsum(np.random.default_rng(11).integers(5, 1001, n // 200 + 2))
    return np.r_[0, ends[ends < n], n]


def clicks(n):
    return np.random.default_rng(12).random(n, F32) < F32(0.3)


def seconds(n):
    return np.round(np.exp(3 + np.random.default_rng(13).standard_normal(n))).astype(F32)


def distinct_scores(n):
    """Scores without ties, exact in float32 up to n = 2^24."""
    return np.random.default_rng(14).permutation(n).astype(F32)


task("uauc", ["lists100", "ragged"], 1e-6)


@peer("uauc", "sklearn", "sklearn.metrics")
def _(n, variant, metrics):
    at, y = offsets(n, variant), clicks(n)
    s = distinct_scores(n)

    def uauc():
        total = used = 0
        for a, b in zip(at[:-1], at[1:]):
            if 0 < y[a:b].sum() < b - a:
                total += metrics.roc_auc_score(y[a:b], s[a:b])
                used += 1
        return total / used

    return uauc, float


def mean_of_rank_sums(ranks, positives, rows):
    """Mean over lists of (sum of positives' ranks - P (P + 1) / 2) / (P N)."""
    pairs = positives * (rows - positives)
    used = pairs > 0
    return np.mean((ranks - positives * (positives + 1) / 2)[used] / pairs[used])


@peer("uauc", "numpy")
def _(n, variant):
    at, y = offsets(n, variant), clicks(n)
    s = distinct_scores(n)
    if variant == "lists100":
        s, y = s.reshape(-1, 100), y.reshape(-1, 100)

        def uauc():
            ranks = np.argsort(np.argsort(s, axis=1), axis=1) + 1
            return mean_of_rank_sums((ranks * y).sum(axis=1), y.sum(axis=1), 100)

        return uauc, float
    user = np.repeat(np.arange(len(at) - 1), np.diff(at))

    def ragged():
        order = np.lexsort((s, user))
        ranks = np.arange(1, n + 1) - at[user]  # sorted rows keep the places of their list
        y_sorted = y[order]
        return mean_of_rank_sums(np.add.reduceat(ranks * y_sorted, at[:-1]),
                                 np.add.reduceat(y_sorted, at[:-1], dtype=np.int64), np.diff(at))

    return ragged, float


@peer("uauc", "polars", "polars")
def _(n, variant, polars):
    at, y = offsets(n, variant), clicks(n)
    user = np.repeat(np.arange(len(at) - 1, dtype=np.uint32), np.diff(at))
    frame = polars.DataFrame({"user": user, "s": distinct_scores(n), "y": y})
    c = polars.col

    def uauc():
        sums = frame.group_by("user").agg(
            r=(c("s").rank("average") * c("y")).sum(), p=c("y").sum().cast(polars.Int64), n=polars.len().cast(polars.Int64)
        )
        return mean_of_rank_sums(*(sums[k].to_numpy() for k in ("r", "p", "n")))

    return uauc, float


task("uauc_graded", ["lists100"], 1e-9)


@peer("uauc_graded", "scipy", "scipy.stats")
def _(n, variant, stats):
    s, y = probabilities(n), seconds(n)

    def uauc():
        return np.mean([(stats.somersd(y[a : a + 100], s[a : a + 100]).statistic + 1) / 2 for a in range(0, n, 100)])

    return uauc, float


@peer("uauc_graded", "numpy_pairs")
def _(n, variant):
    """All pairs of the lists, a few lists at a time so that they stay in cache."""
    s, y = probabilities(n).reshape(-1, 100), seconds(n).reshape(-1, 100)

    def uauc():
        total = 0
        for a in range(0, len(s), 4):
            p, g = s[a : a + 4], y[a : a + 4]
            more = g[:, :, None] > g[:, None, :]
            won = ((p[:, :, None] > p[:, None, :]) & more).sum((1, 2)) + ((p[:, :, None] >= p[:, None, :]) & more).sum((1, 2))
            total += np.sum(won / (2 * more.sum((1, 2))))
        return total / len(s)

    return uauc, float


task("uauc_distinct", ["lists100"], 1e-6)


def distinct_labels(n):
    return np.argsort(np.random.default_rng(15).random((n // 100, 100)), axis=1).ravel().astype(F32)


@peer("uauc_distinct", "xgboost", "xgboost")
def _(n, variant, xgboost):
    matrix = xgboost.DMatrix(np.zeros((n, 1), F32), label=distinct_labels(n), base_margin=probabilities(n))
    matrix.set_group(np.full(n // 100, 100))
    model = xgboost.Booster({"objective": "rank:pairwise", "eval_metric": "auc", "nthread": 1}, [matrix])
    return lambda: model.eval(matrix), lambda text: float(text.rsplit(":", 1)[1])


task("xauc", ["graded"], 1e-9)


@peer("xauc", "scipy_kendall", "scipy.stats")
def _(n, variant, stats):
    s, y = probabilities(n), seconds(n)

    def pairs(x):
        count = np.unique(x, return_counts=True)[1].astype(np.float64)
        return n * (n - 1) / 2 - np.sum(count * (count - 1)) / 2

    ratio = np.sqrt(pairs(s) / pairs(y))
    return lambda: stats.kendalltau(s, y).statistic, lambda tau: (tau * ratio + 1) / 2


task("spearman", ["graded"], 1e-9)


@peer("spearman", "scipy", "scipy.stats")
def _(n, variant, stats):
    s, y = probabilities(n), seconds(n)
    return lambda: stats.spearmanr(s, y).statistic, float


if __name__ == "__main__":
    sys.exit(calibration.main())
