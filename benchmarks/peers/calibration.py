#!/usr/bin/env python3
"""Times the public packages that do what reckon's calibration and metrics headers do; one thread, CPU time.

    calibration.py [--n 10000 1000000] [--task pava auc] [--peer scipy] [--repeat 7]

Prints tab-separated lines `peer task n variant ns_per_item median_ns`: minimum and median over the repetitions. An item
is one example; for field_stats one row of one field, for wilson one interval, for confcalib_apply one row of three fields.
Float32 goes in wherever the peer takes it. Each peer gets its best known form: presorted input where the task says so,
reused output arrays, blocks that stay in cache. Peers of one task must agree in their result, else the script fails.

A package that cannot be imported is skipped and named. torchmetrics is left out because it needs PyTorch; netcal
imports it without using it here, so tests/fixtures/netcal_peer.py stands in for it.
"""

import argparse
import importlib
import importlib.metadata
import os
import statistics
import sys
import time

# Before any import that reads them.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ[variable] = "1"

try:
    import numpy as np
except ImportError:
    sys.exit("calibration.py needs numpy: pip install -r benchmarks/peers/requirements.txt")

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/fixtures"))

F32 = np.float32
PACKAGES = {"sklearn": "scikit-learn", "netcal_peer": "netcal"}  # import name to package name, where they differ
CELLS = {"cells1e3": 10**3, "cells1e5": 10**5, "cells1e6": 10**6}
TIES = {"distinct": 0, "ties1000": 1000, "ties64": 64}
BINS = 15

# Data as in benchmarks/support/data.hpp: the same distributions, other random bits.


def logits(n):
    return (-2 + 1.2 * np.random.default_rng(1).standard_normal(n, F32)).astype(F32)


def sigmoid(z):
    return (1 / (1 + np.exp(-z.astype(np.float64)))).astype(F32)


def probabilities(n, grid=0):
    p = sigmoid(logits(n))
    return np.round(p * F32(grid)) / F32(grid) if grid else p


def labels(p):
    return (np.random.default_rng(2).random(p.size, F32) < p).astype(F32)


def weights(n):
    return (0.5 + 1.5 * np.random.default_rng(3).random(n, F32)).astype(F32)


def field_ids(n, cells, zipf=False):
    draw = np.random.default_rng(4)
    if not zipf:
        return draw.integers(0, cells, n, np.int32)
    cumulative = np.cumsum(np.arange(1, cells + 1) ** -1.05)
    rank = np.searchsorted(cumulative, draw.random(n) * cumulative[-1])
    return draw.permutation(cells).astype(np.int32)[np.minimum(rank, cells - 1)]


# Tasks. PEERS[task] lists (peer, packages, setup, tolerance of the agreement).

PEERS = {}
VARIANTS = {}
ITEMS = {}  # items of a task with size n, where they are not n
least_repeats = 3
clock = time.process_time  # some peers work in a thread of their own; a script with several threads takes wall time


def task(name, variants, tolerance=1e-4):
    VARIANTS[name] = (variants, tolerance)
    PEERS[name] = []


def peer(task_name, peer_name, *modules):
    """Decorates setup(n, variant, *modules) -> (timed call, figure of its result to compare between peers)."""

    def add(setup):
        PEERS[task_name].append((peer_name, modules, setup))
        return setup

    return add


# PAVA on scores that are sorted already: labels 0/1, and a smooth weighted curve with noise.
task("pava", ["binary", "weighted"])


def pava_input(n, variant):
    p = np.sort(probabilities(n))
    if variant == "binary":
        return labels(p), None
    return (p + F32(0.1) * np.random.default_rng(6).standard_normal(n, F32)).astype(F32), weights(n)


@peer("pava", "scipy", "scipy.optimize")
def _(n, variant, optimize):
    y, w = pava_input(n, variant)
    y, w = y.astype(np.float64), None if w is None else w.astype(np.float64)  # it would convert within the timed call
    return lambda: optimize.isotonic_regression(y, weights=w), lambda result: np.mean(result.x**2)


@peer("pava", "sklearn", "sklearn.isotonic")
def _(n, variant, isotonic):
    y, w = pava_input(n, variant)
    return lambda: isotonic.isotonic_regression(y, sample_weight=w), lambda x: np.mean(x.astype(np.float64) ** 2)


task("isotonic_fit", list(TIES))


@peer("isotonic_fit", "sklearn", "sklearn.isotonic")
def _(n, variant, isotonic):
    p = probabilities(n, TIES[variant])
    y = labels(p)
    return lambda: isotonic.IsotonicRegression(out_of_bounds="clip").fit(p, y), lambda m: np.mean(m.predict(p[:1000]))


def sort_with_labels(p, y):
    """Distinct p in order, with the number of examples and of positives at each.

    The label rides in the last bit of the key, since the sign bit of a probability is free: numpy's vectorised sort of
    uint32 takes a fraction of the time of argsort.
    """
    keys = (p.view(np.uint32) << 1) | y.astype(np.uint32)
    keys.sort()
    scores = keys >> 1
    first = np.flatnonzero(np.concatenate(([True], scores[1:] != scores[:-1])))
    count = np.diff(first, append=p.size)
    positives = np.add.reduceat(keys & 1, first, dtype=np.int64)
    return scores[first].view(F32), count, positives


@peer("isotonic_fit", "numpy_scipy", "scipy.optimize")
def _(n, variant, optimize):
    p = probabilities(n, TIES[variant])
    y = labels(p)

    def fit():
        scores, count, positives = sort_with_labels(p, y)
        count = count.astype(np.float64)
        return scores, optimize.isotonic_regression(positives / count, weights=count).x

    return fit, lambda knots: np.mean(np.interp(p[:1000], *knots))


task("isotonic_predict", ["distinct"])


@peer("isotonic_predict", "sklearn", "sklearn.isotonic")
def _(n, variant, isotonic):
    p = probabilities(1_000_000)
    model = isotonic.IsotonicRegression(out_of_bounds="clip").fit(p, labels(p))
    queries = probabilities(n)
    return lambda: model.predict(queries), np.mean


@peer("isotonic_predict", "numpy_interp", "sklearn.isotonic")
def _(n, variant, isotonic):
    p = probabilities(1_000_000)
    model = isotonic.IsotonicRegression(out_of_bounds="clip").fit(p, labels(p))
    x, y, queries = model.X_thresholds_, model.y_thresholds_, probabilities(n)
    return lambda: np.interp(queries, x, y), np.mean


# The model's logits are too steep, so that there is something to fit.
task("platt", ["labels"], 2e-3)


def steep(n):
    z = logits(n)
    return z * F32(1.5) + F32(0.2), labels(sigmoid(z))


@peer("platt", "sklearn", "sklearn.calibration")
def _(n, variant, calibration):
    z, y = steep(n)
    return lambda: calibration._sigmoid_calibration(z, y), lambda ab: ab[0]


@peer("platt", "sklearn_logistic", "sklearn.linear_model")
def _(n, variant, linear_model):
    z, y = steep(n)
    column = z.reshape(-1, 1)
    # The same likelihood but for Platt's target smoothing, which is below the tolerance at these sizes.
    model = linear_model.LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-6)
    return lambda: model.fit(column, y), lambda m: -m.coef_[0, 0]


task("temperature", ["labels"], 2e-3)


@peer("temperature", "scipy", "scipy.optimize", "scipy.special")
def _(n, variant, optimize, special):
    z, y = steep(n)
    signed = np.where(y > 0, z, -z)

    def fit():
        loss = lambda log_beta: -np.mean(special.log_expit(F32(np.exp(log_beta)) * signed), dtype=np.float64)
        return np.exp(optimize.minimize_scalar(loss, bounds=(-5, 5), options={"xatol": 1e-5}).x)

    return fit, float


@peer("temperature", "sklearn", "sklearn.calibration")
def _(n, variant, calibration):
    z, y = steep(n)
    return lambda: calibration._TemperatureScaling().fit(z, y), lambda m: float(m.beta_) * 2  # its logits are (-z, z)


# Expected calibration error with 15 bins of equal width.
task("ece", list(TIES), 1e-3)


@peer("ece", "numpy")
def _(n, variant):
    p = probabilities(n, TIES[variant])
    y = labels(p)

    def ece():
        bins = np.minimum((p * F32(BINS)).astype(np.intp), BINS - 1)
        return np.abs(np.bincount(bins, p, BINS) - np.bincount(bins, y, BINS)).sum() / n

    return ece, float


@peer("ece", "scipy_binned", "scipy.stats")
def _(n, variant, stats):
    """The routine that netcal's ECE is made of."""
    p = probabilities(n, TIES[variant])
    y = labels(p)

    def ece():
        sums = stats.binned_statistic(p, [p, y], "sum", BINS, (0, 1)).statistic
        return np.abs(sums[0] - sums[1]).sum() / n

    return ece, float


@peer("ece", "netcal", "netcal_peer")
def _(n, variant, netcal):
    p = probabilities(n, TIES[variant])
    y = labels(p).astype(np.int32)
    return lambda: netcal.ECE(BINS).measure(p, y), float


# ECE, MCE, Brier score and log-loss together.
task("metrics4", ["distinct"])


@peer("metrics4", "numpy")
def _(n, variant):
    p = probabilities(n)
    y = labels(p)

    def metrics():
        bins = np.minimum((p * F32(BINS)).astype(np.intp), BINS - 1)
        count = np.bincount(bins, minlength=BINS)
        gap = np.abs(np.bincount(bins, p, BINS) - np.bincount(bins, y, BINS))
        mce = np.max(gap[count > 0] / count[count > 0])
        log_loss = -np.mean(np.log(np.where(y > 0, p, 1 - p)), dtype=np.float64)
        return gap.sum() / n, mce, np.mean((p - y) ** 2, dtype=np.float64), log_loss

    return metrics, lambda result: result[2] + result[3]


@peer("metrics4", "sklearn_two", "sklearn.metrics")
def _(n, variant, metrics):
    """Only the last two of the four."""
    p = probabilities(n)
    y = labels(p)
    return lambda: (metrics.brier_score_loss(y, p), metrics.log_loss(y, p)), sum


task("calibration_curve", ["uniform", "quantile"])


@peer("calibration_curve", "sklearn", "sklearn.calibration")
def _(n, variant, calibration):
    p = probabilities(n)
    y = labels(p)
    return lambda: calibration.calibration_curve(y, p, n_bins=BINS, strategy=variant), lambda c: c[0].sum()


task("wilson", ["z1.96"])


@peer("wilson", "numpy")
def _(n, variant):
    count = np.random.default_rng(7).integers(1, 100_000, n).astype(F32)
    hits = np.floor(count * F32(0.05))
    z2 = F32(1.96**2)

    def interval():
        inverse = 1 / count
        mean = hits * inverse
        scale = 1 / (1 + z2 * inverse)
        centre = (mean + z2 / 2 * inverse) * scale
        half = F32(1.96) * scale * np.sqrt((mean * (1 - mean) + z2 / 4 * inverse) * inverse)
        return centre - half, centre + half

    return interval, lambda bounds: np.mean(bounds[1], dtype=np.float64)


# Sums of p and y and the count per value of a field.
task("field_stats", [f"{cells}_{law}" for cells in CELLS for law in ("uniform", "zipf")])


def field_input(n, variant):
    cells, law = variant.split("_")
    p = probabilities(n)
    return field_ids(n, CELLS[cells], law == "zipf"), p, labels(p), CELLS[cells]


def digest(ids, sums_p, sums_y, counts):
    """One figure that depends on every cell's three numbers."""
    cells = np.asarray(sums_p, np.float64) + 3 * np.asarray(sums_y) + 7 * np.asarray(counts)
    return float(np.sum(np.sin(ids) ** 2 * cells))


@peer("field_stats", "numpy_bincount")
def _(n, variant):
    ids, p, y, cells = field_input(n, variant)
    return (
        lambda: (np.bincount(ids, p, cells), np.bincount(ids, y, cells), np.bincount(ids, minlength=cells)),
        lambda result: digest(np.arange(cells), *result),
    )


@peer("field_stats", "pandas", "pandas")
def _(n, variant, pandas):
    ids, p, y, _ = field_input(n, variant)
    frame = pandas.DataFrame({"id": ids, "p": p, "y": y})
    return (
        lambda: frame.groupby("id", sort=False).agg(p=("p", "sum"), y=("y", "sum"), n=("y", "size")),
        lambda r: digest(r.index.to_numpy(), r["p"], r["y"], r["n"]),
    )


@peer("field_stats", "polars", "polars")
def _(n, variant, polars):
    ids, p, y, _ = field_input(n, variant)
    frame = polars.DataFrame({"id": ids, "p": p, "y": y})
    sums = [polars.col("p").sum(), polars.col("y").sum(), polars.len().alias("n")]
    return lambda: frame.group_by("id").agg(sums), lambda r: digest(*(r[c].to_numpy() for c in ("id", "p", "y", "n")))


@peer("field_stats", "duckdb", "duckdb")
def _(n, variant, duckdb):
    ids, p, y, _ = field_input(n, variant)
    connection = duckdb.connect()
    connection.execute("SET threads=1")
    connection.register("arrays", {"id": ids, "p": p, "y": y})
    connection.execute("CREATE TABLE log AS SELECT * FROM arrays")
    query = "SELECT id, sum(p) AS p, sum(y) AS y, count(*) AS n FROM log GROUP BY id"
    return lambda: connection.execute(query).fetchnumpy(), lambda r: digest(r["id"], r["p"], r["y"], r["n"])


task("auc", list(TIES), 1e-5)


@peer("auc", "sklearn", "sklearn.metrics")
def _(n, variant, metrics):
    p = probabilities(n, TIES[variant])
    y = labels(p)
    return lambda: metrics.roc_auc_score(y, p), float


@peer("auc", "numpy_sort")
def _(n, variant):
    p = probabilities(n, TIES[variant])
    y = labels(p)

    def auc():
        _, count, positives = sort_with_labels(p, y)
        negatives = count - positives
        below = np.cumsum(negatives) - negatives
        return np.dot(positives, below + negatives / 2) / (float(positives.sum()) * float(negatives.sum()))

    return auc, float


@peer("auc", "xgboost", "xgboost")
def _(n, variant, xgboost):
    p = probabilities(n, TIES[variant])
    # A model without trees predicts the base margin, so evaluation is little more than the metric.
    matrix = xgboost.DMatrix(np.zeros((n, 1), F32), label=labels(p), base_margin=p)
    model = xgboost.Booster({"objective": "binary:logitraw", "eval_metric": "auc", "nthread": 1}, [matrix])
    return lambda: model.eval(matrix), lambda text: float(text.rsplit(":", 1)[1])


# p' = p * exp(sum of three log ratios, one per field), clipped.
task("confcalib_apply", list(CELLS))


def apply_input(n, variant):
    cells = CELLS[variant]
    draw = np.random.default_rng(8)
    tables = [(F32(0.1) * draw.standard_normal(cells, F32)).astype(F32) for _ in range(3)]
    return probabilities(n), [draw.integers(0, cells, n, np.int32) for _ in range(3)], tables


@peer("confcalib_apply", "numpy")
def _(n, variant):
    p, ids, tables = apply_input(n, variant)

    def apply():
        shift = tables[0][ids[0]] + tables[1][ids[1]] + tables[2][ids[2]]
        return np.clip(p * np.exp(shift), F32(1e-7), F32(1 - 1e-7))

    return apply, lambda out: np.mean(out, dtype=np.float64)


@peer("confcalib_apply", "numpy_blocked")
def _(n, variant):
    """Blocks that stay in the L1 and L2 caches, and no array allocated in the call."""
    p, ids, tables = apply_input(n, variant)
    block = 8192
    out = np.empty(n, F32)
    shift, part = np.empty(block, F32), np.empty(block, F32)

    def apply():
        for start in range(0, n, block):
            rows = slice(start, min(start + block, n))
            s, t = shift[: rows.stop - start], part[: rows.stop - start]
            np.take(tables[0], ids[0][rows], out=s, mode="clip")  # any other mode buffers the output
            for table, id_ in zip(tables[1:], ids[1:]):
                np.take(table, id_[rows], out=t, mode="clip")
                np.add(s, t, out=s)
            np.exp(s, out=s)
            np.multiply(s, p[rows], out=s)
            np.clip(s, F32(1e-7), F32(1 - 1e-7), out=out[rows])
        return out

    return apply, lambda result: np.mean(result, dtype=np.float64)


# Running.


def version(module_name):
    module = module_name.split(".")[0]
    package = PACKAGES.get(module, module)
    return f"{package} {importlib.metadata.version(package)}"


def import_all(modules, skipped):
    """The modules, or None when one cannot be imported; the reason is printed once."""
    package = PACKAGES.get(modules[0].split(".")[0], modules[0].split(".")[0]) if modules else ""
    if package in skipped:
        return None
    try:
        return [importlib.import_module(name) for name in modules]
    except ImportError as error:
        skipped.add(package)
        print(f"# skipped {package}: {error}")
        return None


def measure(call, n, repeat, budget):
    """ns per item of each repetition, by `clock`."""
    start = clock()
    call()  # warms caches and says how long a call takes
    once = max(clock() - start, 1e-7)
    calls = max(1, round(0.002 / once))
    repeat = max(least_repeats, min(repeat, int(budget / (once * calls))))
    times = []
    for _ in range(repeat):
        start = clock()
        for _ in range(calls):
            call()
        times.append((clock() - start) * 1e9 / (calls * n))
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=lambda text: int(float(text)), nargs="+", default=[10**4, 10**6], help="1e4 1e6")
    parser.add_argument("--task", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--peer", nargs="+", help="only these peers")
    parser.add_argument("--variant", nargs="+", help="only these variants")
    parser.add_argument("--repeat", type=int, default=7, help="repetitions (default 7)")
    parser.add_argument("--budget", type=float, default=3.0, help="seconds after which there are fewer (at least 3)")
    options = parser.parse_args()

    chosen = {
        name: [entry for entry in PEERS[name] if not options.peer or entry[0] in options.peer] for name in options.task
    }
    skipped = set()
    packages = {}
    for entries in chosen.values():
        for _, modules, _ in entries:
            if import_all(modules, skipped) is not None:
                packages.update({name.split(".")[0]: version(name) for name in modules})
    print(f"# Python {sys.version.split()[0]}, {', '.join(sorted({f'numpy {np.__version__}', *packages.values()}))}")
    print("# peer\ttask\tn\tvariant\tns_per_item\tmedian_ns")

    disagreements = 0
    for name, entries in chosen.items():
        variants, tolerance = VARIANTS[name]
        for n in options.n:
            for variant in variants:
                if options.variant and variant not in options.variant:
                    continue
                figures = {}
                for peer_name, modules, setup in entries:
                    loaded = import_all(modules, skipped)
                    if loaded is None:
                        continue
                    call, figure = setup(n, variant, *loaded)
                    figures[peer_name] = float(figure(call()))
                    times = measure(call, ITEMS.get(name, int)(n), options.repeat, options.budget)
                    row = (peer_name, name, n, variant, f"{min(times):.4g}", f"{statistics.median(times):.4g}")
                    print(*row, sep="\t", flush=True)
                    del call, figure
                middle = statistics.median(figures.values()) if figures else 0
                if any(not abs(value - middle) <= tolerance * abs(middle) for value in figures.values()):
                    disagreements += 1
                    print(f"# peers disagree: {name} {n} {variant} {figures}")
    return 1 if disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
