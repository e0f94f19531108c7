"""The likelihood of rows under components plus noise, and the covariance that it supposes."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator

from .._base.dtypes import check_squares
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

        Raises
        ------
        ValueError
            If values are beyond 1e140, whose squares could not be added.

        Notes
        -----
        The model is a Gaussian with mean ``mean_`` and covariance :meth:`get_covariance`. A row
        with z nonzeros takes O(z r) time for r components, and sparse rows are not made dense. If
        the means of the features are not tracked, those outside the support are estimated from the
        sketch. The value is a sum over all features: with 10^18 of them, differences of less than a
        few hundred are lost in rounding.
        """
        X = self._check_new_rows(X)
        check_squares(X)
        return self._gaussian_model().log_density(X)

    def score(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean log-likelihood of rows under the components plus noise.

        It corresponds to ``PCA.score``. On held-out rows it rises with components that these rows
        share and falls with components that fit noise, so a search by it can choose the number of
        components and their size.

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
            Log-likelihood in nats per row; higher is better. For a share of the variance, see
            :meth:`explained_variance_score`.
        """
        values = self.score_samples(X)
        weights = check_counts_of_rows(sample_weight, len(values))
        return float(np.average(values, weights=weights))

    def get_covariance(self) -> np.ndarray | LinearOperator:
        """Return the covariance of the model, which is that of the components plus noise.

        Returns
        -------
        ndarray of shape (n_features, n_features), or LinearOperator
            The result is an operator if there are more than 4096 features.

        Notes
        -----
        Let q_i be the components, orthogonalised in their order. The covariance is
        ``sum_i (explained_variance_[i] - s) q_i q_i^T + s I``, where s, the variance of the noise,
        is what the components leave of the total variance, divided by the number of remaining
        dimensions. With ``noise="diagonal"`` each feature has noise of its own, such that the
        diagonal holds the variances of the features.
        """
        return self._gaussian_model().covariance()

    def get_precision(self) -> np.ndarray | LinearOperator:
        """Return the inverse of :meth:`get_covariance`, in closed form.

        Returns
        -------
        ndarray of shape (n_features, n_features), or LinearOperator
            The result is an operator if there are more than 4096 features.
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
