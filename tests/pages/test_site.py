"""Notebooks lead from an estimator to its page, once the site has an address."""

import importlib.util
import inspect
import tomllib
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

from sklearn_sparse_eig import SketchedSparsePCA
from sklearn_sparse_eig._base import site

ROOT = Path(__file__).parents[2]
HOST = "https://docs.example/stable"


def _conf():
    spec = importlib.util.spec_from_file_location("conf", ROOT / "doc" / "conf.py")
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    return conf


def _pages_of_estimators():
    """Return the page that the site makes of each public estimator."""
    conf, pages = _conf(), {}
    for module, name, value in conf._public_names():
        if inspect.isclass(value) and issubclass(value, BaseEstimator):
            pages.setdefault(value, conf._home(module, name, value))
    return pages


PAGES = _pages_of_estimators()


def test_all_estimators_have_pages():
    assert {"SketchedSparsePCA", "GradPCADetector", "HashedTextVectorizer"} <= {
        cls.__name__ for cls in PAGES
    }


@pytest.mark.parametrize("cls", PAGES, ids=lambda cls: cls.__name__)
def test_the_link_is_that_of_the_page(cls, monkeypatch):
    estimator = cls.__new__(cls)  # a link needs no parameters
    monkeypatch.setattr(site, "ADDRESS", HOST)
    assert estimator._get_doc_link() == f"{HOST}/doc/reference/{PAGES[cls]}.html"
    monkeypatch.setattr(site, "ADDRESS", "")
    assert estimator._get_doc_link() == ""


def test_the_display_has_the_link(monkeypatch):
    pipeline = make_pipeline(StandardScaler(), SketchedSparsePCA())
    link = f"{HOST}/doc/reference/sklearn_sparse_eig.SketchedSparsePCA.html"
    monkeypatch.setattr(site, "ADDRESS", HOST)
    html = estimator_html_repr(pipeline)
    assert f'href="{link}"' in html
    assert "scikit-learn.org" in html  # of the scaler, as before
    monkeypatch.setattr(site, "ADDRESS", "")
    assert "doc/reference" not in estimator_html_repr(pipeline)


def test_classes_of_others_are_not_linked(monkeypatch):
    class Mine(SketchedSparsePCA):
        pass

    monkeypatch.setattr(site, "ADDRESS", HOST)
    assert Mine()._get_doc_link() == ""


def test_there_is_one_address():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert site.ADDRESS == project.get("urls", {}).get("Documentation", "")
    assert not site.ADDRESS.endswith("/")
