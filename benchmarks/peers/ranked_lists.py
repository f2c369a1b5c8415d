#!/usr/bin/env python3
"""Times public packages on the tasks of benchmarks/metrics/ranked_lists.cpp; options and output as calibration.py.

Lists of 100 rows with grades 0 .. 4, one row in five relevant; an item is a row. Every peer gets what it likes: a matrix of lists for scikit-learn
and numpy, one ready DMatrix for xgboost (no trees: the scores are its base margin; the time is that of one evaluation), dictionaries that are
built beforehand for pytrec_eval (trec_eval). Peers of one task agree: scores have no ties worth mentioning, gains are linear.
"""

import sys

import numpy as np

import calibration
from calibration import F32, labels, peer, probabilities, task

calibration.PACKAGES["pytrec_eval"] = "pytrec_eval-terrier"
LENGTH, CUT = 100, 10

calibration.PEERS.clear()
calibration.VARIANTS.clear()
for name in ("ndcg10", "reciprocal_rank", "hit_rate10", "average_precision"):
    task(name, ["distinct"], 1e-3)


def lists(n):
    scores = probabilities(n)
    grades = labels(scores) * np.random.default_rng(9).integers(1, 5, n).astype(F32)
    scores, grades = scores.reshape(-1, LENGTH), grades.reshape(-1, LENGTH)
    relevant = (grades > 0).any(axis=1)  # tools differ about lists without a relevant row
    grades[~relevant, 0] = 1
    return scores, grades


@peer("ndcg10", "sklearn", "sklearn.metrics")
def _(n, variant, metrics):
    scores, grades = lists(n)
    return lambda: metrics.ndcg_score(grades, scores, k=CUT), float


@peer("ndcg10", "sklearn_ignore_ties", "sklearn.metrics")
def _(n, variant, metrics):
    scores, grades = lists(n)
    return lambda: metrics.ndcg_score(grades, scores, k=CUT, ignore_ties=True), float


def partial_order(scores, k):
    """Columns of the k best scores of each row, best first."""
    top = np.argpartition(-scores, k, axis=1)[:, :k]
    return np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), axis=1), 1)


@peer("ndcg10", "numpy", "numpy")
def _(n, variant, numpy):
    scores, grades = lists(n)
    discount = 1 / np.log2(np.arange(CUT) + 2)

    def run():
        dcg = np.take_along_axis(grades, partial_order(scores, CUT), 1) @ discount
        ideal = -np.sort(np.partition(-grades, CUT, axis=1)[:, :CUT], axis=1) @ discount
        return np.mean(dcg / ideal)

    return run, float


@peer("reciprocal_rank", "numpy", "numpy")
def _(n, variant, numpy):
    scores, grades = lists(n)

    def run():
        best = np.where(grades > 0, scores, -np.inf).max(axis=1)
        return np.mean(1 / (1 + (scores > best[:, None]).sum(axis=1)))

    return run, float


@peer("hit_rate10", "numpy", "numpy")
def _(n, variant, numpy):
    scores, grades = lists(n)

    def run():
        best = np.where(grades > 0, scores, -np.inf).max(axis=1)
        return np.mean((scores > best[:, None]).sum(axis=1) < CUT)

    return run, float


@peer("average_precision", "numpy", "numpy")
def _(n, variant, numpy):
    scores, grades = lists(n)
    ranks = np.arange(1, LENGTH + 1)

    def run():
        hit = np.take_along_axis(grades, np.argsort(-scores, axis=1), 1) > 0
        return np.mean((hit * np.cumsum(hit, axis=1) / ranks).sum(axis=1) / hit.sum(axis=1))

    return run, float


@peer("average_precision", "sklearn", "sklearn.metrics")
def _(n, variant, metrics):
    scores, grades = lists(n)
    relevant = grades > 0
    return lambda: metrics.label_ranking_average_precision_score(relevant, scores), float


def by_xgboost(metric, binary):
    def setup(n, variant, xgboost):
        scores, grades = lists(n)
        data = xgboost.DMatrix(np.zeros((n, 1), F32), label=(grades > 0 if binary else grades).ravel(),
                               base_margin=scores.ravel(), nthread=1)
        data.set_group(np.full(len(scores), LENGTH))
        booster = xgboost.Booster({"objective": "rank:ndcg", "eval_metric": metric, "ndcg_exp_gain": False, "base_score": 0.0,
                                   "nthread": 1}, [data])
        return lambda: booster.eval(data), lambda text: float(text.split(":")[-1])

    return setup


def by_trec(measure):
    def setup(n, variant, pytrec_eval):
        scores, grades = lists(n)
        judged = {str(q): {f"{d:03d}": int(g) for d, g in enumerate(row)} for q, row in enumerate(grades)}
        found = {str(q): {f"{d:03d}": float(s) for d, s in enumerate(row)} for q, row in enumerate(scores)}
        evaluator = pytrec_eval.RelevanceEvaluator(judged, {measure})
        key = measure.replace(".", "_")
        return lambda: evaluator.evaluate(found), lambda values: np.mean([v[key] for v in values.values()])

    return setup


peer("ndcg10", "xgboost", "xgboost")(by_xgboost(f"ndcg@{CUT}", False))
peer("average_precision", "xgboost", "xgboost")(by_xgboost(f"map@{LENGTH}", True))
for name, measure in (("ndcg10", "ndcg_cut.10"), ("reciprocal_rank", "recip_rank"), ("hit_rate10", "success.10"),
                      ("average_precision", "map")):
    peer(name, "trec_eval", "pytrec_eval")(by_trec(measure))


if __name__ == "__main__":
    sys.exit(calibration.main())
