"""Smooth functions from their values: weighted trigonometric fits beside kernels and ridge.

Every method is told that the function has period 1, and tunes its parameters by GridSearchCV with
the same five folds on the same points: weight_exponent and alpha here, the widths of a kernel that
is a Gaussian on the circle (exp of a cosine) and its alpha for KernelRidge, the number of
frequencies and alpha for RidgeCV on cosines and sines. Folds of a grid are scattered points, so the
search itself runs on those. Errors are root mean squares over a fine grid, relative to the standard
deviation of the function. Functions: analytic exp(sin), a random series with coefficients
k^-1.5 (rough), and an absolute value (a kink). The last table takes one fit of given parameters.
Seconds are those of the processor.
"""

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_sparse_eig import WeightedFourierRegressor

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import make_parser, print_machine, print_table, progress, quiet

ALPHAS = np.geomspace(1e-8, 10.0, 10)
FINE = np.arange(4000)[:, None] / 4000


def circle(X):
    """Return points on the circle, so that a Gaussian kernel there has period 1."""
    angles = 2 * np.pi * X[:, 0]
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def waves(X, highest):
    """Return cosines and sines up to a frequency."""
    angles = 2 * np.pi * X * np.arange(1, highest + 1)
    return np.hstack([np.cos(angles), np.sin(angles)])


def methods(n):
    """Return the search of each method."""
    folds = KFold(5, shuffle=True, random_state=0)
    kernel = make_pipeline(FunctionTransformer(circle), KernelRidge(kernel="rbf"))
    ridge = make_pipeline(FunctionTransformer(waves), RidgeCV(ALPHAS))
    sizes = np.unique(np.geomspace(2, n // 2, 8).astype(int))
    return {
        "**WeightedFourierRegressor**": GridSearchCV(
            WeightedFourierRegressor(period=1.0),
            {"weight_exponent": [0.5, 1.0, 1.5, 2.0, 3.0], "alpha": ALPHAS},
            cv=folds,
        ),
        "KernelRidge, Gaussian on the circle": GridSearchCV(
            kernel,
            {"kernelridge__gamma": np.geomspace(0.1, 1000, 9), "kernelridge__alpha": ALPHAS},
            cv=folds,
        ),
        "RidgeCV on waves": GridSearchCV(
            ridge,
            {"functiontransformer__kw_args": [{"highest": size} for size in sizes]},
            cv=folds,
        ),
    }


def functions(rng):
    """Return functions of period 1 by name."""
    k = np.arange(1, 400)
    parts = rng.standard_normal((2, len(k))) * k**-1.5

    def rough(x):
        angles = 2 * np.pi * np.outer(x, k)
        return np.cos(angles) @ parts[0] + np.sin(angles) @ parts[1]

    return {
        "exp(sin)": lambda x: np.exp(np.sin(2 * np.pi * x)),
        "rough series": rough,
        "kink": lambda x: np.abs((x + 0.3) % 1.0 - 0.5),
    }


def run(n, kind, noise, seeds):
    """Return a table row for each method: errors on each function, and seconds."""
    errors, seconds = {}, {}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        x = (np.arange(n) / n if kind == "grid" else rng.random(n))[:, None]
        for name, f in functions(rng).items():
            size = f(FINE[:, 0]).std()
            y = f(x[:, 0]) + noise * size * rng.standard_normal(n)
            for method, search in methods(n).items():
                progress(f"{kind} {n} noise {noise} {name} {method}")
                start = time.process_time()
                search.fit(x, y)
                seconds.setdefault(method, []).append(time.process_time() - start)
                error = np.sqrt(np.mean((search.predict(FINE) - f(FINE[:, 0])) ** 2)) / size
                errors.setdefault((method, name), []).append(error)
    names = list(functions(np.random.default_rng(0)))
    return [
        [
            method,
            *(f"{np.median(errors[method, name]):.2g}" for name in names),
            f"{np.median(seconds[method]):.2f}",
        ]
        for method in seconds
    ]


def single_fits(quick):
    """Return rows: seconds and errors of one fit to a noisy rough series, at growing sizes."""
    rows, largest = [], 3000 if quick else 30_000
    for n in (300, 3000, 30_000):
        if n > largest:
            break
        rng = np.random.default_rng(0)
        f = functions(rng)["rough series"]
        for kind in ("grid", "scattered"):
            x = (np.arange(n) / n if kind == "grid" else rng.random(n))[:, None]
            values = np.concatenate([f(part) for part in np.array_split(x[:, 0], 1 + n // 10_000)])
            y = values + 0.3 * rng.standard_normal(n)
            fits = {
                "**WeightedFourierRegressor**": WeightedFourierRegressor(
                    period=1.0, alpha=1.0, weight_exponent=1.0
                ),
                "KernelRidge, Gaussian on the circle": make_pipeline(
                    FunctionTransformer(circle), KernelRidge(kernel="rbf", gamma=300, alpha=0.3)
                ),
                "RidgeCV on 200 waves": make_pipeline(
                    FunctionTransformer(waves, kw_args={"highest": 200}), RidgeCV([1e-3, 0.1, 10])
                ),
            }
            for method, model in fits.items():
                if "Kernel" in method and n > 3000:
                    continue  # a matrix of 7 GB and more
                progress(f"one fit: {kind} {n} {method}")
                start = time.process_time()
                predicted = model.fit(x, y).predict(FINE)
                seconds = time.process_time() - start
                error = np.sqrt(np.mean((predicted - f(FINE[:, 0])) ** 2)) / f(FINE[:, 0]).std()
                rows.append([method, kind, n, f"{error:.2g}", f"{seconds:.3f}"])
    return rows


def main():
    args = make_parser(__doc__).parse_args()
    quiet()
    seeds = range(1 if args.quick else args.repeats)
    print_machine()
    n = 40 if args.quick else 100
    names = list(functions(np.random.default_rng(0)))
    for kind in ("grid", "scattered"):
        for noise in (0.0, 0.3):
            print_table(
                ["method, searched", *(f"error, {name}" for name in names), "seconds, search"],
                run(n, kind, noise, seeds),
                f"{n} points, {kind}, noise {noise}; medians of {len(seeds)} seeds",
            )
    print_table(
        ["method, one fit", "points", "number", "error", "seconds"],
        single_fits(args.quick),
        "One fit and 4000 predictions, rough series, noise 0.3, parameters as given",
    )


if __name__ == "__main__":
    main()
