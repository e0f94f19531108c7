"""Sparse recovery without noise: the limit of gradient flow against l1 solvers and pursuits.

Gaussian equations with fewer rows than features and a sparse solution, and real matrices, of gene
expressions and genotypes, with a planted one. All get the exact right-hand side. The error is
relative, ||w - truth|| / ||truth||. The Lasso solvers have to be given a penalty, and the pursuit
the sparsity; spgl1, celer and skglm are compared where they are installed. With 200 nonzeros there
are more than l1 recovers: the solution of least norm is another one, with as many nonzeros as
equations. Seconds are those of the processor, and matrices are stored by columns, as the Lasso
solvers want them, unless rows are named. Then groups: targets that share their features. Slow
methods get the first problem only. Last predictions with noise at the defaults, of made problems
and of real data, by cross-validation: R2 of all folds together, and what is used of the features;
where rows are few, also how much the difference changes from draw to draw, with celer in the place
of `LassoCV`, which computes the same.
"""

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from scipy.optimize import linprog
from sklearn.linear_model import Lasso, MultiTaskLasso, OrthogonalMatchingPursuit
from sklearn.model_selection import KFold

from sklearn_sparse_eig import DiagonalNetworkRegressor

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import data_path, make_parser, print_machine, print_table, progress, quiet
from _prediction_problems import fast_predictors, predictors, problems

# Beyond these many entries a linear programme, a factor for each step or many epochs take minutes.
_LARGEST_FOR_SLOW = 3_000_000
_BY_ROWS = ", by rows"
_SLOW = ("basis pursuit (HiGHS)", "**diagonal network**, depth 2, 1e-6", "skglm, 1e-07")


def gaussian(M, N, k, seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((M, N)) / np.sqrt(M)
    x = np.zeros(N)
    x[rng.permutation(N)[:k]] = rng.standard_normal(k)
    return A, x


def riboflavin():
    """Return log expressions of 71 samples, and their response."""
    with np.load(data_path("riboflavin", "riboflavin.npz"), allow_pickle=False) as arrays:
        return arrays["X"].astype(np.float64), arrays["y"]


def real_matrix(name):
    """Return standardised columns, constant ones left out, of norm 1."""
    if name == "riboflavin":
        A = riboflavin()[0]
    elif name == "hapmap3":
        with np.load(data_path("genotypes", "hapmap3.npz"), allow_pickle=False) as arrays:
            A = arrays["X"].astype(np.float64)
        A[A < 0] = np.nan
        A = np.where(np.isnan(A), np.nanmean(A, axis=0), A)
    else:
        with np.load(data_path("gene_expression", f"{name}.npz"), allow_pickle=False) as arrays:
            A = arrays["X"].astype(np.float64)
        if name != "khan":  # raw intensities
            A = np.log(np.maximum(A, 100.0))
    A = A - A.mean(axis=0)
    sizes = np.linalg.norm(A, axis=0)
    return A[:, sizes > 0] / sizes[sizes > 0]


def planted(A, k, seed):
    """Return the matrix with k planted features of random sign."""
    rng = np.random.default_rng(seed)
    x = np.zeros(A.shape[1])
    x[rng.permutation(A.shape[1])[:k]] = rng.choice([-1.0, 1.0], k)
    return A, x


def basis_pursuit(A, y):
    N = A.shape[1]
    z = linprog(np.ones(2 * N), A_eq=np.hstack([A, -A]), b_eq=y, method="highs").x
    return z[:N] - z[N:]


def methods(k):
    """Return functions (A, y) -> coefficients by name; A is Fortran-ordered."""

    def network(**options):
        options = {"init_scale": 0.03, "solver": "limit", "fit_intercept": False} | options
        return lambda A, y: DiagonalNetworkRegressor(**options).fit(A, y).coef_

    def lasso(cls, alpha, **options):
        return lambda A, y: cls(alpha=alpha, fit_intercept=False, **options).fit(A, y).coef_

    table = {
        "**diagonal network**, depth 4": network(),
        f"**diagonal network**, depth 4{_BY_ROWS}": network(),
        "**diagonal network**, refitted": network(refit_support=True),
        "**diagonal network**, depth 4, 0.001": network(init_scale=1e-3),
        "**diagonal network**, depth 2, 1e-6": network(depth=2, init_scale=1e-6),
    }
    for alpha in (1e-6, 1e-7):
        table[f"Lasso, {alpha:g}"] = lasso(Lasso, alpha, tol=1e-8, max_iter=5000)
        if find_spec("celer"):
            from celer import Lasso as Celer

            celer = lasso(Celer, alpha, tol=1e-8, max_iter=30, max_epochs=1000)
            table |= {f"celer, {alpha:g}": celer, f"celer, {alpha:g}{_BY_ROWS}": celer}
        if find_spec("skglm"):
            from skglm import Lasso as Skglm

            table[f"skglm, {alpha:g}"] = lasso(Skglm, alpha, tol=1e-8)
    if find_spec("spgl1"):
        from spgl1 import spg_bp

        table["spgl1"] = lambda A, y: spg_bp(A, y, bp_tol=1e-8, opt_tol=1e-8)[0]
    pursuit = OrthogonalMatchingPursuit(n_nonzero_coefs=k, fit_intercept=False)
    table["OMP, sparsity known"] = lambda A, y: pursuit.fit(A, y).coef_
    table["basis pursuit (HiGHS)"] = basis_pursuit
    return table


def compare(problems, k):
    """Return rows of the table for one kind of problem; methods take turns."""
    seconds, errors, residuals = {}, {}, {}
    for seed, (A, x) in enumerate(problems):
        y, A = A @ x, np.asfortranarray(A)
        by_rows = np.ascontiguousarray(A)
        for name, solve in methods(k).items():
            if name in _SLOW and (seed > 0 or A.size > _LARGEST_FOR_SLOW):
                continue
            progress(f"{A.shape} {seed} {name}")
            given = by_rows if name.endswith(_BY_ROWS) else A
            start = time.process_time()
            w = solve(given, y)
            seconds.setdefault(name, []).append(time.process_time() - start)
            errors.setdefault(name, []).append(np.linalg.norm(w - x) / np.linalg.norm(x))
            residuals.setdefault(name, []).append(np.linalg.norm(A @ w - y) / np.linalg.norm(y))
    first = np.median(next(iter(seconds.values())))
    return [
        [
            name,
            f"{np.median(seconds[name]):.3f}",
            f"{np.median(seconds[name]) / first:.2f}",
            f"{np.median(errors[name]):.0e}",
            f"{np.median(residuals[name]):.0e}",
        ]
        for name in seconds
    ]


def compare_groups(M, N, n_targets, k, seeds):
    """Return rows of the table for targets that share k features."""
    limit = {"init_scale": 0.03, "solver": "limit", "fit_intercept": False}
    table = {
        "**diagonal network**, joint": DiagonalNetworkRegressor(joint=True, **limit),
        "**diagonal network**, targets one by one": DiagonalNetworkRegressor(**limit),
    }
    for alpha in (1e-4, 1e-6):
        table[f"MultiTaskLasso, {alpha:g}"] = MultiTaskLasso(
            alpha=alpha, fit_intercept=False, tol=1e-8, max_iter=5000
        )
    seconds, errors = {}, {}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        A, W = rng.standard_normal((M, N)) / np.sqrt(M), np.zeros((N, n_targets))
        W[rng.permutation(N)[:k]] = rng.standard_normal((k, n_targets))
        Y, A = A @ W, np.asfortranarray(A)
        for name, model in table.items():
            progress(f"{A.shape} x {n_targets} {seed} {name}")
            start = time.process_time()
            coef = model.fit(A, Y).coef_.T
            seconds.setdefault(name, []).append(time.process_time() - start)
            errors.setdefault(name, []).append(np.linalg.norm(coef - W) / np.linalg.norm(W))
    return [
        [
            name,
            f"{np.median(seconds[name]):.3f}",
            f"{np.median(seconds[name]) / np.median(next(iter(seconds.values()))):.2f}",
            f"{np.median(errors[name]):.0e}",
        ]
        for name in seconds
    ]


def predict(seeds, names=""):
    """Return rows of the tables of predictions, by problem, and of the means over all of them.

    Folds are shuffled anew, and targets made, for each seed.
    """
    tables, scores, seconds, models = {}, {}, {}, predictors()
    for seed in seeds:
        for problem, X, y, w in problems(seed, names):
            for name, model in models.items():
                progress(f"prediction {seed} {problem} {name}")
                result = _cross_validated(model, X, y, w, seed)
                tables.setdefault((problem, X.shape), {}).setdefault(name, []).append(result)
    rows = {}
    for (problem, shape), by_method in tables.items():
        caption = f"prediction, {problem}, {shape[0]} rows, {shape[1]} features"
        first = np.mean([run[0] for run in by_method["LassoCV"]])
        for name, runs in by_method.items():
            r2, used, right, time_ = np.nanmean(runs, axis=0)
            scores.setdefault(name, []).append(r2 - first)
            seconds.setdefault(name, []).append(time_)
            rows.setdefault(caption, []).append(
                [
                    name,
                    f"{r2:.3f}",
                    f"{r2 - first:+.3f}",
                    f"{used:.0f}",
                    "" if np.isnan(right) else f"{right:.2f}",
                    f"{time_:.2f}",
                ]
            )
    means = [
        [
            name,
            f"{np.mean(scores[name]):+.3f}",
            f"{np.min(scores[name]):+.3f}",
            f"{np.mean(np.array(scores[name]) > 0):.2f}",
            f"{np.mean(np.array(seconds[name]) / seconds['LassoCV']):.2f}",
        ]
        for name in scores
    ]
    return rows, means


def compare_draws(names, seeds):
    """Return rows of a table of what predictions differ by from one draw to another."""
    scores = {}
    for seed in seeds:
        for problem, X, y, w in problems(seed):
            if problem not in names:
                continue
            for name, model in fast_predictors().items():
                progress(f"draws {seed} {problem} {name}")
                r2 = _cross_validated(model, X, y, w, seed)[0]
                scores.setdefault(problem, {}).setdefault(name, []).append(r2)
    rows = []
    for problem, by_method in scores.items():
        ours = np.array(by_method["**diagonal network**"])
        for name, values in by_method.items():
            less = ours - values
            rows.append(
                [
                    f"{problem}, {name}",
                    f"{np.mean(values):.3f}",
                    f"{less.mean():+.3f}",
                    f"{less.std(ddof=1):.3f}",
                    f"{less.min():+.3f}",
                    f"{less.max():+.3f}",
                ]
            )
    return rows


def _cross_validated(model, X, y, w, seed):
    """Return R2, features, the share of the true ones among them, and seconds of a fit."""
    errors, used, right, start = 0.0, [], [], time.perf_counter()
    for train, test in KFold(5, shuffle=True, random_state=seed).split(X):
        model.fit(X[train], y[train])
        errors += ((model.predict(X[test]) - y[test]) ** 2).sum()
        coef = getattr(model, "coef_", None)
        coef = model[-1].coef_ if coef is None else coef
        used.append(np.count_nonzero(coef))
        right.append(np.nan if w is None else np.mean(coef[w != 0] != 0))
    seconds = (time.perf_counter() - start) / 5
    return 1 - errors / (len(y) * y.var()), np.mean(used), np.mean(right), seconds


def main():
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--draws", type=int, default=8, help="of the last table, from seed 10 on")
    parser.add_argument("--only", default="", help="tables whose caption contains this")
    args = parser.parse_args()
    quiet()
    sizes = [(100, 400, 12), (300, 1500, 40), (500, 5000, 40), (500, 5000, 200)]
    shared = (100, 1000, 10, 30)
    real = {"riboflavin": 5, "golub": 5, "alon": 5, "khan": 5, "hapmap3": 40}
    if args.quick:
        sizes, shared, real = [(60, 240, 8), (60, 240, 30)], (30, 80, 4, 8), {"riboflavin": 5}
    columns = ["method", "seconds", "relative", "error", "residual"]
    A, x = gaussian(20, 40, 2, 0)
    for solve in methods(2).values():
        solve(np.asfortranarray(A), A @ x)  # compiled, or loaded, before anything is timed
    tables = []

    def add(caption, columns, make):
        if args.only in caption:
            tables.append((columns, make(), f"{caption}, medians of {args.repeats}"))

    seeds = range(args.repeats)
    for M, N, k in sizes:
        add(
            f"gaussian, {M} equations, {N} features, {k} nonzeros",
            columns,
            lambda M=M, N=N, k=k: compare([gaussian(M, N, k, seed) for seed in seeds], k),
        )
    if os.environ.get("SPARSE_EIG_DATA"):
        for name, k in real.items():
            A = real_matrix(name) if args.only in name else np.zeros((0, 0))
            add(
                "{}, {} equations, {} features, {} nonzeros".format(name, *A.shape, k),
                columns,
                lambda A=A, k=k: compare([planted(A, k, seed) for seed in seeds], k),
            )
    add(
        "groups, {} equations, {} features, {} targets, {} shared nonzeros".format(*shared),
        columns[:4],
        lambda: compare_groups(*shared, args.repeats),
    )
    print_machine("celer", "skglm", "spgl1")
    for columns, rows, caption in tables:
        print_table(columns, rows, caption)
    if args.only in "prediction":
        seeds = range(1 if args.quick else args.repeats)
        by_problem, means = predict(seeds, "Gaussian, n > p" if args.quick else "")
        columns = ["method", "R2", "less LassoCV's", "features", "of the true ones", "seconds"]
        for caption, rows in by_problem.items():
            print_table(columns, rows, f"{caption}; 5 folds, means of {len(seeds)}")
        columns = ["method", "R2 less LassoCV's", "least", "above it", "times of LassoCV's"]
        print_table(columns, means, "prediction, means over the problems")
    names = ["riboflavin", "khan, made target", "alon, made target"]
    if args.only in "draws" and not args.quick and find_spec("celer"):
        columns = ["problem, method", "R2", "ours less it", "deviation", "least", "most"]
        rows = compare_draws(names, range(10, 10 + args.draws))
        print_table(columns, rows, f"draws, few rows: {args.draws} targets, or shuffles of folds")


if __name__ == "__main__":
    main()
