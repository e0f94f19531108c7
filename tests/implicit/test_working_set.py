"""Steps on the columns near the boundary are those on all columns, and nearly all that is made."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import DiagonalNetworkRegressor, diagonal_network_path
from sklearn_sparse_eig.implicit import _mirror


def problem(kind):
    rng = np.random.default_rng(0)
    n, N = {"many rows": (80, 15)}.get(kind, (40, 120))
    X = rng.standard_normal((n, N))
    if kind == "correlated":
        X += 2.0 * rng.standard_normal((n, 1))
    if kind == "copies":
        X[:, 1::2] = X[:, ::2]
    if kind == "sparse":
        X[np.abs(X) < 1.0] = 0.0
    y = X[:, 0] - 2 * X[:, 6] + X[:, 12] + 0.5 * rng.standard_normal(n)
    return (sp.csr_array(X) if kind == "sparse" else X), y


@pytest.fixture
def counted(monkeypatch):
    """Return a list of whether each step was made on the working set, and a switch against it."""
    made, step, allowed = [], _mirror._SmallSteps.step, [True]

    def counting(self, *args):
        found = step(self, *args) if allowed[0] else None
        made.append(found is not None)
        return found

    monkeypatch.setattr(_mirror._SmallSteps, "step", counting)
    return made, allowed


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("kind", ["independent", "many rows", "correlated", "copies", "sparse"])
def test_the_path_is_that_of_steps_on_all_columns(counted, kind, positive):
    made, allowed = counted
    X, y = problem(kind)
    options = {"n_alphas": 20, "positive": positive}
    found = diagonal_network_path(X, y, **options)
    # Of copies twice as many are near the boundary, more than is worth it at the end.
    assert np.mean(made) > (0.5 if kind == "copies" else 0.9)
    allowed[0] = False
    expected = diagonal_network_path(X, y, **options)
    np.testing.assert_allclose(found[1], expected[1], atol=2e-5 * np.abs(expected[1]).max())
    np.testing.assert_allclose(found[2], expected[2], atol=1e-5 * np.mean(y**2))


def test_larger_initialisations_and_other_depths(counted):
    made, allowed = counted
    X, y = problem("independent")
    for depth, init_scale in ((3, 0.05), (4, 0.3), (6, 0.2)):
        del made[:]
        options = {"depth": depth, "init_scale": init_scale, "n_alphas": 10, "growth": 1.2}
        allowed[0] = True
        found = diagonal_network_path(X, y, **options)[1]
        allowed[0] = False
        expected = diagonal_network_path(X, y, **options)[1]
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_the_default_fit_is_that_of_steps_on_all_columns(counted):
    made, allowed = counted
    X, y = problem("independent")
    found = DiagonalNetworkRegressor().fit(X, y).coef_
    assert np.mean(made) > 0.9
    allowed[0] = False
    expected = DiagonalNetworkRegressor().fit(X, y).coef_
    np.testing.assert_allclose(found, expected, atol=1e-4)
