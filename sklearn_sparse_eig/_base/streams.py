"""What estimators share whose state is a sum over a stream: shards of it merge."""

from copy import copy, deepcopy
from typing import Any, Self, cast

from sklearn.utils.validation import check_is_fitted

from .atomic import all_or_nothing
from .linear import LinearState, check_same
from .locks import locked
from .saving import SavedMixin


class StreamMixin(SavedMixin):
    """``merge``, ``+``, ``sum()``, ``empty_copy``, ``save`` and ``load`` of an estimator.

    The estimator names the attribute of its :class:`LinearState` (``_state_name``), says what else
    must agree (:meth:`_merge_settings`) and drops what it has computed from the state
    (:meth:`_state_changed`). Scikit-learn's own attributes, of the number and names of features,
    are taken care of here.
    """

    _state_name: str
    # Whether any few rows decide all that shards of a stream share: the features and their names.
    _begins_with_few_rows = True

    def _merge_settings(self) -> dict[str, Any]:
        """Return what must agree besides the settings of the state: parameters, fitted models."""
        return {}

    def _state_changed(self) -> None:
        """Drop what depends on the content of the state."""

    def _gather(self, X: Any, y: Any = None, **given: Any) -> Self:
        """Add rows as partial_fit does; what is computed of all rows may be left for later."""
        return cast(Any, self).partial_fit(X, y, **given)

    def _check_merge(self, other: Self) -> None:
        """Raise if this estimator cannot merge at all, as it is."""

    def _stream_state(self) -> LinearState:
        check_is_fitted(self)
        return getattr(self, self._state_name)

    @property
    def n_samples_seen_(self) -> int:
        """Number of rows seen: those of the last ``fit``, and all passed or merged since."""
        return self._stream_state().n_samples

    @all_or_nothing
    def merge(self, other: Self, *, shard_id: str | int | None = None) -> Self:
        """Add the rows seen by another estimator, as if they had been passed to partial_fit.

        Parameters
        ----------
        other : same type
            An estimator fitted with the same parameters and the same int ``random_state``. It is
            not changed.
        shard_id : str, int or None, default=None
            A name for the rows in `other`. A shard that has been merged already is refused, so
            that a task that is retried cannot count its rows twice.

        Returns
        -------
        self : object
            The estimator with the rows of both.

        Raises
        ------
        TypeError
            If `other` is of another type.
        ValueError
            If the two differ in anything but the rows seen, including the number or the names of
            the features, or if a shard would be counted twice. The message gives both values, and
            this estimator is left as it was.
        """
        state = self._stream_state()
        if not isinstance(other, type(self)):
            raise TypeError(f"Can only merge a {type(self).__name__}, got {type(other).__name__}.")
        theirs = other._stream_state()
        self._check_merge(other)
        check_same(_features(self, other), _features(other, self))
        check_same(self._merge_settings(), other._merge_settings())
        names = _merged_names(self, other)
        state.merge(theirs, shard_id=shard_id)
        if names is not None:
            self.term_names_ = names
        self._state_changed()
        return self

    def empty_copy(self) -> Self:
        """Return a copy that has seen no rows, to be used for a shard of the stream.

        The copy measures rows in the same way. After ``partial_fit`` it can therefore be merged
        with this estimator and with other copies.

        Returns
        -------
        estimator : object
            An estimator of the same type, with the same parameters.
        """
        state = self._stream_state()
        with locked(self):
            empty = object.__new__(type(self))
            vars(empty).update(vars(self))
            setattr(empty, self._state_name, state.empty())
            empty._state_changed()
        return empty

    def __copy__(self) -> Self:
        # With a state of its own: rows passed to a copy are none of this estimator's.
        with locked(self):
            new = object.__new__(type(self))
            vars(new).update(vars(self))
            if self._state_name in vars(self):
                setattr(new, self._state_name, copy(vars(self)[self._state_name]))
        return new

    def __add__(self, other: Self) -> Self:
        if type(other) is not type(self):
            return NotImplemented
        return self.empty_copy().merge(self).merge(other)

    def __radd__(self, other: int) -> Self:
        # The zero that sum() starts with.
        if isinstance(other, int) and other == 0:
            return self.empty_copy().merge(self)
        return NotImplemented


def _merged_names(estimator, other):
    """Return the names of hashed features that either knows, or None."""
    mine, theirs = (vars(e).get("term_names_") for e in (estimator, other))
    if mine is None or theirs is None or mine is theirs:
        return mine if theirs is None else theirs
    return deepcopy(mine).merge(theirs)


def _features(estimator, other):
    """Return the number of features and, where both know them, their names."""
    features = {"n_features": getattr(estimator, "n_features_in_", None)}
    if all(hasattr(e, "feature_names_in_") for e in (estimator, other)):
        features["feature_names_in_"] = estimator.feature_names_in_.tolist()
    return features
