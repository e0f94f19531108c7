"""Equations without their mean."""

import numpy as np
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from ._design import Design
from ._row_weights import scaled_rows


def without_mean(X, Y, root=None):
    """Return n - 1 equations whose solutions are those of the centred ones, and the means.

    A reflection turns the vector of ones, or of the roots of the weights of the rows, into a
    multiple of the first unit vector; the other rows are those of the centred equations in an
    orthonormal basis.
    """
    n = len(Y)
    shares = np.full(n, 1.0 / n) if root is None else root**2 / (root @ root)
    is_constant = (Y == Y[0]).all(axis=0)
    mean = Y.mean(axis=0) if root is None else shares @ Y
    means = (np.asarray(X.T @ shares), np.where(is_constant, Y[0], mean))
    v = np.full(n, 1.0 / np.sqrt(n)) if root is None else root / np.linalg.norm(root)
    v[0] += 1.0
    v /= np.linalg.norm(v)
    X, Y = scaled_rows(X, root), scaled_rows(Y, root)
    reflected_Y = (Y - 2.0 * np.outer(v, v @ Y))[1:]
    # What rounding leaves of a constant target is no equation that could be solved.
    reflected_Y[:, is_constant] = 0.0
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


def shifted(design, mean, root=None):
    """Return the design with the mean taken from each row, times the root of its weight."""
    n, N = design.shape
    root = np.ones(n) if root is None else root

    def matvec(w):
        return design.matvec(w) - np.multiply.outer(root, mean @ w)

    operator = LinearOperator(
        (n, N),
        matvec=matvec,
        matmat=matvec,
        rmatvec=lambda nu: design.rmatvec(nu) - mean * (root @ nu),
        dtype=np.float64,
    )
    return Design(operator)
