"""How the rows of a model were read: kept with it, so that rows that come later are read alike."""

import argparse
from typing import Any

# The attribute of a model, a dictionary of the options below that were given. Models of earlier
# releases, and those of Python, have none: nothing is known of their rows.
READ_AS = "_rows_read_as"
# What values are: rows of two kinds do not go together.
_VALUES = {"log_counts": "--log-counts", "zero_based": "--zero-based"}
# Where values lie. Columns that are left out may be named by what stays or by what goes.
_PLACES = {
    "layer": "--layer",
    "dataset": "--dataset",
    "n_features": "--n-features",
    "columns": "--columns",
    "drop": "--drop",
}
_FLAGS = _VALUES | _PLACES
_EITHER = {"columns": "drop", "drop": "columns"}


def remember(model: Any, options: argparse.Namespace, batches: Any) -> None:
    """Keep with a model how its rows are read; of text, its vectoriser knows."""
    is_text = batches.vectorizer is not None
    setattr(model, READ_AS, {} if is_text else _given(options))


def read_as(model: Any) -> dict[str, Any] | None:
    """Return the options that a model was fitted with, or None if nothing is known of them."""
    return vars(model).get(READ_AS)


def as_flags(given: dict[str, Any]) -> str:
    """Return options as they are typed."""
    texts = (f"{_FLAGS[k]} {v}" if v is not True else _FLAGS[k] for k, v in given.items())
    return " ".join(texts)


def as_fitted(options: argparse.Namespace, model: Any, path: str) -> argparse.Namespace:
    """Return options with those that the model was fitted with; refuse what contradicts them."""
    known, given = read_as(model), _given(options)
    if known is None or options.as_given:
        return options
    for name, flag in _FLAGS.items():
        here, there = given.get(name), known.get(name)
        if here != there and here is not None and (name in _VALUES or there is not None):
            was = f"with {as_flags({name: there})}" if there is not None else f"without {flag}"
            raise ValueError(
                f"{path} was fitted {was}, got {as_flags({name: here})}. Leave it out to read rows "
                "as fit did. If these rows are stored in another way than those of the fit, add "
                "--as-given, which reads them by the options given here alone."
            )
    taken = {k: v for k, v in known.items() if k not in given and _EITHER.get(k) not in given}
    return argparse.Namespace(**(vars(options) | taken))


def check_read_alike(first: Any, second: Any, paths: tuple[str, str]) -> None:
    """Raise ValueError if rows of two models were read in ways that do not add up."""
    mine, theirs = read_as(first), read_as(second)
    if mine is None or theirs is None:
        return
    names = [*_VALUES, "layer"]
    if not all(hasattr(model, "feature_names_in_") for model in (first, second)):
        names.append("columns")  # by names they are compared anyway
    for name in names:
        if mine.get(name) != theirs.get(name):
            said = [
                f"with {as_flags({name: given[name]})}" if name in given else f"without {flag}"
                for given, flag in ((mine, _FLAGS[name]), (theirs, _FLAGS[name]))
            ]
            raise ValueError(
                f"{paths[0]} was fitted {said[0]} and {paths[1]} {said[1]}: rows of different "
                "kinds do not add up. Fit both with the same options."
            )


def _given(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in _FLAGS}
    return {name: value for name, value in given.items() if value not in (None, False)}
