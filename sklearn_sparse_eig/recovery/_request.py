"""Checks of what is asked of a sketch, before any work is done."""

import warnings

import numpy as np

from ..sketching import IdentityMeasurement
from ._pairs import RecoveryWarning
from .decoders._htp import MAX_SUPPORT_SHARE


def check_request(sketch, n_components, n_nonzero_coefs, which):
    """Return n_components and the sizes (an int array, or None for auto) or raise."""
    if which not in ("LA", "SA", "LM"):
        raise ValueError(f"which must be 'LA', 'SA' or 'LM', got {which!r}.")
    m, k = sketch.shape
    limit = min(m, k) if sketch.is_exact else max(1, min(m, k) // 2)
    if not 1 <= n_components <= limit:
        raise ValueError(
            f"n_components must lie in [1, {limit}] for a sketch of shape {(m, k)}, got "
            f"{n_components}. A compressed sketch needs twice as many rows as components: use a "
            "larger n_measurements and range_size."
        )
    if isinstance(n_nonzero_coefs, str):
        if n_nonzero_coefs != "auto":
            raise ValueError(
                f"n_nonzero_coefs must be 'auto', an int or one int per component, got "
                f"{n_nonzero_coefs!r}."
            )
        return n_components, None
    sizes = np.asarray(n_nonzero_coefs, dtype=np.int64)
    if sizes.shape not in ((), (n_components,)):
        raise ValueError(
            f"n_nonzero_coefs must be one int, or one for each of n_components={n_components}, got "
            f"{n_nonzero_coefs!r}."
        )
    sizes = np.broadcast_to(sizes, (n_components,)).copy()
    if sizes.min() < 1 or sizes.max() > sketch.n_features:
        raise ValueError(
            f"n_nonzero_coefs must lie in [1, n_features={sketch.n_features}], got "
            f"{n_nonzero_coefs!r}."
        )
    if not isinstance(sketch.measurement, IdentityMeasurement):
        total = min(int(sizes.sum()), sketch.n_features)
        allowed = int(MAX_SUPPORT_SHARE * m)
        if sizes.max() > allowed:
            raise ValueError(
                f"n_nonzero_coefs={int(sizes.max())} nonzeros cannot be told apart by "
                f"n_measurements={m}: at most {allowed} can. Use n_measurements >= "
                f"{4 * int(sizes.max())}, or fewer nonzeros."
            )
        if total > allowed:
            warnings.warn(
                f"{n_components} components of up to {int(sizes.max())} nonzeros may touch {total} "
                f"features, but n_measurements={m} resolve at most {allowed} at a time: the "
                f"weakest may be lost. n_measurements={4 * total} would do.",
                RecoveryWarning,
                stacklevel=4,
            )
    return n_components, sizes
