"""Split a range over threads, with outputs owned exclusively.

Kernels are serial functions that release the GIL and write only inside the range they are given,
so the bits of a result never depend on the number of threads. The pool lives for one call, or for
one block of `shared_pool`: nothing survives into a forked child, and concurrent Python threads
cannot disturb each other.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from threading import get_ident
from typing import Any
from weakref import ref

import joblib
from threadpoolctl import ThreadpoolController

# About a quarter of a millisecond of work: below, starting a pool costs more than it saves.
_SERIAL_WORK = 1 << 18


_limit: ContextVar[int | None] = ContextVar("sklearn_sparse_eig_threads", default=None)


@contextmanager
def limit_threads(n_threads: int | None) -> Iterator[None]:
    """Bound the threads of kernels and BLAS within a ``with`` block; None leaves them alone."""
    if n_threads is None:
        yield
        return
    token = _limit.set(n_threads)
    try:
        with limit_blas(n_threads):
            yield
    finally:
        _limit.reset(token)


def limit_blas(n_threads: int | None) -> AbstractContextManager[Any]:
    """Bound the threads of BLAS alone, as a context manager.

    One is best for long runs of small matrices: the threads of BLAS wait for one another longer
    than one of them would work, and on a busy machine very much longer.
    """
    return _blas_controller().limit(limits=n_threads, user_api="blas")


@cache
def _blas_controller():
    """Return the handle of the BLAS libraries loaded: finding them takes milliseconds."""
    return ThreadpoolController()


def thread_count() -> int:
    """Return the number of threads: the limit, else ``OMP_NUM_THREADS``, else the usable cores."""
    limit = _limit.get()
    if limit is not None:
        return limit
    # OpenMP allows a list, one count per nesting level; the outermost is ours.
    value = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if value.isdigit() and int(value) > 0:
        return int(value)
    return _usable_cores(_affinity(), os.environ.get("LOKY_MAX_CPU_COUNT"))


@cache
def _usable_cores(affinity: int, most: str | None) -> int:
    """Return the cores that this process may use: to find the limits of its group reads files."""
    return joblib.cpu_count()


def _affinity() -> int:
    """Return how many cores the scheduler gives to this process; it may be changed."""
    of_process = getattr(os, "sched_getaffinity", None)
    return os.cpu_count() or 1 if of_process is None else len(of_process(0))


def split_range(n: int, parts: int, multiple: int = 1) -> list[tuple[int, int]]:
    """Cut range(n) into at most `parts` intervals whose inner ends divide by `multiple`.

    Parameters
    ----------
    n : int
    parts : int
    multiple : int

    Returns
    -------
    list of (int, int)
        Disjoint non-empty half-open intervals covering range(n), in order.
    """
    units = -(-n // multiple)
    parts = max(1, min(parts, units))
    ends = [min(n, units * i // parts * multiple) for i in range(parts + 1)]
    return [(lo, hi) for lo, hi in zip(ends[:-1], ends[1:], strict=True) if lo < hi]


def run_ranges(
    function: Callable[[int, int], object],
    n: int,
    *,
    work: float,
    multiple: int = 1,
    parts_per_thread: int = 4,
    most_threads: int | None = None,
) -> None:
    """Call ``function(lo, hi)`` on intervals covering range(n), in parallel if that pays.

    Parameters
    ----------
    function : callable
        Must release the GIL to gain anything, and write only what its interval owns.
    n : int
    work : float
        Elementary operations in all; small jobs run serially in the calling thread.
    multiple : int
        Inner ends of the intervals are multiples of this.
    parts_per_thread : int
        More than one evens out cores of unequal speed; use 1 where every part repeats some work.
    most_threads : int or None, default=None
        Where each of them takes memory of its own.
    """
    threads = thread_count() if work >= _SERIAL_WORK else 1
    threads = threads if most_threads is None else max(1, min(threads, most_threads))
    parts = split_range(n, threads * parts_per_thread if threads > 1 else 1, multiple)
    run_tasks(function, parts, work=work, most_threads=most_threads)


def run_tasks(
    function: Callable[..., object],
    tasks: Sequence[tuple[int, ...]],
    *,
    work: float,
    most_threads: int | None = None,
) -> None:
    """Call ``function(*task)`` for each task, in parallel if that pays.

    Parameters
    ----------
    function : callable
        Must release the GIL to gain anything, and write only what its task owns.
    tasks : sequence of tuples
    work : float
        Elementary operations in all; small jobs run serially in the calling thread.
    most_threads : int or None, default=None
        As in :func:`run_ranges`.
    """
    threads = min(thread_count() if work >= _SERIAL_WORK else 1, len(tasks))
    threads = threads if most_threads is None else min(threads, most_threads)
    if threads <= 1:
        for task in tasks:
            function(*task)
        return
    with _pool(threads) as pool:
        futures = [pool.submit(function, *task) for task in tasks]
        try:
            for future in futures:
                future.result()
        finally:  # after an error, nobody writes any more
            wait(futures)


class _Block:
    """Lives as long as a block of :func:`shared_pool` does."""


class _Pools:
    """The pool of one block of :func:`shared_pool`, made when it is needed first."""

    def __init__(self, block: _Block) -> None:
        self._block = ref(block)
        self.pool: ThreadPoolExecutor | None = None
        self.threads = 0
        self.owner = get_ident()

    @property
    def is_shared(self) -> bool:
        """Whether this is the thread of the block, which an interrupt may have ended early."""
        return self.owner == get_ident() and self._block() is not None

    def of(self, threads: int) -> ThreadPoolExecutor:
        if self.pool is None or self.threads < threads:
            self.close()
            self.pool, self.threads = ThreadPoolExecutor(threads), threads
        return self.pool

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown()
            self.pool = None


_shared: ContextVar[_Pools | None] = ContextVar("sklearn_sparse_eig_pool", default=None)


@contextmanager
def shared_pool() -> Iterator[None]:
    """Let all kernels called within a ``with`` block share one pool, which ends with the block.

    Starting a pool for each of many short kernels costs more than some of them take.
    """
    around = _shared.get()
    if around is not None and around.is_shared:
        yield
        return
    block = _Block()
    pools = _Pools(block)
    try:
        _shared.set(pools)
        yield
    finally:
        _shared.set(around)
        pools.close()


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    shared = _shared.get()
    # A task of the pool that waited for others of the same pool could wait for itself.
    if shared is not None and shared.is_shared:
        yield shared.of(threads)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield pool
