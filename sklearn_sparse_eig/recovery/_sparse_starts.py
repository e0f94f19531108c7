"""Starting supports for the sparse eigenproblem: the best of many cheap guesses.

Notation as in ``_sparse_principal``. Vectors of s entries, one a row, are held as their supports
and their entries on them, both of shape (n, s).
"""

import numpy as np
import scipy.sparse as sp

from ._row_starts import row_starts

# Work (in multiply-adds) of one truncated power step over all the columns tried as starts, and
# of growing supports from single indices. Small matrices can so try every column, at no visible
# cost, and large ones a few.
_POWER_WORK = 5e6
_GROWTH_WORK = 1e6
# Steps which sort the starts, and steps for those which the local search will see.
_SCREENING_STEPS = 8
_POWER_STEPS = 100
_KRYLOV_DIMENSION, _SMALL_KRYLOV_DIMENSION = 20, 8
# Beyond this size a growing support takes all that is missing at once: the power iteration that
# follows corrects it for less than the eigendecompositions would cost.
_GROWN_SIZE = 32
# Features for each nonzero of a vector from which sparse products are faster than dense ones.
_SPARSE = 5
# A residual of this share of the product is rounding.
_LEVEL = 1e-8
# Squarings of blocks that bound their eigenvalues, and what of a bound may be rounding.
_SQUARINGS, _ROUNDING = 3, 1e-9


def candidate_supports(B, s, starts, rng, guess=None, n_row_starts=0, n_columns=None):
    """Distinct sorted supports of s indices and their values, the best first, at most starts.

    A guess at the vector is tried as one more start, and so are vectors on row blocks. Where a
    number of columns is given, so many are tried and no support is grown: little work for a guess
    that is good already.
    """
    p = len(B)
    n_grown, dimension = 0, _SMALL_KRYLOV_DIMENSION
    if n_columns is None:
        dimension = _KRYLOV_DIMENSION
        n_columns = int(np.clip(_POWER_WORK // p**2, 2 * starts, p))
        n_grown = int(np.clip(_GROWTH_WORK // (s**3 + p * s), starts, n_columns))
    diagonal = np.diagonal(B)
    norms = np.sqrt(np.einsum("ij,ij->j", B, B))
    leading, lowest = krylov_extremes(B, norms, dimension)
    shift = max(0.0, -lowest)
    # Half of the seeds are the best by norm, the others spread by chance over the rest.
    order = np.argsort(-norms, kind="stable")
    spread = rng.permutation(order[n_columns // 2 :])
    seeds = np.concatenate([order[: n_columns // 2], spread])[:n_columns]
    # The signs for a start given as a support only: those of its dominant column.
    column = B[np.argmax(norms)]
    by_size = np.vstack([_largest(diagonal - diagonal.min(), s), _largest(norms, s)])
    parts = [
        _largest_entries(np.vstack([leading] if guess is None else [leading, guess]), s),
        (by_size, column[by_size]),
        _largest_entries(B[seeds], s),
    ]
    if n_row_starts:
        parts.append(_largest_entries(row_starts(B, s, shift, n_row_starts), s))
    if n_grown:
        parts.append(_grow(B, seeds[:n_grown], s))
    starting = (np.concatenate(part) for part in zip(*parts, strict=True))
    supports, vectors, _ = _truncated_power(B, *starting, shift, _SCREENING_STEPS)
    distinct = _first_of_each(_nonzeros(supports, vectors, p))
    best = _best_settled(B, supports[distinct], vectors[distinct], shift, starts)
    supports, _, values = _truncated_power(B, *best, shift, _POWER_STEPS)
    return [(np.sort(supports[k]), values[k]) for k in _first(values, starts)]


def _best_settled(B, supports, vectors, shift, most):
    """Return the best of the vectors, each settled on its support, the best first.

    A power step ends where supports repeat, which says nothing of the values: those of a matrix
    without a diagonal may be a small share of what the support holds.
    """
    if supports.shape[1] > _GROWN_SIZE:
        supports, vectors, values = _truncated_power(B, supports, vectors, shift, 1)
        best = _first(values, most)
        return supports[best], vectors[best]
    blocks = B[supports[:, :, None], supports[:, None, :]]
    possible = _among_the_best(blocks, vectors, most)
    values, settled = _top_eigenpairs(blocks[possible])
    best = _first(values, most)
    return supports[possible[best]], settled[best]


def _first(values, most):
    """Return the positions of the largest values, the largest first."""
    return np.argsort(-values, kind="stable")[:most]


def _among_the_best(blocks, vectors, most):
    """Return the positions of the blocks whose top eigenvalue may be among the largest of all.

    Powers of a block bound its eigenvalue at less cost than an eigendecomposition: from above by
    ``(sum_i lam_i^16)^(1/16)``, from below at a vector times the power. Not more than these are
    left to be found exactly.
    """
    if len(blocks) <= most:
        return np.arange(len(blocks))
    scale = np.linalg.norm(blocks, axis=(1, 2))
    scale = np.where(scale > 0.0, scale, 1.0)[:, None, None]
    unit = blocks / scale
    power = unit
    for _ in range(_SQUARINGS):
        power = power @ power
    upper = np.linalg.norm(power, axis=(1, 2)) ** (0.5**_SQUARINGS)
    x = np.matmul(power, vectors[:, :, None])
    squares = np.einsum("ijk,ijk->i", x, x)
    lower = np.full(len(blocks), -np.inf)
    np.divide(np.einsum("ijk,ijk->i", x, unit @ x), squares, out=lower, where=squares > 0.0)
    scale = scale[:, 0, 0]
    goal = np.partition(lower * scale, -most)[-most]
    return np.flatnonzero(upper * scale >= goal - _ROUNDING * np.abs(goal))


def _nonzeros(supports, vectors, p):
    """Return the sorted indices of the nonzeros of each vector, filled up with p."""
    return np.sort(np.where(vectors != 0.0, supports, p), axis=1)


def _first_of_each(rows):
    """Positions at which each distinct row of an array appears first, in a fixed order."""
    position = {}
    for k, row in enumerate(rows):
        position.setdefault(row.tobytes(), k)
    return np.fromiter(position.values(), dtype=np.intp)


def _largest(scores, s):
    """Positions of the s entries of largest magnitude along the last axis."""
    return _top(np.abs(scores), s)


def _top(scores, s):
    """Positions of the s largest entries along the last axis."""
    return np.argpartition(-scores, s - 1, axis=-1)[..., :s]


def _largest_entries(rows, s):
    """Return the supports and the values of the s entries of largest magnitude of each row."""
    supports = _largest(rows, s)
    return supports, _at(rows, supports)


def _at(rows, positions):
    """Return the entries of each row at its positions: ``np.take_along_axis``, unchecked."""
    return rows[np.arange(len(rows))[:, None], positions]


def _product(B, supports, vectors):
    """Return the products (n, p) of B with vectors given on their supports."""
    (n, s), p = supports.shape, len(B)
    if _SPARSE * s <= p:
        rows = (vectors.ravel(), supports.ravel(), np.arange(0, n * s + 1, s))
        return sp.csr_array(rows, shape=(n, p)) @ B
    dense = np.zeros((n, p))
    dense[np.arange(n)[:, None], supports] = vectors
    return dense @ B


def krylov_extremes(B, start, dimension=_KRYLOV_DIMENSION):
    """Leading Ritz vector (p,) and lowest Ritz value of a small Krylov space of B.

    Only a start and a shift are wanted, so that a fixed number of Lanczos steps is enough, and
    never fails as an iteration with a tolerance may. O(p^2) time for each step.
    """
    basis = np.zeros((min(len(B), dimension), len(B)))
    images = np.zeros_like(basis)
    q = start
    for k in range(len(basis)):
        scale = np.linalg.norm(q)
        for _ in range(2):
            q = q - (basis[:k] @ q) @ basis[:k]
        norm = np.linalg.norm(q)
        if norm <= 1e-12 * scale:
            basis, images = basis[:k], images[:k]
            break
        basis[k] = q / norm
        q = images[k] = B @ basis[k]
    if not len(basis):
        return np.ones(len(B)), 0.0
    w, U = np.linalg.eigh(images @ basis.T)
    return U[:, -1] @ basis, w[0]


def _grow(B, seeds, s):
    """Grow one support from each seed index to s indices; return vectors on them.

    An index joins by the exact top eigenvalue of B on the span of the present vector and that
    index, a lower bound for the enlarged support, found for all indices at once. The vector of that
    eigenvalue then climbs on the enlarged support: a step every other time where single indices
    join, two where more do. Supports grow by a quarter at a time once they are large: the loop is
    logarithmic in s.
    """
    diagonal, each = np.diagonal(B), np.arange(len(seeds))
    supports, vectors, image = seeds[:, None], np.ones((len(seeds), 1)), B[seeds]
    while (size := supports.shape[1]) < s:
        values = _rows_dot(vectors, _at(image, supports))
        half = (diagonal - values[:, None]) / 2
        gains = half + np.sqrt(half * half + image * image)
        gains[each[:, None], supports] = -np.inf
        n_new = min(s - size, max(1, size // 4)) if size < _GROWN_SIZE else s - size
        joining = _best_first(gains, n_new)
        best = joining[:, 0]
        along, across = _rotation(image[each, best], gains[each, best])
        others = np.zeros((len(seeds), n_new - 1))
        supports = np.hstack([supports, joining])
        vectors = np.hstack([along[:, None] * vectors, across[:, None], others])
        image *= along[:, None]
        image += across[:, None] * B[best]
        if 2 < size + n_new < s:  # of two indices the vector is the best already
            for _ in range(2 if n_new > 1 else size % 2):
                vectors, image = _climbed(B, supports, vectors, image)
    return supports, _at(image, supports)


def _best_first(scores, count):
    """Return the positions of the largest scores of each row, the largest of all in front."""
    if count == 1:
        return scores.argmax(axis=1)[:, None]
    chosen = _top(scores, count)
    first = _at(scores, chosen).argmax(axis=1)[:, None]
    best = _at(chosen, first)
    np.put_along_axis(chosen, first, chosen[:, :1], axis=1)
    chosen[:, :1] = best
    return chosen


def _climbed(B, supports, vectors, image):
    """Return unit vectors that a step of steepest ascent leads to, and their products with B.

    The step is the best on the span of the vector and its residual on the support.
    """
    inside = _at(image, supports)
    values = _rows_dot(vectors, inside)
    slope = inside - values[:, None] * vectors
    steepness = np.sqrt(_rows_dot(slope, slope))
    # The residual of an eigenvector is rounding, and a direction of its own.
    climbs = steepness > _LEVEL * np.sqrt(_rows_dot(inside, inside))
    slope /= np.where(climbs, steepness, 1.0)[:, None]
    slope_image = _product(B, supports, slope)
    own = _rows_dot(slope, _at(slope_image, supports))
    half = (own - values) / 2
    gain = np.where(climbs, half + np.hypot(half, steepness), 0.0)
    steepness = np.where(climbs, steepness, 0.0)
    along, across = (one[:, None] for one in _rotation(steepness, gain))
    vectors = along * vectors + across * slope
    # To unit length once more, or what rounding leaves grows with every step.
    scale = 1.0 / np.sqrt(_rows_dot(vectors, vectors))[:, None]
    image *= along * scale
    image += across * scale * slope_image
    return scale * vectors, image


def _rotation(coupling, gain):
    """Return the cosine and the sine of the top eigenvector of ``[[0, coupling], [coupling, c]]``.

    The eigenvalue is the gain. Where nothing is gained, nothing moves.
    """
    scale = np.hypot(coupling, gain)
    moves = scale > 0.0
    scale = np.where(moves, scale, 1.0)
    return np.where(moves, coupling / scale, 1.0), gain / scale


def _rows_dot(left, right):
    """Return the inner products of the rows of two arrays."""
    return np.einsum("ij,ij->i", left, right)


def _truncated_power(B, supports, vectors, shift, n_steps):
    """Multiply by B + shift I and keep the s largest entries, until the supports repeat.

    Returns supports, unit vectors on them and their quadratic forms (n,). With a shift which makes
    the matrix positive semidefinite the quadratic form never decreases. One step costs O(n p s) at
    most, as one matrix product.
    """
    (n, s), p = supports.shape, len(B)
    active, S, v, values = np.arange(n), supports, vectors, np.zeros(n)
    supports, vectors = supports.copy(), vectors.copy()
    nonzeros = _nonzeros(S, v, p)
    for _ in range(n_steps):
        norms = np.sqrt(_rows_dot(v, v))
        v = v / np.where(norms > 0.0, norms, 1.0)[:, None]
        supports[active], vectors[active] = S, v
        image = _product(B, S, v)
        inside = _at(image, S)
        values[active] = _rows_dot(v, inside)
        if shift:
            image[np.arange(len(S))[:, None], S] = inside + shift * v
        S, v = _largest_entries(image, s)
        previous, nonzeros = nonzeros, _nonzeros(S, v, p)
        moved = (nonzeros != previous).any(axis=1)
        if not moved.any():
            break
        active, S, v, nonzeros = active[moved], S[moved], v[moved], nonzeros[moved]
    return supports, vectors, values


def _top_eigenpairs(blocks):
    """Top eigenvalues (...,) and eigenvectors (..., s) of symmetric blocks (..., s, s)."""
    w, U = np.linalg.eigh(blocks)
    return w[..., -1], U[..., -1]
