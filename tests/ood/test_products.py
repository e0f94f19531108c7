"""Products with roots and with class means, in whatever order they take the least work."""

import numpy as np
import pytest

from sklearn_sparse_eig.gradients import LayerFactors, LayerMatrices, LayerPlaces
from sklearn_sparse_eig.ood._roots import eigenbasis_root, inverse_root
from sklearn_sparse_eig.ood.subspaces._means import LowRankMeans
from sklearn_sparse_eig.ood.subspaces._pair_means import PairMeans

RNG = np.random.default_rng(0)


def positive(size):
    rows = RNG.normal(size=(2 * size, size))
    return rows.T @ rows / size


@pytest.mark.parametrize("shape", [(3, 7, 1), (2, 5, 40), (2, 530, 20)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["triangular", "full", "diagonal"])
def test_a_root_goes_across_matrices_from_the_left(kind, dtype, shape):
    _, p, q = shape
    moment = positive(p)
    root = eigenbasis_root(moment) if kind == "full" else inverse_root(moment)
    dense = root.values
    if kind == "diagonal":
        root = inverse_root(np.diagonal(moment))
        dense = np.diag(root.values)
    matrices = RNG.normal(size=shape).astype(dtype)
    found = root.across(matrices)
    assert found.dtype == dtype and found.flags.c_contiguous
    expected = dense.T @ matrices.astype(np.float64)
    rounding = 1e-5 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(found, expected, atol=rounding * np.abs(expected).max())
    right = inverse_root(positive(q))
    whitened = LayerMatrices(matrices).whiten(root, right)
    expected = expected @ right.values
    np.testing.assert_allclose(whitened.matrices, expected, atol=rounding * np.abs(expected).max())


@pytest.mark.parametrize("n_means", [3, 50])
@pytest.mark.parametrize("places", [1, 4, 300])
def test_pairs_are_contracted_alike_in_all_forms(n_means, places):
    n, p, q, rank = 5, 9, 6, 2
    lefts, rights = RNG.normal(size=(p, n_means, rank)), RNG.normal(size=(q, n_means, rank))
    layer = LayerPlaces(RNG.normal(size=(n, places, p)), RNG.normal(size=(n, places, q)))
    whole = np.einsum("pcr,qcr->cpq", lefts, rights).reshape(n_means, -1)
    expected = layer.dense() @ whole.T
    np.testing.assert_allclose(layer.dot_pairs(lefts, rights), expected, atol=1e-10)
    # However the pairs lie in memory.
    turned = [np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2) for x in (lefts, rights)]
    np.testing.assert_allclose(layer.dot_pairs(*turned), expected, atol=1e-10)
    if places == 1:
        factors = LayerFactors(layer.inputs[:, 0], layer.deltas[:, 0])
        np.testing.assert_allclose(factors.dot_pairs(lefts, rights), expected, atol=1e-10)
    combinations = RNG.normal(size=(n_means, n_means))
    directions = LowRankMeans(lefts, rights).combined(combinations)
    np.testing.assert_allclose(directions.products(layer), expected @ combinations.T, atol=1e-9)
    of_means = directions.of_means(layer)
    assert (of_means is None) == (places > 1)
    if of_means is not None:
        np.testing.assert_allclose(of_means, expected, atol=1e-10)


def pair_means(n_means, n_codes, p, q):
    codes = [RNG.choice(n_codes, size=3, replace=False) for _ in range(n_means)]
    owners = np.repeat(np.arange(n_means), 3)
    scales = RNG.uniform(0.5, 2.0, size=n_codes)
    return PairMeans(
        RNG.normal(size=(3 * n_means, p)),
        np.eye(q)[RNG.permutation(q)[:n_codes]] * scales[:, None],
        owners,
        np.concatenate(codes),
        n_means,
    )


def whole_of(means):
    out = np.zeros((means.n_means, means.lefts.shape[1], means.rights.shape[1]))
    for left, owner, code in zip(means.lefts, means.owners, means.codes, strict=True):
        out[owner] += np.outer(left, means.rights[code])
    return out


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_pairs_cut_to_a_rank_are_the_nearest_means(monkeypatch, rank):
    means = pair_means(7, 5, 20, 8)
    whole = whole_of(means)
    expected = LowRankMeans.nearest(whole, rank)
    expected = np.einsum("pcr,qcr->cpq", expected.lefts, expected.rights)
    pairs = means.nearest(rank)
    assert isinstance(pairs, PairMeans)
    np.testing.assert_allclose(whole_of(pairs), expected, atol=1e-10)
    np.testing.assert_allclose(pairs.gram(), np.einsum("cpq,dpq->cd", expected, expected))
    monkeypatch.setattr("sklearn_sparse_eig.ood.subspaces._pair_means._MOST_TIMES", 0)
    factors = means.nearest(rank)
    assert isinstance(factors, LowRankMeans)
    found = np.einsum("pcr,qcr->cpq", factors.lefts, factors.rights)
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("form", ["one-hot", "scaled", "any", "without codes"])
def test_products_with_pairs(form):
    means, n = pair_means(7, 5, 20, 8), 40
    codes = RNG.integers(0, 8, n)
    deltas = np.eye(8)[codes] * (1.0 if form == "one-hot" else RNG.normal(size=(n, 1)))
    if form == "any":
        deltas = RNG.normal(size=(n, 8))
    layer = LayerFactors(
        RNG.normal(size=(n, 20)), deltas, None if form == "without codes" else codes
    )
    expected = layer.dense() @ whole_of(means).reshape(7, -1).T
    directions = means.combined(np.eye(7))
    np.testing.assert_allclose(directions.of_means(layer), expected, atol=1e-10)
    explicit = LayerMatrices(layer.dense().reshape(n, 20, 8))
    np.testing.assert_allclose(directions.of_means(explicit), expected, atol=1e-10)
