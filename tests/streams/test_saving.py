"""Saved and loaded, sketches and estimators go on to the last bit; bad files and disks are told."""

import json
import os
import resource
import signal
import warnings
from hashlib import blake2b

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    EigenSketch,
    GradPCADetector,
    SketchedSparsePCA,
)
from sklearn_sparse_eig._base import archive
from sklearn_sparse_eig.estimator_checks._fingerprint import fingerprint
from sklearn_sparse_eig.streams import load

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3)) @ RNG.normal(size=(3, 40)) + 0.3 * RNG.normal(size=(120, 40))
Y = np.arange(120) % 3
CLASSIFIER = LogisticRegression().fit(X, Y)


def compressed():
    sizes = {"n_measurements": 32, "range_size": 16, "sketch": "two_sided"}
    return SketchedSparsePCA(2, n_nonzero_coefs=5, random_state=0, **sizes)


def detector(**params):
    return GradPCADetector(CLASSIFIER, random_state=0, **params)


def precomputed():
    return GradPCADetector(backend="precomputed", score_function="ratio", random_state=0)


ESTIMATORS = {
    "exact": lambda: SketchedSparsePCA(2, random_state=0),
    "compressed": compressed,
    "random state": lambda: SketchedSparsePCA(2, random_state=np.random.RandomState(3)),
    "covariance": DeepFactorizationCovariance,
    "gradients": detector,
    "low rank": lambda: detector(subspace="low_rank"),
    "sketched": lambda: detector(subspace="sketched", sparsity=0.5),
    "sparse": lambda: detector(subspace="sparse_pca"),
    "relative": lambda: detector(score_function="relative"),
    "precomputed": precomputed,
}


def answer(estimator):
    """Return what an estimator says of rows, as bytes."""
    if hasattr(estimator, "score_samples"):
        return np.asarray(estimator.score_samples(X)).tobytes()
    return estimator.covariance_.tobytes()


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("way", ["fit", "partial_fit"])
def test_a_loaded_estimator_goes_on(name, way, tmp_path):
    estimator = ESTIMATORS[name]()
    given = {"estimator": CLASSIFIER} if getattr(estimator, "estimator", None) else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = getattr(estimator, way)(X[:80], Y[:80])
        if isinstance(estimator, GradPCADetector) and way == "partial_fit":
            estimator.calibrate(X[80:])
        estimator.save(tmp_path / "model")
        loaded = type(estimator).load(tmp_path / "model", **given)
        assert answer(loaded) == answer(estimator)
        assert loaded.n_samples_seen_ == 80
        assert (
            repr(loaded).partition("RandomState")[0] == repr(estimator).partition("RandomState")[0]
        )
        assert set(vars(loaded)) == set(vars(estimator))
        for each in (estimator, loaded):
            each.partial_fit(X[80:], Y[80:])
        assert answer(loaded) == answer(estimator)
        loaded.save(tmp_path / "second")
        estimator.save(tmp_path / "first")
        assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
        assert loaded.merge(estimator).n_samples_seen_ == 240


@pytest.mark.parametrize("rows", [X, sp.csr_array(np.where(X > 1, X, 0))], ids=["dense", "csr"])
def test_a_loaded_sketch_goes_on(rows, tmp_path):
    sketch = EigenSketch(40, n_measurements=16, range_size=8, random_state=0).update(rows[:50])
    sketch.save(tmp_path / "sketch")
    loaded = EigenSketch.load(tmp_path / "sketch")
    assert loaded.update(rows[50:]).to_bytes() == sketch.update(rows[50:]).to_bytes()


def test_what_fit_read_from_the_rows_is_kept(tmp_path):
    pca = SketchedSparsePCA(
        2, n_nonzero_coefs=5, n_measurements=32, range_size=16, sketch="two_sided", random_state=0
    ).fit(X)
    assert not pca.sketch_.is_exact
    pca.save(tmp_path / "pca")
    loaded = SketchedSparsePCA.load(tmp_path / "pca")
    np.testing.assert_array_equal(loaded.components_.toarray(), pca.components_.toarray())
    np.testing.assert_array_equal(loaded.transform(X), pca.transform(X))
    once_more = SketchedSparsePCA.from_sketch(pca.sketch_, n_components=2, n_nonzero_coefs=5)
    assert (once_more.components_ != pca.components_).nnz  # from the sketch alone it is coarser


def test_names_and_huge_feature_spaces_are_kept(tmp_path):
    pd = pytest.importorskip("pandas")
    names = [f"gene {i}" for i in range(40)]
    pca = SketchedSparsePCA(1, random_state=0).fit(pd.DataFrame(X, columns=names))
    pca.save(tmp_path / "pca")
    assert SketchedSparsePCA.load(tmp_path / "pca").describe() == pca.describe()
    wide = sp.csr_array((X[:, 0], np.arange(120) * 2**55, np.arange(121)), shape=(120, 2**62))
    pca = SketchedSparsePCA(1, n_nonzero_coefs=2, memory_budget=4e6, random_state=0)
    pca.partial_fit(wide).save(tmp_path / "pca")
    assert SketchedSparsePCA.load(tmp_path / "pca").n_features_in_ == 2**62


def test_another_classifier_is_refused(tmp_path):
    estimator = detector().partial_fit(X, Y)
    estimator.save(tmp_path / "detector")
    with pytest.raises(ValueError, match="another classifier"):
        GradPCADetector.load(tmp_path / "detector", LogisticRegression(C=0.1).fit(X, Y))
    with pytest.raises(TypeError, match=r"holds no classifier.* Call load\(path, classifier\)"):
        GradPCADetector.load(tmp_path / "detector")


def test_a_torch_module_is_given_to_load(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(40, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    rows = X.astype("f")
    estimator = GradPCADetector(module.eval(), random_state=0).fit(rows, Y)
    estimator.save(tmp_path / "detector")
    loaded = GradPCADetector.load(tmp_path / "detector", module)
    np.testing.assert_array_equal(loaded.score_samples(rows), estimator.score_samples(rows))


def test_a_trained_network_is_given_to_load(tmp_path):
    estimator = GradPCADetector(MLPClassifier((8,), max_iter=600, random_state=0), random_state=0)
    estimator.fit(X, Y).save(tmp_path / "detector")
    loaded = GradPCADetector.load(tmp_path / "detector", estimator.estimator_)
    np.testing.assert_array_equal(loaded.score_samples(X), estimator.score_samples(X))
    assert loaded.offset_ == estimator.offset_


@pytest.mark.parametrize("kind", [SketchedSparsePCA, DeepFactorizationCovariance, EigenSketch])
def test_torn_and_foreign_files_are_refused(kind, tmp_path):
    path = tmp_path / "file"
    made = (
        EigenSketch(40, n_measurements=16, random_state=0).update(X)
        if kind is EigenSketch
        else kind().fit(X)
    )
    made.save(path)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    bad = [data[:n] for n in (0, 5, 8, 20, len(data) // 2, len(data) - 1)] + [data + b"\0"]
    bad += [b"PK\3\4 some zip", b"\x80\x04pickle", b"\x93NUMPY", os.urandom(200)]
    for place in rng.integers(0, len(data), 10):
        bad.append(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    for contents in bad:
        path.write_bytes(contents)
        with pytest.raises(ValueError, match="file cannot be loaded"):
            kind.load(path)
    with pytest.raises(FileNotFoundError):
        kind.load(tmp_path / "nothing")


def test_files_of_another_class_are_named(tmp_path):
    DeepFactorizationCovariance().fit(X).save(tmp_path / "covariance")
    with pytest.raises(ValueError, match="holds DeepFactorizationCovariance, not a Sketched"):
        SketchedSparsePCA.load(tmp_path / "covariance")


def test_what_needs_pickle_is_named(tmp_path):
    class Own(SketchedSparsePCA):
        pass

    pca = SketchedSparsePCA(1, random_state=0).fit(X)
    pca.verbose = MLPClassifier()
    with pytest.raises(TypeError, match="MLPClassifier cannot be saved without pickle"):
        pca.save(tmp_path / "pca")
    assert not list(tmp_path.iterdir())
    with pytest.raises(NotFittedError):
        SketchedSparsePCA().save(tmp_path / "pca")


def in_child(function):
    """Return the exit status of a function in a process of its own."""
    child = os.fork()
    if not child:
        try:
            os._exit(function() or 0)
        except BaseException:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits on files need fork")
def test_a_full_disk_leaves_the_last_file(tmp_path):
    path = tmp_path / "sketch"
    sketch = EigenSketch(40, n_measurements=64, random_state=0).update(X)
    sketch.save(path)
    before = path.read_bytes()
    sketch.update(X)

    def save():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2,) * 2)  # as a disk that is full
        try:
            sketch.save(path)
        except OSError as error:
            return 0 if "as it was. Make room on the disk" in str(error) else 2
        return 3

    assert in_child(save) == 0
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["sketch"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    sketch = EigenSketch(40, n_measurements=16, random_state=0)
    with pytest.raises(OSError, match="could not be written .No such file"):
        sketch.save(tmp_path / "nowhere" / "sketch")


def test_links_are_followed_and_modes_kept(tmp_path):
    sketch = EigenSketch(40, n_measurements=16, random_state=0)
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    target.chmod(0o640)
    link.symlink_to(target)
    sketch.save(link)
    assert link.is_symlink() and target.stat().st_mode & 0o777 == 0o640
    assert EigenSketch.load(target).n_features == 40


def test_from_sketch_is_as_if_the_rows_had_been_passed():
    pca = SketchedSparsePCA(2, n_nonzero_coefs=4, random_state=0).partial_fit(X)
    names = [f"gene {i}" for i in range(40)]
    made = SketchedSparsePCA.from_sketch(
        pca.sketch_, feature_names=names, n_components=2, n_nonzero_coefs=4, random_state=0
    )
    np.testing.assert_array_equal(made.components_.toarray(), pca.components_.toarray())
    assert made.feature_names_in_.tolist() == names and made.describe()[0][0][0] in names
    before = fingerprint(pca.sketch_)
    made.partial_fit(X)
    assert made.n_samples_seen_ == 240 and fingerprint(pca.sketch_) == before
    assert made.merge(pca).n_samples_seen_ == 360


def test_from_sketch_refuses_what_does_not_fit():
    sketch = EigenSketch(4, n_measurements=None, measurement="identity", center=False)
    with pytest.raises(ValueError, match="is empty"):
        SketchedSparsePCA.from_sketch(sketch)
    sketch.update(np.eye(4))
    assert SketchedSparsePCA.from_sketch(sketch).center is False
    with pytest.raises(ValueError, match="center=False, got center=True"):
        SketchedSparsePCA.from_sketch(sketch, center=True)
    with pytest.raises(ValueError, match="must be 4 strings"):
        SketchedSparsePCA.from_sketch(sketch, feature_names=["a", "b"])
    with pytest.raises(ValueError, match="n_components"):
        SketchedSparsePCA.from_sketch(sketch, n_components=-1)
    with pytest.raises(TypeError, match="EigenSketch is needed, got ndarray"):
        SketchedSparsePCA.from_sketch(np.eye(4))
    entries = EigenSketch(4, n_measurements=None, measurement="identity").update_entries(
        [0], [1], [1]
    )
    with pytest.raises(ValueError, match="entries of a matrix"):
        SketchedSparsePCA.from_sketch(entries)


def resealed(tree):
    """Return the bytes of an archive that somebody made up, with a checksum that fits."""
    text = json.dumps(tree).encode()
    body = archive._PREFIX.pack(archive.MAGIC, 1, len(text)) + text
    return body + blake2b(body, digest_size=16).digest()


@pytest.mark.parametrize(
    "tree",
    [
        {"float": "0x1p99999"},
        {"as": 0, "array": ["<f8", [2**40], "C"]},
        {"as": 0, "object": "os:system", "items": ["true"]},
        {"as": 0, "object": f"{archive.__name__}:pack", "items": [1]},
        *(
            {"as": 0, "object": f"sklearn_sparse_eig.sketching.{name}", "items": items}
            for name, items in {
                "_eigen_sketch:EigenSketch": [2**40],
                "measurements._identity:IdentityMeasurement": [2**50],
                "measurements._prime_residue:PrimeResidueMeasurement": [2**40, 2**36],
            }.items()
        ),
    ],
)
def test_archives_that_ask_for_the_impossible_are_refused(tree, tmp_path):
    """Constructors were called with any arguments, and took memory and time without end."""
    path = tmp_path / "made_up.skse"
    path.write_bytes(resealed(tree))
    for read in (load, SketchedSparsePCA.load, GradPCADetector.load):
        with pytest.raises(ValueError):
            read(path)
