"""States that are sums over a stream, so that shards add up, and the refusal to add others."""

from abc import ABC, abstractmethod
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .atomic import Journaled, all_or_nothing
from .locks import locked


def check_same(mine: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Raise ValueError unless two states, or estimators, can be merged.

    Parameters
    ----------
    mine, theirs : dict
        All that must agree; nested dicts and sequences are compared entry by entry.
    """
    # First, at any depth: what else differs may only follow from it.
    features, other_features = _n_features(mine), _n_features(theirs)
    if None not in (features, other_features) and features != other_features:
        raise ValueError(_refusal("n_features", features, other_features))
    for name, value in mine.items():
        other: Any = theirs.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            check_same(_within(name, value), _within(name, other))
        elif np.ndim(value) == 1 and np.ndim(other) == 1 and len(value) == len(other):
            for i, (a, b) in enumerate(zip(value, other, strict=True)):
                if not np.array_equal(a, b):
                    raise ValueError(_refusal(f"{name}[{i}]", a, b))
        elif value is not other and not np.array_equal(value, other):
            raise ValueError(_refusal(name, value, other))


def _n_features(settings):
    nested = [_n_features(value) for value in settings.values() if isinstance(value, dict)]
    return next((n for n in [settings.get("n_features"), *nested] if n is not None), None)


def _within(name, settings):
    return {key if key == "n_features" else f"{name}.{key}": v for key, v in settings.items()}


def _refusal(name, mine, theirs):
    if name == "n_features":
        given = f"{mine} features here, {theirs} there"
    else:
        given = f"{name} is {mine!r} here, {theirs!r} there"
    return (
        f"Cannot merge: {given}. Make both with the same parameters and the same int "
        "random_state, for rows of the same features in the same order."
    )


def check_new_shards(mine: frozenset[str | int], theirs: frozenset[str | int]) -> None:
    """Raise ValueError if two states hold a shard in common."""
    both = sorted(map(str, mine & theirs))
    if both:
        raise ValueError(
            f"Cannot merge: shard {', '.join(both)} is here already, so its rows would count "
            "twice. Merge each shard once."
        )


def _writable(value):
    """Return an array, or a list of them, that can be written: joblib maps large ones read-only."""
    if isinstance(value, list):
        return [_writable(item) for item in value]
    return np.require(value, requirements=["W"]) if isinstance(value, np.ndarray) else value


class LinearState(Journaled, ABC):
    """A sum over a stream: shards add up, and what was added can be subtracted.

    A subclass says what must agree between states (:meth:`settings`), makes an empty one of the
    same settings (:meth:`empty`) and adds another's sums (:meth:`_add`). Methods that change the
    content are decorated with :func:`~.atomic.all_or_nothing`; they announce arrays to
    ``self.journal`` before writing into them.

    Attributes
    ----------
    revision : int
        Changes whenever the content does; what is computed from a state is valid for one revision.
    shard_ids : frozenset
        Names of the shards that were merged into this state, where they have names.
    """

    shard_ids: frozenset[str | int] = frozenset()

    if TYPE_CHECKING:

        @property
        def n_samples(self) -> int:
            """Rows seen."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return all that must agree between states that are merged."""

    @abstractmethod
    def empty(self) -> Self:
        """Return a state of the same settings that has seen nothing."""

    @abstractmethod
    def _add(self, other: Self, sign: float) -> None:
        """Add `sign` times the sums of another state of the same settings."""

    def merge(self, other: Self, *, shard_id: str | int | None = None) -> Self:
        """Add the content of another object of this class, as if its updates had been made here.

        Parameters
        ----------
        other : same type
            An object made with the same settings, and hence with the same seed.
        shard_id : str, int or None, default=None
            A name for the rows in `other`. A shard that has been merged already is refused.

        Returns
        -------
        self : object
            The sum of both.

        Raises
        ------
        TypeError
            If `other` is of another type.
        ValueError
            If the two differ in anything but content, or if a shard would be counted twice. The
            message gives both values, and this object is left as it was.
        """
        return self._combine(other, 1.0, shard_id)

    def subtract(self, other: Self) -> Self:
        """Remove the content of another object from this one, which undoes :meth:`merge`."""
        return self._combine(other, -1.0)

    @all_or_nothing
    def _combine(self, other, sign, shard_id=None):
        if type(other) is not type(self):
            raise TypeError(
                f"Can only merge another {type(self).__name__}, got {type(other).__name__}."
            )
        check_same(self.settings(), other.settings())
        shards = other.shard_ids if shard_id is None else other.shard_ids | {shard_id}
        if sign > 0.0:
            check_new_shards(self.shard_ids, shards)
        # A state that is added to itself must not change while it is read.
        self._add(other.copy() if other is self else other, sign)
        self.shard_ids = self.shard_ids | shards if sign > 0.0 else self.shard_ids - shards
        return self

    @all_or_nothing
    def as_shard(self, shard_id: str | int) -> Self:
        """Name the rows seen, so that merging them twice is refused, and return this object."""
        self.shard_ids = frozenset([shard_id])
        return self

    def copy(self) -> Self:
        """Return an independent copy."""
        with locked(self):
            new = self.empty()._combine(self, 1.0)
        return new

    def __getstate__(self) -> dict[str, Any]:
        # A copy, for other threads may write into the arrays before they are pickled.
        with locked(self):
            return deepcopy(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({name: _writable(value) for name, value in state.items()})

    def __copy__(self) -> Self:
        # copy.copy would share the arrays, which are written in place, but not the counts.
        return deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = object.__new__(type(self))
        memo[id(self)] = new
        with locked(self):
            vars(new).update(deepcopy(vars(self), memo))
        return new

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        return self.copy().merge(other)

    def __radd__(self, other: int) -> Self:
        # The zero that sum() starts with.
        return self.copy() if isinstance(other, int) and other == 0 else NotImplemented

    def __sub__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        return self.copy().subtract(other)
