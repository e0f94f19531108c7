"""Noise models: what independent noise adds to a sketch, and its removal.

Noise of variance d_j in feature j adds M diag(d) Omega^T to S. The matrix is known once d is, so
what is estimated is d: one number (isotropic) or the diagonal of A less the signal's (diagonal).
"""

import numpy as np

# An independent test matrix turns noise of variance s into a matrix of norm about s sqrt(N / k),
# while n samples leave fluctuations of s N / sqrt(k n): beyond this ratio N / n the former is a
# percent of the latter and not worth a pass over all N columns.
_NEGLIGIBLE_RATIO = 1e4


class NoNoise:
    """A is taken as it is."""

    variance = 0.0

    def correct(self, S, model=None):
        """Return S less the noise, given what the model explains of it (None: nothing)."""
        return S

    def quadratic(self, vectors, ids):
        """Return v^T diag(d) v for vectors with rows at ids, shape (r,)."""
        return np.zeros(vectors.shape[1])


class IsotropicNoise(NoNoise):
    """One variance for all features, fitted by least squares: <S - signal, G> / <G, G>.

    G = M Omega^T is the sketch of the identity matrix.
    """

    def __init__(self, sketch):
        self._gram = sketch.measurement.cross_gram(sketch.test)
        self._norm = np.vdot(self._gram, self._gram)
        self._projection = None

    def correct(self, S, model=None):
        if self._projection is None:  # S is the same in every call of one recovery
            self._projection = np.vdot(S, self._gram)
        projection = self._projection
        if model is not None:
            projection -= np.vdot(model.left * model.eigenvalues, self._gram @ model.right)
        self.variance = max(projection / self._norm, 0.0)
        return S - self.variance * self._gram

    def quadratic(self, vectors, ids):
        return np.full(vectors.shape[1], self.variance)


class DiagonalNoise(NoNoise):
    """A variance for each feature: what the tracked diagonal of A holds beyond the signal.

    This is factor analysis rather than PCA: the components explain what features share.
    """

    def __init__(self, sketch):
        self._sketch = sketch
        self._diagonal = sketch.feature_variance()
        self._noise = self._diagonal

    @property
    def variance(self):
        return float(self._noise.mean())

    def correct(self, S, model=None):
        noise = self._diagonal.copy()
        if model is not None:
            signal = np.square(model.basis) @ model.eigenvalues
            noise[model.ids] = np.clip(noise[model.ids] - signal, 0.0, None)
        self._noise = noise
        return S - self._sketch.measurement.cross_gram(self._sketch.test, noise)

    def quadratic(self, vectors, ids):
        return np.square(vectors).T @ self._noise[ids]


def make_noise_model(noise, sketch):
    """Return the noise model for a sketch.

    Parameters
    ----------
    noise : {"auto", "isotropic", "diagonal"} or None
        "auto" is "isotropic" for rows and None for matrix entries, which come without noise.
    sketch : EigenSketch
    """
    if noise == "auto":
        noise = "isotropic" if sketch.content == "rows" else None
    if noise is None:
        return NoNoise()
    if noise == "diagonal":
        if sketch.feature_variance() is None:
            raise ValueError(
                "noise='diagonal' needs the variance of each feature: make the sketch of rows with "
                "feature_moments=True (24 bytes per feature)."
            )
        return DiagonalNoise(sketch)
    if noise != "isotropic":
        raise ValueError(f"noise must be 'auto', 'isotropic', 'diagonal' or None, got {noise!r}.")
    samples = sketch.effective_samples
    independent = not sketch.is_symmetric and sketch.measurement.name != "identity"
    if independent and samples and sketch.n_features > _NEGLIGIBLE_RATIO * samples:
        return NoNoise()
    return IsotropicNoise(sketch)
