"""When a solver that goes through approximations should stop, for several targets at once."""

import numpy as np

# Validation stops after this many steps without improvement, more where steps are small.
_PATIENCE = 10


class Stopping:
    """Watches approximations of X w = y, one column for each target, and keeps what to return.

    Parameters
    ----------
    design : Design
    y : ndarray of shape (M, n_targets)
    tol : float
        Relative size of the residual, or of the gradient, at which a target is solved.
    positive : bool
        Whether coefficients are bounded by zero: a gradient that keeps one there does not count.
    discrepancy : float or None
        Size of the residual, ||X w - y||, at which the rest is noise.
    validation : (Design, ndarray) or None
        Rows that are not fitted, and their targets: the best approximation on them is kept.
    patience : float
        Validation ends after ``(patience - 1) * best + 10`` steps without improvement, `best` the
        number of steps to the best so far.

    Attributes
    ----------
    coef : ndarray of shape (N, n_targets)
        What to return.
    n_iter : ndarray of int, shape (n_targets,)
        Steps to it.
    reached : ndarray of bool, shape (n_targets,)
        Whether a target met its criterion.
    """

    def __init__(
        self, design, y, tol, *, positive=False, discrepancy=None, validation=None, patience=1.0
    ):
        n_targets = y.shape[1]
        self._tol = tol
        self._design, self._validation, self._patience = design, validation, patience
        self._level = tol * np.linalg.norm(y, axis=0)
        if discrepancy is not None:
            self._level = np.full(n_targets, discrepancy)
        self._gradient_level = tol * np.linalg.norm(design.rmatvec(y), axis=0)
        self._positive = positive
        self._best = np.full(n_targets, np.inf)
        self.coef = np.zeros((design.shape[1], n_targets))
        self.weights = None
        self.n_iter = np.zeros(n_targets, dtype=np.int64)
        self.reached = np.zeros(n_targets, dtype=bool)

    def update(self, n_iter, coef, residual, gradient, weights):
        """Look at the approximation of step n_iter; return whether all targets have ended.

        Parameters
        ----------
        n_iter : int
        coef : ndarray of shape (N, n_targets)
        residual : ndarray of shape (M, n_targets)
            y - X w.
        gradient : ndarray of shape (N, n_targets)
            X^T (y - X w).
        weights : ndarray of shape (n_sides, N, n_targets)
            What coef is made of; kept with it.
        """
        taken = ~self.reached
        if self._validation is not None:
            X, y = self._validation
            error = ((y - X.matvec(coef)) ** 2).sum(axis=0)
            taken &= error < self._best
            self._best[taken] = error[taken]
        if self.weights is None:
            self.weights = weights.copy()
        self.coef[:, taken] = coef[:, taken]
        self.weights[..., taken] = weights[..., taken]
        self.n_iter[taken] = n_iter
        self.reached |= np.linalg.norm(residual, axis=0) <= self._level
        if self._positive:
            scale = self._gradient_level / max(self._tol, np.finfo(float).tiny)
            held = np.minimum(np.abs(gradient), coef / coef.max(axis=0) * scale)
            gradient = np.where(gradient < 0, held, gradient)
        self.reached |= np.linalg.norm(gradient, axis=0) <= self._gradient_level
        if self._validation is not None:
            self.reached |= n_iter > self._patience * self.n_iter + _PATIENCE
        return bool(self.reached.all())
