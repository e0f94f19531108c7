"""The types of what may be asked of a recovery, as every room that passes it on names them."""

from collections.abc import Callable, Sequence
from typing import Literal, TypedDict

import numpy as np

from .._base.typed import Auto
from .decoders import Decoder, DecoderName

Which = Literal["LA", "SA", "LM"]
RankRule = Literal["auto", "plateau"]
NoiseName = Literal["isotropic", "diagonal"]
NonzeroCounts = int | Sequence[int] | np.ndarray | Auto


class RecoveryOptions(TypedDict, total=False):
    """The options of :func:`~.recover`, by keyword; their meaning is told there."""

    n_nonzero_coefs: NonzeroCounts
    decoder: DecoderName | Decoder
    noise: NoiseName | Auto | None
    which: Which
    max_iter: int
    max_candidates: int | None
    n_hypotheses: int | None
    start_vectors: np.ndarray | None
    random_state: int | np.random.Generator
    verbose: int
    noise_is_known: bool
    positive: bool
    product_variance: Callable[[np.ndarray], np.ndarray] | None
