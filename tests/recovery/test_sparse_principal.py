"""The small sparse eigenproblem: certificates by brute force, published optima, deflation."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_wine

from sklearn_sparse_eig.recovery._sparse_exchange import _exact_swap, _swap_gains
from sklearn_sparse_eig.recovery._sparse_principal import (
    sparse_principal_vector,
    sparse_principal_vectors,
)


def top_value(B, support):
    support = np.asarray(support)
    return np.linalg.eigvalsh(B[np.ix_(support, support)])[-1]


def exchanges(p, support):
    """All (position of i, j, new support) one exchange away."""
    for position in range(len(support)):
        for j in np.setdiff1d(np.arange(p), support):
            new = support.copy()
            new[position] = j
            yield position, j, np.sort(new)


def global_optimum(B, s):
    return max(top_value(B, support) for support in combinations(range(len(B)), s))


def assert_swap_optimal(B, found, rtol=1e-10):
    assert found.is_swap_optimal
    np.testing.assert_allclose(found.eigenvalue, top_value(B, found.support), atol=1e-9)
    slack = rtol * max(np.abs(B).max(), 1e-300) * len(B)
    for _, _, support in exchanges(len(B), found.support):
        assert top_value(B, support) <= found.eigenvalue + slack


@st.composite
def symmetric_matrices(draw, kind=None):
    p = draw(st.integers(1, 10))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = kind or draw(
        st.sampled_from(["indefinite", "psd", "low_rank", "integer", "blocks", "graph"])
    )
    Z = rng.standard_normal((p, p))
    if kind == "psd":
        return Z @ Z.T
    if kind == "low_rank":
        return Z[:, :2] @ Z[:, :2].T
    if kind == "integer":  # ties and repeated eigenvalues
        Z = rng.integers(-1, 2, (p, p)).astype(float)
    if kind == "graph":  # zero diagonal
        Z = np.triu(rng.integers(0, 2, (p, p)), 1).astype(float)
    if kind == "blocks":  # eigenvectors with exact zeros
        labels = rng.integers(0, 3, p)
        return (labels[:, None] == labels).astype(float)
    return Z + Z.T


@settings(max_examples=120, deadline=None)
@given(symmetric_matrices(), st.data())
def test_result_is_swap_optimal(B, data):
    s = data.draw(st.integers(1, len(B)))
    found = sparse_principal_vector(B, s, rng=0)
    assert_swap_optimal(B, found)
    v = found.toarray(len(B))
    assert np.count_nonzero(v) <= s
    assert np.all(np.diff(found.support) > 0)
    # The first of those entries that tie for the largest is positive.
    assert v[np.argmax(np.abs(v) > (1.0 - 1e-9) * np.abs(v).max())] > 0
    np.testing.assert_allclose(np.linalg.norm(v), 1)
    np.testing.assert_allclose(v @ B @ v, found.eigenvalue, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(symmetric_matrices(), st.data())
def test_one_exchange_from_everything_means_global(B, data):
    s = data.draw(st.sampled_from([1, max(1, len(B) - 1), len(B)]))
    found = sparse_principal_vector(B, s, starts=1, rng=0)
    np.testing.assert_allclose(found.eigenvalue, global_optimum(B, s), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 10), st.data())
def test_global_optimum_of_a_spiked_matrix(p, data):
    s = data.draw(st.integers(2, p - 1))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    planted = rng.choice(p, s, replace=False)
    u = np.zeros(p)
    u[planted] = rng.choice([-1, 1], s) / np.sqrt(s)
    Z = rng.standard_normal((200, p))
    B = 10 * np.outer(u, u) + Z.T @ Z / 200
    found = sparse_principal_vector(B, s, rng=0)
    assert set(found.support) == set(planted)
    np.testing.assert_allclose(found.eigenvalue, global_optimum(B, s))


def bounds_of(B, support, tol):
    w, U = np.linalg.eigh(B[np.ix_(support, support)])
    outside = np.setdiff1d(np.arange(len(B)), support)
    lower, doubtful = _swap_gains(w, U, B[np.ix_(support, outside)], np.diagonal(B)[outside], tol)
    gains = np.empty_like(lower)
    for position, j, new in exchanges(len(B), support):
        gains[position, np.searchsorted(outside, j)] = top_value(B, new) - w[-1]
    return lower, doubtful, gains


@settings(max_examples=120, deadline=None)
@given(symmetric_matrices(), st.data())
def test_exchange_bounds_hold(B, data):
    p = len(B)
    if p == 1:
        return
    s = data.draw(st.integers(1, p - 1))
    support = np.sort(np.array(data.draw(st.permutations(range(p))))[:s])
    tol = 1e-10 * max(1.0, np.abs(B).max())
    lower, doubtful, gains = bounds_of(B, support, tol)
    assert np.all(lower <= gains + 100 * tol)
    # Whatever is not doubtful does not help, and what helps is found.
    assert np.all(gains[~doubtful] <= 100 * tol)
    helps = gains > 100 * tol
    assert np.all(doubtful[helps])
    outside = np.setdiff1d(np.arange(p), support)
    pair = _exact_swap(B, support, outside, doubtful, top_value(B, support) + tol)
    assert len(pair) or not helps.any()
    if len(pair):
        assert gains[tuple(pair[0])] > 0


@pytest.mark.parametrize("shift", [0.0, -20.0])
def test_exchange_formula_is_exact_for_a_simple_eigenvalue(shift):
    """The closed form says which exchanges help: all 10 * 30 of them, none in doubt wrongly."""
    rng = np.random.default_rng(1)
    Z = rng.standard_normal((60, 40))
    B = Z.T @ Z / 60 + shift * np.eye(40)
    support = np.argsort(-np.diagonal(B))[:10]
    lower, doubtful, gains = bounds_of(B, np.sort(support), 1e-12)
    np.testing.assert_array_equal(doubtful, gains > 1e-12)
    assert 0 < doubtful.sum() < doubtful.size
    assert np.all(lower <= gains + 1e-12)
    # The guaranteed gain is of use: it finds most of the best exchange.
    assert lower.max() > 0.5 * gains.max()


@pytest.mark.parametrize("s, optimum", [(5, 3.406155), (10, 4.172638)])
def test_pitprops(s, optimum):
    from sklearn_sparse_eig.datasets import load_pitprops

    B = np.asarray(load_pitprops().data)
    found = sparse_principal_vector(B, s, rng=0)
    assert found.eigenvalue == pytest.approx(optimum, abs=1e-6)
    assert found.eigenvalue == pytest.approx(global_optimum(B, s))


@pytest.mark.parametrize("s, optimum", [(5, 3.439778), (10, 4.594293)])
def test_wine(s, optimum):
    B = np.corrcoef(load_wine().data.T)
    found = sparse_principal_vector(B, s, rng=0)
    assert found.eigenvalue == pytest.approx(optimum, abs=1e-6)
    assert found.eigenvalue == pytest.approx(global_optimum(B, s))


def noise_covariance(p, n=300, seed=0):
    """No planted structure: the hardest landscape for a local search."""
    Z = np.random.default_rng(seed).standard_normal((n, p)) * np.linspace(2, 0.5, p)
    return Z.T @ Z / n


@pytest.mark.parametrize("make", [noise_covariance, lambda p: noise_covariance(p) - 3 * np.eye(p)])
def test_medium_size_is_swap_optimal(make):
    B = make(150)
    found = sparse_principal_vector(B, 12, rng=0)
    assert_swap_optimal(B, found)


def test_more_starts_are_no_worse():
    B = noise_covariance(120, n=100)
    values = [sparse_principal_vector(B, 8, starts=n, rng=0).eigenvalue for n in (1, 3, 20)]
    assert values[0] <= values[2] + 1e-12 and values[1] <= values[2] + 1e-12


@pytest.mark.parametrize("extra", [0, 1, 100])
def test_full_support_is_the_eigenvector(extra):
    B = noise_covariance(20)
    w, U = np.linalg.eigh(B)
    found = sparse_principal_vector(B, 20 + extra)
    np.testing.assert_allclose(found.eigenvalue, w[-1], rtol=1e-13)
    np.testing.assert_allclose(abs(found.values @ U[:, -1]), 1, rtol=1e-13)


@pytest.mark.parametrize(
    "which, order", [("LA", lambda w: -w), ("SA", lambda w: w), ("LM", lambda w: -np.abs(w))]
)
@pytest.mark.parametrize(
    "spectrum",
    [[5.0, 4, 3, 2, 1], [5.0, 4, 0, 0, 0], [-1.0, -2, -3, -4, -5], [3.0, 2, -1, -2.5, -4]],
)
def test_full_support_deflation_gives_the_eigenvectors(which, order, spectrum):
    spectrum = np.array(spectrum)
    p = len(spectrum)
    Q, _ = np.linalg.qr(np.random.default_rng(3).standard_normal((p, p)))
    B = (Q * spectrum) @ Q.T
    found = sparse_principal_vectors(B, p, p, which=which, rng=0)
    V = found.vectors
    np.testing.assert_allclose(V.T @ V, np.eye(p), atol=1e-8)
    if len(set(np.abs(spectrum))) == p:
        expected = np.argsort(order(spectrum))
        np.testing.assert_allclose(np.abs(Q[:, expected].T @ V), np.eye(p), atol=1e-8)
        np.testing.assert_allclose(found.eigenvalues, spectrum[expected], atol=1e-8)
    assert np.all(V[np.argmax(np.abs(V), axis=0), np.arange(p)] > 0)
    assert found.is_swap_optimal.all()


def planted_blocks(values, size=6, p=60):
    U = np.zeros((p, len(values)))
    for k in range(len(values)):
        U[k * size : (k + 1) * size, k] = 1 / np.sqrt(size)
    noise = 0.1 * (noise_covariance(p) - np.eye(p))
    return (U * values) @ U.T + noise, U


@pytest.mark.parametrize("which, picked", [("LA", [0, 2]), ("SA", [1, 3]), ("LM", [0, 1, 2, 3])])
def test_planted_components_of_both_signs(which, picked):
    B, U = planted_blocks(np.array([10.0, -9.0, 8.0, -7.0]))
    found = sparse_principal_vectors(B, len(picked), 6, which=which, rng=0)
    for k, planted in enumerate(picked):
        np.testing.assert_array_equal(
            np.flatnonzero(found.vectors[:, k]), np.flatnonzero(U[:, planted])
        )
    np.testing.assert_allclose(
        found.eigenvalues, np.einsum("ik,ij,jk->k", found.vectors, B, found.vectors)
    )


def test_sizes_per_component_and_equality_with_one_vector():
    B = noise_covariance(30)
    found = sparse_principal_vectors(B, 3, [4, 7, 2], rng=0)
    np.testing.assert_array_equal(np.count_nonzero(found.vectors, axis=0), [4, 7, 2])
    first = sparse_principal_vector(B, 4, rng=0)
    np.testing.assert_array_equal(found.vectors[:, 0], first.toarray(30))


def test_deterministic_and_input_kept():
    B = noise_covariance(80)
    B.flags.writeable = False
    one, two = (sparse_principal_vectors(B, 3, 5, rng=7) for _ in range(2))
    np.testing.assert_array_equal(one.vectors, two.vectors)


@pytest.mark.parametrize("s", [1, 2, 4])
@pytest.mark.parametrize("B", [np.zeros((4, 4)), np.eye(4), -np.eye(4), np.ones((4, 4))])
def test_matrices_without_a_preferred_direction(B, s):
    found = sparse_principal_vectors(B, 4, s, rng=0)
    assert np.isfinite(found.vectors).all() and found.is_swap_optimal.all()
    assert np.linalg.matrix_rank(found.vectors) == 4


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_scale_does_not_matter(scale):
    B = noise_covariance(40)
    one, two = (sparse_principal_vector(c * B, 6, rng=0) for c in (1.0, scale))
    np.testing.assert_array_equal(one.support, two.support)
    np.testing.assert_allclose(two.eigenvalue, scale * one.eigenvalue)


@pytest.mark.parametrize(
    "B, message",
    [
        (np.ones((2, 3)), r"square.*\(2, 3\)"),
        (np.ones(3), "square"),
        (np.ones((0, 0)), "nonempty"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "NaN"),
        (np.array([[np.inf, 0.0], [0.0, 1.0]]), "NaN or infinity"),
    ],
)
def test_bad_matrices(B, message):
    with pytest.raises(ValueError, match=message):
        sparse_principal_vector(B, 1)
    with pytest.raises(ValueError, match=message):
        sparse_principal_vectors(B, 1, 1)


def test_bad_parameters():
    B = np.eye(3)
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="n_nonzero"):
            sparse_principal_vector(B, bad)
        with pytest.raises(ValueError, match="n_nonzero"):
            sparse_principal_vectors(B, 1, bad)
    with pytest.raises(ValueError, match="n_nonzero.*2"):
        sparse_principal_vectors(B, 2, [1, 1, 1])
    with pytest.raises(ValueError, match="n_components.*1 to 3"):
        sparse_principal_vectors(B, 4, 1)
    with pytest.raises(ValueError, match="which"):
        sparse_principal_vectors(B, 1, 1, which="BE")
    with pytest.raises(ValueError, match="starts"):
        sparse_principal_vector(B, 1, starts=0)
