"""What the library says while it works: warnings at the caller's line, and reports."""

import sys
import time
import warnings
from types import FrameType

# Frames of these packages are passed over: the line that a user can mend lies outside of them.
_OURS = __name__.partition(".")[0]
_PASSED_OVER = (_OURS, "sklearn", "joblib", "contextlib", "concurrent", "threading")


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the first line of the call stack that is neither ours nor scikit-learn's.

    Parameters
    ----------
    message : str
        What was given, what is needed and what to do.
    category : type of Warning, default=UserWarning
    """
    warnings.warn(message, category, stacklevel=_depth_of_caller())


def _depth_of_caller() -> int:
    """Return the stack level of the caller's line, as seen from the function that calls this."""
    frame: FrameType | None = sys._getframe(1)
    depth = 1
    last = depth
    while frame is not None:
        if not _is_passed_over(frame.f_globals.get("__name__", "")):
            return depth
        last, frame, depth = depth, frame.f_back, depth + 1
    return last  # a thread of a pool has no line of the caller: its outermost one has to do


def _is_passed_over(module: str) -> bool:
    return module.partition(".")[0] in _PASSED_OVER


def report(source: str, message: str, verbose: int, level: int = 1) -> None:
    """Print a line on progress, where `verbose` is at least `level`."""
    if verbose >= level:
        print(f"[{source}] {message}", flush=True)


class Progress:
    """Prints how far a long loop is, at most every two seconds and never for short ones.

    Parameters
    ----------
    source : str
        The name in brackets at the start of each line.
    what : str
        The unit that is counted, as in "features".

    Notes
    -----
    An object counts as one run of the loop after another: a call with ``n_done >= n_total`` ends
    the run.
    """

    interval = 2.0  # seconds between two lines, and before the first

    def __init__(self, source: str, what: str, name: str = "sweep") -> None:
        self._source, self._what, self._name = source, what, name
        self._n_runs = 0
        self._start = self._last = 0.0
        self._ended = True

    def __call__(self, n_done: int, n_total: int) -> None:
        now = time.perf_counter()
        if self._ended:
            self._n_runs += 1
            self._start = self._last = now
        self._ended = n_done >= n_total
        due = now - self._last >= self.interval
        if not due and not (self._ended and now - self._start >= self.interval):
            return
        self._last, seconds = now, now - self._start
        report(
            self._source,
            f"{self._name} {self._n_runs}: {n_done / n_total:4.0%} of {n_total:.3g} {self._what}, "
            f"{seconds:.0f} s of about {seconds * n_total / max(n_done, 1):.0f}",
            verbose=1,
        )
