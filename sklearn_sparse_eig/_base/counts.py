"""How many of something are to be shown."""

from typing import Any

import numpy as np


def check_most(value: Any, name: str, least: int = 0) -> None:
    """Raise ValueError unless a largest number is None or a whole number, at least `least`."""
    if value is not None and (not isinstance(value, int | np.integer) or value < least):
        raise ValueError(
            f"{name} must be None, for all, or a number of at least {least}, got {value!r}."
        )
