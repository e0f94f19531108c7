"""Features that are datetimes, as seconds from the first of them, and back in every prediction.

NumPy's and pandas' datetimes of any resolution are taken, and Python's. Those with a time zone are
instants, whatever the zone; those without one are as on a clock without summer time. Which of the
two a feature is, and when its seconds begin, is kept from the fit on.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Self

import numpy as np
import scipy.sparse as sp

_SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True)
class Clock:
    """The seconds of one feature.

    Attributes
    ----------
    origin : np.datetime64
        The earliest of the fit, in the resolution of the fit, and in UTC where `aware`.
    aware : bool
        Whether datetimes have a time zone.
    """

    origin: np.datetime64
    aware: bool

    def seconds(self, instants: np.ndarray) -> np.ndarray:
        """Return seconds since the origin; no resolution is too fine, and no span too long."""
        whole, start = instants.astype("M8[s]"), self.origin.astype("M8[s]")
        parts = (instants - whole.astype(instants.dtype)) / _SECOND
        return (whole - start) / _SECOND + (parts - (self.origin - start) / _SECOND)


@dataclass(frozen=True)
class Clocks:
    """Which features are datetimes, and their clocks.

    Attributes
    ----------
    by_feature : tuple of Clock or None
        None for features that are numbers.
    """

    by_feature: tuple[Clock | None, ...]

    @classmethod
    def of(cls, X: Any) -> Self | None:
        """Return the clocks that begin with rows, None where no feature is a datetime.

        Raises
        ------
        ValueError
            If a datetime is missing, or only some of a feature have a time zone.
        """
        columns = _columns(X)
        if columns is None:
            return None
        found = []
        for j, column in enumerate(columns):
            instants, aware = _instants(column, j)
            found.append(None if instants is None else Clock(instants.min(), aware))
        return cls(tuple(found))

    def numbers(self, X: Any) -> Any:
        """Return rows with seconds in the place of datetimes; a data frame stays one.

        Raises
        ------
        ValueError
            Where features are no such datetimes as in the fit.
        """
        columns = _columns(X)
        if columns is None:
            raise ValueError(
                f"{_listed(self)} in fit, but X holds no datetimes. Give datetimes again: a number "
                "has no unit and no origin."
            )
        numbers = []
        for j, column in enumerate(columns):
            clock = self.by_feature[j] if j < len(self.by_feature) else None
            instants, aware = _instants(column, j)
            if (instants is None) != (clock is None):
                raise ValueError(
                    f"{_listed(self)} in fit, but now feature {j} is of type "
                    f"{column.dtype if instants is None else instants.dtype}. Give datetimes for "
                    "the same features again."
                )
            if clock is None:
                numbers.append(column)
                continue
            if aware != clock.aware:
                raise ValueError(
                    f"Feature {j} had {'a' if clock.aware else 'no'} time zone in fit, and has "
                    f"{'one' if aware else 'none'} now. Use tz_localize or tz_convert of pandas."
                )
            numbers.append(clock.seconds(instants))
        return _replaced(X, numbers)


def refuse_datetimes(X: Any) -> None:
    """Raise where there are datetimes though features were numbers in the fit."""
    for j, column in enumerate(_columns(X) or ()):
        instants, _ = _instants(column, j)
        if instants is not None:
            raise ValueError(
                f"All features were numbers in fit, but feature {j} is of type {instants.dtype} "
                "now. Convert it as before, or fit to datetimes."
            )


def seconds_of_period(period: Any, clocks: Clocks | None, n_features: int) -> Any:
    """Return periods as numbers, those of datetimes in seconds.

    Raises
    ------
    ValueError
        If a period is a duration though its feature is a number, or the other way round.
    """
    given = period if isinstance(period, list | tuple) else np.asarray(period)
    if np.ndim(given) > 1 or (np.ndim(given) and len(given) != n_features):
        return period  # of the wrong shape, which is refused elsewhere
    entries = list(given) if np.ndim(given) else [period] * n_features
    by_feature = (None,) * n_features if clocks is None else clocks.by_feature
    numbers = []
    for j, (entry, clock) in enumerate(zip(entries, by_feature, strict=True)):
        is_duration = isinstance(entry, timedelta | np.timedelta64)
        if is_duration != (clock is not None):
            raise ValueError(
                f"Feature {j} is a number, so its period must be a number; got {entry!r}."
                if clock is None
                else f"Feature {j} holds datetimes, so its period must be a duration, such as "
                f"np.timedelta64(1, 'D'); got {entry!r}."
            )
        if is_duration:
            # Of pandas, to the nanosecond.
            entry = entry.to_timedelta64() if hasattr(entry, "to_timedelta64") else entry
            entry = np.timedelta64(entry) / _SECOND
        numbers.append(entry)
    return np.array(numbers, dtype=np.float64)


def _columns(X):
    """Return the features one by one if some may be datetimes, else None."""
    if sp.issparse(X):
        return None
    if isinstance(X, list | tuple):
        X = np.asarray(X)
    dtypes = getattr(X, "dtypes", None)
    if hasattr(X, "iloc") and hasattr(dtypes, "__iter__"):
        if all(getattr(dtype, "kind", "f") not in "MO" for dtype in dtypes):
            return None
        return [X.iloc[:, j] for j in range(X.shape[1])]
    if getattr(getattr(X, "dtype", None), "kind", "f") not in "MO":
        return None
    if getattr(X, "ndim", 0) == 1:
        # An index, a series or a list of datetimes is a feature.
        is_feature = X.dtype.kind == "M" or any(isinstance(x, date) for x in list(X[:1]))
        return [X] if is_feature else None
    return list(np.asarray(X).T) if getattr(X, "ndim", 0) == 2 else None


def _instants(column, j):
    """Return a feature as NumPy's datetimes, in UTC if it has a time zone, and whether it has one.

    None in place of the first where it holds no datetimes.
    """
    dtype = column.dtype
    if dtype.kind == "M" and getattr(dtype, "tz", None) is None:
        column = np.asarray(column)  # objects, where Arrow has a time zone
        dtype = column.dtype
    if dtype.kind == "O":
        entries = list(column)
        if not any(isinstance(entry, date | np.datetime64) for entry in entries):
            return None, False
        instants, aware = _of_objects(entries, j)
    elif dtype.kind != "M":
        return None, False
    elif getattr(dtype, "tz", None) is None:
        instants, aware = column, False
    else:  # of pandas
        instants, aware = column.to_numpy(dtype="datetime64[ns]"), True
    if instants.dtype.name in ("datetime64[Y]", "datetime64[M]"):
        instants = instants.astype("M8[D]")  # months have no length in seconds
    if np.isnat(instants).any():
        raise ValueError(f"Feature {j} contains NaT (datetimes that are missing): remove the rows.")
    return instants, aware


def _of_objects(entries, j):
    zones = {
        getattr(entry, "tzinfo", None) is not None
        for entry in entries
        if isinstance(entry, date | np.datetime64)
    }
    if len(zones) > 1:
        raise ValueError(f"Feature {j} has datetimes with and without a time zone: give all one.")
    instants = []
    for entry in entries:
        if not isinstance(entry, date | np.datetime64) and entry is not None:
            raise ValueError(
                f"Feature {j} holds datetimes and entries of type {type(entry).__name__}: make "
                "them all datetimes."
            )
        if isinstance(entry, datetime) and entry.tzinfo is not None:
            entry = entry.astimezone(UTC).replace(tzinfo=None)
        if hasattr(entry, "to_datetime64"):  # of pandas, to the nanosecond
            entry = entry.to_datetime64()
        instants.append(np.datetime64(entry))
    return np.array(instants), zones.pop()


def _replaced(X, numbers):
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        replaced = X.copy(deep=False)
        for j, column in enumerate(numbers):
            replaced.isetitem(j, column)
        return replaced
    return np.column_stack(numbers)


def _listed(clocks):
    ids = [j for j, clock in enumerate(clocks.by_feature) if clock is not None]
    if len(ids) == 1:
        return f"Feature {ids[0]} was a datetime"
    return f"Features {', '.join(map(str, ids))} were datetimes"
