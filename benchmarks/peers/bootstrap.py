#!/usr/bin/env python3
"""Times numpy and scipy on the task of benchmarks/metrics/bootstrap.cpp; options and output as calibration.py.

bootstrap_mean: 100 replicates of the mean over users; n counts pairs of user and replicate, so 1e6 are 10000 users. numpy_poisson draws weights
with the generator SFC64 and multiplies them with the values; numpy_choice draws users with replacement; scipy is scipy.stats.bootstrap
for percentile intervals. They must agree in the standard error, which 100 replicates know to 7 % (one deviation).
"""

import sys

import numpy as np

import calibration
from calibration import peer, probabilities, task

REPLICATES = 100

calibration.PEERS.clear()
calibration.VARIANTS.clear()
task("bootstrap_mean", ["users"], 0.3)


def users(n):
    return probabilities(n // REPLICATES).astype(np.float64)


@peer("bootstrap_mean", "numpy_poisson", "numpy.random")
def _(n, variant, random):
    x, rng = users(n), random.Generator(random.SFC64(1))

    def run():
        means = np.empty(REPLICATES)
        for r in range(REPLICATES):
            w = rng.poisson(1.0, x.size)
            means[r] = (w @ x) / w.sum()
        return means

    return run, lambda means: np.std(means, ddof=1)


@peer("bootstrap_mean", "numpy_choice", "numpy.random")
def _(n, variant, random):
    x, rng = users(n), random.Generator(random.SFC64(1))

    def run():
        return np.array([x[rng.integers(0, x.size, x.size)].mean() for _ in range(REPLICATES)])

    return run, lambda means: np.std(means, ddof=1)


@peer("bootstrap_mean", "scipy", "scipy.stats")
def _(n, variant, stats):
    x, rng = users(n), np.random.Generator(np.random.SFC64(1))

    def run():
        return stats.bootstrap(
            (x,), np.mean, n_resamples=REPLICATES, method="percentile", batch=10, vectorized=True, rng=rng
        )

    return run, lambda result: result.standard_error


if __name__ == "__main__":
    sys.exit(calibration.main())
