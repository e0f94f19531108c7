"""Comparisons that raise ``AssertionError`` with both sides in the message."""

import numpy as np
import scipy.sparse as sp

# What is compared of two fits, as far as there is any.
FITTED = ("components_", "explained_variance_", "mean_")
METHODS = ("transform", "score_samples", "predict")


def as_dense(A):
    return A.toarray() if sp.issparse(A) else np.asarray(A)


def assert_close(actual, desired, what, rtol):
    """Raise unless the two agree to `rtol` of the largest entry."""
    actual, desired = as_dense(actual), as_dense(desired)
    if actual.shape != desired.shape:
        raise AssertionError(f"{what}: shape {actual.shape} against {desired.shape}.")
    gap = np.abs(actual - desired)
    allowed = rtol * np.abs(desired).max(initial=0.0)
    if not gap.max(initial=0.0) <= allowed:  # so that NaN fails
        place = np.unravel_index(np.argmax(gap), gap.shape)
        raise AssertionError(
            f"{what}: {actual[place]!r} against {desired[place]!r} at {tuple(map(int, place))}, a "
            f"difference of {gap[place]:.3g} where {allowed:.3g} is allowed."
        )


def assert_same_bytes(actual, desired, what):
    if actual != desired:
        place = next(
            (i for i, (a, b) in enumerate(zip(actual, desired, strict=False)) if a != b),
            min(len(actual), len(desired)),
        )
        raise AssertionError(
            f"{what}: {len(actual)} bytes against {len(desired)}, the first difference at {place}: "
            f"{actual[place : place + 8]!r} against {desired[place : place + 8]!r}."
        )


def assert_raises(call, what):
    """Return the message of the ValueError that `call` must raise."""
    try:
        result = call()
    except ValueError as error:
        return str(error)
    raise AssertionError(f"{what}: expected a ValueError, got {result!r}.")


def assert_same_sketch(actual, desired, what, rtol, count=True):
    """Compare all that can be read from two sketches; `count` says whether to compare n_samples."""
    if count and actual.n_samples != desired.n_samples:
        raise AssertionError(f"{what}: n_samples {actual.n_samples} against {desired.n_samples}.")
    assert_close(actual.weight, desired.weight, f"{what}: weight", rtol)
    for name in ("matrix", "measured_mean", "feature_mean", "feature_variance", "total_variance"):
        found, expected = getattr(actual, name)(), getattr(desired, name)()
        if expected is None or found is None:
            if found is not expected:
                raise AssertionError(f"{what}: {name}() {found!r} against {expected!r}.")
            continue
        assert_close(found, expected, f"{what}: {name}()", rtol)


def assert_same_fit(actual, desired, X, what, rtol, count=True):
    if count and actual.n_samples_seen_ != desired.n_samples_seen_:
        raise AssertionError(
            f"{what}: n_samples_seen_ {actual.n_samples_seen_} against {desired.n_samples_seen_}."
        )
    for name in FITTED:
        if hasattr(desired, name):
            found, expected = getattr(actual, name), getattr(desired, name)
            assert_close(found, expected, f"{what}: {name}", rtol)
    for name in METHODS:
        if hasattr(desired, name):
            found, expected = getattr(actual, name)(X), getattr(desired, name)(X)
            assert_close(found, expected, f"{what}: {name}(X)", rtol)
