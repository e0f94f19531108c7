"""Regression problems with noise, real and made, and who is asked to predict."""

import os
from importlib.util import find_spec

import numpy as np
from _harness import data_path
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LassoCV, RidgeCV
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sklearn_sparse_eig import DiagonalNetworkRegressor

_PENALTIES = np.geomspace(1e-2, 1e6, 25)


def _correlated(n, N, rng, correlation=0.9):
    """Return rows whose neighbouring features are correlated."""
    X = rng.standard_normal((n, N))
    for j in range(1, N):
        X[:, j] = correlation * X[:, j - 1] + np.sqrt(1 - correlation**2) * X[:, j]
    return X


def _blocks(n, N, rng, size=10):
    """Return rows whose features come in blocks, correlated by a half."""
    return rng.standard_normal((n, N)) + np.repeat(rng.standard_normal((n, N // size)), size, 1)


def _independent(n, N, rng):
    return rng.standard_normal((n, N))


def _with_target(X, k, share, rng):
    """Return a target with k features of deviation 1 and random sign, and a share of noise."""
    w, sizes = np.zeros(X.shape[1]), X.std(axis=0)
    ids = rng.choice(np.flatnonzero(sizes > 0), k, replace=False)
    w[ids] = rng.choice([-1.0, 1.0], k) * (0.5 + rng.random(k)) / sizes[ids]
    signal = X @ w
    return signal + np.sqrt(share / (1 - share)) * signal.std() * rng.standard_normal(len(X)), w


def _real():
    """Return real matrices by name; y is None where a target has to be made."""
    X, y = load_diabetes(return_X_y=True)
    squares = PolynomialFeatures(2, include_bias=False).fit_transform(X)
    found = {"diabetes": (X, y), "diabetes, degree 2": (squares, y)}
    if not os.environ.get("SPARSE_EIG_DATA"):
        return found
    with np.load(data_path("riboflavin", "riboflavin.npz"), allow_pickle=False) as arrays:
        found["riboflavin"] = arrays["X"].astype(np.float64), arrays["y"]
    for name in ("golub", "khan", "alon"):
        with np.load(data_path("gene_expression", f"{name}.npz"), allow_pickle=False) as arrays:
            X = arrays["X"].astype(np.float64)
        if name != "khan":  # raw intensities
            X = np.log(np.maximum(X, 100.0))
        found[f"{name}, made target"] = X, None
    with np.load(data_path("genotypes", "hapmap3.npz"), allow_pickle=False) as arrays:
        X = arrays["X"][::3, ::7].astype(np.float64)
    X[X < 0] = np.nan
    X = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
    found["hapmap3, made target"] = X[:, X.std(axis=0) > 0], None
    return found


class _CelerCV(RegressorMixin, BaseEstimator):
    """What `LassoCV(cv=5)` does, by celer, whose own class does not fit all of scikit-learn."""

    def fit(self, X, y):
        correlation = np.abs((X - X.mean(axis=0)).T @ (y - y.mean())).max() / len(y)
        alphas = np.geomspace(correlation, 1e-3 * correlation, 100)
        errors = np.zeros(len(alphas))
        for train, test in KFold(5).split(X):
            coefs, intercepts = self._path(X[train], y[train], alphas)
            errors += ((y[test, None] - X[test] @ coefs - intercepts) ** 2).sum(axis=0)
        coefs, intercepts = self._path(X, y, alphas[: errors.argmin() + 1])
        self.coef_, self.intercept_ = coefs[:, -1], intercepts[-1]
        return self

    def predict(self, X):
        return X @ self.coef_ + self.intercept_

    @staticmethod
    def _path(X, y, alphas):
        from celer import celer_path

        mean, middle = X.mean(axis=0), y.mean()
        centred = np.asfortranarray(X - mean)
        coefs = celer_path(centred, y - middle, "lasso", alphas=alphas, tol=1e-4)[1]
        return coefs, middle - mean @ coefs


def problems(seed, names=""):
    """Yield name, X, y, and the coefficients of a made target or None."""
    rng = np.random.default_rng(seed)
    made = (
        ("Gaussian, n > p", _independent, 300, 50, 8),
        ("Gaussian, n > p, dense", _independent, 300, 50, 50),
        ("Gaussian, p > n", _independent, 100, 400, 8),
        ("neighbours correlated .9", _correlated, 100, 400, 8),
        ("blocks correlated .5", _blocks, 100, 400, 8),
    )
    for name, make, n, N, k in made:
        X = make(n, N, rng)
        y, w = _with_target(X, k, 0.3, rng)
        if names in name:
            yield name, X, y, w
    for name, (X, y) in _real().items():
        w = None
        if y is None:
            y, w = _with_target(X, 8, 0.3, rng)
        if names in name:
            yield name, X, y, w


def fast_predictors():
    """Return the network, and what `LassoCV` does by the fastest solver, on columns as they are."""
    return {
        "**diagonal network**": DiagonalNetworkRegressor(),
        "celer": _CelerCV(),
        "celer, standardised": make_pipeline(StandardScaler(), _CelerCV()),
    }


def predictors():
    """Return estimators by name."""
    found = {
        "**diagonal network**": DiagonalNetworkRegressor(),
        "LassoCV": LassoCV(cv=5),
        "LassoCV, standardised": make_pipeline(StandardScaler(), LassoCV(cv=5)),
        "RidgeCV, standardised": make_pipeline(StandardScaler(), RidgeCV(_PENALTIES)),
    }
    if find_spec("celer"):
        found["celer, standardised"] = make_pipeline(StandardScaler(), _CelerCV())
    return found
