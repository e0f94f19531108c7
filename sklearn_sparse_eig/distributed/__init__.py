"""Fit in many places, merge into one: what is kept is linear, so shards simply add.

Nothing here knows an engine. Any of them makes one sketch or estimator per partition and hands them
to :func:`tree_merge`, which also builds lazy graphs. With dask::

    from dask import delayed

    parts = [delayed(clone(est).partial_fit)(rows) for rows in X.to_delayed().ravel()]
    est = tree_merge(parts, delayed(merge_copies)).compute()

With Spark, one row of bytes leaves each partition::

    def sketch_rows(batches):
        sketch = EigenSketch(n_features, n_measurements=4096, range_size=256, random_state=0)
        for batch in batches:
            sketch.update(to_csr(batch))
        yield sketch.to_bytes()

    blobs = df.rdd.mapPartitions(sketch_rows).collect()
    sketch = tree_merge(map(EigenSketch.from_bytes, blobs))

Only sketches of one seed can be merged: choose an int ``random_state`` once, where the work is
handed out.
"""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from numbers import Integral
from typing import Any, Protocol, TypeVar, cast

from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from .._base.compat import n_rows
from .._base.typed import MatrixLike

__all__ = ["fit_partitions", "merge_copies", "tree_merge"]


class _Mergeable(Protocol):
    def merge(self, other: Any) -> Any: ...


_Part = TypeVar("_Part")
_MergeablePart = TypeVar("_MergeablePart", bound=_Mergeable)


def merge_copies(parts: Sequence[_MergeablePart]) -> _MergeablePart:
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
    parts: Iterable[_Part], merge: Callable[[list[_Part]], _Part] | None = None, fan_in: int = 8
) -> _Part:
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
    add: Callable[[list[_Part]], _Part] = merge or cast(Any, merge_copies)
    levels: list[list[_Part]] = [[]]  # levels[h]: subtrees of height h that wait for their siblings

    def push(part: _Part, height: int) -> None:
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


def fit_partitions(
    estimator: _MergeablePart, partitions: Iterable[MatrixLike], n_jobs: int | None = None
) -> _MergeablePart:
    """Fit an estimator to blocks of rows in parallel, as if ``partial_fit`` had seen them in turn.

    Parameters
    ----------
    estimator : estimator
        An estimator with ``partial_fit``, ``merge`` and an int ``random_state``. It is not changed.
    partitions : iterable of array-like or sparse matrix of shape (n_i, n_features)
        Blocks of rows. Empty ones are skipped. A generator is read as workers become free.
    n_jobs : int, default=None
        Number of workers. They are threads by default, because hashing and BLAS release the
        interpreter lock; ``joblib.parallel_config`` selects another backend. The result does not
        depend on them.

    Returns
    -------
    estimator
        A fitted clone.

    Raises
    ------
    ValueError
        If ``random_state`` is not an int, if there are no rows, or if ``partial_fit`` or ``merge``
        raises it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import SketchedSparsePCA
    >>> from sklearn_sparse_eig.distributed import fit_partitions
    >>> rng = np.random.default_rng(0)
    >>> X = 5 * rng.normal(size=(600, 1)) * (np.arange(30) < 3) + rng.normal(size=(600, 30))
    >>> pca = SketchedSparsePCA(n_components=1, random_state=0)
    >>> blocks = (X[low : low + 100] for low in range(0, 600, 100))
    >>> fit_partitions(pca, blocks, n_jobs=2).support_.tolist()
    [0, 1, 2]
    """
    seed = getattr(estimator, "random_state", None)
    if not isinstance(seed, Integral):
        raise ValueError(
            f"random_state must be an int, got {seed!r}: every worker draws its own measurements "
            "from it, and only equal ones can be merged."
        )
    tasks = (delayed(_fit_one)(clone(estimator), rows) for rows in partitions if n_rows(rows) > 0)
    parts = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(tasks)
    return tree_merge(parts)


def _fit_one(estimator: Any, rows: Any) -> Any:
    return estimator.partial_fit(rows)
