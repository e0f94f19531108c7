"""How sure a model is of a sample: margin and probability, weighed by what known samples say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

# Of a mean square: a variance that is smaller may be rounding.
_ROUNDING = 1e-14
# Sums that are kept of each sample: M, its square, p, its square, M p; then without its class.
_N_SUMS = 10
NO_SUMS = (0.0,) * _N_SUMS


@dataclass(frozen=True)
class Confidence:
    r"""A sum :math:`a M + b p` of the margin M of the logits and the largest probability p, less 1.

    A known sample without the logit of its own class is like one of a class that was left out. The
    weights are those of Fisher's discriminant between the known samples as they are and without
    their class, not negative. The weight of p is multiplied by the ratio of its variances in the
    two, if that is less than 1: a model that has learned its training rows by heart gives them all
    the same probability, which says nothing of those of known samples to come. Derived in
    ``doc/gradpca.md``.

    Parameters
    ----------
    weights : tuple of (float, float)
        a and b, for which known samples have a standard deviation of 1; 0 where they do not differ.
    mean : float
        Of known samples.
    """

    weights: tuple[float, float]
    mean: float

    @classmethod
    def from_sums(cls, sums: Sequence[float], n: int) -> Self:
        """Return the confidence from the sums over n known samples that `logit_sums` gives.

        Of states that kept the first two alone, the weight of p is 0.
        """
        if len(sums) == 2:
            sums = (*sums, *NO_SUMS[2:])
        mean, scatter = _moments(np.array(sums[:5]) / n)
        mean_without, scatter_without = _moments(np.array(sums[5:]) / n)
        weights = _discriminant(mean - mean_without, (scatter + scatter_without) / 2.0)
        if scatter[1, 1] < scatter_without[1, 1]:
            weights[1] *= scatter[1, 1] / scatter_without[1, 1]
        spread = np.sqrt(max(weights @ scatter @ weights, 0.0))
        weights = weights / spread if spread > 0.0 else np.zeros(2)
        return cls((float(weights[0]), float(weights[1])), float(weights @ mean))

    def of(self, logits: np.ndarray) -> np.ndarray:
        """Return how far above the mean samples are, in standard deviations of known ones."""
        logits = logits.astype(np.float64)
        return self.weights[0] * margin(logits) + self.weights[1] * _certainty(logits) - self.mean


def margin(logits: np.ndarray) -> np.ndarray:
    """Return how far the largest logit of each row is above their mean.

    What is the same for all logits does not change the probabilities, and does not count.
    """
    logits = logits.astype(np.float64)
    return logits.max(axis=1) - logits.mean(axis=1)


def logit_sums(logits: np.ndarray, labels: np.ndarray) -> tuple[float, ...]:
    """Return sums over samples of M, its square, p, its square, and of their product.

    With p the largest probability less 1. Five sums of the samples as they are, and five of them
    without the logits of their classes.

    Parameters
    ----------
    logits : ndarray of shape (n_samples, n_classes)
    labels : ndarray of int of shape (n_samples,)
    """
    logits = logits.astype(np.float64)
    n, n_classes = logits.shape
    others = np.arange(n_classes - 1) + (np.arange(n_classes - 1) >= labels[:, None])
    without = np.take_along_axis(logits, others, axis=1) if n_classes > 1 else logits
    found = []
    for seen in (logits, without):
        m, p = margin(seen), _certainty(seen)
        found += [m.sum(), m @ m, p.sum(), p @ p, m @ p]
    return tuple(map(float, found))


def _certainty(logits):
    """Return the largest probability less 1, which keeps the digits of what is nearly sure."""
    rest = np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1) - 1.0
    return -rest / (1.0 + rest)


def _moments(sums):
    """Return the means of M and p and their covariance matrix, from the means of what is summed."""
    m, mm, p, pp, mp = sums
    means, squares = np.array([m, p]), np.array([mm, pp])
    variances = squares - means**2
    variances[variances <= _ROUNDING * squares] = 0.0
    largest = np.sqrt(variances.prod())
    shared = float(np.clip(mp - m * p, -largest, largest))
    return means, np.array([[variances[0], shared], [shared, variances[1]]])


def _discriminant(difference, scatter):
    """Return the w >= 0 with the largest w d / sqrt(w S w), that of M alone if none is positive."""
    (a, c), (_, b) = scatter
    joint = np.array([b * difference[0] - c * difference[1], a * difference[1] - c * difference[0]])
    if a * b - c * c > _ROUNDING * a * b and (joint >= 0.0).all() and joint.any():
        return joint
    # On the boundary of what is allowed one of the two is left.
    gains = [d / np.sqrt(v) if v > 0.0 else 0.0 for d, v in zip(difference, (a, b), strict=True)]
    return np.array([0.0, 1.0]) if gains[1] > max(gains[0], 0.0) else np.array([1.0, 0.0])
