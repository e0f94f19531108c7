"""Partitions that this machine holds or can open, on joblib, futures or any other map."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from sklearn.utils.parallel import Parallel, delayed

from ._shards import Block, Shards, add_states, begin, fresh_copy, refuse_column_chunk
from ._trees import Mergeable, tree_merge

# What goes with the rows of a tuple, in the order of partial_fit.
_BESIDE = ("y", "sample_weight")

_Estimator = TypeVar("_Estimator", bound=Mergeable)


def fit_partitions(
    estimator: _Estimator,
    partitions: Iterable[Any],
    n_jobs: int | None = None,
    *,
    map: Callable[..., Iterable[Any]] | None = None,
) -> _Estimator:
    """Fit an estimator to partitions in parallel, as if ``partial_fit`` had seen them in turn.

    Parameters
    ----------
    estimator : estimator
        An estimator whose state is a sum over rows: :class:`SketchedSparsePCA`,
        :class:`GradPCADetector` or :class:`DeepFactorizationCovariance`. It is not changed.
    partitions : iterable
        Each partition is one of these:

        - rows: array-like, sparse matrix or data frame of shape (n_i, n_features), or a tuple
          ``(X, y)`` or ``(X, y, sample_weight)`` of arrays;
        - an iterator of such batches, for example a generator;
        - a callable without arguments that returns rows or an iterable of batches, for example
          ``functools.partial(pandas.read_parquet, path)``. It is called where the rows are needed,
          and for the first partition once more, so it must return the same each time;
        - a ``dask.delayed`` value of any of these, or anything else with ``compute()``.

        Empty partitions and batches are skipped. A generator of partitions is read as workers
        become free.
    n_jobs : int, default=None
        Number of workers. They are threads by default, because hashing and BLAS release the
        interpreter lock; ``joblib.parallel_config`` selects another backend. The result does not
        depend on them.
    map : callable, default=None
        Function like the built-in ``map`` that runs the tasks instead of joblib, such as the
        ``map`` of a ``concurrent.futures.ProcessPoolExecutor``, or that of
        ``ray.util.multiprocessing.Pool``. It has to return the results in order. Where tasks leave
        the process, partitions have to be picklable, which generators are not.

    Returns
    -------
    estimator
        A fitted copy. If ``random_state`` was no int, it has one that was drawn once for all
        workers.

    Raises
    ------
    TypeError
        If the state of the estimator is not a sum over rows, or if `partitions` is a collection of
        dask, which :func:`fit_dask` takes.
    ValueError
        If there are no rows, or if ``partial_fit`` or ``merge`` raises it.

    Notes
    -----
    The first batch decides what all workers share: the names of the features, and for
    :class:`GradPCADetector` the metric of compressed subspaces and a classifier that is not fitted
    yet. Fit that classifier before, and let the first batch have a thousand rows.

    Examples
    --------
    >>> import numpy as np
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from sklearn_sparse_eig import SketchedSparsePCA
    >>> from sklearn_sparse_eig.distributed import fit_partitions
    >>> rng = np.random.default_rng(0)
    >>> X = 5 * rng.normal(size=(600, 1)) * (np.arange(30) < 3) + rng.normal(size=(600, 30))
    >>> pca = SketchedSparsePCA(n_components=1, random_state=0)
    >>> blocks = [X[low : low + 100] for low in range(0, 600, 100)]
    >>> fit_partitions(pca, blocks, n_jobs=2).support_.tolist()
    [0, 1, 2]
    >>> with ThreadPoolExecutor(2) as pool:
    ...     fit_partitions(pca, blocks, map=pool.map).n_samples_seen_
    600
    """
    if hasattr(partitions, "__dask_graph__"):
        raise TypeError(
            f"partitions is a {type(partitions).__name__} of dask: use distributed.fit_dask, which "
            "also runs on its cluster and joins chunks of columns."
        )
    shards, items = _begin(fresh_copy(estimator), iter(partitions))
    task = partial(_state_of, shards)
    if map is None:
        tasks = (delayed(task)(item) for item in items)
        states = Parallel(n_jobs=n_jobs, prefer="threads", return_as="generator")(tasks)
    else:
        states = map(task, items)
    return shards.fitted(tree_merge(states, add_states))


def _state_of(shards: Shards, partition: Any) -> Any:
    return shards.state_of(batches_of(partition))


def _begin(estimator: Any, partitions: Iterator[Any]) -> tuple[Shards, Iterator[Any]]:
    """Return the shards, and the partitions from the first one with rows on."""
    for partition in partitions:
        if not isinstance(partition, Iterator):
            shards = begin(estimator, batches_of(partition))
        else:
            # It can be read only once: what was read is put back.
            read: list[Any] = []
            shards = begin(estimator, batches_of(_noted(partition, read)))
            partition = chain(read, partition)
        if shards is not None:
            return shards, chain([partition], partitions)
    raise ValueError("There are no parts to merge: no partition has any rows of positive weight.")


def _noted(batches: Iterator[Any], read: list[Any]) -> Iterator[Any]:
    for batch in batches:
        read.append(batch)
        yield batch


def batches_of(partition: Any) -> Iterator[Block]:
    """Yield the batches of rows that a partition is, holds or makes."""
    if hasattr(partition, "compute") and callable(partition.compute):
        refuse_column_chunk(partition)
        yield from batches_of(partition.compute())
    elif isinstance(partition, Iterator):
        for batch in partition:
            yield from batches_of(batch)
    elif callable(partition):
        made = partition()
        # A list that was returned holds batches if its items are; else it is rows itself.
        holds_batches = isinstance(made, list) and made and _is_table(made[0])
        yield from batches_of(iter(made) if holds_batches else made)
    elif isinstance(partition, tuple) and partition and _is_table(partition[0]):
        rows, *beside = partition
        if len(beside) > len(_BESIDE):
            raise ValueError(
                f"A partition is a tuple of {len(partition)} arrays; (X, y) or (X, y, "
                "sample_weight) is needed. Pass batches of rows as a list's iterator."
            )
        named = zip(_BESIDE, beside, strict=False)
        yield Block(rows, {name: value for name, value in named if value is not None})
    else:
        yield Block(partition, {})


def _is_table(value: Any) -> bool:
    """Whether a value has two axes, so that a sequence of it is no matrix of numbers."""
    rows = value[0] if isinstance(value, tuple) and value else value
    return len(getattr(rows, "shape", ())) == 2
