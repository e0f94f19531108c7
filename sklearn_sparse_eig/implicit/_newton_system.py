"""The system of a Newton step, (A diag(h) A^T + rho I) dnu = r, with h of very different sizes.

Columns near the boundary of the dual domain have h larger than the others by a factor of up to
1 / b, and there are few of them, S. With C = min(H, cap), and E > 0 what is cut off on S, the
system is

    [ A C A^T + rho I   A_S   ] [ dnu ]   [ r ]
    [ A_S^T            -E^-1  ] [ w   ] = [ 0 ],        w = E A_S^T dnu.

K, the first block, has weights of one size. It is left to conjugate gradients, and the columns S
are part of the preconditioner and of the unknowns: where A H A^T, formed or applied, would lose the
digits of its small part, this keeps them. In the preconditioner, a multiple of the identity stands
for K, and where that takes too many steps a Cholesky factor of K, which later systems use too.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky, solve_triangular

# Columns of a weight beyond this multiple of the median belong to S.
_LARGE = 50.0
# A factor costs M^2 N operations, a step of conjugate gradients 4 M N, but slower ones: a factor is
# worth about M / 20 steps.
_STEPS_PER_ROW = 1 / 20
_FEWEST_STEPS = 3
# Where K cannot be formed there is no alternative to more steps.
_MOST_STEPS = 2000
# Added to the diagonal of K for its factor, relative to the mean: equations may be dependent.
_JITTER = 1e-14
# Size of nu for that of A^T nu, relative to the norm of A, at which equations count as dependent.
_DEGENERATE = 1e10


@dataclass
class _Split:
    """The columns S, what is cut off their weights (E), and what is left of all (C)."""

    support: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    rest: np.ndarray
    ridge: float


@dataclass
class _Solution:
    """What is known of the solution, and what is left of the right-hand side r."""

    dnu: np.ndarray
    w: np.ndarray
    ds: np.ndarray
    r: np.ndarray
    length: float  # of r at the start
    size: float = 0.0  # the same, squared, in the norm of the preconditioner


class NewtonSystem:
    """A solver of (A diag(h) A^T + rho I) dnu = r for a sequence of weights h.

    Parameters
    ----------
    design : Design
    """

    def __init__(self, design):
        self._design = design
        self._factor = None
        self._was_slow = False
        self._energy = design.squared_norm() / design.shape[0]
        self._patience = _MOST_STEPS
        if design.forms_normal_matrix:
            self._patience = max(_FEWEST_STEPS, int(_STEPS_PER_ROW * design.shape[0]))

    def solve(self, h, r, tol, ridge=0.0):
        """Return dnu and ds = A^T dnu, for columns of large weight to full relative accuracy.

        Parameters
        ----------
        h : ndarray of shape (N,)
            Positive weights.
        r : ndarray of shape (M,)
        tol : float
            Size of what is left of r, relative, in the norm of the preconditioner and in its own.
        ridge : float
            rho.

        Raises
        ------
        LinAlgError
            If the matrix is not positive definite.
        """
        M, N = self._design.shape
        cap = _LARGE * np.median(h)
        support = np.flatnonzero(h > cap)
        if len(support) > M:
            support = np.sort(support[np.argpartition(-h[support], M - 1)[:M]])
        rest = h.copy()
        rest[support] = cap
        split = _Split(support, self._design.columns(support), h[support] - cap, rest, ridge)
        solution = _Solution(
            np.zeros(M), np.zeros(len(support)), np.zeros(N), r.copy(), np.linalg.norm(r)
        )
        # Weights that changed too much for the last factor will have done so again.
        renewed = self._was_slow and self._renew(split)
        converged = self._conjugate_gradients(split, solution, tol)
        self._was_slow = not converged
        if not (converged or renewed) and self._renew(split):
            self._conjugate_gradients(split, solution, tol)
        # A_S^T dnu would be a small difference of large numbers.
        solution.ds[support] = solution.w / split.weights
        return solution.dnu, solution.ds

    def is_degenerate(self, nu, s):
        """Whether nu has run away in a direction that A^T hardly sees: equations are dependent."""
        return self._energy * (nu @ nu) > _DEGENERATE**2 * (1.0 + s @ s)

    def _renew(self, split):
        """Factor K; return whether it can be."""
        if not self._design.forms_normal_matrix:
            return False
        K = self._design.normal_matrix(split.rest)
        K[np.diag_indices(len(K))] += split.ridge + _JITTER * np.trace(K) / len(K)
        self._factor = cholesky(K, lower=True, overwrite_a=True, check_finite=False)
        return True

    def _conjugate_gradients(self, split, solution, tol):
        """Improve the solution; return whether that took few steps."""
        level = self._energy * split.rest.mean() + split.ridge
        precondition = _Preconditioner(self._factor, level, split)
        g, gw, energy = precondition(solution.r)
        solution.size = solution.size or energy
        p, pw = g, gw
        for _ in range(self._patience):
            if self._is_accurate(solution, energy, tol):
                return True
            t = self._design.rmatvec(p)
            weighted = split.rest * t
            q = self._design.matvec(weighted) + split.columns @ pw
            curvature = t @ weighted + pw @ (pw / split.weights)
            if split.ridge:
                q += split.ridge * p
                curvature += split.ridge * (p @ p)
            if not curvature > 0:
                raise LinAlgError("A diag(h) A^T is not positive definite")
            step = energy / curvature
            solution.dnu += step * p
            solution.w += step * pw
            solution.ds += step * t
            solution.r -= step * q
            last = energy
            g, gw, energy = precondition(solution.r)
            p, pw = g + energy / last * p, gw + energy / last * pw
        return self._is_accurate(solution, energy, tol)

    @staticmethod
    def _is_accurate(solution, energy, tol):
        # The first norm hardly sees what is left in the span of A_S, the second only that.
        left = np.linalg.norm(solution.r)
        return energy <= tol**2 * solution.size and left <= tol * solution.length


class _Preconditioner:
    """The inverse of the system with a factored matrix, or a multiple of the identity, for K."""

    def __init__(self, factor, level, split):
        self._factor, self._root = factor, np.sqrt(level)
        self._half = self._lower(split.columns)
        gram = self._half.T @ self._half
        gram[np.diag_indices(len(gram))] += 1.0 / split.weights
        self._weights = split.weights
        self._inner = cho_factor(gram, check_finite=False) if len(gram) else None

    def _lower(self, B, transposed=0):
        if self._factor is None:
            return B / self._root
        return solve_triangular(self._factor, B, lower=True, trans=transposed, check_finite=False)

    def __call__(self, r):
        """Return dnu, w, and the inner product of r with dnu, free of its cancellation."""
        base, w = self._lower(r), np.zeros(0)
        if self._inner is not None:
            w = cho_solve(self._inner, self._half.T @ base, check_finite=False)
            base = base - self._half @ w
        energy = base @ base + w @ (w / self._weights)
        return self._lower(base, transposed=1), w, energy
