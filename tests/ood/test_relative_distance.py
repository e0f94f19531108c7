"""The relative distance of features from its sums: slow formulas, bounds, and odd shapes."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.covariance import oas

from sklearn_sparse_eig.ood._relative_distance import RelativeDistance


def draw(n=400, p=6, n_classes=4, seed=0, apart=2.0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    mixing = rng.normal(size=(p, p)) / np.sqrt(p)
    means = apart * rng.normal(size=(n_classes, p))
    return means[y] + rng.normal(size=(n, p)) @ mixing + 5.0, y


def from_rows(h, y, diagonal=False):
    counts = np.bincount(y)
    sums, squares = np.zeros((len(counts), h.shape[1])), np.zeros(len(counts))
    np.add.at(sums, y, h)
    np.add.at(squares, y, (h**2).sum(axis=1))
    second = h.T @ h
    second = np.diag(second).copy() if diagonal else second
    return RelativeDistance.from_sums(sums, squares, counts, second)


def slow(h, y, new):
    """The definition, by inverses, and shrinkage by scikit-learn."""
    n, p, counts = len(h), h.shape[1], np.bincount(y)
    means = np.array([h[y == c].mean(axis=0) for c in range(len(counts))])
    freedom = n - len(counts)
    scatter = (h - means[y]).T @ (h - means[y]) / freedom
    # As many rows as there are degrees of freedom, with this very second moment.
    rows = np.linalg.cholesky(scatter).T * np.sqrt(freedom)
    rows = np.vstack([rows, np.zeros((freedom - p, p))])
    within, _ = oas(rows, assume_centered=True)
    centre = h.mean(axis=0)
    between = (means - centre).T @ ((means - centre) * (counts / n)[:, None])
    inner, outer = np.linalg.inv(within), np.linalg.inv(within + between)
    d = np.trace(inner @ scatter)
    found = []
    for x in new:
        nearest = min((x - m) @ inner @ (x - m) - d / k for m, k in zip(means, counts, strict=True))
        whole = (x - centre) @ outer @ (x - centre)
        found.append(np.log((d + whole) / (d + max(nearest, 0.0))) / 2.0)
    return np.array(found)


def test_equals_the_definition():
    h, y = draw()
    new = np.random.default_rng(1).normal(size=(20, 6)) * 4 + 5.0
    found = from_rows(h, y).of(new)
    np.testing.assert_allclose(found, slow(h, y, new), rtol=1e-9)


@pytest.mark.parametrize("diagonal", [False, True])
def test_spread_is_that_of_gaussian_classes(diagonal):
    # Many features, so that distances are close to their means; one class wider than the others.
    rng = np.random.default_rng(2)
    y = np.arange(20_000) % 4
    h = (
        rng.normal(size=(4, 60))[y]
        + rng.normal(size=(20_000, 60)) * np.where(y == 0, 1.3, 0.9)[:, None]
    )
    distance = from_rows(h, y, diagonal)
    assert distance.spread == pytest.approx(distance.of(h).std(), rel=0.05)


@pytest.mark.parametrize("shape", [(400, 6), (30, 50)])
@pytest.mark.parametrize("diagonal", [False, True])
def test_far_features_are_near_no_class(shape, diagonal):
    # One floor for both metrics: no direction in which the whole is farther than a class.
    h, y = draw(*shape)
    distance = from_rows(h, y, diagonal)
    typical = np.median(distance.of(h))
    for direction in np.random.default_rng(3).normal(size=(50, shape[1])):
        along = distance.of(5.0 + np.outer(10.0 ** np.arange(1, 6), direction))
        assert (along < typical).all()
        assert along[-1] == pytest.approx(along[-2], abs=1e-2)  # distances that grow alike


def test_moving_turning_and_scaling_change_nothing():
    h, y = draw()
    turn = 3.0 * np.linalg.qr(np.random.default_rng(4).normal(size=(6, 6)))[0]
    before, after = from_rows(h, y), from_rows(h @ turn + 1.0, y)
    np.testing.assert_allclose(after.of(h @ turn + 1.0), before.of(h), rtol=1e-7, atol=1e-7)
    assert after.spread == pytest.approx(before.spread)


def test_distances_to_means_of_few_rows_are_not_too_large():
    # The squared distance to the true mean, in expectation, also where the mean has two rows.
    rng = np.random.default_rng(5)
    p = 5
    h, y = rng.normal(size=(4000, p)), np.arange(4000) // 2
    distance = from_rows(h, y)
    new = rng.normal(size=(2000, p))
    squares = ((new - h[::2] / 2 - h[1::2] / 2) ** 2).sum(axis=1)
    assert squares.mean() == pytest.approx(1.5 * p, rel=0.1)
    corrected = squares - distance.dimension / distance.counts
    assert corrected.mean() == pytest.approx(p, rel=0.1)


@pytest.mark.parametrize("dead", [[], [0, 3]])
def test_sparse_features_are_as_dense_ones(dead):
    rng = np.random.default_rng(6)
    h = rng.random((60, 8)) * (rng.random((60, 8)) < 0.4)
    h[:, dead] = 0.0
    y = np.arange(60) % 3
    for diagonal in (False, True):
        distance = from_rows(h, y, diagonal)
        found = distance.of(h)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(distance.of(sp.csr_array(h)), found, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("h", [np.zeros((6, 3)), np.ones((6, 3)), np.eye(6)[:, :4]])
def test_features_without_scatter(h):
    # All classes of equal rows, or of one row each.
    for y in (np.arange(6) % 2, np.arange(6)):
        distance = from_rows(h, y)
        assert np.isfinite(distance.of(h)).all() and np.isfinite(distance.spread)
