"""X as an array, also where it comes as a tensor; what cannot be one is refused with advice."""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np


def to_array(X: Any) -> Any:
    """Return a tensor as an array without its graph, and everything else as it is or as an array.

    Raises
    ------
    TypeError
        If X is what other libraries feed a module with: a DataLoader, a Dataset or a dict.
    """
    return np.asarray(from_torch(X))


def from_torch(X: Any) -> Any:
    """Return an array for a torch tensor, and everything else as it is.

    Raises
    ------
    TypeError
        If X is what other libraries feed a module with: a DataLoader, a Dataset or a dict.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        return X
    if torch.is_tensor(X):
        X = X.detach().cpu()
        return (X.float() if X.dtype in (torch.float16, torch.bfloat16) else X).numpy()
    if isinstance(X, Mapping):
        raise TypeError(
            f"X must be an array, got a dict of {', '.join(map(repr, list(X)[:5]))}. Several "
            "arrays by name are for torch modules, whose forward method takes them as keyword "
            "arguments."
        )
    data = sys.modules.get("torch.utils.data")
    if data is not None and isinstance(X, data.DataLoader | data.Dataset):
        raise TypeError(
            f"X must be an array, got {type(X).__name__}. DataLoaders and Datasets are for torch "
            "modules; pass an array, or batch after batch to partial_fit."
        )
    return X
