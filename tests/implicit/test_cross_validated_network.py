"""The default of the diagonal network: time by cross-validation, an intercept, units that do not
matter, and exact equations solved exactly."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LassoCV, LinearRegression
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sparse_eig import DiagonalNetworkRegressor


def problem(n=60, N=150, k=4, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    X, w = rng.standard_normal((n, N)), np.zeros(N)
    w[rng.permutation(N)[:k]] = rng.choice([-1.0, 1.0], k) * (1 + rng.random(k))
    return X, X @ w + noise * rng.standard_normal(n), w


@pytest.mark.parametrize("offset", [0.0, 5.0])
def test_exact_equations_are_solved_exactly(offset):
    X, y, w = problem()
    model = DiagonalNetworkRegressor().fit(X + 3.0, y + offset)
    np.testing.assert_allclose(model.coef_, w, atol=1e-12)
    np.testing.assert_array_equal(model.support_, w != 0)
    assert model.intercept_ == pytest.approx(offset - 3.0 * w.sum(), abs=1e-10)
    assert model.stopping_time_ == np.inf
    assert model.interpolation_residual_ < 1e-12


def test_more_rows_than_features():
    X, y, w = problem(200, 10, 4)
    np.testing.assert_allclose(DiagonalNetworkRegressor().fit(X, y).coef_, w, atol=1e-10)
    # Noise: the equations have no solution, and are fitted about as well as they can be.
    rng = np.random.default_rng(1)
    noisy = y + 0.5 * rng.standard_normal(200)
    model = DiagonalNetworkRegressor().fit(X, noisy)
    best = LinearRegression().fit(X, noisy)
    assert model.score(X, noisy) > best.score(X, noisy) - 0.01
    assert np.abs(model.coef_ - w).max() < 0.2


def test_coefficients_outside_the_support_are_zero():
    X, y, w = problem(noise=0.5)
    model = DiagonalNetworkRegressor().fit(X, y)
    np.testing.assert_array_equal(model.coef_ != 0, model.support_)
    assert model.support_[w != 0].all() and model.support_.sum() < 40
    assert np.linalg.norm(model.coef_ - w) < 0.4 * np.linalg.norm(w)
    assert 1 < model.stopping_time_ < 1e4


def test_units_and_offsets_do_not_matter():
    X, y, _ = problem(noise=0.5)
    first = DiagonalNetworkRegressor().fit(X, y)
    units = np.geomspace(1e-3, 1e3, X.shape[1])
    second = DiagonalNetworkRegressor().fit(X * units + 7.0, 1e6 * y - 3.0)
    assert second.stopping_time_ == first.stopping_time_
    np.testing.assert_allclose(second.coef_ * units, 1e6 * first.coef_, atol=1e-3)
    expected = 1e6 * first.intercept_ - 3.0 - 7.0 * second.coef_.sum()
    assert second.intercept_ == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_fits_scale_with_the_targets(noise):
    X, y, _ = problem(40, 80, 3, noise=noise)
    first = DiagonalNetworkRegressor().fit(X, y)
    for c in (1e-12, 1e12):
        scaled = DiagonalNetworkRegressor().fit(X, c * y)
        size = np.abs(first.coef_).max()
        np.testing.assert_allclose(scaled.coef_ / c, first.coef_, atol=1e-9 * size)
        np.testing.assert_array_equal(scaled.support_, first.support_)


def test_nothing_to_predict_with():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 30))
    for y in (np.zeros(40), np.full(40, 4.0), np.full(40, 3)):
        model = DiagonalNetworkRegressor().fit(X, y)
        assert not model.coef_.any() and model.intercept_ == y[0]
        assert model.stopping_time_ == 0
    constant = DiagonalNetworkRegressor().fit(np.ones((20, 3)), np.arange(20.0))
    assert not constant.coef_.any() and constant.intercept_ == 9.5
    mixed = np.column_stack([X[:, 0], np.full(40, 1e6), X[:, 1]])
    with_constant = DiagonalNetworkRegressor().fit(mixed, 2 * X[:, 0] + 1)
    np.testing.assert_allclose(with_constant.coef_, [2, 0, 0], atol=1e-10)
    assert with_constant.intercept_ == pytest.approx(1.0)


def test_integers_and_few_rows():
    X, y, _ = problem(noise=0.2)
    model = DiagonalNetworkRegressor().fit(X, np.round(5 * y).astype(int))
    assert model.score(X, np.round(5 * y)) > 0.9
    for n in (1, 2, 3):
        assert np.isfinite(DiagonalNetworkRegressor().fit(X[:n], y[:n]).predict(X)).all()


def test_kinds_of_matrices_and_targets_agree():
    X, y, _ = problem(40, 60, 3, noise=0.3)
    X[np.abs(X) < 1.0] = 0.0
    Y = np.column_stack([y, -2 * y, 0 * y + 1])
    whole = DiagonalNetworkRegressor().fit(X, Y)
    assert whole.coef_.shape == whole.support_.shape == (3, 60)
    assert whole.stopping_time_.shape == whole.init_scale_.shape == (3,)
    np.testing.assert_allclose(whole.coef_[1], -2 * whole.coef_[0], atol=1e-10)
    alone = DiagonalNetworkRegressor().fit(X, y)
    np.testing.assert_allclose(whole.coef_[0], alone.coef_, atol=1e-10)
    for options in ({}, {"fit_intercept": False}):
        dense = DiagonalNetworkRegressor(**options).fit(X, y)
        sparse = DiagonalNetworkRegressor(**options).fit(sp.csr_array(X), y)
        np.testing.assert_allclose(sparse.coef_, dense.coef_, atol=1e-5)


def test_joint_targets_and_groups():
    rng = np.random.default_rng(0)
    X, W = rng.standard_normal((60, 80)), np.zeros((80, 3))
    W[[3, 40, 70]] = rng.standard_normal((3, 3))
    Y = X @ W + 0.5 * rng.standard_normal((60, 3)) + [1, 2, 3]
    joint = DiagonalNetworkRegressor(joint=True).fit(X, Y)
    assert joint.support_[:, [3, 40, 70]].all()
    np.testing.assert_array_equal(joint.support_[0], joint.support_[1])
    assert np.linalg.norm(joint.coef_.T - W) < 0.5 * np.linalg.norm(W)
    labels = np.arange(80) // 2
    paired = DiagonalNetworkRegressor(groups=labels).fit(X, X[:, 6] - X[:, 7])
    np.testing.assert_array_equal(np.flatnonzero(paired.support_), [6, 7])


def test_options_that_imply_a_solver():
    X, y, _ = problem(40, 60, 3, noise=0.3)
    stopped = DiagonalNetworkRegressor(stopping="discrepancy", noise_level=0.3, tol=1e-6)
    mirror = DiagonalNetworkRegressor(
        stopping="discrepancy", noise_level=0.3, tol=1e-6, solver="mirror"
    )
    np.testing.assert_array_equal(stopped.fit(X, y).coef_, mirror.fit(X, y).coef_)
    X, y, w = problem()
    for options, A in (({"weight_normalization": True}, X), ({}, aslinearoperator(X))):
        np.testing.assert_allclose(
            DiagonalNetworkRegressor(**options).fit(A, y + 2).coef_, w, atol=1e-3
        )


def test_as_good_as_the_lasso_on_data():
    X, y = load_diabetes(return_X_y=True)
    folds = KFold(4, shuffle=True, random_state=0)
    score = cross_val_score(DiagonalNetworkRegressor(), X, y, cv=folds).mean()
    lasso = cross_val_score(make_pipeline(StandardScaler(), LassoCV()), X, y, cv=folds).mean()
    assert score > lasso - 0.02
    assert DiagonalNetworkRegressor().fit(X, y).support_.sum() <= 9
