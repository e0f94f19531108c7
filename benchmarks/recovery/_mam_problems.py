"""Matrices of the MAM* experiments, given as factors, as noisy rows, or as corrected entries."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

TAIL = 1e-3
N_ROWS, BATCH_ROWS = 20_000, 500
HITS = 50  # noisy entries in a row
BATCH_ENTRIES = 50_000


@dataclass(frozen=True)
class Problem:
    """A = U diag(eigenvalues) U^T: U orthonormal, shape (t, r), its rows at the features `ids`."""

    n_features: int
    eigenvalues: np.ndarray
    ids: np.ndarray
    U: np.ndarray
    n_nonzero: int

    def tiles(self):
        """Return (ids, tile) such that A is the sum of the tiles: one, or one for each vector."""
        if np.count_nonzero(self.U[0]) > 1:
            return [(self.ids, (self.U * self.eigenvalues) @ self.U.T)]
        supports = [np.flatnonzero(u) for u in self.U.T]
        return [
            (self.ids[at], value * np.outer(u[at], u[at]))
            for at, value, u in zip(supports, self.eigenvalues, self.U.T, strict=True)
        ]

    def measured(self, measurement):
        """Return M U, shape (m, r)."""
        return measurement.columns(self.ids).T @ self.U


def make_problem(N, eigenvalues, s, layout, seed):
    """Plant random sparse vectors: layout "common", "tailed" or "disjoint"."""
    rng = np.random.default_rng(seed)
    r = len(eigenvalues)
    t = {"common": s, "tailed": 2 * s, "disjoint": r * s}[layout]
    U = np.zeros((t, r))
    if layout == "disjoint":
        for j in range(r):
            U[j * s : (j + 1) * s, j] = rng.standard_normal(s)
    else:
        U[:s] = np.linalg.qr(rng.standard_normal((s, r)))[0]
    if layout == "tailed":
        U[s:] = TAIL * rng.choice([-1.0, 1.0], (s, r))
    # The nearest matrix with orthonormal columns: tails are orthogonal to about 1e-5 already.
    left, _, right = np.linalg.svd(U, full_matrices=False)
    U = left @ right if layout == "tailed" else U / np.linalg.norm(U, axis=0)
    ids = rng.choice(N, t, replace=False)
    order = np.argsort(ids)
    return Problem(N, np.asarray(eigenvalues), ids[order], U[order], s)


# --------------------------------------------------------------------------------- presentations
# Each yields functions that add a part of the input to a sketch.


def factors(problem, noise_variance, seed):
    for ids, tile in problem.tiles():
        yield lambda sketch, ids=ids, tile=tile: sketch.update_tile(ids, ids, tile)


def rows(problem, noise_variance, seed):
    """Rows sum_j sqrt(lambda_j) z_j u_j + noise.

    The scores z are centred and orthonormal, so that the rows have covariance A but for the noise:
    how far sample eigenvectors stray from those of a population is not the question here.
    """
    rng = np.random.default_rng(seed)
    N, t = problem.n_features, len(problem.ids)
    scores = rng.standard_normal((N_ROWS, len(problem.eigenvalues)))
    scores = np.linalg.qr(scores - scores.mean(axis=0))[0] * np.sqrt(N_ROWS)
    loadings = (problem.U * np.sqrt(problem.eigenvalues)).T
    for low in range(0, N_ROWS, BATCH_ROWS):
        n = min(BATCH_ROWS, N_ROWS - low)
        signal = (scores[low : low + n] @ loadings).ravel()
        at = np.tile(problem.ids, n), np.arange(0, n * t + 1, t)
        hits = rng.standard_normal(n * HITS) * np.sqrt(noise_variance * N / HITS)
        where = rng.integers(N, size=n * HITS), np.arange(0, n * HITS + 1, HITS)
        noise = sp.csr_array((hits, *where), shape=(n, N))
        noise.sum_duplicates()
        batch = sp.csr_array((signal, *at), shape=(n, N)) + noise
        yield lambda sketch, batch=batch: sketch.update(batch)


def entries(problem, noise_variance, seed):
    """Entries of A in random order, a third of them wrong at first, and others that do not stay."""
    rng = np.random.default_rng(seed)
    parts = [
        (np.repeat(ids, len(ids)), np.tile(ids, len(ids)), tile.ravel())
        for ids, tile in problem.tiles()
    ]
    i, j, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    wrong = rng.random(len(values)) < 1 / 3
    elsewhere = rng.integers(problem.n_features, size=(2, len(values) // 10))
    too_much = values[wrong] * rng.standard_normal(wrong.sum())
    stray = rng.standard_normal(elsewhere.shape[1]) * values.std()
    i = np.concatenate([i, i[wrong], i[wrong], elsewhere[0], elsewhere[0]])
    j = np.concatenate([j, j[wrong], j[wrong], elsewhere[1], elsewhere[1]])
    values = np.concatenate([values, too_much, -too_much, stray, -stray])
    # A linear sketch does not mind that something is deleted before it has come.
    order = rng.permutation(len(values))
    for low in range(0, len(order), BATCH_ENTRIES):
        batch = order[low : low + BATCH_ENTRIES]
        yield lambda sketch, at=batch: sketch.update_entries(i[at], j[at], values[at])


PRESENTATIONS = {"factors": factors, "rows": rows, "entries": entries}


def noise_norm(shape, N, n):
    """Return the norm of what unit noise in N features leaves in the sketch of n rows."""
    m, k = shape
    return N * ((k * n) ** -0.5 + (m * n) ** -0.5 + 1 / n)
