"""Which kind of known gradients, and how much of the class means, for what is asked of both."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .._base.messages import warn_user
from .._base.seeds import check_seed
from ._pace import announce
from .subspaces import (
    KINDS,
    SWEEP_RATE,
    KnownGradients,
    Plan,
    SpanRequest,
    class_floats,
    make_known,
)

# Bytes of exact class sums (1 GiB) beyond which "auto" sketches them.
_LARGEST_SUMS = 2**30
# Of the inverse root of a factor of n rows, for n^3 (measured on one core).
_SECONDS_PER_CUBE = 5e-11
# Outputs that are the largest for samples of one class, as many as are reckoned with.
_PAIRS = 3
# Share of the entries that "auto" recovers of a sketched class mean.
_RECOVERED_SHARE = 1e-3
# Entries of all class means that "auto" sweeps over to recover them.
_LARGEST_SWEEP = 2e9
# Rows and columns of a factor of the metric (128 MB) beyond which it is kept diagonal.
_LARGEST_FACTOR = 4096
# What full factors of all layers may have in all: cubes of their rows, which take a minute, and
# entries (2 GB). The largest of them go diagonal first.
_CUBES, _ENTRIES = 2.0**40, 2.0**28


class Look(NamedTuple):
    """Which layers come in which form, by their indices.

    Parameters
    ----------
    one_hot : collection of int
        Those whose derivative at the outputs is one-hot.
    explicit : collection of int
        Those with a matrix for each sample, such as convolutions.
    """

    one_hot: Collection[int] = ()
    explicit: Collection[int] = ()


@dataclass(frozen=True)
class KnownRequest:
    """What a user asks of the known gradients and of their subspace.

    Parameters
    ----------
    subspace : str
        "auto", or the name of a kind.
    metric : {"kfac", "diag", "euclidean"}
    n_components : int, float or None, default=None
    sparsity : float or None, default=None
    mean_rank : int or None, default=None
    n_measurements : int or "auto", default="auto"
    random_state : int, RandomState instance or None, default=None
        Read only by kinds that hash.
    verbose : int, default=0
    keeps_features : bool, default=False
        Whether the score needs sums of what enters the head.
    """

    subspace: str
    metric: str
    n_components: int | float | None = None
    sparsity: float | None = None
    mean_rank: int | None = None
    n_measurements: int | str = "auto"
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0
    keeps_features: bool = False


def build(
    request: KnownRequest,
    n_classes: int,
    layer_shapes: tuple[tuple[int, int], ...],
    n_present: int | None = None,
    look: Callable[[], Look] = Look,
    layer_names: Sequence[str] = (),
) -> tuple[KnownGradients, SpanRequest]:
    """Return the empty state of the kind that fits a request, and the subspace that is wanted.

    Parameters
    ----------
    request : KnownRequest
    n_classes : int
        Classes that the model knows.
    layer_shapes : tuple of (int, int)
    n_present : int or None, default=None
        Classes that will come, None for all; the others take nothing.
    look : callable, optional
        Returns in which form the layers come. Called only where it makes a difference.
    layer_names : sequence of str, optional
        For warnings.

    Raises
    ------
    ValueError
        If the kind cannot do what is asked.
    """
    shapes = tuple((int(p), int(q)) for p, q in layer_shapes)
    n_present = n_classes if n_present is None else min(n_present, n_classes)
    subspace = choose_subspace(
        request.subspace, n_present, shapes, look, request.sparsity is not None
    )
    n_entries = n_present * sum(p * q for p, q in shapes)
    sparsity = choose_sparsity(
        request.sparsity, request.subspace, subspace, request.metric, n_entries
    )
    plan = Plan(
        n_classes,
        shapes,
        request.metric,
        largest_full_factor(shapes, request.metric, layer_names),
        n_measurements=request.n_measurements,
        n_components=request.n_components,
        sparsity=sparsity,
        seed=check_seed(request.random_state)[0] if KINDS[subspace].is_hashed else 0,
        n_present=n_present,
        keeps_features=request.keeps_features,
    )
    wanted = SpanRequest(request.n_components, sparsity, request.mean_rank, request.verbose)
    state = make_known(subspace, plan)
    what = (
        f"{plan.n_parameters:,} parameters in {len(shapes)} layers, {n_present} classes: "
        f"subspace {subspace!r}, metric {request.metric!r}"
    )
    announce(what, state.seconds_once(), request.verbose)
    return state, wanted


def largest_full_factor(
    layer_shapes: Sequence[tuple[int, int]], metric: str, names: Sequence[str] = ()
) -> int:
    """Return up to how many rows factors of the metric are full: as many as are affordable.

    Warns
    -----
    UserWarning
        If that is less than a single factor may have.
    """
    sizes = np.array([size for shape in layer_shapes for size in shape], dtype=np.float64)
    sizes = np.sort(sizes[sizes <= _LARGEST_FACTOR])
    affordable = (np.cumsum(sizes**3) <= _CUBES) & (np.cumsum(sizes**2) <= _ENTRIES)
    if metric != "kfac" or affordable.all():
        return _LARGEST_FACTOR
    # Factors of equal size have the same fate.
    largest = int(sizes[~affordable][0]) - 1
    told = [
        str(names[i]) if len(names) else str(i)
        for i, shape in enumerate(layer_shapes)
        if any(largest < size <= _LARGEST_FACTOR for size in shape)
    ]
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    warn_user(
        f"Full factors of the metric would have {sizes @ sizes:.2g} entries in all and take about "
        f"{_SECONDS_PER_CUBE * (sizes**3).sum() / 60:.0f} minutes. Those of more than {largest} "
        f"rows are kept diagonal, in {len(told)} layers: {', '.join(told[:3])}{more}. Fewer layers "
        "by params leave more of them full; metric='diag' makes all diagonal."
    )
    return largest


def choose_subspace(
    subspace: str,
    n_classes: int,
    layer_shapes: tuple[tuple[int, int], ...],
    look: Callable[[], Look] = Look,
    by_entries: bool = False,
) -> str:
    """Return the name of the kind of known gradients; "auto" goes by the size of the class sums.

    They are exact if they fit. Else they are of low rank, if that fits, where some layers come as
    matrices or where entries of the means are too many to be recovered from sketches; and else
    sketched, as well as where single entries of class means are wanted (`by_entries`).
    """
    if subspace != "auto":
        return subspace
    exact = [p * q for p, q in layer_shapes]
    if _fits(n_classes, exact):
        return "exact"
    found = look()
    exact, low_rank = (
        [
            p * min(q, _PAIRS) if i in found.one_hot else floats
            for i, ((p, q), floats) in enumerate(zip(layer_shapes, each, strict=True))
        ]
        for each in (exact, [class_floats(shape) for shape in layer_shapes])
    )
    if _fits(n_classes, exact):
        return "exact"
    n_entries = n_classes * sum(p * q for p, q in layer_shapes)
    is_wanted = bool(found.explicit) or n_entries > _LARGEST_SWEEP
    return "low_rank" if is_wanted and not by_entries and _fits(n_classes, low_rank) else "sketched"


def _fits(n_classes, floats):
    return 8 * n_classes * sum(floats) <= _LARGEST_SUMS


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
        f"{n_entries / SWEEP_RATE / 60:.0f} minutes once. subspace='sketched' silences this."
    )
    return None
