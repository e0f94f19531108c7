"""Docstrings and pages: complete, true to the code, without broken links, and their code runs."""

import ast
import importlib
import importlib.util
import inspect
import os
import re
import shutil
import sys
import textwrap
from pathlib import Path

import pytest

from sklearn_sparse_eig import (
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    DiagonalNetworkRegressor,
    DiagonalNetworkRegressorCV,
    EigenSketch,
    GradientFeatures,
    GradPCADetector,
    LowRankRegressor,
    SeedConfidenceFilter,
    SketchedSparsePCA,
    SketchedSparsePCACV,
    SupportStability,
    WeightedFourierRegressor,
)
from sklearn_sparse_eig.datasets import GaussianMixturePosterior, GaussianMixtureSampler
from sklearn_sparse_eig.diagnostics import CollapseMonitor
from sklearn_sparse_eig.gradients import (
    Gradients,
    LayerFactors,
    LayerMatrices,
    LayerPlaces,
    Network,
)
from sklearn_sparse_eig.plotting import (
    ComponentsDisplay,
    EffectiveRankDisplay,
    OODScoresDisplay,
    PhaseDiagramDisplay,
    RegularizationPathDisplay,
    ScreeDisplay,
    SupportMapDisplay,
    SupportStabilityDisplay,
)

ROOT = Path(__file__).parents[2]


def _page_id(page):
    return str(page.relative_to(ROOT / "doc"))


PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "doc").glob("*.md")),
    *sorted((ROOT / "doc" / "recipes").glob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
]
MODULES = [
    "sklearn_sparse_eig",
    "sklearn_sparse_eig.cli",
    "sklearn_sparse_eig.datasets",
    "sklearn_sparse_eig.diagnostics",
    "sklearn_sparse_eig.distributed",
    "sklearn_sparse_eig.estimator_checks",
    "sklearn_sparse_eig.gradients",
    "sklearn_sparse_eig.implicit",
    "sklearn_sparse_eig.plotting",
    "sklearn_sparse_eig.recovery",
    "sklearn_sparse_eig.recovery.decoders",
    "sklearn_sparse_eig.seeds",
    "sklearn_sparse_eig.sketching",
    "sklearn_sparse_eig.streams",
    "sklearn_sparse_eig.text",
]
# What users call first shows how, in a tested example.
WITH_EXAMPLE = {
    "CollapseMonitor",
    "ComponentsDisplay",
    "EffectiveRankDisplay",
    "OODScoresDisplay",
    "PhaseDiagramDisplay",
    "RegularizationPathDisplay",
    "ScreeDisplay",
    "SupportMapDisplay",
    "SupportStabilityDisplay",
    "DeepFactorizationCovariance",
    "DeepMatrixFactorization",
    "DiagonalNetworkRegressor",
    "DiagonalNetworkRegressorCV",
    "EigenSketch",
    "GradPCADetector",
    "GradientFeatures",
    "HashedTextVectorizer",
    "SeedConfidenceFilter",
    "SketchedSparsePCA",
    "SketchedSparsePCACV",
    "LowRankRegressor",
    "WeightedFourierRegressor",
    "effective_rank",
    "class_mean_share",
    "diagonal_network_path",
    "fisher_separability",
    "fit_partitions",
    "fit_stream",
    "iter_batches",
    "kernel_blocks",
    "l1_gap_bound",
    "learning_rate_path",
    "load_pitprops",
    "low_rank_intervals",
    "make_gaussian_mixture_diffusion",
    "make_sparse_spiked_covariance",
    "neural_collapse",
    "ntk_alignment",
    "ood_metrics",
    "recommend_sketch",
    "sparse_eigsh",
    "support_stability",
    "tree_merge",
    "trigonometric_risk",
}


def _public():
    objects = {}
    for module in map(importlib.import_module, MODULES):
        for name in module.__all__:
            item = getattr(module, name)
            if callable(item):
                objects[f"{item.__module__}.{item.__qualname__}"] = item
    return objects


def _section(doc, title):
    """Return the text of a numpydoc section, empty where there is none."""
    found = re.search(rf"(?:^|\n){title}\n-+\n(.*?)(?=\n\S[^\n]*\n-{{3,}}\n|$)", doc, re.S)
    return found.group(1) if found else ""


def _returns_something(function):
    """Whether the function, not one inside it, returns a value."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Return) and node.value is not None:
            return True
        if not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
    return False


def _check_summary(item):
    """Check that the docstring starts with a sentence of its own, and return it."""
    doc = inspect.getdoc(item)
    assert doc, "no docstring"
    assert re.match(r"\S[^\n]*\.(\s|$)", doc), "the first line does not end a sentence"
    return doc


@pytest.mark.parametrize("item", _public().values(), ids=_public())
def test_docstring(item):
    doc = _check_summary(item)
    if item.__name__ in WITH_EXAMPLE:
        assert ">>>" in _section(doc, "Examples")
    if "\n" not in doc or "Parameters as in" in doc:
        return  # a sentence says it all
    # What a recovery returns, and base classes, describe as attributes what is given to them.
    described = _section(doc, "Parameters") + _section(doc, "Attributes")
    for name in inspect.signature(item).parameters:
        assert re.search(rf"(?m)^[\w, *]*\b{name}\b", described), f"{name} is not described"
    if inspect.isfunction(item) and _returns_something(item):
        told = _section(doc, "Returns") or re.match("Return|Make|Yield", doc)
        assert told, "what it returns is not described"


CLASSES = [
    DiagonalNetworkRegressor,
    DiagonalNetworkRegressorCV,
    DeepFactorizationCovariance,
    DeepMatrixFactorization,
    SeedConfidenceFilter,
    SketchedSparsePCA,
    SketchedSparsePCACV,
    SupportStability,
    LowRankRegressor,
    WeightedFourierRegressor,
    GaussianMixturePosterior,
    GaussianMixtureSampler,
    EigenSketch,
    CollapseMonitor,
    ComponentsDisplay,
    EffectiveRankDisplay,
    OODScoresDisplay,
    PhaseDiagramDisplay,
    RegularizationPathDisplay,
    ScreeDisplay,
    SupportMapDisplay,
    SupportStabilityDisplay,
    GradPCADetector,
    GradientFeatures,
    Gradients,
    LayerFactors,
    LayerMatrices,
    LayerPlaces,
    Network,
]


@pytest.mark.parametrize("cls", CLASSES)
def test_docstrings_of_methods(cls):
    for name, member in vars(cls).items():
        member = getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(member):
            _check_summary(member)


def test_api_page_lists_exactly_the_public_names():
    page = (ROOT / "doc" / "api.md").read_text(encoding="utf-8")
    sections = re.split(r"^## `(.*)`$", page, flags=re.MULTILINE)[1:]
    listed = dict(zip(sections[::2], sections[1::2], strict=True))
    assert sorted(listed) == MODULES
    for name, text in listed.items():
        entries = re.findall(r"^- (`.*?`(?:, `.*?`)*):", text, flags=re.MULTILINE)
        names = [n for entry in entries for n in re.findall(r"`(.*?)`", entry)]
        assert sorted(names) == sorted(importlib.import_module(name).__all__), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.M)
            assert anchor in {_anchor(heading) for heading in headings}, target


def _anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


# Pages whose code takes ten seconds or more.
LONG = {"extending.md", "how_the_sketch_works.md", "many_rows.md", "words.md"}
# A block of code, and the packages that it needs beyond those of the library.
BLOCK = re.compile(r"^(?:<!-- needs: ([^\n]*) -->\n)?```python\n(.*?)^```", flags=re.S | re.M)


def _is_here(need):
    if need == "java":
        return bool(os.environ.get("JAVA_HOME") or shutil.which("java"))
    try:
        return importlib.util.find_spec(need) is not None
    except ModuleNotFoundError:  # of the package that it is in
        return False


@pytest.fixture
def spark_on_this_machine(monkeypatch):
    """Let a session of Spark that is begun here use this Python, and end here."""
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    before = _spark_session()
    yield
    if before is None and (begun := _spark_session()) is not None:
        begun.stop()


def _spark_session():
    sql = sys.modules.get("pyspark.sql")
    return None if sql is None else sql.SparkSession.getActiveSession()


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(p, id=_page_id(p), marks=pytest.mark.slow if p.name in LONG else [])
        for p in PAGES
        if ROOT / "doc" in p.parents
    ],
)
def test_code_of_the_page_runs(page, spark_on_this_machine):
    namespace, missing = {"__name__": page.stem}, []
    text = page.read_text(encoding="utf-8")
    for block in BLOCK.finditer(text):
        needs = block[1].split(", ") if block[1] else []
        if not all(map(_is_here, needs)):
            missing += needs
            continue
        line = text[: block.start(2)].count("\n")
        # Padded, so that an error names the line of the page.
        exec(compile("\n" * line + block[2], str(page), "exec"), namespace)
    if missing:
        pytest.skip(f"all but the code that needs {', '.join(missing)}, which is not here")
