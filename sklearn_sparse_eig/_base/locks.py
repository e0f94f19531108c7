"""One lock for each object that several threads may use: a writer and its readers take turns."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from threading import RLock
from typing import Any, cast
from weakref import WeakKeyDictionary

from .typed import Method

# Kept outside the objects, so that these can be copied and pickled as they are.
_locks: WeakKeyDictionary = WeakKeyDictionary()


def locks_of(*items: Any) -> list:
    """Return the locks of some objects, in one order whatever that of the arguments.

    Where all take them in this order, two merges in opposite directions cannot wait for each other.
    """
    distinct = sorted({id(item): item for item in items}.values(), key=id)
    # One step of the interpreter, so that all threads get the same lock, and none waits for it.
    return [_locks.setdefault(item, RLock()) for item in distinct]


@contextmanager
def locked(*items: Any) -> Iterator[None]:
    """Hold the locks of some objects within a ``with`` block, so that nobody changes them."""
    with ExitStack() as stack:
        for lock in locks_of(*items):
            stack.enter_context(lock)
        yield


def undisturbed(method: Method) -> Method:
    """Decorate a method that reads its object, which no other thread changes meanwhile."""

    @wraps(method)
    def reads(self, *args, **kwargs):
        with locked(self):
            return method(self, *args, **kwargs)

    return cast(Method, reads)
