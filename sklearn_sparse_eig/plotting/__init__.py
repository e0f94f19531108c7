"""Displays, in the style of scikit-learn. They need matplotlib: the extra ``plot``."""

from ._collapse import plot_collapse
from ._components import ComponentsDisplay

__all__ = ["ComponentsDisplay", "plot_collapse"]
