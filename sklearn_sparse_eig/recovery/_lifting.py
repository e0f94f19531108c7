"""Between feature space and measurement space, on a given support.

M_T are the columns of the measurement M at the ids T. For the identity all of this is indexing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..sketching import Measurement, steps

# Well-conditioned supports need a tenth of this.
_MAX_GRADIENTS = 200
# Beyond this many features a dense solver would take minutes to improve on the gradients.
_MAX_DENSE = 1000
# Columns shorter than this share of the longest are rounding.
_SHORTEST = 1e-13
# Relative accuracy of a fit whose residual is far larger: it is noise, or features still missing.
_ROUGH, _FINE = 1e-6, 1e-15


def measure_rows(measurement: Measurement, ids: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """Return M_T Z, shape (m, r): the measurement of vectors with rows Z at ids."""
    if measurement.keeps_features:
        out = np.zeros((measurement.n_measurements, Z.shape[1]))
        out[ids] = Z
        return out
    return measurement.measure_at(ids, Z)


def restricted_least_squares(
    measurement: Measurement, ids: np.ndarray, Q: np.ndarray, tolerance: float = _FINE
) -> np.ndarray:
    """Return the Z of shape (len(ids), r) that minimises ||Q - M_T Z||_F.

    `tolerance` bounds the gradient at the end, relative to the one at Z = 0.

    Notes
    -----
    Conjugate gradients on the normal equations, all columns at once. For a support well below m
    the columns of M_T are nearly orthogonal, so some 20 products with the sparse M_T reach
    rounding: O(t K r) each, where a factorisation costs O(m t^2). Ids that the measurements can
    hardly tell apart are left to a dense solver, up to 1000 of them.
    """
    if measurement.keeps_features:
        return Q[ids]
    columns = measurement.columns(ids)
    rows = columns.T.tocsr()
    target = columns @ Q
    Z = np.zeros_like(target)
    residual = target.copy()
    direction = residual.copy()
    energy = np.einsum("ij,ij->j", residual, residual)
    goal = (tolerance * np.linalg.norm(target, axis=0)) ** 2
    for _ in range(_MAX_GRADIENTS):
        active = energy > goal
        if not active.any():
            return Z
        image = columns @ (rows @ direction)
        curvature = np.einsum("ij,ij->j", direction, image)
        step = np.divide(energy, curvature, out=np.zeros_like(energy), where=active)
        Z += step * direction
        residual -= step * image
        previous, energy = energy, np.einsum("ij,ij->j", residual, residual)
        ratio = np.divide(energy, previous, out=np.zeros_like(energy), where=active)
        direction = residual + ratio * direction
    if len(ids) > _MAX_DENSE:
        return Z
    return np.linalg.lstsq(columns.toarray().T, Q, rcond=None)[0]


@dataclass(frozen=True)
class SupportFit:
    """The least-squares fit of a measured matrix Q by rows on a support: Q ~ M_T Z.

    Attributes
    ----------
    measurement : Measurement
    Q : ndarray of shape (m, r)
    ids : ndarray of int64, shape (t,)
        T, sorted.
    Z : ndarray of shape (t, r)
    residual : ndarray of shape (m, r)
        Q - M_T Z.
    """

    measurement: Measurement
    Q: np.ndarray
    ids: np.ndarray
    Z: np.ndarray
    residual: np.ndarray


def fit_on_support(measurement: Measurement, Q: np.ndarray, ids: ArrayLike) -> SupportFit:
    """Return the :class:`SupportFit` of Q on the given ids, possibly none."""
    ids = np.asarray(ids, dtype=np.int64)
    if len(ids) == 0:
        return SupportFit(measurement, Q, ids, np.zeros((0, Q.shape[1])), Q)
    for tolerance in (_ROUGH, _FINE):
        Z = restricted_least_squares(measurement, ids, Q, tolerance)
        residual = Q - measure_rows(measurement, ids, Z)
        if np.linalg.norm(residual) > 1e3 * _ROUGH * np.linalg.norm(Q):
            break
    return SupportFit(measurement, Q, ids, Z, residual)


def orthonormal_range(Z: np.ndarray, tolerance: float = 1e-7) -> np.ndarray:
    """Return an orthonormal basis of the columns of Z, without the numerically dependent ones.

    Through the Gram matrix, twice: products only, so several times faster than QR for a tall Z.
    Columns are brought to one length first, for those of weak components are short and no less
    independent. The first pass resolves directions down to `tolerance`, the second restores
    orthogonality to rounding.
    """
    norms = np.sqrt(np.einsum("ij,ij->j", Z, Z))
    used = norms > _SHORTEST * norms.max(initial=0.0)
    Z = Z[:, used]
    Z /= norms[used]
    for threshold in (tolerance**2, 0.0):
        values, rotation = np.linalg.eigh(Z.T @ Z)
        kept = values > threshold * max(values.max(initial=0.0), np.finfo(float).tiny)
        # Leading direction first.
        Z = _in_place(Z, (rotation[:, kept] / np.sqrt(values[kept]))[:, ::-1])
    return Z


def _in_place(Z, rotation):
    """Return Z times a matrix of no more columns, within the memory of Z."""
    width = rotation.shape[1]
    for low, high in steps(len(Z), Z.shape[1]):
        Z[low:high, :width] = Z[low:high] @ rotation
    return Z[:, :width]


def dual_basis(P: np.ndarray) -> np.ndarray:
    """Return P (P^T P)^-1, the transpose of the pseudo-inverse of a tall matrix P."""
    gram = P.T @ P
    if gram.size == 0:
        return P
    if np.linalg.cond(gram) > 1e10:
        return np.linalg.pinv(P).T
    return np.linalg.solve(gram, P.T).T
