"""What the benchmarks share: data, measurements in fresh processes, scores and tables.

A method is timed in a process of its own, which runs nothing else: peak memory would otherwise be
that of the hungriest method so far, and caches warmed by one method would help the next. Methods
take turns, so that a busy machine slows them alike, and medians are reported.
"""

import argparse
import ctypes
import gzip
import multiprocessing
import os
import platform
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import scipy.sparse as sp

# ------------------------------------------------------------------------------------------ data


def data_path(*parts):
    """Return a file of the benchmark data, or stop with a message that says what is missing."""
    root = os.environ.get("SPARSE_EIG_DATA")
    if not root:
        sys.exit(
            "This benchmark reads data that are not part of the package. Set the environment "
            "variable SPARSE_EIG_DATA to the folder that holds them (see benchmarks/README.md)."
        )
    path = Path(root).joinpath(*parts)
    if not path.exists():
        sys.exit(f"There is no {path}: SPARSE_EIG_DATA={root} does not hold {parts[0]}.")
    return path


def load_images(name):
    """Return the training images of "mnist" or "fashion_mnist" as float32 rows in [0, 1]."""
    with np.load(data_path(name, f"{name}.npz"), allow_pickle=False) as arrays:
        return arrays["X_train"].astype(np.float32) / np.float32(255)


def load_words():
    """Return log(1 + count) of the Daily KOS articles as CSR rows, and the words."""
    X = sp.csr_array(sp.load_npz(data_path("kos", "counts.npz")), dtype=np.float64)
    X.data = np.log1p(X.data)
    with gzip.open(data_path("kos", "vocab.txt.gz"), "rt", encoding="utf-8") as lines:
        return X, [line.strip() for line in lines]


def load_cells():
    """Return log(1 + 10^4 count / total) of the PBMC 3k cells as CSR rows, and the genes."""
    X = sp.csr_array(sp.load_npz(data_path("pbmc3k", "counts.npz")), dtype=np.float64)
    X.data = np.log1p(1e4 * X.data / X.sum(axis=1).repeat(np.diff(X.indptr)))
    with np.load(data_path("pbmc3k", "meta.npz"), allow_pickle=False) as arrays:
        return X, arrays["genes"].tolist()


# ----------------------------------------------------------------------------------- measurement


class Meter:
    """Seconds, and peak memory above what the process held before, of a ``with`` block."""

    def __enter__(self):
        _return_free_memory()
        self.before = _status("VmRSS")
        _reset_peak()
        self._start = time.perf_counter()
        return self

    def elapsed(self):
        """Return the seconds since the block began."""
        return time.perf_counter() - self._start

    def __exit__(self, *exception):
        self.seconds = self.elapsed()
        self.megabytes = _status("VmHWM") - self.before

    def results(self, **scores):
        """Return the measurement and the scores as one dict."""
        measured = {"seconds": self.seconds, "before": self.before, "megabytes": self.megabytes}
        return measured | scores


def _return_free_memory():
    # Freed pages that the allocator holds back would be used again without showing in the peak.
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        pass


def _reset_peak():
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # the peak then includes that of loading the data


def _status(field):
    """Return a field of the kernel's record of this process in megabytes; NaN outside Linux."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return float(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return float("nan")


def in_fresh_process(job, *args):
    """Return ``job(*args)``, computed by a new interpreter."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=quiet) as pool:
        return pool.submit(job, *args).result()


def quiet():
    """Silence warnings of convergence and weak signal: the tables show their consequences."""
    warnings.simplefilter("ignore")


def measure_methods(job, methods, repeats, *args):
    """Run ``job(method, *args)`` in fresh processes, the methods taking turns.

    The job returns a dict, `seconds` and `megabytes` among its entries, of which the result holds
    the medians; its other entries are taken from the last turn.
    """
    turns = {method: [] for method in methods}
    for turn in range(repeats):
        for method in methods:
            progress(f"{turn + 1}/{repeats} {method}")
            turns[method].append(in_fresh_process(job, method, *args))
    return {method: _with_medians(results) for method, results in turns.items()}


def _with_medians(results):
    return results[-1] | {
        name: float(np.median([result[name] for result in results]))
        for name in ("seconds", "megabytes")
    }


def progress(text):
    """Say on stderr what is going on: stdout is for the tables."""
    print(text, file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------- scores


def explained_variance(X, components):
    """Return the share of the variance of the rows X that lies in the span of the components.

    tr((V^T V)^-1 V^T A V) / tr A with A the covariance of the rows, without forming A. Components,
    the rows of an array or sparse array, need not be orthogonal, nor be free of zero rows.
    """
    V = sp.csr_array(components)
    used = np.unique(V.indices)
    V = V[:, used].toarray()
    Y = np.asarray(X[:, used] @ V.T, dtype=np.float64)
    Y -= Y.mean(axis=0)
    return float(np.trace(np.linalg.pinv(V @ V.T) @ (Y.T @ Y)) / len(Y) / total_variance(X))


def total_variance(X):
    """Return the sum of the variances of the features."""
    values = X.data if sp.issparse(X) else X.ravel()
    squares = sum(
        float(np.sum(np.square(values[low : low + 2**22], dtype=np.float64)))
        for low in range(0, len(values), 2**22)
    )
    mean = np.asarray(X.sum(axis=0, dtype=np.float64)) / X.shape[0]
    return squares / X.shape[0] - float(mean @ mean)


def nonzeros(components):
    """Return the number of nonzeros of each component."""
    return [int(count) for count in np.diff(sp.csr_array(components).indptr)]


def worst_cosine(components, truth):
    """Return the smallest principal cosine between the spans of the rows of two arrays."""
    first, second = sp.csr_array(components), sp.csr_array(truth)
    used = np.union1d(first.indices, second.indices)
    bases = [np.linalg.qr(rows[:, used].toarray().T)[0] for rows in (first, second)]
    return float(np.linalg.svd(bases[0].T @ bases[1], compute_uv=False).min())


def support_recovery(found, true):
    """Return precision and recall of a set of features."""
    hits = len(np.intersect1d(found, true))
    return hits / max(len(found), 1), hits / len(true)


def keep_largest(components, n_nonzero):
    """Return a copy with all but the largest entries of each row set to zero."""
    kept = np.zeros_like(components)
    largest = np.argpartition(-np.abs(components), n_nonzero - 1, axis=1)[:, :n_nonzero]
    np.put_along_axis(kept, largest, np.take_along_axis(components, largest, axis=1), axis=1)
    return kept


# --------------------------------------------------------------------------------------- reports


def make_parser(doc, repeats=3):
    """Return a parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--repeats", type=int, default=repeats, help="turns or seeds per method")
    return parser


def print_table(columns, rows, caption=None):
    """Print a Markdown table; numbers should come formatted."""
    if caption:
        print(f"{caption}\n")
    print("| " + " | ".join(columns) + " |")
    print("|" + "|".join([" --- "] + [" ---: "] * (len(columns) - 1)) + "|")
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def print_machine(*peers):
    """Print the processor and the versions, those of peers too, that the numbers belong to."""
    names = ["numpy", "scipy", "scikit-learn", "numba", *peers]
    versions = ", ".join(f"{name} {_version(name)}" for name in names)
    threads = os.environ.get("OMP_NUM_THREADS") or "all"
    print(
        f"{_processor()}, {os.cpu_count()} cores, {threads} used; "
        f"Python {platform.python_version()}, {versions}\n"
    )


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _processor():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
