"""The sketches of cross-validation: one for each fold, of which those of training are sums."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..sketching import EigenSketch

# Rows of a run, on average, from which runs are read one by one.
_LONG_RUN = 64

Indices = np.ndarray
Split = tuple[Indices, Indices]  # rows of training, rows that are held out


@dataclass
class Folds:
    """Sketches of the rows of training, and of those held out, for each split.

    Where the rows held out are a partition, each row is sketched once, and the sketch of the rows
    of training is the sum over the other folds. Other splits are sketched one by one.

    Attributes
    ----------
    splits : list of (ndarray, ndarray)
        Indices of the rows of training and of those held out.
    sketch : callable
        Indices of rows to their sketch.
    """

    splits: Sequence[Split]
    sketch: Callable[[Indices], EigenSketch]
    n_rows: int

    def __post_init__(self) -> None:
        self._held_out: dict[int, EigenSketch] = {}
        self._is_partition = is_partition(self.splits, self.n_rows)

    def held_out(self, i: int) -> EigenSketch:
        """Return the sketch of the rows that split i holds out."""
        if i not in self._held_out:
            self._held_out[i] = self.sketch(self.splits[i][1])
            if not self._is_partition:  # none of the others is made of it
                return self._held_out.pop(i)
        return self._held_out[i]

    def training(self, i: int) -> EigenSketch:
        """Return the sketch of the rows that split i trains on."""
        if not self._is_partition:
            return self.sketch(self.splits[i][0])
        return added([self.held_out(j) for j in range(len(self.splits)) if j != i])

    def all_rows(self) -> EigenSketch:
        """Return the sketch of all rows."""
        if not self._is_partition:
            return self.sketch(np.arange(self.n_rows))
        return added([self.held_out(j) for j in range(len(self.splits))])


def added(sketches: Sequence[EigenSketch]) -> EigenSketch:
    """Return the sum of sketches, none of which is changed."""
    total = sketches[0].copy()
    for sketch in sketches[1:]:
        total.merge(sketch)
    return total


def is_partition(splits: Sequence[Split], n_rows: int) -> bool:
    """Whether each row is held out once, and all others are what is trained on."""
    times_held_out = np.zeros(n_rows, dtype=np.int64)
    for training, held_out in splits:
        np.add.at(times_held_out, held_out, 1)
        is_training = np.zeros(n_rows, dtype=bool)
        is_training[training] = True
        if is_training[held_out].any() or len(training) + len(held_out) != n_rows:
            return False
        if is_training.sum() != len(training):
            return False
    return len(splits) > 1 and bool((times_held_out == 1).all())


def parts(X: Any, weights: Any, rows: Indices, step: int) -> Iterator[tuple[Any, Any]]:
    """Yield some rows of X with their weights, so many at a time, without a copy of them all.

    Long runs of rows that follow one another, such as those of folds that are not shuffled, come
    as slices, of which nothing is copied where rows are dense.
    """
    runs = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)
    if len(rows) < _LONG_RUN * len(runs):
        runs = [rows]
    for run in runs:
        for low in range(0, len(run), step):
            some = run[low : low + step]
            taken = slice(some[0], some[-1] + 1) if len(runs) > 1 or _follow(some) else some
            yield X[taken], weights if np.ndim(weights) == 0 else weights[taken]


def _follow(rows):
    return rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
