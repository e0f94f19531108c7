"""The laws of a measurement: M is one linear map however it is used."""

import json
from collections.abc import Iterator
from functools import partial

import numpy as np

from ..sketching import Measurement, from_spec, make_measurement
from ._compare import as_dense, assert_close
from ._draw import EXPLICIT, csr_rows, some_ids


def check_measurement_adjoint(
    measurement: Measurement, *, random_state: int = 0, rtol: float = 1e-12
) -> None:
    """Check <M u, v> = <u, M^T v> for sparse u and any v.

    Parameters
    ----------
    measurement : Measurement
    random_state : int, default=0
    rtol : float, default=1e-12
        Relative to the norms of the two vectors.
    """
    rng = np.random.default_rng(random_state)
    ids = some_ids(measurement.n_features, rng, 40)
    u, v = rng.standard_normal(len(ids)), rng.standard_normal(measurement.n_measurements)
    row = csr_rows(u[None, :], ids, measurement.n_features)
    left = float(measurement.measure(row)[0] @ v)
    right = float(u @ measurement.adjoint(v[:, None], ids)[:, 0])
    gap, allowed = abs(left - right), rtol * np.linalg.norm(u) * np.linalg.norm(v)
    if not gap <= allowed:
        raise AssertionError(
            f"<M u, v> = {left!r} but <u, M^T v> = {right!r}: they differ by {gap:.3g}, allowed "
            f"are {allowed:.3g}."
        )


def check_measurement_columns(
    measurement: Measurement, *, random_state: int = 0, rtol: float = 1e-12
) -> None:
    """Check that every way to use M agrees with the matrix that its columns make.

    Those are dense and CSR rows, sparse results, the adjoint, its energies and, where M has few
    columns, M diag(d) M^T.

    Parameters
    ----------
    measurement : Measurement
    random_state : int, default=0
    rtol : float, default=1e-12
    """
    rng = np.random.default_rng(random_state)
    N, m = measurement.n_features, measurement.n_measurements
    explicit = N <= EXPLICIT
    ids = np.arange(N) if explicit else some_ids(N, rng, 200)
    M = as_dense(measurement.columns(ids)).T
    if M.shape != (m, len(ids)):
        raise AssertionError(
            f"columns of {len(ids)} ids have shape {M.T.shape}, expected {(len(ids), m)}."
        )
    shuffled = rng.permutation(len(ids))
    again = as_dense(measurement.columns(ids[shuffled])).T
    assert_close(again, M[:, shuffled], "columns of permuted ids", 0.0)

    values = rng.standard_normal((5, len(ids))) * (rng.random((5, len(ids))) < 0.3)
    rows = csr_rows(values, ids, N)
    assert_close(measurement.measure(rows), values @ M.T, "measure(CSR rows)", rtol)
    assert_close(measurement.measure_sparse(rows), values @ M.T, "measure_sparse", rtol)
    R = rng.standard_normal((m, 3))
    assert_close(measurement.adjoint(R, ids), M.T @ R, "adjoint", rtol)
    for start, stop in ((0, min(N, 100)), (max(N - 100, 0), N)):
        window = as_dense(measurement.columns(np.arange(start, stop))) @ R
        energy = measurement.adjoint_energy(R, start, stop)
        assert_close(energy, np.square(window).sum(axis=1), "adjoint_energy", rtol)
    if not explicit:
        return
    for order in ("C", "F"):
        dense = np.asarray(values, order=order)
        assert_close(measurement.measure(dense), values @ M.T, f"measure({order} rows)", rtol)
    other = make_measurement("sparse_sign", N, 24, seed=random_state + 1)
    Omega = as_dense(other.columns(ids)).T
    diag = rng.random(N)
    for right, matrix in ((measurement, M), (other, Omega)):
        assert_close(measurement.cross_gram(right), M @ matrix.T, "cross_gram", rtol)
        weighted = measurement.cross_gram(right, diag)
        assert_close(weighted, (M * diag) @ matrix.T, "cross_gram with a diagonal", rtol)


def check_measurement_spec(measurement: Measurement, *, random_state: int = 0) -> None:
    """Check that the settings decide M: rebuilt from its spec, in JSON, it has the same columns.

    Parameters
    ----------
    measurement : Measurement
        A measurement of a registered class.
    random_state : int, default=0
    """
    spec = measurement.spec()
    rebuilt = from_spec(json.loads(json.dumps(spec)))
    if rebuilt.spec() != spec or rebuilt != measurement or hash(rebuilt) != hash(measurement):
        raise AssertionError(
            f"Rebuilt from its spec it is {rebuilt!r}, but it was {measurement!r}."
        )
    ids = some_ids(measurement.n_features, np.random.default_rng(random_state), 50)
    assert_close(rebuilt.columns(ids), measurement.columns(ids), "columns once rebuilt", 0.0)


def yield_measurement_checks(measurement: Measurement) -> Iterator[partial[None]]:
    """Yield all checks of a measurement, as callables without arguments."""
    for check in (check_measurement_adjoint, check_measurement_columns, check_measurement_spec):
        yield partial(check, measurement)
