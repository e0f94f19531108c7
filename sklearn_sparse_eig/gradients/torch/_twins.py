"""Copies of a module that share its tensors, to be changed in the place of the module itself."""

import copy
from typing import Any
from weakref import WeakKeyDictionary

import torch

# Whether modules can be copied, found out once.
_copyable: WeakKeyDictionary = WeakKeyDictionary()


def twin(module: torch.nn.Module) -> torch.nn.Module:
    """Return a copy of a module and all inside it, with the same parameters and buffers.

    What is done to the copy, hooks or other parameters, is not done to the module, which other
    threads may run at the same time, and which stays as it is if there is an interrupt. A module
    that cannot be copied is its own twin: one thread at a time must use it then.
    """
    return _copy(module) if is_copyable(module) else module


def is_copyable(module: torch.nn.Module) -> bool:
    """Whether a module has a twin other than itself."""
    if module not in _copyable:
        try:
            _copy(module)
        except Exception:  # whatever the parts of others raise that cannot be copied
            _copyable[module] = False
        else:
            _copyable[module] = True
    return _copyable[module]


def _copy(module):
    shared: dict[int, Any] = {}
    for part in module.modules():
        for values in (part._parameters, part._buffers, vars(part)):
            shared |= {id(v): v for v in values.values() if torch.is_tensor(v)}
    return copy.deepcopy(module, shared)
