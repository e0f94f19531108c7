"""A refit of a learner that fails, or is interrupted at any line, leaves the earlier fit whole."""

import pickle
import warnings
from functools import partial

import numpy as np
import pytest

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    DiagonalNetworkRegressor,
    DiagonalNetworkRegressorCV,
    EigenSketch,
    LowRankRegressor,
    SeedConfidenceFilter,
    WeightedFourierRegressor,
)
from sklearn_sparse_eig.datasets import make_gaussian_mixture_diffusion

N_INTERRUPTS = 12

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 8)) + 0.1 * rng.normal(size=(30, 8))
A, B = rng.normal(size=(12, 20)), rng.normal(size=(12, 24))
y = A[:, 3] - 2 * A[:, 7]
x = np.arange(16.0)[:, None] / 16
toy = make_gaussian_mixture_diffusion(300, 4, 3, n_steps=10, random_state=0)


def sketch_of(rows):
    size = rows.shape[1]
    sketch = EigenSketch(size, n_measurements=size, measurement="identity", range_size="identity")
    return sketch.update(rows)


# Per method: the first fit, what changes it, and what is refused late or early.
CASES = {
    "factorization": (
        lambda: DeepMatrixFactorization().fit(X),
        lambda m: m.fit(2 * X[:, :6]),
        lambda m: m.fit(1e-9 * X[:, :6]),
    ),
    "low rank": (
        lambda: LowRankRegressor(rank=1).fit(A, y),
        lambda m: m.fit(2 * A[:, :18], y),
        lambda m: m.fit(A[:, :18], np.full(12, np.nan)),
    ),
    "covariance fit": (
        lambda: DeepFactorizationCovariance().fit(X),
        lambda m: m.fit(2 * X[:, :6]),
        lambda m: m.fit(1e-9 * X[:, :6]),
    ),
    "covariance partial_fit": (
        lambda: DeepFactorizationCovariance().fit(X),
        lambda m: m.partial_fit(X + 1),
        lambda m: m.partial_fit(X[:, :6]),
    ),
    "covariance fit_sketch": (
        lambda: DeepFactorizationCovariance().fit(X),
        lambda m: m.fit_sketch(sketch_of(X[:, :6])),
        lambda m: m.fit_sketch(sketch_of(1e-9 * X[:, :6])),
    ),
    "covariance merge": (
        lambda: DeepFactorizationCovariance().fit(X),
        lambda m: m.merge(DeepFactorizationCovariance().fit(X + 1)),
        lambda m: m.merge(DeepFactorizationCovariance().fit(X[:, :6])),
    ),
    "network limit": (
        lambda: DiagonalNetworkRegressor(solver="limit").fit(A, y),
        lambda m: m.fit(B, y),
        lambda m: m.fit(np.vstack([B, B]), rng.normal(size=24)),
    ),
    "network cv": (
        lambda: DiagonalNetworkRegressorCV([3], [0.1], stopping_times=[2.0], cv=2).fit(A, y),
        lambda m: m.fit(B, y),
        lambda m: m.set_params(stopping_times=[-1.0]).fit(B, y),
    ),
    "network partial_fit": (
        lambda: DiagonalNetworkRegressor(solver="gd", fit_intercept=False).partial_fit(A, y),
        lambda m: m.partial_fit(A[:5], y[:5]),
        lambda m: m.set_params(learning_rate=1e300).partial_fit(1e9 * A, y),
    ),
    "fourier": (
        lambda: WeightedFourierRegressor().fit(x, x[:, 0] ** 2),
        lambda m: m.fit(np.hstack([x, x[::-1] ** 2]), x[:, 0]),
        lambda m: m.set_params(alpha=0.0).fit(np.vstack([x, x]), np.arange(32.0)),
    ),
    "seeds": (
        lambda: SeedConfidenceFilter(toy.generator, toy.classifier, n_bins=2).fit(toy.seeds),
        lambda m: m.fit(toy.seeds[:150]),
        lambda m: m.set_params(threshold=1.0).fit(toy.seeds[:30]),
    ),
}


def content(model):
    """Return the fitted attributes, private ones too, as bytes."""
    parameters = model.get_params(deep=False)
    return {n: pickle.dumps(v) for n, v in vars(model).items() if n not in parameters}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_a_refused_refit_leaves_the_fit(name):
    make, change, refuse = CASES[name]
    model = make()
    before = content(model)
    with pytest.raises(ValueError):
        refuse(model)
    assert content(model) == before
    change(make())  # not refused, and so a change:
    other = make()
    change(other)
    assert content(other) != before


# One of each kind by default, of those that take seconds.
LONG = {"network cv", "low rank", "seeds", "covariance merge", "covariance fit_sketch"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LONG)) for n in CASES]
)
def test_an_interrupt_at_any_line_leaves_the_fit(name, run_interrupted):
    make, change, _ = CASES[name]
    n_lines = run_interrupted(lambda: change(make())).n_lines
    n_made = run_interrupted(make).n_lines
    model = make()
    before = content(model)
    n_lines -= n_made
    # Evenly spread, and the last lines, where attributes are set.
    lines = set(np.linspace(1, n_lines, N_INTERRUPTS, dtype=int)) | set(
        range(max(n_lines - 40, 1), n_lines, 4)
    )
    n_interrupted = 0
    for line in sorted(lines):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if run_interrupted(partial(change, model), line).reached:
                n_interrupted += 1
                assert content(model) == before, line
            else:
                # Caches make later runs shorter.
                model = make()
                assert content(model) == before
    assert n_interrupted >= N_INTERRUPTS
