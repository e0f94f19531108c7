"""Components as a table: one line for each feature of each component."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame

Described = list[list[tuple[str | int, float]]]


def described_frame(described: Described, variances: Sequence[np.ndarray]) -> "DataFrame":
    """Return a data frame of described components.

    Parameters
    ----------
    described : list of list of (str or int, float)
    variances : (ndarray of shape (r,), ndarray of shape (r,))
        The variance of each component, and its share of the total.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "describe(as_frame=True) needs pandas: pip install pandas. Without as_frame the result "
            "is a list."
        ) from error
    lengths = [len(one) for one in described]
    component = np.repeat(np.arange(len(described)), lengths)
    return pd.DataFrame(
        {
            "component": component,
            "feature": [feature for one in described for feature, _ in one],
            "loading": np.array([loading for one in described for _, loading in one], dtype=float),
            "variance": variances[0][component],
            "variance_ratio": variances[1][component],
        }
    )
