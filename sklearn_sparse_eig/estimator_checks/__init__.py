"""The laws of the library as functions: run them on a measurement, sketch or estimator of your own.

Every check takes the object (or, for sketches, a factory of empty ones), compares two ways to the
same answer, and raises ``AssertionError`` with both sides in the message. The ``yield_*`` functions
give all checks that apply, as callables without arguments whose ``func.__name__`` tells the law.

Rows may be given as `X`, dense or CSR; without it the checks draw some that suit the number of
features, CSR where that number is large. Comparisons are relative to the largest entry.

Examples
--------
A measurement of one's own, checked and then used:

>>> import numpy as np
>>> import scipy.sparse as sp
>>> from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
>>> from sklearn_sparse_eig.estimator_checks import (
...     check_sketch_definition,
...     check_sketch_estimator,
...     yield_measurement_checks,
...     yield_sketch_checks,
... )
>>> from sklearn_sparse_eig.sketching import Measurement, register
>>> @register
... class EveryNth(Measurement):
...     '''One 1 per column: feature j is added to row j mod m.'''
...     name = "every_nth"
...     def columns(self, ids):
...         ids = np.asarray(ids)
...         parts = np.ones(len(ids)), ids % self.n_measurements, np.arange(len(ids) + 1)
...         return sp.csr_array(parts, shape=(len(ids), self.n_measurements))
>>> measurement = EveryNth(n_features=50, n_measurements=20)
>>> for check in yield_measurement_checks(measurement):
...     check()
>>> check_sketch_definition(
...     lambda: EigenSketch(50, n_measurements=20, measurement=measurement, random_state=0)
... )

All laws of a sketch, and of an estimator:

>>> for check in yield_sketch_checks(
...     lambda: EigenSketch(50, n_measurements=16, range_size=8, random_state=0)
... ):
...     check()
>>> check_sketch_estimator(SketchedSparsePCA(n_components=2, random_state=0))

With pytest, ``@pytest.mark.parametrize("check", yield_sketch_checks(make_sketch))`` makes one test
of each law.
"""

import json
import pickle
from functools import partial

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator
from sklearn.base import clone

from ..recovery import make_decoder
from ..sketching import from_spec, make_measurement

__all__ = [
    "check_decoder_contract",
    "check_decoder_exact_case",
    "check_estimator_bad_input",
    "check_estimator_batches",
    "check_estimator_merge",
    "check_estimator_resume",
    "check_estimator_signs",
    "check_estimator_sparse_rows",
    "check_estimator_weights",
    "check_measurement_adjoint",
    "check_measurement_columns",
    "check_measurement_spec",
    "check_sketch_bad_input",
    "check_sketch_batching",
    "check_sketch_bytes",
    "check_sketch_definition",
    "check_sketch_deletion",
    "check_sketch_entries",
    "check_sketch_estimator",
    "check_sketch_forgetting",
    "check_sketch_linearity",
    "check_sketch_merge",
    "check_sketch_merge_refuses",
    "check_sketch_resume",
    "check_sketch_seed",
    "check_sketch_weights",
    "yield_decoder_checks",
    "yield_estimator_checks",
    "yield_measurement_checks",
    "yield_sketch_checks",
]

# Up to this many features a matrix of all columns is at hand, and rows are drawn dense.
_EXPLICIT = 4096


# ------------------------------------------------------------------------------------ measurements


def check_measurement_adjoint(measurement, *, random_state=0, rtol=1e-12):
    """Check <M u, v> = <u, M^T v> for sparse u and any v.

    Parameters
    ----------
    measurement : Measurement
    random_state : int, default=0
    rtol : float, default=1e-12
        Relative to the norms of the two vectors.
    """
    rng = np.random.default_rng(random_state)
    ids = _some_ids(measurement.n_features, rng, 40)
    u, v = rng.standard_normal(len(ids)), rng.standard_normal(measurement.n_measurements)
    row = _csr_rows(u[None, :], ids, measurement.n_features)
    left = float(measurement.measure(row)[0] @ v)
    right = float(u @ measurement.adjoint(v[:, None], ids)[:, 0])
    gap, allowed = abs(left - right), rtol * np.linalg.norm(u) * np.linalg.norm(v)
    if not gap <= allowed:
        raise AssertionError(
            f"<M u, v> = {left!r} but <u, M^T v> = {right!r}: they differ by {gap:.3g}, allowed "
            f"are {allowed:.3g}."
        )


def check_measurement_columns(measurement, *, random_state=0, rtol=1e-12):
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
    explicit = N <= _EXPLICIT
    ids = np.arange(N) if explicit else _some_ids(N, rng, 200)
    M = _dense(measurement.columns(ids)).T
    if M.shape != (m, len(ids)):
        raise AssertionError(
            f"columns of {len(ids)} ids have shape {M.T.shape}, expected {(len(ids), m)}."
        )
    shuffled = rng.permutation(len(ids))
    again = _dense(measurement.columns(ids[shuffled])).T
    _assert_close(again, M[:, shuffled], "columns of permuted ids", 0.0)

    values = rng.standard_normal((5, len(ids))) * (rng.random((5, len(ids))) < 0.3)
    rows = _csr_rows(values, ids, N)
    _assert_close(measurement.measure(rows), values @ M.T, "measure(CSR rows)", rtol)
    _assert_close(measurement.measure_sparse(rows), values @ M.T, "measure_sparse", rtol)
    R = rng.standard_normal((m, 3))
    _assert_close(measurement.adjoint(R, ids), M.T @ R, "adjoint", rtol)
    for start, stop in ((0, min(N, 100)), (max(N - 100, 0), N)):
        window = _dense(measurement.columns(np.arange(start, stop))) @ R
        energy = measurement.adjoint_energy(R, start, stop)
        _assert_close(energy, np.square(window).sum(axis=1), "adjoint_energy", rtol)
    if not explicit:
        return
    for order in ("C", "F"):
        dense = np.asarray(values, order=order)
        _assert_close(measurement.measure(dense), values @ M.T, f"measure({order} rows)", rtol)
    other = make_measurement("sparse_sign", N, 24, seed=random_state + 1)
    Omega = _dense(other.columns(ids)).T
    diag = rng.random(N)
    for right, matrix in ((measurement, M), (other, Omega)):
        _assert_close(measurement.cross_gram(right), M @ matrix.T, "cross_gram", rtol)
        weighted = measurement.cross_gram(right, diag)
        _assert_close(weighted, (M * diag) @ matrix.T, "cross_gram with a diagonal", rtol)


def check_measurement_spec(measurement, *, random_state=0):
    """Check that the settings decide M: rebuilt from its spec, in JSON, it has the same columns.

    Parameters
    ----------
    measurement : Measurement
        Of a registered class.
    random_state : int, default=0
    """
    spec = measurement.spec()
    rebuilt = from_spec(json.loads(json.dumps(spec)))
    if rebuilt.spec() != spec or rebuilt != measurement or hash(rebuilt) != hash(measurement):
        raise AssertionError(
            f"Rebuilt from its spec it is {rebuilt!r}, but it was {measurement!r}."
        )
    ids = _some_ids(measurement.n_features, np.random.default_rng(random_state), 50)
    _assert_close(rebuilt.columns(ids), measurement.columns(ids), "columns once rebuilt", 0.0)


def yield_measurement_checks(measurement):
    """Yield all checks of a measurement, as callables without arguments."""
    for check in (check_measurement_adjoint, check_measurement_columns, check_measurement_spec):
        yield partial(check, measurement)


# ---------------------------------------------------------------------------------------- sketches


def check_sketch_definition(make_sketch, X=None, *, random_state=0, rtol=1e-10):
    """Check that the sketch of weighted rows is S = M A Omega^T, from explicit matrices.

    Parameters
    ----------
    make_sketch : callable
        Returns an empty sketch, always with the same seed.
    X : ndarray or CSR array of shape (n, n_features), default=None
    random_state : int, default=0
    rtol : float, default=1e-10
    """
    sketch, X, rng = _begin(make_sketch, X, random_state)
    weights = rng.uniform(0.5, 2.0, X.shape[0])
    ids = np.unique(X.indices) if sp.issparse(X) else np.arange(X.shape[1])
    rows = _dense(_compress(X, ids)) if sp.issparse(X) else np.asarray(X, np.float64)
    if sketch.center:
        rows = rows - np.average(rows, axis=0, weights=weights)
    M = _dense(sketch.measurement.columns(ids))
    Omega = _dense(sketch.test.columns(ids))
    expected = ((rows @ M).T * weights) @ (rows @ Omega) / weights.sum()
    sketch.update(X, sample_weight=weights)
    _assert_close(sketch.matrix(), expected, "matrix() against M A Omega^T", rtol)


def check_sketch_linearity(make_sketch, X=None, *, random_state=0, rtol=1e-10):
    """Check that the sketch is linear in second moments.

    That is S(X + Y) + S(X - Y) = 2 S(X) + 2 S(Y), which holds centred or not, and
    S(c X) = c^2 S(X).

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        As in :func:`check_sketch_definition`.
    """
    _, X, _ = _begin(make_sketch, X, random_state)
    half = X.shape[0] // 2
    X, Y = (part.astype(np.float64) for part in (X[:half], X[half : 2 * half]))

    def matrix(rows):
        return make_sketch().update(rows).matrix()

    sums = matrix(X + Y) + matrix(X - Y)
    _assert_close(sums, 2 * matrix(X) + 2 * matrix(Y), "S(X + Y) + S(X - Y)", rtol)
    _assert_close(matrix(-3.0 * X), 9.0 * matrix(X), "S(-3 X)", rtol)


def check_sketch_batching(make_sketch, X=None, *, random_state=0, rtol=1e-10):
    """Check that batches of any size, empty ones included, in any order, give the same sketch.

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        As in :func:`check_sketch_definition`.
    """
    whole, X, rng = _begin(make_sketch, X, random_state)
    whole.update(X)
    n = X.shape[0]
    for ends in ([*range(1, n)], [0, 1], [n // 3, n // 3, n - 1, n]):
        batches = _cut(X, ends)
        for order in (range(len(batches)), rng.permutation(len(batches))):
            parts = make_sketch()
            for i in order:
                parts.update(batches[i])
            _assert_same_sketch(parts, whole, f"batches cut at {ends}", rtol)
    shuffled = make_sketch().update(X[rng.permutation(n)])
    _assert_same_sketch(shuffled, whole, "permuted rows", rtol)


def check_sketch_merge(make_sketch, X=None, *, random_state=0, rtol=1e-10):
    """Check that merged shards are one sketch, in any order, with empty shards neutral.

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        As in :func:`check_sketch_definition`.
    """
    whole, X, _ = _begin(make_sketch, X, random_state)
    whole.update(X)
    n = X.shape[0]
    batches = _cut(X, [0, n // 5, n // 2])
    for order in (batches, batches[::-1]):
        shards = [make_sketch().update(rows) for rows in order]
        before = [shard.to_bytes() for shard in shards]
        merged = make_sketch()
        for shard in shards:
            merged.merge(shard)
        total = shards[0]
        for shard in shards[1:]:
            total = total + shard
        _assert_same_sketch(merged, whole, "merged shards", rtol)
        _assert_same_sketch(total, whole, "the sum of shards", rtol)
        if [shard.to_bytes() for shard in shards] != before:
            raise AssertionError("merge or + has changed a sketch that it should only read.")


def check_sketch_deletion(make_sketch, X=None, *, random_state=0, rtol=1e-10):
    """Check that rows of weight -1 undo rows of weight 1, one by one and all together.

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        As in :func:`check_sketch_definition`.
    """
    _, X, _ = _begin(make_sketch, X, random_state)
    third = X.shape[0] // 3
    gone, kept = X[:third], X[third:]
    expected = make_sketch().update(kept)
    left = make_sketch().update(X).update(gone, sample_weight=-np.ones(third))
    _assert_same_sketch(left, expected, "rows left after deletion", rtol)
    emptied = make_sketch().update(gone).update(gone, sample_weight=-1.0).update(kept)
    _assert_same_sketch(emptied, expected, "rows after all earlier ones were deleted", rtol)


def check_sketch_forgetting(make_sketch, X=None, *, factor=0.7, random_state=0, rtol=1e-10):
    """Check that ``scale(factor)`` is the weight `factor` on all earlier rows.

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        As in :func:`check_sketch_definition`.
    factor : float, default=0.7
    """
    _, X, _ = _begin(make_sketch, X, random_state)
    half = X.shape[0] // 2
    scaled = make_sketch().update(X[:half]).scale(factor).update(X[half:])
    weighted = make_sketch().update(X[:half], sample_weight=factor).update(X[half:])
    _assert_same_sketch(scaled, weighted, f"scale({factor})", rtol)


def check_sketch_weights(make_sketch, X=None, *, random_state=0, rtol=1e-10):
    """Check that an integer weight is a repetition and a zero weight no row at all.

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        As in :func:`check_sketch_definition`.
    """
    _, X, rng = _begin(make_sketch, X, random_state)
    weights = rng.integers(0, 4, X.shape[0])
    weights[0] = 1  # at least one row counts
    weighted = make_sketch().update(X, sample_weight=weights)
    repeated = make_sketch().update(X[np.repeat(np.arange(X.shape[0]), weights)])
    _assert_same_sketch(weighted, repeated, "weighted rows", rtol, count=False)


def check_sketch_resume(make_sketch, X=None, *, random_state=0):
    """Check that a sketch saved and read back goes on, bit for bit, as one never interrupted.

    Parameters
    ----------
    make_sketch, X, random_state
        As in :func:`check_sketch_definition`.
    """
    sketch, X, _ = _begin(make_sketch, X, random_state)
    half = X.shape[0] // 2
    expected = make_sketch().update(X[:half]).update(X[half:]).to_bytes()
    first = make_sketch().update(X[:half])
    for how, resumed in (
        ("to_bytes", type(sketch).from_bytes(first.to_bytes())),
        ("pickle", pickle.loads(pickle.dumps(first))),
    ):
        _assert_same_bytes(resumed.update(X[half:]).to_bytes(), expected, f"resumed by {how}")


def check_sketch_seed(make_sketch, X=None, *, random_state=0):
    """Check that the same seed and the same rows give the same bits.

    Parameters
    ----------
    make_sketch, X, random_state
        As in :func:`check_sketch_definition`.
    """
    first, X, _ = _begin(make_sketch, X, random_state)
    twin = make_sketch().update(X)
    _assert_same_bytes(twin.to_bytes(), first.update(X).to_bytes(), "a second run")


def check_sketch_bytes(make_sketch, X=None, *, random_state=0):
    """Check that bytes read back are the same sketch, and damaged ones a ``ValueError``.

    Parameters
    ----------
    make_sketch, X, random_state
        As in :func:`check_sketch_definition`.
    """
    sketch, X, rng = _begin(make_sketch, X, random_state)
    for filled in (make_sketch(), sketch.update(X)):
        data = filled.to_bytes()
        _assert_same_bytes(type(sketch).from_bytes(data).to_bytes(), data, "read back")
        damaged = [data[:n] for n in (0, 1, *rng.integers(0, len(data), 10), len(data) - 1)]
        damaged.append(data + b"\0")
        for place in rng.integers(0, 8 * len(data), 20):
            flipped = bytearray(data)
            flipped[place // 8] ^= 1 << (place % 8)
            damaged.append(bytes(flipped))
        for bad in damaged:
            _assert_raises(partial(type(sketch).from_bytes, bad), "from_bytes of damaged bytes")


def check_sketch_bad_input(make_sketch, X=None, *, random_state=0):
    """Check that bad rows are a ``ValueError`` and leave the sketch as it was, to the bit.

    Parameters
    ----------
    make_sketch, X, random_state
        As in :func:`check_sketch_definition`.
    """
    sketch, X, _ = _begin(make_sketch, X, random_state)
    holes = X.astype(np.float64)  # a copy
    (holes.data if sp.issparse(X) else holes.ravel())[-1] = np.nan
    infinite = X.astype(np.float64)
    (infinite.data if sp.issparse(X) else infinite.ravel())[-1] = np.inf
    wider = sp.csr_array((1, X.shape[1] + 1)) if sp.issparse(X) else np.ones((1, X.shape[1] + 1))
    bad_calls = {
        "NaN": (holes, None),
        "infinity": (infinite, None),
        "too many features": (wider, None),
        "too few weights": (X, np.ones(X.shape[0] - 1)),
        "a NaN weight": (X, np.full(X.shape[0], np.nan)),
        "complex numbers": (X * 1j, None),
    }
    for state in (make_sketch(), sketch.update(X)):
        before = state.to_bytes()
        for what, (rows, weights) in bad_calls.items():
            _assert_raises(partial(state.update, rows, sample_weight=weights), what)
            _assert_same_bytes(state.to_bytes(), before, f"after {what}")


def check_sketch_entries(make_sketch, *, random_state=0, rtol=1e-10):
    """Check that entries, tiles, one triangle and a whole operator give one and the same sketch.

    It is M A Omega^T for explicit matrices, linear in A, and an update of -A undoes one of A.

    Parameters
    ----------
    make_sketch, random_state, rtol
        As in :func:`check_sketch_definition`.
    """
    sketch, rng = make_sketch(), np.random.default_rng(random_state)
    N = sketch.n_features
    ids = _some_ids(N, rng, 30)
    A = rng.standard_normal((len(ids), len(ids)))
    A = A + A.T
    M, Omega = (_dense(side.columns(ids)) for side in (sketch.measurement, sketch.test))
    expected = M.T @ A @ Omega
    i, j = (part.ravel() for part in np.meshgrid(ids, ids, indexing="ij"))
    order = rng.permutation(A.size)
    half, values = A.size // 2, A.ravel()
    for part in (order[:half], order[half:]):
        sketch.update_entries(i[part], j[part], values[part])
    _assert_close(sketch.matrix(), expected, "entries", rtol)
    upper = i <= j
    mirrored = make_sketch().update_entries(i[upper], j[upper], values[upper], mirror=True)
    _assert_close(mirrored.matrix(), expected, "one triangle with mirror=True", rtol)
    tiles = make_sketch()
    cut = len(ids) // 2
    for rows in (slice(0, cut), slice(cut, None)):
        for columns in (slice(0, cut), slice(cut, None)):
            tiles.update_tile(ids[rows], ids[columns], A[rows, columns])
    _assert_close(tiles.matrix(), expected, "tiles", rtol)
    if N <= _EXPLICIT:
        whole = sp.coo_array((values, (i, j)), shape=(N, N))
        for how, matrix in (
            ("array", whole.toarray()),
            ("CSR", whole.tocsr()),
            ("operator", aslinearoperator(whole.tocsr())),
        ):
            _assert_close(make_sketch().update_operator(matrix).matrix(), expected, how, rtol)
    sketch.update_entries(i, j, -3.0 * values)
    _assert_close(sketch.matrix(), -2.0 * expected, "A - 3 A", rtol)


def check_sketch_merge_refuses(sketch, other):
    """Check that two sketches that differ are not merged, and that the message says in what.

    Parameters
    ----------
    sketch, other : EigenSketch
        Of different settings; the message must hold the values of both for the first difference.
    """
    before = sketch.to_bytes(), other.to_bytes()
    mine, theirs = sketch.settings(), other.settings()
    different = [key for key in mine if mine[key] != theirs[key]]
    if not different:
        raise AssertionError(f"The two sketches have the same settings: {mine}.")
    message = _assert_raises(partial(sketch.merge, other), "merge of different sketches")
    for value in (mine[different[0]], theirs[different[0]]):
        if str(value) not in message:
            raise AssertionError(f"The message does not hold {value}: {message!r}.")
    after = sketch.to_bytes(), other.to_bytes()
    _assert_same_bytes(b"".join(after), b"".join(before), "after a refused merge")


def yield_sketch_checks(make_sketch, X=None):
    """Yield all checks of a sketch, as callables without arguments.

    Parameters
    ----------
    make_sketch : callable
        Returns an empty sketch, always with the same seed.
    X : ndarray or CSR array of shape (n, n_features), default=None
        At least 10 rows.
    """
    for check in (
        check_sketch_definition,
        check_sketch_linearity,
        check_sketch_batching,
        check_sketch_merge,
        check_sketch_deletion,
        check_sketch_forgetting,
        check_sketch_weights,
        check_sketch_resume,
        check_sketch_seed,
        check_sketch_bytes,
        check_sketch_bad_input,
    ):
        yield partial(check, make_sketch, X)
    yield partial(check_sketch_entries, make_sketch)


# ---------------------------------------------------------------------------------------- decoders


def check_decoder_exact_case(decoder, measurement=None, *, n_rows=12, random_state=0):
    """Check that the support of a row-sparse matrix is found from its noiseless measurement.

    Parameters
    ----------
    decoder : str or Decoder
    measurement : Measurement, default=None
        None for 32 sparse-sign measurements per nonzero row of 2000.
    n_rows : int, default=12
        Rows of the support, a third of them in each of three columns.
    random_state : int, default=0
    """
    decoder, rng = make_decoder(decoder), np.random.default_rng(random_state)
    if measurement is None:
        measurement = make_measurement("sparse_sign", 2000, 32 * n_rows, seed=random_state)
    ids, F = _row_sparse(measurement, n_rows, rng)
    Q = _dense(measurement.columns(ids)).T @ F
    found = decoder.decode(measurement, Q, n_rows)
    if not np.array_equal(found, ids):
        raise AssertionError(f"Found the rows {found.tolist()}, planted were {ids.tolist()}.")


def check_decoder_contract(decoder, measurement=None, *, random_state=0):
    """Check what is returned for noise: sorted ids without repeats, at most `size`, reproducibly.

    Parameters
    ----------
    decoder : str or Decoder
    measurement : Measurement, default=None
        None for 120 sparse-sign measurements of 500.
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
    _assert_close(Q, kept, "Q after decoding", 0.0)


def yield_decoder_checks(decoder):
    """Yield all checks of a support decoder, as callables without arguments."""
    for check in (check_decoder_exact_case, check_decoder_contract):
        yield partial(check, decoder)


# -------------------------------------------------------------------------------------- estimators


def check_estimator_batches(estimator, X=None, *, random_state=0, rtol=1e-7):
    """Check that ``partial_fit`` in any batches gives what one-pass ``fit`` gives.

    Parameters
    ----------
    estimator : estimator
        Unfitted, with an int ``random_state``. Not changed. An estimator with a parameter
        ``refine`` is fitted with ``refine="sketch"``, that is in one pass.
    X : ndarray or CSR array of shape (n, n_features), default=None
        At least 10 rows. None for 240 dense rows of 60 features.
    random_state : int, default=0
    rtol : float, default=1e-7
        Of what is compared: ``components_``, ``explained_variance_``, ``n_samples_seen_`` and the
        results of ``transform``, ``score_samples`` and ``predict``, as far as there are any.
    """
    X = _estimator_rows(X, random_state)
    expected = _one_pass(estimator).fit(X)
    n = X.shape[0]
    for ends in ([n // 2], [2, 3, n - 1], [*range(7, n, 7)]):
        parts = _partial_fit(clone(estimator), _cut(X, ends))
        _assert_same_fit(parts, expected, X, f"partial_fit cut at {ends}", rtol)


def check_estimator_resume(estimator, X=None, *, random_state=0):
    """Check that an estimator pickled between two batches goes on as one never interrupted.

    Parameters
    ----------
    estimator, X, random_state
        As in :func:`check_estimator_batches`. Equality is to the bit.
    """
    X = _estimator_rows(X, random_state)
    batches = _cut(X, [X.shape[0] // 3])
    expected = _partial_fit(clone(estimator), batches)
    resumed = pickle.loads(pickle.dumps(clone(estimator).partial_fit(batches[0])))
    _assert_same_fit(resumed.partial_fit(batches[1]), expected, X, "resumed by pickle", 0.0)


def check_estimator_merge(estimator, X=None, *, random_state=0, rtol=1e-7):
    """Check that merged shards give what one ``partial_fit`` gives, and others are refused.

    Parameters
    ----------
    estimator, X, random_state, rtol
        As in :func:`check_estimator_batches`.
    """
    X = _estimator_rows(X, random_state)
    n = X.shape[0]
    expected = clone(estimator).partial_fit(X)
    batches = _cut(X, [1, n // 2])  # a shard of a single row counts too
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
        _assert_same_fit(first, expected, X, "merged shards", rtol)
    narrow = clone(estimator).partial_fit(X[:, : X.shape[1] - 1])
    _assert_raises(partial(first.merge, narrow), "merge of another number of features")
    _assert_same_fit(first, expected, X, "after a refused merge", rtol)


def check_estimator_weights(estimator, X=None, *, random_state=0, rtol=1e-7):
    """Check that an integer weight of a row is its repetition, in ``partial_fit`` and ``fit``.

    Parameters
    ----------
    estimator, X, random_state, rtol
        As in :func:`check_estimator_batches`.

    Notes
    -----
    ``n_samples_seen_``, which weights do not change, is not compared.
    """
    X = _estimator_rows(X, random_state)
    weights = 1 + np.arange(X.shape[0]) % 3
    repeated = X[np.repeat(np.arange(X.shape[0]), weights)]
    for method in ("fit", "partial_fit"):
        weighted = getattr(clone(estimator), method)(X, sample_weight=weights)
        expected = getattr(clone(estimator), method)(repeated)
        _assert_same_fit(weighted, expected, X, f"weights in {method}", rtol, count=False)


def check_estimator_sparse_rows(estimator, X=None, *, random_state=0, rtol=1e-7):
    """Check that CSR rows, with 32- and 64-bit indices, give what dense rows give.

    Parameters
    ----------
    estimator, X, random_state, rtol
        As in :func:`check_estimator_batches`.
    """
    X = _estimator_rows(X, random_state)
    dense, sparse = (X.toarray(), X) if sp.issparse(X) else (X, sp.csr_array(X))
    wide = sp.csr_array(sparse)
    wide.indices, wide.indptr = sparse.indices.astype(np.int64), sparse.indptr.astype(np.int64)
    expected = clone(estimator).partial_fit(dense)
    for rows in (sparse, wide):
        found = clone(estimator).partial_fit(rows)
        _assert_same_fit(found, expected, dense, f"CSR of {rows.indices.dtype} indices", rtol)
        _assert_same_fit(found, expected, rows, "used on CSR rows", rtol)


def check_estimator_signs(estimator, X=None, *, random_state=0):
    """Check that components are unit vectors whose entry of largest magnitude is positive.

    Parameters
    ----------
    estimator, X, random_state
        As in :func:`check_estimator_batches`.
    """
    components = _dense(clone(estimator).fit(_estimator_rows(X, random_state)).components_)
    _assert_close(np.linalg.norm(components, axis=1), np.ones(len(components)), "norms", 1e-12)
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    if not (largest > 0).all():
        raise AssertionError(
            f"The entries of largest magnitude are {largest.ravel()}, not all > 0."
        )


def check_estimator_bad_input(estimator, X=None, *, random_state=0):
    """Check that a refused ``fit`` or ``partial_fit`` leaves the fit as it was, to the bit.

    Parameters
    ----------
    estimator, X, random_state
        As in :func:`check_estimator_batches`.
    """
    X = _estimator_rows(X, random_state)
    fitted, expected = clone(estimator).partial_fit(X), clone(estimator).partial_fit(X)
    holes = X.astype(np.float64)
    (holes.data if sp.issparse(X) else holes.ravel())[-1] = np.nan
    for what, call in {
        "NaN in partial_fit": partial(fitted.partial_fit, holes),
        "another width in partial_fit": partial(fitted.partial_fit, X[:, :-1]),
        "NaN in fit": partial(fitted.fit, holes),
        "a single row in fit": partial(fitted.fit, X[:1]),
    }.items():
        _assert_raises(call, what)
        _assert_same_fit(fitted, expected, X, f"after {what}", 0.0)


def yield_estimator_checks(estimator, X=None):
    """Yield all checks of an estimator with ``partial_fit`` and ``merge``.

    Parameters
    ----------
    estimator : estimator
        Unfitted, with an int ``random_state``. Not changed.
    X : ndarray or CSR array of shape (n, n_features), default=None
        At least 10 rows.

    Yields
    ------
    callable
        Without arguments. ``components_`` and CSR rows are checked where there are any.
    """
    checks = [check_estimator_batches, check_estimator_resume, check_estimator_weights]
    # Which rows are the latest is not known between shards, so forgetting does not merge.
    if getattr(estimator, "forgetting", 1.0) == 1.0:
        checks.append(check_estimator_merge)
    if estimator.__sklearn_tags__().input_tags.sparse:
        checks.append(check_estimator_sparse_rows)
    if hasattr(type(estimator), "components_"):
        checks.append(check_estimator_signs)
    checks.append(check_estimator_bad_input)
    for check in checks:
        yield partial(check, estimator, X)


def check_sketch_estimator(estimator, X=None):
    """Run all checks of :func:`yield_estimator_checks`.

    Parameters
    ----------
    estimator, X
        As there.

    Raises
    ------
    AssertionError
        At the first law that does not hold, with both sides.
    """
    for check in yield_estimator_checks(estimator, X):
        check()


# ----------------------------------------------------------------------------------------- helpers


def _dense(A):
    return A.toarray() if sp.issparse(A) else np.asarray(A)


def _assert_close(actual, desired, what, rtol):
    """Raise unless the two agree to `rtol` of the largest entry."""
    actual, desired = _dense(actual), _dense(desired)
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


def _assert_same_bytes(actual, desired, what):
    if actual != desired:
        place = next(
            (i for i, (a, b) in enumerate(zip(actual, desired, strict=False)) if a != b),
            min(len(actual), len(desired)),
        )
        raise AssertionError(
            f"{what}: {len(actual)} bytes against {len(desired)}, the first difference at {place}: "
            f"{actual[place : place + 8]!r} against {desired[place : place + 8]!r}."
        )


def _assert_raises(call, what):
    """Return the message of the ValueError that `call` must raise."""
    try:
        result = call()
    except ValueError as error:
        return str(error)
    raise AssertionError(f"{what}: expected a ValueError, got {result!r}.")


def _assert_same_sketch(actual, desired, what, rtol, count=True):
    """Compare all that can be read from two sketches; `count` says whether to compare n_samples."""
    if count and actual.n_samples != desired.n_samples:
        raise AssertionError(f"{what}: n_samples {actual.n_samples} against {desired.n_samples}.")
    _assert_close(actual.weight, desired.weight, f"{what}: weight", rtol)
    for name in ("matrix", "measured_mean", "feature_mean", "feature_variance", "total_variance"):
        found, expected = getattr(actual, name)(), getattr(desired, name)()
        if expected is None or found is None:
            if found is not expected:
                raise AssertionError(f"{what}: {name}() {found!r} against {expected!r}.")
            continue
        _assert_close(found, expected, f"{what}: {name}()", rtol)


def _assert_same_fit(actual, desired, X, what, rtol, count=True):
    if count and actual.n_samples_seen_ != desired.n_samples_seen_:
        raise AssertionError(
            f"{what}: n_samples_seen_ {actual.n_samples_seen_} against {desired.n_samples_seen_}."
        )
    for name in ("components_", "explained_variance_", "mean_"):
        if hasattr(desired, name):
            found, expected = getattr(actual, name), getattr(desired, name)
            _assert_close(found, expected, f"{what}: {name}", rtol)
    for name in ("transform", "score_samples", "predict"):
        if hasattr(desired, name):
            found, expected = getattr(actual, name)(X), getattr(desired, name)(X)
            _assert_close(found, expected, f"{what}: {name}(X)", rtol)


def _begin(make_sketch, X, random_state):
    """Return an empty sketch, rows for it, and a generator."""
    sketch, rng = make_sketch(), np.random.default_rng(random_state)
    if X is None:
        X = _rows(sketch.n_features, rng)
    if X.shape[0] < 10:
        raise ValueError(f"The checks need at least 10 rows, got {X.shape[0]}.")
    return sketch, X, rng


def _rows(n_features, rng, n_samples=30):
    """Draw rows with a mean: dense, or CSR where there are many features."""
    if n_features <= _EXPLICIT:
        return rng.standard_normal((n_samples, n_features)) + rng.standard_normal(n_features)
    ids = _some_ids(n_features, rng, 60)
    values = 1.0 + rng.standard_normal((n_samples, len(ids)))
    return _csr_rows(values * (rng.random(values.shape) < 0.3), ids, n_features)


def _some_ids(n_features, rng, count):
    """Return distinct ids, increasing, the first and the last one among them."""
    if n_features <= count:
        return np.arange(n_features)
    drawn = rng.integers(0, n_features, count - 2)
    return np.unique(np.concatenate([[0], drawn, [n_features - 1]]))


def _csr_rows(values, ids, n_features):
    """Return CSR rows with the nonzeros of `values` at the increasing `ids`."""
    local = sp.csr_array(values)
    return sp.csr_array(
        (local.data, ids[local.indices], local.indptr), shape=(len(values), n_features)
    )


def _compress(X, ids):
    parts = (X.data.astype(np.float64), np.searchsorted(ids, X.indices), X.indptr)
    return sp.csr_array(parts, shape=(X.shape[0], len(ids)))


def _cut(X, ends):
    """Cut the rows at the given increasing positions."""
    bounds = [0, *ends, X.shape[0]]
    return [X[low:high] for low, high in zip(bounds[:-1], bounds[1:], strict=True)]


def _row_sparse(measurement, n_rows, rng):
    """Draw a support and entries of magnitude 1 to 2 on it, each row in one of three columns."""
    ids = np.sort(rng.choice(measurement.n_features, n_rows, replace=False))
    F = np.zeros((n_rows, 3))
    entries = rng.uniform(1.0, 2.0, n_rows) * rng.choice([-1.0, 1.0], n_rows)
    F[np.arange(n_rows), rng.permutation(n_rows) % 3] = entries
    return ids, F


def _estimator_rows(X, random_state):
    """Return X, or 240 rows of 60 features with three strong sparse directions and a mean."""
    if X is not None:
        return X
    rng = np.random.default_rng(random_state)
    loadings = np.zeros((3, 60))
    for j, size in enumerate((6.0, 5.0, 4.0)):
        loadings[j, 7 * j : 7 * j + 4] = size * np.array([1.0, -0.9, 0.8, 1.1])
    rows = rng.standard_normal((240, 3)) @ loadings + 0.3 * rng.standard_normal((240, 60))
    return rows + rng.standard_normal(60)


def _one_pass(estimator):
    estimator = clone(estimator)
    return estimator.set_params(refine="sketch") if hasattr(estimator, "refine") else estimator


def _partial_fit(estimator, batches):
    for rows in batches:
        estimator.partial_fit(rows)
    return estimator
