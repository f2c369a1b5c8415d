#!/usr/bin/env python3
"""Times what the public packages offer for multiclass calibration; one thread, CPU time. Options as calibration.py.

An item is one score: n scores are n / K rows of K classes. Peers of benchmarks/calibration/multiclass.cpp, with the same
kind of data: logits N(0, 4), classes drawn from softmax(0.7 z).

temperature: scipy.optimize.brentq on the gradient and minimize_scalar on the loss, both over scipy.special. vector: L-BFGS
with its gradient. matrix: L-BFGS with its gradient, and scikit-learn's LogisticRegression without penalty, which is the
same model. softmax: scipy.special.softmax.
"""

import sys

import calibration
from calibration import F32, np, peer, task

CLASSES = {"3": 3, "10": 10, "100": 100}

# Only the tasks of this file.
calibration.PEERS.clear()
calibration.VARIANTS.clear()


def rows(n, variant):
    k = CLASSES[variant]
    draw = np.random.default_rng(1)
    z = (2 * draw.standard_normal((n // k, k), F32)).astype(F32)
    e = np.exp(0.7 * z.astype(np.float64))
    total = np.cumsum(e, axis=1)
    y = np.sum(draw.random(len(z))[:, None] * total[:, -1:] >= total[:, :-1], axis=1)
    return z, y


def slope(a):
    return float(np.mean(a))


task("multiclass_temperature", list(CLASSES), tolerance=1e-3)


@peer("multiclass_temperature", "scipy_brentq", "scipy.optimize", "scipy.special")
def _(n, variant, optimize, special):
    z, y = rows(n, variant)
    at = np.arange(len(y))

    def gradient(beta):
        p = special.softmax(beta * z, axis=1)
        return float(np.sum(np.einsum("ij,ij->i", p, z) - z[at, y]))

    return lambda: optimize.brentq(gradient, 1e-3, 1e3, xtol=1e-9), slope


@peer("multiclass_temperature", "scipy_minimize", "scipy.optimize", "scipy.special")
def _(n, variant, optimize, special):
    z, y = rows(n, variant)
    at = np.arange(len(y))

    def loss(beta):
        return float(np.mean(special.logsumexp(beta * z, axis=1) - beta * z[at, y]))

    return lambda: optimize.minimize_scalar(loss, bounds=(1e-3, 10), method="bounded").x, slope


def linear_fit(n, variant, optimize, special, full):
    """L-BFGS over slopes (one a class, or a matrix) and intercepts."""
    z, y = rows(n, variant)
    z = z.astype(np.float64)
    count, k = z.shape
    at = np.arange(count)

    def parts(theta):
        w, b = theta[:-k].reshape((k, k) if full else k), theta[-k:]
        t = (z @ w.T if full else z * w) + b
        lse = special.logsumexp(t, axis=1)
        r = np.exp(t - lse[:, None])
        loss = np.mean(lse - t[at, y])
        r[at, y] -= 1
        g = r.T @ z if full else np.einsum("ij,ij->j", r, z)
        return loss, np.concatenate([g.ravel(), r.sum(0)]) / count

    start = np.concatenate([(np.eye(k) if full else np.ones(k)).ravel(), np.zeros(k)])
    call = lambda: optimize.minimize(parts, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-8}).x
    return call, lambda theta: parts(theta)[0]


# No 100 classes: without smoothed targets the few rows a class are separable, and L-BFGS does not end.
task("vector_scaling", ["3", "10"])


@peer("vector_scaling", "scipy_lbfgs", "scipy.optimize", "scipy.special")
def _(n, variant, optimize, special):
    return linear_fit(n, variant, optimize, special, full=False)


task("matrix_scaling", ["3", "10"])


@peer("matrix_scaling", "scipy_lbfgs", "scipy.optimize", "scipy.special")
def _(n, variant, optimize, special):
    return linear_fit(n, variant, optimize, special, full=True)


@peer("matrix_scaling", "sklearn", "sklearn.linear_model", "sklearn.metrics")
def _(n, variant, linear_model, metrics):
    z, y = rows(n, variant)
    z = z.astype(np.float64)
    model = linear_model.LogisticRegression(C=np.inf, tol=1e-6, max_iter=1000)
    return lambda: model.fit(z, y), lambda m: metrics.log_loss(y, m.predict_proba(z))


task("softmax", list(CLASSES))


@peer("softmax", "scipy", "scipy.special")
def _(n, variant, special):
    z, _ = rows(n, variant)
    beta = F32(0.7)
    return lambda: special.softmax(beta * z, axis=1), lambda p: np.mean(p.astype(np.float64) ** 2)


if __name__ == "__main__":
    calibration.__doc__ = __doc__
    sys.exit(calibration.main())
