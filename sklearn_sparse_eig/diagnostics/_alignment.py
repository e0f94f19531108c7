"""The empirical neural tangent kernel of a network, and how it is aligned with the classes."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.utils import check_random_state

from .._base.compat import take_rows
from .._base.typed import ArrayLike, MatrixLike, RandomSeed
from ..gradients import OUTPUTS, LayerChoice, OutputName
from ._blocks import KernelBlocks, kernel_blocks
from ._samples import balanced_rows, check_samples

# Samples beyond which a kernel (0.5 GiB) and its eigenvalues are refused, not tried.
_MOST_SAMPLES = 2**13
_MEAN_DIAGONAL = "mean_diagonal"


@dataclass(frozen=True)
class NTKAlignment:
    """Three kernels of a network on the same samples, each compared with its best block form.

    Attributes
    ----------
    tangent : KernelBlocks
        Kernel of inner products of gradients of the output.
    features : KernelBlocks
        Kernel of inner products of last-hidden features, as a linear method on them would see it.
    feature_tangent : KernelBlocks or None
        Kernel of inner products of gradients of the features, averaged over features. None without
        hidden layers, or if it was not requested.
    output : str or int
        The scalar output whose gradients are taken.
    params : tuple of str
        Layers whose parameters count.
    n_per_class : int
        Number of samples of each class.
    """

    tangent: KernelBlocks
    features: KernelBlocks
    feature_tangent: KernelBlocks | None
    output: str | int
    params: tuple[str, ...]
    n_per_class: int


def ntk_alignment(
    estimator: Any,
    X: MatrixLike,
    y: ArrayLike,
    *,
    output: OutputName | Literal["mean_diagonal"] | int = "max",
    params: LayerChoice = "all",
    n_per_class: int | None = None,
    feature_tangent: bool = True,
    random_state: RandomSeed = None,
) -> NTKAlignment:
    r"""Return how the tangent kernel of a classifier is aligned with the classes.

    The entries of the empirical neural tangent kernel are
    :math:`\langle \nabla f(x), \nabla f(x')\rangle = \sum_l (a_l \cdot a_l')(\delta_l \cdot
    \delta_l')`, where a is the input of a layer and :math:`\delta` the derivative of f with respect
    to its output. No gradient is formed.

    Parameters
    ----------
    estimator : estimator, Pipeline, torch.nn.Module or Network
        A fitted classifier that :class:`GradPCADetector` accepts.
    X : {array-like, sparse matrix} of shape (n_samples, n_features)
        Samples, in any form that the estimator accepts.
    y : array-like of shape (n_samples,)
        True classes, of which there are at least two.
    output : {"max", "logsumexp", "sum", "loss", "mean_diagonal"} or int, default="max"
        The scalar f, by default that of GradPCA. ``"mean_diagonal"`` is the mean over c of the
        kernels of the logits c, as in the experiments of arXiv:2305.16427. An integer means this
        logit.
    params : {"all", "head", "last_hidden"} or sequence of str, default="all"
        Layers whose parameters count, as in :class:`GradPCADetector`.
    n_per_class : int, default=None
        Number of samples drawn from each class. None draws as many as the smallest class has and
        leaves out others, because the block form needs classes of equal size.
    feature_tangent : bool, default=True
        Whether to compute also the tangent kernel of the features, which takes a pass for each
        feature.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw.

    Returns
    -------
    NTKAlignment

    Raises
    ------
    TypeError
        If the estimator is not a classifier whose gradients are known.
    ValueError
        If a class has fewer than ``n_per_class`` samples or only one, if there are labels that the
        classifier does not know, or if there are more than 8192 samples in all.

    Notes
    -----
    This takes O(n^2) memory, and O(n^2 (p + q)) time for each layer of p inputs and q outputs. The
    time is multiplied by the number of classes for ``"mean_diagonal"``, and by the number of
    features for ``feature_tangent``.

    References
    ----------
    Seleznova, Weitzner, Giryes, Kutyniok, Chou, arXiv:2305.16427.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neural_network import MLPClassifier
    >>> from sklearn_sparse_eig.diagnostics import ntk_alignment
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((20,), max_iter=2000, random_state=0).fit(X, y)
    >>> found = ntk_alignment(model, X, y, n_per_class=20, random_state=0)
    >>> found.tangent.same_class > found.tangent.other_class
    True
    >>> 0.0 < found.tangent.centered_alignment <= 1.0
    True
    """
    network, X, labels = check_samples(estimator, X, y)
    output = _check_output(output, len(network.classes))
    layers = network.select(params)
    rng = check_random_state(random_state)
    rows = balanced_rows(labels, _check_size(n_per_class, labels), rng)
    X, labels = take_rows(X, rows), labels[rows]
    inner = feature_tangent_kernel(network, X, layers) if feature_tangent else None
    return NTKAlignment(
        tangent=kernel_blocks(tangent_kernel(network, X, output, layers), labels),
        features=kernel_blocks(_gram(network.features(X)), labels),
        feature_tangent=None if inner is None else kernel_blocks(inner, labels),
        output=output,
        params=tuple(network.layer_names[i] for i in layers),
        n_per_class=len(rows) // len(np.unique(labels)),
    )


def tangent_kernel(network, X, output, layers):
    """Return the tangent kernel (n, n) of an output, or the mean of those of all logits."""
    outputs = range(len(network.classes)) if output == _MEAN_DIAGONAL else [output]
    return _mean_kernel(network, X, outputs, layers)


def feature_tangent_kernel(network, X, layers):
    """Return the mean over features of their tangent kernels, None without hidden layers."""
    (head,) = network.select("head")
    order = network.order
    hidden = tuple(i for i in layers if order.index(i) < order.index(head))
    if not hidden:
        return None
    n_features = len(network.head()[0])
    return _mean_kernel(network.feature_network(), X, range(n_features), hidden)


def _mean_kernel(network, X, outputs, layers):
    total = 0.0
    for output in outputs:
        gradients = network.gradients(X, output, layers)
        total = total + gradients.inner(gradients)
    return total / len(outputs)


def _gram(rows):
    gram = rows @ rows.T
    return gram if isinstance(gram, np.ndarray) else gram.toarray()


def _check_output(output, n_logits):
    if isinstance(output, str) and output in (*OUTPUTS, _MEAN_DIAGONAL):
        return output
    if isinstance(output, int | np.integer) and 0 <= output < n_logits:
        return int(output)
    raise ValueError(
        f"output must be one of {', '.join((*OUTPUTS, _MEAN_DIAGONAL))} or the index of one of the "
        f"{n_logits} logits; got {output!r}."
    )


def _check_size(n_per_class, labels):
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    size = counts.min() if n_per_class is None else n_per_class
    if not isinstance(size, int | np.integer) or not 2 <= size <= counts.min():
        raise ValueError(
            f"n_per_class must be an integer from 2 to the size of the smallest class, "
            f"{counts.min()}; got {size!r}."
        )
    if size * len(counts) > _MOST_SAMPLES:
        raise ValueError(
            f"{size} samples of each of {len(counts)} classes make a kernel of "
            f"{8.0 * (size * len(counts)) ** 2:.3g} bytes. Give n_per_class, at most "
            f"{max(_MOST_SAMPLES // len(counts), 2)}."
        )
    return int(size)
