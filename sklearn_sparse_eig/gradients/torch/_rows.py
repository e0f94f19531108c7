"""Rows of X as tensors: numbers in the precision of the module, or ids of words."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import numpy as np
import torch

from ..._base.batches import is_out_of_memory
from .._arrays import to_array
from .._columns import Columns
from ._inputs import Inputs, run

_LOOKUPS = (torch.nn.Embedding, torch.nn.EmbeddingBag)


class RowReader:
    """Makes tensors of rows of X, for a module on its device.

    Ids of words are kept as integers, where the module takes these: in single precision those
    beyond 2**24 would be rounded, and an ``Embedding`` refuses other numbers. Where there are
    several arrays, each is given as it is: integers and truth values stay what they are.

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

    @property
    def is_single(self) -> bool:
        """Whether numbers are read in single precision."""
        return self._dtype == torch.float32

    def read(self, X: Any) -> Inputs:
        """Return rows of X as tensors, for one call of the module.

        Raises
        ------
        ValueError
            If they are not integers, and the module takes nothing else.
        TypeError
            If the module does not take arguments of these names.
        """
        X = Columns(kwargs=X) if isinstance(X, Mapping) else X
        if hasattr(X, "kwargs"):
            return self._read_columns(X)
        return Inputs((self._read_array(to_array(X)),))

    def _read_columns(self, X):
        found = Inputs(
            tuple(map(self._as_given, X.args)),
            {name: self._as_given(array) for name, array in X.kwargs.items()},
        )
        try:
            signature(self._module.forward).bind(*found.args, **found.kwargs)
        except TypeError as error:
            raise TypeError(
                f"{type(self._module).__name__}.forward does not take what X has, "
                f"{', '.join(map(repr, X.names))}: {error}. Leave out, or rename, columns."
            ) from None
        return found

    def _as_given(self, array):
        if array.dtype.kind == "b":
            return torch.as_tensor(_for_torch(array), device=self._device)
        return self._ids(array) if array.dtype.kind in "iu" else self._numbers(array)

    def _read_array(self, array):
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
        return torch.as_tensor(_for_torch(array), dtype=self._dtype, device=self._device)

    def _ids(self, array):
        return torch.as_tensor(array.astype(np.int64), device=self._device)

    def _error(self, rows):
        try:
            with torch.no_grad():
                run(self._module, Inputs((rows,)))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            if is_out_of_memory(error):
                raise
            # It wants other numbers; or it is broken, which is told where these come.
            return error
        return None


def _for_torch(array):
    """Return an array as torch takes it: no steps backwards, bytes in order, at most 64 bits."""
    if any(step < 0 for step in array.strides):  # rows in reverse
        array = array.copy()
    native = array.dtype.newbyteorder("=")
    return array.astype(np.float64 if native == np.longdouble else native, copy=False)


def _are_integers(array):
    return array.dtype.kind in "iub" or (
        array.dtype.kind == "f" and bool((array == np.floor(array)).all())
    )
