"""Do diagnostics of a network tell beforehand how well GradPCA will work on it?

Networks of several widths and regularisations are looked at along training. For each, diagnostics
are computed from training data alone, and the areas under the ROC curve (AUROC) of detectors on
data that the network was not trained for. The table has Spearman's rank correlations over the
networks of a task, averaged over tasks, with the range. A task of "digits" leaves three classes of
scikit-learn's digits out; with SPARSE_EIG_DATA, "mnist" trains on MNIST, against Fashion-MNIST
and notMNIST. Snapshots of one training run resemble each other, so a correlation of n of them is
worth less than one of n independent networks: below 0.4 nothing is shown. Networks that have
learned little make any sign of training look telling, so the correlations are also given for the
trained ones alone, those of at least 0.97 of the best accuracy on test data in their task.
"""

import os
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.diagnostics import class_mean_share, neural_collapse, ntk_alignment

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import data_path, make_parser, print_machine, print_table, progress, quiet

PENALTIES = (1e-4, 0.3)
N_PER_CLASS = 20
DETECTORS = ("paper", "default", "largest logit")
ACCURACY, TRAINED = "(control) accuracy on test data", 0.97


# ------------------------------------------------------------------------------------------- tasks


def digits_task(seed):
    """Return training rows and labels, test rows and labels, and sets of new rows."""
    X, y = load_digits(return_X_y=True)
    new = np.random.default_rng(seed).choice(10, 3, replace=False)
    known = ~np.isin(y, new)
    X_train, X_test, y_train, y_test = train_test_split(
        X[known] / 16.0, y[known], test_size=0.4, stratify=y[known], random_state=seed
    )
    return X_train, y_train, X_test, y_test, [X[~known] / 16.0]


def mnist_task(seed, n_train, n_test=400):
    """Return the same for MNIST, new rows from Fashion-MNIST and from notMNIST."""
    rng = np.random.default_rng(seed)

    def load(name, part, n, file=None):
        with np.load(data_path(name, f"{file or name}.npz"), allow_pickle=False) as arrays:
            X, y = (arrays[f"{axis}_{part}" if part else axis] for axis in "Xy")
        rows = rng.choice(len(X), n, replace=False)
        return X[rows].reshape(n, -1) / 255.0, y[rows]

    X_train, y_train = load("mnist", "train", n_train)
    X_test, y_test = load("mnist", "test", n_test)
    new = [
        load("fashion_mnist", "test", n_test)[0],
        load("notmnist", "", n_test, "notmnist_10k")[0],
    ]
    return X_train, y_train, X_test, y_test, new


# ------------------------------------------------------------------------------------ one network


def snapshots(X, y, hidden, penalty, epochs, seed):
    """Yield (epoch, network) along one training run."""
    model = MLPClassifier(hidden, alpha=penalty, batch_size=100, random_state=seed)
    for epoch in range(1, max(epochs) + 1):
        model.partial_fit(X, y, classes=np.unique(y))
        if epoch in epochs:
            yield epoch, deepcopy(model)


def diagnose(model, X, y):
    """Return the numbers to be had from training data; no detector is looked at."""
    options = {"n_per_class": N_PER_CLASS, "random_state": 0}
    every = ntk_alignment(model, X, y, **options)
    last = ntk_alignment(model, X, y, params="last_hidden", feature_tangent=False, **options)
    mean = ntk_alignment(model, X, y, output="mean_diagonal", feature_tangent=False, **options)
    collapse = neural_collapse(model, X, y, **options)
    detector = GradPCADetector(model, metric="euclidean", score_function="ratio").fit(X, y)
    return {
        "alignment": every.tangent.alignment,
        "centred alignment": every.tangent.centered_alignment,
        "centred alignment, last hidden layer": last.tangent.centered_alignment,
        "centred alignment, mean over logits": mean.tangent.centered_alignment,
        "centred alignment, features": every.features.centered_alignment,
        "centred alignment, tangent kernel of features": (every.feature_tangent.centered_alignment),
        "block fit error": every.tangent.fit_error,
        "share of class means": class_mean_share(detector),
        "share of class means, not centred": class_mean_share(detector, center=False),
        "NC1": collapse.nc1,
        "NC1, standard deviation": collapse.nc1_std,
        "NC2": collapse.nc2,
        "NC3": collapse.nc3,
        "NC4": collapse.nc4,
        "invariant, alignment": collapse.invariant_alignment,
    }


def detect(model, X, y, X_test, new):
    """Return the AUROC of each detector, averaged over the sets of new rows."""
    scores = {
        "paper": GradPCADetector.paper(model).fit(X, y).score_samples,
        "default": GradPCADetector(model).fit(X, y).score_samples,
        "largest logit": lambda rows: _logits(model, rows).max(axis=1),
    }
    return {
        name: np.mean([_auroc(score(X_test), score(rows)) for rows in new])
        for name, score in scores.items()
    }


def _logits(model, rows):
    for i, (weight, bias) in enumerate(zip(model.coefs_, model.intercepts_, strict=True)):
        rows = (np.maximum(rows, 0.0) if i else rows) @ weight + bias
    return rows


def _auroc(inside, outside):
    truth = np.repeat([1, 0], [len(inside), len(outside)])
    return roc_auc_score(truth, np.concatenate([inside, outside]))


# ------------------------------------------------------------------------------------------ tables


def run_task(task, widths, epochs, seed):
    """Return, for each network, its diagnostics with two controls, and its AUROCs."""
    X, y, X_test, y_test, new = task
    rows = []
    for hidden in widths:
        for penalty in PENALTIES:
            for epoch, model in snapshots(X, y, hidden, penalty, epochs, seed):
                progress(f"{hidden} penalty {penalty} epoch {epoch}")
                control = {
                    ACCURACY: model.score(X_test, y_test),
                    "(control) epochs": epoch,
                    "(control) parameters": sum(weight.size for weight in model.coefs_),
                }
                rows.append((diagnose(model, X, y) | control, detect(model, X, y, X_test, new)))
    return rows


def correlations(rows):
    """Return Spearman's correlation of each diagnostic (rows) with each AUROC (columns)."""
    return np.array(
        [
            [
                spearmanr([d[name] for d, _ in rows], [a[detector] for _, a in rows]).statistic
                for detector in DETECTORS
            ]
            for name in rows[0][0]
        ]
    )


def trained(rows):
    """Return the networks that are nearly as accurate as the best one."""
    least = TRAINED * max(diagnostics[ACCURACY] for diagnostics, _ in rows)
    return [row for row in rows if row[0][ACCURACY] >= least]


def report(name, tasks, widths, epochs):
    """Run all tasks of a kind and print their tables."""
    every = [run_task(task, widths, epochs, seed) for seed, task in enumerate(tasks)]
    print(
        f"{name}: {len(every)} tasks of {len(every[0])} networks; hidden layers "
        f"{', '.join('x'.join(map(str, hidden)) for hidden in widths)}; epochs "
        f"{', '.join(map(str, epochs))}; penalties {', '.join(map(str, PENALTIES))}\n"
    )
    good = [trained(rows) for rows in every]
    sizes = ", ".join(str(len(rows)) for rows in good)
    for caption, results in [("All networks", every), (f"Trained ones only ({sizes})", good)]:
        found = np.array([correlations(rows) for rows in results])
        aurocs = np.array([[a[d] for d in DETECTORS] for rows in results for _, a in rows])
        spread = ["AUROC itself"] + [_cell(values, "") for values in aurocs.T]
        table = [
            [label, *(_cell(found[:, i, j]) for j in range(len(DETECTORS)))]
            for i, label in enumerate(results[0][0][0])
        ]
        columns = ["rank correlation with the AUROC of", *DETECTORS]
        print_table(columns, [spread, *table], f"{caption}: mean (lowest to highest)")


def _cell(values, sign="+"):
    low, middle, high = (f"{x:{sign}.2f}" for x in (values.min(), values.mean(), values.max()))
    return f"{middle} ({low} to {high})"


def main():
    args = make_parser(__doc__).parse_args()
    quiet()
    print_machine()
    if args.quick:
        report("digits", [digits_task(0)], [(16,)], [2, 10, 40])
        return
    widths, epochs = [(16,), (64,), (64, 64)], [3, 10, 30, 100, 300]
    report("digits", [digits_task(seed) for seed in range(args.repeats)], widths, epochs)
    if os.environ.get("SPARSE_EIG_DATA"):
        widths, epochs = [(32,), (128,)], [1, 3, 10, 40]
        report("mnist", [mnist_task(seed, 1500) for seed in range(2)], widths, epochs)


if __name__ == "__main__":
    main()
