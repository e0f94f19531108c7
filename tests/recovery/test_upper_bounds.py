"""Bounds on the value of sparse vectors: never below the best by brute force."""

from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import sklearn_sparse_eig.recovery._upper_bounds as module
from sklearn_sparse_eig.recovery._branch_and_bound import _Search, branch_and_bound
from sklearn_sparse_eig.recovery._exhaustive import best_support
from sklearn_sparse_eig.recovery._gershgorin import (
    frobenius_bound,
    largest_entries,
    largest_of_rows,
    largest_sums,
    perron_bound,
)
from sklearn_sparse_eig.recovery._relaxation import relaxed_bound
from sklearn_sparse_eig.recovery._screening import possible_features, size_bounds
from sklearn_sparse_eig.recovery._sparse_principal import sparse_principal_vector
from sklearn_sparse_eig.recovery._upper_bounds import upper_bound, upper_bounds

LEAF = "sklearn_sparse_eig.recovery._branch_and_bound._LEAF"
ENOUGH = {"max_nodes": 10**4, "max_work": np.inf}


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
    kinds = ["psd", "indefinite", "negative", "sparse", "ties", "zero", "unequal", "parts", "genes"]
    kind = draw(st.sampled_from(kinds))
    deviations = 10.0 ** rng.uniform(-4, 2, size=n)
    G = rng.normal(size=(n, n))
    B = {
        "psd": G @ G.T,
        "indefinite": G + G.T,
        "negative": -G @ G.T - 0.1 * np.eye(n),
        "sparse": np.diag(rng.normal(size=n)) + np.diag(rng.normal(size=n - 1), 1),
        "ties": np.sign(G + G.T),
        "zero": np.zeros((n, n)),
        "unequal": np.outer(deviations, deviations) * (0.5 + 0.5 * np.eye(n)),
        "parts": np.where(np.add.outer(np.arange(n), np.arange(n)) % 2, 0.0, G @ G.T),
        "genes": np.corrcoef(G[:, :3] + 0.5),
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
        entries = largest_entries(matrix, size - 1)
        assert perron_bound(matrix, size) >= least
        assert frobenius_bound(matrix.diagonal(), entries, size) >= least
        assert size_bounds(matrix.diagonal(), entries)[-1] >= least
        assert upper_bound(matrix, size, value).bound >= least
        assert perron_bound(-matrix, size, sign=-1.0) >= least
        assert upper_bound(-matrix, size, value, sign=-1.0).bound >= least
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
        patch.setattr(LEAF, 1)
        assert upper_bound(B, size, value).bound >= best - slack(B)


@settings(max_examples=100, deadline=None)
@given(problems())
def test_enumeration_and_branch_and_bound_meet_the_optimum(problem):
    """Both the bound and a support of this value, wherever the search starts."""
    B, size, best, value = problem
    tol = 1e-9 * max(abs(best), abs(value)) + slack(B)
    searched = [upper_bound(B, size, value)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MAX_SUPPORTS", 0)
        patch.setattr(LEAF, 1)
        searched.append(upper_bound(B, size, value))
        searched.append(branch_and_bound(B, size, value, **ENOUGH, tol=0.0))
        assert searched[-1].has_ended
    for found in searched:
        assert best - slack(B) <= found.bound <= best + tol
        if value < best - tol:
            block = B[np.ix_(found.support, found.support)]
            assert len(found.support) == size
            assert np.linalg.eigvalsh(block)[-1] == pytest.approx(best, abs=tol)


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
    weights = np.array([random.uniform(0.1, 1.0) for _ in ids])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LEAF, 1)
        search = _Search(B, size, value, 0.0)
        search.add(np.array(chosen, dtype=int), np.array(free, dtype=int), weights, np.inf)
    assert max(search.open_bound(), search.value) >= best - slack(B)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_features_that_are_left_out_cannot_help(problem):
    B, size, best, value = problem
    kept, block, _ = possible_features(B, size, value)
    assert_allclose(block, B[np.ix_(kept, kept)])
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
        found, better = upper_bounds(B, np.array([size]), value, which)
        assert_allclose(found, best, atol=slack(B))
        reached = value[0] if better is None else better @ B @ better
        assert_allclose(abs(reached) if which == "LM" else reached, best, atol=slack(B))


@pytest.mark.parametrize("scale", [1e-250, 1e-170, 1e160])
def test_scale(scale):
    """Where squares are no numbers."""
    B = strongly_correlated(40)
    best = upper_bound(B, 5, 1.0)
    for matrix in (scale * B, sp.csr_array(scale * B)):
        found = upper_bound(matrix, 5, scale)
        assert found.bound == pytest.approx(scale * best.bound, rel=1e-9)
        assert found.value == pytest.approx(scale * best.value, rel=1e-9)
        assert sorted(found.support) == sorted(best.support)


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
    assert bounds[2] < 1.1 * best and bounds[2] < perron_bound(B, 4)


@pytest.mark.parametrize("n", [7, 40, 301])
def test_largest_of_rows(n):
    rows = np.random.default_rng(n).random((5, n)).round(1)  # with ties
    for count in {0, 1, 2, 5, n - 1, n}:
        expected = np.sort(rows, axis=1)[:, n - count :]
        assert_allclose(np.sort(largest_of_rows(rows, count), axis=1), expected)
        assert largest_of_rows(rows[:0], count).shape[0] == 0


def strongly_correlated(p, seed=0):
    """Correlations of a few dozen rows, as of genes."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(30, 4)) @ rng.normal(size=(4, p)) * rng.uniform(0.2, 2.0, size=p)
    return np.corrcoef((factors + rng.normal(size=(30, p))).T)


@pytest.mark.parametrize("size", [5, 10, 20])
def test_strong_correlations_are_closed(size):
    """Among a thousand features, by far too many supports to be looked at."""
    B = strongly_correlated(700)
    value = sparse_principal_vector(B, size, rng=0).eigenvalue
    found = upper_bound(B, size, value)
    best = value if found.support is None else found.value
    assert found.support is None or value < found.value
    assert best <= found.bound <= best * (1.0 + 1e-9)


def test_a_poor_start_is_left_behind():
    B = strongly_correlated(200)
    best = upper_bound(B, 6, sparse_principal_vector(B, 6, rng=0).eigenvalue).bound
    found = upper_bound(B, 6, 1.0)
    block = B[np.ix_(found.support, found.support)]
    assert np.linalg.eigvalsh(block)[-1] == pytest.approx(found.value, rel=1e-12)
    assert found.value == pytest.approx(best, rel=1e-9)
    assert found.bound == pytest.approx(best, rel=1e-9)


def test_the_search_does_not_depend_on_the_clock():
    B = np.corrcoef(np.random.default_rng(0).normal(size=(60, 50)), rowvar=False)
    value = sparse_principal_vector(B, 12, rng=0).eigenvalue
    options = {"max_nodes": 60, "max_work": np.inf, "tol": 0.0}
    first, second = (branch_and_bound(B, 12, value, **options) for _ in range(2))
    assert first.bound == second.bound > value and not first.has_ended
