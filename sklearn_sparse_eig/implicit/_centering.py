"""Equations without their mean."""

import numpy as np
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from ._design import Design


def without_mean(X, Y):
    """Return n - 1 equations whose solutions are those of the centred ones, and the means.

    A reflection turns the vector of ones into a multiple of the first unit vector; the other rows
    are those of the centred equations in an orthonormal basis.
    """
    n = len(Y)
    v = np.full(n, -1.0 / np.sqrt(n))
    v[0] += 1.0
    if n > 1:
        v /= np.linalg.norm(v)
    means = (np.asarray(X.T @ np.full(n, 1.0 / n)), Y.mean(axis=0))
    reflected_Y = (Y - 2.0 * np.outer(v, v @ Y))[1:]
    # What rounding leaves of a constant target is no equation that could be solved.
    reflected_Y[:, (Y == Y[0]).all(axis=0)] = 0.0
    if isinstance(X, np.ndarray):
        return (X - 2.0 * np.outer(v, v @ X))[1:], reflected_Y, means
    A = aslinearoperator(X)

    def matvec(w):
        product = A @ w
        return (product - 2.0 * np.multiply.outer(v, v @ product))[1:]

    def rmatvec(nu):
        padded = np.concatenate([np.zeros_like(nu[:1]), nu])
        return A.T @ (padded - 2.0 * np.multiply.outer(v, v @ padded))

    operator = LinearOperator(
        (n - 1, X.shape[1]),
        matvec=matvec,
        rmatvec=rmatvec,
        matmat=matvec,
        rmatmat=rmatvec,
        dtype=np.float64,
    )
    return operator, reflected_Y, means


def shifted(design, mean):
    """Return the design with the mean taken from each row."""
    n, N = design.shape

    def matvec(w):
        return design.matvec(w) - mean @ w

    operator = LinearOperator(
        (n, N),
        matvec=matvec,
        matmat=matvec,
        rmatvec=lambda nu: design.rmatvec(nu) - mean * nu.sum(),
        dtype=np.float64,
    )
    return Design(operator)
