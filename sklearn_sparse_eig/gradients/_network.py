"""Models as a sequence of layers, and the backward pass that gives per-sample factors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
import scipy.sparse as sp
from scipy.special import expit

from .._base.batches import in_batches
from .._base.compat import n_rows, take_rows
from .._base.rows import validate_array
from .._base.typed import Auto
from ._choices import LayerChoice, OutputName
from ._factors import LayerFactors
from ._gradients import Gradients
from ._loaders import chunks
from ._outline import Outline, outline_of_gradients
from ._outputs import scalar_output

# Each activation with its derivative, as a function of the activated value.
ACTIVATIONS: dict[str, tuple[Callable, Callable]] = {
    "identity": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(z, 0.0), lambda a: (a > 0.0).astype(a.dtype)),
    "tanh": (np.tanh, lambda a: 1.0 - a * a),
    "logistic": (expit, lambda a: a * (1.0 - a)),
}


class Network(ABC):
    """Base class of fitted models that give per-sample gradients, layer by layer.

    A subclass sets the attributes and implements :meth:`gradients` and :meth:`parameters`.

    Attributes
    ----------
    classes : ndarray or None
        Labels of the logits, or None for a regressor.
    layer_names : tuple of str
        Names of the layers from input to output. The last one is ``"head"``.
    layer_shapes : tuple of (int, int)
        Shape of the gradient of each layer, with the bias as the last row of the inputs.
    n_features : int or None
        Number of features of X, or None if it is not known.
    takes_any_shape : bool
        Whether X may have more than two axes.
    """

    classes: np.ndarray | None = None
    layer_names: tuple[str, ...]
    layer_shapes: tuple[tuple[int, int], ...]
    n_features: int | None = None
    takes_any_shape = False

    @abstractmethod
    def gradients(
        self, X: Any, output: OutputName | int = "max", layers: Sequence[int] | None = None
    ) -> Gradients:
        """Return the gradients of a scalar output at each row of X.

        Parameters
        ----------
        X : {ndarray, csr_array} of shape (n_samples, n_features)
        output : {"max", "logsumexp", "sum", "loss"} or int, default="max"
            The scalar function of the logits, or the index of a logit.
        layers : sequence of int, default=None
            Indices of layers in increasing order. None takes all layers.

        Returns
        -------
        Gradients
        """

    @property
    def order(self) -> tuple[int, ...]:
        """Indices of the layers in the order in which they are run, as far as it is known."""
        return tuple(range(len(self.layer_names)))

    def look_at(self, X: Any) -> None:
        """Look at a few rows before layers are chosen, as some models run them in any order."""
        return  # most have their layers in order

    def stream(
        self,
        X: Any,
        output: OutputName | int = "max",
        layers: Sequence[int] | None = None,
        batch_size: int | Auto = "auto",
    ) -> Iterator[tuple[int, Gradients]]:
        """Yield the gradients of X batch by batch; batches are halved if memory runs out.

        Parameters
        ----------
        X : anything with rows
            Or the rows of a DataLoader.
        output, layers
            Arguments of :meth:`gradients`.
        batch_size : int or "auto", default="auto"
            Number of rows at a time. "auto" takes as many as fit into a few megabytes.

        Yields
        ------
        start : int
            Index of the first row of the batch.
        gradients : Gradients
            With the rows, and labels where these come with them.
        """
        chosen = tuple(range(len(self.layer_names)) if layers is None else layers)

        def gradients(rows):
            return replace(self.gradients(rows, output, chosen), rows=rows)

        first = 0
        for part, labels in chunks(X):
            largest = 0
            floats = self.floats_per_row(chosen, take_rows(part, slice(0, 2)))
            for start, found in in_batches(gradients, part, batch_size, floats):
                if labels is not None:
                    own = labels[start : start + len(found.values)]
                    found = replace(found, labels=own)
                largest = max(largest, len(found.values))
                yield first + start, found
            first += n_rows(part)
            if largest < n_rows(part):
                batch_size = largest  # memory did not suffice for more, and would not again

    @abstractmethod
    def parameters(self) -> list[Any]:
        """Return a list of arrays; networks are the same where all of them are equal."""

    def floats_per_row(self, layers: Sequence[int], rows: Any) -> int:
        """Return how many numbers the gradients of one row take, given a few rows."""
        return 2 * sum(p + q for p, q in (self.layer_shapes[i] for i in layers))

    def outline(self, X: Any) -> Outline:
        """Return what the gradients of all layers consist of and take, from a few rows."""
        self.look_at(take_rows(X, slice(0, 2)))
        layers = self.gradients(X, "max").layers
        found = [
            outline_of_gradients(name, shape, layer, "closed form")
            for name, shape, layer in zip(self.layer_names, self.layer_shapes, layers, strict=True)
        ]
        return Outline(tuple(found), self.order)

    def head(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return weights (n_hidden, n_outputs) of the last layer, and its biases or None.

        One output f for two classes stands for the logits -f/2 and f/2.

        Raises
        ------
        TypeError
            If this class does not say.
        """
        raise TypeError(f"{type(self).__name__} does not implement head().")

    def features(self, X: Any) -> np.ndarray:
        """Return what enters the last layer, (n_samples, n_hidden); X itself in a linear model."""
        head = self.gradients(X, "max", self.select("head")).layers[0]
        inputs = cast(LayerFactors, head).inputs  # unless a subclass says otherwise, it is dense
        # Without the column of ones that a bias adds.
        return inputs[:, : len(self.head()[0])]

    def feature_network(self) -> "Network":
        """Return a network whose logits are the features, with the same layers before its head.

        Raises
        ------
        TypeError
            If this class does not say.
        """
        raise TypeError(f"{type(self).__name__} does not implement feature_network().")

    def is_same(self, other: "Network") -> bool:
        """Whether the other network has the same layers with the same parameters."""
        mine, theirs = self.parameters(), other.parameters()
        return len(mine) == len(theirs) and all(map(np.array_equal, mine, theirs))

    def select(self, params: LayerChoice | str) -> tuple[int, ...]:
        """Return the indices of layers.

        ``"all"``, ``"auto"`` and ``"dense"`` (all where nothing else is known), ``"head"``,
        ``"last_hidden"`` or names.

        Raises
        ------
        ValueError
            If there is no such layer, or none is asked for.
        """
        n = len(self.layer_names)
        if isinstance(params, str):
            ranges = {
                "all": range(n),
                "auto": range(n),
                "dense": range(n),
                "head": [n - 1],
                "last_hidden": [max(n - 2, 0)],
            }
            if params in ranges:
                return tuple(ranges[params])
            params = [params]
        unknown = [name for name in params if name not in self.layer_names]
        if unknown or not len(params):
            raise ValueError(
                f"params must be 'auto', 'all', 'dense', 'head', 'last_hidden' or names among "
                f"{', '.join(self.layer_names)}; got {params!r}."
            )
        return tuple(i for i, name in enumerate(self.layer_names) if name in params)


class DenseNetwork(Network):
    """Dense layers with one activation between them; without hidden layers, a linear model.

    Parameters
    ----------
    weights : list of ndarray of shape (p, q)
        Weights of each layer, inputs by outputs.
    biases : list of ndarray of shape (q,) or None
        Biases of each layer; None for a layer without a bias that was learned.
    activation : {"identity", "relu", "tanh", "logistic"}, default="identity"
        Activation after each layer but the last.
    classes : ndarray, default=None
        Labels of the logits. With two labels and a single output f, the logits are -f/2 and f/2,
        whose softmax is the logistic function of f; only f has parameters.
    """

    def __init__(
        self,
        weights: Sequence[np.ndarray],
        biases: Sequence[np.ndarray | None],
        activation: Literal["identity", "relu", "tanh", "logistic"] = "identity",
        classes: np.ndarray | None = None,
    ) -> None:
        self.weights = [np.asarray(w, dtype=np.float64) for w in weights]
        self.biases = [None if b is None else np.asarray(b, dtype=np.float64) for b in biases]
        self.activation = activation
        self.classes = classes
        self.n_features = len(self.weights[0])
        self.layer_names = (*(f"hidden{i}" for i in range(len(weights) - 1)), "head")
        self.layer_shapes = tuple(
            (len(w) + (b is not None), w.shape[1])
            for w, b in zip(self.weights, self.biases, strict=True)
        )
        binary = classes is not None and len(classes) == 2 and self.weights[-1].shape[1] == 1
        self._readout = np.array([[-0.5, 0.5]]) if binary else None

    def forward(self, X: Any) -> list[Any]:
        """Return what enters each layer, and at the end the outputs of the last one."""
        activate, _ = ACTIVATIONS[self.activation]
        passed = [X]
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = np.asarray(passed[-1] @ weight)
            z = z if bias is None else z + bias
            passed.append(z if i == len(self.weights) - 1 else activate(z))
        return passed

    def gradients(
        self, X: Any, output: OutputName | int = "max", layers: Sequence[int] | None = None
    ) -> Gradients:
        """Return the gradients of a scalar output at each row of X. Parameters as in Network."""
        X = validate_array(X, accept_sparse="csr", dtype=np.float64)
        if X.shape[1] != self.n_features:
            raise ValueError(f"X has {X.shape[1]} features, but the model has {self.n_features}.")
        layers = range(len(self.weights)) if layers is None else layers
        passed = self.forward(sp.csr_array(X) if sp.issparse(X) else X)
        logits = passed[-1] if self._readout is None else passed[-1] @ self._readout
        if output == "loss" and self.classes is None:
            raise ValueError(
                "output='loss' is the loss of a class, and this model is a regressor. Use another "
                "output, or a classifier."
            )
        if output == "sum" and self._readout is not None:
            raise ValueError(
                "output='sum' is zero everywhere for a model of two classes with one output. "
                "Use output='max' or 'logsumexp'."
            )
        values, derivatives = scalar_output(logits, output)
        _, derivative = ACTIVATIONS[self.activation]
        delta = derivatives if self._readout is None else derivatives @ self._readout.T
        factors, last = {}, len(self.weights) - 1
        for i in range(last, min(layers) - 1, -1):
            if i in layers:
                # At the head the largest logit has one derivative for each class.
                codes = logits.argmax(axis=1) if output == "max" and i == last else None
                factors[i] = LayerFactors(self._with_bias(i, passed[i]), delta, codes)
            if i > min(layers):
                delta = (delta @ self.weights[i].T) * derivative(passed[i])
        return Gradients(values, logits, tuple(factors[i] for i in layers))

    def _with_bias(self, i, inputs):
        if self.biases[i] is None:
            return inputs
        ones = np.ones((inputs.shape[0], 1))
        if sp.issparse(inputs):
            return sp.csr_array(sp.hstack([inputs, sp.csr_array(ones)], format="csr"))
        return np.hstack([inputs, ones])

    def head(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Return weights and biases of the last layer. Shapes as in Network."""
        return self.weights[-1], self.biases[-1]

    def feature_network(self) -> "Network":
        """Return the layers before the head, and the identity in its place."""
        identity = np.eye(len(self.weights[-1]))
        return DenseNetwork(
            [*self.weights[:-1], identity], [*self.biases[:-1], None], self.activation
        )

    def parameters(self) -> list[Any]:
        """Return weights and biases."""
        return [*self.weights, *(b for b in self.biases if b is not None)]
