"""What the library says while it works: warnings at the caller's line, and reports."""

import re
import sys
import time
import warnings
from types import FrameType
from typing import Any

# Frames of these packages are passed over: the line that a user can mend lies outside of them.
_OURS = __name__.partition(".")[0]
_PASSED_OVER = (_OURS, "sklearn", "joblib", "contextlib", "concurrent", "threading")


# A number in a text, which differs from fold to fold where the cause is the same.
_NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")
# What has been told, by file: while its registry of warnings and who records them are the same.
_told: dict[str, tuple[object, object, set[tuple[int, type[Warning], str]]]] = {}


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the first line of the call stack that is neither ours nor scikit-learn's.

    Under filters that show a warning once for each line, texts that differ by numbers count as one,
    and a search over parameters and folds shows it once: scikit-learn sets the filters again for
    each of its tasks, upon which Python forgets what it has shown.

    Parameters
    ----------
    message : str
        What was given, what is needed and what to do.
    category : type of Warning, default=UserWarning
    """
    frame, depth = _frame_of_caller()
    if _is_new(message, category, frame):
        warnings.warn(message, category, stacklevel=depth)


def _is_new(message: str, category: type[Warning], frame: FrameType) -> bool:
    """Return whether the filters show a warning, as far as this goes by what was shown before."""
    module, line = frame.f_globals.get("__name__", ""), frame.f_lineno
    if _action(message, category, module, line) not in ("default", "module", "once"):
        return True
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    recorder = getattr(warnings, "_showwarnmsg_impl", None)  # another in each catch_warnings
    file = frame.f_code.co_filename
    known = _told.get(file)
    if known is None or known[0] is not registry or known[1] is not recorder:
        known = _told[file] = (registry, recorder, set())
    key = (line, category, _NUMBER.sub("0", message))
    if key in known[2]:
        return False
    known[2].add(key)
    return True


def _action(message: str, category: type[Warning], module: str, line: int) -> str:
    """Return what the first filter that matches does with a warning."""
    for action, text, kind, where, at in warnings.filters:
        if (
            issubclass(category, kind)
            and at in (0, line)
            and _matches(text, message)
            and _matches(where, module)
        ):
            return action
    return "default"


def _matches(pattern: Any, text: str) -> bool:
    if pattern is None or isinstance(pattern, str):
        return pattern in (None, text)
    return pattern.match(text) is not None


def _frame_of_caller() -> tuple[FrameType, int]:
    """Return the caller's frame and stack level, as seen from the function that calls this."""
    frame, depth = sys._getframe(1), 1
    while _is_passed_over(frame.f_globals.get("__name__", "")):
        if frame.f_back is None:
            break  # a thread of a pool has no line of the caller: its outermost one has to do
        frame, depth = frame.f_back, depth + 1
    return frame, depth


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
    name : str, default="sweep"
        What one run of the loop is called.
    n_runs : int or None, default=None
        How many runs there will be, if that is known.
    patience : float or None, default=None
        Seconds before the first line, None for those between two lines.
    has_equal_steps : bool, default=True
        Whether each unit takes the same time: only then are a rate and the time of all foreseen.

    Notes
    -----
    An object counts as one run of the loop after another: a call with ``n_done >= n_total`` ends
    the run.
    """

    interval = 2.0  # seconds between two lines, and before the first

    def __init__(
        self,
        source: str,
        what: str,
        name: str = "sweep",
        n_runs: int | None = None,
        patience: float | None = None,
        has_equal_steps: bool = True,
    ) -> None:
        self._source, self._what, self._name = source, what, name
        self._total_runs, self._patience = n_runs, patience
        self._has_equal_steps = has_equal_steps
        self._n_runs = 0
        self._start = self._last = 0.0
        self._ended = True

    def __call__(self, n_done: int, n_total: int) -> None:
        now = time.perf_counter()
        if self._ended:
            self._n_runs += 1
            self._start = self._last = now
        self._ended = n_done >= n_total
        seconds = now - self._start
        patience = self.interval if self._patience is None else self._patience
        is_due = now - self._last >= self.interval or self._ended
        if seconds < patience or not is_due:
            return
        self._last = now
        report(self._source, self._line(n_done, n_total, seconds), verbose=1)

    def _line(self, n_done, n_total, seconds):
        if not self._has_equal_steps:
            return f"{self._name}: {self._what} {n_done} of {n_total}, {seconds:.0f} s"
        runs = "" if self._total_runs is None else f" of {max(self._total_runs, self._n_runs)}"
        rate = f", {n_done / seconds:.3g} {self._what}/s" if self._total_runs and seconds else ""
        return (
            f"{self._name} {self._n_runs}{runs}: {n_done / n_total:4.0%} of {n_total:.3g} "
            f"{self._what}{rate}, {seconds:.0f} s of about "
            f"{seconds * n_total / max(n_done, 1):.0f}"
        )
