"""Sparse vectors one after another by truncated power steps over all features.

The small problem searches well among candidates, but where the supports asked for take up most of
their number, the choice of candidates decides more than the search. Here there are none: each
vector is improved among all features, for what the vectors before it leave of A.
"""

from collections.abc import Sequence

import numpy as np

from ._joint_steps import Products
from ._lifting import orthonormal_range

# Steps of subspace iteration, and directions beyond those that are looked for.
_ITERATIONS, _BEYOND = 4, 10
# Starts for each vector, from leading directions and from rows of A.
_DIRECTIONS, _ROWS = 3, 8
# Power steps of a vector at most, and the change that ends them.
_STEPS, _SETTLED = 15, 1e-3
# Steps after which only the best of the starts go on, and how many.
_TRIALS, _BEST = 3, 2


def sequential_power_vectors(
    multiply: Products, n_features: int, sizes: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Return sparse vectors found one after another, each over all features.

    Each is the best end of several starts: the leading directions of A less the vectors before it,
    and its strongest rows, thresholded.

    Parameters
    ----------
    multiply : callable
        Q (n_features x c) to A Q, for a positive semi-definite A.
    n_features : int
    sizes : sequence of int, shape (r,)
        Nonzeros of each vector.

    Returns
    -------
    ndarray of shape (n_features, r)

    Notes
    -----
    At most 4 r products with 11 columns and 11 r with two.
    """
    leading = _leading_directions(multiply, n_features, len(sizes) + _BEYOND)
    vectors = np.zeros((n_features, len(sizes)))
    basis = np.zeros((n_features, 0))
    for j, size in enumerate(sizes):

        def left(rows, basis=basis):
            return rows - basis @ (basis.T @ rows)

        V = _truncated(_starts(left(leading)), size)
        for step in range(_STEPS):
            images = left(multiply(left(V)))
            variances = np.einsum("ij,ij->j", V, images)
            if step == _TRIALS:
                best = np.argsort(-variances, kind="stable")[:_BEST]
                V, images, variances = V[:, best], images[:, best], variances[best]
            previous, V = V, _truncated(images, size)
            if np.abs(V - previous).max() < _SETTLED:
                break
        vectors[:, j] = previous[:, variances.argmax()]
        added = left(vectors[:, j : j + 1])
        norm = np.linalg.norm(added)
        if norm > 0.0:
            basis = np.hstack([basis, added / norm])
    return vectors


def _starts(leading):
    """Return directions and rows of the matrix whose scaled leading eigenvectors these are."""
    _, rotation = np.linalg.eigh(leading.T @ leading)
    strongest = np.argsort(-np.einsum("ij,ij->i", leading, leading), kind="stable")[:_ROWS]
    return leading @ np.hstack([rotation[:, : -_DIRECTIONS - 1 : -1], leading[strongest].T])


def _leading_directions(multiply, n_features, count):
    """Return leading eigenvectors of A, roughly, times the square roots of their eigenvalues."""
    count = min(count, n_features)
    Q = np.random.default_rng(0).standard_normal((n_features, count))
    for _ in range(_ITERATIONS):
        Q = orthonormal_range(multiply(orthonormal_range(Q)))
    values, rotation = np.linalg.eigh(Q.T @ multiply(Q))
    return Q @ (rotation * np.sqrt(np.maximum(values, 0.0)))


def _truncated(images, size):
    """Return the largest entries of each column, as unit columns."""
    top = np.argpartition(-np.abs(images), size - 1, axis=0)[:size]
    kept = np.take_along_axis(images, top, axis=0)
    norms = np.linalg.norm(kept, axis=0)
    out = np.zeros_like(images)
    np.put_along_axis(out, top, kept / np.where(norms > 0.0, norms, 1.0), axis=0)
    return out
