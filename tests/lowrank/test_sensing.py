"""Matrix sensing: low-rank matrices from linear measurements, and the run of literal descent."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import aslinearoperator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score

from sklearn_sparse_eig import LowRankRegressor
from sklearn_sparse_eig.lowrank._descent import descend_by, product, random_factors
from sklearn_sparse_eig.lowrank._gauss_newton import balanced, fit_factors
from sklearn_sparse_eig.lowrank._measurements import Measurements
from sklearn_sparse_eig.lowrank._regressor import shape_of


def problem(n=30, m=30, rank=3, times=3.0, noise=0.0, seed=0):
    """Return a matrix, Gaussian measurements of so many times its freedom, and what they give."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, m))
    A = rng.normal(size=(int(times * rank * (n + m - rank)), n * m))
    y = A @ W.ravel()
    return W, A, y + noise * y.std() * rng.normal(size=len(y))


def relative(found, truth):
    return np.linalg.norm(found - truth) / np.linalg.norm(truth)


# ------------------------------------------------------------------------------------ what is found


@pytest.mark.parametrize("times", [1.5, 2.0, 3.0])
def test_exact_measurements_give_the_matrix(times):
    for seed in range(3):
        W, A, y = problem(times=times, seed=seed)
        model = LowRankRegressor((30, 30), rank=3).fit(A, y)
        assert relative(model.coef_, W) < 1e-6 and model.rank_ == 3


def test_the_rank_is_found_by_measurements_held_out():
    for noise, error in ((0.0, 1e-6), (0.05, 0.06)):
        W, A, y = problem(20, 15, 2, noise=noise)
        model = LowRankRegressor((20, 15), random_state=0).fit(A, y + 3.0)
        assert model.rank_ == 2 and relative(model.coef_, W) < error
        assert abs(model.intercept_ - 3.0) < 1e-6 + noise * y.std()


def test_noise_alone_is_a_constant():
    _, A, y = problem(12, 10, 1, times=6.0)
    noise = np.random.default_rng(1).normal(size=len(y)) + 5.0
    model = LowRankRegressor((12, 10), random_state=0).fit(A, noise)
    assert model.rank_ == 0 and not model.coef_.any()
    np.testing.assert_allclose(model.predict(A), noise.mean())


def test_a_ridge_is_chosen_in_noise():
    """Shrunken, it is nearer than with the rank alone."""
    W, A, y = problem(20, 20, 3, times=2.0, noise=0.5)
    chosen = LowRankRegressor((20, 20), random_state=0).fit(A, y)
    told = LowRankRegressor((20, 20), rank=3).fit(A, y)
    assert relative(chosen.coef_, W) < relative(told.coef_, W)


def test_arrays_sparse_matrices_and_operators_agree():
    _, A, y = problem(10, 12, 2)
    A[np.abs(A) < 1.0] = 0.0
    y = y + 0.1 * np.random.default_rng(0).normal(size=len(y))
    fits = [
        LowRankRegressor((10, 12), random_state=0).fit(X, y)
        for X in (A, sp.csr_array(A), aslinearoperator(A))
    ]
    for model, X in zip(fits, (A, sp.csr_array(A), aslinearoperator(A)), strict=True):
        np.testing.assert_allclose(model.coef_, fits[0].coef_, atol=1e-6)
        np.testing.assert_allclose(model.predict(X), fits[0].predict(A), atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([1e-8, 1e8]))
def test_a_multiple_of_y_gives_the_multiple(seed, factor):
    W, A, y = problem(8, 7, 1, seed=seed)
    one = LowRankRegressor((8, 7), rank=1).fit(A, y)
    other = LowRankRegressor((8, 7), rank=1).fit(A, factor * y)
    np.testing.assert_allclose(other.coef_, factor * one.coef_, atol=1e-8 * factor * abs(W).max())


def test_in_a_grid_search():
    _, A, y = problem(12, 10, 2, times=4.0, noise=0.1)
    search = GridSearchCV(LowRankRegressor((12, 10)), {"rank": [1, 2, 4]}, cv=3).fit(A, y)
    assert search.best_params_["rank"] == 2
    assert cross_val_score(LowRankRegressor((12, 10), random_state=0), A, y, cv=3).min() > 0.9


# ----------------------------------------------------------------------------------- certificates


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.booleans(), st.booleans())
def test_the_adjoint_is_the_adjoint(seed, center, some):
    rng = np.random.default_rng(seed)
    A, shown = rng.normal(size=(9, 12)), rng.random(9) < 0.7
    shown[0] = True
    M = Measurements(A, (3, 4), shown if some else None, center)
    X, z = rng.normal(size=(3, 4)), rng.normal(size=9)
    np.testing.assert_allclose(M.forward(X) @ z, np.vdot(X, M.adjoint(z)), atol=1e-10)
    # Centred measurements are those of the rows that count, less their mean.
    rows = A[shown] if some else A
    wanted = rows @ X.ravel()
    wanted = wanted - wanted.mean() if center else wanted
    np.testing.assert_allclose(M.forward(X)[shown if some else slice(None)], wanted, atol=1e-10)
    literal = np.array([M.forward(E.reshape(3, 4)) for E in np.eye(12)]).T
    np.testing.assert_allclose(M.largest_square(), np.linalg.norm(literal, 2) ** 2, rtol=0.05)


@pytest.mark.parametrize("ridge", [0.0, 2.0])
def test_a_fit_is_stationary(ridge):
    _, A, y = problem(10, 8, 2, times=2.0, noise=0.3)
    M, rng = Measurements(A, (10, 8)), np.random.default_rng(0)
    start = rng.normal(size=(10, 2)), rng.normal(size=(8, 2))
    (U, V), _, converged = fit_factors(M, y, start, ridge=ridge, max_iter=1000, tol=1e-14)
    G = M.adjoint(M.forward(U @ V.T) - y)
    for gradient in (G @ V + ridge * U, G.T @ U + ridge * V):
        assert np.abs(gradient).max() < 1e-5 * np.abs(M.adjoint(y)).max()
    assert converged


def test_balanced_factors_have_the_least_norm():
    rng = np.random.default_rng(0)
    U, V = rng.normal(size=(7, 3)), 5.0 * rng.normal(size=(6, 3))
    P, Q = balanced(U, V)
    np.testing.assert_allclose(P @ Q.T, U @ V.T, atol=1e-12)
    nuclear = np.linalg.norm(U @ V.T, "nuc")
    np.testing.assert_allclose([np.vdot(P, P), np.vdot(Q, Q)], [nuclear, nuclear])


# ---------------------------------------------------------------------------------- literal descent


def test_descent_follows_the_gradient_of_the_measurements():
    _, A, y = problem(5, 4, 1)
    M = Measurements(A, (5, 4))
    factors = random_factors((5, 4), 3, 0.5, np.random.default_rng(0))

    def loss(factors):
        return 0.5 * np.sum((M.forward(product(factors)) - y) ** 2)

    step = 1e-7
    after = descend_by(lambda X: M.adjoint(M.forward(X) - y), factors, 1, step)
    moves = [(a - b) / step for a, b in zip(factors, after, strict=True)]
    for j, move in enumerate(moves):
        direction = np.random.default_rng(j).normal(size=move.shape)
        shifted = [
            [w + sign * 1e-6 * direction if i == j else w for i, w in enumerate(factors)]
            for sign in (1, -1)
        ]
        slope = (loss(shifted[0]) - loss(shifted[1])) / 2e-6
        np.testing.assert_allclose(np.vdot(move, direction), slope, rtol=1e-5)


def test_descent_learns_one_rank_after_the_other():
    """From a small random start the effective rank dwells where one and two values are known."""
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.normal(size=(n, 3)))[0] for n in (12, 10))
    W = (left * [1.0, 0.4, 0.15]) @ right.T
    A = rng.normal(size=(300, 120)) / np.sqrt(300)
    options = {"solver": "gd", "init_scale": 0.02, "tol": 2e-3, "fit_intercept": False}
    model = LowRankRegressor((12, 10), random_state=0, **options).fit(A, A @ W.ravel())
    assert relative(model.coef_, W) < 5e-3
    np.testing.assert_allclose(model.effective_rank_, 1.55, atol=0.01)
    steps, ranks = model.effective_ranks_.T
    assert steps[-1] == model.n_iter_ and ranks[0] > 3.0
    # Far longer at 1 and at 1 + 0.4 than on the way from one to the other.
    share = {
        level: np.ptp(np.log1p(steps[np.abs(ranks - level) < 0.02])) for level in (1.0, 1.2, 1.4)
    }
    assert share[1.0] > 0.5 and share[1.4] > 0.5 and share[1.2] < 0.1


def test_short_and_unstable_runs_are_said():
    _, A, y = problem(5, 4, 1)
    with pytest.warns(ConvergenceWarning, match="max_iter=20 steps did not suffice"):
        LowRankRegressor((5, 4), solver="gd", max_iter=20, random_state=0).fit(A, y)
    with pytest.raises(ValueError, match="learning_rate=10 is not stable"):
        LowRankRegressor((5, 4), solver="gd", learning_rate=10.0, init_scale=1.0).fit(A, y)


# ---------------------------------------------------------------------------------- what is refused


def test_shapes():
    assert shape_of(None, 12) == (3, 4) and shape_of(None, 7) == (1, 7)
    assert shape_of([2, 6], 12) == (2, 6)
    for wrong in ((2,), (2, -6), (2.5, 4.8)):
        with pytest.raises(ValueError, match="two positive integers"):
            shape_of(wrong, 12)
    with pytest.raises(ValueError, match="20 entries, but X has 12 features"):
        shape_of((4, 5), 12)


def test_ranks_that_cannot_be_told():
    _, A, y = problem(5, 4, 1)
    with pytest.raises(ValueError, match=r"rank=5 exceeds min\(shape\)"):
        LowRankRegressor((5, 4), rank=5).fit(A, y)
    with pytest.warns(UserWarning, match="degrees of freedom, and there are 9 measurements"):
        LowRankRegressor((5, 4), rank=2, tol=1e-2).fit(A[:9], y[:9])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LowRankRegressor((5, 4), rank=1).fit(A, y)
    with pytest.raises(ValueError, match="but y has shape"):
        LowRankRegressor((5, 4), rank=1).fit(aslinearoperator(A), y[:3])


@pytest.mark.parametrize("solver", ["auto", "gd"])
def test_values_whose_squares_vanish_are_refused(solver):
    """Coefficients of 1e-200 were returned as zeros."""
    X = np.random.default_rng(0).normal(size=(30, 6))
    model = LowRankRegressor((2, 3), solver=solver)
    for rows, y in ((X, 1e-200 * X[:, 0]), (1e-200 * X, X[:, 0])):
        with pytest.raises(ValueError, match="squares vanish"):
            model.fit(rows, y)
    with pytest.raises(ValueError, match="squares vanish"):
        model.fit(aslinearoperator(X), 1e-200 * X[:, 0])
    fitted = LowRankRegressor((2, 3)).fit(X, 1e-60 * X[:, 0])
    np.testing.assert_allclose(fitted.coef_.ravel(), [1e-60, 0, 0, 0, 0, 0], atol=1e-68)
