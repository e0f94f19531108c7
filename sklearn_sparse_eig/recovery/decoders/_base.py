"""What a support decoder is."""

from abc import ABC, abstractmethod

import numpy as np

# Ids scored at a time in a sweep over all features: bounds the memory of a sweep at 8 MB.
SWEEP = 1 << 18


class Decoder(ABC):
    """Finds the rows of a row-sparse matrix F (N x r) from its measurement Q = M F + noise.

    Attributes
    ----------
    name : str
        The name under which the class is registered.
    """

    name: str

    @abstractmethod
    def decode(self, measurement, Q, size=None):
        """Return the support of F.

        Parameters
        ----------
        measurement : Measurement
        Q : ndarray of shape (m, r)
        size : int or None
            At most this many rows; None for as many as stand out from noise.

        Returns
        -------
        ndarray of int64
            Sorted ids, possibly none.
        """


def strongest_features(measurement, R, size):
    """Return the ids whose rows of M^T R have the largest norm, and their squared norms.

    A sweep over all N: time O(N K r), memory O(size + constant). It is made in float32 where N is
    large: it only ranks, and all numbers are computed again on the support.

    Returns
    -------
    ids : ndarray of int64, shape (min(size, N),), sorted
    energies : ndarray of float64, shape (min(size, N),)
    """
    N = measurement.n_features
    R = np.ascontiguousarray(R, dtype=np.float32 if N > SWEEP else np.float64)
    ids, energies = np.empty(0, dtype=np.int64), np.empty(0)
    for start in range(0, N, SWEEP):
        energy = measurement.adjoint_energy(R, start, min(start + SWEEP, N))
        best = _largest(energy, size)
        ids = np.concatenate([ids, best + start])
        energies = np.concatenate([energies, energy[best]])
        keep = _largest(energies, size)
        ids, energies = ids[keep], energies[keep]
    return ids, energies


def largest_rows(Z, size):
    """Return the sorted positions of the `size` rows of largest norm."""
    return _largest(np.einsum("ij,ij->i", Z, Z), size)


def _largest(scores, size):
    if len(scores) <= size:
        return np.arange(len(scores))
    return np.sort(np.argpartition(-scores, size - 1)[:size])
