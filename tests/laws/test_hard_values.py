"""Numbers at the ends of what floats hold: what comes out is finite, or the rows are refused."""

import copy
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from test_containers import DOORS, numbers

hypothesis = pytest.importorskip("hypothesis")
given, settings, strategies = hypothesis.given, hypothesis.settings, hypothesis.strategies

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.slow]
SOME = settings(
    max_examples=25, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
VALUES = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    3.0,
    5e-324,
    1e-310,
    1e-170,
    1e-30,
    1e16,
    -1e16,
    1e100,
    1e150,
    1e300,
]
# What is infinite or NaN where there is no such number, as docstrings tell.
OPEN = {"low_rank_intervals_", "stopping_time_", "learning_rate_"}


@strategies.composite
def spoilers(draw):
    """A function that puts hard numbers into rows: single ones, whole columns or rows, or all."""
    value = draw(strategies.sampled_from(VALUES))
    what = draw(strategies.sampled_from(["entry", "column", "row", "all", "scaled", "same rows"]))
    at = draw(strategies.integers(0, 1000))

    def spoil(rows):
        rows = rows.copy()
        n, n_features = rows.shape
        if what == "entry":
            rows[at % n, at % n_features] = value
        elif what == "column":
            rows[:, at % n_features] = value
        elif what == "row":
            rows[at % n] = value
        elif what == "all":
            rows[:] = value
        elif what == "scaled":
            with np.errstate(over="ignore"):
                rows *= value
            hypothesis.assume(np.isfinite(rows).all())
        else:
            rows[:] = rows[at % n]
        return rows

    return spoil


def check_values(name, rows):
    make, act, *_ = DOORS[name]
    made = copy.deepcopy(make())
    if "random_state" in getattr(made, "get_params", dict)():
        made.set_params(random_state=0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = numbers(made, act(made, rows))
        except ValueError as refused:
            assert len(str(refused)) > 20, refused
            return
    numeric = [w for w in told if issubclass(w.category, RuntimeWarning)]
    assert not numeric, [str(w.message) for w in numeric]
    if any("rows are not finite" in str(w.message) for w in told):
        return
    if any("is not defined" in str(w.message) for w in told):
        return
    if name == "seeds.fit":
        return  # what bins with too few seeds have is NaN
    for key in found.keys() - OPEN:
        assert np.isfinite(found[key]).all(), (key, found[key])


@pytest.mark.parametrize("name", DOORS)
@SOME
@given(spoil=spoilers(), compressed=strategies.booleans())
def test_what_comes_out_is_finite_or_the_rows_are_refused(name, spoil, compressed):
    rows = spoil(DOORS[name][2])
    if name.startswith("operator") or name == "sparse_eigsh":
        with np.errstate(over="ignore"):
            rows = rows / 2 + rows.T / 2
    check_values(name, sp.csr_array(rows) if compressed and DOORS[name][3] else rows)
