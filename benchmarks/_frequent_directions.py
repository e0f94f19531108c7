"""Frequent Directions: the deterministic matrix sketch of a stream of rows, a mergeable competitor.

Liberty (KDD 2013) and Ghashami, Liberty, Phillips, Woodruff (SIAM J. Comput. 45, 2016), in the fast
variant: rows fill a buffer of 2 l rows, and when it is full, its squared singular values are
reduced by the l-th, which leaves less than l rows. The sparse vectors are those of a final
threshold, which is not part of those papers.
"""

import numpy as np
from _harness import keep_largest


class ThresholdedFrequentDirections:
    """Frequent Directions of l rows. Memory: l N floats between shrinks, 2 l N with the buffer.

    Rows are not centred: they should have mean zero, or their mean is one of the directions.

    Parameters
    ----------
    n_components : int
    n_nonzero : int
        Entries kept in each component.
    n_rows : int
        l, more than n_components.
    """

    def __init__(self, n_components, n_nonzero, n_rows):
        if n_rows <= n_components:
            raise ValueError(f"{n_components} components need more than {n_rows} rows.")
        self.n_components, self.n_nonzero, self.n_rows = n_components, n_nonzero, n_rows
        self.buffer, self.filled = None, 0

    def partial_fit(self, X):
        if self.buffer is None:
            self.buffer = np.zeros((2 * self.n_rows, X.shape[1]))
        start = 0
        while start < X.shape[0]:
            if self.filled == len(self.buffer):
                self._shrink()
            rows = X[start : start + len(self.buffer) - self.filled]
            self.buffer[self.filled : self.filled + len(rows)] = rows
            self.filled += len(rows)
            start += len(rows)
        return self

    def _shrink(self):
        values, directions = self._singular_pairs()
        squares = np.square(values[: self.n_rows])
        kept = np.sqrt(squares - squares[-1])
        self.buffer[: self.n_rows] = kept[:, None] * directions[: self.n_rows]
        self.filled = self.n_rows - 1  # the last of them is zero

    def _singular_pairs(self):
        """Return singular values and right vectors, from the small Gram matrix of the rows."""
        rows = self.buffer[: self.filled]
        squares, left = np.linalg.eigh(rows @ rows.T)
        values = np.sqrt(np.clip(squares[::-1], 0.0, None))
        # Directions lost to rounding, of rows of less than full rank, come out as zero.
        known = values > 1e-7 * values[0]
        scale = np.divide(1.0, values, out=np.zeros_like(values), where=known)
        return values, scale[:, None] * (left[:, ::-1].T @ rows)

    @property
    def components_(self):
        directions = self._singular_pairs()[1][: self.n_components]
        return keep_largest(directions, self.n_nonzero)
