"""The window between sketching and recovery: all that a recovery may ask of a sketch."""

from typing import Protocol

import numpy as np
import scipy.sparse as sp

from ._implicit import ImplicitMatrix
from .measurements import Measurement


class SketchReading(Protocol):
    """What a sketch S = M A Omega^T says of A to those who recover eigenpairs from it.

    :class:`EigenSketch` offers it, and so may anything else that has measured a symmetric matrix on
    both sides. Nothing here changes the sketch, and arrays belong to the caller.
    """

    @property
    def measurement(self) -> Measurement:
        """M, of shape (m, n_features)."""

    @property
    def test(self) -> Measurement:
        """Omega, of shape (k, n_features)."""

    @property
    def n_features(self) -> int:
        """N, the size of A."""

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, k) of S."""

    @property
    def is_symmetric(self) -> bool:
        """Whether Omega is M, so that S is symmetric."""

    @property
    def is_exact(self) -> bool:
        """Whether M and Omega are the identity, so that S is A itself."""

    @property
    def center(self) -> bool:
        """Whether A is a covariance rather than a second moment."""

    @property
    def content(self) -> str | None:
        """What was added: "rows", "entries", or None while the sketch is empty."""

    @property
    def effective_samples(self) -> float | None:
        """The number of rows that A is estimated from; None where it was given by entries."""

    def operator(self) -> ImplicitMatrix:
        """Return S, shape (m, k), to be multiplied while the sketch does not change."""

    def feature_variance(self) -> np.ndarray | None:
        """Return the diagonal of A, shape (n_features,), or None if it is not known."""

    def total_variance(self) -> float | None:
        """Return the trace of A, or an estimate of it; None if it cannot be estimated."""

    @property
    def identifies(self) -> bool:
        """Whether features can be told by their ids, through the three that follow."""

    def identify(self, W: np.ndarray) -> np.ndarray:
        """Return what buckets of features, and the bits of their ids, hold of A Psi^T W."""

    @property
    def identification_hash(self) -> Measurement:
        """The measurement by whose rows the buckets are hashed."""

    @property
    def identification_fold(self) -> sp.csr_array:
        """G^T of shape (k, l), by which Psi = G Omega."""
