"""One lock for each object that several threads may use: a writer and its readers take turns.

Locks are held by ``with`` statements on the locks themselves and by nothing else. An interrupt
(Ctrl-C) comes between two steps of the interpreter, but not between taking such a lock and being
bound to release it; in code that notes what it holds it would leave a lock held for good.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from threading import RLock
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from .typed import Method

_Result = TypeVar("_Result")
# Kept outside the objects, so that these can be copied and pickled as they are.
_locks: WeakKeyDictionary = WeakKeyDictionary()


def locks_of(*items: Any) -> list:
    """Return the locks of some objects, in one order whatever that of the arguments.

    Where all take them in this order, two merges in opposite directions cannot wait for each other.
    """
    distinct = sorted({id(item): item for item in items}.values(), key=id)
    # One step of the interpreter, so that all threads get the same lock, and none waits for it.
    return [_locks.setdefault(item, RLock()) for item in distinct]


def holding(locks: Sequence[Any], action: Callable[[], _Result]) -> _Result:
    """Call a function while some locks are held, taken in their order."""
    if not locks:
        return action()
    with locks[0]:
        return holding(locks[1:], action)


@contextmanager
def locked(*items: Any) -> Iterator[None]:
    """Hold the locks of some objects within a ``with`` block, so that nobody changes them."""
    with _held(locks_of(*items)):
        yield


@contextmanager
def _held(locks: Sequence[Any]) -> Iterator[None]:
    if not locks:
        yield
        return
    with locks[0], _held(locks[1:]):
        yield


def undisturbed(method: Method) -> Method:
    """Decorate a method that reads its object, which no other thread changes meanwhile."""

    @wraps(method)
    def reads(self, *args, **kwargs):
        (lock,) = locks_of(self)
        with lock:
            return method(self, *args, **kwargs)

    return cast(Method, reads)
