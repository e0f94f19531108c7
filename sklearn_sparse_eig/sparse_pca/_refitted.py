"""What an estimator that was chosen by cross-validation does: all as the one fitted to all rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator
from sklearn.utils.validation import check_is_fitted

from .._base.typed import (
    ArrayLike,
    ClassNamePrefixFeaturesOutMixin,
    MatrixLike,
    TransformerMixin,
)
from ._estimator import SketchedSparsePCA

if TYPE_CHECKING:
    from pandas import DataFrame


class RefittedMixin(ClassNamePrefixFeaturesOutMixin, TransformerMixin):
    """The methods and attributes of ``best_estimator_``, under the same names."""

    best_estimator_: SketchedSparsePCA

    def _best(self) -> SketchedSparsePCA:
        check_is_fitted(self)
        return self.best_estimator_

    def transform(self, X: MatrixLike) -> np.ndarray:
        """Return the coordinates of rows; see :meth:`SketchedSparsePCA.transform`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components_)
        """
        return self._best().transform(X)

    def inverse_transform(self, X: ArrayLike) -> np.ndarray | Any:
        """Return the rows with given coordinates; see :meth:`SketchedSparsePCA.inverse_transform`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components_)

        Returns
        -------
        ndarray of shape (n_samples, n_features), or csr_array
        """
        return self._best().inverse_transform(X)

    def score_samples(self, X: MatrixLike) -> np.ndarray:
        """Return the log-likelihood of each row under the components plus noise.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self._best().score_samples(X)

    def score(self, X: MatrixLike, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean log-likelihood of rows under the components plus noise.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        return self._best().score(X, sample_weight=sample_weight)

    def explained_variance_score(self, X: MatrixLike, y: Any = None) -> float:
        """Return the share of the variance of X that lies in the span of the components.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : Ignored

        Returns
        -------
        float
        """
        return self._best().explained_variance_score(X)

    def get_covariance(self) -> np.ndarray | LinearOperator:
        """Return the covariance of the components plus noise.

        Returns
        -------
        ndarray of shape (n_features, n_features), or LinearOperator
        """
        return self._best().get_covariance()

    def get_precision(self) -> np.ndarray | LinearOperator:
        """Return the inverse of :meth:`get_covariance`.

        Returns
        -------
        ndarray of shape (n_features, n_features), or LinearOperator
        """
        return self._best().get_precision()

    def get_support(self, indices: bool = False) -> np.ndarray:
        """Return which features occur in any component, as a mask or as indices.

        Parameters
        ----------
        indices : bool, default=False

        Returns
        -------
        ndarray of bool, shape (n_features,), or of int64
        """
        return self._best().get_support(indices)

    def describe(
        self,
        input_features: Sequence[str] | None = None,
        *,
        max_features: int | None = None,
        as_frame: bool = False,
    ) -> "list[list[tuple[str | int, float]]] | DataFrame":
        """Return the features and loadings of each component.

        Parameters
        ----------
        input_features, max_features, as_frame
            As in :meth:`SketchedSparsePCA.describe`.

        Returns
        -------
        list of list of (str or int, float), or DataFrame
        """
        return self._best().describe(input_features, max_features=max_features, as_frame=as_frame)

    @property
    def _n_features_out(self) -> int:
        return self._best().n_components_

    @property
    def components_(self) -> sp.csr_array | Any:
        return self._best().components_

    @property
    def explained_variance_(self) -> np.ndarray:
        return self._best().explained_variance_

    @property
    def explained_variance_ratio_(self) -> np.ndarray:
        return self._best().explained_variance_ratio_

    @property
    def mean_(self) -> np.ndarray | sp.csr_array:
        return self._best().mean_

    @property
    def noise_variance_(self) -> float:
        return self._best().noise_variance_

    @property
    def support_(self) -> np.ndarray:
        return self._best().support_

    @property
    def n_components_(self) -> int:
        return self._best().n_components_

    @property
    def n_nonzero_coefs_(self) -> np.ndarray:
        return self._best().n_nonzero_coefs_
