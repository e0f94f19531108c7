"""Dask: blocks are measured where they lie, and only the small states travel."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp

from .._base.compat import n_rows
from ._dask_blocks import columns_together, import_dask, rows_of, values_beside
from ._shards import Block, Shards, add_states, begin, fresh_copy
from ._trees import Mergeable, tree_merge

_Estimator = TypeVar("_Estimator", bound=Mergeable)

# Features up to which a row is made dense to see what a transformer returns.
_DENSE_ROW = 2**20


def fit_dask(
    estimator: _Estimator,
    X: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    client: Any = None,
    split_every: int = 8,
) -> _Estimator:
    """Fit an estimator to a collection of dask, as if ``partial_fit`` had seen its blocks in turn.

    Blocks are measured where they lie and may then be dropped. What travels is the state of each, a
    sketch of fixed size, and states are added in a tree. Tasks return new states and change
    nothing, so that a task may be run again, by whatever scheduler, and still counts once.

    Parameters
    ----------
    estimator : estimator
        An estimator whose state is a sum over rows: :class:`SketchedSparsePCA`,
        :class:`GradPCADetector` or :class:`DeepFactorizationCovariance`. It is not changed.
    X : dask array, dask data frame, or list of delayed
        Rows, of shape (n_samples, n_features). Blocks of an array may be dense or sparse
        (``scipy.sparse``), and of unknown length; chunks of columns are joined. Empty blocks are
        skipped. Columns of data frames are put into the order of the first one; other columns are
        refused. Items of a list are delayed values, futures or arrays, one for each block of rows.
    y : dask array, dask series, list or array-like, default=None
        Labels of the rows, in as many blocks as X.
    sample_weight : dask array, dask series, list or array-like, default=None
        Non-negative counts of rows, in as many blocks as X.
    client : distributed.Client, default=None
        Where to compute. None is the scheduler that dask uses otherwise: the current client, or
        threads.
    split_every : int, default=8
        Number of states that are added at a time, at least 2.

    Returns
    -------
    estimator
        A fitted copy. If ``random_state`` was no int, it has one that was drawn once for all
        workers.

    Raises
    ------
    ImportError
        If dask is not installed.
    TypeError
        If X is no collection of dask, or if the state of the estimator is not a sum over rows.
    ValueError
        If there are no rows, if y or the weights have other blocks than X, or if ``partial_fit``
        raises it.

    See Also
    --------
    transform_dask : Transform such a collection.
    fit_partitions : The same for partitions in files or on this machine, without dask.

    Notes
    -----
    A worker holds a block, its state and up to `split_every` states for each level of the tree;
    ``memory_budget`` bounds the size of a state. The first block with rows is read once more at the
    start, for what all workers share: the names of the features, and for :class:`GradPCADetector`
    the metric of compressed subspaces and a classifier that is not fitted yet. Progress is shown by
    dask's own means: its dashboard, ``distributed.progress``, or ``dask.diagnostics.ProgressBar``.
    On schedulers with threads, ``n_jobs=1`` leaves one core to each task.

    Examples
    --------
    >>> import dask.array as da  # doctest: +SKIP
    >>> X = da.random.default_rng(0).normal(size=(10**6, 200), chunks=(10**5, -1))  # doctest: +SKIP
    >>> pca = fit_dask(SketchedSparsePCA(2, random_state=0), X)  # doctest: +SKIP
    >>> pca.n_samples_seen_  # doctest: +SKIP
    1000000
    """
    dask = import_dask()
    rows = rows_of(X)
    beside = {
        name: values_beside(values, name, X, len(rows))
        for name, values in (("y", y), ("sample_weight", sample_weight))
        if values is not None
    }
    blocks = [(r, {name: beside[name][i] for name in beside}) for i, r in enumerate(rows)]

    def compute(value: Any) -> Any:
        return value.compute() if client is None else client.compute(value, sync=True)

    shards = _begin(dask.delayed, fresh_copy(estimator), blocks, compute)
    held, sketch_block = dask.delayed(shards), dask.delayed(_sketch_block)
    states = [sketch_block(held, rows, given) for rows, given in blocks]
    add = dask.delayed(add_states)
    return shards.fitted(compute(tree_merge(states, add, split_every)))


def _begin(
    delayed: Callable[..., Any], estimator: Any, blocks: list, compute: Callable[[Any], Any]
) -> Shards:
    """Return shards begun with the first block that has rows, one being computed at a time."""
    held = delayed(estimator)
    for rows, given in blocks:
        shards = compute(delayed(_begin_with)(held, rows, given))
        if shards is not None:
            return shards
    raise ValueError("There are no rows of positive weight in any of the blocks of X.")


# Named as dashboards and progress bars will show them.
def _begin_with(estimator: Any, rows: Any, given: dict[str, Any]) -> Shards | None:
    return begin(estimator, [Block(rows, given)])


def _sketch_block(shards: Shards, rows: Any, given: dict[str, Any]) -> Any:
    return shards.state_of([Block(rows, given)])


def transform_dask(estimator: Any, X: Any) -> Any:
    """Return the transformed rows of a collection of dask, lazily.

    Parameters
    ----------
    estimator : estimator
        A fitted transformer. It is copied now: what it sees later makes no difference.
    X : dask array, dask data frame, or list of delayed
        Rows of shape (n_samples, n_features), as in :func:`fit_dask`.

    Returns
    -------
    dask array, dask data frame, or list of delayed
        As X is, in the same blocks of rows. An array has as many columns as
        ``get_feature_names_out`` has names, and a data frame these names and the index of X.

    Raises
    ------
    ImportError
        If dask is not installed.
    TypeError
        If X is no collection of dask, or if the estimator does not transform.
    """
    dask = import_dask()
    if not hasattr(estimator, "transform"):
        raise TypeError(
            f"{type(estimator).__name__} has no transform; give a transformer such as "
            "SketchedSparsePCA."
        )
    blocks = rows_of(X)
    names = [str(name) for name in estimator.get_feature_names_out()]
    # Components are computed here, once, and travel with the copy.
    _Transformer(estimator, names).empty(np.float64)
    transformer = _Transformer(deepcopy(estimator), names)
    if isinstance(X, list | tuple):
        return [dask.delayed(transformer)(block) for block in blocks]
    held = dask.delayed(transformer)
    if not hasattr(X, "numblocks"):
        return X.map_partitions(_apply_to_frame, held, meta=transformer.frame(X._meta))
    X = columns_together(X)
    meta = transformer.empty(X.dtype)
    return X.map_blocks(
        _apply, held, chunks=(X.chunks[0], (len(names),)), dtype=meta.dtype, meta=meta
    )


def _apply(rows: Any, transformer: "_Transformer") -> np.ndarray:
    return transformer(rows)


def _apply_to_frame(rows: Any, transformer: "_Transformer") -> Any:
    return transformer.frame(rows)


class _Transformer:
    """A fitted transformer that takes blocks without rows, too."""

    def __init__(self, estimator: Any, names: list[str]) -> None:
        self._estimator, self._names = estimator, names

    def __call__(self, rows: Any) -> np.ndarray:
        if not n_rows(rows):
            return self.empty(getattr(rows, "dtype", np.float64))
        return np.asarray(self._estimator.transform(rows))

    def empty(self, dtype: Any) -> np.ndarray:
        """Return the result for no rows, of the type that rows of `dtype` have."""
        fitted = self._estimator
        n_features, names = fitted.n_features_in_, getattr(fitted, "feature_names_in_", None)
        row: Any = sp.csr_array((1, n_features), dtype=dtype)
        if n_features <= _DENSE_ROW:  # not all transformers take sparse rows
            row = row.toarray()
        if names is not None:
            import pandas as pd  # who has names of features has frames

            row = pd.DataFrame(row, columns=names)
        return np.asarray(fitted.transform(row))[:0]

    def frame(self, rows: Any) -> Any:
        """Return the result as a data frame with the index of the rows."""
        import pandas as pd  # a block of a dask data frame is one of pandas

        names = list(getattr(self._estimator, "feature_names_in_", rows.columns))
        if sorted(map(str, rows.columns)) == sorted(map(str, names)):
            rows = rows[names]
        return pd.DataFrame(self(rows), index=rows.index, columns=self._names)
