"""Several arrays with the same rows, for models that take more than one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from .._base.rows import validate_array
from ._arrays import from_torch


class Columns:
    """Arguments of one call of a model, each an array with an entry for each sample.

    Parameters
    ----------
    args : sequence of array-like
        Passed by position.
    kwargs : mapping of str to array-like
        Passed by name, such as ``input_ids`` and ``attention_mask``.

    Raises
    ------
    ValueError
        If there is no array, or they differ in their number of rows.
    TypeError
        If one does not consist of numbers.
    """

    def __init__(self, args: Sequence = (), kwargs: Mapping[str, Any] | None = None) -> None:
        self.args = tuple(_checked(i, x) for i, x in enumerate(args))
        self.kwargs = {str(name): _checked(name, x) for name, x in (kwargs or {}).items()}
        lengths = {name: len(array) for name, array in self.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"X must hold arrays with the same number of rows, got {lengths or 'none'}."
            )

    def items(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield names, or positions, and arrays."""
        yield from ((str(i), array) for i, array in enumerate(self.args))
        yield from self.kwargs.items()

    @property
    def names(self) -> tuple[str, ...]:
        """Names, or positions, of the arrays."""
        return tuple(name for name, _ in self.items())

    def __len__(self) -> int:
        return len(next(array for _, array in self.items()))

    def take_rows(self, rows: Any) -> Self:
        """Return some rows, by a slice or an array of indices."""
        new = object.__new__(type(self))
        new.args = tuple(array[rows] for array in self.args)
        new.kwargs = {name: array[rows] for name, array in self.kwargs.items()}
        return new


def _checked(name, array):
    array = np.asarray(from_torch(array))
    if array.dtype.kind not in "biuf" or not array.ndim:
        raise TypeError(
            f"X[{name!r}] must hold a number, or an array of numbers, for each sample; got "
            f"{array.dtype} of shape {array.shape}. Leave it out, for a DataLoader by collate_fn."
        )
    # Integers stay as they are: ids of words, and masks.
    return validate_array(array, f"X[{name!r}]", allow_nd=True, ensure_2d=False, dtype=None)
