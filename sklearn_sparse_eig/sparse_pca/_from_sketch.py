"""From a sketch, merged somewhere else, back to a transformer."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from ..sketching import EigenSketch


class FromSketchMixin:
    """The way in for sketches, beside that for rows."""

    # Of the estimator that this is mixed into.
    _validate_params: Callable[[], None]
    _state_changed: Callable[[], None]

    @classmethod
    def from_sketch(
        cls, sketch: EigenSketch, *, feature_names: Sequence[str] | None = None, **params: Any
    ) -> Self:
        """Return a fitted estimator that has seen the rows of a sketch.

        It is as if its ``partial_fit`` had made the sketch: components are computed when they are
        first accessed, and more rows, or shards, can be added.

        Parameters
        ----------
        sketch : EigenSketch
            A sketch of rows, as workers have made and merged it. It is copied.
        feature_names : sequence of str, default=None
            Names of the features, which become ``feature_names_in_``.
        **params : dict
            Parameters of the estimator, such as ``n_components``. ``center`` is that of the sketch.

        Returns
        -------
        estimator : SketchedSparsePCA

        Raises
        ------
        TypeError
            If `sketch` is no sketch.
        ValueError
            If the sketch is empty or holds the entries of a matrix, or if parameters or names do
            not fit it.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(200, 1)) * (np.arange(9) < 2) + 0.1 * rng.normal(size=(200, 9))
        >>> def sketch(rows):
        ...     return EigenSketch(9, n_measurements=None, measurement="identity").update(rows)
        >>> pca = SketchedSparsePCA.from_sketch(
        ...     sketch(X[:90]) + sketch(X[90:]), feature_names=list("abcdefghi"), n_components=1
        ... )
        >>> sorted(name for name, loading in pca.describe()[0]), pca.n_samples_seen_
        (['a', 'b'], 200)
        """
        if not hasattr(sketch, "effective_samples"):
            raise TypeError(
                f"An EigenSketch is needed, got {type(sketch).__name__}: EigenSketch.load and "
                "EigenSketch.from_bytes read one."
            )
        if sketch.content != "rows":
            held = "is empty" if sketch.content is None else "holds the entries of a matrix"
            raise ValueError(
                f"A sketch of rows is needed, but this one {held}. Use sketch.recover for the "
                "eigenvectors of a matrix."
            )
        if params.setdefault("center", sketch.center) != sketch.center:
            raise ValueError(
                f"The sketch was made with center={sketch.center}, got center={params['center']}."
            )
        estimator = cls(**params)
        estimator._validate_params()
        estimator._take_sketch(sketch.copy(), feature_names)
        return estimator

    def _take_sketch(self, sketch: EigenSketch, feature_names: Sequence[str] | None) -> None:
        self.n_features_in_ = sketch.n_features
        if feature_names is not None:
            names = np.asarray(feature_names, dtype=object)
            if names.shape != (sketch.n_features,) or not all(isinstance(n, str) for n in names):
                raise ValueError(
                    f"feature_names must be {sketch.n_features} strings, one for each feature of "
                    f"the sketch, got an array of shape {names.shape}."
                )
            self.feature_names_in_ = names
        self.sketch_ = sketch
        self._dense = False
        self._state_changed()
