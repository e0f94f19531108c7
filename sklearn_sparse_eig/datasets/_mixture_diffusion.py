"""A diffusion whose score is known: Gaussian mixtures, and the deterministic sampler from them.

Noise is mixed in by an angle: ``x = cos(angle) x0 + sin(angle) e`` with ``e`` standard normal, from
the data at 0 to pure noise at pi / 2. In the usual notation cos(angle)^2 is alpha bar, so equal
steps of the angle are the cosine schedule.
"""

from numbers import Integral, Real

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.utils import Bunch, check_random_state

from .._base.typed import ArrayLike, RandomSeed


def make_gaussian_mixture_diffusion(
    n_samples: int = 1000,
    n_features: int = 64,
    n_classes: int = 10,
    *,
    radius: float = 2.5,
    sigma: float = 1.0,
    n_steps: int = 200,
    random_state: RandomSeed = None,
) -> Bunch:
    """Make seeds, a deterministic generator and a classifier, all exact and without a network.

    The data are a mixture of spherical Gaussians. The generator is the DDIM sampler with the exact
    score of the mixture, so that a seed decides its sample; the classifier is the exact posterior.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of seeds.
    n_features : int, default=64
        Number of features of seeds and samples.
    n_classes : int, default=10
        Number of components of the mixture, all equally likely.
    radius : float, default=2.5
        Norm of the means, whose directions are random.
    sigma : float, default=1.0
        Standard deviation of each component.
    n_steps : int, default=200
        Number of steps of the sampler. Its error falls in proportion to 1 / n_steps.
    random_state : int, RandomState instance or None, default=None
        Seed of means and seeds.

    Returns
    -------
    bunch : :class:`~sklearn.utils.Bunch`
        With the entries

        seeds : ndarray of shape (n_samples, n_features)
            Independent standard normal seeds.
        generator : GaussianMixtureSampler
            A function from seeds to samples, row by row.
        classifier : GaussianMixturePosterior
            A classifier with ``predict_proba`` and ``predict``, whose labels are 0, 1, ...
        means : ndarray of shape (n_classes, n_features)
            The means of the components.

    Raises
    ------
    ValueError
        If values are out of range.

    Notes
    -----
    Generating takes O(n_steps n_samples n_classes n_features) time. With ``sigma=1`` the noised
    mixture has covariance I in each component at all times, and seeds move in the span of the
    means only.

    References
    ----------
    The model is that of J. Song, C. Meng, S. Ermon, *Denoising diffusion implicit models*,
    arXiv:2010.02502; scores and steps of the mixture are derived in ``doc/seed_confidence.md``.

    Examples
    --------
    >>> from sklearn_sparse_eig.datasets import make_gaussian_mixture_diffusion
    >>> toy = make_gaussian_mixture_diffusion(5, random_state=0)
    >>> samples = toy.generator(toy.seeds)
    >>> samples.shape, toy.classifier.predict_proba(samples).shape
    ((5, 64), (5, 10))
    """
    sizes = {"n_samples": n_samples, "n_features": n_features, "n_classes": n_classes}
    for name, value in sizes.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
    if not isinstance(radius, Real) or not 0 <= radius < np.inf:
        raise ValueError(f"radius must be a finite number of at least 0, got {radius!r}.")
    rng = check_random_state(random_state)
    means = rng.standard_normal((n_classes, n_features))
    means *= radius / np.linalg.norm(means, axis=1, keepdims=True)
    return Bunch(
        seeds=rng.standard_normal((n_samples, n_features)),
        generator=GaussianMixtureSampler(means, sigma, n_steps=n_steps),
        classifier=GaussianMixturePosterior(means, sigma),
        means=means,
    )


class GaussianMixtureSampler:
    """The DDIM sampler of an equal mixture of spherical Gaussians, a function of seeds.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features)
    sigma : float, default=1.0
        Standard deviation of each component.
    n_steps : int, default=200
        Number of steps of equal angle from noise to data.

    Raises
    ------
    ValueError
        If the means are not a finite table, or if values are out of range.
    """

    sigma: float
    n_steps: int

    def __init__(self, means: ArrayLike, sigma: float = 1.0, *, n_steps: int = 200) -> None:
        self.means = np.asarray(means, dtype=np.float64)
        if self.means.ndim != 2 or not np.isfinite(self.means).all():
            raise ValueError(
                "means must be a finite array of shape (n_classes, n_features), got shape "
                f"{self.means.shape}."
            )
        if not isinstance(sigma, Real) or not 0 < sigma < np.inf:
            raise ValueError(f"sigma must be a finite number above 0, got {sigma!r}.")
        if not isinstance(n_steps, Integral) or n_steps < 1:
            raise ValueError(f"n_steps must be an integer of at least 1, got {n_steps!r}.")
        self.sigma, self.n_steps = float(sigma), int(n_steps)

    def __call__(self, Z: ArrayLike) -> np.ndarray:
        """Return the samples that seeds of shape (n, n_features) lead to, float64."""
        return self.state(Z, 1.0)

    def state(self, Z: ArrayLike, position: float) -> np.ndarray:
        """Return the states on the way from seeds to samples.

        Parameters
        ----------
        Z : array-like of shape (n, n_features)
            Seeds.
        position : float in [0, 1]
            Share of the steps that have been made, rounded to a step: 0 for seeds, 1 for samples.

        Returns
        -------
        ndarray of shape (n, n_features)
        """
        if not 0 <= position <= 1:
            raise ValueError(f"position must be between 0 and 1, got {position!r}.")
        x = np.array(Z, dtype=np.float64)
        step = 0.5 * np.pi / self.n_steps
        for number in range(round(position * self.n_steps)):
            # Mixed at an angle less by one step: a rotation, without division by cos(pi / 2) = 0.
            x = np.cos(step) * x - np.sin(step) * self.velocity(x, 0.5 * np.pi - number * step)
        return x

    def velocity(self, x: np.ndarray, angle: float) -> np.ndarray:
        """Return the expectation of dx / d angle = cos(angle) e - sin(angle) x0, given x."""
        data, noise = self.denoise(x, angle)
        return np.cos(angle) * noise - np.sin(angle) * data

    def denoise(self, x: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
        """Return the expectations of data and of noise in x = cos(angle) data + sin(angle) noise.

        Parameters
        ----------
        x : ndarray of shape (n, n_features)
        angle : float
            0 for data, pi / 2 for noise.

        Returns
        -------
        data, noise : ndarray of shape (n, n_features)
        """
        c, s = np.cos(angle), np.sin(angle)
        mean = softmax(self._joint_log_density(x, angle), axis=1) @ self.means
        residual = (x - c * mean) / self._variance(angle)
        return mean + c * self.sigma**2 * residual, s * residual

    def score(self, x: np.ndarray, angle: float) -> np.ndarray:
        """Return the gradient of :meth:`log_density` with respect to x, shape of x."""
        c = np.cos(angle)
        mean = softmax(self._joint_log_density(x, angle), axis=1) @ self.means
        return (c * mean - x) / self._variance(angle)

    def log_density(self, x: np.ndarray, angle: float) -> np.ndarray:
        """Return the logarithm of the density of the noised mixture at x, shape (n,)."""
        return logsumexp(self._joint_log_density(x, angle), axis=1)

    def _variance(self, angle):
        return (np.cos(angle) * self.sigma) ** 2 + np.sin(angle) ** 2

    def _joint_log_density(self, x, angle):
        centers, variance = np.cos(angle) * self.means, self._variance(angle)
        squares = (
            np.sum(np.square(x), axis=1)[:, None]
            - 2 * (x @ centers.T)
            + np.sum(np.square(centers), axis=1)
        )
        constant = 0.5 * x.shape[1] * np.log(2 * np.pi * variance) + np.log(len(centers))
        return -0.5 * squares / variance - constant


class GaussianMixturePosterior:
    """Classifier with the exact class probabilities of an equal mixture of spherical Gaussians.

    Parameters
    ----------
    means : array-like of shape (n_classes, n_features)
    sigma : float, default=1.0
        Standard deviation of each component.
    """

    def __init__(self, means: ArrayLike, sigma: float = 1.0) -> None:
        self._mixture = GaussianMixtureSampler(means, sigma)
        self.classes_ = np.arange(len(self._mixture.means))

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Return the probability of each component, shape (n, n_classes)."""
        return softmax(self._mixture._joint_log_density(np.asarray(X), 0.0), axis=1)

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Return the most likely component, shape (n,)."""
        return self.predict_proba(X).argmax(axis=1)
