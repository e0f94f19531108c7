"""The bit-test side sketch: finds features by their ids, without a sweep over all N."""

import numpy as np
import scipy.sparse as sp

from .._base.atomic import Journaled
from ._limits import IDENTIFICATION_LIMIT
from .measurements import SparseSignMeasurement
from .measurements._base import compress_columns

# Blocks of the hash. A feature is read where it is alone in a bucket, so fewer and larger blocks
# carry less noise; with three, two features share all their buckets with probability 1 / b^3.
N_BLOCKS = 3
# Buckets and width of the identification by default: 22 MB at N = 2**27, 50 MB at 2**62.
_SIZE = 3072, 32
# Floats added at a time, and features of a dense matrix measured at a time.
_BUFFER = 1 << 21


class IdentificationSketch(Journaled):
    """The cells C A Psi^T, C = [C_0; bit_0 C_0; bit_1 C_0; ...], of an :class:`EigenSketch`.

    C_0 is a sparse-sign matrix of its own. ``bit_i C_0`` keeps the columns whose id has bit i set,
    so that the cells of a bucket with a single strong feature spell its id. Psi = G Omega folds the
    test matrix of the main sketch to fewer rows by random signs G. The cells have one more column
    than Psi has rows, for the sum of the rows, by which they are centred. All of it is linear in A.

    Parameters
    ----------
    n_features : int
    n_buckets : int
        Rows of C_0, rounded up to a multiple of 3.
    width : int
        Columns of the cells, a multiple of 8: one more than the rows of Psi.
    range_size : int
        k, the rows of Omega.
    seed : int

    Attributes
    ----------
    cells : ndarray of shape (n_buckets, 1 + n_bits, width)
    hash : SparseSignMeasurement
        C_0.
    fold : csr_array of shape (range_size, width - 1)
        G^T, one sign in each row; the identity where nothing needs folding.

    Notes
    -----
    8 n_buckets width (1 + log2 N) bytes. A batch costs O(u width log N) for its u distinct features
    besides one sparse product.
    """

    def __init__(self, n_features, n_buckets, width, range_size, seed):
        self.n_bits = (int(n_features) - 1).bit_length()
        self.hash = SparseSignMeasurement(
            n_features, -(-int(n_buckets) // N_BLOCKS) * N_BLOCKS, seed, N_BLOCKS
        )
        self.width = int(width)
        self.range_size = int(range_size)
        if self.width < 2:
            raise ValueError(f"The width of the identification must be at least 2, got {width}.")
        self.fold = _fold(self.range_size, self.width - 1, seed)
        self.cells = np.zeros((self.hash.n_measurements, 1 + self.n_bits, self.width))

    def spec(self):
        """Return the settings that must agree between sketches that are merged."""
        return {"hash": self.hash.spec(), "width": self.width, "range_size": self.range_size}

    @classmethod
    def from_spec(cls, spec):
        """Rebuild an empty sketch from :meth:`spec`, whose hash has been checked."""
        hash_ = spec["hash"]
        return cls(
            hash_["n_features"],
            hash_["n_measurements"],
            spec["width"],
            spec["range_size"],
            hash_["seed"],
        )

    def empty(self):
        """Return an empty sketch of the same settings."""
        return self.from_spec(self.spec())

    def add_rows(self, X, W, weights):
        """Add rows X (dense or CSR), measured by Omega as W (dense or CSR, not shifted)."""
        folded = np.empty((X.shape[0], self.width))
        product = W @ self.fold
        folded[:, :-1] = product.toarray() if sp.issparse(product) else product
        folded[:, -1] = 1.0
        folded *= weights if np.ndim(weights) == 0 else weights[:, None]
        if sp.issparse(X):
            ids, local = compress_columns(X)
            columns = local.tocsc()
        else:
            ids, columns = np.arange(X.shape[1]), X
        step = max(1, _BUFFER // self.width)
        for low in range(0, len(ids), step):
            part = columns[:, low : low + step]
            self._add(ids[low : low + step], part.T @ folded)

    def add_products(self, ids, products):
        """Add rows `ids` of A Omega^T, shape (len(ids), k)."""
        values = np.zeros((len(ids), self.width))
        values[:, :-1] = products @ self.fold
        self._add(ids, values)

    def merge(self, other, sign=1.0):
        """Add (or subtract) the cells of another sketch of the same settings."""
        self.journal.keep(self.cells)
        self.cells += sign * other.cells

    def scale(self, factor):
        """Multiply all cells by a factor."""
        self.journal.keep(self.cells)
        self.cells *= factor

    def _add(self, ids, values):
        # Hashing the ids a second time pays only where they leave most buckets alone.
        few = 2 * N_BLOCKS * len(ids) < len(self.cells)
        self.journal.keep(self.cells, self.hash.buckets(ids).ravel() if few else None)
        self.hash.add_bit_tests(self.cells, ids, values)

    def read(self, W, mean):
        """Return the cells of A Psi^T W, centred, shape (n_buckets, 1 + n_bits, r).

        Parameters
        ----------
        W : ndarray of shape (width - 1, r)
        mean : ndarray of shape (k,)
            Omega times the mean of the rows; zero where they are not centred.
        """
        weights = np.vstack([W, -(mean @ self.fold) @ W])
        return self.cells @ weights


def _fold(range_size, n_rows, seed):
    """Return G^T: each row of Omega goes, with a random sign, to one row of Psi."""
    if n_rows >= range_size:
        return sp.eye_array(range_size, n_rows, format="csr")
    rng = np.random.default_rng(seed)
    # Equal shares: each row of Psi is the sum of nearly as many rows of Omega as any other.
    target = rng.permutation(range_size) % n_rows
    signs = rng.choice([-1.0, 1.0], range_size)
    return sp.csr_array((signs, (np.arange(range_size), target)), shape=(range_size, n_rows))


def identification_size(
    identification: str | int | tuple[int, int] | None, n_features: int
) -> tuple[int, int] | None:
    """Return the buckets and the width asked for, or None."""
    if isinstance(identification, str):
        if identification != "auto":
            raise ValueError(
                "identification must be 'auto', None, a number of buckets, or a pair (buckets, "
                f"width), got {identification!r}."
            )
        return _SIZE if n_features > IDENTIFICATION_LIMIT else None
    if identification is None:
        return None
    numbers = np.ravel(identification).tolist()
    if len(numbers) == 1:
        numbers.append(_SIZE[1])
    n_buckets, width = map(int, numbers)
    if n_buckets < 3 or width < 8 or width % 8:
        raise ValueError(
            "identification needs at least 3 buckets and a width that is a multiple of 8, got "
            f"{n_buckets} buckets of width {width}."
        )
    return n_buckets, width
