"""The likelihood of rows under components plus noise, and the covariance that it supposes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator

from .._base.weights import check_counts_of_rows
from ._gaussian import (
    GaussianModel,
    SketchedMean,
    TrackedMean,
    diagonal_model,
    isotropic_model,
)
from ._recovered import RecoveredMixin


class LikelihoodMixin(RecoveredMixin):
    """The probabilistic methods of scikit-learn's ``PCA``, for sparse components."""

    _check_new_rows: Callable[[ArrayLike], Any]  # of the class that this is mixed into

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Return the log-likelihood of each row under the components plus noise.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)

        Notes
        -----
        The model is a Gaussian of mean ``mean_`` and covariance :meth:`get_covariance`. A row of z
        nonzeros takes O(z r) time, for r components; sparse rows are not made dense. Where the
        means of the features are not tracked, those off the support enter by their sketch, as an
        estimate. The value is a sum over all features: among 10^18 of them, differences of less
        than some hundreds drown in rounding.
        """
        X = self._check_new_rows(X)
        return self._gaussian_model().log_density(X)

    def score(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean log-likelihood of rows under the components plus noise.

        As that of ``PCA``: on held-out rows it rises with components that these share, and falls
        with those that fit noise, so a search by it chooses their number and size.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Held-out rows.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights of the rows in the mean.

        Returns
        -------
        float
            In nats per row; higher is better. See :meth:`explained_variance_score` for a share.
        """
        values = self.score_samples(X)
        weights = check_counts_of_rows(sample_weight, len(values))
        return float(np.average(values, weights=weights))

    def get_covariance(self) -> np.ndarray | LinearOperator:
        """Return the covariance of the model: that of the components, plus noise.

        Returns
        -------
        ndarray of shape (n_features, n_features), or LinearOperator
            An operator where there are more than 4096 features.

        Notes
        -----
        With q_i the components, orthogonalised in their order, it is
        ``sum_i (explained_variance_[i] - s) q_i q_i^T + s I``, where the noise has the variance
        s that the total leaves over, per dimension left. With ``noise="diagonal"`` each feature
        has noise of its own, such that the diagonal holds the features' variances.
        """
        return self._gaussian_model().covariance()

    def get_precision(self) -> np.ndarray | LinearOperator:
        """Return the inverse of :meth:`get_covariance`, in closed form.

        Returns
        -------
        ndarray of shape (n_features, n_features), or LinearOperator
            An operator where there are more than 4096 features.
        """
        return self._gaussian_model().precision()

    def _gaussian_model(self) -> GaussianModel:
        def compute():
            onto, sketch, N = self._projection(), self.sketch_, self.n_features_in_
            basis = np.linalg.qr(onto.loadings)[0]
            explained, variances = self.explained_variance_, sketch.feature_variance()
            if self.noise == "diagonal":
                n = sketch.effective_samples
                factors, noise = diagonal_model(basis, explained, variances, onto.support, n)
            else:
                factors, noise = isotropic_model(basis, explained, sketch.total_variance(), N)
            mean = self._model_mean(sketch, onto.mean, variances)
            return GaussianModel(N, onto.support, factors, noise, mean)

        return self._cached("gaussian_model", compute)

    def _model_mean(self, sketch, support_mean, variances):
        if not self.center:
            return TrackedMean.of(None, None)
        mean = sketch.feature_mean()
        if mean is None:
            return SketchedMean(support_mean, sketch.measurement, sketch.measured_mean())
        return TrackedMean.of(mean, variances)
