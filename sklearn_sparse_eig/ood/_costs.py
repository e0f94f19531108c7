"""What gradients of a layer take: numbers that are kept, and multiplications for a row.

Counted are products of matrices and entries that are written; what is done once for each number
that is read, such as an activation, is not. The formulas are derived in ``doc/gradpca.md``.
"""

from typing import NamedTuple

from ..gradients import LayerOutline

UNKNOWN = float("nan")


class Expected(NamedTuple):
    """What known gradients take of one layer beside the metric, or of all layers in common.

    Parameters
    ----------
    floats : float
        Numbers that are kept; NaN where nobody knows.
    add : float
        Multiplications for a row that is added.
    score : float
        Multiplications for the products of a row with the directions.
    """

    floats: float = 0.0
    add: float = 0.0
    score: float = 0.0


def root_cost(size: int, is_diagonal: bool, is_triangular: bool) -> float:
    """Return the multiplications of a row with a root of the metric."""
    return size if is_diagonal else size**2 / (2.0 if is_triangular else 1.0)


def moment_floats(size: int, is_diagonal: bool) -> int:
    """Return how many numbers a factor of the metric has."""
    return size if is_diagonal else size**2


def features(size: int, n_classes: int, is_diagonal: bool) -> Expected:
    """Return what the features that enter the head take, and distances between them."""
    moment = moment_floats(size, is_diagonal)
    score = 2.0 * root_cost(size, is_diagonal, True) + size * (n_classes + 1)
    return Expected(moment + n_classes * (size + 1), moment + size, score)


def forming(layer: LayerOutline) -> float:
    """Return what the matrix of a sample takes, from its places."""
    p, q = layer.shape
    return float((layer.places or 1) * p * q)


def summing(layer: LayerOutline) -> float:
    """Return what it takes to add a gradient to a sum of matrices, and its squared norm."""
    p, q = layer.shape
    if layer.form == "factors":
        return p * q + p + q
    if layer.form == "places":
        return forming(layer) + norm(layer)
    return 2.0 * p * q


def norm(layer: LayerOutline) -> float:
    """Return what the norm of a gradient takes, as it is kept."""
    (p, q), places = layer.shape, layer.places or 1
    if layer.form == "factors":
        return p + q
    if layer.form == "places":
        return min(places**2 * (p + q), forming(layer) + p * q)
    return p * q


def adding_moments(layer: LayerOutline, diagonal: tuple[bool, bool]) -> float:
    """Return what the second moments of both factors take."""
    (p, q), places = layer.shape, layer.places or 1
    sides = list(zip((p, q), diagonal, strict=True))
    if layer.form == "factors":
        return float(sum(moment_floats(*side) for side in sides))
    if layer.form == "places" and places <= min(p, q):
        # Gram matrices of both sides; then products with rows, and the fourth moments.
        found = 2.0 * places**2 * (p + q)
        return found + sum(
            places * size if is_diagonal else places * size**2 + places**2 * size
            for size, is_diagonal in sides
        )
    made = forming(layer) if layer.form == "places" else 0.0
    smaller = min(p, q) ** 2 * max(p, q)
    return made + sum(
        p * q if is_diagonal else p * q * size + smaller for size, is_diagonal in sides
    )


def whitening(layer: LayerOutline, roots: tuple[float, float]) -> float:
    """Return what whitening a gradient takes, given what roots take of a row."""
    (p, q), places = layer.shape, layer.places or 1
    left, right = roots
    if layer.form == "factors":
        return left + right
    by_matrices = q * left + p * right
    if layer.form == "places":
        return min(places * (left + right), by_matrices + forming(layer))
    return by_matrices


def products(layer: LayerOutline, n_means: int, n_directions: int, rank: int | None) -> float:
    """Return what products with directions take, of class means of a rank or whole ones."""
    (p, q), places = layer.shape, layer.places or 1
    is_low = rank is not None and rank < min(p, q)
    by_ranks = float(n_means * (rank or 0) * places * (p + q))
    if layer.form == "factors" and is_low:
        return by_ranks
    by_matrices = float(n_directions * p * q)
    if layer.form == "places":
        by_matrices += forming(layer)
        return min(by_ranks, by_matrices) if is_low else by_matrices
    return by_matrices
