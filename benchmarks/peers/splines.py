#!/usr/bin/env python3
"""Times public packages on the tasks of benchmarks/calibration/{venn_abers,spline}.cpp; options and output as calibration.py.

venn_abers_fit: the precomputation of the package venn-abers (its cost grows with rows times changes of p1, so try small n first), and the
form of the paper in numpy with scipy's isotonic regression for the minorant. venn_abers_apply: the look-up of the package, and numpy's. The
splines: scipy and scikit-learn with the same knots.
"""

import sys

import numpy as np

import calibration
from calibration import F32, labels, peer, probabilities, task

calibration.PACKAGES["venn_abers"] = "venn-abers"
KNOTS = 6

calibration.PEERS.clear()
calibration.VARIANTS.clear()
task("venn_abers_fit", ["distinct", "ties1000"], 1e-6)


def scored(n, variant):
    p = probabilities(n, calibration.TIES[variant])
    return p, labels(p)


def middle(p0, p1, scores, p):
    """Mean point value over the first rows."""
    p = p[:1000].astype(np.float64)
    low, high = p0[np.searchsorted(scores, p, "right")], p1[np.searchsorted(scores, p, "left")]
    return np.mean(high / (1 - low + high))


@peer("venn_abers_fit", "venn_abers", "venn_abers.venn_abers")
def _(n, variant, package):
    p, y = scored(n, variant)
    two, y = np.stack([1 - p, p], 1).astype(np.float64), y.astype(np.float64)
    return lambda: package.calc_p0p1(two, y), lambda r: middle(r[0][:, 1], r[1][:, 1], r[2], p)


def hull_tangents(x, y, hull, unit):
    """For corners in order: slope of the line from the lowest corner so far, moved by the test point, to the minorant."""
    values = np.empty(len(x))
    vertex, at, value = 0, 0, None
    for k in range(len(x)):
        if value is None or y[k] - y[at] < value * (x[k] - x[at]):
            at = k
            while True:
                v = hull[vertex]
                value = (y[v] - y[at] + unit) / (x[v] - x[at] + 1)
                if vertex + 1 == len(hull):
                    break
                w = hull[vertex + 1]
                if (y[w] - y[v]) >= value * (x[w] - x[v]):
                    break
                vertex += 1
        values[k] = value
    return values


@peer("venn_abers_fit", "numpy_scipy", "scipy.optimize")
def _(n, variant, optimize):
    p, y = scored(n, variant)

    def fit():
        scores, count, positives = calibration.sort_with_labels(p, y)
        x, s = np.r_[0.0, np.cumsum(count)], np.r_[0.0, np.cumsum(positives)]
        blocks = optimize.isotonic_regression(positives / count, weights=count.astype(np.float64)).blocks
        p1 = hull_tangents(x, s, blocks, 1)
        # The mirror image: from the right, with the labels exchanged.
        mirror = hull_tangents(x[-1] - x[::-1], (x[-1] - x[::-1]) - (s[-1] - s[::-1]), len(x) - 1 - blocks[::-1], 1)
        return 1 - mirror[::-1], p1, scores

    return fit, lambda r: middle(*r, p)


task("venn_abers_apply", ["distinct"], 1e-6)


@peer("venn_abers_apply", "venn_abers", "venn_abers.venn_abers")
def _(n, variant, package):
    p, y = scored(10_000, variant)
    model = package.calc_p0p1(np.stack([1 - p, p], 1).astype(np.float64), y.astype(np.float64))
    queries = probabilities(n).astype(np.float64)
    two = np.stack([1 - queries, queries], 1)
    return lambda: package.calc_probs(*model, two)[0][:, 1], np.mean


task("spline_calibration_fit", ["labels"], 1e-3)


@peer("spline_calibration_fit", "numpy_scipy", "scipy.interpolate")
def _(n, variant, interpolate):
    p, y = scored(n, "distinct")

    def fit():
        scores, count, positives = calibration.sort_with_labels(p, y)
        t, h = np.cumsum(count) / n, np.cumsum(positives) / n
        at = np.linspace(0, 1, KNOTS)
        inner = interpolate.CubicSpline(at, np.eye(KNOTS), bc_type="natural")(t)[:, 1:-1]
        values = np.linalg.solve(inner.T @ (inner * count[:, None]), inner.T @ (count * (h - h[-1] * t)))
        slope = interpolate.CubicSpline(at, np.r_[0.0, values, 0.0], bc_type="natural").derivative()
        ranks = np.linspace(0, 1, 65)
        corners = np.minimum(np.searchsorted(t, ranks, "right"), len(t) - 1)
        return scores[corners], np.clip(h[-1] + slope(t[corners]), 0, 1)

    return fit, lambda knots: np.mean(knots[1])


task("spline_logit_fit", ["labels"], 1e-3)


@peer("spline_logit_fit", "sklearn", "sklearn.linear_model", "scipy.interpolate")
def _(n, variant, linear_model, interpolate):
    p, y = scored(n, "distinct")
    model = linear_model.LogisticRegression(C=1e6, solver="newton-cholesky", tol=1e-6)

    def fit():
        z = np.log(p / (1 - p), dtype=np.float64)
        at = np.quantile(z, np.linspace(0.05, 0.95, KNOTS))
        basis = interpolate.CubicSpline(at, np.eye(KNOTS), bc_type="natural")
        inside = np.clip(z, at[0], at[-1])
        columns = basis(inside)[:, 1:] + basis(inside, 1)[:, 1:] * (z - inside)[:, None]
        return model.fit(columns, y).predict_proba(columns[:1000])[:, 1]

    return fit, np.mean


if __name__ == "__main__":
    sys.exit(calibration.main())
