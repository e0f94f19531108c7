"""From recovered vectors to such without negative entries: what ``positive=True`` adds at the end.

Vectors are first found without regard to signs. Where none has a negative entry, they are the
answer. Otherwise the small problem is solved among their candidates for non-negative vectors, and
polished over all features where these can be seen.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ._joint_steps import captured_variance
from ._lifting import orthonormal_range
from ._non_negative import ROUNDING, clipped
from ._nystrom import NystromModel
from ._polish import Polished, n_candidates, polish
from ._power_steps import PowerSteps, PowerStepsResult
from ._request import RecoveryRequest
from ._sparse_principal import sparse_principal_vectors
from ._support_model import fit_support_model

# Times as many entries are sought in hashed features as are to be left without the negative ones.
_WIDER = 2


def is_non_negative(vectors: np.ndarray) -> bool:
    """Whether no entry is negative by more than rounding."""
    return bool((vectors >= -ROUNDING).all())


def non_negative_columns(
    vectors: np.ndarray, sizes: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """Return what clipping leaves of each column, of the sign of which more is left.

    Where sizes are given, at most so many of the largest entries are kept.
    """
    result = np.column_stack([clipped(column) for column in vectors.T])
    if sizes is not None:
        for column, size in zip(result.T, sizes, strict=True):
            column[np.argsort(-column, kind="stable")[size:]] = 0.0
        result /= np.linalg.norm(result, axis=0)
    return result


def joint_non_negative_vectors(
    A: np.ndarray,
    sizes: Sequence[int] | np.ndarray,
    guesses: Sequence[np.ndarray],
    *,
    which: str = "LA",
    rng: int | np.random.Generator | None = None,
) -> np.ndarray:
    """Find sparse vectors without negative entries that hold no less than clipped guesses.

    Parameters
    ----------
    A : ndarray of shape (p, p)
        Symmetric.
    sizes : sequence of int, shape (r,)
    guesses : sequence of ndarray of shape (p, r)
        Sparse vectors; the first are starts too.
    which : {"LA", "LM"}, default="LA"
    rng : int, Generator or None, default=None

    Returns
    -------
    ndarray of shape (p, r)
    """
    sizes = np.minimum(sizes, len(A))
    answers = [non_negative_columns(guess, sizes) for guess in guesses]
    found = sparse_principal_vectors(
        A, len(sizes), sizes, which=which, start_vectors=answers[0], rng=rng, positive=True
    ).vectors
    if which == "LM":  # the trace says nothing of magnitudes
        return found
    return max([found, *answers], key=lambda V: captured_variance(lambda Q: A @ Q, V))


def without_negative_entries(
    steps: PowerSteps, found: PowerStepsResult, request: RecoveryRequest
) -> tuple[PowerSteps, PowerStepsResult]:
    """Return what was found with vectors that have no negative entry, and the steps to it."""
    if (found.vectors >= 0.0).all():
        return steps, found
    if is_non_negative(found.vectors):
        return steps, replace(found, vectors=non_negative_columns(found.vectors))
    sizes = steps.sizes
    if sizes is None:
        sizes = np.maximum(np.count_nonzero(found.vectors, axis=0), 1)
    elif not steps.by_index:
        # The candidates were what vectors of so many entries need, some of which are negative.
        wider = np.minimum(_WIDER * sizes, steps.sketch.n_features)
        steps = PowerSteps(steps.sketch, replace(request, sizes=wider), steps.noise)
        found = steps.solve()
    return steps, _solved_again(steps, found, sizes)


def _solved_again(steps, found, sizes):
    """Return the best vectors without negative entries among the candidates, and polished."""
    sketch, S = steps.sketch, found.S
    sees_all = steps.sees_all_features()
    nystrom = NystromModel(sketch, steps.S) if sees_all and not sketch.is_exact else None

    def matrix(ids):
        if sketch.is_exact:
            return S.block(ids)
        return found.model.matrix() if nystrom is None else nystrom.matrix(ids)

    guesses = [found.vectors]
    if steps.start_vectors is not None and len(found.ids) == len(steps.start_vectors):
        guesses.append(steps.start_vectors)
    options = {"which": steps.which, "rng": steps.rng}
    vectors = joint_non_negative_vectors(matrix(found.ids), sizes, guesses, **options)
    found = replace(found, vectors=vectors)
    if not sees_all or len(found.ids) == sketch.n_features:
        return found
    better = polish(
        (lambda Q: S @ Q) if nystrom is None else nystrom.multiply,
        lambda ids, V: joint_non_negative_vectors(matrix(ids), sizes, [V], **options),
        Polished(found.ids, found.vectors),
        sizes,
        sketch.n_features,
        n_candidates(int(sizes.sum())),
        positive=True,
    )
    found = replace(found, ids=better.ids, vectors=better.vectors)
    if nystrom is None:
        return found
    Z = orthonormal_range(found.vectors)
    return replace(found, model=fit_support_model(sketch, S, found.ids, Z, steps.which))
