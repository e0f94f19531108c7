"""Noise models: what independent noise adds to a sketch, and its removal.

Noise of variance d_j in feature j adds M diag(d) Omega^T to S. The matrix is known once d is, so
what is estimated is d: one number (isotropic) or the diagonal of A less the signal's (diagonal).
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..sketching import Difference, ImplicitMatrix
from ._noise_matrix import DiagonalMatrix, SupportedMatrix, noise_matrix
from ._pencil import Pencil
from ._support_model import SupportModel

# Noise of variance s adds s M Omega^T to the sketch, which differs from its expectation (zero for
# independent sides, s (N / m) I for equal ones) by about s sqrt(N / k). The rows' own noise is
# s N / sqrt(k n). Beyond this ratio N / n the former is 3 percent of the latter and not worth a
# pass over all N columns.
_NEGLIGIBLE_RATIO = 1e3


class NoiseModel(ABC):
    """A model of the noise in a sketch, fitted along the way.

    Attributes
    ----------
    variance : float
        The estimated variance of the noise in a feature, on average.
    is_absent : bool
        Whether there is no noise in the model.
    is_isotropic : bool
        Whether all features have the same variance, so that noise moves the eigenvalues of a
        matrix alike and none of its eigenvectors.
    differs_by_feature : bool
        Whether each feature has a variance of its own.
    is_white : bool
        Whether noise is alike in all features of the sketch as it is read, so that the leading
        vectors of A are those of the signal.
    """

    variance: float
    is_absent = False
    is_isotropic = False
    differs_by_feature = False
    is_white = False

    @abstractmethod
    def correct(self, S: ImplicitMatrix, model: SupportModel | None = None) -> ImplicitMatrix:
        """Return S less the noise, given what the model explains of it (None: nothing)."""

    @abstractmethod
    def removed_from(self, S: ImplicitMatrix) -> ImplicitMatrix:
        """Return S less the noise as it was last fitted."""

    @abstractmethod
    def quadratic(self, vectors: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Return v^T diag(d) v for vectors with rows at ids, shape (r,)."""


class NoNoise(NoiseModel):
    """A is taken as it is."""

    variance = 0.0
    is_absent = True
    is_white = True

    def correct(self, S, model=None):
        return S

    def removed_from(self, S):
        return S

    def quadratic(self, vectors, ids):
        return np.zeros(vectors.shape[1])


class IsotropicNoise(NoiseModel):
    """One variance for all features, fitted by least squares: <S - signal, G> / <G, G>.

    G = M Omega^T is the sketch of the identity matrix.
    """

    is_isotropic = True
    is_white = True

    def __init__(self, sketch: Any, gram: ImplicitMatrix | None = None) -> None:
        self._gram = noise_matrix(sketch) if gram is None else gram
        self._pencil: Pencil | None = None

    def correct(self, S, model=None):
        projection = self._pencil_of(S).inner
        if model is not None:
            projection -= model.inner(self._gram)
        self.variance = max(projection / self._gram.squared_norm, 0.0)
        return self.removed_from(S)

    def removed_from(self, S):
        return self._pencil_of(S).at(self.variance)

    def _pencil_of(self, S):
        if self._pencil is None or self._pencil.first is not S:
            self._pencil = Pencil(S, self._gram)
        return self._pencil

    def quadratic(self, vectors, ids):
        return np.full(vectors.shape[1], self.variance)


class SpreadNoise(NoiseModel):
    """Isotropic noise that two independent hashes have spread until nothing of it adds up.

    Its variance is what the trace of A holds beyond the signal.
    """

    is_isotropic = True
    is_white = True

    def __init__(self, sketch: Any) -> None:
        self._trace = sketch.total_variance()
        self._n_features = sketch.n_features
        self.variance = self._trace / self._n_features

    def correct(self, S, model=None):
        signal = 0.0 if model is None else float(model.eigenvalues.sum())
        self.variance = max(self._trace - signal, 0.0) / self._n_features
        return S

    def removed_from(self, S):
        return S

    def quadratic(self, vectors, ids):
        return np.zeros(vectors.shape[1])


class DiagonalNoise(NoiseModel):
    """A variance for each feature: what the tracked diagonal of A holds beyond the signal.

    This is factor analysis rather than PCA: the components explain what features share.
    """

    differs_by_feature = True

    def __init__(self, sketch: Any) -> None:
        self._sketch = sketch
        self._diagonal = sketch.feature_variance()
        self._set_noise(self._diagonal)
        self._gram: ImplicitMatrix | None = None

    def _set_noise(self, noise: np.ndarray) -> None:
        self._noise, self.variance = noise, float(noise.mean())

    def correct(self, S, model=None):
        noise = self._diagonal.copy()
        if model is not None:
            signal = np.square(model.basis) @ model.eigenvalues
            noise[model.ids] = np.clip(noise[model.ids] - signal, 0.0, None)
        self._set_noise(noise)
        return self.removed_from(S)

    def removed_from(self, S):
        if self._sketch.measurement.keeps_features:
            return Difference(S, 1.0, noise_matrix(self._sketch, self._noise))
        # A sum over all features is made once; what differs, differs on a support.
        S = Difference(S, 1.0, self._gram_of_all())
        ids = np.flatnonzero(self._noise != self._diagonal)
        if len(ids) == 0:
            return S
        shared = self._diagonal[ids] - self._noise[ids]
        return Difference(S, -1.0, SupportedMatrix(self._sketch, ids, shared))

    def _gram_of_all(self):
        if self._gram is None:
            self._gram = noise_matrix(self._sketch, self._diagonal)
        return self._gram

    def all_removed_from(self, S: ImplicitMatrix) -> ImplicitMatrix:
        """Return S less the noise that there is if features share nothing."""
        return Difference(S, 1.0, self._gram_of_all())

    def quadratic(self, vectors, ids):
        return np.square(vectors).T @ self._noise[ids]

    def by_feature(self) -> np.ndarray:
        """Return the variance of the noise in each feature, shape (n_features,)."""
        return self._noise


class KnownNoise(DiagonalNoise):
    """A variance for each feature that was found elsewhere."""

    def __init__(self, sketch: Any, noise: np.ndarray) -> None:
        super().__init__(sketch)
        self._set_noise(np.minimum(noise, self._diagonal))

    def correct(self, S, model=None):
        return self.removed_from(S)


def make_noise_model(noise: str | None, sketch: Any) -> NoiseModel:
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
    hashed = sketch.measurement.is_hashed
    if hashed and samples and sketch.n_features > _NEGLIGIBLE_RATIO * samples:
        if not sketch.is_symmetric:
            return SpreadNoise(sketch)
        m = sketch.shape[0]
        return IsotropicNoise(sketch, gram=DiagonalMatrix(np.full(m, sketch.n_features / m)))
    return IsotropicNoise(sketch)
