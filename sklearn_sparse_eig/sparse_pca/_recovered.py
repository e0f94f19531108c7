"""What is recovered from the sketch of an estimator when it is first looked at, and then kept."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import scipy.sparse as sp
from joblib import effective_n_jobs
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from .._base.display import LazyDisplayMixin, lazy_property
from .._base.locks import locked
from .._base.messages import report
from .._base.saving import SavedMixin
from .._base.threads import limit_threads
from .._base.typed import Auto
from ..kernels import compile_clock
from ..recovery import (
    Decoder,
    DecoderName,
    NoiseName,
    NonzeroCounts,
    Rank,
    RankRule,
    RecoveryOptions,
    SparseEigenpairs,
    choose_rank,
    find_candidates,
    recover,
    restricted_least_squares,
)
from ..sketching import EigenSketch, most_candidates, polishing_bytes
from ._second_reading import SecondReading, noise_scale, polished_candidates
from ._sizes import wanted_sizes


class RecoveredMixin(LazyDisplayMixin, SavedMixin):
    """The fitted attributes that follow from ``sketch_``, computed once for each revision of it.

    A reader holds the lock of the estimator and that of the sketch while it computes and keeps a
    result, so that a result always belongs to the revision it is kept for.
    """

    if TYPE_CHECKING:  # of the estimator
        sketch_: EigenSketch
        n_features_in_: int
        term_names_: Sequence[str]
        n_components: int | RankRule
        n_nonzero_coefs: NonzeroCounts
        decoder: DecoderName | Decoder
        noise: NoiseName | None
        center: bool
        positive: bool
        refine: Literal["auto", "data", "sketch"]
        memory_budget: float
        forgetting: float
        batch_size: int | Auto
        n_jobs: int | None
        verbose: int
        _batches: Callable[[Any, Any], Iterator[tuple[Any, Any]]]
        _add_rows: Callable[..., None]

        def __sklearn_is_fitted__(self) -> bool: ...

    # -------------------------------------------------------------------------------- the cache

    def _state_changed(self) -> None:
        self._keep({})

    def __copy__(self) -> Self:
        new: Self = cast(Any, super()).__copy__()  # of the stream, the next of the bases
        if "_cache" in vars(new):
            new._cache = dict(self._cache)
        return new

    def _saved_attributes(self) -> dict[str, Any]:
        # Of what is kept, what fit has read from the rows; the rest follows from the sketch.
        cache = self._valid_cache()
        kept = {name: cache[name] for name in ("eigenpairs", "support_mean") if name in cache}
        return super()._saved_attributes() | {"_cache": kept}

    def _take_attributes(self, attributes: dict[str, Any]) -> None:
        kept = attributes.pop("_cache")
        super()._take_attributes(attributes)
        self._keep(kept, self.sketch_.revision)

    def _keep(self, values: dict[str, Any], revision: int | None = None) -> None:
        # One container, so that looking at a component after partial_fit, which computes it,
        # changes no attribute of the estimator.
        self._cache = {"revision": revision} | values

    def _valid_cache(self) -> dict[str, Any]:
        """Return what is known of the present content; the caller holds the locks."""
        revision = self.sketch_.revision
        if self._cache["revision"] != revision:  # rows were added or deleted, here or in sketch_
            self._cache.clear()
            self._cache["revision"] = revision
        return self._cache

    def _cached(self, key: str, compute: Callable[[], Any]) -> Any:
        check_is_fitted(self)
        with locked(self), locked(self.sketch_):
            cache = self._valid_cache()
            if key not in cache:
                cache[key] = compute()
            return cache[key]

    def _lazy_values_are_known(self) -> bool:
        if not self.__sklearn_is_fitted__():
            return True  # there is nothing that could be computed
        with locked(self), locked(self.sketch_):
            return "eigenpairs" in self._valid_cache()

    # --------------------------------------------------------------------------------- recovery

    def _n_threads(self) -> int | None:
        return None if self.n_jobs is None else effective_n_jobs(self.n_jobs)

    def _wanted_sizes(self) -> np.ndarray | None:
        return wanted_sizes(self.n_components, self.n_nonzero_coefs)

    def _recovery_options(self) -> RecoveryOptions:
        sizes = self._wanted_sizes()
        return {
            "n_nonzero_coefs": "auto" if sizes is None else sizes,
            "decoder": self.decoder,
            "max_candidates": most_candidates(self.memory_budget),
            "noise": self.noise,
            "verbose": self.verbose,
            "positive": self.positive,
        }

    def _recover(self, sketch: EigenSketch, rank: Rank, **options) -> SparseEigenpairs:
        options |= self._recovery_options()
        pairs = recover(sketch, rank.count, noise_is_known=rank.is_only_noise, **options)
        self._report(
            f"recovered {pairs.eigenvectors.nnz} nonzeros in {pairs.n_iter} steps: "
            f"{pairs.stop_reason}"
        )
        return pairs

    def _report(self, message: str, level: int = 1) -> None:
        compile_clock.tell(type(self).__name__, self.verbose)
        report(type(self).__name__, message, self.verbose, level)

    def _take_fit(self, sketch: EigenSketch, recovered: dict[str, Any]) -> None:
        self._dense = False
        self.sketch_ = sketch
        for name in ("term_names_", "_rows_read_as"):  # of other rows
            vars(self).pop(name, None)
        self._keep(recovered, sketch.revision)

    def _recover_all(self, sketch: EigenSketch, reading: SecondReading) -> dict[str, Any]:
        """Return what ``fit`` keeps of a sketch whose rows can be read again."""
        sketch.check_variance()
        rank = choose_rank(sketch, self.n_components, self.noise)
        if self.refine == "sketch":
            return {"eigenpairs": self._recover(sketch, rank)}
        if sketch.is_exact:
            variances = self._product_variance(reading, sketch, np.arange(sketch.n_features))
            return {"eigenpairs": self._recover(sketch, rank, product_variance=variances)}
        return self._recover_from_data(sketch, rank, reading)

    def _recover_from_data(
        self, sketch: EigenSketch, rank: Rank, reading: SecondReading
    ) -> dict[str, Any]:
        """Recover on the exact covariance of the candidate features, read from the rows again."""
        n_features = sketch.n_features
        scale = noise_scale(sketch) if self.noise == "diagonal" else None
        ids, vectors, noise_variance = self._candidates_from_data(sketch, rank, reading, scale)
        if scale is not None and vectors is not None:
            vectors = scale[ids, None] * vectors
        exact = reading.covariance(ids)
        pairs = self._recover(
            exact,
            rank,
            n_hypotheses=n_features,
            start_vectors=vectors,
            product_variance=self._product_variance(reading, exact, ids),
        )
        mean = cast(np.ndarray, exact.feature_mean())[pairs.support] if self.center else None
        if scale is not None:  # all that others have is noise
            total, seen = sketch.total_variance(), exact.total_variance()
            others = cast(float, total) - cast(float, seen)  # known, as the scale is
            noise_variance = (pairs.noise_variance * len(ids) + max(others, 0.0)) / n_features
        pairs = pairs.embed(ids, n_features, noise_variance=noise_variance)
        # The means of the support are exact here, which a compressed sketch cannot give later.
        return {"eigenpairs": pairs} | ({} if mean is None else {"support_mean": mean})

    def _candidates_from_data(self, sketch, rank, reading, scale=None):
        """Return candidate features, start vectors among them or None, and the noise variance."""
        sizes, vectors = self._wanted_sizes(), None
        polishes = sizes is not None and self._can_polish(sketch, rank.count)
        if polishes and scale is None and self._is_crowded(sketch, rank, sizes):
            # The supports alone take up most of the candidates, so their choice decides much.
            options = self._recovery_options()
            options["noise_is_known"] = True  # or will be, when the vectors are recovered
            first = recover(sketch, rank.count, **options)
            ids, noise_variance = first.support, first.noise_variance
            vectors = first.eigenvectors[ids].toarray()
        else:
            ids, noise_variance = self._find_candidates(sketch, rank, reading, scale)
        if polishes:
            ids, vectors = polished_candidates(
                reading.scaled(scale),
                ids,
                np.broadcast_to(sizes, (rank.count,)),
                most_candidates(self.memory_budget),
                start_vectors=vectors,
                positive=self.positive,
            )
        return ids, vectors, noise_variance

    def _is_crowded(self, sketch, rank, sizes):
        n_nonzero = int(np.broadcast_to(sizes, (rank.count,)).sum())
        few = 2 * n_nonzero > most_candidates(self.memory_budget)
        return few and sketch.measurement.keeps_features

    def _reading(self, X: Any, weights: Any, sketch: EigenSketch) -> SecondReading:
        return SecondReading(
            lambda: self._batches(X, weights),
            X.shape[1],
            self.center,
            self._add_rows,
            sketch.row_buffer,
        )

    def _product_variance(self, reading, exact, ids):
        """Return what the rows say of the levels of "auto", None where they need not be asked."""
        if self._wanted_sizes() is not None or self.forgetting < 1.0:
            return None
        return lambda V: reading.product_variance(exact, ids, V)

    def _can_polish(self, sketch: EigenSketch, n_components: int) -> bool:
        """Whether products with all of the centred rows say what a component is, and fit."""
        sizes = wanted_sizes(self.n_components, self.n_nonzero_coefs)
        # Rows of all weights would have to be told apart.
        if sizes is None or self.forgetting != 1.0:
            return False
        needed = polishing_bytes(sketch.n_features, n_components, int(sizes.max()))
        return sketch.nbytes + needed <= self.memory_budget

    def _find_candidates(self, sketch, rank, reading, scale):
        """Return candidate features and the variance of noise, also by a sketch of even noise.

        Where features are hashed together a loud one hides others for good. Their variances known,
        the rows are sketched again in units of them, by which strong components lose instead: the
        candidates of both are taken.
        """
        options = self._recovery_options()
        ids, noise_variance = find_candidates(sketch, rank.count, **options)
        if scale is None or sketch.measurement.keeps_features:
            return ids, noise_variance
        even = sketch.empty()
        for rows, weights in reading.scaled(scale).scaled_blocks():
            self._add_rows(even, rows, weights)
        others, _ = find_candidates(even, rank.count, **options | {"noise": "isotropic"})
        return np.union1d(ids, others), noise_variance

    def _from_sketch(self, compute: Callable[[], Any]) -> Any:
        """Return what is computed from the sketch, if rows enough have been seen for it."""
        try:
            if self.sketch_.n_samples < 2:
                raise ValueError(
                    f"A variance needs at least two rows, seen so far: {self.sketch_.n_samples}. "
                    "Call partial_fit with more rows."
                )
            self._cached("checked", self.sketch_.check_variance)
            with limit_threads(self._n_threads()):
                return compute()
        except ValueError as error:
            # An AttributeError too, as an attribute that cannot be had should be: hasattr and
            # the HTML representation rely on it.
            raise NotFittedError(str(error)) from error

    def _rank(self) -> Rank:
        """Return the number of components that a recovery finds, without making it."""

        def compute():
            return self._from_sketch(
                lambda: choose_rank(self.sketch_, self.n_components, self.noise)
            )

        return self._cached("rank", compute)

    # ------------------------------------------------------------------------ fitted attributes

    @lazy_property
    def eigenpairs_(self) -> SparseEigenpairs:
        def compute():
            rank = self._rank()
            return self._from_sketch(lambda: self._recover(self.sketch_, rank))

        return self._cached("eigenpairs", compute)

    @lazy_property
    def components_(self) -> sp.csr_array | Any:
        check_is_fitted(self)
        with locked(self):
            components = self._cached("components", lambda: self.eigenpairs_.eigenvectors.T.tocsr())
            if getattr(self, "_dense", False):
                return self._cached("dense", components.toarray)
        return components

    @lazy_property
    def explained_variance_(self) -> np.ndarray:
        return self.eigenpairs_.added_variance

    @lazy_property
    def explained_variance_ratio_(self) -> np.ndarray:
        check_is_fitted(self)
        with locked(self), locked(self.sketch_):
            return self.explained_variance_ / self._total_variance()

    def _total_variance(self) -> float:
        return cast(float, self.sketch_.total_variance())  # known of rows

    @lazy_property
    def singular_values_(self) -> np.ndarray:
        check_is_fitted(self)
        with locked(self), locked(self.sketch_):
            return np.sqrt(np.maximum(self.explained_variance_, 0.0) * self.sketch_.weight)

    @property
    def var_(self) -> np.ndarray:
        check_is_fitted(self)
        with locked(self), locked(self.sketch_):
            if self.sketch_.content is None:
                raise NotFittedError("No rows have been seen yet. Call partial_fit.")
            variance = self.sketch_.feature_variance()
        if variance is None:
            raise AttributeError(
                f"The variances of n_features={self.n_features_in_} features are not tracked: "
                "raise memory_budget, or read explained_variance_ for those of the components."
            )
        return variance

    @lazy_property
    def noise_variance_(self) -> float:
        return self.eigenpairs_.noise_variance

    @lazy_property
    def support_(self) -> np.ndarray:
        return self.eigenpairs_.support

    @lazy_property
    def n_components_(self) -> int:
        check_is_fitted(self)
        with locked(self), locked(self.sketch_):
            pairs = self._valid_cache().get("eigenpairs")
            return self._rank().count if pairs is None else pairs.eigenvectors.shape[1]

    @lazy_property
    def _n_features_out(self) -> int:
        return self.n_components_

    @lazy_property
    def n_nonzero_coefs_(self) -> np.ndarray:
        return np.diff(self.eigenpairs_.eigenvectors.indptr)

    @lazy_property
    def residual_(self) -> float:
        return self.eigenpairs_.residual

    @lazy_property
    def mean_(self) -> np.ndarray | sp.csr_array:
        check_is_fitted(self)
        with locked(self), locked(self.sketch_):
            mean = self.sketch_.feature_mean()
            if mean is not None:
                return mean if self.center else np.zeros(self.n_features_in_)
            ids, values = self.support_, self._support_mean()
        return sp.csr_array((values, ids, [0, len(ids)]), shape=(1, self.n_features_in_))

    def _support_mean(self) -> np.ndarray:
        """Return the means of the support features, exact or decoded from the sketch."""

        def compute():
            ids = self.support_
            if not self.center:
                return np.zeros(len(ids))
            mean = self.sketch_.feature_mean()
            if mean is not None:
                return mean[ids]
            measured = self.sketch_.measured_mean()[:, None]
            return restricted_least_squares(self.sketch_.measurement, ids, measured)[:, 0]

        return self._cached("support_mean", compute)
