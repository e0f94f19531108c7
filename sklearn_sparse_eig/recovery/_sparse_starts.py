"""Starting supports for the sparse eigenproblem: the best of many cheap guesses.

Notation as in ``_sparse_principal``.
"""

import numpy as np

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
    starting = np.vstack(
        [
            leading,
            *([] if guess is None else [guess]),
            _restricted(column, _largest(diagonal - diagonal.min(), s)),
            _restricted(column, _largest(norms, s)),
            B[seeds],
            *([row_starts(B, s, shift, n_row_starts)] if n_row_starts else []),
            *([_grow(B, seeds[:n_grown], s)] if n_grown else []),
        ]
    )
    vectors, _ = _truncated_power(B, starting, s, shift, _SCREENING_STEPS)
    vectors = vectors[_first_of_each(vectors != 0)]
    vectors = _best_settled(B, vectors, s, shift, starts)
    vectors, values = _truncated_power(B, vectors, s, shift, _POWER_STEPS)
    return [(np.sort(_largest(vectors[k], s)), values[k]) for k in _first(values, starts)]


def _best_settled(B, vectors, s, shift, most):
    """Return the best of the vectors, each settled on its support, the best first.

    A power step ends where supports repeat, which says nothing of the values: those of a matrix
    without a diagonal may be a small share of what the support holds.
    """
    if s > _GROWN_SIZE:
        vectors, values = _truncated_power(B, vectors, s, shift, 1)
        return vectors[_first(values, most)]
    supports = _largest(vectors, s)
    blocks = B[supports[:, :, None], supports[:, None, :]]
    possible = _among_the_best(blocks, np.take_along_axis(vectors, supports, 1), most)
    values, settled = _top_eigenpairs(blocks[possible])
    best = _first(values, most)
    placed = np.zeros((len(best), len(B)))
    np.put_along_axis(placed, supports[possible[best]], settled[best], axis=1)
    return placed


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


def _first_of_each(rows):
    """Positions at which each distinct row of a boolean array appears first, in a fixed order."""
    position = {}
    for k, key in enumerate(np.packbits(rows, axis=1)):
        position.setdefault(key.tobytes(), k)
    return np.fromiter(position.values(), dtype=np.intp)


def _largest(scores, s):
    """Positions of the s entries of largest magnitude along the last axis."""
    return _top(np.abs(scores), s)


def _top(scores, s):
    """Positions of the s largest entries along the last axis."""
    return np.argpartition(-scores, s - 1, axis=-1)[..., :s]


def _multiply(B, vectors):
    """vectors @ B for rows with few nonzeros, reading no more of B than needed."""
    used = np.flatnonzero(vectors.any(axis=0))
    if 2 * len(used) < len(B):
        return vectors[:, used] @ B[used]
    return vectors @ B


def _restricted(vectors, supports):
    """The rows of vectors with everything outside their supports set to zero."""
    result = np.zeros_like(vectors)
    np.put_along_axis(result, supports, np.take_along_axis(vectors, supports, -1), -1)
    return result


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
    """Grow one support from each seed index to s indices; return vectors on them (n, p).

    An index joins by the exact top eigenvalue of B on the span of the present vector and that
    index, a lower bound for the enlarged support, found for all indices at once. The vector of that
    eigenvalue then climbs a step on the enlarged support, every other time where single indices
    join. Supports grow by a quarter at a time once they are large: the loop is logarithmic in s.
    """
    n, p = len(seeds), len(B)
    diagonal, each = np.diagonal(B), np.arange(n)
    free = np.ones((n, p), dtype=bool)
    free[each, seeds] = False
    size, vectors, image = 1, (~free).astype(np.float64), B[seeds]
    while size < s:
        half = (diagonal - _rows_dot(vectors, image)[:, None]) / 2
        gains = np.where(free, half + np.sqrt(half * half + image * image), -np.inf)
        n_new = min(s - size, max(1, size // 4)) if size < _GROWN_SIZE else s - size
        if n_new == 1:
            best = gains.argmax(axis=1)
        else:
            joining = _top(gains, n_new)
            best = joining[each, gains[each[:, None], joining].argmax(axis=1)]
            free[each[:, None], joining] = False
        free[each, best] = False
        along, across = _rotation(image[each, best], gains[each, best])
        vectors *= along[:, None]
        vectors[each, best] = across
        image = along[:, None] * image + across[:, None] * B[best]
        size += n_new
        if size < s and (n_new > 1 or size % 2 == 0):
            vectors, image = _climbed(B, vectors, image, free)
    return np.where(free, 0.0, image)


def _climbed(B, vectors, image, free):
    """Return unit vectors that a step of steepest ascent leads to, and their products with B.

    The step is the best on the span of the vector and its residual on the support, that is, where
    indices are not free.
    """
    values = _rows_dot(vectors, image)
    slope = image - values[:, None] * vectors
    slope[free] = 0.0
    steepness = np.sqrt(_rows_dot(slope, slope))
    slope /= np.where(steepness > 0.0, steepness, 1.0)[:, None]
    slope_image = _multiply(B, slope)
    half = (_rows_dot(slope, slope_image) - values) / 2
    gain = np.where(steepness > 0.0, half + np.hypot(half, steepness), 0.0)
    along, across = (one[:, None] for one in _rotation(steepness, gain))
    return along * vectors + across * slope, along * image + across * slope_image


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


def _truncated_power(B, vectors, s, shift, n_steps):
    """Multiply by B + shift I and keep the s largest entries, until the supports repeat.

    Returns unit vectors (n, p) of s entries and their quadratic forms (n,). With a shift which
    makes the matrix positive semidefinite the quadratic form never decreases. One step costs
    O(n p min(p, n s)), as one matrix product over the union of the supports.
    """
    vectors = _restricted(vectors, _largest(vectors, s))
    values = np.zeros(len(vectors))
    active = np.arange(len(vectors))
    for _ in range(n_steps):
        norms = np.linalg.norm(vectors[active], axis=1, keepdims=True)
        current = vectors[active] = vectors[active] / np.where(norms > 0, norms, 1.0)
        image = _multiply(B, current)
        values[active] = np.einsum("ij,ij->i", current, image)
        image += shift * current
        new = _restricted(image, _largest(image, s))
        moved = np.any((new != 0) != (current != 0), axis=1)
        active = active[moved]
        if not len(active):
            break
        vectors[active] = new[moved]
    return vectors, values


def _top_eigenpairs(blocks):
    """Top eigenvalues (...,) and eigenvectors (..., s) of symmetric blocks (..., s, s)."""
    w, U = np.linalg.eigh(blocks)
    return w[..., -1], U[..., -1]
