"""Per-sample gradients as features: the estimator."""

from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._base.batches import in_batches
from .._base.compat import Interval, StrOptions, n_rows, take_rows
from .._base.fitting import fitting
from .._base.progress import listening, tell
from .._base.typed import (
    ArrayLike,
    Auto,
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    InputLike,
    RandomSeed,
    TransformerMixin,
)
from ._choices import LayerChoice, OutputName
from ._loaders import chunks
from ._make import make_network
from ._model import fit_model, is_ready
from ._outputs import OUTPUTS
from ._rows import check_rows

# Bytes of the dense result (16 GiB) beyond which it is refused, not tried.
_LARGEST_DENSE = 2**34


class GradientFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Gradient of a model's output with respect to its parameters, as features of each sample.

    The inner product of two such rows is the empirical neural tangent kernel. Rows are dense, with
    one column for each parameter, so this is for small models or few samples.
    :class:`GradPCADetector` works on the same gradients without forming such rows.

    Parameters
    ----------
    estimator : estimator or None, default=None
        A linear model, an ``MLPClassifier`` or ``MLPRegressor``, a pipeline that ends in one of
        these, or a torch module in evaluation mode that returns logits. A fitted estimator is used
        as it is; inside a ``FrozenEstimator`` it stays fitted when it is cloned, for example by a
        grid search. Otherwise ``fit`` fits a copy to y, or a classifier to the groups of k-means if
        there is no y. None is a small ``MLPClassifier`` on standardised features.
    output : {"max", "logsumexp", "sum", "loss"}, default="max"
        The scalar to differentiate: the largest logit, the logarithm of the sum of exponentials
        of the logits, their sum, or the log-loss of the predicted class. A model of two classes
        with a single decision value f has the logits -f/2 and f/2.
    params : {"all", "auto", "dense", "head", "last_hidden"} or sequence of str, default="all"
        Layers whose parameters count: all layers; all but those of a torch module that are frozen
        (``requires_grad=False``); the dense ones, which for torch modules with
        hidden ``Linear`` layers is cheaper and as good (see ``doc/gradpca.md``); the last one; the
        one before it (the last one if there is no other); or layers by name, such as ``"hidden0"``,
        ``"hidden1"``, ..., ``"head"``. The name of a torch module stands for all modules inside it.
    batch_size : int or "auto", default="auto"
        Number of rows at a time.
    random_state : int, RandomState instance or None, default=None
        Seed for the training of the default model.
    verbose : int, default=0
        1 reports how many rows ``transform`` has done, once it has taken five seconds.

    Attributes
    ----------
    estimator_ : estimator
        The fitted model.
    n_parameters_ : int
        Number of parameters, which is the number of columns.
    n_features_in_ : int
        Number of features seen during the fit.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X had names that are all strings.

    See Also
    --------
    GradPCADetector : Out-of-distribution detection on these gradients.

    Notes
    -----
    Columns are ordered by layer. Within a layer come first the weights, inputs by outputs, row by
    row (the layout of ``MLPClassifier.coefs_`` and of ``coef_.T``), and then the biases. Parameters
    that were not learned, such as the intercept with ``fit_intercept=False``, have no column. The
    inputs of a convolution are the entries of a patch. At a kink of the activation, or between
    equal logits, the derivative is one-sided. Time and memory are O(n P) for P parameters.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn_sparse_eig import GradientFeatures
    >>> X, y = load_iris(return_X_y=True)
    >>> model = LogisticRegression(max_iter=1000).fit(X, y)
    >>> gradients = GradientFeatures(model).fit_transform(X)
    >>> gradients.shape  # 4 weights and an intercept for each of 3 classes
    (150, 15)
    """

    estimator_: Any
    n_parameters_: int

    _parameter_constraints: dict = {
        "estimator": "no_validation",
        "output": [StrOptions(set(OUTPUTS))],
        "params": [str, "array-like"],
        "batch_size": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        estimator: Any = None,
        *,
        output: OutputName = "max",
        params: LayerChoice = "all",
        batch_size: int | Auto = "auto",
        random_state: RandomSeed = None,
        verbose: int = 0,
    ) -> None:
        self.estimator = estimator
        self.output = output
        self.params = params
        self.batch_size = batch_size
        self.random_state = random_state
        self.verbose = verbose

    @fitting(prefer_skip_nested_validation=False)
    def fit(self, X: InputLike, y: ArrayLike | None = None) -> Self:
        """Fit the estimator, unless it is fitted already.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Samples. A pipeline may be given whatever it accepts; a torch module also arrays with
            more axes, a dict of arrays that are passed by name, a ``DataLoader`` or a ``Dataset``.
        y : array-like of shape (n_samples,), default=None
            Targets. They are needed by regressors and pipelines that are not fitted.

        Returns
        -------
        self : GradientFeatures

        Raises
        ------
        TypeError
            If the gradients of the estimator are not known.
        ValueError
            If the layers of ``params`` do not exist, if X has another number of features than the
            model, or if y is needed and missing.
        """
        X = check_rows(self, X, reset=True)
        if is_ready(self.estimator):
            self.estimator_ = self.estimator
        else:
            rng = check_random_state(self.random_state)
            self.estimator_ = fit_model(self.estimator, X, y, rng)
        self._network = make_network(self.estimator_)
        n_features = self._network.n_features
        if n_features is not None and X.shape[1] != n_features:
            raise ValueError(f"X has {X.shape[1]} features, but the model has {n_features}.")
        self._network.look_at(take_rows(X, slice(0, 2)))
        self._layers = self._network.select(self.params)
        shapes = [self._network.layer_shapes[i] for i in self._layers]
        self.n_parameters_ = sum(p * q for p, q in shapes)
        return self

    def transform(self, X: InputLike) -> np.ndarray:
        """Return the gradient at each sample as a row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_parameters_)

        Raises
        ------
        ValueError
            If the result would take more than 16 GiB.
        """
        check_is_fitted(self)
        X = check_rows(self, X, reset=False, keeps_order=True)
        shape = (n_rows(X), self.n_parameters_)
        if 8 * shape[0] * shape[1] > _LARGEST_DENSE:
            raise ValueError(
                f"Dense gradients of shape {shape} would take {8.0 * shape[0] * shape[1]:.3g} "
                "bytes. Give fewer rows, choose fewer layers by params, or use "
                "gradients.make_network, which keeps them as factors."
            )
        out, first = np.empty(shape), 0
        with listening(type(self).__name__, self.verbose):
            for part, _ in chunks(X):
                batches = in_batches(self._dense, part, self.batch_size, self.n_parameters_)
                for start, rows in batches:
                    low = first + start
                    out[low : low + len(rows)] = rows
                    tell("gradients", "rows", low + len(rows), len(out))
                first += n_rows(part)
        return out

    def _dense(self, X: Any) -> np.ndarray:
        return self._network.gradients(X, self.output, self._layers).dense()

    @property
    def _n_features_out(self) -> int:
        return self.n_parameters_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
