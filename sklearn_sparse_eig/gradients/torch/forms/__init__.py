"""Closed forms of the gradients of layers: by the functions of torch that are called, or by class.

To add one here: a file with a subclass of :class:`FunctionForm` that is decorated with
:func:`register_function`. For layers that call no such function, :func:`closed_form` and
:func:`sum_over_places` register a form by the class of the module. On the first batch of any
network forms are compared with automatic differentiation. Imported only when a torch module is
given.
"""

from ...._base.folders import import_files
from ._functions import FunctionForm, Reading, function_form, register_function
from ._normalisation import NORMALISATIONS
from ._registry import ClosedForm, closed_form, find_form, registered_layout, sum_over_places

__all__ = [
    "NORMALISATIONS",
    "ClosedForm",
    "FunctionForm",
    "Reading",
    "closed_form",
    "find_form",
    "function_form",
    "register_function",
    "registered_layout",
    "sum_over_places",
]

import_files(__name__)
