"""The laws of an estimator of a stream: batches, shards and weights give one fit."""

import pickle
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import numpy as np
import scipy.sparse as sp
from sklearn.base import clone

from ._compare import FITTED, METHODS, as_dense, assert_close, assert_raises, assert_same_fit
from ._draw import cut, estimator_rows
from ._state import (
    check_failed_refit_keeps_fit,
    check_readers_beside_writer,
    check_unchanged_on_error,
    yield_state_checks,
)


def check_estimator_batches(
    estimator: Any, X: Any = None, *, random_state: int = 0, rtol: float = 1e-7
) -> None:
    """Check that ``partial_fit`` in any batches gives what one-pass ``fit`` gives.

    Parameters
    ----------
    estimator : estimator
        Unfitted estimator with an int ``random_state``. It is not changed. An estimator with a
        parameter ``refine`` is fitted with ``refine="sketch"``, that is, in one pass.
    X : ndarray or CSR array of shape (n, n_features), default=None
        At least 10 rows. None takes 240 dense rows of 60 features.
    random_state : int, default=0
        Seed of the rows, if X is None.
    rtol : float, default=1e-7
        Relative tolerance for ``components_``, ``explained_variance_``, ``n_samples_seen_`` and the
        results of ``transform``, ``score_samples`` and ``predict``, as far as these exist.
    """
    X = estimator_rows(X, random_state)
    expected = _one_pass(estimator).fit(X)
    n = X.shape[0]
    for ends in ([n // 2], [2, 3, n - 1], [*range(7, n, 7)]):
        parts = _partial_fit(clone(estimator), cut(X, ends))
        assert_same_fit(parts, expected, X, f"partial_fit cut at {ends}", rtol)


def check_estimator_resume(estimator: Any, X: Any = None, *, random_state: int = 0) -> None:
    """Check that an estimator pickled between two batches goes on as one never interrupted.

    Parameters
    ----------
    estimator, X, random_state
        Arguments of :func:`check_estimator_batches`. Equality is to the bit.
    """
    X = estimator_rows(X, random_state)
    batches = cut(X, [X.shape[0] // 3])
    expected = _partial_fit(clone(estimator), batches)
    resumed = pickle.loads(pickle.dumps(clone(estimator).partial_fit(batches[0])))
    assert_same_fit(resumed.partial_fit(batches[1]), expected, X, "resumed by pickle", 0.0)


def check_estimator_merge(
    estimator: Any, X: Any = None, *, random_state: int = 0, rtol: float = 1e-7
) -> None:
    """Check that merged shards give what one ``partial_fit`` gives, and others are refused.

    Parameters
    ----------
    estimator, X, random_state, rtol
        Arguments of :func:`check_estimator_batches`.
    """
    X = estimator_rows(X, random_state)
    n = X.shape[0]
    expected = clone(estimator).partial_fit(X)
    batches = cut(X, [1, n // 2])  # a shard of a single row counts too
    for order in (batches, batches[::-1]):
        first, *others = [clone(estimator).partial_fit(rows) for rows in order]
        for other in others:
            seen = other.n_samples_seen_
            result = first.merge(other)
            if result is not first or other.n_samples_seen_ != seen:
                raise AssertionError(
                    f"merge returned {result!r} rather than itself, or changed the other from "
                    f"{seen} rows to {other.n_samples_seen_}."
                )
        assert_same_fit(first, expected, X, "merged shards", rtol)
    narrow = clone(estimator).partial_fit(X[:, : X.shape[1] - 1])
    assert_raises(partial(first.merge, narrow), "merge of another number of features")
    assert_same_fit(first, expected, X, "after a refused merge", rtol)


def check_estimator_weights(
    estimator: Any, X: Any = None, *, random_state: int = 0, rtol: float = 1e-7
) -> None:
    """Check that an integer weight of a row is its repetition, in ``partial_fit`` and ``fit``.

    Parameters
    ----------
    estimator, X, random_state, rtol
        Arguments of :func:`check_estimator_batches`.

    Notes
    -----
    ``n_samples_seen_``, which weights do not change, is not compared.
    """
    X = estimator_rows(X, random_state)
    weights = 1 + np.arange(X.shape[0]) % 3
    repeated = X[np.repeat(np.arange(X.shape[0]), weights)]
    for method in ("fit", "partial_fit"):
        weighted = getattr(clone(estimator), method)(X, sample_weight=weights)
        expected = getattr(clone(estimator), method)(repeated)
        assert_same_fit(weighted, expected, X, f"weights in {method}", rtol, count=False)


def check_estimator_sparse_rows(
    estimator: Any, X: Any = None, *, random_state: int = 0, rtol: float = 1e-7
) -> None:
    """Check that CSR rows, with 32- and 64-bit indices, give what dense rows give.

    Parameters
    ----------
    estimator, X, random_state, rtol
        Arguments of :func:`check_estimator_batches`.
    """
    X = estimator_rows(X, random_state)
    dense, sparse = (X.toarray(), X) if sp.issparse(X) else (X, sp.csr_array(X))
    wide = sp.csr_array(sparse)
    wide.indices, wide.indptr = sparse.indices.astype(np.int64), sparse.indptr.astype(np.int64)
    expected = clone(estimator).partial_fit(dense)
    for rows in (sparse, wide):
        found = clone(estimator).partial_fit(rows)
        assert_same_fit(found, expected, dense, f"CSR of {rows.indices.dtype} indices", rtol)
        assert_same_fit(found, expected, rows, "used on CSR rows", rtol)


def check_estimator_signs(estimator: Any, X: Any = None, *, random_state: int = 0) -> None:
    """Check that components are unit vectors whose entry of largest magnitude is positive.

    Parameters
    ----------
    estimator, X, random_state
        Arguments of :func:`check_estimator_batches`.
    """
    components = as_dense(clone(estimator).fit(estimator_rows(X, random_state)).components_)
    assert_close(np.linalg.norm(components, axis=1), np.ones(len(components)), "norms", 1e-12)
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    if not (largest > 0).all():
        raise AssertionError(
            f"The entries of largest magnitude are {largest.ravel()}, not all > 0."
        )


def check_estimator_bad_input(estimator: Any, X: Any = None, *, random_state: int = 0) -> None:
    """Check that a refused ``fit`` or ``partial_fit`` leaves the fit as it was, to the bit.

    Parameters
    ----------
    estimator, X, random_state
        Arguments of :func:`check_estimator_batches`.
    """
    X = estimator_rows(X, random_state)
    fitted, expected = clone(estimator).partial_fit(X), clone(estimator).partial_fit(X)
    holes = X.astype(np.float64)
    (holes.data if sp.issparse(X) else holes.ravel())[-1] = np.nan
    for what, call in {
        "NaN in partial_fit": partial(fitted.partial_fit, holes),
        "another width in partial_fit": partial(fitted.partial_fit, X[:, :-1]),
        "NaN in fit": partial(fitted.fit, holes),
        "a single row in fit": partial(fitted.fit, X[:1]),
    }.items():
        assert_raises(call, what)
        assert_same_fit(fitted, expected, X, f"after {what}", 0.0)


def yield_estimator_checks(estimator: Any, X: Any = None) -> Iterator[partial[None]]:
    """Yield all checks of an estimator with ``partial_fit`` and ``merge``.

    Parameters
    ----------
    estimator : estimator
        Unfitted estimator with an int ``random_state``. It is not changed.
    X : ndarray or CSR array of shape (n, n_features), default=None
        At least 10 rows.

    Yields
    ------
    callable
        A check without arguments. ``components_`` and CSR rows are checked if the estimator has
        or accepts them.
    """
    checks = [check_estimator_batches, check_estimator_resume, check_estimator_weights]
    # Which rows are the latest is not known between shards, so forgetting does not merge.
    forgets_nothing = getattr(estimator, "forgetting", 1.0) == 1.0
    if forgets_nothing:
        checks.append(check_estimator_merge)
    if estimator.__sklearn_tags__().input_tags.sparse:
        checks.append(check_estimator_sparse_rows)
    if hasattr(type(estimator), "components_"):
        checks.append(check_estimator_signs)
    checks.append(check_estimator_bad_input)
    for check in checks:
        yield partial(check, estimator, X)
    X = estimator_rows(X, 0)
    make, fit, n = partial(clone, estimator), _call("fit", X), X.shape[0]
    yield partial(check_failed_refit_keeps_fit, make, fit, {"complex rows": _call("fit", X * 1j)})
    yield partial(check_unchanged_on_error, partial(_fitted, estimator, X), fit, max_lines=60)
    for check in yield_state_checks(
        make,
        lambda trial, rows: trial.partial_fit(rows),
        cut(X, [n // 3, 2 * n // 3]),
        partial(_readings, X=X),
        merges=forgets_nothing,
    ):
        if check.func is check_readers_beside_writer:
            # One attribute is whole; several, read one after another, may be of two batches.
            check = partial(cast(Any, check.func), *check.args[:-1], _one_reading)
        yield check


def _one_reading(estimator):
    if hasattr(type(estimator), "components_"):
        return as_dense(estimator.components_)
    return np.array([estimator.n_samples_seen_])


def check_sketch_estimator(estimator: Any, X: Any = None) -> None:
    """Run all checks of :func:`yield_estimator_checks`.

    Parameters
    ----------
    estimator, X
        Arguments of :func:`yield_estimator_checks`.

    Raises
    ------
    AssertionError
        If a law does not hold. The message shows both sides of the first such law.
    """
    for check in yield_estimator_checks(estimator, X):
        check()


def _one_pass(estimator):
    estimator = clone(estimator)
    return estimator.set_params(refine="sketch") if hasattr(estimator, "refine") else estimator


def _partial_fit(estimator, batches):
    for rows in batches:
        estimator.partial_fit(rows)
    return estimator


def _call(method, X):
    """Return a function that calls a method of an estimator with the rows."""
    return lambda estimator: getattr(estimator, method)(X)


def _fitted(estimator, X):
    return clone(estimator).fit(X)


def _readings(estimator, X):
    """Return all that is compared of a fit, in one vector."""
    parts = [getattr(estimator, name) for name in FITTED if hasattr(estimator, name)]
    parts += [getattr(estimator, name)(X) for name in METHODS if hasattr(estimator, name)]
    return np.concatenate([as_dense(part).ravel() for part in parts])
