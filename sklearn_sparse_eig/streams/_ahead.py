"""Reading in a thread, so that it overlaps with what is done with the batches."""

from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any

# Batches that are read and not used yet.
_AHEAD = 2
# Seconds after which a waiting reader looks whether it is still wanted.
_PATIENCE = 0.1


@contextmanager
def read_ahead(batches: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """Yield an iterator over the same batches, of which some are read in advance.

    An error in the reader is raised where its batch would have come. On leaving the ``with`` block
    the reader stops after the batch that it is at.
    """
    queue: Queue = Queue(maxsize=_AHEAD)
    is_over = Event()

    def put(batch: Any, end: BaseException | None = None) -> None:
        while not is_over.is_set():
            try:
                return queue.put((batch, end), timeout=_PATIENCE)
            except Full:
                continue

    def read() -> None:
        try:
            for batch in batches:
                put(batch)
                if is_over.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    def received() -> Iterator[Any]:
        while True:
            try:
                batch, end = queue.get(timeout=_PATIENCE)
            except Empty:
                continue  # so that Ctrl-C is heard while a slow reader reads
            if end is None:
                yield batch
            elif type(end) is StopIteration:
                return
            else:
                raise end

    thread = Thread(target=read, name="reader of batches", daemon=True)
    thread.start()
    try:
        yield received()
    finally:
        is_over.set()
        thread.join(timeout=10.0)
