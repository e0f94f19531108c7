"""Components of many numbers and sizes on one split, and how likely rows held out are under them.

All is read from two covariances on the features that may be chosen, that of the rows of training
and that of the rows held out. Components that are found one after another do not depend on how many
are to follow, so that each size is solved once, for the largest number. Derived in
``doc/likelihood.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._base.threads import limit_blas
from ..recovery import descending_order, joint_principal_paths, without_rounding
from ..sketching import EigenSketch
from ._gaussian import GaussianModel, TrackedMean, isotropic_model


@dataclass(frozen=True)
class FeatureMoments:
    """Means and variances of all features of some rows, exactly.

    Attributes
    ----------
    mean : ndarray of shape (n_features,)
        Zero where rows are not centred, and the variances are about it.
    variance : ndarray of shape (n_features,)
    """

    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of(cls, sketch: EigenSketch) -> "FeatureMoments":
        """Return the moments that a sketch tracks."""
        mean, variance = sketch.feature_mean(), sketch.feature_variance()
        if mean is None or variance is None:
            raise ValueError("The sketch does not track the moments of the features.")
        return cls(mean if sketch.center else np.zeros_like(mean), variance)


def held_out_likelihood(
    model: GaussianModel, moments: FeatureMoments, mean: np.ndarray, block: np.ndarray
) -> float:
    """Return the mean log-likelihood of rows held out, from their moments.

    Parameters
    ----------
    model : GaussianModel
    moments : FeatureMoments
        Of the rows held out.
    mean : ndarray of shape (n_features,)
        That of the model.
    block : ndarray of shape (n_support, n_support)
        Covariance of the rows held out on the support of the model.
    """
    apart = moments.mean - mean
    inside = apart[model.support]
    return model.mean_log_density(moments.variance + apart**2, block + np.outer(inside, inside))


@dataclass(frozen=True)
class SharedPath:
    """What one split needs to solve and to judge any number and size of components.

    Attributes
    ----------
    ids : ndarray of int64, shape (t,)
        The features that may be chosen, sorted.
    covariance, held_out : ndarray of shape (t, t)
        Covariances at these features, of the rows of training and of those held out.
    moments, held_out_moments : FeatureMoments
        Of all features.
    """

    ids: np.ndarray
    covariance: np.ndarray
    held_out: np.ndarray
    moments: FeatureMoments
    held_out_moments: FeatureMoments

    def likelihoods(self, counts: Sequence[int], sizes: Sequence[int]) -> list[float]:
        """Return the held-out likelihood for each number of components and each size.

        Parameters
        ----------
        counts : sequence of int
            Numbers of components.
        sizes : sequence of int
            Features in each.

        Returns
        -------
        list of float
            All sizes of the first number first.
        """
        with limit_blas(1):
            found = joint_principal_paths(self.covariance, counts, sizes)
            return [self._likelihood(found[r, size]) for r in counts for size in sizes]

    def _likelihood(self, vectors):
        used = np.flatnonzero(vectors.any(axis=1))
        basis, explained = _ordered_basis(self.covariance[np.ix_(used, used)], vectors[used])
        n_features, total = len(self.moments.mean), float(self.moments.variance.sum())
        factors, noise = isotropic_model(basis, explained, total, n_features)
        ids = self.ids[used]
        model = GaussianModel(n_features, ids, factors, noise, TrackedMean.of(None, None))
        block = self.held_out[np.ix_(used, used)]
        return held_out_likelihood(model, self.held_out_moments, self.moments.mean, block)


def _ordered_basis(A, vectors):
    """Return the vectors, made orthogonal in the order that an estimator has, and variances."""

    def variances(columns):
        return np.einsum("ij,ij->j", columns, A @ columns)

    order = descending_order(vectors, variances)
    basis = np.linalg.qr(vectors[:, order])[0]
    return basis, without_rounding(variances(basis))
