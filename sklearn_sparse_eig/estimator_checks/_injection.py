"""Errors raised on purpose, at any line of the package that an action executes."""

import sys
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import numpy as np

from .._base import locks
from .._base.atomic import Journal, _Change

# What takes a change back runs only once something has failed.
_ROLLBACK: frozenset[CodeType] = frozenset(
    function.__code__ for function in (Journal.undo, _Change.undo)
)
# At the line of a ``with``, an error of a tracer can come just before the lock is given back, which
# no interrupt does, and then nobody gives it back.
_LOCKS = locks.__name__
_OURS = __name__.partition(".")[0]
_CHECKS = __name__.rpartition(".")[0]

Place = tuple[str, int]


class InjectedError(RuntimeError):
    """An error of the computation."""


class InjectedInterrupt(KeyboardInterrupt):
    """Ctrl-C."""


class _Tracer:
    """Counts the lines that are executed, and raises at one of them."""

    def __init__(
        self,
        action: Callable[[], Any],
        packages: tuple[str, ...],
        target: Place | None = None,
        occurrence: int = 1,
        error: BaseException | None = None,
    ) -> None:
        self.counts: Counter[Place] = Counter()
        self.fired = False
        self._action, self._packages = action, (_OURS, *packages)
        self._skipped = _ROLLBACK | _codes_of(action)
        self._target, self._occurrence, self._error = target, occurrence, error

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Callable | None:
        module = frame.f_globals.get("__name__", "")
        if module == _LOCKS or module.startswith(_CHECKS):
            return None
        if module.partition(".")[0] not in self._packages:
            return None
        return None if frame.f_code in self._skipped else self._line

    def _line(self, frame, event, arg):
        if event == "line":
            place = frame.f_code.co_filename, frame.f_lineno
            self.counts[place] += 1
            if place == self._target and self.counts[place] == self._occurrence:
                self.fired = True
                raise self._error
        return self._line

    def run(self):
        before = sys.gettrace()
        sys.settrace(self)
        try:
            self._action()
        finally:
            sys.settrace(before)


def _codes_of(action):
    """Return the code of an action and of the functions bound in it: the caller's own lines."""
    functions = (action, getattr(action, "func", None), *getattr(action, "args", ()))
    return {function.__code__ for function in functions if hasattr(function, "__code__")}


def executed_lines(action: Callable[[], Any], packages: tuple[str, ...] = ()) -> Counter[Place]:
    """Return how often each line of the package, and of others named, is executed by an action."""
    tracer = _Tracer(action, packages)
    tracer.run()
    return tracer.counts


def run_with_error(
    action: Callable[[], Any],
    place: Place,
    occurrence: int,
    error: BaseException,
    packages: tuple[str, ...] = (),
) -> bool:
    """Run an action with an error at the given line; return whether it failed with it.

    False where the line was not reached, or the action has dealt with the error.
    """
    tracer = _Tracer(action, packages, place, occurrence, error)
    try:
        tracer.run()
    except BaseException:
        if not tracer.fired:
            raise
        return True
    return False


def draw_places(
    counts: Counter[Place], max_lines: int | None, rng: np.random.Generator
) -> list[tuple[Place, int]]:
    """Return lines, each with one of its occurrences, at most `max_lines` of them."""
    places = sorted(counts)
    if max_lines is not None and len(places) > max_lines:
        drawn = np.sort(rng.choice(len(places), max_lines, replace=False))
        places = [places[i] for i in drawn]
    return [(place, int(rng.integers(1, counts[place] + 1))) for place in places]
