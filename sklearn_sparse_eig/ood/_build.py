"""Which kind of known gradients, and how much of the class means, for a detector's parameters."""

from typing import Any

from .._base.messages import warn_user

# Kinds register themselves as they are imported: a new one is added to this list.
from . import _exact, _kernel, _principal, _sketched_means  # noqa: F401
from ._known import KINDS, KnownGradients, Plan

SUBSPACES = ("auto", *(name for name, kind in KINDS.items() if kind.can_be_chosen))

# Bytes of exact class sums (1 GiB) beyond which "auto" sketches them.
_LARGEST_SUMS = 2**30
# Share of the entries that "auto" recovers of a sketched class mean.
_RECOVERED_SHARE = 1e-3
# Entries of all class means that "auto" sweeps over to recover them, and how many in a second.
_LARGEST_SWEEP, _SWEEP_RATE = 2e9, 3e7
# Rows and columns of a factor of the metric (128 MB) beyond which it is kept diagonal.
_LARGEST_FACTOR = 4096


def choose_subspace(
    subspace: str, n_classes: int, layer_shapes: tuple[tuple[int, int], ...]
) -> str:
    """Return the name of the kind of known gradients; "auto" goes by the size of the class sums."""
    if subspace != "auto":
        return subspace
    n_bytes = 8 * n_classes * sum(p * q for p, q in layer_shapes)
    return "exact" if n_bytes <= _LARGEST_SUMS else "sketched"


def choose_sparsity(
    sparsity: float | None, asked: str, subspace: str, metric: str, n_entries: int
) -> float | None:
    """Return the share of entries of class means to keep, None for all.

    Inner products of sketches rank badly in a metric that has been learned (measured:
    doc/gradpca.md), so that sketches nobody has asked for are used to recover the means, if these
    do not have too many entries in all to sweep over.

    Warns
    -----
    UserWarning
        If they have.
    """
    if sparsity is not None or asked != "auto" or subspace != "sketched" or metric == "euclidean":
        return sparsity
    if n_entries <= _LARGEST_SWEEP:
        return _RECOVERED_SHARE
    warn_user(
        f"The class means have {n_entries:.2g} entries, too many to recover unasked. Inner "
        "products of sketches alone rank badly in a learned metric: use "
        "score_function='laplace', which needs no means, or "
        f"sparsity={_RECOVERED_SHARE}, which takes about "
        f"{n_entries / _SWEEP_RATE / 60:.0f} minutes once. subspace='sketched' silences this."
    )
    return None


def make_known(
    subspace: str,
    n_classes: int,
    layer_shapes: tuple[tuple[int, int], ...],
    metric: str,
    **options: Any,
) -> KnownGradients:
    """Return the empty state of a kind; `options` are further fields of Plan.

    Raises
    ------
    ValueError
        If the kind cannot do what is asked.
    """
    kind = KINDS[subspace]
    shapes = tuple((int(p), int(q)) for p, q in layer_shapes)
    return kind(kind.complete(Plan(n_classes, shapes, metric, _LARGEST_FACTOR, **options)))
