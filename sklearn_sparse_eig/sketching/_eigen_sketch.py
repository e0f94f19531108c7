"""The one-pass sketch of a symmetric matrix as its users meet it: the ways in and out.

Notation, used in this folder and in ``recovery``: A is the symmetric N x N matrix (the covariance
of the rows seen, or a matrix given by its entries), M (m x N) the measurement, Omega (k x N) the
test matrix, and **S = M A Omega^T** the sketch. MAM* is the case Omega = M.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import numpy as np
import scipy.sparse as sp

from .._base.atomic import all_or_nothing
from .._base.entries import check_values, rows_from_entries
from .._base.locks import undisturbed
from .._base.rows import check_rows, is_linear_operator
from .._base.seeds import check_seed
from .._base.symmetric import check_real
from .._base.typed import ArrayLike, Auto, MatrixLike, RandomSeed
from .._base.weights import check_weights
from . import _bytes
from ._entries import add_entries, add_products, check_entries, products_with
from ._identification import IdentificationSketch, identification_size
from ._rows import add_rows
from ._second_moments import SecondMoments
from .measurements import IdentityMeasurement, Measurement, MeasurementName, make_measurement

if TYPE_CHECKING:
    from ..recovery import RankRule, RecoveryOptions, SparseEigenpairs

# Features up to which exact feature moments are kept unless asked otherwise: 24 MB.
_MOMENTS_LIMIT = 1 << 20


class EigenSketch(SecondMoments):
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
    sparse enough to scatter. Sums are float64, and about the mean of the rows where that is large
    against their spread.

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
        size = identification_size(identification, n_features)
        moments = self._wants_moments(M, test, feature_moments)
        try:
            cells = None
            if size is not None:
                cells = IdentificationSketch(n_features, *size, test.n_measurements, seeds[2])
            self._start(M, test, bool(center), moments, cells)
        except (MemoryError, ValueError) as error:
            # NumPy's own message, of an array too big, would not say which setting asks for it.
            needed = 8 * M.n_measurements * test.n_measurements + 24 * n_features * moments
            raise MemoryError(
                f"A sketch of shape {(M.n_measurements, test.n_measurements)} of "
                f"n_features={n_features}, {'with' if moments else 'without'} feature moments, "
                f"takes {needed:.3g} bytes. Compress both sides (measurement='sparse_sign', "
                "range_size=256) and leave out what keeps features (feature_moments=False)."
            ) from error

    @staticmethod
    def _wants_moments(measurement, test, feature_moments):
        if test.keeps_features and measurement.keeps_features:
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
    @undisturbed
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays().values())

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
        add_rows(self, X, check_weights(sample_weight, X.shape[0]))
        return self

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
    def add_checked_rows(
        self,
        X: np.ndarray | sp.csr_array,
        weights: float | np.ndarray,
        decay: float | np.ndarray = 1.0,
    ) -> Self:
        """Add rows known to be good, some of which may be forgotten in part already.

        Parameters
        ----------
        X : ndarray or csr_array of shape (n, n_features)
            Real and finite, without duplicates; not checked again.
        weights : float or ndarray of float64, shape (n,)
            How many rows a row stands for.
        decay : float or ndarray of float64, shape (n,), default=1.0
            What is left of its weight.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If values are too large for sums of squares. The state is untouched.
        """
        self._check_content("rows")
        add_rows(self, X, weights, decay)
        return self

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
        i, j, values = check_entries(i, j, values, self.n_features)
        self._check_content("entries")
        if values.size:
            add_entries(self, i, j, values, mirror)
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
            products = products_with(self, A)
        else:
            products = self.test.measure(A)
        check_real(products, "A's product with a real matrix")
        if not np.isfinite(products).all():
            raise ValueError("A returned NaN or infinity in a product; the sketch is unchanged.")
        add_products(self, np.arange(N), lambda low, high: products[low:high])
        return self

    # ---------------------------------------------------------------------------------- reading

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
            ``noise``, ``which``, ``positive``, ``random_state``.

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
    def from_bytes(cls, data: Any) -> Self:
        """Rebuild a sketch from :meth:`to_bytes`.

        Raises
        ------
        ValueError
            If the bytes are no sketch, are truncated or damaged, or come from a version that
            this one cannot read.
        """
        return _bytes.unpack(cls, data)
