"""What a support decoder is."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from ...sketching import Measurement
from .._lifting import SupportFit

# Ids scored at a time in a sweep over all features: bounds the memory of a sweep at 8 MB.
SWEEP = 1 << 20
# Parts of that in which energies are ranked, which takes five arrays of their size.
_PARTS = 8
# Ids whose rows are computed at a time: a few megabytes.
_RESCORED = 1 << 14


class Decoder(ABC):
    """Finds the rows of a row-sparse matrix F (N x r) from its measurement Q = M F + noise.

    Attributes
    ----------
    name : str
        The name under which the class is registered.
    needs_identification : bool
        Whether the decoder reads the ids of features from a side sketch.
    report : callable or None
        Function that is called as ``report(n_done, n_features)`` between the chunks of a sweep over
        the features.
    """

    name: str
    needs_identification: bool = False
    report: Callable[[int, int], None] | None = None

    def __repr__(self) -> str:
        settings = ", ".join(
            f"{name}={value!r}"
            for name, value in vars(self).items()
            if not name.startswith("_") and name != "report"
        )
        return f"{type(self).__name__}({settings})"

    def attach(self, sketch: Any, S: np.ndarray | None) -> Self:
        """Return a decoder for one recovery from a sketch, whose matrix less noise is S.

        Most decoders need only the arguments of :meth:`decode`, and return themselves.
        """
        return self

    @abstractmethod
    def decode(
        self, measurement: Measurement, Q: np.ndarray, size: int | None = None
    ) -> np.ndarray:
        """Return the support of F.

        Parameters
        ----------
        measurement : Measurement
        Q : ndarray of shape (m, r)
        size : int or None
            Largest number of rows to return. None returns as many as stand out from noise.

        Returns
        -------
        ndarray of int64
            Sorted ids, possibly none.
        """

    def strongest(self, fit: SupportFit, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the features that explain most of what a fit leaves of Q.

        The default scores all features of the measurement; see :func:`strongest_features`.

        Parameters
        ----------
        fit : SupportFit
        size : int

        Returns
        -------
        ids : ndarray of int64, sorted
            At most `size` ids.
        energies : ndarray of float64
            Squared norms of their rows of M^T R, where R is the residual of the fit.
        """
        return strongest_features(fit.measurement, fit.residual, size, self.report)

    def n_hypotheses(self, measurement: Measurement) -> int:
        """Return the number of features that :meth:`strongest` compares.

        This number sets the level above which the strongest of them are not due to chance.
        """
        return measurement.n_features


def strongest_features(
    measurement: Measurement,
    R: np.ndarray,
    size: int,
    report: Callable[[int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids whose rows of M^T R have the largest norm, and their squared norms.

    A sweep over all N: time O(N K r), memory O(size + constant). It is made in float32 where N is
    large: it only ranks, and all numbers are computed again on the support.

    Parameters
    ----------
    measurement : Measurement
    R : ndarray of shape (m, r)
    size : int
    report : callable or None
        Called as ``report(n_done, n_features)`` after each chunk.

    Returns
    -------
    ids : ndarray of int64, shape (min(size, N),), sorted
    energies : ndarray of float64, shape (min(size, N),)
    """
    N = measurement.n_features
    R = np.ascontiguousarray(R, dtype=np.float32 if N > SWEEP else np.float64)
    ids, energies = np.empty(0, dtype=np.int64), np.empty(0)
    bound = -np.inf
    step = max(1, SWEEP // _PARTS)
    for start in range(0, N, SWEEP):
        stop = min(start + SWEEP, N)
        for low in range(start, stop, step):
            energy = measurement.adjoint_energy(R, low, min(low + step, stop))
            # Few pass the weakest of those kept so far; sorting all would cost as much again.
            best = np.flatnonzero(energy > bound)
            best = best[_largest(energy[best], size)]
            ids = np.concatenate([ids, best + low])
            energies = np.concatenate([energies, energy[best]])
            keep = _largest(energies, size)
            ids, energies = ids[keep], energies[keep]
            if len(ids) == size:
                bound = float(energies.min())
        if report is not None:
            report(stop, N)
    return ids, energies


def best_of(fit: SupportFit, ids: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the given ids explain most of what a fit leaves, and their energies."""
    residual = np.ascontiguousarray(fit.residual)
    energies = np.empty(len(ids))
    for low in range(0, len(ids), _RESCORED):
        rows = fit.measurement.adjoint(residual, ids[low : low + _RESCORED])
        energies[low : low + _RESCORED] = np.einsum("ij,ij->i", rows, rows)
    keep = _largest(energies, size)
    return ids[keep], energies[keep]


def largest_rows(Z: np.ndarray, size: int) -> np.ndarray:
    """Return the sorted positions of the `size` rows of largest norm."""
    return _largest(np.einsum("ij,ij->i", Z, Z), size)


def with_largest_rows(ids: np.ndarray, B: np.ndarray, size: int) -> np.ndarray:
    """Return the ids and, up to `size` in all, the largest rows of B besides them."""
    others = np.setdiff1d(np.arange(len(B)), ids, assume_unique=True)
    room = max(size - len(ids), 0)
    return np.union1d(ids, others[largest_rows(B[others], room)] if room else ids)


def _largest(scores, size):
    if len(scores) <= size:
        return np.arange(len(scores))
    return np.sort(np.argpartition(-scores, size - 1)[:size])
