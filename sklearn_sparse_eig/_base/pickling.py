"""Pickles remember the version that wrote them."""

from typing import Any

from .messages import warn_user
from .version import __version__

_KEY = "_sklearn_sparse_eig_version"


class PickledMixin:
    """An estimator that says when it is read from a pickle of another version of the library."""

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {**state, _KEY: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        written = state.get(_KEY, "an unknown version")
        if written != __version__:
            warn_user(
                f"This {type(self).__name__} was pickled by sklearn_sparse_eig {written}, and this "
                f"is {__version__}: what it holds may mean something else now. Fit it again, or "
                "read it by the version that wrote it."
            )
        own = {name: value for name, value in state.items() if name != _KEY}
        super().__setstate__(own)  # type: ignore[misc]  # of scikit-learn's BaseEstimator
