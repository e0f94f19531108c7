"""Per-sample gradients of a model with respect to its parameters, as factors or matrices."""

from typing import TYPE_CHECKING

from ._arrays import to_array
from ._choices import LayerChoice, OutputName
from ._factors import LayerFactors
from ._features import GradientFeatures
from ._given import PRECOMPUTED_BACKENDS, make_given
from ._gradients import Gradients
from ._layers import LayerGradients
from ._lazy import LazyLayers, map_layers
from ._make import is_torch, make_network, on_device, unwrap
from ._matrices import LayerMatrices
from ._model import fit_model, is_ready, takes_any_input
from ._network import DenseNetwork, Network
from ._outline import LayerOutline, Outline
from ._outputs import OUTPUTS, scalar_output
from ._places import LayerPlaces
from ._rows import check_rows

__all__ = [
    "DenseNetwork",
    "Gradients",
    "LayerFactors",
    "LayerMatrices",
    "LayerPlaces",
    "Network",
    "make_network",
    "scalar_output",
]


if TYPE_CHECKING:
    from .torch._network import TorchNetwork
else:

    def __getattr__(name):
        # torch is imported by those who ask for it.
        if name == "TorchNetwork":
            from .torch._network import TorchNetwork

            return TorchNetwork
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
