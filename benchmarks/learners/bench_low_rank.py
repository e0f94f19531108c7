"""Low rank in noise: what a rank found by stopping is worth, beside methods told more or less.

Denoising: a matrix of rank r with singular values of given decay, Gaussian entries as noise. "rank
known" is the truncated SVD with the true rank; the shrinkage is optimal for the Frobenius norm and
noise that is known, or estimated by the median singular value (Gavish and Donoho, IEEE Trans. Inf.
Theory 63, 2017). Completion: entries are missing; soft-impute (Mazumder, Hastie and Tibshirani,
JMLR 2010) has the best of twelve penalties on a tenth of the known entries, alternating least
squares the true rank. Tables: low rank with a mean of 3, with effects of rows and columns, these
alone, or rounded to ratings from 1 to 5, of which many entries are missing; errors are those of the
missing ones over their deviation, and soft-impute works on what row and column means leave.
Sensing: linear measurements of a 30 x 30 matrix of rank 3, beside least squares of least norm and
the lasso. Covariance: strong directions in unit noise, or a spectrum that decays
without a gap. With SPARSE_EIG_DATA, gene expression (golub) and genotypes (hapmap3), standardised:
"noise 1" is added to them, a tenth of their entries is held out, or a third of their rows for the
likelihood of covariances. There the best rank is found with the truth in sight.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.covariance import OAS, EmpiricalCovariance, LedoitWolf
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - the next import fails without
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.linear_model import LassoCV

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    LowRankRegressor,
)
from sklearn_sparse_eig.lowrank._greedy import complete_by_rank, refine_factors

sys.path.insert(0, str(Path(__file__).parents[1]))  # what benchmarks share

from _harness import data_path, make_parser, print_machine, print_table, progress, quiet
from _low_rank_peers import (
    best_rank,
    estimated_sigma,
    optimal_shrinkage,
    optimal_threshold,
    truncated_svd,
    validated_soft_impute,
)


def denoised(X):
    model = DeepMatrixFactorization().fit(X)
    return model.inverse_transform(model.transform(X)), model.n_components_


# ------------------------------------------------------------------------------------------- tasks


def low_rank(n, m, values, rng):
    left = np.linalg.qr(rng.standard_normal((n, len(values))))[0]
    right = np.linalg.qr(rng.standard_normal((m, len(values))))[0]
    return (left * values) @ right.T


def run_denoising(shape, values, rng, record):
    truth = low_rank(*shape, values, rng)
    sigma = 1.0 / (np.sqrt(shape[0]) + np.sqrt(shape[1]))  # spectral norm 1
    X = truth + sigma * rng.standard_normal(shape)
    rank = len(values)
    record("raw", lambda: (X, min(shape)), truth)
    record("**DeepMatrixFactorization**", lambda: denoised(X), truth)
    record("truncated SVD, rank known", lambda: (truncated_svd(X, rank), rank), truth)
    record("optimal threshold, noise unknown", lambda: optimal_threshold(X), truth)
    record("optimal shrinkage, noise known", lambda: optimal_shrinkage(X, sigma), truth)
    record(
        "optimal shrinkage, noise estimated",
        lambda: optimal_shrinkage(X, estimated_sigma(X)),
        truth,
    )


def run_completion(shape, values, noise, rng, record):
    truth = low_rank(*shape, values, rng)
    sigma = noise / (np.sqrt(shape[0]) + np.sqrt(shape[1]))
    X = truth + sigma * rng.standard_normal(shape)
    observed = rng.random(shape) < 0.5
    X[~observed] = np.nan
    filled, rank = np.where(observed, X, 0.0), len(values)

    def known_rank():
        factors = complete_by_rank(filled, observed, max_rank=rank).factors[-1]
        A, B, _ = refine_factors(factors, filled, observed)
        return A @ B.T, rank

    record("**DeepMatrixFactorization**", lambda: denoised(X), truth)
    record("alternating least squares, rank known", known_rank, truth)
    record(
        "soft-impute, validated penalty",
        lambda: validated_soft_impute(filled, observed, np.random.default_rng(0)),
        truth,
    )


def table(kind, shape, rng):
    """Return a table of low rank in noise, with what hides it."""
    n, m = shape
    low = rng.standard_normal((n, 3)) @ rng.standard_normal((3, m)) / np.sqrt(3)
    effects = 3.0 + rng.standard_normal((n, 1)) + rng.standard_normal(m)
    noise = rng.standard_normal(shape)
    if kind == "ratings":
        return np.clip(np.rint(effects + low + 0.8 * noise), 1.0, 5.0)
    parts = {"a mean of 3": 3.0 + low, "effects": effects + low, "effects alone": effects}
    return parts[kind] + 0.1 * noise


def row_and_column_means(X):
    with np.errstate(invalid="ignore"):
        return np.nanmean(X, axis=1, keepdims=True) + np.nanmean(X, axis=0) - np.nanmean(X)


def run_table(kind, shape, missing, rng, record):
    truth = table(kind, shape, rng)
    observed = rng.random(shape) > missing
    observed[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] = True
    observed[rng.integers(0, shape[0], shape[1]), np.arange(shape[1])] = True
    X, held = np.where(observed, truth, np.nan), ~observed
    centre = truth[held].mean()

    def by_imputer(imputer):
        return imputer.fit_transform(X) - centre, ""

    def of_means():
        means = row_and_column_means(X)
        left = np.where(observed, X - means, 0.0)
        Z, rank = validated_soft_impute(left, observed, np.random.default_rng(0))
        return Z + means - centre, rank

    def deep(**options):
        model = DeepMatrixFactorization(random_state=0, **options).fit(X)
        Z = model.inverse_transform(model.transform(X))
        return Z - centre, model.n_components_

    truth = truth - centre
    record("row and column means", lambda: (row_and_column_means(X) - centre, ""), truth, held)
    record("**DeepMatrixFactorization**", deep, truth, held)
    record('the same, stopping="plateau"', lambda: deep(stopping="plateau"), truth, held)
    record("soft-impute, validated penalty", of_means, truth, held)
    record("IterativeImputer", lambda: by_imputer(IterativeImputer(random_state=0)), truth, held)
    record("KNNImputer", lambda: by_imputer(KNNImputer()), truth, held)


def run_sensing(times, noise, rng, record):
    truth = rng.standard_normal((30, 3)) @ rng.standard_normal((3, 30))
    A = rng.standard_normal((int(times * 171), 900))
    y = A @ truth.ravel()
    y += noise * y.std() * rng.standard_normal(len(y))

    def deep(**options):
        model = LowRankRegressor((30, 30), random_state=0, **options).fit(A, y)
        return model.coef_, model.rank_

    record("**LowRankRegressor**", deep, truth)
    record("**LowRankRegressor**, rank known", lambda: deep(rank=3), truth)
    record("least norm", lambda: ((np.linalg.pinv(A) @ y).reshape(30, 30), ""), truth)
    record("LassoCV", lambda: (LassoCV().fit(A, y).coef_.reshape(30, 30), ""), truth)


def run_covariance(n, eigenvalues, rng, record):
    p = len(eigenvalues)
    basis = np.linalg.qr(rng.standard_normal((p, p)))[0]
    truth = (basis * eigenvalues) @ basis.T
    X = rng.standard_normal((n, p)) * np.sqrt(eigenvalues) @ basis.T
    for name, estimator in (
        ("EmpiricalCovariance", EmpiricalCovariance()),
        ("**DeepFactorizationCovariance**", DeepFactorizationCovariance()),
        ("LedoitWolf", LedoitWolf()),
        ("OAS", OAS()),
    ):

        def fitted(estimator=estimator):
            estimator.fit(X)
            return estimator.covariance_, getattr(estimator, "n_components_", "")

        record(name, fitted, truth)


def golub(n_features):
    """Return log intensities of the most variable genes, 72 rows."""
    with np.load(data_path("gene_expression", "golub.npz"), allow_pickle=False) as arrays:
        X = np.log(np.clip(arrays["X"].astype(np.float64), 100, 16000))
    X = X[:, np.argsort(-X.var(axis=0))[:n_features]]
    return (X - X.mean(axis=0)) / X.std(axis=0)


def hapmap(n_samples, n_features):
    """Return every so many of the genotypes; the few that are missing count as the mean."""
    with np.load(data_path("genotypes", "hapmap3.npz"), allow_pickle=False) as arrays:
        X = arrays["X"]
    X = X[:: len(X) // n_samples, :: X.shape[1] // n_features].astype(np.float64)
    X[X < 0] = np.nan
    X -= np.nanmean(X, axis=0)
    X = np.nan_to_num(X[:, np.nanstd(X, axis=0) > 0.1])
    return X / X.std(axis=0)


def run_real_denoising(load, rng, record):
    truth = load()
    X = truth + rng.standard_normal(truth.shape)

    def error(Z):
        return np.linalg.norm(Z - truth)

    record("raw", lambda: (X, min(X.shape)), truth)
    record("**DeepMatrixFactorization**", lambda: denoised(X), truth)
    record("truncated SVD, best rank", lambda: best_rank(X, error), truth)
    record("optimal threshold, noise unknown", lambda: optimal_threshold(X), truth)
    record("optimal shrinkage, noise known", lambda: optimal_shrinkage(X, 1.0), truth)
    record(
        "optimal shrinkage, noise estimated",
        lambda: optimal_shrinkage(X, estimated_sigma(X)),
        truth,
    )


def run_real_completion(load, rng, record):
    truth = load()
    observed = rng.random(truth.shape) < 0.9
    X, filled = np.where(observed, truth, np.nan), np.where(observed, truth, 0.0)

    def path(rank):
        factors = complete_by_rank(filled, observed, max_rank=rank).factors
        return [A @ B.T for A, B in factors]

    def known():
        errors = [np.linalg.norm((Z - truth)[~observed]) for Z in path(10)]
        return path(10)[int(np.argmin(errors))], int(np.argmin(errors)) + 1

    held = ~observed
    record("mean", lambda: (np.zeros_like(truth), 0), truth, held)
    record("**DeepMatrixFactorization**", lambda: denoised(X), truth, held)
    record("alternating least squares, best rank", known, truth, held)
    record(
        "soft-impute, validated penalty",
        lambda: validated_soft_impute(filled, observed, np.random.default_rng(0)),
        truth,
        held,
    )


def likelihoods(load, seeds):
    """Return rows: the log-likelihood of a third of the rows for each estimate, per feature."""
    X, rows = load(), []
    for name, estimator in (
        ("**DeepFactorizationCovariance**", DeepFactorizationCovariance()),
        ("LedoitWolf", LedoitWolf()),
        ("OAS", OAS()),
    ):
        scores, ranks = [], []
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(len(X))
            test, train = order[: len(X) // 3], order[len(X) // 3 :]
            estimator.fit(X[train])
            scores.append(estimator.score(X[test]) / X.shape[1])
            ranks.append(str(getattr(estimator, "n_components_", "")))
        cells = [f"{np.median(scores):.3f}", f"{min(scores):.3f}", ", ".join(dict.fromkeys(ranks))]
        rows.append([name, *cells])
    return rows


def real_data(quick):
    """Return (title, function that loads it) for the data of SPARSE_EIG_DATA."""
    if not os.environ.get("SPARSE_EIG_DATA"):
        progress("SPARSE_EIG_DATA is not set: no tables of real data.")
        return []
    few = 100 if quick else 1000
    return [
        (f"golub, 72 x {few}", lambda: golub(few)),
        (f"hapmap3, every third of 957 people, {few} SNPs", lambda: hapmap(319, few)),
    ]


def tasks(quick):
    """Return (title, function of rng and record) for each table."""
    n, m, p = (60, 40, 50) if quick else (400, 250, 200)
    gap, weak = (10.0, 7.0, 5.0), (10.0, 5.0, 2.5, 1.5)
    decay = 4.0 * 0.8 ** np.arange(min(n, m))
    spiked = np.r_[20.0, 12.0, 8.0, np.ones(p - 3)]
    smooth = 20.0 * (1.0 + np.arange(p)) ** -1.0
    shape = (n, m)

    def denoising(values):
        return lambda rng, record: run_denoising(shape, values, rng, record)

    def completion(noise):
        return lambda rng, record: run_completion((n // 2, m // 2), gap, noise, rng, record)

    def covariance(rows, eigenvalues):
        return lambda rng, record: run_covariance(rows, eigenvalues, rng, record)

    def holes(kind, missing):
        size = (n // 2, m // 4)
        return lambda rng, record: run_table(kind, size, missing, rng, record)

    tables = [
        (f"Table of {n // 2} x {m // 4}, {kind}, {share} missing", holes(kind, missing))
        for kind in ("a mean of 3", "effects", "effects alone", "ratings")
        for share, missing in (("40 %", 0.4), ("90 %", 0.9))
    ]

    def sensing(times, noise):
        return lambda rng, record: run_sensing(times, noise, rng, record)

    tables += [
        (
            f"Sensing, 30 x 30 of rank 3, {times} times the freedom, noise {noise}",
            sensing(times, noise),
        )
        for times, noise in ((2, 0.0), (3, 0.0), (3, 0.05), (3, 0.5))
    ]
    real = []
    for title, load in real_data(quick):
        real += [
            (
                f"{title}, noise 1",
                lambda rng, record, load=load: run_real_denoising(load, rng, record),
            ),
            (
                f"{title}, a tenth of the entries held out",
                lambda rng, record, load=load: run_real_completion(load, rng, record),
            ),
        ]
    return [
        (f"Denoising, {n} x {m}, singular values 10, 7, 5, noise 1", denoising(gap)),
        (f"Denoising, {n} x {m}, 10, 5, 2.5, 1.5: the last near the noise", denoising(weak)),
        (f"Denoising, {n} x {m}, 4 x 0.8^i: no gap", denoising(decay)),
        (f"Completion, {n // 2} x {m // 2}, half missing, no noise", completion(0.0)),
        (f"Completion, {n // 2} x {m // 2}, half missing, noise 1", completion(1.0)),
        *tables,
        (f"Covariance, {2 * p} rows, {p} features, spikes 20, 12, 8", covariance(2 * p, spiked)),
        (f"Covariance, {p // 2} rows, {p} features, the same", covariance(p // 2, spiked)),
        (f"Covariance, {2 * p} rows, {p} features, 20 / i: no gap", covariance(2 * p, smooth)),
        *real,
    ]


def main():
    args = make_parser(__doc__, repeats=5).parse_args()
    quiet()
    seeds = range(1 if args.quick else args.repeats)
    print_machine()
    for title, task in tasks(args.quick):
        progress(title)
        results = {}

        def record(method, compute, truth, where=None, results=results):
            start = time.perf_counter()
            found, rank = compute()
            seconds = time.perf_counter() - start
            where = np.ones(truth.shape, bool) if where is None else where
            error = np.linalg.norm((found - truth)[where]) / np.linalg.norm(truth[where])
            results.setdefault(method, []).append((error, rank, seconds))

        for seed in seeds:
            task(np.random.default_rng(seed), record)
        rows = [
            [
                method,
                f"{np.median([error for error, _, _ in runs]):.2g}",
                f"{max(error for error, _, _ in runs):.2g}",
                ", ".join(dict.fromkeys(str(rank) for _, rank, _ in runs)),
                f"{np.median([seconds for _, _, seconds in runs]):.3f}",
            ]
            for method, runs in results.items()
        ]
        print_table(
            ["method", "relative error", "worst seed", "ranks", "seconds"],
            rows,
            f"{title}; medians of {len(seeds)} seeds",
        )
    for title, load in real_data(args.quick):
        progress(f"likelihoods: {title}")
        print_table(
            ["estimate", "log-likelihood per feature", "worst split", "ranks"],
            likelihoods(load, seeds),
            f"{title}: covariance of two thirds of the rows, likelihood of the others",
        )


if __name__ == "__main__":
    main()
