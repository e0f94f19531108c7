"""A stream of very wide sparse rows: memory against the budget, speed and what is found.

Rows of a million features with about 100 nonzeros, half of them noise at random places, come
in batches. Peak memory is that of the whole stream and the recovery, above the process with
its imports and the batches themselves. The dense one-pass and mini-batch methods of scikit-learn
take no sparse rows; what they would need for the same stream is computed, not run.
"""

import sys
from pathlib import Path

import numpy as np
from scipy import sparse as sp

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import (
    Meter,
    make_parser,
    measure_methods,
    nonzeros,
    print_machine,
    print_table,
    support_recovery,
    worst_cosine,
)
from _oja import ThresholdedOja

EIGENVALUES = (40.0, 30.0, 20.0, 15.0, 12.0)
N_NONZERO = 10
# Standard deviation of the noise in a feature. It comes in about 50 hits a row of size 2.8.
NOISE = 0.02


def stream(method, n_batches, batch, n_features, sizes):
    """Stream all batches through a method, a budget in megabytes or "oja"."""
    data = make_sparse_spiked_covariance(
        n_batches * batch,
        n_features,
        eigenvalues=EIGENVALUES,
        n_nonzero_coefs=N_NONZERO,
        noise=NOISE,
        sparse=True,
        batch_size=batch,
        random_state=0,
    )
    batches = list(data.batches)
    if method == "oja":
        model = ThresholdedOja(len(EIGENVALUES), N_NONZERO, center=False)
    else:
        model = make_model(method, sizes)
        # Compiled code comes from the cache of an earlier process.
        _ = make_model(method, sizes).partial_fit(batches[0][:200]).components_
    with Meter() as meter:
        for rows in batches:
            model.partial_fit(rows)
        streamed = meter.elapsed()
        components = sp.csr_array(model.components_)
    precision, recall = support_recovery(np.unique(components.indices), data.support)
    shape = getattr(model, "sketch_", None)
    return meter.results(
        rate=n_batches * batch / streamed,
        cosine=worst_cosine(components, data.components),
        precision=precision,
        recall=recall,
        nonzeros=nonzeros(components),
        sketch="N x r" if shape is None else " x ".join(map(str, shape.shape)),
    )


def make_model(megabytes, sizes):
    return SketchedSparsePCA(
        len(EIGENVALUES), n_nonzero_coefs=sizes, memory_budget=megabytes * 1e6, random_state=0
    )


def computed_needs(n_rows, batch, n_features):
    """Return the bytes that dense peers need at least, with what they are."""
    r = len(EIGENVALUES)
    # IncrementalPCA stacks its components, a correction and the batch, and takes the SVD of that;
    # the stack and the right singular vectors are held together.
    stack = 8.0 * n_features * (r + 1 + batch)
    return {
        f"IncrementalPCA, batches of {batch}": 2 * stack,
        "MiniBatchSparsePCA": 8.0 * n_features * n_rows,
    }


def main():
    parser = make_parser(__doc__)
    parser.add_argument("--budgets", type=float, nargs="+", default=[64, 256], help="megabytes")
    parser.add_argument("--batch", type=int, default=2000)
    parser.add_argument("--batches", type=int, default=25)
    parser.add_argument("--features", type=int, default=1_000_000)
    args = parser.parse_args()
    n_batches, n_features, repeats = args.batches, args.features, args.repeats
    if args.quick:
        n_batches, n_features, repeats = 5, 100_000, 1

    rows = []
    for sizes in (N_NONZERO, "auto")[: 1 if args.quick else 2]:
        results = measure_methods(
            stream,
            [*args.budgets, *(["oja"] if sizes == N_NONZERO else [])],
            repeats,
            n_batches,
            args.batch,
            n_features,
            sizes,
        )
        for method, result in results.items():
            ours = method != "oja"
            rows.append(
                [
                    f"**SketchedSparsePCA**, {sizes}" if ours else "Oja + threshold",
                    f"{method:.0f}" if ours else "none",
                    result["sketch"],
                    f"{result['megabytes']:.0f}",
                    f"{result['before']:.0f}",
                    f"{result['seconds']:.1f}",
                    f"{result['rate']:.0f}",
                    f"{result['recall']:.2f}",
                    f"{result['precision']:.2f}",
                    f"{result['cosine']:.4f}",
                ]
            )
    for method, needed in computed_needs(n_batches * args.batch, args.batch, n_features).items():
        rows.append([f"{method} (computed)", "none", "", f"{needed / 1e6:.0f}", *[""] * 6])
    print_machine()
    print_table(
        [
            "method, nonzeros asked",
            "budget MB",
            "state",
            "peak MB",
            "MB before",
            "seconds",
            "rows/s",
            "recall",
            "precision",
            "worst cosine",
        ],
        rows,
        f"{n_batches * args.batch} rows x {n_features} features, batches of {args.batch}, "
        f"{len(EIGENVALUES)} components of {N_NONZERO}, medians of {repeats}",
    )


if __name__ == "__main__":
    main()
