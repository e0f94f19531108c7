"""Out-of-distribution detection: GradPCADetector beside detectors on the same trained models.

A problem is a model, rows like those it was trained on, and rows of other kinds: far, from other
data sets, or near, from classes left out or questions out of scope. The seed draws the rows, the
classes left out and the start of training. All methods see the same model; all that is fitted or
set, thresholds included, comes from known rows.

It takes long, so it can be run in pieces, which a file collects:

    python benchmarks/gradpca/bench_ood.py --problem mnist_mlp --seeds 0 1 --results ood.json
    python benchmarks/gradpca/bench_ood.py --results ood.json --report

After a change of ours, --ours repeats only our detectors, on models that are trained again from
the same seeds, and keeps what the file has of the others.
"""

import copy
import json
import os
import sys
from pathlib import Path

import numpy as np
from scipy.stats import rankdata, wilcoxon
from sklearn.metrics import average_precision_score, roc_auc_score

from sklearn_sparse_eig import GradPCADetector
from sklearn_sparse_eig.gradients import make_network

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress, quiet
from _ood_baselines import BASELINES, View
from _ood_problems import HAS_TORCH, PROBLEMS

OURS = "**GradPCA**, default"
RATE = 0.05


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


# --------------------------------------------------------------------------------------- detectors


def detectors(model, X, y):
    """Return our fitted detectors by name."""
    default = GradPCADetector(model).fit(X, y)
    fitted = {OURS: default}
    for score in ("snr_ratio", "ratio", "snr", "laplace"):
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


def run(name, seed, earlier=None):
    """Train the model of a problem and return all that is reported of it.

    Of an earlier run the baselines are kept.
    """
    quiet()
    problem = PROBLEMS[name]
    rng = np.random.default_rng([seed, 2025])
    rows = problem.draw(rng)
    model = problem.train(rows, seed)
    test = look(model, rows.X_test)
    if hasattr(model, "predict"):
        assert (model.predict(rows.X_test) == test.logits.argmax(axis=1)).mean() > 0.999

    cells = earlier["cells"] if earlier else of_baselines(model, rows, test)
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


def of_baselines(model, rows, test):
    """Return the quality of all baselines by kind of new rows."""
    train = look(model, rows.X_train, rows.y_train)
    new = {kind: look(model, X) for kind, X in rows.new.items()}
    cells = {kind: {} for kind in new}
    for method, fit in BASELINES.items():
        score = fit(train)
        known = score(test)
        if method == "class-mean feature PCA":
            check_control(model, rows, known)
        for kind, view in new.items():
            cells[kind][method] = evaluate(known, score(view))
    return cells


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
    parser.add_argument("--ours", action="store_true", help="repeat ours, keep the baselines")
    parser.add_argument("--report", action="store_true", help="run nothing, print what is there")
    args = parser.parse_args()
    names, seeds = args.problem, args.seeds or list(range(args.repeats))
    if args.quick:
        names, seeds = ["digits_minus_3"], seeds[:1]
    done = _load(args.results)
    for seed in [] if args.report else seeds:
        for name in names:
            by_seed = done.setdefault(name, {})
            earlier = by_seed.get(str(seed))
            if earlier is not None and not args.ours:
                continue
            if "cnn" in name and not HAS_TORCH:
                progress(f"{name} is left out: torch is not installed")
                del done[name]
                continue
            progress(f"{name}, seed {seed}")
            by_seed[str(seed)] = run(name, seed, earlier)
            _save(args.results, done)
    if not any(done.values()):
        parser.error("there are no results to report")
    report(done)


if __name__ == "__main__":
    main()
