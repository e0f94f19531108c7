"""What pure noise can make of the best of all sparse vectors, and how far a vector is beyond it.

A vector was chosen among all sets of its size to fit the noise as well as the signal, so its own
entries prove little. What does is a bound over all sets at once: the largest value that n Gaussian
rows of independent noise hardly reach along any vector of s nonzeros. Derived in
``doc/how_the_sketch_works.md``, section 9.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from ._inverse_root import inverse_root
from ._lifting import measure_rows, orthonormal_range
from ._support_model import fit_support_model
from .decoders._null import FALSE_ALARMS, ghost_rows

# Features up to which what a test matrix makes of noise is summed over them; beyond, it is taken
# as even, which hashing makes it.
_SUMMED = 1 << 20
# Features summed at a time.
_CHUNK = 1 << 14


def overall_strength(steps, found):
    """Return how far each vector is beyond the best that pure noise hardly exceeds.

    Parameters
    ----------
    steps : PowerSteps
    found : PowerStepsResult

    Returns
    -------
    ndarray of shape (r,)
        At 1 and below noise alone may have made the vector; ``inf`` where there is no noise.
    """
    sketch = steps.sketch
    sizes = np.maximum(np.count_nonzero(found.vectors, axis=0), 1)
    if sketch.effective_samples is None or not steps.models_noise:
        return np.full(len(sizes), np.inf)
    if sketch.is_symmetric:
        along, noise = _variances(steps, found)
        limits = noise * largest_variance(
            sizes, steps.detection.n_hypotheses, sketch.effective_samples
        )
    else:
        along, noise = _image_lengths(steps, found)
        limits = noise * largest_image(sizes, steps.detection.n_hypotheses, sketch.shape[1])
    ratio = np.full(len(sizes), np.inf)
    np.divide(along, limits, out=ratio, where=limits > 0.0)
    if sketch.is_exact and steps.noise.differs_by_feature:
        ratio = np.maximum(ratio, _dependence(steps, found))
    return ratio


def largest_variance(sizes, n_features, n_samples):
    """Return what the variance of white noise along any vector of given sizes hardly exceeds.

    For n Gaussian rows of variance one the largest eigenvalue on s given features is at most
    (1 + sqrt(s / n) + t)^2 but for a probability exp(-n t^2 / 2) (Davidson and Szarek); t covers
    all sets of s out of N features at once.
    """
    root_n = np.sqrt(n_samples)
    sparse = np.sqrt(sizes) + np.sqrt(2.0 * _exponents(sizes, n_features))
    dense = np.sqrt(n_features) + np.sqrt(-2.0 * np.log(FALSE_ALARMS))
    return (1.0 + np.minimum(sparse, dense) / root_n) ** 2


def largest_image(sizes, n_features, width):
    """Return what the length of G^T v hardly exceeds for any unit v of given sizes.

    G is N x width, of independent standard normal entries: sqrt(s) + sqrt(width) + t on s given
    features but for a probability exp(-t^2 / 2) (Davidson and Szarek).
    """
    sparse = np.sqrt(sizes) + np.sqrt(2.0 * _exponents(sizes, n_features))
    dense = np.sqrt(n_features) + np.sqrt(-2.0 * np.log(FALSE_ALARMS))
    return np.sqrt(width) + np.minimum(sparse, dense)


def largest_dependence(size, n_features, freedom):
    """Return what -log det R of s features, R their correlation matrix, hardly exceeds.

    Of independent Gaussian features det R is a product of independent beta variables, of
    parameters (freedom - i) / 2 and i / 2 for i = 1 .. s - 1 (Wilks). Its moments bound the tail
    (Chernoff), and the sets of s features are counted in.

    Parameters
    ----------
    size : int
        s, at least 2.
    n_features : int
    freedom : float
        Rows, less one where they are centred; more than s.
    """
    i = np.arange(1, size)

    def bound(theta):
        # The log of the mean of det ** -theta, with the log of the sets, over theta.
        moments = gammaln((freedom - i) / 2 - theta) - gammaln((freedom - i) / 2)
        moments += gammaln(freedom / 2) - gammaln(freedom / 2 - theta)
        return (moments.sum() + float(_exponents(size, n_features))) / theta

    most = (freedom - size + 1) / 2
    return minimize_scalar(bound, bounds=(1e-3 * most, (1.0 - 1e-6) * most), method="bounded").fun


def _dependence(steps, found):
    """Return -log det of the correlations of each support, over what chance hardly makes of it.

    Sharper than the variance along a vector where supports are small: it is the likelihood ratio
    of any dependence (Bartlett's test of sphericity).
    """
    sketch = steps.sketch
    freedom = sketch.effective_samples - sketch.center
    deviation = np.sqrt(sketch.feature_variance())
    strengths = np.zeros(found.vectors.shape[1])
    for j, column in enumerate(found.vectors.T):
        ids = found.ids[(column != 0) & (deviation[found.ids] > 0.0)]
        if not 2 <= len(ids) < freedom:
            continue
        R = steps.S.block(ids) / deviation[ids] / deviation[ids, None]
        limit = largest_dependence(len(ids), steps.detection.n_hypotheses, freedom)
        strengths[j] = -np.linalg.slogdet(R)[1] / limit
    return strengths


def _exponents(sizes, n_features):
    """Return the log of the number of sets of given sizes, over the false alarms allowed."""
    n_features = np.maximum(n_features, sizes)
    sets = gammaln(n_features + 1.0) - gammaln(sizes + 1.0) - gammaln(n_features - sizes + 1.0)
    return sets - np.log(FALSE_ALARMS)


def _variances(steps, found):
    """Return the variances along the vectors, and those of noise, where both sides are one."""
    sketch = steps.sketch
    P = measure_rows(sketch.measurement, found.ids, found.vectors)
    if not sketch.is_exact:
        P = np.linalg.qr(P)[0]  # what collides with an earlier vector is not its own
    along = np.einsum("ij,ij->j", P, steps.S @ P)
    return along, _noise_along(steps, found, P)


def _noise_along(steps, found, P):
    """Return the variance of noise along each column of P, measured like features."""
    sketch, measurement = steps.sketch, steps.sketch.measurement
    variances = _feature_noise(steps, found)
    if measurement.keeps_features:
        return np.square(P).T @ np.broadcast_to(variances, (len(P),))
    P = np.ascontiguousarray(P)
    if not _is_summed(sketch, variances):
        heard = np.square(ghost_rows(measurement, P)).mean(axis=0) * sketch.n_features
        return variances * (heard + np.square(P).sum(axis=0))
    variances = np.broadcast_to(variances, sketch.n_features)
    noise = np.zeros(P.shape[1])
    for low in range(0, sketch.n_features, _CHUNK):
        ids = np.arange(low, min(low + _CHUNK, sketch.n_features))
        noise += variances[ids] @ np.square(measurement.adjoint(P, ids))
    return noise


def _is_summed(sketch, variances):
    """Whether what features add to noise is summed over them all."""
    return np.ndim(variances) == 1 or sketch.n_features <= _SUMMED


def _image_lengths(steps, found):
    """Return the lengths of S^T a in units of its noise on the right, and its noise on the left.

    Both in units of one row: a is the direction that a vector is measured as.
    """
    sketch, n = steps.sketch, steps.sketch.effective_samples
    variances = _feature_noise(steps, found)
    P = np.linalg.qr(measure_rows(sketch.measurement, found.ids, found.vectors))[0]
    if sketch.measurement.keeps_features:
        gram = steps.S.measured_by(sketch.test)
    elif _is_summed(sketch, variances):
        gram = sketch.test.cross_gram(sketch.test, np.broadcast_to(variances, sketch.n_features))
        gram = gram + _signal(found)
    else:
        size = sketch.n_features / sketch.shape[1] * variances
        gram = size * np.eye(sketch.shape[1]) + _signal(found)
    images = (_without_noise(steps).T @ P).T @ inverse_root(gram)
    return np.sqrt(n) * np.linalg.norm(images, axis=1), np.sqrt(_noise_along(steps, found, P))


def _signal(found):
    """Return what the model adds to the variances on the right, which noise is multiplied by."""
    model = found.model
    return (model.right * np.maximum(model.eigenvalues, 0.0)) @ model.right.T


def _without_noise(steps):
    """Return S less all that independent noise adds to it if features share nothing."""
    if steps.noise.differs_by_feature:
        return steps.noise.all_removed_from(steps.S)
    return steps.noise.removed_from(steps.S)


def _feature_noise(steps, found):
    """Return the variance of noise: one number, or that of each feature, signal included.

    A feature that shares nothing has all of its variance as noise, whatever vectors make of it.
    """
    if steps.noise.differs_by_feature:
        return steps.sketch.feature_variance()
    if not steps.only_reports_noise:
        return steps.noise.variance
    used = np.any(found.vectors != 0, axis=1)
    Z = orthonormal_range(found.vectors[used])
    span = fit_support_model(steps.sketch, found.S, found.ids[used], Z, "LA")
    return steps.noise_variance(span)
