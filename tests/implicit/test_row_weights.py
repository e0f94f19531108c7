"""Rows that count twice are rows that occur twice, in every training; folds know no order."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator

from sklearn_sparse_eig import DiagonalNetworkRegressor
from sklearn_sparse_eig.implicit._folds import fold_numbers
from sklearn_sparse_eig.implicit._potential import Potential


def noisy(n=40, N=30, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, N))
    X[np.abs(X) < 0.7] = 0.0
    y = X[:, 3] - 2 * X[:, 7] + 0.5 * rng.standard_normal(n) + 3.0
    return X, y, rng.integers(0, 4, n)


TRAININGS = {
    "auto": {},
    "auto without intercept": {"fit_intercept": False},
    "mirror": {"solver": "mirror", "stopping": "discrepancy", "noise_level": 0.5, "tol": 1e-6},
    "explicit": {"solver": "mirror", "learning_rate": 1e-4, "max_iter": 50, "init_scale": 0.5},
    "descent": {"solver": "gd", "learning_rate": 1e-2, "max_iter": 50, "init_scale": 0.5},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", TRAININGS)
def test_a_weight_of_two_is_the_row_twice(name):
    X, y, counts = noisy()
    model = DiagonalNetworkRegressor(**TRAININGS[name])
    weighted = model.fit(X, y, counts)
    coef, intercept = weighted.coef_, weighted.intercept_
    again = np.random.default_rng(1).permutation(np.repeat(np.arange(len(y)), counts))
    repeated = model.fit(X[again], y[again])
    np.testing.assert_allclose(repeated.coef_, coef, atol=1e-6)
    assert repeated.intercept_ == pytest.approx(intercept, abs=1e-6)
    assert coef.any()
    assert not np.allclose(model.fit(X, y).coef_, coef, atol=1e-3)


def test_only_ratios_of_weights_matter_by_default():
    X, y, counts = noisy()
    first = DiagonalNetworkRegressor().fit(X, y, counts)
    for scaled in (1e-9 * counts, 1e9 * counts):
        again = DiagonalNetworkRegressor().fit(X, y, scaled)
        np.testing.assert_allclose(again.coef_, first.coef_, atol=1e-8)
    plain = DiagonalNetworkRegressor().fit(X, y)
    equal = DiagonalNetworkRegressor().fit(X, y, np.full(len(y), 7.0))
    np.testing.assert_allclose(equal.coef_, plain.coef_, atol=1e-8)


def test_weights_of_sparse_rows():
    X, y, counts = noisy()
    for options in ({}, {"fit_intercept": False}):
        model = DiagonalNetworkRegressor(**options)
        dense = model.fit(X, y, counts).coef_
        np.testing.assert_allclose(model.fit(sp.csr_array(X), y, counts).coef_, dense, atol=1e-5)


def test_exact_equations_have_the_same_solution_for_all_weights():
    rng = np.random.default_rng(0)
    X, weights = rng.standard_normal((20, 60)), rng.random(20)
    weights[[4, 9]] = 0.0
    y = X[:, 5] - X[:, 11]
    kept = weights > 0
    options = {"solver": "limit", "fit_intercept": False, "init_scale": 0.1}
    potential = Potential.from_init(4, 0.1)
    plain = DiagonalNetworkRegressor(**options).fit(X[kept], y[kept])
    weighted = DiagonalNetworkRegressor(**options).fit(X, y, weights)
    np.testing.assert_allclose(weighted.coef_, plain.coef_, atol=1e-8)
    assert weighted.dual_coef_.shape == (20,) and not weighted.dual_coef_[~kept].any()
    np.testing.assert_allclose(
        potential.primal(X.T @ weighted.dual_coef_), weighted.coef_, atol=1e-4
    )
    operator = DiagonalNetworkRegressor(**options).fit(
        aslinearoperator(X[kept]), y[kept], weights[kept]
    )
    np.testing.assert_allclose(operator.coef_, plain.coef_, atol=1e-6)
    np.testing.assert_allclose(
        potential.primal(X[kept].T @ operator.dual_coef_), plain.coef_, atol=1e-4
    )


def test_steps_on_a_stream_take_weights():
    X, y, counts = noisy()
    options = {"solver": "gd", "learning_rate": 1e-2, "fit_intercept": False, "init_scale": 0.5}
    again = np.repeat(np.arange(len(y)), counts)
    weighted, repeated = DiagonalNetworkRegressor(**options), DiagonalNetworkRegressor(**options)
    for _ in range(3):
        weighted.partial_fit(X, y, counts)
        repeated.partial_fit(X[again], y[again])
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-10)


def test_held_out_rows_count_by_their_weights():
    X, y, _ = noisy(60)
    stopped = DiagonalNetworkRegressor(stopping="validation", tol=1e-6, random_state=0)
    plain, few = stopped.fit(X, y).coef_, np.ones(60)
    few[::2] = 1e-6
    equal = stopped.fit(X, y, np.full(60, 2.0)).coef_
    np.testing.assert_allclose(equal, plain, atol=1e-8)
    assert not np.allclose(stopped.fit(X, y, few).coef_, plain, atol=1e-2)


def test_the_order_of_rows_does_not_matter():
    X, y, _ = noisy()
    X[:, 0] = np.arange(40) % 2
    y = np.round(y)  # ties
    order = np.random.default_rng(1).permutation(40)
    for matrix in (X, sp.csr_array(X)):
        numbers = fold_numbers(matrix, y[:, None])
        np.testing.assert_array_equal(fold_numbers(matrix[order], y[order, None]), numbers[order])
    plain = DiagonalNetworkRegressor().fit(X, y).coef_
    np.testing.assert_allclose(
        DiagonalNetworkRegressor().fit(X[order], y[order]).coef_, plain, atol=1e-8
    )


def test_folds_keep_copies_together_and_are_of_one_size():
    X, y, _ = noisy()
    twice = np.repeat(np.arange(40), 2)
    numbers = fold_numbers(X[twice], y[twice, None])
    np.testing.assert_array_equal(numbers[::2], numbers[1::2])
    assert np.bincount(numbers).tolist() == [16] * 5
    np.testing.assert_array_equal(
        fold_numbers(3.0 * X + 1.0, 1e-9 * y[:, None]), fold_numbers(X, y[:, None])
    )
    assert fold_numbers(X[:1], y[:1, None]).tolist() == [0]
    assert np.bincount(fold_numbers(X[:3], y[:3, None])).tolist() == [1, 1, 1]
