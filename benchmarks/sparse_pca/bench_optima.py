"""Published optima of sparse PCA: the largest variance of one component of k nonzeros.

The values are from Bertsimas, Cory-Wright and Pauphilet (JMLR 2022) and their code; arrhythmia,
k = 5, is 4.2321 there, below the 4.2332 of a support that a local search finds.
`SketchedSparsePCA` gets rows with exactly that second moment: the rows of the symmetric root.
"""

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine

from sklearn_sparse_eig import SketchedSparsePCA, sparse_eigsh
from sklearn_sparse_eig.datasets import load_pitprops

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import data_path, make_parser, print_machine, print_table

PUBLISHED = {
    "pitprops": {5: 3.406, 10: 4.173},
    "wine": {5: 3.43978, 10: 4.59429},
    "miniboone": {5: 5.0, 10: 9.99999},
    "arrhythmia": {5: 4.2332, 10: 7.53938},
}


def load_correlations(name):
    if name == "pitprops":
        return load_pitprops().data
    if name == "wine":
        return np.corrcoef(load_wine().data.T)
    with np.load(data_path("spca_covariances", f"{name}.npz"), allow_pickle=False) as arrays:
        return arrays["normalised"]


def rows_with_second_moment(A):
    """Return X with X^T X / n = A, up to rounding and the rounding of A below zero."""
    values, vectors = np.linalg.eigh(A)
    return (vectors * np.sqrt(len(A) * np.maximum(values, 0.0))) @ vectors.T


def timed(solve, repeats):
    """Return the value and the median seconds, after one call that compiles what there is to."""
    value, seconds = solve(), []
    for _ in range(repeats):
        start = time.perf_counter()
        solve()
        seconds.append(time.perf_counter() - start)
    return value, float(np.median(seconds))


def agrees(value, published):
    """Return whether a value rounds to the published one, or is better."""
    digits = len(f"{published}".split(".")[1])
    return value >= published - 0.5 * 10.0**-digits


def main():
    args = make_parser(__doc__).parse_args()
    repeats = 1 if args.quick else args.repeats
    rows = []
    for name, optima in PUBLISHED.items():
        A = load_correlations(name)
        X = rows_with_second_moment(A)
        for k, published in optima.items():

            def from_matrix(A=A, k=k):
                return sparse_eigsh(A, 1, n_nonzero_coefs=k).eigenvalues[0]

            def from_rows(X=X, k=k):
                model = SketchedSparsePCA(1, n_nonzero_coefs=k, center=False, random_state=0)
                return model.fit(X).explained_variance_[0]

            (direct, seconds), (sketched, more) = (
                timed(solve, repeats) for solve in (from_matrix, from_rows)
            )
            reached = agrees(direct, published) and agrees(sketched, published)
            rows.append(
                [
                    name,
                    len(A),
                    k,
                    f"{published:g}",
                    f"{direct:.6f}",
                    f"{sketched:.6f}",
                    "yes" if reached else "**no**",
                    f"{seconds:.3f}",
                    f"{more:.3f}",
                ]
            )
    print_machine()
    print_table(
        [
            "matrix",
            "features",
            "k",
            "published",
            "sparse_eigsh",
            "SketchedSparsePCA",
            "reached",
            "sparse_eigsh s",
            "SketchedSparsePCA s",
        ],
        rows,
        f"Variance of the first component of k nonzeros, medians of {repeats}",
    )


if __name__ == "__main__":
    main()
