"""How many multiplications scoring a row takes at least, as it is done, and a forward pass."""

import numpy as np

# Scores that ask for no more of a gradient than its norm.
_WITHOUT_MEANS = ("relative", "laplace")


def of_forward(module, rows):
    """Return the multiplications of a forward pass of a torch module for one row."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.as_tensor(rows))
    return counter.get_total_flops() / 2 / len(rows)


def of_score(detector, rows, forward, backward=None):
    """Return those of scoring one row, given those of a forward pass.

    What is differentiated takes as much as the forward pass, if nothing else is given, and so do
    gradients that are made as matrices. Then come the roots of the metric, norms, and products
    with class means, or the distances of features.
    """
    span = detector._get_subspace()
    layers = detector._network.gradients(rows, detector.output, detector._layers).layers
    roots = span.metric.roots or [None] * len(layers)
    total = forward + (forward if backward is None else backward)
    made = 0.0
    for layer, pair, directions in zip(layers, roots, span._directions, strict=True):
        whitened = layer
        if pair is not None:
            whitened = layer.whiten(*pair)
            total += _whitening(layer, whitened, *pair)
        if layer.is_explicit and not hasattr(layer, "inputs"):
            made = forward
        total += _norms(whitened)
        if detector.score_function not in _WITHOUT_MEANS:
            total += _means(whitened, directions)
    if detector.score_function == "relative":
        *_, known = detector._features
        distance = known.distance
        total += distance.within.cost + distance.whole.cost + distance.means.size
    return total + made


def _whitening(layer, whitened, left, right):
    if not layer.is_explicit:
        return left.cost + right.cost
    if hasattr(whitened, "inputs"):
        return layer.inputs.shape[1] * (left.cost + right.cost)
    _, p, q = layer.matrices.shape
    return q * left.cost + p * right.cost


def _norms(layer):
    if not layer.is_explicit:
        return layer.inputs.shape[1] + layer.deltas.shape[1]
    if not hasattr(layer, "inputs") or layer.has_matrices:
        return layer.matrices[0].size
    _, places, p = layer.inputs.shape
    return places**2 * (p + layer.deltas.shape[2])


def _means(layer, directions):
    if hasattr(directions, "_pairs"):
        # A row meets the pairs of one right side.
        return layer.inputs.shape[1] * np.mean([len(pairs) for pairs in directions._pairs])
    if hasattr(directions, "_lefts") and directions.of_means(layer) is not None:
        places = layer.inputs.shape[1] if layer.is_explicit else 1
        (p, k, rank), q = directions._lefts.shape, len(directions._rights)
        return places * k * rank * (p + q)
    if hasattr(directions, "_lefts"):
        directions = directions._whole
    making = layer.inputs.shape[1] if hasattr(layer, "inputs") and layer.is_explicit else 0
    k, p, q = directions.values.shape
    return (k + making) * p * q
