"""Adding measured rows to a sketch, in place: S += Y^T diag(w) W."""

from itertools import pairwise

import numpy as np
from scipy.linalg.blas import dgemm, dsyrk

from .._base.threads import limit_blas, run_ranges

# Products below are one call of BLAS. Above, tiles on threads of ours: their bits are the same for
# any number of threads, and on a busy machine those of BLAS wait for one another.
_ONE_CALL = 1 << 24
# Rows and columns of a tile at most. BLAS wants large ones, and threads more than one each.
_SMALL_TILE, _TILE = 400, 800


def add_dense(S, Y, W=None, weights=1.0):
    """Add Y^T diag(weights) W to S in place.

    Parameters
    ----------
    S : ndarray of float64, shape (m, k), C order
    Y : ndarray of float64, shape (n, m), C order
    W : ndarray of float64, shape (n, k), C order, or None
        None stands for Y; then only the upper triangle of S is kept up to date, which halves the
        cost. :func:`symmetrize` reads it back.
    weights : float or ndarray of float64, shape (n,)

    Notes
    -----
    O(n m k) operations, as one BLAS call or as tiles, without temporaries beyond a tile (one copy
    of the weighted side if weights differ).
    """
    uniform = np.ndim(weights) == 0
    if float(len(Y)) * S.size > _ONE_CALL:
        return add_tiles(S, Y, W, weights)
    left = Y if uniform else Y * weights[:, None]
    alpha = float(weights) if uniform else 1.0
    # BLAS works in Fortran order: it is given S^T, and all transposes are views.
    if W is None and uniform:
        out = dsyrk(alpha, Y.T, beta=1.0, c=S.T, lower=1, overwrite_c=1)
    else:
        right = Y if W is None else W
        out = dgemm(alpha, right.T, left.T, beta=1.0, c=S.T, trans_b=1, overwrite_c=1)
    if not np.shares_memory(out, S):  # pragma: no cover - BLAS wrappers may refuse to overwrite
        S.T[...] = out


def add_tiles(S, Y, W=None, weights=1.0, ends=None):
    """Add Y^T diag(weights) W to S in place, tile by tile, on threads of ours.

    Parameters
    ----------
    S, W, weights
        As for :func:`add_dense`.
    Y : ndarray of float64 or float32, shape (n, m)
        A product of float32 is made in float32, and summed in float64.
    ends : list of int, or None
        Where the rows are cut: the products of the parts are summed in float64. None for one part.
    """
    right = Y if W is None else W
    if np.ndim(weights) != 0:
        right = right * weights[:, None]
    rows, columns = _steps(len(S)), _steps(S.shape[1])
    tiles = [(i, j) for i in rows for j in columns if W is not None or j.start >= i.start]
    cuts = [slice(*ends) for ends in pairwise([0, *(ends or [len(Y)])])]
    factor = float(weights) if np.ndim(weights) == 0 else 1.0

    def part(first, last):
        height, width = (max(i.stop - i.start for i in steps) for steps in (rows, columns))
        product = np.empty((height, width), Y.dtype)
        total = np.empty((height, width)) if len(cuts) > 1 else product
        # Threads of their own know nothing of what is ignored elsewhere.
        with np.errstate(over="ignore", invalid="ignore"):
            for i, j in tiles[first:last]:
                here = product[: i.stop - i.start, : j.stop - j.start]
                tile = here if len(cuts) == 1 else total[: len(here), : here.shape[1]]
                for some in cuts:
                    np.matmul(Y[some, i].T, right[some, j], out=here)
                    if tile is not here:
                        np.add(tile, here, out=tile) if some.start else np.copyto(tile, here)
                S[i, j] += tile if factor == 1.0 else factor * tile.astype(np.float64, copy=False)

    with limit_blas(1):
        run_ranges(part, len(tiles), work=float(len(Y)) * S.size)


def _steps(n):
    """Cut range(n) into nearly equal steps of at most about a tile."""
    tile = _SMALL_TILE if n <= 2 * _TILE else _TILE
    step = -(-n // -(-n // tile))
    step = -(-step // 8) * 8
    return [slice(low, min(low + step, n)) for low in range(0, n, step)]


def symmetrize(S):
    """Return the symmetric matrix whose upper triangle is that of S."""
    upper = np.triu(S)
    out = upper + upper.T
    np.fill_diagonal(out, np.diagonal(S))
    return out


def weighted_sum(rows, weights):
    """Return sum_i weights[i] rows[i] for dense or sparse rows, as a dense vector."""
    if np.ndim(weights) == 0:
        return float(weights) * np.asarray(rows.sum(axis=0)).ravel()
    return np.asarray(rows.T @ weights).ravel()
