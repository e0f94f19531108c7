"""Detectors of unknown inputs to compare with: on inputs, features and logits of one trained model.

Each is a function of a View of the training rows, labels included, that returns a function of a
View of other rows: its scores, higher for what is like the training rows. Formulas and constants
are those of the sources; none is tuned, and none sees an unknown input before it scores it.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp, softmax
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler, normalize

K = 10
VARIANCE = 0.9


@dataclass(frozen=True)
class View:
    """What a trained model makes of some rows.

    Parameters
    ----------
    inputs : ndarray of shape (n_samples, n_features)
    features : ndarray of shape (n_samples, d)
        What enters the last layer; the inputs for a linear model.
    logits : ndarray of shape (n_samples, n_classes)
    head : tuple of ndarray of shape (d, n_classes), ndarray of shape (n_classes,)
        logits = features @ weight + bias.
    labels : ndarray of int, shape (n_samples,), default=None
    """

    inputs: np.ndarray
    features: np.ndarray
    logits: np.ndarray
    head: tuple
    labels: np.ndarray | None = None


# -------------------------------------------------------------------------------------- of logits


def softmax_probability(train):
    """Hendrycks and Gimpel (2017), MSP: the probability of the predicted class."""
    return lambda new: softmax(new.logits, axis=1).max(axis=1)


def max_logit(train):
    """Hendrycks et al. (2022): the largest logit."""
    return lambda new: new.logits.max(axis=1)


def energy(train):
    """Liu et al. (2020), temperature 1: the logarithm of the sum of exponentials."""
    return lambda new: logsumexp(new.logits, axis=1)


def grad_norm(train):
    """Huang et al. (2021): l1 norm of the gradient, at the head, of the loss to a uniform target.

    The gradient is the outer product of the features and p - 1/C, so its norm is a product.
    """

    def score(new):
        away = softmax(new.logits, axis=1) - 1.0 / new.logits.shape[1]
        return np.abs(new.features).sum(axis=1) * np.abs(away).sum(axis=1)

    return score


# ------------------------------------------------------------------------------------ of distances


def nearest_neighbours(space):
    """Sun et al. (2022): distance to the k-th nearest training row, all rows of unit length.

    Returned as the k-th largest cosine, which has the opposite order.
    """

    def fit(train):
        known = normalize(getattr(train, space)).astype(np.float32)

        def score(new):
            rows = normalize(getattr(new, space)).astype(np.float32)
            parts = np.array_split(rows, len(rows) // 500 + 1)
            return np.concatenate([np.partition(p @ known.T, -K, axis=1)[:, -K] for p in parts])

        return score

    return fit


def mahalanobis(train):
    """Lee et al. (2018): minus the squared distance to the nearest class, one covariance for all.

    The pseudo-inverse where it is singular, as in their code.
    """
    means = _class_means(train)
    whitening = _whitening(train.features - means[train.labels])
    return lambda new: -_squared_distances(new.features, means, whitening).min(axis=1)


def relative_mahalanobis(train):
    """Ren et al. (2021): the same less the squared distance under one Gaussian for all rows."""
    to_classes = mahalanobis(train)
    mean = train.features.mean(axis=0, keepdims=True)
    whitening = _whitening(train.features - mean)

    def score(new):
        return to_classes(new) + _squared_distances(new.features, mean, whitening)[:, 0]

    return score


def isolation_forest(train):
    """Liu et al. (2008) on the features, with the defaults of scikit-learn."""
    forest = IsolationForest(random_state=0).fit(train.features)
    return lambda new: forest.score_samples(new.features)


# ------------------------------------------------------------------------------------ of subspaces


def virtual_logit(share=None):
    """Wang et al. (2022), ViM: energy less the scaled norm of what a principal subspace leaves.

    Its dimension is by their rule: 1000 from 2048 features on, else 512, for which small networks
    have too few; from there, below 768, half (as later libraries have it). Or it is the
    least that has a share of the second moment.
    """

    def fit(train):
        weight, bias = train.head
        origin = -np.linalg.pinv(weight.T) @ bias
        centred = train.features - origin
        values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
        d = len(values)
        if share is None:
            dimension = 1000 if d >= 2048 else 512 if d >= 768 else d // 2
        else:
            shares = np.cumsum(values[::-1]) / values.sum()
            dimension = int(np.searchsorted(shares, share)) + 1
        null_space = vectors[:, : d - dimension]

        def residual(new):
            return np.linalg.norm((new.features - origin) @ null_space, axis=1)

        mean_residual = residual(train).mean()
        # All of the features may lie in the subspace: then nothing is left to scale.
        scale = train.logits.max(axis=1).mean() / mean_residual if mean_residual > 0 else 0.0
        return lambda new: logsumexp(new.logits, axis=1) - scale * residual(new)

    return fit


def neco(times_max_logit):
    """Ammar et al. (2024): the share of a standardised feature's norm in the principal subspace.

    As many directions as have 90 % of the variance, the paper's rule of thumb. Times the largest
    logit, as they do for transformers.
    """

    def fit(train):
        scaler = StandardScaler().fit(train.features)
        components = PCA(VARIANCE, svd_solver="full").fit(scaler.transform(train.features))

        def score(new):
            scaled = scaler.transform(new.features)
            ratio = _ratio(np.linalg.norm(components.transform(scaled), axis=1), scaled)
            return ratio * new.logits.max(axis=1) if times_max_logit else ratio

        return score

    return fit


def class_mean_pca(train):
    """The share of the centred feature's norm in the span of class means.

    What GradPCA is at the head with the sum of logits, where the gradient is the feature for each
    class: the control that shows what gradients add.
    """
    means = _class_means(train)
    centre = means.mean(axis=0)
    left, values, basis = np.linalg.svd(means - centre, full_matrices=False)
    basis = basis[values > 1e-6 * values[0]]

    def score(new):
        centred = new.features - centre
        return _ratio(np.linalg.norm(centred @ basis.T, axis=1), centred)

    return score


def input_pca_residual(train):
    """Minus the norm of what the leading components, with 90 % of the variance, leave of an input.

    No model is asked.
    """
    pca = PCA(VARIANCE, svd_solver="full").fit(train.inputs)

    def score(new):
        centred = new.inputs - pca.mean_
        return -np.linalg.norm(centred - centred @ pca.components_.T @ pca.components_, axis=1)

    return score


BASELINES = {
    "MSP": softmax_probability,
    "MaxLogit": max_logit,
    "Energy": energy,
    "GradNorm": grad_norm,
    "KNN-10 features": nearest_neighbours("features"),
    "KNN-10 inputs": nearest_neighbours("inputs"),
    "Mahalanobis": mahalanobis,
    "relative Mahalanobis": relative_mahalanobis,
    "ViM": virtual_logit(),
    "ViM, 90 % variance": virtual_logit(VARIANCE),
    "NECO": neco(times_max_logit=False),
    "NECO x MaxLogit": neco(times_max_logit=True),
    "class-mean feature PCA": class_mean_pca,
    "input PCA residual": input_pca_residual,
    "IsolationForest": isolation_forest,
}


def _class_means(train):
    n_classes = train.logits.shape[1]
    return np.array([train.features[train.labels == c].mean(axis=0) for c in range(n_classes)])


def _whitening(centred):
    """Return W with W W^T the pseudo-inverse of the covariance of rows that have mean zero."""
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = values > len(values) * np.finfo(np.float64).eps * values[-1]
    return vectors[:, kept] / np.sqrt(values[kept])


def _squared_distances(rows, means, whitening):
    rows, means = rows @ whitening, means @ whitening
    squares = (rows**2).sum(axis=1)[:, None] + (means**2).sum(axis=1)
    return squares - 2.0 * rows @ means.T


def _ratio(lengths, rows):
    norms = np.linalg.norm(rows, axis=1)
    return np.divide(lengths, norms, out=np.ones_like(norms), where=norms > 0.0)
