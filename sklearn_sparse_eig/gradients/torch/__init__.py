"""Per-sample gradients of torch modules. Importing this folder imports torch."""

from ._network import TorchNetwork
from .forms import closed_form, sum_over_places

__all__ = ["TorchNetwork", "closed_form", "sum_over_places"]
