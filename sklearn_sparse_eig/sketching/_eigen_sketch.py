"""The state of a one-pass sketch of a symmetric matrix, and all that is linear in it.

Notation, used in this folder and in ``recovery``: A is the symmetric N x N matrix (the covariance
of the rows seen, or a matrix given by its entries), M (m x N) the measurement, Omega (k x N) the
test matrix, and **S = M A Omega^T** the sketch. MAM* is the case Omega = M.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import numpy as np
import scipy.sparse as sp

from .. import kernels
from .._base.atomic import all_or_nothing
from .._base.entries import check_ids, check_values, rows_from_entries
from .._base.linear import LinearState
from .._base.locks import undisturbed
from .._base.rows import check_rows, is_linear_operator
from .._base.seeds import check_seed
from .._base.symmetric import check_real
from .._base.typed import ArrayLike, Auto, MatrixLike, RandomSeed
from .._base.weights import check_weights
from . import _bytes
from ._accumulate import add_dense, symmetrize, weighted_sum
from ._feature_moments import FeatureMoments
from ._identification import IdentificationSketch
from ._limits import IDENTIFICATION_LIMIT
from .measurements import (
    IdentityMeasurement,
    Measurement,
    MeasurementName,
    SparseSignMeasurement,
    make_measurement,
)

if TYPE_CHECKING:
    from ..recovery import RankRule, RecoveryOptions, SparseEigenpairs

# Floats in the buffers of measured rows: 16 MB, beyond which BLAS gains nothing from longer ones.
_BUFFER = 1 << 21
# Below this share of nonzeros a scattered outer product beats a dense one (measured: 1/8 to 1/12).
_SCATTER_SHARE = 0.1
# Features up to which exact feature moments are kept unless asked otherwise: 24 MB.
_MOMENTS_LIMIT = 1 << 20
# Buckets and width of the identification by default: 22 MB at N = 2**27, 50 MB at 2**62.
_IDENTIFICATION_SIZE = 3072, 32
_STATE_ARRAYS = ("_cross", "_left_sum", "_left_shift", "_right_sum", "_right_shift")


class EigenSketch(LinearState):
    """One-pass linear sketch S = M A Omega^T of a symmetric matrix A.

    A is the covariance of all rows passed to :meth:`update` (or, with ``center=False``, their
    second moment), or else a matrix given by entries, tiles or an operator. Everything kept is
    linear in A: merging is addition, deleting is adding with negative weight, forgetting is a
    factor. Nothing of length ``n_features`` is allocated unless the identity is measured or
    feature moments are asked for.

    Parameters
    ----------
    n_features : int
        N, up to 2**62.
    n_measurements : int or None
        m, the length of a measured row. ``None`` only with ``measurement="identity"`` (m = N).
    range_size : int or None, default=None
        k, the rows of an independent sparse-sign test matrix. ``None`` uses M on both sides: the
        symmetric MAM* sketch, the natural form for entry streams.
    measurement : {"sparse_sign", "gaussian", "identity", "prime_residue"} or Measurement, \
default="sparse_sign"
    center : bool, default=True
        Subtract the mean of the rows. Exact whatever the order of batches; irrelevant to entries.
    feature_moments : bool or "auto", default="auto"
        Keep the exact mean and variance of each feature (24 bytes per feature). ``"auto"`` does so
        up to about a million features.
    identification : "auto", None, int or (int, int), default="auto"
        The size of the bit-test side sketch, by which ``decoder="bit_test"`` finds features in time
        that does not grow with N: its number of buckets, and its width (by default 32, enough for
        24 components). It takes ``8 * n_buckets * width * (1 + log2(n_features))`` bytes and makes
        updates several times slower. ``"auto"`` keeps 3072 buckets where there are more than 2**27
        features, so many that sweeping over them would take minutes in a recovery.
    random_state : int, RandomState, Generator or None, default=None
        Decides M and Omega. Only sketches made from the same seed can be merged, so give an int
        where sketches are made in several places.

    Attributes
    ----------
    n_samples : int
        Rows seen (deleted rows subtracted).
    weight : float
        The sum of their weights.
    nbytes : int
        Bytes held in arrays.
    revision : int
        Changes whenever the content does.
    shard_ids : frozenset
        Names of the shards that were merged, where they have names.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    MemoryError
        If the sketch does not fit; the message says what would.

    Notes
    -----
    Memory 8 (m k + 2 (m + k)) bytes, and 24 N with feature moments. An update of n rows with z
    nonzeros costs O(n K z) to hash and O(n m k) for the product, or O(n K z k) where the rows are
    sparse enough to scatter. Sums are float64 and shifted by the mean of the first dense batch.

    References
    ----------
    Boahen, Brugiapaglia, Chou, Iwen, Krahmer, arXiv:2507.17036 (the MAM* idea). The two-sided form
    and the decoder are derived in ``doc/how_the_sketch_works.md``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sparse_eig import EigenSketch
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(200, 1)) * (np.arange(5000) < 4) + 0.01 * rng.normal(size=(200, 5000))
    >>> sketch = EigenSketch(5000, n_measurements=400, range_size=64, random_state=0)
    >>> pairs = sketch.update(X).recover(1, n_nonzero_coefs=4)
    >>> [int(i) for i in pairs.eigenvectors.indices]
    [0, 1, 2, 3]
    """

    n_features: int
    measurement: Measurement
    test: Measurement
    center: bool
    is_symmetric: bool
    content: Literal["rows", "entries"] | None
    n_samples: int
    weight: float

    def __init__(
        self,
        n_features: int,
        *,
        n_measurements: int | None,
        range_size: int | None = None,
        measurement: MeasurementName | Measurement = "sparse_sign",
        center: bool = True,
        feature_moments: bool | Auto = "auto",
        identification: int | tuple[int, int] | Auto | None = "auto",
        random_state: RandomSeed | np.random.Generator = None,
    ) -> None:
        n_features = int(n_features)
        if not 1 <= n_features <= 2**62:
            raise ValueError(f"n_features must lie in [1, 2**62], got {n_features}.")
        seeds = check_seed(random_state)
        M = make_measurement(measurement, n_features, n_measurements, seeds[0])
        if range_size is None or range_size == "identity":
            test = M if range_size is None else IdentityMeasurement(n_features)
        else:
            test = make_measurement("sparse_sign", n_features, range_size, seeds[1])
        size = _identification_size(identification, n_features)
        moments = self._wants_moments(M, test, feature_moments)
        try:
            if size is not None:
                size = IdentificationSketch(n_features, *size, test.n_measurements, seeds[2])
            self._start(M, test, bool(center), moments, size)
        except (MemoryError, ValueError) as error:
            # NumPy's own message, of an array too big, would not say which setting asks for it.
            needed = 8 * M.n_measurements * test.n_measurements + 24 * n_features * moments
            raise MemoryError(
                f"A sketch of shape {(M.n_measurements, test.n_measurements)} of "
                f"n_features={n_features}, {'with' if moments else 'without'} feature moments, "
                f"takes {needed:.3g} bytes. Compress both sides (measurement='sparse_sign', "
                "range_size=256) and leave out what keeps features (feature_moments=False)."
            ) from error

    def _start(self, measurement, test, center, feature_moments, identification=None):
        """Set up the empty state for given matrices."""
        self.measurement = measurement
        self.test = test
        self.center = center
        self.n_features = measurement.n_features
        self.is_symmetric = measurement == test
        m, k = measurement.n_measurements, test.n_measurements
        self.content = None  # None while empty, then "rows" or "entries"
        self._cross = np.zeros((m, k))
        self._left_sum, self._left_shift = np.zeros(m), np.zeros(m)
        if self.is_symmetric:  # the right side is the left side: one pair of vectors serves both
            self._right_sum, self._right_shift = self._left_sum, self._left_shift
        else:
            self._right_sum, self._right_shift = np.zeros(k), np.zeros(k)
        self.weight = 0.0
        self._weight_squares = 0.0
        self._power = 0.0  # sum of w |Omega x - shift|^2
        self.n_samples = 0
        self._moments = FeatureMoments(self.n_features) if feature_moments else None
        self._identification = identification

    def _start_like(self, other):
        """Set up the empty state for the settings of a sketch, which may be this one."""
        identification = other._identification and other._identification.empty()
        moments = other._moments is not None
        self._start(other.measurement, other.test, other.center, moments, identification)

    @staticmethod
    def _wants_moments(measurement, test, feature_moments):
        if isinstance(test, IdentityMeasurement) and isinstance(measurement, IdentityMeasurement):
            return False  # the diagonal of S already holds them
        if feature_moments == "auto":
            return measurement.n_features <= _MOMENTS_LIMIT
        return bool(feature_moments)

    @undisturbed
    def __repr__(self) -> str:
        return (
            f"EigenSketch(n_features={self.n_features}, measurement={self.measurement.name!r}, "
            f"shape={self.shape}, n_samples={self.n_samples})"
        )

    @property
    def shape(self) -> tuple[int, int]:
        """The shape (m, k) of S."""
        return self._cross.shape

    @property
    def is_exact(self) -> bool:
        """Whether both sides are the identity, so that S is A itself."""
        return self.is_symmetric and isinstance(self.measurement, IdentityMeasurement)

    @property
    def identifies(self) -> bool:
        """Whether the sketch holds the ids of features, for ``decoder="bit_test"``."""
        return self._identification is not None

    @property
    @undisturbed
    def nbytes(self) -> int:
        arrays = [self._cross, self._left_sum, self._left_shift]
        if not self.is_symmetric:
            arrays += [self._right_sum, self._right_shift]
        if self._moments is not None:
            arrays += [getattr(self._moments, name) for name in FeatureMoments.fields]
        if self.identifies:
            arrays.append(self._identification.cells)
        return sum(a.nbytes for a in arrays)

    @property
    @undisturbed
    def effective_samples(self) -> float | None:
        """The number of rows that would be as informative; None for entries.

        A weight counts as so many rows, as everywhere in scikit-learn; rows that :meth:`scale` has
        made lighter count by what they still contribute.
        """
        if self.content != "rows":
            return None
        # Where scale has left nothing that can be squared, the rows are forgotten.
        return self.weight**2 / self._weight_squares if self._weight_squares else 0.0

    # ------------------------------------------------------------------------------------- rows

    @all_or_nothing
    def update(self, X: MatrixLike, sample_weight: ArrayLike | None = None) -> Self:
        """Add rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
            Dense, or CSR with int32 or int64 indices (other formats are converted).
        sample_weight : float or array-like of shape (n,), default=None
            A negative weight deletes a row added before with the opposite weight.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X has another number of features, is not numeric, has NaN or infinity, or the
            weights do not fit; or if the sketch holds matrix entries. The state is untouched.
        """
        X = check_rows(X, self.n_features)
        self._check_content("rows")
        return self._update_checked(X, check_weights(sample_weight, X.shape[0]))

    @all_or_nothing
    def update_coo(
        self,
        row_ids: ArrayLike,
        feature_ids: ArrayLike,
        values: ArrayLike,
        sample_weight: float | None = None,
        *,
        n_rows: int | None = None,
    ) -> Self:
        """Add rows that come as entries: values[e] at feature_ids[e] of row row_ids[e].

        For streams that never become a matrix. All entries of a row must come in one call, for the
        covariance is not linear in them.

        Parameters
        ----------
        row_ids : array-like of int, shape (n,)
            Any integers; entries with the same one belong to the same row.
        feature_ids : array-like of int, shape (n,)
            In [0, n_features). Bring 64-bit hashes into range by ``ids & (2**62 - 1)``.
        values : array-like of float, shape (n,)
            Duplicates add.
        sample_weight : float or None, default=None
            The weight of each row; negative to delete rows added before.
        n_rows : int or None, default=None
            Number of rows, where some have no entries at all; None for the distinct row_ids.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As :meth:`update`, or if an id is out of range. The state is untouched.

        Notes
        -----
        O(n log n) time to sort the entries, then that of :meth:`update`.

        Examples
        --------
        >>> from sklearn_sparse_eig import EigenSketch
        >>> sketch = EigenSketch(2**62, n_measurements=64, range_size=16, random_state=0)
        >>> sketch.update_coo([0, 0, 1], [10**18, 7, 10**18], [1.0, 2.0, 3.0]).n_samples
        2
        """
        X = rows_from_entries(row_ids, feature_ids, values, self.n_features, n_rows)
        return self.update(X, sample_weight)

    @all_or_nothing
    def _update_checked(self, X, weights, decay=1.0):
        """Add rows known to be good: a finite array or canonical CSR, and weights that fit.

        A weight says how many rows a row stands for, a decay how far it is forgotten already.
        """
        if X.shape[0] == 0:
            return self
        self.content = "rows"
        weights = weights * decay
        squares = np.multiply(weights, decay)
        self._weight_squares += float(squares.sum() if squares.ndim else squares * X.shape[0])
        scatter = self._is_scattered(X)
        for start, stop in _row_blocks(X, self._buffer_width(X, scatter)):
            part = weights if np.ndim(weights) == 0 else weights[start:stop]
            self._update_block(X[start:stop], part, scatter)
        self._reset_if_deleted(np.max(np.abs(weights)))
        return self

    def _reset_if_deleted(self, weight_deleted):
        """Start afresh where all rows were deleted: only rounding is left, and no mean."""
        if self.content == "rows" and abs(self.weight) <= 1e-12 * weight_deleted:
            self._start_like(self)

    def _is_scattered(self, X):
        """Whether rows are so sparse that outer products of their nonzeros cost less than BLAS."""
        if not sp.issparse(X):
            return False
        measured = X.nnz * self.measurement.nonzeros_per_column()
        return measured <= _SCATTER_SHARE * X.shape[0] * self.measurement.n_measurements

    def _buffer_width(self, X, scatter):
        """Return the floats that a measured row takes while it is added."""
        width = 0 if self.is_symmetric and scatter else self.shape[1]
        if scatter:  # a value and an index for each nonzero measured
            return width + 2 * self.measurement.nonzeros_per_column() * X.nnz // X.shape[0]
        return width if self.is_symmetric else sum(self.shape)

    def _update_block(self, X, weights, scatter):
        n = X.shape[0]
        total = float(weights) * n if np.ndim(weights) == 0 else float(weights.sum())
        if scatter:
            self._scatter_block(X, weights, total)
        else:
            self._multiply_block(X, weights, total)
        if self._moments is not None:
            self._moments.update(X, weights, total)
        self.weight += total
        direction = np.sign(weights)
        self.n_samples += int(direction * n if np.ndim(direction) == 0 else direction.sum())

    def _multiply_block(self, X, weights, total):
        """Measure the rows densely and multiply: the cost is one BLAS product."""
        Y = self.measurement.measure(X)
        W = Y if self.is_symmetric else self.test.measure(X)
        if self.identifies:
            self._identification.add_rows(X, W, weights)
        if self.center and self.n_samples == 0 and self.weight == 0.0 and not sp.issparse(X):
            self._set_shift(Y.mean(axis=0, dtype=np.float64), None if W is Y else W.mean(axis=0))
        self._keep(None)
        Y = _shifted(Y, self._left_shift)
        W = Y if self.is_symmetric else _shifted(W, self._right_shift)
        add_dense(self._cross, Y, None if self.is_symmetric else W, weights)
        self._left_sum += weighted_sum(Y, weights)
        if not self.is_symmetric:
            self._right_sum += weighted_sum(W, weights)
            squares = np.einsum("ij,ij->i", W, W)
            self._power += float(np.sum(np.multiply(weights, squares)))

    def _keep(self, rows):
        """Note in the journal the sums and the rows of S that are about to change; None for all."""
        self.journal.keep(self._cross, rows)
        self.journal.keep(self._left_sum)
        if not self.is_symmetric:
            self.journal.keep(self._right_sum)

    def _set_shift(self, left, right):
        """Shift later rows by these vectors; the right one goes unused where both sides are one."""
        self.journal.keep(self._left_shift)
        self._left_shift[:] = left
        if not self.is_symmetric:
            self.journal.keep(self._right_shift)
            self._right_shift[:] = right

    def _scatter_block(self, X, weights, total):
        """Measure the rows sparsely and add outer products of their few nonzeros.

        Sparse rows cannot be shifted without filling them, so the shift is corrected by the
        identity sum w (y-a)(v-b)^T = sum w y v^T - a (sum w v)^T - (sum w y) b^T + (sum w) a b^T.
        """
        Y = self.measurement.measure_sparse(X)
        left = weighted_sum(Y, weights)
        shift = self._left_shift
        # Correcting for a shift writes into all rows of S.
        self._keep(None if shift.any() else Y.indices)
        if self.is_symmetric:
            if self.identifies:
                self._identification.add_rows(X, Y, weights)
            row_weights = np.broadcast_to(np.asarray(weights, dtype=np.float64), X.shape[0])
            kernels.add_outer(self._cross, Y.data, Y.indices, Y.indptr, row_weights)
            if shift.any():
                half = np.outer(shift, left - 0.5 * total * shift)
                self._cross -= half + half.T
            self._left_sum += left - total * shift
            return
        W = self.test.measure(X)
        if self.identifies:
            self._identification.add_rows(X, W, weights)
        if self._right_shift.any():
            W = W - self._right_shift
        weighted = W * (weights if np.ndim(weights) == 0 else weights[:, None])
        kernels.add_cross(self._cross, Y.data, Y.indices, Y.indptr, weighted)
        right = weighted.sum(axis=0)
        if shift.any():
            self._cross -= np.outer(shift, right)
        self._left_sum += left - total * shift
        self._right_sum += right
        self._power += float(np.vdot(W, weighted))

    # ---------------------------------------------------------------------------------- entries

    @all_or_nothing
    def update_entries(
        self, i: ArrayLike, j: ArrayLike, values: ArrayLike, *, mirror: bool = False
    ) -> Self:
        """Add entries of A: A[i, j] += values, in coordinate form.

        A stays symmetric: what is sketched is the symmetric part of what is given.

        Parameters
        ----------
        i, j : array-like of int, shape (n,)
            Row and column of each entry. Duplicates add.
        values : array-like of float, shape (n,)
            Amounts to add; negative amounts delete.
        mirror : bool, default=False
            Whether each off-diagonal entry stands for its mirror image too. Leave it False when
            both triangles are given, set it when only one is.

        Returns
        -------
        self

        Notes
        -----
        Cost O(n K k) time, O(u k) temporary memory in blocks, u the number of distinct ids.
        """
        i, j = (np.atleast_1d(np.asarray(a)) for a in (i, j))
        check_real(np.asarray(values), "values")
        values = np.atleast_1d(check_values(values))
        if not (i.shape == j.shape == values.shape and i.ndim == 1):
            raise ValueError(
                f"i, j and values must be vectors of one length, got shapes {i.shape}, {j.shape} "
                f"and {values.shape}."
            )
        if not np.isfinite(values).all():
            raise ValueError("values contain NaN or infinity; remove or replace these entries.")
        i, j = check_ids(i, "i", self.n_features), check_ids(j, "j", self.n_features)
        self._check_content("entries")
        if values.size == 0:
            return self
        self.content = "entries"
        ids, local = np.unique(np.concatenate([i, j]), return_inverse=True)
        rows, columns = local[: len(i)], local[len(i) :]
        A = sp.csr_array((values, (rows, columns)), shape=(len(ids), len(ids)))
        A = (A + A.T) * (1.0 if mirror else 0.5)
        if mirror:  # the diagonal has no mirror image
            A = A - sp.diags_array(A.diagonal() / 2)
        right = self.test.columns(ids)
        self._add_products(ids, lambda low, high: _dense(sp.csr_array(A[low:high]) @ right))
        return self

    @all_or_nothing
    def update_tile(
        self, row_ids: ArrayLike, column_ids: ArrayLike, tile: ArrayLike, *, mirror: bool = False
    ) -> Self:
        """Add a tile of A: A[row_ids][:, column_ids] += tile (see :meth:`update_entries`).

        Parameters
        ----------
        row_ids : array-like of int, shape (p,)
        column_ids : array-like of int, shape (q,)
        tile : array-like of float, shape (p, q)
        mirror : bool, default=False
            Whether the tile stands for its transpose at the mirrored place too. A tile that
            crosses the diagonal holds both triangles there and should not be mirrored.

        Returns
        -------
        self
        """
        check_real(np.asarray(tile), "tile")
        tile = check_values(tile, "tile")
        row_ids, column_ids = np.atleast_1d(row_ids), np.atleast_1d(column_ids)
        if tile.shape != (len(row_ids), len(column_ids)):
            raise ValueError(
                f"tile must have shape {(len(row_ids), len(column_ids))}, got {tile.shape}."
            )
        i, j = np.repeat(row_ids, len(column_ids)), np.tile(column_ids, len(row_ids))
        return self.update_entries(i, j, tile.ravel(), mirror=mirror)

    @all_or_nothing
    def update_operator(self, A: Any) -> Self:
        """Add a whole symmetric matrix: array, sparse matrix or ``LinearOperator``.

        Parameters
        ----------
        A : array-like, sparse matrix or LinearOperator of shape (n_features, n_features)

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If A has the wrong shape, or is an array that is not symmetric or not finite.

        Notes
        -----
        Cost: k products with A and O(N K k).
        """
        N = self.n_features
        check_real(A)
        if not is_linear_operator(A):
            A = check_rows(A, N, "A")
            if A.shape == (N, N):
                A = A.astype(np.float64, copy=False)  # booleans and unsigned do not subtract
                gap = abs(A - A.T).max() if N else 0.0
                if gap > 1e-8 * abs(A).max():
                    raise ValueError(
                        f"A must be symmetric, but max |A - A^T| is {gap:.3g}; pass (A + A.T) / 2 "
                        "if the symmetric part is meant."
                    )
        if tuple(A.shape) != (N, N):
            raise ValueError(f"A must have shape {(N, N)}, got {tuple(A.shape)}.")
        self._check_content("entries")
        if is_linear_operator(A):
            columns = self.test.columns(np.arange(N)).tocsc()
            step = 32
            products = np.hstack(
                [
                    A.matmat(columns[:, c : c + step].toarray())
                    for c in range(0, self.shape[1], step)
                ]
            )
        else:
            products = self.test.measure(A)
        check_real(products, "A's product with a real matrix")
        if not np.isfinite(products).all():
            raise ValueError("A returned NaN or infinity in a product; the sketch is unchanged.")
        self.content = "entries"
        self._add_products(np.arange(N), lambda low, high: products[low:high])
        return self

    def _add_products(self, ids, products):
        """Add M[:, ids] B to S, where products(low, high) gives rows low..high-1 of B."""
        step = max(1, _BUFFER // self.shape[1])
        for low in range(0, len(ids), step):
            high = min(low + step, len(ids))
            columns = self.measurement.columns(ids[low:high])
            block = np.ascontiguousarray(products(low, high))
            self.journal.keep(self._cross, columns.indices)
            kernels.add_cross(self._cross, columns.data, columns.indices, columns.indptr, block)
            if self.identifies:
                self._identification.add_products(ids[low:high], block)

    # ------------------------------------------------------------------------------------ linear

    def _check_content(self, kind):
        if self.content not in (None, kind):
            raise ValueError(
                f"This sketch holds matrix {self.content}, so {kind} cannot be added: a covariance "
                "is divided by its weight and a matrix is not. Use a second sketch."
            )

    def __setstate__(self, state):
        vars(self).update(state)
        # joblib maps large arrays read-only into workers, where BLAS would write to them and
        # crash, and loads an array that two attributes share as two.
        owners = [(self, name) for name in _STATE_ARRAYS]
        if self._moments is not None:
            owners += [(self._moments, name) for name in FeatureMoments.fields]
        if self.identifies:
            owners.append((self._identification, "cells"))
        for owner, name in owners:
            setattr(owner, name, np.require(getattr(owner, name), requirements="CW"))
        if self.is_symmetric:
            self._right_sum, self._right_shift = self._left_sum, self._left_shift

    def empty(self) -> Self:
        """Return an empty sketch that measures in the same way."""
        new = object.__new__(type(self))
        new._start_like(self)
        return new

    def settings(self) -> dict[str, Any]:
        """Return all that must agree between sketches that are merged, as a JSON-able dict."""
        return {
            "measurement": self.measurement.spec(),
            "test": self.test.spec(),
            "center": self.center,
            "feature_moments": self._moments is not None,
            "identification": self._identification.spec() if self.identifies else None,
        }

    def _add(self, other: Self, sign: float) -> None:
        if other.content is None:
            return
        self._check_content(other.content)
        if self.content is None:
            self._set_shift(other._left_shift, other._right_shift)
        self._keep(None)
        self.content = other.content
        a = self._left_shift - other._left_shift
        b = self._right_shift - other._right_shift
        left, right, w = other._left_sum, other._right_sum, other.weight
        self._cross += sign * other._cross
        if a.any() or b.any():
            if self.is_symmetric:
                half = np.outer(a, left - 0.5 * w * a)
                self._cross -= sign * (half + half.T)
            else:
                self._cross -= sign * (np.outer(a, right - w * b) + np.outer(left, b))
                self._power += sign * (w * (b @ b) - 2.0 * (right @ b))
        self._power += sign * other._power
        self._left_sum += sign * (left - w * a)
        if not self.is_symmetric:
            self._right_sum += sign * (right - w * b)
        self.weight += sign * w
        self._weight_squares += sign * other._weight_squares
        self.n_samples += int(sign) * other.n_samples
        if self._moments is not None:
            self._moments.merge(other._moments, sign)
        if self.identifies:
            self._identification.merge(other._identification, sign)
        if sign < 0.0:
            self._reset_if_deleted(abs(w))

    @all_or_nothing
    def scale(self, factor: float) -> Self:
        """Multiply A's weight by `factor` in (0, inf): forgetting is ``scale(0.99)``.

        For rows the covariance itself is unchanged, but later rows count more. Returns self.
        """
        if not (np.isfinite(factor) and factor > 0):
            raise ValueError(f"factor must be positive and finite, got {factor}.")
        self._keep(None)
        self._cross *= factor
        self._left_sum *= factor
        if not self.is_symmetric:
            self._right_sum *= factor
        self.weight *= factor
        self._weight_squares *= factor**2
        self._power *= factor
        if self._moments is not None:
            self._moments.scale(factor)
        if self.identifies:
            self._identification.scale(factor)
        return self

    # ---------------------------------------------------------------------------------- reading

    def _check_not_empty(self):
        if self.content is None or (self.content == "rows" and self.weight <= 0.0):
            raise ValueError("The sketch is empty: call update with at least one row first.")

    @undisturbed
    def matrix(self) -> np.ndarray:
        """Return S = M A Omega^T, shape (m, k), centred and divided by the weight of the rows."""
        self._check_not_empty()
        S = symmetrize(self._cross) if self.is_symmetric else self._cross.copy()
        if self.content == "rows":
            S /= self.weight
            if self.center:
                S -= np.outer(self._left_sum / self.weight, self._right_sum / self.weight)
        return S

    @undisturbed
    def identify(self, W: np.ndarray) -> np.ndarray:
        """Return what the buckets of the identification and their bits hold of A Psi^T W.

        Parameters
        ----------
        W : ndarray of shape (l, r)
            l is the number of rows of Psi = G Omega, see ``identification_fold``.

        Returns
        -------
        ndarray of shape (n_buckets, 1 + n_bits, r)
            Row [j, 0] is what bucket j holds, row [j, 1 + i] the part from ids with bit i set.
        """
        self._check_not_empty()
        if self.content == "entries":
            return self._identification.read(W, np.zeros(self.shape[1]))
        mean = self.center * (self._right_shift + self._right_sum / self.weight)
        return self._identification.read(W / self.weight, mean)

    @property
    def identification_hash(self) -> SparseSignMeasurement:
        """The measurement by whose rows the cells of :meth:`identify` are hashed."""
        return self._identification.hash

    @property
    def identification_fold(self) -> np.ndarray:
        """G^T of shape (k, l), by which Psi = G Omega."""
        return self._identification.fold

    @undisturbed
    def measured_mean(self) -> np.ndarray:
        """Return M times the mean of the rows, shape (m,)."""
        self._check_not_empty()
        if self.content == "entries":
            return np.zeros(self.shape[0])
        return self._left_shift + self._left_sum / self.weight

    @undisturbed
    def feature_mean(self) -> np.ndarray | None:
        """Return the exact mean of every feature, shape (N,), or None if it is not tracked."""
        self._check_not_empty()
        if isinstance(self.measurement, IdentityMeasurement):
            return self.measured_mean()
        if self._moments is None or self.content == "entries":
            return None
        return self._moments.mean()

    @undisturbed
    def feature_variance(self) -> np.ndarray | None:
        """Return the exact diagonal of A, shape (N,), or None if it is not tracked."""
        self._check_not_empty()
        if self.is_exact:
            diagonal = np.diagonal(self._cross)
            if self.content == "entries":
                return diagonal.copy()
            drift = self._left_sum / self.weight
            return np.maximum(diagonal / self.weight - self.center * drift**2, 0.0)
        if self._moments is None or self.content == "entries":
            return None
        return self._moments.second_moment(self.center)

    @undisturbed
    def total_variance(self) -> float | None:
        """Return the trace of A: exact where the diagonal is tracked, else an unbiased estimate.

        The estimate is the trace of M A M^T (MAM*) or of Omega A Omega^T (two-sided); None for a
        two-sided sketch of entries, which does not determine it.
        """
        diagonal = self.feature_variance()
        if diagonal is not None:
            return float(diagonal.sum())
        if self.is_symmetric:
            return float(np.trace(self.matrix()))
        if self.content == "entries":
            return None
        drift = self._right_sum / self.weight
        return float(self._power / self.weight - self.center * (drift @ drift))

    @undisturbed
    def recover(
        self, n_components: int | RankRule, **options: Unpack[RecoveryOptions]
    ) -> SparseEigenpairs:
        """Recover sparse eigenpairs of A from the sketch.

        Parameters
        ----------
        n_components : int, "auto" or "plateau"
        **options
            See :func:`sklearn_sparse_eig.recovery.recover`: ``n_nonzero_coefs``, ``decoder``,
            ``noise``, ``which``, ``random_state``.

        Returns
        -------
        SparseEigenpairs
        """
        from ..recovery import recover  # the state does not depend on how it is read

        return recover(self, n_components, **options)

    # ------------------------------------------------------------------------------------- bytes

    @undisturbed
    def to_bytes(self) -> bytes:
        """Return the sketch as bytes: versioned, checksummed, without pickle.

        Measurements given as instances of unregistered classes cannot be read back elsewhere;
        see :func:`sklearn_sparse_eig.sketching.measurements.register`.
        """
        return _bytes.pack(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Rebuild a sketch from :meth:`to_bytes`.

        Raises
        ------
        ValueError
            If the bytes are no sketch, are truncated or damaged, or come from a version that
            this one cannot read.
        """
        return _bytes.unpack(cls, data)


def _identification_size(identification: Any, n_features: int) -> tuple[int, int] | None:
    """Return the buckets and the width asked for, or None."""
    if isinstance(identification, str):
        if identification != "auto":
            raise ValueError(
                "identification must be 'auto', None, a number of buckets, or a pair (buckets, "
                f"width), got {identification!r}."
            )
        return _IDENTIFICATION_SIZE if n_features > IDENTIFICATION_LIMIT else None
    if identification is None:
        return None
    if np.ndim(identification) == 0:
        identification = identification, _IDENTIFICATION_SIZE[1]
    n_buckets, width = (int(number) for number in identification)
    if n_buckets < 3 or width < 8 or width % 8:
        raise ValueError(
            "identification needs at least 3 buckets and a width that is a multiple of 8, got "
            f"{n_buckets} buckets of width {width}."
        )
    return n_buckets, width


def _shifted(rows, shift):
    """Return rows - shift as a float64 array in C order, without a copy where there is no shift."""
    if not shift.any():
        return np.ascontiguousarray(rows, dtype=np.float64)
    return np.subtract(rows, shift, dtype=np.float64, order="C")


def _row_blocks(X, width):
    """Cut the rows of X so that the buffers of a block stay within a fixed size."""
    step = max(64, _BUFFER // max(width, 1))
    return [(low, min(low + step, X.shape[0])) for low in range(0, X.shape[0], step)]


def _dense(A):
    return A.toarray() if sp.issparse(A) else A
