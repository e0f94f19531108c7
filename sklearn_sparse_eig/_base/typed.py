"""Types that several rooms name, and scikit-learn's base classes as a type checker must see them.

Scikit-learn states no types, so that to a checker its classes are ``Any``, and so is whatever
inherits from them: every misspelt method of ours would pass. Where types are checked, the classes
below stand in with what users call; where programs run, they are scikit-learn's own, of which
those of estimators also know where the pages of ours are.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeAlias, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

__all__ = [
    "ArrayLike",
    "Auto",
    "BaseEstimator",
    "ClassNamePrefixFeaturesOutMixin",
    "ClassifierMixin",
    "EmpiricalCovariance",
    "InputLike",
    "MatrixLike",
    "MetaEstimatorMixin",
    "Method",
    "MultiOutputMixin",
    "OutlierMixin",
    "RandomSeed",
    "RegressorMixin",
    "TransformerMixin",
    "available_if",
]

Auto = Literal["auto"]
MatrixLike: TypeAlias = ArrayLike | sp.sparray | sp.spmatrix


class _Loader(Protocol):
    """A DataLoader of torch."""

    dataset: Any

    def __iter__(self) -> Iterator[Any]: ...


class _Dataset(Protocol):
    """A Dataset of torch."""

    def __getitem__(self, index: Any, /) -> Any: ...
    def __add__(self, other: Any, /) -> Any: ...


# What models are fed with: torch modules also with arrays by name, and with what reads batches.
InputLike: TypeAlias = MatrixLike | Mapping[str, ArrayLike] | _Loader | _Dataset
RandomSeed: TypeAlias = int | np.random.RandomState | None

# A method, as a decorator takes it and gives it back.
Method = TypeVar("Method", bound=Callable[..., Any])

if TYPE_CHECKING:

    class BaseEstimator:
        n_features_in_: int
        feature_names_in_: np.ndarray

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...
        def set_params(self, **params: Any) -> Self: ...
        def get_metadata_routing(self) -> Any: ...
        def set_fit_request(self, *, sample_weight: bool | str | None = ...) -> Self: ...
        def set_partial_fit_request(self, *, sample_weight: bool | str | None = ...) -> Self: ...
        def set_score_request(self, *, sample_weight: bool | str | None = ...) -> Self: ...
        def __sklearn_tags__(self) -> Any: ...
        def _validate_params(self) -> None: ...

    class MetaEstimatorMixin: ...

    class MultiOutputMixin: ...

    class ClassifierMixin:
        def score(
            self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None
        ) -> float: ...

    class RegressorMixin:
        def score(
            self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None
        ) -> float: ...

    class OutlierMixin: ...

    class TransformerMixin:
        def fit_transform(self, X: MatrixLike, y: Any = None, **fit_params: Any) -> np.ndarray: ...
        def set_output(
            self, *, transform: Literal["default", "pandas", "polars"] | None = None
        ) -> Self: ...

    class ClassNamePrefixFeaturesOutMixin:
        def get_feature_names_out(self, input_features: ArrayLike | None = None) -> np.ndarray: ...

    class EmpiricalCovariance(BaseEstimator):
        covariance_: np.ndarray
        location_: np.ndarray
        precision_: np.ndarray
        _parameter_constraints: dict[str, Any]

        def __init__(self, *, store_precision: bool = True, assume_centered: bool = False) -> None:
            self.store_precision = store_precision
            self.assume_centered = assume_centered

        def _set_covariance(self, covariance: np.ndarray) -> None: ...
        def get_precision(self) -> np.ndarray: ...
        def score(self, X_test: ArrayLike, y: Any = None) -> float: ...
        def error_norm(
            self,
            comp_cov: ArrayLike,
            norm: Literal["frobenius", "spectral"] = "frobenius",
            scaling: bool = True,
            squared: bool = True,
        ) -> float: ...
        def mahalanobis(self, X: ArrayLike) -> np.ndarray: ...

    def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]: ...

else:
    from sklearn import base, covariance
    from sklearn.base import (
        ClassifierMixin,
        ClassNamePrefixFeaturesOutMixin,
        MetaEstimatorMixin,
        MultiOutputMixin,
        OutlierMixin,
        RegressorMixin,
        TransformerMixin,
    )
    from sklearn.utils.metaestimators import available_if

    from .pickling import PickledMixin
    from .site import SitePageMixin

    class BaseEstimator(PickledMixin, SitePageMixin, base.BaseEstimator):
        """Scikit-learn's own, whose pickles remember our version, and with links to our pages."""

    class EmpiricalCovariance(PickledMixin, SitePageMixin, covariance.EmpiricalCovariance):
        """Scikit-learn's own, whose pickles remember our version, and with links to our pages."""
