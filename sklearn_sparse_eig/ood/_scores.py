"""Scores of a sample from where its gradient lies; high means like the known classes."""

import numpy as np


def _snr_ratio(values, at):
    cotangent = at.length / at.residual
    # For a negative output a small angle must not make the score smaller still.
    odds = np.where(values > 0.0, cotangent, 1.0 / np.maximum(cotangent, 1e-12))
    return values / at.distance * odds


# From the output and the coordinates.
_OF_COORDINATES = {
    "snr_ratio": _snr_ratio,
    "ratio": lambda values, at: at.length / at.distance,
    "snr": lambda values, at: values / at.distance,
}
SCORES = (*_OF_COORDINATES, "laplace")


def score(name, values, layers, subspace):
    """Return the score of each sample.

    Parameters
    ----------
    name : {"snr_ratio", "ratio", "snr", "laplace"}
        With f the output, u = g - centre and theta the angle of u to the subspace:
        (f / |u|) cot(theta), with tan(theta) where f <= 0; cos(theta); f / |u|; f / |g|.
    values : ndarray of shape (n_samples,)
        The output.
    layers : sequence of LayerFactors or LayerMatrices
        Its gradients.
    subspace : ClassMeanSubspace

    Returns
    -------
    ndarray of shape (n_samples,)
    """
    if name == "laplace":
        return values / subspace.norms(layers)
    return _OF_COORDINATES[name](values, subspace.coordinates(layers))
