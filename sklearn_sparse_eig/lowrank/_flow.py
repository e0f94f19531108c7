"""How an eigenvalue grows when a deep linear factorisation is trained by gradient flow.

The flow on 1/2 ||W_N ... W_1 - X||^2 from W_1 = (alpha - beta) I, W_j = alpha I stays diagonal in
the eigenvectors of X: one pair (a, d) for each eigenvalue lambda, d for the N - 1 equal factors,
is all of the run. a^2 - d^2 does not change, so one number s describes the pair,

    a = kappa sinh(s), d = kappa cosh(s), kappa^2 = alpha^2 - (alpha - beta)^2,   where beta > 0,
    a = d = exp(s)                                                                where beta = 0,

    ds/dt = d^(N-2) (lambda - p),    p = a d^(N-1) the eigenvalue of the product.

Time as a function of s is an integral over a smooth function: piecewise Gauss quadrature gives it
to rounding for any depth, sign and perturbation. Its inversion costs the same at every time, be it
10^10 steps of gradient descent away. (For beta = 0 the integral is a hypergeometric function.)
"""

from dataclasses import dataclass, field

import numpy as np

# Nodes and weights on [0, 1]; panels are short enough for these to reach rounding.
_NODES, _WEIGHTS = (a / 2 for a in np.polynomial.legendre.leggauss(16))
_NODES = _NODES + 0.5
# Panels towards the limit, each nearer by a factor of exp(-1/2): down to exp(-32) of the way.
_GEOMETRIC = 64
# Where the limit is zero, at an infinite distance in s, it is taken for reached after this one.
_FAR = 60.0
_NEWTON_STEPS = 60


@dataclass(frozen=True)
class EigenvalueFlow:
    """Gradient flow of a deep factorisation, for many eigenvalues at once.

    Attributes
    ----------
    eigenvalues : ndarray of shape (n,)
        Of the matrix that is factorised; negative ones are allowed.
    depth : int
        Number of factors N, at least 2.
    scale : float
        alpha > 0, the size of the factors at the start.
    perturbation : float
        0 <= beta <= alpha, by which one factor is smaller: 0 sends negative eigenvalues to zero,
        more lets them be learned.
    """

    eigenvalues: np.ndarray
    depth: int
    scale: float
    perturbation: float = 0.0
    _start: float = field(init=False, repr=False)
    _limit: np.ndarray = field(init=False, repr=False)
    _edges: np.ndarray = field(init=False, repr=False)
    _elapsed: np.ndarray = field(init=False, repr=False)

    def __post_init__(self):
        def keep(name, value):
            object.__setattr__(self, name, value)

        keep("eigenvalues", np.asarray(self.eigenvalues, dtype=np.float64))
        first = self.scale - self.perturbation
        keep("_start", np.arcsinh(first / self._kappa) if self._kappa else np.log(self.scale))
        keep("_limit", self._limits())
        keep("_edges", self._panel_edges())
        durations = np.einsum("ijk,k->ij", self._rate(self._panel_points(_NODES)), _WEIGHTS)
        durations *= self._panel_lengths()
        elapsed = np.concatenate(
            [np.zeros((len(self.eigenvalues), 1)), np.cumsum(durations, axis=1)], axis=1
        )
        keep("_elapsed", elapsed)

    @property
    def _kappa(self):
        return np.sqrt(self.perturbation * (2.0 * self.scale - self.perturbation))

    @property
    def initial(self):
        """The eigenvalue of the product at the start, (alpha - beta) alpha^(N-1)."""
        return (self.scale - self.perturbation) * self.scale ** (self.depth - 1)

    def _product(self, s):
        if self._kappa:
            factor = self._kappa**self.depth
            return factor * np.sinh(s) * np.cosh(s) ** (self.depth - 1)
        return np.exp(self.depth * s)

    def _position(self, product):
        """Return the s at which the product has given values, by Newton from the outer side."""
        if not self._kappa:
            with np.errstate(divide="ignore"):
                return np.log(product) / self.depth
        m = self.depth - 1
        target = np.abs(product) / self._kappa**self.depth
        # Both bound sinh(s) from above, and the function is convex there: Newton is monotone.
        s = np.arcsinh(np.minimum(target, target ** (1.0 / self.depth)))
        for _ in range(_NEWTON_STEPS):
            c = np.cosh(s)
            excess = np.sinh(s) * c**m - target
            change = excess / (c ** (m + 1) + m * np.sinh(s) ** 2 * c ** (m - 1))
            s = s - change
            if np.all(np.abs(change) <= 4e-16 * np.abs(s)):
                break
        return np.copysign(s, product)

    def _limits(self):
        """Return where each s goes; where that is minus infinity, a point far enough."""
        if self._kappa:
            return self._position(self.eigenvalues)
        positive = self.eigenvalues > 0
        limits = np.full(len(self.eigenvalues), self._start - _FAR)
        limits[positive] = self._position(self.eigenvalues[positive])
        return np.maximum(limits, self._start - _FAR)

    def _panel_edges(self):
        """Return distances to the limit, from the start on: even steps, then geometric ones."""
        distance = np.abs(self._start - self._limit)
        width = min(0.5, 2.0 / self.depth)
        n_even = max(int(np.ceil(distance.max(initial=0.0) / width)), 1)
        near = np.minimum(distance, 1.0)
        even = np.linspace(distance, near, n_even + 1, axis=1)
        return np.hstack([even, near[:, None] * np.exp(-0.5 * np.arange(1, _GEOMETRIC + 1))])

    def _panel_lengths(self):
        """Return the logarithms of the ratios of the ends of the panels."""
        nearer, further = self._edges[:, 1:], self._edges[:, :-1]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(further > 0, np.log(further / nearer), 0.0)

    def _panel_points(self, share):
        """Return distances to the limit at a share of each panel in the logarithm."""
        return self._edges[:, :-1, None] * np.exp(-self._panel_lengths()[:, :, None] * share)

    def _rate(self, distance):
        """Return dt / d(-log distance) at given distances to the limit, eigenvalues first."""
        shape = (-1,) + (1,) * (distance.ndim - 1)
        limit = self._limit.reshape(shape)
        s = limit + np.sign(self._start - limit) * distance
        speed = self._speed(s, limit, self.eigenvalues.reshape(shape))
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return np.where(distance > 0, distance / np.abs(speed), 0.0)

    def _speed(self, s, limit, eigenvalue):
        """Return |ds/dt|; differences of nearly equal products are taken without cancellation."""
        m = self.depth - 1
        if not self._kappa:
            exact = eigenvalue > 0
            gap = np.where(
                exact,
                -eigenvalue * np.expm1(self.depth * np.where(exact, s - limit, 0.0)),
                eigenvalue - np.exp(self.depth * s),
            )
            return np.exp((self.depth - 2) * s) * gap
        half, middle = np.sinh((limit - s) / 2), (limit + s) / 2
        c, c_limit = np.cosh(s), np.cosh(limit)
        powers = sum(c_limit**i * c ** (m - 1 - i) for i in range(m))
        gap = 2 * half * (np.cosh(middle) * c_limit**m + np.sinh(middle) * np.sinh(s) * powers)
        return self._kappa ** (2 * m) * c ** (self.depth - 2) * gap

    def values_at(self, times):
        """Return the eigenvalues of the product at given times.

        Parameters
        ----------
        times : float or ndarray of shape (t,)
            Gradient-flow times, non-negative; steps of gradient descent times their size.

        Returns
        -------
        ndarray of shape (n,) or (t, n)
        """
        rows = [self._at(time) for time in np.atleast_1d(times)]
        return rows[0] if np.ndim(times) == 0 else np.reshape(rows, (len(rows), -1))

    def _at(self, time):
        which = np.arange(len(self.eigenvalues))
        panel = np.minimum((self._elapsed[:, 1:] <= time).sum(axis=1), self._edges.shape[1] - 2)
        further, length = self._edges[which, panel], self._panel_lengths()[which, panel]
        wanted = time - self._elapsed[which, panel]
        low, high = np.zeros(len(which)), np.ones(len(which))
        share = np.full(len(which), 0.5)
        for _ in range(_NEWTON_STEPS):
            points = further[:, None] * np.exp(-(length * share)[:, None] * _NODES)
            excess = length * share * (self._rate(points) @ _WEIGHTS) - wanted
            low, high = np.where(excess < 0, share, low), np.where(excess < 0, high, share)
            slope = length * self._rate((further * np.exp(-length * share))[:, None])[:, 0]
            with np.errstate(invalid="ignore", divide="ignore"):
                newton = share - excess / slope
            inside = (newton > low) & (newton < high)
            following = np.where(inside, newton, (low + high) / 2)
            if np.all(np.abs(following - share) <= 1e-15):
                break
            share = following
        distance = further * np.exp(-length * share)
        values = self._product(self._limit + np.sign(self._start - self._limit) * distance)
        # Beyond the last panel nothing moves that could be seen.
        done = time >= self._elapsed[:, -1]
        ends = np.maximum(self.eigenvalues, 0.0) if not self._kappa else self.eigenvalues
        return np.where(done, ends, values)

    def hitting_times(self, levels):
        """Return when each eigenvalue of the product first is at a level of its own.

        Parameters
        ----------
        levels : ndarray of shape (n,)

        Returns
        -------
        ndarray of shape (n,)
            0 where the start is at the level already, infinite where it is never reached.
        """
        levels = np.broadcast_to(np.asarray(levels, dtype=np.float64), self.eigenvalues.shape)
        ends = np.maximum(self.eigenvalues, 0.0) if not self._kappa else self.eigenvalues
        reached = (levels - self.initial) * (levels - ends) < 0
        times = np.where(levels == self.initial, 0.0, np.inf)
        if not reached.any():
            return times
        s = self._position(np.where(reached, levels, self.initial))
        distance = np.where(reached, np.abs(s - self._limit), np.abs(self._start - self._limit))
        which = np.arange(len(levels))
        panel = np.clip((self._edges[:, 1:] >= distance[:, None]).sum(axis=1), 0, None)
        panel = np.minimum(panel, self._edges.shape[1] - 2)
        further = self._edges[which, panel]
        with np.errstate(invalid="ignore", divide="ignore"):
            length = np.where(distance > 0, np.log(further / distance), 0.0)
        points = further[:, None] * np.exp(-length[:, None] * _NODES)
        spent = self._elapsed[which, panel] + length * (self._rate(points) @ _WEIGHTS)
        return np.where(reached, spent, times)
