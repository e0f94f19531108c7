"""Parts that are merged in a tree, by position."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from typing import Any, Protocol, TypeVar, cast


class Mergeable(Protocol):
    """A part that takes in another of its kind."""

    def merge(self, other: Any) -> Any:
        """Add the content of another part."""


Part = TypeVar("Part")
MergeablePart = TypeVar("MergeablePart", bound=Mergeable)


def merge_copies(parts: Sequence[MergeablePart]) -> MergeablePart:
    """Merge objects into a copy of the first, leaving all of them as they are.

    Parameters
    ----------
    parts : sequence of EigenSketch, estimator, or anything with ``merge(other)``
        At least one object.

    Returns
    -------
    object
        The sum, which has the type of the first object.
    """
    total = deepcopy(parts[0])
    for part in parts[1:]:
        total.merge(part)
    return total


def tree_merge(
    parts: Iterable[Part], merge: Callable[[list[Part]], Part] | None = None, fan_in: int = 8
) -> Part:
    """Merge many parts into one, in a tree.

    The tree depends only on the positions of the parts, never on which one was ready first, so the
    same parts give the same bits.

    Parameters
    ----------
    parts : iterable
        Sketches, estimators, or whatever `merge` accepts, such as lazy values. They are read one by
        one: of a generator, no more than about ``fan_in * log(n_parts)`` parts exist at a time.
    merge : callable, default=None
        Function that takes a list of 1 to `fan_in` parts and returns their sum, a new object. None
        is :func:`merge_copies`, which leaves the parts as they are.
    fan_in : int, default=8
        Number of parts that are merged at a time, at least 2.

    Returns
    -------
    object
        The sum of all parts.

    Raises
    ------
    ValueError
        If there are no parts or `fan_in` is less than 2. Errors that `merge` raises for parts that
        do not fit are passed on.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import EigenSketch
    >>> from sklearn_sparse_eig.distributed import tree_merge
    >>> X = np.random.default_rng(0).normal(size=(90, 40))
    >>> def sketch(rows):
    ...     return EigenSketch(40, n_measurements=16, random_state=0).update(rows)
    >>> merged = tree_merge(sketch(X[low : low + 10]) for low in range(0, 90, 10))
    >>> bool(np.allclose(merged.matrix(), sketch(X).matrix()))
    True
    """
    if fan_in < 2:
        raise ValueError(f"fan_in must be at least 2, got {fan_in}.")
    add: Callable[[list[Part]], Part] = cast(Any, merge_copies) if merge is None else merge
    levels: list[list[Part]] = [[]]  # levels[h]: subtrees of height h that wait for their siblings

    def push(part: Part, height: int) -> None:
        if height == len(levels):
            levels.append([])
        levels[height].append(part)
        if len(levels[height]) == fan_in:
            group, levels[height] = levels[height], []
            push(add(group), height + 1)

    for part in parts:
        push(part, 0)
    if levels == [[]]:
        raise ValueError("There are no parts to merge.")
    height = 0
    while height < len(levels) - 1:  # what is left, from the bottom up
        group, levels[height] = levels[height], []
        if group:
            push(add(group), height + 1)
        height += 1
    last = levels[height]
    return last[0] if height > 0 and len(last) == 1 else add(last)
