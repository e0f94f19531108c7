"""Hashed measurement of gradients, from their factors by fast Fourier transforms."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.fft import irfft, rfft

from ... import kernels

# Independent blocks of buckets: entries are estimated by the median of so many.
N_BLOCKS = 4
# Floats of a temporary array (16 MB).
_BLOCK = 2**21
# Floats of the sums of several labels (64 MB), and entries that stay in the cache of a processor.
_SUMS, _CACHED = 2**23, 2**14
# What it costs in multiplications of a matrix product to scatter one entry, and for each
# m log2(m) to transform both factors of a row (measured, to a factor of two).
_SCATTER_COST, _TRANSFORM_COST = 50 * N_BLOCKS, 8


class TensorSketch:
    r"""Signed sums of the entries of gradients in hashed buckets, the same for every sample.

    In each of K = 4 blocks of b = m / 4 buckets, entry (i, j) of the gradient of a layer goes to
    :math:`h(i) + k(j) \bmod b` with the sign :math:`s(i) t(j) / \sqrt{K}`. Here h, s and k, t are
    hashed as the columns of :class:`SparseSignMeasurement`, with a seed for each factor of each
    layer. As buckets add, the sketch of :math:`a \delta^T` is the circular convolution of the
    sketches of a and of delta, so that no gradient is formed. All layers share the buckets.

    Parameters
    ----------
    layer_shapes : sequence of (int, int)
    n_measurements : int
        m, a multiple of 4.
    seed : int

    Raises
    ------
    ValueError
        If the number of measurements is not a multiple of 4.

    Notes
    -----
    Inner products of sketches are unbiased; for matrices x and y of one layer their variance is
    at most :math:`(\|x\|^2 \|y\|^2 + \langle x, y \rangle^2 + 2 \|x^T y\|^2 + 2 \|x y^T\|^2) / m`
    up to :math:`O(m^{-2})`, with Frobenius norms (derived in ``doc/gradpca.md``).

    A row costs O(K p + K q + m log m) in each layer, or O(K p q) where that is less.

    References
    ----------
    Pham and Pagh, "Fast and scalable polynomial kernels via explicit feature maps", KDD 2013.
    """

    def __init__(
        self, layer_shapes: Sequence[tuple[int, int]], n_measurements: int, seed: int
    ) -> None:
        if n_measurements % N_BLOCKS:
            fits = -(-n_measurements // N_BLOCKS) * N_BLOCKS
            raise ValueError(
                f"n_measurements must be a multiple of {N_BLOCKS}, got {n_measurements}; {fits} "
                "fits."
            )
        self.layer_shapes = tuple(tuple(shape) for shape in layer_shapes)
        self.n_measurements, self.seed = int(n_measurements), int(seed)
        self._size = self.n_measurements // N_BLOCKS
        seeds = np.random.SeedSequence(self.seed).generate_state(2 * len(layer_shapes), np.uint64)
        self._seeds = [(int(a), int(b)) for a, b in seeds.reshape(-1, 2)]

    def spec(self) -> dict[str, int]:
        """Return what must agree between sketches that are added."""
        return {
            "n_measurements": self.n_measurements,
            "seed": self.seed,
            "hash_version": kernels.HASH_VERSION,
        }

    def add_sums(self, out: np.ndarray, layers: Sequence, labels: np.ndarray) -> None:
        """Add the sketched sums of gradients of each label to the rows of out.

        Parameters
        ----------
        out : ndarray of float64, shape (n_labels, n_measurements)
        layers : tuple of LayerFactors or LayerMatrices
        labels : ndarray of int, shape (n_samples,)
        """
        present, counts = np.unique(labels, return_counts=True)
        by_label = np.split(np.argsort(labels, kind="stable"), np.cumsum(counts)[:-1])
        convolved = {}
        for i, layer in enumerate(layers):
            if layer.is_explicit or self._scatters(i, len(labels) / len(present)):
                self._scatter_sums(out, i, layer, present, by_label)
            else:
                convolved[i] = layer
        if not convolved:
            return
        order = np.concatenate(by_label)
        step = max(1, _BLOCK // self.n_measurements)
        for start in range(0, len(order), step):
            rows = order[start : start + step]
            spectra = sum(self._convolve(i, layer.take(rows)) for i, layer in convolved.items())
            changes = np.flatnonzero(np.diff(labels[rows], prepend=-1))
            sums = irfft(np.add.reduceat(spectra, changes, axis=0), self._size, axis=2)
            out[labels[rows[changes]]] += sums.reshape(len(changes), -1)

    def _scatter_sums(self, out, i, layer, present, by_label):
        """Add the scattered sum of each label, many at a time, for their entries hash alike."""
        p, q = self.layer_shapes[i]
        step = max(1, _SUMS // (p * q))
        for start in range(0, len(present), step):
            labels = slice(start, start + step)
            sums = np.stack([layer.sum(rows) for rows in by_label[labels]])
            out[present[labels]] += self.scatter(i, sums)

    def spectra(self, layers: Sequence) -> np.ndarray:
        """Return the Fourier transforms of the sketches of gradients, block by block.

        An array of float64 of shape (n_samples, 2 * K * (b // 2 + 1)), real and imaginary parts in
        turn. Products with a :meth:`dual` are inner products of sketches.
        """
        n, scattered = len(layers[0]), []
        spectra: Any = 0.0
        for i, layer in enumerate(layers):
            if layer.is_explicit or self._scatters(i, 1):
                scattered.append(self.scatter(i, layer.dense().reshape(-1, *self.layer_shapes[i])))
            else:
                spectra = spectra + self._convolve(i, layer)
        if scattered:
            spectra = spectra + self._transform(sum(scattered))
        return spectra.reshape(n, -1).view(np.float64)

    def dual(self, sketches: np.ndarray) -> np.ndarray:
        """Return what spectra are multiplied by to give inner products, by Parseval's identity.

        Parameters
        ----------
        sketches : ndarray of shape (k, n_measurements)

        Returns
        -------
        ndarray of shape (2 * K * (b // 2 + 1), k)
        """
        spectra = self._transform(sketches) / self._size
        # Frequencies other than 0 and b / 2 stand for their negative too.
        spectra[:, :, 1 : (self._size + 1) // 2] *= 2.0
        return np.ascontiguousarray(spectra.reshape(len(sketches), -1).view(np.float64).T)

    def multiplications(self, layer: int, is_explicit: bool) -> float:
        """Return roughly what sketching one row of a layer takes, the cheaper way."""
        p, q = self.layer_shapes[layer]
        m = self.n_measurements
        scattering = float(N_BLOCKS * p * q)
        transforms = N_BLOCKS * (p + q) + _TRANSFORM_COST * m * np.log2(m)
        return scattering if is_explicit else min(scattering, float(transforms))

    def scatter(self, layer: int, matrices: np.ndarray) -> np.ndarray:
        """Return the sketches of explicit matrices of a layer, an array (n, p, q): (n, m).

        The slow way for one matrix, and the fast one for the sum of many samples. O(n K p q).
        """
        matrices = np.asarray(matrices, dtype=np.float64)
        out = np.zeros((len(matrices), self.n_measurements))
        for rows, buckets, signs in self._entries(layer, 1 + len(matrices) // N_BLOCKS):
            n_entries = buckets.shape[1]
            ends = N_BLOCKS * np.arange(n_entries + 1)
            hashed = sp.csr_array(
                (signs.T.ravel() / np.sqrt(N_BLOCKS), buckets.T.ravel(), ends),
                shape=(n_entries, self.n_measurements),
            )
            out += matrices[:, rows].reshape(len(matrices), -1) @ hashed
        return out

    def largest(
        self,
        sketches: np.ndarray,
        n_kept: int,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return for each vector the entries that look largest in its sketch.

        Each is estimated by the mean of its K = 4 buckets without the two extremes, so that one
        collision with a large entry does no harm.

        Parameters
        ----------
        sketches : ndarray of shape (k, n_measurements)
        n_kept : int
        progress : callable, default=None
            Called with the number of entries swept over, and of all.

        Returns
        -------
        list of (ids, values)
            One for each sketch. Ids are int64 and increasing: layer after layer, each row-major.

        Notes
        -----
        O(K P k) time for P parameters, O(k n_kept) memory and a few blocks. All vectors are swept
        over at the same time, for their entries hash alike.
        """
        found = [_Largest(n_kept) for _ in sketches]
        start, n_entries = 0, sum(p * q for p, q in self.layer_shapes)
        for layer, (p, q) in enumerate(self.layer_shapes):
            for rows, buckets, signs in self._entries(layer, 2):
                first = start + rows.start * q
                for low in range(0, buckets.shape[1], _CACHED):
                    part = slice(low, low + _CACHED)
                    bucket, sign = buckets[:, part], signs[:, part]
                    for sketch, largest in zip(sketches, found, strict=True):
                        largest.add(first + low, _estimates(sketch, bucket, sign))
                if progress is not None:
                    progress(first + buckets.shape[1], n_entries)
            start += p * q
        return [largest.end() for largest in found]

    def _entries(self, layer, share):
        """Yield rows of a layer as a slice, and buckets and signs of their entries, (K, n) each."""
        p, q = self.layer_shapes[layer]
        left = _hash(p, self._seeds[layer][0], self._size)
        right = _hash(q, self._seeds[layer][1], self._size)
        step = max(1, _BLOCK // (N_BLOCKS * share * q))
        offsets = self._size * np.arange(N_BLOCKS)[:, None, None]
        for start in range(0, p, step):
            rows = slice(start, min(p, start + step))
            buckets = left[0][:, rows, None] + right[0][:, None]
            buckets -= self._size * (buckets >= self._size)
            signs = left[1][:, rows, None] * right[1][:, None]
            yield rows, (buckets + offsets).reshape(N_BLOCKS, -1), signs.reshape(N_BLOCKS, -1)

    def _scatters(self, layer, n_rows):
        """Whether forming the sum of so many rows and scattering it costs less than transforms."""
        p, q = self.layer_shapes[layer]
        m = self.n_measurements
        transforms = N_BLOCKS * (p + q) + _TRANSFORM_COST * m * np.log2(m)
        return (n_rows + _SCATTER_COST) * p * q <= n_rows * transforms

    def _convolve(self, i, layer):
        """Return the transforms of the sketches of a layer: products of those of the factors."""
        left, right = self._seeds[i]
        spectra = self._transform(self._count(layer.inputs, left))
        spectra *= self._transform(self._count(layer.deltas, right))
        # Each factor has brought its own 1 / sqrt(K).
        spectra *= np.sqrt(N_BLOCKS)
        return spectra

    def _transform(self, sketches):
        return rfft(sketches.reshape(len(sketches), N_BLOCKS, self._size), axis=2)

    def _count(self, rows, seed):
        if sp.issparse(rows):
            return kernels.sketch_csr(
                rows.data, rows.indices, rows.indptr, seed, N_BLOCKS, self._size
            )
        return kernels.sketch_dense(rows, seed, N_BLOCKS, self._size)


def _hash(n, seed, size):
    """Return buckets within their block, and signs, of n ids: (K, n) each."""
    buckets, signs = kernels.hash_columns(np.arange(n), seed, N_BLOCKS, size)
    return np.ascontiguousarray(buckets.T) - size * np.arange(N_BLOCKS)[:, None], signs.T.copy()


def _estimates(sketch, buckets, signs):
    """Return the mean of each entry's K estimates without the two extremes."""
    each = np.take(sketch, buckets)
    each *= signs
    middle = each.sum(axis=0)
    middle -= each.max(axis=0)
    middle -= each.min(axis=0)
    middle *= np.sqrt(N_BLOCKS) / (N_BLOCKS - 2)
    return middle


class _Largest:
    """The largest entries of one vector that comes in pieces."""

    def __init__(self, n_kept):
        self._n_kept, self._least = n_kept, 0.0
        self._ids, self._values, self._n_held = [], [], 0

    def add(self, start, values):
        good = np.flatnonzero(np.abs(values) > self._least)
        if not len(good):
            return
        self._ids.append(start + good)
        self._values.append(values[good])
        self._n_held += len(good)
        if self._n_held > 4 * self._n_kept:
            self._keep()
            self._least = np.abs(self._values[0]).min()

    def end(self):
        """Return ids, increasing, and values."""
        self._keep()
        return self._ids[0], self._values[0]

    def _keep(self):
        ids = np.concatenate([np.zeros(0, np.int64), *self._ids])
        values = np.concatenate([np.zeros(0), *self._values])
        if len(ids) > self._n_kept:
            # Ids in order all the time, so that ties do not depend on how blocks are cut.
            kept = np.sort(np.argpartition(-np.abs(values), self._n_kept - 1)[: self._n_kept])
            ids, values = ids[kept], values[kept]
        self._ids, self._values, self._n_held = [ids], [values], len(ids)
