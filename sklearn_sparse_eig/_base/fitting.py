"""What stands before ``fit`` and ``partial_fit`` of every estimator."""

from collections.abc import Callable
from typing import cast

from .atomic import all_or_nothing
from .compat import fit_context
from .typed import Method


def fitting(*, prefer_skip_nested_validation: bool = True) -> Callable[[Method], Method]:
    """Decorate ``fit``, ``partial_fit`` and the like: check parameters, then all or nothing.

    Parameters
    ----------
    prefer_skip_nested_validation : bool, default=True
        Whether estimators inside are spared the check of their parameters, as in scikit-learn.
        False where the estimator takes other estimators as parameters.
    """

    def decorate(method: Method) -> Method:
        checked = fit_context(prefer_skip_nested_validation=prefer_skip_nested_validation)
        return cast(Method, checked(all_or_nothing(method)))

    return decorate
