"""Which features sparse components keep whatever the rows: stability selection from sketches.

Sketches add up, so the rows are read once, in blocks, and half of them is a sum of half of the
blocks. The mathematics is in ``doc/stability.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone
from sklearn.utils import check_random_state

from .._base.messages import Progress, warn_user
from .._base.rows import validate_rows
from .._base.sparse import canonical
from .._base.threads import limit_threads
from .._base.typed import MatrixLike, RandomSeed
from ..recovery import Rank
from ..sketching import EigenSketch
from ._estimator import SketchedSparsePCA
from ._folds import added, parts

if TYPE_CHECKING:
    from pandas import DataFrame

# Pairs of halves that are written down before some are drawn.
_LISTED = 5000
# How many times the rows of one sketch those of another may be.
_UNEVEN = 2.0
# Seconds before the first report.
_PATIENCE = 5.0


@dataclass(frozen=True)
class SupportStability:
    """How often each feature is kept in the components of random halves of the rows.

    Attributes
    ----------
    features : ndarray of int64, shape (n_kept,)
        Features that are kept in any component of any half, or of all rows, in increasing order.
    frequencies : ndarray of shape (n_components, n_kept)
        Share of the halves in which the component keeps the feature.
    overall_frequencies : ndarray of shape (n_kept,)
        Share of the halves in which any component keeps it.
    loadings : ndarray of shape (n_components, n_kept)
        The components of all rows, to which those of the halves are matched.
    similarities : ndarray of shape (n_components, n_halves)
        Absolute inner product of each component of each half with the one that it is matched to.
    n_features : int
        Number of features.
    n_selected : float
        Number of features that the components of a half keep together, on average.
    feature_names : ndarray of shape (n_kept,) or None
        Names of the features, where they have names.
    """

    features: np.ndarray
    frequencies: np.ndarray
    overall_frequencies: np.ndarray
    loadings: np.ndarray
    similarities: np.ndarray
    n_features: int
    n_selected: float
    feature_names: np.ndarray | None = None

    def stable(self, threshold: float = 0.75, *, as_names: bool = False) -> list[np.ndarray]:
        """Return the features of each component that are kept in a share of the halves, or more.

        Parameters
        ----------
        threshold : float, default=0.75
            In (0, 1].
        as_names : bool, default=False
            Whether features are given by ``feature_names``, as in :meth:`to_frame`, where they have
            names.

        Returns
        -------
        list of ndarray of int64, or of names
            For each component, the most frequent features first.

        Raises
        ------
        ValueError
            If the threshold is out of range.
        """
        if not 0.0 < threshold <= 1.0:
            raise ValueError(f"threshold must lie in (0, 1], got {threshold}.")
        called = self._called() if as_names else self.features
        found = []
        for row in self.frequencies:
            order = np.argsort(-row, kind="stable")
            found.append(called[order[row[order] >= threshold]])
        return found

    def expected_false(self, threshold: float = 0.75) -> float:
        """Bound the number of features that are kept so often and belong to no component.

        Parameters
        ----------
        threshold : float, default=0.75
            More than 1/2, and at most 1.

        Returns
        -------
        float
            ``n_selected ** 2 / ((2 * threshold - 1) * n_features)``. It bounds the expected number
            of such features among ``overall_frequencies >= threshold``, if all features that belong
            to no component are as likely to be kept, and no more than those that do.

        Raises
        ------
        ValueError
            If the threshold is out of range.

        References
        ----------
        Meinshausen and Buehlmann, Stability selection, J. R. Statist. Soc. B 72 (2010), theorem 1;
        for pairs of halves Shah and Samworth, J. R. Statist. Soc. B 75 (2013). ``doc/stability.md``
        has the proof, and what it asks of the halves.
        """
        if not 0.5 < threshold <= 1.0:
            raise ValueError(f"threshold must lie in (0.5, 1], got {threshold}.")
        return self.n_selected**2 / ((2.0 * threshold - 1.0) * self.n_features)

    def to_frame(self) -> "DataFrame":
        """Return the frequencies as a pandas DataFrame, a line for each feature of a component.

        Returns
        -------
        DataFrame
            With the columns ``component``, ``feature``, ``frequency`` and ``loading``, the most
            frequent features first, without those of frequency and loading zero.
        """
        import pandas as pd

        order = [np.argsort(-row, kind="stable") for row in self.frequencies]
        names = self._called()
        columns = {
            "component": np.repeat(np.arange(len(order)), len(names)),
            "feature": np.concatenate([names[one] for one in order]),
            "frequency": np.concatenate([self.frequencies[j][o] for j, o in enumerate(order)]),
            "loading": np.concatenate([self.loadings[j][o] for j, o in enumerate(order)]),
        }
        frame = pd.DataFrame(columns)
        kept = (frame["frequency"] > 0.0) | (frame["loading"] != 0.0)
        return frame[kept].reset_index(drop=True)

    def _called(self) -> np.ndarray:
        return self.features if self.feature_names is None else self.feature_names


def support_stability(
    estimator: SketchedSparsePCA,
    X: MatrixLike | Sequence[EigenSketch],
    *,
    n_resamples: int = 100,
    n_blocks: int = 10,
    random_state: RandomSeed = None,
    verbose: int = 0,
) -> SupportStability:
    """Find how often each feature is kept in the components of random halves of the rows.

    A feature of a component that any half of the rows shows is there in most halves; one that came
    in by chance is not. The rows are read once: they are sketched in blocks, and the sketch of a
    half is the sum over half of the blocks.

    Parameters
    ----------
    estimator : SketchedSparsePCA
        Its parameters are used, and a fit that it may have is not. Components of halves are
        recovered from sketches alone, as with ``refine="sketch"``.
    X : {array-like, sparse matrix} of shape (n_samples, n_features), or sequence of EigenSketch
        Rows, or sketches of as many rows each, such as those of shards, made with the same settings
        and the same seed, whose rows are in no particular order.
    n_resamples : int, default=100
        Number of halves, an even one: each is taken together with the other half. No more are taken
        than there are.
    n_blocks : int, default=10
        Number of blocks, an even one, that rows are drawn into at random. Ten have 252 halves. The
        sketch of each is kept.
    random_state : int, RandomState instance or None, default=None
        Draws blocks and halves.
    verbose : int, default=0
        1 reports how many halves are done, once they have taken five seconds.

    Returns
    -------
    SupportStability

    Raises
    ------
    ValueError
        If rows are too few, if numbers are odd or too small, or if ``forgetting`` is not 1.

    Warns
    -----
    UserWarning
        If some sketches are of more than twice the rows of others.

    See Also
    --------
    SketchedSparsePCACV : Chooses the number and the size of components.

    Notes
    -----
    Components of a half are matched to those of all rows so that the sum of the absolute inner
    products is largest, for their order and sign is not theirs to keep. Each half takes a recovery.

    Examples
    --------
    >>> from sklearn_sparse_eig import SketchedSparsePCA, support_stability
    >>> from sklearn_sparse_eig.datasets import make_sparse_spiked_covariance
    >>> data = make_sparse_spiked_covariance(
    ...     400, 60, eigenvalues=(8,), n_nonzero_coefs=5, random_state=0
    ... )
    >>> pca = SketchedSparsePCA(1, n_nonzero_coefs=8, random_state=0)  # three too many
    >>> found = support_stability(pca, data.data, n_resamples=20, random_state=0)
    >>> sorted(found.stable(0.9)[0].tolist()) == data.support.tolist()
    True
    """
    for name, value in (("n_resamples", n_resamples), ("n_blocks", n_blocks)):
        if not isinstance(value, Integral) or value < 2 or value % 2:
            raise ValueError(f"{name} must be even and at least 2, got {value!r}.")
    if not hasattr(estimator, "_make_sketch"):
        raise TypeError(
            f"estimator must be a SketchedSparsePCA, got {type(estimator).__name__}. Of one that "
            "was chosen by cross-validation or is a step of a pipeline, give that estimator, such "
            "as best_estimator_."
        )
    estimator, rng = clone(estimator), check_random_state(random_state)
    cast(Any, estimator)._validate_params()  # of scikit-learn
    with limit_threads(estimator._n_threads()):
        if _are_sketches(X):
            blocks = list(cast(Sequence[EigenSketch], X))
            n_blocks = len(blocks)
            if n_blocks % 2:
                raise ValueError(f"An even number of sketches is needed, got {n_blocks}.")
            _check_sizes(blocks)
            estimator._take_sketch(added(blocks), None)
        else:
            estimator._check_merge(estimator)  # blocks of random rows have no latest ones
            blocks = _blocks(estimator, X, n_blocks, rng)
        return _stability(estimator, blocks, _halves(n_blocks, n_resamples, rng), verbose)


def _are_sketches(X):
    return isinstance(X, Sequence) and len(X) > 0 and hasattr(X[0], "effective_samples")


def _check_sizes(sketches):
    """Warn of sketches of which some weigh so much more that halves are none."""
    weights = [sketch.weight for sketch in sketches]
    if max(weights) > _UNEVEN * min(weights):
        warn_user(
            f"The sketches are of unequal size, {min(weights):g} to {max(weights):g} rows, so that "
            "sums with a large one are no halves: frequencies are those of its features. Merge "
            "small sketches, or pass the rows."
        )


def _blocks(estimator, X, n_blocks, rng):
    """Return sketches of random blocks of the rows; the estimator takes their sum."""
    X = validate_rows(estimator, X, reset=True, accept_sparse="csr", dtype="numeric")
    X = canonical(X) if sp.issparse(X) else X
    n_samples, n_features = X.shape
    if n_samples < 2 * n_blocks:
        raise ValueError(
            f"{n_blocks} blocks need two rows each, got n_samples = {n_samples}. Use smaller "
            "n_blocks."
        )
    template = estimator._make_sketch(n_features)
    step = estimator.batch_size
    step = estimator._batch_rows(X) if isinstance(step, str) else step
    blocks = []
    for rows in np.array_split(rng.permutation(n_samples), n_blocks):
        block = template.empty()
        for part, weights in parts(X, 1.0, np.sort(rows), step):
            estimator._add_rows(block, part, weights)
        blocks.append(block)
    names = getattr(estimator, "feature_names_in_", None)
    estimator._take_sketch(added(blocks), names)
    return blocks


def _halves(n_blocks, n_halves, rng):
    """Return distinct halves of the blocks, each one followed by the other blocks."""
    half, n_pairs = n_blocks // 2, n_halves // 2
    # The first block stands in the first half of each pair, so that no pair comes twice.
    n_all = comb(n_blocks - 1, half - 1)
    if n_all <= _LISTED:
        listed = list(combinations(range(1, n_blocks), half - 1))
        chosen = [listed[i] for i in rng.permutation(n_all)[:n_pairs]]
    else:
        drawn = {
            tuple(np.sort(1 + rng.permutation(n_blocks - 1)[: half - 1])) for _ in range(n_pairs)
        }
        chosen = sorted(drawn)
    halves = []
    for others in chosen:
        first = [0, *map(int, others)]
        halves += [first, sorted(set(range(n_blocks)) - set(first))]
    return halves


def _stability(estimator, blocks, halves, verbose):
    reference = estimator.eigenpairs_.eigenvectors
    r, told = reference.shape[1], Progress("support_stability", "halves", patience=_PATIENCE)
    found = []
    for i, half in enumerate(halves):
        # What a half cannot tell from noise is what is counted here, and no matter for a warning.
        rank = Rank(r, is_only_noise=True)
        found.append(estimator._recover(added([blocks[b] for b in half]), rank).eigenvectors)
        if verbose:
            told(i + 1, len(halves))
    features = np.unique(np.concatenate([one.indices for one in [reference, *found]]))
    features = features.astype(np.int64)
    loadings = _rows_at(reference, features)
    kept = np.empty((len(halves), r, len(features)), dtype=bool)
    similarities = np.empty((r, len(halves)))
    for i, vectors in enumerate(found):
        others = _rows_at(vectors, features)
        products = np.abs(loadings @ others.T)
        mine, theirs = linear_sum_assignment(products, maximize=True)
        similarities[:, i], kept[i] = products[mine, theirs], others[theirs] != 0.0
    names = getattr(estimator, "feature_names_in_", None)
    any_component = kept.any(axis=1)
    return SupportStability(
        features=features,
        frequencies=kept.mean(axis=0),
        overall_frequencies=any_component.mean(axis=0),
        loadings=loadings,
        similarities=similarities,
        n_features=estimator.n_features_in_,
        n_selected=float(any_component.sum(axis=1).mean()),
        feature_names=None if names is None else np.asarray(names)[features],
    )


def _rows_at(vectors, features):
    """Return sparse columns as dense rows at some features; nothing else is allocated."""
    place = np.searchsorted(features, vectors.indices)
    parts = vectors.data, place, vectors.indptr
    return sp.csc_array(parts, shape=(len(features), vectors.shape[1])).toarray().T
