"""Write what later versions have to read: ``python tests/laws/write_saved.py``, once a release.

For every estimator of the tables of laws a pickle, for those with ``save`` a file of it, and what
they answer, all in a folder of the version.
"""

import pickle
import warnings
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from test_state_laws import FITS, X

import sklearn_sparse_eig

HERE = Path(__file__).parent / "saved"


def answer(estimator):
    """Return what a fitted estimator says of rows."""
    n_features = estimator.n_features_in_
    for method in ("score_samples", "predict", "transform"):
        if hasattr(estimator, method):
            found = getattr(estimator, method)(X[:5, :n_features])
            return np.asarray(found.toarray() if sp.issparse(found) else found)
    return np.asarray(estimator.covariance_)


def fitted(name):
    """Return an estimator of the tables, fitted."""
    make, data = FITS[name]
    estimator = make()
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    return estimator.fit(*data)


def main():
    folder = HERE / sklearn_sparse_eig.__version__
    folder.mkdir(exist_ok=True)
    warnings.simplefilter("ignore")
    answers = {}
    for name in FITS:
        estimator = fitted(name)
        (folder / f"{name}.pickle").write_bytes(pickle.dumps(estimator, protocol=4))
        if hasattr(estimator, "save"):
            estimator.save(folder / f"{name}.saved")
            # A detector is saved without its classifier, which other versions would fit otherwise.
            for part in ("coef_", "intercept_", "classes_"):
                if hasattr(getattr(estimator, "estimator_", None), part):
                    answers[name + part] = getattr(estimator.estimator_, part)
        answers[name] = answer(estimator)
    np.savez_compressed(folder / "answers.npz", **answers)


if __name__ == "__main__":
    main()
