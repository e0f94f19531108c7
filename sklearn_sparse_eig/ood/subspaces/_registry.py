"""Kinds of known gradients by name."""

from collections.abc import Iterator, Set
from typing import Literal

from ._base import KnownGradients, Plan

# The names of those here. One that is registered elsewhere is passed by its name where types are
# not checked.
SubspaceName = Literal["auto", "exact", "low_rank", "sketched", "sparse_pca"]

KINDS: dict[str, type[KnownGradients]] = {}


def register(kind: type[KnownGradients]) -> type[KnownGradients]:
    """Make a kind of known gradients available by its name; a class decorator."""
    KINDS[kind.name] = kind
    return kind


class _Choices(Set):
    """What ``subspace`` may be: "auto", and the kinds that are registered when this is asked."""

    @classmethod
    def _from_iterable(cls, names):
        # What set operations give: names as they are now.
        return set(names)

    def _names(self) -> list[str]:
        return ["auto", *(name for name, kind in KINDS.items() if kind.can_be_chosen)]

    def __contains__(self, name: object) -> bool:
        return name in self._names()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names())

    def __len__(self) -> int:
        return len(self._names())


SUBSPACES = _Choices()


def make_known(subspace: str, plan: Plan) -> KnownGradients:
    """Return the empty state of a kind.

    Raises
    ------
    ValueError
        If the kind cannot do what is planned.
    """
    kind = KINDS[subspace]
    return kind(kind.complete(plan))
