"""Which entries stand out from noise: the thresholds behind ``n_nonzero_coefs="auto"``.

Where features are kept as they are, the noise of an entry is that of a sample covariance. Where
they are hashed it is dominated by collisions, and read off ghost columns.
"""

import numpy as np
from scipy.stats import chi2, norm

from ._lifting import measure_rows, orthonormal_range, restricted_least_squares
from ._support_model import model_of_vectors
from .decoders._null import FALSE_ALARMS, discoveries, ghost_rows

# Entries below this share of a vector's largest are zero where there is no noise to compare with.
_NUMERICAL_ZERO = 1e-8


class Detection:
    """Detection levels for the entries of A U, for one sketch.

    Parameters
    ----------
    sketch : EigenSketch
    S : ImplicitMatrix of shape (m, k)
        Its matrix, noise included.
    n_hypotheses : int or None, default=None
        Number of features compared; None for all of the sketch.
    product_variance : callable or None, default=None
        See :func:`recover`.
    """

    def __init__(self, sketch, S, n_hypotheses=None, product_variance=None):
        self._sketch = sketch
        self.n_hypotheses = n_hypotheses or sketch.n_features
        self._S = S
        self._by_index = sketch.measurement.keeps_features
        self._samples = sketch.effective_samples
        self._product_variance = product_variance

    def rows_above_noise(self, B, W, limit):
        """Return the rows of B = S W (N x r) that idle features would hardly ever show.

        For an idle feature i, B_i is the sample covariance of x_i with independent linear forms
        of variance V_j, so it has variance v_i V_j / n, v_i being the variance of the feature.
        """
        if B.shape[1] == 0:
            return np.empty(0, dtype=np.int64)
        if self._samples is None:
            energy = np.square(orthonormal_range(B)).sum(axis=1)
            return np.flatnonzero(energy > _NUMERICAL_ZERO**2 * energy.max())
        V = self._form_variances(W)
        scale = self._variances() / self._samples
        energy = np.einsum("ij,ij,j->i", B, B, 1.0 / np.where(V > 0.0, V, np.inf))
        energy = np.divide(energy, scale, out=np.zeros_like(energy), where=scale > 0.0)
        strongest = np.argpartition(-energy, limit - 1)[:limit] if len(B) > limit else slice(None)
        ids = np.arange(len(B))[strongest]
        kept = discoveries(energy[ids], lambda p: chi2.isf(p, B.shape[1]), self.n_hypotheses)
        return np.sort(ids[kept])

    def entries_and_levels(self, S, ids, W):
        """Return the entries at ids of the vectors measured by S W, and their levels, both (t, r).

        Parameters
        ----------
        S : ImplicitMatrix of shape (m, k)
            The sketch less the noise.
        ids : ndarray of shape (t,)
        W : ndarray of shape (k, r)
            Directions of a model: S W ~ M A U.
        """
        count = W.shape[1]
        if count == 0:
            return np.zeros((len(ids), 0)), np.zeros((len(ids), 0))
        z = norm.isf(FALSE_ALARMS / (2.0 * self.n_hypotheses * count))
        if self._by_index:
            entries = S.rows_product(ids, W)
        else:
            B = S @ W
            entries = restricted_least_squares(self._sketch.measurement, ids, B)
            residual = B - measure_rows(self._sketch.measurement, ids, entries)
            ghosts = ghost_rows(self._sketch.measurement, residual)
            # A ghost hears the noise of N features spread over m measurements, an idle feature
            # its own besides.
            own = 1.0 + self._sketch.shape[0] / self._sketch.n_features
            sigma = np.broadcast_to(ghosts.std(axis=0) * np.sqrt(own), entries.shape)
        if self._by_index and self._samples is None:
            sigma = np.zeros_like(entries)
        elif self._by_index:
            variances = self._variances()[ids, None] * self._form_variances(W)
            sigma = np.sqrt(variances / self._samples)
        floor = _NUMERICAL_ZERO * np.abs(entries).max(axis=0, initial=0.0)
        return entries, np.maximum(z * sigma, floor)

    @property
    def judges_rows(self):
        """Whether levels can be had from the rows themselves."""
        return self._product_variance is not None

    def levels_of_rows(self, V):
        """Return levels for the entries of A V, for an exact sketch, by what the rows vary."""
        z = norm.isf(FALSE_ALARMS / (2.0 * self.n_hypotheses * V.shape[1]))
        return z * np.sqrt(self._product_variance(V) / self._samples)

    def strength(self, S, ids, vectors, rest):
        """Return the largest entry of each vector (rows at ids) over its level, shape (r,).

        `rest` holds further vectors that are present, which would otherwise look like noise.
        """
        model = model_of_vectors(self._sketch, ids, np.hstack([vectors, rest]))
        W = model.directions()[:, : vectors.shape[1]]
        entries, levels = self.entries_and_levels(S, ids, W)
        return _strength(np.where(vectors != 0, entries, 0.0), levels)

    def model_strength(self, S, model):
        """Return the largest entry of each vector of the model over its level."""
        entries, levels = self.entries_and_levels(S, model.ids, model.directions())
        return _strength(entries, levels)

    def _form_variances(self, W):
        """Return the variances of the linear forms W^T Omega x over the rows, shape (r,)."""
        # Omega S is the covariance of Omega x: small, unless nothing is compressed.
        S, test = self._S, self._sketch.test
        products = S @ W if self._sketch.is_exact else S.measured_by(test) @ W
        return np.maximum(np.einsum("kr,kr->r", W, products), 0.0)

    def _variances(self):
        variances = self._sketch.feature_variance()
        if variances is None:
            N = self._sketch.n_features
            variances = np.full(N, self._sketch.total_variance() / N)
        return variances


def _strength(entries, levels):
    """Return the largest ratio of an entry to its level in each column; 0/0 counts as 0."""
    ratio = np.zeros_like(entries)
    used = entries != 0
    with np.errstate(divide="ignore"):
        ratio[used] = np.abs(entries[used]) / levels[used]
    return ratio.max(axis=0, initial=0.0)
