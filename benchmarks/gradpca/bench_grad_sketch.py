"""Subspaces of GradPCADetector: what sketched, sparse and principal ones cost and save.

Four tables. How the cosines of sketched class means converge to those of exact ones, by the number
of measurements m, with the slope in log-log (-1/2 in theory). What every subspace costs in AUROC
and saves in memory and time: the bundled digits with three left out, and with SPARSE_EIG_DATA set
MNIST against Fashion-MNIST and notMNIST; "no subspace" is f / |u|, the control for the default
score. What it costs that a stream fixes its metric by the first samples. And memory for 10^8
parameters and a thousand classes, on factors that are made up on the fly.
"""

import os
import pickle
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import Gradients, LayerFactors, Network

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import (
    Meter,
    data_path,
    in_fresh_process,
    load_images,
    make_parser,
    print_machine,
    print_table,
    progress,
    quiet,
)

SIZES = tuple(4**k for k in range(4, 9))
SUBSPACES = {
    "exact": {"subspace": "exact", "mean_rank": None},
    "exact, rank 16": {"subspace": "exact"},
    "sparse, 1 %": {"sparsity": 0.01},
    "sparse, 0.1 %": {"sparsity": 0.001},
    "low rank, k = 8": {"subspace": "low_rank", "n_measurements": 8},
    "low rank, k = 16": {"subspace": "low_rank", "n_measurements": 16},
    "sketched, m = 4096": {"subspace": "sketched", "n_measurements": 4096},
    "sketched, m = 16384": {"subspace": "sketched", "n_measurements": 16384},
    "recovered 0.1 %, m = 4096": {
        "subspace": "sketched",
        "n_measurements": 4096,
        "sparsity": 0.001,
    },
    "recovered 0.1 %, m = 16384": {
        "subspace": "sketched",
        "n_measurements": 16384,
        "sparsity": 0.001,
    },
    "sparse PCA, 50 each": {"subspace": "sparse_pca"},
}


# ------------------------------------------------------------------------------------------ data


def digits_task(seed):
    """Return a fitted network, its training rows and labels, rows to test, and sets of others."""
    X, y = load_digits(return_X_y=True)
    X = X / 16.0
    known = ~np.isin(y, np.random.default_rng(seed).choice(10, 3, replace=False))
    parts = train_test_split(X[known], y[known], test_size=0.3, random_state=seed)
    model = MLPClassifier((64,), max_iter=400, tol=1e-3, random_state=seed)
    return model.fit(parts[0], parts[2]), parts[0], parts[2], parts[1], {"left out": X[~known]}


def mnist_task(seed, n_train=6000, n_test=2000, hidden=(256, 128)):
    """As digits_task, for MNIST against Fashion-MNIST and notMNIST."""
    rng = np.random.default_rng(seed)
    with np.load(data_path("mnist", "mnist.npz"), allow_pickle=False) as arrays:
        X, y = arrays["X_train"], arrays["y_train"]
    chosen = rng.permutation(len(X))[: n_train + n_test]
    X, y = X[chosen].astype(np.float32) / np.float32(255), y[chosen]
    with np.load(data_path("notmnist", "notmnist_10k.npz"), allow_pickle=False) as arrays:
        letters = arrays["X"].astype(np.float32) / np.float32(255)
    others = {"Fashion-MNIST": load_images("fashion_mnist"), "notMNIST": letters}
    others = {name: rows[rng.permutation(len(rows))[:n_test]] for name, rows in others.items()}
    model = MLPClassifier(hidden, max_iter=15, random_state=seed).fit(X[:n_train], y[:n_train])
    return model, X[:n_train], y[:n_train], X[n_train:], others


def auroc(detector, X, Z):
    scores = np.concatenate([detector.score_samples(X), detector.score_samples(Z)])
    return roc_auc_score(np.repeat([1, 0], [len(X), len(Z)]), scores)


# ----------------------------------------------------------------------------------- convergence


def convergence(tasks, metric, sizes):
    """Return the root mean square errors of the cosines, of all tasks, for each size."""
    errors = {m: [] for m in sizes}
    for seed, (model, X, y, X_in, others) in enumerate(tasks):
        Z = np.vstack([X_in, *others.values()])
        new = {"metric": metric, "score_function": "ratio"}
        exact = GradPCADetector(model, subspace="exact", mean_rank=None, **new).fit(X, y)
        exact = exact.score_samples(Z)
        for m in sizes:
            found = GradPCADetector(
                model, subspace="sketched", n_measurements=m, random_state=seed, **new
            ).fit(X, y)
            errors[m].append(np.mean((found.score_samples(Z) - exact) ** 2))
    return [float(np.sqrt(np.mean(errors[m]))) for m in sizes]


def print_convergence(tasks, name, sizes, plot):
    rows, curves = [], {}
    for metric in ("euclidean", "kfac"):
        progress(f"convergence {metric}")
        curves[metric] = errors = convergence(tasks, metric, sizes)
        slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
        rows.append([metric, *(f"{error:.4f}" for error in errors), f"{slope:.2f}"])
    print_table(
        ["metric", *(f"m = {m}" for m in sizes), "slope"],
        rows,
        f"RMSE of cos(theta) against exact class means, {name}, {len(tasks)} seeds",
    )
    if plot:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
        for metric, errors in curves.items():
            axes.loglog(sizes, errors, "o-", label=metric)
        axes.loglog(sizes, 0.75 / np.sqrt(sizes), "k--", label="0.75 / sqrt(m)")
        axes.set(xlabel="measurements m", ylabel="RMSE of cos(theta)")
        axes.legend()
        figure.savefig(plot, dpi=150)


# ------------------------------------------------------------------------------------- subspaces


def measure(settings, task):
    """Return the scores, bytes and seconds of one subspace."""
    model, X, y, X_in, others = task
    found = {"auroc": {}}
    for score in ("ratio", "snr_ratio"):
        with Meter() as fitting:
            detector = GradPCADetector(model, score_function=score, random_state=0, **settings).fit(
                X, y
            )
        with Meter() as scoring:
            detector.score_samples(X_in)
        for name, Z in others.items():
            found["auroc"][name, score] = auroc(detector, X_in, Z)
    # What a shard sends, less the moments of the metric, which are the same for all.
    state = detector._state
    kept = ("layer_sums", "sums", "sketch")
    sums = next(getattr(state, name) for name in kept if hasattr(state, name))
    found["state"] = len(pickle.dumps(sums)) / 1e6
    span = detector._get_subspace()
    kept = [vars(span).get(name) for name in ("_directions", "_rows", "_centre")]
    found["span"] = len(pickle.dumps([part for part in kept if part is not None])) / 1e6
    return found | {"fit": fitting.seconds, "score": 1e3 * scoring.seconds / len(X_in)}


def print_subspaces(make_task, name, seeds, subspaces):
    results = {method: [] for method in subspaces}
    control = []
    for seed in seeds:
        task = make_task(seed)
        model, X, y, X_in, others = task
        detector = GradPCADetector(model, score_function="snr").fit(X, y)
        control.append([auroc(detector, X_in, Z) for Z in others.values()])
        for method, settings in subspaces.items():
            progress(f"{name} {seed} {method}")
            results[method].append(measure(settings, task))
    columns = list(results[method][0]["auroc"])
    rows = [
        [
            method,
            *(f"{np.mean([turn['auroc'][key] for turn in turns]):.3f}" for key in columns),
            *(f"{np.median([turn[key] for turn in turns]):.3g}" for key in ("state", "span")),
            *(f"{np.median([turn[key] for turn in turns]):.2f}" for key in ("fit", "score")),
        ]
        for method, turns in results.items()
    ]
    means = dict(zip(others, np.mean(control, axis=0), strict=True))
    cells = ("" if score == "ratio" else f"{means[other]:.3f}" for other, score in columns)
    rows.append(["no subspace", *cells, *[""] * 4])
    labels = {"ratio": "angle", "snr_ratio": "default"}
    print_table(
        [
            "subspace",
            *(f"{other}, {labels[score]}" for other, score in columns),
            "state MB",
            "subspace MB",
            "fit s",
            "ms a sample",
        ],
        rows,
        f"{name}: AUROC by the angle alone and by the default score, {len(seeds)} seeds",
    )


# --------------------------------------------------------------------------------- frozen metric


def print_frozen(task, name, firsts):
    model, X, y, X_in, others = task
    rows = []
    for n in (*firsts, len(X)):
        cells = []
        for score in ("ratio", "snr_ratio"):
            detector = GradPCADetector(
                model, score_function=score, subspace="sketched", sparsity=0.001, random_state=0
            ).partial_fit(X[:n], y[:n])
            if n < len(X):
                detector.partial_fit(X[n:], y[n:])
            cells += [f"{auroc(detector, X_in, Z):.3f}" for Z in others.values()]
        rows.append([n if n < len(X) else f"{n}, all", *cells])
    columns = [f"{other}, {label}" for label in ("angle", "default") for other in others]
    print_table(
        ["samples behind the metric", *columns],
        rows,
        f"{name}: AUROC of recovered class means (m = 16384, 0.1 %) of all samples, with a metric "
        "fixed by the first ones",
    )


# -------------------------------------------------------------------------------- large networks


class MadeUpNetwork(Network):
    """One layer of size x size whose factors are noisy codes of the class: no weights are held.

    Rows of X are (label, seed of the noise of its batch).
    """

    layer_names = ("head",)

    def __init__(self, size, n_classes):
        self.classes = np.arange(n_classes)
        self.layer_shapes = ((size, size),)

    def gradients(self, X, output="max", layers=None):
        labels, size = X[:, 0].astype(int), self.layer_shapes[0][0]
        noise = np.random.default_rng(int(X[0, 1]))
        factors = []
        for side in (0, 1):
            rows = noise.normal(size=(len(X), size))
            for row, label in zip(rows, labels, strict=True):
                code = np.random.default_rng((side, label))
                row[code.choice(size, 50, replace=False)] += 5.0
            factors.append(rows)
        logits = np.zeros((len(X), len(self.classes)))
        logits[np.arange(len(X)), labels] = 1.0
        return Gradients(logits.max(axis=1), logits, (LayerFactors(*factors),))

    def parameters(self):
        return []


def measure_large(size, n_classes, n_samples):
    quiet()
    network = MadeUpNetwork(size, n_classes)
    labels = np.arange(n_samples) % n_classes
    X = np.column_stack([labels, np.arange(n_samples)]).astype(float)
    with Meter() as meter:
        detector = GradPCADetector(
            network, score_function="ratio", subspace="sketched", batch_size=100, random_state=0
        )
        detector.fit(X, labels)
        mean = float(detector.score_samples(X[:200] + [0, n_samples]).mean())
    return meter.results(subspace=detector.subspace_, mean=mean)


def print_large(size, n_classes, n_samples):
    progress(f"{size} x {size}, {n_classes} classes")
    found = in_fresh_process(measure_large, size, n_classes, n_samples)
    print_table(
        ["parameters", "classes", "samples", "exact sums, MB", "peak MB", "seconds", "subspace"],
        [
            [
                f"{size**2:.0e}",
                n_classes,
                n_samples,
                f"{8e-6 * n_classes * size**2:.0f}",
                f"{found['megabytes']:.0f}",
                f"{found['seconds']:.0f}",
                found["subspace"],
            ]
        ],
        "Peak memory of fitting and scoring, above what the process held before",
    )


def main():
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--plot", metavar="FILE.png", help="draw the convergence")
    args = parser.parse_args()
    quiet()
    seeds = range(1 if args.quick else args.repeats)
    tasks = [digits_task(seed) for seed in seeds]
    print_machine()
    print_convergence(tasks, "digits", SIZES[: 3 if args.quick else None], args.plot)
    print_subspaces(digits_task, "Digits with three left out", seeds, SUBSPACES)
    if os.environ.get("SPARSE_EIG_DATA") and not args.quick:
        # Dense rows of all parameters for every sample: minutes here, and no better on digits.
        subspaces = {k: v for k, v in SUBSPACES.items() if k != "sparse PCA, 50 each"}
        print_subspaces(mnist_task, "MNIST, 784-256-128-10", seeds, subspaces)
        print_subspaces(
            lambda seed: mnist_task(seed, n_train=2000, hidden=(32,)),
            "MNIST, 784-32-10, 2000 samples",
            seeds,
            SUBSPACES,
        )
        print_frozen(mnist_task(0), "MNIST, 784-256-128-10", (100, 500, 1000, 3000))
    print_large(*((2000, 100, 400) if args.quick else (10_000, 1000, 2000)))


if __name__ == "__main__":
    main()
