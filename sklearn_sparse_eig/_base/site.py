"""Links from the HTML that notebooks show of an estimator to its page on the site."""

import sys
from itertools import takewhile

# Where the site is published, without a slash at the end; the same as Documentation among the URLs
# of pyproject.toml. Empty as long as it is published nowhere: then there are no links.
ADDRESS = ""

_ROOT = __name__.partition(".")[0]


class SitePageMixin:
    """Tells scikit-learn's HTML display where the page of an estimator is.

    Scikit-learn links classes whose module is in the package of this name alone, so subclasses
    that others write have no link.
    """

    @property
    def _doc_link_module(self) -> str:
        return _ROOT if ADDRESS else ""

    @property
    def _doc_link_template(self) -> str:
        return f"{ADDRESS}/doc/reference/{{module}}.{{name}}.html"

    def _doc_link_url_param_generator(self) -> dict[str, str]:
        cls = type(self)
        return {"module": _public_module(cls), "name": cls.__name__}


def _public_module(cls: type) -> str:
    """Return the first module in doc/api.md that offers a class: the package, or its room."""
    if getattr(sys.modules.get(_ROOT), cls.__name__, None) is cls:
        return _ROOT
    return ".".join(takewhile(lambda part: not part.startswith("_"), cls.__module__.split(".")))
