"""Annotations are complete, and say of strings what the checks of parameters say."""

import inspect
import re
import types
import typing
from importlib import import_module
from pkgutil import iter_modules

import pytest

import sklearn_sparse_eig
from sklearn_sparse_eig import EigenSketch, GradPCADetector, SketchedSparsePCA
from sklearn_sparse_eig._base import typed
from sklearn_sparse_eig._base.compat import StrOptions
from sklearn_sparse_eig.gradients import OUTPUTS, OutputName
from sklearn_sparse_eig.ood import KINDS, SCORES, ScoreName, SubspaceName
from sklearn_sparse_eig.recovery import DecoderName, recover
from sklearn_sparse_eig.recovery.decoders import decoder_names, make_decoder
from sklearn_sparse_eig.sketching import MeasurementName
from sklearn_sparse_eig.sketching.measurements import find_measurement, measurement_names

ROOMS = [sklearn_sparse_eig] + [
    import_module(f"sklearn_sparse_eig.{room.name}")
    for room in iter_modules(sklearn_sparse_eig.__path__)
    if not room.name.startswith("_")
]
ESTIMATORS = [
    getattr(sklearn_sparse_eig, name)
    for name in sklearn_sparse_eig.__all__
    if hasattr(getattr(sklearn_sparse_eig, name), "_parameter_constraints")
]


def is_ours(thing):
    return getattr(thing, "__module__", "").startswith("sklearn_sparse_eig.")


def methods_of(cls):
    """Yield (name, function) of what a class of ours, or its bases of ours, lets users call."""
    for base in filter(is_ours, cls.__mro__):
        for name, member in vars(base).items():
            function = getattr(member, "__func__", getattr(member, "fget", member))
            is_public = not name.startswith("_") or name in ("__init__", "__call__")
            if is_public and inspect.isfunction(inspect.unwrap(function)) and is_ours(function):
                yield f"{base.__name__}.{name}", inspect.unwrap(function)


def public_functions():
    found = {}
    for room in ROOMS:
        for name in getattr(room, "__all__", ()):
            thing = getattr(room, name)
            if inspect.isclass(thing):
                found.update(methods_of(thing))
            elif inspect.isfunction(thing):
                found[name] = inspect.unwrap(thing)
    return found


def test_public_functions_are_annotated():
    missing = {}
    functions = public_functions()
    assert len(functions) > 250
    for name, function in functions.items():
        signature = inspect.signature(function)
        bare = [
            p.name
            for p in signature.parameters.values()
            if p.annotation is p.empty and p.name not in ("self", "cls")
        ]
        if signature.return_annotation is signature.empty:
            bare.append("return")
        if bare:
            missing[name] = bare
    assert missing == {}


def documented_attributes(cls):
    section = re.search(r"\n\n *Attributes\n *-+\n(.*?)(?:\n\n|\Z)", inspect.getdoc(cls), re.DOTALL)
    lines = re.findall(r"^(\w[\w, ]*?)(?: : .*)?$", section[1], re.MULTILINE)
    return {name for line in lines for name in line.split(", ")}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda cls: cls.__name__)
def test_documented_attributes_have_a_type(estimator):
    # In the source, for some of them are declared to type checkers only.
    ours = [*filter(is_ours, estimator.__mro__), typed]
    declared = {
        name
        for thing in ours
        for name in re.findall(r"^ +(\w+): \S", inspect.getsource(thing), re.MULTILINE)
    }
    documented = documented_attributes(estimator)
    assert len(documented) > 3
    assert {n for n in documented - declared if not hasattr(estimator, n)} == set()


def strings_of(annotation):
    """Return the strings that an annotation lists, None where it takes any string."""
    if annotation is str or annotation is typing.Any:
        return None
    if typing.get_origin(annotation) is typing.Literal:
        return {value for value in typing.get_args(annotation) if isinstance(value, str)}
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        # Of what is an array, a string is one to NumPy's alias alone.
        parts = [part for part in typing.get_args(annotation) if part is not str]
        return set().union(*(strings_of(part) or set() for part in parts))
    return set()


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda cls: cls.__name__)
def test_literals_are_those_that_fit_accepts(estimator):
    hints = typing.get_type_hints(estimator.__init__)
    compared = 0
    for name, constraints in estimator._parameter_constraints.items():
        if constraints == "no_validation":
            continue  # objects, which are judged by what they can do
        options = [c.options for c in constraints if isinstance(c, StrOptions)]
        if str in constraints or not options:
            continue
        assert strings_of(hints[name]) == set().union(*options), name
        assert (None in constraints) == (type(None) in typing.get_args(hints[name])), name
        compared += 1
    assert compared > 0


def names_of_ours(registry):
    return {name for name, thing in registry.items() if is_ours(thing)}


@pytest.mark.parametrize(
    ("literal", "names"),
    [
        (
            DecoderName,
            {"auto"} | names_of_ours({n: type(make_decoder(n)) for n in decoder_names()}),
        ),
        (MeasurementName, names_of_ours({n: find_measurement(n) for n in measurement_names()})),
        (OutputName, set(OUTPUTS)),
        (ScoreName, names_of_ours(SCORES)),
        (SubspaceName, {"auto"} | {n for n, k in KINDS.items() if is_ours(k) and k.can_be_chosen}),
    ],
    ids=["decoder", "measurement", "output", "score_function", "subspace"],
)
def test_literals_are_the_names_that_are_registered_here(literal, names):
    assert set(typing.get_args(literal)) == names


@pytest.mark.parametrize(
    ("documented", "parameter", "literal"),
    [
        (SketchedSparsePCA, "measurement", MeasurementName),
        (EigenSketch, "measurement", MeasurementName),
        (SketchedSparsePCA, "decoder", DecoderName),
        (recover, "decoder", DecoderName),
        (GradPCADetector, "score_function", ScoreName),
        (GradPCADetector, "subspace", SubspaceName),
        (GradPCADetector, "output", OutputName),
    ],
    ids=lambda value: getattr(value, "__name__", value if isinstance(value, str) else ""),
)
def test_docstrings_list_the_names_that_are_registered_here(documented, parameter, literal):
    (listed,) = re.findall(rf"^ *{parameter} : {{(.*?)}}", documented.__doc__, re.MULTILINE)
    assert set(re.findall(r'"(\w+)"', listed)) == set(typing.get_args(literal))
