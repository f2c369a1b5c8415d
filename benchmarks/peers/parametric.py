#!/usr/bin/env python3
"""Times public packages for beta calibration; options and output as calibration.py.

    parametric.py [--n 10000 1000000] [--repeat 7]

betacal fits scikit-learn's LogisticRegression to ln s and -ln(1 - s) and refits without a coefficient that is negative.
scipy minimises the same log-loss with its gradient by L-BFGS-B under a, b >= 0, from logarithms made once in float32.
"""

import sys

import numpy as np

import calibration

calibration.__doc__ = __doc__
calibration.PEERS.clear()
calibration.VARIANTS.clear()
calibration.task("beta", ["labels"], 5e-3)


def bent(n):
    s = calibration.probabilities(n)
    z = 0.8 * np.log(s.astype(np.float64)) - 1.3 * np.log1p(-s.astype(np.float64)) + 0.2
    return s, calibration.labels(calibration.sigmoid(z))


@calibration.peer("beta", "betacal", "betacal")
def _(n, variant, betacal):
    s, y = bent(n)
    return lambda: betacal.BetaCalibration("abm").fit(s.reshape(-1, 1), y), lambda m: m.predict(s[:1000]).mean()


@calibration.peer("beta", "scipy", "scipy.optimize")
def _(n, variant, optimize):
    s, y = bent(n)

    def fit():
        x = np.stack([np.log(s), -np.log1p(-s), np.ones_like(s)])

        def loss(theta):
            z = theta.astype(np.float32) @ x
            e = np.exp(-np.abs(z))
            p = np.where(z < 0, e, np.float32(1)) / (1 + e)
            value = np.mean(np.maximum(z, 0) + np.log1p(e) - y * z, dtype=np.float64)
            return value, (x @ (p - y)).astype(np.float64) / n

        bounds = [(0, None), (0, None), (None, None)]
        return optimize.minimize(loss, np.array([1.0, 1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds).x

    def figure(theta):
        t = s[:1000].astype(np.float64)
        return calibration.sigmoid(theta[0] * np.log(t) - theta[1] * np.log1p(-t) + theta[2]).mean()

    return fit, figure


if __name__ == "__main__":
    sys.exit(calibration.main())
