"""How far a long computation is: told deep inside of it, and reported if somebody wants to know.

Loops call :func:`tell`, which costs next to nothing where nobody listens; an estimator with a
parameter ``verbose`` runs them within :func:`listening`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .messages import Progress

# Seconds before the first report.
_PATIENCE = 5.0


class _Listener:
    def __init__(self, source: str) -> None:
        self._source = source
        self._loops: dict[str, tuple[Progress, int]] = {}

    def hear(self, name: str, what: str, n_done: int, n_total: int) -> None:
        progress, last = self._loops.get(name, (None, 0))
        if progress is None or n_done < last:  # another run of the loop
            progress = Progress(self._source, what, name, patience=_PATIENCE, has_equal_steps=False)
        self._loops[name] = progress, n_done
        progress(n_done, n_total)


_listener: ContextVar[_Listener | None] = ContextVar("sklearn_sparse_eig_listener", default=None)


@contextmanager
def listening(source: str, verbose: int) -> Iterator[None]:
    """Report loops that take more than five seconds, where `verbose` is at least 1.

    Parameters
    ----------
    source : str
        The name in brackets at the start of each line.
    verbose : int
    """
    before = _listener.get()
    try:  # at once: an interrupt between the two would leave the listener to all later calls
        _listener.set(_Listener(source) if verbose else None)
        yield
    finally:
        _listener.set(before)


def tell(name: str, what: str, n_done: int, n_total: int) -> None:
    """Tell how far a loop is.

    Parameters
    ----------
    name : str
        What the loop does, as in "gradient descent".
    what : str
        The unit that is counted, as in "steps".
    n_done, n_total : int
        The loop may end before the total. A smaller `n_done` than before is another run of it.
    """
    listener = _listener.get()
    if listener is not None:
        listener.hear(name, what, n_done, n_total)
