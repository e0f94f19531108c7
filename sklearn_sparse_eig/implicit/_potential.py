"""The potential whose mirror descent is gradient descent on a diagonal network, and its dual.

A network of depth L computes x = u^L - v^L elementwise (x = u^L where positive), all weights equal
to alpha at the start; b = alpha^L. Under gradient flow on a loss of A x the *dual variable* s moves
in the row space of A only, with the *sides* z+ = u^L and z- = v^L bound to it by

    L >= 3:   z+- = b (1 -+ s)^-e,  e = L / (L - 2),  |s| < 1;        L = 2:   z+- = b exp(+-s).

x as a function of s is the gradient of a convex function, the conjugate of the potential. Derived
in doc/implicit_regularisation.md.
"""

import numpy as np

# Of |s|: exp of more overflows soon after.
_LARGEST_EXPONENT = 600.0


class Potential:
    """The link between dual and primal variables.

    Parameters
    ----------
    depth : int
        L >= 2.
    log_scale : float
        log b: the scale itself may underflow.
    positive : bool
        Whether there is no negative side.

    Attributes
    ----------
    signs : ndarray of shape (n_sides, 1)
        1 for z+, -1 for z-. Sides are stacked along the first axis.
    is_barrier : bool
        Whether |s| is bounded, L >= 3.
    exponent : float
        e.
    """

    def __init__(self, depth, log_scale, positive=False):
        self.depth = depth
        self.log_scale = log_scale
        self.positive = positive
        self.signs = np.array([1.0] if positive else [1.0, -1.0])[:, None]
        self.is_barrier = depth > 2
        self.exponent = depth / (depth - 2) if depth > 2 else np.inf

    @classmethod
    def from_init(cls, depth, init_scale, positive=False):
        """Return the potential of weights that are `init_scale` at the start."""
        return cls(depth, depth * np.log(init_scale), positive)

    @property
    def b(self):
        """Initial value of each side."""
        return np.exp(self.log_scale)

    @property
    def dual_level(self):
        """Size of s on the support for small b: s over it tends to the sign of x."""
        return 1.0 if self.is_barrier else max(-self.log_scale, 1.0)

    def dual_rate(self):
        """Return c: gradient flow on the weights moves s at -c times the gradient in x."""
        if not self.is_barrier:
            return 4.0
        L = self.depth
        return L * (L - 2) * np.exp(self.log_scale * (L - 2) / L)

    def sides(self, s):
        """Return z of shape (n_sides, ...) for the dual variable s of shape (...)."""
        signed = self._signed(s)
        if self.is_barrier:
            return np.exp(self.log_scale - self.exponent * np.log1p(-signed))
        return np.exp(self.log_scale + signed)

    def sides_at(self, d):
        """Return z of a barrier for the distances d of s from its boundary."""
        return np.exp(self.log_scale - self.exponent * np.log(d))

    def primal(self, s):
        """Return x for the dual variable s."""
        z = self.sides(s)
        return z[0] if self.positive else z[0] - z[1]

    def slopes(self, z, d):
        """Return dz/d(+-s) of sides z at distances d = 1 -+ s from the boundary."""
        return self.exponent * z / d if self.is_barrier else z

    def dual_of_side(self, z):
        """Return +-s for a side z: the inverse of :meth:`sides`."""
        if self.is_barrier:
            return -np.expm1((self.log_scale - np.log(z)) / self.exponent)
        return np.log(z) - self.log_scale

    def contains(self, s):
        """Whether s, along the first axis, is in the domain and its image finite."""
        limit = 1.0 if self.is_barrier else _LARGEST_EXPONENT
        return (self._signed(s) < limit).all(axis=(0, 1))

    def _signed(self, s):
        return self.signs.reshape((-1,) + (1,) * np.ndim(s)) * s


def l1_gap_bound(l1_norm: float, n_parameters: int, depth: int, init_scale: float) -> float:
    """Bound how far the l1 norm of the limit of gradient flow is from the smallest.

    The limit x of gradient flow on ||A x - y||^2, where x = u^L - v^L and all weights equal
    `init_scale` at the start, satisfies ||x||_1 - Q <= eps Q. The bound eps is derived in
    ``doc/implicit_regularisation.md``.

    Parameters
    ----------
    l1_norm : float
        Smallest l1 norm Q of a solution of A x = y.
    n_parameters : int
        Number of sides: twice the number of features, or that number if coefficients are positive.
    depth : int
        Number of factors L, at least 2.
    init_scale : float
        Value of every weight at the start.

    Returns
    -------
    float
        The bound eps. It is infinite if Q is at most ``n_parameters * init_scale**depth``: the
        initialisation alone is then as large as the solution, and nothing is promised.

    Examples
    --------
    >>> from sklearn_sparse_eig.implicit import l1_gap_bound
    >>> f"{l1_gap_bound(3.0, 80, depth=4, init_scale=0.03):.1e}"
    '8.3e-03'
    """
    log_b = depth * np.log(init_scale)
    log_sum = np.log(n_parameters) + log_b
    if l1_norm <= 0 or np.log(l1_norm) <= log_sum:
        return np.inf
    if depth == 2:
        return float(np.log(n_parameters) / (np.log(l1_norm) - log_sum))
    q = 1.0 - 2.0 / depth
    start = np.exp(q * log_sum)
    return float(depth / 2 * (start - np.exp(q * log_b)) / (l1_norm**q - start))
