"""Sparse PCA of a stream of rows, by sketching: parameters, and how rows are added."""

from typing import Any, Literal, Self

import numpy as np
import scipy.sparse as sp

from .._base.entries import rows_from_entries
from .._base.fitting import fitting
from .._base.rows import explained_if_infinite, validate_rows
from .._base.sparse import canonical
from .._base.streams import StreamMixin
from .._base.threads import limit_threads
from .._base.typed import ArrayLike, Auto, BaseEstimator, MatrixLike, RandomSeed
from .._base.weights import check_counts_of_rows
from ..recovery import Decoder, make_decoder
from ..sketching import EigenSketch, Measurement, choose_size
from ._components import ComponentsMixin
from ._parameters import (
    CONSTRAINTS,
    DecoderName,
    MeasurementName,
    NoiseName,
    NonzeroCounts,
    RankRule,
    SketchKind,
)
from ._sizes import check_sizes, wanted_sizes

# Nonzeros per component that a sketch is sized for where the number is left open.
_EXPECTED_NONZEROS = 50
# Components that a sketch is sized for where their number is left open.
_EXPECTED_COMPONENTS = 10
# Rows that are forgotten keep this weight, for zero would mean that they were never seen.
_FORGOTTEN = 1e-100


class SketchedSparsePCA(ComponentsMixin, StreamMixin, BaseEstimator):
    """Sparse principal components from one pass over wide rows.

    The estimator finds the few directions that carry the variance, each made of a few features.
    Rows are measured, added to a linear sketch of the covariance, and forgotten. The sketch has a
    fixed size: ``memory_budget`` bounds the memory for any number of rows and features. Estimators
    fitted to different shards can be merged. Dense and CSR rows in float32 or float64 are used
    without conversion.

    Parameters
    ----------
    n_components : int, "auto" or "plateau", default=2
        Number of components. ``"auto"`` counts the components whose variance is larger than white
        noise of the estimated variance would produce, with one false alarm in a hundred fits.
        ``"plateau"`` stops among these before the largest ratio of consecutive variances. Both
        rules are applied when components are computed, to all rows seen; they return between 1 and
        32 components, and the sketch is sized for 10. See Notes.
    n_nonzero_coefs : int, array-like of int of shape (n_components,) or "auto", default="auto"
        Number of features in each component, at most 1000. ``"auto"`` keeps the features that stand
        out from noise, nominally with 0.05 false ones in all. ``fit`` with ``refine="data"`` takes
        their levels from the rows; in one pass, more false ones pass where features are hashed into
        a small sketch, or are rarely nonzero but then large. Give a number in these cases.
    sketch : {"auto", "two_sided", "mam"}, default="auto"
        ``"auto"`` keeps the exact covariance if it fits into ``memory_budget`` (up to 3800 features
        at the default), and otherwise a two-sided sketch S = M A Omega^T. ``"mam"`` uses the same
        compressed measurement on both sides. ``sketch_`` shows what was chosen.
    measurement : {"sparse_sign", "gaussian", "identity", "prime_residue"} or Measurement, \
default="sparse_sign"
        The ensemble of measurements that compresses the features when they have to be compressed.
    n_measurements, range_size : int or "auto", default="auto"
        The sizes m and k of the sketch. ``"auto"`` uses as much as ``memory_budget`` allows, up to
        the point beyond which a larger sketch no longer helps.
    decoder : {"auto", "htp", "bit_test", "median", "diagonal_network"} or Decoder, default="auto"
        The method that finds supports from compressed measurements. ``"htp"`` sweeps over all
        features, at some 50 million a second. ``"bit_test"`` reads their ids from a side sketch, in
        time that does not depend on their number, for up to 2**62 of them; it slows updates down
        and takes half of the memory. ``"auto"`` is ``"htp"`` up to 2**27 features, and beyond that
        ``"bit_test"``, with sweeps up to some 2**30 features where it may have missed weak ones.
        ``"median"`` is the decoder of the MAM* experiments; ``"diagonal_network"`` solves for the
        least l1 norm, column by column.
    noise : {"isotropic", "diagonal"} or None, default="isotropic"
        Model of the noise that is removed from the sketch. ``"diagonal"`` gives each feature a
        variance of its own: this is factor analysis rather than PCA, and finds what features share
        even if some are much louder than others. It keeps 24 bytes per feature. Features that were
        hashed together are weighed only by ``fit``, which reads the rows once more.
    refine : {"auto", "data", "sketch"}, default="auto"
        With ``"data"``, ``fit`` reads the columns of the candidate features of X a second time, and
        solves on their exact covariance. With ``"sketch"`` it makes a single pass, with the same
        result as ``partial_fit``. ``"auto"`` is ``"data"`` for ``fit``; ``partial_fit`` never reads
        rows twice.
    center : bool, default=True
        Whether to subtract the mean of the features.
    positive : bool, default=False
        Whether loadings must not be negative, as for the words of a topic or the genes of a
        programme. Components that have no negative loading without it are kept; the others are
        local optima. In one pass over hashed features, candidates are chosen without regard to it.
    forgetting : float in (0, 1], default=1.0
        Each new row multiplies the weight of all earlier rows by this factor, so that half of the
        weight lies in the last ``log(2) / (1 - forgetting)`` rows. How the rows are divided into
        batches makes no difference.
    memory_budget : float, default=256e6
        Bytes that are allocated at a time, beyond the rows: the sketch with a copy while rows are
        added, and the work arrays of a recovery. The sketch takes up to 45 % of them. More than
        1000 nonzeros in all take more.
    batch_size : int or "auto", default="auto"
        Number of rows that ``fit`` reads at a time. ``"auto"`` means up to 8192.
    n_jobs : int or None, default=None
        Number of threads. None leaves the choice to ``OMP_NUM_THREADS`` and the number of cores.
    random_state : int, RandomState instance or None, default=None
        Seed of the measurements. Pass an int if estimators are to be merged: only sketches made
        from the same seed can be.
    verbose : int, default=0
        1 reports the sketch, the recovery and the progress of long sweeps; 2 also reports each
        batch of ``fit``.

    Attributes
    ----------
    components_ : csr_array of shape (n_components_, n_features)
        Rows of unit length, in descending order of the variance that each adds to those before it;
        if the entries of ``n_nonzero_coefs`` differ, rows keep its order. The entry of largest
        magnitude is positive (the first one in case of a tie). After :meth:`densify` this is an
        ndarray.
    explained_variance_ : ndarray of shape (n_components_,)
        Variance that each component adds to the span of those before it (the divisor is the sum of
        the weights). For orthogonal components this is the variance along each of them.
    explained_variance_ratio_ : ndarray of shape (n_components_,)
        ``explained_variance_`` as a share of the total variance. The total is exact while the
        variances of the features are tracked (up to about 260 000 features at the default budget)
        and estimated beyond. Tracked variances also cap the share of a component at the variance
        of its features.
    singular_values_ : ndarray of shape (n_components_,)
        ``sqrt(weight * explained_variance_)``, where the weight is that of all rows. For orthogonal
        components these are the norms of the centred rows along them.
    var_ : ndarray of shape (n_features,)
        Variance of each feature. It exists only if variances are tracked.
    mean_ : ndarray of shape (n_features,) or csr_array of shape (1, n_features)
        Mean of the features. If there are too many features to track, it is sparse, and estimated
        on the support only.
    noise_variance_ : float
        Estimated variance of the noise in a feature. The recovery removes it from a compressed
        sketch; where the exact covariance is kept, it is the mean variance outside the components,
        as in ``PCA``.
    support_ : ndarray of int64
        Features that occur in any component, in increasing order.
    n_components_ : int
        Number of components, as given or as chosen.
    n_nonzero_coefs_ : ndarray of int, shape (n_components_,)
        Number of features in each component.
    residual_ : float
        Share of the noise-corrected sketch, in Frobenius norm, that the components leave
        unexplained.
    eigenpairs_ : SparseEigenpairs
        The result of the recovery, with eigengaps, detection strengths and error estimates.
    sketch_ : EigenSketch
        The sketch of all rows seen. It can be merged, saved, and recovered from again; rows added
        to it or deleted from it count here too.
    n_samples_seen_ : int
        Number of rows seen.
    n_features_in_ : int
        Number of features seen during the fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.
    term_names_ : TermNames
        Names of hashed terms, where they have been set. ``fit`` forgets them.

    See Also
    --------
    SketchedSparsePCACV : The number and the size of components, chosen by rows held out.
    support_stability : Which features are kept whatever the rows.
    EigenSketch : The sketch alone, also for matrices that are given by entries.
    sparse_eigsh : Sparse eigenvectors of a matrix that is at hand.
    sklearn.decomposition.IncrementalPCA : Dense components of dense rows.

    Notes
    -----
    Components are computed when they are first accessed, so a stream of ``partial_fit`` calls pays
    only for the sketch. A row with z nonzeros takes O(K z + m k) time, or O(K z k) if sparse rows
    are scattered. A recovery takes O(N K r) per sweep over the features and O(p^2 s) on p <= 1000
    candidates. If dense PCA, or a method with O(N r) memory, fits into memory and accuracy under
    noise matters most, prefer it: compression to m measurements costs a factor of sqrt(N / m) in
    the noise that can be tolerated.

    ``n_components="auto"`` assumes that noise is white, or independent with ``noise="diagonal"``.
    Data whose spectrum decays without a gap have many components above this noise; a warning says
    so. A component near the edge is missed rather than invented. If there is nothing but noise, one
    component is returned, with a warning. ``doc/low_rank_and_smooth.md`` compares both rules.

    References
    ----------
    Boahen, Brugiapaglia, Chou, Iwen, Krahmer, arXiv:2507.17036 (the MAM* idea); the two-sided
    sketch, debiasing and decoder are derived in ``doc/how_the_sketch_works.md``.

    Examples
    --------
    >>> from sklearn_sparse_eig import SketchedSparsePCA
    >>> from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
    >>> data = make_sparse_spiked_covariance(
    ...     n_samples=2000, n_features=500, eigenvalues=(30, 20), n_nonzero_coefs=5, random_state=0
    ... )
    >>> pca = SketchedSparsePCA(n_components=2, random_state=0)
    >>> for start in range(0, 2000, 500):
    ...     pca = pca.partial_fit(data.data[start : start + 500])
    >>> [int(i) for i in pca.support_] == [int(i) for i in data.support]
    True
    """

    _parameter_constraints: dict = CONSTRAINTS

    def __init__(
        self,
        n_components: int | RankRule = 2,
        *,
        n_nonzero_coefs: NonzeroCounts = "auto",
        sketch: SketchKind = "auto",
        measurement: MeasurementName | Measurement = "sparse_sign",
        n_measurements: int | Auto = "auto",
        range_size: int | Auto = "auto",
        decoder: DecoderName | Decoder = "auto",
        noise: NoiseName | None = "isotropic",
        refine: Literal["auto", "data", "sketch"] = "auto",
        center: bool = True,
        positive: bool = False,
        forgetting: float = 1.0,
        memory_budget: float = 256e6,
        batch_size: int | Auto = "auto",
        n_jobs: int | None = None,
        random_state: RandomSeed = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_nonzero_coefs = n_nonzero_coefs
        self.sketch = sketch
        self.measurement = measurement
        self.n_measurements = n_measurements
        self.range_size = range_size
        self.decoder = decoder
        self.noise = noise
        self.refine = refine
        self.center = center
        self.positive = positive
        self.forgetting = forgetting
        self.memory_budget = memory_budget
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    _state_name = "sketch_"

    @fitting(prefer_skip_nested_validation=True)
    def fit(self, X: MatrixLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to X alone, and forget all rows seen before.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative counts of rows: an integer weight stands for repetition. The scale of the
            weights decides what stands out from noise, so do not normalise them to sum to one.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X is not numeric or not finite, has fewer than two rows of positive weight or no
            variance, or is too narrow for n_components and n_nonzero_coefs. A previous fit is
            then left as it was.
        """
        with limit_threads(self._n_threads()):
            X, weights = self._check_rows(X, sample_weight, reset=True)
            if X.shape[0] < 2:
                raise ValueError(
                    f"A variance needs at least two rows, got n_samples = {X.shape[0]}. Stream "
                    "single rows through partial_fit."
                )
            sketch = self._make_sketch(X.shape[1])
            for rows, part in self._batches(X, weights):
                self._add_rows(sketch, rows, part)
            self._take_fit(sketch, self._recover_all(sketch, self._reading(X, weights, sketch)))
        return self

    @fitting(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: MatrixLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add rows to the sketch. Components are computed when they are first accessed.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            One row is enough. After the first call, X may also be empty.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative counts of rows: an integer weight stands for repetition. The scale of the
            weights decides what stands out from noise, so do not normalise them to sum to one.

        Returns
        -------
        self : object
            The estimator with the rows added.

        Raises
        ------
        ValueError
            In the same cases as :meth:`fit`, and if the number of features differs from that of
            earlier calls. The fitted state is then left as it was.
        """
        first = not hasattr(self, "sketch_")
        with limit_threads(self._n_threads()):
            X, weights = self._check_rows(X, sample_weight, reset=first)
            sketch = self._make_sketch(X.shape[1]) if first else self.sketch_
            for rows, part in self._batches(X, weights):
                self._add_rows(sketch, rows, part)
        if first or X.shape[0]:
            self.sketch_ = sketch
            self._state_changed()
        return self

    def partial_fit_coo(
        self,
        row_ids: ArrayLike,
        feature_ids: ArrayLike,
        values: ArrayLike,
        *,
        n_features: int | None = None,
        n_rows: int | None = None,
    ) -> Self:
        """Add rows given by their entries, for streams that are never stored as a matrix.

        Parameters
        ----------
        row_ids : array-like of int, shape (n,)
            Row of each entry: any integers, the same one for all entries of a row. All entries of a
            row must come in one call.
        feature_ids : array-like of int, shape (n,)
            Feature of each entry, in [0, n_features). ``ids & (2**62 - 1)`` brings 64-bit hashes
            into this range.
        values : array-like of float, shape (n,)
            Value of each entry. Values of the same row and feature are added.
        n_features : int or None, default=None
            Number of features, up to 2**62. It is needed in the first call.
        n_rows : int or None, default=None
            Number of rows, if some have no entries at all. None counts the distinct row_ids.

        Returns
        -------
        self : object
            The estimator with the rows added.

        Raises
        ------
        ValueError
            In the same cases as :meth:`partial_fit`, or if an id is out of range. The fitted state
            is then left as it was.

        Examples
        --------
        >>> from sklearn_sparse_eig import SketchedSparsePCA
        >>> pca = SketchedSparsePCA(1, random_state=0)
        >>> pca.partial_fit_coo([0, 0, 1], [5, 9, 5], [1.0, 2.0, 3.0], n_features=2**62)
        SketchedSparsePCA(n_components=1, random_state=0)
        >>> pca.n_samples_seen_
        2
        """
        if n_features is None:
            if not hasattr(self, "sketch_"):
                raise ValueError("The first call needs n_features; 2**62 is the most.")
            n_features = self.n_features_in_
        return self.partial_fit(rows_from_entries(row_ids, feature_ids, values, n_features, n_rows))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "sketch_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check_merge(self, other: Self) -> None:
        if self.forgetting != 1.0:
            raise ValueError(
                f"Shards cannot be merged with forgetting={self.forgetting}: which rows are the "
                "latest is not known. Use forgetting=1.0, or scale the sketches yourself."
            )

    def _check_rows(self, X: Any, sample_weight: Any, reset: bool) -> tuple[Any, Any]:
        """Return validated X (dense or canonical CSR, any real dtype) and weights."""
        X = validate_rows(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype="numeric",
            ensure_min_samples=1 if reset else 0,
            dense_may_be_infinite=True,
        )
        weights = check_counts_of_rows(sample_weight, X.shape[0])
        check_sizes(self.n_components, self.n_nonzero_coefs, X.shape[1])
        return canonical(X) if sp.issparse(X) else X, 1.0 if weights is None else weights

    def _expected_components(self, n_features: int) -> int:
        if not isinstance(self.n_components, str):
            return self.n_components
        # A sketch of given size holds what it holds.
        given = [s // 2 for s in (self.n_measurements, self.range_size) if s != "auto"]
        return max(min(_EXPECTED_COMPONENTS, n_features, *given), 1)

    def _make_sketch(self, n_features: int) -> EigenSketch:
        # Made here though used later: a wrong name is worth knowing before the data are read.
        decoder = make_decoder(self.decoder, n_features)
        sizes = wanted_sizes(self.n_components, self.n_nonzero_coefs)
        size = choose_size(
            n_features,
            self._expected_components(n_features),
            _EXPECTED_NONZEROS if sizes is None else int(sizes.max()),
            sketch=self.sketch,
            measurement=self.measurement,
            n_measurements=self.n_measurements,
            range_size=self.range_size,
            feature_moments=self.noise == "diagonal",
            identification=decoder.needs_identification,
            memory_budget=self.memory_budget,
        )
        sketch = EigenSketch(
            n_features, center=self.center, random_state=self.random_state, **size.arguments()
        )
        if size.row_buffer is not None:
            sketch.row_buffer = size.row_buffer
        self._report(f"{sketch!r}, {sketch.nbytes / 1e6:.1f} MB")
        return sketch

    def _add_rows(self, sketch: EigenSketch, X: Any, weights: Any) -> None:
        decay = 1.0
        if self.forgetting < 1.0:
            n = X.shape[0]
            if sketch.content is not None:
                sketch.scale(max(self.forgetting**n, _FORGOTTEN))
            decay = np.maximum(self.forgetting ** np.arange(n - 1, -1, -1.0), _FORGOTTEN)
        with explained_if_infinite(self, X):
            sketch.add_checked_rows(X, weights, decay)
        self._report(f"{sketch.n_samples} rows", level=2)
