"""Predictions of coefficients and an intercept."""

from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator
from sklearn.utils.validation import check_is_fitted

from .._base.rows import validate_rows


class LinearPredictor:
    """Estimators with the fitted attributes ``coef_`` and ``intercept_``."""

    coef_: np.ndarray
    intercept_: float | np.ndarray

    def predict(self, X: Any) -> np.ndarray:
        """Return the predictions X w plus the intercept.

        Parameters
        ----------
        X : {array-like, sparse matrix, LinearOperator} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_targets)
        """
        check_is_fitted(self)
        if not isinstance(X, LinearOperator):
            X = validate_rows(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        return X @ self.coef_.T + self.intercept_
