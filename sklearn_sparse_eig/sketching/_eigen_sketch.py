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
from .._base.entries import rows_from_entries
from .._base.locks import undisturbed
from .._base.rows import check_rows
from .._base.seeds import check_seed
from .._base.symmetric import check_matrix_values, check_real, is_linear_operator, symmetric_part
from .._base.typed import ArrayLike, Auto, MatrixLike, RandomSeed
from .._base.weights import check_weights
from . import _bytes
from ._entries import add_entries, add_products, check_entries, products_with
from ._identification import IdentificationSketch, identification_size
from ._rows import add_rows
from ._saving import SketchSavingMixin
from ._second_moments import SecondMoments
from .measurements import IdentityMeasurement, Measurement, MeasurementName, make_measurement

if TYPE_CHECKING:
    from ..recovery import RankRule, RecoveryOptions, SparseEigenpairs

# Features up to which exact feature moments are kept unless asked otherwise: 24 MB.
_MOMENTS_LIMIT = 1 << 20


class EigenSketch(SketchSavingMixin, SecondMoments):
    """One-pass linear sketch S = M A Omega^T of a symmetric matrix A.

    A is the covariance of all rows passed to :meth:`update` (or their second moment, with
    ``center=False``), or a matrix given by entries, tiles or an operator. Everything that is kept
    is linear in A: merging is addition, deleting is adding with negative weight, and forgetting is
    multiplication by a factor. No array of length ``n_features`` is allocated unless the
    measurement is the identity or feature moments are requested.

    Parameters
    ----------
    n_features : int
        Number of features N, up to 2**62.
    n_measurements : int or None
        Length m of a measured row; ``None`` only with ``measurement="identity"``, where m = N.
    range_size : int or None, default=None
        Number k of rows of an independent sparse-sign test matrix. ``None`` uses M on both sides:
        the symmetric MAM* sketch, the natural form for streams of entries.
    measurement : {"sparse_sign", "gaussian", "identity", "prime_residue"} or Measurement, \
default="sparse_sign"
        The measurement M, or the name of its ensemble.
    center : bool, default=True
        Whether to subtract the mean of the rows, exactly for any order of batches (not of entries).
    feature_moments : bool or "auto", default="auto"
        Whether to keep the exact mean and variance of each feature, in 24 bytes per feature.
        ``"auto"`` keeps them for up to about a million features.
    identification : "auto", None, int or (int, int), default="auto"
        Size of the bit-test side sketch, from which ``decoder="bit_test"`` finds features in time
        that does not grow with N: number of buckets, and width (default 32, enough for 24
        components). It takes ``8 * n_buckets * width * (1 + log2(n_features))`` bytes and makes
        updates several times slower. ``"auto"`` keeps 3072 buckets beyond 2**27 features, where
        sweeps would take minutes in a recovery. ``None`` keeps none.
    random_state : int, RandomState, Generator or None, default=None
        Seed of M and Omega. Only sketches made from the same seed can be merged, so pass an int if
        sketches are made in several places.

    Attributes
    ----------
    n_samples : int
        Number of rows seen, less the rows deleted.
    weight : float
        Sum of the weights of these rows.
    nbytes : int
        Number of bytes held in arrays.
    revision : int
        A number that changes whenever the content does.
    shard_ids : frozenset
        Names of the shards that were merged, if they have names.
    content : {"rows", "entries"} or None
        What has been added to the sketch; None while it is empty.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    MemoryError
        If the sketch does not fit into memory; the message says what would.

    Notes
    -----
    The sketch takes 8 (m k + 2 (m + k)) bytes, and 24 N more with feature moments. An update of n
    rows with z nonzeros each costs O(n K z) for hashing and O(n m k) for the product, or O(n K z k)
    if rows are sparse enough to scatter. Sums are in float64, about the mean if that is large.

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
        """Add rows to the sketch.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, n_features)
            Rows, dense or CSR with int32 or int64 indices. Other formats are converted.
        sample_weight : float or array-like of shape (n,), default=None
            Weight of each row. A negative one deletes a row added before with the opposite weight.

        Returns
        -------
        self : EigenSketch

        Raises
        ------
        ValueError
            If X has another number of features, is not numeric or not finite, if the weights do not
            fit, or if the sketch holds matrix entries. The sketch is then left as it was.
        """
        X = check_rows(X, self.n_features, dense_may_be_infinite=True)
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
        """Add rows given by their entries: values[e] at feature_ids[e] of row row_ids[e].

        All entries of a row must come in one call, because the covariance is not linear in them.

        Parameters
        ----------
        row_ids : array-like of int, shape (n,)
            Row of each entry: any integers, the same one for all entries of a row.
        feature_ids : array-like of int, shape (n,)
            Feature of each entry, in [0, n_features): for 64-bit hashes, ``ids & (2**62 - 1)``.
        values : array-like of float, shape (n,)
            Value of each entry. Values of the same row and feature are added.
        sample_weight : float or None, default=None
            Weight of every row. A negative weight deletes rows that were added before.
        n_rows : int or None, default=None
            Number of rows, if some have no entries at all. None counts the distinct row_ids.

        Returns
        -------
        self : EigenSketch

        Raises
        ------
        ValueError
            As in :meth:`update`, or if an id is out of range. The sketch is then left as it was.

        Notes
        -----
        Sorting the entries takes O(n log n) time; the rest is as in :meth:`update`.

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
        """Add rows that have been checked already, and may be partly forgotten.

        Parameters
        ----------
        X : ndarray or csr_array of shape (n, n_features)
            Real rows without duplicate entries. They are not checked again, except that the sums
            of an array tell whether it is finite.
        weights : float or ndarray of float64, shape (n,)
            Number of rows that each row stands for.
        decay : float or ndarray of float64, shape (n,), default=1.0
            Share of its weight that each row has left.

        Returns
        -------
        self : EigenSketch

        Raises
        ------
        ValueError
            If values are not finite, or too large for sums of squares. The sketch is then left as
            it was.
        """
        self._check_content("rows")
        add_rows(self, X, weights, decay)
        return self

    # ---------------------------------------------------------------------------------- entries

    @all_or_nothing
    def update_entries(
        self, i: ArrayLike, j: ArrayLike, values: ArrayLike, *, mirror: bool = False
    ) -> Self:
        """Add entries of A in coordinate form: A[i, j] += values.

        A stays symmetric: the sketch takes the symmetric part of the entries given.

        Parameters
        ----------
        i, j : array-like of int, shape (n,)
            Row and column of each entry. Entries at the same place are added.
        values : array-like of float, shape (n,)
            Amounts to add. Negative amounts delete.
        mirror : bool, default=False
            Whether off-diagonal entries stand for their mirror images too; set it for one triangle.

        Returns
        -------
        self : EigenSketch

        Notes
        -----
        This takes O(n K k) time, and O(u k) temporary memory in blocks, for u distinct ids.
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
        """Add a tile of A: A[row_ids][:, column_ids] += tile.

        Parameters
        ----------
        row_ids, column_ids : array-like of int, of shapes (p,) and (q,)
            Rows and columns of A that the tile covers.
        tile : array-like of float, shape (p, q)
            Amounts to add, as in :meth:`update_entries`.
        mirror : bool, default=False
            Whether the tile stands for its transpose at the mirrored place too. A tile that
            crosses the diagonal holds both triangles there and should not be mirrored.

        Returns
        -------
        self : EigenSketch
        """
        tile = check_matrix_values(tile, "tile")
        row_ids, column_ids = np.atleast_1d(row_ids), np.atleast_1d(column_ids)
        if tile.shape != (len(row_ids), len(column_ids)):
            raise ValueError(
                f"tile must have shape {(len(row_ids), len(column_ids))}, got {tile.shape}."
            )
        i, j = np.repeat(row_ids, len(column_ids)), np.tile(column_ids, len(row_ids))
        return self.update_entries(i, j, tile.ravel(), mirror=mirror)

    @all_or_nothing
    def update_operator(self, A: Any) -> Self:
        """Add a whole symmetric matrix, given as an array, sparse matrix or ``LinearOperator``.

        Parameters
        ----------
        A : array-like, sparse matrix or LinearOperator of shape (n_features, n_features)

        Returns
        -------
        self : EigenSketch

        Raises
        ------
        ValueError
            If A has the wrong shape, or is an array that is not symmetric or not finite.

        Notes
        -----
        This takes k products with A, and O(N K k) time besides.
        """
        N = self.n_features
        check_real(A)
        if not is_linear_operator(A):
            A = check_rows(A, N, "A")
            if A.shape == (N, N):
                # Booleans and unsigned integers do not subtract.
                A = symmetric_part(A.astype(np.float64, copy=False))
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
            Number of eigenpairs, or the rule that chooses it.
        **options
            ``n_nonzero_coefs``, ``decoder``, ``noise``, ``which``, ``random_state`` and the others
            of :func:`sklearn_sparse_eig.recovery.recover`.

        Returns
        -------
        SparseEigenpairs
        """
        from ..recovery import recover  # the state does not depend on how it is read

        return recover(self, n_components, **options)

    # ------------------------------------------------------------------------------------- bytes

    @undisturbed
    def to_bytes(self) -> bytes:
        """Return the sketch as bytes, in a versioned format with a checksum and without pickle.

        A measurement given as an instance of an unregistered class cannot be read back elsewhere;
        see :func:`sklearn_sparse_eig.sketching.measurements.register`.
        """
        return _bytes.pack(self)

    @classmethod
    def from_bytes(cls, data: Any) -> Self:
        """Rebuild a sketch from the bytes that :meth:`to_bytes` returned.

        Bytes may come from anybody. They are not evaluated, and take memory and time in proportion
        to their length.

        Raises
        ------
        ValueError
            If the bytes are no sketch, are damaged, come from a version that cannot be read, or
            hold what no sketch can.
        """
        return _bytes.unpack(cls, data)
