"""Certified gaps: how far the first component of k nonzeros can be from the best, proven.

Correlation matrices. "gap" is 1 - value / bound, where the bound holds for every vector of k
nonzeros.
"""

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine

from sklearn_sparse_eig import sparse_eigsh
from sklearn_sparse_eig.datasets import load_pitprops

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import data_path, make_parser, print_machine, print_table

SIZES = (5, 10, 20, 50)
MATRICES = ("pitprops", "wine", "miniboone", "arrhythmia", "alon", "khan", "golub")


def load_correlations(name):
    if name == "pitprops":
        return load_pitprops().data
    if name == "wine":
        return np.corrcoef(load_wine().data.T)
    folder = "gene_expression" if name in ("alon", "khan", "golub") else "spca_covariances"
    with np.load(data_path(folder, f"{name}.npz"), allow_pickle=False) as arrays:
        if "normalised" in arrays:
            return arrays["normalised"]
        X = arrays["X"].astype(np.float64)
        X = X[:, X.std(axis=0) > 0.0]
        return np.corrcoef(X.T)


def main():
    args = make_parser(__doc__).parse_args()
    rows = []
    for name in MATRICES[:3] if args.quick else MATRICES:
        A = load_correlations(name)
        for k in SIZES:
            if k >= len(A):
                continue
            start = time.perf_counter()
            plain = sparse_eigsh(A, 1, n_nonzero_coefs=k)
            middle = time.perf_counter()
            pairs = sparse_eigsh(A, 1, n_nonzero_coefs=k, certificate=True)
            seconds = time.perf_counter() - middle - (middle - start)
            value, bound = pairs.eigenvalues[0], pairs.upper_bound[0]
            assert value >= plain.eigenvalues[0]
            # What is left to rounding is shown as 0.
            gap = pairs.optimality_gap[0]
            rows.append(
                [
                    name,
                    len(A),
                    k,
                    f"{value:.5f}",
                    f"{bound:.5f}",
                    "0" if gap < 1e-9 else f"{100 * gap:.2f} %",
                    f"{middle - start:.2f}",
                    f"{max(seconds, 0.0):.2f}",
                ]
            )
            print(f"  {rows[-1]}", file=sys.stderr, flush=True)
    print_machine()
    print_table(
        ["matrix", "features", "k", "value", "upper bound", "gap", "solve s", "certificate s"],
        rows,
        "First component of k nonzeros, and what no vector of k nonzeros can exceed",
    )


if __name__ == "__main__":
    main()
