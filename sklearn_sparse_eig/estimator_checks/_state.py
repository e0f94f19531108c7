"""The laws of a state that changes: all or nothing, never stale, and additive over shards.

They hold for sketches and estimators alike, so each check takes functions: ``make()`` returns an
empty object, always of the same seed, ``feed(object, batch)`` adds a batch to it or fits it, and
``read(object)`` returns what is computed from it as an array.
"""

import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from ._compare import as_dense, assert_close, assert_raises
from ._fingerprint import fingerprint, first_difference
from ._injection import (
    InjectedError,
    InjectedInterrupt,
    draw_places,
    executed_lines,
    run_with_error,
)

Make = Callable[[], Any]
Feed = Callable[[Any, Any], Any]
Read = Callable[[Any], Any]

# How long a thread of a check may take before it counts as waiting for ever.
_PATIENCE = 60.0


def check_unchanged_on_error(
    make: Make,
    act: Callable[[Any], Any],
    *,
    max_lines: int | None = None,
    random_state: int = 0,
) -> None:
    """Check that an error at any line inside ``act(object)`` leaves the object as it was.

    The action is run once to see which lines of the package, and of the module that defines the
    object's class, it executes. Then it is run anew with an error raised at each of them, at one of
    the times that the line is executed; errors and ``KeyboardInterrupt`` alternate.

    Parameters
    ----------
    make : callable
        Function that returns an object in the state before the action, always the same.
    act : callable
        Changes the object that it is given.
    max_lines : int, default=None
        Lines at which errors are raised, drawn at random; None for all of them.
    random_state : int, default=0
    """
    rng = np.random.default_rng(random_state)
    trial = make()
    packages = (type(trial).__module__.partition(".")[0],)
    counts = executed_lines(_on(act, trial), packages)
    if not counts:
        raise AssertionError("The action executes no line of the package.")
    trial, before, n_errors = None, None, 0
    for i, (place, occurrence) in enumerate(draw_places(counts, max_lines, rng)):
        if trial is None:
            trial = make()
            before = fingerprint(trial)
        text = f"raised on purpose at {place[0]}:{place[1]}"
        error = InjectedInterrupt(text) if i % 2 else InjectedError(text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            failed = run_with_error(_on(act, trial), place, occurrence, error, packages)
        if not failed:
            trial = None  # the action went through, and has changed the object rightly
            continue
        n_errors += 1
        _assert_unchanged(trial, before, f"{type(error).__name__} {text}")
    if not n_errors:
        raise AssertionError("None of the errors raised on purpose has left the action.")


def check_failed_refit_keeps_fit(
    make: Make,
    fit: Callable[[Any], Any],
    refits: dict[str, Callable[[Any], Any]],
) -> None:
    """Check that a refused ``fit`` leaves the earlier fit as it was, to the bit.

    Parameters
    ----------
    make : callable
        Function that returns an unfitted estimator.
    fit : callable
        Fits the estimator that it is given.
    refits : dict of str to callable
        Calls that must raise ``ValueError`` on the fitted estimator, by what is wrong with them.
    """
    fitted = make()
    fit(fitted)
    before = fingerprint(fitted)
    for what, refit in refits.items():
        assert_raises(partial(refit, fitted), what)
        _assert_unchanged(fitted, before, what)


def check_readers_beside_writer(
    make: Make,
    feed: Feed,
    batches: Sequence[Any],
    read: Read,
    *,
    n_readers: int = 2,
    rtol: float = 1e-9,
) -> None:
    """Check that threads that read beside a writer never see a torn state, or a stale one later.

    Every value that is read must be the one after some number of whole batches. After the last
    batch it must be the one after all of them.

    Parameters
    ----------
    make, feed, read : callable
        The first batch is fed before the readers start.
    batches : sequence
        At least two.
    n_readers : int, default=2
    rtol : float, default=1e-9
        Relative to the largest entry.
    """
    expected = _readings_in_turn(make, feed, batches, read)
    shared = make()
    feed(shared, batches[0])
    found: list[np.ndarray] = []
    errors: list[BaseException] = []
    ended = threading.Event()

    def write():
        for batch in batches[1:]:
            feed(shared, batch)
        ended.set()

    def read_on():
        last = False
        while not last:
            last = ended.is_set()
            found.append(np.array(as_dense(read(shared)), copy=True))

    _run_threads([write, *[read_on] * n_readers], errors, ended)
    if errors:
        raise AssertionError(f"A thread has failed: {errors[0]!r}.") from errors[0]
    for reading in found:
        if not any(_is_close(reading, one, rtol) for one in expected):
            raise AssertionError(
                "A reader has seen what no number of whole batches gives: a torn state."
            )
    assert_close(read(shared), expected[-1], "what is read after the last batch", rtol)


def check_warnings_name_the_caller(act: Callable[[], Any], *, filename: str | None = None) -> None:
    """Check that an action warns, and that its warnings name the file of the action.

    Parameters
    ----------
    act : callable
        Must warn at least once.
    filename : str, default=None
        File that warnings must name. None is the file in which `act` is written.
    """
    filename = act.__code__.co_filename if filename is None else filename
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    if not caught:
        raise AssertionError("Expected at least one warning, got none.")
    for warning in caught:
        if warning.filename != filename:
            raise AssertionError(
                f"The warning {str(warning.message)!r} names {warning.filename}:{warning.lineno}, "
                f"expected a line of {filename}."
            )


def check_merge(
    make: Make, feed: Feed, batches: Sequence[Any], read: Read, *, rtol: float = 1e-7
) -> None:
    """Check that merged shards equal one stream, in any order, and that others are not changed.

    Parameters
    ----------
    make, feed, batches, read
        Arguments of :func:`check_readers_beside_writer`.
    rtol : float, default=1e-7
        Relative to the largest entry.
    """
    expected = _readings_in_turn(make, feed, batches, read)[-1]
    for order in (1, -1):
        first, *others = _shards(make, feed, batches[::order])
        before = fingerprint(others)
        for other in others:
            if first.merge(other) is not first:
                raise AssertionError("merge must return the object itself.")
        _assert_unchanged(others, before, "merge, of what is merged")
        assert_close(read(first), expected, "merged shards", rtol)
    before = fingerprint(first)
    try:
        first.merge(object())
    except TypeError:
        _assert_unchanged(first, before, "a refused merge")
    else:
        raise AssertionError("merge of another type: expected a TypeError.")


def check_sum(
    make: Make, feed: Feed, batches: Sequence[Any], read: Read, *, rtol: float = 1e-7
) -> None:
    """Check that ``+`` and ``sum`` give new objects, equal to one stream, and change no shard.

    Parameters
    ----------
    make, feed, batches, read, rtol
        Arguments of :func:`check_merge`.
    """
    expected = _readings_in_turn(make, feed, batches, read)[-1]
    shards = _shards(make, feed, batches)
    before = fingerprint(shards)
    total = sum(shards)
    assert_close(read(total), expected, "the sum of shards", rtol)
    feed(total, batches[0])
    single = sum(shards[:1])
    feed(single, batches[0])
    _assert_unchanged(shards, before, "sum, of its terms")


def check_empty_copy(
    make: Make, feed: Feed, batches: Sequence[Any], read: Read, *, rtol: float = 1e-7
) -> None:
    """Check that an empty copy adds nothing, fills as the original would, and is independent.

    Parameters
    ----------
    make, feed, batches, read, rtol
        Arguments of :func:`check_merge`. The copy comes from ``empty_copy()`` or ``empty()``.
    """
    expected = _readings_in_turn(make, feed, batches[:1], read)[-1]
    full = _shards(make, feed, batches[:1])[0]
    before = fingerprint(full)
    empty = _empty_of(full)
    if type(empty) is not type(full):
        raise AssertionError(f"An empty copy is of {type(full)}, got {type(empty)}.")
    if _n_samples(empty) != 0:
        raise AssertionError(f"An empty copy has seen 0 rows, got {_n_samples(empty)}.")
    feed(empty, batches[0])
    _assert_unchanged(full, before, "filling an empty copy, of the original")
    assert_close(read(empty), expected, "a filled empty copy", rtol)
    full.merge(_empty_of(full))
    assert_close(read(full), expected, "merged with an empty copy", rtol)
    assert_close(read(_empty_of(full).merge(full)), expected, "merged into an empty copy", rtol)


def check_shard_id(make: Make, feed: Feed, batches: Sequence[Any], read: Read) -> None:
    """Check that a named shard is counted once, in whichever way it is merged again.

    Parameters
    ----------
    make, feed, batches, read
        Arguments of :func:`check_merge`.
    """
    shards = _shards(make, feed, batches)
    total = _empty_of(shards[0]).merge(shards[0], shard_id="first")
    content = np.array(as_dense(read(total)), copy=True)
    before = fingerprint(total)  # after the reading, which may fill a cache
    again = _empty_of(shards[0]).merge(shards[0], shard_id="first")
    for what, call in {
        "the same shard again": partial(total.merge, shards[0], shard_id="first"),
        "a sum that holds the shard": partial(total.merge, again),
        "itself": partial(total.merge, total),
    }.items():
        message = assert_raises(call, what)
        if "first" not in message:
            raise AssertionError(f"The message does not name the shard: {message!r}.")
        _assert_unchanged(total, before, f"a refused merge of {what}")
    assert_close(read(total), content, "after refused merges", 0.0)
    total.merge(shards[1], shard_id="second")
    if _n_samples(total) != sum(_n_samples(shard) for shard in shards[:2]):
        raise AssertionError(f"Two shards have {_n_samples(total)} rows in all.")


def yield_state_checks(
    make: Make,
    feed: Feed,
    batches: Sequence[Any],
    read: Read,
    *,
    merges: bool = True,
    max_lines: int | None = 60,
) -> Iterator[partial[None]]:
    """Yield the checks of a state, as callables without arguments.

    Parameters
    ----------
    make : callable
        Function that returns an empty object, always of the same seed.
    feed : callable
        ``feed(object, batch)`` adds a batch to the object.
    batches : sequence
        At least two.
    read : callable
        ``read(object)`` returns an array that is computed from all that was fed.
    merges : bool, default=True
        Whether shards of the stream add up.
    max_lines : int, default=60
        Arguments of :func:`check_unchanged_on_error`.

    Yields
    ------
    callable
        Sums, empty copies and named shards are checked where the object has ``empty_copy`` or
        ``empty``.
    """

    def begun():
        return _shards(make, feed, batches[:1])[0]

    unchanged = partial(check_unchanged_on_error, max_lines=max_lines)
    yield partial(unchanged, make, partial(_call, feed, batches[0]))
    yield partial(unchanged, begun, partial(_call, feed, batches[1]))
    yield partial(check_readers_beside_writer, make, feed, batches, read)
    if not merges:
        return
    example, other = make(), _shards(make, feed, batches[1:2])[0]
    yield partial(unchanged, begun, lambda object_: object_.merge(other))
    yield partial(check_merge, make, feed, batches, read)
    if hasattr(example, "empty_copy") or hasattr(example, "empty"):
        for check in (check_sum, check_empty_copy, check_shard_id):
            yield partial(check, make, feed, batches, read)


def _on(act, trial):
    """Return the action on an object, without a line of its own."""
    return partial(act, trial)


def _call(feed, batch, trial):
    feed(trial, batch)


def _assert_unchanged(item, before, what):
    path = first_difference(before, fingerprint(item))
    if path is not None:
        raise AssertionError(f"After {what}: {path} of the object is not what it was before.")


def _readings_in_turn(make, feed, batches, read):
    """Return what is read after each batch, without any other thread."""
    alone, readings = make(), []
    for batch in batches:
        feed(alone, batch)
        readings.append(np.array(as_dense(read(alone)), copy=True))
    return readings


def _shards(make, feed, batches):
    shards = []
    for batch in batches:
        shards.append(make())
        feed(shards[-1], batch)
    return shards


def _is_close(actual, desired, rtol):
    if actual.shape != desired.shape:
        return False
    gap, allowed = np.abs(actual - desired), rtol * np.abs(desired).max(initial=0.0)
    return bool(gap.max(initial=0.0) <= allowed)


def _empty_of(item):
    return item.empty_copy() if hasattr(item, "empty_copy") else item.empty()


def _n_samples(item):
    return item.n_samples_seen_ if hasattr(item, "n_samples_seen_") else item.n_samples


def _run_threads(targets, errors, ended):
    """Run functions in threads that take turns as often as they can, and gather their errors."""

    def guarded(target):
        try:
            target()
        except BaseException as error:  # handed to the thread of the check
            errors.append(error)
        if errors:
            ended.set()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=guarded, args=(t,), daemon=True) for t in targets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_PATIENCE)
    finally:
        sys.setswitchinterval(interval)
    if any(thread.is_alive() for thread in threads):
        raise AssertionError(f"A thread still waits after {_PATIENCE:.0f} seconds: a deadlock?")
