"""Neural collapse: how far last-hidden features and head are from the simplex they may end in."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import check_random_state

from .._base.batches import in_batches
from .._base.compat import n_rows, take_rows
from .._base.typed import ArrayLike, MatrixLike, RandomSeed
from ._alignment import feature_tangent_kernel
from ._blocks import kernel_blocks
from ._invariant import compare, feature_side
from ._samples import balanced_rows, check_rows, check_samples

# Squared singular value, relative to the largest, that is only rounding.
_ROUNDING = 1e-12
# Rows on which the head is compared with the logits, and how closely (float32 passes).
_N_PROBES, _TOLERANCE = 32, 1e-3


@dataclass(frozen=True)
class NeuralCollapse:
    r"""How far a classifier is from neural collapse; all of NC1 to NC5 are 0 in the limit.

    H denotes the features of the last hidden layer, M the class means less the mean of class means
    (features x classes), W the weights of the head (features x classes), and C the number of
    classes.

    Attributes
    ----------
    nc1 : float
        :math:`\mathrm{tr}(S_W S_B^+) / C`, the variation within classes relative to that between
        classes. It has no scale.
    nc1_std : float
        Mean over classes and features of the standard deviation within classes, in the scale of H.
    nc2 : float
        :math:`\|M^TM/\|M^TM\| - (I - 11^T/C)/\sqrt{C-1}\|`, the distance to a simplex.
    nc2_norms : float
        Standard deviation of the lengths of the columns of M, divided by their mean.
    nc2_angles : float
        Standard deviation of the cosines between columns of M.
    nc2_max_angle : float
        Mean of :math:`|\cos + 1/(C-1)|` over pairs, which is 0 at the largest possible angles.
    nc3 : float
        :math:`\|M/\|M\| - W/\|W\|\|`, the distance between class means and head.
    nc4 : float
        Share of samples whose predicted class is not that of the nearest class mean.
    nc5 : float
        Mean over classes of :math:`|\cos|` between the class mean, not centred, and the mean of
        ``X_ood``. NaN without ``X_ood``.
    invariant_norm : float
        :math:`\|E\|`, where :math:`E = WW^T - H K^{-1} H^T` and K is the block form of the tangent
        kernel of the features. NaN without hidden layers, or if it was not requested.
    invariant_error : float
        :math:`\|E\| / \|WW^T\|`, the relative norm of the invariant.
    invariant_alignment : float
        Cosine of :math:`WW^T` and :math:`H K^{-1} H^T`.
    n_features : int
        Number of features of the last hidden layer.
    class_counts : ndarray of int, shape (n_classes,)
        Number of samples of each class.
    invariant : ndarray of shape (n_features, n_features) or None
        E itself, which shows whether it stays constant. None if ``invariant_norm`` is NaN.
    """

    nc1: float
    nc1_std: float
    nc2: float
    nc2_norms: float
    nc2_angles: float
    nc2_max_angle: float
    nc3: float
    nc4: float
    nc5: float
    invariant_norm: float
    invariant_error: float
    invariant_alignment: float
    n_features: int
    class_counts: np.ndarray
    invariant: np.ndarray | None = None


def neural_collapse(
    estimator: Any,
    X: MatrixLike,
    y: ArrayLike,
    *,
    X_ood: MatrixLike | None = None,
    invariant: bool = True,
    n_per_class: int = 10,
    random_state: RandomSeed = None,
) -> NeuralCollapse:
    r"""Return how far a classifier is from neural collapse.

    Parameters
    ----------
    estimator : estimator, Pipeline, torch.nn.Module or Network
        A fitted classifier whose logits are a linear function of its last hidden layer.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples, in any form that the estimator accepts. Collapse is defined on training data.
    y : array-like of shape (n_samples,)
        True classes. All classes of the classifier must occur, with at least two samples each.
    X_ood : as X, default=None
        Samples of other classes, for NC5.
    invariant : bool, default=True
        Whether to compute the invariant, which takes a backward pass for each feature.
    n_per_class : int, default=10
        Largest number of samples of each class for the block form that the invariant needs.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw of these samples.

    Returns
    -------
    NeuralCollapse

    Raises
    ------
    TypeError
        If the estimator is not a classifier whose gradients are known.
    ValueError
        If a class has no sample or only one, if there are labels that the classifier does not know,
        or if its logits are not a linear function of the input of its last layer.

    Notes
    -----
    All classes count equally in means and scatter, however many samples they have. The conservation
    of E assumes gradient flow without weight decay and a kernel that stays constant, with no
    correlation between features; arXiv:2305.16427 derives what follows for the mean squared error.
    For other losses E is descriptive. The time is O(n p C) and the memory O(n p + p^2) for p
    features. The invariant takes p backward passes over ``n_per_class`` samples of each class.

    References
    ----------
    Papyan, Han, Donoho, PNAS 117 (2020): NC1 to NC4. Ben Ammar et al., arXiv:2310.06823: NC5.
    Seleznova, Weitzner, Giryes, Kutyniok, Chou, arXiv:2305.16427: the forms of ``nc1_std``, ``nc2``
    and ``nc3``, and E. Its form for classes of any size is derived here.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sklearn_sparse_eig.diagnostics import neural_collapse
    >>> X, y = load_iris(return_X_y=True)
    >>> short, long = (
    ...     MLPClassifier((20,), max_iter=n, tol=0, n_iter_no_change=n, random_state=0).fit(X, y)
    ...     for n in (200, 2000)
    ... )
    >>> neural_collapse(long, X, y).nc1 < neural_collapse(short, X, y).nc1
    True
    """
    network, X, labels = check_samples(estimator, X, y)
    counts = np.bincount(labels, minlength=len(network.classes))
    if (counts == 0).any():
        missing = network.classes[counts == 0]
        raise ValueError(
            "Samples of every class of the classifier are needed; there are none of "
            f"{', '.join(map(str, missing[:5]))}."
        )
    weights, biases = network.head()
    H = _features(network, X)
    as_logits = np.array([[-0.5, 0.5]]) if weights.shape[1] == 1 else np.eye(weights.shape[1])
    logits = (H @ weights + (0.0 if biases is None else biases)) @ as_logits
    _check_head(network, X, logits)

    means = np.array([H[labels == c].mean(axis=0) for c in range(len(counts))])
    M = (means - means.mean(axis=0)).T
    residuals = H - means[labels]
    side = None
    if invariant:
        rows = balanced_rows(
            labels, min(n_per_class, counts.min()), check_random_state(random_state)
        )
        layers = range(len(network.layer_names))
        kernel = feature_tangent_kernel(network, take_rows(X, rows), layers)
        if kernel is not None:
            blocks = kernel_blocks(kernel, labels[rows])
            side = feature_side(blocks, means, counts, residuals.T @ residuals)
    norm, error, alignment = compare(weights, side)
    within = np.array([(residuals[labels == c] ** 2).mean(axis=0) for c in range(len(counts))])
    return NeuralCollapse(
        nc1=_variability(M, residuals, labels, counts),
        nc1_std=float(np.sqrt(within).mean()),
        nc3=_distance(M, weights @ as_logits),
        nc4=float((logits.argmax(axis=1) != _nearest(H, means)).mean()),
        nc5=_ood_cosine(means, X_ood, estimator, network),
        invariant_norm=norm,
        invariant_error=error,
        invariant_alignment=alignment,
        n_features=H.shape[1],
        class_counts=counts,
        invariant=None if side is None else weights @ weights.T - side,
        **_simplex(M),
    )


def _features(network, X):
    floats = network.floats_per_row(network.select("head"), take_rows(X, slice(0, 2)))
    parts = [features for _, features in in_batches(network.features, X, "auto", floats)]
    return np.vstack([part.toarray() if sp.issparse(part) else part for part in parts])


def _check_head(network, X, logits):
    probes = slice(0, min(_N_PROBES, n_rows(X)))
    head = network.select("head")
    found = network.gradients(take_rows(X, probes), "max", head).logits
    if np.abs(found - logits[probes]).max() > _TOLERANCE * (np.abs(found).max() + 1.0):
        raise ValueError(
            f"The logits are not what the last layer, {network.layer_names[head[0]]!r}, gives. "
            "Leave out what follows it, such as a softmax."
        )


def _variability(M, residuals, labels, counts):
    """Return tr(S_W S_B^+) / C without either matrix: S_B has the left singular vectors of M."""
    left, values, _ = np.linalg.svd(M, full_matrices=False)
    kept = values**2 > _ROUNDING * values[0] ** 2
    if values[0] == 0.0:
        return float("nan")
    squares = (residuals @ left[:, kept]) ** 2
    within = np.array([squares[labels == c].mean(axis=0) for c in range(len(counts))])
    # S_W = sum_c (...) / C and S_B = M M^T / C; the C of the one cancels that of the other.
    return float((within.sum(axis=0) / values[kept] ** 2).sum() / len(counts))


def _simplex(M):
    n_classes = M.shape[1]
    gram = M.T @ M
    target = np.eye(n_classes) - 1.0 / n_classes
    norms = np.sqrt(np.diagonal(gram))
    if norms.min() == 0.0:
        return dict.fromkeys(("nc2", "nc2_norms", "nc2_angles", "nc2_max_angle"), float("nan"))
    pairs = np.triu_indices(n_classes, 1)
    cosines = (gram / np.outer(norms, norms))[pairs]
    return {
        "nc2": _distance(gram, target),
        "nc2_norms": float(norms.std() / norms.mean()),
        "nc2_angles": float(cosines.std()),
        "nc2_max_angle": float(np.abs(cosines + 1.0 / (n_classes - 1)).mean()),
    }


def _distance(first, second):
    """Return the Frobenius distance of two matrices, each divided by its norm."""
    norms = np.linalg.norm(first), np.linalg.norm(second)
    if min(norms) == 0.0:
        return float("nan")
    return float(np.linalg.norm(first / norms[0] - second / norms[1]))


def _nearest(H, means):
    return ((means**2).sum(axis=1) - 2.0 * H @ means.T).argmin(axis=1)


def _ood_cosine(means, X_ood, estimator, network):
    if X_ood is None:
        return float("nan")
    mean = _features(network, check_rows(estimator, network, X_ood)).mean(axis=0)
    norms = np.linalg.norm(means, axis=1) * np.linalg.norm(mean)
    return float(np.abs(means @ mean / norms).mean()) if norms.min() > 0.0 else float("nan")
