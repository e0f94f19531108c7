"""The Gaussian model of sparse components plus noise: its covariance, inverse and density.

C = D + L L^T, where D is the variance of the noise, one number or one for each feature, and the
factors L live on the support of the components. D is positive, so C can be inverted whatever the
components are. Derived in ``doc/likelihood.md``.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import nnls
from scipy.sparse.linalg import LinearOperator

from ..sketching import Measurement
from ._rows import columns_of, row_sums

# Share of the mean variance that noise has at least, where the components explain all.
_LEAST_NOISE = 1e-10
# A column whose squared mean is beyond this multiple of its variance has next to no zeros: it is
# cheap to write out, and subtracting its mean before squaring saves the digits.
_LOUD = 100.0
# Floats in the buffers of a block of rows: 16 MB.
_BUFFER = 1 << 21
# Features up to which a covariance is an array, of 128 MB.
_MAX_DENSE = 4096


@dataclass(frozen=True)
class TrackedMean:
    """The mean of every feature, None for zero.

    Parameters
    ----------
    mean : ndarray of shape (n_features,) or None
    loud : ndarray of int64
        Sorted ids of the features whose mean is much larger than their deviation.
    """

    mean: np.ndarray | None
    loud: np.ndarray

    @classmethod
    def of(cls, mean: np.ndarray | None, variance: np.ndarray | None) -> "TrackedMean":
        """Return the mean with what is known of the variances."""
        if mean is None or variance is None:
            return cls(mean, np.zeros(0, dtype=np.int64))
        return cls(mean, np.flatnonzero(mean**2 > _LOUD * variance))

    @property
    def width(self) -> int:
        """Columns that are written out of sparse rows."""
        return len(self.loud)

    def squares(self, X, precision: np.ndarray | float, support: np.ndarray) -> np.ndarray:
        """Return the sum over features of precision_j (x_j - mean_j)^2, for each row."""
        if self.mean is None:
            return _weighted_squares(X, precision)
        if not sp.issparse(X):
            return _weighted_squares(X - self.mean, precision)
        # Zeros contribute what the mean does; entries, what differs from that.
        loud, mean, scale = self.loud, self.mean, _each(precision, len(self.mean))
        base = scale * mean**2
        base[loud] = 0.0
        difference = X.data * (X.data - 2.0 * mean[X.indices]) * scale[X.indices]
        difference[_is_among(X.indices, loud)] = 0.0
        result = base.sum() + row_sums(X, difference)
        if len(loud):
            result += _weighted_squares(columns_of(X, loud).toarray() - mean[loud], scale[loud])
        return result

    def products(self, X, ids: np.ndarray, W: np.ndarray) -> np.ndarray:
        """Return (X - mean)[:, ids] W."""
        columns = columns_of(X, ids)
        if self.mean is None:
            return columns @ W
        mean = self.mean[ids]
        if not sp.issparse(columns):
            return (columns - mean) @ W
        loud = _is_among(ids, self.loud)
        result = (columns[:, loud].toarray() - mean[loud]) @ W[loud]
        return result + columns[:, ~loud] @ W[~loud] - mean[~loud] @ W[~loud]


@dataclass(frozen=True)
class SketchedMean:
    """A mean that is known on the support, and through a measurement M beyond.

    Parameters
    ----------
    support_mean : ndarray of shape (n_support,)
    measurement : Measurement
    measured : ndarray of shape (m,)
        M times the mean of all features.
    """

    support_mean: np.ndarray
    measurement: Measurement
    measured: np.ndarray

    @property
    def width(self) -> int:
        """Floats that a measured row takes."""
        return len(self.measured)

    def squares(self, X, precision: float, support: np.ndarray) -> np.ndarray:
        """Return precision |x - mean|^2 for each row, estimated for features off the support.

        There |x|^2 - 2 x^T mean + |mean|^2 is taken with both products between measurements.
        """
        columns, among = columns_of(X, support), self.measurement.columns(support)
        measured = self.measurement.measure(X) - _dense(columns @ among)
        beyond = self.measured - self.support_mean @ among
        inside = np.square(_dense(columns) - self.support_mean).sum(axis=1)
        outside = _weighted_squares(X, 1.0) - _weighted_squares(columns, 1.0)
        return precision * (inside + outside - 2.0 * measured @ beyond + beyond @ beyond)

    def products(self, X, ids: np.ndarray, W: np.ndarray) -> np.ndarray:
        """Return (X - mean)[:, ids] W, for ids of the support."""
        return columns_of(X, ids) @ W - self.support_mean @ W


@dataclass(frozen=True)
class GaussianModel:
    """Rows as independent draws from a Gaussian of covariance C = D + L L^T.

    Parameters
    ----------
    n_features : int
    support : ndarray of int64, shape (n_support,)
        Sorted.
    factors : ndarray of shape (n_support, r)
        L, whose other rows are zero.
    noise : float or ndarray of shape (n_features,)
        D, positive.
    mean : TrackedMean or SketchedMean
    """

    n_features: int
    support: np.ndarray
    factors: np.ndarray
    noise: np.ndarray | float
    mean: TrackedMean | SketchedMean

    @cached_property
    def _weighted_factors(self) -> np.ndarray:
        """D^-1 L on the support."""
        noise = _each(self.noise, self.n_features, self.support)
        return self.factors / noise[:, None]

    @cached_property
    def _inner(self) -> np.ndarray:
        """The upper Cholesky factor R of I + L^T D^-1 L."""
        r = self.factors.shape[1]
        return cho_factor(np.eye(r) + self.factors.T @ self._weighted_factors)[0]

    @cached_property
    def log_determinant(self) -> float:
        """log det C, by the matrix determinant lemma."""
        if np.ndim(self.noise):
            of_noise = float(np.log(self.noise).sum())
        else:
            of_noise = self.n_features * float(np.log(self.noise))
        return of_noise + 2.0 * float(np.log(np.diagonal(self._inner)).sum())

    def log_density(self, X) -> np.ndarray:
        """Return the log-density of each row, dense or canonical CSR."""
        width = max(len(self.support), self.mean.width)
        step = max(1, _BUFFER // (width if sp.issparse(X) else self.n_features))
        starts = range(0, X.shape[0], step)
        return np.concatenate([self._log_density(X[low : low + step]) for low in starts])

    def _log_density(self, X):
        squares = self.mean.squares(X, 1.0 / self.noise, self.support)
        products = self.mean.products(X, self.support, self._weighted_factors)
        inside = solve_triangular(self._inner, products.T, trans="T")
        squares -= np.einsum("ij,ij->j", inside, inside)
        return -0.5 * (self.n_features * np.log(2.0 * np.pi) + self.log_determinant + squares)

    def mean_log_density(self, squares: np.ndarray, block: np.ndarray) -> float:
        """Return the mean log-density of rows of which only second moments are known.

        Parameters
        ----------
        squares : ndarray of shape (n_features,)
            The mean of the squares of each feature of the rows less the mean of the model.
        block : ndarray of shape (n_support, n_support)
            Second moments about that mean on the support.
        """
        inside = solve_triangular(self._inner, self._weighted_factors.T, trans="T")
        distance = float((squares / self.noise).sum()) - float(np.vdot(inside @ block, inside))
        return -0.5 * (self.n_features * np.log(2.0 * np.pi) + self.log_determinant + distance)

    def covariance(self) -> np.ndarray | LinearOperator:
        """Return C, as an array up to some thousand features."""
        return self._matrix(self.noise, self.factors, self.factors.T)

    def precision(self) -> np.ndarray | LinearOperator:
        """Return the inverse of C, by the Woodbury identity."""
        left = self._weighted_factors
        return self._matrix(1.0 / self.noise, -left, cho_solve((self._inner, False), left.T))

    def _matrix(self, diagonal, left, right):
        """Return diag(diagonal) + left right, the latter within the support."""
        N, ids = self.n_features, self.support
        if N <= _MAX_DENSE:
            dense = np.zeros((N, N))
            product = left @ right
            dense[np.ix_(ids, ids)] = 0.5 * (product + product.T)
            dense[np.diag_indices(N)] += diagonal
            return dense

        def multiply(V):
            column = diagonal[:, None] if np.ndim(diagonal) else diagonal
            result = column * V.reshape(N, -1)
            result[ids] += left @ (right @ V.reshape(N, -1)[ids])
            return result.reshape(V.shape)

        return LinearOperator(
            (N, N),
            matvec=multiply,
            rmatvec=multiply,
            matmat=multiply,
            rmatmat=multiply,
            dtype=np.float64,
        )


# ---------------------------------------------------------------------- variances of the model


def isotropic_model(
    basis: np.ndarray, explained: np.ndarray, total: float, n_features: int
) -> tuple[np.ndarray, float]:
    """Return the factors and the noise of the model with one variance for all noise.

    Parameters
    ----------
    basis : ndarray of shape (n_support, r)
        Orthonormal.
    explained : ndarray of shape (r,)
        Variance along each vector of the basis.
    total : float
        Variance of all features.
    n_features : int

    Returns
    -------
    factors : ndarray of shape (n_support, r)
    noise : float
    """
    left = max(total - float(explained.sum()), 0.0) / max(n_features - len(explained), 1)
    noise = max(left, _LEAST_NOISE * total / n_features)
    return basis * np.sqrt(np.maximum(explained - noise, 0.0)), noise


def diagonal_model(
    basis: np.ndarray,
    explained: np.ndarray,
    variances: np.ndarray,
    support: np.ndarray,
    n_samples: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors and the noise of the model with noise of its own in each feature.

    The covariance has the variances of the features on its diagonal and those explained along the
    basis, as far as both can be.

    Parameters
    ----------
    basis, explained
        As in :func:`isotropic_model`.
    variances : ndarray of shape (n_features,)
    support : ndarray of int64, shape (n_support,)
    n_samples : float
        Rows behind the variances.

    Returns
    -------
    factors : ndarray of shape (n_support, r)
    noise : ndarray of shape (n_features,)
    """
    squares, inside = np.square(basis), variances[support]
    r = len(explained)
    rhs = explained - squares.T @ inside
    scale = float(np.abs(explained).max()) or 1.0
    # A direction of one feature only has nothing to share: its equation is 0 = 0.
    factor_variances = (
        scale * nnls(np.eye(r) - squares.T @ squares, rhs / scale, maxiter=100 * r)[0]
    )
    factors = basis * np.sqrt(factor_variances)
    shared = np.square(factors).sum(axis=1)
    # The noise of a feature is the difference of two variances, each known to a share sqrt(2 / n).
    most = (1.0 - min(np.sqrt(0.5 / n_samples), 0.5)) * inside
    excess = shared > most
    factors[excess] *= np.sqrt(most[excess] / shared[excess])[:, None]
    noise = variances.copy()
    noise[support] -= np.square(factors).sum(axis=1)
    # Features that were constant have the least variance that any other one has.
    constant = variances <= 0.0
    noise[constant] = variances[~constant].min()
    return factors, noise


# -------------------------------------------------------------------------------------- helpers


def _each(value, n_features, ids=slice(None)):
    """Return a number or an array over features as an array over some of them."""
    if np.ndim(value):
        return value[ids]
    return np.full(n_features if isinstance(ids, slice) else len(ids), value)


def _is_among(ids, chosen):
    """Return a mask of the ids that occur in a sorted array."""
    if not len(chosen):
        return np.zeros(len(ids), dtype=bool)
    position = np.minimum(np.searchsorted(chosen, ids), len(chosen) - 1)
    return chosen[position] == ids


def _dense(A):
    return A.toarray() if sp.issparse(A) else A


def _weighted_squares(X, precision):
    """Return the sum over features of precision_j x_j^2, for each row."""
    if sp.issparse(X):
        squares = np.square(X.data.astype(np.float64, copy=False))
        return row_sums(X, squares * (precision[X.indices] if np.ndim(precision) else precision))
    X = X.astype(np.float64, copy=False)
    if np.ndim(precision):
        return np.square(X) @ precision
    return precision * np.einsum("ij,ij->i", X, X)
