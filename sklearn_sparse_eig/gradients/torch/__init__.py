"""Per-sample gradients of torch modules. Importing this folder imports torch."""

from ._network import TorchNetwork

__all__ = ["TorchNetwork"]
