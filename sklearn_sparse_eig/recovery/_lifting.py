"""Between feature space and measurement space, on a given support.

M_T are the columns of the measurement M at the ids T. For the identity all of this is indexing.
"""

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from ..sketching.measurements import IdentityMeasurement


def measure_rows(measurement, ids, Z):
    """Return M_T Z, shape (m, r): the measurement of vectors with rows Z at ids."""
    if isinstance(measurement, IdentityMeasurement):
        out = np.zeros((measurement.n_measurements, Z.shape[1]))
        out[ids] = Z
        return out
    return np.asarray(measurement.columns(ids).T @ Z)


def restricted_least_squares(measurement, ids, Q):
    """Return the Z of shape (len(ids), r) that minimises ||Q - M_T Z||_F.

    Notes
    -----
    Normal equations with one step of refinement: for a support well below m the Gram matrix of
    M_T is sparse and close to the identity, so squaring its condition number costs no accuracy
    worth the factor of ten that a QR factorisation of the m x t matrix would cost in time.
    """
    if isinstance(measurement, IdentityMeasurement):
        return Q[ids]
    columns = measurement.columns(ids)
    gram = columns @ columns.T
    gram = gram.toarray() if sp.issparse(gram) else gram
    try:
        factor = la.cho_factor(gram)
    except la.LinAlgError:  # more ids than the measurements can tell apart
        return np.linalg.lstsq(columns.toarray().T, Q, rcond=None)[0]
    Z = la.cho_solve(factor, columns @ Q)
    return Z + la.cho_solve(factor, columns @ (Q - columns.T @ Z))


def orthonormal_range(Z, tolerance=1e-7):
    """Return an orthonormal basis of the columns of Z, without the numerically dependent ones.

    Through the Gram matrix, twice: products only, so several times faster than QR for a tall Z.
    The first pass resolves directions down to `tolerance`, the second restores orthogonality to
    rounding.
    """
    for threshold in (tolerance**2, 0.0):
        values, rotation = np.linalg.eigh(Z.T @ Z)
        kept = values > threshold * max(values.max(initial=0.0), np.finfo(float).tiny)
        # Leading direction first.
        Z = (Z @ (rotation[:, kept] / np.sqrt(values[kept])))[:, ::-1]
    return Z


def dual_basis(P):
    """Return P (P^T P)^-1, the transpose of the pseudo-inverse of a tall matrix P."""
    gram = P.T @ P
    if np.linalg.cond(gram) > 1e10:
        return np.linalg.pinv(P).T
    return np.linalg.solve(gram, P.T).T
