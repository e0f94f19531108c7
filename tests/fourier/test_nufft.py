"""Fast transforms at scattered points: against direct sums, and fits against dense solutions."""

from functools import partial

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from sklearn_sparse_eig import WeightedFourierRegressor
from sklearn_sparse_eig.fourier._iterative import fit_iteratively
from sklearn_sparse_eig.fourier._nufft import ACCURACY, NonuniformTransform, ToeplitzGram
from sklearn_sparse_eig.fourier._scattered import features

# By default through the points, with one derivative in the norm.
interpolate = partial(WeightedFourierRegressor, alpha=0.0, weight_exponent=1.0)

FREQUENCIES = {
    "one": np.arange(1),
    "few": np.arange(-1, 2),
    "one-sided": np.arange(300),
    "symmetric": np.arange(-200, 201),
    "far from zero": np.arange(5000, 5100),
}


def points(kind, n, rng):
    """Return points in no order: anywhere, or each near a place of a grid."""
    if kind == "random":
        return rng.random(n)
    return rng.permutation((np.arange(n) + 0.4 * rng.random(n)) / n)


@pytest.mark.parametrize("name", FREQUENCIES)
def test_transforms_are_the_sums(name):
    k, rng = FREQUENCIES[name], np.random.default_rng(0)
    # Multiples of 2^-30, so that direct sums have exact phases; beyond the period, ends, twice.
    x = np.round(rng.random(200) * 2**30) / 2**30 * 4 - 2
    x[:5] = 0.0, 1.0, 0.5, x[7], -1.0
    coefficients = rng.standard_normal((len(k), 3)) + 1j * rng.standard_normal((len(k), 3))
    values = rng.standard_normal((200, 3)) + 1j * rng.standard_normal((200, 3))
    transform, F = NonuniformTransform(x, k), features(x - np.floor(x), k)
    error = np.abs(transform.at_points(coefficients) - F @ coefficients).max(axis=0)
    assert np.all(error <= ACCURACY * np.abs(coefficients).sum(axis=0))
    error = np.abs(transform.at_frequencies(values) - F.conj().T @ values).max(axis=0)
    assert np.all(error <= ACCURACY * np.abs(values).sum(axis=0))


def test_one_type_is_the_adjoint_of_the_other():
    rng = np.random.default_rng(0)
    transform = NonuniformTransform(rng.random(50), np.arange(-30, 31))
    c, v = rng.standard_normal((61, 1)) + 0j, rng.standard_normal((50, 1)) + 0j
    left = np.vdot(v, transform.at_points(c))
    np.testing.assert_allclose(left, np.vdot(transform.at_frequencies(v), c), rtol=1e-13)


def test_toeplitz_gram():
    rng = np.random.default_rng(0)
    x, k, c = rng.random(40), np.arange(-25, 26), rng.standard_normal((51, 2))
    F = features(x, k)
    np.testing.assert_allclose(ToeplitzGram(x, 51) @ c, F.conj().T @ (F @ c), atol=1e-11)


@pytest.mark.parametrize(
    "kind, p, q, alpha",
    [
        ("jittered", 2001, 1.0, 0.0),
        ("jittered", 2001, 1.5, 0.0),
        ("jittered", 2001, 1.0, 1e-6),
        ("random", 2001, 1.0, 1e-2),
        ("random", 2001, 2.0, 1e-3),
        ("random", 2001, 1.0, 10.0),
        ("random", 61, 1.0, 0.0),
        ("random", 201, 1.0, 0.1),
        ("jittered", 201, 1.0, 0.0),
    ],
)
@pytest.mark.parametrize("basis", ["real", "complex"])
def test_iterations_agree_with_dense_solutions(kind, p, q, alpha, basis):
    rng = np.random.default_rng(3)
    x, new = points(kind, 250, rng)[:, None], rng.random((100, 1))
    Y = np.stack([np.sin(2 * np.pi * x[:, 0]), x[:, 0]], axis=1)
    Y += 0.1 * rng.standard_normal(Y.shape)
    # A gap in the period makes interpolation as good as undetermined, for every solver.
    period = 1.25 if alpha > 0 else 1.0
    options = {"weight_exponent": q, "alpha": alpha, "period": period, "basis": basis}
    direct = "kernel" if p > 250 else "least_squares"
    dense = interpolate(p, solver=direct, **options).fit(x, Y)
    fast = interpolate(p, solver="nufft", **options).fit(x, Y)
    scale = np.abs(dense.predict(new)).max()
    np.testing.assert_allclose(fast.predict(new), dense.predict(new), atol=1e-8 * scale)
    assert fast.n_iter_ > dense.n_iter_ == 0
    assert interpolate(p, **options).fit(x, Y).solver_ == "nufft"


def test_random_points_are_interpolated():
    # The kernel has a condition of 10^9 and more here: solvers agree at the points, to rounding,
    # and between them only as far as that lets them.
    rng = np.random.default_rng(3)
    x = rng.random((250, 1))
    model = interpolate(2001, solver="nufft", period=1.0).fit(x, np.cos(7 * x[:, 0]))
    assert model.interpolation_residual_ < 1e-9
    np.testing.assert_allclose(model.predict(x), np.cos(7 * x[:, 0]), atol=1e-8)


def test_many_points_take_few_iterations():
    rng = np.random.default_rng(0)
    n = 20_000
    x = points("jittered", n, rng)[:, None]
    y = np.exp(np.sin(2 * np.pi * x[:, 0]))
    model = interpolate(period=1.0).fit(x, y)
    assert model.solver_ == "nufft" and model.n_iter_ < 60
    assert model.interpolation_residual_ < 1e-10
    new = rng.random((n, 1))
    np.testing.assert_allclose(model.predict(new), np.exp(np.sin(2 * np.pi * new[:, 0])), atol=1e-6)


def test_prediction_by_fast_transform_is_the_direct_one():
    rng = np.random.default_rng(0)
    x, new = np.arange(256)[:, None] / 256, rng.random((3000, 1))
    model = interpolate(2049, period=1.0).fit(x, rng.standard_normal(256))
    direct = np.concatenate([model.predict(new[i : i + 100]) for i in range(0, 3000, 100)])
    size = np.abs(model.coef_).sum()
    np.testing.assert_allclose(model.predict(new), direct, atol=ACCURACY * size)


def test_what_does_not_converge_says_so():
    rng = np.random.default_rng(0)
    x, y = rng.random((300, 1)), rng.standard_normal(300)
    with pytest.warns(ConvergenceWarning, match="nearly coincide"):
        interpolate(271, solver="nufft", period=1.0).fit(x, y)
    with pytest.raises(ValueError, match='Use "kernel"'):
        interpolate(solver="nufft").fit(np.hstack([x, x]), y)


def test_auto_solves_densely_where_iterations_fail():
    rng = np.random.default_rng(0)
    x, y = rng.random((300, 1)), rng.standard_normal(300)
    model = interpolate(271, period=1.0).fit(x, y)
    assert model.solver_ == "least_squares" and model.n_iter_ == 0


def test_duplicated_points_are_one():
    rng = np.random.default_rng(0)
    x = points("jittered", 100, rng)
    y = np.sin(2 * np.pi * x)
    variances = (1.0 + np.abs(np.arange(-200, 201))) ** -2.0
    once, twice = (
        fit_iteratively(p, v[:, None], np.arange(-200, 201), variances, 0.0)[0]
        for p, v in ((x, y), (np.r_[x, x[:3]], np.r_[y, y[:3]]))
    )
    np.testing.assert_allclose(once, twice, atol=1e-8)
