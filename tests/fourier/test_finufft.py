"""finufft as a witness: the same sums, and fits whose equations hold by its sums."""

import numpy as np
import pytest

from sklearn_sparse_eig import WeightedFourierRegressor
from sklearn_sparse_eig.fourier._nufft import ACCURACY, NonuniformTransform

finufft = pytest.importorskip("finufft")


def at_points(phases, coefficients):
    """Return sums over frequencies symmetric about zero."""
    return finufft.nufft1d2(2 * np.pi * phases, coefficients + 0j, eps=1e-14, isign=1)


def at_frequencies(phases, values, p):
    return finufft.nufft1d1(2 * np.pi * phases, values + 0j, n_modes=p, eps=1e-14, isign=-1)


@pytest.mark.parametrize("n, p", [(50, 3), (3000, 24001), (50_000, 4001)])
def test_transforms_are_those_of_finufft(n, p):
    rng = np.random.default_rng(n)
    phases = rng.random(n)
    transform = NonuniformTransform(phases, np.arange(-(p // 2), p // 2 + 1))
    coefficients = rng.standard_normal(p) + 1j * rng.standard_normal(p)
    values = rng.standard_normal(n) + 1j * rng.standard_normal(n)
    off = transform.at_points(coefficients[:, None])[:, 0] - at_points(phases, coefficients)
    assert np.abs(off).max() <= 2 * ACCURACY * np.abs(coefficients).sum()
    off = transform.at_frequencies(values[:, None])[:, 0] - at_frequencies(phases, values, p)
    assert np.abs(off).max() <= 2 * ACCURACY * np.abs(values).sum()


@pytest.mark.parametrize("exponent, alpha", [(1.0, 1e-4), (1.0, 1.0), (2.0, 1e-2)])
def test_fits_of_many_points_solve_their_equations(exponent, alpha):
    rng = np.random.default_rng(0)
    x = rng.random(4000)
    y = np.exp(np.sin(2 * np.pi * x)) + 0.1 * rng.standard_normal(4000)
    model = WeightedFourierRegressor(
        8001, weight_exponent=exponent, period=1.0, alpha=alpha, solver="nufft"
    ).fit(x[:, None], y)
    phases, theta = x - x.min(), model.coef_
    # |F theta - y|^2 + alpha sum_k |theta_k|^2 / t_k is least.
    missed = at_frequencies(phases, at_points(phases, theta) - y, 8001)
    penalty = alpha * (1.0 + np.abs(model.frequencies_)) ** (2 * exponent) * theta
    # In units in which the penalty is plain, as the solver measures it.
    root = (1.0 + np.abs(model.frequencies_)) ** -exponent
    start = np.linalg.norm(root * at_frequencies(phases, y, 8001))
    assert np.linalg.norm(root * (missed + penalty)) < 1e-10 * start
    new = rng.random(3000)
    expected = at_points(new - x.min(), theta).real
    np.testing.assert_allclose(model.predict(new[:, None]), expected, atol=1e-10)
