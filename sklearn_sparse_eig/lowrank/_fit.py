"""From a matrix to what a deep factorisation has learned of it when it is stopped."""

from dataclasses import dataclass, replace

import numpy as np

from .._base.signs import with_canonical_signs
from ._descent import (
    descend,
    descend_eigenvalues,
    initial_factors,
    monotone_step,
    product,
    stability_bound,
)
from ._flow import EigenvalueFlow
from ._greedy import complete_by_rank, refine_factors
from ._held_out import choose_by_held_out, make_offsets, noise_norm
from ._intervals import low_rank_intervals
from ._row_model import RowModel
from ._stopping import Stop, choose_stop

# Relative size of an asymmetry that is rounding.
_ROUNDING = 1e-12
# Steps between two looks at the residual.
_BLOCK = 50


@dataclass(frozen=True)
class Run:
    """How the run is started and stopped: the parameters of the estimators."""

    depth: int
    init_scale: float
    init_perturbation: float
    learning_rate: float | str
    stopping: str
    rank: int | None
    time: float | None
    noise_level: float | None
    tol: float
    max_iter: int
    center: str | None = None
    validation_fraction: float = 0.1

    @property
    def flow(self):
        """The parameters of the flow alone."""
        return {
            "depth": self.depth,
            "init_scale": self.init_scale,
            "init_perturbation": self.init_perturbation,
        }

    def make_flow(self, spectrum):
        """Return the flow of given eigenvalues."""
        return EigenvalueFlow(spectrum, self.depth, self.init_scale, self.init_perturbation)

    def check(self):
        """Raise a ValueError where a parameter is missing that the stopping rule needs."""
        if self.init_perturbation > self.init_scale:
            raise ValueError(
                f"init_perturbation={self.init_perturbation} must not exceed "
                f"init_scale={self.init_scale}."
            )
        for rule, name in (("rank", "rank"), ("time", "time"), ("discrepancy", "noise_level")):
            if self.stopping == rule and getattr(self, name) is None:
                raise ValueError(f"stopping={rule!r} needs {name}, got {name}=None.")

    def step(self, largest):
        """Return the step size, after checking that it is stable."""
        if self.learning_rate == "auto":
            return monotone_step(largest, self.depth, self.init_scale)
        bound = stability_bound(largest, self.depth)
        if self.learning_rate >= bound:
            raise ValueError(
                f"learning_rate={self.learning_rate:g} is not stable: it must be below "
                f"2 / (depth * largest ** (2 - 2 / depth)) = {bound:.6g}, where {largest:.6g} is "
                "the largest eigenvalue."
            )
        return float(self.learning_rate)


@dataclass(frozen=True)
class LowRankFit:
    """What has been learned.

    Attributes
    ----------
    spectrum : ndarray of shape (k,)
        Eigenvalues or singular values of X, largest magnitude first; for missing entries, the
        residual's spectral norm at rank 0, 1, and so on.
    values : ndarray of shape (k,)
        What the run has made of them.
    vectors : ndarray of shape (n_features, k)
        Orthonormal right singular vectors (or eigenvectors).
    filter : ndarray of shape (k,)
        values / spectrum, 0 where the spectrum is below the start of the run.
    stop : Stop
    n_components : int
    step : float
    n_iter : int
    shortfall : str or None
        What was not reached, where the steps did not suffice.
    rows : RowModel or None
        How rows get coordinates; None for least squares in what was learned.
    """

    spectrum: np.ndarray
    values: np.ndarray
    vectors: np.ndarray
    filter: np.ndarray
    stop: object
    n_components: int
    step: float
    n_iter: int
    shortfall: str | None = None
    rows: RowModel | None = None


def is_symmetric(X):
    """Return whether X is a symmetric matrix up to rounding, missing entries included."""
    if X.shape[0] != X.shape[1]:
        return False
    missing = np.isnan(X)
    if missing.any() and not np.array_equal(missing, missing.T):
        return False
    known = np.where(missing, 0.0, X)
    return bool(np.abs(known - known.T).max() <= _ROUNDING * np.abs(known).max(initial=0.0))


def fit_complete(X, run, *, symmetric, literal=False):
    """Return the :class:`LowRankFit` of a matrix without missing entries."""
    if symmetric:
        spectrum, vectors = np.linalg.eigh((X + X.T) / 2)
    else:
        _, spectrum, vectors = np.linalg.svd(X, full_matrices=False)
        vectors = vectors.T
    order = np.argsort(-np.abs(spectrum), kind="stable")
    return fit_spectrum(spectrum[order], vectors[:, order], run, literal=literal)


def fit_spectrum(spectrum, vectors, run, *, literal=False, n_informed=None):
    """Return the fit of a matrix whose decomposition is known.

    Parameters
    ----------
    spectrum, vectors : ndarray of shape (k,), (n_features, k)
    run : Run
    literal : bool
        Steps of gradient descent rather than the flow that they follow.
    n_informed : int or None
        How many values are not zero for lack of data.
    """
    run.check()
    max_rank = run.rank
    if run.stopping == "plateau" and n_informed is not None:
        max_rank = max(min(n_informed - 1, run.rank or n_informed), 1)
    stop = choose_stop(
        spectrum,
        run.flow,
        run.stopping,
        rank=max_rank,
        time=run.time,
        noise_level=run.noise_level,
        tol=run.tol,
    )
    step = run.step(np.abs(spectrum).max())
    n_iter, shortfall = int(min(np.ceil(stop.time / step), 2.0**62)), None
    if literal:
        if n_iter > run.max_iter:
            shortfall = (
                f"{n_iter} steps of {step:.3g} are needed to stop at time {stop.time:.4g}, and "
                f'max_iter={run.max_iter} were made. solver="spectral" needs none.'
            )
            n_iter = run.max_iter
            stop = replace(stop, time=n_iter * step)
        values = descend_eigenvalues(
            spectrum, n_iter, step, run.depth, run.init_scale, run.init_perturbation
        )
    else:
        values = run.make_flow(spectrum).values_at(stop.time)
    start = run.make_flow(spectrum[:1]).initial
    grown = (spectrum > start) | ((run.init_perturbation > 0) & (spectrum < 0))
    share = np.divide(values, spectrum, out=np.zeros_like(values), where=grown)
    if stop.rank is None:
        n_components = _count(values * grown, run.tol)
    else:
        n_components = stop.rank
        # With negative eigenvalues, the quickest are not always the largest.
        order = np.argsort(-np.abs(values * grown), kind="stable")
        spectrum, values, share = spectrum[order], values[order], share[order]
        vectors = vectors[:, order]
    return LowRankFit(
        spectrum,
        values,
        with_canonical_signs(vectors),
        share,
        stop,
        n_components,
        step,
        n_iter,
        shortfall,
    )


def fit_missing(X, observed, run, *, symmetric, literal=False, rng=None):
    """Return the fit of a matrix with missing entries, and the offsets that were subtracted."""
    run.check()
    for axis, name in ((1, "row"), (0, "column")):
        empty = np.flatnonzero(~observed.any(axis=axis))
        if len(empty):
            raise ValueError(
                f"Nothing is known of {name} {empty[0]} ({len(empty)} {name}s of X have no "
                "observed entry). Remove them."
            )
    known = np.where(observed, X, 0.0)
    if run.stopping == "validation":
        return _fit_by_held_out(known, observed, run, rng)
    mask = observed.astype(np.float64)
    offsets = make_offsets(run.center, known, mask)
    target, effects = offsets.subtracted(known, mask)
    if literal:
        return _fit_missing_literally(target, observed, run, symmetric), offsets
    if run.stopping == "time":
        raise ValueError(
            'stopping="time" needs the flow itself where entries are missing, and this solver '
            'follows its limit. Use solver="gd", or another stopping.'
        )
    path, stop = _follow_ranks(target, observed, run)
    return _completed(target, observed, path, stop, run, offsets, effects), offsets


def _fit_by_held_out(known, observed, run, rng):
    mask = observed.astype(np.float64)
    centers = (None, "effects") if run.center == "auto" else (run.center,)
    choice = choose_by_held_out(
        known,
        observed,
        centers,
        share=run.validation_fraction,
        max_rank=run.rank,
        rng=rng,
    )
    offsets = make_offsets(choice.center, known, mask)
    target, effects = offsets.subtracted(known, mask)
    ridge = choice.ridge * noise_norm(target, mask)
    path = complete_by_rank(
        target, observed, max_rank=choice.rank, max_iter=run.max_iter, ridge=ridge
    )
    # No time of the flow is known at which a ridge stands for it.
    norms, rank = path.residual_norms, len(path.factors)
    stop = Stop(np.inf, rank, low_rank_intervals(norms, tol=run.tol, **run.flow), None)
    return _completed(target, observed, path, stop, run, offsets, effects, ridge), offsets


def _completed(target, observed, path, stop, run, offsets, effects, ridge=0.0):
    """Return the fit of the rank at which the run is stopped, brought to high accuracy."""
    B, steps = np.zeros((target.shape[1], 0)), 0
    if stop.rank:
        _, B, steps = refine_factors(
            path.factors[stop.rank - 1], target, observed, max_iter=run.max_iter, ridge=ridge
        )
    basis = B if ridge else np.linalg.qr(B)[0]
    rows = RowModel.of(offsets, basis, ridge)
    values, components = rows.decomposed(rows.parts(target, observed, effects))
    return LowRankFit(
        path.residual_norms,
        values,
        with_canonical_signs(components),
        np.ones_like(values),
        stop,
        len(values),
        run.step(path.residual_norms[0]),
        path.n_iter + steps,
        rows=rows,
    )


def _follow_ranks(X, observed, run):
    """Return the stationary points of increasing rank, and where the run is stopped on them."""
    until = run.noise_level if run.stopping == "discrepancy" else 0.0
    path = complete_by_rank(X, observed, max_rank=run.rank, until=until, max_iter=run.max_iter)
    norms, n_ranks = path.residual_norms, len(path.factors)
    if run.stopping == "discrepancy":
        # As in the search: the first rank whose residual is down to the noise.
        small = norms[1:] <= run.noise_level
        stop = choose_stop(norms, run.flow, "time", time=np.inf, tol=run.tol)
        return path, replace(stop, rank=int(np.argmax(small)) + 1 if small.any() else n_ranks)
    # Ranks beyond have not been looked at.
    rank = min(run.rank or n_ranks, n_ranks)
    stop = choose_stop(
        norms, run.flow, run.stopping, rank=rank, noise_level=run.noise_level, tol=run.tol
    )
    return path, stop


def _fit_missing_literally(X, observed, run, symmetric):
    if run.stopping in ("plateau", "rank"):
        stop = _follow_ranks(X, observed, run)[1]
        run = replace(run, stopping="time", time=stop.time)
    else:
        singular_values = np.linalg.svd(X, compute_uv=False) / observed.mean()
        stop = choose_stop(singular_values, run.flow, "time", time=0.0, tol=run.tol)
    # Of the complete matrix, as far as it can be told: the mean of what is seen, times all.
    largest = np.linalg.norm(X, 2) / observed.mean()
    step = run.step(largest)
    if symmetric:
        left = right = np.eye(len(X))
    else:
        left, _, right = np.linalg.svd(X, full_matrices=False)
    factors = initial_factors(left, right, run.depth, run.init_scale, run.init_perturbation)
    n_wanted = run.max_iter
    if run.stopping == "time":
        n_wanted = int(min(np.ceil(run.time / step), run.max_iter))
    n_iter, residual, shortfall = 0, np.inf, None
    while n_iter < n_wanted:
        block = min(_BLOCK, n_wanted - n_iter)
        with np.errstate(over="ignore", invalid="ignore"):
            factors = descend(factors, X, observed, block, step)
        n_iter += block
        error = np.where(observed, product(factors) - X, 0.0)
        if not np.isfinite(error).all():
            raise ValueError(
                f"learning_rate={step:g} is not stable: the factors have left the floating point "
                f"numbers after {n_iter} steps. Choose less than half."
            )
        residual = np.linalg.norm(error, 2)
        if run.stopping == "discrepancy" and residual <= run.noise_level:
            break
    else:
        short = run.stopping == "discrepancy" or n_iter * step < run.time - step
        if short:
            shortfall = (
                f"Stopped after max_iter={run.max_iter} steps of {step:.3g}, at time "
                f"{n_iter * step:.4g}, with a residual of {residual:.3g} in the spectral norm. "
                'solver="greedy" does not take such steps.'
            )
    _, values, vectors = np.linalg.svd(product(factors), full_matrices=False)
    return LowRankFit(
        values,
        values,
        with_canonical_signs(vectors.T),
        np.ones_like(values),
        replace(stop, time=n_iter * step),
        stop.rank or _count(values, run.tol),
        step,
        n_iter,
        shortfall,
    )


def _count(values, tol):
    """Return how many values are more than a share of the largest, at least one."""
    magnitudes = np.abs(values)
    return max(int((magnitudes > tol * magnitudes.max()).sum()), 1)
