"""Row blocks as starts: what they promise, and an optimum that leading eigenvectors hide."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_sparse_eig import sparse_eigsh
from sklearn_sparse_eig.recovery._row_starts import row_starts


def random_matrix(p, rank, rng):
    Z = rng.standard_normal((p, rank))
    return Z @ Z.T


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(1, 8), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_starts_are_sparse_distinct_and_best_first(p, s, n_starts, seed):
    s = min(s, p - 1)
    B = random_matrix(p, 5, np.random.default_rng(seed))
    starts = row_starts(B, s, 0.0, n_starts)
    assert 1 <= len(starts) <= n_starts
    np.testing.assert_allclose(np.linalg.norm(starts, axis=1), 1.0)
    assert (np.count_nonzero(starts, axis=1) <= s).all()
    values = np.einsum("ni,ij,nj->n", starts, B, starts)
    assert (np.diff(values) <= 1e-9 * abs(values).max()).all()
    supports = [set(np.flatnonzero(v)) for v in starts]
    for i, support in enumerate(supports):
        assert all(len(support & other) <= 0.6 * s for other in supports[:i])


def test_a_block_of_one_row_is_found_alone():
    # Every other start leans on the many features that share a weak factor.
    rng = np.random.default_rng(0)
    p, block = 300, np.arange(100, 105)
    loadings = 0.5 * rng.choice([-1.0, 1.0], p)
    B = np.outer(loadings, loadings)
    B[np.ix_(block, block)] = 0.99
    np.fill_diagonal(B, 1.0)
    (start,) = row_starts(B, 5, 0.0, 1)
    np.testing.assert_array_equal(np.flatnonzero(start), block)


def test_zeros_and_one_nonzero():
    assert np.isfinite(row_starts(np.zeros((4, 4)), 2, 0.0, 3)).all()
    (start,) = row_starts(np.diag([1.0, 3.0, 2.0]), 1, 0.0, 1)
    np.testing.assert_array_equal(start, [0.0, 1.0, 0.0])


@pytest.mark.parametrize("which", ["LA", "SA", "LM"])
def test_an_array_is_searched_whole(which):
    # 60 pairs, each an eigenvector of almost the same value, and one triple: no restriction to the
    # rows of a few leading eigenvectors would hold it.
    rng = np.random.default_rng(1)
    p = 1203
    A = np.eye(p)
    for i in range(0, 1200, 2):
        A[i, i + 1] = A[i + 1, i] = 0.9 + 0.01 * rng.random()
    triple = np.arange(1200, 1203)
    A[np.ix_(triple, triple)] = 0.6 + 0.4 * np.eye(3)
    A *= -1.0 if which == "SA" else 1.0
    pairs = sparse_eigsh(A, 1, n_nonzero_coefs=3, which=which)
    assert sorted(pairs.eigenvectors.indices.tolist()) == triple.tolist()
    assert abs(pairs.eigenvalues[0]) == pytest.approx(2.2)
