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
    decodes_jointly : bool
        Whether all columns of Q have one support. Where they are decoded one by one, a recovery
        compares the result with that of joint pursuit, and warns if features were missed.
    report : callable or None
        Function that is called as ``report(n_done, n_features)`` between the chunks of a sweep over
        the features.
    """

    name: str
    needs_identification: bool = False
    decodes_jointly: bool = True
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
    kept = _Strongest(size)
    step = max(1, SWEEP // _PARTS)
    for start in range(0, N, SWEEP):
        stop = min(start + SWEEP, N)
        for low in range(start, stop, step):
            kept.add(low, measurement.adjoint_energy(R, low, min(low + step, stop)))
        if report is not None:
            report(stop, N)
    return kept.result()


class _Strongest:
    """The ids of largest energy in a sweep, in memory of their number.

    Those that pass the weakest kept so far are only collected, and ranked when there are twice as
    many as wanted: to rank them after each part of the sweep would take longer than the sweep.
    """

    def __init__(self, size):
        self._size, self._bound = size, -np.inf
        self._n_collected, self._ids, self._energies = 0, [], []

    def add(self, low, energies):
        """Note the energies of consecutive ids, the first of which is `low`."""
        passes = np.flatnonzero(energies > self._bound)
        if len(passes) > self._size:  # so that no more than three times as many are held
            passes = passes[_largest(energies[passes], self._size)]
        if len(passes) == 0:
            return
        self._ids.append(passes + low)
        self._energies.append(energies[passes].astype(np.float64))
        self._n_collected += len(passes)
        if self._n_collected >= 2 * self._size:
            self._rank()

    def result(self):
        """Return the ids, sorted, and their energies."""
        if not self._ids:
            return np.empty(0, dtype=np.int64), np.empty(0)
        self._rank()
        return self._ids[0], self._energies[0]

    def _rank(self):
        ids, energies = np.concatenate(self._ids), np.concatenate(self._energies)
        keep = _largest(energies, self._size)
        self._ids, self._energies, self._n_collected = [ids[keep]], [energies[keep]], len(keep)
        if len(keep) == self._size:
            self._bound = float(self._energies[0].min(initial=np.inf))


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
