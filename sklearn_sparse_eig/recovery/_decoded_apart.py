"""Whether a decoder that takes vectors one by one has left what a joint decoding finds.

Features of a sparse subspace show in all of its vectors, and a decoder of one vector at a time has
to find each of them again in every vector. What it leaves of the span is compared with what joint
pursuit leaves, on the same sketch and with as many features.
"""

from typing import Any

import numpy as np

from .._base.messages import warn_user
from ._lifting import fit_on_support, orthonormal_range
from ._pairs import RecoveryWarning
from ._power_steps import PowerSteps, PowerStepsResult
from .decoders import HTPDecoder

# Joint decoding has to leave less than this share of what is left, which otherwise is noise; and a
# share of the span that is left by rounding and by entries that do not matter.
_CLEARLY_LESS, _NOTHING = 0.8, 1e-6


def leaves_features(steps: PowerSteps, found: PowerStepsResult) -> bool:
    """Whether the decoder takes vectors apart and a joint decoding explains clearly more."""
    if steps.by_index or steps.decoder.decodes_jointly or found.model is None:
        return False
    measurement = steps.sketch.measurement
    Q = orthonormal_range(found.S @ found.model.directions()[:, : steps.r])
    if Q.shape[1] == 0:
        return False
    # Given sizes say how much may be left, however well it is decoded.
    size = None if steps.sizes is None else int(min(steps.sizes.sum(), steps.max_support))
    if size is not None:
        ids = steps.decoder.decode(measurement, Q, size)
    else:
        ids = found.ids[np.any(found.vectors != 0.0, axis=1)]
    left = _left(measurement, Q, ids)
    if left <= _NOTHING:
        return False
    return _left(measurement, Q, HTPDecoder().decode(measurement, Q, size)) < _CLEARLY_LESS * left


def warn_of_features_left(decoder: Any) -> None:
    """Warn that another decoder would have found more."""
    warn_user(
        f"decoder={decoder.name!r} takes vectors one by one and has missed features: on the same "
        "sketch decoder='htp', which takes them together, explains clearly more. Use "
        "decoder='auto' or 'htp', or more measurements.",
        RecoveryWarning,
    )


def _left(measurement, Q, ids):
    """Return the share of Q, in norm, that features do not explain."""
    return np.linalg.norm(fit_on_support(measurement, Q, ids).residual) / np.linalg.norm(Q)
