"""Starts of the sparse eigenproblem: growth that climbs, bounds that leave out none of the best."""

import numpy as np
import pytest

from sklearn_sparse_eig.recovery._joint_solution import _Search
from sklearn_sparse_eig.recovery._joint_steps import captured_variance
from sklearn_sparse_eig.recovery._sparse_starts import (
    _among_the_best,
    _best_first,
    _climbed,
    _grow,
    _product,
    candidate_supports,
)


def matrix(kind, p, seed):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((p, p))
    if kind == "indefinite":
        return Z + Z.T
    if kind == "graph":
        Z = np.triu(Z > 1.0, 1).astype(float)
        return Z + Z.T
    if kind == "nearly identity":
        return np.eye(p) + 1e-3 * (Z + Z.T)
    if kind == "negative":
        return -Z @ Z.T
    return Z[:, : p // 2] @ Z[:, : p // 2].T


KINDS = ["indefinite", "graph", "nearly identity", "negative", "low rank"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("s", [1, 2, 7, 20])
def test_products_are_those_of_dense_vectors(kind, s):
    B, rng = matrix(kind, 40, 0), np.random.default_rng(1)
    supports = np.argsort(rng.random((6, 40)), axis=1)[:, :s]
    vectors = rng.standard_normal((6, s))
    dense = np.zeros((6, 40))
    np.put_along_axis(dense, supports, vectors, axis=1)
    np.testing.assert_allclose(_product(B, supports, vectors), dense @ B, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_climb_loses_nothing_and_keeps_the_product(kind):
    B, rng = matrix(kind, 40, 2), np.random.default_rng(3)
    supports = np.argsort(rng.random((9, 40)), axis=1)[:, :8]
    vectors = rng.standard_normal((9, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    image = _product(B, supports, vectors)

    def values():
        return np.einsum("ij,ij->i", vectors, np.take_along_axis(image, supports, axis=1))

    top = np.linalg.eigvalsh(B[supports[:, :, None], supports[:, None, :]])[:, -1]
    reached = values()
    for _ in range(60):
        before = reached
        vectors, image = _climbed(B, supports, vectors, image)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-14)
        np.testing.assert_allclose(image, _product(B, supports, vectors), atol=1e-12)
        reached = values()
        assert (reached >= before - 1e-12).all()
        assert (reached <= top + 1e-12).all()
    assert np.median(top - reached) < 1e-3 * np.abs(top).max()


def test_an_eigenvector_stays_where_it_is():
    B = matrix("indefinite", 30, 4)
    supports = np.arange(12).reshape(2, 6)
    vectors = np.linalg.eigh(B[supports[:, :, None], supports[:, None, :]])[1][..., -1]
    moved, image = _climbed(B, supports, vectors, _product(B, supports, vectors))
    np.testing.assert_allclose(moved, vectors, atol=1e-12)
    np.testing.assert_allclose(image, _product(B, supports, vectors), atol=1e-12)


@pytest.mark.parametrize("kind", ["indefinite", "nearly identity", "low rank"])
def test_rounding_does_not_decide_what_grows(kind):
    B = matrix(kind, 120, 5)
    noise = 1e-15 * matrix("indefinite", 120, 6)
    seeds = np.arange(0, 120, 12)
    (one, values), (two, others) = (_grow(A, seeds, 40) for A in (B, B + noise))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(values, others, atol=1e-9)
    assert all(len(set(support)) == 40 for support in one)


def test_growth_takes_the_largest_of_a_diagonal():
    B = np.diag(np.r_[np.zeros(20), 1.0:11.0])
    supports, _ = _grow(B, np.array([0, 25]), 5)
    assert 29 in supports[0] and 29 in supports[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", [1, 3])
def test_the_best_blocks_are_never_left_out(kind, most):
    B, rng = matrix(kind, 60, 7), np.random.default_rng(8)
    for s in (1, 2, 5, 12):
        supports = np.argsort(rng.random((50, 60)), axis=1)[:, :s]
        blocks = B[supports[:, :, None], supports[:, None, :]]
        top = np.linalg.eigvalsh(blocks)[:, -1]
        possible = _among_the_best(blocks, rng.standard_normal((50, s)), most)
        assert len(possible) >= most
        best = np.sort(top)[-most:]
        np.testing.assert_allclose(np.sort(top[possible])[-most:], best, atol=1e-12)


def test_bounds_leave_few_blocks_where_some_are_far_better():
    B = np.eye(60) + 0.01 * matrix("indefinite", 60, 9)
    B[:3, :3] += 5.0
    supports = np.array([[0, 1, 2], [0, 1, 9], [0, 2, 9], *np.arange(10, 58).reshape(16, 3)])
    blocks = B[supports[:, :, None], supports[:, None, :]]
    np.testing.assert_array_equal(_among_the_best(blocks, np.ones((19, 3)), 3), [0, 1, 2])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_largest_come_with_the_largest_of_all_in_front(count):
    scores = np.random.default_rng(10).standard_normal((7, 12))
    chosen = _best_first(scores, count)
    np.testing.assert_array_equal(chosen[:, 0], scores.argmax(axis=1))
    expected = np.argsort(-scores, axis=1)[:, :count]
    np.testing.assert_array_equal(np.sort(chosen, axis=1), np.sort(expected, axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_candidates_are_distinct_and_the_best_comes_first(kind):
    B = matrix(kind, 50, 11)
    found = candidate_supports(B, 6, 3, np.random.default_rng(0))
    values = [value for _, value in found]
    assert values == sorted(values, reverse=True)
    for support, value in found:
        assert len(set(support)) == 6 and (np.diff(support) > 0).all()
        assert value <= np.linalg.eigvalsh(B[np.ix_(support, support)])[-1] + 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_traces_of_the_first_vectors_are_those_of_each_span(kind):
    A, rng = matrix(kind, 30, 12), np.random.default_rng(13)
    V = np.where(rng.random((30, 5)) < 0.3, rng.standard_normal((30, 5)), 0.0)
    found = _Search(A, 3, rng, True).captured_by_first(V)
    expected = [captured_variance(lambda Q: A @ Q, V[:, :r]) for r in range(1, 6)]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
    V[:, 3] = V[:, 1]
    dependent = _Search(A, 3, rng, True).captured_by_first(V)
    np.testing.assert_allclose(dependent[:3], expected[:3], rtol=1e-9, atol=1e-9)
    assert (dependent[3:] == -np.inf).all()
