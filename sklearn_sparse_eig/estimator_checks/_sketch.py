"""The laws of a sketch: it is linear in the second moments of the rows."""

import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator

from ..sketching import EigenSketch
from ._compare import as_dense, assert_close, assert_raises, assert_same_bytes, assert_same_sketch
from ._draw import EXPLICIT, begin, compress, cut, some_ids
from ._state import yield_state_checks

MakeSketch = Callable[[], EigenSketch]


def check_sketch_definition(
    make_sketch: MakeSketch,
    X: Any = None,
    *,
    random_state: int = 0,
    rtol: float = 1e-10,
) -> None:
    """Check that the sketch of weighted rows is S = M A Omega^T, from explicit matrices.

    Parameters
    ----------
    make_sketch : callable
        Function that returns an empty sketch, always with the same seed.
    X : ndarray or CSR array of shape (n, n_features), default=None
    random_state : int, default=0
    rtol : float, default=1e-10
    """
    sketch, X, rng = begin(make_sketch, X, random_state)
    weights = rng.uniform(0.5, 2.0, X.shape[0])
    ids = np.unique(X.indices) if sp.issparse(X) else np.arange(X.shape[1])
    rows = as_dense(compress(X, ids)) if sp.issparse(X) else np.asarray(X, np.float64)
    if sketch.center:
        rows = rows - np.average(rows, axis=0, weights=weights)
    M = as_dense(sketch.measurement.columns(ids))
    Omega = as_dense(sketch.test.columns(ids))
    expected = ((rows @ M).T * weights) @ (rows @ Omega) / weights.sum()
    sketch.update(X, sample_weight=weights)
    assert_close(sketch.matrix(), expected, "matrix() against M A Omega^T", rtol)


def check_sketch_linearity(
    make_sketch: MakeSketch,
    X: Any = None,
    *,
    random_state: int = 0,
    rtol: float = 1e-10,
) -> None:
    """Check that the sketch is linear in second moments.

    That is S(X + Y) + S(X - Y) = 2 S(X) + 2 S(Y), which holds centred or not, and
    S(c X) = c^2 S(X).

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        Arguments of :func:`check_sketch_definition`.
    """
    _, X, _ = begin(make_sketch, X, random_state)
    half = X.shape[0] // 2
    X, Y = (part.astype(np.float64) for part in (X[:half], X[half : 2 * half]))

    def matrix(rows):
        return make_sketch().update(rows).matrix()

    sums = matrix(X + Y) + matrix(X - Y)
    assert_close(sums, 2 * matrix(X) + 2 * matrix(Y), "S(X + Y) + S(X - Y)", rtol)
    assert_close(matrix(-3.0 * X), 9.0 * matrix(X), "S(-3 X)", rtol)


def check_sketch_batching(
    make_sketch: MakeSketch,
    X: Any = None,
    *,
    random_state: int = 0,
    rtol: float = 1e-10,
) -> None:
    """Check that batches of any size, empty ones included, in any order, give the same sketch.

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        Arguments of :func:`check_sketch_definition`.
    """
    whole, X, rng = begin(make_sketch, X, random_state)
    whole.update(X)
    n = X.shape[0]
    for ends in ([*range(1, n)], [0, 1], [n // 3, n // 3, n - 1, n]):
        batches = cut(X, ends)
        for order in (range(len(batches)), rng.permutation(len(batches))):
            parts = make_sketch()
            for i in order:
                parts.update(batches[i])
            assert_same_sketch(parts, whole, f"batches cut at {ends}", rtol)
    shuffled = make_sketch().update(X[rng.permutation(n)])
    assert_same_sketch(shuffled, whole, "permuted rows", rtol)


def check_sketch_merge(
    make_sketch: MakeSketch,
    X: Any = None,
    *,
    random_state: int = 0,
    rtol: float = 1e-10,
) -> None:
    """Check that merged shards are one sketch, in any order, with empty shards neutral.

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        Arguments of :func:`check_sketch_definition`.
    """
    whole, X, _ = begin(make_sketch, X, random_state)
    whole.update(X)
    n = X.shape[0]
    batches = cut(X, [0, n // 5, n // 2])
    for order in (batches, batches[::-1]):
        shards = [make_sketch().update(rows) for rows in order]
        before = [shard.to_bytes() for shard in shards]
        merged = make_sketch()
        for shard in shards:
            merged.merge(shard)
        total = shards[0]
        for shard in shards[1:]:
            total = total + shard
        assert_same_sketch(merged, whole, "merged shards", rtol)
        assert_same_sketch(total, whole, "the sum of shards", rtol)
        if [shard.to_bytes() for shard in shards] != before:
            raise AssertionError("merge or + has changed a sketch that it should only read.")


def check_sketch_deletion(
    make_sketch: MakeSketch,
    X: Any = None,
    *,
    random_state: int = 0,
    rtol: float = 1e-10,
) -> None:
    """Check that rows of weight -1 undo rows of weight 1, one by one and all together.

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        Arguments of :func:`check_sketch_definition`.
    """
    _, X, _ = begin(make_sketch, X, random_state)
    third = X.shape[0] // 3
    gone, kept = X[:third], X[third:]
    expected = make_sketch().update(kept)
    left = make_sketch().update(X).update(gone, sample_weight=-np.ones(third))
    assert_same_sketch(left, expected, "rows left after deletion", rtol)
    emptied = make_sketch().update(gone).update(gone, sample_weight=-1.0).update(kept)
    assert_same_sketch(emptied, expected, "rows after all earlier ones were deleted", rtol)


def check_sketch_forgetting(
    make_sketch: MakeSketch,
    X: Any = None,
    *,
    factor: float = 0.7,
    random_state: int = 0,
    rtol: float = 1e-10,
) -> None:
    """Check that ``scale(factor)`` is the weight `factor` on all earlier rows.

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        Arguments of :func:`check_sketch_definition`.
    factor : float, default=0.7
    """
    _, X, _ = begin(make_sketch, X, random_state)
    half = X.shape[0] // 2
    scaled = make_sketch().update(X[:half]).scale(factor).update(X[half:])
    weighted = make_sketch().update(X[:half], sample_weight=factor).update(X[half:])
    assert_same_sketch(scaled, weighted, f"scale({factor})", rtol)


def check_sketch_weights(
    make_sketch: MakeSketch,
    X: Any = None,
    *,
    random_state: int = 0,
    rtol: float = 1e-10,
) -> None:
    """Check that an integer weight is a repetition and a zero weight no row at all.

    Parameters
    ----------
    make_sketch, X, random_state, rtol
        Arguments of :func:`check_sketch_definition`.
    """
    _, X, rng = begin(make_sketch, X, random_state)
    weights = rng.integers(0, 4, X.shape[0])
    weights[0] = 1  # at least one row counts
    weighted = make_sketch().update(X, sample_weight=weights)
    repeated = make_sketch().update(X[np.repeat(np.arange(X.shape[0]), weights)])
    assert_same_sketch(weighted, repeated, "weighted rows", rtol, count=False)


def check_sketch_resume(make_sketch: MakeSketch, X: Any = None, *, random_state: int = 0) -> None:
    """Check that a sketch saved and read back goes on, bit for bit, as one never interrupted.

    Parameters
    ----------
    make_sketch, X, random_state
        Arguments of :func:`check_sketch_definition`.
    """
    sketch, X, _ = begin(make_sketch, X, random_state)
    half = X.shape[0] // 2
    expected = make_sketch().update(X[:half]).update(X[half:]).to_bytes()
    first = make_sketch().update(X[:half])
    for how, resumed in (
        ("to_bytes", type(sketch).from_bytes(first.to_bytes())),
        ("pickle", pickle.loads(pickle.dumps(first))),
    ):
        assert_same_bytes(resumed.update(X[half:]).to_bytes(), expected, f"resumed by {how}")


def check_sketch_seed(make_sketch: MakeSketch, X: Any = None, *, random_state: int = 0) -> None:
    """Check that the same seed and the same rows give the same bits.

    Parameters
    ----------
    make_sketch, X, random_state
        Arguments of :func:`check_sketch_definition`.
    """
    first, X, _ = begin(make_sketch, X, random_state)
    twin = make_sketch().update(X)
    assert_same_bytes(twin.to_bytes(), first.update(X).to_bytes(), "a second run")


def check_sketch_bytes(make_sketch: MakeSketch, X: Any = None, *, random_state: int = 0) -> None:
    """Check that bytes read back give the same sketch, and damaged ones raise a ``ValueError``.

    Parameters
    ----------
    make_sketch, X, random_state
        Arguments of :func:`check_sketch_definition`.
    """
    sketch, X, rng = begin(make_sketch, X, random_state)
    for filled in (make_sketch(), sketch.update(X)):
        data = filled.to_bytes()
        assert_same_bytes(type(sketch).from_bytes(data).to_bytes(), data, "read back")
        damaged = [data[:n] for n in (0, 1, *rng.integers(0, len(data), 10), len(data) - 1)]
        damaged.append(data + b"\0")
        for place in rng.integers(0, 8 * len(data), 20):
            flipped = bytearray(data)
            flipped[place // 8] ^= 1 << (place % 8)
            damaged.append(bytes(flipped))
        for bad in damaged:
            assert_raises(partial(type(sketch).from_bytes, bad), "from_bytes of damaged bytes")


def check_sketch_bad_input(
    make_sketch: MakeSketch, X: Any = None, *, random_state: int = 0
) -> None:
    """Check that bad rows raise a ``ValueError`` and leave the sketch as it was, to the bit.

    Parameters
    ----------
    make_sketch, X, random_state
        Arguments of :func:`check_sketch_definition`.
    """
    sketch, X, _ = begin(make_sketch, X, random_state)
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
            assert_raises(partial(state.update, rows, sample_weight=weights), what)
            assert_same_bytes(state.to_bytes(), before, f"after {what}")


def check_sketch_entries(
    make_sketch: MakeSketch, *, random_state: int = 0, rtol: float = 1e-10
) -> None:
    """Check that entries, tiles, one triangle and a whole operator give one and the same sketch.

    It is M A Omega^T for explicit matrices, linear in A, and an update of -A undoes one of A.

    Parameters
    ----------
    make_sketch, random_state, rtol
        Arguments of :func:`check_sketch_definition`.
    """
    sketch, rng = make_sketch(), np.random.default_rng(random_state)
    N = sketch.n_features
    ids = some_ids(N, rng, 30)
    A = rng.standard_normal((len(ids), len(ids)))
    A = A + A.T
    M, Omega = (as_dense(side.columns(ids)) for side in (sketch.measurement, sketch.test))
    expected = M.T @ A @ Omega
    i, j = (part.ravel() for part in np.meshgrid(ids, ids, indexing="ij"))
    order = rng.permutation(A.size)
    half, values = A.size // 2, A.ravel()
    for part in (order[:half], order[half:]):
        sketch.update_entries(i[part], j[part], values[part])
    assert_close(sketch.matrix(), expected, "entries", rtol)
    upper = i <= j
    mirrored = make_sketch().update_entries(i[upper], j[upper], values[upper], mirror=True)
    assert_close(mirrored.matrix(), expected, "one triangle with mirror=True", rtol)
    tiles = make_sketch()
    cut = len(ids) // 2
    for rows in (slice(0, cut), slice(cut, None)):
        for columns in (slice(0, cut), slice(cut, None)):
            tiles.update_tile(ids[rows], ids[columns], A[rows, columns])
    assert_close(tiles.matrix(), expected, "tiles", rtol)
    if N <= EXPLICIT:
        whole = sp.coo_array((values, (i, j)), shape=(N, N))
        for how, matrix in (
            ("array", whole.toarray()),
            ("CSR", whole.tocsr()),
            ("operator", aslinearoperator(whole.tocsr())),
        ):
            assert_close(make_sketch().update_operator(matrix).matrix(), expected, how, rtol)
    sketch.update_entries(i, j, -3.0 * values)
    assert_close(sketch.matrix(), -2.0 * expected, "A - 3 A", rtol)


def check_sketch_merge_refuses(sketch: EigenSketch, other: EigenSketch) -> None:
    """Check that sketches of different settings are not merged, and the message shows both values.

    Parameters
    ----------
    sketch, other : EigenSketch
        Sketches with different settings. The message must contain both values of the first setting
        that differs.
    """
    before = sketch.to_bytes(), other.to_bytes()
    mine, theirs = sketch.settings(), other.settings()
    different = [key for key in mine if mine[key] != theirs[key]]
    if not different:
        raise AssertionError(f"The two sketches have the same settings: {mine}.")
    message = assert_raises(partial(sketch.merge, other), "merge of different sketches")
    for value in _first_difference(mine, theirs):
        if str(value) not in message:
            raise AssertionError(f"The message does not hold {value}: {message!r}.")
    after = sketch.to_bytes(), other.to_bytes()
    assert_same_bytes(b"".join(after), b"".join(before), "after a refused merge")


def _first_difference(mine, theirs):
    """Return the two values of the first key in which settings, nested dicts too, differ."""
    for key, value in mine.items():
        other = theirs.get(key)
        if value != other:
            nested = isinstance(value, dict) and isinstance(other, dict)
            return _first_difference(value, other) if nested else (value, other)
    raise AssertionError(f"{theirs} has more settings than {mine}.")


def yield_sketch_checks(make_sketch: MakeSketch, X: Any = None) -> Iterator[partial[None]]:
    """Yield all checks of a sketch, as callables without arguments.

    Parameters
    ----------
    make_sketch : callable
        Function that returns an empty sketch, always with the same seed.
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
    _, X, _ = begin(make_sketch, X, 0)
    n = X.shape[0]
    yield from yield_state_checks(make_sketch, _update, cut(X, [n // 3, 2 * n // 3]), _matrix)


def _update(sketch, rows):
    sketch.update(rows)


def _matrix(sketch):
    return sketch.matrix()
