"""Per-sample gradients of torch modules. Importing this folder imports torch."""

from ._forms import closed_form, sum_over_places
from ._network import TorchNetwork

__all__ = ["TorchNetwork", "closed_form", "sum_over_places"]
