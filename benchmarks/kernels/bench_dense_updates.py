"""Adding dense rows, beside what the machine can do.

Prints one table: seconds of ``SketchedSparsePCA.partial_fit`` on rows of one width and type, with
all its checks and centring, as shares of the rate at which ``X.sum()`` reads the same rows and of
the rate of the BLAS product that the sketch cannot do without, and what ``IncrementalPCA`` takes in
units of it. All of them take turns within one run.

    python benchmarks/kernels/bench_dense_updates.py --repeats 7
"""

import sys
import time
from pathlib import Path

import numpy as np
from scipy.linalg.blas import dgemm, dsyrk
from sklearn.decomposition import IncrementalPCA

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig._base.threads import thread_count

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress

# Rows of a BLAS call: as many as the sketch takes at a time at the narrowest width.
BLOCK = 2048
# Name, features, rows, and settings of the estimator. The large budget keeps 4096 features exact.
CASES = [
    ("exact", 784, 8192, {}),
    ("exact", 4096, 2048, {"memory_budget": 1e9}),
    ("kept x hashed (default)", 50_000, 1024, {}),
    ("hashed x hashed", 50_000, 1024, {"n_measurements": 1024, "range_size": 64}),
]
DTYPES = ["float64", "float32", "uint8"]


def rows_of(n, n_features, dtype):
    """Return pixels where the type is one of whole numbers, and normal numbers elsewhere."""
    rng = np.random.default_rng(0)
    if dtype == "uint8":
        return rng.integers(0, 256, (n, n_features), dtype=np.uint8)
    return rng.standard_normal((n, n_features), dtype=dtype)


def product_of(sketch, X):
    """Return the product of BLAS that adds rows to the sketch, and what it does to an entry of X.

    It has nothing else to do: the rows are float64, centred and measured already.
    """
    m, k = sketch.shape
    Y = X.astype(np.float64) if sketch.measurement.keeps_features else np.ones((len(X), m))
    S = np.zeros((m, k))
    if sketch.is_symmetric:

        def product():
            for low in range(0, len(Y), BLOCK):
                dsyrk(1.0, Y[low : low + BLOCK].T, beta=1.0, c=S.T, lower=1, overwrite_c=1)

        return product, f"{m // 2} multiply-adds"
    W = np.ones((len(X), k))

    def product():
        dgemm(1.0, W.T, Y.T, beta=1.0, c=S.T, trans_b=1, overwrite_c=1)

    blocks = sketch.test.nonzeros_per_column()
    if sketch.measurement.keeps_features:
        return product, f"{k} multiply-adds, {blocks} hashed additions"
    return product, f"{blocks + sketch.measurement.nonzeros_per_column()} hashed additions"


def measure(n_features, n, options, dtype, repeats, widest_peer):
    """Return medians of seconds by job, the jobs taking turns, and what is done to an entry."""
    X = rows_of(n, n_features, dtype)
    pca = SketchedSparsePCA(5, random_state=0, **options).partial_fit(X)
    product, work = product_of(pca.sketch_, X)
    jobs = {
        "sum": X.sum,
        "update": lambda: pca.partial_fit(X),
        "product": product,
        "peer": lambda: IncrementalPCA(5).fit(X),
    }
    seconds = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            if name == "peer" and n_features > widest_peer:
                continue
            start = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in seconds.items() if values}, work


def main():
    parser = make_parser(__doc__, repeats=5)
    help_peer = "features up to which IncrementalPCA is fitted: at 50000 it takes minutes"
    parser.add_argument("--widest-peer", type=int, default=1000, help=help_peer)
    args = parser.parse_args()
    cases, repeats = CASES, args.repeats
    if args.quick:
        cases, repeats = [("exact", 200, 400, {}), ("hashed x hashed", 3000, 64, CASES[3][3])], 1
    rows = []
    for name, n_features, n, options in cases:
        for dtype in DTYPES:
            progress(f"{n} x {n_features} {dtype}, {name}")
            seconds, work = measure(n_features, n, options, dtype, repeats, args.widest_peer)
            update = seconds["update"]
            rows.append(
                [
                    f"{n} x {n_features} {dtype}",
                    name,
                    f"{1e3 * update:.1f}",
                    f"{seconds['sum'] / update:.3f}",
                    f"{seconds['product'] / update:.2f}",
                    f"{seconds['peer'] / update:.0f}" if "peer" in seconds else "",
                    work,
                ]
            )
    print_machine()
    columns = ["rows", "sketch", "ms", "of X.sum()", "of BLAS", "IncrementalPCA takes", "an entry"]
    caption = f"partial_fit of dense rows, {thread_count()} threads, medians of {repeats}"
    print_table(columns, rows, caption)


if __name__ == "__main__":
    main()
