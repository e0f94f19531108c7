"""The laws of the library as functions: run them on a measurement, sketch or estimator of your own.

Every check takes the object (or, for sketches, a factory of empty ones), compares two ways to the
same answer, and raises ``AssertionError`` with both sides in the message. The ``yield_*`` functions
give all checks that apply, as callables without arguments whose ``func.__name__`` tells the law.

Rows may be given as `X`, dense or CSR; without it the checks draw some that suit the number of
features, CSR where that number is large. Comparisons are relative to the largest entry.

Examples
--------
A measurement of one's own, checked and then used:

>>> import numpy as np
>>> import scipy.sparse as sp
>>> from sklearn_sparse_eig import EigenSketch, SketchedSparsePCA
>>> from sklearn_sparse_eig.estimator_checks import (
...     check_sketch_definition,
...     check_sketch_estimator,
...     yield_measurement_checks,
...     yield_sketch_checks,
... )
>>> from sklearn_sparse_eig.sketching import Measurement, register
>>> @register
... class EveryNth(Measurement):
...     '''One 1 per column: feature j is added to row j mod m.'''
...     name = "every_nth"
...     def columns(self, ids):
...         ids = np.asarray(ids)
...         parts = np.ones(len(ids)), ids % self.n_measurements, np.arange(len(ids) + 1)
...         return sp.csr_array(parts, shape=(len(ids), self.n_measurements))
>>> measurement = EveryNth(n_features=50, n_measurements=20)
>>> for check in yield_measurement_checks(measurement):
...     check()
>>> check_sketch_definition(
...     lambda: EigenSketch(50, n_measurements=20, measurement=measurement, random_state=0)
... )

All laws of a sketch, and of an estimator:

>>> for check in yield_sketch_checks(
...     lambda: EigenSketch(50, n_measurements=16, range_size=8, random_state=0)
... ):
...     check()
>>> check_sketch_estimator(SketchedSparsePCA(n_components=2, random_state=0))

With pytest, ``@pytest.mark.parametrize("check", yield_sketch_checks(make_sketch))`` makes one test
of each law.
"""

from ._decoder import (
    check_decoder_contract,
    check_decoder_exact_case,
    yield_decoder_checks,
)
from ._estimator import (
    check_estimator_bad_input,
    check_estimator_batches,
    check_estimator_merge,
    check_estimator_resume,
    check_estimator_signs,
    check_estimator_sparse_rows,
    check_estimator_weights,
    check_sketch_estimator,
    yield_estimator_checks,
)
from ._input import (
    check_bad_indices,
    check_bad_rows,
    check_bad_weights,
    check_duplicates,
    yield_input_checks,
)
from ._measurement import (
    check_measurement_adjoint,
    check_measurement_columns,
    check_measurement_spec,
    yield_measurement_checks,
)
from ._sketch import (
    check_sketch_bad_input,
    check_sketch_batching,
    check_sketch_bytes,
    check_sketch_definition,
    check_sketch_deletion,
    check_sketch_entries,
    check_sketch_forgetting,
    check_sketch_linearity,
    check_sketch_merge,
    check_sketch_merge_refuses,
    check_sketch_resume,
    check_sketch_seed,
    check_sketch_weights,
    yield_sketch_checks,
)
from ._state import (
    check_empty_copy,
    check_failed_refit_keeps_fit,
    check_merge,
    check_readers_beside_writer,
    check_shard_id,
    check_sum,
    check_unchanged_on_error,
    check_warnings_name_the_caller,
    yield_state_checks,
)
from ._thresholded import check_at_least_thresholded_pca

__all__ = [
    "check_at_least_thresholded_pca",
    "check_bad_indices",
    "check_bad_rows",
    "check_bad_weights",
    "check_decoder_contract",
    "check_decoder_exact_case",
    "check_duplicates",
    "check_empty_copy",
    "check_estimator_bad_input",
    "check_estimator_batches",
    "check_estimator_merge",
    "check_estimator_resume",
    "check_estimator_signs",
    "check_estimator_sparse_rows",
    "check_estimator_weights",
    "check_failed_refit_keeps_fit",
    "check_measurement_adjoint",
    "check_measurement_columns",
    "check_measurement_spec",
    "check_merge",
    "check_readers_beside_writer",
    "check_shard_id",
    "check_sketch_bad_input",
    "check_sketch_batching",
    "check_sketch_bytes",
    "check_sketch_definition",
    "check_sketch_deletion",
    "check_sketch_entries",
    "check_sketch_estimator",
    "check_sketch_forgetting",
    "check_sketch_linearity",
    "check_sketch_merge",
    "check_sketch_merge_refuses",
    "check_sketch_resume",
    "check_sketch_seed",
    "check_sketch_weights",
    "check_sum",
    "check_unchanged_on_error",
    "check_warnings_name_the_caller",
    "yield_decoder_checks",
    "yield_estimator_checks",
    "yield_input_checks",
    "yield_measurement_checks",
    "yield_sketch_checks",
    "yield_state_checks",
]
