"""Batches that become smaller where memory does not suffice."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

from .compat import n_rows, take_rows
from .messages import warn_user
from .typed import Auto

# Bytes of temporary arrays for a batch of rows.
BATCH_BYTES = 2**25


def in_batches(
    function: Callable[[Any], Any], X: Any, batch_size: int | Auto, floats_per_row: int
) -> Iterator[tuple[int, Any]]:
    """Yield (start, function(rows)) for batches of X, halved while memory does not suffice.

    Parameters
    ----------
    function : callable
        Of some rows. Called again with fewer where it runs out of memory, so it must not have
        changed anything by then.
    X : anything with rows
    batch_size : int or "auto"
        Rows at a time; "auto" for what a few megabytes hold.
    floats_per_row : int

    Raises
    ------
    MemoryError, RuntimeError
        If memory does not suffice for a single row.
    """
    n, start = n_rows(X), 0
    if batch_size == "auto":
        batch_size = max(1, BATCH_BYTES // (8 * floats_per_row))
    while start < n:
        size = min(batch_size, n - start)
        rows = X if size == n else take_rows(X, slice(start, start + size))
        try:
            result = function(rows)
        except (MemoryError, RuntimeError) as error:
            if size == 1 or not is_out_of_memory(error):
                raise
        else:
            yield start, result
            start += size
            continue
        # After the except clause, which would keep what the failed attempt has allocated.
        _free_cache()
        batch_size = size // 2
        warn_user(
            f"Out of memory with {size} rows at a time: going on with {batch_size}. Set "
            f"batch_size={batch_size} to spare the attempt.",
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory, of the CPU or of a device, is used up."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(
        words in text for words in ("out of memory", "allocate memory", "alloc_failed")
    )


def _free_cache():
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
