"""What a sketch says of the matrix that it has seen: S itself, means, variances."""

import numpy as np
import scipy.sparse as sp

from .._base.locks import undisturbed
from ._centred_products import CentredProduct, SymmetricProduct
from ._identification import IdentificationSketch
from ._implicit import ImplicitMatrix
from ._state import SketchState
from ._variance import check_variance
from .measurements import Measurement


class SecondMoments(SketchState):
    """A state with what is read from its sums; see :class:`.SketchReading`."""

    @property
    def is_exact(self) -> bool:
        """Whether both sides are the identity, so that S is A itself."""
        return self.is_symmetric and self.measurement.keeps_features

    @property
    def tracks_moments(self) -> bool:
        """Whether the mean and the variance of every feature are known once there are rows."""
        return self.is_exact or self._moments is not None

    @property
    @undisturbed
    def effective_samples(self) -> float | None:
        """Number of rows of equal weight that would be as informative; None for entries.

        An integer weight stands for repetition, as everywhere in scikit-learn. Rows whose weight
        :meth:`scale` has reduced count by what they still contribute.
        """
        if self.content != "rows":
            return None
        # Where scale has left nothing that can be squared, the rows are forgotten; where more is
        # deleted than was added, there are none yet.
        return self.weight**2 / self._weight_squares if self._weight_squares > 0.0 else 0.0

    @undisturbed
    def matrix(self) -> np.ndarray:
        """Return S = M A Omega^T, shape (m, k), centred and divided by the weight of the rows."""
        return np.asarray(self.operator())

    @undisturbed
    def operator(self) -> ImplicitMatrix:
        """Return S as a matrix that is multiplied and not stored.

        It reads the sums of the sketch whenever it is used, so it is of use as long as nothing is
        added.
        """
        self._check_not_empty()
        product = SymmetricProduct if self.is_symmetric else CentredProduct
        if self.content == "entries":
            return product(self._cross)
        if not self.center:
            return product(self._cross, self.weight)
        means = self._left.total / self.weight, self._right.total / self.weight
        return product(self._cross, self.weight, *means)

    @undisturbed
    def identify(self, W: np.ndarray) -> np.ndarray:
        """Return the sums over A Psi^T W that the buckets of the bit-test side sketch hold.

        Parameters
        ----------
        W : ndarray of shape (l, r)
            Combinations of the l rows of Psi = G Omega; see ``identification_fold``.

        Returns
        -------
        ndarray of shape (n_buckets, 1 + n_bits, r)
            Entry [j, 0] is the sum over the rows of A Psi^T W in bucket j, and entry [j, 1 + i] the
            part of this sum from ids whose bit i is set.
        """
        self._check_not_empty()
        cells = self._identifying()
        if self.content == "entries":
            return cells.read(W, np.zeros(self.shape[1]))
        mean = self.center * (self._right.shift + self._right.total / self.weight)
        return cells.read(W / self.weight, mean)

    def _identifying(self) -> IdentificationSketch:
        if self._identification is None:
            raise ValueError(
                "The sketch does not hold the ids of features. Make it with identification=3072."
            )
        return self._identification

    @property
    def identification_hash(self) -> Measurement:
        """The measurement that assigns ids to the buckets of :meth:`identify`."""
        return self._identifying().hash

    @property
    def identification_fold(self) -> sp.csr_array:
        """The matrix G^T of shape (k, l), where Psi = G Omega."""
        return self._identifying().fold

    @undisturbed
    def measured_mean(self) -> np.ndarray:
        """Return M times the mean of the rows, shape (m,)."""
        self._check_not_empty()
        if self.content == "entries":
            return np.zeros(self.shape[0])
        return self._left.shift + self._left.total / self.weight

    @undisturbed
    def feature_mean(self) -> np.ndarray | None:
        """Return the exact mean of every feature, shape (N,), or None if it is not tracked."""
        self._check_not_empty()
        if self.measurement.keeps_features:
            return self.measured_mean()
        if self._moments is None or self.content == "entries":
            return None
        return self._moments.mean()

    @undisturbed
    def feature_variance(self) -> np.ndarray | None:
        """Return the exact diagonal of A, shape (N,), or None if it is not tracked."""
        self._check_not_empty()
        if self.is_exact:
            diagonal = np.diagonal(self._cross)
            if self.content == "entries":
                return diagonal.copy()
            drift = self._left.total / self.weight
            return np.maximum(diagonal / self.weight - self.center * drift**2, 0.0)
        if self._moments is None or self.content == "entries":
            return None
        return self._moments.second_moment(self.center)

    @undisturbed
    def total_variance(self) -> float | None:
        """Return the trace of A, exact if the diagonal is tracked and unbiased otherwise.

        The estimate is the trace of M A M^T for MAM* sketches and of Omega A Omega^T for two-sided
        ones. The result is None for a two-sided sketch of entries, which does not determine the
        trace.
        """
        diagonal = self.feature_variance()
        if diagonal is not None:
            return float(diagonal.sum())
        if self.is_symmetric:
            return float(self.operator().diagonal.sum())
        if self.content == "entries":
            return None
        drift = self._right.total / self.weight
        return float(self._power / self.weight - self.center * (drift @ drift))

    @undisturbed
    def check_variance(self) -> None:
        """Raise an error if the rows have no variance that computations could use.

        Raises
        ------
        ValueError
            If all rows are the same up to rounding, or if squares of their variances overflow or
            vanish in floating point.
        """
        check_variance(self, self.operator())
