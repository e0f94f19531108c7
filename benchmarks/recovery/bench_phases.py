"""Phase transitions: how much noise, and how long a tail, sparse recovery bears, method by method.

20000 features, 3 disjoint spikes of 20 nonzeros, their variances in ratio 2 : 1.5 : 1. A seed
counts as a success where the worst principal cosine between the planted and the found span
exceeds 0.9. All sketches keep the same number of floats, m k = 640000.

*Noise.* 4000 rows with unit noise in every feature. The axis is

    ratio = lambda_r sqrt(n) (m k)^(1/4) / (sigma^2 N),

with lambda_r the variance of the weakest spike. Treated as Gaussian, the noise that n rows leave in
an m x k sketch has entries of variance sigma^4 N^2 / (n m k), and a spike of size lambda shows
among the singular values of such a matrix when lambda exceeds (m k)^(1/4) standard deviations
(Benaych-Georges and Nadakuditi, J. Multivariate Anal. 111, 2012): when the ratio exceeds 1,
whatever the shape m x k. For MAM*, m = k, it is lambda_r sqrt(m n) / (sigma^2 N). The peers are
drawn over the same axis. For the full covariance, m = k = N, the formula gives another ratio,
larger by sqrt(N) / (m k)^(1/4): that is the advantage which compression gives away.

*Rows.* The same at one ratio, for more and fewer rows: sketches of one ratio should do alike.

*Tail.* 1000 rows without noise, of eigenvectors that are only nearly sparse: a share of the squares
of each lies outside its 20 largest entries, in a Gaussian tail over all other features ("dense") or
in one whose entries fall as 1 / (20 + i) ("power law"). To be found is the best sparse
approximation, the largest 20 entries of each.

The step of Oja's rule is the best of five for each seed, known only with the truth in sight.
Frequent Directions keeps l rows with l N = m k, and works on twice as many.
"""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _frequent_directions import ThresholdedFrequentDirections
from _harness import (
    keep_largest,
    make_parser,
    print_machine,
    print_table,
    progress,
    quiet,
    support_recovery,
    worst_cosine,
)
from _oja import tuned_oja

SPECTRUM = np.array([2.0, 1.5, 1.0])
R = len(SPECTRUM)
N_NONZERO = 20
BATCH = 500
SUCCESS = 0.9
RATIOS = (0.125, 0.25, 0.375, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0, 8.0)
ROWS_RATIO, ROWS = 1.5, (1000, 2000, 8000)
TAILS = (0.0, 1e-4, 1e-3, 1e-2, 0.1, 0.5)
STEPS = ((0.1, "constant"), (0.5, "constant"), (0.5, "1/t"), (2.0, "1/t"), (10.0, "1/t"))
# Shapes of the sketches, as functions of floats kept and features.
SHAPES = {
    "MAM*": lambda floats, N: (int(floats**0.5), None),
    "two-sided": lambda floats, N: (int(4 * floats**0.5), int(floats**0.5 / 4)),
    "identity": lambda floats, N: (None, int(floats // N)),
}


# ------------------------------------------------------------------------------------------ data


def noisy_rows(n_samples, n_features, eigenvalues, seed):
    """Return rows and the planted components."""
    data = make_sparse_spiked_covariance(
        n_samples,
        n_features,
        eigenvalues=eigenvalues,
        n_nonzero_coefs=N_NONZERO,
        dtype=np.float32,
        random_state=seed,
    )
    return data.data, data.components


def eigenvalues_at(ratio, n_samples, n_features, floats):
    """Return the variances of the spikes whose weakest has this ratio, at unit noise."""
    return SPECTRUM * (ratio * n_features / (n_samples**0.5 * floats**0.25))


def tailed_rows(n_samples, n_features, share, kind, seed):
    """Return noiseless rows of nearly sparse components, and their largest entries."""
    heads = make_sparse_spiked_covariance(
        0, n_features, eigenvalues=SPECTRUM, n_nonzero_coefs=N_NONZERO, random_state=seed
    )
    rng = np.random.default_rng(seed)
    tails = rng.standard_normal((n_features, R))
    if kind == "power law":
        falling = 1.0 / (N_NONZERO + np.arange(n_features))
        tails = np.sign(tails) * np.array([rng.permutation(falling) for _ in range(R)]).T
    tails[heads.support] = 0.0
    tails = np.linalg.qr(tails)[0].T
    components = (1 - share) ** 0.5 * heads.components.toarray() + share**0.5 * tails
    scores = rng.standard_normal((n_samples, R)) * SPECTRUM**0.5
    return (scores @ components).astype(np.float32), keep_largest(components, N_NONZERO)


# --------------------------------------------------------------------------------------- methods


def sketched(X, shape, seed):
    """Return the components found by one pass over the rows."""
    m, k = shape
    if m is None:
        sketch = {"measurement": "identity", "range_size": k}
    elif k is None:
        sketch = {"sketch": "mam", "n_measurements": m}
    else:
        sketch = {"sketch": "two_sided", "n_measurements": m, "range_size": k}
    model = SketchedSparsePCA(R, n_nonzero_coefs=N_NONZERO, random_state=seed, **sketch)
    for rows in batches(X):
        model.partial_fit(rows)
    return model.components_


def batches(X):
    return [X[low : low + BATCH] for low in range(0, X.shape[0], BATCH)]


def sketches(X, floats, seed):
    """Yield the name of each sketch, and the components it finds."""
    for name, shape in SHAPES.items():
        yield f"**{name}**", sketched(X, shape(floats, X.shape[1]), seed)


def peers(X, floats, truth):
    """Yield the name of each peer, and the components it finds."""
    dense = PCA(R, svd_solver="arpack", random_state=0).fit(X).components_
    yield "dense PCA, all rows", dense
    yield "dense PCA + threshold", keep_largest(dense, N_NONZERO)
    oja = tuned_oja(batches(X), lambda V: worst_cosine(V, truth), R, N_NONZERO, steps=STEPS)
    yield "Oja + threshold, best step", oja[1]
    frequent = ThresholdedFrequentDirections(R, N_NONZERO, fd_rows(floats, X.shape[1]))
    yield "Frequent Directions + threshold", frequent.partial_fit(X).components_


def fd_rows(floats, n_features):
    return max(R + 1, floats // n_features)


def floats_kept(method, n_samples, n_features, floats):
    """Return the floats that a method keeps between batches."""
    if method.startswith("dense"):
        return n_samples * n_features
    if method.startswith("Oja"):  # the basis, a product of its size, and the mean
        return (2 * R + 1) * n_features
    if method.startswith("Frequent"):
        return fd_rows(floats, n_features) * n_features
    m, k = SHAPES[method.strip("*") + "*" * ("MAM" in method)](floats, n_features)
    return (m or n_features) * (k or m)


# ---------------------------------------------------------------------------------------- sweeps


class Sweep:
    """Scores of each method at each point of an axis."""

    def __init__(self):
        self.cosines, self.recalls = defaultdict(list), defaultdict(list)

    def add(self, method, x, components, truth):
        found, planted = sp.csr_array(components), sp.csr_array(truth)
        self.cosines[method, x].append(worst_cosine(found, planted))
        recall = support_recovery(np.unique(found.indices), np.unique(planted.indices))[1]
        self.recalls[method, x].append(recall)

    @property
    def methods(self):
        return list(dict.fromkeys(method for method, _ in self.cosines))

    @property
    def axis(self):
        return list(dict.fromkeys(x for _, x in self.cosines))

    def success(self, method, x):
        return float(np.mean(np.array(self.cosines[method, x]) > SUCCESS))

    def error(self, method, x):
        """Return the median of 1 - cosine^2."""
        return float(np.median(1 - np.square(self.cosines[method, x])))

    def cell(self, method, x, with_error=False):
        """Return success rate, and median cosine and mean recall or the median error, as text."""
        if with_error:
            return f"{self.success(method, x):.1f} ({max(self.error(method, x), 0.0):.0e})"
        cosine, recall = np.median(self.cosines[method, x]), np.mean(self.recalls[method, x])
        if method == "dense PCA, all rows":  # has no zeros, so recalls everything
            return f"{self.success(method, x):.1f} ({cosine:.2f}, )"
        return f"{self.success(method, x):.1f} ({cosine:.2f}, {recall:.2f})"


def noise_sweep(seeds, n_samples, n_features, floats):
    sweep = Sweep()
    for seed in seeds:
        for ratio in RATIOS:
            progress(f"noise: seed {seed}, ratio {ratio}")
            eigenvalues = eigenvalues_at(ratio, n_samples, n_features, floats)
            X, truth = noisy_rows(n_samples, n_features, eigenvalues, seed)
            for method, found in (*sketches(X, floats, seed), *peers(X, floats, truth)):
                sweep.add(method, ratio, found, truth)
    return sweep


def rows_sweep(seeds, rows, n_features, floats):
    sweep = Sweep()
    for seed in seeds:
        for n_samples in rows:
            progress(f"rows: seed {seed}, {n_samples} rows")
            eigenvalues = eigenvalues_at(ROWS_RATIO, n_samples, n_features, floats)
            X, truth = noisy_rows(n_samples, n_features, eigenvalues, seed)
            for method, found in sketches(X, floats, seed):
                sweep.add(method, n_samples, found, truth)
    return sweep


def tail_sweep(kind, seeds, n_samples, n_features, floats):
    sweep = Sweep()
    for seed in seeds:
        for share in TAILS:
            progress(f"{kind} tail: seed {seed}, share {share}")
            X, truth = tailed_rows(n_samples, n_features, share, kind, seed)
            for method, found in (*sketches(X, floats, seed), *peers(X, floats, truth)):
                sweep.add(method, share, found, truth)
    return sweep


# --------------------------------------------------------------------------------------- reports


def print_sweep(sweep, caption, kept=None, with_error=False):
    rows = [
        [method]
        + ([f"{kept(method):.1e}"] if kept else [])
        + [sweep.cell(method, x, with_error) for x in sweep.axis]
        for method in sweep.methods
    ]
    columns = ["method", *(["floats kept"] if kept else []), *(f"{x:g}" for x in sweep.axis)]
    print_table(columns, rows, caption)


def plot(file, noise, tails):
    """Draw success against the noise ratio, and the error against the tail."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 1 + len(tails), figsize=(5 * (1 + len(tails)), 4.2))
    for number, method in enumerate(noise.methods):
        ours = method.startswith("**")
        style = {"color": f"C{number}", "ls": "-" if ours else "--", "marker": "o" if ours else "s"}
        style |= {"markersize": 4, "label": method.removeprefix("**").removesuffix("**")}
        panels[0].plot(noise.axis, [noise.success(method, x) for x in noise.axis], **style)
        for panel, sweep in zip(panels[1:], tails.values(), strict=True):
            shares = [x for x in sweep.axis if x > 0]
            panel.plot(shares, [max(sweep.error(method, x), 1e-9) for x in shares], **style)
    panels[0].set(xlabel="ratio of signal to noise", ylabel="share of seeds found")
    panels[0].set_xscale("log", base=2)
    panels[0].xaxis.set_major_formatter("{x:g}")
    panels[0].set_title(f"noise: worst cosine > {SUCCESS}")
    for panel, kind in zip(panels[1:], tails, strict=True):
        panel.axhline(1 - SUCCESS**2, color="0.6", lw=0.8)
        panel.set(xscale="log", yscale="log", xlabel="share of the tail", ylabel="1 - cosine$^2$")
        panel.set_title(f"{kind} tail: error")
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncol=7, fontsize=8)
    figure.savefig(file, dpi=120)


def main():
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument("--plot", metavar="FILE.png", help="draw the sweeps (needs matplotlib)")
    args = parser.parse_args()
    n_samples, n_features, floats, rows, tail_samples = 4000, 20_000, 640_000, ROWS, 1000
    if args.quick:
        n_samples, n_features, floats, rows, tail_samples = 500, 1500, 90_000, (300,), 200
    quiet()
    seeds = range(1 if args.quick else args.repeats)
    noise = noise_sweep(seeds, n_samples, n_features, floats)
    by_rows = rows_sweep(seeds, rows, n_features, floats)
    tails = {
        kind: tail_sweep(kind, seeds, tail_samples, n_features, floats)
        for kind in ("dense", "power law")
    }

    print_machine()
    print(
        f"{n_features} features, {R} components of {N_NONZERO}, {len(seeds)} seeds. Each cell: "
        f"share of seeds with a worst cosine above {SUCCESS} (median worst cosine, recall); for "
        "tails (median of 1 - cosine^2)\n"
    )
    print_sweep(
        noise,
        f"Noise, {n_samples} rows, against lambda_r sqrt(n) (m k)^(1/4) / (sigma^2 N)",
        lambda method: floats_kept(method, n_samples, n_features, floats),
    )
    print_sweep(by_rows, f"Rows, at ratio {ROWS_RATIO:g}, against their number")
    for kind, sweep in tails.items():
        caption = f"Tail, {kind}, {tail_samples} rows, against its share"
        print_sweep(sweep, caption, with_error=True)
    if args.plot:
        plot(args.plot, noise, tails)


if __name__ == "__main__":
    main()
