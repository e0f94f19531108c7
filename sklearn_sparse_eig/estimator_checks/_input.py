"""The laws of input: what is no row of numbers is refused by name, and changes nothing.

As in the laws of a state, ``make()`` returns an object, always the same, and actions are functions
of it and of what it is given.
"""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from ._fingerprint import fingerprint, first_difference

Make = Callable[[], Any]
Act = Callable[[Any, Any], Any]

_DAY = np.datetime64("2024-02-29")


def check_bad_rows(
    make: Make, act: Act, X: np.ndarray, *, allow_nan: bool = False, allow_times: bool = False
) -> None:
    """Check that rows that hold no real numbers are refused, with their type in the message.

    The check passes times, durations, records, text, complex numbers and objects of these in place
    of X, NaN and infinity within it, and X with another number of axes. Each must raise a
    ``ValueError`` or a ``TypeError`` and leave the object as it was, to the bit.

    Parameters
    ----------
    make : callable
        Function that returns an object, always the same.
    act : callable
        ``act(object, rows)`` fits, updates or reads the object with the rows.
    X : ndarray of shape (n, n_features)
        Valid rows. They are passed first, because refusing these too would prove nothing.
    allow_nan : bool, default=False
        Whether NaN is accepted for missing entries.
    allow_times : bool, default=False
        Whether rows may be datetimes, which are then not passed.
    """
    act(make(), X)
    for what, (rows, name) in _bad_rows(X, allow_nan, allow_times).items():
        _assert_refused(make, partial(_call, act, rows), what, name)


def check_bad_indices(make: Make, act: Act, X: np.ndarray) -> None:
    """Check that sparse rows are refused if their indices do not fit their shape, in any format.

    SciPy makes such matrices without an error, and its compiled code, like that of others, would
    read and write outside of arrays.

    Parameters
    ----------
    make, act, X
        Arguments of :func:`check_bad_rows`. X has at least two rows and two features.
    """
    for format_ in ("csr", "csc", "coo", "bsr", "lil"):
        act(make(), sp.csr_array(X).asformat(format_))
    for what, rows in _damaged(X):
        _assert_refused(make, partial(_call, act, rows), what, rows.format.upper())


def check_bad_weights(make: Make, act: Act, n: int, *, counts: bool = True) -> None:
    """Check that weights are refused if they are not n, or are no usable numbers.

    Parameters
    ----------
    make : callable
        Function that returns an object, as in :func:`check_bad_rows`.
    act : callable
        ``act(object, weights)`` fits, updates or scores the object with n rows of these weights.
    n : int
        Number of rows.
    counts : bool, default=True
        Whether weights count rows, so that negative ones, and zeros for all rows, are refused. A
        sketch accepts these.
    """
    act(make(), np.full(n, 2.0))
    bad = {
        "NaN": np.full(n, np.nan),
        "an infinite one": np.r_[np.inf, np.ones(n - 1)],
        "too few": np.ones(n - 1),
        "a column": np.ones((n, 1)),
        "1e-200": np.full(n, 1e-200),
        "1e200": np.full(n, 1e200),
        "durations": np.ones(n).astype("m8[s]"),
        "complex ones": np.ones(n) * 1j,
        "text": np.full(n, "1"),
    }
    if counts:
        bad |= {"zero for all": np.zeros(n), "a negative one": np.r_[-1.0, np.ones(n - 1)]}
    for what, weights in bad.items():
        _assert_refused(make, partial(_call, act, weights), f"weights: {what}", "sample_weight")


def check_duplicates(make: Make, act: Act, read: Callable[[Any], Any], X: np.ndarray) -> None:
    """Check that duplicate entries of sparse rows add as numbers, whatever their type holds.

    Parameters
    ----------
    make, act
        Arguments of :func:`check_bad_rows`.
    read : callable
        ``read(object)`` returns an array that is computed from the object.
    X : ndarray of shape (n, n_features)
        Array whose signs are passed as rows, each sign as a sum of 300 ones of one byte.
    """
    counts = (X > 0.0).astype(float)
    i, j = np.nonzero(counts)
    order = np.argsort(np.repeat(i, 300), kind="stable")
    indptr = np.r_[0, np.cumsum(300 * np.bincount(i, minlength=len(X)))]
    ones = np.ones(300 * len(i), dtype=np.uint8)
    rows = sp.csr_array((ones, np.repeat(j, 300)[order], indptr), shape=X.shape)
    expected, found = make(), make()
    act(expected, sp.csr_array(300.0 * counts))
    act(found, rows)
    np.testing.assert_allclose(read(found), read(expected), rtol=1e-9, atol=1e-12)


def yield_input_checks(
    make: Make,
    act: Act,
    X: np.ndarray,
    *,
    sparse: bool,
    allow_nan: bool = False,
    allow_times: bool = False,
) -> Iterator[Callable]:
    """Yield the checks of the rows that an action accepts.

    Parameters
    ----------
    make, act, X, allow_nan, allow_times
        Arguments of :func:`check_bad_rows`.
    sparse : bool
        Whether sparse rows are taken.

    Yields
    ------
    callable
        Without arguments.
    """
    yield partial(check_bad_rows, make, act, X, allow_nan=allow_nan, allow_times=allow_times)
    if sparse:
        yield partial(check_bad_indices, make, act, X)


def _bad_rows(X, allow_nan, allow_times):
    """Return rows that are none, with what the message must name."""
    X = np.asarray(X, dtype=np.float64)
    steps = np.arange(X.size).reshape(X.shape)
    records = np.zeros(X.shape, dtype=[("value", np.float64)])
    records["value"] = X
    times = _DAY + steps
    holes, infinite = X.copy(), X.copy()
    holes[-1, -1], infinite[-1, -1] = np.nan, -np.inf
    bad = {
        "times": (times, "datetime64"),
        "durations": (steps.astype("m8[s]"), "timedelta64"),
        "records": (records, "value"),
        "text": (X.astype(str), "text"),
        "bytes": (X.astype("S"), "text"),
        "a list of text": (X.astype(str).tolist(), "text"),
        "complex numbers": (X + 1j, "Complex"),
        "objects that are times": (times.astype(object), "date"),
        "objects that are text": (X.astype(str).astype(object), "str"),
        "objects that are complex": ((X + 1j).astype(object), "complex"),
        "objects that are lists": (_filled(X.shape), "list"),
        "NaN": (holes, "NaN"),
        "infinity": (infinite, "inf"),
        "one axis": (X[:, 0], "shape"),
    }
    if allow_nan:
        del bad["NaN"]
    if allow_times:
        del bad["times"], bad["objects that are times"]
    return bad


def _filled(shape):
    items = np.empty(shape, dtype=object)
    for place in np.ndindex(shape):
        items[place] = []
    return items


def _damaged(X):
    """Yield sparse rows with what is wrong with them: SciPy has made each of them itself."""
    whole = sp.csr_array(np.asarray(X, dtype=np.float64))
    n, n_features = whole.shape
    for format_ in ("csr", "csc"):
        size = n_features if format_ == "csr" else n
        for name, place, value in (
            ("indices", -1, size),
            ("indices", 0, 2**31 - 1),
            ("indices", 0, -1),
            ("indptr", 0, 1),
            ("indptr", -1, whole.nnz + 1),
            ("indptr", 1, -1),
            ("indptr", 1, whole.nnz),
        ):
            damaged = whole.asformat(format_).copy()
            getattr(damaged, name)[place] = value
            yield f"{format_}.{name}[{place}] = {value}", damaged
        damaged = whole.asformat(format_).copy()
        damaged.data = damaged.data[:-1]
        yield f"a missing value in {format_}", damaged
        damaged = whole.asformat(format_).copy()
        damaged.indptr = damaged.indptr[:-1]
        yield f"a short indptr in {format_}", damaged
    for name, size in (("row", n), ("col", n_features)):
        for value in (size, -1):
            damaged = whole.tocoo()
            setattr(damaged, name, getattr(damaged, name).copy())
            getattr(damaged, name)[-1] = value
            yield f"coo.{name} = {value}", damaged
    damaged = sp.dia_array((np.ones((1, n_features)), [0]), shape=whole.shape)
    damaged.offsets = np.array([2**40])
    yield "an offset out of range in dia", damaged
    damaged = whole.tobsr().copy()
    damaged.indices[0] = n_features
    yield "an index out of range in bsr", damaged
    damaged = whole.tolil()
    damaged.rows[0][-1] = n_features
    yield "a column out of range in lil", damaged
    damaged = whole.tolil()
    damaged.data[0].append(1.0)
    yield "a value without a column in lil", damaged


def _call(act, given, trial):
    return act(trial, given)


def _assert_refused(make, act, what, name):
    """Raise unless the action raises an error that says `name`, and changes nothing."""
    trial = make()
    before = fingerprint(trial)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = act(trial)
        except (ValueError, TypeError) as error:
            message = str(error)
        except Exception as error:
            raise AssertionError(f"{what}: expected a ValueError, got {error!r}.") from error
        else:
            raise AssertionError(f"{what}: expected a ValueError, got {result!r}.")
    if name.lower() not in message.lower():
        raise AssertionError(f"{what}: the message does not say {name!r}: {message!r}.")
    path = first_difference(before, fingerprint(trial))
    if path is not None:
        raise AssertionError(f"{what}: {path} of the object is not what it was before.")
