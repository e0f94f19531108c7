"""Out-of-distribution detection: GradPCADetector beside detectors on the same trained models.

A problem is a model, rows like those it was trained on, and rows of other kinds: far, from other
data sets, or near, from classes left out or questions out of scope. The seed draws the rows, the
classes left out and the start of training. All methods see the same model; all that is fitted or
set, thresholds included, comes from known rows.

It takes long, so it can be run in pieces, which a file collects:

    python benchmarks/gradpca/bench_ood.py --problem mnist_mlp --seeds 0 1 --results ood.json
    python benchmarks/gradpca/bench_ood.py --results ood.json --report
"""

import copy
import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.stats import rankdata, wilcoxon
from sklearn.datasets import load_digits
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import make_network

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import data_path, make_parser, print_machine, print_table, progress, quiet
from _ood_baselines import BASELINES, View

N_TRAIN, N_HELD_OUT, N_TEST, N_NEW = 8000, 1000, 2000, 1000
HAS_TORCH = importlib.util.find_spec("torch") is not None
OURS = "**GradPCA**, default"
RATE = 0.05


# ------------------------------------------------------------------------------------------- data


@dataclass
class Rows:
    """Known rows in three parts, and new ones by name."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_held_out: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    new: dict


def digits_minus_3(rng):
    X, y = load_digits(return_X_y=True)
    return _leave_out(rng, X / 16.0, y, None, None, n_classes=3)


def images(name, others):
    """Return what draws rows of a data set, and new ones: others, noise, shuffled pixels."""

    def draw(rng):
        X, y, X_test, y_test = _load_images(name)
        train = rng.permutation(len(X))[: N_TRAIN + N_HELD_OUT]
        test = rng.permutation(len(X_test))[: N_TEST + N_NEW]
        test, permuted = test[:N_TEST], test[N_TEST:]
        new = {other: _some(rng, _load_images(other)[2]) for other in others}
        new["uniform noise"] = rng.random((N_NEW, X.shape[1]), dtype=np.float32)
        new["permuted pixels"] = X_test[permuted][:, rng.permutation(X.shape[1])]
        kept, held_out = train[:N_TRAIN], train[N_TRAIN:]
        return Rows(X[kept], y[kept], X[held_out], X_test[test], y_test[test], new)

    return draw


def images_minus_2(name):
    return lambda rng: _leave_out(rng, *_load_images(name), n_classes=2)


def clinc150(rng):
    """Questions for 150 intents, and those that are out of scope; two thirds are trained on."""
    counts = sp.csr_array(sp.load_npz(data_path("clinc150", "counts.npz")), dtype=np.float64)
    with np.load(data_path("clinc150", "meta.npz"), allow_pickle=False) as meta:
        y, part, new = meta["y"], meta["part"], meta["is_oos"]
    known = [np.flatnonzero((part == name) & ~new) for name in ("train", "val", "test")]
    y = np.unique(np.where(new, y[known[0][0]], y), return_inverse=True)[1]
    train, _ = train_test_split(
        known[0], train_size=10_000, stratify=y[known[0]], random_state=int(rng.integers(2**31))
    )
    held_out, test = _some(rng, known[1], N_HELD_OUT), _some(rng, known[2], N_TEST)
    out_of_scope = np.flatnonzero((part == "test") & new)
    # Words are weighed and combined as the training rows say.
    vectors = make_pipeline(TfidfTransformer(sublinear_tf=True), TruncatedSVD(300, random_state=0))
    X = vectors.fit(counts[train]).transform(counts)
    scope = {"out of scope": X[out_of_scope]}
    return Rows(X[train], y[train], X[held_out], X[test], y[test], scope)


def _load_images(name):
    if name == "notmnist":
        with np.load(data_path(name, "notmnist_10k.npz"), allow_pickle=False) as arrays:
            return None, None, _scaled(arrays["X"]), arrays["y"]
    with np.load(data_path(name, f"{name}.npz"), allow_pickle=False) as arrays:
        X, X_test = _scaled(arrays["X_train"]), _scaled(arrays["X_test"])
        return X, arrays["y_train"], X_test, arrays["y_test"]


def _scaled(pixels):
    return pixels.astype(np.float32) / np.float32(255)


def _some(rng, X, n=N_NEW):
    return X[rng.permutation(len(X))[:n]]


def _leave_out(rng, X, y, X_test, y_test, n_classes):
    """Leave classes out; without test rows a quarter of the rows are, and a quarter held out."""
    left_out = rng.permutation(np.unique(y))[:n_classes]
    known = rng.permutation(np.flatnonzero(~np.isin(y, left_out)))
    if X_test is None:
        X_test, y_test = X, y
        train, held_out, test = np.split(known, [len(known) // 2, 3 * len(known) // 4])
    else:
        train, held_out = np.split(known[: N_TRAIN + N_HELD_OUT], [N_TRAIN])
        test = _some(rng, np.flatnonzero(~np.isin(y_test, left_out)), N_TEST)
    new = {"left out": _some(rng, X_test[np.isin(y_test, left_out)])}
    kept = np.setdiff1d(y, left_out)
    y, y_test = np.searchsorted(kept, y), np.searchsorted(kept, y_test)
    return Rows(X[train], y[train], X[held_out], X_test[test], y_test[test], new)


# ----------------------------------------------------------------------------------------- models


def mlp(*hidden, max_iter=20):
    return lambda rows, seed: MLPClassifier(hidden, max_iter=max_iter, random_state=seed).fit(
        rows.X_train, rows.y_train
    )


def logistic(C=1.0):
    return lambda rows, seed: LogisticRegression(C=C, max_iter=200).fit(rows.X_train, rows.y_train)


def cnn(rows, seed, n_epochs=6):
    """Two convolutions and two dense layers in torch; rows become images."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    for name in ("X_train", "X_held_out", "X_test"):
        setattr(rows, name, _as_images(getattr(rows, name)))
    rows.new = {name: _as_images(X) for name, X in rows.new.items()}
    body = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    body += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    body += [nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU()]
    head = nn.Linear(128, int(rows.y_train.max()) + 1)
    module = nn.Sequential(*body, head)
    X, y = torch.from_numpy(rows.X_train), torch.from_numpy(rows.y_train.astype(np.int64))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for _ in range(n_epochs):
        for batch in torch.randperm(len(X)).split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(X[batch]), y[batch]).backward()
            optimizer.step()
    return module.eval()


def _as_images(X):
    return np.ascontiguousarray(X, dtype=np.float32).reshape(-1, 1, 28, 28)


def look(model, X, labels=None):
    """Return the View that a trained model has of rows X."""
    inputs = np.asarray(X, dtype=np.float64).reshape(len(X), -1)
    if hasattr(model, "predict"):
        network = make_network(model)
        *_, features, logits = network.forward(np.asarray(X, dtype=np.float64))
        head = network.weights[-1], network.biases[-1]
    else:
        import torch

        with torch.no_grad():
            features = model[:-1](torch.from_numpy(X))
            logits = model[-1](features)
        arrays = features, logits, model[-1].weight.detach().T, model[-1].bias.detach()
        features, logits, *head = (a.numpy().astype(np.float64) for a in arrays)
    return View(inputs, features, logits, tuple(head), labels)


@dataclass(frozen=True)
class Problem:
    """What draws the rows, what trains the model, and of which kind the new rows are."""

    title: str
    draw: object
    train: object
    far: bool


MNIST, FASHION = "mnist", "fashion_mnist"
PROBLEMS = {
    "digits_minus_3": Problem(
        "digits minus 3, MLP", digits_minus_3, mlp(64, max_iter=300), far=False
    ),
    "mnist_mlp": Problem("MNIST MLP", images(MNIST, [FASHION, "notmnist"]), mlp(256, 128), True),
    "mnist_logreg": Problem(
        "MNIST LogReg", images(MNIST, [FASHION, "notmnist"]), logistic(), far=True
    ),
    "fashion_mlp": Problem(
        "Fashion MLP", images(FASHION, [MNIST, "notmnist"]), mlp(128, 64), far=True
    ),
    "fashion_cnn": Problem("Fashion CNN", images(FASHION, [MNIST, "notmnist"]), cnn, far=True),
    # Layers wider than a factor of the metric may be: those factors are kept diagonal.
    "fashion_wide": Problem(
        "Fashion MLP, 5000 wide",
        images(FASHION, [MNIST, "notmnist"]),
        mlp(5000, 64, max_iter=6),
        far=True,
    ),
    "mnist_minus_2": Problem("MNIST minus 2, MLP", images_minus_2(MNIST), mlp(256, 128), far=False),
    "fashion_minus_2": Problem(
        "Fashion minus 2, MLP", images_minus_2(FASHION), mlp(128, 64), far=False
    ),
    "fashion_cnn_minus_2": Problem("Fashion minus 2, CNN", images_minus_2(FASHION), cnn, far=False),
    "clinc_logreg": Problem("CLINC150 LogReg", clinc150, logistic(C=10.0), far=False),
    "clinc_mlp": Problem("CLINC150 MLP", clinc150, mlp(128, max_iter=30), far=False),
}


# --------------------------------------------------------------------------------------- detectors


def detectors(model, X, y):
    """Return our fitted detectors by name."""
    default = GradPCADetector(model).fit(X, y)
    fitted = {OURS: default}
    for score in ("ratio", "snr", "laplace"):
        # The score is a formula of the same fit.
        fitted[f'**GradPCA**, score_function="{score}"'] = copy.copy(default).set_params(
            score_function=score
        )
    fitted['**GradPCA**, metric="diag"'] = GradPCADetector(model, metric="diag").fit(X, y)
    fitted["GradPCA.paper"] = GradPCADetector.paper(model).fit(X, y)
    fitted["GradPCA.paper, all layers"] = GradPCADetector.paper(model, params="all").fit(X, y)
    network = make_network(model)
    if network.select("dense") != network.select("all"):
        fitted["**GradPCA**, dense layers"] = GradPCADetector(model, params="dense").fit(X, y)
        fitted["GradPCA.paper, dense layers"] = GradPCADetector.paper(model, params="dense").fit(
            X, y
        )
    return fitted


def check_control(model, rows, scores):
    """Make sure that class-mean PCA of the features is GradPCA at the head with summed logits."""
    detector = GradPCADetector.paper(model, params="head", output="sum", n_components=None)
    found = detector.partial_fit(rows.X_train, rows.y_train).score_samples(rows.X_test)
    error = np.abs(found - scores).max()
    assert error < 1e-5, f"class-mean PCA and GradPCA of summed logits differ by {error}"


def evaluate(known, new):
    """Return the quality of scores that should be high for known and low for new rows."""
    truth = np.repeat([1, 0], [len(known), len(new)])
    scores = np.concatenate([known, new])
    return {
        "auroc": roc_auc_score(truth, scores),
        # New rows that pass where the threshold lets 95 % of the known ones pass.
        "fpr95": float((new >= np.quantile(known, 0.05, method="lower")).mean()),
        "aupr_known": average_precision_score(truth, scores),
        "aupr_new": average_precision_score(1 - truth, -scores),
    }


def run(name, seed):
    """Train the model of a problem and return all that is reported of it."""
    quiet()
    problem = PROBLEMS[name]
    rng = np.random.default_rng([seed, 2025])
    rows = problem.draw(rng)
    model = problem.train(rows, seed)
    train, test = look(model, rows.X_train, rows.y_train), look(model, rows.X_test)
    new = {kind: look(model, X) for kind, X in rows.new.items()}
    if hasattr(model, "predict"):
        assert (model.predict(rows.X_test) == test.logits.argmax(axis=1)).mean() > 0.999

    cells = {kind: {} for kind in new}
    for method, fit in BASELINES.items():
        score = fit(train)
        known = score(test)
        if method == "class-mean feature PCA":
            check_control(model, rows, known)
        for kind, view in new.items():
            cells[kind][method] = evaluate(known, score(view))
    alarms = {}
    for method, detector in detectors(model, rows.X_train, rows.y_train).items():
        known = detector.score_samples(rows.X_test)
        for kind, X in rows.new.items():
            cells[kind][method] = evaluate(known, detector.score_samples(X))
        if "score_function=" in method:
            # It shares the fit of the default, with its threshold.
            detector.offset_ = np.percentile(detector.score_samples(rows.X_train), 100 * RATE)
        at_training = float((known < detector.offset_).mean())
        detector.calibrate(rows.X_held_out)
        alarms[method] = at_training, float((known < detector.offset_).mean())
    accuracy = float((test.logits.argmax(axis=1) == rows.y_test).mean())
    return {"accuracy": accuracy, "cells": cells, "alarms": alarms}


# ----------------------------------------------------------------------------------------- report


class Results:
    """Results of all problems and seeds, as arrays over what is averaged last.

    Parameters
    ----------
    done : dict of str to dict of str to dict
        By problem and seed, what :func:`run` returns.
    """

    def __init__(self, done):
        self.done = {name: done[name] for name in PROBLEMS if name in done}
        first = next(iter(self.done.values()))
        self.methods = list(next(iter(next(iter(first.values()))["cells"].values())))

    def cells(self, name):
        return [cell for result in self.done[name].values() for cell in result["cells"].values()]

    def by_seed(self, name, method, measure):
        """Return a number for each seed, the mean over kinds of new rows."""
        return np.array(
            [
                np.mean([cell[method][measure] for cell in result["cells"].values()])
                for result in self.done[name].values()
            ]
        )

    def by_problem(self, method, measure, far=None):
        """Return a number for each problem: the mean over kinds of new rows and seeds."""
        return np.array([self.by_seed(n, method, measure).mean() for n in self.names(far)])

    def names(self, far=None):
        return [name for name in self.done if far is None or PROBLEMS[name].far == far]

    def ranks(self, far=None):
        """Return the mean rank of each method by AUROC, best 1: over cells, then over problems.

        Of ours the default and the paper's settings take part with the baselines; each other one
        takes the place of the default.
        """
        pool = [m for m in self.methods if m == OURS or "**" not in m]
        return {
            method: np.mean(
                [np.mean([*self._ranks(name, method, pool)]) for name in self.names(far)]
            )
            for method in self.methods
        }

    def _ranks(self, name, method, pool):
        """Return the rank of a method in each cell of a problem."""
        field = pool if method in pool else [method if m == OURS else m for m in pool]
        for cell in self.cells(name):
            scores = [-cell[m]["auroc"] for m in field]
            yield rankdata(scores)[field.index(method)]


def report(done):
    """Print the tables."""
    results = Results(done)
    seeds = sorted({seed for by_seed in results.done.values() for seed in by_seed}, key=int)
    print_machine(*["torch"] * HAS_TORCH)
    n_models = sum(map(len, results.done.values()))
    n_cells = sum(len(results.cells(name)) for name in results.done)
    print(
        f"{len(results.done)} problems, seeds {', '.join(seeds)}: {n_models} models, {n_cells} "
        "pairs of a model and a kind of new rows. Means over kinds of new rows and seeds, then "
        "over problems; p of Wilcoxon's test over problems\n"
    )
    for far in [None, True, False]:
        if far is None or results.names(far):
            _print_methods(results, far)
    _print_problems(results)
    _print_layers(results)
    _print_alarms(results)


def _print_methods(results, far):
    kind = {None: "All", True: "Far", False: "Near"}[far]
    ranks = results.ranks(far)
    ours = results.by_problem(OURS, "auroc", far)
    rows = []
    for method in sorted(ranks, key=ranks.get):
        means = [results.by_problem(method, m, far) for m in MEASURES]
        difference = ours - means[0]
        won, lost = int((difference > 0).sum()), int((difference < 0).sum())
        compared = ["", ""]
        if method != OURS:
            p = wilcoxon(difference).pvalue if len(difference) > 4 and difference.any() else np.nan
            compared = [f"{won} : {lost}", "" if np.isnan(p) else f"{p:.3f}"]
        rows.append(
            [method, f"{ranks[method]:.1f}", *(_number(m.mean()) for m in means), *compared]
        )
    print_table(
        ["method", "mean rank", *MEASURES.values(), "default won : lost", "p"],
        rows,
        f"{kind}: {'; '.join(PROBLEMS[name].title for name in results.names(far))}",
    )


MEASURES = {
    "auroc": "AUROC",
    "fpr95": "FPR95",
    "aupr_known": "AUPR known",
    "aupr_new": "AUPR new",
}
SHOWN = [
    "KNN-10 features",
    "KNN-10 inputs",
    "ViM",
    "relative Mahalanobis",
    "NECO x MaxLogit",
    "MaxLogit",
    "MSP",
    "GradPCA.paper",
]


def _print_problems(results):
    rows, baselines = [], [m for m in results.methods if m in BASELINES]
    for name in results.done:
        ours = results.by_seed(name, OURS, "auroc")
        means = {m: results.by_seed(name, m, "auroc").mean() for m in results.methods}
        best = max(baselines, key=means.get)
        margin = means[best] - ours.mean()
        hindsight = f"{best} {margin:+.3f}"
        accuracy = np.mean([result["accuracy"] for result in results.done[name].values()])
        rows.append(
            [
                f"{PROBLEMS[name].title}, {'far' if PROBLEMS[name].far else 'near'} "
                f"({_number(accuracy)})",
                f"{_number(ours.mean())} ± {_number(ours.std(ddof=1) if len(ours) > 1 else 0.0)}",
                *(_number(means[m]) for m in SHOWN),
                f"**{hindsight}**" if margin > 0 else hindsight,
                " / ".join(
                    _number(results.by_seed(name, m, "fpr95").mean())
                    for m in (OURS, "KNN-10 features", "ViM", "MaxLogit")
                ),
            ]
        )
    print_table(
        [
            "problem (accuracy)",
            "default ± s.d.",
            *SHOWN,
            "best baseline in hindsight",
            "FPR95: default / KNN / ViM / MaxLogit",
        ],
        rows,
        "AUROC by problem, with the standard deviation over seeds; bold where the default loses",
    )


def _print_layers(results):
    """Where a model has layers other than dense ones that count: what do these add?"""
    rows = []
    for name in results.done:
        methods = [m for m in results.cells(name)[0] if "dense layers" in m]
        for method in methods:
            every = OURS if "**" in method else "GradPCA.paper, all layers"
            for shown in (every, method):
                values = [results.by_seed(name, shown, m).mean() for m in MEASURES]
                rows.append([PROBLEMS[name].title, shown, *map(_number, values)])
    if rows:
        print_table(["problem", "method", *MEASURES.values()], rows, "All layers or the dense ones")


def _print_alarms(results):
    rows = []
    for method in [m for m in results.methods if "GradPCA" in m]:
        rates = np.array(
            [
                result["alarms"][method]
                for by_seed in results.done.values()
                for result in by_seed.values()
            ]
        )
        shown = [f"{r.mean():.1%} ({r.min():.1%} to {r.max():.1%})" for r in rates.T]
        rows.append([method, *shown])
    print_table(
        ["method", "threshold from training rows", "from held-out rows (`calibrate`)"],
        rows,
        f"Known test rows rejected where {RATE:.0%} are to be: mean (range) over models",
    )


def _number(value):
    return f"{value:.3f}".replace("0.", ".", 1) if value < 1 else f"{value:.3f}"


# ------------------------------------------------------------------------------------------ script


def _load(path):
    return json.loads(path.read_text()) if path and path.exists() else {}


def _save(path, done):
    if path:
        # At once or not at all: an interruption must not lose what is there.
        beside = path.with_name(path.name + ".new")
        beside.write_text(json.dumps(done))
        os.replace(beside, path)


def main():
    parser = make_parser(__doc__, repeats=5)
    # The wide network takes minutes for each seed.
    usual = [name for name in PROBLEMS if name != "fashion_wide"]
    parser.add_argument("--problem", nargs="+", choices=PROBLEMS, default=usual)
    parser.add_argument("--seeds", nargs="+", type=int, help="in place of --repeats")
    parser.add_argument("--results", type=Path, help="file that collects results; done ones stay")
    parser.add_argument("--report", action="store_true", help="run nothing, print what is there")
    args = parser.parse_args()
    names, seeds = args.problem, args.seeds or list(range(args.repeats))
    if args.quick:
        names, seeds = ["digits_minus_3"], seeds[:1]
    done = _load(args.results)
    for seed in [] if args.report else seeds:
        for name in names:
            by_seed = done.setdefault(name, {})
            if str(seed) in by_seed:
                continue
            if "cnn" in name and not HAS_TORCH:
                progress(f"{name} is left out: torch is not installed")
                del done[name]
                continue
            progress(f"{name}, seed {seed}")
            by_seed[str(seed)] = run(name, seed)
            _save(args.results, done)
    if not any(done.values()):
        parser.error("there are no results to report")
    report(done)


if __name__ == "__main__":
    main()
