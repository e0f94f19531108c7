"""Fits to pure noise that give no warning, and shared features beside those of factor analysis.

Noise is independent, with standard deviations that are equal or log-uniform from 0.5 to 5. A false
alarm is a fit of one component that does not warn. In the second table one factor is added to some
features, in units of their own noise: the share of seeds with exactly these features, and the seeds
where `sklearn.decomposition.FactorAnalysis` finds them and the sketch does not.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.decomposition import FactorAnalysis

from sklearn_sparse_eig import RecoveryWarning, SketchedSparsePCA

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress, quiet

# Features, and the settings of the sketch.
REGIMES = {
    "exact": (60, {}),
    "range, k = 32": (300, {"measurement": "identity", "range_size": 32}),
    "two-sided 200 x 48": (600, {"n_measurements": 200, "range_size": 48}),
    "MAM* 200": (600, {"sketch": "mam", "n_measurements": 200}),
}
# The scales of features, and the noise model.
NOISES = {
    "equal, isotropic": (False, "isotropic"),
    "equal, diagonal": (False, "diagonal"),
    "unequal, diagonal": (True, "diagonal"),
}
# Regime, rows, shared features, their loading in units of the noise.
SHARED = [
    ("exact", 500, 3, 0.6),
    ("exact", 300, 5, 0.5),
    ("exact", 100, 4, 1.0),
    ("exact", 100, 2, 2.0),
    ("range, k = 32", 500, 6, 0.5),
    ("range, k = 32", 500, 6, 0.7),
    ("range, k = 32", 500, 6, 1.5),
    ("two-sided 200 x 48", 500, 6, 0.7),
    ("two-sided 200 x 48", 500, 6, 1.5),
    ("two-sided 200 x 48", 500, 6, 3.0),
    ("MAM* 200", 500, 6, 0.8),
    ("MAM* 200", 500, 6, 1.5),
]


def noise_rows(n_samples, n_features, unequal, seed):
    """Return independent noise, and the standard deviations of the features."""
    rng = np.random.default_rng(seed)
    scale = np.ones(n_features)
    if unequal:
        scale = np.exp(rng.uniform(np.log(0.5), np.log(5.0), n_features))
    return rng.standard_normal((n_samples, n_features)) * scale, scale, rng


def fitted(X, regime, refine, noise, size, seed):
    """Return a fit of one component, and whether it gave no warning."""
    pca = SketchedSparsePCA(
        1, n_nonzero_coefs=size, noise=noise, refine=refine, random_state=seed, **REGIMES[regime][1]
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pca.fit(X)
    return pca, not any(issubclass(w.category, RecoveryWarning) for w in caught)


def alarms(regime, refine, unequal, noise, size, n_fits):
    """Return how many fits to noise are silent."""
    silent = 0
    for seed in range(n_fits):
        X = noise_rows(300, REGIMES[regime][0], unequal, seed)[0]
        silent += fitted(X, regime, refine, noise, size, seed)[1]
    return silent


def shared_row(regime, n_samples, size, loading, n_seeds):
    """Return the shares of seeds in which the sketch and factor analysis find the features."""
    N = REGIMES[regime][0]
    ours, factors, lost, told = 0, 0, 0, 0
    for seed in range(n_seeds):
        X, scale, rng = noise_rows(n_samples, N, True, seed)
        ids = set(rng.choice(N, size, replace=False).tolist())
        X[:, list(ids)] += loading * scale[list(ids)] * rng.standard_normal((n_samples, 1))
        pca, silent = fitted(X, regime, "data", "diagonal", size, seed)
        found = set(pca.support_.tolist()) == ids
        model = FactorAnalysis(1, max_iter=300).fit(X)
        weights = np.abs(model.components_[0]) / np.sqrt(model.noise_variance_)
        other = set(np.argsort(-weights)[:size].tolist()) == ids
        ours, factors, lost = ours + found, factors + other, lost + (other and not found)
        told += found and silent
    shares = [f"{count / n_seeds:.2f}" for count in (ours, factors, told)]
    return [f"{regime}: {N} features, {n_samples} rows, {size} of {loading}", *shares, lost]


def main():
    args = make_parser(__doc__, repeats=200).parse_args()
    quiet()
    repeats = 4 if args.quick else args.repeats
    print_machine()
    rows = []
    for regime in REGIMES:
        for refine in ("data",) if regime == "exact" else ("data", "sketch"):
            for title, (unequal, noise) in NOISES.items():
                progress(f"{regime}, {refine}: {title}")
                cells = [
                    alarms(regime, refine, unequal, noise, size, repeats) for size in (5, "auto")
                ]
                reading = "" if regime == "exact" else f", refine={refine!r}"
                rows.append([f"{regime}{reading}; {title}", repeats, *cells])
    columns = ["noise alone", "fits", "no warning, 5 nonzeros", 'no warning, "auto"']
    print_table(columns, rows, "False alarms")
    rows = []
    n_seeds = max(repeats // 10, 2)
    for case in SHARED:
        progress(f"shared features: {case}")
        rows.append(shared_row(*case, n_seeds))
    columns = ["one factor", "found", "by FactorAnalysis", "found and no warning", "lost to it"]
    print_table(columns, rows, f"Shared features in unequal noise, {n_seeds} seeds")


if __name__ == "__main__":
    main()
