"""Numbers of nonzeros judged once more, at the sparse vectors instead of at the spectrum."""

from dataclasses import replace

import numpy as np

from ._power_steps import PowerSteps, PowerStepsResult


def with_settled_sizes(steps: PowerSteps, found: PowerStepsResult) -> PowerStepsResult:
    """Return the sparse vectors of the features that stand out at the vectors found.

    The sizes come from eigenvectors in which close components mix, so that a component is given
    features of another. Its sparse vector mixes far less: levels are taken again along it, over all
    features, and the small problem is solved again on those that pass.

    Parameters
    ----------
    steps : PowerSteps
        Over an exact sketch of rows.
    found : PowerStepsResult

    Returns
    -------
    PowerStepsResult
        As found, but for ``ids`` and ``vectors``.
    """
    V = np.zeros((steps.sketch.n_features, found.vectors.shape[1]))
    V[found.ids] = found.vectors
    products, levels = steps.detection.products_and_levels(found.S, V)
    stands_out = np.abs(products) > levels
    stands_out[np.abs(V).argmax(axis=0), np.arange(V.shape[1])] = True
    ids = np.flatnonzero(stands_out.any(axis=1))
    sizes = stands_out.sum(axis=0)
    vectors = steps.solve_on(found.S.block(ids), sizes, V[ids])
    return replace(found, ids=ids, vectors=vectors)
