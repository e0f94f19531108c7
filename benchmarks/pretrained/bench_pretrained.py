"""Out-of-distribution detection on frozen pretrained features, beside the same rows from scratch.

Sentences of CLINC150 through MiniLM, images of Fashion-MNIST and notMNIST through
EfficientNet-Lite0, and instruments through CREPE, with a linear model or a small network on the
features; then words and pixels.
All detectors see the same trained model. It needs packages that ship weights (_encoders.py); a
problem whose package is missing is left out. Where pytorch-ood is installed its detectors take part
too, in a table of their own. It can be run in pieces, which a file collects:

    python benchmarks/pretrained/bench_pretrained.py --seeds 0 1 --results pretrained.json
    python benchmarks/pretrained/bench_pretrained.py --results pretrained.json --report
"""

import copy
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from sklearn_sparse_eig import GradPCADetector

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share
sys.path.insert(0, str(Path(__file__).parents[1] / "gradpca"))

from _harness import Meter, make_parser, print_machine, print_table, progress, quiet
from _ood_baselines import BASELINES
from _pretrained_problems import PROBLEMS, Sources
from _pytorch_ood import MARK, detectors
from bench_ood import evaluate, look

OURS, OLD = "**GradPCA**, default", '**GradPCA**, score_function="snr_ratio"'
# Those that read features or logits; the others are far behind on features that are inputs.
COMPARED = {
    name: fit
    for name, fit in BASELINES.items()
    if name not in ("KNN-10 inputs", "input PCA residual", "IsolationForest")
}
SHOWN = ["relative Mahalanobis", "MaxLogit", "MSP", "NECO x MaxLogit", "ViM", "KNN-10 features"]


def others(default, model, rows):
    """Return our other detectors by name; scores that share the fit of the default cost nothing."""
    shared = {
        f'**GradPCA**, score_function="{score}"': copy.copy(default).set_params(
            score_function=score
        )
        for score in ("snr_ratio", "laplace")
    }
    return shared | {"GradPCA.paper": GradPCADetector.paper(model).fit(rows.X_train, rows.y_train)}


def run(name, seed, sources, earlier=None):
    """Train the model of a problem and return all that is reported of it.

    Of an earlier run the baselines are kept.
    """
    quiet()
    problem = PROBLEMS[name]
    rows = problem.draw(np.random.default_rng([seed, 2025]), sources)
    model = problem.train(rows, seed)
    test = look(model, rows.X_test)
    cells = earlier["cells"] if earlier else {kind: {} for kind in rows.new}
    costs = earlier["costs"] if earlier else {}
    missing = {
        method: fit for method, fit in (COMPARED | detectors()).items() if method not in costs
    }
    if missing:
        train = look(model, rows.X_train, rows.y_train)
        new = {kind: look(model, X) for kind, X in rows.new.items()}
        for method, fit in missing.items():
            with Meter() as meter:
                score = fit(train)
            costs[method] = _costs(meter, score, test, len(rows.X_test))
            known = score(test)
            for kind, view in new.items():
                cells[kind][method] = evaluate(known, score(view))
    with Meter() as meter:
        default = GradPCADetector(model).fit(rows.X_train, rows.y_train)
    fitted = {OURS: default, **others(default, model, rows)}
    if OURS not in costs:  # ratios to the baselines are those of one run
        costs[OURS] = _costs(meter, default.score_samples, rows.X_test, len(rows.X_test))
    for method, detector in fitted.items():
        known = detector.score_samples(rows.X_test)
        for kind, X in rows.new.items():
            cells[kind][method] = evaluate(known, detector.score_samples(X))
    accuracy = float((test.logits.argmax(axis=1) == rows.y_test).mean())
    return {"accuracy": accuracy, "cells": cells, "costs": costs}


def _costs(meter, score, rows, n_rows):
    score(rows)
    start = time.perf_counter()
    score(rows)
    return [meter.seconds, 1e3 * (time.perf_counter() - start) / n_rows, meter.megabytes]


def mean(by_seed, kind, method, measure):
    return float(np.mean([result["cells"][kind][method][measure] for result in by_seed.values()]))


def report(done):
    done = {name: done[name] for name in PROBLEMS if done.get(name)}
    print_machine("torch")
    print("AUROC / share of new rows that pass at 95 %, in %; means over the seeds in brackets\n")
    rows, methods = (
        [],
        [OURS, OLD, '**GradPCA**, score_function="laplace"', "GradPCA.paper", *SHOWN],
    )
    for name, by_seed in done.items():
        first = next(iter(by_seed.values()))
        accuracy = np.mean([result["accuracy"] for result in by_seed.values()])
        for kind in first["cells"]:
            best = max(COMPARED, key=lambda m: mean(by_seed, kind, m, "auroc"))
            cells = [_cell(by_seed, kind, method) for method in [*methods, best]]
            seeds = ", ".join(sorted(by_seed, key=int))
            title = f"{PROBLEMS[name].title} ({100 * accuracy:.1f} % right; {seeds}): {kind}"
            rows.append([title, *cells[:-1], f"{best} {cells[-1]}"])
    print_table(
        ["problem: new rows", *methods, "best of 12 baselines, in hindsight"],
        rows,
    )
    rows = []
    for name, by_seed in done.items():
        kinds = next(iter(by_seed.values()))["cells"]
        by_method = {
            m: np.mean(
                [[mean(by_seed, k, m, x) for x in ("auroc", "fpr95")] for k in kinds], axis=0
            )
            for m in [*methods, *COMPARED]
        }
        best = max(COMPARED, key=lambda m: by_method[m][0])
        shown = [f"{100 * a:.1f} / {100 * f:.1f}" for a, f in (by_method[m] for m in methods)]
        a, f = by_method[best]
        rows.append([PROBLEMS[name].title, *shown, f"{best} {100 * a:.1f} / {100 * f:.1f}"])
    print_table(["mean over kinds of new rows", *methods, "best of 12, in hindsight"], rows)
    _report_pytorch_ood(done)
    rows = []
    for name, by_seed in done.items():
        for method in [OURS, *SHOWN]:
            cost = np.median([result["costs"][method] for result in by_seed.values()], axis=0)
            rows.append([PROBLEMS[name].title, method, *(f"{value:.2g}" for value in cost)])
    print_table(["problem", "detector", "fit, s", "score, ms a row", "fit, MB"], rows)


def _report_pytorch_ood(done):
    """Print the detectors of pytorch-ood beside the default, for the seeds that have them."""
    rows, names = [], []
    for name, by_seed in done.items():
        has = {
            seed: r for seed, r in by_seed.items() if any(m.startswith(MARK) for m in r["costs"])
        }
        if not has:
            continue
        first = next(iter(has.values()))
        names = [m for m in first["costs"] if m.startswith(MARK)]
        for kind in first["cells"]:
            cells = [_cell(has, kind, method) for method in [OURS, *names]]
            seeds = ", ".join(sorted(has, key=int))
            rows.append([f"{PROBLEMS[name].title} ({seeds}): {kind}", *cells])
    if rows:
        from importlib.metadata import version

        print_table(
            ["problem: new rows", OURS, *(m.removeprefix(MARK) for m in names)],
            rows,
            f"Detectors of pytorch-ood {version('pytorch-ood')} for logits or features",
        )


def _cell(by_seed, kind, method):
    auroc, passed = (mean(by_seed, kind, method, measure) for measure in ("auroc", "fpr95"))
    return f"{100 * auroc:.1f} / {100 * passed:.1f}"


def main():
    parser = make_parser(__doc__, repeats=5)
    parser.add_argument("--problem", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--seeds", nargs="+", type=int, help="in place of --repeats")
    parser.add_argument("--features", type=Path, help="folder that keeps features")
    parser.add_argument("--results", type=Path, help="file that collects results; done ones stay")
    parser.add_argument("--ours", action="store_true", help="repeat ours, keep the baselines")
    parser.add_argument("--report", action="store_true", help="run nothing, print what is there")
    args = parser.parse_args()
    names, seeds = args.problem, args.seeds or list(range(args.repeats))
    if args.quick:
        names, seeds = ["words_logreg"], seeds[:1]
    done = json.loads(args.results.read_text()) if args.results and args.results.exists() else {}
    sources = Sources(args.features)
    for seed in [] if args.report else seeds:
        for name in names:
            earlier = done.setdefault(name, {}).get(str(seed))
            if earlier is not None and not args.ours:
                continue
            if not PROBLEMS[name].is_there():
                progress(f"{name} is left out: its package is not installed")
                continue
            progress(f"{name}, seed {seed}")
            done[name][str(seed)] = run(name, seed, sources, earlier)
            if args.results:
                beside = args.results.with_name(args.results.name + ".new")
                beside.write_text(json.dumps(done))
                os.replace(beside, args.results)
    if not any(done.values()):
        return progress("No package with pretrained weights is installed: nothing is measured.")
    report(done)


if __name__ == "__main__":
    main()
