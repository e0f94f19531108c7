"""Per-sample gradients of a model with respect to its parameters, kept as factors of each layer."""

from ._factors import Gradients, LayerFactors
from ._make import make_network
from ._network import DenseNetwork, Network
from ._outputs import scalar_output

__all__ = [
    "DenseNetwork",
    "Gradients",
    "LayerFactors",
    "Network",
    "make_network",
    "scalar_output",
]
