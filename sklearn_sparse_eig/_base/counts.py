"""How many of something are to be shown."""

from numbers import Integral
from typing import Any


def check_most(value: Any, name: str) -> None:
    """Raise ValueError unless a largest number is None or a whole number, at least 0."""
    if value is not None and (not isinstance(value, Integral) or value < 0):
        raise ValueError(f"{name} must be None, for all, or a number of at least 0, got {value!r}.")
