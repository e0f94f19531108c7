"""Every point of a grid of numbers and sizes on every split, from sketches that are shared."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from sklearn.model_selection import ParameterGrid

from .._base.messages import Progress
from ..recovery import find_candidates, wider_candidates
from ..sketching import MAX_CANDIDATES, EigenSketch, most_candidates
from ._estimator import SketchedSparsePCA
from ._folds import Folds, Indices, Split, parts
from ._second_reading import SecondReading
from ._shared_path import FeatureMoments, SharedPath, held_out_likelihood

# What a sketch is sized for where a number is left open, as in SketchedSparsePCA.
_OPEN_COMPONENTS, _OPEN_NONZEROS = 10, 50
# Seconds before the first report.
_PATIENCE = 5.0


class GridOfSketches:
    """All points of a grid on all splits of some rows.

    Parameters
    ----------
    params : dict
        Parameters of :class:`SketchedSparsePCA`, of which ``n_components`` and ``n_nonzero_coefs``
        are the numbers to try.
    features : dict
        Attributes of a fitted estimator that tell the number and the names of features.
    X : ndarray or csr_array
    weights : float or ndarray of shape (n_samples,)

    Attributes
    ----------
    grid : list of dict
        The points, in the order of ``ParameterGrid``.
    scout : SketchedSparsePCA
        The largest of all, which decides the size of the sketch.
    """

    def __init__(
        self, params: dict[str, Any], features: dict[str, Any], X: Any, weights: Any
    ) -> None:
        self.X, self.weights, self.verbose = X, weights, params["verbose"]
        self._params = params | {"verbose": max(self.verbose - 1, 0)}
        self._features = features
        most, rules = X.shape[1], {"auto", "plateau"}
        self.counts = numbers_to_try("n_components", params["n_components"], most, rules)
        self.sizes = numbers_to_try("n_nonzero_coefs", params["n_nonzero_coefs"], most, {"auto"})
        self.grid = list(
            ParameterGrid({"n_components": self.counts, "n_nonzero_coefs": self.sizes})
        )
        self.scout = self._estimator(
            n_components=max(_OPEN_COMPONENTS if isinstance(r, str) else r for r in self.counts),
            n_nonzero_coefs=max(_OPEN_NONZEROS if isinstance(s, str) else s for s in self.sizes),
        )

    def _estimator(self, **params: Any) -> SketchedSparsePCA:
        estimator = SketchedSparsePCA(**(self._params | params))
        vars(estimator).update(self._features)
        return estimator

    def scores(self, splits: list[Split]) -> tuple[np.ndarray, EigenSketch]:
        """Return the likelihoods by split and point of the grid, and the sketch of all rows."""
        template = self.scout._make_sketch(self.X.shape[1])

        def sketch(rows):
            new = template.empty()
            for part, weights in self._parts(rows):
                self.scout._add_rows(new, part, weights)
            return new

        folds = Folds(splits, sketch, self.X.shape[0])
        told = Progress("SketchedSparsePCACV", "splits", "cross-validation", patience=_PATIENCE)
        work = self._shared if self._can_share(template) else self._one_by_one
        found = []
        for i, rows in enumerate(splits):
            training, held_out = folds.training(i), folds.held_out(i)
            training.check_variance()
            found.append(work(training, held_out, *rows))
            if self.verbose:
                told(i + 1, len(splits))
        return np.array(found), folds.all_rows()

    def fitted(self, params: dict[str, Any], sketch: EigenSketch) -> SketchedSparsePCA:
        """Return the estimator of some parameters, fitted to all rows, whose sketch is given."""
        best = self._estimator(**params)
        reading = self._reading(np.arange(self.X.shape[0]), sketch)
        best._take_fit(sketch, best._recover_all(sketch, reading))
        return best

    def _parts(self, rows: Indices) -> Iterator[tuple[Any, Any]]:
        step = self.scout.batch_size
        if isinstance(step, str):
            step = self.scout._batch_rows(self.X)
        return parts(self.X, self.weights, rows, step)

    def _reading(self, rows: Indices, sketch: EigenSketch) -> SecondReading:
        scout = self.scout
        return SecondReading(
            lambda: self._parts(rows),
            self.X.shape[1],
            scout.center,
            scout._add_rows,
            sketch.row_buffer,
        )

    def _can_share(self, template: EigenSketch) -> bool:
        """Whether all points of the grid follow from one search, and rows from their moments."""
        numbers, scout = [*self.counts, *self.sizes], self.scout
        return (
            not any(isinstance(number, str) for number in numbers)
            and scout.noise != "diagonal"
            and not scout.positive
            and (template.is_exact or (scout.refine != "sketch" and template.tracks_moments))
        )

    def _shared(self, training, held_out, training_rows, held_out_rows):
        """Return the likelihood of each point of the grid, all of one search for each size."""
        path = self._path(training, held_out, training_rows, held_out_rows)
        return path.likelihoods(self.counts, self.sizes)

    def _path(self, training, held_out, training_rows, held_out_rows):
        """Return all that the points of the grid need of one split."""
        sizes = np.full(self.scout.n_components, self.scout.n_nonzero_coefs)
        most = most_candidates(self.scout.memory_budget)
        if training.is_exact:
            ids = np.arange(training.n_features)
            if len(ids) > MAX_CANDIDATES:
                ids = self._find_candidates(training)
                S = training.operator()
                ids = wider_candidates(S.block, S.__matmul__, ids, sizes, len(S), most)
            A, test = (sketch.operator().block(ids) for sketch in (training, held_out))
        else:
            readings = [self._reading(rows, training) for rows in (training_rows, held_out_rows)]
            ids = self._find_candidates(training)
            ids = readings[0].wider_candidates(ids, sizes, most)
            A, test = (reading.covariance(ids).matrix() for reading in readings)
        return SharedPath(ids, A, test, FeatureMoments.of(training), FeatureMoments.of(held_out))

    def _find_candidates(self, sketch):
        """Return the features that the sketch shows for the largest point of the grid."""
        return find_candidates(sketch, self.scout.n_components, **self.scout._recovery_options())[0]

    def _one_by_one(self, training, held_out, training_rows, held_out_rows):
        """Return the likelihood of each point of the grid, each recovered from the sketch."""
        reading, found = self._reading(training_rows, training), []
        for point in self.grid:
            estimator = self._estimator(**point)
            estimator._take_fit(training, estimator._recover_all(training, reading))
            found.append(self._likelihood(estimator, held_out, held_out_rows))
        return found

    def _likelihood(self, estimator, held_out, rows):
        if not held_out.is_exact:
            some = list(self._parts(rows))
            scores = np.concatenate([estimator.score_samples(part) for part, _ in some])
            return float(np.average(scores, weights=_each(some)))
        model = estimator._gaussian_model()
        mean = FeatureMoments.of(estimator.sketch_).mean
        block = held_out.operator().block(model.support)
        return held_out_likelihood(model, FeatureMoments.of(held_out), mean, block)


def _each(parts):
    """Return the weights of parts of rows as one array."""
    return np.concatenate([np.broadcast_to(weights, part.shape[0]) for part, weights in parts])


def numbers_to_try(name: str, given: Any, most: int, rules: set[str]) -> list[Any]:
    """Return the distinct numbers to try, none beyond `most`, or raise."""
    found: list[Any] = []
    for value in np.asarray(given, dtype=object).ravel().tolist():
        is_rule = isinstance(value, str) and value in rules
        is_count = isinstance(value, int | np.integer) and not isinstance(value, bool) and value > 0
        if not (is_rule or is_count):
            listed = " or ".join(map(repr, sorted(rules)))
            raise ValueError(
                f"{name} must be positive integers or {listed}, those to be tried, got {given!r}."
            )
        value = value if is_rule else min(int(value), most)
        if value not in found:
            found.append(value)
    if not found:
        raise ValueError(f"{name} must hold a number to be tried at least, got {given!r}.")
    return found
