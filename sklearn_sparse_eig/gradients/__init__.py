"""Per-sample gradients of a model with respect to its parameters, layer by layer, as factors where they have rank one."""

from ._factors import Gradients, LayerFactors
from ._make import make_network
from ._matrices import LayerMatrices
from ._network import DenseNetwork, Network
from ._outputs import scalar_output

__all__ = [
    "DenseNetwork",
    "Gradients",
    "LayerFactors",
    "LayerMatrices",
    "Network",
    "make_network",
    "scalar_output",
]
