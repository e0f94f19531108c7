"""Showing an estimator, as notebooks do after every cell, must not compute what is lazy."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

_shown: ContextVar[Any] = ContextVar("sklearn_sparse_eig_shown", default=None)


if TYPE_CHECKING:
    lazy_property = property  # of a subclass of property, type checkers do not see the value
else:

    class lazy_property(property):
        """A property whose value is computed when it is first read, which may take long."""

        is_lazy = True


class LazyDisplayMixin:
    """Keeps scikit-learn's HTML display from computing attributes that are lazy.

    The display reads every attribute that ``dir`` names. While it does so, those declared as
    :class:`lazy_property` are named only if they are known (:meth:`_lazy_values_are_known`).
    """

    def _lazy_values_are_known(self) -> bool:
        """Return whether reading the lazy attributes would compute nothing; if unsure, they may."""
        return False

    def __dir__(self):
        # Scikit-learn's own tries every attribute, to leave out those that cannot be had.
        names = [n for n in object.__dir__(self) if _is_lazy(type(self), n) or hasattr(self, n)]
        if _shown.get() is not self or self._lazy_values_are_known():
            return names
        return [name for name in names if not _is_lazy(type(self), name)]

    def _get_fitted_attr_html(self, doc_link=""):
        # Scikit-learn's own hook for the table of fitted attributes, since its release 1.9.
        token = _shown.set(self)
        try:
            return super()._get_fitted_attr_html(doc_link)
        finally:
            _shown.reset(token)


def _is_lazy(cls, name):
    return getattr(getattr(cls, name, None), "is_lazy", False) is True
