"""Error estimates of eigenpairs against their true errors, in every regime of the sketch.

Rows: three spikes in ratio 1.5 : 1.2 : 1 in unit noise, or ten from 10 : 1 on one common support;
"noise ratio" is the smallest eigenvalue over the fluctuation of the noise in the sketch. Entries:
a linear spectrum from 1 to 0.05, where every vector has a tail of as many entries again, each of
0.001, beyond the support. Root mean squares over components and seeds; "outside" counts single
pairs whose estimate is off by more than a factor of 2.
"""

import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress, quiet

TAIL = 1e-3
LINEAR = np.linspace(10.0, 1.0, 10)
THREE = np.array([1.5, 1.2, 1.0])
SHAPES = {
    "two-sided": {"n_measurements": 400, "range_size": 64},
    "two-sided, wide": {"n_measurements": 800, "range_size": 64},
    "MAM*": {"n_measurements": 304},
    "range": {"n_measurements": None, "measurement": "identity", "range_size": 64},
    "exact": {"n_measurements": None, "measurement": "identity"},
}
# Name of the shape, features, rows, nonzeros, spectrum, layout of the supports, noise ratio.
NOISY = [
    *(("two-sided", 20_000, 1000, 10, THREE, "disjoint", ratio) for ratio in (3, 10, 30)),
    ("two-sided, wide", 200_000, 1000, 10, THREE, "disjoint", 3),
    *(("MAM*", 20_000, 1000, 10, THREE, "disjoint", ratio) for ratio in (3, 10, 30)),
    *(("range", 5000, 1000, 10, THREE, "disjoint", ratio) for ratio in (3, 10, 30)),
    *(("exact", 800, 500, 10, THREE, "disjoint", ratio) for ratio in (1, 3, 10)),
    ("two-sided, wide", 20_000, 1000, 50, LINEAR, "common", 3),
    ("exact", 800, 500, 50, LINEAR, "common", 3),
    ("two-sided", 20_000, 1000, 10, THREE, "overlapping", 10),
]
# Name, options, features, rank, nonzeros, layout of the supports.
ENTRIES = [
    ("two-sided", {"n_measurements": 600, "range_size": 64}, 20_000, 5, 30, "disjoint"),
    ("two-sided", {"n_measurements": 2400, "range_size": 80}, 20_000, 20, 30, "disjoint"),
    ("two-sided", {"n_measurements": 184, "range_size": 64}, 20_000, 5, 30, "common"),
    ("two-sided", {"n_measurements": 184, "range_size": 80}, 20_000, 20, 30, "common"),
    ("MAM*", {"n_measurements": 600}, 20_000, 5, 30, "disjoint"),
    ("range", SHAPES["range"], 5000, 5, 30, "disjoint"),
    ("exact", SHAPES["exact"], 800, 5, 30, "disjoint"),
]


def true_errors(pairs, truth, eigenvalues):
    """Return the distances of vectors and values to those of the nearest planted component."""
    overlap = (sp.csr_array(truth) @ pairs.eigenvectors).toarray()
    nearest = np.abs(overlap).argmax(axis=0)
    cosines = np.abs(overlap[nearest, np.arange(len(nearest))])
    # 1 - cos loses half of the digits, and these errors are far above them.
    return np.sqrt(2.0 * np.maximum(1.0 - cosines, 0.0)), pairs.eigenvalues - eigenvalues[nearest]


def noisy(options, n_features, n_samples, n_nonzero, spectrum, support, ratio, seed):
    """Return the pairs recovered from rows, and the truth."""
    sketch = EigenSketch(n_features, random_state=seed, **options)
    m, k = sketch.shape
    sides = (m * n_samples) ** -0.5 + (k * n_samples) ** -0.5 + 1.0 / n_samples
    eigenvalues = spectrum / spectrum.min() * ratio * n_features * sides
    data = make_sparse_spiked_covariance(
        n_samples,
        n_features,
        eigenvalues=eigenvalues,
        n_nonzero_coefs=n_nonzero,
        support=support,
        batch_size=250,
        dtype=np.float32,
        random_state=seed,
    )
    for rows in data.batches:
        sketch.update(rows)
    pairs = sketch.recover(len(eigenvalues), n_nonzero_coefs=n_nonzero)
    return pairs, data.components, eigenvalues + 1.0


def with_tails(options, n_features, rank, n_nonzero, support, seed):
    """Return the pairs recovered from entries, and the truth."""
    eigenvalues = np.linspace(1.0, 0.05, rank)
    planted = make_sparse_spiked_covariance(
        0,
        n_features,
        eigenvalues=eigenvalues,
        n_nonzero_coefs=n_nonzero,
        support=support,
        random_state=seed,
    )
    rng = np.random.default_rng(seed)
    U = planted.components.toarray()
    idle = np.setdiff1d(np.arange(n_features), planted.support)
    for u in U:
        u[rng.choice(idle, n_nonzero, replace=False)] = TAIL * rng.choice([-1, 1], n_nonzero)
    U = np.linalg.qr(U.T)[0].T
    ids = np.flatnonzero(U.any(axis=0))
    sketch = EigenSketch(n_features, random_state=seed, **options)
    sketch.update_tile(ids, ids, (U[:, ids].T * eigenvalues) @ U[:, ids])
    pairs = sketch.recover(rank, n_nonzero_coefs=n_nonzero)
    return pairs, U, eigenvalues


def row_of(labels, results):
    """Return a row of the table from the results of all seeds."""
    true, true_values = np.hstack([true_errors(*result) for result in results])
    estimated = np.hstack([result[0].eigenvector_errors for result in results])
    values = np.hstack([result[0].eigenvalue_errors for result in results])
    off = np.abs(np.log2(estimated / true)) > 1.0
    rms = [np.sqrt(np.mean(np.square(e))) for e in (true, estimated, true_values, values)]
    return [
        *labels,
        f"{rms[0]:.1e}",
        f"{rms[1]:.1e}",
        f"{rms[1] / rms[0]:.2f}",
        f"{off.sum()} of {len(off)}",
        f"{rms[3] / rms[2]:.2f}",
    ]


def main():
    args = make_parser(__doc__, repeats=8).parse_args()
    quiet()
    seeds = range(1 if args.quick else args.repeats)
    jobs = [
        (f"{name}, {N:.0e}, {layout}", f"ratio {ratio}", noisy, SHAPES[name], N, n, s, *rest)
        for name, N, n, s, *rest in NOISY
        for layout, ratio in [rest[1:]]
        if not args.quick or N < 5000
    ] + [
        (f"{name}, {N:.0e}, r = {r}, {layout}", "tails", with_tails, options, N, r, s, layout)
        for name, options, N, r, s, layout in ENTRIES
        if not args.quick or N < 5000
    ]
    rows = []
    for label, source, job, *parameters in jobs:
        progress(f"{label}, {source}")
        rows.append(row_of([label, source], [job(*parameters, seed) for seed in seeds]))
    print_machine()
    print_table(
        ["sketch, features, supports", "noise", "true", "estimated", "ratio", "outside"]
        + ["values: ratio"],
        rows,
        f"Error of the vectors, root mean square over components and {len(seeds)} seeds",
    )


if __name__ == "__main__":
    main()
