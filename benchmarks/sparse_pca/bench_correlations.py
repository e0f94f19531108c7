"""Correlations of genes: the largest variance of one component of k of thousands of features.

The peer is abess (Zhu, Wang, Hu, Huang, Jiang, Zhang, Lin, Zhu, JMLR 23, 2022), if it is installed:
its `SparsePCA` exchanges features too. The optimum is not known: the larger value is better.
"""

import importlib.util
import sys
import time
from pathlib import Path

import numpy as np

from sklearn_sparse_eig import sparse_eigsh

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import data_path, make_parser, print_machine, print_table

NAMES = "alon", "khan", "golub"
SIZES = 5, 10, 50
_RIDGE = 1e-6
# abess takes minutes on the largest.
MAX_FEATURES_OF_ABESS = 3000


def load_correlations(name):
    with np.load(data_path("gene_expression", f"{name}.npz"), allow_pickle=False) as arrays:
        X = arrays["X"].astype(np.float64)
    A = np.corrcoef(X[:, X.std(axis=0) > 0].T)
    return (A + A.T) / 2


def by_sparse_eigsh(A, k):
    return sparse_eigsh(A, 1, n_nonzero_coefs=k).eigenvalues[0]


def by_abess(A, k):
    from abess import SparsePCA

    # It refuses eigenvalues below zero by rounding, and from rows it returned dense vectors.
    v = SparsePCA(support_size=k).fit(Sigma=A + _RIDGE * np.eye(len(A))).coef_.ravel()
    return v @ A @ v / (v @ v)


def timed(solve, *problem):
    start = time.perf_counter()
    value = solve(*problem)
    return value, time.perf_counter() - start


def main():
    args = make_parser(__doc__).parse_args()
    has_abess = importlib.util.find_spec("abess") is not None
    rows = []
    for name in NAMES[:1] if args.quick else NAMES:
        A = load_correlations(name)
        for k in SIZES:
            value, seconds = timed(by_sparse_eigsh, A, k)
            row = [name, len(A), k, f"{value:.5f}", f"{seconds:.2f}"]
            if has_abess and len(A) <= MAX_FEATURES_OF_ABESS:
                value, seconds = timed(by_abess, A, k)
                row += [f"{value:.5f}", f"{seconds:.2f}"]
            else:
                row += ["", ""]
            rows.append(row)
    print_machine("abess")
    print_table(
        ["genes", "features", "k", "sparse_eigsh", "s", "abess", "s"],
        rows,
        "Variance of the first component of k nonzeros of a correlation matrix",
    )


if __name__ == "__main__":
    main()
