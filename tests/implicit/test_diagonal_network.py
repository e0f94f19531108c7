"""The limit of gradient flow is that of the literal training, and its laws hold."""

import re
import warnings
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.integrate import solve_ivp
from scipy.optimize import linprog
from scipy.sparse.linalg import aslinearoperator
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path
from sklearn.model_selection import GridSearchCV

from sklearn_sparse_eig import (
    DiagonalNetworkRegressor,
    SketchedSparsePCA,
    diagonal_network_path,
    learning_rate_path,
)
from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
from sklearn_sparse_eig.estimator_checks import yield_decoder_checks
from sklearn_sparse_eig.implicit import l1_gap_bound
from sklearn_sparse_eig.implicit._averaged_path import averaged_path
from sklearn_sparse_eig.implicit._design import Design
from sklearn_sparse_eig.implicit._newton_system import NewtonSystem
from sklearn_sparse_eig.implicit._potential import Potential
from sklearn_sparse_eig.recovery.decoders import DiagonalNetworkDecoder

# The end of the training, without an intercept.
network = partial(DiagonalNetworkRegressor, solver="limit", fit_intercept=False)


def problem(M=15, N=40, k=3, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((M, N)) / np.sqrt(M)
    x = np.zeros(N)
    x[rng.permutation(N)[:k]] = np.resize([1.0, -1.3, 0.7], k)
    return A, A @ x, x


def flow(A, y, alpha, depth, *, positive=False, ratio=None, end=3e4):
    """Return the end of gradient flow on the weights, plain or in polar coordinates."""
    N, L = A.shape[1], depth
    n_sides = 1 if positive else 2

    def coef(w):
        sides = w.reshape(n_sides, N) ** L
        return sides[0] - (0 if positive else sides[1])

    def gradient(w):
        g = A.T @ (A @ coef(w) - y)
        return (L * w.reshape(n_sides, N) ** (L - 1) * g * [[1.0], [-1.0]][:n_sides]).ravel()

    def polar(t, state):
        r, length = state[0], np.linalg.norm(state[1:])
        unit = state[1:] / length
        G = gradient(r * unit)
        return np.r_[-ratio * (G @ unit), -(r / length) * (G - (G @ unit) * unit)]

    w = np.full(n_sides * N, alpha)
    options = {"method": "LSODA", "rtol": 1e-11, "atol": 1e-14}
    if ratio is None:
        return coef(solve_ivp(lambda t, w: -gradient(w), (0, end), w, **options).y[:, -1])
    r = np.linalg.norm(w)
    state = solve_ivp(polar, (0, end), np.r_[r, w / r], **options).y[:, -1]
    return coef(state[0] * state[1:] / np.linalg.norm(state[1:]))


def basis_pursuit(A, y, positive=False):
    N = A.shape[1]
    signed = A if positive else np.hstack([A, -A])
    z = linprog(np.ones(signed.shape[1]), A_eq=signed, b_eq=y).x
    return z if positive else z[:N] - z[N:]


# ------------------------------------------------------------------------------------- the limit


@pytest.mark.parametrize(("depth", "alpha"), [(2, 0.1), (3, 0.3), (4, 0.3), (4, 1.0), (6, 0.6)])
@pytest.mark.parametrize("positive", [False, True])
def test_limit_is_that_of_the_flow(depth, alpha, positive):
    A, y, x = problem()
    if positive:
        y = A @ np.abs(x)
    model = network(depth, alpha, positive=positive, tol=1e-12).fit(A, y)
    trained = flow(A, y, alpha, depth, positive=positive)
    # Where the flow arrived; it may take longer than was followed.
    assert np.linalg.norm(A @ trained - y) < 1e-12
    np.testing.assert_allclose(model.coef_, trained, atol=1e-9)


@pytest.mark.parametrize("alpha", [0.3, 0.1, 0.03, 0.01, 1e-3, 1e-5])
@pytest.mark.parametrize("depth", [2, 3, 4, 8])
@pytest.mark.parametrize("k", [5, 30])
def test_coefficients_are_the_stated_function_of_the_dual(alpha, depth, k):
    A, y, _ = problem(50, 150, k)
    model = network(depth, alpha, tol=1e-11).fit(A, y)
    assert model.interpolation_residual_ <= 1e-11
    s = A.T @ model.dual_coef_
    potential = Potential.from_init(depth, alpha)
    # s has fewer digits than x close to the boundary: compare where it has enough.
    limit = 1.0 - 1e-5 if depth > 2 else np.inf
    clear = np.abs(s) < limit
    np.testing.assert_allclose(potential.primal(s[clear]), model.coef_[clear], atol=1e-8)
    near = ~clear
    np.testing.assert_array_equal(np.sign(s[near]), np.sign(model.coef_[near]))


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("k", [4, 12])
def test_norm_within_the_bound_and_the_certificate(positive, k):
    A, y, x = problem(30, 80, k)
    if positive:
        y = A @ np.abs(x)
    least = np.abs(basis_pursuit(A, y, positive)).sum()
    for depth in (2, 3, 4, 6):
        gaps = []
        for alpha in (0.1, 0.03, 0.01, 0.003):
            model = network(depth, alpha, positive=positive, tol=1e-10).fit(A, y)
            gaps.append(model.l1_norm_ - least)
            bound = l1_gap_bound(least, 160 // (1 + positive), depth, alpha)
            assert -1e-8 <= gaps[-1] <= bound * least + 1e-8
            assert gaps[-1] <= model.l1_gap_ + 1e-8
        assert gaps[-1] < 0.6 * gaps[0]


@pytest.mark.parametrize("k", [4, 12])  # 12: more than can be recovered, the vertex is another one
def test_limit_tends_to_basis_pursuit(k):
    A, y, _ = problem(30, 80, k)
    vertex = basis_pursuit(A, y)
    errors = [
        np.abs(network(4, alpha, tol=1e-11).fit(A, y).coef_ - vertex).max()
        for alpha in (1e-1, 1e-2, 1e-3)
    ]
    assert errors[1] < 0.1 * errors[0]
    assert errors[2] < 1e-7
    if k == 4:  # at depth 2 the norm falls with the logarithm of the initialisation only
        shallow = network(2, 1e-8, tol=1e-11).fit(A, y)
        np.testing.assert_allclose(shallow.coef_, vertex, atol=1e-4)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_limit_minimises_the_stated_objective(depth):
    A, y, _ = problem(20, 50, 4)
    b = 0.1**depth
    z = network(depth, 0.1, tol=1e-12).fit(A, y).weights_.ravel() ** depth
    signed = np.hstack([A, -A])

    def objective(z):
        if depth == 2:
            return (z * np.log(z / b) - z).sum()
        return (z - depth / 2 * b ** (1 - 2 / depth) * z ** (2 / depth)).sum()

    null = np.eye(100) - np.linalg.pinv(signed) @ signed
    for direction in np.random.default_rng(0).standard_normal((20, 100)) @ null:
        step = 0.1 * (z / np.maximum(np.abs(direction), 1e-12)).min()
        assert objective(z) <= min(objective(z + step * direction), objective(z - step * direction))


@pytest.mark.parametrize("depth", [3, 4])
def test_gap_falls_like_the_initial_coefficients(depth):
    A, y, x = problem(30, 80, 4)
    gaps = [
        network(depth, alpha, tol=1e-12).fit(A, y).l1_norm_ - np.abs(x).sum()
        for alpha in (0.06, 0.03)
    ]
    assert gaps[0] / gaps[1] == pytest.approx(2**depth, rel=0.2)


def test_bound_says_nothing_where_it_must():
    assert l1_gap_bound(1.0, 100, 4, 0.5) == np.inf
    assert l1_gap_bound(0.0, 100, 4, 1e-3) == np.inf
    assert l1_gap_bound(1.0, 100, 2, 1e-3) == pytest.approx(np.log(100) / np.log(1e4))


@pytest.mark.parametrize(
    ("depth", "alpha", "ratio"), [(2, 0.1, 1.0), (2, 0.3, 0.3), (3, 0.3, 1.0), (2, 1.0, 1.0)]
)
def test_weight_normalisation_is_a_smaller_initialisation(depth, alpha, ratio):
    A, y, _ = problem()
    model = network(depth, alpha, weight_normalization=True, lr_ratio=ratio, tol=1e-11).fit(A, y)
    trained = flow(A, y, alpha, depth, ratio=ratio)
    np.testing.assert_allclose(model.coef_, trained, atol=1e-9)
    plain = network(depth, model.effective_init_scale_, tol=1e-11).fit(A, y)
    np.testing.assert_allclose(model.coef_, plain.coef_, atol=1e-9)
    assert model.magnification_ == pytest.approx((alpha / model.effective_init_scale_) ** depth)


def test_weight_normalisation_helps_where_weights_grow():
    A, y, x = problem(12, 30, 2)
    y = A @ (20 * x)
    plain = network(2, 0.1).fit(A, y)
    normalised = network(2, 0.1, weight_normalization=True, lr_ratio=1.0)
    normalised.fit(A, y)
    assert normalised.magnification_ > 1e3
    assert normalised.l1_gap_ < 0.5 * plain.l1_gap_


def test_weight_normalisation_as_good_as_a_vanishing_initialisation():
    # Limits of the tentative scales in between have no digits to be found from.
    A, y, _ = problem(12, 30, 3)
    y = 3 * y
    for ratio in (0.1, 0.03):
        model = network(2, 0.03, weight_normalization=True, lr_ratio=ratio)
        assert model.fit(A, y).magnification_ > 1e15
        np.testing.assert_allclose(model.coef_, basis_pursuit(A, y), atol=1e-6)


@pytest.mark.parametrize("shape", [(60, 200, 6), (40, 44, 5)])
@pytest.mark.parametrize("ratio", [0.1, 1e-3])
def test_weight_normalisation_finds_a_solution_where_there_is_one(shape, ratio):
    # Scales down to exp(-50000), of which solvers see exp(-80) times the solution, if that.
    A, y, x = problem(*shape)
    for scale in (1.0, 10.0):
        model = network(2, 0.03, weight_normalization=True, lr_ratio=ratio).fit(A, scale * y)
        assert model.interpolation_residual_ < 1e-7
        np.testing.assert_allclose(model.coef_, scale * x, atol=1e-5)
        assert model.magnification_ > 1e13 and model.effective_init_scale_ < 1e-6


# ----------------------------------------------------------------------------- kinds of equations


def test_all_kinds_of_matrices_agree():
    rng = np.random.default_rng(0)
    S = sp.random_array((60, 200), density=0.2, random_state=rng, format="csr")
    y = S[:, [3, 70]] @ [2.0, -1.0]
    options = {"tol": 1e-10}
    dense = network(**options).fit(S.toarray(), y)
    for X in (S, sp.csr_matrix(S), aslinearoperator(S), aslinearoperator(S.toarray())):
        model = network(**options).fit(X, y)
        np.testing.assert_allclose(model.coef_, dense.coef_, atol=1e-8)
        np.testing.assert_allclose(model.predict(X), y, atol=1e-8)


@pytest.mark.parametrize("kind", ["offset", "factors", "scales"])
def test_ill_conditioned_equations(kind):
    A, _, x = problem(100, 300, 10)
    rng = np.random.default_rng(1)
    if kind == "offset":
        A = A + 30 * rng.standard_normal((100, 1))
    elif kind == "factors":
        A = 0.1 * A + rng.standard_normal((100, 4)) @ rng.standard_normal((4, 300))
    else:
        A = A * np.geomspace(1e-2, 1, 100)[:, None]
    model = network().fit(A, A @ x)
    np.testing.assert_allclose(model.coef_, x, atol=1e-3)


def test_dependent_equations_and_more_equations_than_unknowns():
    A, y, x = problem(30, 80, 3)
    whole = network(tol=1e-10).fit(A, y)
    twice = network(tol=1e-10).fit(np.vstack([A, A]), np.r_[y, y])
    np.testing.assert_allclose(twice.coef_, whole.coef_, atol=1e-9)
    some = network(tol=1e-10).fit(np.vstack([A, A[:5]]), np.r_[y, y[:5]])
    np.testing.assert_allclose(some.coef_, whole.coef_, atol=1e-7)
    tall = network().fit(np.vstack([A[:, :10]] * 3), np.tile(A[:, :10] @ x[:10], 3))
    np.testing.assert_allclose(tall.coef_, x[:10], atol=1e-8)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_of_the_features_are_those_of_the_initialisation(scale):
    A, y, _ = problem(30, 80, 3)
    first = network(init_scale=0.03, tol=1e-10).fit(A, y)
    # Coefficients in other units: b has to follow.
    second = network(init_scale=0.03 * scale**0.25, tol=1e-10).fit(A, y * scale)
    np.testing.assert_allclose(second.coef_, scale * first.coef_, rtol=1e-6, atol=1e-9 * scale)


@pytest.mark.parametrize("scale", [1e-12, 1e-8, 1e-4, 1e8])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"depth": 2},
        {"positive": True},
        {"solver": "mirror", "tol": 1e-6},
        {"solver": "auto", "fit_intercept": True},
    ],
    ids=str,
)
def test_the_default_initialisation_follows_the_units(scale, options):
    A, y, x = problem(30, 80, 3)
    Y = A @ np.abs(np.column_stack([x, x[::-1]])) if "positive" in options else y
    first, second = (network(**options).fit(A, Y * c) for c in (1.0, scale))
    np.testing.assert_allclose(second.coef_, scale * first.coef_, atol=1e-7 * scale)
    # And those of the features.
    third = network(**options).fit(A / scale, Y)
    np.testing.assert_allclose(third.coef_, scale * first.coef_, atol=1e-7 * scale)
    np.testing.assert_allclose(first.init_scale_, scale ** (-1 / first.depth) * second.init_scale_)


def test_an_initialisation_as_large_as_the_solution_is_told():
    A, y, _ = problem(30, 80, 3)
    with pytest.warns(UserWarning, match="init_scale=0.03 is too large for this y"):
        network(init_scale=0.03).fit(A, 1e-8 * y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network(init_scale=0.03).fit(A, y)
        network().fit(A, 1e-8 * y)


def test_inconsistent_equations_raise_with_advice():
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((50, 10)), rng.standard_normal(50)
    for X in (A, sp.csr_array(A), aslinearoperator(A)):
        with pytest.raises(ValueError, match="no solution: the least .* solver='mirror'"):
            network().fit(X, y)
    with pytest.raises(ValueError, match="No non-negative solution"):
        network(positive=True).fit(np.abs(A.T), -np.ones(10))
    A, y, _ = problem(30, 80, 12)
    with pytest.raises(ValueError, match="Raise tol, max_iter"):
        network(max_iter=2).fit(A, y)


@pytest.mark.parametrize("M", [20, 50, 80, 95])
def test_every_consistent_problem_is_solved(M):
    # Also where hardly more features than equations are left to be near zero.
    rng = np.random.default_rng(0)
    for share in (0.1, 0.3, 0.5, 1.0):
        X, w = rng.standard_normal((M, 100)), np.zeros(100)
        w[: round(share * M)] = rng.choice([-1.0, 1.0], round(share * M))
        for positive in (False, True):
            y = X @ (np.abs(w) if positive else w)
            model = network(positive=positive).fit(X, y)
            assert model.interpolation_residual_ <= 1e-8
            assert model.l1_gap_ <= 0.02 * model.l1_norm_
            assert model.n_iter_ <= 60


def test_targets_intercept_zeros_and_refit():
    A, y, x = problem(60, 200, 4)
    Y = np.column_stack([y, 2 * y, np.zeros(60)])
    model = network(refit_support=True).fit(A, Y)
    np.testing.assert_allclose(model.coef_, [x, 2 * x, 0 * x], atol=1e-12)
    assert model.coef_.shape == model.support_.shape == (3, 200)
    assert model.weights_.shape == (2, 200, 3)
    assert model.n_iter_.shape == model.l1_gap_.shape == (3,)
    assert model.score(A, Y[:, :2] @ np.eye(2, 3) + 0) <= 1.0

    shifted = network(fit_intercept=True, refit_support=True)
    shifted.fit(A + 5.0, y + 5 * x.sum() + 3.0)
    np.testing.assert_allclose(shifted.coef_, x, atol=1e-10)
    assert shifted.intercept_ == pytest.approx(3.0, abs=1e-9)
    sparse = clone(shifted).fit(sp.csr_array(A + 5.0), y + 5 * x.sum() + 3.0)
    np.testing.assert_allclose(sparse.coef_, shifted.coef_, atol=1e-10)

    positive = network(positive=True, refit_support=True).fit(A, A @ np.abs(x))
    np.testing.assert_allclose(positive.coef_, np.abs(x), atol=1e-12)


def test_newton_system_solves_what_it_says():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((30, 90))
    h = 10.0 ** rng.uniform(-9, -8, 90)
    h[rng.permutation(90)[:12]] = 10.0 ** rng.uniform(-3, 1, 12)
    r = rng.standard_normal(30)
    for ridge in (0.0, 1e-8):
        expected = np.linalg.solve((A * h) @ A.T + ridge * np.eye(30), r)
        system = NewtonSystem(Design(A))
        for _ in range(2):  # with the preconditioner that the first solution left
            dnu, ds = system.solve(h, r, 1e-12, ridge)
            np.testing.assert_allclose(dnu, expected, rtol=1e-4)
            np.testing.assert_allclose(A @ (h * ds) + ridge * dnu, r, atol=1e-9)


# ----------------------------------------------------------------------- mirror descent and paths


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_mirror_ends_in_the_limit(depth):
    A, y, _ = problem()
    limit = network(depth, 0.1, tol=1e-11).fit(A, y)
    implicit = network(depth, 0.1, solver="mirror", tol=1e-10).fit(A, y)
    np.testing.assert_allclose(implicit.coef_, limit.coef_, atol=1e-7)


def test_multiplicative_update_is_the_literal_one():
    A, y, _ = problem()
    Y = np.column_stack([y, -2 * y])
    eta, alpha, n = 0.05, 0.1, len(y)
    u = v = np.full((40, 2), alpha)
    for _ in range(200):
        g = A.T @ (A @ (u * u - v * v) - Y) / n
        u, v = u * np.exp(-2 * eta * g), v * np.exp(2 * eta * g)
    model = network(2, alpha, solver="mirror", learning_rate=eta, max_iter=200, tol=0.0)
    with pytest.warns(ConvergenceWarning):
        model.fit(A, Y)
    np.testing.assert_allclose(model.coef_, (u * u - v * v).T, atol=1e-13)
    np.testing.assert_allclose(model.weights_, [u, v], rtol=1e-12)


def test_identity_of_the_average_at_every_multiplicative_step():
    A, y, _ = problem()
    eta, alpha = 0.01, 0.1
    u = v = np.full(40, alpha)
    total = np.zeros(40)
    for t in range(1, 2001):
        x = u * u - v * v
        total += x
        g = A.T @ (A @ x - y)
        u, v = u * np.exp(-2 * eta * g), v * np.exp(2 * eta * g)
        if t % 100 == 0:
            dual = np.arcsinh((u * u - v * v) / (2 * alpha**2)) / (4 * eta * t)
            np.testing.assert_allclose(A.T @ (y - A @ total / t), dual, atol=1e-13)


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("positive", [False, True])
def test_identity_of_the_averaged_path(depth, positive):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((60, 20)) / np.sqrt(60)
    y = A[:, :3] @ [2.0, -1.5, 1.0] + 0.05 * rng.standard_normal(60)
    potential = Potential.from_init(depth, 0.02, positive)
    penalties = np.geomspace(1.0, 1e-3, 20)
    averages, duals = averaged_path(Design(A), y, potential, penalties, 1.2, 1e-13)
    times = potential.dual_level / penalties
    np.testing.assert_allclose(A.T @ (y[:, None] - A @ averages), duals / times, atol=1e-10)


@pytest.mark.parametrize(
    ("depth", "alpha", "gap"), [(2, 1e-2, 1e-2), (2, 1e-4, 2e-3), (2, 1e-8, 6e-4), (4, 0.03, 5e-4)]
)
def test_path_agrees_with_the_lasso(depth, alpha, gap):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((60, 20)) / np.sqrt(60)
    y = A[:, :3] @ [2.0, -1.5, 1.0] + 0.05 * rng.standard_normal(60)
    alphas, coefs, gaps = diagonal_network_path(A, y, depth=depth, init_scale=alpha)
    reference = lasso_path(A, y, alphas=alphas, tol=1e-10, max_iter=100_000)[1]

    def objective(w):
        return ((y[:, None] - A @ w) ** 2).sum(axis=0) / 120 + alphas * np.abs(w).sum(axis=0)

    excess = objective(coefs) - objective(reference)
    assert (excess <= gap * objective(reference)).all()
    assert (excess <= gaps + 1e-12).all()
    given = diagonal_network_path(A, y, depth=depth, init_scale=alpha, alphas=alphas[[5, 80]])
    np.testing.assert_allclose(given[1], coefs[:, [5, 80]], atol=0.02)


@pytest.mark.parametrize("solver", ["mirror", "gd"])
def test_early_stopping(solver):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((80, 200))
    x = np.zeros(200)
    x[:4] = 1.0
    y = A @ x + 0.5 * rng.standard_normal(80)
    fresh = rng.standard_normal((500, 200))
    options = {"init_scale": 0.1, "solver": solver, "max_iter": 3000, "random_state": 0}
    level = network(stopping="discrepancy", noise_level=0.5, **options).fit(A, y)
    held = network(stopping="validation", **options).fit(A, y)
    whole = network(init_scale=0.1).fit(A, y)
    errors = [((fresh @ (m.coef_ - x)) ** 2).mean() for m in (level, held, whole)]
    assert errors[0] < 0.6 * errors[2] and errors[1] < 0.6 * errors[2]
    residual = np.linalg.norm(A @ level.coef_ - y) / np.sqrt(80)
    assert 0.3 < residual <= 0.5


# ------------------------------------------------------------------------------- gradient descent


def test_descent_is_the_literal_one_and_ends_in_the_limit():
    A, y, _ = problem()
    eta, n = 0.1, len(y)
    u = v = np.full(40, 0.3)
    streamed = network(3, 0.3, solver="gd", learning_rate=eta)
    for _ in range(50):
        g = A.T @ (A @ (u**3 - v**3) - y) / n
        u, v = u - eta * 3 * u**2 * g, v + eta * 3 * v**2 * g
        streamed.partial_fit(A, y)
    np.testing.assert_allclose(streamed.weights_, [u, v], rtol=1e-12)
    assert streamed.n_iter_ == 50
    small = network(3, 0.3, solver="gd", learning_rate=0.1, tol=1e-4)
    limit = network(3, 0.3).fit(A, y)
    np.testing.assert_allclose(small.fit(A, y).coef_, limit.coef_, atol=5e-3)
    automatic = network(3, 0.3, solver="gd", tol=1e-5).fit(A, y)
    assert automatic.interpolation_residual_ <= 1e-4
    assert automatic.sharpness(A) == pytest.approx(limit.sharpness(A), rel=0.1)


@pytest.mark.parametrize("eta", [0.01, 0.5])
def test_products_of_weights_at_any_step_size(eta):
    # |u v| = alpha^2 prod |1 - 4 eta^2 g^2|: the effective initialisation of large steps.
    A, y, _ = problem()
    model = network(2, 0.1, solver="gd", learning_rate=eta)
    log = np.full(40, 2 * np.log(0.1))
    coef = np.zeros(40)
    for _ in range(300):
        g = A.T @ (A @ coef - y) / len(y)
        log += np.log(np.abs(1 - 4 * eta**2 * g**2))
        coef = model.partial_fit(A, y).coef_
    np.testing.assert_allclose(np.abs(model.weights_).prod(axis=0), np.exp(log), atol=1e-14)


def test_sharpness_follows_the_step_size():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((20, 40))
    y = A[:, :3] @ [1.0, -1.0, 1.0]
    critical = learning_rate_path(A, y, [0.01]).critical_learning_rate
    path = learning_rate_path(A, y, np.array([0.1, 0.5, 0.9, 1.1, 1.2]) * critical)
    assert path.converged.all()
    # Below, sharpness is that of the flow whatever the step; above, 2 / step.
    np.testing.assert_allclose(path.sharpness[:3], path.flow_sharpness, rtol=0.05)
    np.testing.assert_allclose(path.sharpness[3:], 2 / path.learning_rates[3:], rtol=0.02)
    assert (np.diff(path.squared_weight_norm[2:]) > 0).all()
    # Twice the sum of |u v| apart: ||w||^2 is the l1 norm once the weights are balanced.
    model = network(2, 0.1, solver="gd", learning_rate=0.1 * critical)
    np.testing.assert_allclose(model.fit(A, y).coef_, path.coefs[:, 0], atol=1e-4)
    assert model.sharpness(A) == pytest.approx(path.sharpness[0], rel=1e-4)


def test_norm_and_sharpness_are_least_at_different_solutions():
    # One equation, x >= 0: all on the largest entry has the least norm, all on the smallest the
    # least sharpness.
    a, y = np.array([[0.5, 1.0, 2.0]]), np.array([3.0])
    model = network(2, 1e-6, positive=True, tol=1e-12).fit(a, y)
    np.testing.assert_allclose(model.coef_, [0, 0, 1.5], atol=1e-4)
    assert model.sharpness(a) == pytest.approx(4 * 3.0 * 2.0, rel=1e-3)
    for j in range(3):
        only = np.zeros(3)
        only[j] = y[0] / a[0, j]
        model.weights_ = np.sqrt(only)[None]
        assert model.sharpness(a) == pytest.approx(4 * y[0] * a[0, j])


def test_sharpness_is_a_function_of_balanced_coefficients():
    A, y, _ = problem(15, 40, 3)
    model = network(2, 1e-4, tol=1e-11).fit(A, y)
    weighted = (A * np.abs(model.coef_)) @ A.T
    expected = 4 / 15 * np.linalg.eigvalsh(weighted).max()
    assert model.sharpness(A) == pytest.approx(expected, rel=1e-4)


def test_step_sizes_beyond_the_bound_raise_with_it():
    A, y, _ = problem()
    bound = 2 / network(2, 0.1).fit(A, y).sharpness(A)
    for solver in ("gd", "mirror"):
        model = network(2, 0.1, solver=solver, learning_rate=20 * bound)
        with pytest.raises(ValueError, match=f"too large.*2 / sharpness = {bound:.3g}"):
            model.fit(A, y)
    noisy = network(2, 0.1, solver="gd", learning_rate=1e3)
    with pytest.raises(ValueError, match="too large.*diverged. Use a smaller one"):
        noisy.fit(np.vstack([A, A]), np.r_[y, -y])
    path = learning_rate_path(A, y, [0.1 * bound, 20 * bound], max_iter=5000)
    assert path.converged.tolist() == [True, False]
    assert np.isnan(path.sharpness[1]) and np.isnan(path.coefs[:, 1]).all()


@pytest.mark.parametrize(("depth", "alpha"), [(2, 0.1), (3, 0.3), (4, 0.3)])
@pytest.mark.parametrize(("share", "stable"), [(0.97, True), (1.03, False)])
def test_bound_of_the_step_size_is_sharp(depth, alpha, share, stable):
    A, y, _ = problem()
    limit = network(depth, alpha, tol=1e-11).fit(A, y)
    eta = share * 2 / limit.sharpness(A)
    # Gradient descent from next to the limit.
    descent = network(depth, alpha, solver="gd", learning_rate=eta)
    descent.partial_fit(A, y)
    noise = np.random.default_rng(0).standard_normal((2, 40))
    descent.weights_ = limit.weights_ * (1 + 1e-7 * noise)
    residuals = []
    for _ in range(400):
        residuals.append(descent.partial_fit(A, y).interpolation_residual_)
    assert (residuals[-1] < 0.05 * residuals[0]) == stable
    assert (residuals[-1] > 1e3 * residuals[0]) != stable
    # The multiplicative update from its start: it has one fixed point, the limit.
    mirror = network(depth, alpha, solver="mirror", learning_rate=eta)
    if stable:
        mirror.fit(A, y)
        np.testing.assert_allclose(mirror.coef_, limit.coef_, atol=1e-6)
    else:
        try:
            with pytest.warns(ConvergenceWarning):
                assert mirror.fit(A, y).interpolation_residual_ > 1e-3
        except ValueError as error:
            assert "too large" in str(error)


# ---------------------------------------------------------------------------------------- decoder


def test_decoder_keeps_the_contract():
    for check in yield_decoder_checks(DiagonalNetworkDecoder()):
        check()


def test_decoder_in_sparse_pca():
    data = make_sparse_spiked_covariance(
        n_samples=500,
        n_features=3000,
        eigenvalues=(20, 10),
        n_nonzero_coefs=5,
        noise=0.1,
        random_state=0,
    )
    options = {"n_nonzero_coefs": 5, "n_measurements": 200, "range_size": 30, "random_state": 0}
    pca = SketchedSparsePCA(2, decoder="diagonal_network", **options).fit(data.data)
    assert pca.support_.tolist() == data.support.tolist()


# -------------------------------------------------------------------------------------- estimator


def test_grid_search_over_depth_and_scale():
    A, y, x = problem(60, 120, 5)
    grid = {"depth": [2, 4], "init_scale": [0.01, 0.3]}
    search = GridSearchCV(network(), grid, cv=3).fit(A, y)
    assert search.best_params_ == {"depth": 4, "init_scale": 0.01}
    np.testing.assert_allclose(search.best_estimator_.coef_, x, atol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"weight_normalization": True, "solver": "gd"}, "weight_normalization=True needs"),
        ({"stopping": "validation"}, "needs solver='mirror' or 'gd'"),
        ({"stopping": "discrepancy", "solver": "mirror"}, "needs noise_level"),
        ({"depth": 1}, "depth"),
        ({"init_scale": 0.0}, "init_scale"),
    ],
)
def test_parameters_that_contradict(parameters, message):
    A, y, _ = problem()
    with pytest.raises(ValueError, match=message):
        network(**parameters).fit(A, y)


def test_partial_fit_is_there_for_descent_only():
    assert hasattr(network(solver="gd"), "partial_fit")
    assert not hasattr(network(), "partial_fit")
    assert not hasattr(network(solver="gd", fit_intercept=True), "partial_fit")


def test_paths_refuse_what_they_cannot_use():
    A, y, _ = problem()
    with pytest.raises(ValueError, match="alphas must be positive"):
        diagonal_network_path(A, y, alphas=[0.1, 0.0])
    with pytest.raises(ValueError, match="growth"):
        diagonal_network_path(A, y, growth=1.0)
    with pytest.raises(ValueError, match="vanishes"):
        diagonal_network_path(A, 0 * y)
    with pytest.raises(ValueError, match="learning_rates must be positive"):
        learning_rate_path(A, y, [0.1, -1.0])


@pytest.mark.parametrize("depth", [2, 3])
def test_learning_rates_where_no_weights_fit(depth):
    """Least squares leave a residual, and the flow ends where the gradient does."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 6))
    y = 2 * X[:, 0] - X[:, 1] + 0.3 * rng.standard_normal(40)
    # Coefficients are weights to the power of the depth, and the small ones are slow.
    path = learning_rate_path(X, y, depth=depth, max_iter=20_000 if depth == 2 else 40_000)
    least = np.linalg.lstsq(X, y, rcond=None)
    assert not path.converged.any()
    np.testing.assert_allclose(path.coefs[:, 2], least[0], atol=1e-4)
    np.testing.assert_allclose(path.loss[2], least[1][0] / 80, rtol=1e-6)
    assert path.flow_sharpness >= path.sharpness[2] * (1 - 1e-6)


def test_learning_rates_of_nothing():
    X = np.random.default_rng(0).standard_normal((10, 4))
    path = learning_rate_path(X, np.zeros(10))
    assert path.converged.all() and not path.coefs.any()
    # At the start u = v = 0.1, where the Hessian is that of both sides.
    largest = np.linalg.eigvalsh(X.T @ X / 10)[-1]
    np.testing.assert_allclose(path.flow_sharpness, 4 * 2 * 0.01 * largest)
    with pytest.raises(ValueError, match="All entries of X are zero"):
        learning_rate_path(0 * X, X[:, 0])


def test_a_path_that_starts_too_far_out_warns():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 12))
    y = 2 * X[:, 0] - X[:, 1] + 0.1 * rng.standard_normal(40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = diagonal_network_path(X, y)[1]
        diagonal_network_path(X, 1e-2 * y)
    for scale in (1e-4, 1e-8):
        with pytest.warns(UserWarning, match="too large for this y.*Give at most") as told:
            diagonal_network_path(X, scale * y)
        assert told[0].filename == __file__
        named = float(re.search(r"Give at most ([0-9.e-]+),", str(told[0].message))[1])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = diagonal_network_path(X, scale * y, init_scale=named)[1] / scale
        np.testing.assert_allclose(found, expected, atol=0.02)
