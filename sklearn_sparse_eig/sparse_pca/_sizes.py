"""How many components, of how many nonzeros, an estimator is asked for."""

import numpy as np

from ..recovery import NonzeroCounts, RankRule
from ..sketching import MAX_CANDIDATES


def wanted_sizes(n_components: int | RankRule, n_nonzero_coefs: NonzeroCounts) -> np.ndarray | None:
    """Return the nonzeros of each component, or None for "auto".

    Parameters
    ----------
    n_components : int or str
        A rule for it, as a string, allows one size for all components only.
    n_nonzero_coefs : int, array-like of int or "auto"

    Returns
    -------
    ndarray of int64 or None
        Of shape (n_components,), or () where a rule chooses the number.
    """
    if isinstance(n_nonzero_coefs, str):
        return None
    sizes = np.asarray(n_nonzero_coefs)
    shape = () if isinstance(n_components, str) else (n_components,)
    if sizes.dtype.kind not in "iu" or sizes.shape not in ((), shape):
        raise ValueError(
            "n_nonzero_coefs must be 'auto', an int or, where n_components is one, "
            f"n_components={n_components} ints, got {n_nonzero_coefs!r}."
        )
    if sizes.min() < 1:
        raise ValueError(f"n_nonzero_coefs must be at least 1, got {n_nonzero_coefs!r}.")
    return np.broadcast_to(sizes.astype(np.int64), shape)


def check_sizes(
    n_components: int | RankRule, n_nonzero_coefs: NonzeroCounts, n_features: int
) -> None:
    """Raise ValueError if the features are too few for what is asked, or it is too much."""
    if not isinstance(n_components, str) and n_components > n_features:
        raise ValueError(f"n_components={n_components} must be at most n_features={n_features}.")
    sizes = wanted_sizes(n_components, n_nonzero_coefs)
    if sizes is None:
        return
    if sizes.max() > n_features:
        raise ValueError(
            f"n_nonzero_coefs={n_nonzero_coefs} must be at most n_features={n_features}."
        )
    if sizes.max() > MAX_CANDIDATES:
        raise ValueError(
            f"n_nonzero_coefs={n_nonzero_coefs} is beyond {MAX_CANDIDATES}, up to which "
            "the sparse eigenproblem is solved. Use fewer, or IncrementalPCA for dense "
            "components."
        )
