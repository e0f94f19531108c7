"""What is registered is known by name, and the laws run over it, whoever adds it.

Kinds of known gradients and scores meet their laws in ``tests/ood/test_ood_registries.py``, layers
and engines of torch in ``tests/gradients/test_torch_registries.py``. Here is what all have in
common: a file in the folder is enough.
"""

import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import sklearn_sparse_eig
from sklearn_sparse_eig import EigenSketch
from sklearn_sparse_eig import estimator_checks as checks
from sklearn_sparse_eig._base.folders import import_files
from sklearn_sparse_eig.recovery import decoders
from sklearn_sparse_eig.sketching import Measurement, from_spec, make_measurement, register
from sklearn_sparse_eig.sketching.measurements import _registry as registry


class EveryNth(Measurement):
    """One 1 per column: feature j is added to row j mod m."""

    name = "every_nth_toy"

    def columns(self, ids):
        ids = np.asarray(ids)
        parts = np.ones(len(ids)), ids % self.n_measurements, np.arange(len(ids) + 1)
        return sp.csr_array(parts, shape=(len(ids), self.n_measurements))


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    return register(EveryNth)


def test_a_measurement_registers_by_name(registered):
    with pytest.raises(ValueError, match="every_nth_toy"):
        make_measurement("no_such_name", 50, 20, seed=0)
    made = make_measurement("every_nth_toy", 50, 20, seed=0)
    assert type(made) is EveryNth
    assert from_spec(made.spec()) == made
    for check in checks.yield_measurement_checks(made):
        check()
    checks.check_sketch_definition(
        lambda: EigenSketch(50, n_measurements=20, measurement="every_nth_toy", random_state=0)
    )


def test_an_unregistered_measurement_has_no_name():
    with pytest.raises(ValueError, match="must be one of"):
        make_measurement("every_nth_toy", 50, 20, seed=0)


def test_a_decoder_registers_by_name(monkeypatch):
    # The toy takes the place of a decoder that is known, under a name of its own.
    class Toy(decoders.MedianDecoder):
        name = "median_toy"

    with pytest.raises(ValueError, match="decoder must be"):
        decoders.make_decoder("median_toy")
    registered = decoders._registry
    monkeypatch.setattr(registered, "_REGISTRY", dict(registered._REGISTRY))
    decoders.register(Toy)
    assert type(decoders.make_decoder("median_toy")) is Toy
    for check in checks.yield_decoder_checks("median_toy"):
        check()


# ------------------------------------------------------------------------- laws over all of a kind

# Each name with a size that it can have.
SIZES = {"identity": None, "prime_residue": 260}


def make(name):
    return make_measurement(name, 300, SIZES.get(name, 64), seed=3)


def check_measurement(name):
    for check in checks.yield_measurement_checks(make(name)):
        check()
    checks.check_sketch_definition(
        lambda: EigenSketch(300, n_measurements=SIZES.get(name, 64), measurement=name)
    )


def check_decoder(name):
    decoder = decoders.make_decoder(name)
    if not decoder.needs_identification:  # else it decodes a sketch alone
        for check in checks.yield_decoder_checks(name):
            check()
    v = np.zeros((200, 2))
    v[[3, 50, 120], 0], v[[7, 80, 199], 1] = 1.0, [1.0, -2.0, 1.0]
    identification = 48 if decoder.needs_identification else None
    # As many measurements per nonzero as in the exact case: enough for decoders of one look.
    sketch = EigenSketch(200, n_measurements=192, identification=identification, random_state=0)
    pairs = sketch.update_operator(4.0 * v @ v.T).recover(2, n_nonzero_coefs=3, decoder=name)
    found = {tuple(np.flatnonzero(vector)) for vector in pairs.eigenvectors.toarray().T}
    assert found == {(3, 50, 120), (7, 80, 199)}


@pytest.mark.parametrize("name", [*registry.measurement_names(), "every_nth_toy"])
def test_laws_of_each_measurement(name, registered):
    check_measurement(name)


# Gradient descent takes its time: ten seconds and more.
SLOW = {"diagonal_network"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name in decoders.decoder_names()
    ],
)
def test_laws_of_each_decoder(name):
    check_decoder(name)


@pytest.mark.parametrize("name", registry.measurement_names())
def test_a_size_is_taken_from_what_a_measurement_can_do(name):
    kind = registry.find_measurement(name)
    if kind.keeps_features:
        assert make_measurement(name, 30, None).n_measurements == 30
        return
    with pytest.raises(ValueError, match=f"'{name}' needs n_measurements; only 'identity'"):
        make_measurement(name, 30, None)
    assert kind.of_size(300, 240).n_features == 300


# ----------------------------------------------------------------------------- files in the folder

# For each folder a file as a contributor would write it, and a line that is true once it is read.
MEASUREMENT = """
import numpy as np
import scipy.sparse as sp

from ._base import Measurement
from ._registry import register


@register
class Dropped(Measurement):
    name = "dropped"

    def columns(self, ids):
        ids = np.asarray(ids)
        parts = np.ones(len(ids)), ids % self.n_measurements, np.arange(len(ids) + 1)
        return sp.csr_array(parts, shape=(len(ids), self.n_measurements))
"""
DECODER = """
from ._htp import HTPDecoder
from ._registry import register


@register
class Dropped(HTPDecoder):
    name = "dropped"
"""
SUBSPACE = """
from ._exact import GradientState
from ._registry import register


@register
class Dropped(GradientState):
    name = "dropped"
"""
SCORE = """
from ._registry import register_score


@register_score("dropped", uses_output=False)
def dropped(f, place):
    return -place.distance
"""
ENGINE = """
from ._loop import LoopEngine
from ._registry import register


@register
class Dropped(LoopEngine):
    name, rank = "dropped", None
"""
FORM = """
from torch import nn

from ._registry import sum_over_places


@sum_over_places(nn.Bilinear)
def dropped(module, inputs, delta):
    return inputs, delta
"""
FILES = {
    "sketching.measurements": (MEASUREMENT, "'dropped' in room.measurement_names()"),
    "recovery.decoders": (DECODER, "'dropped' in room.decoder_names()"),
    "ood.subspaces": (SUBSPACE, "'dropped' in room.SUBSPACES"),
    "ood.scores": (SCORE, "'dropped' in room.SCORES"),
}
TORCH_FILES = {
    "gradients.torch.engines": (ENGINE, "'dropped' in room.engine_names()"),
    "gradients.torch.forms": (FORM, "room.find_form(__import__('torch').nn.Bilinear(2, 2, 2))"),
}


@pytest.mark.parametrize(
    "files", [FILES, pytest.param(TORCH_FILES, marks=pytest.mark.slow)], ids=["any", "torch"]
)
def test_a_file_in_the_folder_is_all_that_a_new_kind_takes(files, tmp_path):
    if files is TORCH_FILES:
        pytest.importorskip("torch")
    package = Path(sklearn_sparse_eig.__file__).parent
    ignored = shutil.ignore_patterns("__pycache__", "tests")
    shutil.copytree(package, tmp_path / package.name, ignore=ignored)
    lines = ["from importlib import import_module"]
    for folder, (text, is_known) in files.items():
        path = tmp_path.joinpath(package.name, *folder.split("."), "_dropped.py")
        path.write_text(text)
        lines.append(f"room = import_module('{package.name}.{folder}')")
        lines.append(f"assert room.__file__.startswith({str(tmp_path)!r})")
        lines.append(f"assert {is_known}, '{folder}'")
    script = "\n".join(lines)
    told = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stderr


@pytest.fixture
def drop(tmp_path, monkeypatch):
    """Put a file into a folder of kinds for the time of a test."""

    def drop_file(folder, text):
        room = import_module(f"sklearn_sparse_eig.{folder}")
        (tmp_path / "_dropped.py").write_text(text)
        monkeypatch.setattr(room, "__path__", [*room.__path__, str(tmp_path)])
        known = import_module(f"{room.__name__}._registry")
        monkeypatch.setattr(known, "_REGISTRY", dict(known._REGISTRY))
        monkeypatch.delitem(sys.modules, f"{room.__name__}._dropped", raising=False)
        import_files(room.__name__)
        modules.append(room)

    modules = []
    yield drop_file
    for room in modules:
        sys.modules.pop(f"{room.__name__}._dropped")
        del room._dropped


def test_a_dropped_measurement_meets_the_laws(drop):
    drop("sketching.measurements", MEASUREMENT)
    assert "dropped" in registry.measurement_names()
    check_measurement("dropped")


def test_a_dropped_decoder_meets_the_laws(drop):
    drop("recovery.decoders", DECODER)
    check_decoder("dropped")


def test_a_dropped_measurement_that_breaks_a_law_is_caught(drop):
    # Its columns are right, and what measures rows forgets a sign.
    wrong = "    def measure(self, X):\n        return -super().measure(X)\n"
    drop("sketching.measurements", MEASUREMENT + "\n" + wrong)
    with pytest.raises(AssertionError, match="<M u, v>"):
        check_measurement("dropped")


def test_a_dropped_decoder_that_breaks_a_law_is_caught(drop):
    wrong = (
        "    def decode(self, measurement, Q, size=None):\n"
        "        return super().decode(measurement, Q, size)[:-1]\n"
    )
    drop("recovery.decoders", DECODER + "\n" + wrong)
    with pytest.raises(AssertionError, match="Found the rows"):
        check_decoder("dropped")
