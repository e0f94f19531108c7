"""What is asked of a sketch, checked once, before any work is done."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .._base.messages import warn_user
from .._base.typed import Auto
from ..sketching import MAX_CANDIDATES, MAX_SUPPORT, SketchReading
from ._options import NoiseName, NonzeroCounts, RankRule, Which
from ._pace import RecoveryPace
from ._pairs import RecoveryWarning
from ._rank import choose_rank
from .decoders import Decoder, DecoderName
from .decoders._choice import choose_decoders
from .decoders._htp import MAX_SUPPORT_SHARE


@dataclass(frozen=True)
class RecoveryRequest:
    """What a recovery is to find, and by what means: good for the sketch it was made for.

    Attributes
    ----------
    n_components : int
        r, the number of eigenpairs.
    sizes : ndarray of int, shape (r,), or None
        Nonzeros of each vector; None for what stands out from noise.
    which : {"LA", "LM"}
        What is to be largest, the eigenvalues or their magnitudes.
    sign : float
        -1 where the smallest eigenvalues are wanted: the largest of -A.
    decoder : Decoder
        As given, not attached to the sketch.
    second_decoder : Decoder or None
        What is tried besides where that one may have lost features.
    noise : {"auto", "isotropic", "diagonal"} or None
    max_iter : int
        Bound on the power steps.
    max_support : int
        Bound on the features in a joint support.
    n_hypotheses : int or None
        Features that were looked at before, None for those of the sketch.
    start_vectors : ndarray of shape (n_features, r) or None
        Guesses at the vectors, tried among the starts where all features are candidates.
    rng : Generator
    pace : RecoveryPace
        Told of steps and of sweeps over the features as they are made.
    noise_is_known : bool
        Whether the caller has been warned that there may be nothing but noise.
    sees_everything : bool
        Whether the matrix itself is kept, of all features: no larger sketch exists.
    positive : bool
        Whether the vectors are to have no negative entry.
    product_variance : callable or None
        What is known of the rows beyond their covariance; see :func:`recover`.
    """

    n_components: int
    sizes: np.ndarray | None
    which: Literal["LA", "LM"]
    sign: float
    decoder: Decoder
    second_decoder: Decoder | None
    noise: NoiseName | Auto | None
    max_iter: int
    max_support: int
    n_hypotheses: int | None
    start_vectors: np.ndarray | None
    rng: np.random.Generator
    pace: RecoveryPace
    noise_is_known: bool
    sees_everything: bool
    positive: bool
    product_variance: Callable[[np.ndarray], np.ndarray] | None

    @classmethod
    def of(
        cls,
        sketch: SketchReading,
        n_components: int | RankRule,
        *,
        n_nonzero_coefs: NonzeroCounts = "auto",
        decoder: DecoderName | Decoder = "auto",
        noise: NoiseName | Auto | None = "auto",
        which: Which = "LA",
        max_iter: int = 12,
        max_candidates: int | None = None,
        n_hypotheses: int | None = None,
        start_vectors: np.ndarray | None = None,
        random_state: int | np.random.Generator = 0,
        verbose: int = 0,
        noise_is_known: bool = False,
        positive: bool = False,
        product_variance: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> "RecoveryRequest":
        """Return the request that the parameters of :func:`recover` stand for, or raise.

        Raises
        ------
        ValueError
            If the sketch is too small for it, or a parameter is out of range.
        """
        rank = choose_rank(sketch, n_components, noise)
        n_components = rank.count
        if which not in ("LA", "SA", "LM"):
            raise ValueError(f"which must be 'LA', 'SA' or 'LM', got {which!r}.")
        if which == "SA" and noise == "diagonal":
            raise ValueError(
                "noise='diagonal' models what features share, which makes eigenvalues large, and "
                "cannot be used with which='SA'. Use noise=None for the smallest eigenvalues of A."
            )
        _check_n_components(sketch, n_components)
        sizes = _checked_sizes(sketch, n_components, n_nonzero_coefs)
        first, second = choose_decoders(decoder, sketch, n_components)
        return cls(
            n_components=n_components,
            sizes=sizes,
            which="LA" if which == "SA" else which,
            sign=-1.0 if which == "SA" else 1.0,
            decoder=first,
            second_decoder=second,
            noise=noise,
            max_iter=max_iter,
            max_support=_largest_support(sketch, n_components, sizes, max_candidates),
            n_hypotheses=n_hypotheses,
            start_vectors=start_vectors,
            rng=np.random.default_rng(random_state),
            pace=RecoveryPace(verbose),
            noise_is_known=noise_is_known or rank.is_only_noise,
            sees_everything=sketch.is_exact and n_hypotheses is None,
            positive=positive,
            product_variance=product_variance,
        )


def _largest_support(sketch, n_components, sizes, max_candidates):
    """Return how many features a joint support may have."""
    wanted = 0 if sizes is None else min(int(sizes.sum()), MAX_SUPPORT)
    share = 1.0 if sketch.measurement.keeps_features else MAX_SUPPORT_SHARE
    bound = min(max(max_candidates or MAX_CANDIDATES, wanted), int(share * sketch.shape[0]))
    return max(n_components, bound)


def _check_n_components(sketch, n_components):
    m, k = sketch.shape
    limit = min(m, k) if sketch.is_exact else max(1, min(m, k) // 2)
    if not 1 <= n_components <= limit:
        raise ValueError(
            f"n_components must lie in [1, {limit}] for a sketch of shape {(m, k)}, got "
            f"{n_components}. A compressed sketch needs twice as many rows as components: use a "
            "larger n_measurements and range_size."
        )


def _checked_sizes(sketch, n_components, n_nonzero_coefs):
    """Return the nonzeros of each component, or None for "auto"."""
    if isinstance(n_nonzero_coefs, str):
        if n_nonzero_coefs != "auto":
            raise ValueError(
                f"n_nonzero_coefs must be 'auto', an int or one int per component, got "
                f"{n_nonzero_coefs!r}."
            )
        return None
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
    if not sketch.measurement.keeps_features:
        _check_resolution(sketch, sizes)
    return sizes


def _check_resolution(sketch, sizes):
    """Raise, or warn, where measurements are too few to tell the nonzeros apart."""
    m = sketch.shape[0]
    total = min(int(sizes.sum()), sketch.n_features)
    allowed = int(MAX_SUPPORT_SHARE * m)
    if sizes.max() > allowed:
        raise ValueError(
            f"n_nonzero_coefs={int(sizes.max())} nonzeros cannot be told apart by "
            f"n_measurements={m}: at most {allowed} can. Use n_measurements >= "
            f"{4 * int(sizes.max())}, or fewer nonzeros."
        )
    if total > allowed:
        warn_user(
            f"{len(sizes)} components of up to {int(sizes.max())} nonzeros may touch {total} "
            f"features, but n_measurements={m} resolve at most {allowed} at a time: the "
            f"weakest may be lost. n_measurements={4 * total} would do.",
            RecoveryWarning,
        )
