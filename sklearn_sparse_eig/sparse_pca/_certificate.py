"""How far components are from the best of as many nonzeros, where the covariance itself is kept."""

from dataclasses import replace

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .._base.locks import locked
from .._base.progress import listening
from .._base.threads import limit_threads
from ..recovery import SparseEigenpairs, upper_bounds
from ._recovered import RecoveredMixin


class CertificateMixin(RecoveredMixin):
    """The method of an estimator that bounds what any component could reach."""

    def certify(self) -> SparseEigenpairs:
        """Bound the variance that any component of as many nonzeros could have.

        Only where ``sketch_`` keeps the exact covariance A of the rows. It does up to 3800 features
        at the default ``memory_budget``; ``range_size`` as large as the number N of features keeps
        it whatever the budget, in 8 N^2 bytes. The bound takes seconds, is computed once for the
        rows seen, and from then on ``eigenpairs_`` has it too.

        Returns
        -------
        SparseEigenpairs
            ``eigenpairs_`` with ``upper_bound``, which ``v @ A @ v`` exceeds for no unit vector v
            of as many nonzeros, and ``optimality_gap``, the distance of ``eigenvalues`` to it as a
            share.

        Raises
        ------
        NotFittedError
            If no rows, or too few, have been seen.
        ValueError
            If the sketch does not keep the exact covariance.

        Notes
        -----
        It is a statement on the covariance of the rows seen, not on that of the population. The
        bound is over all features and one for all components of the same size, so it speaks of the
        first: later ones add to those before them, and fall short of the bound for that too. A gap
        below 1e-9 proves that no component of this size has more variance; a larger one proves
        nothing, for the bound is seldom attained where many features are weakly correlated.
        Components are not changed: ``sparse_eigsh(certificate=True)`` returns a better vector
        where the search meets one. With
        ``noise="diagonal"`` components are not meant to have the largest variance, and a gap is
        not a fault. See ``doc/sparse_eigenproblem.md``.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_sparse_eig import SketchedSparsePCA
        >>> X = np.random.default_rng(0).normal(size=(200, 30))
        >>> X[:, :4] += 3 * X[:, [0]]
        >>> pca = SketchedSparsePCA(1, n_nonzero_coefs=4, random_state=0).fit(X)
        >>> bool(pca.certify().optimality_gap[0] < 1e-9)  # no four features vary more
        True
        """
        check_is_fitted(self)
        with locked(self), locked(self.sketch_):
            pairs = self.eigenpairs_
            if pairs.upper_bound is not None:
                return pairs
            if not self.sketch_.is_exact:
                raise ValueError(
                    f"A bound needs the covariance itself, of which the sketch of "
                    f"{self.n_features_in_} features keeps a part. With sketch, measurement and "
                    "range_size at their defaults it is kept up to 4096 features, where "
                    "memory_budget is large enough, and in any case with range_size as large as "
                    "the number of features; or give the covariance to "
                    "sparse_eigsh(certificate=True)."
                )
            told = listening(type(self).__name__, self.verbose)
            with limit_threads(self._n_threads()), told:
                sizes = self._allowed_sizes(pairs)
                bounds, _ = upper_bounds(self.sketch_.matrix(), sizes, pairs.eigenvalues)
            pairs = replace(pairs, upper_bound=bounds)
            self._valid_cache()["eigenpairs"] = pairs
            return pairs

    def _allowed_sizes(self, pairs: SparseEigenpairs) -> np.ndarray:
        """Return the nonzeros that each component may have: as asked for, else those it has."""
        sizes = self._wanted_sizes()
        if sizes is None:
            return np.diff(pairs.eigenvectors.indptr)
        return np.broadcast_to(sizes, (pairs.eigenvectors.shape[1],))
