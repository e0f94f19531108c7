"""What earlier versions have pickled and saved is read, and answers the same."""

import pickle

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.fixes import parse_version
from write_saved import FITS, HERE, answer, fitted

from sklearn_sparse_eig import GradPCADetector, SketchedSparsePCA
from sklearn_sparse_eig._base import pickling

VERSIONS = sorted(path.parent for path in HERE.glob("*/answers.npz"))
PICKLES = [path for folder in VERSIONS for path in sorted(folder.glob("*.pickle"))]
SAVED = [path for folder in VERSIONS for path in sorted(folder.glob("*.saved"))]

# Of versions of the library, and of scikit-learn within models, the tests below tell.
pytestmark = pytest.mark.filterwarnings("ignore")


def label(path):
    return f"{path.parent.name} {path.stem}"


def classifier(path):
    """Return the classifier that a saved detector had."""
    model = LogisticRegression()
    with np.load(path.parent / "answers.npz") as answers:
        for part in ("coef_", "intercept_", "classes_"):
            setattr(model, part, answers[path.stem + part])
    model.n_features_in_ = model.coef_.shape[1]
    return model


def check_answer(estimator, path):
    with np.load(path.parent / "answers.npz") as answers:
        expected = answers[path.stem]
    np.testing.assert_allclose(answer(estimator), expected, rtol=1e-6, atol=1e-9)


def test_every_estimator_has_a_pickle_of_each_version():
    assert VERSIONS and len(SAVED) >= 3 * len(VERSIONS)
    assert {path.stem for path in PICKLES if path.parent == VERSIONS[-1]} == set(FITS)


@pytest.mark.skipif(
    parse_version(np.__version__) < parse_version("2"),
    reason="NumPy 1 does not read arrays that NumPy 2 has pickled",
)
@pytest.mark.parametrize("path", PICKLES, ids=label)
def test_pickles_are_read(path):
    estimator = pickle.loads(path.read_bytes())
    check_answer(estimator, path)
    # Parameters that came later have their defaults.
    assert set(estimator.get_params(deep=False)) == set(type(estimator)._get_param_names())


def test_parameters_that_came_after_a_pickle_have_their_defaults():
    state = SketchedSparsePCA(3).__getstate__()
    del state["positive"], state["verbose"]
    new = SketchedSparsePCA.__new__(SketchedSparsePCA)
    new.__setstate__(state)
    assert new.get_params() == SketchedSparsePCA(3).get_params()


@pytest.mark.parametrize("path", SAVED, ids=label)
def test_saved_files_are_read(path):
    kind = type(FITS[path.stem][0]())
    given = {"estimator": classifier(path)} if kind is GradPCADetector else {}
    check_answer(kind.load(path, **given), path)


def test_a_pickle_of_another_version_warns_at_the_line_of_the_caller(monkeypatch):
    data = pickle.dumps(SketchedSparsePCA(2))
    assert pickle.loads(data).n_components == 2
    monkeypatch.setattr(pickling, "__version__", "9.9")
    with pytest.warns(
        UserWarning, match="pickled by sklearn_sparse_eig 0.1.0, and this is 9.9"
    ) as told:
        pickle.loads(data)
    assert len(told) == 1 and told[0].filename == __file__


@pytest.mark.parametrize("name", FITS)
def test_skops_reads_what_the_documentation_says_to_trust(name):
    skops = pytest.importorskip("skops.io")
    estimator = fitted(name)
    data = skops.dumps(estimator)
    types = skops.get_untrusted_types(data=data)
    others = [kind for kind in types if not kind.startswith("sklearn_sparse_eig.")]
    assert set(others) <= {
        "builtins.frozenset",
        "numpy.dtype",
        "scipy.sparse._csc.csc_array",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    }
    np.testing.assert_array_equal(answer(skops.loads(data, trusted=types)), answer(estimator))
