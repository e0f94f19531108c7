"""Displays, in the style of scikit-learn. They need matplotlib: the extra ``plot``."""

from ._collapse import plot_collapse
from ._components import ComponentsDisplay
from ._ood_scores import plot_ood_scores

__all__ = ["ComponentsDisplay", "plot_collapse", "plot_ood_scores"]
