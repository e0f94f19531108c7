"""How many components there are: what stands above the noise of a sketch, or the longest plateau.

Derived in ``doc/low_rank_and_smooth.md``. Both rules look at singular values of the sketch less
its noise, which are those of the signal nearly, and at the edge of what noise leaves there.
"""

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import scipy.linalg as la
from scipy.optimize import minimize_scalar

from .._base.messages import warn_user
from .._base.typed import Auto
from ..sketching import ScaledMatrix
from ._noise import make_noise_model
from ._options import NoiseName, RankRule
from ._pairs import RecoveryWarning
from ._spectrum import _symmetric_leading

RULES: tuple[RankRule, ...] = get_args(RankRule)
# Components beyond this number are rather a spectrum without a gap.
MOST_COMPONENTS = 32
# Quantile 0.99 of the Tracy-Widom law of real matrices: one false alarm in a hundred.
_TRACY_WIDOM = 2.02
# Hashes fill their buckets less evenly than Gaussian columns would, which lifts the edge by about
# this times the ratio of the sketch to the features (measured).
_UNEVEN = 0.3
# Values below this share of the largest are rounding.
_RESOLUTION = 1e-7


def resolve_n_components(
    sketch: Any, n_components: int | RankRule, noise: NoiseName | Auto | None = "auto"
) -> int:
    """Return the number of components: as given, or by a rule.

    Parameters
    ----------
    sketch : EigenSketch
    n_components : int or {"auto", "plateau"}
        "auto" counts what stands above noise; "plateau" stops at the largest ratio of two
        consecutive eigenvalues among these, the longest low-rank interval of gradient descent.
    noise : {"auto", "isotropic", "diagonal"} or None
        As for :func:`recover`.

    Returns
    -------
    int
        At least 1, which is also what pure noise gets.

    Warns
    -----
    RecoveryWarning
        If nothing stands above the noise, or too much for a rank.
    """
    return choose_rank(sketch, n_components, noise).count


@dataclass(frozen=True)
class Rank:
    """A number of components, and whether a rule has found nothing but noise."""

    count: int
    is_only_noise: bool = False


def choose_rank(
    sketch: Any, n_components: int | RankRule, noise: NoiseName | Auto | None = "auto"
) -> Rank:
    """Return the number of components as :func:`resolve_n_components` does, and what it is of."""
    if sketch.effective_samples == 0.0:
        raise ValueError(
            "Nothing is left of the rows of the sketch: they were forgotten, or more was deleted "
            "than added. Add rows first."
        )
    if not isinstance(n_components, str):
        return Rank(n_components)
    if n_components not in RULES:
        raise ValueError(
            f"n_components must be an integer, 'auto' or 'plateau', got {n_components!r}."
        )
    most = max(min(MOST_COMPONENTS, min(sketch.shape) // (2 if sketch.is_exact else 3)), 1)
    values, edges = spectrum_and_edges(sketch, most + 1, noise)
    count = int(np.argmin(np.append(values > edges, False)))
    if count == 0:
        remedy = "Give more rows" if sketch.is_exact else "Give more rows or a larger sketch"
        warn_user(
            "Nothing stands above the noise of the sketch; one component is returned all the "
            f"same. {remedy}, or a number of components.",
            RecoveryWarning,
        )
        return Rank(1, is_only_noise=True)
    if n_components == "plateau":
        count = longest_gap(values, count)
    if count > most:
        warn_user(
            f"More than {most} components stand above white noise, which more likely is a spectrum "
            f"that decays without a gap: {most} are returned. Give a number of components.",
            RecoveryWarning,
        )
    return Rank(min(count, most))


def longest_gap(values, count):
    """Return the rank L <= count with the largest values[L - 1] / values[L]."""
    following = np.append(values[1:], 0.0)[:count]
    tiny = _RESOLUTION * values[0]
    return int(np.argmax(values[:count] / np.maximum(following, tiny))) + 1


def spectrum_and_edges(sketch, count, noise="auto"):
    """Return the leading values of the sketch less its noise, and the edge for each.

    The edge for value L + 1 is where the largest value of noise ends once L components have been
    taken away.

    Returns
    -------
    values, edges : ndarray of shape (min(count, m, k),)
    """
    values, edges, _ = _spectrum(sketch, count, noise)
    return values, edges


def scree(
    sketch: Any, count: int, noise: NoiseName | Auto | None = "auto"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return leading values of a sketch of rows with the noise in them, the noise, and the edges.

    Parameters
    ----------
    sketch : EigenSketch
    count : int
        Number of values, at most.
    noise : {"auto", "isotropic", "diagonal"} or None

    Returns
    -------
    values, noise, edges : ndarray of shape (min(count, m, k),)
        What :func:`spectrum_and_edges` compares, with the variance of the noise in one feature
        added to both.
    """
    values, edges, variance = _spectrum(sketch, count, noise)
    variance = np.broadcast_to(variance, values.shape)
    return values + variance, variance.copy(), edges + variance


def _spectrum(sketch, count, noise):
    # Noise that is to be left in the components is not one of them.
    model, samples = make_noise_model(noise or "auto", sketch), sketch.effective_samples
    if sketch.is_exact and samples is not None:
        return _covariance_spectrum(sketch, count, model.differs_by_feature)
    S = model.correct(sketch.operator())
    small, large = sorted(S.shape)
    if sketch.is_symmetric:
        values = _symmetric_leading(S, min(count, small))[0]
    else:
        # The other way round the sketch is lower than wide, which nobody chooses.
        gram = S.gram if S.shape[1] == small else S @ np.asarray(S).T
        squares = la.eigvalsh(gram, check_finite=False)
        values = np.sqrt(np.maximum(squares[::-1], 0.0))[:count]
    taken = np.concatenate([[0.0], np.cumsum(values**2)[:-1]])
    left = np.maximum(S.squared_norm - taken, 0.0)
    scale = np.sqrt(left / np.maximum(small - np.arange(len(values)), 1))
    factor = noise_edge(small, large, samples, sketch.n_features, sketch.is_symmetric)
    # Noise spreads beyond its edge by a share of about size ** (-2 / 3), the Tracy-Widom scaling.
    margin = 1.0 + _TRACY_WIDOM * small ** (-2.0 / 3.0) + _UNEVEN * small / sketch.n_features
    edges = np.maximum(margin * factor * scale, _RESOLUTION * values[0])
    return values, edges, float(model.variance)


def noise_edge(small, large, samples, n_features, symmetric):
    """Return the largest singular value of noise in a sketch, in units of their root mean square.

    Noise in rows makes M W Omega^T, W the Wishart matrix less its mean. Where sides are
    independent, free probability multiplies S-transforms, 1 / (1 + c z) for each of them: the
    squared edge is the least (1 + z) / z times the inverses. An identity on one side has none. On
    equal sides it is a Wishart matrix itself, of `small` features.
    """
    if samples is None:  # noise of unknown origin in entries, taken as white
        return 2.0 if symmetric else 1.0 + np.sqrt(small / large)
    if symmetric:
        return 2.0 + np.sqrt(small / samples + small / n_features)
    a, c = small / min(samples, n_features), small / n_features
    b = small / large if large < n_features else 0.0

    def squared(log_z):
        z = np.exp(log_z)
        return (1.0 + z) / z * (1.0 + a * z) * (1.0 + b * z) * (1.0 + c * z)

    return np.sqrt(minimize_scalar(squared, bounds=(-12.0, 20.0), method="bounded").fun)


def _covariance_spectrum(sketch, count, standardise):
    """Return eigenvalues less their noise, Tracy-Widom edges, and the noise, of a covariance."""
    A, n = sketch.operator(), max(sketch.effective_samples - sketch.center, 1.0)
    if standardise:
        # Independent noise of any variances is white in the correlation matrix.
        deviation = np.sqrt(np.maximum(A.diagonal, 0.0))
        inverse = np.divide(1.0, deviation, out=np.zeros_like(deviation), where=deviation > 0)
        A = ScaledMatrix(A, inverse, inverse)
    p = max(int(np.count_nonzero(A.diagonal)), 1)
    values = np.maximum(_symmetric_leading(A, min(count, len(A)))[0], 0.0)
    taken = np.concatenate([[0.0], np.cumsum(values)[:-1]])
    ranks = np.arange(len(values))
    # The mean of the others; components have used up a degree of freedom each (Kritchman and
    # Nadler, 2008).
    freedom = np.maximum((p - ranks) * (1.0 - np.minimum(ranks / n, 0.9)), 1.0)
    variance = np.maximum(A.diagonal.sum() - taken, 0.0) / freedom
    # Centre and width of the largest eigenvalue of white noise (Johnstone, 2001).
    rest = np.maximum(p - ranks, 1)
    roots = np.sqrt(n - 0.5) + np.sqrt(rest - 0.5)
    width = roots * (1.0 / np.sqrt(n - 0.5) + 1.0 / np.sqrt(rest - 0.5)) ** (1.0 / 3.0)
    edges = (roots**2 + _TRACY_WIDOM * width) / n * variance
    edges = np.maximum(edges - variance, _RESOLUTION * values[0])
    return values - variance, edges, variance
