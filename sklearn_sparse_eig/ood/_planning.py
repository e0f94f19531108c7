"""How a detector chooses its layers, and tells beforehand what they will take."""

import warnings
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from .._base.compat import take_rows
from .._base.typed import ArrayLike, InputLike
from ..gradients import PRECOMPUTED_BACKENDS, LayerChoice, Network, OutputName, to_array
from ._budget import Budget, affordable
from ._build import KnownRequest, Look, build
from ._evidence import FeatureReader
from ._input import ready_model
from ._plan import DetectorPlan, make_plan
from .subspaces import is_one_hot

# Rows from which a plan is made.
_ROWS = 16


class PlanningMixin:
    """``plan``, and the choice of layers by ``params`` and ``budget``."""

    estimator: Any
    backend: str
    output: OutputName
    params: LayerChoice
    budget: float | str | None
    contamination: float
    verbose: int
    _check_input: Callable[..., tuple[Any, np.ndarray | None]]
    _make_network: Callable[[Any, Any], Network]
    _known_request: Callable[[], KnownRequest]

    def plan(
        self,
        X: InputLike,
        y: ArrayLike | None = None,
        *,
        n_rows: int | None = None,
        as_frame: bool = False,
    ) -> Any:
        """Return what this detector will take, layer by layer, without fitting anything.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or as in :meth:`fit`
            A few rows; the first 16 are looked at, in one forward pass.
        y : array-like, default=None
            Labels of all classes that will come, one or more of each. None stands for all that the
            model knows.
        n_rows : int, default=None
            Number of rows that will be fitted. None stands for very many.
        as_frame : bool, default=False
            Whether to return the table alone, as a pandas DataFrame.

        Returns
        -------
        DetectorPlan or DataFrame
            With the attributes ``layers``, ``bytes`` (of the state), ``fit`` and ``score``
            (forward passes for a row, in multiplications with parameters), ``forward`` and
            ``subspace``. Printed, it is a table.

        Raises
        ------
        ValueError
            If the estimator has to be trained first, or there is none.
        """
        if self.backend in PRECOMPUTED_BACKENDS:
            raise ValueError(f"There is no plan for backend={self.backend!r}, which has no model.")
        # Checked by a copy, for this leaves the detector as it is.
        rows, _ = copy(self)._check_input(X, None, reset=True)
        model = ready_model(self.estimator, self.backend, rows, None)
        model = vars(self).get("estimator_") if model is None else model
        if model is None:
            raise ValueError(
                "A plan needs a model that is trained: give a fitted estimator or a torch module, "
                "or fit the detector."
            )
        network = self._make_network(model, rows)
        n_present = None if y is None else len(np.unique(to_array(y)))
        _, plan = self._choose(network, rows, n_present, n_rows, with_plan=True)
        return plan.to_frame() if as_frame else plan

    def _choose(
        self,
        network: Network,
        X: Any,
        n_present: int | None,
        n_rows: int | None,
        with_plan: bool = False,
    ) -> tuple[Sequence[int], Any]:
        """Return the indices of the layers, and the plan for them if one was made."""
        budget, chosen = Budget.of(self.budget), network.select(self.params)
        if (budget is None and not with_plan) or self.backend in PRECOMPUTED_BACKENDS:
            return chosen, None
        rows = take_rows(X, slice(0, _ROWS))
        outline, head = network.outline(rows), network.select("head")[0]
        found = network.gradients(rows, self.output, [head])
        one_hot = {head} if is_one_hot(found.layers[0]) else set()
        n_features = FeatureReader.of(network, rows).n_features or found.logits.shape[1]

        def make(indices: Sequence[int]) -> DetectorPlan:
            own = [place for place, i in enumerate(indices) if i in one_hot]
            forms = [outline.layers[i].form != "factors" for i in indices]
            look = Look(own, [place for place, explicit in enumerate(forms) if explicit])
            # Neither drawn from nor told of: this is no fit.
            request = replace(self._known_request(), random_state=0, verbose=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                state, wanted = build(
                    request,
                    len(network.classes if network.classes is not None else ()),
                    tuple(network.layer_shapes[i] for i in indices),
                    n_present,
                    lambda: look,
                )
            return make_plan(
                outline, indices, state, wanted, own, self.contamination, n_features, n_rows
            )

        if budget is not None and isinstance(self.params, str) and self.params == "auto":
            chosen = affordable(outline, chosen, head, make, budget)
        plan = make(chosen)
        if budget is not None:
            budget.warn(plan)
        return chosen, plan
