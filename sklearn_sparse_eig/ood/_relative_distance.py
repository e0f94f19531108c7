"""How much nearer features are to a class than to the whole, in two metrics with one floor."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

from ._roots import DiagonalRoot, TriangularRoot, inverse_root

# Of the mean square of the features: what rounding may leave of a scatter that is nought.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class RelativeDistance:
    r"""Logarithm of the distance to the centre of all features over that to the nearest class.

    With W the scatter within classes, B that of the class means about their centre m, and
    :math:`\mu_c` the mean of :math:`n_c` features,

    .. math:: R(h) = \frac12 \log \frac{d + (h - m)^T (W + B)^{-1} (h - m)}
              {d + \min_c \left[ (h - \mu_c)^T W^{-1} (h - \mu_c) - d / n_c \right]_+}.

    Here d is the trace of the inverse of the shrunk W times W, the mean squared distance of a
    feature to its class: R compares densities with tails as heavy as a Student distribution of d
    degrees of freedom. The subtracted :math:`d / n_c` is what the squared distance to a mean of n_c
    features has too much. W is shrunk first, and the whole has the same shrunk W in it. So
    :math:`W + B \ge W` in every direction, and what is far from everything is near no class.

    Parameters
    ----------
    centre : ndarray of shape (n_features,)
    means : ndarray of shape (n_classes, n_features)
        Less the centre.
    counts : ndarray of int, shape (n_classes,)
    within, whole : roots of the inverses of W and W + B
    dimension : float
        d.
    spread : float
        Standard deviation of R over known features, as if those of each class were Gaussian.
    """

    centre: np.ndarray
    means: np.ndarray
    counts: np.ndarray
    within: DiagonalRoot | TriangularRoot
    whole: DiagonalRoot | TriangularRoot
    dimension: float
    spread: float

    @classmethod
    def from_sums(
        cls, sums: np.ndarray, squares: np.ndarray, counts: np.ndarray, second: np.ndarray
    ) -> Self:
        """Return the distance from sums over known features.

        Parameters
        ----------
        sums : ndarray of shape (n_classes, n_features)
            Of the features of each class.
        squares : ndarray of shape (n_classes,)
            Of their squared norms.
        counts : ndarray of int, shape (n_classes,)
            Of at least one.
        second : ndarray of shape (n_features, n_features) or (n_features,)
            Sum of h h^T, or its diagonal.
        """
        n = int(counts.sum())
        means = sums / counts[:, None]
        centre = sums.sum(axis=0) / n
        scales = squares - counts * np.einsum("ij,ij->i", means, means)
        means -= centre
        weighted = means * np.sqrt(counts / n)[:, None]
        between = weighted.T @ weighted if second.ndim == 2 else (weighted**2).sum(axis=0)
        moment = second / n - (np.outer(centre, centre) if second.ndim == 2 else centre**2)
        freedom = max(n - len(counts), 1)
        scatter = (moment - between) * (n / freedom)
        shrunk = _shrunk(scatter, freedom, float(_diagonal(second).mean()) / n)
        within, whole = inverse_root(shrunk), inverse_root(shrunk + between)
        dimension = max(_product_trace(within, scatter), 1.0)
        # Scatter of each class, in units of what all have on average.
        level = max(float(_diagonal(scatter).sum()), np.finfo(float).tiny)
        scales = np.maximum(scales, 0.0) / np.maximum(counts - 1, 1) / level
        spread = _spread(means, counts / n, scales, scatter, within, whole, dimension)
        return cls(centre, means, counts, within, whole, dimension, spread)

    @cached_property
    def _means_within(self) -> np.ndarray:
        """Means in the metric of W, made once: few rows may be asked for at a time."""
        return self.within.of(self.means)

    def of(self, features: Any) -> np.ndarray:
        """Return R of features, an ndarray or csr_array (n_samples, n_features), in float64."""
        rows, origin = features, self.centre[None]
        if not sp.issparse(features):
            rows, origin = features - self.centre, np.zeros_like(origin)
        d = self.dimension
        to_whole = _squared_distances(self.whole.of(rows), self.whole.of(origin))[:, 0]
        points = self._means_within + self.within.of(origin)
        to_classes = _squared_distances(self.within.of(rows), points) - d / self.counts
        nearest = np.maximum(to_classes.min(axis=1), 0.0)
        return 0.5 * np.log((d + np.maximum(to_whole, 0.0)) / (d + nearest))


def _squared_distances(rows, points):
    if sp.issparse(rows):
        squares = np.asarray(rows.multiply(rows).sum(axis=1)).ravel()
    else:
        squares = np.einsum("ij,ij->i", rows, rows)
    both = squares[:, None] + np.einsum("ij,ij->i", points, points)
    return both - 2.0 * np.asarray(rows @ points.T)


def _shrunk(scatter, freedom, mean_square):
    """Return the scatter shrunk to a multiple of the identity, and positive."""
    diagonal = _diagonal(scatter)
    level = max(float(diagonal.mean()), 0.0)
    squared_norm = float((scatter**2).sum())
    spread = squared_norm - level**2 * len(diagonal)
    variance = _variance(scatter, squared_norm, level, freedom)
    share = min(variance / spread, 1.0) if spread > 0.0 else 1.0
    shrunk = (1.0 - share) * scatter
    floor = max(share * level, _ROUNDING * mean_square) or 1.0
    if scatter.ndim == 1:
        return np.maximum(shrunk, 0.0) + floor
    shrunk.flat[:: len(diagonal) + 1] += floor
    return shrunk


def _variance(scatter, squared_norm, level, n):
    """Return the variance of a scatter of n Gaussian rows, as oracle shrinkage reckons with it.

    Chen, Wiesel, Eldar and Hero (2010) in the form of scikit-learn's ``OAS``, for whole matrices.
    """
    if scatter.ndim == 1:
        return 2.0 * squared_norm / n
    return (squared_norm + (len(scatter) * level) ** 2) / (n + 1.0)


def _spread(means, shares, scales, scatter, within, whole, d):
    r"""Return the standard deviation of R over known features, to first order.

    Class c is Gaussian with scatter :math:`s_c W`, and the distances are close to their means
    :math:`t_c = \delta_c^T (W+B)^{-1} \delta_c + s_c \operatorname{tr} (W+B)^{-1} W` and
    :math:`w_c = s_c d`, with :math:`\delta_c = \mu_c - m`. Derived in ``doc/gradpca.md``.
    """
    to_whole = whole.of(means)
    of_whole, of_class = _product(whole, scatter), _product(within, scatter)
    traces = [_trace(of_whole, of_whole), _trace(of_whole, of_class), _trace(of_class, of_class)]
    if scatter.ndim == 1:
        along = (means * whole.values**2) ** 2 @ scatter
    else:
        slopes = to_whole @ whole.values.T
        along = np.einsum("ij,ij->i", slopes @ scatter, slopes)
    outer = d + np.einsum("ij,ij->i", to_whole, to_whole) + scales * _diagonal(of_whole).sum()
    inner = d + scales * _diagonal(of_class).sum()
    quadratic = traces[0] / outer**2 - 2.0 * traces[1] / (outer * inner) + traces[2] / inner**2
    variances = scales * along / outer**2 + 0.5 * scales**2 * quadratic
    centres = 0.5 * np.log(outer / inner)
    variance = shares @ (variances + (centres - shares @ centres) ** 2)
    return float(np.sqrt(max(variance, 0.0)))


def _product(root, matrix):
    """Return R R^T times a symmetric matrix, or the product of the diagonals."""
    if matrix.ndim == 1:
        return root.values**2 * matrix
    return root.values @ (root.values.T @ matrix)


def _product_trace(root, matrix):
    """Return the trace of R R^T times a symmetric matrix."""
    if matrix.ndim == 1:
        return float(root.values**2 @ matrix)
    return float(np.einsum("ij,ij->", matrix @ root.values, root.values))


def _trace(a, b):
    return float(a @ b) if a.ndim == 1 else float(np.einsum("ij,ji->", a, b))


def _diagonal(matrix):
    return matrix if matrix.ndim == 1 else np.diagonal(matrix)
