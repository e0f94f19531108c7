"""Targets of any type, and constant ones."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import DiagonalNetworkRegressor

SOLVERS = ("limit", "mirror", "gd")

# The end of the training, without an intercept.
network = partial(DiagonalNetworkRegressor, solver="limit", fit_intercept=False)


def equations():
    rng = np.random.default_rng(0)
    return rng.normal(size=(10, 30)), rng.integers(-3, 4, 10)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("positive", [False, True])
def test_integer_targets_are_as_floats(solver, positive):
    A, y = equations()
    if positive:
        y = (np.abs(A) @ np.ones(30)).astype(int)
        A = np.abs(A)
    for dtype in (np.int64, np.int8, bool):
        fits = [
            network(solver=solver, positive=positive, max_iter=200).fit(A, target)
            for target in (y.astype(dtype), y.astype(dtype).astype(np.float64))
        ]
        np.testing.assert_array_equal(fits[0].coef_, fits[1].coef_)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("value", [3, 0.1, -1e5 / 3])
@pytest.mark.parametrize("as_matrix", [np.asarray, sp.csr_matrix])
def test_a_constant_target_is_an_intercept(solver, value, as_matrix):
    A, _ = equations()
    model = network(solver=solver, fit_intercept=True)
    model.fit(as_matrix(A), np.full(10, value))
    assert not model.coef_.any() and model.intercept_ == pytest.approx(value, rel=1e-14)
    assert model.interpolation_residual_ == 0.0


def test_a_constant_target_beside_another():
    A, y = equations()
    both = network(fit_intercept=True).fit(A, np.column_stack([y, 0 * y + 0.1]))
    alone = network(fit_intercept=True).fit(A, y)
    np.testing.assert_allclose(both.coef_[0], alone.coef_, atol=1e-12)
    assert not both.coef_[1].any() and both.intercept_[1] == pytest.approx(0.1, rel=1e-14)
