"""The design matrix as the solvers use it: products, columns and weighted normal matrices."""

import numpy as np
import scipy.sparse as sp
from scipy.linalg.blas import dsyrk
from scipy.sparse.linalg import LinearOperator, eigsh

# Normal matrices of more rows than this are not formed: their Cholesky factor alone takes seconds.
_LARGEST_NORMAL_MATRIX = 4000
# Columns scaled at a time for a normal matrix: the scaled copy should stay in the cache.
_BLOCK = 512
# Random vectors for the norm of an operator.
_PROBES = 8
# Up to this many rows an eigenvalue is had from all of them.
_SMALL = 64


class Design:
    """A dense array, sparse matrix or ``LinearOperator`` of shape (M, N), never modified."""

    def __init__(self, A):
        self.A = sp.csr_array(A) if sp.issparse(A) else A
        self.shape = A.shape
        self._adjoint = self.A.T
        self._by_column = None

    def matvec(self, x):
        """Return A x, for a vector or several as columns."""
        return self.A @ x

    def rmatvec(self, nu):
        """Return A^T nu, for a vector or several as columns."""
        return self._adjoint @ nu

    def columns(self, ids):
        """Return the columns as a dense array; an operator is applied to unit vectors."""
        if sp.issparse(self.A):
            if self._by_column is None:
                self._by_column = self.A.tocsc()
            return self._by_column[:, ids].toarray()
        if isinstance(self.A, LinearOperator):
            units = np.zeros((self.shape[1], len(ids)))
            units[ids, np.arange(len(ids))] = 1.0
            return np.asarray(self.A @ units) if len(ids) else np.zeros((self.shape[0], 0))
        return self.A[:, ids]

    def squared_norm(self):
        """Return the squared Frobenius norm, of an operator an estimate."""
        if isinstance(self.A, LinearOperator):
            probes = np.random.default_rng(0).standard_normal((self.shape[0], _PROBES))
            return float((np.asarray(self.rmatvec(probes)) ** 2).sum() / _PROBES)
        values = self.A.data if sp.issparse(self.A) else self.A.ravel(order="K")
        return float(values @ values)

    def column_squares(self):
        """Return the squared norms of the columns, of an array or sparse matrix."""
        if sp.issparse(self.A):
            return np.asarray(self.A.multiply(self.A).sum(axis=0)).ravel()
        return np.einsum("ij,ij->j", self.A, self.A)

    @property
    def forms_normal_matrix(self):
        """Whether A diag(h) A^T can be had as an array."""
        return not isinstance(self.A, LinearOperator) and self.shape[0] <= _LARGEST_NORMAL_MATRIX

    def normal_matrix(self, h):
        """Return A diag(h) A^T for weights h >= 0, its lower triangle valid: O(M^2 N)."""
        if sp.issparse(self.A):
            return (self.A.multiply(h) @ self.A.T).toarray()
        result = np.zeros((self.shape[0],) * 2, order="F")
        root = np.sqrt(h)
        for low in range(0, len(h), _BLOCK):
            part = slice(low, low + _BLOCK)
            scaled = np.multiply(self.A[:, part], root[part], order="F")
            result = dsyrk(1.0, scaled, beta=1.0, c=result, lower=1, overwrite_c=1)
        return result

    def largest_eigenvalue(self, h):
        """Return the largest eigenvalue of A diag(h) A^T for weights h."""
        M = self.shape[0]

        def product(nu):
            return self.matvec(h * self.rmatvec(nu.ravel()))

        if M <= _SMALL:
            return float(np.linalg.eigvalsh(np.array([product(e) for e in np.eye(M)])).max())
        operator = LinearOperator((M, M), matvec=product, dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(M)
        return float(eigsh(operator, 1, which="LA", v0=start, return_eigenvectors=False)[0])


def independent_equations(design: Design, y: np.ndarray) -> tuple[Design, np.ndarray]:
    """Return as many equations as unknowns, with the same A^T A and A^T y, if there are more."""
    M, N = design.shape
    if M <= N or isinstance(design.A, LinearOperator):
        return design, y
    A = design.A.toarray() if sp.issparse(design.A) else design.A
    Q, R = np.linalg.qr(A)
    return Design(R), Q.T @ y
