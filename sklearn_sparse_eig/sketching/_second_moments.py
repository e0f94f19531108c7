"""What a sketch says of the matrix that it has seen: S itself, means, variances."""

import numpy as np
import scipy.sparse as sp

from .._base.locks import undisturbed
from ._accumulate import symmetrize
from ._identification import IdentificationSketch
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
    @undisturbed
    def effective_samples(self) -> float | None:
        """The number of rows that would be as informative; None for entries.

        A weight counts as so many rows, as everywhere in scikit-learn; rows that :meth:`scale` has
        made lighter count by what they still contribute.
        """
        if self.content != "rows":
            return None
        # Where scale has left nothing that can be squared, the rows are forgotten.
        return self.weight**2 / self._weight_squares if self._weight_squares else 0.0

    @undisturbed
    def matrix(self) -> np.ndarray:
        """Return S = M A Omega^T, shape (m, k), centred and divided by the weight of the rows."""
        self._check_not_empty()
        S = symmetrize(self._cross) if self.is_symmetric else self._cross.copy()
        if self.content == "rows":
            S /= self.weight
            if self.center:
                S -= np.outer(self._left.total / self.weight, self._right.total / self.weight)
        return S

    @undisturbed
    def identify(self, W: np.ndarray) -> np.ndarray:
        """Return what the buckets of the identification and their bits hold of A Psi^T W.

        Parameters
        ----------
        W : ndarray of shape (l, r)
            l is the number of rows of Psi = G Omega, see ``identification_fold``.

        Returns
        -------
        ndarray of shape (n_buckets, 1 + n_bits, r)
            Row [j, 0] is what bucket j holds, row [j, 1 + i] the part from ids with bit i set.
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
        """The measurement by whose rows the cells of :meth:`identify` are hashed."""
        return self._identifying().hash

    @property
    def identification_fold(self) -> sp.csr_array:
        """G^T of shape (k, l), by which Psi = G Omega."""
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
        """Return the trace of A: exact where the diagonal is tracked, else an unbiased estimate.

        The estimate is the trace of M A M^T (MAM*) or of Omega A Omega^T (two-sided); None for a
        two-sided sketch of entries, which does not determine it.
        """
        diagonal = self.feature_variance()
        if diagonal is not None:
            return float(diagonal.sum())
        if self.is_symmetric:
            return float(np.trace(self.matrix()))
        if self.content == "entries":
            return None
        drift = self._right.total / self.weight
        return float(self._power / self.weight - self.center * (drift @ drift))

    @undisturbed
    def check_variance(self) -> None:
        """Raise ValueError unless the rows have a variance that can be worked with.

        Raises
        ------
        ValueError
            If all rows are the same but for rounding, or their variances have no squares in
            floating point.
        """
        check_variance(self, self.matrix())
