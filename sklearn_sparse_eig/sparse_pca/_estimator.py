"""Sparse PCA of a stream of rows, by sketching: the scikit-learn shell."""

import warnings
from contextlib import nullcontext
from numbers import Integral, Real

import numpy as np
import scipy.sparse as sp
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from .._base.compat import Interval, StrOptions, check_sample_weight
from .._base.fitting import fitting
from .._base.threads import limit_threads
from ..recovery import (
    RULES,
    Decoder,
    find_candidates,
    make_decoder,
    recover,
    resolve_n_components,
    restricted_least_squares,
)
from ..sketching import MAX_CANDIDATES, EigenSketch, Measurement, choose_size, rows_from_entries
from ._second_reading import SecondReading, recover_from_rows, selected_columns

# Nonzeros per component that a sketch is sized for where the number is left open.
_EXPECTED_NONZEROS = 50
# Components that a sketch is sized for where their number is left open.
_EXPECTED_COMPONENTS = 10
# Rows read at a time: a few megabytes for wide sparse rows, enough for BLAS where they are dense.
_BATCH = 8192
# Relative size of what rounding leaves of a sum that should vanish.
_ROUNDING = 64 * np.finfo(np.float64).eps
# Variances beyond this, or below its inverse, have squares that are infinite, or zero.
_LARGEST = 1e140
# Bytes of a dense array over all features (16 GiB) beyond which it is refused, not tried: where
# memory is overcommitted, the attempt may end the process.
_LARGEST_DENSE = 2**34
# Rows that are forgotten keep this weight, for zero would mean that they were never seen.
_FORGOTTEN = 1e-100


class SketchedSparsePCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Sparse principal components from one pass over wide rows.

    Finds the few directions that carry the variance, each made of few features, from a linear
    sketch of the covariance: rows are measured, added to a sketch of fixed size and forgotten.
    Memory is bounded by ``memory_budget`` whatever the number of rows and features; sketches of
    different shards merge. Dense and CSR rows, float32 and float64, are taken as they are.

    Parameters
    ----------
    n_components : int, "auto" or "plateau", default=2
        Number of components. ``"auto"`` counts those whose variance stands above what white noise
        of the estimated variance leaves, at one false alarm in a hundred fits; ``"plateau"``
        stops, among these, before the largest ratio of consecutive variances. Both are decided
        when components are computed, from all rows seen, give at least 1 and at most 32, and
        size the sketch for 10. See Notes.
    n_nonzero_coefs : int, array-like of int of shape (n_components,) or "auto", default="auto"
        Features in each component, at most 1000. ``"auto"`` keeps those that stand out from
        noise, at a nominal 0.05 false ones in all; more pass where features are hashed into a
        small sketch, or are rarely nonzero and then large (word counts): give a number there.
    sketch : {"auto", "two_sided", "mam"}, default="auto"
        ``"auto"`` keeps the exact covariance where ``memory_budget`` holds it (up to 2400 features
        at the default), else a two-sided sketch S = M A Omega^T. ``"mam"`` uses the same
        compressed measurement on both sides.
        ``sketch_`` tells what was chosen.
    measurement : {"sparse_sign", "gaussian", "identity", "prime_residue"} or Measurement, \
default="sparse_sign"
        How features are compressed where they must be.
    n_measurements, range_size : int or "auto", default="auto"
        The sizes m and k of the sketch. ``"auto"`` is what ``memory_budget`` allows, up to where
        more stops helping.
    decoder : {"auto", "htp", "bit_test", "median", "diagonal_network"} or Decoder, default="auto"
        How supports are found from compressed measurements. ``"htp"`` sweeps over all features, at
        some 50 million a second. ``"bit_test"`` reads their ids from a side sketch, in time that
        does not depend on their number, for up to 2**62 of them; it slows updates down and takes
        half of the memory. ``"auto"`` is ``"bit_test"`` beyond 2**27 features, else ``"htp"``.
        ``"median"`` is the decoder of the MAM* experiments, ``"diagonal_network"`` solves for the
        least l1 norm, column by column.
    noise : {"isotropic", "diagonal"} or None, default="isotropic"
        Noise model removed from the sketch. ``"diagonal"`` allows each feature its own variance:
        that is factor analysis rather than PCA, and finds what features share even where some
        are much louder than others. It keeps 24 bytes per feature.
    refine : {"auto", "data", "sketch"}, default="auto"
        ``"data"``: ``fit`` reads X a second time, only the columns of the candidate features, and
        solves on their exact covariance. ``"sketch"``: one pass, the same result as
        ``partial_fit``. ``"auto"`` is ``"data"`` for ``fit``; ``partial_fit`` never reads twice.
    center : bool, default=True
        Subtract the mean of the features.
    forgetting : float in (0, 1], default=1.0
        Factor on the weight of all earlier rows with each new row: half of the weight lies in the
        last ``log(2) / (1 - forgetting)`` rows. The same in whatever batches rows come.
    memory_budget : float, default=256e6
        Bytes for the sketch and its recovery, besides the batch of rows itself.
    batch_size : int or None, default=None
        Rows that ``fit`` reads at a time. None for 8192.
    n_jobs : int or None, default=None
        Threads. None leaves the choice to ``OMP_NUM_THREADS`` and the number of cores.
    random_state : int, RandomState instance or None, default=None
        Decides the measurements. Give an int where estimators are to be merged: only sketches of
        one seed can be.
    verbose : int, default=0
        1 reports the sketch and the recovery, with the progress of long sweeps, 2 each batch of
        ``fit`` too.

    Attributes
    ----------
    components_ : csr_array of shape (n_components_, n_features)
        Unit rows, the entry of largest magnitude positive. An ndarray after :meth:`densify`.
        Ordered as found: each is best after those before it.
    explained_variance_ : ndarray of shape (n_components_,)
        Variance that each component adds to the span of those before it (divisor: the sum of the
        weights). For orthogonal components that is the variance along each.
    explained_variance_ratio_ : ndarray of shape (n_components_,)
        The same as a share of the total variance, which is exact while the features' variances
        are tracked (up to about 300 000 features at the default budget) and estimated beyond.
    mean_ : ndarray of shape (n_features,) or csr_array of shape (1, n_features)
        Mean of the features; sparse, and estimated on the support only, where there are too many
        features to track.
    noise_variance_ : float
        Estimated variance of the noise in a feature.
    support_ : ndarray of int64
        Features that occur in any component, increasing.
    n_components_ : int
        Number of components found: as asked for, or as chosen.
    n_nonzero_coefs_ : ndarray of int, shape (n_components_,)
        Features in each component.
    residual_ : float
        Share of the noise-corrected sketch (Frobenius norm) that the components leave unexplained.
    eigenpairs_ : SparseEigenpairs
        The recovery itself, with eigengaps, detection strength and error estimates.
    sketch_ : EigenSketch
        The state; it can be merged, saved and recovered from again. Rows deleted or added there
        count here too.
    n_samples_seen_ : int
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where all features of X had string names.

    See Also
    --------
    EigenSketch : The sketch alone, also for matrices that come in entries.
    sparse_eigsh : Sparse eigenvectors of a matrix at hand.
    sklearn.decomposition.IncrementalPCA : Dense components, dense rows.

    Notes
    -----
    Components are computed when first looked at, so a stream of ``partial_fit`` pays only for the
    sketch. Time per row with z nonzeros: O(K z + m k), or O(K z k) where sparse rows are
    scattered; recovery O(N K r) per sweep over the features and O(p^2 s) on p <= 1000 candidates.
    When dense PCA, or a method with O(N r) memory, fits and accuracy under noise matters most, use
    it: compression to m measurements costs a factor of sqrt(N / m) in the noise it can bear.

    ``n_components="auto"`` takes noise for white, or with ``noise="diagonal"`` for independent:
    data whose spectrum decays without a gap have many components above it, and are warned of. A
    component near the edge is missed rather than invented, and where there is
    nothing but noise one component is returned, with a warning. ``doc/low_rank_and_smooth.md``
    compares both rules.

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

    _parameter_constraints: dict = {
        "n_components": [Interval(Integral, 1, None, closed="left"), StrOptions(set(RULES))],
        "n_nonzero_coefs": [
            Interval(Integral, 1, None, closed="left"),
            "array-like",
            StrOptions({"auto"}),
        ],
        "sketch": [StrOptions({"auto", "two_sided", "mam"})],
        "measurement": [str, Measurement],
        "n_measurements": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "range_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "decoder": [str, Decoder],
        "noise": [StrOptions({"isotropic", "diagonal"}), None],
        "refine": [StrOptions({"auto", "data", "sketch"})],
        "center": ["boolean"],
        "forgetting": [Interval(Real, 0, 1, closed="right")],
        "memory_budget": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components=2,
        *,
        n_nonzero_coefs="auto",
        sketch="auto",
        measurement="sparse_sign",
        n_measurements="auto",
        range_size="auto",
        decoder="auto",
        noise="isotropic",
        refine="auto",
        center=True,
        forgetting=1.0,
        memory_budget=256e6,
        batch_size=None,
        n_jobs=None,
        random_state=None,
        verbose=0,
    ):
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
        self.forgetting = forgetting
        self.memory_budget = memory_budget
        self.batch_size = batch_size
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    # ---------------------------------------------------------------------------------- fitting

    @fitting(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Fit to X alone, forgetting what was seen before.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative counts of rows: an integer weight stands for repetition. Their scale
            decides what stands out from noise, so weights should not be made to sum to one.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If X is not numeric or not finite, has fewer than two rows of positive weight or no
            variance, or is too narrow for n_components and n_nonzero_coefs. A previous fit is
            then left as it was.
        """
        with nullcontext(), limit_threads(self._n_threads()):
            X, weights = self._check_rows(X, sample_weight, reset=True)
            if X.shape[0] < 2:
                raise ValueError(
                    f"A variance needs at least two rows, got n_samples = {X.shape[0]}. Stream "
                    "single rows through partial_fit."
                )
            sketch = self._make_sketch(X.shape[1])
            for rows, part in self._batches(X, weights):
                self._add_rows(sketch, rows, part)
            _check_variance(sketch)
            if self.refine == "sketch" or sketch.is_exact:
                recovered = {"eigenpairs": self._recover(sketch)}
            else:
                recovered = self._recover_from_data(sketch, X, weights)
            self._dense = False
            self._set_state(sketch, recovered)
        return self

    @fitting(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, sample_weight=None):
        """Add rows to the sketch. Components follow when they are looked at.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            One row is enough; none is allowed after the first call.
        y : Ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative counts of rows: an integer weight stands for repetition. Their scale
            decides what stands out from noise, so weights should not be made to sum to one.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As :meth:`fit`, and if X has another number of features than before. The fitted state
            is then left as it was.
        """
        first = not hasattr(self, "sketch_")
        with nullcontext(), limit_threads(self._n_threads()):
            X, weights = self._check_rows(X, sample_weight, reset=first)
            sketch = self._make_sketch(X.shape[1]) if first else self.sketch_
            for rows, part in self._batches(X, weights):
                self._add_rows(sketch, rows, part)
            if first or X.shape[0]:
                self._set_state(sketch, {})
        return self

    def partial_fit_coo(self, row_ids, feature_ids, values, *, n_features=None, n_rows=None):
        """Add rows that come as entries, of a stream that never becomes a matrix.

        Parameters
        ----------
        row_ids : array-like of int, shape (n,)
            Any integers; entries with the same one belong to the same row. All entries of a row
            must come in one call.
        feature_ids : array-like of int, shape (n,)
            In [0, n_features). Bring 64-bit hashes into range by ``ids & (2**62 - 1)``.
        values : array-like of float, shape (n,)
            Duplicates add.
        n_features : int or None, default=None
            Number of features, up to 2**62; needed in the first call.
        n_rows : int or None, default=None
            Number of rows, where some have no entries at all; None for the distinct row_ids.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As :meth:`partial_fit`, or if an id is out of range. The fitted state is then left as
            it was.

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

    def merge(self, other):
        """Add the rows seen by another estimator, as if they had been passed to partial_fit.

        Parameters
        ----------
        other : SketchedSparsePCA
            Fitted with the same parameters and the same int ``random_state``.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the sketches differ in anything but content, or the features in name; the message
            gives both values. This estimator is then left as it was.
        """
        check_is_fitted(self)
        if not isinstance(other, SketchedSparsePCA):
            raise TypeError(f"Can only merge a SketchedSparsePCA, got {type(other).__name__}.")
        check_is_fitted(other)
        if self.forgetting != 1.0:
            raise ValueError(
                f"Shards cannot be merged with forgetting={self.forgetting}: which rows are the "
                "latest is not known. Use forgetting=1.0, or scale the sketches yourself."
            )
        mine, theirs = (getattr(e, "feature_names_in_", None) for e in (self, other))
        if mine is not None and theirs is not None and len(mine) == len(theirs):
            differ = np.flatnonzero(mine != theirs)
            if len(differ):
                i = differ[0]
                raise ValueError(
                    f"Cannot merge estimators whose features differ in name: feature {i} is "
                    f"{mine[i]!r} here, {theirs[i]!r} in the other. Bring the columns in one order."
                )
        self.sketch_.merge(other.sketch_)
        self._set_state(self.sketch_, {})
        return self

    def _check_rows(self, X, sample_weight, reset):
        """Return validated X (dense or canonical CSR, any real dtype) and weights."""
        X = validate_data(
            self,
            X,
            reset=reset,
            accept_sparse="csr",
            dtype="numeric",
            ensure_min_samples=1 if reset else 0,
        )
        weights = 1.0
        if sample_weight is not None:
            weights = check_sample_weight(sample_weight, X)
            if X.shape[0] and not weights.any():
                raise ValueError(
                    "All entries of sample_weight are zero; give at least one row a weight."
                )
        self._check_request(X.shape[1])
        return _canonical(X), weights

    def _check_request(self, n_features):
        if not self._chooses_rank and self.n_components > n_features:
            raise ValueError(
                f"n_components={self.n_components} must be at most n_features={n_features}."
            )
        sizes = self._sizes()
        if sizes is not None and sizes.max() > n_features:
            raise ValueError(
                f"n_nonzero_coefs={self.n_nonzero_coefs} must be at most n_features={n_features}."
            )
        if sizes is not None and sizes.max() > MAX_CANDIDATES:
            raise ValueError(
                f"n_nonzero_coefs={self.n_nonzero_coefs} is beyond {MAX_CANDIDATES}, up to which "
                "the sparse eigenproblem is solved. Use fewer, or IncrementalPCA for dense "
                "components."
            )

    def _sizes(self):
        """Return the nonzeros of each component, or None for "auto"."""
        if isinstance(self.n_nonzero_coefs, str):
            return None
        sizes = np.asarray(self.n_nonzero_coefs)
        shape = () if self._chooses_rank else (self.n_components,)
        if sizes.dtype.kind not in "iu" or sizes.shape not in ((), shape):
            raise ValueError(
                "n_nonzero_coefs must be 'auto', an int or, where n_components is one, "
                f"n_components={self.n_components} ints, got {self.n_nonzero_coefs!r}."
            )
        if sizes.min() < 1:
            raise ValueError(f"n_nonzero_coefs must be at least 1, got {self.n_nonzero_coefs!r}.")
        return np.broadcast_to(sizes.astype(np.int64), shape)

    @property
    def _chooses_rank(self):
        return isinstance(self.n_components, str)

    def _expected_components(self, n_features):
        if not self._chooses_rank:
            return self.n_components
        # A sketch of given size holds what it holds.
        given = [s // 2 for s in (self.n_measurements, self.range_size) if s != "auto"]
        return max(min(_EXPECTED_COMPONENTS, n_features, *given), 1)

    def _make_sketch(self, n_features):
        # Made here though used later: a wrong name is worth knowing before the data are read.
        decoder = make_decoder(self.decoder, n_features)
        sizes = self._sizes()
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
        if self.verbose:
            print(f"[SketchedSparsePCA] {sketch!r}, {sketch.nbytes / 1e6:.1f} MB")
        return sketch

    def _batches(self, X, weights):
        step = self.batch_size or _BATCH
        for low in range(0, X.shape[0], step):
            part = weights if np.ndim(weights) == 0 else weights[low : low + step]
            yield X[low : low + step], part

    def _add_rows(self, sketch, X, weights):
        decay = 1.0
        if self.forgetting < 1.0:
            n = X.shape[0]
            if sketch.content is not None:
                sketch.scale(max(self.forgetting**n, _FORGOTTEN))
            decay = np.maximum(self.forgetting ** np.arange(n - 1, -1, -1.0), _FORGOTTEN)
        sketch._update_checked(X, weights, decay)
        if self.verbose > 1:
            print(f"[SketchedSparsePCA] {sketch.n_samples} rows")

    def _n_threads(self):
        return None if self.n_jobs is None else effective_n_jobs(self.n_jobs)

    # --------------------------------------------------------------------------------- recovery

    def _recover(self, sketch):
        pairs = recover(sketch, self.n_components, **self._recovery_options())
        self._report(pairs)
        return pairs

    def _report(self, pairs):
        if self.verbose:
            print(
                f"[SketchedSparsePCA] recovered {pairs.eigenvectors.nnz} nonzeros in "
                f"{pairs.n_iter} steps: {pairs.stop_reason}"
            )

    def _recovery_options(self):
        sizes = self._sizes()
        return {
            "n_nonzero_coefs": "auto" if sizes is None else sizes,
            "decoder": self.decoder,
            "noise": self.noise,
            "verbose": self.verbose,
        }

    def _recover_from_data(self, sketch, X, weights):
        """Recover on the exact covariance of the candidate features, read from X again."""
        options = self._recovery_options()
        n_components = resolve_n_components(sketch, self.n_components, self.noise)
        ids, noise_variance = find_candidates(sketch, n_components, **options)
        reading = SecondReading(
            lambda: self._batches(X, weights), X.shape[1], self.center, self._add_rows
        )
        # Where rows are forgotten, products with all of X would have to be too.
        memory = self.memory_budget if self.forgetting == 1.0 else 0.0
        exact, ids, pairs = recover_from_rows(
            reading,
            ids,
            n_components,
            self._sizes(),
            memory,
            n_hypotheses=X.shape[1],
            **options,
        )
        self._report(pairs)
        mean = exact.feature_mean()[pairs.support] if self.center else None
        pairs = pairs.embed(ids, X.shape[1], noise_variance=noise_variance)
        # The means of the support are exact here, which a compressed sketch cannot give later.
        return {"eigenpairs": pairs} | ({"support_mean": mean} if self.center else {})

    def _set_state(self, sketch, recovered):
        self.sketch_ = sketch
        # One container, so that looking at a component after partial_fit, which computes it,
        # changes no attribute of the estimator.
        self._cache = {"content": _content(sketch)} | recovered

    def __sklearn_is_fitted__(self):
        return hasattr(self, "sketch_")

    @property
    def eigenpairs_(self):
        self._check_fitted("eigenpairs_")
        content = _content(self.sketch_)
        if self._cache["content"] != content:  # rows were added or deleted through sketch_
            self._cache.clear()
            self._cache["content"] = content
        if "eigenpairs" not in self._cache:
            try:
                self._cache["eigenpairs"] = self._recover_lazily()
            except ValueError as error:
                # An AttributeError too, as an attribute that cannot be had should be: hasattr and
                # the HTML representation rely on it.
                raise NotFittedError(str(error)) from error
        return self._cache["eigenpairs"]

    def _recover_lazily(self):
        if self.sketch_.n_samples < 2:
            raise ValueError(
                f"A variance needs at least two rows, seen so far: {self.sketch_.n_samples}. "
                "Call partial_fit with more rows."
            )
        _check_variance(self.sketch_)
        with limit_threads(self._n_threads()):
            return self._recover(self.sketch_)

    def _check_fitted(self, name):
        if not hasattr(self, "sketch_"):
            raise NotFittedError(
                f"This {type(self).__name__} has no {name} yet. Call fit or partial_fit first."
            )

    def _cached(self, key, compute):
        pairs = self.eigenpairs_
        if key not in self._cache:
            self._cache[key] = compute(pairs)
        return self._cache[key]

    @property
    def components_(self):
        components = self._cached("components", lambda pairs: pairs.eigenvectors.T.tocsr())
        if getattr(self, "_dense", False):
            return self._cached("dense", lambda pairs: components.toarray())
        return components

    @property
    def explained_variance_(self):
        return self.eigenpairs_.added_variance

    @property
    def explained_variance_ratio_(self):
        return self.explained_variance_ / self.sketch_.total_variance()

    @property
    def noise_variance_(self):
        return self.eigenpairs_.noise_variance

    @property
    def support_(self):
        return self.eigenpairs_.support

    @property
    def n_components_(self):
        return self.eigenpairs_.eigenvectors.shape[1]

    @property
    def n_nonzero_coefs_(self):
        return np.diff(self.eigenpairs_.eigenvectors.indptr)

    @property
    def residual_(self):
        return self.eigenpairs_.residual

    @property
    def n_samples_seen_(self):
        self._check_fitted("n_samples_seen_")
        return self.sketch_.n_samples

    @property
    def mean_(self):
        self._check_fitted("mean_")
        if not self.center:
            return np.zeros(self.n_features_in_) if self._tracks_mean() else self._sparse_mean(0.0)
        mean = self.sketch_.feature_mean()
        return self._sparse_mean(self._support_mean()) if mean is None else mean

    def _tracks_mean(self):
        return self.sketch_.feature_mean() is not None

    def _support_mean(self):
        """Return the means of the support features, exact or decoded from the sketch."""

        def compute(pairs):
            if not self.center:
                return np.zeros(len(pairs.support))
            mean = self.sketch_.feature_mean()
            if mean is not None:
                return mean[pairs.support]
            measured = self.sketch_.measured_mean()[:, None]
            ids = pairs.support
            return restricted_least_squares(self.sketch_.measurement, ids, measured)[:, 0]

        return self._cached("support_mean", compute)

    def _sparse_mean(self, values):
        ids = self.support_
        data = np.broadcast_to(values, ids.shape)
        return sp.csr_array((data, ids, [0, len(ids)]), shape=(1, self.n_features_in_))

    # ------------------------------------------------------------------------------------ using

    def transform(self, X):
        """Return the coordinates of the rows' projections onto the span of the components.

        The components need not be orthogonal: coordinates are those of the least-squares fit
        ``X - mean_ ~ Z @ components_``, so ``inverse_transform(transform(X))`` is the orthogonal
        projection of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            float32 for float32 input, else float64.
        """
        X = self._check_new_rows(X)
        Z = self._coordinates(selected_columns(X, self.support_), self._support_mean())
        Z = Z @ self._inverse_gram()
        return Z.astype(np.float32) if X.dtype == np.float32 else Z

    def _check_new_rows(self, X):
        check_is_fitted(self)
        return _canonical(validate_data(self, X, reset=False, accept_sparse="csr", dtype="numeric"))

    def _loadings(self):
        """Return the components restricted to the support, dense, shape (n_support, r)."""

        def compute(pairs):
            vectors = pairs.eigenvectors
            rows = np.searchsorted(pairs.support, vectors.indices)
            shape = (len(pairs.support), vectors.shape[1])
            return sp.csc_array((vectors.data, rows, vectors.indptr), shape=shape).toarray()

        return self._cached("loadings", compute)

    def _inverse_gram(self):
        return self._cached(
            "inverse_gram", lambda pairs: np.linalg.pinv(self._loadings().T @ self._loadings())
        )

    def _coordinates(self, columns, mean):
        """Return (X - mean) components_^T from the columns of the support, dense or CSR."""
        if sp.issparse(columns):
            return columns @ self._loadings() - mean @ self._loadings()
        return (columns - mean) @ self._loadings()

    def inverse_transform(self, X):
        """Return the rows with given coordinates: ``X @ components_ + mean_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)

        Returns
        -------
        ndarray of shape (n_samples, n_features), or csr_array
            A csr_array on the support features where there are too many to track their means.
        """
        check_is_fitted(self)
        X = check_array(X, dtype=[np.float64, np.float32])
        if X.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {X.shape[1]} columns, but there are {self._n_features_out} components."
            )
        values = (X @ self._loadings().T + self._support_mean()).astype(X.dtype, copy=False)
        ids, shape = self.support_, (len(X), self.n_features_in_)
        mean = self.sketch_.feature_mean()
        if mean is None:
            indptr = np.arange(len(X) + 1) * len(ids)
            return sp.csr_array((values.ravel(), np.tile(ids, len(X)), indptr), shape=shape)
        out = np.empty(shape, dtype=X.dtype)
        out[:] = mean if self.center else 0.0
        out[:, ids] = values
        return out

    def score(self, X, y=None):
        """Return the share of the variance of X that lies in the span of the components.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Held-out rows; their own mean is subtracted.
        y : Ignored

        Returns
        -------
        float
            At most 1, higher is better; NaN, with a warning, where X has no variance.
        """
        X = self._check_new_rows(X)
        columns = selected_columns(X, self.support_)
        mean = np.asarray(columns.mean(axis=0)).ravel() if self.center else 0.0 * self.support_
        coordinates = self._coordinates(columns, mean)
        total = self._total_squares(X)
        if total == 0.0:
            warnings.warn(
                "The share of variance is not defined: X has no variance. Give rows that differ.",
                UndefinedMetricWarning,
                stacklevel=2,
            )
            return float("nan")
        explained = np.einsum("ij,jk,ik->", coordinates, self._inverse_gram(), coordinates)
        return float(explained / total)

    def _total_squares(self, X):
        """Return the sum of the squares of X, less its mean if centred; 0 where only rounding."""
        if sp.issparse(X):
            squares = _sum_of_squares(X.data)
            total = squares - self.center * X.shape[0] * _squared_norm_of_mean(X)
            return total if total > _ROUNDING * squares else 0.0
        mean = X.mean(axis=0, dtype=np.float64) if self.center else np.zeros(X.shape[1])
        total = sum(_sum_of_squares(rows - mean) for rows, _ in self._batches(X, 1.0))
        return total if total > _ROUNDING**2 * X.shape[0] * (mean @ mean) else 0.0

    def get_support(self, indices=False):
        """Return which features occur in any component.

        Parameters
        ----------
        indices : bool, default=False
            Return their indices rather than a mask of length n_features.

        Returns
        -------
        ndarray

        Raises
        ------
        ValueError
            If the mask would take more than 16 GiB.
        """
        support = self.support_
        if indices:
            return support
        self._check_dense("A mask over all features", 1, "Use get_support(indices=True).")
        mask = np.zeros(self.n_features_in_, dtype=bool)
        mask[support] = True
        return mask

    def describe(self, input_features=None, *, max_features=None):
        """Return each component as (feature, loading) pairs, largest magnitude first.

        Parameters
        ----------
        input_features : sequence of str, default=None
            Names; None for ``feature_names_in_``, or for indices where there are none. Only those
            of the support are looked up, so a sequence may make them when asked.
        max_features : int, default=None
            At most this many per component.

        Returns
        -------
        list of list of (str or int, float)
        """
        if input_features is None:
            input_features = getattr(self, "feature_names_in_", None)
        elif len(input_features) != self.n_features_in_:
            raise ValueError(
                f"input_features has {len(input_features)} names, but there are "
                f"{self.n_features_in_} features."
            )
        vectors = self.eigenpairs_.eigenvectors
        described = []
        for start, stop in zip(vectors.indptr[:-1], vectors.indptr[1:], strict=True):
            ids, loadings = vectors.indices[start:stop], vectors.data[start:stop]
            order = np.argsort(-np.abs(loadings), kind="stable")[:max_features]
            names = ids.tolist() if input_features is None else [input_features[i] for i in ids]
            described.append([(names[i], float(loadings[i])) for i in order])
        return described

    def densify(self):
        """Make ``components_`` an ndarray. Returns self.

        Raises
        ------
        ValueError
            If it would take more than 16 GiB. The components stay sparse.
        """
        check_is_fitted(self)
        self._check_dense(
            f"Dense components_ of shape {(self.n_components_, self.n_features_in_)}",
            8 * self.n_components_,
            "Leave them sparse: transform, describe and support_ work with them as they are.",
        )
        self._dense = True
        return self

    def _check_dense(self, what, bytes_per_feature, instead):
        needed = bytes_per_feature * self.n_features_in_
        if needed > _LARGEST_DENSE:
            raise ValueError(
                f"{what} would take {needed:.3g} bytes, for n_features={self.n_features_in_}. "
                f"{instead}"
            )

    @property
    def _n_features_out(self):
        return self.n_components_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _content(sketch):
    """Return numbers that change with the rows in a sketch."""
    return sketch.n_samples, sketch.weight, float(sketch._left_sum.sum())


def _check_variance(sketch):
    largest = np.abs(sketch.matrix()).max()
    # What centring leaves of a constant: rounding of the mean where rows were shifted by one like
    # it beforehand, of its square where not.
    shift, mean = np.abs(sketch._left_shift).max(), sketch.measured_mean() - sketch._left_shift
    rounding = sketch.center * (_ROUNDING * np.abs(mean).max() ** 2 + (_ROUNDING * shift) ** 2)
    if largest <= rounding:
        raise ValueError(
            "X has no variance: every row is the same, so there are no components to find. Check "
            "the input, or use center=False if the mean itself is of interest."
        )
    if not 1.0 / _LARGEST < largest < _LARGEST:
        raise ValueError(
            f"The variances of X, up to {largest:.3g}, cannot be squared in floating point. "
            "Multiply X by a constant, or scale its features (MaxAbsScaler)."
        )


def _canonical(X):
    """Return X, if sparse as a csr_array without duplicates."""
    if not sp.issparse(X):
        return X
    X = sp.csr_array(X)
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def _sum_of_squares(values):
    values = values.astype(np.float64, copy=False)
    return float(np.vdot(values, values))


def _squared_norm_of_mean(X):
    _, column = np.unique(X.indices, return_inverse=True)
    mean = np.bincount(column, X.data) / X.shape[0]
    return float(mean @ mean)
