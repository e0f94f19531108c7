"""What tests of several rooms share."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import sklearn_sparse_eig

PACKAGE = Path(sklearn_sparse_eig.__file__).parent
# A tracer comes between a change that is done and the lock that is given back, where no signal
# does: tests/base has real ones.
LOCKS = PACKAGE / "_base" / "locks.py"


def _within_the_package(path):
    return PACKAGE in path.parents and path != LOCKS


class _Interrupt(KeyboardInterrupt):
    """Ours, and no one else's."""


@pytest.fixture(scope="session")
def run_interrupted():
    """A function that runs an action with Ctrl-C at its n-th line, counted in chosen files.

    ``run_interrupted(action, at=None, within=...)`` has the result ``reached``, whether the
    action came to that line and ended with the interrupt, and ``n_lines``, how many it ran.
    """

    def run(action, at=None, within=_within_the_package):
        n_lines = 0

        def trace(frame, event, argument):
            nonlocal n_lines
            if not within(Path(frame.f_code.co_filename)):
                return None
            if event == "line":
                n_lines += 1
                if n_lines == at:
                    raise _Interrupt
            return trace

        before, reached = sys.gettrace(), False
        sys.settrace(trace)
        try:
            action()
        except _Interrupt:
            reached = True
        finally:
            sys.settrace(before)
        return SimpleNamespace(reached=reached, n_lines=n_lines)

    return run
