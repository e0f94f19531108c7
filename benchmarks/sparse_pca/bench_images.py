"""Dense rows: 5 components of 60000 images of 784 pixels, against scikit-learn.

Each method is fitted in a fresh process. Explained variance is that of the span, so that methods
with and without orthogonal components compare. "as MiniBatchSparsePCA" asks for exactly as many
nonzeros in each component as that peer returned. "bytes" gives the pixels as they are stored, whole
numbers from 0 to 255, whose products are exact in single precision.

    python benchmarks/sparse_pca/bench_images.py --data fashion_mnist
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA, MiniBatchSparsePCA, TruncatedSVD

from sklearn_sparse_eig import SketchedSparsePCA

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import (
    Meter,
    explained_variance,
    load_images,
    make_parser,
    measure_methods,
    nonzeros,
    print_machine,
    print_table,
    progress,
)

N_COMPONENTS = 5
PEERS = {
    "MiniBatchSparsePCA": MiniBatchSparsePCA,
    "IncrementalPCA": IncrementalPCA,
    "PCA": PCA,
    "TruncatedSVD": TruncatedSVD,
}
OURS = {"25 each": 25, "100 each": 100, "auto": "auto", "all": 784}
BYTES = ", bytes"


def fit(method, data, n_rows, peer_nonzeros):
    """Fit a method, a peer's name or a number of nonzeros, and return what it cost and gave."""
    X = load_images(data)[:n_rows]
    if method.endswith(BYTES):
        X, method = np.rint(255 * X).astype(np.uint8), method.removesuffix(BYTES)
    if method in PEERS:
        options = {} if method == "IncrementalPCA" else {"random_state": 0}
        model = PEERS[method](N_COMPONENTS, **options)
    else:
        sizes = OURS.get(method, peer_nonzeros)
        model = SketchedSparsePCA(N_COMPONENTS, n_nonzero_coefs=sizes, random_state=0)
        model.fit(X[:200])  # compiled code comes from the cache of an earlier process
    with Meter() as meter:
        components = model.fit(X).components_
    return meter.results(explained=explained_variance(X, components), nonzeros=nonzeros(components))


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--data", default="mnist", choices=["mnist", "fashion_mnist"])
    args = parser.parse_args()
    n_rows, repeats = (1000, 1) if args.quick else (60_000, args.repeats)

    # The nonzeros to match are needed before the turns begin; this run also warms the file cache.
    progress("nonzeros of MiniBatchSparsePCA")
    matched = measure_methods(fit, ["MiniBatchSparsePCA"], 1, args.data, n_rows, None)
    matched = matched["MiniBatchSparsePCA"]["nonzeros"]
    methods = [*PEERS, *OURS, "as MiniBatchSparsePCA", f"IncrementalPCA{BYTES}", f"100 each{BYTES}"]
    if args.quick:
        methods = ["MiniBatchSparsePCA", "PCA", "100 each", "as MiniBatchSparsePCA"]
    results = measure_methods(fit, methods, repeats, args.data, n_rows, matched)

    print_machine()
    ours = results["as MiniBatchSparsePCA"]["seconds"]
    rows = [
        [
            method if method.split(",")[0] in PEERS else f"**SketchedSparsePCA**, {method}",
            f"{result['seconds']:.2f}",
            f"{result['seconds'] / ours:.2f}",
            f"{result['megabytes']:.0f}",
            f"{result['explained']:.4f}",
            ", ".join(map(str, result["nonzeros"])),
        ]
        for method, result in results.items()
    ]
    print_table(
        ["method", "seconds", "relative", "peak MB", "explained variance", "nonzeros"],
        rows,
        f"{args.data}, {n_rows} x 784 float32, {N_COMPONENTS} components, medians of {repeats}",
    )


if __name__ == "__main__":
    main()
