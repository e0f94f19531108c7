"""Bounds on the value of sparse vectors: never below the best by brute force."""

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import sklearn_sparse_eig.recovery._upper_bounds as module
from sklearn_sparse_eig.recovery._exhaustive import best_support, branch_and_bound
from sklearn_sparse_eig.recovery._gershgorin import (
    frobenius_bound,
    largest_sums,
    node_bound,
    possible_features,
    row_bound,
)
from sklearn_sparse_eig.recovery._relaxation import relaxed_bound
from sklearn_sparse_eig.recovery._upper_bounds import upper_bound, upper_bounds


def brute_force(B, size):
    return max(
        np.linalg.eigvalsh(B[np.ix_(ids, ids)])[-1] for ids in combinations(range(len(B)), size)
    )


@st.composite
def problems(draw):
    """A symmetric matrix, a number of nonzeros, the optimum and a value that is reached."""
    n = draw(st.integers(2, 8))
    size = draw(st.integers(1, n))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    kind = draw(st.sampled_from(["psd", "indefinite", "negative", "sparse", "ties", "zero"]))
    G = rng.normal(size=(n, n))
    B = {
        "psd": G @ G.T,
        "indefinite": G + G.T,
        "negative": -G @ G.T - 0.1 * np.eye(n),
        "sparse": np.diag(rng.normal(size=n)) + np.diag(rng.normal(size=n - 1), 1),
        "ties": np.sign(G + G.T),
        "zero": np.zeros((n, n)),
    }[kind]
    B = 0.5 * (B + B.T) * 10.0 ** draw(st.integers(-3, 3))
    best = brute_force(B, size)
    known = draw(st.sampled_from(["best", "diagonal", "some"]))
    value = {
        "best": best,
        "diagonal": B.diagonal().max(),
        "some": np.linalg.eigvalsh(B[:size, :size])[-1],
    }[known]
    return B, size, best, float(value)


def slack(B):
    return 1e-10 * (np.abs(B).max() or 1.0)


@settings(max_examples=100, deadline=None)
@given(problems())
def test_every_bound_holds(problem):
    B, size, best, value = problem
    least = best - slack(B)
    for matrix in (B, sp.csr_array(B)):
        assert row_bound(matrix, size, value) >= least
        assert frobenius_bound(matrix, size) >= least
        assert upper_bound(matrix, size, value) >= least
    for max_iter in (1, 30):
        assert relaxed_bound(B, size, value, max_iter=max_iter, tol=0.0) >= least
    assert best_support(B, size)[1] == pytest.approx(best, abs=slack(B))


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(0, 3))
def test_bounds_hold_when_the_search_is_cut_short(problem, max_nodes):
    B, size, best, value = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MAX_SUPPORTS", 0)
        patch.setattr(module, "_MAX_NODES", max_nodes)
        patch.setattr("sklearn_sparse_eig.recovery._exhaustive._LEAF", 1)
        assert upper_bound(B, size, value) >= best - slack(B)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_enumeration_and_branch_and_bound_meet_the_optimum(problem):
    B, size, best, value = problem
    assert upper_bound(B, size, value) == pytest.approx(best, abs=slack(B))
    if size < len(B):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sklearn_sparse_eig.recovery._exhaustive._LEAF", 1)
            found = branch_and_bound(B, size, value, max_nodes=10**4, tol=0.0)
        assert found == pytest.approx(best, abs=slack(B))


@settings(max_examples=60, deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_a_node_is_bounded_over_its_completions(problem, random):
    B, size, _, value = problem
    ids = list(range(len(B)))
    chosen = sorted(random.sample(ids, random.randint(0, size)))
    free = [i for i in ids if i not in chosen and random.random() < 0.8]
    needed = size - len(chosen)
    if needed > len(free):
        return
    best = max(
        np.linalg.eigvalsh(B[np.ix_(S, S)])[-1]
        for S in (chosen + list(rest) for rest in combinations(free, needed))
    )
    bound = node_bound(B, np.array(chosen, dtype=int), np.array(free, dtype=int), size)
    assert bound >= best - slack(B)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_features_that_are_left_out_cannot_help(problem):
    B, size, best, value = problem
    kept = possible_features(B, size, value)
    better = [
        set(ids)
        for ids in combinations(range(len(B)), size)
        if np.linalg.eigvalsh(B[np.ix_(ids, ids)])[-1] > value + slack(B)
    ]
    assert all(ids <= set(kept.tolist()) for ids in better)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_signs(problem):
    B, size, _, _ = problem
    for which, best in (
        ("LA", brute_force(B, size)),
        ("SA", -brute_force(-B, size)),
        ("LM", max(brute_force(B, size), brute_force(-B, size))),
    ):
        value = np.array([B[0, 0]] if which != "LM" else [abs(B[0, 0])])
        found = upper_bounds(B, np.array([size]), value, which)
        assert_allclose(found, best, atol=slack(B))


def test_largest_sums():
    rng = np.random.default_rng(0)
    B = rng.normal(size=(7, 7)) * (rng.random((7, 7)) < 0.6)
    B = B + B.T
    weights = rng.random(7)
    for count in range(8):
        off = np.abs(B - np.diag(B.diagonal())) * weights
        expected = -np.sort(-off, axis=1)[:, :count].sum(axis=1)
        assert_allclose(largest_sums(B, count, weights), expected)
        assert_allclose(largest_sums(sp.csr_array(B), count, weights), expected)


def test_the_relaxation_is_solved():
    """Its value is between the optimum and what other bounds say, and steps bring it down."""
    G = np.random.default_rng(0).normal(size=(40, 20))
    B = np.corrcoef(G.T)
    best = best_support(B, 4)[1]
    bounds = [relaxed_bound(B, 4, best, max_iter=steps, tol=0.0) for steps in (0, 20, 200)]
    assert bounds[0] == pytest.approx(np.linalg.eigvalsh(B)[-1])
    assert bounds[0] > bounds[1] >= bounds[2] >= best
    assert bounds[2] < 1.1 * best and bounds[2] < row_bound(B, 4, best)
