"""Rows of X as tensors: numbers in the precision of the module, or ids of words."""

import numpy as np
import torch

from .._arrays import to_array

_LOOKUPS = (torch.nn.Embedding, torch.nn.EmbeddingBag)


class RowReader:
    """Makes tensors of rows of X, for a module on its device.

    Ids of words are kept as integers, where the module takes these: in single precision those
    beyond 2**24 would be rounded, and an ``Embedding`` refuses other numbers.

    Parameters
    ----------
    module : torch.nn.Module
    like : Tensor
        Has the precision and is on the device that numbers get.
    """

    def __init__(self, module: torch.nn.Module, like: torch.Tensor) -> None:
        self._module, self._dtype, self._device = module, like.dtype, like.device
        looks_up = any(isinstance(layer, _LOOKUPS) for layer in module.modules())
        # None until rows have come that could be ids.
        self._takes_ids = None if looks_up else False

    def read(self, X) -> torch.Tensor:
        """Return rows of X as a tensor.

        Raises
        ------
        ValueError
            If they are not integers, though earlier ones were and the module takes such.
        """
        array = to_array(X)
        if self._takes_ids is None:
            self._takes_ids = _are_integers(array) and self._runs(self._ids(array[:2]))
        if not self._takes_ids:
            return torch.as_tensor(array, dtype=self._dtype, device=self._device)
        if not _are_integers(array):
            raise ValueError(
                f"{type(self._module).__name__} takes ids of words, that is integers, as those "
                "that it got first; now X has numbers that are not."
            )
        return self._ids(array)

    def _ids(self, array):
        return torch.as_tensor(array.astype(np.int64), device=self._device)

    def _runs(self, rows):
        try:
            with torch.no_grad():
                self._module(rows)
        except (RuntimeError, TypeError, ValueError, IndexError):
            # It wants other numbers; or it is broken, which is told where these come.
            return False
        return True


def _are_integers(array):
    return array.dtype.kind in "iub" or (
        array.dtype.kind == "f" and bool((array == np.floor(array)).all())
    )
