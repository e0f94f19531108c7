"""What gradients of one layer have in common, however they are kept."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np


class LayerGradients(ABC):
    """Gradients of one layer for many samples.

    Attributes
    ----------
    is_explicit : bool
        Whether there is a matrix for each sample, or it is made on demand; otherwise the
        gradients are kept as two factors ``inputs`` and ``deltas``, or only as their kernel.
    """

    is_explicit: ClassVar[bool] = False

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def squared_norms(self) -> np.ndarray:
        """Return the squared norm of each gradient, (n,)."""
