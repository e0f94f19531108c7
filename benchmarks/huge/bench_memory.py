"""A stream of very wide sparse rows: memory against the budget, speed and what is found.

Rows of a million features with about 100 nonzeros, half of them noise at random places, come
in batches. Peak memory is that of the whole stream and the recovery, above the process with
its imports and the batches themselves. The dense one-pass and mini-batch methods of scikit-learn
take no sparse rows; what they would need for the same stream is computed, not run.

The second table sets budgets against the peak of all that is allocated beyond the rows, as
tracemalloc counts it: in a stream with its components, and in ``fit``, which reads rows twice.
"""

import gc
import sys
import tracemalloc
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
    quiet,
    support_recovery,
    worst_cosine,
)
from _oja import ThresholdedOja

EIGENVALUES = (40.0, 30.0, 20.0, 15.0, 12.0)
N_NONZERO = 10
# Standard deviation of the noise in a feature. It comes in about 50 hits a row of size 2.8.
NOISE = 0.02


def wide_rows(n_batches, batch, n_features):
    """Return the rows of the stream in batches, with what is planted in them."""
    return make_sparse_spiked_covariance(
        n_batches * batch,
        n_features,
        eigenvalues=EIGENVALUES,
        n_nonzero_coefs=N_NONZERO,
        noise=NOISE,
        sparse=True,
        batch_size=batch,
        random_state=0,
    )


def stream(method, n_batches, batch, n_features, sizes):
    """Stream all batches through a method, a budget in megabytes or "oja"."""
    data = wide_rows(n_batches, batch, n_features)
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


# Features, rows of a batch, whether they are sparse, components, nonzeros, megabytes, parameters.
KEPT = [
    (1000, 500, False, 4, 20, 64, {}),
    (3000, 500, False, 4, 20, 16, {}),
    (3000, 500, False, 4, 20, 256, {}),
    (20_000, 500, False, 4, 20, 16, {}),
    (20_000, 500, False, 4, 20, 64, {}),
    (20_000, 500, False, 4, "auto", 64, {}),
    (20_000, 500, False, 4, 20, 64, {"noise": "diagonal"}),
    (20_000, 500, False, 8, 50, 64, {}),
    (20_000, 500, False, 4, 20, 32, {"sketch": "two_sided", "n_measurements": 2048}),
    (20_000, 500, False, 4, 20, 64, {"sketch": "mam"}),
    (100_000, 2000, True, 4, 10, 16, {}),
    (100_000, 2000, True, 4, 10, 64, {"noise": "diagonal"}),
    (1_000_000, 2000, True, 5, 10, 64, {}),
]


def traced_peak(run):
    """Return the peak of what is allocated while something runs, in megabytes."""
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def kept_budget(n_features, batch, sparse, r, sizes, megabytes, parameters):
    """Return a line of the second table."""
    data = make_sparse_spiked_covariance(
        4 * batch,
        n_features,
        eigenvalues=tuple(np.linspace(40.0, 15.0, r)),
        n_nonzero_coefs=10 if sizes == "auto" else sizes,
        noise=NOISE if sparse else 1.0,
        sparse=sparse,
        dtype=np.float64 if sparse else np.float32,
        random_state=0,
    )
    parts = [data.data[low : low + batch] for low in range(0, 4 * batch, batch)]

    def make():
        return SketchedSparsePCA(
            r, n_nonzero_coefs=sizes, memory_budget=megabytes * 1e6, random_state=0, **parameters
        )

    _ = make().partial_fit(parts[0][:100]).components_  # what is compiled and imported once
    streamed, whole = make(), make()

    def stream():
        for rows in parts:
            streamed.partial_fit(rows)
        _ = streamed.components_

    peaks = traced_peak(stream), traced_peak(lambda: whole.fit(data.data))
    sketch = streamed.sketch_
    settings = ", ".join(f"{name}={value}" for name, value in parameters.items())
    return [
        f"{n_features}",
        f"{r} x {sizes}",
        settings,
        " x ".join(map(str, sketch.shape)),
        f"{megabytes}",
        f"{sketch.nbytes / 1e6:.1f}",
        *(f"{peak:.1f}" for peak in peaks),
        *(
            f"{worst_cosine(sp.csr_array(m.components_), data.components):.3f}"
            for m in (streamed, whole)
        ),
    ]


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
    quiet()
    print_table(
        [
            "features",
            "components x nonzeros",
            "parameters",
            "sketch",
            "budget MB",
            "state MB",
            "peak, stream",
            "peak, fit",
            "worst cosine, stream",
            "worst cosine, fit",
        ],
        [kept_budget(*case) for case in (KEPT[1:2] if args.quick else KEPT)],
        "Budget against peak in MB, spikes in noise, four batches",
    )


if __name__ == "__main__":
    main()
