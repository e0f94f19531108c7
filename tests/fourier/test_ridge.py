"""The default of the trigonometric fit: ridge and period by leave-one-out."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

from sklearn_sparse_eig import WeightedFourierRegressor
from sklearn_sparse_eig.fourier._leave_one_out import _best_ridge, choose_ridge
from sklearn_sparse_eig.fourier._options import FourierOptions
from sklearn_sparse_eig.fourier._scattered import condition_number, features


def wave(x):
    return np.sin(2 * np.pi * x) + 0.5 * np.cos(6 * np.pi * x)


def scattered(n=60, noise=0.3, seed=0, f=wave):
    rng = np.random.default_rng(seed)
    x = rng.random(n)
    return x[:, None], f(x) + noise * rng.standard_normal(n)


def test_noisy_scattered_points_by_default():
    new = np.linspace(0.02, 0.98, 300)
    for seed in range(3):
        X, y = scattered(seed=seed)
        model = WeightedFourierRegressor().fit(X, y)
        assert np.sqrt(np.mean((model.predict(new[:, None]) - wave(new)) ** 2)) < 0.2
        assert model.alpha_ > 0


def test_interpolation_of_noise_warns_where_it_swings():
    X, y = scattered(seed=3)
    message = (
        r"Between its points the interpolant goes up to .* condition number .* is \d\.\de\+\d\d\."
    )
    with pytest.warns(UserWarning, match=message):
        model = WeightedFourierRegressor(alpha=0.0).fit(X, y)
    assert np.abs(model.predict(np.linspace(0, 1, 500)[:, None])).max() > 3 * np.abs(y).max()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WeightedFourierRegressor().fit(X, y)
        WeightedFourierRegressor(alpha=0.0).fit(np.arange(20.0)[:, None], y[:20])


def test_the_condition_number_is_that_of_the_equations():
    rng = np.random.default_rng(0)
    for k in (np.arange(-40, 41), np.arange(-3, 4)):  # more frequencies than points, and fewer
        x, variances = rng.random(12), 1.0 / (1.0 + np.abs(k)) ** 2
        F = features(x, k) * np.sqrt(variances)
        expected = np.linalg.cond(F) ** 2
        assert condition_number(x[:, None], k, variances) == pytest.approx(expected, rel=1e-6)
    twice = np.r_[x, x[0]][:, None]
    assert condition_number(twice, np.arange(-40, 41), np.ones(81)) > 1e14


@pytest.mark.parametrize("period", ["auto", 1.0])
@pytest.mark.parametrize("n", [40, 64])
def test_exact_targets_are_interpolated(period, n):
    X = np.arange(n)[:, None] / n
    model = WeightedFourierRegressor(period=period).fit(X, wave(X[:, 0]))
    assert model.interpolation_residual_ < 1e-8
    new = np.random.default_rng(0).random((50, 1))
    np.testing.assert_allclose(model.predict(new), wave(new[:, 0]), atol=1e-3)


def test_a_function_that_is_not_periodic_gets_a_longer_period():
    X, y = scattered(80, 0.05, f=lambda x: x**2)
    model = WeightedFourierRegressor().fit(X, y)
    short = WeightedFourierRegressor(period=model.period_ / 2).fit(X, y)
    natural = np.ptp(X) * 80 / 79
    assert model.period_ == pytest.approx(2 * natural)
    new = np.linspace(0.01, 0.99, 200)
    errors = [np.abs(m.predict(new[:, None]) - new**2).max() for m in (model, short)]
    assert errors[0] < 0.5 * errors[1]
    given = WeightedFourierRegressor(period=3.0).fit(X, y)
    assert given.period_ == 3.0


@pytest.mark.parametrize("basis", ["real", "complex"])
def test_errors_of_points_left_out_are_those_of_literal_fits(basis):
    X, y = scattered(12, 0.3)
    options = FourierOptions(96, 1.0, np.array([1.5]), basis, 0.0, "kernel")
    alpha, error, _ = _best_ridge(X, y[:, None], options)
    misses = []
    for i in range(12):
        kept = np.arange(12) != i
        other = WeightedFourierRegressor(
            96, weight_exponent=1.0, period=1.5, basis="complex", alpha=alpha, solver="kernel"
        )
        other.set_params(basis=basis).fit(X[kept], y[kept])
        misses.append(other._function(X[i : i + 1])[0, 0] - y[i])
    assert error == pytest.approx(np.mean(np.abs(misses) ** 2), rel=1e-6)


def test_ridges_carry_over_from_a_part_of_the_points():
    X, y = scattered(1500, 0.3)
    options = FourierOptions(12000, 2.0, np.array([1.0]), "real", 0.0, "auto")
    part, _ = choose_ridge(X, y[:, None], options, longer=False)
    errors = []
    for factor in (0.01, 1.0, 100.0):
        model = WeightedFourierRegressor(period=1.0, alpha=factor * part.alpha).fit(X, y)
        new = np.linspace(0, 1, 300)
        errors.append(np.mean((model.predict(new[:, None]) - wave(new)) ** 2))
    assert errors[1] < 1.2 * min(errors)
    assert replace(part, alpha=0.0).period == 1.0


def test_points_that_contradict_each_other_get_a_ridge():
    X = np.repeat(np.arange(8.0), 2)[:, None]
    y = np.repeat(wave(np.arange(8.0) / 8), 2) + np.tile([0.01, -0.01], 8)
    model = WeightedFourierRegressor(period=8.0).fit(X, y)
    assert model.alpha_ > 0 and model.score(X, y) > 0.99
    constant = WeightedFourierRegressor().fit(X, np.zeros(16))
    assert not constant.predict(X).any()


@pytest.mark.parametrize("solver", ["auto", "kernel", "nufft", "least_squares"])
def test_every_solver_takes_the_ridge(solver):
    X, y = scattered(40)
    model = WeightedFourierRegressor(solver=solver).fit(X, y)
    expected = WeightedFourierRegressor(
        solver=solver, alpha=model.alpha_, period=model.period_
    ).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
