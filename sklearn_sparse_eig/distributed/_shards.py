"""What every engine does: begin once, hand out, gather states of rows, and add them up."""

import pickle
import zlib
from collections.abc import Iterable, Sequence
from copy import copy
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state

from .._base.compat import n_rows
from .._base.linear import LinearState
from ._trees import merge_copies

# Pickles classes of a notebook, too. Joblib depends on it, or has a copy of it.
try:
    import cloudpickle
except ImportError:
    from joblib.externals import cloudpickle


class Block(NamedTuple):
    """Some rows, and by name what goes with them: y, sample_weight."""

    rows: Any
    given: dict[str, Any]

    def counts(self) -> bool:
        """Whether there are rows, and any of them has a weight.

        Whoever cuts rows into blocks does not see whether all weights of one are zero.
        """
        weights = self.given.get("sample_weight")
        return bool(n_rows(self.rows)) and (weights is None or bool(np.any(weights)))


def refuse_column_chunk(delayed: Any) -> None:
    """Raise ValueError if a delayed value is a block of an array beside others of the same rows."""
    key = getattr(delayed, "key", None)
    if isinstance(key, tuple) and len(key) == 3 and key[2] != 0:  # name, place in rows, in columns
        raise ValueError(
            f"The delayed block {key} holds other columns of rows that come in an earlier block, "
            "and would count as more rows. Give the dask array itself to fit_dask, or "
            "X.rechunk({1: -1}).to_delayed().ravel()."
        )


class Shards:
    """An estimator that has begun and is handed out: a worker returns the state of its rows.

    What the first rows decide (the features and their names, the measurements, the metric of a
    detector) is decided for all workers alike. Nothing that a worker does changes this object or
    an earlier result, so that a task may run as often as an engine likes.

    Parameters
    ----------
    begun : estimator
        An estimator that has seen some rows. They are not counted.
    """

    def __init__(self, begun: Any) -> None:
        begun._check_merge(begun)
        self._empty = begun.empty_copy()
        self._packed: bytes | None = None

    def state_of(self, blocks: Iterable[Block]) -> LinearState | None:
        """Return the state of the rows of some blocks, or None if there are none."""
        shard, has_rows = self._empty.empty_copy(), False
        for block in blocks:
            if block.counts():
                shard._gather(self._in_order(block.rows), **block.given)
                has_rows = True
        return shard._stream_state() if has_rows else None

    def fitted(self, total: LinearState | None) -> Any:
        """Return an estimator that has seen the rows of a state."""
        if total is None:
            raise ValueError(
                "There are no parts to merge: no partition has any rows of positive weight."
            )
        fitted = self._empty.empty_copy()
        fitted._stream_state().merge(total)
        fitted._state_changed()
        return fitted

    def _in_order(self, rows: Any) -> Any:
        """Return a frame with its columns in the order of the first one, if they are the same."""
        names = list(getattr(self._empty, "feature_names_in_", ()))
        given = list(getattr(rows, "columns", ()))
        if names and given != names and sorted(map(str, given)) == sorted(names):
            return rows[names]
        return rows  # refused by the estimator, in scikit-learn's words, if other ones are needed

    def __getstate__(self) -> bytes:
        # An empty state may hold a hundred megabytes of zeros, and goes out with every task. Kept,
        # because some engines pickle it for each of them.
        if self._packed is None:
            bare = object.__new__(type(self._empty))
            vars(bare).update(vars(self._empty))
            state = vars(bare).pop(bare._state_name)
            self._packed = cloudpickle.dumps((bare, zlib.compress(cloudpickle.dumps(state), 1)))
        return self._packed

    def __setstate__(self, packed: bytes) -> None:
        self._packed = packed
        self._empty, state = pickle.loads(packed)
        setattr(self._empty, self._empty._state_name, pickle.loads(zlib.decompress(state)))


def fresh_copy(estimator: Any) -> Any:
    """Return an unfitted copy whose seed is an int, drawn here once if it was left open.

    Estimators among the parameters are not cloned, so that a fitted classifier stays fitted.

    Raises
    ------
    TypeError
        If the state of the estimator is not a sum over rows.
    """
    if not hasattr(estimator, "_stream_state"):
        raise TypeError(
            f"{type(estimator).__name__} cannot be fitted in shards: an estimator is needed whose "
            "state is a sum over rows, such as SketchedSparsePCA, GradPCADetector or "
            "DeepFactorizationCovariance. Steps before it, such as scaling, go into the blocks."
        )
    parameters = estimator.get_params(deep=False)
    seed = parameters.get("random_state", 0)
    if not isinstance(seed, Integral):
        parameters["random_state"] = int(check_random_state(seed).randint(2**31 - 1))
    return clone(estimator).set_params(**parameters)


def begin(estimator: Any, blocks: Iterable[Block]) -> Shards | None:
    """Return shards of an unfitted estimator, begun with the first block that has rows.

    None if no block has any. The estimator is not changed.
    """
    for block in blocks:
        if block.counts():
            return Shards(copy(estimator)._gather(block.rows, **block.given))
    return None


def add_states(states: Sequence[LinearState | None]) -> LinearState | None:
    """Return the sum of some states, a new one, or None where there are none."""
    present = [state for state in states if state is not None]
    return merge_copies(present) if present else None
