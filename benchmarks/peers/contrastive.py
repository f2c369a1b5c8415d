#!/usr/bin/env python3
"""Times PyTorch and pytorch-metric-learning on the tasks of benchmarks/losses; options and output as calibration.py.

    contrastive.py [--threads 1] [--malloc tuned|stock] [--memory] --n 1024 4096 --task info_nce clip_gradients

Sizes: n pairs of unit rows of 128 floats for the contrastive tasks (an item is one of n * n combinations; nt_xent and supcon
work on 2n rows), n pairs of scores for bpr, n lists of 200 for ranknet (an item is an ordered pair of rows), n triples for
gather_bpr. torch_eager and torch_compile are what users write; torch_chunked is what a careful user writes, blocks of rows with
the gradient by hand. Compilation is not timed.

By default glibc keeps freed memory and uses huge pages, which the script asks for by starting itself again: fresh pages for each
temporary more than double the time of a forward pass. With --malloc stock it does not, and peers are named ..._stock. One thread
is CPU time; more are wall time. --memory prints, instead of times, how far the resident memory rises in a call, above inputs and outputs.
Every result passes a gate against double precision; `# error` lines have the largest relative error.
"""

import argparse
import ctypes
import functools
import os
import sys

TUNABLES = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000:glibc.malloc.top_pad=268435456"

parser = argparse.ArgumentParser(add_help=False)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--malloc", choices=["tuned", "stock"], default="tuned")
parser.add_argument("--memory", action="store_true")
parser.add_argument("--n", type=lambda text: int(float(text)), nargs="+", default=[1024])
own, rest = parser.parse_known_args()
rest += ["--n", *map(str, own.n)]
if own.memory:
    own.malloc = "stock"  # memory that is freed goes back, so that it is seen when it comes again
if own.malloc == "tuned" and os.environ.get("GLIBC_TUNABLES") != TUNABLES and __name__ == "__main__":
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "GLIBC_TUNABLES": TUNABLES})

import numpy as np

import calibration
from calibration import F32, peer, task

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(own.threads)  # before PyTorch is imported

calibration.PACKAGES["pytorch_metric_learning"] = "pytorch-metric-learning"
WIDTH, T, LIST, TABLE, FACTORS = 128, 0.05, 200, 100_000, 64
ROWS = 256  # of a block of torch_chunked; 128 and 512 are no faster
SAMPLE = 64  # rows whose gradients are checked

calibration.PEERS.clear()
calibration.VARIANTS.clear()
CONTRASTIVE = ["info_nce", "info_nce_gradients", "clip", "clip_gradients"]
for name in CONTRASTIVE:
    task(name, ["unit"], 1e-5)
task("nt_xent_gradients", ["unit"], 1e-5)
task("supcon_gradients", ["classes10", "classes1000"], 1e-5)
task("bpr_gradients", ["normal"], 1e-5)
task("ranknet_gradients", ["grades"], 1e-5)
task("gather_bpr_gradients", ["uniform"], 1e-5)
for name in calibration.PEERS:
    calibration.ITEMS[name] = (lambda n: n) if "bpr" in name else lambda n: n * n
calibration.ITEMS["ranknet_gradients"] = lambda n: n * LIST * LIST


# Inputs, and the reference in double.


@functools.lru_cache(None)
def unit_rows(n, seed):
    x = np.random.default_rng(seed).random((n, WIDTH), F32) - F32(0.5)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def classes(n, variant):
    """Classes of 2n rows; `unit`: of the two rows of each pair."""
    if variant == "unit":
        return np.tile(np.arange(n), 2)
    return np.random.default_rng(5).integers(0, int(variant[7:]), 2 * n)


@functools.lru_cache(None)
def sums_of_powers(n, joint):
    """Log-sum-exps of rows and columns of the logits; joint: of all 2n rows with each other, but for themselves."""
    q, k = (unit_rows(n, seed).astype(np.float64) for seed in (1, 2))
    if joint:
        q = k = np.concatenate((q, k))
    across, down = np.empty(len(q)), np.zeros(len(k))
    for first in range(0, len(q), 512):
        powers = np.exp(q[first : first + 512] @ k.T / T)
        if joint:
            powers[np.arange(len(powers)), first + np.arange(len(powers))] = 0
        across[first : first + 512] = np.log(powers.sum(1))
        down += powers.sum(0)
    return across, np.log(down)


@functools.lru_cache(None)
def reference(name, n, variant):
    """Loss and the first rows of both gradients."""
    q, k = (unit_rows(n, seed).astype(np.float64) for seed in (1, 2))
    some = min(SAMPLE, n)
    if name.startswith(("nt_xent", "supcon")):
        z, of = np.concatenate((q, k)), classes(n, variant)
        lse = sums_of_powers(n, True)[0]
        sums = np.zeros((of.max() + 1, WIDTH))
        np.add.at(sums, of, z)
        others = np.bincount(of)[of] - 1
        kept = others > 0
        means = (sums[of] - z) / np.maximum(others, 1)[:, None]
        loss = np.sum((lse - np.sum(z * means, 1) / T)[kept])

        def gradient(rows):
            logits = z[rows] @ z.T / T
            both = kept[rows, None] * np.exp(logits - lse[rows, None]) + kept[None] * np.exp(logits - lse[None])
            both[np.arange(len(rows)), rows] = 0
            same = of[rows, None] == of[None]
            same[np.arange(len(rows)), rows] = False
            return (both - same * 2 / np.maximum(others[rows], 1)[:, None]) @ z / T

        return loss, gradient(np.arange(some)), gradient(n + np.arange(some))
    across, down = sums_of_powers(n, False)
    own = np.sum(q * k) / T
    symmetric = name.startswith("clip")
    loss = (across.sum() + down.sum()) / 2 - own if symmetric else across.sum() - own
    rows, columns = q[:some] @ k.T / T, k[:some] @ q.T / T
    if symmetric:
        dq = (np.exp(rows - across[:some, None]) + np.exp(rows - down[None])) @ k / 2
        dk = (np.exp(columns - down[:some, None]) + np.exp(columns - across[None])) @ q / 2
    else:
        dq, dk = np.exp(rows - across[:some, None]) @ k, np.exp(columns - across[None]) @ q
    return loss, (dq - k[:some]) / T, (dk - q[:some]) / T


def worst(values, expected):
    values = values.detach().numpy() if hasattr(values, "detach") else values
    return float(np.max(np.abs(values - expected)) / np.max(np.abs(expected)))


def gated(error, allowed, what, figure):
    print(f"# error {what} {error:.1e}")
    if not error <= allowed:
        sys.exit(f"wrong result: {what}, error {error:.3g}, allowed {allowed:.3g}")
    return figure


def contrast_figure(name, n, variant="unit"):
    def figure(result):
        result = result if isinstance(result, tuple) else (result,)
        expected = reference(name, n, variant)
        error = abs(float(result[0]) / expected[0] - 1)
        for values, want in zip(result[1:], expected[1:]):
            error = max(error, worst(values[: len(want)], want))
        return gated(error, 2e-5, f"{name} {n}", float(result[0]) / n)

    return figure


# What the peers run.


def compiled(torch, function):
    torch._dynamo.reset()
    return torch.compile(function, dynamic=False)


def with_gradients(torch, loss):
    """loss(*leaves) -> (loss, gradients by autograd)."""

    def call(*leaves):
        value = loss(*leaves)
        return (value.detach(), *torch.autograd.grad(value, leaves))

    return call


def info_nce(torch, n):
    target = torch.arange(n)
    return lambda q, k: torch.nn.functional.cross_entropy((1 / T) * q @ k.T, target, reduction="sum")


def clip(torch, n):
    """The body of open_clip's ClipLoss: two products."""
    target, entropy = torch.arange(n), torch.nn.functional.cross_entropy

    def loss(q, k):
        images, texts = (1 / T) * q @ k.T, (1 / T) * k @ q.T
        return (entropy(images, target, reduction="sum") + entropy(texts, target, reduction="sum")) / 2

    return loss


def clip_one_product(torch, n):
    target, entropy = torch.arange(n), torch.nn.functional.cross_entropy

    def loss(q, k):
        logits = (1 / T) * q @ k.T
        return (entropy(logits, target, reduction="sum") + entropy(logits.t(), target, reduction="sum")) / 2

    return loss


def nt_xent(torch, n):
    target = (torch.arange(2 * n) + n) % (2 * n)

    def loss(q, k):
        z = torch.cat((q, k))
        logits = ((1 / T) * z @ z.T).fill_diagonal_(-torch.inf)
        return torch.nn.functional.cross_entropy(logits, target, reduction="sum")

    return loss


def supcon(torch, of):
    """As published with the paper: masks of all pairs."""
    of = torch.from_numpy(of)

    def loss(q, k):
        z = torch.cat((q, k))
        logits = (1 / T) * z @ z.T
        other = torch.ones_like(logits).fill_diagonal_(0)
        same = (of[:, None] == of[None]) * other
        log_share = logits - torch.log((torch.exp(logits) * other).sum(1, keepdim=True))
        return -((same * log_share).sum(1) / same.sum(1).clamp(min=1)).sum()

    return loss


def supcon_class_sums(torch, of):
    """The positives by sums of classes: what is left of all pairs is one log-sum-exp a row."""
    of = torch.from_numpy(of)
    others = torch.bincount(of)[of] - 1
    kept, count, most = (others > 0).float(), others.clamp(min=1)[:, None], int(of.max()) + 1

    def loss(q, k):
        z = torch.cat((q, k))
        logits = ((1 / T) * z @ z.T).fill_diagonal_(-torch.inf)
        sums = torch.zeros(most, WIDTH).index_add(0, of, z)
        return (kept * (torch.logsumexp(logits, 1) - (1 / T) * (z * (sums[of] - z) / count).sum(1))).sum()

    return loss


def metric_learning(losses, of, which):
    """Rows are unit already, so that it need not scale them; it takes the mean over rows with a positive."""
    from pytorch_metric_learning.distances import DotProductSimilarity

    module = getattr(losses, which)(temperature=T, distance=DotProductSimilarity(normalize_embeddings=False))

    def loss(torch):
        labels, kept = torch.from_numpy(of), int(np.sum(np.bincount(of)[of] > 1))
        return lambda q, k: kept * module(torch.cat((q, k)), labels)

    return loss


def leaves(torch, n, wanted=True):
    return [torch.from_numpy(unit_rows(n, seed).copy()).requires_grad_(wanted) for seed in (1, 2)]


def add_pair_loss(name, peer_name, make, compile_it, *modules):
    """A contrastive peer; make(torch, n, variant, *modules) gives its loss(q, k)."""
    wanted = name.endswith("_gradients")

    @peer(name, peer_name, "torch", *modules)
    def _(n, variant, torch, *loaded):
        loss = make(torch, n, variant, *loaded)
        loss = compiled(torch, loss) if compile_it else loss
        call = with_gradients(torch, loss) if wanted else loss
        rows = leaves(torch, n, wanted)
        return lambda: call(*rows), contrast_figure(name, n, variant)


for suffix, compile_it in (("eager", False), ("compile", True)):
    for tail in ("", "_gradients"):
        add_pair_loss("info_nce" + tail, "torch_" + suffix, lambda torch, n, _: info_nce(torch, n), compile_it)
        add_pair_loss("clip" + tail, "open_clip_" + suffix, lambda torch, n, _: clip(torch, n), compile_it)
        add_pair_loss("clip" + tail, "torch_one_product_" + suffix, lambda torch, n, _: clip_one_product(torch, n), compile_it)
    add_pair_loss("nt_xent_gradients", "torch_" + suffix, lambda torch, n, _: nt_xent(torch, n), compile_it)
    add_pair_loss("supcon_gradients", "torch_masks_" + suffix, lambda torch, n, v: supcon(torch, classes(n, v)), compile_it)
    add_pair_loss("supcon_gradients", "torch_class_sums_" + suffix, lambda torch, n, v: supcon_class_sums(torch, classes(n, v)), compile_it)

LOSSES = "pytorch_metric_learning.losses"
for name in ("nt_xent_gradients", "supcon_gradients"):
    make = lambda torch, n, v, losses: metric_learning(losses, classes(n, v), "SupConLoss")(torch)
    add_pair_loss(name, "metric_learning_SupConLoss", make, False, LOSSES)
# It holds every positive pair against every negative, n * n * n numbers, so it is not asked for more than this.
MOST = {"metric_learning_NTXentLoss": 256}
make = lambda torch, n, v, losses: metric_learning(losses, classes(n, v), "NTXentLoss")(torch)
add_pair_loss("nt_xent_gradients", "metric_learning_NTXentLoss", make, False, LOSSES)


def blocks(n):
    return [slice(first, min(first + ROWS, n)) for first in range(0, n, ROWS)]


@peer("info_nce", "torch_chunked", "torch")
def _(n, variant, torch):
    q, k = leaves(torch, n, False)
    logits = torch.empty(min(ROWS, n), n)

    def call():
        total = torch.zeros(())
        for rows in blocks(n):
            s = torch.mm((1 / T) * q[rows], k.T, out=logits[: rows.stop - rows.start])
            total -= s.diagonal(rows.start).sum()
            total += torch.logsumexp(s, 1).sum()
        return total

    return call, contrast_figure("info_nce", n)


@peer("info_nce_gradients", "torch_chunked", "torch")
def _(n, variant, torch):
    q, k = leaves(torch, n, False)
    logits, dq, dk = torch.empty(min(ROWS, n), n), torch.empty(n, WIDTH), torch.empty(n, WIDTH)

    def call():
        total = torch.zeros(())
        dk.zero_()
        for rows in blocks(n):
            s = torch.mm((1 / T) * q[rows], k.T, out=logits[: rows.stop - rows.start])
            total -= s.diagonal(rows.start).sum()
            sums = s.exp_().sum(1, keepdim=True)  # unit rows: no logit is beyond 20
            total += sums.log().sum()
            share = (1 / T) / sums
            torch.mm(s, k, out=dq[rows]).mul_(share).sub_(k[rows], alpha=1 / T)
            dk.addmm_(s.T, q[rows] * share)
        return total, dq, dk.sub_(q, alpha=1 / T)

    return call, contrast_figure("info_nce_gradients", n)


def clip_sums(torch, n, q, k):
    """powers(rows) of a block, and all() -> (loss, sums of rows, sums of columns)."""
    logits = torch.empty(min(ROWS, n), n)

    def powers(rows):
        return torch.mm((1 / T) * q[rows], k.T, out=logits[: rows.stop - rows.start]).exp_()

    def all():
        down, across = torch.zeros(n), torch.empty(n)
        for rows in blocks(n):
            e = powers(rows)
            torch.sum(e, 1, out=across[rows])
            down += e.sum(0)
        return (across.log().sum() + down.log().sum()) / 2 - (1 / T) * (q * k).sum(), across, down

    return powers, all


@peer("clip", "torch_chunked", "torch")
def _(n, variant, torch):
    _, sums = clip_sums(torch, n, *leaves(torch, n, False))
    return lambda: sums()[0], contrast_figure("clip", n)


@peer("clip_gradients", "torch_chunked", "torch")
def _(n, variant, torch):
    q, k = leaves(torch, n, False)
    powers, sums = clip_sums(torch, n, q, k)
    dq, dk = torch.empty(n, WIDTH), torch.empty(n, WIDTH)

    def call():
        total, across, down = sums()
        dk.zero_()
        for rows in blocks(n):
            e = powers(rows)
            e.mul_((0.5 / T) / across[rows, None] + ((0.5 / T) / down)[None])
            torch.mm(e, k, out=dq[rows]).sub_(k[rows], alpha=1 / T)
            dk.addmm_(e.T, q[rows])
        return total, dq, dk.sub_(q, alpha=1 / T)

    return call, contrast_figure("clip_gradients", n)


# Losses of scores.


def score_figure(name, n, expected):
    """expected(): loss and gradients in double."""

    def figure(result):
        want = expected()
        error = abs(float(result[0]) / want[0] - 1)
        for values, wanted in zip(result[1:], want[1:]):
            error = max(error, worst(values, wanted))
        return gated(error, 2e-5, f"{name} {n}", float(result[0]) / n)

    return figure


def bpr_scores(n):
    draw = np.random.default_rng(6)
    return draw.standard_normal(n, F32), draw.standard_normal(n, F32)


def bpr_reference(positive, negative):
    d = negative.astype(np.float64) - positive
    share = 1 / (1 + np.exp(-d))
    return np.logaddexp(0, d).sum(), -share, share


def add_bpr(peer_name, compile_it):
    @peer("bpr_gradients", peer_name, "torch")
    def _(n, variant, torch):
        scores = bpr_scores(n)
        rows = [torch.from_numpy(x).requires_grad_() for x in scores]
        loss = lambda positive, negative: -torch.nn.functional.logsigmoid(positive - negative).sum()
        call = with_gradients(torch, compiled(torch, loss) if compile_it else loss)
        return lambda: call(*rows), score_figure("bpr_gradients", n, lambda: bpr_reference(*scores))


add_bpr("torch_eager", False)
add_bpr("torch_compile", True)


@peer("bpr_gradients", "torch_by_hand", "torch")
def _(n, variant, torch):
    """Compiled, with the gradient by hand."""
    scores = bpr_scores(n)
    positive, negative = map(torch.from_numpy, scores)

    def both(positive, negative):
        d = negative - positive
        share = torch.sigmoid(d)
        return torch.nn.functional.softplus(d).sum(), -share, share

    call = compiled(torch, both)
    return lambda: call(positive, negative), score_figure("bpr_gradients", n, lambda: bpr_reference(*scores))


def graded_lists(n):
    draw = np.random.default_rng(7)
    return draw.standard_normal((n, LIST), F32), draw.integers(0, 5, (n, LIST)).astype(F32)


def ranknet(torch, s, y):
    above = y[:, :, None] > y[:, None, :]
    return (torch.nn.functional.softplus(s[:, None, :] - s[:, :, None]) * above).sum()


def ranknet_reference(s, y):
    loss, gradient = 0.0, np.empty(s.shape)
    for i, (scores, grades) in enumerate(zip(s.astype(np.float64), y)):
        d = scores[None] - scores[:, None]
        above = grades[:, None] > grades[None]
        loss += (np.logaddexp(0, d) * above).sum()
        share = above / (1 + np.exp(-d))
        gradient[i] = share.sum(0) - share.sum(1)
    return loss, gradient


def add_ranknet(peer_name, compile_it, lists_a_call):
    @peer("ranknet_gradients", peer_name, "torch")
    def _(n, variant, torch):
        s, y = graded_lists(n)
        scores, grades = torch.from_numpy(s).requires_grad_(), torch.from_numpy(y)
        loss = lambda s, y: ranknet(torch, s, y)
        loss = compiled(torch, loss) if compile_it else loss

        def call():
            total, gradients = 0.0, []
            for part, of in zip(scores.split(lists_a_call or n), grades.split(lists_a_call or n)):
                part = part.detach().requires_grad_()
                value = loss(part, of)
                gradients.append(torch.autograd.grad(value, part)[0])
                total += float(value.detach())
            return total, torch.cat(gradients)

        return call, score_figure("ranknet_gradients", n, lambda: ranknet_reference(s, y))


add_ranknet("torch_eager", False, 0)
add_ranknet("torch_eager_16_lists", False, 16)  # temporaries of 2.6 MB stay in the cache
add_ranknet("torch_compile", True, 0)
add_ranknet("torch_compile_16_lists", True, 16)


def triples(n):
    draw = np.random.default_rng(8)
    tables = [(F32(0.1) * draw.standard_normal((TABLE, FACTORS), F32)) for _ in range(2)]
    return tables, [draw.integers(0, TABLE, n) for _ in range(3)]


def triples_reference(tables, ids):
    users, items = (table.astype(np.float64) for table in tables)
    u, i, j = ids
    d = np.sum(users[u] * (items[j] - items[i]), 1)
    share = (1 / (1 + np.exp(-d)))[:, None]
    du, di = np.zeros_like(users), np.zeros_like(items)
    np.add.at(du, u, share * (items[j] - items[i]))
    np.add.at(di, j, share * users[u])
    np.add.at(di, i, -share * users[u])
    return np.logaddexp(0, d).sum(), du, di


def add_gather_bpr(peer_name, compile_it, sparse):
    @peer("gather_bpr_gradients", peer_name, "torch")
    def _(n, variant, torch):
        tables, ids = triples(n)
        users, items = (torch.from_numpy(table).requires_grad_() for table in tables)
        u, i, j = map(torch.from_numpy, ids)
        look = functools.partial(torch.nn.functional.embedding, sparse=sparse)

        def loss(users, items):
            d = (look(u, users) * (look(i, items) - look(j, items))).sum(1)
            return -torch.nn.functional.logsigmoid(d).sum()

        call = with_gradients(torch, compiled(torch, loss) if compile_it else loss)

        def dense(result):
            return (result[0], *(g.to_dense() if g.is_sparse else g for g in result[1:]))

        gate = score_figure("gather_bpr_gradients", n, lambda: triples_reference(tables, ids))
        return lambda: call(users, items), lambda result: gate(dense(result))


add_gather_bpr("torch_eager", False, False)
add_gather_bpr("torch_eager_sparse", False, True)
add_gather_bpr("torch_compile", True, False)


@peer("gather_bpr_gradients", "torch_by_hand", "torch")
def _(n, variant, torch):
    """Adds into gradients that exist, as one who accumulates them would."""
    tables, ids = triples(n)
    users, items = map(torch.from_numpy, tables)
    u, i, j = map(torch.from_numpy, ids)
    du, di = torch.zeros_like(users), torch.zeros_like(items)

    def call():
        own, difference = users[u], items[j] - items[i]
        d = (own * difference).sum(1)
        share = torch.sigmoid(d)[:, None]
        du.index_add_(0, u, difference.mul_(share))
        di.index_add_(0, j, own.mul_(share)).index_add_(0, i, own, alpha=-1)
        return torch.nn.functional.softplus(d).sum(), du, di

    gate = score_figure("gather_bpr_gradients", n, lambda: triples_reference(tables, ids))
    return call, gate


# Running.


def status(key):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(key + ":")) / 1024


def peak_of(call):
    """(MiB above the level before the call, at the highest; the result). Neither outputs nor code that the call loads count; an output made after the highest point is taken off too, so at least that much."""
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as reset:
        reset.write("5")
    before, code = status("VmRSS"), status("RssFile")
    result = call()
    outputs = sum(t.nbytes for t in result[1:]) / 2**20 if isinstance(result, tuple) else 0
    return status("VmHWM") - before - (status("RssFile") - code) - outputs, result


def prepared(name, peer_name, setup):
    @functools.wraps(setup)
    def run(n, variant, torch, *modules):
        torch.set_num_threads(own.threads)
        if own.memory:
            ctypes.CDLL(None).malloc_trim(0)  # buffers that setup makes must not lie in memory that was touched
        call, figure = setup(n, variant, torch, *modules)
        if not own.memory:
            return call, figure
        if peer_name.endswith("_compile"):
            call()
        peak, result = peak_of(call)
        print("# memory", peer_name, name, n, f"{peak:.1f}", sep="\t", flush=True)
        return lambda: result, figure

    return run


def main():
    sys.argv[1:] = rest
    suffix = "_stock" if own.malloc == "stock" and not own.memory else ""
    for name, entries in calibration.PEERS.items():
        entries = [entry for entry in entries if max(own.n) <= MOST.get(entry[0], max(own.n))]
        calibration.PEERS[name] = [(p + suffix, modules, prepared(name, p, setup)) for p, modules, setup in entries]
    if own.memory:
        calibration.measure = lambda *_: [float("nan")]
    if max(own.n) >= 16384:
        calibration.least_repeats = 1  # a call takes seconds
    if own.threads > 1:
        calibration.clock = calibration.time.perf_counter
    return calibration.main()


if __name__ == "__main__":
    sys.exit(main())
