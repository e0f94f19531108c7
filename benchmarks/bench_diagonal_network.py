"""Sparse recovery without noise: the limit of gradient flow against l1 solvers and pursuits.

Gaussian equations with fewer rows than features and a sparse solution, and the riboflavin data with
a planted one. All get the exact right-hand side. The error is relative, ||w - truth|| / ||truth||.
The Lasso solvers have to be given a penalty, and the pursuit the sparsity; spgl1, celer and skglm
are compared where they are installed. In the third table there are more nonzeros than l1 recovers:
the solution of least norm is another one, with as many nonzeros as equations.
"""

import os
import time
from importlib.util import find_spec

import numpy as np
from _harness import data_path, make_parser, print_machine, print_table, progress, quiet
from scipy.optimize import linprog
from sklearn.linear_model import Lasso, OrthogonalMatchingPursuit

from sklearn_sparse_eig import DiagonalNetworkRegressor


def gaussian(M, N, k, seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((M, N)) / np.sqrt(M)
    x = np.zeros(N)
    x[rng.permutation(N)[:k]] = rng.standard_normal(k)
    return A, x


def riboflavin(k, seed):
    """Gene expressions of 71 samples, standardised, with k planted genes."""
    folder = data_path("riboflavin")
    with np.load(next(folder.glob("*.npz")), allow_pickle=False) as arrays:
        A = max((arrays[name] for name in arrays.files), key=lambda array: array.size)
    A = np.asarray(A, dtype=np.float64)
    A = (A - A.mean(axis=0)) / A.std(axis=0) / np.sqrt(len(A))
    rng = np.random.default_rng(seed)
    x = np.zeros(A.shape[1])
    x[rng.permutation(A.shape[1])[:k]] = rng.choice([-1.0, 1.0], k)
    return A, x


def basis_pursuit(A, y):
    N = A.shape[1]
    z = linprog(np.ones(2 * N), A_eq=np.hstack([A, -A]), b_eq=y, method="highs").x
    return z[:N] - z[N:]


def methods(k, with_programme):
    """Return functions (A, y) -> coefficients by name; A is Fortran-ordered."""

    def network(**options):
        return lambda A, y: DiagonalNetworkRegressor(**options).fit(A, y).coef_

    def lasso(cls, alpha, **options):
        return lambda A, y: cls(alpha=alpha, fit_intercept=False, **options).fit(A, y).coef_

    table = {
        "**diagonal network**, depth 4": network(),
        "**diagonal network**, refitted": network(refit_support=True),
        "**diagonal network**, depth 2, 1e-6": network(depth=2, init_scale=1e-6),
    }
    for alpha in (1e-6, 1e-7):
        table[f"Lasso, {alpha:g}"] = lasso(Lasso, alpha, tol=1e-8, max_iter=5000)
        if find_spec("celer"):
            from celer import Lasso as Celer

            table[f"celer, {alpha:g}"] = lasso(Celer, alpha, tol=1e-8, max_iter=30, max_epochs=1000)
        if find_spec("skglm"):
            from skglm import Lasso as Skglm

            table[f"skglm, {alpha:g}"] = lasso(Skglm, alpha, tol=1e-8)
    if find_spec("spgl1"):
        from spgl1 import spg_bp

        table["spgl1"] = lambda A, y: spg_bp(A, y, bp_tol=1e-8, opt_tol=1e-8)[0]
    pursuit = OrthogonalMatchingPursuit(n_nonzero_coefs=k, fit_intercept=False)
    table["OMP, sparsity known"] = lambda A, y: pursuit.fit(A, y).coef_
    if with_programme:
        table["basis pursuit (HiGHS)"] = basis_pursuit
    return table


def compare(problems, k, with_programme):
    """Return rows of the table for one kind of problem; methods take turns."""
    seconds, errors, residuals = {}, {}, {}
    for seed, (A, x) in enumerate(problems):
        y, A = A @ x, np.asfortranarray(A)
        for name, solve in methods(k, with_programme).items():
            progress(f"{A.shape} {seed} {name}")
            start = time.perf_counter()
            w = solve(A, y)
            seconds.setdefault(name, []).append(time.perf_counter() - start)
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


def main():
    args = make_parser(__doc__, repeats=3).parse_args()
    quiet()
    sizes = [(300, 1500, 40), (500, 5000, 40), (500, 5000, 200)]
    if args.quick:
        sizes = [(60, 240, 8), (60, 240, 30)]
    columns = ["method", "seconds", "relative", "error", "residual"]
    DiagonalNetworkRegressor().fit(*[np.eye(3), np.ones(3)])
    tables = []
    for M, N, k in sizes:
        problems = [gaussian(M, N, k, seed) for seed in range(args.repeats)]
        tables.append((compare(problems, k, True), f"{M} equations, {N} features, {k} nonzeros"))
    if os.environ.get("SPARSE_EIG_DATA"):
        problems = [riboflavin(5, seed) for seed in range(args.repeats)]
        caption = "{} equations, {} features (riboflavin), 5 nonzeros".format(*problems[0][0].shape)
        tables.append((compare(problems, 5, True), caption))
    print_machine()
    for rows, caption in tables:
        print_table(columns, rows, f"{caption}, medians of {args.repeats}")


if __name__ == "__main__":
    main()
