"""How long collecting and scoring will take: foreseen where that is possible, and told."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .._base.messages import Progress, report, warn_user

SOURCE = "GradPCADetector"
# Seconds beyond which a user is warned.
LONG = 300.0
# Seconds before anyone is told how far it is.
_PATIENCE = 5.0
_ADVICE = (
    "Choose fewer layers by params, as 'dense', 'head' or names, or metric='diag'. verbose=1 "
    "tells how far it is."
)


class Pace:
    """How far passes over the same rows are, and one warning if they will take minutes.

    Parameters
    ----------
    n_rows : int
        Of each pass.
    verbose : int
        Reports from 1 on.
    warns : bool, default=True
    n_passes : int, default=1
        How many passes there will be.
    """

    def __init__(self, n_rows: int, verbose: int, warns: bool = True, n_passes: int = 1) -> None:
        self._n_rows, self._warns, self._n_passes = n_rows, warns, n_passes
        self._progress = None
        if verbose:
            self._progress = Progress(
                SOURCE, "rows", name="gradients, pass", n_runs=n_passes, patience=_PATIENCE
            )

    def silence(self) -> None:
        """Warn no more."""
        self._warns = False

    def over(
        self,
        batches: Iterable[tuple[int, Any]],
        n_passes: int = 1,
        n_rows: int | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """Yield the batches of a pass, and see what they take together with what is done to them.

        Parameters
        ----------
        batches : iterable of (start, gradients)
        n_passes : int, default=1
            This one, and those that will come.
        n_rows : int or None, default=None
            Of this pass, if it leaves some out.
        """
        n_rows = self._n_rows if n_rows is None else n_rows
        n_later = (n_passes - 1) * self._n_rows
        first_end, first_done = None, 0
        for start, gradients in batches:
            yield start, gradients
            now, done = time.perf_counter(), start + len(gradients.values)
            if self._progress is not None:
                self._progress(done, n_rows)
            if first_end is None:
                # The first batch also takes what is compiled or checked once.
                first_end, first_done = now, done
            else:
                left = n_rows + n_later - done
                self._foresee((now - first_end) / (done - first_done), left)

    def _foresee(self, seconds_per_row, left):
        seconds = seconds_per_row * left
        if self._warns and seconds > LONG:
            self._warns = False
            warn_user(
                f"The gradients of {self._n_rows} rows will take about "
                f"{seconds / 60:.0f} minutes more, at {1.0 / seconds_per_row:.3g} rows a second. "
                f"Fewer rows may do: some thousands fix metric and class means. {_ADVICE}"
            )


def progress_of_factors(n_factors: int, verbose: int) -> Callable[[int], None] | None:
    """Return what tells how many factors of the metric are done, where that is asked for."""
    if not verbose:
        return None
    progress = Progress(SOURCE, "factor", name="metric", patience=_PATIENCE, has_equal_steps=False)
    progress(0, n_factors)
    return lambda n_done: progress(n_done, n_factors)


def announce(what: str, seconds: float, verbose: int) -> None:
    """Report what is about to be fitted; warn if what does not depend on the rows takes minutes."""
    report(SOURCE, what, verbose)
    if seconds > LONG:
        warn_user(
            f"The metric and the class means ({what}) will take about {seconds / 60:.0f} minutes "
            f"once, however few rows there are. {_ADVICE}"
        )
