"""Per-sample gradients of a model with respect to its parameters, as factors or matrices."""

from ._factors import Gradients, LayerFactors
from ._features import GradientFeatures
from ._make import make_network
from ._matrices import LayerMatrices
from ._network import DenseNetwork, Network
from ._outputs import scalar_output
from ._places import LayerPlaces

__all__ = [
    "DenseNetwork",
    "GradientFeatures",
    "Gradients",
    "LayerFactors",
    "LayerMatrices",
    "LayerPlaces",
    "Network",
    "make_network",
    "scalar_output",
]


def __getattr__(name):
    # torch is imported by those who ask for it.
    if name == "TorchNetwork":
        from .torch._network import TorchNetwork

        return TorchNetwork
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
