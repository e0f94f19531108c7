"""A sketch in units of the noise: every feature divided by the standard deviation of its own.

In these units independent noise is white, so a loud feature weighs no more than a quiet one, and
what noise leaves in a covariance is alike everywhere. Only where the measurement keeps features can
a sketch be divided after the rows have gone. The derivation is in ``doc/how_the_sketch_works.md``.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..sketching import ImplicitMatrix, Measurement, ScaledMatrix
from ._lifting import dual_basis, orthonormal_range
from ._noise import DiagonalNoise, KnownNoise
from ._power_steps import PowerSteps, PowerStepsResult
from ._request import RecoveryRequest
from ._support_model import fit_support_model

# Directions of the test matrix in which noise is below this share of the loudest are left so.
_QUIETEST = 1e-6
# The share of its variance that a feature keeps as noise when it is whitened: one that others
# explain to rounding would otherwise weigh without bound (a Heywood case).
_LEAST_NOISE = 0.05
# Rounds of whitening and recovery, and the share of its variance that a feature must share with
# others for another round to be worth its time.
_ROUNDS, _WORTHWHILE = 4, 0.2
# Steps of the fixed point of communalities on one support, and the change that ends them.
_STEPS, _SETTLED = 200, 1e-4


class _WhiteningTest(Measurement):
    """The test matrix T Omega diag(scale) that belongs to features divided by their scale."""

    name = "whitening"

    def __init__(self, test: Measurement, scale: np.ndarray, mixing: np.ndarray) -> None:
        super().__init__(test.n_features, test.n_measurements)
        self._test, self._scale, self._mixing = test, scale, mixing

    def adjoint(self, R, ids):
        return self._scale[ids, None] * self._test.adjoint(self._mixing.T @ R, ids)

    def measure_at(self, ids, Z):
        return self._mixing @ self._test.measure_at(ids, self._scale[ids, None] * Z)

    def columns(self, ids):
        scaled = self._scale[ids, None] * (self._test.columns(ids) @ self._mixing.T)
        return sp.csr_array(scaled)

    def measure(self, X: Any) -> np.ndarray:
        scaled = X.multiply(self._scale).tocsr() if sp.issparse(X) else X * self._scale
        return self._test.measure(scaled) @ self._mixing.T


class WhitenedSketch:
    """A sketch that keeps features, read as that of rows divided by a scale for each feature.

    It is read only, and has what a recovery asks of an :class:`EigenSketch`.

    Parameters
    ----------
    sketch : EigenSketch
        Of rows, with ``measurement.keeps_features`` and the variance of each feature.
    noise : ndarray of shape (n_features,)
        The variance of the noise in each feature, positive.

    Attributes
    ----------
    scale : ndarray of shape (n_features,)
        The square root of the noise, by which features are divided.
    """

    def __init__(self, sketch: Any, noise: np.ndarray) -> None:
        self.scale = np.sqrt(noise)
        self.measurement = sketch.measurement
        self.is_exact, self.is_symmetric = sketch.is_exact, sketch.is_symmetric
        self.center = sketch.center
        self.content, self.shape = sketch.content, sketch.shape
        self.n_features = sketch.n_features
        self.effective_samples = sketch.effective_samples
        self._variance = sketch.feature_variance() / noise
        if sketch.is_exact:
            self.test = sketch.test
            self._S = ScaledMatrix(sketch.operator(), 1.0 / self.scale, 1.0 / self.scale)
        else:
            mixing = _inverse_root(sketch.test.cross_gram(sketch.test, noise))
            self.test = _WhiteningTest(sketch.test, self.scale, mixing)
            self._S = ScaledMatrix(sketch.operator(), 1.0 / self.scale, mixing.T)

    def operator(self) -> ImplicitMatrix:
        return self._S

    def feature_variance(self) -> np.ndarray:
        return self._variance

    def total_variance(self) -> float:
        return float(self._variance.sum())


class WhitenedNoise(DiagonalNoise):
    """The noise of a whitened sketch: of variance one to begin with, then what is left beyond."""

    is_white = True

    def correct(self, S, model=None):
        if model is None:
            self._noise = np.minimum(self._diagonal, 1.0)
            return self.removed_from(S)
        return super().correct(S, model)


def solve_whitened(sketch: Any, request: RecoveryRequest) -> tuple[PowerSteps, PowerStepsResult]:
    """Recover sparse vectors in units of a noise that is found along the way.

    All variance is noise at first. What the vectors share lowers that of their features, which then
    count for more, until the support repeats.

    Returns
    -------
    steps : PowerSteps
        Over the whitened sketch.
    found : PowerStepsResult
        With vectors in whitened units.
    """
    noise, last = starting_noise(sketch), None
    for _ in range(_ROUNDS):
        view = WhitenedSketch(sketch, noise)
        steps = PowerSteps(view, _whitened_request(request, view.scale), WhitenedNoise(view))
        found = steps.solve()
        support = [tuple(found.ids[column != 0]) for column in found.vectors.T]
        noise = unshared_variance(view, found.ids, found.vectors)
        shared = 1.0 - noise[found.ids] / starting_noise(sketch)[found.ids]
        if support == last or shared.max(initial=0.0) <= _WORTHWHILE:
            break
        last = support
    return steps, found


def in_own_units(
    sketch: Any, request: RecoveryRequest, steps: PowerSteps, found: PowerStepsResult
) -> tuple[PowerSteps, PowerStepsResult]:
    """Return what was found in a whitened sketch as it is in the sketch itself."""
    view = steps.sketch
    noise = unshared_variance(view, found.ids, found.vectors)
    own = PowerSteps(sketch, request, KnownNoise(sketch, noise))
    scale = view.scale[found.ids, None]
    vectors = scale * found.vectors
    vectors /= np.linalg.norm(vectors, axis=0)
    S = own.noise.correct(own.S)
    Z = orthonormal_range(np.hstack([vectors, scale * steps.rest(found)]))
    model = fit_support_model(sketch, S, found.ids, Z, own.which)
    return own, replace(found, S=S, model=model, vectors=vectors)


def _whitened_request(request, scale):
    """Return the request for features divided by their scale."""
    if request.start_vectors is not None:
        guesses = request.start_vectors / scale[:, None]
        guesses /= np.linalg.norm(guesses, axis=0)
        request = replace(request, start_vectors=guesses)
    if (own := request.product_variance) is not None:
        scale = scale[:, None]
        request = replace(request, product_variance=lambda V: own(V / scale) / scale**2)
    return request


def can_whiten(sketch: Any) -> bool:
    """Return whether features can be told apart in the sketch, and their variances are known."""
    is_of_rows = sketch.content == "rows"
    return (
        is_of_rows and sketch.measurement.keeps_features and sketch.feature_variance() is not None
    )


def starting_noise(sketch: Any) -> np.ndarray:
    """Return the variances of all features as noise, one where a feature is constant."""
    variance = sketch.feature_variance()
    return np.where(variance > 0.0, variance, 1.0)


def unshared_variance(view: WhitenedSketch, ids: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the variance of each feature that a model on the span of vectors does not explain.

    The fixed point of principal factor analysis with the span held: the signal's part of the
    diagonal follows from the core, and the core from the matrix less what is left of the diagonal.

    Parameters
    ----------
    view : WhitenedSketch
    ids : ndarray of int64, shape (t,)
    vectors : ndarray of shape (t, r)
        Their rows at ids, in whitened units.

    Returns
    -------
    ndarray of shape (n_features,)
        In the units of the original sketch; at least a small share of the feature's variance.
    """
    Z = orthonormal_range(vectors)
    rows = None if view.is_exact else view.test.columns(ids).toarray()
    dual = Z if rows is None else dual_basis(rows.T @ Z)
    seen = dual if rows is None else rows @ dual
    S = view.operator()
    raw = Z.T @ (S.block(ids) @ dual if view.is_exact else S.rows_product(ids, dual))
    variance = view.feature_variance()[ids]
    noise = variance
    for _ in range(_STEPS):
        core = raw - Z.T @ (noise[:, None] * seen)
        values, rotation = np.linalg.eigh(0.5 * (core + core.T))
        signal = np.square(Z @ rotation) @ np.maximum(values, 0.0)
        previous, noise = noise, np.maximum(variance - signal, _LEAST_NOISE * variance)
        if np.all(np.abs(noise - previous) <= _SETTLED * variance):
            break
    everywhere = view.feature_variance().copy()
    everywhere[ids] = noise
    scaled = everywhere * np.square(view.scale)
    return np.where(scaled > 0.0, scaled, 1.0)


def _inverse_root(gram):
    """Return a symmetric T with T gram T ~ I."""
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, _QUIETEST * values.max())
    return (vectors / np.sqrt(values)) @ vectors.T
