"""Spiked covariance: how much of the planted span do a small sketch and full methods find.

20000 features, 4 disjoint spikes of 20 nonzeros with variances 40, 30, 20, 15, unit noise in every
feature, 4000 rows in batches. The score is the worst principal cosine between the planted and
the found span. Sketches see every batch once; dense PCA has all rows at once. The step of Oja's
rule is the best of ten for each seed, known only with the truth in sight.
"""

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import (
    keep_largest,
    make_parser,
    print_machine,
    print_table,
    progress,
    quiet,
    worst_cosine,
)
from _oja import STEPS, tuned_oja

EIGENVALUES = (40.0, 30.0, 20.0, 15.0)
N_NONZERO = 20
BATCH = 500
# Names of sketches, and parameters of SketchedSparsePCA, as functions of the size of the problem.
SKETCHES = {
    "MAM* m x m": lambda floats, N: {"sketch": "mam", "n_measurements": int(floats**0.5)},
    "two-sided m x m/16": lambda floats, N: {
        "sketch": "two_sided",
        "n_measurements": int(4 * floats**0.5),
        "range_size": int(floats**0.5 / 4),
    },
    "identity N x k": lambda floats, N: {
        "measurement": "identity",
        "range_size": int(floats // N),
    },
}


def fit_sketch(batches, sizes, parameters, seed):
    model = SketchedSparsePCA(
        len(EIGENVALUES), n_nonzero_coefs=sizes, random_state=seed, **parameters
    )
    for rows in batches:
        model.partial_fit(rows)
    return model.components_, model.sketch_.shape


def run_seed(seed, n_samples, n_features, floats_kept, steps, record):
    """Call ``record(method, floats kept, cosine, seconds)`` for every method."""
    data = make_sparse_spiked_covariance(
        n_samples,
        n_features,
        eigenvalues=EIGENVALUES,
        n_nonzero_coefs=N_NONZERO,
        dtype=np.float32,
        random_state=seed,
    )
    X, truth = data.data, data.components
    batches = [X[low : low + BATCH] for low in range(0, n_samples, BATCH)]

    def score(components):
        return worst_cosine(components, truth)

    for floats in floats_kept:
        for name, parameters in SKETCHES.items():
            for sizes in (N_NONZERO, "auto"):
                start = time.perf_counter()
                found, shape = fit_sketch(batches, sizes, parameters(floats, n_features), seed)
                seconds = time.perf_counter() - start
                label = f"**{name}**, {shape[0]} x {shape[1]}, {sizes}"
                record(label, shape[0] * shape[1], score(found), seconds)

    start = time.perf_counter()
    dense = PCA(len(EIGENVALUES), svd_solver="arpack", random_state=0).fit(X).components_
    seconds = time.perf_counter() - start
    record("dense PCA, all rows", X.size, score(dense), seconds)
    record("dense PCA + threshold", X.size, score(keep_largest(dense, N_NONZERO)), seconds)

    start = time.perf_counter()
    _, found = tuned_oja(batches, score, len(EIGENVALUES), N_NONZERO, steps=steps)
    # Whoever knows the step needs one pass only.
    seconds = (time.perf_counter() - start) / len(steps)
    record("Oja + threshold, best step", 2 * len(EIGENVALUES) * n_features, score(found), seconds)


def warm_up():
    """Compile, or load from the cache, what the first method would be charged for."""
    X = np.random.default_rng(0).standard_normal((100, 500), dtype=np.float32)
    for parameters in SKETCHES.values():
        for sizes in (N_NONZERO, "auto"):
            fit_sketch([X], sizes, parameters(40_000, 500), 0)


def main():
    args = make_parser(__doc__, repeats=5).parse_args()
    n_samples, n_features, floats_kept, steps = 4000, 20_000, (1_000_000, 4_000_000), STEPS
    if args.quick:
        n_samples, n_features, floats_kept, steps = 1000, 2000, (90_000,), STEPS[4:6]
    quiet()
    seeds = range(1 if args.quick else args.repeats)
    cosines, seconds, floats = {}, {}, {}

    def record(method, kept, cosine, duration):
        cosines.setdefault(method, []).append(cosine)
        seconds.setdefault(method, []).append(duration)
        floats[method] = kept

    warm_up()
    for seed in seeds:
        progress(f"seed {seed}")
        run_seed(seed, n_samples, n_features, floats_kept, steps, record)

    print_machine()
    rows = [
        [
            method,
            f"{floats[method]:.1e}",
            f"{np.median(cosines[method]):.3f}",
            f"{min(cosines[method]):.3f}",
            f"{np.median(seconds[method]):.1f}",
        ]
        for method in cosines
    ]
    print_table(
        ["method, sketch, nonzeros asked", "floats kept", "median", "worst seed", "seconds"],
        rows,
        f"Worst principal cosine, {n_samples} rows x {n_features} features, {len(seeds)} seeds",
    )


if __name__ == "__main__":
    main()
