"""The rank, the ridge and the offsets of a completion, chosen by entries that are held out."""

from dataclasses import dataclass

import numpy as np

from .._base.progress import tell
from ._greedy import complete_by_rank, most_ranks
from ._offsets import Offsets

# Ridges that are tried, in units of the spectral norm that the known entries would have if they
# were noise: the one from which the offsets are chosen, then the others.
_FIRST_RIDGE, _OTHER_RIDGES = 0.1, (0.0, 0.03, 0.3, 1.0)
# Held-out entries in all, where the known ones are few, and the parts into which these are cut.
_WANTED, _MOST_PARTS = 1000, 5
# Ranks without an improvement, after which none is expected.
PATIENCE = 2
# Alternations at each rank.
_MAX_ITER = 50


@dataclass(frozen=True)
class Choice:
    """What predicts entries that it was not shown best.

    Attributes
    ----------
    center : str or None
    ridge : float
        In units of :func:`noise_norm`.
    rank : int
        0 for the offsets alone.
    """

    center: str | None
    ridge: float
    rank: int


def make_offsets(center: str | None, known: np.ndarray, mask: np.ndarray) -> Offsets:
    """Return the offsets that the parameter ``center`` asks for."""
    if center == "effects":
        return Offsets.of_rows_and_columns(known, mask)
    if center == "columns":
        return Offsets.of_columns(known, mask)
    return Offsets.none(known.shape[1])


def noise_norm(known: np.ndarray, mask: np.ndarray) -> float:
    """Return the spectral norm of a matrix of noise with known entries of the same mean square.

    For a share q of n x m entries of variance v it is about sqrt(q v) (sqrt(n) + sqrt(m)).
    """
    n, m = known.shape
    return float(np.linalg.norm(known) / np.sqrt(n * m) * (np.sqrt(n) + np.sqrt(m)))


def choose_by_held_out(
    known: np.ndarray,
    observed: np.ndarray,
    centers: tuple[str | None, ...],
    *,
    share: float,
    max_rank: int | None,
    rng: np.random.RandomState,
) -> Choice:
    """Return what predicts held-out entries with the least squared error.

    Offsets are compared at one ridge, ridges then for the better offsets: a search over all pairs
    found nothing better.

    Parameters
    ----------
    known : ndarray of shape (n, m)
        Zero where nothing is known.
    observed : ndarray of bool, shape (n, m)
    centers : tuple
        Values of ``center`` to choose from.
    share : float
        Share of the known entries that is held out at a time.
    max_rank : int or None
    rng : RandomState
    """
    places = np.flatnonzero(observed)
    splits = [
        _without(observed, places[part])
        for part in held_out_parts(len(places), share, _WANTED, rng)
    ]

    def errors(center, ridge):
        parts = [_errors_by_rank(known, part, ~part & observed, center, ridge) for part in splits]
        length = min(map(len, parts))
        summed = np.sum([part[:length] for part in parts], axis=0)
        # Without effects nothing is left of rank 0 that has coordinates.
        least = 0 if center == "effects" else 1
        ranks = range(least, length if max_rank is None else min(length, max_rank + 1))
        return [(summed[rank], Choice(center, ridge, rank)) for rank in ranks]

    n_all = len(centers) + len(_OTHER_RIDGES)
    found = []
    for i, center in enumerate(centers):
        tell("entries held out", "settings", i, n_all)
        found += errors(center, _FIRST_RIDGE)
    if not found:
        raise ValueError(
            "There is no rank to be chosen by held-out entries: those known of X (n_samples = "
            f"{len(known)}) are zero once they are centred. Give more rows, or center=None."
        )
    center = min(found, key=_error)[1].center
    for i, ridge in enumerate(_OTHER_RIDGES):
        tell("entries held out", "settings", len(centers) + i, n_all)
        found += errors(center, ridge)
    return min(found, key=_error)[1]


def _error(pair):
    return pair[0]


def held_out_parts(
    n: int, share: float, wanted: int, rng: np.random.RandomState
) -> list[np.ndarray]:
    """Return places in range(n) that are held out together: more parts where a share is little.

    One part where it has as many places as are wanted, else up to five that have no place in
    common.
    """
    size = max(1, round(share * n))
    n_parts = int(np.clip(-(-wanted // size), 1, min(_MOST_PARTS, n // size)))
    return np.split(rng.permutation(n)[: n_parts * size], n_parts)


def _without(observed, places):
    shown = observed.copy()
    shown.flat[places] = False
    return shown


def _errors_by_rank(known, shown, hidden, center, ridge):
    """Return the squared errors at the hidden entries for ranks 0, 1, and so on."""
    mask = shown.astype(np.float64)
    offsets = make_offsets(center, known * mask, mask)
    target, rows = offsets.subtracted(known * mask, mask)
    i, j = np.nonzero(hidden)
    left = known[i, j] - offsets.columns[j] - rows[i]
    errors = [float(left @ left)]

    def go_on(A, B):
        error = left - np.einsum("ij,ij->i", A[i], B[j])
        errors.append(float(error @ error))
        return len(errors) - 1 - int(np.argmin(errors)) < PATIENCE

    if target.any():
        complete_by_rank(
            target,
            shown,
            max_rank=most_ranks(shown.shape, shown.sum()),
            max_iter=_MAX_ITER,
            ridge=ridge * noise_norm(target, mask),
            go_on=go_on,
        )
    return errors
