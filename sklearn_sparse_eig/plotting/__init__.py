"""Displays, in the style of scikit-learn. They need matplotlib: the extra ``plot``."""

from ._collapse import plot_collapse
from ._components import ComponentsDisplay
from ._effective_rank import EffectiveRankDisplay
from ._ood_scores import OODScoresDisplay, plot_ood_scores
from ._paths import RegularizationPathDisplay
from ._phase_diagram import PhaseDiagramDisplay
from ._scree import ScreeDisplay
from ._stability import SupportStabilityDisplay
from ._support_map import SupportMapDisplay

__all__ = [
    "ComponentsDisplay",
    "EffectiveRankDisplay",
    "OODScoresDisplay",
    "PhaseDiagramDisplay",
    "RegularizationPathDisplay",
    "ScreeDisplay",
    "SupportMapDisplay",
    "SupportStabilityDisplay",
    "plot_collapse",
    "plot_ood_scores",
]
