"""Rows of X as tensors: numbers in the precision of the module, or ids of words."""

import numpy as np
import torch

from ..._base.batches import is_out_of_memory
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
        self._looks_up = any(isinstance(layer, _LOOKUPS) for layer in module.modules())
        # Whether the module runs with integers, and with other numbers; unknown until rows come.
        self._takes: tuple[bool, bool] | None = None

    def read(self, X) -> torch.Tensor:
        """Return rows of X as a tensor.

        Raises
        ------
        ValueError
            If they are not integers, and the module takes nothing else.
        """
        array = to_array(X)
        whole = self._looks_up and _are_integers(array)
        if self._takes is None and whole:
            probes = self._ids(array[:2]), self._numbers(array[:2])
            errors = [self._error(rows) for rows in probes]
            if isinstance(errors[0], IndexError):
                raise errors[0]  # of ids beyond the vocabulary
            self._takes = errors[0] is None, errors[1] is None
        takes_ids, takes_numbers = self._takes or (False, True)
        if whole and takes_ids:
            return self._ids(array)
        if not takes_numbers and takes_ids:
            raise ValueError(
                f"{type(self._module).__name__} takes ids of words, that is integers; X has other "
                "numbers."
            )
        return self._numbers(array)

    def _numbers(self, array):
        return torch.as_tensor(array, dtype=self._dtype, device=self._device)

    def _ids(self, array):
        return torch.as_tensor(array.astype(np.int64), device=self._device)

    def _error(self, rows):
        try:
            with torch.no_grad():
                self._module(rows)
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            if is_out_of_memory(error):
                raise
            # It wants other numbers; or it is broken, which is told where these come.
            return error
        return None


def _are_integers(array):
    return array.dtype.kind in "iub" or (
        array.dtype.kind == "f" and bool((array == np.floor(array)).all())
    )
