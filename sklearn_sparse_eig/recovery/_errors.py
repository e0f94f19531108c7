"""How far recovered eigenpairs may be off, judged from what they leave of the sketch.

The vectors explain a few dimensions of the m measurements. What collides in a bucket, be it noise
or the tail of an eigenvector, falls on all dimensions alike: its size is read off those that
the vectors leave, as in any regression, and first-order perturbation theory does the rest.
The derivation is in ``doc/how_the_sketch_works.md``.
"""

from collections.abc import Callable

import numpy as np

from ._lifting import dual_basis, orthonormal_range


def sketch_errors(sketch, S, model, refitted, vectors):
    """Estimate the errors of eigenpairs recovered from a sketch.

    Parameters
    ----------
    sketch : EigenSketch
    S : ImplicitMatrix of shape (m, k)
        Its matrix less the noise.
    model : SupportModel or None
        The model that the vectors were read from; None where they were read from S itself.
    refitted : SupportModel
        The model on the span of the vectors, and of what else stands out, that gave the values.
    vectors : ndarray of shape (t, r)
        Their rows at ``refitted.ids``, which are those of the model.

    Returns
    -------
    vector_errors : ndarray of shape (r,)
        Estimated distance of each unit vector to its eigenvector, up to sign.
    value_errors : ndarray of shape (r,)
        Standard error of each eigenvalue.

    Notes
    -----
    Derived here. O(m k r) time for products with S, no sweep over the features.
    """
    if sketch.is_exact and sketch.content == "entries":
        placed = np.zeros((len(S), vectors.shape[1]))
        placed[refitted.ids] = vectors
        return lanczos_errors(lambda V: S @ V, placed)
    vector_errors, value_errors = _model_errors(sketch, S, refitted, vectors)
    # A model of more features than the vectors keep may have lost less of their span.
    if not sketch.is_exact and len(model.eigenvalues) >= vectors.shape[1]:
        vector_errors, _ = _model_errors(sketch, S, model, vectors)
    return vector_errors, value_errors


def lanczos_errors(
    multiply: Callable[[np.ndarray], np.ndarray], vectors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate the errors of eigenpairs of a matrix that can be multiplied.

    One step of block Lanczos: the eigenvectors of A within the span of the vectors V and of A V.

    Parameters
    ----------
    multiply : callable
        A V for V of shape (n, r).
    vectors : ndarray of shape (n, r)
        Unit columns.

    Returns
    -------
    vector_errors, value_errors : ndarray of shape (r,)
        Distances to the nearest of these eigenvectors, and to its eigenvalue.

    Notes
    -----
    Two products with r vectors each and O(n r^2).
    """
    images = multiply(vectors)
    values = np.einsum("ij,ij->j", vectors, images)
    basis = orthonormal_range(vectors)
    rest = images - vectors * values
    for _ in range(2):  # the second pass removes what cancellation left of the first
        rest -= basis @ (basis.T @ rest)
    # Residuals that are rounding would only add noise as directions.
    lengths = np.linalg.norm(rest, axis=0)
    rest = rest[:, lengths > 1e-14 * np.abs(values).max(initial=0.0)]
    basis = np.hstack([basis, orthonormal_range(rest / np.linalg.norm(rest, axis=0))])
    block = basis.T @ multiply(basis)
    ritz, rotation = np.linalg.eigh(0.5 * (block + block.T))
    cosines = np.abs((basis @ rotation).T @ vectors)
    nearest = cosines.argmax(axis=0)
    ritz_vectors = basis @ rotation[:, nearest]
    ritz_vectors *= np.sign(np.einsum("ij,ij->j", ritz_vectors, vectors))
    return np.linalg.norm(ritz_vectors - vectors, axis=0), np.abs(ritz[nearest] - values)


def _model_errors(sketch, S, model, vectors):
    """Return the errors of vectors and values that come from a model of the sketch."""
    r, rank = vectors.shape[1], len(model.eigenvalues)
    if rank < r:  # the vectors depend on each other: some stand for nothing
        return np.full(r, np.sqrt(2.0)), np.full(r, np.inf)
    axes, core = _axes(model, vectors)
    basis = model.basis @ axes
    values = np.diagonal(core).copy()
    n = np.inf if sketch.content == "entries" else sketch.effective_samples
    by_index = sketch.measurement.keeps_features
    m, k = S.shape

    # What is left of the measured A U, and of its mirror image through the test matrix.
    to_left, to_right = dual_basis(model.left) @ axes, model.directions() @ axes
    left = _energy_off_range(S @ to_right, model.left, model.places)
    right = _energy_off_range(S.rows_adjoint(model.places, to_left), model.right)
    inside = vectors != 0
    free = max(m - inside.sum() / r - rank + 1, 1.0)
    # Where every feature has a measurement of its own, nothing collides.
    collisions = np.zeros(rank) if by_index else left / free
    if n == np.inf:
        # A tail of the eigenvectors is spread over all measurements.
        tail = left if by_index else m * collisions
        own = noise_share = np.zeros(rank)
    else:
        tail = np.zeros(rank)
        if sketch.is_exact:  # isotropic noise moves all eigenvalues alike
            values -= max((S.diagonal.sum() - values.sum()) / max(m - rank, 1), 0.0)
        values = np.maximum(values, 0.0)
        own, noise_share = _row_noise(sketch, model.ids, basis, values, to_right, inside)

    # Variances of the entries (j, p) of the core, for the vectors j found.
    gain, gain_right = np.square(to_left).sum(axis=0), np.square(to_right).sum(axis=0)
    # What noise hears of noise comes once, though both sides would count it.
    if sketch.is_symmetric:
        entries = _both_ways((collisions + own) * (1.0 - 0.5 * noise_share), gain)
    else:
        entries = 0.25 * _both_ways((collisions + own) * (1.0 - noise_share), gain)
        entries += 0.25 * _both_ways(right / max(k - rank, 1), gain_right)
    entries = entries[:r] + np.outer(values[:r], values) / n
    value_errors = np.sqrt(2.0 * np.diagonal(entries))
    turns = _squared_tangents(entries, values[:r, None] - values)
    np.fill_diagonal(turns, 0.0)
    np.fill_diagonal(entries, 0.0)
    # Only what lies on its support can enter a vector.
    share = inside.T.astype(float) @ np.square(basis)
    idle = np.maximum(inside.sum(axis=0) - share.sum(axis=1), 0.0)
    lost = tail[:r]
    if n == np.inf:
        # What the model has beyond the support, unless collisions can have made it.
        beyond = np.where(inside, 0.0, basis @ core[:, :r])
        cut = np.square(beyond).sum(axis=0)
        made = (np.maximum(1.0 - share, 0.0) * entries).sum(axis=1)
        lost = lost + np.where(cut > 4.0 * made, cut, 0.0)
    size = np.abs(values[:r])
    known = size > 1e-12 * np.abs(values).max()
    relative = np.full(r, np.inf)
    # Least squares on a support of s features amplifies by about m / (m - s).
    fitted = collisions * m / free + own
    with np.errstate(over="ignore"):  # twice, for the square of a size may be zero
        np.divide(idle * fitted[:r] + lost, size, out=relative, where=known)
        np.divide(relative, size, out=relative, where=known)
    squares = (share * turns).sum(axis=1) + relative
    return 2.0 * np.sin(0.5 * np.arctan(np.sqrt(squares))), value_errors


def _axes(model, vectors):
    """Return orthonormal coordinates in the model that start with the vectors, and its core there.

    The vectors are made orthogonal all at once, each moving as little as can be. What else the
    model holds follows, with a diagonal core.
    """
    A, _, B = np.linalg.svd(model.basis.T @ vectors)
    r = vectors.shape[1]
    first, rest = A[:, :r] @ B, A[:, r:]
    values = model.eigenvalues
    rest = rest @ np.linalg.eigh((rest.T * values) @ rest)[1]
    axes = np.hstack([first, rest])
    return axes, (axes.T * values) @ axes


def _row_noise(sketch, ids, basis, values, to_right, inside):
    """Return what rows add to the noise of each axis, two arrays of shape (rank,).

    The variance that an entry has of its own feature's noise, and the share of noise in the
    forms W^T Omega x by which the sketch is multiplied.
    """
    total = max(sketch.total_variance() - values.sum(), 0.0)
    variances = sketch.feature_variance()
    noise = np.full(len(values), total / sketch.n_features)
    if variances is not None:
        each = np.maximum(variances[ids] - np.square(basis) @ values, 0.0)
        noise[:] = each.mean()
        noise[: inside.shape[1]] = inside.T @ each / np.maximum(inside.sum(axis=0), 1)
    form_noise = total / to_right.shape[0] * np.square(to_right).sum(axis=0)
    forms = values + form_noise
    share = np.divide(form_noise, forms, out=np.zeros_like(forms), where=forms > 0.0)
    return noise * forms / sketch.effective_samples, share


def _energy_off_range(B, P, places=slice(None)):
    """Return the squared norms of the columns of B less their projection on the range of P.

    P has rows at the places only, and B is overwritten.
    """
    B[places] -= P @ (dual_basis(P).T @ B[places])
    return np.einsum("ij,ij->j", B, B)


def _both_ways(variances, gains):
    """Return the variances of the entries of X + X^T, where X_jp has variance gain_j * v_p."""
    half = np.outer(gains, variances)
    return half + half.T


def _squared_tangents(variances, gaps):
    """Return tan^2 of the angles by which entries of such variances turn two eigenvectors.

    Exact for a matrix [[gap, entry], [entry, 0]]; at most 1, where there is no gap.
    """
    squares = 4.0 * variances
    root = np.abs(gaps) + np.sqrt(np.square(gaps) + squares)
    return np.divide(squares, np.square(root), out=np.ones_like(root), where=root > 0.0)
