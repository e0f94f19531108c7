"""Weighted trigonometric interpolation: transforms against pseudo-inverses, risk against draws."""

import warnings
from functools import partial

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from sklearn_sparse_eig import WeightedFourierRegressor, trigonometric_risk

# By default through the points, with one derivative in the norm.
interpolate = partial(WeightedFourierRegressor, alpha=0.0, weight_exponent=1.0)


def design(phases, frequencies):
    return np.exp(2j * np.pi * np.outer(phases, frequencies))


def weighted_pinv(F, frequencies, exponent, y):
    """Return the interpolant of least weighted norm, or least squares, by definition."""
    root = (1.0 + np.abs(frequencies)) ** -exponent
    return root * (np.linalg.pinv(F * root) @ y)


def draw(variances, n_draws, rng):
    parts = rng.standard_normal((2, n_draws, len(variances)))
    return (parts[0] + 1j * parts[1]) * np.sqrt(variances / 2)


# ------------------------------------------------------------------------------------------- risk


@pytest.mark.parametrize("p, q", [(8, 0), (16, 0), (32, 0), (40, 1), (128, 1.5)])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_risk_is_the_mean_error_of_fits(p, q, noise):
    n, total = 16, 128
    rng = np.random.default_rng(p)
    v = (np.arange(total) + 1.0) ** -2
    v /= v.sum()
    theta = draw(v, 20_000, rng)
    samples = theta @ design(np.arange(n) / n, np.arange(total)).T
    samples += draw(np.full(n, noise), 20_000, rng)
    model = interpolate(p, weight_exponent=q, basis="complex")
    found = model.fit(np.arange(n)[:, None], samples.T).coef_.T
    errors = (np.abs(found - theta[:, :p]) ** 2).sum(1) + (np.abs(theta[:, p:]) ** 2).sum(1)
    expected = trigonometric_risk(n, p, v, weight_exponent=q, noise_variance=noise)
    assert errors.mean() == pytest.approx(expected, abs=5 * errors.std() / np.sqrt(len(errors)))


@pytest.mark.parametrize("multiple", [1, 2, 5])
def test_risk_of_the_plain_interpolant_at_multiples(multiple):
    n, v = 16, np.arange(1, 129) ** -2.0
    v /= v.sum()
    p = multiple * n
    assert trigonometric_risk(n, p, v) == pytest.approx(1 - n / p + 2 * n / p * v[p:].sum())


@pytest.mark.parametrize(
    "r, best_small, at, weighted",
    [(0.5, 0.649, 22, 0.528), (1.0, 0.01767, 64, 0.01600), (2.0, 2.295e-6, 64, 2.276e-6)],
)
def test_double_descent(r, best_small, at, weighted):
    n, total = 64, 1024
    v = (np.arange(total) + 1.0) ** (-2 * r)
    v /= v.sum()
    sizes = np.arange(1, total + 1)
    plain = trigonometric_risk(n, sizes, v)
    smooth = trigonometric_risk(n, sizes, v, weight_exponent=r)
    assert plain[:n].min() == pytest.approx(best_small, rel=1e-3) and plain[:n].argmin() + 1 == at
    assert smooth[-1] == pytest.approx(weighted, rel=1e-3) and smooth[-1] < best_small
    assert plain[-1] == pytest.approx(0.9375, rel=1e-4)  # without weights, more is worse
    np.testing.assert_allclose(plain[:n], smooth[:n])


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"n_samples": 0}, "n_samples"),
        ({"n_frequencies": 9}, r"\[1, 8\]"),
        ({"n_frequencies": 0}, r"\[1, 8\]"),
        ({"n_frequencies": 2.5}, "integers"),
        ({"variances": [-1.0] * 8}, "not negative"),
        ({"noise_variance": -1.0}, "noise_variance"),
    ],
)
def test_bad_arguments_of_the_risk(wrong, message):
    arguments = {"n_samples": 4, "n_frequencies": 3, "variances": np.ones(8)} | wrong
    with pytest.raises(ValueError, match=message):
        trigonometric_risk(**arguments)


# -------------------------------------------------------------------------------- fits, definition


@pytest.mark.parametrize("basis", ["real", "complex"])
@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize("p", [5, 16, 17, 40, 129])
@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_grid_is_the_pseudo_inverse(basis, n, p, exponent):
    y = np.random.default_rng(p).standard_normal(n)
    model = interpolate(p, weight_exponent=exponent, basis=basis)
    model.fit(np.arange(n)[:, None] / n, y)
    assert model.solver_ == "fft"
    F = design(np.arange(n) / n, model.frequencies_)
    expected = weighted_pinv(F, model.frequencies_, exponent, y)
    np.testing.assert_allclose(model.coef_, expected, atol=1e-12)
    if len(model.frequencies_) >= n:
        assert model.interpolation_residual_ < 1e-12


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("p", [7, 41])
@pytest.mark.parametrize("basis", ["real", "complex"])
def test_scattered_points_are_the_pseudo_inverse(alpha, p, basis):
    rng = np.random.default_rng(0)
    x, Y = np.sort(rng.random(12)) + 0.02 * np.arange(12), rng.standard_normal((12, 2))
    options = {"period": 1.5, "basis": basis, "alpha": alpha}
    model = interpolate(p, **options).fit(x[:, None], Y)
    k = model.frequencies_
    assert model.solver_ == ("least_squares" if p <= 12 else "kernel")
    F = design((x - x.min()) / 1.5, k)
    if alpha == 0:
        expected = weighted_pinv(F, k, 1.0, Y[:, 0])
    else:
        penalty = alpha * np.diag((1.0 + np.abs(k)) ** 2.0)
        expected = np.linalg.solve(F.conj().T @ F + penalty, F.conj().T @ Y[:, 0])
    np.testing.assert_allclose(model.coef_[:, 0], expected, atol=1e-8)
    assert model.predict(x[:, None]).shape == (12, 2)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("p", [5, 16, 33])
def test_solvers_agree_on_a_grid(alpha, p):
    n = 16
    y = np.random.default_rng(1).standard_normal(n)
    X, new = np.arange(n)[:, None] / n, np.random.default_rng(2).random((20, 1))
    other = "least_squares" if p <= n else "kernel"
    first, second = (
        interpolate(p, alpha=alpha, solver=s, period=1.0).fit(X, y).predict(new)
        for s in ("fft", other)
    )
    np.testing.assert_allclose(first, second, atol=1e-10)


def test_real_basis_is_real_between_the_points():
    y = np.random.default_rng(0).standard_normal(16)
    model = interpolate(101).fit(np.arange(16)[:, None], y)
    np.testing.assert_allclose(model.coef_, model.coef_[::-1].conj(), atol=1e-14)


def test_complex_targets():
    rng = np.random.default_rng(0)
    theta = draw(np.ones(8), 1, rng)[0]
    X = np.arange(16)[:, None] / 16
    y = design(X[:, 0], np.arange(8)) @ theta
    model = interpolate(8, basis="complex").fit(X, y)
    np.testing.assert_allclose(model.coef_, theta, atol=1e-13)
    new = rng.random((5, 1))
    np.testing.assert_allclose(model.predict(new), design(new[:, 0], np.arange(8)) @ theta)
    assert model.score(X, y) == pytest.approx(1.0)


def test_several_features_are_a_tensor_product():
    rng = np.random.default_rng(0)
    X, y = rng.random((20, 2)), rng.standard_normal(20)
    model = interpolate(7, period=[1.0, 2.0]).fit(X, y)
    assert model.coef_ is None and model.solver_ == "kernel"
    k = np.array(np.meshgrid(np.arange(-3, 4), np.arange(-3, 4))).reshape(2, -1)
    root = np.prod(1.0 + np.abs(k), axis=0) ** -1.0

    def F(X):
        return np.exp(2j * np.pi * (X / [1.0, 2.0]) @ k) * root

    new = rng.random((9, 2))
    np.testing.assert_allclose(
        model.predict(new), (F(new) @ (np.linalg.pinv(F(X)) @ y)).real, atol=1e-8
    )


def test_smooth_functions_converge():
    def f(x):
        return np.exp(np.sin(2 * np.pi * x))

    x, new = np.arange(24) / 24, np.random.default_rng(0).random(200)
    errors = [
        np.abs(
            interpolate(weight_exponent=q, period=1.0).fit(x[:, None], f(x)).predict(new[:, None])
            - f(new)
        ).max()
        for q in (0.0, 1.0, 3.0)
    ]
    assert errors[0] > 0.5 > 0.1 > errors[1] > 10 * errors[2]


def test_large_grid():
    n = 2**15
    y = np.random.default_rng(0).standard_normal(n)
    model = interpolate(2**19).fit(np.arange(n)[:, None], y)
    assert model.solver_ == "fft"  # a kernel would take 8 GiB
    assert model.interpolation_residual_ < 1e-12
    np.testing.assert_allclose(model.predict([[0.0], [5.0], [n - 1.0]]), y[[0, 5, -1]], atol=1e-8)


def test_grid_search():
    rng = np.random.default_rng(0)
    X = rng.random((60, 1))
    y = np.sin(2 * np.pi * X[:, 0]) + 0.2 * rng.standard_normal(60)
    grid = {"weight_exponent": [0.0, 1.0, 2.0], "alpha": [1e-3, 1e-1, 1.0], "n_frequencies": [65]}
    search = GridSearchCV(interpolate(period=1.0), grid, cv=3).fit(X, y)
    assert search.best_params_["weight_exponent"] > 0
    assert search.best_score_ > 0.8


# ---------------------------------------------------------------------------------------- bad input


def test_unsorted_grid():
    rng = np.random.default_rng(0)
    X, y = np.arange(20)[:, None] / 20 + 3.0, rng.standard_normal(20)
    order = rng.permutation(20)
    first = interpolate().fit(X, y)
    second = interpolate().fit(X[order], y[order])
    assert second.solver_ == "fft"
    np.testing.assert_array_equal(first.coef_, second.coef_)


def test_duplicated_points():
    X, y = np.array([[0.0], [0.25], [0.5], [0.75], [0.25]]), np.array([1.0, 2, 3, 4, 2])
    same = interpolate(period=1.0).fit(X, y)
    assert same.solver_ == "kernel" and same.interpolation_residual_ < 1e-6
    once = interpolate(39, period=1.0).fit(X[:4], y[:4])
    np.testing.assert_allclose(same.predict([[0.6]]), once.predict([[0.6]]), atol=1e-6)
    y[4] = 9.0
    with pytest.raises(ValueError, match="Rows 1 and 4 .* alpha > 0"):
        interpolate(period=1.0).fit(X, y)
    interpolate(period=1.0, alpha=0.1).fit(X, y)
    least_squares = interpolate(3, period=1.0).fit(X, y)
    assert least_squares.solver_ == "least_squares"


def test_both_ends_of_a_period_are_one_point():
    X, y = np.linspace(0, 1, 11)[:, None], np.arange(11.0)
    with pytest.raises(ValueError, match="Rows 0 and 10 .* longer period"):
        interpolate(period=1.0).fit(X, y)
    assert interpolate().fit(X, y).interpolation_residual_ < 1e-12


def test_solvers_that_do_not_fit_the_points():
    X, y = np.random.default_rng(0).random((10, 2)), np.arange(10.0)
    with pytest.raises(ValueError, match="points of one variable on a grid"):
        interpolate(solver="fft").fit(X[:, :1], y)
    with pytest.raises(ValueError, match="one variable"):
        interpolate(solver="least_squares").fit(X, y)
    with pytest.raises(ValueError, match="period must be a number"):
        interpolate(period=[1.0, 1.0, 1.0]).fit(X, y)
    with pytest.raises(ValueError, match="positive"):
        interpolate(period=[1.0, -1.0]).fit(X, y)
    with pytest.raises(ValueError, match="omplex"):
        interpolate().fit(X, y + 1j)


def test_points_beyond_those_of_the_fit_are_told_where_no_period_was_given():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(2.0, 4.0, 60))[:, None]
    y = np.sin(np.pi * x[:, 0]) + 0.05 * rng.normal(size=60)
    model = WeightedFourierRegressor().fit(x, y)
    grid = WeightedFourierRegressor().fit(np.arange(5.0)[:, None], np.arange(5.0) % 3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        model.predict(np.linspace(x.min(), x.max(), 200)[:, None])
        grid.predict(np.linspace(0.0, 5.0, 50, endpoint=False)[:, None])  # one period of a grid
        cross_val_score(WeightedFourierRegressor(), x, y, cv=KFold(5, shuffle=True, random_state=0))
        WeightedFourierRegressor(period=2.0).fit(x, y).predict(x + 2.0)  # repeating is meant
        warnings.simplefilter("always")
        beyond = model.predict(np.vstack([x, x[:7] + 2.5]))
    assert [w.filename for w in caught] == [__file__]
    assert "7 of 67 points are beyond" in str(caught[0].message)
    np.testing.assert_allclose(beyond[:60], model.predict(x), atol=1e-9)
