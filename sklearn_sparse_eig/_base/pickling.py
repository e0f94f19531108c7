"""Pickles remember the version that wrote them."""

import inspect
from typing import Any

from .messages import warn_user
from .version import __version__

_KEY = "_sklearn_sparse_eig_version"


class PickledMixin:
    """An estimator that says when it is read from a pickle of another version of the library."""

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {**state, _KEY: __version__}

    @classmethod
    def _defaults(cls) -> dict[str, Any]:
        """Return the parameters that have a default."""
        parameters = inspect.signature(cls).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    def __setstate__(self, state: dict[str, Any]) -> None:
        written = state.get(_KEY, "an unknown version")
        if written != __version__:
            warn_user(
                f"This {type(self).__name__} was pickled by sklearn_sparse_eig {written}, and this "
                f"is {__version__}: what it holds may mean something else now. Fit it again, or "
                "read it by the version that wrote it."
            )
        own = {name: value for name, value in state.items() if name != _KEY}
        # Parameters that came after it was written.
        own = {n: v for n, v in self._defaults().items() if n not in own} | own
        vars(self).update(
            own
        )  # as scikit-learn's BaseEstimator does for classes that are not its own
