"""Throughput of the kernels beside what the machine can do.

Prints one table: the read rate of ``X.sum()``, dense and CSR sketching, the sweep over all column
ids, and the updates of a sketch, for each backend. Repetitions of all entries are interleaved, so a
busy machine slows them alike, and medians are reported. Only ratios within one run mean anything.

    python benchmarks/kernels/bench_sketch_throughput.py --rows 800 --columns 100000
"""

import argparse
import time
from importlib.util import find_spec

import numpy as np

from sklearn_sparse_eig import kernels
from sklearn_sparse_eig._base.threads import thread_count


def _parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=800)
    parser.add_argument("--columns", type=int, default=100_000)
    parser.add_argument("--blocks", type=int, default=4, help="blocks of the dense and CSR sketch")
    parser.add_argument("--measurements", type=int, nargs="+", default=[2000, 4000])
    parser.add_argument("--nonzeros", type=int, default=2_000_000, help="nonzeros of the CSR rows")
    parser.add_argument("--ids", type=int, default=4_000_000, help="column ids of one sweep")
    parser.add_argument("--components", type=int, default=20, help="columns of R in the sweep")
    parser.add_argument("--range-size", type=int, default=250, help="columns of W in add_cross")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--backends", nargs="+", default=None, choices=["numba", "scipy"])
    return parser.parse_args()


def _medians(jobs, repeats):
    """Return the median seconds of each job, repetitions interleaved after one warm-up."""
    times = {name: [] for name in jobs}
    for repeat in range(repeats + 1):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if repeat:
                times[name].append(time.perf_counter() - start)
    return {name: float(np.median(values)) for name, values in times.items()}


def _with_backend(backend, function, *args):
    def job():
        with kernels.use_backend(backend):
            return function(*args)

    return job


def main():
    args = _parse()
    backends = args.backends or ["numba", "scipy"][find_spec("numba") is None :]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((args.rows, args.columns))
    n, K = 1000, args.blocks
    per_row = args.nonzeros // n
    indptr = np.arange(0, n * per_row + 1, per_row)
    csr = rng.standard_normal(n * per_row), rng.integers(0, 2**40, n * per_row), indptr
    m = args.measurements[0]
    few = [array[: n * 100] for array in csr[:2]]
    expanded = kernels.expand_csr(*few, np.arange(0, n * 100 + 1, 100), 1, K, m // K)
    W = rng.standard_normal((n, args.range_size))
    R = rng.standard_normal((1600, args.components)).astype(np.float32)

    jobs = {("X.sum()", "numpy"): X.sum}
    units = {"X.sum()": (X.nbytes / 1e9, "GB/s")}
    for backend in backends:
        for width in args.measurements:
            name = f"sketch_dense m={width} K={K}"
            sketch = _with_backend(backend, kernels.sketch_dense, X, 1, K, width // K)
            jobs[name, backend], units[name] = sketch, (X.nbytes / 1e9, "GB/s")
        entries = len(csr[0]) * K / 1e6
        for function in (kernels.sketch_csr, kernels.expand_csr):
            name = f"{function.__name__} m={m} K={K}"
            jobs[name, backend] = _with_backend(backend, function, *csr, 1, K, m // K)
            units[name] = entries / thread_count(), "M nonzeros x blocks / s / core"
        name = f"adjoint_energy float32 m=1600 K=8 r={args.components}"
        sweep = _with_backend(backend, kernels.adjoint_energy, 0, args.ids, R, 1, 8, 200)
        jobs[name, backend], units[name] = sweep, (args.ids / 1e6, "M ids / s")
        name = f"add_cross m={m} k={args.range_size}"
        S = np.zeros((m, args.range_size))
        jobs[name, backend] = _with_backend(backend, kernels.add_cross, S, *expanded, W)
        units[name] = 2e-9 * len(expanded[0]) * args.range_size, "Gflop/s"
        name = "add_outer nnz=100, 100 rows"
        rows = expanded[0], expanded[1], expanded[2][:101]
        square = np.zeros((m, m))
        jobs[name, backend] = _with_backend(backend, kernels.add_outer, square, *rows)
        units[name] = 1e-6 * 100 * (100 * K) ** 2, "M updates / s"
        name = f"add_cross_gram m={m} K={K}"
        key, ids = (1, K, m // K), (0, args.ids // 4)
        jobs[name, backend] = _with_backend(
            backend, kernels.add_cross_gram, square.copy(), ids, None, key, key
        )
        units[name] = args.ids / 4e6, "M ids / s"

    seconds = _medians(jobs, args.repeats)
    read_rate = seconds["X.sum()", "numpy"]
    print(f"X: {args.rows} x {args.columns} float64, {X.nbytes / 1e6:.0f} MB;", end=" ")
    print(f"{thread_count()} threads, medians of {args.repeats}")
    print(f"{'kernel':46} {'backend':8} {'seconds':>9} {'rate':>9}  unit")
    for (name, backend), value in sorted(seconds.items(), key=lambda item: item[0][0]):
        amount, unit = units[name]
        note = f"  ({read_rate / value:.2f} of X.sum())" if "dense" in name else ""
        print(f"{name:46} {backend:8} {value:9.4f} {amount / value:9.2f}  {unit}{note}")


if __name__ == "__main__":
    main()
