"""Word and gene counts: 5 components of 50 nonzeros from a stream of sparse rows.

kos: 3430 articles x 6906 words, log(1 + count). pbmc3k: 2638 cells x 13714 genes,
log(1 + 10^4 count / total). "one pass" is partial_fit in batches of 500 rows, "two passes" is
fit(X), which reads the candidate columns again. Thresholded methods keep the 50 largest entries.
"""

import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA, MiniBatchSparsePCA, TruncatedSVD

from sklearn_sparse_eig import SketchedSparsePCA

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import (
    Meter,
    explained_variance,
    keep_largest,
    load_cells,
    load_words,
    make_parser,
    measure_methods,
    nonzeros,
    print_machine,
    print_table,
    progress,
)
from _oja import STEPS, ThresholdedOja, tuned_oja

N_COMPONENTS, N_NONZERO = 5, 50
BATCH = 500
DATA = {"kos": load_words, "pbmc3k": load_cells}


def batches(X):
    return [X[low : low + BATCH] for low in range(0, X.shape[0], BATCH)]


def one_pass(X, step):
    model = SketchedSparsePCA(N_COMPONENTS, n_nonzero_coefs=N_NONZERO, random_state=0)
    for rows in batches(X):
        model.partial_fit(rows)
    return model.components_


def two_passes(X, step):
    model = SketchedSparsePCA(
        N_COMPONENTS, n_nonzero_coefs=N_NONZERO, refine="data", random_state=0
    )
    return model.fit(X).components_


def mini_batch_sparse_pca(X, step):
    # It takes no sparse rows.
    return MiniBatchSparsePCA(N_COMPONENTS, random_state=0).fit(X.toarray()).components_


def truncated_svd(X, step):
    components = TruncatedSVD(N_COMPONENTS, random_state=0).fit(X).components_
    return keep_largest(components, N_NONZERO)


def pca(X, step):
    model = PCA(N_COMPONENTS, svd_solver="arpack", random_state=0).fit(X)
    return keep_largest(model.components_, N_NONZERO)


def oja(X, step):
    model = ThresholdedOja(N_COMPONENTS, N_NONZERO, step)
    for rows in batches(X):
        model.partial_fit(rows)
    return model.components_


METHODS = {
    "**SketchedSparsePCA**, one pass": one_pass,
    "**SketchedSparsePCA**, two passes": two_passes,
    "MiniBatchSparsePCA": mini_batch_sparse_pca,
    "TruncatedSVD + threshold": truncated_svd,
    "PCA + threshold": pca,
    "Oja + threshold": oja,
}


def fit(method, data, n_rows, step):
    X, names = DATA[data]()
    X = X[:n_rows]
    if "Sketched" in method:
        METHODS[method](X[:200], step)  # compiled code comes from the cache of an earlier process
    with Meter() as meter:
        components = METHODS[method](X, step)
    return meter.results(
        explained=explained_variance(X, components),
        nonzeros=nonzeros(components),
        topics=topics(components, names),
    )


def topics(components, names, n_names=10):
    """Return the names of the largest entries of each component."""
    rows = sp.csr_array(components).toarray()
    order = np.argsort(-np.abs(rows), axis=1, kind="stable")[:, :n_names]
    return [[names[i] for i in ids if row[i]] for row, ids in zip(rows, order, strict=True)]


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=list(DATA))
    args = parser.parse_args()
    selected, repeats = (["kos"], 1) if args.quick else (args.data, args.repeats)
    n_rows, steps = (600, STEPS[4:6]) if args.quick else (None, STEPS)

    print_machine()
    for data in selected:
        progress(f"{data}: step of Oja's rule")
        X = DATA[data]()[0][:n_rows]
        step, _ = tuned_oja(
            batches(X),
            lambda V, X=X: explained_variance(X, V),
            N_COMPONENTS,
            N_NONZERO,
            steps=steps,
        )
        results = measure_methods(fit, list(METHODS), repeats, data, n_rows, step)
        rows = [
            [
                method,
                f"{result['seconds']:.2f}",
                f"{result['megabytes']:.0f}",
                f"{result['explained']:.4f}",
                ", ".join(map(str, result["nonzeros"])),
            ]
            for method, result in results.items()
        ]
        print_table(
            ["method", "seconds", "peak MB", "explained variance", "nonzeros"],
            rows,
            f"{data}, {X.shape[0]} x {X.shape[1]}, {N_COMPONENTS} components, medians of "
            f"{repeats}; Oja's step: {step[0]:g}, {step[1]}",
        )
        for method in list(METHODS)[:2]:
            print(f"{data}, the largest entries, {method}:\n")
            for number, words in enumerate(results[method]["topics"], start=1):
                print(f"{number}. {', '.join(words)}")
            print()


if __name__ == "__main__":
    main()
