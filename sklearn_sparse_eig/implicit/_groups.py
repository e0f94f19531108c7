"""Groups of coefficients that share their gates, and the potential of their norms.

A group x_g = (u^L - v^L) theta, |theta| = 1, has the gates u and v of one coefficient, and a
direction. Its dual variable s_g is a vector along theta whose length sigma is bound to the norm of
x_g as that of a single coefficient is. Derived in doc/implicit_regularisation.md.
"""

import numpy as np

# Below this the ratio of norm and length is that at zero, to rounding.
_TINY = 1e-9


class Groups:
    """A partition of the rows of an array of shape (N, n_targets).

    Parameters
    ----------
    labels : ndarray of shape (N,)
        Rows of one group have the same label.
    """

    def __init__(self, labels):
        self.ids = np.unique(labels, return_inverse=True)[1].ravel()
        self.count = int(self.ids.max()) + 1

    def norms(self, X):
        """Return the Frobenius norm of each group, of shape (count,)."""
        return np.sqrt(self.inner(X, X))

    def inner(self, X, Y):
        """Return the inner product of each group, of shape (count,)."""
        return np.bincount(self.ids, np.einsum("ij,ij->i", X, Y), self.count)

    def spread(self, values):
        """Return the value of its group for each row, of shape (N, 1)."""
        return values[self.ids, None]

    def directions(self, X, norms):
        """Return the rows over the norm of their group; zero where that is."""
        return X / self.spread(np.where(norms > 0, norms, 1.0))


def radial(potential, sigma):
    """Return what a length of the dual variable gives for the norm r of a group.

    Returns
    -------
    r : ndarray, shape of sigma
        u^L - v^L.
    ratio : ndarray
        r / sigma: how fast x_g moves with s_g across its direction.
    slope : ndarray
        dr / dsigma: the same along it. Not less than the ratio.
    """
    if potential.is_barrier:
        e = potential.exponent
        up, down = -e * np.log1p(-sigma), -e * np.log1p(sigma)
        slope = e * (np.exp(up) / (1.0 - sigma) + np.exp(down) / (1.0 + sigma))
        at_zero = 2.0 * e
        r = np.exp(down) * np.expm1(up - down)
    else:
        r, slope, at_zero = 2.0 * np.sinh(sigma), 2.0 * np.cosh(sigma), 2.0
    ratio = np.where(sigma > _TINY, r / np.maximum(sigma, _TINY), at_zero)
    return potential.b * r, potential.b * ratio, potential.b * np.maximum(slope, ratio)
