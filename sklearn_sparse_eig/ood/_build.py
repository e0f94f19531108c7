"""Which subspace: what is kept of the stream for it, and how it follows from that."""

import warnings

import numpy as np

from ._frozen_metric import FrozenMetricState
from ._kernel import KernelState, KernelSubspace
from ._metric import Metric
from ._principal import PrincipalState
from ._sketched_means import SketchedState
from ._sparse_means import SparseMeanSubspace, sparse_means
from ._state import GradientState
from ._subspace import ClassMeanSubspace

SUBSPACES = ("auto", "exact", "sketched", "sparse_pca")

# Bytes of exact class sums (1 GiB) beyond which "auto" sketches them.
_LARGEST_SUMS = 2**30
# Share of the entries that "auto" recovers of a sketched class mean.
_RECOVERED_SHARE = 1e-3
# Entries of all class means that "auto" sweeps over to recover them, and how many in a second.
_LARGEST_SWEEP, _SWEEP_RATE = 2e9, 3e7
# Rows and columns of a factor of the metric (128 MB) beyond which it is kept diagonal.
_LARGEST_FACTOR = 4096
# Scores are within 0.01 of exact ones (measured), and m >= _LEAST_RATIO C.
_MEASUREMENTS, _LEAST_RATIO = 2**14, 4


def choose_subspace(subspace, n_components, n_classes, layer_shapes):
    """Return "exact", "sketched" or "sparse_pca" for the parameters of a detector.

    Raises
    ------
    ValueError
        If the parameters do not go together.
    """
    if subspace == "sparse_pca" and isinstance(n_components, float):
        raise ValueError(
            f"n_components={n_components}, a share of the trace, is not known for "
            "subspace='sparse_pca', which recovers a given number of directions. Use an int."
        )
    if subspace != "auto":
        return subspace
    n_bytes = 8 * n_classes * sum(p * q for p, q in layer_shapes)
    return "exact" if n_bytes <= _LARGEST_SUMS else "sketched"


def choose_sparsity(sparsity, asked, subspace, metric, n_entries):
    """Return the share of entries of class means to keep, None for all.

    Inner products of sketches rank badly in a metric that has been learned (measured:
    doc/gradpca.md), so that sketches nobody has asked for are used to recover the means, if these
    do not have too many entries in all to sweep over.

    Warns
    -----
    UserWarning
        If they have.
    """
    if sparsity is not None or asked != "auto" or subspace != "sketched" or metric == "euclidean":
        return sparsity
    if n_entries <= _LARGEST_SWEEP:
        return _RECOVERED_SHARE
    warnings.warn(
        f"The class means have {n_entries:.2g} entries, too many to recover unasked. Inner "
        "products of sketches alone rank badly in a learned metric: use "
        "score_function='laplace', which needs no means, or "
        f"sparsity={_RECOVERED_SHARE}, which takes about "
        f"{n_entries / _SWEEP_RATE / 60:.0f} minutes once. subspace='sketched' silences this.",
        UserWarning,
        stacklevel=5,
    )
    return None


def make_state(
    subspace,
    n_classes,
    layer_shapes,
    metric,
    *,
    n_measurements="auto",
    n_components=None,
    sparsity=None,
    seed=0,
):
    """Return the empty state for a subspace.

    Warns
    -----
    UserWarning
        If there are fewer measurements than four for each class.
    """
    if subspace == "kernel":
        return KernelState(n_classes, layer_shapes[0][0])
    arguments = n_classes, layer_shapes, metric, _LARGEST_FACTOR
    if subspace == "exact":
        return GradientState(*arguments)
    if subspace == "sparse_pca":
        n_parameters = sum(p * q for p, q in layer_shapes)
        n_components = min(n_components or n_classes - 1, n_parameters)
        return PrincipalState(*arguments, n_components, sparsity, seed)
    least = _LEAST_RATIO * n_classes
    if n_measurements == "auto":
        # A power of two: the fastest transforms.
        n_measurements = max(_MEASUREMENTS, 2 ** int(np.ceil(np.log2(least))))
    if n_measurements < least:
        warnings.warn(
            f"n_measurements={n_measurements} for {n_classes} classes: fewer than {least} hardly "
            "tell the class means apart.",
            UserWarning,
            stacklevel=5,
        )
    return SketchedState(*arguments, n_measurements, seed)


def make_subspace(state, n_components=None, sparsity=None, mean_rank=None):
    """Return the subspace of the samples in a state.

    Raises
    ------
    ValueError
        If there are too few samples, or they do not span one.
    """
    if isinstance(state, KernelState):
        return KernelSubspace(state, n_components)
    if isinstance(state, FrozenMetricState):
        return state.subspace(n_components, sparsity)
    if state.moments:
        eigenbasis = sparsity is not None
        metric = Metric.from_moments(state.moments, state.n_samples, eigenbasis)
    else:
        metric = Metric(None)
    if sparsity is None:
        return ClassMeanSubspace(state, metric, n_components, mean_rank)
    shapes = [sums.shape[1:] for sums in state.class_sums]
    return SparseMeanSubspace(metric, sparse_means(state, metric, sparsity), shapes, n_components)
