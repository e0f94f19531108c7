"""Does a trained network have the structure that GradPCA rests on? See ``doc/diagnostics.md``."""

from ._alignment import NTKAlignment, ntk_alignment
from ._blocks import KernelBlocks, kernel_blocks
from ._collapse import NeuralCollapse, neural_collapse
from ._curvature import LossCurvature, loss_curvature
from ._monitor import CollapseMonitor
from ._share import class_mean_share

__all__ = [
    "CollapseMonitor",
    "KernelBlocks",
    "LossCurvature",
    "NTKAlignment",
    "NeuralCollapse",
    "class_mean_share",
    "kernel_blocks",
    "loss_curvature",
    "neural_collapse",
    "ntk_alignment",
]
