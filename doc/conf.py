"""Builds the site: ``python -m sphinx -c doc . build/site`` from the project's root.

The source of the site is the whole project, so that pages of ``doc/``, README, CHANGELOG and the
benchmarks link to one another by the same relative paths as on a code host.
"""

import importlib
import inspect
import re
from pathlib import Path

import sklearn_sparse_eig

DOC = Path(__file__).parent
ROOT = DOC.parent

project = "sklearn_sparse_eig"
author = copyright = "The sklearn_sparse_eig developers"
version = release = sklearn_sparse_eig.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
root_doc = "doc/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "doc/**.md",
    "doc/**.rst",
    "benchmarks/README.md",
    "benchmarks/results/*.md",
]
exclude_patterns = ["doc/_build", "doc/auto_examples/**.md5", "doc/auto_examples/**.py"]

myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
myst_dmath_double_inline = True

autodoc_typehints = "none"  # numpydoc has them in words
autodoc_member_order = "groupwise"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": [str(ROOT / "examples")],
    "gallery_dirs": ["doc/auto_examples"],
    "filename_pattern": r"plot_",
    "ignore_pattern": r"docstrings\.py",
    "doc_module": ("sklearn_sparse_eig",),
    "backreferences_dir": None,
    "show_memory": False,
    "download_all_examples": False,
    "remove_config_comments": True,
    "capture_repr": (),
    "within_subsection_order": "FileNameSortKey",
    "thumbnail_size": (400, 260),
}

html_theme = "pydata_sphinx_theme"
html_title = "sklearn_sparse_eig"
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
# Pages without pages below them have nothing to show beside them.
html_sidebars = {page: [] for page in ("doc/index", "doc/start", "doc/choosing", "doc/api")}
toc_object_entries_show_parents = "hide"

# ------------------------------------------------------------- a page for each public name
REFERENCE = DOC / "reference"
HOUSES = {}  # a name's value -> where it is described, for a name may stand in two modules


def _public_names():
    """Return (module, name, value) of all that doc/api.md lists, in its order."""
    text = (DOC / "api.md").read_text(encoding="utf-8")
    for module in re.findall(r"^## `(.*)`$", text, flags=re.MULTILINE):
        for name in importlib.import_module(module).__all__:
            yield module, name, getattr(importlib.import_module(module), name)


def _home(module, name, value):
    """Return the page of a name: that of the first module which has the same object."""
    if callable(value):
        return HOUSES.setdefault(value, f"{module}.{name}")
    return f"{module}.{name}"


def _directive(value):
    if inspect.isclass(value):
        return "autoclass", ["   :members:", "   :inherited-members:"]
    if inspect.isfunction(value):
        return "autofunction", []
    return "autodata", ["   :no-value:"]


def write_reference(app):
    """Write a page for each public name that doc/api.md lists."""
    REFERENCE.mkdir(exist_ok=True)
    for module, name, value in _public_names():
        page = _home(module, name, value)
        if page != f"{module}.{name}":
            continue
        kind, options = _directive(value)
        lines = [":orphan:", "", name, "=" * len(name), "", f".. currentmodule:: {module}", ""]
        text = "\n".join([*lines, f".. {kind}:: {name}", *options, ""])
        file = REFERENCE / f"{page}.rst"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def _with_links(text):
    """Return doc/api.md with each name linked to its page."""
    parts = re.split(r"^(## `.*`)$", text, flags=re.MULTILINE)
    for i in range(1, len(parts), 2):
        module = importlib.import_module(parts[i].strip("# `"))

        def link(entry, module=module):
            names = re.findall(r"`(.*?)`", entry[1])
            pages = [_home(module.__name__, n, getattr(module, n)) for n in names]
            links = (f"[`{n}`](reference/{p}.rst)" for n, p in zip(names, pages, strict=True))
            return f"- {', '.join(links)}:"

        entries = r"^- (`.*?`(?:, `.*?`)*):"
        parts[i + 1] = re.sub(entries, link, parts[i + 1], flags=re.MULTILINE)
    return "".join(parts)


def adapt_links(app, docname, source):
    """Lead to pages of the site what leads to scripts, or to names, on a code host."""
    if docname == "doc/api":
        source[0] = _with_links(source[0])
    text = re.sub(
        r"\]\(((?:\.\./)*)examples/(plot_\w+)\.py\)", r"](\1doc/auto_examples/\2.rst)", source[0]
    )
    text = re.sub(r"\]\(((?:\.\./)*)examples\)", r"](\1doc/auto_examples/index.rst)", text)
    # Where an example has saved its plot on the machine that built the site is of no interest.
    text = re.sub(r"^ *Plot saved as .*\n", "", text, flags=re.MULTILINE)
    source[0] = text.replace(f"{ROOT}/", "")


def skip_inherited_from_elsewhere(app, what, name, value, skip, options):
    """Leave out what scikit-learn describes: its parameters, routing and output methods."""
    function = getattr(value, "fget", value)
    module = getattr(function, "__module__", None) or ""
    return True if module.partition(".")[0] in ("sklearn", "builtins") else None


def quote_fitted_names(app, what, name, value, options, lines):
    """Keep ``n_components_`` in a shape from being read as a reference."""
    for i, line in enumerate(lines):
        if (
            " : " in line
            and "shape" in line
            or re.match(r"\s*(ndarray|csr_array|bool).* shape", line)
        ):
            lines[i] = re.sub(r"(?<=[(, ])(\w+_)(?=[,)])", r"``\1``", line)


def mark_tables_of_sentences(app, doctree):
    """Name tables with long cells, which the style sheet shows as cards on narrow screens."""
    from docutils import nodes  # the tests read this file where Sphinx is not installed

    for table in doctree.findall(nodes.table):
        longest = max((len(entry.astext()) for entry in table.findall(nodes.entry)), default=0)
        columns = len(next(table.findall(nodes.row)))
        if longest > 50 and columns <= 5:
            table["classes"].append("prose")


def lead_to_the_first_page(app, error):
    """Let the root of the site lead to the first page, which lies in doc/."""
    if error is None and app.builder.format == "html":
        page = f"{app.config.root_doc}.html"
        text = f'<meta http-equiv="refresh" content="0; url={page}"><a href="{page}">Start</a>\n'
        (Path(app.outdir) / "index.html").write_text(text, encoding="utf-8")


def setup(app):
    app.connect("builder-inited", write_reference)
    app.connect("source-read", adapt_links)
    app.connect("autodoc-skip-member", skip_inherited_from_elsewhere)
    app.connect("autodoc-process-docstring", quote_fitted_names, priority=400)
    app.connect("doctree-read", mark_tables_of_sentences)
    app.connect("build-finished", lead_to_the_first_page)
