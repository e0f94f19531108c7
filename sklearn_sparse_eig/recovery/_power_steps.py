"""Power steps inside the sketch: from its spectrum to sparse vectors.

1. Remove the noise from the sketch (``_noise``) and take its leading subspace (``_spectrum``).
2. Decode the subspace jointly into a support (``decoders``), fit A on it (``_support_model``),
   multiply the sketch by the fitted vectors (a power step) and decode again, until it repeats.
3. Solve the sparse eigenproblem on the support (``_sparse_principal``), and repeat the power step
   with its vectors, which are cleaner still, until they capture no more variance.
"""

import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..sketching import MAX_CANDIDATES, ImplicitMatrix
from ._detection import Detection
from ._joint_solution import LARGE_SIZE, joint_principal_vectors, thresholded
from ._lifting import fit_on_support, orthonormal_range, restricted_least_squares
from ._loud_features import loud_features
from ._noise import IsotropicNoise, NoiseModel, NoNoise, make_noise_model
from ._nystrom import NystromModel
from ._polish import Polished, is_crowded, n_candidates, polish
from ._request import RecoveryRequest
from ._settling import CapturedVariance, captured_trace, explains_all, same_span
from ._sparse_principal import sparse_principal_vectors
from ._spectrum import leading_subspace
from ._support_model import SupportModel, fit_support_model, model_of_vectors
from .decoders._base import largest_rows, with_largest_rows

# The sparse power steps settle in one or two rounds where there is signal.
_MAX_SPARSE_ROUNDS = 10
# Strength of the weakest component (its largest entry over the detection level) from which sparse
# power steps gain nothing.
_CLEAR_STRENGTH = 4.0
# Features per component that an automatic support starts from, whether they stand out or not.
_SEEDS = 5
# Power steps on a support of fixed size, where an automatic one has to be started from it.
_START_STEPS = 5


@dataclass(frozen=True)
class PowerStepsResult:
    """What the steps hand on: the sketch less noise, the candidates, the model, the vectors.

    `wanders` where supports of nearly the same variance took turns to the end, and
    `rests_on_few_rows` where no feature of some component stands out by the rows themselves.
    `leading` are rows at the candidates of leading singular vectors, where these were computed.
    """

    S: ImplicitMatrix
    ids: np.ndarray
    model: SupportModel | None
    n_iter: int
    reason: str
    vectors: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))  # none as yet
    wanders: bool = False
    rests_on_few_rows: bool = False
    leading: np.ndarray | None = None


class PowerSteps:
    """The steps of the module docstring, over inputs fixed at the start.

    Parameters
    ----------
    sketch : EigenSketch
    request : RecoveryRequest
        Made for this sketch.
    noise : NoiseModel or None, default=None
        The model of the noise; None for the one that is asked for.

    Attributes
    ----------
    r : int
    sizes : ndarray of int, shape (r,), or None
    sign : float
        As in the request.
    S : ImplicitMatrix of shape (m, k)
        The sketch of A, or of -A.
    noise : NoiseModel
        The model of the noise, fitted along the way.
    only_reports_noise : bool
        Whether noise is estimated in the end, but not removed.
    models_noise : bool
        Whether there is a model of noise, removed or reported.
    detection : Detection
    """

    def __init__(
        self, sketch: Any, request: RecoveryRequest, noise: NoiseModel | None = None
    ) -> None:
        self.sketch = sketch
        self.r, self.sizes = request.n_components, request.sizes
        self.sign, self.which = request.sign, request.which
        self.max_iter, self.max_support = request.max_iter, request.max_support
        self.rng = request.rng
        self.start_vectors, self.pace = request.start_vectors, request.pace
        self.S = -sketch.operator() if self.sign < 0.0 else sketch.operator()
        self.by_index = sketch.measurement.keeps_features
        self.decoder = self._own_decoder(request)
        n_hypotheses = request.n_hypotheses
        if not self.by_index:
            n_hypotheses = n_hypotheses or self.decoder.n_hypotheses(sketch.measurement)
        self.noise = make_noise_model(request.noise, sketch) if noise is None else noise
        self.detection = Detection(sketch, self.S, n_hypotheses, request.product_variance)
        # On an exact matrix isotropic noise moves all eigenvalues alike and no eigenvector: there
        # is nothing to remove, and the variance of a component is meant to include it, as in PCA.
        self.only_reports_noise = sketch.is_exact and self.noise.is_isotropic
        self.models_noise = not self.noise.is_absent
        if self.only_reports_noise:
            self.noise = NoNoise()

    def _own_decoder(self, request):
        """Return the decoder for this recovery alone: the one given may be someone else's."""
        decoder = copy.copy(request.decoder)
        decoder.report = request.pace.sweep
        return decoder if self.by_index else decoder.attach(self.sketch, self.S)

    def solve(self) -> PowerStepsResult:
        """Return the sparse vectors, from the start that lets most of them stand out."""
        all_fit = self.sketch.is_exact and self.sketch.n_features <= MAX_CANDIDATES
        if all_fit and self.sizes is not None and self.noise.is_white:
            ids = np.arange(self.sketch.n_features)
            S = self.noise.correct(self.S)
            vectors = self.solve_on(np.asarray(S), self.sizes, self.start_vectors)
            return PowerStepsResult(S, ids, None, 0, "all features are candidates", vectors)
        found = self._sparse_steps(self.joint_steps(self.max_iter))
        if self.sizes is not None or self.sketch.is_exact:
            return found
        # A weak component may not stand out before it has been cleaned, nor be cleaned before it
        # stands out. A support of fixed size needs no threshold: a few sizes are tried as starts.
        missing = self._missing(found)
        for size in (8 * self.r, 32 * self.r, 128 * self.r):
            if missing == 0 or size > self.max_support:
                break
            start = self.joint_steps(_START_STEPS, min(size, self.sketch.n_features))
            other = self._sparse_steps(start)
            if self._missing(other) < missing:
                found, missing = other, self._missing(other)
        return found

    def noise_variance(self, model: SupportModel | None) -> float:
        """Return the variance of noise in a feature, on average, beside a model of the signal."""
        if not self.only_reports_noise or model is None:
            return self.noise.variance
        # The model holds all of the variance along its r directions, that of noise too: what is
        # left is the noise of N - r dimensions.
        n_features, rank = self.sketch.n_features, model.basis.shape[1]
        if rank >= n_features:
            return 0.0
        noise = IsotropicNoise(self.sketch)
        noise.correct(self.S, model)
        return noise.variance * n_features / (n_features - rank)

    def _missing(self, found):
        """Return how many vectors do not stand out from noise."""
        return int((self.strength(found) <= 1.0).sum())

    def strength(self, found: PowerStepsResult) -> np.ndarray:
        return self.detection.strength(found.S, found.ids, found.vectors, self.rest(found))

    def rest(self, found: PowerStepsResult) -> np.ndarray:
        """Return the rows at the candidates of what stands out beside the vectors, if anything."""
        if self.sketch.is_exact or found.model is None:
            return found.vectors[:, :0]
        return found.model.basis[:, self.r :]

    # ----------------------------------------------------------------------- joint power steps

    def joint_steps(self, max_iter: int, start_size: int | None = None) -> PowerStepsResult:
        """Decode, fit, multiply, until the leading subspace repeats.

        A `start_size` fixes the size of the joint support; otherwise it follows from the sizes
        asked for, or from what stands out.
        """
        S = self.noise.correct(self.S)
        W = leading_subspace(S, self.r, self._max_rank(), self.sketch.is_symmetric)
        variance, last, model = np.inf, None, None
        reason = "the bound on power steps was reached"
        steps = 0
        while steps < max_iter:
            self.pace.step(max_iter - steps + _MAX_SPARSE_ROUNDS)
            steps += 1
            size = start_size or self._joint_size(W.shape[1])
            if steps == 1 and self._supports_overlap():
                size = self.max_support  # before the first power step hardly anything stands out
            ids, Z = self._decode(S, W, size)
            model = fit_support_model(self.sketch, S, ids, Z, self.which)
            if self._lacks_wanted_sign(model) and 4 * W.shape[1] <= self.sketch.shape[1]:
                rank = 2 * W.shape[1]
                W = leading_subspace(S, rank, rank, self.sketch.is_symmetric)
                continue
            S = self.noise.correct(self.S, model)
            if explains_all(S, model):
                reason = "the model explains the sketch to rounding"
                break
            # Without noise the estimate of its variance falls to rounding, step by step, and the
            # vectors become exact with it; with noise it settles at once, or rises a little.
            settled = self.noise.variance >= (1.0 - 1e-3) * variance
            if settled and last is not None and same_span(last, model, self.r):
                reason = "the leading subspace repeats"
                break
            variance, last = self.noise.variance, model
            W = self._standing_directions(S, model)
        ids, leading = self._candidates(S, model)
        return PowerStepsResult(S, ids, model, steps, reason, leading=leading)

    def _standing_directions(self, S, model):
        """Return the directions of the leading r vectors and of further ones that show something.

        Dimensions of pure noise would blur the features of the weakest component.
        """
        keep = self.detection.model_strength(S, model) > 1.0
        keep[: self.r] = True
        return model.directions()[:, keep]

    def _max_rank(self):
        """Return how many dimensions beyond r may be followed, if they stand out."""
        if self.sketch.is_exact:
            return self.r  # the matrix on the support is known: nothing is gained by a rank
        room = self.sketch.shape[1] // 3
        if self.sizes is None:
            return max(self.r, min(2 * self.r + 10, room))
        return max(self.r, min(self.max_support // int(self.sizes.max()), room))

    def _lacks_wanted_sign(self, model):
        """Whether positive eigenvalues are wanted but the largest found are negative."""
        if self.which == "LM" or self.sketch.content == "rows":
            return False
        return (model.eigenvalues > 0).sum() < self.r

    def _decode(self, S, W, size):
        """Return the support seen by S W, and an orthonormal basis of its rows there."""
        B = S @ W
        Q = orthonormal_range(B)
        if Q.shape[1] == 0:  # the noise model explains everything: any features will do
            ids = np.arange(min(self.r, self.sketch.n_features))
            return ids, np.zeros((len(ids), 0))
        if not self.by_index:
            ids = self.decoder.decode(self.sketch.measurement, Q, size)
        elif size is None:
            # Without a number to aim for every feature may matter; only a sketch sets a limit.
            limit = len(B) if self.sketch.is_exact else self.max_support
            ids = self.detection.rows_above_noise(B, W, limit)
        else:
            ids = largest_rows(Q, size)
        if size is None:
            ids = self._extend(ids, Q, self._n_seeds(len(ids), Q.shape[1]))
        if len(ids) < self.r:
            ids = self._extend(ids, Q, self.r - len(ids))
        if len(ids) < self.r:  # the decoder names no more: any features will do
            others = np.setdiff1d(np.arange(2 * self.r), ids)
            ids = np.union1d(ids, others[: self.r - len(ids)])
        return ids, orthonormal_range(restricted_least_squares(self.sketch.measurement, ids, Q))

    def _n_seeds(self, n_found, rank):
        """Return how many features are added to those that stand out.

        What stands out belongs to the strong components at first. A weak one needs some features to
        start from, which the following steps confirm or drop.
        """
        if self.sizes is None:
            return max(n_found // 4, _SEEDS * rank)
        return max(n_found // 8, int(self.sizes.max()) - n_found)

    def _joint_size(self, rank):
        """Return the size of the joint support, None for what stands out."""
        if self.sizes is None:
            return None
        if self._supports_overlap():
            return None  # only what stands out tells how much
        # A may have fewer dimensions than vectors asked for, or show more.
        largest = np.sort(self.sizes)[::-1]
        total = int(largest[:rank].sum()) + max(rank - self.r, 0) * int(largest[0])
        return min(total, self.max_support, self.sketch.n_features)

    def _supports_overlap(self):
        """Whether supports of the sizes asked for would not fit the sketch side by side."""
        return not self.by_index and self.sizes is not None and self.sizes.sum() > self.max_support

    def _extend(self, ids, Q, extra):
        """Return the ids and those of the features that explain most of what they leave of Q."""
        measurement = self.sketch.measurement
        room = min(extra, max(self.max_support - len(ids), 0))
        if room <= 0:
            return ids
        if self.by_index:
            residual = Q.copy()
            residual[ids] = 0.0
            return np.union1d(ids, largest_rows(residual, room))
        return np.union1d(ids, self.decoder.strongest(fit_on_support(measurement, Q, ids), room)[0])

    # ---------------------------------------------------------------------- sparse power steps

    def _candidates(self, S, model):
        """Return the features among which the sparse problem may choose, and where they lead."""
        if self.sizes is None:
            return model.ids, None
        if self.by_index:
            # Rows of A on its leading directions, by which a feature of a strong component counts
            # for more than one of a weak component; all features are seen, whatever the steps left.
            W = leading_subspace(S, self.r, self.r, self.sketch.is_symmetric)
            images = S @ W
            ids = with_largest_rows(model.ids, images, self._n_candidates())
            return ids, images[ids]
        # The leading r directions alone: further ones would bring in features of their own.
        Q = orthonormal_range(S @ model.directions()[:, : self.r])
        return self._extend(model.ids, Q, 2 * int(self.sizes.sum()) - len(model.ids)), None

    def _n_candidates(self):
        """Return how many features the sparse problem may choose from, where these are at hand."""
        return min(n_candidates(int(self.sizes.sum())), self.max_support)

    def _sparse_steps(self, found):
        """Solve the sparse problem, multiply by its vectors, until they capture no more."""
        S, ids, model = found.S, found.ids, found.model
        if self.sketch.is_exact:
            polishes = self._can_polish() and len(ids) < len(S)
            if polishes and is_crowded(self.sizes, self._n_candidates()):
                vectors = thresholded(found.leading, self.sizes)
            else:
                vectors = self.solve_on(S.block(ids), self._sizes_of(S, model))
            found = replace(found, vectors=vectors)
            return found if not polishes else self._polished(found, S)
        if self.sees_all_features():
            # A model of all of A from one pass: what the sketch does not see, it lacks.
            noisy = self.noise.is_isotropic and not self._is_clear(S, model)
            loud = loud_features(self.sketch, int(self.sizes.sum())) if noisy else None
            nystrom = NystromModel(self.sketch, self.S, loud)
            if loud is not None:
                ids = nystrom.loudest(np.flatnonzero(loud), self._n_candidates())
            leading = found.leading if loud is None else None
            most = self._n_candidates()
            better = nystrom.improved(ids, leading, self.sizes, most, self.rng, noisy=noisy)
            found = replace(found, ids=better.ids, vectors=better.vectors)
            Z = orthonormal_range(found.vectors)
            model = fit_support_model(self.sketch, S, found.ids, Z, self.which)
            return replace(found, model=model)
        found, sizes = self._sparse_rounds(found)
        # The answer deserves a thorough search.
        return replace(found, vectors=self.solve_on(found.model.matrix(), sizes))

    def _sparse_rounds(self, found):
        """Return the features and the model on which to solve, and the sizes to solve with."""
        S, ids, W = found.S, found.ids, found.model.directions()
        captured, kept = CapturedVariance(), None
        rounds = 1 if self._is_clear(S, found.model) else _MAX_SPARSE_ROUNDS
        for left in range(rounds - 1, -1, -1):
            self.pace.step(left + 1)
            if self.sizes is None or not self.by_index:
                ids, Z, sizes = self._significant_rows(S, W)
            else:
                sizes = self.sizes
                Q = orthonormal_range(S @ W)
                Z = orthonormal_range(fit_on_support(self.sketch.measurement, Q, ids).Z)
            model = fit_support_model(self.sketch, S, ids, Z, self.which)
            S = self.noise.correct(self.S, model)
            if left == 0:
                break
            vectors = self.solve_on(model.matrix(), sizes, starts=1)
            if captured.add(captured_trace(model, vectors)):
                kept = replace(found, S=S, ids=ids, model=model, wanders=True), sizes
            if captured.repeats:
                break
            if captured.takes_turns:
                return kept
            rest = model.basis[:, self.r :]
            W = model_of_vectors(self.sketch, ids, np.hstack([vectors, rest])).directions()
        return replace(found, S=S, ids=ids, model=model), sizes

    def _can_polish(self):
        """Whether power steps over all features make sense: with a covariance, and given sizes."""
        return self.sizes is not None and self.sketch.content == "rows" and self.sign > 0.0

    def sees_all_features(self) -> bool:
        """Whether a model of all of A is at hand, and power steps over it make sense."""
        return (
            self.by_index and self._can_polish() and (self.sketch.is_exact or self.noise.is_white)
        )

    def _polished(self, found, S):
        """Return what power steps over all features make of the vectors found."""
        better = polish(
            lambda Q: S @ Q,
            lambda ids, vectors: self.solve_on(S.block(ids), self.sizes, vectors),
            Polished(found.ids, found.vectors),
            self.sizes,
            self.sketch.n_features,
            self._n_candidates(),
            products_are_cheap=True,
        )
        return replace(found, ids=better.ids, vectors=better.vectors)

    def _is_clear(self, S, model):
        """Whether there is no noise for sparse power steps to remove.

        They then only disturb: what is left out of a dense eigenvector to make it sparse is missed
        by the next step.
        """
        if self.sizes is None or not self.by_index:
            return False
        strength = self.detection.model_strength(S, model)[: self.r]
        return bool(strength.min(initial=np.inf) >= _CLEAR_STRENGTH)

    def _significant_rows(self, S, W):
        """Return the support seen by S W, a basis of its significant entries, and their number.

        The leading r columns keep only the entries above their level, or as many as asked for, so
        that idle features that came along in the joint decoding no longer blur the fit.
        """
        ids, _ = self._decode(S, W, self._joint_size(W.shape[1]))
        entries, levels = self.detection.entries_and_levels(S, ids, W[:, : self.r])
        size = np.abs(entries)
        if self.sizes is None:
            significant = size > levels
            if size.size:
                significant[size.argmax(axis=0), np.arange(size.shape[1])] = True
        else:
            rank = np.argsort(np.argsort(-size, axis=0, kind="stable"), axis=0, kind="stable")
            significant = rank < self.sizes[: size.shape[1]]
        rest = restricted_least_squares(self.sketch.measurement, ids, S @ W[:, self.r :])
        rows = np.hstack([np.where(significant, entries, 0.0), rest])
        sizes = self.sizes
        if sizes is None:
            sizes = self._padded(significant.sum(axis=0))
        return ids, orthonormal_range(rows), sizes

    def _sizes_of(self, S, model):
        if self.sizes is not None:
            return self.sizes
        W = model.directions()[:, : self.r]
        entries, levels = self.detection.entries_and_levels(S, model.ids, W)
        return self._padded((np.abs(entries) > levels).sum(axis=0))

    def _padded(self, sizes):
        """Return a size for each of the r vectors, 1 for those that A has no rank for."""
        out = np.ones(self.r, dtype=np.int64)
        out[: len(sizes)] = np.maximum(sizes, 1)
        return out

    def solve_on(self, A, sizes, start_vectors=None, starts=3):
        joint = starts > 1 and self._can_polish() and self.noise.is_white
        if np.max(sizes) > LARGE_SIZE:
            starts = 1
        options = {"starts": starts, "start_vectors": start_vectors, "rng": self.rng}
        if joint:
            return joint_principal_vectors(A, sizes, **options)
        found = sparse_principal_vectors(A, self.r, sizes, which=self.which, **options)
        return found.vectors
