"""A grid of numbers and sizes of components: one sketch for each fold beside a grid search.

Three planted components of 8 features. The grid is the default of `SketchedSparsePCACV`, 20 points
on 5 folds: a grid search makes 100 fits, and one more of all rows. Seconds are those of the CPU.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.model_selection import GridSearchCV

from sklearn_sparse_eig import SketchedSparsePCA, SketchedSparsePCACV
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress

# Rows and features: few, many rows and more, and features too many for their covariance to be kept.
CASES = ((400, 100), (40_000, 300), (200_000, 300), (1500, 5000))
GRID = {"n_components": [1, 2, 3, 5, 8], "n_nonzero_coefs": [5, 10, 20, 50]}


def timed(search, X):
    start = time.process_time()
    search.fit(X)
    return search, time.process_time() - start


def main():
    args = make_parser(__doc__).parse_args()
    warnings.simplefilter("ignore")  # of components that fit noise, which are part of a grid
    rows = []
    for n, N in CASES[:1] if args.quick else CASES:
        X = make_sparse_spiked_covariance(
            n, N, eigenvalues=(12, 9, 7), n_nonzero_coefs=8, random_state=0
        ).data
        SketchedSparsePCACV([1], [5], cv=2, random_state=0).fit(X[:400])  # compiles
        ratios = []
        for _ in range(args.repeats if N < 300 else 1):
            estimator = SketchedSparsePCA(random_state=0)
            grid, slow = timed(GridSearchCV(estimator, GRID, cv=5), X)
            ours, quick = timed(SketchedSparsePCACV(**GRID, random_state=0), X)
            ratios.append(slow / quick)
            progress(f"{n} x {N}: {slow:.1f} s, {quick:.1f} s")
        scores = (search.cv_results_["mean_test_score"] for search in (ours, grid))
        apart = np.abs(np.subtract(*scores)).max()
        same = "yes" if ours.best_params_ == grid.best_params_ else "NO"
        row = [
            n,
            N,
            f"{slow:.1f}",
            f"{quick:.1f}",
            f"{np.median(ratios):.1f}",
            same,
            f"{apart:.1e}",
        ]
        rows.append(row)
    print_machine()
    heads = ["rows", "features", "grid search, s", "shared, s", "ratio", "same choice"]
    print_table([*heads, "largest difference, nats"], rows)


if __name__ == "__main__":
    main()
