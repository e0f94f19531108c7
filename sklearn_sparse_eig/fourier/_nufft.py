"""Fourier sums at scattered points in O(p log p + n): the nonuniform fast Fourier transform.

Points are spread on a fine grid by a short bump, the grid is transformed, and what the bump did to
each frequency is divided out. The bump is the "exponential of semicircle" of Barnett, Magland and
af Klinteberg, "A parallel nonuniform fast Fourier transform library based on an 'exponential of
semicircle' kernel", SIAM J. Sci. Comput. 41 (2019), at the width and shape recommended there.
"""

import numpy as np
import scipy.fft
import scipy.sparse as sp

from ._scattered import powers

# Grid points under the bump, and its shape for a grid twice as fine as the frequencies. The error
# falls tenfold with each point: at 15 it is within ACCURACY of the sum of the magnitudes.
_WIDTH = 15
_SHAPE = 2.30 * _WIDTH
_OVERSAMPLING = 2
# Of a sum, relative to the sum of the magnitudes of its terms (tested against direct sums).
ACCURACY = 1e-12
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def _bump(t):
    """Return the bump at t in [-1, 1], 0 beyond."""
    inside = np.maximum(1.0 - t * t, 0.0)
    return np.where(np.abs(t) < 1.0, np.exp(_SHAPE * (np.sqrt(inside) - 1.0)), 0.0)


class NonuniformTransform:
    """Sums of exp(2 pi i k x_j) over frequencies, or over points.

    Parameters
    ----------
    phases : ndarray of shape (n,)
        Points x_j in periods.
    frequencies : ndarray of int, shape (p,)
        Consecutive integers, increasing.

    Notes
    -----
    O(w n) memory for bumps of w = 15 points. Errors are at most ``ACCURACY`` times the sum of the
    magnitudes of what is summed.
    """

    def __init__(self, phases, frequencies):
        p = len(frequencies)
        self._centre = int(frequencies[p // 2])
        # Frequencies about zero, and where these are in a transform.
        offsets = np.asarray(frequencies) - self._centre
        self._size = scipy.fft.next_fast_len(max(_OVERSAMPLING * p, 2 * _WIDTH))
        self._slots = offsets % self._size
        wrapped = phases - np.floor(phases)
        self._turn = np.exp(2j * np.pi * ((wrapped * self._centre) % 1.0))[:, None]
        self._interpolation = self._make_interpolation(wrapped)
        self._attenuation = self._transformed_bump(p // 2 + 1)[np.abs(offsets), None]

    def _transformed_bump(self, count):
        """Return what the bump does to the offsets 0, 1, ..., by Gauss quadrature."""
        half = _NODES > 0
        weights = (_WEIGHTS * _bump(_NODES))[half] * _WIDTH
        waves = powers(_NODES[half] * (0.5 * _WIDTH / self._size), np.arange(count))
        return weights @ waves.real

    def _make_interpolation(self, wrapped):
        """Return the matrix from values on the grid to points, w nonzeros in a row."""
        n, position = len(wrapped), wrapped * self._size
        first = np.ceil(position - _WIDTH / 2).astype(np.int64)
        columns = first[:, None] + np.arange(_WIDTH)
        values = _bump((columns - position[:, None]) * (2.0 / _WIDTH))
        indptr = np.arange(n + 1) * _WIDTH
        grid = (values.ravel(), (columns % self._size).ravel(), indptr)
        return sp.csr_array(grid, shape=(n, self._size))

    def at_points(self, coefficients):
        """Return sum_k c_k exp(2 pi i k x_j), shape (n, t), of (p, t): type 2."""
        grid = np.zeros((self._size, coefficients.shape[1]), dtype=np.complex128)
        grid[self._slots] = coefficients / self._attenuation
        grid = scipy.fft.ifft(grid, axis=0, norm="forward", overwrite_x=True)
        return self._turn * (self._interpolation @ grid)

    def at_frequencies(self, values):
        """Return sum_j v_j exp(-2 pi i k x_j), shape (p, t), of (n, t): type 1, the adjoint."""
        grid = self._interpolation.T @ (self._turn.conj() * values)
        return scipy.fft.fft(grid, axis=0)[self._slots] / self._attenuation


class ToeplitzGram:
    """The matrix sum_j exp(2 pi i (l - k) x_j) between frequencies k and l, applied by transforms.

    Parameters
    ----------
    phases : ndarray of shape (n,)
    n_frequencies : int
    """

    def __init__(self, phases, n_frequencies):
        p = n_frequencies
        differences = np.arange(1 - p, p)
        ones = np.ones((len(phases), 1))
        column = NonuniformTransform(phases, differences).at_frequencies(ones)[:, 0]
        self._size = scipy.fft.next_fast_len(2 * p - 1)
        circulant = np.zeros(self._size, dtype=np.complex128)
        circulant[differences % self._size] = column
        self._eigenvalues = scipy.fft.fft(circulant)[:, None]

    def __matmul__(self, coefficients):
        p = len(coefficients)
        moved = scipy.fft.fft(coefficients, n=self._size, axis=0)
        return scipy.fft.ifft(self._eigenvalues * moved, axis=0)[:p]
