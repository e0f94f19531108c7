"""Closed forms of the gradients of layers, registered by the class of the layer.

To add one here: a file with a function that is decorated with :func:`closed_form` or
:func:`sum_over_places`. On the first batch of any network it is compared with automatic
differentiation. Imported only when a torch module is given.
"""

from ...._base.folders import import_files
from ._normalisation import NORMALISATIONS
from ._registry import ClosedForm, closed_form, find_form, registered_layout, sum_over_places

__all__ = [
    "NORMALISATIONS",
    "ClosedForm",
    "closed_form",
    "find_form",
    "registered_layout",
    "sum_over_places",
]

import_files(__name__)
