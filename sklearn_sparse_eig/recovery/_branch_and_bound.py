"""Branch and bound over the supports of a small problem.

A node has chosen features, all of which its supports contain, and free ones, from which they take
the rest. It is bounded by sums of squares, which also leave out free features, by weighted rows
(Collatz and Wielandt) and, where few features are left, by the spectrum. One of its two children
takes the free feature of largest sum, the other does without. The node of largest bound comes
first, so that a search which is cut short has proven the bound of the next node. See
``doc/sparse_eigenproblem.md``, "How far from the best".
"""

from dataclasses import dataclass
from heapq import heappop, heappush
from math import comb

import numpy as np

from .._base.progress import tell
from ._exhaustive import best_completion, is_little_work
from ._gershgorin import largest_of_rows, next_weights
from ._screening import kth_largest, square_bound, squares_with_each

# Completions of a node that are enumerated rather than branched on.
_LEAF = 300
# Passes for better weights at a node, which starts with those of its parent.
_N_PASSES = 2
# Features are left out again where at least this share of them went the last time.
_WORTHWHILE = 0.1
# A search that has not closed this share of the distance by this share of its work is given up.
_SHARE_CLOSED, _SHARE_OF_WORK = 0.5, 0.25
# Cubes that take as long as a square: those of decompositions.
_CUBES = 100.0
# Features up to which a node is bounded by its spectrum too.
_MAX_SPECTRUM = 80


@dataclass(frozen=True)
class Searched:
    """What a search has shown.

    Attributes
    ----------
    bound : float
        No support has a larger value.
    value : float
        That of the best support known.
    support : ndarray of int64 or None
        A support of this value, where the search found it.
    has_ended : bool
        Whether the bound is that value, up to the tolerance.
    """

    bound: float
    value: float
    support: np.ndarray | None
    has_ended: bool


def branch_and_bound(
    B: np.ndarray, size: int, value: float, *, max_nodes: int, max_work: float, tol: float
) -> Searched:
    """Return an upper bound on the value of all supports of a given size.

    Parameters
    ----------
    B : ndarray of shape (p, p)
        Symmetric.
    size : int
        At most p.
    value : float
        That of some support, from which the search starts.
    max_nodes : int
        Nodes to bound. Beyond them the bound is that of the best node left.
    max_work : float
        The same, in squares of the numbers of features of the nodes.
    tol : float
        Improvements below it are not looked for.

    Returns
    -------
    Searched
    """
    search = _Search(B, size, value, tol)
    search.add(np.zeros(0, dtype=np.int64), np.arange(len(B)), np.ones(len(B)), np.inf)
    first = search.open_bound()
    while (bound := search.open_bound()) > search.threshold:
        is_hopeless = bound - search.value > (1.0 - _SHARE_CLOSED) * (first - search.value)
        share = _SHARE_OF_WORK if is_hopeless else 1.0
        if search.n_nodes >= share * max_nodes or search.work >= share * max_work:
            return Searched(max(bound, search.value + tol), search.value, search.support, False)
        search.branch(heappop(search.nodes)[2], bound)
        tell("branch and bound", "nodes", search.n_nodes, max_nodes)
    return Searched(search.value + tol, search.value, search.support, True)


@dataclass(frozen=True)
class _Node:
    chosen: np.ndarray
    free: np.ndarray
    weights: np.ndarray  # of all features, for bounds by rows
    feature: int  # the one to branch on


class _Search:
    """The nodes that are open, and the best support known."""

    def __init__(self, B, size, value, tol):
        self.B, self.size, self.value, self.tol = B, size, value, tol
        self.diagonal = np.diagonal(B).copy()
        self.magnitudes = np.abs(B)
        np.fill_diagonal(self.magnitudes, 0.0)
        self.squares = np.square(self.magnitudes)
        self.support = None
        self.nodes, self.n_nodes, self.work = [], 0, 0.0

    @property
    def threshold(self):
        """Half the tolerance is left to rounding."""
        return self.value + 0.5 * self.tol

    def open_bound(self):
        """Return the largest bound of the nodes that are open."""
        return -self.nodes[0][0] if self.nodes else -np.inf

    def branch(self, node, bound):
        rest = node.free[node.free != node.feature]
        self.add(np.append(node.chosen, node.feature), rest, node.weights, bound)
        self.add(node.chosen, rest, node.weights, bound)

    def add(self, chosen, free, weights, bound):
        """Bound a node, and keep it if its supports can still be better than the best known."""
        self.n_nodes += 1
        needed = self.size - len(chosen)
        while True:
            self.work += float(len(chosen) + len(free)) ** 2
            if len(free) < needed:
                return
            if is_little_work(comb(len(free), needed), self.size, _LEAF):
                self.try_all(chosen, free, needed)
                return
            sums = self.sums_with_each(chosen, free, needed)
            largest = max(self.diagonal[free].max(), self.diagonal[chosen].max(initial=-np.inf))
            kept = square_bound(largest, sums, self.size) > self.threshold
            few = np.count_nonzero(~kept) <= _WORTHWHILE * len(kept)
            free, sums = free[kept], sums[kept]
            if few and len(free) >= needed:
                break
        by_squares = square_bound(largest, kth_largest(sums, needed), self.size)
        bound = min(bound, float(by_squares))
        by_rows, weights = self.row_bound(chosen, free, needed, weights)
        bound = min(bound, by_rows)
        if bound > self.threshold and len(chosen) + len(free) <= _MAX_SPECTRUM:
            ids = np.concatenate([chosen, free])
            bound = min(bound, float(np.linalg.eigvalsh(self.B[np.ix_(ids, ids)])[-1]))
        if bound <= self.threshold:
            return
        likely = free[np.argsort(-weights[free], kind="stable")[:needed]]
        self.try_all(chosen, likely, needed)
        if bound > self.threshold:
            node = _Node(chosen, free, weights, int(free[np.argmax(sums)]))
            heappush(self.nodes, (-bound, self.n_nodes, node))

    def sums_with_each(self, chosen, free, needed):
        """Return the largest sum of squares of supports of the node with each free feature."""
        within = self.squares[np.ix_(chosen, chosen)].sum()
        to_chosen = 2.0 * self.squares[np.ix_(chosen, free)].sum(axis=0)
        return within + squares_with_each(self.squares[np.ix_(free, free)], to_chosen, needed)

    def row_bound(self, chosen, free, needed, weights):
        """Return a bound by weighted rows, and the weights."""
        ids, n = np.concatenate([chosen, free]), len(chosen)
        diagonal, bound, x = self.diagonal[ids], np.inf, weights[ids]
        block = self.magnitudes[np.ix_(ids, ids)]
        for _ in range(_N_PASSES):
            images = diagonal * x + block[:, :n] @ x[:n]
            rows = block[:, n:] * x[n:]
            images[:n] += largest_of_rows(rows[:n], needed).sum(axis=1)
            images[n:] += largest_of_rows(rows[n:], needed - 1).sum(axis=1)
            bound = min(bound, float((images / x).max()))
            x = next_weights(images, x, diagonal)
            if bound <= self.threshold:
                break
        weights = weights.copy()
        weights[ids] = x
        return bound, weights

    def try_all(self, chosen, free, needed):
        self.work += comb(len(free), needed) * self.size**3 / _CUBES
        support, value = best_completion(self.B, chosen, free, needed)
        if value > self.threshold:  # and not by rounding alone
            self.value, self.support = value, np.sort(support)
