"""Many sparse rows: the same bits for all threads, also those of BLAS."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig._base.threads import limit_threads

REGIMES = {
    "kept": {"n_measurements": None, "measurement": "identity", "range_size": 64},
    "hashed": {"n_measurements": 300, "range_size": 100},
    "symmetric": {"n_measurements": 800},
}


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("shape", [(3000, 300), (20, 20000)])
def test_bits_do_not_depend_on_threads(regime, shape):
    rng = np.random.default_rng(26)
    X = sp.random_array(shape, density=30 / shape[1], random_state=rng, data_sampler=rng.normal)
    weights = rng.uniform(0.1, 1.0, shape[0])
    saved = set()
    for n_threads in (1, 2, 3):
        with limit_threads(n_threads):
            sketch = EigenSketch(shape[1], **REGIMES[regime], random_state=3)
            saved.add(sketch.update(X.tocsr(), sample_weight=weights).to_bytes())
    assert len(saved) == 1
