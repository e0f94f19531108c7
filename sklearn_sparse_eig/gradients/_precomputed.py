"""Gradients that come from elsewhere, as a network whose input they are."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_array

from ._factors import Gradients, LayerFactors
from ._network import Network


class PrecomputedGradients(Network):
    """Rows of X are gradients themselves.

    Its one layer has a single output: a gradient is the outer product of itself and 1.

    Parameters
    ----------
    n_parameters : int
    classes : ndarray
        Labels; which sample has which is not known here, for there are no logits.
    """

    def __init__(self, n_parameters, classes):
        self.classes = np.asarray(classes)
        self.n_features = int(n_parameters)
        self.layer_names = ("gradient",)
        self.layer_shapes = ((self.n_features, 1),)

    def gradients(self, X, output="max", layers=None):
        """Return the rows of X as gradients; their values and logits are NaN."""
        X = check_array(X, accept_sparse="csr", dtype=np.float64)
        if X.shape[1] != self.n_features:
            raise ValueError(f"X has {X.shape[1]} columns, but there are {self.n_features}.")
        rows = sp.csr_array(X) if sp.issparse(X) else X
        n = rows.shape[0]
        unknown = np.full((n, len(self.classes)), np.nan)
        return Gradients(unknown[:, 0], unknown, (LayerFactors(rows, np.ones((n, 1))),))

    def parameters(self):
        """Return the sizes and labels: there are no parameters to compare."""
        return [np.array([self.n_features]), self.classes]
