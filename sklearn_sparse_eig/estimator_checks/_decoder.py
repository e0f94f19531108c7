"""The laws of a support decoder."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..recovery import Decoder, DecoderName, make_decoder
from ..sketching import Measurement, make_measurement
from ._compare import as_dense, assert_close


def check_decoder_exact_case(
    decoder: DecoderName | Decoder,
    measurement: Measurement | None = None,
    *,
    n_rows: int = 12,
    random_state: int = 0,
) -> None:
    """Check that the support of a row-sparse matrix is found from its noiseless measurement.

    Parameters
    ----------
    decoder : str or Decoder
    measurement : Measurement, default=None
        Measurement to decode. None takes 32 sparse-sign measurements per nonzero row of 2000.
    n_rows : int, default=12
        Rows of the support, a third of them in each of three columns.
    random_state : int, default=0
    """
    decoder, rng = make_decoder(decoder), np.random.default_rng(random_state)
    if measurement is None:
        measurement = make_measurement("sparse_sign", 2000, 32 * n_rows, seed=random_state)
    ids, F = _row_sparse(measurement, n_rows, rng)
    Q = as_dense(measurement.columns(ids)).T @ F
    found = decoder.decode(measurement, Q, n_rows)
    if not np.array_equal(found, ids):
        raise AssertionError(f"Found the rows {found.tolist()}, planted were {ids.tolist()}.")


def check_decoder_contract(
    decoder: DecoderName | Decoder, measurement: Measurement | None = None, *, random_state: int = 0
) -> None:
    """Check that for noise a decoder returns at most `size` sorted ids, each once, reproducibly.

    Parameters
    ----------
    decoder : str or Decoder
    measurement : Measurement, default=None
        Measurement to decode. None takes 120 sparse-sign measurements of 500 features.
    random_state : int, default=0
    """
    decoder, rng = make_decoder(decoder), np.random.default_rng(random_state)
    if measurement is None:
        measurement = make_measurement("sparse_sign", 500, 120, seed=random_state)
    Q = rng.standard_normal((measurement.n_measurements, 2))
    kept = Q.copy()
    for size in (6, None):
        ids = decoder.decode(measurement, Q, size)
        again = decoder.decode(measurement, Q, size)
        if not np.array_equal(ids, again):
            raise AssertionError(f"Two calls found {ids.tolist()} and {again.tolist()}.")
        good = ids.dtype.kind == "i" and np.array_equal(ids, np.unique(ids))
        if not good or len(ids) > (size or len(Q)):
            raise AssertionError(f"Not at most {size} sorted integers: {ids!r}.")
        if len(ids) and not (ids[0] >= 0 and ids[-1] < measurement.n_features):
            raise AssertionError(f"Ids outside [0, {measurement.n_features}): {ids!r}.")
    assert_close(Q, kept, "Q after decoding", 0.0)


def yield_decoder_checks(decoder: DecoderName | Decoder) -> Iterator[partial[None]]:
    """Yield all checks of a support decoder, as callables without arguments."""
    for check in (check_decoder_exact_case, check_decoder_contract):
        yield partial(check, decoder)


def _row_sparse(measurement, n_rows, rng):
    """Draw a support and entries of magnitude 1 to 2 on it, each row in one of three columns."""
    ids = np.sort(rng.choice(measurement.n_features, n_rows, replace=False))
    F = np.zeros((n_rows, 3))
    entries = rng.uniform(1.0, 2.0, n_rows) * rng.choice([-1.0, 1.0], n_rows)
    F[np.arange(n_rows), rng.permutation(n_rows) % 3] = entries
    return ids, F
