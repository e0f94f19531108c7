"""Streaming sparse PCA by Oja's rule and a final threshold: the strongest O(N r) competitor.

After the idea of Kumar and Sarkar (NeurIPS 2024): run Oja's rule over the stream, then keep the
largest entries of the result. Here in blocks with a QR factorisation, for several components.

Nothing is held back from it, so that a comparison errs in its favour:

* it starts from the exact principal subspace of the first block, not from a random one;
* its result is rotated to the principal axes of the variances met along the way;
* its step size is chosen with the truth in sight, see `tuned_oja`.
"""

import numpy as np
import scipy.sparse as sp
from _harness import keep_largest

# Multiples of 1 / (first eigenvalue of the first block), constant or falling with the block number.
STEPS = tuple(
    (size, decay) for size in (0.02, 0.1, 0.5, 2.0, 10.0) for decay in ("constant", "1/t")
)


class ThresholdedOja:
    """Block Oja with QR. Memory: the N x r basis, a product of the same size and the mean.

    Parameters
    ----------
    n_components : int
    n_nonzero : int
        Entries kept in each component.
    step : (float, {"constant", "1/t"})
        The step relative to the first block's largest eigenvalue, and its decay.
    center : bool
        Subtract the running mean; without it another N floats are saved.
    """

    def __init__(self, n_components, n_nonzero, step=(0.5, "1/t"), center=True):
        self.n_components, self.n_nonzero = n_components, n_nonzero
        self.step, self.center = step, center
        self.n_blocks = self.n_rows = 0

    def partial_fit(self, X):
        n = X.shape[0]
        if self.center:
            self._add_to_mean(X)
        if self.n_blocks == 0:
            self._start(X)
        self.n_blocks += 1
        scores = np.asarray(X @ self.basis, dtype=np.float64)
        if self.center:
            scores -= self.mean @ self.basis
        product = np.asarray(X.T @ scores, dtype=np.float64)
        if self.center:
            product -= np.outer(self.mean, scores.sum(axis=0))
        size, decay = self.step
        rate = size / self.scale / (self.n_blocks if decay == "1/t" else 1)
        product *= rate / n
        product += self.basis
        # The variances are averaged over about the last half of the stream.
        share = min(1.0, 2.0 / self.n_blocks)
        self.variances = (1.0 - share) * self.variances + share * (scores.T @ scores / n)
        self.basis, triangle = np.linalg.qr(product)
        self.basis *= np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
        return self

    def _add_to_mean(self, X):
        total = np.asarray(X.sum(axis=0, dtype=np.float64)).ravel()
        if self.n_rows == 0:
            self.mean = np.zeros_like(total)
        self.n_rows += X.shape[0]
        self.mean += (total - X.shape[0] * self.mean) / self.n_rows

    def _start(self, X):
        gram = (X @ X.T).toarray() if sp.issparse(X) else (X @ X.T).astype(np.float64)
        if self.center:
            gram = gram - gram.mean(axis=0) - gram.mean(axis=1, keepdims=True) + gram.mean()
        values, vectors = np.linalg.eigh(gram)
        top = vectors[:, : -self.n_components - 1 : -1]
        basis = np.asarray(X.T @ top, dtype=np.float64)
        if self.center:
            basis -= np.outer(self.mean, top.sum(axis=0))
        self.basis = np.linalg.qr(basis)[0]
        self.scale = values[-1] / X.shape[0]
        self.variances = np.zeros((self.n_components, self.n_components))

    @property
    def components_(self):
        axes = np.linalg.eigh(self.variances)[1][:, ::-1]
        return keep_largest((self.basis @ axes).T, self.n_nonzero)


def tuned_oja(batches, score, n_components, n_nonzero, *, center=True, steps=STEPS):
    """Return the step of the highest score, and the components it leads to.

    `batches` is iterated once for each step, and `score(components)` may know the truth: no user
    could tune as well.
    """
    best = None
    for step in steps:
        oja = ThresholdedOja(n_components, n_nonzero, step, center)
        for X in batches:
            oja.partial_fit(X)
        found = oja.components_
        value = score(found)
        if best is None or value > best[0]:
            best = value, step, found
    return best[1:]
