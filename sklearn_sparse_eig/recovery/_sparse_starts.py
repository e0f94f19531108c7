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
    vectors, values = _settled(B, vectors, s, shift)
    chosen = np.argsort(-values, kind="stable")[:starts]
    vectors, values = _truncated_power(B, vectors[chosen], s, shift, _POWER_STEPS)
    order = np.argsort(-values, kind="stable")
    return [(np.sort(_largest(vectors[k], s)), values[k]) for k in order]


def _settled(B, vectors, s, shift):
    """Return the vectors, each settled on its support, and their values.

    A power step ends where supports repeat, which says nothing of the values: those of a matrix
    without a diagonal may be a small share of what the support holds.
    """
    if s > _GROWN_SIZE:
        return _truncated_power(B, vectors, s, shift, 1)
    supports = _largest(vectors, s)
    values, settled = _top_eigenpairs(B[supports[:, :, None], supports[:, None, :]])
    placed = np.zeros_like(vectors)
    np.put_along_axis(placed, supports, settled, axis=1)
    return placed, values


def _first_of_each(rows):
    """Positions at which each distinct row of a boolean array appears first, in a fixed order."""
    position = {}
    for k, key in enumerate(np.packbits(rows, axis=1)):
        position.setdefault(key.tobytes(), k)
    return np.fromiter(position.values(), dtype=np.intp)


def _largest(scores, s):
    """Positions of the s entries of largest magnitude along the last axis."""
    return np.argpartition(-np.abs(scores), s - 1, axis=-1)[..., :s]


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
    index, a lower bound for the enlarged support, found for all indices at once. Supports grow
    by a quarter at a time once they are large: the loop is logarithmic in s.
    """
    n, p = len(seeds), len(B)
    diagonal = np.diagonal(B)
    supports = seeds[:, None]
    image = B[seeds]
    while (size := supports.shape[1]) < s:
        eigenvalues, vectors = _top_eigenpairs(B[supports[:, :, None], supports[:, None, :]])
        dense = np.zeros((n, p))
        np.put_along_axis(dense, supports, vectors, axis=1)
        image = _multiply(B, dense)
        half = (diagonal - eigenvalues[:, None]) / 2
        gains = half + np.hypot(half, image)
        np.put_along_axis(gains, supports, -np.inf, axis=1)
        n_new = min(s - size, max(1, size // 4)) if size < _GROWN_SIZE else s - size
        joining = np.argpartition(-gains, n_new - 1, axis=1)[:, :n_new]
        supports = np.concatenate([supports, joining], axis=1)
    return _restricted(image, supports)


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
