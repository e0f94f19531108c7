"""Gradients of which only inner products are known."""

from dataclasses import dataclass

import numpy as np

from ._layers import LayerGradients


@dataclass(frozen=True)
class KernelRows(LayerGradients):
    """Gradients known by their inner products with those of training samples, and their norms.

    Parameters
    ----------
    products : ndarray of shape (n_samples, n_train)
    squares : ndarray of shape (n_samples,)
    """

    products: np.ndarray
    squares: np.ndarray

    def __len__(self) -> int:
        return len(self.squares)

    def squared_norms(self) -> np.ndarray:
        """Return the squared norm of each gradient, (n,)."""
        return self.squares
