"""Groups of features and common features of targets: the flow, its limit, and what they gain."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.integrate import solve_ivp
from scipy.sparse.linalg import aslinearoperator

from sklearn_sparse_eig import DiagonalNetworkRegressor
from sklearn_sparse_eig.implicit import l1_gap_bound

# The end of the training, without an intercept.
network = partial(DiagonalNetworkRegressor, solver="limit", fit_intercept=False)


def problem(M=12, N=30, T=3, k=3, seed=0):
    rng = np.random.default_rng(seed)
    A, W = rng.standard_normal((M, N)) / np.sqrt(M), np.zeros((N, T))
    W[rng.permutation(N)[:k]] = rng.standard_normal((k, T))
    return A, A @ W, W


def sum_of_norms(W, labels):
    return np.sqrt(np.bincount(labels, (W**2).sum(axis=1))).sum()


def polar_flow(A, Y, labels, alpha, L, end=1e5):
    """Return the end of gradient flow on gates u, v and directions theta of each group.

    Gates descend with rate 1, a direction with rate c / (sigma r), sigma the length that belongs
    to its gates.
    """
    (N, T), count = (A.shape[1], Y.shape[1]), labels.max() + 1
    c = 4.0 if L == 2 else L * (L - 2) * alpha ** (L - 2)

    def parts(state):
        u, v = state[: 2 * count].reshape(2, count)
        return u, v, state[2 * count :].reshape(N, T)

    def length(u):
        return 2 * np.log(u / alpha) if L == 2 else 1 - (u / alpha) ** -(L - 2)

    def velocity(t, state):
        u, v, theta = parts(state)
        r = u**L - v**L
        G = A.T @ (A @ (r[labels, None] * theta) - Y)
        along = np.bincount(labels, (G * theta).sum(axis=1), count)
        across = G - along[labels, None] * theta
        # The gradient in theta is r times what is across, whence the rate leaves c / sigma.
        turn = -(c / length(u))[labels, None] * across
        return np.r_[-L * u ** (L - 1) * along, L * v ** (L - 1) * along, turn.ravel()]

    # Directions are undefined at w = 0, where the flow begins: a first short step, along -gradient.
    G = A.T @ Y
    norms = np.sqrt(np.bincount(labels, (G**2).sum(axis=1), count))
    sigma = 1e-7 * norms / norms.max()
    gates = [
        alpha * np.exp(s / 2) if L == 2 else alpha * (1 - s) ** (-1 / (L - 2))
        for s in (sigma, -sigma)
    ]
    start = np.r_[gates[0], gates[1], (G / norms[labels, None]).ravel()]
    options = {"method": "LSODA", "rtol": 1e-11, "atol": 1e-13}
    u, v, theta = parts(solve_ivp(velocity, (0, end), start, **options).y[:, -1])
    return (u**L - v**L)[labels, None] * theta


def least_norm(A, Y, labels, n_iter=30_000):
    """Return the solution of least sum of norms, by Douglas-Rachford splitting."""
    inverse = np.linalg.pinv(A)
    Z = inverse @ Y
    step = np.abs(Z).max()
    for _ in range(n_iter):
        norms = np.sqrt(np.bincount(labels, (Z**2).sum(axis=1)))
        W = Z * np.maximum(1 - step / np.maximum(norms, 1e-300), 0)[labels, None]
        reflected = 2 * W - Z
        Z = Z + (reflected - inverse @ (A @ reflected - Y)) - W
    return W


# ------------------------------------------------------------------------------------- the limit


@pytest.mark.parametrize(("depth", "alpha"), [(2, 0.1), (3, 0.3), (4, 0.3)])
@pytest.mark.parametrize("size", [1, 3])
def test_limit_is_that_of_the_flow_on_gates_and_directions(depth, alpha, size):
    A, Y, _ = problem()
    labels = np.arange(30) // size
    model = network(depth, alpha, joint=True, groups=labels, tol=1e-11).fit(A, Y)
    trained = polar_flow(A, Y, labels, alpha, depth)
    assert np.linalg.norm(A @ trained - Y) < 1e-8  # it arrived
    np.testing.assert_allclose(model.coef_.T, trained, atol=1e-7)


def test_plain_descent_with_a_weight_for_each_direction_has_the_same_norm():
    # x_j = sum_k u_jk^L theta_k: no polar coordinates, but weights for 64 directions of each row.
    A, Y, W = problem(T=2)
    angles = 2 * np.pi * np.arange(64) / 64
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    model = network(4, 0.01, positive=True)
    model.fit(np.kron(A, directions.T), Y.ravel())
    trained = model.coef_.reshape(30, 64) @ directions
    rows = np.arange(30)
    least = sum_of_norms(least_norm(A, Y, rows), rows)
    assert least - 1e-6 <= sum_of_norms(trained, rows) <= least / np.cos(np.pi / 64) + 1e-3
    np.testing.assert_allclose(trained, W, atol=0.02)


@pytest.mark.parametrize(("T", "size", "k"), [(3, 1, 3), (3, 1, 10), (2, 3, 6), (1, 5, 4)])
def test_limit_tends_to_the_least_sum_of_norms(T, size, k):
    A, Y, _ = problem(15, 40, T, k)
    labels = np.arange(40) // size
    reference = least_norm(A, Y, labels)
    least, n_sides = sum_of_norms(reference, labels), 2 * (labels.max() + 1)
    for depth in (2, 3, 4, 6):
        gaps = []
        for alpha in (0.1, 0.03, 0.01):
            model = network(depth, alpha, joint=True, groups=labels, tol=1e-10).fit(A, Y)
            gaps.append(model.l1_norm_ - least)
            assert model.l1_norm_ == pytest.approx(sum_of_norms(model.coef_.T, labels))
            assert -1e-6 <= gaps[-1] <= l1_gap_bound(least, n_sides, depth, alpha) * least + 1e-6
            assert gaps[-1] <= model.l1_gap_ + 1e-6
        assert gaps[-1] < 0.6 * gaps[0]
    # Within a group the error falls like b^(1 - 2/L) only, that of the norm like its square.
    errors = []
    for alpha in (1e-1, 1e-2, 1e-3):
        model = network(4, alpha, joint=True, groups=labels).fit(A, Y)
        errors.append(np.abs(model.coef_.T - reference).max())
    assert errors[1] < 0.05 * errors[0] and errors[2] < 5e-5


def test_one_target_and_groups_of_one_are_the_plain_network():
    A, Y, _ = problem(20, 50)
    for depth, alpha in ((2, 1e-3), (4, 0.03)):
        plain = network(depth, alpha, tol=1e-11).fit(A, Y)
        single = network(depth, alpha, tol=1e-11, groups=range(50)).fit(A, Y)
        np.testing.assert_allclose(single.coef_, plain.coef_, atol=1e-8)
        np.testing.assert_allclose(single.l1_norm_, plain.l1_norm_, atol=1e-8)
        np.testing.assert_allclose(single.l1_gap_, plain.l1_gap_, atol=1e-8)
        u, v = single.weights_
        np.testing.assert_allclose((u**depth - v**depth).T, np.abs(plain.coef_), atol=1e-8)
        one = network(depth, alpha, tol=1e-11, joint=True).fit(A, Y[:, 0])
        np.testing.assert_allclose(one.coef_, plain.coef_[0], atol=1e-8)


def test_rotated_targets_have_rotated_coefficients():
    A, Y, _ = problem(15, 40, 3, 5)
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    model = network(joint=True, tol=1e-11)
    first, second = model.fit(A, Y).coef_, model.fit(A, Y @ rotation).coef_
    np.testing.assert_allclose(second.T, first.T @ rotation, atol=1e-7)


@pytest.mark.parametrize("M", [20, 50, 80, 95])
def test_every_consistent_problem_is_solved(M):
    for seed, (k, size) in enumerate([(5, 1), (30, 1), (90, 1), (30, 4)]):
        A, Y, _ = problem(M, 100, 4, k, seed)
        labels = np.arange(100) // size
        for depth, alpha in ((2, 1e-6), (3, 0.03), (4, 0.03), (4, 1e-4), (8, 0.03)):
            model = network(depth, alpha, joint=True, groups=labels).fit(A, Y)
            assert model.interpolation_residual_.max() <= 1e-7
            assert model.n_iter_.max() <= 60


def test_dependent_and_inconsistent_equations():
    A, Y, W = problem(30, 80)
    whole = network(joint=True).fit(A, Y)
    for X, targets in ((np.vstack([A, A]), np.vstack([Y, Y])), (sp.csr_array(A), Y)):
        again = network(joint=True).fit(X, targets)
        np.testing.assert_allclose(again.coef_, whole.coef_, atol=1e-7)
    tall = network(joint=True).fit(A[:, :10], A[:, :10] @ W[:10])
    np.testing.assert_allclose(tall.coef_.T, W[:10], atol=1e-7)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no solution: the least .* solver='mirror'"):
        network(joint=True).fit(A[:, :5], rng.standard_normal((30, 2)))


# ----------------------------------------------------------------------------------- what it gains


def test_joint_sparsity_needs_fewer_equations():
    solved = np.zeros(2, dtype=int)
    for seed in range(20):
        A, Y, W = problem(20, 60, 4, 6, seed)
        for method, joint in enumerate((False, True)):
            model = network(joint=joint).fit(A, Y)
            solved[method] += np.abs(model.coef_.T - W).max() < 0.01
    assert solved[0] <= 8 and solved[1] >= 16


def test_groups_need_fewer_equations():
    labels, solved = np.arange(90) // 5, np.zeros(2, dtype=int)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        A, w = rng.standard_normal((35, 90)), np.zeros(90)
        w[np.isin(labels, rng.permutation(18)[:3])] = rng.standard_normal(15)
        for method, groups in enumerate((None, labels)):
            model = network(groups=groups).fit(A, A @ w)
            solved[method] += np.abs(model.coef_ - w).max() < 0.01
    assert solved[0] <= 1 and solved[1] >= 7


def test_refit_and_support_are_those_of_groups():
    A, Y, W = problem(20, 60, 3, 4)
    model = network(joint=True, refit_support=True).fit(A, Y)
    np.testing.assert_allclose(model.coef_.T, W, atol=1e-12)
    np.testing.assert_array_equal(model.support_.T, W != 0)
    assert model.weights_.shape == (2, 60, 3) and model.dual_coef_.shape == (20, 3)
    assert np.isscalar(model.l1_norm_) and np.isscalar(model.l1_gap_)


# -------------------------------------------------------------------------------------- with noise


def test_mirror_ends_in_the_limit_and_can_be_stopped():
    A, Y, W = problem(40, 80, 4, 5)
    limit = network(4, 0.1, joint=True, tol=1e-11).fit(A, Y)
    end = network(4, 0.1, joint=True, solver="mirror", tol=1e-9).fit(A, Y)
    np.testing.assert_allclose(end.coef_, limit.coef_, atol=1e-6)
    noisy = Y + 0.1 * np.random.default_rng(1).standard_normal(Y.shape)
    errors = []
    for options in (
        {"joint": True, "stopping": "discrepancy", "noise_level": 0.1},
        {"stopping": "discrepancy", "noise_level": 0.1},
        {"joint": True},
    ):
        model = network(solver="mirror", tol=1e-6, **options)
        errors.append(np.linalg.norm(model.fit(A, noisy).coef_.T - W))
    assert errors[0] < 0.9 * errors[1]  # than targets one by one
    assert errors[0] < 0.6 * errors[2]  # than not stopped
    held = network(joint=True, solver="mirror", stopping="validation", tol=1e-6)
    held.set_params(validation_fraction=0.25, random_state=0).fit(A, noisy)
    assert (held.n_iter_ < model.n_iter_).all()
    assert held.score(A, Y) > 0.7
    silent = network(joint=True, solver="mirror").fit(A, 0 * Y)
    assert not silent.coef_.any()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"positive": True}, "need positive=False"),
        ({"weight_normalization": True}, "need weight_normalization=False"),
        ({"solver": "gd"}, "need solver='auto' or 'limit', or 'mirror'"),
        ({"solver": "mirror", "learning_rate": 0.1}, "need solver='auto' or 'limit', or 'mirror'"),
        ({"groups": [0, 1]}, "one label for each of 30 features"),
    ],
)
def test_parameters_that_contradict(parameters, message):
    A, Y, _ = problem()
    with pytest.raises(ValueError, match=message):
        network(joint=True, **parameters).fit(A, Y)


def test_kinds_of_equations_that_are_not_offered():
    A, Y, _ = problem()
    with pytest.raises(ValueError, match="need X as an array"):
        network(joint=True).fit(aslinearoperator(A), Y)
    model = network(joint=True).fit(A, Y)
    with pytest.raises(ValueError, match="without joint=True"):
        model.sharpness(A)
