"""Using components: coordinates of rows, scores, names and dense forms."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.utils.validation import check_is_fitted

from .._base.counts import check_most
from .._base.dtypes import check_squares
from .._base.locks import locked
from .._base.messages import warn_user
from .._base.rows import validate_array, validate_rows
from .._base.sparse import canonical
from .._base.typed import (
    ArrayLike,
    ClassNamePrefixFeaturesOutMixin,
    MatrixLike,
    TransformerMixin,
)
from ._certificate import CertificateMixin
from ._described import Described, described_frame
from ._from_sketch import FromSketchMixin
from ._likelihood import LikelihoodMixin
from ._projection import Projection
from ._rows import columns_of
from ._variance import total_squares

if TYPE_CHECKING:
    from pandas import DataFrame

# Rows read at a time: a few megabytes for wide sparse rows, enough for BLAS where they are dense.
_BATCH = 8192
# Share of the memory budget that a copy of sparse rows may take.
_COPY_SHARE = 1 / 16
# Bytes of a dense array over all features (16 GiB) beyond which it is refused, not tried: where
# memory is overcommitted, the attempt may end the process.
_LARGEST_DENSE = 2**34


# Scikit-learn wraps the ``transform`` of the class that inherits from TransformerMixin itself.
class ComponentsMixin(
    FromSketchMixin,
    LikelihoodMixin,
    CertificateMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
):
    """The methods of an estimator that use its components and change nothing."""

    def _batches(self, X: Any, weights: Any) -> Iterator[tuple[Any, Any]]:
        step = self._batch_rows(X) if self.batch_size == "auto" else self.batch_size
        if step >= X.shape[0]:  # a part of sparse rows would be a copy of them
            yield X, weights
            return
        for low in range(0, X.shape[0], step):
            part = weights if np.ndim(weights) == 0 else weights[low : low + step]
            yield X[low : low + step], part

    def _batch_rows(self, X: Any) -> int:
        """Return how many rows are read at a time: fewer if a part is a copy that counts."""
        if not sp.issparse(X) or X.nnz == 0:
            return _BATCH
        copied = 16.0 * X.nnz / X.shape[0]
        return int(min(max(_COPY_SHARE * self.memory_budget / copied, 1.0), _BATCH))

    def transform(self, X: MatrixLike) -> np.ndarray:
        """Return the coordinates of the rows' projections onto the span of the components.

        The components need not be orthogonal. The coordinates Z are those of the least-squares fit
        ``X - mean_ ~ Z @ components_``, so ``inverse_transform(transform(X))`` is the orthogonal
        projection of X.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Coordinates in float32 if X is float32, and in float64 otherwise.
        """
        X = self._check_new_rows(X)
        onto = self._projection()
        Z = onto.products(columns_of(X, onto.support), onto.mean) @ onto.inverse_gram
        return Z.astype(np.float32) if X.dtype == np.float32 else Z

    def _check_new_rows(self, X: MatrixLike) -> Any:
        check_is_fitted(self)
        X = validate_rows(self, X, reset=False, accept_sparse="csr", dtype="numeric")
        return canonical(X) if sp.issparse(X) else X

    def _projection(self) -> Projection:
        def compute():
            return Projection.of(self.eigenpairs_, self._support_mean())

        return self._cached("projection", compute)

    def inverse_transform(self, X: ArrayLike) -> np.ndarray | Any:
        """Return the rows with the given coordinates: ``X @ components_ + mean_``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)

        Returns
        -------
        ndarray of shape (n_samples, n_features), or csr_array
            If there are too many features to track their means, the result is a csr_array on the
            features of the support.
        """
        check_is_fitted(self)
        X = validate_array(X, dtype=[np.float64, np.float32])
        with locked(self), locked(self.sketch_):
            onto, mean = self._projection(), self.sketch_.feature_mean()
        n_components = onto.loadings.shape[1]
        if X.shape[1] != n_components:
            raise ValueError(
                f"X has {X.shape[1]} columns, but there are {n_components} components."
            )
        values = (X @ onto.loadings.T + onto.mean).astype(X.dtype, copy=False)
        ids, shape = onto.support, (len(X), self.n_features_in_)
        if mean is None:
            indptr = np.arange(len(X) + 1) * len(ids)
            return sp.csr_array((values.ravel(), np.tile(ids, len(X)), indptr), shape=shape)
        out = np.empty(shape, dtype=X.dtype)
        out[:] = mean if self.center else 0.0
        out[:, ids] = values
        return out

    def explained_variance_score(self, X: MatrixLike, y: Any = None) -> float:
        """Return the share of the variance of X that lies in the span of the components.

        The share rises with every further component, also on held-out rows. To choose the number
        of components, use ``score`` instead. The share is exact for any number of features,
        whether or not their variances are tracked.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Held-out rows. Their own mean is subtracted.
        y : Ignored

        Returns
        -------
        float
            At most 1; higher is better. If X has no variance, the result is NaN, with a warning.

        Raises
        ------
        ValueError
            If values are too large for sums of squares.
        """
        X = self._check_new_rows(X)
        check_squares(X)
        onto = self._projection()
        columns = columns_of(X, onto.support)
        mean = np.asarray(columns.mean(axis=0)).ravel() if self.center else 0.0 * onto.support
        coordinates = onto.products(columns, mean)
        total = total_squares(X, self.center, lambda: self._batches(X, 1.0))
        if total == 0.0:
            warn_user(
                "The share of variance is not defined: X has no variance, or one that is lost in "
                "rounding. Give rows that differ.",
                UndefinedMetricWarning,
            )
            return float("nan")
        explained = np.einsum("ij,jk,ik->", coordinates, onto.inverse_gram, coordinates)
        return float(explained / total)

    def get_support(self, indices: bool = False) -> np.ndarray:
        """Return which features occur in any component.

        Parameters
        ----------
        indices : bool, default=False
            Whether to return the indices of these features rather than a mask of length n_features.

        Returns
        -------
        ndarray of bool, shape (n_features,), or of int64

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

    @overload
    def describe(
        self,
        input_features: Sequence[str] | None = ...,
        *,
        max_features: int | None = ...,
        as_frame: Literal[False] = ...,
    ) -> Described: ...

    @overload
    def describe(
        self,
        input_features: Sequence[str] | None = ...,
        *,
        max_features: int | None = ...,
        as_frame: bool,
    ) -> "Described | DataFrame": ...

    def describe(
        self,
        input_features: Sequence[str] | None = None,
        *,
        max_features: int | None = None,
        as_frame: bool = False,
    ) -> "Described | DataFrame":
        """Return each component as (feature, loading) pairs, largest magnitude first.

        Parameters
        ----------
        input_features : sequence of str, default=None
            Names of the features. None means ``feature_names_in_`` or ``term_names_``, or indices
            if there are no names. Only names of the support are looked up, so the sequence may
            generate names on demand.
        max_features : int, default=None
            Largest number of pairs per component. None returns all of them.
        as_frame : bool, default=False
            Whether to return a pandas DataFrame with a line for each pair and the columns
            ``component``, ``feature``, ``loading``, ``variance`` and ``variance_ratio``. The last
            two are ``explained_variance_`` and ``explained_variance_ratio_`` of the component.

        Returns
        -------
        list of list of (str or int, float), or DataFrame

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_sparse_eig import SketchedSparsePCA
        >>> X = np.outer(np.arange(6.0), [2.0, 0.0, -1.0, 0.0])
        >>> pca = SketchedSparsePCA(1, n_nonzero_coefs=2, random_state=0).fit(X)
        >>> [(name, round(loading, 2)) for name, loading in pca.describe(list("abcd"))[0]]
        [('a', 0.89), ('c', -0.45)]
        >>> pca.describe(list("abcd"), as_frame=True).round(2)  # doctest: +SKIP
           component feature  loading  variance  variance_ratio
        0          0       a     0.89     14.58             1.0
        1          0       c    -0.45     14.58             1.0
        """
        check_most(max_features, "max_features")
        if input_features is None:
            input_features = getattr(self, "feature_names_in_", self._term_names())
        elif len(input_features) != self.n_features_in_:
            raise ValueError(
                f"input_features has {len(input_features)} names, but there are "
                f"{self.n_features_in_} features."
            )
        pairs = self.eigenpairs_
        vectors, described = pairs.eigenvectors, []
        for start, stop in zip(vectors.indptr[:-1], vectors.indptr[1:], strict=True):
            ids, loadings = vectors.indices[start:stop], vectors.data[start:stop]
            order = np.argsort(-np.abs(loadings), kind="stable")[:max_features]
            names = ids.tolist() if input_features is None else [input_features[i] for i in ids]
            described.append([(names[i], float(loadings[i])) for i in order])
        if as_frame:
            shares = pairs.added_variance / self._total_variance()
            return described_frame(described, (pairs.added_variance, shares))
        return described

    def _term_names(self) -> Sequence[str] | None:
        names = getattr(self, "term_names_", None)
        # A refit to other rows leaves them behind.
        return names if names is not None and len(names) == self.n_features_in_ else None

    def densify(self) -> Self:
        """Turn ``components_`` into an ndarray.

        Returns
        -------
        self : object
            The estimator with dense components.

        Raises
        ------
        ValueError
            If the array would take more than 16 GiB. The components then stay sparse.
        """
        check_is_fitted(self)
        self._check_dense(
            f"Dense components_ of shape {(self.n_components_, self.n_features_in_)}",
            8 * self.n_components_,
            "Leave them sparse: transform, describe and support_ work with them as they are.",
        )
        self._dense = True
        return self

    def _check_dense(self, what: str, bytes_per_feature: int, instead: str) -> None:
        needed = bytes_per_feature * self.n_features_in_
        if needed > _LARGEST_DENSE:
            raise ValueError(
                f"{what} would take {needed:.3g} bytes, for n_features={self.n_features_in_}. "
                f"{instead}"
            )
