"""Sparse rows added to a sketch, beside the product that does the additions and nothing else.

The *reference* is one SciPy product in one thread: the measured rows, transposed and sorted by
their measurement, with the rows measured by the test matrix, both made beforehand. An update also
hashes, sorts, keeps moments and what it needs to take itself back. The *limits* are what a machine
cannot go below in this way: as many multiplications in one BLAS product, and reading and writing
the sketch once.

``IncrementalPCA`` and ``MiniBatchSparsePCA`` are left out: they need dense batches, of 80 GB here.
``TruncatedSVD`` cannot go on with a second batch; it is fitted to one.

    python benchmarks/kernels/bench_updates.py
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parents[1]))
from _harness import make_parser, print_machine, print_table, progress
from _oja import ThresholdedOja
from sklearn.decomposition import TruncatedSVD

from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
from sklearn_sparse_eig._base.threads import thread_count
from sklearn_sparse_eig.kernels import use_backend

N_COMPONENTS = 10


def stream(rng, n_rows, n_features, n_nonzero, zipf):
    """Return CSR rows whose ids are uniform, or the i-th of which is as frequent as 1 / i."""
    if zipf:
        share = np.cumsum(1.0 / np.arange(1, n_features + 1))
        ids = np.searchsorted(share / share[-1], rng.random((n_rows, n_nonzero)))
    else:
        ids = rng.integers(0, n_features, (n_rows, n_nonzero))
    indptr = np.arange(0, ids.size + 1, n_nonzero)
    values = rng.standard_normal(ids.size)
    X = sp.csr_array((values, ids.ravel(), indptr), shape=(n_rows, n_features))
    X.sum_duplicates()
    return X


def reference_product(sketch, X):
    """Return the job of the reference: the product alone."""
    Y = sketch.measurement.measure_sparse(X).T.tocsr()
    W = sketch.test.measure(X)
    return lambda: Y @ W


def limits(sketch, X):
    """Return the jobs of the limits: multiplications by BLAS, and the memory of the sketch."""
    m, k = sketch.shape
    products = X.nnz * sketch.measurement.nonzeros_per_column()
    left, right = np.ones((products // 1024, 1024)), np.ones((1024, k))
    S = np.zeros((m, k))

    def touch():
        np.add(S, 1.0, out=S)

    return lambda: left @ right, touch


def medians(jobs, repeats, warm_up=1):
    """Return the median seconds of each job; they take turns, after one that does not count."""
    times = {name: [] for name in jobs}
    for repeat in range(repeats + warm_up):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if repeat >= warm_up:
                times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def jobs_of(X, earlier, n_measurements, range_size):
    """Return all jobs on one batch by name."""
    size = {"n_measurements": n_measurements, "range_size": range_size, "random_state": 0}
    sketch = EigenSketch(X.shape[1], **size)
    plain = EigenSketch(X.shape[1], **size)
    estimator = SketchedSparsePCA(N_COMPONENTS, n_nonzero_coefs=20, **size)
    for state in (sketch, plain):  # one row alone is its own mean, and is added otherwise
        state.update(earlier)
    estimator.partial_fit(earlier)

    def update_by_scipy():
        with use_backend("scipy"):
            plain.update(X)

    gemm, touch = limits(sketch, X)
    jobs = {
        "reference": reference_product(sketch, X),
        "SketchedSparsePCA.partial_fit": lambda: estimator.partial_fit(X),
        "EigenSketch.update": lambda: sketch.update(X),
        "EigenSketch.update, SciPy": update_by_scipy,
        "limit: products by BLAS": gemm,
        "limit: sketch read and written": touch,
    }
    return jobs


def peers_of(X, earlier):
    """Return the jobs of peers, which take seconds and are run once."""
    oja = ThresholdedOja(N_COMPONENTS, 20)
    oja.partial_fit(earlier)
    svd = TruncatedSVD(N_COMPONENTS, random_state=0)
    return {
        "Oja, 10 components": lambda: oja.partial_fit(X),
        "TruncatedSVD.fit, 10 components": lambda: svd.fit(X),
    }


def main():
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument("--features", type=int, default=10**6)
    parser.add_argument("--nonzeros", type=int, default=100, help="nonzeros of a row")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 10, 100, 10_000])
    args = parser.parse_args()
    batches, n_features = args.batches, args.features
    if args.quick:
        batches, n_features = [1, 200], 10**5
    rng = np.random.default_rng(0)
    rows = []
    for ids in ("uniform", "Zipf"):
        largest = stream(rng, max(batches), n_features, args.nonzeros, ids == "Zipf")
        earlier = stream(rng, 300, n_features, args.nonzeros, ids == "Zipf")
        progress(f"{ids}, peers")
        peers = medians(peers_of(largest, earlier), 1, warm_up=0)
        for m, k in ((16384, 256), (4096, 256)):
            for n in batches:
                progress(f"{ids} {m} x {k}, {n} rows")
                X = largest[:n]
                jobs = jobs_of(X, earlier, m, k)
                seconds = medians(jobs, args.repeats if n > 1000 else 5 * args.repeats)
                if n == max(batches):
                    seconds |= peers
                for name, value in seconds.items():
                    over = value / seconds["reference"]
                    rate = f"{n / value:.0f}", f"{X.nnz / value / 1e6:.2f}"
                    rows.append(
                        [ids, f"{m} x {k}", n, name, f"{1e3 * value:.2f}", *rate, f"{over:.2f}"]
                    )
    columns = [
        "ids",
        "sketch",
        "rows",
        "method",
        "ms",
        "rows / s",
        "M nonzeros / s",
        "over reference",
    ]
    print_machine()
    caption = f"{n_features} features, {args.nonzeros} nonzeros a row, {thread_count()} threads"
    print_table(columns, rows, caption)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(thread_count()))
    main()
